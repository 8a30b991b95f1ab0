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
from scipy.linalg import hadamard
from sklearn.datasets import make_moons

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
MOMENTUM_UPDATES = 100  # of the comparison with and without momentum

# %% [markdown]
# Two small helpers for figures: one marks the points of two classes, one draws the line on which a unit is undecided.


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
    """(weights, threshold) of a unit that computes "AND" or "OR" of two inputs, or "NOT" of one.

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


def unit_differs(got, inputs, weights, threshold):
    """What is wrong with the outputs of a unit, or None."""
    sums = np.array([sum(w * x for w, x in zip(weights, row)) for row in inputs])
    expected = np.array([1 if total >= threshold else 0 for total in sums])
    if not (wrong := compare(got, expected, "the output")):
        return None
    mistakes = [
        (sums, "that is the weighted sum itself: compare it with the threshold"),
        (2 * expected - 1, "the outputs are −1 and 1: a threshold unit gives 0 and 1"),
        (1 - expected, "the outputs are the wrong way round: fire when the sum reaches the threshold"),
        (sums > threshold, "a sum equal to the threshold must fire: use >= and not >"),
        (inputs.sum(1) >= threshold, "each input must be multiplied by its weight before you add"),
        (inputs @ np.abs(weights) >= threshold, "a negative weight must lower the sum"),
        (inputs @ weights >= 0, "compare the sum with the threshold, not with 0"),
    ]
    if inputs.shape[0] == inputs.shape[1]:
        mistakes.append((weights @ inputs >= threshold, "the product runs over the wrong axis: use inputs @ weights"))
    return next((sentence for other, sentence in mistakes if compare(got, other) is None), wrong)


@checks("threshold_unit")
def fires(rng):
    """fires when the weighted sum reaches the threshold, for negative weights too"""
    for n, d in ((40, 3), (30, 6), (7, 7)):
        inputs, weights = rng.normal(size=(n, d)), rng.normal(size=d)
        threshold = float(rng.normal())
        if wrong := unit_differs(
            (yield call("threshold_unit", inputs, weights, threshold)), inputs, weights, threshold
        ):
            return wrong


@checks("threshold_unit")
def fires_at_the_threshold(rng):
    """fires on a sum that is equal to the threshold"""
    for d in (2, 5):
        inputs, weights = rng.integers(0, 2, (50, d)), rng.integers(1, 3, d)
        threshold = int((inputs @ weights)[rng.integers(50)])
        if wrong := unit_differs(
            (yield call("threshold_unit", inputs, weights, threshold)), inputs, weights, threshold
        ):
            return wrong


@checks("threshold_unit")
def one_output_a_row(rng):
    """gives one output a row, also for a single row or a single input"""
    for n, d in ((1, 4), (9, 1), (1, 1)):
        inputs, weights = rng.normal(size=(n, d)), rng.normal(size=d)
        if wrong := unit_differs((yield call("threshold_unit", inputs, weights, 0.1)), inputs, weights, 0.1):
            return wrong


@checks("threshold_unit")
def gates_decide(rng):
    """the gates AND, OR and NOT give their truth tables"""
    tables = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "NOT": [1, 0]}
    for name in rng.permutation(list(tables)):
        answer = yield call("gate", str(name))
        if not isinstance(answer, (list, tuple)) or len(answer) != 2:
            return f'gate("{name}") must return a pair (weights, threshold)'
        inputs = np.array([[0], [1]]) if name == "NOT" else np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        weights, threshold = np.asarray(answer[0]), answer[1]
        if weights.shape != (inputs.shape[1],):
            return f'the weights of gate("{name}") must be a list of {inputs.shape[1]}, one an input'
        for x, expected in zip(inputs, tables[name]):
            total = weights @ x
            if (total >= threshold) != bool(expected):
                where = " and ".join(map(str, x))
                verb = "reaches" if total >= threshold else "does not reach"
                return f"{name} of {where} is {expected}, but the sum {total:g} {verb} the threshold {threshold:g}"


# %% right="threshold_unit"
def threshold_unit(inputs, weights, threshold):
    outputs = []
    for row in inputs:
        total = 0.0
        for w, x in zip(weights, row):
            total += w * x
        outputs.append(1 if total >= threshold else 0)
    return outputs


def gate(name):
    if name == "NOT":
        return (-2.0,), -0.5
    return [1.0, 1.0], 1.5 if name == "AND" else 0.5


# %% right="threshold_unit"
def threshold_unit(inputs, weights, threshold):
    return np.where((np.asarray(weights) * inputs).sum(axis=1) < threshold, 0.0, 1.0)


def gate(name):
    return {"AND": (np.array([2, 3]), 5), "OR": (np.array([4, 1]), 1), "NOT": (np.array([-1]), 0)}[name]


# %% wrong="threshold_unit" message="use >= and not >"
def threshold_unit(inputs, weights, threshold):
    return (inputs @ weights > threshold).astype(int)


def gate(name):
    return {"AND": ([1, 1], 1.5), "OR": ([1, 1], 0.5), "NOT": ([-1], -0.5)}[name]


# %% wrong="threshold_unit" message="0 and 1"
def threshold_unit(inputs, weights, threshold):
    return np.where(inputs @ weights >= threshold, 1, -1)


def gate(name):
    return {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)}[name]


# %% wrong="threshold_unit" message="the weighted sum itself"
def threshold_unit(inputs, weights, threshold):
    return inputs @ weights


def gate(name):
    return {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)}[name]


# %% wrong="threshold_unit" message="multiplied by its weight"
def threshold_unit(inputs, weights, threshold):
    return (inputs.sum(axis=1) >= threshold).astype(int)


def gate(name):
    return {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)}[name]


# %% wrong="threshold_unit" message="in place"
def threshold_unit(inputs, weights, threshold):
    inputs *= weights
    return (inputs.sum(axis=1) >= threshold).astype(int)


def gate(name):
    return {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)}[name]


# %% wrong="threshold_unit" message="one number came back for several"
def threshold_unit(inputs, weights, threshold):
    return int((inputs @ weights).sum() >= threshold)


def gate(name):
    return {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)}[name]


# %% wrong="threshold_unit" message="AND of 0 and 1 is 0, but the sum 1 reaches the threshold"
def threshold_unit(inputs, weights, threshold):
    return (inputs @ weights >= threshold).astype(int)


def gate(name):
    return {"AND": ([1, 1], 1), "OR": ([1, 1], 1), "NOT": ([-1], 0)}[name]


# %% wrong="threshold_unit" message="NOT of 0 is 1"
def threshold_unit(inputs, weights, threshold):
    return (inputs @ weights >= threshold).astype(int)


def gate(name):
    return {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([1], 1)}[name]


# %% [markdown] survivors="threshold_unit"
# - ``gates = {"AND": ([1, 1], 2), "OR": ([ 2, 1], 1), "NOT": ([-1], 0)}``: one input that is 1 still reaches 1: this is OR
# - ``gates = {"AND": ([1, 1], 2), "OR": ([1, 2], 1), "NOT": ([-1], 0)}``: one input that is 1 still reaches 1: this is OR
# - ``gates = {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([- 2], 0)}``: any negative weight with the threshold 0 is NOT
# - ``gates = {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([~1], 0)}``: `~1` is -2: any negative weight will do

# %%
lab.check("threshold_unit")

# %% [markdown]
# ### What a unit looks like
#
# Two inputs are a point in the plane. The unit fires on one side of the line $w_1 x_1 + w_2 x_2 = \theta$, and on the
# line itself. Here are your gates:

# %% tags=["experiment"]
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)

# %% tags=["experiment", "drawing"]
if lab.solved("threshold_unit"):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 2.9), sharey=True)
    for ax, name in zip(panels, ("AND", "OR"), strict=True):
        weights, threshold = gate(name)
        ax.set(title=name, xlabel="first input", xlim=(-0.6, 1.6), ylim=(-0.6, 1.6), xticks=[0, 1], yticks=[0, 1])
        draw_points(ax, CORNERS, threshold_unit(CORNERS, np.array(weights), threshold))
        draw_line(ax, weights, -threshold, "sum = threshold", color="0.4", linestyle=":")
    panels[0].set(ylabel="second input")
    fig.legend(*panels[1].get_legend_handles_labels(), loc="outside right upper")
    figures.show(
        fig,
        alt="Two planes with four corners each. For AND the line leaves only the corner one, one on the side that fires. "
        "For OR it leaves only the corner zero, zero on the other side.",
        caption="A threshold unit cuts the plane along a line. AND and OR differ only in where the cut is.",
    )

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
    Returns (weights [d], bias, mistakes), where mistakes is a list with the number of mistakes of each epoch.

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
# The inner loop is
#
# ```python
# for x, y in zip(inputs, labels):
#     if y * (weights @ x + bias) <= 0:
#         weights, bias, wrong = weights + y * x, bias + y, wrong + 1
# ```

# %% [markdown] why="perceptron"
# Why does adding $y\,x$ help? The sum for this example changes by $y\,(x \cdot x + 1)$: towards its label, always. It
# may break another example; the next section says how often that can happen.
#
# Common mistakes: `< 0` instead of `<= 0` (at the start every sum is 0, so nothing would ever be learned); no bias
# (then every line goes through the origin); corrections that are saved up until the end of the epoch; a loop that only
# ends when there is no mistake. On data that no line separates, that loop never ends. You will see such data soon.


# %% checks="perceptron"
def rosenblatt(inputs, labels, epochs, undecided=True, every=False, sign=1, bias=True, saved_up=False, signed=True):
    """The rule, and with other settings its usual misreadings."""
    w, b, counts = [0.0] * inputs.shape[1], 0.0, []
    for _ in range(epochs):
        count, judge_w, judge_b = 0, list(w), b
        for x, y in zip(inputs.tolist(), labels.tolist()):
            if not saved_up:
                judge_w, judge_b = list(w), b
            margin = y * (sum(one * other for one, other in zip(judge_w, x)) + judge_b)
            mistake = margin <= 0 if undecided else margin < 0
            count += mistake
            if mistake or every:
                step = sign * (y if signed else 1)
                w, b = [one + step * other for one, other in zip(w, x)], b + (step if bias else 0)
        counts.append(count)
        if not count:
            break
    return w, b, counts


MISREADINGS = {
    "a sum of 0 is undecided and counts as a mistake: use <= 0 and not < 0": {"undecided": False},
    "an example that is answered rightly must change nothing: correct only mistakes": {"every": True},
    "the bias never learns: add y to it at each mistake": {"bias": False},
    "correct at once: the next example must already meet the new weights": {"saved_up": True},
    "the correction has the wrong sign: add y * x": {"sign": -1},
    "multiply the correction by the label: add y * x, not x": {"signed": False},
}


def learned_wrong(got, inputs, labels, epochs):
    """What is wrong with (weights, bias, mistakes), or None."""
    if not isinstance(got, (list, tuple)) or len(got) != 3:
        return compare(got, "", "the result") if got is None else "return three things: weights, bias and mistakes"

    def differs(expected):
        names = ("the weights", "the bias", "the list of mistakes")
        return next((d for one, other, name in zip(got, expected, names) if (d := compare(one, other, name))), None)

    counted = np.size(got[2])
    if counted > epochs:
        return f"there are {counted} epochs where at most {epochs} are allowed"
    expected = rosenblatt(inputs, labels, epochs)
    if not (wrong := differs(expected)):
        return None
    for sentence, how in MISREADINGS.items():
        if not differs(rosenblatt(inputs, labels, epochs, **how)):
            return sentence
    if differs((*expected[:2], got[2])):
        return wrong
    counts = expected[2]
    if compare(got[2], sum(counts)) is None:
        return "`mistakes` must be a list with one number an epoch, not the sum"
    if counts[-1] == 0 and compare(got[2], counts[:-1]) is None:
        return "the epoch without a mistake belongs into the list too, as a 0"
    if compare(got[2], np.cumsum(counts)) is None:
        return "the count must start at 0 again in each epoch"
    if list(got[2][: len(counts)]) == counts and not any(got[2][len(counts) :]):
        return "stop after the first epoch without a mistake: yours goes on to the last"
    return f"{wrong} (the epochs had {counts})"


def separable(rng, n, d, margin=0.3):
    """Points on both sides of a random plane, none nearer than the margin."""
    normal = rng.normal(size=d)
    normal, shift = normal / np.linalg.norm(normal), rng.normal()
    points = rng.normal(size=(4 * n + 20, d)) * 2 - shift * normal
    side = points @ normal + shift
    kept = np.abs(side) > margin
    return points[kept][:n], np.sign(side[kept][:n]).astype(int)


@checks("perceptron")
def learns_the_first_examples(rng):
    """corrects each mistake at once, by the label times the input, and starts at zero"""
    for n, d in ((20, 4), (2, 2), (1, 3)):
        inputs, labels = rng.normal(size=(n, d)), rng.choice([-1, 1], n)
        if wrong := learned_wrong((yield call("perceptron", inputs, labels, 1)), inputs, labels, 1):
            return wrong


@checks("perceptron")
def undecided_is_a_mistake(rng):
    """counts a sum of exactly 0 as a mistake, at the start and later"""
    for d in (2, 3):
        inputs, labels = rng.integers(-1, 2, (30, d)).astype(float), rng.choice([-1, 1], 30)
        if wrong := learned_wrong((yield call("perceptron", inputs, labels, 3)), inputs, labels, 3):
            return wrong


@checks("perceptron")
def separates(rng):
    """finds a separating line where there is one, whether through the origin or not"""
    for n, d in ((10, 1), (30, 2), (40, 5)):
        inputs, labels = separable(rng, n, d)
        got = yield call("perceptron", inputs, labels, 2000)
        if wrong := learned_wrong(got, inputs, labels, 2000):
            return wrong
        if (labels * (inputs @ np.asarray(got[0]) + got[1]) <= 0).any():
            return "some examples are on the wrong side although the rule has ended"


@checks("perceptron")
def gives_up(rng):
    """gives up after the given number of epochs where no line exists"""
    for n, d, epochs in ((12, 2, 7), (8, 3, 2)):
        inputs = rng.normal(size=(n, d))
        inputs, labels = np.concatenate([inputs, inputs]), np.repeat([1, -1], n)  # each point with both labels
        if wrong := learned_wrong((yield call("perceptron", inputs, labels, epochs)), inputs, labels, epochs):
            return wrong


@checks("perceptron")
def default_epochs(rng):
    """tries 100 epochs where it is not told how many"""
    inputs, labels = rng.normal(size=(3, 2)).repeat(2, axis=0), np.tile([1, -1], 3)
    if wrong := learned_wrong((yield call("perceptron", inputs, labels)), inputs, labels, 100):
        return wrong


# %% right="perceptron"
def perceptron(inputs, labels, epochs=100):
    extended = np.hstack([inputs, np.ones((len(inputs), 1))])  # the bias is the weight of an input that is always 1
    theta, mistakes = np.zeros(extended.shape[1]), []
    while len(mistakes) < epochs and (not mistakes or mistakes[-1]):
        mistakes.append(0)
        for i in range(len(extended)):
            if np.sign(theta @ extended[i]) != labels[i]:
                theta += labels[i] * extended[i]
                mistakes[-1] += 1
    return theta[:-1], theta[-1], np.array(mistakes)


# %% right="perceptron"
def perceptron(inputs, labels, epochs=100):
    def one_epoch(w, b):
        count = 0
        for x, y in zip(inputs, labels):
            answer = 1 if w @ x + b > 0 else -1 if w @ x + b < 0 else 0
            if answer != y:
                w, b, count = w + y * x, b + y, count + 1
        return w, b, count

    w, b, history = np.zeros(inputs.shape[1]), 0, []
    for _ in range(epochs):
        w, b, count = one_epoch(w, b)
        history += [count]
        if not count:
            return w, b, history
    return w, b, history


# %% wrong="perceptron" message="use <= 0 and not < 0"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) < 0:
                weights, bias, wrong = weights + y * x, bias + y, wrong + 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes


# %% wrong="perceptron" message="correct only mistakes"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            wrong += int(y * (weights @ x + bias) <= 0)
            weights, bias = weights + y * x, bias + y
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes


# %% wrong="perceptron" message="the bias never learns"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights, wrong = weights + y * x, wrong + 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes


# %% wrong="perceptron" message="add y * x, not x"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights, bias, wrong = weights + x, bias + 1, wrong + 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes


# %% wrong="perceptron" message="correct at once"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = labels * (inputs @ weights + bias) <= 0
        mistakes.append(int(wrong.sum()))
        if not wrong.any():
            break
        weights, bias = weights + labels[wrong] @ inputs[wrong], bias + labels[wrong].sum()
    return weights, bias, mistakes


# %% wrong="perceptron" message="did not end"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, [1]
    while mistakes[-1]:
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights, bias, wrong = weights + y * x, bias + y, wrong + 1
        mistakes.append(wrong)
    return weights, bias, mistakes[1:]


# %% wrong="perceptron" message="the epoch without a mistake belongs into the list"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights, bias, wrong = weights + y * x, bias + y, wrong + 1
        if wrong == 0:
            break
        mistakes.append(wrong)
    return weights, bias, mistakes


# %% wrong="perceptron" message="one number an epoch, not the sum"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, 0
    for _ in range(epochs):
        before = mistakes
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights, bias, mistakes = weights + y * x, bias + y, mistakes + 1
        if mistakes == before:
            break
    return weights, bias, mistakes


# %% wrong="perceptron" message="start at 0 again in each epoch"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes, wrong = np.zeros(inputs.shape[1]), 0.0, [], 0
    for _ in range(epochs):
        before = wrong
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights, bias, wrong = weights + y * x, bias + y, wrong + 1
        mistakes.append(wrong)
        if wrong == before:
            break
    return weights, bias, mistakes


# %% wrong="perceptron" message="stop after the first epoch without a mistake"
def perceptron(inputs, labels, epochs=100):
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if y * (weights @ x + bias) <= 0:
                weights, bias, wrong = weights + y * x, bias + y, wrong + 1
        mistakes.append(wrong)
    return weights, bias, mistakes


# %% wrong="perceptron" message="in place"
def perceptron(inputs, labels, epochs=100):
    inputs *= labels[:, None]
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, y in zip(inputs, labels):
            if weights @ x + y * bias <= 0:
                weights, bias, wrong = weights + x, bias + y, wrong + 1
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes


# %% [markdown] survivors="perceptron"
# - ``if wrong <= 0:``: a count of mistakes is never negative

# %%
lab.check("perceptron")

# %% [markdown]
# ### The line moves
#
# Sixty points, and a gap between the classes. The dotted lines are what the perceptron believed after each epoch that
# ended with a mistake; the solid one is where it came to rest.


# %% tags=["experiment"]
def points_with_margin(margin, n, rng):
    """n points in a square, a random line, and no point nearer to it than the margin: (inputs, labels, weights, bias)."""
    angle, bias = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    weights = np.array([np.cos(angle), np.sin(angle)])
    points = rng.uniform(-1, 1, (20 * n, 2))
    points = points[np.abs(points @ weights + bias) >= margin][:n]
    return points, np.sign(points @ weights + bias).astype(int), weights, bias


inputs, labels, *_ = points_with_margin(0.08, 60, np.random.default_rng(BASE_SEED + 1))

# %% tags=["experiment", "drawing"]
if lab.solved("perceptron"):
    needed = len(perceptron(inputs, labels)[2])
    fig, ax = plt.subplots(figsize=(6, 3.8))
    draw_points(ax, inputs, labels)
    ax.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), xlabel="first input", ylabel="second input")
    for k in range(1, needed):
        weights, bias, _ = perceptron(inputs, labels, epochs=k)
        draw_line(ax, weights, bias, f"after epoch {k}", color="0.6", linestyle=":", linewidth=1)
    draw_line(ax, *perceptron(inputs, labels)[:2], "at rest", color="0.1", linestyle="-")
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    handles["after an earlier epoch"] = handles["after epoch 1"]
    names = ["no", "yes", "after an earlier epoch", "at rest"]
    fig.legend([handles[name] for name in names], names, loc="outside right upper")
    figures.show(
        fig,
        alt="Points of two classes in a square. Dotted lines turn, epoch after epoch, towards a solid line that has all "
        "points of one class on one side.",
        caption="Each epoch turns and shifts the line. When nothing is wrong any more, nothing changes any more.",
    )

# %% [markdown]
# ### How many mistakes can it make?
#
# Suppose that some line $(u, b^*)$ separates the examples. Write $\tilde x = (x, 1)$ and $\tilde u = (u, b^*)$, so that
# the bias is one more weight. Two numbers describe how hard the examples are: the **radius** and the **margin**,
#
# $$ R = \max_i \lVert \tilde x_i \rVert, \qquad \gamma = \min_i \frac{y_i\,(\tilde u \cdot \tilde x_i)}{\lVert \tilde u \rVert}. $$
#
# Watch the learned $\tilde w = (w, b)$. Each mistake adds $y\,\tilde x$, so $\tilde w$ moves at least $\gamma$ further
# along $\tilde u$: after $k$ mistakes $\lVert \tilde w \rVert \ge k \gamma$. But the correction points against
# $\tilde w$ or at right angles to it (it *was* a mistake), so $\lVert \tilde w \rVert^2$ grows by at most $R^2$: after
# $k$ mistakes $\lVert \tilde w \rVert \le \sqrt{k}\,R$. Both can hold only while
#
# $$ k \le (R / \gamma)^2 . $$
#
# The number of examples and of inputs does not appear (Novikoff 1962).

# %% [markdown] exercise="mistake_bound" difficulty=2 importance=3 minutes=15 points=3 optional=true
# ### The bound on the mistakes
#
# Two examples in one dimension, $x = 2$ with $y = +1$ and $x = -2$ with $y = -1$, and the line $u = 1$, $b^* = 0$. Then
# $R^2 = 2^2 + 1 = 5$, $\gamma = 2$, and the bound is $5/4$: one mistake at most. Write this for any examples and any
# line. Where the line does not separate the examples, it proves nothing: return `math.inf`.


# %% solution="mistake_bound"
def mistake_bound(inputs, labels, weights, bias):
    """(R / margin)², the most mistakes that the perceptron can make; infinite where the line does not separate.

    inputs [n, d]; labels [n], each +1 or -1; weights [d] and bias: a line, of any length.

    >>> mistake_bound(np.array([[2.0], [-2.0]]), np.array([1, -1]), np.array([1.0]), 0.0)
    1.25
    """
    ### BEGIN SOLUTION
    squared_radius = (inputs**2).sum(axis=1).max() + 1
    squared_length = weights @ weights + bias**2
    smallest = (labels * (inputs @ weights + bias)).min()
    if smallest <= 0:
        return math.inf
    return squared_radius * squared_length / smallest**2
    ### END SOLUTION


# %% [markdown] hint="mistake_bound"
# Put a column of ones beside `inputs`, and `bias` behind `weights`. Then everything is about one matrix and one vector.

# %% [markdown] hint="mistake_bound"
# `labels * (inputs @ weights + bias)` is positive where the line is right. Its minimum, divided by the length of
# $(u, b^*)$, is the margin. What does a minimum that is not positive mean?

# %% [markdown] why="mistake_bound"
# The 1 in $R^2$ and $b^{*2}$ in the length come from the same column of ones: forget one of them, and the bound is no
# longer true. The margin is a *minimum*, so one example near the line makes the bound large. And it must be divided by
# the length, or else twice the weights would promise a quarter of the mistakes for the same line.


# %% checks="mistake_bound"
def bound_differs(got, inputs, labels, weights, bias):
    """What is wrong with the bound, or None."""
    import math

    radius = max(math.hypot(*x, 1.0) for x in inputs)
    length = math.hypot(*weights, bias)
    margins = [y * (math.fsum(w * one for w, one in zip(weights, x)) + bias) for x, y in zip(inputs, labels)]
    gamma = min(margins) / length
    expected = (radius / gamma) ** 2
    if not (wrong := compare(got, expected, "the bound")):
        return None
    mistakes = [
        (radius / gamma, "the bound is (R / margin) squared: the square is missing"),
        ((radius / gamma / length) ** 2, "divide the margin by the length of (weights, bias)"),
        (
            (radius / gamma / length) ** 2 * float(weights @ weights),
            "the bias belongs to the length of (weights, bias) too",
        ),
        ((radius**2 - 1) / gamma**2, "the 1 beside each input, for the bias, belongs to R too"),
        (
            math.sqrt(radius**2 - 1) / gamma,
            "the bound is (R / margin) squared, and the 1 beside each input belongs to R",
        ),
        ((radius / (np.mean(margins) / length)) ** 2, "the margin is the smallest distance, not the mean"),
        ((radius / (max(margins) / length)) ** 2, "the margin is the smallest distance, not the largest"),
    ]
    return next((sentence for other, sentence in mistakes if compare(got, other) is None), wrong)


@checks("mistake_bound")
def bound_by_hand(rng):
    """gives (c² + 1) / c² for the two examples c and −c in one dimension"""
    for c in rng.uniform(0.5, 3, 3):
        arguments = np.array([[c], [-c]]), np.array([1, -1]), np.array([1.0]), 0.0
        if wrong := bound_differs((yield call("mistake_bound", *arguments)), *arguments):
            return wrong


@checks("mistake_bound")
def bound_of_random_examples(rng):
    """is right for random examples and any line that separates them, whatever its length"""
    for n, d in ((8, 2), (25, 4), (5, 5)):
        weights, bias = rng.normal(size=d), float(rng.normal())
        inputs = rng.normal(size=(n, d))
        labels = np.where(inputs @ weights + bias > 0, 1, -1)
        for scale in (1.0, 10.0):
            arguments = inputs, labels, scale * weights, scale * bias
            if wrong := bound_differs((yield call("mistake_bound", *arguments)), *arguments):
                return wrong


@checks("mistake_bound")
def no_bound_without_separation(rng):
    """is infinite where the line does not separate the examples"""
    for n, d in ((6, 2), (20, 3)):
        weights, bias = rng.normal(size=d), float(rng.normal())
        inputs = rng.normal(size=(n, d))
        labels = np.where(inputs @ weights + bias > 0, 1, -1)
        labels[rng.integers(n)] *= -1
        got = yield call("mistake_bound", inputs, labels, weights, bias)
        if not infinite(got):
            return f"the bound is {got}, not math.inf: one example is on the wrong side, so this line proves nothing"
    got = yield call("mistake_bound", np.array([[1.0], [0.0]]), np.array([1, -1]), np.array([1.0]), 0.0)
    if not infinite(got):
        return f"the bound is {got}, not math.inf: one example lies on the line, so the margin is 0"


def infinite(got):
    return isinstance(got, (float, np.floating)) and got == np.inf


# %% right="mistake_bound"
def mistake_bound(inputs, labels, weights, bias):
    extended = np.hstack([inputs, np.ones((len(inputs), 1))])
    direction = np.append(weights, bias)
    gamma = np.min(labels * (extended @ direction)) / np.linalg.norm(direction)
    return (np.linalg.norm(extended, axis=1).max() / gamma) ** 2 if gamma > 0 else np.inf


# %% right="mistake_bound"
def mistake_bound(inputs, labels, weights, bias):
    length = math.sqrt(sum(w * w for w in weights) + bias * bias)
    radius, gamma = 0.0, math.inf
    for x, y in zip(inputs, labels):
        radius = max(radius, math.sqrt(sum(one * one for one in x) + 1))
        gamma = min(gamma, y * (x @ weights + bias) / length)
    if not gamma > 0:
        return math.inf
    return radius**2 / gamma**2


# %% wrong="mistake_bound" message="belongs to R too"
def mistake_bound(inputs, labels, weights, bias):
    gamma = (labels * (inputs @ weights + bias)).min() / math.sqrt(weights @ weights + bias**2)
    return (inputs**2).sum(axis=1).max() / gamma**2 if gamma > 0 else math.inf


# %% wrong="mistake_bound" message="square is missing"
def mistake_bound(inputs, labels, weights, bias):
    gamma = (labels * (inputs @ weights + bias)).min() / math.sqrt(weights @ weights + bias**2)
    return math.sqrt((inputs**2).sum(axis=1).max() + 1) / gamma if gamma > 0 else math.inf


# %% wrong="mistake_bound" message="divide the margin by the length"
def mistake_bound(inputs, labels, weights, bias):
    gamma = (labels * (inputs @ weights + bias)).min()
    return ((inputs**2).sum(axis=1).max() + 1) / gamma**2 if gamma > 0 else math.inf


# %% wrong="mistake_bound" message="bias belongs to the length"
def mistake_bound(inputs, labels, weights, bias):
    gamma = (labels * (inputs @ weights + bias)).min() / np.linalg.norm(weights)
    return ((inputs**2).sum(axis=1).max() + 1) / gamma**2 if gamma > 0 else math.inf


# %% wrong="mistake_bound" message="not the mean"
def mistake_bound(inputs, labels, weights, bias):
    margins = labels * (inputs @ weights + bias) / math.sqrt(weights @ weights + bias**2)
    return ((inputs**2).sum(axis=1).max() + 1) / margins.mean() ** 2 if margins.min() > 0 else math.inf


# %% wrong="mistake_bound" message="this line proves nothing"
def mistake_bound(inputs, labels, weights, bias):
    gamma = np.abs(inputs @ weights + bias).min() / math.sqrt(weights @ weights + bias**2)
    return ((inputs**2).sum(axis=1).max() + 1) / gamma**2


# %%
lab.check("mistake_bound")

# %% [markdown]
# A theorem needs no replicates: the bound must hold for *every* draw, so the next cell asserts it. What a theorem does
# not say is how near the truth comes to it. Look at the distance from the line.

# %% tags=["experiment"]
MARGINS = [0.3, 0.1, 0.03, 0.01, 0.003]


def mistakes_and_bound(margin, seed):
    """One replicate: what the perceptron needed, and what Novikoff allows it, for the line that made the labels."""
    rng = np.random.default_rng([seed, round(1000 * margin)])
    inputs, labels, weights, bias = points_with_margin(margin, 50, rng)
    *_, mistakes = perceptron(inputs, labels, epochs=10_000)
    assert mistakes[-1] == 0, "the perceptron had not come to rest"
    return sum(mistakes), mistake_bound(inputs, labels, weights, bias)


if lab.solved("perceptron", "mistake_bound"):
    made_and_allowed = {}
    for margin in MARGINS:
        pairs = [mistakes_and_bound(margin, seed) for seed in range(BASE_SEED, BASE_SEED + REPLICATES)]
        made, allowed = np.array(pairs).T
        assert (made <= allowed).all()
        made_and_allowed[margin] = made, allowed
    fig, ax = plt.subplots(figsize=(5.5, 3.8))
    for margin, (made, allowed) in made_and_allowed.items():
        ax.plot(allowed, made, linestyle="", markevery=1, label=f"margin at least {margin}")
    limits = [1, 1_000_000]
    ax.plot(limits, limits, color="0.4", linestyle=":", marker="", label="the bound")
    ax.set(xlabel="mistakes allowed by the bound", ylabel="mistakes made", xlim=limits, ylim=limits)
    ax.set(xscale="log", yscale="log")
    ax.legend(loc="upper left", fontsize=8)
    figures.show(
        fig,
        alt="Mistakes made against mistakes allowed, on logarithmic axes, for five margins. All marks lie below the line "
        "of equality, further below it the smaller the margin.",
        caption="One mark a replicate: new points and a new line. No mark may lie above the dotted line, and none does.",
    )

# %% [markdown]
# The bound is for the worst order of the worst examples; a random draw is far from that. A small margin is a warning,
# not a forecast.
#
# ## 3. Beside it: Hebb's rule (1949)
#
# Nine years before, the psychologist Donald Hebb had proposed how nerve cells might learn without a teacher who sees
# mistakes: when one cell repeatedly takes part in firing another, their connection grows. In a formula, for inputs and
# labels that are given together, each weight becomes the mean of input times label:
#
# $$ w = \frac{1}{n} \sum_{i=1}^{n} y_i\, x_i . $$
#
# One epoch, no comparison with an answer. The first of two examples is $x = (1, 1)$ with $y = +1$, the second
# $x = (1, -1)$ with $y = -1$. The mean is $w = (0, 1)$: the first input says nothing about the label, the second all.

# %% [markdown] exercise="hebb" difficulty=1 importance=2 minutes=10 points=2 optional=true
# ### Hebb's rule
#
# Write the formula.


# %% solution="hebb"
def hebb(inputs, labels):
    """Weights by Hebb's rule: the mean over examples of label times input.

    inputs [n, d]; labels [n], each +1 or -1. Returns weights [d].

    >>> hebb(np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([1, -1]))
    array([0., 1.])
    """
    ### BEGIN SOLUTION
    return labels @ inputs / len(inputs)
    ### END SOLUTION


# %% [markdown] hint="hebb"
# Each row of `inputs` is to be multiplied by its label. `labels[:, None]` is a column.

# %% [markdown] hint="hebb"
# The mean runs over examples, `axis=0`. A product of a vector and a matrix does both, up to the division by the number
# of examples.

# %% [markdown] why="hebb"
# `labels @ inputs` sums label times input over the examples. The rule looks at each example once and in no order, and
# it never asks whether the answer is right. That is its charm for a brain, and its weakness: it cannot repair what one
# example does to another.


# %% checks="hebb"
def hebb_differs(got, inputs, labels):
    """What is wrong with Hebb's weights, or None."""
    n, d = inputs.shape
    expected = np.array([sum(labels[i] * inputs[i, j] for i in range(n)) / n for j in range(d)])
    if compare(got, inputs.mean(0)) is None and compare(got, expected):
        return "multiply each input by its label before you take the mean"
    if n == d and compare(got, (labels[:, None] * inputs).mean(1)) is None and compare(got, expected):
        return "the mean runs over the wrong axis: take it over the examples"
    return compare(
        got, expected, "the vector of weights", factors={n: "a mean divides by the number of examples, once"}
    )


