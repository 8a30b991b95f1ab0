"""The article's two workflows, as the notebooks reproduce them: files, columns, rows, and values with a closed form."""

import curriculum
import numpy as np
import pandas as pd
import pytest
from notebook_parts import parts
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

PYTHON = {  # file -> columns and rows, as the article prints them
    "python_representation_coordinates": (["representation_1", "representation_2", "target"], 3000),
    "python_representation_summary": (
        ["pc1_explained_variance", "pc2_explained_variance", "total_explained_variance"],
        1,
    ),
    "python_generalization_diagnostics": (
        ["train_accuracy", "test_accuracy", "generalization_gap_train_minus_test", "train_rows", "test_rows"],
        1,
    ),
    "python_scaling_curve": (["scale", "simulated_loss"], 40),
}
DIAGNOSTICS = ["capacity", "simulated_scaling_loss", "train_error", "test_error", "generalization_gap"]
SUMMARY = ["min_scaling_loss", "max_generalization_gap", "capacity_at_min_test_error", "min_test_error"]


@pytest.fixture(scope="module")
def python():
    space = parts("09", "python_workflow", "python_memo")
    tables = space["python_workflow"]()
    return tables, space["python_memo"](tables)


def test_the_python_tables_have_the_articles_columns_and_rows(python):
    tables, _ = python
    assert {name: (list(table), len(table)) for name, table in tables.items()} == PYTHON


def test_the_scaling_curve_is_its_formula(python):
    curve = python[0]["python_scaling_curve"]
    assert curve.scale.iloc[0] == 100
    assert np.isclose(curve.scale.iloc[-1], 1e7)
    assert np.allclose(curve.simulated_loss, 0.9 + 2 / curve.scale**0.08)
    assert np.isclose(curve.simulated_loss.min(), 0.9 + 2 * 10**-0.56)


def test_notebook_04_writes_the_same_scaling_curve(python):
    other = parts("04", "simulated_scale", "simulated")["simulated"]
    pd.testing.assert_frame_equal(other, python[0]["python_scaling_curve"])


def test_the_python_values_agree_with_scikit_learn(python):
    tables, _ = python
    x, y = make_classification(
        n_samples=3000, n_features=50, n_informative=12, n_redundant=8, class_sep=1.2, random_state=42
    )
    pca = PCA(2).fit(x)
    coordinates = tables["python_representation_coordinates"]
    assert (coordinates.target == y).all()
    ours, theirs = coordinates[["representation_1", "representation_2"]].to_numpy(), pca.transform(x)
    assert np.allclose(abs(ours), abs(theirs), atol=1e-4)  # an axis may point either way
    summary = tables["python_representation_summary"].iloc[0]
    assert np.allclose(summary, [*pca.explained_variance_ratio_, pca.explained_variance_ratio_.sum()])

    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=42)
    mean, sd = x_train.mean(0), x_train.std(0)
    model = LogisticRegression(max_iter=1000, random_state=42).fit((x_train - mean) / sd, y_train)
    found = tables["python_generalization_diagnostics"].iloc[0]
    assert (found.train_rows, found.test_rows) == (2100, 900)
    assert np.isclose(found.train_accuracy, model.score((x_train - mean) / sd, y_train), atol=0.002)
    assert np.isclose(found.test_accuracy, model.score((x_test - mean) / sd, y_test), atol=0.002)
    assert np.isclose(found.generalization_gap_train_minus_test, found.train_accuracy - found.test_accuracy)


def test_the_python_memo_has_the_numbers_of_the_tables(python):
    tables, memo = python
    assert memo.startswith("# Deep Learning Systems Governance Memo\n")
    for name, value in {
        "Total explained variance in 2D representation": tables["python_representation_summary"].iloc[0, 2],
        "Train accuracy": tables["python_generalization_diagnostics"].train_accuracy[0],
        "Test accuracy": tables["python_generalization_diagnostics"].test_accuracy[0],
        "Generalization gap": tables["python_generalization_diagnostics"].generalization_gap_train_minus_test[0],
        "Minimum simulated scaling loss": 0.9 + 2 * 10**-0.56,
    }.items():
        assert f"{name}: {value:.3f}\n" in memo


@pytest.mark.skipif(not list(curriculum.SOURCES.glob("05_*.py")), reason="notebook 05 is not here")
def test_the_r_tables_have_the_articles_columns_rows_and_curves(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path))
    space = parts("05", "review", "capacity", "bump", "simulated")
    space["review"](pd.DataFrame(space["simulated"]), "", "simulated curves")
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "tables").glob("*.csv")}
    found = tables["r_deep_learning_scaling_diagnostics"]
    assert (list(found), len(found)) == (DIAGNOSTICS, 80)
    c = np.linspace(50, 5000, 80)
    assert np.allclose(found.capacity, c)
    assert np.allclose(found.train_error, 0.45 * np.exp(-c / 900) + 0.02)
    test_error = 0.30 * np.exp(-c / 1400) + 0.08 + 0.05 * np.exp(-((c - 900) ** 2) / (2 * 280**2))
    assert np.allclose(found.test_error, test_error)
    assert np.allclose(found.generalization_gap, found.test_error - found.train_error)
    noise = found.simulated_scaling_loss - 2 * c**-0.18 - 0.25
    assert 0.005 < noise.std() < 0.02  # R's normal numbers with standard deviation 0.01; another generator here

    summary = tables["r_deep_learning_summary"]
    assert (list(summary), len(summary)) == ([*SUMMARY, "min_train_error"], 1)
    gap = found.generalization_gap
    expected = [found.simulated_scaling_loss.min(), gap.max(), c[test_error.argmin()], test_error.min()]
    assert np.allclose(summary.iloc[0], [*expected, found.train_error.min()])
    flags = tables["r_deep_learning_review_flags"]
    assert list(flags) == DIAGNOSTICS
    assert len(flags) == (gap > gap.mean() + gap.std()).sum() > 0
    memo = (tmp_path / "tables" / "r_deep_learning_scaling_governance_memo.md").read_text(encoding="utf-8")
    assert "80" in memo
    assert str(len(flags)) in memo
