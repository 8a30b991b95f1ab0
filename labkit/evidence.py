"""Evidence: `claim` checks a statement against replicated measurements; `predict` asks the learner first.

Both leave their record in the ledger (tables `claim`, `claim_run`, `prediction`).
"""

import html
import json
import math
import os
import sys
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import numpy as np
from IPython import display, get_ipython
from scipy import special, stats

from labkit.ledger import Ledger, one_line

_CONFIDENCE = 0.95  # of each one-sided bound; the two bounds together are a 90 % interval

# Scale: to it, back from it, what the mean is called, the open interval of the values and thresholds that it takes.
# Boolean values choose "yes/no".
_SCALES = {
    "linear": (np.copy, np.copy, "mean", -math.inf, math.inf),
    "log": (np.log, np.exp, "geometric mean", 0, math.inf),
    "logit": (special.logit, special.expit, "mean on the logit scale", 0, 1),
    "yes/no": (np.copy, np.copy, "proportion", 0, 1),
}
_SIGNS = {"holds": ("✓", "#2da44e"), "fails": ("✗", "#cf222e"), "empty": ("∅", "#bf8700")}

_demonstrations = []  # for each `expect_claim_failure` that we are inside, the results of its claims


class ClaimError(ValueError):
    """A claim or prediction that cannot be evaluated as it was written: the message says what to change."""


class ClaimFailed(AssertionError):
    """The claim does not hold, or is empty. `.result` is its `ClaimResult`, which is in the ledger already."""

    result = property(lambda self: self.args[0])


class ClaimResult(SimpleNamespace):
    """What a claim found: its row in the ledger (table `claim` in `schema.sql`), and `threshold` in words.

    `verdict` is "holds", "fails" or "empty". `mean`, `low`, `high` and `control_mean` are in the units of the values,
    also where the test was on a log or logit scale (for yes/no outcomes: proportions). `low` to `high` is a 90 %
    interval: each end IS a one-sided 95 % bound. `id` is None where nothing could be written.
    """

    @property
    def measured(self) -> str:
        """Everything that differs between machines."""
        control = "" if self.control_mean is None else f"; control {self.control_mean:.4g}"
        return f"{self.mean:.4g} (90 % interval {self.low:.4g} to {self.high:.4g}, n = {self.n}{control})"

    def _line(self, measured):
        parts = [self.statement, f"Threshold: {self.threshold}", f"Measured: {measured}"]
        parts += [f"Replicates redraw only: {self.over}"] if self.over != "everything" else []
        parts += [f"Control: {self.control_is}"] if self.control else [f"No control: {self.no_control}"]
        return " ".join(one_line(part).rstrip(" .") + "." for part in [*parts, f"Source: {self.source}"])

    def __str__(self):
        return f"{self.verdict.upper()}: {self._line(f'[measured: {self.measured}]')}"

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
        ClaimFailed: the claim does not hold, or its control meets the threshold. It is in the ledger by then.
            With LABKIT_CLAIMS=record in the environment (for pilots) claims are recorded and never raise these.
        ClaimError: the claim cannot be evaluated as written (NaN, fewer than five replicates, no source, ...).

    Source: Clopper and Pearson 1934 (exact bounds); Schuirmann 1987 (two one-sided tests).
    """
    given = all(map(_is_text, [statement, source, over, no_control if control is None else control_is]))
    given = given and None in (control_is, no_control)
    _require(given, "Give a statement and a source as text, and either no_control or control with control_is.")
    _require(scale in ("linear", "log", "logit"), f'Unknown scale {scale!r}: use "linear", "log" or "logit".')
    values, control = _replicates("values", values), control if control is None else _replicates("control", control)
    within_low, within_high = (None, None) if within is None else _plain(within)
    at_least, at_most, trials, runs = _plain([at_least, at_most, trials, runs])

    scale = "yes/no" if isinstance(values[0], bool) else scale
    row = {"statement": statement, "source": source, "over": over, "scale": scale, "trials": trials}
    row |= {"at_least": at_least, "at_most": at_most, "within_low": within_low, "within_high": within_high}
    row |= {"values": values, "control": control, "control_is": control_is, "no_control": no_control}
    found, threshold = _judge(row)
    row |= found | {"session_id": Ledger().session(), "demonstration": int(bool(_demonstrations))}
    (claim_id,) = Ledger().record("claim", row, claim_run=[{"run_id": run} for run in dict.fromkeys(runs)])
    result = ClaimResult(**row, threshold=threshold, id=claim_id)
    _show(str(result), result._repr_html_())
    if _demonstrations:
        _demonstrations[-1].append(result)
    if result.verdict != "holds" and os.environ.get("LABKIT_CLAIMS") != "record":
        raise ClaimFailed(result)
    return result


def _judge(row):
    """What follows from a claim's replicates and threshold alone, as columns of its row; and the threshold in words."""
    forward, backward, average, low, high = _SCALES[row["scale"]]
    names = [name for name in ("at_least", "within_low", "within_high", "at_most") if row[name] is not None]
    words = {"at_least": "at least", "within_low within_high": "between", "at_most": "at most"}.get(" ".join(names))
    given = [row[name] for name in names]
    fit = words and all(isinstance(limit, int | float) and low < limit < high for limit in given)
    _require(fit, f"Give one threshold, at_least, at_most or within=(low, high), between {low} and {high}.")
    lowest = -math.inf if words == "at most" else forward(given[0])
    limits = lowest, math.inf if words == "at least" else forward(given[-1])
    interval, control_mean = _bounds(_on_scale("values", row)), None
    verdict = "holds" if _holds(interval, limits) else "fails"
    if row["control"] is not None:
        # The control's mean is enough to make the claim empty. If the control had to pass the whole test, its own
        # noise would protect an empty claim: the wider the control's spread, the less often it would pass.
        centre, *_ = _bounds(_on_scale("control", row))
        verdict, control_mean = "empty" if _holds([centre], limits) else verdict, float(backward(centre))
    mean, low, high = map(float, map(backward, interval))
    found = {"verdict": verdict, "n": len(row["values"]), "mean": mean, "low": low, "high": high}
    threshold = f"{average} {words} {' and '.join(f'{limit:.10g}' for limit in given)}"
    return found | {"control_mean": control_mean}, threshold


