"""Grade a folder of submitted labs: a gradebook, and a page of feedback a submission.

    python -m labcheck.grade FOLDER                 all notebooks in it, the inputs of the checks drawn afresh
    python -m labcheck.grade FOLDER --seed 4711     with the inputs of an earlier grading, as its gradebook names them

What is read: every file in FOLDER, in folders of any depth. The first folder's name is the student's name; without one
it is what the file's name says besides the lab's (`ada_lab01.ipynb`: ada). The lab is the one that the notebook's
`check.lab("…")` names, else the one in the file's name or its folders' names, else the one whose exercises it answers.
What is no notebook of a lab, or leaves a doubt, is reported and not graded.

What is written to outputs/grades/ (`--out` chooses another folder), after each submission: gradebook.csv;
feedback/<student>_<lab>.html; where the grader itself failed on a submission, log/<student>_<lab>.txt. What an earlier
grading wrote there is kept, in earlier_1/ and so on. The exit status is 1 where the grader failed on a submission or
something could not be written. labs/INSTRUCTORS.md tells more, also what this protects from and what not.

submissions.py reads, grade_one.py grades in the processes of children.py, gradebook.py writes.
"""

if __name__ == "__main__":
    from labcheck import isolated

    isolated.start("labcheck.grade")

import argparse
import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import psutil

from labcheck import grade_one, isolated, processes
from labcheck.gradebook import Gradebook, earned, plain, possible
from labcheck.submissions import FAILED, GRADED, find
from labkit.ledger import outputs_dir

ROOT = Path(__file__).resolve().parent.parent
PRIVATE = ROOT / "labs" / "private"
ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # signals by which a user, a system or a lost connection ends us


class Refused(ValueError):
    """A sentence for whoever called: what is wrong with the call."""


# Grading --------------------------------------------------------------------------------------------------------------


class Worker:
    """A process of grade_one.py, which grades one submission after another."""

    def __init__(self, settings, folder):
        self.patience = settings["limits"]["total_seconds"] + 180  # the rest: starting, comparing, cleaning up
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            isolated.command("labcheck.grade_one", json.dumps(settings)), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True, encoding="utf-8",
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder),
        )  # fmt: skip

    def grade(self, job):
        """The result of a job; where the grader failed, a dict with its `log`, and `lost` where this process ended."""
        timer = threading.Timer(self.patience, self.process.kill)
        timer.start()
        try:
            print(json.dumps(job), file=self.process.stdin, flush=True)
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            self.process.kill()
            code = self.process.wait()
            self.log.seek(0)
            log = f"The grader's process ended (exit status {code}): a submission can do that.\n{self.log.read()}"
            return {"log": log, "lost": True}
        finally:
            timer.cancel()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Grader:
    """Grades submissions side by side, each worker one at a time. What ends a worker costs no other submission."""

    def __init__(self, seeds, jobs, settings):
        self.seeds, self.jobs, self.settings, self.interrupted = seeds, jobs, settings, False
        self.idle, self.workers, self.lock = queue.SimpleQueue(), set(), threading.Lock()
        # What a lost worker leaves is deleted with it. Another user's processes must get through to their own folders.
        self.folder = tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True)
        os.chmod(self.folder.name, 0o711)
        self.before = {process.pid for process in psutil.Process().children()}
        processes.adopt_orphans()

    def grade_all(self, submissions, report):
        """Fill in the results. `report(submission)` is called after each."""
        with self.folder, ThreadPoolExecutor(self.jobs) as pool:
            try:
                waiting = {pool.submit(self.grade, submission) for submission in submissions}
                while waiting:  # with a time-out: a signal in the moment before is seen only when the wait is over
                    done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in done:
                        report(future.result())
            except KeyboardInterrupt:
                self._interrupt()
                pool.shutdown(cancel_futures=True)
                raise
            for worker in self.workers:
                worker.close()

    def grade(self, submission):
        if submission.lab:
            job = {"lab": submission.lab, "cells": submission.cells, "seed": self.seeds[submission.lab]}
            try:
                result = self._run(job)
                if "lost" in result and not self.interrupted:  # it may have been the submission beside this one
                    result = self._run(job)
            except Exception:  # such as a process that this machine cannot start: the next submission may fare better
                result = {"log": traceback.format_exc()}
            if "log" not in result or not self.interrupted:
                submission.result = result
        return submission

    def _interrupt(self):
        """End all workers; `_run` ends what they have started."""
        self.interrupted = True
        with self.lock:
            for worker in self.workers:
                worker.process.kill()

    def _run(self, job):
        worker = self._take_worker()
        if self.interrupted:  # since this worker may have come too late to be ended with the others
            worker.process.kill()
        result = worker.grade(job)
        if worker.process.poll() is None:
            self.idle.put(worker)
        else:
            with self.lock:
                self.workers.discard(worker)
                self._end_orphans()
        return result

    def _take_worker(self):
        with self.lock, contextlib.suppress(queue.Empty):
            return self.idle.get_nowait()
        with self.lock:  # so that `_end_orphans` never meets a process that is not in `workers` yet
            worker = Worker(self.settings, self.folder.name)
            self.workers.add(worker)
        return worker

    def _end_orphans(self):
        """End what a lost worker leaves behind."""

        def find():
            known = self.before | {worker.process.pid for worker in self.workers}
            left = [child for child in psutil.Process().children() if child.pid not in known]
            return processes.alive(left + [each for child in left for each in processes.descendants(child.pid)])

        processes.end(find)


