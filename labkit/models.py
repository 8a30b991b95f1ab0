"""The few architectures that several notebooks share, and the two settings in which models are drawn and measured."""

import contextlib
import itertools
import math
import random

import numpy as np
import torch
from torch import nn

from labkit.gate import mode, whole

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "identity": nn.Identity}
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}  # of an `mlp`
STREAM_NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm, "none": nn.Identity}  # of a `Transformer`
POSITIONS = ("learned", "sinusoidal", "relative", "none")
# How the weights of a layer from fan_in to fan_out neurons are drawn; "default" is nn.Linear's own way.
INITS = {"default": None, "xavier": nn.init.xavier_normal_, "he": nn.init.kaiming_normal_}


@contextlib.contextmanager
def seeded(seed):
    """Seed Python's, NumPy's and PyTorch's random numbers for the block, and leave all as they were found.

    A GPU's generators are included once the GPU is in use: move models to it before the block. Seeds are whole numbers
    from 0 to 2**32 - 1 (ValueError).
    """
    seed = whole("seed", seed, most=2**32 - 1)
    cuda, mps = torch.cuda.is_initialized(), torch.backends.mps.is_available()
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpu = torch.cuda.get_rng_state_all() if cuda else torch.mps.get_rng_state() if mps else None
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if gpu is not None:
        torch.cuda.manual_seed_all(seed) if cuda else torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        if gpu is not None:
            torch.cuda.set_rng_state_all(gpu) if cuda else torch.mps.set_rng_state(gpu)


class Residual(nn.Module):
    """x + scale * branch(x), for a branch that keeps the shape (He et al. 2016). Built in notebook 02."""

    def __init__(self, branch, scale=1.0):
        super().__init__()
        self.branch, self.scale = branch, scale

    def forward(self, x):
        return torch.add(x, self.branch(x), alpha=self.scale)