@checks("hebb")
def mean_of_products(rng):
    """is the mean of label times input, for several numbers of examples and inputs"""
    for n, d in ((6, 6), (12, 3), (5, 9)):
        inputs, labels = rng.normal(size=(n, d)), rng.choice([-1, 1], n)
        if wrong := hebb_differs((yield call("hebb", inputs, labels)), inputs, labels):
            return wrong


@checks("hebb")
def one_example(rng):
    """stores a single example as label times input"""
    for d in (1, 4):
        inputs, labels = rng.normal(size=(1, d)), np.array([-1])
        if wrong := hebb_differs((yield call("hebb", inputs, labels)), inputs, labels):
            return wrong


@checks("hebb")
def examples_seen_twice(rng):
    """is right where every example is there twice"""
    inputs, labels = rng.normal(size=(7, 4)), rng.choice([-1, 1], 7)
    inputs, labels = np.concatenate([inputs, inputs]), np.concatenate([labels, labels])
    return hebb_differs((yield call("hebb", inputs, labels)), inputs, labels)


# %% right="hebb"
def hebb(inputs, labels):
    return (inputs * labels[:, None]).mean(axis=0)


# %% right="hebb"
def hebb(inputs, labels):
    total = np.zeros(inputs.shape[1])
    for x, y in zip(inputs, labels):
        total = total + y * x
    return total / len(labels)


