"""Measurements of networks and their representations.

Pure functions: arrays or tensors in (float32 or float64, CPU or CUDA), Python floats or numpy arrays out, nothing
recorded. They compute in float64. A leading replicate axis K, where a function takes one, gives an array of K values.
"""

import typing

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from labkit import gate
from labkit.gate import as_tensor, mode, whole

ROUNDING = 1e-12  # numbers that differ by less than this share of their size are the same: a mean is not exact


def _features(values, name, dims=(2,)):
    """`values` as a finite, non-empty float64 tensor whose number of dimensions is in `dims`."""
    values = as_tensor(values, name)
    shape = list(values.shape)
    if values.ndim not in dims or 0 in shape:
        raise ValueError(
            f"{name} has shape {shape}; it needs {' or '.join(map(str, dims))} dimensions, none of size 0."
        )
    values = (values.cpu() if values.device.type == "mps" else values).double()  # Apple's GPU has no float64
    if not torch.isfinite(values).all():
        raise ValueError(f"{name} contains NaN or infinite values: did training diverge?")
    return values


def _targets(values, features, name, classes=None, floats=False):
    """`values` as int64 class numbers (float64 where `floats` are allowed), one for each row of `features`."""
    values = as_tensor(values, name).to(features.device)
    if values.shape not in (features.shape[-2:-1], features.shape[:-1]):
        raise ValueError(
            f"{name} of shape {list(values.shape)} does not give one target to each row of {list(features.shape)}."
        )
    if values.is_floating_point():
        if not floats:
            raise ValueError(f"{name} must be class numbers (integers), not {values.dtype}.")
        if not torch.isfinite(values).all():
            raise ValueError(f"{name} contains NaN or infinite values: leave those rows out.")
        return values.double()
    values = values.long()
    if values.min() < 0 or (classes and values.max() >= classes):
        raise ValueError(f"{name} must be class numbers from 0 to {classes - 1 if classes else 'C - 1'}.")
    return values


def _centred(x):
    """x [.., n, d] less each column's mean; 0 throughout a column that is the same in all rows, up to rounding."""
    centred = x - x.mean(-2, keepdim=True)
    spread, size = (values.abs().amax(-2, keepdim=True) for values in (centred, x))
    return torch.where(spread > ROUNDING * size, centred, 0)


def _result(values):
    """A float for one value, a numpy array for several."""
    return values.item() if values.ndim == 0 else values.cpu().numpy()


def accuracy(logits, targets):
    """Fraction of rows whose largest logit is that of their class. A tie goes to the first.

    logits [n, C] or [K, n, C]; targets [n], shared, or [K, n], class numbers. Returns a float or an array [K].
    Raises ValueError for NaN, shapes that do not fit and class numbers outside 0..C-1. Built in notebook 00.
    """
    logits = _features(logits, "logits", dims=(2, 3))
    targets = _targets(targets, logits, "targets", classes=logits.shape[-1])
    return _result((logits.argmax(-1) == targets).double().mean(-1))


def _score(predicted, targets, classes):
    """Accuracy for class numbers, R² for numbers. predicted [.., n, C or 1]; targets [n] or [.., n]."""
    if classes:
        return (predicted.argmax(-1) == targets).double().mean(-1)
    total = _centred(targets[..., None]).square().sum((-2, -1))
    if (total == 0).any():
        raise ValueError("R² needs targets that vary: these are all the same number.")
    return 1 - (predicted.squeeze(-1) - targets).square().sum(-1) / total


