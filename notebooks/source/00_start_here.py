# %% [markdown]
# # What does a neural network learn?
#
# **In one sentence:** a small network learns to tell even from odd handwritten digits
# better than a well-fitted linear classifier, and training makes its inner layer easier
# to read; you will measure both over five replicates, against a linear classifier,
# nearest neighbours, untrained networks and networks trained on shuffled labels.
#
# After this notebook you can
#
# 1. **compute** a network's output with loops, with matrices and with PyTorch, and show
#    that all three agree;
# 2. **derive** the gradient of the loss, and check it by nudging and against PyTorch;
# 3. **write** a training loop without a library;
# 4. **state** a claim that can fail, with its replicates, threshold and control, and
#    **judge** whether a network was needed at all;
# 5. **distinguish** what a layer holds, what can be read from it, and what is used.
#
# **You need** Python and NumPy, vectors and matrices, and the derivative of a function
# of a function. To refresh them: [3Blue1Brown on linear
# algebra](https://www.3blue1brown.com/topics/linear-algebra) and [on
# calculus](https://www.3blue1brown.com/topics/calculus), or the free book [Mathematics
# for Machine Learning](https://mml-book.github.io), chapters 2 and 5. You need no
# PyTorch yet.
#
# **Reading:** 70 minutes. **Running:** about 80 seconds on one CPU core.

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
# - **Your turn**: exercises at the end. The labs, which belong between the notebooks,
#   are longer: there you write the code and are told at once what is right and what is
#   not.
#
# Cells that only draw are folded; unfold them if you like. A GPU is used where PyTorch
# finds one, and nothing here needs it.

# %%
from functools import partial

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
# The next cell holds every size of this notebook. Change one, run all cells again, and
# see what becomes of the claims.

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
WIDTH = 32  # neurons in each hidden layer
BATCH_SIZE = 100
LEARNING_RATE = 0.4  # chosen, as the next, on validation digits of other replicates
STEPS = 1500  # updates; by then the training loss is close to 0
STRIP_RATE, STRIP_STEPS = 0.1, 3000  # the same for strips of three digits
WIDTHS = [16, 32, 64, 128, 256, 512]  # of the layers in the second half of section 6
BLOCK_STEPS = 1000  # updates in section 8, which trains many networks
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
# **label**. An input with its target is an **example**. The last lines of the output
# show the very first input, in tenths.

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
# time. (`detach` gives the plain numbers, without PyTorch's notes on how they came
# about, which section 3 needs.)

# %%
five = digits.inputs[:5]
with seeded(BASE_SEED):
    layer = nn.Linear(64, WIDTH)
W, b = layer.weight.detach(), layer.bias.detach()

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
# You will build networks like this one often. So `labkit`, the helper module, has them
# as `mlp` (*multilayer perceptron*, their traditional name). Nothing enters `labkit`
# before a notebook has built it in front of you; here is the proof that it is the same:


# %%
def new_network(seed, inputs=64, answers=10):
    with seeded(seed):
        return nn.Sequential(
            nn.Linear(inputs, WIDTH), nn.ReLU(),
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
# ten digits pays $\log 10$, about 2.3. Below are three logits, by hand; the target is
# class 0, which got the largest one.
#
# The formula has a trap, which the last two lines show: as it stands, large logits
# overflow and leave `nan`, *not a number*. The cure: subtract the largest logit first.
# The factor cancels, so the probabilities stay the same, and no exponential overflows.

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
# these people. Add and subtract $\sum_k q_k \log q_k$, and it falls into two parts:
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
# You could nudge each parameter. The chain rule gets all of them in one sweep. Draw the
# computation as a graph: each arrow is one operation. Forwards it carries values. Then
# send the gradient backwards, and multiply it at each arrow by that operation's own
# slope. Here is the smallest network: one input, one neuron, and one weight $v$ to the
# logit $s$ of the right answer (the only other answer has logit 0).

# %%
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

tiny_loss.backward()
swept = [grad_x, grad_w, grad_c, grad_v]
torch.testing.assert_close([x.grad, w.grad, c.grad, v.grad], swept)
print("the sweep by hand and backward() agree")

# %% tags=["drawing"]
fig = plt.figure(figsize=(8.6, 3.2), layout="none")
ax = fig.add_axes((0, 0, 1, 1), xlim=(-0.5, 8.7), ylim=(-1.9, 1.9))
parts = [
    ["x", 0, 1.3, x, grad_x], ["w", 0, 0, w, grad_w], ["c", 0, -1.3, c, grad_c],
    ["a = w x + c", 2.2, 0, a, grad_a], ["h = ReLU(a)", 4.4, 0, h, grad_h],
    ["v", 4.4, -1.3, v, grad_v], ["s = v h", 6.4, 0, s, grad_s],
    ["loss", 8.2, 0, tiny_loss, torch.tensor(1.0)],
]  # fmt: skip
graph = pd.DataFrame(parts, columns=["box", "right", "up", "value", "gradient"])
for column in ("value", "gradient"):
    graph[column] = [number.item() for number in graph[column]]
boxes = []
for place in graph.itertuples():
    look = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "0.4"}
    centred = {"ha": "center", "va": "center", "zorder": 3}
    boxes.append(ax.text(place.right, place.up, place.box, bbox=look, **centred))
    ax.text(place.right, place.up + 0.45, f"{place.value:.2f}", **centred)
    backwards = {"color": figures.PALETTE[1], "style": "italic"} | centred
    ax.text(place.right, place.up - 0.45, f"{place.gradient:.2f}", **backwards)
