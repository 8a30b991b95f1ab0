# %% [markdown]
# # How do you get downhill faster?
#
# **In one sentence:** you build the optimizers that train nearly every network today, from momentum to AdamW, with
# schedules and gradient clipping; you prove each equal to PyTorch's; and you measure over five replicates when they pay
# and when they cost, each at its own best rate and each against a control.
#
# After this lab you can
#
# 1. **write** momentum, Nesterov's momentum, RMSProp, Adam and AdamW;
# 2. **predict** what happens to an adaptive method when its valley is turned;
# 3. **compare** optimizers fairly, and **enter** one of your own into the race;
# 4. **choose** a schedule, and say when it only costs.
#
# **You need** notebooks 00 to 02 (update, batch, cross-entropy, claim, control; residual connection, normalisation).
#
# {exercises}
#
# Below each exercise stand hints and a solution to unfold. A check draws new inputs each time.

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
RACE_UPDATES, RACE_BATCH = 120, 64  # of experiment 2
SHORT, LONG = 100, 1000  # the two budgets of section 5, in updates
WARM, ALL_UPDATES = 130, 260  # of experiment 3

# %% [markdown]
# ## 1. A narrow valley
# Stand in a valley that is a hundred times as steep across as along:
#
# $$ f(x_1, x_2) = \tfrac12 \left( x_1^2 + 100\, x_2^2 \right), \qquad g = \nabla f = (x_1,\ 100\, x_2) . $$
#
# Gradient descent, $x \leftarrow x - \eta\, g$, multiplies $x_1$ by $1 - \eta$ and $x_2$ by $1 - 100\,\eta$ in each
# update. If $\eta$ is over $2/100$, then $x_2$ grows without end. So the steep direction limits the **rate** $\eta$
# (the learning rate), and the flat one has to wait: at $\eta = 0.019$ it takes 361 updates until $x_1$ is a thousandth
# of what it was.
#
# **The form of an optimizer.** In this lab an optimizer is a function that makes *one* update. It is given the
# parameters `x`, their gradient `g`, a `state` and the rate. It returns the new parameters and the new state. The state
# is its memory: `{}` before the first update, and afterwards whatever it returned last. Gradient descent remembers
# nothing:


# %%
def descent(x, g, state, rate):
    """One update of gradient descent: (new parameters, new state)."""
    return x - rate * g, {}


x, state = np.array([10.0, 1.0]), {}
for _ in range(3):
    x, state = descent(x, x * [1, 100], state, rate=0.019)
    print(np.round(x, 3).tolist())
assert 0.981**360 > 1 / 1000 > 0.981**361

# %% [markdown]
# The second number swings from side to side; the first one crawls.
#
# **Momentum** (Polyak 1964) remembers. It adds up the gradients in a **velocity** $v$, of which each update keeps the
# share $\beta$:
#
# $$ v \leftarrow \beta\, v + g, \qquad x \leftarrow x - \eta\, v . $$
#
# By hand, with $\beta = 0.9$ and $v = 0$ at the start. *Along* the valley the gradient hardly changes. Let it be 1 each
# time: then $v$ is $1$, $1.9$, $2.71$, …, and comes to $1 / (1 - \beta) = 10$. *Across* the valley it changes its sign.
# Let it be $1$, $-1$, $1$, …: then $v$ is $1$, $-0.1$, $0.91$, …, and swings at last between $\pm 0.53$. So momentum
# goes ten times as far where gradients agree, and half as far where they cancel.
#
# **Nesterov's momentum** asks for the gradient one step ahead, where the velocity is about to carry $x$. In PyTorch's
# form $x$ *is* that point ahead. The velocity is the same, and the step is $g + \beta\, v$ with the *new* $v$: the
# gradient of this update, and already the part $\beta v$ of the next one. For $g = 1$ at the first update $v = 1$, and
# the step is $\eta \cdot 1.9$.

# %% [markdown] exercise="momentum" difficulty=2 importance=5 minutes=25 points=4
# ### Momentum, plain and Nesterov's
# Write one update of both. Work on each number of `x` by itself, so that any shape will do. Three rules hold for every
# optimizer of this lab:
#
# - **Leave `x` and `g` as they are** and return new arrays. (`x -= ...` would change the caller's own.)
# - **Keep all memory in `state`**, in a dictionary of your making. Two networks that are trained in turn must not
#   disturb each other.
# - **The rate can change** from update to update, and it can be an array that NumPy broadcasts to `x`: a rate for each
#   number, or for each row. So it belongs into the step, and not into the velocity.
#
# Six digits are enough in this lab: a result in float32 is as right as one in float64.


