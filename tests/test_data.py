import hashlib
import struct
import sysconfig
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from labkit import data, gate
from labkit.data import (
    Examples,
    digits,
    library_text,
    mnist1d,
    repeats,
    sparse_parity,
    stack,
)

fingerprint = data._fingerprint
ROOT = Path(__file__).parents[1]
DIGITS_SHA256 = "b353a2c0bcc1d5252d3632b32575e228e39b6775270d7f5cec44eb453603c17f"


@pytest.fixture(scope="module")
def whole():
    return digits()


def small(n=4, **fields):
    return Examples(torch.arange(2.0 * n).reshape(n, 2), torch.arange(n), {"height": torch.ones(n)}, **fields)


# Fingerprints


def test_fingerprint_by_an_independent_computation():
    inputs, targets = torch.tensor([[1.5, -2.0, 0.25]]), torch.tensor([3])
    expected = hashlib.sha256(
        b"inputs float32 [1, 3]\n" + struct.pack("<3f", 1.5, -2.0, 0.25) + b"targets int64 [1]\n" + struct.pack("<q", 3)
    )
    assert fingerprint(inputs, targets) == expected.hexdigest()


def test_fingerprint_changes_with_values_shapes_types_and_factors_but_not_with_memory_layout():
    inputs, targets = torch.arange(6.0).reshape(2, 3), torch.tensor([0, 1])
    same = fingerprint(inputs, targets)
    assert same == fingerprint(inputs.T.contiguous().T, targets.clone())
    nudged = inputs.clone()
    nudged[1, 2] = torch.nextafter(nudged[1, 2], torch.tensor(9.0))
    others = [
        fingerprint(nudged, targets),
        fingerprint(inputs.reshape(3, 2), targets),
        fingerprint(inputs.double(), targets),
        fingerprint(inputs, targets.flip(0)),
        fingerprint(inputs, targets, {"shift": targets}),
        fingerprint(inputs, targets, {"scale": targets}),
    ]
    assert len({same, *others}) == 7


# Digits


def test_digits_are_scikit_learns(whole):
    images, labels = load_digits(return_X_y=True)
    assert whole.inputs.dtype == torch.float32
    assert whole.targets.dtype == torch.int64
    np.testing.assert_array_equal(whole.inputs.numpy() * 16, images)
    np.testing.assert_array_equal(whole.targets.numpy(), labels)
    assert (len(whole), whole.n_classes, whole.inputs.min(), whole.inputs.max()) == (1797, 10, 0, 1)


def test_digits_bytes_have_not_changed(whole):
    assert whole.sha256 == DIGITS_SHA256, "The digits' bytes changed: find out why before any result is compared."
    assert DIGITS_SHA256 in (ROOT / whole.datasheet).read_text(encoding="utf-8")


# Datasheets


FIXED = {"digits": digits, "repeats": lambda: repeats(1000), "sparse_parity": lambda: sparse_parity(1000)}


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_data_set_is_the_one_of_its_datasheet_and_raises_no_alarm(name, recwarn):
    made = FIXED[name]()
    assert made.datasheet == f"data/{name}.md"
    assert made.sha256 in (ROOT / made.datasheet).read_text(encoding="utf-8")
    assert made.sha256 == made.describe()["sha256"]
    assert not recwarn.list


def test_digits_with_one_changed_pixel_are_reported_when_split(monkeypatch):
    images, labels = load_digits(return_X_y=True)
    images[1234, 20] += 1
    monkeypatch.setattr(data, "load_digits", lambda return_X_y: (images, labels))
    whole = digits()
    with pytest.warns(
        UserWarning, match=r"not the data that the datasheet of Alpaydin .* describes .SHA-256 .*b353a2c0bcc1"
    ) as told:
        whole.split(0)
    assert len(told) == 1
    assert len(str(told[0].message).splitlines()) == 1


def test_digits_changed_in_place_are_reported_when_recorded():
    made = digits()
    made.targets[7] = (made.targets[7] + 1) % made.n_classes
    with pytest.warns(UserWarning, match="not the data that the datasheet of"):
        recorded = made.split(0).train.dataset["sha256"]
    assert recorded == fingerprint(made.inputs, made.targets, made.factors)


