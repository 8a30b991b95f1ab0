# %% [markdown]
# # What does a network remember?
#
# **In one sentence:** a recurrent network reads step by step and carries what it needs in a few numbers; you send the
# gradient back through time by hand, build the cells that keep it alive, forecast a series, hear a melody, and measure
# over five replicates what each part is worth, always beside the same network without it.
#
# After this lab you can
#
# 1. **derive** backpropagation through time, and **say** when a gradient vanishes on the way;
# 2. **build** the LSTM and the GRU as PyTorch does, and **explain** how a plain LSTM can forget sooner than no gates;
# 3. **forecast** a series, and **judge** it by horizon against a forecast that needs no learning;
# 4. **compute** a spectrogram, and **choose** its window;
# 5. **tell** what a network heard: the melody, or only the pitches.
#
# **You need** notebooks 00 to 03: update, replicate, claim, control, attention; the chain rule, sine, cosine.
#
# {exercises}
#
# Hints and a solution stand below each exercise. A check draws new inputs each time.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LinearRegression
from torch import nn

from labcheck import check
from labkit import figures
from labkit.evidence import claim, predict
from labkit.models import Transformer, seeded

figures.style()
lab = check.lab("lab06_remembering")

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
SYMBOLS, WIDTH, BATCH = 8, 32, 32  # of the sequences to recall; numbers in a state
LONG = 40  # steps that the gradient is sent back
NEAR, FAR, RECALL_UPDATES = 4, 16, {4: 100, 16: 250}  # experiment 1: how far back
PERIOD, HORIZON, PAST, TRAINING, TESTING = 12, 24, 36, 240, 84  # experiment 2: months
SERIES, FORECAST_UPDATES, FORECAST_RATE = 20, 150, 0.03
SAMPLES, WINDOW, HOP, BANDS = 8000, 512, 512, 30  # experiment 3: samples a second
HEARD, EXAM, KEYWORD_UPDATES, KEYWORD_RATE = 400, 300, 120, 0.03

# %% [markdown]
# ## 1. The same step, again and again
#
# You read this sentence word by word, and at its end you still know how it began. A **recurrent network** does the
# same: it carries a **state** $h$, a few numbers. At each step it reads one input $x_t$ and makes a new state from it
# and the old one, always with the same parameters (Elman 1990):
#
# $$ h_t = \tanh(w\, h_{t-1} + u\, x_t), \qquad h_0 = 0 . $$
#
# This one has a single number as state. Let $w = \frac12$, $u = 1$, and read 1, then 0: $h_1 = \tanh(1) = 0.762$ and
# $h_2 = \tanh(0.381) = 0.363$. The 1 is still there, but fainter. At the end the state is compared with a target $y$,
# by the loss $L = \frac12 (h_T - y)^2$.
#
# **Backpropagation through time** (Werbos 1990) is the chain rule on the unrolled network, where each step is a layer.
# Write $\delta_t$ for the gradient of the loss along $h_t$, the **backward signal**. The state $h_{t-1}$ reaches the
# loss only through $h_t$, and the slope of $\tanh$ is $1 - h_t^2$:
#
# $$ \delta_T = h_T - y, \qquad \delta_{t-1} = \delta_t\, (1 - h_t^2)\, w . $$
#
# The layers share their parameters. So each step adds its part to the same two slopes:
#
# $$ \frac{\partial L}{\partial w} = \sum_{t=1}^{T} \delta_t\, (1 - h_t^2)\, h_{t-1}, \qquad
# \frac{\partial L}{\partial u} = \sum_{t=1}^{T} \delta_t\, (1 - h_t^2)\, x_t . $$

# %% [markdown] exercise="through_time" difficulty=3 importance=5 minutes=20 points=4
# ### Back through time
#
# **By hand first.** For the two steps above and $y = 0$: $\delta_2 = 0.363$. The slope at $h_2$ is $1 - 0.363^2 =
# 0.868$, so $\delta_1 = 0.363 \cdot 0.868 \cdot \frac12 = 0.158$. The slope at $h_1$ is $1 - 0.762^2 = 0.420$. For $w$
# the first step gives 0, since $h_0 = 0$, and the second $0.363 \cdot 0.868 \cdot 0.762 = 0.240$. For $u$ the first
# gives $0.158 \cdot 0.420 \cdot 1 = 0.066$, the second 0, since $x_2 = 0$.
#
# Write `through_time`, with a loop and no `backward`, which would do it for you.


# %% solution="through_time"
def through_time(inputs, w, u, target):
    """(backward signals [T], from the first step to the last; slope of w; slope of u).

    inputs: an array [T], T > 0; w, u, target: numbers.

    >>> signals, for_w, for_u = through_time(np.array([1.0, 0.0]), 0.5, 1.0, 0.0)
    >>> np.round(signals, 3), round(for_w, 3), round(for_u, 3)
    (array([0.158, 0.363]), 0.24, 0.066)
    """
    ### BEGIN SOLUTION
    states = [0.0]
    for x in inputs:
        states.append(math.tanh(w * states[-1] + u * x))
    signal, signals, for_w, for_u = states[-1] - target, [], 0.0, 0.0
    for t in range(len(inputs), 0, -1):
        signals.insert(0, signal)
        at_sum = signal * (1 - states[t] ** 2)
        for_w += at_sum * states[t - 1]
        for_u += at_sum * inputs[t - 1]
        signal = at_sum * w
    return np.array(signals), float(for_w), float(for_u)
    ### END SOLUTION


# %% [markdown] hint="through_time"
# First go forwards and keep *all* states, with $h_0 = 0$ in front. Then go backwards, from the last step on.

# %% [markdown] hint="through_time"
# With `states = [0.0, h1, h2, ...]`, step `t` leads from `states[t - 1]` to `states[t]` and reads `inputs[t - 1]`.
# Three products share the factor `signal * (1 - states[t] ** 2)`: compute it once.

# %% [markdown] hint="through_time"
# `for t in range(len(inputs), 0, -1)`: put the signal in *front* of the list, add to both slopes, and at the end of the
# step `signal = signal * (1 - states[t] ** 2) * w`.

# %% [markdown] why="through_time"
# One pass forwards, one back, and two sums. PyTorch does the same when it meets a loop. Its price is memory: all states
# are kept until the way back. Common mistakes: the slope of $\tanh$ at the wrong state; the last step alone instead of
# the sum over all; $h_t$ where $h_{t-1}$ was read.


# %% checks="through_time"
import numpy as np
import torch


# fmt: off
def sequence(make):  # w, u and target go by the number of the case; a tiny case has tiny inputs and target 0
    w, u, inputs = make.one_of(0.5, -1.0, 2.0, 0.25, -0.5, 1.5, 0.0, 1.0), make.one_of(1.0, -0.5, 0.25, 2.0, 0.75), make.numbers(make.size(1, 9))
    if make.number == 0:  # a long one whose signal does not die out
        w, u, inputs = 1.0, 0.125, make.numbers(40)
    inputs[0] = 4096 * np.sign(u) if make.kind == "large" else inputs[0]  # where exp overflows
    return inputs, w, u, 0.0 if make.kind == "tiny" else make.one_of(3.0, 0.0, 0.5, -0.25)
def by_autograd(inputs, w, u, target):
    with torch.enable_grad():
        w, u = (torch.tensor(float(v), dtype=torch.float64, requires_grad=True) for v in (w, u))
        states, h = [], torch.zeros((), dtype=torch.float64)
        for x in inputs:
            h = torch.tanh(w * h + u * float(x))
            states.append(h)
        signals = torch.autograd.grad((h - target) ** 2 / 2, [*states, w, u])
    return torch.stack(signals[:-2]), *signals[-2:]
def step_after_step(inputs, w, u, target):
    h = [0.0]
    for x in inputs:
        h.append(np.tanh(w * h[-1] + u * x))
    T, for_w, for_u = len(inputs), 0.0, 0.0
    signal = [0.0] * T + [h[-1] - target]
    for t in range(T, 0, -1):
        slope = 1 - h[t] ** 2
        signal[t - 1] = signal[t] * slope * w
        for_w += signal[t] * slope * h[t - 1]
        for_u += signal[t] * slope * inputs[t - 1]
    return np.array(signal[1:]), for_w, for_u
agrees(
    "through_time", "`through_time` finds every backward signal and both slopes", target="through_time", draw=sequence, reference=by_autograd, written=step_after_step, parts=("the backward signals", "the slope of w", "the slope of u"), tolerance={"atol": 1e-12}, hint="do the two steps of the text by hand", kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "square", "tiny", "plain", "square"),
    misreadings={
        "the slope of ½(h − y)² is h − y: no factor 2": ("[h[-1] - target]", "[2 * (h[-1] - target)]"), "the last signal is h − y, not y − h": ("[h[-1] - target]", "[target - h[-1]]"), "the last signal is h − y: yours leaves the target out": ("[h[-1] - target]", "[h[-1]]"), "on its way back the signal passes the slope of tanh, too: multiply by 1 − h²": ("signal[t] * slope * w", "signal[t] * w"), "on its way back the signal passes the weight: multiply by w": ("signal[t] * slope * w", "signal[t] * slope"), "on its way back the signal passes w once more in every step: go on from the new signal, not from the last one": ("signal[t] * slope * w", "signal[T] * slope * w"), "the slope of tanh belongs to the state that the step made, h_t, not to the one that it read": ("slope = 1 - h[t] ** 2", "slope = 1 - h[t - 1] ** 2"), "the slope of tanh is 1 − h²: square the state": ("1 - h[t] ** 2", "1 - h[t]"), "the slope of tanh is 1 − h², taken at the state h, which is a tanh already": ("1 - h[t] ** 2", "1 - np.tanh(h[t]) ** 2"), "the slope of w takes the state that the step read, h_{t−1}, not the one that it made": ("slope * h[t - 1]", "slope * h[t]"), "the slope of w passes the slope of tanh, too: multiply by 1 − h²": ("signal[t] * slope * h[t - 1]", "signal[t] * h[t - 1]"), "the slope of u passes the slope of tanh, too: multiply by 1 − h²": ("signal[t] * slope * inputs[t - 1]", "signal[t] * inputs[t - 1]"), "each step adds its part to both slopes: yours are those of the last step alone": ("        for_w += signal[t] * slope * h[t - 1]\n        for_u += ", "        for_w += (t == T) * signal[t] * slope * h[t - 1]\n        for_u += (t == T) * "), "each step adds its part to both slopes: use +=, yours keep the part of the first step": ("        for_w += signal[t] * slope * h[t - 1]\n        for_u +=", "        for_w = signal[t] * slope * h[t - 1]\n        for_u ="), "only the last state is compared with the target: yours compares each state": ("signal[t - 1] = signal[t] * slope * w", "signal[t - 1] = signal[t] * slope * w + (h[t - 1] - target)"), "the chain goes back to the first step: yours stops before": ("range(T, 0, -1)", "range(T, max(T - 3, 0), -1)"), "add the parts of the steps, do not take their mean": ("signal[1:]), for_w, for_u", "signal[1:]), for_w / T, for_u / T"), "the signals are the wrong way round: the first step comes first": ("np.array(signal[1:])", "np.array(signal[:0:-1])"), "the slopes are exchanged: first that of w, then that of u": ("for_w, for_u\n", "for_u, for_w\n"), "the signals are those of h_1 to h_T: leave out that of h_0": ("signal[1:])", "signal[:-1])"), "T signals are asked for, without that of h_0": ("signal[1:])", "signal)"), "the signals are along the states h_t, not along the sums inside tanh": ("np.array(signal[1:])", "np.array(signal[1:]) * (1 - np.array(h[1:]) ** 2)"), "the network starts with h_0 = 0": ("h = [0.0]", "h = [1.0]"), "the state runs through tanh in every step, forwards: yours has none": ("np.tanh(w * h[-1] + u * x)", "w * h[-1] + u * x"), "u multiplies the input, w the old state: yours are exchanged": ("np.tanh(w * h[-1] + u * x)", "np.tanh(u * h[-1] + w * x)"),
    },
)
# fmt: on

