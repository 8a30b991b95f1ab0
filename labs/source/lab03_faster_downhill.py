# %% [markdown]
# # How do you get downhill faster?
#
# **In one sentence:** you build the optimizers that train nearly every network today,
# from momentum to AdamW, with their schedules and gradient clipping; you prove each
# equal to PyTorch's; and you measure over five replicates when they pay and when they
# cost, each at its own best rate and each against a control.
#
# After this lab you can
#
# 1. **write** momentum, Nesterov's momentum, RMSProp, Adam and AdamW;
# 2. **predict** what happens to an adaptive method when its valley is turned;
# 3. **compare** optimizers fairly: equal budgets, each at a rate inside its own grid;
# 4. **choose** a schedule, and say when it only costs;
# 5. **enter** an optimizer of your own into the race.
#
# **You need** notebooks 00 to 02 (update, batch, replicate, claim, control; depth,
# skip connections, normalisation) and the idea of cross-entropy (notebook 00, lab 2).
#
# {exercises}
#
# Below each exercise stand hints and a solution. Unfold them when you need them: ten
# minutes of being stuck teach something, an hour seldom does. A check draws new inputs
# each time, so it cannot be satisfied by heart.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from labcheck import check
from labkit import figures
from labkit.evidence import claim, predict

figures.style()
lab = check.lab("lab03_faster_downhill")

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
BOWLS = 10  # valleys in a replicate of experiment 1
RACE_UPDATES, RACE_BATCH = 120, 64  # of experiment 2
SHORT, LONG = 100, 1000  # the two budgets of section 5, in updates
TRANSFORMER_UPDATES, WARM = 200, 100  # of experiment 3
RECALL_UPDATES = 250  # of section 7

# %% [markdown]
# ## 1. A narrow valley
#
# Stand in a valley that is a hundred times as steep across as along:
#
# $$ f(x_1, x_2) = \tfrac12 \left( x_1^2 + 100\, x_2^2 \right), \qquad
# g = \nabla f = (x_1,\ 100\, x_2) . $$
#
# Gradient descent, $x \leftarrow x - \eta\, g$, multiplies $x_1$ by $1 - \eta$ and
# $x_2$ by $1 - 100\,\eta$ in each update. If $\eta$ is over $2/100$, then $x_2$ grows
# without end. So the steep direction limits the **rate** $\eta$ (the learning rate),
# and the flat one has to wait. How long?

# %%
rate = 1.9 / 100  # just below the limit
updates = math.ceil(math.log(1 / 1000) / math.log(1 - rate))
print(f"{updates} updates, until x1 is a thousandth of what it was")

# %% [markdown]
# **The form of an optimizer.** In this lab an optimizer is a function that makes *one*
# update. It is given the parameters `x`, their gradient `g`, a `state` and the rate. It
# returns the new parameters and the new state. The state is its memory: `{}` before the
# first update, and afterwards whatever dictionary it returned last. Gradient descent
# remembers nothing:


# %%
def descent(x, g, state, rate):
    """One update of gradient descent: (new parameters, new state)."""
    return x - rate * g, {}


x, state = np.array([10.0, 1.0]), {}
for _ in range(3):
    x, state = descent(x, x * [1, 100], state, rate=0.019)
    print(np.round(x, 3).tolist())

# %% [markdown]
# The second number swings from side to side; the first one crawls.
#
# **Momentum** (Polyak 1964) remembers. It adds up the gradients in a **velocity** $v$,
# of which each update keeps the share $\beta$:
#
# $$ v \leftarrow \beta\, v + g, \qquad x \leftarrow x - \eta\, v . $$
#
# By hand, with $\beta = 0.9$ and $v = 0$ at the start. *Along* the valley the gradient
# hardly changes. Let it be 1 each time: then $v$ is $1$, $1.9$, $2.71$, …, and comes to
# $1 / (1 - \beta) = 10$. *Across* the valley it changes its sign. Let it be $1$, $-1$,
# $1$, …: then $v$ is $1$, $-0.1$, $0.91$, …, and swings at last between $\pm 0.53$. So
# momentum goes ten times as far where gradients agree, and half as far where they
# cancel.
#
# **Nesterov's momentum** looks one step ahead. In PyTorch's form it keeps the same $v$,
# and moves by $g + \beta\, v$ with the *new* $v$:
#
# $$ v \leftarrow \beta\, v + g, \qquad x \leftarrow x - \eta\, (g + \beta\, v) . $$
#
# For $g = 1$ at the first update: $v = 1$, and the step is $\eta \cdot 1.9$.

# %% [markdown] exercise="momentum" difficulty=2 importance=5 minutes=20 points=4
# ### Momentum, plain and Nesterov's
#
# Write one update of both. Work on each number of `x` by itself, so that any shape
# will do. Three rules hold for every optimizer of this lab:
#
# - **Leave `x` and `g` as they are** and return new arrays. (`x -= ...` would change
#   the caller's own.)
# - **Keep all memory in `state`**, in a dictionary of your making. Two networks that are
#   trained in turn must not disturb each other.
# - **The rate can change** from update to update, and it can be an array that has one
#   rate for each number of `x`. So it belongs into the step, and not into the velocity.


# %% solution="momentum"
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    """One update of momentum: (new parameters, new state).

    x, g: arrays of one shape; state: {} before the first update, then what the last
    call returned; rate: a number, or an array of the shape of x.

    >>> x, state = momentum(np.array([5.0]), np.array([1.0]), {}, rate=1.0)
    >>> x, state = momentum(x, np.array([1.0]), state, rate=1.0)
    >>> x.round(6)  # 5 - 1 - 1.9
    array([2.1])
    """
    ### BEGIN SOLUTION
    velocity = beta * state.get("velocity", 0) + g
    step = g + beta * velocity if nesterov else velocity
    return x - rate * step, {"velocity": velocity}
    ### END SOLUTION


# %% [markdown] hint="momentum"
# What must the next call know of this one? Only that belongs into the state. At the
# first call it is not there yet: which number stands for "no velocity so far"?

# %% [markdown] hint="momentum"
# `state.get("velocity", 0)` is the old velocity, or 0 where there is none. The new one
# is `beta` times that, plus `g`. Return it in a new dictionary.

# %% [markdown] hint="momentum"
# The step is `velocity`, or `g + beta * velocity` for Nesterov's, with the velocity of
# *this* update. Return `x - rate * step, {"velocity": velocity}`.

# %% [markdown] why="momentum"
# The velocity is made of gradients alone. If you put the rate into it,
# $v \leftarrow \beta v - \eta g$, all is the same until the rate changes: then old
# gradients keep their old rates. Both forms are in use (Sutskever et al. 2013 write
# this one); PyTorch's is the one above.
#
# Common mistakes: $(1 - \beta)\, g$ instead of $g$, which makes steps ten times
# shorter; Nesterov's step with the *old* velocity; `x -= ...`, which changes the
# caller's array; a velocity that lives outside of `state`.

# %% checks="momentum"
import numpy as np
import torch


def use_updates(answer, name, x, gradients, rates, settings):
    """The positions after each update, for two rows of x in turn, each with a state of its own; or what is wrong."""
    import numpy as np

    step, rows, states, path = answer[name], [row.copy() for row in x], [{}, {}], []
    kept = gradients.copy()
    for g, rate in zip(gradients, rates):
        for i in (0, 1):
            before = rows[i].copy()
            found = step(rows[i], g[i], states[i], rate, **settings)
            if not isinstance(found, (tuple, list)) or len(found) != 2:
                return "None" if found is None else "no pair"
            if not np.array_equal(rows[i], before):
                return "changes x"
            if not np.array_equal(gradients, kept):
                return "changes g"
            if np.shape(found[0]) != before.shape:
                return f"shape {np.shape(found[0])} {before.shape}"
            rows[i], states[i] = np.array(found[0], dtype=float), found[1]
        path.append([row.copy() for row in rows])
    return path


def explain_updates(got, expected, *arguments):
    """What is said of a result that is no path; or of one that is right for one of two networks only."""
    if not isinstance(got, str):
        return None
    if got.startswith("shape"):
        return "the new parameters must have the shape of x: work on each number by itself"
    return {
        "None": "None came back; is a `return` missing? Return the pair (new parameters, new state)",
        "no pair": "return two things: the new parameters and the new state",
        "changes x": "`x` is changed in place, which its caller still needs: write x - ..., not x -= ...",
        "changes g": "a gradient is changed in place, at once or by a later call: work on a copy",
    }[got]


