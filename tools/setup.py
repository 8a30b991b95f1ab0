"""Install what the curriculum needs into .venv, once; when nothing has changed since, be done at once.

    python3 tools/setup.py [TORCH=auto|cpu|cuda|<address of a package index>]      (every target of make calls it)

TORCH chooses the build of PyTorch and may be an environment variable instead. `auto` keeps the build that is installed;
where there is none, it takes CUDA on a Linux machine with an NVIDIA GPU and the CPU build everywhere else.

The Python that runs this is the one that .venv is for: where .venv has another version, it is made anew. With --keep
.venv keeps its version; so says make, unless it is given PYTHON=.

Standard library only, in words that Python 3.6 can read, so that an old Python gets as far as saying that it is old.
"""

import argparse
import ast
import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(os.path.realpath(__file__)).parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.txt"
PROJECT = ROOT / "pyproject.toml"
OLDEST = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
INSTALL = ["install", "--no-compile", "--no-input"]  # compiling comes last, and on all cores
FETCH_PIP = """
import socket, sys, urllib.request
socket.setdefaulttimeout(30)
urllib.request.urlretrieve("https://bootstrap.pypa.io/pip/pip.pyz", sys.argv[1])
"""
# Variables with which Python would find other modules, run other code than is written, or print and end otherwise.
# No command of the set-up sees them, and nothing that make runs afterwards: the Makefile has the same list.
STRAY = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONPLATLIBDIR",
    "PYTHONEXECUTABLE",
    "PYTHONSAFEPATH",
    "PYTHONCASEOK",
    "PYTHONOPTIMIZE",
    "PYTHONINSPECT",
    "PYTHONWARNINGS",
    "PYTHONDEVMODE",
    "PYTHONDEBUG",
    "PYTHONVERBOSE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHON_GIL",
)
# The settings of pip that it keeps: those on where packages come from and how they get here.
SOURCES = (
    "PIP_INDEX_URL",
    "PIP_PYPI_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_FIND_LINKS",
    "PIP_TRUSTED_HOST",
    "PIP_PROXY",
    "PIP_NO_PROXY_ENV",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_KEYRING_PROVIDER",
    "PIP_TIMEOUT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "PIP_RESUME_RETRIES",
    "PIP_CACHE_DIR",
    "PIP_NO_CACHE_DIR",
    "PIP_USE_FEATURE",  # truststore
    "PIP_USE_DEPRECATED",  # legacy-certs
)
NO_SETTINGS = {"PIP_CONFIG_FILE": os.devnull}  # with this pip reads no configuration file
# Proves that the installation works, and lets matplotlib list the fonts now and not in a learner's notebook.
TRY_OUT = "import matplotlib.font_manager, torch; print(torch.__version__, torch.cuda.is_available())"


class Problem(Exception):
    """What stands in the way and what to do about it, in one sentence."""


def too_old(version, executable):
    """The sentence for a Python that is too old, else None."""
    if tuple(version[:2]) >= OLDEST:
        return None
    needed, found = ".".join(map(str, OLDEST)), ".".join(map(str, version[:3]))
    return (
        f"Python {needed} or newer is needed, and {executable} is Python {found}: install one "
        "(https://www.python.org/downloads/) and name it, as in `make run PYTHON=python3.12` or, without make, "
        "`python3.12 tools/setup.py`."
    )


# ---- Running commands


def environment(settings):
    """The environment for commands: without what leads Python astray, and with no other settings of pip than these."""
    kept = {name: value for name, value in os.environ.items() if name not in STRAY and not name.startswith("PIP_")}
    kept.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
    kept.update(settings)
    return kept


