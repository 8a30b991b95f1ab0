"""Grade submissions, one after another: what tools/grade.py starts for each core.

A job a line comes on standard input and its result goes to standard output, both JSON. Three kinds of processes work:

    grade.py        writes the gradebook; one for all submissions
    grade_one.py    holds the checks and the expected values, compares, keeps the limits; one a core
    grade_child.py  runs the cells and answers of one submission; a new one when it is lost

The learner's code gets the inputs of a check and sends back results, as data that nothing executes. When its process
ends, hangs or breaks a limit, the check that was running fails, and the next exercise gets a new process, in which the
cells run again without the one that ended the last.
"""

import ctypes
import functools
import importlib
import importlib.util
import inspect
import json
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from labkit import check

CHILD = Path(__file__).with_name("grade_child.py")
PR_SET_CHILD_SUBREAPER = 36  # from Linux's prctl.h
START_SECONDS = 120  # for a child's start: a busy machine imports PyTorch slowly
POLL = 0.1  # seconds between two looks at memory and number of processes (a look takes some 2 ms)
SHARING_MATTERS = 200 << 20  # bytes; below, what forks share may be counted for each of them
MESSAGE = 1000  # characters of a message that are kept: a wrong text of a million letters is quoted in it
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
    call_seconds: float = check.SECONDS  # one call of an answer, as in the learner's notebook
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
    """The child ended, hung or broke a limit: `kind` as in `check.Reply`, and the sentence about it."""

    def __init__(self, sentence, kind="gone"):
        super().__init__(sentence)
        self.kind = kind


class GraderError(BaseException):
    """The fault is the grader's. No `except Exception` of a check takes it for a wrong answer."""


# Ending processes -----------------------------------------------------------------------------------------------------


def adopt_orphans():
    """On Linux: what our descendants leave behind becomes our child, so that no daemon gets away."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def alive(processes):
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def descendants(pid=None):
    """All living processes below a process, by default below this one."""
    try:
        return alive(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def end(find, rounds=100):
    """End all processes that `find()` names, until it names none.

    They are all stopped before the first is ended, so that they cannot start others faster than they go.
    """
    for _ in range(rounds):
        found = find()
        if not found:
            return
        for action in (psutil.Process.suspend, psutil.Process.kill):
            for process in found:
                with suppress(psutil.Error):
                    action(process)
        time.sleep(0.01)


def reap():
    """Let the processes go that have ended and that we have adopted."""
    if sys.platform == "linux":
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


# The child ------------------------------------------------------------------------------------------------------------


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
        command = [sys.executable, "-P", "-s", str(CHILD), "nursery", str(theirs.fileno()), *self.warm]
        self.process = subprocess.Popen(
            command, env=environment(self.folder.name), cwd=self.folder.name, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()

    def _start_anew(self, start):
        user = {"user": start["user"][0], "group": start["user"][1], "extra_groups": []} if start["user"] else {}
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", str(CHILD), json.dumps(start)], cwd=start["folder"], env=start["environment"],
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


def memory(processes):
    """Bytes in use. What processes share counts once, which takes longer to find out and matters only if it is much."""
    total = measured(processes, lambda process: process.memory_info().rss)
    if sys.platform == "linux" and total > SHARING_MATTERS:
        return measured(processes, lambda process: process.memory_full_info().pss)
    return total


def measured(processes, measure):
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += measure(process)
    return total


# A submission ---------------------------------------------------------------------------------------------------------


class Session:
    """The names that a submission's cells define, in a child that is replaced when it is lost."""

    def __init__(self, nursery, cells, limits, user=None):
        self.nursery, self.cells, self.limits, self.user = nursery, cells, limits, user
        self.deadline = time.monotonic() + limits.total_seconds
        self.errors = {}  # number of a cell -> what is wrong with it
        self.fatal = set()  # cells that ended the process: not run again
        self.incidents = []  # sentences on what cost a child
        self.child, self.started, self.printed = None, 0, b""

    def run(self, exercise, seed):
        """The outcomes of an exercise's checks. What it starts and leaves running ends with it and burdens no other."""
        with suppress(Lost):
            self._ready()
        before = {process.pid for process in self.nursery.descendants()}
        # A generator for each exercise, so that `lab.check(exercise, seed)` draws the same inputs in a notebook.
        outcomes = exercise.run(np.random.default_rng(seed), self.perform)
        if self.child:
            before.add(self.child.process.pid)
            end(lambda: [process for process in self.nursery.descendants() if process.pid not in before])
        return [outcome._replace(message=outcome.message[:MESSAGE]) for outcome in outcomes]

    def perform(self, request):
        """The reply to a check's `Call`, as `check.perform` gives it.

        Raises:
            GraderError: this machine cannot run a child, or a check is not as it must be.
        """
        try:
            return read_reply(self._ready().ask(as_message(request), self.limits.call_seconds))
        except Lost as lost:
            sentence = f"`{request.target}` {lost}" if isinstance(request.target, str) else f"your code {lost}"
            self._drop(sentence)
            return check.Reply(kind=lost.kind, sentence=sentence)
        except Exception as error:
            raise GraderError(f"{type(error).__name__}: {error}") from error

    def _ready(self):
        """A child in which the cells have run."""
        while self.child is None:
            if self.started == self.limits.children:
                raise Lost(f"is not checked: {self.started} processes of this submission were lost before")
            if time.monotonic() > self.deadline:
                raise Lost(f"is not checked: the {self.limits.total_seconds:g} seconds of a submission are over")
            self.started += 1
            self.child = Child(self.nursery, self.limits, self.deadline, self.user)
            self._run_cells()
        return self.child

    def _run_cells(self):
        for number, source, experiment in self.cells:
            if number in self.fatal:
                continue
            try:
                request = {"cell": source, "number": number, "experiment": experiment}
                reply = self.child.ask(request, self.limits.cell_seconds)
                self.errors[number] = str(reply.get("error") or reply.get("sentence") or "")[:MESSAGE]
            except Lost as lost:
                self.fatal.add(number)
                self.errors[number] = str(lost)
                return self._drop(f"code cell {number} {lost}")

    def _drop(self, incident):
        self.incidents.append(incident)
        self.close()

    def close(self):
        if self.child:
            self.child.close()
            self.printed = self.printed or self.child.printed
            self.child = None


