# %% [markdown]
# # What shape is a representation?
#
# **In one sentence:** you measure how many numbers a handwritten digit needs, what two
# numbers keep of it, what the layers of a network make easy to read, and what its
# architecture decides before training, each over five replicates and against a control:
# the same measurement without the one thing that should matter.
#
# After this notebook you can
#
# 1. **estimate** how many coordinates data need, and test what the estimate rests on;
# 2. **compare** linear, curved and supervised codes of the same data by one measure;
# 3. **name** three ways in which a t-SNE picture misreports the data;
# 4. **measure** what a layer makes easy to read, on signals that no network has seen;
# 5. **separate** what training put into a layer from what the architecture decides.
#
# **You need** notebook 00: replicate, claim, control, linear probe, ReLU, cross-entropy
# and the Kullback–Leibler divergence. From mathematics: distance, covariance,
# eigenvectors; chapters 4 and 10 of [Mathematics for Machine
# Learning](https://mml-book.github.io) refresh the last two. Adam, $R^2$ and
# convolution are explained where they first occur.
#
# **Reading:** 60 minutes. **Running:** about 100 seconds on one CPU core.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.linalg import subspace_angles
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist
from sklearn.datasets import make_swiss_roll
from sklearn.manifold import TSNE
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from labkit import data, figures, measure
from labkit.evidence import claim, predict
from labkit.ledger import Ledger, save_table
from labkit.models import hidden, mlp, seeded
from labkit.train import Ensemble, device, evaluate, fit

figures.style()
DEVICE = device()

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
POINTS = 800  # digits in an estimate of their dimension
CODE_STEPS = 1500  # updates for a code of two numbers
MAPPED = 300  # points in a t-SNE picture
SIGNALS, FRESH, SCORED = 4000, 4000, 2000  # to train on; for probes to fit and to score
LAYERS = 4  # hidden layers, each of 100 neurons
LAYER_STEPS = 1600
CONVOLUTION_STEPS = 600
DRAWS = 5  # of clouds, and of untrained networks and mixtures, in a replicate

# %% [markdown]
# ## 1. How many numbers does a digit need?
#
# A picture of 8 × 8 grey values is a point in a space of 64 dimensions, and the digits
# are a cloud in it. The **manifold hypothesis** says that such clouds lie near a
# surface of few dimensions. To see what is special about this one, you build others
# that share something with it:
#
# - **one Gaussian**: normal points with the mean and the covariance of all digits;
# - one Gaussian **per class**: for each digit from 0 to 9, normal points with the mean
#   and the covariance of *its* pictures; and the same points **clipped** to the range
#   from white to black and rounded to sixteenths, as the pictures are;
# - one per **random group**: the same recipe, with the labels shuffled beforehand;
# - the digits and both kinds of groups once more, with the groups moved **apart**: each
#   group by far more than its size, along an axis of its own. No group changes its
#   shape. Random groups come apart twice, from two shuffles.


# %%
pixels = data.digits().inputs.double().numpy()
labels = data.digits().targets.numpy()


def gaussians(groups, rows, generator):
    """For each row a normal point with mean and covariance of the row's group."""
    points = np.empty((len(rows), 64))
    for group in np.unique(groups):
        members, wanted = pixels[groups == group], groups[rows] == group
        mean, covariance = members.mean(0), np.cov(members.T)
        points[wanted] = generator.multivariate_normal(mean, covariance, wanted.sum())
    return points


# %%
def drawn_rows(n, seed):
    """Which n of the digits a replicate looks at."""
    return np.random.default_rng(seed).permutation(len(pixels))[:n]


def apart(points, groups):
    """The points, with each group moved by 100 along an axis of its own."""
    return points + 100 * np.eye(64)[groups]


def clouds(n, seed):
    """Name -> n points [n, 64]. The seed draws which digits, and all the rest."""
    rows, generator = drawn_rows(n, seed), np.random.default_rng([seed, n])
    first, second = generator.permutation(labels), generator.permutation(labels)
    per_class = gaussians(labels, rows, generator)
    random_groups = gaussians(first, rows, generator)
    return {
        "digits": pixels[rows],
        "digits, apart": apart(pixels[rows], labels[rows]),
        "per class": per_class,
        "per class, clipped": np.round(16 * per_class.clip(0, 1)) / 16,
        "per class, apart": apart(per_class, labels[rows]),
        "random groups, apart": apart(random_groups, first[rows]),
        "other groups, apart": apart(gaussians(second, rows, generator), second[rows]),
        "random groups": random_groups,
        "one Gaussian": gaussians(np.zeros(len(labels)), rows, generator),
    }


shown_clouds = clouds(POINTS, BASE_SEED)
print(*shown_clouds, sep=" | ")

# %% tags=["drawing"]
CLASS_COLORS = ["#00323d", "#403702", "#6f0e82", "#0e5551", "#8d4203"]
CLASS_COLORS += ["#295fba", "#1d7d4c", "#e42f4e", "#2a8dbd", "#779d14"]


def scatter_classes(ax, xy, classes, size):
    """Draws each point [n, 2] as the digit of its class."""
    xy, classes = np.asarray(xy), np.asarray(classes)
    for label in np.unique(classes):
        mark = {"marker": f"${label}$", "color": CLASS_COLORS[label], "linewidths": 0.3}
        ax.scatter(*xy[classes == label].T, s=size, label=f"class {label}", **mark)


classes_of_clouds = labels[drawn_rows(POINTS, BASE_SEED)]
one_of_each = [np.flatnonzero(classes_of_clouds == digit)[0] for digit in range(10)]
pictured = [name for name in shown_clouds if "apart" not in name]
rows_of_ten = np.concatenate([shown_clouds[name][one_of_each] for name in pictured])
fig = figures.digit_grid(rows_of_ten, vmin=0, vmax=1)
for row, name in enumerate(pictured):
    ax = fig.axes[10 * row]
    ax.text(-0.15, 0.5, name, transform=ax.transAxes, ha="right", va="center")
figures.show(
    fig,
    alt="""Five rows of ten small pictures, each row named at its left. The digits, from
    0 to 9, are clear. One Gaussian per class gives blurred but mostly readable digits
    in the same order, clipped ones look a little cleaner. One per random group and one
    Gaussian give grey smears in no order, few of which recall a digit.""",
    caption="""Ten points of each cloud, in the first three rows one of each class, on
    one grey scale from white (0) to black (1); values outside are drawn as white or
    black. Moving groups apart would not change the pictures.""",
)

# %% [markdown]
# The **intrinsic dimension** of a cloud is the number of coordinates that you need
# *locally*: two on the surface of the earth, although the earth is a thing in three
# dimensions. How do you count them without a map? Let $r_1$ and $r_2$ be the distances
# of a point's first and second neighbour, and $m = r_2 / r_1$. If points lie evenly at
# this scale, the first neighbour is equally likely anywhere in the ball of radius
# $r_2$. A ball's volume grows like $r^d$ in $d$ dimensions. So the ball of radius $r_2
# / t$ holds the share $t^{-d}$ of it, and the first neighbour is in there with this
# probability:
#
# $$ P(m > t) = P(r_1 < r_2 / t) = t^{-d}, \qquad\text{so}\qquad
# -\log P(m > t) = d \log t . $$
#
# **TwoNN** takes $d$ as the slope of that line through the sorted ratios of all points,
# without the largest tenth, where outliers sit (Facco et al. 2017). Never trust an
# estimator before it has found what you know: here the two dimensions of a rolled-up
# sheet, and those of flat clouds that are hidden in 64.


# %%
def twonn(points, fraction=0.9):
    """Slope through the origin of -log P(m > t) against log t."""
    points = np.unique(points, axis=0)  # the nearest neighbour of a copy is itself
    distances = np.partition(cdist(points, points), (1, 2), axis=1)
    nearest, second = distances[:, 1], distances[:, 2]  # column 0: the point itself
    kept = int(fraction * len(points))
    log_t = np.sort(np.log(second / nearest))[:kept]
    share_above = 1 - np.arange(1, kept + 1) / len(points)
    return -log_t @ np.log(share_above) / (log_t @ log_t)


def flat_cloud(dimension, seed):
    """Normal points in a flat subspace of 64 dimensions that points anywhere."""
    generator = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(generator.standard_normal((64, dimension)))
    return generator.standard_normal((POINTS, dimension)) @ axes.T


SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
SIZES = [200, 400, POINTS]
DIMENSIONS = [1, 2, 5, 10, 20, 40]
known = pd.DataFrame(index=range(REPLICATES), columns=DIMENSIONS, dtype=float)
for dimension in DIMENSIONS:
    known[dimension] = [twonn(flat_cloud(dimension, seed)) for seed in SEEDS]

roll, _ = make_swiss_roll(2000, random_state=0)
np.testing.assert_allclose(twonn(roll), 2, atol=0.25)
print("TwoNN finds the two dimensions of the rolled sheet")

