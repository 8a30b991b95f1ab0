"""Grade submissions, one after another: what grade.py starts for each core.

A job a line comes on standard input and its result goes to standard output, both JSON. Three kinds of processes work:

    grade.py        writes the gradebook; one for all submissions
    grade_one.py    holds the checks and the expected values, compares, keeps the limits; one a core
    grade_child.py  runs the cells and answers of one submission; a new one when it is lost

The learner's code gets the inputs of a check and sends back results, as data that nothing executes. When its process
ends, hangs or breaks a limit, the check that was running fails, and the next exercise gets a new process, in which the
cells run again without the one that ended the last.
"""

import functools
import importlib
import importlib.util
import inspect
import json
import signal
import sys
import textwrap
import time
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from labcheck import check
from labcheck.children import WARM, Child, GraderError, Limits, Lost, Nursery
from labcheck.exercise import Reply
from labcheck.perform import PRINTED
from labcheck.processes import adopt_orphans, end
from labcheck.transport import decode, encode

MESSAGE = 1000  # characters of a message that are kept: a wrong text of a million letters is quoted in it


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
    lab = importlib.import_module(f"labcheck.labs.{name}").LAB
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
    for name in ("SIGINT", "SIGHUP"):  # which reach all processes of a terminal: grade.py ends this one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
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
