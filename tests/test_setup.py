"""What is installed agrees everywhere, and the set-up does what it says, on machines that are not this one, too."""

import ast
import contextlib
import errno
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

import lock
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
NOT_LOCKED = {"instructor", "book"}  # no learner needs them


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


def test_lock_is_made_without_the_settings_of_its_maker(monkeypatch):
    """But for those on where packages come from."""
    seen = {}

    def run(command, env, **how):
        seen.update(env)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(lock.subprocess, "run", run)
    for name in (*lock.STEERING, "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "elsewhere")
    lock.compile_lock("uv", "settings", "pyproject.toml")
    assert [name for name in seen if name.startswith("UV_")] == ["UV_DEFAULT_INDEX"]


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


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_checkout_of_git_for_windows_has_the_same_bytes(tmp_path):
    """It runs in WSL and Docker, where a script that ends its lines as Windows does would not."""
    names = [
        "start",
        "postBuild",
        ".ci/run",
        "Makefile",
        "requirements.txt",
        "data/results/readme.png",
        ".gitattributes",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)

    def git(*arguments):
        subprocess.run(["git", "-c", "core.autocrlf=true", *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("add", ".")
    for name in names:
        (tmp_path / name).unlink()
    git("checkout-index", "--all")
    for name in names:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), name
        assert name.endswith(".png") or b"\r" not in (tmp_path / name).read_bytes(), name


# ---- Make


@pytest.fixture
def make(tmp_path):
    """`make(target, ...)` with the real Makefile, and tools that only print how they were called."""
    if os.name == "nt" or shutil.which("make") is None:
        pytest.skip("no make")
    project = tmp_path / "a project"
    (project / "tools").mkdir(parents=True)
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to(sys.executable)
    shutil.copy(ROOT / "Makefile", project)
    for tool in ("setup", "run"):
        (project / "tools" / f"{tool}.py").write_text(
            "import os, sys\n"
            f"print({tool!r}, *sys.argv[1:], os.environ.get('TORCH', ''))\n"
            "print(*sorted(name for name in os.environ if name.startswith('PYTHON')))\n"
        )

    def make(*arguments, **variables):
        ours = ("PYTHON", "TORCH", "MAKE", "MFLAGS")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {"HOME": str(tmp_path), **variables}
        return subprocess.run(["make", *arguments], cwd=project, env=environment, capture_output=True, text=True)

    return make


def test_make_without_python_keeps_the_one_of_the_environment(make):
    assert make("setup").stdout.splitlines()[0] == "setup --keep auto"
    chosen = f"PYTHON={sys.executable}"
    assert make("setup", chosen).stdout.splitlines()[0] == "setup auto"
    assert make("setup", PYTHON=sys.executable, TORCH="cpu").stdout.splitlines()[0] == "setup cpu"
    assert make("run", chosen, "NOTEBOOK=00").stdout.splitlines()[2] == "run 00 "


@pytest.mark.parametrize("python", ["my (old) pythons/python3", 'it\'s "one"; #/python3', "env python3"])
@pytest.mark.parametrize("home", [False, True])
def test_make_takes_python_by_any_path_and_in_words(make, tmp_path, python, home):
    if python.startswith("env"):
        python = f"env {sys.executable}"
    else:
        (tmp_path / python).parent.mkdir()
        (tmp_path / python).symlink_to(sys.executable)
        python = f"~/{python}" if home else tmp_path / python
    done = make("setup", f"PYTHON={python}")
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "setup auto"


def test_what_leads_python_astray_reaches_nothing_that_make_runs(setup, make):
    recipes = (ROOT / "Makefile").read_text(encoding="utf-8")
    unexported = re.findall(r"^unexport (.*)$", recipes, re.MULTILINE)
    assert " ".join(unexported).split() == list(setup.STRAY)
    stray = {name: str(ROOT / "elsewhere") for name in setup.STRAY}
    done = make("run", PYTHONUTF8="1", **stray)
    assert done.stderr == ""
    assert done.stdout.splitlines()[1::2] == ["PYTHONUTF8"] * 2
    assert make("run", "PYTHONPATH=elsewhere").stdout.splitlines()[1::2] == [""] * 2


def test_make_leaves_pip_to_the_set_up():
    """Which knows its settings that lead astray."""
    assert "-m pip" not in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-m pip" not in (ROOT / "README.md").read_text(encoding="utf-8")


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

        def fails(self, words, messages="ERROR: No matching distribution found", output=""):
            self.failing = (*self.failing, (words, messages, output))

        def run(self, command, title=None, otherwise="failed", settings=None):
            if command[-2:] == ["config", "list"]:
                return 0, "", ""
            self.append(" ".join(str(part) for part in command))
            for words, messages, output in self.failing:
                if words in self[-1]:
                    return 1, output, messages
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
    monkeypatch.setattr(setup, "usable", lambda folder, version=None: setup.python_of(folder).exists())
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


def test_environment_that_is_half_gone_is_made_anew(finished, calls):
    (finished.VENV / "pyvenv.cfg").unlink()  # a set-up was interrupted while it made .venv anew
    assert not finished.is_done("cpu")
    calls.fails("import os, pip, sys")
    with pytest.raises(finished.Problem):
        finished.set_up("cpu")
    assert any("-m venv" in call for call in calls)


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


def test_what_pip_says_on_its_standard_output_is_shown_too(finished, calls, capsys):
    finished.LOCK.write_text(LOCK + "\n")
    conflict = "The conflict is caused by:\n    The user requested (constraint) matplotlib==1.0"
    calls.fails("--requirement", "ERROR: ResolutionImpossible", "Collecting numpy\n" * 100 + conflict)
    with pytest.raises(finished.Problem, match="for the reason given above"):
        finished.set_up("cpu")
    said = capsys.readouterr().err
    assert f"{conflict}\nERROR: ResolutionImpossible" in said
    assert len(said.splitlines()) < 25


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

    def interrupted(command, title=None, otherwise="failed", settings=None):
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


def test_commands_do_not_inherit_what_leads_python_astray(setup, monkeypatch):
    for name in setup.STRAY:
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-16")
    program = f"import os; print([name for name in {setup.STRAY} if name in os.environ])"
    assert setup.run([sys.executable, "-c", program]) == (0, "[]", "")
    status, output, messages = setup.run([sys.executable, "-c", "import sys; print('é'); sys.exit('what is wrong')"])
    assert (status, output, messages.strip()) == (1, "é", "what is wrong")
    assert setup.run(["no-such-program"])[0] == 127


GOOD = {  # where packages come from, and how they get here
    "index-url": "https://index/simple",
    "extra-index-url": "https://one/simple https://two/simple",
    "find-links": "/wheels /more wheels",
    "no-index": "true",
    "proxy": "http://user:100%25@proxy:80",
    "cert": "/bundle.pem",
    "trusted-host": "index",
    "cache-dir": "/cache",
    "timeout": "7",
    "retries": "2",
    "keyring-provider": "subprocess",
}
BAD = {  # where they go, and which are taken
    "python": "/elsewhere/python",
    "target": "/elsewhere",
    "prefix": "/elsewhere",
    "root": "/elsewhere",
    "user": "true",
    "constraint": "/constraint.txt",
    "build-constraint": "/constraint.txt",
    "requirement": "/requirements.txt",
    "only-binary": "labkit",
    "no-binary": ":all:",
    "no-deps": "true",
    "pre": "true",
    "dry-run": "true",
    "report": "/elsewhere/report.json",
    "require-virtualenv": "true",
    "require-hashes": "true",
    "break-system-packages": "true",
    "quiet": "3",
    "global": "true",
}


@pytest.fixture
def settings_of_pip(setup, monkeypatch, tmp_path):
    """`settings_of_pip(**variables)`: the settings that pip has when the set-up runs it, {"SECTION.NAME": value}."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "APPDATA", "PROGRAMDATA", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(setup, "python_of", lambda folder: Path(sys.executable))

    def settings_of_pip(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        status, output, messages = setup.run_pip([sys.executable, "-m", "pip"], ["config", "list"])
        assert status == 0, messages
        settings = dict(line.split("=", 1) for line in output.splitlines())
        del settings[":env:.config-file"], settings[":env:.disable-pip-version-check"]
        return {name: ast.literal_eval(value) for name, value in settings.items()}

    return settings_of_pip


def test_settings_of_pip_in_variables(settings_of_pip):
    variables = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in (GOOD | BAD).items()}
    assert settings_of_pip(**variables) == {f":env:.{name}": value for name, value in GOOD.items()}


@pytest.mark.parametrize("section", ["global", "install"])
def test_settings_of_pip_in_a_file(settings_of_pip, tmp_path, section):
    file = tmp_path / "settings"
    file.write_text(f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in (GOOD | BAD).items()))
    assert settings_of_pip(PIP_CONFIG_FILE=str(file)) == {f":env:.{name}": value for name, value in GOOD.items()}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the files lie elsewhere")
def test_settings_of_pip_in_several_files_and_variables_override_each_other(settings_of_pip, tmp_path):
    for place, text in {
        "XDG_CONFIG_DIRS/pip": "[global]\nindex-url = https://site\ntimeout = 1\nretries = 1\ntarget = /elsewhere\n",
        "HOME/.pip": "[install]\nretries = 2\nfind-links =\n    /a\n    /b\nuser = true\n",
        "XDG_CONFIG_HOME/pip": "[global]\ntimeout = 3\nproxy =\nconstraint = /constraint.txt\n",
    }.items():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "pip.conf").write_text(text)
    found = settings_of_pip(PIP_CERT="/bundle.pem", PIP_INDEX_URL="https://mine")
    cert = found.pop(":env:.cert")
    assert cert == "/bundle.pem"
    assert found.pop(":env:.find-links").split() == ["/a", "/b"]
    assert found == {":env:.index-url": "https://mine", ":env:.timeout": "3", ":env:.retries": "2", ":env:.proxy": ""}


def test_file_that_pip_cannot_read_is_named(setup, settings_of_pip, tmp_path, monkeypatch):
    file = tmp_path / "settings"
    file.write_text("[[[\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    status, _, messages = setup.run_pip([sys.executable, "-m", "pip"], ["install", "numpy"])
    assert status
    assert str(file) in messages


@pytest.mark.parametrize(
    ("version", "usable"), [(None, True), (sys.version_info, True), ((3, 6), False), ((3, 99), False)]
)
def test_environment_is_usable_where_its_python_is_its_own_and_of_the_version(setup, version, usable):
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip")
    assert setup.usable(sys.prefix, version) is usable
    elsewhere = setup.python_of(setup.VENV)
    elsewhere.parent.mkdir(parents=True)
    if os.name != "nt":
        elsewhere.symlink_to(sys.executable)
        assert not setup.usable(setup.VENV, version), "pip would install into another Python"


def test_chosen_python_of_another_version_makes_the_environment_anew(finished, calls, capsys, monkeypatch):
    has = [(3, 11)]
    monkeypatch.setattr(finished, "usable", lambda folder, version=None: version in (None, *has))
    create = finished.create

    def create_and_have(python, folder):
        has[:] = [(3, 12), sys.version_info]
        create(python, folder)

    monkeypatch.setattr(finished, "create", create_and_have)
    finished.set_up("auto", (3, 11))
    finished.set_up("auto")
    assert calls == []
    finished.set_up("auto", (3, 12))
    assert ".venv has another version of Python" in capsys.readouterr().out
    assert "-m venv" in calls[0]
    assert finished.is_done("cpu"), "the build of PyTorch stays the chosen one"
    calls.clear()
    finished.set_up("auto", (3, 12))
    finished.set_up("auto")
    assert calls == []


@pytest.mark.parametrize(
    ("arguments", "version"), [([], sys.version_info), (["--keep"], None), (["TORCH=cpu", "--keep"], None)]
)
def test_set_up_is_for_the_python_that_runs_it(setup, monkeypatch, arguments, version):
    asked = []
    monkeypatch.setattr(setup, "set_up", lambda *given: asked.append(given))
    monkeypatch.setattr(sys, "argv", ["setup.py", *arguments])
    monkeypatch.delenv("TORCH", raising=False)
    setup.main()
    assert asked == [("cpu" if "TORCH=cpu" in arguments else "auto", version)]


def test_what_is_installed_besides_fits_the_lock(finished, calls, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["setup.py", "--keep", "--also", ".[instructor]"])
    finished.main()
    assert calls.pip() == [f"--constraint {finished.LOCK} --editable .[instructor]"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("course 10:30", "No virtual environment works below a folder with"),
        ("file", "is no folder: move it away"),
        ("dangling", "is no folder: move it away"),
        ("other system", "is another operating system's: delete it"),
    ],
)
def test_place_where_no_environment_can_be(setup, calls, place, said):
    if place.startswith("course"):
        setup.ROOT = setup.ROOT / place.replace(":", os.pathsep)
    elif place == "file":
        setup.VENV.touch()
    elif place == "dangling":
        setup.VENV.symlink_to(setup.ROOT / "nowhere")
    else:
        other = setup.VENV / ("bin/python" if os.name == "nt" else "Scripts/python.exe")
        other.parent.mkdir(parents=True)
        other.touch()
    with pytest.raises(setup.Problem, match=said) as caught:
        setup.set_up("cpu")
    assert "\n" not in str(caught.value)
    assert calls == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_folder_that_cannot_be_written(setup, monkeypatch, number):
    def refused(*arguments):
        raise OSError(number, os.strerror(number), ".venv")

    monkeypatch.setattr(sys, "argv", ["setup.py", "TORCH=cpu"])
    monkeypatch.setattr(setup, "set_up", refused)
    with pytest.raises(SystemExit, match="use a copy of the project in a folder where you may write"):
        setup.main()


def test_disk_without_links_is_named(setup, calls):
    setup.VENV.mkdir()
    calls.fails("venv", "PermissionError: [Errno 1] Operation not permitted: 'lib' -> '/share/.venv/lib64'")
    with pytest.raises(setup.Problem, match="knows no symbolic links"):
        setup.create("python3", setup.VENV)


def test_ways_to_make_an_environment_in_order(setup, calls, monkeypatch, capsys):
    monkeypatch.setattr(setup, "usable", lambda folder, version=None: False)
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
        "python3 -m virtualenv --python python3 .venv",
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
