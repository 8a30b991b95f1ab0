# %% [markdown]
# # What does training walk through?
#
# **In one sentence:** the loss of a network is a surface over thousands of parameters; its curvature tells which learning rates hold and how long a
# saddle detains you, its pictures mislead, and the model at the end of the walk depends on data, architecture, objective *and* path. You will measure
# each of these over five replicates, against small learning rates, random permutations, rescaled twins and trainings that differ in nothing.
#
# After this notebook you can
#
# 1. **predict** from curvature what an update does to the loss, which learning rate is unstable, and how long a saddle lasts;
# 2. **compute** the Hessian's spectrum exactly, and its top by the Lanczos method without ever forming the matrix;
# 3. **test** where the sharpness goes during training, and against which limit;
# 4. **unmask** a picture of a loss landscape, and join two solutions that seem to lie apart;
# 5. **separate** what sharpness says about a network from what it does not, and what data, architecture, objective and path each contribute to the
#    final model.
#
# **You need** notebooks 00 to 02: gradient, learning rate, batch, `Ensemble`, claim, control. From mathematics: eigenvalues, the second-order Taylor
# formula. [Mathematics for Machine Learning](https://mml-book.github.io), chapters 4, 5 and 7, refreshes them.
#
# **Reading:** 70 minutes. **Running:** about 100 seconds on one CPU core.

# %%
import copy

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.colors import LogNorm
from scipy.optimize import linear_sum_assignment
from torch.nn.utils import parameters_to_vector as flat
from torch.nn.utils import vector_to_parameters

from labkit import data, figures, measure
from labkit.evidence import claim, predict
from labkit.ledger import Ledger, save_table
from labkit.models import mlp
from labkit.train import Ensemble, device, evaluate, fit

figures.style()
DEVICE = device()

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
YOUNG_STEPS = 60  # updates before the step of section 1
HIDDEN = 12  # neurons of the network whose Hessian is computed whole
HESSIAN_STEPS = 400
EDGE_STEPS = 700  # updates at the edge of stability
CROSS_STEPS = 600  # updates with cross-entropy at the larger learning rate
SLOW_STEPS = 1000  # updates of its control, with a third of the learning rate
SIGNALS = 500  # MNIST-1D training examples in section 3
MODE_WIDTH, MODE_STEPS = 128, 600
LEVEL = 0.03  # training loss at which the networks of section 6 are compared
LEVEL_STEPS = 2000  # at most
FINAL_STEPS = 600  # updates of each network in section 7

# %% [markdown]
# ## 1. Walking downhill
#
# ### Two surfaces that you can see
#
# Take a surface over two parameters, $f(\theta) = \tfrac12(\lambda_1\theta_1^2 + \lambda_2\theta_2^2)$. The numbers $\lambda$ are its **curvatures**:
# how fast the slope changes along each axis. Gradient descent with learning rate $\eta$ multiplies each coordinate by the same factor in every
# update:
#
# $$ \theta \leftarrow \theta - \eta\nabla f \qquad\Rightarrow\qquad \theta_i(t) = (1 - \eta\lambda_i)^t\,\theta_i(0) $$
#
# So it approaches zero only while $|1 - \eta\lambda_i| < 1$, that is, for $0 < \eta\lambda_i < 2$. The *largest* curvature limits the learning rate:
# $\eta < 2/\lambda_1$. And where a curvature is negative, the factor is above one for every $\eta$: the walk leaves.


# %%
def descend(curvatures, start, rate, updates):
    """The path [updates + 1, 2] of gradient descent on half the sum of curvature times square."""
    path = [np.array(start)]
    for _ in range(updates):
        path.append(path[-1] - rate * curvatures * path[-1])
    return np.array(path)


BOWL, SADDLE = np.array([10.0, 1.0]), np.array([2.0, -1.0])
walks = {
    "bowl, η = 0.05": (BOWL, (0.9, 0.9), 0.05, 25),
    "bowl, η = 0.19": (BOWL, (0.9, 0.9), 0.19, 25),
    "bowl, η = 0.21": (BOWL, (0.09, 0.9), 0.21, 25),
    "saddle, η = 0.2": (SADDLE, (0.9, 0.01), 0.2, 24),
}
x_axis = np.linspace(-1, 1, 41)
fig, panels = plt.subplots(1, 4, figsize=(10.5, 3), sharey=True)
for ax, (name, (curvatures, start, rate, updates)) in zip(panels, walks.items(), strict=True):
    walked = descend(curvatures, start, rate, updates)
    factors = (1 - rate * curvatures) ** np.arange(updates + 1)[:, None]
    np.testing.assert_allclose(walked, factors * start)  # the closed form
    height = (curvatures[0] * x_axis**2 + curvatures[1] * x_axis[:, None] ** 2) / 2
    ax.contour(x_axis, x_axis, height, levels=6, colors="0.75", linewidths=0.8)
    ax.plot(*walked.T, markevery=1, markersize=3, linewidth=1, linestyle="-")
    ax.set(title=name, xlabel="parameter 1", xlim=(-1, 1), ylim=(-1, 1))
panels[0].set(ylabel="parameter 2")
figures.show(
    fig,
    alt="Four paths on contour lines. In the bowl a small rate descends smoothly, a larger one zigzags and arrives, a "
    "slightly larger one zigzags outwards. On the saddle the path goes towards the centre and then leaves sideways.",
    caption="Curvature 10 across and 1 along: the limit is 2/10. The third walk starts almost in the valley, and leaves.",
)

# %% [markdown]
# **Momentum** averages past gradients, so that zigzags cancel. **Adaptive** steps (Adam) divide each coordinate by the size of its own gradients.
# Both change the limit and not the idea. Lab 3 builds them.
#
# ### One update of a real network
#
# A network has thousands of curvatures, one for each pair of parameters: the **Hessian** $H$, the matrix of second derivatives of the loss. Taylor's
# formula to second order, for a step $\delta$ from $\theta$ with gradient $g$:
#
# $$ L(\theta+\delta) \approx L(\theta) + g^\top\delta + \tfrac12\,\delta^\top H\,\delta $$
#
# For $\delta = -\eta g$ the last term needs only the product $Hg$. That is one more gradient, of the *number* $g^\top v$ with $v$ held fixed
# (Pearlmutter 1994). So a **Hessian-vector product** costs about two gradients, and $H$ is never formed:
#
# $$ H v = \nabla_\theta\,\big(g(\theta)^\top v\big) $$


# %%
def hessian_product(network, x, y, loss=F.cross_entropy):
    """The gradient [P] of the loss, and a function that multiplies the Hessian by a vector v [P]."""
    parameters = list(network.parameters())
    g = flat(torch.autograd.grad(loss(network(x), y), parameters, create_graph=True))

    def product(v):
        return flat(torch.autograd.grad(g, parameters, v, retain_graph=True))

    return g.detach(), product


def moved(network, step):
    """A copy of the network with `step` [P] added to its parameters."""
    network = copy.deepcopy(network)
    vector_to_parameters(flat(network.parameters()).detach() + step, network.parameters())
    return network


@torch.no_grad()
def loss_of(network, x, y):
    return float(F.cross_entropy(network(x), y))


