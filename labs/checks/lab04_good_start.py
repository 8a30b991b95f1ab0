"""The checks of this lab. Made from labs/source/lab04_good_start.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab('lab04_good_start', 'What is a good start worth?')
checks, agrees = LAB.checks, LAB.agrees

LAB.exercise('forecast', title='A forecast for every layer', difficulty=2, importance=5, minutes=20, points=4, optional=False)
LAB.exercise('batch_norm', title='Batch norm, in training and in evaluation', difficulty=3, importance=5, minutes=25, points=5, optional=False)
LAB.exercise('proximal_step', title='The step that makes zeros', difficulty=2, importance=4, minutes=15, points=3, optional=False)
LAB.exercise('contrastive_divergence', title='Contrastive divergence', difficulty=3, importance=4, minutes=25, points=5, optional=False)


import numpy as np
import torch
import torch.nn.functional as F


# fmt: off
def network(make):
    sizes = [make.size(1, 9) for _ in range(make.size(1, 6) + 1)]
    if make.kind == "square":  # deep, and the same each time but for the slope
        return [4] * 15, [0.25] * 14, *make.one_of((), (0.5,), (1.0,))
    return sizes, (np.abs(make.numbers(len(sizes) - 1)) / make.one_of(1, 4)).tolist(), *make.one_of((), (0.5,), (1.0,))
def by_products(sizes, variances, slope=0.0):
    c, n, v = (1 + slope**2) / 2, np.array(sizes, float), np.array(variances)
    up = np.cumprod(n[:-1] * v * np.where(np.arange(len(v)) > 0, c, 1))
    down = np.cumprod(np.append(c * n[2:] * v[1:], 1)[::-1])[::-1]
    return up, down
agrees(
    "forecast", "`forecast` follows the mean squares forwards and backwards through every layer", target="forecast",
    draw=network, reference=by_products, parts=("the forward list", "the backward list"), tolerance={"atol": 0.0},
    hint="do the network 4, 2, 3 of the text by hand",
    misreadings={
        "the inputs pass no bend: no factor c in the first layer": ("np.where(np.arange(len(v)) > 0, c, 1)", "c"), "the factor c is missing forwards: half of the mean square is lost in ReLU": ("np.where(np.arange(len(v)) > 0, c, 1)", "1"), "the factor c is missing backwards: the slope is 1 for half of the sums": ("c * n[2:]", "n[2:]"),
        "these are variances already: do not square them": ("np.array(variances)", "np.array(variances) ** 2"), "backwards a signal comes through the weights of the next layer, not through its own": ("c * n[2:] * v[1:]", "c * n[2:] * v[:-1]"), "begin the forward list with layer 1, not with the inputs": ("up, down\n", "np.append(1, up), down\n"), "c is (1 + slope²)/2, so the slope counts": ("(1 + slope**2) / 2", "1 / 2"),
        "the slope is squared in c": ("(1 + slope**2) / 2", "(1 + slope) / 2"), "forwards a sum runs over the neurons of the layer before: sizes[layer], not sizes[layer + 1]": ("n[:-1] * v", "n[1:] * v"), "backwards a sum runs over the neurons of the next layer: sizes[layer + 1], not sizes[layer]": ("c * n[2:]", "c * n[1:-1]"), "the backward list is the wrong way round: it begins with the first layer": ("[::-1]\n", "\n"),
        "the backward signal of the last layer is 1: do not multiply by its own weights": ("np.append(c * n[2:] * v[1:], 1)[::-1])[::-1]", "(c * n[1:] * v)[::-1])[::-1]"), "the two lists are exchanged: forwards comes first": ("up, down\n", "down, up\n"),
        "the backward list ends with layer 1: it has no entry for the inputs": ("up, down\n", "up, np.append(c * n[1] * v[0] * down[0], down)\n"), "mean squares are asked for, not their roots": ("up, down\n", "up**0.5, down**0.5\n"), "the backward list ends with 1, not with c: it is counted in units of the last layer": ("up, down\n", "up, c * down\n"),
        "c is (1 + slope²)/2: yours has a slope too many": ("(1 + slope**2) / 2", "(1 + slope + slope**2) / 2"), "each layer has a size and a variance of its own: yours uses one factor for all": lambda n, v, a=0.0: [[n[0] * v[0] * ((1 + a**2) / 2 * n[1] * v[1] if len(v) > 1 else 1) ** k for k in range(len(v))], [((1 + a**2) / 2 * n[-1] * v[-1]) ** (len(v) - 1 - k) for k in range(len(v))]],
        "do not round: small signals become 0": ("up, down\n", "np.round(up, 6), np.round(down, 6)\n"), "with one layer the backward list is [1.0]: yours is empty": ("up, down\n", "up, down if len(v) > 1 else down[:0]\n"),
    },
)
# fmt: on


# fmt: off
def tensors(*arrays):
    return [torch.from_numpy(np.asarray(array, float)) for array in arrays]
def batch_inputs(make):
    """Training and evaluation by turns; momentum and eps given or not."""
    n, d = make.size(2, 20), make.size(1, 6)
    x, shift = make.numbers(n, d), make.numbers(d)
    if make.number == 2:  # in training, a neuron whose sums are all equal
        x[:, 0], shift[0] = 0.5, 1.0
    numbers = tensors(x, make.numbers(d), shift, make.numbers(d), np.abs(make.numbers(d)))
    return *numbers, make.one_of(True, False), *make.one_of((), (0.25,), (0.125, 0.5))
def by_torch(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    mean, variance = mean.clone(), variance.clone()
    return F.batch_norm(x, mean, variance, gain, shift, training, momentum, eps), mean, variance
def in_words(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    mu, var, n = x.mean(0), ((x - x.mean(0)) ** 2).mean(0), len(x)
    unbiased = var * n / (n - 1)
    used_mean, used_var = (mu, var) if training else (mean, variance)
    if training:
        mean, variance = (1 - momentum) * mean + momentum * mu, (1 - momentum) * variance + momentum * unbiased
    return gain * (x - used_mean) / (used_var + eps) ** 0.5 + shift, mean, variance
agrees(
    "batch_norm", "gives outputs and running statistics as `nn.BatchNorm1d` does, in training and in evaluation",
    draw=batch_inputs, reference=by_torch, written=in_words, hint="do the batch 1, 3, 5, 7 by hand",
    parts=("the outputs", "the running mean", "the running variance"),
    misreadings={
        "normalise with the variance over n, not over n − 1: correction=0": ("(mu, var) if", "(mu, unbiased) if"), "the running variance takes the batch's with n − 1: correction=1": ("momentum * unbiased", "momentum * var"), "the two variances are exchanged: over n to normalise, over n − 1 for the running one": ("unbiased = var * n / (n - 1)", "var, unbiased = var * n / (n - 1), var"),
        "the old running statistics keep only the share 1 − momentum": ("(1 - momentum) * mean + momentum * mu, (1 - momentum) * variance", "mean + momentum * mu, variance"), "the variance is around the mean: subtract it before you square": ("(mu, var) if training", "(mu, (x**2).mean(0)) if training"),
        "x.std(0) divides by n − 1, and epsilon belongs inside the root: use x.var(0, correction=0)": ("(used_var + eps) ** 0.5", "((unbiased if training else used_var) ** 0.5 + eps)"), "momentum is the share of the new batch: the old ones keep 1 − momentum": ("if training:\n", "if training:\n        momentum = 1 - momentum\n"),
        "use `momentum`, and 0.1 only where it is not given": ("if training:\n", "if training:\n        momentum = 0.1\n"), "use `eps`, and 1e-5 only where it is not given": ("(used_var + eps)", "(used_var + 1e-5)"),
        "epsilon stands inside the root, beside the variance": ("(used_var + eps) ** 0.5", "(used_var ** 0.5 + eps)"), "epsilon is missing: a neuron that is the same for all examples is divided by 0": ("(used_var + eps)", "(used_var)"),
        "divide by the root of the variance, not by the variance": ("(used_var + eps) ** 0.5", "(used_var + eps)"), "in evaluation normalise with the running statistics, not with the batch's": ("if training else (mean, variance)", "if True else (mean, variance)"), "in training normalise with the batch's statistics, not with the running ones": ("(mu, var) if training", "(mu, var) if False"),
        "in training normalise with the batch's statistics, not with the running ones after their update": lambda *a: (in_words(*a[:3], *in_words(*a)[1:], False, *a[6:])[0], *in_words(*a)[1:]), "in evaluation the running statistics stay as they are": ("    if training:", "    if True:"), "the gain is missing": ("gain * (x", "(x"), "the shift is missing": (" ** 0.5 + shift", " ** 0.5"),
        "add the shift after the gain, not before": ("gain * (x - used_mean) / (used_var + eps) ** 0.5 + shift", "gain * ((x - used_mean) / (used_var + eps) ** 0.5 + shift)"), "mean and variance run over the examples (axis 0), one for each neuron": ("mu, var, n = x.mean(0), ((x - x.mean(0)) ** 2).mean(0), len(x)", "mu, var, n = x.mean(), ((x - x.mean()) ** 2).mean(), len(x)"),
        "keep the variance, not the standard deviation, as a running statistic": ("momentum * unbiased", "momentum * unbiased**0.5"), "that is layer norm: mean and variance run over the examples (axis 0), not over the neurons": ("(mu, var) if training", "(x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)) if training"),
        "in evaluation gain and shift stay": ("if training:\n", "if not training:\n        gain, shift = 1, 0\n    if training:\n"), "n / (n − 1) is 4/3 in a batch of four alone: n counts the examples": ("unbiased = var * n / (n - 1)", "unbiased = var * 4 / 3"), "n counts the examples, len(x), not the neurons": ("len(x)", "x.shape[1] + (x.shape[1] == 1) * (len(x) - 1)"),
        "the batch's variance is around the batch's mean, not around the running one": ("momentum * unbiased", "momentum * ((x - (1 - momentum) * mean - momentum * mu) ** 2).sum(0) / (n - 1)"), "epsilon stands in the outputs alone: leave it out of the running variance": ("momentum * unbiased", "momentum * (var + eps) * n / (n - 1)"),
        "add epsilon to the variance: yours takes the larger of the two": ("(used_var + eps)", "used_var.clamp(min=eps)"), "a neuron whose sums are all equal gives its shift, not 0": ("return gain * (x - used_mean) / (used_var + eps) ** 0.5 + shift", "return (used_var > 0) * (gain * (x - used_mean) / (used_var + eps) ** 0.5 + shift)"),
    },
)
def use_gradient(answer, x, gain, shift, weights, training):
    """Gradients along x, gain and shift of a weighted sum of the outputs, and whether what is kept has a graph."""
    import torch

    leaves = [tensor.clone().requires_grad_() for tensor in (x, gain, shift)]
    zero = torch.zeros(len(gain), dtype=gain.dtype)
    outputs, *kept = answer["batch_norm"](*leaves, zero, zero + 2, training)
    if not getattr(outputs, "requires_grad", False):
        return "no gradient"
    (outputs * weights).sum().backward()
    grads = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    return *grads, [float(getattr(one, "requires_grad", False)) for one in kept]
def gradients(x, gain, shift, weights, training, function=by_torch):
    leaves, answer = [t.detach().clone() for t in (x, gain, shift)], {"batch_norm": lambda *a: function(*a)}
    with torch.enable_grad():
        return *use_gradient(answer, *leaves, weights, training)[:3], [0.0, 0.0]
def with_constants(x, gain, shift, mean, variance, training, keep=0.0):
    mu, var = (x.mean(0), x.var(0, correction=0)) if training else (mean, variance)
    return gain * (x - (keep * mu + (1 - keep) * mu.detach())) / (var.detach() + 1e-5) ** 0.5 + shift, mean, variance
def explain_gradient(got, expected, *arguments):
    if isinstance(got, str):
        return "no gradient flows through the outputs: compute with PyTorch, without `detach`, `item` or NumPy"
    if isinstance(got, (list, tuple)) and len(got) == 4 and any(got[3]):
        return "the running statistics hang in the graph of the batch: make them of `x.detach()`, or memory grows with every batch"
agrees(
    "batch_norm", "lets gradients flow through mean and variance, and keeps running statistics without a graph",
    target=use_gradient, reference=gradients, explain=explain_gradient, kinds=("plain",) * 4 + ("square",),
    draw=lambda make: (*tensors(make.numbers(7, 3), make.numbers(3), make.numbers(3), make.numbers(7, 3)), make.one_of(True, False, True)),
    parts=("the gradient along x", "the gradient along the gain", "the gradient along the shift", "the graphs"), hint="if the check above complains, mend that first",
    misreadings={
        "the gradient must flow through the batch's mean and variance: do not detach them": lambda *a: gradients(*a, with_constants), "the gradient must flow through the batch's variance, too": lambda *a: gradients(*a, lambda *b: with_constants(*b, keep=1.0)),
    },
)
def use_float32(answer, x, gain, shift):
    """What the answer gives in float32 less what it gives in float64: outputs and running variance."""
    import numpy as np
    import torch

    found = []
    for kind in (torch.float64, torch.float32):
        inputs = [tensor.to(kind) for tensor in (x, gain, shift, 0 * shift, 0 * shift + 1)]
        outputs, _, variance = answer["batch_norm"](*inputs, True)
        found.append([np.array(torch.as_tensor(one).detach(), float) for one in (outputs, variance)])
    return [after - before for before, after in zip(*found)]
agrees(
    "batch_norm", "keeps its digits in float32 where the mean is large", target=use_float32, kinds=("plain",) * 3, tolerance={"atol": 0.03},
    draw=lambda make: tensors(4096 + make.numbers(make.size(8, 20), 3), make.numbers(3), make.numbers(3)),
    reference=lambda x, gain, shift: [0 * x, 0 * shift], parts=("the outputs", "the running variance"),
    explain=lambda *_: "the mean of the squares less the square of the mean loses its digits in float32 where the mean is large: square the differences to the mean",
)
# fmt: on


# fmt: off
def step_inputs(make):
    """The first number is at the threshold exactly, or a little above or below."""
    least = 1 + (make.kind == "large")
    shape = (make.size(least, 8),) if make.number % 2 else (make.size(least, 5), make.size(1, 4))
    rate, penalty = make.one_of((0.5, 2.0), (0.25, 1.0), (2.0, 0.125), (1.0, 0.0), (0.125, 8.0), (0.0, 1.0), (0.5, 1.0))
    penalty *= {"large": 1024.0, "tiny": 2.0**-20}.get(make.kind, 1.0)
    weights, gradient = make.numbers(*shape), make.numbers(*shape)
    near = make.one_of(0.0, 0.0, 1.0, -1.0) * rate * penalty / 8
    if make.kind in ("large", "doubled") and weights.size > 1:  # one that stays large, and one that leaves 0
        weights.flat[-1], gradient.flat[-1] = (4096, 0) if make.kind == "large" else (0, 4)
    weights.flat[0] = make.one_of(1, -1) * (rate * penalty + near) + rate * gradient.flat[0]
    return *tensors(weights, gradient), rate, penalty
def soft(weights, gradient, rate, penalty):
    moved = weights - rate * gradient
    return torch.sign(moved) * torch.clamp(moved.abs() - rate * penalty, min=0)
def explain_zeros(got, expected, weights, *_):
    small = np.abs(np.asarray(got, float))[expected.numpy() == 0] if np.shape(got) == expected.shape else np.zeros(0)
    if small.any() and small.max() < 1e-5 * weights.abs().max():
        return "nearly 0 is not 0: what is at most rate · penalty becomes 0 itself, by max(0, ...)"
agrees(
    "proximal_step", "moves every weight along the gradient, then towards 0 by rate · penalty, and stops at 0 itself", draw=step_inputs,
    written=soft, reference=lambda w, g, rate, penalty: F.softshrink(w - rate * g, rate * penalty), explain=explain_zeros,
    hint="do the two weights of the text by hand", tolerance={"atol": 0.0},
    misreadings={
        "the amount is rate · penalty: multiply by the rate, too": ("moved.abs() - rate * penalty", "moved.abs() - penalty"), "go against the gradient: subtract rate · gradient": ("weights - rate * gradient", "weights + rate * gradient"),
        "first the step along the gradient, then shrink: yours shrinks first": lambda w, g, rate, penalty: F.softshrink(w, rate * penalty) - rate * g, "the step along the gradient is missing": ("weights - rate * gradient", "weights"), "what stays must move by rate · penalty, too: yours only sets small weights to 0": lambda w, g, rate, penalty: F.hardshrink(w - rate * g, rate * penalty),
        "a weight that would pass 0 stops there: yours goes on to the other side": ("torch.clamp(moved.abs() - rate * penalty, min=0)", "(moved.abs() - rate * penalty)"), "the sign of z counts, not of the old weight: the gradient may carry a weight over 0": ("torch.sign(moved)", "torch.sign(weights)"),
        "that is the slope λ · sign(w) of the old weight, which never rests at 0: shrink z": lambda w, g, rate, penalty: w - rate * (g + penalty * w.sign()), "what lies within rate · penalty of 0 becomes 0: yours stays": lambda w, g, rate, penalty: torch.where((w - rate * g).abs() <= rate * penalty, w - rate * g, F.softshrink(w - rate * g, rate * penalty)),
        "shrink z, not the old weight: first the whole step along the gradient": lambda w, g, rate, penalty: torch.where((z := w - rate * (g + penalty * w.sign())).sign() != w.sign(), 0 * z, z), "negative weights keep their sign: yours come out positive": ("torch.sign(moved) * ", ""), "negative weights move towards 0, too: yours are all set to 0": lambda w, g, rate, penalty: (w - rate * g - rate * penalty).clamp(min=0),
        "that is L2, which takes a share of each weight: L1 takes the same amount": lambda w, g, rate, penalty: (1 - rate * penalty) * w - rate * g, "that is L2's step, which divides and never reaches 0: L1 takes an amount away": lambda w, g, rate, penalty: (w - rate * g) / (1 + rate * penalty),
        "yours takes a share of z, large where z is large: L1 takes the same amount from each": lambda w, g, rate, penalty: (w - rate * g) * max(0.0, 1 - rate * penalty), "multiply the gradient by the rate": ("weights - rate * gradient", "weights - gradient"), "half the amount: the ½ in the formula has done its work when the slope is u − z": ("rate * penalty", "rate * penalty / 2"),
        "each weight is shrunk by itself: yours shrinks the length of all together": lambda w, g, rate, penalty: (w - rate * g) * (1 - rate * penalty / (w - rate * g).norm().clamp(min=1e-12)).clamp(min=0), "each weight moves by rate · penalty: do not divide it by how many there are": lambda w, g, rate, penalty: F.softshrink(w - rate * g, rate * penalty / max(1, w.numel())),
        "with penalty 0 the step along the gradient remains": lambda w, g, rate, penalty: F.softshrink(w - rate * g, rate * penalty) if penalty else w, "a weight that is 0 may leave it: let the gradient move it": ("torch.sign(moved) *", "(weights != 0) * torch.sign(moved) *"), "do not cut large weights off": lambda w, g, rate, penalty: F.softshrink(w - rate * g, rate * penalty).clamp(-10, 10),
    },
)
# fmt: on


# fmt: off
import itertools

from labcheck.compare import compare


def machine(make):
    """First one example. In a case of zeros, its probabilities are a half exactly, and so is its noise."""
    n, d, m = (1, 5, 5) if make.number == 0 else (make.size(1, 8), make.size(1, 5), make.size(1, 5))
    v, W, b, noise = make.rng.integers(0, 5, (n, d)) / 4, make.numbers(d, m), make.numbers(m), make.rng.random((n, m))
    if make.kind == "zeros":
        v[0], b, noise[0], W[-1] = 0, 0 * b, 0.5, 1 / 2
    if make.kind == "large":  # for the first hidden unit, sums that no float32 exponential holds
        v[0, 0], W[:, 0], b[0] = 1, 1024, 0
    return tuple(tensor.float() for tensor in tensors(v, W, make.numbers(d), b, noise))  # as digits are
def by_free_energy(v, W, a, b, noise):
    """The gradient of mean F(v') - mean F(v), by PyTorch."""
    def free(x, W, a, b):
        return (-(x @ a) - F.softplus(x @ W + b).sum(1)).mean()

    with torch.enable_grad():
        leaves = [t.detach().clone().requires_grad_() for t in (W, a, b)]
        made = torch.sigmoid((noise < torch.sigmoid(v @ W + b)).to(v.dtype) @ W.T + a)
        return torch.autograd.grad(free(made, *leaves) - free(v, *leaves), leaves)
def step_by_step(v, W, a, b, noise):
    p = torch.sigmoid(v @ W + b)
    h = (noise < p).to(v.dtype)
    w = torch.sigmoid(h @ W.T + a)
    q = torch.sigmoid(w @ W + b)
    return (v.T @ p - w.T @ q) / len(v), (v - w).mean(0), (p - q).mean(0)
def explain_machine(got, expected, v, W, a, b, noise):
    """What no table can hold: an overflow, and for one example a hidden state that no misreading of the noise gives."""
    sums = v @ W + b
    if any(not np.isfinite(np.asarray(one, float)).all() for one in got if np.ndim(one)) and sums.abs().max() > 80:
        return "NaN came back where a sum is large: your sigmoid overflows, `torch.sigmoid` does not"
    made = torch.sigmoid((noise < sums.sigmoid()).to(v.dtype) @ W.T + a)
    meant = [(noise < sums.sigmoid())[0], (noise > sums.sigmoid())[0], (sums > 0)[0], (noise < torch.sigmoid(made @ W + b))[0]]
    for state in itertools.product((0.0, 1.0), repeat=W.shape[1] if len(v) == 1 and len(got) == 3 else 0):
        if state and not any(torch.equal(torch.tensor(state), one.float()) for one in meant):
            if all(compare(*pair) is None for pair in zip(got, step_by_step(v, W, a, b, 2 - 3 * torch.tensor(state)))):
                return "h is 1 where the `noise` that is handed over is below p: yours comes from elsewhere"
agrees(
    "contrastive_divergence", "goes from the batch to what the machine makes of it, the way down of the free energy",
    draw=machine, reference=by_free_energy, written=step_by_step, tolerance={"rtol": 1e-4, "atol": 1e-5}, explain=explain_machine,
    kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "square", "tiny", "large"),
    parts=("the direction for W", "the direction for a", "the direction for b"), hint="which of p, h, v', p' stands where, and over what is the mean taken?",
    misreadings={
        "v' is made of the drawn h, not of the probabilities p": ("h @ W.T", "p @ W.T"), "the probabilities p stand in the formula, not the drawn h": ("    return (v.T @ p", "    p = h\n    return (v.T @ p"), "the probabilities p stand in the direction for W, not the drawn h": ("v.T @ p", "v.T @ h"),
        "p and p' stand in the formula as probabilities: do not draw both": ("    return (v.T @ p", "    p, q = h, (noise < q).to(v.dtype)\n    return (v.T @ p"), "return the directions alone: do not add them to W, a and b": lambda v, W, a, b, noise: [x + d for x, d in zip((W, a, b), step_by_step(v, W, a, b, noise))],
        "a mean over the batch keeps a number for each unit: mean(0), not mean()": ("(v - w).mean(0), (p - q).mean(0)", "(v - w).mean(), (p - q).mean()"), "a hidden unit is 1 where the noise is below p: use noise < p": ("noise < p", "noise > p"),
        "where the noise equals p the unit is 0: use < and not <=": ("noise < p", "noise <= p"), "a hidden unit is drawn with the noise, not rounded": ("noise < p", "0.5 < p"), "take means over the batch, not sums": ("/ len(v), (v - w).mean(0), (p - q).mean(0)", ", (v - w).sum(0), (p - q).sum(0)"), "the direction for W is a mean, too: divide by the number of examples": (" / len(v)", ""),
        "what the machine makes must be subtracted: yours has the data's part alone": ("(v.T @ p - w.T @ q) / len(v), (v - w).mean(0), (p - q).mean(0)", "v.T @ p / len(v), v.mean(0), p.mean(0)"), "p' belongs to v': yours multiplies v' by p": ("w.T @ q", "w.T @ p"), "the visible bias a is missing where v' is made": ("h @ W.T + a", "h @ W.T"),
        "the hidden bias b is missing where p is made": ("torch.sigmoid(v @ W + b)", "torch.sigmoid(v @ W)"), "the hidden bias b is missing where p' is made": ("torch.sigmoid(w @ W + b)", "torch.sigmoid(w @ W)"),
        "v' is a probability: the sigmoid is missing": ("torch.sigmoid(h @ W.T + a)", "h @ W.T + a"), "p' is not drawn: leave it a probability": ("torch.sigmoid(w @ W + b)\n", "(noise < torch.sigmoid(w @ W + b)).to(v.dtype)\n"), "the directions for a and b are exchanged: W, a, b": ("(v - w).mean(0), (p - q).mean(0)", "(p - q).mean(0), (v - w).mean(0)"),
        "the signs are turned: the data's part less the machine's": ("(v.T @ p - w.T @ q) / len(v), (v - w).mean(0), (p - q).mean(0)", "(w.T @ q - v.T @ p) / len(v), (w - v).mean(0), (q - p).mean(0)"), "p' is made of v', not of the data again": ("torch.sigmoid(w @ W + b)\n", "p\n"), "p' is made of v': yours is the drawn h again": ("torch.sigmoid(w @ W + b)\n", "h\n"),
        "v' stays a probability: do not round it": ("    q =", "    w = w.round()\n    q ="), "v may lie between 0 and 1: do not round it": ("    p = torch", "    v = (v > 0.5).to(v.dtype)\n    p = torch"), "the direction for W is the mean of the products, not the product of the means": ("(v.T @ p - w.T @ q) / len(v)", "torch.outer(v.mean(0), p.mean(0)) - torch.outer(w.mean(0), q.mean(0))"),
        "each unit has its own mean over the batch: yours is one number for all": ("(v - w).mean(0), (p - q).mean(0)", "(v - w).mean().expand(len(a)), (p - q).mean().expand(len(b))"), "divide by the number of examples, not by one less": ("/ len(v), (v - w).mean(0), (p - q).mean(0)", "/ (len(v) - 1), (v - w).sum(0) / (len(v) - 1), (p - q).sum(0) / (len(v) - 1)"),
        "divide by the number of examples, len(v), not of hidden units": ("/ len(v)", "/ len(b)"), "one step is asked for, from v over h to v': yours takes two": ("    q =", "    w = torch.sigmoid((noise < torch.sigmoid(w @ W + b)).to(v.dtype) @ W.T + a)\n    q ="), "each example has its own row of noise: yours uses the first for all": ("noise < p", "noise[:1] < p"), "the direction for a keeps its sign: take no absolute values": ("(v - w).mean(0)", "(v - w).abs().mean(0)"),
    },
)
# fmt: on
