# %% [markdown]
# # What does more of everything buy?
#
# **In one sentence:** the loss of small networks falls as a power law in their size, their data and their compute, well
# enough to forecast a larger model before it is trained, until the resource that you did not scale sets the limit, and
# without the rare cases, the calibration under shift and the agreement between models following suit. You will measure
# it over five replicates on signals, parity tasks, an exactly solvable model and the text of Python's own library,
# against classical models, fits that fail and an exponent that is known in advance.
#
# After this notebook you can
#
# 1. **compare** how a linear model, a random forest and networks use more data, and say what the architecture decides;
# 2. **fit** a power law, forecast a larger model from smaller ones, and score the forecast;
# 3. **explain** why a straight line on a log-log plot is weak evidence, and when the offset cannot be identified;
# 4. **count** the compute of a training run, and split a budget between parameters and data;
# 5. **test** whether reliability comes with scale, and read a published energy figure with suspicion.
#
# **You need** notebooks 00 to 02: gradient, replicate, claim, `Ensemble`. From mathematics: logarithms, least squares. (Section
# 1 uses a convolution: a small filter that slides along the signal, as in notebook 01.)
#
# **Reading:** 75 minutes. **Running:** about 120 seconds on one CPU core.

# %% tags=["long"]
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from scipy.optimize import least_squares
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labkit import data, figures, measure, models, sweep
from labkit.evidence import claim, predict
from labkit.ledger import Ledger, save_table
from labkit.models import seeded
from labkit.train import Ensemble, device, evaluate, fit

figures.style()
DEVICE = device()

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
SIGNALS = [100, 1000, 10_000]  # training examples in section 1
SMALL, LARGE = [4, 8, 16, 32], 128  # neurons: the networks that forecast, and the one that is forecast
PARITIES = [2000, 4000, 8000, 48_000]  # training examples in section 2
PARITY_STEPS = 1600
DRAWS = 4  # random-feature models behind one replicate
ONE_PASS = 15_000  # updates of the exactly solvable model
LIVE_BUDGET, LIVE_WIDTHS = 3e8, [6, 32]  # the part of the long run that is trained here

# %% [markdown]
# ## 1. More data
#
# ### Who can use it?
#
# "Deep learning needs big data." Take the sentence as a question. MNIST-1D, which you know from notebook 01, can be drawn
# without end: signals of 40 samples, ten classes, each shifted around its circle. Four models get 100 to 10 000 of
# them:
#
# - **logistic regression**: one linear layer, fitted to the optimum;
# - a **random forest**: the vote of 25 decision trees, each grown on its own resampling of the examples (Breiman 2001);
# - an **MLP** with two hidden layers of 128, which knows nothing about signals;
# - a small **convolutional network** (three layers of 16 filters and, at the end, the largest value of each filter), which
#   by construction treats a shifted signal like the signal.


# %%
class LargestValue(nn.Module):
    def forward(self, x):
        return x.amax(-1)


def convolutional(seed):
    with seeded(seed):
        layers = [nn.Unflatten(1, (1, 40))]
        for channels in (1, 16, 16):
            layers += [nn.Conv1d(channels, 16, 5, padding=2), nn.ReLU()]
        return nn.Sequential(*layers, LargestValue(), nn.Linear(16, 10))


def classical(model, train, test):
    """Held-out accuracy. Inputs are rounded to sixteenths: forests then sort faster and lose nothing."""
    rounded = [(part.inputs * 16).round().numpy() / 16 for part in (train, test)]
    return model.fit(rounded[0], train.targets.numpy()).score(rounded[1], test.targets.numpy())


def networks_on(trains, tests):
    """Held-out accuracies of convolutional networks and of MLPs, one of each for each replicate."""
    training = {"schedule": "cosine", "experiment": f"{len(trains[0])} signals"}
    convolutions = [convolutional(seed) for seed in SEEDS]
    for network, train, seed in zip(convolutions, trains, SEEDS, strict=True):
        fit(network, train, steps=400, batch_size=64, learning_rate=1e-2, seed=seed, **training)
    mlps = Ensemble([40, 128, 128, 10], SEEDS)
    mlps.fit(data.stack(trains), steps=300, batch_size=100, learning_rate=3e-3, **training)
    return [evaluate(*pair) for pair in zip(convolutions, tests, strict=True)], evaluate(mlps, data.stack(tests))


guess_data = predict(
    "Which is more accurate on held-out signals: the forest with 10 000 signals, or the convolutional network with 1 000?",
    ["the forest", "the convolutional network"],
)

# %%
SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
signals = [data.mnist1d(12_000, seed).split(seed, test=2000, validation=0) for seed in SEEDS]
accuracy = {
    name: np.empty((REPLICATES, len(SIGNALS))) for name in ("logistic regression", "random forest", "MLP", "CNN")
}
for column, n in enumerate(SIGNALS):
    trains = [part.train.first(n) for part in signals]
    tests = [part.test for part in signals]
    for row, (train, test, seed) in enumerate(zip(trains, tests, SEEDS, strict=True)):
        linear, forest = LogisticRegression(max_iter=200), RandomForestClassifier(25, random_state=seed)
        accuracy["logistic regression"][row, column] = classical(linear, train, test)
        accuracy["random forest"][row, column] = classical(forest, train, test)
    accuracy["CNN"][:, column], accuracy["MLP"][:, column] = networks_on(trains, tests)

# %% tags=["drawing"]
fig, ax = plt.subplots(figsize=(7, 3.8))
for name, values in accuracy.items():
    figures.lines_with_spread(ax, SIGNALS, values, name, markevery=1)
ax.axhline(0.1, color="0.5", linestyle=":", label="chance")
ax.set(xscale="log", xlabel="training signals", ylabel="accuracy on held-out signals", ylim=(0, 1))
ax.set_xticks(SIGNALS, labels=SIGNALS)
ax.minorticks_off()
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figures.show(
    fig,
    alt="Accuracy against the number of training signals. Logistic regression is nearly flat and low; forest and MLP climb "
    "all the way; the convolutional network is far above all from the start and nearly flat at the end.",
    caption="Each model on the same signals; thin lines are replicates.",
)

# %%
some, many = 1, 2
gain = {name: values[:, many] - values[:, some] for name, values in accuracy.items()}
claim(
    "From 1 000 to 10 000 signals, the forest still gains at least 0.2 in accuracy",
    gain["random forest"],
    at_least=0.2,
    control=gain["logistic regression"],
    control_is="the same gain of logistic regression",
    source="Hestness et al. 2017 (learning curves)",
)
ahead = accuracy["CNN"][:, some] - accuracy["random forest"][:, many]
claim(
    "The convolutional network with 1 000 signals is more accurate than the forest with 10 000",
    ahead,
    at_least=0.0,
    control=accuracy["MLP"][:, some] - accuracy["random forest"][:, many],
    control_is="the same difference for the MLP with 1 000 signals",
    source="Greydanus & Kobak 2024 (inductive biases on MNIST-1D)",
)
claim(
    "From 1 000 to 10 000 signals, the convolutional network gains at most 0.12",
    gain["CNN"],
    at_most=0.12,
    control=gain["random forest"],
    control_is="the same gain of the forest",
    source="our measurement",
)
guess_data.resolve([ahead.mean() < 0, ahead.mean() >= 0])

# %% [markdown]
# So it came out against both common stories. A *classical* model, the forest, still climbs where a network has levelled off.
# And the network that needs the least data is a deep one. What levels off first is the linear model: it has too few
# parameters to use more. The MLP, a deep network without the right assumption, falls behind the forest. "Needs big
# data" is about the *match between assumption and task*, not about depth. (The convolutional network's plateau is one at 400
# updates. With more of them it moves up.)
#
# ## 2. More parameters
#
# ### A task made of many
#
# What does a *larger* network do with the same data? To see it, take a task with many parts, some common and most rare.
# In **multitask sparse parity** (Michaud et al. 2023) an input names one of 32 tasks and shows 12 bits. Each task looks at
# three bits of its own; the target says whether an odd number of them is on. Task $i$ comes with probability proportional to
# $i^{-1.4}$. Here it is by hand, and from `labkit`:

# %%
world = data.sparse_parity(5, seed=0)
print("task  bits          target")
for row, target in zip(world.inputs, world.targets, strict=True):
    print(f"{int(row[:32].argmax()) + 1:4}  {''.join(str(int(bit > 0)) for bit in row[32:])}  {target}")

examples = data.sparse_parity(20_000, seed=0)
bits, task = (examples.inputs[:, 32:] > 0).long(), examples.factors["task"]
triples = torch.combinations(torch.arange(12), 3)  # all 220 ways to choose three of twelve bits
for number in range(3):
    own = task == number
    parity = bits[own][:, triples].sum(-1) % 2  # [examples of this task, 220]
    explains = (parity == examples.targets[own, None]).all(0)
    assert explains.sum() == 1  # exactly one triple of bits explains the task
    print(f"task {number + 1} looks at the bits", *(triples[explains][0] + 1).tolist())

WORLDS = [start + seed for start in (0, 5000) for seed in SEEDS]  # two for each replicate


# %%
def of_replicates(values):
    """The mean of each replicate's two worlds: [worlds] to [replicates]."""
    return np.reshape(values, (2, REPLICATES)).mean(0)


def parity_worlds(n):
    """For each world its own tasks, with n training examples."""
    worlds = [data.sparse_parity(n + 7000, seed).split(seed, test=5000, validation=2000) for seed in WORLDS]
    return {part: data.stack([getattr(world, part) for world in worlds]) for part in ("train", "validation", "test")}


def losses(networks, examples):
    """Mean cross-entropy in each world, in nats."""
    with torch.no_grad():
        outputs = networks(examples.inputs.to(DEVICE))
    each = F.cross_entropy(outputs.flatten(0, 1), examples.targets.flatten().to(DEVICE), reduction="none")
    return each.view(len(WORLDS), -1).mean(1).cpu().numpy()