def updates_of(name, *choices, most=50, scale=1.0):
    """A draw of two parameter arrays, gradients of some updates, their rates, and one of these settings, in turn."""

    def draw(make):
        n, count = make.size(1, 5), make.size(1, most) if make.kind == "smallest" else make.size(most // 2, most)
        gradients = scale * make.numbers(count, 2, n)
        if make.kind not in ("large", "tiny"):
            gradients = gradients + 0.25 * (make.number % 3)  # some with a drift
        if make.kind == "zeros":
            gradients[0] = 0.0
        shape = (count, 1) if make.number % 2 else (count, n)
        rates = 2.0 ** -make.rng.integers(3, 7, shape)
        rates = [row if row.size == n and make.number % 2 == 0 else float(row[0]) for row in rates]
        return name, make.numbers(2, n), gradients, rates, dict(make.one_of(*choices))

    return draw


def torch_path(build):
    """The path of an optimizer of PyTorch: each number of a row is a parameter group, since rates may differ."""

    def path(name, x, gradients, rates, settings):
        columns = [torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in x.T]
        optimizer = build([{"params": [column]} for column in columns], **settings)
        found = []
        for g, rate in zip(gradients, rates):
            rates_now = np.broadcast_to(rate, len(columns))
            for group, column, slope, own in zip(optimizer.param_groups, columns, g.T, rates_now):
                group["lr"], column.grad = float(own), torch.tensor(slope, dtype=torch.float64)
            optimizer.step()
            found.append(torch.stack([column.detach() for column in columns], 1).numpy().copy())
        return found

    return path


def momentum_by_hand(name, x, gradients, rates, settings):
    beta, nesterov, path = settings.get("beta", 0.9), settings.get("nesterov", False), []
    v = np.zeros_like(x)
    for g, rate in zip(gradients, rates):
        old = v
        v = beta * v + g
        step = g + beta * v if nesterov else v
        x = x - rate * step
        path.append(x)
    return path


def sgd(groups, beta=0.9, nesterov=False):
    return torch.optim.SGD(groups, lr=1.0, momentum=beta, nesterov=nesterov)


WITH_RATE = ("v = beta * v + g\n", "v = beta * v + rate * g\n        g, rate = rate * g, 1.0\n")
MOMENTUM = {
    "the velocity adds the gradient itself: beta * v + g, without (1 - beta)": ("beta * v + g\n", "beta * v + (1 - beta) * g\n"),
    "the rate belongs into the step and not into the velocity: it may be another at the next update": WITH_RATE,
    "remember the velocity: yours begins at 0 in each update": ("v = beta * v + g\n", "v = g\n"),
    "the velocity must forget: multiply the old one by beta": ("v = beta * v + g\n", "v = v + g\n"),
    "the sign is wrong: go against the gradient": ("x - rate", "x + rate"),
    "step by the new velocity: yours is one update behind": ("else v", "else old"),
    "multiply the old velocity by beta, and not the gradient too": ("v = beta * v + g\n", "v = beta * (v + g)\n"),
    "use `beta`, and 0.9 where it is not given": ('settings.get("beta", 0.9)', "0.9"),
    "what the next update needs is the velocity, not the whole step": ("        x = x - rate * step", "        v = step\n        x = x - rate * step"),
}  # fmt: skip
NESTEROV = MOMENTUM | {
    "Nesterov's step is g + beta * v: yours is that of plain momentum": ("if nesterov", "if False"),
    "Nesterov's step takes the velocity of this update: yours takes the old one": ("g + beta * v if", "g + beta * old if"),
    "Nesterov's step is g + beta * v: the gradient is missing": ("g + beta * v if", "beta * v if"),
    "Nesterov's step is g + beta * v: beta is missing": ("g + beta * v if", "g + v if"),
    "Nesterov's step adds g to beta * v: yours adds it to v twice": ("g + beta * v if", "v + beta * v if"),
}
PLAIN = ("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "plain", "square")
FIRST = "do two updates by hand, as in the text: what is remembered, and what is the step?"
agrees("momentum", "equals torch.optim.SGD with momentum, over up to 50 updates", target=use_updates, draw=updates_of("momentum", {}, {"beta": 0.5}, {"nesterov": False, "beta": 0.75}),
       kinds=PLAIN, reference=torch_path(sgd), written=momentum_by_hand, misreadings=MOMENTUM, explain=explain_updates, hint=FIRST)  # fmt: skip
agrees("momentum", "equals it with nesterov=True, too", target=use_updates, draw=updates_of("momentum", {"nesterov": True}, {"beta": 0.5, "nesterov": True}),
       kinds=PLAIN, reference=torch_path(sgd), written=momentum_by_hand, misreadings=NESTEROV, explain=explain_updates, hint=FIRST)  # fmt: skip

# %% patches="momentum"
[
    ('state.get("velocity", 0)', 'state.get("velocity", np.zeros_like(x))', ""),
    ('    velocity = beta * state.get("velocity", 0) + g\n', '    velocity = g.copy() if not state else state["v"] * beta + g\n    state["v"] = velocity\n', ""),
    ("return x - rate * step", "return np.float32(x - rate * step)", ""),
    ('+ g\n    step', '+ (1 - beta) * g\n    step', "without (1 - beta)"),
    ('return x - rate * step', 'x -= rate * step\n    return x', "x - ..., not x -= ..."),
    ('beta * state.get("velocity", 0) + g', 'beta * state.get("velocity", 0) + rate * g', "the rate belongs into the step"),
    ('velocity = beta * state.get("velocity", 0) + g', "velocity = momentum.__dict__['v'] = beta * momentum.__dict__.get('v', 0) + g", "differ"),
    ("step = g + beta * velocity if nesterov else velocity", "step = velocity", "that of plain momentum"),
    ("g + beta * velocity if", "g + beta * state.get('velocity', 0) if", "yours takes the old one"),
    ('{"velocity": velocity}', '{"velocity": step}', "not the whole step"),
    (', {"velocity": velocity}', "", "return two things"),
    ("    return x - rate * step", "    velocity *= beta\n    velocity += 0\n    return x - rate * step", "differ"),
    ("    velocity = beta", "    g *= 1.0 + 1e-9\n    velocity = beta", "a gradient is changed in place"),
]  # fmt: skip

# %%
lab.check("momentum")

# %% [markdown]
# ## 2. A rate for every number
#
# Momentum has one rate for all. Could each number of $x$ have its own? The number with
# gradients around 100 should go at a small rate, the one with gradients around 1 at a
# large one. **RMSProp** (Tieleman & Hinton 2012) divides each gradient by its usual
# size. It keeps a running mean of *squared* gradients, number by number:
#
# $$ s \leftarrow \alpha\, s + (1 - \alpha)\, g^2, \qquad
# x \leftarrow x - \eta\, \frac{g}{\sqrt{s} + \varepsilon} . $$
#
# $\sqrt{s}$ is a root mean square, hence the name. The tiny $\varepsilon$ saves us from
# dividing by 0. By hand, with $\alpha = 0.99$, $s = 0$ at first and $g = (1, 100)$:
# $s = (0.01, 100)$, $\sqrt{s} = (0.1, 10)$, so the step is $\eta \cdot (10, 10)$. Both
# numbers move equally far, whatever their gradients' size.

# %% [markdown] exercise="rmsprop" difficulty=2 importance=4 minutes=15 points=3
# ### RMSProp
#
# Write one update, under the three rules of the first exercise. Where all gradients of
# a number have been 0, it stays where it is.


# %% solution="rmsprop"
def rmsprop(x, g, state, rate, alpha=0.99, eps=1e-8):
    """One update of RMSProp: (new parameters, new state).

    x, g: arrays of one shape; state: {} before the first update, then what the last
    call returned; rate: a number, or an array of the shape of x.

    >>> x, state = rmsprop(np.array([20.0, 20.0]), np.array([1.0, 100.0]), {}, rate=1.0)
    >>> x.round(3)
    array([10., 10.])
    """
    ### BEGIN SOLUTION
    square = alpha * state.get("square", 0) + (1 - alpha) * g**2
    return x - rate * g / (np.sqrt(square) + eps), {"square": square}
    ### END SOLUTION


# %% [markdown] hint="rmsprop"
# The memory is $s$. It has the shape of `x`, since each number has its own. What is it
# before the first update?

# %% [markdown] hint="rmsprop"
# `square = alpha * state.get("square", 0) + (1 - alpha) * g**2`. The step uses the new
# one.

# %% [markdown] hint="rmsprop"
# Divide by `np.sqrt(square) + eps`: the root first, then the epsilon.

# %% [markdown] why="rmsprop"
# The gradient above the line has its sign and its size *now*, the root below the line
# its usual size. So a step is about $\pm\eta$, whatever the units of $g$. Common
# mistakes: $\varepsilon$ inside the root, where a gradient of a millionth vanishes
# beside it; a sum of squares instead of a mean (that is AdaGrad, Duchi et al. 2011,
# whose steps shrink for ever); one size for the whole array.


# %% checks="rmsprop"
def rmsprop_by_hand(name, x, gradients, rates, settings):
    alpha, eps, path = settings.get("alpha", 0.99), settings.get("eps", 1e-8), []
    s = np.zeros_like(x)
    for t, (g, rate) in enumerate(zip(gradients, rates), 1):
        old = s
        s = alpha * s + (1 - alpha) * g**2
        below = np.sqrt(s) + eps
        x = x - rate * g / below
        path.append(x)
    return path


def rmsprop_of_torch(groups, alpha=0.99, eps=1e-8):
    return torch.optim.RMSprop(groups, lr=1.0, alpha=alpha, eps=eps)


RMSPROP = {
    "epsilon stands outside of the root: the root first, then + eps": ("np.sqrt(s) + eps", "np.sqrt(s + eps)"),
    "epsilon is missing: where all gradients were 0, yours divides 0 by 0": ("np.sqrt(s) + eps", "np.sqrt(s)"),
    "take the root of the mean square": ("np.sqrt(s) + eps", "s + eps"),
    "a running mean: multiply the new square by (1 - alpha)": ("+ (1 - alpha) * g**2", "+ g**2"),
    "a mean and not a sum: that is AdaGrad, multiply the old one by alpha and the new one by (1 - alpha)": ("alpha * s + (1 - alpha) * g**2", "s + g**2"),
    "alpha is the share of the old mean, 1 - alpha that of the new square": ("alpha * s + (1 - alpha) * g**2", "(1 - alpha) * s + alpha * g**2"),
    "remember the mean square: yours begins at 0 in each update": ("alpha * s + (1 - alpha) * g**2", "(1 - alpha) * g**2"),
    "divide by the mean square that knows this gradient: yours is one update behind": ("np.sqrt(s) + eps", "np.sqrt(old) + eps"),
    "average the squares, not the gradients: the sign must not cancel": ("g**2", "g"),
    "average the squares, not the absolute values": ("g**2\n        below = np.sqrt(s) + eps", "abs(g)\n        below = s + eps"),
    "each number has a size of its own: do not average over the array": ("(1 - alpha) * g**2", "(1 - alpha) * np.mean(g**2, axis=1, keepdims=True)"),
    "the step is the gradient divided by its size: not its sign alone": ("rate * g / below", "rate * np.sign(g)"),
    "RMSProp corrects nothing for the start: leave the mean as it is": ("np.sqrt(s) + eps", "np.sqrt(s / (1 - alpha**t)) + eps"),
    "the sign is wrong: go against the gradient": ("x - rate", "x + rate"),
    "use `alpha`, and 0.99 where it is not given": ('settings.get("alpha", 0.99)', "0.99"),
    "use `eps`, and 1e-8 where it is not given": ('settings.get("eps", 1e-8)', "1e-8"),
    "the square starts at 0, also the first one is multiplied by (1 - alpha)": ("s = alpha * s + (1 - alpha) * g**2", "s = g**2 if t == 1 else alpha * s + (1 - alpha) * g**2"),
    "a gradient of 0 is one too: the mean square goes on, and shrinks": ("s = alpha * s + (1 - alpha) * g**2", "s = np.where(g == 0, s, alpha * s + (1 - alpha) * g**2)"),
}  # fmt: skip
EVERY = ("plain", "tiny", "zeros", "whole", "square", "smallest", "zeros", "tiny", "doubled", "large", "plain", "tiny")
SECOND = "do the example of the text by hand: what is averaged, and where does epsilon stand?"
LOOSE = {"rtol": 1e-4, "atol": 1e-5}
agrees("rmsprop", "equals torch.optim.RMSprop, over up to 50 updates", target=use_updates, draw=updates_of("rmsprop", {}, {"alpha": 0.5}, {"alpha": 0.75, "eps": 0.5}, {"eps": 1e-3}),
       kinds=EVERY, reference=torch_path(rmsprop_of_torch), written=rmsprop_by_hand, misreadings=RMSPROP, explain=explain_updates, hint=SECOND, tolerance=LOOSE)  # fmt: skip

# %% patches="rmsprop"
[
    ("np.sqrt(square)", "square**0.5", ""),
    ("    return x - rate * g / (np.sqrt(square) + eps)", "    move = np.divide(g, np.sqrt(square) + eps)\n    return x - np.multiply(rate, move)", ""),
    ('state.get("square", 0)', '(state["square"] if "square" in state else np.zeros(x.shape))', ""),
    ("np.sqrt(square) + eps", "np.sqrt(square + eps)", "the root first, then + eps"),
    ("np.sqrt(square) + eps", "np.sqrt(square)", "epsilon is missing"),
    ("np.sqrt(square) + eps", "square + eps", "take the root"),
    ("(1 - alpha) * g**2", "g**2", "multiply the new square by (1 - alpha)"),
    ('alpha * state.get("square", 0) + (1 - alpha) * g**2', 'state.get("square", 0) + g**2', "that is AdaGrad"),
    ("g**2", "np.mean(g**2)", "do not average over the array"),
    ("np.sqrt(square) + eps", "np.sqrt(np.sum(square)) + eps", "differ"),
    ("    return x", "    g /= 2\n    return x", "a gradient is changed in place"),
    ("rate * g /", "rate * np.sign(g) + 0 /", "not its sign alone"),
]  # fmt: skip

# %%
lab.check("rmsprop")

# %% [markdown]
# **Adam** (Kingma & Ba 2015) is both at once: a running mean $m$ of gradients above the
# line, as a velocity, and one of their squares, $s$, below it:
#
# $$ m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad
# s \leftarrow \beta_2 s + (1 - \beta_2)\, g^2 . $$
#
# Both begin at 0, so at first they are far too small. By hand, with $\beta_1 = 0.9$,
# $\beta_2 = 0.999$ and $g = 3$: $m = 0.3$ and $s = 0.009$, though the gradient is 3 and
# its square 9. In update $t = 1, 2, 3, \dots$ all weights of such a mean add up to
# $1 - \beta^t$. Divide by that:
#
# $$ \hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat s = \frac{s}{1 - \beta_2^t}, \qquad
# x \leftarrow x - \eta\, \frac{\hat m}{\sqrt{\hat s} + \varepsilon} . $$
#
# At $t = 1$: $\hat m = 3$, $\hat s = 9$, and the step is $\eta \cdot 3 / 3 = \eta$. What
# is stored, and averaged further, is $m$ and $s$ without the correction.
#
# **AdamW** (Loshchilov & Hutter 2019) also shrinks each weight a little in each update:
# it multiplies $x$ by $1 - \eta \lambda$, beside Adam's step. Before AdamW, people added
# $\lambda x$ to the gradient. Then it was divided by $\sqrt{\hat s}$ too, so weights
# with large gradients hardly shrank.

# %% [markdown] exercise="adam" difficulty=3 importance=5 minutes=25 points=5
# ### Adam and AdamW
#
# One function for both: with `decay` 0 it is Adam, and otherwise AdamW, with
# $\lambda$ = `decay`. The three rules hold here, too. By AdamW with $\eta = 0.1$ and
# $\lambda = 0.5$, $x = 10$ and $g = 3$ become $10 \cdot 0.95 - 0.1 = 9.4$.


# %% solution="adam"
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    """One update of Adam, or with decay > 0 of AdamW: (new parameters, new state).

    x, g: arrays of one shape; state: {} before the first update, then what the last
    call returned; rate: a number, or an array of the shape of x.

    >>> x, state = adam(np.array([10.0]), np.array([3.0]), {}, rate=0.1, decay=0.5)
    >>> x.round(6)
    array([9.4])
    """
    ### BEGIN SOLUTION
    t = state.get("t", 0) + 1
    mean = beta1 * state.get("mean", 0) + (1 - beta1) * g
    square = beta2 * state.get("square", 0) + (1 - beta2) * g**2
    size = np.sqrt(square / (1 - beta2**t)) + eps
    step = mean / (1 - beta1**t) / size
    new = (1 - rate * decay) * x - rate * step
    return new, {"t": t, "mean": mean, "square": square}
    ### END SOLUTION


# %% [markdown] hint="adam"
# The state has three entries: two means, and the number of updates so far. With which
# $t$ does the first update compute?

# %% [markdown] hint="adam"
# Begin with `t = state.get("t", 0) + 1`. Update both means. Then make the corrected
# ones *beside* them: `mean / (1 - beta1**t)`. Store those without the correction.

# %% [markdown] hint="adam"
# The last lines: `step = corrected_mean / (np.sqrt(corrected_square) + eps)`, and
# `(1 - rate * decay) * x - rate * step` for the new parameters.

# %% [markdown] why="adam"
# $\varepsilon$ comes after the root of the *corrected* square, as in PyTorch. Without
# the correction Adam's first step would be $0.1 / \sqrt{0.001} \approx 3.2$ times as
# long as the rate: the root of $1 - \beta_2$ is the larger mistake of the two.
#
# Common mistakes: $t = 0$ in the first update (a division by 0); the corrected means
# stored, and corrected again in the next update; `decay * x` added to the gradient;
# a decay without the rate, which does not fall when the rate does.


# %% checks="adam"
def adam_by_hand(name, x, gradients, rates, settings):
    beta1, beta2 = settings.get("beta1", 0.9), settings.get("beta2", 0.999)
    eps, decay, path = settings.get("eps", 1e-8), settings.get("decay", 0.0), []
    m, s = np.zeros_like(x), np.zeros_like(x)
    for t, (g, rate) in enumerate(zip(gradients, rates), 1):
        shrink = decay
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        above, below = m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t)) + eps
        x = x - rate * shrink * x - rate * above / below
        path.append(x)
    return path


