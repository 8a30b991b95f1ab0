"""What is installed agrees everywhere, and the set-up does what it says, on machines that are not this one, too."""

import ast
import contextlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
SCRIPT = ROOT / "tools" / "setup.py"


def requirements(lines):
    """{name: [Requirement, ...]} of lines as in a requirements file; comments and empty lines are passed over."""
    found = {}
    for line in lines:
        if text := line.split("#")[0].strip():
            requirement = Requirement(text)
            found.setdefault(requirement.name.lower().replace("_", "-"), []).append(requirement)
    return found


def version(requirement):
    """The one version in `name>=version` or `name==version`."""
    (specifier,) = requirement.specifier
    return Version(specifier.version)


CORE = requirements(PROJECT["project"]["dependencies"])
EXTRAS = {name: requirements(lines) for name, lines in PROJECT["project"]["optional-dependencies"].items()}
LOCKED = requirements(LOCK.splitlines())
COLAB = requirements((ROOT / "tests" / "constraints-colab.txt").read_text(encoding="utf-8").splitlines())
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
CONDA_TO_PYPI = {"matplotlib-base": "matplotlib", "pytorch-cpu": "torch", "seaborn-base": "seaborn"}


# ---- The lists agree


CEILINGS = {"ipykernel"}  # each with its reason in pyproject.toml
NOT_LOCKED = {"instructor"}  # no learner needs it


def test_floors_are_bounds_from_below_that_the_lock_satisfies():
    for listed in (CORE, *EXTRAS.values()):
        for name, (floor,) in listed.items():
            operators = sorted(specifier.operator for specifier in floor.specifier)
            assert operators == (["<", ">="] if name in CEILINGS else [">="]), name
    for listed in (CORE, *(EXTRAS[name] for name in EXTRAS.keys() - NOT_LOCKED)):
        for name, (floor,) in listed.items():
            assert LOCKED[name], name
            for locked in LOCKED[name]:
                assert version(locked) in floor.specifier, f"{locked} is below {floor}"


def test_lock_is_exact_and_serves_every_build_of_pytorch():
    options = [line for line in LOCK.splitlines() if line.startswith("-")]
    assert not options, "no index and no other option of pip belongs in the lock"
    assert "+" not in LOCK
    assert not [name for name in LOCKED if re.match(r"nvidia|cuda|triton", name)]
    assert all(re.fullmatch(r"==[\w.]+", str(entry.specifier)) for entries in LOCKED.values() for entry in entries)
    assert len(LOCKED["torch"]) == 1
    assert "tools/lock.py" in LOCK.splitlines()[1]


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
@pytest.mark.parametrize(("system", "name"), [("linux", "posix"), ("darwin", "posix"), ("win32", "nt")])
def test_lock_names_each_package_once_for_every_python_and_system(python, system, name):
    here = {"python_version": python[:4], "python_full_version": python, "sys_platform": system, "os_name": name}
    here |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    for package in [*CORE, *EXTRAS["notebooks"], *EXTRAS["test"]]:
        fitting = [entry for entry in LOCKED[package] if entry.marker is None or entry.marker.evaluate(here)]
        assert len(fitting) == 1, package


def test_lock_holds_what_builds_labkit():
    (needed,) = requirements(PROJECT["build-system"]["requires"]).values()
    assert all(version(locked) in needed[0].specifier for locked in LOCKED[needed[0].name])


def test_conda_environment_has_the_names_and_bounds_of_pyproject():
    listed = [Requirement(line) for line in CONDA if ">=" in line]
    listed = {CONDA_TO_PYPI.get(entry.name, entry.name): entry.specifier for entry in listed}
    wanted = {name: floor.specifier for name, (floor,) in (CORE | EXTRAS["notebooks"]).items()}
    assert listed == wanted
    assert [line for line in CONDA if ">=" not in line] == ["python=3.12", "pip", {"pip": ["-e ."]}]
    assert Version("3.12") in Requirement("python" + PROJECT["project"]["requires-python"]).specifier