def train_parity(width, parts, start=0):
    """Networks of one hidden layer, and their test loss at the moment that is best on the validation examples."""
    networks, seen = Ensemble([44, width, 2], [start + seed for seed in WORLDS]), []
    networks.fit(
        parts["train"],
        steps=PARITY_STEPS,
        batch_size=200,
        learning_rate=2e-2,
        schedule="cosine",
        experiment=f"parity, {width} neurons, {len(parts['train'])} examples",
        callback=lambda step, model: seen.append([losses(model, parts[name]) for name in ("validation", "test")]),
        callback_steps=range(0, PARITY_STEPS + 1, PARITY_STEPS // 10),
    )
    seen = np.array(seen)  # [moments, validation or test, worlds]
    return networks, of_replicates(seen[seen[:, 0].argmin(0), 1, range(len(WORLDS))])


# %% [markdown]
# Train four small networks, from 4 to 32 neurons. The reported loss is that on held-out examples, at the moment
# that was best on *validation* examples. Luck matters here (three bits are found or not), so that each replicate is the mean of
# two worlds, each with its own tasks, examples and networks.


# %%
def n_parameters(width):
    return 44 * width + width + 2 * width + 2


plenty = parity_worlds(PARITIES[-1])
trained = {width: train_parity(width, plenty) for width in SMALL}

# %% [markdown]
# ### A forecast
#
# The simplest law that fits such curves, and the one in the article's list, is a **power law** with an offset:
#
# $$ L(N) \approx a\,N^{-\alpha} + b $$
#
# Take $b = 0$ first. Then $\log L = \log a - \alpha \log N$, a straight line on log-log axes. Everything looks straight on
# log-log axes over a short range. So do not look at the line: **forecast**. Fit the four small networks, write down what
# networks with 128 neurons will reach, and only then train these. The score is the **skill** against the naive
# forecast, "as good as the largest one we have": $1 - |\text{forecast} - \text{observed}| / |\text{naive} - \text{observed}|$. One is
# perfect, zero is no better than naive.


# %%
def power_law(x, y):
    """Exponent and scale of y = scale * x^exponent, by least squares on logarithms."""
    exponent, log_scale = np.polyfit(np.log(x), np.log(y), 1)
    return exponent, np.exp(log_scale)


def forecast(x, y, at):
    exponent, scale = power_law(x, y)
    return scale * at**exponent


def skill(predicted, observed, naive):
    return 1 - np.abs(predicted - observed) / np.abs(naive - observed)


small_curve = np.array([trained[width][1] for width in SMALL]).T  # [K, widths]
sizes = np.array([n_parameters(width) for width in [*SMALL, LARGE]])
written_down = np.array([forecast(sizes[:-1], row, sizes[-1]) for row in small_curve])

# %%
guess_forecast = predict(
    "The larger network: how does the straight line through the small ones do?",
    ["worse than naive", "skill between 0 and 0.5", "skill above 0.5"],
)

# %%
trained[LARGE] = train_parity(LARGE, plenty)
curve = np.column_stack([small_curve, trained[LARGE][1]])
skills = skill(written_down, curve[:, -1], curve[:, -2])

fig, ax = plt.subplots(figsize=(7, 3.8))
figures.lines_with_spread(ax, sizes, curve, "trained", markevery=1)
line = np.array([forecast(sizes[:-1], row, sizes) for row in small_curve])
ax.plot(sizes, line.mean(0), label="fit to the four small ones", marker="")
for factor in (line.min(0), line.max(0)):
    ax.plot(sizes, factor, color="0.5", linewidth=0.8, linestyle="-", marker="", label="_range")
ax.axvspan(sizes[-1] / 1.3, sizes[-1] * 1.3, color="0.93", zorder=0)
ax.set(
    xscale="log", yscale="log", xlabel="parameters N (shaded: forecast before training)", ylabel="held-out loss (nats)"
)
ax.set_yticks([0.15, 0.2, 0.3, 0.4, 0.5], labels=["0.15", "0.2", "0.3", "0.4", "0.5"])
ax.minorticks_off()
ax.legend()
figures.show(
    fig,
    alt="Loss against parameters on log-log axes: nearly a straight line falling to the right; the trained points in the "
    "shaded region lie close to the line that was fitted to the left.",
    caption="Multitask sparse parity. Thin lines: replicates; grey lines: the lowest and the highest forecast.",
)
claim(
    "The skill of the forecast for 128 neurons, from networks of 4 to 32, is at least 0.2",
    skills,
    at_least=0.2,
    no_control="the naive forecast is inside the skill: it has skill 0",
    source="Michaud et al. 2023 (the task); Kaplan et al. 2020 (power law in N)",
    runs=trained[LARGE][0].run_ids,
)
guess_forecast.resolve([skills.mean() < 0, 0 <= skills.mean() <= 0.5, skills.mean() > 0.5])

# %% [markdown]
# Why a power law? Michaud et al. have an answer for this task: a network of a given size learns the most frequent tasks and
# leaves the rest. Each task is learned or not, and the sum over many of them is smooth. (Notebook 07 looks at the single
# tasks.) It is one of several explanations in the field, and it is made for tasks like this one.
#
# ### The offset that data cannot tell
#
# Now put $b$ back. It matters most of all, since it says where scaling *ends*. The interval comes from the
# **bootstrap**: draw the replicates anew with replacement, fit again, 100 times.


# %%
def fit_with_offset(x, y):
    """a, alpha and b of y = a x^-alpha + b, all at least 0, by least squares on log y."""

    def residual(p):
        return np.log(np.exp(p[0]) * x ** -p[1] + p[2]) - np.log(y)

    start = [np.log(y[0] * x[0] ** 0.4), 0.4, y[-1] / 4]
    return least_squares(residual, start, bounds=([-np.inf, 0, 0], [np.inf, 3, y.min()]), max_nfev=200).x


generator = np.random.default_rng(BASE_SEED)
resampled = [curve[generator.integers(0, REPLICATES, REPLICATES)].mean(0) for _ in range(100)]
offsets = np.array([fit_with_offset(sizes, y)[2] for y in resampled])
simulated_scale = np.logspace(2, 7, 40)
simulated = pd.DataFrame({"scale": simulated_scale, "simulated_loss": 2.0 * simulated_scale**-0.08 + 0.9})
refitted = fit_with_offset(simulated_scale, simulated.simulated_loss.to_numpy())
assert np.isclose(refitted[2], 0.9)  # where the law is exact and without noise, b is found
save_table(simulated, "python_scaling_curve")
save_table(pd.DataFrame({"scale": sizes, "measured_loss": curve.mean(0)}), "04_measured_scaling_curve")

fig, panels = plt.subplots(1, 2, figsize=(10, 3.4))
panels[0].hist(offsets, bins=np.linspace(0, curve.mean(0).min(), 21), color=figures.PALETTE[0])
panels[0].set(xlabel="fitted offset b (nats)", ylabel="bootstrap samples (of 100)", title="trained networks")
panels[1].plot(simulated.scale, simulated.simulated_loss, marker="", label="simulated")
panels[1].axhline(refitted[2], color="0.5", linestyle=":", label="fitted offset b")
panels[1].set(
    xscale="log", xlabel="scale (any resource)", ylabel="loss", title="the article's simulation", ylim=(0.8, 2.4)
)
panels[1].legend()
figures.show(
    fig,
    alt="Left: the fitted offsets are spread from zero upwards. Right: a smooth simulated curve that "
    "falls towards its offset.",
    caption="Left: the offset of the same five points, resampled. Right: a curve that was computed from the law itself.",
)

# %% [markdown]
# The simulation (it is the one in the article that this curriculum grew from) looks like a scaling law because it *is* one:
# it assumes one exponent for ever, an offset that is known, no noise, and that nothing else runs out. Fitted, it gives
# its offset back exactly. The trained networks do not: an offset of zero, where scaling never ends, and one of a good part of the
# smallest loss fit the same five points. A curve says where it ends only once it bends. Before that, a little more $b$ and a little more
# $\alpha$ do the same. So be careful with any "irreducible loss" that was fitted to a curve that has not flattened yet.
#
# ### When the other resource runs out
#
# Now keep the size and scale the *data*; then keep little data and scale the size.

# %%
STARVED, NARROW = 4000, (8, 16)
by_data, starved = {width: [] for width in NARROW}, {}
for n in PARITIES[:-1]:
    parts = parity_worlds(n)
    for width in NARROW:
        by_data[width].append(train_parity(width, parts)[1])
    if n == STARVED:
        starved = {16: by_data[16][-1], LARGE: train_parity(LARGE, parts)[1]}
by_data = {width: np.array([*rows, trained[width][1]]).T for width, rows in by_data.items()}  # [K, examples]
promised = {
    width: np.array([forecast(np.array(PARITIES[:3]), row[:3], np.array(PARITIES)) for row in rows])
    for width, rows in by_data.items()
}

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for width in NARROW:
    figures.lines_with_spread(panels[0], PARITIES, by_data[width], f"trained, {width} neurons", markevery=1)
panels[0].plot(PARITIES, promised[16].mean(0), marker="", label="fit to the first three (16 neurons)")
panels[0].set(xscale="log", yscale="log", xlabel="training examples D", ylabel="held-out loss (nats)")
widths = [16, LARGE]
figures.lines_with_spread(
    panels[1], widths, np.array([starved[width] for width in widths]).T, f"{STARVED} examples", markevery=1
)
figures.lines_with_spread(
    panels[1], widths, np.array([trained[width][1] for width in widths]).T, f"{PARITIES[-1]} examples", markevery=1
)
panels[1].set(xscale="log", xlabel="neurons")
for ax, ticks in zip(panels, (PARITIES, widths), strict=True):
    ax.set_xticks(ticks, labels=ticks)
    ax.minorticks_off()
    ax.legend(loc="lower left")
panels[0].set_yticks([0.15, 0.2, 0.3, 0.4, 0.6], labels=["0.15", "0.2", "0.3", "0.4", "0.6"])
figures.show(
    fig,
    alt="Left: for two sizes, loss against examples falls steeply, then flattens far above the fitted line, the smaller "
    "network higher. Right: with few examples the loss is the same for 16 and 128 neurons, with many it falls.",
    caption="Left: data scaled at two fixed sizes. Right: size scaled at fixed data. Thin lines are replicates.",
)

# %%
claim(
    "At 8 and 16 neurons, the power law through 2 000 to 8 000 examples promises less loss at 48 000 than comes",
    np.mean([promised[width][:, -1] / by_data[width][:, -1] for width in NARROW], axis=0),
    at_most=0.97,
    no_control="the observed loss is inside the ratio",
    source="Kaplan et al. 2020 (L(N, D)); our measurement",
)
claim(
    f"With {STARVED} examples, 8 times the neurons lower the loss by at most 0.075 nats",
    starved[16] - starved[LARGE],
    at_most=0.075,
    control=trained[16][1] - trained[LARGE][1],
    control_is=f"the same difference with {PARITIES[-1]} examples",
    source="Kaplan et al. 2020 (L(N, D))",
)

# %% [markdown]
# All these curves bend where the *other* resource sets the limit. Before the bend nothing on the left warns you: three points
# on a line. So a scaling law is a statement about one resource while all others are plentiful, and a forecast is as good as that
# "plentiful".
#
# ## 3. An exponent that is known in advance
#
# Is there a case in which theory gives the exponent *before* anyone fits? Take inputs with many directions of ever smaller
# size: direction $j$ has standard deviation $j^{-a}$, and the target depends on it with weight such that its part in
# the target has standard deviation $j^{-b}$. A linear model that has found the first $N$ directions misses the rest:
#
# $$ L(N) \approx \sum_{j > N} j^{-2b} \approx \frac{N^{-(2b - 1)}}{2b - 1} $$
#
# so the exponent is $2b - 1$. Now do not hand it the directions: give it $N$ *random* mixtures of all of them, **random
# features**. The sum is no longer exact, but the exponent should be the same (Maloney et al. 2022, Bahri et al. 2024), and
# the same again in $D$, for the smallest weights that fit $D$ examples. All of this is linear algebra, without training.

# %%
DIRECTIONS = torch.arange(1, 2001, dtype=torch.float64)  # j, up to 2000
FEATURES = [16, 32, 64, 128, 256]


def missed_with_features(n, size, target, random):
    """Least loss of a linear model on n random mixtures of the directions."""
    mixtures, _ = torch.linalg.qr((random[:n] * size).T)  # orthonormal, [directions, n]
    return float(target.square().sum() - (mixtures.T @ target).square().sum())


def missed_with_examples(n, size, target, random):
    """Loss of the smallest weights that fit n examples exactly."""
    inputs, outputs = random[:n] * size, random[:n] @ target
    found = inputs.T @ torch.linalg.solve(inputs @ inputs.T, outputs)
    return float((target - size * found).square().sum())


def exponent_of(missed, b, seed):
    """Mean exponent over random draws, for a = 1."""
    size, target, found = 1 / DIRECTIONS, DIRECTIONS**-b, []
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(1000 * seed + draw)
        random = torch.randn(FEATURES[-1], len(DIRECTIONS), generator=generator, dtype=torch.float64)
        found.append(-power_law(FEATURES, [missed(n, size, target, random) for n in FEATURES])[0])
    return np.mean(found)


in_features = {b: np.array([exponent_of(missed_with_features, b, seed) for seed in SEEDS]) for b in (0.9, 1.0, 1.25)}
in_examples = np.array([exponent_of(missed_with_examples, 1.0, seed) for seed in SEEDS])

# %% tags=["drawing"]
fig, ax = plt.subplots(figsize=(6, 3.4))
figures.dots_with_spread(ax, {f"b = {b}": values for b, values in in_features.items()}, paired=False)
for place, b in enumerate(in_features):
    ax.plot(
        [place - 0.35, place + 0.35], [2 * b - 1] * 2, color="black", linestyle=":", marker="", label=f"_theory {b}"
    )
ax.set(ylabel="exponent of L(N)", ylim=(0.5, 1.8))
figures.show(
    fig,
    alt="Measured exponents for three targets, each group of dots around a dotted line that marks the exponent of theory.",
    caption="Random features: measured exponents, one dot a replicate, and 2b − 1 (dotted).",
)

# %%
claim(
    "Random features, b = 1: the exponent in N is near the theory's 1",
    in_features[1.0],
    within=(0.8, 1.25),
    control=in_features[1.25],
    control_is="the same exponent for b = 1.25, where theory says 1.5",
    over="the random features",
    source="Maloney, Roberts & Sully 2022; Bahri et al. 2024",
)
claim(
    "Minimum-norm fits, b = 1: the exponent in D is near the theory's 1",
    in_examples,
    within=(0.8, 1.25),
    control=in_features[1.25],
    control_is="the exponent in N, not D, of random features for b = 1.25",
    over="the random examples",
    source="Bahri et al. 2024",
)

# %% [markdown]
# Here the straight line *means* something: it was derived first. The exponent is a property of the data's spectrum, not of the
# model's cleverness. Whether trained networks scale for this reason, for that of section 2 or for another is open.
#
# ## 4. Compute: how to spend it
#
# ### Counting
#
# Each weight of a layer takes part in one multiplication and one addition for each example on the way forward, and in two of
# each on the way back (one for the gradient of the weight, one for the gradient of the layer's input). That makes six
# **FLOPs** (floating-point operations), so with $N$ weights and $D$ examples
#
# $$ C \approx 6\,N D $$
#
# Let PyTorch count a language model that you will train in a minute. It reads 16 characters, looks up 8 numbers for each,
# and says which character comes next (after Bengio et al. 2003).


# %% tags=["long"]
class NextCharacter(nn.Module):
    """What comes after `context` characters, out of 96: two hidden layers, the second as a residual connection."""

    def __init__(self, width, context, seed):
        super().__init__()
        with seeded(seed):
            self.lookup = nn.Embedding(96, 8)
            self.first, self.second = nn.Linear(8 * context, width), nn.Linear(width, width)
            self.last = nn.Linear(width, 96)

    def forward(self, characters):
        h = F.relu(self.first(self.lookup(characters.int()).flatten(1)))
        return self.last(h + F.relu(self.second(h)))


def n_weights(width, context):
    """Weights in matrices. A lookup multiplies nothing and does not count."""
    return 8 * context * width + width**2 + 96 * width


# %%
text = data.library_text()
some_windows = text.windows(100, 16, seed=0)
for width in (6, 32, 112):
    model = NextCharacter(width, 16, seed=0)
    torch.testing.assert_close(model(some_windows.inputs), models.NextCharacter(width, 16, seed=0)(some_windows.inputs))
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(some_windows.inputs), some_windows.targets).backward()
    assert counter.get_total_flops() == 6 * n_weights(width, 16) * len(some_windows)  # exactly, not only about
    print(
        f"{width:3} neurons: {n_weights(width, 16):6,} weights, 6 N D = {counter.get_total_flops():13,} FLOPs for 100 windows"
    )

