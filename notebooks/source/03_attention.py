# %% [markdown]
# # How does attention route information?
#
# **In one sentence:** attention lets every position of a sequence fetch what it needs from other positions; you build it
# from loops to a transformer, watch a two-layer network suddenly learn to copy from its context where a one-layer network
# does not, and find that the weights that did the routing can be exchanged without changing an answer. Each is measured
# over five replicates, against networks that lack the scaling, the positions, the second layer or the changing period.
#
# After this notebook you can
#
# 1. **build** attention and a transformer block from loops, and prove that they equal PyTorch's;
# 2. **derive** why scores are divided by $\sqrt{d_k}$, and measure what happens otherwise;
# 3. **show** that attention without positions cannot know order, and give it positions in three ways;
# 4. **find** an induction head, and say why its score alone proves nothing;
# 5. **count** what attention costs;
# 6. **test** whether attention weights explain an answer, and report both sides of that debate.
#
# **You need** notebooks 00 to 02: replicate, claim, control, Adam, residual connection, normalisation. Lab 6
# (recurrent networks) belongs before section 6; its idea is given there in three sentences. From mathematics: the softmax
# of notebook 00, variance.
#
# **Reading:** 70 minutes. **Running:** about 115 seconds on one CPU core.

# %%
import copy
import math

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from scipy.stats import kendalltau
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labkit import data, figures, measure
from labkit.evidence import claim, predict
from labkit.ledger import Ledger
from labkit.models import Attention, Block, Transformer, seeded, sinusoidal
from labkit.train import device, evaluate, fit

figures.style()
DEVICE = device()

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
HEAD_WIDTH = 256  # numbers in a query or key, where the effect of scaling on training is measured
LOOKUP_STEPS = 90
RATES = [0.01, 0.03, 0.1]  # learning rates to choose from
ORDER_STEPS = 120
INDUCTION_STEPS = 250
FIXED_STEPS = 200  # updates of the control with one fixed period
TEXT_STEPS = 120
WORDS = 16  # in a text
COST_LENGTHS = [256, 512, 1024, 2048]  # sequence lengths; one score matrix of the longest takes 67 MB

# %% [markdown]
# ## 1. From loops to a transformer
#
# ### A tensor that you can read
#
# A **token** is one element of a sequence: a word, a letter, a patch of a picture. A **token embedding** turns it into a
# list of numbers. Here are six tokens with three numbers each, so simple that each number has a meaning. Real embeddings are
# learned, and their numbers have none.

# %%
words = ["the", "cat", "saw", "the", "dog", "run"]
X = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
print("token  article  animal  action")
for word, row in zip(words, X.int().tolist(), strict=True):
    print(f"{word:5s}{row[0]:9d}{row[1]:8d}{row[2]:8d}")

# %% [markdown]
# A feed-forward network (`mlp`) would treat each row alone. **Self-attention** lets the rows talk. From its own row $x_i$,
# each token makes three things:
#
# - a **query** $q_i = x_i W_Q$: what am I looking for?
# - a **key** $k_i = x_i W_K$: what can I be found by?
# - a **value** $v_i = x_i W_V$: what do I hand over?
#
# The **score** of token $j$ for token $i$ is $q_i \cdot k_j / \sqrt{d_k}$, where $d_k$ is the number of entries in a key. A
# softmax turns the scores of a row into weights with sum 1, and token $i$ receives the weighted mean of all values:
#
# $$ \mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V $$
#
# Let actions look for animals ("who?"), and all other tokens look for nothing. First with loops, then with matrices:

# %%
W_Q = torch.zeros(3, 3)
W_Q[2, 1] = 3.0  # an action's query asks for "animal"
W_K = W_V = torch.eye(3)
Q, K, V = X @ W_Q, X @ W_K, X @ W_V


def attention_by_loops(Q, K, V):
    """Returns the outputs [T, d] and the weights [T, T]."""
    outputs, weights = torch.zeros_like(V), torch.zeros(len(Q), len(K))
    for i in range(len(Q)):
        scores = [float(Q[i] @ K[j]) / math.sqrt(K.shape[1]) for j in range(len(K))]
        total = sum(math.exp(score) for score in scores)
        for j in range(len(K)):
            weights[i, j] = math.exp(scores[j]) / total
            outputs[i] += weights[i, j] * V[j]
    return outputs, weights


outputs, weights = attention_by_loops(Q, K, V)
for i in (2, 0):
    print(f"'{words[i]}' takes from", "  ".join(f"{word} {w:.2f}" for word, w in zip(words, weights[i], strict=True)))

with_matrices = torch.softmax(Q @ K.T / math.sqrt(K.shape[1]), dim=1) @ V
torch.testing.assert_close(with_matrices, outputs)
torch.testing.assert_close(F.scaled_dot_product_attention(Q[None], K[None], V[None])[0], outputs)
print("loops, matrices and F.scaled_dot_product_attention agree")

# %% [markdown]
# "saw" takes most from "cat" and "dog". "the" asks for nothing, so all its scores are equal and it takes the plain mean. The
# last lines compute the same with matrices and with PyTorch's own function.
#
# Note what is *not* there: a fixed connection from place 3 to place 2. The connection is computed from the tokens, anew for
# every sequence. That is what *routing* means here.
#
# ### Looking back only
#
# A language model predicts the next token. It must not look at it. A **causal mask** sets the score of every later token to
# $-\infty$, so that softmax gives it exactly 0:

# %%
later = torch.ones(6, 6, dtype=torch.bool).triu(1)  # True above the diagonal: column j comes after row i
causal = torch.softmax((Q @ K.T / math.sqrt(3)).masked_fill(later, -torch.inf), dim=1)

one_by_one = torch.stack([attention_by_loops(Q[: i + 1], K[: i + 1], V[: i + 1])[0][i] for i in range(6)])
torch.testing.assert_close(causal @ V, one_by_one)  # row i as if the sequence ended there
library = F.scaled_dot_product_attention(Q[None], K[None], V[None], is_causal=True)[0]
torch.testing.assert_close(library, one_by_one)

fig, panels = plt.subplots(1, 2, figsize=(8, 3.4))
for ax, values, title in zip(panels, (weights, causal), ("all tokens", "causal mask"), strict=True):
    ax.imshow(values, cmap="cividis", vmin=0, vmax=1)
    ax.set(title=title, xlabel="taken from", ylabel="position that takes")
    ax.set_xticks(range(6), labels=words)
    ax.set_yticks(range(6), labels=words)
figures.show(
    fig,
    alt="Two grids of attention weights for six words. Left, the rows of the two actions are bright at cat and dog, other "
    "rows are even. Right, everything above the diagonal is zero.",
    caption="Attention weights of the six tokens; each row has the sum 1. With the causal mask the first token can only "
    "take from itself.",
)

# %% [markdown]
# ### Several heads
#
# One softmax can ask one question. **Multi-head attention** cuts queries, keys and values into $H$ parts, does attention in
# each, puts the results side by side and mixes them with one more matrix $W_O$. Here on random numbers, with a loop over heads.
# PyTorch's layer and labkit's, with the same parameters, must give the same.

# %%
WIDTH, HEADS = 12, 3
with seeded(BASE_SEED):
    layer, x = Attention(WIDTH, HEADS), torch.randn(6, WIDTH)
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

with torch.no_grad():
    per_head = [part.chunk(HEADS, dim=1) for part in layer.query_key_value(x).chunk(3, dim=1)]
    mixed = [attention_by_loops(*qkv)[0] for qkv in zip(*per_head, strict=True)]
    by_hand = layer.out(torch.cat(mixed, dim=1))

    theirs.in_proj_weight.copy_(layer.query_key_value.weight)
    theirs.in_proj_bias.copy_(layer.query_key_value.bias)
    theirs.out_proj.load_state_dict(layer.out.state_dict())
    torch.testing.assert_close(layer(x[None])[0], by_hand)
    torch.testing.assert_close(theirs(x[None], x[None], x[None])[0][0], by_hand)
print(f"{HEADS} heads of {WIDTH // HEADS} numbers: by hand, labkit.models.Attention and nn.MultiheadAttention agree")

