"""The checks of this lab. Made from labs/source/lab02_surprise.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab('lab02_surprise', 'How surprised should a machine be?')
checks, agrees = LAB.checks, LAB.agrees

LAB.exercise('divergence', title='Entropy and divergence', difficulty=2, importance=5, minutes=20, points=5, optional=False)
LAB.exercise('forward_fit', title='The Gaussian with the least forward KL', difficulty=2, importance=4, minutes=15, points=4, optional=False)
LAB.exercise('log_softmax', title='Log-softmax', difficulty=2, importance=5, minutes=20, points=5, optional=False)
LAB.exercise('gradients', title='Both gradients', difficulty=3, importance=5, minutes=25, points=5, optional=False)
LAB.exercise('contrastive_loss', title='The contrastive loss', difficulty=3, importance=4, minutes=20, points=4, optional=False)


# fmt: off
import numpy as np
import torch
from scipy import special
from torch.nn import functional


def quietly(function):
    return lambda *arguments: np.errstate(all="ignore")(function)(*arguments)
def forecast(make, k):
    counts = make.rng.integers(1, 3 if make.kind == "whole" else 9, k).astype(float)
    counts[1:] = 2.0 ** -(8.0 + np.arange(k - 1)) if make.kind == "tiny" else counts[1:]
    counts[make.rng.permutation(k)[: make.size(1, k - 1) if make.kind == "zeros" and k > 1 else 0]] = 0
    return counts / counts.sum()
def two_forecasts(make):
    """Alike, with zeros at the same places, with a zero where q has none, or the other way round."""
    k = make.size(1, 12)
    q, p = forecast(make, k), forecast(make, k)
    if make.kind in ("tiny", "doubled"):
        p = q[::-1] ** 4 if make.kind == "tiny" else q.copy()  # a belief of 1e-20 is no 0
    if make.kind == "zeros":
        p = make.one_of(np.where(q > 0, make.rng.integers(1, 9, k), 0.0), p, np.ones(k))
    if make.kind == "square":
        q, p = make.one_of((np.eye(k)[0], p), (q, np.where(np.arange(k) == 0, 0.0, p)))
    q, p = (np.arange(4.0) / 6, np.array([1.0, 2.0, 3.0, 0.0])) if make.kind == "large" else (q, p)  # zeros at different places
    return q, p / p.sum()
KINDS = ("plain", "zeros", "zeros", "zeros", "whole", "smallest", "square", "square", "doubled", "tiny", "large", "zeros", "zeros")
agrees(
    "divergence", "`entropy` is the mean surprise, also where some outcomes never happen", target="entropy",
    draw=lambda make: (forecast(make, make.size(1, 12)),), kinds=KINDS, reference=lambda q: special.entr(q).sum(),
    hint="compute the station's by hand: 1.75 bits", misreadings={
        "a probability of 0 counts 0, but 0 · log 0 is NaN in NumPy: leave it out": quietly(lambda q: -np.sum(q * np.log(q))), "the entropy is in nats: use the natural logarithm, np.log": lambda q: special.entr(q).sum() / np.log(2), "the sign is wrong: a surprise is −log q, never negative": lambda q: -special.entr(q).sum(),
        "the probabilities are the weights already: add up, do not average": lambda q: special.entr(q).mean(), "weight each surprise by its probability before you add": lambda q: -np.log(q[q > 0]).sum(), "that is the mean of the surprises, each counted alike: weight each by its probability": lambda q: -np.log(q[q > 0]).mean(),
        "that is the perplexity, exp of the entropy: return the entropy": lambda q: np.exp(special.entr(q).sum()), "return one number, the sum of the terms": lambda q: special.entr(q), "outcomes that are equally likely are still different outcomes: count each": lambda q: special.entr(np.unique(q)).sum(),
        "add up the terms, however many there are: there are not always four outcomes": lambda q: 4 * special.entr(q).mean(), "what is rare happens, too: leave out only what is exactly 0": lambda q: special.entr(np.where(q < 1e-3, 0, q)).sum(), "count every outcome: the last one is missing": lambda q: special.entr(q[:-1]).sum(),
})
agrees(
    "divergence", "`divergence` is KL(q ‖ p): 0 for the same distribution, inf where what p holds for impossible happens", target="divergence",
    draw=two_forecasts, kinds=KINDS, reference=lambda q, p: special.rel_entr(q, p).sum(),
    hint="is it q that weights the terms, and what happens where q or p is 0?", misreadings={
        "where q is 0 the term counts 0, but 0 · log 0 is NaN: leave these outcomes out": quietly(lambda q, p: np.sum(q * (np.log(q) - np.log(p)))), "leave out the outcomes where q is 0, not those where p is 0": quietly(lambda q, p: np.sum((q * (np.log(q) - np.log(p)))[p > 0])),
        "where p is 0 and q is not, the divergence is inf: do not leave these outcomes out": lambda q, p: special.rel_entr(q, p)[p > 0].sum(), "a small number inside the logarithm hides an infinity: where p is 0 and q is not, the divergence is inf": lambda q, p: np.sum(q * np.log((q + 1e-9) / (p + 1e-9))),
        "do not cut off small probabilities: where p is 0 and q is not, the divergence is inf": lambda q, p: special.rel_entr(q, np.clip(p, 1e-12, None)).sum(), "q and p are swapped: the events come from q, so q weights the terms": lambda q, p: special.rel_entr(p, q).sum(),
        "that is the cross-entropy: subtract the entropy of q": lambda q, p: special.rel_entr(q, p).sum() + special.entr(q).sum(), "the sign is wrong: KL is never negative": lambda q, p: -special.rel_entr(q, p).sum(),
        "the divergence is in nats: use the natural logarithm, np.log": lambda q, p: special.rel_entr(q, p).sum() / np.log(2), "the probabilities are the weights already: add up, do not average": lambda q, p: special.rel_entr(q, p).mean(),
        "weight each term by q, not by p": quietly(lambda q, p: np.sum((p * (np.log(q) - np.log(p)))[q > 0])), "return one number, the sum of the terms": lambda q, p: special.rel_entr(q, p),
        "a zero in p alone is no infinity: the divergence is inf only where q is above 0 there": lambda q, p: np.inf if (p == 0).any() else special.rel_entr(q, p).sum(), "where q and p are both 0 the term counts 0, too: yours makes it NaN": quietly(lambda q, p: -np.sum(q * np.log(p)) - special.entr(q).sum()),
        "terms can be negative, only their sum cannot: do not take absolute values": lambda q, p: np.abs(special.rel_entr(q, p)).sum(), "a belief that is tiny is not 0: ask for p == 0": lambda q, p: np.inf if np.isclose(p[q > 0], 0).any() else special.rel_entr(q, p).sum(),
        "the order matters: do not average both directions": lambda q, p: (special.rel_entr(q, p).sum() + special.rel_entr(p, q).sum()) / 2, "subtract the entropy of q from the cross-entropy, not that of p": lambda q, p: special.rel_entr(q, p).sum() + special.entr(q).sum() - special.entr(p).sum(),
})
# fmt: on


# fmt: off
def mixture_parts(make):
    """One component or more; a weight of 0, equal centres."""
    c = make.size(1, 6)
    counts, means, sds = make.rng.integers(1, 9, c).astype(float), make.numbers(c), np.abs(make.numbers(c)) + 1 / 64
    if make.kind == "zeros" and c > 1:
        counts[make.one_of(0, -1)] = 0
    return counts / counts.sum(), np.full(c, means[0]) if make.kind == "doubled" else means, sds
def use_fit(answer, *parts):
    answer["forward_fit"](parts[0][::-1].copy(), parts[1], parts[2] + 1)  # must not be remembered
    fit = answer["forward_fit"](*parts)
    return list(fit) if getattr(fit, "shape", None) == (2,) else fit
def moments(*parts):
    w, m, s = (torch.as_tensor(np.asarray(part, dtype=float)) for part in parts)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(w), torch.distributions.Normal(m, s))
    return mixture.mean.item(), mixture.stddev.item()
def by_moments(weights, means, sds):
    mean = np.sum(weights * means)
    variance = np.sum(weights * (sds**2 + (means - mean) ** 2))
    return mean, np.sqrt(variance)
agrees(
    "forward_fit", "has the mean and the standard deviation of the mixture", target=use_fit, draw=mixture_parts,
    kinds=("plain", "zeros", "whole", "square", "smallest", "zeros", "doubled", "large", "plain", "plain"),
    reference=moments, written=by_moments, parts=("the mean", "the standard deviation"),
    hint="do the family of the text by hand: mean 135, variance 50 + 1225", misreadings={
        "that is the variance: return its root": ("np.sqrt(variance)", "variance"), "the variance of the centres is missing: the humps lie apart, and that is spread too": ("(sds**2 + (means - mean) ** 2)", "sds**2"),
        "the variance of the components is missing: add the mean of sds**2": ("(sds**2 + (means - mean) ** 2)", "(means - mean) ** 2"),
        "average variances, not standard deviations: square `sds` before you average": ("np.sum(weights * (sds**2 + (means - mean) ** 2))", "np.sum(weights * sds) ** 2 + np.sum(weights * (means - mean) ** 2)"),
        "that is the mean of the standard deviations: average variances, and add that of the centres": ("np.sqrt(variance)", "np.sum(weights * sds)"), "square `sds`: it holds standard deviations, not variances": ("sds**2", "sds"),
        "weights that are squared belong to a sum of independent numbers; a mixture needs them as they are": ("variance = np.sum(weights *", "variance = np.sum(weights**2 *"), "weight the means: a component counts as often as it occurs": ("mean = np.sum(weights * means)", "mean = np.mean(means)"),
        "weight both, means and variances": ("mean = np.sum(weights * means)", "weights = np.full(len(means), 1 / len(means)); mean = np.sum(weights * means)"), "that is the heaviest component: forward KL must cover all of them": ("return mean, np.sqrt(variance)", "return means[np.argmax(weights)], sds[np.argmax(weights)]"),
        "subtract the mean from the centres before you square": ("(means - mean) ** 2", "means ** 2"), "weight the variance of the centres too": ("(sds**2 + (means - mean) ** 2))", "sds**2) + np.var(means)"), "measure the centres from their weighted mean, the one that you return": ("(means - mean)", "(means - means.mean())"),
        "use the weights as they are in each part of the variance: those of sds**2 are squared": ("(sds**2 + (means - mean) ** 2)", "(2 * weights * sds**2 + (means - mean) ** 2)"), "the mean is the weighted one, not the middle between the outer centres": ("np.sum(weights * means)", "(means.min() + means.max()) / 2"),
        "do not round": ("mean, np.sqrt(variance)", "np.round(mean, 2), np.round(np.sqrt(variance), 2)"), "a single component has a width, too": ("np.sqrt(variance)", "np.sqrt(variance) if len(means) > 1 else 0.0"),
        "the weights are probabilities: nothing is divided by the number of components less 1": ("(means - mean) ** 2", "(means - mean) ** 2 * (len(means) / (len(means) - 1) if len(means) > 2 else 1)"),
        "count every component, not the first two alone": ("mean = np.sum(weights * means)", "weights, means, sds = (part[np.array([0, 1])] for part in (weights, means, sds)); mean = np.sum(weights * means)"),
})
# fmt: on


# fmt: off
def batch(make):
    """Rows of logits; in large and in square cases rows lie thousands apart."""
    n, k = make.size(2 if make.kind == "large" else 1, 8), make.size(4 if make.kind == "large" else 1, 7)
    apart = make.one_of(1024.0, -1024.0) * np.arange(n)[:, None] if make.kind in ("large", "square") else 0.0
    apart = 2.0**27 if make.kind == "doubled" else apart  # float32 knows no halves there
    z = make.numbers(n, k) + apart
    if make.kind == "large":  # one is far below, one far above all others
        z[0] = [z[0, 0] - 1024.0] + [z[0, 0]] * (k - 1)
        z[1] = [z[1, 0] + 2048.0] + [z[1, 0]] * (k - 1)
    return (z,)
def row_by_row(z):
    s = z - z.max(axis=1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))
agrees(
    "log_softmax", "`log_softmax` is right for each row, also for logits of thousands", target="log_softmax",
    draw=batch, reference=lambda z: special.log_softmax(z, axis=1), written=row_by_row,
    hint="take the logarithm of each row as a whole, with the row's own largest logit subtracted", misreadings={
        "large logits overflow: subtract the largest logit of each row first": quietly(lambda z: z - np.log(np.exp(z).sum(axis=1, keepdims=True))),
        "softmax overflows for large logits, and its logarithm is −inf for small ones: take the logarithm as a whole": quietly(lambda z: np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))),
        "a probability that is rounded to 0 has the logarithm −inf: do not take the logarithm of the softmax": quietly(lambda z: np.log(special.softmax(z, axis=1))), "a small number inside the logarithm caps the surprise: take the logarithm as a whole": lambda z: np.log(special.softmax(z, axis=1) + 1e-12),
        "each row needs the largest logit of its own, not that of the batch": quietly(lambda z: z - z.max() - np.log(np.exp(z - z.max()).sum(axis=1, keepdims=True))),
        "subtract the largest logit, not the smallest: what overflows is the largest": quietly(lambda z: (z - z.min(1, keepdims=True)) - np.log(np.exp(z - z.min(1, keepdims=True)).sum(1, keepdims=True))),
        "subtract the largest logit, not the mean: what overflows is the largest": quietly(lambda z: (z - z.mean(1, keepdims=True)) - np.log(np.exp(z - z.mean(1, keepdims=True)).sum(1, keepdims=True))), "the sum runs over the wrong axis: each row is an example, so use axis=1": lambda z: special.log_softmax(z, axis=0),
        "normalise each row by itself, not the whole batch": lambda z: special.log_softmax(z), "the sum runs over the whole batch: each row has a sum of its own, axis=1": quietly(lambda z: z - z.max(1, keepdims=True) - np.log(np.exp(z - z.max(1, keepdims=True)).sum())),
        "the sums must stand in a column to be subtracted from their rows: keepdims=True": quietly(lambda z: z - z.max(1, keepdims=True) - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1))),
        "take the exponentials of the shifted logits: those of the logits themselves overflow": quietly(lambda z: z - z.max(1, keepdims=True) - np.log(np.exp(z).sum(1, keepdims=True))),
        "subtract the largest logit, not the largest absolute value": quietly(lambda z: z - np.abs(z).max(1, keepdims=True) - np.log(np.exp(z - np.abs(z).max(1, keepdims=True)).sum(1, keepdims=True))),
        "subtract the largest logit of the row, which need not be the first": quietly(lambda z: z - z[:, :1] - np.log(np.exp(z - z[:, :1]).sum(1, keepdims=True))), "a surprise can be of any size: cut nothing off": lambda z: row_by_row(np.maximum(z, z.max(1, keepdims=True) - 1000)),
        "float32 loses the digits of large logits: keep float64": lambda z: special.log_softmax(z.astype(np.float32), axis=1), "the largest term is in the sum already: use np.log, not np.log1p": lambda z: z - z.max(1, keepdims=True) - np.log1p(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)),
        "that is the softmax itself: its logarithm is asked for": lambda z: special.softmax(z, axis=1), "the sign is wrong: a log-probability is never positive": lambda z: -special.log_softmax(z, axis=1), "subtract the logarithm of the sum too": lambda z: z - z.max(axis=1, keepdims=True),
        "the shift must cancel: subtract the maximum from z_k as well": lambda z: z - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)),
})
# fmt: on


# fmt: off
def classified(make):
    n, k = make.size(1, 9), 12 if make.kind == "tiny" else make.size(1 if make.number % 2 else 2, 6)
    return make.numbers(n, k), make.rng.integers(0, k, n)
def automatic(loss, logits, targets):
    """The gradient by PyTorch's autograd, in double precision."""
    z = torch.tensor(np.asarray(logits, dtype=float), requires_grad=True)
    return torch.autograd.grad(loss(z, torch.from_numpy(np.asarray(targets))), z)[0].numpy()
