# %% [markdown]
# # What shape is a representation?
#
# **In one sentence:** handwritten digits fill a thin, curved part of the space of pictures, and a network that learns to
# name signals unfolds that part layer by layer: classes become easier to read, fewer coordinates are needed, and two
# networks come to agree. You will measure each of these over five replicates, against networks that are not trained,
# trained on shuffled labels, or built in another way.
#
# After this notebook you can
#
# 1. **train** many networks in one pass, and prove that each gets what it would get alone;
# 2. **estimate** how many coordinates data need, and say when the estimate is wrong;
# 3. **compare** linear, curved and supervised descriptions of the same data by the same measure;
# 4. **measure** what a layer makes easy to read, and whether two networks have learned the same thing;
# 5. **separate** what training put into a layer from what was there before, and from what the architecture decides.
#
# **You need** notebook 00: replicate, claim, control, linear probe. From mathematics: distance, covariance, eigenvectors.
# [Mathematics for Machine Learning](https://mml-book.github.io), chapters 4 and 10, refreshes the last two.
#
# **Reading:** 70 minutes. **Running:** about 110 seconds on one CPU core.

# %%
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from IPython.display import display
from scipy.spatial.distance import cdist
from sklearn.datasets import make_swiss_roll
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from labkit import data, figures, measure
from labkit.evidence import claim, predict
from labkit.ledger import Ledger, save_table
from labkit.models import mlp, seeded
from labkit.train import Ensemble, device, evaluate, fit

figures.style()
DEVICE = device()
CLASS_COLORS = ["#00323d", "#403702", "#6f0e82", "#0e5551", "#8d4203"]
CLASS_COLORS += ["#295fba", "#1d7d4c", "#e42f4e", "#2a8dbd", "#779d14"]


def scatter_classes(ax, xy, labels, size):
    """Draws each point [n, 2] as the digit of its class, coloured by class; size: its area in square points."""
    xy, labels = np.asarray(xy), np.asarray(labels)
    for label in np.unique(labels):
        mark = {"marker": f"${label}$", "color": CLASS_COLORS[label], "linewidths": 0.3}
        ax.scatter(*xy[labels == label].T, s=size, label=f"class {label}", **mark)


# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
POINTS = 800  # digits in an estimate of their dimension
CODE_STEPS = 1000  # updates for a description by two numbers
LAYERS = 6  # hidden layers, each of 100 neurons, of the networks that are looked at layer by layer
LAYER_STEPS = 800
PROBE_SIZE = 2000  # training signals that a probe is fitted on
COLLAPSE_STEPS = 1000
CUE_STEPS = 600
CONVOLUTION_STEPS = 100

# %% [markdown]
# ## 1. Many networks at once
#
# One network is an anecdote, so notebook 00 trained five, one after the other. For small networks that wastes time: the
# computer spends more of it on *calling* a matrix product than on computing it. So stack the parameters of $K$ networks
# and let one product serve all of them:
#
# $$ h^{(k)} = \phi\big(W^{(k)} x^{(k)} + b^{(k)}\big), \quad k = 1 \dots K \qquad\qquad L = \sum_k L_k $$
#
# The networks share nothing. In the sum of their losses, the gradient for network $k$ sees only $L_k$. Here
# are five layers, each with training digits of its own, first one by one, then all at once:

# %%
digits = data.digits()
SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
splits = [digits.split(seed, test=500, validation=0) for seed in SEEDS]
train, test = data.stack([split.train for split in splits]), data.stack([split.test for split in splits])
x = train.inputs[:, :100]  # [K, 100, 64]: the first hundred training digits of each replicate

with seeded(BASE_SEED):
    layers = [nn.Linear(64, 32) for _ in SEEDS]
W = torch.stack([layer.weight for layer in layers]).detach().requires_grad_()  # [K, 32, 64]
b = torch.stack([layer.bias for layer in layers]).detach()

one_by_one = torch.stack([layer(x[k]) for k, layer in enumerate(layers)])
at_once = torch.baddbmm(b.unsqueeze(1), x, W.mT)  # K matrix products in one call
torch.testing.assert_close(at_once, one_by_one)

at_once.square().mean((1, 2)).sum().backward()
for k, layer in enumerate(layers):
    layer(x[k]).square().mean().backward()
    torch.testing.assert_close(W.grad[k], layer.weight.grad)
print("one product computes all layers, and the sum of the losses gives each its own gradient")

# %% [markdown]
# `labkit.train.Ensemble` does this for whole networks. A replicate of an `Ensemble` must end where `fit` ends when it
# trains that network alone:

# %%
sizes = [64, 32, 32, 10]
ensemble = Ensemble(sizes, SEEDS)
ensemble.fit(train, steps=50, device="cpu", experiment="at once")