# %% [markdown]
# ### A block, and the residual stream
#
# A transformer **block** has two parts: attention moves information *between* positions, a **feed-forward layer** (an `mlp`
# with one hidden layer, the same at each position; its activation is GELU, a smooth relative of ReLU) works *within* each. Both are wrapped in residual connections.
# In the **pre-norm** form, layer normalisation stands before each part:
#
# $$ x \leftarrow x + \mathrm{Attention}(\mathrm{norm}(x)), \qquad x \leftarrow x + \mathrm{FeedForward}(\mathrm{norm}(x)) $$
#
# So nothing is ever overwritten: every part reads from $x$ and adds to it. Elhage et al. 2021 call $x$ the **residual
# stream**. Here is the block by hand, against PyTorch's own with copied weights:


# %%
def normalised(x, norm):
    """Layer normalisation: mean 0 and variance 1 over the numbers of one position, then a learned scale and shift."""
    x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, correction=0, keepdim=True) + norm.eps)
    return x * norm.weight + norm.bias


def block_by_hand(block, x):
    x = x + block.attention(normalised(x, block.norm_1))
    into, activation, out_of = block.feed_forward
    return x + out_of(activation(into(normalised(x, block.norm_2))))


with seeded(BASE_SEED):
    block = Block(Attention(WIDTH, HEADS, causal=True), WIDTH, feed_forward=48)
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, 48, 0.0, "gelu", batch_first=True, norm_first=True)
    x = torch.randn(2, 6, WIDTH)

renamed = {"self_attn.in_proj_": "attention.query_key_value.", "self_attn.out_proj.": "attention.out."}
renamed |= {"linear1.": "feed_forward.0.", "linear2.": "feed_forward.2.", "norm1.": "norm_1.", "norm2.": "norm_2."}
ours = block.state_dict()
copies = {t + kind: ours[o + kind] for t, o in renamed.items() for kind in ("weight", "bias")}
theirs.load_state_dict(copies)

with torch.no_grad():
    torch.testing.assert_close(block(x), block_by_hand(block, x))
    torch.testing.assert_close(theirs(x, src_mask=later, is_causal=True), block(x))
print("the block by hand, labkit.models.Block and nn.TransformerEncoderLayer(norm_first=True) agree")

# %% [markdown]
# A **transformer** is then: embedding, plus positions (section 3), blocks, a last norm, and a linear map to the outputs. Since
# every part only adds, the final stream is a *sum* of contributions that you can list:

# %%
tokens = torch.randint(10, (2, 6), generator=torch.Generator().manual_seed(BASE_SEED))
network = Transformer(10, seed=BASE_SEED, length=6, width=WIDTH, heads=HEADS, layers=2, feed_forward=48)

with torch.no_grad():
    stream = network.embedding.weight[tokens] + network.position
    parts = {"embedding and position": stream}
    for number, block in enumerate(network.blocks, 1):
        parts[f"attention {number}"] = block.attention(normalised(stream, block.norm_1))
        stream = stream + parts[f"attention {number}"]
        parts[f"feed-forward {number}"] = block.feed_forward(normalised(stream, block.norm_2))
        stream = stream + parts[f"feed-forward {number}"]
    torch.testing.assert_close(sum(parts.values()), stream)
    torch.testing.assert_close(network.unembedding(normalised(stream, network.norm)), network(tokens))
print("labkit.models.Transformer agrees; its residual stream is the sum of:", ", ".join(parts))

# %% [markdown]
# ## 2. Why divide by $\sqrt{d_k}$?
#
# Let the entries of $q$ and $k$ be independent, with mean 0 and variance 1. Each product $q_i k_i$ then has mean 0 and variance
# 1, and variances of independent terms add:
#
# $$ \mathrm{Var}(q \cdot k) = \sum_{i=1}^{d_k} \mathrm{Var}(q_i k_i) = d_k . $$
#
# So raw scores grow like $\sqrt{d_k}$, and softmax of large scores puts nearly all weight on one key: it is **saturated**.
# How much would the weights $a$ change if a score changed? That is the **Jacobian** of the softmax, the matrix of all
# derivatives, $J = \mathrm{diag}(a) - a a^\top$. Where $a$ is nearly one-hot, $J$ is nearly 0, and nothing is learned
# through it. We take its norm (the root of the sum of squares) for each query.

# %%
DIMENSIONS = [4, 16, 64, HEAD_WIDTH]
SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]


def jacobian_norm(a):
    """Norm of diag(a) - a aᵀ for each row of weights a [.., keys], without building the matrix."""
    return (a.square().sum(-1) - 2 * a.pow(3).sum(-1) + a.square().sum(-1).square()).clamp_min(0).sqrt()


row = torch.tensor([1.0, 0.5, -2.0])
J = torch.autograd.functional.jacobian(lambda scores: torch.softmax(scores, 0), row)
torch.testing.assert_close(J.norm(), jacobian_norm(torch.softmax(row, 0)))


def untrained_scores(seed):
    """One replicate, 4000 queries of 64 keys each: Var(q·k) / d, and the median Jacobian norm unscaled and scaled."""
    generator, rows = torch.Generator().manual_seed(seed), []
    for d in DIMENSIONS:
        q, k = torch.randn(20, 200, d, generator=generator), torch.randn(20, 64, d, generator=generator)
        scores = (q @ k.mT).double()  # in 64 bits: the norm of a saturated row is a small difference
        norms = [jacobian_norm(torch.softmax(s, -1)).median() for s in (scores, scores / math.sqrt(d))]
        rows.append([scores.var() / d, *norms])
    return np.array(rows).T


variance, unscaled, scaled = np.moveaxis([untrained_scores(seed) for seed in SEEDS], 1, 0)  # each [K, dimensions]
print("the Jacobian's norm by the formula agrees with autograd")

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
figures.lines_with_spread(panels[0], DIMENSIONS, variance * DIMENSIONS, "measured", markevery=1)
panels[0].plot(DIMENSIONS, DIMENSIONS, color="0.4", linestyle=":", marker="", label="theory: d")
panels[0].set(xscale="log", yscale="log", xlabel="d, entries of query and key", ylabel="variance of q · k")
for values, label in ((unscaled, "q · k"), (scaled, "q · k / √d")):
    figures.lines_with_spread(panels[1], DIMENSIONS, values, label, markevery=1)
panels[1].set(xscale="log", yscale="log", xlabel="d, entries of query and key", ylabel="median norm of the Jacobian")
for ax in panels:
    ax.set_xticks(DIMENSIONS, labels=DIMENSIONS)
    ax.minorticks_off()
    ax.legend()
figures.show(
    fig,
    alt="Left: the variance of the product grows in proportion to d, on the theory's line. Right: for raw "
    "scores the norm of the softmax's Jacobian rises a little and then falls steeply; for scaled ones it stays level.",
    caption="Random queries and keys; thin lines are replicates. Raw scores saturate the softmax, scaled ones do not.",
)

# %%
at = DIMENSIONS.index(HEAD_WIDTH)
claim(
    "The variance of q · k is d, to within a tenth",
    variance[:, at],
    within=(0.9, 1.1),
    control=variance[:, at] / HEAD_WIDTH,
    control_is="the same values divided by d once more, not a measurement of its own",
    source="Vaswani et al. 2017, section 3.2.1, footnote",
)
saturation = unscaled[:, at] / scaled[:, at]
claim(
    "At 256 entries, leaving out the scaling shrinks the Jacobian of the median query to at most 0.4 of its norm",
    saturation,
    at_most=0.4,
    scale="log",
    control=unscaled[:, 0] / scaled[:, 0],
    control_is=f"the same ratio at {DIMENSIONS[0]} entries",
    source="Vaswani et al. 2017, section 3.2.1",
)

# %% [markdown]
# ### Does it matter for training?
#
# A task that needs one good look: **lookup**. Sixteen symbols come with a digit each, one symbol is asked for, and the answer
# is its digit. The network has a query and a key for each of 64 symbols, one head of attention, and a linear map from the
# mixed values to ten logits.


# %%
class Lookup(nn.Module):
    """Inputs [n, 33]: the symbol asked for, 16 symbols, their 16 digits. Outputs [n, 10]: logits."""

    def __init__(self, d, scaled, seed):
        super().__init__()
        self.scale = d**-0.5 if scaled else 1.0
        with seeded(seed):
            self.query, self.key = nn.Embedding(64, d), nn.Embedding(64, d)  # entries with mean 0 and variance 1
            self.value, self.out = nn.Embedding(10, 16), nn.Linear(16, 10)

    def forward(self, x):
        scores = (self.query(x[:, :1]) * self.key(x[:, 1:17])).sum(-1) * self.scale
        return self.out((scores.softmax(-1).unsqueeze(-1) * self.value(x[:, 17:])).sum(1))


