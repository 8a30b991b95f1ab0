# %% [markdown]
# # What is a good start worth?
#
# **In one sentence:** a deep network learns only if signals keep their size from the
# first update on; you derive the weights that do so, build batch normalisation, the step
# behind L1's zeros and the pretraining of 2006, and measure over five replicates what
# each is worth, always beside the same training without it.
#
# After this lab you can
#
# 1. **forecast** a signal in every layer, and derive Xavier's and He's variances from it;
# 2. **implement** batch norm in training and evaluation, with its running statistics;
# 3. **write** the step that makes L1's zeros, and stop early by validation;
# 4. **train** a restricted Boltzmann machine;
# 5. **judge** what batch norm, regularisers and layer-wise pretraining are worth.
#
# **You need** notebooks 00 to 02: gradient, update, replicate, claim, control,
# `Ensemble`, ReLU. From mathematics: mean and variance, the chain rule.
#
# {exercises}
#
# Hints and a solution stand below each exercise. A check draws new inputs each time.

# %%
import itertools
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.neural_network import BernoulliRBM
from torch import nn

from labcheck import check
from labkit import data, figures
from labkit.evidence import claim, predict
from labkit.models import seeded
from labkit.train import Ensemble

figures.style()
digits = data.digits()
lab = check.lab("lab04_good_start")

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
WIDTH = 64  # neurons in each hidden layer
BATCH_SIZE = 32
TEST_SIZE = 500  # held-out digits
NORM_UPDATES, START_UPDATES = 200, 300  # experiments 1 and 3
NOISY_UPDATES, NOISY_RATE = 800, 0.2  # experiment 2
NOISY_EXAMPLES, NOISE = 400, 0.6  # digits to train on, share of random labels
RACERS, NETWORKS = 2, 8  # behind a replicate of experiment 1, and of early stopping
EPOCHS, RBM_RATE = 15, 0.2  # of each restricted Boltzmann machine

# %% [markdown]
# ## 1. How large should the first weights be?
#
# A neuron adds up 100 inputs of mean square 1. Draw each weight by itself, as likely $w$
# as $-w$, with variance $v$. Then, on average over such draws, products of two
# *different* weights vanish, and
#
# $$ z = \sum_i w_i x_i, \qquad \mathbb E\,z^2 = \sum_{i,j} \mathbb E[w_i w_j]\, x_i x_j
# = \sum_i v\, x_i^2 = n\, v . $$
#
# With $v = 1$ the mean square grows a hundredfold in each layer; with $v = 1/100$ it
# keeps its size. Then comes the bend. Take **leaky ReLU**, which multiplies negative sums
# by a **slope** $a$; ReLU has $a = 0$. Like its weights, a sum is as likely $z$ as $-z$.
# So half of $\mathbb E z^2$ comes from negative sums, and the bend keeps $a^2$ of that
# half: $\mathbb E\,\phi(z)^2 = c\; \mathbb E z^2$ with $c = (1 + a^2)/2$.
#
# Layers are drawn independently, so this holds in each. Let layer $\ell$ have $n_\ell$
# neurons and weights of variance $v_\ell$; layer 0 are the inputs, of mean square 1.
# Write $q_\ell$ for the mean square of the sums in layer $\ell$. What comes into a layer
# has passed the bend, except in the first:
#
# $$ q_1 = n_0\, v_1, \qquad q_\ell = n_{\ell-1}\, v_\ell\; c\; q_{\ell-1} . $$
#
# The **backward signal** is the gradient of the loss along the sums. A neuron of layer
# $\ell$ feeds all $n_{\ell+1}$ neurons of the next layer, and the slope of the bend is 1
# for half of the sums and $a$ for the others: $c$ again, if the signal does not depend on
# which sums are positive, as we assume. In units of the last layer, $L$:
#
# $$ g_L = 1, \qquad g_\ell = c\; n_{\ell+1}\, v_{\ell+1}\; g_{\ell+1} . $$

# %% [markdown] exercise="forecast" difficulty=2 importance=5 minutes=20 points=4
# ### A forecast for every layer
#
# **By hand first.** Four inputs, layers of 2 and 3 neurons, ReLU, variances ¼ and ½.
# Forwards $q_1 = 4 \cdot \frac14 = 1$ and $q_2 = 2 \cdot \frac12 \cdot \frac12 \cdot 1 =
# \frac12$. Backwards $g_2 = 1$ and $g_1 = \frac12 \cdot 3 \cdot \frac12 \cdot 1 =
# \frac34$. Write `forecast`, which gives the lists $q_1 \dots q_L$ and $g_1 \dots g_L$.


# %% solution="forecast"
def forecast(sizes, variances, slope=0.0):
    """Mean squares in a network of leaky ReLU: (forwards q [L], backwards g [L]).

    sizes: L + 1 numbers, of inputs and of each layer's neurons; variances: L numbers.

    >>> forecast([4, 2, 3], [0.25, 0.5])
    ([1.0, 0.5], [0.75, 1.0])
    """
    ### BEGIN SOLUTION
    kept = (1 + slope**2) / 2
    forwards, backwards = [sizes[0] * variances[0]], [1.0]
    for layer in range(1, len(variances)):
        forwards.append(sizes[layer] * variances[layer] * kept * forwards[-1])
    for layer in range(len(variances) - 1, 0, -1):
        backwards.insert(0, kept * sizes[layer + 1] * variances[layer] * backwards[0])
    return forwards, backwards
    ### END SOLUTION


# %% [markdown] hint="forecast"
# In Python `variances[0]` is $v_1$, but `sizes[0]` is $n_0$: so they are shifted.

# %% [markdown] hint="forecast"
# Two loops. Forwards, start with `[sizes[0] * variances[0]]` and multiply the last entry
# by what the next layer does. Backwards, start with `[1.0]` and put numbers in *front*.

# %% [markdown] hint="forecast"
# Through layer `layer`, counted from 0: forwards `sizes[layer] * variances[layer] *
# kept`, backwards `kept * sizes[layer + 1] * variances[layer]`.

# %% [markdown] why="forecast"
# Forwards a neuron adds up over the neurons *before* it, backwards over those
# *after* it. Common mistakes: a factor ½ in the first layer, whose inputs pass no bend;
# sizes off by one; a list that grows at the wrong end.


# %% checks="forecast"
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

# %% patches="forecast"
[
    ("    return forwards, backwards", "    return np.array(forwards), tuple(backwards)", ""), ("    forwards, backwards = [", "    L = len(variances)\n    up = [float(np.prod(sizes[: i + 1]) * np.prod(variances[: i + 1]) * kept**i) for i in range(L)]\n    return up, [float(np.prod(sizes[i + 2 :]) * np.prod(variances[i + 1 :]) * kept ** (L - 1 - i)) for i in range(L)]\n    forwards, backwards = [", ""),
    ("[sizes[0] * variances[0]]", "[sizes[0] * variances[0] * kept]", "no factor c in the first layer"), ("sizes[layer] * variances[layer] * kept", "sizes[layer + 1] * variances[layer] * kept", "the forward list"), ("kept * sizes[layer + 1]", "kept * sizes[layer]", "over the neurons of the next layer"), ("backwards.insert(0, kept", "backwards.append(kept", "the backward list"),
    ("(1 + slope**2) / 2", "0.5", "so the slope counts"), ("(1 + slope**2) / 2", "(1 + slope) / 2", "squared in c"), ("    return forwards, backwards", "    return forwards", "forward list"), ("    return forwards, backwards", "    return backwards, forwards", "exchanged"), ("len(variances) - 1, 0, -1", "len(variances) - 1, 1, -1", "the backward list"),
    ("    forwards, backwards = [", "    variances[0] = variances[0] * 1.5\n    forwards, backwards = [", "in place"),
]  # fmt: skip