for k, seed in enumerate(SEEDS):
    alone = mlp(sizes, seed=seed)
    fit(alone, splits[k].train, steps=50, seed=seed, device="cpu", experiment="one by one")
    torch.testing.assert_close(ensemble[k](x[k]), alone(x[k]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ensemble.hidden(x)[1][k], alone[:4](x[k]).detach(), rtol=1e-3, atol=1e-4)
print("each replicate of the Ensemble is the network that fit would have trained alone; hidden gives its layers")

# %% [markdown]
# ## 2. How many numbers does a digit need?
#
# ### Three clouds in the space of pictures
#
# A picture of 8 × 8 grey values is a point in a space of 64 dimensions. Where in this space are the digits? Compare them
# with two clouds of points that share something with them. In the second row, every pixel has the mean of the digits'
# pixels and every pair of pixels has their covariance, but the points are otherwise normally distributed. In the third,
# every single pixel keeps its values, but each pixel comes from another digit.


# %%
def gaussian_like(points, seed):
    """Normal points with the mean and the covariance of the points given, and nothing else of them."""
    return np.random.default_rng(seed).multivariate_normal(points.mean(0), np.cov(points.T), len(points))


def scrambled(points, seed):
    """The same values in each pixel, shuffled among the digits, for each pixel in another order."""
    return np.random.default_rng(seed).permuted(points, axis=0)


pixels = digits.inputs.double().numpy()
ten = np.concatenate([cloud[:10] for cloud in (pixels, gaussian_like(pixels, 0), scrambled(pixels, 0))])
figures.show(
    figures.digit_grid(ten),
    alt="Three rows of ten small pictures. The first row shows handwritten digits. The second shows smeared shapes that "
    "remind of digits. The third shows noise in the middle columns.",
    caption="Digits (top); points with the digits' mean and covariance (middle); each pixel from another digit (bottom).",
)

# %% [markdown]
# Most of the space is nothing like a digit. The **manifold hypothesis** says: natural data lie near a surface of few
# dimensions, curved, inside the space of many. Its **intrinsic dimension** is the number of coordinates that you need
# *locally*: two on the surface of the earth, although the earth is a thing in three dimensions.
#
# ### Two neighbours are enough
#
# How do you count coordinates without a map? In $d$ dimensions the number of points within a distance $r$ grows
# like $r^d$. So the more dimensions, the closer the second neighbour is to the first. Let $m = r_2 / r_1$ be the ratio of
# the two distances. If the points lie evenly, on the scale of these distances, then
#
# $$ P(m > t) = t^{-d}, \qquad\text{so}\qquad -\log P(m > t) = d \log t . $$
#
# The estimator **TwoNN** sorts the ratios of all points and takes $d$ as the slope of that line. The largest tenth is left
# out, because outliers sit there.


# %%
def twonn(points, fraction=0.9):
    """Slope through the origin of -log P(m > t) against log t."""
    points = np.unique(points, axis=0)  # the nearest neighbour of a copy is itself: it has no ratio
    near, far = np.sort(cdist(points, points), axis=1)[:, 1:3].T  # column 0 is the point itself
    kept = int(fraction * len(points))
    log_t = np.sort(np.log(far / near))[:kept]
    minus_log_p = -np.log(1 - np.arange(1, kept + 1) / len(points))
    return log_t @ minus_log_p / (log_t @ log_t)


roll, _ = make_swiss_roll(2000, random_state=0)
np.testing.assert_allclose(twonn(roll), 2, atol=0.25)
print("a sheet that is rolled up in three dimensions: TwoNN finds the sheet's two")

# %% [markdown]
# Never trust an estimator after one known answer. So draw points with any number of dimensions, and hide them in 64.

# %%
DIMENSIONS = [1, 2, 5, 10, 20, 40]


def flat_cloud(dimension, seed):
    """Normal points of so many dimensions, in a flat subspace of 64 that points anywhere."""
    generator = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(generator.standard_normal((64, dimension)))
    return (generator.standard_normal((POINTS, dimension)) @ axes.T).astype(np.float32)


estimates = np.array([[twonn(flat_cloud(dimension, seed)) for dimension in DIMENSIONS] for seed in SEEDS])
fig, ax = plt.subplots(figsize=(5.5, 3.6))
figures.lines_with_spread(ax, DIMENSIONS, estimates, "TwoNN")
ax.plot(DIMENSIONS, DIMENSIONS, color="0.4", linestyle=":", marker="", label="exactly right")
ax.set(xscale="log", yscale="log", xlabel="true dimension", ylabel="estimated dimension")
ax.set_xticks(DIMENSIONS, labels=DIMENSIONS)
ax.set_yticks(DIMENSIONS, labels=DIMENSIONS)
ax.minorticks_off()
ax.legend()
figures.show(
    fig,
    alt="Estimated against true dimension on logarithmic axes. Up to about ten the estimates lie on the line of exact "
    "answers, beyond it they fall below.",
    caption="TwoNN on points of known dimension; thin lines are replicates. It is right for few dimensions and says too "
    "little for many.",
)
claim(
    "At forty dimensions TwoNN says at most four fifths of the truth",
    estimates[:, DIMENSIONS.index(40)] / 40,
    at_most=0.8,
    scale="log",
    control=estimates[:, DIMENSIONS.index(5)] / 5,
    control_is="the same ratio at five dimensions",
    source="Facco et al. 2017 (the estimator); Ansuini et al. 2019 (bias at high dimension)",
)

# %% [markdown]
# Why? In many dimensions even the nearest neighbour is far away, and on the way to it the points are no longer evenly
# spread. So read a low estimate as it stands, and a high one as *at least*.
#
# ### The digits

# %%
SIZES = [100, 200, 400, POINTS, 1600]  # digits in an estimate
guess_dimension = predict(
    "The digits have 64 pixels. How many dimensions does TwoNN find, from 800 of them?",
    ["fewer than 5", "5 to 12", "12 to 30", "more than 30"],
)


# %%
def dimensions(seed):
    """One replicate: TwoNN of the three clouds for each number of points."""
    clouds = [digits.split(seed, test=n, validation=0).test.inputs.double().numpy() for n in SIZES]
    return [[twonn(make(x, seed)) for x in clouds] for make in (lambda x, _: x, gaussian_like, scrambled)]


of_digits, of_gaussian, of_scrambled = np.moveaxis([dimensions(seed) for seed in SEEDS], 1, 0)  # each [K, sizes]

fig, ax = plt.subplots()
for values, label in ((of_scrambled, "scrambled pixels"), (of_gaussian, "same covariance"), (of_digits, "digits")):
    figures.lines_with_spread(ax, SIZES, values, label)
ax.set(xscale="log", xlabel="number of points", ylabel="estimated dimension", ylim=(0, None))
ax.set_xticks(SIZES, labels=SIZES)
ax.minorticks_off()
ax.legend()
figures.show(
    fig,
    alt="Estimated dimension against the number of points. The digits lie lowest and rise slowly; points with the same "
    "covariance and scrambled pixels lie more than twice as high.",
    caption="TwoNN for three clouds; thin lines are replicates. All have the same pixel means and variances; only the "
    "digits need few coordinates.",
)
found = of_digits[:, SIZES.index(POINTS)]
claim(
    "Locally, digits need at most twelve of their 64 dimensions",
    found,
    at_most=12,
    control=of_gaussian[:, SIZES.index(POINTS)],
    control_is="the same estimate for normal points with the digits' mean and covariance",
    over="which of the 1797 digits are taken",
    source="Facco et al. 2017; Pope et al. 2021 (dimension of image data sets)",
)
needs = found.mean()
guess_dimension.resolve([needs < 5, 5 <= needs < 12, 12 <= needs <= 30, needs > 30])

# %% [markdown]
# The control makes this a finding. Points with the *same covariance* need about twice as many dimensions, and that is an
# underestimate. So the thinness of the digits is not in the correlations between pixels. It is in what a covariance does not
# see: how the cloud bends, and that it falls into clusters.
#
# Two ways to misread it. First, there is no *true* number here: the estimate rises with the number of points, because more
# points show finer wrinkles. Compare only estimates from equally many points. Second, *one* manifold is a picture, not
# a result: Brown et al. 2023 argue for a union of separate manifolds of different dimensions, and Wang & Wang 2024
# against a single dimension even within a piece.
#
# ## 3. A digit in two numbers
#
# If few coordinates are enough *locally*, how good are two *globally*? Three ways to find two numbers for each digit:
#
# - **PCA** (principal component analysis): the two straight axes along which the digits vary most. Transparent, and linear.
# - **Autoencoder**: a network with a **bottleneck**, a layer of two neurons, that is trained to give back its input. Curved.
# - **Supervised**: a bottleneck of two neurons on the way to the *label*. Curved, and told what matters to us.
#
# PCA is the one that you can do by hand. Its axes are eigenvectors of the covariance, and an eigenvalue is the variance
# along its axis:

# %%
centred = pixels - pixels.mean(0)
variances, axes = np.linalg.eigh(np.cov(pixels.T))
variances, axes = variances[::-1], axes[:, ::-1]  # the largest first
explained = variances.cumsum() / variances.sum()

ours, theirs = centred @ axes[:, :2], measure.pca(pixels, 2)
np.testing.assert_allclose(abs(ours), abs(theirs.coordinates), atol=1e-8)  # an axis may point either way
np.testing.assert_allclose(explained[1], theirs.explained.sum())

needed = int((explained < 0.9).sum()) + 1
assert needed > 12, "straight axes need more coordinates than the local estimate"
print(f"PCA by hand agrees with labkit.measure.pca; 90 % of the variance need {needed} straight axes")

# %% [markdown]
# Straight axes need more coordinates than TwoNN found locally. A curved surface does that: a circle is one-dimensional,
# and no line holds it. Can curved codes do better with two? The measure is the same for all: a test digit's code asks
# its ten nearest training codes for their class (**10-NN accuracy**).

# %%
guess_codes = predict(
    "Which two numbers let ten neighbours name most test digits?",
    ["PCA", "autoencoder", "supervised bottleneck", "the last two about the same"],
)


# %%
def unexplained(outputs, targets):
    """Share of the variance of the targets that the outputs miss."""
    return float((outputs - targets).square().sum() / (targets - targets.mean(0)).square().sum())


def codes(ensemble, examples):
    """The two numbers of each digit: the third hidden layer, [K, n, 2]."""
    return ensemble.hidden(examples.inputs.to(DEVICE))[2].cpu().double()


def ten_neighbours(train_codes, test_codes):
    """10-NN accuracy of each replicate: the majority of the ten nearest training codes."""
    replicates = zip(train_codes, train.targets, test_codes, test.targets, strict=True)
    return np.array([KNeighborsClassifier(10).fit(h, y).score(h_test, y_test) for h, y, h_test, y_test in replicates])


def bottleneck(name, after, examples, loss):
    """Train networks with a layer of two neurons; returns them, and 10-NN accuracy before and after training."""
    activations = ["relu", "relu", "identity", *["relu"] * (len(after) - 1)]
    ensemble = Ensemble([64, 128, 64, 2, *after], SEEDS, activation=activations).to(DEVICE)
    before = ten_neighbours(codes(ensemble, train), codes(ensemble, test))
    ensemble.fit(
        examples, steps=CODE_STEPS, batch_size=100, learning_rate=5e-3, schedule="cosine", loss=loss, experiment=name
    )
    return ensemble, before, ten_neighbours(codes(ensemble, train), codes(ensemble, test))


to_itself = [part.replace(targets=part.inputs, transform="target is the input") for part in (train, test)]
autoencoder, untrained_code, of_autoencoder = bottleneck("autoencoder", [64, 128, 64], to_itself[0], F.mse_loss)
missed = evaluate(autoencoder, to_itself[1], metric=unexplained, environment="held-out digits, random rows")
supervised, _, of_supervised = bottleneck("supervised bottleneck", [10], train, F.cross_entropy)
pcas = [measure.pca(inputs) for inputs in train.inputs]
pca_codes = [pca.coordinates for pca in pcas], [pca.project(x) for pca, x in zip(pcas, test.inputs, strict=True)]
of_pca = ten_neighbours(*pca_codes)
shown = {"PCA": pca_codes[1][0], "autoencoder": codes(autoencoder, test)[0], "supervised": codes(supervised, test)[0]}


# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.6))
for ax, (name, xy) in zip(panels, shown.items(), strict=True):
    scatter_classes(ax, xy[:250], test.targets[0][:250], size=24)
    ax.set(title=name, xlabel="first number", ylabel="second number")
figures.show(
    fig,
    alt="Three scatter plots of test digits by two numbers, each drawn as its digit. With PCA the classes overlap in the "
    "middle. The autoencoder pulls them apart. The supervised code lines them up in separate rays or islands.",
    caption="The same test digits by three codes of two numbers (first replicate).",
)

fig, ax = plt.subplots()
by_code = {
    "untrained\nnetwork": untrained_code,
    "PCA": of_pca,
    "autoencoder": of_autoencoder,
    "supervised": of_supervised,
}
figures.dots_with_spread(ax, by_code)
ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
ax.set(ylabel="10-NN accuracy on test digits", ylim=(0, 1))
ax.legend(loc="lower right")
figures.show(
    fig,
    alt="Accuracy of ten neighbours for four codes of two numbers: lowest for an untrained network, higher for PCA, "
    "higher still for the autoencoder, highest for the supervised code.",
    caption="One dot a replicate; grey lines join the same replicate. Curved beats straight, and labels beat no labels.",
)

# %%
claim(
    "Two numbers from an autoencoder let neighbours name more digits than two from PCA",
    of_autoencoder - of_pca,
    at_least=0,
    control=untrained_code - of_pca,
    control_is="the same difference for the autoencoder before training",
    source="Hinton & Salakhutdinov 2006, fig. 3 (codes of two numbers)",
    runs=autoencoder.run_ids,
)
claim(
    "Two numbers from a supervised bottleneck name at least 15 points more than two from PCA",
    of_supervised - of_pca,
    at_least=0.15,
    control=untrained_code - of_pca,
    control_is="the same difference for an untrained bottleneck, that of the autoencoder",
    source="Hinton & Salakhutdinov 2006; Bengio et al. 2013 (what makes a representation good)",
    runs=supervised.run_ids,
)
straight, curved, told = of_pca.mean(), of_autoencoder.mean(), of_supervised.mean()
guess_codes.resolve(
    [
        straight >= max(curved, told),
        curved > max(straight, told + 0.03),
        told > max(straight, curved + 0.03),
        straight < max(curved, told) and abs(told - curved) <= 0.03,
    ]
)

# %% [markdown]
# Read it with the rules of the contest in mind. The supervised code was *told* the classes and is then judged by them:
# it wins at home. The autoencoder never saw a label. That *it* beats PCA says something about the data: where digits lie
# on the bent surface goes with their class. And a code is good *for* something. This contest does not ask who wrote the
# digit.
#
# ## 4. Layer by layer
#
# Now into the middle of deeper networks. Digits are too easy for this, as exercise 1 will show you. So we take **MNIST-1D**,
# made to be small and hard (Greydanus & Kobak 2024). A signal has 40 samples. It holds one of ten strokes, but shifted
# around, scaled, stretched, noisy and tilted (**sheared**) at random. Because we generate it ourselves, we know each of
# these **factors** for every signal.

# %%
worlds = [data.mnist1d(5000, seed).split(seed, test=1000, validation=0) for seed in SEEDS]
first = worlds[0].test

fig, panels = plt.subplots(1, 5, figsize=(10, 2.2), sharex=True, sharey=True)
for digit, ax in enumerate(panels):
    ax.plot(first.inputs[first.targets == digit][:3].T, marker="")
    ax.set(title=f"class {digit}", xlabel="sample")
panels[0].set(ylabel="height")
figures.show(
    fig,
    alt="Five panels with three signals of one class each. Within a class the same stroke appears at different places, "
    "sizes and tilts.",
    caption="MNIST-1D: three signals of each of five classes. What makes a class is not easy to see, and no straight "
    "rule finds it.",
)

# %% [markdown]
# Each replicate draws a new data set and trains **twins** on it: two networks with six hidden layers that differ in their
# random start and batches. (You will need two in the next section. Here you see their mean.) At every layer you ask the
# two questions that you know: how well does a linear probe read the class, and how many dimensions does TwoNN find? The
# control is the same networks before training.

# %%
guess_layers = predict(
    "From the first to the last hidden layer of a trained network, what happens on test signals?",
    ["probe rises, dimension rises", "probe rises, dimension falls", "probe falls, dimension falls", "no clear trend"],
)


# %%
def representations(ensemble, inputs):
    """Input and hidden layers of all replicates, on the CPU: a list of [replicates, n, width]."""
    inputs = inputs.to(DEVICE)
    return [layer.cpu() for layer in (inputs, *ensemble.hidden(inputs))]


def probe_layers(ensemble, seen, targets, held_out, test_targets):
    """Score of the linear probe at each layer: [replicates, 1 + layers]."""
    layers, targets = representations(ensemble, seen.inputs[:, :PROBE_SIZE]), targets[:, :PROBE_SIZE]
    pairs = zip(layers, representations(ensemble, held_out.inputs), strict=True)
    return np.array([measure.linear_probe(h, targets, h_test, test_targets) for h, h_test in pairs]).T


def dimension_of_layers(ensemble):
    """TwoNN of the test signals at each layer: [replicates, 1 + layers]."""
    return np.array([[twonn(h) for h in layer] for layer in representations(ensemble, test_signals.inputs)]).T


signals, test_signals = data.stack([w.train for w in worlds]), data.stack([w.test for w in worlds])
SHAPE = [40, *[100] * LAYERS, 10]
settings = {"steps": LAYER_STEPS, "batch_size": 100, "learning_rate": 2e-3, "schedule": "cosine"}

both_seeds = SEEDS, [100_000 + seed for seed in SEEDS]
networks = {name: [Ensemble(SHAPE, seeds).to(DEVICE) for seeds in both_seeds] for name in ("trained", "untrained")}
for twin in networks["trained"]:
    twin.fit(signals, experiment="layer by layer", **settings)
trained_runs = [run for twin in networks["trained"] for run in twin.run_ids]

task = signals, signals.targets, test_signals, test_signals.targets
probe = {name: np.mean([probe_layers(twin, *task) for twin in twins], axis=0) for name, twins in networks.items()}
dimension = {name: np.mean([dimension_of_layers(twin) for twin in twins], axis=0) for name, twins in networks.items()}
depth = np.arange(1 + LAYERS)

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
for ax, values, label in zip(
    panels, (probe, dimension), ("accuracy of the linear probe", "TwoNN dimension"), strict=True
):
    for name in values:
        figures.lines_with_spread(ax, depth, values[name], name, markevery=1)
    ax.set(xlabel="hidden layer (0: the input)", ylabel=label, ylim=(0, None))
panels[0].axhline(0.1, color="0.4", linestyle=":", label="chance")
panels[0].legend()
figures.show(
    fig,
    alt="Two panels over the layers from the input to the sixth hidden layer. Left: the probe rises in trained networks "
    "and falls slowly in untrained ones. Right: the dimension falls steeply in the later layers of trained networks and "
    "hardly in untrained ones.",
    caption="Test signals; thin lines are replicates. Depth alone makes a representation less readable; training turns "
    "that around.",
)

# %%
claim(
    "From the first to the last hidden layer the probe's accuracy rises by at least three points",
    probe["trained"][:, -1] - probe["trained"][:, 1],
    at_least=0.03,
    control=probe["untrained"][:, -1] - probe["untrained"][:, 1],
    control_is="the same rise in the same networks, untrained",
    source="Alain & Bengio 2016",
    runs=trained_runs,
)
claim(
    "The dimension in the last hidden layer is at most six tenths of that in the first",
    dimension["trained"][:, -1] / dimension["trained"][:, 1],
    at_most=0.6,
    scale="log",
    control=dimension["untrained"][:, -1] / dimension["untrained"][:, 1],
    control_is="the same ratio in the same networks, untrained",
    source="Ansuini et al. 2019",
    runs=trained_runs,
)
first_layer, last_layer = 1, LAYERS
rise = (probe["trained"][:, last_layer] - probe["trained"][:, first_layer]).mean()
growth = (dimension["trained"][:, last_layer] - dimension["trained"][:, first_layer]).mean()
guess_layers.resolve([rise > 0.02 and growth > 0, rise > 0.02 and growth <= 0, rise < -0.02, abs(rise) <= 0.02])

# %% [markdown]
# Ansuini et al. found this in large networks for pictures, after an initial *rise* of the dimension that our small
# networks hardly show. Above ten TwoNN says too little, so the fall is, if anything, steeper than drawn. But do not read it
# as "a lower dimension is better": a layer that maps everything to one point has dimension zero. Read both panels
# together. The representation gets thinner *and* keeps what the task needs.
#
# ## 5. Do two networks learn the same thing?
#
# The twins saw the same signals but started from other parameters. Neuron 7 of one has nothing to do with neuron 7 of the
# other. So compare not neurons but *geometry*: which inputs lie close together? **Linear CKA** (centred kernel alignment)
# does that. Let $X$ and $Y$ hold the two representations of the same inputs, row by row, with column means removed:
#
# $$ \mathrm{CKA}(X, Y) = \frac{\lVert Y^\top X \rVert_F^2}{\lVert X^\top X \rVert_F\ \lVert Y^\top Y \rVert_F} $$
#
# It is 1 when one representation is the other, rotated and scaled, and 0 when nothing corresponds.


# %%
def linear_cka(X, Y):
    """Similarity of two representations of the same inputs [..., n, width], in double precision; of each replicate."""
    X, Y = (Z.double() - Z.double().mean(-2, keepdim=True) for Z in (X, Y))
    norm = torch.linalg.matrix_norm  # Frobenius: the root of the sum of squares
    return norm(Y.mT @ X) ** 2 / (norm(X.mT @ X) * norm(Y.mT @ Y))


X, Y = (representations(twin, test_signals.inputs)[3][0].double() for twin in networks["trained"])
between_inputs = [(Z - Z.mean(0)) @ (Z - Z.mean(0)).T for Z in (X, Y)]  # [n, n]: dot products of centred rows
cosine = F.cosine_similarity(*(products.flatten() for products in between_inputs), dim=0)
torch.testing.assert_close(linear_cka(X, Y), cosine)
rotation = torch.linalg.qr(Y[:100]).Q
np.testing.assert_allclose(linear_cka(X, 3 * X @ rotation), 1)

noise = torch.from_numpy(np.random.default_rng(BASE_SEED).standard_normal((2, 2000, 100)))
few, many = (linear_cka(noise[0, :n], noise[1, :n]) for n in (20, 2000))
assert few > 0.5
assert many < 0.1
print("CKA is the cosine between two tables of dot products, input by input; rotating and scaling change nothing")
print("unrelated noise of 100 features: CKA above 0.5 with 20 inputs, below 0.1 with 2000")

# %% [markdown]
# Mind the last line. With few inputs even noise looks related, so use many more inputs than neurons: here 1000.

# %%
guess_twins = predict(
    "How similar are the last hidden layers of two trained twins, compared with two untrained ones?",
    ["less similar", "about equally similar", "much more similar"],
)


# %%
def layers_of_twins(name):
    return [representations(twin, test_signals.inputs)[1:] for twin in networks[name]]


(after, after_twin), (before, before_twin) = layers_of_twins("trained"), layers_of_twins("untrained")
pairs = {
    "two trained twins": zip(after, after_twin, strict=True),
    "a network and its own start": zip(after, before, strict=True),
    "two untrained twins": zip(before, before_twin, strict=True),
}
cka = {name: np.stack([linear_cka(a, b) for a, b in layers], axis=1) for name, layers in pairs.items()}
across = np.array([[linear_cka(a, b).numpy() for b in after_twin] for a in after])  # [layers, layers, replicates]
matched = (across.argmax(1) == np.arange(LAYERS)[:, None]).mean()

fig, panels = plt.subplots(1, 2, figsize=(10, 4), width_ratios=[1.4, 1])
for name, values in cka.items():
    figures.lines_with_spread(panels[0], depth[1:], values, name, markevery=1)
panels[0].set(xlabel="hidden layer", ylabel="linear CKA", ylim=(0, 1))
panels[0].legend(loc="lower left")
colours = {"cmap": "cividis", "vmin": 0, "vmax": 1, "cbar_kws": {"label": "linear CKA"}}
ticks = {"xticklabels": depth[1:], "yticklabels": depth[1:]}
sns.heatmap(across.mean(-1), ax=panels[1], annot=True, fmt=".2f", square=True, **colours, **ticks)
panels[1].set(title=f"best match at the same depth: {matched:.0%}")
panels[1].set(xlabel="layer of the second twin", ylabel="layer of the first twin")
figures.show(
    fig,
    alt="Left: similarity by layer. Trained twins stay similar at all layers, untrained twins and a network with its own "
    "start become less similar with depth. Right: a grid of similarities between the layers of two trained twins; the "
    "later layers form a bright block.",
    caption="Left: thin lines are replicates. Right: mean over replicates. In the bright block every layer resembles "
    "every other, also in the other network.",
)

# %%
gain = cka["two trained twins"] - cka["two untrained twins"]
claim(
    "In the last hidden layer, CKA between trained twins exceeds that between untrained ones by at least 0.3",
    gain[:, -1],
    at_least=0.3,
    control=gain[:, 0],
    control_is="the same difference in the first hidden layer",
    source="Kornblith et al. 2019",
    runs=trained_runs,
)
in_last = gain[:, -1].mean()
guess_twins.resolve([in_last < -0.1, abs(in_last) <= 0.1, in_last > 0.1])

# %% [markdown]
# Training from different starts leads to similar geometry. In the *first* layer (the control) there is hardly a
# difference: there the data decide, and any random layer preserves much of their geometry. Look at the lowest line, too:
# training carries a network further from its own start than another random start is.
#
# Kornblith et al. also found that CKA *matches* layers: the most similar layer of the other network was nearly always
# the one at the same depth. The title of the heat map counts how often that is so here. Guessing would find one of six.
# The match is better than that and far from always: their result, for a convolutional network of ten layers, does not
# show here. The heat map says why. Our later layers all look alike, and within such a block the best match is luck. This is
# an observation, not a claim: it varies too much between replicates.
#
# CKA has been criticised, too. Davari et al. 2023 change its value much without changing what a network does, and Ding et
# al. 2021 find that measures of similarity disagree on simple tests. Use it as one witness among several.
#
# ## 6. Where training ends: neural collapse
#
# Back to the digits, and past the point where all training digits are named rightly. Does anything still change? Papyan,
# Han and Donoho found that the last hidden layer moves on towards perfect symmetry. Two signs of it:
#
# - **Variability collapses.** Within a class all representations shrink to their mean. With $\Sigma_W$ the covariance
#   within and $\Sigma_B$ the covariance between the $C$ classes: $\mathrm{NC1} = \mathrm{tr}(\Sigma_W \Sigma_B^{+}) / C \to 0$.
# - **Means spread evenly.** Seen from their centre, every two class means are equally far apart, at the widest angle
#   that is possible for all pairs: a cosine of $-1/(C-1)$.


# %%
def collapse_signs(h, y):
    """NC1, and the mean distance of the cosines between class means from -1/(C - 1)."""
    means = torch.stack([h[y == c].mean(0) for c in range(10)])
    centred = means - means.mean(0)
    within = sum(torch.cov(h[y == c].T, correction=0) for c in range(10)) / 10
    between = centred.T @ centred / 10
    cosines = F.normalize(centred) @ F.normalize(centred).T
    angle = (cosines[~torch.eye(10, dtype=torch.bool)] + 1 / 9).abs().mean()
    nc1 = (torch.linalg.pinv(between, hermitian=True) @ within).trace() / 10
    return {"nc1": float(nc1), "nc2_angle": float(angle)}


unit = torch.eye(10, dtype=torch.float64)
corners = unit - 0.1  # ten means as far from each other as can be
cross = 0.5 * torch.cat([unit, -unit])  # twenty rows around each: a covariance of 0.025 in every direction
of_corners = collapse_signs((corners.unsqueeze(1) + cross).flatten(0, 1), torch.arange(10).repeat_interleave(20))
np.testing.assert_allclose(list(of_corners.values()), [0.9 * 0.5**2, 0], atol=1e-12)
print("ten means at the widest angles: both signs are what you can work out on paper")

# %% [markdown]
# Two kinds of networks, equal but for one thing: **batch normalisation**, a layer that gives each neuron mean 0 and
# variance 1 over the batch before ReLU. Lab 4 opens it. Both are trained long after the first moment without a
# training error, by gradient descent with **momentum** (a step keeps part of the one before) and **weight decay** (each
# step also shrinks all parameters a little). Lab 3 opens these two.

# %%
guess_collapse = predict(
    "All training digits are named rightly. You train on, with batch normalisation. What happens to NC1?",
    ["it rises", "it stays about where it is", "it falls clearly, by a third or more"],
)

# %%
MOMENTS = [0, 25, 50, 100, 200, 400, 700, COLLAPSE_STEPS]
sgd = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1, "weight_decay": 1e-3, "schedule": "cosine"}


