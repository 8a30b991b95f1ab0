"""The gate of `fit`, `evaluate` and the Hessian: what they are given is converted, or refused in one sentence.

All of it happens before anything is trained or recorded.
"""

import contextlib
import copy
import warnings

import numpy as np
import torch
from torch import nn

_TROUBLE = (
    IndexError,
    RuntimeError,
    TypeError,
    ValueError,
    UserWarning,
)  # what PyTorch raises for a wrong shape or type


def whole(name, value, least=0, most=2**63 - 1):
    """`value` as an int, whoever made it: 100, 1e2, NumPy's or PyTorch's. ValueError where it is no such number."""
    try:
        number = int(value)
        if number == value and least <= number <= most and not isinstance(value, (bool, np.bool_)):
            return number
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    limits = f"from {least} to {most}" if most < 2**63 - 1 else f"of at least {least}"
    raise ValueError(f"{name} must be a whole number {limits}, not {value!r}.")


def as_tensor(values, name):
    """Numbers as a tensor without gradients, from a tensor, array, DataFrame, Series or list.

    A tensor keeps its memory, all else is copied. Whole numbers of kinds that PyTorch hardly computes with become
    int64. Raises ValueError for text, dates, missing values (None, NA) and rows of different lengths.
    """
    if not isinstance(values, torch.Tensor):
        try:
            array = np.asarray(values)
            if array.dtype == object:  # a DataFrame of numbers of several kinds
                array = np.asarray(array.tolist())
            wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
            native = np.float64 if wide else array.dtype.newbyteorder("=")
            values = torch.tensor(array.astype(native, order="C"))
        except (TypeError, ValueError, RuntimeError):
            kind = type(values).__name__
            raise ValueError(
                f"{name} must hold numbers, none of them missing, in rows of one length: this {kind} does not."
            ) from None
    values = values.detach() if values.layout == torch.strided else values.detach().to_dense()
    return values if values.dtype in _KEPT or values.is_floating_point() else values.long()


_KEPT = (torch.bool, torch.uint8, torch.int32, torch.int64, torch.complex64, torch.complex128)


def finite(values):
    """Whether no number of a tensor is NaN or infinite. Looks at the extremes, without a copy of the data."""
    if not (values.is_floating_point() and values.numel()):
        return True
    values = values.float() if values.itemsize == 1 else values  # numbers of 8 bits have no extremes in PyTorch
    return bool(torch.stack(values.aminmax()).isfinite().all())


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


def plain(model):
    """The model inside the wrapper of torch.compile; any other model itself."""
    return getattr(model, "_orig_mod", model)


def name_of(what):
    """The name of a loss, metric or schedule: of the function, or of the object's class."""
    return what if isinstance(what, str) else getattr(what, "__name__", type(what).__name__)


def reason(error):
    """The first line of an exception's message, without its full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")


def tensors(model, inputs, targets):
    """Inputs and targets where the model is: floats in its precision, class numbers as int64, tokens as they are.

    They may be whatever `as_tensor` takes. Raises ValueError for NaN and what its precision makes infinite.
    """
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    inputs, targets = as_tensor(inputs, "inputs"), as_tensor(targets, "targets")
    inputs = inputs.to(like) if inputs.is_floating_point() or inputs.dtype == torch.bool else inputs.to(like.device)
    targets = targets.to(like) if targets.is_floating_point() else targets.to(like.device, torch.int64)
    for name, values in (("inputs", inputs), ("targets", targets)):
        if not finite(values):
            raise ValueError(
                f"{name} contains NaN or infinite values as {values.dtype}: remove or scale those examples."
            )
    return inputs, targets


def outputs(model, inputs):
    """model(inputs), measured: in evaluation mode and without gradients. ValueError where they do not fit."""
    embeddings = [layer for layer in model.modules() if isinstance(layer, (nn.Embedding, nn.EmbeddingBag))]
    hooks = [layer.register_forward_pre_hook(_check_tokens) for layer in embeddings]
    try:
        with mode(model, training=False), torch.no_grad():
            found = model(inputs)
    except _TROUBLE as error:
        raise ValueError(_misfit(model, inputs, error)) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(found, torch.Tensor):
        kind = type(found).__name__
        raise ValueError(
            f"The model must return one tensor, its outputs, not a {kind}: leave out what else it returns."
        )
    return found


def _check_tokens(embedding, arguments):
    """Before the look-up: a token that it lacks would be the end of a GPU's process."""
    tokens, last = arguments[0], embedding.num_embeddings - 1
    if tokens.is_floating_point():
        raise ValueError("it looks up tokens, which are whole numbers (inputs.long())")
    wrong = tokens[(tokens < 0) | (tokens > last)]
    if len(wrong):
        raise ValueError(f"the token {int(wrong[0])} is outside its vocabulary, 0 to {last}")


