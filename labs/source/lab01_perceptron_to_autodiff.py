# %% [markdown]
# # How does a machine learn from its mistakes?
#
# **In one sentence:** a single unit learns any line that separates two classes, with a bound on its mistakes; where
# there is no such line it fails for ever; a hidden layer mends that, and the chain rule, which you teach to run
# backwards through any program, trains it. You will measure over five replicates what the hidden layer adds; the
# control lacks only its bend.
#
# After this lab you can
#
# 1. **write** a threshold unit and choose its weights so that it computes AND, OR and NOT;
# 2. **implement** Rosenblatt's learning rule, and predict when it ends and when it never does;
# 3. **construct** a network of two layers that computes XOR, for any number of inputs;
# 4. **build** an engine that differentiates any program made of its operations, and check it against PyTorch;
# 5. **measure** what the hidden layer adds, against a control.
#
# **You need** notebook 00 (loss, gradient, update, replicate, claim, control), classes in Python, and the derivative of
# a function of a function.
#
# {exercises}
#
# Below each exercise stand hints and a solution. Unfold them when you need them: ten minutes of being stuck teach
# something, an hour seldom does. A check draws new inputs each time, so it cannot be satisfied by heart.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch

from labcheck import check
from labkit import figures
from labkit.evidence import claim, predict

figures.style()
lab = check.lab("lab01_perceptron_to_autodiff")

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
HIDDEN = 16  # units in the hidden layer of the network on two moons
UPDATES = 600  # of its training
BATCH_SIZE = 8
LEARNING_RATE = 1.0  # of the first update; it falls in a straight line to 0
TRAIN_SIZE = 200  # points to train on
TEST_SIZE = 2000  # held-out points
NOISE = 0.15  # standard deviation of the noise on each coordinate of a point


# %%
def draw_points(ax, points, labels):
    """Points [n, 2]; filled squares where the label is positive, open circles where not."""
    positive = np.asarray(labels) > 0
    ax.scatter(*points[~positive].T, s=34, facecolor="white", edgecolor=figures.PALETTE[0], label="no", zorder=3)
    ax.scatter(*points[positive].T, s=34, marker="s", color=figures.PALETTE[1], label="yes", zorder=3)


def draw_line(ax, weights, bias, label, **line):
    """The line w[0] x[0] + w[1] x[1] + bias = 0, long enough for every plot here."""
    w = np.asarray(weights, dtype=float)
    foot, along = -bias * w / (w @ w), np.array([-w[1], w[0]]) / np.sqrt(w @ w)
    ends = np.stack([foot - 20 * along, foot + 20 * along])
    ax.plot(*ends.T, **{"marker": "", "scalex": False, "scaley": False, "label": label} | line)


# %% [markdown]
# ## 1. A unit that decides (1943)
#
# You decide whether to walk to work. You walk only if it is dry **and** you have time. Write yes as 1 and no as 0. Then
# *dry + time* is 2 when both hold, and at most 1 otherwise. So the decision is a comparison: *is the sum at least 2?*
#
# In 1943 Warren McCulloch and Walter Pitts described a nerve cell in this way: it **fires** when enough of its inputs
# do. We call it a **unit**: a neuron, in the words of notebook 00. They showed that nets of such units can compute
# every statement of propositional logic. In their paper an inhibiting input was a veto. We use the later form, in which
# a negative weight inhibits:
#
# $$ \text{output} = \begin{cases} 1 & \text{if } w_1 x_1 + \dots + w_d x_d \ge \theta \\ 0 & \text{otherwise.} \end{cases} $$
#
# $w$ are the **weights**, $\theta$ is the **threshold**. A sum that just reaches the threshold fires.

# %% [markdown] exercise="threshold_unit" difficulty=1 importance=4 minutes=15 points=3
# ### A threshold unit, and three gates
#
# Write `threshold_unit` for a whole batch of inputs at once: a matrix with one row an input. The rows of
#
# $$ \begin{pmatrix} 0 & 1 \\ 1 & 1 \end{pmatrix} \begin{pmatrix} 1 \\ 1 \end{pmatrix} = \begin{pmatrix} 1 \\ 2 \end{pmatrix} $$
#
# with the threshold 2 give the outputs 0 and 1.
#
# Then choose weights and threshold for three **gates**: AND (both), OR (at least one) and NOT (of one input). For each
# there are many right answers.


# %% solution="threshold_unit"
def threshold_unit(inputs, weights, threshold):
    """The outputs of one threshold unit for a batch of inputs.

    inputs [n, d], weights [d], threshold: a number. Returns an array [n] of 0 and 1.

    >>> threshold_unit(np.array([[0, 1], [1, 1]]), np.array([1, 1]), 2)
    array([0, 1])
    """
    ### BEGIN SOLUTION
    return (inputs @ weights >= threshold).astype(int)
    ### END SOLUTION


def gate(name):
    """(weights, threshold) of "AND" or "OR" of two inputs, or of "NOT" of one.

    The weights are a list with as many numbers as the gate has inputs.
    """
    ### BEGIN SOLUTION
    gates = {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)}
    return gates[name]
    ### END SOLUTION


# %% [markdown] hint="threshold_unit"
# For one input the weighted sum is `weights @ x`. Which product gives the sums of all rows at once?

# %% [markdown] hint="threshold_unit"
# `inputs @ weights` has the shape `[n]`. Comparing it with a number gives an array of True and False, and
# `.astype(int)` makes 1 and 0 of them. For the gates write down the sum of each input first, then put the threshold
# between the sums that should fire and those that should not.

# %% [markdown] hint="threshold_unit"
# AND and OR can have the same weights, 1 and 1: the sums are 0, 1, 1, 2. NOT must fire for 0 and be silent for 1, so
# its weight is negative: the sums are 0 and −1.

# %% [markdown] why="threshold_unit"
# One matrix product adds up all rows, and one comparison decides for all. Use `>=`, not `>`: with `>` AND would ask for
# more than 2, which two inputs cannot reach. A threshold between two sums, such as 1.5, is safer than one that lies on
# a sum. NOT shows that something must be able to *lower* the sum: with weights that are all positive, more input never
# turns a unit off.

# %% checks="threshold_unit"
import numpy as np

from labcheck.compare import compare
from labcheck.exercise import call


def unit_inputs(make):
    """A batch, weights of both signs, and a threshold that one of the sums reaches exactly, or just or just not."""
    n, d = make.size(1, 40), make.size(1, 6)
    inputs, weights = make.numbers(n, d), make.numbers(d)
    return inputs, weights, make.near(inputs @ weights)


def unit(inputs, weights, threshold):
    return np.array([int(sum(w * x for w, x in zip(weights, row)) >= threshold) for row in inputs])


agrees(
    "threshold_unit", "fires when the weighted sum reaches the threshold, and gives one output a row", draw=unit_inputs, reference=unit,
    hint="compute a row by hand, best one whose sum is the threshold or just beside it",
    misreadings={
        "that is the weighted sum itself: compare it with the threshold": lambda x, w, t: x @ w,
        "the outputs are −1 and 1: a threshold unit gives 0 and 1": lambda x, w, t: np.where(x @ w >= t, 1, -1),
        "the outputs are the wrong way round: fire when the sum reaches the threshold": lambda x, w, t: x @ w < t,
        "the outputs are the wrong way round, and a sum equal to the threshold must fire": lambda x, w, t: x @ w <= t,
        "a sum equal to the threshold must fire: use >= and not >": lambda x, w, t: x @ w > t,
        "fire where the sum is larger than the threshold too, not only equal to it": lambda x, w, t: x @ w == t,
        "each input must be multiplied by its weight before you add": lambda x, w, t: x.sum(1) >= t,
        "a negative weight lowers the sum, it forbids nothing": lambda x, w, t: (x @ w >= t) & ~(x[:, w < 0] != 0).any(1),
        "a negative weight must lower the sum": lambda x, w, t: x @ np.abs(w) >= t,
        "compare the sum with the threshold, not with 0": lambda x, w, t: x @ w >= 0,
        "the threshold has the wrong sign: compare the sum with it": lambda x, w, t: x @ w + t >= 0,
        "the product runs over the wrong axis: use inputs @ weights": lambda x, w, t: w @ x >= t,
        "one output a row: do not add up the rows": lambda x, w, t: int((x @ w).sum() >= t),
        "a sum can have a fraction: do not cut it off": lambda x, w, t: (x @ w).astype(int) >= t,
        "add up all inputs, for any number of them": lambda x, w, t: x[:, :2] @ w[:2] >= t,
        "nearly is not enough: compare with the threshold itself": lambda x, w, t: x @ w >= t - 0.1,
    },
)  # fmt: skip
TABLES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "NOT": [1, 0]}