def linear_probe(train_features, train_targets, test_features, test_targets, *, penalty=1e-3, validation=None):
    """How well a linear map reads targets from frozen features: test accuracy of class numbers, R² of float targets.

    Ridge regression with intercept (onto one-hot vectors for class numbers) in closed form: with features H and targets
    Y centred on the training rows, W = (H'H/n + penalty v I)^-1 H'Y/n, where v is the features' mean variance. So
    `penalty` has no unit, and scaling all features changes nothing. Features that do not vary predict the mean target.

    features  [n, d] or, one probe for each replicate, [K, n, d]
    targets   [n], shared, or [K, n]: class numbers (integers) or floats
    penalty   a positive number, or several to choose from with validation=(features, targets): the one with the best
              validation score is used, for each replicate by itself (the test rows play no part)

    Returns a float or an array [K]. Raises ValueError for NaN, shapes that do not fit and a penalty not above 0.
    Source: Alain & Bengio 2016 (linear probes), with ridge regression in place of logistic. Built in notebook 00.
    """
    penalties = [float(value) for value in np.atleast_1d(penalty)]
    if not penalties or not all(0 < value < np.inf for value in penalties):
        raise ValueError(f"penalty must be positive and finite, not {penalty}.")
    if (len(penalties) > 1) != (validation is not None):
        raise ValueError("Give several penalties together with validation=(features, targets), or one without.")
    train = _features(train_features, "train_features", dims=(2, 3))
    parts = {"train": (train, train_targets), "test": (_features(test_features, "test_features", (2, 3)), test_targets)}
    if validation is not None:
        parts["validation"] = (_features(validation[0], "validation features", (2, 3)), validation[1])
    for name, (features, targets) in parts.items():
        if features.shape[-1] != train.shape[-1] or features.shape[:-2] != train.shape[:-2]:
            raise ValueError(
                f"{name} features of shape {list(features.shape)} do not fit {list(train.shape)} of training."
            )
        parts[name] = (features, _targets(targets, features, f"{name} targets", floats=True))
    kinds = {targets.is_floating_point() for _, targets in parts.values()}
    if len(kinds) > 1:
        raise ValueError("The targets must be all class numbers or all floats.")
    classes = 0 if kinds.pop() else 1 + max(int(targets.max()) for _, targets in parts.values())

    targets = parts["train"][1]
    outputs = torch.nn.functional.one_hot(targets, classes).double() if classes else targets[..., None]
    centre, intercept = train.mean(-2, keepdim=True), outputs.mean(-2, keepdim=True)
    centred, n = _centred(train), train.shape[-2]
    covariance = centred.mT @ centred / n
    variance = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
    values, vectors = torch.linalg.eigh(covariance)  # once for all penalties
    projected = vectors.mT @ (centred.mT @ (outputs - intercept)) / n

    def scores(name, penalty):
        shrunk = (values.clamp_min(0) + penalty * variance[..., None]).clamp_min(1e-300)[..., None]
        features, targets = parts[name]
        return _score((features - centre) @ (vectors @ (projected / shrunk)) + intercept, targets, classes)

    if len(penalties) == 1:
        return _result(scores("test", penalties[0]))
    best = torch.stack([scores("validation", value) for value in penalties]).argmax(0, keepdim=True)
    return _result(torch.stack([scores("test", value) for value in penalties]).gather(0, best).squeeze(0))