# %% patches="through_time"
[
    ("    return np.array(signals), float(for_w), float(for_u)", "    return [signals, torch.tensor(for_w), [for_u][0]]", ""), ("    states = [0.0]\n", "    w, u = (torch.tensor(float(v), dtype=torch.float64, requires_grad=True) for v in (w, u))\n    h, kept = torch.tensor(0.0, dtype=torch.float64), []\n    for x in inputs:\n        h = torch.tanh(w * h + u * float(x))\n        h.retain_grad()\n        kept.append(h)\n    ((h - target) ** 2 / 2).backward()\n    return torch.stack([h.grad for h in kept]), w.grad, u.grad\n    states = [0.0]\n", ""), ("states[-1] - target, []", "2 * (states[-1] - target), []", "no factor 2"), ("signal = at_sum * w", "signal = signal * w", "multiply by 1 − h²"), ("signal = at_sum * w", "signal = at_sum", "multiply by w"), ("1 - states[t] ** 2", "1 - states[t - 1] ** 2", "not to the one that it read"), ("at_sum * states[t - 1]", "at_sum * states[t]", "the state that the step read"), ("signals.insert(0, signal)", "signals.append(signal)", "the wrong way round"), ("for_w += at_sum", "for_w += signal", "slope of w passes"), ("1 - states[t] ** 2", "1 - states[t]", "square the state"), ("    return np.array(signals), float", "    return np.array(signals[::-1]), float", "the wrong way round"), ("states = [0.0]", "states = [1.0]", "h_0 = 0"), ("range(len(inputs), 0, -1)", "range(len(inputs), 1, -1)", "the backward signals"), ("    states = [0.0]\n", "    inputs[0] = inputs[0] + 1\n    states = [0.0]\n", "in place"),
]  # fmt: skip

# %%
lab.check("through_time")

# %% [markdown]
# ### Why the past fades
#
# From step to step the backward signal is multiplied by $(1 - h_t^2)\, w$. With $w = \frac12$ that is at most a half:
# after 20 steps less than a millionth is left, and what the first input should have changed, nobody learns. The
# gradient **vanishes** (Hochreiter 1991; Bengio et al. 1994). With $w = 2$ and states near 0 it would double each time,
# and **explode**. That can be clipped (lab 3). But no larger step brings back what has vanished: it drowns in the noise
# of what came later.
#
# ## 2. Gates
#
# From here on states are vectors of $d$ numbers. For rows $x$ of $n$ examples a plain cell is one line.


# %%
def rnn_cell(x, h, W, U, b):
    """New states [n, d] from inputs x [n, inputs] and old states h [n, d]."""
    return torch.tanh(x @ W.T + h @ U.T + b)


# %%
with seeded(BASE_SEED):
    theirs, inputs = nn.RNN(3, 4), torch.randn(LONG, 5, 3)  # [steps, examples, inputs]
W, U, b, k = (parameter.detach() for parameter in theirs.parameters())
h = torch.zeros(5, 4)
for x in inputs:
    h = rnn_cell(x, h, W, U, b + k)  # PyTorch keeps two biases, whose sum counts
torch.testing.assert_close(h, theirs(inputs)[0][-1])
print("the plain cell agrees with nn.RNN")

# %% [markdown]
# The cure of 1997 is a second state that no matrix multiplies: a **cell** $c$ with **gates** (Hochreiter & Schmidhuber
# 1997; the forget gate came with Gers et al. 2000). A gate is a number between 0 and 1 that another number is
# multiplied by: shut, half open, open. The network computes its gates itself, from $x$ and $h$. This is the **LSTM**,
# *long short-term memory*:
#
# $$ \begin{aligned} i &= \sigma(W_i x + U_i h + b_i) && \text{input gate: how much is written} \\
# f &= \sigma(W_f x + U_f h + b_f) && \text{forget gate: how much is kept} \\
# g &= \tanh(W_g x + U_g h + b_g) && \text{candidate: what is written} \\
# o &= \sigma(W_o x + U_o h + b_o) && \text{output gate: how much is shown} \\
# c' &= f \cdot c + i \cdot g, & h' &= o \cdot \tanh(c') \end{aligned} $$
#
# Here $\sigma(z) = 1/(1 + e^{-z})$; all products but those with matrices are number by number. Straight back along $c$
# the signal meets the factor $f$ in each step, and nothing else. With $f$ near 1 it stays.

# %% [markdown] exercise="lstm_cell" difficulty=2 importance=5 minutes=15 points=4
# ### A cell that keeps
#
# **By hand first.** One number each, all weights 0, so each gate is $\sigma(b)$. With all biases 0 the gates are
# $\frac12$ and $g = 0$. From $c = 2$ comes $c' = \frac12 \cdot 2 + \frac12 \cdot 0 = 1$ and $h' = \frac12 \tanh(1) =
# 0.381$. With $b_f = 3$ the forget gate is 0.953, and $c' = 1.905$: nearly all is kept.
#
# PyTorch stacks the four matrices in *one*, of $4d$ rows: first those of $i$, then $f$, $g$, $o$. All arguments are
# tensors. Use PyTorch's functions, so that gradients can flow.


# %% solution="lstm_cell"
def lstm_cell(x, h, c, W, U, b):
    """(new h [n, d], new c [n, d]) from inputs x [n, inputs], old states h, c [n, d].

    W [4d, inputs], U [4d, d], b [4d]: the rows of i, f, g, o, one below the other.

    >>> one, zero, W = torch.ones(1, 1), torch.zeros(1, 1), torch.zeros(4, 1)
    >>> lstm_cell(one, zero, 2 * one, W, W, torch.zeros(4))
    (tensor([[0.3808]]), tensor([[1.]]))
    """
    ### BEGIN SOLUTION
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c
    ### END SOLUTION


# %% [markdown] hint="lstm_cell"
# Compute all four sums at once, as in `rnn_cell`: $n$ rows and $4d$ columns. Then cut the columns in four.

# %% [markdown] hint="lstm_cell"
# `.chunk(4, dim=1)` cuts along the columns. `torch.sigmoid` is for gates, `torch.tanh` for $g$ and for $c'$.

# %% [markdown] hint="lstm_cell"
# `i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)`. Then $c'$, from the *old* $c$; then $h'$, from $c'$.

# %% [markdown] why="lstm_cell"
# What matters is the sum $f c + i g$: the old cell comes through a number, not through a matrix and a $\tanh$. Common
# mistakes: another order of the four blocks, which no error reveals; $\sigma$ for the candidate, so that nothing
# negative can be written; $h'$ from the old $c$.


# %% checks="lstm_cell"
# fmt: off
def memory(make, blocks, biases, states):  # x, the states, W, U and the biases; a large case saturates the gates
    n, inputs, d = make.size(1, 6), make.size(1, 5), make.size(1, 5)
    shapes = [(n, inputs), *[(n, d)] * states, (blocks * d, inputs), (blocks * d, d), *[(blocks * d,)] * biases]
    return tuple(torch.from_numpy(np.asarray(make.numbers(*shape), float)) for shape in shapes)
def lstm_by_torch(x, h, c, W, U, b):
    return torch.lstm_cell(x, (h, c), W, U, b, torch.zeros_like(b))
def lstm_in_words(x, h, c, W, U, b):
    d, s = h.shape[1], torch.sigmoid
    z = x @ W.T + h @ U.T + b
    i, f, g, o = z[:, :d], z[:, d : 2 * d], z[:, 2 * d : 3 * d], z[:, 3 * d :]
    new = s(f) * c + s(i) * torch.tanh(g)
    return s(o) * torch.tanh(new), new