def collapse(norm):
    """Train on digits; returns networks, a table of the signs over time, and snapshots of the first network's layers."""
    networks = Ensemble([64, 128, 128, 128, 10], SEEDS, norm=norm)
    rows, snapshots = [], []

    def look(step, networks):
        layers, logits = [layer.cpu() for layer in networks.hidden(inputs)], networks(inputs).cpu()
        for k in range(REPLICATES):
            errors = 1 - measure.accuracy(logits[k], train.targets[k])
            signs_of_k = collapse_signs(layers[-1][k].double(), train.targets[k])
            rows.append({"update": step, "replicate": k, "errors": errors, **signs_of_k})
        snapshots.append([layer[0, :200].clone() for layer in layers])

    inputs, name = train.inputs.to(DEVICE), "collapse, batch norm" if norm else "collapse, no batch norm"
    networks.fit(
        train, steps=COLLAPSE_STEPS, batch_size=128, callback=look, callback_steps=MOMENTS, experiment=name, **sgd
    )
    return networks, pd.DataFrame(rows), snapshots


with_norm, signs_with, snapshots_with = collapse("batch")
without_norm, signs_without, snapshots_without = collapse(None)

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
for label, signs in (("batch norm", signs_with), ("no batch norm", signs_without)):
    for ax, sign in zip(panels, ("nc1", "nc2_angle"), strict=True):
        table = signs.pivot(index="replicate", columns="update", values=sign)
        line = figures.lines_with_spread(ax, MOMENTS, table, label, markevery=1)
        free = signs[signs.errors == 0].groupby("replicate").first()  # the first look without a training error
        ax.scatter(
            free["update"],
            free[sign],
            marker="*",
            s=110,
            color=line.get_color(),
            zorder=3,
            label=f"{label}: first look without error",
        )
        ax.set(xscale="symlog", yscale="log", xlabel="updates", xlim=(0, 1.2 * COLLAPSE_STEPS))
