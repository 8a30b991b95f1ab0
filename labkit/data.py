"""Datasets with a fingerprint, a datasheet and a record of every change: scikit-learn's digits, our own MNIST-1D, the
text of Python's standard library, and generated tasks.

Nothing is downloaded. `Dataset` is a whole data set, `Examples` the part of it that a model meets, and a split its
training, validation and test part together.
"""

import dataclasses
import functools
import hashlib
import json
import platform
import string
import sysconfig
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d
from sklearn.datasets import load_digits

from labkit.gate import finite, whole


def _each(change, source):
    """The three tensor fields of `source`, each tensor changed by `change`."""
    factors = {name: change(values) for name, values in source.factors.items()}
    return {"inputs": change(source.inputs), "targets": change(source.targets), "factors": factors}


def _fingerprint(inputs, targets, factors=None):
    """SHA-256 of names, types, shapes and bytes, as 64 hexadecimal digits.

    Equal data have equal fingerprints on every machine and device. float32 and float64 of the same numbers differ.
    """
    digest = hashlib.sha256()
    for name, values in [("inputs", inputs), ("targets", targets), *sorted((factors or {}).items())]:
        digest.update(f"{name} {str(values.dtype).removeprefix('torch.')} {list(values.shape)}\n".encode())
        # As bytes, since NumPy has no name for some of PyTorch's types, such as bfloat16.
        digest.update(values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


_DIGITS = "Alpaydin & Kaynak 1998, doi:10.24432/C50P49, test part, as shipped with scikit-learn"
_DIGITS_SHA256 = "b353a2c0bcc1d5252d3632b32575e228e39b6775270d7f5cec44eb453603c17f"  # as data/digits.md states


def changed(source, sha256):
    """A sentence where the digits have another fingerprint than their datasheet states, else None.

    The other data are made by libraries that may change them, so their fingerprints only identify them.
    """
    if source == _DIGITS and sha256 != _DIGITS_SHA256:
        return f"These are not the data that the datasheet of {source} describes (SHA-256 {_DIGITS_SHA256})."


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their targets, and where they come from: what `train.fit` and `train.evaluate` take.

    inputs     tensor [n, ...]; with a replicate axis (see `stack`) [K, n, ...]
    targets    tensor [n] of class numbers (int64), [n, T] for sequences, or any float tensor [n, ...] for regression
    factors    name -> tensor [n]: what else is known of each example, such as MNIST-1D's shift
    dataset    what is known of the data set they are from (`Dataset.describe()`), or None
    role       "train", "validation", "test" or "all"
    seed       of the split, None where nothing was drawn
    split      how the split was made, in words
    transform  what was changed since, in words; "" if nothing (in a stack: since it was stacked)
    parts      the K Examples behind a stack, else ()

    Raises TypeError or ValueError when a tensor is missing, empty, not finite or of another length.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    factors: dict = dataclasses.field(default_factory=dict)
    dataset: dict | None = None  # not the Dataset, whose tensors would then stay in memory
    role: str = "all"
    seed: int | None = None
    split: str = ""
    transform: str = ""
    parts: tuple["Examples", ...] = ()

    def __post_init__(self):
        axes = 2 if self.parts else 1  # the dimensions that count examples
        for name, rows in {"inputs": self.inputs, "targets": self.targets, **self.factors}.items():
            if not isinstance(rows, torch.Tensor):
                raise TypeError(f"{name} must be a torch tensor, not {type(rows).__name__}: use torch.as_tensor.")
            if rows.ndim < axes or 0 in rows.shape or rows.shape[:axes] != self.inputs.shape[:axes]:
                raise ValueError(f"{name} of shape {list(rows.shape)} must hold a row for each example.")
            if not finite(rows):
                raise ValueError(f"{name} contains NaN or infinite values: remove or repair those examples first.")

    def __len__(self):
        """Number of examples n (of each replicate, in a stack)."""
        return self.targets.shape[1 if self.parts else 0]

    @property
    def sha256(self):
        """Fingerprint of the tensors as they are now (so that a change in place shows)."""
        return _fingerprint(self.inputs, self.targets, self.factors)

    def replace(self, *, transform, **tensors):
        """A copy with other `inputs`, `targets` or `factors`.

        `transform` says in words what was done; it is added to what was done before ("labels shuffled; noise added").
        Raises ValueError when it is empty, since a change without a record is refused, and TypeError for other names.
        """
        if not transform.strip():
            raise ValueError('Say in words what was changed, for instance transform="labels shuffled".')
        if not tensors.keys() <= {"inputs", "targets", "factors"}:
            raise TypeError(f"replace changes inputs, targets and factors, not {', '.join(tensors)}.")
        parts = tuple(part.replace(transform=transform) for part in self.parts)
        record = f"{self.transform}; {transform}" if self.transform else transform
        return dataclasses.replace(self, **tensors, transform=record, parts=parts)

    def to(self, device):
        """The same examples with every tensor on `device`."""
        return dataclasses.replace(self, **_each(lambda values: values.to(device), self))

    def replicate(self, k):
        """What replicate k sees: its own part of a stack, or these examples where all replicates share them."""
        return dataclasses.replace(self.parts[k], **_each(lambda values: values[k], self)) if self.parts else self

    def first(self, n):
        """The first n examples. ValueError when there are not so many."""
        if self.parts or not 1 <= n <= len(self):
            raise ValueError(f"first({n}): give 1 to {len(self)}, and a stack replicate by replicate.")
        return dataclasses.replace(self, **_each(lambda values: values[:n], self), split=f"{self.split}, the first {n}")

    def describe(self):
        """The ledger's row for this split (but for the data set's id). A stack has none: describe each replicate."""
        row = {key: getattr(self, key) for key in ("role", "seed", "sha256", "transform")}
        return {"name": self.split, "n_examples": len(self), **row}


def stack(parts):
    """K Examples of equal shape as one whose tensors have a leading replicate axis [K, n, ...].

    For an `Ensemble` whose replicates have data of their own. Raises ValueError when the parts do not fit together,
    and PyTorch's RuntimeError when their shapes differ.
    """
    parts = tuple(parts)
    if len({(part.role, *part.factors) for part in parts}) != 1 or any(part.parts for part in parts):
        raise ValueError("stack needs Examples of the same role and factors, none of them stacked already.")
    inputs, targets = torch.stack([part.inputs for part in parts]), torch.stack([part.targets for part in parts])
    factors = {name: torch.stack([part.factors[name] for part in parts]) for name in parts[0].factors}
    stacked = Examples(inputs, targets, factors, role=parts[0].role, parts=parts)
    # each part looks at the stack's memory from here on, so that nothing is kept twice
    return dataclasses.replace(stacked, parts=tuple(stacked.replicate(k) for k in range(len(parts))))


# Training, validation and test Examples that share no row. `validation` is None where its size was 0.
_Split = namedtuple("Split", ["train", "validation", "test"])


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A whole data set in file order. It is checked when it is split.

    inputs      float32 tensor [n, ...]; of sequences int64 tokens [n, T]
    targets     int64 tensor [n], class numbers from 0 to n_classes - 1; of sequences [n, T]
    factors     name -> tensor [n] of what else is known of each example; {} if nothing
    source      where it comes from; licence: its terms; datasheet: its page, relative to the project's root
    """

    name: str
    inputs: torch.Tensor
    targets: torch.Tensor
    factors: dict
    n_classes: int
    source: str
    licence: str
    datasheet: str

    def __len__(self):
        return len(self.inputs)

    @property
    def sha256(self):
        """Fingerprint of inputs, targets and factors as they are now."""
        return _fingerprint(self.inputs, self.targets, self.factors)

    def describe(self):
        """The ledger's row for this data set. Warns where digits are not those of their datasheet."""
        row = {key: getattr(self, key) for key in ("name", "sha256", "n_classes", "source", "licence", "datasheet")}
        if problem := changed(self.source, row["sha256"]):
            warnings.warn(problem, stacklevel=2)
        return {"n_examples": len(self), "n_features": self.inputs[0].numel(), **row}

    def _split(self, name, seed, test, rest, validation):
        """Rows `test` for testing; the first `validation` of `rest` for validation; the others for training."""
        if len(test) == 0 or not 0 <= validation < len(rest):
            raise ValueError(f"{len(test)} test and {validation} validation rows of {len(self)} do not fit.")
        whole = Examples(self.inputs, self.targets, self.factors, self.describe(), seed=seed, split=name)

        def part(role, rows):
            tensors = _each(lambda values: values[rows], whole)
            return dataclasses.replace(whole, role=role, **tensors) if len(rows) else None

        return _Split(part("train", rest[validation:]), part("validation", rest[:validation]), part("test", test))

    def split(self, seed, *, test=500, validation=200):
        """Training, validation and test rows by one random permutation drawn from `seed`; sizes in examples.

        The defaults leave digits 1097 rows for training. Raises ValueError where the sizes do not fit.
        """
        rows = _generator(seed).permutation(len(self))
        return self._split("random rows", seed, rows[: max(test, 0)], rows[max(test, 0) :], validation)

    def blocks(self, number, held_out, *, seed=0, validation=200):
        """Cut the file's order into `number` contiguous blocks and test on block `held_out` (0 to number - 1).

        Validation rows are drawn with `seed` from the other blocks: they are like the training rows, the test rows are
        not. The random split of equal sizes to compare with is `split(seed, test=len(blocks.test))`; for replicates,
        let held_out run over all blocks. In digits, other blocks are probably other writers (see its datasheet).
        """
        held_out = whole("held_out", held_out, most=number - 1)
        test = np.array_split(np.arange(len(self)), number)[held_out]
        rest = _generator(seed).permutation(np.setdiff1d(np.arange(len(self)), test))
        return self._split(f"block {held_out + 1} of {number} held out", seed, test, rest, validation)


def _generator(seed):
    return np.random.default_rng(whole("seed", seed))


def digits():
    """Handwritten digits from scikit-learn: 1797 images of 8 x 8 pixels as inputs [1797, 64] in [0, 1], 10 classes.

    Source: Alpaydin & Kaynak 1998, UCI, the test part (optdigits.tes), each value divided by 16.
    """
    images, labels = load_digits(return_X_y=True)
    inputs, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)
    return Dataset("digits", inputs, labels, {}, 10, _DIGITS, licence="CC BY 4.0", datasheet="data/digits.md")


