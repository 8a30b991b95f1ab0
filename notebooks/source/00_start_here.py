# %% [markdown]
# # What does a neural network learn?
#
# **In one sentence:** a small network learns to tell even from odd handwritten digits
# better than one weighted sum of the pixels can, and training to name them makes its
# inner layer easier to read; yet nearest neighbours, which train nothing, do better
# still. You will measure all three over five replicates, against a linear classifier,
# the same network made linear, untrained networks and networks trained on shuffled
# labels.
#
# After this notebook you can
#
# 1. **compute** a network's output with loops, with matrices and with PyTorch, and show
#    that all three agree;
# 2. **derive** the gradient of the loss, and check it by nudging and against PyTorch;
# 3. **write** a training loop without a library;
# 4. **state** a claim that can fail, with its replicates, threshold and control, and
#    **judge** whether a network was needed at all;
# 5. **distinguish** what a layer holds, what can be read from it, and what the network
#    answers.
#
# **You need** Python and NumPy, vectors and matrices, and the derivative of a function
# of a function. To refresh them: 3Blue1Brown on [linear
# algebra](https://www.3blue1brown.com/topics/linear-algebra) and
# [calculus](https://www.3blue1brown.com/topics/calculus), or the free book [Mathematics
# for Machine Learning](https://mml-book.github.io), chapters 2 and 5. You need no
# PyTorch yet.
#
# **Reading:** 65 minutes. **Running:** about 75 seconds on one CPU core.

# %%
from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from labkit import data, figures, measure
from labkit.evidence import claim, expect_claim_failure, predict
from labkit.ledger import Ledger
from labkit.models import mlp, seeded
from labkit.train import device, evaluate, fit

figures.style()
DEVICE = device()  # the GPU where there is one, else the CPU

# %% [markdown]
# ## How to use these notebooks
#
# Run a cell with Shift+Enter, from top to bottom. Three things come back in every
# notebook:
#
# - **Predict**: you say what you expect *before* you run the experiment. A wrong
#   prediction that you wrote down teaches more than a right answer that you read.
# - **Claim**: a sentence that the measurement supports, or does not. If a claim does
#   not hold, the notebook stops there.
# - **Your turn**: exercises at the end. In the labs, which belong between the
#   notebooks, you write the code and are told at once what is right.
#
# Cells that only draw are folded; unfold them if you like. The next cell holds every
# size of this notebook: change one, run all again, and see what becomes of the claims.

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
WIDTH = 32  # neurons in each hidden layer
BATCH_SIZE = 100
LEARNING_RATE = 0.4  # the best of a grid on validation digits of other replicates
STRAIGHT_RATE = 0.1  # the same for the network without ReLU of section 5
STEPS = 1500  # updates; by then the network's loss on true labels is close to 0
WIDTHS = [16, 32, 64, 128, 256, 512]  # of the layers in the second half of section 6
SHORT_STEPS = 500  # updates of the many networks in sections 6 and 8
TEST_SIZE = 600  # digits held out from training

# %% [markdown]
# ## 1. From picture to answer
#
# ### Real digits
#
# `digits` are real handwriting (Alpaydin & Kaynak 1998). 43 people filled in forms;
# these digits are from 13 of them. Each was reduced to 8 × 8 grey values. To the
# network a digit is a list of 64 numbers between 0 (white) and 1 (black). We call it
# the **input** $x$. The digit that the writer was asked for is the **target** $y$, or
# **label**. An input with its target is an **example**. Below the pictures stands the
# very first input, in tenths.

# %%
digits = data.digits()
figures.show(
    figures.digit_grid(digits.inputs[:20], digits.targets[:20]),
    alt="Twenty small pictures of handwritten digits, each with the digit above it.",
    caption="The first twenty digits, each with its label. Which would you get wrong?",
)
first_digit = digits.inputs[0]
for row in (10 * first_digit.reshape(8, 8)).round().int().tolist():
    print(" ".join(f"{value:2d}" for value in row))
print(f"target: {digits.targets[0]}, one of {len(digits)} digits")

# %% [markdown]
# ### One neuron
#
# A **neuron** multiplies each input by a **weight**, adds the products and a **bias**,
# and replaces a negative sum by 0. This last part is called **ReLU**, written $\phi$.
# It is what makes a network more than one big weighted sum.
#
# $$ a = \sum_{i=1}^{64} w_i x_i + b, \qquad h = \phi(a) = \max(0, a) $$
#
# The sum $a$ is called the **pre-activation**. First as a loop, then as a product of
# two vectors. They must agree, so we assert it. (`seeded` makes random numbers that are
# the same each time.)

# %%
with seeded(BASE_SEED):
    weights, bias = torch.randn(64) / 8, torch.randn(())

total = bias
for i in range(64):
    total = total + weights[i] * first_digit[i]

torch.testing.assert_close(weights @ first_digit + bias, total)
print("the loop and the product of vectors agree")

# %% [markdown]
# ### A layer is many neurons
#
# Stack the weights of 32 neurons as rows of a matrix $W_1$, and one product computes
# all of them, for a whole batch of inputs at once:
#
# $$ h_1 = \phi(W_1 x + b_1) $$
#
# The result $h_1$ is a list of 32 numbers: the network's own description of the digit,
# its first **representation**. Neurons → matrix → PyTorch's `nn.Linear`, one rung at a
# time.

# %%
five = digits.inputs[:5]
with seeded(BASE_SEED):
    layer = nn.Linear(64, WIDTH)
W, b = layer.weight.detach(), layer.bias.detach()  # the numbers alone

by_matrix = torch.relu(five @ W.T + b)
for j in range(WIDTH):
    by_neuron = torch.relu(five @ W[j] + b[j])
    torch.testing.assert_close(by_matrix[:, j], by_neuron)
torch.testing.assert_close(by_matrix, torch.relu(layer(five)).detach())
print(f"{five.shape[0]} inputs became {by_matrix.shape[0]} representations h1")

# %% [markdown]
# ### A network is layers after layers
#
# $$ x \;\to\; h_1 \;\to\; h_2 \;\to\; z $$
#
# The last layer has one number for each possible answer, without ReLU. These numbers
# $z$ are called **logits**. The largest one is the answer. All weights and biases
# together are the **parameters** $\theta$. At first they are random.
#
# `labkit`, the helper module, has such networks as `mlp` (*multilayer perceptron*,
# their traditional name). Nothing enters `labkit` before a notebook has built it in
# front of you. Here is the proof that it is the same: all parameters, which
# `state_dict()` lists by name, are equal.


# %%
def new_network(seed, answers=10):
    with seeded(seed):
        return nn.Sequential(
            nn.Linear(64, WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, answers),
        )  # fmt: skip


ours, theirs = new_network(seed=7), mlp([64, WIDTH, WIDTH, 10], seed=7)
torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
print("labkit.models.mlp draws the very same network")

# %% [markdown]
# ## 2. How wrong is an answer?
#
# ### Softmax and cross-entropy
#
# Logits can be any numbers. **Softmax** turns them into probabilities: positive, and
# with sum 1. **Cross-entropy** is the **loss**: how surprised is the network by the
# right answer?
#
# $$ p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad \text{loss} = -\log p_y $$
#
# A loss of 0 would mean: certain and right. Whoever spreads the probability evenly over
# ten digits pays $\log 10$, about 2.3. Below: three logits, worked by hand; the target
# is class 0, which got the largest one.
#
# The formula has a trap, which the last two lines show: as it stands, large logits
# overflow and leave `nan`, *not a number*. The cure: subtract the largest logit first.
# That factor cancels, and no exponential overflows. Libraries do the same.

# %%
logits, right_answer = torch.tensor([2.0, 1.0, -1.0]), torch.tensor(0)
probabilities = logits.exp() / logits.exp().sum()
loss_by_hand = -probabilities[right_answer].log()
torch.testing.assert_close(probabilities, torch.softmax(logits, dim=0))
torch.testing.assert_close(loss_by_hand, F.cross_entropy(logits, right_answer))
print("probabilities:  ", *[f"{p:.3f}" for p in probabilities])