def adam_of_torch(groups, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    return torch.optim.AdamW(groups, lr=1.0, betas=(beta1, beta2), eps=eps, weight_decay=decay)


ADAM = {
    "the correction for the start is missing: divide the means by 1 - beta**t": ("m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t))", "m, np.sqrt(s)"),
    "correct both means for the start: that of the squares is not": ("s / (1 - beta2**t)", "s"),
    "correct both means for the start: that of the gradients is not": ("m / (1 - beta1**t)", "m"),
    "the first update has t = 1: yours counts one too many": ("zip(gradients, rates), 1)", "zip(gradients, rates), 2)"),
    "t grows by 1 in each update: yours stays at 1": ("        above", "        t = 1\n        above"),
    "epsilon stands outside of the root: the root first, then + eps": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.sqrt(s / (1 - beta2**t) + eps)"),
    "epsilon comes after the correction: it is not corrected itself": ("np.sqrt(s / (1 - beta2**t)) + eps", "(np.sqrt(s) + eps) / np.sqrt(1 - beta2**t)"),
    "epsilon is missing: where all gradients were 0, yours divides 0 by 0": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.sqrt(s / (1 - beta2**t))"),
    "take the root of the mean square": ("np.sqrt(s / (1 - beta2**t))", "s / (1 - beta2**t)"),
    "store the means without the correction: yours are corrected again and again": ("        x = x", "        m, s = above, s / (1 - beta2**t)\n        x = x"),
    "above the line stands the mean of the gradients, not this gradient alone": ("above, below = m / (1 - beta1**t)", "above, below = g"),
    "beta1 is the share of the old mean, 1 - beta1 that of the new gradient": ("beta1 * m + (1 - beta1) * g", "(1 - beta1) * m + beta1 * g"),
    "a running mean: multiply the new gradient by (1 - beta1)": ("+ (1 - beta1) * g\n", "+ g\n"),
    "a running mean: multiply the new square by (1 - beta2)": ("(1 - beta2) * g**2", "g**2"),
    "average the squares of the gradients, not of their mean": ("* g**2", "* m**2"),
    "beta1 belongs to the mean, beta2 to the mean of the squares: yours are the wrong way round": ("beta1, beta2 = settings.get(\"beta1\", 0.9), settings.get(\"beta2\", 0.999)", "beta2, beta1 = settings.get(\"beta1\", 0.9), settings.get(\"beta2\", 0.999)"),
    "the correction is 1 - beta**t, a power: yours multiplies": ("m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t))", "m / (1 - beta1 * t), np.sqrt(np.abs(s / (1 - beta2 * t)))"),
    "the sign is wrong: go against the gradient": ("- rate * above", "+ rate * above"),
    "use `beta1` and `beta2`, and 0.9 and 0.999 where they are not given": ('settings.get("beta1", 0.9), settings.get("beta2", 0.999)', "0.9, 0.999"),
    "use `eps`, and 1e-8 where it is not given": ('settings.get("eps", 1e-8)', "1e-8"),
    "each number has a size of its own: do not average over the array": ("* g**2", "* np.mean(g**2, axis=1, keepdims=True)"),
}  # fmt: skip
ADAMW = ADAM | {
    "the decay is missing: multiply x by 1 - rate * decay": ("- rate * shrink * x", ""),
    "the decay belongs beside the step: added to the gradient it is divided by its size (Adam before AdamW)": ("        shrink = decay\n", "        g, shrink = g + decay * x, 0.0\n"),
    "the decay goes at the rate too: multiply x by 1 - rate * decay": ("- rate * shrink * x", "- shrink * x"),
    "shrink x as it was before the step: yours shrinks it afterwards": ("x - rate * shrink * x - rate * above / below", "(1 - rate * shrink) * (x - rate * above / below)"),
    "a decay shrinks x: the sign is wrong": ("- rate * shrink * x", "+ rate * shrink * x"),
    "use `decay` as it is given": ("- rate * shrink * x", "- rate * shrink * (1 - beta1) * x"),
}  # fmt: skip
THIRD = "do the first update by hand, as in the text, then the second: what is t, what is stored?"
agrees("adam", "equals torch.optim.Adam, over up to 50 updates", target=use_updates, draw=updates_of("adam", {}, {"beta1": 0.5}, {"beta2": 0.5, "eps": 0.5}, {"beta1": 0.75, "beta2": 0.875, "eps": 1e-3}),
       kinds=EVERY, reference=torch_path(adam_of_torch), written=adam_by_hand, misreadings=ADAM, explain=explain_updates, hint=THIRD, tolerance=LOOSE)  # fmt: skip
agrees("adam", "equals torch.optim.AdamW where there is a decay", target=use_updates, draw=updates_of("adam", {"decay": 0.5}, {"decay": 2.0, "eps": 0.5}, {"decay": 1.0, "beta1": 0.5}),
       kinds=PLAIN, reference=torch_path(adam_of_torch), written=adam_by_hand, misreadings=ADAMW, explain=explain_updates, hint=THIRD, tolerance=LOOSE)  # fmt: skip

# %% patches="adam"
[
    ("    size = np.sqrt(square / (1 - beta2**t)) + eps\n    step = mean / (1 - beta1**t) / size\n", "    scale = (1 - beta2**t) ** 0.5\n    step = mean * scale / (1 - beta1**t) / (square**0.5 + eps * scale)\n", ""),
    ("    new = (1 - rate * decay) * x - rate * step", "    new = np.subtract(x - rate * decay * x, rate * step)", ""),
    ('    return new, {"t": t, "mean": mean, "square": square}', '    state.update(t=t, mean=mean, square=square)\n    return [new, state]', ""),
    ('state.get("t", 0) + 1', 'state.get("t", 0)', "1 - beta"),
    ('state.get("t", 0) + 1', 'state.get("t", 1) + 1', "yours counts one too many"),
    ("np.sqrt(square / (1 - beta2**t)) + eps", "np.sqrt(square) + eps", "that of the squares is not"),
    ("mean / (1 - beta1**t) / size", "mean / size", "that of the gradients is not"),
    ("np.sqrt(square / (1 - beta2**t)) + eps", "np.sqrt(square / (1 - beta2**t) + eps)", "the root first, then + eps"),
    ("(1 - rate * decay) * x", "x", "the decay is missing"),
    ("(1 - rate * decay) * x", "(1 - decay) * x", "the decay goes at the rate too"),
    ('    t = state.get("t", 0) + 1\n', '    g, decay = g + decay * x, 0.0\n    t = state.get("t", 0) + 1\n', "Adam before AdamW"),
    ('"mean": mean,', '"mean": mean / (1 - beta1**t),', "differ"),
    ('state.get("t", 0) + 1', "adam.__dict__['t'] = adam.__dict__.get('t', 0) + 1", "differ"),
]  # fmt: skip

# %%
lab.check("adam")

# %% [markdown]
# ### The same as PyTorch
#
# Rosenbrock's function, $(1 - x_1)^2 + 100\,(x_2 - x_1^2)^2$, is a bent valley. Your
# three functions and PyTorch's five optimizers walk down it for 50 updates, in float64.


# %%
def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def walk(build, updates=50):
    """Where an optimizer of PyTorch is after so many updates."""
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = build([x])
    for _ in range(updates):
        optimizer.zero_grad()
        rosenbrock(x).backward()
        optimizer.step()
    return x.detach()


class Ours:
    """An optimizer of this lab, dressed as one of PyTorch's."""

    def __init__(self, step, parameters, **settings):
        (self.x,), self.state = parameters, {}
        self.step_once, self.settings = step, settings

    def zero_grad(self):
        self.x.grad = None

    def step(self):
        now, g = self.x.detach().numpy().copy(), self.x.grad.numpy()
        new, self.state = self.step_once(now, g, self.state, **self.settings)
        self.x.data = torch.as_tensor(new)


# %%
def pairs():
    """(ours, PyTorch's) for five optimizers: functions that take parameters."""
    optim = torch.optim
    slow, fast = {"rate": 1e-4}, {"rate": 0.01}
    return {
        "momentum": (momentum, slow, optim.SGD, {"momentum": 0.9}),
        "Nesterov": (
            momentum,
            slow | {"nesterov": True},
            optim.SGD,
            {"momentum": 0.9, "nesterov": True},
        ),
        "RMSProp": (rmsprop, fast, optim.RMSprop, {}),
        "Adam": (adam, fast, optim.Adam, {}),
        "AdamW": (adam, fast | {"decay": 0.1}, optim.AdamW, {"weight_decay": 0.1}),
    }


if lab.solved("momentum", "rmsprop", "adam"):
    for name, (step, own, theirs, settings) in pairs().items():
        rate = own["rate"]
        ours = walk(lambda parameters: Ours(step, parameters, **own))
        expected = walk(lambda parameters: theirs(parameters, lr=rate, **settings))
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
        print(f"{name}: equal after 50 updates")

# %% [markdown]
# ## 3. Turn the valley
#
# RMSProp and Adam give each *number* its own rate. That is what a valley needs whose
# steep and flat directions are the coordinates. But what if the valley lies at an
# angle? Then each coordinate is a bit of both. Gradient descent and momentum do not
# care: if you turn valley and start, their whole path turns with them. Move the slider.

# %%
SLOPES = np.array([1.0, 50.0])  # curvature along and across the valley
WALKERS = {"descent": 0.035, "momentum": 0.01, "adam": 0.3}


def turned(angle):
    """A valley turned by so many degrees: (its matrix of curvatures, a start)."""
    a = math.radians(angle)
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    return turn * SLOPES @ turn.T, turn @ [-3.0, 1.0]


def path(step, rate, hessian, x, updates=40):
    """Positions [updates + 1, 2] on the way down."""
    state, found = {}, [x]
    for _ in range(updates):
        x, state = step(x, hessian @ x, state, rate)
        found.append(x)
    return np.array(found)


def paths(angle):
    steps = {"descent": descent, "momentum": momentum, "adam": adam}
    hessian, start = turned(angle)
    return {name: path(steps[name], WALKERS[name], hessian, start) for name in steps}


if lab.solved("momentum", "adam"):
    straight, tilted = paths(0), paths(45)
    for name in ("descent", "momentum"):
        sizes = [np.linalg.norm(each[name], axis=1) for each in (straight, tilted)]
        np.testing.assert_allclose(*sizes, atol=1e-9)
    print("descent and momentum are as far from the bottom, turned or not")

# %% tags=["experiment", "drawing"]
GRID = np.stack(np.meshgrid(np.linspace(-3.6, 3.6, 80), np.linspace(-3.6, 3.6, 80)), -1)


def drawn_at(angle):
    hessian, _ = turned(angle)
    heights = np.einsum("abi,ij,abj->ab", GRID, hessian, GRID) / 2
    fig, panels = plt.subplots(1, 3, figsize=(7.5, 3.0), sharey=True)
    for ax, (name, found) in zip(panels, paths(angle).items(), strict=True):
        levels = [0.5, 2, 5, 15, 40, 100, 250]
        ax.contour(*GRID.T, heights.T, levels, colors="0.8", linewidths=0.8)
        ax.plot(*found.T, markersize=3, markevery=1, linewidth=1, label=name)
        ax.plot(0, 0, "x", color="black", label="_bottom")
        ax.set(title=name, xlabel="parameter 1", xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), aspect="equal")
    panels[0].set(ylabel="parameter 2")
    return fig