def gate_differs(name, answer):
    """What is wrong with a gate, or None."""
    inputs = [[0], [1]] if name == "NOT" else [[0, 0], [0, 1], [1, 0], [1, 1]]
    if not isinstance(answer, (list, tuple)) or len(answer) != 2:
        return f'gate("{name}") must return a pair (weights, threshold)'
    weights, threshold = np.asarray(answer[0], dtype=float), float(answer[1])
    if weights.shape != (len(inputs[0]),):
        return f'the weights of gate("{name}") must be a list of {len(inputs[0])}, one an input'
    for x, total, fires in zip(inputs, inputs @ weights, TABLES[name]):
        if (total >= threshold) != bool(fires):
            verb, where = "reaches" if total >= threshold else "does not reach", " and ".join(map(str, x))
            return f"{name} of {where} is {fires}, but the sum {total:g} {verb} the threshold {threshold:g}"


for name in TABLES:

    @checks("threshold_unit", f"the gate {name} gives its truth table")
    def gate_check(rng, name=name):
        return gate_differs(name, (yield call("gate", name)))


# %% patches="threshold_unit"
[
    (">= threshold)", "> threshold)", "use >= and not >"),
    ("(inputs @ weights >= threshold).astype(int)", "inputs @ weights", "the weighted sum itself"),
    ("return (inputs @ weights >= threshold)", "inputs *= weights\n    return (inputs.sum(1) >= threshold)", "in place"),
    ('"AND": ([1, 1], 2)', '"AND": ([1, 1], 1)', "AND of 0 and 1 is 0, but the sum 1 reaches the threshold"),
    ('"NOT": ([-1], 0)', '"NOT": ([1], 1)', "NOT of 0 is 1"),
    ('"OR": ([1, 1], 1)', '"OR": (1, 1)', 'the weights of gate("OR") must be a list of 2'),
    ("return (inputs @ weights >= threshold).astype(int)", "return [1.0 if sum(w * x for w, x in zip(weights, row)) >= threshold else 0.0 for row in inputs]", ""),
    ("return (inputs @ weights >= threshold).astype(int)", "return torch.as_tensor(inputs).double() @ torch.as_tensor(weights).double() >= threshold", ""),
    ('"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)', '"AND": (np.array([2, 3]), 5), "OR": ((4, 1), 0.5), "NOT": ([-2.0], -0.5)', ""),
    ("return gates[name]", "return gates[name][1]", 'gate("AND") must return a pair'),
]  # fmt: skip

# %% [markdown] survivors="threshold_unit"
# - ``gates = {"AND": ([1, 1], 2), "OR": ([ 2, 1], 1), "NOT": ([-1], 0)}``: one input that is 1 still reaches 1: this is OR
# - ``gates = {"AND": ([1, 1], 2), "OR": ([1, 2], 1), "NOT": ([-1], 0)}``: one input that is 1 still reaches 1: this is OR
# - ``gates = {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([- 2], 0)}``: any negative weight with the threshold 0 is NOT
# - ``gates = {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([~1], 0)}``: `~1` is -2: any negative weight will do

# %%
lab.check("threshold_unit")

# %% [markdown]
# ## 2. A unit that learns (1958)
#
# Somebody had to *choose* those weights. Frank Rosenblatt's **perceptron** finds them from examples. Before you write
# it, do two steps by hand. From now on a label $y$ is $+1$ or $-1$, and instead of a threshold we add a **bias**
# $b = -\theta$ to the sum: the answer is $+1$ where $w \cdot x + b > 0$.
#
# Start with $w = (0, 0)$, $b = 0$. The first example is $x = (2, 1)$ with $y = -1$. The sum is 0: undecided, and that
# counts as a mistake. Correct it: subtract $x$ from $w$ and 1 from $b$. Now $w = (-2, -1)$, $b = -1$, and the same
# example gives the sum $-6$. The next example is $x = (0, 3)$ with $y = +1$. The sum is $-4$: a mistake. Add $x$ and 1:
# $w = (-2, 2)$, $b = 0$.
#
# That is the whole rule. An example that is answered rightly changes nothing.

# %% [markdown] exercise="perceptron" difficulty=2 importance=5 minutes=25 points=5
# ### Rosenblatt's rule
#
# Go through the examples one after another. One time through all of them is an **epoch**; here each epoch keeps the
# order. For each example:
#
# $$ \text{if } y\,(w \cdot x + b) \le 0: \qquad w \leftarrow w + y\,x, \qquad b \leftarrow b + y . $$
#
# (The product $y\,(w \cdot x + b)$ is positive exactly where the sign of the sum is the label.) Stop after an epoch
# without a mistake, at the latest after the given number of epochs. Return the weights, the bias, and the list of the
# numbers of mistakes, one an epoch; the epoch without a mistake belongs to it.


# %% solution="perceptron"
def perceptron(inputs, labels, epochs=100):
    """Learn weights and bias by Rosenblatt's rule, from zero.

    inputs [n, d]; labels [n], each +1 or -1; epochs: how many at most.
    Returns (weights [d], bias, mistakes): mistakes lists how many each epoch had.

    >>> perceptron(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([-1, 1]))
    (array([-2.,  2.]), 0.0, [2, 0])
    """
    ### BEGIN SOLUTION
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights = weights + y * x
                bias = bias + y
                wrong += 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes
    ### END SOLUTION


# %% [markdown] hint="perceptron"
# You need two loops: an outer one over epochs, an inner one over examples. What must be set back to 0 at the start of
# each epoch, and what must not?

# %% [markdown] hint="perceptron"
# Inside: compute `y * (weights @ x + bias)`. If it is not positive, correct weights and bias at once, so that the next
# example already meets the new ones, and count. After the inner loop put the count into the list; `break` if it is 0.

# %% [markdown] hint="perceptron"
# A correction is `weights = weights + y * x` and `bias = bias + y`, inside `for x, y in zip(inputs, labels):`.

# %% [markdown] why="perceptron"
# Why does adding $y\,x$ help? The sum for this example changes by $y\,(x \cdot x + 1)$: towards its label, always. It
# may break another example; the next section says how often that can happen.
#
# Common mistakes: `< 0` instead of `<= 0` (at the start every sum is 0, so nothing would ever be learned); no bias
# (then every line goes through the origin); corrections that are saved up until the end of the epoch; a loop that only
# ends when there is no mistake. On data that no line separates, that loop never ends. You will see such data soon.

# %% checks="perceptron"
import math

from labcheck.draw import CASES


def rosenblatt(inputs, labels, epochs=100):
    w, b, counts = np.zeros(inputs.shape[1]), 0, []
    for _ in range(epochs):
        counts.append(0)
        seen_w, seen_b = w, b
        for x, y in zip(inputs, labels):
            mistake = y * (math.fsum(w * x) + b) <= 0
            counts[-1] += mistake
            if mistake:
                w, b = w + y * x, b + y
        if not counts[-1]:
            break
    return w, b, counts


def pairs_twice(make):
    """Each point with both labels: no line exists. The number of epochs can be left out, and the last need not be best."""
    for _ in range(100):
        points = make.numbers(make.size(1, 8), make.size(1, 4))
        labels = np.repeat([1, -1], len(points))
        examples = np.concatenate([points, points]), labels, *make.one_of((7,), (), (2,))
        counts = rosenblatt(*examples)[2]
        if make.kind != "plain" or counts[-1] > min(counts):
            break
    return examples


def examples(make):
    n = make.size(1, 30)
    return make.numbers(n, make.size(1, 5)), make.labels(n), make.one_of(1, 3, 2)


def separable(make):
    """Points on both sides of a plane that need not run through the origin, none near it."""
    normal, shift = make.rng.normal(size=make.size(1, 5)), make.rng.normal()
    points = make.numbers(150, len(normal))
    side = (points @ normal + shift) / np.linalg.norm(normal)
    kept = np.flatnonzero(np.abs(side) > 0.3)[:30]
    return points[kept], np.sign(side[kept]).astype(int), 500