def test_data_that_differ_between_machines_raise_no_alarm(recwarn):
    made = mnist1d()
    made.inputs[0, 0] += 1e-7
    made.describe()
    assert not recwarn.list


SECTIONS = ["Motivation", "Composition", "Collection process", "Preprocessing", "Uses", "Distribution", "Maintenance"]


@pytest.mark.parametrize("path", sorted((ROOT / "data").glob("[!R]*.md")), ids=lambda path: path.stem)
def test_a_datasheet_answers_each_section_of_gebru_et_al(path):
    text = path.read_text(encoding="utf-8")
    head, *sections = text.split("\n## ")
    assert [section.splitlines()[0] for section in sections] == SECTIONS
    assert all(section.split("\n", 1)[1].strip() for section in sections)
    for row in ("Full name", "Licence", "Size", "Fingerprint (SHA-256)"):
        assert f"| {row} |" in head
    assert "**People.**" in text
    assert "should it not be used for?" in text
    assert path.name in (ROOT / "data" / "README.md").read_text(encoding="utf-8")


def test_every_data_set_has_its_datasheet():
    rows = [made.describe() for made in (digits(), mnist1d(10), repeats(10), sparse_parity(10))]
    for row in (*rows, library_text().dataset):
        text = (ROOT / row["datasheet"]).read_text(encoding="utf-8")
        assert f"labkit.data.{Path(row['datasheet']).stem}(" in text


def test_datasheets_state_source_and_licence(whole):
    for dataset, facts in [(whole, ["10.24432/C50P49", "CC BY 4.0"]), (mnist1d(10), ["Greydanus", "Apache-2.0"])]:
        text = (ROOT / dataset.datasheet).read_text(encoding="utf-8")
        for fact in facts:
            assert fact in text
            assert fact in dataset.source + dataset.licence


def test_describe_has_the_ledgers_columns(whole):
    row = whole.describe()
    assert (row["n_examples"], row["n_features"]) == (1797, 64)
    columns = {"name", "sha256", "n_examples", "n_features", "n_classes", "source", "licence", "datasheet"}
    assert set(row) == columns
    row = whole.split(7).train.replace(targets=torch.zeros(1097), transform="targets zeroed").describe()
    assert set(row) == {"name", "role", "n_examples", "seed", "sha256", "transform"}
    assert (row["role"], row["n_examples"], row["seed"], row["transform"]) == ("train", 1097, 7, "targets zeroed")


# Splits


def rows_of(part, whole):
    """Row numbers of a part in the file (all digits images are different)."""
    where = {row.tobytes(): number for number, row in enumerate(whole.inputs.numpy())}
    return [where[row.tobytes()] for row in part.inputs.numpy()]


def test_random_split_shares_no_row_and_loses_none(whole):
    split = whole.split(3)
    parts = [rows_of(part, whole) for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in parts] == [1097, 200, 500]
    assert sorted(np.concatenate(parts)) == list(range(1797))
    for part, rows in zip((split.train, split.validation, split.test), parts, strict=True):
        assert torch.equal(part.targets, whole.targets[rows])
        assert part.dataset == whole.describe()
    assert [split.train.role, split.validation.role, split.test.role] == ["train", "validation", "test"]
    assert np.corrcoef(parts[0], np.arange(1097))[0, 1] < 0.2  # shuffled


def test_split_depends_on_its_seed_only(whole):
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1]
    first = whole.split(5)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    assert first.train.sha256 == whole.split(5).train.sha256
    assert first.train.sha256 != whole.split(6).train.sha256


def test_split_without_validation(whole):
    split = whole.split(0, test=797, validation=0)
    assert split.validation is None
    assert (len(split.train), len(split.test)) == (1000, 797)


