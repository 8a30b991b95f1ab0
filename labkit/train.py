"""Training one model (`fit`) or many replicates at once (`Ensemble`), evaluating them, and keeping their weights.

Every run is recorded in the ledger: its data, architecture, settings, loss curve and cost, and how it ended.
"""

import copy
import dataclasses
import enum
import functools
import hashlib
import json
import math
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from labkit import gate, models
from labkit.data import Examples
from labkit.gate import as_tensor, compared, mode, name_of, plain, reason, whole
from labkit.ledger import Ledger, outputs_dir
from labkit.measure import accuracy
from labkit.models import mlp, seeded

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES = {
    "constant": lambda step, steps: 1.0,
    "cosine": lambda step, steps: (1 + math.cos(math.pi * step / steps)) / 2,
}
LOOK_EVERY = 50  # steps between two looks at the loss: each look makes a GPU wait
BAR_AFTER = 1  # second: short trainings, of which a notebook makes many, show no bar
TURN = 10  # steps of one replicate before the next has its turn, so that its weights stay in the processor's cache


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite. The exception's `history` is the run until then."""

    history = None


@dataclasses.dataclass(frozen=True, eq=False)
class History:
    """What happened in a training run.

    loss     array [steps], or [steps, K] for an Ensemble: the loss of each batch, before the update that it led to
    seconds  of training on the clock, callbacks left out
    status   "completed", "interrupted" or "diverged"
    run_id   the run's number in the ledger (None where it could not be recorded); for an Ensemble a list of K
    """

    loss: np.ndarray
    seconds: float
    status: str
    run_id: int | list | None

    def frame(self):
        """The loss curve as a DataFrame with the columns step (from 1), replicate and loss."""
        loss = self.loss.reshape(len(self.loss), -1)
        step, replicate = np.indices(loss.shape).reshape(2, -1)
        return pd.DataFrame({"step": step + 1, "replicate": replicate, "loss": loss.ravel()})