def brier(z, y):
    return (z.softmax(1) - functional.one_hot(y, z.shape[1])).square().sum(1).mean()
def said_minus_true(z, targets):
    p = special.softmax(z, axis=1)
    y = functional.one_hot(torch.from_numpy(targets), z.shape[1]).numpy()
    return (p - y) / len(z)
def through_softmax(z, targets):
    p = special.softmax(z, axis=1)
    error = p - functional.one_hot(torch.from_numpy(targets), z.shape[1]).numpy()
    inner = (p * error).sum(axis=1, keepdims=True)
    return 2 * p * (error - inner) / len(z)
SHARED = {
    "the loss is a mean over the examples: divide by their number": ("/ len(z)", "/ 1"), "divide by the number of examples only: the loss is a sum over classes": ("/ len(z)", "/ z.size"), "divide by the number of examples, the rows, not by that of classes": ("/ len(z)", "/ z.shape[1]"),
    "the softmax runs over the wrong axis: each row is an example": ("special.softmax(z, axis=1)", "special.softmax(z, axis=0)"), "use the softmax of the logits, not the logits themselves": ("special.softmax(z, axis=1)", "1.0 * z"),
    "the softmax runs over the whole batch: each row is an example, axis=1": ("special.softmax(z, axis=1)", "special.softmax(z)"), "plain exponentials overflow for large logits: use special.softmax": ("special.softmax(z, axis=1)", "quietly(lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))(z)"),
    "the one-hot rows are as wide as the logits, also where the last class does not occur": ("targets), z.shape[1])", "targets))"), "the one-hot rows are as wide as the logits: there can be more than ten classes": ("functional.one_hot(torch.from_numpy(targets), z.shape[1]).numpy()", "np.eye(10)[targets][:, : z.shape[1]]"),
    "each row has a right class of its own: yours takes the first one for all": ("from_numpy(targets)", "from_numpy(np.full_like(targets, targets[0]))"), "the targets belong to their rows: leave their order": ("from_numpy(targets)", "from_numpy(np.sort(targets))"),
    "an example that is right already has a gradient, too": ("/ len(z)", "/ len(z) * (z.argmax(1) != targets)[:, None]"),
}
agrees(
    "gradients", "`cross_entropy_gradient` is the gradient that PyTorch finds", target="cross_entropy_gradient",
    draw=classified, reference=lambda *batch: automatic(functional.cross_entropy, *batch), written=said_minus_true,
    hint="what it said minus what is true, divided by the number of examples", misreadings=SHARED | {
        "the sign is wrong: what it said minus what is true": ("(p - y)", "(y - p)"), "subtract the truth: p − y, and not p": ("(p - y)", "p"), "every class gets a gradient, not only the right one": ("(p - y)", "((p - y) * y)"),
        "that is −y / p, the gradient by the probabilities: it is asked by the logits": ("(p - y)", "(-y / np.maximum(p, 1e-300))"), "subtract 1 at the right class alone, not in the whole row": ("(p - y)", "(p - 1)"),
        "subtract 1 in each example's own row: p[np.arange(n), targets], not p[:, targets]": ("(p - y)", "(p - y.max(0))"), "the gradient of each example stands in its own row: do not add rows up": ("(p - y)", "(p - y).sum(0)"),
})
agrees(
    "gradients", "`squared_error_gradient` goes through the softmax, as PyTorch does", target="squared_error_gradient",
    draw=classified, reference=lambda *batch: automatic(brier, *batch), written=through_softmax,
    hint="do the two classes of the text by hand: ±0.512", misreadings=SHARED | {
        "that is the gradient by the probabilities: multiply by how each logit moves them": ("2 * p * (error - inner)", "2 * error"), "p (1 − p) is the slope of separate sigmoids: a softmax couples the classes, so subtract Σ p δ": ("2 * p * (error - inner)", "2 * error * p * (1 - p)"),
        "a softmax couples the classes: p (1 − p) is its diagonal alone, so subtract Σ p δ": ("2 * p * (error - inner)", "4 * error * p * (1 - p)"), "divide by the number of examples, however many classes there are": ("/ len(z)", "/ z.size * 2"),
        "all classes have an error to be squared, not the right one alone": ("2 * p * (error - inner)", "2 * ((p * (p - error)).sum(1, keepdims=True) - 1) * (p * (p - error)).sum(1, keepdims=True) * -error"),
        "all classes have an error to be squared: twice that of the right one is the same for two classes alone": ("2 * p * (error - inner)", "4 * ((p * (p - error)).sum(1, keepdims=True) - 1) * (p * (p - error)).sum(1, keepdims=True) * -error"),
        "a factor 2 is missing: the derivative of δ² is 2 δ": ("2 * p * (error - inner)", "p * (error - inner)"), "that is the gradient of cross-entropy": ("2 * p * (error - inner)", "error"), "subtract Σ p δ: nudging one logit moves all probabilities": ("2 * p * (error - inner)", "2 * p * error"),
        "the sum Σ p δ runs over the classes of one example: axis=1": ("(p * error).sum(axis=1, keepdims=True)", "(p * error).sum(axis=0, keepdims=True)"), "each example has a sum Σ p δ of its own: do not add up the whole batch": ("(p * error).sum(axis=1, keepdims=True)", "(p * error).sum()"),
        "the sign is wrong: the error is p − y": ("error = p - functional", "error = -p + functional"), "subtract Σ p δ, do not add it": ("error - inner", "error + inner"),
})
# fmt: on


