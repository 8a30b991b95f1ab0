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
# 3. **name** three things that a t-SNE picture shows and the data do not have;
# 4. **measure** what a layer makes easy to read, on signals that no network has seen;
# 5. **separate** what training put into a layer from what the architecture decides.
#
# **You need** notebook 00: replicate, claim, control, linear probe. From mathematics:
# distance, covariance, eigenvectors. Chapters 4 and 10 of [Mathematics for Machine
# Learning](https://mml-book.github.io) refresh the last two.
#
# **Reading:** 60 minutes. **Running:** about 100 seconds on one CPU core.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
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
STARTS = 4  # untrained convolutional networks in a replicate

# %% [markdown]
# ## 1. How many numbers does a digit need?
#
# A picture of 8 × 8 grey values is a point in a space of 64 dimensions, and the digits
# are a cloud in it. The **manifold hypothesis** says that such clouds lie near a
# surface of few dimensions. To see what is special about this one, build others that
# share something with it:
#
# - **one Gaussian**: normal points with the mean and the covariance of all digits;
# - one Gaussian **per class**: for each digit from 0 to 9 normal points with the mean
#   and the covariance of *its* pictures; and the same points **clipped** to the range
#   from white to black and rounded to sixteenths, as the pictures are;
# - one per **random group**: the same recipe, with the labels shuffled beforehand;
# - **scrambled pixels**: each pixel keeps its values, each from another digit.


# %%
pixels = data.digits().inputs.double().numpy()
labels = data.digits().targets.numpy()


def gaussians(groups, rows, generator):
    """For each row a normal point with mean and covariance of the row's group."""
    points = np.empty((len(rows), 64))
    for group in np.unique(groups):
        members, wanted = pixels[groups == group], groups[rows] == group
        kind = members.mean(0), np.cov(members.T)
        points[wanted] = generator.multivariate_normal(*kind, size=wanted.sum())
    return points


