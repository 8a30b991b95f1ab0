"""Instant feedback in labs: a line a check says what is right, what is to do, and what is wrong and why.

    lab = check.lab("lab01_perceptron_to_autodiff")
    lab.check("perceptron")     # checks your `perceptron` on fresh random inputs; never raises, never hangs
    lab.solved("perceptron")    # whether that was all right: parts of a lab that build on it ask
    check.progress()            # what is done and what is open, over all labs and notebooks

The checks of a lab are in `labs/checks/`, made from its source; `exercise.py` says how one is written.
"""

from __future__ import annotations

import html
import importlib
import inspect
import os
import pkgutil
import secrets
import sys
from importlib import resources

import numpy as np

from labcheck.agree import Agreement
from labcheck.exercise import Exercise
from labcheck.perform import perform

_SIGNS = {"ok": ("✓", "#2da44e"), "to do": ("○", "#6e7781"), "failed": ("✗", "#cf222e")}


class Report:
    """The lines of one call of `Lab.check`, as text and as HTML."""

    def __init__(self, heading, lines):
        self.heading, self.lines = heading, lines  # of a line: status, text, what was printed

    def __repr__(self):
        text = [self.heading]
        for status, line, printed in self.lines:
            text.append(f"{_SIGNS[status][0]} {status}: {line}")
            text += [f"    your code printed: {part}" for part in printed.splitlines()]
        return "\n".join(text)

    def _repr_html_(self):
        rows = ""
        for status, line, printed in self.lines:
            sign, colour = _SIGNS[status]
            text = _code(html.escape(line, quote=False))
            more = f"<pre style='margin: 0.2em 1.5em'>{html.escape(printed)}</pre>" if printed else ""
            style = f"border-left: 4px solid {colour}; padding: 0.1em 0.8em; margin: 0.2em 0"
            rows += f'<div style="{style}">{sign} <strong>{status}</strong>: {text}{more}</div>'
        return f'<div class="check"><div>{_code(html.escape(self.heading, quote=False))}</div>{rows}</div>'


def lines(outcomes):
    """A line a check: status, text, what was printed. What was said of an earlier check is not said again."""
    said = set()
    for name, status, message, printed in outcomes:
        if not message:
            yield status, name, ""
        elif message in said:
            yield status, f"{name}: the same as above", ""
        else:
            yield status, f"{name}: {message}", printed if status == "failed" else ""
        said.add(message)


def _code(text):
    """Backticks as HTML."""
    parts = text.split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


class Lab:
    """A lab: its exercises with their checks. Made in `labs/checks/`, and used in a notebook through `check.lab`."""

    def __init__(self, name, title):
        self.name, self.title = name, title
        self.exercises: dict[str, Exercise] = {}
        self._earned: dict[str, float] = {}  # exercise -> points of its last check

    def exercise(self, name, **header):
        """Add an exercise (see `Exercise`)."""
        self.exercises[name] = Exercise(name, number=len(self.exercises) + 1, **header)

    def checks(self, exercise, line=None):
        """A decorator: this generator function is a check. `line`, or its docstring, says what it checks."""

        def add(function):
            function.line = line or inspect.getdoc(function)
            self.exercises[exercise].checks.append(function)
            return function

        return add

    def agrees(self, exercise, line, *, target=None, **table):
        """Add a check that compares with a reference. `line` says what it checks; see `Agreement` for the rest.

        Args:
            target: what is called, where it is not the function that has the exercise's name.
        """
        self.exercises[exercise].checks.append(Agreement(line, target or exercise, **table))

    def check(self, exercise, seed=None):
        """Check your answer to an exercise on fresh random inputs, show a line a check, and record the attempt.

        Args:
            exercise: its name.
            seed: of the inputs; a report of a failure names the one that it drew, so that you can draw the same again.

        Never raises on account of your code: an endless loop is stopped, errors become lines.
        """
        if exercise not in self.exercises:
            known = ", ".join(f"`{name}`" for name in self.exercises)
            return _show(Report(f"There is no exercise `{exercise}` in this lab. It has {known}.", []))
        namespace = sys._getframe(1).f_globals
        seed = secrets.randbits(32) if seed is None else seed
        chosen = self.exercises[exercise]
        try:
            outcomes = chosen.run(np.random.default_rng(seed), lambda request: perform(request, namespace))
        except KeyboardInterrupt:  # between two calls
            return _show(Report(f"You interrupted the check of `{exercise}`.", []))
        self._earned[exercise] = chosen.earned(outcomes)
        _show(self._report(chosen, outcomes, seed))
        if any(outcome.status != "to do" for outcome in outcomes):
            _record(self.name, chosen, outcomes)
        return None

    def _report(self, exercise, outcomes, seed):
        head = f"Exercise {exercise.number} · {exercise.title}"
        if all(outcome.status == "to do" for outcome in outcomes):
            open_parts = dict.fromkeys(outcome.message for outcome in outcomes)
            return Report(f"{head}: open", [("to do", message, "") for message in open_parts])
        passed = sum(outcome.status == "ok" for outcome in outcomes)
        points = f"{exercise.earned(outcomes):.3g} of {exercise.points:g} points"
        found = list(lines(outcomes))
        again = (
            "" if passed == len(outcomes) else f' (the same inputs again: `lab.check("{exercise.name}", seed={seed})`)'
        )
        return Report(f"{head}: {passed} of {len(outcomes)} checks, {points}{again}", found)

    def solved(self, *exercises) -> bool:
        """Whether the last check of each of these was all right; else says which are open."""
        missing = [self.exercises[name] for name in exercises if self.points(name) < self.exercises[name].points]
        if missing:
            names = ", ".join(f"{exercise.number} ({exercise.title})" for exercise in missing)
            _show(Report(f"This part waits for exercise {names}: solve it, run its check, then run this cell.", []))
        return not missing

    def points(self, exercise) -> float:
        """The points that the last check of an exercise gave in this kernel; 0 before the first."""
        return self._earned.get(exercise, 0.0)


