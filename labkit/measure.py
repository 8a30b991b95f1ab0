"""Measurements of networks and their representations that more than one notebook uses.

Pure functions: arrays or tensors in (float32 or float64, CPU or GPU), Python floats or numpy arrays out, nothing
recorded. They compute in float64 on the CPU. A leading replicate axis K, where a function takes one, gives K values.
"""

import typing

import numpy as np
import torch
from torch.nn.functional import one_hot, pad

from labkit.gate import as_tensor, finite, whole


def _numbers(values, name):
    """`values` as a finite tensor, float64 or, of whole numbers, int64."""
    values = as_tensor(values, name).cpu()
    if not finite(values):
        raise ValueError(f"{name} contains NaN or infinite values: did training diverge?")
    return values.double() if values.is_floating_point() else values.long()


def _features(values, name, dims=(2, 3)):
    """`values` as a finite, non-empty float64 tensor whose number of dimensions is in `dims`."""
    values = _numbers(values, name).double()
    if values.ndim not in dims or 0 in values.shape:
        raise ValueError(f"{name} has shape {list(values.shape)}, not {' or '.join(map(str, dims))} axes with rows.")
    return values


def _targets(values, name, features):
    """`values` as float64 or, of whole numbers, as int64 class numbers; one for each row of `features`."""
    values, rows = _numbers(values, name), features.shape[:-1]
    if values.shape not in (rows, rows[-1:]):
        raise ValueError(f"{name} of shape {list(values.shape)} does not give one target to each row of {list(rows)}.")
    if not values.is_floating_point() and values.min() < 0:
        raise ValueError(f"{name} must be class numbers, integers from 0, not {int(values.min())}.")
    return values


def _classified(logits, targets):
    """Logits [.., n, C] with the class numbers of their rows."""
    logits = _features(logits, "logits")
    targets, last = _targets(targets, "targets", logits), logits.shape[-1] - 1
    if targets.is_floating_point() or targets.max() > last:
        raise ValueError(f"targets must be class numbers, integers from 0 to {last}.")
    return logits, targets


def _centred(x):
    """x [.., n, d] less each column's mean; 0 throughout a column that is the same in all rows, up to rounding."""
    centred = x - x.mean(-2, keepdim=True)
    spread, size = (values.abs().amax(-2, keepdim=True) for values in (centred, x))
    return torch.where(spread > 1e-12 * size, centred, 0)  # a mean is not exact


def _result(values):
    """A float for one value, a numpy array for several."""
    return values.item() if values.ndim == 0 else values.numpy()


def accuracy(logits, targets):
    """Fraction of rows whose largest logit is that of their class. A tie goes to the first.

    logits [n, C] or [K, n, C]; targets [n], shared, or [K, n], class numbers. Returns a float or an array [K].
    Raises ValueError for NaN, shapes that do not fit and class numbers outside 0..C-1. Built in notebook 00.
    """
    logits, targets = _classified(logits, targets)
    return _result((logits.argmax(-1) == targets).double().mean(-1))


def linear_probe(train_features, train_targets, test_features, test_targets, *, penalty=1e-3):
    """How well a linear map reads targets from frozen features: test accuracy of class numbers, R² of float targets.

    Ridge regression with intercept (onto one-hot vectors for class numbers) in closed form: with features H and targets
    Y centred on the training rows, W = (H'H/n + penalty v I)^-1 H'Y/n, where v is the features' mean variance. So
    `penalty` has no unit, and scaling all features changes nothing. Features that do not vary predict the mean target.

    features  [n, d] or, one probe for each replicate, [K, n, d]
    targets   [n], shared, or [K, n]: class numbers (integers) or floats

    Returns a float or an array [K]. Raises ValueError for NaN, shapes that do not fit and a penalty not above 0.
    Source: Alain & Bengio 2016 (linear probes), with ridge regression in place of logistic. Built in notebook 00.
    """
    if not 0 < penalty < np.inf:
        raise ValueError(f"penalty must be positive and finite, not {penalty}.")
    train, test = _features(train_features, "train_features"), _features(test_features, "test_features")
    targets, truth = _targets(train_targets, "train_targets", train), _targets(test_targets, "test_targets", test)
    if (train.shape[:-2], train.shape[-1], targets.dtype) != (test.shape[:-2], test.shape[-1], truth.dtype):
        raise ValueError("Training and test need the same replicates and features, and the same kind of targets.")
    of_classes, classes = targets.dtype == torch.int64, 1 + int(max(targets.max(), truth.max()))
    outputs = one_hot(targets, classes).double() if of_classes else targets.unsqueeze(-1)

    centred, mean = _centred(train), outputs.mean(-2, keepdim=True)
    n, d = train.shape[-2:]
    variance = centred.square().mean((-2, -1), keepdim=True)
    ridge = (penalty * variance).clamp_min(1e-300) * torch.eye(d).to(train)
    weights = torch.linalg.solve(centred.mT @ centred / n + ridge, centred.mT @ (outputs - mean) / n)
    predicted = (test - train.mean(-2, keepdim=True)) @ weights + mean
    if of_classes:
        return _result((predicted.argmax(-1) == truth).double().mean(-1))
    total = _centred(truth.unsqueeze(-1)).square().sum((-2, -1))
    if (total == 0).any():
        raise ValueError("R² needs targets that vary: these are all the same number.")
    return _result(1 - (predicted.squeeze(-1) - truth).square().sum(-1) / total)


