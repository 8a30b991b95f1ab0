"""The few architectures that several notebooks share, and the two settings in which models are drawn and measured."""

import contextlib
import random

import numpy as np
import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "identity": nn.Identity}


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


def mlp(sizes, *, seed, activation="relu", batch_norm=False, dtype=torch.float32):
    """A multilayer perceptron: Linear, [BatchNorm1d], activation for each hidden layer, then a Linear to the outputs.

    sizes       features, width of each hidden layer, outputs: [64, 100, 10] maps inputs [n, 64] to outputs [n, 10]
    seed        draws the parameters, on the CPU and in float32 whatever `dtype` is; global random state is kept
    activation  "relu", "tanh", "sigmoid", "gelu" or "identity"; or a list with one name for each hidden layer

    Returns an nn.Sequential. Raises ValueError for sizes or names that do not fit. Built in notebook 00.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes={list(sizes)}: give the numbers of features and of outputs at least, each at least 1.")
    names = [activation] * (len(sizes) - 2) if isinstance(activation, str) else list(activation)
    if len(names) != len(sizes) - 2 or not set(names) <= ACTIVATIONS.keys():
        raise ValueError(
            f"activation={activation!r}: choose from {', '.join(ACTIVATIONS)}: one for all, or one a hidden layer."
        )
    layers, exact = [], {"device": "cpu", "dtype": torch.float32}
    with seeded(seed):
        for fan_in, fan_out, name in zip(sizes, sizes[1:], [*names, None], strict=False):
            layers.append(nn.Linear(fan_in, fan_out, **exact))
            if name:
                layers += [nn.BatchNorm1d(fan_out, **exact)] if batch_norm else []
                layers.append(ACTIVATIONS[name]())
    return nn.Sequential(*layers).to(dtype)


def hidden(model, inputs):
    """The representation in each hidden layer of an `mlp`: a list of tensors [n, width], each after its activation.

    Measured in evaluation mode, without gradients; the model is left as it was. Built in notebook 01.
    """
    representations = []
    with mode(model, training=False), torch.no_grad():
        for layer in model:
            inputs = layer(inputs)
            if isinstance(layer, tuple(ACTIVATIONS.values())):
                representations.append(inputs)
    return representations