# The templates of Greydanus & Kobak 2024: a stroke of 12 points for each digit, two digits a line.
_STROKES = """5 6   6.5 6.75 7 7    7    7   6.75 6.5 6   5    5 3   3   3.4  3.8 4.2 4.6 5   5.4  5.8 5   5
              5 6   6.5 6.5  6 5.25 4.75 4   3.5  3.5 4   5    5 6   6.5 6.5  6 5    5    6   6.5  6.5 6   5
              5 4.4 3.8 3.2  2.6 2.6 5   5   5    5   5   5    5 3   3   3    3 5    6    6.5 6.5  6   4.5 5
              5 4   3.5 3.25 3 3    3    3   3.25 3.5 4   5    5 7   7   6.6  6.2 5.8 5.4 5   4.6  4.2 5   5
              5 4   3.5 3.5  4 5    5    4   3.5  3.5 4   5    5 4   3.5 3.5  4 5    5    5   5    4.7 4.3 5"""
_GRID = 72  # samples before the last resampling: 12 of the stroke and at most 60 of padding


def _interpolate(values, at):
    """Read the rows of `values` [n, m] at the fractional positions `at` [n or 1, k], linearly."""
    left = np.minimum(at.astype(int), values.shape[1] - 2)
    low, high = np.take_along_axis(values, left, axis=1), np.take_along_axis(values, left + 1, axis=1)
    return low + (at - left) * (high - low)