# %% solution="momentum"
def momentum(x, g, state, rate, beta=0.9, nesterov=False):
    """One update of momentum: (new parameters, new state).

    x, g: arrays of one shape; state: {} before the first update, then what the last
    call returned; rate: a number, or an array that broadcasts to the shape of x.

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
# What must the next call know of this one? Only that belongs into the state. What stands for "no velocity so far"?

# %% [markdown] hint="momentum"
# `state.get("velocity", 0)` is the old velocity, or 0. The new one is `beta` times that, plus `g`: return it in a
# dictionary.

# %% [markdown] hint="momentum"
# The step is `velocity`, or `g + beta * velocity` for Nesterov's. Return `x - rate * step, {"velocity": velocity}`.

# %% [markdown] why="momentum"
# The velocity is made of gradients alone. With the rate in it, $v \leftarrow \beta v - \eta g$, all is the same until
# the rate changes: then old gradients keep their old rates. Both forms are in use; PyTorch's is the one above. Common
# mistakes: $(1 - \beta)\, g$ for $g$, which makes steps ten times shorter; Nesterov's step with the *old* velocity
# (that is plain momentum again); `x -= ...`, which changes the caller's array; a velocity that lives outside of
# `state`.

# %% checks="momentum"
# fmt: off
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
                return "return two things, the new parameters and the new state" + ("; None came back: is a `return` missing?" if found is None else "")
            if not np.array_equal(rows[i], before, equal_nan=True):
                return "`x` is changed in place, which its caller still needs: write x - ..., not x -= ..."
            if not np.array_equal(gradients, kept):
                return "a gradient is changed in place, at once or by a later call: work on a copy"
            if np.shape(found[0]) != before.shape:
                return "the new parameters must have the shape of x: work on each number by itself"
            rows[i], states[i] = np.array(found[0], dtype=float), found[1]
        path.append([row.copy() for row in rows])
    alone, state = x[0].copy(), {}
    for g, rate in zip(gradients, rates):
        alone, state = step(alone, g[0], state, rate, **settings)
    apart = np.allclose(np.array(alone, dtype=float), rows[0], rtol=1e-3, atol=1e-4, equal_nan=True)
    return path if apart else "two networks that are trained in turn disturb each other: keep all memory in `state`"
def updates_of(name, *choices):
    """A draw of two rows or matrices of parameters, gradients of up to 120 updates, rates (one, a rate each, or a rate a row), settings."""
    def draw(make):
        shape, count = (make.size(1, 5),), 1 if make.kind == "smallest" else 120 if make.number == 0 else make.size(3, 12)
        shape = shape if make.number % 3 else (make.size(2, 3), make.size(2, 4))
        drift = 0.0 if make.kind in ("large", "tiny") else 0.25 * (make.number % 3)
        gradients, rates = make.numbers(count, 2, *shape) + drift, 2.0 ** -make.rng.integers(3, 7, (count, *shape))
        gradients[0] = 0.0 if make.kind == "zeros" else gradients[0]
        rates = rates[..., :1] if make.number == 9 else rates
        rates = list(rates) if make.number % 2 else [float(each.flat[0]) for each in rates]
        return name, make.numbers(2, *shape), gradients, rates, dict(make.one_of(*choices))
    return draw
def equals(name, line, settings, build, written, misreadings, hint, kinds):
    def torch_path(name, x, gradients, rates, settings):  # where rates differ, each number of x is a parameter group
        parts = lambda both: both.reshape(2, -1).T if np.ndim(rates[0]) else [both]
        columns = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in parts(x)]
        optimizer, found = build([{"params": [column]} for column in columns], **settings), []
        for g, rate in zip(gradients, rates):
            each = np.broadcast_to(rate, x.shape[1:]).ravel()
            for group, column, slope, own in zip(optimizer.param_groups, columns, parts(g), each):
                group["lr"], column.grad = float(own), torch.tensor(slope, dtype=torch.float64)
            optimizer.step()
            now = torch.stack([column.detach() for column in columns], dim=1 if np.ndim(rate) else 0)
            found.append(now.numpy().reshape(x.shape).copy())
        return found
    agrees(name, line, target=use_updates, draw=updates_of(name, *settings), reference=torch_path, written=written, misreadings=misreadings,
           hint=hint, kinds=kinds, explain=lambda got, *_: got if isinstance(got, str) else None, tolerance={"rtol": 1e-4, "atol": 1e-5})
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
MOMENTUM = {
    "the velocity adds the gradient itself: beta * v + g, without (1 - beta)": ("beta * v + g\n", "beta * v + (1 - beta) * g\n"), "the rate belongs into the step and not into the velocity: it may be another at the next update": ("v = beta * v + g\n", "v = beta * v + rate * g\n        g, rate = rate * g, 1.0\n"),
    "the rate comes in twice: only the step has it, not the velocity": ("v = beta * v + g\n", "v = beta * v + rate * g\n"), "remember the velocity: yours begins at 0 in each update": ("v = beta * v + g\n", "v = g\n"),
    "the velocity must forget: multiply the old one by beta": ("v = beta * v + g\n", "v = v + g\n"), "the sign is wrong: go against the gradient": ("x - rate", "x + rate"),
    "step by the new velocity: yours is one update behind": ("else v", "else old"), "multiply the old velocity by beta, and not the gradient too": ("v = beta * v + g\n", "v = beta * (v + g)\n"), "use `beta`, and 0.9 where it is not given": ('settings.get("beta", 0.9)', "0.9"),
    "plain momentum steps by v alone: yours takes Nesterov's step always": ("else v", "else g + beta * v"), "each number can have a rate of its own: yours takes one for all": ("x - rate", "x - np.max(rate)"),
    "each number can have a rate of its own: yours takes their mean": ("x - rate", "x - np.mean(rate)"), "each number can have a rate of its own: yours takes one for each row": ("x - rate", "x - (rate[:, :1] if np.ndim(rate) == 2 else rate)"),
    "the rate can change: use the one that comes with each update, not the first one's": ("zip(gradients, rates):", "zip(gradients, [rates[0]] * len(rates)):"), "the first velocity is g; later ones add g as well, without (1 - beta)": ("v = beta * v + g\n", "v = beta * v + (1 - beta) * g if path else g\n"),
}
NESTEROV = MOMENTUM | {
    "what the next update needs is the velocity, not the whole step": ("        x = x - rate * step", "        v = step\n        x = x - rate * step"),
    "Nesterov's step is g + beta * v with the new v (with the old one it is plain momentum, as yours)": ("if nesterov", "if False"), "Nesterov's step is g + beta * v: the gradient is missing": ("g + beta * v if", "beta * v if"),
    "Nesterov's step is g + beta * v: beta is missing": ("g + beta * v if", "g + v if"), "Nesterov looks ahead in each update: yours does so in the first alone": ("if nesterov", "if not path"),
}
for plain in ("step by the new velocity: yours is one update behind", "plain momentum steps by v alone: yours takes Nesterov's step always"):
    del NESTEROV[plain]
SGD = lambda groups, beta=0.9, nesterov=False: torch.optim.SGD(groups, lr=1.0, momentum=beta, nesterov=nesterov)
PLAIN = ("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "plain", "square")
FIRST = "do two updates by hand, as in the text: what is remembered, and what is the step?"
equals("momentum", "equals torch.optim.SGD with momentum, over up to 120 updates", ({}, {"beta": 0.5}, {"nesterov": False, "beta": 0.75}), SGD, momentum_by_hand, MOMENTUM, FIRST, PLAIN)
equals("momentum", "equals it with nesterov=True, too", ({"nesterov": True}, {"beta": 0.5, "nesterov": True}), SGD, momentum_by_hand, NESTEROV, FIRST, PLAIN)
# fmt: on

# %% patches="momentum"
[
    ('state.get("velocity", 0)', 'state.get("velocity", np.zeros_like(x))', ""), ('    velocity = beta * state.get("velocity", 0) + g\n', '    velocity = g.copy() if not state else state["velocity"] * beta + g\n', ""),
    ('+ g\n    step', '+ (1 - beta) * g\n    step', "without (1 - beta)"), ('return x - rate * step', 'x -= rate * step\n    return x', "x - ..., not x -= ..."),
    ('+ g\n    step = g + beta * velocity if nesterov else velocity\n    return x - rate * step', '+ rate * g\n    step = rate * g + beta * velocity if nesterov else velocity\n    return x - step', "the rate belongs into the step"),
    ('velocity = beta * state.get("velocity", 0) + g', "velocity = momentum.__dict__['v'] = beta * momentum.__dict__.get('v', 0) + g", "keep all memory in `state`"), ("g + beta * velocity if", "g + beta * state.get('velocity', 0) if", "it is plain momentum, as yours"),
    ("    return x - rate * step", "    velocity *= beta\n    velocity += 0\n    return x - rate * step", "differ"),
]  # fmt: skip

# %%
lab.check("momentum")

# %% [markdown]
# ## 2. A rate for every number
# Momentum has one rate for all. Could each number of $x$ have its own? The number with gradients around 100 should go
# at a small rate, the one with gradients around 1 at a large one. **RMSProp** (Tieleman & Hinton 2012) divides each
# gradient by its usual size. It keeps a running mean of *squared* gradients, number by number:
#
# $$ s \leftarrow \alpha\, s + (1 - \alpha)\, g^2, \qquad x \leftarrow x - \eta\, \frac{g}{\sqrt{s} + \varepsilon} . $$
#
# $\sqrt{s}$ is a root mean square, hence the name. The tiny $\varepsilon$ saves us from dividing by 0. By hand, with
# $\alpha = 0.99$, $s = 0$ at first and $g = (1, 100)$: $s = (0.01, 100)$, $\sqrt{s} = (0.1, 10)$, so the step is
# $\eta \cdot (10, 10)$. Both numbers move equally far, whatever their gradients' size. (A *sum* of squares in place of
# the mean is AdaGrad, Duchi et al. 2011, whose steps shrink for ever.)


# %%
def rmsprop(x, g, state, rate, alpha=0.99, eps=1e-8):
    """One update of RMSProp: (new parameters, new state)."""
    square = alpha * state.get("square", 0) + (1 - alpha) * g**2
    return x - rate * g / (np.sqrt(square) + eps), {"square": square}


print(rmsprop(np.zeros(2), np.array([1.0, 100.0]), {}, rate=1.0)[0].round(3).tolist())

# %% [markdown]
# **Adam** (Kingma & Ba 2015) is both at once: a running mean $m$ of gradients above the line, as a velocity, and one of
# their squares, $s$, below it:
#
# $$ m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad s \leftarrow \beta_2 s + (1 - \beta_2)\, g^2 . $$
#
# Both begin at 0, so at first they are far too small. By hand, with $\beta_1 = 0.9$, $\beta_2 = 0.999$ and $g = 3$:
# $m = 0.3$ and $s = 0.009$, though the gradient is 3 and its square 9. The weights of a mean must add up to 1. Those of
# the $t$ gradients so far, $(1 - \beta)\,(1 + \beta + \dots + \beta^{t-1})$, add up to $1 - \beta^t$ only. Divide by
# that:
#
# $$ \hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat s = \frac{s}{1 - \beta_2^t}, \qquad x \leftarrow x - \eta\,
# \frac{\hat m}{\sqrt{\hat s} + \varepsilon} . $$
#
# At $t = 1$: $\hat m = 3$, $\hat s = 9$, and the step is $\eta \cdot 3 / 3 = \eta$. What is stored, and averaged
# further, is $m$ and $s$ without the correction.
#
# **AdamW** (Loshchilov & Hutter 2019) also shrinks each weight a little in each update: it multiplies $x$ by
# $1 - \eta \lambda$, beside Adam's step. Before AdamW, people added $\lambda x$ to the gradient. Then it was divided by
# $\sqrt{\hat s}$ too, so weights with large gradients hardly shrank.

# %% [markdown] exercise="adam" difficulty=3 importance=5 minutes=30 points=5
# ### Adam and AdamW
# One function for both: with `decay` 0 it is Adam, and otherwise AdamW, with $\lambda$ = `decay`. The three rules hold
# here, too. By AdamW with $\eta = 0.1$ and $\lambda = 0.5$, $x = 10$ and $g = 3$ become $10 \cdot 0.95 - 0.1 = 9.4$.


# %% solution="adam"
def adam(x, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    """One update of Adam, or with decay > 0 of AdamW: (new parameters, new state).

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
# The state has three entries: two means, and the number of updates so far. With which $t$ does the first update
# compute?

# %% [markdown] hint="adam"
# Begin with `t = state.get("t", 0) + 1`. Update both means, then make corrected ones *beside* them: `mean / (1 -
# beta1**t)`.

# %% [markdown] hint="adam"
# The step: corrected mean / (`np.sqrt(corrected_square) + eps`). Return `(1 - rate * decay) * x - rate * step` and the
# state.

