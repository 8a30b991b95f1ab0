import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

from labkit.data import digits, gaussian
from labkit.measure import (
    accuracy,
    calibration_error,
    hessian_top_eigenvalues,
    knn_accuracy,
    linear_cka,
    linear_probe,
    neural_collapse,
    pca,
    prefix_matching,
    twonn,
)
from labkit.models import mlp
from labkit.train import Ensemble

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def classification(n=300, d=12, classes=4, seed=0):
    """Overlapping Gaussian classes on correlated features: a probe gets between chance and all right."""
    labels = np.random.default_rng(seed).integers(0, classes, n)
    centres = 0.7 * normal(classes, d, seed=100)
    return (centres[labels] + normal(n, d, seed=seed + 1)) @ (np.eye(d) + 0.3 * normal(d, d, seed=99)) + 5, labels


# accuracy


def test_accuracy_is_scikit_learns():
    logits, targets = normal(50, 5), np.random.default_rng(1).integers(0, 5, 50)
    logits[range(0, 50, 2), targets[::2]] += 3
    expected = metrics.accuracy_score(targets, logits.argmax(1))
    assert 0.3 < expected < 0.9
    assert accuracy(logits, targets) == expected
    assert accuracy(torch.tensor(logits, dtype=torch.float32, requires_grad=True), torch.tensor(targets)) == expected
    assert isinstance(accuracy(logits, targets), float)


def test_accuracy_of_replicates():
    logits, targets = normal(3, 40, 5), np.random.default_rng(1).integers(0, 5, (3, 40))
    shared = accuracy(logits, targets[0])
    own = accuracy(logits, targets)
    for k in range(3):
        assert shared[k] == metrics.accuracy_score(targets[0], logits[k].argmax(1))
        assert own[k] == metrics.accuracy_score(targets[k], logits[k].argmax(1))


@pytest.mark.parametrize(
    ("logits", "targets", "words"),
    [
        (normal(4), [0, 1, 0, 1], "logits has shape"),
        (normal(0, 3), [], "logits has shape"),
        (np.full((2, 3), np.nan), [0, 1], "NaN or infinite"),
        (normal(4, 3), [0, 1], "one target to each row"),
        (normal(4, 3), [0, 1, 2, 3], "class numbers from 0 to 2"),
        (normal(4, 3), [0, 1, 2, -1], "class numbers from 0 to 2"),
        (normal(4, 3), [0.0, 1.0, 2.0, 1.0], "integers"),
    ],
)
def test_accuracy_refuses(logits, targets, words):
    with pytest.raises(ValueError, match=words):
        accuracy(logits, targets)


# linear_probe


def ridge_prediction(train, outputs, test, penalty):
    """scikit-learn's Ridge, whose alpha is a sum over rows."""
    return Ridge(alpha=penalty * train.var(0).mean() * len(train)).fit(train, outputs).predict(test)


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("n", [300, 8])  # also with fewer rows than features
def test_probe_of_classes_is_scikit_learns_ridge(penalty, n):
    (train, labels), (test, test_labels) = classification(n), classification(400, seed=7)
    labels[:4] = range(4)
    expected = (ridge_prediction(train, np.eye(4)[labels], test, penalty).argmax(1) == test_labels).mean()
    assert 0.25 < expected < 0.95
    assert linear_probe(train, labels, test, test_labels, penalty=penalty) == expected


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_probe_of_numbers_is_scikit_learns_r2(penalty):
    train, test = normal(200, 6) + 3, normal(150, 6, seed=1) + 3
    y, test_y = (np.sin(x[:, 0]) + 0.5 * x[:, 1] + normal(len(x), seed=2) for x in (train, test))
    expected = metrics.r2_score(test_y, ridge_prediction(train, y, test, penalty))
    assert linear_probe(train, y, test, test_y, penalty=penalty) == pytest.approx(expected, abs=1e-10)


def test_probe_with_next_to_no_penalty_is_least_squares_and_ignores_linear_maps():
    train, test = normal(200, 6), normal(150, 6, seed=1)
    y, test_y = train[:, 0] + normal(200, seed=2), test[:, 0] + normal(150, seed=3)
    expected = LinearRegression().fit(train, y).score(test, test_y)
    for change in (np.eye(6), normal(6, 6, seed=4)):
        found = linear_probe(train @ change, y, test @ change, test_y, penalty=1e-12)
        assert found == pytest.approx(expected, abs=1e-6)


