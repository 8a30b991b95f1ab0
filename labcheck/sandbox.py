"""The process that runs one submission: in a sandbox of bubblewrap, with limits, and never used for another.

In the sandbox there are Python with its packages, the system's libraries and the public code of labkit and labcheck,
all read-only; an empty /tmp; no network; no process but the submission's own. The cells come through a pipe, and
results go back through another. labs/INSTRUCTORS.md tells instructors what a submission can see.

Without isolation it is a plain process with the same limits, as far as the system has them.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import labcheck
import labkit
from labcheck.perform import SECONDS

START_SECONDS = 120  # for a process to start: a busy machine imports slowly
LOOSE_USERS = 60_000  # and the next 5,000: numbers that no system gives to a user of its own accord
KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "WINDIR")  # of the caller's environment: what Python needs to start
# Libraries, what the linker knows of them, and how many cores there are, which PyTorch reads.
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/sys/devices/system/cpu")


@dataclass(frozen=True)
class Limits:
    """What a submission may use. A lab stays far below each of them; they are for what has gone wrong."""

    cell_seconds: float = 20.0  # a cell that is no experiment; those of the labs take under 2
    call_seconds: float = SECONDS  # one call of an answer, as in the learner's notebook
    grace_seconds: float = 5.0  # to stop by itself after that, before its process is ended
    total_seconds: float = 240.0  # everything, so that no submission holds up a batch
    cpu_seconds: int = 150  # of one process
    memory: int = 2 << 30  # bytes of one process; PyTorch, scikit-learn and pandas together take 0.5 GB
    address_space: int = 16 << 30  # the same with shared memory and code, of which PyTorch for CUDA has some GB
    processes: int = 64  # with their threads
    file_bytes: int = 100 << 20
    disk: int = 256 << 20  # bytes in /tmp, and as many in /dev/shm; both lie in memory
    open_files: int = 256
    reply_bytes: int = 16 << 20  # of one result: a million numbers
    children: int = 6  # processes that one submission can lose before the rest is given up


class Lost(Exception):
    """The process ended, hung or broke a limit: `kind` as in `Reply`, and the sentence about it."""

    def __init__(self, sentence, kind="gone"):
        super().__init__(sentence)
        self.kind = kind


class GraderError(BaseException):
    """The fault is the grader's. No `except Exception` of a check takes it for a wrong answer."""


# The sandbox ----------------------------------------------------------------------------------------------------------


def installed():
    return shutil.which("bwrap") is not None


def visible():
    """The paths that a submission sees, read-only."""
    python = Path(sys.executable).resolve().parent.parent
    packages = [Path(package.__file__).parent for package in (labkit, labcheck)]
    paths = [*SYSTEM, sys.base_prefix, sys.prefix, python, *packages]
    return list(dict.fromkeys(map(str, paths)))


def bubblewrap(limits, command):
    """The command in a sandbox.

    A user namespace makes an ordinary user's sandbox possible. In one of the superuser's the process would still own
    what is the superuser's, and no limit of processes would hold: there it becomes a `loose_user` instead.
    """
    superuser = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    user = superuser if is_superuser() else ["--unshare-user", "--disable-userns"]
    shown = []
    for path in visible():
        for folder in reversed(Path(path).parents[:-1]):
            shown += ["--dir", folder]  # else it is closed to others where it is closed outside
        shown += ["--ro-bind-try", path, path]
    disk = ["--perms", "1777", "--size", limits.disk, "--tmpfs"]
    return [
        "bwrap", *user, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--hostname", "sandbox", "--new-session", "--die-with-parent", "--proc", "/proc",
        "--dev", "/dev", *disk, "/dev/shm", *disk, "/tmp", *shown, "--remount-ro", "/dev", "--remount-ro", "/",
        "--chdir", "/tmp", "--", *command,
    ]  # fmt: skip


def is_superuser():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def loose_user():
    """A user of its own for a sandbox that the superuser starts: the system counts processes by user."""
    return LOOSE_USERS + os.getpid() % 5000 if is_superuser() else None


