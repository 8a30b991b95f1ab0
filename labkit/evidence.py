"""Evidence: `claim` checks a statement against replicated measurements; `predict` asks the learner first.

Both leave their record in the ledger (tables `claim`, `claim_run`, `prediction`).
"""

from __future__ import annotations

import html
import json
import math
import numbers
import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from IPython import get_ipython
from IPython.display import display
from scipy.special import betaincinv, expit, logit, stdtrit

from labkit.ledger import Ledger, one_line, say

CONFIDENCE = 0.95  # of each one-sided bound; the two bounds together are a 90 % interval
MIN_REPLICATES = 5

# Scale: to it, back from it, what the mean is called, the open interval of the values and thresholds that it takes.
# Boolean values choose "yes/no".
_SCALES = {
    "linear": (np.positive, np.positive, "mean", -math.inf, math.inf),
    "log": (np.log, np.exp, "geometric mean", 0, math.inf),
    "logit": (logit, expit, "mean on the logit scale", 0, 1),
    "yes/no": (np.positive, np.positive, "proportion", 0, 1),
}
_SIGNS = {"holds": ("✓", "#2da44e"), "fails": ("✗", "#cf222e"), "empty": ("∅", "#bf8700")}

# The results of the claims made inside `expect_claim_failure`; None outside it.
_demonstration: ContextVar[list[ClaimResult] | None] = ContextVar("demonstration", default=None)


class ClaimError(ValueError):
    """A claim or prediction that cannot be evaluated as it was written: the message says what to change."""


class ClaimFailed(AssertionError):
    """The claim does not hold. `.result` is its `ClaimResult`, which is in the ledger already."""

    def __init__(self, message, result=None):
        super().__init__(message)
        self.result = result


class ClaimEmpty(ClaimFailed):
    """The claim says nothing, because its control meets the same threshold."""


@dataclass(frozen=True)
class ClaimResult:
    """What a claim found: `verdict` is "holds", "fails" or "empty".

    `mean`, `low`, `high` and `control_mean` are in the units of the values, also where the test was on a log or logit
    scale (for yes/no outcomes: proportions). `low` to `high` is a 90 % interval: each end IS a one-sided 95 % bound.
    `id` is the claim's row in the ledger, None where nothing could be written.
    """

    statement: str
    verdict: str
    mean: float
    low: float
    high: float
    n: int
    threshold: str
    source: str
    control_mean: float | None
    id: int | None
    over: str
    control_is: str | None
    no_control: str | None

    @property
    def measured(self) -> str:
        """Everything that differs between machines, with as many digits as the width of the interval deserves."""
        low, mean, high = _format(self.low, self.mean, self.high)
        control = "" if self.control_mean is None else f"; control {_format(self.control_mean)[0]}"
        return f"{mean} (90 % interval {low} to {high}, n = {self.n}{control})"

    def _line(self, measured):
        parts = [self.statement, f"Threshold: {self.threshold}", f"Measured: {measured}"]
        parts += [f"Replicates redraw only: {self.over}"] if self.over != "everything" else []
        parts += [f"Control: {self.control_is}"] if self.control_is else [f"No control: {self.no_control}"]
        return " ".join(one_line(part).rstrip(" .") + "." for part in [*parts, f"Source: {self.source}"])

    def __str__(self):
        return f"{self.verdict.upper()}: {self._line(f'[measured: {self.measured}]')}"

    __repr__ = __str__

    def _repr_html_(self):
        # Word and symbol besides the colour, which is only an edge: it reads as well where styles are stripped, and in
        # light and dark themes. "\0" keeps the place of the measured part while the rest is escaped.
        sign, colour = _SIGNS[self.verdict]
        measured = f'<span class="measured">{html.escape(self.measured)}</span>'
        line = html.escape(self._line("\0"), quote=False).replace("\0", measured)
        style = f"border-left: 4px solid {colour}; padding: 0.2em 0.8em; margin: 0.4em 0"
        return f'<div class="claim" style="{style}">{sign} <strong>{self.verdict.upper()}</strong>: {line}</div>'

    def _ipython_display_(self):
        """Nothing more: `claim` has shown its line already, also where it is the last call of a cell."""