large = torch.tensor([1000.0, 0.0, -1000.0])
print("large logits:   ", (large.exp() / large.exp().sum()).tolist())
shifted = (large - large.max()).exp()
print("largest removed:", (shifted / shifted.sum()).tolist())

# %% [markdown]
# ### What the loss consists of
#
# Suppose that of ten people seven call a scrawl a 1, two a 7 and one a 4. Then the
# target is not one class but a distribution $q$, and the loss is the mean surprise over
# these people. Add and subtract $\sum_k q_k \log q_k$ (with $0 \log 0 = 0$), and it
# falls into two parts:
#
# $$
# \begin{aligned}
# \text{cross-entropy} &= -\sum_k q_k \log p_k \\
# &= -\sum_k q_k \log q_k \;+\; \sum_k q_k \log \frac{q_k}{p_k} \\
# &= \text{entropy}\; H(q) \;+\; \text{divergence}\; \mathrm{KL}(q \,\|\, p)
# \end{aligned}
# $$
#
# $H$ is how much the people disagree: no network can remove it. $\mathrm{KL}$, the
# Kullback-Leibler divergence, is never negative, and 0 only where $p = q$. With a
# single label $H$ is 0, and the loss is all divergence.

# %%
people_say = torch.tensor([0.7, 0.2, 0.1])  # q, for the classes 1, 7 and 4
cross_entropy = -(people_say * probabilities.log()).sum()
entropy = -(people_say * people_say.log()).sum()
divergence = (people_say * (people_say / probabilities).log()).sum()

torch.testing.assert_close(cross_entropy, entropy + divergence)
torch.testing.assert_close(cross_entropy, F.cross_entropy(logits, people_say))
print(f"{cross_entropy:.3f} = {entropy:.3f} + {divergence:.3f}")

# %% [markdown]
# ## 3. Which way is downhill?
#
# Training changes every parameter a little, so that the loss falls. For that you need
# the **gradient**: how much does the loss change when you nudge a parameter? Start at
# the end, with the logits. Write the loss out, then differentiate it:
#
# $$ \text{loss} = -\log p_y = -z_y + \log \sum_j e^{z_j} $$
#
# $$ \frac{\partial\,\text{loss}}{\partial z_k}
# = -[k = y] + \frac{e^{z_k}}{\sum_j e^{z_j}} = p_k - [k = y] $$
#
# Here $[k = y]$ is 1 for the right class and 0 for the others; as a vector it is
# $\text{onehot}(y)$. So the gradient is *what the network said minus what is true*:
# $\delta = p - \text{onehot}(y)$. Is that so? Nudge each logit up and down, and look:

# %%
slopes = torch.zeros(3)
for k in range(3):
    step = 0.01 * F.one_hot(torch.tensor(k), 3)
    up = F.cross_entropy(logits + step, right_answer)
    down = F.cross_entropy(logits - step, right_answer)
    slopes[k] = (up - down) / 0.02

said_minus_true = probabilities - F.one_hot(right_answer, 3)
torch.testing.assert_close(slopes, said_minus_true, rtol=0, atol=1e-3)
print("p - true:", *[f"{g:.3f}" for g in said_minus_true], "and the nudges agree")

# %% [markdown]
# ### Backwards through a graph
#
# You could nudge each parameter. The chain rule gets all slopes in one sweep. Draw the
# computation as a graph: each box is an operation, and values flow along the arrows.
# Every arrow has a **local slope**: how fast the box at its head changes with the one
# at its tail. Then send the gradient backwards, and multiply it by the slope of each
# arrow that it passes. Where several paths lead from a box to the loss, their gradients
# add up. Here is the smallest network: one input, one neuron, and one weight $v$ to the
# logit $s$ of the right answer (the only other answer has logit 0).

# %%
# requires_grad=True: PyTorch notes down what is computed from this number
x = torch.tensor(2.0, requires_grad=True)
w = torch.tensor(1.5, requires_grad=True)
c = torch.tensor(-1.0, requires_grad=True)
v = torch.tensor(-0.5, requires_grad=True)

a = w * x + c
h = torch.relu(a)
s = v * h
p_right = torch.exp(s) / (torch.exp(s) + 1)
tiny_loss = -torch.log(p_right)

grad_s = p_right - 1  # what it said minus what is true
grad_v = grad_s * h
grad_h = grad_s * v
grad_a = grad_h * (a > 0)  # ReLU passes the gradient only where it passed the value
grad_w, grad_c, grad_x = grad_a * x, grad_a, grad_a * w

tiny_loss.backward()  # from its notes, the gradients, left in each `.grad`
swept = [grad_x, grad_w, grad_c, grad_v]
torch.testing.assert_close([x.grad, w.grad, c.grad, v.grad], swept)
print("the sweep by hand and backward() agree")

# %% tags=["drawing"]
fig = plt.figure(figsize=(8.6, 3.2), layout="none")
ax = fig.add_axes((0, 0, 1, 1), xlim=(-0.5, 8.7), ylim=(-1.9, 1.9))
drawn = [["x", 0, 1.3, x, grad_x], ["w", 0, 0, w, grad_w], ["c", 0, -1.3, c, grad_c],
    ["a = w x + c", 2.2, 0, a, grad_a], ["h = ReLU(a)", 4.4, 0, h, grad_h],
    ["v", 4.4, -1.3, v, grad_v], ["s = v h", 6.4, 0, s, grad_s],
    ["loss", 8.2, 0, tiny_loss, torch.tensor(1.0)]]  # fmt: skip
edges = [[0, 3, "× w =", w], [1, 3, "× x =", x], [2, 3, "×", grad_c / grad_a],
    [3, 4, "×", a > 0], [4, 6, "× v =", v], [5, 6, "× h =", h],
    [6, 7, "×", grad_s]]  # fmt: skip
graph = pd.DataFrame(drawn, columns=["box", "right", "up", "value", "gradient"])
graph[["value", "gradient"]] = graph[["value", "gradient"]].map(torch.Tensor.item)
frame = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "0.4"}
boxes, centred = [], {"ha": "center", "va": "center", "zorder": 3}
backwards = {"color": figures.PALETTE[1], "style": "italic"} | centred
for node in graph.itertuples():
    boxes.append(ax.text(node.right, node.up, node.box, bbox=frame, **centred))
    ax.text(node.right, node.up + 0.45, f"{node.value:.2f}", **centred)
    ax.text(node.right, node.up - 0.45, f"{node.gradient:.2f}", **backwards)
fig.canvas.draw()  # so that boxes know their size
paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
for start, end, name, slope in edges:
    ends = {"xytext": boxes[start].get_position(), "xy": boxes[end].get_position()}
    tail, head = boxes[start].get_bbox_patch(), boxes[end].get_bbox_patch()
    arrow = {"arrowstyle": "->", "color": "0.5", "patchA": tail, "patchB": head}
    ax.annotate("", arrowprops=arrow, **ends)
    middle = np.mean(list(ends.values()), axis=0)
    ax.text(*middle, f"{name} {slope.item():.2f}", fontsize=8, bbox=paper, **centred)
ax.axis("off")
figures.show(
    fig, data=graph[["box", "value", "gradient"]],
    alt="Boxes: x, w, c lead to a, then h; h and v to s, then loss. Slopes on arrows.",
    caption="Above each box: its value. On each arrow: its local slope. Below, in "
    "italics: the gradient, that is, the one at the arrow's head times that slope.",
)  # fmt: skip

