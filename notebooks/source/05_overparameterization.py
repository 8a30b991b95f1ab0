# %% [markdown]
# # Why do models with more parameters than data generalise?
#
# **In one sentence:** as a model grows past the size at which it can fit every training label, its error on held-out examples
# peaks and falls again, which you will compute exactly and measure in trained networks over five replicates, against ridge,
# early stopping, random labels, re-initialised tickets and a shortcut that perfect fits cannot see.
#
# After this notebook you can
#
# 1. **compute** the double-descent curve exactly, and remove it;
# 2. **compare** what the loss and the error show of it in trained networks, and plot such a curve without the two slips of
#    famous ones;
# 3. **explain** what it means that networks fit random labels, and why the batch size decides what you see of it;
# 4. **prove** which of many perfect fits gradient descent finds, and test at equal training loss what else has a say;
# 5. **search** for a small network inside a large one, and **show** that equal test accuracy does not mean equal models.
#
# **You need** notebooks 00 to 02 (replicate, claim, `Ensemble`) and linear algebra: rank, least squares.
#
# **Reading:** 70 minutes. **Running:** about 100 seconds on one CPU core.

# %% tags=["long"]
import itertools

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from sklearn.linear_model import Ridge
from torch import nn

from labkit import data, figures
from labkit.evidence import claim, predict
from labkit.ledger import Ledger, save_table
from labkit.train import Ensemble, device, evaluate

figures.style()
DEVICE = device()

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
N = 300  # training digits of the exact curve
POINTS = [10, 20, 40, 60, 100, 150, 200, 250, 300, 360, 450, 600, 900, 1500, 3000]  # its numbers of features p
DRAWS = 4  # random-feature models behind one replicate
WIDTHS, WIDTH_STEPS = [2, 4, 8, 12, 16, 32, 128], 1500  # section 2, trained on 400 digits
FIT_STEPS = 3000  # updates that are enough to fit random labels in batches
FULL_STEPS = 400  # and with all examples at once
PATH_SIGNALS = 1000  # training signals in section 4
WIDTH_NETWORKS, PATH_NETWORKS = 4, 5  # behind a replicate where a claim compares two widths or paths; elsewhere 2
ROUNDS = 5  # of pruning
MODELS, CUE_STEPS = 20, 1200  # section 6: models a replicate

# %% [markdown]
# ## 1. Double descent, exactly
#
# ### One curve without training
#
# A network with 3 000 parameters for 300 examples sounds like a mistake: with more unknowns than equations you can fit
# *anything*. Take the simplest model in which that can be studied without any training. Send each picture $x$ (minus the mean picture)
# through $p$ random directions $v_j$, cut off what is negative, and fit a *linear* model on these **random features**:
#
# $$ \phi_j(x) = \max(0, v_j \cdot x)/\sqrt{p}, \qquad \hat y = \sum_{j=1}^{p} w_j\, \phi_j(x) $$
#
# for each of ten outputs, whose target is 1 for the class and 0 else. With $p < n$ least squares has one answer. With $p > n$
# infinitely many $w$ have training error zero, and one of them is the **smallest** (minimum norm):
#
# $$ w = (\Phi^\top \Phi + \lambda I)^{-1} \Phi^\top y \quad (p \le n), \qquad w = \Phi^\top (\Phi \Phi^\top + \lambda I)^{-1} y \quad (p > n) $$
#
# with $\lambda = 0$. A $\lambda > 0$ makes it **ridge** regression, which pays for large weights; the two forms are then the same.


