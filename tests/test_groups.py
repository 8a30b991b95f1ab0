"""`evaluate` by group, against fairlearn. (The report of notebook 08 by group: test_reliability.py.)"""

import fairlearn.metrics
import numpy as np
import torch
from sklearn.metrics import accuracy_score
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