# %% wrong="hebb" message="a mean divides by the number of examples"
def hebb(inputs, labels):
    return labels @ inputs


# %% wrong="hebb" message="multiply each input by its label"
def hebb(inputs, labels):
    return inputs.mean(axis=0)


# %% wrong="hebb" message="over the wrong axis"
def hebb(inputs, labels):
    return (inputs * labels[:, None]).mean(axis=1)


# %% wrong="hebb" message="wrong sign"
def hebb(inputs, labels):
    return -(labels @ inputs) / len(inputs)


# %% wrong="hebb" message="in place"
def hebb(inputs, labels):
    inputs *= labels[:, None]
    return inputs.mean(axis=0)


# %% wrong="hebb" message="an array of shape"
def hebb(inputs, labels):
    return list((x * y).tolist() for x, y in zip(inputs, labels)) + [labels.mean()]


# %%
lab.check("hebb")

# %% [markdown]
# ### Where the two agree, and where Hebb fails
#
# Take 15 input patterns of 16 numbers, each $+1$ or $-1$, that are **orthogonal**: the product of any two is 0. They do
# not disturb each other. For pattern $i$ the other examples cancel, and $y_i\,(w \cdot x_i) = 16/15$, always positive.
# Hebb's rule recalls all labels.
#
# Now add the same background $\beta$ to all numbers of all patterns. Any two inputs now have the product $16 \beta^2$:
# they are **correlated**. With $\bar y$ for the mean label, $w \cdot x_i = \tfrac{16}{15} y_i + 16 \beta^2 \bar y$.
# When $\beta^2 |\bar y| > 1/15$, the background outvotes the pattern, and every example gets the label of the majority.