# %%
def random_features(p, parts, seed):
    """ReLU features [n, p] of each part, in directions drawn from `seed`, around the mean of the first part."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(64, p, generator=generator, dtype=torch.float64) / 8
    centre = parts[0].inputs.double().mean(0)
    return [((part.inputs.double() - centre) @ directions).relu() / p**0.5 for part in parts]


def smallest_fit(features, targets, ridge=0.0):
    """Weights [p, outputs] of the least squared error on [n, p] features, and of all such the smallest."""
    n, p = features.shape
    price = ridge * torch.eye(min(n, p), dtype=torch.float64)
    if p <= n:
        return torch.linalg.solve(features.mT @ features + price, features.mT @ targets)
    return features.mT @ torch.linalg.solve(features @ features.mT + price, targets)


digits, ONE_HOT = data.digits(), torch.eye(10, dtype=torch.float64)
some = digits.split(BASE_SEED, test=1000, validation=0).train.first(N)
for p in (100, 900):
    (features,), targets = random_features(p, [some], BASE_SEED), ONE_HOT[some.targets]
    by_hand = smallest_fit(features, targets)
    by_library = torch.linalg.lstsq(features, targets, driver="gelsd").solution  # by singular values
    torch.testing.assert_close(by_hand, by_library, rtol=1e-6, atol=1e-6)
    ridge = Ridge(alpha=1e-3, fit_intercept=False).fit(features.numpy(), targets.numpy()).coef_.T
    np.testing.assert_allclose(smallest_fit(features, targets, 1e-3), ridge, rtol=1e-5, atol=1e-5)
    zero = (features @ by_hand - targets).abs().max() < 1e-8
    print(f"p = {p}: ours agrees with PyTorch and scikit-learn; fits all {N} labels exactly: {bool(zero)}")

# %% [markdown]
# Real labels have errors. **Label noise** of 40 % means here: with probability 0.4 a training label is replaced by one drawn evenly
# from all ten classes (so that a tenth of these stay right by luck). Test labels stay as they are.


# %% tags=["long"]
def noisy(examples, fraction, seed):
    """Each label is, with this probability, replaced by one drawn evenly from all ten: a tenth of these stay right."""
    generator = np.random.default_rng([seed, 1])
    replaced = torch.from_numpy(generator.random(len(examples)) < fraction)
    drawn = torch.from_numpy(generator.integers(0, 10, len(examples)))
    targets = torch.where(replaced, drawn, examples.targets)
    return examples.replace(targets=targets, transform=f"labels drawn anew with probability {fraction:g}")


# %%
guess_exact = predict(
    f"{N} digits with the right labels. At which number of features is the error on test digits lowest?",
    [f"p = {N // 3}", f"p = {N}: as many as examples", f"p = {10 * N}"],
)
NOISES, RIDGES = [0.0, 0.4], [0.0, 1e-3]


def exact_curves(seed):
    """One draw: [noise, ridge, p, (training error, test error, squared error a test digit, norm of w)]."""
    split = digits.split(seed, test=1000, validation=0)
    train, test = split.train.first(N), split.test
    results = np.empty((len(NOISES), len(RIDGES), len(POINTS), 4))
    for k, p in enumerate(POINTS):
        seen, fresh = random_features(p, [train, test], seed)
        for (i, noise), (j, ridge) in itertools.product(enumerate(NOISES), enumerate(RIDGES)):
            labels = noisy(train, noise, seed).targets
            w = smallest_fit(seen, ONE_HOT[labels], ridge)
            wrong = [(out.argmax(1) != y).double().mean() for out, y in ((seen @ w, labels), (fresh @ w, test.targets))]
            results[i, j, k] = *wrong, (fresh @ w - ONE_HOT[test.targets]).square().sum(1).mean(), w.norm()
    return results


SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
exact = np.array([[exact_curves(100 * seed + draw) for draw in range(DRAWS)] for seed in SEEDS])
exact = np.concatenate([exact[..., :2].mean(1), np.exp(np.log(exact[..., 2:]).mean(1))], -1)  # norms: mean of logs
train_error, test_error, squared, norm = np.moveaxis(exact, -1, 0)  # each [K, noise, ridge, p]
fifth, third, equal, tenfold = (POINTS.index(p) for p in (N // 5, N // 3, N, 10 * N))

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(11, 3.6))
for ax, noise in zip(panels, (0, 1), strict=False):
    figures.lines_with_spread(ax, POINTS, test_error[:, noise, 0], "test, smallest fit", markevery=1)
    figures.lines_with_spread(ax, POINTS, test_error[:, noise, 1], "test, a little ridge", markevery=1)
    figures.lines_with_spread(ax, POINTS, train_error[:, noise, 0], "training, smallest fit", marker="")
    ax.set(title=f"label noise {NOISES[noise]:.0%}", ylabel="error", ylim=(-0.03, 1))
for ridge, label in enumerate(("smallest fit", "a little ridge")):
    figures.lines_with_spread(panels[2], POINTS, norm[:, 1, ridge], label, markevery=1)
panels[2].set(title="label noise 40%", yscale="log", ylabel="norm of w")
for ax in panels:
    ax.axvline(N, color="0.5", linestyle=":", label="p = n")
    ax.set(xscale="log", xlabel="features p")
panels[0].legend(fontsize=8)
panels[2].legend(fontsize=8)
figures.show(
    fig,
    alt="Left: with right labels, test error falls, rises to a sharp peak where p equals n, and falls to its lowest value at the right end. "
    "Middle: with noisy labels it falls, peaks, and falls again, but not as low as before. Ridge has no sharp peak. Right: the "
    "norm of the weights peaks where p equals n.",
    caption="Minimum-norm least squares on random features. Thin lines are replicates, the dotted line is p = n.",
)

# %%
peak = test_error[..., equal] / test_error[..., tenfold]  # [K, noise, ridge]
claim(
    "With right labels, the test error at p = n is at least 3 times that at p = 10 n",
    peak[:, 0, 0],
    at_least=3,
    control=peak[:, 0, 1],
    control_is="the same ratio with a little ridge",
    scale="log",
    source="Belkin et al. 2019 (random features); Nakkiran et al. 2021 (ridge)",
)
claim(
    "The norm of the weights at p = n is at least twice that at p = 10 n",
    norm[:, 1, 0, equal] / norm[:, 1, 0, tenfold],
    at_least=2,
    control=norm[:, 1, 1, equal] / norm[:, 1, 1, tenfold],
    control_is="the same ratio with a little ridge",
    scale="log",
    source="Belkin et al. 2019 (random features)",
)

# %%
second, first = (test_error[:, :, 0, tenfold] / test_error[:, :, 0, at] for at in (third, fifth))  # [K, noise]
claim(
    "With right labels, p = 10 n has at most 0.7 times the error of p = n/3",
    second[:, 0],
    at_most=0.7,
    control=second[:, 1],
    control_is="the same ratio with 40 % label noise",
    scale="log",
    source="Belkin et al. 2019; our measurement",
)
claim(
    "With 40 % label noise, the second descent does not beat the first: p = 10 n has more error than p = n/5",
    first[:, 1],
    at_least=1,
    control=first[:, 0],
    control_is="the same ratio with right labels",
    scale="log",
    source="our measurement; Hastie et al. 2022 (theory for linear models)",
)
errors = test_error[:, 0, 0, [third, equal, tenfold]].mean(0)  # right labels, smallest fit
guess_exact.resolve([error == errors.min() for error in errors])

# %% [markdown]
# Why a *peak*? At $p = n$ there is exactly one way to fit all labels, and it has to bend the weights however the labels
# demand, hence their norm. With $p = 10\,n$ there are many ways, and the smallest is gentle. So "more parameters"
# bought here not more freedom but a *choice*, and the rule of choice, the smallest norm, is what generalises. Put a
# price on size instead, and the peak is gone, whatever $p$ is.
#
# How it is misread. *More is always better*: with noisy labels the best smallest fit stands left of the peak. (There, this little ridge leaves
# a low hill; a larger one flattens it. Try it below.) *Bias and variance are refuted*: the peak is variance. And what the axis should be is disputed: Curth et al. (2023) show for linear
# models, trees and boosting that the parameter count hides two kinds of complexity, and that each has its ordinary U.
#
# Try it: the curve for one draw, with any label noise and any ridge.


# %%
def draw_exact(ax, p, noise, ridge):
    split = digits.split(SEEDS[0], test=1000, validation=0)
    train, test = noisy(split.train.first(N), noise, SEEDS[0]), split.test
    errors = []
    for features in POINTS:
        seen, fresh = random_features(features, [train, test], SEEDS[0])
        w = smallest_fit(seen, ONE_HOT[train.targets], ridge)
        errors.append(
            [float(((x @ w).argmax(1) != part.targets).double().mean()) for x, part in ((seen, train), (fresh, test))]
        )
    training, held_out = np.array(errors).T
    ax.plot(POINTS, held_out, label="test", markevery=1)
    ax.plot(POINTS, training, label="training", marker="")
    at = POINTS.index(p)
    star = {"marker": "*", "markersize": 14, "color": "black", "linestyle": "", "markevery": 1}
    ax.plot([p], [held_out[at]], label="your p", **star)
    ax.axvline(N, color="0.5", linestyle=":", label="p = n")
    ax.set(xscale="log", xlabel="features p", ylabel="error", ylim=(-0.03, 1))
    ax.set_title(f"noise {noise:.0%}, ridge {ridge:.0e}" if ridge else f"noise {noise:.0%}, no ridge")
    ax.legend(fontsize=8)


fig, panels = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
draw_exact(panels[0], N, 0.2, 0.0)
draw_exact(panels[1], N, 0.2, 1e-2)
figures.show(
    fig,
    alt="Left: the test error peaks where p equals n and a star sits on the peak. Right: with ridge the curve falls and the star sits low.",
    caption="The same 300 digits with label noise, without ridge (left) and with it (right).",
)


# %% tags=["nbval-ignore-output"]
def explore(p, noise, ridge):
    fig, ax = plt.subplots(figsize=(6, 3.4))
    draw_exact(ax, p, noise, 0.0 if ridge <= -6 else 10**ridge)
    plt.close(fig)
    display(fig)


controls = {
    "p": widgets.SelectionSlider(options=POINTS, value=N, description="width p", continuous_update=False),
    "noise": widgets.FloatSlider(0.2, min=0, max=0.8, step=0.1, description="label noise", continuous_update=False),
    "ridge": widgets.FloatSlider(-6, min=-6, max=0, step=0.5, description="log10 ridge", continuous_update=False),
}
display(widgets.VBox([*controls.values(), widgets.interactive_output(explore, controls)]))

# %% [markdown]
# (At −6 the ridge is 0.) Which ridge is best when half of the labels are noise? Does any ridge bring the peak back?
#
# ## 2. Double descent in trained networks
#
# ### Small, live
#
# Does it happen when weights are *trained*, all layers of them? Networks with one hidden layer of 2 to 128 neurons, on 400 digits
# with label noise of 20 %, trained far beyond the point where the wide ones fit every label. A replicate is the mean of two such
# networks with data of their own, and of four at the two widths that we compare. You watch two things on test digits: the **error**, and the **loss** (cross-entropy), which also asks how
# sure the network was. And you allow a second ending, **early stopping**: of 20 moments, take the one that is best on 200
# *validation* digits, whose labels are as noisy as those in training. The test digits have no vote.


# %% tags=["long"]
def error_and_loss(networks, examples):
    """Error and mean cross-entropy of K networks, each on its own examples: two arrays [K]."""
    place = next(networks.parameters()).device
    with torch.no_grad():
        outputs = networks(examples.inputs.to(place)).double()
    targets = examples.targets.to(place)
    losses = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return [values.double().mean(1).cpu().numpy() for values in (outputs.argmax(-1) != targets, losses)]


# %%
def seeds_of(networks):
    """The seeds of so many networks behind each replicate: of the first of each, then of the second of each …"""
    return [seed + 5000 * i for i in range(networks) for seed in SEEDS]


def replicate_means(values):
    """Of two or more networks behind each replicate, in the order of `seeds_of`: [..., 2K] -> [..., K]."""
    return values.reshape(*values.shape[:-1], -1, REPLICATES).mean(-2)


def moments(steps, number, first=5):
    """After which updates to measure: from the first of these to the last, in equal ratios."""
    return np.unique(np.geomspace(first, steps, number).astype(int)).tolist()


def watched(networks, parts, at, **settings):
    """Train up to the last of these moments, and measure at each: [moments, part, (error, loss), networks]."""
    seen = []

    def look(step, model):
        seen.append([error_and_loss(model, part) for part in parts])

    networks.fit(parts[0], steps=at[-1], callback=look, callback_steps=at, **settings)
    return np.array(seen)


def stopped(curves, measure):
    """The test measure at the moment that is best on validation examples; curves [moments, (train, validation, test), ..., K]."""
    return curves[curves[:, 1, measure].argmin(0), 2, measure, np.arange(curves.shape[-1])]


guess_trained = predict(
    "From 12 to 128 neurons, all trained to the end. What happens to the loss on test digits?",
    ["it rises: more overfitting", "it stays", "it falls"],
)


# %%
def noisy_parts(seeds):
    """For each seed 400 training and 200 validation digits with noisy labels, and 1197 test digits."""
    pairs = [(digits.split(seed, test=1197, validation=200), seed) for seed in seeds]
    return [
        data.stack([noisy(split.train, 0.2, seed) for split, seed in pairs]),
        data.stack([noisy(split.validation, 0.2, seed + 10**6) for split, seed in pairs]),
        data.stack([split.test for split, _ in pairs]),
    ]


by_width = {}
for width in WIDTHS:
    seeds = seeds_of(WIDTH_NETWORKS if width in (12, 128) else 2)
    settings = {"batch_size": 400, "learning_rate": 2e-2, "experiment": f"noisy digits, width {width}"}
    networks, at = Ensemble([64, width, 10], seeds), moments(WIDTH_STEPS, 20)
    by_width[width] = watched(networks, noisy_parts(seeds), at, **settings)
final = np.array([replicate_means(curves[-1, 2]) for curves in by_width.values()])  # [widths, (error, loss), K]
early = np.array([[replicate_means(stopped(curves, i)) for i in (0, 1)] for curves in by_width.values()])
training = np.array([replicate_means(curves[-1, 0]) for curves in by_width.values()])

# %%
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
for i, (ax, name) in enumerate(zip(panels, ("error", "loss (nats)"), strict=True)):
    for values, label in (
        (final, "test, at the end"),
        (early, "test, stopped early"),
        (training, "training, at the end"),
    ):
        figures.lines_with_spread(ax, WIDTHS, values[:, i].T, label, markevery=1)
    ax.set(xscale="log", xlabel="neurons", ylabel=name)
    ax.set_xticks(WIDTHS, labels=WIDTHS)
    ax.minorticks_off()
panels[0].axhline(0.9, color="0.5", linestyle=":", label="chance")
panels[0].legend(fontsize=8)
figures.show(
    fig,
    alt="Left: the test error at the end falls nearly all the way. Right: the test loss at the end climbs to a high peak at about ten neurons "
    "and falls again. Stopped early, both are low and flat beyond eight neurons.",
    caption="400 digits, a fifth of the labels drawn anew. Thin lines are replicates; the middle of the width axis is where the training error reaches zero.",
)
peak_at, wide_at = WIDTHS.index(12), WIDTHS.index(128)
claim(
    "At the end of training, the test loss with 12 neurons is at least 1.5 times that with 128",
    final[peak_at, 1] / final[wide_at, 1],
    at_least=1.5,
    control=early[peak_at, 1] / early[wide_at, 1],
    control_is="the same ratio when training is stopped early",
    scale="log",
    source="Nakkiran et al. 2020 (width sweep with label noise; early stopping)",
)
change = final[wide_at, 1].mean() / final[peak_at, 1].mean() - 1
guess_trained.resolve([change > 0.1, abs(change) <= 0.1, change < -0.1])

# %% [markdown]
# The loss has its peak near the width where the networks first fit every label, and comes down again. The *error*
# barely shows it: no peak, only a descent that pauses. The reason is in what the loss asks. A network that has just managed to fit wrong labels
# is not only wrong on test digits but *sure*. And whoever stops early sees neither peak nor second descent, for no network gets to
# fit the noise: among the wider networks, it does not matter how wide they are. Double descent belongs to a way of training, not to a model.
#
# ### At the published size
#
# The best-known version of this experiment is a notebook of *Understanding Deep Learning* (Prince 2023, notebook 8.3): 4 000 MNIST-1D signals,
# 15 % label noise, two hidden layers, 28 widths from 2 to 400, batches of 100, SGD with momentum, 1 000 epochs, "about 30 minutes on
# GPU" for one network a width. Here it is with *five* networks a width, each with data, noise and start of its own. As one
# `Ensemble` a width that takes less than an hour on one core: too long for now, so `make long` has run it, and its table is in the
# repository with the hash of this code. (Ours draws its weights with He's normal distribution, theirs with his uniform one; the validation set of 1 000, with the same noise, is our addition, and early stopping takes the best of 14 moments on it.)


# %% tags=["long"]
MOMENTS = [1, 2, 4, 7, 10, 15, 20, 30, 50, 100, 200, 400, 700, 1000]  # epochs after which all is measured


def published_sweep(width, epochs, replicates, seed):
    """Train networks 40-width-width-10 on 4 000 signals, each with its own data, noise and start; measure as they go."""
    seeds = range(seed, seed + replicates)
    drawn = [data.mnist1d(9000, each).split(each, test=4000, validation=1000) for each in seeds]
    pairs = list(zip(drawn, seeds, strict=True))
    parts = {
        "train": data.stack([noisy(split.train, 0.15, each) for split, each in pairs]),
        "validation": data.stack([noisy(split.validation, 0.15, each + 10**6) for split, each in pairs]),
        "test": data.stack([split.test for split in drawn]),  # labels as they are
    }
    networks, seen = Ensemble([40, width, width, 10], seeds, init="he"), []
    networks.fit(
        parts["train"],
        steps=40 * epochs,
        batch_size=100,
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        experiment=f"published sweep, width {width}",
        callback=lambda step, model: seen.append([error_and_loss(model, part) for part in parts.values()]),
        callback_steps=[40 * moment for moment in MOMENTS if moment <= epochs],
    )
    seen = np.array(seen)  # [moments, part, error or loss, K]
    columns = [(part, what) for part in parts for what in ("error", "loss")]
    return {f"{part}_{what}": seen[:, i // 2, i % 2] for i, (part, what) in enumerate(columns)}


# %% tags=["long"]
PUBLISHED_WIDTHS = [2, 4, 6, 8, 10, 14, 18, 22, 26, 30, 35, 40, 45, 50, 55, 60]
PUBLISHED_WIDTHS += [70, 80, 90, 100, 120, 140, 160, 180, 200, 250, 300, 400]
FRESH = {
    "experiment": published_sweep,
    "grid": [{"width": width, "epochs": 1000, "replicates": 5} for width in (14, 45, 200)],
}
LONG_RUNS = {
    "05_double_descent": {
        "experiment": published_sweep,
        "grid": [{"width": width, "epochs": 1000, "replicates": 5} for width in PUBLISHED_WIDTHS],
        "seeds": [0],
    },
    "05_double_descent_pilot": FRESH | {"seeds": [1000, 1005, 1010, 1015]},
    "05_double_descent_claims": FRESH | {"seeds": [2000, 2005, 2010, 2015]},
}

# %% [markdown]
# First, is the table of this code? Train the networks of width 22 here, for the first 30 epochs, and compare.

# %%
guess_published = predict(
    "Four thousand signals, ten outputs: at about which width is the first network that fits all training labels?",
    ["below 20", "20 to 80", "80 to 400"],
)
table, about = data.long_run("05_double_descent")


def published(width, part, measure, frame=table):
    """A column of the table for one width: [moments, replicates]."""
    return np.concatenate([np.array(curves) for curves in frame[frame.width == width][f"{part}_{measure}"]], axis=1)


live = published_sweep(width=22, epochs=30, replicates=5, seed=0)
again = np.array(live["test_error"])[-1].mean()
assert abs(again - published(22, "test", "error")[MOMENTS.index(30)].mean()) < 0.03
print("width 22, 30 epochs: the mean test error trained here is within 0.03 of the table's")
print(
    f"the table: {len(table)} widths of {about['grid'][0]['replicates']} networks, {about['grid'][0]['epochs']} epochs"
)


# %%
def ends(width, measure, frame=table):
    """Test error or loss at the end, and at the moment that is best on validation examples: two arrays [K]."""
    curves = published(width, "test", measure, frame)
    best = published(width, "validation", measure, frame).argmin(0)
    return curves[-1], curves[best, np.arange(curves.shape[1])]


fresh_table = pd.concat([data.long_run(f"05_double_descent_{use}")[0] for use in ("pilot", "claims")])
fresh_seeds = np.concatenate(
    [row.seed + np.arange(row.replicates) for row in fresh_table[fresh_table.width == 45].itertuples()]
)


def chosen(width, measure):
    """`ends`, for this notebook's replicates: the table's, or in `make long` and `make claims` those of their own."""
    ours = np.isin(fresh_seeds, SEEDS)
    return [values[ours] for values in ends(width, measure, fresh_table)] if ours.any() else ends(width, measure)


peak_error, wide_error = chosen(45, "error"), chosen(200, "error")
peak_loss, wide_loss = chosen(45, "loss"), chosen(200, "loss")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(11, 3.8))
for ax, measure in zip(panels, ("error", "loss"), strict=True):
    end, best = np.moveaxis([ends(width, measure) for width in PUBLISHED_WIDTHS], 1, 0)
    fitted = np.array([published(width, "train", measure)[-1] for width in PUBLISHED_WIDTHS])
    for values, label in ((end, "test, after 1 000 epochs"), (best, "test, stopped early"), (fitted, "training")):
        figures.lines_with_spread(ax, PUBLISHED_WIDTHS, values.T, label, markevery=3)
    ax.set(xscale="log", xlabel="width of both hidden layers", ylabel=f"{measure}{' (nats)' * (measure == 'loss')}")
    ax.set_xticks([2, 5, 14, 45, 100, 200, 400], labels=[2, 5, 14, 45, 100, 200, 400])
    ax.minorticks_off()
panels[0].axhline(0.9, color="0.5", linestyle=":", label="chance")
panels[0].set_ylim(-0.03, 1)
panels[0].legend(fontsize=8)
figures.show(
    fig,
    alt="Left: test error after a thousand epochs falls to width ten, rises to a peak near width forty-five, where the training error reaches "
    "zero, and falls to its lowest value at width 400. Stopped early it is flat. Right: the loss has a high and narrow peak at the same width.",
    caption="MNIST-1D at the published size, five networks a width (thin lines), from the committed long run.",
)

# %%
claim(
    "At the published size, the test error at width 45 is at least 0.035 above that at width 200",
    peak_error[0] - wide_error[0],
    at_least=0.035,
    control=peak_error[1] - wide_error[1],
    control_is="the same difference when training is stopped early",
    source="Prince 2023, notebook 8.3; Nakkiran et al. 2020",
)
claim(
    "At the published size, the test loss at width 45 is at least twice that at width 200",
    peak_loss[0] / wide_loss[0],
    at_least=2,
    control=peak_loss[1] / wide_loss[1],
    control_is="the same ratio when training is stopped early",
    scale="log",
    source="Prince 2023, notebook 8.3; Nakkiran et al. 2020",
)
fits_all = min(width for width in PUBLISHED_WIDTHS if published(width, "train", "error")[-1].mean() == 0)
guess_published.resolve([fits_all < 20, 20 <= fits_all < 80, fits_all >= 80])
for width in (14, 45, 200, 400):
    (error, early_error), (loss, early_loss) = ends(width, "error"), ends(width, "loss")
    print(
        f"width {width:3}: test error {error.mean():.3f} ± {error.std(ddof=1):.3f}, stopped {early_error.mean():.3f}; "
        f"loss {loss.mean():5.2f} ± {loss.std(ddof=1):.2f}, stopped {early_loss.mean():.2f}"
    )

# %% [markdown]
# Here the error shows it, too. (Why here and not on digits? One difference: on MNIST-1D these networks, which know nothing of signals, are far from
# solving the task even with clean labels.) The training error reaches zero near width 45, with about 4 400 parameters for
# 4 000 examples. And look at the right end of the left panel: the widest networks, trained to the bitter end on wrong labels, do
# about as well as the stopped ones. Not stopping has a price at the peak, and none beyond it.
#
# ### The lesson of the integer array
#
# Two slips in famous versions of this experiment. Both notebooks that we read store their errors (in percent) in
# `np.zeros_like(widths)`. The widths are whole numbers, so the array is one of *integers*, and every error loses its decimals without
# a word. And the one in the MNIST-1D repository, in the version that we read, copies its dictionary of arrays with `.copy()` before it adds the noise. The copy
# shares the arrays, so its curve "without label noise" has noise in it. (Its training errors give it away: at small widths they lie above the test errors.)

# %%
one_network = np.array([100 * published(width, "test", "error")[-1, 0] for width in PUBLISHED_WIDTHS])
as_stored = np.zeros_like(PUBLISHED_WIDTHS)
as_stored[:] = one_network
assert as_stored.dtype.kind == "i"
hidden = int((np.sign(np.diff(as_stored)) != np.sign(np.diff(one_network))).sum())
print(
    f"stored as {as_stored.dtype.kind}-type: {hidden} of {len(as_stored) - 1} steps from width to width lose their direction"
)
clean_data = {"y": np.array([1, 2, 3])}
noisy_data = clean_data.copy()
noisy_data["y"][0] = 9
print("the 'clean' labels after noise went into the copy:", clean_data["y"].tolist())

mean_of_five = np.array([100 * ends(width, "error")[0] for width in PUBLISHED_WIDTHS])
fig, ax = plt.subplots(figsize=(7, 3.4))
ax.step(PUBLISHED_WIDTHS, as_stored, where="mid", color="0.4", label="one network, integers")
figures.lines_with_spread(ax, PUBLISHED_WIDTHS, mean_of_five.T, "five networks, decimals", markevery=3)
ax.set(xscale="log", xlabel="width of both hidden layers", ylabel="test error (%)", ylim=(44, 72))
ax.legend()
figures.show(
    fig,
    alt="The curve of five networks is smooth, with spread. The one of integers has steps and lies lower by up to one point.",
    caption="The same experiment, stored in two ways (first replicate as integers).",
)

# %% [markdown]
# The peak survives truncation, since it is large; the first minimum, and every difference below a point, do not. Results are
# floats, from the first line on, and one network a width is an anecdote.
#
# ## 3. Networks fit random labels
#
# ### Memory without meaning
#
# If a network can fit *any* labels, its size alone cannot be why it generalises. Zhang et al. (2017) showed that it can. Take 500 digits and
# replace a share of the labels at random, from none to all. Same network (128 hidden neurons), same settings. Two questions: does it still
# reach training error zero, and in how many updates the first 95 %? (The last few, odd digits among true labels, take as long as they like.) And how good is it on test digits?

# %%
guess_labels = predict(
    "All labels random. How many more updates than with the true labels until 95 % of the 500 are fitted?",
    ["it never happens", "about as many", "5 to 30 times as many", "more than 30 times as many"],
)
SHARES, LEVEL = [0.0, 0.25, 0.5, 0.75, 1.0], 0.95
halves = [digits.split(seed, test=1000, validation=0) for seed in SEEDS]


def fit_labels(shares, steps, batch_size):
    """Updates until 95 % of the labels are fitted, and test accuracy at the end: two arrays [shares, K]."""
    which = [(share, split, seed) for share in shares for split, seed in zip(halves, SEEDS, strict=True)]
    train = data.stack([noisy(split.train.first(500), share, seed) for share, split, seed in which])
    test = data.stack([split.test for _, split, _ in which])
    networks, at = Ensemble([64, 128, 10], SEEDS * len(shares)), moments(steps, 60)
    settings = {
        "batch_size": batch_size,
        "learning_rate": 5e-3,
        "experiment": f"random labels, batches of {batch_size}",
    }
    fitted = 1 - watched(networks, [train], at, **settings)[:, 0, 0]  # [moments, networks]
    assert (fitted.max(0) == 1).all(), "some network has not fitted all labels: give it more updates"
    first = np.array(at)[(fitted >= LEVEL).argmax(0)]
    return first.reshape(len(shares), -1), evaluate(networks, test).reshape(len(shares), -1)


updates, accuracy = fit_labels(SHARES, FIT_STEPS, 50)
full_updates, _ = fit_labels([0.0, 1.0], FULL_STEPS, 500)

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
share = [100 * value for value in SHARES]
figures.lines_with_spread(panels[0], share, updates.T, "batches of 50", markevery=1)
figures.lines_with_spread(panels[0], [0, 100], full_updates.T, "all 500 in each update", markevery=1)
panels[0].set(yscale="log", xlabel="labels drawn at random (%)", ylabel="updates until 95 % are fitted")
panels[0].legend()
figures.lines_with_spread(panels[1], share, accuracy.T, "batches of 50", markevery=1)
panels[1].axhline(0.1, color="0.5", linestyle=":", label="chance")
panels[1].set(xlabel="labels drawn at random (%)", ylabel="test accuracy", ylim=(0, 1))
panels[1].legend()
figures.show(
    fig,
    alt="Left: with batches, corrupted labels take many times as many updates as true ones; with all examples in each update the line is flatter. Right: test "
    "accuracy falls from near one to chance.",
    caption="Every network here ends with training error zero. Thin lines are replicates.",
)

# %%
print("every network fitted all 500 labels, true or random")
claim(
    "In batches of 50, random labels take at least 7 times the updates of true ones",
    updates[-1] / updates[0],
    at_least=7,
    control=full_updates[-1] / full_updates[0],
    control_is="the same ratio with all 500 digits in each update",
    scale="log",
    source="Zhang et al. 2017 (fitting random labels)",
)
claim(
    "Fitted to random labels, the test accuracy is at most 0.25",
    accuracy[-1],
    at_most=0.25,
    control=accuracy[0],
    control_is="the same accuracy after fitting the true labels",
    source="Zhang et al. 2017 (fitting random labels)",
)
reached = updates[-1].max() < FIT_STEPS
times = np.exp(np.log(updates[-1] / updates[0]).mean())
guess_labels.resolve([not reached, reached and times < 5, reached and 5 <= times <= 30, reached and times > 30])

# %% [markdown]
# So training error zero says *nothing* about test error: the same number belongs to an accuracy near one and to chance. Any bound
# on the gap that knows only the network's size must therefore be empty here. Zhang et al. concluded that the explanation must lie
# elsewhere: in the data, and in which of the many fits training finds.
#
# The updates hold a trace of it. True labels *share* rules: what one batch teaches is right for the next, so a fraction of the
# examples fits the rest. Random labels share nothing: each has to be visited and learned by itself, and each batch disturbs
# the others. With all examples in every update there is no "next batch" that profits, and a good part of the difference is gone: full-batch training
# hides it.

# %% [markdown]
# ## 4. Which fit does training find?
#
# ### Exactly, in the linear case
#
# The **generalisation gap** is the held-out error (or loss) minus that on the training examples. Among models that fit everything,
# the gap is all there is, so the question becomes *which* fit is found. **Implicit regularisation** is the name for a preference that no term in the
# loss asks for. For least squares it can be proved in three lines. The gradient is
# $\Phi^\top(\Phi w - y)$, a sum of the examples' feature vectors. So gradient descent from $w_0$ never changes
# the part of $w_0$ that is orthogonal to all of them. And an interpolating $w$ without such a part is the smallest one.

# %%
split = digits.split(BASE_SEED, test=1000, validation=0)
(features,), targets = random_features(600, [split.train.first(60)], BASE_SEED), ONE_HOT[split.train.targets[:60]]
smallest = smallest_fit(features, targets)


def descend(w, steps=20_000):
    """Plain gradient descent on half the squared error."""
    rate = 1 / torch.linalg.matrix_norm(features, 2) ** 2
    for _ in range(steps):
        w = w - rate * features.mT @ (features @ w - targets)
    return w


start = torch.randn(600, 10, generator=torch.Generator().manual_seed(BASE_SEED), dtype=torch.float64)
unseen = start - smallest_fit(features, features @ start)  # the part of the start that no example sees
from_zero, from_start = descend(torch.zeros_like(start)), descend(start)
for w in (from_zero, from_start):
    assert (features @ w - targets).abs().max() < 1e-6
torch.testing.assert_close(from_zero, smallest, rtol=0, atol=1e-5)
torch.testing.assert_close(from_start, smallest + unseen, rtol=0, atol=1e-5)
print("from zero, gradient descent ends at the smallest fit; from elsewhere at that plus the unseen part of the start")

# %% [markdown]
# What does the unseen part cost? Start ever further away, in multiples of the norm of the smallest fit (p = 10 n, right labels):

# %%
STARTS = [0, 1, 4, 16]


def error_from(seed):
    """Test error of the fit that gradient descent finds from starts of growing norm, all with training error zero."""
    split = digits.split(seed, test=1000, validation=0)
    train, test = split.train.first(N), split.test
    seen, fresh = random_features(10 * N, [train, test], seed)
    w = smallest_fit(seen, ONE_HOT[train.targets])
    start = torch.randn(w.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    start *= w.norm() / start.norm()
    fits = [w + far * (start - smallest_fit(seen, seen @ start)) for far in STARTS]
    assert all((seen @ fit).argmax(1).equal(train.targets) for fit in fits)
    return [float(((fresh @ fit).argmax(1) != test.targets).double().mean()) for fit in fits]


from_far = np.array([error_from(seed) for seed in SEEDS])
claim(
    "Of two perfect fits, the one from a start 16 times as large has at least 0.1 more test error",
    from_far[:, STARTS.index(16)] - from_far[:, 0],
    at_least=0.1,
    control=from_far[:, STARTS.index(1)] - from_far[:, 0],
    control_is="the same difference for a start as large as the smallest fit",
    source="our derivation; Zhang et al. 2017 (gradient descent finds the minimum norm)",
)

# %% [markdown]
# So "overparameterised models generalise" was never true of the *model*. It is true of the fit that one procedure finds from one
# start. In deep networks the start matters in the same direction, but nobody has a formula: for matrix factorisation even whether the preference *is* a norm
# is disputed (Gunasekar et al. 2017 conjecture it, Razin & Cohen 2020 give cases against).
#
# ### Compared at equal training loss
#
# In trained networks, which choices matter? The usual comparison, "after 100 epochs", confounds how *fast* an optimizer
# is with *where* it goes. So compare where all have come equally far: at the moment when the training loss first reaches 0.2. Two hidden
# layers of 100, 1 000 MNIST-1D signals. Varied are the optimizer, the batch size, weight decay (each update also shrinks the weights a little) and
# **dropout**: during training, each neuron's output is set to zero with probability 0.3, anew each time (Srivastava et al. 2014).
# A replicate is the mean of two networks, of five in the two arms that the second claim compares, for a small difference needs more of them.

# %%
guess_path = predict(
    "At equal training loss: which change moves the test error most?",
    ["SGD with or without momentum", "batches of 64 or all at once (Adam)", "dropout or none (Adam)"],
)
ARMS = {
    "SGD": {"steps": 1700, "optimizer": "sgd", "learning_rate": 0.1},
    "SGD, batch 16": {"steps": 3000, "optimizer": "sgd", "learning_rate": 0.1, "batch_size": 16},
    "SGD + momentum": {"steps": 800, "optimizer": "sgd", "learning_rate": 0.03, "momentum": 0.9},
    "Adam": {"steps": 800, "learning_rate": 2e-3},
    "Adam, all at once": {"steps": 90, "learning_rate": 5e-3, "batch_size": PATH_SIGNALS},
    "Adam + weight decay": {"steps": 1050, "optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 0.3},
    "Adam + dropout": {"steps": 2600, "learning_rate": 2e-3, "dropout": 0.3},
}

# %%
COMPARED = "SGD, batch 16", "Adam, all at once"  # the second claim's


def path(name, steps, dropout=0.0, **settings):
    """Train one arm: [moments, (training, test), (error, loss), networks], measured without dropout."""
    seeds = seeds_of(PATH_NETWORKS if name in COMPARED else 2)
    signals = [data.mnist1d(PATH_SIGNALS + 4000, seed).split(seed, test=4000, validation=0) for seed in seeds]
    parts = [data.stack([getattr(split, part) for split in signals]) for part in ("train", "test")]
    networks = Ensemble([40, 100, 100, 10], seeds)
    for place in (1, 3) if dropout else ():
        networks.layers[place] = nn.Sequential(nn.ReLU(), nn.Dropout(dropout))
    settings = {"batch_size": 64, "experiment": f"equal loss, {name}"} | settings
    return watched(networks, parts, moments(steps, 14, first=steps // 20), **settings)


def at_equal_loss(curves, level=0.2):
    """Test error [K] where the training loss first crosses the level, between two moments on the scale of its logarithm."""
    found = []
    for k in range(curves.shape[-1]):
        loss, error = np.log(curves[:, 0, 1, k]), curves[:, 1, 0, k]
        below = int(np.argmax(loss <= np.log(level)))
        assert below > 0, "this network has not crossed the level: give it more updates"
        found.append(np.interp(-np.log(level), -loss[below - 1 : below + 1], error[below - 1 : below + 1]))
    return replicate_means(np.array(found))


paths = {name: path(name, **settings) for name, settings in ARMS.items()}
at_level = {name: at_equal_loss(curves) for name, curves in paths.items()}

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1, 1.2])
for name in ("SGD, batch 16", "Adam", "Adam, all at once", "Adam + dropout"):
    mean = paths[name].mean(-1)
    panels[0].plot(mean[:, 0, 1], mean[:, 1, 0], label=name, markevery=2)
panels[0].axvline(0.2, color="0.5", linestyle=":", label="compared here")
panels[0].set(xscale="log", xlim=(2.5, 0.03), ylim=(0.45, 0.9), xlabel="training loss (nats)", ylabel="test error")
panels[0].legend(fontsize=8)
figures.dots_with_spread(
    panels[1], {name.replace(" + ", "\n+ ").replace(", ", ",\n"): v for name, v in at_level.items()}
)
panels[1].set(ylabel="test error at training loss 0.2")
panels[1].tick_params(axis="x", labelsize=7)
figures.show(
    fig,
    alt="Left: test error against training loss; the arms follow different curves. Right: at equal training loss, dropout has the lowest test error, "
    "Adam on all examples at once the highest, and SGD with and without momentum the same.",
    caption="Left: means of the replicates along training, which runs from left to right. Right: one dot a replicate at equal training loss.",
)

# %%
momentum_gain = at_level["SGD"] - at_level["SGD + momentum"]
claim(
    "At training loss 0.2, dropout has at least 0.015 less test error than Adam without it",
    at_level["Adam"] - at_level["Adam + dropout"],
    at_least=0.015,
    control=momentum_gain,
    control_is="what momentum changes: test error of SGD without it minus that with it",
    source="Srivastava et al. 2014 (dropout); our measurement",
)
claim(
    "At training loss 0.2, Adam on all examples at once has at least 0.01 more test error than SGD in batches of 16",
    at_level["Adam, all at once"] - at_level["SGD, batch 16"],
    at_least=0.01,
    control=-momentum_gain,
    control_is="what momentum changes: test error of SGD with it minus that without it",
    source="Keskar et al. 2017 (batch size); Wilson et al. 2017 (adaptive methods); our measurement",
)
batch_gain, dropout_gain = (at_level["Adam"] - at_level[name] for name in ("Adam, all at once", "Adam + dropout"))
moves = [abs(gain.mean()) for gain in (momentum_gain, batch_gain, dropout_gain)]
guess_path.resolve([move == max(moves) for move in moves])

# %% [markdown]
# The path matters, and the explicit regulariser matters more. But read the size: a few points, on one task, at one learning rate each.
# The arms differ in learning rate, too, and we have not separated it from the batch size. The literature is divided: Keskar et al. (2017) saw large batches
# generalise worse; Geiping et al. (2022) reach the accuracy of small batches with full ones and explicit regularisation; Chiang et al.
# (2023) find networks that generalise by random guessing, without any gradient. Perhaps good fits are simply *many*.
#
# ## 5. A small network inside a large one
#
# ### The lottery ticket
#
# If most parameters are not needed in the end, why not start small? Frankle & Carbin (2019): train, remove the smallest weights, **rewind** the others to
# their values *before* training, train again, and repeat. What is left is a **ticket**: a mask and a start that belong together. Their
# hypothesis is that the large network contains a small one that was lucky at the start. Two controls: the same mask with *another*
# start, and a mask of the same density with its ones shuffled within each layer.

# %%
guess_ticket = predict(
    "With under 4 % of the weights left: what does the same mask with another start cost?",
    ["nothing: the mask is what counts", "some error", "everything: it falls to chance"],
)
SIZES, RATES, TRIOS = [64, 150, 50, 10], [0.5, 0.5, 0.25], seeds_of(3)  # RATES: each layer's share to remove
ticket_splits = [digits.split(seed, test=697, validation=0) for seed in TRIOS]
ticket_train, ticket_test = (data.stack([getattr(each, part) for each in ticket_splits]) for part in ("train", "test"))


def weights_of(networks):
    return [layer.weight for layer in networks.layers if hasattr(layer, "weight")]


def masked(seeds, masks):
    """Fresh networks, the weights outside the masks at zero for ever: no gradient reaches them."""
    networks = Ensemble(SIZES, seeds).to(DEVICE)
    for weight, mask in zip(weights_of(networks), masks, strict=True):
        weight.data *= mask
        weight.register_hook(lambda gradient, mask=mask: gradient * mask)
    return networks


def trained_error(networks, name):
    networks.fit(ticket_train, steps=300, batch_size=60, learning_rate=2e-3, experiment=f"tickets, {name}")
    return 1 - evaluate(networks, ticket_test)


def pruned(networks, masks):
    """The masks without the smallest of the weights that are left, network by network and layer by layer."""
    smaller = []
    for weight, mask, rate in zip(weights_of(networks), masks, RATES, strict=True):
        size = (weight.detach().abs() * mask).flatten(1)
        left = round(float(mask[0].sum()) * (1 - rate))
        smaller.append(torch.zeros_like(size).scatter_(1, size.topk(left).indices, 1.0).view_as(mask))
    return smaller


# %%
def shuffled(masks, seed):
    """Masks with as many ones in each layer of each network, elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    rows = [
        [row.flatten()[torch.randperm(row.numel(), generator=generator).to(row.device)] for row in mask]
        for mask in masks
    ]
    return [torch.stack(row).view_as(mask) for row, mask in zip(rows, masks, strict=True)]


