"""The few architectures that several notebooks share, and the two settings in which models are drawn and measured."""

import contextlib
import itertools
import math
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from labkit.gate import chosen, mode, whole

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "identity": nn.Identity}
_NORMS = {None: None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
# How the weights of a layer from fan_in to fan_out neurons are drawn; "default" is nn.Linear's own way.
_INITS = {"default": None, "xavier": nn.init.xavier_normal_, "he": nn.init.kaiming_normal_}
_POSITIONS = {name: name for name in ("learned", "sinusoidal", "relative", "none")}


@contextlib.contextmanager
def seeded(seed):
    """Seed Python's, NumPy's and PyTorch's random numbers for the block, and leave all as they were found.

    A GPU's generators are included once the GPU is in use: move models to it before the block. Seeds are whole numbers
    from 0 to 2**32 - 1 (ValueError).
    """
    seed, on_gpu = whole("seed", seed, most=2**32 - 1), torch.cuda.is_initialized()
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(range(torch.cuda.device_count()) if on_gpu else []):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


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
    names = [activation] * len(widths) if isinstance(activation, str) else activation
    activations = [chosen("activation", name, _ACTIVATIONS) for name in names]
    normalise, draw = chosen("norm", norm, _NORMS), chosen("init", init, _INITS)
    if residual and len(set(widths)) != 1:
        raise ValueError(f"sizes={list(sizes)}: residual blocks need hidden layers of one width, at least one.")

    with seeded(seed):
        linears = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            linears.append(nn.Linear(fan_in, fan_out))
            if draw:
                draw(linears[-1].weight)
                nn.init.zeros_(linears[-1].bias)
    layers, last = linears[:1], linears[-1]
    scale = 1.0 if norm else 1 / math.sqrt(max(1, len(widths) - 1))
    for width, activate, linear in zip(widths, activations, linears[1:], strict=True):
        between = [normalise(width), activate()] if norm else [activate()]
        if residual and linear is not last:
            layers.append(Residual(nn.Sequential(*between, linear), scale))
        else:
            layers += [*between, linear]
    return nn.Sequential(*layers).to(dtype)


def hidden(model, inputs):
    """The representation in each hidden layer of an `mlp`: a list of tensors [n, width], each after its activation.

    Of a residual network: the sum after each block, and last what the last activation makes of it. Measured in
    evaluation mode, without gradients; the model is left as it was. Built in notebook 01.
    """
    found = []
    with mode(model, training=False), torch.no_grad():
        for layer in model:
            inputs = layer(inputs)
            if isinstance(layer, (Residual, *_ACTIVATIONS.values())):
                found.append(inputs)
    return found


class _Stacked(nn.Module):
    """The same layer of K replicates: their tensors are stacked, and it maps [K, width, n] to [K, width, n]."""

    def __init__(self, layers):
        super().__init__()
        parameters, buffers = torch.func.stack_module_state(layers)
        for name, values in parameters.items():
            self.register_parameter(name, nn.Parameter(values.detach()))
        for name, values in buffers.items():
            self.register_buffer(name, values)
        self.eps, self.momentum = (getattr(layers[0], name, None) for name in ("eps", "momentum"))


class _Linear(_Stacked):
    def forward(self, inputs):
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, inputs)


class _BatchNorm(_Stacked):
    """K times as many channels of one long example."""

    def forward(self, inputs):
        if self.training:
            self.num_batches_tracked.add_(1)
        channels = (t.view(-1) for t in (self.running_mean, self.running_var, self.weight, self.bias))
        outputs = inputs.reshape(1, -1, inputs.shape[2])
        return F.batch_norm(outputs, *channels, self.training, self.momentum, self.eps).view_as(inputs)


class _LayerNorm(_Stacked):
    """Each example by its own mean and variance."""

    def forward(self, inputs):
        normal = F.layer_norm(inputs.mT, inputs.shape[1:2], eps=self.eps).mT
        return torch.addcmul(self.bias.unsqueeze(2), normal, self.weight.unsqueeze(2))