def test_probe_ignores_scale_and_offset_of_the_features():
    (train, labels), (test, test_labels) = classification(), classification(400, seed=7)
    expected = linear_probe(train, labels, test, test_labels, penalty=0.3)
    assert linear_probe(1e-6 * train, labels, 1e-6 * test, test_labels, penalty=0.3) == expected
    assert linear_probe(train + 50, labels, test + 50, test_labels, penalty=0.3) == expected


def test_probe_of_replicates_is_the_loop():
    trains, tests = (np.stack([classification(n, seed=s)[0] for s in range(3)]) for n in (120, 90))
    own, test_own = (np.stack([classification(n, seed=s)[1] for s in range(3)]) for n in (120, 90))
    found = linear_probe(trains, own, tests, test_own)
    assert found.shape == (3,)
    np.testing.assert_array_equal(
        found, [linear_probe(*(x[k] for x in (trains, own, tests, test_own))) for k in range(3)]
    )
    height, test_height = trains[0, :, 0], tests[0, :, 0]  # shared targets, here floats
    expected = [linear_probe(trains[k], height, tests[k], test_height) for k in range(3)]
    np.testing.assert_allclose(linear_probe(trains, height, tests, test_height), expected, rtol=1e-10)


def test_probe_chooses_its_penalty_on_validation_rows_for_each_replicate():
    train, valid, test = (np.stack([normal(n, 30, seed=n), normal(n, 30, seed=n + 1)]) for n in (40, 200, 300))
    # Replicate 0: one strong direction, little to shrink; replicate 1: nothing but noise.
    y, valid_y, test_y = (np.stack([3 * x[0, :, 0], normal(x.shape[1], seed=5)]) for x in (train, valid, test))
    penalties = [1e-4, 1e-1, 1e3]
    on = {name: [linear_probe(train, y, *rows, penalty=p) for p in penalties] for name, rows in
          (("valid", (valid, valid_y)), ("test", (test, test_y)))}  # fmt: skip
    best = np.argmax(on["valid"], axis=0)
    assert list(best) == [0, 2]
    found = linear_probe(train, y, test, test_y, penalty=penalties, validation=(valid, valid_y))
    np.testing.assert_array_equal(found, [on["test"][best[k]][k] for k in range(2)])


def test_probe_of_constant_features_predicts_the_mean():
    """A dead network; the rounding of its mean must not be read as a signal, also where test rows vary."""
    for n in range(20, 60):
        row, labels, test_labels = 10 * normal(1, 7, seed=n), np.arange(n) % 3 // 2, np.array([0, 0, 1, 1, 1])
        train = np.tile(row, (n, 1))
        for test in (train[:5], train[:5] + normal(5, 7)):
            assert linear_probe(train, labels, test, test_labels) == 0.4  # all 0, the more frequent class
    assert linear_probe(train, np.arange(n) / n, train[:5], np.arange(5.0)) < 0


def test_probe_at_chance_on_unrelated_labels_and_not_above_on_its_own_rows():
    x, labels = normal(600, 50), np.random.default_rng(3).integers(0, 10, 600)
    assert linear_probe(x[:300], labels[:300], x[300:], labels[300:]) < 0.1 + 4 * np.sqrt(0.09 / 300)
    assert linear_probe(x[:300], labels[:300], x[:300], labels[:300]) > 0.3


def probe_arguments(**changes):
    arguments = {"train_features": normal(20, 3), "train_targets": [0, 1] * 10}
    return arguments | {"test_features": normal(10, 3), "test_targets": [0, 1] * 5} | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"penalty": 0}, "penalty must be positive"),
        ({"penalty": np.nan}, "penalty must be positive"),
        ({"penalty": []}, "penalty must be positive"),
        ({"penalty": [0.1, 1]}, "together with validation"),
        ({"validation": (normal(5, 3), [0] * 5)}, "together with validation"),
        ({"test_features": normal(10, 4)}, "do not fit"),
        ({"train_features": normal(2, 20, 3)}, "do not fit"),
        ({"train_features": np.full((20, 3), np.inf)}, "NaN or infinite"),
        ({"train_targets": [0, 1]}, "one target to each row"),
        ({"train_targets": [0, -1] * 10}, "class numbers"),
        ({"test_targets": np.zeros(10)}, "all class numbers or all floats"),
        ({"train_targets": np.ones(20), "test_targets": np.ones(10)}, "targets that vary"),
        ({"train_targets": np.full(20, np.nan), "test_targets": normal(10)}, "NaN or infinite"),
    ],
)
def test_probe_refuses(changes, words):
    with pytest.raises(ValueError, match=words):
        linear_probe(**probe_arguments(**changes))


# twonn