def device(choice=None):
    """The torch.device to use: `choice`, else the variable LABKIT_DEVICE, else CUDA where there is a GPU, else the CPU.

    Apple's GPU is used only when asked for ("mps"). Raises RuntimeError when what was asked for is missing.
    """
    place = torch.device(choice or os.environ.get("LABKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise RuntimeError(
            f"The device {place} was asked for, but PyTorch {torch.__version__} finds {torch.cuda.device_count()} CUDA "
            'devices: use device="cpu", or install the NVIDIA driver and a CUDA build of PyTorch.'
        )
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise RuntimeError('The device mps was asked for, but PyTorch finds no Apple GPU: use device="cpu".')
    return place


_device = device  # for functions with an argument of that name


def fit(
    model,
    examples,
    *,
    steps,
    batch_size=128,
    learning_rate=1e-3,
    seed=0,
    optimizer="adam",
    weight_decay=0.0,
    momentum=0.0,
    schedule="constant",
    loss=F.cross_entropy,
    device=None,
    experiment="",
    callback=None,
    callback_steps=None,
):
    """Train `model` by minibatch gradient descent, record the run in the ledger, and return its History.

    examples        Examples, or a pair (inputs [n, ...], targets [n, ...]): tensors, arrays, DataFrames or lists
    steps           number of updates
    batch_size      each epoch cuts a new random order of the examples into batches; what is left over at its end is
                    not used, and a batch size of n or more takes all n examples in each step
    learning_rate   a number; for an Ensemble also a list with one for each replicate: a grid of them at once
    seed            draws the batches (on the CPU, so that they are the same everywhere) and dropout's masks; an
                    Ensemble has seeds of its own
    optimizer       "sgd", "adam", "adamw", or a function from parameters to a torch.optim.Optimizer, which then sets
                    learning rate, weight decay and momentum itself
    schedule        "constant", "cosine" (down to 0), or a function (step, steps) -> factor on the learning rate
    loss            a function (outputs, targets) -> mean over the batch, such as F.cross_entropy or F.mse_loss; a
                    warning says where the loss of two examples is not the mean of each one's own
    device          as in `device`; the model is moved there and stays there
    experiment      what the run is for, in a few words
    callback        called as callback(step, model) after `step` updates, in evaluation mode and without gradients; for
                    each step in `callback_steps`, by default range(steps + 1). It does not change the training

    The model's `run_id` becomes that of the run. Ctrl-C stops early with a warning; model and history can be used.
    Raises ValueError or TypeError for data and settings that do not fit, and RuntimeError for a missing device, before
    anything is trained or recorded: one update is tried on a copy. TrainingDiverged when the loss becomes NaN or
    infinite. Built in notebook 00.
    """
    steps, batch_size = whole("steps", steps, 1), whole("batch_size", batch_size, 1)
    learner = plain(model)  # without the wrapper of torch.compile
    ensemble = isinstance(learner, Ensemble)
    model = learner if ensemble else model
    if schedule not in SCHEDULES and not callable(schedule):
        raise ValueError(f"schedule={schedule!r} is unknown: choose from {', '.join(SCHEDULES)}, or give a function.")
    factor = SCHEDULES.get(schedule, schedule)
    _number("the schedule's factor", factor(0, steps))
    if callback is not None and not callable(callback):
        raise ValueError(f"callback must be a function (step, model), not a {type(callback).__name__}.")
    watched = range(steps + 1)
    if callback_steps is not None:
        watched = set(callback_steps)
        if outside := [step for step in watched if step not in range(steps + 1)]:
            raise ValueError(f"callback_steps holds {outside[0]}: give whole numbers from 0 to steps={steps}.")
    rates = _rates(learning_rate, len(learner) if ensemble else 0, optimizer)
    weight_decay, momentum = _number("weight_decay", weight_decay), _number("momentum", momentum)
    seeds = learner.seeds if ensemble else [whole("seed", seed, most=2**32 - 1)]
    examples = _examples(examples, "train", len(learner) if ensemble else 0)
    inputs, targets = gate.tensors(learner.to(_device(device)), examples.inputs, examples.targets)
    stacked, size = bool(examples.parts), min(batch_size, len(examples))
    net = learner[0] if ensemble else learner
    if any(map(nn.parameter.is_lazy, net.parameters())):
        gate.outputs(net, inputs[:1])  # gives them their shapes
    architecture = _describe(net)  # before a trial can change what the model counts
    flat = (inputs.flatten(0, 1), targets.flatten(0, 1)) if stacked else (inputs, targets)
    batch = flat[0][:size], flat[1][:size]
    gate.check_fit(net, *flat, loss)

    def build(parameters, rate):
        return _optimizer(optimizer, list(parameters), rate, weight_decay, momentum)

    _try_an_update(net, *batch, loss, lambda parameters: build(parameters, rates[0]))

    # What is stepped: the model; or all replicates as one; or each replicate in turn, in the memory of the whole.
    if ensemble and _all_at_once(model, size, optimizer):
        jobs = [(model, *flat, _batches(len(examples), size, seeds, inputs.device, stacked), _of_each(loss))]
    else:
        nets = [model._replicate(k, share=True) for k in range(len(model))] if ensemble else [model]
        data = zip(inputs, targets, strict=True) if stacked else [(inputs, targets)] * len(nets)
        streams = [_batches(len(examples), size, each, inputs.device) for each in seeds]
        jobs = [(each, *tensors, stream, loss) for each, tensors, stream in zip(nets, data, streams, strict=True)]
    of_jobs = rates if len(jobs) == len(rates) else [max(rates)]
    shares = None if len(set(rates)) == 1 or len(jobs) > 1 else np.array(rates) / max(rates)
    own = [build(job[0].parameters(), rate) for job, rate in zip(jobs, of_jobs, strict=True)]
    steppers = [_stepper(*job, each, factor, steps, shares) for job, each in zip(jobs, own, strict=True)]

    group = own[0].param_groups[0]
    rates = [group["lr"]] * len(seeds) if callable(optimizer) else rates
    kept = {key: value for key, value in group.items() if key not in ("params", "lr")}
    settings = {
        "experiment": experiment,
        "objective": name_of(loss),
        "optimizer": type(own[0]).__name__.lower(),
        "weight_decay": group.get("weight_decay", 0.0),
        "batch_size": size,
        "steps_planned": steps,
        "config": {"schedule": name_of(schedule)} | kept,
    }
    with seeded(seeds[0]), mode(learner, training=True), torch.enable_grad():
        run_ids = _record_start(settings, architecture, examples, seeds, rates)
        _set_run_ids(learner, run_ids)
        watch = (callback, watched) if callback else (None, ())
        curve, seconds, problem = _loop(model, steppers, steps, rates, *watch, experiment)
    curve = curve.reshape(-1, len(seeds))
    _record_end(run_ids, curve, seconds, problem, *_flops(net, *batch, loss), inputs.device)
    losses, ids = (curve, run_ids) if ensemble else (curve[:, 0], run_ids[0])
    history = History(losses, seconds, _status(problem), ids)
    if type(problem) is KeyboardInterrupt:  # a sweep raises another kind, to stop the experiment around this training
        warnings.warn(
            f"Training was interrupted after {len(curve)} of {steps} steps: the model and its history can be used.",
            stacklevel=2,
        )
    elif problem is not None:
        if isinstance(problem, TrainingDiverged):
            problem.history = history
        raise problem
    return history


def _number(name, value):
    """`value` as a float, whoever made it. ValueError where it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be one number, not {' '.join(repr(value).split())[:60]}.") from None


def _rates(learning_rate, replicates, optimizer):
    """The learning rate of each replicate, as a list. `replicates` is 0 for one model."""
    if np.ndim(learning_rate) == 0:
        return [_number("learning_rate", learning_rate)] * max(1, replicates)
    if callable(optimizer):
        raise ValueError("Where optimizer is a function, set the learning rate inside it.")
    rates = [_number("learning_rate", rate) for rate in learning_rate]
    if len(rates) != replicates or min(rates) <= 0:
        raise ValueError(
            f"learning_rate={rates}: give one number, or for an Ensemble of K a list of K numbers greater than 0."
        )
    return rates


def _examples(data, role, replicates):
    """`data` as Examples, checked again since tensors can be changed in place. `replicates` is 0 for one model."""
    if isinstance(data, Examples):
        examples = dataclasses.replace(data)
    elif isinstance(data, (tuple, list)) and len(data) == 2:
        examples = Examples(as_tensor(data[0], "inputs"), as_tensor(data[1], "targets"), role=role)
    else:
        raise TypeError(f"examples must be Examples or a pair (inputs, targets), not {type(data).__name__}.")
    if examples.parts and len(examples.parts) != replicates:
        raise ValueError(
            f"The examples are stacked for {len(examples.parts)} replicates, but this is "
            + (f"an Ensemble of {replicates}." if replicates else "one model: give it examples.replicate(k).")
        )
    return examples


def _try_an_update(net, inputs, targets, loss, build):
    """Make one update of a copy. Raises ValueError, in one sentence, for what cannot be trained."""
    tensors = [*net.named_parameters(), *net.named_buffers()]
    copies = {name: t.detach().clone().requires_grad_(t.requires_grad) for name, t in tensors}
    optimizer = build(copies[name] for name, _ in net.named_parameters())
    with seeded(0), mode(net, training=True), torch.enable_grad():
        try:
            trying = f"take a batch of {len(inputs)} in training mode"
            outputs = torch.func.functional_call(net, copies, (inputs,))
            trying = f"be trained by {name_of(loss)}"
            copy.deepcopy(loss)(outputs, targets).backward()
            trying = f"be trained by {type(optimizer).__name__}, whose step() must need no argument"
            optimizer.step()
        except Exception as error:
            raise ValueError(f"The model cannot {trying}: {reason(error)}.") from error


def _batches(n, size, seeds, place, apart=False):
    """Row numbers of each batch, without end: [size] for one seed, [K, size] for a list of K.

    `apart` counts the rows of replicate k from k n, for data of its own.
    """
    generators = [torch.Generator().manual_seed(int(seed)) for seed in np.atleast_1d(seeds)]
    first = torch.arange(len(generators)).unsqueeze(1) * (n if apart else 0)
    while True:
        order = torch.stack([torch.randperm(n, generator=generator) for generator in generators]) + first
        order = order.to(place).reshape(*np.shape(seeds), n)
        yield from order[..., : n - n % size].split(size, dim=-1)


def _optimizer(choice, parameters, learning_rate, weight_decay, momentum):
    if callable(choice):
        if weight_decay or momentum:
            raise ValueError("Where optimizer is a function, set weight decay and momentum inside it.")
        return choice(iter(parameters))
    if choice not in OPTIMIZERS:
        raise ValueError(
            f"optimizer={name_of(choice)!r} is unknown: choose from {', '.join(OPTIMIZERS)}, or give a function."
        )
    if momentum and choice != "sgd":
        raise ValueError(f'momentum={momentum} is for optimizer="sgd": {choice} has its own.')
    options = {"momentum": momentum} if choice == "sgd" else {}
    if not parameters:
        raise ValueError("The model has no parameters: there is nothing to train.")
    fused = parameters[0].device.type in ("cpu", "cuda", "mps")  # the whole update in one call
    return OPTIMIZERS[choice](parameters, lr=learning_rate, weight_decay=weight_decay, fused=fused, **options)


def _stepper(net, inputs, targets, batches, loss, optimizer, factor, steps, shares):
    """A function that makes update `done` + 1 and returns the loss before it: a number, or [K] for K replicates.

    `shares` is None, or [K]: the share of the optimizer's learning rate that is replicate k's own. Every optimizer's
    update is proportional to its learning rate, so the replicate goes that share of the way.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    partial = (
        []
        if shares is None
        else [(p, torch.tensor(shares).to(p).view(-1, *[1] * (p.ndim - 1))) for p in net.parameters()]
    )

    def step(done):
        if factor is not SCHEDULES["constant"]:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * float(factor(done, steps))
        batch = next(batches)
        value = loss(net(_rows(inputs, batch)), _rows(targets, batch))
        optimizer.zero_grad()
        value.backward(torch.ones_like(value))  # the sum over replicates: each gets its own gradient
        before = [parameter.detach().clone() for parameter, _ in partial]
        optimizer.step()
        for (parameter, share), old in zip(partial, before, strict=True):
            parameter.data = old.lerp_(parameter.data, share)
        return value.detach()

    return step


def _rows(values, batch):
    """values[batch], by the quickest way for whole rows."""
    if batch.ndim == 1:
        return values.index_select(0, batch)
    return values.index_select(0, batch.flatten()).unflatten(0, batch.shape)


def _of_each(loss):
    """The loss of each of K replicates [K], from outputs [K, n, ...] and targets [K, n, ...]."""
    if loss is F.mse_loss:
        return lambda outputs, targets: loss(outputs, targets, reduction="none").flatten(1).mean(1)
    if loss is F.cross_entropy:  # takes [K, classes, n], which is how an Ensemble's outputs lie in memory

        def cross_entropy(outputs, targets):
            targets = targets.mT if targets.is_floating_point() else targets
            return loss(outputs.mT, targets, reduction="none").mean(1)

        return cross_entropy
    return lambda outputs, targets: torch.stack([loss(*one) for one in zip(outputs, targets, strict=True)])


def _loop(model, steppers, steps, rates, callback, watched, title):
    """Take the steps. Returns the losses [steps done, K], the seconds taken, and what ended it early, or None."""
    curve, fresh, done, paused, problem = [], [[] for _ in steppers], 0, 0.0, None
    at_a_time = 1 if len(steppers) == 1 else TURN

    def look():
        rows = min(map(len, fresh))  # replicates in turn are up to TURN steps apart when Ctrl-C comes
        if rows:
            losses = torch.stack([torch.stack(values[:rows]) for values in fresh], dim=-1)
            curve.append(losses.cpu().double().numpy().reshape(rows, -1))
            fresh[:] = [[] for _ in steppers]

    start = time.perf_counter()
    silent = os.environ.get("LABKIT_PROGRESS") == "0"
    try:
        options = {"leave": False, "delay": BAR_AFTER, "miniters": 1}  # miniters: drawn anew after a long callback
        with tqdm(total=steps, desc=title or None, disable=silent, **options) as bar:
            while True:
                if done and (done % LOOK_EVERY == 0 or done == steps or done in watched):
                    look()
                    _check_finite(curve, rates, steps)
                    bar.set_postfix(loss=f"{curve[-1][-1].mean():.3g}", refresh=False)
                if done in watched:
                    began = time.perf_counter()
                    with seeded(0), mode(model, training=False), torch.no_grad():
                        callback(done, model)
                    paused += time.perf_counter() - began
                if done == steps:
                    break
                stop = done + 1
                while stop % at_a_time and stop < steps and stop not in watched:
                    stop += 1
                for step, values in zip(steppers, fresh, strict=True):
                    for i in range(done, stop):
                        values.append(step(i))
                bar.update(stop - done)
                done = stop
    except BaseException as error:  # Ctrl-C among them: what was trained so far is kept, and recorded
        problem = error
    look()
    seconds = time.perf_counter() - start - paused
    return np.concatenate(curve) if curve else np.empty(0), seconds, problem


def _check_finite(curve, rates, steps):
    """Raise TrainingDiverged where the latest losses [steps, K] hold NaN or infinity."""
    if np.isfinite(curve[-1]).all():
        return
    row, *_ = np.flatnonzero(~np.isfinite(curve[-1]).all(1))
    bad = np.flatnonzero(~np.isfinite(curve[-1][row]))
    rate = rates[bad[0]]
    of = f" of replicate {', '.join(map(str, bad))}" if curve[-1].shape[1] > 1 else ""
    raise TrainingDiverged(
        f"The loss{of} became {curve[-1][row, bad[0]]} at step {sum(map(len, curve[:-1])) + row + 1} of {steps} with "
        f"learning rate {rate:g}: try a smaller one, such as {rate / 10:g}, and look for extreme values in the inputs."
    )


def _record_start(settings, architecture, examples, seeds, rates):
    """Write a row in training_run for each seed, with what it rests on; return their ids."""
    ledger = Ledger()
    row = {"session_id": ledger.session(), "architecture_id": ledger.architecture(architecture), **settings}
    each = zip(seeds, rates, _split_ids(ledger, examples, len(seeds)), strict=True)
    names = ("seed", "learning_rate", "split_id")
    rows = [row | dict(zip(names, values, strict=True)) | {"replicate": k} for k, values in enumerate(each)]
    return ledger.record("training_run", rows)


def _split_ids(ledger, examples, replicates):
    """The ledger's split for each replicate: the same for all, unless each has data of its own."""
    ids = []
    for part in [examples.replicate(k) for k in range(replicates)] if examples.parts else [examples]:
        dataset_id = ledger.dataset(part.dataset) if part.dataset else None
        ids.append(ledger.split({**part.describe(), "dataset_id": dataset_id}))
    return ids if examples.parts else ids * replicates


def _is_mlp(net):
    kinds = (nn.Linear, models.Residual, *models.NORMS.values(), *models.ACTIVATIONS.values())
    return (
        isinstance(net, nn.Sequential) and all(isinstance(plain(layer), kinds) for layer in net) and bool(_linears(net))
    )


def _linears(net):
    return [layer for layer in net.modules() if isinstance(layer, nn.Linear)]


def _describe(net):
    """The ledger's row for an architecture: all that changes what it computes, but for the numbers in its tensors.

    settings: the kind of each module, with its plain settings. tensors: the type and shape of each. Of an `mlp` also
    its sizes and layers, for people.
    """
    name, config = type(net).__name__, {}
    if _is_mlp(net):
        linear = _linears(net)
        sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
        name = f"MLP {'-'.join(map(str, sizes))}"
        config = {"sizes": sizes, "layers": [type(plain(layer)).__name__ for layer in net]}
    modules = [(path, module) for path, module in net.named_modules() if module is plain(module)]
    tensors = [*net.named_parameters(), *net.named_buffers()]
    config["settings"] = {_unwrapped(path): f"{type(module).__name__}({_settings(module)})" for path, module in modules}
    config["tensors"] = {_unwrapped(path): f"{str(t.dtype)[6:]} {list(t.shape)}" for path, t in tensors}
    return {"name": name, "config": config, "n_parameters": sum(p.numel() for p in net.parameters())}


def _unwrapped(path):
    """The name of a module or tensor, without torch.compile's wrappers."""
    return path.replace("_orig_mod.", "").removesuffix("._orig_mod")


# What PyTorch and `fit` keep in every module, and where it is: none of it changes what the module computes.
_NO_SETTINGS = {*vars(nn.Module()), "_compiled_call_impl", "run_id", "run_ids", "device"}


def _settings(module):
    """A module's plain settings in words. Private ones of PyTorch's own modules change with its version: left out."""
    pytorchs = type(module).__module__.startswith("torch.")
    own = {name: _setting(value) for name, value in vars(module).items() if name not in _NO_SETTINGS}
    own = {name: words for name, words in own.items() if words and not (pytorchs and name.startswith("_"))}
    return ", ".join(f"{name}={words}" for name, words in own.items())


def _setting(value):
    """A setting in words, equal for equal ones; "" for what is none: a tensor, None, an object that may do anything."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 1.0 is 1
    if isinstance(value, (bool, int, float, complex, str, bytes, enum.Enum, torch.dtype)):
        return repr(value)
    if type(value).__name__.endswith("Namespace") or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        value = vars(value)
    if isinstance(value, functools.partial):
        value = {"": value.func, "args": value.args, **value.keywords}
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_setting(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_setting, value))}]"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(_setting, value)))}}}"
    name, code = getattr(value, "__qualname__", ""), getattr(value, "__code__", None)
    # What it calls tells two functions without a name apart; PyTorch's own have one.
    known = code is None or value.__module__.startswith("torch.")
    return name if known else f"{name} calling {', '.join(code.co_names)}"


def _record_end(run_ids, curve, seconds, problem, flops, flops_method, place):
    """Write what became of each run: the loss curve [steps, K], its cost, its end."""
    ledger = Ledger()
    steps, replicates = curve.shape
    kept = np.linspace(0, steps - 1, min(steps, 100)).astype(int)
    for_each = [(run_id, k, i) for k, run_id in enumerate(run_ids) for i in kept]
    points = [{"run_id": run_id, "step": i + 1, "name": "loss", "value": curve[i, k]} for run_id, k, i in for_each]
    ledger.record("training_metric", points)
    cost = {
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "threads": torch.get_num_threads(),
        "seconds": seconds / replicates,  # of an Ensemble, each replicate bears its share
        "flops": None if flops is None else flops * steps,
        "flops_method": flops_method,
    }
    ledger.record("compute", [{"run_id": run_id, **cost} for run_id in run_ids])
    for k, run_id in enumerate(run_ids):
        status = _status(problem)
        if status == "diverged" and np.isfinite(curve[:, k]).all():
            status = "interrupted"  # by another replicate
        final = {"steps_done": steps, "final_loss": curve[-1, k] if steps else None}
        error = None if problem is None else f"{type(problem).__name__}: {problem}"
        ledger.update("training_run", run_id, status=status, error=error, **final)


def _status(problem):
    """The ledger's word for how a run ended, given the exception that ended it or None."""
    ends = {type(None): "completed", KeyboardInterrupt: "interrupted", TrainingDiverged: "diverged"}
    return next((word for kind, word in ends.items() if isinstance(problem, kind)), "failed")


def _run_ids(model):
    return model.run_ids if isinstance(model, Ensemble) else [getattr(model, "run_id", None)]


def _set_run_ids(model, run_ids):
    vars(model).update({"run_ids": run_ids} if isinstance(model, Ensemble) else {"run_id": run_ids[0]})


def _flops(net, inputs, targets, loss):
    """FLOPs of one step, forward and backward, and how they were counted; None for a model that resists counting."""
    if _is_mlp(net) and all(parameter.requires_grad for parameter in net.parameters()):
        weights = [layer.weight.numel() for layer in _linears(net)]
        flops = inputs[..., 0].numel() * (
            6 * sum(weights) - 2 * weights[0]
        )  # the gradient at the inputs is not computed
        return flops, "6 a weight and example, 4 in the first layer: matrix products, forward and backward"
    alike = str(_describe(net)["config"]), *(p.requires_grad for p in net.parameters()), *map(type, net.modules())
    key = (alike, inputs.shape, inputs.dtype, targets.shape, loss)
    if key not in _counted:
        try:
            net = copy.deepcopy(net).train().to("meta")  # tensors with a shape and no numbers
            with FlopCounterMode(display=False) as counter:
                copy.deepcopy(loss)(net(inputs.to("meta")), targets.to("meta")).backward()
            counted = counter.get_total_flops(), "torch.utils.flop_counter: matrix products, forward and backward"
        except Exception as error:  # whatever a model may do, counting must not stop its training
            counted = None, f"not counted: {type(error).__name__}"
        _counted[key] = counted
    return _counted[key]


_counted = {}  # FLOPs of the steps counted so far: a count takes up to a second, and replicates are alike


class _Linear(nn.Module):
    """The same Linear layer of K replicates: from [K, in, n] to [K, out, n]."""

    def __init__(self, layers):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, inputs):
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, inputs)