def _batched(layers):
    """One module that does for K replicates what each of these K modules, all of one kind, does for its own."""
    first = layers[0]
    if isinstance(first, Residual):
        branches = zip(*(layer.branch for layer in layers), strict=True)
        return Residual(nn.Sequential(*map(_batched, branches)), first.scale)
    kinds = {nn.Linear: _Linear, nn.BatchNorm1d: _BatchNorm, nn.LayerNorm: _LayerNorm}
    return kinds[type(first)](layers) if type(first) in kinds else first


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
        if width % heads:
            raise ValueError(f"width={width} must be a multiple of heads={heads}.")
        self.heads, self.causal, self.relative = heads, causal, relative
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if relative:
            self.distance_bias = nn.Parameter(torch.zeros(heads, 2 * relative - 1))

    def _parts(self, x):
        """Queries, keys and values of each head, each [n, heads, T, width / heads]."""
        parts = self.query_key_value(x).chunk(3, dim=-1)
        return [part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in parts]

    def _bias(self, q):
        """What is added to the scores, [T, T] or [heads, T, T]: minus infinity where nothing is to be seen."""
        at = torch.arange(q.shape[-2], device=q.device)
        bias = q.new_zeros(len(at), len(at))
        if self.relative:
            bias = self.distance_bias[:, at.unsqueeze(1) - at + self.relative - 1]
        return bias.masked_fill(at > at.unsqueeze(1), -torch.inf) if self.causal else bias

    def weights(self, x):
        """How much each position (row) takes from each (column): [n, heads, T, T], rows sum to 1."""
        q, k, _ = self._parts(x)
        return (q @ k.mT / q.shape[-1] ** 0.5 + self._bias(q)).softmax(-1)

    def forward(self, x):
        q, k, v = self._parts(x)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=self._bias(q))
        return self.out(mixed.transpose(-3, -2).flatten(-2))


class Block(nn.Module):
    """Pre-norm transformer block: attention, then feed-forward, each added to the residual stream [n, T, width].

    attention     an `Attention`
    width         of the residual stream
    feed_forward  neurons of the feed-forward layer, with GELU; 0 leaves it out (attention-only)

    Built in notebook 03. The same as `nn.TransformerEncoderLayer(norm_first=True)`. Source: Xiong et al. 2020.
    """

    def __init__(self, attention, width, *, feed_forward=0):
        super().__init__()
        self.norm_1, self.attention = nn.LayerNorm(width), attention
        self.norm_2, self.feed_forward = None, None
        if feed_forward:
            layers = nn.Linear(width, feed_forward), nn.GELU(), nn.Linear(feed_forward, width)
            self.norm_2, self.feed_forward = nn.LayerNorm(width), nn.Sequential(*layers)

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

    Raises ValueError for sizes and names that do not fit.
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
    ):
        super().__init__()
        self.positions = chosen("positions", positions, _POSITIONS)
        relative = length if positions == "relative" else 0
        with seeded(seed):
            self.embedding = nn.Embedding(vocabulary, width)
            if positions == "learned":
                self.position = nn.Parameter(torch.randn(length, width))
            elif positions == "sinusoidal":
                self.register_buffer("position", sinusoidal(length, width))
            self.blocks = nn.Sequential()
            for _ in range(layers):
                attention = Attention(width, heads, causal=causal, relative=relative)
                self.blocks.append(Block(attention, width, feed_forward=feed_forward))
            self.norm, self.unembedding = nn.LayerNorm(width), nn.Linear(width, outputs or vocabulary)

    def embed(self, tokens):
        """The residual stream before the first block, [n, T, width]."""
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
        with seeded(seed):
            self.lookup = nn.Embedding(vocabulary, 8)
            self.first, self.second = nn.Linear(8 * context, width), nn.Linear(width, width)
            self.last = nn.Linear(width, vocabulary)

    def forward(self, characters):
        h = F.relu(self.first(self.lookup(characters.int()).flatten(1)))
        return self.last(h + F.relu(self.second(h)))