# %% [markdown]
# ### A whole layer
#
# In the last layer $z_k = \sum_i W_{ki} h_i + b_k$. The weight $W_{ki}$ touches only
# $z_k$, at the rate $h_i$. The value $h_i$ touches every logit, at the rates $W_{ki}$.
# So the chain rule says
#
# $$ \frac{\partial\,\text{loss}}{\partial W_{ki}} =
# \frac{\partial\,\text{loss}}{\partial z_k}\,\frac{\partial z_k}{\partial W_{ki}}
# = \delta_k h_i, \qquad \text{that is} \quad
# \frac{\partial\,\text{loss}}{\partial W} = \delta\, h^\top $$
#
# $$ \frac{\partial\,\text{loss}}{\partial h_i} = \sum_k \delta_k W_{ki},
# \qquad \text{that is} \quad
# \frac{\partial\,\text{loss}}{\partial h} = W^\top \delta $$
#
# The bias gets $\delta$ itself. ReLU passes the gradient where its pre-activation was
# positive: that gives the $\delta$ of the layer before, and the same two lines apply
# again. This is **backpropagation** (Rumelhart et al. 1986). In the code each row is
# one example, so `delta.T @ h` adds $\delta\, h^\top$ over the batch; the division by
# the number of rows makes the loss a mean.


# %%
def gradient_by_hand(network, x, y):
    """Gradients of the mean loss over a batch, one for each parameter group."""
    W1, b1, W2, b2, W3, b3 = network.parameters()
    a1 = x @ W1.T + b1
    h1 = torch.relu(a1)
    a2 = h1 @ W2.T + b2
    h2 = torch.relu(a2)
    z = h2 @ W3.T + b3

    delta3 = (torch.softmax(z, dim=1) - F.one_hot(y, 10)) / len(x)
    delta2 = (delta3 @ W3) * (a2 > 0)  # back through W3, and through the ReLU
    delta1 = (delta2 @ W2) * (a1 > 0)
    return [
        delta1.T @ x, delta1.sum(0), delta2.T @ h1, delta2.sum(0),
        delta3.T @ h2, delta3.sum(0),
    ]  # fmt: skip


precise = new_network(BASE_SEED).double()  # 64-bit numbers, so that a nudge can be tiny
hundred, their_labels = digits.inputs[:100].double(), digits.targets[:100]
with torch.no_grad():  # our own gradient needs none of PyTorch's notes
    gradients = gradient_by_hand(precise, hundred, their_labels)
print("parameter groups:", [tuple(gradient.shape) for gradient in gradients])

# %% [markdown]
# Two checks. PyTorch's `backward`, which applies the same chain rule to any program,
# must agree in every parameter. And independently of any chain rule: nudge all
# parameters of a group in a random direction, up and down. The loss must change by the
# gradient's share in that direction.


# %%
def loss_of_hundred():
    return F.cross_entropy(precise(hundred), their_labels)


precise.zero_grad()
loss_of_hundred().backward()
with torch.no_grad(), seeded(BASE_SEED):
    for parameter, gradient in zip(precise.parameters(), gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad)
        direction = 1e-6 * torch.randn_like(parameter)
        parameter += direction
        loss_up = loss_of_hundred()
        parameter -= 2 * direction
        change = loss_up - loss_of_hundred()
        parameter += direction  # back to where it was
        foretold = 2 * (gradient * direction).sum()
        torch.testing.assert_close(change, foretold, rtol=1e-4, atol=1e-12)
print(f"chain rule, backward() and nudges agree in all {len(gradients)} groups")

# %% [markdown]
# ## 4. Training, in plain sight
#
# Training repeats one **update**: take a small random **batch** of examples, compute
# the gradient $g$ of its mean loss, and step downhill.
#
# $$ \theta \leftarrow \theta - \eta\, g $$
#
# $\eta$ is the **learning rate**. One pass through all examples is an **epoch** (what
# is left over at its end, less than a batch, is not used), and each epoch draws a new
# random order. That is all. It is called *stochastic gradient descent*. With your own
# gradient from section 3 it needs no library:


# %%
@torch.no_grad()
def train_by_hand(network, part, steps, seed):
    """Stochastic gradient descent; returns the loss of every batch."""
    generator = torch.Generator().manual_seed(seed)
    losses = []
    while len(losses) < steps:
        order = torch.randperm(len(part), generator=generator)  # a new epoch
        for batch in order.split(BATCH_SIZE):
            if len(batch) < BATCH_SIZE or len(losses) == steps:
                break
            x, y = part.inputs[batch], part.targets[batch]
            losses.append(F.cross_entropy(network(x), y).item())
            downhill = gradient_by_hand(network, x, y)
            for parameter, gradient in zip(network.parameters(), downhill, strict=True):
                parameter -= LEARNING_RATE * gradient
    return losses


sgd = {"batch_size": BATCH_SIZE, "optimizer": "sgd", "learning_rate": LEARNING_RATE}

# %% [markdown]
# Before you train, set some digits aside. A network can learn its training digits by
# heart, so only digits that it never saw tell you what it can do. They are the **test**
# examples, drawn at random. **Accuracy** is the share of right answers.
#
# `labkit.fit` is the loop above with PyTorch's `backward`, a progress bar, error
# messages and a record. Given the same network and seed it must end at the same
# parameters:

# %%
first_split = digits.split(BASE_SEED, test=TEST_SIZE, validation=0)
by_hand, by_fit = new_network(BASE_SEED), new_network(BASE_SEED)
losses = train_by_hand(by_hand, first_split.train, steps=200, seed=BASE_SEED)
same = {"steps": 200, "seed": BASE_SEED, "device": "cpu", "experiment": "loop, checked"}
fit(by_fit, first_split.train, **same, **sgd)
torch.testing.assert_close(by_hand.state_dict(), by_fit.state_dict(), rtol=0, atol=1e-3)

test_logits, test_labels = by_hand(first_split.test.inputs), first_split.test.targets
share_right = (test_logits.argmax(1) == test_labels).double().mean().item()
assert share_right == measure.accuracy(test_logits.detach(), test_labels)
print("loss more than halved:", np.mean(losses[-20:]) < np.mean(losses[:20]) / 2)

# %% [markdown]
# ## 5. Was a network needed?
#
# ### Two questions, four readers
#
# That a network names most new digits means little until you know what simpler methods
# can do. So let it compete with **baselines** on two questions: *Which digit is it?*
# has ten classes. *Is it even or odd?* has two, each a mixture of five shapes.
#
# The readers are
#
# - a **linear classifier**: one layer without ReLU, the same loss, fitted to its
#   minimum (*logistic regression*), with a penalty on large weights;
# - **nearest neighbours**: the $k$ training digits whose pixels are closest vote (Cover
#   & Hart 1967). It trains nothing;
# - the **network**: $x \to h_1 \to h_2 \to z$, with 32 neurons in each hidden layer;
# - the **network without ReLU**: the same layers, start and loop, at a learning rate of
#   its own. The bend is missing, so for each answer all of it is one weighted sum.


# %%
DIGIT, PARITY = "Which digit?", "Even or odd?"
LINEAR, NEIGHBOURS = "linear classifier", "nearest neighbours"
STRAIGHT, NETWORK = "network without ReLU", "network"
READERS = [LINEAR, NEIGHBOURS, STRAIGHT, NETWORK]
penalties = {"C": [0.01, 0.1, 1, 10, 100, 1000]}  # C is 1 / penalty
voters = {"n_neighbors": [1, 3, 5, 9, 17, 33, 65]}
BASELINES = {
    LINEAR: GridSearchCV(LogisticRegression(max_iter=3000), penalties, cv=3),
    NEIGHBOURS: GridSearchCV(KNeighborsClassifier(), voters, cv=3),
}


def even_or_odd(part):
    return part.replace(targets=part.targets % 2, transform="even or odd")


def with_shuffled_labels(part, seed):  # for section 6
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))
    return part.replace(targets=part.targets[order], transform="labels shuffled")


def examples(question, seed):
    """The training and the test digits of a replicate, labelled for the question."""
    train, _, test = digits.split(seed, test=TEST_SIZE, validation=0)
    if question == DIGIT:
        return train, test
    return even_or_odd(train), even_or_odd(test)


def without_relu(network):
    layers = [layer for layer in network if not isinstance(layer, nn.ReLU)]
    return nn.Sequential(*layers)


guess_reader = predict("Which digit? Who names most of the test digits?", READERS)