others = [seed + 20_000 for seed in TRIOS]
masks = [torch.ones_like(weight) for weight in weights_of(Ensemble(SIZES, TRIOS).to(DEVICE))]
networks = masked(TRIOS, masks)
dense = trained_error(networks, "all weights")
density = [1.0]
ticket_error = {
    "ticket": [dense],
    "same mask, other start": [trained_error(masked(others, masks), "all weights, other start")],
}
ticket_error["shuffled mask"] = [dense]
for _ in range(ROUNDS):
    masks = pruned(networks, masks)
    density.append(float(sum(mask[0].sum() for mask in masks) / sum(mask[0].numel() for mask in masks)))
    networks = masked(TRIOS, masks)  # rewound
    ticket_error["ticket"].append(trained_error(networks, "ticket"))
    ticket_error["same mask, other start"].append(trained_error(masked(others, masks), "other start"))
    ticket_error["shuffled mask"].append(trained_error(masked(TRIOS, shuffled(masks, BASE_SEED)), "shuffled mask"))
assert all((weight[mask == 0] == 0).all() for weight, mask in zip(weights_of(networks), masks, strict=True))
ticket_error = {name: replicate_means(np.array(values)) for name, values in ticket_error.items()}  # [rounds + 1, K]
print("density after each round:", ", ".join(f"{value:.3f}" for value in density))

