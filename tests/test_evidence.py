"""labkit.evidence: each rule of `claim`, with the bounds computed a second way; `expect_claim_failure`; `predict`."""

import html
import inspect
import io
import json
import math
import pickle
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from sanitize import sanitized
from scipy.integrate import quad
from scipy.optimize import brentq
from traitlets.config import Config

from labkit import evidence
from labkit.evidence import ClaimError, ClaimFailed, Prediction, claim, expect_claim_failure, predict
from labkit.ledger import Ledger

WIDGET = "application/vnd.jupyter.widget-view+json"
NARROW = [3.1, 3.0, 3.2, 3.05, 3.15]  # mean 3.1
WIDE = [1.0, 6.0, 0.5, 5.0, 3.0]  # the same mean, far wider
COMMON = {"source": "a test", "no_control": "a test"}
CONTROLLED = {"source": "a test", "control_is": "the same without it"}


@pytest.fixture(autouse=True)
def claims_raise(monkeypatch):
    monkeypatch.delenv("LABKIT_CLAIMS", raising=False)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A running IPython, so that what is displayed can be captured."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


@pytest.fixture
def bundles(shell):
    """A function that calls another one and returns the MIME bundles that it displays."""

    def displayed(function, *args, **kwargs):
        with capture_output() as captured:
            function(*args, **kwargs)
        assert captured.stdout == ""
        return [output.data for output in captured.outputs]

    return displayed


def rows(table):
    frame = Ledger().query(f"SELECT * FROM {table} ORDER BY rowid").astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def attempt(values, **kwargs):
    """The result of a claim, whether it holds or not."""
    try:
        return claim("A statement.", values, **(COMMON | kwargs))
    except ClaimFailed as failure:
        return failure.result


# The bounds, computed without scipy.special or scipy.stats -----------------------------------------------------------


def t_quantile(degrees, probability=0.95):
    """Student's t: integrate its density and solve for the quantile."""
    c = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2) / math.sqrt(degrees * math.pi)
    upto = lambda t: 0.5 + quad(lambda x: c * (1 + x * x / degrees) ** (-(degrees + 1) / 2), 0, t)[0]  # noqa: E731
    return brentq(lambda t: upto(t) - probability, 0, 50, xtol=1e-12)


def t_bounds(values):
    n, mean = len(values), math.fsum(values) / len(values)
    half = t_quantile(n - 1) * math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1) / n)
    return mean, mean - half, mean + half