def generated(name, inputs, targets, n_classes):
    """A data set that this notebook draws; `.split` then gives its parts."""
    known = {"source": "generated in notebook 03", "licence": "MIT", "datasheet": "notebooks/03_attention.ipynb"}
    return data.Dataset(name, torch.as_tensor(inputs), torch.as_tensor(targets), {}, n_classes, **known)


def lookup_task(seed, n=6000):
    generator = np.random.default_rng(seed)
    symbols = generator.permuted(np.tile(np.arange(64), (n, 1)), axis=1)[:, :16]
    digits, asked = generator.integers(0, 10, (n, 16)), generator.integers(0, 16, n)
    inputs = np.column_stack([symbols[np.arange(n), asked], symbols, digits])
    return generated("lookup", inputs, digits[np.arange(n), asked], 10).split(seed, test=1000, validation=1000)


tasks = [lookup_task(seed) for seed in SEEDS]
example = tasks[0].train.inputs[0].tolist()
print(
    f"asked for symbol {example[0]} among:",
    " ".join(f"{s}→{d}" for s, d in zip(example[1:17], example[17:], strict=True)),
)

# %% [markdown]
# Here is a trap. "The gradient vanishes" sounds as if you could see it in the gradient of the *weights*. Look at it, in
# untrained networks:


# %%
def query_gradient(seed, task, is_scaled):
    network = Lookup(HEAD_WIDTH, is_scaled, seed)
    F.cross_entropy(network(task.train.inputs[:1000]), task.train.targets[:1000]).backward()
    return network.query.weight.grad.norm().item()


pairs = [[query_gradient(seed, task, s) for s in (False, True)] for seed, task in zip(SEEDS, tasks, strict=True)]
without, with_scale = np.array(pairs).T
claim(
    "In untrained networks the gradient of the query weights is at least 1.5 times as large WITHOUT the scaling",
    without / with_scale,
    at_least=1.5,
    scale="log",
    control=saturation,
    control_is="the ratio of the Jacobian's norms above, another quantity",
    source="the chain rule: without the scaling a factor √d is not divided out",
)

# %% [markdown]
# It is *larger*, although most queries are saturated. The factor $1/\sqrt{d}$ is missing, so whatever gradient still gets
# through arrives $\sqrt{d}$ times as large, and a norm over all queries is ruled by the few that are not saturated. Weight
# gradients hide what the Jacobian *per query* shows.
#
# So is training hurt? A fair test lets each side have its best learning rate. It is chosen from the same grid, on
# validation examples; the test examples are read once, at the end.

# %%
guess_scaling = predict(
    "Both networks get their best learning rate. How does the one without scaling do on test examples?",
    ["as well", "a little worse: by less than 20 points", "much worse: by 20 points or more"],
)


# %%
def best_of_grid(seed, task, is_scaled):
    """Train once for each learning rate, choose on validation, and test that one."""
    networks = [Lookup(HEAD_WIDTH, is_scaled, seed) for _ in RATES]
    for network, rate in zip(networks, RATES, strict=True):
        name = "lookup, scaled" if is_scaled else "lookup, not scaled"
        fit(network, task.train, steps=LOOKUP_STEPS, batch_size=64, learning_rate=rate, seed=seed, experiment=name)
    on_validation = [evaluate(network, task.validation, environment="validation") for network in networks]
    best = networks[int(np.argmax(on_validation))]
    return {"validation": on_validation, "test": evaluate(best, task.test), "run": best.run_id}


results = {
    name: pd.DataFrame([best_of_grid(seed, task, is_scaled) for seed, task in zip(SEEDS, tasks, strict=True)])
    for name, is_scaled in (("scaled", True), ("not scaled", False))
}

# %%
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
for name, result in results.items():
    figures.lines_with_spread(panels[0], RATES, np.array(result.validation.tolist()), name, markevery=1)
panels[0].set(xscale="log", xlabel="learning rate", ylabel="accuracy on validation examples", ylim=(0, 1.05))
panels[0].set_xticks(RATES, labels=RATES)
panels[0].minorticks_off()
figures.dots_with_spread(panels[1], {name: result.test for name, result in results.items()})
panels[1].set(ylabel="test accuracy at the best rate", ylim=(0, 1.05))
for ax in panels:
    ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
    ax.legend(loc="center left")
figures.show(
    fig,
    alt="Left: validation accuracy against learning rate. With scaling it is near one at every rate; without, far lower "
    "at every rate. Right: test accuracy at each side's best rate, with the same gap.",
    caption="Lookup after the same number of updates; thin lines and dots are replicates. No learning rate of the grid "
    "makes up for the missing scaling.",
)
lost = results["scaled"].test - results["not scaled"].test
claim(
    "Without the scaling, test accuracy after the same training is at least 25 points lower",
    lost,
    at_least=0.25,
    control=[max(rates) - min(rates) for rates in results["scaled"].validation],
    control_is="the scaled network's best minus its worst rate, on validation examples",
    source="Vaswani et al. 2017, section 3.2.1",
    runs=[*results["scaled"].run, *results["not scaled"].run],
)
worse_by = lost.mean()
guess_scaling.resolve([worse_by <= 0.03, 0.03 < worse_by < 0.2, worse_by >= 0.2])

# %% [markdown]
# The control is the difference between the best and the worst rate of the scaled network: what the choice of the rate can do.
#
# Do not read the result as "without scaling nothing can be learned". It is about this budget and a start with variance 1.
# Queries and keys that start $\sqrt[4]{d}$ times smaller give the same scores at the start as the scaling does.
#
# ## 3. Does attention know the order?
#
# Shuffle the rows of the first example: "dog saw cat" instead of "cat saw dog". Every score is between the same two rows as
# before, so every token receives the same mixture, at its new place. Self-attention is **permutation equivariant**: for
# a permutation $P$, $f(PX) = P f(X)$. Exactly, so we assert it in 64-bit numbers, for a whole transformer:

# %%
order = torch.tensor([3, 1, 0, 5, 2, 4])
gaps = {}
for positions in ("none", "learned", "sinusoidal", "relative"):
    network = Transformer(10, seed=BASE_SEED, length=6, causal=False, positions=positions, feed_forward=48).double()
    for block in network.blocks:
        if positions == "relative":  # starts at 0, where it has no effect
            nn.init.normal_(block.attention.distance_bias, generator=torch.Generator().manual_seed(BASE_SEED))
    with torch.no_grad():
        gaps[positions] = float((network(tokens)[:, order] - network(tokens[:, order])).abs().max())
assert gaps["none"] < 1e-12
assert min(gaps[positions] for positions in ("learned", "sinusoidal", "relative")) > 1e-3
print("without positions f(PX) = P f(X); with learned, sinusoidal or relative positions it does not hold")

# %% [markdown]
# So a transformer needs **positional information**. Three ways:
#
# - **learned**: a vector of parameters for each position, added to the embedding;
# - **sinusoidal**: fixed waves of different lengths, added to the embedding. Column $2i$ of position $t$ is
#   $\sin(t / 10000^{2i/d})$, column $2i + 1$ the cosine;
# - **relative**: a learned number for each head and each *distance* $i - j$, added to the scores.
#
# (Many large models of today rotate queries and keys by an angle that grows with the position: *rotary* positions, Su et al.
# 2021, which are relative as well.)
#
# The test is a question of pure order: somewhere among six tokens there is one 0 and one 1. Which comes first? Chance is
# one half. One layer of attention with two heads is enough; the mean over positions gives the answer.

# %%
guess_order = predict(
    "A transformer without mask and without positions trains on this task. Its test accuracy?",
    ["about 50 %", "60 % to 90 %", "above 90 %"],
)


# %%
def order_task(seed, n=8000):
    generator = np.random.default_rng(seed)
    inputs = generator.integers(2, 12, (n, 6))
    places = generator.permuted(np.tile(np.arange(6), (n, 1)), axis=1)[:, :2]
    np.put_along_axis(inputs, places, np.array([[0, 1]]), axis=1)
    targets = (places[:, 0] < places[:, 1]).astype(int)
    return generated("which comes first", inputs, targets, 2).split(seed, test=4000, validation=0)


