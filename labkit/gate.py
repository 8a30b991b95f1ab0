"""The gate of `fit` and `evaluate`: what they are given is converted, or refused in one sentence.

All of it happens before anything is trained or recorded. Imports nothing of labkit.
"""

import contextlib
import copy

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook


def whole(name, value, least=0, most=2**63 - 1):
    """`value` as an int, whoever made it: 100, 1e2, NumPy's or PyTorch's. ValueError where it is no such number."""
    with contextlib.suppress(TypeError, ValueError, OverflowError, RuntimeError):
        if int(value) == value and least <= value <= most and not isinstance(value, (bool, np.bool_)):
            return int(value)
    limits = f"from {least} to {most}" if most < 2**63 - 1 else f"of at least {least}"
    raise ValueError(f"{name} must be a whole number {limits}, not {value!r}.")


def chosen(name, choice, options):
    """options[choice]. ValueError where it is none of them."""
    if choice not in options:
        raise ValueError(f"{name}={choice!r} is unknown: choose from {', '.join(map(str, options))}.")
    return options[choice]


def as_tensor(values, name):
    """Numbers as a tensor without gradients, from a tensor, array, DataFrame, Series or list.

    A tensor keeps its memory, all else is copied. Unsigned numbers that PyTorch hardly computes with become int64.
    Raises ValueError for text, dates, missing values (None, NA) and rows of different lengths.
    """
    if not isinstance(values, torch.Tensor):
        with refused(f"{name} must hold numbers, none of them missing, in rows of one length"):
            array = np.asarray(values)
            if array.dtype == object:  # a DataFrame of numbers of several kinds
                array = np.asarray(array.tolist())
            values = torch.tensor(array.astype(array.dtype.newbyteorder("="), order="C"))
    return values.detach().long() if values.dtype in (torch.uint16, torch.uint32, torch.uint64) else values.detach()


def finite(values):
    """Whether no number of a tensor is NaN or infinite."""
    return bool(values.isfinite().all())


@contextlib.contextmanager
def mode(model, training):
    """Training mode (True) or evaluation mode (False) for the block; every module's own mode is restored after it."""
    before = {module: module.training for module in model.modules()}
    try:
        yield model.train(training)
    finally:
        for module, was in before.items():
            module.training = was


def plain(model):
    """The model inside the wrapper of torch.compile; any other model itself."""
    return getattr(model, "_orig_mod", model)


def run_ids(model):
    """The training runs of a model, or of each replicate of an Ensemble; [None] where there is none."""
    return getattr(model, "run_ids", None) or [getattr(model, "run_id", None)]


def tensors(model, inputs, targets):
    """Inputs and targets where the model is: floats in its precision, class numbers as int64, tokens as they are.

    Raises ValueError for NaN and what its precision makes infinite.
    """
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    inputs = inputs.to(like) if inputs.is_floating_point() or inputs.dtype == torch.bool else inputs.to(like.device)
    targets = targets.to(like) if targets.is_floating_point() else targets.to(like.device, torch.int64)
    if not (finite(inputs) and finite(targets)):
        raise ValueError(f"The examples have NaN or infinite values as {like.dtype}: remove or scale those.")
    return inputs, targets


@contextlib.contextmanager
def refused(what):
    """Say in one sentence what does not fit, where the block raises anything."""
    try:
        yield
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{what}: {reason}") from error


def outputs(model, inputs):
    """model(inputs), measured: in evaluation mode and without gradients. ValueError where they do not fit."""
    trying = refused(f"The model cannot take inputs {inputs.dtype} of shape {list(inputs.shape)}")
    with trying, mode(model, training=False), torch.no_grad(), register_module_forward_pre_hook(_check_tokens):
        found = model(inputs)
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"The model must return one tensor, its outputs, not a {type(found).__name__}.")
    return found


def _check_tokens(module, arguments):
    """Before the look-up: a token that it lacks would be the end of a GPU's process."""
    if isinstance(module, nn.Embedding):
        tokens, last = arguments[0], module.num_embeddings - 1
        for wrong in tokens[(tokens < 0) | (tokens > last)][:1].tolist():
            raise ValueError(f"the token {wrong} is outside its vocabulary, 0 to {last}")


def compared(loss, found, targets):
    """loss(found, targets). ValueError, in one sentence, where shapes do not fit, or PyTorch would broadcast them."""
    with refused(f"The loss or metric cannot compare outputs {list(found.shape)} with targets {list(targets.shape)}"):
        alike = found.numel() == targets.numel() and targets.is_floating_point()
        if alike and found.shape != targets.shape:  # [n, 1] minus [n] would be [n, n]
            raise ValueError("give the targets the outputs' shape")
        return loss(found, targets)


def check_fit(model, inputs, targets, loss):
    """Raise ValueError, in one sentence, where model, data and loss do not fit together.

    Tries the examples with the smallest and the greatest targets, and tokens.
    """
    flat = targets.reshape(len(targets), -1)
    rows = torch.stack([flat.amin(1).argmin(), flat.amax(1).argmax()])
    if not inputs.is_floating_point():
        tokens = inputs.reshape(len(inputs), -1)
        rows = torch.cat([rows, tokens.argmin(0), tokens.argmax(0)])
    found, targets, loss = outputs(model, inputs[rows]), targets[rows], copy.deepcopy(loss)  # it may count its calls
    try:  # on the CPU: there a label out of range is an error, on a GPU the end of the process
        value = compared(loss, found.cpu(), targets.cpu())
    except ValueError as error:
        if "device" not in str(error):
            raise
        value = compared(loss, found, targets)  # it has tensors of its own on the GPU
    if not isinstance(value, torch.Tensor) or value.ndim:
        raise ValueError("The loss must be one number, the mean over the batch, as a tensor.")