panels[0].set(ylabel="NC1 (within over between)")
panels[1].set(ylabel="distance of cosines from -1/9")
panels[0].legend(fontsize=8)
figures.show(
    fig,
    alt="Two panels over the updates, logarithmic. With batch normalisation both signs keep falling long after the stars "
    "that mark the first look without a training error. Without it both stay high.",
    caption="Training digits; thin lines are replicates, stars mark when a network first made no training error.",
)


# %%
def at_end(signs, name):
    return signs[signs["update"] == COLLAPSE_STEPS].set_index("replicate")[name]


def fall_after_zero_error(signs):
    """NC1 at the first look without a training error, over NC1 at the end; 1 where there was no such look."""
    first = signs[signs.errors == 0].groupby("replicate").nc1.first()
    return (first / at_end(signs, "nc1")).fillna(1).to_numpy()


falls = fall_after_zero_error(signs_with)
claim(
    "With batch normalisation NC1 falls to at most two thirds after training error has reached zero",
    falls,
    at_least=1.5,
    scale="log",
    control=fall_after_zero_error(signs_without),
    control_is="the same fall without batch normalisation, 1 where error never reached zero",
    source="Papyan, Han & Donoho 2020, NC1",
    runs=with_norm.run_ids,
)
claim(
    "With batch normalisation the cosines between class means end within 0.1 of -1/9",
    at_end(signs_with, "nc2_angle").to_numpy(),
    at_most=0.1,
    control=at_end(signs_without, "nc2_angle").to_numpy(),
    control_is="the same distance in networks without batch normalisation",
    source="Papyan, Han & Donoho 2020, NC2",
    runs=with_norm.run_ids,
)
fell = falls.mean()  # NC1 before over NC1 after: above 1 it fell
guess_collapse.resolve([fell < 0.8, 0.8 <= fell <= 1.5, fell > 1.5])