def _misfit(model, inputs, error):
    """Why a model cannot take these inputs, given the exception that it raised."""
    first = next((layer for layer in model.modules() if type(layer).__name__.endswith("Linear")), None)
    raised = isinstance(error, RuntimeError)  # by PyTorch
    if raised and not inputs.is_floating_point():
        kind = f"whole numbers ({inputs.dtype}): give inputs.float() if they are measured, inputs.long() if tokens"
        return f"The model cannot take {kind} ({reason(error)})."
    if raised and first is not None and inputs.shape[-1] != first.weight.shape[-1]:
        return f"The model takes {first.weight.shape[-1]} features, but each input has {inputs.shape[-1]}."
    return f"The model cannot take inputs of shape {list(inputs.shape)}: {reason(error)}."


def compared(loss, found, targets):
    """loss(found, targets). ValueError, in one sentence, where shapes do not fit, or PyTorch would broadcast them."""
    alike = "numbers must have the outputs' shape, and class numbers be whole (targets.long())"
    pytorchs = (getattr(loss, "__module__", None) or "").startswith("torch.nn")
    try:
        if pytorchs and targets.is_floating_point() and found.shape != targets.shape:
            raise ValueError(alike)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a target size")  # from mse_loss and others, however called
            return loss(found, targets)
    except _TROUBLE as error:
        shapes = f"outputs of shape {list(found.shape)} with targets of shape {list(targets.shape)}"
        why = alike if "Using a target size" in str(error) else reason(error)
        raise ValueError(f"{name_of(loss)} cannot compare {shapes}: {why}.") from None


def check_fit(model, inputs, targets, loss):
    """Raise ValueError, in one sentence, where model, data and loss do not fit together; warn where a loss is no mean.

    Tries the examples with the smallest and the greatest targets, and tokens.
    """
    if not callable(loss) or isinstance(loss, type):
        raise ValueError(
            f"loss={name_of(loss)} must be a function (outputs, targets), such as F.mse_loss or nn.MSELoss()."
        )
    if len(inputs) != len(targets):
        shapes = f"targets of shape {list(targets.shape)} does not match inputs of shape {list(inputs.shape)}"
        raise ValueError(f"{shapes}: each example needs one row in each.")
    if not inputs.is_floating_point():
        tokens = inputs.reshape(len(inputs), -1)
        outputs(model, inputs[torch.cat([tokens.argmin(0), tokens.argmax(0)]).unique()])
    flat = targets.reshape(len(targets), -1)
    rows = torch.stack([flat.amin(1).argmin(), flat.amax(1).argmax()])
    found, targets, loss = outputs(model, inputs[rows]), targets[rows], copy.deepcopy(loss)  # it may count its calls
    try:
        value = _tried(loss, found, targets)
    except ValueError:
        if not targets.is_floating_point() and targets.ndim == 1 and found.ndim == 2:
            (least, greatest), last = targets.tolist(), found.shape[1] - 1
            if least < 0 or greatest > last:
                label = greatest if greatest > last else least
                raise ValueError(
                    f"The label {label} does not fit the model's {last + 1} outputs, 0 to {last}."
                ) from None
        raise
    if not isinstance(value, torch.Tensor) or value.ndim:
        kind = f"of shape {list(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
        raise ValueError(f"The loss must be one number, the mean over the batch, as a tensor, not {kind}.")
    if not _is_mean(loss, found, targets):
        warnings.warn(
            f"The loss {name_of(loss)} of two examples is not the mean of each one's own: does it add them up, or are "
            f"outputs of shape {list(found.shape)} and targets of shape {list(targets.shape)} broadcast?",
            stacklevel=3,
        )


def _tried(loss, found, targets):
    """The loss, on the CPU if it can be: a label out of range is an error there, and the end of a GPU's process."""
    try:
        return compared(loss, found.cpu(), targets.cpu())
    except ValueError as error:
        if found.device.type == "cpu" or "device" not in str(error):
            raise
        return compared(loss, found, targets)  # it has tensors of its own on the GPU


def _is_mean(loss, found, targets):
    """Whether the loss of two examples is the mean of each one's own, up to rounding.

    Two different ones where every row could be compared with every other: [n, 1] and [n] broadcast to [n, n]. Else
    twice the same, since a mean may be over classes, groups or known tokens, and examples differ in these.
    """
    if _broadcast(found.shape, targets.shape) <= max(found.numel(), targets.numel()):
        found, targets = found[[0, 0]], targets[[0, 0]]
    try:
        alone = torch.stack([_tried(loss, *one) for one in zip(found.split(1), targets.split(1), strict=True)])
        rtol = torch.finfo(found.dtype).eps ** 0.5
        together = _tried(loss, found, targets)
    except ValueError:
        return False
    return torch.isclose(together, alone.nanmean(), rtol=rtol, atol=rtol * 1e-3, equal_nan=True).item()


def _broadcast(*shapes):
    """The number of values that tensors of these shapes broadcast to; 0 where they do not."""
    try:
        return torch.broadcast_shapes(*shapes).numel()
    except RuntimeError:
        return 0