def test_conda_environment_is_run_by_binder():
    script = (ROOT / "postBuild").read_text(encoding="utf-8")
    assert script.startswith("#!/bin/sh\n")
    assert (ROOT / "tools" / "lab.py").exists()
    assert "tools/lab.py --prepare" in script


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_binder_sweeps_in_one_process():
    command = [ROOT / "start", "sh", "-c", "echo $LABKIT_JOBS $0", "ready"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "1 ready\n"


def test_colab_has_all_that_labkit_needs_and_not_less_than_the_floors():
    assert CORE.keys() <= COLAB.keys()
    for listed in (CORE, *EXTRAS.values()):
        for name, (floor,) in listed.items():
            for pinned in COLAB.get(name, []):
                assert version(pinned) in floor.specifier, f"Colab's {pinned} is below {floor}"


def test_every_make_test_of_the_workflow_is_the_readme_s():
    """Windows has no make there: its command must be the one behind `make test`."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))["jobs"]
    pythons = {entry["python"] for entry in jobs["lock"]["strategy"]["matrix"]["include"]}
    assert {"3.11", "3.12", "3.13"} <= pythons
    recipe = re.search(r"^test:.*\n\t@\$\(RUN\) (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = [step.get("run", "").replace("\\", "/") for step in jobs["windows"]["steps"]]
    assert f".venv/Scripts/python {recipe.group(1)}" in commands


# ---- The set-up


@pytest.fixture
def setup(tmp_path):
    """tools/setup.py as a module whose project is an empty folder with this project's lock and pyproject.toml."""
    spec = importlib.util.spec_from_file_location("setup_under_test", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT, module.VENV = tmp_path, tmp_path / ".venv"
    module.LOCK, module.PROJECT = tmp_path / "requirements.txt", tmp_path / "pyproject.toml"
    shutil.copy(ROOT / "requirements.txt", module.LOCK)
    shutil.copy(ROOT / "pyproject.toml", module.PROJECT)
    return module


def make_environment(setup, *installed):
    """Files that look like a finished virtual environment with these packages."""
    setup.python_of(setup.VENV).parent.mkdir(parents=True, exist_ok=True)
    setup.python_of(setup.VENV).touch()
    (setup.VENV / "pyvenv.cfg").write_text("version = 3.11.7\n")
    folder = setup.VENV / ("Lib/site-packages" if os.name == "nt" else "lib/python3.11/site-packages")
    for name in installed:
        (folder / f"{name}-1.0.dist-info").mkdir(parents=True)
        (folder / f"{name}-1.0.dist-info" / "RECORD").touch()
    return folder


@pytest.fixture
def calls(setup, monkeypatch):
    """The commands that a set-up runs, here without running them; `calls.fails(words, messages)` makes some fail."""

    class Calls(list):
        failing = ()

        def fails(self, words, messages="ERROR: No matching distribution found"):
            self.failing = (*self.failing, (words, messages))

        def run(self, command, title=None, otherwise="failed"):
            self.append(" ".join(str(part) for part in command))
            for words, messages in self.failing:
                if words in self[-1]:
                    return 1, "", messages
            if "venv" in command:
                make_environment(setup)
            return 0, "2.13.0 False", ""

        def pip(self):
            return [call.split(" --no-compile --no-input ")[1] for call in self if " --no-input " in call]

    calls = Calls()
    monkeypatch.setattr(setup, "run", calls.run)
    return calls


def pinned():
    return str(version(LOCKED["torch"][0]))


def test_set_up_can_be_read_by_old_pythons():
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_python_that_is_too_old_gets_one_sentence(setup):
    assert setup.too_old((3, 11, 0), "python3") is None
    assert setup.too_old((3, 14, 0), "python3") is None
    sentence = setup.too_old((3, 10, 13, "final", 0), "/usr/bin/python3")
    assert "Python 3.11 or newer is needed, and /usr/bin/python3 is Python 3.10.13" in sentence
    assert "PYTHON=python3.12" in sentence
    assert "\n" not in sentence
    assert PROJECT["project"]["requires-python"] == ">=" + ".".join(map(str, setup.OLDEST))


@pytest.mark.parametrize("name", ["python3.6", "python3.7", "python3.8", "python3.9", "python3.10"])
def test_real_python_that_is_too_old(name, tmp_path):
    python = shutil.which(name)
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode:
        pytest.skip(f"{name} is not installed")
    (tmp_path / "tools").mkdir()
    copy = shutil.copy(SCRIPT, tmp_path / "tools")
    done = subprocess.run([python, copy], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Python 3.11 or newer is needed")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("wanted", "system", "installed", "has_gpu", "choice"),
    [
        ("auto", "Linux", None, False, "cpu"),
        ("auto", "Linux", None, True, "cuda"),
        ("auto", "Linux", "cpu", True, "cpu"),  # a choice is kept
        ("auto", "Linux", "https://x/cu130", False, "https://x/cu130"),
        ("auto", "Windows", None, True, "cpu"),
        ("auto", "Darwin", None, True, "cpu"),
        ("cpu", "Linux", "cuda", True, "cpu"),
        ("cuda", "Linux", "cpu", False, "cuda"),
        ("https://x/cu130", "Windows", "cpu", True, "https://x/cu130"),
    ],
)
def test_choice_of_pytorch(setup, wanted, system, installed, has_gpu, choice):
    assert setup.choose(wanted, system, installed, gpu=lambda: has_gpu) == choice


def test_gpu_is_seen_when_nvidia_smi_lists_one(setup, monkeypatch):
    for answer, seen in (
        ((0, "GPU 0: NVIDIA H200 (UUID: GPU-1)", ""), True),
        ((0, "No devices found.", ""), False),
        ((9, "NVIDIA-SMI has failed: no GPU driver", ""), False),
        ((127, "", "No such file or directory"), False),
    ):
        monkeypatch.setattr(setup, "run", lambda command, answer=answer: answer)
        assert setup.gpu() is seen


@pytest.mark.parametrize(
    ("wanted", "system", "said"),
    [
        ("cuda", "Darwin", "no CUDA build for macOS"),
        ("cuda", "Windows", "https://pytorch.org/get-started/locally/"),
        ("gpu", "Linux", "TORCH=gpu is unknown: give auto, cpu, cuda"),
    ],
)
def test_choice_of_pytorch_that_cannot_be(setup, wanted, system, said):
    with pytest.raises(setup.Problem, match=re.escape(said)):
        setup.choose(wanted, system, None)


def test_commands_for_each_build_of_pytorch(setup):
    def commands(choice, system):
        return [" ".join(map(str, arguments)) for _, arguments in setup.ways_to_install_torch(choice, system, "2.13.0")]

    plain = f"--constraint {setup.LOCK} torch===2.13.0"
    cpu = "--no-deps --retries 1 torch==2.13.0+cpu"
    index = "--timeout 15 --index-url https://download.pytorch.org/whl/cpu"
    assert commands("cpu", "Linux") == [cpu, f"{index} {cpu}", plain]
    assert commands("cuda", "Linux") == commands("cpu", "Darwin") == commands("cpu", "Windows") == [plain]
    assert commands("https://x/cu130", "Windows") == ["--index-url https://x/cu130 torch==2.13.0"]


def test_first_set_up_runs_these_commands_and_the_second_none(setup, calls, monkeypatch, capsys):
    monkeypatch.setattr(setup.platform, "system", lambda: "Linux")
    monkeypatch.setattr(setup, "usable", lambda folder: setup.python_of(folder).exists())
    setup.set_up("cpu")
    assert "-m venv" in calls[0]
    assert calls.pip() == [
        f"--no-deps --retries 1 torch=={pinned()}+cpu",
        f"--requirement {setup.LOCK}",
        "--no-deps --no-build-isolation --editable .",
    ]
    assert "-m compileall" in calls[-2]
    assert "import matplotlib.font_manager, torch" in calls[-1]
    assert "Ready" in capsys.readouterr().out
    calls.clear()
    setup.set_up("cpu")
    setup.set_up("auto")
    assert calls == []
    assert capsys.readouterr().out == ""


@pytest.fixture
def finished(setup, calls, monkeypatch):
    """A set-up that has been done, with the CPU build."""
    monkeypatch.setattr(setup.platform, "system", lambda: "Linux")
    make_environment(setup, "torch", "numpy")
    setup.remember("cpu", setup.stamp("cpu"))
    assert setup.is_done("cpu")
    return setup


@pytest.mark.parametrize("file", ["requirements.txt", "pyproject.toml", ".venv/pyvenv.cfg"])
def test_what_changed_is_installed_again(finished, calls, file):
    with open(finished.ROOT / file, "a") as changed:
        changed.write("\n# changed\n")
    finished.set_up("auto")
    assert len(calls.pip()) == 3
    assert not any("uninstall" in call or "-m venv" in call for call in calls)
    calls.clear()
    finished.set_up("auto")
    assert calls == []


def test_environment_is_made_anew_when_its_python_or_its_place_is_gone(finished, calls):
    note = finished.VENV / "setup.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"root": "/elsewhere", "stamp": "of elsewhere"}))
    finished.set_up("cpu")
    assert any("-m venv" in call for call in calls)
    finished.ROOT = finished.ROOT / "moved"
    assert not finished.is_done("cpu")
    finished.ROOT = finished.ROOT.parent
    assert finished.is_done("cpu")
    python = finished.python_of(finished.VENV)
    if os.name != "nt":
        python.unlink()
        python.symlink_to(sys.executable)
        assert not finished.is_done("cpu"), "another Python"
    python.unlink()
    assert not finished.is_done("cpu")


def test_another_build_of_pytorch_replaces_the_one_before(finished, calls):
    make_environment(finished, "nvidia_cublas", "cuda_bindings", "triton")
    finished.set_up("cuda")
    (removed,) = [call for call in calls if "uninstall" in call]
    assert removed.endswith("uninstall --yes torch cuda_bindings nvidia_cublas triton")
    assert calls.pip()[0].endswith(f"torch==={pinned()}")
    assert finished.is_done("cuda")
    assert not finished.is_done("cpu")


def test_cpu_build_that_no_index_offers_falls_back_with_a_sentence(finished, calls, capsys):
    finished.LOCK.write_text(LOCK + "\n")
    calls.fails("+cpu")
    finished.set_up("cpu")
    assert [call.split()[-1] for call in calls.pip()[:3]] == [f"torch=={pinned()}+cpu"] * 2 + [f"torch==={pinned()}"]
    assert "brings several GB of CUDA packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("Retrying after connection broken by ...\nNo matching distribution found", "check network and proxy"),
        ("ERROR: No matching distribution found for torch", "use Python 3.11 to 3.13"),
        ("ERROR: something else", "for the reason given above"),
    ],
)
def test_failure_is_shown_in_full_explained_and_not_taken_for_done(finished, calls, capsys, messages, said):
    finished.LOCK.write_text(LOCK + "\n")
    calls.fails("install", messages)
    with pytest.raises(finished.Problem, match=said) as caught:
        finished.set_up("cpu")
    assert "\n" not in str(caught.value)
    assert messages in capsys.readouterr().err
    assert not finished.is_done("cpu")