MISREADINGS = {
    "a sum of 0 is undecided and counts as a mistake: use <= 0 and not < 0": ("<= 0", "< 0"),
    "an example that is answered rightly must change nothing: correct only mistakes": ("if mistake:", "if True:"),
    "the bias never learns: add y to it at each mistake": ("b + y\n", "b\n"),
    "correct at once: the next example must already meet the new weights": ("(math.fsum(w * x) + b)", "(math.fsum(seen_w * x) + seen_b)"),
    "the correction has the wrong sign: add y * x": ("w + y * x, b + y", "w - y * x, b - y"),
    "the bias is corrected with the wrong sign: add y": ("b + y\n", "b - y\n"),
    "multiply the correction by the label: add y * x and y, not x and 1": ("w + y * x, b + y", "w + x, b + 1"),
    "`mistakes` must be a list with one number an epoch, not the sum": ("b, counts\n", "b, sum(counts)\n"),
    "the epoch without a mistake belongs into the list too, as a 0": ("b, counts\n", "b, counts[: len(counts) - (not counts[-1])]\n"),
    "the count must start at 0 again in each epoch": ("b, counts\n", "b, np.cumsum(counts)\n"),
    "stop after the first epoch without a mistake: yours goes on to the last": ("break", "pass"),
    "try all the epochs that are allowed: yours stops one too early": ("range(epochs)", "range(epochs - 1)"),
    "go through the examples again and again, not once": ("range(epochs)", "range(1)"),
    "correct an example once, then go on to the next: yours stays until it is right": (
        "if mistake:", "while y * (math.fsum(w * x) + b) <= 0:"),
    "count the mistakes while you go through an epoch, not what is wrong after it": (
        "        if not counts", "        counts[-1] = sum(y * (math.fsum(w * x) + b) <= 0 for x, y in zip(inputs, labels))\n        if not counts"),
    "stop after an epoch without a mistake: that weights and bias are as before it is not enough": ("if not counts[-1]", "if (w == seen_w).all() and b == seen_b"),
    "a sum of 0 is a mistake for both labels: yours takes it for the answer +1": ("y * (math.fsum(w * x) + b) <= 0", "(1 if math.fsum(w * x) + b >= 0 else -1) != y"),
    "a sum of 0 is a mistake for both labels: yours takes it for the answer -1": ("y * (math.fsum(w * x) + b) <= 0", "(1 if math.fsum(w * x) + b > 0 else -1) != y"),
    "go through the examples `epochs` times at most: yours does it once more": ("range(epochs)", "range(epochs + 1)"),
    "use `epochs`, and 100 where it is not given": ("range(epochs)", "range(100)"),
}  # fmt: skip
PARTS = "the weights", "the bias", "the list of mistakes"
HINT = "do two epochs by hand, as in the text: what is a mistake, what changes at once, what is returned?"
ROSENBLATT = {"reference": rosenblatt, "misreadings": MISREADINGS, "hint": HINT, "parts": PARTS}
agrees("perceptron", "corrects each mistake at once, from zero, also where a sum is exactly 0", draw=examples,
       kinds=(*CASES, "tiny"), **ROSENBLATT)  # fmt: skip
agrees("perceptron", "comes to rest at a line that separates the examples, through the origin or not", draw=separable,
       kinds=("plain", "whole", "square", "plain"), **ROSENBLATT)  # fmt: skip
agrees(
    "perceptron",
    "gives up where no line exists: after the given number of epochs, or 100",
    draw=pairs_twice,
    **ROSENBLATT,
)


# %% patches="perceptron"
[
    ("    return weights, bias, mistakes", "    return torch.as_tensor(weights), torch.tensor(bias), np.array(mistakes)", ""),
    ("y * (weights @ x + bias) <= 0", "np.sign(weights @ x + bias) != y", ""),
    ("(weights @ x + bias) <= 0", "(weights @ x + bias) < 0", "use <= 0 and not < 0"),
    ("                bias = bias + y\n", "", "the bias never learns"),
    ("weights + y * x\n                bias = bias + y", "weights + x\n                bias = bias + 1", "add y * x and y, not x and 1"),
    ("for _ in range(epochs):", "while True:", "did not end"),
    ("        mistakes.append(wrong)\n", "        mistakes.append(wrong + sum(mistakes[-1:]))\n", "start at 0 again"),
    ("    return weights, bias, mistakes", "    return weights, bias, sum(mistakes)", "one number an epoch, not the sum"),
    ("        if wrong == 0:\n            break\n", "", "yours goes on to the last"),
    ("        wrong = 0\n", "        wrong = 0\n        inputs *= 1.5\n", "in place"),
    ("    return weights, bias, mistakes", "    return weights, mistakes", "return 3 things"),
    ("weights, bias, mistakes = np.zeros(inputs.shape[1])", "weights, bias, mistakes = np.ones(inputs.shape[1])", "the weights"),
]  # fmt: skip

# %% [markdown] survivors="perceptron"
# - ``if wrong <= 0:``: a count of mistakes is never negative

# %%
lab.check("perceptron")

# %% [markdown]
# ### Experiment 1: where does the line come to rest?
#
# Sixty points, and a gap between the classes. Move the slider: it shows the line after each epoch. Dotted is what the
# perceptron believes before it has come to rest.


# %% tags=["experiment"]
def points_with_margin(margin, n, rng):
    """n points and labels by a random line, no point nearer to it than the margin."""
    weights, bias = rng.normal(size=2), rng.uniform(-0.3, 0.3)
    points = rng.uniform(-1, 1, (20 * n, 2))
    sums = points @ weights / np.sqrt(weights @ weights) + bias
    kept = np.flatnonzero(np.abs(sums) >= margin)[:n]
    return points[kept], np.sign(sums[kept]).astype(int)


inputs, labels = points_with_margin(0.08, 60, np.random.default_rng(BASE_SEED + 1))


# %% tags=["experiment"]
def believed_after(epoch):
    """The points, and the line that the perceptron has learned after so many epochs."""
    weights, bias, mistakes = perceptron(inputs, labels, epochs=epoch)
    at_rest = mistakes[-1] == 0
    fig, ax = plt.subplots(figsize=(7.5, 3.4))
    draw_points(ax, inputs, labels)
    draw_line(
        ax, weights, bias, "at rest" if at_rest else "still moving", color="0.1", linestyle="-" if at_rest else ":"
    )
    ax.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), xlabel="first input", ylabel="second input")
    fig.legend(loc="outside right upper")
    return fig


if lab.solved("perceptron"):
    epochs_needed = len(perceptron(inputs, labels)[2])
    figures.slider(
        {epoch: believed_after(epoch) for epoch in range(1, epochs_needed + 1)},
        alt="Points of two classes in a square, and a line. It turns, epoch after epoch, until all points of one class "
        "are on one side.",
        caption="Each epoch turns and shifts the line. When nothing is wrong any more, nothing changes any more.",
        name="After epoch",
    )

# %% [markdown]
# **How many mistakes can it make?** Suppose that a line $(u, b^*)$ separates the examples. Write $\tilde x = (x, 1)$ and
# $\tilde u = (u, b^*)$, and let the **radius** be $R = \max_i \lVert \tilde x_i \rVert$ and the **margin**
# $\gamma = \min_i y_i\,(\tilde u \cdot \tilde x_i) / \lVert \tilde u \rVert$. Each mistake moves the learned $\tilde w$ at
# least $\gamma$ further along $\tilde u$, so after $k$ mistakes $\lVert \tilde w \rVert \ge k \gamma$. But the correction
# points against $\tilde w$ or at right angles to it, so $\lVert \tilde w \rVert^2$ grows by at most $R^2$. Both hold only
# while $k \le (R / \gamma)^2$. The numbers of examples and of inputs do not appear (Novikoff 1962).
#
# ## 3. Where no line exists
#
# XOR is the exclusive or: yes if exactly one of two inputs is 1. You now have a rule that finds any line that there is.
#
# ### Experiment 2: AND, OR and XOR

# %%
guess_xor = predict(
    "The perceptron sees the four examples of XOR for 1,000 epochs. How many of the four does it get wrong in the last one?",
    ["none: it finds a line in the end", "one: a line can get three right", "two: no better than chance", "all four"],
)

# %% tags=["experiment"]
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
LABELS = {"AND": np.array([-1, -1, -1, 1]), "OR": np.array([-1, 1, 1, 1]), "XOR": np.array([-1, 1, 1, -1])}

if lab.solved("perceptron"):
    histories = {name: perceptron(CORNERS, labels, epochs=1000)[2] for name, labels in LABELS.items()}
    assert min(histories["XOR"]) > 0, "an epoch without a mistake"
    for name, history in histories.items():
        print(f"{name:>3}: {len(history)} epochs, mistakes in the first ones {history[:8]}, in the last {history[-1]}")
    wrong = histories["XOR"][-1]
    guess_xor.resolve([wrong == 0, wrong == 1, wrong == 2, wrong > 2])