# %% [markdown]
# Activation functions, biases and the loss cost too, but grow with the neurons and not with the weights. Attention adds a
# term that grows with the context (Kaplan et al. 2020, section 2.1). So much for counting; now spend it. If a budget $C$ is
# given, a larger $N$ means fewer examples $D = C / 6N$. Which split is best?
#
# ### Solved exactly
#
# First on random features again, now learned by one pass of gradient descent, one fresh example an update. For such Gaussian data
# the *expected* loss after any number of updates can be computed exactly. With $p_i$ the strength of the $i$-th
# direction among the features and $m_i$ the expected square of what is still missing there,
#
# $$ m_i \leftarrow m_i\,(1 - 2\eta p_i + 2\eta^2 p_i^2) + \eta^2 p_i^2\,L, \qquad L = \sum_i m_i + \text{what the features cannot express} $$
#
# The cell below computes this, and checks it against simulated descent.


# %%
def one_pass(sizes, seeds, steps, moments, directions=1500):
    """Expected loss [K, sizes, moments] of one-pass gradient descent on random features, a = 0.75, b = 1."""
    j = torch.arange(1, directions + 1, dtype=torch.float64)
    strength, missing = torch.zeros(2, len(seeds), len(sizes), max(sizes), dtype=torch.float64)
    beyond = torch.zeros(len(seeds), len(sizes), dtype=torch.float64)
    for k, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        mixtures = torch.randn(max(sizes), directions, generator=generator, dtype=torch.float64) * j**-0.75
        for i, n in enumerate(sizes):
            p, axes = torch.linalg.eigh(mixtures[:n] @ mixtures[:n].T)
            strength[k, i, :n], missing[k, i, :n] = p, (axes.T @ (mixtures[:n] @ (1 / j))).square() / p
            beyond[k, i] = (1 / j).square().sum() - missing[k, i].sum()
    rate = 0.5 / strength.sum(-1, keepdim=True) * strength  # η p, the rate as large as is safe
    keep, stir = 1 - 2 * rate + 2 * rate**2, rate**2
    loss, record = missing.sum(-1) + beyond, []
    for step in range(1, steps + 1):
        missing.mul_(keep).addcmul_(stir, loss[..., None])
        loss = missing.sum(-1) + beyond
        if step in moments:
            record.append(loss)
    return torch.stack(record, -1).numpy()


# %%
def simulated_pass(n, seed, steps, directions, walkers=4000):
    """Mean loss of `walkers` real descents on the same features."""
    j = torch.arange(1, directions + 1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    mixtures = torch.randn(n, directions, generator=generator, dtype=torch.float64) * j**-0.75
    weights, rate = torch.zeros(walkers, n, dtype=torch.float64), 0.5 / mixtures.square().sum()
    for _ in range(steps):
        inputs = torch.randn(walkers, directions, generator=generator, dtype=torch.float64)
        features = inputs @ mixtures.T
        weights -= rate * ((features * weights).sum(1) - inputs @ (1 / j))[:, None] * features
    return float((weights @ mixtures - 1 / j).square().sum(1).mean())


exact = one_pass([10], [BASE_SEED], 60, {60}, directions=50)[0, 0, 0]
assert abs(simulated_pass(10, BASE_SEED, 60, 50) / exact - 1) < 0.1
print("4 000 simulated descents agree with the exact expectation within 10 %")
guess_split = predict(
    "Ten times the compute. By how much should the model grow, on this data?",
    ["not at all: more data only", "about 2.5 times", "about 10 times: same data"],
)

# %% [markdown]
# Theory says what to expect. The loss is about $N^{-1}$, for what the features cannot express, plus $D^{-2/3}$, for what has not been
# learned yet ($(2b-1)/2a$: Paquette et al. 2024). At fixed $N D$ the best split makes the two shrink together:
# $N \propto D^{2/3}$, so $N_\text{opt} \propto C^{0.4}$ and $L \propto C^{-0.4}$.

# %%
MODEL_SIZES = np.unique(np.geomspace(4, 362, 14).round().astype(int))
MOMENTS = np.unique(np.geomspace(1, ONE_PASS, 100).round().astype(int))
COMPUTE = np.geomspace(1e3, 1e5, 7)  # N times D: the factor 6 is left out


def lowest(log_size, log_loss, reach):
    """The lowest point of a curve: log size and log loss, by a parabola through it and `reach` points on each side."""
    at = int(np.argmin(log_loss))
    around = slice(max(0, at - reach), at + reach + 1)
    bend, slope, height = np.polyfit(log_size[around], log_loss[around], 2)
    return -slope / (2 * bend), height - slope**2 / (4 * bend)


def exact_frontier(losses):
    """Log optimal size and log loss [budgets, 2], from losses [sizes, moments]."""
    rows = []
    for budget in COMPUTE:
        at = np.log(budget / MODEL_SIZES)
        curve = [np.interp(when, np.log(MOMENTS), np.log(row)) for when, row in zip(at, losses, strict=True)]
        fits = (at >= 0) & (at <= np.log(ONE_PASS))
        rows.append(lowest(np.log(MODEL_SIZES)[fits], np.array(curve)[fits], reach=4))
    return np.array(rows)


draws = [100 * seed + draw for seed in SEEDS for draw in range(DRAWS)]
planes = one_pass(MODEL_SIZES, draws, ONE_PASS, set(MOMENTS.tolist()))  # [K x draws, sizes, moments]
planes = planes.reshape(REPLICATES, DRAWS, len(MODEL_SIZES), len(MOMENTS)).mean(1)
slopes = np.array([np.polyfit(np.log(COMPUTE), exact_frontier(plane), 1)[0] for plane in planes])

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.8))
mean_plane = planes.mean(0)
for budget in COMPUTE[::2]:
    steps = budget / MODEL_SIZES
    fits = (steps >= 1) & (steps <= ONE_PASS)
    isoflop = [np.interp(np.log(s), np.log(MOMENTS), row) for s, row in zip(steps[fits], mean_plane[fits], strict=True)]
    panels[0].plot(MODEL_SIZES[fits], isoflop, label=f"ND = {budget:.0e}", markevery=1)