# %%
lab.check("forecast")

# %% [markdown]
# ### Two rules, measured layer by layer
#
# **He** (He et al. 2015) asks for $q_\ell = q_{\ell-1}$, so $n_{in}\, v\, c = 1$: for
# ReLU $v = 2 / n_{in}$. **Xavier** (Glorot & Bengio 2010) leaves the bend out. Forwards
# that asks for $v = 1/n_{in}$, backwards for $1/n_{out}$. Both cannot hold, so it divides
# 1 by the *mean* of the two numbers: $v = 2/(n_{in} + n_{out})$.
#
# Ten ReLU layers, alternately 100 and 400 neurons wide, and three rules: Xavier, He, and
# `nn.Linear`'s own, $v = 1/(3\,n_{in})$. Send 200 random inputs forwards and a random
# signal backwards, and measure every layer.


# %% tags=["experiment"]
DEEP, SEEDS = [100, 400] * 5 + [100], range(BASE_SEED, BASE_SEED + REPLICATES)
RULES = {
    "Xavier": lambda n_in, n_out: 2 / (n_in + n_out),
    "He": lambda n_in, n_out: 2 / n_in,
    "nn.Linear": lambda n_in, n_out: 1 / (3 * n_in),
}


# %% tags=["experiment"]
def mean_squares(variances, seed):
    """Measured in one random ReLU network: an array [forwards or backwards, L]."""
    with seeded(seed):
        h, signal = torch.randn(200, DEEP[0]), torch.randn(200, DEEP[-1])
        weights = [torch.randn(pair) for pair in itertools.pairwise(DEEP)]
    sums, signals = [], [signal]
    for variance, weight in zip(variances, weights, strict=True):
        weight *= variance**0.5
        sums.append(h @ weight)
        h = torch.relu(sums[-1])
    for layer in range(len(sums) - 1, 0, -1):
        signals.insert(0, (signals[0] @ weights[layer].T) * (sums[layer - 1] > 0))
    return np.array([[x.square().mean() for x in part] for part in (sums, signals)])


# %% tags=["experiment"]
if lab.solved("forecast"):
    foretold, measured = {}, {}
    for rule, variance in RULES.items():
        own = [variance(*pair) for pair in itertools.pairwise(DEEP)]
        foretold[rule] = np.log10(forecast(DEEP, own))
        measured[rule] = np.log10([mean_squares(own, seed) for seed in SEEDS])
        assert np.abs(measured[rule].mean(0) - foretold[rule]).max() < 0.4
    inits = {"Xavier": nn.init.xavier_normal_, "He": nn.init.kaiming_normal_}
    for rule, draw in inits.items():
        with seeded(BASE_SEED):
            theirs = draw(torch.empty(100, 400))
        with seeded(BASE_SEED):
            ours = RULES[rule](400, 100) ** 0.5 * torch.randn(100, 400)
        torch.testing.assert_close(ours, theirs)
    print("our rules are PyTorch's, and the forecast holds within a factor of 2.5")

# %% tags=["experiment", "drawing"]
if lab.solved("forecast"):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.3), sharey=True)
    layers = np.arange(1, len(DEEP))
    for direction, ax in enumerate(panels):
        for rule in foretold:
            dots, line = measured[rule][:, direction], foretold[rule][direction]
            figures.lines_with_spread(ax, layers, dots, rule, markevery=1, linestyle="")
            name = f"{rule}, foretold"
            ax.plot(layers, line, ":", color="0.1", marker="", label=name)
        ax.set(title=("forwards", "backwards")[direction], xlabel="layer")
        ax.set_xticks(layers)
    panels[0].set(ylabel="log10 of the mean square")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figures.show(
        fig,
        alt="Mean square in ten layers, forwards and backwards. The markers lie on "
        "the dotted lines of the forecast. He stays level but for a zigzag, Xavier "
        "falls off slowly, the rule of nn.Linear steeply.",
        caption="Markers: mean of the replicates. Dotted: your forecast. The zigzag "
        "comes from the widths, which alternate.",
    )

# %% [markdown]
# He keeps the size. Xavier, made for $\tanh$ with its slope of 1 near 0, loses it in
# ReLU, and `nn.Linear`'s rule more so. But who keeps the sizes after the *first* update?
#
# ## 2. Set the size anew in every layer
#
# **Batch normalisation** (Ioffe & Szegedy 2015) does. Take one neuron and its sums for a
# batch of four examples: 1, 3, 5, 7. Subtract their mean, 4. The mean square of what is
# left, −3, −1, 1, 3, is 5. Divide by $\sqrt5$: now they have mean 0 and variance 1,
# whatever their scale was. A learned **gain** $\gamma$ and **shift** $\beta$ follow:
#
# $$ y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta $$
#
# The tiny $\varepsilon$ prevents a division by 0 where all sums are equal. **In use** one
# digit may come alone, and no answer should depend on who else asks. So training also
# keeps **running statistics**, which evaluation uses in place of the batch's. With the
# **momentum** $m = 0.1$ each batch moves them a tenth of the way to its own:
#
# $$ \mu_\text{run} \leftarrow (1 - m)\, \mu_\text{run} + m\, \mu, \qquad
# \sigma^2_\text{run} \leftarrow (1 - m)\, \sigma^2_\text{run} +
# m\, \tfrac{n}{n-1}\,\sigma^2 . $$
#
# A batch of $n$ measures the variance around its own mean, and so understates that of all
# data; $n/(n-1)$ makes up for it. So the variance is over $n$ to normalise, and over
# $n-1$ for the running statistics, as in PyTorch.

# %% [markdown] exercise="batch_norm" difficulty=3 importance=5 minutes=25 points=5
# ### Batch norm, in training and in evaluation
#
# **By hand first.** For the sums 1, 3, 5, 7 the running mean 0 and variance 1 become $0.9
# \cdot 0 + 0.1 \cdot 4 = 0.4$ and $0.9 \cdot 1 + 0.1 \cdot \frac43 \cdot 5 = 1.567$. In
# evaluation the *running* statistics normalise, and stay as they are.
#
# All arguments are PyTorch tensors, so that gradients can flow through $\mu$ and
# $\sigma^2$ as well. What you return as running statistics takes no part in a gradient:
# make it of `x.detach()`. Change no argument in place. Take the variance from the
# *differences* to the mean, as `x.var` does: the mean of $x^2$ less $\mu^2$ is the same
# on paper, but loses its digits in float32 where $\mu$ is large.