if lab.solved("momentum", "adam"):
    figures.slider(
        {angle: drawn_at(angle) for angle in (0, 9, 18, 27, 36, 45)},
        alt="Three paths of forty updates on the contour lines of a narrow valley. Gradient descent zigzags and momentum "
        "swings in the same way at every angle. Adam goes diagonally at first, and its path changes with the angle.",
        caption="The valley and the start turn together. Two of the three paths turn with them.",
        name="Valley turned by degrees",
    )

# %% [markdown]
# ### Experiment 1: what does rotation cost?
#
# Now in 20 dimensions. The steepest direction is so many times as steep as the flattest
# one; this is the **condition number**. Each direction brings as much to the loss at the
# start. How many updates does it take to a thousandth of that loss? Each method runs at
# its best rate, which must lie inside its grid. It is chosen on other valleys, and for
# turned ones anew.

# %%
guess_turn = predict(
    "Condition number 100, Adam at its best rate for each. How many updates does it need "
    "in turned valleys?",
    [
        "at least twice as many as in straight ones",
        "somewhat more, less than twice as many",
        "as many, within a tenth",
    ],
)

# %% tags=["experiment"]
DIMENSIONS, MOST = 20, 1500  # MOST: updates after which we give up


def bowls(seed, condition, rotated):
    """BOWLS valleys and starts: [BOWLS, 20, 20] curvatures, [BOWLS, 20] positions."""
    rng = np.random.default_rng([seed, int(rotated)])
    curvatures = np.geomspace(1, 1 / condition, DIMENSIONS)
    turn = np.linalg.qr(rng.normal(size=(BOWLS, DIMENSIONS, DIMENSIONS)))[0]
    if not rotated:
        turn = np.broadcast_to(np.eye(DIMENSIONS), turn.shape)
    start = rng.normal(size=(BOWLS, DIMENSIONS, 1)) / np.sqrt(curvatures)[:, None]
    return turn * curvatures @ turn.mT, (turn @ start)[..., 0]


def updates_needed(step, rates, hessian, start):
    """Updates to a thousandth of the loss, [rates, BOWLS]: all are run at once."""
    rate = np.reshape(rates, (-1, 1, 1))
    x, state = np.tile(start, (rate.size, 1, 1)), {}
    reached, needed = np.zeros(x.shape[:2], bool), np.ones(x.shape[:2])
    first = (start * (hessian @ start[..., None])[..., 0]).sum(-1)
    with np.errstate(all="ignore"):  # rates that are too high overflow
        for _ in range(MOST):
            g = (hessian @ x[..., None])[..., 0]
            reached |= (x * g).sum(-1) <= first / 1000
            needed += ~reached
            x, state = step(x, g, state, rate)
    return needed


# %% tags=["experiment"]
CONDITIONS = [10, 100, 1000, 10_000]
RATES = {"momentum": np.geomspace(0.1, 6.4, 7), "adam": np.geomspace(0.03, 8, 9)}


def inside(losses):
    """The place of the best mean [rates, ...] in a grid; an error at its edge."""
    means = np.reshape(losses, (len(losses), -1)).mean(1)
    best = int(np.argmin(means))
    assert 0 < best < len(means) - 1, "the best rate is at the grid's edge: widen it"
    return best


def cost(name, condition, rotated):
    """Log of the updates needed, a mean over the valleys of each replicate."""
    step, rates = {"momentum": momentum, "adam": adam}[name], RATES[name]
    others = bowls(BASE_SEED + 500, condition, rotated)
    best = rates[inside(np.log(updates_needed(step, rates, *others)))]
    found = []
    for seed in range(BASE_SEED, BASE_SEED + REPLICATES):
        valleys = bowls(seed, condition, rotated)
        found.append(np.log(updates_needed(step, [best], *valleys)).mean())
    return np.array(found)


if lab.solved("momentum", "adam"):
    costs = {}
    for name in RATES:
        for rotated in (False, True):
            columns = [cost(name, condition, rotated) for condition in CONDITIONS]
            costs[name, rotated] = np.exp(np.stack(columns, 1))
    price = {name: costs[name, True] / costs[name, False] for name in RATES}
    seen = price["adam"][:, 1].mean()
    guess_turn.resolve([seen >= 2, 1.1 < seen < 2, seen <= 1.1])

# %% tags=["experiment", "drawing"]
if lab.solved("momentum", "adam"):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.3), sharey=True)
    for ax, name in zip(panels, RATES, strict=True):
        for rotated, label in ((False, "straight"), (True, "turned")):
            figures.lines_with_spread(ax, CONDITIONS, costs[name, rotated], label, markevery=1)
        ax.set(title=name, xscale="log", yscale="log", xlabel="condition number")
    panels[0].set(ylabel="updates to a thousandth of the loss")
    panels[0].legend()
    figures.show(
        fig,
        alt="Updates needed against the condition number, on log axes. For momentum the lines of straight and turned valleys "
        "lie on each other and rise at the end. For Adam the straight line is flat; the turned one rises steeply.",
        caption="Thin lines are replicates, each a mean over ten valleys. Every point is at a rate chosen on other valleys.",
    )

# %% tags=["experiment"]
if lab.solved("momentum", "adam"):
    claim(
        "At condition number 10,000 Adam needs at least four times as many updates in "
        "turned valleys as in straight ones",
        price["adam"][:, -1],
        at_least=4,
        scale="log",
        control=price["momentum"][:, -1],
        control_is="momentum, which has one rate for all numbers, in such valleys",
        source="Kingma & Ba 2015 (Adam); Maes et al. 2024 (rotation, in transformers)",
    )

# %% [markdown]
# **How to read it.** Adam makes a straight valley round, however narrow it is: its line
# is flat. Turned, it loses that gift, and needs about as many updates as momentum. For
# momentum the price is 1 by symmetry; what is left in its line is the draw of the
# valleys. **How it is misread:** "rotation hurts Adam". At condition numbers up to 100
# it costs hardly anything, because Adam's momentum does the work there. And nobody
# turns a network's parameters at random. That its coordinates *mean* something, a
# weight each, may be just why adaptive methods do well (Maes et al. 2024).
#
# ## 4. The race
#
# Who wins on a network? Every example is noise around one of 128 centres in 32
# dimensions, and the label is the centre's number. Each batch is drawn anew, so
# training and held-out loss are the same. A linear rule can solve this task, and its
# loss is **convex**: one bowl, without false bottoms. A network with three hidden
# layers gets the *same* examples, and its loss is not convex. So the convex task is the
# control: it differs in the hidden layers alone.
#
# What is measured is the **excess loss**: cross-entropy minus that of the best possible
# rule, which we know, because we made the centres.


# %%
class World:
    """A source of examples: centres with noise around them."""

    def __init__(self, seed, sizes, noise):
        self.rng, self.noise = np.random.default_rng(seed), noise
        self.centres = self.rng.normal(size=(sizes[-1], sizes[0]))

    def draw(self, n):
        labels = self.rng.integers(len(self.centres), size=n)
        noise = self.noise * self.rng.normal(size=(n, self.centres.shape[1]))
        return self.centres[labels] + noise, labels

    def least_loss(self, x, labels):
        """The cross-entropy of the best possible rule on these examples."""
        distances = (self.centres**2).sum(1) / 2 - x @ self.centres.T
        logits = torch.from_numpy(-distances / self.noise**2)
        return float(F.cross_entropy(logits, torch.from_numpy(labels)))


def first_parameters(seed, sizes):
    """All weights (He's start; 0 without hidden layers) and biases, in one array."""
    rng, parts = np.random.default_rng([seed, 1]), []
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        scale = math.sqrt(2 / fan_in) if len(sizes) > 2 else 0.0
        parts += [scale * rng.normal(size=fan_in * fan_out), np.zeros(fan_out)]
    return np.concatenate(parts).astype(np.float32)


# %% [markdown]
# Your optimizers work number by number, so fifty networks can train at once: a row of
# parameters for each rate and replicate. `losses` runs them all, and PyTorch
# differentiates.


# %%
def losses(flat, sizes, x, y):
    """The loss of each run [runs]: flat [runs, parameters], x [runs, n, inputs]."""
    done = 0
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        end = done + fan_in * fan_out
        weights = flat[:, done:end].view(-1, fan_in, fan_out)
        done = end + fan_out
        x = torch.baddbmm(flat[:, end:done].unsqueeze(1), x, weights)
        x = x.relu() if done < flat.shape[1] else x
    return F.cross_entropy(x.mT, y, reduction="none").mean(1)