# %% [markdown]
# All get the same training digits. The penalty and $k$ are chosen on parts of these, by
# **cross-validation**: hold out each third in turn and see which setting does best
# there. The learning rates of the two networks were chosen once, each from a grid, on
# validation digits of other replicates. The test digits choose nothing.
#
# One training run is an anecdote: which digits were held out, how the parameters
# started, in which order the batches came: all that is luck. So the experiment is
# repeated with everything random drawn afresh. One such repetition is a **replicate**,
# a function of its seed and of nothing else.


# %%
ROWS = "held-out digits, random rows"  # the name of these test digits in the record


def trained(network, part, seed, experiment, **changes):
    """The network, trained by the loop of section 4."""
    settings = {"steps": STEPS} | sgd | changes
    fit(network, part, seed=seed, device=DEVICE, experiment=experiment, **settings)
    return network.cpu()


def network_for(reader, question, seed):
    train, test = examples(question, seed)
    network = new_network(seed, answers=10 if question == DIGIT else 2)
    changes = {}
    if reader == STRAIGHT:
        network, changes = without_relu(network), {"learning_rate": STRAIGHT_RATE}
    trained(network, train, seed, f"{question} {reader}", **changes)
    evaluate(network, test, environment=ROWS)  # for the record (section 10)
    return network


SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
networks = {}
for reader, question in product([STRAIGHT, NETWORK], [DIGIT, PARITY]):
    for seed in SEEDS:
        networks[reader, question, seed] = network_for(reader, question, seed)
print(f"{len(networks)} networks trained")


# %%
def answers_of(reader, question, seed):
    """A table of the test digits: the right answer, and what a reader said."""
    train, test = examples(question, seed)
    if reader in BASELINES:
        fitted = BASELINES[reader].fit(train.inputs.numpy(), train.targets.numpy())
        said = fitted.predict(test.inputs.numpy())
    else:
        said = networks[reader, question, seed](test.inputs).argmax(1)
    table = pd.DataFrame({"right": test.targets, "said": said})
    return table.assign(question=question, replicate=seed, reader=reader)


cases = product(READERS, [DIGIT, PARITY], SEEDS)
answers = pd.concat([answers_of(*case) for case in cases])
is_right = answers.right == answers.said
by_case = is_right.groupby([answers.question, answers.replicate, answers.reader])
accuracy = by_case.mean().unstack()[READERS]  # a column a reader
digit, parity = accuracy.loc[DIGIT], accuracy.loc[PARITY]
print(f"{len(answers)} answers of {len(READERS)} readers")

# %% tags=["drawing"]
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.8), sharey=True)
for ax, question in zip(axes, [DIGIT, PARITY], strict=True):
    by_reader = accuracy.loc[question]
    wrapped = {name.replace(" ", "\n", 1): by_reader[name] for name in READERS}
    figures.dots_with_spread(ax, wrapped)
    ax.set_title(question)
axes[0].set(ylabel="accuracy on test digits", ylim=(0.85, 1.005))
axes[0].legend(loc="lower left")
figures.show(
    fig,
    alt="Two panels, one a question. Which digit: all four readers are high, nearest "
    "neighbours highest. Even or odd: the linear classifier and the network without "
    "ReLU are far below the network, and nearest neighbours are highest again.",
    caption="One dot a replicate; grey lines join the same replicate. The axis is cut: "
    "guessing would get a tenth of the digits, or half of even and odd.",
)

# %% [markdown]
# ### A claim
#
# What may you say of the network? A **claim** has a statement; one number for each
# replicate; a **threshold**, set beforehand from *other* replicates (a *pilot* of
# twenty, in `data/results/`); a **control**: the same measurement without the one thing
# that should matter; and a source. It holds when the mean is on the right side of the
# threshold, and so is the near end of its 90 % interval (Student's t). It counts for
# nothing if the control passes the threshold, too. Here is all of that by hand:


# %%
def holds_by_hand(values, at_least, control):
    """The lower end of the mean's 90 % interval, and whether the claim holds."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    lower = np.mean(values) - stats.t.ppf(0.95, len(values) - 1) * error
    return lower, bool(lower >= at_least and np.mean(control) < at_least)


def runs_of(reader, question):
    """The numbers under which the ledger (section 10) keeps these training runs."""
    return [networks[reader, question, seed].run_id for seed in SEEDS]


result = claim(
    "Even or odd: the network gives at least 95 of 100 right answers",
    parity[NETWORK],
    at_least=0.95,
    control=parity[STRAIGHT],
    control_is="the same network without ReLU, trained by the same loop",
    source="our measurement",
    runs=runs_of(NETWORK, PARITY) + runs_of(STRAIGHT, PARITY),
)
lower_end, holds = holds_by_hand(parity[NETWORK], 0.95, parity[STRAIGHT])
np.testing.assert_allclose(lower_end, result.low)
assert holds == (result.verdict == "holds")

# %% [markdown]
# So on *even or odd* the bend earns its keep: one weighted sum of pixels does worse,
# and more layers without a bend do not help. Now the question that every course begins
# with. "They do equally well" needs a threshold on both sides: `within`.

# %%
claim(
    "Which digit: network and linear classifier differ by at most 3.3 points",
    digit[NETWORK] - digit[LINEAR],
    within=(-0.033, 0.033),
    control=parity[NETWORK] - parity[LINEAR],
    control_is="the same difference for even or odd",
    source="our measurement",
    runs=runs_of(NETWORK, DIGIT) + runs_of(NETWORK, PARITY),
)
guess_reader.resolve(digit.mean().idxmax())

# %% [markdown]
# Read the figure again. On both questions **nearest neighbours are best**, and they
# train nothing: for these digits nobody needs a network. On *which digit* it does about
# as well as a linear classifier. On *even or odd* it beats one weighted sum, and only
# that. Had we compared it with guessing, we would have praised it for an easy exam.
#
# And does *even or odd* need a bend at all? Tell a linear classifier the ten *digits*,
# and read its answer as even or odd.

# %%
told = answers[(answers.question == DIGIT) & (answers.reader == LINEAR)]
parity_right = told.right % 2 == told.said % 2
claim(
    "Told the ten digits, a linear classifier says even or odd, 96 of 100 right",
    parity_right.groupby(told.replicate).mean(),
    at_least=0.96,
    control=parity[LINEAR],
    control_is="the same classifier, told only even or odd",
    source="our measurement; no network is trained here",
)

# %% [markdown]
# So the network's claim has a scope: *from labels that say only even or odd*. With
# finer labels ten weighted sums, one for each digit, do it without a bend.
#
# ### Which errors?
#
# A number hides *which* errors there are. The **confusion matrix** counts, for each
# right digit (row), what the network said (column).

# %% tags=["drawing"]
fig, ax = plt.subplots(figsize=(5.2, 4.6))
named = answers[(answers.question == DIGIT) & (answers.reader == NETWORK)]
confusion = pd.crosstab(named.right, named.said)
all_counts = confusion.reindex(index=range(10), columns=range(10), fill_value=0)
counts = all_counts.to_numpy()
off_diagonal = np.where(np.eye(10, dtype=bool), 0, counts)
ax.imshow(off_diagonal, cmap="Blues", vmin=0)
for right in range(10):
    for answer in range(10):
        dark = off_diagonal[right, answer] > off_diagonal.max() / 2
        color = "white" if dark else ("0.35" if right == answer else "black")
        count = counts[right, answer] or ""
        ax.text(answer, right, count, ha="center", va="center", color=color, fontsize=8)
ax.set(xlabel="the network said", ylabel="right digit")
ax.set(xticks=range(10), yticks=range(10))
figures.show(
    fig,
    alt="A table of ten rows and ten columns of counts. Large numbers stand on the "
    "diagonal; off it most cells are empty, and a few are darker than the rest.",
    caption="Test digits of all replicates together; a digit counts once in each "
    "replicate that tests it, so one hard digit may count up to five times. Grey on "
    "the diagonal: right answers. Off it, darker means more errors of this kind.",
    data=all_counts.rename(columns=str),
)
errors = named[named.right != named.said]
shown = errors[errors.replicate == BASE_SEED].head(10)
mistakes = [f"{error.right} → {error.said}" for error in shown.itertuples()]
figures.show(
    figures.digit_grid(first_split.test.inputs[shown.index], mistakes, columns=5),
    alt="Test digits that the first network names wrongly, each with the right digit "
    "and the network's answer above it.",
    caption="Up to ten errors: right digit → what the network said. Judge each: which "
    "would you have read rightly?",
)

# %% [markdown]
# Errors are not spread evenly: look for the dark cells, and ask which strokes the two
# digits share. Then look at the pictures. Some are hard for a reader; others are
# plainly what the label says, and the network is simply wrong.
#
# ## 6. What did training do to the hidden layer?
#
# What has become of the representations? The classical test is a **linear probe**:
# freeze the network, and ask how well a *linear* map reads the digit from $h_2$ (Alain
# and Bengio 2016). The map is fitted on the training digits and scored on the test
# digits. We fit it by **ridge regression** (least squares that prefers small weights),
# because that has a closed form: no steps, no rate, the same yardstick for every layer.


# %%
def probe_by_hand(train_h, train_y, test_h, test_y, penalty=1e-3):
    """Accuracy of ridge regression from a representation to one-hot labels."""
    train_h, test_h = train_h.double(), test_h.double()
    mean_h, Y = train_h.mean(0), F.one_hot(train_y, 10).double()
    H = train_h - mean_h
    covariance = H.T @ H / len(H)
    ridge = penalty * covariance.diagonal().mean() * torch.eye(len(covariance))
    W = torch.linalg.solve(covariance + ridge, H.T @ (Y - Y.mean(0)) / len(H))
    read = ((test_h - mean_h) @ W + Y.mean(0)).argmax(1)
    return (read == test_y).double().mean().item()


def read_with(probe, represent, train, test):
    """The accuracy of a probe that reads a representation of the digits."""
    with torch.no_grad():
        train_h, test_h = represent(train.inputs), represent(test.inputs)
    return probe(train_h, train.targets, test_h, test.targets)


h2_of_first = networks[NETWORK, DIGIT, BASE_SEED][:4]  # the network up to h2
parts_of_first = first_split.train, first_split.test
ours_read = read_with(probe_by_hand, h2_of_first, *parts_of_first)
ridge = partial(read_with, measure.linear_probe)  # `read_with`, its probe chosen
labkit_read = ridge(h2_of_first, *parts_of_first)
assert abs(ours_read - labkit_read) <= 1 / TEST_SIZE, "one digit at most: rounding"
print("the probe by hand agrees with labkit.measure.linear_probe")

# %% [markdown]
# A probe that reads nine digits of ten proves little by itself: perhaps it could do so
# *before* training? So there are two controls. The **same layer, untrained**: only the
# training is missing. (One random start is a matter of luck, so each replicate takes
# the mean of ten.) And the same layer after training on **shuffled labels**: the same
# pictures and the same number of updates, but no connection between picture and label.
#
# Is the answer the layer's, or the yardstick's? Let two more readers look at the same
# numbers: a **logistic** probe, which is linear too but minimises cross-entropy as the
# network does, and nearest neighbours, which are not linear.


# %%
def logistic_probe(train_h, train_y, test_h, test_y):
    spread = train_h.std()  # so that the penalty means the same for every layer
    fitted = LogisticRegression(max_iter=3000).fit(train_h / spread, train_y)
    return fitted.score(test_h / spread, test_y)


def neighbours_probe(train_h, train_y, test_h, test_y):
    return KNeighborsClassifier(5).fit(train_h, train_y).score(test_h, test_y)


RIDGE, LOGISTIC, NEAR = "ridge probe", "logistic probe", "five neighbours"
PROBES = {RIDGE: measure.linear_probe, LOGISTIC: logistic_probe, NEAR: neighbours_probe}
LAYERS = ["pixels", "h2, untrained", "h2, shuffled labels", "h2, trained"]
guess_probe = predict("Which representation does the ridge probe read best?", LAYERS)

# %%
shuffled = {}
for seed in SEEDS:
    fed = with_shuffled_labels(examples(DIGIT, seed)[0], seed)
    shuffled[seed] = trained(new_network(seed), fed, seed, "shuffled labels")
shuffled_runs = [shuffled[seed].run_id for seed in SEEDS]


def readings_of(seed):
    """What each probe reads from each representation; of untrained ones the mean."""
    starts = [new_network(seed + 10_000 * start)[:4] for start in range(10)]
    representations = {
        "pixels": [nn.Identity()],
        "h2, untrained": starts,
        "h2, shuffled labels": [shuffled[seed][:4]],
        "h2, trained": [networks[NETWORK, DIGIT, seed][:4]],
    }
    for name, layers in representations.items():
        for reader, probe in PROBES.items():
            parts = examples(DIGIT, seed)
            found = [read_with(probe, layer, *parts) for layer in layers]
            yield [seed, reader, name, np.mean(found)]


reading_rows = [row for seed in SEEDS for row in readings_of(seed)]
reading_columns = ["replicate", "reader", "representation", "accuracy"]
read_table = pd.DataFrame(reading_rows, columns=reading_columns)
readings = read_table.pivot_table("accuracy", "replicate", ["reader", "representation"])
gain = readings[RIDGE].sub(readings[RIDGE]["h2, untrained"], axis="index")
print(f"{readings.size} accuracies of probes")

# %% tags=["drawing", "readme-picture"]
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.8), sharey=True)
for ax, reader in zip(axes, PROBES, strict=True):
    by_layer = {name.replace(" ", "\n"): readings[reader][name] for name in LAYERS}
    figures.dots_with_spread(ax, by_layer)
    ax.set_title(reader)
axes[0].set(ylabel="accuracy on test digits")
axes[2].legend(loc="lower right")
figures.show(
    fig,
    alt="Three panels, one a reader, each with four representations. In all panels "
    "trained h2 is far above untrained h2, and h2 trained on shuffled labels is not "
    "above it. Compared with the pixels, trained h2 is higher for the ridge probe, "
    "about equal for the logistic probe and lower for neighbours.",
    caption="One dot a replicate; grey lines join the same replicate. The axis is cut. "
    "Training with true labels lifts the layer; with shuffled labels it does not.",
)

# %%
claim(
    "Training raises the probe on the second hidden layer by at least 8.5 points",
    gain["h2, trained"],
    at_least=0.085,
    control=gain["h2, shuffled labels"],
    control_is="the same gain for the network trained on shuffled labels",
    source="Alain & Bengio 2016 (linear classifier probes)",
    runs=runs_of(NETWORK, DIGIT) + shuffled_runs,
)
guess_probe.resolve(readings[RIDGE].mean().idxmax())

# %% [markdown]
# ### Why not simply compare with the pixels?
#
# All three readers agree that training lifts $h_2$. They do not agree on whether it
# beats the *pixels*: the ridge probe says yes, the logistic probe sees hardly a
# difference, neighbours say no. So that part of the gain belongs to the ridge probe,
# not to the layer. One reason may be that least squares punishes answers that are "too
# right". Compare within one panel, and the layer with the same layer.
#
# There is a deeper reason. Look at layers that have learned *nothing*, at different
# widths, and at the same layers after a short training:


# %%
kept = []
for seed, width in product(SEEDS, WIDTHS):
    parts = examples(DIGIT, seed)
    network = mlp([64, width, 10], seed=seed)
    before = ridge(network[:2], *parts)
    trained(network, parts[0], seed, f"width {width}", steps=SHORT_STEPS)
    kept.append([seed, width, before, ridge(network[:2], *parts), network.run_id])
layers = pd.DataFrame(kept, columns=["seed", "width", "untrained", "trained", "run"])
by_width = layers.pivot(index="seed", columns="width")  # a row a replicate
print(f"{len(layers)} layers of {len(WIDTHS)} widths, untrained and trained")

# %% tags=["drawing"]
fig, ax = plt.subplots()
for style, state in enumerate(["untrained", "trained"]):
    look = {"marker": figures.MARKERS[style], "linestyle": figures.LINESTYLES[style]}
    figures.lines_with_spread(ax, WIDTHS, by_width[state], f"{state} layer", **look)
pixel_mean = readings[RIDGE]["pixels"].mean()
ax.axhline(pixel_mean, color="0.4", linestyle="-.", label="the pixels (mean)")
ax.axhline(1, color="0.4", linestyle=":", label="the ceiling: all right")
ax.set_xscale("log", base=2)
ax.set_xticks(WIDTHS, labels=[str(width) for width in WIDTHS])
ax.set(xlabel="width of the layer (neurons)", ylabel="accuracy of the ridge probe")
ax.legend(loc="lower right")
figures.show(
    fig,
    alt="Probe accuracy of an untrained layer rises with its width, crosses the line "
    "of the pixels and comes close to the ceiling. The trained layer is far above it "
    "where the layer is narrow; at the widest the two curves meet.",
    caption="The only hidden layer of networks of six widths, before and after the "
    "same short training. The axis is cut. Thin lines are replicates.",
)

# %% [markdown]
# Look at the right end: there "better than the pixels" is no evidence of learning. A
# wide layer is better before it has learned anything, as the first claim below says.
# The right control lacks one thing only: the training.
#
# Nor is it evidence of *information*. No function of the pixels can tell more about the
# digit than the pixels do (the *data processing inequality*). The probe measures what
# is easy to read, for it.
#
# ### A claim that fails
#
# Does training *always* make a layer more readable? Test it on 512 neurons, and ask for
# one point only, for which the dotted line leaves room. A claim that does not hold
# stops the notebook; `expect_claim_failure` lets this one fail, and would complain if
# it held. (One test set is too coarse near the ceiling, so for the first claim each
# replicate takes the mean over five splits.)


# %%
def over_splits(represent, seed):
    """The ridge probe's accuracy, the mean over five splits of the digits."""
    splits = [examples(DIGIT, 100 * seed + i) for i in range(5)]
    return np.mean([ridge(represent, *split) for split in splits])