def mlp(sizes, *, seed, activation="relu", norm=None, residual=False, init="default", dtype=torch.float32):
    """A multilayer perceptron: Linear, [norm], activation for each hidden layer, then a Linear to the outputs.

    sizes       features, width of each hidden layer, outputs: [64, 100, 10] maps inputs [n, 64] to outputs [n, 10]
    seed        draws the parameters, on the CPU and in float32 whatever `dtype` is; global random state is kept
    activation  "relu", "tanh", "sigmoid", "gelu" or "identity"; or a list with one name for each hidden layer
    norm        None, "batch" (BatchNorm1d) or "layer" (LayerNorm)
    residual    Linear, then a block h + [norm], activation, Linear of h for each further hidden layer, then [norm],
                activation and the last Linear (pre-activation: He et al. 2016). All hidden layers have the same
                width. Without a norm each branch is divided by the square root of the number of blocks, so that
                the sum does not grow with depth.
    init        standard deviation of a layer's weights. "default": nn.Linear's own, sqrt(1 / (3 fan_in)), and such
                biases; with biases 0: "xavier", sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010), and "he",
                sqrt(2 / fan_in) (He et al. 2015)

    Returns an nn.Sequential. Raises ValueError for sizes or names that do not fit. Built in notebooks 00 and 02.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes={list(sizes)}: give the numbers of features and of outputs at least, each at least 1.")
    widths = sizes[1:-1]
    names = [activation] * len(widths) if isinstance(activation, str) else list(activation)
    if len(names) != len(widths) or not set(names) <= ACTIVATIONS.keys():
        raise ValueError(
            f"activation={activation!r}: choose from {', '.join(ACTIVATIONS)}: one for all, or one a hidden layer."
        )
    if norm is not None and norm not in NORMS:
        raise ValueError(f"norm={norm!r}: choose from {', '.join(NORMS)}, or None.")
    if init not in INITS:
        raise ValueError(f"init={init!r}: choose from {', '.join(INITS)}.")
    if residual and len(set(widths)) != 1:
        raise ValueError(f"sizes={list(sizes)}: residual blocks need hidden layers of one width, at least one.")
    exact = {"device": "cpu", "dtype": torch.float32}

    def linear(fan_in, fan_out):
        layer = nn.Linear(fan_in, fan_out, **exact)
        if INITS[init]:
            INITS[init](layer.weight)
            nn.init.zeros_(layer.bias)
        return layer

    with seeded(seed):
        linears = [linear(*pair) for pair in itertools.pairwise(sizes)]
        acts = [
            [*([NORMS[norm](width, **exact)] if norm else []), ACTIVATIONS[name]()]
            for width, name in zip(widths, names, strict=True)
        ]
    if residual:
        scale = 1.0 if norm else 1 / math.sqrt(max(1, len(widths) - 1))
        blocks = zip(acts[:-1], linears[1:-1], strict=True)
        layers = [linears[0], *(Residual(nn.Sequential(*act, layer), scale) for act, layer in blocks), *acts[-1]]
    else:
        layers = [layer for layer, act in zip(linears, acts, strict=False) for layer in (layer, *act)]
    return nn.Sequential(*layers, linears[-1]).to(dtype)


def hidden(model, inputs):
    """The representation in each hidden layer of an `mlp`: a list of tensors [n, width], each after its activation.

    Of a residual network: the sum after each block, and last what the last activation makes of it. Measured in
    evaluation mode, without gradients; the model is left as it was. Built in notebook 01.
    """
    representations = []
    with mode(model, training=False), torch.no_grad():
        for layer in model:
            inputs = layer(inputs)
            if isinstance(layer, (Residual, *ACTIVATIONS.values())):
                representations.append(inputs)
    return representations


class Attention(nn.Module):
    """Multi-head scaled dot-product self-attention: from [n, T, width] to [n, T, width].

    width     a multiple of `heads`; each head has width / heads of the queries, keys and values
    causal    a position sees itself and what is before it, nothing after it
    relative  0, or the greatest T: a learned number for each head and distance is then added to the scores (0 at first)

    Built in notebook 03. Source: Vaswani et al. 2017, section 3.2; the relative bias as in Raffel et al. 2020 (T5),
    with a bucket for each distance.
    """

    def __init__(self, width, heads, *, causal=False, relative=0):
        super().__init__()
        if min(width, heads) < 1 or width % heads:
            raise ValueError(f"width={width} must be a multiple of heads={heads}, both at least 1.")
        self.heads, self.causal, self.relative = heads, causal, relative
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if relative:
            self.distance_bias = nn.Parameter(torch.zeros(heads, 2 * relative - 1))

    def _parts(self, x):
        """Queries, keys and values of each head, each [n, heads, T, width / heads]."""
        parts = self.query_key_value(x).chunk(3, dim=-1)
        return [part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in parts]

    def _weights(self, q, k):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        at = torch.arange(q.shape[-2], device=q.device)
        if self.relative:
            scores = scores + self.distance_bias[:, at.unsqueeze(1) - at + self.relative - 1]
        if self.causal:
            scores = scores.masked_fill(at > at.unsqueeze(1), -torch.inf)
        return scores.softmax(-1)

    def weights(self, x):
        """How much each position (row) takes from each (column): [n, heads, T, T], rows sum to 1."""
        q, k, _ = self._parts(x)
        return self._weights(q, k)

    def forward(self, x):
        q, k, v = self._parts(x)
        return self.out((self._weights(q, k) @ v).transpose(-3, -2).flatten(-2))


class Block(nn.Module):
    """Pre-norm transformer block: attention, then feed-forward, each added to the residual stream [n, T, width].

    attention     an `Attention`
    width         of the residual stream
    feed_forward  neurons of the feed-forward layer; 0 leaves it out (attention-only)
    norm          "layer", "rms" or "none", before each of the two
    activation    of the feed-forward layer, as in `mlp`

    Built in notebook 03. The same as `nn.TransformerEncoderLayer(norm_first=True)`. Source: Xiong et al. 2020.
    """

    def __init__(self, attention, width, *, feed_forward=0, norm="layer", activation="gelu"):
        super().__init__()
        self.norm_1, self.attention = STREAM_NORMS[norm](width), attention
        self.norm_2, self.feed_forward = None, None
        if feed_forward:
            layers = nn.Linear(width, feed_forward), ACTIVATIONS[activation](), nn.Linear(feed_forward, width)
            self.norm_2, self.feed_forward = STREAM_NORMS[norm](width), nn.Sequential(*layers)

    def forward(self, x):
        x = x + self.attention(self.norm_1(x))
        return x if self.feed_forward is None else x + self.feed_forward(self.norm_2(x))


def sinusoidal(length, width):
    """Positions as waves, [length, width]: column 2i is the sine of t / 10000^(2i/width), column 2i + 1 the cosine.

    Built in notebook 03. Source: Vaswani et al. 2017, section 3.5.
    """
    angle = torch.arange(length).unsqueeze(1) / 10_000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


class Transformer(nn.Module):
    """A small transformer: tokens [n, T], whole numbers below `vocabulary`, to outputs [n, T, outputs].

    vocabulary    number of different tokens
    seed          draws the parameters, on the CPU; global random state is kept
    length        the greatest T
    width         of the residual stream: token embedding (plus position), to which every block adds
    layers        number of blocks; heads in each of them
    outputs       at each position; by default `vocabulary`, the logits of the next token
    causal        True for language models: no position sees a later one
    positions     "learned" or "sinusoidal" (added to the embedding), "relative" (a bias on the scores), or "none"
    feed_forward  neurons of each feed-forward layer; 0 for an attention-only transformer
    norm          "layer", "rms" or "none", before each part and before the outputs
    activation    of the feed-forward layers, as in `mlp`

    Raises ValueError for sizes and names that do not fit, and for tokens [n, T] with T above `length`.
    Built in notebook 03. Source: Vaswani et al. 2017; attention-only: Elhage et al. 2021.
    """

    def __init__(
        self,
        vocabulary,
        *,
        seed,
        length=32,
        width=32,
        layers=2,
        heads=1,
        outputs=None,
        causal=True,
        positions="learned",
        feed_forward=0,
        norm="layer",
        activation="gelu",
    ):
        super().__init__()
        outputs = vocabulary if outputs is None else outputs
        if min(vocabulary, length, width, layers, heads, outputs) < 1 or feed_forward < 0 or width % heads:
            raise ValueError(
                f"vocabulary={vocabulary}, length={length}, width={width}, layers={layers}, heads={heads}, "
                f"outputs={outputs}, feed_forward={feed_forward}: all are at least 1, but feed_forward 0, and width is "
                "a multiple of heads."
            )
        names = {
            "positions": (positions, POSITIONS),
            "norm": (norm, STREAM_NORMS),
            "activation": (activation, ACTIVATIONS),
        }
        for name, (choice, known) in names.items():
            if choice not in known:
                raise ValueError(f"{name}={choice!r} is unknown: choose from {', '.join(known)}.")
        self.length, self.positions, self.causal = length, positions, causal
        relative = length if positions == "relative" else 0
        options = {"feed_forward": feed_forward, "norm": norm, "activation": activation}
        with seeded(seed):
            self.embedding = nn.Embedding(vocabulary, width)
            if positions == "learned":
                self.position = nn.Parameter(torch.randn(length, width))
            elif positions == "sinusoidal":
                self.register_buffer("position", sinusoidal(length, width))
            self.blocks = nn.Sequential(
                *(
                    Block(Attention(width, heads, causal=causal, relative=relative), width, **options)
                    for _ in range(layers)
                )
            )
            self.norm, self.unembedding = STREAM_NORMS[norm](width), nn.Linear(width, outputs)

    def extra_repr(self):
        return f"length={self.length}, positions={self.positions!r}, causal={self.causal}"

    def embed(self, tokens):
        """The residual stream before the first block, [n, T, width]."""
        if tokens.shape[-1] > self.length:
            raise ValueError(
                f"The sequences have {tokens.shape[-1]} tokens, but this model takes {self.length} at most."
            )
        x = self.embedding(tokens)
        return x + self.position[: tokens.shape[-1]] if self.positions in ("learned", "sinusoidal") else x

    def forward(self, tokens):
        return self.unembedding(self.norm(self.blocks(self.embed(tokens))))

    def patterns(self, tokens):
        """The attention weights in each layer, a list of [n, heads, T, T]. In evaluation mode, without gradients."""
        found = []
        with mode(self, training=False), torch.no_grad():
            x = self.embed(tokens)
            for block in self.blocks:
                found.append(block.attention.weights(block.norm_1(x)))
                x = block(x)
        return found


class NextCharacter(nn.Module):
    """A language model that reads `context` characters and says which comes next, after Bengio et al. 2003.

    width       neurons of each of the two hidden layers, the second of which is a residual connection
    context     characters that it reads; each is looked up as 8 numbers
    seed        draws the parameters, on the CPU; global random state is kept
    vocabulary  number of different characters, by default those of `data.library_text`

    Maps class numbers of characters [n, context] to logits [n, vocabulary]. Built in notebook 04.
    """

    def __init__(self, width, context, *, seed, vocabulary=96):
        super().__init__()
        if min(width, context, vocabulary) < 1:
            raise ValueError(f"width={width}, context={context} and vocabulary={vocabulary} must be at least 1.")
        with seeded(seed):
            self.lookup = nn.Embedding(vocabulary, 8)
            self.first, self.second = nn.Linear(8 * context, width), nn.Linear(width, width)
            self.last = nn.Linear(width, vocabulary)

    def forward(self, characters):
        h = nn.functional.relu(self.first(self.lookup(characters.int()).flatten(1)))
        return self.last(h + nn.functional.relu(self.second(h)))