fig.canvas.draw()  # so that the boxes know their size
for start, end in [(0, 3), (1, 3), (2, 3), (3, 4), (4, 6), (5, 6), (6, 7)]:
    tail, head = boxes[start], boxes[end]
    arrow = {"arrowstyle": "->", "color": "0.5", "shrinkA": 2, "shrinkB": 2}
    arrow |= {"patchA": tail.get_bbox_patch(), "patchB": head.get_bbox_patch()}
    at = {"xytext": tail.get_position(), "xy": head.get_position()}
    ax.annotate("", arrowprops=arrow, **at)
ax.axis("off")
figures.show(
    fig, data=graph[["box", "value", "gradient"]],
    alt="From left to right: x, w and c lead to a, then to h; h and v lead to s, then "
    "to the loss. Each box has a value above it and a gradient below it.",
    caption="The smallest network's computational graph. Above each box: its value. "
    "Below, in italics: the gradient of the loss with respect to it.",
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
with torch.no_grad():
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
# $\eta$ is the **learning rate**. One pass through all examples is an **epoch**, and
# each epoch draws a new random order. That is all. It is called *stochastic gradient
# descent*.


# %%
def train_by_hand(network, part, steps, seed):
    """Stochastic gradient descent; returns the loss of every batch."""
    generator = torch.Generator().manual_seed(seed)
    losses = []
    while len(losses) < steps:
        order = torch.randperm(len(part), generator=generator)  # a new epoch
        for batch in order.split(BATCH_SIZE):
            if len(batch) < BATCH_SIZE or len(losses) == steps:
                break
            loss = F.cross_entropy(network(part.inputs[batch]), part.targets[batch])
            network.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter -= LEARNING_RATE * parameter.grad
            losses.append(loss.item())
    return losses


sgd = {"batch_size": BATCH_SIZE, "optimizer": "sgd", "learning_rate": LEARNING_RATE}

# %% [markdown]
# Before you train, set some digits aside. A network can learn its training digits by
# heart, so only digits that it never saw tell you what it can do. They are the **test**
# examples, drawn at random. **Accuracy** is the share of right answers.
#
# `labkit.fit` is the loop above, with a progress bar, error messages and a record.
# Given the same network and seed it must end at the same parameters:

# %%
first_split = digits.split(BASE_SEED, test=TEST_SIZE, validation=0)
by_hand, by_fit = new_network(BASE_SEED), new_network(BASE_SEED)
losses = train_by_hand(by_hand, first_split.train, steps=200, seed=BASE_SEED)
fit(by_fit, first_split.train, steps=200, seed=BASE_SEED, device="cpu", **sgd)
torch.testing.assert_close(by_hand.state_dict(), by_fit.state_dict(), rtol=0, atol=1e-3)

test_logits = by_hand(first_split.test.inputs).detach()
share_right = (test_logits.argmax(1) == first_split.test.targets).double().mean().item()
assert share_right == measure.accuracy(test_logits, first_split.test.targets)
assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2
print("The loss has more than halved, and labkit.fit arrives at the same parameters.")

# %% [markdown]
# ## 5. Was a network needed?
#
# ### Three questions, three readers
#
# That a network names most new digits means little until you know what simpler methods
# can do. So let it compete with two **baselines**, on three questions:
#
# 1. *Which digit is it?* Ten classes.
# 2. *Is it even or odd?* Two classes, each a mixture of five shapes.
# 3. *Is the middle one even or odd?* The digit stands between two others, drawn at
#    random, which have nothing to do with the answer.


# %%
def which_digit(part, seed):
    return part


def even_or_odd(part, seed):
    return part.replace(targets=part.targets % 2, transform="even or odd")


def between_two(part, seed):
    with seeded(seed):
        left, right = torch.randint(len(part), (2, len(part)))
    joined = torch.cat([part.inputs[left], part.inputs, part.inputs[right]], dim=1)
    return even_or_odd(part.replace(inputs=joined, transform="between two"), seed)


DIGIT, PARITY, MIDDLE = "Which digit?", "Even or odd?", "Middle one: even or odd?"
QUESTIONS = {DIGIT: which_digit, PARITY: even_or_odd, MIDDLE: between_two}
MIDDLE_SETTINGS = {"learning_rate": STRIP_RATE, "steps": STRIP_STEPS}

strips = between_two(first_split.test, BASE_SEED)
one_of_each = torch.cat([strips.inputs[strips.targets == k][:1] for k in (0, 1)])
with_gap = torch.cat([one_of_each, torch.zeros(2, 64)], dim=1).reshape(8, 64)
titles = ["", "even", "", "", "", "odd", "", ""]
figures.show(
    figures.digit_grid(with_gap, titles, columns=8),
    alt="Two strips of three digits; even stands above the one, odd above the other.",
    caption="Two strips. Only the digit in the middle of each decides the answer.",
)

# %% [markdown]
# The readers are
#
# - a **linear classifier**: one layer without ReLU, the same loss, fitted to its
#   minimum (*multinomial logistic regression*), with a penalty on large weights;
# - **nearest neighbours**: find the $k$ training digits whose pixels are closest, let
#   them vote (Cover & Hart 1967). It trains nothing;
# - the **network**: $x \to h_1 \to h_2 \to z$, with 32 neurons in each hidden layer.
#
# All get the same training digits. The penalty and $k$ are chosen on parts of these, by
# **cross-validation**: hold out each third in turn and see which setting does best
# there. The network's learning rate was chosen once, on validation digits of other
# replicates. The test digits choose nothing.


# %%
LINEAR, NEIGHBOURS, NETWORK = "linear\nclassifier", "nearest\nneighbours", "network"
penalties = {"C": [0.01, 0.1, 1, 10, 100, 1000]}  # C is 1 / penalty
voters = {"n_neighbors": [1, 3, 5, 9, 17, 33, 65]}
BASELINES = {
    LINEAR: GridSearchCV(LogisticRegression(max_iter=3000), penalties, cv=3),
    NEIGHBOURS: GridSearchCV(KNeighborsClassifier(), voters, cv=3),
}


def examples(question, role, seed):
    """The training or the test digits of a replicate, as the question wants them."""
    split = digits.split(seed, test=TEST_SIZE, validation=0)
    return QUESTIONS[question](getattr(split, role), seed)


def trained(network, part, seed, experiment, **changes):
    """The network, trained by the loop of section 4."""
    settings = {"steps": STEPS} | sgd | changes
    fit(network, part, seed=seed, device=DEVICE, experiment=experiment, **settings)
    return network.cpu()


def network_for(question, seed):
    train = examples(question, "train", seed)
    changes = MIDDLE_SETTINGS if question == MIDDLE else {}
    network = new_network(seed, train.inputs.shape[1], 10 if question == DIGIT else 2)
    return trained(network, train, seed, question, **changes)


guess_reader = predict(
    "Which digit? Who names most of the test digits?",
    ["the linear classifier", "nearest neighbours", "the network"],
)

# %% [markdown]
# One training run is an anecdote. You do not know what luck did: which digits were held
# out, how the parameters started, in which order the batches came. So the experiment is
# repeated with everything random drawn afresh. One such repetition is a **replicate**.
# It is a function of its seed, and of nothing else. (Here the replicates are trained
# one after the other. Notebook 01 trains them all at once.)


# %%
def answers_of(reader, question, seed):
    """A table of the test digits: the right answer, and what a reader said."""
    train, test = examples(question, "train", seed), examples(question, "test", seed)
    if reader == NETWORK:
        said = networks[question, seed](test.inputs).argmax(1)
    else:
        fitted = BASELINES[reader].fit(train.inputs.numpy(), train.targets.numpy())
        said = fitted.predict(test.inputs.numpy())
    return pd.DataFrame({"right": test.targets, "said": said})


def share_of(answers):
    return (answers.right == answers.said).mean()


SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
networks, share_rows = {}, []
for question in QUESTIONS:
    for seed in SEEDS:
        networks[question, seed] = network_for(question, seed)
        for reader in [*BASELINES, NETWORK]:
            share = share_of(answers_of(reader, question, seed))
            share_rows.append([question, seed, reader, share])
share_columns = ["question", "replicate", "reader", "accuracy"]
shares = pd.DataFrame(share_rows, columns=share_columns)
accuracy = shares.pivot(index=["question", "replicate"], columns="reader")["accuracy"]
print(f"{len(networks)} networks trained, {len(shares)} accuracies measured")

# %% tags=["drawing"]
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.8), sharey=True)
for ax, question in zip(axes, QUESTIONS, strict=True):
    figures.dots_with_spread(ax, accuracy.loc[question][[*BASELINES, NETWORK]])
    ax.set_title(question)