class _BatchNorm(nn.Module):
    """The same BatchNorm1d of K replicates, on [K, width, n]: K times as many channels of one long example."""

    def __init__(self, layers):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, torch.stack([getattr(layer, name) for layer in layers]))
        self.momentum, self.eps = layers[0].momentum, layers[0].eps

    def forward(self, inputs):
        if self.training:
            self.num_batches_tracked.add_(1)
        channels = (t.view(-1) for t in (self.running_mean, self.running_var, self.weight, self.bias))
        outputs = inputs.reshape(1, -1, inputs.shape[2])
        return F.batch_norm(outputs, *channels, self.training, self.momentum, self.eps).view_as(inputs)


class _LayerNorm(nn.Module):
    """The same LayerNorm of K replicates, on [K, width, n]: each example by its own mean and variance."""

    def __init__(self, layers):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))
        self.eps = layers[0].eps

    def forward(self, inputs):
        normal = F.layer_norm(inputs.mT, inputs.shape[1:2], eps=self.eps).mT
        return torch.addcmul(self.bias.unsqueeze(2), normal, self.weight.unsqueeze(2))


def _batched(layers):
    """One module that does for K replicates what each of these K modules, all of one kind, does for its own."""
    if isinstance(layers[0], models.Residual):
        branches = zip(*(layer.branch for layer in layers), strict=True)
        return models.Residual(nn.Sequential(*map(_batched, branches)), layers[0].scale)
    kinds = {nn.Linear: _Linear, nn.BatchNorm1d: _BatchNorm, nn.LayerNorm: _LayerNorm}
    return kinds[type(layers[0])](layers) if type(layers[0]) in kinds else layers[0]