def claim(
    statement,
    values,
    *,
    at_least=None,
    at_most=None,
    within=None,
    control=None,
    control_is=None,
    no_control=None,
    source,
    scale="linear",
    trials=None,
    over="everything",
    runs=(),
) -> ClaimResult:
    """Check a statement against replicated measurements; show, record and return what was found.

    The claim is about the mean over replicates. It HOLDS when the one-sided 95 % confidence bound of that mean, not the
    mean itself, is on the right side of the threshold. The line that it shows gives the mean with its 90 % interval,
    whose two ends are the one-sided 95 % bounds. Built in notebook 00.

    Args:
        statement: one sentence that can be wrong.
        values: [n], one number a replicate, n >= 5; for a comparison the paired differences or ratios. The bounds are
            Student's t; where all values are equal, that value. Booleans are yes/no outcomes: the claim is about their
            proportion, with exact (Clopper-Pearson) bounds, by which 5 of 5 proves only a proportion of 0.549.
        at_least, at_most, within: the threshold, exactly one of them. `within=(low, high)` claims equivalence by two
            one-sided tests: both bounds lie inside.
        control: [m], m >= 5, the same measurement where the effect should be absent. The claim is EMPTY, and fails,
            where the control's mean meets the threshold.
        control_is: what the control is, in words: "the same probe on the untrained layer". Needed beside a control.
        no_control: why there is no control. Exactly one of the two, control or no_control, is needed.
        source: what the claim mirrors, such as "Belkin et al. 2019, fig. 2".
        scale: where the mean is taken: "linear"; "log" for ratios and losses (> 0); "logit" for rates in (0, 1).
        trials: for the logit scale: the number of yes/no outcomes behind each rate, such as the size of the test set.
            Each rate k/m is then taken as (k + 1/2)/(m + 1), so that 0 and 1 have a logit too.
        over: what a replicate redraws, where that is not everything, such as "initialisation".
        runs: ids of the training runs that the claim rests on, such as `ensemble.run_ids`.

    Numbers may be those of Python, NumPy, PyTorch or pandas, and lists of them.

    Raises:
        ClaimFailed, ClaimEmpty: the claim does not hold, its control meets the threshold. It is in the ledger by then.
            With LABKIT_CLAIMS=record in the environment (for pilots) claims are recorded and never raise these.
        ClaimError: the claim cannot be evaluated as written (NaN, fewer than five replicates, no source, ...).

    Source: Clopper and Pearson 1934 (exact bounds); Schuirmann 1987 (two one-sided tests).
    """
    for name, text in {"statement": statement, "source": source, "over": over}.items():
        _require(_is_text(text), f"The claim has no {name}: give it as a line of text.")
    _require(scale in ("linear", "log", "logit"), f'Unknown scale {scale!r}: use "linear", "log" or "logit".')
    if (control is None) == (no_control is None) or (control is None and not _is_text(no_control)):
        raise ClaimError('Give the claim either control=... (where the effect should be absent) or no_control="why".')
    _require(
        _is_text(control_is) if control is not None else control_is is None,
        'Say beside control=... in words what it is, as control_is="the same probe on the untrained layer".',
    )
    values, runs = _replicates(values, "values"), _run_ids(runs)
    at_least, at_most, within, trials = map(_plain, (at_least, at_most, within, trials))
    trials = _whole(trials)
    if values.dtype == bool:
        _require(scale == "linear", f"Yes/no outcomes have exact bounds of their own: leave out scale={scale!r}.")
        scale = "yes/no"
    if control is not None:
        control = _replicates(control, "control")
        if (control.dtype == bool) != (values.dtype == bool):
            raise ClaimError("values and control differ in kind: give both as booleans or both as numbers.")
    outcome, threshold = _judge(values, control, at_least, at_most, within, scale, trials)

    demonstration, ledger = _demonstration.get(), Ledger()
    found = {"statement": statement, **outcome, "source": source, "over": over}
    found |= {"control_is": control_is, "no_control": no_control}
    row = found | {
        "session_id": ledger.session(),
        "scale": scale,
        "trials": trials,
        "at_least": at_least,
        "at_most": at_most,
        "within_low": within and within[0],
        "within_high": within and within[1],
        "values": values.tolist(),
        "control": None if control is None else control.tolist(),
        "demonstration": int(demonstration is not None),
        "claim_run": [{"run_id": run} for run in runs],
    }
    (claim_id,) = ledger.record("claim", row)
    result = ClaimResult(**found, threshold=threshold, id=claim_id)
    _show(result._repr_html_(), str(result))
    if demonstration is not None:
        demonstration.append(result)
    if result.verdict == "fails" and not _only_record():
        raise ClaimFailed(f"The claim does not hold. {result._line(result.measured)}", result)
    if result.verdict == "empty" and not _only_record():
        raise ClaimEmpty(f"The claim is empty: its control meets it too. {result._line(result.measured)}", result)
    return result