# %% tags=["experiment"]
BACKGROUNDS = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]
PATTERNS = hadamard(16)[1:].astype(float)  # 15 orthogonal patterns of 16 numbers, each pattern with the sum 0


def both_rules(seed):
    """One replicate, new labels: the share of examples recalled by each rule, for each background, and the majority's."""
    labels = np.random.default_rng(seed).choice([-1, 1], len(PATTERNS))
    shares = []
    for background in BACKGROUNDS:
        inputs = PATTERNS + background
        weights, bias, _ = perceptron(inputs, labels, epochs=5000)
        by_hebb, by_perceptron = inputs @ hebb(inputs, labels), inputs @ weights + bias
        shares.append([(labels * sums > 1e-9).mean() for sums in (by_hebb, by_perceptron)])
    return np.array(shares), (1 + abs(labels.mean())) / 2


if lab.solved("perceptron", "hebb"):
    shares, majority = zip(*[both_rules(BASE_SEED + replicate) for replicate in range(REPLICATES)], strict=True)
    of_hebb, of_perceptron = np.moveaxis(shares, 2, 0)
    assert (of_hebb[:, 0] == 1).all(), "orthogonal patterns"
    assert (of_perceptron == 1).all(), "the patterns stay separable, so the perceptron finds a line"
    np.testing.assert_allclose(of_hebb[:, -1], majority)
    fig, ax = plt.subplots(figsize=(5.5, 3.4))
    figures.lines_with_spread(ax, BACKGROUNDS, of_perceptron, "perceptron", markevery=1)
    figures.lines_with_spread(ax, BACKGROUNDS, of_hebb, "Hebb", markevery=1)
    ax.set(xlabel="background common to all inputs", ylabel="share of examples recalled", ylim=(0, 1.05))
    ax.legend(loc="lower left")
    figures.show(
        fig,
        alt="Share of examples recalled against the background. The perceptron stays at one. Hebb's rule starts at one and "
        "falls to the share of the more frequent label.",
        caption="Thin lines are replicates, each with new labels. Without a background both rules recall everything.",
    )

# %% [markdown]
# The formula and the run agree, which the cell asserts. Learning from *mistakes* is what the perceptron adds: an
# example that is right already no longer pulls.
#
# ## 4. Where no line exists
#
# XOR is the exclusive or: yes if exactly one of two inputs is 1. You now have a rule that finds any line that there is.

# %%
guess_xor = predict(
    "The perceptron sees the four examples of XOR for 1,000 epochs. How many of the four does it get wrong in the last one?",
    ["none: it finds a line in the end", "one: a line can get three right", "two: no better than chance", "all four"],
)

# %% tags=["experiment"]
LABELS = {"AND": np.array([-1, -1, -1, 1]), "OR": np.array([-1, 1, 1, 1]), "XOR": np.array([-1, 1, 1, -1])}