# fmt: off
def use_contrastive(answer, a, b, same, margin):
    """The loss and both gradients; for different twins, where there is none, a finite one counts as 0."""
    import numpy as np
    import torch
    x, y = (torch.tensor(part, requires_grad=True) for part in (a, b))
    which = torch.tensor(same)
    loss = answer["contrastive_loss"](x, y, which, margin)
    if x.tolist() != np.array(a).tolist() or y.tolist() != np.array(b).tolist() or which.tolist() != list(same):
        return "changed" if which.tolist() == list(same) else "changed same"
    if not isinstance(loss, torch.Tensor) or loss.ndim:
        return f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
    if loss.requires_grad:
        loss.backward()
    if x.grad is None or y.grad is None:
        return "detached" if x.grad is y.grad else "half"
    twins = (x == y).all(1) & ~which
    grads = [torch.where(twins[:, None] & g.isfinite(), 0.0, g).numpy() for g in (x.grad, y.grad)]
    return [float(loss.detach()), *grads]
def by_hinge(a, b, same, margin):
    """By PyTorch's hinge_embedding_loss: d for the same, max(0, margin - d) for different; its square is asked for."""
    a, b = (torch.tensor(part, requires_grad=True) for part in (a, b))
    d, signs = torch.linalg.vector_norm(a - b, dim=1), torch.where(torch.tensor(same), 1.0, -1.0)
    loss = functional.hinge_embedding_loss(d, signs, margin, reduction="none").square().mean()
    return [loss.item(), *(g.numpy() for g in torch.autograd.grad(loss, (a, b)))]