def run(command, title=None, otherwise="failed", settings=NO_SETTINGS):
    """Run a command while one line says what happens and for how long; returns (exit status, output, messages)."""
    begin, lines, live = time.monotonic(), [], sys.stdout.isatty()
    if title and not live:
        print(title, end=" ... ", flush=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=str(ROOT),
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=messages,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:  # there is no such program
            return 127, "", str(error)
        reader = threading.Thread(target=lambda: lines.extend(line.strip() for line in process.stdout))
        reader.start()
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.5)
                if title and live:
                    progress = f"{title} ... {time.monotonic() - begin:.0f} s  {''.join(lines[-1:])}"
                    print("\r\033[K" + progress[: shutil.get_terminal_size().columns - 1], end="", flush=True)
        except BaseException:  # Ctrl-C above all: leave nothing running
            process.terminate()
            process.wait()
            raise
        reader.join()
        if title:
            start = f"\r\033[K{title} ... " if live else ""
            print(start + (otherwise if process.returncode else f"{time.monotonic() - begin:.0f} s"), flush=True)
        messages.seek(0)
        return process.returncode, "\n".join(lines), messages.read()


def run_pip(pip, arguments, title=None, otherwise="failed"):
    """Run pip with the settings in SOURCES that it finds in variables and configuration files, and with no others.

    The others (target, python, constraint, dry-run, ...) would lead it out of .venv or away from the lock. Each pip
    brings new ones, and a variable can't take back what a file says. So pip is asked for all settings first. When it
    works it reads no file: what is in SOURCES is handed on to it as variables.
    """
    given = {name: os.environ[name] for name in (*SOURCES, "PIP_CONFIG_FILE") if name in os.environ}
    given.update(PIP_QUIET="0", PIP_USER="0", PIP_GLOBAL="0", PIP_SITE="0")  # else a file's could cut the list
    status, output, messages = run([*pip, "--python", python_of(VENV), "config", "list"], settings=given)
    if status:  # a file that pip cannot read
        return status, output, messages
    settings = dict(NO_SETTINGS)
    for section in ("global", "install", ":env:"):  # each overrides those before it
        for key, value in re.findall(rf"^{section}\.([\w-]+)=(.+)$", output, re.MULTILINE):
            name = "PIP_" + key.upper().replace("-", "_")
            if name in SOURCES:
                settings[name] = ast.literal_eval(value)
    return run([*pip, *arguments], title, otherwise, settings)


def failed(what, output, messages):
    """The problem when an installation fails; what the command said about it is printed first."""
    # pip explains conflicts on its standard output, after a line for each package that it looked at.
    print(*output.splitlines()[-20:], messages.strip(), sep="\n", file=sys.stderr)
    if "No space left" in messages:
        return Problem("The disk is full: make room (2 GB; for CUDA 10 GB), then run this again.")
    if re.search(r"connection broken|ConnectionError|Read timed out|ProxyError|SSLError", messages):
        return Problem(f"No package index was reached for {what}: check network and proxy, then run this again.")
    if "No matching distribution" in messages:
        here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        return Problem(
            f"pip finds no {what} for {here}: use Python 3.11 to 3.13 on Linux, on Windows, or on macOS 14 or newer "
            "with Apple silicon, and an index that has it (`python -m pip config list` shows pip's)."
        )
    return Problem(f"{what} could not be installed, for the reason given above: mend that, then run this again.")


# ---- The environment


def python_of(folder):
    """The Python of a virtual environment."""
    return Path(folder) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def installed_in(folder, pattern):
    """What is installed in a virtual environment: the entries of its site-packages that match."""
    packages = "Lib/site-packages" if os.name == "nt" else "lib/python3*/site-packages"
    return sorted(Path(folder).glob(f"{packages}/{pattern}"))


def ways_to_create(python, folder):
    """Ways to make a virtual environment with pip in it, to be tried in turn, each a list of commands.

    The others are for a Python without ensurepip, such as Debian's and Ubuntu's while python3-venv is not installed.
    """
    inside, zipapp = python_of(folder), Path(folder) / "pip.pyz"
    bare = [python, "-m", "venv", "--without-pip", folder]
    return [
        [[python, "-m", "venv", folder]],
        [bare, [python, "-m", "pip", "--python", inside, "install", "pip"]],
        [["uv", "venv", "--quiet", "--seed", "--allow-existing", "--python", python, folder]],
        [[python, "-m", "virtualenv", "--python", python, folder]],
        [bare, [inside, "-c", FETCH_PIP, zipapp], [inside, zipapp, "install", "pip"]],
    ]


