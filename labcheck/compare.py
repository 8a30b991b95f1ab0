"""Compare a result with what is expected, and say how it differs."""

from __future__ import annotations

import math

import numpy as np

from labcheck.transport import Opaque


def compare(got, expected, name="the result", *, rtol=1e-5, atol=1e-6, factors=None) -> str | None:
    """None where two results agree; else one sentence on how `got` differs, as a teacher would say it.

    Args:
        got: what the learner's code returned.
        expected: a number, text, array, tensor, or a list, tuple or dict of them. Lists and tuples are one thing, and a
            list of numbers agrees with an array.
        name: what the sentence calls it.
        rtol, atol: how far a number may lie from the expected one: by `rtol` of it, and by `atol` of the largest
            expected number (of 1 where all are smaller). So the rounding of float32 is no mistake.
        factors: {factor: question} for results that are a known number of times too large or small, such as
            {20: "did you sum where the loss averages?"}. The reciprocals are covered too.
    """
    if got is None and expected is not None:
        return f"{name}: None came back; is a `return` missing?"
    if isinstance(got, Opaque):
        return f"{name}: {_a(got.type)} came back, not {_kind(expected)}"
    if expected is None or isinstance(expected, str):
        if type(got) is type(expected) and got == expected:
            return None
        return f"{name}: {_short(got)} came back, not {_short(expected)}"
    if isinstance(expected, dict):
        return _compare_dicts(got, expected, name, rtol=rtol, atol=atol, factors=factors)
    numbers = _numbers(expected)
    if numbers is None:
        return _compare_lists(got, expected, name, rtol=rtol, atol=atol, factors=factors)
    return _compare_numbers(_numbers(got), numbers, got, name, rtol, atol, factors or {})


def _compare_dicts(got, expected, name, **how):
    if not isinstance(got, dict):
        return f"{name}: {_kind(got)} came back, not a dict"
    if got.keys() != expected.keys():
        return f"{name}: the keys are {_short(sorted(map(str, got)))}, not {_short(sorted(map(str, expected)))}"
    differences = (compare(got[key], expected[key], f"{name}[{key!r}]", **how) for key in expected)
    return next((difference for difference in differences if difference), None)


def _compare_lists(got, expected, name, **how):
    if not isinstance(got, (list, tuple)):
        return f"{name}: {_kind(got)} came back, not {_kind(expected)}"
    if len(got) != len(expected):
        return f"{name}: {len(got)} items came back, not {len(expected)}"
    pairs = enumerate(zip(got, expected, strict=True))
    differences = (compare(one, other, f"item {i} of {name}", **how) for i, (one, other) in pairs)
    return next((difference for difference in differences if difference), None)


def _compare_numbers(got, expected, raw, name, rtol, atol, factors):
    if got is None:
        return f"{name}: {_kind(raw)} came back, not {_kind(expected)}"
    if got.shape != expected.shape:
        flipped = got.ndim == 2 and got.shape == expected.shape[::-1]
        hint = "is it transposed?" if flipped else _shape_hint(got.shape, expected.shape)
        return f"{name}: the shape is {got.shape}, not {expected.shape}" + (f"; {hint}" if hint else "")

    def same(one, other=expected):
        return _close(one, other, rtol, atol)

    if same(got):
        return None
    if not np.isfinite(got).all() and np.isfinite(expected).all():
        what = "NaN (not a number)" if np.isnan(got).any() else "an infinite number"
        return f"{name}: {what} came back; a logarithm of 0, a division by 0, or numbers that grow without end?"
    pattern = _pattern(got, expected, same, factors) if np.isfinite(expected).all() else None
    return f"{name}: {pattern}" if pattern else _first_difference(got, expected, name, same)


def _close(got, expected, rtol, atol):
    """Whether two arrays of one shape agree; infinities and NaN agree with their like."""
    finite = np.abs(expected[np.isfinite(expected)])
    atol = atol * max(1.0, finite.max(initial=0.0))
    return np.allclose(got, expected, rtol, atol, equal_nan=True)


def _pattern(got, expected, same, factors):
    """A difference that one mistake explains."""
    scale = float((got * expected).sum() / ((expected * expected).sum() or 1))
    if 1e-4 < abs(scale) < 1e4 and np.abs(expected).max() > 1e-6 and same(got, scale * expected):
        if math.isclose(scale, -1, rel_tol=1e-4):
            return "the sign is wrong"
        how = f"{abs(scale):.4g} times too large" if abs(scale) > 1 else f"{1 / abs(scale):.4g} times too small"
        sign = " and of the wrong sign" if scale < 0 else ""
        for factor, question in factors.items():
            if any(math.isclose(abs(scale), value, rel_tol=1e-4) for value in (factor, 1 / factor)):
                return f"right but for a factor, {how}{sign}; {question}"
        return f"right but for a factor, {how}{sign}" if expected.size > 1 else None
    if expected.size > 1 and (offset := float(np.mean(got - expected))) and same(got - offset):
        return f"each number is {abs(offset):.4g} too {'large' if offset > 0 else 'small'}"
    if expected.ndim == 2 and expected.shape[0] == expected.shape[1] and same(got.T):
        return "it is transposed"
    telling = expected.ndim and len(np.unique(expected)) > expected.size / 2  # rows of 0 and 1 agree by chance
    if telling and len(expected) > 1 and same(got[::-1]):
        return "the order is reversed"
    if telling and len(expected) > 3:
        for step in (1, -1):
            if same(got[1:-1], np.roll(expected, step, axis=0)[1:-1]):
                return "all is shifted by one place"
    return None


def _first_difference(got, expected, name, same):
    if expected.ndim == 0:
        return f"{name}: {_number(got)} came back, not {_number(expected)}"
    wrong = np.array([not same(one, other) for one, other in zip(got.ravel(), expected.ravel(), strict=True)])
    place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), expected.shape))
    where = ", ".join(map(str, place))
    return (
        f"{name}: {int(wrong.sum())} of {expected.size} numbers differ, the first at [{where}]: "
        f"{_number(got[place])}, not {_number(expected[place])}"
    )


def _shape_hint(got, expected):
    if got == ():
        return "one number came back for several"
    if sorted(size for size in got if size != 1) == sorted(size for size in expected if size != 1):
        return "an axis of size 1 too many or too few?"
    if len(got) < len(expected):
        return "was an axis summed or averaged away?"
    return ""


def _numbers(value):
    """The value as an array of numbers, or None where it is none. Booleans count as 0 and 1."""
    if isinstance(value, (list, tuple)):
        parts = [_numbers(item) for item in value]
        alike = all(part is not None for part in parts) and len({part.shape for part in parts}) == 1
        return np.stack(parts) if alike else None if parts else np.zeros(0)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    return array.astype(float) if array.dtype.kind in "biuf" else None


def _number(value):
    return f"{float(value):.6g}"


def _short(value):
    """The value as text, cut: nobody reads a hundred numbers."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


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
