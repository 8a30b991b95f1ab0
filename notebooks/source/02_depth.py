# %% [markdown]
# # Why deep, and when does depth hurt?
#
# **In one sentence:** a few folds, one a layer, make a function that no shallow network of that size comes near, yet
# gradient descent does not find it, and sixty plain layers cannot even be trained on digits that five layers learn with
# ease. You will measure over five replicates what depth can express, how the signal travels through it and what
# training makes of it, against shallow networks, residual networks and starts beside the solution.
#
# After this notebook you can
#
# 1. **build** a network whose linear pieces double with each layer, and count how many units a shallow one would need;
# 2. **state** what the universal approximation theorem promises, and three things that it does not;
# 3. **derive** the initialisation that keeps the signal alive through many layers, and measure where the signal dies;
# 4. **test** whether more layers help, and tell vanishing gradients from the trouble that residual connections cure;
# 5. **separate** "the solution is in the model class" from "training finds it".
#
# **You need** notebooks 00 and 01: gradient, replicate, claim, `Ensemble`, batch normalisation in a sentence. From
# mathematics: variance of a sum, the chain rule.
#
# **Reading:** 70 minutes. **Running:** about 120 seconds on one CPU core.

# %%
import math

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from torch import nn

from labkit import data, figures, measure
from labkit.evidence import claim, predict
from labkit.ledger import Ledger
from labkit.models import mlp, seeded
from labkit.train import Ensemble, device, evaluate

figures.style()
DEVICE = device()

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
WIDTHS = [4, 16, 64, 256]  # of one hidden layer, in section 2
WIDTH_STEPS = 1000
SIGNAL_DEPTHS = [5, 10, 20, 40]
NETWORKS = 4  # untrained networks behind one replicate of a signal
DEPTHS = [5, 20, 60]
BUDGETS = [40, 160]  # updates after which the trained networks are measured
RATES = [3e-4, 1e-3, 3e-3]  # learning rates to choose from
FOLD_STEPS = 800
NEAR_STEPS = 400
DIRECTIONS = 4  # random directions behind one replicate of a start beside the solution

# %% [markdown]
# ## 1. What composition buys
#
# ### Folding a line
#
# A deep network is a function of a function of a function:
#
# $$ f = f_L \circ f_{L-1} \circ \dots \circ f_1 $$
#
# What does that buy? Take the simplest step that does something: fold the line from 0 to 1 in the middle and stretch it
# back to full length. Two ReLU neurons do it. Here is the fold, called the **tent map**, and a network for it by hand:
#
# $$ t(x) = 1 - |2x - 1| = 2\,\phi(x) - 4\,\phi\big(x - \tfrac12\big), \qquad \phi(z) = \max(0, z), \quad 0 \le x \le 1 $$


# %%
def tent(x):
    return 1 - (2 * x - 1).abs()


def folds(x, k):
    """The tent map applied k times."""
    for _ in range(k):
        x = tent(x)
    return x


x = torch.linspace(0, 1, 9, dtype=torch.float64)
by_hand = 2 * torch.relu(x) - 4 * torch.relu(x - 0.5)
assert torch.equal(by_hand, tent(x))
print("x:   ", " ".join(f"{value:.3f}" for value in x.tolist()))
print("t(x):", " ".join(f"{value:.3f}" for value in by_hand.tolist()))

# %% [markdown]
# Now compose. The output of one fold is the input of the next, so the two products between them melt into one layer. A
# network with $k$ hidden layers of two neurons folds $k$ times. It is exact: on these numbers not even the last bit is off.


# %%
def folding_network(k):
    """The tent map applied k times, as a ReLU network with k hidden layers of two neurons."""
    network = mlp([1, *[2] * k, 1], seed=0, dtype=torch.float64)
    *hidden, last = [layer for layer in network if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for i, layer in enumerate(hidden):
            layer.weight[:] = torch.tensor([[1.0], [1.0]] if i == 0 else [[2.0, -4.0], [2.0, -4.0]])
            layer.bias[:] = torch.tensor([0.0, -0.5])
        last.weight[:], last.bias[:] = torch.tensor([[2.0, -4.0]]), 0.0
    return network


grid = torch.linspace(0, 1, 2**13 + 1, dtype=torch.float64).unsqueeze(1)
for k in range(1, 11):
    assert torch.equal(folding_network(k)(grid).detach(), folds(grid, k))

fig, panels = plt.subplots(1, 4, figsize=(10, 2.4), sharex=True, sharey=True)
for ax, k in zip(panels, (1, 2, 4, 6), strict=True):
    ax.plot(grid, folding_network(k)(grid).detach(), marker="")
    ax.set(title="1 fold" if k == 1 else f"{k} folds", xlabel="x")
panels[0].set(ylabel="output")
figures.show(
    fig,
    alt="Four panels. One fold is a single tent; two, four and six folds are zigzags with ever more and narrower teeth.",
    caption="Networks with one, two, four and six hidden layers of two neurons, weights set by hand.",
    data=pd.DataFrame({"hidden layers": [1, 2, 4, 6], "linear pieces": [2, 4, 16, 64]}),
)

# %% [markdown]
# Each fold doubles the number of straight pieces. What would one hidden layer need for the same? A sum of $m$ ReLU
# neurons can bend only where one of its neurons switches on or off, so it has at most $m + 1$ pieces. That is the whole
# proof (Telgarsky 2016 has the general one): for $2^k$ pieces, one hidden layer needs $2^k - 1$ neurons.


# %%
def count_pieces(y):
    """Straight pieces of a function given on an even grid that holds all its bends."""
    slopes = np.diff(np.asarray(y).ravel())
    return 1 + int((slopes[1:] != slopes[:-1]).sum())


print("folds   pieces   parameters, deep   neurons, shallow   parameters, shallow")
for k in (2, 4, 6, 8, 10):
    pieces = count_pieces(folding_network(k)(grid).detach())
    n_deep = sum(parameter.numel() for parameter in folding_network(k).parameters())
    assert (pieces, n_deep) == (2**k, 6 * k + 1)
    print(f"{k:5} {pieces:8} {n_deep:18} {pieces - 1:18} {3 * (pieces - 1) + 1:21}")

# %% [markdown]
# "Needs" is about being exact. Perhaps a small shallow network comes close? Give it as many parameters as the deep one
# has, which is $2k$ neurons. Where the neurons bend is drawn at random. The weights that sum them up follow exactly, by
# least squares. Take the best of 30 draws. (It is the best *found*. The proof is the count.)

# %%
guess_shallow = predict(
    "Six folds, 37 parameters each. Which share of the variance does the best shallow fit miss?",
    ["less than 10 %", "10 to 50 %", "50 to 80 %", "more than 80 %"],
)


# %%
def shallow_fit(k, knots):
    """Least-squares fit of k folds by ReLU neurons that bend at the knots, on the grid."""
    features = torch.cat([torch.relu(grid - knots), grid, torch.ones_like(grid)], dim=1)
    return features @ torch.linalg.lstsq(features, folds(grid, k), driver="gelsd").solution


def unexplained(outputs, targets):
    """Share of the variance of the targets that the outputs miss, over the last two dimensions."""
    return (outputs - targets).square().mean((-2, -1)) / targets.var((-2, -1), correction=0)


def best_shallow(k, seed, tries=30):
    """The best fit found with 2k neurons: evenly spaced knots, then random ones."""
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.arange(2 * k) / (2 * k), *torch.rand(tries - 1, 2 * k, generator=generator)]
    fits = [shallow_fit(k, knots.double()) for knots in draws]
    return min(fits, key=lambda fit: unexplained(fit, folds(grid, k)))


SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
FOLDS = [2, 4, 6]
fits = {k: [best_shallow(k, seed) for seed in SEEDS] for k in FOLDS}
missed = {k: np.array([float(unexplained(fit, folds(grid, k))) for fit in fits[k]]) for k in FOLDS}

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3))
for ax, k in zip(panels[:2], (4, 6), strict=True):
    ax.plot(grid, folds(grid, k), marker="", linewidth=0.9, color="0.6", linestyle="-", label=f"{k} folds")
    ax.plot(grid, fits[k][0], marker="", label=f"best of 30, {2 * k} neurons")
    ax.set(xlabel="x", ylabel="output", ylim=(-0.1, 1.6))
    ax.legend(loc="upper center", ncols=1)
figures.dots_with_spread(panels[2], {f"{k} folds": missed[k] for k in FOLDS})
panels[2].set(ylabel="share of the variance missed", ylim=(-0.05, 1.05))
figures.show(
    fig,
    alt="Two zigzags with the best shallow fits, which follow a few teeth of four folds and almost none of six. Right: "
    "the share of the variance missed is zero for two folds, high for four, near one for six.",
    caption="Shallow fits with the parameters of the deep network. Right: one dot a replicate, which draws other knots.",
)

# %%
claim(
    "Six folds: at equal parameters the best of 30 shallow fits misses at least four fifths of the variance",
    missed[6],
    at_least=0.8,
    control=missed[2],
    control_is="the same share for two folds, fitted in the same way",
    over="where the shallow neurons bend",
    source="Telgarsky 2016 (benefits of depth)",
)
share = missed[6].mean()
guess_shallow.resolve([share < 0.1, 0.1 <= share < 0.5, 0.5 <= share <= 0.8, share > 0.8])

# %% [markdown]
# The two folds of the control have four pieces, and four shallow neurons draw them exactly. Depth pays where the target
# is a *composition*. Two warnings before you conclude that nature is. A function that nobody composed may gain nothing.
# And a deep network that you did not set by hand does not have $2^k$ pieces: at random, their number grows with the number
# of neurons, hardly with depth (Hanin & Rolnick 2019; exercise 1). So far we know what depth *can* do.
#
# ## 2. "One hidden layer can do anything"
#
# The **universal approximation theorem**: for every continuous function on a bounded interval and every error you allow,
# there is a network with one hidden layer that stays below it (Cybenko 1989; Hornik 1991; any activation that is not a
# polynomial: Leshno et al. 1993). It says *there is*. Here is one, without training: let neurons bend at even distances
# and follow the function from bend to bend. And here are networks of the same width that training finds. The
# target is a smooth wave.

# %%
guess_width = predict(
    "64 neurons, a smooth wave. How large is the trained network's squared error, compared with the built one's?",
    ["about the same", "3 to 30 times", "more than 30 times"],
)


# %%
def wave(x):
    return torch.sin(2 * math.pi * x)


inside = torch.linspace(-1, 1, 1025, dtype=torch.float64).unsqueeze(1)
outside = torch.cat([inside[:256] - 0.5, inside[-256:] + 0.5])  # half a unit beyond each end


def built(width):
    """A shallow network's outputs: neurons bend at even distances, and the weights follow by least squares."""
    knots = torch.linspace(-1, 1, width + 1, dtype=torch.float64)[:-1]
    features = torch.cat([torch.relu(inside - knots), torch.ones_like(inside)], dim=1)
    return features @ torch.linalg.lstsq(features, wave(inside), driver="gelsd").solution


def trained(width):
    networks = Ensemble([1, width, 1], SEEDS).to(DEVICE)
    networks.fit(
        (inside.float(), wave(inside).float()),
        steps=WIDTH_STEPS,
        batch_size=64,
        learning_rate=1e-2,
        schedule="cosine",
        loss=F.mse_loss,
        experiment=f"a wave, {width} neurons",
    )
    return networks


# %%
waves = {width: trained(width) for width in WIDTHS}


def missed_by(networks, x):
    with torch.no_grad():
        return (networks(x.float().to(DEVICE)).cpu() - wave(x)).square().mean((1, 2)).numpy() / 0.5


errors = np.array([missed_by(waves[width], inside) for width in WIDTHS]).T  # [K, widths], in units of the variance
beyond = np.array([missed_by(waves[width], outside) for width in WIDTHS]).T
errors_built = np.array([float(unexplained(built(width), wave(inside))) for width in WIDTHS])

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
figures.lines_with_spread(panels[0], WIDTHS, errors, "trained", markevery=1)
panels[0].plot(WIDTHS, errors_built, label="built", markevery=1)
panels[0].set(xscale="log", yscale="log", xlabel="neurons", ylabel="error (share of variance)")
panels[0].set_xticks(WIDTHS, labels=WIDTHS)
panels[0].minorticks_off()
panels[0].legend()
wide = torch.linspace(-1.5, 1.5, 301).unsqueeze(1)
with torch.no_grad():
    figures.lines_with_spread(panels[1], wide[:, 0], waves[WIDTHS[-1]](wide.to(DEVICE))[..., 0].cpu(), "trained")
panels[1].plot(wide, wave(wide), marker="", label="the wave")
panels[1].axvspan(-1, 1, color="0.93", zorder=0)
panels[1].set(xlabel="x (shaded: trained here)", ylabel="output", ylim=(-3, 3), title=f"{WIDTHS[-1]} neurons")
panels[1].legend(loc="lower left")
figures.show(
    fig,
    alt="Left: error against the number of neurons. The built network's error falls steeply, that of the trained ones "
    "slowly. Right: trained networks follow the wave inside the interval and run off straight outside.",
    caption="Left: what exists, and what training found. Right: beyond the interval, the theorem says nothing. Thin "
    "lines are replicates.",
)

