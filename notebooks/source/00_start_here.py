# %% [markdown]
# # What does a neural network learn?
#
# **In one sentence:** a small network that trains for seconds on handwritten digits names digits that it never saw,
# and one of its inner layers then says more about the digit than the same layer did before training. You will measure
# both over five replicates, against two controls: networks that are not trained, and networks trained on shuffled labels.
#
# After this notebook you can
#
# 1. **compute** a network's output with loops, with matrices and with PyTorch, and show that all three agree;
# 2. **derive** the gradient of the loss with the chain rule and check it against PyTorch;
# 3. **write** a training loop without a library;
# 4. **state** a claim that can fail, with its replicates, threshold and control;
# 5. **query** the record that every training run here leaves behind.
#
# **You need** Python and NumPy, vectors and matrices, and the derivative of a function of a function. To refresh them:
# [3Blue1Brown on linear algebra](https://www.3blue1brown.com/topics/linear-algebra) and
# [on calculus](https://www.3blue1brown.com/topics/calculus), or the free book
# [Mathematics for Machine Learning](https://mml-book.github.io), chapters 2 and 5. You need no PyTorch yet.
#
# **Reading:** 60 minutes. **Running:** about 90 seconds on one CPU core.

# %% [markdown]
# ## How to use these notebooks
#
# Run a cell with Shift+Enter, from top to bottom. Three things come back in every notebook:
#
# - **Predict**: you say what you expect *before* you run the experiment. A wrong prediction that you wrote down teaches
#   more than a right answer that you read.
# - **Claim**: a sentence that the measurement supports, or does not. If a claim does not hold, the notebook stops there.
# - **Your turn**: exercises at the end. The labs, which belong between the notebooks, are longer: there you write the code
#   and are told at once what is right and what is not.
#
# A GPU is used where PyTorch finds one, and nothing here needs it: these networks are so small that a GPU hardly helps.
# To choose, set the environment variable `LABKIT_DEVICE` to `cpu` or `cuda` before you start JupyterLab.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from labkit import data, figures, measure
from labkit.evidence import claim, expect_claim_failure, predict
from labkit.ledger import Ledger
from labkit.models import mlp, seeded
from labkit.train import device, evaluate, fit

figures.style()
DEVICE = device()  # the GPU where there is one, else the CPU

# %% [markdown]
# The next cell holds every size of this notebook. Change one, run all cells again, and see what becomes of the claims.

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
WIDTH = 32  # neurons in each hidden layer
BATCH_SIZE = 100
LEARNING_RATE = 0.4
STEPS = 1500  # updates of the main experiment
BLOCK_STEPS = 200  # updates in the last experiment, which trains many networks
TEST_SIZE = 600  # digits held out from training

# %% [markdown]
# ## 1. The way from picture to answer
#
# ### Real digits
#
# `digits` are real handwriting. In the 1990s 43 people filled in forms; these digits are from 13 of them. Each was reduced to
# 8 × 8 grey values. Some are hard for you too.

# %%
digits = data.digits()
fig = figures.digit_grid(digits.inputs[:20], [str(int(label)) for label in digits.targets[:20]])
figures.show(
    fig,
    alt="Two rows of small pictures of handwritten digits, eight by eight grey squares each, with the digit above each.",
    caption="The first twenty digits of the data set, each with its label. Which ones would you have got wrong?",
)

# %% [markdown]
# To the network a digit is a list of 64 numbers between 0 (white) and 1 (black). We call it the **input** $x$. The digit
# that the writer meant is the **target** $y$. Here is the very first one, in tenths:

# %%
x = digits.inputs[0]
print("\n".join(" ".join(f"{round(10 * value):2d}" for value in row) for row in x.reshape(8, 8).tolist()))
print(f"target: {digits.targets[0]}    input: {len(x)} numbers    data set: {len(digits)} digits")

# %% [markdown]
# The data set has a **fingerprint**: a number computed from all its bytes. If a single pixel changes, so does the
# fingerprint. It goes into the record of every model, and it answers the question *trained on what, exactly?*

# %%
print(digits.sha256[:16], "…", digits.licence, "…", digits.datasheet)

# %% [markdown]
# ### One neuron
#
# A neuron multiplies each input by a **weight**, adds the products and a **bias**, and replaces a negative sum by 0. This
# last part is called ReLU. It is what makes a network more than one big weighted sum.
#
# $$ h = \max\Big(0,\ \sum_{i=1}^{64} w_i x_i + b\Big) $$
#
# First as a loop, then as a product of two vectors. They must agree, so we assert it:

# %%
with seeded(BASE_SEED):
    w, b = torch.randn(64) / 8, torch.zeros(())

total = b
for i in range(64):
    total = total + w[i] * x[i]
neuron = max(0.0, total)

torch.testing.assert_close(torch.relu(w @ x + b), torch.as_tensor(neuron))
print("the loop and the product of vectors agree")