if lab.solved("perceptron"):
    histories = {name: perceptron(CORNERS, labels, epochs=1000)[2] for name, labels in LABELS.items()}
    assert min(histories["XOR"]) > 0, "an epoch without a mistake"
    fig, ax = plt.subplots(figsize=(5.5, 3.2))
    for name, history in histories.items():
        ax.plot(range(1, len(history[:15]) + 1), history[:15], markevery=1, label=name)
    ax.set(xlabel="epoch", ylabel="mistakes in the epoch", ylim=(-0.2, 4.4), xticks=range(1, 16, 2))
    ax.legend(loc="center right")
    figures.show(
        fig,
        alt="Mistakes in each epoch for AND, OR and XOR. AND and OR come down to zero. XOR stays at four in every epoch.",
        caption="The first fifteen of a thousand epochs. The other epochs of XOR are like these.",
    )
    weights, bias, _ = perceptron(CORNERS, LABELS["XOR"], epochs=1)
    print("after one epoch through XOR: weights", weights.tolist(), "and bias", float(bias))
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
# ## 5. A hidden layer
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
    """Two layers of threshold units that compute the XOR of n inputs (n >= 1), with n hidden units.

    Returns (W, t, v, s): hidden weights [n, n], one row a hidden unit; hidden thresholds [n]; output weights [n];
    output threshold, a number.

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


@checks("xor_network")
def xor_of_two(rng):
    """computes XOR of two inputs"""
    return network_wrong((yield call("xor_network", 2)), 2, all_inputs(2))


@checks("xor_network")
def xor_of_three(rng):
    """computes XOR of three inputs, an odd number"""
    return network_wrong((yield call("xor_network", 3)), 3, all_inputs(3))


@checks("xor_network")
def xor_of_many(rng):
    """computes XOR of any number of inputs, from one to nine"""
    for n in (1, 4, int(rng.integers(5, 9)), 9):
        if wrong := network_wrong((yield call("xor_network", n)), n, all_inputs(n)):
            return wrong


# %% right="xor_network"
def xor_network(n):
    W = [[2.0] * n for _ in range(n)]
    t = [2.0 * k - 1 for k in range(n, 0, -1)]  # "at least n" first
    v = [3.0 if k % 2 else -3.0 for k in range(n, 0, -1)]
    return W, t, v, 1.5


# %% right="xor_network"
def xor_network(n):
    if n == 2:  # one of them and not the other
        return np.array([[1, -1], [-1, 1]]), np.array([1, 1]), np.array([1, 1]), 1
    v = np.array([1 if k % 2 == 0 else -1 for k in range(n)])
    return np.ones((n, n), dtype=int), np.arange(n) + 0.5, v, 0.5


# %% wrong="xor_network" message="some output weight must be negative"
def xor_network(n):
    return np.ones((n, n)), np.arange(1, n + 1), np.ones(n), 1


# %% wrong="xor_network" message="for n = 3 the shape of W"
def xor_network(n):
    return np.ones((2, 2)), np.array([1, 2]), np.array([1, -1]), 1


# %% wrong="xor_network" message="to the same h"
def xor_network(n):
    return np.ones((n, n)), np.full(n, 1), (-1.0) ** np.arange(n), 1


# %% wrong="xor_network" message="to the same h"
def xor_network(n):
    return np.eye(n), np.arange(1, n + 1), (-1.0) ** np.arange(n), 1


# %% wrong="xor_network" message="the wrong way round"
def xor_network(n):
    return np.ones((n, n)), np.arange(1, n + 1), -((-1.0) ** np.arange(n)), 0


# %% wrong="xor_network" message="the output is"
def xor_network(n):
    v = -np.ones(n)
    v[0] = 1
    return np.ones((n, n)), np.arange(1, n + 1), v, 1


# %% wrong="xor_network" message="for the input (0, 0)"
def xor_network(n):
    return np.ones((n, n)), np.arange(n), (-1.0) ** np.arange(n), 1


# %% wrong="xor_network" message="return four things"
def xor_network(n):
    return np.ones((n, n)), np.arange(1, n + 1), (-1.0) ** np.arange(n)


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
# ## 6. An engine for gradients
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

    data: the number; parents: the Values that it was computed from; slopes: one number a parent, the derivative of this
    Value along it; grad: filled in later.

    >>> a, b = Value(2.0), Value(-3.0)
    >>> p = a * b
    >>> p.data, p.parents == (a, b), p.slopes
    (-6.0, True, (-3.0, 2.0))
    """

    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)  # so that a + 1 works too
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
def use_operations(answer, a, b):
    """Each operation on Value(a), Value(b): [number, parents by name, slopes], or the name of the type that came back."""
    Value = answer["Value"]
    x, y = Value(a), Value(b)
    results = {
        "a + b": x + y, "a * b": x * y, "a + a": x + x, "a * a": x * x, "a + 2": x + 2, "a * 2": x * 2,
        "a.tanh()": x.tanh(), "a.relu()": x.relu(), "b.tanh()": y.tanh(), "b.relu()": y.relu(),
    }  # fmt: skip
    found = {}
    for name, value in results.items():
        if not isinstance(value, Value):
            found[name] = type(value).__name__
            continue
        parents, slopes = value.parents, value.slopes
        if not isinstance(parents, (tuple, list)) or not isinstance(slopes, (tuple, list)):
            found[name] = [value.data, type(parents).__name__, type(slopes).__name__]
            continue
        plain = [one.data if isinstance(one, Value) else one for one in (*parents, *slopes)]
        names = ["a" if one is x else "b" if one is y else str(plain[i]) for i, one in enumerate(parents)]
        found[name] = [value.data, names, plain[len(parents) :]]
    left = [[one.data, len(one.parents), one.grad] for one in (x, y)]
    return [found, left, [value.grad for value in results.values() if isinstance(value, Value)]]


def expected_operations(a, b):
    """The same from PyTorch."""
    import torch

    x, y, two = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (a, b, 2.0))
    pairs = {"a": x, "b": y, "2.0": two}
    operations = {
        "a + b": (torch.add, "a", "b"), "a * b": (torch.mul, "a", "b"), "a + a": (torch.add, "a", "a"),
        "a * a": (torch.mul, "a", "a"), "a + 2": (torch.add, "a", "2.0"), "a * 2": (torch.mul, "a", "2.0"),
        "a.tanh()": (torch.tanh, "a"), "a.relu()": (torch.relu, "a"), "b.tanh()": (torch.tanh, "b"), "b.relu()": (torch.relu, "b"),
    }  # fmt: skip
    found = {}
    for name, (operation, *names) in operations.items():
        inputs = [pairs[one].detach().clone().requires_grad_() for one in names]
        result = operation(*inputs)
        found[name] = [result.item(), names, [slope.item() for slope in torch.autograd.grad(result, inputs)]]
    return found


def numbers_for_values(rng):
    """Pairs of numbers of both signs, and one with a zero."""
    size = rng.uniform(0.3, 1.7, (4, 2))
    return [(size[0, 0], size[0, 1]), (-size[1, 0], size[1, 1]), (size[2, 0], -size[2, 1]), (0.0, float(size[3, 0]))]


def no_value(found, left, a, b):
    """A sentence where an operation changed its operands, or gave no Value with tuples; else None."""
    for name, number, (data, parents, _) in zip("ab", (a, b), left):
        if compare(data, number) or parents:
            return f"an operation changes `{name}` itself: return a new Value and leave `self` and `other` alone"
    for name, got in found.items():
        if got == "NoneType":
            return f"`{name}` is None: is a `return` missing?"
        if isinstance(got, str):
            return f"`{name}` is {got}, not a Value: return Value(number, parents, slopes)"
        if isinstance(got[1], str):
            hint = ": a tuple of one is written (self,), with the comma" if name.endswith("()") else ""
            return f"parents and slopes of `{name}` must be tuples, but are {got[1]} and {got[2]}{hint}"
    return None


@checks("Value")
def computes(rng):
    """computes the numbers: +, *, tanh and relu, also with a plain number on the right"""
    for a, b in numbers_for_values(rng):
        found, left, _ = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (number, *_) in expected_operations(float(a), float(b)).items():
            if wrong := compare(found[name][0], number, f"the number of `{name}`"):
                return wrong


@checks("Value")
def remembers_parents(rng):
    """remembers its parents, in their order, and twice where one is used twice"""
    for a, b in numbers_for_values(rng)[:2]:
        found, left, _ = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (_, parents, _) in expected_operations(float(a), float(b)).items():
            if found[name][1] != parents:
                return f"the parents of `{name}` are ({', '.join(found[name][1])}), not ({', '.join(parents)})"


@checks("Value")
def keeps_slopes(rng):
    """keeps the slope along each parent, as PyTorch has it"""
    for a, b in numbers_for_values(rng):
        found, left, _ = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (number, _, slopes) in expected_operations(float(a), float(b)).items():
            got = found[name][2]
            if not (wrong := compare(got, slopes, f"the slopes of `{name}`, for a = {a:.3g} and b = {b:.3g},")):
                continue
            if "*" in name and compare(got, slopes[::-1]) is None:
                return f"the slopes of `{name}` are the wrong way round: the slope along `self` is `other.data`"
            z = a if name.startswith("a") else b
            if "tanh" in name and any(
                compare(got, [other]) is None for other in (1 - z**2, 1 - math_tanh(math_tanh(z)) ** 2)
            ):
                return "the slope of tanh is 1 − t² with t = tanh(z), the result itself"
            if "relu" in name and z == 0:
                return "where the input of relu is 0, its slope is 0: use > 0 and not >= 0"
            return wrong


def math_tanh(z):
    return float(np.tanh(z))


@checks("Value")
def leaves_operands(rng):
    """leaves its operands as they are, and every `grad` at 0"""
    for a, b in numbers_for_values(rng)[:2]:
        found, left, gradients = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (_, _, grad) in zip("ab", left):
            if grad:
                return f"an operation changes the `grad` of `{name}`: only backward will do that"
        if any(gradients):
            return "the `grad` of a new Value must be 0"