def twonn(x, *, fraction=0.9):
    """Intrinsic dimension by the two-nearest-neighbour estimator: how many coordinates the data locally needs.

    In d dimensions the ratio m of a point's second to first neighbour distance has P(m > t) = t^-d. Of the n sorted
    ratios the lowest `fraction` are kept, and d is the slope through the origin of -log(1 - i/n) against log m_i.

    x [n, d] or [K, n, d]. Returns a float or an array [K]. Copies of a point are dropped: their ratio is undefined.

    Biased low from about 10 dimensions, where even nearest neighbours are far apart: on 800 Gaussian points the means
    are 1.0, 2.0, 5.0, 9.4 and 16.5 for 1, 2, 5, 10 and 20 true dimensions. It changes with the number of points and
    with noise, so compare representations of the same points only.

    Raises ValueError for NaN, a fraction outside (0, 1), fewer than 20 distinct points, and points most of which have
    their two nearest neighbours equally far, up to rounding: a grid.
    Source: Facco, d'Errico, Rodriguez & Laio 2017, Scientific Reports 7:12140. Built in notebook 01.
    """
    x = as_tensor(x, "x")
    if x.ndim == 3:
        return np.array([twonn(replicate, fraction=fraction) for replicate in x])
    precision = torch.finfo(x.dtype if x.is_floating_point() else torch.float64).eps
    x = _features(x, "x")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction} must lie between 0 and 1.")
    points = np.unique(x.cpu().numpy(), axis=0)
    n = len(points)
    if n < 20:
        raise ValueError(f"TwoNN needs at least 20 distinct points; x has {len(x)}, of which {n} are distinct.")
    neighbours = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(return_distance=False)
    # Distances anew from differences: the search's own lose digits where neighbours are close.
    near, far = np.sort(np.linalg.norm(points[:, None] - points[neighbours], axis=2), axis=1).T
    log_ratio = np.sort(np.log(far / near))[: int(fraction * n)]
    survival = -np.log1p(-np.arange(1, len(log_ratio) + 1) / n)
    tied = far - near <= 2 * precision * np.abs(points).max()
    if tied.sum() > len(log_ratio) / 2:
        raise ValueError(
            f"TwoNN is undefined on a regular grid: {tied.sum()} of {n} points have two nearest neighbours equally far."
        )
    return float(log_ratio @ survival / (log_ratio @ log_ratio))


def linear_cka(x, y):
    """Similarity in [0, 1] of two representations of the same n inputs: 1 where one is a rotated, scaled other.

    With columns centred: |Y'X|² / (|X'X| |Y'Y|) in Frobenius norms. Unchanged by rotation and by scaling all features,
    not by a general linear map. Use many more rows than features: with few, even unrelated features come out similar.

    x [n, d], y [n, e], or [K, n, d], [K, n, e] for K pairs. Returns a float or an array [K].
    Raises ValueError for NaN, different rows, and representations that do not vary.
    Source: Kornblith, Norouzi, Lee & Hinton 2019 (ICML), section 3. Built in notebook 01.
    """
    x, y = _features(x, "x", dims=(2, 3)), _features(y, "y", dims=(2, 3))
    if x.shape[:-1] != y.shape[:-1]:
        raise ValueError(f"x {list(x.shape)} and y {list(y.shape)} must hold the same inputs, row by row.")
    x, y = (_centred(values) for values in (x, y.to(x.device)))
    sizes = [values.abs().amax((-2, -1), keepdim=True) for values in (x, y)]
    if any((size == 0).any() for size in sizes):
        raise ValueError("CKA is undefined for a representation that is the same for all inputs.")
    x, y = x / sizes[0], y / sizes[1]  # CKA stays the same, and squares of tiny and of huge numbers can be had
    norms = torch.linalg.matrix_norm(x.mT @ x) * torch.linalg.matrix_norm(y.mT @ y)
    return _result(torch.linalg.matrix_norm(y.mT @ x).square() / norms)