# %% tags=["drawing"]
fig, ax = plt.subplots(figsize=(7, 3.6))
for name, values in ticket_error.items():
    figures.lines_with_spread(ax, density, values.T, name, markevery=1)
ax.axhline(0.9, color="0.5", linestyle=":", label="chance")
ax.set(xscale="log", xlim=(1.1, density[-1] / 1.1), ylim=(0, 0.95), xlabel="share of weights left", ylabel="test error")
ax.set_xticks(density, labels=[f"{value:.2f}" for value in density])
ax.minorticks_off()
ax.legend()
figures.show(
    fig,
    alt="Test error against the share of weights left. The ticket stays low to the end; the same mask with another start rises at low density; the "
    "shuffled mask rises most.",
    caption="Digits, 300 updates for every network. Thin lines are replicates; a replicate is the mean of three networks.",
)

# %%
claim(
    "With under 4 % of the weights, another start has at least 1.4 times the ticket's test error",
    ticket_error["same mask, other start"][-1] / ticket_error["ticket"][-1],
    at_least=1.4,
    control=ticket_error["same mask, other start"][0] / ticket_error["ticket"][0],
    control_is="the same ratio with all weights, before any pruning",
    scale="log",
    source="Frankle & Carbin 2019 (random reinitialisation)",
)
claim(
    "With under 4 % of the weights, the same start with a shuffled mask has at least 2 times the ticket's test error",
    ticket_error["shuffled mask"][-1] / ticket_error["ticket"][-1],
    at_least=2,
    control=ticket_error["same mask, other start"][0] / ticket_error["ticket"][0],
    control_is="with all weights, another start's error over this start's: nothing is shuffled",
    scale="log",
    source="Frankle & Carbin 2019 (random masks)",
)
ticket, other = (ticket_error[name][-1].mean() for name in ("ticket", "same mask, other start"))
guess_ticket.resolve([other < ticket + 0.03, ticket + 0.03 <= other < 0.8, other >= 0.8])