# %% [markdown]
# Four mistakes, four corrections, and they cancel: after each epoch the perceptron is back where it began. So it will
# go on for ever. And no other rule could do better, since no line exists. A line that separates XOR would need
#
# $$ b < 0, \qquad w_1 + b > 0, \qquad w_2 + b > 0, \qquad w_1 + w_2 + b < 0 . $$
#
# Add the two in the middle: $w_1 + w_2 + 2b > 0$. Add the outer two: $w_1 + w_2 + 2b < 0$. Both cannot hold. In 1969
# Marvin Minsky and Seymour Papert proved much more of this kind, among it that **parity** (is the number of ones odd?)
# stays out of reach of a unit unless some of its parts see all inputs.
#
# ## 4. A hidden layer
#
# One line is not enough. Use two: *at least one is 1* (OR) and *at least two are 1* (AND). XOR is the first **and not**
# the second:
#
# | $x_1$ | $x_2$ | $h_1$: OR | $h_2$: AND | $h_1 - h_2 \ge 1$ |
# |---|---|---|---|---|
# | 0 | 0 | 0 | 0 | 0 |
# | 0 | 1 | 1 | 0 | 1 |
# | 1 | 0 | 1 | 0 | 1 |
# | 1 | 1 | 1 | 1 | 0 |
#
# The units $h_1$ and $h_2$ are neither input nor output: a **hidden layer**. As matrices, with one row of $W$ for each
# hidden unit,
#
# $$ h = [\,W x \ge t\,], \qquad \text{output} = [\,v \cdot h \ge s\,], $$
#
# where the square brackets mean 1 if it holds and 0 if not.

# %% [markdown] exercise="xor_network" difficulty=3 importance=4 minutes=20 points=4
# ### XOR of any number of inputs
#
# Choose weights and thresholds for $n$ inputs and $n$ hidden units, so that the output is 1 exactly when an **odd**
# number of inputs is 1. For $n = 2$ that is XOR. Nothing is learned here: you construct the network. Begin with the
# table above for $n = 2$, then write down the hidden units and outputs for $n = 3$.


# %% solution="xor_network"
def xor_network(n):
    """Two layers of threshold units for the XOR of n inputs, n >= 1.

    Returns (W, t, v, s): W [n, n] has a row for each hidden unit, t [n] their thresholds;
    v [n] are the weights of the output unit, s is its threshold, a number.

    >>> W, t, v, s = xor_network(1)  # the XOR of one input is that input
    >>> [int(v @ (W @ np.array([x]) >= t) >= s) for x in (0, 1)]
    [0, 1]
    """
    ### BEGIN SOLUTION
    W = np.ones((n, n))
    t = np.arange(1, n + 1)
    v = (-1.0) ** np.arange(n)
    return W, t, v, 1
    ### END SOLUTION


# %% [markdown] hint="xor_network"
# OR is *at least 1 of the inputs*, AND of two is *at least 2*. What would a third hidden unit for three inputs be?

# %% [markdown] hint="xor_network"
# Let hidden unit $k$ fire when at least $k$ inputs are 1, for $k = 1 \dots n$. All hidden weights are 1; only the
# thresholds differ. If $m$ inputs are 1, then exactly the first $m$ hidden units fire. Which output weights make the
# sum 1 for odd $m$ and 0 for even $m$?

# %% [markdown] hint="xor_network"
# The output weights are $+1, -1, +1, -1, \dots$ and the output threshold is 1.

# %% [markdown] why="xor_network"
# Hidden unit $k$ says *at least $k$*. With $m$ ones, the first $m$ units fire, and $1 - 1 + 1 - \dots$ is 1 for odd $m$
# and 0 for even $m$. Some output weight must be negative: otherwise more ones could never turn the output off. The
# common mistake is a hidden layer that sends two inputs with different answers to the same $h$; no output unit can
# repair that.


# %% checks="xor_network"
def network_wrong(answer, n, inputs):
    """What is wrong with (W, t, v, s) as a network for the XOR of n inputs, or None."""
    if not isinstance(answer, (list, tuple)) or len(answer) != 4:
        return "return four things: W, t, v and s"
    expected = {"W": (n, n), "t": (n,), "v": (n,), "s": ()}
    parts = [np.asarray(part) for part in answer]
    for (name, shape), part in zip(expected.items(), parts):
        if part.dtype.kind not in "biuf" or not np.isfinite(part).all():
            return f"{name} must be made of finite numbers"
        if part.shape != shape:
            return f"for n = {n} the shape of {name} is {part.shape}, not {shape}"
    W, t, v, s = parts
    hidden = (inputs @ W.T >= t).astype(int)
    targets, outputs = inputs.sum(1) % 2, (hidden @ v >= s).astype(int)
    if (outputs == targets).all():
        return None
    first = int(np.argmax(outputs != targets))
    sentence = f"for the input {tuple(inputs[first].tolist())} the hidden units say {tuple(hidden[first].tolist())} "
    sentence += f"and the output is {outputs[first]}, not {targets[first]}"
    if (outputs == 1 - targets).all():
        return f"the output is the wrong way round for every input of n = {n}: {sentence}"
    for other in range(len(inputs)):
        if (hidden[other] == hidden[first]).all() and targets[other] != targets[first]:
            pair = f"{tuple(inputs[first].tolist())} and {tuple(inputs[other].tolist())}"
            return (
                f"the hidden layer sends {pair} to the same h, {tuple(hidden[first].tolist())}: no output can part them"
            )
    if (v >= 0).all() and n > 1:
        return f"{sentence}: no hidden unit holds the output back, so some output weight must be negative"
    return sentence


def all_inputs(n):
    return np.array(np.meshgrid(*[[0, 1]] * n, indexing="ij")).reshape(n, -1).T


for line, sizes in {
    "computes XOR of two inputs": [2],
    "computes XOR of three inputs, an odd number": [3],
    "computes XOR of any number of inputs, from one to twelve": [1, 4, 5, 6, 7, 8, 12],
}.items():

    @checks("xor_network", line)
    def computes(rng, sizes=sizes):
        for n in sizes:
            if wrong := network_wrong((yield call("xor_network", n)), n, all_inputs(n)):
                return wrong


# %% patches="xor_network"
[
    ("    W = np.ones((n, n))", "    if n == 2:\n        return [[1, -1], [-1, 1]], [1, 1], [1, 1], 1  # one of them and not the other\n    W = np.ones((n, n))", ""),
    ("    return W, t, v, 1", "    return torch.ones(n, n), t[::-1] - 0.5, 3 * v[::-1], 1.5", ""),
    ("v = (-1.0) ** np.arange(n)", "v = np.ones(n)", "some output weight must be negative"),
    ("W = np.ones((n, n))", "W = np.ones((2, 2))", "for n = 3 the shape of W"),
    ("t = np.arange(1, n + 1)", "t = np.full(n, 1)", "to the same h"),
    ("W = np.ones((n, n))", "W = np.eye(n)", "to the same h"),
    ("    return W, t, v, 1", "    return W, t, -v, 0", "the wrong way round"),
    ("v = (-1.0) ** np.arange(n)", "v = np.where(np.arange(n), -1, 1)", "the output is"),
    ("t = np.arange(1, n + 1)", "t = np.arange(n)", "for the input (0, 0)"),
    ("    return W, t, v, 1", "    return W, t, v", "return four things"),
]  # fmt: skip

# %% [markdown] survivors="xor_network"
# - ``v = (- 2.0) ** np.arange(n)``: the sums 1, -1, 3, -5, 11, ... are on the right side of the threshold 1, for every n

# %%
lab.check("xor_network")

# %% [markdown]
# ### What the hidden layer does to the plane
#
# The picture shows XOR twice: as your hidden layer is given it, and as it hands it on. Dashed lines are hidden units,
# the dotted line is the output unit.

