# %% [markdown]
# # What does a connection remember?
#
# **In one sentence:** (copy this file to `labs/source/labNN_topic.py` and write your own) a rule from 1949 stores examples
# without ever comparing an answer; it recalls them as long as they do not overlap.
#
# After this lab you can
#
# 1. **write** Hebb's rule;
# 2. **measure** how many examples it recalls, and say what the control is.
#
# **You need** notebook 00.
#
# {exercises}
#
# Below each exercise stand hints and a solution. Unfold them when you need them. A check draws new inputs each time.

# %%
import matplotlib.pyplot as plt
import numpy as np

from labcheck import check
from labkit import figures
from labkit.evidence import claim, predict

figures.style()
lab = check.lab("template")

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
INPUTS = 100  # of each example

# %% [markdown]
# ## 1. A rule without a teacher
#
# When one cell repeatedly takes part in firing another, their connection grows, Donald Hebb proposed. For inputs and
# labels that are given together, each weight becomes the mean of input times label:
#
# $$ w = \frac{1}{n} \sum_{i=1}^{n} y_i\, x_i . $$

# %% [markdown] exercise="hebb" difficulty=1 importance=3 minutes=10 points=2
# ### Hebb's rule
#
# The first of two examples is $x = (1, 1)$ with $y = +1$, the second $x = (1, -1)$ with $y = -1$. Then $w = (0, 1)$: the
# first input says nothing about the label, the second all. Write the formula.


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
# Each row of `inputs` is to be multiplied by its label. Which axis does the mean run over?

# %% [markdown] hint="hebb"
# `labels[:, None]` is a column: it multiplies each row of `inputs` by its label.

# %% [markdown] hint="hebb"
# A product of a vector and a matrix, `labels @ inputs`, multiplies and adds up. What is left is the division.

# %% [markdown] why="hebb"
# `labels @ inputs` sums label times input over the examples. The rule looks at each example once and in no order, and it
# never asks whether the answer is right.

# %% checks="hebb"
import numpy as np

agrees(
    "hebb",
    "is the mean over examples of label times input",
    draw=lambda make: (make.numbers(n := make.size(1, 12), make.size(1, 9)), make.labels(n)),
    reference=lambda inputs, labels: np.mean([y * x for x, y in zip(inputs, labels)], axis=0),
    misreadings={
        "divide by the number of examples: a mean, not a sum": lambda inputs, labels: labels @ inputs,
        "multiply each input by its label before you take the mean": lambda inputs, labels: inputs.mean(axis=0),
        "the mean runs over the wrong axis: take it over the examples": lambda x, y: (y[:, None] * x).mean(axis=1),
        "the sign is wrong: add label times input": lambda inputs, labels: -(labels @ inputs) / len(inputs),
        "an example that comes twice counts twice": lambda x, y: np.unique(y[:, None] * x, axis=0).mean(axis=0),
    },
)


# %% right="hebb"
def hebb(inputs, labels):
    total = np.zeros(inputs.shape[1])
    for x, y in zip(inputs, labels):
        total = total + y * x
    return total / len(labels)


# %% patches="hebb"
[
    ("labels @ inputs / len(inputs)", "np.einsum('n,nd->d', labels, inputs).astype(np.float32) / len(labels)", ""),
    ("labels @ inputs / len(inputs)", "labels @ inputs", "a mean, not a sum"),
    ("labels @ inputs / len(inputs)", "inputs.mean(axis=0)", "multiply each input by its label"),
    ("labels @ inputs / len(inputs)", "(labels[:, None] * inputs).mean()", "one number came back for several"),
    ("    return labels", "    inputs *= 2\n    return labels", "in place"),
]  # fmt: skip

# %%
lab.check("hebb")

# %% [markdown]
# ### Experiment 1: how many examples does it recall?
#
# Draw random patterns of +1 and −1, with random labels. An example is recalled when the sign of its sum is its label. The
# control has the same patterns and labels, but its weights are learned from labels that were shuffled.

# %%
guess = predict(
    "Hebb's rule has learned 10 patterns of 100 numbers. How many are recalled?", ["all", "about half", "none"]
)


# %% tags=["experiment"]
def recalled(seed, n, shuffled=False):
    """The share of n examples whose label the weights give back."""
    rng = np.random.default_rng(seed)
    inputs, labels = rng.choice([-1.0, 1.0], (n, INPUTS)), rng.choice([-1, 1], n)
    weights = hebb(inputs, rng.permutation(labels) if shuffled else labels)
    return np.mean(np.sign(inputs @ weights) == labels)


SIZES = [5, 10, 20, 50, 100, 200]
if lab.solved("hebb"):
    seeds = range(BASE_SEED, BASE_SEED + REPLICATES)
    shares = np.array([[recalled(seed, n) for n in SIZES] for seed in seeds])
    control = np.array([recalled(seed, 10, shuffled=True) for seed in seeds])
    of_ten = shares[:, SIZES.index(10)].mean()
    guess.resolve([of_ten > 0.9, 0.3 < of_ten < 0.9, of_ten < 0.3])

# %% tags=["experiment", "drawing"]
if lab.solved("hebb"):
    fig, ax = plt.subplots(figsize=(5.5, 3.2))
    figures.lines_with_spread(ax, SIZES, shares, "Hebb's rule", markevery=1)
    ax.set(xlabel="examples learned", ylabel="share recalled", ylim=(0, 1.05), xscale="log")
    figures.show(
        fig,
        alt="Share of examples recalled against the number that was learned. It starts at one and falls.",
        caption="Thin lines are replicates. The more examples there are, the more they disturb each other.",
    )

# %% tags=["experiment"]
if lab.solved("hebb"):
    claim(
        "Hebb's rule recalls at least nine in ten of 10 random patterns of 100 numbers",
        shares[:, SIZES.index(10)],
        at_least=0.9,
        control=control,
        control_is="the same patterns, learned with shuffled labels",
        source="Hebb 1949 (the rule)",
    )

# %% [markdown]
# ## 2. What you have built
#
# **Limits of this evidence.** Random patterns are nearly orthogonal; real inputs are not.
#
# **Today.** (Where this is used, and what is disputed, with sources.)
#
# ### Your turn
#
# 1. Add the same number to all inputs. What happens, and why?
# 2. At how many examples is half of the recall gone for 200 inputs, for 400?
#
# ### References
#
# - Hebb 1949, *The Organization of Behavior*, Wiley

# %% tags=["nbval-ignore-output"]
check.progress()