def use_program(answer, numbers, steps):
    """Runs a program of operations; the last number, and its derivative along each input: the sum over all paths."""
    inputs = [answer["Value"](number) for number in numbers]
    values = list(inputs)
    for operation, i, j in steps:
        if operation in "+*":
            values.append(values[i] + values[j] if operation == "+" else values[i] * values[j])
        else:
            values.append(getattr(values[i], operation)())
        if not isinstance(values[-1], answer["Value"]):
            return type(values[-1]).__name__

    def paths(end, start):
        if end is start:
            return 1.0
        return sum(slope * paths(parent, start) for parent, slope in zip(end.parents, end.slopes))

    return [values[-1].data, [paths(values[-1], one) for one in inputs]]


@checks("Value")
def differentiates_a_program(rng):
    """multiplied along paths and added up, the slopes of a random program are PyTorch's gradient"""
    import torch

    for _ in range(3):
        numbers, steps = rng.normal(size=3).tolist(), [["*", 0, 1], ["+", 3, 2], ["tanh", 4, 0]]
        for length in range(6, 12):
            steps.append([str(rng.choice(["+", "*", "tanh", "relu"])), length - 1, int(rng.integers(length))])
        leaves = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
        values = list(leaves)
        for operation, i, j in steps:
            two = {"+": torch.add, "*": torch.mul}
            values.append(two[operation](values[i], values[j]) if operation in two else getattr(values[i], operation)())
        gradient = torch.autograd.grad(values[-1], leaves)
        got = yield call(use_program, numbers, steps)
        if isinstance(got, str):
            return f"a step of the program gives {got}, not a Value"
        for one, other, name in zip(
            got, (values[-1], gradient), ("the number at the end of a program", "the gradient")
        ):
            other = other.item() if name.startswith("the number") else [float(part) for part in other]
            if wrong := compare(one, other, name):
                return wrong


# %% right="Value"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    @staticmethod
    def _of(number):
        return number if isinstance(number, Value) else Value(number)

    def __add__(self, other):
        other = Value._of(other)
        return Value(sum([self.data, other.data]), [self, other], [1, 1])

    def __mul__(self, other):
        other = Value._of(other)
        return Value(other.data * self.data, [self, other], [other.data, self.data])

    def tanh(self):
        up, down = math.exp(self.data), math.exp(-self.data)
        return Value((up - down) / (up + down), [self], [4 / (up + down) ** 2])

    def relu(self):
        if self.data > 0:
            return Value(self.data, [self], [1])
        return Value(0, [self], [0])


# %% right="Value"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def _make(self, number, *pairs):
        return Value(number, tuple(parent for parent, _ in pairs), tuple(slope for _, slope in pairs))

    def __add__(self, other):
        if not isinstance(other, Value):
            other = Value(other)
        return self._make(self.data + other.data, (self, 1.0), (other, 1.0))

    def __mul__(self, other):
        if not isinstance(other, Value):
            other = Value(other)
        return self._make(self.data * other.data, (self, other.data), (other, self.data))

    def tanh(self):
        return self._make(np.tanh(self.data), (self, 1 / np.cosh(self.data) ** 2))

    def relu(self):
        on = float(self.data > 0)
        return self._make(on * self.data, (self, on))


# %% wrong="Value" message="the wrong way round"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (self.data, other.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), (1 - t**2,))

    def relu(self):
        return Value(max(0.0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))


# %% wrong="Value" message="the slope of tanh is 1 − t²"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self):
        return Value(math.tanh(self.data), (self,), (1 - self.data**2,))

    def relu(self):
        return Value(max(0.0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))


# %% wrong="Value" message="an operation changes"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        self.data += other.data
        self.parents, self.slopes = (self, other), (1.0, 1.0)
        return self

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), (1 - t**2,))

    def relu(self):
        return Value(max(0.0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))


# %% wrong="Value" message="a tuple of one is written (self,)"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self), (1 - t**2))

    def relu(self):
        return Value(max(0.0, self.data), (self), (float(self.data > 0)))


# %% wrong="Value" message="is float, not a Value"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return self.data + other.data

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return self.data * other.data

    def tanh(self):
        return math.tanh(self.data)

    def relu(self):
        return max(0.0, self.data)


# %% wrong="Value" message="the parents of `a + b` are (), not (a, b)"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data)

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data)

    def tanh(self):
        return Value(math.tanh(self.data))

    def relu(self):
        return Value(max(0.0, self.data))


# %% wrong="Value" message="its slope is 0"
class Value:
    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), (1 - t**2,))

    def relu(self):
        return Value(max(0.0, self.data), (self,), (1.0 if self.data >= 0 else 0.0,))


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
    """All values that `end` was computed from, and `end` itself: a list, each once, parents before their children."""
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
    """Set `grad` of each value that `end` was computed from to the derivative of `end` along it. Returns nothing.

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
def use_order(answer, parents):
    """The positions of the values in the learner's order, for a graph given by the positions of the parents."""

    class Node:
        def __init__(self, parents):
            self.data, self.parents, self.slopes, self.grad = 0.0, parents, (1.0,) * len(parents), 0.0

    nodes = []
    for row in parents:
        nodes.append(Node(tuple(nodes[i] for i in row)))
    order = answer["topological_order"](nodes[-1])
    if not isinstance(order, (list, tuple)):
        return type(order).__name__
    place = {id(node): i for i, node in enumerate(nodes)}
    return [place.get(id(node), -1) for node in order]


def use_backward(answer, parents, slopes, leftover, calls):
    """Each node's `grad` after `calls` calls of backward on the last one, or "paths" after far too many steps."""
    reads = []

    class Node:
        def __init__(self, parents, slopes):
            self._parents, self.slopes, self.data, self.grad = parents, slopes, 0.0, leftover

        @property
        def parents(self):
            reads.append(1)
            if len(reads) > 1000 + 100 * len(nodes):
                raise TimeoutError("paths")
            return self._parents

    nodes = []
    for row, steep in zip(parents, slopes):
        nodes.append(Node(tuple(nodes[i] for i in row), tuple(steep)))
    try:
        for _ in range(calls):
            answer["backward"](nodes[-1])
    except TimeoutError:
        return "paths"
    return [node.grad for node in nodes]


def random_graph(rng, n):
    """Parents and slopes of n nodes: each has none, one or two parents before it, sometimes the same one twice."""
    parents, slopes = [[], []], [[], []]
    for i in range(2, n):
        row = rng.integers(max(0, i - 5), i, rng.integers(1, 3)).tolist() if rng.random() > 0.1 else []
        if i == n - 1:
            row = [n - 2, n - 3]
        parents.append(row)
        slopes.append(rng.choice([-1, 1], len(row)) * rng.uniform(0.5, 1.5, len(row)))
    return parents, [list(map(float, row)) for row in slopes]


def derivatives(parents, slopes):
    """Of the last node along each: the solution of (1 - S) g = e, with S[i, j] the slope of j along i, summed."""
    n = len(parents)
    S = np.zeros((n, n))
    for child, (row, steep) in enumerate(zip(parents, slopes)):
        for parent, slope in zip(row, steep):
            S[parent, child] += slope
    return np.linalg.solve(np.eye(n) - S, np.eye(n)[-1])


def reached(parents):
    """The positions from which the last node can be reached."""
    found, new = set(), {len(parents) - 1}
    while new:
        found |= new
        new = {parent for child in new for parent in parents[child]} - found
    return found


@checks("backward")
def orders(rng):
    """puts parents before their children, each value once, and nothing that the end does not need"""
    uneven = [[], [0], [1], [0, 2]], [[], [0], [1], [2, 0]]  # a long and a short way from value 0 to the end
    for parents in (*uneven, *(random_graph(rng, n)[0] for n in (3, 6, 25))):
        n = len(parents)
        order = yield call(use_order, parents)
        if isinstance(order, str):
            return f"topological_order must return a list, not {order}" + (
                ": is a `return` missing?" if order == "NoneType" else ""
            )
        if not order or any(place < 0 for place in order):
            return "the order must hold the values themselves, the end and all that it was computed from"
        needed = reached(parents)
        if twice := [place for place in order if order.count(place) > 1]:
            return f"value number {twice[0]} is used more than once, and stands in the order more than once: remember what you have seen"
        if order[0] == n - 1:
            return "the order begins with the end: parents must come before their children"
        if missing := sorted(needed - set(order)):
            return (
                f"{len(missing)} of {len(needed)} values are missing from the order: visit the parents of parents too"
            )
        for i, place in enumerate(order):
            if late := [parent for parent in parents[place] if parent not in order[:i]]:
                return f"value number {place} stands before its parent, number {late[0]}: append a value after all its parents"


@checks("backward")
def follows_a_chain(rng):
    """multiplies the slopes along a chain, starting with 1 at the end"""
    for n in (2, 4, 9):
        parents = [[]] + [[i] for i in range(n - 1)]
        slopes = [[]] + [[float(rng.uniform(0.5, 2) * rng.choice([-1, 1]))] for _ in range(n - 1)]
        got = yield call(use_backward, parents, slopes, 0.0, 1)
        if not (wrong := gradient_wrong(got, parents, slopes)):
            continue
        if not any(got):
            return "all gradients are 0: the derivative of the end along itself is 1, so set `end.grad` to 1 first"
        if n > 2 and not any(got[:-2]) and compare(got[-1], 1.0) is None:
            return "only the parents of the end got a gradient: go through the order backwards"
        if compare(got[-1], 1.0):
            return f"the gradient of the end is {got[-1]:.4g}, not 1: the derivative of a value along itself is 1"
        return wrong


@checks("backward")
def adds_up(rng):
    """adds up what comes from several children, and from one child twice"""
    x, y, z = rng.uniform(0.5, 2, 3)
    for parents, slopes in (
        ([[], [0, 0]], [[], [x, y]]),  # one child, twice
        ([[], [0], [0], [1, 2]], [[], [x], [y], [z, 1]]),  # a diamond
        ([[], [0], [1, 0], [2, 1]], [[], [x], [y, z], [1, y]]),  # paths of different lengths
    ):
        got = yield call(use_backward, parents, [list(map(float, row)) for row in slopes], 0.0, 1)
        if wrong := gradient_wrong(got, parents, slopes):
            return f"{wrong}. Is a gradient overwritten that should be added to, or handed on before it is complete?"