# %%
guess_dimension = predict(
    "Ten random groups of digits get a Gaussian each. Move the ten clouds far apart; "
    "none changes its shape. What does TwoNN's estimate do?",
    ["it falls by at least a tenth", "it changes by less", "it rises by a tenth"],
)

# %%
estimates = []
for replicate, draw, n in product(range(REPLICATES), range(DRAWS), SIZES):
    for cloud, points in clouds(n, SEEDS[replicate] + 10_000 * draw).items():
        row = {"points": n, "replicate": replicate, "cloud": cloud}
        estimates.append({**row, "estimate": twonn(points)})
levels = ["points", "replicate", "cloud"]
dimensions = pd.DataFrame(estimates).groupby(levels).estimate.mean().unstack()
averaged = dimensions.groupby("replicate").mean()  # over the three numbers of points
kept_share = (averaged["random groups, apart"] / averaged["random groups"]).mean()
print(f"{len(estimates)} estimates")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.8), width_ratios=[1, 2, 1])
figures.lines_with_spread(panels[0], DIMENSIONS, known, "TwoNN", markevery=1)
exact = {"color": "0.4", "linestyle": ":", "marker": "", "label": "exactly right"}
panels[0].plot(DIMENSIONS, DIMENSIONS, **exact)
panels[0].set(xscale="log", yscale="log", title="known clouds", xlabel="true dimension")
panels[0].set_xticks(DIMENSIONS, labels=DIMENSIONS)
panels[0].set_yticks(DIMENSIONS, labels=DIMENSIONS)
panels[0].set(ylabel="estimated dimension")
at_points = dimensions.loc[POINTS, list(shown_clouds)]
at_points.columns = [name.replace(" ", "\n") for name in at_points]
figures.dots_with_spread(panels[1], at_points)
panels[1].tick_params(axis="x", labelsize=8)
panels[1].set(title=f"{POINTS} points", ylabel="estimated dimension", ylim=(0, None))
for name in ("one Gaussian", "random groups, apart", "per class", "digits"):
    curves = dimensions[name].unstack("points")
    figures.lines_with_spread(panels[2], SIZES, curves, name, markevery=1)
panels[2].set(xscale="log", title="more points", xlabel="number of points")
panels[2].set(ylim=panels[1].get_ylim())
panels[2].set_xticks(SIZES, labels=SIZES)
for ax in panels:
    ax.minorticks_off()
    ax.legend(loc="upper left" if ax is panels[0] else "lower right", fontsize=8)
figures.show(
    fig,
    alt="""Left: estimated against true dimension. Up to about ten the estimates lie on
    the line of exact answers, beyond it they fall below. Middle: nine clouds. The
    digits are lowest. One Gaussian per class lies about halfway up to one Gaussian.
    Moving the classes apart changes neither, and clipping hardly does. Random groups
    are as high as one Gaussian, but moved apart those of both shuffles fall to a little
    above the Gaussians per class. Right: with more points the estimates rise slowly, in
    the same order.""",
    caption="""TwoNN on known clouds and on those above; dots and thin lines are
    replicates, each the mean of five draws; grey lines join a replicate.""",
)

# %% [markdown]
# Left: in more than ten dimensions even the nearest neighbour is far away. Points do
# not lie evenly out to there, and TwoNN says too little. That squeezes high estimates
# together. And a Gaussian with full covariance has 64 dimensions in the end: what
# differs is the estimate at the scale of neighbours. Right: estimates rise with the
# number of points, so there is no *true* number here. Compare equally many points.
#
# Even so the middle panel is a trap. "A Gaussian per class closes part of the gap, so
# the classes explain that part" is tempting, and says too much. A group that lies apart
# finds its neighbours among a tenth of the points, and fewer points mean lower
# estimates. So groups without any meaning close most of that part, too, once they are
# moved apart. Classes lie apart by themselves: moving them changes next to nothing.
# What their own *shapes* add can only be the rest, the step from the random groups to
# the classes, both apart. It is small, but larger than the step from one shuffle to
# another: an observation, for which no threshold was set. (Each dot is the mean of five
# draws, and the claim below uses the mean over the three numbers of points.)

# %%
claim(
    "The digits' mean estimate is at most 0.7 of that of one Gaussian per class",
    averaged["digits"] / averaged["per class"],
    at_most=0.7,
    scale="log",
    control=averaged["per class, clipped"] / averaged["per class"],
    control_is="the same ratio for Gaussians per class, clipped and rounded as well",
    source="Facco et al. 2017; Pope et al. 2021 (dimension of image data sets)",
)
guess_dimension.resolve([kept_share <= 0.9, 0.9 < kept_share < 1.1, kept_share >= 1.1])

# %% [markdown]
# This claim avoids the trap: digits and their classes' Gaussians lie apart alike. And
# the squeeze is on the safe side, for it brings the ratio nearer to 1. So the digits of
# a class are no Gaussian, and clipping does not account for it. The claim does not say
# whether they lie on something bent or fall into further clusters. Pope et al. 2021
# estimate one dimension for a whole data set; Brown et al. 2023 argue for a *union* of
# manifolds. What you saw fits both, and tests neither.
#
# ## 2. What do two numbers keep?
#
# Now describe each digit by only two numbers, a **code**. The oldest way is **principal
# component analysis** (PCA): along two eigenvectors of the covariance, those with the
# largest eigenvalues, the centred data $X$ vary most.
#
# $$ C = \tfrac1n X^\top X, \qquad C v_i = \lambda_i v_i, \qquad z_i = x \cdot v_i , $$
#
# and $\lambda_i / \sum_j \lambda_j$ is the share of the variance along $v_i$.

# %%
centred = pixels - pixels.mean(0)
variances, directions = np.linalg.eigh(centred.T @ centred / len(pixels))
two_largest = [-1, -2]  # eigh sorts upwards
by_hand = directions[:, two_largest].T

pca = measure.pca(pixels)
cosines = (by_hand * pca.components).sum(1)  # 1 or -1: an axis has no sign
np.testing.assert_allclose(np.abs(cosines), 1)
np.testing.assert_allclose(variances[two_largest] / variances.sum(), pca.explained)
print("the eigenvectors of the covariance are the axes of measure.pca")

# %% [markdown]
# A network can look for other codes. Let 64 pixels pass through layers of 128 and 64
# neurons into 2, the code, and from there on to an answer:
#
# - an **autoencoder** must give back the 64 pixels, through layers of 64 and 128, and
#   sees no label;
# - a **supervised bottleneck** must name the class, by one linear layer (its loss is
#   the cross-entropy of notebook 00).
#
# Both exist with ReLU and without. Without it all layers together are one linear map,
# and the best linear autoencoder spans the plane of PCA (Baldi & Hornik 1989). See it
# before anything is trained. For a given code, the best linear decoder solves a
# least-squares problem, and for a given decoder so does the best encoder. Solve them by
# turns. Two planes are the same where their **principal angles**, from one to the
# nearest direction of the other, are 0.

# %%
encoder = np.random.default_rng(BASE_SEED).standard_normal((64, 2))
for _ in range(200):
    code = centred @ encoder
    decoder = np.linalg.lstsq(code, centred, rcond=None)[0]  # best for this code
    encoder = np.linalg.pinv(decoder)  # best for this decoder
angles = subspace_angles(decoder.T, pca.components.T)
np.testing.assert_allclose(angles, 0, atol=1e-6)
print("solved by turns, a linear autoencoder ends in the plane of PCA")

# %% [markdown]
# The judge is the same for all codes: of the ten training digits with the nearest
# codes, the majority names the test digit. Networks are trained by **Adam**: gradient
# descent that divides each parameter's step by the recent size of its gradient. The
# rate falls to zero along half a cosine. Each kind of network has the learning rate
# that this judge found best on validation digits of 8 to 20 other splits; it lies
# inside a grid of factors of two. (Only the linear autoencoder is as good at every
# rate, and gets the autoencoder's.) Networks also differ by where they start: a
# replicate is the mean of two.
#
# labkit's `Ensemble` trains all replicates in one call: separate networks, stacked. The
# appendix builds its core, and shows that each network ends where `fit` would end.


# %%
digits = data.digits()
splits = [digits.split(seed, test=500, validation=0) for seed in SEEDS]
train = data.stack([split.train for split in splits])  # inputs [K, 1297, 64]
test = data.stack([split.test for split in splits])
itself = train.replace(targets=train.inputs, transform="target is the input")
CODE_RATES = {"autoencoder": 5e-3, "bottleneck": 4e-2}  # without ReLU the same