# %% [markdown]
# ### A layer is many neurons
#
# Stack the weights of 32 neurons as rows of a matrix $W$, and one product computes all of them, for a whole batch of
# inputs at once:
#
# $$ h_1 = \phi(W_1 x + b_1), \qquad \phi(z) = \max(0, z) $$
#
# The result $h_1$ is a list of 32 numbers: the network's own description of the digit, its first **representation**.
# Neurons → matrix → PyTorch's `nn.Linear`, one rung at a time:

# %%
batch = digits.inputs[:5]
with seeded(BASE_SEED):
    layer = nn.Linear(64, WIDTH)
W, b = layer.weight.detach(), layer.bias.detach()

neuron_by_neuron = torch.tensor([[float(torch.relu(W[j] @ x + b[j])) for j in range(WIDTH)] for x in batch])
with_matrices = torch.relu(batch @ W.T + b)

torch.testing.assert_close(neuron_by_neuron, with_matrices)
torch.testing.assert_close(with_matrices, torch.relu(layer(batch)).detach())
print(
    f"{len(batch)} inputs of {batch.shape[1]} numbers became {len(batch)} representations of {with_matrices.shape[1]}"
)

# %% [markdown]
# ### A network is layers after layers
#
# $$ x \;\to\; h_1 \;\to\; h_2 \;\to\; z $$
#
# The last layer has one number for each of the ten digits, without ReLU. These numbers $z$ are called **logits**. The
# largest one is the answer $\hat y$. All weights and biases together are the **parameters** $\theta$. At first they are
# random.


# %%
def new_network(seed):
    """A fresh network with random parameters: 64 inputs, two hidden layers, 10 logits."""
    with seeded(seed):
        return nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))


network = new_network(BASE_SEED)
n_parameters = sum(parameter.numel() for parameter in network.parameters())
assert n_parameters == 64 * WIDTH + WIDTH + WIDTH * WIDTH + WIDTH + WIDTH * 10 + 10
print(f"{n_parameters} parameters")

# %% [markdown]
# You will build networks like this one often. So `labkit`, the helper module, has them as `mlp` (*multilayer perceptron*,
# their traditional name). Nothing enters `labkit` before a notebook has built it in front of you. Here is the proof that
# it is the same:

# %%
for ours, theirs in zip(new_network(7).parameters(), mlp([64, WIDTH, WIDTH, 10], seed=7).parameters(), strict=True):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
print("labkit.models.mlp draws the very same network")

# %% [markdown]
# ## 2. How wrong is an answer?
#
# ### Softmax and cross-entropy
#
# Logits can be any numbers. **Softmax** turns them into probabilities: positive, and with sum 1.
# **Cross-entropy** is the loss: how surprised is the network by the right answer?
#
# $$ p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad \text{loss} = -\log p_y $$
#
# Three logits, by hand. The target is class 0, which got the largest one:

# %%
z, y = torch.tensor([2.0, 1.0, -1.0]), 0

exponentials = [np.exp(float(value)) for value in z]
p = [value / sum(exponentials) for value in exponentials]
loss = -np.log(p[y])

torch.testing.assert_close(torch.tensor(p), torch.softmax(z, dim=0), check_dtype=False)
torch.testing.assert_close(torch.tensor(loss), F.cross_entropy(z, torch.tensor(y)), check_dtype=False)
print("probabilities:", " ".join(f"{value:.3f}" for value in p), f"   loss: {loss:.3f}")

# %% [markdown]
# A loss of 0 would mean: certain and right. Whoever spreads the probability evenly over ten digits pays
# $\log 10 \approx 2.303$. An untrained network does about that:

# %%
untrained_loss = F.cross_entropy(network(digits.inputs), digits.targets).item()
assert abs(untrained_loss - np.log(10)) < 0.2
print(f"even guessing costs {np.log(10):.3f}; the untrained network is within 0.2 of that")

# %% [markdown]
# The formula has a trap. Write it down as it stands, and large logits break it. The cure: subtract the largest logit
# first. The probabilities stay the same, since the factor cancels, and no exponential can overflow.

# %%
large = torch.tensor([1000.0, 0.0, -1000.0])
as_written = large.exp() / large.exp().sum()
shifted = (large - large.max()).exp()
print("as written:     ", as_written.tolist())
print("largest removed:", (shifted / shifted.sum()).tolist())

# %% [markdown]
# ## 3. Which way is downhill?
#
# Training changes every parameter a little, so that the loss falls. For that you need the **gradient**: how much does the
# loss change when you nudge a parameter?
#
# You could nudge each one and look. The chain rule gets all of them in one sweep, from the loss back to the input. It
# starts with a result worth remembering. The gradient with respect to the logits is *what the network said minus
# what is true*:
#
# $$ \frac{\partial\,\text{loss}}{\partial z} = p - \text{onehot}(y) $$
#
# Then, layer by layer: through the weights with $W^\top$, and through ReLU only where it was not 0. This is
# **backpropagation**.