def usable(folder, version=None):
    """Whether a virtual environment's Python starts, belongs to it, is new enough (or has this version) and has pip.

    Not so when the Python that it was made from is upgraded or removed, or when its making was interrupted.
    """
    right = f"sys.version_info >= {OLDEST}" if version is None else f"sys.version_info[:2] == {tuple(version[:2])}"
    program = f"import os, pip, sys; sys.exit(not (os.path.samefile(sys.prefix, sys.argv[1]) and {right}))"
    status, _, _ = run([python_of(folder), "-c", program, folder])
    return status == 0


def create(python, folder):
    """Make a virtual environment by the first way that works."""
    said = []
    for way in ways_to_create(python, folder):
        clear(folder)
        for command in way:
            is_pip = command[-2:] == ["install", "pip"]
            status, output, messages = run_pip(command[:-2], command[-2:]) if is_pip else run(command)
            if status:
                said.append(f"{output}\n{messages}".strip())
                break  # to the next way
        if usable(folder, sys.version_info):
            return
    print(*said[:1], *(text.splitlines()[-1] for text in said[1:] if text), sep="\n", file=sys.stderr)
    if any("lib64" in text for text in said):  # the one link that `-m venv` cannot do without
        raise Problem("This disk knows no symbolic links: move the project to a local disk, then run this again.")
    raise Problem(
        "This Python makes no virtual environment with pip, for the reasons given above: where ensurepip is missing, "
        "install the package python3-venv (Debian, Ubuntu: `sudo apt install python3-venv`), then run this again."
    )


def check_place():
    """Refuse a project folder in which no virtual environment can be."""
    others = VENV / ("bin/python" if os.name == "nt" else "Scripts/python.exe")
    if os.pathsep in str(ROOT):
        raise Problem(f"No virtual environment works below a folder with {os.pathsep!r} in its name: rename {ROOT}.")
    if os.path.lexists(str(VENV)) and not VENV.is_dir():
        raise Problem(f"{VENV} is no folder: move it away, then run this again.")
    if os.path.lexists(str(others)) and not os.path.lexists(str(python_of(VENV))):
        raise Problem(f"{VENV} is another operating system's: delete it, or use a second copy of the project here.")


def clear(folder):
    """Empty an environment's folder, but for the file that keeps a second set-up waiting."""
    for entry in Path(folder).iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        elif entry.name != "setup.lock":
            entry.unlink()


def mend(folder):
    """Remove what a killed pip left half done, so that it is installed anew.

    pip renames what it is about to replace to `~...`, and writes a package's RECORD last.
    """
    for entry in installed_in(folder, "~*"):
        shutil.rmtree(str(entry), ignore_errors=True)
    for entry in installed_in(folder, "*.dist-info"):
        if not (entry / "RECORD").exists():
            shutil.rmtree(str(entry))


# ---- PyTorch


def gpu():
    """Whether there is an NVIDIA GPU."""
    status, output, _ = run(["nvidia-smi", "-L"])
    return status == 0 and "GPU" in output


def choose(wanted, system, installed, gpu=gpu):
    """The build of PyTorch: "cpu", "cuda" or the address of an index. `installed` is the one that is there, or None."""
    if wanted == "auto":
        return installed or ("cuda" if system == "Linux" and gpu() else "cpu")
    if wanted == "cuda" and system == "Darwin":
        raise Problem("PyTorch has no CUDA build for macOS: use TORCH=cpu, which drives Apple's GPU, too.")
    if wanted == "cuda" and system != "Linux":
        raise Problem(
            "For Windows each version of CUDA has its own index of PyTorch builds: look the address up at "
            "https://pytorch.org/get-started/locally/ and give it, as in TORCH=https://download.pytorch.org/whl/cu130."
        )
    if wanted not in ("cpu", "cuda") and "://" not in wanted:
        raise Problem(f"TORCH={wanted} is unknown: give auto, cpu, cuda or the https:// address of a package index.")
    return wanted


