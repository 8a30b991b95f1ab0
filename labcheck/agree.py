"""A check from one table: what is right, how it is misread, and what is said of each misreading.

    agrees(
        "hebb",
        "is the mean of label times input",
        draw=examples,                                         # see draw.py
        reference=lambda inputs, labels: labels @ inputs / len(inputs),
        misreadings={
            "divide by the number of examples: a mean, not a sum": lambda inputs, labels: labels @ inputs,
        },
    )

A misreading is a function like the reference, or a pair (old text, new text): the reference with one text of its source
replaced. Where the reference is a library's function, `written` is the one that is patched.

The table makes the check, its diagnosis, and the test of both: `mistaken` answers a check as one of the misreadings
would, so a misreading that is added here is a wrong answer that the tests try.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

from labcheck.compare import compare
from labcheck.draw import CASES, cases
from labcheck.exercise import ENDED, UNWRITTEN, Raised, Reply, call
from labcheck.transport import decode, encode


@dataclass
class Agreement:
    """A check that compares the learner's results with a reference. `Lab.agrees` makes it; a call makes its generator.

    line         what the check says of itself
    target       as of `call`
    draw         with `kinds` and `forms` as of `cases`
    misreadings  {sentence: function or (old text, new text)}
    written      see above
    explain      `explain(got, expected, *arguments)` gives the sentence about what no table can hold, or None; it is
                 asked before the misreadings
    hint         a question that is asked where no misreading explains what came back
    parts        names of the parts of a result that is a tuple
    tolerance    `rtol` and `atol` of `compare`
    """

    line: str
    target: str | Callable
    draw: Callable
    reference: Callable
    misreadings: dict[str, Callable | tuple[str, str]] = field(default_factory=dict)
    written: Callable | None = None
    explain: Callable | None = None
    hint: str = ""
    parts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = CASES
    forms: tuple[str, ...] = ("array",)
    tolerance: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        written = self.written or self.reference
        self.misreadings = {
            sentence: misread if callable(misread) else patched(written, *misread)
            for sentence, misread in self.misreadings.items()
        }

    def __call__(self, rng):
        """The check: the result, or error, of each case is looked at, then one sentence is said about all."""
        tried = []
        for arguments in cases(rng, self.draw, self.kinds, self.forms):
            tried.append((arguments, (yield from self._ask(arguments))))
        again = yield from self._ask(tried[0][0])
        differences = [self._differs(got, arguments) for arguments, got in tried]
        if differences[0] is None and self._differs(again, tried[0][0]):
            return (
                "a call is right at first, and wrong when it is made again: what do you keep from one call to the next?"
            )
        wrong = [(difference, *case) for difference, case in zip(differences, tried, strict=True) if difference]
        return self._sentence(tried, *wrong[0]) if wrong else None

    def _ask(self, arguments):
        """The learner's result or the error that it raised. An answer that is not there, or never ends, is let go."""
        try:
            return (yield call(self.target, *arguments))
        except Raised as raised:
            if raised.kind in ENDED | UNWRITTEN:
                raise
            return raised

    def _differs(self, got, arguments):
        """How a result differs from the reference's, or None."""
        return str(got) if isinstance(got, Raised) else self._compare(got, self.reference(*arguments))

    def _compare(self, got, expected):
        if not self.parts:
            return compare(got, expected, **self.tolerance)
        if not isinstance(got, (list, tuple)) or len(got) != len(self.parts):
            if got is None:
                return compare(got, expected)
            return f"return {len(self.parts)} things: {', '.join(self.parts)}"
        pairs = zip(got, expected, self.parts, strict=True)
        found = (compare(one, other, name, **self.tolerance) for one, other, name in pairs)
        return next((difference for difference in found if difference), None)

    def _sentence(self, tried, difference, arguments, got):
        """What to say: of the misreading that explains all cases, or of the first case that is wrong."""
        if self.explain and not isinstance(got, Raised):
            special = self.explain(got, self.reference(*arguments), *arguments)
            if special:
                return special
        for sentence, misread in self.misreadings.items():
            if all(self._agrees_with(misread, case, result) for case, result in tried):
                return sentence
        question = f"; {self.hint}" if self.hint and not isinstance(got, Raised) else ""
        return difference + question

    def _agrees_with(self, misread, arguments, got):
        """Whether a misreading would have given this result, or an error where this is one."""
        try:
            expected = misread(*arguments)
        except Exception:
            return isinstance(got, Raised)
        return not isinstance(got, Raised) and self._compare(got, expected) is None


def patched(function, old, new):
    """The function with one text of its source replaced.

    Raises:
        ValueError: the text does not occur exactly once.
    """
    source = textwrap.dedent(inspect.getsource(function))
    if (n := source.count(old)) != 1:
        raise ValueError(f"`{function.__name__}` holds the text of a misreading {n} times, not once: {old!r}")
    names = dict(function.__globals__)
    exec(source.replace(old, new), names)
    return names[function.__name__]


def mistaken(answer):
    """A `perform` that answers a check's calls as a function does: to test a check with a reference or a misreading."""

    def perform(request):
        try:
            return Reply(value=decode(encode(answer(*request.arguments))))
        except Exception as error:
            return Reply(kind=type(error).__name__, sentence=f"{request.subject} raises {type(error).__name__}")

    return perform