def trained_coder(name, start, after, examples, loss):
    """Networks 64-128-64-2 and what comes after, all replicates at once (appendix)."""
    bend = "identity" if name.startswith("linear") else "relu"
    before, later = [bend, bend], [bend] * (len(after) - 1)
    activations = [*before, "identity", *later]  # the code itself is not bent
    coder = Ensemble([64, 128, 64, 2, *after], own_seeds(start), activation=activations)
    rate = CODE_RATES[name.removeprefix("linear ")]
    budget = {"steps": CODE_STEPS, "batch_size": 100, "schedule": "cosine"}
    coder.fit(examples, loss=loss, learning_rate=rate, experiment=name, **budget)
    return coder


def codes(coder, examples):
    """The two numbers of each digit: the third hidden layer, [K, n, 2]."""
    return coder.hidden(examples.inputs.to(DEVICE))[2].cpu().double().numpy()


def ten_neighbours(replicate, train_codes, test_codes):
    """Share of the test digits that their ten nearest training codes name."""
    judge = KNeighborsClassifier(10).fit(train_codes, train.targets[replicate])
    return judge.score(test_codes, test.targets[replicate])


# %%
STARTS = [0, 1]  # a replicate has two networks of each kind


def own_seeds(start):
    """The seeds of all replicates' first networks, or of their second ones."""
    return [seed + 10_000 * start for seed in SEEDS]


coders = {}
for start in STARTS:
    for kind in ("linear ", ""):
        own = f"{kind}autoencoder", start
        coders[own] = trained_coder(*own, [64, 128, 64], itself, F.mse_loss)
        own = f"{kind}bottleneck", start
        coders[own] = trained_coder(*own, [10], train, F.cross_entropy)

judged = []
for replicate in range(REPLICATES):
    plane = measure.pca(train.inputs[replicate])
    both = {("PCA", 0): (plane.coordinates, plane.project(test.inputs[replicate]))}
    for own, coder in coders.items():
        both[own] = codes(coder, train)[replicate], codes(coder, test)[replicate]
    for (name, start), pair in both.items():
        row = {"code": name, "start": start, "replicate": replicate}
        judged.append({**row, "accuracy": ten_neighbours(replicate, *pair)})
    linear = both["linear autoencoder", 0][0]
    angles_trained = subspace_angles(plane.coordinates, linear - linear.mean(0))
    np.testing.assert_array_less(np.degrees(angles_trained), 5)
named = pd.DataFrame(judged).pivot_table("accuracy", "replicate", "code")  # over starts
print("trained, the linear autoencoder's code is PCA's to within five degrees")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 4, figsize=(10, 3.4), width_ratios=[1, 1, 1, 1.5])
shown_codes = {"PCA": measure.pca(train.inputs[0]).project(test.inputs[0])}
for name in ("autoencoder", "bottleneck"):
    shown_codes[name] = codes(coders[name, 0], test)[0]
for ax, (name, xy) in zip(panels, shown_codes.items(), strict=False):
    scatter_classes(ax, xy[:250], test.targets[0][:250], size=16)
    ax.set(title=name, xlabel="first number")
    ax.tick_params(labelsize=7)
panels[0].set(ylabel="second number")
stretched = {"value": "symlog", "linthresh": 10}  # even up to 10, then logarithmic
panels[2].set_xscale(**stretched)
panels[2].set_yscale(**stretched)
order = ["PCA", "linear autoencoder", "linear bottleneck", "autoencoder", "bottleneck"]
columns = {name.replace(" ", "\n"): named[name] for name in order}
figures.dots_with_spread(panels[3], columns, paired=False)
panels[3].axhline(0.1, color="0.4", linestyle=":", label="chance")
panels[3].set(title="10-NN accuracy on test digits", ylim=(0, 1))
panels[3].tick_params(axis="x", labelsize=8, labelrotation=60)
fig.legend(*panels[3].get_legend_handles_labels(), loc="outside lower right", ncols=3)
figures.show(
    fig,
    alt="""Three scatter plots of test digits by two numbers, each drawn as its digit.
    With PCA the classes overlap in the middle. The autoencoder spreads them apart. The
    bottleneck sets them apart in groups of their own. Right: accuracy of ten
    neighbours. PCA and the linear autoencoder are alike, the linear bottleneck is a
    little higher; the autoencoder is clearly higher, the bottleneck with ReLU
    highest.""",
    caption="""Left: the same 250 test digits by three codes of two numbers (first
    replicate). The bottleneck's axes are even up to ten and logarithmic beyond. Right:
    one dot a replicate, of PCA one plane, else the mean of two networks.""",
)

# %% [markdown]
# PCA and the linear autoencoder look at one plane, as the cell above asserts; so only
# PCA is drawn. The linear bottleneck is told the labels, but no plane that it finds
# keeps ten classes well apart. The autoencoder sees no label (only the choice of its
# learning rate did) and gains more, because it may bend.


# %%
def runs_of(name):
    return coders[name, 0].run_ids + coders[name, 1].run_ids


over_pca = named.sub(named["PCA"], axis=0)
claim(
    "Two numbers from an autoencoder name at least 10 digits in 100 more than PCA's",
    over_pca["autoencoder"],
    at_least=0.1,
    control=over_pca["linear autoencoder"],
    control_is="the same difference for the same autoencoder without ReLU",
    source="Hinton & Salakhutdinov 2006, fig. 3; Baldi & Hornik 1989 (the linear case)",
    runs=runs_of("autoencoder") + runs_of("linear autoencoder"),
)
claim(
    "Two numbers from a supervised bottleneck name at least 22 in 100 more than PCA's",
    over_pca["bottleneck"],
    at_least=0.22,
    control=over_pca["linear bottleneck"],
    control_is="the same difference for the same bottleneck without ReLU, same labels",
    source="our measurement, after Hinton & Salakhutdinov 2006",
    runs=runs_of("bottleneck") + runs_of("linear bottleneck"),
)

# %% [markdown]
# The supervised bottleneck wins, but it plays at home: it was told the classes and is
# judged by them. A code is good *for* something. Nobody here asked who wrote the digit.
#
# ### What does a picture invent?
#
# The picture that you will meet most often is none of these. **t-SNE** (van der Maaten
# & Hinton 2008) moves points $y_i$ in the plane until neighbours in the data are
# neighbours in the picture. It turns distances into probabilities of being neighbours,
#
# $$ p_{j|i} \propto e^{-\lVert x_i - x_j \rVert^2 / 2\sigma_i^2}, \qquad q_{ij} \propto
# \frac{1}{1 + \lVert y_i - y_j \rVert^2}, $$
#
# makes $p$ symmetric, and minimises the Kullback–Leibler divergence $\sum p \log (p /
# q)$. Each point gets a $\sigma_i$ of its own, so that it has about as many neighbours
# as the **perplexity** says. A test digit has no place in such a picture, so t-SNE
# could not enter the contest above. (Its parametric form could: van der Maaten 2009
# trains a network to draw the picture.) Try it on data that you know.


# %%
guess_tsne = predict(
    "One cloud is ten times as wide as another, far from it. t-SNE draws it ...",
    ["about ten times as wide", "two to five times as wide", "about equally wide"],
)


def uniform_square(generator):
    return generator.uniform(size=(MAPPED, 2))