# %% solution="batch_norm"
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    """(outputs [n, d], new running mean [d], new running variance [d]).

    x [n, d], n > 1; gain, shift, mean, variance [d]: the last two are the running ones.

    >>> one, zero = torch.ones(1), torch.zeros(1)
    >>> x = torch.tensor([[1.0], [3.0], [5.0], [7.0]])
    >>> batch_norm(x, one, zero, zero, one, training=True)[1:]
    (tensor([0.4000]), tensor([1.5667]))
    """
    ### BEGIN SOLUTION
    if training:
        center, spread = x.mean(0), x.var(0, correction=0)
        seen = x.detach()
        mean = (1 - momentum) * mean + momentum * seen.mean(0)
        variance = (1 - momentum) * variance + momentum * seen.var(0, correction=1)
    else:
        center, spread = mean, variance
    outputs = gain * (x - center) / torch.sqrt(spread + eps) + shift
    return outputs, mean, variance
    ### END SOLUTION


# %% [markdown] hint="batch_norm"
# First choose what to normalise with: the batch's mean and variance, or the running ones.
# Over which axis does the mean of each neuron run?

# %% [markdown] hint="batch_norm"
# `x.var(0, correction=0)` divides by $n$, `x.var(0, correction=1)` by $n - 1$: the first
# to normalise, the second for the running variance. $\varepsilon$ stands inside the root.

# %% [markdown] hint="batch_norm"
# In training `center, spread = x.mean(0), x.var(0, correction=0)`, and new tensors `mean
# = (1 - momentum) * mean + momentum * x.detach().mean(0)`, the variance likewise. Never
# `mean *= ...`, which changes the caller's tensor.

# %% [markdown] why="batch_norm"
# Two variances in one function are a trap. In a batch of four they differ by a
# third; with 256 nobody notices, until another library disagrees in the third digit. The
# gradient flows through $\mu$ and $\sigma^2$, too: that takes out of it whatever would
# only shift or scale all sums of the batch, which the outputs do not feel.


# %% checks="batch_norm"
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

# %% patches="batch_norm"
[
    ("    outputs = gain * (x - center) / torch.sqrt(spread + eps) + shift\n", "    scale = gain * (spread + eps).rsqrt()\n    outputs = x * scale + (shift - center * scale)\n", ""), ("    if training:\n        center", "    if training:\n        mean, variance = mean.clone(), variance.clone()\n        return F.batch_norm(x, mean, variance, gain, shift, True, momentum, eps), mean, variance\n    if training:\n        center", ""),
    ("    return outputs, mean, variance", "    return [outputs, mean.numpy(), variance.tolist()]", ""), ("x.mean(0), x.var(0, correction=0)", "x.mean(0), x.var(0)", "normalise with the variance over n"), ("seen.var(0, correction=1)", "seen.var(0, correction=0)", "the running variance takes the batch's with n − 1"), ("torch.sqrt(spread + eps)", "(torch.sqrt(spread) + eps)", "epsilon stands inside the root"),
    ("        mean = (1 - momentum) * mean + momentum * seen.mean(0)", "        mean = momentum * mean + (1 - momentum) * seen.mean(0)", "the running mean"), ("        center, spread = mean, variance", "        center, spread = x.mean(0), x.var(0, correction=0)", "in evaluation normalise with the running"), ("        seen = x.detach()", "        seen = x", "hang in the graph"),
    ("center, spread = x.mean(0), x.var(0, correction=0)", "center, spread = x.detach().mean(0), x.detach().var(0, correction=0)", "do not detach them"), ("        mean = (1 - momentum) * mean + momentum * seen.mean(0)", "        mean *= 1 - momentum\n        mean += momentum * seen.mean(0)", "in place"),
    ("    if training:\n        center", "    mean = batch_norm.__dict__.setdefault('first', mean)\n    if training:\n        center", "RuntimeError"),
    ("x.mean(0), x.var(0, correction=0)\n        seen", "x.mean(0), x.square().mean(0) - x.mean(0).square()\n        seen", "square the differences to the mean"), ("    return outputs, mean, variance", "    return outputs * (spread > 0), mean, variance", "gives its shift, not 0"), ("seen.var(0, correction=1)", "(seen.var(0, correction=1) + eps)", "the running variance"),
]  # fmt: skip

# %%
lab.check("batch_norm")

# %% [markdown]
# ### Side by side with PyTorch
#
# Fifty batches of digits go through both. Then one digit comes with two sets of
# companions: in training mode its outputs depend on them, in evaluation it may come
# alone. Last, all sums are made ten times as large.

# %% tags=["experiment"]
if lab.solved("batch_norm"):
    theirs, pixels = nn.BatchNorm1d(64), digits.inputs
    learned = theirs.weight, theirs.bias
    kept = torch.zeros(64), torch.ones(64)
    for batch in pixels[:1000].split(20):
        outputs, *kept = batch_norm(batch, *learned, *kept, training=True)
        torch.testing.assert_close(outputs, theirs(batch))
    torch.testing.assert_close(kept, [theirs.running_mean, theirs.running_var])
    x = digits.inputs[:20] @ torch.ones(64, 64).tril()
    for training in (True, False):
        company = pixels[:20], torch.cat([pixels[:1], pixels[100:119]])
        one, two = (batch_norm(x, *learned, *kept, training)[0] for x in company)
        print(f"training={training}: the same outputs?", torch.allclose(one[0], two[0]))
    torch.testing.assert_close(one[:1], theirs.eval()(pixels[:1]))
    one, two = (batch_norm(s * x, *learned, *kept, True, eps=1e-12)[0] for s in (1, 10))
    torch.testing.assert_close(one, two)

# %% [markdown]
# ### One formula, four norms
#
# Let each example have several **channels** with several places each, as a picture has
# colours and pixels. Batch norm pools over examples and places, **layer norm** (Ba et al.
# 2016) over channels and places, **instance norm** (Ulyanov et al. 2016) over places,
# **group norm** (Wu & He 2018) over a group of neighbouring channels and places. The last
# three look at one example alone: no running statistics, and evaluation is like training.
# One function makes all four: batch norm is instance norm of one long example.


# %%
def group_norm(x, groups, eps=1e-5):
    """Normalise each group of channels of each example; x [n, channels, places]."""
    grouped = x.reshape(len(x), groups, -1)
    spread, center = torch.var_mean(grouped, 2, correction=0, keepdim=True)
    return ((grouped - center) / torch.sqrt(spread + eps)).reshape(x.shape)


# %%
with seeded(BASE_SEED):
    x = torch.randn(8, 6, 5, dtype=torch.float64)
side_by_side = x.transpose(0, 1).reshape(1, 6, 8 * 5)
as_batch = group_norm(side_by_side, 6).reshape(6, 8, 5).transpose(0, 1)
torch.testing.assert_close(group_norm(x, 2), F.group_norm(x, 2))
torch.testing.assert_close(group_norm(x, 1), F.layer_norm(x, x.shape[1:]))
torch.testing.assert_close(group_norm(x, 6), F.instance_norm(x))
torch.testing.assert_close(as_batch, F.batch_norm(x, None, None, training=True))
print("group, layer, instance and batch norm agree with PyTorch's")