# %% [markdown]
# Both count: the mask (it knows which inputs matter) and the start that it was found with. Read it with three limits. The ticket was found *by training the large network* several times: nothing is
# saved. Every network had the same 300 updates; given more, another start may catch up. And at scale it is disputed: Liu et al. (2019)
# found that structured pruning with another start does as well, and large networks need rewinding to a point *early in training* (Frankle et al. 2020), not to the start.
#
# ## 6. Interpolation ≠ understanding
#
# ### Perfect fits, wrong reason
#
# A model that fits all of its training data and 98 % of the test data: has it understood? Give the digits a **shortcut** (Geirhos et al.
# 2020). The task is "at least five?". The top row of pixels, which is nearly empty, becomes a cue: bright or dark. In training it
# agrees with the label in 98 % of the examples, as a hospital's mark on an X-ray may agree with the diagnosis (Zech et al. 2018). The control has the same cue at 50 %, where it says nothing.


# %%
def with_cue(examples, agreement, seed):
    """Digits, "at least five?", with a cue in the top row that agrees with the label in this share of the examples."""
    generator = np.random.default_rng([seed, 2])
    label = (examples.targets >= 5).long()
    agrees = torch.from_numpy(generator.random(len(examples)) < agreement)
    sign = torch.where(agrees, 2 * label - 1, 1 - 2 * label).float()
    inputs = examples.inputs.clone()
    inputs[:, :8] = sign[:, None] / 2 + torch.from_numpy(generator.normal(0, 0.1, (len(examples), 8))).float()
    return examples.replace(
        inputs=inputs, targets=label, transform=f"is it 5 or more; cue agrees with p = {agreement:g}"
    )