@checks("backward")
def random_graphs(rng):
    """agrees with the solution of the linear equations for random graphs, and when it is called again"""
    for n in (5, 12, 30):
        parents, slopes = random_graph(rng, n)
        needed = sorted(reached(parents))
        expected = derivatives(parents, slopes)[needed]
        for leftover, calls in ((0.0, 1), (float(rng.normal()), 1), (0.0, 2)):
            got = yield call(use_backward, parents, slopes, leftover, calls)
            if got == "paths":
                return too_many_paths(n)
            if wrong := compare([got[i] for i in needed], expected, "the list of gradients", rtol=1e-6, atol=1e-7):
                again = leftover or calls > 1
                return "gradients of an earlier call linger: set every `grad` to 0 first" if again else wrong


@checks("backward")
def visits_each_once(rng):
    """visits each value once, so that sixty doublings (2^60 paths) take no time"""
    n = 61
    parents, slopes = [[]] + [[i, i] for i in range(n - 1)], [[]] + [[1.0, 1.0]] * (n - 1)
    return gradient_wrong((yield call(use_backward, parents, slopes, 0.0, 1)), parents, slopes)


def too_many_paths(n):
    return f"this graph has {n} values and far more paths, and you follow each: visit each value once, in the order"


def gradient_wrong(got, parents, slopes):
    if got == "paths":
        return too_many_paths(len(parents))
    return compare(got, derivatives(parents, slopes), "the list of gradients")


# %% right="backward"
def topological_order(end):
    order, seen, stack = [], set(), [(end, False)]
    while stack:
        value, ready = stack.pop()
        if ready:
            order.append(value)
        elif id(value) not in seen:
            seen.add(id(value))
            stack.append((value, True))
            stack += [(parent, False) for parent in value.parents]
    return order


def backward(end):
    order = topological_order(end)
    gradients = {id(value): 0.0 for value in order}
    gradients[id(end)] = 1.0
    for value in order[::-1]:
        value.grad = gradients[id(value)]
        for parent, slope in zip(value.parents, value.slopes):
            gradients[id(parent)] += slope * value.grad


# %% right="backward"
def topological_order(end):
    waiting, stack = {end: 0}, [end]  # how many children of each value are not in the order yet
    while stack:
        for parent in stack.pop().parents:
            if parent not in waiting:
                waiting[parent] = 0
                stack.append(parent)
            waiting[parent] += 1
    children_first, ready = [], [end]
    while ready:
        value = ready.pop()
        children_first.append(value)
        for parent in value.parents:
            waiting[parent] -= 1
            if waiting[parent] == 0:
                ready.append(parent)
    return children_first[::-1]


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 1.0 if value is end else 0.0
    while order:
        value = order.pop()
        for i in range(len(value.parents)):
            value.parents[i].grad = value.parents[i].grad + value.slopes[i] * value.grad


# %% wrong="backward" message="Is a gradient overwritten"
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    return order


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad = value.grad * slope


# %% wrong="backward" message="set `end.grad` to 1 first"
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    return order


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope


# %% wrong="backward" message="go through the order backwards"
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    return order


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in order:
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope


# %% wrong="backward" message="stands before its parent"
def topological_order(end):
    order, queue = [end], [end]
    while queue:
        for parent in queue.pop(0).parents:
            if parent not in order:
                order.append(parent)
                queue.append(parent)
    return order[::-1]


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope


# %% wrong="backward" message="linger"
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    return order


def backward(end):
    end.grad = 1.0
    for value in reversed(topological_order(end)):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope


# %% wrong="backward" message="visit each value once"
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    return order


def backward(end):
    for value in topological_order(end):
        value.grad = 0.0

    def hand_on(value, gradient):
        value.grad += gradient
        for parent, slope in zip(value.parents, value.slopes):
            hand_on(parent, gradient * slope)

    hand_on(end, 1.0)


# %% wrong="backward" message="remember what you have seen"
def topological_order(end):
    order = []

    def visit(value):
        for parent in value.parents:
            visit(parent)
        order.append(value)

    visit(end)
    return order


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope


# %% wrong="backward" message="parents must come before their children"
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            order.append(value)
            for parent in value.parents:
                visit(parent)

    visit(end)
    return order


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope


# %% wrong="backward" message="stands before its parent"
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            order.append(value)
            for parent in value.parents:
                visit(parent)

    visit(end)
    return order[::-1]


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope


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
    """Random parameters, as Values: ([[w1, w2, bias] for each hidden unit], [one weight a hidden unit, bias])."""
    rng = np.random.default_rng(seed)
    # The hidden ones are large, so that bends in many directions are there at the start.
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
# ## 7. Two moons
#
# Two half circles that reach into each other, with noise: no line separates them. Three learners get the same points:
#
# - your **perceptron**, for 50 epochs;
# - the network **without the bend**, trained by your engine: weighted sums of weighted sums, so in the end one line. It
#   is the control, since it lacks nothing but $\tanh$;
# - the network **with the bend**.
#
# Both networks start from the same parameters and see the same batches, at a learning rate that falls to 0. Each
# replicate draws new points, new noise and new initial parameters. The held-out points are looked at once, at the end.


# %%
def moons(seed):
    """(training points, their labels, held-out points, their labels); labels +1 and -1."""
    points, labels = make_moons(TRAIN_SIZE + TEST_SIZE, noise=NOISE, random_state=seed)
    labels = 2 * labels - 1
    return points[:TRAIN_SIZE], labels[:TRAIN_SIZE], points[TRAIN_SIZE:], labels[TRAIN_SIZE:]


def plain_step(parameters, learning_rate):
    """One update, as in notebook 00: a step downhill."""
    for parameter in parameters:
        parameter.data -= learning_rate * parameter.grad


def train(seed, updates, bend=True, step=plain_step, learning_rate=LEARNING_RATE):
    """A network trained on the moons of that seed, and the loss of every batch. The learning rate falls to 0."""
    points, labels, *_ = moons(seed)
    network, rng, losses = new_network(seed), np.random.default_rng(seed), []
    for update in range(updates):
        batch = rng.choice(TRAIN_SIZE, BATCH_SIZE, replace=False)
        loss = hinge_loss(network, points[batch], labels[batch], bend)
        backward(loss)
        step(parameters(network), learning_rate * (1 - update / updates))
        losses.append(loss.data)
    return network, losses


def accuracy(sums, labels):
    return float(np.mean((np.asarray(sums) > 0) == (labels > 0)))


# %% tags=["experiment"]
def compare_learners(seed):
    """One replicate: the accuracy of the three learners on held-out points, and the network with the bend."""
    points, labels, held_out, answers = moons(seed)
    weights, bias, _ = perceptron(points, labels, epochs=50)
    found = {"perceptron": accuracy(held_out @ weights + bias, answers)}
    for name, bend in (("network\nwithout the bend", False), ("network", True)):
        network, _ = train(seed, UPDATES, bend)
        found[name] = accuracy([output(network, point, bend).data for point in held_out], answers)
    return found, network


SEEDS = range(BASE_SEED, BASE_SEED + REPLICATES)
if lab.solved("perceptron", "Value", "backward"):
    found, networks = zip(*map(compare_learners, SEEDS), strict=True)
    accuracies = {name: np.array([one[name] for one in found]) for name in found[0]}
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
        "A network with a bend in its hidden layer, trained by this engine, names at least 92 % of held-out moon points",
        accuracies["network"],
        at_least=0.92,
        scale="logit",
        trials=TEST_SIZE,
        control=accuracies["network\nwithout the bend"],
        control_is="the same network, trained alike, without tanh in its hidden layer",
        source="Rumelhart, Hinton & Williams 1986 (hidden units learn what a line cannot do)",
    )

# %% [markdown]
# The control has as many parameters and the same training. So it is the bend that counts, not the number of weights.
# And what does the border look like that the network found?

# %% tags=["experiment", "drawing"]
if lab.solved("perceptron", "Value", "backward"):
    across, up = np.meshgrid(np.linspace(-1.8, 2.8, 56), np.linspace(-1.4, 1.9, 40))
    grid = np.stack([across.ravel(), up.ravel()], axis=1).tolist()
    sums = np.array([output(networks[0], point).data for point in grid]).reshape(across.shape)
    points, labels, *_ = moons(SEEDS[0])
    fig, ax = plt.subplots(figsize=(7.5, 3.6))
    ax.contour(across, up, sums, levels=[0], colors="0.1")
    draw_points(ax, points, labels)
    draw_line(ax, *perceptron(points, labels, epochs=50)[:2], "the perceptron's line", color="0.4", linestyle=":")
    ax.set(xlim=(-1.8, 2.8), ylim=(-1.4, 1.9), xlabel="first coordinate", ylabel="second coordinate")
    fig.legend(loc="outside right upper")
    figures.show(
        fig,
        alt="Two moons of training points that reach into each other. A solid curve winds between them. A dotted line cuts "
        "through both.",
        caption="Solid: where the network of the first replicate is undecided. Dotted: the perceptron after fifty epochs.",
    )

# %% [markdown]
# Do not read too much into the curve far from the points: nothing there was ever corrected. And do not read too much
# into the perceptron's place either: without a separating line it never rests, so where it is after 50 epochs is an
# accident of the order. Its wide spread shows that.

# %% [markdown] exercise="sgd_step" difficulty=2 importance=3 minutes=15 points=3 optional=true
# ### An update with momentum
#
# A step downhill forgets what came before it. **Momentum** lets a parameter keep some of its velocity $v$, like a ball
# that rolls. Suppose that the parameter is 1, its velocity 0.5, its gradient 2, with $\mu = 0.9$ and $\eta = 0.1$. Then
# the new velocity is $0.9 \cdot 0.5 - 0.1 \cdot 2 = 0.25$, and the new parameter is $1.25$: it still moves up, against
# the gradient.
#
# $$ v \leftarrow \mu\, v - \eta\, g, \qquad \theta \leftarrow \theta + v $$