class _SilentLab:
    """What a lab is in a grader's process: nothing is checked there, and no experiment runs."""

    def check(self, exercise, seed=None):
        pass

    def solved(self, *exercises):
        return False

    def points(self, exercise):
        return 0.0


def progress():
    """Show what is done and what is open in all labs and notebooks, as the ledger has it.

    Of an exercise the best attempt counts. A notebook is done when each of its claims has held in a run of it.
    """
    if os.environ.get("LABKIT_GRADING"):
        return
    import pandas as pd
    from IPython.display import display

    from labkit.ledger import Ledger

    ledger = Ledger()
    frame = pd.DataFrame([*_lab_rows(ledger), *_notebook_rows(ledger)])
    done = (frame.state == "done").sum()
    display(Report(f"Done: {done} of {len(frame)} exercises and notebooks.", []))
    display(frame.set_index(["where", "what"]))


def _lab_rows(ledger):
    best = ledger.query("SELECT lab, exercise, count(*) AS attempts, max(points) AS points FROM attempt GROUP BY 1, 2")
    best = {(row.lab, row.exercise): row for row in best.itertuples()}
    for name in lab_names():
        for exercise in lab(name).exercises.values():
            row = best.get((name, exercise.name))
            points, attempts = (row.points, row.attempts) if row else (0, 0)
            yield {
                "where": name,
                "what": f"{exercise.number} {exercise.title}" + (" (optional)" if exercise.optional else ""),
                "state": "done" if points >= exercise.points else "begun" if attempts else "open",
                "so far": f"{points:g} of {exercise.points:g} points, {attempts} attempts",
            }


def _notebook_rows(ledger):
    import pandas as pd

    with resources.files("labkit.results").joinpath("claims_pilot.csv").open(encoding="utf-8") as file:
        expected = pd.read_csv(file)
    held = ledger.query(
        "SELECT DISTINCT notebook, statement FROM claim JOIN session ON session.id = session_id WHERE verdict = 'holds'"
    )
    predictions = (
        ledger.query(
            "SELECT notebook, count(*) AS n FROM prediction JOIN session ON session.id = session_id GROUP BY notebook"
        )
        .set_index("notebook")
        .n
    )
    for notebook, claims in expected.groupby("notebook"):
        n = claims.statement.isin(held.statement[held.notebook == notebook]).sum()
        predicted = predictions.get(notebook, 0)
        yield {
            "where": notebook,
            "what": "notebook",
            "state": "done" if n == len(claims) else "begun" if n or predicted else "open",
            "so far": f"{n} of {len(claims)} claims hold, {predicted} predictions",
        }


def lab(name):
    """The lab of that name, for its notebook.

    Raises:
        ValueError: there is no such lab.
    """
    if os.environ.get("LABKIT_GRADING"):
        return _SilentLab()
    if name not in lab_names():
        raise ValueError(f"There is no lab {name!r}; there is {', '.join(lab_names())}.")
    return importlib.import_module(f"labcheck.labs.{name}").LAB


def lab_names() -> list[str]:
    """The names of all labs, in order."""
    labs = importlib.import_module("labcheck.labs")
    return sorted(module.name for module in pkgutil.iter_modules(labs.__path__))


def _show(report):
    from IPython.display import display

    display(report)


def _record(lab_name, exercise, outcomes):
    """Put an attempt into the ledger. What is wrong with the ledger is said, and stops nothing."""
    from labkit.ledger import Ledger, LedgerError

    ledger = Ledger()
    try:
        ledger.record("attempt", {
            "session_id": ledger.session(), "lab": lab_name, "exercise": exercise.name, "checks": len(outcomes),
            "passed": sum(outcome.status == "ok" for outcome in outcomes),
            "points": exercise.earned(outcomes), "points_possible": exercise.points,
        })  # fmt: skip
    except LedgerError as error:
        _show(Report(f"This attempt is not recorded. {error}", []))