# %%
def gradient_by_hand(network, x, y):
    """Gradients of the mean loss for each parameter, in the network's order, by the chain rule."""
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    inputs = [x]  # what each layer is given
    for layer in layers[:-1]:
        inputs.append(torch.relu(inputs[-1] @ layer.weight.T + layer.bias))
    z = inputs[-1] @ layers[-1].weight.T + layers[-1].bias

    delta = (torch.softmax(z, dim=1) - F.one_hot(y, 10)) / len(x)  # gradient with respect to the logits
    gradients = []
    for layer, given in zip(reversed(layers), reversed(inputs), strict=True):
        gradients = [delta.T @ given, delta.sum(0), *gradients]
        delta = (delta @ layer.weight) * (given > 0)  # one layer back, and through its ReLU
    return gradients


# %% [markdown]
# Two checks. A nudge of one single weight must change the loss by what the gradient says. And PyTorch's `backward`, which
# applies the same chain rule to any program, must agree in every one of the parameters.

# %%
precise = new_network(BASE_SEED).double()  # 64-bit numbers, so that the nudge can be tiny
inputs, targets = digits.inputs[:100].double(), digits.targets[:100]
with torch.no_grad():
    gradients = gradient_by_hand(precise, inputs, targets)

mean_loss = F.cross_entropy(precise(inputs), targets)
mean_loss.backward()
for ours, parameter in zip(gradients, precise.parameters(), strict=True):
    torch.testing.assert_close(ours, parameter.grad)

with torch.no_grad():
    nudge = 1e-6
    precise[4].weight[3, 5] += nudge
    slope = (F.cross_entropy(precise(inputs), targets) - mean_loss) / nudge
torch.testing.assert_close(slope, gradients[4][3, 5], rtol=1e-3, atol=1e-7)
print(f"chain rule, backward() and nudging agree on {sum(g.numel() for g in gradients)} gradients and 1 nudge")

# %% [markdown]
# ## 4. Training, in plain sight
#
# Training repeats one update: take a small random **batch** of examples, compute the gradient $g$ of its mean loss, and
# step downhill.
#
# $$ \theta \leftarrow \theta - \eta\, g $$
#
# $\eta$ is the **learning rate**. One pass through all examples is an **epoch**, and each epoch draws a new random order.
# That is all. It is called *stochastic gradient descent*.


# %%
def train_by_hand(network, inputs, targets, steps, seed):
    """Stochastic gradient descent; returns the loss of every batch."""
    generator = torch.Generator().manual_seed(seed)
    losses = []
    while len(losses) < steps:
        order = torch.randperm(len(inputs), generator=generator)  # a new epoch
        for start in range(0, len(inputs) - BATCH_SIZE + 1, BATCH_SIZE):
            if len(losses) == steps:
                break
            batch = order[start : start + BATCH_SIZE]
            loss = F.cross_entropy(network(inputs[batch]), targets[batch])
            network.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter -= LEARNING_RATE * parameter.grad
            losses.append(loss.item())
    return losses


# %% [markdown]
# Before you train, set some digits aside. A network can learn its training digits by heart, so only digits that it never
# saw tell you what it can do. They are the **test** examples. The rows are drawn at random:

# %%
split = digits.split(BASE_SEED, test=TEST_SIZE, validation=0)
train, test = split.train, split.test

by_hand = new_network(BASE_SEED)
losses = train_by_hand(by_hand, train.inputs, train.targets, steps=200, seed=BASE_SEED)
assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2
print(f"{len(train)} digits to train on, {len(test)} to test on; the loss has more than halved")

# %% [markdown]
# `labkit.fit` is this loop, with a progress bar, error messages and a record in the ledger. Given the same network and
# seed it must end at the same parameters:

# %%
with_labkit = new_network(BASE_SEED)
settings = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "optimizer": "sgd"}
fit(with_labkit, train, steps=200, seed=BASE_SEED, device="cpu", experiment="same as by hand", **settings)

for ours, theirs in zip(by_hand.parameters(), with_labkit.parameters(), strict=True):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
print("labkit.fit arrives at the same parameters as the loop above")

# %% [markdown]
# ## 5. Does it recognise digits that it never saw?
#
# **Accuracy** is the share of right answers. Ten digits are about equally frequent, so guessing gets about 0.1: this is
# **chance**. Commit yourself before you run on:

# %%
guess_accuracy = predict(
    "The network has seen about 1,200 digits. What share of new digits will it name correctly?",
    ["less than 60 %", "60 % to 90 %", "more than 90 %"],
)

# %% [markdown]
# One training run is an anecdote. You do not know what luck did: which digits were held out, how the parameters started,
# in which order the batches came. So the experiment is repeated with everything random drawn afresh. One such repetition
# is a **replicate**. The experiment is a function of its seed, and of nothing else. (Here the replicates are trained one
# after the other. Notebook 01 trains them all at once.)


