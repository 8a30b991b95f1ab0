import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge

from labkit.data import digits
from labkit.measure import accuracy, calibration_error, linear_probe, pca, prefix_matching

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
        (normal(4, 3), [0, 1, 2, 3], "integers from 0 to 2"),
        (normal(4, 3), [0, 1, 2, -1], "integers from 0, not -1"),
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
        ({"test_features": normal(10, 4)}, "same replicates and features"),
        ({"train_features": normal(2, 20, 3)}, "same replicates and features"),
        ({"train_features": np.full((20, 3), np.inf)}, "NaN or infinite"),
        ({"train_targets": [0, 1]}, "one target to each row"),
        ({"train_targets": [0, -1] * 10}, "class numbers"),
        ({"test_targets": np.zeros(10)}, "same kind of targets"),
        ({"train_targets": np.ones(20), "test_targets": np.ones(10)}, "targets that vary"),
        ({"train_targets": np.full(20, np.nan), "test_targets": normal(10)}, "NaN or infinite"),
    ],
)
def test_probe_refuses(changes, words):
    with pytest.raises(ValueError, match=words):
        linear_probe(**probe_arguments(**changes))


# pca


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
        ((normal(5, 3), 4), "k must be a whole number from 1 to 3, not 4"),
        ((normal(5, 3), 0), "not 0"),
        ((np.ones((5, 3)), 1), "all the same"),
        ((normal(5), 1), "x has shape"),
        ((np.full((5, 3), np.nan), 1), "NaN"),
    ]:
        with pytest.raises(ValueError, match=words):
            pca(*arguments)
    for features in (1, 4):
        with pytest.raises(ValueError, match="could not be broadcast"):
            pca(normal(5, 3)).project(normal(2, features))


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_pca_of_tiny_and_huge_numbers(size):
    x = normal(60, 8) + 3
    np.testing.assert_allclose(pca(size * x).explained, pca(x).explained, rtol=1e-10)


CONSTANT = [np.full((n, 3), value) for n in (7, 100, 1000) for value in (0.1, 1e6 + 0.1, -1 / 3)]


@pytest.mark.parametrize("flat", CONSTANT, ids=lambda flat: f"{len(flat)} of {flat[0, 0]:g}")
def test_features_and_targets_that_are_constant_up_to_rounding_do_not_vary(flat):
    n, draw = len(flat), normal(50, 3)
    with pytest.raises(ValueError, match="these are all the same"):
        pca(flat)
    with pytest.raises(ValueError, match="targets that vary"):
        linear_probe(draw, draw[:, 0], normal(n, 3), flat[:, 0])
    assert linear_probe(flat, np.arange(n) % 3 // 2, flat[:5], [0, 1, 1, 1, 1]) == 0.2  # all 0, the more frequent class


def test_a_constant_column_changes_nothing():
    x = normal(60, 8) + 3
    wide = np.concatenate([x, np.full((60, 1), 1e9 + 0.1)], 1)
    np.testing.assert_allclose(pca(wide).explained, pca(x).explained, rtol=1e-12)


# All of them: arrays and tensors, both precisions, on the CPU or a GPU


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_and_devices_give_the_same(device, dtype):
    (train, labels), (test, test_labels) = classification(), classification(200, seed=7)

    def measured(convert):
        h, y, test_h, test_y = (convert(x) for x in (train, labels, test, test_labels))
        return [
            accuracy(h[:, :4], y),
            linear_probe(h, y, test_h, test_y),
            linear_probe(h, h[:, 0], test_h, test_h[:, 1]),
            *pca(h).project(test_h).ravel(),
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
        (normal(4, 3), [0, 1, 2, 3], "integers from 0 to 2"),
    ],
)
def test_calibration_error_refuses(logits, targets, words):
    with pytest.raises(ValueError, match=words):
        calibration_error(logits, targets)