panels[0].plot(*np.exp(exact_frontier(mean_plane)).T, color="0.4", linestyle=":", marker="", label="lowest points")
panels[0].set(xscale="log", yscale="log", xlabel="features N", ylabel="expected loss")
panels[0].legend(fontsize=8)
mesh = panels[1].pcolormesh(
    MOMENTS, MODEL_SIZES, np.log10(mean_plane), cmap="cividis", shading="nearest", rasterized=True
)
optimum = np.exp(exact_frontier(mean_plane)[:, 0])
panels[1].plot(COMPUTE / optimum, optimum, color="white", marker="o", linestyle="-", label="_best split")
panels[1].text(1.3, 120, "underfed:\ntoo few examples\nfor the size", fontsize=9)
panels[1].text(800, 6, "too small for\nthe examples", color="white", fontsize=9)
panels[1].set(xscale="log", yscale="log", xlabel="examples D", ylabel="features N", xlim=(1, ONE_PASS), ylim=(4, 362))
panels[1].grid(False)
fig.colorbar(mesh, ax=panels[1], label="log10 of the expected loss")
figures.show(
    fig,
    alt="Left: for each budget, loss against size is a valley; with more compute the valley is lower and further right. Right: "
    "a map of the loss over examples and features, with a diagonal line of best splits between two regions.",
    caption="Left: lines of equal compute (IsoFLOP curves). Right: the same loss over the whole plane; the white line is the "
    "best split at each budget.",
    data=pd.DataFrame({"compute (ND)": COMPUTE, "best N": optimum, "examples D": COMPUTE / optimum}),
)

# %%
claim(
    "One pass on random features: the best size grows about as compute to the power 0.4",
    slopes[:, 0],
    within=(0.27, 0.53),
    control=1 - slopes[:, 0],
    control_is="1 minus the same power, with which the examples D = C / N grow",
    over="the random features",
    source="Paquette et al. 2024; our derivation",
)
claim(
    "One pass on random features: the best loss falls about as compute to the power -0.4",
    slopes[:, 1],
    within=(-0.5, -0.28),
    control=slopes[:, 0],
    control_is="the power of the best size, another quantity",
    over="the random features",
    source="Paquette et al. 2024; our derivation",
)
growth = 10 ** slopes[:, 0].mean()  # of the best size, for ten times the compute
guess_split.resolve([growth < 1.5, 1.5 <= growth <= 5, growth > 5])

# %% [markdown]
# So even with exact mathematics the answer is neither "all into size" nor "all into data", and **equal** growth is not a law of
# nature either. It depends on the data's spectrum ($a$ and $b$).
#
# ### Language models, trained
#
# Now for real: the models of the cell above, on the text of Python's standard library, about nine million characters, each
# hardly a window met twice. A whole study of five budgets takes longer than a notebook may. So it was run once by `make long`, with 45 seeds, and
# its table is in the repository with the hash of this code, machine and date. Here you train a small part of it
# with the same function, through `labkit.sweep`: it spreads configurations over the cores, survives an interruption, and runs
# unchanged on a cluster (README).