# %% [markdown]
# Without batch normalisation the representation does not collapse *within this budget and with these settings*. That
# is all you may say. The theory treats the last layer's representations as if they could move freely (*unconstrained
# features*: Mixon et al. 2020; Zhu et al. 2021). It predicts collapse for every network that is trained to the end with
# weight decay, normalised or not. Our networks without normalisation may be too small to move freely, or too slow.
#
# And collapse is about *training* digits. Hui et al. 2022 show that the collapse of test examples is another matter, and
# that collapsed layers transfer worse to other tasks.
#
# Look at it happen. Each panel shows the same 200 training digits, by the two main axes of a layer.


# %% tags=["drawing"]
def draw_layer(ax, snapshots, layer, moment):
    """Two principal axes of a hidden layer (counted from 1) after some updates."""
    h = snapshots[MOMENTS.index(moment)][layer - 1]
    scatter_classes(ax, measure.pca(h).coordinates, train.targets[0][:200], size=16)
    ax.set(title=f"layer {layer}, update {moment}", xticks=[], yticks=[])


fig, grid = plt.subplots(3, 3, figsize=(9, 8))
choices = [(snapshots_with, 1), (snapshots_with, 3), (snapshots_without, 3)]
for row, (snapshots, layer) in zip(grid, choices, strict=True):
    for ax, moment in zip(row, (0, 50, COLLAPSE_STEPS), strict=True):
        draw_layer(ax, snapshots, layer, moment)
    row[0].set(ylabel="second axis", xlabel="first axis")