# %%
narrow, middle, widest = 0, WIDTHS.index(64), len(WIDTHS) - 1
times_built = errors[:, middle] / errors_built[middle]
claim(
    "With 64 neurons the trained network's error is at least 30 times that of a network that exists",
    times_built,
    at_least=30,
    scale="log",
    control=errors[:, narrow] / errors_built[narrow],
    control_is=f"the same ratio for networks of {WIDTHS[narrow]} neurons",
    source="Cybenko 1989; Hornik 1991 (existence); our measurement",
    runs=waves[64].run_ids,
)
claim(
    "Half a unit beyond the interval, the error of 256 neurons is at least 0.3 of the wave's variance",
    beyond[:, widest],
    at_least=0.3,
    scale="log",
    control=errors[:, widest],
    control_is="the error of the same networks inside the interval",
    source="Cybenko 1989 (the theorem holds on a bounded set); Xu et al. 2021 (extrapolation)",
    runs=waves[256].run_ids,
)
times = np.exp(np.log(times_built).mean())
guess_width.resolve([times < 3, 3 <= times <= 30, times > 30])

# %% [markdown]
# So the theorem leaves open *how many* neurons, *whether training finds them*, and *what happens outside*. For inputs of
# many dimensions the first point is the hard one: in the worst case the number of neurons grows exponentially with the
# dimension, although special classes of functions escape (Barron 1993). A longer training narrows the gap, as exercise 2
# shows. It is a gap of training, not of the theorem.
#
# ## 3. Does the signal survive forty layers?
#
# ### Backward
#
# To train a layer, the gradient must reach it. Backpropagation multiplies the gradient at layer $\ell$ by $W_\ell^\top$
# and by the slopes $\phi'$ to get it one layer down. Forty factors in a row: if they are 0.5, a signal of one becomes
# $10^{-12}$. This is the **vanishing gradient** (Hochreiter 1991; Bengio et al. 1994). If they are 2, it explodes.
#
# How large should the random weights be? Take $n$ inputs to a layer and weights of mean 0 and variance $\sigma^2$. For the
# sum $z_i = \sum_j w_{ij} h_j$, and because ReLU keeps the positive half of a symmetric $z$:
#
# $$ E[z_i^2] = n\,\sigma^2\,E[h_j^2], \qquad E[h^2]_{\text{next}} = \tfrac12\,E[z^2] = \tfrac{n\sigma^2}{2}\,E[h^2] $$
#
# So $\sigma^2 = 2/n$ keeps the size: **He initialisation** (He et al. 2015). Without the ½, and as a compromise between
# forward and backward, $\sigma^2 = 2/(n_\text{in} + n_\text{out})$: **Xavier initialisation** (Glorot & Bengio 2010). And if
# you say nothing? `nn.Linear` then takes $\sigma^2 = 1/(3n)$, the naive choice here.


# %%
def sigma(init, n_in, n_out):
    """Standard deviation of the weights of a layer from n_in to n_out neurons."""
    return math.sqrt({"naive": 1 / (3 * n_in), "xavier": 2 / (n_in + n_out), "he": 2 / n_in}[init])


n = 2000
with seeded(BASE_SEED):
    h = torch.relu(torch.randn(n, 50))  # inputs to the layer, 50 at once
    for init, factor in (("naive", 1 / 6), ("xavier", 1 / 2), ("he", 1)):
        after = torch.relu(torch.randn(n, n) * sigma(init, n, n) @ h)
        assert abs(after.square().mean() / h.square().mean() / factor - 1) < 0.1
        in_labkit = mlp([n, n, 1], seed=1, init={"naive": "default"}.get(init, init))[0].weight
        assert abs(in_labkit.std() / sigma(init, n, n) - 1) < 0.01
        print(f"{init:>6}: the mean square after ReLU is {factor:.3f} times that before, within 10 %")

# %% [markdown]
# Now forty layers, on digits, with all biases 0. Measure the backward signal where it matters: at the hidden layers. How large is the gradient
# of the loss at the first hidden layer, compared with that at the last?

# %%
guess_signal = predict(
    "Forty layers of sigmoid neurons, with the best of the three initialisations. The gradient at the first layer, "
    "compared with the last?",
    ["about equal", "1000 times smaller", "more than a million times smaller"],
)

# %%
digits = data.digits()
INITS = ("naive", "xavier", "he")
ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}


def journey(weights, activation, inputs, targets):
    """Norms of h, of the loss's gradient at h and of its gradient for the weights: [3, layers, networks].

    weights: for each layer [networks, n_out, n_in]; inputs [64, n], a column for each example; all biases are 0.
    """
    h, layers, weights = inputs, [], [weight.requires_grad_() for weight in weights]
    for weight in weights[:-1]:
        h = ACTIVATIONS[activation](weight @ h)
        layers.append(h)
    logits = weights[-1] @ h
    loss = F.cross_entropy(logits, targets.expand(len(logits), -1)) * len(logits)  # the sum over networks
    gradients = torch.autograd.grad(loss, [*layers, *weights[:-1]])
    tensors = layers, gradients[: len(layers)], gradients[len(layers) :]
    return np.array([[tensor.detach().flatten(1).norm(dim=1).numpy() for tensor in part] for part in tensors])


def draw(seed):
    """A batch of digits, and weights of variance 1 for some networks, as deep as we shall need: one replicate."""
    batch = digits.split(seed, test=64, validation=0).test
    with seeded(seed):
        hidden = torch.randn(max(SIGNAL_DEPTHS), NETWORKS, 64, 64, dtype=torch.float64)
        return batch.inputs.double().T, batch.targets, hidden, torch.randn(NETWORKS, 10, 64, dtype=torch.float64)


def scaled(hidden, last, depth, init, factor=1):
    return [factor * sigma(init, 64, 64) * weight for weight in hidden[:depth]] + [factor * sigma(init, 64, 10) * last]


# %%
draws = [draw(seed) for seed in SEEDS]


def signal(activation, init, depth):
    """log10 of the norms, the mean over the networks of a replicate: [K, 3, depth]."""
    found = [journey(scaled(hidden, last, depth, init), activation, *batch) for *batch, hidden, last in draws]
    return np.log10(found).mean(3)


signals = {
    (activation, init): {depth: signal(activation, init, depth) for depth in SIGNAL_DEPTHS}
    for activation in ACTIVATIONS
    for init in INITS
}


def first_to_last(activation, init, depth, what=1):
    """log10 of the norm in the first layer over that in the last [K]; what: 0 is h, 1 the signal, 2 the weights'."""
    found = signals[activation, init][depth][:, what]
    return found[:, 0] - found[:, -1]


# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True)
for ax, activation in zip(panels, ACTIVATIONS, strict=True):
    for init in INITS:
        table = np.array([first_to_last(activation, init, depth) for depth in SIGNAL_DEPTHS]).T
        figures.lines_with_spread(ax, SIGNAL_DEPTHS, table, init, markevery=1)
    ax.axhline(0, color="0.4", linestyle=":")
    ax.set(title=activation, xlabel="hidden layers")
panels[0].set(ylabel="log10 of the signal at the first\nover that at the last layer")
panels[0].legend()
figures.show(
    fig,
    alt="Three panels, for sigmoid, tanh and ReLU, against the number of layers. With sigmoid all initialisations fall "
    "steeply. With tanh Xavier and He stay near zero, with ReLU only He does; the naive choice falls in all.",
    caption="Backward signal in untrained networks of width 64; thin lines are replicates, hardly visible. Each unit is a "
    "factor of ten; on the dotted line nothing is lost.",
)

# %%
claim(
    "ReLU, He, forty layers: the signal keeps its size, within a factor of ten",
    first_to_last("relu", "he", 40),
    within=(-1, 1),
    control=first_to_last("relu", "xavier", 40),
    control_is="the same ratio with Xavier initialisation",
    source="He et al. 2015 (equation 14)",
)
claim(
    "Sigmoid, twenty layers: even with the best of the three, the signal shrinks by a factor of a million or more",
    np.max([first_to_last("sigmoid", init, 20) for init in INITS], axis=0),
    at_most=-6,
    control=first_to_last("tanh", "xavier", 20),
    control_is="the same ratio for tanh with Xavier initialisation",
    source="Hochreiter 1991; Glorot & Bengio 2010",
)
best_init = np.max([first_to_last("sigmoid", init, 40) for init in INITS], axis=0)
left = best_init.mean()  # log10 of what arrives at the first layer
guess_signal.resolve([left > -1, -6 <= left <= -1, left < -6])

# %% [markdown]
# No initialisation of these three saves the sigmoid: its slope is at most ¼.
#
# ### A measurement that hides it
#
# Many tutorials print the gradients of the *weights* instead, first layer against last. Here both, for ReLU with the naive
# choice. The gradient of a weight is a product: the signal that comes back, times the $h$ that went in.

# %% tags=["drawing"]
fig, ax = plt.subplots()
layers = np.arange(1, 41)
norms = signals["relu", "naive"][40]
for i, label in ((1, "backward signal"), (0, "representation h"), (2, "gradient of the weights")):
    figures.lines_with_spread(ax, layers, norms[:, i] - norms[:, i, -1:].mean(), label)
ax.set(xlabel="hidden layer", ylabel="log10 of the norm, relative\nto the last layer")
ax.legend()
figures.show(
    fig,
    alt="Over forty layers the backward signal is smallest at the first layer and rises to the last. The representation "
    "does the opposite. The gradient of the weights is flat.",
    caption="ReLU, naive initialisation. Two quantities that die in opposite directions have a flat product.",
)

# %%
claim(
    "ReLU, naive, forty layers: between first and last, the weights' gradients differ by less than a factor of ten",
    first_to_last("relu", "naive", 40, what=2),
    within=(-1, 1),
    control=first_to_last("relu", "naive", 40),
    control_is="the same ratio for the backward signal at h, in the same networks",
    source="Glorot & Bengio 2010, section 4.2",
)

# %% [markdown]
# The weights' gradients look alike in all layers because all of them are tiny: what goes into the last layers has died
# on the way up, what comes back to the first has died on the way down. (Glorot and Bengio saw it, and derived it.) So look
# at the signal at $h$, and at $h$ itself. Try it: which scale of the
# weights keeps both lines flat for tanh, for ReLU, for sigmoid? (The figure above is one setting of it.)


# %% tags=["nbval-ignore-output"]
def explore(activation, depth, scale):
    inputs, targets, hidden, last = draws[0]
    norms = journey(scaled(hidden, last, depth, "he", scale), activation, inputs, targets).mean(2)
    fig, ax = plt.subplots(figsize=(6, 3.2))
    for values, label in zip(norms, ("representation h", "backward signal"), strict=False):
        ax.semilogy(np.arange(1, depth + 1), values, label=label)
    ax.set(xlabel="hidden layer", ylabel="norm")
    ax.legend()
    plt.close(fig)
    display(fig)


controls = {
    "activation": widgets.Dropdown(options=["relu", "tanh", "sigmoid"], description="activation"),
    "depth": widgets.IntSlider(20, 2, 40, description="layers"),
    "scale": widgets.FloatSlider(1, min=0.25, max=4, step=0.05, description="σ / He's σ"),
}
display(widgets.VBox([*controls.values(), widgets.interactive_output(explore, controls)]))

# %% [markdown]
# ## 4. When depth hurts
#
# ReLU with He initialisation carries the signal. So forty or sixty layers should train? Before you find out, meet the two
# usual remedies. A **residual connection** adds a layer's input to its output, so that the layer learns a correction:
#
# $$ h_{\ell+1} = h_\ell + F(h_\ell;\ \theta_\ell) $$
#
# **Normalisation** gives the sums before ReLU mean 0 and variance 1: *batch* normalisation each neuron over the batch (as in
# notebook 01), *layer* normalisation each example over the neurons. Here is a residual block by hand. $F$ is ReLU, then
# weights (**pre-activation**: He et al. 2016b). Without a norm we divide $F$ by the square root of the number of blocks, so
# that their sum does not grow with depth (about what batch normalisation does by itself: De & Smith 2020). Another name for
# the connection around $F$ is **skip**.


# %%
def residual_by_hand(x, linears):
    """The first layer, then a block for each further hidden layer, then ReLU and the last layer."""
    first, *blocks, last = linears
    h = first(x)
    for block in blocks:
        h = h + block(torch.relu(h)) / math.sqrt(len(blocks))
    return last(torch.relu(h))


network = mlp([64, 32, 32, 32, 10], seed=BASE_SEED, residual=True)
linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
torch.testing.assert_close(residual_by_hand(digits.inputs[:50], linears), network(digits.inputs[:50]))
print("a residual network by hand agrees with labkit.models.mlp(..., residual=True)")

# %% [markdown]
# ### Before training: two ways to lose the signal
#
# A gradient of the right size is one half. The other is what the gradient can be *about*. If all digits arrive at the last
# layer as the same vector, no gradient can tell them apart. So measure forward too: the mean cosine between
# the representations of different digits, in the last hidden layer.

# %%
KINDS = {
    "plain": {},
    "layer norm": {"norm": "layer"},
    "batch norm": {"norm": "batch"},
    "residual": {"residual": True},
}