class Ensemble(nn.Module):
    """K replicates of an `mlp`, trained at once; each gets what it would get alone from `mlp` and `fit` with its seed.

    sizes, options  as in `mlp`: activation, norm, residual, init, dtype
    seeds           one for each replicate: draws its parameters and its batches

    ensemble(inputs) maps [n, features] or [K, n, features] to outputs [K, n, outputs]. ensemble[k] is a copy of
    replicate k as an nn.Sequential, len(ensemble) is K, and `run_ids` are the replicates' runs in the ledger.
    Small networks gain most: a step then costs more in calls than in sums. Built in notebook 01.
    """

    def __init__(self, sizes, seeds, **options):
        super().__init__()
        self.sizes, self.seeds = list(sizes), [whole("seed", seed, most=2**32 - 1) for seed in seeds]
        if not self.seeds:
            raise ValueError("An Ensemble needs at least one seed: one for each replicate.")
        self.options = options
        self.run_ids = [None] * len(self.seeds)
        replicates = zip(*(mlp(self.sizes, seed=seed, **self.options) for seed in self.seeds), strict=True)
        self.layers = nn.Sequential(*map(_batched, replicates))

    def __len__(self):
        return len(self.seeds)

    def _replicate(self, k, share):
        """Replicate k as an nn.Sequential, in memory of its own or in that of the whole."""
        model = mlp(self.sizes, seed=self.seeds[k], **self.options).to(self.layers[0].weight.device)
        state = {name: values[k] for name, values in self.layers.state_dict().items()}
        model.load_state_dict(state, assign=share)
        model.run_id = self.run_ids[k]
        return model

    def __getitem__(self, k):
        return self._replicate(k, share=False).train(self.training)

    def _columns(self, inputs):
        """Inputs [n, features] or [K, n, features] as [K, features, n], the layout of the layers."""
        return inputs.expand(len(self), *inputs.shape[-2:]).mT

    def forward(self, inputs):
        return self.layers(self._columns(inputs)).mT

    def hidden(self, inputs):
        """As `models.hidden`, for all replicates: a list of tensors [K, n, width], one for each hidden layer."""
        return [layer.mT for layer in models.hidden(self.layers, self._columns(inputs))]

    def fit(self, examples, *, steps, **settings):
        """Train all replicates on the same examples, or each on its own (`stack`): `fit`, with the same settings.

        Returns a History whose loss is [steps, K]. Replicate k draws its batches from its seed, as `fit` would.
        Raises as `fit` does; when one replicate diverges, all stop. Two ways lead to the same result, and a fixed rule
        chooses the quicker: all replicates in one batched pass, or in turn, a few steps each.
        """
        if "seed" in settings:
            raise TypeError("An Ensemble has a seed for each replicate, given when it is made: leave seed out.")
        return fit(self, examples, steps=steps, **settings)