@pytest.mark.parametrize("sizes", [{"test": 0}, {"test": 1797}, {"test": -5}, {"validation": 1297}, {"validation": -1}])
def test_split_refuses_sizes_that_do_not_fit(whole, sizes):
    with pytest.raises(ValueError, match="do not fit"):
        whole.split(0, **sizes)


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_split_refuses_what_is_no_seed(whole, seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        whole.split(seed)


def test_blocks_are_contiguous_and_each_is_held_out_once(whole):
    tested = []
    for held_out in range(7):
        blocks = whole.blocks(7, held_out, seed=1, validation=100)
        rows = rows_of(blocks.test, whole)
        assert rows == list(range(rows[0], rows[-1] + 1))
        rest = rows_of(blocks.train, whole) + rows_of(blocks.validation, whole)
        assert sorted(rows + rest) == list(range(1797))
        assert len(blocks.validation) == 100
        tested += rows
    assert tested == list(range(1797))
    assert blocks.test.split == "block 7 of 7 held out"
    random = whole.split(1, test=len(blocks.test), validation=100)
    assert len(random.train) == len(blocks.train)


def test_digits_come_form_by_form(whole):
    """The datasheet's evidence for writers: the same page of labels returns every 130 rows or so."""
    labels = whole.targets.numpy()
    repeats = {lag: np.mean(labels[lag:] == labels[:-lag]) for lag in range(50, 250)}
    assert max(repeats, key=repeats.get) == 130
    assert repeats[130] > 0.5


# Examples


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        (([[1.0]], torch.tensor([0])), TypeError, "inputs must be a torch tensor, not list"),
        ((np.ones((2, 2)), torch.tensor([0, 1])), TypeError, "torch.as_tensor"),
        ((torch.ones(2, 2), torch.tensor([0])), ValueError, "targets of shape .1. must hold a row for each example"),
        ((torch.ones(0, 2), torch.ones(0)), ValueError, "inputs of shape .0, 2. must hold a row"),
        ((torch.tensor(1.0), torch.tensor(1)), ValueError, "inputs of shape .. must hold a row"),
        ((torch.tensor([[1.0], [torch.nan]]), torch.tensor([0, 1])), ValueError, "inputs contains NaN"),
        ((torch.ones(2, 2), torch.tensor([0.0, torch.inf])), ValueError, "targets contains NaN or infinite"),
        ((torch.ones(2, 2), torch.ones(2), {"shift": torch.ones(3)}), ValueError, "shift of shape .3. must hold a row"),
    ],
)
def test_examples_refuse_bad_tensors_in_one_sentence(fields, error, words):
    with pytest.raises(error, match=words):
        Examples(*fields)


def test_replace_keeps_what_was_done(whole):
    train = whole.split(2).train
    shuffled = train.replace(targets=train.targets.flip(0), transform="labels shuffled")
    noisy = shuffled.replace(inputs=train.inputs + 1, transform="noise added")
    assert noisy.transform == "labels shuffled; noise added"
    assert (noisy.dataset, noisy.role, noisy.seed, noisy.split) == (whole.describe(), "train", 2, "random rows")
    assert torch.equal(noisy.targets, train.targets.flip(0))
    assert train.transform == ""
    assert len({train.sha256, shuffled.sha256, noisy.sha256}) == 3
    with pytest.raises(ValueError, match="Say in words what was changed"):
        train.replace(inputs=train.inputs, transform=" ")
    with pytest.raises(TypeError, match="not role"):
        train.replace(role="test", transform="renamed")
    with pytest.raises(ValueError, match="must hold a row for each example"):
        train.replace(inputs=train.inputs[:5], transform="first five")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint16, torch.bool])