axes[0].set(ylabel="accuracy on test digits", ylim=(0.85, 1.005))
axes[0].legend(loc="lower left")
figures.show(
    fig,
    alt="Three panels, one a question. Which digit: all three readers are high, "
    "nearest neighbours highest. Even or odd: the linear classifier is far below the "
    "others. The middle one: both baselines are below the network.",
    caption="One dot a replicate; grey lines join the same replicate. Guessing would "
    "get a tenth of the digits, or half of even and odd: far below the picture.",
)

# %% [markdown]
# ### A claim
#
# What may you say? A **claim** has a statement; one number for each replicate; a
# **threshold**, set beforehand from *other* replicates (a *pilot* of twenty, in
# `data/results/`); a **control**: the same measurement without the one thing that
# should matter; and a source. It holds when the mean is on the right side of the
# threshold, and so is the near end of its 90 % interval (Student's t). And it counts
# for nothing when the control passes the threshold, too. Here is all of that by hand:


# %%
def holds_by_hand(values, at_least, control):
    """The lower end of the mean's 90 % interval, and whether the claim holds."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    lower = np.mean(values) - stats.t.ppf(0.95, len(values) - 1) * error
    return lower, bool(lower >= at_least and np.mean(control) < at_least)


parity = accuracy.loc[PARITY]
result = claim(
    "Even or odd: the network gives at least 95 of 100 right answers",
    parity[NETWORK],
    at_least=0.95,
    control=parity[LINEAR],
    control_is="the linear classifier, which lacks the hidden layers",
    source="our measurement",
    runs=[networks[PARITY, seed].run_id for seed in SEEDS],
)
lower_end, holds = holds_by_hand(parity[NETWORK], 0.95, parity[LINEAR])
np.testing.assert_allclose(lower_end, result.low)
assert holds == (result.verdict == "holds")

# %% [markdown]
# So on *even or odd* the hidden layers earn their keep: one weighted sum of pixels says
# it less well. Now the question that every course begins with, and the strips. (A share
# $p$ near 1 is best averaged as $\log \frac{p}{1 - p}$, which keeps 0.99 and 0.95
# apart: the second claim's `scale="logit"`.)

# %%
digit, middle = accuracy.loc[DIGIT], accuracy.loc[MIDDLE]
claim(
    "Which digit: the network is at most 3.3 points ahead of the linear classifier",
    digit[NETWORK] - digit[LINEAR],
    at_most=0.033,
    control=parity[NETWORK] - parity[LINEAR],
    control_is="the same difference for even or odd",
    source="our measurement",
)
claim(
    "Between two other digits, nearest neighbours give at most 95 of 100 right answers",
    middle[NEIGHBOURS],
    at_most=0.95,
    control=parity[NEIGHBOURS],
    control_is="the same neighbours where the digit stands alone",
    source="Cover & Hart 1967 (the method)",
    scale="logit",
    trials=TEST_SIZE,
)
best_reader = digit.mean().idxmax()
guess_reader.resolve(
    [best_reader == reader for reader in (LINEAR, NEIGHBOURS, NETWORK)]
)

# %% [markdown]
# Read the left panel again: to name these digits **nobody needs a network**. A linear
# classifier does about as well, and nearest neighbours stand above both. Had we
# compared with shuffled labels alone, we would have praised the network for an easy
# exam.
#
# The other panels show what each baseline lacks. For *even or odd* one weighted sum has
# to bring five shapes to the same side; it succeeds with many digits and fails with
# others. Neighbours weigh all pixels alike, and two thirds of a strip are idle. The
# network learned both: which pixels count, and how to bend.
#
# But is it hidden layers that *even or odd* needs? Try the trivial explanation: tell a
# linear classifier the ten *digits*, and read its answer as even or odd.

# %%
told_digits = [answers_of(LINEAR, DIGIT, seed) % 2 for seed in SEEDS]
claim(
    "Told the ten digits, a linear classifier says even or odd, 96 of 100 right",
    [share_of(answers) for answers in told_digits],
    at_least=0.96,
    control=parity[LINEAR],
    control_is="the same classifier, told only even or odd",
    source="our measurement",
)

# %% [markdown]
# So the claim needs its scope: *from labels that say only even or odd*. The network had
# to find parts of the two classes by itself. Where finer labels are at hand, they do
# the work of the hidden layers.
#
# ### Which errors?
#
# A number hides *which* errors there are. The **confusion matrix** counts, for each
# right digit (row), what the network said (column).

# %%
ROWS = "held-out digits, random rows"
tables = []
for seed in SEEDS:
    tables.append(answers_of(NETWORK, DIGIT, seed).assign(replicate=seed))
    test = examples(DIGIT, "test", seed)
    by_labkit = evaluate(networks[DIGIT, seed], test, environment=ROWS)
    assert abs(by_labkit - share_of(tables[-1])) < 1e-6
named = pd.concat(tables)
confusion = pd.crosstab(named.right, named.said)
print(f"{len(named)} answers; evaluate, which records the accuracy, agrees with ours")

# %% tags=["drawing"]
fig, ax = plt.subplots(figsize=(5.2, 4.6))
table = confusion.reindex(index=range(10), columns=range(10), fill_value=0)
counts = table.to_numpy()
off_diagonal = np.where(np.eye(10, dtype=bool), 0, counts)
ax.imshow(off_diagonal, cmap="Blues", vmin=0)
for right in range(10):
    for answer in range(10):
        dark = off_diagonal[right, answer] > off_diagonal.max() / 2
        color = "white" if dark else ("0.6" if right == answer else "black")
        text = str(counts[right, answer]) if counts[right, answer] else ""
        ax.text(answer, right, text, ha="center", va="center", color=color, fontsize=8)
ax.set(xlabel="the network said", ylabel="right digit")
ax.set(xticks=range(10), yticks=range(10))
figures.show(
    fig,
    alt="A table of ten rows and ten columns of counts. Large numbers stand on the "
    "diagonal; off it most cells are empty, and a few are darker than the rest.",
    caption="Test digits of all replicates together. Grey on the diagonal: right "
    "answers. Off it, darker means more errors of this kind.",
    data=table.rename(columns=str),
)
errors = named[named.right != named.said]
shown = errors[errors.replicate == BASE_SEED].head(10)
mistakes = [f"{error.right}, said {error.said}" for error in shown.itertuples()]
figures.show(
    figures.digit_grid(first_split.test.inputs[shown.index], mistakes),
    alt="Test digits that the first network names wrongly, each with the right digit "
    "and the network's answer above it.",
    caption="Up to ten errors. Judge each: which would you have read rightly?",
)

# %% [markdown]
# Errors are not spread evenly: look for the dark cells, and ask which strokes the two
# digits share. Then look at the pictures. Some are hard for a reader; others are
# plainly what the label says, and the network is simply wrong. Do not excuse its errors
# by the worst pictures.
#
# ## 6. What did training do to the hidden layer?
#
# What has become of the representations? The classical test is a **linear probe**:
# freeze the network, and ask how well a *linear* map reads the digit from $h_2$ (Alain
# and Bengio 2016). The map is fitted on the training digits by ridge regression (least
# squares that prefers small weights), and scored on the test digits. It has a closed
# form:


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


def read_with(probe, represent, seed, change=which_digit):
    """The accuracy of a probe that reads a representation of the digits."""
    train = change(examples(DIGIT, "train", seed), seed)
    test = examples(DIGIT, "test", seed)
    with torch.no_grad():
        train_h, test_h = represent(train.inputs), represent(test.inputs)
    return probe(train_h, train.targets, test_h, test.targets)


h2_of_first = networks[DIGIT, BASE_SEED][:4]  # the network up to h2
probe_ours = read_with(probe_by_hand, h2_of_first, BASE_SEED)
probe_labkit = read_with(measure.linear_probe, h2_of_first, BASE_SEED)
assert abs(probe_ours - probe_labkit) <= 1 / TEST_SIZE, "one digit at most: rounding"
print("the probe by hand agrees with labkit.measure.linear_probe")

# %% [markdown]
# A probe that reads nine digits of ten proves little by itself: perhaps it could do so
# *before* training? So there are two controls. The **same layer, untrained**: only the
# training is missing. (One random start is a matter of luck, so each replicate takes
# the mean of ten.) And the same layer after training on **shuffled labels**: the same
# pictures and the same number of updates, but no connection between picture and label.


# %%
def with_shuffled_labels(part, seed):
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))
    return part.replace(targets=part.targets[order], transform="labels shuffled")


def neighbours_probe(train_h, train_y, test_h, test_y):
    return KNeighborsClassifier(5).fit(train_h, train_y).score(test_h, test_y)


PROBES = {"linear probe": measure.linear_probe, "neighbours": neighbours_probe}
LAYERS = ["pixels", "h2, untrained", "h2, trained on shuffled labels", "h2, trained"]
guess_probe = predict("Which representation does a linear probe read best?", LAYERS)

# %%
shuffled = {}
for seed in SEEDS:
    fed = with_shuffled_labels(examples(DIGIT, "train", seed), seed)
    shuffled[seed] = trained(new_network(seed), fed, seed, "shuffled labels")


def readings_of(seed):
    """What a linear probe and nearest neighbours read from each representation."""
    starts = [new_network(seed + 10_000 * start)[:4] for start in range(10)]
    representations = {
        "pixels": [nn.Identity()],
        "h2, untrained": starts,
        "h2, trained on shuffled labels": [shuffled[seed][:4]],
        "h2, trained": [networks[DIGIT, seed][:4]],
    }
    for name, layers in representations.items():
        linear = [read_with(measure.linear_probe, layer, seed) for layer in layers]
        near = [read_with(neighbours_probe, layer, seed) for layer in layers]
        yield [seed, name, np.mean(linear), np.mean(near)]


reading_rows = [row for seed in SEEDS for row in readings_of(seed)]
reading_columns = ["replicate", "representation", "linear probe", "neighbours"]
readings = pd.DataFrame(reading_rows, columns=reading_columns)
readings = readings.pivot(index="replicate", columns="representation")
linear_readings = readings["linear probe"]
print(f"{readings.size} accuracies of probes")

# %% tags=["drawing", "readme-picture"]
fig, ax = plt.subplots()
wrapped = {name: name.replace("on shuffled", "on\nshuffled") for name in LAYERS}
figures.dots_with_spread(ax, {wrapped[name]: linear_readings[name] for name in LAYERS})
ax.set(ylabel="accuracy of the linear probe")
ax.legend(loc="lower right")
figures.show(
    fig,
    alt="Accuracy of linear probes for four representations. Trained h2 is best, then "
    "the pixels; untrained h2 is much lower, h2 trained on shuffled labels no higher.",
    caption="One dot a replicate; grey lines join the same replicate. Training with "
    "true labels lifts the layer; training with shuffled labels does not.",
)

# %%
gain = linear_readings.sub(linear_readings["h2, untrained"], axis="index")
claim(
    "Training raises the probe on the second hidden layer by at least 8.5 points",
    gain["h2, trained"],
    at_least=0.085,
    control=gain["h2, trained on shuffled labels"],
    control_is="the same gain for the network trained on shuffled labels",
    source="Alain & Bengio 2016 (linear classifier probes)",
)
guess_probe.resolve(linear_readings.mean().idxmax())

# %% [markdown]
# ### Why not simply compare with the pixels?
#
# Trained $h_2$ is more readable than the pixels. Does that show that something was
# learned? Look at layers that have learned *nothing*, at different widths. And train
# the widest, to see what training adds there:


# %%
def readings_by_width(seed):
    found = {}
    for width in WIDTHS:
        network = mlp([64, width, 10], seed=seed)
        found[width] = read_with(measure.linear_probe, network[:2], seed)
    trained(network, examples(DIGIT, "train", seed), seed, "wide layer")
    found["trained"] = read_with(measure.linear_probe, network[:2], seed)
    return found


by_width = pd.DataFrame([readings_by_width(seed) for seed in SEEDS])
print(f"untrained layers of {len(WIDTHS)} widths; the widest trained as well")

# %% tags=["drawing"]
fig, ax = plt.subplots()
figures.lines_with_spread(ax, WIDTHS, by_width[WIDTHS], "an untrained layer")
pixel_mean = linear_readings["pixels"].mean()
ax.axhline(pixel_mean, color="0.4", linestyle="--", label="the pixels (mean)")
ax.axhline(1, color="0.4", linestyle=":", label="the ceiling: all right")
ax.set_xscale("log", base=2)
ax.set_xticks(WIDTHS, labels=[str(width) for width in WIDTHS])
ax.set(xlabel="width of the layer (neurons)", ylabel="accuracy of the linear probe")
ax.legend(loc="lower right")
figures.show(
    fig,
    alt="Probe accuracy of an untrained layer rises with its width, crosses the line "
    "of the pixels and comes close to the ceiling.",
    caption="A wide random layer beats the pixels without any training: it offers the "
    "linear map more, and curved, features to choose from. Thin lines are replicates.",
)

# %% [markdown]
# So "better than the pixels" is no evidence of learning: a wide layer is better before
# it has learned anything. The right control lacks one thing only: the training.
#
# ### A claim that fails
#
# Is it then true that training *always* makes a layer more readable? Test it on 512
# neurons. A claim that does not hold stops the notebook, as it should. To show you one,
# we announce it: `expect_claim_failure` lets the notebook go on, and would complain if
# the claim held after all.

# %%
claim(
    "A probe on an untrained layer of 512 neurons reads at least 96 of 100 digits",
    by_width[512],
    at_least=0.96,
    control=by_width[32],
    control_is="the same probe on an untrained layer of 32 neurons",
    source="Rahimi & Recht 2007 (random features)",
)
with expect_claim_failure():
    claim(
        "Training raises the probe on a layer of 512 neurons by at least two points",
        by_width["trained"] - by_width[512],
        at_least=0.02,
        no_control="a demonstration; the untrained layer is in the difference",
        source="the sentence that you would like to be true",
    )

# %% [markdown]
# Why does it fail? Not because training did nothing. There is a **ceiling**. The
# untrained layer reads nearly all digits already: see how little room the figure leaves
# below the dotted line. The claim asks for about all of it. A measurement without room
# cannot show an effect. What you may say is narrower than what you hoped: *in a layer
# of 32 neurons* training adds much; with 512 this probe cannot tell.
#
# ## 7. Readable, present, used
#
# Take the networks trained on shuffled labels. What do these *networks* answer on test
# digits, and what does a *probe* read from their second layer?

# %%
guess_puzzle = predict(
    "A network was trained on shuffled labels. What holds for test digits?",
    ["both at chance", "network at chance, probe far above", "both far above"],
)


own, fooled = [], []
for seed in SEEDS:
    true_test = examples(DIGIT, "test", seed)
    own.append(evaluate(shuffled[seed], true_test, environment=ROWS))
    its_h2 = shuffled[seed][:4]
    fooled.append(read_with(measure.linear_probe, its_h2, seed, with_shuffled_labels))

# %%
shuffled_ids = [shuffled[seed].run_id for seed in SEEDS]
shuffled_h2 = linear_readings["h2, trained on shuffled labels"]
claim(
    "Trained on shuffled labels, the network itself stays near chance (0.1)",
    own,
    at_most=0.25,
    control=digit[NETWORK],
    control_is="the same network trained on true labels",
    source="Zhang et al. 2017 (random labels)",
    runs=shuffled_ids,
)
claim(
    "Yet a probe reads at least 60 of 100 digits from its second layer",
    shuffled_h2,
    at_least=0.6,
    control=fooled,
    control_is="the same probe of the same layer, fitted to the shuffled labels",
    source="Alain & Bengio 2016; Hewitt & Liang 2019 (control tasks)",
    runs=shuffled_ids,
)
net_above, probe_above = np.mean(own) > 0.3, shuffled_h2.mean() > 0.3
guess_puzzle.resolve([not probe_above, probe_above and not net_above, net_above])

# %% [markdown]
# The answer is in who reads. The network's last layer is a linear map, like the probe;
# but it was fitted to shuffled labels, so it reads noise. **What can be read from a
# layer is not what the network uses.**
#
# The figure of the probes shows something else. The narrow random layer is read less
# well than the pixels, and after training on noise no better. Has *information* about
# the digit been lost? The probe cannot say. No function of the pixels can tell more
# about the digit than the pixels themselves (the *data processing inequality*), yet the
# probe reads trained $h_2$ better than them. So it does not measure information.
#
# The other direction is worth seeing. Here is a map that loses nothing, because it can
# be undone: each half of the pixels is shifted by a wave of the other half.


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
for frequency in FREQUENCIES:
    there = scramble(digits.inputs, frequency, mixing_of(BASE_SEED))
    back = unscramble(there, frequency, mixing_of(BASE_SEED))
    torch.testing.assert_close(back, digits.inputs.double(), rtol=0, atol=1e-6)
print("every pixel of every digit comes back, at every frequency")

# %%
scrambled = []
for seed in SEEDS:
    for frequency in FREQUENCIES:
        represent = partial(scramble, frequency=frequency, mixing=mixing_of(seed))
        found = {
            name: read_with(probe, represent, seed) for name, probe in PROBES.items()
        }
        scrambled.append({"replicate": seed, "frequency": frequency} | found)
by_frequency = pd.DataFrame(scrambled).pivot(index="replicate", columns="frequency")
print(f"{by_frequency.size} accuracies of probes")

# %% tags=["drawing"]
fig, (left_ax, right_ax) = plt.subplots(
    1, 2, figsize=(9.6, 3.8), sharey=True, width_ratios=[1.3, 1]
)
layers_shown = ["pixels", "h2,\nuntrained", "h2, trained\non shuffled", "h2,\ntrained"]
for k, reader in enumerate(["linear probe", "neighbours"]):
    look = {"marker": figures.MARKERS[k], "linestyle": figures.LINESTYLES[k]}
    of_layers = readings[reader][LAYERS]
    figures.lines_with_spread(left_ax, range(4), of_layers, reader, **look)
    of_frequencies = by_frequency[reader]
    figures.lines_with_spread(right_ax, FREQUENCIES, of_frequencies, reader, **look)
left_ax.set_xticks(range(4), labels=layers_shown)
left_ax.set(title="Layers", ylabel="accuracy on test digits", ylim=(0, 1.02))
right_ax.set(title="The same information, scrambled", xscale="log")
right_ax.set_xlabel("frequency (radians for each unit of mixed pixels)")
for panel in (left_ax, right_ax):
    panel.axhline(0.1, color="0.4", linestyle=":", label="chance")
left_ax.legend(loc="center")
figures.show(
    fig,
    alt="Left: what a linear probe and nearest neighbours read from pixels and from h2 "
    "untrained, trained on shuffled labels, and trained; both are lowest for shuffled "
    "labels. Right: both fall from nearly all to near chance as the frequency rises.",
    caption="Two readers of the same representations. On the right every map can be "
    "undone, so nothing is lost; what the readers find falls all the same.",
)

# %%
claim(
    "Scrambled at frequency 30, nothing lost, a linear probe reads at most 30 of 100",
    by_frequency["linear probe"][30],
    at_most=0.3,
    control=by_frequency["linear probe"][0.1],
    control_is="the same map at frequency 0.1, where it is nearly straight",
    source="our measurement",
)

# %% [markdown]
# So a reader measures what is easy *for it*. On the left, ask the linear probe, and
# trained $h_2$ tells more than the pixels; ask neighbours, and it tells a little less.
# How strong a probe should be is disputed. Alain and Bengio (2016) and Hewitt and Liang
# (2019) prefer simple ones: a strong probe may learn the task itself. Pimentel et al.
# (2020) want the strongest, to come closer to the information.
#
# Three things, then, wherever someone says that a model "knows" something: **present ≠
# readable ≠ used**.
#
# ## 8. Random rows are a kind exam
#
# So far the test digits were drawn at random, so the same hand is probably in both
# parts. What about *new* writers? Nobody recorded who wrote what. But the file gives a
# hint: about every 130 rows the labels begin the same sequence again, as on a form that
# the next person fills in. So cut it into seven **blocks** of consecutive rows, about
# two forms each, and test on each in turn. The test digits then come from another
# distribution than the training digits: **distribution shift**.


# %%
BLOCKS = {"name": "a held-out block of digits", "shift": "probably other writers"}


def error_on(split, seed, environment):
    network = new_network(seed)
    trained(network, split.train, seed, "blocks or rows", steps=BLOCK_STEPS)
    return 1 - evaluate(network, split.test, environment=environment)


guess_blocks = predict(
    "How many more errors on a held-out block than on as many random rows?",
    ["no more", "up to half as many again", "more than that"],
)

# %%
errors_held_out = []
for seed in SEEDS:
    for k in range(7):
        block = digits.blocks(7, held_out=k, seed=seed, validation=0)
        rows = digits.split(7 * seed + k, test=len(block.test), validation=0)
        on_each = {
            "block": error_on(block, seed, BLOCKS),
            "rows": error_on(rows, seed, ROWS),
        }
        errors_held_out.append({"replicate": seed, "held out": k + 1} | on_each)
held_out = pd.DataFrame(errors_held_out)
mean_error = held_out.groupby("replicate")[["block", "rows"]].mean()
more = (mean_error["block"] / mean_error["rows"]).mean()
print(f"{2 * len(held_out)} networks trained and tested")

# %% tags=["drawing"]
fig, ax = plt.subplots(figsize=(8, 4))
by_block = held_out.pivot(index="replicate", columns="held out", values="block")
columns_drawn = {f"block\n{k}": by_block[k] for k in by_block}
columns_drawn["mean of\nblocks"] = mean_error["block"]
columns_drawn["random rows\n(mean of 7)"] = mean_error["rows"]
figures.dots_with_spread(ax, columns_drawn, paired=False)
ax.axvline(6.5, color="0.4", linestyle=":", label="_divider")
ax.set(ylabel="error on the held-out part", ylim=(0, None))
ax.legend()
figures.show(
    fig,
    alt="Error on each of seven held-out blocks, their mean, and the mean on random "
    "rows. The blocks differ a lot; their mean is far above that of random rows.",
    caption="One dot a replicate. Each time the network was trained on all other rows. "
    "Some blocks are easy, some are not; random rows hide that.",
)

# %%
claim(
    "Averaged over the seven blocks, the error on a held-out block is at least 0.043",
    mean_error["block"],
    at_least=0.043,
    control=mean_error["rows"],
    control_is="the same on as many rows drawn at random",
    scale="log",
    over="initialisation, batches and the random rows; the seven blocks stay",
    source="Koh et al. 2021 (WILDS: shifts in the wild)",
)
guess_blocks.resolve([more <= 1, 1 < more <= 1.5, more > 1.5])

# %% [markdown]
# Read this with care. The claim is about *these* seven blocks: other replicates redraw
# the networks, not the writers. That blocks are other writers is plausible and not
# documented. And seven blocks say little about writers in general: look how far apart
# they are. What you may say: **accuracy on random rows ≠ accuracy where the network
# will be used.**
#
# ## 9. Watch a network make up its mind
#
# Train the first network once more and keep its probabilities for the test digits at
# several moments. Then look at three of them: the right answer of which it is most
# certain after 30 updates; the right answer that it found last; and, of its wrong
# answers at the end, the one of which it is most certain.

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
is_right = snapshots[STEPS].argmax(1) == watched_test.targets
early = snapshots[30][everyone, watched_test.targets]  # probability of the right answer
later = snapshots[100][everyone, watched_test.targets]
certainty = snapshots[STEPS].amax(1)
quick = int(torch.where(is_right, early, 0).argmax())
slow = int(torch.where(is_right, later, 1).argmin())
wrong = int(torch.where(is_right, 0, certainty).argmax())
print(f"{len(snapshots)} snapshots of {len(watched_test)} test digits")

# %% tags=["drawing"]
frames = {}
kinds = {"quick": quick, "slow": slow, "wrong in the end": wrong}
for moment in MOMENTS:
    fig, axes = plt.subplots(2, 3, figsize=(7.5, 4.2), height_ratios=[1, 1.3])
    for column, (kind, place) in enumerate(kinds.items()):
        above, below = axes[:, column]
        target = int(watched_test.targets[place])
        above.imshow(watched_test.inputs[place].reshape(8, 8), cmap="gray_r")
        above.set_title(f"{kind}: label {target}")
        above.axis("off")
        bars = below.bar(range(10), snapshots[moment][place], color="0.7")
        bars[target].set(facecolor=figures.PALETTE[0], hatch="///", edgecolor="white")
        below.set(ylim=(0, 1), xticks=range(10), xlabel="answer")
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
    frames,
    alt=alts,
    caption="Before training the probabilities are nearly even; then they grow peaked. "
    "The hatched bar is the label. The third digit ends on a wrong answer.",
    name="Updates",
)

# %% [markdown]
# The third digit deserves a second look: the network ends **certain and wrong**.
# Softmax makes numbers that add to 1; nothing has checked them on digits outside of
# training. Notebook 08 measures how far such probabilities can be trusted.
#
# ## 10. The record: S = (D, A, Θ, C, E, G)
#
# A deep learning system is more than its parameters. This course describes it by six
# letters: **D**, data; **A**, architecture; **Θ**, the parameters and how they came
# about; **C**, compute; **E**, the environment in which it is used; **G**, governance:
# what is claimed, on which evidence. All of it was recorded while you read, in one
# SQLite file, `outputs/ledger.sqlite`, whose tables are these letters. One query joins
# them. Below is the first run of each experiment: *Θ* is its last loss, *C* its
# seconds, *E* its accuracy on held-out digits where it was recorded, *G* the number of
# claims that name it.


# %% tags=["nbval-ignore-output"]
SYSTEM = """
SELECT experiment, dataset.name AS D, architecture.name AS A, final_loss AS Θ,
       seconds AS C, value AS E,
       (SELECT COUNT(*) FROM claim_run WHERE run_id = training_run.id) AS G