def _judge(values, control, at_least, at_most, within, scale, trials):
    """What follows from the replicates alone: (verdict, interval and control's mean as a dict, threshold in words)."""
    _, backward, average, *_ = _SCALES[scale]
    limits, threshold = _threshold(at_least, at_most, within, scale)
    mean, low, high = _bounds(_on_scale(values, "values", scale, trials))
    verdict, control_mean = "holds" if _holds(low, high, limits) else "fails", None
    if control is not None:
        centre, *_ = _bounds(_on_scale(control, "control", scale, trials))
        # The control's mean is enough to make the claim empty. If the control had to pass the whole test, its own
        # noise would protect an empty claim: the wider the control's spread, the less often it would pass.
        verdict, control_mean = "empty" if _holds(centre, centre, limits) else verdict, float(backward(centre))
    mean, low, high = (float(backward(value)) for value in (mean, low, high))
    found = {"verdict": verdict, "mean": mean, "low": low, "high": high, "n": len(values), "control_mean": control_mean}
    return found, f"{average} {threshold}"


def contradictions(row) -> list[str]:
    """The columns of a claim's row in the ledger that do not follow from its values; all is well where there are none.

    Verdict, mean, interval, n and the control's mean are computed again from the values, as `claim` does.
    """
    row = {name: None if value is None or value != value else value for name, value in dict(row).items()}
    within = None if row["within_low"] is None else [row["within_low"], row["within_high"]]
    values, control = (text and np.asarray(json.loads(text)) for text in (row["values"], row["control"]))
    trials = row["trials"] and int(row["trials"])
    found, _ = _judge(values, control, row["at_least"], row["at_most"], within, row["scale"], trials)

    def agree(stored, computed):
        if not isinstance(computed, float):
            return stored == computed
        return stored is not None and math.isclose(stored, computed, rel_tol=1e-9, abs_tol=1e-12)

    return [name for name, value in found.items() if not agree(row[name], value)]


@contextmanager
def expect_claim_failure():
    """Show that a claim can fail: `with expect_claim_failure(): claim(...)`. Introduced in notebook 00.

    The claim inside is stored as a demonstration, which every count leaves out. ClaimError when it holds, or when there
    is none.
    """
    results = []
    token = _demonstration.set(results)
    try:
        yield
    except ClaimFailed:
        pass
    finally:
        _demonstration.reset(token)
    _require(results, "No claim was made inside expect_claim_failure(): put claim(...) into its block.")
    held = any(result.verdict == "holds" for result in results)
    _require(not held or _only_record(), "The claim inside expect_claim_failure() holds: take it out of the block.")
    if not held:
        text = "That claim was expected not to hold: it is a demonstration, left out of every count."
        _show(f"<p>{text}</p>", text)