def mean_cosine(h):
    """Mean cosine between the rows of h [n, width]."""
    directions, n = F.normalize(h, dim=1), len(h)
    return float(((directions @ directions.T).sum() - n) / (n * (n - 1)))


def start(kind, depth, seed):
    """Mean cosine in the last hidden layer, and log10 of the signal at the first over that at the last: one replicate."""
    batch = digits.split(seed, test=64, validation=0).test
    found = []
    for own in range(seed * NETWORKS, (seed + 1) * NETWORKS):
        network = mlp([64, *[32] * depth, 10], seed=own, init="he", dtype=torch.float64, **KINDS[kind]).train()
        first = network[0](batch.inputs.double())
        last = network[1:-1](first)
        loss = F.cross_entropy(network[-1](last), batch.targets)
        at_first, at_last = (gradient.norm() for gradient in torch.autograd.grad(loss, [first, last]))
        found.append([mean_cosine(last.detach()), float((at_first / at_last).log10())])
    return np.mean(found, axis=0)


starts = {
    kind: np.array([[start(kind, depth, seed) for depth in DEPTHS] for seed in SEEDS]) for kind in KINDS
}  # each [K, depths, 2]

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
for kind, found in starts.items():
    for i, ax in enumerate(panels):
        figures.lines_with_spread(ax, DEPTHS, found[:, :, i], kind, markevery=1)
panels[0].set(ylabel="mean cosine between two digits\nin the last hidden layer", ylim=(0, 1.05))
panels[1].set(ylabel="log10 of the signal at the first\nover that at the last layer")
for ax in panels:
    ax.set(xlabel="hidden layers", xticks=DEPTHS)
panels[1].axhline(0, color="0.4", linestyle=":")
panels[0].legend()
figures.show(
    fig,
    alt="Left: with depth the mean cosine of plain networks and of those with layer norm rises to one; with batch norm and "
    "with residual connections it stays well below. Right: with batch norm the gradient explodes with depth, the others "
    "stay near zero.",
    caption="Untrained networks of width 32, He initialisation; thin lines are replicates. Only the residual networks keep "
    "both: digits apart, and the gradient's size.",
)

# %%
claim(
    "In a plain network of sixty layers all digits point the same way: 1 - mean cosine is at most 0.05",
    1 - starts["plain"][:, -1, 0],
    at_most=0.05,
    control=1 - starts["residual"][:, -1, 0],
    control_is="the same measurement in residual networks of sixty layers",
    source="Poole et al. 2016; Schoenholz et al. 2017 (correlations in deep random networks)",
)
claim(
    "With batch normalisation in sixty plain layers the gradient explodes a thousandfold or more on its way down",
    starts["batch norm"][:, -1, 1],
    at_least=3,
    control=starts["residual"][:, -1, 1],
    control_is="the same ratio in residual networks, which have no normalisation",
    source="Yang et al. 2019 (a mean field theory of batch normalization)",
)

# %% [markdown]
# ### The training
#
# Now train all four kinds with 5, 20 and 60 hidden layers. The rules are the same for all: same widths, same initial
# weights, same batches, three learning rates. (`fit` takes a list of rates for an `Ensemble`, so that the grid trains at once.)
# Each kind and depth is shown at the rate that is best for *it*, chosen on
# validation digits, and after two budgets. We look at the *training* error first: overfitting cannot explain a high one.

# %%
guess_depth = predict(
    "Sixty plain layers, with He initialisation, at the best of three learning rates. The training error, compared with "
    "that of five layers?",
    ["lower: more layers fit better", "about the same", "much higher"],
)

# %%
splits = [digits.split(seed, test=300, validation=200) for seed in SEEDS]
train, validation, test = (
    data.stack([getattr(split, part) for split in splits] * len(RATES)).to(DEVICE)
    for part in ("train", "validation", "test")
)


def errors_of(networks, examples):
    """Share of wrong answers, [rates x replicates]."""
    pairs = zip(networks(examples.inputs), examples.targets, strict=True)
    return [1 - measure.accuracy(logits, targets) for logits, targets in pairs]


# %%
def train_kind(kind, depth):
    """Train all replicates at all learning rates at once; returns a table of errors, one row for each and each budget."""
    networks = Ensemble([64, *[32] * depth, 10], SEEDS * len(RATES), init="he", **KINDS[kind]).to(DEVICE)
    rates, looks = np.repeat(RATES, REPLICATES), []

    def look(step, networks):
        columns = {"replicate": SEEDS * len(RATES), "rate": rates, "train": errors_of(networks, train)}
        looks.append(pd.DataFrame(columns | {"validation": errors_of(networks, validation)}).assign(updates=step))

    networks.fit(
        train,
        steps=BUDGETS[-1],
        batch_size=32,
        learning_rate=rates.tolist(),
        callback=look,
        callback_steps=BUDGETS,
        experiment=f"{kind}, {depth} layers",
    )
    looks[-1]["test"] = evaluate(networks, test)
    looks[-1]["run_id"] = networks.run_ids
    return pd.concat(looks).assign(kind=kind, depth=depth)


trainings = pd.concat([train_kind(kind, depth) for kind in KINDS for depth in DEPTHS], ignore_index=True)
setting = ["kind", "depth", "updates"]
by_rate = trainings.groupby([*setting, "rate"]).validation.mean().reset_index()
best_rate = by_rate.loc[by_rate.groupby(setting).validation.idxmin(), [*setting, "rate"]]
chosen = trainings.merge(best_rate)  # the rows at the best rate of their kind, depth and budget


def of(kind, depth, column="train", updates=BUDGETS[-1]):
    rows = chosen[(chosen.kind == kind) & (chosen.depth == depth) & (chosen.updates == updates)]
    return rows.sort_values("replicate")[column].to_numpy()


# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for ax, updates in zip(panels, BUDGETS, strict=True):
    for kind in KINDS:
        table = np.array([of(kind, depth, updates=updates) for depth in DEPTHS]).T
        figures.lines_with_spread(ax, DEPTHS, table, kind, markevery=1)
    ax.axhline(0.9, color="0.4", linestyle=":", label="chance")
    ax.set(title=f"{updates} updates", xlabel="hidden layers", xticks=DEPTHS, ylim=(0, 1))
panels[0].set(ylabel="training error")
panels[1].legend(loc="upper left", bbox_to_anchor=(1.02, 1))
figures.show(
    fig,
    alt="Training error against depth after two budgets. For plain networks and for both normalisations without skips it "
    "rises with depth to near chance at sixty layers. For residual networks it is low and flat.",
    caption="Each point at its best of three learning rates; thin lines are replicates. Four times the budget helps at "
    "twenty layers more than at sixty.",
)