agrees(
    "lstm_cell", "`lstm_cell` makes the new states as PyTorch's does", target="lstm_cell", draw=lambda make: memory(make, 4, 1, 2), reference=lstm_by_torch, written=lstm_in_words, parts=("the new h", "the new c"), tolerance={"atol": 1e-9}, hint="do the cell of the text by hand",
    misreadings={
        "the blocks are in the order i, f, g, o: yours reads i, f, o, g": ("i, f, g, o =", "i, f, o, g ="), "the blocks are in the order i, f, g, o: yours reads f, i, g, o": ("i, f, g, o =", "f, i, g, o ="), "the blocks are in the order i, f, g, o: yours reads f, i, o, g": ("i, f, g, o =", "f, i, o, g ="), "the blocks are in the order i, f, g, o: yours reads g, i, f, o": ("i, f, g, o =", "g, i, f, o ="), "the blocks are in the order i, f, g, o: yours reads i, g, f, o": ("i, f, g, o =", "i, g, f, o ="), "the four blocks lie one below the other, d rows each: yours takes every fourth row": ("z[:, :d], z[:, d : 2 * d], z[:, 2 * d : 3 * d], z[:, 3 * d :]", "(z[:, n::4] for n in range(4))"), "the candidate g runs through tanh, so that it can be negative: yours through a sigmoid": ("torch.tanh(g)", "s(g)"), "the candidate g runs through tanh: yours is the bare sum": ("torch.tanh(g)", "g"), "the new c runs through tanh before the output gate shows it": ("torch.tanh(new), new", "new, new"), "h is made of the new c, not of the old one": ("torch.tanh(new), new", "torch.tanh(c), new"), "the old c must pass the forget gate": ("s(f) * c", "c"), "the candidate must pass the input gate": ("s(i) * torch.tanh(g)", "torch.tanh(g)"), "h must pass the output gate": ("s(o) * torch.tanh(new)", "torch.tanh(new)"), "the LSTM has an input gate of its own: yours writes 1 − f": ("s(i) * torch.tanh(g)", "(1 - s(f)) * torch.tanh(g)"), "the forget gate is the share that is kept: f, not 1 − f": ("s(f) * c", "(1 - s(f)) * c"), "the old state h is missing in the sums: add h @ U.T": (" + h @ U.T", ""), "the input x is missing in the sums: add x @ W.T": ("x @ W.T + ", ""), "the biases b are missing in the sums": (" + b\n", "\n"), "h comes back first, then c": ("    return s(o) * torch.tanh(new), new", "    return new, s(o) * torch.tanh(new)"), "the matrix U is transposed where h meets it: h @ U.T, not h @ U": ("h @ U.T", "torch.cat([h @ U[n * d : n * d + d] for n in range(4)], 1)"), "the gates see x and h alone: yours see c, too": ("new = s(f) * c + s(i) * torch.tanh(g)", "new = s(f + c) * c + s(i + c) * torch.tanh(g)"), "cut the columns in four, not the rows: dim=1": ("z[:, :d], z[:, d : 2 * d], z[:, 2 * d : 3 * d], z[:, 3 * d :]", "z.chunk(4)"), "the biases are the same for all examples: add b as a row, not as a column": (" + b\n", " + b[:, None]\n"), "the old c is lost: c' = f · c + i · g": ("s(f) * c + ", ""), "gates run through the sigmoid: the output gate is a bare sum": ("s(o) *", "o *"), "gates run through the sigmoid: the forget gate is a bare sum": ("s(f) *", "f *"), "gates run through the sigmoid: the input gate is a bare sum": ("s(i) *", "i *"), "gates run through the sigmoid, between 0 and 1: yours through tanh": ("torch.sigmoid\n", "torch.tanh\n"), "c' stands outside the tanh: only the candidate runs through it before it is added": ("new = s(f) * c + s(i) * torch.tanh(g)", "new = torch.tanh(s(f) * c + s(i) * g)"), "the second thing to return is the new c, before tanh": ("torch.tanh(new), new", "torch.tanh(new), torch.tanh(new)"), "the second thing to return is the new c: yours is the old one": ("torch.tanh(new), new", "torch.tanh(new), c"), "nothing is added to the bias of the forget gate here: it is in b": ("s(f) * c", "s(f + 1) * c"),
    },
)
def use_back(answer, name, *arguments):
    """The gradients of the sum of the first state that comes back, along all arguments."""
    import torch

    leaves = [tensor.clone().requires_grad_() for tensor in arguments]
    result = answer[name](*leaves)
    first = result[0] if isinstance(result, (list, tuple)) else result
    if not getattr(first, "requires_grad", False):
        return "no gradient"
    first.sum().backward()
    return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
def gradients_of(function, *arguments):
    with torch.enable_grad():
        return use_back({"it": function}, "it", *(tensor.detach() for tensor in arguments))
def explain_back(got, expected, *arguments):
    if isinstance(got, str):
        return "no gradient flows through the new state: compute with PyTorch, without detach, item, data or NumPy"
agrees(
    "lstm_cell", "lets gradients flow to inputs, states and parameters", target=use_back, explain=explain_back, kinds=("plain",) * 3 + ("square",), parts=tuple(f"the gradient along {name}" for name in ("x", "h", "c", "W", "U", "b")), draw=lambda make: ("lstm_cell", *memory(make, 4, 1, 2)), reference=lambda name, *a: gradients_of(lstm_by_torch, *a), hint="if the check above is ok: is something detached on the way?",
    misreadings={"the gradient must reach the old states, too: do not detach them": lambda name, x, h, c, W, U, b: gradients_of(lambda x, h, c, *p: lstm_by_torch(x, h.detach(), c.detach(), *p), x, h, c, W, U, b)},
)
# fmt: on

# %% patches="lstm_cell"
[
    ("    return torch.sigmoid(o) * torch.tanh(c), c", "    return [torch.tanh(c) / (1 + torch.exp(-o)), c]", ""), ("    i, f, g, o = ", "    return torch.lstm_cell(x, (h, c), W, U, b, 0 * b)\n    i, f, g, o = ", ""), ("(x @ W.T + h @ U.T + b).chunk(4, dim=1)", "(torch.cat([x, h], 1) @ torch.cat([W, U], 1).T + b).unflatten(1, (4, -1)).unbind(1)", ""), ("i, f, g, o =", "i, f, o, g =", "yours reads i, f, o, g"), ("i, f, g, o =", "f, i, g, o =", "yours reads f, i, g, o"), ("* torch.tanh(g)", "* torch.sigmoid(g)", "so that it can be negative"), ("torch.tanh(c), c", "c, c", "before the output gate shows it"), ("torch.sigmoid(f) * c", "(1 - torch.sigmoid(f)) * c", "not 1 − f"), (" + b).chunk", ").chunk", "biases"), ("torch.sigmoid(i) *", "(1 - torch.sigmoid(f)) *", "yours writes 1 − f"), ("    return torch.sigmoid(o) * torch.tanh(c), c", "    return c, torch.sigmoid(o) * torch.tanh(c)", "h comes back first"), ("    c = torch.sigmoid(f) * c +", "    c *= torch.sigmoid(f)\n    c = c +", "in place"), ("    c = torch.sigmoid(f) * c", "    c = torch.sigmoid(f) * c.detach()", "detached on the way"), ("    return torch.sigmoid(o)", "    c = c.detach()\n    return torch.sigmoid(o)", "detached on the way"),
]  # fmt: skip

# %%
lab.check("lstm_cell")

# %% [markdown]
# The **GRU**, *gated recurrent unit* (Cho et al. 2014), does with one state and one gate fewer. Its **update gate** $z$
# is the share of the old state that is kept; the rest is written anew. Its **reset gate** $r$ is how much of the old
# state the candidate $n$ may see:
#
# $$ \begin{aligned} r &= \sigma(W_r x + U_r h + b_r + k_r), \qquad z = \sigma(W_z x + U_z h + b_z + k_z) \\
# n &= \tanh\bigl(W_n x + b_n + r \cdot (U_n h + k_n)\bigr), \qquad h' = (1 - z) \cdot n + z \cdot h \end{aligned} $$
#
# It has two biases, $b$ beside the input and $k$ beside the state: $r$ is multiplied by one of them only.

# %% [markdown] exercise="gru_cell" difficulty=2 importance=4 minutes=15 points=3
# ### A cell with one state
#
# **By hand first.** One number each, all weights and biases 0 but $k_n = 2$: $r = z = \frac12$, $n = \tanh(\frac12
# \cdot 2) = 0.762$, and $h = 1$ becomes $h' = \frac12 \cdot 0.762 + \frac12 \cdot 1 = 0.881$.
#
# The paper multiplies $r$ into $h$ *before* the matrix; PyTorch multiplies it into what the matrix gives. Write
# PyTorch's. Its rows lie in the order $r$, $z$, $n$.


# %% solution="gru_cell"
def gru_cell(x, h, W, U, b, k):
    """New states [n, d] from inputs x [n, inputs] and old states h [n, d], all tensors.

    W [3d, inputs], U [3d, d], b [3d], k [3d]: the rows of r, z, n, one below the other.

    >>> one, zero = torch.ones(1, 1), torch.zeros(3, 1)
    >>> gru_cell(one, one, zero, zero, torch.zeros(3), torch.tensor([0.0, 0.0, 2.0]))
    tensor([[0.8808]])
    """
    ### BEGIN SOLUTION
    from_x, from_h = (x @ W.T + b).chunk(3, dim=1), (h @ U.T + k).chunk(3, dim=1)
    r = torch.sigmoid(from_x[0] + from_h[0])
    z = torch.sigmoid(from_x[1] + from_h[1])
    n = torch.tanh(from_x[2] + r * from_h[2])
    return (1 - z) * n + z * h
    ### END SOLUTION


# %% [markdown] hint="gru_cell"
# You cannot add up all sums first: the candidate needs what comes from $x$ and what comes from $h$ apart.

# %% [markdown] hint="gru_cell"
# Cut `x @ W.T + b` and `h @ U.T + k` in three each. The gates take the sum of two pieces; in the candidate $r$
# multiplies the piece from $h$, with its bias $k$.

# %% [markdown] hint="gru_cell"
# `n = torch.tanh(from_x[2] + r * from_h[2])`, and then `(1 - z) * n + z * h`.

# %% [markdown] why="gru_cell"
# $z$ does what the forget gate does, and the input gate is tied to it: what is written has the share $1 - z$. So the
# state stays between −1 and 1. Common mistakes: $z$ and $1 - z$ exchanged; $r$ inside the product; one bias for both.


# %% checks="gru_cell"
# fmt: off
def gru_in_words(x, h, W, U, b, k):
    d, s = h.shape[1], torch.sigmoid
    rows = lambda m: (m[:d], m[d : 2 * d], m[2 * d :])
    (Wr, Wz, Wn), (Ur, Uz, Un), (br, bz, bn), (kr, kz, kn) = rows(W), rows(U), rows(b), rows(k)
    r = s(x @ Wr.T + h @ Ur.T + br + kr)
    z = s(x @ Wz.T + h @ Uz.T + bz + kz)
    n = torch.tanh(x @ Wn.T + bn + r * (h @ Un.T + kn))
    return (1 - z) * n + z * h