def predict(question, options) -> Prediction:
    """Ask for a prediction before the result is seen; `.resolve(outcome)` later says how it did. See notebook 00.

    In JupyterLab and Colab it shows the options, a slider for the confidence and a button, all usable by keyboard; on a
    static page the question and its options. Nothing is recorded until the learner answers.

    Args:
        question: one sentence.
        options: at least two different answers.
    """
    prediction = Prediction(question, options)
    items = "".join(f"<li>{html.escape(option)}</li>" for option in prediction.options)
    page = f'<div class="prediction"><p><strong>Predict:</strong> {html.escape(question)}</p><ul>{items}</ul></div>'
    # One bundle: a page with a kernel shows the widget, any other the text. The widget's id changes with every run; it
    # is only in the widget's own MIME type, which regression tests do not compare.
    has_kernel = getattr(get_ipython(), "kernel", None) is not None
    widget = {"application/vnd.jupyter.widget-view+json": prediction._widget()} if has_kernel else {}
    _show(page, "\n- ".join([f"Predict: {question}", *prediction.options]), widget)
    return prediction


class Prediction:
    """A question put by `predict`; `.option` and `.confidence` hold the learner's answer, None before it."""

    def __init__(self, question, options):
        _require(_is_text(question), "The question is missing: give it as a line of text.")
        options = _plain(options)
        is_list = isinstance(options, list) and all(map(_is_text, options))
        _require(is_list and len(set(options)) == len(options) >= 2, "Give at least two different options, as a list.")
        self.question, self.options = question, tuple(options)
        self.option = self.confidence = self.outcome = None
        self._ledger, self._id, self._button = Ledger(), None, None

    def answer(self, option, confidence) -> None:
        """Record an answer at once, as the button does; a later answer replaces it.

        `confidence` is the probability that it is right, from chance (1 / number of options) to 1. ClaimError for
        another option or confidence, or when the outcome is known already.
        """
        text = self._record(option, confidence)
        _show(f"<p>{html.escape(text)}</p>", text)

    def resolve(self, outcome) -> None:
        """Say which option the measurement supports and how the prediction did.

        `outcome` is that option as text, or a list of conditions on what was measured, one for each option in their
        order, of which exactly one is true: `guess.resolve([change < -0.02, abs(change) <= 0.02, change > 0.02])`.
        ClaimError for anything else.
        """
        outcome = _plain(outcome)
        if isinstance(outcome, list):
            outcome = self._supported([bool(condition) for condition in outcome])
        _require(outcome in self.options, f"The outcome {outcome!r} is not one of the options {self.options}.")
        self.outcome = outcome
        if self._button is not None:
            self._button.disabled = True
        if self.option is None:
            text = f"No prediction recorded. The measurement says: {outcome}."
        else:
            correct = self.option == outcome
            self._ledger.update("prediction", self._id, outcome=outcome, correct=int(correct))
            text = f"You said with {self.confidence:.0%} confidence: {self.option}. The measurement says: {outcome}. "
            text += "You were right." if correct else "You were wrong: what did you expect, and why?"
        _show(f"<p>{html.escape(text)}</p>", text)

    def _supported(self, conditions):
        """The option whose condition is true."""
        fit = len(conditions) == len(self.options) and sum(conditions) == 1
        _require(fit, f"Give a condition for each of {self.options}; exactly one must be true, not {conditions}.")
        return self.options[conditions.index(True)]

    def _record(self, option, confidence):
        chance = 1 / len(self.options)
        option, confidence = _plain(option), _plain(confidence)
        _require(self.outcome is None, "The outcome is known: run the question's cell again for a new prediction.")
        _require(option in self.options, f"The answer {option!r} is not one of the options {self.options}.")
        in_range = isinstance(confidence, numbers.Real) and chance - 0.005 <= confidence <= 1  # takes 0.33 for 1/3
        _require(in_range, f"Give your confidence as a number from {chance:.2g} (guessing) to 1.")
        self.option, self.confidence = option, max(float(confidence), chance)
        answer = {"answer": self.option, "confidence": self.confidence}
        if self._id is None:
            row = {"session_id": self._ledger.session(), "question": self.question, "options": list(self.options)}
            (self._id,) = self._ledger.record("prediction", row | answer)
        else:
            self._ledger.update("prediction", self._id, **answer)
        return f"Recorded: {option}, with {self.confidence:.0%} confidence."

    def _widget(self):
        """The question as a widget, in the form that its MIME type holds."""
        import ipywidgets as widgets  # here, because only a page with a kernel needs it

        chance = round(100 / len(self.options))
        look = {"style": {"description_width": "initial"}, "layout": widgets.Layout(width="auto")}
        question = widgets.HTML(f"<strong>Predict:</strong> {html.escape(self.question)}")
        choice = widgets.RadioButtons(options=self.options, value=None, description="Your answer:", **look)
        percent = widgets.IntSlider(chance, min=chance, max=100, description="Your confidence (%):", **look)
        self._button = widgets.Button(description="Record my prediction", layout=widgets.Layout(width="max-content"))
        status = widgets.HTML("Nothing recorded yet.")

        def record(_):
            try:
                _require(choice.value is not None, "Choose an answer first.")
                status.value = html.escape(self._record(choice.value, percent.value / 100))
            except ClaimError as error:
                status.value = html.escape(str(error))

        self._button.on_click(record)
        box = widgets.VBox([question, choice, percent, self._button, status])
        return {"version_major": 2, "version_minor": 0, "model_id": box.model_id}

    def _ipython_display_(self):
        """Nothing more: `predict` has shown the question already, also where it is the last call of a cell."""