grid[2, 0].set(ylabel="no batch norm: second axis")
figures.show(
    fig,
    alt="Three rows of three scatter plots over training. In the first layer the classes stay spread out. In the third "
    "layer with batch normalisation they contract to small spots. Without it they remain longish clouds.",
    caption="Top: layer 1, middle: layer 3, both with batch normalisation. Bottom: layer 3 without. Ten evenly spread "
    "means need nine dimensions, so in two some spots must overlap.",
)


# %% tags=["nbval-ignore-output"]
def explore(layer, moment, norm):
    fig, ax = plt.subplots(figsize=(5, 4.5))
    draw_layer(ax, snapshots_with if norm else snapshots_without, layer, moment)
    plt.close(fig)
    display(fig)


controls = {
    "layer": widgets.IntSlider(3, 1, 3, description="layer"),
    "moment": widgets.SelectionSlider(options=MOMENTS, value=COLLAPSE_STEPS, description="updates"),
    "norm": widgets.Checkbox(True, description="batch normalisation"),
}
display(widgets.VBox([*controls.values(), widgets.interactive_output(explore, controls)]))

# %% [markdown]
# ## 7. Learned representation ≠ neutral representation
#
# A layer that was trained for one purpose is used for others all the time. Is it a neutral description, to which a label
# was added? Ask it about what was *never* labelled. MNIST-1D knows for every signal by how much it was **shifted** (around a
# circle, so we probe the cosine and sine of the angle) and **sheared**. The score of a probe for numbers is $R^2$, the
# share of their variance that it explains.
#
# Two controls. The *untrained* networks: what does the architecture keep anyway? And networks trained on
# *shuffled labels*: what does training do when there is nothing to learn but noise?

# %%
guess_factors = predict(
    "In the middle of the network, what does training on the class do to a probe for the shift?",
    ["the class needs no shift, so it removes it", "it changes little", "it makes the shift easier to read"],
)


# %%
def shuffled(targets, seed):
    return targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))]


noise_targets = torch.stack([shuffled(targets, seed) for targets, seed in zip(signals.targets, SEEDS, strict=True)])
noise_signals = signals.replace(targets=noise_targets, transform="labels shuffled")
networks["shuffled labels"] = [Ensemble(SHAPE, SEEDS)]
networks["shuffled labels"][0].fit(noise_signals, experiment="shuffled labels", **settings)

CIRCLE = 2 * np.pi / 72  # the signals are shifted around a circle of 72 places
FACTORS = {
    "shift": (lambda f: torch.cos(CIRCLE * f["shift"]), lambda f: torch.sin(CIRCLE * f["shift"])),
    "shear": (lambda f: f["shear"],),
}


def factor_probe(twins, functions):
    """R² of linear probes, mean over functions of the factors and over twins: [replicates, 1 + LAYERS]."""
    targets = [(function(signals.factors), function(test_signals.factors)) for function in functions]
    return np.mean([probe_layers(t, signals, y, test_signals, y_test) for t in twins for y, y_test in targets], axis=0)


r2 = {factor: {name: factor_probe(twins, f) for name, twins in networks.items()} for factor, f in FACTORS.items()}

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for ax, factor in zip(panels, r2, strict=True):
    for name, values in r2[factor].items():
        figures.lines_with_spread(ax, depth, values, name, markevery=1)
    ax.set(title=factor, xlabel="hidden layer (0: the input)", ylabel="R² of the linear probe")
panels[0].legend()
figures.show(
    fig,
    alt="Two panels over the layers. Left, the shift: unreadable in the input, then readable in all networks, most in the "
    "trained ones up to the middle layers, and lost at the end. Right, the shear: readable in the input and in untrained "
    "networks, lost in the late layers of both kinds of trained networks.",
    caption="Two things that no label names; thin lines are replicates. Training on classes brings out the one in the "
    "middle layers and wipes out the other.",
)

# %%
MIDDLE = LAYERS // 2
shift, shear = r2["shift"], r2["shear"]
added = shift["trained"] - shift["untrained"]
claim(
    "In the middle layer, training on classes adds at least 0.05 to the R² of a probe for the shift",
    added[:, MIDDLE],
    at_least=0.05,
    control=(shift["shuffled labels"] - shift["untrained"])[:, MIDDLE],
    control_is="the same difference for networks trained on shuffled labels",
    source="Hermann & Lampinen 2020",
    runs=trained_runs,
)
removed = shear["untrained"] - shear["trained"]
claim(
    "In the last layer, training on classes removes at least 0.3 of the R² of a probe for the shear",
    removed[:, -1],
    at_least=0.3,
    control=removed[:, 1],
    control_is="the same difference in the first hidden layer",
    source="Hermann & Lampinen 2020 (what the task does not need is partly suppressed)",
    runs=trained_runs,
)
change = added[:, MIDDLE].mean()
guess_factors.resolve([change < -0.03, abs(change) <= 0.03, change > 0.03])

# %% [markdown]
# Without the untrained control you would overstate it. Much of the shift can be read from *random* layers. What training
# *adds* is the difference, and shuffled labels do not add it. A likely reason: to find out which stroke it is, the network
# has to find out where it is. In the last layers both factors go. Note that shuffled labels remove the shear as well, more
# slowly: its loss is the work of training, and not of true labels alone.
#
# ### A cue that nobody meant
#
# Suppose now that some pictures carry a mark that has nothing to do with the label: a scanner's shadow, a hospital's
# stamp. We draw a faint bar over the top of every second digit, at random, and add noise. The label is still the digit.


# %%
def with_cue(examples, seed):
    """Digits of which a random half has a faint bar in the top row, all with noise; the factor `cue` says which."""
    generator = torch.Generator().manual_seed(seed)
    cue = torch.randint(0, 2, examples.targets.shape, generator=generator)
    inputs = examples.inputs + 0.1 * torch.randn(examples.inputs.shape, generator=generator)
    inputs[..., :8] += 0.3 * cue.unsqueeze(-1)
    return examples.replace(inputs=inputs, factors={"cue": cue}, transform="faint bar on a random half; noise 0.1")


