"""The processes in which the learner's code runs: started, watched while they work, ended with all that is theirs."""

import json
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from labcheck.perform import SECONDS
from labcheck.processes import alive, descendants, end, memory, reap

CHILD = "labcheck.grade_child"
START_SECONDS = 120  # for a child's start: a busy machine imports PyTorch slowly
POLL = 0.1  # seconds between two looks at memory and number of processes (a look takes some 2 ms)
KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "WINDIR")  # of the caller's environment: what Python needs to start
# What labs import. A nursery imports it once for all its children.
WARM = (
    "torch", "matplotlib.pyplot", "pandas", "scipy.stats", "sklearn.linear_model", "sklearn.datasets",
    "labkit.data", "labkit.evidence", "labkit.figures", "labkit.measure", "labkit.train",
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What a submission may use. A lab stays far below each of them; they are for what has gone wrong."""

    cell_seconds: float = 20.0  # a cell that is no experiment; those of the labs take under 2
    call_seconds: float = SECONDS  # one call of an answer, as in the learner's notebook
    grace_seconds: float = 5.0  # to stop by itself after that, before its process is ended
    total_seconds: float = 240.0  # everything, so that no submission holds up a batch
    cpu_seconds: int = 150  # of one process, kept by the system: it also ends what the watch has lost sight of
    memory: int = 2 << 30  # bytes in use by all its processes; PyTorch, scikit-learn and pandas together are 0.5 GB
    data: int = 3 << 30  # bytes that one process can reserve (RLIMIT_DATA; RLIMIT_AS would count PyTorch's code, too)
    processes: int = 32  # besides its first: a data loader has a few workers
    user_processes: int = 4096  # of the same user with all they have open; stops a fork bomb between two looks
    file_bytes: int = 100 << 20
    open_files: int = 256
    reply_bytes: int = 16 << 20  # of one result: a million numbers
    printed_bytes: int = 20_000  # that are kept; the rest is read and dropped
    children: int = 6  # processes that one submission can lose before the rest is given up


class Lost(Exception):
    """The child ended, hung or broke a limit: `kind` as in `Reply`, and the sentence about it."""

    def __init__(self, sentence, kind="gone"):
        super().__init__(sentence)
        self.kind = kind


class GraderError(BaseException):
    """The fault is the grader's. No `except Exception` of a check takes it for a wrong answer."""


class Nursery:
    """Starts children. On Linux they are forks of a process that has imported what labs need, which saves each 3 s."""

    def __init__(self, warm=WARM):
        self.warm, self.process = warm, None

    def start(self, start):
        """The pipes to a new child, as files: its requests, its replies, and what it prints."""
        if sys.platform != "linux":
            return self._start_anew(start)
        if self.process is None or self.process.poll() is not None:  # a learner's code can end it
            self.close()
            self._open()
        (read_requests, requests), (replies, write_replies), (printed, write_printed) = os.pipe(), os.pipe(), os.pipe()
        theirs = [read_requests, write_replies, write_printed]
        socket.send_fds(self.connection, [json.dumps(start).encode()], theirs)
        for pipe in theirs:
            os.close(pipe)
        return open(requests, "wb"), open(replies, "rb"), open(printed, "rb")

    def _open(self):
        self.connection, theirs = socket.socketpair()
        self.folder = tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True)
        command = [sys.executable, "-P", "-s", "-m", CHILD, "nursery", str(theirs.fileno()), *self.warm]
        self.process = subprocess.Popen(
            command, env=environment(self.folder.name), cwd=self.folder.name, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()

    def _start_anew(self, start):
        user = {"user": start["user"][0], "group": start["user"][1], "extra_groups": []} if start["user"] else {}
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", CHILD, json.dumps(start)], cwd=start["folder"], env=start["environment"],
            start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **user,
        )  # fmt: skip
        return process.stdin, process.stdout, process.stderr

    def close(self):
        if self.process:
            self.connection.close()
            self.process.kill()
            self.process.wait()
            self.folder.cleanup()
            self.process = None

    def descendants(self):
        """What runs below this process, but the nursery: all of it belongs to the submission that is graded now."""
        return [process for process in descendants() if self.process is None or process.pid != self.process.pid]