def mnist1d(n=5000, seed=0):
    """MNIST-1D, drawn afresh: n signals of 40 samples, inputs [n, 40] with mean 0 and variance 1 overall, 10 classes.

    Steps, in order: a digit's stroke is padded (which sets its width), scaled, shifted around the circle of 72 samples,
    set in smooth noise, given white noise, sheared, resampled to 40, and all n together standardised. Classes are
    balanced to within one. Equal in distribution to the `mnist1d` package at its defaults; the factors are kept:

    shift    whole samples of 72, 0 to 47       scale   of the stroke's height, 0.8 to 1.2
    shear    height lost from end to end, in units before standardising, -0.375 to 0.375
    padding  samples, 36 to 60: more is narrower

    Source: Greydanus & Kobak 2024, "Scaling Down Deep Learning with MNIST-1D" (ICML).
    """
    generator = _generator(seed)
    targets = generator.permutation(np.arange(n) % 10)
    padding = generator.integers(36, 60, n, endpoint=True)
    scale = generator.uniform(0.8, 1.2, n)
    shift = generator.integers(0, 48, n)
    shear = generator.uniform(-0.375, 0.375, n)

    strokes = np.array(_STROKES.split(), dtype=float).reshape(10, 12)
    strokes = (strokes - strokes[:, :1]) / (6 * strokes.std(axis=1, keepdims=True))
    padded = np.pad(strokes, ((0, 0), (0, _GRID - 12)))[targets]
    # Where on the padded stroke each of the 72 samples reads: shifted around the circle, stretched by the padding.
    position = (np.arange(_GRID) - shift[:, None]) % _GRID * ((11 + padding[:, None]) / (_GRID - 1))
    stroke = scale[:, None] * _interpolate(padded, position)
    smooth = gaussian_filter1d(0.25 * generator.standard_normal((n, _GRID)), sigma=2, axis=1)
    signal = np.where(position < 12, stroke, smooth) + 0.02 * generator.standard_normal((n, _GRID))
    signal -= shear[:, None] * np.linspace(-0.5, 0.5, _GRID)
    signal = _interpolate(signal, np.linspace(0, _GRID - 1, 40)[None])

    factors = {"shift": shift, "scale": scale, "shear": shear, "padding": padding}
    factors = {name: torch.tensor(values, dtype=torch.float32) for name, values in factors.items()}
    inputs = torch.tensor((signal - signal.mean()) / signal.std(), dtype=torch.float32)
    source = f"labkit.data.mnist1d(n={n}, seed={seed}), after Greydanus & Kobak 2024"
    licence = "MIT; the stroke templates Apache-2.0"
    return Dataset("mnist1d", inputs, torch.from_numpy(targets), factors, 10, source, licence, "data/mnist1d.md")