# %%
def more_than_five_layers(kind):
    return of(kind, 60) - of(kind, 5)


for kind, source in (
    ("plain", "He et al. 2016, fig. 1 (degradation)"),
    ("batch norm", "He et al. 2016, section 4.1; Yang et al. 2019"),
    ("layer norm", "our measurement, after He et al. 2016"),
):
    claim(
        f"Without skips ({kind}), the training error of sixty layers exceeds that of five by at least 0.3",
        more_than_five_layers(kind),
        at_least=0.3,
        control=more_than_five_layers("residual"),
        control_is="the same difference for residual networks, which have no normalisation",
        source=source,
        runs=chosen[(chosen.kind == kind) & (chosen.updates == BUDGETS[-1])].run_id.astype(int),
    )
change = more_than_five_layers("plain").mean()
guess_depth.resolve([change < -0.02, -0.02 <= change <= 0.1, change > 0.1])

# %% [markdown]
# This is **degradation**: deeper, with more capacity, and worse *on the training examples*. Sixty layers contain
# the five-layer network (let the others pass everything on), so the solution is there. It is not found.
#
# The common account says: vanishing gradients, and residual connections cure them. Look at your own figures. In the plain
# networks the gradient had *not* vanished. He et al. themselves doubted that account: their plain networks had batch
# normalisation, and they report gradients of healthy size. What you measured is another loss: forward, where all digits
# come to point the same way. Layer normalisation rescales each example and cannot turn it. Batch normalisation keeps the
# digits apart and pays, at the start of training, with a gradient that explodes (as in Yang et al. 2019). Others point at
# gradients that become like noise (Balduzzi et al. 2017). The case is not closed, and skips are not the only cure: with
# activations shaped for it, or weights drawn to preserve angles, very deep plain networks do train, more slowly (Xiao et
# al. 2018; Zhang et al. 2022).
#
# Two cautions. Ours is a drastic case: in He et al. the deeper network is worse by a few points, not lost. And more updates
# help here, above all at twenty layers. Degradation is about what training reaches in a budget.
#
# ### "More layers always help"
#
# Last, what counts in use: digits that no network has seen.

# %%
fig, ax = plt.subplots(figsize=(8, 3.4))
tests = {f"{kind}\n{depth} layers": of(kind, depth, "test") for kind in ("plain", "residual") for depth in DEPTHS}
figures.dots_with_spread(ax, tests)
ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
ax.set(ylabel="test accuracy", ylim=(0, 1.02))
ax.legend(loc="lower right")
figures.show(
    fig,
    alt="Test accuracy of plain networks falls from five to twenty to sixty layers. That of residual networks stays high "
    "at all three depths.",
    caption="Longer budget, best learning rate of each; one dot a replicate. Depth beyond need does harm, or nothing.",
)
claim(
    "Sixty plain layers name at least 30 of 100 test digits fewer than five",
    of("plain", 5, "test") - of("plain", 60, "test"),
    at_least=0.3,
    control=of("residual", 5, "test") - of("residual", 60, "test"),
    control_is="the same difference for residual networks",
    source="He et al. 2016, fig. 1",
    runs=chosen[(chosen.kind == "plain") & (chosen.updates == BUDGETS[-1])].run_id.astype(int),
)

# %% [markdown]
# Residual connections make depth *harmless* here. They do not make it *useful*: five layers name as many digits. For
# eight by eight grey values there is little to compose.
#
# ## 5. Capacity ≠ Competence
#
# The **class** of an architecture is every function that it becomes for some parameters. Back to the folds: the class of six
# hidden layers of 30 neurons holds all of one to six folds. Two neurons of a layer fold, the others are silent, and a layer too
# many passes its input on. So for each of these targets an error of zero is *in the class*. Train the same networks on
# one fold, on two, …, on six:

# %%
guess_folds = predict(
    "The exact solution is in the class each time. How much of six folds does training miss?",
    ["almost nothing", "about half", "more than 80 %"],
)

# %%
points = ((torch.arange(1024, dtype=torch.float64) + 0.5) / 1024).unsqueeze(1)
ALL_FOLDS = [1, 2, 3, 4, 5, 6]


def folded(k, x):
    return data.Examples(x.float(), folds(x, k).float(), role="train")


targets = data.stack([folded(k, points) for k in ALL_FOLDS for _ in SEEDS])
learners = Ensemble([1, *[30] * 6, 1], SEEDS * len(ALL_FOLDS), init="he").to(DEVICE)
learners.fit(
    targets,
    steps=FOLD_STEPS,
    batch_size=128,
    learning_rate=3e-3,
    schedule="cosine",
    loss=F.mse_loss,
    experiment="one to six folds",
)
between = data.stack([folded(k, points[:-1] + 0.25 / 1024) for k in ALL_FOLDS for _ in SEEDS])  # points not trained on
learned = evaluate(learners, between, metric=lambda outputs, targets: float(unexplained(outputs, targets)))
learned = learned.reshape(len(ALL_FOLDS), REPLICATES)
with torch.no_grad():
    outputs = learners(points.float().to(DEVICE)).cpu()

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.2), width_ratios=[1.2, 1, 1])
figures.lines_with_spread(panels[0], ALL_FOLDS, learned.T, "trained", markevery=1)
panels[0].plot(ALL_FOLDS, [0] * 6, label="exists in the class", markevery=1)
panels[0].set(xlabel="folds", ylabel="share of the variance missed", ylim=(-0.05, 1.1))
panels[0].legend(loc="center right")
for ax, k in zip(panels[1:], (2, 5), strict=True):
    ax.plot(points, folds(points, k), marker="", color="0.6", linestyle="-", linewidth=0.9, label="target")
    ax.plot(points, outputs[(k - 1) * REPLICATES], marker="", color=figures.PALETTE[0], linestyle="--", label="trained")
    ax.set(title=f"{k} folds", xlabel="x", ylabel="output", ylim=(-0.1, 1.4))
    ax.legend(loc="upper center", ncols=2)
figures.show(
    fig,
    alt="Left: the share of variance missed is zero for one and two folds and rises to nearly one for six. Middle: a trained "
    "network draws two folds exactly. Right: for five folds it draws little more than a flat line.",
    caption="The same architecture and the same training; thin lines are replicates. The solution is in the class each time.",
)

# %%
claim(
    "On six folds training misses at least four fifths of the variance, although the class holds the exact solution",
    learned[-1],
    at_least=0.8,
    control=learned[1],
    control_is="the same networks trained on two folds",
    source="Malach & Shalev-Shwartz 2019 (is deeper better only when shallow is good?)",
    runs=learners.run_ids[-REPLICATES:],
)
not_learned = learned[-1].mean()
guess_folds.resolve([not_learned < 0.2, 0.2 <= not_learned <= 0.8, not_learned > 0.8])