claim(
    "A ridge probe reads 96.5 of 100 digits from an untrained layer of 512 neurons",
    [over_splits(mlp([64, 512, 10], seed=seed)[:2], seed) for seed in SEEDS],
    at_least=0.965,
    control=[over_splits(nn.Identity(), seed) for seed in SEEDS],
    control_is="the same probe of the pixels, without the random layer",
    source="our measurement; Rahimi & Recht 2007 on random features in general",
)
added = by_width["trained"] - by_width["untrained"]
with expect_claim_failure():
    claim(
        "Training raises the probe on a layer of 512 neurons by at least one point",
        added[512],
        at_least=0.01,
        no_control="a demonstration; the untrained layer is in the difference",
        source="the sentence that you would like to be true",
        runs=by_width["run"][512],
    )

# %% [markdown]
# Why does it fail? There is a **ceiling**: the untrained layer reads nearly all digits
# already, and near its ceiling a measurement can show little. Or training may hardly
# have changed so wide a layer: this experiment cannot tell the two apart. What you may
# say is narrower than what you hoped: *in narrow layers* training adds much; at 512
# neurons this probe, on these digits, does not show a gain of one point.
#
# ## 7. Present, readable, answered
#
# Take the networks trained on shuffled labels. What do these *networks* answer on test
# digits, and what does a *probe* read from their second layer? For comparison: how well
# do they know the shuffled labels that they were trained on? And what does the probe
# read from $h_2$ if it, too, is fitted to shuffled labels?

# %%
guess_puzzle = predict(
    "A network was trained on shuffled labels. What holds for test digits?",
    ["both at chance", "network at chance, probe far above", "both far above"],
)

# %% tags=["nbval-ignore-output"]
puzzle_rows = []
for seed in SEEDS:
    train, test = examples(DIGIT, seed)
    fed, its_h2 = with_shuffled_labels(train, seed), shuffled[seed][:4]
    known = measure.accuracy(shuffled[seed](fed.inputs).detach(), fed.targets)
    fooled = read_with(measure.linear_probe, its_h2, fed, test)
    of_replicate = {
        "network: shuffled training labels": known,
        "network: test digits": evaluate(shuffled[seed], test, environment=ROWS),
        "probe of its h2: test digits": readings[RIDGE]["h2, shuffled labels"][seed],
        "probe of untrained h2: test digits": readings[RIDGE]["h2, untrained"][seed],
        "probe fitted to shuffled labels": fooled,
    }
    puzzle_rows.append(of_replicate)
puzzle = pd.DataFrame(puzzle_rows, index=SEEDS)
puzzle.agg(["min", "mean", "max"]).T.round(2)

# %%
claim(
    "Trained on shuffled labels, the network itself names at most 25 of 100 digits",
    puzzle["network: test digits"],
    at_most=0.25,
    control=digit[NETWORK],
    control_is="the same network trained on true labels",
    source="our measurement",
    runs=shuffled_runs + runs_of(NETWORK, DIGIT),
)
claim(
    "Yet a probe reads at least 60 of 100 digits from its second layer",
    puzzle["probe of its h2: test digits"],
    at_least=0.6,
    control=puzzle["probe fitted to shuffled labels"],
    control_is="the same probe of the same layer, fitted to the shuffled labels",
    source="Alain & Bengio 2016 (the method)",
    runs=shuffled_runs,
)
net_above = puzzle["network: test digits"].mean() > 0.3
probe_above = puzzle["probe of its h2: test digits"].mean() > 0.3
guess_puzzle.resolve([not probe_above, probe_above and not net_above, net_above])

# %% [markdown]
# The answer is in who reads. The network's last layer is a linear map, like the probe;
# but it was fitted to shuffled labels, so it answers noise. **What can be read from a
# layer is not what the network answers.** Nor did this training put the digits there:
# the table shows that the probe reads untrained $h_2$ no worse. And notice its first
# row: with this budget the networks know only part of their shuffled labels. Large
# networks, trained for longer, fit all of them (Zhang et al. 2017).
#
# Can something be *present* and yet unreadable? Here is a map that loses nothing,
# because it can be undone: each half of the pixels is shifted by a wave of the other
# half.


# %%
def scramble(pixels, frequency, mixing):
    one, two = pixels.double().chunk(2, dim=1)
    two = two + 3 * torch.sin(frequency * one @ mixing)
    one = one + 3 * torch.sin(frequency * two @ mixing)
    return torch.cat([one, two], dim=1)


def unscramble(scrambled, frequency, mixing):
    one, two = scrambled.chunk(2, dim=1)
    one = one - 3 * torch.sin(frequency * two @ mixing)
    two = two - 3 * torch.sin(frequency * one @ mixing)
    return torch.cat([one, two], dim=1)


def mixing_of(seed):
    with seeded(seed):
        return torch.randn(32, 32, dtype=torch.double) / 32**0.5


FREQUENCIES = [0.1, 0.3, 1, 3, 10, 30]
for seed in SEEDS:
    for frequency in FREQUENCIES:
        there = scramble(digits.inputs, frequency, mixing_of(seed))
        back = unscramble(there, frequency, mixing_of(seed))
        torch.testing.assert_close(back, digits.inputs.double(), rtol=0, atol=1e-6)
print("every pixel of every digit comes back, at every frequency, in every replicate")

# %%
scrambled_rows = []
for seed, frequency in product(SEEDS, FREQUENCIES):
    represent = partial(scramble, frequency=frequency, mixing=mixing_of(seed))
    for reader, probe in PROBES.items():
        read_right = read_with(probe, represent, *examples(DIGIT, seed))
        scrambled_rows.append([seed, reader, frequency, read_right])
scrambled_columns = ["replicate", "reader", "frequency", "accuracy"]
of_probes = pd.DataFrame(scrambled_rows, columns=scrambled_columns)
by_frequency = of_probes.pivot_table("accuracy", "replicate", ["reader", "frequency"])
print(f"{by_frequency.size} accuracies of probes")