# The command ----------------------------------------------------------------------------------------------------------


def load_labs(checks, private, only):
    """{name: lab}, with the private checks in, and {name: seed that the private checks set}.

    Raises:
        Refused: there is no such lab, or the checks of one cannot be loaded.
    """
    names = grade_one.lab_names(checks)
    if not names:
        raise Refused("There is no lab: `make labs` builds them.")
    if only and only not in names:
        raise Refused(f"There is no lab {only!r}: choose from {', '.join(names)}.")
    strangers = [path.name for path in sorted(Path(private).glob("*.py")) if path.stem not in names]
    if strangers:
        raise Refused(f"{private} has {', '.join(strangers)}, which is named for no lab: {', '.join(names)}.")
    labs, seeds = {}, {}
    for name in [only] if only else names:
        try:
            labs[name], seeds[name] = grade_one.load_lab(name, checks, private)
        except Exception as error:
            raise Refused(f"The checks of {name} cannot be loaded. {type(error).__name__}: {error}") from error
    return labs, seeds


def user_ids(name):
    """The numbers of the user that learners' code runs as: only the superuser can choose one."""
    if not name:
        return None
    try:
        import pwd

        user = pwd.getpwnam(name)
    except (ImportError, KeyError) as error:
        raise Refused(f"There is no user {name!r} on this machine.") from error
    if os.geteuid() != 0:
        raise Refused("Only the superuser can run learners' code as another user.")
    return user.pw_uid, user.pw_gid


def arguments(argv):
    parser = argparse.ArgumentParser(
        "python -m labcheck.grade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", default="", help="of the submissions")
    parser.add_argument("--seed", type=int, help="of the inputs of the checks; by default a new one")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="submissions side by side (default: a core each)"
    )
    parser.add_argument("--out", type=Path, default=outputs_dir() / "grades", help="folder to write to")
    parser.add_argument("--lab", help="name of the lab that all notebooks answer, where nothing in them says so")
    parser.add_argument("--user", help="run learners' code as this user (for the superuser, on Linux)")
    parser.add_argument("--checks", type=Path, help="folder with the checks of a course's own labs")
    parser.add_argument("--private", type=Path, default=PRIVATE, help="folder with private checks")
    return parser.parse_args(argv)


