"""What a lab is made of: exercises, and checks that ask the learner's code.

A check is a generator function: it draws inputs, yields `call`s of the learner's code, is sent what came back, and
returns None or the sentence that says what is wrong. So the same check works beside the learner's code, and in a
grader, where that code runs in a process of its own that sees the inputs and never the expected values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from labcheck.time_limit import TimeUp, time_limit

ENDED = {"endless", "recursion", "interrupted", "gone"}  # after these, other checks would only take as long
UNWRITTEN = {"NotImplementedError", "missing"}
CHECK_SECONDS = 10.0  # that a check's own code may take between two calls: a huge result makes it slow


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
        """All checks, each with a generator of its own. `perform(call)` gives the `Reply`.

        What never ends is waited for once: other checks that ask for the same are not tried.
        """
        ended = {}

        def patient(request):
            if request.target in ended:
                return ended[request.target]
            reply = perform(request)
            if reply.kind in ENDED:
                ended[request.target] = reply
            return reply

        return [
            run_check(check, own, patient) for check, own in zip(self.checks, rng.spawn(len(self.checks)), strict=True)
        ]

    def earned(self, outcomes) -> float:
        """The points: the share of the checks that are ok."""
        return self.points * sum(outcome.status == "ok" for outcome in outcomes) / max(1, len(outcomes))


def run_check(check, rng, perform) -> Outcome:
    """One check's outcome."""
    generator, printed = check(rng), ""

    def outcome(status, message=""):
        return Outcome(check.line, status, message, printed)

    try:
        step = partial(next, generator)
        while True:
            with time_limit(CHECK_SECONDS):
                request = step()
            reply = perform(request)
            printed = reply.printed or printed
            if reply.kind:
                step = partial(generator.throw, Raised(reply.kind, reply.sentence, reply.message))
            elif reply.changed:
                return outcome("failed", _changed(request, reply.changed))
            else:
                step = partial(generator.send, reply.value)
    except StopIteration as stop:
        return outcome("failed" if stop.value else "ok", stop.value or "")
    except Raised as raised:
        return outcome("to do" if raised.kind in UNWRITTEN else "failed", str(raised))
    except TimeUp:
        return outcome(
            "failed", "the result is so large or so strange that its check does not end: what do you return?"
        )
    except Exception as error:  # the answer is so different that the check itself stumbles over it
        return outcome("failed", f"the answer is not of the form that is asked for ({type(error).__name__}: {error})")
    finally:
        generator.close()


def _changed(request, positions):
    which = " and ".join(f"argument {position + 1}" for position in positions)
    return f"{request.subject} changes {which} in place, which its caller still needs: work on a copy"
