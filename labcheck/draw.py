"""Inputs for checks. One `draw` function asks for sizes and numbers; from case to case it is given others.

    def examples(make):
        n, d = make.size(1, 40), make.size(1, 6)
        return make.numbers(n, d), make.labels(n)

`cases(rng, examples)` calls it once for each kind of case below, so that no author can forget one. All numbers are
whole multiples of a power of two, and few: their sums and products are exact, in float32 and in any order. So a tie is
a tie however an answer adds up.
"""

from __future__ import annotations

import numpy as np

GRID = 64  # numbers of a plain case are multiples of 1 / GRID
LARGE, TINY = 2.0**10, 2.0**-20  # numbers of a large and of a tiny case are multiples of it

# What each kind is for.
KINDS = {
    "plain": "numbers of both signs",
    "square": "all sizes are equal: a wrong axis raises no error and must be seen in the numbers",
    "smallest": "each size is the least that is allowed",
    "whole": "small whole numbers: many ties and zeros",
    "zeros": "the first row is zero, and half of the rest",
    "doubled": "each row stands there twice",
    "large": "numbers in the thousands: an exponential overflows",
    "tiny": "numbers of a millionth: what is nearly 0 is taken for 0",
}
CASES = (
    "plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "large", "square", "tiny", "tiny",
    "square", "plain",
)  # fmt: skip
FORMS = ("array", "float32", "list", "tensor")


class Draw:
    """What a `draw` function asks for the parts of one case.

    Args:
        rng: `numpy.random.Generator`.
        kind: one of `KINDS`.
        number: which case this is. What must not be left to luck goes by it.
    """

    def __init__(self, rng, kind="plain", number=0):
        self.rng, self.kind, self.number = rng, kind, number
        self._size = None

    @property
    def step(self):
        """How little above or below another number is near it: for a tiny case, as near as its sums of products are."""
        return {"whole": 1.0, "large": LARGE, "tiny": TINY**2}.get(self.kind, 1 / GRID)

    def size(self, low, high):
        """A number of rows, columns, updates, ...: from `low` to `high`, both included."""
        if self.kind == "smallest":
            return low
        if self.kind == "square":
            self._size = self._size or int(self.rng.integers(4, 7))
            return min(max(low, self._size), high)
        if self.kind in ("doubled", "tiny"):
            low = max(low, min(4 if self.kind == "doubled" else 10, high))
        return int(self.rng.integers(low, high + 1))

    def numbers(self, *shape):
        """An array [*shape] of numbers, float64, mostly between -3 and 3 (in a large case: between -2048 and 2048)."""
        if self.kind in ("whole", "large", "tiny"):
            return {"whole": 1.0, "large": LARGE, "tiny": TINY}[self.kind] * self.rng.integers(-2, 3, shape)
        found = np.round(GRID * np.clip(self.rng.normal(size=shape), -3, 3)) / GRID
        if self.kind == "zeros":
            found = np.where(self.rng.random(shape) < 0.5, 0.0, found)
            found[:1] = 0.0
        if self.kind == "doubled" and len(found) > 1:
            half = (len(found) + 1) // 2
            found[half:] = found[: len(found) - half]  # row `half + i` is row `i`
        return found

    def scalar(self):
        """One number, a float. Of large and of tiny ones every other is negative, and none is 0."""
        if self.kind in ("large", "tiny"):
            unit = LARGE if self.kind == "large" else 2.0**-1000
            return float(self.rng.integers(1, 4) * unit * (1 if self.number % 2 else -1))
        return float(self.numbers(1)[0])

    def labels(self, n):
        """An array [n] of +1 and -1, with both where n allows it. Of doubled rows, every other pair has one label."""
        labels = self.rng.choice([-1, 1], n)
        labels[:2] = [1, -1][:n]
        labels = self.rng.permutation(labels)
        if self.kind == "doubled" and n > 1:
            half = (n + 1) // 2
            labels[half:] = labels[: n - half] * np.where(np.arange(n - half) % 2, -1, 1)
        return labels

    def near(self, values):
        """One of these values, a little more, or a little less: each in every third case."""
        offset = (0.0, 1.0, -1.0)[self.number % 3]
        return float(self.rng.choice(np.ravel(values)) + offset * self.step)

    def one_of(self, *choices):
        """One of these, each in its turn."""
        return choices[self.number % len(choices)]


def cases(rng, draw, kinds=CASES, forms=("array",)):
    """The arguments of each case: tuples.

    Args:
        rng: `numpy.random.Generator`.
        draw: function of a `Draw`; returns a tuple of arguments.
        kinds: a case each, of `KINDS`.
        forms: in which arrays are handed over, of `FORMS`. Each beyond the first has a plain and a whole case more.
            Name those that the exercise promises to take.
    """
    for number, kind in enumerate(kinds):
        yield in_form(draw(Draw(rng, kind, number)), forms[0])
    for number, form in enumerate(forms[1:]):
        for kind in ("plain", "whole"):
            yield in_form(draw(Draw(rng, kind, number)), form)


def in_form(value, form):
    """A value with each array in it as float64 ("array"), "float32", nested lists ("list"), or a torch "tensor".

    Raises:
        ValueError: there is no such form.
    """
    if form not in FORMS:
        raise ValueError(f"There is no form {form!r} of arrays: choose from {', '.join(FORMS)}.")
    if isinstance(value, (list, tuple)):
        return type(value)(in_form(item, form) for item in value)
    if not isinstance(value, np.ndarray) or form == "array":
        return value
    if form == "list":
        return value.tolist()
    if form == "tensor":
        import torch

        return torch.from_numpy(value.copy())
    return value.astype(np.float32) if value.dtype.kind == "f" else value