marked, marked_test = with_cue(train, BASE_SEED), with_cue(test, BASE_SEED + 1)
pretend = torch.randint(0, 2, (2, *marked.targets.shape), generator=torch.Generator().manual_seed(BASE_SEED + 2))
no_targets = torch.stack([shuffled(targets, seed) for targets, seed in zip(marked.targets, SEEDS, strict=True)])
marked_noise = marked.replace(targets=no_targets, transform="labels shuffled")
cue_networks = {name: Ensemble([64, 100, 100, 100, 100, 10], SEEDS).to(DEVICE) for name in r2["shift"]}
for name, examples in (("trained", marked), ("shuffled labels", marked_noise)):
    cue_networks[name].fit(examples, steps=CUE_STEPS, batch_size=100, experiment=f"a faint cue, {name}")


def cue_probe(name, cue, cue_test):
    return probe_layers(cue_networks[name], marked, cue, marked_test, cue_test)


read = {name: cue_probe(name, marked.factors["cue"], marked_test.factors["cue"]) for name in cue_networks}
no_cue = cue_probe("trained", pretend[0], pretend[1, :, : len(marked_test)])

# %% tags=["drawing"]
fig, ax = plt.subplots()
for name, values in (*read.items(), ("trained, a cue that is not there", no_cue)):
    figures.lines_with_spread(ax, np.arange(5), values, name, markevery=1)
ax.axhline(0.5, color="0.4", linestyle=":", label="chance")
ax.set(xlabel="hidden layer (0: the input)", ylabel="probe accuracy for the cue", xticks=range(5))
ax.legend()
figures.show(
    fig,
    alt="Probe accuracy for the cue over the layers. It starts near one and fades with depth. In the last layers it is "
    "lowest in networks trained on digits, but above chance. For a cue that is not in the pictures it is at chance.",
    caption="Nobody labelled the cue and it does not help; thin lines are replicates. It fades and can still be read.",
)

# %%
claim(
    "Three layers deep, a probe still tells marked from unmarked digits in at least 65 of 100 cases",
    read["trained"][:, 3],
    at_least=0.65,
    control=no_cue[:, 3],
    control_is="the same probe for a cue that is not in the pictures",
    source="Hermann & Lampinen 2020; Alain & Bengio 2016",
    runs=cue_networks["trained"].run_ids,
)

# %% [markdown]
# In the last layers training on digits makes the cue fade faster than depth alone does. It does not make it vanish, and the
# early layers keep it in every network. So a record of a layer is a record of everything that can still be read from it.
# "We keep no pictures, only the representation" does not protect the stamp. (What a probe can read is not yet what the
# network *uses*: you know that from notebook 00.)
#
# ### The architecture decides first
#
# A **convolution** slides one small set of weights along the signal, so every place is treated alike. Its output says
# *what* was found *where*. What comes next decides whether the "where" survives: a **flattened** head hands on every
# place by itself, **global max pooling** keeps only the largest value of each filter. (Lab 5 builds all of this.)


# %%
class GlobalMaxPool(nn.Module):
    def forward(self, x):
        return x.amax(-1)


def convolutional(pool, seed):
    """Three convolutions of 16 filters; then a head on every place, or on the largest value of each filter."""
    with seeded(seed):
        filters = [nn.Unflatten(1, (1, 40))]
        for channels in (1, 16, 16):
            filters += [nn.Conv1d(channels, 16, 5, padding=2), nn.ReLU()]
        head = [GlobalMaxPool(), nn.Linear(16, 10)] if pool else [nn.Flatten(), nn.Linear(16 * 40, 10)]
        return nn.Sequential(*filters, *head)


def shift_in_head(network, world):
    """R² for the shift from what the last linear layer is given."""
    with torch.no_grad():
        h, h_test = (network[:-1](part.inputs.to(DEVICE)).cpu() for part in (world.train, world.test))
    scores = []
    for factor in FACTORS["shift"]:
        targets, test_targets = factor(world.train.factors), factor(world.test.factors)
        scores.append(measure.linear_probe(h[:PROBE_SIZE], targets[:PROBE_SIZE], h_test, test_targets))
    return np.mean(scores)


# %%
heads = {"flattened": False, "global max pooling": True}
columns, accuracies, convolutional_runs = {}, {}, {}
for head, pool in heads.items():
    starts = [convolutional(pool, seed).to(DEVICE) for seed in SEEDS]
    columns[f"{head},\nuntrained"] = [shift_in_head(*pair) for pair in zip(starts, worlds, strict=True)]
    for network, world, seed in zip(starts, worlds, SEEDS, strict=True):
        fit(
            network,
            world.train,
            steps=CONVOLUTION_STEPS,
            batch_size=100,
            learning_rate=5e-3,
            schedule="cosine",
            seed=seed,
            experiment=head,
        )
    columns[f"{head},\ntrained"] = [shift_in_head(*pair) for pair in zip(starts, worlds, strict=True)]
    tests = [evaluate(network, world.test) for network, world in zip(starts, worlds, strict=True)]
    accuracies[head], convolutional_runs[head] = np.array(tests), [network.run_id for network in starts]

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=[2, 1])
figures.dots_with_spread(panels[0], columns)
panels[0].axhline(0, color="0.4", linestyle=":", label="nothing can be read")
panels[0].set(ylabel="R² for the shift before the last layer")
panels[0].legend(loc="upper right")
figures.dots_with_spread(panels[1], accuracies)
panels[1].set(ylabel="test accuracy, trained", ylim=(0, 1))
figures.show(
    fig,
    alt="Left: R² for the shift with two heads, before and after training. With the flattened head it is high both times, "
    "with global max pooling it is near zero both times. Right: test accuracy, higher with global max pooling.",
    caption="One dot a replicate; grey lines join the same replicate. Whether the shift can be read is decided by the head, "
    "before any training.",
)

# %%
flattened, pooled = (np.array(columns[f"{head},\ntrained"]) for head in heads)
claim(
    "With a flattened head a probe explains at least 0.4 of the shift",
    flattened,
    at_least=0.4,
    control=pooled,
    control_is="the same probe behind global max pooling, which leaves 16 numbers, not 640",
    source="Islam et al. 2020 (position information in convolutional networks)",
    runs=convolutional_runs["flattened"],
)

# %% [markdown]
# Same data, same labels, equally many updates; only the head differs, and what the last layer is told is another thing.
# Pooling builds in the assumption that place does not matter. For the class that is a help, and after so few updates a
# large one. For anyone who needs the place it is a loss. The name *representation learning* hides this: part of a
# representation is designed.
#
# ## 8. The record, and what a reviewer would ask
#
# The ledger has grown. First the article's two artefacts, as tables: the **representation geometry output** (where the
# digits are in each code of two numbers, and how good the code is) and the **generalization diagnostics** (how much better
# is each model on the examples it was trained on?).