def _all_at_once(ensemble, size, optimizer):
    """Whether to train an Ensemble in one batched pass. Decided by sizes alone; benchmarks/ shows both ways.

    A function as optimizer may look at a whole network (its gradient's norm, say), and so must see one at a time.
    """
    if callable(optimizer) or len(ensemble) == 1:
        return False
    if ensemble.layers[0].weight.device.type != "cpu":
        return True
    return size * max(ensemble.sizes) <= 2**15  # beyond, sums take the time, not calls, and fit the cache less well


def evaluate(model, examples, *, metric=accuracy, environment="held-out", groups=None):
    """Measure a model, or each replicate of an Ensemble, on examples, and record the result in the ledger.

    examples     Examples, or a pair (inputs, targets); stacked ones give each replicate its own
    metric       a function (outputs [n, ...], targets [n, ...]) -> number
    environment  where the model is used: a name, or a dict with name, population, conditions, shift
    groups       a name for each example [n]: the metric is recorded for each group as well

    Measured in evaluation mode, without gradients. Returns a float, or an array [K] for an Ensemble; with groups, a
    dict from "" (all examples) and each group's name to that. Raises ValueError or TypeError, before anything is
    recorded, where model, data, metric and groups do not fit together, and for groups without a name.
    """
    model = plain(model)
    ensemble = isinstance(model, Ensemble)
    examples = _examples(examples, "test", len(model) if ensemble else 0)
    inputs, targets = gate.tensors(model, examples.inputs, examples.targets)
    outputs = gate.outputs(model, inputs) if ensemble else [gate.outputs(model, inputs)]
    targets = targets if examples.parts else [targets] * len(outputs)
    masks = {"": np.ones(len(examples), dtype=bool)} | ({} if groups is None else _masks(groups, len(examples)))
    values = {}
    for group, mask in masks.items():
        chosen = torch.as_tensor(mask, device=inputs.device)
        pairs = zip(outputs, targets, strict=True)
        values[group] = [_number(name_of(metric), compared(metric, y[chosen], t[chosen])) for y, t in pairs]

    ledger = Ledger()
    place = {"name": environment} if isinstance(environment, str) else environment
    row = {"environment_id": ledger.environment(place), "metric": name_of(metric)}
    runs = list(zip(_run_ids(model), _split_ids(ledger, examples, len(outputs)), strict=True))
    rows = []
    for group, mask in masks.items():
        row |= {"group_name": group, "n_examples": int(mask.sum())}
        for (run_id, split_id), value in zip(runs, values[group], strict=True):
            rows.append({**row, "run_id": run_id, "split_id": split_id, "value": value})
    ledger.record("evaluation", rows)
    results = {group: np.array(each) if ensemble else each[0] for group, each in values.items()}
    return results if groups is not None else results[""]