def repeats(n, seed=0, *, vocabulary=32, length=32, periods=(6, 16)):
    """Sequences that repeat themselves: inputs [n, length] tokens, targets [n, length] the token that comes next.

    Each sequence draws a period P evenly from `periods` (lowest, highest) and P different tokens in random order, and
    repeats them to the end. So from position P on (counted from 0) the current token has occurred before, and what
    followed it then is the target; before that the target cannot be known. The factor `period` holds P.

    Source: after the repeated random sequences of Elhage et al. 2021 and Olsson et al. 2022. Built in notebook 03.
    """
    source = f"labkit.data.repeats(n={n}, seed={seed}, vocabulary={vocabulary}, length={length}, periods={periods})"
    lowest = whole("the lowest period", periods[0], 1, vocabulary)
    highest = whole("the highest period", periods[1], lowest, vocabulary)
    generator = _generator(seed)
    period = generator.integers(lowest, highest, n, endpoint=True)
    order = generator.permuted(np.tile(np.arange(vocabulary), (n, 1)), axis=1)
    tokens = torch.from_numpy(np.take_along_axis(order, np.arange(length + 1) % period[:, None], axis=1))
    inputs, targets, factors = tokens[:, :-1].clone(), tokens[:, 1:].clone(), {"period": torch.from_numpy(period)}
    return Dataset("repeats", inputs, targets, factors, vocabulary, source, "MIT", "data/repeats.md")