# %%
def run(seed, shuffle_labels=False):
    """One replicate: new split, new parameters, new batches. Returns the network and its data."""
    split = digits.split(seed, test=TEST_SIZE, validation=0)
    train, experiment = split.train, "true labels"
    if shuffle_labels:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
        train = train.replace(targets=train.targets[order], transform="labels shuffled")
        experiment = "shuffled labels"
    network = new_network(seed)
    history = fit(network, train, steps=STEPS, seed=seed, device=DEVICE, experiment=experiment, **settings)
    accuracy = evaluate(network, split.test, environment="held-out digits, random rows")
    return {"network": network, "split": split, "history": history, "accuracy": accuracy, "seed": seed}


SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
trained = [run(seed) for seed in SEEDS]

# %% [markdown]
# How do you know that the training did it, and not something trivial? Take away the one thing that should matter. For
# the **control** the labels of the training digits are shuffled: same pictures, same network, same number of updates, but
# no connection between picture and label.

# %%
shuffled = [run(seed, shuffle_labels=True) for seed in SEEDS]

# %% tags=["drawing"]
fig, ax = plt.subplots()
for runs, label in ((trained, "true labels"), (shuffled, "shuffled labels")):
    curves = np.array([r["history"].loss.reshape(-1, 25).mean(1) for r in runs])
    figures.lines_with_spread(ax, 25 * (1 + np.arange(curves.shape[1])), curves, label)
ax.axhline(np.log(10), color="0.4", linestyle=":", label="even guessing: log 10")
ax.set(xlabel="updates", ylabel="training loss (nats)")
ax.legend()
figures.show(
    fig,
    alt="Training loss against updates. With true labels it falls close to zero. With shuffled labels it falls slowly "
    "and stays high.",
    caption="Training loss, averaged over 25 updates at a time; thin lines are replicates. True labels are learned "
    "quickly, shuffled ones hardly in this time.",
)

# %% [markdown]
# Now the claim. Read it aloud: a **statement**; one number for each **replicate**; a **threshold**, set beforehand from
# *other* replicates (the pilot, in `data/results/`); the **control**; and the **source** of the idea. It holds when the mean
# is on the right side of the threshold, and so is the near end of its 90 % interval. And it counts for nothing when the
# control reaches the threshold, too.

# %%
accuracy = np.array([r["accuracy"] for r in trained])
accuracy_shuffled = np.array([r["accuracy"] for r in shuffled])

claim(
    "The network names at least nine of ten digits that it never saw",
    accuracy,
    at_least=0.9,
    control=accuracy_shuffled,
    control_is="the same network trained on shuffled labels",
    source="Alpaydin & Kaynak 1998 (the data); LeCun et al. 1998 (learning digits from pixels)",
    runs=[r["network"].run_id for r in trained],
)
share = accuracy.mean()
guess_accuracy.resolve([share < 0.6, 0.6 <= share <= 0.9, share > 0.9])

# %% [markdown]
# Look at what it gets wrong, always. A number hides which errors there are.

# %%
first = trained[0]
test = first["split"].test
with torch.no_grad():
    answers = first["network"](test.inputs.to(DEVICE)).argmax(1).cpu()
wrong = torch.nonzero(answers != test.targets).flatten()[:10]
titles = [f"{int(test.targets[i])}, said {int(answers[i])}" for i in wrong]

# %% tags=["drawing"]
figures.show(
    figures.digit_grid(test.inputs[wrong], titles),
    alt="Test digits that the network names wrongly, each with the right digit and the network's answer above it.",
    caption="Up to ten errors of the first replicate on its test digits. Many of them are not easy for a human reader.",
)

# %% [markdown]
# ## 6. What did training do to the hidden layer?
#
# The network answers well. But what has become of its representations? The classical test is a **linear probe**: freeze
# the network, and ask how well a *linear* map reads the digit from $h_2$. The map is fitted on the training digits by
# ridge regression (least squares that prefers small weights), and scored on the test digits. It has a closed form:


# %%
def probe_by_hand(train_h, train_y, test_h, test_y, penalty=1e-3):
    """Accuracy of ridge regression from a representation to one-hot labels."""
    mean_h, Y = train_h.mean(0), F.one_hot(train_y, 10).double()
    H = train_h - mean_h
    covariance = H.T @ H / len(H)
    ridge = penalty * covariance.diagonal().mean() * torch.eye(len(covariance))
    W = torch.linalg.solve(covariance + ridge, H.T @ (Y - Y.mean(0)) / len(H))
    answers = ((test_h - mean_h) @ W + Y.mean(0)).argmax(1)
    return (answers == test_y).double().mean().item()


def second_layer(network, inputs):
    """The representation h2 of each input."""
    with torch.no_grad():
        return network[:4](inputs.to(next(network.parameters()).device)).cpu().double()