def _plain(value):
    """Python's own numbers, and lists of them: of a tensor with gradient or on a GPU, a Series, a list of these."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    other = isinstance(value, numbers.Real | Decimal) and not isinstance(value, int | float)  # a fraction, say
    return float(value) if other else value


def _whole(value):
    """A whole number as an int, also one written as 100.0. What is none, as it was."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _run_ids(runs):
    """The ids in `runs`, each once, or a ClaimError. A run that could not be recorded has none."""
    runs = _plain(runs)
    ids = [_whole(run) for run in (runs if isinstance(runs, list) else [runs]) if run is not None]
    _require(all(map(_is_whole, ids)), "runs must be the ids of training runs, such as ensemble.run_ids.")
    return list(dict.fromkeys(ids))


def _replicates(values, name):
    """`values` as an array [n] of booleans or floats, or a ClaimError that says what is wrong with them."""
    try:
        values = np.asarray(_plain(values))
    except (TypeError, ValueError, RuntimeError):  # lists of different lengths, for example
        values = np.asarray(None)
    _require(values.dtype.kind in "biuf", f"{name} must be a flat list or array of numbers or booleans.")
    _require(values.ndim <= 1, f"{name} must be one-dimensional, one number a replicate; its shape is {values.shape}.")
    if values.size < MIN_REPLICATES:
        few = f"{values.size} replicate{'s' * (values.size != 1)}, not {MIN_REPLICATES} or more"
        raise ClaimError(f"{name} holds {few}: repeat the whole experiment with other seeds.")
    if values.dtype.kind in "iu" and np.isin(values, (0, 1)).all():
        raise ClaimError(f"{name} holds only the integers 0 and 1: give yes/no outcomes as booleans (exact bounds).")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ClaimError(f"{name} holds NaN or infinity at index {bad[0]}: find out why that replicate has no number.")
    return values if values.dtype == bool else values.astype(float)