# %% solution="sgd_step"
def sgd_step(parameters, velocities, learning_rate, momentum):
    """One update with momentum. Changes `data` of each parameter; returns the list of the new velocities.

    parameters: a list of Values, whose `grad` is set; velocities: a list of as many numbers.

    >>> p = Value(1.0)
    >>> p.grad = 2.0
    >>> velocities = sgd_step([p], [0.5], learning_rate=0.1, momentum=0.9)  # now velocities[0] is 0.25, p.data is 1.25
    """
    ### BEGIN SOLUTION
    velocities = [momentum * v - learning_rate * p.grad for p, v in zip(parameters, velocities)]
    for p, v in zip(parameters, velocities):
        p.data += v
    return velocities
    ### END SOLUTION


# %% [markdown] hint="sgd_step"
# First all new velocities, then all parameters. Which of the two velocities, the old or the new one, moves the
# parameter?

# %% [markdown] hint="sgd_step"
# `momentum * v - learning_rate * p.grad` is the new velocity of a parameter `p` whose velocity was `v`. Add it to
# `p.data`.

# %% [markdown] why="sgd_step"
# With $\mu = 0$ this is the plain update. With a constant gradient the velocity tends to $-\eta g / (1 - \mu)$, so
# $\mu = 0.9$ means up to ten times longer steps where the direction stays, and hardly longer ones where it keeps
# turning. Lab 3 looks closer.


# %% checks="sgd_step"
def use_sgd(answer, start, gradients, learning_rate, momentum):
    """Parameters and velocities after each of several updates with the given gradients [updates, parameters]."""

    class Parameter:
        def __init__(self, data):
            self.data, self.grad, self.parents, self.slopes = data, 0.0, (), ()

    parameters = [Parameter(number) for number in start]
    velocities, history = [0.0] * len(start), []
    for row in gradients:
        for parameter, gradient in zip(parameters, row):
            parameter.grad = gradient
        velocities = answer["sgd_step"](parameters, velocities, learning_rate, momentum)
        if not isinstance(velocities, (list, tuple)):
            return type(velocities).__name__
        history.append([[one.data for one in parameters], list(velocities), [one.grad for one in parameters]])
    return history


def sgd_wrong(got, start, gradients, learning_rate, momentum):
    """What is wrong with the history of updates, against torch.optim.SGD, or None."""
    import torch

    if isinstance(got, str):
        return f"return the list of the new velocities, not {got}"
    theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=learning_rate, momentum=momentum)
    for number, (row, (data, velocities, left)) in enumerate(zip(gradients, got), 1):
        before = theta.detach().clone().numpy()
        theta.grad = torch.tensor(row, dtype=torch.float64)
        optimizer.step()
        moved = theta.detach().numpy() - before
        if wrong := compare(np.asarray(data) - before, moved, f"the step of update {number}"):
            if compare(data, before) is None:
                late = "the old velocity moves the parameters: use the new one" if number == 1 else ""
                return late or "the parameters do not move: change `data` of each parameter"
            if compare(np.asarray(data) - before, -moved) is None:
                return "the parameters move uphill: the gradient is subtracted"
            if compare(np.asarray(data) - before, -learning_rate * np.array(row)) is None:
                return f"update {number} forgets the velocity: keep momentum times what it was"
            return wrong
        if wrong := compare(velocities, moved, f"the list of velocities after update {number}"):
            return wrong
        if wrong := compare(left, row, "the list of gradients afterwards"):
            return f"{wrong}: an update leaves `grad` alone"


@checks("sgd_step")
def without_momentum(rng):
    """is the plain update where the momentum is 0"""
    start, gradients = rng.normal(size=4).tolist(), rng.normal(size=(3, 4)).tolist()
    arguments = start, gradients, float(rng.uniform(0.05, 0.5)), 0.0
    return sgd_wrong((yield call(use_sgd, *arguments)), *arguments)


@checks("sgd_step")
def with_momentum_as_torch(rng):
    """moves parameters as torch.optim.SGD does, over several updates with momentum"""
    for n in (5, 1):
        start, gradients = rng.normal(size=n).tolist(), rng.normal(size=(6, n)).tolist()
        arguments = start, gradients, float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.5, 0.95))
        if wrong := sgd_wrong((yield call(use_sgd, *arguments)), *arguments):
            return wrong


@checks("sgd_step")
def rolls_on(rng):
    """rolls on with momentum when the gradient is 0"""
    start, rate, momentum = [0.0], 0.5, float(rng.uniform(0.3, 0.9))
    gradients = [[1.0], [0.0], [0.0]]
    got = yield call(use_sgd, start, gradients, rate, momentum)
    return sgd_wrong(got, start, gradients, rate, momentum)


# %% right="sgd_step"
def sgd_step(parameters, velocities, learning_rate, momentum):
    new = []
    for i in range(len(parameters)):
        new.append(velocities[i] * momentum)
        new[i] -= parameters[i].grad * learning_rate
        parameters[i].data = parameters[i].data + new[i]
    return new


# %% right="sgd_step"
def sgd_step(parameters, velocities, learning_rate, momentum):
    gradients = np.array([p.grad for p in parameters])
    new = momentum * np.array(velocities) - learning_rate * gradients
    for p, v in zip(parameters, new.tolist()):
        p.data += v
    return new.tolist()


# %% wrong="sgd_step" message="move uphill"
def sgd_step(parameters, velocities, learning_rate, momentum):
    velocities = [momentum * v + learning_rate * p.grad for p, v in zip(parameters, velocities)]
    for p, v in zip(parameters, velocities):
        p.data += v
    return velocities


# %% wrong="sgd_step" message="use the new one"
def sgd_step(parameters, velocities, learning_rate, momentum):
    for p, v in zip(parameters, velocities):
        p.data += v
    return [momentum * v - learning_rate * p.grad for p, v in zip(parameters, velocities)]


# %% wrong="sgd_step" message="return the list of the new velocities, not NoneType"
def sgd_step(parameters, velocities, learning_rate, momentum):
    for i, p in enumerate(parameters):
        velocities[i] = momentum * velocities[i] - learning_rate * p.grad
        p.data += velocities[i]


# %% wrong="sgd_step" message="update 2 forgets the velocity"
def sgd_step(parameters, velocities, learning_rate, momentum):
    for p in parameters:
        p.data -= learning_rate * p.grad
    return [-learning_rate * p.grad for p in parameters]


# %% wrong="sgd_step" message="times too small"
def sgd_step(parameters, velocities, learning_rate, momentum):
    velocities = [momentum * v - (1 - momentum) * learning_rate * p.grad for p, v in zip(parameters, velocities)]
    for p, v in zip(parameters, velocities):
        p.data += v
    return velocities


# %% wrong="sgd_step" message="the list of velocities after update 1"
def sgd_step(parameters, velocities, learning_rate, momentum):
    new = [momentum * v - learning_rate * p.grad for p, v in zip(parameters, velocities)]
    for p, v in zip(parameters, new):
        p.data += v
    return velocities


# %% wrong="sgd_step" message="leaves `grad` alone"
def sgd_step(parameters, velocities, learning_rate, momentum):
    new = [momentum * v - learning_rate * p.grad for p, v in zip(parameters, velocities)]
    for p, v in zip(parameters, new):
        p.data += v
        p.grad = 0.0
    return new


# %%
lab.check("sgd_step")

# %% [markdown]
# Now train on the moons with and without momentum, at one small learning rate, from the same initial parameters and
# with the same batches:


# %% tags=["experiment"]
def losses_with(momentum, seed):
    """The loss of every batch, at a twentieth of the learning rate above."""
    velocities = [0.0] * (4 * HIDDEN + 1)

    def step(parameters, learning_rate):
        velocities[:] = sgd_step(parameters, velocities, learning_rate, momentum)

    return train(seed, MOMENTUM_UPDATES, step=step, learning_rate=LEARNING_RATE / 20)[1]


if lab.solved("Value", "backward", "sgd_step"):
    without, with_momentum = (np.array([losses_with(momentum, seed) for seed in SEEDS]) for momentum in (0.0, 0.9))
    fig, ax = plt.subplots(figsize=(6, 3.4))
    for losses, name in ((without, "without momentum"), (with_momentum, "momentum 0.9")):
        smooth = losses.reshape(REPLICATES, -1, 10).mean(2)
        figures.lines_with_spread(ax, np.arange(10, MOMENTUM_UPDATES + 1, 10), smooth, name, markevery=1)
    ax.set(xlabel="updates", ylabel="mean hinge loss of ten batches", ylim=(0, None))
    ax.legend()
    figures.show(
        fig,
        alt="Hinge loss against updates with and without momentum. With momentum it falls faster.",
        caption="Thin lines are replicates. Both start from the same parameters and see the same batches.",
    )

# %% [markdown]
# This is an observation at *one* learning rate, not a claim about momentum: the fair comparison gives each method its
# own best learning rate. Lab 3 does that.
#
# ## 8. What you have built
#
# 1. **A threshold unit**, and gates made of it (section 1).
# 2. **Rosenblatt's rule**, with a bound on its mistakes, and the proof that XOR is out of its reach (sections 2 to 4).
# 3. **A network of two layers** for the XOR of any number of inputs (section 5).
# 4. **An engine** that differentiates every program made of its operations (section 6). PyTorch's is larger and works
#    on arrays; the idea is the same.
# 5. **A measurement** of what the bend adds, against a network that has all else (section 7).
#
# **Limits of this evidence.** Two small problems in the plane, made for this purpose. The learning rate and the number
# of updates were chosen on other replicates, for the network with the bend; the control got the same ones. The bound on
# mistakes says nothing about held-out examples. And that a hidden layer *can* hold a solution does not say that
# training finds it: on two moons it did.
#
# ### Your turn
#
# 1. Set `HIDDEN = 2`. Does the claim still hold? Say first what you expect. Which shapes can the border still have?
# 2. Add `__pow__` or `exp` to `Value`, and train with the squared or the logistic loss instead.
# 3. Average the perceptron's weights over all steps of all epochs instead of taking the last ones. What happens to its
#    spread on two moons?
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

# %% tags=["nbval-ignore-output"]
check.progress()

# %% [markdown]
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next
# notebook.