def mean_loss(outputs, targets):
    """Cross-entropy of the mean over positions of the outputs [n, T, 2]."""
    return F.cross_entropy(outputs.mean(1), targets)


def mean_accuracy(outputs, targets):
    return measure.accuracy(outputs.mean(1), targets)


KINDS = {"none": False, "learned": False, "sinusoidal": False, "relative": False, "none,\ncausal mask": True}
ordered = {kind: [] for kind in KINDS}
for seed in SEEDS:
    task = order_task(seed)
    for kind, causal_mask in KINDS.items():
        shape = {"length": 6, "width": 16, "heads": 2, "layers": 1, "outputs": 2}
        network = Transformer(12, seed=seed, positions=kind.split(",")[0], causal=causal_mask, **shape)
        settings = {"batch_size": 64, "learning_rate": 0.015, "schedule": "cosine", "loss": mean_loss, "seed": seed}
        fit(network, task.train, steps=ORDER_STEPS, experiment=f"order, {kind}".replace("\n", " "), **settings)
        network.cpu().test_accuracy = evaluate(network, task.test, metric=mean_accuracy)
        ordered[kind].append(network)
accuracies = {kind: np.array([network.test_accuracy for network in networks]) for kind, networks in ordered.items()}

# %%
fig, ax = plt.subplots()
figures.dots_with_spread(ax, accuracies)
ax.axhline(0.5, color="0.4", linestyle=":", label="chance")
ax.set(xlabel="positions", ylabel="test accuracy", ylim=(0.4, 1.02))
ax.legend(loc="center right")
figures.show(
    fig,
    alt="Accuracy on the order task. Without positions it is at chance. With learned, sinusoidal or relative positions it is "
    "near one, and also without positions but with a causal mask.",
    caption="Which comes first? One dot a replicate. A causal mask alone breaks the symmetry, too.",
)
runs = [network.run_id for networks in ordered.values() for network in networks]
claim(
    "Without positions and mask, a transformer answers at chance",
    accuracies["none"],
    within=(0.42, 0.58),
    control=accuracies["learned"],
    control_is="the same transformer with learned positions",
    source="Vaswani et al. 2017, section 3.5; Lee et al. 2019 (Set Transformer)",
    runs=runs,
)
claim(
    "Averaged over learned, sinusoidal and relative positions, it is right at least 80 times in 100",
    np.mean([accuracies[kind] for kind in ("learned", "sinusoidal", "relative")], axis=0),
    at_least=0.8,
    control=accuracies["none"],
    control_is="the same transformer without positions",
    source="Vaswani et al. 2017, section 3.5; Shaw et al. 2018 (relative positions)",
    runs=runs,
)
right = accuracies["none"].mean()
guess_order.resolve([right < 0.6, 0.6 <= right <= 0.9, right > 0.9])

# %% [markdown]
# Mind the last column: with a causal mask no positions are needed. The mask tells the places apart: the first token sees
# one token, the last sees all. Haviv et al. 2022 found that language models without positions do almost as well. So
# "attention is blind to order" is true of attention *without a mask*.
#
# What do positions look like? Left the waves; then what two networks have learned.

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10, 3.2), width_ratios=[1.3, 1, 1.2])
panels[0].imshow(sinusoidal(64, 32), cmap="cividis", aspect="auto")
panels[0].set(title="sinusoidal", xlabel="column", ylabel="position")
panels[1].imshow(ordered["learned"][0].position.detach(), cmap="cividis", aspect="auto")
panels[1].set(title="learned", xlabel="column", ylabel="position")
for head, values in enumerate(ordered["relative"][0].blocks[0].attention.distance_bias.detach(), 1):
    panels[2].plot(range(-5, 6), values, label=f"head {head}", markevery=2)
panels[2].set(title="relative", xlabel="distance i − j (positive: back)", ylabel="bias on the score")
panels[2].legend()
figures.show(
    fig,
    alt="Left, a grid of waves, fast in the first columns and slow in the last. Middle, a grid of learned positions without "
    "a visible pattern. Right, two learned curves over the distance that differ between looking back and ahead.",
    caption="Three kinds of positions. The two on the right were learned on the order task (first replicate).",
)

# %% [markdown]
# ## 4. Induction heads
#
# ### A sequence that can only be copied
#
# Now a task that language models meet all the time: what came *after* this token the last time? Each sequence draws a
# random order of some tokens and repeats it. The **period**, the number of tokens before it repeats, is drawn from 6 to 16.
# Nothing can be learned by heart, so the answer must be copied from the context.


# %%
def repeat_by_hand(order, length):
    return [order[i % len(order)] for i in range(length)]


def known_only(examples):
    """The same, with the target -100 (ignored) where the current token has not occurred before."""
    new = torch.arange(32) < examples.factors["period"].unsqueeze(1)
    transform = "only tokens that have occurred before count"
    return examples.replace(targets=examples.targets.masked_fill(new, -100), transform=transform)


world = data.repeats(1000, BASE_SEED)
held_out = known_only(world.split(BASE_SEED, test=200, validation=0).test)
for i in range(3):
    row, period = held_out.inputs[i].tolist(), int(held_out.factors["period"][i])
    assert row == repeat_by_hand(row[:period], len(row))
    assert held_out.targets[i].tolist() == [-100] * period + repeat_by_hand(row[:period], len(row) + 1)[period + 1 :]
    print(f"period {period:2d}:", " ".join(f"{token:2d}" for token in row[:24]), "…")

# %% [markdown]
# Elhage et al. 2021 and Olsson et al. 2022 found how transformers do it, with two layers of attention:
#
# 1. a **previous-token head** in an early layer writes into each position which token came *before* it;
# 2. an **induction head** in a later layer looks for positions whose note says "before me came the current token", and
#    copies what stands there.
#
# Step 2 needs the note of step 1, so at least two layers. The mark of an induction head is the **prefix-matching score**:
# how much attention goes to the tokens that followed earlier occurrences of the current one. Sum over *all* earlier
# occurrences. A head that spreads its attention evenly over three of them matches perfectly, and a score that counts only
# the latest would call it a third.


# %%
def prefix_matching_by_hand(weights, tokens):
    """weights [T, T] of one sequence: mean share of attention on tokens after earlier occurrences of the current one."""
    shares = []
    for t, token in enumerate(tokens):
        after = [j + 1 for j in range(t) if tokens[j] == token]
        if after:
            shares.append(sum(weights[t][j] for j in after))
    return sum(shares) / len(shares)


spread_evenly = torch.ones(32, 32).tril() / torch.arange(1, 33).unsqueeze(1)
for row in held_out.inputs[:5]:
    by_hand = prefix_matching_by_hand(spread_evenly.tolist(), row.tolist())
    np.testing.assert_allclose(by_hand, measure.prefix_matching(spread_evenly[None], row[None]), rtol=1e-5)
print("the score by hand agrees with labkit.measure.prefix_matching")

# %% [markdown]
# The networks have attention only, no feed-forward layers: one head a layer, 32 numbers wide, relative positions. They are
# trained to predict *every* next token, as language models are, and judged on those that can be known: from the second
# occurrence on.

# %%
guess_induction = predict(
    "Accuracy on the tokens that can be known, after training: two layers against one layer?",
    ["both near 100 %", "two layers near 100 %, one layer below 50 %", "both below 50 %"],
)

# %%
MOMENTS = list(range(0, INDUCTION_STEPS + 1, 10))


def next_token_loss(outputs, targets):
    return F.cross_entropy(outputs.mT, targets)


def copy_accuracy(outputs, targets):
    """Accuracy on the tokens that can be known; the others have the target -100."""
    known = targets >= 0
    return measure.accuracy(outputs[known], targets[known])