FROM training_run JOIN compute ON compute.run_id = training_run.id
LEFT JOIN evaluation USING (run_id) JOIN split ON split.id = training_run.split_id
JOIN architecture ON architecture.id = architecture_id
JOIN dataset ON dataset.id = dataset_id WHERE session_id = ?"""
record = Ledger().query(SYSTEM, [Ledger().session()])
record.groupby("experiment", sort=False).head(1).round(3)

# %% [markdown]
# ### What a reviewer would ask
#
# - *Who wrote these digits, and did they agree?* The datasheet in `data/digits.md` says
#   what is known. It is not much.
# - *You test on the distribution you train on.* Section 8 begins to answer, with seven
#   blocks and a guess about writers.
# - *Which errors matter?* Accuracy counts all alike. A misread 1 in an amount of money
#   is not a misread 1 in a poll.
# - *Why a network?* Section 5: for the ten digits, no reason.
#
# Notebook 09 asks these questions of everything that you will have trained by then.
#
# ## 11. What you can do now
#
# 1. **Compute** a network's output in three ways that agree (section 1).
# 2. **Derive** the gradient and check it (section 3).
# 3. **Write** the training loop (section 4).
# 4. **State** a claim with replicates, threshold and control, and judge whether a
#    network was needed (section 5); read a claim that fails (section 6).
# 5. **Distinguish** what a layer holds, what is read from it, and what is used
#    (sections 6 and 7).
#
# **Limits of this evidence.** One small data set of 8 × 8 pictures from one project;
# one architecture; five replicates. The blocks are only probably writers. Learning
# rates were chosen once, on validation digits of other replicates. Thresholds come from
# a pilot with 20 other replicates on one machine.
#
# ### Your turn
#
# 1. Set `WIDTH = 8` and run everything again. At which claim does the notebook stop?
#    Write down first which one you expect, and why.
# 2. Probe the *first* hidden layer instead of the second (`[:2]` for `[:4]`). Is the
#    gain from training larger or smaller? Is there a ceiling?
# 3. Set `LEARNING_RATE = 1.6`. The notebook stops early. Which two computations no
#    longer agree, and what does a large rate do to the rounding errors of each update?
# 4. Ask the three readers a fourth question: *is the digit at least 5?* Which of them
#    will fail? Write it down before you run.
#
# ### Scale it up
#
# On a GPU try `WIDTH = 1024`, `REPLICATES = 20`. Do nearest neighbours still lead on
# the ten digits? State your threshold before you look.
#
# ### References
#
# - Alain & Bengio 2016, *Understanding intermediate layers using linear classifier
#   probes*, arXiv:1610.01644
# - Alpaydin & Kaynak 1998, *Optical Recognition of Handwritten Digits*, UCI
# - Cover & Hart 1967, *Nearest neighbor pattern classification*, IEEE Transactions on
#   Information Theory 13
# - Hewitt & Liang 2019, *Designing and interpreting probes with control tasks*, EMNLP
# - Koh et al. 2021, *WILDS: A benchmark of in-the-wild distribution shifts*, ICML
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