agrees(
    "gru_cell", "makes the new state as PyTorch's does", draw=lambda make: memory(make, 3, 2, 1), reference=torch.gru_cell, written=gru_in_words, tolerance={"atol": 1e-9}, hint="do the cell of the text by hand",
    misreadings={
        "z is the share of the old state that is kept: z · h, and 1 − z of the candidate": ("(1 - z) * n + z * h", "z * n + (1 - z) * h"), "r multiplies what the matrix gives, not h before the matrix": ("r * (h @ Un.T + kn)", "((r * h) @ Un.T + kn)"), "r multiplies the bias k of the candidate, too": ("r * (h @ Un.T + kn)", "(r * (h @ Un.T) + kn)"), "the reset gate r is missing in the candidate": ("r * (h @ Un.T + kn)", "(h @ Un.T + kn)"), "r multiplies only what comes from the state: not the bias b": ("bn + r * (h @ Un.T + kn)", "r * (h @ Un.T + kn + bn)"), "r multiplies only what comes from the state: not the input": ("x @ Wn.T + bn + r * (h @ Un.T + kn)", "r * (x @ Wn.T + bn + h @ Un.T + kn)"), "the blocks are in the order r, z, n: yours reads z, r, n": ("return (1", "r, z = s(x @ Wz.T + h @ Uz.T + bz + kz), s(x @ Wr.T + h @ Ur.T + br + kr)\n    n = torch.tanh(x @ Wn.T + bn + r * (h @ Un.T + kn))\n    return (1"), "the three blocks lie one below the other, d rows each: yours takes every third row": ("(m[:d], m[d : 2 * d], m[2 * d :])", "(m[0::3], m[1::3], m[2::3])"), "the candidate n runs through tanh: yours is the bare sum": ("torch.tanh(", "("), "the candidate n runs through tanh, so that it can be negative: yours through a sigmoid": ("torch.tanh(", "s("), "the biases k are missing in the gates": ("rows(k)\n", "rows(k)\n    kr, kz = 0 * kr, 0 * kz\n"), "the biases k are missing": ("rows(k)\n", "rows(0 * k)\n"), "the biases b are missing": ("rows(b), ", "rows(0 * b), "), "the candidate lacks its bias k": ("rows(k)\n", "rows(k)\n    kn = 0 * kn\n"), "the candidate lacks its bias b": ("bn + r", "r"), "the old state must be kept in part: add z · h": (" + z * h", ""), "the candidate is written with the share 1 − z: yours is written whole": ("(1 - z) * n", "n"), "the old state h is missing in the gates": ("    z = s(x @ Wz.T + h @ Uz.T + bz + kz)", "    r, z = s(x @ Wr.T + br + kr), s(x @ Wz.T + bz + kz)"), "gates run through the sigmoid, between 0 and 1: yours through tanh": ("torch.sigmoid\n", "torch.tanh\n"), "the matrix U is transposed where h meets it: h @ U.T, not h @ U": ("rows(U), rows(b)", "(u.T for u in rows(U)), rows(b)"), "the old state is kept with the share z: yours is kept whole": ("n + z * h", "n + h"), "what comes out is not run through tanh once more": ("(1 - z) * n + z * h", "torch.tanh((1 - z) * n + z * h)"), "z mixes the old state and the candidate: yours has r in its place": ("(1 - z) * n + z * h", "(1 - r) * n + r * h"),
    },
)
agrees(
    "gru_cell", "lets gradients flow to inputs, state and parameters", target=use_back, explain=explain_back, kinds=("plain",) * 3 + ("square",), hint="if the check above is ok: is something detached on the way?", parts=tuple(f"the gradient along {name}" for name in ("x", "h", "W", "U", "b", "k")), draw=lambda make: ("gru_cell", *memory(make, 3, 2, 1)), reference=lambda name, *a: gradients_of(torch.gru_cell, *a),
    misreadings={"the gradient must reach the old state, too: do not detach it": lambda name, x, h, *p: gradients_of(lambda x, h, *p: torch.gru_cell(x, h.detach(), *p), x, h, *p)},
)
# fmt: on

# %% patches="gru_cell"
[
    ("    return (1 - z) * n + z * h", "    return torch.lerp(n, h, z)", ""), ("    return (1 - z) * n + z * h", "    return torch.gru_cell(x, h, W, U, b, k)", ""), ("    return (1 - z) * n + z * h", "    return (n + z * (h - n)).tolist() if not n.requires_grad else n + z * (h - n)", ""), ("(1 - z) * n + z * h", "z * n + (1 - z) * h", "z is the share of the old"), ("r * from_h[2]", "(r * h) @ U[2 * h.shape[1] :].T + k[2 * h.shape[1] :]", "not h before the matrix"), ("r * from_h[2]", "from_h[2]", "reset gate r is missing"), ("from_x[2] + r * from_h[2]", "r * (from_x[2] + from_h[2])", "not the input"), ("+ k).chunk", ").chunk", "biases k"), ("torch.tanh(", "torch.sigmoid(", "yours through a sigmoid"), ("    r = torch.sigmoid(from_x[0] + from_h[0])\n    z = torch.sigmoid(from_x[1] + from_h[1])", "    z = torch.sigmoid(from_x[0] + from_h[0])\n    r = torch.sigmoid(from_x[1] + from_h[1])", "yours reads z, r, n"), ("    return (1 - z)", "    h *= z\n    return h + (1 - z) * n\n    return (1 - z)", "in place"),
]  # fmt: skip

# %%
lab.check("gru_cell")

# %% [markdown]
# ### The backward signal over 40 steps
#
# Draw a cell at random as PyTorch does, send 40 symbols through it, then a random gradient from the last state back to
# the first. Its length at each step, over that at the end, is what is left of the signal: along $c$ for the LSTM, along
# $h$ for the others. PyTorch draws all biases near 0, so gates start half open. *Keeps* stands for the same numbers
# with 3 added to the bias of the gate that keeps: $b_f$ or $b_z$.


# %%
def step(kind, x, state, W, U, b, k):
    """The next state, a list: [h], or [h, c] for the LSTM."""
    if kind is nn.LSTM:
        return list(lstm_cell(x, *state, W, U, b + k))
    if kind is nn.GRU:
        return [gru_cell(x, *state, W, U, b, k)]
    return [rnn_cell(x, *state, W, U, b + k)]


def drawn(kind, inputs, width, bias=0):
    """PyTorch's own; `bias` is added for the gate that keeps, which comes second."""
    module = kind(inputs, width, batch_first=True)
    with torch.no_grad():
        module.bias_ih_l0[width : 2 * width] += bias
    return module


# %% tags=["experiment"]
def backward_signal(kind, bias, seed):
    """log10 of the backward signal at each step, over that at the last one: [LONG]."""
    with seeded(seed):
        module = drawn(kind, SYMBOLS, WIDTH, bias).double()
        symbols, gradient = torch.randint(SYMBOLS, (16, LONG)), torch.randn(16, WIDTH)
    inputs, kept = F.one_hot(symbols, SYMBOLS).double(), []
    state = [torch.zeros(16, WIDTH).double()] * (2 if kind is nn.LSTM else 1)
    for x in inputs.unbind(1):
        state = step(kind, x, state, *module.parameters())
        state[-1].retain_grad()
        kept.append(state[-1])
    torch.testing.assert_close(state[0], module(inputs)[0][:, -1])  # PyTorch's
    (state[0] * gradient).sum().backward()
    sizes = torch.stack([one.grad.norm(dim=1) for one in kept])
    return (sizes / sizes[-1]).log10().mean(1).numpy()


SEEDS = range(BASE_SEED, BASE_SEED + REPLICATES)
KINDS = {"RNN": (nn.RNN, 0), "LSTM": (nn.LSTM, 0), "LSTM, keeps": (nn.LSTM, 3)}
KINDS |= {"GRU": (nn.GRU, 0), "GRU, keeps": (nn.GRU, 3)}
if lab.solved("lstm_cell") and lab.solved("gru_cell"):
    left = {}
    for name, how in KINDS.items():
        left[name] = np.array([backward_signal(*how, seed) for seed in SEEDS])

# %% tags=["experiment", "drawing"]
if lab.solved("lstm_cell") and lab.solved("gru_cell"):
    fig, ax = plt.subplots(figsize=(7.5, 3.6))
    steps = np.arange(1 - LONG, 1)
    for name, curves in left.items():
        figures.lines_with_spread(ax, steps, curves, name, markevery=6)
    ax.plot(steps, -steps * math.log10(0.5), ":k", marker="", label="halved each step")
    ax.set(xlabel="step, from the last one back", ylabel="log10 of the backward signal")
    fig.legend(loc="outside lower center", ncols=3)
    figures.show(
        fig,
        alt="Logarithm of the backward signal over the steps, back from the last. The "
        "plain network, the LSTM and the GRU as PyTorch draws them lose it nearly as "
        "fast as a line that is halved in each step. With the added bias it stays.",
        caption="Thin lines are replicates. A slope is log10 of a step's factor.",
    )

# %% tags=["experiment"]
if lab.solved("lstm_cell") and lab.solved("gru_cell"):
    claim(
        "With forget bias 3 an LSTM keeps at least a tenth of its signal over 40 steps",
        left["LSTM, keeps"][:, 0],
        at_least=-1.0,
        control=left["LSTM"][:, 0],
        control_is="the same cells without the added bias",
        source="Gers et al. 2000; Jozefowicz et al. 2015 (forget bias)",
    )

# %% [markdown]
# **A gate that is half open halves.** The LSTM as it is drawn loses its signal nearly as fast as the plain cell; so
# does the GRU. What looked like the cure is none before the gate has learned to open. With the bias it starts open.
#
# ### Experiment 1: recall
#
# Of a sequence of random symbols out of eight the network must name the *first*; what follows is of no use. All get
# equal updates of Adam, each at its best rate from 0.003 to 0.3, chosen on other replicates. **Attention**, a
# transformer of one layer (notebook 03), stands beside them: its last position sees the first directly. Over 4 symbols
# all should manage, or something else is at fault; then come 16.

# %%
guess_recall = predict(
    "Which of these recalls worst over 16 symbols, as PyTorch draws it?",
    ["the plain RNN", "the LSTM", "attention"],
)


# %% tags=["experiment"]
class Reader(nn.Module):
    """Symbols [n, T] to logits [n, T, SYMBOLS]."""

    def __init__(self, kind, bias):
        super().__init__()
        self.memory = drawn(kind, SYMBOLS, WIDTH, bias)
        self.answer = nn.Linear(WIDTH, SYMBOLS)

    def forward(self, symbols):
        states, _ = self.memory(F.one_hot(symbols, SYMBOLS).float())
        return self.answer(states)


