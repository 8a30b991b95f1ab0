"""Values that travel between a grader and the learner's process: JSON, which nothing executes."""

from __future__ import annotations

import base64
import io
import math
from typing import Any, NamedTuple

import numpy as np


class Opaque(NamedTuple):
    """A result that is neither number, text, array nor a collection of them: its type's name and its `repr`, cut."""

    type: str
    text: str


def encode(value) -> Any:
    """A value in JSON's types: numbers, text, None, arrays, tensors, lists, tuples, dicts; else an `Opaque`."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Opaque):
        return {"opaque": list(value)}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return {type(value).__name__: [encode(item) for item in value]}
    if type(value) is dict:
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {"array": _bytes(value)}
    if type(value).__module__ == "torch" and hasattr(value, "detach"):
        array = value.detach().cpu().numpy()
        return {"tensor": _bytes(array), "gradient": bool(value.requires_grad)}
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