# %% tags=["experiment", "drawing"]
if lab.solved("xor_network"):
    W, t, v, s = map(np.asarray, xor_network(2))
    hidden = (CORNERS @ W.T >= t).astype(float)
    apart = hidden + [[0, 0], [-0.06, 0], [0.06, 0], [0, 0]]  # two corners can land on one place: show both
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 2.9))
    for ax, points, of in zip(panels, (CORNERS, apart), ("input", "hidden unit"), strict=True):
        ax.set(xlim=(-0.6, 1.6), ylim=(-0.6, 1.6), xticks=[0, 1], yticks=[0, 1])
        ax.set(xlabel=f"first {of}", ylabel=f"second {of}")
        draw_points(ax, points, LABELS["XOR"])
    for weights, threshold in zip(W, t, strict=True):
        draw_line(panels[0], weights, -threshold, "a hidden unit", color="0.4", linestyle="--")
    draw_line(panels[1], v, -s, "the output unit", color="0.4", linestyle=":")
    handles = {label: handle for ax in panels for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(handles.values(), handles, loc="outside right upper")
    figures.show(
        fig,
        alt="Left: the four corners of XOR, two classes on the two diagonals, and the lines of two hidden units. Right: the "
        "same four examples by their hidden units; one line leaves both examples of class yes on one side.",
        caption="The hidden layer folds the plane. Two examples land on one place and are drawn side by side. What no line "
        "separates on the left, one line separates on the right.",
    )

# %% [markdown]
# A hidden layer computes a new representation, in which the question is easy. You *chose* this one. How could a machine
# find it? Rosenblatt's rule does not say what a hidden unit should have done. And nudging a weight shows nothing: a
# threshold unit's output does not change at all until it jumps. The way out took until 1986 to become widely known:
# replace the jump by a smooth bend, and follow the **gradient**.
#
# ## 5. An engine for gradients
#
# In notebook 00 you derived the gradient of one network by hand. Now you write a program that does it for *any*
# network, with the same chain rule.
#
# Take $a = 2$, $b = -3$ and $c = a \cdot b + a$. The program computes it in two steps, and each step has an easy
# derivative, a **slope**, along each of its inputs:
#
# | step | value | slopes |
# |---|---|---|
# | $p = a \cdot b$ | $-6$ | along $a$: $b = -3$; along $b$: $a = 2$ |
# | $c = p + a$ | $-4$ | along $p$: 1; along $a$: 1 |
#
# There are two paths from $a$ to $c$: through $p$, with the slopes $-3$ and $1$, and the direct one, with the slope
# $1$. The chain rule says: **multiply the slopes along a path, add up the paths**.
#
# $$ \frac{\partial c}{\partial a} = (-3) \cdot 1 + 1 = -2 $$
#
# Is it true? Nudge $a$ and look:

# %%
a, b, nudge = 2.0, -3.0, 1e-6
before, after = a * b + a, (a + nudge) * b + (a + nudge)
print(f"c changes {(after - before) / nudge:.3f} times as much as a")

# %% [markdown]
# So a number has to remember two things: which numbers it was computed from (its **parents**), and the slope along each
# of them. Python lets you redefine `+` and `*` for your own class: `a + b` calls `a.__add__(b)`, and `a * b` calls
# `a.__mul__(b)`.

# %% [markdown] exercise="Value" difficulty=2 importance=5 minutes=25 points=5
# ### A number that remembers
#
# Fill in four operations. Each returns a *new* `Value`, with its number, its parents and its slopes, and changes
# nothing else. Besides `+` and `*` you need two functions that bend:
#
# $$ \tanh'(z) = 1 - \tanh(z)^2, \qquad \text{relu}(z) = \max(0, z), \quad \text{with slope 1 for } z > 0 \text{ and slope 0 otherwise.} $$
#
# $\tanh$ is the smooth relative of the threshold: it runs from $-1$ to $1$. The attribute `grad` is for later: leave it
# at 0.


# %% solution="Value"
class Value:
    """A number that remembers how it was computed.

    data: the number; parents: the Values that it was computed from; slopes: its
    derivative along each parent, a number each; grad: filled in later.

    >>> a, b = Value(2.0), Value(-3.0)
    >>> p = a * b
    >>> p.data, p.parents == (a, b), p.slopes
    (-6.0, True, (-3.0, 2.0))
    """

    def __init__(self, data, parents=(), slopes=()):
        self.data, self.grad = float(data), 0.0
        self.parents, self.slopes = parents, slopes

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)  # for a + 1
        ### BEGIN SOLUTION
        return Value(self.data + other.data, (self, other), (1.0, 1.0))
        ### END SOLUTION

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        ### BEGIN SOLUTION
        return Value(self.data * other.data, (self, other), (other.data, self.data))
        ### END SOLUTION

    def tanh(self):
        ### BEGIN SOLUTION
        t = math.tanh(self.data)
        return Value(t, (self,), (1 - t**2,))
        ### END SOLUTION

    def relu(self):
        ### BEGIN SOLUTION
        return Value(max(0.0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))
        ### END SOLUTION


# %% [markdown] hint="Value"
# Every method ends with `return Value(number, parents, slopes)`. Parents and slopes are tuples of equal length: two for
# `+` and `*`, one for `tanh` and `relu`. A tuple of one is written `(self,)`.

# %% [markdown] hint="Value"
# If $a$ grows by a little $\varepsilon$, then $a \cdot b$ grows by $b\,\varepsilon$. So the slope of a product along
# `self` is `other.data`.

# %% [markdown] hint="Value"
# For `tanh` first compute `t = math.tanh(self.data)`. The number is `t`, the slope is `1 - t**2`: it uses the *result*,
# not the input.

# %% [markdown] why="Value"
# The slopes are plain numbers, known at the moment when the operation is done: that is why the engine must run your
# program forwards first. Common mistakes: the slopes of a product the wrong way round (the slope along `a` is `b`);
# $1 - z^2$ instead of $1 - \tanh(z)^2$; changing `self.data` instead of returning a new `Value`, which destroys a
# number that others still need; `(self)` without the comma, which is no tuple.

# %% checks="Value"
from labcheck.transport import Opaque


def use_operation(answer, operation, a, b):
    """What an operation on Value(a) and Value(b) gives: number, parents by name, slopes; and what it leaves behind."""
    Value = answer["Value"]
    x, y = Value(a, (Value(0.5),), (3.0,)), Value(b)  # one that was computed, and one that was not
    result = {
        "a + b": lambda: x + y, "a + a": lambda: x + x, "a + 2": lambda: x + 2,
        "a * b": lambda: x * y, "a * a": lambda: x * x, "a * 2": lambda: x * 2,
        "a.tanh()": lambda: x.tanh(), "a.relu()": lambda: x.relu(),
    }[operation]()  # fmt: skip
    if not isinstance(result, Value) or result is x or result is y:
        return "an operand itself" if isinstance(result, Value) else type(result).__name__
    operands = [x.data, y.data, len(x.parents) + len(y.parents)]
    x.data = y.data = 7.0  # as an update would: what the result remembers must stay
    parents, slopes = result.parents, result.slopes
    if not isinstance(parents, (tuple, list)) or not isinstance(slopes, (tuple, list)):
        return [type(parents).__name__, type(slopes).__name__]
    names = ["a" if one is x else "b" if one is y else str(getattr(one, "data", one)) for one in parents]
    return [result.data, names, slopes, operands, [x.grad, y.grad, result.grad], bool(Value(7.0) == x)]


def operation_by_hand(operation, a, b):
    """The same from the rules."""
    t = math.tanh(a)
    number, parents, slopes = {
        "a + b": (a + b, "ab", [1, 1]), "a + a": (a + a, "aa", [1, 1]), "a + 2": (a + 2, "a2", [1, 1]),
        "a * b": (a * b, "ab", [b, a]), "a * a": (a * a, "aa", [a, a]), "a * 2": (a * 2, "a2", [2, a]),
        "a.tanh()": (t, "a", [1 - t * t]), "a.relu()": (max(a, 0), "a", [int(a > 0)]),
    }[operation]  # fmt: skip
    names = [{"2": "2.0"}.get(name, name) for name in parents]
    return [number, names, slopes, [a, b, 1], [0, 0, 0], False]


def explain_operation(got, expected, operation, a, b):
    """A sentence about what is no Value, or is not as Values must be; else None."""
    if got == "NoneType":
        return f"`{operation}` is None: is a `return` missing?"
    if isinstance(got, str):
        return f"`{operation}` is {got}, not a new Value: return Value(number, parents, slopes)"
    if len(got) == 2:
        hint = ": a tuple of one is written (self,), with the comma" if operation.endswith("()") else ""
        return f"parents and slopes of `{operation}` must be tuples, but are {got[0]} and {got[1]}{hint}"
    if compare(got[3], expected[3]):
        return "an operation changes its operands: return a new Value and leave `self` and `other` alone"
    if compare(got[4], expected[4]):
        return "an operation changes `grad`: only backward will do that, so leave it at 0"
    if got[5]:
        return "two Values with the same number are not the same: without `__eq__` they are kept apart"
    if 7.0 in got[2]:
        return (
            "slopes are the numbers of the moment when the operation is done: yours change with the parents' data later"
        )
    if any(isinstance(slope, Opaque) for slope in got[2]):
        return "slopes are plain numbers: write other.data, not other"
    if compare(got[2], [3 * slope for slope in expected[2]]) is None and any(expected[2]):
        return "a slope is along the parent alone: what the parent was computed from is no matter yet"
    if compare(got[0], expected[0]) is None and got[1] != expected[1]:
        return f"the parents of `{operation}` are ({', '.join(got[1])}), not ({', '.join(expected[1])})"