def _masks(groups, n):
    """Which of the n examples are in each group, by name: {name: array [n] of bool}, in order."""
    groups = np.asarray(groups.cpu() if isinstance(groups, torch.Tensor) else groups)
    if groups.shape != (n,):
        raise ValueError(f"groups must name one group for each of the {n} examples.")
    names = groups.astype(str)
    nameless = pd.isna(groups) | (np.char.strip(names) == "")
    if nameless.any():
        raise ValueError(f"{nameless.sum()} of {n} examples have a group without a name: call it 'unknown', say.")
    order = np.unique(names if groups.dtype == object else groups)
    return {name: names == name for name in order.astype(str).tolist()}


def save_checkpoint(model, path=None):
    """Write a trained model's parameters and buffers to a safetensors file, and return its path.

    By default into `outputs/checkpoints/`. The file holds numbers and the ids of the training runs, nothing that could
    be run as code; the ledger keeps its fingerprint, and `load_checkpoint` reads no other file. Raises ValueError for a
    model without a training run in the ledger.
    """
    model, ledger = plain(model), Ledger()
    run_ids = _run_ids(model)
    steps = [_steps_done(ledger, run_id) for run_id in run_ids]
    if None in steps:
        raise ValueError(
            f"The ledger has no training run of this model, so nobody could say what it is: fit it while {ledger.path} "
            "can be written (if you did fit it, a warning said why its run was not recorded)."
        )
    state = {_unwrapped(name): t.cpu() for name, t in model.state_dict().items()}
    copies = {name: t.clone(memory_format=torch.contiguous_format) for name, t in state.items()}
    data = safetensors.torch.save(copies, metadata={"run_ids": ",".join(map(str, run_ids))})
    sha256 = hashlib.sha256(data).hexdigest()
    path = Path(path) if path else outputs_dir() / "checkpoints" / f"{sha256[:16]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)  # whole or not at all
    row = {"path": _recorded_path(path), "sha256": sha256, "bytes": len(data)}
    rows = [{**row, "run_id": i, "step": step} for i, step in zip(run_ids, steps, strict=True)]
    if None in ledger.record("checkpoint", rows):
        warnings.warn(f"{path} is not in the ledger, so load_checkpoint will refuse it: save it again.", stacklevel=2)
    return path