# %% [markdown]
# ### What batch norm promises
#
# Ioffe and Szegedy promised that it *allows much higher learning rates*, makes one *less
# careful about initialisation*, and *acts as a regulariser*. For the first two they gave
# one reason. Multiply all weights of a layer by 10, and the outputs stay, as you have
# seen. So the gradient along them shrinks to a tenth: large weights move little.
#
# ### Experiment 1: the rate, and the scale of the start
#
# Four hidden ReLU layers on digits, plain gradient descent. He's start is multiplied by
# 1/16, 1 or 16, and each network trains at five learning rates. Three kinds compete:
# **plain**, **batch norm**, and **layer norm**, whose outputs do not feel the scale of a
# layer's weights either, but which never looks at the batch. A replicate is the mean of
# two networks. (`Ensemble.fit` stops when one network diverges, and here some are meant
# to. So the loop is written once more; a network that diverges counts as a guess.)

# %% tags=["experiment"]
guess_rate = predict(
    "Learning rate 1, where plain networks fail. Which reach 0.8 on held-out digits?",
    ["batch norm and layer norm", "only batch norm", "only layer norm", "neither"],
)


# %% tags=["experiment"]
def train(networks, part, updates, step, falling=False, look=None, everything=False):
    """K networks at once. everything: all examples go forwards, not only the batch."""
    n, parameters = part.inputs.shape[1], list(networks.parameters())
    sources = [torch.Generator().manual_seed(seed) for seed in networks.seeds]
    draws = [torch.randint(n, (updates, BATCH_SIZE), generator=g) for g in sources]
    rows = torch.arange(len(networks)).unsqueeze(1)
    for update, batch in enumerate(torch.stack(draws, dim=1)):
        networks.train()
        inputs = part.inputs if everything else part.inputs[rows, batch]
        outputs = networks(inputs)[rows, batch] if everything else networks(inputs)
        answers = part.targets[rows, batch].flatten()
        loss = len(networks) * F.cross_entropy(outputs.flatten(0, 1), answers)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for weights, gradient in zip(parameters, gradients, strict=True):
                weights.lerp_(step(weights, gradient), 1 - falling * update / updates)
            if look and update % 25 == 24:
                look(networks.eval())


# %% tags=["experiment"]
def digits_of(seeds):
    """Training, validation and test digits of each of these replicates, stacked."""
    splits = [digits.split(int(seed), test=TEST_SIZE) for seed in seeds]
    return [data.stack(parts) for parts in zip(*splits, strict=True)]


def accuracy(networks, part):
    """Share of right answers of each network in evaluation mode: an array [K]."""
    with torch.no_grad():
        answers = networks.eval()(part.inputs).argmax(-1)
    return (answers == part.targets).float().mean(1).numpy()


# %% tags=["experiment"]
def at_best_rate(table, by):
    """Test accuracy [replicates, groups] at each group's best rate on validation."""
    mean = table.groupby([*by, "rate"], as_index=False).validation.mean()
    best = mean.loc[mean.groupby(by).validation.idxmax(), [*by, "rate"]]
    return table.merge(best).pivot_table("test", index="seed", columns=by)  # of means


# %% tags=["experiment"]
def race(name, sizes, rates, start=None, scales=(1.0,), falling=False, n=1, **options):
    """A row for each of n networks, scale and rate. start: changes a layer in place."""
    grid = itertools.product(SEEDS, range(n), scales, rates)
    rows = pd.DataFrame(grid, columns=["seed", "network", "scale", "rate"])
    *_, scale, rate = torch.tensor(rows.to_numpy(np.float32)).T
    networks = Ensemble(sizes, rows.seed + 100_000 * rows.network, **options)
    layers = [layer for layer in networks.layers if type(layer).__name__ == "_Linear"]
    with torch.no_grad():
        for number, layer in enumerate(layers):
            layer.weight *= scale.view(-1, 1, 1)
            if start and layer is not layers[-1]:
                start(number, layer, rows)
    part, validation, test = digits_of(rows.seed)
    updates = START_UPDATES if falling else NORM_UPDATES
    step = lambda w, g: w - rate.view(-1, *[1] * (g.ndim - 1)) * g
    train(networks, part, updates, step, falling)
    validation, test = accuracy(networks, validation), accuracy(networks, test)
    return rows.assign(name=name, validation=validation, test=test)


# %% tags=["experiment"]
SCALES, RATES = [1 / 16, 1.0, 16.0], [0.01, 0.1, 0.3, 1.0, 3.0]
NORMS = {"plain": None, "batch norm": "batch", "layer norm": "layer"}
four_layers, tables = [64, *[WIDTH] * 4, 10], []
for name, norm in NORMS.items():
    options = {"init": "he", "norm": norm}
    tables.append(race(name, four_layers, RATES, scales=SCALES, n=RACERS, **options))
races = pd.concat(tables)
from_he = races[races.scale == 1]
by_rate = from_he.pivot_table("test", index="seed", columns=["name", "rate"])
by_scale = at_best_rate(races, ["name", "scale"])
batch, layer = (by_rate[name, 1.0].mean() > 0.8 for name in [*NORMS][1:])
guess_rate.resolve([batch and layer, batch > layer, layer > batch, not batch | layer])

# %% tags=["experiment", "drawing"]
fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.5), sharey=True, width_ratios=[1.5, 1])
for name in NORMS:
    figures.lines_with_spread(panels[0], RATES, by_rate[name], name, markevery=1)
    figures.lines_with_spread(panels[1], SCALES, by_scale[name], name, markevery=1)
for ax in panels:
    ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
    ax.set(xscale="log", ylim=(0, 1.02))
panels[0].set(title="He's start", xlabel="learning rate")
panels[0].set_ylabel("accuracy on held-out digits")
panels[1].set(title="each at its best rate", xlabel="scale of the start")
panels[1].set_xticks(SCALES, labels=["1/16", "1", "16"])
panels[1].minorticks_off()
fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
figures.show(
    fig,
    alt="Left: accuracy against the learning rate. Plain networks and layer norm fall "
    "to chance; batch norm stays high. Right: from a start too small or too large "
    "plain networks stay at chance; both norms learn from the small start, and less "
    "well from the large one.",
    caption="Thin lines are replicates, each the mean of two networks. Right: the "
    "rate with the best validation accuracy at that scale.",
)

# %% tags=["experiment"]
RATE_OF_TEST = {"scale": "logit", "trials": RACERS * TEST_SIZE}
claim(
    "With batch norm, learning rate 1 gives at least 0.8 on held-out digits",
    by_rate["batch norm", 1.0],
    at_least=0.8,
    control=by_rate["plain", 1.0],
    control_is="the same networks, start and batches without batch norm",
    source="Ioffe & Szegedy 2015 (higher learning rates)",
    **RATE_OF_TEST,
)

claim(
    "From weights sixteen times too small it reaches at least 0.8, at the best rate",
    by_scale["batch norm", 1 / 16],
    at_least=0.8,
    control=by_scale["plain", 1 / 16],
    control_is="the same start without batch norm, at its best rate",
    source="Ioffe & Szegedy 2015 (less careful initialisation)",
    **RATE_OF_TEST,
)