def ratios(x):
    """Second over first neighbour distance, from all distances."""
    distances = np.sort(cdist(x, x), axis=1)
    return distances[:, 2] / distances[:, 1]


def test_twonn_is_the_papers_fit():
    x = gaussian(300, 4, seed=5).double().numpy()
    ratio = np.sort(ratios(x))
    share = np.arange(1, 301) / 300
    kept = share <= 0.9
    line = LinearRegression(fit_intercept=False).fit(np.log(ratio[kept])[:, None], -np.log(1 - share[kept]))
    assert twonn(x) == pytest.approx(line.coef_[0], rel=1e-9)


@pytest.mark.parametrize(("dimension", "expected"), [(1, 1.0), (2, 2.0), (5, 5.0), (10, 9.4), (20, 16.5)])
def test_twonn_bias_table_of_the_docstring(dimension, expected):
    """Known dimension; and close to the maximum-likelihood estimate from the same ratios, n / sum log ratio."""
    clouds = [gaussian(800, dimension, ambient=30, seed=600 + k).double().numpy() for k in range(6)]
    estimates = twonn(np.stack(clouds))
    # One estimate scatters by about 4 % of its value.
    assert estimates.mean() == pytest.approx(expected, rel=0.05)
    likelihood = np.array([800 / np.log(ratios(x)).sum() for x in clouds])
    np.testing.assert_allclose(estimates, likelihood, rtol=0.2)
    assert estimates.mean() == pytest.approx(likelihood.mean(), rel=0.06)


def test_twonn_of_a_curved_surface_is_its_dimension_not_the_spaces():
    t = np.random.default_rng(0).uniform(1, 3, (800, 2))
    roll = np.stack([t[:, 0] * np.cos(3 * t[:, 0]), t[:, 1], t[:, 0] * np.sin(3 * t[:, 0])], axis=1)
    assert twonn(roll) == pytest.approx(2, abs=0.3)


def test_twonn_ignores_rotation_scale_and_copies():
    x = gaussian(200, 3, ambient=8, seed=2).double().numpy()
    rotation = np.linalg.qr(normal(8, 8))[0]
    assert twonn(1e-3 * x @ rotation + 100) == pytest.approx(twonn(x), rel=1e-6)
    assert twonn(np.concatenate([x, x[:50], x[:10]])) == twonn(x)


def test_twonn_keeps_its_digits_where_neighbours_are_close_and_far_from_zero():
    x = normal(100, 3)
    pairs = np.concatenate([x, x + 1e-6 * normal(100, 3, seed=1), x + 1e-6 * normal(100, 3, seed=2)]) + 10
    ratio = np.sort(ratios(pairs - 10))
    share = np.arange(1, 271) / 300
    kept = np.log(ratio[:270])
    assert twonn(pairs) == pytest.approx(-np.log(1 - share) @ kept / (kept @ kept), rel=1e-4)


def test_twonn_refuses():
    for x, words in [
        (normal(19, 3), "at least 20 distinct points"),
        (np.repeat(normal(5, 3), 10, axis=0), "x has 50, of which 5 are distinct"),
        (np.full((30, 2), np.nan), "NaN or infinite"),
        (normal(30), "x has shape"),
        (np.arange(30.0)[:, None], "regular grid"),
    ]:
        with pytest.raises(ValueError, match=words):
            twonn(x)
    for fraction in (0, 1, 1.5):
        with pytest.raises(ValueError, match="fraction"):
            twonn(normal(30, 2), fraction=fraction)


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("step", [0.1, 1 / 3, 1.0])
def test_twonn_refuses_grids_whose_steps_are_equal_up_to_rounding(step, dtype, offset):
    axis = (np.arange(10) * step + offset).astype(dtype)
    with pytest.raises(ValueError, match="100 of 100 points have two nearest neighbours equally far"):
        twonn(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))


# linear_cka


def hsic_cka(x, y):
    """CKA from Gram matrices: HSIC(K, L) = tr(K H L H) / (n - 1)^2 (Kornblith et al. 2019, eq. 3 and 4)."""
    n = len(x)
    centring = np.eye(n) - 1 / n

    def hsic(k, m):
        return np.trace(k @ centring @ m @ centring) / (n - 1) ** 2

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.fixture
def related():
    x = normal(60, 8) + 3
    return x, np.maximum(x @ normal(8, 5, seed=1) + normal(60, 5, seed=2), 0)