train, test = first["split"].train, first["split"].test
representations = second_layer(first["network"], train.inputs), second_layer(first["network"], test.inputs)
ours = probe_by_hand(representations[0], train.targets, representations[1], test.targets)
theirs = measure.linear_probe(representations[0], train.targets, representations[1], test.targets)
assert abs(ours - theirs) <= 1 / len(test), "the probes may differ by one digit at most (rounding)"
print("the probe by hand agrees with labkit.measure.linear_probe")

# %% [markdown]
# A probe that reads nine digits of ten proves little by itself. Perhaps it could do so *before* training? The fair
# comparison is with the **same layer, untrained**: same split, same width, only the training missing. So the numbers come
# in pairs, and the claim is about their differences. (How readable a random layer is depends on luck. So each replicate
# takes the mean of ten random starts.)

# %%
guess_probe = predict(
    "From which representation does a linear probe read the digit best?",
    ["h2 before training", "h2 after training", "no clear difference"],
)


# %%
def probe(represent, split):
    """Accuracy of a linear probe on `represent(inputs)`, fitted on the training and scored on the test digits."""
    train, test = split.train, split.test
    return measure.linear_probe(represent(train.inputs), train.targets, represent(test.inputs), test.targets)


def probe_layer(network, split):
    return probe(lambda inputs: second_layer(network, inputs), split)


def untrained_probe(seed, split):
    """The mean over ten random starts, the network's own start first: one start alone is a matter of luck."""
    return np.mean([probe_layer(new_network(seed + 10_000 * start), split) for start in range(10)])


probes = {
    "pixels": [probe(lambda inputs: inputs, r["split"]) for r in trained],
    "h2, untrained": [untrained_probe(r["seed"], r["split"]) for r in trained],
    "h2, trained on\nshuffled labels": [probe_layer(r["network"], r["split"]) for r in shuffled],
    "h2, trained": [probe_layer(r["network"], r["split"]) for r in trained],
}
before, control, after = (np.array(probes[name]) for name in list(probes)[1:])

# %% tags=["drawing", "readme-picture"]
fig, ax = plt.subplots()
figures.dots_with_spread(ax, probes)
ax.set(ylabel="accuracy of the linear probe")
ax.legend()
figures.show(
    fig,
    alt="Accuracy of linear probes for four representations. Trained h2 is best, then the pixels; untrained h2 and h2 "
    "trained on shuffled labels are lower and about equal.",
    caption="One dot a replicate; grey lines join the same replicate. Training with true labels lifts the layer in every "
    "replicate; training with shuffled labels does not.",
)

# %%
claim(
    "Training raises the probe on the second hidden layer by at least five points",
    after - before,
    at_least=0.05,
    control=control - before,
    control_is="the same gain for the network trained on shuffled labels",
    source="Alain & Bengio 2016 (linear classifier probes)",
    runs=[r["network"].run_id for r in trained],
)
gain = (after - before).mean()
guess_probe.resolve([gain < -0.02, gain > 0.02, abs(gain) <= 0.02])

# %% [markdown]
# ### Why not simply compare with the pixels?
#
# You have seen that $h_2$ is more readable than the pixels. Does that show that something was learned? Look at layers
# that have learned *nothing*, at different widths:


# %%
def untrained_layer(width, seed):
    """One layer with random parameters, never trained."""
    layer = mlp([64, width, 10], seed=seed)[:2]
    return lambda inputs: layer(inputs).detach()


WIDTHS = [16, 32, 64, 128, 256, 512]
by_width = np.array([[probe(untrained_layer(w, r["seed"]), r["split"]) for w in WIDTHS] for r in trained])

# %% tags=["drawing"]
fig, ax = plt.subplots()
figures.lines_with_spread(ax, WIDTHS, by_width, "an untrained layer")
ax.axhline(np.mean(probes["pixels"]), color="0.4", linestyle=":", label="the pixels themselves (mean)")
ax.set_xscale("log", base=2)
ax.set_xticks(WIDTHS, labels=[str(w) for w in WIDTHS])
ax.set(xlabel="width of the layer (neurons)", ylabel="accuracy of the linear probe")
ax.legend()
figures.show(
    fig,
    alt="Probe accuracy of an untrained layer rises with its width and crosses the line of the pixels.",
    caption="A wide random layer beats the pixels without any training: it offers the linear map more, and curved, "
    "features to choose from.",
)

# %%
pixels = np.array(probes["pixels"])
claim(
    "A probe on an untrained layer of 512 neurons beats one on the pixels",
    by_width[:, WIDTHS.index(512)] - pixels,
    at_least=0,
    control=by_width[:, WIDTHS.index(32)] - pixels,
    control_is="the same difference for an untrained layer of 32 neurons",
    source="Rahimi & Recht 2007 (random features)",
)

# %% [markdown]
# So "better than the pixels" is no evidence of learning. The right control lacks one thing only: the training.
#
# ### A claim that fails
#
# Is it then true that training *always* makes a layer more readable? Test it on the wide layer. A claim that does not
# hold stops the notebook, as it should. To show you one, we announce it: `expect_claim_failure` lets the notebook go on,
# and would complain if the claim held after all.