# %% [markdown]
# Both promises are kept here. But look at the left panel: from He's start, at its *own
# best rate*, a plain network comes near. A higher rate is no aim in itself. Layer norm
# mends much of the small start, too, and yet does not stand rate 1: so not to feel the
# scale cannot be all that batch norm needs for it. And from the large start both norms
# fall behind at these rates: weights that are large, with a small gradient, turn slowly.
#
# ## 3. Learn less than you could
#
# Give most of 400 digits a random label. Who learns these by heart names new digits
# worse. What holds back is a **regulariser**. **L2** adds $\frac{\lambda}{2} \lVert w
# \rVert^2$ to the loss, so $\lambda w$ to the gradient: each update takes a *share* of
# each weight. **L1** adds $\lambda \sum_i |w_i|$, with slope $\pm\lambda$: each update
# takes the same *amount*, and steps along $\lambda \operatorname{sign}(w)$ jump over 0
# and back. The **proximal step** rests there. It steps along the gradient $g$ of the
# loss, to $z = w - \eta g$, and solves the rest:
#
# $$ w \leftarrow \arg\min_u\ \tfrac12 (u - z)^2 + \eta\lambda\,|u|
# = \operatorname{sign}(z)\, \max(0,\ |z| - \eta\lambda) . $$
#
# Each $z$ moves towards 0 by $\eta\lambda$, and whatever would pass 0 stops there.

# %% [markdown] exercise="proximal_step" difficulty=2 importance=4 minutes=15 points=3
# ### The step that makes zeros
#
# **By hand first.** $w = (0.5, -0.2)$, $g = (1, -1)$, $\eta = 0.1$, $\lambda = 2$. The
# step gives $z = (0.4, -0.1)$, and $\eta\lambda = 0.2$: $w$ becomes $(0.2, 0)$. (PyTorch
# may print this zero as −0. It equals 0.)


# %% solution="proximal_step"
def proximal_step(weights, gradient, rate, penalty):
    """Weights after a step. weights, gradient: tensors; rate, penalty: 0 or more.

    >>> proximal_step(torch.tensor([0.5, 0.2]), torch.tensor([1.0, 1.0]), 0.1, 2.0)
    tensor([0.2000, 0.0000])
    """
    ### BEGIN SOLUTION
    moved = weights - rate * gradient
    return moved.sign() * (moved.abs() - rate * penalty).clamp(min=0)
    ### END SOLUTION


# %% [markdown] hint="proximal_step"
# Two lines: the step along the gradient, then the formula with sign and max.

# %% [markdown] hint="proximal_step"
# `.abs()`, `.sign()` and `.clamp(min=0)` work on all numbers of a tensor at once.

# %% [markdown] hint="proximal_step"
# `moved = weights - rate * gradient`, then `moved.sign() * (moved.abs() - rate *
# penalty).clamp(min=0)`.

# %% [markdown] why="proximal_step"
# Where $u \neq 0$ the slope of what is minimised, $u - z \pm \eta\lambda$, is 0
# at $u = z \mp \eta\lambda$, if the sign is right; else the minimum is at the corner.
# Common mistakes: $\lambda$ for $\eta\lambda$; shrinking first; zeros while the others
# stay.


# %% checks="proximal_step"
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

# %% patches="proximal_step"
[
    ("    return moved.sign() * (moved.abs() - rate * penalty).clamp(min=0)", "    return F.softshrink(moved, rate * penalty)", ""),
    ("    return moved.sign() * (moved.abs() - rate * penalty).clamp(min=0)", "    t = rate * penalty\n    return moved - moved.clamp(-t, t)", ""), ("- rate * penalty)", "- penalty)", "multiply by the rate, too"), ("moved.sign() *", "weights.sign() *", "not of the old weight"), (".clamp(min=0)", "", "stops there"),
    ("    return moved.sign() * (moved.abs() - rate * penalty).clamp(min=0)", "    return moved * (moved.abs() > rate * penalty)", "only sets small weights to 0"), ("    return moved.sign() * (moved.abs() - rate * penalty).clamp(min=0)", "    return moved - rate * penalty * moved.sign()", "stops there"), ("moved.sign() * (", "(moved.sign() + 1e-9) * (1e-9 + ", "nearly 0 is not 0"),
    ("    moved = weights - rate * gradient\n", "    weights -= rate * gradient\n    moved = weights\n", "in place"),
]  # fmt: skip

# %%
lab.check("proximal_step")

# %% [markdown]
# One layer without hidden neurons: 64 pixels, 10 digits. Train it with L1 by your step,
# and with L2, from the same weights. Which pixels does each answer still look at?


# %% tags=["experiment"]
PENALTIES = [0.0003, 0.001, 0.003, 0.01, 0.03]


def l2_step(weights, gradient, rate, penalty=0.0):
    return weights - rate * (gradient + penalty * weights)


# %% tags=["experiment"]
def one_layer(penalty, step):
    """The weights [10, 64] of a softmax classifier of the training digits."""
    part = digits.split(BASE_SEED, test=TEST_SIZE).train
    with seeded(BASE_SEED):
        weights = 0.1 * torch.randn(64, 10)
    for _ in range(300):
        p = torch.softmax(part.inputs @ weights, dim=1)
        gradient = part.inputs.T @ (p - F.one_hot(part.targets, 10)) / len(part)
        weights = step(weights, gradient, 0.5, penalty)
    return weights.T


# %% tags=["experiment"]
if lab.solved("proximal_step"):
    with_l1 = {penalty: one_layer(penalty, proximal_step) for penalty in PENALTIES}
    with_l2 = {penalty: one_layer(penalty, l2_step) for penalty in PENALTIES}
    zeros = [int((weights == 0).sum()) for weights in with_l1.values()]
    assert zeros == sorted(set(zeros))
    assert all((weights != 0).all() for weights in with_l2.values())


# %% tags=["experiment", "drawing"]
def weights_figure(penalty):
    fig, panels = plt.subplots(2, 1, figsize=(7.5, 2.4))
    shown = {"L1": with_l1[penalty], "L2": with_l2[penalty]}
    for ax, (name, weights) in zip(panels, shown.items(), strict=True):
        scaled = weights / weights.abs().amax(1, keepdim=True)
        pictures = np.where(weights == 0, np.nan, scaled).reshape(10, 8, 8)
        ax.set(ylabel=name, yticks=[], facecolor="0.7")
        ax.imshow(np.hstack(pictures), cmap="RdBu_r", vmin=-1, vmax=1)
        counts = [f"{int((w == 0).sum())} zeros" for w in weights]
        ax.set_xticks(np.arange(3.5, 80, 8), labels=counts)
        ax.vlines(np.arange(7.5, 79, 8), -0.5, 7.5, color="0.1", linewidth=0.8)
    return fig


if lab.solved("proximal_step"):
    figures.slider(
        {penalty: weights_figure(penalty) for penalty in PENALTIES},
        alt="The weights of ten digits as pictures, above with L1, below with L2. "
        "Grey pixels are exactly zero: above they grow in number with the penalty, "
        "below there are none.",
        caption="Red weights speak for the digits 0 to 9, blue against; grey is "
        "exactly 0. Each picture has its own scale.",
        name="Penalty",
    )

# %% [markdown]
# **Dropout** (Srivastava et al. 2014) sets each number of a layer to 0 with probability
# $p$, drawn anew each time, and divides the others by $1 - p$, so that the mean stays.
# **Early stopping** ends when the validation loss has not improved for a number of looks,
# the **patience**, and keeps the parameters of the best look.