# %% tags=["long"]
def language_model(width, budget, context, seed):
    """Train one model with `budget` FLOPs and return its loss (nats a character) on files that it has not met."""
    text, model = data.library_text(), NextCharacter(width, context, seed)
    characters = budget / (6 * n_weights(width, context))
    batch_size = int(np.clip(characters // 1000, 64, 1024))
    steps = int(characters // batch_size)
    fit(
        model,
        text.windows(steps * batch_size, context, seed=seed),
        steps=steps,
        batch_size=batch_size,
        learning_rate=1e-2 * min(1, (48 / width) ** 0.5),
        schedule="cosine",
        seed=seed,
        experiment=f"language model, {budget:.0e} FLOPs",
    )
    test = text.windows(20_000, context, seed=seed, part="test")
    loss = evaluate(model, test, metric=F.cross_entropy, environment="other files of the library")
    return {
        "weights": n_weights(width, context),
        "characters": steps * batch_size,
        "loss": loss,
        "text": text.sha256[:12],
    }


# %% tags=["long"]
LONG_WIDTHS = {
    3e8: [2, 3, 4, 6, 9, 13, 20, 32],
    1e9: [3, 4, 6, 9, 13, 20, 32],
    3e9: [6, 9, 13, 20, 32, 48],
    1e10: [13, 20, 32, 48, 72],
    3e10: [20, 32, 48, 72],
}
LONG_GRID = [{"width": n, "budget": budget, "context": 16} for budget, row in LONG_WIDTHS.items() for n in row]
LONG_GRID += [{"width": 32, "budget": 1e10, "context": context} for context in (1, 4, 8, 32)]
LONG_RUNS = {
    "04_language_models": {
        "experiment": language_model,
        "grid": LONG_GRID,
        "seeds": [*range(5), *range(1000, 1020), *range(2000, 2020)],  # of the notebook, its pilot and `make claims`
    }
}

# %%
guess_live = predict(
    "A budget of 3e8 FLOPs. Which language model ends with the lower loss?",
    ["6 neurons on 36 000 characters", "32 neurons on 6 000 characters"],
)

# %%
table, about = data.long_run("04_language_models")
table = table[table.seed.isin(SEEDS)]
assert set(table.seed) == set(SEEDS)  # other seeds need a long run of their own
live_grid = {"width": LIVE_WIDTHS, "budget": [LIVE_BUDGET], "context": [16]}
live = sweep.run(language_model, live_grid, SEEDS, name="04_live", data=text.sha256)


def loss_at(frame, width, budget, context=16):
    """Loss of each replicate, in the order of SEEDS."""
    rows = frame[(frame.width == width) & (frame.budget == budget) & (frame.context == context)]
    return rows.set_index("seed").loss[SEEDS].to_numpy()


small, large = LIVE_WIDTHS
excess = loss_at(live, large, LIVE_BUDGET) - loss_at(live, small, LIVE_BUDGET)
claim(
    "With 3e8 FLOPs, 32 neurons end with a loss at least 0.02 above that of 6",
    excess,
    at_least=0.02,
    control=loss_at(table, large, 3e9) - loss_at(table, small, 3e9),
    control_is="the same difference with ten times the budget, from the long run",
    source="Hoffmann et al. 2022 (IsoFLOP curves)",
)
claim(
    "What was trained here agrees with the long run's table, within 0.1",
    loss_at(live, small, LIVE_BUDGET) - loss_at(table, small, LIVE_BUDGET),
    within=(-0.1, 0.1),
    control=loss_at(live, small, LIVE_BUDGET) - loss_at(table, large, LIVE_BUDGET),
    control_is=f"the same difference from the table's {large} neurons instead of its {small}",
    source="our measurement",
)
guess_live.resolve([excess.mean() > 0, excess.mean() <= 0])

# %% [markdown]
# More neurons, worse model: at this budget the large one has hardly read anything. The control says that the same two sizes
# come out the other way round with ten times the compute. Now the whole table. For each budget the lowest point of a parabola gives
# $N_\text{opt}$ and the least loss. The four smaller budgets forecast the largest.

# %%
BUDGETS = list(LONG_WIDTHS)
isoflops = table[table.context == 16]


def frontier(rows):
    """Log optimal weights and log least loss [budgets, 2] of one replicate."""
    groups = [rows[rows.budget == budget].sort_values("weights") for budget in BUDGETS]
    return np.array(
        [lowest(np.log(group.weights.to_numpy()), np.log(group.loss.to_numpy()), reach=2) for group in groups]
    )


frontiers = np.array([frontier(isoflops[isoflops.seed == seed]) for seed in SEEDS])  # [K, budgets, 2]
sizes_found, losses_found = np.exp(frontiers[..., 0]), np.exp(frontiers[..., 1])
known, held_out = np.array(BUDGETS[:-1]), BUDGETS[-1]
foreseen_loss = np.array([forecast(known, row[:-1], held_out) for row in losses_found])
foreseen_size = np.array([forecast(known, row[:-1], held_out) for row in sizes_found])

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10.5, 3.6), width_ratios=[1.4, 1, 1])
for budget in BUDGETS:
    rows = isoflops[isoflops.budget == budget]
    grid = rows.pivot(index="seed", columns="weights", values="loss")
    figures.lines_with_spread(panels[0], grid.columns, grid, f"{budget:.0e} FLOPs", markevery=1)
panels[0].set(xscale="log", xlabel="weights N", ylabel="held-out loss (nats a character)")
panels[0].legend(fontsize=8)
for ax, found, foreseen, name in (
    (panels[1], sizes_found, foreseen_size, "best number of weights"),
    (panels[2], losses_found, foreseen_loss, "least loss (nats)"),
):
    figures.lines_with_spread(ax, BUDGETS, found, "found", markevery=1)
    ax.plot(
        [held_out] * REPLICATES,
        foreseen,
        linestyle="",
        marker="_",
        markevery=1,
        markersize=14,
        color="black",
        label="forecast",
    )
    ax.set(xscale="log", yscale="log", xlabel="compute C (FLOPs)", ylabel=name)
    ax.legend(fontsize=8)
panels[2].set_yticks([2.0, 2.2, 2.4, 2.6], labels=["2.0", "2.2", "2.4", "2.6"])
panels[2].minorticks_off()
figures.show(
    fig,
    alt="Left: five valleys of loss against weights, lower and further right with more compute. Middle and right: best size "
    "and least loss against compute, nearly straight, with the forecasts next to the last points.",
    caption="The long run. Thin lines: replicates. Black bars: forecasts from the four smaller budgets.",
)

# %%
claim(
    "The skill of the forecast of the least loss at the largest budget, from the smaller ones, is at least 0.2",
    skill(foreseen_loss, losses_found[:, -1], losses_found[:, -2]),
    at_least=0.2,
    no_control="the naive forecast is inside the skill: it has skill 0",
    source="Hoffmann et al. 2022 (approach 2)",
)
claim(
    "The best number of weights grows with compute to a power between 0.3 and 0.8",
    np.array([power_law(BUDGETS, row)[0] for row in sizes_found]),
    within=(0.3, 0.8),
    control=np.array([power_law(BUDGETS, row)[0] for row in losses_found]),
    control_is="the power of the least loss, another quantity",
    source="Hoffmann et al. 2022 (0.5); Kaplan et al. 2020 (0.73)",
)

# %% [markdown]
# ### How the field argued about this number
#
# Kaplan et al. (2020) found $N_\text{opt} \propto C^{0.73}$: grow the model, hardly the data. GPT-3, 175 billion parameters on
# 300 billion tokens, was built in that spirit. Hoffmann et al. (2022) found about $C^{0.5}$ by three methods: grow both alike,
# about **20 tokens a parameter**. Their *Chinchilla*, with 70 billion parameters, beat *Gopher* with 280 billion at the same
# compute. Why the difference? Hoffmann et al. suspected the learning-rate schedule. Porian et al. (2024) reproduced both and
# found three other causes: Kaplan et al. left out the cost of the last layer, warmed up too long for small models, and
# did not tune the optimizer to each size. Learning-rate decay, they found, was *not* essential. And Besiroglu et al. (2024) took the
# numbers out of Hoffmann's figures and refitted the third method: the published fit misses the data, and its confidence intervals
# would need some 600 000 runs, not the fewer than 500 that there were. Refitted, it agrees with the other two, and with 20.
#
# Our exponent is from tiny models on nine million characters: it shows the *method*. And note what sits inside it: whether the lookup
# counts in $N$ changes small models most. "20 tokens a parameter" is a fact about some data, tokens and architectures. It also
# minimises *training* compute only. Who serves a model to millions trains a smaller one for longer.
#
# ### Split it yourself
#
# Hoffmann's third method fits one formula to *all* runs, $\hat L(N, D) = E + A N^{-\alpha} + B D^{-\beta}$. Here it is, on the table.
# Choose a budget and a size; the dots are trained models of the nearest budget.


# %%
def parametric(p, n, d):
    return np.exp(p[0]) + np.exp(p[1] - p[2] * np.log(n)) + np.exp(p[3] - p[4] * np.log(d))


points = isoflops.groupby(["budget", "weights"], as_index=False)[["characters", "loss"]].mean()
START = [np.log(1.5), np.log(20), 0.4, np.log(50), 0.4]
fitted = least_squares(
    lambda p: np.log(parametric(p, points.weights, points.characters) / points.loss), START, loss="huber", f_scale=0.01
).x


def draw_split(ax, budget, weights):
    """Forecast against size at one budget, the chosen size, and the trained models of the nearest budget."""
    n = np.geomspace(400, 60_000, 60)
    ax.plot(n, parametric(fitted, n, budget / 6 / n), marker="", label=f"forecast at {budget:.1e} FLOPs")
    nearest = min(BUDGETS, key=lambda each: abs(np.log(each / budget)))
    rows = points[points.budget == nearest]
    ax.plot(rows.weights, rows.loss, linestyle="", marker="s", markevery=1, label=f"trained at {nearest:.0e} FLOPs")
    chosen = parametric(fitted, weights, budget / 6 / weights)
    ax.plot(
        [weights], [chosen], linestyle="", marker="*", markevery=1, markersize=14, color="black", label="your choice"
    )
    ax.set(xscale="log", xlabel="weights N", ylabel="loss (nats)", ylim=(1.9, 3.2))
    ax.set_title(f"N = {weights:,.0f}, D = {budget / 6 / weights:,.0f} characters")
    ax.legend(fontsize=8)


fig, panels = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
draw_split(panels[0], 3e9, 20_000)
draw_split(panels[1], 3e9, 4000)
figures.show(
    fig,
    alt="Two valleys with trained points near the forecast curve; a star high on the right slope, and one at the bottom.",
    caption="The same budget, split badly (left) and well (right).",
)


# %% tags=["nbval-ignore-output"]
def explore(budget, weights):
    fig, ax = plt.subplots(figsize=(6, 3.4))
    draw_split(ax, 10**budget, 10**weights)
    plt.close(fig)
    display(fig)


controls = {
    "budget": widgets.FloatSlider(9.5, min=8.5, max=11, step=0.1, description="log10 C"),
    "weights": widgets.FloatSlider(3.6, min=2.7, max=4.7, step=0.05, description="log10 N"),
}
display(widgets.VBox([*controls.values(), widgets.interactive_output(explore, controls)]))

# %% [markdown]
# Move the budget beyond 3e10: there the curve is a promise without a point. The offset $E$ in it is as ill-determined as $b$ was
# in section 2.
#
# ### Context, a further axis
#
# A model can also be given more to *read*. The same width at the same budget, with 1 to 32 characters of context: the first layer grows with
# the context, so every character more is paid for with fewer windows.

# %%
CONTEXTS = [1, 4, 8, 16, 32]
by_context = np.array([loss_at(table, 32, 1e10, context) for context in CONTEXTS]).T
fig, ax = plt.subplots(figsize=(6, 3.2))
figures.lines_with_spread(ax, CONTEXTS, by_context, "32 neurons, 1e10 FLOPs", markevery=1)
ax.set(xscale="log", xlabel="characters of context", ylabel="held-out loss (nats)")
ax.set_xticks(CONTEXTS, labels=CONTEXTS)
ax.minorticks_off()
ax.legend()
figures.show(
    fig,
    alt="Loss against context: a steep fall at first, and a rise again for the longest contexts.",
    caption="Context at fixed compute, from the long run. Thin lines are replicates.",
)
first_step, last_step = by_context[:, 0] - by_context[:, 1], by_context[:, -3] - by_context[:, -1]
claim(
    "From 1 to 4 characters of context the loss falls by at least 0.3 nats",
    first_step,
    at_least=0.3,
    control=last_step,
    control_is=f"the same fall from {CONTEXTS[-3]} to {CONTEXTS[-1]} characters",
    source="Kaplan et al. 2020 (loss by position in the context)",
)

# %% [markdown]
# More context is not free. At this budget the longest ones cost more windows than they are worth, while four characters
# are far better than one. Like size and data, context has its best share of a budget.
#
# ## 5. Scale ≠ reliability
#
# Back to the parity networks. The loss fell all the way from 4 to 128 neurons. What did a *user* get? Three questions to the networks
# with 8 and with 128 neurons:
#
# - **The worst-off group**: accuracy on the eight rarest of the 32 tasks.
# - **Calibration** under shift. A model is calibrated if, among its answers with confidence 80 %, 80 % are right. The **expected
#   calibration error** (ECE) is the mean distance between confidence and accuracy over ten bins of confidence (Guo et al. 2017). The
#   shift: a faulty sensor flips each bit with probability 0.1.
# - **Disagreement**: a second network, same tasks, same examples, other start. How often do the two say different things?


# %%
def calibration_error(logits, targets, bins=10):
    """Expected calibration error of logits [n, classes]: Guo et al. 2017, equation 3, bins of equal width."""
    confidence, answer = logits.softmax(-1).max(-1)
    place = (confidence * bins).long().clamp(max=bins - 1)
    gaps = torch.stack([confidence, (answer == targets).float()])
    sums = torch.zeros(2, bins, device=logits.device).index_add_(1, place, gaps)
    return float((sums[0] - sums[1]).abs().sum() / len(targets))


guess_scale = predict(
    "From 8 to 128 neurons, with the faulty sensor: what happens to the calibration error?",
    ["it falls, as the loss does", "it stays", "it grows"],
)
sure = torch.tensor([[0.0, 2.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])  # confidence 0.88, three of four right
assert np.isclose(calibration_error(sure, torch.tensor([1, 1, 1, 0])), torch.sigmoid(torch.tensor(2.0)) - 0.75)
assert np.isclose(
    calibration_error(sure, torch.tensor([1, 1, 0, 0])), measure.calibration_error(sure, [1, 1, 0, 0], 10)
)

# %%
test = plenty["test"]
generator = torch.Generator().manual_seed(BASE_SEED)
flips = 1 - 2 * (torch.rand(test.inputs[..., 32:].shape, generator=generator) < 0.1).float()
faulty = test.replace(
    inputs=torch.cat([test.inputs[..., :32], test.inputs[..., 32:] * flips], -1),
    transform="each bit flipped with p = 0.1",
)
SHIFT = {"name": "faulty sensor", "shift": "each bit flipped with probability 0.1"}
second = {width: train_parity(width, plenty, start=1000)[0] for width in (8, 128)}
rare = test.factors["task"] >= 24


def reliability(width):
    """For each replicate what a user gets: a column a question."""
    networks, other = trained[width][0], second[width]
    with torch.no_grad():
        answers, others = (each(test.inputs.to(DEVICE)).argmax(-1).cpu() for each in (networks, other))
    right, differ = (answers == test.targets).double(), (answers != others).double()
    return pd.DataFrame(
        {
            "loss": evaluate(networks, test, metric=F.cross_entropy),
            "accuracy": evaluate(networks, test),
            "accuracy, faulty sensor": evaluate(networks, faulty, environment=SHIFT),
            "accuracy, rare tasks": [float(right[k][rare[k]].mean()) for k in range(len(WORLDS))],
            "calibration error": evaluate(networks, test, metric=calibration_error),
            "calibration error, faulty sensor": evaluate(networks, faulty, metric=calibration_error, environment=SHIFT),
            "disagreement": differ.mean(1),
            "disagreement, rare tasks": [float(differ[k][rare[k]].mean()) for k in range(len(WORLDS))],
        }
    ).apply(of_replicates)


small_model, large_model = reliability(8), reliability(128)

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10.5, 3.4))
for ax, question in zip(panels, ("accuracy", "calibration error", "disagreement"), strict=True):
    for i, name in enumerate(("", ", faulty sensor", ", rare tasks")):
        if question + name in small_model:
            values = np.array([small_model[question + name], large_model[question + name]]).T
            look = {"color": figures.PALETTE[i], "marker": figures.MARKERS[i], "linestyle": figures.LINESTYLES[i]}
            figures.lines_with_spread(ax, [0, 1], values, name[2:] or "all", markevery=1, **look)
    ax.set_xticks([0, 1], labels=["8", "128"])
    ax.set(xlabel="neurons", ylabel=question, xlim=(-0.3, 1.3), ylim=(0, None))
    ax.legend()