# %% tags=["drawing"]
fig, ax = plt.subplots()
for style, reader in enumerate(PROBES):
    look = {"marker": figures.MARKERS[style], "linestyle": figures.LINESTYLES[style]}
    figures.lines_with_spread(ax, FREQUENCIES, by_frequency[reader], reader, **look)
ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
ax.set(xscale="log", ylabel="accuracy on test digits", ylim=(0, 1.02))
ax.set_xticks(FREQUENCIES, labels=[str(frequency) for frequency in FREQUENCIES])
ax.set_xlabel("frequency (radians for each unit of mixed pixels)")
ax.legend(loc="upper right")
figures.show(
    fig,
    alt="Accuracy against frequency for three readers. All fall from nearly all digits "
    "to less than a quarter of them; at the highest frequency all are still above the "
    "line of chance, neighbours least.",
    caption="Every map on this axis can be undone, so nothing is lost; what the "
    "readers find falls all the same. Thin lines are replicates.",
)

# %%
claim(
    "Scrambled at frequency 30, nothing lost, a ridge probe reads at most 30 of 100",
    by_frequency[RIDGE][30],
    at_most=0.3,
    control=by_frequency[RIDGE][0.1],
    control_is="the same map at frequency 0.1, where it is nearly straight",
    source="our measurement",
)

# %% [markdown]
# Unscramble first, and the probe reads as before: only the right reader was missing.
# How strong should a probe be? Alain and Bengio (2016) keep it linear, as the network's
# own last layer is. Hewitt and Liang (2019) warn that a strong probe may learn the task
# itself. Pimentel et al. (2020) want the strongest, to come closer to the information.
#
# Three things, then, wherever someone says that a model "knows" something: **present ≠
# readable ≠ answered**.
#
# ## 8. Random rows are an easy exam
#
# So far the test digits were drawn at random, so the same hand is probably in both
# parts. What about *new* writers? Nobody recorded who wrote what, but about every 130
# rows the labels begin the same sequence again, as on the next person's form (see
# `data/digits.md`). So cut the file into seven **blocks** of consecutive rows, about
# two forms each, and hold out each in turn: a **distribution shift**.


# %%
EXAMS = ["block", "rows", "other rows"]
BLOCKS = {"name": "a held-out block of digits", "shift": "probably other writers"}
PLAIN = {  # one setting each, of those that section 5 chose from
    LINEAR: LogisticRegression(C=10, max_iter=3000),
    NEIGHBOURS: KNeighborsClassifier(1),
}


def seventh(exam, k, seed):
    """All digits but the k-th seventh, to learn from; and that seventh, the exam."""
    order = np.arange(len(digits))  # the file's order
    if exam != "block":
        order = np.random.default_rng([seed, EXAMS.index(exam)]).permutation(order)
    held = np.array_split(order, 7)[k]
    return only(np.setdiff1d(order, held), "train", exam), only(held, "test", exam)


def only(rows, role, exam):
    known = {"dataset": digits.describe(), "role": role, "split": f"sevenths: {exam}"}
    return data.Examples(digits.inputs[rows], digits.targets[rows], **known)


guess_blocks = predict(
    "How many more errors does the network make on a block than on random rows?",
    ["no more", "up to half as many again", "more than that"],
)

# %% [markdown]
# For comparison, `seventh` cuts a *random order* of the same digits into seven. Either
# way every digit is asked once, of a network with the same start that learned from as
# many digits. To save time the training is short; so that it settles, its learning rate
# falls to 0, along half a wave of the cosine.
#
# The linear classifier and the neighbours take the same exams: do neighbours win
# because they know the hand?


# %%
def error_of(reader, exam, k, seed):
    """The error on one seventh, and the network's training run."""
    rest, held = seventh(exam, k, seed)
    if reader in PLAIN:
        fitted = PLAIN[reader].fit(rest.inputs, rest.targets)
        return 1 - fitted.score(held.inputs, held.targets), None
    network, short = new_network(seed), {"steps": SHORT_STEPS, "schedule": "cosine"}
    trained(network, rest, seed, f"held out: {exam}", **short)
    place = BLOCKS if exam == "block" else ROWS
    return 1 - evaluate(network, held, environment=place), network.run_id


held_out_rows = []
for seed, exam, k, reader in product(SEEDS, EXAMS, range(7), [*PLAIN, NETWORK]):
    held_out_rows.append([seed, exam, k + 1, reader, *error_of(reader, exam, k, seed)])
held_out_columns = ["replicate", "exam", "held out", "reader", "error", "run"]
held_out = pd.DataFrame(held_out_rows, columns=held_out_columns)
mean_error = held_out.pivot_table("error", "replicate", ["reader", "exam"])
of_network = mean_error[NETWORK]
times_as_many = of_network["block"] / of_network["rows"]
more = times_as_many.mean()
print(f"{len(held_out)} errors on held-out digits")

# %% tags=["drawing"]
fig, (left_ax, right_ax) = plt.subplots(
    1, 2, figsize=(9.6, 4), sharey=True, width_ratios=[1, 1.2]
)
on_blocks = held_out[(held_out.reader == NETWORK) & (held_out.exam == "block")]
by_block = on_blocks.pivot(index="replicate", columns="held out", values="error")
figures.dots_with_spread(left_ax, {str(k): by_block[k] for k in by_block}, paired=False)
columns_drawn = {}
for reader in [LINEAR, NEIGHBOURS, NETWORK]:
    for exam, on in {"block": "blocks", "rows": "rows"}.items():
        columns_drawn[f"{reader.split()[-1]},\n{on}"] = mean_error[reader][exam]
figures.dots_with_spread(right_ax, columns_drawn, paired=False)
right_ax.tick_params(axis="x", labelsize=8)
for line in (1.5, 3.5):
    right_ax.axvline(line, color="0.4", linestyle=":", label="_divider")
left_ax.set(title="The network, block by block", xlabel="held-out block")
left_ax.set(ylabel="error on the held-out part", ylim=(0, None))
right_ax.set(title="Three readers: all digits, in seven parts")
left_ax.legend(loc="lower left", ncols=2)
figures.show(
    fig,
    alt="Left: the network's error on each of seven held-out blocks; they differ a "
    "lot. Right: for linear classifier, neighbours and network the mean error on "
    "blocks is far above that on random rows; neighbours have the lowest on both.",
    caption="One dot a replicate. Each time a reader learned from all other digits. On "
    "blocks nothing is random for the linear classifier and for neighbours, so their "
    "dots are equally high.",
)

# %% [markdown]
# "How many times as many errors" is a ratio, and ratios are averaged by their
# logarithm: `scale="log"`. The control puts a second random order in place of the
# blocks. `over` says what the replicates redraw, where that is not everything.

# %%
claim(
    "The network makes at least 1.5 times as many errors on blocks as on random rows",
    times_as_many, at_least=1.5, scale="log",
    control=of_network["other rows"] / of_network["rows"],
    control_is="the same ratio with another random order in place of the file's",
    over="initialisation, batches and the random orders; the seven blocks stay",
    source="Koh et al. 2021 (WILDS: shifts in the wild)",
    runs=held_out.run.dropna().astype(int),
)  # fmt: skip
guess_blocks.resolve([more <= 1, 1 < more <= 1.5, more > 1.5])

# %% [markdown]
# Read this with care. The claim is about *these* seven blocks: other replicates redraw
# the networks, not the writers. That blocks are other writers is plausible, not
# documented. And every reader pays: neighbours, too, make more errors on blocks. They
# still make the fewest, so knowing the hand is not all of their lead. What you may say:
# **accuracy on random rows ≠ accuracy where the network will be used.**
#
# ## 9. Watch a network make up its mind
#
# Train the first network once more, and look at its probabilities for three test digits
# at several moments. Two are right in the end: the one whose label has the most
# probability after 30 updates, and the one whose label has the least after 100. Of the
# digits that it names wrongly in the end, the third has its most certain answer.

# %%
MOMENTS = [0, 10, 30, 100, 300, STEPS]
watched_test, snapshots = first_split.test, {}