class _PCA(typing.NamedTuple):
    """Result of `pca`: arrays, float64."""

    coordinates: np.ndarray  # [n, k]: the rows in the principal axes
    components: np.ndarray  # [k, d]: the axes, unit vectors, largest variance first
    explained: np.ndarray  # [k]: fraction of the total variance along each axis
    mean: np.ndarray  # [d]

    def project(self, x):
        """Coordinates [m, k] of other rows x [m, d] in the same axes."""
        x = _features(x, "x", dims=(2,)).numpy()
        return (x - np.broadcast_to(self.mean, x.shape)) @ self.components.T


def pca(x, k=2):
    """Principal component analysis: the k orthogonal axes along which the rows of x [n, d] vary most.

    Each axis points so that its largest entry is positive. Returns their `coordinates`, `components` and
    `explained` variance, and what projects other rows. Raises ValueError for NaN, k outside
    1..min(n, d) and data that do not vary. Source: Pearson 1901; by singular value decomposition. Built in notebook 01.
    """
    x = _features(x, "x", dims=(2,))
    k, centred = whole("k", k, 1, min(x.shape)), _centred(x)
    _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
    if singular[0] == 0:
        raise ValueError("PCA needs rows that differ: these are all the same.")
    largest = axes[:k].abs().argmax(1, keepdim=True)
    axes = axes[:k] * axes[:k].gather(1, largest).sign()
    share = (singular / singular[0]).square()
    return _PCA(*(values.numpy() for values in (centred @ axes.T, axes, share[:k] / share.sum(), x.mean(0))))


def prefix_matching(weights, tokens):
    """Share of the attention that goes to the tokens after earlier occurrences of the current one; 1 at most.

    At position t, count the attention to every position j <= t whose predecessor j - 1 < t holds the token of t: all
    earlier occurrences, not only the latest. Mean over the positions that have one. An induction head scores high, but
    so may a head that looks at a fixed distance, where the data repeat at a fixed distance.

    weights [n, T, T] of one head or [n, heads, T, T], rows sum to 1; tokens [n, T]. Returns a float or array [heads].
    Raises ValueError for NaN, shapes that do not fit, and sequences in which no token occurs twice.
    Source: Olsson et al. 2022 (prefix matching score). Built in notebook 03.
    """
    weights = _features(weights, "weights", dims=(3, 4))
    tokens = as_tensor(tokens, "tokens").cpu()
    n, length = len(weights), weights.shape[-1]
    if tokens.shape != (n, length) or weights.shape[-2] != length:
        raise ValueError(f"weights {list(weights.shape)} do not fit tokens {list(tokens.shape)}.")
    matches = pad(tokens.unsqueeze(2) == tokens[:, :-1].unsqueeze(1), (1, 0)).tril()  # [n, T, T]; none is before 0
    seen = matches.any(-1).sum()
    if seen == 0:
        raise ValueError("No token occurs twice in any sequence: there is no earlier occurrence to look for.")
    return _result(torch.einsum("n...ts, nts -> ...", weights, matches.double()) / seen)


def calibration_error(logits, targets, bins=15):
    """Expected calibration error: how far, on average, a model's confidence is from its accuracy. 0 to 1; 0 is best.

    The confidence of an answer is its softmax probability. Answers are sorted into `bins` bins of equal width, a bin
    holding its lower edge and the last one also confidence 1; the error is the mean over answers of the distance
    between the mean confidence and the accuracy of their bin.

    logits [n, C] or [K, n, C]; targets [n], shared, or [K, n], class numbers. Returns a float or an array [K].

    Above 0 even for a perfectly calibrated model, for within a bin accuracy varies by chance: compare models on equally
    many examples, with the same bins. Raises ValueError for NaN, shapes that do not fit, class numbers outside 0..C-1
    and bins that are no whole number of at least 1.
    Source: Guo, Pleiss, Sun & Weinberger 2017 (ICML), equation 3, bins closed below. Built in notebook 04.
    """
    bins = whole("bins", bins, 1)
    logits, targets = _classified(logits, targets)
    confidence, answer = logits.softmax(-1).max(-1)
    place = (confidence * bins).long().clamp(max=bins - 1)
    gap = confidence - (answer == targets).double()
    sums = torch.zeros(*gap.shape[:-1], bins, dtype=gap.dtype).scatter_add_(-1, place, gap)
    return _result(sums.abs().sum(-1) / gap.shape[-1])