def contradictions(row) -> list[str]:
    """The columns of a claim's row in the ledger that do not follow from its values; all is well where there are none.

    Verdict, mean, interval, n and the control's mean are computed again from the values, as `claim` does.
    """
    row = {name: None if value is None or value != value else value for name, value in dict(row).items()}
    row |= {name: row[name] and json.loads(row[name]) for name in ("values", "control")}
    found, _ = _judge(row)

    def agree(stored, computed):
        floats = isinstance(stored, float) and isinstance(computed, float)
        return math.isclose(stored, computed, rel_tol=1e-9, abs_tol=1e-12) if floats else stored == computed

    return [name for name, value in found.items() if not agree(row[name], value)]


@contextmanager
def expect_claim_failure():
    """Show that a claim can fail: `with expect_claim_failure(): claim(...)`. Introduced in notebook 00.

    The claim inside is stored as a demonstration, which every count leaves out. ClaimError when it holds, or when there
    is none.
    """
    _demonstrations.append([])
    try:
        with suppress(ClaimFailed):
            yield
    finally:
        results = _demonstrations.pop()
    accepted = os.environ.get("LABKIT_CLAIMS") == "record" or all(result.verdict != "holds" for result in results)
    _require(results and accepted, "expect_claim_failure() needs a claim in its block, and none that holds.")
    _show("That claim was expected not to hold: it is a demonstration, left out of every count.")


class Prediction:
    """A question put by `predict`; `.option` and `.confidence` hold the learner's answer, None before it."""

    def __init__(self, question, options):
        options = _plain(options)
        texts = isinstance(options, list) and all(map(_is_text, [question, *options]))
        _require(texts and len(set(options)) == len(options) > 1, "Give a question, and a list of different options.")
        self.question, self.options = question, tuple(options)
        self.option = self.confidence = self.outcome = self._id = None

    def answer(self, option, confidence) -> None:
        """Record an answer at once, as the button does; a later answer replaces it.

        `confidence` is the probability that it is right, from chance (1 / number of options) to 1. ClaimError for
        another option or confidence, or when the outcome is known already.
        """
        _show(self._record(option, confidence))

    def resolve(self, outcome) -> None:
        """Say which option the measurement supports and how the prediction did.

        `outcome` is that option as text, or a list of conditions on what was measured, one for each option in their
        order, of which exactly one is true: `guess.resolve([change < -0.02, abs(change) <= 0.02, change > 0.02])`.
        ClaimError for anything else.
        """
        outcome = _plain(outcome)
        if isinstance(outcome, list) and len(outcome) == len(self.options) and sum(map(bool, outcome)) == 1:
            outcome = self.options[list(map(bool, outcome)).index(True)]
        _require(outcome in self.options, f"Give one of {self.options}, or conditions of which exactly one is true.")
        self.outcome = outcome
        if self.option is None:
            return _show(f"No prediction recorded. The measurement says: {outcome}.")
        correct = self.option == outcome
        Ledger().update("prediction", self._id, outcome=outcome, correct=int(correct))
        said = f"You said with {self.confidence:.0%} confidence: {self.option}. The measurement says: {outcome}."
        _show(f"{said} You were {'right.' if correct else 'wrong: what did you expect, and why?'}")

    def _record(self, option, confidence):
        chance = 1 / len(self.options)
        option, confidence = _plain([option, confidence])
        fit = isinstance(confidence, int | float) and chance - 0.005 <= confidence <= 1  # takes 0.33 for 1/3
        fit = fit and option in self.options and self.outcome is None
        _require(fit, f"Give, before the outcome is known, an option and a confidence from {chance:.2g} to 1.")
        self.option, self.confidence = option, max(confidence, chance)
        answer = {"answer": option, "confidence": self.confidence}
        if self._id is None:
            row = {"session_id": Ledger().session(), "question": self.question, "options": self.options}
            (self._id,) = Ledger().record("prediction", row | answer)
        Ledger().update("prediction", self._id, **answer)
        return f"Recorded: {option}, with {self.confidence:.0%} confidence."

    def _widget(self):
        """The question as a widget."""
        import ipywidgets as widgets  # here, because only a page with a kernel needs it

        chance = round(100 / len(self.options))
        look = {"style": {"description_width": "initial"}, "layout": widgets.Layout(width="auto")}
        question = widgets.HTML(f"<strong>Predict:</strong> {html.escape(self.question)}")
        choice = widgets.RadioButtons(options=self.options, value=None, description="Your answer:", **look)
        percent = widgets.IntSlider(chance, min=chance, max=100, description="Your confidence (%):", **look)
        button = widgets.Button(description="Record my prediction", layout=widgets.Layout(width="max-content"))
        status = widgets.HTML("Nothing recorded yet.")

        def record(_):
            try:
                status.value = html.escape(self._record(choice.value, percent.value / 100))
            except ClaimError as error:
                status.value = html.escape(str(error))

        button.on_click(record)
        return widgets.VBox([question, choice, percent, button, status])

    def _ipython_display_(self):
        """Nothing more: `predict` has shown the question already, also where it is the last call of a cell."""


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
    widget = prediction._widget()._repr_mimebundle_() if getattr(get_ipython(), "kernel", None) else {}
    _show("\n- ".join([f"Predict: {question}", *prediction.options]), page, widget)
    return prediction