def narrow_wide(generator):
    """Two clouds of ten dimensions: the second is ten times as wide, and 100 away."""
    points = generator.standard_normal((MAPPED, 10))
    points[MAPPED // 2 :] *= 10
    points[MAPPED // 2 :, 0] += 100
    return points


def first_near_far(generator):
    """Three equal clouds of ten dimensions: at 0, at 10, and far off at 100."""
    points = generator.standard_normal((MAPPED, 10))
    points[:, 0] += np.repeat([0, 10, 100], MAPPED // 3)
    return points


# %% [markdown]
# For each you need a number that can be taken of the data as well as of the picture.
# For the clouds these are ratios of widths and of distances. For the square it is the
# **Clark–Evans ratio**: the mean distance to the nearest neighbour, over what points
# thrown evenly on the same area would have, $\tfrac12 \sqrt{\text{area} / n}$. It is
# about 1 for points thrown evenly, smaller where they clump, and larger where they keep
# apart. It looks only as far as the nearest neighbour: large voids between strands
# escape it.


# %%
def clark_evans(points):
    nearest = np.partition(cdist(points, points), 1, axis=1)[:, 1]
    return 2 * nearest.mean() / np.sqrt(ConvexHull(points).volume / len(points))


def wide_over_narrow(points):
    narrow, wide = [cloud.var(0).sum() for cloud in np.split(points, 2)]
    return np.sqrt(wide / narrow)


def far_over_near(points):
    origin, near, far = [cloud.mean(0) for cloud in np.split(points, 3)]
    to_far = np.linalg.norm(far - origin) + np.linalg.norm(far - near)
    return to_far / 2 / np.linalg.norm(near - origin)


# %%
PERPLEXITIES = [5, 10, 30, 90]
CASES = {  # how points are drawn, the number taken of them, and the perplexities
    "uniform square": (uniform_square, clark_evans, PERPLEXITIES),
    "narrow, wide": (narrow_wide, wide_over_narrow, [30]),
    "first, near, far": (first_near_far, far_over_near, [30]),
}


def tsne(points, perplexity, seed):
    """The places in the plane of exactly these points, [n, 2]."""
    settings = {"perplexity": perplexity, "random_state": seed}
    return TSNE(**settings).fit_transform(np.asarray(points, dtype=np.float32))


# %%
drawn, pictures, measured = {}, {}, []
for replicate, seed in enumerate(SEEDS):
    for case, (draw_points, number, perplexities) in CASES.items():
        points = draw_points(np.random.default_rng(seed))
        drawn[case, replicate] = points
        for perplexity in perplexities:
            picture = tsne(points, perplexity, seed)
            pictures[case, replicate, perplexity] = picture
            row = {"case": case, "perplexity": perplexity, "replicate": replicate}
            numbers = {"data": number(points), "picture": number(picture)}
            measured.append({**row, **numbers})
index = ["case", "perplexity", "replicate"]
invented = pd.DataFrame(measured).set_index(index).sort_index()

drawn["digits", 0] = test.inputs[0][:MAPPED]
for case in ("narrow, wide", "digits"):  # for the slider: the first replicate
    for perplexity in PERPLEXITIES:
        picture = tsne(drawn[case, 0], perplexity, BASE_SEED)
        pictures[case, 0, perplexity] = picture
print(f"{len(pictures)} pictures of {MAPPED} points")


# %% tags=["drawing"]
def draw_case(ax, xy, case):
    """Each part of a case with a marker of its own; a digit as itself."""
    names = case.split(", ")  # a case is named by its parts
    if case == "digits":
        scatter_classes(ax, xy, test.targets[0][:MAPPED], size=14)
    else:
        for part, points_of_part in enumerate(np.split(xy, len(names))):
            mark = {"marker": "o^s"[part], "s": 8, "linewidths": 0}
            ax.scatter(*points_of_part.T, label=names[part], **mark)
    ax.set(title=case, aspect="equal", adjustable="datalim")


fig, grid = plt.subplots(2, 4, figsize=(10, 5))
for above, below, case in zip(*grid, ["digits", *CASES], strict=True):
    perplexity = 5 if case == "uniform square" else 30
    points = drawn[case, 0]
    flat = points if points.shape[1] == 2 else measure.pca(points).coordinates
    draw_case(above, flat, case)
    draw_case(below, pictures[case, 0, perplexity], case)
for ax in grid[1, 2:]:
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=8)
grid[0, 0].set(ylabel="data")
grid[1, 0].set(ylabel="t-SNE")
figures.show(
    fig,
    alt="""Data above t-SNE. Digits overlap above and form islands by class below. An
    even square falls into many small clumps. A narrow and a wide cloud become equally
    wide. Of three clouds, two nearly touch and one is far away; below they lie on a
    line with similar gaps.""",
    caption="""The same points (top; by PCA where they have more than two dimensions)
    and by t-SNE, first replicate; perplexity 30, for the square 5. In each panel both
    axes have one scale. Which side a cloud is drawn on means nothing.""",
)


# %% tags=["drawing"]
def draw_perplexity(perplexity):
    fig, grid = plt.subplots(2, 2, figsize=(7.5, 6.4))
    for ax, case in zip(grid.flat, MAPS, strict=False):
        draw_case(ax, pictures[case, 0, perplexity], case)
    grid[0, 1].legend(fontsize=8)
    curve = grid[1, 1]
    ratios = invented.loc["uniform square"].unstack("perplexity")
    figures.lines_with_spread(curve, PERPLEXITIES, ratios["picture"], "its pictures")
    even = {"color": "0.4", "linestyle": ":", "label": "the square itself"}
    curve.axhline(ratios["data"].mean().mean(), **even)
    curve.axvline(perplexity, color="0.4", linestyle="--", label="perplexity shown")
    curve.set(title="uniform square, all replicates", xticks=PERPLEXITIES)
    curve.set(xlabel="perplexity", ylabel="Clark–Evans ratio", ylim=(0, 1.3))
    fig.legend(*curve.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return fig


MAPS = ["uniform square", "narrow, wide", "digits"]
ALTS = {
    5: """A torn square; equally wide clouds; digits in more islands than there are
    classes. The ratio is lowest.""",
    10: """A square torn into strands; equally wide clouds; 1s and 9s in pieces. The
    ratio is still far below the square's.""",
    30: """A square with large voids; equally wide clouds; 1s and 9s in pieces. The
    ratio is about the square's.""",
    90: """A nearly even square; equally wide clouds; islands of digits nearly touch.
    The ratio is about the square's.""",
}
figures.slider(
    {perplexity: draw_perplexity(perplexity) for perplexity in ALTS},
    alt=ALTS,
    caption="t-SNE of the first replicate, and the ratio in all replicates.",
    name="Perplexity",
)

# %% [markdown]
# The square is flat already: nothing had to be left out to draw it. Its clumps are
# t-SNE's work, and they go as the perplexity grows. The ratio recovers before the
# picture does, and at 30 even overshoots: neighbours keep more equal distances than
# points thrown evenly. Move the slider, and look for voids that the ratio does not see.

# %%
STATEMENTS = {  # each with its perplexity and its threshold
    "uniform square": (
        "At perplexity 5 t-SNE draws an even square with a Clark–Evans ratio ≤ 0.55",
        5,
        0.55,
    ),
    "narrow, wide": ("A cloud 10 times wider is drawn ≤ 1.5 times wider", 30, 1.5),
    "first, near, far": ("A third cloud, far off, is drawn ≤ 3 times as far", 30, 3),
}
for case, (statement, perplexity, threshold) in STATEMENTS.items():
    of_case = invented.loc[(case, perplexity)]
    claim(
        statement,
        of_case["picture"],
        at_most=threshold,
        scale="log",
        control=of_case["data"],
        control_is="the same number taken of the data themselves",
        source="Wattenberg, Viégas & Johnson 2016 (how to use t-SNE effectively)",
    )
width = invented.loc[("narrow, wide", 30), "picture"].mean()
guess_tsne.resolve([width > 5, 2 <= width <= 5, width < 2])

# %% [markdown]
# Equal widths follow from the equation: each $\sigma_i$ adapts to its cloud. Distances
# between clouds are far beyond every $\sigma_i$, where $p$ is nearly zero whatever the
# distance. So read *which points are neighbours*. Look for what survives a change of
# perplexity, and still doubt it: the equal widths survive all four.
#
# What else one may read is disputed. Becht et al. 2019 preferred UMAP, a relative, for
# keeping more of the whole arrangement. Kobak & Linderman 2021 traced that to the
# starting positions. Ours come from PCA, scikit-learn's default.
#
# ## 3. What does a layer make easy to read?
#
# From here on the data are others, and nothing said of digits carries over. In
# **MNIST-1D** (Greydanus & Kobak 2024) a signal of 40 numbers holds one of ten strokes,
# scaled, stretched, noisy, tilted (**sheared**), and **shifted** by up to 47 of a
# circle's 72 places, which then become 40. We generate it ourselves. So we know these
# **factors**, and can draw *fresh* signals that no network was trained on.


# %%
def new_world(seed):
    """Signals that this seed alone draws, split into three."""
    drawn_signals = data.mnist1d(SIGNALS + FRESH + SCORED, seed)
    return drawn_signals.split(seed, test=SCORED, validation=FRESH)


worlds = [new_world(seed) for seed in SEEDS]
signals = data.stack([world.train for world in worlds])  # networks are trained on these
fresh = data.stack([world.validation for world in worlds])  # probes are fitted on these
scored = data.stack([world.test for world in worlds])  # and scored on these
SHAPE = [40, *[100] * LAYERS, 10]
print(f"signals: {len(signals)} to train on, {len(fresh)} and {len(scored)} for probes")

# %% tags=["drawing"]
fig, grid = plt.subplots(2, 5, figsize=(10, 3.6), sharex=True, sharey=True)
turn_back = -(scored.factors["shift"][0] * 40 / 72).round().long()
for digit, ax in enumerate(grid.flat):
    these = torch.where(scored.targets[0] == digit)[0]
    own_place = [scored.inputs[0, i].roll(turn_back[i].item()) for i in these]
    ax.plot(torch.stack(own_place).mean(0), marker="", color="0.75", linewidth=4)
    for i, style in zip(these[:2], ("-", "--"), strict=True):
        ax.plot(scored.inputs[0, i], marker="", linestyle=style)
    ax.set(title=f"class {digit}")
for ax in grid[1]:
    ax.set(xlabel="place")
for ax in grid[:, 0]:
    ax.set(ylabel="height")
figures.show(
    fig,
    alt="""Ten panels, one a class, each with two signals as thin lines and a broad grey
    line at the left: the class's stroke. Within a class the same stroke appears at
    different places, sizes and tilts.""",
    caption="""MNIST-1D: two signals of each class (thin), and the mean of all its
    scored signals, each turned back by its shift (broad).""",
)

# %% [markdown]
# The **representation** in a hidden layer is what comes out of its ReLU. To get it,
# stop on the way:

# %%
example = mlp(SHAPE, seed=BASE_SEED)
h = scored.inputs[0]
stops = []
with torch.no_grad():
    for layer in example:
        h = layer(h)
        if isinstance(layer, nn.ReLU):
            stops.append(h)
torch.testing.assert_close(stops, hidden(example, scored.inputs[0]))
print(f"{len(stops)} hidden layers: what models.hidden gives")

# %% [markdown]
# At each layer you ask three questions by a linear probe. Which **class** is it? That
# was taught. By how much is the signal **shifted**, by how much **sheared**? No label
# names these two. For numbers a probe's score is $R^2$, the share of their variance
# that it explains. The shift is a place on a circle: the probe reads cosine and sine of
# its angle, and we average the two scores. (Shifts fill two thirds of the circle. $R^2$
# counts from the mean, so 0 still says: nothing is read.)
#
# There are two controls: the same networks **untrained**, and networks trained on
# **shuffled** labels, where the labels say nothing about the signals. Of each kind a
# replicate has two networks and takes their mean. One more probe
# shows why signals must be fresh: it reads the class, is fitted on half of the signals
# that the network was *trained on*, and scored on the other half. Its control is the
# same probe on halves of the fresh signals.


# %%
guess_shift = predict(
    "The class does not depend on the shift. In the second of four hidden layers, what "
    "does training on the class do to the R² of a probe for the shift?",
    ["it falls by at least 0.1", "it changes by less", "it rises by at least 0.1"],
)


def answers(examples):
    """What the probes are asked about each signal, [K, n] or [n]."""
    angle = 2 * np.pi / 72 * examples.factors["shift"]  # 72 places around the circle
    shift = {"cosine": torch.cos(angle), "sine": torch.sin(angle)}
    return {"class": examples.targets, "shear": examples.factors["shear"], **shift}


# %% [markdown]
# What a layer holds depends on how well the network was trained, so choose the learning
# rate first. An `Ensemble` can train one network at several rates at once. Do it on a
# replicate of its own, so that the choice cannot flatter what you measure later.

# %% tags=["nbval-ignore-output"]
RATES = [2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2]
OWN_SEED = BASE_SEED + 100  # of a replicate that nothing else uses
own_world = new_world(OWN_SEED)
LAYER_BUDGET = {"steps": LAYER_STEPS, "batch_size": 100, "schedule": "cosine"}
at_rates = Ensemble(SHAPE, [OWN_SEED] * len(RATES))  # equal networks
at_rates.fit(own_world.train, learning_rate=RATES, experiment="rate", **LAYER_BUDGET)
by_rate = pd.Series(evaluate(at_rates, own_world.validation), index=RATES)
assert by_rate.idxmax() not in (RATES[0], RATES[-1]), "the best rate is at an end"
training = {**LAYER_BUDGET, "learning_rate": 8e-3}
by_rate.to_frame("accuracy on validation data").rename_axis("learning rate")

# %% [markdown]
# The best rate lies inside the grid. We take 0.008, the best in the mean of this and
# five other replicates that nothing here uses. With shuffled labels no rate is better
# than another on validation data, so these networks get the same. Did both kinds train?
# The table gives the accuracy of both networks on the labels that they were trained on.


# %% tags=["nbval-ignore-output"]
mixed = np.random.default_rng(SEEDS).permuted(signals.targets, axis=1)
no_meaning = signals.replace(targets=torch.tensor(mixed), transform="labels shuffled")

networks, on_train = {}, {}
for start in STARTS:
    networks["untrained", start] = Ensemble(SHAPE, own_seeds(start)).to(DEVICE)
    for name, seen in (("trained", signals), ("shuffled", no_meaning)):
        network = networks[name, start] = Ensemble(SHAPE, own_seeds(start))
        network.fit(seen, experiment=f"{name} MLP", **training)
        on_train[name, start] = evaluate(network, seen, environment="training examples")
pd.DataFrame(on_train).rename_axis("replicate").round(3)


# %%
def ask(h, fitted_on, h_scored, scored_on, left_out=()):
    """Question -> score of a linear probe that reads it from the representation h."""
    truth = answers(scored_on)
    score = {}
    for name, y in answers(fitted_on).items():
        if name not in left_out:
            score[name] = measure.linear_probe(h, y, h_scored, truth[name])
    score["shift"] = (score.pop("cosine") + score.pop("sine")) / 2
    return score


# %%
def layers_of(ensemble, examples):
    """The input and each hidden layer: a list of [K, n, width]."""
    inputs = examples.inputs.to(DEVICE)
    return [layer.cpu() for layer in (inputs, *ensemble.hidden(inputs))]


tables = []
for (name, _), ensemble in networks.items():
    pairs = zip(layers_of(ensemble, fresh), layers_of(ensemble, scored), strict=True)
    for layer, (h_fresh, h_scored) in enumerate(pairs):
        scores = ask(h_fresh, fresh, h_scored, scored)
        where = {"network": name, "layer": layer, "replicate": range(REPLICATES)}
        tables.append(pd.DataFrame({**where, **scores}))
read = pd.concat(tables).groupby(["network", "layer", "replicate"]).mean()
gain = read.loc["trained"] - read.loc["untrained"]
gain_shuffled = read.loc["shuffled"] - read.loc["untrained"]


def from_half_to_half(examples):
    """Accuracy of a probe of trained networks' last layer, from half to half."""
    h, y = layers_of(networks["trained", 0], examples)[-1], examples.targets
    half = len(examples) // 2
    return measure.linear_probe(h[:, :half], y[:, :half], h[:, half:], y[:, half:])


def runs_with(labels_in_training):
    """The records of all networks that were trained with these labels."""
    first, second = [networks[labels_in_training, start] for start in STARTS]
    return first.run_ids + second.run_ids


halves = {"seen": from_half_to_half(signals), "fresh": from_half_to_half(fresh)}
print("both halves are new to the probe; the network has met those that it has seen")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.8))
for ax, question in zip(panels, ("class", "shift", "shear"), strict=True):
    for name in ("trained", "untrained", "shuffled"):
        curves = read.loc[name, question].unstack("layer")
        figures.lines_with_spread(ax, range(LAYERS + 1), curves, name, markevery=1)
    ax.set(
        title=question, xlabel="hidden layer (0: the input)", xticks=range(LAYERS + 1)
    )
    ax.set(ylabel="accuracy" if question == "class" else "R²", ylim=(-0.05, 1.05))
for ax, nothing in zip(panels, (0.1, 0, 0), strict=True):
    ax.axhline(nothing, color="0.4", linestyle=":", label="chance / nothing is read")
beside = LAYERS + 0.25 + np.linspace(-0.15, 0.15, REPLICATES)
for name, mark in (("seen", "*"), ("fresh", "x")):
    star = {"marker": mark, "s": 45, "color": "0.1", "zorder": 3, "linewidths": 1}
    panels[0].scatter(beside, halves[name], label=f"trained, {name} halves", **star)
handles, names = panels[0].get_legend_handles_labels()
fig.legend(handles, names, loc="outside lower center", ncols=6)
figures.show(
    fig,
    alt="""Three panels over the layers from the input to the fourth hidden layer.
    Class: it rises in trained networks; both controls rise from the input to layer 1
    and then fall. At the last layer stars, for seen signals, lie near the top, and
    crosses, for fresh ones, at the end of the trained networks' curve. Shift:
    unreadable in the input, readable in all networks after one layer, most in the
    trained ones, and then falling. Shear: readable in the input and throughout
    untrained networks; it falls with depth in trained ones, and less with shuffled
    labels.""",
    caption="""Linear probes, fitted and scored on fresh signals, but for the stars;
    thin lines are replicates, each the mean of two networks; stars and crosses are the
    first network of each.""",
)

# %% [markdown]
# Compare layers with each other, not with the input: it has 40 numbers, each layer 100.
# Why is the shift not readable there, but after one *random* layer? The likely reason:
# averaged over classes and tilts, the height at a place hardly depends on the shift.
# ReLU breaks that sum.
#
# And look at the stars. They are what you would report from training signals: a layer
# that sorts them nearly perfectly, because the network has met each of them. The
# crosses are the same probe on fresh signals. With long training the *training* signals
# of a class even move towards one point in the last layer, which is called **neural
# collapse** (Papyan, Han & Donoho 2020); Hui, Belkin & Nakkiran 2022 find that fresh
# examples do not follow.


# %%
claim(
    "In the last hidden layer, training adds at least 0.25 to a probe's accuracy",
    gain.loc[LAYERS, "class"],
    at_least=0.25,
    control=gain_shuffled.loc[LAYERS, "class"],
    control_is="the same gain for networks trained on shuffled labels",
    source="Alain & Bengio 2016",
    runs=runs_with("trained") + runs_with("shuffled"),
)

# %% [markdown]
# Could the probe itself have learnt the task (Hewitt & Liang 2019)? It is linear,
# fitted and scored on fresh signals, and each claim compares equal probes. It shows
# what *can* be read, not what the network *uses*.

# %%
claim(
    "In the second hidden layer, training adds at least 0.12 to the R² for the shift",
    gain.loc[2, "shift"],
    at_least=0.12,
    control=gain_shuffled.loc[2, "shift"],
    control_is="the same gain for networks trained on shuffled labels",
    source="our measurement; Hermann & Lampinen 2020 (what layers keep)",
    runs=runs_with("trained") + runs_with("shuffled"),
)
claim(
    "In the last hidden layer, a probe explains at most 0.1 of the shear",
    read.loc[("trained", LAYERS), "shear"],
    at_most=0.1,
    control=read.loc[("shuffled", LAYERS), "shear"],
    control_is="the same probe on networks trained on shuffled labels",
    source="Hermann & Lampinen 2020 (what the task does not need is partly suppressed)",
    runs=runs_with("trained") + runs_with("shuffled"),
)
change = gain.loc[2, "shift"].mean()
guess_shift.resolve([change <= -0.1, abs(change) < 0.1, change >= 0.1])

# %% [markdown]
# **Learned representation ≠ neutral representation.** Training on one question rewrites
# the answers to others: here it brings out the shift and hides the shear. Perhaps a
# network must find out *where* a stroke is to tell *which* it is, while the tilt only
# disturbs. But random layers bring out much of the shift, too. And shuffled labels hide
# a good part of the shear, too, in as many updates. Those networks fit only a part of
# their labels, so how much of the last step is the class, and how much is further
# training, is open. "Hard to read" does not mean "gone": whoever stores representations
# in place of signals, for privacy's sake, has shown nothing yet.
#
# ### Look at the weights
#
# The first layer has 40 weights for each neuron, so you can draw a neuron as a signal.
# The gradient is a sum of multiples of *signals*, $\partial L / \partial W = \sum_i
# \delta_i x_i^\top$ (notebook 00); Adam rescales it weight by weight. Neighbouring
# places of a signal are alike, so weights may become smoother, whatever the labels are.
# **Roughness** is 1 for independent weights and near 0 for smooth ones:
#
# $$ \rho = \frac{\text{mean of } (w_{t+1} - w_t)^2}{2 \operatorname{Var} w} . $$
#
# What would be a control? Not the places of all signals in one random order: this layer
# knows no order of places, so the same weights would come out, only reordered. That
# control *could not* fail. Instead let the signals **exchange** their numbers place by
# place. Each place keeps its mean and its spread, but neighbours are no longer alike.


# %%
def roughness(weights):
    """One number a replicate, for weights [K, neurons, places]."""
    steps = weights[..., 1:] - weights[..., :-1]
    return (steps.square().mean((1, 2)) / (2 * weights.var((1, 2)))).numpy()


def exchanged(inputs, seed):
    """The signals [n, places] after each place's numbers have changed owners."""
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.permuted(inputs.numpy(), axis=0))