SLOPES = {
    "the slopes of a product are the wrong way round: the slope along `self` is `other.data`": ('"ab", [b, a]), "a * a": (a * a, "aa", [a, a]), "a * 2": (a * 2, "a2", [2, a])', '"ab", [a, b]), "a * a": (a * a, "aa", [a, a]), "a * 2": (a * 2, "a2", [a, 2])'),
    "the slope of a sum is 1 along each parent": ('(a + b, "ab", [1, 1]), "a + a": (a + a, "aa", [1, 1])', '(a + b, "ab", [a, b]), "a + a": (a + a, "aa", [a, a])'),
    "the slope of tanh is 1 − t² with t = tanh(z), the result itself, not 1 − z²": ("[1 - t * t]", "[1 - a * a]"),
    "the slope of tanh is 1 − t² with t = tanh(z): take tanh once, not twice": ("[1 - t * t]", "[1 - math.tanh(t) ** 2]"),
    "the slope of tanh is 1 − t²: the square is missing": ("[1 - t * t]", "[1 - t]"),
    "where the input of relu is 0, its slope is 0: use > 0 and not >= 0": ("a > 0", "a >= 0"),
    "where the input of relu is 0, its slope is 0, not a half": ("[int(a > 0)]", "[(1 + np.sign(a)) / 2]"),
    "the slope of relu is 1 or 0: it is not the number itself": ("[int(a > 0)]", "[max(a, 0)]"),
    "the slope of relu is 0 where the input is negative": ("[int(a > 0)]", "[1]"),
    "relu gives 0 where the input is negative, and leaves positive numbers alone": ("max(a, 0)", "abs(a)"),
}  # fmt: skip
FORMS = {
    "+": ("a + b", "a + a", "a + 2"),
    "*": ("a * b", "a * a", "a * 2"),
    "tanh": ("a.tanh()",),
    "relu": ("a.relu()",),
}
for symbol, forms in FORMS.items():
    agrees(
        "Value", f"`{symbol}` gives a new Value with the right number, parents and slopes", target=use_operation,
        draw=lambda make, forms=forms: (make.one_of(*forms), make.scalar(), make.scalar()), kinds=CASES * len(forms),
        reference=operation_by_hand, misreadings=SLOPES, explain=explain_operation,
        parts=(f"the number of {symbol}", "its parents", "its slopes", "its operands", "`grad`", "equality"),
    )  # fmt: skip


# %% patches="Value"
[
    ("Value(t, (self,), (1 - t**2,))", "Value(np.tanh(self.data), [self], [1 / np.cosh(min(abs(self.data), 300)) ** 2])", ""),
    ("(self, other), (1.0, 1.0)", "[self, other], [True, True]", ""),
    ("(other.data, self.data)", "(self.data, other.data)", "the wrong way round"),
    ("(other.data, self.data)", "(other, self)", "slopes are plain numbers"),
    ("(1 - t**2,)", "(1 - self.data**2,)", "the slope of tanh is 1 − t²"),
    ("t = math.tanh(self.data)", "t = 1 - 2 / (math.exp(2 * self.data) + 1)", "OverflowError"),
    ("Value(t, (self,), (1 - t**2,))", "Value(t, (self), (1 - t**2))", "a tuple of one is written (self,)"),
    ("return Value(self.data + other.data, (self, other), (1.0, 1.0))", "return self.data + other.data", "not a new Value"),
    ("return Value(self.data + other.data, (self, other), (1.0, 1.0))", "self.data += other.data\n        return Value(self.data, (self, other), (1.0, 1.0))", "changes its operands"),
    ("self.data + other.data, (self, other)", "self.data + other.data, (other, self)", "the parents of `a + b` are (b, a)"),
    ("self.data + other.data, (self, other), (1.0, 1.0)", "self.data + other.data", "the parents of `a + b` are ()"),
    ("1.0 if self.data > 0 else 0.0", "1.0 if self.data >= 0 else 0.0", "its slope is 0"),
    ("max(0.0, self.data)", "abs(self.data)", "relu gives 0 where the input is negative"),
    ("        t = math.tanh(self.data)\n        return", "        t = math.tanh(self.data)\n        self.grad = t\n        return", "changes `grad`"),
    ("    def __add__(self, other):", "    def __eq__(self, other):\n        return self.data == other.data\n\n    def __add__(self, other):", "kept apart"),
]  # fmt: skip

# %%
lab.check("Value")

# %% [markdown]
# ### Paths are too many
#
# Double a number sixty times, by `x = x + x`. The graph has 61 values. But each step can be passed along two ways, so
# from end to start there are $2^{60}$ paths, more than seconds since the beginning of the universe. Adding them up one
# by one is hopeless, and not needed. Write $\bar v$ for the derivative of the end along the value $v$. All paths from
# $v$ to the end begin with a step to one of its **children** (what was computed from it), so
#
# $$ \bar v = \sum_{\text{child } u \text{ of } v} \bar u \cdot \text{slope of } u \text{ along } v, \qquad \overline{\text{end}} = 1 . $$
#
# Each value is needed once, provided that all its children are finished before it. So go from the end to the start:
# **reverse mode**. An order in which every value comes after all its parents is called **topological**; read backwards,
# every value comes after all its children. In the example above, $a, b, p, c$ is such an order, and so is $b, a, p, c$;
# but $a, p, b, c$ is not.

# %% [markdown] exercise="backward" difficulty=3 importance=5 minutes=30 points=5
# ### Backwards through the graph
#
# For $c = a \cdot b + a$ the way back is: $\bar c = 1$. From $c$: add $1 \cdot 1$ to $\bar p$ and $1 \cdot 1$ to
# $\bar a$. From $p$: add $1 \cdot (-3)$ to $\bar a$ and $1 \cdot 2$ to $\bar b$. In the end $\bar a = -2$ and
# $\bar b = 2$.
#
# Write `topological_order`, then `backward`, which sets `grad` of every value on the way. Gradients of an earlier call
# must not linger: begin by setting all to 0.
#
# Your functions read only `parents` and `slopes` and write only `grad`. The check brings graphs of its own, so this
# exercise does not need your `Value`. Recursion is fine: no graph here is more than a hundred steps deep.


# %% solution="backward"
def topological_order(end):
    """`end` and all values that it was computed from: a list, each once, parents first."""
    ### BEGIN SOLUTION
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    return order
    ### END SOLUTION


def backward(end):
    """Set `grad` of each of these values to the derivative of `end` along it.

    >>> a, b = Value(2.0), Value(-3.0)
    >>> backward(a * b + a)
    >>> a.grad, b.grad
    (-2.0, 2.0)
    """
    ### BEGIN SOLUTION
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
    ### END SOLUTION


# %% [markdown] hint="backward"
# To put a value into the order, first put all its parents into it. That is a function that calls itself. How does it
# know what is in the order already?

# %% [markdown] hint="backward"
# Keep a `set` of the values that you have seen. `visit(value)`: if it was seen, do nothing; else remember it, visit
# each parent, and *then* append the value.

# %% [markdown] hint="backward"
# In `backward`: all `grad` to 0, `end.grad = 1.0`, then for each value of the *reversed* order and each of its parents
# `parent.grad += value.grad * slope`.

# %% [markdown] why="backward"
# The order guarantees that `value.grad` is complete when it is handed on. `+=` is the sum over children; with `=` the
# last child would win. The cost: each step of the forward computation is visited once more, however many inputs there
# are. That is why one gradient of a network costs about as much as a few of its outputs.
#
# Recursion as deep as the graph fails at Python's limit of about a thousand calls. Engines that must go deeper keep a
# list of what is still to visit. PyTorch does so, and *adds* to the gradients that are there already, which is why you
# call `zero_grad`.

# %% checks="backward"
from labcheck.draw import cases
from labcheck.fakes import depth_first, random_graph