def _plain(value):
    """Python's own numbers, and lists of them: of a tensor with gradient or on a GPU, a Series, a list of these."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _replicates(name, values):
    """`values` as a list of booleans or floats; ClaimError where no claim can be about them."""
    values = np.asarray(_plain(values))
    fit = values.dtype.kind in "biuf" and values.ndim == 1 and len(values) >= 5 and np.isfinite(values).all()
    counts = values.dtype.kind in "iu" and np.isin(values, (0, 1)).all()
    _require(fit and not counts, f"{name} must be five or more finite numbers in a list, or booleans (not 0 and 1).")
    return (values if values.dtype == bool else values.astype(float)).tolist()


def _on_scale(name, row):
    """A claim's values or control [n] on the scale on which they are tested; ClaimError where they do not fit it."""
    forward, _, _, low, high = _SCALES[row["scale"]]
    values, trials, fit = np.asarray(row[name]), row["trials"], True
    if trials is not None:
        yes = np.round(values * trials)
        fit = row["scale"] == "logit" and trials > 0 and (abs(values * trials - yes) < 0.01).all()
        values = (yes + 0.5) / (trials + 1)
    fit = fit and (values.dtype == bool or ((low < values) & (values < high)).all())
    _require(fit, f"{name} must lie between {low} and {high}, or with trials=m on the logit scale be rates k/m.")
    return forward(values)


def _bounds(values):
    """Mean and its lower and upper one-sided 95 % bound over the last axis: [..., n] -> three arrays [...]."""
    n = values.shape[-1]
    if values.dtype == bool:
        yes = values.sum(-1)  # Clopper-Pearson: quantiles of beta distributions, which 0 of n and n of n lack
        low, high = stats.beta.ppf(1 - _CONFIDENCE, yes, n - yes + 1), stats.beta.ppf(_CONFIDENCE, yes + 1, n - yes)
        return yes / n, np.nan_to_num(low, nan=0), np.nan_to_num(high, nan=1)
    # Rounding must not give equal values a spread, nor move their mean off them.
    equal = np.ptp(values, axis=-1) == 0
    mean = np.where(equal, values[..., 0], values.mean(-1))
    width = np.where(equal, 0, stats.t.ppf(_CONFIDENCE, n - 1) * stats.sem(values, axis=-1))
    return mean, mean - width, mean + width


def _holds(bounds, limits):
    """Whether all bounds lie between the limits; an infinite limit asks nothing."""
    return (np.min(bounds, axis=0) >= limits[0]) & (np.max(bounds, axis=0) <= limits[1])


def _show(text, page=None, more=None):
    """Display a text, in a page as HTML. `more`: what else is in the same bundle, by MIME type."""
    if get_ipython() is None:
        encoding = sys.stdout.encoding or "utf-8"
        return print(text.encode(encoding, "replace").decode(encoding))
    page = page or f"<p>{html.escape(text)}</p>"
    return display.display((more or {}) | {"text/html": page, "text/plain": text}, raw=True)


def _is_text(text):
    return isinstance(text, str) and bool(text.strip())


def _require(condition, message):
    if not condition:
        raise ClaimError(message)