def gradient(loss, flat, *data):
    """The gradient of each run's own loss, an array like `flat`."""
    flat = torch.as_tensor(flat, dtype=torch.float32).requires_grad_()
    loss(flat, *data).sum().backward()
    return flat.grad.numpy()


def examples(worlds, n, rates):
    """n examples of each world as tensors, once for each rate; and their least loss."""
    drawn = [world.draw(n) for world in worlds]
    least = [world.least_loss(*pair) for world, pair in zip(worlds, drawn, strict=True)]
    x, y = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
    return x.float().repeat(rates, 1, 1), y.repeat(rates, 1), np.array(least)


# %% tags=["experiment"]
def compete(step, rates, seeds, sizes, noise, updates, batch, factor=lambda done: 1.0):
    """Excess loss on validation and on test examples, each [rates, seeds]."""
    worlds = [World([seed, 2], sizes, noise) for seed in seeds]
    starts = [first_parameters(seed, sizes) for seed in seeds]
    flat, state = np.tile(starts, (len(rates), 1)), {}
    rate = np.repeat(np.float32(rates), len(seeds))[:, None]
    with np.errstate(all="ignore"):  # rates that are too high overflow
        for done in range(updates):
            x, y, _ = examples(worlds, batch, len(rates))
            g = gradient(losses, flat, sizes, x, y)
            flat, state = step(flat, g, state, rate * np.float32(factor(done)))
    found = []
    for _ in ("validation", "test"):
        x, y, least = examples(worlds, 5000, len(rates))
        after = losses(torch.as_tensor(flat, dtype=torch.float32), sizes, x, y)
        excess = after.numpy().reshape(len(rates), -1) - least
        found.append(np.where(np.isfinite(excess), excess, 1e6))
    return found


# %% [markdown]
# **Your own optimizer.** The race has a lane for it. Below stands one that takes only
# the *sign* of a mean gradient, so that every number moves by exactly the rate (Signum,
# Bernstein et al. 2018). Replace it by whatever you like; if your best rate is at the
# edge, widen its grid. With the experiment below you see at once where it ends.


# %%
def mine(x, g, state, rate):
    """Yours: rewrite me."""
    mean = 0.9 * state.get("mean", 0) + 0.1 * g
    return x - rate * np.sign(mean), {"mean": mean}


def nesterov(x, g, state, rate):
    return momentum(x, g, state, rate, nesterov=True)


def grid(middle):
    """Six rates, a factor of 2 apart: two below the middle one, and three above."""
    return middle * 2.0 ** np.arange(-2, 4)


# name: (optimizer, grid for the network, grid for the convex task)
LANES = {
    "descent": (descent, grid(0.5), grid(8.0)),
    "momentum": (momentum, grid(0.05), grid(0.8)),
    "Nesterov": (nesterov, grid(0.05), grid(0.8)),
    "RMSProp": (rmsprop, grid(0.0025), grid(0.01)),
    "Adam": (adam, grid(0.005), grid(0.04)),
    "mine": (mine, grid(0.0025), grid(0.01)),
}

# %% [markdown]
# ### Experiment 2: Adam against momentum
#
# Both have a velocity; Adam divides, too. So what differs is the division. Each runs at
# six rates, and the best one is chosen on validation examples; then the test examples
# are looked at, once.

# %%
guess_race = predict(
    "The same updates for both, each at its best rate. Where does Adam end with less "
    "excess loss than momentum?",
    ["on both tasks", "on the network alone", "on the convex task alone", "on neither"],
)

# %% tags=["experiment"]
NETWORK, CONVEX = [32, 48, 48, 48, 128], [32, 128]
SEEDS = range(BASE_SEED, BASE_SEED + REPLICATES)

if lab.solved("momentum", "rmsprop", "adam"):
    by_rate, ends = {}, {}
    for name, (step, *grids) in LANES.items():
        for sizes, rates in zip((NETWORK, CONVEX), grids, strict=True):
            how = sizes, 1.0, RACE_UPDATES, RACE_BATCH
            validation, test = compete(step, rates, SEEDS, *how)
            task = "network" if sizes is NETWORK else "convex"
            by_rate[task, name] = np.log(np.maximum(validation, 1e-6))
            ends[task, name] = test[inside(by_rate[task, name])]
    tasks = "network", "convex"
    gains = {task: ends[task, "momentum"] / ends[task, "Adam"] for task in tasks}
    network_won, convex_won = (gains[task].mean() > 1 for task in tasks)
    guess_race.resolve(
        [
            network_won and convex_won,
            network_won and not convex_won,
            convex_won and not network_won,
            not network_won and not convex_won,
        ]
    )

# %% tags=["experiment", "drawing"]
if lab.solved("momentum", "rmsprop", "adam"):
    fig, panels = plt.subplots(2, 2, figsize=(7.5, 6.2), sharey="row")
    for column, (task, title) in enumerate((("network", "three hidden layers"), ("convex", "none: convex"))):
        above, below = panels[0, column], panels[1, column]
        for name, (_, *grids) in LANES.items():
            excess = np.exp(by_rate[task, name].mean(1))
            shown = excess < 20
            above.plot(grids[column][shown], excess[shown], label=name, markevery=1)
        above.set(title=title, xscale="log", yscale="log", xlabel="learning rate")
        figures.dots_with_spread(below, {name: ends[task, name] for name in LANES})
        below.set(yscale="log")
        below.tick_params(axis="x", rotation=40)
    panels[0, 0].set(ylabel="excess loss, validation")
    panels[1, 0].set(ylabel="excess loss, test, at the best rate")
    fig.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    figures.show(
        fig,
        alt="Above: excess loss against the learning rate, a curve with a lowest point for each of six optimizers and two "
        "tasks. Below: their losses at the best rate. On the network those that divide by the gradient's size end lowest; "
        "on the convex task momentum ends lowest.",
        caption="Above, geometric means over replicates; below, one dot a replicate. Every best rate lies inside its grid.",
    )

# %% tags=["experiment"]
if lab.solved("momentum", "rmsprop", "adam"):
    claim(
        "On the network, momentum ends with at least 1.15 times the excess loss of Adam, "
        "after as many updates, each at its best rate",
        gains["network"],
        at_least=1.15,
        scale="log",
        control=gains["convex"],
        control_is="the same ratio without hidden layers: the convex task",
        source="Kingma & Ba 2015, section 6 (Adam is ahead, most of all on networks)",
    )

# %% [markdown]
# **How to read it.** With the same examples and the same budget, Adam's division pays on
# the network and costs on the convex task. Layers have gradients of different sizes,
# and one rate has to serve them all; a single layer has no such trouble.
# **How it is misread:** "Adam is better". It ended lower *here, after this few updates*.
# And that adaptive methods only win where the loss is not convex is wrong as well: with
# classes that are rare, as words are, Adam beats gradient descent on a linear model,
# too (Kunstner et al. 2024). Change the class frequencies in `World.draw` and see.

# %% [markdown]
# ## 5. A rate that changes
#
# Far from the bottom you want long steps. Near it, the noise of the batches throws you
# about, the farther the longer your steps are. So let the rate fall. A **schedule** is
# a factor for each update, counted 0, 1, 2, …; the rate is the factor times the
# **peak rate**. An exponential one for 1,000 updates:


# %%
def exponential(update, updates, last=0.001):
    """A factor that falls from 1 to `last`, by the same share in each update."""
    return last ** (update / updates)


print([exponential(update, 1000) for update in (0, 333, 667)][0], "is the first factor")

# %% [markdown]
# Three others are in daily use:
#
# - **step**: the factor is multiplied by 0.1 every so many updates. With `every` 30 it is
#   1 for updates 0 to 29, 0.1 for 30 to 59, then 0.01;
# - **cosine** (Loshchilov & Hutter 2017): half a wave, from 1 down to 0,
#   $\tfrac12 (1 + \cos(\pi u / n))$ at update $u$ of $n$. In the middle, $u = n/2$, it
#   is ½;
# - **warm-up, then cosine**: for the first $w$ updates it *rises*, in equal steps from
#   $1/w$ to 1: with $w = 4$ it is ¼, ½, ¾, 1. Then the half wave fills the updates that
#   are left, and begins with 1 again.

# %% [markdown] exercise="schedules" difficulty=2 importance=4 minutes=20 points=4
# ### Step, cosine, warm-up
#
# Write the factors. `update` and the other counts are whole numbers. For a warm-up of 4
# in 14 updates, the factors of updates 0 to 4 are ¼, ½, ¾, 1, 1, and that of update 9,
# in the middle of the ten that are left, is ½. With `warm` 0 there is no warm-up.


# %% solution="schedules"
def step_decay(update, every, factor=0.1):
    """The factor at an update (0, 1, ...): times `factor` every `every` updates.

    >>> [step_decay(update, every=2, factor=0.5) for update in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    ### BEGIN SOLUTION
    return factor ** (update // every)
    ### END SOLUTION


def cosine(update, updates):
    """The factor at an update (0, 1, ...): half a wave from 1 to 0."""
    ### BEGIN SOLUTION
    return 0.5 * (1 + math.cos(math.pi * update / updates))
    ### END SOLUTION


def warm_cosine(update, updates, warm):
    """The factor at an update (0, 1, ...): up to 1 in `warm` updates, then cosine.

    >>> [warm_cosine(update, updates=14, warm=4) for update in (0, 1, 2, 3, 4)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    ### BEGIN SOLUTION
    if update < warm:
        return (update + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (update - warm) / (updates - warm)))
    ### END SOLUTION


# %% [markdown] hint="schedules"
# Step: how often has the factor been multiplied at update 0, 29, 30, 60? Which Python
# operator divides and drops the rest?

# %% [markdown] hint="schedules"
# `update // every` counts the multiplications. The cosine needs `math.cos` and
# `math.pi`. Warm-up has two branches: `update < warm`, and all others.

# %% [markdown] hint="schedules"
# In the first branch: `(update + 1) / warm`. In the second one the wave is
# `updates - warm` long, and `update - warm` of it is over.

# %% [markdown] why="schedules"
# The updates are counted from 0, hence the `+ 1` in warm-up: a factor of 0 would waste
# the first update. Common mistakes: `/` for `//`, which makes a smooth fall; a warm-up
# that is a factor of a cosine begun at update 0, so that the peak is never reached.