class Child:
    """The process that runs the learner's code, watched while it works on a request."""

    def __init__(self, nursery, limits, deadline, user=None):
        self.nursery, self.limits, self.deadline, self.seen = nursery, limits, deadline, set()
        self.folder = tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True)
        if user:
            os.chown(self.folder.name, *user)
        rlimits = {
            "CPU": limits.cpu_seconds, "DATA": limits.data, "FSIZE": limits.file_bytes, "NOFILE": limits.open_files,
            "NPROC": limits.user_processes, "CORE": 0,
        }  # fmt: skip
        self.stdin, self.stdout, self.stderr = nursery.start({
            "folder": self.folder.name, "environment": environment(self.folder.name), "user": user, "rlimits": rlimits,
            "reply_bytes": limits.reply_bytes,
        })  # fmt: skip
        self.requests, self.replies, self.printed = queue.Queue(), queue.Queue(maxsize=1), b""
        self.pumps = [threading.Thread(target=pump, daemon=True) for pump in (self._write, self._read, self._drain)]
        for pump in self.pumps:  # threads, because a pipe may block and the watch may not
            pump.start()
        try:
            self.process = psutil.Process(self.ask({}, START_SECONDS)["pid"])
        except Lost as lost:
            self.close()
            self.nursery.close()
            raise GraderError(f"A process for the learner's code cannot be started: it {lost}.") from lost

    def _write(self):
        with suppress(OSError, ValueError):
            while request := self.requests.get():
                self.stdin.write(request)
                self.stdin.flush()

    def _read(self):
        """Put each reply into the queue, and an empty one where there will be none any more."""
        with suppress(OSError, ValueError):
            while line := self.stdout.readline(self.limits.reply_bytes + 1):
                self.replies.put(line)
        self.replies.put(b"")

    def _drain(self):
        with suppress(OSError, ValueError):
            while part := self.stderr.read1(1 << 16):
                self.printed += part[: self.limits.printed_bytes - len(self.printed)]

    def ask(self, request, seconds):
        """Send a request and return the reply to it.

        Raises:
            Lost: there is none, or it is none of `grade_child.py`. This child is of no use any more.
        """
        token = secrets.token_hex(8)  # replies that were written in advance do not have it
        give_up = time.monotonic() + seconds + self.limits.grace_seconds
        self.requests.put(json.dumps(request | {"token": token, "seconds": seconds}).encode() + b"\n")
        while True:
            try:
                reply = self.replies.get(timeout=POLL)
                break
            except queue.Empty:
                self._watch(seconds, give_up)
        if not reply:
            raise Lost(self._how_it_ended())
        try:
            reply = json.loads(reply)
            genuine = reply["token"] == token
        except Exception:
            genuine = False
        if not genuine:
            raise Lost("writes into the pipe to the grader, or sends more than the grader takes")
        return reply

    def _watch(self, seconds, give_up):
        now, processes = time.monotonic(), self.nursery.descendants()
        self.seen.update(processes)
        if len(processes) > self.limits.processes + 1:
            raise Lost(f"starts more than {self.limits.processes} processes")
        if memory(processes) > self.limits.memory:
            raise Lost(f"uses more than {self.limits.memory / 1e9:.1f} GB of memory")
        if now > self.deadline:
            raise Lost(
                f"was running when the {self.limits.total_seconds:g} seconds of a submission were over", "endless"
            )
        if now > give_up:
            raise Lost(
                f"did not end within {seconds:g} seconds, nor stop when told to: does a loop never end?", "endless"
            )

    def _how_it_ended(self):
        try:
            code = self.process.wait(timeout=1)
        except psutil.TimeoutExpired:
            return "closes the pipe to the grader"
        if hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU:
            return f"uses more than {self.limits.cpu_seconds} seconds of processor time"
        return f"ends its whole process (exit status {code})"

    def close(self):
        """End the child and all that it has started, also what has left its session."""
        end(lambda: alive(self.seen) + self.nursery.descendants())
        reap()
        self.requests.put(None)
        with suppress(queue.Empty):  # make room for what `_read` may be waiting to put
            while self.replies.get(timeout=1):
                pass
        for pump in self.pumps:
            pump.join(timeout=1)
        for file in (self.stdin, self.stdout, self.stderr):
            with suppress(OSError):
                file.close()
        self.folder.cleanup()


def environment(folder):
    """A clean one: nothing of the caller's but what Python needs to start, and all that is written goes to `folder`."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {
        **dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "MPLCONFIGDIR", "LABKIT_OUTPUTS"), folder),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        "LABKIT_GRADING": "1", "LABKIT_PROGRESS": "0", "LABKIT_JOBS": "1", "LABKIT_DEVICE": "cpu",
        "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
