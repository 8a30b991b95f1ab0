"""What a lab is made of: exercises, and checks that ask the learner's code.

A check is a generator function: it draws inputs, yields `call`s of the learner's code, is sent what came back, and
returns None or the sentence that says what is wrong. So the same check works beside the learner's code, and in a
grader, where that code runs in a process of its own that sees the inputs and never the expected values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

_ENDED = {"endless", "recursion", "interrupted", "gone"}  # after these, other checks would only take as long


class Call(NamedTuple):
    """What a check asks of the learner's code: see `call`."""

    target: str | Callable
    arguments: tuple

    @property
    def subject(self):
        """What a sentence calls it."""
        return f"`{self.target}`" if isinstance(self.target, str) else "your code"


def call(target, *arguments) -> Call:
    """Ask for a call of the learner's code; `yield` it from a check to be sent the result.

    Args:
        target: the name of the learner's function, or a function `use(answer, *arguments)` that is run beside the
            learner's code, with `answer` a dict of the learner's names, for what one call cannot show. It must stand
            alone (its imports inside), because its source is sent to where the learner's code is.
        arguments: numbers, text, arrays, tensors, and lists, tuples and dicts of them. The learner's code gets copies.

    The result comes back as the same kinds of thing; anything else as an `Opaque`. Where the learner's code raises,
    does not end or exits, `yield` raises `Raised`, which a check catches only where an error is what it wants.
    """
    return Call(target, arguments)


class Raised(Exception):
    """The learner's code raised, exited or did not end: the exception's name, and `str()` is the sentence about it."""

    def __init__(self, kind, sentence, message=""):
        super().__init__(sentence)
        self.kind, self.message = kind, message


@dataclass
class Reply:
    """What came of a `Call`: a value or an error, the positions of changed arguments, and what was printed."""

    value: Any = None
    kind: str = ""  # the name of the exception, '' where there was none
    sentence: str = ""
    message: str = ""
    changed: list[int] = field(default_factory=list)
    printed: str = ""


class Outcome(NamedTuple):
    """What one check found. `status` is "ok", "to do" or "failed"; `message` says why it is not ok."""

    check: str
    status: str
    message: str
    printed: str


@dataclass
class Exercise:
    """An exercise of a lab: what the learner sees of it above it, and its checks."""

    name: str
    title: str
    number: int
    difficulty: int
    importance: int
    minutes: int
    points: float
    optional: bool
    checks: list[Callable[[np.random.Generator], Iterator]] = field(default_factory=list)

    def run(self, rng, perform) -> list[Outcome]:
        """All checks. `perform(call)` gives the `Reply`. After an unwritten or an endless answer no more are tried."""
        outcomes = []
        for check in self.checks:
            outcome, stop = run_check(check, rng, perform)
            outcomes.append(outcome)
            if stop:
                outcomes += [Outcome(title(other), "to do", "", "") for other in self.checks[len(outcomes) :]]
                break
        return outcomes

    def earned(self, outcomes) -> float:
        """The points: the share of the checks that are ok."""
        return self.points * sum(outcome.status == "ok" for outcome in outcomes) / max(1, len(outcomes))


def title(check) -> str:
    """What a check says of itself: its docstring."""
    return inspect.getdoc(check)


def run_check(check, rng, perform) -> tuple[Outcome, bool]:
    """One check's outcome, and whether the exercise's other checks would only say the same."""
    generator, printed = check(rng), ""
    try:
        request = next(generator)
        while True:
            reply = perform(request)
            printed = reply.printed or printed
            if reply.kind:
                request = generator.throw(Raised(reply.kind, reply.sentence, reply.message))
            elif reply.changed:
                return Outcome(title(check), "failed", _changed(request, reply.changed), printed), False
            else:
                request = generator.send(reply.value)
    except StopIteration as stop:
        message = stop.value or ""
        return Outcome(title(check), "failed" if message else "ok", message, printed), False
    except Raised as raised:
        status = "to do" if raised.kind in ("NotImplementedError", "missing") else "failed"
        return Outcome(title(check), status, str(raised), printed), status == "to do" or raised.kind in _ENDED
    except Exception as error:  # the answer is so different that the check itself stumbles over it
        sentence = f"the answer is not of the form that is asked for ({type(error).__name__}: {error})"
        return Outcome(title(check), "failed", sentence, printed), False
    finally:
        generator.close()


def _changed(request, positions):
    which = " and ".join(f"argument {position + 1}" for position in positions)
    return f"{request.subject} changes {which} in place, which its caller still needs: work on a copy"