def test_every_type_of_number_has_a_fingerprint(dtype):
    ones, half = (Examples(torch.tensor([[1.0], [second]]).to(dtype), torch.tensor([0, 1])) for second in (1, 0))
    assert ones.sha256 == Examples(torch.ones(2, 1).to(dtype), torch.tensor([0, 1])).sha256
    assert len({ones.sha256, half.sha256, Examples(torch.ones(2, 1), torch.tensor([0, 1])).sha256}) == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[1, 2]], dtype=">i4"), torch.tensor([[1, 2]], dtype=torch.int32)),
        (np.array([1, 2, 3], dtype=np.uint16)[::-1], torch.tensor([3, 2, 1])),
        (pd.Series([1, 2], index=[7, 9]), torch.tensor([1, 2])),
        (pd.DataFrame({"a": [1, 2], "b": [True, False]}), torch.tensor([[1, 1], [2, 0]])),
        ([True, False], torch.tensor([True, False])),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
    ],
)  # fmt: skip
def test_as_tensor_takes_whatever_holds_numbers(values, expected):
    torch.testing.assert_close(gate.as_tensor(values, "inputs"), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "values", ["text", ["a", "b"], [None, 1.0], [[1], [1, 2]], pd.Series(["a"]), np.array(["2020"], "M8")]
)
def test_as_tensor_refuses_what_holds_no_numbers(values):
    with pytest.raises(ValueError, match="targets must hold numbers, none of them missing"):
        gate.as_tensor(values, "targets")


@pytest.mark.parametrize("value", [7, 7.0, np.int8(7), np.float32(7), torch.tensor(7), np.array(7)])
def test_whole_takes_the_numbers_of_all(value):
    assert gate.whole("n", value) == 7
    assert type(gate.whole("n", value)) is int


@pytest.mark.parametrize("value", [-1, 7.5, True, None, "7", np.nan, np.inf, [7, 8]])
def test_whole_refuses(value):
    with pytest.raises(ValueError, match="n must be a whole number of at least 0, not"):
        gate.whole("n", value)


def test_examples_sha256_shows_a_change_in_place():
    examples = small()
    before = examples.sha256
    examples.inputs[0, 0] = 9
    assert examples.sha256 != before


def test_stack_gives_each_replicate_its_own_data_and_record(whole):
    trains = [whole.split(seed).train for seed in range(3)]
    stacked = stack(trains)
    assert stacked.inputs.shape == (3, 1097, 64)
    assert len(stacked) == 1097
    noisy = stacked.replace(inputs=stacked.inputs + torch.arange(3.0)[:, None, None], transform="k added")
    for k, train in enumerate(trains):
        assert stacked.replicate(k).sha256 == train.sha256
        assert stacked.replicate(k).describe() == train.describe()
        assert stacked.parts[k].inputs.data_ptr() == stacked.inputs[k].data_ptr()  # nothing is kept twice
        replicate = noisy.replicate(k)
        assert torch.equal(replicate.inputs, train.inputs + k)
        assert (replicate.seed, replicate.transform, replicate.dataset) == (k, "k added", whole.describe())
    assert trains[0].replicate(2) is trains[0]  # shared by all replicates


def test_stack_keeps_factors_and_transforms():
    parts = [small(transform="a"), small().replace(factors={"height": torch.zeros(4)}, transform="b")]
    stacked = stack(parts)
    assert stacked.factors["height"].tolist() == [[1] * 4, [0] * 4]
    moved = stacked.replace(targets=torch.ones(2, 4), transform="c").to("cpu")
    assert [moved.replicate(k).transform for k in range(2)] == ["a; c", "b; c"]
    assert moved.replicate(1).factors["height"].tolist() == [0] * 4


def test_stack_refuses_parts_that_do_not_fit():
    for parts in ([], [stack([small()])], [small(4), small(5)], [small(role="train"), small(role="test")]):
        with pytest.raises((ValueError, RuntimeError), match="stack"):
            stack(parts)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_examples_on_cuda():
    examples = small()
    moved = examples.to("cuda")
    assert moved.inputs.is_cuda
    assert moved.targets.is_cuda
    assert moved.factors["height"].is_cuda
    assert moved.sha256 == examples.sha256


# MNIST-1D: equal in distribution to the mnist1d package


def package_data(seed, **changes):
    package = pytest.importorskip("mnist1d.data")
    arguments = package.get_dataset_args()
    for name, value in {"seed": seed, "train_split": 1.0, **changes}.items():
        setattr(arguments, name, value)
    made = package.make_dataset(arguments)
    return made["x"], made["y"]