# %% checks="schedules"
def torch_factors(make_scheduler, updates):
    """The factors of a PyTorch scheduler at updates 0, 1, ..."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, found = make_scheduler(optimizer), []
    for _ in range(updates):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


TORCH = torch.optim.lr_scheduler


def stepped(update, every, factor=0.1):
    return torch_factors(lambda o: TORCH.StepLR(o, every, factor), update + 1)[-1]


def waved(update, updates):
    return torch_factors(lambda o: TORCH.CosineAnnealingLR(o, updates), update + 1)[-1]


def warmed(update, updates, warm):
    """SequentialLR of LinearLR, from 1/warm to 1, and CosineAnnealingLR."""
    if warm < 2:
        return 1.0 if update < warm else waved(update - warm, updates - warm)
    if update < warm:
        return torch_factors(lambda o: TORCH.LinearLR(o, 1 / warm, 1.0, warm - 1), update + 1)[-1]
    return waved(update - warm, updates - warm)


def step_by_hand(update, every, factor=0.1):
    count = update // every
    return factor**count


def cosine_by_hand(update, updates):
    share = update / updates
    return (1 + np.cos(np.pi * share)) / 2


def warm_by_hand(update, updates, warm):
    if update < warm:
        return (update + 1) / warm
    share = (update - warm) / (updates - warm)
    return (1 + np.cos(np.pi * share)) / 2


def step_inputs(make):
    every = make.size(1, 12)
    update = max(0, every * make.size(0, 4) + make.one_of(0, -1, 1, every // 2))
    return (update, every) if make.number % 3 == 0 else (update, every, make.one_of(0.5, 0.25, 0.125))


def cosine_inputs(make):
    updates = make.size(1, 40)
    return int(make.one_of(0, updates - 1, updates, *make.rng.integers(0, updates, 4))), updates


def warm_inputs(make):
    warm = make.one_of(0, 1, make.size(2, 12), make.size(2, 9), make.size(3, 8))
    updates = warm + make.size(2, 30)
    places = [0, warm - 1, warm, warm + 1, updates - 1, make.rng.integers(0, updates), make.rng.integers(0, max(1, warm))]
    return int(max(0, places[(make.number * 3 + make.number // 7) % 7])), updates, int(warm)


MANY = ("plain", "whole", "square", "smallest", "doubled", "plain") * 5
FOURTH = "write the factors of the example in the text one under the other: which update is the first, which the last?"
agrees("schedules", "`step_decay` equals torch.optim.lr_scheduler.StepLR", target="step_decay", draw=step_inputs, kinds=MANY, reference=stepped, written=step_by_hand, hint=FOURTH,
       misreadings={
    "the factor stays for `every` updates: divide by // and not by /": ("update // every", "update / every"),
    "the first fall comes at update `every`: yours is one early, for updates count from 0": ("update // every", "(update + 1) // every"),
    "the first fall comes at update `every`: yours is one late": ("update // every", "max(0, update - 1) // every"),
    "multiply by the factor each time: yours falls once and no more": ("update // every", "min(1, update // every)"),
    "a power of the factor: yours multiplies it by the number of falls": ("factor**count", "factor * count if count else 1.0"),
    "at the start the factor is 1: yours is one fall ahead": ("update // every", "update // every + 1"),
    "use `factor`, and 0.1 where it is not given": ("factor**count", "0.1**count"),
    "the rate falls: the power has the wrong sign": ("factor**count", "factor**-count"),
})  # fmt: skip
agrees("schedules", "`cosine` equals torch.optim.lr_scheduler.CosineAnnealingLR", target="cosine", draw=cosine_inputs, kinds=MANY, reference=waved, written=cosine_by_hand, hint=FOURTH,
       misreadings={
    "half a wave, not a whole one: the cosine runs from 0 to pi": ("np.pi * share", "2 * np.pi * share"),
    "a quarter of a wave has another form: the cosine runs from 0 to pi, moved up by 1 and halved": ("(1 + np.cos(np.pi * share)) / 2", "np.cos(np.pi * share / 2)"),
    "the factor runs from 1 to 0: add 1 to the cosine and halve": ("(1 + np.cos(np.pi * share)) / 2", "np.cos(np.pi * share)"),
    "halve the sum: the factor begins with 1, not with 2": ("(1 + np.cos(np.pi * share)) / 2", "1 + np.cos(np.pi * share)"),
    "the factor falls: yours rises": ("1 + np.cos", "1 - np.cos"),
    "update 0 has the factor 1: yours is one update ahead": ("update / updates", "(update + 1) / updates"),
    "0 is reached at update `updates`: yours is there one too early": ("update / updates", "update / max(1, updates - 1)"),
    "the angle is in radians, a half turn is pi": ("np.pi * share", "180 * share"),
    "half a wave, not a straight line": ("(1 + np.cos(np.pi * share)) / 2", "1 - share"),
})  # fmt: skip
agrees("schedules", "`warm_cosine` equals LinearLR, followed by CosineAnnealingLR", target="warm_cosine", draw=warm_inputs, kinds=MANY, reference=warmed, written=warm_by_hand, hint=FOURTH,
       misreadings={
    "the first update goes at 1/warm and not at 0: count from 1 in the warm-up": ("(update + 1) / warm", "update / warm"),
    "update `warm` is the first of the cosine: use < and not <=": ("update < warm", "update <= warm and warm"),
    "the wave begins after the warm-up: `update - warm` of it is over": ("(update - warm) / (updates - warm)", "update / updates"),
    "the wave fills the updates that are left, `updates - warm`": ("(updates - warm)", "updates"),
    "`update - warm` updates of the wave are over: yours is one ahead": ("(update - warm) /", "(update - warm + 1) /"),
    "the peak must be reached: do not multiply the warm-up by the cosine": ("return (update + 1) / warm", "return (update + 1) / warm * (1 + np.cos(np.pi * update / updates)) / 2"),
    "after the warm-up comes the cosine: yours stays at 1": ("share = (update - warm) / (updates - warm)", "share = 0.0"),
    "the warm-up is missing": ("return (update + 1) / warm", "return 1.0"),
    "the warm-up rises in equal steps: yours is no straight line": ("return (update + 1) / warm", "return (1 - np.cos(np.pi * (update + 1) / warm)) / 2"),
    "the warm-up is the wrong way round: it rises": ("return (update + 1) / warm", "return 1 - update / warm"),
})  # fmt: skip

# %% patches="schedules"
[
    ("factor ** (update // every)", "math.prod([factor] * int(update / every))", ""),
    ("0.5 * (1 + math.cos(math.pi * update / updates))", "math.cos(math.pi * update / updates / 2) ** 2", ""),
    ("    if update < warm:\n        return (update + 1) / warm\n", "    up = np.linspace(1 / warm, 1, warm) if warm else []\n    if update < len(up):\n        return up[update]\n", ""),
    ("(update // every)", "(update / every)", "divide by // and not by /"),
    ("(update // every)", "((update + 1) // every)", "yours is one early"),
    ("factor ** (update // every)", "factor * (update // every)", "came back"),
    ("math.pi * update / updates", "2 * math.pi * update / updates", "half a wave"),
    ("0.5 * (1 + math.cos(math.pi * update / updates))", "math.cos(math.pi * update / updates)", "add 1 to the cosine and halve"),
    ("0.5 * (1 + math.cos(math.pi * update / updates))", "1 - update / updates", "not a straight line"),
    ("return (update + 1) / warm", "return update / warm", "count from 1 in the warm-up"),
    ("if update < warm:", "if update <= warm:", "use < and not <="),
    ("(update - warm) / (updates - warm)", "update / updates", "the wave begins after the warm-up"),
    ("(updates - warm)", "updates", "the wave fills the updates that are left"),
    ("    if update < warm:\n        return (update + 1) / warm\n", "", "the result"),
]  # fmt: skip

# %%
lab.check("schedules")

# %% [markdown]
# ### Five schedules, two budgets
#
# A linear rule for 16 classes that overlap, momentum, batches of 32. Each schedule runs
# at its own best peak rate. The budgets are 100 updates and 1,000. A replicate is the
# mean over two tasks.

# %%
guess_schedule = predict(
    "How does the best schedule compare with a constant rate, each at its best peak?",
    [
        "it wins at both budgets",
        "it wins at 1,000 updates, at 100 it loses or hardly differs",
        "it wins at 100 updates, at 1,000 it loses or hardly differs",
        "a constant rate is as good at both",
    ],
)

# %% tags=["experiment"]
PEAKS = 0.0125 * 2.0 ** np.arange(7)


def schedules(updates):
    """name: the factor at an update, for a budget."""
    third, tenth = math.ceil(updates / 3), updates // 10
    return {
        "constant": lambda done: 1.0,
        "step": lambda done: step_decay(done, third),
        "exponential": lambda done: exponential(done, updates, last=0.01),
        "cosine": lambda done: cosine(done, updates),
        "warm-up,\ncosine": lambda done: warm_cosine(done, updates, tenth),
    }


def scheduled(updates):
    """name: the excess loss of each replicate at the best peak rate."""
    found, pairs = {}, [2 * seed + i for seed in SEEDS for i in (0, 1)]
    for name, factor in schedules(updates).items():
        how = [16, 16], 1.5, updates, 32, factor
        validation, test = np.log(compete(momentum, PEAKS, pairs, *how))
        best = test[inside(validation)].reshape(-1, 2)
        found[name] = np.exp(best.mean(1))
    return found


if lab.solved("momentum", "schedules"):
    budgets = {updates: scheduled(updates) for updates in (SHORT, LONG)}
    won = {}
    for updates, found in budgets.items():
        means = {name: np.log(found[name]).mean() for name in found}
        won[updates] = means.pop("constant") - min(means.values()) > math.log(1.25)
    short, long = won[SHORT], won[LONG]
    guess_schedule.resolve(
        [short and long, long and not short, short and not long, not short and not long]
    )

# %% tags=["experiment", "drawing"]
if lab.solved("momentum", "schedules"):
    fig, panels = plt.subplots(1, 3, figsize=(7.5, 3.4), width_ratios=[1, 1.2, 1.2])
    for name, factor in schedules(LONG).items():
        factors = [factor(done) for done in range(LONG)]
        panels[0].plot(factors, label=name.replace("\n", " "), marker="")
    panels[0].set(title="factors", xlabel="update", ylabel="factor")
    for ax, (updates, found) in zip(panels[1:], budgets.items(), strict=True):
        figures.dots_with_spread(ax, found)
        ax.set(title=f"{updates} updates", yscale="log")
        ax.tick_params(axis="x", rotation=60)
    panels[1].set(ylabel="excess loss at the best peak")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    figures.show(
        fig,
        alt="Left: five schedules as factors over the updates. Middle: with the short budget no schedule is clearly below a "
        "constant rate, and step is above. Right: with the long budget those that fall are clearly below it.",
        caption="One dot a replicate; grey lines join the same tasks. Each dot is at a peak rate chosen on validation.",
    )

# %% tags=["experiment"]
if lab.solved("momentum", "schedules"):
    ratio = {n: found["constant"] / found["exponential"] for n, found in budgets.items()}
    claim(
        "After 1,000 updates a constant rate leaves at least 1.5 times the excess loss of "
        "an exponential schedule, each at its best peak rate",
        ratio[LONG],
        at_least=1.5,
        scale="log",
        control=ratio[SHORT],
        control_is="the same ratio after 100 updates",
        source="Robbins & Monro 1951 (steps must shrink for noise to average out)",
    )

# %% [markdown]
# **How to read it.** Early, there is way to go, and whoever shortens steps arrives
# later. Late, a constant rate is stuck at the level of its noise: the best one is a
# compromise, small enough for the end and too small for the start. A schedule needs no
# such compromise. **How it is misread:** "cosine is the best schedule". Which one wins
# depends on budget and noise. And each of these must know the budget in advance: a
# cosine for 1,000 updates that you stop at 500 has not yet landed.
#
# ## 6. Where warm-up decides
#
# Why begin with *small* steps, when one is farthest away? Take a **transformer**, the
# network of notebook 03. All you need of it here: it reads eight symbols, and keeps 16
# numbers for each. A layer lets each place take from the others (attention), then
# passes it through a small network. Both are added to what was there, as in a residual
# network. And **layer normalisation** (notebook 02) keeps the sizes in check. *Where*
# it stands makes the difference:
#
# - **post-norm**, as in the first transformers: $h \leftarrow \text{norm}(h + f(h))$;
# - **pre-norm**, as in most since 2019: $h \leftarrow h + f(\text{norm}(h))$.
#
# The task is to write the eight symbols in reverse.


# %%
SYMBOLS, PLACES, WIDTH, LAYERS = 8, 8, 16, 4
SHAPES = {"symbol": (SYMBOLS, WIDTH), "place": (PLACES, WIDTH)}
for layer in range(LAYERS):
    SHAPES |= {f"qkv {layer}": (WIDTH, 3 * WIDTH), f"out {layer}": (WIDTH, WIDTH)}
    SHAPES |= {f"up {layer}": (WIDTH, 2 * WIDTH), f"down {layer}": (2 * WIDTH, WIDTH)}
SHAPES["last"] = (WIDTH, SYMBOLS)


def drawn_weights(seed, shapes, lookups=("symbol", "place"), gain=1.0):
    """Normal numbers of variance 1 / fan_in (lookups: 1), in one array."""
    rng, parts = np.random.default_rng([seed, 3]), []
    for name, (fan_in, fan_out) in shapes.items():
        scale = 1.0 if name in lookups else gain / math.sqrt(fan_in)
        parts.append(scale * rng.normal(size=fan_in * fan_out))
    return np.concatenate(parts).astype(np.float32)


def unpacked(flat, shapes):
    """{name: weights [runs, 1, fan_in, fan_out]} of the runs' rows."""
    pieces = flat.split([math.prod(shape) for shape in shapes.values()], dim=1)
    named = zip(shapes.items(), pieces, strict=True)
    return {name: piece.view(-1, 1, *shape) for (name, shape), piece in named}