# %%
def dropout(x, p, training):
    return x * torch.empty_like(x).bernoulli_(1 - p) / (1 - p) if training else x


def early_stop(losses, patience):
    """(look at which training stops, look that is kept), counted from 0."""
    best = 0
    for look, loss in enumerate(losses):
        best = look if loss < losses[best] else best
        if look - best >= patience:
            break
    return look, best


# %%
ones, outputs = torch.ones(1000, 10), []
for function in (dropout, F.dropout):
    with seeded(BASE_SEED):
        outputs.append(function(ones, 0.3, training=True))
torch.testing.assert_close(*outputs)
assert early_stop([5, 3, 4, 3, 2], patience=2) == (3, 1)  # and never sees the 2
print("dropout agrees with PyTorch's")

# %% [markdown]
# ### Experiment 2: who holds back on wrong labels?
#
# Six in ten training labels are random, validation and test labels right. All arms share
# start, batches and rate; the strengths of L2 and dropout were chosen on validation
# digits of other replicates. And the third promise? In training a digit's answer depends
# on its batch, a kind of noise. Whether this *noise* holds back has a control of its own:
# **all statistics**, with mean and variance of all 400 digits, and the batch's loss.


# %% tags=["experiment"]
def noisy(part, seeds, noise):
    """The first digits of each stacked part, a share of them with a random label."""
    inputs = part.inputs[:, :NOISY_EXAMPLES]
    targets = part.targets[:, :NOISY_EXAMPLES].clone()
    for row, seed in zip(targets, seeds, strict=True):
        rng = np.random.default_rng(seed)
        wrong = rng.random(NOISY_EXAMPLES) < noise
        row[wrong] = torch.from_numpy(rng.integers(10, size=wrong.sum()))
    return part.replace(inputs=inputs, targets=targets, transform="random labels")


# %% tags=["experiment"]
def learn_noisy(step=None, noise=NOISE, networks=1, p=0.0, everything=False, norm=None):
    """Validation losses, test accuracies: each [looks, replicates, networks]."""
    seeds, curves = np.repeat(SEEDS, networks), []
    own = [int(seed) + 100_000 * (k % networks) for k, seed in enumerate(seeds)]
    part, validation, test = digits_of(seeds)
    ensemble = Ensemble([64, WIDTH, WIDTH, 10], own, init="he", norm=norm)
    for layer in ensemble.layers:
        if p and isinstance(layer, nn.ReLU):
            layer.register_forward_hook(lambda m, _, h: dropout(h, p, m.training))

    def look(trained):
        logits = trained(validation.inputs).mT
        loss = F.cross_entropy(logits, validation.targets, reduction="none").mean(1)
        curves.append([loss.numpy(), accuracy(trained, test)])

    with seeded(BASE_SEED):
        part, step = noisy(part, own, noise), step or partial(l2_step, rate=NOISY_RATE)
        train(ensemble, part, NOISY_UPDATES, step, look=look, everything=everything)
    return np.array(curves).swapaxes(0, 1).reshape(2, -1, REPLICATES, networks)


# %% tags=["experiment"]
def stopped_early(losses, test):
    """Test accuracy of the look that is kept, and the mean of the last eight looks."""
    early = np.zeros(test.shape[1:])
    for place in np.ndindex(early.shape):
        _, kept_look = early_stop(losses[:, *place].tolist(), patience=8)
        early[place] = test[kept_look, *place]
    return early.mean(1), test[-8:].mean((0, 2))


if lab.solved("proximal_step"):
    unhindered = learn_noisy(networks=NETWORKS)
    right_labels = learn_noisy(networks=NETWORKS, noise=0.0)
    arms = {
        "L2": learn_noisy(partial(l2_step, rate=NOISY_RATE, penalty=0.03)),
        "dropout": learn_noisy(p=0.5),
        "batch\nnorm": learn_noisy(norm="batch"),
        "all\nstatistics": learn_noisy(norm="batch", everything=True),
    }
    early, last = stopped_early(*unhindered)
    early_right, last_right = stopped_early(*right_labels)
    ends = {"nothing": last, "stopped\nearly": early}
    ends |= {name: curves[1, -8:].mean((0, 2)) for name, curves in arms.items()}

# %% tags=["experiment", "drawing"]
if lab.solved("proximal_step"):
    shape = {"figsize": (7.5, 3.7), "width_ratios": [1, 1.7]}
    fig, panels = plt.subplots(1, 2, sharey=True, **shape)
    looks = 25 * np.arange(1, len(unhindered[1]) + 1)
    shown = {"right labels": right_labels, "most of them random": unhindered}
    for name, curves in shown.items():
        figures.lines_with_spread(panels[0], looks, curves[1].mean(2).T, name)
    figures.dots_with_spread(panels[1], ends)
    panels[0].set(xlabel="updates", title="nothing holds back")
    panels[0].set_ylabel("accuracy on held-out digits")
    panels[0].legend(loc="lower right")
    panels[1].set(ylim=(0.3, 1), title="most labels random")
    panels[1].tick_params(axis="x", labelsize=8)
    figures.show(
        fig,
        alt="Left: on right labels accuracy rises and stays; on mostly random labels "
        "it rises, then falls. Right: with nothing to hold back the end is low; "
        "stopped early or with dropout it is higher, with L2 hardly; with batch norm, "
        "of either kind, it is not.",
        caption="Thin lines and dots are replicates; in the first two columns each is "
        "the mean of several networks. The axis is cut.",
    )

# %% tags=["experiment"]
if lab.solved("proximal_step"):
    claim(
        "With six in ten labels random, early stopping gains at least 0.09",
        early - last,
        at_least=0.09,
        control=early_right - last_right,
        control_is="the same difference on the same digits with right labels",
        source="Prechelt 1998; Zhang et al. 2017 (networks learn random labels)",
    )

# %% [markdown]
# Early stopping helps where there is something wrong to learn; with right labels it gains
# nothing. In the figure dropout holds back as much, L2 hardly. The third promise is not
# kept here: look where batch norm ends, with and without its noise, beside nothing at
# all. (It may learn faster, wrong labels as well.) Elsewhere a gain was found (Luo et al.
# 2019).
#
# ## 4. The start of 2006
#
# Networks with many **sigmoid** layers, $\sigma(z) = 1/(1 + e^{-z})$, did not train: the
# slope of $\sigma$ is at most ¼, so the backward signal dies. Hinton, Osindero and Teh
# (2006) let each layer first learn to *describe* what it sees, without labels, one after
# the other. A **restricted Boltzmann machine** has visible units $v$ (the pixels) and
# hidden units $h$, each 0 or 1. Every pair $(v, h)$ has an **energy**, and low energy
# means probable. No two visible units are tied to each other, and no two hidden ones. So
# given $v$ each hidden unit decides by itself, and given $h$ each visible one:
#
# $$ P(v, h) \propto e^{a \cdot v + b \cdot h + v^\top W h}, \quad
# P(h_j{=}1 \mid v) = \sigma\big(b_j + (v^\top W)_j\big), \quad
# P(v_i{=}1 \mid h) = \sigma\big(a_i + (W h)_i\big) . $$
#
# Added up over all $h$, each off (1) or on, this makes $P(v) \propto e^{-F(v)}$ with
#
# $$ F(v) = -a \cdot v - \sum_j \log\big(1 + e^{b_j + (v^\top W)_j}\big) . $$
#
# Learning pulls this **free energy** down at the data and lets it rise at what the
# machine would make by itself. To draw from the machine takes long, so **contrastive
# divergence** (Hinton 2002) takes one step: from data $v$ draw $h$, from $h$ make $v'$.
# Of visible units it takes the *probability* of a 1, which needs no draw: in $v'$, and in
# the data, where a grey pixel stands for such a probability.

