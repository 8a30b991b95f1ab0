"""Grade one submission, in a process of its own that grade.py starts for it.

    grade.py        writes the gradebook; one process for all submissions
    grade_one.py    holds the checks and the expected values, compares, keeps the time; one for each submission
    grade_child.py  runs the submission's cells and answers in a sandbox; a new one when it is lost

The learner's code gets the inputs of a check and sends back results, as data that nothing executes. When its process
ends, hangs or breaks a limit, the check that was running fails, and the next exercise gets a new sandbox, in which the
cells run again without the one that ended the last.
"""

import functools
import importlib
import importlib.util
import inspect
import io
import signal
import sys
import textwrap
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labcheck import check
from labcheck.exercise import Reply
from labcheck.grade_child import PRINTED_BYTES
from labcheck.perform import PRINTED
from labcheck.sandbox import Child, GraderError, Limits, Lost
from labcheck.transport import decode, encode

MESSAGE = 1000  # characters of a message that are kept: a wrong text of a million letters is quoted in it


class Settings(NamedTuple):
    """What holds for all submissions. `checks` and `private`: see `load_lab`."""

    checks: Path | None
    private: Path
    limits: Limits = Limits()
    isolated: bool = True


class Session:
    """The names that a submission's cells define, in a child that is replaced when it is lost."""

    def __init__(self, cells, limits, isolated=True):
        self.cells, self.limits, self.isolated = cells, limits, isolated
        self.deadline = time.monotonic() + limits.total_seconds
        self.errors = {}  # number of a cell -> what is wrong with it
        self.fatal = set()  # cells that ended the process: not run again
        self.incidents = []  # sentences on what cost a child
        self.child, self.started, self.printed = None, 0, ""

    def run(self, exercise, seed):
        """The outcomes of an exercise's checks."""
        # A generator for each exercise, so that `lab.check(exercise, seed)` draws the same inputs in a notebook.
        outcomes = exercise.run(np.random.default_rng(seed), self.perform)
        return [outcome._replace(message=outcome.message[:MESSAGE]) for outcome in outcomes]

    def perform(self, request):
        """The reply to a check's `Call`, as `perform` gives it.

        Raises:
            GraderError: this machine cannot run a child, or a check is not as it must be.
        """
        try:
            return read_reply(self._ready().ask(as_message(request), self.limits.call_seconds))
        except Lost as lost:
            sentence = f"{request.subject} {lost}"
            self._drop(sentence)
            return Reply(kind=lost.kind, sentence=sentence)
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
            self.child = Child(self.limits, self.deadline, self.isolated)
            self.child.start()
            self._run_cells()
        return self.child

    def _run_cells(self):
        """Run all cells but those that ended a child before. One that does it now ends this child, too."""
        self.child.ask({"cells": self.cells}, self.limits.cell_seconds)
        self.printed = ""
        for number, *_ in self.cells:
            if number not in self.fatal:
                try:
                    self._run_cell(number)
                except Lost as lost:
                    self.fatal.add(number)
                    self.errors[number] = str(lost)
                    return self._drop(f"code cell {number} {lost}")

    def _run_cell(self, number):
        reply = self.child.ask({"cell": number}, self.limits.cell_seconds)
        self.errors[number] = str(reply.get("error") or reply.get("sentence") or "")[:MESSAGE]
        self.printed = (self.printed + str(reply.get("printed", "")))[:PRINTED_BYTES]
        if reply.get("kind") == "MemoryError":  # which may still hold it
            raise Lost(f"uses more than {self.limits.memory / 1e9:.1f} GB of memory")

    def _drop(self, incident):
        self.incidents.append(incident)
        self.close()

    def close(self):
        if self.child:
            self.child.close()
            self.child = None


def as_message(request):
    """A `Call` as a child takes it: a function as its source."""
    message = {"target": request.target, "arguments": encode(request.arguments)}
    if callable(request.target):
        source = textwrap.dedent(inspect.getsource(request.target))
        message |= {"target": request.target.__name__, "source": source}
    return message


def read_reply(message):
    """What a child sent, as a `Reply`: data of the right types, or `Lost`."""
    try:
        texts = {key: str(message.get(key, ""))[:MESSAGE] for key in ("kind", "sentence", "message")}
        changed = [int(position) for position in message.get("changed", [])]
        printed = str(message.get("printed", ""))[:PRINTED]
        return Reply(value=decode(message.get("value")), changed=changed, printed=printed, **texts)
    except Exception as error:  # also MemoryError, of an array that says that it is huge
        raise Lost("sends back what is no result") from error


def lab_names(checks=None):
    """The names of all labs; `checks` is a folder to take them from instead of `labs/checks/`."""
    if checks:
        importlib.import_module("labcheck.labs").__path__ = [str(checks)]
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
    public = importlib.import_module(f"labcheck.labs.{name}")
    if "import torch" in inspect.getsource(public):
        importlib.import_module("torch")  # now, so that the processes that are forked from this one need not
    path = Path(private) / f"{name}.py"
    if not path.exists():
        return public.LAB, None
    spec = importlib.util.spec_from_file_location(f"private_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return public.LAB, getattr(module, "SEED", None)


def grade(job, settings):
    """Run a submission's cells and all checks of its lab.

    Args:
        job: the `lab`'s name, its code `cells` as [number, source, is an experiment], the `seed` of the inputs.
        settings: a `Settings`.
    """
    lab, _ = load_lab(job["lab"], settings.checks, settings.private)
    session = Session(job["cells"], settings.limits, settings.isolated)
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
        "printed": session.printed,
    }


def work(connection, job, settings):
    """Grade a submission and send its result; where the grader fails, a `log` of how. What runs in the new process."""
    heed_grade()
    sys.stdout = sys.stderr = io.StringIO()  # for checks that print
    try:
        result = grade(job, settings)
    except (Exception, GraderError):
        result = {"log": traceback.format_exc() + sys.stderr.getvalue()}
    connection.send(result)


def heed_grade():
    """Let grade.py alone end this process: it gets the signals that reach all processes of a terminal, too."""
    for name in ("SIGINT", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the child is closed