# %%
def gain_from_training(seed):
    """Replicate: probe on a trained layer of 512 neurons minus the probe on the same layer, untrained."""
    split = digits.split(seed, test=TEST_SIZE, validation=0)
    network = mlp([64, 512, 10], seed=seed)
    fit(network, split.train, steps=300, seed=seed, device="cpu", experiment="wide layer", **settings)
    return probe(lambda inputs: network[:2](inputs).detach(), split) - probe(untrained_layer(512, seed), split)


wide_gain = np.array([gain_from_training(seed) for seed in SEEDS])
with expect_claim_failure():
    claim(
        "Training raises the probe on a layer of 512 neurons by at least one point",
        wide_gain,
        at_least=0.01,
        no_control="a demonstration; the untrained layer is in the difference",
        source="the sentence that you would like to be true",
    )

# %% [markdown]
# Read the interval: the gain may be a little above zero or none; it is not a full point. On this data a wide layer is
# nearly as readable at random as a linear map can use. What you may say is narrower than what you hoped: *in a layer of
# 32 neurons* training adds much. "Training improves representations" has a scope, and a control found it.
#
# ## 7. A puzzle: the layer knows more than the network
#
# Look at the figure of the probes again, at the networks trained on shuffled labels. What do these *networks* answer on
# test digits, and what does a *probe* read from their second layer?

# %%
guess_puzzle = predict(
    "A network was trained on shuffled labels. What holds for test digits?",
    ["network and probe both at chance", "network at chance, probe far above", "both far above chance"],
)

# %% tags=["drawing"]
fig, ax = plt.subplots()
figures.dots_with_spread(
    ax,
    {"the network's\nown answer": accuracy_shuffled, "a probe on its h2": control, "a probe on\nuntrained h2": before},
)
ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
ax.set(ylabel="accuracy on test digits", ylim=(0, 1))
ax.legend()
figures.show(
    fig,
    alt="Networks trained on shuffled labels: their own answers are near the line of chance, a probe on their second "
    "layer is far above, about as high as for an untrained layer.",
    caption="The same layer, read in two ways. One dot a replicate.",
)

# %%
shuffled_ids = [r["network"].run_id for r in shuffled]
claim(
    "Trained on shuffled labels, the network itself stays near chance (0.1)",
    accuracy_shuffled,
    at_most=0.25,
    control=accuracy,
    control_is="the same network trained on true labels",
    source="Zhang et al. 2017 (random labels)",
    runs=shuffled_ids,
)
claim(
    "Yet a probe reads the digit from its second layer",
    control,
    at_least=0.6,
    control=accuracy_shuffled,
    control_is="the accuracy of the same networks' own answers",
    source="Alain & Bengio 2016; Hewitt & Liang 2019 (what probes do not show)",
    runs=shuffled_ids,
)
own_answer, by_probe = accuracy_shuffled.mean(), control.mean()
guess_puzzle.resolve([max(own_answer, by_probe) <= 0.3, own_answer <= 0.3 < by_probe, own_answer > 0.3])

# %% [markdown]
# How can that be? The answer is in who reads. The network's own last layer was fitted to shuffled labels, so it reads
# noise. The probe is fitted afterwards, to *true* labels. The information was never gone: a random layer mixes the
# pixels, but mixing destroys little. Training on noise neither put the digit into the layer nor took it out.
#
# Two lessons. **What can be read from a layer ≠ what the network uses.** And the baseline of a probe is an untrained
# layer, not zero. You will meet both wherever someone says that a model "knows" something.
#
# ## 8. Random rows are a kind exam
#
# So far the test digits were drawn at random, so the same hand is probably in both parts. What about *new* writers? The
# data set does not say who wrote what. But its file gives a hint: about every 130 rows the labels begin the same sequence
# again, as on a form that the next person fills in. So cut the file into seven **blocks** of consecutive rows, about two
# forms each, and test on each block in turn. The test examples then come from another distribution than the training
# examples. This is called **distribution shift**.

# %%
guess_blocks = predict(
    "How does the accuracy on a held-out block compare with that on random rows?",
    ["the same within a point", "one to ten points lower", "more than ten points lower"],
)


# %% [markdown]
# This takes many networks, so they are trained with **Adam**, a relative of the update above that adapts the size of the
# step for each parameter and needs fewer of them. Lab 3 opens it.

# %%
quick = {"batch_size": BATCH_SIZE, "learning_rate": 0.01, "optimizer": "adam"}


def accuracy_on(split, seed, environment):
    network = new_network(seed)
    fit(network, split.train, steps=BLOCK_STEPS, seed=seed, device=DEVICE, experiment="blocks or rows", **quick)
    return evaluate(network, split.test, environment=environment)