def neural_collapse(features, targets, weights, bias):
    """The four signs of neural collapse in the last hidden layer on the training set; all are 0 at full collapse.

    With class means m_c, their mean m, and M the matrix of rows m_c - m (classes count equally):
    nc1        variability collapse: trace(S_W pinv(S_B)) / C, S_W and S_B the covariance within and between classes
    nc2_norm   equal norms: standard deviation over mean of |m_c - m|
    nc2_angle  equal, widest angles: mean over pairs of |cos(m_c - m, m_c' - m) + 1/(C - 1)|
    nc3        self-duality: |W/|W| - M/|M||² in Frobenius norms
    nc4        nearest class mean: fraction of rows on which the classifier and the nearest class mean disagree

    features [n, d], the input of the last linear layer; targets [n]; weights [C, d], bias [C], as `nn.Linear` has them.
    Returns a dict of five floats. Raises ValueError for NaN, shapes that do not fit, a class with fewer than two rows,
    class means of which one equals the mean of all (as where all are equal), and weights that are all 0.
    Source: Papyan, Han & Donoho 2020, PNAS 117:24652. Built in notebook 01.
    """
    h, weights = _features(features, "features"), _features(weights, "weights")
    weights, classes = weights.to(h.device), len(weights)
    bias = _features(bias, "bias", dims=(1,)).to(h.device)
    if weights.shape[1] != h.shape[1] or len(bias) != classes or classes < 2:
        raise ValueError(
            f"weights {list(weights.shape)} and bias {list(bias.shape)} must be [C, d] and [C] for features "
            f"{list(h.shape)} = [n, d] and at least two classes."
        )
    targets = _targets(targets, h, "targets", classes)
    counts = torch.bincount(targets, minlength=classes)
    if counts.min() < 2:
        raise ValueError(f"Class {int(counts.argmin())} has fewer than two rows: within-class spread is undefined.")
    membership = torch.nn.functional.one_hot(targets, classes).double()
    means = (membership / counts).T @ h
    centred = _centred(means)
    norms = centred.norm(dim=1)
    if norms.min() <= ROUNDING * h.abs().max() or weights.norm() == 0:
        raise ValueError("A class mean equals the mean of all, or the weights are 0: there is no geometry to measure.")
    within_rows = (h - means[targets]) / counts[targets].double().mul(classes).sqrt()[:, None]
    within, between = within_rows.T @ within_rows, centred.T @ centred / classes
    cosines = (centred / norms[:, None]) @ (centred / norms[:, None]).T
    pairs = ~torch.eye(classes, dtype=torch.bool, device=h.device)
    decided, nearest = (h @ weights.T + bias).argmax(1), torch.cdist(h, means).argmin(1)
    return {
        "nc1": (torch.linalg.pinv(between, hermitian=True) @ within).trace().item() / classes,
        "nc2_norm": (norms.std(correction=0) / norms.mean()).item(),
        "nc2_angle": (cosines[pairs] + 1 / (classes - 1)).abs().mean().item(),
        "nc3": (weights / weights.norm() - centred / centred.norm()).square().sum().item(),
        "nc4": (decided != nearest).double().mean().item(),
    }


class PCA(typing.NamedTuple):
    """Result of `pca`: arrays, float64."""

    coordinates: np.ndarray  # [n, k]: the rows in the principal axes
    components: np.ndarray  # [k, d]: the axes, unit vectors, largest variance first
    explained: np.ndarray  # [k]: fraction of the total variance along each axis
    mean: np.ndarray  # [d]

    def project(self, x):
        """Coordinates [m, k] of other rows x [m, d] in the same axes."""
        x = _features(x, "x").cpu().numpy()
        if x.shape[1] != len(self.mean):
            raise ValueError(f"x of shape {list(x.shape)} has other features than the {len(self.mean)} of this PCA.")
        return (x - self.mean) @ self.components.T


def pca(x, k=2):
    """Principal component analysis: the k orthogonal axes along which the rows of x [n, d] vary most.

    Each axis points so that its largest entry is positive. Returns a `PCA`. Raises ValueError for NaN, k outside
    1..min(n, d) and data that do not vary. Source: Pearson 1901; by singular value decomposition. Built in notebook 01.
    """
    x = _features(x, "x")
    if not 1 <= k <= min(x.shape):
        raise ValueError(f"k={k} must lie between 1 and {min(x.shape)} for x of shape {list(x.shape)}.")
    mean = x.mean(0)
    centred = _centred(x)
    _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
    if singular[0] == 0:
        raise ValueError("PCA needs rows that differ: these are all the same.")
    axes = axes[:k] * axes[:k].gather(1, axes[:k].abs().argmax(1, keepdim=True)).sign()
    share = (singular / singular[0]).square()
    return PCA(*(values.cpu().numpy() for values in (centred @ axes.T, axes, share[:k] / share.sum(), mean)))


