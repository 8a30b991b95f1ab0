"""The few architectures that several notebooks share, and the two settings in which models are drawn and measured."""

import contextlib
import itertools
import math
import random

import numpy as np
import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "identity": nn.Identity}
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
# How the weights of a layer from fan_in to fan_out neurons are drawn; "default" is nn.Linear's own way.
INITS = {"default": None, "xavier": nn.init.xavier_normal_, "he": nn.init.kaiming_normal_}


@contextlib.contextmanager
def seeded(seed):
    """Seed Python's, NumPy's and PyTorch's random numbers for the block, and leave all as they were found.

    A GPU's generators are included once the GPU is in use: move models to it before the block. Seeds are whole numbers
    from 0 to 2**32 - 1 (ValueError).
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r} must be a whole number from 0 to 2**32 - 1.")
    seed, cuda, mps = int(seed), torch.cuda.is_initialized(), torch.backends.mps.is_available()
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


@contextlib.contextmanager
def mode(model, training):
    """Training mode (True) or evaluation mode (False) for the block; every module's own mode is restored after it."""
    before = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, was in before.items():
            module.training = was


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