def hadsell(a, b, same, margin):
    a, b = (torch.tensor(part, requires_grad=True) for part in (a, b))
    same, d = torch.tensor(same), torch.linalg.vector_norm(a - b, dim=1)
    near, far = d**2, torch.relu(margin - d) ** 2
    loss = torch.where(same, near, far).mean()
    return [loss.item(), *(g.numpy() for g in torch.autograd.grad(loss, (a, b)))]
def embedded(make):
    """Pairs, near and far; among them twins, of the same and of different classes."""
    n, d = make.size(1 if make.kind == "smallest" else 2, 10), make.size(1, 5)
    a, same = make.numbers(n, d), make.labels(n) > 0
    same[:] = make.one_of(same, True, False) if make.kind == "square" else same
    b = a + make.one_of(1, 0.25, 0.5) * np.round(4 * make.numbers(n, d)) / 4
    if make.kind in ("zeros", "doubled", "whole"):
        twins = [np.flatnonzero(same)[0], np.flatnonzero(~same)[0]]
        b[twins] = a[twins]
    return a, b, same, make.one_of(1.0, 2.0, 0.5, 3.0) * (2.0**10 if make.kind == "large" else 1.0)
SAID = {
    "detached": "no gradient flows back to the embeddings: compute with the tensors themselves, without .detach(), .item() or NumPy, where two are equal, too", "half": "no gradient flows back to one of the two embeddings: both go through the same network",
    "changed": "the embeddings are changed in place, and their caller still needs them: write a - b, not a -= b", "changed same": "`same` is changed in place: its caller still needs it", "NoneType": "None came back: is a `return` missing?",
}
def explain_loss(got, expected, *arguments):
    if isinstance(got, str):
        return SAID.get(got, f"return a tensor with one number, the mean over the pairs, not {got}")
    if np.isnan(got[0]):
        return "the loss is NaN where all pairs are of one kind: take one mean over all pairs"
    if any(np.isnan(part).any() for part in got[1:]):
        return "the gradient is NaN where two embeddings are equal: the slope of a root is infinite at 0, so use torch.linalg.vector_norm"
