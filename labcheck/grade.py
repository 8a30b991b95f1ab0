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

Each submission runs in a sandbox of bubblewrap. Where there is none, `--not-isolated` grades without, and the gradebook
says so.

submissions.py reads, grade_one.py grades with sandbox.py and grade_child.py, gradebook.py writes.
"""

if __name__ == "__main__":
    from labcheck import isolated

    isolated.start("labcheck.grade")

import argparse
import contextlib
import multiprocessing
import os
import secrets
import signal
import sys
import time
import traceback
from collections import deque
from multiprocessing.connection import wait
from pathlib import Path

from labcheck import grade_one, sandbox
from labcheck.gradebook import Gradebook, earned, plain, possible
from labcheck.submissions import FAILED, GRADED, find
from labkit.ledger import outputs_dir

ROOT = Path(__file__).resolve().parent.parent
PRIVATE = ROOT / "labs" / "private"
ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # signals by which a user, a system or a lost connection ends us
PATIENCE = 180  # seconds for a submission besides those that it may take: starting, comparing, cleaning up
PROCESSES = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")  # a fork has all imported

NOT_INSTALLED = (
    "Submissions run in a sandbox of bubblewrap, which is not installed: on Linux `apt install bubblewrap` gets it; or "
    "say `--not-isolated` in a container that holds nothing else: without a sandbox, code can do all that you can."
)
NO_SANDBOX = "bubblewrap makes no sandbox here (with `--not-isolated` a submission can do all that you can). {error}"
UNSAFE = "Not isolated: a submission can do all that you can, and change the points of others."


class Refused(ValueError):
    """A sentence for whoever called: what is wrong with the call."""


# Grading --------------------------------------------------------------------------------------------------------------


class Grader:
    """Grades submissions side by side, each in a process of its own: what ends that costs no other submission."""

    def __init__(self, seeds, jobs, settings):
        self.seeds, self.jobs, self.settings = seeds, jobs, settings
        self.works = {}  # the end of a pipe, where the result comes -> (submission, process, deadline)

    def grade_all(self, submissions, report):
        """Fill in the results. `report(submission)` is called after each."""
        waiting = deque(submissions)
        try:
            while waiting or self.works:
                while waiting and len(self.works) < self.jobs:
                    submission = waiting.popleft()
                    if not self._start(submission):
                        report(submission)
                for submission in self._finished():
                    report(submission)
        finally:
            self._end()

    def _start(self, submission):
        """Whether a process grades it now."""
        if not submission.lab:
            return False
        job = {"lab": submission.lab, "cells": submission.cells, "seed": self.seeds[submission.lab]}
        connection, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=grade_one.work, args=(theirs, job, self.settings))
        try:
            process.start()
        except OSError:  # this machine cannot start one more: the next submission may fare better
            submission.result = {"log": traceback.format_exc()}
            return False
        theirs.close()  # so that the pipe ends with the process
        deadline = time.monotonic() + self.settings.limits.total_seconds + PATIENCE
        self.works[connection] = submission, process, deadline
        return True

    def _finished(self):
        """The submissions that are graded by now, after a short wait."""
        for _, process, deadline in self.works.values():
            if time.monotonic() > deadline:
                process.kill()
        # With a time-out: a signal that reaches another thread is seen only when the wait is over.
        for connection in wait(list(self.works), timeout=0.5):
            submission, process, _ = self.works.pop(connection)
            with connection, contextlib.suppress(EOFError):
                submission.result = connection.recv()
            process.join()
            if not submission.result:
                submission.result = {"log": f"The grader's process ended (exit status {process.exitcode})."}
            yield submission

    def _end(self):
        """End what still runs: they are told to, and end their sandboxes."""
        for _, process, _ in self.works.values():
            process.terminate()
        for _, process, _ in self.works.values():
            process.join(timeout=5)
            process.kill()


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


def look_at_isolation(chosen, limits):
    """Refuse to grade where submissions would not be isolated, or would see what is not for them."""
    if chosen.not_isolated:
        say(UNSAFE, sys.stderr)
        return
    if not sandbox.installed():
        raise Refused(NOT_INSTALLED)
    for path in (chosen.folder, chosen.out, chosen.private):
        for seen in sandbox.visible():
            if Path(path).resolve().is_relative_to(Path(seen).resolve()):
                raise Refused(f"{path} lies in {seen}, where submissions can read it: move it.")
    try:
        sandbox.try_out(limits)
    except sandbox.GraderError as error:
        raise Refused(NO_SANDBOX.format(error=error)) from error


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
    parser.add_argument("--not-isolated", action="store_true", help="do without a sandbox; the gradebook says so")
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
    labs, seeds = load_labs(chosen.checks, chosen.private, chosen.lab)
    drawn = secrets.randbits(32) if chosen.seed is None else chosen.seed
    seeds = {name: drawn if seed is None or chosen.seed is not None else seed for name, seed in seeds.items()}
    try:
        submissions = find(chosen.folder, labs, chosen.lab)
    except OSError as error:
        raise Refused(f"{chosen.folder} cannot be read: {error.strerror}.") from error
    if not submissions:
        raise Refused(f"There is no .ipynb in {chosen.folder}, nor anything else.")
    return labs, seeds, submissions


def main(argv=None, limits=sandbox.Limits()):  # noqa: B008, since limits cannot be changed
    """The command. `limits`: for tests, which have less patience."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that a terminal has no letters for
    chosen = arguments(argv)
    try:
        with signals_as_interrupts():
            return run(chosen, limits)
    except Refused as refused:
        say(refused, sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("Interrupted before the first submission: nothing is graded.", sys.stderr)
        return 130


def run(chosen, limits):
    labs, seeds, submissions = prepare(chosen)
    look_at_isolation(chosen, limits)
    book, done = Gradebook(submissions, labs, seeds, chosen.out, isolated=not chosen.not_isolated), 0
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
    settings = grade_one.Settings(chosen.checks, chosen.private, limits, isolated=not chosen.not_isolated)
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