def environment(home):
    """A clean one: nothing of the caller's but what Python needs to start, and all that is written goes to `home`."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {
        **dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "MPLCONFIGDIR", "LABKIT_OUTPUTS"), home),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        "LABKIT_GRADING": "1", "LABKIT_PROGRESS": "0", "LABKIT_JOBS": "1", "LABKIT_DEVICE": "cpu", "LOGNAME": "learner",
        "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8",
    }  # fmt: skip


# The process ----------------------------------------------------------------------------------------------------------


class Child:
    """The process that runs a submission's code, and answers one request at a time.

    Args:
        limits: what it may use.
        deadline: when the time of the whole submission is over, in `time.monotonic()`.
        isolated: whether it runs in a sandbox.
    """

    def __init__(self, limits, deadline, isolated=True):
        self.limits, self.deadline, self.late = limits, deadline, False
        self.folder = None if isolated else tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True)
        home = "/tmp" if isolated else self.folder.name
        user = loose_user() if isolated else None
        start = {"limits": asdict(limits), "isolated": isolated, "user": user}
        command = [sys.executable, "-P", "-s", "-m", "labcheck.grade_child", json.dumps(start)]
        self.process = subprocess.Popen(
            [str(word) for word in bubblewrap(limits, command)] if isolated else command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(home),
            cwd=None if isolated else home, start_new_session=True,
        )  # fmt: skip

    def start(self):
        """Wait until it is ready.

        Raises:
            GraderError: this machine cannot start it.
        """
        try:
            reply = self.ask({}, START_SECONDS)
            if reply.get("kind"):
                raise Lost(f"says {reply['sentence']}")
        except Lost as lost:
            self.kill()
            errors = self.process.stderr.read().decode(errors="replace").strip()
            self.close()
            raise GraderError(f"A process for the learner's code cannot be started: it {lost}. {errors}") from lost

    def ask(self, request, seconds):
        """Send a request and return the reply to it.

        Raises:
            Lost: there is none, or it is none of `grade_child.py`. This child is of no use any more.
        """
        token = secrets.token_hex(8)  # replies that were written in advance do not have it
        patience = min(seconds + self.limits.grace_seconds, self.deadline - time.monotonic())
        timer = threading.Timer(patience, self._give_up)  # the end of a process frees whoever waits at its pipes
        timer.start()
        try:
            self.process.stdin.write(json.dumps(request | {"token": token, "seconds": seconds}).encode() + b"\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline(self.limits.reply_bytes + 1)
        except OSError:
            reply = b""
        finally:
            timer.cancel()
            timer.join()
        if self.late or not reply:
            raise self._how_it_ended(seconds)
        try:
            reply = json.loads(reply)
            genuine = reply["token"] == token
        except Exception:
            genuine = False
        if not genuine:
            raise Lost("writes into the pipe to the grader, or sends more than the grader takes")
        return reply

    def _give_up(self):
        self.late = True
        self.kill()

    def _how_it_ended(self, seconds):
        if time.monotonic() > self.deadline:
            sentence = f"was running when the {self.limits.total_seconds:g} seconds of a submission were over"
            return Lost(sentence, "endless")
        if self.late:
            sentence = f"did not end within {seconds:g} seconds, nor stop when told to: does a loop never end?"
            return Lost(sentence, "endless")
        try:
            code = self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return Lost("closes the pipe to the grader")
        code = 128 - code if code > 128 else code  # a signal, as bubblewrap and shells tell of one
        if hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU:
            return Lost(f"uses more than {self.limits.cpu_seconds} seconds of processor time")
        return Lost(f"ends its whole process (exit status {code})")

    def kill(self):
        """End it. The end of a sandbox is the end of all that runs in it."""
        if self.process.returncode is not None:
            return
        if hasattr(os, "killpg"):
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()

    def close(self):
        self.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):  # what was to be written can no longer be
                file.close()
        if self.folder:
            self.folder.cleanup()


def try_out(limits):
    """Start a sandbox, and end it.

    Raises:
        GraderError: this machine cannot.
    """
    child = Child(limits, time.monotonic() + START_SECONDS)
    child.start()
    child.close()