# %% tags=["experiment"]
def learn(model, draw, updates, rate, loss):
    """Adam with a falling rate, gradients clipped; draw() gives inputs and targets."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = rate * (1 - update / updates)
        inputs, targets = draw()
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


# %% tags=["experiment"]
RATES = {"RNN": 0.01, "LSTM": 0.1, "LSTM, keeps": 0.01, "GRU": 0.1, "attention": 0.01}


def recall(name, length, seed, rate=None):
    """Share of first symbols that are named rightly, of 1000 fresh sequences."""

    def draw(n=BATCH):
        symbols = torch.randint(SYMBOLS, (n, length))
        return symbols, symbols[:, 0]

    with seeded(seed):
        if name == "attention":
            model = Transformer(SYMBOLS, seed=seed, layers=1, length=FAR, width=WIDTH)
        else:
            model = Reader(*KINDS[name])
        loss = lambda logits, first: F.cross_entropy(logits[:, -1], first)
        learn(model, draw, RECALL_UPDATES[length], rate or RATES[name], loss)
        symbols, first = draw(1000)
    with torch.no_grad():
        return (model(symbols)[:, -1].argmax(1) == first).float().mean().item()


# %% tags=["experiment"]
recalled = {}
for length in (NEAR, FAR):
    for name in RATES:
        recalled[name, length] = [recall(name, length, seed) for seed in SEEDS]
far = [np.mean(recalled[name, FAR]) for name in ("RNN", "LSTM", "attention")]
guess_recall.resolve([np.argmin(far) == number for number in range(3)])

# %% tags=["experiment", "drawing"]
fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.5), sharey=True)
for ax, length in zip(panels, (NEAR, FAR), strict=True):
    shares = {name.replace(", ", ",\n"): recalled[name, length] for name in RATES}
    figures.dots_with_spread(ax, shares, paired=False)
    ax.axhline(1 / SYMBOLS, color="0.4", linestyle=":", label="chance")
    ax.set(title=f"the first of {length} symbols", ylim=(0, 1.05))
    ax.tick_params(axis="x", labelsize=8)
panels[0].set(ylabel="share recalled")
panels[0].legend(loc="lower left")
figures.show(
    fig,
    alt="Share of first symbols recalled by five networks. All recall the first of 4. "
    "Of 16, the LSTM as PyTorch draws it is near chance, the plain network does "
    "better in most replicates; the LSTM that keeps, GRU and attention are best.",
    caption="One dot a replicate, each network at its best learning rate.",
)

# %% tags=["experiment"]
claim(
    "With forget bias 3 an LSTM names at least 0.8 of the first of 16 symbols",
    recalled["LSTM, keeps", FAR],
    at_least=0.8,
    control=recalled["LSTM", FAR],
    control_is="the same LSTM without the added bias, at its own best rate",
    source="Gers et al. 2000; Jozefowicz et al. 2015 (forget bias)",
)

# %% [markdown]
# Over 4 symbols the plain LSTM recalls: nothing is wrong with it. Over 16 it stays near chance, *below* most runs of
# the cell without gates, at every rate of the grid. Forwards, too, a half-open gate halves what was written: of the
# first symbol less than a ten-thousandth is left at the end. To open the gate its bias must grow, and the signal that
# would say so is just what is missing. The plain cell's signal was no larger at the start, but its factor is a weight:
# a few steps of Adam carry it past 1, where a sigmoid only creeps towards 1. (This fits what we saw; we did not test
# it.) It is the *start* that decides, as in lab 4, and not the formula: *keep, unless told otherwise*. Where the past
# is useless that may be wrong. The GRU found its gate, at a large rate. Attention needs no such start, since no step
# lies between the two symbols; its price is that it keeps all of them.
#
# ## 3. What will come?
#
# A shop sells ice cream: more each year, most in summer, and this month about as well as the last. Its sales of three
# years are known; the next 24 months are asked for. How far ahead one looks is the **horizon**.
#
# The **seasonal naive** forecast says: as in the same month of the last year. It learns nothing, and many a forecast
# that learns is worse. How far it errs within the past is also a unit for errors: it fits a shop as well as a country.
# The **scaled error** (Hyndman & Koehler 2006) of $n$ series at horizon $h$ is
#
# $$ \frac1n \sum_{s=1}^{n} \frac{|\text{forecast}_{s,h} - \text{future}_{s,h}|}{q_s}, \qquad
# q_s = \frac{1}{T - m} \sum_{t=m+1}^{T} |y_{s,t} - y_{s,t-m}| $$
#
# for a history $y_{s,1} \dots y_{s,T}$ and a period of $m$ months.

# %% [markdown] exercise="seasonal_naive" difficulty=2 importance=4 minutes=20 points=4
# ### The forecast to beat, and a unit for errors
#
# **By hand first.** Period 2, history 1, 5, 3, 9. The last season is 3, 9, so the forecast for five steps is 3, 9, 3,
# 9, 3: beyond one season it goes on from itself. The scale, the mean of $|3 - 1|$ and $|9 - 5|$, is 3. If 5 and 9 come,
# the errors are 2 and 0, scaled $\frac23$ and 0.
#
# Write both functions. Arrays are NumPy's, a row a series; `scaled_error` gives a number for each horizon.


# %% solution="seasonal_naive"
def seasonal_naive(history, period, horizon):
    """Forecasts [n, horizon] of history [n, T], T >= period: the last season, repeated.

    >>> seasonal_naive(np.array([[1, 5, 3, 9]]), 2, 5)
    array([[3, 9, 3, 9, 3]])
    """
    ### BEGIN SOLUTION
    ahead = np.arange(horizon) % period
    return history[:, history.shape[1] - period + ahead]
    ### END SOLUTION


def scaled_error(history, future, forecast, period):
    """Scaled error at each horizon, [horizon].

    history [n, T], T > period; future, forecast [n, horizon]. No series has scale 0.

    >>> one, two = np.array([[1, 5, 3, 9]]), np.array([[5, 9]])
    >>> scaled_error(one, two, np.array([[3, 9]]), 2)
    array([0.66666667, 0.        ])
    """
    ### BEGIN SOLUTION
    scale = np.abs(history[:, period:] - history[:, :-period]).mean(axis=1)
    return (np.abs(forecast - future) / scale[:, None]).mean(axis=0)
    ### END SOLUTION


# %% [markdown] hint="seasonal_naive"
# `history[:, -period:]` is the last season. And which two slices of the history lie one period apart?

# %% [markdown] hint="seasonal_naive"
# `np.tile(a, (1, k))` repeats the columns $k$ times, or compute the column of step $h$ with `%`. The scale is a number
# for each series: a mean over axis 1. The result is a number for each horizon: a mean over axis 0.

# %% [markdown] hint="seasonal_naive"
# `history[:, period:] - history[:, :-period]` are the differences. Divide each row of errors by its series' scale,
# `scale[:, None]`, *before* you take the mean over the series.

# %% [markdown] why="seasonal_naive"
# An error of 1 in the naive forecast's own past is the unit, so 0.8 is a fifth better than what it did there. Dividing
# series by series keeps the country from drowning the shop. Common mistakes: the *first* season; beyond one season the
# season before last; a mean over horizons, which hides how far a forecast reaches.


# %% checks="seasonal_naive"
# fmt: off
def to_forecast(make):
    period = make.size(1, 5)
    return make.numbers(make.size(1, 4), period + make.one_of(0, 3, 1, 2 * period, 7, 4)), period, make.one_of(1, 7, 4, 12, 2, 9)
def year_by_year(history, period, horizon):
    rows = [list(row) for row in np.asarray(history)]
    for row in rows:
        for _ in range(horizon):
            row.append(row[-period])
    return np.array([row[len(row) - horizon :] for row in rows])
agrees(
    "seasonal_naive", "repeats the last season up to the horizon", draw=to_forecast, reference=year_by_year, tolerance={"atol": 1e-12, "rtol": 1e-7}, kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "tiny", "plain", "square", "plain"), hint="do the history 1, 5, 3, 9 by hand",
    misreadings={
        "repeat the last season, not the first": lambda y, m, H: y[:, np.arange(H) % m], "repeat the last season, not the last value": lambda y, m, H: y[:, -1:].repeat(H, axis=1), "the forecast begins one month too late: its first value is that of one period before it": lambda y, m, H: y[:, y.shape[1] - m + (np.arange(H) + 1) % m], "the forecast begins one month too early: its first value is that of one period before it": lambda y, m, H: y[:, y.shape[1] - m + (np.arange(H) - 1) % m], "go back one period, not the whole horizon: repeat the last season": lambda y, m, H: np.concatenate([y, 0 * y[:, :1]], 1)[:, np.maximum(y.shape[1] - H + np.arange(H), 0)], "only the last season came back: repeat it up to the horizon": lambda y, m, H: y[:, y.shape[1] - m :], "too many seasons came back: cut them off at the horizon": lambda y, m, H: np.tile(y[:, y.shape[1] - m :], H), "whole seasons came back: cut them off at the horizon": lambda y, m, H: np.tile(y[:, y.shape[1] - m :], -(-H // m)), "repeat the season in its order, month after month, not each month several times": lambda y, m, H: y[:, y.shape[1] - m :].repeat(-(-H // m), axis=1)[:, :H], "the history comes back, too: return the forecast alone": lambda y, m, H: np.concatenate([y, year_by_year(y, m, H)], 1), "take the last season, not the mean of all": lambda y, m, H: np.array([[row[(len(row) + h) % m :: m].mean() for h in range(H)] for row in y]), "beyond one season go on from the last one, not from the one before": lambda y, m, H: y[:, np.maximum(y.shape[1] - m - (np.arange(H) // m) * m + np.arange(H) % m, 0)], "seasons are counted back from the end of the history, not from its start": lambda y, m, H: y[:, (y.shape[1] // m - 1) * m + np.arange(H) % m], "take the last season alone, not the mean of the last two": lambda y, m, H: np.tile((y[:, y.shape[1] - m :] + y[:, y.shape[1] - 2 * m : y.shape[1] - m]) / 2 if y.shape[1] >= 2 * m else y[:, y.shape[1] - m :], H)[:, :H], "values are no whole numbers: yours are cut off": lambda y, m, H: np.trunc(year_by_year(y, m, H)), "only whole seasons came back: the last one is cut off at the horizon, not left out": lambda y, m, H: np.tile(y[:, y.shape[1] - m :], (1, H // m))[:, :H], "repeat the season as it is: yours runs backwards": lambda y, m, H: y[:, y.shape[1] - 1 - np.arange(H) % m],
    },
)
def to_score(make):  # no series has scale 0: its last value differs from that of one period before it
    period, n, horizon = make.size(1, 4), make.size(1, 5), make.size(1, 6)
    history = make.numbers(n, period + make.one_of(3, 1, 5, 2, 9))
    history[:, -1] = history[:, -1 - period] + make.one_of(1.0, -2.0, 0.5) * (1 + np.arange(n)) * {"large": 1024.0, "tiny": 2.0**-20}.get(make.kind, 1)
    return history, make.numbers(n, horizon), make.numbers(n, horizon), period
def one_by_one(history, future, forecast, period):
    rows = []
    for y, true, said in zip(history, future, forecast):
        scale = np.mean([abs(y[t] - y[t - period]) for t in range(period, len(y))])
        rows.append([abs(a - b) / scale for a, b in zip(true, said)])
    return np.array(rows).mean(axis=0)
def parted(history, future, forecast, period):
    steps = np.abs(history[:, period:] - history[:, :-period])
    errors = np.abs(forecast - future)
    scale = steps.mean(axis=1)
    with np.errstate(all="ignore"):  # misreadings divide by 0
        return (errors / scale[:, None]).mean(axis=0)
agrees(
    "seasonal_naive", "`scaled_error` gives the error at each horizon in units of the naive forecast's past error", target="scaled_error", draw=to_score, reference=one_by_one, written=parted, tolerance={"atol": 1e-12}, hint="do the errors of the text by hand",
    misreadings={
        "one number for each horizon: take the mean over the series, axis 0": ("mean(axis=0)", "mean(axis=1)"), "one number for each horizon is asked for: yours is the mean over all": ("mean(axis=0)", "mean()"), "take absolute errors: yours keep their sign": ("np.abs(forecast - future)", "(forecast - future)"), "take absolute errors, not squares": ("errors = np.abs(forecast - future)", "errors = (forecast - future) ** 2"), "the scale is made of absolute differences: yours may cancel": ("steps = np.abs(history[:, period:] - history[:, :-period])", "steps = history[:, period:] - history[:, :-period]"), "the errors must be divided by the scale": (" / scale[:, None]", ""), "the scale compares with one period before, not with the month before": ("history[:, period:] - history[:, :-period]", "history[:, 1:] - history[:, :-1]"), "the scale is a mean over T − m differences, not over T": ("steps.mean(axis=1)", "steps.sum(axis=1) / history.shape[1]"), "the scale is a mean over the past, not a sum": ("steps.mean(axis=1)", "steps.sum(axis=1)"), "divide each series by its own scale before you take the mean: yours is a ratio of two means": ("(errors / scale[:, None]).mean(axis=0)", "errors.mean(axis=0) / scale.mean()"), "the scale is a mean, not a root of mean squares": ("steps.mean(axis=1)", "(steps**2).mean(axis=1) ** 0.5"), "the scale is a mean, not a standard deviation of the history": ("steps.mean(axis=1)", "history.std(axis=1)"), "the scale is a mean, not a median": ("steps.mean(axis=1)", "np.median(steps, axis=1)"), "take the mean over the series, not the sum": ("mean(axis=0)", "sum(axis=0)"), "np.diff(y, n) takes differences n times, not n months apart: subtract two slices": ("history[:, period:] - history[:, :-period]", "np.diff(history, period, axis=1)"), "errors divided by the scale, not by the size of the future": ("scale = steps.mean(axis=1)", "scale = np.abs(future).mean(axis=1)"), "take the mean over the series, not the median": ("(errors / scale[:, None]).mean(axis=0)", "np.median(errors / scale[:, None], axis=0)"), "the scale looks at the history alone, not at the last season of it": ("steps.mean(axis=1)", "steps[:, -period:].mean(axis=1)"), "nothing is added to the scale: no series has scale 0": (" / scale[:, None]", " / (scale[:, None] + 1e-3)"), "divide by the scale: yours multiplies": (" / scale", " * scale"), "the mean over the series is still to be taken": (".mean(axis=0)", ""),
    },
)
# fmt: on

# %% patches="seasonal_naive"
[
    ("    return history[:, history.shape[1] - period + ahead]", "    season = history[:, -period:]\n    return np.concatenate([season] * (horizon // period + 1), axis=1)[:, :horizon].tolist()", ""), ("    return (np.abs(forecast - future) / scale[:, None]).mean(axis=0)", "    return torch.from_numpy(np.einsum('nh,n->h', np.abs(future - forecast), 1 / scale) / len(scale))", ""), ("history.shape[1] - period + ahead", "ahead", "not the first"), ("np.arange(horizon) % period", "(np.arange(horizon) + 1) % period", "one month too late"), ("history[:, history.shape[1] - period + ahead]", "history[:, -period:]", "up to the horizon"), ("history[:, history.shape[1] - period + ahead]", "np.tile(history[:, -period:], horizon)", "too many seasons"), ("history[:, history.shape[1] - period + ahead]", "np.repeat(history[:, -1:], horizon, axis=1)", "not the last value"), ("history[:, period:] - history[:, :-period]", "history[:, 1:] - history[:, :-1]", "not with the month before"), ("mean(axis=1)\n", "mean()[None]\n", "by its own scale"), ("mean(axis=0)", "mean(axis=1)", "over the series, axis 0"), ("(np.abs(forecast - future) / scale[:, None]).mean(axis=0)", "np.abs(forecast - future).mean(axis=0) / scale.mean()", "a ratio of two means"), ("np.abs(forecast - future)", "(forecast - future)", "keep their sign"), ("mean(axis=1)\n", "sum(axis=1) / history.shape[1]\n", "not over T"), ("    return (np.abs(forecast - future)", "    forecast -= future\n    return (np.abs(forecast)", "in place"),
]  # fmt: skip

# %%
lab.check("seasonal_naive")

# %% [markdown]
# ### Experiment 2: a network against no learning at all
#
# We make the series, so that we know what can be known. Twenty shops; each has a trend, a habit of each month that
# changes a little from year to year, and luck that lasts: four fifths of it are there next month.
#
# One LSTM, with forget bias 3, reads the past of any shop and gives all 24 months at once, by a linear layer on its
# last state. It trains on the first twenty years; the exam is on months after them. What should it *read*? Three arms
# with equal start, windows and updates: the **values**; the values **minus the last** one, which takes the level out;
# and **seasonal differences**, this month less the same a year before, whose forecasts are added to the naive one. All
# three know the same 36 months. Two more arms learn less, and might explain the gain away: naive **with drift** (the
# mean rise of a year is added), and **linear** least squares from the same differences.

# %%
guess_forecast = predict(
    "An LSTM reads the values of 36 months. Where does it beat the naive forecast?",
    ["at all horizons", "at some", "nowhere"],
)


# %% tags=["experiment"]
def shops(seed):
    """Monthly sales: an array [SERIES, TRAINING + TESTING]."""
    rng, months = np.random.default_rng(seed), TRAINING + TESTING
    habit = rng.normal(0, 2, (SERIES, months))
    changes = rng.normal(0, 0.5, (SERIES, months))
    luck = rng.normal(0, 0.6, (SERIES, months))
    for t in range(1, months):
        luck[:, t] += 0.8 * luck[:, t - 1]
        if t >= PERIOD:
            habit[:, t] = habit[:, t - PERIOD] + changes[:, t]
    trend = rng.uniform(0.02, 0.08, (SERIES, 1)) * np.arange(months)
    return trend + habit + luck


def windows(sales):
    """All stretches of PAST + HORIZON months: (past [n, PAST], future [n, HORIZON])."""
    cut = np.lib.stride_tricks.sliding_window_view(sales, PAST + HORIZON, axis=1)
    return np.split(cut.reshape(-1, PAST + HORIZON), [PAST], axis=1)


# %% tags=["experiment"]
VIEWS = ["values", "minus the last", "seasonal differences"]


def view(past, name, center=0.0):
    """(what the network reads, what its forecast is added to)"""
    if name == "seasonal differences":
        naive = seasonal_naive(past, PERIOD, HORIZON)
        return past[:, PERIOD:] - past[:, :-PERIOD], naive
    base = past[:, -1:] if name == "minus the last" else np.full((len(past), 1), center)
    return past - base, base


class Forecaster(nn.Module):
    """Numbers [n, T] to HORIZON numbers, from the last state of an LSTM."""

    def __init__(self):
        super().__init__()
        self.memory = drawn(nn.LSTM, 1, WIDTH, bias=3)
        self.answer = nn.Linear(WIDTH, HORIZON)

    def forward(self, numbers):
        return self.answer(self.memory(numbers.unsqueeze(2))[0][:, -1])


# %% tags=["experiment"]
def forecasts(name, sales, seed, rate=FORECAST_RATE):
    """The network's forecasts for all windows after the training years."""
    center = sales[:, :TRAINING].mean()
    past, future = windows(sales[:, :TRAINING])
    read, base = view(past, name, center)
    new, new_base = view(windows(sales[:, TRAINING - PAST :])[0], name, center)
    unit = read.std()
    inputs = torch.from_numpy(read / unit).float()
    targets = torch.from_numpy((future - base) / unit).float()

    def draw():
        rows = torch.randint(len(inputs), (64,))
        return inputs[rows], targets[rows]

    with seeded(seed):
        model = learn(Forecaster(), draw, FORECAST_UPDATES, rate, F.l1_loss)
    with torch.no_grad():
        return new_base + unit * model(torch.from_numpy(new / unit).float()).numpy()