# %% [markdown] why="adam"
# $\varepsilon$ comes after the root of the *corrected* square. For $g = 10^{-8}$ the first step is
# $\eta \cdot 10^{-8} / (10^{-8} + 10^{-8}) = \eta / 2$; with $\varepsilon$ under the root it is about
# $\eta / 10{,}000$. Without the correction the first step would be $0.1 / \sqrt{0.001} \approx 3.2$ times as long as
# the rate. Common mistakes: $t = 0$ in the first update (a division by 0); the corrected means stored, and corrected
# again; `decay * x` added to the gradient; a decay without the rate.

# %% checks="adam"
# fmt: off
EVERY = ("plain", "tiny", "zeros", "whole", "square", "smallest", "zeros", "tiny", "doubled", "large", "plain", "tiny")
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
    "the correction for the start is missing: divide the means by 1 - beta**t": ("m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t))", "m, np.sqrt(s)"), "correct both means for the start: that of the squares is not": ("s / (1 - beta2**t)", "s"),
    "correct both means for the start: that of the gradients is not": ("m / (1 - beta1**t)", "m"), "the first update has t = 1: with t = 0 you divide by 1 - beta**0, which is 0": ("zip(gradients, rates), 1)", "zip(gradients, rates), 0)"),
    "the first update has t = 1: yours counts one too many": ("zip(gradients, rates), 1)", "zip(gradients, rates), 2)"), "t grows by 1 in each update: yours stays at 1": ("        above", "        t = 1\n        above"),
    "epsilon stands outside of the root: the root first, then + eps": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.sqrt(s / (1 - beta2**t) + eps)"), "epsilon comes after the correction: it is not corrected itself": ("np.sqrt(s / (1 - beta2**t)) + eps", "(np.sqrt(s) + eps) / np.sqrt(1 - beta2**t)"),
    "epsilon is missing: where all gradients were 0, yours divides 0 by 0": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.sqrt(s / (1 - beta2**t))"),
    "store the means without the correction: yours are corrected again and again": ("        x = x", "        m, s = above, s / (1 - beta2**t)\n        x = x"), "above the line stands the mean of the gradients, not this gradient alone": ("above, below = m / (1 - beta1**t)", "above, below = g"),
    "beta1 is the share of the old mean, 1 - beta1 that of the new gradient": ("beta1 * m + (1 - beta1) * g", "(1 - beta1) * m + beta1 * g"), "a running mean: multiply the new gradient by (1 - beta1)": ("+ (1 - beta1) * g\n", "+ g\n"), "a running mean: multiply the new square by (1 - beta2)": ("(1 - beta2) * g**2", "g**2"),
    "beta1 belongs to the mean, beta2 to the mean of the squares: yours are the wrong way round": ("beta1, beta2 = settings.get(\"beta1\", 0.9), settings.get(\"beta2\", 0.999)", "beta2, beta1 = settings.get(\"beta1\", 0.9), settings.get(\"beta2\", 0.999)"),
    "the correction is 1 - beta**t, a power: yours multiplies": ("m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t))", "m / (1 - beta1 * t), np.sqrt(np.abs(s / (1 - beta2 * t)))"),
    "the sign is wrong: go against the gradient": ("- rate * above", "+ rate * above"), "correct the mean square before you take its root, not afterwards": ("np.sqrt(s / (1 - beta2**t))", "np.sqrt(s) / (1 - beta2**t)"),
    "average the squares of the gradients, not of their distances from the mean": ("* g**2", "* (g - m) ** 2"), "add epsilon to the root: yours takes the larger of the two": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.maximum(np.sqrt(s / (1 - beta2**t)), eps)"),
    "a gradient is not cut off: leave a step longer than the rate as it is": ("rate * above / below", "rate * np.clip(above / below, -1, 1)"), "use `beta1` and `beta2`, and 0.9 and 0.999 where they are not given": ('settings.get("beta1", 0.9), settings.get("beta2", 0.999)', "0.9, 0.999"),
    "correct the means in every update: yours stops it after a while": ("        above", "        t = t if t <= 100 else 10**6\n        above"),
    "below the line stands the mean square of now, not the largest so far": ("        above, below = m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t)) + eps", "        top = s / (1 - beta2**t) if t == 1 else np.maximum(top, s / (1 - beta2**t))\n        above, below = m / (1 - beta1**t), np.sqrt(top) + eps"),
    "use `eps`, and 1e-8 where it is not given": ('settings.get("eps", 1e-8)', "1e-8"), "each number has a size of its own: do not average over the array": ("* g**2", "* np.mean(g**2, axis=tuple(range(1, g.ndim)), keepdims=True)"),
}
ADAMW = ADAM | {
    "the decay is missing: multiply x by 1 - rate * decay": ("- rate * shrink * x", ""), "the decay belongs beside the step: added to the gradient it is divided by its size (Adam before AdamW)": ("        shrink = decay\n", "        g, shrink = g + decay * x, 0.0\n"),
    "the decay goes at the rate too: multiply x by 1 - rate * decay": ("- rate * shrink * x", "- shrink * x"), "shrink x as it was before the step: yours shrinks it afterwards": ("x - rate * shrink * x - rate * above / below", "(1 - rate * shrink) * (x - rate * above / below)"),
    "the decay shrinks x by a share: multiply rate * decay by x": ("- rate * shrink * x", "- rate * shrink"), "a decay shrinks x: the sign is wrong": ("- rate * shrink * x", "+ rate * shrink * x"),
    "the decay goes at each number's own rate: yours takes their mean": ("- rate * shrink * x", "- np.mean(rate) * shrink * x"), "the decay shrinks x in every update: yours does so in the first alone": ("shrink = decay", "shrink = decay if t == 1 else 0.0"),
}
THIRD = "do the first update by hand, as in the text, then the second: what is t, what is stored?"
equals("adam", "equals torch.optim.Adam, over up to 120 updates", ({}, {"beta1": 0.5}, {"beta2": 0.5, "eps": 0.5}, {"beta1": 0.75, "beta2": 0.875, "eps": 1e-3}), adam_of_torch, adam_by_hand, ADAM, THIRD, EVERY)
equals("adam", "equals torch.optim.AdamW where there is a decay", ({"decay": 0.5}, {"decay": 2.0, "eps": 0.5}, {"decay": 1.0, "beta1": 0.5}), adam_of_torch, adam_by_hand, ADAMW, THIRD, PLAIN)
# fmt: on

# %% patches="adam"
[
    ("    size = np.sqrt(square / (1 - beta2**t)) + eps\n    step = mean / (1 - beta1**t) / size\n", "    scale = (1 - beta2**t) ** 0.5\n    step = mean * scale / (1 - beta1**t) / (square**0.5 + eps * scale)\n", ""),
    ('    return new, {"t": t, "mean": mean, "square": square}', '    state.update(t=t, mean=mean, square=square)\n    return [new, state]', ""), ('state.get("t", 0) + 1', 'state.get("t", 0)', "with t = 0 you divide"),
    ("np.sqrt(square / (1 - beta2**t)) + eps", "np.sqrt(square) + eps", "that of the squares is not"), ("mean / (1 - beta1**t) / size", "mean / size", "that of the gradients is not"),
    ("np.sqrt(square / (1 - beta2**t)) + eps", "np.sqrt(square / (1 - beta2**t) + eps)", "the root first, then + eps"), ("(1 - rate * decay) * x", "(1 - decay) * x", "the decay goes at the rate too"),
    ('    t = state.get("t", 0) + 1\n', '    g, decay = g + decay * x, 0.0\n    t = state.get("t", 0) + 1\n', "Adam before AdamW"), ('state.get("t", 0) + 1', "adam.__dict__['t'] = adam.__dict__.get('t', 0) + 1", "keep all memory in `state`"),
]  # fmt: skip

# %%
lab.check("adam")

# %% [markdown]
# ### The same as PyTorch
# Rosenbrock's function $(1 - x_1)^2 + 100\,(x_2 - x_1^2)^2$ is a bent valley. Your functions and five optimizers of
# PyTorch walk down it for 50 updates, in float64.


# %%
def equal(step, own, optimizer, theirs):
    """Walk 50 updates with both; an error where they differ."""
    y, state = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True), {}
    x, optimizer = y.detach().numpy().copy(), optimizer([y], **theirs)
    for _ in range(50):
        optimizer.zero_grad()
        ((1 - y[0]) ** 2 + 100 * (y[1] - y[0] ** 2) ** 2).backward()
        x, state = step(x, y.grad.numpy(), state, **own)
        optimizer.step()
    np.testing.assert_allclose(x, y.detach(), rtol=1e-12)


