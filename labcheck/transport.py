"""Values that travel between a grader and the learner's process: JSON, which nothing executes."""

from __future__ import annotations

import base64
import io
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np


class Opaque(NamedTuple):
    """A result that is neither number, text, array nor a collection of them: its type's name and its `repr`, cut."""

    type: str
    text: str


def encode(value) -> Any:
    """A value in JSON's types: numbers, text, None, arrays, tensors, lists, tuples, dicts; else an `Opaque`."""
    if isinstance(value, (np.number, np.bool_)):
        value = np.asarray(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, Fraction, Decimal)):
        value = float(value)
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Opaque):
        return {"opaque": list(value)}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return {type(value).__name__: [encode(item) for item in value]}
    if type(value) is dict:
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {"array": _bytes(value)}
    if type(value).__module__.startswith("torch") and hasattr(value, "detach"):
        tensor = value.detach().cpu()
        tensor = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor  # which NumPy has not
        return {"tensor": _bytes(tensor.numpy()), "gradient": bool(value.requires_grad)}
    if isinstance(value, range) or (getattr(value, "ndim", 0) and hasattr(value, "__array__")):
        return encode(np.asarray(value).tolist())  # arrays of objects, and tables of pandas
    try:
        text = repr(value)[:80]
    except Exception:
        text = "?"
    return {"opaque": [type(value).__name__, text]}


def decode(value) -> Any:
    """What `encode` made, as it was. Reads data alone: nothing that is sent can run code.

    Raises:
        ValueError: not made by `encode`.
    """
    try:
        return _decode(value)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, EOFError, ImportError) as error:
        raise ValueError(f"not an encoded value ({error})") from error


def _decode(value):
    if not isinstance(value, dict):
        return value
    (kind, content), *rest = value.items()
    match kind:
        case "float":
            return float(content)
        case "opaque":
            return Opaque(*map(str, content))
        case "list" | "tuple":
            return (list if kind == "list" else tuple)(_decode(item) for item in content)
        case "dict":
            return {_decode(key): _decode(item) for key, item in content}
        case "array":
            array = np.load(io.BytesIO(base64.b64decode(content)), allow_pickle=False)
            return array if array.ndim else array[()]
        case "tensor":
            import torch

            array = np.load(io.BytesIO(base64.b64decode(content)), allow_pickle=False)
            return torch.from_numpy(array).requires_grad_(rest == [("gradient", True)])
    raise ValueError(f"not an encoded value ({kind})")


def _bytes(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()