def train_copier(seed, layers, periods=(6, 16), steps=INDUCTION_STEPS):
    """One replicate on fresh sequences, each seen once; returns network, held-out sequences, curve and patterns."""
    split = data.repeats(32 * steps + 200, seed, periods=periods).split(seed, test=200, validation=0)
    network, curve, patterns = Transformer(32, seed=seed, layers=layers, positions="relative"), [], []
    test = known_only(split.test)

    def look(step, network):
        curve.append(copy_accuracy(network(test.inputs[:60].to(DEVICE)), test.targets[:60].to(DEVICE)))
        patterns.append([layer[0, 0].cpu() for layer in network.patterns(test.inputs[:1].to(DEVICE))])

    moments = [moment for moment in MOMENTS if moment <= steps]
    watch = {"callback": look, "callback_steps": moments, "loss": next_token_loss, "seed": seed}
    name = f"copying, {layers} layer(s), periods {periods[0]} to {periods[1]}"
    fit(network, split.train, steps=steps, batch_size=32, learning_rate=6e-3, device=DEVICE, experiment=name, **watch)
    run = {"network": network.cpu(), "test": test, "curve": np.array(curve), "patterns": patterns}
    return run | {"accuracy": evaluate(network, test, metric=copy_accuracy)}


two, one = ([train_copier(seed, layers) for seed in SEEDS] for layers in (2, 1))
snapshot, shown_tokens = two[0]["patterns"], two[0]["test"].inputs[0].tolist()

# %% tags=["drawing"]
fig, ax = plt.subplots()
for runs, label in ((two, "two layers"), (one, "one layer")):
    figures.lines_with_spread(ax, MOMENTS, np.array([run["curve"] for run in runs]), label)
ax.axhline(1 / 32, color="0.4", linestyle=":", label="chance")
ax.set(xlabel="updates", ylabel="accuracy on tokens that can be known", ylim=(0, 1.02))
ax.legend(loc="center right")
figures.show(
    fig,
    alt="Accuracy against updates. With two layers it stays low, then rises steeply to one. With one layer it stays low.",
    caption="Held-out sequences; thin lines are replicates. For a while nothing seems to happen, then copying appears "
    "within a few dozen updates.",
)


# %%
def final(runs):
    return np.array([run["accuracy"] for run in runs])


def jump(run):
    """Share of the training between first passing 0.2 and first passing 0.8; 1 where that never happens."""
    passed = [np.flatnonzero(run["curve"] > level) for level in (0.2, 0.8)]
    return (passed[1][0] - passed[0][0]) * 10 / INDUCTION_STEPS if len(passed[1]) else 1.0


def ids(runs):
    return [run["network"].run_id for run in runs]


claim(
    "After training, two layers copy at least nine of ten tokens that can be known",
    final(two),
    at_least=0.9,
    control=final(one),
    control_is="the same network with one layer",
    source="Olsson et al. 2022; Elhage et al. 2021",
    runs=[*ids(two), *ids(one)],
)
claim(
    "The rise from 0.2 to 0.8 takes at most 0.35 of the training",
    [jump(run) for run in two],
    at_most=0.35,
    control=[jump(run) for run in one],
    control_is="one layer, which never passes 0.8: 1 by definition",
    source="Olsson et al. 2022 (phase change)",
    runs=ids(two),
)
of_two, of_one = final(two).mean(), final(one).mean()
guess_induction.resolve([of_two > 0.8 and of_one > 0.5, of_two > 0.8 and of_one <= 0.5, of_two <= 0.8])

# %% [markdown]
# One layer is better than chance (it can favour tokens that it has seen, for example), but it does not copy *at this size*. That
# is no theorem about one layer at any size. Sanford, Hsu & Telgarsky 2024 prove what it would take: a single layer that solves
# the task must be exponentially larger than two layers that suffice. Bietti et al. 2023 analyse how training builds the two
# steps, and see one layer fail as well.
#
# And mind the word *phase change*. Accuracy counts all or nothing, which makes any rise look steeper than it is in the
# loss. Olsson et al. saw it in the loss, too. Notebook 07 takes up the question of sharp rises and their measures.
#
# ### Look inside