def knn_accuracy(train_features, train_targets, test_features, test_targets, *, k=10):
    """Test accuracy of the majority of the k nearest training rows (Euclidean): do classes lie apart, linear or not?

    features [n, d]; targets [n] class numbers. Returns a float. Raises ValueError for NaN, shapes that do not fit and
    k above the number of training rows. Computed by scikit-learn's KNeighborsClassifier.
    """
    train, test = _features(train_features, "train_features"), _features(test_features, "test_features")
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"train {list(train.shape)} and test {list(test.shape)} must have the same features.")
    if not 1 <= k <= len(train):
        raise ValueError(f"k={k} must lie between 1 and the {len(train)} training rows.")
    train_labels = _targets(train_targets, train, "train_targets").cpu().numpy()
    test_labels = _targets(test_targets, test, "test_targets").cpu().numpy()
    classifier = KNeighborsClassifier(n_neighbors=k).fit(train.cpu().numpy(), train_labels)
    return float((classifier.predict(test.cpu().numpy()) == test_labels).mean())


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
    tokens = as_tensor(tokens, "tokens").to(weights.device)
    n, length = len(weights), weights.shape[-1]
    if tokens.shape != (n, length) or weights.shape[-2] != length:
        raise ValueError(
            f"weights {list(weights.shape)} do not fit tokens {list(tokens.shape)}: [.., T, T] and [n, T]."
        )
    matches = torch.zeros(n, length, length, dtype=torch.bool, device=weights.device)
    matches[:, :, 1:] = tokens.unsqueeze(2) == tokens[:, :-1].unsqueeze(1)
    matches = matches.tril()
    seen = matches.any(-1)
    if not seen.any():
        raise ValueError("No token occurs twice in any sequence: there is no earlier occurrence to look for.")
    heads = weights if weights.ndim == 4 else weights.unsqueeze(1)
    scores = ((heads * matches.unsqueeze(1)).sum(-1) * seen.unsqueeze(1)).sum((0, 2)) / seen.sum()
    return _result(scores if weights.ndim == 4 else scores.squeeze(0))


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
    logits = _features(logits, "logits", dims=(2, 3))
    targets = _targets(targets, logits, "targets", classes=logits.shape[-1])
    confidence, answer = logits.softmax(-1).max(-1)
    place = (confidence * bins).long().clamp(max=bins - 1)
    gap = confidence - (answer == targets).double()
    sums = torch.zeros(*gap.shape[:-1], bins, dtype=gap.dtype, device=gap.device).scatter_add_(-1, place, gap)
    return _result(sums.abs().sum(-1) / gap.shape[-1])


