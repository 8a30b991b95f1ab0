"""Install what the curriculum needs into .venv, once; when nothing has changed since, be done at once.

    python3 tools/setup.py [TORCH=auto|cpu|cuda|<address of a package index>]      (every target of make calls it)

TORCH chooses the build of PyTorch and may be an environment variable instead. `auto` keeps the build that is installed;
where there is none, it takes CUDA on a Linux machine with an NVIDIA GPU and the CPU build everywhere else.

Standard library only, in words that Python 3.6 can read, so that an old Python gets as far as saying that it is old.
"""

import argparse
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
INSTALL = ["-m", "pip", "install", "--no-compile", "--no-input"]  # compiling comes last, and on all cores
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


def environment():
    """The environment for commands, without the settings that would lead pip out of .venv."""
    kept = {name: value for name, value in os.environ.items() if name not in (*STRAY, "PIP_PREFIX", "PIP_TARGET")}
    kept.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONUNBUFFERED="1", PYTHONUTF8="1")
    return kept


def run(command, title=None, otherwise="failed"):
    """Run a command while one line says what happens and for how long; returns (exit status, output, messages)."""
    begin, lines, live = time.monotonic(), [], sys.stdout.isatty()
    if title and not live:
        print(title, end=" ... ", flush=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=str(ROOT),
                env=environment(),
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


def failed(what, messages):
    """The problem when an installation fails; what the command said about it is printed in full first."""
    print(messages.strip(), file=sys.stderr)
    if "No space left" in messages:
        return Problem("The disk is full: make room (2 GB; for CUDA 10 GB), then run this again.")
    if re.search(r"connection broken|ConnectionError|Read timed out|ProxyError|SSLError", messages):
        return Problem(f"No package index was reached for {what}: check network and proxy, then run this again.")
    if "No matching distribution" in messages:
        here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        return Problem(
            f"pip finds no {what} for {here}: use Python 3.11 to 3.13 on Linux, on Windows, or on macOS 14 or newer "
            "with Apple silicon."
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
        [[python, "-m", "virtualenv", folder]],
        [bare, [inside, "-c", FETCH_PIP, zipapp], [inside, zipapp, "install", "pip"]],
    ]


def usable(folder):
    """Whether a virtual environment's Python starts, is new enough and has pip.

    Not so when the Python that it was made from is upgraded or removed, or when its making was interrupted.
    """
    status, _, _ = run([python_of(folder), "-c", f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"])
    return status == 0


def create(python, folder):
    """Make a virtual environment by the first way that works."""
    said = []
    for way in ways_to_create(python, folder):
        clear(folder)
        for command in way:
            status, output, messages = run(command)
            if status:
                said.append(f"{output}\n{messages}".strip())
                break  # to the next way
        if usable(folder):
            return
    print(said[0], *(text.splitlines()[-1] for text in said[1:] if text), sep="\n", file=sys.stderr)
    raise Problem(
        "This Python makes no virtual environment with pip, for the reasons given above: where ensurepip is missing, "
        "install the package python3-venv (Debian, Ubuntu: `sudo apt install python3-venv`), then run this again."
    )


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
        run([python, "-m", "pip", "uninstall", "--yes", "torch", *cuda], "Taking out the other build of PyTorch")
    version = re.search(r"^torch==([\w.]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE).group(1)
    ways = ways_to_install_torch(choice, platform.system(), version)
    for title, arguments in ways:
        if len(ways) > 1 and title == ways[-1][0]:
            print("No index with CPU builds was reached: PyPI's build will do, but brings several GB of CUDA packages.")
        status, _, messages = run([python, *INSTALL, *arguments], title, otherwise="not there")
        if status == 0:
            return
        if "No matching distribution" not in messages:
            break
    raise failed(f"PyTorch {version}", messages)


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
    if not python_of(VENV).exists():
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


def set_up(wanted):
    """Bring .venv to what requirements.txt, pyproject.toml and TORCH ask for."""
    if is_done(choose(wanted, platform.system(), remembered().get("torch"), gpu=lambda: False)):
        return
    with alone():
        begin, python, before = time.monotonic(), python_of(VENV), remembered()
        choice = choose(wanted, platform.system(), before.get("torch"))
        if is_done(choice):  # by the set-up that this one waited for
            return
        if before.get("root", str(ROOT)) != str(ROOT) or not usable(VENV):  # scripts in a moved .venv point nowhere
            print(f"Making .venv with Python {platform.python_version()}", flush=True)
            create(getattr(sys, "_base_executable", sys.executable), VENV)
            before = {}
        remember(before.get("torch"))
        mend(VENV)
        install_torch(python, choice, before.get("torch"))
        remember(choice)
        for title, arguments in (
            ("The packages of requirements.txt", ["--requirement", LOCK]),
            ("labkit", ["--no-deps", "--no-build-isolation", "--editable", "."]),
        ):
            status, _, messages = run([python, *INSTALL, *arguments], title)
            if status:
                raise failed(title, messages)
        library = VENV / ("Lib" if os.name == "nt" else "lib")
        run([python, "-m", "compileall", "-qq", "-j", "0", library], "Compiling", otherwise="done")  # but for odd files
        status, output, messages = run([python, "-c", TRY_OUT], "Trying it out")
        if status:
            raise failed("PyTorch or matplotlib", messages)
        remember(choice, stamp(choice))
        version, sees_gpu = output.splitlines()[-1].split()
        print(f"Ready after {time.monotonic() - begin:.0f} s: PyTorch {version} in .venv.")
        if choice == "cuda" and sees_gpu == "False":
            print("This PyTorch sees no GPU (is NVIDIA's driver installed and recent?): it will use the CPU.")
        if choice == "cpu" and wanted == "auto" and platform.system() == "Windows" and gpu():
            print("For the NVIDIA GPU give TORCH=<address>: see https://pytorch.org/get-started/locally/ for which.")


def main():
    sentence = too_old(sys.version_info, sys.executable)
    if sentence:
        sys.exit(sentence)
    parser = argparse.ArgumentParser(description="Install what the curriculum needs into .venv.")
    parser.add_argument("torch", nargs="?", metavar="TORCH=auto|cpu|cuda|URL", help="the build of PyTorch (auto)")
    wanted = parser.parse_args().torch or os.environ.get("TORCH") or "auto"
    try:
        set_up(wanted[len("TORCH=") :] if wanted.startswith("TORCH=") else wanted)
    except Problem as problem:
        sys.exit(str(problem))
    except OSError as error:
        sys.exit(f"Set-up cannot go on: {error}.")
    except KeyboardInterrupt:
        sys.exit("\nSet-up was interrupted: run it again and it goes on.")


if __name__ == "__main__":
    main()