def _steps_done(ledger, run_id):
    """Of a training run; None where the ledger does not know it."""
    done = ledger.query("SELECT steps_done FROM training_run WHERE id = ?", [run_id])
    return int(done.steps_done[0]) if len(done) else None


def _recorded_path(path):
    """Relative to the outputs folder where it is inside, so that the folder can be moved."""
    path, home = path.resolve(), outputs_dir().resolve()
    return (path.relative_to(home) if path.is_relative_to(home) else path).as_posix()


def load_checkpoint(model, path):
    """Read a file of `save_checkpoint` into `model`, which gets the file's run ids, and return it.

    Raises ValueError, with the reason and the model untouched, for anything but a whole safetensors file with the ids
    of training runs that the ledger knows, with the very bytes that it recorded, of this architecture.
    """
    ledger, wrapped, model = Ledger(), model, plain(model)
    state, run_ids = read_checkpoint(path, ledger)
    state, own = {_unwrapped(name): t for name, t in state.items()}, model.state_dict()
    places = {_unwrapped(name): name for name in own}
    for name in places | state:
        theirs, ours = state.get(name), own.get(places.get(name))
        if theirs is None or ours is None or (theirs.shape, theirs.dtype) != (ours.shape, ours.dtype):
            same_shape = theirs is not None and ours is not None and theirs.shape == ours.shape
            words = ["missing" if t is None else f"{t.dtype if same_shape else list(t.shape)}" for t in (theirs, ours)]
            raise ValueError(
                f"{path} does not fit this model: {name} is {words[0]} in the file, {words[1]} in the model."
            )
    known = ledger.query(
        "SELECT name, config FROM architecture WHERE id = (SELECT architecture_id FROM training_run WHERE id = ?)",
        [run_ids[0]],
    )
    net = model[0] if isinstance(model, Ensemble) else model
    recorded, config = json.loads(known.config[0]), _describe(net)["config"]
    earlier = "settings" not in recorded  # of a labkit that wrote down less
    if earlier:
        config = {key: value for key, value in (config | {"modules": str(net)}).items() if key in recorded}
    else:
        recorded, config = recorded["settings"], config["settings"]
    for place in recorded | config:
        theirs, ours = (" ".join(str(each.get(place, "nothing")).split()) for each in (recorded, config))
        if theirs != ours:  # the same shapes, but tanh in place of ReLU, say
            raise ValueError(
                f"{path} holds another architecture, {known.name[0]} with {theirs} at {place or 'its top'}, where this "
                f"model has {ours}: build that one."
            )
    if earlier:
        warnings.warn(
            f"{path} was saved by an earlier labkit, which did not record all settings of a network: what it recorded "
            "fits this model; see to the rest (GELU's form, activations inside residual blocks) yourself.",
            stacklevel=2,
        )
    model.load_state_dict({name: state[place] for place, name in places.items()})
    _set_run_ids(model, run_ids)
    return wrapped