# %%
def norm(h):
    return F.layer_norm(h, h.shape[-1:])


def transformer_losses(flat, symbols, pre_norm):
    """The mean loss of each run [runs] at reversing symbols [runs, n, PLACES]."""
    p = unpacked(flat, SHAPES)
    before, after = (norm, lambda h: h) if pre_norm else (lambda h: h, norm)
    h = F.one_hot(symbols, SYMBOLS).float() @ p["symbol"] + p["place"]
    for layer in range(LAYERS):
        q, k, v = (before(h) @ p[f"qkv {layer}"]).chunk(3, dim=-1)
        attention = (q @ k.mT / math.sqrt(WIDTH)).softmax(-1)
        h = after(h + attention @ v @ p[f"out {layer}"])
        hidden = (before(h) @ p[f"up {layer}"]).relu()
        h = after(h + hidden @ p[f"down {layer}"])
    logits = before(h) @ p["last"]
    each = F.cross_entropy(logits.movedim(-1, 1), symbols.flip(-1), reduction="none")
    return each.flatten(1).mean(1)


# %% [markdown]
# ### Experiment 3: warm-up
#
# Adam, 200 updates. With warm-up the factor rises in equal steps for 100 updates and
# stays at 1. Two controls: the pre-norm transformer; and **the same factors in reverse
# order**, so that the small steps come last. These have the same mean rate. If warm-up
# only helped because its steps are shorter, the order would not matter.

# %%
guess_warm = predict(
    "Post-norm, at a rate of 0.025. What do the same factors in reverse order do?",
    [
        "as well as warm-up: what counts is the mean rate",
        "half of what warm-up does",
        "nothing: it ends like a constant rate",
    ],
)

# %% tags=["experiment"]
N = TRANSFORMER_UPDATES
ORDERS = {
    "constant": lambda done: 1.0,
    "warm-up": lambda done: min(1.0, (done + 1) / WARM),
    "reversed": lambda done: min(1.0, (N - done) / WARM),
}
HIGH = 0.025  # the rate that is compared, and the grid around it
ALL_RATES = [0.00625, 0.0125, HIGH, 0.05]


def train_transformer(order, rates, pre_norm):
    """The loss on fresh sequences after training, [rates, replicates]."""
    factor, rngs = ORDERS[order], [np.random.default_rng([seed, 4]) for seed in SEEDS]
    starts = [drawn_weights(seed, SHAPES) for seed in SEEDS]
    flat, state = np.tile(starts, (len(rates), 1)), {}
    rate = np.repeat(np.float32(rates), len(SEEDS))[:, None]

    def drawn(n):
        symbols = np.stack([rng.integers(SYMBOLS, size=(n, PLACES)) for rng in rngs])
        return torch.from_numpy(symbols).repeat(len(rates), 1, 1)

    for done in range(N):
        g = gradient(transformer_losses, flat, drawn(16), pre_norm)
        flat, state = adam(flat, g, state, rate * np.float32(factor(done)))
    with torch.no_grad():
        flat = torch.as_tensor(flat, dtype=torch.float32)
        ends = transformer_losses(flat, drawn(200), pre_norm)
    return ends.numpy().reshape(len(rates), -1)


# %% tags=["experiment"]
if lab.solved("adam"):
    post = {order: train_transformer(order, ALL_RATES, False) for order in list(ORDERS)[:2]}
    post["reversed"] = train_transformer("reversed", [HIGH], False)
    pre = {order: train_transformer(order, [HIGH], True) for order in list(ORDERS)[:2]}
    at_high = {order: ends[ALL_RATES.index(HIGH) if len(ends) > 1 else 0] for order, ends in post.items()}
    gain = at_high["constant"] - at_high["warm-up"]
    reversed_gain = at_high["constant"] - at_high["reversed"]
    share = reversed_gain.mean() / gain.mean()
    guess_warm.resolve([share > 0.75, 0.25 < share <= 0.75, share <= 0.25])

# %% tags=["experiment", "drawing"]
if lab.solved("adam"):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.5), sharey=True)
    for order in list(ORDERS)[:2]:
        figures.lines_with_spread(panels[0], ALL_RATES, post[order].T, order, markevery=1)
    panels[0].set(title="post-norm", xscale="log", xlabel="learning rate", ylabel="loss on fresh sequences")
    panels[0].legend()
    names = {f"post-norm,\n{order}": at_high[order] for order in ORDERS}
    names |= {f"pre-norm,\n{order}": pre[order][0] for order in list(ORDERS)[:2]}
    figures.dots_with_spread(panels[1], names)
    panels[1].set(title="at the rate 1/40")
    panels[1].tick_params(axis="x", rotation=60)
    for ax in panels:
        ax.axhline(math.log(SYMBOLS), color="0.4", linestyle=":", label="guessing")
    figures.show(
        fig,
        alt="Left: loss against the rate for post-norm. With a constant rate it rises to the level of guessing from the second "
        "rate on; with warm-up it stays near zero one or two rates longer. Right: at one high rate, post-norm with a constant "
        "rate and with reversed factors guesses; with warm-up, and pre-norm either way, the loss is near zero.",
        caption="Thin lines and dots are replicates. The dotted line is the loss of guessing.",
    )

# %% tags=["experiment"]
if lab.solved("adam"):
    claim(
        "At the rate 0.025, warm-up lowers the final loss of a post-norm transformer by at "
        "least 1.2 nats",
        gain,
        at_least=1.2,
        control=reversed_gain,
        control_is="the same rates in reverse order: the small ones last",
        source="Xiong et al. 2020 (post-norm needs warm-up); Kalra & Barkeshli 2024",
    )

# %% [markdown]
# **How to read it.** A few long steps at the start ruin the post-norm network for good:
# it forgets how to tell its inputs apart, and guesses. Short steps at the end repair
# nothing. Pre-norm is not in that danger. **How it is misread:** "without warm-up it
# cannot be trained". Look at the left panel: at a small enough constant rate it learns
# as well here. What warm-up buys is *room*: higher rates, and less care in choosing
# them. Kalra and Barkeshli find the same in larger networks.
#
# ## 7. When the gradient explodes
#
# Some losses have cliffs. On a cliff the gradient is a thousand times as long as
# elsewhere, and one step throws you far away. Apply the *same* layer 15 times in a row,
# $h \leftarrow \tanh(W h + U x)$ with a new input $x$ each time: a recurrent network
# (lab 6). Its gradient has 15 factors $W$. If they stretch, it explodes.
#
# **Clipping** (Pascanu et al. 2013) keeps the gradient's direction and limits its
# length. With $n$ the **global norm**, over *all* numbers of all arrays together:
#
# $$ n = \sqrt{\textstyle\sum_k \sum_i g_{k,i}^2}, \qquad
# g_k \leftarrow g_k \cdot \min\left(1, \frac{\text{limit}}{n}\right) . $$
#
# By hand: the gradients $(3, 0)$ and $(4)$ have $n = 5$. With the limit 1 they become
# $(0.6, 0)$ and $(0.8)$. With the limit 10 they stay.

# %% [markdown] exercise="clip" difficulty=2 importance=4 minutes=15 points=3
# ### Clip by the global norm
#
# Write it for a list of arrays, one for each layer, of any shapes. Return new arrays
# and the norm before clipping. Gradients that are all 0 stay 0.


# %% solution="clip"
def clip(gradients, limit):
    """(clipped gradients, norm): the list scaled to a global norm of at most limit.

    gradients: a list of arrays; limit: a number above 0. The norm is the one before.

    >>> clipped, norm = clip([np.array([3.0, 0.0]), np.array([[4.0]])], limit=1)
    >>> [g.round(6).tolist() for g in clipped], float(norm)
    ([[0.6, 0.0], [[0.8]]], 5.0)
    """
    ### BEGIN SOLUTION
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    factor = limit / norm if norm > limit else 1.0
    return [factor * g for g in gradients], norm
    ### END SOLUTION


# %% [markdown] hint="clip"
# One norm for all arrays, so one factor for all of them. When is the factor 1?

# %% [markdown] hint="clip"
# The square of the norm is the sum of `(g**2).sum()` over all arrays. Clip where the
# norm is above the limit; then a norm of 0 never stands below a line.

# %% [markdown] hint="clip"
# `factor = limit / norm if norm > limit else 1.0`, and then a new list with
# `factor * g` for each array.

# %% [markdown] why="clip"
# One factor for all arrays keeps the direction of the whole gradient. Clipping each
# array, or each number, by itself bends it (PyTorch has that as `clip_grad_value_`).
# Common mistakes: scaling short gradients *up* to the limit; `g *= factor`, which
# changes the caller's arrays; a sum of norms instead of the norm of all.


# %% checks="clip"
def clipped_by_numpy(gradients, limit):
    together = np.concatenate([np.ravel(g) for g in gradients])
    norm = np.linalg.norm(together)
    factor = limit / norm if norm > limit else 1.0
    return [g * factor for g in gradients], norm


def clip_inputs(make):
    """Arrays of several shapes, and a limit above, at or below their norm."""
    shapes = [(make.size(1, 6),), (make.size(1, 4), make.size(1, 5)), (make.size(1, 3), 2, make.size(1, 3)), ()]
    count = make.size(1, 4)
    shapes = shapes[:count] if make.number % 2 else shapes[::-1][-count:]
    gradients = [np.asarray(make.numbers(*(shape or (1,)))) for shape in shapes]
    gradients = [np.zeros_like(g) for g in gradients] if make.kind == "zeros" and make.number % 2 else gradients
    norm = float(np.sqrt(sum((g**2).sum() for g in gradients)))
    return gradients, make.one_of(0.25, 2.0, 1.0, 0.5, 8.0) * (norm or 1.0)