def as_message(request):
    """A `Call` as a child takes it: a function as its source."""
    message = {"target": request.target, "arguments": check.encode(request.arguments)}
    if callable(request.target):
        source = textwrap.dedent(inspect.getsource(request.target))
        message |= {"target": request.target.__name__, "source": source}
    return message


def read_reply(message):
    """What a child sent, as a `Reply`: data of the right types, or `Lost`."""
    try:
        texts = {key: str(message.get(key, ""))[:MESSAGE] for key in ("kind", "sentence", "message")}
        changed = [int(position) for position in message.get("changed", [])]
        printed = str(message.get("printed", ""))[: check.PRINTED]
        return check.Reply(value=check.decode(message.get("value")), changed=changed, printed=printed, **texts)
    except Exception as error:  # also MemoryError, of an array that says that it is huge
        raise Lost("sends back what is no result") from error


def lab_names(checks=None):
    """The names of all labs; `checks` is a folder to take them from instead of `labs/checks/`."""
    import labkit.labs

    if checks:
        labkit.labs.__path__ = [str(checks)]
    return check.lab_names()


@functools.cache  # private checks are added once
def load_lab(name, checks, private):
    """The lab with its public checks and, where the course has some, its private ones; and the seed that they set.

    Args:
        name: of the lab, and so of both modules.
        checks: as in `lab_names`.
        private: the folder of private checks, which import `checks` from the public module and add to the same lab.
    """
    lab_names(checks)
    lab = importlib.import_module(f"labkit.labs.{name}").LAB
    path = Path(private) / f"{name}.py"
    if not path.exists():
        return lab, None
    spec = importlib.util.spec_from_file_location(f"private_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lab, getattr(module, "SEED", None)


def grade(job, settings, nursery):
    """Run a submission's cells and all checks of its lab.

    Args:
        job: the `lab`'s name, its code `cells` as [number, source, is an experiment], the `seed` of the inputs.
        settings: see `make_settings`.
        nursery: where the learner's code gets its processes.
    """
    lab, _ = load_lab(job["lab"], settings["checks"], settings["private"])
    session = Session(nursery, job["cells"], Limits(**settings["limits"]), settings["user"])
    exercises = {}
    try:
        for exercise in lab.exercises.values():
            outcomes = session.run(exercise, job["seed"])
            exercises[exercise.name] = {
                "points": exercise.earned(outcomes),
                "outcomes": [outcome._asdict() for outcome in outcomes],
            }
    finally:
        session.close()
    return {
        "exercises": exercises,
        "cells": {number: sentence for number, sentence in session.errors.items() if sentence},
        "incidents": session.incidents,
        "printed": session.printed.decode(errors="replace"),
    }


def make_settings(checks=None, private="labs/private", limits=None, user=None, warm=WARM):
    """What holds for all submissions, as JSON has it: see `load_lab`, `Limits`, `Nursery`.

    `user` is the number of the user and of the group that learners' code runs as; None: as who calls.
    """
    limits = asdict(limits or Limits())
    return {"checks": checks and str(checks), "private": str(private), "limits": limits, "user": user, "warm": warm}


def main():
    settings = json.loads(sys.argv[1])
    adopt_orphans()
    nursery, results = Nursery(settings["warm"]), sys.stdout
    sys.stdout = sys.stderr  # a check that prints does not print into the results
    for line in sys.stdin:
        try:
            result = grade(json.loads(line), settings, nursery)
        except (Exception, GraderError):
            result = {"log": traceback.format_exc()}
        print(json.dumps(result), file=results, flush=True)
    nursery.close()


if __name__ == "__main__":
    main()