def prepare(chosen):
    """Look at everything that can be wrong with the call before the first submission runs."""
    if not chosen.folder:  # as `make grade` calls it
        raise Refused("Which folder? Say `make grade SUBMISSIONS=folder`.")
    if not os.path.isdir(chosen.folder):
        raise Refused(f"{chosen.folder} is no folder.")
    if Path(os.path.realpath(chosen.out)).is_relative_to(os.path.realpath(chosen.folder)):
        raise Refused(f"{chosen.out} lies in the folder of the submissions: choose another with --out.")
    if chosen.jobs < 1 or (chosen.seed or 0) < 0:
        raise Refused("--jobs is at least 1, and --seed at least 0.")
    user = user_ids(chosen.user)
    labs, seeds = load_labs(chosen.checks, chosen.private, chosen.lab)
    drawn = secrets.randbits(32) if chosen.seed is None else chosen.seed
    seeds = {name: drawn if seed is None or chosen.seed is not None else seed for name, seed in seeds.items()}
    try:
        submissions = find(chosen.folder, labs, chosen.lab)
    except OSError as error:
        raise Refused(f"{chosen.folder} cannot be read: {error.strerror}.") from error
    if not submissions:
        raise Refused(f"There is no .ipynb in {chosen.folder}, nor anything else.")
    return labs, seeds, submissions, user


def main(argv=None, **settings):
    """The command. `settings`: more of `grade_one.make_settings`, for tests, which have less patience."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that a terminal has no letters for
    chosen = arguments(argv)
    try:
        with signals_as_interrupts():
            return run(chosen, settings)
    except Refused as refused:
        say(refused, sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("Interrupted before the first submission: nothing is graded.", sys.stderr)
        return 130


def run(chosen, settings):
    labs, seeds, submissions, user = prepare(chosen)
    book, done = Gradebook(submissions, labs, seeds, chosen.out), 0
    try:
        earlier = book.begin()
    except OSError as error:
        raise Refused(f"{chosen.out} cannot be written to: {error.strerror}.") from error
    if earlier:
        say(f"What an earlier grading wrote is now in {earlier}.")

    def report(submission):
        nonlocal done
        done += 1
        book.add(submission)
        lab = labs.get(submission.lab)
        points = f"{earned(submission, lab):.3g} of {possible(lab):g} points" if lab else submission.status
        note = f" ({submission.note})" if submission.note else ""
        say(f"[{done}/{len(submissions)}] {submission.student}, {submission.path.name}: {points}{note}")

    for name in sorted({submission.lab for submission in submissions} - {""}):
        say(f"{name}: the inputs have the seed {seeds[name]}.")
    settings = grade_one.make_settings(chosen.checks, chosen.private, user=user, **settings)
    try:
        Grader(seeds, chosen.jobs, settings).grade_all(submissions, report)
    except KeyboardInterrupt:
        book.finish()
        say(f"Interrupted. What was graded is in {book.path}.", sys.stderr)
        return 130
    book.finish()
    return conclude(book)


def conclude(book):
    """Say how it went; returns the exit status."""
    count = {status: sum(one.status == status for one in book.submissions) for status in (GRADED, FAILED)}
    say(f"{count[GRADED]} of {len(book.submissions)} graded: {book.path}")
    if count[FAILED]:
        say(f"The grader failed on {count[FAILED]}: see {book.out / 'log'}.")
    if pages := sum(not submission.page for submission in book.submissions):
        say(f"{pages} pages could not be written: the notes say why.", sys.stderr)
    if book.trouble:
        say(f"{book.path} could not be written to its end: {book.trouble}. Mend that, and grade again.", sys.stderr)
    return 1 if count[FAILED] or pages or book.trouble else 0


def say(text, stream=None):
    """Print a line. Where nobody reads any more, or the disk is full, the grading goes on without it."""
    stream = stream or sys.stdout
    try:
        print(plain(str(text)), file=stream, flush=True)
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def signals_as_interrupts():
    """The first signal to end is a KeyboardInterrupt; later ones wait until what was graded is written.

    What was ignored before stays ignored: `nohup` does that.
    """

    def interrupt(*_):
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted. Nothing is written.")