def test_cka_is_the_gram_matrix_form(related):
    x, y = related
    expected = hsic_cka(x, y)
    assert 0.2 < expected < 0.9
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-12)
    assert linear_cka(y, x) == pytest.approx(expected, rel=1e-12)
    wide = normal(10, 300)
    assert linear_cka(wide, x[:10]) == pytest.approx(hsic_cka(wide, x[:10]), rel=1e-12)
    assert linear_cka(wide, normal(10, 300, seed=9)) > 0.7  # the docstring's warning: fewer rows than features


def test_cka_ignores_rotation_scale_and_offset_but_not_a_general_linear_map(related):
    x, y = related
    rotation = np.linalg.qr(normal(8, 8, seed=3))[0]
    assert linear_cka(x, x @ rotation) == pytest.approx(1, abs=1e-12)
    assert linear_cka(-0.01 * x @ rotation + 7, 1e4 * y) == pytest.approx(linear_cka(x, y), rel=1e-10)
    assert linear_cka(x, x @ np.diag([100.0, 1, 1, 1, 1, 1, 1, 1])) < 0.7


def test_cka_of_replicates_is_the_loop(related):
    x, y = np.stack([related[0], normal(60, 8, seed=5)]), np.stack([related[1], normal(60, 5, seed=6)])
    np.testing.assert_allclose(linear_cka(x, y), [linear_cka(x[k], y[k]) for k in range(2)], rtol=1e-12)