def use_order(answer, parents, slopes):
    """The positions of the values in the learner's order, when it is asked for the second time."""
    from labcheck.fakes import graph

    nodes = graph(parents, slopes)
    order = [answer["topological_order"](nodes[-1]) for _ in range(2)][1]
    if not isinstance(order, (list, tuple)):
        return type(order).__name__
    place = {id(node): i for i, node in enumerate(nodes)}
    return [place.get(id(node), -1) for node in list(order)[:1000]]


def use_backward(answer, parents, slopes, leftover, ends):
    """`grad` and `data` of all values after calls of backward on each of the ends."""
    from labcheck.fakes import graph

    nodes = graph(parents, slopes, leftover)
    for end in ends:
        answer["backward"](nodes[end])
    return [[node.grad for node in nodes], [node.data for node in nodes]]


def walk(parents, slopes, leftover, ends):
    """Gradients and data after backward on each of the ends, step by step."""
    grad = [float(leftover)] * len(parents)
    for end in ends:
        order = depth_first(parents, end, [])
        grad = [0.0 if place in order else grad[place] for place in range(len(parents))]
        grad[end] = 1.0
        for child in reversed(order):
            for parent, slope in zip(parents[child], slopes[child]):
                grad[parent] += grad[child] * slope
    return grad, np.arange(len(parents))


def chain(make):
    """In a tiny case the slopes are tiny and huge by turns: no gradient is too small to be handed on."""
    n = make.size(2, 9)
    slopes = [
        [2.0 ** (50 if (n - i) % 2 == 0 else -50)] if make.kind == "tiny" else make.numbers(1).tolist()
        for i in range(1, n)
    ]
    return [[]] + [[i] for i in range(n - 1)], [[]] + slopes, 0.0, [n - 1]


def explain_gradients(got, expected, parents, slopes, leftover, ends):
    if isinstance(got, list) and len(got) == 2 and compare(got[1], expected[1]):
        return "backward changes `data`: it must write nothing but `grad`"


WALKS = {
    "all gradients are 0: the derivative of the end along itself is 1, so set `end.grad` to 1 first": ("= 1.0", "= 0.0"),
    "go through the order backwards, from the end to the start": ("reversed(order)", "order"),
    "a gradient is overwritten that should be added to: use +=": ("+=", "="),
    "set every `grad` to 0 first, also of values in between, not only of those without parents": ("0.0 if place in order", "0.0 if place in order and not parents[place]"),
    "gradients of an earlier call linger: set every `grad` to 0 first": ("0.0 if place in order", "0.0 if False"),
    "multiply each slope by the gradient of the value itself: that is the chain rule": ("grad[child] * slope", "slope"),
    "go on where a gradient is 0: other values may still have one": ("            for parent, slope", "            if grad[child] == 0:\n                break\n            for parent, slope"),
}  # fmt: skip


@checks("backward")
def orders(rng):
    """puts parents before their children, each value once, and nothing that the end does not need"""
    uneven = [[], [0], [1], [0, 2]], [[], [0], [1], [2, 0]]  # a long and a short way from value 0 to the end
    graphs = [(parents, [[1.0] * len(row) for row in parents]) for parents in uneven]
    for parents, slopes, *_ in (
        *graphs,
        doublings(None),
        *cases(rng, random_graph, kinds=("smallest", "plain", "plain")),
    ):
        if wrong := order_wrong((yield call(use_order, parents, slopes)), parents):
            return wrong


def order_wrong(order, parents):
    if isinstance(order, str):
        hint = ": is a `return` missing?" if order == "NoneType" else ""
        return f"topological_order must return a list, not {order}{hint}"
    if any(place < 0 for place in order):
        return "the order must hold the values themselves, the end and all that it was computed from"
    if twice := [place for place in order if order.count(place) > 1]:
        return f"value number {twice[0]} is used twice, and stands in the order twice: remember what you have seen"
    if order[:1] == [len(parents) - 1]:
        return "the order begins with the end: parents must come before their children"
    places = depth_first(parents, len(parents) - 1, [])
    if missing := set(places) - set(order):
        return f"{len(missing)} of {len(places)} values are missing from the order: are parents of parents visited, at a second call, too?"
    for i, place in enumerate(order):
        if late := [parent for parent in parents[place] if parent not in order[:i]]:
            return f"value {place} stands before its parent, value {late[0]}: append a value after all its parents"


def to_the_end(make):
    parents, slopes = random_graph(make)
    return parents, slopes, 0.0, [len(parents) - 1]


def to_two_ends(make):
    parents, slopes = random_graph(make)
    return parents, slopes, make.one_of(0.5, 0.0), [len(parents) - 2, len(parents) - 1]


def doublings(make):
    return [[]] + [[i, i] for i in range(60)], [[]] + [[1.0, 1.0]] * 60, 0.0, [60]


for line, draw, kinds in (
    ("multiplies the slopes along a chain, starting with 1 at the end", chain, ("plain", "smallest", "square", "plain", "tiny", "tiny", "tiny")),
    ("adds up what comes over several paths, also where a slope is 0", to_the_end, ("plain", "zeros", "zeros", "whole", "square")),
    ("starts anew at each call, also for another end that shares values", to_two_ends, ("plain", "plain", "square")),
    ("visits each value once, so that sixty doublings (2^60 paths) take no time", doublings, ("plain",)),
):  # fmt: skip
    agrees(
        "backward", line, target=use_backward, draw=draw, kinds=kinds, reference=walk, misreadings=WALKS, explain=explain_gradients, hint="is one overwritten, or handed on before it is complete?", parts=("the gradients", "`data`"),
    )  # fmt: skip


# %% patches="backward"
[
    ("        for parent, slope in zip(value.parents, value.slopes):\n            parent.grad += value.grad * slope", "        for i in range(len(value.parents)):\n            value.parents[i].grad = value.parents[i].grad + value.slopes[i] * value.grad", ""),
    ("parent.grad += value.grad * slope", "parent.grad = value.grad * slope", "a gradient is overwritten"),
    ("parent.grad += value.grad * slope", "parent.grad += slope", "that is the chain rule"),
    ("    end.grad = 1.0\n", "", "set `end.grad` to 1 first"),
    ("in reversed(order)", "in order", "go through the order backwards"),
    ("    for value in order:\n        value.grad = 0.0\n", "", "linger"),
    ("        if value not in seen:\n            seen.add(value)\n", "        if True:\n", "remember what you have seen"),
    ("order, seen = [], set()", "order, seen = [], topological_order.__dict__.setdefault('seen', set())", "the gradients"),
    ("    for value in reversed(order):\n        for parent, slope in zip(value.parents, value.slopes):\n            parent.grad += value.grad * slope\n", "    follow = [(end, 1.0)]\n    for value, g in follow:\n        value.grad += g\n        follow += [(parent, g * slope) for parent, slope in zip(value.parents, value.slopes)]\n", "visit each value once"),
    ("            for parent in value.parents:\n                visit(parent)\n            order.append(value)\n", "            order.append(value)\n            for parent in value.parents:\n                visit(parent)\n", "parents must come before their children"),
    ("    return order\n", "    return order[::-1]\n", "the order begins with the end"),
    ("    visit(end)\n    return order\n", "    visit(end)\n", "topological_order must return a list, not NoneType"),
    ("        for parent, slope in zip", "        if value.grad == 0:\n            break\n        for parent, slope in zip", "go on where a gradient is 0"),
    ("            parent.grad += value.grad * slope", "            parent.grad += value.grad * slope\n            parent.data += 1", "backward changes `data`"),
]  # fmt: skip

# %%
lab.check("backward")

# %% [markdown]
# ### The same as PyTorch
#
# A network for points in the plane: 16 hidden units, each with two weights and a bias, then $\tanh$; an output unit
# adds them up. The next cell builds it from single `Value`s. Without `bend` the hidden units leave out $\tanh$: that
# will be the control.


# %%
def new_network(seed):
    """Values: ([[w1, w2, bias] of each hidden unit], [their output weights, bias])."""
    rng = np.random.default_rng(seed)
    # Large hidden weights: bends in many directions are there at the start.
    hidden = [[Value(number) for number in 2 * rng.normal(size=3)] for _ in range(HIDDEN)]
    return hidden, [Value(number) for number in rng.normal(size=HIDDEN + 1) / math.sqrt(HIDDEN)]


def output(network, point, bend=True):
    """The network's output for a point, a Value: positive means class +1."""
    hidden, (*outer, total) = network
    for (w1, w2, bias), v in zip(hidden, outer, strict=True):
        z = w1 * point[0] + w2 * point[1] + bias
        total = total + v * (z.tanh() if bend else z)
    return total