cue_splits = [digits.split(seed, test=600, validation=0) for seed in SEEDS]
shown = torch.stack([with_cue(cue_splits[0].test, agreement, BASE_SEED).inputs[:6] for agreement in (1.0, 0.0)])
figures.show(
    figures.digit_grid(shown.flatten(0, 1), columns=6, vmin=-0.5, vmax=1),
    alt="Two rows with the same six digits. The top row of pixels is dark for some and bright for others, and the other way round in the second row.",
    caption="Six test digits with the cue that agrees with the label (top) and with the opposite one (bottom).",
)

# %% [markdown]
# Train 20 models on the *same* data, which differ in start and batches only, until they fit every training label. Then three tests:
#
# 1. the test that everyone runs: digits with the cue as in training;
# 2. a **shift**: the cue always points the wrong way. Where the user is, the hospital's mark means something else;
# 3. a **counterfactual**: the *same* picture with the cue flipped. A model that reads the digit does not change its answer.
#
# And one question to the 20 models together: how often do two of them disagree? **Underspecification** (D'Amour et al. 2022) is
# when the pipeline and its test do not pin down what the model does elsewhere.

# %%
guess_cue = predict(
    "Twenty models, the same accuracy on test digits. On digits with the wrong cue, two of them disagree on …",
    ["under 2 % of the digits", "2 to 6 %", "more than 6 %"],
)