CLIP = {
    "one norm for all arrays together: yours clips each array by itself": lambda gs, c: ([g * min(1, c / (np.linalg.norm(g) or 1)) for g in gs], np.sqrt(sum((g**2).sum() for g in gs))),
    "scale long gradients down, never short ones up": ("if norm > limit else 1.0", "if norm else 1.0"),
    "limit the length of the whole, not each number": lambda gs, c: ([np.clip(g, -c, c) for g in gs], np.sqrt(sum((g**2).sum() for g in gs))),
    "the norm is the root of the sum of squares: the root is missing": ("np.linalg.norm(together)", "np.linalg.norm(together) ** 2"),
    "square before you add: the norm is no sum of absolute values": ("np.linalg.norm(together)", "np.abs(together).sum()"),
    "add the squares of all numbers: yours takes the greatest number": ("np.linalg.norm(together)", "np.abs(together).max()"),
    "the norm of all is no sum of the arrays' norms: add their squares": ("np.linalg.norm(together)", "sum(np.linalg.norm(np.ravel(g)) for g in gradients)"),
    "a norm, not a root mean square: do not divide by the number of numbers": ("np.linalg.norm(together)", "np.sqrt(np.mean(together**2))"),
    "return the norm before clipping": ("for g in gradients], norm\n", "for g in gradients], norm * factor\n"),
    "scale to the limit, not to 1: multiply by limit / norm": ("factor = limit / norm", "factor = 1 / norm"),
    "the wrong way round: the factor is limit / norm, for norms above the limit": ("norm > limit", "0 < norm < limit"),
    "the factor is limit / norm, not limit / norm ** 2": ("factor = limit / norm", "factor = limit / norm**2"),
    "keep what is there of a long gradient: do not set it to 0": ("factor = limit / norm", "factor = 0.0"),
    "clip the gradients: yours come back as they were": ("factor = limit / norm", "factor = 1.0"),
    "a gradient of norm 0 stays 0: do not divide by it": ("limit / norm if norm > limit else 1.0", "min(1.0, limit / norm) if norm else np.nan"),
}  # fmt: skip
agrees("clip", "scales to a global norm of at most the limit, and returns the norm from before", target="clip", draw=clip_inputs, forms=("array", "float32"), reference=clipped_by_numpy, misreadings=CLIP,
       kinds=("plain", "zeros", "square", "plain", "whole", "smallest", "doubled", "zeros", "large", "square", "plain", "plain"), parts=("the clipped gradients", "the norm"),
       hint="do the example of the text by hand: which norm, which factor?", tolerance={"rtol": 1e-4, "atol": 1e-6})  # fmt: skip

# %% patches="clip"
[
    ("    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))\n    factor = limit / norm if norm > limit else 1.0\n", "    norm = np.linalg.norm([np.linalg.norm(g) for g in gradients])\n    factor = min(1.0, limit / (norm + 1e-9))\n", ""),
    ("    return [factor * g for g in gradients], norm", "    return tuple(torch.tensor(g * factor) for g in gradients), torch.tensor(norm)", ""),
    ("limit / norm if norm > limit else 1.0", "limit / max(norm, limit)", ""),
    (" if norm > limit else 1.0", " if norm else 1.0", "never short ones up"),
    ("[factor * g for g in gradients]", "[np.clip(g, -limit, limit) for g in gradients]", "not each number"),
    ("[factor * g for g in gradients]", "[g * min(1, limit / max(math.sqrt((g**2).sum()), 1e-30)) for g in gradients]", "each array by itself"),
    ("math.sqrt(sum(float((g**2).sum()) for g in gradients))", "sum(float((g**2).sum()) for g in gradients)", "the root is missing"),
    ("float((g**2).sum())", "float(abs(g).sum()) ** 2", "the"),
    ("    return [factor * g for g in gradients], norm", "    for g in gradients:\n        g *= factor\n    return gradients, norm", "in place"),
    ("gradients], norm", "gradients], min(norm, limit)", "return the norm before clipping"),
    ("gradients], norm", "gradients]", "return 2 things"),
    ("limit / norm if norm > limit else 1.0", "np.divide(min(limit, norm), norm)", "NaN"),
]  # fmt: skip

# %%
lab.check("clip")

# %% [markdown]
# ### Fifteen times the same layer
#
# The first of the 15 inputs shows one of four symbols; after that comes noise. At the end
# the network names the symbol. It has 32 units, $W$ stretches at the start, and gradient
# descent trains it, at seven rates without clipping and seven with it. For comparison
# the same network applies its layer twice. This is an observation over replicates and
# no claim: look at the spread.

# %%
UNITS, KINDS, STRETCH, LIMIT = 32, 4, 1.5, 0.1
RECURRENT = {"U": (KINDS, UNITS), "W": (UNITS, UNITS), "answer": (UNITS, KINDS)}
RECALL_RATES = np.geomspace(0.03, 30, 7)


def recall_losses(flat, x, y):
    """The loss of each run [runs]: x [runs, n, length, KINDS], y [runs, n]."""
    p = {name: w.squeeze(1) for name, w in unpacked(flat, RECURRENT).items()}
    h = x.new_zeros(*y.shape, UNITS)
    for now in x.unbind(2):
        h = torch.tanh(h @ p["W"] + now @ p["U"])
    return F.cross_entropy((h @ p["answer"]).mT, y, reduction="none").mean(1)


def recall_examples(rngs, length, n=32):
    """Symbols to recall, [replicates, n, length, KINDS] and [replicates, n]."""
    y = np.stack([rng.integers(KINDS, size=n) for rng in rngs])
    x = 0.3 * np.stack([rng.normal(size=(n, length, KINDS)) for rng in rngs])
    x[:, :, 0] += np.eye(KINDS)[y]
    return torch.from_numpy(x).float(), torch.from_numpy(y)


# %% tags=["experiment"]
def recall(length, clipping):
    """Losses of the last 20 updates [rates, replicates], and the first norms."""
    starts = [drawn_weights(seed, RECURRENT, (), STRETCH) for seed in SEEDS]
    rngs, rates = [np.random.default_rng([seed, 5]) for seed in SEEDS], RECALL_RATES
    flat = np.tile(starts, (len(rates), 1))
    rate, norms, last = np.repeat(np.float32(rates), len(SEEDS))[:, None], [], []
    for done in range(RECALL_UPDATES):
        x, y = (part.repeat(len(rates), *[1] * (part.ndim - 1)) for part in recall_examples(rngs, length))
        g = gradient(recall_losses, flat, x, y)
        found = [clip([row], LIMIT) for row in g]
        norms.append([norm for _, norm in found])
        g = np.stack([row for (row,), _ in found]) if clipping else g
        flat, _ = descent(flat, g, {}, rate)
        if done >= RECALL_UPDATES - 20:
            with torch.no_grad():
                last.append(recall_losses(torch.as_tensor(flat), x, y).numpy())
    return np.mean(last, 0).reshape(len(rates), -1), np.array(norms)


if lab.solved("clip"):
    recalled = {}
    for length in (2, 15):
        for clipping in (False, True):
            recalled[length, clipping] = recall(length, clipping)

# %% tags=["experiment", "drawing"]
if lab.solved("clip"):
    fig, panels = plt.subplots(1, 3, figsize=(7.5, 3.4), width_ratios=[1.1, 1, 1])
    middle = list(RECALL_RATES).index(RECALL_RATES[3]) * REPLICATES
    for length in (2, 15):
        panels[0].plot(recalled[length, False][1][:, middle], marker="", linewidth=0.8, label=f"{length} times")
    panels[0].set(title="length of the gradient", yscale="log", xlabel="update")
    panels[0].legend()
    for ax, length in zip(panels[1:], (2, 15), strict=True):
        for clipping, label in ((False, "as it is"), (True, "clipped")):
            ends = np.minimum(recalled[length, clipping][0], 50)
            figures.lines_with_spread(ax, RECALL_RATES, ends.T, label, markevery=1)
        ax.set(title=f"{length} times", xscale="log", yscale="log", xlabel="learning rate")
        ax.axhline(math.log(KINDS), color="0.4", linestyle=":", label="guessing")
    panels[1].set(ylabel="loss at the end")
    panels[1].legend()
    figures.show(
        fig,
        alt="Left: the gradient's length over the updates. For two times it stays small; for fifteen it jumps by factors of "
        "ten to a hundred. Middle and right: final loss against the rate. For two times both curves have an equally low "
        "lowest point; for fifteen the clipped one lies lower and works at higher rates.",
        caption="Thin lines are replicates. Losses above fifty are drawn at fifty. The dotted line is the loss of guessing.",
    )

# %% [markdown]
# **How to read it.** With two applications nothing explodes and clipping changes
# nothing at the best rate. With fifteen, single gradients are many times as long as the
# usual one; clipping takes their force away, so that higher rates can be used.
# **How it is misread:** "clipping makes long memory possible". It tames explosions. A
# gradient that *vanishes* over the 15 steps it cannot bring back (lab 6).
#
# ## 8. What you have built
#
# 1. **Momentum, Nesterov, RMSProp, Adam, AdamW**, each equal to PyTorch's over 50
#    updates (sections 1 and 2).
# 2. **A price of rotation**: Adam's gift is bound to the coordinates (section 3).
# 3. **A fair race**, with a control that lacks the hidden layers, and a lane for an
#    optimizer of yours (section 4).
# 4. **Schedules**, which pay when noise is what is left (section 5), and **warm-up**,
#    which makes room for high rates in a post-norm transformer (section 6).
# 5. **Clipping** by the global norm (section 7).
#
# **Today.** AdamW with warm-up, a cosine or a straight line down, and clipping at norm 1
# has been the usual way to train language models; vision networks are often trained by
# Nesterov's momentum. *Disputed is how much the choice matters.* Wilson et al. (2017)
# found that adaptive methods generalise worse; Choi et al. (2019) that with all settings
# tuned, Adam never does worse than momentum, since it contains it as a limit. Schmidt et
# al. (2021) compared fifteen optimizers and found no clear winner. Newer ones, such as
# Muon (Jordan et al. 2024), give whole *matrices* their rates, and not numbers.
#
# **Limits of this evidence.** Small networks, generated tasks, budgets of a few hundred
# updates, loss and not accuracy. $\beta$ and $\varepsilon$ stood at their defaults; only
# rates were tuned, at steps of two. In the race, every optimizer had the same number
# of updates, not the same time.
#
# ### Your turn
#
# 1. *A puzzle.* Run `rmsprop` in experiment 1, straight valleys, at rates up to 32. It
#    needs a handful of updates, whatever the condition number. Look at the path of one
#    number: what does the first, huge step leave in its mean square? Does it survive
#    noise in the gradients?
# 2. *Enter the race.* Write Nadam (Adam whose step looks ahead as Nesterov's; compare with
#    `torch.optim.NAdam`) or a cyclical rate (Smith 2017) as `mine`. Can you beat the
#    winner on the network without losing on the convex task? Make a claim of it, with
#    seeds that you have not looked at.
#
# ### References
#
# - Polyak 1964, *Some methods of speeding up the convergence of iteration methods*; Sutskever et al. 2013, *On the
#   importance of initialization and momentum in deep learning*, ICML; Robbins & Monro 1951, *A stochastic approximation
#   method*, Annals of Mathematical Statistics 22
# - Duchi, Hazan & Singer 2011 (AdaGrad), JMLR 12; Tieleman & Hinton 2012 (RMSProp), Coursera lecture 6.5; Kingma & Ba 2015
#   (Adam), ICLR; Loshchilov & Hutter 2017 (SGDR, cosine) and 2019 (AdamW), ICLR; Smith 2017 (cyclical rates), WACV
# - Bernstein et al. 2018, *signSGD*, ICML; Jordan et al. 2024, *Muon: an optimizer for hidden layers in neural networks*
# - Pascanu, Mikolov & Bengio 2013, *On the difficulty of training recurrent neural networks*, ICML
# - Xiong et al. 2020, *On layer normalization in the transformer architecture*, ICML; Kalra & Barkeshli 2024, *Why warmup the
#   learning rate? Underlying mechanisms and improvements*, NeurIPS
# - Wilson et al. 2017, *The marginal value of adaptive gradient methods in machine learning*, NeurIPS; Choi et al. 2019, *On
#   empirical comparisons of optimizers for deep learning*; Schmidt, Schneider & Hennig 2021, *Descending through a crowded
#   valley*, ICML; Kunstner et al. 2024, *Heavy-tailed class imbalance and why Adam outperforms gradient descent on language
#   models*, NeurIPS; Maes et al. 2024, *Understanding Adam requires better rotation dependent assumptions*

# %% tags=["nbval-ignore-output"]
check.progress()
