"""Compare a result with what is expected, and say how it differs."""

from __future__ import annotations

import math

import numpy as np

from labcheck.transport import Opaque


def compare(got, expected, name="the result", *, rtol=1e-6, atol=1e-9, factors=None) -> str | None:
    """None where two results agree; else one sentence on how `got` differs, as a teacher would say it.

    Args:
        got: what the learner's code returned.
        expected: a number, text, array, tensor, or a list, tuple or dict of them. Lists and tuples are one thing, and a
            list of numbers agrees with an array.
        name: what the sentence calls it.
        rtol, atol: as in `numpy.allclose`.
        factors: {factor: question} for results that are a known number of times too large or small, such as
            {20: "did you sum where the loss averages?"}. The reciprocals are covered too.
    """
    if got is None and expected is not None:
        return f"{name} is None: is a `return` missing?"
    if isinstance(got, Opaque):
        return f"{name} is {_a(got.type)}, not {_kind(expected)}"
    if expected is None or isinstance(expected, str):
        return None if type(got) is type(expected) and got == expected else f"{name} is {got!r}, not {expected!r}"
    if isinstance(expected, dict):
        return _compare_dicts(got, expected, name, rtol=rtol, atol=atol, factors=factors)
    numbers = _numbers(expected)
    if numbers is None:
        return _compare_lists(got, expected, name, rtol=rtol, atol=atol, factors=factors)
    return _compare_numbers(_numbers(got), numbers, got, name, rtol, atol, factors or {})


def _compare_dicts(got, expected, name, **how):
    if not isinstance(got, dict):
        return f"{name} is {_kind(got)}, not a dict"
    if got.keys() != expected.keys():
        return f"{name} has the keys {sorted(map(str, got))}, not {sorted(map(str, expected))}"
    differences = (compare(got[key], expected[key], f"{name}[{key!r}]", **how) for key in expected)
    return next((difference for difference in differences if difference), None)


def _compare_lists(got, expected, name, **how):
    if not isinstance(got, (list, tuple)):
        return f"{name} is {_kind(got)}, not {_kind(expected)}"
    if len(got) != len(expected):
        return f"{name} has {len(got)} items, not {len(expected)}"
    pairs = enumerate(zip(got, expected, strict=True))
    differences = (compare(one, other, f"item {i} of {name}", **how) for i, (one, other) in pairs)
    return next((difference for difference in differences if difference), None)


def _compare_numbers(got, expected, raw, name, rtol, atol, factors):
    if got is None:
        return f"{name} is {_kind(raw)}, not {_kind(expected)}"
    if got.shape != expected.shape:
        flipped = got.ndim == 2 and got.shape == expected.shape[::-1]
        hint = ": is it transposed?" if flipped else _shape_hint(got.shape, expected.shape)
        return f"{name} has the shape {got.shape}, not {expected.shape}{hint}"
    if np.array_equal(np.isnan(got), np.isnan(expected)) and np.allclose(got, expected, rtol, atol, equal_nan=True):
        return None
    if not np.isfinite(got).all() and np.isfinite(expected).all():
        what = "NaN (not a number)" if np.isnan(got).any() else "infinite"
        return f"{name} is {what}: a logarithm of 0, a division by 0, or numbers that grow without end?"
    return _pattern(got, expected, name, rtol, atol, factors) or _first_difference(got, expected, name, rtol, atol)


def _pattern(got, expected, name, rtol, atol, factors):
    """A difference that one mistake explains."""
    if not np.isfinite(expected).all():
        return None

    def same(one):
        return np.allclose(one, expected, rtol, atol)

    scale = float((got * expected).sum() / ((expected * expected).sum() or 1))
    if scale and not same(np.zeros_like(expected)) and np.allclose(got, scale * expected, rtol, atol):
        if math.isclose(scale, -1, rel_tol=rtol):
            return f"{name} has the wrong sign"
        how = f"{abs(scale):.4g} times too large" if abs(scale) > 1 else f"{1 / abs(scale):.4g} times too small"
        sign = " and has the wrong sign" if scale < 0 else ""
        for factor, question in factors.items():
            if any(math.isclose(abs(scale), value, rel_tol=1e-4) for value in (factor, 1 / factor)):
                return f"{name} has the right direction but is {how}{sign}: {question}"
        if expected.size > 1:
            return f"{name} has the right direction but is {how}{sign}"
        return None
    if expected.size > 1 and (offset := float(np.mean(got - expected))) and same(got - offset):
        return f"{name} is off by {offset:.4g} in every place"
    if expected.ndim == 2 and expected.shape[0] == expected.shape[1] and same(got.T):
        return f"{name} is transposed"
    if expected.ndim and len(expected) > 1:
        if same(got[::-1]):
            return f"{name} is in the reverse order"
        for step in (1, -1):
            if np.allclose(got[1:-1], np.roll(expected, step, axis=0)[1:-1], rtol, atol) and len(expected) > 3:
                return f"{name} is shifted by one place"
    return None


def _first_difference(got, expected, name, rtol, atol):
    if expected.ndim == 0:
        return f"{name} is {_number(got)}, not {_number(expected)}"
    wrong = ~np.isclose(got, expected, rtol, atol, equal_nan=True)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = ", ".join(map(str, place))
    return (
        f"{name} differs in {int(wrong.sum())} of {expected.size} places, first at [{where}]: "
        f"{_number(got[place])}, not {_number(expected[place])}"
    )


def _shape_hint(got, expected):
    if got == ():
        return ": one number came back for several"
    if sorted(size for size in got if size != 1) == sorted(size for size in expected if size != 1):
        return ": an axis of size 1 too many or too few"
    if len(got) < len(expected):
        return ": was an axis summed or averaged away?"
    return ""


def _numbers(value):
    """The value as an array of numbers, or None where it is none. Booleans count as 0 and 1."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)) and not value:
        return np.zeros(0)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        return None
    return array.astype(float) if array.dtype.kind in "biuf" else None


def _number(value):
    return f"{float(value):.6g}"


def _a(noun):
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def _kind(value):
    if isinstance(value, Opaque):
        return _a(value.type)
    if value is None:
        return "None"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    if isinstance(value, (int, float, np.number)) or (isinstance(value, np.ndarray) and not value.ndim):
        return "a number"
    return "text" if isinstance(value, str) else _a(type(value).__name__)