agrees(
    "contrastive_loss", "is the mean cost of the pairs, with the gradients that PyTorch's own gives", target=use_contrastive, draw=embedded,
    kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "square", "plain", "square", "plain", "zeros"),
    reference=by_hinge, written=hadsell, explain=explain_loss, tolerance={"rtol": 1e-4, "atol": 1e-4},
    parts=("the loss", "the gradient by `a`", "the gradient by `b`"), hint="do the three pairs of the text by hand: 0.833", misreadings={
        "different pairs pay the square of what is missing to the margin": ("torch.relu(margin - d) ** 2", "torch.relu(margin - d)"), "same pairs pay the square of their distance": ("near, far = d**2", "near, far = d"),
        "both costs are squares: of the distance, and of what is missing to the margin": ("near, far = d**2, torch.relu(margin - d) ** 2", "near, far = d, torch.relu(margin - d)"), "`same` is the wrong way round: pairs of the same class pay for their distance": ("torch.where(same, near, far)", "torch.where(same, far, near)"),
        "different pairs that are far enough apart pay nothing: cut at 0 before you square": ("torch.relu(margin - d) ** 2", "(margin - d) ** 2"), "the margin is compared with the distance, not with its square: max(0, m − d)²": ("torch.relu(margin - d) ** 2", "torch.relu(margin - d**2)"),
        "take the mean over the pairs, not the sum": (".mean()", ".sum()"), "no factor ½ here: the paper has one, this loss has not": (".mean()", ".mean() / 2"), "different pairs pay for being too near, not for being far: margin − d": ("torch.relu(margin - d)", "torch.relu(d - margin)"),
        "use the margin that is given, not 1": ("torch.relu(margin - d)", "torch.relu(1 - d)"), "use the margin that is given, not 2": ("torch.relu(margin - d)", "torch.relu(2 - d)"), "compare each picture with its own partner alone: n distances, not n · n": ("torch.linalg.vector_norm(a - b, dim=1)", "torch.cdist(a, b)"),
        "different pictures with the same embedding cost most, the margin's square: yours cost nothing": ("torch.where(same, near, far).mean()", "(torch.where(same, near, far) * (d > 0)).mean()"),
        "detach nothing: a part of the hinge's gradient is lost": ("torch.relu(margin - d) ** 2", "torch.relu(margin - d) * torch.relu(margin - d).detach()"),
        "a number of that size under the root moves every distance: torch.linalg.vector_norm needs none": ("torch.linalg.vector_norm(a - b, dim=1)", "((a - b).square().sum(1) + 1e-2).sqrt()"),
        "different pairs that are far enough apart pay nothing, however far they are": ("torch.relu(margin - d) ** 2", "torch.where(d < 2 * margin, torch.relu(margin - d), margin - d) ** 2"), "same pairs pay for their whole distance, beyond the margin, too": ("near, far = d**2", "near, far = d.clamp(max=margin) ** 2"),
        "the distance is Euclidean: the root of the sum of squares, not the sum of absolute values": ("torch.linalg.vector_norm(a - b, dim=1)", "(a - b).abs().sum(1)"),
        "add up the squares over the dimensions, do not average them": ("torch.linalg.vector_norm(a - b, dim=1)", "torch.linalg.vector_norm(a - b, dim=1) / a.shape[1] ** 0.5"),
        "the distance runs over the wrong axis: one distance a pair, dim=1": ("torch.linalg.vector_norm(a - b, dim=1)", "torch.linalg.vector_norm(a - b, dim=0)"), "one distance for each pair, not one for the whole batch": ("torch.linalg.vector_norm(a - b, dim=1)", "torch.linalg.vector_norm(a - b)"),
        "one mean over all pairs, not a mean for each kind": ("torch.where(same, near, far).mean()", "near[same].mean() + far[~same].mean()"), "keep all pairs in the mean: different ones must pay too": ("torch.where(same, near, far).mean()", "near[same].mean()"),
        "keep all pairs in the mean: same ones must pay too": ("torch.where(same, near, far).mean()", "far[~same].mean()"),
})
# fmt: on