def sparse_parity(n, seed=0, *, tasks=32, bits=12, chosen=3, exponent=1.4):
    """Multitask sparse parity: inputs [n, tasks + bits], 2 classes, the factor `task` from 0 to tasks - 1.

    The first `tasks` inputs say which task it is (1, the others 0); the others are random bits (-1 or 1). Each task has
    `chosen` bits of its own, drawn from `seed`; the target is 1 when an odd number of them is 1. Task i comes with a
    probability proportional to (i + 1)^-exponent. The same seed gives the same tasks whatever n is.

    Source: Michaud, Liu, Girit & Tegmark 2023, "The quantization model of neural scaling" (NeurIPS).
    Built in notebook 04.
    """
    sizes = f"n={n}, seed={seed}, tasks={tasks}, bits={bits}, chosen={chosen}, exponent={exponent:g}"
    source = f"labkit.data.sparse_parity({sizes})"
    chosen = whole("chosen", chosen, 1, bits)
    generator = _generator(seed)
    subsets = generator.permuted(np.tile(np.arange(bits), (tasks, 1)), axis=1)[:, :chosen]
    frequency = np.arange(1, tasks + 1) ** -float(exponent)
    task = torch.from_numpy(generator.choice(tasks, n, p=frequency / frequency.sum()))
    on = torch.from_numpy(generator.integers(0, 2, (n, bits)))
    inputs = torch.cat([torch.nn.functional.one_hot(task, tasks), 2 * on - 1], dim=1).float()
    targets = on.gather(1, torch.from_numpy(subsets)[task]).sum(1) % 2
    return Dataset("sparse parity", inputs, targets, {"task": task}, 2, source, "MIT", "data/sparse_parity.md")


@dataclasses.dataclass(frozen=True, eq=False)
class _Text:
    """A text, as the class numbers of its characters, in two parts that share no file.

    train, test  uint8 tensors [n]
    alphabet     the characters in the order of their class numbers
    sha256       fingerprint of both parts
    dataset      the ledger's row for this text; its examples are its characters
    """

    train: torch.Tensor
    test: torch.Tensor
    alphabet: str
    sha256: str
    dataset: dict

    def windows(self, n, context, *, seed, part="train"):
        """Examples of what comes next: inputs [n, context] uint8, targets [n] the character that follows each.

        Windows are drawn with replacement from the part.
        """
        text = getattr(self, part)
        start = _generator(seed).integers(0, len(text) - context, n)
        drawn = text.unfold(0, context + 1, 1)[start]
        name = f"{n} random windows of {context} characters"
        return Examples(drawn[:, :-1], drawn[:, -1].long(), dataset=self.dataset, role=part, seed=seed, split=name)


@functools.cache
def library_text():
    """The text of the Python standard library that runs this code, read in place: a text with 96 different characters.

    Taken are its .py files of printable ASCII characters and line ends, without tests and installed packages; every
    20th file (by name) is the test part. It differs from one Python to the next: the fingerprint tells them apart.
    """
    alphabet = (string.printable[:95] + "\n").encode()
    numbers = bytes.maketrans(alphabet, bytes(range(96)))
    root = Path(sysconfig.get_path("stdlib"))
    left_out = {"test", "tests", "idle_test", "encodings", "site-packages", "dist-packages"}
    paths = (path for path in root.rglob("*.py") if not left_out.intersection(path.relative_to(root).parts))
    files = [path.read_bytes().replace(b"\r\n", b"\n") for path in sorted(paths, key=Path.as_posix)]
    files = [text.translate(numbers) for text in files if text and not text.translate(None, alphabet)]
    parts = [text for i, text in enumerate(files) if i % 20], files[::20]
    train, test = (torch.frombuffer(bytearray(b"".join(part)), dtype=torch.uint8) for part in parts)
    source = f"the standard library of Python {platform.python_version()}, {len(files)} files, as installed"
    about = {"name": "Python standard library", "licence": "PSF-2.0", "datasheet": "data/library_text.md"}
    sizes = {"n_examples": len(train) + len(test), "n_features": 1, "n_classes": len(alphabet)}
    sha256 = _fingerprint(train, test)
    return _Text(train, test, alphabet.decode(), sha256, {"sha256": sha256, "source": source, **about, **sizes})


def long_run(name):
    """The table of an experiment that is too long for a notebook, and its record: (DataFrame, dict).

    The table has a row a run, as `sweep.run` returns it, with six digits. The record names its code_sha256,
    labkit_sha256, grid, seeds, torch, processor, device, threads, date and command. Both are in `data/results/`, or in
    the installed labkit. Raises FileNotFoundError where there is no such table.
    """
    here = Path(__file__).parent
    folder = here / "results" if (here / "results").is_dir() else here.parent / "data" / "results"
    record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    lists = dict.fromkeys(record["json_columns"], lambda text: json.loads(text or "NaN"))
    table = pd.read_csv(folder / f"{name}.csv", converters=lists, dtype={"error": object})
    return table.fillna({"error": ""}), record