unlike = [exchanged(x, seed) for x, seed in zip(signals.inputs, SEEDS, strict=True)]
no_neighbours = no_meaning.replace(
    inputs=torch.stack(unlike), transform="numbers exchanged place by place"
)
on_exchanged = Ensemble(SHAPE, SEEDS)
on_exchanged.fit(no_neighbours, experiment="exchanged", **training)

first_weights = {}
for name in ("untrained", "trained", "shuffled"):
    first_weights[name] = networks[name, 0].layers[0].weight.detach().cpu()
first_weights["exchanged"] = on_exchanged.layers[0].weight.detach().cpu()
rough = {name: roughness(weights) for name, weights in first_weights.items()}
print(*rough, sep=", ")

# %% tags=["drawing"]
fig, grid = plt.subplots(
    2, 5, figsize=(10, 3.8), sharex=True, width_ratios=[1, 1, 1, 1, 1.7]
)
for ax in grid[:, 4]:
    ax.remove()
right = fig.add_subplot(grid[0, 0].get_gridspec()[:, 4])
top = max(weights[0, :6].abs().max() for weights in first_weights.values())
for column, (name, weights) in enumerate(first_weights.items()):
    for row, ax in enumerate(grid[:, column]):
        ax.axhline(0, color="0.6", linewidth=0.8)
        for neuron in range(3 * row, 3 * row + 3):
            ax.plot(weights[0, neuron], marker="", label=f"neuron {neuron}")
        ax.set(ylim=(-1.05 * top, 1.05 * top))
    grid[0, column].set(title=name)
    grid[1, column].set(xlabel="place")