if lab.solved("momentum", "adam"):
    SGD, fast, heavy = torch.optim.SGD, {"lr": 0.1}, {"lr": 1e-4, "momentum": 0.9}
    equal(momentum, {"rate": 1e-4}, SGD, heavy)
    equal(momentum, {"rate": 1e-4, "nesterov": True}, SGD, heavy | {"nesterov": True})
    equal(rmsprop, {"rate": 0.1}, torch.optim.RMSprop, fast)
    equal(adam, {"rate": 0.1}, torch.optim.Adam, fast)
    decayed = fast | {"weight_decay": 2}
    equal(adam, {"rate": 0.1, "decay": 2}, torch.optim.AdamW, decayed)
    print("five optimizers are equal to PyTorch's after 50 updates")

# %% [markdown]
# ## 3. Turn the valley
# RMSProp and Adam give each *number* its own rate. That is what a valley needs whose steep and flat directions are the
# coordinates. But what if the valley lies at an angle? Then each coordinate is a bit of both. Gradient descent and
# momentum do not care: if you turn valley and start, their whole path turns with them. Move the slider.


# %% tags=["experiment", "drawing"]
def drawn_at(angle):
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]])
    valley = turn * [1.0, 50.0] @ turn.T
    grid = np.stack(np.meshgrid(*[np.linspace(-3.6, 3.6, 80)] * 2), -1)
    heights = np.einsum("abi,ij,abj->ab", grid, valley, grid) / 2
    fig, panels = plt.subplots(1, 3, figsize=(7.5, 3.0), sharey=True)
    for ax, step, rate in zip(panels, (descent, momentum, adam), (0.035, 0.01, 0.3), strict=True):
        path, state = [turn @ [-3.0, 1.0]], {}
        for _ in range(40):
            x, state = step(path[-1], valley @ path[-1], state, rate)
            path.append(x)
        ax.contour(*grid.T, heights.T, [0.5, 2, 5, 15, 40, 100, 250], colors="0.8", linewidths=0.8)
        ax.plot(*np.transpose(path), markersize=3, markevery=1, linewidth=1, label=step.__name__)
        ax.set(title=step.__name__, xlabel="parameter 1", xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), aspect="equal")
    panels[0].set(ylabel="parameter 2")
    return fig


if lab.solved("momentum", "adam"):
    figures.slider(
        {angle: drawn_at(angle) for angle in (0, 9, 18, 27, 36, 45)},
        alt="Three paths on the contour lines of a narrow valley. Those of gradient descent, a zigzag, and of momentum, which "
        "swings, turn with the valley. Adam's path changes with the angle.",
        caption="The valley and the start turn together. Two of the three paths turn with them.",
        name="Valley turned by degrees",
    )

# %% [markdown]
# ### Experiment 1: what does rotation cost?
# Now in 20 dimensions. The steepest direction is so many times as steep as the flattest one; this is the **condition
# number**. Each direction brings as much to the loss at the start. How many updates does it take to a thousandth of
# that loss? Each method runs at its best rate, which must lie inside its grid. It is chosen on other valleys, and for
# turned ones anew.

# %%
guess_turn = predict(
    "Condition number 100: how many updates does Adam need in turned valleys?",
    ["over twice those in straight ones", "10 % to 100 % more", "as many, within 10 %"],
)

# %% tags=["experiment"]
DIMENSIONS, BOWLS, MOST = 20, 10, 1500  # MOST: updates after which we give up


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
            if reached.all():
                break
            needed += ~reached
            x, state = step(x, g, state, rate)
    return needed


# %% tags=["experiment"]
CONDITIONS = [10, 100, 1000, 10_000]
RATES = {"momentum": np.geomspace(0.1, 6.4, 7), "adam": np.geomspace(0.03, 8, 9)}
SEEDS = range(BASE_SEED, BASE_SEED + REPLICATES)
TWICE = [2 * seed + i for seed in SEEDS for i in (0, 1)]  # for means of two


def inside(losses):
    """The place of the best mean [rates, ...] in a grid; an error at its edge."""
    means = np.reshape(losses, (len(losses), -1)).mean(1)
    best = int(np.argmin(means))
    assert 0 < best < len(means) - 1, "the best rate is at the grid's edge: move it"
    return best


def cost(name, condition, rotated):
    """The updates needed, a geometric mean over the valleys of each replicate."""
    step, rates = {"momentum": momentum, "adam": adam}[name], RATES[name]
    others = bowls(BASE_SEED + 500, condition, rotated)
    best = rates[inside(np.log(updates_needed(step, rates, *others)))]
    drawn = [bowls(seed, condition, rotated) for seed in SEEDS]
    needed = [updates_needed(step, [best], *valleys) for valleys in drawn]
    return np.exp(np.log(needed).mean((1, 2)))


if lab.solved("momentum", "adam"):
    costs = {}
    for name, turn in [(name, turn) for name in RATES for turn in (False, True)]:
        costs[name, turn] = np.stack([cost(name, c, turn) for c in CONDITIONS], 1)
    price = {name: costs[name, True] / costs[name, False] for name in RATES}
    seen = price["adam"][:, CONDITIONS.index(100)].mean()
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
        "At condition number 10,000 turned valleys cost Adam 5 times as many updates",
        price["adam"][:, -1],
        at_least=5,
        scale="log",
        control=price["momentum"][:, -1],
        control_is="momentum, which has one rate for all numbers, in such valleys",
        source="Kingma & Ba 2015 (Adam); Maes et al. 2024 (rotation, in transformers)",
    )

# %% [markdown]
# **How to read it.** Adam makes a straight valley round, however narrow it is: its line is flat. Turned, it loses that
# gift, and needs about as many updates as momentum. For momentum the price is 1 by symmetry; what is left is the draw.
# **How it is misread:** "rotation hurts Adam". Up to condition number 100 it costs hardly anything. And nobody turns a
# network's parameters at random: that each coordinate *is* something may be why Adam works (Maes et al. 2024).
#
# ## 4. The race
# Who wins on a network? Every example is noise around one of 128 centres in 32 dimensions, and the label is the
# centre's number. Each batch is drawn anew, so training and held-out loss are the same. A linear rule can solve this,
# and its loss is **convex**: one bowl, without false bottoms. A network with three hidden layers gets the *same*
# examples, and its loss is not convex. So the convex task is the control: it differs in the hidden layers alone.
#
# What is measured is the **excess loss**: cross-entropy minus that of the best possible rule, which we know, because we
# made the centres.


# %%
def world(seed, shapes, noise):
    """draw(n): inputs [n, d], labels [n], and the loss of the best possible rule."""
    rng = np.random.default_rng([seed, 2])
    centres = rng.normal(size=(shapes[-1][1], shapes[0][0] - 1))

    def draw(n):
        labels = rng.integers(len(centres), size=n)
        x = centres[labels] + noise * rng.normal(size=(n, centres.shape[1]))
        best = (x @ centres.T - (centres**2).sum(1) / 2) / noise**2
        x = np.append(x, np.ones((n, 1)), axis=1)  # in place of biases
        x, y, best = map(torch.from_numpy, (x, labels, best))
        return x.float(), y, F.cross_entropy(best, y)

    return draw


def start(seed, shapes, gain):
    """All weights in one array: normal, with variance gain / fan_in."""
    rng = np.random.default_rng([seed, 3])
    parts = [rng.normal(size=a * b) * math.sqrt(gain / a) for a, b in shapes]
    return np.concatenate(parts).astype(np.float32)


def unpacked(flat, shapes):
    """The weights of each layer, [runs, fan_in, fan_out], from rows of numbers."""
    pieces = flat.split([a * b for a, b in shapes], dim=1)
    return [piece.view(-1, *shape) for piece, shape in zip(pieces, shapes, strict=True)]


# %% [markdown]
# Your optimizers work number by number, so many networks can train at once: `flat` has a row of parameters for each
# rate and replicate. PyTorch differentiates.


# %%
def train(step, rates, starts, loss, draw, updates, factor=lambda done: 1.0):
    """Final parameters, a row for each rate and start; `draw` gives a batch."""
    flat, state = np.tile(starts, (len(rates), 1)), {}
    rate = np.repeat(np.float32(rates), len(starts))[:, None]
    with np.errstate(all="ignore"):  # rates that are too high overflow
        for done in range(updates):
            now = torch.as_tensor(flat, dtype=torch.float32).requires_grad_()
            loss(now, *draw()).sum().backward()
            g, now_rate = now.grad.numpy(), rate * np.float32(factor(done))
            flat, state = step(flat, g, state, now_rate)
    return torch.as_tensor(flat, dtype=torch.float32)