# %% [markdown] exercise="contrastive_divergence" difficulty=3 importance=4 minutes=25 points=5
# ### Contrastive divergence
#
# Write the direction in which to change $W$, $a$ and $b$, from a batch of $v$:
#
# $$ p = P(h{=}1 \mid v), \quad h = [\,\text{noise} < p\,], \quad
# v' = P(v{=}1 \mid h), \quad p' = P(h{=}1 \mid v'), $$
#
# $$ \Delta W = \overline{v\, p^\top - v'\, p'^\top}, \qquad \Delta a = \overline{v - v'},
# \qquad \Delta b = \overline{p - p'} . $$
#
# $[\dots]$ is 1 where the noise is below $p$, else 0 (where they are equal, too). Bars
# are means over the batch. The *drawn* $h$ makes $v'$; the *probabilities* $p$ stand in
# the formula; $v'$ and $p'$ are not drawn, and numbers in $v$ lie anywhere from 0 to 1.
#
# **By hand.** One unit each, $W = a = b = 0$, $v = 1$. Then $p = v' = p' = \frac12$
# whatever $h$ is, so $\Delta W = \frac12 - \frac14 = \frac14$, $\Delta a = \frac12$,
# $\Delta b = 0$.


# %% solution="contrastive_divergence"
def contrastive_divergence(v, W, a, b, noise):
    """The directions (for W [d, m], for a [d], for b [m]), means over the batch.

    v [n, d], W [d, m], a [d], b [m]; noise [n, m]: uniform between 0 and 1.

    >>> one, zero = torch.ones(1, 1), torch.zeros(1)
    >>> contrastive_divergence(one, 0 * one, zero, zero, 0.3 * one)
    (tensor([[0.2500]]), tensor([0.5000]), tensor([0.]))
    """
    ### BEGIN SOLUTION
    p = torch.sigmoid(v @ W + b)
    h = (noise < p).to(v.dtype)
    v_made = torch.sigmoid(h @ W.T + a)
    p_made = torch.sigmoid(v_made @ W + b)
    for_W = (v.T @ p - v_made.T @ p_made) / len(v)
    return for_W, (v - v_made).mean(0), (p - p_made).mean(0)
    ### END SOLUTION


# %% [markdown] hint="contrastive_divergence"
# For a batch with one row an example, all sums into hidden units are `v @ W + b`. Which
# product leads back from `h [n, m]` to `[n, d]`?

# %% [markdown] hint="contrastive_divergence"
# `h = (noise < p).to(v.dtype)` makes 0 and 1 of True and False. Then `torch.sigmoid(h @
# W.T + a)`. The mean of $v\,p^\top$ is a product of matrices over the batch's size.

# %% [markdown] hint="contrastive_divergence"
# `v.T @ p / len(v)` is that mean: its entry $(i, j)$ adds up $v_i p_j$ over the examples.
# Subtract the same of $v'$ and $p'$.

# %% [markdown] why="contrastive_divergence"
# The three directions are the gradient of the mean of $F(v') - F(v)$ with $v'$
# held fixed; the check uses just that. Drawing $h$ matters: it lets only one bit of each
# hidden unit through. In the formula probabilities have the same mean and less noise.
# Common mistakes: $v'$ made of $p$; a sum for a mean; the sign.


# %% checks="contrastive_divergence"
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

# %% patches="contrastive_divergence"
[
    ("for_W = (v.T @ p - v_made.T @ p_made) / len(v)", "for_W = torch.einsum('ni,nj->nij', v, p).mean(0) - torch.einsum('ni,nj->nij', v_made, p_made).mean(0)", ""), ("h = (noise < p).to(v.dtype)", "h = (p > noise).float()", ""), ("    return for_W, (v - v_made).mean(0), (p - p_made).mean(0)", "    return [for_W.float().numpy(), v.mean(0) - v_made.mean(0), (p.mean(0) - p_made.mean(0)).tolist()]", ""),
    ("torch.sigmoid(h @ W.T + a)", "torch.sigmoid(p @ W.T + a)", "made of the drawn h"), ("(v.T @ p - v_made.T @ p_made)", "(v.T @ h - v_made.T @ p_made)", "the direction for W"), ("noise < p", "noise > p", "below p"), ("noise < p", "noise <= p", "use < and not <="), (" / len(v)", "", "is a mean, too"), ("(v.T @ p - v_made.T @ p_made)", "(p.T @ v - p_made.T @ v_made)", "transposed"),
    ("h = (noise < p).to(v.dtype)", "h = torch.zeros_like(p)", "yours comes from elsewhere"), ("    return for_W, (v", "    W += for_W\n    return for_W, (v", "in place"),
]  # fmt: skip

# %%
lab.check("contrastive_divergence")

# %% [markdown]
# ### A machine of digits, and scikit-learn's
#
# scikit-learn's `BernoulliRBM` learns by a relative of contrastive divergence, which goes
# on from its own last digits (Tieleman 2008). Its free energies must be yours. The
# **pseudo-likelihood** measures how well a machine knows digits that it never saw: how
# probable is a pixel, given all others? (0 is certain.)


# %%
def free_energy(v, W, a, b):
    return -(v @ a) - F.softplus(v @ W + b).sum(1)  # softplus: log(1 + e^x), with care


# %%
def learn_machine(v, seed):
    """(W, a, b) of a machine that learns from v [n, d] by contrastive divergence."""
    rng = torch.Generator().manual_seed(seed)
    W = 0.01 * torch.randn(v.shape[1], WIDTH, generator=rng)
    a, b = torch.zeros(v.shape[1]), torch.zeros(WIDTH)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(v), generator=rng).split(20):
            noise = torch.rand(len(rows), WIDTH, generator=rng)
            steps = contrastive_divergence(v[rows], W, a, b, noise)
            W, a, b = (x + RBM_RATE * d for x, d in zip((W, a, b), steps, strict=True))
    return W, a, b


# %% tags=["experiment", "nbval-ignore-output"]
if lab.solved("contrastive_divergence"):
    seen, _, unseen = (part.inputs for part in digits.split(BASE_SEED, test=TEST_SIZE))
    settings = {"learning_rate": RBM_RATE, "batch_size": 20, "n_iter": EPOCHS}
    theirs = BernoulliRBM(WIDTH, random_state=BASE_SEED, **settings).fit(seen.numpy())
    unseen_array = unseen.numpy()
    print(f"pseudo-likelihood, theirs: {theirs.score_samples(unseen_array).mean():.0f}")
    W, a, b = learn_machine(seen, BASE_SEED)
    theirs.components_ = W.T.numpy()
    theirs.intercept_visible_, theirs.intercept_hidden_ = a.numpy(), b.numpy()
    energies = theirs._free_energy(unseen_array)
    np.testing.assert_allclose(free_energy(unseen, W, a, b), energies, rtol=1e-4)
    print(f"pseudo-likelihood, yours:  {theirs.score_samples(unseen_array).mean():.0f}")