def linear(sales):
    """Least squares from the same differences, to all horizons at once."""
    past, future = windows(sales[:, :TRAINING])
    new, _ = windows(sales[:, TRAINING - PAST :])
    read, base = view(past, "seasonal differences")
    new, new_base = view(new, "seasonal differences")
    return new_base + LinearRegression().fit(read, future - base).predict(new)


# %% tags=["experiment"]
def errors(seed):
    """The scaled error of each arm at each horizon."""
    sales = shops(seed)
    past, future = windows(sales[:, TRAINING - PAST :])
    history = sales[:, :TRAINING].repeat(len(past) // SERIES, axis=0)
    naive = seasonal_naive(past, PERIOD, HORIZON)
    rise = (history[:, PERIOD:] - history[:, :-PERIOD]).mean(axis=1, keepdims=True)
    arms = {"seasonal naive": naive, "linear": linear(sales)}
    arms["naive with drift"] = naive + rise * (1 + np.arange(HORIZON) // PERIOD)
    arms |= {name: forecasts(name, sales, seed) for name in VIEWS}
    return {name: scaled_error(history, future, arms[name], PERIOD) for name in arms}


if lab.solved("seasonal_naive"):
    runs = [errors(seed) for seed in SEEDS]
    by_horizon = {name: np.array([run[name] for run in runs]) for name in runs[0]}
    wins = by_horizon["values"].mean(0) < by_horizon["seasonal naive"].mean(0)
    guess_forecast.resolve([wins.all(), wins.any() and not wins.all(), not wins.any()])

# %% tags=["experiment", "drawing"]
if lab.solved("seasonal_naive"):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.7))
    colors = dict(zip(by_horizon, ["0.1", *figures.PALETTE], strict=False))
    rivals = ["seasonal differences", "linear", "naive with drift"]
    months = np.arange(1, HORIZON + 1)
    for ax, names in zip(panels, (VIEWS, rivals), strict=True):
        for name in ["seasonal naive", *names]:
            style = {"color": colors[name], "markevery": 6}
            figures.lines_with_spread(ax, months, by_horizon[name], name, **style)
        ax.set(xlabel="horizon in months", xticks=[1, 6, 12, 18, 24])
        ax.legend(fontsize=8, loc="upper left")
    panels[0].set(ylabel="scaled error", title="what the LSTM reads", ylim=(0.5, 3.5))
    panels[1].set(title="what explains the gain", ylim=(0.5, 1.85))
    figures.show(
        fig,
        alt="Scaled error by horizon. Left: an LSTM that reads values errs most at "
        "nearly all horizons, minus the last value less, seasonal differences least. "
        "Right: naive with drift is below naive; linear and the LSTM are lowest.",
        caption="Thin lines are replicates. Seasonal differences are in both panels.",
    )

# %% tags=["experiment"]
if lab.solved("seasonal_naive"):
    claim(
        "A month ahead an LSTM of differences has at most 0.85 of naive's error",
        by_horizon["seasonal differences"][:, 0] / by_horizon["seasonal naive"][:, 0],
        at_most=0.85,
        control=by_horizon["values"][:, 0] / by_horizon["seasonal naive"][:, 0],
        control_is="the same LSTM, trained on the values themselves",
        source="Makridakis et al. 2018 (simple methods beat networks)",
        scale="log",
    )