def test_set_up_that_failed_early_is_not_taken_for_done_later(finished, calls):
    finished.LOCK.write_text(LOCK + "\n")
    calls.fails("torch==")
    with pytest.raises(finished.Problem):
        finished.set_up("cpu")
    finished.LOCK.write_text(LOCK)  # as it was when all was done; but who knows what pip left
    assert not finished.is_done("cpu")


def test_pytorch_that_does_not_start_is_a_failure(finished, calls, capsys):
    finished.LOCK.write_text(LOCK + "\n")
    calls.fails("import matplotlib", "OSError: Error loading c10.dll")
    with pytest.raises(finished.Problem):
        finished.set_up("cpu")
    assert "c10.dll" in capsys.readouterr().err
    assert not finished.is_done("cpu")


def test_full_disk_does_not_lead_to_the_cuda_build(finished, calls):
    finished.LOCK.write_text(LOCK + "\n")
    calls.fails("+cpu", "No space left on device")
    with pytest.raises(finished.Problem, match="full"):
        finished.set_up("cpu")
    assert len(calls.pip()) == 1


def test_interrupted_set_up_goes_on(finished, calls, monkeypatch):
    finished.LOCK.write_text(LOCK + "\n")
    packages = make_environment(finished, "whole")
    (packages / "half-1.0.dist-info").mkdir()
    (packages / "half-1.0.dist-info" / "METADATA").touch()
    (packages / "~orch").mkdir()

    def interrupted(command, title=None, otherwise="failed"):
        if "--requirement" in command:
            raise KeyboardInterrupt
        return calls.run(command)

    monkeypatch.setattr(finished, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finished.set_up("cuda")
    assert sorted(entry.name for entry in packages.iterdir()) == [
        f"{name}-1.0.dist-info" for name in ("numpy", "torch", "whole")
    ]
    finished.LOCK.write_text(LOCK)  # as it was when all was done
    assert not finished.is_done("cpu")
    calls.clear()
    monkeypatch.setattr(finished, "run", calls.run)
    finished.set_up("auto")
    assert not any("uninstall" in call for call in calls), "the new build is already there"
    assert finished.is_done("cuda")


def test_second_set_up_waits_for_the_first(setup):
    waiting = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import setup
setup.VENV = setup.Path({str(setup.VENV)!r})
with setup.alone():
    print("in", flush=True)
"""
    with setup.alone():
        other = subprocess.Popen([sys.executable, "-c", waiting], stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline().startswith("Another set-up is at work here")
        time.sleep(0.2)
        assert other.poll() is None
    assert other.communicate(timeout=20)[0] == "in\n"


def test_set_up_that_waited_does_not_repeat_what_the_other_did(finished, calls, monkeypatch):
    done = finished.stamp("cpu")
    finished.remember("cpu")

    @contextlib.contextmanager
    def after_the_other():
        finished.remember("cpu", done)
        yield

    monkeypatch.setattr(finished, "alone", after_the_other)
    finished.set_up("cpu")
    assert calls == []


def test_commands_do_not_inherit_what_leads_pip_astray(setup, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PIP_TARGET", "elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    program = (
        "import os, sys; print(os.environ.get('PYTHONPATH'), os.environ.get('PIP_TARGET'), os.environ['PIP_USER'])"
    )
    assert setup.run([sys.executable, "-c", program]) == (0, "None None 0", "")
    status, output, messages = setup.run([sys.executable, "-c", "import sys; print('é'); sys.exit('what is wrong')"])
    assert (status, output, messages.strip()) == (1, "é", "what is wrong")
    assert setup.run(["no-such-program"])[0] == 127


def test_ways_to_make_an_environment_in_order(setup, calls, monkeypatch, capsys):
    monkeypatch.setattr(setup, "usable", lambda folder: False)
    calls.fails("venv", "no way")
    calls.fails("virtualenv", "no way")
    setup.VENV.mkdir()
    (setup.VENV / "setup.lock").touch()
    with pytest.raises(setup.Problem, match="python3-venv"):
        setup.create("python3", setup.VENV)
    assert [call.replace(str(setup.VENV), ".venv") for call in calls] == [
        "python3 -m venv .venv",
        "python3 -m venv --without-pip .venv",
        "uv venv --quiet --seed --allow-existing --python python3 .venv",
        "python3 -m virtualenv .venv",
        "python3 -m venv --without-pip .venv",
    ]
    assert [entry.name for entry in setup.VENV.iterdir()] == ["setup.lock"]
    assert "no way" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for the Python without ensurepip")
def test_environment_is_made_without_ensurepip(setup, monkeypatch, tmp_path):
    """As on Debian without python3-venv: `-m venv` fails half-way, and the running Python's pip installs pip."""
    import ensurepip

    wheels = Path(ensurepip.__file__).parent / "_bundled"
    if not list(wheels.glob("pip-*.whl")) or importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no wheel of pip to install from, or no pip")
    monkeypatch.setenv("PIP_NO_COMPILE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    python = tmp_path / "python-without-ensurepip"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in\n*without-pip*) ;;\n*"-m venv"*) "{sys.executable}" "$1" "$2" --without-pip "$3"\n'
        f'echo "ensurepip is not available" >&2; exit 1 ;;\nesac\nexec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    setup.VENV.mkdir()
    setup.create(python, setup.VENV)
    assert setup.usable(setup.VENV)
    assert setup.installed_in(setup.VENV, "pip-*.dist-info")