def hessian_top_eigenvalues(model, inputs, targets, *, loss=torch.nn.functional.cross_entropy, k=1, steps=20, seed=0):
    """The k largest eigenvalues of the Hessian of the loss in all parameters; the first is called the sharpness.

    By the Lanczos method: `steps` Hessian-vector products, each about the price of two gradients, from a start drawn
    with `seed`, with full reorthogonalisation. Eigenvalues come from below; the largest converge first.

    model   a network, or an `Ensemble` of K: one Hessian each, all in the same products. It is left as it was.
    inputs  [n, ...], for an Ensemble also [K, n, ...]; targets [n, ...] or [K, n, ...]
    loss    a function (outputs, targets) -> mean over the examples

    Returns an array [k], for an Ensemble [K, k], largest first. Unlike the rest of this file it computes in the model's
    own precision, float32 as a rule: enough for three to four digits. A parameter that plays no part bends nothing: it
    adds an eigenvalue 0. Raises ValueError for k and steps that do not fit, for NaN, and where model, data and loss do
    not fit together, as `fit` does. Source: Lanczos 1950; Pearlmutter 1994 (the products). Built in notebook 06.
    """
    model = gate.plain(model)
    ensemble = hasattr(model, "seeds")
    leaves = {name: p.detach().requires_grad_() for name, p in model.named_parameters()}
    count = len(model) if ensemble else 1
    sizes = [p.numel() // count for p in leaves.values()]
    k, steps = whole("k", k), whole("steps", steps)
    if not 1 <= k <= steps <= sum(sizes):
        raise ValueError(f"k={k} and steps={steps} must be 1 <= k <= steps <= {sum(sizes)}, the number of parameters.")
    inputs, targets = gate.tensors(model, inputs, targets)
    if ensemble:
        inputs = inputs.expand(count, *inputs.shape[-2:])
        targets = _of_each(targets, count, (inputs.shape[1], model.sizes[-1]))
        gate.check_fit(model[0], inputs.flatten(0, 1), targets.flatten(0, 1), loss)
    else:
        gate.check_fit(model, inputs, targets, loss)

    def rows(tensors):
        return torch.cat([values.reshape(count, -1) for values in tensors], 1).detach()

    with torch.enable_grad(), mode(model, training=False):
        outputs = torch.func.functional_call(model, leaves, (inputs,))
        pairs = zip(outputs, targets, strict=True) if ensemble else [(outputs, targets)]
        value = sum(loss(*pair) for pair in pairs)  # of an Ensemble each replicate gets its own gradient
        gradients = torch.autograd.grad(value, list(leaves.values()), create_graph=True, materialize_grads=True)
    bent = [i for i, gradient in enumerate(gradients) if gradient.requires_grad]  # the others are the same everywhere

    def product(vectors):
        parts = zip(vectors.split(sizes, 1), leaves.values(), strict=True)
        parts = [part.reshape(p.shape) for part, p in parts]
        if not bent:
            return torch.zeros_like(vectors)
        chosen = [gradients[i] for i in bent], list(leaves.values()), [parts[i] for i in bent]
        return rows(torch.autograd.grad(*chosen, retain_graph=True, materialize_grads=True))

    like = gradients[0]
    generator = torch.Generator().manual_seed(whole("seed", seed))
    fresh = torch.randn(steps, sum(sizes), generator=generator).to(like).expand(count, -1, -1)
    basis = fresh[:, :1] / fresh[:, :1].norm(dim=2, keepdim=True)  # [K, steps so far, parameters]
    tridiagonal = torch.zeros(count, steps, steps, dtype=torch.float64, device=like.device)
    for step in range(steps):
        vector = product(basis[:, step])
        tridiagonal[:, step, step] = (vector * basis[:, step]).sum(1)
        if step + 1 == steps:
            break
        size, vector = vector.norm(dim=1), _orthogonal(vector, basis)
        norm = vector.norm(dim=1)
        ended = norm <= 1e-6 * size  # the products so far say all of this start: go on from another
        vector = torch.where(ended[:, None], _orthogonal(fresh[:, step + 1], basis), vector)
        tridiagonal[:, step, step + 1] = tridiagonal[:, step + 1, step] = torch.where(ended, 0, norm)
        basis = torch.cat([basis, (vector / vector.norm(dim=1, keepdim=True)).unsqueeze(1)], 1)
    if not torch.isfinite(tridiagonal).all():
        raise ValueError("The Hessian contains NaN or infinite values: did training diverge?")
    values = torch.linalg.eigvalsh(tridiagonal).flip(1)[:, :k].cpu().numpy()
    return values if ensemble else values[0]


def _of_each(targets, count, outputs):
    """Targets [K, n, ...] of K replicates, given those or targets [n, ...] that they share; outputs: (n, features).

    Where K = n, numbers in the outputs' own shape are shared.
    """
    shared = targets.is_floating_point() and targets.shape == outputs
    own = targets.shape[:2] == (count, outputs[0]) and not shared
    return targets if own else targets.expand(count, *targets.shape)


def _orthogonal(vectors, basis):
    """What is left of vectors [K, p] without their part along each row of basis [K, m, p]; twice, against rounding."""
    for _ in range(2):
        vectors = vectors - (basis.mT @ (basis @ vectors.unsqueeze(2))).squeeze(2)
    return vectors