# %% tags=["nbval-ignore-output"]
def explore_folds(k):
    fig, ax = plt.subplots(figsize=(6, 3.2))
    ax.plot(points, folds(points, k), marker="", color="0.6", linestyle="-", linewidth=0.9, label="target")
    ours = outputs[(k - 1) * REPLICATES : k * REPLICATES, :, 0]
    ax.plot(points, ours.T, marker="", linestyle="-", linewidth=0.9, color=figures.PALETTE[0], label="_trained")
    ax.set(xlabel="x", ylabel="output", ylim=(-0.1, 1.4), title=f"{k} folds and all trained networks")
    plt.close(fig)
    display(fig)


how_many = widgets.IntSlider(3, 1, 6, description="folds")
display(widgets.VBox([how_many, widgets.interactive_output(explore_folds, {"k": how_many})]))

# %% [markdown]
# Move the slider: where does training begin to fail, and do the replicates fail alike?
#
# Why? Gradient descent improves step by step, and for many folds there is no step to take: as long as a network is
# nearly flat, every small change helps on one tooth and hurts on the next. Networks also learn slow waves before fast ones
# (*spectral bias*: Rahaman et al. 2019). Malach and Shalev-Shwartz prove for targets of this kind that training a deep
# network fails where no shallow one comes near. **Capacity ≠ Competence.**
#
# ### Started beside the solution
#
# Perhaps the solution is a bad place that training leaves? Start *at* it, push all weights a little in a random direction,
# and train. But how far is "a little"? Equal distances in the weights are not equal for the function: the more
# layers, the more a push grows. So push each network until its *function* is equally wrong: until it misses
# 0.3 of the variance.

# %%
guess_near = predict(
    "Pushed until 0.3 of the variance is missed, then trained. Do networks with two, four and six folds come back?",
    [
        "none",
        "two folds, but not six",
        "all of them, at any learning rate",
        "all of them, if the learning rate is small",
    ],
)

# %%
NEAR_RATES = [1e-3, 1e-2]


def move(networks, k, directions, radius):
    """Set the networks to the exact parameters plus radius [K] times their directions."""
    with torch.no_grad():
        for parameter, exact, direction in zip(
            networks.parameters(), folding_network(k).parameters(), directions, strict=True
        ):
            parameter.copy_(exact + radius.view(-1, *[1] * exact.ndim) * direction)


def beside(k, distance=0.3):
    """Networks pushed away from the exact one until they miss this share of the variance, and how far that was [K]."""
    starts = [seed for seed in SEEDS for _ in range(DIRECTIONS)]
    networks = Ensemble([1, *[2] * k, 1], starts * len(NEAR_RATES), dtype=torch.float64)
    directions = [[] for _ in networks.parameters()]
    for seed in SEEDS:
        with seeded(seed):
            for kept, parameter in zip(directions, folding_network(k).parameters(), strict=True):
                kept.append(torch.randn(DIRECTIONS, *parameter.shape, dtype=torch.float64))
    directions = [torch.cat(kept * len(NEAR_RATES)) for kept in directions]
    length = sum(direction.flatten(1).square().sum(1) for direction in directions).sqrt()
    radius = torch.full_like(length, torch.nan)
    for step in np.geomspace(1e-4, 3, 150):
        move(networks, k, directions, step / length)
        reached = unexplained(networks(few).detach(), folds(few, k)) >= distance
        radius[reached & radius.isnan()] = step
    move(networks, k, directions, radius / length)
    return networks, radius


# %%
few = points[::4] + 1.5 / 1024  # 256 points, in the middle of their intervals


def come_back(k):
    """Train from beside the solution; returns radii [K, directions], what is missed [rates, K, looks], and run ids."""
    networks, radius = beside(k)
    course, each = [], (len(NEAR_RATES), REPLICATES, DIRECTIONS)
    networks.fit(
        (few, folds(few, k)),
        steps=NEAR_STEPS,
        batch_size=len(few),
        learning_rate=np.repeat(NEAR_RATES, REPLICATES * DIRECTIONS).tolist(),
        schedule="cosine",
        loss=F.mse_loss,
        device="cpu",
        callback=lambda step, model: course.append(unexplained(model(few), folds(few, k)).reshape(each).mean(2)),
        callback_steps=range(0, NEAR_STEPS + 1, 50),
        experiment=f"beside {k} folds",
    )
    return radius.reshape(each)[0].numpy(), torch.stack(course, dim=2).numpy(), np.split(np.array(networks.run_ids), 2)


returns = {k: come_back(k) for k in FOLDS}
radii = {k: np.exp(np.log(radius).mean(1)) for k, (radius, *_) in returns.items()}  # geometric mean over directions

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.4), width_ratios=[1, 1, 1])
for i, (ax, rate) in enumerate(zip(panels[:2], NEAR_RATES, strict=True)):
    for k in FOLDS:
        figures.lines_with_spread(ax, range(0, NEAR_STEPS + 1, 50), returns[k][1][i], f"{k} folds")
    ax.set(title=f"learning rate {rate:g}", xlabel="updates", ylim=(-0.05, 1.05))
panels[0].set(ylabel="share of the variance missed")
panels[0].legend()
figures.dots_with_spread(panels[2], {f"{k} folds": radii[k] for k in FOLDS})
panels[2].set(yscale="log", ylabel="distance in the weights")
figures.show(
    fig,
    alt="Left: with the small learning rate all networks return to zero. Middle: with the large one two folds return, six "
    "folds leave and stay away. Right: the distance in the weights that makes the same error shrinks with the folds.",
    caption="Starts that miss the same share of the variance; thin lines and dots are replicates (each the mean of "
    f"{DIRECTIONS} directions). Right: how far the weights were pushed for that.",
)

# %%
claim(
    "Started where 0.3 of six folds is missed, training with the small learning rate misses at most 0.05",
    returns[6][1][0][:, -1],
    at_most=0.05,
    control=returns[6][1][1][:, -1],
    control_is="the same starts trained with the large learning rate",
    source="our measurement",
    runs=returns[6][2][0].tolist(),
)
claim(
    "For the same error in the function, the weights may be off at six folds by at most a quarter of what they may at two",
    radii[6] / radii[2],
    at_most=0.25,
    scale="log",
    no_control="two folds are the comparison inside the ratio",
    source="our measurement",
)
small, large = 0, 1  # learning rates
at_end = {k: course[:, :, -1].mean(1) for k, (_, course, _) in returns.items()}  # what is missed, at each rate
all_at_small = max(at_end[k][small] for k in FOLDS) <= 0.05
all_at_large = max(at_end[k][large] for k in FOLDS) <= 0.05
only_two = at_end[2][small] <= 0.05 < at_end[6][small]
guess_near.resolve(
    [
        not all_at_small and not only_two,
        only_two,
        all_at_small and all_at_large,
        all_at_small and not all_at_large,
    ]
)