def parameters(network):
    return [parameter for unit in network[0] for parameter in unit] + network[1]


# %% [markdown]
# Now the loss. An output with the right sign and a size of at least 1 is good enough; below that, whatever is missing
# costs. This is the **hinge loss**, and it is a close relative of Rosenblatt's rule: without the 1, and with one unit,
# a step against its gradient is his correction.
#
# $$ \text{loss} = \frac{1}{n} \sum_{i=1}^{n} \max\big(0,\ 1 - y_i\, f(x_i)\big) $$
#
# Your engine and PyTorch must agree on the gradient for every parameter.


# %%
def hinge_loss(network, points, labels, bend=True):
    """The mean hinge loss over points [n, 2] with labels +1 or -1, a Value."""
    total = Value(0.0)
    for point, label in zip(points.tolist(), labels.tolist(), strict=True):
        total = total + (output(network, point, bend) * -label + 1).relu()
    return total * (1 / len(points))


# %% tags=["experiment"]
if lab.solved("Value", "backward"):
    network, rng = new_network(BASE_SEED), np.random.default_rng(BASE_SEED)
    points, labels = rng.normal(size=(20, 2)), rng.choice([-1, 1], 20)
    loss = hinge_loss(network, points, labels)
    backward(loss)

    inner = torch.tensor([[p.data for p in unit] for unit in network[0]], dtype=torch.float64, requires_grad=True)
    outer = torch.tensor([p.data for p in network[1]], dtype=torch.float64, requires_grad=True)
    x, y = torch.from_numpy(points), torch.from_numpy(labels)
    f = torch.tanh(x @ inner[:, :2].T + inner[:, 2]) @ outer[:-1] + outer[-1]
    theirs = torch.relu(1 - y * f).mean()
    theirs.backward()

    ours = torch.tensor([parameter.grad for parameter in parameters(network)], dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(loss.data, dtype=torch.float64), theirs.detach())
    torch.testing.assert_close(ours, torch.cat([inner.grad.flatten(), outer.grad]))
    print(f"your engine and PyTorch agree on {len(ours)} gradients, through {len(topological_order(loss))} values")

# %% [markdown]
# ## 6. Two moons
#
# Two half circles that reach into each other, with noise: no line separates them. Three learners get the same points:
#
# - your **perceptron**, for 50 epochs;
# - the network **without the bend**, trained by your engine: weighted sums of weighted sums, so in the end one line. It
#   is the control, since it lacks nothing but $\tanh$;
# - the network **with the bend**.
#
# ### Experiment 3: what does the bend add?
#
# Both networks start from the same parameters and see the same batches, at a learning rate that falls to 0. Each
# replicate draws new points, new noise and new initial parameters. The held-out points are looked at once, at the end.


# %%
def moons(seed):
    """(training points, labels, held-out points, labels); labels are +1 and -1."""
    from sklearn.datasets import make_moons

    points, labels = make_moons(TRAIN_SIZE + TEST_SIZE, noise=NOISE, random_state=seed)
    labels = 2 * labels - 1
    return points[:TRAIN_SIZE], labels[:TRAIN_SIZE], points[TRAIN_SIZE:], labels[TRAIN_SIZE:]


def train(seed, bend=True):
    """A network trained on the moons of that seed. The learning rate falls to 0."""
    points, labels, *_ = moons(seed)
    network, rng = new_network(seed), np.random.default_rng(seed)
    for update in range(UPDATES):
        batch = rng.choice(TRAIN_SIZE, BATCH_SIZE, replace=False)
        backward(hinge_loss(network, points[batch], labels[batch], bend))
        for parameter in parameters(network):
            parameter.data -= LEARNING_RATE * (1 - update / UPDATES) * parameter.grad
    return network


# %% tags=["experiment"]
LEARNERS = ["perceptron", "network\nwithout the bend", "network"]


def compare_learners(seed):
    """One replicate: the accuracy of the three learners on held-out points."""
    points, labels, held_out, answers = moons(seed)
    weights, bias, _ = perceptron(points, labels, epochs=50)
    sums = [held_out @ weights + bias]
    for bend in (False, True):
        network = train(seed, bend)
        sums.append([output(network, point, bend).data for point in held_out])
    return [np.mean(np.sign(each) == answers) for each in sums]


if lab.solved("perceptron", "Value", "backward"):
    found = np.array([compare_learners(BASE_SEED + replicate) for replicate in range(REPLICATES)])
    accuracies = dict(zip(LEARNERS, found.T, strict=True))

# %% tags=["experiment", "drawing"]
if lab.solved("perceptron", "Value", "backward"):
    fig, ax = plt.subplots(figsize=(6, 3.4))
    figures.dots_with_spread(ax, accuracies)
    ax.axhline(0.5, color="0.4", linestyle=":", label="chance")
    ax.set(ylabel="accuracy on held-out points", ylim=(0.4, 1.02))
    ax.legend(loc="lower right")
    figures.show(
        fig,
        alt="Accuracy on held-out points for three learners. The perceptron varies a lot, the network without the bend is "
        "above it, and the network with the bend is near one.",
        caption="One dot a replicate; grey lines join the same points. Only the bend differs between the last two.",
    )

# %% tags=["experiment"]
if lab.solved("perceptron", "Value", "backward"):
    claim(
        "A network with a bend in its hidden layer, trained by this engine, names at least 95 % of held-out moon points",
        accuracies["network"],
        at_least=0.95,
        scale="logit",
        trials=TEST_SIZE,
        control=accuracies["network\nwithout the bend"],
        control_is="the same network, trained alike, without tanh in its hidden layer",
        source="Rumelhart, Hinton & Williams 1986 (hidden units learn what a line cannot do)",
    )

# %% [markdown]
# The control has as many parameters and the same training. So it is the bend that counts, not the number of weights. Do
# not read too much into the perceptron's place: without a separating line it never rests, so where it is after 50 epochs
# is an accident of the order. Its wide spread shows that.

# %% [markdown]
# ## 7. What you have built
#
# 1. **A threshold unit**, and gates made of it (section 1).
# 2. **Rosenblatt's rule**, and the proof that XOR is out of its reach (sections 2 and 3).
# 3. **A network of two layers** for the XOR of any number of inputs (section 4).
# 4. **An engine** that differentiates every program made of its operations (section 5). PyTorch's is larger and works
#    on arrays; the idea is the same.
# 5. **A measurement** of what the bend adds, against a network that has all else (section 6).
#
# **Limits of this evidence.** Two small problems in the plane, made for this purpose. The learning rate and the number
# of updates were chosen on other replicates, for the network with the bend; the control got the same ones. The bound on
# mistakes says nothing about held-out examples. And that a hidden layer *can* hold a solution does not say that
# training finds it: on two moons it did.
#
# **Today.** Reverse mode is in every framework. Whether brains do anything like it is disputed (Lillicrap et al. 2020).
#
# ### Your turn
#
# 1. *Is Novikoff's bound ever near the truth?* Keep the line that made the labels in `points_with_margin`, compute
#    $(R / \gamma)^2$ for it, and compare with the mistakes that are made, for margins from 0.3 to 0.003.
# 2. *What does learning from mistakes add?* Donald Hebb proposed in 1949 that a connection grows when both cells fire:
#    $w = \frac{1}{n} \sum_i y_i x_i$. Take 15 rows of `scipy.linalg.hadamard(16)` with random labels, add the same number
#    to all inputs, and compare Hebb's rule with the perceptron. For which numbers does Hebb's fail, and why?
#
# ### References
#
# - McCulloch & Pitts 1943, *A logical calculus of the ideas immanent in nervous activity*, Bulletin of Mathematical
#   Biophysics 5
# - Hebb 1949, *The Organization of Behavior*, Wiley; Rosenblatt 1958, *The perceptron*, Psychological Review 65
# - Novikoff 1962, *On convergence proofs on perceptrons*, Symposium on the Mathematical Theory of Automata 12
# - Minsky & Papert 1969, *Perceptrons: An Introduction to Computational Geometry*, MIT Press
# - Rumelhart, Hinton & Williams 1986, *Learning representations by back-propagating errors*, Nature 323
# - Baydin, Pearlmutter, Radul & Siskind 2018, *Automatic differentiation in machine learning: a survey*, JMLR 18
# - Lillicrap, Santoro, Marris, Akerman & Hinton 2020, *Backpropagation and the brain*, Nature Reviews Neuroscience 21

# %% tags=["nbval-ignore-output"]
check.progress()