for ax in grid[:, 0]:
    ax.set(ylabel="weight")
figures.dots_with_spread(right, rough)
right.tick_params(axis="x", labelsize=8, labelrotation=30)
right.axhline(1, color="0.4", linestyle=":", label="independent weights")
right.set(ylabel="roughness", ylim=(0, 1.1))
handles, names = right.get_legend_handles_labels()
fig.legend(handles, names, loc="outside lower right", ncols=3)
figures.show(
    fig,
    alt="""Left: the weights of six neurons as curves over the forty places, three in
    each panel. Untrained they are jagged; after training, with true and with shuffled
    labels, they are larger and somewhat smoother; with exchanged numbers they are large
    and jagged. Right: roughness, about one for untrained weights and for exchanged
    numbers, lower for trained ones and lowest with shuffled labels.""",
    caption="""The first six neurons of the first replicate, all on one scale, and the
    roughness of all neurons, one dot a replicate.""",
)

# %%
claim(
    "Even with shuffled labels, training lowers the roughness to at most 0.7",
    rough["shuffled"],
    at_most=0.7,
    scale="log",
    control=rough["exchanged"],
    control_is="the same training and labels, on signals with exchanged numbers",
    source="our measurement, from the gradient of a linear layer",
    runs=networks["shuffled", 0].run_ids + on_exchanged.run_ids,
)

# %% [markdown]
# Smooth filters are often shown as a proof that a network "has learned features". Here
# labels without any meaning make weights somewhat smoother, too, and without the
# likeness of neighbours this does not happen. The smoothness came from the *signals*,
# through the gradient.
#
# ## 4. What does the architecture decide before training?
#
# A **convolution** slides one small set of weights along the signal, so that every
# place is treated alike. For output filter $c$ at place $t$,
#
# $$ h_c[t] = \phi\Big(b_c + \sum_{c'} \sum_{k=-2}^{2} w_{c c' k}\,
# x_{c'}[t + k]\Big). $$
#
# Here $\phi$ is ReLU, $c'$ runs over the filters of the layer before, and the signal is
# closed to a circle (**circular padding**). The output says *what* was found *where*.
# The **head**, the part that comes next, decides whether the "where" survives: a
# **flattened** head takes all $16 \times 40$ numbers, **global max pooling** hands on
# only the largest value of each of the 16 filters. (Lab 5 builds all of this.)


# %%
WIDTH = {"pooled": 16, "flattened": 16 * 40}  # what the last layer is given


def convolutional(head, seed):
    """Three circular convolutions of 16 filters, perhaps pooling, one linear layer."""
    with seeded(seed):
        path = [nn.Unflatten(1, (1, 40))]
        for channels in (1, 16, 16):
            filters = nn.Conv1d(channels, 16, 5, padding=2, padding_mode="circular")
            path += [filters, nn.ReLU()]
        path += [nn.AdaptiveMaxPool1d(1)] if head == "pooled" else []
        return nn.Sequential(*path, nn.Flatten(), nn.Linear(WIDTH[head], 10)).to(DEVICE)


# %% [markdown]
# Some of this needs no statistics. Turn each signal by seven places, with random
# weights:

# %%
still = scored.inputs[0].to(DEVICE)
turned = still.roll(7, dims=1)
pooled = convolutional("pooled", BASE_SEED)[:-1]
flattened = convolutional("flattened", BASE_SEED)[:-1]
with torch.no_grad():
    torch.testing.assert_close(pooled(turned), pooled(still))
    places = flattened(still).unflatten(1, (16, 40))
    torch.testing.assert_close(flattened(turned), places.roll(7, dims=2).flatten(1))
    torch.testing.assert_close(pooled(still), places.amax(2))  # the same filters
print("pooling does not notice the turn; flattening turns with it")