def own_data(seed):
    made = mnist1d(5000, seed)
    return made.inputs.double().numpy(), made.targets.numpy()


@pytest.fixture(scope="module")
def pair():
    return own_data(20_001), package_data(30_001)


def test_mnist1d_shape_and_standardisation():
    made = mnist1d(1234, seed=3)
    assert made.inputs.shape == (1234, 40)
    assert made.inputs.dtype == torch.float32
    assert abs(made.inputs.mean()) < 1e-5
    assert abs(made.inputs.std(correction=0) - 1) < 1e-5
    counts = torch.bincount(made.targets)
    assert len(counts) == 10
    assert counts.max() - counts.min() <= 1
    assert made.sha256 == mnist1d(1234, seed=3).sha256
    assert made.sha256 != mnist1d(1234, seed=4).sha256


def test_mnist1d_factors_have_their_ranges_and_are_independent_of_the_class():
    made = mnist1d(5000, seed=11)
    ranges = {"shift": (0, 47), "scale": (0.8, 1.2), "shear": (-0.375, 0.375), "padding": (36, 60)}
    assert set(made.factors) == set(ranges)
    for name, (low, high) in ranges.items():
        values = made.factors[name].numpy()
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high >= values.max() > high - 0.02 * (high - low)
        assert abs(np.corrcoef(values, made.targets)[0, 1]) < 4 / np.sqrt(5000)
        # Uniform: the mean of n values is off by at most four standard errors.
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low + 1) / np.sqrt(12 * 5000)


def test_mnist1d_is_the_packages_transform_of_its_factors_plus_the_packages_noise(monkeypatch):
    transform = pytest.importorskip("mnist1d.transform")
    data = pytest.importorskip("mnist1d.data")
    n, made, templates = 1000, mnist1d(1000, seed=12), data.get_templates()

    def package(k, noise):
        """The package's signal with our factors and all its noise set to one number."""
        factor = {name: values[k].item() for name, values in made.factors.items()}
        uniform = iter(
            [(factor["padding"] - 35.5) / 25, (factor["scale"] - 1) / 0.4 + 0.5, factor["shear"] / 0.75 + 0.5]
        )
        monkeypatch.setattr(np.random, "rand", lambda: next(uniform))
        monkeypatch.setattr(np.random, "choice", lambda count: int(factor["shift"]))
        monkeypatch.setattr(np.random, "randn", lambda *shape: np.full(shape, noise))
        return transform.transform(templates["x"][made.targets[k]], templates["t"], data.get_dataset_args())[0]

    clean = np.stack([package(k, 0.0) for k in range(n)])
    noise = np.stack([package(k, 1.0) for k in range(n)]) - clean  # 0.02 on the stroke, 0.27 beside it, else a mixture
    on, beside = np.abs(noise - 0.02) < 1e-6, np.abs(noise - 0.27) < 1e-6
    assert 0.1 < on.mean() < 0.4
    assert 0.5 < beside.mean() < 0.9
    ours = made.inputs.double().numpy()
    slope, offset = np.polyfit(ours[on], clean[on], 1)  # undoes the standardisation
    residual = slope * ours + offset - clean
    assert np.abs(residual[on]).max() < 0.1  # so the factors are those that made the signal

    generator = np.random.default_rng(0)
    monkeypatch.setattr(np.random, "randn", lambda *shape: generator.standard_normal(shape))
    draws = [
        (transform.iid_noise_like(np.zeros(72), 0.02), transform.corr_noise_like(np.zeros(72), 0.25)) for _ in range(n)
    ]
    white = np.stack([transform.interpolate(iid, 40) for iid, _ in draws])
    full = np.stack([transform.interpolate(iid + smooth, 40) for iid, smooth in draws])
    # Standard deviations of noise by position; theirs and ours each have a relative standard error below 1 %.
    for where, theirs in [(on, white), (beside, full)]:
        expected = np.sqrt(np.broadcast_to(theirs.var(0), where.shape)[where].mean())
        assert residual[where].std() == pytest.approx(expected, rel=0.04)
    # And how it changes from one sample to the next.
    steps = np.diff(residual, axis=1)[beside[:, 1:] & beside[:, :-1]]
    assert steps.std() == pytest.approx(np.diff(full, axis=1).std(), rel=0.04)