# %% [markdown]
# The solution is stable: started beside it, training comes back from the same error at every depth, if its steps are small.
# What shrinks with depth is the *place*. In the space of weights, the region from which a function is recognisably
# six folds is a fraction of that for two. The same step that is harmless at two folds jumps out of it at six, and a random
# start never lands in it. Had we pushed all networks equally far *in the weights*, we would have concluded that
# deep solutions repel. (Notebook 06 measures such landscapes.)
#
# ## 6. The record, and what a reviewer would ask

# %% tags=["nbval-ignore-output"]
ledger = Ledger()
WHAT = """
SELECT experiment, architecture.n_parameters AS "A: parameters", learning_rate AS "Θ: learning rate", COUNT(*) AS "Θ: runs",
       AVG(final_loss) AS "mean final loss", SUM(compute.seconds) AS "C: seconds", SUM(compute.flops) / 1e9 AS "C: GFLOPs"
FROM training_run
JOIN architecture ON architecture.id = architecture_id
JOIN compute ON compute.run_id = training_run.id
WHERE session_id = ? AND experiment LIKE '%layers'
GROUP BY experiment, learning_rate
ORDER BY MIN(training_run.id)
"""
ledger.query(WHAT, [ledger.session()]).round({"mean final loss": 2, "C: seconds": 1, "C: GFLOPs": 1})

# %%
runs = ledger.query("SELECT status FROM training_run WHERE session_id = ?", [ledger.session()])
expected = REPLICATES * (len(WIDTHS) + len(KINDS) * len(DEPTHS) * len(RATES) + len(ALL_FOLDS))
expected += REPLICATES * DIRECTIONS * len(FOLDS) * len(NEAR_RATES)
recorded = len(runs) >= expected and set(runs.status) == {"completed"}
print(
    f"{expected} training runs: all recorded" if recorded else "Some runs are not recorded: can outputs/ be written to?"
)

# %% [markdown]
# Every run at every learning rate is there, also those that did badly. That matters: "the best of three" is only honest
# if the other two can be looked up. A reviewer would ask:
#
# - **A**: *Why sixty layers?* Depth has costs: time, memory, and layers whose part in the result is hard to isolate.
#   What did five do?
# - **Θ**: *Which learning rates did you try for the method that lost?* A comparison at one rate measures the rate.
# - **C**: *What did the deep runs cost, next to the shallow ones, and what did that buy?* The table says, in seconds and
#   in FLOPs.
# - **G**: *Your architecture can express it. Who has shown that your training finds it?* Capacity is no evidence.
#
# ## 7. What you can do now
#
# 1. **Build** a network whose pieces double with each layer, and count what a shallow one needs (section 1).
# 2. **State** what the universal approximation theorem promises, and what not (section 2).
# 3. **Derive** an initialisation and measure where the signal dies, at $h$ and not at the weights (section 3).
# 4. **Test** whether more layers help, at the best learning rate of each and at two budgets (section 4).
# 5. **Separate** what a class holds from what training finds (section 5).
#
# **Limits of this evidence.** Small networks of equal width. One optimizer (`fit`'s own, Adam: lab 3), one learning rate for
# the folds, three on a coarse grid for the digits, two short budgets. Digits are too easy to need depth; folds are made to need it. The signal was measured at
# the start of training only. That residual networks train is measured; *why* they do is not settled. Thresholds come from
# a pilot with 20 other replicates on one machine.
#
# ### Your turn
#
# 1. Count the pieces of *untrained* networks with 60 neurons, in one, two, four and six hidden layers, on `grid`. Predict
#    first: do they double with each layer? (Count where the pattern of active neurons changes.)
# 2. In section 2, set `WIDTH_STEPS` to 3000 and to 10 000. Does training close the gap to the built network?
# 3. In section 3 all biases are 0. Leave `nn.Linear`'s own random biases in. Does the representation still die? And do the
#    weights' gradients still hide it?
# 4. Give the plain networks of section 4 layer norm *and* skips (`norm="layer", residual=True`). Predict both panels of the
#    first figure before you draw it.
#
# ### Scale it up
#
# On a GPU try `DEPTHS = [5, 20, 60, 200]`, `BUDGETS = [500, 5000]`, `REPLICATES = 20`. From which budget on do sixty plain
# layers fit the training digits? Does the residual network of 200 layers still? Write your thresholds down first.
#
# ### References
#
# - Balduzzi et al. 2017, *The shattered gradients problem*, ICML; Yang et al. 2019, *A mean field theory of batch
#   normalization*, ICLR
# - Barron 1993, *Universal approximation bounds for superpositions of a sigmoidal function*, IEEE TIT 39(3); Cybenko 1989,
#   Math. Control Signals Systems 2; Hornik 1991, Neural Networks 4; Leshno et al. 1993, Neural Networks 6
# - Bengio, Simard & Frasconi 1994, *Learning long-term dependencies with gradient descent is difficult*, IEEE TNN 5(2);
#   Hochreiter 1991, diploma thesis, TU München
# - De & Smith 2020, *Batch normalization biases residual blocks towards the identity function in deep networks*, NeurIPS
# - Glorot & Bengio 2010, *Understanding the difficulty of training deep feedforward neural networks*, AISTATS
# - Hanin & Rolnick 2019, *Complexity of linear regions in deep networks*, ICML
# - He, Zhang, Ren & Sun 2015, *Delving deep into rectifiers*, ICCV; 2016, *Deep residual learning for image recognition*,
#   CVPR; 2016b, *Identity mappings in deep residual networks*, ECCV
# - Malach & Shalev-Shwartz 2019, *Is deeper better only when shallow is good?*, NeurIPS
# - Poole et al. 2016, *Exponential expressivity in deep neural networks through transient chaos*, NeurIPS; Schoenholz et
#   al. 2017, *Deep information propagation*, ICLR
# - Rahaman et al. 2019, *On the spectral bias of neural networks*, ICML
# - Telgarsky 2016, *Benefits of depth in neural networks*, COLT
# - Xiao et al. 2018, *Dynamical isometry and a mean field theory of CNNs*, ICML; Zhang, Botev & Martens 2022, *Deep
#   learning without shortcuts*, ICLR; Xu et al. 2021, *How neural networks extrapolate*, ICLR
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook.