def keep_probabilities(update, network):
    logits_now = network(watched_test.inputs.to(DEVICE))
    snapshots[update] = torch.softmax(logits_now, dim=1).cpu()


watch = {"callback": keep_probabilities, "callback_steps": MOMENTS}
watched = new_network(BASE_SEED)
trained(watched, first_split.train, BASE_SEED, "watched", **watch)

everyone = torch.arange(len(watched_test))
right_in_the_end = snapshots[STEPS].argmax(1) == watched_test.targets
early = snapshots[30][everyone, watched_test.targets]  # probability of the right answer
later = snapshots[100][everyone, watched_test.targets]
certainty = snapshots[STEPS].amax(1)
quick = int(torch.where(right_in_the_end, early, 0).argmax())
slow = int(torch.where(right_in_the_end, later, 1).argmin())
wrong = int(torch.where(right_in_the_end, 0, certainty).argmax())
print(f"{len(snapshots)} snapshots of {len(watched_test)} test digits")

# %% tags=["drawing"]
frames = {}
kinds = {"quick": quick, "slow": slow, "wrong in the end": wrong}
for moment in MOMENTS:
    fig, axes = plt.subplots(2, 3, figsize=(7.5, 4.2), height_ratios=[1, 1.3])
    for column, (kind, chosen) in enumerate(kinds.items()):
        above, below = axes[:, column]
        target = int(watched_test.targets[chosen])
        above.imshow(watched_test.inputs[chosen].reshape(8, 8), cmap="gray_r")
        above.set_title(f"{kind}: label {target}")
        above.axis("off")
        bars = below.bar(range(10), snapshots[moment][chosen], color="0.7")
        bars[target].set(facecolor=figures.PALETTE[0], hatch="///", edgecolor="white")
        below.set(ylim=(0, 1.15), xticks=range(10), xlabel="answer")
        largest = snapshots[moment][chosen].max(0)
        says = f"largest: {largest.indices}, with {largest.values:.2f}"
        below.text(4.5, 1.04, says, ha="center", fontsize=8)
        below.tick_params(labelsize=7)
        below.grid(False, axis="x")
    axes[1, 0].set_ylabel("probability")
    frames[moment] = fig
growing = {
    0: "All bars are nearly even.", 10: "All bars are still nearly even.",
    30: "The quick digit's label stands out; the others are nearly even.",
    100: "The quick digit has one bar; the others are spread over a few answers.",
    300: "The slow digit and the third one lean to one or two answers.",
    STEPS: "One bar stands out for each digit; for the third it is not the label.",
}  # fmt: skip
shown_text = "Three test digits; below each, bars for ten answers, the label's hatched."
alts = {moment: f"{shown_text} {growing[moment]}" for moment in MOMENTS}
figures.slider(
    frames, alt=alts, name="Updates",
    caption="Before training the probabilities are nearly even; then they grow peaked. "
    "The hatched bar is the label. The third digit ends on a wrong answer.",
)  # fmt: skip

# %% [markdown]
# The third digit deserves a second look: how certain is the network of its wrong
# answer? Nothing in training has checked such probabilities on new digits. Notebook 08
# measures how far they can be trusted.
#
# ## 10. The record: S = (D, A, Θ, C, E, G)
#
# A deep learning system is more than its parameters. This course describes it by six
# letters: **D**, data; **A**, architecture; **Θ**, the parameters and how they came
# about; **C**, compute; **E**, the environment in which it is used; **G**, governance:
# what is claimed, on which evidence. All of it was recorded while you read, in one
# SQLite file, `outputs/ledger.sqlite`. Each `JOIN` adds what belongs to a training run.
# Shown is the first run of each experiment: how its digits were cut, its last loss, its
# seconds, its accuracy on held-out digits where that was recorded, and how many claims
# rest on it.


# %% tags=["nbval-ignore-output"]
SYSTEM = """
SELECT experiment, split.name AS D, architecture.name AS A, final_loss AS Θ,
       seconds AS C, value AS E, COUNT(claim_id) AS G FROM training_run
JOIN split ON split.id = training_run.split_id
JOIN architecture ON architecture.id = architecture_id
JOIN compute ON compute.run_id = training_run.id
LEFT JOIN evaluation USING (run_id) LEFT JOIN claim_run USING (run_id)
WHERE session_id = ? GROUP BY training_run.id"""
record = Ledger().query(SYSTEM, [Ledger().session()])
record.groupby("experiment", sort=False).head(1).round(3)

# %% [markdown]
# ### What a reviewer would ask
#
# - *Who wrote these digits?* The datasheet `data/digits.md` says what is known. It is
#   not much.
# - *Which errors matter?* Accuracy counts all alike. A misread 1 in an amount of money
#   is not a misread 1 in a poll.
# - *Why a network?* For these digits, no reason: nearest neighbours answer both
#   questions better, and the held-out blocks as well.
#
# Notebook 09 asks such questions of everything that you will have trained by then.
#
# ## 11. What you can do now
#
# You can **compute** a network's output in three ways (section 1), **derive** the
# gradient and check it (3), **write** the training loop (4), **state** a claim and
# **judge** whether a network was needed (5 and 6), and **distinguish** what a layer
# holds, what is read from it, and what the network answers (6 and 7).
#
# And what does a neural network learn? To tell even from odd better than one weighted
# sum can. And where it learned to name the digits, its hidden layer became easier to
# read. Nearest neighbours, which train nothing, were better on both questions: you have
# seen *how* a network learns, on a task that does not need one.
#
# **Limits of this evidence.** One small data set of 8 × 8 pictures from one project;
# one architecture; five replicates. All replicates share the same 1797 digits: their
# training and test sets overlap, and the intervals, which treat them as independent,
# are somewhat too narrow for digits in general (Nadeau & Bengio 2003). The learning
# rates were chosen for the two networks of section 5, and one of them serves all
# others. What a network *uses* of a layer was not measured. 1,500 updates are a budget
# for shuffled labels, as 500 are in sections 6 and
# 8. Thresholds come from a pilot with 20 other replicates on one machine.
#
# ### Your turn
#
# 1. Set `WIDTH = 8` and run everything again. At which claim does the notebook stop?
#    Write down first which one you expect, and why.
# 2. Probe the *first* hidden layer instead of the second (`[:2]` for `[:4]`). Is the
#    gain from training larger or smaller? Is there a ceiling?
# 3. Set `LEARNING_RATE = 1.6`. The notebook stops early. Which two computations no
#    longer agree, and what does a large rate do to the rounding errors of each update?
# 4. Add a third question to `examples`: *is the digit at least 5?* Which of the four
#    readers will be poor at it? Write it down before you run.
#
# ### Scale it up
#
# On a GPU try `WIDTH = 1024`, `REPLICATES = 20`. Do nearest neighbours still lead on
# both questions? State your threshold before you look.
#
# ### References
#
# - Alain & Bengio 2016, *Understanding intermediate layers using linear classifier
#   probes*, arXiv:1610.01644
# - Alpaydin & Kaynak 1998, *Optical recognition of handwritten digits*, UCI
# - Cover & Hart 1967, *Nearest neighbor pattern classification*, IEEE Transactions on
#   Information Theory 13
# - Hewitt & Liang 2019, *Designing and interpreting probes with control tasks*, EMNLP
# - Koh et al. 2021, *WILDS: A benchmark of in-the-wild distribution shifts*, ICML
# - Nadeau & Bengio 2003, *Inference for the generalization error*, Machine Learning 52
# - Pimentel et al. 2020, *Information-theoretic probing for linguistic structure*, ACL
# - Rahimi & Recht 2007, *Random features for large-scale kernel machines*, NeurIPS
# - Rumelhart, Hinton & Williams 1986, *Learning representations by back-propagating
#   errors*, Nature 323
# - Zhang et al. 2017, *Understanding deep learning requires rethinking generalization*,
#   ICLR
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its
# memory is free for the next notebook: [01, *What shape is a
# representation?*](01_representation.ipynb)