# %%
def clouds(n, seed):
    """Name -> n points [n, 64]. The seed draws which digits, and all the rest."""
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(pixels))[:n]
    per_class = gaussians(labels, rows, generator)
    return {
        "digits": pixels[rows],
        "per class": per_class,
        "per class, clipped": np.round(16 * per_class.clip(0, 1)) / 16,
        "random groups": gaussians(generator.permutation(labels), rows, generator),
        "one Gaussian": gaussians(np.zeros(len(labels)), rows, generator),
        "scrambled": generator.permuted(pixels[rows], axis=0),
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


rows_of_ten = np.concatenate([cloud[:10] for cloud in shown_clouds.values()])
fig = figures.digit_grid(rows_of_ten, vmin=0, vmax=1)
for row, name in enumerate(shown_clouds):
    ax = fig.axes[10 * row]
    ax.text(-0.15, 0.5, name, transform=ax.transAxes, ha="right", va="center")
figures.show(
    fig,
    alt="""Six rows of ten small pictures, each row named at its left. The digits are
    clear. One Gaussian per class gives blurred but readable digits, clipped ones look a
    little cleaner. One per random group and one Gaussian give smears that hardly recall
    digits. Scrambled pixels look like noise.""",
    caption="""Ten points of each cloud, all on one grey scale from white (0) to black
    (1); values outside are drawn as white or black.""",
)

# %% [markdown]
# The **intrinsic dimension** of a cloud is the number of coordinates that you need
# *locally*: two on the surface of the earth, although the earth is a thing in three
# dimensions. How do you count them without a map? In $d$ dimensions the number of
# points within a distance $r$ grows like $r^d$. So the more dimensions, the closer the
# second neighbour is to the first. Let $m = r_2 / r_1$ be the ratio of the two
# distances. If points lie evenly on that scale,
#
# $$ P(m > t) = t^{-d}, \qquad\text{so}\qquad -\log P(m > t) = d \log t . $$
#
# **TwoNN** takes $d$ as the slope of that line through the sorted ratios of all points,
# without the largest tenth, where outliers sit (Facco et al. 2017). Never trust an
# estimator before it has found what you know: the two dimensions of a rolled-up sheet,
# and those of flat clouds that are hidden in 64.


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
DIMENSIONS = [1, 2, 5, 10, 20, 40]
known = pd.DataFrame(index=range(REPLICATES), columns=DIMENSIONS, dtype=float)
for dimension in DIMENSIONS:
    known[dimension] = [twonn(flat_cloud(dimension, seed)) for seed in SEEDS]

roll, _ = make_swiss_roll(2000, random_state=0)
np.testing.assert_allclose(twonn(roll), 2, atol=0.25)
print("TwoNN finds the two dimensions of the rolled sheet")

# %%
guess_dimension = predict(
    "One Gaussian with the digits' covariance needs more dimensions than the digits. "
    "How much of this gap closes when each class gets a Gaussian of its own?",
    ["less than a quarter", "a quarter to three quarters", "more than three quarters"],
)

# %%
SIZES = [200, 400, POINTS, 1600]
estimates = []
for replicate, seed in enumerate(SEEDS):
    for n in SIZES:
        for cloud, points in clouds(n, seed).items():
            row = {"replicate": replicate, "points": n, "cloud": cloud}
            estimates.append({**row, "dimension": twonn(points)})
index = ["points", "replicate"]
dimensions = pd.DataFrame(estimates).pivot_table("dimension", index, "cloud")
print(f"{len(estimates)} estimates")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.8), width_ratios=[1, 1.7, 1])
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
for name in ("one Gaussian", "per class", "digits"):
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
    the line of exact answers, beyond it they fall below. Middle: six clouds. The digits
    are lowest. One Gaussian per class lies about halfway up to one Gaussian, and
    clipping hardly moves it. Random groups are as high as one Gaussian; scrambled
    pixels are highest. Right: with more points the estimates rise slowly, in the same
    order.""",
    caption="""TwoNN on known clouds and on those above; dots and thin lines are
    replicates, grey lines join a replicate.""",
)

# %% [markdown]
# Left first: beyond ten dimensions even the nearest neighbour is far away, points are
# no longer even on the way to it, and TwoNN says too little. So read a high estimate as
# *at least*. Right: estimates rise with the number of points, so there is no *true*
# number here. Compare only equally many points.

# %%
one_size = dimensions.loc[POINTS]
gap = one_size["one Gaussian"] - one_size["digits"]
closed = (one_size["one Gaussian"] - one_size["per class"]) / gap
claim(
    "A Gaussian per class closes at least 0.3 of the gap from one Gaussian to digits",
    closed,
    at_least=0.3,
    control=(one_size["one Gaussian"] - one_size["random groups"]) / gap,
    control_is="the same share with labels shuffled before the Gaussians are fitted",
    source="our measurement; Brown et al. 2023 (a union of manifolds, not one)",
)
claim(
    "The digits need at most 0.8 of the dimensions of one Gaussian per class",
    one_size["digits"] / one_size["per class"],
    at_most=0.8,
    scale="log",
    control=one_size["per class, clipped"] / one_size["per class"],
    control_is="the same ratio for Gaussians per class, clipped and rounded as well",
    source="Facco et al. 2017; Pope et al. 2021 (dimension of image data sets)",
)
share = closed.mean()
guess_dimension.resolve([share < 0.25, 0.25 <= share <= 0.75, share > 0.75])

# %% [markdown]
# Read the two claims together. A good part of what looks like "digits fill few
# dimensions" is simpler: there are ten classes, each with its own mean and covariance.
# Random groups of the same sizes do not do it. The other part remains: within a class,
# digits are not a Gaussian, and the limits of the ink are not the reason. *How* they
# differ, whether the cloud bends or falls into further clusters, this measurement does
# not say.
#
# Pope et al. 2021 estimate one dimension for a whole data set; Brown et al. 2023 argue
# for a *union* of manifolds. Your first claim is on their side.
#
# ## 2. What do two numbers keep?
#
# Now describe each digit by only two numbers, a **code**. The oldest way is **principal
# component analysis** (PCA): along the two eigenvectors of the covariance with the
# largest eigenvalues the centred data $X$ vary most.
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
# neurons into 2, and from there on to an answer:
#
# - an **autoencoder** must give back the 64 pixels from the two numbers, and sees no
#   label;
# - a **supervised bottleneck** must name the class from the two numbers.
#
# Both exist with ReLU and without. Without it all layers together are one linear map,
# and the best linear autoencoder spans the plane of PCA (Baldi & Hornik 1989). The
# judge is the same for all: of the ten training digits with the nearest codes, the
# majority names the test digit.


# %%
digits = data.digits()
splits = [digits.split(seed, test=500, validation=0) for seed in SEEDS]
train = data.stack([split.train for split in splits])  # inputs [K, 1297, 64]
test = data.stack([split.test for split in splits])
itself = train.replace(targets=train.inputs, transform="target is the input")


def trained_coder(name, after, curved, examples, loss):
    """Networks 64-128-64-2 and what comes after, all replicates at once (section 5)."""
    bend = "relu" if curved else "identity"
    activations = [bend, bend, "identity", *[bend] * (len(after) - 1)]
    coder = Ensemble([64, 128, 64, 2, *after], SEEDS, activation=activations)
    budget = {"steps": CODE_STEPS, "batch_size": 100, "learning_rate": 5e-3}
    coder.fit(examples, loss=loss, schedule="cosine", experiment=name, **budget)
    return coder


def codes(coder, examples):
    """The two numbers of each digit: the third hidden layer, [K, n, 2]."""
    return coder.hidden(examples.inputs.to(DEVICE))[2].cpu().double().numpy()


def ten_neighbours(replicate, train_codes, test_codes):
    """Share of the test digits that their ten nearest training codes name."""
    judge = KNeighborsClassifier(10).fit(train_codes, train.targets[replicate])
    return judge.score(test_codes, test.targets[replicate])


# %%
coders = {}
for curved, kind in ((False, "linear "), (True, "")):
    name = f"{kind}autoencoder"
    coders[name] = trained_coder(name, [64, 128, 64], curved, itself, F.mse_loss)
    name = f"{kind}bottleneck"
    coders[name] = trained_coder(name, [10], curved, train, F.cross_entropy)
print(*coders, sep=", ")


# %%
named = pd.DataFrame(index=range(REPLICATES), columns=["PCA", *coders], dtype=float)
for replicate in range(REPLICATES):
    plane = measure.pca(train.inputs[replicate])
    on_plane = plane.project(test.inputs[replicate])
    named.loc[replicate, "PCA"] = ten_neighbours(replicate, plane.coordinates, on_plane)
    for name, coder in coders.items():
        pair = codes(coder, train)[replicate], codes(coder, test)[replicate]
        named.loc[replicate, name] = ten_neighbours(replicate, *pair)
print("a row for each replicate, a column for each code")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 4, figsize=(10, 3.4), width_ratios=[1, 1, 1, 1.5])
shown_codes = {"PCA": measure.pca(train.inputs[0]).project(test.inputs[0])}
for name in ("autoencoder", "bottleneck"):
    shown_codes[name] = codes(coders[name], test)[0]
for ax, (name, xy) in zip(panels, shown_codes.items(), strict=False):
    scatter_classes(ax, xy[:250], test.targets[0][:250], size=16)
    ax.set(title=name, xlabel="first number")
    ax.tick_params(labelsize=7)
panels[0].set(ylabel="second number")
columns = {name.replace(" ", "\n"): named[name] for name in named}
figures.dots_with_spread(panels[3], columns)
panels[3].axhline(0.1, color="0.4", linestyle=":", label="chance")
panels[3].set(title="10-NN accuracy on test digits", ylim=(0, 1))
panels[3].tick_params(axis="x", labelsize=8, labelrotation=60)
panels[3].legend(loc="lower right", bbox_to_anchor=(1, 0.15), fontsize=8)
figures.show(
    fig,
    alt="""Three scatter plots of test digits by two numbers, each drawn as its digit.
    With PCA the classes overlap in the middle. The autoencoder spreads them apart. The
    bottleneck sets them apart in groups of their own. Right: accuracy of ten
    neighbours. PCA and the linear autoencoder are equal, the linear bottleneck is a
    little higher; the autoencoder is clearly higher, the bottleneck with ReLU
    highest.""",
    caption="""Left: the same 250 test digits by three codes of two numbers (first
    replicate). Right: one dot a replicate, grey lines join a replicate.""",
)

# %% [markdown]
# The linear bottleneck is told the labels and gains a little: the plane that it finds
# does not keep ten classes well apart. The autoencoder sees no label and gains more,
# because it may bend.


# %%
over_pca = named.sub(named["PCA"], axis=0)
claim(
    "Two numbers from an autoencoder name at least 10 digits in 100 more than PCA's",
    over_pca["autoencoder"],
    at_least=0.1,
    control=over_pca["linear autoencoder"],
    control_is="the same difference for the same autoencoder without ReLU",
    source="Hinton & Salakhutdinov 2006, fig. 3; Baldi & Hornik 1989 (the linear case)",
    runs=coders["autoencoder"].run_ids,
)
claim(
    "Two numbers from a supervised bottleneck name at least 18 in 100 more than PCA's",
    over_pca["bottleneck"],
    at_least=0.18,
    control=over_pca["linear bottleneck"],
    control_is="the same difference for the same bottleneck without ReLU, same labels",
    source="our measurement, after Hinton & Salakhutdinov 2006",
    runs=coders["bottleneck"].run_ids,
)

# %% [markdown]
# The supervised bottleneck wins, but at home: it was told the classes and is judged by
# them. A code is good *for* something. Nobody here asked who wrote the digit.
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
# makes $p$ symmetric, and minimises the Kullback–Leibler divergence $\mathrm{KL}(p
# \,\Vert\, q)$. Each point gets a $\sigma_i$ of its own, so that it has about as many
# neighbours as the **perplexity** says. And t-SNE has places only for the points that
# it was given, not for a test digit: it could not enter the contest above. Test it on
# data that you know.


# %%
guess_tsne = predict(
    "One cloud is ten times as wide as another, far from it. t-SNE draws it ...",
    ["about ten times as wide", "two to five times as wide", "about equally wide"],
)


def uniform_square(generator):
    return generator.uniform(size=(MAPPED, 2))


def narrow_and_wide(generator):
    """Two clouds of ten dimensions: the second is ten times as wide, and 100 away."""
    points = generator.standard_normal((MAPPED, 10))
    points[MAPPED // 2 :] *= 10
    points[MAPPED // 2 :, 0] += 100
    return points


def near_and_far(generator):
    """Three equal clouds of ten dimensions: at 0, at 10, and far off at 100."""
    points = generator.standard_normal((MAPPED, 10))
    points[:, 0] += np.repeat([0, 10, 100], MAPPED // 3)
    return points


# %% [markdown]
# For each you need a number that can be taken of the data as well as of the picture.
# For the clouds these are ratios of widths and of distances. For the square it is the
# **Clark–Evans ratio**: the mean distance to the nearest neighbour, over what points
# thrown evenly on the same area would have, $\tfrac12 \sqrt{\text{area} / n}$. It is
# about 1 for an even cloud and smaller where points clump.


# %%
def clark_evans(points):
    nearest = np.partition(cdist(points, points), 1, axis=1)[:, 1]
    return 2 * nearest.mean() / np.sqrt(ConvexHull(points).volume / len(points))


def wide_over_narrow(points):
    narrow, wide = [cloud.var(0).sum() for cloud in np.split(points, 2)]
    return np.sqrt(wide / narrow)


def far_over_near(points):
    origin, near, far = [cloud.mean(0) for cloud in np.split(points, 3)]
    distance = np.linalg.norm(far - [origin, near], axis=1).mean()
    return distance / np.linalg.norm(near - origin)


# %%
CASES = {  # how the points are drawn, the number taken, and the perplexity
    "uniform square": (uniform_square, clark_evans, 5),
    "narrow and wide": (narrow_and_wide, wide_over_narrow, 30),
    "near and far": (near_and_far, far_over_near, 30),
}


def tsne(points, perplexity, seed):
    """The places in the plane of exactly these points, [n, 2]."""
    points = np.asarray(points, dtype=np.float32)
    return TSNE(perplexity=perplexity, random_state=seed).fit_transform(points)


maps = {}
compared = []
for replicate, seed in enumerate(SEEDS):
    for case, (draw, number, perplexity) in CASES.items():
        points = draw(np.random.default_rng(seed))
        picture = tsne(points, perplexity, seed)
        maps[case, replicate] = {"data": points, "picture": picture}
        numbers = {"data": number(points), "picture": number(picture)}
        compared.append({"case": case, "replicate": replicate, **numbers})
invented = pd.DataFrame(compared).set_index(["case", "replicate"]).sort_index()
print(f"{len(invented)} pictures of {MAPPED} points each")

# %%
PERPLEXITIES = [2, 5, 10, 30, 60, 90]
some_digits = test.inputs[0][:MAPPED]
square = maps["uniform square", 0]["data"]
moved = {}
for perplexity in PERPLEXITIES:
    moved["digits", perplexity] = tsne(some_digits, perplexity, BASE_SEED)
    moved["uniform square", perplexity] = tsne(square, perplexity, BASE_SEED)
print(f"the same points at {len(PERPLEXITIES)} perplexities")

# %% tags=["drawing"]
fig, grid = plt.subplots(2, 4, figsize=(10, 5))
for row, kind in enumerate(("data", "picture")):
    is_data = kind == "data"
    flat = measure.pca(some_digits).coordinates if is_data else moved["digits", 30]
    scatter_classes(grid[row, 0], flat, test.targets[0][:MAPPED], size=14)
    for ax, name in zip(grid[row, 1:], CASES, strict=True):
        shown = maps[name, 0][kind]
        flat = measure.pca(shown).coordinates if kind == "data" else shown
        parts = {"uniform square": 1, "narrow and wide": 2, "near and far": 3}[name]
        for part, marker in zip(np.split(flat, parts), "o^s", strict=False):
            ax.scatter(*part.T, s=8, marker=marker, linewidths=0)
for ax, name in zip(grid[0], ["digits", *CASES], strict=True):
    ax.set(title=name)
for ax in grid.flat:
    ax.set_aspect("equal", adjustable="datalim")
    ax.tick_params(labelsize=7)
grid[0, 0].set(ylabel="PCA, second axis")
grid[1, 0].set(ylabel="t-SNE, second number")
figures.show(
    fig,
    alt="""Four columns: digits, a uniform square, a narrow and a wide cloud, three
    clouds. Top row, PCA: digits overlap; the square is even; one cloud is much wider
    than the other; two clouds nearly touch and the third is far away. Bottom row,
    t-SNE: digits form islands by class; the square falls into many small clumps with
    gaps; both clouds are equally wide; the three clouds lie at similar distances.""",
    caption="""The same points by PCA (top) and by t-SNE (bottom), first replicate. Both
    axes of a panel have one scale. Perplexity 30, for the square 5.""",
)


# %%
STATEMENTS = {  # each with its threshold
    "uniform square": (
        "t-SNE draws an even square with a Clark–Evans ratio ≤ 0.55",
        0.55,
    ),
    "narrow and wide": (
        "A cloud ten times as wide is drawn at most 1.5 times as wide",
        1.5,
    ),
    "near and far": ("A cloud nine times as far is drawn at most 3 times as far", 3),
}
for case, (statement, threshold) in STATEMENTS.items():
    claim(
        statement,
        invented.loc[case, "picture"],
        at_most=threshold,
        scale="log",
        control=invented.loc[case, "data"],
        control_is="the same number taken of the data themselves",
        source="Wattenberg, Viégas & Johnson 2016 (how to use t-SNE effectively)",
    )
width = invented.loc["narrow and wide", "picture"].mean()
guess_tsne.resolve([width > 5, 2 <= width <= 5, width < 2])


# %% tags=["drawing"]
def draw_moved(perplexity):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.8))
    panels[0].scatter(*moved["uniform square", perplexity].T, s=9, linewidths=0)
    picture = moved["digits", perplexity]
    scatter_classes(panels[1], picture, test.targets[0][:MAPPED], size=18)
    for ax, name in zip(panels, ("uniform square", "digits"), strict=True):
        ax.set(title=f"{name}, perplexity {perplexity}", xlabel="first number")
        ax.set_aspect("equal", adjustable="datalim")
    panels[0].set(ylabel="second number")
    return fig


ALTS = [
    "The square is torn into many small clumps, and so are the digits.",
    "The square is torn into strands; digits form more islands than classes.",
    "The square is torn into fewer strands; digits form islands by class.",
    "The square hangs together but for some holes; digits form islands by class.",
    "The square is nearly even; the islands of the digits lie closer together.",
    "The square is even again, with rounded sides; islands of digits touch.",
]
figures.slider(
    {perplexity: draw_moved(perplexity) for perplexity in PERPLEXITIES},
    alt=dict(zip(PERPLEXITIES, ALTS, strict=True)),
    caption="t-SNE of the same points, at six perplexities.",
    name="Perplexity",
)

# %% [markdown]
# The square is flat already: nothing had to be left out to draw it. Its clumps are
# t-SNE's work, and the slider heals them. Equal widths follow from the equation: each
# $\sigma_i$ adapts to its cloud. Distances between clouds are far beyond every
# $\sigma_i$, where $p$ is nearly zero whatever the distance.
#
# So read *which points are neighbours*, and only what survives a change of perplexity.
# What lies beyond is disputed. Becht et al. 2019 preferred UMAP, a relative of t-SNE,
# for keeping more of the whole arrangement. Kobak & Linderman 2021 found that this came
# from the starting positions alone. We start from PCA, scikit-learn's default.
#
# ## 3. What does a layer make easy to read?
#
# From here on the data are others, and nothing said of digits carries over.
# **MNIST-1D** (Greydanus & Kobak 2024) is made to be small and hard. A signal of 40
# numbers holds one of ten strokes, shifted around a circle, scaled, stretched, noisy
# and tilted (**sheared**) at random. We generate it ourselves, so we know these
# **factors**, and can draw *fresh* signals that no network was trained on.


# %%
worlds = []
for seed in SEEDS:
    world = data.mnist1d(SIGNALS + FRESH + SCORED, seed)
    worlds.append(world.split(seed, test=SCORED, validation=FRESH))
signals = data.stack([world.train for world in worlds])  # networks are trained on these
fresh = data.stack([world.validation for world in worlds])  # probes are fitted on these
scored = data.stack([world.test for world in worlds])  # and scored on these
SHAPE = [40, *[100] * LAYERS, 10]
print(f"signals: {len(signals)} to train on, {len(fresh)} and {len(scored)} for probes")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 5, figsize=(10, 2.2), sharex=True, sharey=True)
for digit, ax in enumerate(panels):
    these = scored.targets[0] == digit
    ax.plot(scored.inputs[0][these][:3].T, marker="")
    ax.set(title=f"class {digit}", xlabel="place")
panels[0].set(ylabel="height")
figures.show(
    fig,
    alt="""Five panels with three signals of one class each. Within a class the same
    stroke appears at different places, sizes and tilts.""",
    caption="MNIST-1D: three signals of each of five classes.",
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
# its angle, and we average the two.
#
# Two controls: the same networks **untrained**, and networks trained on **shuffled**
# labels, where nothing but noise can be learned. One more arm shows why signals must be
# fresh: a probe for the class, fitted on half of the signals that the network was
# *trained on*, and scored on the other half.


# %%
guess_shift = predict(
    "The class does not depend on the shift. In the second of four hidden layers, what "
    "does training on the class do to the R² of a probe for the shift?",
    ["it falls by at least 0.1", "it changes by less", "it rises by at least 0.1"],
)


# %%
orders = [np.random.default_rng(seed).permutation(SIGNALS) for seed in SEEDS]
mixed = [y[order] for y, order in zip(signals.targets, orders, strict=True)]
no_meaning = signals.replace(targets=torch.stack(mixed), transform="labels shuffled")

training = {"steps": LAYER_STEPS, "batch_size": 100, "learning_rate": 4e-3}
networks = {"trained": Ensemble(SHAPE, SEEDS), "shuffled": Ensemble(SHAPE, SEEDS)}
for name, seen in (("trained", signals), ("shuffled", no_meaning)):
    networks[name].fit(seen, schedule="cosine", experiment=f"{name} MLP", **training)
networks["untrained"] = Ensemble(SHAPE, SEEDS).to(DEVICE)
print(*networks, sep=", ")


# %%
def answers(examples):
    """What the probes are asked about each signal, [K, n] or [n]."""
    angle = 2 * np.pi / 72 * examples.factors["shift"]  # 72 places around the circle
    shift = {"cosine": torch.cos(angle), "sine": torch.sin(angle)}
    return {"class": examples.targets, "shear": examples.factors["shear"], **shift}


def ask(h, fitted_on, h_scored, scored_on):
    """Question -> score of a linear probe that reads it from the representation h."""
    truth = answers(scored_on)
    score = {}
    for name, y in answers(fitted_on).items():
        score[name] = measure.linear_probe(h, y, h_scored, truth[name])
    score["shift"] = (score.pop("cosine") + score.pop("sine")) / 2
    return score


# %%
def layers_of(ensemble, examples):
    """The input and each hidden layer: a list of [K, n, width]."""
    inputs = examples.inputs.to(DEVICE)
    return [layer.cpu() for layer in (inputs, *ensemble.hidden(inputs))]


tables = []
for name, ensemble in networks.items():
    pairs = zip(layers_of(ensemble, fresh), layers_of(ensemble, scored), strict=True)
    for layer, (h_fresh, h_scored) in enumerate(pairs):
        scores = ask(h_fresh, fresh, h_scored, scored)
        where = {"network": name, "layer": layer, "replicate": range(REPLICATES)}
        tables.append(pd.DataFrame({**where, **scores}))
read = pd.concat(tables).set_index(["network", "layer", "replicate"]).sort_index()
gain = read.loc["trained"] - read.loc["untrained"]
gain_shuffled = read.loc["shuffled"] - read.loc["untrained"]

half = len(signals) // 2
h_seen = layers_of(networks["trained"], signals)[-1]
y_seen = signals.targets
on_seen = measure.linear_probe(
    h_seen[:, :half], y_seen[:, :half], h_seen[:, half:], y_seen[:, half:]
)
print("the scored signals are new to the probe, but not to the network")

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
panels[0].axhline(0.1, color="0.4", linestyle=":", label="chance")
star = {"marker": "*", "s": 60, "color": "0.1", "zorder": 3}
panels[0].scatter(
    [LAYERS] * REPLICATES, on_seen, label="trained, on seen signals", **star
)
for ax in panels[1:]:
    ax.axhline(0, color="0.4", linestyle=":", label="nothing is read")
handles = dict(zip(*panels[0].get_legend_handles_labels()[::-1], strict=True))
fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
figures.show(
    fig,
    alt="""Three panels over the layers from the input to the fourth hidden layer.
    Class: it rises in trained networks and falls slowly in the two controls; stars at
    the last layer, for seen signals, are far above. Shift: unreadable in the input,
    readable in all networks after one layer, most in the trained ones, and then
    falling. Shear: readable in the input and throughout untrained networks; it falls
    with depth in trained ones, and less with shuffled labels.""",
    caption="""Linear probes, fitted and scored on fresh signals; thin lines are
    replicates. Dotted: chance, and an R² of nothing.""",
)

# %% [markdown]
# Compare layers with each other, not with the input: it has 40 numbers, each layer 100.
# And look at the stars. They are what you would report from training signals: a layer
# that sorts them nearly perfectly, because the network has met each of them. With long
# training the signals of a class even move onto one point, **neural collapse** (Papyan,
# Han & Donoho 2020); Hui, Belkin & Nakkiran 2022 find that fresh examples do not
# follow.


# %%
claim(
    "In the last hidden layer, training adds at least 0.25 to a probe's accuracy",
    gain.loc[LAYERS, "class"],
    at_least=0.25,
    control=gain_shuffled.loc[LAYERS, "class"],
    control_is="the same gain for networks trained on shuffled labels",
    source="Alain & Bengio 2016",
    runs=networks["trained"].run_ids,
)

# %%
claim(
    "In the second hidden layer, training adds at least 0.12 to the R² for the shift",
    gain.loc[2, "shift"],
    at_least=0.12,
    control=gain_shuffled.loc[2, "shift"],
    control_is="the same gain for networks trained on shuffled labels",
    source="our measurement; Hermann & Lampinen 2020 (what layers keep)",
    runs=networks["trained"].run_ids,
)
claim(
    "In the last hidden layer, a probe explains at most 0.25 of the shear",
    read.loc[("trained", LAYERS), "shear"],
    at_most=0.25,
    control=read.loc[("untrained", LAYERS), "shear"],
    control_is="the same probe on the same networks, untrained",
    source="Hermann & Lampinen 2020 (what the task does not need is partly suppressed)",
    runs=networks["trained"].run_ids,
)
change = gain.loc[2, "shift"].mean()
guess_shift.resolve([change <= -0.1, abs(change) < 0.1, change >= 0.1])

# %% [markdown]
# **Learned representation ≠ neutral representation.** Training on one question rewrites
# the answers to others: here it brings out the shift and hides the shear. Perhaps a
# network must find out *where* a stroke is to tell *which* it is, and the tilt only
# disturbs. But random layers bring out much of the shift, too, and shuffled labels hide
# part of the shear.
#
# "Hard to read" does not mean "gone": whoever stores representations instead of
# signals, for privacy's sake, has shown nothing by this figure. And a probe shows what
# *can be* read, not what the network *uses*.
#
# ### Look at the weights
#
# The first layer has 40 weights for each neuron, so you can draw a neuron as a signal.
# What do you expect? The gradient is a sum of multiples of *signals*, $\partial L /
# \partial W = \sum_i \delta_i x_i^\top$ (notebook 00), which Adam rescales weight by
# weight. Signals are smooth, so weights may become smoother, whatever the labels are.
# **Roughness** is 1 for independent weights and near 0 for smooth ones:
#
# $$ \rho = \frac{\text{mean of } (w_{t+1} - w_t)^2}{2 \operatorname{Var} w} . $$


# %%
def roughness(weights):
    """One number a replicate, for weights [K, neurons, places]."""
    steps = weights[..., 1:] - weights[..., :-1]
    return (steps.square().mean((1, 2)) / (2 * weights.var((1, 2)))).numpy()


first_weights = {}
for name in ("untrained", "trained", "shuffled"):
    first_weights[name] = networks[name].layers[0].weight.detach().cpu()
rough = {name: roughness(weights) for name, weights in first_weights.items()}
neurons, places_seen = first_weights["trained"].shape[1:]
print(f"{neurons} neurons with {places_seen} weights each")

# %%
claim(
    "Even with shuffled labels, training lowers the roughness to at most 0.75",
    rough["shuffled"],
    at_most=0.75,
    scale="log",
    control=rough["untrained"],
    control_is="the roughness of the same networks' first layers before training",
    source="our measurement, from the gradient of a linear layer",
    runs=networks["shuffled"].run_ids,
)

# %% tags=["drawing"]
fig, grid = plt.subplots(
    2, 4, figsize=(10, 3.8), sharex=True, width_ratios=[1, 1, 1, 1.5]
)
for ax in grid[:, 3]:
    ax.remove()
right = fig.add_subplot(grid[0, 0].get_gridspec()[:, 3])
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
right.axhline(1, color="0.4", linestyle=":", label="independent weights")
right.set(ylabel="roughness", ylim=(0, 1.1))
right.legend(loc="lower left", fontsize=8)
figures.show(
    fig,
    alt="""Left: the weights of six neurons as curves over the forty places, three in
    each panel. Untrained they are jagged; after training, with true and with shuffled
    labels, they are larger and smoother. Right: roughness, one for untrained weights,
    lower for trained ones and lowest with shuffled labels.""",
    caption="""The first six neurons of the first replicate, all on one scale, and the
    roughness of all neurons, one dot a replicate.""",
)

# %% [markdown]
# Smooth filters are often shown as a proof that a network "has learned features". Here
# labels without any meaning lead to them, too. The likely reason is the gradient's:
# *signals* are smooth. Exercise 2 tests it.
#
# ## 4. What does the architecture decide before training?
#
# A **convolution** slides one small set of weights along the signal, so that every
# place is treated alike. For output filter $c$ at place $t$,
#
# $$ h_c[t] = \phi\Big(b_c + \sum_{c'} \sum_{k=-2}^{2} w_{c c' k}\,
# x_{c'}[t + k]\Big). $$
#
# Here the signal is closed to a circle (**circular padding**). The output says *what*
# was found *where*. What comes next decides whether the "where" survives: a
# **flattened** head hands on all $16 \times 40$ numbers, **global max pooling** only
# the largest value of each of the 16 filters. (Lab 5 builds all of this.)


# %%
PLACES = {"pooled": 1, "flattened": 40}  # at which a head looks


def convolutional(head, seed):
    """Three circular convolutions of 16 filters, the largest value per place, head."""
    with seeded(seed):
        stages = [nn.Unflatten(1, (1, 40))]
        for channels in (1, 16, 16):
            filters = nn.Conv1d(channels, 16, 5, padding=2, padding_mode="circular")
            stages += [filters, nn.ReLU()]
        stages += [nn.AdaptiveMaxPool1d(PLACES[head]), nn.Flatten()]
        return nn.Sequential(*stages, nn.Linear(16 * PLACES[head], 10)).to(DEVICE)


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
print("pooling does not notice the turn; flattening turns with it")

# %% [markdown]
# With zeros beyond the ends, the ends would be marked, and the place can leak even
# through pooling: Islam, Jia & Bruce 2020 and Kayhan & van Gemert 2020 found that in
# large networks. Circular padding leaves it to the head alone.
#
# How much of the shift can a probe read behind each head? 640 numbers against 16 would
# be no fair contest. So narrow the flattened head to 16 numbers: by 16 **random
# mixtures**, which know nothing of the data, or by its first 16 **principal
# components**. Random networks vary much, so before training a replicate is the mean of
# four.


# %%
guess_head = predict(
    "Before any training, from which 16 numbers does a probe read the class best?",
    ["pooled", "random mixtures of the flattened", "components of the flattened"],
)


# %%
def readouts(h, h_scored, seed):
    """Name -> what a probe is given of the numbers before the last layer."""
    if h.shape[1] == 16:
        return {"pooled": (h, h_scored)}
    mixtures = torch.from_numpy(np.random.default_rng(seed).standard_normal((640, 16)))
    main = measure.pca(h[:1000], k=16)
    return {
        "mixtures": (h @ mixtures, h_scored @ mixtures),
        "components": (main.project(h), main.project(h_scored)),
        "all 640": (h, h_scored),
    }


def rows_of(network, replicate, moment):
    """What probes read before the last layer, as rows of a table."""
    probed = worlds[replicate].validation.first(2000), worlds[replicate].test
    with torch.no_grad():
        pair = [network[:-1](part.inputs.to(DEVICE)).cpu().double() for part in probed]
    found = []
    for given, (h, h_scored) in readouts(*pair, SEEDS[replicate]).items():
        row = {"moment": moment, "given": given, "replicate": replicate}
        found.append({**row, **ask(h, probed[0], h_scored, probed[1])})
    return found


# %%
probed_heads = []
recipe = {"batch_size": 100, "learning_rate": 1e-2, "schedule": "cosine"}
for head in ("pooled", "flattened"):
    for replicate, seed in enumerate(SEEDS):
        starts = [convolutional(head, seed + 10_000 * k) for k in range(STARTS)]
        for network in starts:
            probed_heads += rows_of(network, replicate, "untrained")
        world = worlds[replicate]
        own = {"seed": seed, "experiment": f"{head} head"}
        fit(starts[0], world.train, steps=CONVOLUTION_STEPS, **recipe, **own)
        probed_heads += rows_of(starts[0], replicate, "trained")
heads = pd.DataFrame(probed_heads).groupby(["moment", "given", "replicate"]).mean()
print(*heads.columns, sep=", ")


# %% tags=["drawing"]
fig, grid = plt.subplots(2, 2, figsize=(10, 6), sharex=True, sharey="col")
for row, moment in enumerate(("untrained", "trained")):
    for ax, question in zip(grid[row], ("shift", "class"), strict=True):
        columns = heads.loc[moment, question].unstack("given")
        columns = columns[["pooled", "mixtures", "components", "all 640"]]
        figures.dots_with_spread(ax, columns)
        chance = {"shift": 0, "class": 0.1}[question]
        ax.axhline(chance, color="0.4", linestyle=":", label="nothing is read")
        ax.set(title=f"{question}, {moment}", ylim=(-0.05, 1.05))
        ax.set(ylabel="R²" if question == "shift" else "accuracy of the probe")
grid[0, 0].legend(loc="upper left")
figures.show(
    fig,
    alt="""Four panels: R² for the shift (left) and accuracy for the class (right),
    untrained (top) and trained (bottom), for pooled and flattened heads. The shift is
    at zero behind pooling both times, and well above zero in all three flattened arms.
    The class is read better from sixteen pooled numbers than from sixteen flattened
    ones, both times.""",
    caption="""One dot a replicate, grey lines join a replicate. The first three columns
    have equal width, 16 numbers.""",
)


# %%
shift = heads.loc["untrained", "shift"].unstack("given")
named_class = heads.loc["untrained", "class"].unstack("given")
claim(
    "Before training, 16 flattened mixtures explain at least 0.15 of the shift",
    shift["mixtures"],
    at_least=0.15,
    control=shift["pooled"],
    control_is="the same probe on the 16 numbers behind global max pooling, untrained",
    source="our measurement; Kayhan & van Gemert 2020 (pooling discards the place)",
)
claim(
    "Before training, a probe on 16 pooled numbers beats 16 mixtures by at least 0.25",
    named_class["pooled"] - named_class["mixtures"],
    at_least=0.25,
    control=named_class["components"] - named_class["mixtures"],
    control_is="the same difference for 16 principal components, without pooling",
    source="our measurement; Greydanus & Kobak 2024 (inductive biases on MNIST-1D)",
)
best = named_class.mean().drop("all 640").idxmax()
guess_head.resolve([best == name for name in ("pooled", "mixtures", "components")])

# %% [markdown]
# Same signals, same filters, equal width, no update: only the head differs. Pooling
# builds in the assumption that the place does not matter. For the class that is right,
# and it makes the class easier to read before anything is learned. For whoever needs
# the place it is a loss that training, in the lower row, does not repair. Part of a
# *learned* representation is designed. But do not read "convolutional networks ignore
# the place": behind a flattened head they keep it.
#
# ## 5. How many networks train at once?
#
# Sections 2 and 3 trained five replicates in one call. For small networks, *calling* a
# matrix product takes longer than computing it. So stack the weights of $K$ networks
# and let one product serve all:
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
# ## 6. The record, and what a reviewer would ask
#
# Three tables go to `outputs/tables`; notebook 09 collects them. `save_table` writes a
# DataFrame there as CSV, whole or not at all. And a query asks the ledger what was
# trained.


# %% tags=["nbval-ignore-output"]
frames = {}
for name, coder in coders.items():
    frames[name] = pd.DataFrame(codes(coder, test)[0], columns=["first", "second"])
save_table(
    pd.concat(frames, names=["code"]).reset_index(),
    "representation_geometry_coordinates",
)
save_table(named, "representation_geometry_summary")
on_train = evaluate(networks["trained"], signals, environment="training examples")
gaps = pd.DataFrame({"train": on_train, "test": evaluate(networks["trained"], scored)})
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
# A reviewer would ask:
#
# - **D**: *Each MNIST-1D replicate is a new data set. Which one was model 40 trained
#   on?* Its fingerprint says.
# - **A**: *You say training did it. Did you try another architecture?* Section 4 did,
#   before any training.
# - **E**: *You probed for class, shift and shear. What else can be read from these
#   layers?* Nobody knows. A probe finds only what someone thought of.
# - **G**: *Who may use these representations, and for what?* So far nobody has written
#   it down. Notebook 09 will.
#
# ## 7. What you can do now
#
# 1. **Estimate** how many coordinates data need, and find out what the estimate rests
#    on (section 1).
# 2. **Compare** linear, curved and supervised codes by one measure (section 2).
# 3. **Name** three things that a t-SNE picture invents: clumps, sizes, distances
#    (section 2).
# 4. **Measure** what a layer makes easy to read, on fresh signals (section 3).
# 5. **Separate** what training put into a layer from what the architecture decides
#    (sections 3 and 4).
#
# **Limits of this evidence.** Two small data sets, and networks of a few thousand to a
# few ten thousand parameters. Probes are linear: what they miss may still be there.
# TwoNN depends on the number of points and says too little above ten. All networks are
# trained for a budget: twice as many updates still add a little. Learning rates lie
# inside grids of factors of two that were tried on other replicates. Thresholds come
# from a pilot with 20 other replicates on one machine.
#
# ### Your turn
#
# 1. (10 minutes) Ask the questions of section 3 of networks with **batch
#    normalisation**, a layer that gives each neuron mean 0 and variance 1 over the
#    batch before ReLU: `Ensemble(SHAPE, SEEDS, norm="batch")`. Does the shear go as
#    fast?
# 2. (10 minutes) In section 3, train on signals whose 40 places are put into one fixed
#    random order, `signals.inputs[..., order]`. Predict the roughness of the first
#    layer first.
# 3. (15 minutes) In section 4, let heads look at 2, 4 and 10 places. How many places
#    does the shift need? Then set `padding_mode="zeros"`, and turn the signals again:
#    does pooling still not notice?
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
# ### References
#
# - Alain & Bengio 2016, *Understanding intermediate layers using linear classifier
#   probes*, arXiv:1610.01644; Hermann & Lampinen 2020, *What shapes feature
#   representations?*, NeurIPS
# - Facco, d'Errico, Rodriguez & Laio 2017, *Estimating the intrinsic dimension of
#   datasets by a minimal neighborhood information*, Scientific Reports 7:12140
# - Pope et al. 2021, *The intrinsic dimension of images and its impact on learning*,
#   ICLR; Brown et al. 2023, *Verifying the union of manifolds hypothesis for image
#   data*, ICLR
# - Hinton & Salakhutdinov 2006, *Reducing the dimensionality of data with neural
#   networks*, Science 313; Baldi & Hornik 1989, *Neural networks and principal
#   component analysis*, Neural Networks 2
# - van der Maaten & Hinton 2008, *Visualizing data using t-SNE*, JMLR 9; Wattenberg,
#   Viégas & Johnson 2016, *How to use t-SNE effectively*, Distill; Becht et al. 2019,
#   *Dimensionality reduction for visualizing single-cell data using UMAP*, Nature
#   Biotechnology 37; Kobak & Linderman 2021, *Initialization is critical for preserving
#   global data structure in both t-SNE and UMAP*, Nature Biotechnology 39
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