def cue_data(agreement, part, models, start):
    """Each replicate's digits with the cue, once for each of its models."""
    pairs = zip(cue_splits, SEEDS, strict=True)
    each = [with_cue(getattr(split, part), agreement, seed + start) for split, seed in pairs]
    return data.stack([examples for examples in each for _ in range(models)])


def cue_models(agreement, models):
    """Train models on each replicate's data; for each test their answers [K, models, n] and the labels [K, 1, n]."""
    networks = Ensemble([64, 64, 64, 2], [100 * seed + model for seed in SEEDS for model in range(models)])
    train = cue_data(agreement, "train", models, start=0)
    settings = {"batch_size": 100, "learning_rate": 5e-3, "schedule": "cosine"}
    networks.fit(train, steps=CUE_STEPS, experiment=f"cue, agreement {agreement:g}", **settings)
    fitted = (error_and_loss(networks, train)[0] == 0).mean()  # the share of the models without a training error
    assert fitted >= 0.95, "too many models have not fitted all labels: give them more updates"
    results = {}
    for name, share in {"as in training": agreement, "cue right": 1.0, "cue wrong": 0.0}.items():
        test = cue_data(share, "test", models, start=10**6)
        evaluate(networks, test, environment={"name": f"digits, {name}", "shift": f"the cue agrees with p = {share:g}"})
        with torch.no_grad():
            answers = networks(test.inputs.to(DEVICE)).argmax(-1).cpu()
        results[name] = answers.view(REPLICATES, models, -1), test.targets.view(REPLICATES, models, -1)[:, :1]
    return results


# %%
def right(answers, labels):
    """Accuracy of each model [K, models]."""
    return (answers == labels).double().mean(-1).numpy()


def disagreement(answers):
    """Share of the examples on which two models differ, mean over all pairs [K]."""
    pairs = itertools.combinations(range(answers.shape[1]), 2)
    return np.mean([(answers[:, i] != answers[:, j]).double().mean(-1).numpy() for i, j in pairs], axis=0)


shortcut, fair = cue_models(0.98, MODELS), cue_models(0.5, 4)
flipped = {
    name: (models["cue right"][0] != models["cue wrong"][0]).double().mean((1, 2)).numpy()
    for name, models in (("shortcut", shortcut), ("control", fair))
}
print("at least 95 % of the models fit every training label")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=[1.3, 1])
for place, name in enumerate(("as in training", "cue wrong")):
    values = right(*shortcut[name])
    x = place + np.linspace(-0.3, 0.3, REPLICATES)[:, None] + np.zeros(MODELS)
    panels[0].scatter(x, values, s=10, color=figures.PALETTE[place], marker=figures.MARKERS[place], label=name)
panels[0].axhline(0.5, color="0.5", linestyle=":", label="chance")
panels[0].set_xticks([0, 1], labels=["cue as in training", "cue wrong"])
panels[0].legend(loc="lower left")
panels[0].set(ylabel="accuracy on test digits", ylim=(0, 1.02), xlim=(-0.6, 1.6))
figures.dots_with_spread(panels[1], flipped, paired=False)
panels[1].set(ylabel="answers that the flipped cue changes", ylim=(0, 0.8))
figures.show(
    fig,
    alt="Left: with the cue as in training all models lie close together near one; with the wrong cue they lie far lower and far apart. Right: "
    "flipping the cue changes about half of the answers of models with the shortcut, and hardly any in the control.",
    caption="Left: twenty models in each of five columns, one column a replicate. Right: the counterfactual test, one dot a replicate.",
)

# %%
claim(
    "With the wrong cue, models that fit everything are wrong on at least 0.12 of the test digits",
    1 - right(*shortcut["cue wrong"]).mean(1),
    at_least=0.12,
    control=1 - right(*fair["cue wrong"]).mean(1),
    control_is="the same error of models trained with a cue that says nothing",
    scale="log",
    source="Sagawa et al. 2020; Geirhos et al. 2020 (shortcuts)",
)
claim(
    "Among twenty models of one replicate, the best and the worst test accuracy differ by at most 0.04",
    np.ptp(right(*shortcut["as in training"]), axis=1),
    at_most=0.04,
    control=np.ptp(right(*shortcut["cue wrong"]), axis=1),
    control_is="the same difference on digits with the wrong cue",
    source="D'Amour et al. 2022 (underspecification)",
)

# %%
apart = disagreement(shortcut["cue wrong"][0])
claim(
    "With the wrong cue, two of these models disagree on at least 0.03 of the digits",
    apart,
    at_least=0.03,
    control=disagreement(shortcut["as in training"][0]),
    control_is="the same disagreement with the cue as in training",
    scale="log",
    source="D'Amour et al. 2022 (underspecification)",
)
claim(
    "Flipping the cue, and nothing else, changes at least 0.12 of the answers",
    flipped["shortcut"],
    at_least=0.12,
    control=flipped["control"],
    control_is="the same share for models trained with a cue that says nothing",
    scale="log",
    source="our measurement; Geirhos et al. 2020 (shortcuts)",
)
differ = apart.mean()
guess_cue.resolve([differ < 0.02, 0.02 <= differ <= 0.06, differ > 0.06])

# %% [markdown]
# Training error zero, test error two per cent, and half of the answers hang on a row of pixels that is not part of the digit. The ordinary test *cannot*
# see it, because it has the same cue. And the 20 models that this test calls equal are different models: which one you deploy is decided by a
# seed. The counterfactual asks about a *reason*, not about a score, and that is why it finds what the score hides. Its limit: you have to
# suspect the cue before you can flip it.
#
# ## 7. The review, simulated and measured
#
# The article behind this curriculum has a small workflow in R: a table over 80 capacities from 50 to 5 000, a summary, the rows to review, a memo.
# Its curves are formulas. Here it is in Python with the same columns, and beside it two *measured* tables of this notebook.


# %%
def review(diagnostics, name, title):
    """Save the table, its summary, its rows to review and a memo; returns summary and rows."""
    diagnostics = diagnostics.assign(generalization_gap=diagnostics.test_error - diagnostics.train_error)
    loss, gap = diagnostics.columns[1], diagnostics.generalization_gap
    best = diagnostics.loc[diagnostics.test_error.idxmin()]
    flags = diagnostics[gap > gap.mean() + gap.std()]
    summary = {
        "min_scaling_loss": diagnostics[loss].min(),
        "max_generalization_gap": gap.max(),
        "capacity_at_min_test_error": best.capacity,
        "min_test_error": best.test_error,
        "min_train_error": diagnostics.train_error.min(),
    }
    save_table(pd.DataFrame([summary]), f"r_deep_learning_summary{name}")
    save_table(flags, f"r_deep_learning_review_flags{name}")
    path = save_table(diagnostics, f"r_deep_learning_scaling_diagnostics{name}")
    lines = [
        f"# Scaling and generalization: memo on {title}",
        f"Capacities: {len(diagnostics)}; to review: {len(flags)}",
    ]
    lines += [f"{key.replace('_', ' ')}: {value:.4g}" for key, value in summary.items()]
    lines += [
        f"Largest gap at capacity {diagnostics.capacity[gap.idxmax()]:.4g}, with training error {diagnostics.train_error[gap.idxmax()]:.3f}."
    ]
    lines += ["The rule flags capacities whose gap exceeds the mean gap by one standard deviation, whatever its size."]
    lines += ["No row says anything about shift, groups, calibration or cost. Those need tests of their own."]
    if path:
        memo = path.with_name(f"r_deep_learning_scaling_governance_memo{name}.md")
        memo.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return diagnostics, flags, lines