def test_mnist1d_class_means_and_variances_match_the_package(pair):
    (ours, our_labels), (theirs, their_labels) = pair
    for statistic in (lambda x: x, lambda x: (x - x.mean(0)) ** 2):
        z = []
        for label in range(10):
            a, b = statistic(ours[our_labels == label]), statistic(theirs[their_labels == label])
            z.append((a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / len(a) + b.var(0) / len(b)))
        z = np.array(z)
        assert np.abs(z).max() < 5  # 400 normal values exceed it once in 4000 runs
        assert 0.6 < np.mean(z**2) < 1.5


def test_mnist1d_covariance_spectrum_matches_the_package(pair):
    spectra = [np.linalg.eigvalsh(np.cov(x.T)) for x, _ in pair]
    # From seed to seed the logarithm of an eigenvalue has a standard deviation of 0.01 to 0.035, in theirs as in ours.
    assert np.abs(np.log(spectra[0] / spectra[1])).max() < 0.16


def two_sample_accuracy(ours, theirs):
    """Held-out accuracy of a quadratic classifier that tells ours from theirs: 0.5 where it cannot."""
    x, y = np.concatenate([ours, theirs]), np.repeat([0, 1], [len(ours), len(theirs)])
    order = np.random.default_rng(0).permutation(len(x))
    train, test = np.array_split(order, 2)
    model = make_pipeline(PolynomialFeatures(2), RidgeClassifier(100.0))
    return model.fit(x[train], y[train]).score(x[test], y[test])


def test_no_classifier_tells_mnist1d_from_the_package(pair):
    chance = 4 * np.sqrt(0.25 / 5000)
    assert abs(two_sample_accuracy(pair[0][0], pair[1][0]) - 0.5) < chance
    # And it would see a difference: the package with less smooth noise.
    different, _ = package_data(30_002, corr_noise_scale=0.15, num_samples=2000)
    assert two_sample_accuracy(pair[0][0][:2000], different) > 0.5 + 4 * np.sqrt(0.25 / 2000)


# Generated tasks


def test_repeats_repeat_with_their_period_and_the_target_is_the_next_token():
    world = repeats(200, seed=3, vocabulary=20, length=30, periods=(4, 9))
    assert world.inputs.shape == world.targets.shape == (200, 30)
    assert world.inputs.dtype == world.targets.dtype == torch.int64
    assert torch.equal(world.inputs[:, 1:], world.targets[:, :-1])
    periods = world.factors["period"].tolist()
    assert set(periods) == set(range(4, 10))
    for row, period in zip(torch.cat([world.inputs, world.targets[:, -1:]], 1).tolist(), periods, strict=True):
        assert len(set(row[:period])) == period
        assert row[period:] == row[:-period]
    assert world.n_classes == 20
    assert world.sha256 == repeats(200, seed=3, vocabulary=20, length=30, periods=(4, 9)).sha256
    assert world.sha256 != repeats(200, seed=4, vocabulary=20, length=30, periods=(4, 9)).sha256


def test_sparse_parity_is_the_parity_of_three_bits_of_its_task_and_of_no_other_three():
    world = sparse_parity(30_000, seed=5)
    assert world.inputs.shape == (30_000, 44)
    named, bits = world.inputs[:, :32], (world.inputs[:, 32:] > 0).long()
    assert torch.equal(named.argmax(1), world.factors["task"])
    assert torch.equal(named.sum(1), torch.ones(30_000))
    assert set(world.inputs[:, 32:].unique().tolist()) == {-1, 1}
    triples = torch.combinations(torch.arange(12), 3)
    for task in (0, 5, 31):
        own = world.factors["task"] == task
        explains = (bits[own][:, triples].sum(-1) % 2 == world.targets[own, None]).all(0)
        assert explains.sum() == 1