def read_checkpoint(path, ledger):
    """The tensors of a file of `save_checkpoint`, by name, and its training runs: ({name: tensor}, [run id]).

    Raises ValueError, with the reason, for every other file: another format, a torn file, one without training runs,
    with runs that the ledger does not know, or with other bytes than the ledger recorded for them.
    """
    data = Path(path).read_bytes()
    try:
        state = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        if data.startswith((b"PK", b"\x80")):  # what torch.save and pickle write
            raise ValueError(
                f"{path} is a pickle, which can run any code when it is read: use save_checkpoint."
            ) from None
        raise ValueError(f"{path} is not a whole safetensors file ({error}): save it again.") from None
    # The format: eight bytes give the length of the header that follows them, which is JSON.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    run_ids = [int(i) for i in header.get("__metadata__", {}).get("run_ids", "").split(",") if i.strip().isdecimal()]
    if not run_ids:
        raise ValueError(f"{path} names no training run, so nobody knows what it learned from: use save_checkpoint.")
    sha256 = hashlib.sha256(data).hexdigest()
    for run_id in run_ids:
        if _steps_done(ledger, run_id) is None:
            raise ValueError(f"{path} is of training run {run_id}, which {ledger.path.name} does not know.")
        if not len(ledger.query("SELECT id FROM checkpoint WHERE run_id = ? AND sha256 = ?", [run_id, sha256])):
            raise ValueError(
                f"{path} is not the file that the ledger recorded for training run {run_id}: it was changed or "
                "damaged, or belongs to another ledger; save it again."
            )
    return state, run_ids