WIDE = [64, 64, 64, 10]  # of sections 4 and 6
SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
splits = [data.digits().split(seed, test=1000, validation=0) for seed in SEEDS]
train = data.stack([split.train.first(600) for split in splits]).to(DEVICE)
test = data.stack([split.test for split in splits]).to(DEVICE)
small = mlp([64, 5, 10], seed=BASE_SEED, activation="tanh", dtype=torch.float64).to(DEVICE)
x, y = train.inputs[0].double(), train.targets[0]
g, product = hessian_product(small, x, y)
v = torch.randn(len(g), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(DEVICE)
slopes = [hessian_product(moved(small, sign * 1e-5 * v), x, y)[0] for sign in (1, -1)]
torch.testing.assert_close(product(v), (slopes[0] - slopes[1]) / 2e-5, rtol=1e-5, atol=1e-7)
print(f"H v for {len(g)} parameters agrees with the difference of two gradients, at the price of about two")

# %% [markdown]
# Now take networks after 60 updates, and one step of gradient descent of every length. Measure the learning rate in units of $1/\lambda_g$, where
# $\lambda_g = g^\top Hg / g^\top g$ is the curvature along the gradient, and the change of the loss in units of $|g|^2/\lambda_g$. Then the
# first-order forecast is $-s$ and the second-order one $-s + s^2/2$ for every network.

# %%
guess_order = predict(
    "At s = 1, how far is the first-order forecast from the true change of the loss?",
    ["within 20 %", "20 to 60 % too large", "more than 60 % too large"],
)
young = Ensemble([64, 16, 10], SEEDS, activation="tanh").to(DEVICE)
young.fit(train, steps=YOUNG_STEPS, batch_size=64, learning_rate=1e-2, experiment="young")
STEPS = np.linspace(0, 3, 25)


def along_gradient(k):
    """Change of the loss after one step of each length, in units of |g|² / λ."""
    network, x, y = young[k], train.inputs[k], train.targets[k]
    g, product = hessian_product(network, x, y)
    curvature = float(g @ product(g) / (g @ g))
    unit = float(g @ g) / curvature
    return [(loss_of(moved(network, -s / curvature * g), x, y) - loss_of(network, x, y)) / unit for s in STEPS]


changes = np.array([along_gradient(k) for k in range(REPLICATES)])
bottom = list(STEPS).index(1)

fig, ax = plt.subplots(figsize=(6.5, 3.4))
figures.lines_with_spread(ax, STEPS, changes, "true change")
ax.plot(STEPS, -STEPS, marker="", label="first order")
ax.plot(STEPS, -STEPS + STEPS**2 / 2, marker="", label="second order")
ax.axhline(0, color="0.5", linestyle=":", label="no change")
ax.set(xlabel="step s (learning rate times curvature)", ylabel="change of the loss", ylim=(-1.1, 1))
ax.legend(ncols=2)
figures.show(
    fig,
    alt="Change of the loss against step length. The true curves follow the second-order parabola for short steps, reach a "
    "lowest point near one and rise through zero near two; the first-order line falls away from them.",
    caption="One step of five networks in units of their own curvature. Thin lines are replicates.",
)

# %%
claim(
    "At the parabola's bottom the true change of the loss is 0.88 to 1.18 of the second-order forecast",
    changes[:, bottom] / -0.5,
    within=(0.88, 1.18),
    control=changes[:, bottom] / -1,
    control_is="the same true change over the first-order forecast: half of the value",
    source="Taylor's formula",
    runs=young.run_ids,
)
too_large = -1 / changes[:, bottom].mean() - 1  # the first-order forecast is -1
guess_order.resolve([abs(too_large) <= 0.2, 0.2 < too_large <= 0.6, too_large > 0.6])

# %% [markdown]
# Beyond $s = 2$ the parabola says that the loss rises, and it does. But the further out, the more the true curve goes its own way: the forecast is
# *local*. Do not read it as a map.
#
# ### A saddle, and how long it lasts
#
# A **saddle point** has gradient zero and a negative curvature. One is known to everybody who ever set all weights to zero. Let a network with one
# hidden layer have weights zero and output biases that give the class frequencies. No single weight then changes the loss. But a *pair* does: give
# one neuron incoming weights $w$ and outgoing weights $a$, both small. With the mean product of residual and input, $C$, the loss changes by
#
# $$ \Delta L \approx a^\top C\,w, \qquad C = \frac1n\sum_i (p - y_i)\,x_i^\top . $$
#
# It falls fastest along the first singular vectors of $C$, $w \propto v_1$ and $a \propto -u_1$. Along this direction the curvature is $-\sigma_1$,
# the largest singular value. So a nudge $\varepsilon$ grows by $1 + \eta\sigma_1$ an update, and each factor of ten less in $\varepsilon$ costs $\ln
# 10/\ln(1+\eta\sigma_1)$ more updates.

# %%
guess_escape = predict(
    "A nudge a hundred times smaller: how much longer does the network stay on its plateau?",
    ["hundred times as long", "the square, ten times", "a fixed number of updates longer"],
)
NUDGES, RATE = [1e-1, 1e-2, 1e-3, 1e-4], 0.5
onehot = F.one_hot(train.targets, 10).float()
frequencies = onehot.mean(1)  # [K, 10]
C = (frequencies.unsqueeze(1) - onehot).mT @ train.inputs / len(train)
U, S, Vh = torch.linalg.svd(C)


def nudged(saddle, nudges):
    """An Ensemble of every nudge and replicate, at the saddle or at ordinary starts."""
    networks = Ensemble([64, 16, 10], SEEDS * len(nudges), activation="tanh").to(DEVICE)
    first, _, last = networks.layers
    with torch.no_grad():
        if saddle:
            for parameter in networks.parameters():
                parameter.zero_()
            last.bias[:] = frequencies.log().repeat(len(nudges), 1)
        sizes = torch.tensor(nudges, device=DEVICE).repeat_interleave(REPLICATES)[:, None] / 2**0.5
        first.weight[:, 0] += sizes * Vh[:, 0].repeat(len(nudges), 1)
        last.weight[:, :, 0] -= sizes * U[:, :, 0].repeat(len(nudges), 1)
    return networks


saddle, pushed = nudged(True, [0.0])[0], nudged(True, [1.0])[0]
direction = flat(pushed.parameters()).detach() - flat(saddle.parameters()).detach()
g_saddle, saddle_product = hessian_product(saddle, train.inputs[0], train.targets[0])
torch.testing.assert_close(g_saddle, torch.zeros_like(g_saddle), rtol=0, atol=1e-5)
torch.testing.assert_close(saddle_product(direction), -S[0, 0] * direction, rtol=1e-3, atol=1e-4)
print("at the saddle the gradient is zero, and the nudge is an eigenvector of the Hessian with eigenvalue minus sigma")


# %%
def escape(saddle):
    """Loss [updates, nudges, K], and the updates [nudges, K] until it has fallen by 0.05."""
    networks, many = nudged(saddle, NUDGES), data.stack(train.parts * len(NUDGES))
    where = "saddle" if saddle else "ordinary start"
    history = networks.fit(
        many, steps=150, batch_size=len(train), learning_rate=RATE, optimizer="sgd", experiment=f"nudges, {where}"
    )
    loss = history.loss.reshape(-1, len(NUDGES), REPLICATES)
    return loss, (loss < loss[0] - 0.05).argmax(0)


losses, lasted = escape(saddle=True)
_, lasted_elsewhere = escape(saddle=False)
foreseen = (np.log(10) / torch.log1p(RATE * S[:, 0])).cpu().numpy()  # updates for each factor of ten
assert (lasted > 0).all()

# %%
fig, panels = plt.subplots(1, 2, figsize=(10, 3.4))
for i, nudge in enumerate(NUDGES):
    figures.lines_with_spread(panels[0], np.arange(len(losses)), losses[:, i].T, f"nudge {nudge:g}")
panels[0].set(xlabel="updates", ylabel="training loss (nats)")
panels[0].legend()
figures.lines_with_spread(panels[1], NUDGES, lasted.T, "from the saddle", markevery=1)
figures.lines_with_spread(panels[1], NUDGES, lasted_elsewhere.T, "from ordinary starts", markevery=1)
line = lasted[0].mean() + foreseen.mean() * np.arange(len(NUDGES))
panels[1].plot(NUDGES, line, color="0.4", linestyle=":", marker="", label="slope foreseen by the curvature")
panels[1].set(xscale="log", xlabel="size of the nudge", ylabel="updates until the loss has fallen by 0.05")
panels[1].legend()
figures.show(
    fig,
    alt="Left: four loss curves with plateaus, longer for smaller nudges, that then fall to a second plateau. Right: the "
    "length of the plateau rises evenly with each factor of ten, on the foreseen line; from ordinary starts it is flat.",
    caption="Leaving the saddle at zero. Only one direction was nudged, so the next saddle follows. Thin lines: replicates.",
)
claim(
    "Each tenth of the nudge costs 0.9 to 1.1 times the updates that the negative curvature foresees",
    (lasted[3] - lasted[1]) / 2 / foreseen,
    within=(0.9, 1.1),
    control=(lasted_elsewhere[3] - lasted_elsewhere[1]) / 2 / foreseen,
    control_is="the same ratio from ordinary starts",
    source="our derivation; Saxe, McClelland & Ganguli 2014 (saddles of linear networks)",
)
longer = (lasted[3] / lasted[1]).mean()  # a nudge a hundred times smaller
guess_escape.resolve([longer > 30, 5 < longer <= 30, longer <= 5])

# %% [markdown]
# So a saddle is not a trap for gradient descent, but a *delay*, and only logarithmic in how near you come. Even so a plateau can be taken for the end
# of training. Dauphin et al. (2014) argue that in many dimensions saddles, not bad minima, are what slows descent. With more hidden layers the origin
# is flatter still: there the Hessian itself is zero in all weights.
#
# ## 2. All the curvatures
#
# ### The whole matrix
#
# The eigenvalues of $H$ are the curvatures along its eigenvectors. For a network of some nine hundred parameters you can have them all: multiply $H$
# by every unit vector, batched by `torch.func.vmap`.


# %%
def exact_hessian(network, x, y):
    """The whole Hessian [P, P] in double precision: H times each unit vector."""
    network = copy.deepcopy(network).double()
    g, product = hessian_product(network, x.double(), y)
    units = torch.eye(len(g), dtype=torch.float64, device=g.device)
    return torch.func.vmap(product, chunk_size=128)(units)


def loss_at(theta):
    """The loss of `small` with the parameters theta [P]."""
    parts = theta.split([p.numel() for p in small.parameters()])
    named = {name: part.view_as(p) for (name, p), part in zip(small.named_parameters(), parts, strict=True)}
    return F.cross_entropy(torch.func.functional_call(small, named, (x,)), y)


H = exact_hessian(small, x, y)
by_pytorch = torch.autograd.functional.hessian(loss_at, flat(small.parameters()).detach())
torch.testing.assert_close(H, by_pytorch)
torch.testing.assert_close(H, H.T)
print("symmetric, and the same as PyTorch's, which differentiates every entry of the gradient")

# %% [markdown]
# Compare the start with the end of training, on ten classes and on the digits 0 to 4 only.

# %%
guess_outliers = predict(
    "Which number fixes how many eigenvalues stand apart from the rest?",
    ["the number of layers", "the number of classes", "the number of hidden neurons"],
)


def five_classes(examples):
    rows = examples.targets < 5
    few = examples.replace(inputs=examples.inputs[rows], targets=examples.targets[rows], transform="digits 0 to 4 only")
    return few.first(350)


few = data.stack([five_classes(split.train) for split in splits]).to(DEVICE)
judged = {10: Ensemble([64, HIDDEN, 10], SEEDS).to(DEVICE), 5: Ensemble([64, HIDDEN, 5], SEEDS).to(DEVICE)}


def spectra(classes, examples):
    """All eigenvalues of each replicate's Hessian, largest first [K, P]."""
    pairs = zip(judged[classes], examples.inputs, examples.targets, strict=True)
    return np.array([torch.linalg.eigvalsh(exact_hessian(*each)).flip(0).cpu().numpy() for each in pairs])


at_start = spectra(10, train)
for classes, examples in ((10, train), (5, few)):
    judged[classes].fit(
        examples, steps=HESSIAN_STEPS, batch_size=64, learning_rate=3e-3, experiment=f"Hessian, {classes} classes"
    )
spectrum = {10: spectra(10, train), 5: spectra(5, few)}

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
for classes, values in spectrum.items():
    line = figures.lines_with_spread(panels[0], np.arange(1, 21), values[:, :20], f"{classes} classes", markevery=1)
    panels[0].axvline(classes - 0.5, color=line.get_color(), linestyle=":", label=f"after the {classes - 1}th")
panels[0].set(yscale="log", xlabel="rank", ylabel="eigenvalue", xticks=range(1, 21, 2))
panels[0].legend()
for name, values in (("start", at_start), ("trained", spectrum[10])):
    share = np.linspace(0, 100, values.shape[1])
    figures.lines_with_spread(panels[1], share, values / values[:, :1], f"10 classes, {name}")
panels[1].axhline(0, color="0.5", linestyle=":", label="flat")
panels[1].set(xlabel="percentile of rank", ylabel="eigenvalue / largest")
panels[1].legend()
figures.show(
    fig,
    alt="Left: the twenty largest eigenvalues on a logarithmic axis; with ten classes they drop after the ninth, with five "
    "after the fourth. Right: all eigenvalues; at the start many are clearly negative, after training nearly all are zero.",
    caption="Exact spectra. Left: a gap after one fewer than the number of classes. Right: the bulk. Thin lines: replicates.",
)


# %%
def gap_after(rank, classes):
    return spectrum[classes][:, rank - 1] / spectrum[classes][:, rank]


claim(
    "The eigenvalue before the gap, one fewer than there are classes, is at least 1.6 times the one after it",
    np.sqrt(gap_after(9, 10) * gap_after(4, 5)),
    at_least=1.6,
    scale="log",
    control=np.sqrt(gap_after(4, 10) * gap_after(9, 5)),
    control_is="the same ratio where the network with the other number of classes has its gap",
    source="Sagun et al. 2017; Papyan 2020 (about as many outliers as classes)",
    runs=judged[10].run_ids + judged[5].run_ids,
)
claim(
    "After training the most negative eigenvalue is at most a tenth of the largest",
    -spectrum[10][:, -1] / spectrum[10][:, 0],
    at_most=0.1,
    scale="log",
    control=-at_start[:, -1] / at_start[:, 0],
    control_is="the same ratio at the start of training",
    source="Sagun et al. 2017; Ghorbani, Krishnan & Xiao 2019",
    runs=judged[10].run_ids,
)
gaps = [np.log(values[:, :20] / values[:, 1:21]).mean(0) for values in spectrum.values()]  # ten, five classes
largest = [1 + gap.argmax() for gap in gaps]  # the rank after which it is
guess_outliers.resolve([largest == [2, 2], largest == [9, 4], largest == [HIDDEN, HIDDEN]])

# %% [markdown]
# The claim's value is the geometric mean of the gap with ten and with five classes. The control asks for the gap of the *other* network. So a few
# directions, about as many as there are classes, stand out; along most others the loss hardly bends. At the start the surface is saddle-shaped: its
# most negative curvature is not small beside the largest one. Where training stops, little negative curvature is left. Do not say "a minimum": the
# gradient is not zero, and the smallest eigenvalue is still negative. (ReLU has kinks. Between them the loss is smooth, and this is the Hessian of
# the piece you are on.)
#
# ### The top, without the matrix
#
# A network of a million parameters has a Hessian of a million times a million. But we know $Hv$. The **Lanczos method** looks for eigenvectors only
# among combinations of $v, Hv, H^2v, \dots$. In an orthogonal basis of these vectors $H$ becomes a small matrix $T$ with three diagonals, and the
# largest eigenvalue of $T$ is soon that of $H$.


# %%
def lanczos(product, start, steps):
    """Approximate eigenvalues [steps], largest first, and eigenvectors [P, steps], from `steps` products.

    A start [K, P] holds a vector for each of K matrices; the results then have K in front as well.
    """
    Q = (start / start.norm(dim=-1, keepdim=True)).unsqueeze(-2)  # the basis so far: a row each
    T = torch.zeros(*start.shape[:-1], steps, steps, dtype=torch.float64)
    for i in range(steps):
        q = Q[..., i, :]
        w = product(q)
        T[..., i, i] = (w * q).sum(-1)
        for _ in range(2):  # twice: rounding would bring old directions back
            w = w - (Q.mT @ (Q @ w.unsqueeze(-1))).squeeze(-1)
        if i + 1 < steps:
            length = w.norm(dim=-1, keepdim=True)
            T[..., i, i + 1] = T[..., i + 1, i] = length.squeeze(-1)
            Q = torch.cat([Q, (w / length).unsqueeze(-2)], dim=-2)
    values, combinations = torch.linalg.eigh(T)
    return values.flip(-1), (Q.mT @ combinations.to(start)).flip(-1)


_, trained_product = hessian_product(judged[10][0].double(), x, y)
u = torch.randn(spectrum[10].shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(DEVICE)
found, vectors = lanczos(trained_product, u, 60)
np.testing.assert_allclose(found[:3].numpy(), spectrum[10][0, :3], rtol=1e-6)
torch.testing.assert_close(trained_product(vectors[:, 0]), found[0].to(DEVICE) * vectors[:, 0], rtol=0, atol=1e-4)
print(f"60 products instead of {len(u)}: the three largest eigenvalues agree to six digits")

# %% [markdown]
# For the $K$ networks of an `Ensemble` one product serves all: in the gradient of the *sum* of their losses, each network sees only its own (notebook
# 01), so row $k$ of a table of vectors meets the Hessian of network $k$. From here on **sharpness** means the largest eigenvalue of the Hessian of the
# training loss.


# %%
@torch.enable_grad()  # also while `fit` watches
def hessian_products(networks, x, y, loss=F.cross_entropy):
    """A function that multiplies the Hessian of each network of an Ensemble by its row of v [K, P]."""

    def rows(tensors):
        return torch.cat([values.flatten(1) for values in tensors], dim=1)

    parameters = list(networks.parameters())
    total = sum(loss(*each) for each in zip(networks(x), y, strict=True))
    g = rows(torch.autograd.grad(total, parameters, create_graph=True))
    return lambda v: rows(torch.autograd.grad(g, parameters, v, retain_graph=True))


def sharpness_of(networks, x=train.inputs, y=train.targets, loss=F.cross_entropy, steps=25, seed=0):
    """The largest eigenvalue of each network's Hessian [K], by Lanczos from a random start."""
    size = sum(p[0].numel() for p in networks.parameters())
    start = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(x).expand(len(networks), -1)
    return lanczos(hessian_products(networks, x, y, loss), start, steps)[0][:, 0].numpy()


np.testing.assert_allclose(sharpness_of(judged[10], steps=60), spectrum[10][:, 0], rtol=1e-3)
print("all replicates at once, in single precision: the largest eigenvalue of each agrees to three digits")

# %% [markdown]
# ## 3. The edge of stability
#
# On the bowl, a sharpness above $2/\eta$ throws the walk out. A network is no bowl: its sharpness changes as it walks. Train tanh networks on 500
# MNIST-1D signals with *all* examples in each update (plain gradient descent, no noise) and half the summed squares as loss, at $\eta = 0.3$. The
# control takes $\eta = 0.1$.

# %%
guess_edge = predict(
    "2/η is 6.7 at η = 0.3. The sharpness starts below. Where is it in the second half of training?",
    ["well below 6.7", "at about 6.7", "far above: training diverges"],
)
signals = data.stack(
    [data.mnist1d(SIGNALS + 100, seed=seed).split(seed, test=100, validation=0).train for seed in SEEDS]
)
EVERY = 20


def half_squares(outputs, targets):
    return (outputs - F.one_hot(targets, 10)).square().sum(-1).mean() / 2


def watch(loss, rate, steps):
    """Train by full-batch gradient descent: sharpness [K, looks] every EVERY updates, loss [K, updates]."""
    networks, sharpness = Ensemble([40, 64, 64, 10], SEEDS, activation="tanh"), []
    x, y = signals.inputs.to(DEVICE), signals.targets.to(DEVICE)

    def look(_, model):
        sharpness.append(sharpness_of(model, x, y, loss, steps=15))

    settings = {"batch_size": SIGNALS, "optimizer": "sgd", "learning_rate": rate, "loss": loss}
    watching = {"callback": look, "callback_steps": range(0, steps + 1, EVERY)}
    history = networks.fit(signals, steps=steps, experiment=f"edge, rate {rate:g}", **settings, **watching)
    return networks, np.array(sharpness).T, history.loss.T


edge, edge_sharpness, edge_loss = watch(half_squares, 0.3, EDGE_STEPS)
_, slow_sharpness, slow_loss = watch(half_squares, 0.1, SLOW_STEPS)
crossed, crossed_sharpness, crossed_loss = watch(F.cross_entropy, 0.6, CROSS_STEPS)
short, short_sharpness, short_loss = watch(F.cross_entropy, 0.2, EDGE_STEPS)


# %% tags=["drawing"]
def draw_sharpness(panels, runs):
    for rate, sharpness, loss, name in runs:
        updates = np.arange(sharpness.shape[1]) * EVERY
        line = figures.lines_with_spread(panels[0], updates, sharpness, name)
        panels[0].axhline(2 / rate, color=line.get_color(), linestyle=":", label=f"2/η for η = {rate:g}")
        figures.lines_with_spread(panels[1], np.arange(loss.shape[1]), loss, name)
    panels[0].set(xlabel="updates", ylabel="sharpness", ylim=(0, 1.4 * panels[0].get_ylim()[1]))
    panels[1].set(xlabel="updates", ylabel="training loss", ylim=(0, None))
    panels[0].legend(fontsize=8, ncols=2, loc="upper left")


fig, panels = plt.subplots(2, 2, figsize=(10, 6))
squares = [(0.3, edge_sharpness, edge_loss, "squares, η = 0.3"), (0.1, slow_sharpness, slow_loss, "squares, η = 0.1")]
draw_sharpness(panels[0], squares)
draw_sharpness(
    panels[1],
    [
        (0.6, crossed_sharpness, crossed_loss, "cross-entropy, η = 0.6"),
        (0.2, short_sharpness, short_loss, "cross-entropy, η = 0.2"),
    ],
)
figures.show(
    fig,
    alt="Top: with squares and the larger rate the sharpness rises to its dotted limit and stays there while the loss falls "
    "unevenly; with the smaller rate it rises past that limit. Bottom: with cross-entropy it crosses its limit and "
    "drops, or turns before it reaches it.",
    caption="Sharpness (left) and loss (right); dotted: 2/η. Thin lines are replicates.",
)

# %%
limit = 2 / 0.3
later = edge_sharpness[:, edge_sharpness.shape[1] // 2 :].mean(1) / limit
slow_later = slow_sharpness[:, slow_sharpness.shape[1] // 2 :].mean(1) / (2 / 0.1)
rises, slow_rises = ((np.diff(loss[:, loss.shape[1] // 2 :]) > 0).mean(1) for loss in (edge_loss, slow_loss))
claim(
    "At η = 0.3 the mean sharpness in the second half of training is 0.9 to 1.25 times 2/η",
    later,
    within=(0.9, 1.25),
    control=slow_later,
    control_is="the same mean at η = 0.1, in units of its own 2/η",
    source="Cohen et al. 2021 (edge of stability)",
    runs=edge.run_ids,
)
claim(
    "At η = 0.1 it ends at least 1.2 times above that limit: it was the learning rate that held it back",
    slow_sharpness[:, -1] / limit,
    at_least=1.2,
    scale="log",
    control=edge_sharpness[:, -1] / limit,
    control_is="the sharpness at the end of training at η = 0.3, over the same limit",
    source="Cohen et al. 2021 (progressive sharpening)",
)
claim(
    "At the edge the loss rises in at least a fifth of the updates",
    rises,
    at_least=0.2,
    control=slow_rises,
    control_is="the same share at η = 0.1",
    source="Cohen et al. 2021",
    runs=edge.run_ids,
)
at_limit = later.mean()
guess_edge.resolve([at_limit < 0.7, 0.7 <= at_limit <= 1.5, at_limit > 1.5])

# %% [markdown]
# No step of the algorithm looks at the sharpness, yet it is *steered* to $2/\eta$. Above the limit the walk swings across the sharpest direction; the
# swing grows, and far out the surface is flatter, which brings the sharpness down again. Damian et al. (2023) derive this **self-stabilisation** from
# the third-order term that our parabola lacks. So the textbook rule, "choose $\eta$ below $2/\lambda$", is half of the story: here training also
# chose a $\lambda$ for your $\eta$.
#
# With **cross-entropy** the story has another end. Once examples are classified with confidence, their curvature fades. So the sharpness crosses its
# limit or falls short of it, depending on $\eta$, and drops late in both cases.

# %%
claim(
    "With cross-entropy and η = 0.6 the sharpness ends at no more than 0.4 of 2/η",
    crossed_sharpness[:, -1] * 0.6 / 2,
    at_most=0.4,
    scale="log",
    control=edge_sharpness[:, -1] / limit,
    control_is="the same ratio with squares and η = 0.3",
    source="Cohen et al. 2021 (cross-entropy: the sharpness drops at the end of training)",
    runs=crossed.run_ids,
)

# %% [markdown]
# That $\eta = 0.2$ falls short of its limit is an observation: over the pilot's replicates its sharpness after 480 updates varied too much for a
# claim. And two limits. All this is *full-batch* descent. With small batches the sharpness stays lower, and what takes the place of $2/\eta$ is
# debated; section 6 measures one case. And sharpness is here a fact about optimization: Cohen et al. explicitly claim no connection to
# generalization.
#
# ### Choose the learning rate
#
# One network, one start, 100 signals, 100 updates: only the learning rate is yours.


# %%
def draw_walk(panels, rate):
    """Train one network at this rate; draw its loss and its sharpness."""
    x, y = signals.inputs[0, :100].to(DEVICE), signals.targets[0, :100].to(DEVICE)
    network = mlp([40, 32, 10], seed=BASE_SEED, activation="tanh").to(DEVICE)
    optimizer, loss, sharpness = torch.optim.SGD(network.parameters(), lr=rate), [], []
    start = torch.randn(40 * 32 + 32 + 32 * 10 + 10, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    for step in range(101):
        if step % 5 == 0:
            sharpness.append(lanczos(hessian_product(network, x, y, half_squares)[1], start, 10)[0][0])
        value = half_squares(network(x), y)
        loss.append(float(value.detach()))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    panels[0].plot(loss, marker="")
    panels[0].set(xlabel="updates", ylabel="training loss", ylim=(0, 1), title=f"η = {rate:.2g}")
    panels[1].plot(range(0, 101, 5), sharpness, markevery=1)
    panels[1].axhline(2 / rate, color="0.4", linestyle=":", label="2/η")
    panels[1].set(xlabel="updates", ylabel="sharpness", ylim=(0, 12))
    panels[1].legend()


fig, panels = plt.subplots(2, 3, figsize=(10, 4.6))
for column, rate in zip(panels.T, (0.1, 0.4, 0.7), strict=True):
    draw_walk(column, rate)
figures.show(
    fig,
    alt="Loss above sharpness for three learning rates: a smooth descent; a faster one whose sharpness meets its limit; and "
    "one that starts above its limit, jumps, and settles where the surface is flatter.",
    caption="The same start at three learning rates. Dotted: the limit of each.",
)


# %% tags=["nbval-ignore-output"]
def explore_rate(log_rate):
    fig, panels = plt.subplots(1, 2, figsize=(9, 3))
    draw_walk(panels, 10**log_rate)
    plt.close(fig)
    display(fig)


log_rate = widgets.FloatSlider(-0.6, min=-2, max=0.1, step=0.05, description="log10 η", continuous_update=False)
display(widgets.VBox([log_rate, widgets.interactive_output(explore_rate, {"log_rate": log_rate})]))

# %% [markdown]
# ## 4. Pictures and their lies
#
# A picture of a landscape in thousands of dimensions shows a plane through it: the loss at $\theta + \alpha d_1 + \beta d_2$, for two directions of
# your choice. Nobody sees the rest. Three honest questions: how long are $d_1$ and $d_2$, who chose them, and what would another plane show?
#
# **Length.** A ReLU network computes the same function when you multiply a layer's weights and biases by $c$ and divide the next layer's weights by
# $c$. To the rescaled twin, the same noise means something else. Li et al. (2018) therefore give each neuron's random direction the length of that
# neuron's own weights: **filter normalisation**. Let us see whether it works.

# %%
guess_plane = predict(
    "Equally long steps: how much more does the loss rise along the sharpest direction than along a random one?",
    ["hardly more", "about ten times", "more than a hundred times"],
)


def random_direction(network, seed, per_neuron=True):
    """A random direction [P], as long as each neuron's weights (biases stay), or as long as all parameters."""
    generator = torch.Generator().manual_seed(seed)
    noise = [torch.randn(p.shape, generator=generator).to(p) for p in network.parameters()]
    if not per_neuron:
        return flat(noise) * flat(network.parameters()).detach().norm() / flat(noise).norm()
    pairs = zip(noise, network.parameters(), strict=True)
    normal = [
        n * p.detach().norm(dim=1, keepdim=True) / n.norm(dim=1, keepdim=True) if p.ndim > 1 else 0 * n
        for n, p in pairs
    ]
    return flat(normal)


@torch.no_grad()
def rescaled(network, c):
    """The same function: first layer times c, the weights of the second divided by c."""
    twin = copy.deepcopy(network)
    for parameter, factor in zip(twin.parameters(), (c, c, 1 / c), strict=False):
        parameter *= factor
    return twin


def top_directions(network, x, y, length):
    """The two sharpest directions [2, P], by Lanczos, with the length given."""
    _, product = hessian_product(network, x, y)
    start = torch.randn(sum(p.numel() for p in network.parameters()), generator=torch.Generator().manual_seed(0))
    return lanczos(product, start.to(x), 25)[1][:, :2].T * length


# %%
def rise(network, x, y, direction, reach=0.25):
    """How much the loss rises `reach` away, mean of both sides."""
    both = [loss_of(moved(network, sign * reach * direction), x, y) for sign in (1, -1)]
    return np.mean(both) - loss_of(network, x, y)


def rises_of(k):
    """One replicate: the rise along each direction, in the network and in its twin."""
    network, x, y = networks[k], train.inputs[k], train.targets[k]
    twin = rescaled(network, 3)
    torch.testing.assert_close(twin(x), network(x), rtol=1e-3, atol=1e-3)  # one function
    some, others = np.arange(16).reshape(2, 8) + 16 * SEEDS[k]  # seeds of eight directions each

    def mean_rise(network, seeds, per_neuron=True):
        directions = [random_direction(network, int(seed), per_neuron) for seed in seeds]
        return np.mean([rise(network, x, y, direction) for direction in directions])

    top = top_directions(network, x, y, random_direction(network, int(some[0])).norm())[0]
    row = {
        "random": mean_rise(network, some),
        "others": mean_rise(network, others),
        "sharpest": rise(network, x, y, top),
    }
    for name, each in (("network", network), ("twin", twin)):
        row |= {f"{name}, raw": mean_rise(each, some, False), f"{name}, normalised": mean_rise(each, some)}
    return row


networks = Ensemble(WIDE, SEEDS).to(DEVICE)
networks.fit(train, steps=400, batch_size=32, learning_rate=3e-3, schedule="cosine", experiment="to be drawn")
steep = pd.DataFrame([rises_of(k) for k in range(REPLICATES)])
np.testing.assert_allclose(steep["twin, normalised"], steep["network, normalised"], rtol=0.03)
print("with filter normalisation the network and its twin have the same picture")

# %%
AXIS = np.linspace(-0.5, 0.5, 21)  # in lengths of the direction


def landscape(network, x, y, directions):
    """Loss on the plane of two directions [21, 21]; the second index goes along the first direction."""
    a, b = directions
    return np.array([[loss_of(moved(network, s * a + t * b), x, y) for s in AXIS] for t in AXIS])


shown, its_twin, x_shown, y_shown = networks[0], rescaled(networks[0], 3), train.inputs[0], train.targets[0]
pair = [random_direction(shown, seed=seed) for seed in (1, 2)]
planes = {
    "random, normalised": (shown, pair),
    "its twin, not normalised": (its_twin, [random_direction(its_twin, seed, per_neuron=False) for seed in (1, 2)]),
    "the two sharpest": (shown, top_directions(shown, x_shown, y_shown, pair[0].norm())),
}
pictures = {name: landscape(each, x_shown, y_shown, directions) for name, (each, directions) in planes.items()}
table = pd.concat(
    pd.DataFrame(
        {"plane": name, "direction_1": np.tile(AXIS, 21), "direction_2": np.repeat(AXIS, 21), "loss": grid.ravel()}
    )
    for name, grid in pictures.items()
)
saved = save_table(table.assign(run_id=networks.run_ids[0]), "loss_landscape_slice")


# %% tags=["drawing"]
def draw_landscape(ax, grid, title):
    shade = ax.pcolormesh(AXIS, AXIS, grid, norm=LogNorm(0.03, 3000), cmap="Greys")
    lines = ax.contour(
        AXIS, AXIS, grid, levels=[0.1, 0.2, 0.5, 1, 3, 10, 30, 100], colors=figures.PALETTE[0], linewidths=1
    )
    ax.clabel(lines, fontsize=7, fmt="%g")
    ax.plot(0, 0, marker="*", markevery=1, markersize=10, linestyle="", color=figures.PALETTE[1], label="_here")
    ax.set(title=title, xlabel="direction 1", ylabel="direction 2")
    ax.set_aspect("equal")
    return shade


fig, panels = plt.subplots(1, 3, figsize=(10.5, 3.6), sharey=True)
for ax, (name, grid) in zip(panels, pictures.items(), strict=True):
    shade = draw_landscape(ax, grid, name)
fig.colorbar(shade, ax=panels, label="training loss (nats)", shrink=0.8)
figures.show(
    fig,
    data=table,
    alt="Three planes through one function. The random normalised plane is a wide bowl. That of the rescaled twin rises "
    "steeply everywhere. The plane of the two sharpest directions is a narrow pit with high walls.",
    caption="One function, three pictures. Star: the trained network. Lines of equal loss; darker is higher.",
)

# %%
claim(
    "Along the sharpest direction the loss rises at least a hundred times as much as along random ones of equal length",
    steep["sharpest"] / steep["random"],
    at_least=100,
    scale="log",
    control=steep["others"] / steep["random"],
    control_is="the same ratio for eight other random directions",
    source="Li et al. 2018 (filter-normalised slices); our measurement",
    runs=networks.run_ids,
)
claim(
    "Without normalisation the rescaled twin, the same function, looks at least four times as steep",
    steep["twin, raw"] / steep["network, raw"],
    at_least=4,
    scale="log",
    control=steep["twin, normalised"] / steep["network, normalised"],
    control_is="the same ratio with filter normalisation",
    source="Dinh et al. 2017; Li et al. 2018",
    runs=networks.run_ids,
)
steeper = np.exp(np.log(steep["sharpest"] / steep["random"]).mean())
guess_plane.resolve([steeper < 3, 3 <= steeper <= 100, steeper > 100])

# %% [markdown]
# The middle picture was chosen to deceive: the function is the same, and it looks much steeper. Filter normalisation removes *that* lie. It does not
# remove the next one. Among $P$ parameters the curvature along a random direction is, on average, the *mean* eigenvalue (the trace over $P$), and
# almost all eigenvalues are near zero. So a random plane shows the bulk and misses the few directions that limit the learning rate. A bowl in a
# random plane does not say that there is no way down, either: the gradient here is not zero.
#
# ### Draw your own
#
# Train a network of your choice, and look at it from three sides. Each change is one more run in the ledger.


# %%
def draw_own(ax, width, log_rate, plane, seed):
    """Train a network as told on the first replicate's digits and draw the plane asked for."""
    network = mlp([64, width, width, 10], seed=seed).to(DEVICE)
    fit(network, split_of_learner, steps=150, batch_size=64, learning_rate=10**log_rate, seed=seed, experiment="my own")
    x, y = split_of_learner.inputs, split_of_learner.targets
    chosen = [random_direction(network, seed=s, per_neuron=plane != "not normalised") for s in (1, 2)]
    if plane == "sharpest":
        chosen = top_directions(network, x, y, chosen[0].norm())
    draw_landscape(ax, landscape(network, x, y, chosen).clip(0.01), f"{width} neurons, η = {10**log_rate:.2g}\n{plane}")


split_of_learner = train.replicate(0)
fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.8), sharey=True)
draw_own(panels[0], 8, -2, "normalised", 0)
draw_own(panels[1], 64, -2, "normalised", 0)
figures.show(
    fig,
    data=pd.DataFrame({"neurons in each of two hidden layers": [8, 64], "updates": [150, 150]}),
    alt="Two slices with the same kind of plane: around the narrow network the loss rises faster, from a higher floor.",
    caption="Narrow and wide, same learning rate, filter-normalised random planes. One network each: an impression, no result.",
)


# %% tags=["nbval-ignore-output"]
def explore_own(**choices):
    fig, ax = plt.subplots(figsize=(4.6, 4))
    draw_own(ax, **choices)
    plt.close(fig)
    display(fig)


controls = {
    "width": widgets.IntSlider(16, min=4, max=64, step=4, description="width", continuous_update=False),
    "log_rate": widgets.FloatSlider(-2, min=-4, max=-1, step=0.25, description="log10 η", continuous_update=False),
    "plane": widgets.Dropdown(options=["normalised", "not normalised", "sharpest"], description="plane"),
    "seed": widgets.IntSlider(0, min=0, max=9, description="seed", continuous_update=False),
}
display(widgets.VBox([*controls.values(), widgets.interactive_output(explore_own, controls)]))

# %% [markdown]
# ## 5. Are two solutions two valleys?
#
# Train two networks from different starts, and walk in a straight line from one to the other. The **barrier** is how much higher the loss is half-way
# than the mean of its ends.
#
# But the hidden neurons of a network have no order. Swap two of them, together with the weights that lead in and out, and the function stays. So
# half-way between two networks you may average a neuron for loops with one for strokes. **Weight matching** (Ainsworth et al. 2023) first renames the
# neurons of $B$: layer by layer it chooses the permutation that makes the weights of $B$ most like those of $A$, which is an assignment problem,
# until nothing changes.

# %%
guess_barrier = predict(
    "After matching the neurons, how much of the barrier is left?",
    ["nearly all", "about half", "less than a fifth"],
)
SHAPE = [64, MODE_WIDTH, MODE_WIDTH, 10]


def solutions(start, order):
    """Trained networks, a replicate each: seeds of the start and of the order of batches, counted from SEEDS."""
    networks = Ensemble(SHAPE, [seed + order for seed in SEEDS])
    networks.load_state_dict(Ensemble(SHAPE, [seed + start for seed in SEEDS]).state_dict())
    networks.to(DEVICE).fit(
        train, steps=MODE_STEPS, batch_size=64, learning_rate=3e-3, schedule="cosine", experiment="modes"
    )
    return networks


first, second, sister = solutions(0, 0), solutions(10_000, 10_000), solutions(0, 10_000)


def layers(networks, k):
    """Weights with the bias as a last column, of each layer of replicate k."""
    linear = [layer for layer in networks[k] if isinstance(layer, torch.nn.Linear)]
    return [torch.cat([layer.weight, layer.bias[:, None]], 1).detach() for layer in linear]


def permuted(weights, orders):
    """The same function with the neurons of each hidden layer in another order."""
    result = [w.clone() for w in weights]
    for i, order in enumerate(orders):
        result[i] = result[i][order]
        result[i + 1][:, :-1] = result[i + 1][:, :-1][:, order]
    return result


# %%
def matching(a, b):
    """Orders of b's hidden neurons that make its weights most like a's (Ainsworth et al. 2023, weight matching)."""
    orders = [np.arange(len(w)) for w in b[:-1]]
    for _ in range(20):
        before = [order.copy() for order in orders]
        for i in range(len(orders)):
            held = [order if j != i else np.arange(len(order)) for j, order in enumerate(orders)]
            now = permuted(b, held)
            alike = a[i] @ now[i].T + a[i + 1][:, :-1].T @ now[i + 1][:, :-1]
            orders[i] = linear_sum_assignment(alike.cpu().numpy(), maximize=True)[1]
        if all(map(np.array_equal, before, orders)):
            break
    return orders


def forward(weights, x):
    for w in weights[:-1]:
        x = torch.relu(F.linear(x, w[:, :-1], w[:, -1]))
    return F.linear(x, weights[-1][:, :-1], weights[-1][:, -1])


ALONG = np.linspace(0, 1, 11)


def path(a, b, k):
    """Training loss along the straight line, and test accuracy half-way."""
    mixes = [[torch.lerp(u, v, s) for u, v in zip(a, b, strict=True)] for s in ALONG]
    losses = [float(F.cross_entropy(forward(mix, train.inputs[k]), train.targets[k])) for mix in mixes]
    return losses, measure.accuracy(forward(mixes[5], test.inputs[k]), test.targets[k])


# %%
paths = {name: [] for name in ("independent", "neurons matched", "random order", "same start")}
for k in range(REPLICATES):
    a, b = layers(first, k), layers(second, k)
    matched = permuted(b, matching(a, b))
    generator = np.random.default_rng(SEEDS[k])
    scrambled = permuted(b, [generator.permutation(MODE_WIDTH) for _ in range(2)])
    for same in (matched, scrambled):
        torch.testing.assert_close(forward(same, test.inputs[k]), forward(b, test.inputs[k]), rtol=1e-3, atol=1e-3)
    for name, end in zip(paths, (b, matched, scrambled, layers(sister, k)), strict=True):
        paths[name].append(path(a, end, k))
lines = {name: np.array([losses for losses, _ in found]) for name, found in paths.items()}
midway = {name: np.array([accuracy for _, accuracy in found]) for name, found in paths.items()}
barrier = {name: loss[:, 5] - (loss[:, 0] + loss[:, -1]) / 2 for name, loss in lines.items()}
one_end = evaluate(first, test).mean()
print("reordered networks compute the same function")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.4), width_ratios=[1.2, 1])
for name, loss in lines.items():
    figures.lines_with_spread(panels[0], ALONG, loss, name, markevery=1)
panels[0].set(xlabel="position between the two networks", ylabel="training loss (nats)")
panels[0].legend()
figures.dots_with_spread(panels[1], {name.replace(" ", "\n"): values for name, values in midway.items()})
panels[1].axhline(one_end, color="0.4", linestyle=":", label="mean of one end")
panels[1].set(ylabel="test accuracy half-way", ylim=(0.5, 1))
panels[1].legend(fontsize=8, loc="lower center")
figures.show(
    fig,
    alt="Left: loss along straight lines. Between independent networks a high barrier, as high with neurons in random order; "
    "low after matching, and between networks with the same start. Right: test accuracy half-way, low where the barrier is high.",
    caption="Walking in a straight line from one trained network to another. Thin lines and dots are replicates.",
)

# %%
claim(
    "Half-way between independent solutions the loss is at least 0.1 nats above its ends",
    barrier["independent"],
    at_least=0.1,
    control=barrier["same start"],
    control_is="the same barrier between networks with the same start, other batches",
    source="Entezari et al. 2022; Frankle et al. 2020 (same start)",
    runs=first.run_ids + second.run_ids + sister.run_ids,
)
claim(
    "With matched neurons at most a fifth of the barrier is left",
    barrier["neurons matched"] / barrier["independent"],
    at_most=0.2,
    scale="log",
    control=barrier["random order"] / barrier["independent"],
    control_is="the same share with the neurons in random order",
    source="Ainsworth et al. 2023 (weight matching)",
    runs=first.run_ids + second.run_ids,
)
left = (barrier["neurons matched"] / barrier["independent"]).mean()
guess_barrier.resolve([left > 0.8, 0.2 <= left <= 0.8, left < 0.2])

# %% [markdown]
# Two valleys were to a large part *one valley, numbered differently*. Entezari et al. (2022) conjecture that this holds for all solutions that SGD
# finds; a small barrier remains here, and in narrow or deep networks, and without enough training, matching works worse (Ainsworth et al. report such
# failures themselves). And a barrier on the *straight* line says nothing about curved ones: Garipov et al. (2018) and Draxler et al. (2018) found
# curves of low loss without any renaming. Frankle et al. (2020) saw large networks with the same start fall apart when batches differed early in
# training, and a small one on MNIST stay together from the first update. Digits are of the second kind.
#
# ## 6. Sharpness: what it says, and what not
#
# ### First, make any network as sharp as you like
#
# Keskar et al. (2017) reported that large batches end in sharp minima that generalise worse; the idea is old (Hochreiter & Schmidhuber 1997). Before
# you test it, remember the twin. If the parameters are multiplied by a diagonal matrix, $\theta' = D\theta$, and the function stays, the Hessian
# becomes $H' = D^{-1} H D^{-1}$. (Dinh et al. 2017.)

# %%
of_ten = judged[10][0].double()
twin = rescaled(of_ten, 3.0)
torch.testing.assert_close(twin(x), of_ten(x))
D = flat([torch.full_like(p, f) for p, f in zip(of_ten.parameters(), (3, 3, 1 / 3, 1), strict=True)])
torch.testing.assert_close(exact_hessian(twin, x, y), exact_hessian(of_ten, x, y) / D / D[:, None])

FACTORS = [0.1, 0.3, 1, 3, 10]
of_factor = np.array([sharpness_of(rescaled(judged[10], c), steps=30) for c in FACTORS]).T
assert (of_factor[:, [0, -1]] > 10 * of_factor[:, [2]]).all()
print("the same function, and a Hessian of D⁻¹ H D⁻¹: at c = 10 and at c = 0.1 more than ten times as sharp")

# %% [markdown]
# So "sharp minima generalise worse" cannot be a law about the largest eigenvalue: the twin generalises *exactly* as well. What is left is a question
# about networks *as training leaves them*. And it must be asked at equal training loss, since with cross-entropy the sharpness fades as the loss
# does.
#
# ### Then compare what training leaves
#
# Same data, same starts, same learning rate, plain SGD, each stopped when its training loss reaches 0.03. **Batch size**: 8, 32 and all 600. And
# **SAM** (sharpness-aware minimisation, Foret et al. 2021), which takes its gradient a distance $\rho$ uphill, so that it feels how steep the
# surroundings are:
#
# $$ \theta \leftarrow \theta - \eta\,\nabla L\Big(\theta + \rho\,\frac{g}{|g|}\Big) $$

# %%
guess_batch = predict(
    "All 600 examples in each update instead of 8, equal training loss: what changes?",
    ["sharper, and worse on test digits by 3 points or more", "sharper, test accuracy about the same", "neither"],
)


def losses_of(networks, inputs, targets):
    """The loss of each replicate [K]."""
    pairs = zip(networks(inputs), targets, strict=True)
    return torch.stack([F.cross_entropy(*pair) for pair in pairs])


def keeper(examples):
    """A callback that keeps each replicate's parameters when its training loss first is at most LEVEL."""
    kept = {}

    @torch.no_grad()
    def look(_, networks):
        below = losses_of(networks, examples.inputs, examples.targets) <= LEVEL
        for k in below.nonzero().flatten().tolist():
            kept.setdefault(k, [p[k].clone() for p in networks.parameters()])
        return len(kept)

    return kept, look


@torch.no_grad()
def restore(networks, kept):
    """The replicates as they were kept. Fails when one has not come down to LEVEL."""
    assert len(kept) == len(networks), f"{len(kept)} of {len(networks)} replicates reached a loss of {LEVEL}"
    for i, parameter in enumerate(networks.parameters()):
        parameter[:] = torch.stack([kept[k][i] for k in range(len(networks))])
    return networks


# %%
def batches(size):
    """Row numbers [K, size] of each batch, for each replicate in an order of its own, as fit draws them."""
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    while True:
        order = torch.stack([torch.randperm(len(train), generator=generator) for generator in generators])
        yield from order[:, : len(train) - len(train) % size].split(size, dim=1)


def sam(rho, steps=None):
    """SGD in batches of 32 whose gradient is taken rho uphill, by hand: some steps, or until all are at LEVEL."""
    networks, (kept, look) = Ensemble(WIDE, SEEDS).to(DEVICE), keeper(train)
    parameters, every = list(networks.parameters()), torch.arange(REPLICATES)[:, None]

    @torch.no_grad()
    def move(directions, amounts):  # an amount for each replicate
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter += amounts.view(-1, *[1] * (direction.ndim - 1)) * direction

    for step, rows in zip(range(steps or 4 * LEVEL_STEPS), batches(32), strict=False):
        batch = train.inputs[every, rows], train.targets[every, rows]
        g = torch.autograd.grad(losses_of(networks, *batch).sum(), parameters)
        uphill = rho / sum(part.flatten(1).square().sum(1) for part in g).sqrt()
        move(g, uphill)
        downhill = torch.autograd.grad(losses_of(networks, *batch).sum(), parameters)
        move(g, -uphill)
        move(downhill, torch.full_like(uphill, -0.1))
        if not steps and step % 5 == 4 and look(step, networks) == REPLICATES:
            break
    return networks if steps else restore(networks, kept)


by_fit = Ensemble(WIDE, SEEDS).to(DEVICE)
by_fit.fit(train, steps=20, batch_size=32, learning_rate=0.1, optimizer="sgd", experiment="check of the loop by hand")
torch.testing.assert_close(sam(0, steps=20)(test.inputs), by_fit(test.inputs), rtol=1e-3, atol=1e-4)
print("without the uphill step, the loop by hand does what fit does, batch for batch")


# %%
def to_level(batch_size, examples=train, seeds=SEEDS):
    """Networks trained by SGD, each as it was when its training loss came down to LEVEL."""
    networks, (kept, look) = Ensemble(WIDE, seeds).to(DEVICE), keeper(examples)
    settings = {"batch_size": batch_size, "learning_rate": 0.1, "optimizer": "sgd"}
    watching = {"callback": look, "callback_steps": range(0, LEVEL_STEPS + 1, 5)}
    name = f"to equal loss, batch {batch_size}"
    networks.fit(examples, steps=LEVEL_STEPS, experiment=name, **settings, **watching)
    return restore(networks, kept)


at_level = {f"batch {size}" if size < 600 else "all 600": to_level(size) for size in (8, 32, 600)}
at_level |= {f"SAM {rho},\nbatch 32": sam(rho) for rho in (0.1, 0.3)}
again = to_level(32, seeds=[seed + 10_000 for seed in SEEDS])
hundred = data.stack([part.first(100) for part in train.parts]).to(DEVICE)
from_hundred = to_level(32, examples=hundred)
sharp = {name: sharpness_of(networks) for name, networks in at_level.items()}
right = {name: evaluate(networks, test) for name, networks in at_level.items()}
saved = save_table(
    pd.concat(
        pd.DataFrame({"arm": name.replace("\n", " "), "sharpness": sharp[name], "test_accuracy": right[name]})
        for name in sharp
    ),
    "06_sharpness",
)

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(11, 3.6), width_ratios=[1, 1.5, 1.5])
figures.lines_with_spread(panels[0], FACTORS, of_factor, "one function", markevery=1)
panels[0].set(xscale="log", yscale="log", xlabel="first layer times c", ylabel="sharpness")
panels[0].legend(fontsize=8)
figures.dots_with_spread(panels[1], sharp)
panels[1].set(yscale="log", ylabel="sharpness at equal training loss", ylim=(0.4, 12))
panels[1].set_yticks([0.5, 1, 2, 5, 10], labels=["0.5", "1", "2", "5", "10"])
panels[1].minorticks_off()
figures.dots_with_spread(panels[2], right)
panels[2].set(ylabel="test accuracy")
panels[2].legend(fontsize=8)
for ax in panels[1:]:
    ax.tick_params(axis="x", labelsize=7)
figures.show(
    fig,
    alt="Left: sharpness of rescaled twins, lowest near the network itself and ten times higher to both sides. Middle: sharpness at "
    "equal loss rises with the batch and falls with SAM. Right: test accuracy, nearly the same in all five.",
    caption="Left: one function, any sharpness. Middle and right: five ways of training to the same loss, one dot a replicate.",
)

# %%
claim(
    "At equal training loss, all examples at once end at least 1.2 times as sharp as batches of 8",
    sharp["all 600"] / sharp["batch 8"],
    at_least=1.2,
    scale="log",
    control=sharpness_of(again) / sharp["batch 32"],
    control_is="batches of 32 from other starts, over batches of 32",
    source="Keskar et al. 2017",
    runs=at_level["all 600"].run_ids + at_level["batch 8"].run_ids,
)
claim(
    "SAM with ρ = 0.3 ends at most 0.4 times as sharp as SGD with the same batches",
    sharp["SAM 0.3,\nbatch 32"] / sharp["batch 32"],
    at_most=0.4,
    scale="log",
    control=sharpness_of(again) / sharp["batch 32"],
    control_is="the same ratio for SGD from other starts instead of SAM",
    source="Foret et al. 2021",
    runs=at_level["batch 32"].run_ids,
)
claim(
    "Batches of 8 and all examples at once differ in test accuracy by less than 0.03",
    right["batch 8"] - right["all 600"],
    within=(-0.03, 0.03),
    control=right["batch 32"] - evaluate(from_hundred, test),
    control_is="what batches of 32 lose with a sixth of the training digits",
    source="our measurement",
    runs=at_level["all 600"].run_ids + at_level["batch 8"].run_ids,
)
sharper = (sharp["all 600"] / sharp["batch 8"]).mean() > 1.2
worse = (right["batch 8"] - right["all 600"]).mean() >= 0.03
guess_batch.resolve([sharper and worse, sharper and not worse, not sharper])

# %% [markdown]
# Batch size and SAM do change where training ends, several times over in sharpness. On these digits hardly any of it arrives in the test accuracy:
# SAM's small advantage is an *observation*, about as large as the spread from replicate to replicate. The literature is divided. Jiang et al. (2020)
# found that measures of sharpness rank many trained networks better than most others; Foret et al. (2021) gained accuracy on large image data;
# Andriushchenko et al. (2023) found no consistent correlation with generalisation, in modern settings, even for measures that rescaling does not
# change, and a dependence on the learning rate. Note what we held fixed: with one learning rate, a smaller batch also means more noise. "Small
# batches" and "large rate over batch" cannot be told apart here.
#
# ## 7. Final model = data + architecture + objective + optimization path
#
# What decides which model you get? Each term of the sum can be varied while the others stay. The measure is **disagreement**: the share of test
# signals that two final models name differently. The task is MNIST-1D with 1000 training signals, where much is left open.

# %%
guess_path = predict(
    "Same data, network, loss and start: only the order of the batches differs. How many test answers change?",
    ["fewer than 1 in 100", "1 to 10 in 100", "10 to 30 in 100", "more than 30 in 100"],
)
worlds = [data.mnist1d(4000, seed=seed).split(seed, test=2000, validation=0) for seed in SEEDS]


def only(examples, rows, what):
    return examples.replace(inputs=examples.inputs[rows], targets=examples.targets[rows], factors={}, transform=what)


base_data = data.stack([only(world.train, slice(1000), "first thousand") for world in worlds])
other_data = data.stack([only(world.train, slice(1000, 2000), "second thousand") for world in worlds])
nearly = data.stack([only(world.train, [*range(1000, 1010), *range(10, 1000)], "ten replaced") for world in worlds])
held_out = data.stack([only(world.test, slice(2000), "without factors") for world in worlds])


def final_model(
    name, examples=base_data, sizes=(40, 100, 100, 10), activation="relu", start=0, order=0, nudge=0.0, **settings
):
    """Answers [K, n] and accuracy [K] on held-out signals; what is not named is as in the base model."""
    networks = Ensemble(sizes, [seed + order for seed in SEEDS], activation=activation)
    networks.load_state_dict(Ensemble(sizes, [seed + start for seed in SEEDS]).state_dict())
    with torch.no_grad():
        networks.layers[0].weight[:, 0, 0] *= 1 + nudge
    settings = {"learning_rate": 3e-3, "optimizer": "adam", "loss": F.cross_entropy} | settings
    networks.to(DEVICE).fit(
        examples, steps=FINAL_STEPS, batch_size=50, schedule="cosine", experiment=f"final model: {name}", **settings
    )
    with torch.no_grad():
        answers = networks(held_out.inputs.to(DEVICE)).argmax(-1).cpu()
    return answers, evaluate(networks, held_out)


# %%
CHANGES = {
    "nothing": {},
    "path: one weight\nby a millionth": {"nudge": 1e-6},
    "path: order": {"order": 10_000},
    "path: start": {"start": 10_000},
    "path: start\nand order": {"start": 10_000, "order": 10_000},
    "path: SGD": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "architecture:\none more layer": {"sizes": (40, 100, 100, 100, 10)},
    "architecture:\ntanh": {"activation": "tanh"},
    "objective:\nsquares": {"loss": half_squares},
    "data: 10 of\n1000 replaced": {"examples": nearly},
    "data: another\n1000": {"examples": other_data},
}
base_answers, base_accuracy = final_model("base")
differ, accurate = {}, {}
for name, change in CHANGES.items():
    answers, accurate[name] = final_model(name.replace("\n", " "), **change)
    differ[name] = (answers != base_answers).double().mean(1).numpy()
saved = save_table(
    pd.concat(
        pd.DataFrame(
            {"changed": name.replace("\n", " "), "disagreement": differ[name], "test_accuracy": accurate[name]}
        )
        for name in differ
    ),
    "06_final_model",
)

# %% tags=["drawing"]
fig, panels = plt.subplots(2, 1, figsize=(10.5, 5.6), sharex=True)
figures.dots_with_spread(panels[0], differ, paired=False)
panels[0].axhline(0, color="0.5", linestyle=":", label="the same model")
panels[0].set(ylabel="disagreement with the base model", ylim=(-0.03, None))
panels[0].legend(fontsize=8, loc="upper left")
figures.dots_with_spread(panels[1], accurate, paired=False)
panels[1].axhline(base_accuracy.mean(), color="0.5", linestyle=":", label="base model")
panels[1].set(ylabel="test accuracy", ylim=(0, 0.7))
panels[1].tick_params(axis="x", labelsize=7)
figures.show(
    fig,
    alt="Top: disagreement with the base model, zero when nothing is changed, growing from a nudge over batch order, start, "
    "optimizer, one more layer and objective to other data. Bottom: the accuracies, which lie much closer together.",
    caption="One change at a time, all else held. One dot a replicate. Disagreement (top) and accuracy (bottom).",
)

# %%
terms = ("data: another\n1000", "architecture:\none more layer", "objective:\nsquares", "path: order")
walk = differ["path: start\nand order"]
claim(
    "Each of the four, changed alone, changes at least a tenth of the answers",
    np.min([differ[term] for term in terms], axis=0),
    at_least=0.1,
    control=differ["nothing"],
    control_is="the same training again, with nothing changed",
    source="Fort, Hu & Lakshminarayanan 2019; Summers & Dinneen 2021 (path); our measurement",
)
claim(
    "Other data of the same kind change at least 0.1 more of the answers than another path",
    differ["data: another\n1000"] - walk,
    at_least=0.1,
    control=differ["architecture:\none more layer"] - walk,
    control_is="the same difference for one more layer instead of other data",
    source="our measurement",
)
order = differ["path: order"].mean()
guess_path.resolve([order < 0.01, 0.01 <= order < 0.1, 0.1 <= order <= 0.3, order > 0.3])

# %% [markdown]
# So *data* alone are not the model, nor are data and code: the order in which examples came decides answers for individual signals, at the same
# accuracy. That is the path's share. Now the trap in this experiment. Almost any change sends training along another path, so each column contains a
# path's worth of disagreement. One more layer changes no more answers than another start and order do: from this figure alone you may not say that
# this layer mattered. Other data do more than a path can. Another objective, and tanh for ReLU, look as if they did, too; over the pilot's replicates
# that difference varied too much for a claim, and it stays an observation.
#
# How small a change is enough? Ten signals of a thousand are. A millionth of one weight, in so short a training, mostly is not: the second
# column. On image data and with long trainings Summers & Dinneen (2021) found that a single bit of one starting weight does as much as a new
# seed. That does *not* show here, but look whether one of your replicates has strayed.
#
# ## 8. The record, and what a reviewer would ask

# %% tags=["nbval-ignore-output"]
ledger = Ledger()
WHAT = """
SELECT experiment AS "Θ: what for", optimizer, objective, COUNT(*) AS runs, MIN(batch_size) AS "batch",
       AVG(final_loss) AS "mean final loss", SUM(compute.seconds) AS "C: seconds"
FROM training_run JOIN compute ON compute.run_id = training_run.id
WHERE session_id = ? GROUP BY experiment, optimizer, objective ORDER BY MIN(training_run.id)
"""
ledger.query(WHAT, [ledger.session()]).round({"mean final loss": 3, "C: seconds": 1})

# %%
runs = ledger.query("SELECT status FROM training_run WHERE session_id = ?", [ledger.session()])
per_replicate = 1 + 2 * len(NUDGES) + 2 + 4 + 1 + 3 + 6 + 1 + len(CHANGES)
expected = REPLICATES * per_replicate + 2  # two of "Draw your own"
recorded = len(runs) >= expected and set(runs.status) == {"completed"}
print(
    f"{expected} training runs: all recorded" if recorded else "Some runs are not recorded: can outputs/ be written to?"
)

# %% [markdown]
# Two trainings are *not* in this table: SAM ran in a loop of our own. Their results are in `outputs/tables/06_sharpness.csv`, but no record says how
# they were trained. That is how gaps in records arise. The slice of section 4 is the article's loss-landscape artefact, `loss_landscape_slice.csv`,
# with the number of the run that it shows. A reviewer would ask:
#
# - **Θ**: *Which seed, which order of batches?* Without the path the model cannot be made again. The ledger keeps both.
# - **A**: *You write "flat minimum". In which parametrisation, at which loss, by which measure?*
# - **E**: *You show a picture of the landscape. Who chose the plane, and how long are its axes?*
# - **G**: *Two models pass the same accuracy test and answer a third of the cases differently. Who decides which one is used?*
#
# ## 9. What you can do now
#
# 1. **Predict** a change of the loss, a limit of the learning rate, the length of a plateau (section 1).
# 2. **Compute** a spectrum exactly, and its top by Lanczos (section 2).
# 3. **Test** the sharpness against $2/\eta$ (section 3).
# 4. **Unmask** a picture (section 4), and join two solutions (section 5).
# 5. **Separate** what sharpness says from what it does not (section 6), and the four terms of a final model (section 7).
#
# **Limits of this evidence.** Networks of at most thirty thousand parameters, two small data sets, little training. The edge of stability is for full
# batches. Barriers are on the training loss and on straight lines. Sharpness is one number of a spectrum. Disagreement is larger where accuracy
# is low. Thresholds come from a pilot with 20 other replicates on one machine.
#
# ### Your turn
#
# 1. In section 3 multiply the learning rate by 0.3 after 400 updates at the edge. Predict the sharpness before you run it.
# 2. Repeat section 5 with `MODE_WIDTH = 32`. What does matching leave of the barrier?
# 3. In section 7 average the outputs of five networks of each kind. Which disagreements shrink, and why?
#
# ### Scale it up
#
# On a GPU try `EDGE_STEPS = 5000`, `SIGNALS = 4000`, `MODE_WIDTH = 1024`, `REPLICATES = 20`. Does the sharpness stay at its limit? Does the matched
# barrier vanish? Write your thresholds down first.
#
# ### References
#
# - Ainsworth, Hayase & Srinivasa 2023, *Git Re-Basin: merging models modulo permutation symmetries*, ICLR; Entezari et al. 2022, *The role of
#   permutation invariance in linear mode connectivity*, ICLR
# - Andriushchenko et al. 2023, *A modern look at the relationship between sharpness and generalization*, ICML; Jiang et al. 2020, *Fantastic
#   generalization measures and where to find them*, ICLR
# - Cohen et al. 2021, *Gradient descent on neural networks typically occurs at the edge of stability*, ICLR; Damian, Nichani & Lee 2023,
#   *Self-stabilization*, ICLR
# - Dauphin et al. 2014, *Identifying and attacking the saddle point problem*, NeurIPS; Saxe, McClelland & Ganguli 2014, arXiv:1312.6120
# - Dinh, Pascanu, Bengio & Bengio 2017, *Sharp minima can generalize for deep nets*, ICML; Hochreiter & Schmidhuber 1997, *Flat minima*, Neural
#   Computation 9; Keskar et al. 2017, *On large-batch training for deep learning*, ICLR
# - Draxler et al. 2018, *Essentially no barriers*, ICML; Garipov et al. 2018, *Loss surfaces, mode connectivity*, NeurIPS; Frankle et al. 2020,
#   *Linear mode connectivity and the lottery ticket hypothesis*, ICML
# - Foret et al. 2021, *Sharpness-aware minimization for efficiently improving generalization*, ICLR
# - Fort, Hu & Lakshminarayanan 2019, *Deep ensembles*, arXiv:1912.02757; Summers & Dinneen 2021, *Nondeterminism and instability in neural network
#   optimization*, ICML
# - Ghorbani, Krishnan & Xiao 2019, *Neural net optimization via Hessian eigenvalue density*, ICML; Papyan 2020, JMLR 21; Sagun et al. 2017,
#   arXiv:1706.04454
# - Lanczos 1950, Journal of Research of the National Bureau of Standards 45; Pearlmutter 1994, *Fast exact multiplication by the Hessian*, Neural
#   Computation 6
# - Li et al. 2018, *Visualizing the loss landscape of neural nets*, NeurIPS
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook.