# %%
coordinates = pd.concat(
    pd.DataFrame(np.asarray(xy), columns=["representation_1", "representation_2"]).assign(
        code=name, target=test.targets[0]
    )
    for name, xy in shown.items()
)
explained_by = np.array([pca.explained for pca in pcas]).mean(0)
summary = pd.DataFrame(
    {
        "code": list(shown),
        "ten_nn_accuracy": [of_pca.mean(), of_autoencoder.mean(), of_supervised.mean()],
        "pc1_explained_variance": [explained_by[0], None, None],
        "pc2_explained_variance": [explained_by[1], None, None],
        "total_explained_variance": [explained_by.sum(), 1 - missed.mean(), None],
    }
)
models = {
    "supervised bottleneck": (supervised, train, test),
    "batch normalisation": (with_norm, train, test),
    "no batch normalisation": (without_norm, train, test),
    "MNIST-1D": (networks["trained"][0], signals, test_signals),
    "MNIST-1D, labels shuffled": (networks["shuffled labels"][0], noise_signals, test_signals),
}
gaps = []
for name, (model, seen, held_out) in models.items():
    on_train, on_test = evaluate(model, seen, environment="training examples"), evaluate(model, held_out)
    table = {"model": name, "run_id": model.run_ids, "train_accuracy": on_train, "test_accuracy": on_test}
    table["generalization_gap_train_minus_test"] = on_train - on_test
    gaps.append(pd.DataFrame(table).assign(train_rows=len(seen), test_rows=len(held_out)))
gaps = pd.concat(gaps, ignore_index=True)
save_table(coordinates, "representation_geometry_coordinates")
save_table(summary, "representation_geometry_summary")
save_table(gaps, "generalization_diagnostics")
print(f"{len(coordinates)} coordinates, {len(summary)} codes, {len(gaps)} networks: three tables in outputs/tables")

# %% tags=["drawing"]
fig, ax = plt.subplots(figsize=(8, 3.4))
order = list(models)
for i, (column, label) in enumerate({"train_accuracy": "training examples", "test_accuracy": "test examples"}.items()):
    ax.plot(gaps[column], gaps.model.map(order.index) + 0.2 * i - 0.1, linestyle="", markevery=1, label=label)
ax.set_yticks(range(len(order)), labels=order)
ax.set(xlabel="accuracy", xlim=(0, 1.02))
ax.invert_yaxis()
ax.legend(loc="upper left")
figures.show(
    fig,
    data=gaps,
    alt="Accuracy on training and on test examples for five kinds of networks. On digits both are high and close. On "
    "MNIST-1D the training accuracy is far above the test accuracy; with shuffled labels the test accuracy is at chance.",
    caption="Generalization diagnostics: one mark a network. The distance between the two marks is the gap.",
)

# %% [markdown]
# A small gap is no certificate: both test parts come from the distribution of the training part. And a large one, as on
# MNIST-1D, does not stop a representation from being useful: the layers that you measured belong to these networks.
#
# What does the ledger know by now? Every network that this notebook trained must be there.

# %% tags=["nbval-ignore-output"]
ledger = Ledger()
WHAT = """
SELECT dataset.name AS D, split.transform AS "D: changed", experiment, architecture.name AS A, COUNT(*) AS "Θ: runs",
       SUM(compute.seconds) AS "C: seconds",
       SUM(training_run.id IN (SELECT run_id FROM claim_run)) AS "G: runs behind a claim"
FROM training_run
JOIN architecture ON architecture.id = architecture_id
JOIN split ON split.id = training_run.split_id
LEFT JOIN dataset ON dataset.id = split.dataset_id
JOIN compute ON compute.run_id = training_run.id
WHERE session_id = ?
GROUP BY dataset.name, split.transform, experiment, architecture.name
ORDER BY MIN(training_run.id)
"""
ledger.query(WHAT, [ledger.session()]).round(1)

# %%
runs = ledger.query("SELECT status FROM training_run WHERE session_id = ?", [ledger.session()])
sections = {1: 2, 3: 2, 4: 2, 6: 2, 7: 5}  # networks for each replicate
expected = REPLICATES * sum(sections.values())
recorded = len(runs) >= expected and set(runs.status) == {"completed"}
print(
    f"{expected} training runs: all recorded" if recorded else "Some runs are not recorded: can outputs/ be written to?"
)

# %% [markdown]
# A reviewer would ask:
#
# - **D**: *Every MNIST-1D replicate is a new data set. Which one was model 40 trained on?* Its fingerprint says.
# - **A**: *You say training did it. Did you try another architecture?* Section 7 did, and the answer changed.
# - **E**: *You probed for two factors and a cue. What else can be read from these layers?* Nobody knows. A probe finds only
#   what someone thought of.
# - **G**: *Who may use these representations, and for what?* So far nobody has written it down. Notebook 09 will.
#
# ## 9. What you can do now
#
# 1. **Train** many networks in one pass, and prove that each gets what it would get alone (section 1).
# 2. **Estimate** how many coordinates data need, and say when the estimate is wrong (section 2).
# 3. **Compare** straight, curved and supervised codes by the same measure (section 3).
# 4. **Measure** what a layer makes easy to read, and whether two networks agree (sections 4 to 6).
# 5. **Separate** what training adds from what was there and from what the architecture decides (section 7).
#
# **Limits of this evidence.** Two small data sets and networks of a few thousand to a few ten thousand parameters. Probes
# are linear: what they miss may still be there. TwoNN depends on the number of points and says too little above ten. CKA
# is one of several measures that disagree. Without batch normalisation we saw no collapse in one budget at one
# setting. Thresholds come from a pilot with 20 other replicates on one machine.
#
# ### Your turn
#
# 1. Run sections 4 and 5 on the digits instead of MNIST-1D. Which claim fails, and why? (Look at layer 1.)
# 2. In section 6 set `weight_decay` to 0 and to 5e-3. Predict NC1 first, with and without batch normalisation.
# 3. Probe for the factor `scale` in section 7. Is it more like the shift or like the shear?
#
# ### Scale it up
#
# On a GPU try `REPLICATES = 20`, `LAYERS = 12`, `LAYER_STEPS = 10_000`. Does the match of layers by CKA become better or
# worse with depth? Does the shift survive to the last layer when training goes on? Write your thresholds down first.
#
# ### References
#
# - Alain & Bengio 2016, *Understanding intermediate layers using linear classifier probes*, arXiv:1610.01644
# - Ansuini, Laio, Macke & Zoccolan 2019, *Intrinsic dimension of data representations in deep neural networks*, NeurIPS
# - Bengio, Courville & Vincent 2013, *Representation learning: a review and new perspectives*, IEEE TPAMI 35(8)
# - Brown et al. 2023, *Verifying the union of manifolds hypothesis for image data*, ICLR; Wang & Wang 2024, *CW complex
#   hypothesis for image data*, ICML
# - Davari et al. 2023, *Reliability of CKA as a similarity measure in deep learning*, ICLR; Ding, Denain & Steinhardt
#   2021, *Grounding representation similarity through statistical testing*, NeurIPS
# - Facco, d'Errico, Rodriguez & Laio 2017, *Estimating the intrinsic dimension of datasets by a minimal neighborhood
#   information*, Scientific Reports 7:12140
# - Greydanus & Kobak 2024, *Scaling down deep learning with MNIST-1D*, ICML
# - Hermann & Lampinen 2020, *What shapes feature representations?*, NeurIPS
# - Hinton & Salakhutdinov 2006, *Reducing the dimensionality of data with neural networks*, Science 313
# - Kornblith, Norouzi, Lee & Hinton 2019, *Similarity of neural network representations revisited*, ICML
# - Papyan, Han & Donoho 2020, *Prevalence of neural collapse during the terminal phase of deep learning training*, PNAS
#   117; Mixon, Parshall & Pi 2020, arXiv:2011.11619; Zhu et al. 2021, *A geometric analysis of neural collapse with
#   unconstrained features*, NeurIPS; Hui, Belkin & Nakkiran 2022, *Limitations of neural collapse for understanding
#   generalization in deep learning*, arXiv:2202.08384
# - Islam, Jia & Bruce 2020, *How much position information do convolutional neural networks encode?*, ICLR; Pope et al.
#   2021, *The intrinsic dimension of images and its impact on learning*, ICLR
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook.