# %% tags=["experiment"]
def compete(step, rates, seeds, shapes, noise, updates, batch, **schedule):
    """(Log of validation loss [rates, seeds], test loss at the best rate [seeds])."""
    worlds = [world(seed, shapes, noise) for seed in seeds]

    def draw(n=batch, copies=len(rates)):
        parts = zip(*(each(n) for each in worlds), strict=True)
        return [torch.stack(part * copies) for part in parts]

    def excess(flat, x, y, least):
        *hidden, last = unpacked(flat, shapes)
        for weights in hidden:
            x = (x @ weights).relu()
        return F.cross_entropy((x @ last).mT, y, reduction="none").mean(1) - least

    starts = [start(seed, shapes, gain=2.0 * (len(shapes) > 1)) for seed in seeds]
    flat = train(step, rates, starts, excess, draw, updates, **schedule)
    found = excess(flat, *draw(2000)).view(len(rates), -1).nan_to_num(1e6, posinf=1e6)
    validation = found.clamp(1e-6, 1e6).log().numpy()
    best = flat.view(len(rates), len(seeds), -1)[inside(validation)]
    return validation, excess(best, *draw(20_000, copies=1)).numpy()


# %% [markdown]
# **Your own optimizer.** The race has a lane for it. Below stands one that takes only the *sign* of a mean gradient, so
# that every number moves by exactly the rate (Signum, Bernstein et al. 2018). Replace it by whatever you like. If its
# best rate is at the edge of its grid, an error says so: move the grid.


# %% tags=["experiment"]
def mine(x, g, state, rate):
    """Yours: rewrite me."""
    mean = 0.9 * state.get("mean", 0) + 0.1 * g
    return x - rate * np.sign(mean), {"mean": mean}


# name: (optimizer, middle of five rates for the network, and for the convex task)
LANES = {
    "descent": (descent, 0.5, 4.0),
    "momentum": (momentum, 0.05, 0.4),
    "RMSProp": (rmsprop, 0.005, 0.02),
    "Adam": (adam, 0.01, 0.04),
    "mine": (mine, 0.0025, 0.01),
}
FACTORS = 2.0 ** np.arange(-2, 3)  # of the rates in a grid: two below, two above

# %% [markdown]
# ### Experiment 2: Adam against momentum
# Both have a velocity; Adam divides, too. So what differs is the division. Each runs at five rates, and the best one is
# chosen on validation examples; then the test examples are looked at, once.

# %%
guess_race = predict(
    "Each at its best rate: where does Adam end with less excess loss than momentum?",
    ["on both tasks", "on the network alone", "on the convex task alone", "on neither"],
)

# %% tags=["experiment"]
HIDDEN = [(33, 48), (48, 48), (48, 48), (48, 128)]  # shapes of the layers
TASKS = {"network": HIDDEN, "convex": [(33, 128)]}

if lab.solved("momentum", "adam"):
    by_rate, ends = {}, {}
    for name, (step, *middles) in LANES.items():
        for task, middle in zip(TASKS, middles, strict=True):
            how = SEEDS, TASKS[task], 1.0, RACE_UPDATES, RACE_BATCH
            found = compete(step, middle * FACTORS, *how)
            by_rate[task, name], ends[task, name] = found
    gains = {task: ends[task, "momentum"] / ends[task, "Adam"] for task in TASKS}
    one, two = (gains[task].mean() > 1 for task in TASKS)
    guess_race.resolve([one and two, one > two, two > one, not one and not two])

# %% tags=["experiment", "drawing"]
if lab.solved("momentum", "adam"):
    fig, panels = plt.subplots(1, 4, figsize=(7.5, 3.6), sharey=True, width_ratios=[1.4, 1, 1.4, 1])
    for task, above, below in zip(TASKS, panels[::2], panels[1::2], strict=True):
        for name, (_, *middles) in LANES.items():
            curve, rates = np.exp(by_rate[task, name].mean(1)), middles[task == "convex"] * FACTORS
            above.plot(rates[curve < 20], curve[curve < 20], label=name, markevery=1, markersize=4)
        above.set(title=f"{task}, by rate", xscale="log", yscale="log", xlabel="learning rate")
        figures.dots_with_spread(below, {name: ends[task, name] for name in LANES})
        below.set(title="at the best")
        below.tick_params(axis="x", rotation=60)
    panels[0].set(ylabel="excess loss")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    figures.show(
        fig,
        alt="For the network and the convex task: excess loss against the rate, a curve with a lowest point for each of five "
        "optimizers; and their losses at the best rate. Lowest end RMSProp and Adam on the network, momentum on the other.",
        caption="Curves: geometric means on validation. Dots: replicates on test examples. Best rates lie inside their grids.",
    )

# %% tags=["experiment"]
if lab.solved("momentum", "adam"):
    claim(
        "On the network momentum ends with at least 1.15 times the excess loss of Adam",
        gains["network"],
        at_least=1.15,
        scale="log",
        control=gains["convex"],
        control_is="the same ratio without hidden layers: the convex task",
        source="Kingma & Ba 2015, section 6 (on a par where convex, ahead on networks)",
    )

# %% [markdown]
# **How to read it.** With the same examples and budget, Adam's division pays on the network and costs on the convex
# task. A likely reason: layers have gradients of different sizes, and one rate must serve them all. **How it is
# misread:** "Adam is better". It ended lower *here, after so few updates*. Nor do adaptive methods win only where the
# loss is not convex: with classes that are rare, as words are, Adam beats gradient descent on a linear model, too
# (Kunstner et al. 2024). Change the class frequencies in `world` and see.

# %% [markdown]
# ## 5. A rate that changes
# Far from the bottom you want long steps. Near it, the noise of the batches throws you about, the farther the longer
# your steps are. So let the rate fall. A **schedule** is a factor for each update, counted 0, 1, 2, …; the rate is this
# factor times the **peak rate**. Beside a **constant** rate, four are in daily use, for update $u$ of $n$:
#
# - **step**: the factor is multiplied by 0.1 every $n/3$ updates, `0.1 ** (3 * u // n)`;
# - **exponential**: by the same share in each update, `0.01 ** (u / n)`, from 1 to 0.01;
# - **cosine** (Loshchilov & Hutter 2017): half a wave, from 1 down to 0, $\tfrac12 (1 + \cos(\pi u / n))$ at update $u$
#   of $n$. With $n = 4$ that is 1, 0.854, ½, 0.146, and 0 after the last update;
# - **warm-up, then cosine**: for the first $w$ updates it *rises*, in equal steps from $1/w$ to 1: with $w = 4$ it is
#   ¼, ½, ¾, 1. Then the half wave fills the updates that are left, and begins with 1 again.

# %% [markdown] exercise="schedules" difficulty=2 importance=4 minutes=20 points=4
# ### Cosine and warm-up
# Write the factors. `update` and the other counts are whole numbers. For a warm-up of 4 in 14 updates, the factors of
# updates 0 to 4 are ¼, ½, ¾, 1, 1, and that of update 9, in the middle of the ten that are left, is ½. With `warm` 0
# there is no warm-up.


# %% solution="schedules"
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
# `math.cos(math.pi * share)` falls from 1 to −1 while `share` goes from 0 to 1. How do you make 1 to 0 of that?

# %% [markdown] hint="schedules"
# Warm-up has two branches: `update < warm`, and all others. The first update goes at $1/w$, not at 0.

# %% [markdown] hint="schedules"
# First branch: `(update + 1) / warm`. In the second one, `update - warm` of a wave of `updates - warm` is over.

# %% [markdown] why="schedules"
# The updates are counted from 0, hence the `+ 1` in warm-up: a factor of 0 would waste the first update. Common
# mistakes: a whole wave ($2\pi$), which comes up again; a warm-up that is a factor of a cosine begun at update 0, so
# that the peak is never reached.