# %% [markdown]
# With zeros beyond the ends, the ends would be marked, and the place can leak even
# through pooling (Islam, Jia & Bruce 2020; Kayhan & van Gemert 2020, in large
# networks). Circular padding leaves it to the head alone: behind pooling an exact turn
# leaves no trace. Two questions are open. Which head makes the *class* easy to read
# before any training? And what can still be read of the shift behind a flattened head
# once it is *trained* on the class?
#
# 640 numbers against 16 would be no fair contest. So you reduce the same flattened
# numbers to 16 in five ways:
#
# - **filters**: each filter's largest value (max pooling), or its **mean**, which is
#   linear and as blind to a turn;
# - filters once more: each filter's sum with random weights, all **positive** or
#   **signed**. This is one number a filter, too, but a turn changes it;
# - 16 **random mixtures** of all 640.
#
# Networks and weights vary, so a replicate is the mean of five draws. Before training
# each draw has a network of its own; after training all share one.


# %%
guess_head = predict(
    "Before any training, from which 16 numbers does a probe read the class best?",
    ["filters' largest values or means", "filters' random sums", "random mixtures"],
)


def readouts(network, examples, seed):
    """Name -> what a probe is given of the numbers before the last layer."""
    h = network[:-1](examples.inputs.to(DEVICE)).detach().cpu().double()
    if h.shape[1] == WIDTH["pooled"]:
        return {"pooled head": h}
    generator = np.random.default_rng(seed)
    filters = h.unflatten(1, (16, 40))
    weights = torch.from_numpy(generator.standard_normal((16, 40)))
    return {
        "filters, max": filters.amax(2),
        "filters, mean": filters.mean(2),
        "filters, positive": (filters * weights.abs()).sum(2),
        "filters, signed": (filters * weights).sum(2),
        "mixtures": h @ torch.from_numpy(generator.standard_normal((640, 16))),
        "all 640": h,
    }


HEAD_RATES = {"pooled": 2e-2, "flattened": 1e-2}
HEAD_BUDGET = {**LAYER_BUDGET, "steps": CONVOLUTION_STEPS}
print(*HEAD_RATES, sep=", ")


# %% [markdown]
# The two heads have learning rates of their own, each the best of a grid of factors of
# two, and inside it, by accuracy on the validation data of 4 to 10 other replicates.


# %%
def probed(network, replicate, draw):
    """A row for each thing that probes are given, a column for each question."""
    fitted_on, scored_on = worlds[replicate].validation, worlds[replicate].test
    given = readouts(network, fitted_on, SEEDS[replicate] + 10_000 * draw)
    to_score = readouts(network, scored_on, SEEDS[replicate] + 10_000 * draw)
    if draw > 0:
        given.pop("all 640", None)  # so wide a probe takes long: once is enough
    rows = {}
    for name, h in given.items():
        rows[name] = ask(h, fitted_on, to_score[name], scored_on, left_out=["shear"])
    return pd.DataFrame.from_dict(rows, orient="index")


by_draw, head_runs = {}, []
for replicate, draw in product(range(REPLICATES), range(DRAWS)):
    network = convolutional("flattened", SEEDS[replicate] + 10_000 * draw)
    by_draw["untrained", replicate, draw] = probed(network, replicate, draw)
for replicate, head in product(range(REPLICATES), HEAD_RATES):
    network = convolutional(head, SEEDS[replicate])
    settings = {"learning_rate": HEAD_RATES[head], "seed": SEEDS[replicate]}
    fit(network, worlds[replicate].train, experiment=head, **HEAD_BUDGET, **settings)
    head_runs.append(network.run_id)
    for draw in range(DRAWS):
        by_draw[head, replicate, draw] = probed(network, replicate, draw)
all_draws = pd.concat(by_draw, names=["network", "replicate", "draw", "given"])
heads = all_draws.groupby(["network", "given", "replicate"]).mean()
print(*heads.columns, sep=", ")


# %% tags=["drawing"]
fig, grid = plt.subplots(2, 2, figsize=(10, 6), sharey="col")
of_flattened = ["filters, max", "filters, mean", "filters, positive"]
of_flattened += ["filters, signed", "mixtures", "all 640"]
for column, question in enumerate(("shift", "class")):
    untrained = heads[question]["untrained"].unstack("given")[of_flattened]
    trained = heads[question]["flattened"].unstack("given")[of_flattened]
    trained["pooled head"] = heads[question]["pooled", "pooled head"]
    for row, given in enumerate((untrained, trained)):
        ax = grid[row, column]
        below = [name.replace(" ", "\n") for name in given]
        figures.dots_with_spread(ax, given.set_axis(below, axis=1), paired=False)
        chance = {"shift": 0, "class": 0.1}[question]
        ax.axhline(chance, color="0.4", linestyle=":", label="chance / nothing is read")
        ax.axvline(4.5, color="0.8", linewidth=0.8, label="_apart")
        ax.tick_params(axis="x", labelsize=8)
        ax.set(title=f"{question}, {('untrained', 'trained')[row]}", ylim=(-0.05, 1.05))
        ax.set(ylabel="R²" if question == "shift" else "accuracy of the probe")
        ax.set(xlim=(-0.5, 6.5))  # the same place in both rows
handles, names = grid[0, 0].get_legend_handles_labels()
fig.legend(handles, names, loc="outside lower center", ncols=3)
figures.show(
    fig,
    alt="""Four panels: R² for the shift (left) and accuracy for the class (right),
    untrained (top) and trained (bottom). The shift is at zero behind a pooled head and
    from each filter's maximum or mean. It is above zero from positive sums, further
    up from signed sums and mixtures, and highest from all numbers; training raises what
    sums and mixtures tell. The class, untrained, is read about equally well from the
    filters' maxima, their means and all numbers, less well from positive sums, and
    worst from signed sums and mixtures; trained, it is read best behind the pooled
    head.""",
    caption="""One dot a replicate, the mean of five draws (all 640: one draw). Left of
    the grey line each column is 16 numbers made of the flattened head's 640. Right of
    it: all 640, which is no equal contest, and a network trained with pooling.""",
)


# %%
shift = heads["shift"]
named_class = heads["class"]["untrained"].unstack("given")
claim(
    "Trained on the class, 16 mixtures of a flattened head still explain at least 0.3 "
    "of the shift",
    shift["flattened", "mixtures"],
    at_least=0.3,
    control=shift["pooled", "pooled head"],
    control_is="the same probe on the 16 numbers of a pooled head, trained alike",
    source="our measurement",
    runs=head_runs,
)
claim(
    "Before training, a probe on 16 filters' maxima beats 16 mixtures by at least 0.27",
    named_class["filters, max"] - named_class["mixtures"],
    at_least=0.27,
    control=named_class["filters, positive"] - named_class["mixtures"],
    control_is="the same difference for the filters' sums with random positive weights",
    source="our measurement; Greydanus & Kobak 2024 (inductive biases on MNIST-1D)",
)
best = named_class.drop(columns="all 640").mean().idxmax()
blind, mixed_best = best in ("filters, max", "filters, mean"), best == "mixtures"
guess_head.resolve([blind, not (blind or mixed_best), mixed_best])

# %% [markdown]
# Same signals, same filters, equal width, no update: only the reduction differs. Which
# difference helps? Not that each filter keeps a number of its own: with signed weights
# that gives no more than mixtures. Not the maximum: the means, which are linear, come
# close. Positive weights get part of the way, because a sum of positive numbers is
# partly blind to the place already. What helps is that the place is gone: a probe on
# mixtures would have to find each stroke at each place. A probe fitted on 4000 signals
# reads the class no better from all 640 numbers than from 16 maxima, although they hold
# all that the means hold: it would have to find the right sums itself. Pooling assumes
# that the place does not matter, and for the class that is right.
#
# For whoever needs the place, pooling is a loss. It is certain for an **exact turn**: a
# signal and its turned copy become the same numbers, so nothing that comes after can
# tell them apart, however it is trained. The data's shift is only *nearly* a turn, for
# tilt and noise come after it. A probe reads next to nothing of it here; a pooled
# network that is *trained* on the shift may find some (exercise 3). A flattened head
# keeps the place unasked, and after training more of it can be read: compare the rows.
# (Whether the class did that, networks trained on shuffled labels would have to tell;
# here there are none.) So a part of a *learned* representation is designed. But do not
# read "convolutional networks ignore the place": the head decides.
#
# ## 5. The record, and what a reviewer would ask
#
# Three tables go to `outputs/tables`; notebook 09 collects them. `save_table` writes a
# DataFrame there as CSV, whole or not at all. And a query asks the ledger what was
# trained: it joins each training run to its data, and counts the runs by experiment.


# %% tags=["nbval-ignore-output"]
frames = {}
for name in named.columns.drop("PCA"):
    xy_of_test = codes(coders[name, 0], test)[0]
    frames[name] = pd.DataFrame(xy_of_test, columns=["first", "second"])
save_table(
    pd.concat(frames, names=["code"]).reset_index(),
    "representation_geometry_coordinates",
)
save_table(named, "representation_geometry_summary")
on_test = evaluate(networks["trained", 0], scored)
gaps = pd.DataFrame({"train": on_train["trained", 0], "test": on_test})
save_table(gaps.assign(gap=gaps.train - gaps.test), "generalization_diagnostics")