def ways_to_install_torch(choice, system, version):
    """Ways to install a build of PyTorch, to be tried in turn: (title, arguments for `pip install`).

    `===` is exact: the build that has no "+cpu" or the like in its version.
    """
    torch = f"PyTorch {version}"
    plain = ["--constraint", LOCK, f"torch==={version}"]
    if choice == "cpu" and system == "Linux":
        cpu = ["--no-deps", "--retries", "1", f"torch=={version}+cpu"]
        patience = ["--timeout", "15", "--index-url", CPU_INDEX]
        return [
            (f"{torch}, CPU build, from pip's index", cpu),
            (f"{torch}, CPU build, from {CPU_INDEX}", patience + cpu),
            (f"{torch} with CUDA", plain),
        ]
    if choice == "cpu":
        return [(torch, plain)]
    if choice == "cuda":
        return [(f"{torch}, CUDA build (several GB)", plain)]
    return [(f"{torch}, from {choice}", ["--index-url", choice, f"torch=={version}"])]


def install_torch(python, choice, installed):
    """Install the build of PyTorch that was chosen, at the version of the lock; take another build out first."""
    if choice != installed and installed_in(VENV, "torch-*.dist-info"):
        names = [entry.name.split("-")[0] for entry in installed_in(VENV, "*.dist-info")]
        cuda = [name for name in names if name.startswith(("nvidia_", "cuda_")) or name == "triton"]
        run_pip([python, "-m", "pip"], ["uninstall", "--yes", "torch", *cuda], "Taking out the other build of PyTorch")
    version = re.search(r"^torch==([\w.]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE).group(1)
    ways = ways_to_install_torch(choice, platform.system(), version)
    for title, arguments in ways:
        if len(ways) > 1 and title == ways[-1][0]:
            print("No index with CPU builds was reached: PyPI's build will do, but brings several GB of CUDA packages.")
        status, output, messages = run_pip([python, "-m", "pip"], INSTALL + arguments, title, otherwise="not there")
        if status == 0:
            return
        if "No matching distribution" not in messages:
            break
    raise failed(f"PyTorch {version}", output, messages)


# ---- What is done, and doing it


def remembered():
    """What the last set-up noted: the build of PyTorch that is installed, and a stamp if all the rest is, too."""
    try:
        return json.loads((VENV / "setup.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def remember(torch, stamp=None):
    note = VENV / "setup.json.new"
    note.write_text(json.dumps({"root": str(ROOT), "torch": torch, "stamp": stamp}), encoding="utf-8")
    os.replace(str(note), str(VENV / "setup.json"))


def stamp(choice):
    """A hash of all that an installation depends on, found without starting Python or pip; None without a Python."""
    if not python_of(VENV).exists() or not (VENV / "pyvenv.cfg").exists():
        return None
    parts = [path.read_bytes() for path in (LOCK, PROJECT, VENV / "pyvenv.cfg")]
    parts += [choice.encode(), os.path.realpath(str(python_of(VENV))).encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_done(choice):
    return remembered().get("stamp") == stamp(choice) is not None


@contextlib.contextmanager
def alone():
    """Let one set-up work at a time: a second one waits."""
    VENV.mkdir(exist_ok=True)
    with open(str(VENV / "setup.lock"), "a") as file:
        if not locked(file):
            print("Another set-up is at work here: waiting for it.", flush=True)
            while not locked(file):
                time.sleep(0.5)
        yield


def locked(file):
    """Try to lock a file until it is closed. True as well where the file system knows no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def install(arguments, title):
    """Install into .venv with pip, or say why it cannot be."""
    status, output, messages = run_pip([python_of(VENV), "-m", "pip"], INSTALL + arguments, title)
    if status:
        raise failed(title, output, messages)


def set_up(wanted, version=None):
    """Bring .venv to what requirements.txt, pyproject.toml, TORCH and this version of Python (None: any) ask for."""

    def is_all_done(choice):
        return is_done(choice) and (version is None or usable(VENV, version))

    check_place()
    if is_all_done(choose(wanted, platform.system(), remembered().get("torch"), gpu=lambda: False)):
        return
    with alone():
        begin, python, before = time.monotonic(), python_of(VENV), remembered()
        choice = choose(wanted, platform.system(), before.get("torch"))
        if is_all_done(choice):  # by the set-up that this one waited for
            return
        moved = before.get("root", str(ROOT)) != str(ROOT)  # then its scripts point nowhere
        if moved or not usable(VENV, version):
            if not moved and usable(VENV):
                print(
                    ".venv has another version of Python than this one. (To keep it: --keep, or make without PYTHON.)"
                )
            print(f"Making .venv with Python {platform.python_version()}", flush=True)
            create(getattr(sys, "_base_executable", None) or sys.executable, VENV)
            before = {}
        remember(before.get("torch"))
        mend(VENV)
        install_torch(python, choice, before.get("torch"))
        remember(choice)
        for title, arguments in (
            ("The packages of requirements.txt", ["--requirement", LOCK]),
            ("labkit, labcheck and audit", ["--no-deps", "--no-build-isolation", "--editable", "."]),
        ):
            install(arguments, title)
        library = VENV / ("Lib" if os.name == "nt" else "lib")
        run([python, "-m", "compileall", "-qq", "-j", "0", library], "Compiling", otherwise="done")  # but for odd files
        status, output, messages = run([python, "-c", TRY_OUT], "Trying it out")
        if status:
            raise failed("PyTorch or matplotlib", output, messages)
        remember(choice, stamp(choice))
        torch_version, sees_gpu = output.splitlines()[-1].split()
        print(f"Ready after {time.monotonic() - begin:.0f} s: PyTorch {torch_version} in .venv.")
        if choice == "cuda" and sees_gpu == "False":
            print("This PyTorch sees no GPU (is NVIDIA's driver installed and recent?): it will use the CPU.")
        if choice == "cpu" and wanted == "auto" and platform.system() == "Windows" and gpu():
            print("For the NVIDIA GPU give TORCH=<address>: see https://pytorch.org/get-started/locally/ for which.")


def main():
    sentence = too_old(sys.version_info, sys.executable)
    if sentence:
        sys.exit(sentence)
    sys.stdout.reconfigure(errors="replace")  # pip's words on a terminal that cannot show them
    parser = argparse.ArgumentParser(description="Install what the curriculum needs into .venv.")
    parser.add_argument("torch", nargs="?", metavar="TORCH=auto|cpu|cuda|URL", help="the build of PyTorch (auto)")
    parser.add_argument("--keep", action="store_true", help="keep the version of Python that .venv has")
    parser.add_argument("--also", metavar="PACKAGE", help="install this into .venv, too, as in --also .[instructor]")
    given = parser.parse_args()
    wanted = given.torch or os.environ.get("TORCH") or "auto"
    wanted = wanted[len("TORCH=") :] if wanted.startswith("TORCH=") else wanted
    try:
        set_up(wanted, None if given.keep else sys.version_info)
        if given.also:
            editable = ["--editable"] if given.also.startswith(".") else []
            install(["--constraint", LOCK, *editable, given.also], given.also)
    except Problem as problem:
        sys.exit(str(problem))
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        remedy = "close what runs from .venv, or use a copy of the project in a folder where you may write"
        sys.exit(f"Set-up cannot go on: {error}{': ' + remedy if denied else ''}.")
    except KeyboardInterrupt:
        sys.exit("\nSet-up was interrupted: run it again and it goes on.")


if __name__ == "__main__":
    main()