# %% tags=["drawing"]
shown = [MOMENTS[i] for i in (0, len(MOMENTS) // 3, 2 * len(MOMENTS) // 3, -1)]
fig, grid = plt.subplots(2, 4, figsize=(10, 5.4), sharex=True, sharey=True)
for layer in range(2):
    for ax, moment in zip(grid[layer], shown, strict=True):
        ax.imshow(snapshot[MOMENTS.index(moment)][layer], cmap="cividis", vmin=0, vmax=0.6)
        ax.set(title=f"layer {layer + 1}, update {moment}")
    grid[layer, 0].set(ylabel="position that takes")
for ax in grid[1]:
    ax.set(xlabel="taken from")
figures.show(
    fig,
    alt="Attention patterns of both layers at four moments. At first both are spread evenly. At the end layer one is bright "
    "just below the diagonal, and layer two along lines parallel to it, one or more periods back.",
    caption="One held-out sequence, first replicate. Layer one comes to look one step back, layer two to where the current "
    "token was followed by something.",
)


# %% tags=["nbval-ignore-output"]
def draw_row(moment, position):
    """From one position: how much attention goes to each earlier token, in both layers."""
    fig, panels = plt.subplots(2, 1, figsize=(9, 4), sharex=True, sharey=True)
    for layer, ax in enumerate(panels):
        ax.bar(range(position + 1), snapshot[MOMENTS.index(moment)][layer][position, : position + 1])
        ax.set(title=f"layer {layer + 1}", ylabel="attention", ylim=(0, 1), xlim=(-0.6, 31.6))
    panels[1].set_xticks(range(32), labels=shown_tokens)
    panels[1].set(xlabel=f"token (the current one is {shown_tokens[position]}, at position {position})")
    plt.close(fig)
    display(fig)


controls = {
    "moment": widgets.SelectionSlider(options=MOMENTS, value=MOMENTS[-1], description="updates"),
    "position": widgets.IntSlider(28, 0, 31, description="position"),
}
display(widgets.VBox([*controls.values(), widgets.interactive_output(draw_row, controls)]))

# %% [markdown]
# Now in numbers, on all held-out sequences: the prefix-matching score of each layer, how much layer 1 attends to the
# previous token, and an **ablation**: set what one layer adds to the residual stream to zero, and see what is lost.


# %%
def scores(run):
    """Prefix-matching score and attention to the previous token, for each layer: two lists."""
    tokens = run["test"].inputs
    patterns = [layer[:, 0] for layer in run["network"].patterns(tokens)]
    previous = [pattern.diagonal(-1, 1, 2).mean().item() for pattern in patterns]
    return [measure.prefix_matching(pattern, tokens) for pattern in patterns], previous


def without_layer(run, layer):
    """Accuracy when the attention of this layer (from 1) adds nothing."""
    network = copy.deepcopy(run["network"])
    with torch.no_grad():
        for parameter in network.blocks[layer - 1].attention.out.parameters():
            parameter.zero_()
    return evaluate(network, run["test"], metric=copy_accuracy, environment=f"attention of layer {layer} switched off")


matching, previous = np.moveaxis([scores(run) for run in two], 1, 0)  # each [K, layers]
ablated = np.array([[without_layer(run, layer) for layer in (1, 2)] for run in two])

fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
names = [f"layer {layer}:\n{what}" for what in ("previous token", "prefix matching") for layer in (1, 2)]
figures.dots_with_spread(panels[0], dict(zip(names, [*previous.T, *matching.T], strict=True)))
panels[0].set(ylabel="share of attention", ylim=(0, 1))
names = ["intact", "without layer 1", "without layer 2"]
figures.dots_with_spread(panels[1], dict(zip(names, [final(two), *ablated.T], strict=True)))
panels[1].set(ylabel="accuracy on tokens that can be known", ylim=(0, 1.02))
panels[0].legend()
figures.show(
    fig,
    alt="Left: layer one attends to the previous token more than layer two; layer two has a high prefix-matching score, "
    "layer one a low one. Right: accuracy is near one for the intact network and low without either layer.",
    caption="Two-layer networks; one dot a replicate. Each layer has its own part of the work, and both are needed.",
)

# %%
claim(
    "The second layer's prefix-matching score is at least 0.8",
    matching[:, 1],
    at_least=0.8,
    control=matching[:, 0],
    control_is="the same score of the first layer",
    source="Olsson et al. 2022 (prefix-matching score)",
    runs=ids(two),
)
claim(
    "Without the first layer's attention, accuracy falls below 0.25",
    ablated[:, 0],
    at_most=0.25,
    control=final(two),
    control_is="the same networks with no layer switched off",
    source="Olsson et al. 2022 (ablation); Elhage et al. 2021 (composition of heads)",
    runs=ids(two),
)
short = [
    known_only(data.repeats(200, 50_000 + seed, periods=(3, 5)).split(seed, test=199, validation=0).test)
    for seed in SEEDS
]
unseen = {"name": "repeats, periods 3 to 5", "shift": "periods never trained on"}
claim(
    "Periods that never occurred in training are copied as well: at least nine of ten tokens",
    [
        evaluate(run["network"], test, metric=copy_accuracy, environment=unseen)
        for run, test in zip(two, short, strict=True)
    ],
    at_least=0.9,
    control=[copy_accuracy(run["network"](test.inputs), test.targets) for run, test in zip(one, short, strict=True)],
    control_is="one-layer networks on the same sequences",
    source="Olsson et al. 2022 (induction heads copy whatever the tokens are)",
    runs=ids(two),
)

# %% [markdown]
# A high score in layer 2, the right mate in layer 1, and nothing left without it: is the score then the proof of
# induction? Try a control. Everything as before, but **every sequence has the period 12**, and the network has **one**
# layer, which cannot do induction at this size.

# %%
guess_fixed = predict(
    "One layer, period always 12. What do you find?",
    [
        "it fails, and its score is near zero",
        "it succeeds, and its score is near zero",
        "it succeeds, and its score is high",
    ],
)

# %%
fixed = [train_copier(seed, 1, periods=(12, 12), steps=FIXED_STEPS) for seed in SEEDS]
fixed_matching, one_matching = (np.array([scores(run)[0][0] for run in runs]) for runs in (fixed, one))
other = {"name": "repeats, periods 6 to 16", "shift": "other periods than in training"}
elsewhere = [
    evaluate(a["network"], b["test"], metric=copy_accuracy, environment=other) for a, b in zip(fixed, two, strict=True)
]

fig, panels = plt.subplots(1, 2, figsize=(10, 3.6))
figures.dots_with_spread(panels[0], {"period 12,\nas trained": final(fixed), "periods 6 to 16": elsewhere})
panels[0].set(ylabel="accuracy on tokens that can be known", ylim=(0, 1.02))
columns = {"trained on\nperiod 12": fixed_matching, "trained on\nperiods 6 to 16": one_matching}
figures.dots_with_spread(panels[1], columns, paired=False)
panels[1].set(ylabel="prefix-matching score, one layer", ylim=(0, 1))
panels[1].legend()
figures.show(
    fig,
    alt="Left: a one-layer network trained on period twelve copies perfectly there and fails at other periods. Right: its "
    "prefix-matching score is several times that of a one-layer network trained on changing periods.",
    caption="One layer; one dot a replicate. With a fixed period it looks a fixed distance back, which happens to match.",
)

# %%
claim(
    "With a fixed period, one layer copies at least nine of ten tokens",
    final(fixed),
    at_least=0.9,
    control=elsewhere,
    control_is="the same networks at periods from 6 to 16",
    source="a control for Olsson et al. 2022: position does what induction does",
    runs=ids(fixed),
)
claim(
    "and its prefix-matching score is at least 0.35, though it does no induction",
    fixed_matching,
    at_least=0.35,
    control=one_matching,
    control_is="the same score of one layer trained and scored on changing periods",
    source="a control for Olsson et al. 2022",
    runs=ids(fixed),
)
copied, score = final(fixed).mean(), fixed_matching.mean()
guess_fixed.resolve([copied < 0.5, copied >= 0.5 and score <= 0.25, copied >= 0.5 and score > 0.25])

# %% [markdown]
# With the period 12, what followed the current token stands eleven steps back. One layer can look there without reading a
# single token, and that is exactly where an induction head would look. So **a score describes where attention goes, not what computes it.** What made the case for induction above
# was the score *and* the ablation *and* the periods never trained on. Change the data so that two explanations come
# apart, then measure.
#
# ## 5. What does it cost?
#
# Every position looks at every other: $T^2$ scores. With FLOPs (floating-point operations) counted as two for each
# multiplication and addition, a block of width $w$ with $f$ feed-forward neurons takes
#
# $$ \underbrace{8 T w^2}_{Q, K, V, \text{out}} + \underbrace{4 T^2 w}_{\text{scores and mixing}} + \underbrace{4 T w f}_{\text{feed-forward}} . $$
#
# Counts are exact, so we assert them. The quadratic term overtakes the rest at $T = 2w + f$:

# %%
WIDE, NEURONS, WIDE_HEADS = 64, 256, 4
wide_block = Block(Attention(WIDE, WIDE_HEADS), WIDE, feed_forward=NEURONS)


def counted(part, *inputs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        part(*inputs)
    return counter.get_total_flops()


print("   T     block FLOPs   of which T²   score matrices")
for T in (64, 2 * WIDE + NEURONS, 1024):
    x = torch.randn(1, T, WIDE)
    quadratic = 4 * T**2 * WIDE
    assert counted(wide_block, x) == 8 * T * WIDE**2 + quadratic + 4 * T * WIDE * NEURONS
    score_matrices = wide_block.attention.weights(x).detach()
    matrix = score_matrices.numel() * score_matrices.element_size()
    assert matrix == WIDE_HEADS * T**2 * 4
    print(f"{T:4d} {counted(wide_block, x):15,d} {quadratic / counted(wide_block, x):13.1%} {matrix:10,d} bytes")
print("every count equals the formula; at T = 2w + f half of the work is quadratic")

# %% [markdown]
# **Fused** attention (`F.scaled_dot_product_attention`, after Dao et al. 2022) computes the same numbers in tiles and never
# stores the $T \times T$ matrix. Its memory grows like $T$; its FLOPs stay quadratic. Time and memory depend on
# your machine, so the next cell shows them and claims nothing.

# %% tags=["nbval-ignore-output"]
import time


def explicit(q, k, v):
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


rows = []
for T in COST_LENGTHS:
    q, k, v = torch.randn(3, 1, WIDE_HEADS, T, 32)
    torch.testing.assert_close(explicit(q, k, v), F.scaled_dot_product_attention(q, k, v), rtol=1e-3, atol=1e-5)
    row = {"T": T, "score matrix (MB)": WIDE_HEADS * T**2 * 4 / 1e6, "in and out (MB)": 4 * q.numel() * 4 / 1e6}
    for name, function in (("explicit (ms)", explicit), ("fused (ms)", F.scaled_dot_product_attention)):
        took = []
        for _ in range(3):
            start = time.perf_counter()
            function(q, k, v)
            took.append(time.perf_counter() - start)
        row[name] = 1000 * min(took)
    rows.append(row)
pd.DataFrame(rows).round(2)

# %% [markdown]
# ## 6. Attention ≠ Explanation
#
# Attention weights are easy to draw, and a drawing with bright words looks like a reason. Is it one? The debate began with
# *recurrent* encoders. A **recurrent network** reads a text token by token and keeps a state, which it updates with
# each token by the same function. So the state at a word depends on the words before it; an **LSTM** is a kind whose state
# is built to last. A *bidirectional* one (biLSTM) reads from both ends, so the state $h_t$ at each word knows something of
# the whole text. (Lab 6 builds this.)
#
# On top sits attention: each state gets a score, softmax makes weights $a_t$, and the answer is read from $\sum_t a_t h_t$.
# The control is an encoder that looks at **each token alone** (an `mlp` for each word), with the same attention on top. The
# `Reader` below is both: texts `[n, T]` in, two logits for each text out.
#
# Our texts are generated, so we know what matters: of 200 words 20 are good, 20 are bad, and the rest mean nothing. A text has
# 16 words. About a third of them are good or bad, and four of five of those agree with the label.


# %%
def text_task(seed, n=3000):
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n)
    cue, agrees = generator.random((2, n, WORDS)) < np.array([0.35, 0.8])[:, None, None]
    bad = agrees != label.astype(bool)[:, None]
    inputs = np.where(cue, 20 * bad + generator.integers(0, 20, cue.shape), generator.integers(40, 200, cue.shape))
    return generated("texts", inputs, label, 2).split(seed, test=1000, validation=0)


class Reader(nn.Module):
    def __init__(self, encoder, seed):
        super().__init__()
        with seeded(seed):
            self.embedding = nn.Embedding(200, 32)
            each = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
            self.encoder = nn.LSTM(32, 16, batch_first=True, bidirectional=True) if encoder == "biLSTM" else each
            self.score = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1, bias=False))
            self.out = nn.Linear(32, 2)

    def states(self, embedded):
        h = self.encoder(embedded)
        return h[0] if isinstance(h, tuple) else h

    def attention(self, h):
        return self.score(h).squeeze(-1).softmax(-1)

    def forward(self, texts):
        h = self.states(self.embedding(texts))
        return self.out((self.attention(h).unsqueeze(-1) * h).sum(1))