def binomial_tail(k, n, p):
    """P(X >= k)."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def exact_bounds(k, n):
    """Clopper-Pearson by its definition: the proportions at which k or more, or k or fewer, have probability 5 %."""
    low = brentq(lambda p: binomial_tail(k, n, p) - 0.05, 0, 1, xtol=1e-13) if k else 0.0
    high = brentq(lambda p: 1 - binomial_tail(k + 1, n, p) - 0.05, 0, 1, xtol=1e-13) if k < n else 1.0
    return k / n, low, high


def test_t_quantile_agrees_with_the_printed_table():
    assert t_quantile(4) == pytest.approx(2.1318, abs=5e-5)  # Student's table, 5 % in one tail
    assert t_quantile(19) == pytest.approx(1.7291, abs=5e-5)


@pytest.mark.parametrize("n", [5, 6, 20])
@pytest.mark.parametrize(
    ("scale", "forward", "backward"),
    [
        ("linear", lambda x: x, lambda z: z),
        ("log", math.log, math.exp),
        ("logit", lambda p: math.log(p / (1 - p)), lambda z: 1 / (1 + math.exp(-z))),
    ],
)
def test_interval_is_students_t_on_the_scale(scale, forward, backward, n):
    values = np.random.default_rng(n).uniform(0.2, 0.9, n)
    found = attempt(values, at_least=0.5, scale=scale)
    expected = [backward(z) for z in t_bounds([forward(x) for x in values])]
    assert [found.mean, found.low, found.high] == pytest.approx(expected, rel=1e-9)
    assert found.n == n


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (1, 5), (4, 5), (17, 20), (50, 100)])
def test_yes_no_outcomes_have_exact_bounds(k, n):
    found = attempt(np.arange(n) < k, at_least=0.5)
    assert [found.mean, found.low, found.high] == pytest.approx(exact_bounds(k, n), abs=1e-9)


def test_trials_give_rates_of_zero_and_one_a_logit():
    rates, m = [1.0, 0.95, 1.0, 0.9, 0.0], 20
    found = attempt(rates, at_least=0.5, scale="logit", trials=m)
    corrected = [(round(rate * m) + 0.5) / (m + 1) for rate in rates]
    expected = [1 / (1 + math.exp(-z)) for z in t_bounds([math.log(p / (1 - p)) for p in corrected])]
    assert [found.mean, found.low, found.high] == pytest.approx(expected, rel=1e-9)


# The rules ----------------------------------------------------------------------------------------------------------


def test_wide_spread_fails_although_the_mean_passes():
    assert np.mean(WIDE) == pytest.approx(np.mean(NARROW))
    assert attempt(NARROW, at_least=2.9).verdict == "holds"
    assert attempt(WIDE, at_least=2.9).verdict == "fails"
    assert attempt(NARROW, at_most=3.3).verdict == "holds"
    assert attempt(WIDE, at_most=3.3).verdict == "fails"


def test_the_bound_and_not_the_mean_meets_the_threshold():
    _, low, high = t_bounds(NARROW)
    for holds, fails in [({"at_least": low - 1e-9}, {"at_least": low + 1e-9}),
                         ({"at_most": high + 1e-9}, {"at_most": high - 1e-9})]:  # fmt: skip
        assert attempt(NARROW, **holds).verdict == "holds"
        assert attempt(NARROW, **fails).verdict == "fails"


def test_within_needs_both_bounds_inside():
    _, low, high = t_bounds(NARROW)
    assert attempt(NARROW, within=(low - 1e-9, high + 1e-9)).verdict == "holds"
    assert attempt(NARROW, within=(low + 1e-9, high + 1e-9)).verdict == "fails"
    assert attempt(NARROW, within=(low - 1e-9, high - 1e-9)).verdict == "fails"
    assert attempt(WIDE, within=(2.9, 3.3)).verdict == "fails"  # "no effect" is not shown by a noisy measurement
    assert attempt([0.11, 0.10, 0.09, 0.10, 0.12], within=(0.05, 0.2), scale="logit").verdict == "holds"


def test_five_of_five_prove_only_a_proportion_of_0_549():
    assert attempt([True] * 5, at_least=0.549).verdict == "holds"
    assert attempt([True] * 5, at_least=0.55).verdict == "fails"
    assert attempt(np.zeros(5, bool), at_most=0.4508).verdict == "holds"
    assert attempt(np.zeros(5, bool), at_most=0.45).verdict == "fails"


@pytest.mark.parametrize("scale", ["linear", "log", "logit"])
def test_equal_values_are_their_own_bounds(scale):
    found = attempt([0.1] * 6, at_least=0.1, scale=scale)  # np.mean([0.1] * 6) < 0.1
    assert found.verdict == "holds"
    assert found.low == found.mean == found.high == pytest.approx(0.1)
    assert attempt([0.1] * 6, at_most=0.1, scale=scale).verdict == "holds"
    assert attempt([0.1] * 6, at_least=0.1 + 1e-9, scale=scale).verdict == "fails"


def test_a_control_whose_mean_meets_the_threshold_makes_the_claim_empty():
    with pytest.raises(ClaimFailed, match=r"^EMPTY: ") as raised:
        claim("A statement.", NARROW, at_least=2.0, **CONTROLLED, control=WIDE)  # the control's bound is below 2
    assert raised.value.result.verdict == "empty"
    assert raised.value.result.control_mean == pytest.approx(3.1)
    assert attempt(WIDE, at_least=2.0).verdict == "fails"  # so as a claim the control would not pass
    found = claim("A statement.", NARROW, at_least=2.0, **CONTROLLED, control=[1.0, 1.1, 0.9, 1.0, 1.2, 1.0])
    assert (found.verdict, found.control_mean) == ("holds", pytest.approx(6.2 / 6))


@pytest.mark.parametrize(
    ("values", "control", "threshold", "control_mean"),
    [
        # On the log scale the control's mean is geometric: sqrt(1 * 100) and not 50.5.
        ([60, 61, 62, 63, 64.0], [1, 100, 1, 100, 1, 100.0], {"at_least": 20, "scale": "log"}, 10.0),
        ([True] * 20, [True] * 3 + [False] * 3, {"at_least": 0.6}, 0.5),
        ([0.1, 0.11, 0.09, 0.1, 0.1], [0.1, 0.5, 0.6, 0.5, 0.5], {"within": (0.05, 0.15)}, 0.44),
    ],
)
def test_control_is_averaged_on_the_scale_of_the_claim(values, control, threshold, control_mean):
    found = attempt(values, control=control, control_is="the same without it", no_control=None, **threshold)
    assert (found.verdict, found.control_mean) == ("holds", pytest.approx(control_mean))


def test_an_empty_yes_no_claim():
    assert (
        attempt(
            [True] * 20,
            control=[True] * 4 + [False] * 2,
            control_is="the same without it",
            no_control=None,
            at_least=0.6,
        ).verdict
        == "empty"
    )


def test_failure_carries_result_and_says_what_was_measured():
    with pytest.raises(ClaimFailed) as raised:
        claim("Widgets grow.", WIDE, at_least=2.9, **COMMON)
    assert isinstance(raised.value, AssertionError)
    for part in ("FAILS", "Widgets grow", "mean at least 2.9", "3.1", "n = 5", "0.8039", "5.396"):
        assert part in str(raised.value)
    assert pickle.loads(pickle.dumps(raised.value)).result == raised.value.result  # crosses a process boundary


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor(NARROW, requires_grad=True),
        torch.tensor(NARROW).double(),
        torch.tensor(NARROW, dtype=torch.bfloat16),
        [torch.tensor(x, requires_grad=True) for x in NARROW],
        [np.array(x, dtype=np.float32) for x in NARROW],
        np.array([torch.tensor(x) for x in NARROW] + [None], dtype=object)[:5],
        tuple(NARROW),
        np.float32(NARROW),
        np.array(NARROW, dtype=">f8"),
        np.array(NARROW, dtype=np.longdouble),
        pd.Series(NARROW, index=list("abcde")),
        pd.array(NARROW, dtype="Float64"),
    ],
)
def test_values_of_any_common_type(values):
    assert attempt(values, at_least=2.9).mean == pytest.approx(3.1, rel=1e-2)
    assert attempt(values, at_least=2.9, control=values, control_is="the same", no_control=None).verdict == "empty"
    assert json.loads(rows("claim")[0]["values"]) == pytest.approx(NARROW, rel=1e-2)


@pytest.mark.parametrize(
    "kind", [float, np.float64, np.float32, np.array, torch.tensor, lambda x: torch.tensor(x).bfloat16()]
)
def test_thresholds_of_any_common_type(kind):
    assert attempt(NARROW, at_least=kind(2.5)).threshold == "mean at least 2.5"
    assert attempt(NARROW, at_most=kind(3.5)).threshold == "mean at most 3.5"
    assert attempt(NARROW, within=(kind(2.5), kind(3.5))).threshold == "mean between 2.5 and 3.5"
    assert [row["within_high"] for row in rows("claim")] == [None, None, 3.5]


@pytest.mark.parametrize("pair", [[2, 4], np.array([2.0, 4.0]), torch.tensor([2.0, 4.0]), pd.Series([2, 4])])
def test_a_pair_of_any_common_type(pair):
    assert attempt(NARROW, within=pair).threshold == "mean between 2 and 4"


@pytest.mark.parametrize("trials", [20, 20.0, np.int64(20), np.float32(20), torch.tensor(20)])
def test_trials_of_any_common_type(trials):
    attempt([1.0, 0.95, 1.0, 0.9, 0.0], at_least=0.5, scale="logit", trials=trials)
    assert rows("claim")[0]["trials"] == 20


def test_tensor_of_booleans_is_yes_no():
    assert attempt(torch.tensor(NARROW) > 3.01, at_least=0.5).mean == 0.8


# Misuse: one clear sentence -----------------------------------------------------------------------------------------

YES = [True, False, True, True, True]


@pytest.mark.parametrize(
    ("values", "kwargs", "message"),
    [
        ([1, 2, float("nan"), 4, 5], {}, "values must be five or more finite numbers"),
        ([1, 2, 3, 4, float("inf")], {}, "values must be five or more finite numbers"),
        ([1.5], {}, "values must be five or more finite numbers"),
        (1.5, {}, "values must be five or more finite numbers"),
        ([1.5, 2, 3, 4], {}, "values must be five or more finite numbers"),
        ([], {}, "values must be five or more finite numbers"),
        (np.ones((5, 2)), {}, "values must be five or more finite numbers"),
        (["0.9"] * 5, {}, "values must be five or more finite numbers"),
        ("exact", {}, "values must be five or more finite numbers"),
        (None, {}, "values must be five or more finite numbers"),
        ([1.0, None, 2.0, 3.0, 4.0], {}, "values must be five or more finite numbers"),
        ([1j] * 5, {}, "values must be five or more finite numbers"),
        ([1, 0, 1, 1, 1], {}, "values must be five or more finite numbers"),
        (NARROW, {"source": " "}, "either no_control or control with control_is"),
        (NARROW, {"source": None}, "either no_control or control with control_is"),
        (NARROW, {"over": ""}, "either no_control or control with control_is"),
        (NARROW, {"at_least": None}, "Give one threshold"),
        (NARROW, {"at_most": 4}, "Give one threshold"),
        (NARROW, {"at_least": float("nan")}, "Give one threshold"),
        (NARROW, {"at_least": math.inf}, "Give one threshold"),
        (NARROW, {"at_least": "3"}, "Give one threshold"),
        (NARROW, {"at_least": -1, "scale": "log"}, "between 0 and inf"),
        (NARROW, {"at_least": 0, "scale": "log"}, "between 0 and inf"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], {"at_least": 1, "scale": "logit"}, "between 0 and 1"),
        (YES, {"at_least": 1.5}, "between 0 and 1"),
        (YES, {"at_least": 0}, "between 0 and 1"),
        (NARROW, {"scale": "cubic"}, "Unknown scale 'cubic'"),
        (YES, {"scale": "yes/no"}, "Unknown scale"),
        ([1.0, 2, 3, 4, 0], {"scale": "log"}, "values must lie between 0 and inf"),
        ([0.5, 0.6, 0.7, 0.8, 1.0], {"at_least": 0.1, "scale": "logit"}, "with trials=m"),
        ([0.5, 0.6, 0.7, 0.8, 1.0], {"at_least": 0.1, "trials": 10}, "on the logit scale"),
        ([0.5, 0.6, 0.7, 0.8, 1.0], {"at_least": 0.1, "scale": "logit", "trials": 7}, "rates k/m"),
        ([0.5, 0.6, 0.7, 0.8, 2.0], {"at_least": 0.1, "scale": "logit", "trials": 10}, "between 0 and 1"),
        ([0.5, 0.6, 0.7, 0.8, 1.0], {"at_least": 0.1, "scale": "logit", "trials": 0}, "rates k/m"),
        (torch.tensor(NARROW, requires_grad=True).reshape(5, 1), {}, "values must be five or more finite numbers"),
        (pd.DataFrame({"a": NARROW, "b": NARROW}), {}, "values must be five or more finite numbers"),
        (pd.array([1.5, 2, 3, 4, None], dtype="Float64"), {}, "values must be five or more finite numbers"),
        (torch.tensor([1j] * 5), {}, "values must be five or more finite numbers"),
        ((x for x in NARROW), {}, "values must be five or more finite numbers"),
        (NARROW, {"at_least": torch.tensor([2.0, 3.0])}, "Give one threshold"),
        (NARROW, {"no_control": None}, "either no_control or control with control_is"),
        (NARROW, {"no_control": "  "}, "either no_control or control with control_is"),
        (NARROW, {"control": NARROW}, "either no_control or control with control_is"),
        (NARROW, CONTROLLED | {"control": [1.0], "no_control": None}, "control must be five or more finite numbers"),
        (NARROW, CONTROLLED | {"control": [0.0] * 5, "no_control": None, "scale": "log"}, "control must lie"),
        (NARROW, {"control": [1.0] * 5, "no_control": None}, "either no_control or control with control_is"),
        (
            NARROW,
            {"control": [1.0] * 5, "no_control": None, "control_is": "  "},
            "either no_control or control with control_is",
        ),
    ],
)
def test_misuse_is_an_error_and_leaves_no_record(values, kwargs, message):
    with pytest.raises(ClaimError, match=message) as raised:
        claim("A statement.", values, **(COMMON | {"at_least": 2.0} | kwargs))
    assert "\n" not in str(raised.value)
    assert rows("claim") == []


@pytest.mark.parametrize("statement", ["", "  ", None, 3])
def test_a_claim_needs_a_statement(statement):
    with pytest.raises(ClaimError, match="Give a statement"):
        claim(statement, NARROW, at_least=2, **COMMON)


def test_a_claim_needs_a_source():
    assert inspect.signature(claim).parameters["source"].default is inspect.Parameter.empty


# Error rates, simulated on the very functions that decide ------------------------------------------------------------

SIMULATED = 200_000


def verdicts(mean, n, limits):
    values = np.random.default_rng(0).normal(mean, 1.0, (SIMULATED, n))
    _, low, high = evidence._bounds(values)
    return evidence._holds([low, high], limits)


@pytest.mark.parametrize("n", [5, 20])
def test_a_true_effect_four_standard_deviations_off_almost_never_fails(n):
    assert 1 - verdicts(4.0, n, (0.0, math.inf)).mean() < 1e-4
    assert 1 - verdicts(-4.0, n, (-math.inf, 0.0)).mean() < 1e-4


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("limits", [(0.0, math.inf), (-math.inf, 0.0), (-9.0, 0.0)])
def test_a_false_claim_passes_in_five_percent_at_most(limits, n):
    noise = 4 * math.sqrt(0.05 * 0.95 / SIMULATED)
    assert verdicts(0.0, n, limits).mean() == pytest.approx(0.05, abs=noise)  # on the threshold: 5 %, not fewer
    assert verdicts(0.0, n, (-0.1, 0.1)).mean() <= 0.05  # a window narrower than the noise proves nothing


@pytest.mark.parametrize("n", [5, 12, 30])
def test_a_false_yes_no_claim_passes_in_five_percent_at_most(n):
    outcomes = np.arange(n) < np.arange(n + 1)[:, None]  # k of n, for every k
    _, low, _ = evidence._bounds(outcomes)
    for truth in np.linspace(0.05, 0.95, 19):
        chances = [math.comb(n, k) * truth**k * (1 - truth) ** (n - k) for k in range(n + 1)]
        assert np.dot(chances, evidence._holds([low], (truth, math.inf))) <= 0.05


# What is shown ------------------------------------------------------------------------------------------------------


def test_the_line_is_the_same_for_other_measurements(bundles):
    say = {"at_least": 2, "source": "<A & B> 2019", "control": [1.0, 1.1, 1.2, 1.0, 1.1], "control_is": "p = 10 n"}
    (one,) = bundles(claim, "Error at p = n < error at p = 10 n.", NARROW, **say)
    (two,) = bundles(claim, "Error at p = n < error at p = 10 n.", [4e9, 5e9, 6e9, 5e9, 4e9, 5e9], **say)
    assert set(one) == {"text/html", "text/plain"}
    for kind in one:
        assert one[kind] != two[kind]
        assert sanitized(one[kind]) == sanitized(two[kind])
    page = one["text/html"]
    assert page.count("\n") == 0
    outside = re.sub(r'<span class="measured">.*?</span>', "", page)
    inside = re.search(r'<span class="measured">(.*?)</span>', page)[1]
    for part in (
        "HOLDS",
        "Error at p = n &lt; error at p = 10 n.",
        "mean at least 2",
        "Control: p = 10 n.",
        "&lt;A &amp; B&gt; 2019",
    ):
        assert part in outside
    assert inside == "3.1 (90 % interval 3.025 to 3.175, n = 5; control 1.08)"
    assert one["text/plain"].startswith("HOLDS: Error at p = n < error at p = 10 n. Threshold: mean at least 2.")


def test_another_verdict_threshold_or_statement_shows_after_sanitizing(shell):
    lines = [attempt(NARROW, at_least=2), attempt(NARROW, at_least=9), attempt(NARROW, at_least=2.5)]
    lines += [
        attempt(NARROW, at_least=2, control=NARROW, control_is="the same without it", no_control=None),
        attempt(NARROW, at_least=2, over="batches"),
    ]
    lines += [attempt(NARROW, at_least=2, scale="log"), attempt(NARROW, at_most=4), attempt(NARROW, within=(2, 4))]
    pages = {sanitized(line._repr_html_()) for line in lines}
    assert len(pages) == len({sanitized(str(line)) for line in lines}) == len(lines)
    for word, line in zip(("HOLDS", "FAILS", "HOLDS", "EMPTY"), lines, strict=False):
        assert f"<strong>{word}</strong>" in line._repr_html_()


def test_numbers_have_four_digits():
    found = attempt([0.97120, 0.97130, 0.97110, 0.97125, 0.97115], at_least=0.9)
    assert found.measured == "0.9712 (90 % interval 0.9711 to 0.9713, n = 5)"
    assert attempt([120.0, 130, 140, 150, 160], at_least=1).measured == "140 (90 % interval 124.9 to 155.1, n = 5)"


def test_limits_in_the_wrong_order_are_refused_by_the_schema():
    with pytest.raises(ValueError, match="within_low <= within_high"):
        attempt(NARROW, within=(2, 1))


def test_outside_ipython_it_prints_one_line(capsys):
    claim("Widgets grow.", NARROW, at_least=2, **COMMON)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.isascii()  # for consoles that know no other letters
    assert out.startswith("HOLDS: Widgets grow. Threshold: mean at least 2. Measured: [measured: 3.1 (90 %")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x0b", "\x1c", "\x85", "\u2028"])
def test_a_text_of_two_lines_is_shown_on_one(end, capsys):
    found = claim(f"Widgets{end}grow.", NARROW, at_least=2, source=f"a{end}b", no_control=f"c{end}d")
    assert len(capsys.readouterr().out.splitlines()) == len(found._repr_html_().splitlines()) == 1
    assert "Widgets grow. Threshold" in str(found)


def test_a_claim_is_shown_on_a_stream_that_lacks_its_letters(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    claim("Θ ≥ 2", NARROW, at_least=2, **COMMON)
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"HOLDS: ? ? 2.")


def test_a_result_that_ends_a_cell_shows_nothing_more(shell):
    with capture_output() as captured:
        shell.run_cell(
            "from labkit.evidence import claim, predict\n"
            "predict('Which?', ['a', 'b'])\n"
            f"claim('A statement.', {NARROW}, at_least=2, source='a test', no_control='a test')"
        ).raise_error()
        shell.run_cell("predict('Which?', ['a', 'b'])").raise_error()
    assert len(captured.outputs) == 3
    assert re.sub(r"Out\[\d+\]: ", "", captured.stdout) == ""  # the prompt of a terminal; a kernel has none


def test_sanitize_file_blanks_what_is_measured_and_no_more():
    table = '<table class="measured">\n<tr><td>{}</td></tr>\n</table>'
    page = '<p>kept 7</p>{}<img alt="kept" src="data:image/png;base64,{}"><Axes at 0x7f{}> kept 8'
    one, two = page.format(table.format(0.123), "iVBORw0/+=", "3a"), page.format(table.format(4), "AAAA", "99")
    assert sanitized(one) == sanitized(two)
    assert sanitized(one) == '<p>kept 7</p>MEASURED<img alt="kept" src="PICTURE"><Axes at ADDRESS> kept 8'
    two_spans = 'a <span class="measured">1\n</span> b <span>2</span> <span class="measured">3</span>'
    assert sanitized(two_spans) == "a MEASURED b <span>2</span> MEASURED"


# The record ---------------------------------------------------------------------------------------------------------


def test_every_verdict_is_recorded_before_it_is_raised():
    found = [
        attempt(NARROW, at_least=2, scale="log", over="initialisation"),
        attempt(WIDE, within=(2.9, 3.3)),
        attempt(YES, at_most=0.9, control=[True] * 3 + [False] * 3, control_is="the same without it", no_control=None),
    ]
    records = rows("claim")
    assert [record["verdict"] for record in records] == [result.verdict for result in found]
    assert [record["verdict"] for record in records] == ["holds", "fails", "empty"]
    assert [record["no_control"] for record in records] == ["a test", "a test", None]
    assert [record["control_is"] for record in records] == [None, None, "the same without it"]
    for record, result in zip(records, found, strict=True):
        assert record["id"] == result.id
        assert (record["statement"], record["source"], record["n"]) == ("A statement.", "a test", 5)
        assert (record["mean"], record["low"], record["high"]) == (result.mean, result.low, result.high)
        assert record["demonstration"] == 0
    assert [record["scale"] for record in records] == ["log", "linear", "yes/no"]
    assert [record["over"] for record in records] == ["initialisation", "everything", "everything"]
    assert records[0]["at_least"] == 2
    assert (records[1]["within_low"], records[1]["within_high"]) == (2.9, 3.3)
    assert records[2]["at_most"] == 0.9
    assert json.loads(records[0]["values"]) == NARROW
    assert json.loads(records[2]["values"]) == YES
    assert json.loads(records[2]["control"]) == [True] * 3 + [False] * 3
    assert records[2]["control_mean"] == 0.5


def training_runs(number):
    ledger = Ledger()
    row = {"session_id": ledger.session(), "objective": "mse", "optimizer": "sgd", "learning_rate": 0.1}
    row |= {"batch_size": 1, "steps_planned": 0, "status": "completed"}
    row["architecture_id"] = ledger.architecture({"name": "mlp", "config": {}, "n_parameters": 1, "sha256": "0" * 64})
    row["split_id"] = ledger.split({"role": "train", "n_examples": 1, "sha256": "0" * 64})
    return ledger.record("training_run", [row | {"seed": seed} for seed in range(number)])


def test_the_runs_behind_a_claim_are_recorded():
    runs = training_runs(5)
    found = attempt(NARROW, at_least=2, runs=[*runs, runs[0], None])  # a run that could not be recorded has no id
    assert [(row["claim_id"], row["run_id"]) for row in rows("claim_run")] == [(found.id, run) for run in runs]


@pytest.mark.parametrize("kind", [np.array, torch.tensor, pd.Series, lambda ids: [float(i) for i in ids], tuple])
def test_runs_of_any_common_type(kind):
    runs = training_runs(5)
    attempt(NARROW, at_least=2, runs=kind(runs))
    assert [row["run_id"] for row in rows("claim_run")] == runs


def test_a_claim_about_runs_that_are_not_there_is_no_half_record():
    for runs in ([*training_runs(2), 99], ["one"], [1.5]):
        with pytest.raises(ValueError, match="The ledger refuses this row"):
            attempt(NARROW, at_least=2, runs=runs)
    assert rows("claim") == rows("claim_run") == []


def test_claims_can_be_recorded_without_raising(monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_CLAIMS", "record")
    assert claim("A statement.", WIDE, at_least=2.9, **COMMON).verdict == "fails"
    assert claim("A statement.", NARROW, at_least=2, **CONTROLLED, control=NARROW).verdict == "empty"
    with expect_claim_failure():
        claim("A statement.", NARROW, at_least=2, **COMMON)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "FAILS",
        "EMPTY",
        "HOLDS",
        "That claim was expected not to hold",
    ]
    assert [row["verdict"] for row in rows("claim")] == ["fails", "empty", "holds"]
    with pytest.raises(ClaimError):  # misuse is an error all the same
        claim("A statement.", NARROW, at_least=math.nan, **COMMON)


# The teaching example of failure ------------------------------------------------------------------------------------


def test_expected_failure_is_swallowed_shown_and_left_out_of_counts(bundles):
    def demonstrate(values):
        with expect_claim_failure():
            claim("A statement.", values, at_least=2.9, **COMMON)

    one, two = bundles(demonstrate, WIDE), bundles(demonstrate, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert len(one) == len(two) == 2
    for kind in ("text/html", "text/plain"):
        assert [sanitized(bundle[kind]) for bundle in one] == [sanitized(bundle[kind]) for bundle in two]
        assert "FAILS" in one[0][kind]
        assert "expected not to hold" in one[1][kind]
    claim("Another.", NARROW, at_least=2, **COMMON)
    assert [(row["verdict"], row["demonstration"]) for row in rows("claim")] == [
        ("fails", 1),
        ("fails", 1),
        ("holds", 0),
    ]


def test_expected_failure_that_holds_is_an_error():
    with pytest.raises(ClaimError, match="holds"), expect_claim_failure():
        claim("A statement.", NARROW, at_least=2, **COMMON)
    assert [(row["verdict"], row["demonstration"]) for row in rows("claim")] == [("holds", 1)]


def test_expected_failure_does_not_cover_up_a_claim_that_holds():
    def two_claims():
        with expect_claim_failure():
            claim("It holds.", NARROW, at_least=2, **COMMON)
            claim("It fails.", WIDE, at_least=2.9, **COMMON)

    with pytest.raises(ClaimError, match="holds"):
        two_claims()
    assert [row["demonstration"] for row in rows("claim")] == [1, 1]


def test_expected_failure_without_a_claim_is_an_error():
    with pytest.raises(ClaimError, match="needs a claim"), expect_claim_failure():
        pass


def test_expected_failure_lets_other_errors_through_and_ends_with_them():
    with pytest.raises(ZeroDivisionError), expect_claim_failure():
        _ = 1 / 0
    with pytest.raises(ClaimError, match="finite numbers"), expect_claim_failure():
        claim("A statement.", [math.nan] * 5, at_least=2, **COMMON)
    with pytest.raises(ClaimFailed):
        claim("A statement.", WIDE, at_least=2.9, **COMMON)
    assert [row["demonstration"] for row in rows("claim")] == [0]


# Predictions --------------------------------------------------------------------------------------------------------

QUESTION, OPTIONS = "What if a < b?", ["It rises & stays", "It falls", "Neither"]


@pytest.fixture
def widgets(shell, monkeypatch):
    """All widgets that the question makes, by their class name, as in a notebook with a kernel."""
    ipywidgets = pytest.importorskip("ipywidgets")
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    made = {}
    for name in ("RadioButtons", "IntSlider", "Button", "HTML", "VBox"):
        maker = getattr(ipywidgets, name)
        monkeypatch.setattr(
            ipywidgets,
            name,
            lambda *a, _m=maker, _n=name, **k: made.setdefault(_n, []).append(_m(*a, **k)) or made[_n][-1],
        )
    return made


def test_question_is_one_bundle_that_also_reads_without_a_kernel(bundles):
    (bundle,) = bundles(predict, QUESTION, OPTIONS)
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == "Predict: What if a < b?\n- It rises & stays\n- It falls\n- Neither"
    assert "What if a &lt; b?" in bundle["text/html"]
    assert "<li>It rises &amp; stays</li><li>It falls</li><li>Neither</li>" in bundle["text/html"]
    assert rows("prediction") == []  # showing a question records nothing


def test_with_a_kernel_the_same_bundle_holds_the_widget(bundles, widgets):
    (one,), (two,) = bundles(predict, QUESTION, OPTIONS), bundles(predict, QUESTION, OPTIONS)
    assert set(one) == {"text/html", "text/plain", WIDGET}
    assert one[WIDGET] == {"version_major": 2, "version_minor": 0, "model_id": widgets["VBox"][0].model_id}
    assert one[WIDGET] != two[WIDGET]
    assert (one["text/html"], one["text/plain"]) == (two["text/html"], two["text/plain"])
    radio, slider = widgets["RadioButtons"][0], widgets["IntSlider"][0]
    assert radio.options == tuple(OPTIONS)
    assert radio.value is None  # no answer is suggested
    assert (slider.min, slider.max, slider.value) == (33, 100, 33)
    assert all(widget.description for widget in (radio, slider, widgets["Button"][0]))


def test_the_button_records_at_once_and_again(bundles, widgets):
    bundles(predict, QUESTION, OPTIONS)
    radio, slider, button = (widgets[name][0] for name in ("RadioButtons", "IntSlider", "Button"))
    status = widgets["HTML"][-1]
    button.click()
    assert "Give, before the outcome is known, an option" in html.unescape(status.value)
    assert rows("prediction") == []
    radio.value = "It falls"
    button.click()
    assert "It falls" in status.value
    (row,) = rows("prediction")
    assert (row["question"], json.loads(row["options"])) == (QUESTION, OPTIONS)
    assert (row["answer"], row["confidence"]) == ("It falls", pytest.approx(1 / 3))  # 33 % is taken for chance
    radio.value, slider.value = OPTIONS[0], 80
    button.click()
    (row,) = rows("prediction")
    assert (row["answer"], row["confidence"], row["outcome"]) == (OPTIONS[0], 0.8, None)


def test_after_the_outcome_the_button_records_no_more(bundles, widgets, monkeypatch):
    made = []
    bundles(lambda: made.append(predict(QUESTION, OPTIONS)))
    bundles(made[0].resolve, "Neither")
    button = widgets["Button"][0]
    widgets["RadioButtons"][0].value = "Neither"
    button.click()  # as a click that waited while the kernel was busy
    assert "outcome is known" in widgets["HTML"][-1].value
    assert rows("prediction") == []


@pytest.mark.parametrize(("outcome", "correct", "verdict"), [("It falls", 1, "right"), ("Neither", 0, "wrong")])
def test_a_resolved_prediction(outcome, correct, verdict, capsys):
    prediction = predict(QUESTION, OPTIONS)
    prediction.answer("It falls", 0.8)
    assert "Recorded: It falls, with 80% confidence." in capsys.readouterr().out
    prediction.resolve(outcome)
    out = capsys.readouterr().out
    assert "80% confidence: It falls" in out
    assert f"The measurement says: {outcome}. You were {verdict}" in out
    (row,) = rows("prediction")
    assert (row["answer"], row["confidence"]) == ("It falls", 0.8)
    assert (row["outcome"], row["correct"]) == (outcome, correct)
    assert row["resolved_at"] >= row["created_at"]


def test_no_prediction_is_a_normal_state(bundles):
    (bundle,) = bundles(Prediction(QUESTION, OPTIONS).resolve, OPTIONS[0])
    assert bundle["text/plain"] == "No prediction recorded. The measurement says: It rises & stays."
    assert "It rises &amp; stays" in bundle["text/html"]
    assert rows("prediction") == []


def test_predictions_take_numbers_and_options_of_any_common_type(capsys):
    prediction = predict(QUESTION, np.array(OPTIONS))
    prediction.answer(np.str_(OPTIONS[1]), torch.tensor(0.5))
    prediction.resolve(np.array(OPTIONS)[1])
    (row,) = rows("prediction")
    assert (row["answer"], row["confidence"], row["correct"]) == (OPTIONS[1], 0.5, 1)


@pytest.mark.parametrize(
    ("option", "confidence", "message"),
    [
        ("Maybe", 0.8, "an option"),
        ("It falls", 0.2, r"from 0\.33 to 1"),
        ("It falls", 80, "to 1"),
        ("It falls", math.nan, "to 1"),
        ("It falls", "high", "to 1"),
    ],
)
def test_answers_that_make_no_sense(option, confidence, message):
    prediction = Prediction(QUESTION, OPTIONS)
    with pytest.raises(ClaimError, match=message):
        prediction.answer(option, confidence)
    assert prediction.option is None
    assert rows("prediction") == []


@pytest.mark.parametrize("change", [-0.1, 0.0, 0.1])
def test_an_outcome_follows_from_a_condition_for_each_option(change):
    prediction = Prediction(QUESTION, OPTIONS)
    prediction.resolve(np.array([change > 0.02, change < -0.02, abs(change) <= 0.02]).tolist())
    assert prediction.outcome == {0.1: "It rises & stays", -0.1: "It falls", 0.0: "Neither"}[change]
    prediction.resolve([np.bool_(change > 0.02), np.bool_(change < -0.02), np.bool_(abs(change) <= 0.02)])


@pytest.mark.parametrize("conditions", [[], [True], [True, True, False], [False] * 3, [True, False, False, False]])
def test_conditions_that_choose_no_option_or_several(conditions):
    with pytest.raises(ClaimError, match="exactly one is true"):
        Prediction(QUESTION, OPTIONS).resolve(conditions)


def test_outcomes_that_make_no_sense():
    prediction = Prediction(QUESTION, OPTIONS)
    with pytest.raises(ClaimError, match="Give one of"):
        prediction.resolve("Maybe")
    prediction.resolve("Neither")
    with pytest.raises(ClaimError, match="outcome is known"):
        prediction.answer("Neither", 1.0)


@pytest.mark.parametrize(
    ("question", "options"),
    [("", OPTIONS), (None, OPTIONS), (QUESTION, ["one"]), (QUESTION, ["a", "a"]), (QUESTION, "ab"), (QUESTION, [1, 2]),
     (QUESTION, ["a", " "]), (QUESTION, None)],
)  # fmt: skip
def test_questions_that_make_no_sense(question, options):
    with pytest.raises(ClaimError, match="Give a question, and a list of different options"):
        predict(question, options)


def test_a_control_and_a_reason_for_none_contradict_each_other():
    for control in ([0.0] * 5, None):
        with pytest.raises(evidence.ClaimError, match="either no_control or control with control_is"):
            evidence.claim("s", [1.0] * 5, at_least=0.5, control=control, control_is="c", no_control="n", source="x")
