"""Instant feedback in labs: a line a check says what is right, what is to do, and what is wrong and why.

    lab = check.lab("lab01_perceptron_to_autodiff")
    lab.check("perceptron")     # checks your `perceptron` on fresh random inputs; never raises, never hangs
    lab.solved("perceptron")    # whether that was all right: parts of a lab that build on it ask
    check.progress()            # what is done and what is open, over all labs and notebooks

The checks of a lab are in `labs/checks/`, made from its source. A check is a generator function: it draws inputs,
yields `call`s of the learner's code, is sent what came back, and returns None or the sentence that says what is wrong.
So the same check works beside the learner's code, and in a grader, where that code runs in a process of its own that
sees the inputs and never the expected values.
"""

from __future__ import annotations

import base64
import html
import importlib
import inspect
import io
import math
import os
import pkgutil
import random
import secrets
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

SECONDS = 10.0  # that one call of the learner's code may take in a notebook
PRINTED = 500  # characters of what the learner's code printed that a failed check shows

_SIGNS = {"ok": ("✓", "#2da44e"), "to do": ("○", "#6e7781"), "failed": ("✗", "#cf222e")}


# What a check is made of ----------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """What a check asks of the learner's code: see `call`."""

    target: str | Callable
    arguments: tuple


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


class Opaque(NamedTuple):
    """A result that is neither number, text, array nor a collection of them: its type's name and its `repr`, cut."""

    type: str
    text: str


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
    return f"{_subject(request)} changes {which} in place, which its caller still needs: work on a copy"


def _subject(request):
    return f"`{request.target}`" if isinstance(request.target, str) else "your code"


# Comparing, with a diagnosis ------------------------------------------------------------------------------------------


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


# Values that travel between a grader and the learner's process --------------------------------------------------------


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


# Running the learner's code -------------------------------------------------------------------------------------------

_ENDED = {"endless", "recursion", "interrupted", "gone"}  # after these, other checks would only take as long


def perform(request, namespace, seconds=SECONDS) -> Reply:
    """Carry out a `Call` on the learner's names: whatever that code does, a `Reply` comes back.

    An endless loop is stopped after `seconds`, `sys.exit` and recursion without end are caught, the random generators
    of Python, NumPy and PyTorch are left as they were, and what was printed is kept aside.
    """
    before = encode(request.arguments)
    arguments = _decode(before)
    printed = _Printed()
    reply = Reply()
    with random_state_kept(), redirect_stdout(printed), redirect_stderr(printed), _plain_exit(namespace):
        try:
            with time_limit(seconds):
                names = _Names(namespace)
                use = names[request.target] if isinstance(request.target, str) else partial(request.target, names)
                value = use(*arguments)
                reply.value = _decode(encode(value))
                pairs = zip(before["tuple"], encode(arguments)["tuple"], strict=True)
                reply.changed = [position for position, (one, other) in enumerate(pairs) if one != other]
        except BaseException as error:
            reply = _error_reply(error, seconds, _subject(request))
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
            subject = f"`{text}`" if text.isidentifier() else subject  # a stub says which it is
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


class TimeUp(BaseException):
    """Raised in the learner's code when its time is up. No `except Exception` of theirs catches it."""


class time_limit:  # a name like those of contextlib
    """Raise `TimeUp` in the block when it has taken so long, on every system; only in the main thread, elsewhere never.

    It also ends a loop that catches everything: the next line that runs there raises once more, and that line is in no
    `try` or in the `except` of one.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self.inside, self.up = False, False
        self._finished = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._main, self._tracing = threading.current_thread() is threading.main_thread(), sys.gettrace()
        self._block = sys._getframe(1)  # what the `with` statement is in
        if self._main:
            self._previous = signal.signal(signal.SIGINT, self._handle)
            self._watcher.start()
        self.inside = True

    def __exit__(self, *error):
        self.inside = False
        if self._main:
            self._finished.set()
            self._watcher.join()  # so that no interrupt comes after this
            sys.settrace(self._tracing)
            signal.signal(signal.SIGINT, self._previous or signal.default_int_handler)

    def _watch(self):
        pause = self.seconds
        while not self._finished.wait(pause):
            self.up, pause = True, 0.05
            _interrupt(threading.main_thread().ident)

    def _handle(self, number, frame):
        if not self.inside or frame.f_code is time_limit.__exit__.__code__:  # it comes while we enter or leave
            return
        if not self.up:
            raise KeyboardInterrupt
        while frame is not None and frame is not self._block:  # what the block has called
            frame.f_trace = self._trace
            frame = frame.f_back
        sys.settrace(lambda *event: None)
        raise TimeUp

    def _trace(self, frame, event, argument):
        if event == "line" and self.inside:
            raise TimeUp
        return self._trace


def _interrupt(thread):
    """Interrupt the main thread, also where it sleeps."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGINT)
    else:  # Windows, where this wakes a sleeper too
        import _thread

        _thread.interrupt_main()


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


class _Printed(io.StringIO):
    """Keeps the first characters of what is written, and drops the rest."""

    def write(self, text):
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)


# A lab in the learner's notebook --------------------------------------------------------------------------------------


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

    def checks(self, exercise):
        """A decorator: this generator function is a check of the exercise. Its docstring is the line that is shown."""

        def add(function):
            self.exercises[exercise].checks.append(function)
            return function

        return add

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
        if outcomes[0].status != "to do":
            _record(self.name, chosen, outcomes)
        return None

    def _report(self, exercise, outcomes, seed):
        head = f"Exercise {exercise.number} · {exercise.title}"
        if outcomes[0].status == "to do":
            return Report(f"{head}: open", [("to do", outcomes[0].message, "")])
        passed = sum(outcome.status == "ok" for outcome in outcomes)
        points = f"{exercise.earned(outcomes):.3g} of {exercise.points:g} points"
        lines = [(status, name + (f": {message}" if message else ""), printed if status == "failed" else "")
                 for name, status, message, printed in outcomes]  # fmt: skip
        again = (
            "" if passed == len(outcomes) else f' (the same inputs again: `lab.check("{exercise.name}", seed={seed})`)'
        )
        return Report(f"{head}: {passed} of {len(outcomes)} checks, {points}{again}", lines)

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
    return importlib.import_module(f"labkit.labs.{name}").LAB


def lab_names() -> list[str]:
    """The names of all labs, in order."""
    import labkit.labs

    return sorted(module.name for module in pkgutil.iter_modules(labkit.labs.__path__))


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