def blocks_and_rows(seed):
    """One replicate: accuracy on each of seven held-out blocks, and on seven random sets of the same sizes."""
    on_blocks, on_rows = [], []
    for k in range(7):
        blocks = digits.blocks(7, held_out=k, seed=seed, validation=0)
        rows = digits.split(7 * seed + k, test=len(blocks.test), validation=0)
        new_writers = {"name": "a held-out block of digits", "shift": "probably other writers"}
        on_blocks.append(accuracy_on(blocks, seed, new_writers))
        on_rows.append(accuracy_on(rows, seed, "held-out digits, random rows"))
    return on_blocks, on_rows


on_blocks, on_rows = np.moveaxis([blocks_and_rows(seed) for seed in SEEDS], 1, 0)  # each [replicates, 7]
print(f"{on_blocks.size + on_rows.size} networks trained and tested")

# %% tags=["drawing"]
fig, ax = plt.subplots()
columns = {f"block {k + 1}": on_blocks[:, k] for k in range(7)} | {"random rows\n(mean of 7)": on_rows.mean(1)}
figures.dots_with_spread(ax, columns, paired=False)
ax.set(ylabel="accuracy on the held-out part")
ax.legend()
figures.show(
    fig,
    alt="Accuracy on each of seven held-out blocks and on random rows. The blocks differ a lot; random rows are above "
    "the average block.",
    caption="One dot a replicate. Each time the network was trained on the other six blocks. Some blocks are easy, some "
    "are not; random rows hide that.",
)

# %%
gap = on_rows.mean(1) - on_blocks.mean(1)
claim(
    "Averaged over seven blocks, accuracy on a held-out block is at least one point below that on random rows",
    gap,
    at_least=0.01,
    no_control="the random rows are the control; the claim is about the difference",
    over="initialisation, batches and the random rows; the seven blocks are what they are",
    source="Koh et al. 2021 (WILDS: shifts in the wild); Alpaydin & Kaynak 1998 (the data)",
)
lower = gap.mean()
guess_blocks.resolve([lower < 0.01, 0.01 <= lower <= 0.1, lower > 0.1])

# %% [markdown]
# Read this with care. The claim is about *these* seven blocks: other replicates redraw the networks, not the writers. That
# blocks are other writers is plausible and not documented. And seven blocks say little about writers in general: look at
# how far apart they are. What you may say: **accuracy on random rows ≠ accuracy where the network will be used.**
#
# ## 9. Watch a network make up its mind
#
# Train one more network and keep its probabilities for the test digits at several moments. Move the sliders: choose a
# digit and a moment.

# %%
MOMENTS = [0, 10, 30, 100, 300, STEPS]
snapshots = []


def keep_probabilities(step, model):
    snapshots.append(torch.softmax(model(test.inputs.to(DEVICE)), dim=1).cpu())


watched = new_network(BASE_SEED)
fit(
    watched,
    train,
    steps=STEPS,
    seed=BASE_SEED,
    device=DEVICE,
    experiment="watched",
    callback=keep_probabilities,
    callback_steps=MOMENTS,
    **settings,
)
# The test digit whose right answer took the network longest: the lowest probability after 100 updates.
hesitant = int(snapshots[3][torch.arange(len(test)), test.targets].argmin())
print(f"{len(snapshots)} snapshots of {len(test)} test digits")


# %% tags=["drawing"]
def draw_mind(digit, moments):
    """The digit, and the network's probabilities for the ten answers at each of the moments."""
    fig, axes = plt.subplots(1, 1 + len(moments), figsize=(1.6 * (1 + len(moments)), 2.2))
    axes[0].imshow(test.inputs[digit].reshape(8, 8), cmap="gray_r")
    axes[0].set(title=f"test digit: {int(test.targets[digit])}", xticks=[], yticks=[])
    for ax, moment in zip(axes[1:], moments, strict=True):
        ax.bar(range(10), snapshots[MOMENTS.index(moment)][digit], label="probability")
        ax.set(title=f"update {moment}", ylim=(0, 1), xticks=range(10))
        ax.tick_params(labelsize=7)
    axes[1].set(xlabel="answer", ylabel="probability")
    return fig


figures.show(
    draw_mind(hesitant, MOMENTS),
    alt="A test digit and six bar charts of the network's probabilities for the ten answers, from before training to the "
    "end of it. They start even and become peaked.",
    caption="The digit that the network found hardest after a hundred updates. It starts undecided and ends decided, "
    "rightly or not.",
)

# %% tags=["nbval-ignore-output"]
import ipywidgets as widgets
from IPython.display import display


def show_mind(digit, moment):
    plt.close(fig := draw_mind(digit, [moment]))
    display(fig)


controls = {
    "digit": widgets.IntSlider(hesitant, 0, len(test) - 1, description="test digit"),
    "moment": widgets.SelectionSlider(options=MOMENTS, value=STEPS, description="updates"),
}
display(widgets.VBox([*controls.values(), widgets.interactive_output(show_mind, controls)]))