first = text_task(BASE_SEED).train
names = [f"good{i}" for i in range(20)] + [f"bad{i}" for i in range(20)] + [f"w{i}" for i in range(40, 200)]
print(f"label {first.targets[0]}:", *(names[word] for word in first.inputs[0]))

# %% [markdown]
# What would an explanation have to agree with? Two other measures of a word's importance for the probability $p$ of
# "good":
#
# - **gradient**: how fast does $p$ change with the word? $|e_t \cdot \partial p / \partial e_t|$, where $e_t$ is the word's
#   embedding and the attention weights are held fixed;
# - **leave-one-out**: by how much does $p$ change when the word is taken out?
#
# We compare rankings of the words of a text by **Kendall's τ**: the share of pairs of words in the same order minus the share in
# the opposite order. 1 is the same ranking, 0 is no relation.


# %%
def kendall_by_hand(a, b):
    """τ for each row of a and b [n, T], where no two values of a row are equal."""
    i, j = torch.triu_indices(a.shape[1], a.shape[1], 1)
    return (torch.sign(a[:, i] - a[:, j]) * torch.sign(b[:, i] - b[:, j])).mean(1)


a, b = torch.randn(2, 3, WORDS, generator=torch.Generator().manual_seed(BASE_SEED))
np.testing.assert_allclose(
    kendall_by_hand(a, b), [kendalltau(*rows).statistic for rows in zip(a, b, strict=True)], rtol=1e-5
)


def good(reader, mixed):
    """Probability of "good" from the mixed states [..., 32]."""
    return reader.out(mixed).softmax(-1)[..., 1]


def importance(reader, texts):
    """Attention, gradient and leave-one-out of each word, each [n, T]."""
    embedded = reader.embedding(texts).detach().requires_grad_()
    h = reader.states(embedded)
    a = reader.attention(h).detach()
    slope = torch.autograd.grad(good(reader, (a.unsqueeze(-1) * h).sum(1)).sum(), embedded)[0]
    n, length = texts.shape
    others = torch.tensor([[j for j in range(length) if j != i] for i in range(length)])
    with torch.no_grad():
        shorter = reader(texts[:, others].flatten(0, 1)).softmax(-1)[:, 1].view(n, length)
        left_out = (shorter - reader(texts).softmax(-1)[:, 1:]).abs()
    return a, (slope * embedded).sum(-1).abs().detach(), left_out


print("Kendall's τ by hand agrees with SciPy")

# %% [markdown]
# Jain & Wallace 2019 went further: does the answer *need* these weights? **Permute** them among the words, and see how $p$
# moves. And look for an **adversarial attention**: weights as different as possible that give the same answer. "Different"
# is measured by the **Jensen–Shannon divergence** (JSD): 0 for equal weights, $\log 2 \approx 0.693$ for weights that share
# no word.
#
# They searched by gradient descent. Here the best adversary can be had exactly. With the states fixed, the difference of the
# two logits is $\sum_t a_t s_t$ plus a constant, where $s_t$ is what word $t$ alone would say. The weights must be
# positive, have sum 1, and keep that one number. JSD is convex in them, so its maximum is at a corner of the allowed set, and a
# corner has at most two weights that are not 0 (one for each equation). So try all pairs of words:


# %%
def jsd(p, q):
    """Jensen–Shannon divergence of weights [..., T], in nats."""
    half = (p + q) / 2
    return (torch.xlogy(p, p / half) + torch.xlogy(q, q / half)).sum(-1) / 2


@torch.no_grad()
def tampered(reader, texts, generator):
    """Median change of p under permuted weights, and JSD of the best adversary with the same answer: each [n]."""
    h = reader.states(reader.embedding(texts))
    a, (n, length) = reader.attention(h), texts.shape
    p = good(reader, (a.unsqueeze(-1) * h).sum(1))
    shuffles = torch.rand(n, 50, length, generator=generator).argsort(-1)
    permuted = a.unsqueeze(1).expand(-1, 50, -1).gather(2, shuffles)
    change = (good(reader, permuted @ h) - p.unsqueeze(1)).abs().median(1).values

    s = h @ (reader.out.weight[1] - reader.out.weight[0])  # what each word alone would say
    i, j = torch.triu_indices(length, length, 1)
    share = ((a * s).sum(1, keepdim=True) - s[:, j]) / (s[:, i] - s[:, j])  # on word i, the rest on j
    pairs = share.unsqueeze(-1) * F.one_hot(i, length) + (1 - share).unsqueeze(-1) * F.one_hot(j, length)
    allowed = (share >= 0) & (share <= 1)
    divergence = torch.where(allowed, jsd(a.unsqueeze(1), pairs.clamp(0, 1)), -1)
    adversary = pairs[torch.arange(n), divergence.argmax(1)]
    torch.testing.assert_close(good(reader, (adversary.unsqueeze(-1) * h).sum(1)), p, rtol=0, atol=1e-3)
    return change, divergence.max(1).values


# %% [markdown]
# Wiegreffe & Pinter 2019 object: a divergence needs a scale. How different are the weights of two networks that differ only
# in their random start? So each replicate trains two networks for each encoder: one, and a **twin** from another start.

# %%
guess_explanation = predict(
    "Where does attention rank the words as leave-one-out does? And where is there a very different attention with the same answer?",
    [
        "agrees for both encoders; adversary for neither",
        "agrees for the per-token encoder only; adversary for the biLSTM only",
        "agrees for the per-token encoder only; adversary for both",
    ],
)


# %%
def explain(encoder, seed, task):
    """One replicate of one encoder; measures on 200 test texts are means over a network and its twin."""
    texts, attentions, rows, ids = task.test.inputs[:200], [], [], []
    for start in (seed, 100_000 + seed):
        reader = Reader(encoder, start)
        settings = {"batch_size": 32, "learning_rate": 8e-3, "seed": start, "experiment": f"texts, {encoder}"}
        fit(reader, task.train, steps=TEXT_STEPS, **settings)
        accuracy = evaluate(reader, task.test)
        a, gradient, left_out = importance(reader.cpu(), texts)
        change, adversary = tampered(reader, texts, torch.Generator().manual_seed(seed))
        taus = [kendall_by_hand(a, other).mean() for other in (gradient, left_out)]
        rows.append([*taus, change.median(), adversary.mean(), accuracy])
        attentions.append(a)
        ids.append(reader.run_id)
    names = ["gradient", "leave-one-out", "permuted", "adversary", "accuracy"]
    means = dict(zip(names, np.mean(rows, axis=0), strict=True))
    return means | {"twin": jsd(*attentions).mean().item(), "runs": ids}


texts = [text_task(seed) for seed in SEEDS]
ENCODERS = ["biLSTM", "per token"]
found = {e: pd.DataFrame([explain(e, s, t) for s, t in zip(SEEDS, texts, strict=True)]) for e in ENCODERS}
lstm, alone = found["biLSTM"], found["per token"]
agrees = {encoder: table["leave-one-out"].mean() > 0.5 for encoder, table in found.items()}
adversary = {encoder: table.adversary.mean() > 0.4 for encoder, table in found.items()}

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(11, 3.6), width_ratios=[1, 1, 1.6])
titles = {"gradient": "attention against gradient", "leave-one-out": "attention against leave-one-out"}
for ax, column in zip(panels, titles, strict=False):
    names = [f"{encoder}\n(accuracy {table.accuracy.mean():.0%})" for encoder, table in found.items()]
    figures.dots_with_spread(ax, dict(zip(names, [table[column] for table in found.values()], strict=True)))
    ax.axhline(0, color="0.4", linestyle=":", label="no relation")
    ax.set(title=titles[column], ylabel="Kendall's τ", ylim=(-0.15, 1))