# %%
capacity = np.linspace(50, 5000, 80)
bump = 0.05 * np.exp(-((capacity - 900) ** 2) / (2 * 280**2))
simulated = {
    "capacity": capacity,
    "simulated_scaling_loss": 2 * capacity**-0.18 + 0.25 + np.random.default_rng(42).normal(0, 0.01, 80),
    "train_error": 0.45 * np.exp(-capacity / 900) + 0.02,
    "test_error": 0.3 * np.exp(-capacity / 1400) + 0.08 + bump,
}
measured = {
    "capacity": POINTS,
    "measured_scaling_loss": squared[:, 1, 0].mean(0),
    "train_error": train_error[:, 1, 0].mean(0),
    "test_error": test_error[:, 1, 0].mean(0),
}
widths = np.array(PUBLISHED_WIDTHS)
last = {
    part: [published(width, *part)[-1].mean() for width in widths]
    for part in itertools.product(("train", "test"), ("error", "loss"))
}
published_columns = {
    "capacity": widths**2 + 52 * widths + 10,  # parameters of 40-width-width-10
    "measured_scaling_loss": last["test", "loss"],
    "train_error": last["train", "error"],
    "test_error": last["test", "error"],
}
reviews = {
    "simulated": review(pd.DataFrame(simulated), "", "simulated curves"),
    "random features, 40 % noise": review(
        pd.DataFrame(measured), "_measured_exact", "random features with label noise, measured"
    ),
    "trained, published size": review(
        pd.DataFrame(published_columns), "_measured_trained", "trained networks, measured"
    ),
}
print("\n".join(reviews["simulated"][2]))

# %%
fig, panels = plt.subplots(1, 3, figsize=(11, 3.4))
for ax, (name, (frame, flags, _)) in zip(panels, reviews.items(), strict=True):
    ax.plot(frame.capacity, frame.test_error, label="test", marker="")
    ax.plot(frame.capacity, frame.train_error, label="training", marker="")
    ax.plot(
        flags.capacity,
        flags.test_error,
        linestyle="",
        marker="s",
        markersize=4,
        markevery=1,
        color="black",
        label="to review",
    )
    ax.set(xscale="log", xlabel="capacity", title=name, ylim=(-0.03, 1))
panels[0].set(ylabel="error")
panels[0].legend(fontsize=8)
figures.show(
    fig,
    alt="Three panels of test and training error against capacity. Simulated: a shoulder while the training error is still high. Measured: "
    "a peak exactly where the training error reaches zero. Squares mark the rows to review; the third panel has none.",
    caption="The same table three times: from formulas, from exact fits, from trained networks.",
)
simulated_frame, exact_frame = reviews["simulated"][0], reviews["random features, 40 % noise"][0]
assert simulated_frame.train_error.min() >= 0.02  # the simulated model never fits its data
assert simulated_frame.train_error[bump.argmax()] > 0.15
assert exact_frame.train_error[exact_frame.generalization_gap.idxmax()] == 0
assert len(reviews["trained, published size"][1]) == 0  # a large gap almost everywhere: nothing stands out
print("simulated: at the bump, the training error is above 0.15. Measured exactly: at the largest gap it is 0.")

# %% [markdown]
# The simulation has a bump, but not the reason for it: it sits where a sixth of the training labels is still wrong, and its training
# error never reaches zero. In both measured curves the peak is where the last label is fitted. Who reads the left panel as
# "double descent" has learned a shape, not the phenomenon. And look for the squares on the right: there are none. The gap there is so large
# at so *many* widths that none stands out, for the rule takes its threshold from the table itself. A review needs one that was set before.
#
# ## 8. The record, and what a reviewer would ask

# %% tags=["nbval-ignore-output"]
ledger = Ledger()
WHAT = """
SELECT environment.name AS "E: environment", COUNT(*) AS "evaluations", AVG(value) AS "mean accuracy", MIN(value) AS "lowest"
FROM evaluation JOIN environment ON environment.id = environment_id
JOIN training_run ON training_run.id = run_id
WHERE session_id = ? AND metric = 'accuracy' GROUP BY 1 ORDER BY 3 DESC
"""
ledger.query(WHAT, [ledger.session()]).round(3)

# %%
runs = ledger.query("SELECT status FROM training_run WHERE session_id = ?", [ledger.session()])
tickets = 3 * REPLICATES * (2 + 3 * ROUNDS)
section_2 = REPLICATES * (2 * WIDTH_NETWORKS + 2 * (len(WIDTHS) - 2)) + 5
section_4 = REPLICATES * (2 * PATH_NETWORKS + 2 * (len(ARMS) - 2))
expected = section_2 + REPLICATES * (len(SHARES) + 2) + section_4 + tickets + REPLICATES * (MODELS + 4)
recorded = len(runs) >= expected and set(runs.status) == {"completed"}
print(f"{expected} training runs in this kernel: all recorded" if recorded else "Some runs are not recorded.")
assert set(about) >= {"code_sha256", "date", "command", "processor"}  # what the long run's table must tell

# %% [markdown]
# A reviewer would ask:
#
# - **D**: *Which cue in your data agrees with the label by accident of collection?* Who has looked for one?
# - **A**: *Where is your model on its curve?* Does it just fit its data, or easily? What does a little regularisation change?
# - **Θ**: *How many models did you train before this one, and how different were the others?* One seed of twenty is a choice.
# - **E**: *Does the test contain the shift that users will bring?* If not, equal test accuracy is no evidence of equal models.
# - **G**: *Was the threshold of the review set before the table was seen?*
#
# ## 9. What you can do now
#
# 1. **Compute** double descent exactly, and remove it by ridge (section 1).
# 2. **Compare** loss and error of it in trained networks, and plot it honestly (section 2).
# 3. **Explain** what random labels show (section 3).
# 4. **Prove** the minimum-norm preference, and compare paths at equal training loss (section 4).
# 5. **Search** for tickets, and **show** what interpolation and test accuracy leave open (sections 5 and 6).
#
# **Limits of this evidence.** Digits and MNIST-1D, small networks, one learning rate for each setting. The long run comes from one machine;
# its first epochs at one width are checked here. That the peak shows in the error is true of MNIST-1D and not of our digits. The cue is planted. Thresholds come from a pilot with 20 other replicates.
#
# ### Your turn
#
# 1. In section 1, choose for each p the ridge that is best on 200 validation digits. Predict first: is the curve monotone?
# 2. Fit random labels with all examples at once at ten times the learning rate. Does the ratio of updates stay?
# 3. Add 100 training digits whose cue points the wrong way. How much of the gap closes? Do the 20 models agree more?
#
# ### Scale it up
#
# `make long NOTEBOOK=05` repeats the published sweep. On a GPU try `WIDTHS` up to 1024 with `WIDTH_STEPS = 20_000`, and a ticket of a
# network with `SIZES = [64, 1000, 300, 10]`.
#
# ### References
#
# - Belkin et al. 2019, *Reconciling modern machine-learning practice and the classical bias–variance trade-off*, PNAS 116; Nakkiran et al. 2020, *Deep
#   double descent*, ICLR; Nakkiran et al. 2021, *Optimal regularization can mitigate double descent*, ICLR; Hastie et al. 2022, *Surprises in
#   high-dimensional ridgeless least squares interpolation*, Annals of Statistics 50; Curth, Jeffares & van der Schaar 2023, *A U-turn on double descent*, NeurIPS
# - Chiang et al. 2023, *Loss landscapes are all you need*, ICLR; Geiping et al. 2022, *Stochastic training is not necessary for generalization*, ICLR;
#   Keskar et al. 2017, *On large-batch training for deep learning*, ICLR; Wilson et al. 2017, *The marginal value of adaptive gradient methods*, NeurIPS
# - D'Amour et al. 2022, *Underspecification presents challenges for credibility in modern machine learning*, JMLR 23; Geirhos et al. 2020, *Shortcut
#   learning in deep neural networks*, Nature Machine Intelligence 2; Sagawa et al. 2020, *Distributionally robust neural networks*, ICLR;
#   Zech et al. 2018, *Variable generalization performance of a deep learning model to detect pneumonia in chest radiographs*, PLoS Medicine 15
# - Frankle & Carbin 2019, *The lottery ticket hypothesis*, ICLR; Frankle et al. 2020, *Linear mode connectivity and the lottery ticket hypothesis*, ICML;
#   Liu et al. 2019, *Rethinking the value of network pruning*, ICLR
# - Gunasekar et al. 2017, *Implicit regularization in matrix factorization*, NeurIPS; Razin & Cohen 2020, *Implicit regularization in deep learning may
#   not be explainable by norms*, NeurIPS; Zhang et al. 2017, *Understanding deep learning requires rethinking generalization*, ICLR
# - Greydanus & Kobak 2024, *Scaling down deep learning with MNIST-1D*, ICML; Prince 2023, *Understanding deep learning*, MIT Press, notebook 8.3;
#   Srivastava et al. 2014, *Dropout*, JMLR 15
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook.
