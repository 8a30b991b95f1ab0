"""What notebook 08 builds by hand, against libraries and closed forms."""

import ast

import curriculum
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fairlearn import metrics as fairlearn
from scipy import stats
from sklearn import metrics

from labkit.measure import calibration_error
from labkit.models import NextCharacter, seeded


def defined_in(notebook):
    """The functions and classes that a notebook's cells define, without running the cells."""
    (source,) = [source for source in curriculum.sources() if source.stem == notebook]
    cells = [cell for cell in curriculum.build(source).cells if cell.cell_type == "code"]
    names = {"np": np, "torch": torch, "F": F, "nn": torch.nn, "stats": stats, "seeded": seeded}
    exec(next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])), names)
    for node in (node for cell in cells for node in ast.parse(cell.source).body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            exec(compile(ast.Module([node], []), source.stem, "exec"), names)
    return names


@pytest.fixture(scope="module")
def by_hand():
    return defined_in("08_reliability")


@pytest.fixture
def decisions():
    generator = np.random.default_rng(0)
    high, group = generator.integers(0, 2, 400), generator.choice(["dark", "bright"], 400)
    called = np.where(generator.random(400) < 0.8, high, 1 - high)
    return called, high, generator.uniform(0.5, 2, 400), group


ORACLES = {
    "accuracy": metrics.accuracy_score,
    "precision": metrics.precision_score,
    "recall": metrics.recall_score,
    "F1": metrics.f1_score,
    "false positives": lambda y, called, sample_weight: metrics.recall_score(
        1 - y, 1 - called, sample_weight=sample_weight
    ),
}


def test_report_by_group_is_scikit_learns(by_hand, decisions):
    called, high, weight, group = decisions
    for name in ("dark", "bright"):
        rows = group == name
        found = by_hand["report"](called[rows], high[rows], weight[rows])
        for metric, oracle in ORACLES.items():
            expected = oracle(high[rows], called[rows], sample_weight=weight[rows])
            expected = 1 - expected if metric == "false positives" else expected  # 1 - specificity
            assert found[metric] == pytest.approx(expected)
        assert found["called high"] == pytest.approx(np.average(called[rows], weights=weight[rows]))


def test_report_by_group_is_fairlearns(by_hand, decisions):
    called, high, weight, group = decisions
    functions = {name: ORACLES[name] for name in ("accuracy", "precision", "recall", "F1")}
    functions |= {"false positives": fairlearn.false_positive_rate, "called high": fairlearn.selection_rate}
    frame = fairlearn.MetricFrame(
        metrics=functions,
        y_true=high,
        y_pred=called,
        sensitive_features=group,
        sample_params={name: {"sample_weight": weight} for name in functions},
    )
    for name in ("dark", "bright"):
        rows = group == name
        found = by_hand["report"](called[rows], high[rows], weight[rows])
        for metric in functions:
            assert found[metric] == pytest.approx(frame.by_group.loc[name, metric])


@pytest.mark.parametrize("sharpness", [0.1, 3.0, 1000.0])
def test_calibration_error_by_hand_is_labkits(by_hand, sharpness):
    generator = torch.Generator().manual_seed(0)
    logits = sharpness * torch.randn(300, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(5, (300,), generator=generator)
    confidence, answer = logits.softmax(-1).max(-1)
    found = by_hand["ece"](confidence.numpy(), (answer == targets).numpy())
    assert found == pytest.approx(calibration_error(logits, targets))


def test_what_notebook_04_built_is_labkits():
    names, generator = defined_in("04_scaling"), torch.Generator().manual_seed(0)
    logits, targets = 2 * torch.randn(300, 5, generator=generator), torch.randint(5, (300,), generator=generator)
    assert names["calibration_error"](logits, targets) == pytest.approx(
        calibration_error(logits, targets, 10), abs=1e-6
    )
    ours, theirs = NextCharacter(6, 4, seed=1), names["NextCharacter"](6, 4, 1)
    characters = torch.randint(96, (9, 4), generator=generator)
    assert torch.equal(ours(characters), theirs(characters))


def test_the_two_sample_tests_keep_their_level_and_find_a_change(by_hand):
    generator = torch.Generator().manual_seed(0)
    old, new = torch.randn(2, 200, 60, 40, generator=generator)
    for shift, low, high in ((0.0, 0.0, 0.12), (0.5, 0.9, 1.0)):
        for p in (by_hand["mmd_test"](old, new + shift, generator), by_hand["classifier_test"](old, new + shift)):
            assert low <= (p <= 0.05).mean() <= high


def test_cusum_by_its_definition(by_hand):
    z = np.random.default_rng(0).standard_normal((3, 50))
    sums = by_hand["cusum"](z)
    walk = np.concatenate([np.zeros((3, 1)), (z - 0.5).cumsum(1)], 1)
    expected = walk[:, 1:] - np.minimum.accumulate(walk, 1)[:, 1:]  # how far above its lowest point so far
    np.testing.assert_allclose(sums, expected, atol=1e-12)
    assert by_hand["first_alarm"](np.array([[0, 1, 5, 0], [0, 0, 0, 0]]), 2).tolist() == [2, 4]


def test_attacks_stay_in_the_box_and_raise_the_loss(by_hand):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 50, 6, generator=generator), torch.randint(3, (2, 50), generator=generator)
    weights = torch.randn(2, 6, 3, generator=generator)

    def model(inputs):
        return inputs @ weights

    def loss(inputs):
        return F.cross_entropy(model(inputs).mT, y)

    for attacked in (by_hand["fgsm"](model, x, y, 0.1), by_hand["pgd"](model, x, y, 0.1)):
        assert (attacked - x).abs().max() <= 0.1 + 1e-6
        assert 0 <= attacked.min() <= attacked.max() <= 1
        assert loss(attacked) > loss(x) + 0.05