WHAT = """
SELECT dataset.name AS D, split.transform AS "D: changed", experiment, COUNT(*) AS runs,
       SUM(training_run.id IN (SELECT run_id FROM claim_run)) AS "behind a claim"
FROM training_run
JOIN split ON split.id = training_run.split_id
LEFT JOIN dataset ON dataset.id = split.dataset_id
WHERE session_id = ? GROUP BY dataset.name, split.transform, experiment
"""
ledger = Ledger()
ledger.query(WHAT, [ledger.session()])

# %% [markdown]
# A reviewer asks by the letters of notebook 00: **D**ata, **A**rchitecture,
# **E**nvironment, **G**overnance.
#
# - **D**: *Each MNIST-1D replicate is a new data set. Which one was model 40 trained
#   on?* Each run points to its split, and the ledger keeps a **fingerprint** of each
#   split: 64 characters that change when a single number of the data does.
# - **A**: *You say training did it. Did you try another architecture?* Only in part:
#   section 4 reads convolutional networks before and after training, but none with
#   shuffled labels.
# - **E**: *You probed for class, shift and shear. What else can be read from these
#   layers?* Nobody knows. A probe finds only what someone thought of.
# - **G**: *Who may use these representations, and for what?* So far nobody has written
#   it down. Notebook 09 will.
#
# ## 6. What you can do now
#
# **So what shape is a representation?** It has none of its own. How many numbers a
# digit needs depends on how closely you look; among equally many points the estimate is
# lower than for a Gaussian of its class. What two numbers keep depends on what they
# were trained for, and on whether the map may bend: the autoencoder kept much of the
# class without being told it. A picture adds shapes that the data do not have. And a
# layer has the shape that signals, labels and architecture give it together; with a
# control for each of them you can tell their parts apart.
#
# You can now
#
# 1. **Estimate** how many coordinates data need, and find out what the estimate rests
#    on (section 1).
# 2. **Compare** linear, curved and supervised codes by one measure (section 2).
# 3. **Name** three ways in which a t-SNE picture misreports the data: clumps, equal
#    sizes, similar gaps (section 2).
# 4. **Measure** what a layer makes easy to read, on fresh signals (section 3).
# 5. **Separate** what training put into a layer from what the architecture decides
#    (sections 3 and 4).
#
# **Limits of this evidence.** Two small data sets, and networks of a few thousand to a
# few ten thousand parameters. Replicates draw from the same 1797 digits, so the
# intervals of sections 1 and 2 are too narrow for digits in general. Probes are linear:
# what they miss may still be there. TwoNN depends on the number of points and says too
# little above ten. The t-SNE claims are on clouds of equal counts, each at one
# perplexity. All networks are trained for a budget of updates; another budget may have
# another best rate. Learning rates are each the best of a grid of factors of two and
# lie inside it, but for the linear autoencoder and the networks with shuffled labels or
# exchanged numbers, which get their counterpart's. They were chosen on 4 to 20 other
# replicates: for MNIST-1D other signals, for digits other splits of the same 1797
# pictures, test digits among them. Thresholds come from a pilot with 20 other
# replicates on one machine.
#
# ### Your turn
#
# 1. (10 minutes) Ask the questions of section 3 of networks with **batch
#    normalisation**, a layer that gives each neuron mean 0 and variance 1 over the
#    batch before ReLU: `Ensemble(SHAPE, SEEDS, norm="batch")`. Does the shear go as
#    fast?
# 2. (15 minutes) Ansuini et al. 2019 find in large networks on images that from layer
#    to layer the intrinsic dimension rises and then falls, but not before training, nor
#    with random labels. And here? Apply `twonn` to what `layers_of` gives, for 1000
#    scored signals. Predict it first.
# 3. (15 minutes) In section 4, let the pooled head look at 2, 4 and 10 places:
#    `AdaptiveMaxPool1d(4)` with 16 × 4 in `WIDTH`. How many places does the shift
#    need? Then set `padding_mode="zeros"`, and turn the signals again: does pooling
#    still not notice? Last, train the pooled head on the cosine and sine of the shift.
#    What it reads cannot come from an exact turn: where does it come from?
# 4. (30 minutes) **Superposition** (Elhage et al. 2022, *Toy models of superposition*).
#    Five features, each 0 with probability 0.95 and else uniform in [0, 1], pass
#    through two numbers: $\hat x = \mathrm{ReLU}(W^\top W x + b)$ with $W$ of 2 × 5.
#    Train it, and count the columns of $W$ that are longer than one half. How many
#    features does PCA keep?
#
# ### Scale it up
#
# On a GPU try `REPLICATES = 20`, `LAYERS = 8`, `LAYER_STEPS = 10_000`. Does the shift
# survive to the last layer when training goes on? Write your threshold down first.
#
# ## Appendix: how do five networks train at once?
#
# Sections 2 and 3 trained five replicates in one call. To do so, stack the weights of
# $K$ networks, and let one product serve them all:
#
# $$ z^{(k)}_{nh} = \sum_i x^{(k)}_{ni} W^{(k)}_{hi} + b^{(k)}_h , \qquad
# L = \sum_k L_k . $$
#
# In the sum of the losses, the gradient for network $k$ sees only $L_k$. `Ensemble`
# does this for whole networks. Each must end where `fit` ends when it trains it alone.


# %%
x = train.inputs[:, :100]  # [K, n, i]: the first hundred digits of each replicate
with seeded(BASE_SEED):
    layers = [nn.Linear(64, 32) for _ in SEEDS]
W = torch.stack([layer.weight for layer in layers])
b = torch.stack([layer.bias for layer in layers])
one_by_one = torch.stack([layer(x[k]) for k, layer in enumerate(layers)])
at_once = torch.einsum("kni,khi->knh", x, W) + b[:, None]
torch.testing.assert_close(at_once, one_by_one)

ensemble_of_five = Ensemble([64, 32, 32, 10], SEEDS)
ensemble_of_five.fit(train, steps=50, device="cpu", experiment="at once")
together = ensemble_of_five.hidden(x)[-1]
for k, seed in enumerate(SEEDS):
    single = mlp([64, 32, 32, 10], seed=seed)
    fit(single, splits[k].train, steps=50, seed=seed, device="cpu", experiment="alone")
    alone = hidden(single, x[k])[-1]
    torch.testing.assert_close(together[k], alone, rtol=1e-3, atol=1e-4)
print("each replicate of the Ensemble is the network that fit would have trained alone")

# %% [markdown]
# ## References
#
# - Alain & Bengio 2016, *Understanding intermediate layers using linear classifier
#   probes*, arXiv:1610.01644; Clark & Evans 1954, *Distance to nearest neighbor as a
#   measure of spatial relationships in populations*, Ecology 35; Hewitt & Liang 2019,
#   *Designing and interpreting probes with control tasks*, EMNLP; Hermann & Lampinen
#   2020, *What shapes feature representations?*, NeurIPS
# - Ansuini, Laio, Macke & Zoccolan 2019, *Intrinsic dimension of data representations
#   in deep neural networks*, NeurIPS
# - Facco, d'Errico, Rodriguez & Laio 2017, *Estimating the intrinsic dimension of
#   datasets by a minimal neighborhood information*, Scientific Reports 7:12140
# - Pope et al. 2021, *The intrinsic dimension of images and its impact on learning*,
#   ICLR; Brown et al. 2023, *Verifying the union of manifolds hypothesis for image
#   data*, ICLR
# - Hinton & Salakhutdinov 2006, *Reducing the dimensionality of data with neural
#   networks*, Science 313; Baldi & Hornik 1989, *Neural networks and principal
#   component analysis*, Neural Networks 2
# - van der Maaten & Hinton 2008, *Visualizing data using t-SNE*, JMLR 9; van der Maaten
#   2009, *Learning a parametric embedding by preserving local structure*, AISTATS;
#   Wattenberg, Viégas & Johnson 2016, *How to use t-SNE effectively*, Distill; Becht et
#   al. 2019, *Dimensionality reduction for visualizing single-cell data using UMAP*,
#   Nature Biotechnology 37; Kobak & Linderman 2021, *Initialization is critical for
#   preserving global data structure in both t-SNE and UMAP*, Nature Biotechnology 39
# - Greydanus & Kobak 2024, *Scaling down deep learning with MNIST-1D*, ICML
# - Islam, Jia & Bruce 2020, *How much position information do convolutional neural
#   networks encode?*, ICLR; Kayhan & van Gemert 2020, *On translation invariance in
#   CNNs*, CVPR
# - Papyan, Han & Donoho 2020, *Prevalence of neural collapse during the terminal phase
#   of deep learning training*, PNAS 117; Hui, Belkin & Nakkiran 2022, *Limitations of
#   neural collapse for understanding generalization in deep learning*, arXiv:2202.08384
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its
# memory is free for the next notebook.