panels[0].axhline(0.5, color="0.5", linestyle=":", label="_chance")
figures.show(
    fig,
    alt="Accuracy rises over all and with the faulty sensor, and stays at chance on rare tasks. Calibration error stays small as trained and grows with "
    "the faulty sensor. Disagreement falls over all and stays high on rare tasks.",
    caption="The same networks, three questions. Thin lines are replicates; dotted: chance.",
)

# %%
claim(
    "With 128 neurons the accuracy on the eight rarest tasks is at most 0.75",
    large_model["accuracy, rare tasks"],
    at_most=0.75,
    control=large_model["accuracy"],
    control_is="the accuracy of the same networks over all tasks",
    source="Sagawa et al. 2020 (worst-group accuracy); Michaud et al. 2023 (the task)",
    runs=trained[128][0].run_ids,
)
claim(
    "With the faulty sensor, the calibration error of 128 neurons is at least 0.02 above that of 8",
    large_model["calibration error, faulty sensor"] - small_model["calibration error, faulty sensor"],
    at_least=0.02,
    control=large_model["calibration error"] - small_model["calibration error"],
    control_is="the same difference without the faulty sensor",
    source="Ovadia et al. 2019 (calibration under shift)",
)
claim(
    "On the eight rarest tasks, two networks of 128 neurons disagree on at least 0.1 of the examples",
    large_model["disagreement, rare tasks"],
    at_least=0.1,
    control=large_model["disagreement"],
    control_is="the disagreement of the same networks over all tasks",
    source="D'Amour et al. 2022 (underspecification)",
)
change = (large_model["calibration error, faulty sensor"] - small_model["calibration error, faulty sensor"]).mean()
guess_scale.resolve([change < -0.01, abs(change) <= 0.01, change > 0.01])

# %% [markdown]
# The *average* got better in every respect, also with the faulty sensor, where accuracy rose too. But the larger network is
# surer of more things, so a fault that it was not trained for makes it *more wrong about how right it is*. The rare tasks are
# where they were: at chance, with two networks that tell a user different things. None of this is a law. Larger models can be better
# calibrated under shift (Minderer et al. 2021), and other families will behave otherwise. What holds is that you have to *measure* it: the
# scaling curve does not contain it.
#
# ## 6. What it costs
#
# The ledger has counted FLOPs and measured seconds for everything that you trained. Energy was *not* measured. It takes two assumptions,
# and they are named: 15 watts for one busy core with its share of the machine (300 for a data-centre GPU), 0.4 kg of CO₂ for a kilowatt-hour.

