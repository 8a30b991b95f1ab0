"""Run the learner's code and come back: with a value, or with a sentence on what happened."""

from __future__ import annotations

import io
import os
import random
import sys
import traceback
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial

import numpy as np

from labcheck.exercise import Reply
from labcheck.time_limit import TimeUp, time_limit
from labcheck.transport import decode, encode

SECONDS = 10.0  # that one call of the learner's code may take in a notebook
PRINTED = 500  # characters of what the learner's code printed that a failed check shows


def perform(request, namespace, seconds=SECONDS) -> Reply:
    """Carry out a `Call` on the learner's names: whatever that code does, a `Reply` comes back.

    An endless loop is stopped after `seconds`, `sys.exit` and recursion without end are caught, the random generators
    of Python, NumPy and PyTorch are left as they were, and what was printed is kept aside.
    """
    before = encode(request.arguments)
    arguments = decode(before)
    printed = Printed()
    reply = Reply()
    with random_state_kept(), redirect_stdout(printed), redirect_stderr(printed), _plain_exit(namespace):
        try:
            with time_limit(seconds):
                names = _Names(namespace)
                use = names[request.target] if isinstance(request.target, str) else partial(request.target, names)
                value = use(*arguments)
                reply.value = decode(encode(value))
                pairs = zip(before["tuple"], encode(arguments)["tuple"], strict=True)
                reply.changed = [position for position, (one, other) in enumerate(pairs) if one != other]
        except BaseException as error:
            reply = _error_reply(error, seconds, request.subject)
    reply.printed = printed.getvalue()
    return reply


def _error_reply(error, seconds, subject):
    """The sentence about an error of what is called `subject`."""
    try:
        text = " ".join(str(error).split())[:300]
    except Exception:  # the learner's own kind of error, with a mistake in it
        text = ""
    match error:
        case TimeUp():
            kind, sentence = (
                "endless",
                f"did not end within {seconds:g} seconds and was stopped: does a loop never end?",
            )
        case KeyboardInterrupt():
            kind, sentence = "interrupted", "was interrupted by you"
        case RecursionError():
            kind, sentence = "recursion", "calls itself without end: which case ends the recursion?"
        case SystemExit():
            kind, sentence = "SystemExit", "ends the whole program (`exit`): use `return` to end a function"
        case NotImplementedError():
            kind, sentence = "NotImplementedError", "is not written yet"
            subject = f"`{text}`" if text.replace(".", "").isidentifier() else subject  # a stub says which it is
        case MemoryError():
            kind, sentence = "MemoryError", "asks for more memory than there is: which array is too large?"
        case _Missing():
            return Reply(kind="missing", sentence=f"there is no `{text}` yet: run the cell that defines it")
        case _:
            kind = type(error).__name__
            sentence = f"raises {kind}: {text}{_line(error)}"
    return Reply(kind=kind, sentence=f"{subject} {sentence}", message=text)


class _Missing(BaseException):
    """A name that the learner has not defined. No `except Exception` catches it."""


class _Names(dict):
    """The learner's names."""

    def __missing__(self, name):
        raise _Missing(name)


def _line(error):
    """Where in the learner's code an error arose."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    cells = [frame for frame in own if not os.path.exists(frame.filename) or "ipykernel" in frame.filename]
    if not cells:
        return ""
    line = f" `{cells[-1].line}`" if cells[-1].line else ""
    return f" (line {cells[-1].lineno} of its cell, in `{cells[-1].name}`:{line})" if line else ""


@contextmanager
def random_state_kept():
    """Leave the random generators of Python, NumPy and PyTorch as they were before the block."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state()
    tensors = [torch.get_rng_state()] if torch else []
    cuda = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for state in tensors:
            torch.set_rng_state(state)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _plain_exit(namespace):
    """In a notebook `exit()` would stop the kernel after the cell. Here it is `sys.exit`, which can be caught."""
    names = {name: namespace[name] for name in ("exit", "quit") if name in namespace}
    namespace.update(exit=sys.exit, quit=sys.exit)
    try:
        yield
    finally:
        for name in ("exit", "quit"):
            namespace.pop(name, None)
        namespace.update(names)


class Printed(io.StringIO):
    """Keeps the first characters of what is written, and drops the rest."""

    def __init__(self, limit=PRINTED):
        super().__init__()
        self.limit = limit

    def write(self, text):
        super().write(text[: max(0, self.limit - self.tell())])
        return len(text)