# %% [markdown]
# Reading values, the network loses to a forecast that learns nothing: to repeat a season it must carry twelve months
# through its state, and that is slow to learn. Without the level it loses, too, but look where it does well: 12 and 24
# months ahead. It has learned to repeat the *last* value, which is right once a year. Told the differences, it wins.
# Now look at the right panel. *How far* it wins is a matter of the luck that lasts: worth much next month, little after
# some. Two years ahead most of the gain is the drift, for which no network is needed. And the linear forecast does at
# least as well: these series are sums.
#
# ## 4. What does a sound look like?
#
# A microphone gives 8000 numbers a second. A tone of 500 **hertz** (Hz) swings 500 times a second, once in 16 numbers.
# To find the tones, cut the signal in short **frames**, and compare each frame with waves that swing 0, 1, 2, … times
# within it. For a frame $x_0 \dots x_{N-1}$ this **discrete Fourier transform** is
#
# $$ A_k = \sum_{t=0}^{N-1} x_t \cos\frac{2\pi k t}{N}, \quad B_k = \sum_{t=0}^{N-1} x_t \sin\frac{2\pi k t}{N}, \quad
# |X_k| = \sqrt{A_k^2 + B_k^2}, \qquad k = 0 \dots \lfloor N/2 \rfloor . $$
#
# Both waves are needed since a tone may begin anywhere in its swing; the **magnitude** $|X_k|$ hardly depends on that.
# A frame that ends in mid-swing looks as if it jumped, and a jump holds all frequencies. So each frame is first
# multiplied by a **window**, a bump that fades to 0 at both ends. Frame after frame side by side make the
# **spectrogram**. From the start of one frame to the start of the next lie **hop** numbers.

# %% [markdown] exercise="spectrogram" difficulty=3 importance=4 minutes=20 points=4
# ### Which tones, and when?
#
# **By hand first.** $N = 4$, window 1, 1, 1, 1, frame 1, 0, −1, 0: one swing. The cosines for $k = 0, 1, 2$ are 1, 1,
# 1, 1; then 1, 0, −1, 0; then 1, −1, 1, −1. So $A = (0, 2, 0)$. The sines are 0 wherever the frame is not, so $B = 0$,
# and the magnitudes are 0, 2, 0.
#
# The first frame begins with the first number. Frames that would reach beyond the end are left out. Use sums of cosines
# and sines, for all frames at once: PyTorch's transform is faster, and computes just that.


