"""What is measured by group, against fairlearn."""

import fairlearn.metrics
import numpy as np
import pandas as pd
import torch
from notebook_parts import parts
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from torch import nn

from labkit.train import evaluate


def test_accuracy_by_group_and_the_worst_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path))
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(400, 3, generator=generator), torch.randint(0, 3, (400,), generator=generator)
    groups = np.random.default_rng(0).choice(["left", "right", "upside down"], 400, p=[0.6, 0.3, 0.1])
    found = evaluate(nn.Identity(), (inputs, targets), groups=groups)
    frame = fairlearn.metrics.MetricFrame(
        metrics=accuracy_score, y_true=targets, y_pred=inputs.argmax(1), sensitive_features=groups
    )
    assert np.isclose(found.pop(""), frame.overall)
    assert found.keys() == set(frame.by_group.index)
    np.testing.assert_allclose([found[group] for group in frame.by_group.index], frame.by_group)
    assert min(found.values()) == frame.group_min()


def test_the_report_of_notebook_08_by_group():
    report = parts("08", "report")["report"]
    rng = np.random.default_rng(1)
    called, high = rng.integers(0, 2, (2, 300))
    scanner, weight = rng.choice(["dark", "bright"], 300), rng.uniform(0.1, 3, 300)
    metrics = {
        "accuracy": accuracy_score,
        "precision": precision_score,
        "recall": recall_score,
        "F1": f1_score,
        "false positives": fairlearn.metrics.false_positive_rate,
        "called high": fairlearn.metrics.selection_rate,
    }
    frame = fairlearn.metrics.MetricFrame(
        metrics=metrics,
        y_true=high,
        y_pred=called,
        sensitive_features=scanner,
        sample_params={name: {"sample_weight": weight} for name in metrics},
    )
    for name in ("dark", "bright"):
        rows = scanner == name
        ours = pd.Series(report(called[rows], high[rows], weight[rows]))
        pd.testing.assert_series_equal(ours, frame.by_group.loc[name], check_names=False, check_dtype=False)