columns = {f"{encoder},\n{name}": found[encoder][name] for encoder in ENCODERS for name in ("adversary", "twin")}
figures.dots_with_spread(panels[2], columns, paired=False)
panels[2].axhline(math.log(2), color="0.4", linestyle=":", label="log 2: no word shared")
panels[2].set(title="how different are the weights?", ylabel="JSD (nats)", ylim=(0, 0.75))
panels[2].legend(loc="center")
figures.show(
    fig,
    alt="Left and middle: rank correlation of attention with gradient and with leave-one-out, low for the biLSTM and high "
    "for the per-token encoder. Right: the adversary's divergence is near its maximum for both encoders, a twin's is low.",
    caption="One dot a replicate, mean over test texts. For the per-token encoder attention agrees with the other "
    "measures, and the adversary exists all the same.",
)

# %%
runs = [run for table in found.values() for both in table.runs for run in both]
source = "Jain & Wallace 2019, sections 4.1 and 4.2; Wiegreffe & Pinter 2019 (per-token control, variance over seeds)"
for column, limit in (("gradient", 0.4), ("leave-one-out", 0.5)):
    claim(
        f"In the biLSTM the rank correlation of attention with {column} is at most {limit}",
        lstm[column],
        at_most=limit,
        control=alone[column],
        control_is="the same correlation where the encoder reads each word alone",
        source=source,
        runs=runs,
    )
claim(
    "In the biLSTM, permuting the weights moves the median answer by at most 0.05",
    lstm.permuted,
    at_most=0.05,
    control=alone.permuted,
    control_is="the same change where the encoder reads each word alone",
    source=source,
    runs=runs,
)
for encoder, table in found.items():
    claim(
        f"{encoder}: weights that differ by at least 0.45 nats give the same answer",
        table.adversary,
        at_least=0.45,
        control=table.twin,
        control_is="the same divergence from the weights of a twin, trained from another start",
        source=source,
        runs=runs,
    )
agrees_alone = agrees["per token"] and not agrees["biLSTM"]
only_lstm = adversary["biLSTM"] and not adversary["per token"]
nowhere, everywhere = not any(adversary.values()), all(adversary.values())
guess_explanation.resolve([all(agrees.values()) and nowhere, agrees_alone and only_lstm, agrees_alone and everywhere])

# %% [markdown]
# Read this slowly; both sides are in it.
#
# **For Jain & Wallace:** in the biLSTM the weights rank the words in another way than gradient and leave-one-out, and
# shuffling them hardly matters. A likely reason: each state knows much of the text already, so it matters little which states
# are read. Then the routing happened *inside* the encoder, where these weights do not show it.
#
# **For Wiegreffe & Pinter:** that a divergent attention *exists* says little. It exists for the per-token encoder too, where
# attention agrees with leave-one-out. The derivation says why: sixteen weights, one number to keep. This is geometry, not
# the network. Training did not arrive at such weights: a twin's are far closer. And attention can only explain where it has
# work to do: on some data sets of the debate they found networks with *uniform* weights as accurate. (Exercise 3 asks
# that of these texts.)
#
# So what *may* you say when you show attention weights? Where attention went, which is a fact. Not that the bright words
# caused the answer: for that, change the words and look. Rank correlation itself is disputed as a test, too: Neely et al. 2022
# find that measures of importance disagree with *one another*, so low agreement does not single out attention.
#
# ## 7. The record, and what a reviewer would ask

# %% tags=["nbval-ignore-output"]
ledger = Ledger()
WHAT = """
SELECT experiment, dataset.name AS D, architecture.name AS A, COUNT(*) AS "Θ: runs", SUM(compute.seconds) AS "C: seconds",
       SUM(compute.flops) / 1e9 AS "C: GFLOP", SUM(training_run.id IN (SELECT run_id FROM claim_run)) AS "G: behind a claim"
FROM training_run
JOIN architecture ON architecture.id = architecture_id
JOIN split ON split.id = training_run.split_id
LEFT JOIN dataset ON dataset.id = split.dataset_id
JOIN compute ON compute.run_id = training_run.id
WHERE session_id = ?
GROUP BY experiment, dataset.name, architecture.name
ORDER BY MIN(training_run.id)
"""
ledger.query(WHAT, [ledger.session()]).round(1)

# %%
runs = ledger.query("SELECT status FROM training_run WHERE session_id = ?", [ledger.session()])
expected = REPLICATES * (2 * len(RATES) + len(KINDS) + 3 + 2 * len(ENCODERS))
recorded = len(runs) >= expected and set(runs.status) == {"completed"}
print(
    f"{expected} training runs: all recorded" if recorded else "Some runs are not recorded: can outputs/ be written to?"
)

# %% [markdown]
# A reviewer would ask:
#
# - **D**: *All tasks are generated. What do they say about language?* How a mechanism can work, not how often it is at work.
# - **A**: *One head of 32 numbers. Is that a transformer?* It is the smallest that shows the phenomenon. Notebook 07 trains others.
# - **E**: *"Attention of layer 1 switched off" is in the ledger as an environment. Why?* The network was used under other
#   conditions than it was trained in, and that is what the column means.
# - **G**: *The product draws attention over a letter of refusal as "reasons". May it?* Section 6 says which evidence that
#   would need: a change of the words that changes the answer. A drawing is not it.
#
# ## 8. What you can do now
#
# 1. **Build** attention and a transformer block from loops, equal to PyTorch's (section 1).
# 2. **Derive** the $\sqrt{d_k}$, and measure the saturation where it is (section 2).
# 3. **Show** that attention without mask and positions cannot know order (section 3).
# 4. **Find** an induction head, and distrust its score (section 4).
# 5. **Count** what attention costs (section 5).
# 6. **Test** attention as an explanation, and report both sides (section 6).
#
# **Limits of this evidence.** Tiny networks, generated tasks, one optimizer. That one layer does not copy here is about
# this size and budget. The texts are bags of words: a biLSTM that must read negation could use its states in another way.
# Attention weights are one kind of internal evidence among several. Thresholds come from a pilot with 20 other
# replicates on one machine.
#
# ### Your turn
#
# 1. Train the copier of section 4 with `positions="learned"`. Predict first: does the jump come earlier, later, or not at all?
# 2. Give one layer four heads and four times the width. How far does it get on changing periods? Say before you look
#    what Sanford et al. 2024 let you expect.
# 3. Fix the weights of section 6 at $1/T$ (in `Reader.attention`) and train. Is anything lost? What does that say about
#    explanations from attention on *these* texts?
# 4. Make the adversary keep not only the answer but the whole mixed state $\sum_t a_t h_t$ (32 numbers, 16 weights). How
#    many weightings are left? (Think of the rank of the matrix of states, then compute it.)
#
# ### Scale it up
#
# On a GPU try `INDUCTION_STEPS = 5_000` with `length=256`, `vocabulary=256` and periods from 32 to 128, `COST_LENGTHS` up to
# 32_768 for the fused function only, and `REPLICATES = 20`. Does the jump become sharper as a share of the training? Write
# your threshold down first.
#
# ### References
#
# - Vaswani et al. 2017, *Attention is all you need*, NeurIPS; Xiong et al. 2020, *On layer normalization in the transformer
#   architecture*, ICML
# - Shaw, Uszkoreit & Vaswani 2018, *Self-attention with relative position representations*, NAACL; Raffel et al. 2020,
#   *Exploring the limits of transfer learning with a unified text-to-text transformer*, JMLR 21; Su et al. 2021,
#   *RoFormer*, arXiv:2104.09864; Lee et al. 2019, *Set Transformer*, ICML
# - Haviv et al. 2022, *Transformer language models without positional encodings still learn positional information*,
#   Findings of EMNLP
# - Elhage et al. 2021, *A mathematical framework for transformer circuits*, transformer-circuits.pub; Olsson et al. 2022,
#   *In-context learning and induction heads*, arXiv:2209.11895
# - Bietti et al. 2023, *Birth of a transformer: a memory viewpoint*, NeurIPS; Sanford, Hsu & Telgarsky 2024, *One-layer
#   transformers fail to solve the induction heads task*, arXiv:2408.14332
# - Dao et al. 2022, *FlashAttention: fast and memory-efficient exact attention with IO-awareness*, NeurIPS
# - Jain & Wallace 2019, *Attention is not Explanation*, NAACL; Wiegreffe & Pinter 2019, *Attention is not not
#   Explanation*, EMNLP; Neely et al. 2022, *A song of (dis)agreement: evaluating the evaluation of explainable artificial
#   intelligence in natural language processing*, arXiv:2205.04559
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook.