def test_sparse_parity_has_the_frequencies_and_the_same_tasks_for_every_n():
    small, large = sparse_parity(2000, seed=6), sparse_parity(100_000, seed=6)
    expected = np.arange(1, 33) ** -1.4
    counts = np.bincount(large.factors["task"], minlength=32)
    assert chisquare(counts, 100_000 * expected / expected.sum()).pvalue > 1e-6
    known = {tuple(row.tolist()): int(target) for row, target in zip(large.inputs, large.targets, strict=True)}
    seen = [
        (known[key], int(target))
        for row, target in zip(small.inputs, small.targets, strict=True)
        if (key := tuple(row.tolist())) in known
    ]
    assert len(seen) > 500
    assert all(first == second for first, second in seen)
    assert sparse_parity(2000, seed=6).sha256 == small.sha256 != sparse_parity(2000, seed=7).sha256
    assert sparse_parity(1000, seed=0).sha256 in (ROOT / small.datasheet).read_text(encoding="utf-8")


def test_library_text_is_the_librarys_and_its_parts_share_no_file():
    text = library_text()
    assert len(text.alphabet) == len(set(text.alphabet)) == 96
    for part in (text.train, text.test):
        assert part.dtype == torch.uint8
        assert part.max() < 96

    def written(part):
        return "".join(text.alphabet[number] for number in part.tolist())

    root = Path(sysconfig.get_path("stdlib"))
    files = {name: (root / name).read_text(encoding="utf-8") for name in ("abc.py", "ast.py", "bisect.py", "cmd.py")}
    train, test = written(text.train), written(text.test)
    assert {name: content in train for name, content in files.items()} == {
        name: content not in test for name, content in files.items()
    }
    assert 10 < len(train) / len(test) < 60
    assert text.dataset.keys() == digits().describe().keys()
    assert text.dataset["sha256"] == text.sha256 == fingerprint(text.train, text.test)
    assert text.dataset["n_examples"] == len(text.train) + len(text.test)


def test_windows_are_pieces_of_the_text_with_what_follows():
    text = library_text()
    windows = text.windows(50, 7, seed=3)
    assert windows.inputs.shape == (50, 7)
    assert windows.dataset == text.dataset
    train = bytes(text.train.tolist())
    for row, target in zip(windows.inputs, windows.targets, strict=True):
        assert bytes([*row.tolist(), int(target)]) in train
    assert torch.equal(windows.inputs, text.windows(50, 7, seed=3).inputs)
    assert not torch.equal(windows.inputs, text.windows(50, 7, seed=4).inputs)
    assert text.windows(50, 7, seed=3, part="test").role == "test"
    for n, context in ((0, 7), (5, 0), (5, len(text.train))):
        with pytest.raises(ValueError, match=r"a row for each example|high <= 0"):
            text.windows(n, context, seed=0)


def test_first_examples_keep_what_is_known_of_them():
    part = mnist1d(100, seed=1).split(1, test=20, validation=0).train
    some = part.first(30)
    assert torch.equal(some.inputs, part.inputs[:30])
    assert torch.equal(some.factors["shift"], part.factors["shift"][:30])
    assert (some.dataset, some.role, some.seed) == (part.dataset, "train", 1)
    assert some.describe()["name"] == "random rows, the first 30"
    for n in (0, 81):
        with pytest.raises(ValueError, match="give 1 to 80"):
            part.first(n)
    with pytest.raises(ValueError, match="a stack replicate by replicate"):
        stack([part]).first(3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: data.repeats(9, vocabulary=4, periods=(2, 6)),
            "the highest period must be a whole number from 2 to 4",
        ),
        (lambda: data.repeats(9, periods=(0, 6)), "the lowest period must be a whole number from 1 to 32"),
        (lambda: data.sparse_parity(9, bits=3, chosen=4), "chosen must be a whole number from 1 to 3"),
        (lambda: data.digits().blocks(4, 4), "held_out must be a whole number from 0 to 3"),
        (lambda: data.digits().blocks(4, -1), "held_out must be a whole number from 0 to 3"),
    ],
)
def test_tasks_that_cannot_be_drawn_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