# %% tags=["nbval-ignore-output"]
WATTS, KG_PER_KWH = 300 if DEVICE.type == "cuda" else 15, 0.4  # assumed, not measured
ledger = Ledger()
COST = """
SELECT CASE WHEN experiment LIKE 'parity%' THEN 'parity networks' WHEN experiment LIKE 'language%' THEN 'language models'
            ELSE 'networks on signals' END AS "what",
       COUNT(*) AS "Θ: runs", SUM(compute.seconds) AS "C: seconds", SUM(compute.flops) / 1e9 AS "C: GFLOPs"
FROM training_run JOIN compute ON compute.run_id = training_run.id
WHERE session_id IN (SELECT id FROM session WHERE notebook = (SELECT notebook FROM session WHERE id = ?))
GROUP BY 1
"""
cost = ledger.query(COST, [ledger.session()])
cost["kWh (assumed power)"] = cost["C: seconds"] * WATTS / 3.6e6
cost["g CO₂ (assumed)"] = cost["kWh (assumed power)"] * KG_PER_KWH * 1000
save_table(cost, "04_cost")
cost.round({"C: seconds": 1, "C: GFLOPs": 1, "kWh (assumed power)": 6, "g CO₂ (assumed)": 3})

# %% [markdown]
# Now read published figures with the same eyes. These four are in one of the articles behind this curriculum. Divide, and ask
# how each was obtained:

# %%
published = pd.DataFrame(
    [("GPT-3", 1287, 550), ("Llama 3 (70B)", 581, 240)], columns=["model", "energy (MWh)", "CO₂ (t)"]
)
for row in published.itertuples(index=False):
    print(f"{row[0]:14} {row[1]:5} MWh, {row[2]:4} t: {1000 * row[2] / row[1] / 1000:.2f} kg a kWh")
print('GPT-4          "multi-gigawatt hours", 7138 t')
print('PaLM           "8.9 million GPU hours", over 1000 t')
card_mwh = 6.4e6 * 0.7 / 1000
print(f"Llama 3 70B, from its model card: 6.4 million GPU hours x 0.7 kW = {card_mwh:.0f} MWh, and 1900 t")
assert card_mwh > 7 * 581

# %% [markdown]
# - **GPT-3**: not measured by its makers. Patterson et al. (2021) computed it from the number of processors, their power and a
#   data centre's overhead.
# - **GPT-4**: its makers have published neither size nor energy. We found no primary source for the figure, nor for the 1.8
#   trillion parameters beside it.
# - **Llama 3 (70B)**: the model card gives GPU hours and the processor's *rated* power, which makes nearly eight times the
#   article's energy and CO₂. "Pre-offset" is an account of certificates, not of electricity.
# - **PaLM** was trained on TPUs, not GPUs; hours are no energy until someone says how much power.
#
# A figure of energy is a measurement only if someone read a meter. Else it is a product of assumptions, and those belong beside it.
#
# **Mixed precision** changes the price of a FLOP. Multiplying numbers of 16 bits is several times faster on most GPUs and moves
# half the memory. The format bfloat16 keeps the range of 32 bits and pays with digits. That has a consequence for training:

# %%
weight, update = torch.tensor(1.0), torch.tensor(0.002)
low = weight.bfloat16()
for _ in range(1000):
    low += update.bfloat16()
print("1000 updates of 0.002 on a weight of 1, in bfloat16:", low.item())
print("bytes for each weight: float32", weight.element_size(), "- bfloat16", low.element_size())
assert low == 1.0  # each update is less than half the distance to the next number, and is rounded away

# %% [markdown]
# So in *mixed* precision the products are taken in 16 bits, while a copy of the weights in 32 bits collects the updates
# (Micikevicius et al. 2018). On a CPU it may gain nothing: measure before you believe.
#
# ## 7. The record, and what a reviewer would ask

# %% tags=["nbval-ignore-output"]
WHAT = """
SELECT dataset.name AS "D: data", split.n_examples AS "D: examples", architecture.n_parameters AS "A: parameters",
       COUNT(*) AS "Θ: runs", AVG(final_loss) AS "mean final loss"
FROM training_run
JOIN architecture ON architecture.id = architecture_id
JOIN split ON split.id = split_id JOIN dataset ON dataset.id = dataset_id
WHERE session_id = ? GROUP BY 1, 2, 3 ORDER BY 1, 3, 2
"""
ledger.query(WHAT, [ledger.session()]).round({"mean final loss": 2})

# %%
runs = ledger.query("SELECT status FROM training_run WHERE session_id = ?", [ledger.session()])
trained_parities = len(SMALL) + 1 + len(NARROW) * (len(PARITIES) - 1) + 1 + len(second)
expected = REPLICATES * 2 * len(SIGNALS) + len(WORLDS) * trained_parities
recorded = len(runs) >= expected and set(runs.status) == {"completed"}
print(f"{expected} training runs in this kernel: all recorded" if recorded else "Some runs are not recorded.")
save_table(isoflops[["budget", "weights", "characters", "seed", "loss"]], "04_isoflop")
assert set(about) >= {"code_sha256", "date", "command", "processor"}  # what the long run's table must tell

# %% [markdown]
# A reviewer would ask:
#
# - **C**: *Counted, measured or assumed?* For each figure of cost, which of the three?
# - **Θ**: *Was every size trained as well as it could be?* One learning rate for all sizes bends the curve (Porian et al. 2024).
# - **D**: *Is there more data of this kind?* The power law in $D$ assumes that there is.
# - **E**: *Who lives in the tail?* Which groups are rare in the data, and what is the accuracy on them?
# - **G**: *Was the forecast written down before the model was trained?* Where?
#
# ## 8. What you can do now
#
# 1. **Compare** how models use more data (section 1).
# 2. **Fit** a power law, forecast, and score the forecast by its skill (section 2).
# 3. **Explain** why a line is weak evidence, and why $b$ is hard to know (sections 2 and 3).
# 4. **Count** compute and split a budget (section 4).
# 5. **Test** whether reliability comes along, and question a figure of energy (sections 5 and 6).
#
# **Limits of this evidence.** One to two decades of scale, where the field has seven. Tasks that are made to scale. One learning rate
# a family. The parity networks see their examples several times. Long-run claims rest on a table from one machine, checked here at one
# budget. Thresholds come from a pilot with 20 other replicates.
#
# ### Your turn
#
# 1. Fit the forecast of section 2 with $b$ free (`fit_with_offset`). Predict first: does the skill rise?
# 2. Give the convolutional network of section 1 more updates (2000) at 10 000 signals. Where does it level off then?
# 3. Flip bits with probability 0.1 *in training* as well. Does the calibration error under the fault still grow with size?
#
# ### Scale it up
#
# On a GPU try `LARGE = 512` with `PARITIES = [2000, 4000, 8000, 500_000]` and `PARITY_STEPS = 10_000`. Does
# the forecast from four small networks still hold? Write it down first. `make long NOTEBOOK=04` repeats the language models.
#
# ### References
#
# - Bahri et al. 2024, *Explaining neural scaling laws*, PNAS 121; Maloney, Roberts & Sully 2022, *A solvable model of neural
#   scaling laws*, arXiv:2210.16859; Paquette et al. 2024, *4+3 phases of compute-optimal neural scaling laws*, NeurIPS
# - Bengio et al. 2003, *A neural probabilistic language model*, JMLR 3; Breiman 2001, *Random forests*, Machine Learning 45
# - Besiroglu et al. 2024, *Chinchilla scaling: a replication attempt*, arXiv:2404.10102; Porian et al. 2024, *Resolving
#   discrepancies in compute-optimal scaling of language models*, NeurIPS
# - D'Amour et al. 2022, *Underspecification presents challenges for credibility in modern machine learning*, JMLR 23
# - Greydanus & Kobak 2024, *Scaling down deep learning with MNIST-1D*, ICML; Hestness et al. 2017, arXiv:1712.00409
# - Guo et al. 2017, *On calibration of modern neural networks*, ICML; Minderer et al. 2021, *Revisiting the calibration of modern
#   neural networks*, NeurIPS; Ovadia et al. 2019, *Can you trust your model's uncertainty?*, NeurIPS
# - Hoffmann et al. 2022, *Training compute-optimal large language models*, NeurIPS; Kaplan et al. 2020, *Scaling laws for neural
#   language models*, arXiv:2001.08361
# - Michaud et al. 2023, *The quantization model of neural scaling*, NeurIPS
# - Micikevicius et al. 2018, *Mixed precision training*, ICLR; Patterson et al. 2021, *Carbon emissions and large neural network
#   training*, arXiv:2104.10350; Sagawa et al. 2020, *Distributionally robust neural networks*, ICLR
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook.