# %% [markdown]
# ## 10. The record: S = (D, A, Θ, C, E, G)
#
# A deep learning system is more than its parameters. This course describes it by six letters:
#
# | letter | what | in this notebook |
# |---|---|---|
# | **D** | data | 1797 digits, their fingerprint, licence and splits |
# | **A** | architecture | 64 → 32 → 32 → 10 with ReLU |
# | **Θ** | parameters, and how they came about | seeds, learning rate, updates, final loss |
# | **C** | compute | device, threads, seconds, floating-point operations |
# | **E** | environment: where it is used, and how well | random rows, held-out blocks |
# | **G** | governance: what is claimed, by whom, on which evidence | claims, your predictions |
#
# All of it was recorded while you read, in one SQLite file, `outputs/ledger.sqlite`. Its tables are these letters. One
# query joins them for the runs of this notebook:

# %% tags=["nbval-ignore-output"]
SYSTEM = """
SELECT training_run.id, experiment, dataset.name AS D, split.transform AS "D: changed", architecture.name AS A,
       training_run.final_loss AS "Θ: final loss", compute.device AS C, compute.seconds AS "C: seconds",
       environment.name AS E, evaluation.value AS "E: accuracy",
       (SELECT COUNT(*) FROM claim_run WHERE run_id = training_run.id) AS "G: claims"
FROM training_run
JOIN architecture ON architecture.id = architecture_id
JOIN split ON split.id = training_run.split_id
JOIN dataset ON dataset.id = split.dataset_id
JOIN compute ON compute.run_id = training_run.id
LEFT JOIN evaluation ON evaluation.run_id = training_run.id
LEFT JOIN environment ON environment.id = environment_id
WHERE session_id = ?
ORDER BY training_run.id
"""
ledger = Ledger()
record = ledger.query(SYSTEM, [ledger.session()])
record.groupby("experiment", sort=False).head(2).round(3)

# %% [markdown]
# Nobody had to remember to write this down. Is it complete? Every network that this notebook trained must be there:

# %%
expected = 1 + 2 * REPLICATES + REPLICATES + 2 * 7 * REPLICATES + 1
recorded = len(record) >= expected and record["D: changed"].str.contains("shuffled").sum() >= REPLICATES
summary = f"{expected} training runs, {REPLICATES} of them on shuffled labels: all recorded"
print(summary if recorded else "Some runs are not recorded: can outputs/ be written to?")

# %% [markdown]
# ### What a reviewer would ask
#
# - *Who wrote these digits, and did they agree?* The datasheet in `data/digits.md` says what is known. It is not much.
# - *You test on the distribution you train on.* Section 8 begins to answer, with seven blocks and a guess about writers.
# - *Which errors matter?* Accuracy counts all alike. A misread 1 in an amount of money is not a misread 1 in a poll.
# - *Could you reproduce run 7?* Its row names data, split, seed and settings, the versions, and the hash of labkit's code.
#
# Notebook 09 asks these questions of everything that you will have trained by then.

# %% [markdown]
# ## 11. What you can do now
#
# 1. **Compute** a network's output in three ways that agree (section 1).
# 2. **Derive** the gradient and check it (section 3).
# 3. **Write** the training loop (section 4).
# 4. **State** a claim with replicates, threshold and control, and read one that fails (sections 5 to 7).
# 5. **Query** the ledger (section 10).
#
# **Limits of this evidence.** One small data set of 8 × 8 pictures from one project; one architecture; five replicates.
# A probe shows what a linear map *can* read, not what the network uses. The blocks are only probably writers. Thresholds
# come from a pilot with 20 other replicates on one machine.
#
# ### Your turn
#
# 1. Set `WIDTH = 8` and run everything again. Which claims still hold? Say first which ones you expect to fail.
# 2. Probe the *first* hidden layer instead of the second (`network[:2]`). Is the gain from training larger or smaller?
# 3. Set `LEARNING_RATE = 2`. The notebook stops early: at which check, and what has happened to the loss? Then find the
#    largest rate at which all claims hold.
#
# ### Scale it up
#
# On a GPU try `WIDTH = 1024`, `STEPS = 20_000`, `REPLICATES = 20`. Does the wide layer gain from training when training
# goes on for long enough? State your threshold before you look.
#
# ### References
#
# - Alain & Bengio 2016, *Understanding intermediate layers using linear classifier probes*, arXiv:1610.01644
# - Alpaydin & Kaynak 1998, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository
# - LeCun, Bottou, Bengio & Haffner 1998, *Gradient-based learning applied to document recognition*, Proc. IEEE 86(11)
# - Hewitt & Liang 2019, *Designing and interpreting probes with control tasks*, EMNLP
# - Koh et al. 2021, *WILDS: A benchmark of in-the-wild distribution shifts*, ICML
# - Rahimi & Recht 2007, *Random features for large-scale kernel machines*, NeurIPS
# - Rumelhart, Hinton & Williams 1986, *Learning representations by back-propagating errors*, Nature 323
# - Zhang et al. 2017, *Understanding deep learning requires rethinking generalization*, ICLR
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook:
# [01, *What shape is a representation?*](01_representation.ipynb)