def test_cka_refuses(related):
    x, y = related
    for pair, words in [
        ((x, y[:-1]), "same inputs, row by row"),
        ((x, y[None]), "same inputs, row by row"),
        ((x, np.ones((60, 3))), "same for all inputs"),
        ((x, y * np.nan), "y contains NaN"),
        ((x[:, 0], y), "x has shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            linear_cka(*pair)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_cka_and_pca_of_tiny_and_huge_numbers(related, size):
    x, y = related
    assert linear_cka(size * x, y) == pytest.approx(linear_cka(x, y), rel=1e-10)
    np.testing.assert_allclose(pca(size * x).explained, pca(x).explained, rtol=1e-10)


CONSTANT = [np.full((n, 3), value) for n in (7, 100, 1000) for value in (0.1, 1e6 + 0.1, -1 / 3)]


@pytest.mark.parametrize("flat", CONSTANT, ids=lambda flat: f"{len(flat)} of {flat[0, 0]:g}")
def test_features_and_targets_that_are_constant_up_to_rounding_do_not_vary(flat):
    n, draw = len(flat), normal(50, 3)
    for call in (lambda: linear_cka(flat, flat), lambda: linear_cka(normal(n, 2), flat)):
        with pytest.raises(ValueError, match="the same for all inputs"):
            call()
    with pytest.raises(ValueError, match="these are all the same"):
        pca(flat)
    for labels in (np.arange(n) % 2, np.arange(n) // (n // 2 + 1), (np.arange(n) % 3 > 0).astype(int)):
        with pytest.raises(ValueError, match="no geometry"):
            neural_collapse(flat, labels, np.ones((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="targets that vary"):
        linear_probe(draw, draw[:, 0], normal(n, 3), flat[:, 0])
    assert linear_probe(flat, np.arange(n) % 3 // 2, flat[:5], [0, 1, 1, 1, 1]) == 0.2  # all 0, the more frequent class


def test_a_constant_column_changes_nothing(related):
    x, y = related
    wide = np.concatenate([x, np.full((60, 1), 1e9 + 0.1)], 1)
    assert linear_cka(wide, y) == pytest.approx(linear_cka(x, y), rel=1e-12)
    np.testing.assert_allclose(pca(wide).explained, pca(x).explained, rtol=1e-12)


# neural_collapse


def collapsed(classes=5, d=16, copies=4):
    """All rows of a class on one vertex of a simplex equiangular tight frame (Papyan et al. 2020, eq. 1)."""
    frame = np.sqrt(classes / (classes - 1)) * (np.eye(classes) - 1 / classes)
    vertices = 3 * frame @ np.linalg.qr(normal(d, classes))[0].T
    labels = np.tile(np.arange(classes), copies)
    offset = normal(d, seed=1)
    # The classifier is self-dual; its bias takes the offset back.
    return vertices[labels] + offset, labels, 0.2 * vertices, -0.2 * vertices @ offset


def test_collapse_is_zero_on_a_simplex_equiangular_tight_frame():
    assert neural_collapse(*collapsed()) == pytest.approx(dict.fromkeys(NC, 0.0), abs=1e-12)


NC = ["nc1", "nc2_norm", "nc2_angle", "nc3", "nc4"]


def collapse_by_loops(h, labels, weights, bias):
    """The definitions, row by row, in numpy."""
    classes, d = weights.shape
    means = np.array([h[labels == c].mean(0) for c in range(classes)])
    centre = means.mean(0)
    within, between = np.zeros((d, d)), np.zeros((d, d))
    for c in range(classes):
        rows = h[labels == c]
        for row in rows:
            within += np.outer(row - means[c], row - means[c]) / len(rows) / classes
        between += np.outer(means[c] - centre, means[c] - centre) / classes
    m = means - centre
    norms = np.linalg.norm(m, axis=1)
    angles = [m[a] @ m[b] / norms[a] / norms[b] for a in range(classes) for b in range(classes) if a != b]
    nearest = cdist(h, means).argmin(1)
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / classes,
        "nc2_norm": np.std(norms) / np.mean(norms),
        "nc2_angle": np.mean(np.abs(np.array(angles) + 1 / (classes - 1))),
        "nc3": np.linalg.norm(weights / np.linalg.norm(weights) - m / np.linalg.norm(m)) ** 2,
        "nc4": np.mean((h @ weights.T + bias).argmax(1) != nearest),
    }


@pytest.mark.parametrize("d", [3, 12])  # also with fewer dimensions than classes
def test_collapse_measures_are_their_definitions(d):
    h, labels = classification(90, d, 5)
    arguments = h, labels, normal(5, d, seed=3), normal(5, seed=4)
    expected = collapse_by_loops(*arguments)
    assert min(expected.values()) > 0.1
    assert list(neural_collapse(*arguments)) == NC
    assert neural_collapse(*arguments) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("name", NC)
def test_each_sign_of_collapse_sees_its_own_failure(name):
    h, labels, weights, bias = collapsed()
    if name == "nc1":
        h = h + 0.5 * normal(*h.shape)
    elif name == "nc2_norm":
        h[labels == 2] *= 1.5
    elif name == "nc2_angle":
        h[labels == 2] += h[labels == 1] - h.mean(0)
    elif name == "nc3":
        weights = np.roll(weights, 1, axis=0)
    else:
        bias = bias + np.array([100.0, 0, 0, 0, 0])
    assert neural_collapse(h, labels, weights, bias)[name] > 0.01


def test_collapse_refuses():
    h, labels, weights, bias = collapsed()
    few = np.where(labels == 3, 2, labels)
    few[3] = 3
    for arguments, words in [
        ((h, labels, weights.T, bias), "must be .C, d. and .C."),
        ((h, labels, weights, bias[:2]), "must be .C, d. and .C."),
        ((h, labels + 1, weights, bias), "class numbers from 0 to 4"),
        ((h, few, weights, bias), "Class 3 has fewer than two rows"),
        ((np.ones_like(h), labels, weights, bias), "no geometry"),
        ((h, labels, 0 * weights, bias), "no geometry"),
        ((h * np.nan, labels, weights, bias), "features contains NaN"),
    ]:
        with pytest.raises(ValueError, match=words):
            neural_collapse(*arguments)


# pca and knn_accuracy


def test_pca_is_scikit_learns():
    x = digits().inputs.numpy()
    found, expected = pca(x[:1200], 5), PCA(5, svd_solver="full").fit(x[:1200].astype(float))
    np.testing.assert_allclose(found.explained, expected.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(np.abs(found.components), np.abs(expected.components_), atol=1e-8)
    np.testing.assert_allclose(np.abs(found.coordinates), np.abs(expected.transform(x[:1200])), atol=1e-7)
    np.testing.assert_allclose(np.abs(found.project(x[1200:])), np.abs(expected.transform(x[1200:])), atol=1e-7)
    np.testing.assert_allclose(found.project(torch.tensor(x[:1200])), found.coordinates, atol=1e-9)


def test_pca_axes_point_the_same_way_for_mirrored_data():
    x = normal(30, 4) * [4, 3, 2, 1]
    found, mirrored = pca(x, 4), pca(-x, 4)
    np.testing.assert_allclose(found.components, mirrored.components, atol=1e-10)
    assert np.all(found.components[range(4), np.abs(found.components).argmax(1)] > 0)
    assert found.explained.sum() == pytest.approx(1)


def test_pca_refuses():
    for arguments, words in [
        ((normal(5, 3), 4), "k=4 must lie between 1 and 3"),
        ((normal(5, 3), 0), "k=0"),
        ((np.ones((5, 3)), 1), "all the same"),
        ((normal(5), 1), "x has shape"),
        ((np.full((5, 3), np.nan), 1), "NaN"),
    ]:
        with pytest.raises(ValueError, match=words):
            pca(*arguments)
    with pytest.raises(ValueError, match="other features than the 3"):
        pca(normal(5, 3)).project(normal(2, 4))


@pytest.mark.parametrize("k", [1, 10])
def test_knn_accuracy_is_scikit_learns(k):
    (train, labels), (test, test_labels) = classification(), classification(200, seed=7)
    expected = KNeighborsClassifier(k).fit(train, labels).score(test, test_labels)
    assert 0.3 < expected < 0.95
    assert knn_accuracy(train, labels, test, test_labels, k=k) == expected


def test_knn_accuracy_refuses():
    x, y = normal(8, 2), [0, 1] * 4
    for arguments, k, words in [
        ((x, y, x, y), 10, "k=10 must lie between 1 and the 8"),
        ((x, y, normal(8, 3), y), 1, "same features"),
        ((x, y[:3], x, y), 1, "train_targets of shape .3."),
        ((x, y, x, np.array(y) / 2), 1, "test_targets must be class numbers"),
    ]:
        with pytest.raises(ValueError, match=words):
            knn_accuracy(*arguments, k=k)


# All of them: arrays and tensors, both precisions, on the CPU or a GPU


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_and_devices_give_the_same(device, dtype):
    (train, labels), (test, test_labels) = classification(), classification(200, seed=7)
    weights, bias = normal(4, 12), normal(4, seed=1)

    def measured(convert):
        h, y, test_h, test_y, w, b = (convert(x) for x in (train, labels, test, test_labels, weights, bias))
        return [
            accuracy(h[:, :4], y),
            linear_probe(h, y, test_h, test_y),
            linear_probe(h, h[:, 0], test_h, test_h[:, 1]),
            twonn(h),
            linear_cka(h, h[:, :3]),
            *neural_collapse(h, y, w, b).values(),
            *pca(h).project(test_h).ravel(),
            knn_accuracy(h, y, test_h, test_y),
        ]

    def tensor(x):
        return torch.tensor(x, dtype=dtype if x.dtype.kind == "f" else None, device=device)

    found = measured(tensor)
    assert all(isinstance(value, float) for value in found)
    np.testing.assert_allclose(found, measured(lambda x: x), rtol=1e-4, atol=1e-4)


def prefix_matching_by_loops(weights, tokens):
    """Mean, over positions with an earlier occurrence, of the attention to what followed each of them."""
    shares = []
    for w, row in zip(weights, tokens, strict=True):
        for t in range(len(row)):
            after = [j for j in range(1, t + 1) if row[j - 1] == row[t]]
            if after:
                shares.append(sum(w[t][j] for j in after))
    return sum(shares) / len(shares)


def test_prefix_matching_equals_its_definition():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(4, (6, 9), generator=generator)
    weights = torch.rand(6, 3, 9, 9, generator=generator).tril()
    weights = weights / weights.sum(-1, keepdim=True)
    expected = [prefix_matching_by_loops(weights[:, h].double().tolist(), tokens.tolist()) for h in range(3)]
    np.testing.assert_allclose(prefix_matching(weights, tokens), expected)
    assert prefix_matching(weights[:, 1], tokens) == pytest.approx(expected[1])


def test_prefix_matching_of_a_perfect_head_is_one_and_of_a_head_on_itself_zero():
    tokens = torch.arange(12).remainder(5).expand(2, 12)
    perfect = torch.zeros(2, 12, 12)
    for t in range(12):
        perfect[:, t, max(t - 4, 0)] = 1  # one after the latest earlier occurrence, five back
    assert prefix_matching(perfect, tokens) == 1
    assert prefix_matching(torch.eye(12).expand(2, 12, 12), tokens) == 0


def test_prefix_matching_refuses_what_does_not_fit():
    tokens = torch.zeros(2, 5, dtype=torch.int64)
    with pytest.raises(ValueError, match="do not fit tokens"):
        prefix_matching(torch.ones(2, 5, 6), tokens)
    with pytest.raises(ValueError, match="do not fit tokens"):
        prefix_matching(torch.ones(2, 5, 5), tokens[:, :4])
    with pytest.raises(ValueError, match="occurs twice"):
        prefix_matching(torch.ones(2, 5, 5), torch.arange(5).expand(2, 5))
    with pytest.raises(ValueError, match="NaN"):
        prefix_matching(torch.full((2, 5, 5), torch.nan), tokens)


# calibration_error


def expected_calibration_error(logits, targets, bins):
    """Bin by bin, in loops, from the definition."""
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    answers, confidence = chances.argmax(1), chances.max(1)
    place = np.searchsorted(np.arange(1, bins) / bins, confidence, side="right")
    error = 0.0
    for each in range(bins):
        rows = np.flatnonzero(place == each)
        if len(rows):
            right = np.mean([answers[row] == targets[row] for row in rows])
            error += len(rows) / len(targets) * abs(confidence[rows].mean() - right)
    return error


@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize("device", DEVICES)
def test_calibration_error_by_definition(bins, device):
    logits, targets = 2 * normal(3, 200, 4), np.random.default_rng(1).integers(0, 4, (3, 200))
    found = calibration_error(torch.tensor(logits, device=device), torch.tensor(targets, device=device), bins)
    np.testing.assert_allclose(
        found, [expected_calibration_error(*each, bins) for each in zip(logits, targets, strict=True)]
    )
    shared = calibration_error(logits, targets[0], bins=bins)
    assert shared[0] == pytest.approx(found[0])
    assert calibration_error(logits[1], targets[1], bins) == pytest.approx(found[1])


def test_calibration_error_at_the_edges():
    certain = np.array([[1e4, 0], [1e4, 0], [1e4, 0], [1e4, 0]])  # confidence exactly 1
    assert calibration_error(certain, [0, 0, 0, 0]) == 0
    assert calibration_error(certain, [1, 1, 1, 1]) == 1
    assert calibration_error(certain, [0, 0, 0, 1]) == 0.25
    many = np.zeros((10, 1000))  # confidence nearly 0
    assert calibration_error(many, np.arange(10)) == pytest.approx(0.099)  # the first one is right
    assert calibration_error(np.zeros((4, 2)), [0, 1, 0, 1], bins=2) == 0  # 1/2 opens the second bin


def test_calibration_error_of_a_calibrated_model_is_small_and_never_below_zero():
    generator = np.random.default_rng(0)
    chance = generator.uniform(0.5, 1, 100_000)
    logits = np.stack([np.log(chance), np.log1p(-chance)], 1)
    assert 0 < calibration_error(logits, (generator.random(100_000) > chance).astype(int)) < 0.01


@pytest.mark.parametrize("bins", [0, 2.5, True, "15"])
def test_calibration_error_refuses_bins(bins):
    with pytest.raises(ValueError, match="whole number of at least 1"):
        calibration_error(normal(4, 3), [0, 1, 2, 0], bins)


@pytest.mark.parametrize(
    ("logits", "targets", "words"),
    [
        (normal(4), [0, 1, 0, 1], "logits has shape"),
        (np.full((2, 3), np.nan), [0, 1], "NaN or infinite"),
        (normal(4, 3), [0, 1], "one target to each row"),
        (normal(4, 3), [0, 1, 2, 3], "class numbers from 0 to 2"),
    ],
)
def test_calibration_error_refuses(logits, targets, words):
    with pytest.raises(ValueError, match=words):
        calibration_error(logits, targets)


# hessian_top_eigenvalues


def exact_hessian_eigenvalues(model, x, y, loss):
    """By torch.func.hessian in double precision, largest first."""
    names = [name for name, _ in model.named_parameters()]
    values = [p.detach().double() for p in model.parameters()]

    def objective(vector):
        parts = vector.split([p.numel() for p in values])
        parts = [part.reshape(p.shape) for part, p in zip(parts, values, strict=True)]
        return loss(torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (x.double(),)), y)

    hessian = torch.func.hessian(objective)(torch.cat([p.flatten() for p in values]))
    return torch.linalg.eigvalsh(hessian).flip(0).numpy()


def half_squares(outputs, targets):
    return (outputs - torch.nn.functional.one_hot(targets, 4)).square().sum(-1).mean() / 2


@pytest.mark.parametrize("loss", [torch.nn.functional.cross_entropy, half_squares])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_hessian_is_torchs_for_one_network_and_each_of_an_ensemble(loss, activation):
    x = torch.from_numpy(normal(3, 50, 6)).float()
    y = torch.from_numpy(np.random.default_rng(1).integers(0, 4, (3, 50)))
    networks = Ensemble([6, 8, 4], [0, 1, 2], activation=activation)
    found = hessian_top_eigenvalues(networks, x, y, loss=loss, k=3, steps=40)
    assert found.shape == (3, 3)
    for k in range(3):
        exact = exact_hessian_eigenvalues(networks[k], x[k], y[k], loss)[:3]
        np.testing.assert_allclose(found[k], exact, rtol=1e-3)
        alone = hessian_top_eigenvalues(networks[k].double(), x[k].double(), y[k], loss=loss, k=3, steps=40)
        np.testing.assert_allclose(alone, exact, rtol=1e-6)
    shared = hessian_top_eigenvalues(networks, x[0], y[0], loss=loss, k=3, steps=40)
    np.testing.assert_allclose(shared[0], found[0], rtol=1e-4)


def test_hessian_leaves_the_model_and_its_gradients_alone_even_without_gradients():
    model = mlp([5, 7, 3], seed=0, norm="batch")
    x, y = torch.from_numpy(normal(20, 5)).float(), torch.arange(20) % 3
    before = {name: values.clone() for name, values in model.state_dict().items()}
    model.train()
    with torch.no_grad():
        first = hessian_top_eigenvalues(model, x, y)
    assert first == hessian_top_eigenvalues(model, x, y)
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(before[name], values) for name, values in model.state_dict().items())


def test_hessian_where_few_directions_bend():
    """One linear layer with squares: the Hessian has the eigenvalues of the inputs' second moments, each many times."""
    x = torch.from_numpy(normal(30, 3)).double()
    x[:, 2] = 0
    model = mlp([3, 4], seed=0, dtype=torch.float64)
    y = torch.arange(30) % 4
    with_bias = torch.cat([x, torch.ones(30, 1, dtype=torch.float64)], 1)
    exact = np.repeat(torch.linalg.eigvalsh(with_bias.T @ with_bias / 30).flip(0).numpy(), 4)
    found = hessian_top_eigenvalues(model, x, y, loss=half_squares, k=16, steps=16)
    np.testing.assert_allclose(found, exact, atol=1e-9)


@pytest.mark.parametrize("targets", [(5, 3), (5, 5, 3)])
def test_hessian_of_as_many_replicates_as_examples(targets):
    x, y = torch.from_numpy(normal(5, 4)).float(), torch.from_numpy(normal(*targets, seed=1)).float()
    networks, settings = Ensemble([4, 8, 3], range(5)), {"loss": torch.nn.functional.mse_loss, "steps": 15}
    found = hessian_top_eigenvalues(networks, x, y, **settings)
    for k in range(5):
        own = y[k] if y.ndim == 3 else y
        np.testing.assert_allclose(found[k], hessian_top_eigenvalues(networks[k], x, own, **settings), rtol=1e-3)


class Spare(torch.nn.Module):
    """A network with a parameter that plays no part."""

    def __init__(self):
        super().__init__()
        self.used, self.spare = mlp([4, 2], seed=0, dtype=torch.float64), torch.nn.Linear(3, 3).double()

    def forward(self, x):
        return self.used(x)


def test_hessian_of_a_network_with_an_unused_parameter():
    x, y = normal(40, 4), np.arange(40) % 2
    found = hessian_top_eigenvalues(Spare(), x, y, k=2, steps=12)
    np.testing.assert_allclose(found, hessian_top_eigenvalues(Spare().used, x, y, k=2, steps=10), rtol=1e-6)
    assert hessian_top_eigenvalues(Spare(), x, y, loss=lambda outputs, targets: outputs.mean(), steps=4) == 0


def test_hessian_takes_arrays_and_compiled_models():
    x, y, model = normal(20, 3), np.arange(20) % 2, mlp([3, 2], seed=0)
    expected = hessian_top_eigenvalues(model, torch.from_numpy(x).float(), torch.from_numpy(y), steps=4)
    assert hessian_top_eigenvalues(model, x.astype(">f8"), y, steps=np.int64(4), k=np.int64(1)) == expected
    assert hessian_top_eigenvalues(torch.compile(model, backend="eager"), x, y, steps=4) == expected


def test_hessian_refuses():
    model, x, y = mlp([3, 2], seed=0), torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)
    for settings in ({"k": 0}, {"k": 5, "steps": 4}, {"steps": 9}):
        with pytest.raises(ValueError, match="the number of parameters"):
            hessian_top_eigenvalues(model, x, y, **settings)
    for arguments, words in [
        ((model, x * torch.nan, y), "NaN or infinite"),
        ((model, x, y[:3]), "each example needs one row in each"),
        ((model, x, y + 2), "The label 2 does not fit the model's 2 outputs"),
        ((model, x[:, :2], y), "takes 3 features, but each input has 2"),
        ((mlp([3, 1], seed=0), x, x[:, 0], torch.nn.MSELoss()), "MSELoss cannot compare outputs of shape"),
        ((Ensemble([3, 1], [0, 1]), x, x[:, 0], torch.nn.L1Loss()), "L1Loss cannot compare outputs of shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            hessian_top_eigenvalues(*arguments[:3], loss=[*arguments, torch.nn.functional.cross_entropy][3], steps=4)
