"""Training one model (`fit`) or many replicates at once (`Ensemble`), and evaluating them.

Every run is recorded in the ledger: its data, architecture, settings, loss curve and cost, and how it ended.
"""

import copy
import dataclasses
import math
import os
import time
import warnings

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from labkit import gate, record
from labkit.checkpoint import load_checkpoint, save_checkpoint  # noqa: F401  what one does with a trained model
from labkit.data import Examples
from labkit.gate import chosen, mode, plain, whole
from labkit.ledger import Ledger
from labkit.measure import accuracy
from labkit.models import _batched, hidden, mlp, seeded

_BAR_AFTER = 1  # second: short trainings, of which a notebook makes many, show no bar
_OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
_SCHEDULES = {
    "constant": lambda step, steps: 1.0,
    "cosine": lambda step, steps: (1 + math.cos(math.pi * step / steps)) / 2,
}
_LOOK_EVERY = 50  # steps between two looks at the loss: each look makes a GPU wait
_TURN = 10  # steps of one replicate before the next has its turn, so that its weights stay in the processor's cache


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite. The exception's `history` is the run until then."""


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


def device(choice=None):
    """The torch.device to use: `choice`, else the variable LABKIT_DEVICE, else CUDA where there is a GPU, else the CPU.

    Apple's GPU is used only when asked for ("mps"). Raises RuntimeError when what was asked for is missing.
    """
    place = torch.device(choice or os.environ.get("LABKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))
    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (place.index or 0) >= found.get(place.type, 1):
        raise RuntimeError(f'PyTorch {torch.__version__} finds no {place}: install its driver, or use device="cpu".')
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
    loss            a function (outputs, targets) -> mean over the batch, such as F.cross_entropy or F.mse_loss
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
    seeds = learner.seeds if ensemble else [whole("seed", seed, most=2**32 - 1)]
    rates = np.asarray(learning_rate, dtype=float)
    if rates.shape not in ((), (len(seeds),)) or not (rates >= 0).all():
        raise ValueError(f"learning_rate={learning_rate}: give one number, or for an Ensemble of K a list of K.")
    rates = np.broadcast_to(rates, len(seeds)).tolist()
    factor = schedule if callable(schedule) else chosen("schedule", schedule, _SCHEDULES)
    examples, inputs, targets = _prepared(examples, "train", learner.to(_device(device)))
    n, stacked, size = len(examples), bool(examples.parts), min(batch_size, len(examples))
    rows = (inputs.flatten(0, 1), targets.flatten(0, 1)) if stacked else (inputs, targets)
    net = learner[0] if ensemble else learner
    architecture = record.describe(net)  # before a trial can change what the model counts
    gate.check_fit(net, *rows, loss)

    if (momentum and optimizer != "sgd") or (weight_decay and callable(optimizer)):
        raise ValueError('momentum is for optimizer="sgd", and a function sets momentum and weight decay itself.')

    def build(parameters, rate):
        if callable(optimizer):
            return optimizer(list(parameters))
        options = {"momentum": momentum} if momentum else {}  # which Adam refuses
        kind = chosen("optimizer", optimizer, _OPTIMIZERS)
        return kind(list(parameters), lr=rate, weight_decay=weight_decay, fused=True, **options)  # fused: in one call

    flops = _try_an_update(net, *rows, size, loss, lambda own: build(own, rates[0] * float(factor(0, steps))))

    # What is stepped: all replicates as one; or each in turn, in the memory of the whole; or the one model.
    shares, steppers = None, []
    if ensemble and _all_at_once(learner, size, optimizer):
        own = build(learner.parameters(), max(rates))
        shares = None if len(set(rates)) == 1 else torch.tensor(np.array(rates) / max(rates)).to(inputs)
        batches = _batches(n, size, seeds, inputs.device, first=torch.arange(len(seeds)).unsqueeze(1) * n * stacked)
        steppers.append(_stepper(learner, *rows, batches, _of_each(loss), own, factor, steps, shares))
    else:
        nets = [learner._replicate(k, share=True) for k in range(len(seeds))] if ensemble else [model]
        for k, each in enumerate(nets):
            own = build(each.parameters(), rates[k])
            batches = _batches(n, size, seeds[k], inputs.device, first=k * n * stacked)
            steppers.append(_stepper(each, *rows, batches, loss, own, factor, steps, shares))

    group = own.param_groups[0]
    rates = [group["lr"]] * len(seeds) if callable(optimizer) else rates
    settings = {
        "experiment": experiment,
        "objective": _name(loss),
        "optimizer": type(own).__name__.lower(),
        "weight_decay": group.get("weight_decay", 0.0),
        "batch_size": size,
        "steps_planned": steps,
        "config": {"schedule": _name(schedule)} | {key: group[key] for key in group if key not in ("params", "lr")},
    }
    watched = set() if callback is None else set(range(steps + 1) if callback_steps is None else callback_steps)
    with seeded(seeds[0]), mode(learner, training=True), torch.enable_grad():
        run_ids = record.start(settings, architecture, examples, seeds, rates)
        vars(learner).update({"run_ids": run_ids} if ensemble else {"run_id": run_ids[0]})
        curve, seconds, problem = _loop(model, steppers, steps, rates, callback, watched, experiment)
    record.end(run_ids, curve, seconds, flops * len(curve), inputs.device, _status(problem), problem)
    losses, ids = (curve, run_ids) if ensemble else (curve[:, 0], run_ids[0])
    history = History(losses, seconds, _status(problem), ids)
    if type(problem) is KeyboardInterrupt:  # a sweep raises another kind, to stop the experiment around this training
        warnings.warn(
            f"Training was interrupted after {len(curve)} of {steps} steps: the model can be used.", stacklevel=2
        )
    elif problem is not None:
        problem.history = history
        raise problem
    return history


def _name(what):
    """The name of a loss, metric or schedule: of the function, or of the object's class."""
    return what if isinstance(what, str) else getattr(what, "__name__", type(what).__name__)


def _prepared(data, role, model):
    """`data` as Examples that fit the model's number of replicates, and their tensors as the model takes them."""
    if not isinstance(data, Examples):
        inputs, targets = data
        data = Examples(gate.as_tensor(inputs, "inputs"), gate.as_tensor(targets, "targets"), role=role)
    if data.parts and len(data.parts) != len(getattr(model, "seeds", ())):
        raise ValueError(f"The examples are stacked for {len(data.parts)} replicates: train an Ensemble of as many.")
    return data, *gate.tensors(model, data.inputs, data.targets)


def _try_an_update(net, inputs, targets, size, loss, build):
    """The FLOPs of one update, made by a copy. ValueError, in one sentence, for what cannot be trained."""
    copies = copy.deepcopy(dict([*net.named_parameters(), *net.named_buffers()]))
    trying = gate.refused(f"An update by a batch of {size} examples fails")
    with trying, seeded(0), mode(net, training=True), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        optimizer = build([copies[name] for name, _ in net.named_parameters()])
        outputs = torch.func.functional_call(net, copies, (inputs[:size],))
        copy.deepcopy(loss)(outputs, targets[:size]).backward()
        optimizer.step()
    return counter.get_total_flops()


def _batches(n, size, seeds, place, first):
    """Row numbers of each batch, without end: [size] for one seed, [K, size] for a list of K.

    first   the row from which a replicate's own n rows are counted
    """
    generators = [torch.Generator().manual_seed(int(seed)) for seed in np.atleast_1d(seeds)]
    while True:
        order = torch.stack([torch.randperm(n, generator=generator) for generator in generators]) + first
        order = order.to(place).reshape(*np.shape(seeds), n)
        yield from order[..., : n - n % size].split(size, dim=-1)


def _stepper(net, inputs, targets, batches, loss, optimizer, factor, steps, shares):
    """A function that makes update `done` + 1 and returns the loss before it: a number, or [K] for K replicates.

    `shares` is None, or [K]: the share of the optimizer's learning rate that is replicate k's own. Every optimizer's
    update is proportional to its learning rate, so the replicate goes that share of the way.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    partial = [] if shares is None else list(net.parameters())

    def step(done):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * float(factor(done, steps))
        batch = next(batches)
        x, y = (values.index_select(0, batch.flatten()).unflatten(0, batch.shape) for values in (inputs, targets))
        value = loss(net(x), y)
        optimizer.zero_grad()
        value.backward(torch.ones_like(value))  # the sum over replicates: each gets its own gradient
        before = [parameter.detach().clone() for parameter in partial]
        optimizer.step()
        for parameter, old in zip(partial, before, strict=True):
            parameter.data = old.lerp_(parameter.data, shares.view(-1, *[1] * (old.ndim - 1)))
        return value.detach()

    return step


def _of_each(loss):
    """The loss of each of K replicates [K], from outputs [K, n, ...] and targets [K, n, ...]."""

    def at_once(outputs, targets):
        if loss is F.cross_entropy:  # takes [K, classes, n], which is how an Ensemble's outputs lie in memory
            outputs, targets = outputs.mT, targets.mT if targets.is_floating_point() else targets
        return loss(outputs, targets, reduction="none").flatten(1).mean(1)

    def one_by_one(outputs, targets):
        return torch.stack([loss(*one) for one in zip(outputs, targets, strict=True)])

    return at_once if loss in (F.cross_entropy, F.mse_loss) else one_by_one


def _loop(model, steppers, steps, rates, callback, watched, title):
    """Take the steps. Returns the losses [steps done, K], the seconds taken, and what ended it early, or None."""
    curve, fresh, done, seconds, problem = [np.empty((0, len(rates)))], [[] for _ in steppers], 0, 0.0, None

    def look():
        losses = [loss for row in zip(*fresh, strict=False) for loss in row]  # after Ctrl-C some are a turn ahead
        if losses:
            curve.append(torch.stack(losses).cpu().double().numpy().reshape(-1, len(rates)))
            fresh[:] = [[] for _ in steppers]

    silent, stops = os.environ.get("LABKIT_PROGRESS") == "0", range(steps + 1)
    try:
        # miniters: drawn anew after a long callback
        with tqdm(total=steps, desc=title or None, disable=silent, leave=False, delay=_BAR_AFTER, miniters=1) as bar:
            for stop in (i for i in stops if i % _TURN == 0 or i == steps or i in watched):
                start = time.perf_counter()
                for step, values in zip(steppers, fresh, strict=True):
                    for number in range(done, stop):
                        values.append(step(number))
                done = stop
                if done and (done % _LOOK_EVERY == 0 or done == steps or done in watched):
                    look()
                    _check_finite(curve[-1], done, rates)
                    bar.set_postfix(loss=f"{curve[-1][-1].mean():.3g}", refresh=False)
                seconds += time.perf_counter() - start
                bar.update(done - bar.n)
                if done in watched:
                    with seeded(0), mode(model, training=False), torch.no_grad():
                        callback(done, model)
    except BaseException as error:  # Ctrl-C among them: what was trained so far is kept, and recorded
        problem = error
    look()
    return np.concatenate(curve), seconds, problem


def _check_finite(losses, done, rates):
    """Raise TrainingDiverged where the latest losses [steps, K] hold NaN or infinity."""
    for row, k in np.argwhere(~np.isfinite(losses))[:1]:
        of = f" of replicate {k}" if len(rates) > 1 else ""
        when = f"at step {done - len(losses) + row + 1} with learning rate {rates[k]:g}"
        smaller = f"try a smaller one, such as {rates[k] / 10:g}, and look for extreme inputs"
        raise TrainingDiverged(f"The loss{of} became {losses[row, k]} {when}: {smaller}.")


def _status(problem):
    """The ledger's word for how a run ended, given the exception that ended it or None."""
    ends = {type(None): "completed", KeyboardInterrupt: "interrupted", TrainingDiverged: "diverged"}
    return next((word for kind, word in ends.items() if isinstance(problem, kind)), "failed")


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
        self.sizes, self.options = list(sizes), options
        self.seeds = [whole("seed", seed, most=2**32 - 1) for seed in seeds]
        if not self.seeds:
            raise ValueError("An Ensemble needs at least one seed: one for each replicate.")
        self.run_ids = [None] * len(self.seeds)
        replicates = zip(*(mlp(self.sizes, seed=seed, **options) for seed in self.seeds), strict=True)
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
        return [layer.mT for layer in hidden(self.layers, self._columns(inputs))]

    def fit(self, examples, *, steps, **settings):
        """Train all replicates on the same examples, or each on its own (`stack`): `fit`, with the same settings.

        Returns a History whose loss is [steps, K]. Replicate k draws its batches from its seed, as `fit` would.
        Raises as `fit` does; when one replicate diverges, all stop. Two ways lead to the same result, and a fixed rule
        chooses the quicker: all replicates in one batched pass, or in turn, a few steps each.
        """
        return fit(self, examples, steps=steps, seed=0, **settings)  # seed: its own are used, and no other is taken


def _all_at_once(ensemble, size, optimizer):
    """Whether to train an Ensemble in one batched pass. Decided by sizes alone; benchmarks/ shows both ways.

    A function as optimizer may look at a whole network (its gradient's norm, say), and so must see one at a time.
    """
    if callable(optimizer) or len(ensemble) == 1:
        return False
    # On the CPU, beyond this size, sums take the time, and fit the cache less well.
    return ensemble.layers[0].weight.device.type != "cpu" or size * max(ensemble.sizes) <= 2**15


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
    examples, inputs, targets = _prepared(examples, "test", model)
    outputs = gate.outputs(model, inputs) if ensemble else [gate.outputs(model, inputs)]
    targets = targets if examples.parts else [targets] * len(outputs)
    masks = {"": np.ones(len(examples), dtype=bool)} | ({} if groups is None else _masks(groups, len(examples)))
    values = []
    for mask in masks.values():
        values.append([float(gate.compared(metric, y[mask], t[mask])) for y, t in zip(outputs, targets, strict=True)])

    ledger = Ledger()
    place = {"name": environment} if isinstance(environment, str) else environment
    row = {"environment_id": ledger.environment(place), "metric": _name(metric)}
    runs = list(zip(gate.run_ids(model), record.splits(ledger, examples, len(outputs)), strict=True))
    rows = []
    for (group, mask), measured in zip(masks.items(), values, strict=True):
        row |= {"group_name": group, "n_examples": int(mask.sum())}
        for (run_id, split_id), value in zip(runs, measured, strict=True):
            rows.append({**row, "run_id": run_id, "split_id": split_id, "value": value})
    ledger.record("evaluation", rows)
    results = dict(zip(masks, np.array(values) if ensemble else [value for (value,) in values], strict=True))
    return results if groups is not None else results[""]


def _masks(groups, n):
    """Which of the n examples are in each group, by name: {name: array [n] of bool}, in order."""
    groups = np.asarray(groups)
    names = groups.astype(str)
    if groups.shape != (n,) or (pd.isna(groups) | (np.char.strip(names) == "")).any():
        raise ValueError(f"groups must give each of the {n} examples a group's name, such as 'unknown'.")
    order = np.unique(names if groups.dtype == object else groups)
    return {name: names == name for name in order.astype(str).tolist()}