# %% checks="schedules"
# fmt: off
TORCH = torch.optim.lr_scheduler
def torch_factor(scheduler, update, *settings):
    """The factor of a PyTorch scheduler at an update, counted 0, 1, ..."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = scheduler(optimizer, *settings)
    for _ in range(update):
        optimizer.step()
        scheduler.step()
    return optimizer.param_groups[0]["lr"]
def warmed(update, updates, warm=0):
    if update < warm:
        return torch_factor(TORCH.LinearLR, update, 1 / warm, 1.0, warm - 1) if warm > 1 else 1.0
    return torch_factor(TORCH.CosineAnnealingLR, update - warm, updates - warm)
def warm_by_hand(update, updates, warm=0):
    if update < warm:
        return (update + 1) / warm
    share = (update - warm) / (updates - warm)
    return (1 + np.cos(np.pi * share)) / 2
def cosine_inputs(make):
    updates = make.size(1, 40)
    return int(make.one_of(0, updates - 1, updates, *make.rng.integers(0, updates, 4))), updates
def warm_inputs(make):
    warm = make.one_of(0, 1, make.size(2, 12), make.size(2, 9), make.size(3, 8))
    updates = warm + make.size(2, 30)
    places = [0, warm - 1, warm, warm + 1, updates - 1, make.rng.integers(0, updates), warm // 2]
    return int(max(0, places[(make.number * 3 + make.number // 7) % 7])), updates, int(warm)
WAVE = {
    "half a wave, not a whole one: the cosine runs from 0 to pi": ("np.pi * share", "2 * np.pi * share"), "pi is math.pi, not 3.14": ("np.pi * share", "3.14 * share"), "a quarter of a wave has another form: the cosine runs from 0 to pi, moved up by 1 and halved": ("(1 + np.cos(np.pi * share)) / 2", "np.cos(np.pi * share / 2)"),
    "the factor runs from 1 to 0: add 1 to the cosine and halve": ("(1 + np.cos(np.pi * share)) / 2", "np.cos(np.pi * share)"), "halve the sum: the factor begins with 1, not with 2": ("(1 + np.cos(np.pi * share)) / 2", "1 + np.cos(np.pi * share)"),
    "the factor falls: yours rises": ("1 + np.cos", "1 - np.cos"), "the angle is in radians, a half turn is pi": ("np.pi * share", "180 * share"), "half a wave, not a straight line": ("(1 + np.cos(np.pi * share)) / 2", "1 - share"),
}
COSINE = WAVE | {
    "update 0 has the factor 1: yours is one update ahead": ("(update - warm) /", "(update + 1) /"), "0 is reached at update `updates`: yours is there one too early": ("(updates - warm)", "max(1, updates - 1)"), "0 is reached at update `updates`, and not one before it: divide by `updates`": ("(updates - warm)", "(updates - 1)"),
}
WARM_COSINE = WAVE | {
    "the first update goes at 1/warm and not at 0: count from 1 in the warm-up": ("(update + 1) / warm", "update / warm"), "update `warm` is the first of the cosine: use < and not <=": ("update < warm", "update <= warm and warm"),
    "the wave begins after the warm-up: `update - warm` of it is over": ("(update - warm) / (updates - warm)", "update / updates"), "the wave fills the updates that are left, `updates - warm`": ("(updates - warm)", "updates"),
    "`update - warm` updates of the wave are over: yours is one ahead": ("(update - warm) /", "(update - warm + 1) /"), "the peak must be reached: do not multiply the warm-up by the cosine": ("return (update + 1) / warm", "return (update + 1) / warm * (1 + np.cos(np.pi * update / updates)) / 2"),
    "after the warm-up comes the cosine: yours stays at 1": ("share = (update - warm) / (updates - warm)", "share = 0.0"), "the last update of the warm-up has the factor 1: divide by warm, not by warm + 1": ("(update + 1) / warm", "(update + 1) / (warm + 1)"),
    "the first update of the warm-up has the factor 1/warm, not 0": ("(update + 1) / warm", "update / max(1, warm - 1)"), "the wave is `updates - warm` long: yours is one shorter": ("(updates - warm)", "max(1, updates - warm - 1)"),
    "the wave is `updates - warm` long: yours is one longer": ("(updates - warm)", "(updates - warm + 1)"),
    "the wave begins at update `warm` and with 1: yours takes the smaller of rise and wave": ("if update < warm:\n        return (update + 1) / warm", "if warm:\n        return min((update + 1) / warm, (1 + np.cos(np.pi * update / updates)) / 2)"),
    "the warm-up is missing": ("return (update + 1) / warm", "return 1.0"), "where warm is 0 there is no warm-up: yours has one of 1": ("if update < warm:", "warm = max(warm, 1)\n    if update < warm:"), "divide with /, since // cuts off": ("(update + 1) / warm", "(update + 1) // warm"),
    "the cosine follows after the warm-up: do not multiply one by the other": lambda update, updates, warm: min(1.0, (update + 1) / max(1, warm)) * (1 + np.cos(np.pi * update / updates)) / 2,
}
for target, what, draw, misreadings in (("cosine", "CosineAnnealingLR", cosine_inputs, COSINE), ("warm_cosine", "LinearLR and, after it, CosineAnnealingLR", warm_inputs, WARM_COSINE)):
    agrees("schedules", f"`{target}` equals torch.optim.lr_scheduler's {what}", target=target, draw=draw, reference=warmed, written=warm_by_hand, misreadings=misreadings,
           kinds=("plain", "whole", "square", "smallest", "doubled", "plain") * 5, hint="write the factors of the example in the text one under the other: which update is the first?")
# fmt: on

# %% patches="schedules"
[
    ("    if update < warm:\n        return (update + 1) / warm\n", "    up = np.linspace(1 / warm, 1, warm) if warm else []\n    if update < len(up):\n        return up[update]\n", ""),
    ("0.5 * (1 + math.cos(math.pi * update / updates))", "math.cos(math.pi * update / updates)", "add 1 to the cosine and halve"), ("0.5 * (1 + math.cos(math.pi * update / updates))", "1 - update / updates", "not a straight line"),
    ("math.pi * update / updates", "2 * math.pi * update / updates", "half a wave"), ("return (update + 1) / warm", "return update / warm", "count from 1 in the warm-up"),
    ("if update < warm:", "if update <= warm:", "ZeroDivisionError"), ("(update - warm) / (updates - warm)", "update / updates", "the wave begins after the warm-up"), ("(updates - warm)", "updates", "the wave fills the updates that are left"),
]  # fmt: skip

# %%
lab.check("schedules")

# %% [markdown]
# ### Five schedules, two budgets
# A linear rule for 16 classes that overlap, momentum, batches of 32. Each schedule runs at its own best peak rate, for
# 100 updates and for 1,000. A replicate is the mean over two tasks.


# %% tags=["experiment"]
def factors_of(n):
    """name: the factor at an update of n."""
    return {
        "constant": lambda u: 1.0,
        "step": lambda u: 0.1 ** (3 * u // n),
        "exponential": lambda u: 0.01 ** (u / n),
        "cosine": lambda u: cosine(u, n),
        "warm-up,\ncosine": lambda u: warm_cosine(u, n, n // 10),
    }


def scheduled(n):
    """name: the excess loss of each replicate after n updates at the best peak."""
    found, peaks = {}, 0.00625 * 2.0 ** np.arange(-1, 7)
    for name, factor in factors_of(n).items():
        how = TWICE, [(17, 16)], 1.5, n, 32
        _, test = compete(momentum, peaks, *how, factor=factor)
        found[name] = test.reshape(-1, 2).mean(1)
    return found


if lab.solved("momentum", "schedules"):
    budgets = {n: scheduled(n) for n in (SHORT, LONG)}

# %% tags=["experiment", "drawing"]
if lab.solved("momentum", "schedules"):
    fig, panels = plt.subplots(1, 3, figsize=(7.5, 3.4), width_ratios=[1, 1.2, 1.2])
    for name, factor in factors_of(LONG).items():
        panels[0].plot([factor(u) for u in range(LONG)], label=name.replace("\n", " "), marker="")
    panels[0].set(title="factors", xlabel="update", ylabel="factor")
    for ax, n in zip(panels[1:], budgets, strict=True):
        figures.dots_with_spread(ax, budgets[n])
        ax.set(title=f"{n} updates", yscale="log")
        ax.tick_params(axis="x", rotation=60)
    panels[1].set(ylabel="excess loss at the best peak")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    figures.show(
        fig,
        alt="Left: five schedules over the updates. Middle: after the short budget all are near a constant rate, step above it. "
        "Right: after the long one, those that fall smoothly are clearly below it.",
        caption="One dot a replicate; grey lines join the same tasks. Each dot is at a peak rate chosen on validation.",
    )

# %% tags=["experiment"]
if lab.solved("momentum", "schedules"):
    ratio = {n: has["constant"] / has["exponential"] for n, has in budgets.items()}
    claim(
        "1,000 updates: a constant rate leaves 1.45 times the loss of an exponential one",
        ratio[LONG],
        at_least=1.45,
        scale="log",
        control=ratio[SHORT],
        control_is="the same ratio after 100 updates",
        source="Robbins & Monro 1951 (steps must shrink for noise to average out)",
    )

# %% [markdown]
# **How to read it.** After 100 updates there is still a way to go: schedules gain little, and those that fall early
# lose. After 1,000 a constant rate is stuck at the level of its noise: the best one is a compromise, small enough for
# the end and too small for the start. **How it is misread:** "exponential is the best schedule". Which one wins depends
# on budget and noise. And all must know the budget: a cosine for 1,000 updates that you stop at 500 has not landed.
#
# ## 6. Where warm-up decides
# Why begin with *small* steps, farthest away? Take a **transformer** (notebook 03). All you need of it here: it reads
# eight symbols, and keeps 16 numbers for each. A layer lets each place take from the others (attention), then passes it
# through a small network; both are added to what was there, as in a residual network. **Layer normalisation** keeps the
# sizes in check (notebook 02). *Where* it stands makes the difference:
#
# - **post-norm**, as in the first transformers: $h \leftarrow \text{norm}(h + f(h))$;
# - **pre-norm**, as in GPT-2 and most since: $h \leftarrow h + f(\text{norm}(h))$.
#
# The task is to write the eight symbols in reverse.

# %%
SYMBOLS, PLACES, WIDTH, LAYERS = 8, 8, 16, 4
LAYER = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 2 * WIDTH), (2 * WIDTH, WIDTH)]
LOOKUPS = [(1, SYMBOLS * WIDTH), (1, PLACES * WIDTH)]  # numbers of each, in a row
SHAPES = [*LOOKUPS, *LAYER * LAYERS, (WIDTH, SYMBOLS)]


def norm(h):
    return F.layer_norm(h, h.shape[-1:])


def reversing(flat, symbols, pre_norm):
    """The mean loss of each run [runs] at reversing symbols [runs, n, PLACES]."""
    symbol, place, *layers, last = [w.unsqueeze(1) for w in unpacked(flat, SHAPES)]
    symbol, place = symbol.view(-1, 1, SYMBOLS, WIDTH), place.view(-1, 1, PLACES, WIDTH)
    before, after = (norm, lambda h: h) if pre_norm else (lambda h: h, norm)
    h = F.one_hot(symbols, SYMBOLS).float() @ symbol + place
    for i in range(0, len(layers), 4):
        mix, out, up, down = layers[i : i + 4]
        q, k, v = (before(h) @ mix).chunk(3, dim=-1)
        h = after(h + (q @ k.mT / math.sqrt(WIDTH)).softmax(-1) @ v @ out)
        h = after(h + (before(h) @ up).relu() @ down)
    logits = (before(h) @ last).movedim(-1, 1)
    return F.cross_entropy(logits, symbols.flip(-1), reduction="none").mean((1, 2))


# %% [markdown]
# ### Experiment 3: warm-up
# Adam, 260 updates. With warm-up the factor rises in equal steps for 130 updates and stays at 1. Two controls: the
# pre-norm transformer; and **the same factors in reverse order**, so that the small steps come last. These have the
# same mean rate. If warm-up only helped because its steps are shorter, the order would not matter. At the highest rate
# a replicate of post-norm is the median of three transformers, since now and then one is lucky.

# %%
guess_warm = predict(
    "Post-norm, at rate 0.022: what do warm-up's factors do in reverse order?",
    ["as much as warm-up: the mean rate counts", "about half of it", "nothing"],
)

# %% tags=["experiment"]
HIGH, ALL_RATES = 0.022, [0.0055, 0.011, 0.022]
ORDERS = {
    "constant": lambda u: 1.0,
    "warm-up": lambda u: min(1.0, (u + 1) / WARM),
    "reversed": lambda u: min(1.0, (ALL_UPDATES - u) / WARM),
}


def transformers(order, rates, pre_norm=False, copies=1):
    """Loss on fresh sequences after training, median of copies [rates, replicates]."""
    seeds = [copies * seed + i for seed in SEEDS for i in range(copies)]
    rngs = [np.random.default_rng([seed, 4]) for seed in seeds]

    def draw(n=16):
        parts = [rng.integers(SYMBOLS, size=(n, PLACES)) for rng in rngs]
        return torch.from_numpy(np.stack(parts * len(rates))), pre_norm

    starts = [start(seed, SHAPES, gain=1.0) for seed in seeds]
    how = reversing, draw, ALL_UPDATES, ORDERS[order]
    flat = train(adam, rates, starts, *how)
    losses = reversing(flat, *draw(200)).view(len(rates), -1, copies)
    return losses.median(2).values.numpy()


# %% tags=["experiment"]
if lab.solved("adam"):
    high = {order: transformers(order, [HIGH], copies=3) for order in ORDERS}
    sweep = {}
    for order in ("constant", "warm-up"):
        lower = transformers(order, ALL_RATES[:-1])
        sweep[order] = np.concatenate([lower, high[order]])
    at_high = {f"post-norm,\n{order}": high[order][0] for order in ORDERS}
    (at_high["pre-norm,\nconstant"],) = transformers("constant", [HIGH], pre_norm=True)
    plain, warm, reverse = (high[order][0] for order in ORDERS)
    gain, other = plain - warm, plain - reverse
    share = other.mean() / gain.mean()
    guess_warm.resolve([share > 0.75, 0.25 < share <= 0.75, share <= 0.25])

# %% tags=["experiment", "drawing"]
if lab.solved("adam"):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.6), sharey=True)
    for order, found in sweep.items():
        figures.lines_with_spread(panels[0], ALL_RATES, found.T, order, markevery=1)
    panels[0].set(title="post-norm", xscale="log", xlabel="learning rate", ylabel="loss on fresh sequences")
    figures.dots_with_spread(panels[1], at_high)
    panels[1].set(title="at the highest rate")
    panels[1].tick_params(axis="x", rotation=60)
    for ax in panels:
        ax.axhline(math.log(SYMBOLS), color="0.4", linestyle=":", label="guessing")
    panels[0].set_xticks(ALL_RATES, ALL_RATES, rotation=60)
    panels[0].minorticks_off()
    panels[0].legend()
    figures.show(
        fig,
        alt="Left: loss of post-norm against the rate. Constant, it soon rises to guessing; with warm-up it stays low longer. "
        "Right, the highest rate: constant and reversed, post-norm guesses; with warm-up its loss is low, as pre-norm's.",
        caption="Thin lines and dots are replicates. The dotted line is the loss of guessing.",
    )

# %% tags=["experiment"]
if lab.solved("adam"):
    claim(
        "At rate 0.022 warm-up lowers post-norm's final loss by at least 0.9 nats",
        gain,
        at_least=0.9,
        control=other,
        control_is="the same rates in reverse order: the small ones last",
        source="Xiong et al. 2020 (post-norm needs warm-up); Kalra & Barkeshli 2024",
    )

# %% [markdown]
# **How to read it.** A few long steps at the start ruin the post-norm network for good: it guesses. Short steps at the
# end repair nothing. Pre-norm is not in that danger. **How it is misread:** "without warm-up it cannot be trained".
# Look at the left panel: at a small constant rate it learns as well. What warm-up buys is *room*: higher rates, and
# less care in choosing them. Kalra and Barkeshli (2024) find the same in larger networks.
#
# ## 7. When the gradient explodes
# Some losses have cliffs. Apply the *same* unit 50 times in a row, $h \leftarrow \tanh(w h + b)$, and ask that $h$ ends
# at 0.9. This is the smallest recurrent network (lab 6). Its slope along $w$ has 50 factors, one for each time. If they
# stretch, the slope **explodes**: it is a cliff, and one step throws you far away.
#
# **Clipping** (Pascanu et al. 2013) keeps the gradient's direction and limits its length. With $n$ the **global norm**,
# over *all* numbers of all arrays together:
#
# $$ n = \sqrt{\textstyle\sum_k \sum_i g_{k,i}^2}, \qquad g_k \leftarrow g_k \cdot \min\left(1,
# \frac{\text{limit}}{n}\right) . $$
#
# By hand: the gradients $(3, 0)$ and $(4)$ have $n = 5$. With the limit 1 they become $(0.6, 0)$ and $(0.8)$. With the
# limit 10 they stay.

# %% [markdown] exercise="clip" difficulty=2 importance=4 minutes=20 points=3
# ### Clip by the global norm
# Write it for a list of arrays, one for each layer, of any shapes. Return *new* arrays, below the limit too, and the
# norm before clipping. Gradients that are all 0 stay 0. (PyTorch divides by $n + 10^{-6}$. Do so if you like: six
# digits are enough.)


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
# Add up `(g**2).sum()` over the arrays for the square of the norm. Clip where the norm is above the limit: then it is
# not 0.

# %% [markdown] hint="clip"
# `factor = limit / norm if norm > limit else 1.0`, and then a new list with `factor * g` for each array.

# %% [markdown] why="clip"
# One factor for all arrays keeps the direction of the whole gradient. Clipping each array, or each number, by itself
# bends it (PyTorch has that as `clip_grad_value_`). Common mistakes: scaling short gradients *up* to the limit; `g *=
# factor`, which changes the caller's arrays; a sum of norms instead of the norm of all.


# %% checks="clip"
# fmt: off
def clipped_by_numpy(gradients, limit):
    together = np.concatenate([np.ravel(g) for g in gradients])
    norm = np.linalg.norm(together)
    factor = limit / norm if norm > limit else 1.0
    return [g * factor for g in gradients], norm
def use_clip(answer, gradients, limit):
    import numpy as np
    given = [g.copy() for g in gradients]
    found = answer["clip"](given, limit)
    if not all(np.array_equal(g, kept) for g, kept in zip(given, gradients)):
        return "the gradients are changed in place, and their caller still needs them: make new arrays, factor * g"
    new = found[0] if isinstance(found, (list, tuple)) and found and isinstance(found[0], (list, tuple)) else []
    if any(np.shares_memory(np.asarray(one), g) for one in new for g in given):
        return "return new arrays, below the limit too: yours are the caller's own, so who changes the one changes the other"
    return found
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
    "scale long gradients down, never short ones up": ("if norm > limit else 1.0", "if norm else 1.0"), "limit the length of the whole, not each number": lambda gs, c: ([np.clip(g, -c, c) for g in gs], np.sqrt(sum((g**2).sum() for g in gs))),
    "the norm is the root of the sum of squares: the root is missing": ("np.linalg.norm(together)", "np.linalg.norm(together) ** 2"), "square before you add: the norm is no sum of absolute values": ("np.linalg.norm(together)", "np.abs(together).sum()"),
    "the norm of all is no sum of the arrays' norms: add their squares": ("np.linalg.norm(together)", "sum(np.linalg.norm(np.ravel(g)) for g in gradients)"),
    "add up the squares of all arrays: yours averages the arrays' norms": ("np.linalg.norm(together)", "np.mean([np.linalg.norm(np.ravel(g)) for g in gradients])"), "the norm is over all arrays: yours looks at the first alone": ("np.linalg.norm(together)", "np.linalg.norm(np.ravel(gradients[0]))"),
    "a norm, not a root mean square: do not divide by the number of numbers": ("np.linalg.norm(together)", "np.sqrt(np.mean(together**2))"), "return the norm before clipping": ("for g in gradients], norm\n", "for g in gradients], norm * factor\n"),
    "scale to the limit, not to 1: multiply by limit / norm": ("factor = limit / norm", "factor = 1 / norm"), "the wrong way round: the factor is limit / norm, for norms above the limit": ("norm > limit", "0 < norm < limit"),
    "clip the gradients: yours come back as they were": ("factor = limit / norm", "factor = 1.0"), "the norm is over all arrays: yours leaves some out": ("np.linalg.norm(together)", "np.sqrt(sum((g**2).sum() for g in {id(g): g for g in (gradients[0], gradients[-1])}.values()))"),
    "square and add up a matrix, too: its np.linalg.norm(g, 2) is something else, the largest stretch": ("np.linalg.norm(together)", "np.sqrt(sum(np.linalg.norm(g, 2) ** 2 if g.ndim == 2 else (g**2).sum() for g in gradients))"),
    "a gradient of norm 0 stays 0: do not divide by it": ("limit / norm if norm > limit else 1.0", "min(1.0, limit / norm) if norm else np.nan"),
}
agrees("clip", "scales to a global norm of at most the limit, and returns the norm from before", target=use_clip, draw=clip_inputs, explain=lambda got, *_: got if isinstance(got, str) else None, forms=("array", "float32"), reference=clipped_by_numpy, misreadings=CLIP,
       kinds=("plain", "zeros", "square", "plain", "whole", "smallest", "doubled", "zeros", "large", "square", "plain", "plain"), parts=("the clipped gradients", "the norm"),
       hint="do the example of the text by hand: which norm, which factor?", tolerance={"rtol": 1e-4, "atol": 1e-6})
# fmt: on

# %% patches="clip"
[
    ("    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))\n    factor = limit / norm if norm > limit else 1.0\n", "    norm = np.linalg.norm([np.linalg.norm(g) for g in gradients])\n    factor = min(1.0, limit / (norm + 1e-9))\n", ""),
    ("    return [factor * g for g in gradients], norm", "    return tuple(torch.tensor(g * factor) for g in gradients), torch.tensor(norm)", ""), (" if norm > limit else 1.0", " if norm else 1.0", "never short ones up"),
    ("[factor * g for g in gradients]", "[np.clip(g, -limit, limit) for g in gradients]", "not each number"), ("[factor * g for g in gradients]", "[g * min(1, limit / max(math.sqrt((g**2).sum()), 1e-30)) for g in gradients]", "each array by itself"),
    ("math.sqrt(sum(float((g**2).sum()) for g in gradients))", "sum(float((g**2).sum()) for g in gradients)", "the root is missing"),
    ("    return [factor * g for g in gradients], norm", "    for g in gradients:\n        g *= factor\n    return gradients, norm", "in place"), ("[factor * g for g in gradients]", "[factor * g if factor < 1 else g for g in gradients]", "below the limit too"), ("gradients], norm", "gradients], min(norm, limit)", "return the norm before clipping"),
    ("limit / norm if norm > limit else 1.0", "np.divide(min(limit, norm), norm)", "do not divide by it"),
]  # fmt: skip

# %% [markdown] survivors="clip"
# - ``factor = limit / norm if norm >= limit else 1.0``: where the norm is the limit, the factor is 1 either way

# %%
lab.check("clip")

# %% [markdown]
# ### On the edge of a cliff
# Find the edge: the weight where $h$ ends at 0. Descend from there for 300 updates, at nine rates, clipped at 1 or not.
# The control is the same unit, applied only twice: it has no cliff. Nothing here is random.


# %%
def unit(w, times):
    """(loss, its slope along w) when a unit with bias -0.3 is applied so many times."""
    h, slope = 0.5, 0.0
    for _ in range(times):
        last, h = h, np.tanh(w * h - 0.3)
        slope = (1 - h**2) * (last + w * slope)
    return (h - 0.9) ** 2, 2 * (h - 0.9) * slope


def least(times, edge, clipping):
    """The lowest loss after 300 updates from the edge, over all nine rates."""
    w, rates = np.full(9, edge), 10.0 ** np.arange(-7, 2)
    for _ in range(300):
        _, g = unit(w, times)
        if clipping:
            g = np.concatenate([clip([one], 1.0)[0][0] for one in g[:, None]])
        w, _ = descent(w, g, {}, rates)
    return unit(w, times)[0].min()


if lab.solved("clip"):
    low, edge = 1.0, 2.5  # halve the interval until it is on the edge
    for _ in range(60):
        middle = (low + edge) / 2
        low, edge = (middle, edge) if unit(middle, 50)[0] > 0.81 else (low, middle)
    print(f"slope at the edge over a million: {-unit(edge, 50)[1] > 1e6}")
    for times in (50, 2):
        down = [bool(least(times, edge, clipping) < 1e-6) for clipping in (False, True)]
        print(f"{times} times, down to 0: as it is {down[0]}, clipped {down[1]}")

# %% [markdown]
# **How to read it.** A rate that is right elsewhere throws $w$ off the edge, so far that $\tanh$ is flat and no slope
# leads back. A rate that is small enough for the edge is too small for all the rest. Clipped, the step over the edge is
# as long as any other. **How it is misread:** "clipping cures recurrent networks". It tames slopes that explode; one
# that *vanishes* it cannot bring back (lab 6).
#
# ## 8. Today
# AdamW with warm-up, a cosine or a straight line down, and clipping at norm 1 has been the usual way to train language
# models. *Disputed is how much the choice matters.* Wilson et al. (2017) found that adaptive methods generalise worse;
# Choi et al. (2019) that with all settings tuned Adam never does worse than momentum, which it contains as a limit. Of
# fifteen optimizers Schmidt et al. (2021) found no clear winner. Muon (Jordan et al. 2024) gives whole *matrices* a
# rate.
#
# **Limits of this evidence.** Small networks, generated tasks, few updates, loss and not accuracy. Only rates were
# tuned, at steps of two; $\beta$ and $\varepsilon$ stood at their defaults. All optimizers of the race had the same
# number of updates, not the same time.
#
# ### Your turn
# 1. *A puzzle.* Run `rmsprop` in experiment 1, straight valleys, at rates up to 32. It needs a handful of updates,
#    whatever the condition number. What does the first, huge step leave in its mean square? Does it survive noise?
# 2. *Win the race.* Write Nadam (Adam whose step looks ahead as Nesterov's; compare with `torch.optim.NAdam`) or a
#    cyclical rate (Smith 2017) as `mine`. Can you win on the network without losing on the convex task? Make a claim.
#
# ### References
# - Polyak 1964 (momentum); Duchi et al. 2011 (AdaGrad), JMLR; Tieleman & Hinton 2012 (RMSProp), Coursera lecture 6.5
# - Kingma & Ba 2015 (Adam), Loshchilov & Hutter 2017 (SGDR), 2019 (AdamW), all ICLR; Robbins & Monro 1951; Smith 2017,
#   WACV
# - Pascanu et al. 2013, Bernstein et al. 2018 (signSGD), Xiong et al. 2020, Schmidt et al. 2021, all ICML
# - Kalra & Barkeshli 2024, *Why warmup the learning rate?*, Kunstner et al. 2024, *Heavy-tailed class imbalance and why
#   Adam outperforms gradient descent on language models*, Wilson et al. 2017, *The marginal value of adaptive methods*,
#   all NeurIPS
# - Choi et al. 2019, *On empirical comparisons of optimizers for deep learning*; Jordan et al. 2024, *Muon*; Maes et
#   al. 2024, *Understanding Adam requires better rotation dependent assumptions*

# %% tags=["nbval-ignore-output"]
check.progress()