# %% solution="spectrogram"
def spectrogram(signal, window, hop):
    """Magnitudes [N // 2 + 1, frames] of a signal [T], with a window [N], N <= T.

    signal, window: tensors; hop: from one frame to the next, 1 or more.

    >>> spectrogram(torch.tensor([1.0, 0, -1, 0]), torch.ones(4), 4).round(decimals=3)
    tensor([[0.],
            [2.],
            [0.]])
    """
    ### BEGIN SOLUTION
    n = len(window)
    frames = signal.unfold(0, n, hop) * window
    angles = 2 * torch.pi * torch.outer(torch.arange(n // 2 + 1), torch.arange(n)) / n
    across, up = torch.cos(angles) @ frames.T, torch.sin(angles) @ frames.T
    return torch.sqrt(across**2 + up**2)
    ### END SOLUTION


# %% [markdown] hint="spectrogram"
# Cut frames, multiply by the window, compare with the waves: a row for each $k$, a column for each $t$.

# %% [markdown] hint="spectrogram"
# `signal.unfold(0, N, hop)` gives frames as rows, and `torch.outer` of two `torch.arange` all products $k\,t$.

# %% [markdown] hint="spectrogram"
# `torch.cos(angles) @ frames.T` holds $A_k$ of each frame in its columns. Then the sine; then the root.

# %% [markdown] why="spectrogram"
# Half of the frequencies is enough: beyond $N/2$ the waves are the same ones again, seen at so few points. Common
# mistakes: $|A|$ without the sine, so that a tone comes and goes with its phase; squares without the root (the
# *power*); a window that is left out; frames as rows.


# %% checks="spectrogram"
# fmt: off
def sound(make):  # a window that is not symmetric, and a hop shorter than it, equal or longer
    n = 27 if make.number == 3 else make.size(1, 12)
    signal = make.numbers(n + make.one_of(5, 0, 11, 3, 20, 1, 30))
    hop = make.one_of(1, 3, n, 2, n + 1, max(1, n // 2))
    return torch.from_numpy(signal).float(), torch.from_numpy(np.abs(make.numbers(n)) + 1 / 4).float(), hop
def by_stft(signal, window, hop):
    return torch.stft(signal.double(), len(window), hop, window=window.double(), center=False, return_complex=True).abs()
def by_exponentials(signal, window, hop):
    n, T = len(window), len(signal)
    frames = torch.stack([signal[s : s + n].double() * window.double() for s in range(0, T - n + 1, hop)])
    t, k = torch.arange(n).double(), torch.arange(n // 2 + 1).double()
    turn = 2 * torch.pi * torch.outer(k, t) / n
    A, B = torch.cos(turn) @ frames.T, torch.sin(turn) @ frames.T
    return (A**2 + B**2) ** 0.5
agrees(
    "spectrogram", "gives the magnitudes of `torch.stft`, frame by frame", draw=sound, reference=by_stft, written=by_exponentials, tolerance={"rtol": 1e-4, "atol": 1e-5}, hint="do the frame 1, 0, −1, 0 by hand", kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "plain", "square", "tiny", "plain", "square", "plain"),
    misreadings={
        "the window is missing: multiply each frame by it": (" * window.double() for", " for"), "that is the power: take the root of A² + B²": (") ** 0.5", ")"), "the sines are missing: a tone may begin anywhere in its swing": ("(A**2 + B**2) ** 0.5", "A.abs()"), "the cosines are missing: a tone may begin anywhere in its swing": ("(A**2 + B**2) ** 0.5", "B.abs()"), "add the squares before the root: yours adds |A| and |B|": ("(A**2 + B**2) ** 0.5", "A.abs() + B.abs()"), "frames are columns, frequencies are rows: yours is transposed": ("(A**2 + B**2) ** 0.5", "((A**2 + B**2) ** 0.5).T"), "frequencies end at N // 2, with it: yours lack the last one": ("torch.arange(n // 2 + 1)", "torch.arange(n // 2)"), "frequencies end at N // 2: yours go on to N − 1, the same ones again": ("torch.arange(n // 2 + 1)", "torch.arange(n)"), "frequencies begin with k = 0, the sum of the frame": ("torch.arange(n // 2 + 1)", "torch.arange(1, n // 2 + 2)"), "the angle is 2π k t / N: yours is half of it": ("2 * torch.pi", "torch.pi"), "do not double the magnitudes: both halves of the frequencies are counted once": ("(A**2 + B**2) ** 0.5", "2 * (A**2 + B**2) ** 0.5"), "no logarithm is asked for: return the magnitudes themselves": ("(A**2 + B**2) ** 0.5", "torch.log(1 + (A**2 + B**2) ** 0.5)"), "do not subtract the mean: k = 0 is the sum of the frame": ("signal[s : s + n].double()", "(signal - signal.mean())[s : s + n].double()"), "do not divide by the sum of the window": ("(A**2 + B**2) ** 0.5", "(A**2 + B**2) ** 0.5 / window.sum()"), "the angle is 2π k t / N: divide by N": (" / n\n", "\n"), "the sums are not divided by N": ("(A**2 + B**2) ** 0.5", "(A**2 + B**2) ** 0.5 / n"), "from one frame to the next lie `hop` numbers, not N": ("n + 1, hop)", "n + 1, n)"), "from one frame to the next lie `hop` numbers, not one": ("n + 1, hop)", "n + 1, 1)"), "there are 1 + (T − N) // hop frames: yours lack the last one": ("range(0, T - n + 1, hop)", "range(0, (T - n) // hop * hop, hop)"), "the last frame that fits is missing": ("T - n + 1, hop)", "max(T - n, 1), hop)"), "multiply each frame by the window once": ("signal[s : s + n].double() * window.double()", "signal[s : s + n].double() * window.double() ** 2"), "frames that would reach beyond the end are left out: do not fill them with zeros": lambda signal, window, hop: by_exponentials(F.pad(signal, (0, -(len(signal) - len(window)) % hop)), window, hop), "do not put the frames in the middle: the first begins with the first number (center=False)": lambda signal, window, hop: torch.stft(signal, len(window), hop, len(window), window, return_complex=True).abs(), "multiply by the window that is given, not by one of your own": lambda signal, window, hop: by_exponentials(signal, torch.hann_window(len(window)), hop), "the window counts from the start of each frame, not from its end": ("window.double()", "window.double().flip(0)"), "the first number of a frame has t = 0: yours begins with another wave": ("A, B = torch.cos(turn) @ frames.T, torch.sin(turn) @ frames.T", "A, B = torch.cos(turn + 1) @ frames.T, torch.sin(turn) @ frames.T"),
    },
)
# fmt: on

# %% patches="spectrogram"
[
    ("    return torch.sqrt(across**2 + up**2)", "    return np.abs(np.fft.rfft(frames.numpy(), axis=1)).T", ""), ("    return torch.sqrt(across**2 + up**2)", "    return torch.complex(across, -up).abs().tolist()", ""), ("    n = len(window)\n", "    n = len(window)\n    return torch.stft(signal, n, hop, n, window, center=False, return_complex=True).abs()\n", ""), (" * window\n", "\n", "window is missing"), ("torch.sqrt(across**2 + up**2)", "across**2 + up**2", "that is the power"), ("torch.sqrt(across**2 + up**2)", "across.abs()", "sines are missing"), ("torch.sqrt(across**2 + up**2)", "torch.sqrt(across**2 + up**2).T", "transposed"), ("n // 2 + 1", "n", "go on to N − 1"), ("2 * torch.pi", "torch.pi", "half of it"), ("unfold(0, n, hop)", "unfold(0, n, n)", "not N"), ("n // 2 + 1", "n // 2", "lack the last one"), ("torch.sqrt(across**2 + up**2)", "torch.sqrt(across**2 + up**2) / n", "not divided by N"), ("    n = len(window)\n", "    n = len(window)\n    signal *= 2\n", "in place"),
]  # fmt: skip

# %% [markdown] survivors="spectrogram"
# - ``frames = signal.unfold( -1, n, hop) * window``: a signal has one dimension, so the last is the first.

# %%
lab.check("spectrogram")

# %% [markdown]
# ### A keyword of two tones
#
# A door opens to a *melody*: a low tone, then one four **semitones** higher, at any pitch. (A semitone is a factor
# $2^{1/12}$ in frequency: a melody is the same at every pitch if its *ratios* are.) The same tones in the other order
# must not open it. There is noise, and loudness, phase and beginning vary.


# %%
LOWEST, INTERVAL, LENGTH, STATIC = 500.0, 4, 4096, 0.5  # Hz, semitones, samples, noise
OLD, NEW = [*range(1, 8), *range(19, 25)], [12, 13]  # the lower tone, in semitones


def melodies(n, pitches, seed):
    """(signals [n, LENGTH], 1 where the tones rise, else 0)"""
    rng, time = np.random.default_rng(seed), np.arange(LENGTH) / SAMPLES
    low = rng.choice(pitches, n) + rng.uniform(-0.3, 0.3, n)
    rises = rng.integers(0, 2, n)
    begin, long = rng.uniform(0, 0.1, (n, 1)), rng.uniform(0.12, 0.18, (n, 1))
    gap = rng.uniform(0, 0.04, (n, 1))
    signals = STATIC * rng.normal(size=(n, LENGTH))
    for second in (0, 1):
        start = begin + second * (long + gap)
        octaves = (low + INTERVAL * (rises == second))[:, None] / 12
        swings = LOWEST * 2**octaves * time + rng.random((n, 1))
        loud = rng.uniform(0.5, 1, (n, 1)) * ((time > start) & (time < start + long))
        signals += loud * np.sin(2 * np.pi * swings)
    return torch.from_numpy(signals).float(), torch.from_numpy(rises)


def magnitudes(signals):
    """Spectrograms [..., WINDOW // 2 + 1, frames] of signals [..., T], by PyTorch."""
    hann, options = torch.hann_window(WINDOW), {"center": False, "return_complex": True}
    return torch.stft(signals, WINDOW, HOP, window=hann, **options).abs()


# %% tags=["experiment"]
if lab.solved("spectrogram"):
    (signal,), _ = melodies(1, [12], BASE_SEED)
    ours = spectrogram(signal, torch.hann_window(WINDOW), HOP)
    torch.testing.assert_close(ours, magnitudes(signal), rtol=1e-3, atol=1e-2)
    print("your spectrogram agrees with torch.stft")


# %% tags=["experiment", "drawing"]
def picture(window):
    fig, ax = plt.subplots(figsize=(7.5, 3.2))
    sizes = spectrogram(signal, torch.hann_window(window), 32)
    ends = [window / 2 / SAMPLES, (LENGTH - window / 2) / SAMPLES, 0, SAMPLES / 2]
    style = {"aspect": "auto", "origin": "lower", "cmap": "gray_r"}
    ax.imshow(sizes / sizes.max(), extent=ends, interpolation="nearest", **style)
    ax.set(xlabel="seconds", ylabel="Hz", title=f"window of {window}")
    ax.set(xlim=(0, LENGTH / SAMPLES), ylim=(0, 2500))
    ax.grid(False)
    return fig


if lab.solved("spectrogram"):
    figures.slider(
        {window: picture(window) for window in (64, 128, 256, 512, 1024, 2048)},
        alt="Spectrogram of two tones in noise, one after the other. Short windows "
        "give broad bars with sharp ends in time; long ones thin, blurred lines.",
        caption="The same signal under Hann windows of several lengths. Dark is loud.",
        name="Window",
    )

# %% [markdown]
# Move the slider. A short window says *when*, a long one *which tone*, and none says both: waves in a window of $N$
# numbers swing 0, 1, 2, … times, so tones less than one or two times $8000/N$ Hz apart look like one (Gabor 1946). We
# take 512, and a hop of 512 to save time (usually frames overlap, since a window hears little at its ends). Then we
# average magnitudes in 30 **bands**, one for each semitone, and take logarithms: now a melody at another pitch is the
# same picture, shifted. Spectrograms for speech do likewise, in steps of pitch as people hear it.


# %%
def bands(signals):
    """log loudness of frames and bands, [n, frames, BANDS]; mean 0, variance 1."""
    frequencies = np.maximum(np.arange(WINDOW // 2 + 1), 1) * SAMPLES / WINDOW
    semitones = 12 * np.log2(frequencies / LOWEST)
    near = np.maximum(0, 1 - np.abs(semitones[:, None] - np.arange(BANDS)))
    shares = torch.from_numpy(near / near.sum(0)).float()
    loud = torch.log(0.5 + magnitudes(signals).mT @ shares)
    return (loud - loud.mean()) / loud.std()


# %% [markdown]
# ### Experiment 3: was it the melody that it heard?
#
# The networks train on low and on high melodies. The exam has new recordings: at **old** pitches, and at **new** ones
# between them, of which no tone was ever heard. **All bands** is an LSTM that reads all 30 bands at once. **Shared** is
# one small LSTM that listens around *every* band: it reads that band and five on each side, with the same parameters
# everywhere, and the loudest answers count: a convolution along pitch (lab 5), with a memory. The control is the same
# network on the same spectrograms, with frames **shuffled** in time, in training and in the exam. If it were enough to
# know *which* tones there are, it would do as well.

# %%
guess_melody = predict(
    "The LSTM of all bands has learned low and high melodies. And those between?",
    ["nearly always right", "right in about two of three", "no better than a guess"],
)


# %% tags=["experiment"]
class AllBands(nn.Module):
    """Spectrograms [n, frames, bands] to logits [n, 2] of falling and rising."""

    def __init__(self, bands=BANDS, width=WIDTH):
        super().__init__()
        self.memory = drawn(nn.LSTM, bands, width, bias=1)
        self.answer = nn.Linear(width, 2)

    def forward(self, sounds):
        return self.answer(self.memory(sounds)[0][:, -1])


class Shared(AllBands):
    """The same by one LSTM for every band and five on each side."""

    def __init__(self):
        super().__init__(11, 12)

    def forward(self, sounds):
        around = F.pad(sounds, (5, 5)).unfold(2, 11, 1).transpose(1, 2)
        logits = super().forward(around.flatten(0, 1))  # of each band of each sound
        return logits.unflatten(0, (len(sounds), -1)).logsumexp(1)


# %% tags=["experiment"]
def shuffled(sounds):
    """Each spectrogram's frames in a random order."""
    order = torch.rand(sounds.shape[:2]).argsort(1)
    return sounds.gather(1, order.unsqueeze(2).expand_as(sounds))


def recordings(seed):
    """Spectrograms and answers: to learn from; at old pitches; at new ones."""
    made = []
    for part, (n, pitches) in enumerate([(HEARD, OLD), (EXAM, OLD), (EXAM, NEW)]):
        signals, rises = melodies(n, pitches, [seed, part])
        made.append((bands(signals), rises))
    return made


def hear(build, seed, change=lambda sounds: sounds, rate=KEYWORD_RATE):
    """Share of right answers at old pitches and at new ones."""
    with seeded(seed):
        training, *exams = [(change(sounds), rises) for sounds, rises in recorded[seed]]

        def draw():
            rows = torch.randint(HEARD, (BATCH,))
            return [part[rows] for part in training]

        model = learn(build(), draw, KEYWORD_UPDATES, rate, F.cross_entropy)
    right = []
    for sounds, rises in exams:
        with torch.no_grad():
            right.append((model(sounds).argmax(1) == rises).float().mean().item())
    return right


# %% tags=["experiment"]
recorded = {seed: recordings(seed) for seed in SEEDS}
heard = {
    "all bands": np.array([hear(AllBands, seed) for seed in SEEDS]),
    "shared": np.array([hear(Shared, seed) for seed in SEEDS]),
    "shared,\nshuffled": np.array([hear(Shared, seed, shuffled) for seed in SEEDS]),
}
between = heard["all bands"][:, 1].mean()
guess_melody.resolve([between > 0.8, 0.55 < between <= 0.8, between <= 0.55])

# %% tags=["experiment", "drawing"]
fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.3), sharey=True)
for column, ax in enumerate(panels):
    shares = {name: both[:, column] for name, both in heard.items()}
    figures.dots_with_spread(ax, shares, paired=False)
    ax.axhline(0.5, color="0.4", linestyle=":", label="chance")
    ax.set(title=["at old pitches", "at new pitches"][column], ylim=(0, 1.05))
panels[0].set(ylabel="share of right answers")
panels[0].legend(loc="lower left")
figures.show(
    fig,
    alt="Share of right answers of three networks. At old pitches the two that see "
    "frames in order are right; at new pitches the shared one is, the one that reads "
    "all bands is not. The shuffled one is at chance in both.",
    caption="One dot a replicate. The new pitches lie between the old ones.",
)

# %% tags=["experiment"]
claim(
    "At pitches never heard the shared LSTM is right in at least 0.8 of all cases",
    heard["shared"][:, 1],
    at_least=0.8,
    control=heard["shared,\nshuffled"][:, 1],
    control_is="the same network and spectrograms, the frames shuffled in time",
    source="Waibel et al. 1989 (shared weights for speech)",
)

# %% [markdown]
# Shuffled frames hold the same tones and give no answer: what the network heard is the *order*. The network of all
# bands heard the order too, as its old pitches show, but not the *melody*: it learned which band follows which, and
# nothing of bands that were always silent. To share one small network over all bands says from the start that a melody
# is the same everywhere. (The design of the exam decided what you could see: at old pitches the two are equal.)
#
# ## 5. What you have built
#
# **Limits.** We made sequences, series and sounds so that one thing decides; real ones mix many, and what comes later
# is from another source. One width, short budgets: with more updates the plain LSTM may find its gate.
#
# **Today.** LSTMs still forecast and listen on small machines. For text transformers took their place, since all
# positions train at once. New recurrent networks do so as well: they leave out the $\tanh$ between steps (Orvieto et
# al. 2023; Gu & Dao 2023), and keep what this lab found: a factor near 1 from the start. *Disputed:* whether a state of
# fixed size is enough. Jelassi et al. 2024 show that such networks cannot copy long texts, and a transformer can;
# Merrill et al. 2024 that neither follows a changing state as a plain RNN can. And forecasting: Makridakis et al. 2018
# found simple methods ahead of networks, and Zeng et al. 2023 a linear layer ahead of transformers; but a hybrid with
# an LSTM won the M4 competition (Smyl 2020).
#
# ### Your turn
#
# 1. *When is keeping wrong?* Let the answer be the last symbol but one, or the *latest* of several marked ones. Does
#    the added bias help, harm, or not matter? Try biases from −3 to 6.
# 2. *What can a network know that a line cannot?* Multiply trend and habit, or let luck last longer in summer. Does the
#    LSTM now beat the linear forecast? Choose rate and updates on validation months.
#
# ### References
#
# - Elman 1990, Cognitive Science 14; Werbos 1990, Proc. IEEE 78; Hochreiter 1991, thesis, TU München; Bengio et al.
#   1994, IEEE Trans. Neural Networks 5; Hochreiter & Schmidhuber 1997, Neural Computation 9; Gers et al. 2000, Neural
#   Computation 12; Cho et al. 2014, EMNLP; Jozefowicz et al. 2015, ICML
# - Hyndman & Koehler 2006 and Smyl 2020, International Journal of Forecasting 22 and 36; Makridakis, Spiliotis &
#   Assimakopoulos 2018, PLOS ONE 13; Zeng et al. 2023, AAAI
# - Gabor 1946, Journal of the IEE 93; Waibel et al. 1989, IEEE Trans. Acoustics, Speech, Signal Processing 37
# - Gu & Dao 2023, arXiv:2312.00752; Orvieto et al. 2023, Jelassi et al. 2024 and Merrill et al. 2024, ICML

# %% tags=["nbval-ignore-output"]
check.progress()