def _on_scale(values, name, scale, trials):
    """Replicates moved to the scale on which they are tested, or a ClaimError where they do not fit it."""
    if trials is not None:
        _require(scale == "logit", 'trials belongs to rates on the logit scale: add scale="logit" or leave it out.')
        _require(_is_whole(trials) and trials >= 1, "trials must be a whole number, at least 1.")
        yes = np.round(values * trials)
        fit = (abs(values * trials - yes) < 0.01) & (yes >= 0) & (yes <= trials)
        _require(fit.all(), f"{name} does not fit trials={trials}: a rate times trials must be a whole number.")
        values = (yes + 0.5) / (trials + 1)
    forward, _, _, low, high = _SCALES[scale]
    hint = ": for a rate of 0 or 1 give trials=..., the yes/no outcomes behind each rate" if scale == "logit" else ""
    inside = scale == "yes/no" or ((low < values) & (values < high)).all()
    _require(inside, f"{name} must lie strictly between {low} and {high} on the {scale} scale{hint}.")
    return forward(values) if scale != "yes/no" else values


def _threshold(at_least, at_most, within, scale):
    """The lowest and the highest mean allowed, on the scale, and the threshold in words; or a ClaimError."""
    forward, _, _, low, high = _SCALES[scale]
    given = [limit for limit in (at_least, at_most, within) if limit is not None]
    _require(len(given) == 1, "Give the claim exactly one threshold: at_least=..., at_most=... or within=(low, high).")
    pair = isinstance(within, list) and len(within) == 2
    _require(within is None or pair, "within must be a pair (low, high).")
    limits = within if pair else given
    fit = all(isinstance(x, numbers.Real) and math.isfinite(x) and low < x < high for x in limits)
    _require(fit, f"The threshold must be a finite number strictly between {low} and {high} on the {scale} scale.")
    _require(limits == sorted(set(limits)), f"within=(low, high) needs low < high, and not {within}.")
    words = [f"{x:.10g}" for x in limits]
    if pair:
        return forward(limits), f"between {words[0]} and {words[1]}"
    if at_least is not None:
        return (forward(at_least), math.inf), f"at least {words[0]}"
    return (-math.inf, forward(at_most)), f"at most {words[0]}"


def _bounds(values):
    """Mean and its lower and upper one-sided 95 % bound over the last axis: [..., n] -> three arrays [...]."""
    n = values.shape[-1]
    if values.dtype == bool:
        yes = values.sum(-1)  # Clopper-Pearson: quantiles of beta distributions; 0 of n and n of n are the edges
        low = np.where(yes > 0, betaincinv(np.maximum(yes, 1), n - yes + 1, 1 - CONFIDENCE), 0)
        high = np.where(yes < n, betaincinv(yes + 1, np.maximum(n - yes, 1), CONFIDENCE), 1)
        return yes / n, low, high
    # Rounding must not give equal values a spread, nor move their mean off them.
    equal = np.ptp(values, axis=-1) == 0
    mean = np.where(equal, values[..., 0], values.mean(-1))
    width = np.where(equal, 0, stdtrit(n - 1, CONFIDENCE) * values.std(-1, ddof=1) / math.sqrt(n))
    return mean, mean - width, mean + width


def _holds(low, high, limits):
    """Whether both bounds are on the right side; an infinite limit asks nothing of its bound."""
    return (low >= limits[0]) & (high <= limits[1])


def _format(*values):
    """Numbers in the digits that tell them apart: two of their range, three in all where they are equal."""
    size, spread = max(map(abs, values)), max(values) - min(values)
    digits = 2 + math.floor(math.log10(size)) - math.floor(math.log10(spread)) if 0 < spread < math.inf else 3
    return [f"{value:#.{min(max(digits, 3), 8)}g}".rstrip(".") for value in values]


def _show(page, text, more=None):
    if get_ipython() is None:
        say(text)
    else:
        display({"text/html": page, "text/plain": text} | (more or {}), raw=True)


def _is_text(text):
    return isinstance(text, str) and bool(text.strip())


def _only_record():
    return os.environ.get("LABKIT_CLAIMS") == "record"


def _require(condition, message):
    if not condition:
        raise ClaimError(message)