# %% [markdown]
# ### Experiment 3: what did pretraining do?
#
# Six sigmoid layers. **Pretrained**: the first machine learns from pixels, the second
# from the hidden probabilities of the first, and so on; then all layers train with
# labels, from these weights. The controls: **Xavier**, the random start (of 2010);
# **shuffled**, the same pretrained numbers shuffled within each layer, which would do if
# only their *size* counted; **times four**, Xavier's weights times four, which makes up
# for the slope of ¼, with biases $b_j = -\frac12 \sum_i w_{ij}$ that centre the sums,
# since what comes in is around ½; and **batch norm**. All get equal updates, at the best
# of four falling rates.

# %%
guess_start = predict(
    "Six sigmoid layers: which reach 0.8 on held-out digits?",
    ["only the pretrained", "pretrained and times four", "only times four", "neither"],
)


# %%
def pretrained(seed):
    """(weights, hidden biases) of six machines, one on top of the other."""
    v, layers = digits.split(seed, test=TEST_SIZE).train.inputs, []
    for number in range(6):
        W, _, b = learn_machine(v, seed + 100_000 * number)
        layers.append((W.T, b))
        v = torch.sigmoid(v @ W + b)
    return layers


def from_machines(number, layer, rows, shuffle=False):
    for k, seed in enumerate(rows.seed):
        W, b = machines[seed][number]
        rng = torch.Generator().manual_seed(seed)
        order = torch.randperm(W.numel(), generator=rng) if shuffle else slice(None)
        layer.weight[k], layer.bias[k] = W.flatten()[order].view_as(W), b


def times_four(number, layer, rows):
    layer.weight *= 4
    layer.bias.copy_(-layer.weight.sum(2) / 2)


# %% tags=["experiment"]
STARTS = {"Xavier": None, "batch norm": None, "pretrained": from_machines}
STARTS |= {"shuffled": partial(from_machines, shuffle=True), "times four": times_four}
if lab.solved("contrastive_divergence"):
    machines, tables = {seed: pretrained(seed) for seed in SEEDS}, []
    options = {"activation": "sigmoid", "init": "xavier", "falling": True}
    for name, start in STARTS.items():
        options["norm"] = "batch" if name == "batch norm" else None
        rates = [0.3, 1.0, 3.0, 10.0]
        tables.append(race(name, [64, *[WIDTH] * 6, 10], rates, start, **options))
    by_start = at_best_rate(pd.concat(tables), ["name"])
    pre, four = (by_start[name].mean() > 0.8 for name in ("pretrained", "times four"))
    guess_start.resolve([pre > four, pre and four, four > pre, not pre | four])

# %% tags=["experiment", "drawing"]
if lab.solved("contrastive_divergence"):
    fig, ax = plt.subplots(figsize=(7.5, 3.3))
    figures.dots_with_spread(ax, by_start[[*STARTS]])
    ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
    ax.set(ylabel="accuracy on held-out digits", ylim=(0, 1.02))
    ax.legend(loc="center left", bbox_to_anchor=(0.27, 0.5))
    figures.show(
        fig,
        alt="Accuracy of six sigmoid layers from five starts. Xavier's and the "
        "shuffled start stay at chance. The pretrained start, the random start times "
        "four and batch norm are high.",
        caption="A dot is a replicate at the best rate; lines join the same digits.",
    )

# %% tags=["experiment"]
if lab.solved("contrastive_divergence"):
    claim(
        "Six sigmoid layers, pretrained without labels, name 0.8 of held-out digits",
        by_start["pretrained"],
        at_least=0.8,
        control=by_start["shuffled"],
        control_is="the same pretrained numbers, shuffled within each layer",
        source="Hinton, Osindero & Teh 2006; Bengio et al. 2007",
        scale="logit",
        trials=TEST_SIZE,
    )
    claim(
        "From Xavier's start times four, with no pretraining, they name 0.8, too",
        by_start["times four"],
        at_least=0.8,
        control=by_start["Xavier"],
        control_is="Xavier's start as it is",
        source="Sutskever et al. 2013 (a well-designed random start, with momentum)",
        scale="logit",
        trials=TEST_SIZE,
    )

# %% [markdown]
# Pretraining did what was said of it: from Xavier's start six sigmoid layers learn
# nothing in this time, from the pretrained one they read. Shuffled, the same numbers are
# useless: their size alone is not it. Yet pretraining was not *needed*. A random start
# whose size lets the signal through, found with the algebra of section 1, does it too; in
# the figure it ends as high, and batch norm higher. (Learning without labels, its other
# promise, is lab 11.)
#
# ## 5. What you have built
#
# **Limits.** Small networks, one set of digits, plain gradient descent, one budget of
# updates. With more time, or with Adam, a bad start may cost less.
#
# **Today.** Transformers use layer norm or its relative without the mean, many networks
# for pictures batch norm. *Disputed:* why batch norm works. Its inventors say that it
# keeps each layer's inputs in place. Santurkar et al. 2018 moved them on purpose, and it
# helped as much: they find a smoother loss. Arora et al. 2019 see a rate that tunes
# itself. Are norms needed? Zhang et al. 2019 train deep networks by a start alone, Zhu et
# al. 2025 put a $\tanh$ in their place. And of pretraining Erhan et al. 2010 found that
# it acts mainly as a regulariser.
#
# ### Your turn
#
# 1. *Does batch norm lower the rate by itself?* Large steps make weights grow, which
#    makes later steps small. Set each neuron's weights back to their first length after
#    every update, and repeat experiment 1. Which rates need the growth?
# 2. *What are labels worth?* Pretrain on all digits, but give labels to only 100. Does
#    pretraining now beat the start times four? Choose everything on validation digits.
#
# ### References
#
# - Glorot & Bengio 2010, AISTATS; He et al. 2015, ICCV; Zhang, Dauphin & Ma 2019, ICLR
# - Ioffe & Szegedy 2015, ICML; Ba, Kiros & Hinton 2016, arXiv:1607.06450; Ulyanov et al.
#   2016, arXiv:1607.08022; Wu & He 2018, ECCV; Santurkar et al. 2018, NeurIPS; Arora, Li
#   & Lyu 2019, ICLR; Luo et al. 2019, ICLR; Zhu et al. 2025, CVPR
# - Prechelt 1998, *Early stopping – but when?*; Srivastava et al. 2014, JMLR 15; Zhang et
#   al. 2017, *Understanding deep learning requires rethinking generalization*, ICLR
# - Hinton 2002, Neural Computation 14; Hinton, Osindero & Teh 2006, Neural Computation
#   18; Bengio et al. 2007, NIPS 19; Tieleman 2008, ICML; Erhan et al. 2010, JMLR 11;
#   Sutskever, Martens, Dahl & Hinton 2013, ICML

# %% tags=["nbval-ignore-output"]
check.progress()
