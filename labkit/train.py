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
from labkit.models import batched, hidden, mlp, seeded

BAR_AFTER = 1  # second: short trainings, of which a notebook makes many, show no bar
_OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
_SCHEDULES = {
    "constant": lambda step, steps: 1.0,
    "cosine": lambda step, steps: (1 + math.cos(math.pi * step / steps)) / 2,
}
_LOOK_EVERY = 50  # steps between two looks at the loss: each look makes a GPU wait
_TURN = 10  # steps of one replicate before the next has its turn, so that its weights stay in the processor's cache


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


def device(choice=None):
    """The torch.device to use: `choice`, else the variable LABKIT_DEVICE, else CUDA where there is a GPU, else the CPU.

    Apple's GPU is used only when asked for ("mps"). Raises RuntimeError when what was asked for is missing.
    """
    place = torch.device(choice or os.environ.get("LABKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))
    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (place.index or 0) >= found.get(place.type, 1):
        raise RuntimeError(
            f'PyTorch {torch.__version__} finds no device {place}: install its driver, or use device="cpu".'
        )
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
    seeds = learner.seeds if ensemble else [whole("seed", seed, most=2**32 - 1)]
    rates = _rates(learning_rate, len(seeds))
    factor = schedule if callable(schedule) else chosen("schedule", schedule, _SCHEDULES)
    examples = _examples(examples, "train", learner)
    inputs, targets = gate.tensors(learner.to(_device(device)), examples.inputs, examples.targets)
    n, stacked, size = len(examples), bool(examples.parts), min(batch_size, len(examples))
    rows = (inputs.flatten(0, 1), targets.flatten(0, 1)) if stacked else (inputs, targets)
    batch = rows[0][:size], rows[1][:size]
    net = learner[0] if ensemble else learner
    architecture = record.describe(net)  # before a trial can change what the model counts
    gate.check_fit(net, *rows, loss)

    def build(parameters, rate):
        return _optimizer(optimizer, list(parameters), rate, weight_decay, momentum)

    flops = _try_an_update(net, *batch, loss, lambda parameters: build(parameters, rates[0] * float(factor(0, steps))))

    # What is stepped: all replicates as one; or each in turn, in the memory of the whole; or the one model.
    shares = None
    if ensemble and _all_at_once(learner, size, optimizer):
        own = build(learner.parameters(), max(rates))
        shares = None if len(set(rates)) == 1 else np.array(rates) / max(rates)
        jobs = [(learner, *rows, _batches(n, size, seeds, inputs.device, stacked), _of_each(loss), own)]
    else:
        nets = [learner._replicate(k, share=True) for k in range(len(seeds))] if ensemble else [model]
        jobs = []
        for k, each in enumerate(nets):
            data = (inputs[k], targets[k]) if stacked else (inputs, targets)
            own = build(each.parameters(), rates[k])
            jobs.append((each, *data, _batches(n, size, seeds[k], inputs.device), loss, own))
    steppers = [_stepper(*job, factor, steps, shares) for job in jobs]

    group = own.param_groups[0]
    if callable(optimizer):
        rates = [group["lr"]] * len(seeds)
    settings = {
        "experiment": experiment,
        "objective": _name(loss),
        "optimizer": type(own).__name__.lower(),
        "weight_decay": group.get("weight_decay", 0.0),
        "batch_size": size,
        "steps_planned": steps,
        "config": {"schedule": _name(schedule)} | {key: group[key] for key in group if key not in ("params", "lr")},
    }
    watched = range(steps + 1) if callback_steps is None else set(callback_steps)
    with seeded(seeds[0]), mode(learner, training=True), torch.enable_grad():
        run_ids = record.start(settings, architecture, examples, seeds, rates)
        vars(learner).update({"run_ids": run_ids} if ensemble else {"run_id": run_ids[0]})
        curve, seconds, problem = _loop(
            model, steppers, steps, rates, callback, watched if callback else (), experiment
        )
    curve = curve.reshape(-1, len(seeds))
    record.end(run_ids, curve, seconds, flops * len(curve), inputs.device, _status(problem), problem)
    losses, ids = (curve, run_ids) if ensemble else (curve[:, 0], run_ids[0])
    history = History(losses, seconds, _status(problem), ids)
    if type(problem) is KeyboardInterrupt:  # a sweep raises another kind, to stop the experiment around this training
        done = f"{len(curve)} of {steps} steps"
        warnings.warn(f"Training was interrupted after {done}: the model and its history can be used.", stacklevel=2)
    elif problem is not None:
        if isinstance(problem, TrainingDiverged):
            problem.history = history
        raise problem
    return history


def _name(what):
    """The name of a loss, metric or schedule: of the function, or of the object's class."""
    return what if isinstance(what, str) else getattr(what, "__name__", type(what).__name__)


def _rates(learning_rate, replicates):
    """The learning rate of each replicate, as a list."""
    try:
        rates = np.broadcast_to(np.asarray(learning_rate, dtype=float), replicates).tolist()
    except (TypeError, ValueError):
        rates = []
    if not rates or not min(rates) >= 0:
        raise ValueError(f"learning_rate={learning_rate}: give one number, or for an Ensemble of K a list of K.")
    return rates


def _examples(data, role, model):
    """`data` as Examples that fit the model's number of replicates."""
    if not isinstance(data, Examples):
        inputs, targets = data
        data = Examples(gate.as_tensor(inputs, "inputs"), gate.as_tensor(targets, "targets"), role=role)
    if data.parts and len(data.parts) != len(getattr(model, "seeds", ())):
        raise ValueError(f"The examples are stacked for {len(data.parts)} replicates: train an Ensemble of as many.")
    return data


def _try_an_update(net, inputs, targets, loss, build):
    """The FLOPs of one update, made by a copy. ValueError, in one sentence, for what cannot be trained."""
    tensors = [*net.named_parameters(), *net.named_buffers()]
    copies = {name: t.detach().clone().requires_grad_(t.requires_grad) for name, t in tensors}
    trying = gate.refused(f"An update by a batch of {len(inputs)} examples fails")
    with trying, seeded(0), mode(net, training=True), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        optimizer = build([copies[name] for name, _ in net.named_parameters()])
        outputs = torch.func.functional_call(net, copies, (inputs,))
        copy.deepcopy(loss)(outputs, targets).backward()
        optimizer.step()
    return counter.get_total_flops()


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
    if (momentum and choice != "sgd") or (weight_decay and callable(choice)):
        raise ValueError('momentum is for optimizer="sgd", and a function sets momentum and weight decay itself.')
    if callable(choice):
        return choice(iter(parameters))
    options = {"momentum": momentum} if choice == "sgd" else {}
    kind = chosen("optimizer", choice, _OPTIMIZERS)
    return kind(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True, **options)  # fused: in one call


def _stepper(net, inputs, targets, batches, loss, optimizer, factor, steps, shares):
    """A function that makes update `done` + 1 and returns the loss before it: a number, or [K] for K replicates.

    `shares` is None, or [K]: the share of the optimizer's learning rate that is replicate k's own. Every optimizer's
    update is proportional to its learning rate, so the replicate goes that share of the way.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    partial = []
    if shares is not None:
        for parameter in net.parameters():
            share = torch.tensor(shares).to(parameter).view(-1, *[1] * (parameter.ndim - 1))
            partial.append((parameter, share))

    def step(done):
        if factor is not _SCHEDULES["constant"]:
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
    return values.index_select(0, batch.flatten()).unflatten(0, batch.shape)


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
    curve, fresh, done, seconds, problem = [], [[] for _ in steppers], 0, 0.0, None

    def look():
        rows = min(map(len, fresh))  # replicates in turn are up to a turn apart when Ctrl-C comes
        if rows:
            losses = torch.stack([torch.stack(values[:rows]) for values in fresh], dim=-1)
            curve.append(losses.cpu().double().numpy().reshape(rows, -1))
            fresh[:] = [[] for _ in steppers]

    silent = os.environ.get("LABKIT_PROGRESS") == "0"
    try:
        # miniters: drawn anew after a long callback
        with tqdm(total=steps, desc=title or None, disable=silent, leave=False, delay=BAR_AFTER, miniters=1) as bar:
            while True:
                if done in watched:
                    with seeded(0), mode(model, training=False), torch.no_grad():
                        callback(done, model)
                if done == steps:
                    break
                start, stop = time.perf_counter(), done + 1
                while stop % _TURN and stop < steps and stop not in watched:
                    stop += 1
                for step, values in zip(steppers, fresh, strict=True):
                    for number in range(done, stop):
                        values.append(step(number))
                done = stop
                if done % _LOOK_EVERY == 0 or done == steps or done in watched:
                    look()
                    _check_finite(curve[-1], done, steps, rates)
                    bar.set_postfix(loss=f"{curve[-1][-1].mean():.3g}", refresh=False)
                seconds += time.perf_counter() - start
                bar.update(done - bar.n)
    except BaseException as error:  # Ctrl-C among them: what was trained so far is kept, and recorded
        problem = error
    look()
    return np.concatenate(curve) if curve else np.empty(0), seconds, problem


def _check_finite(losses, done, steps, rates):
    """Raise TrainingDiverged where the latest losses [steps, K] hold NaN or infinity."""
    bad = np.argwhere(~np.isfinite(losses))
    if len(bad):
        row, k = bad[0]
        of = f" of replicate {k}" if len(rates) > 1 else ""
        raise TrainingDiverged(
            f"The loss{of} became {losses[row, k]} at step {done - len(losses) + row + 1} of {steps} with learning "
            f"rate {rates[k]:g}: try a smaller one, such as {rates[k] / 10:g}, and look for extreme inputs."
        )


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
        self.layers = nn.Sequential(*map(batched, replicates))

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
        if "seed" in settings:
            raise TypeError("An Ensemble has a seed for each replicate, given when it is made: leave seed out.")
        return fit(self, examples, steps=steps, **settings)


def _all_at_once(ensemble, size, optimizer):
    """Whether to train an Ensemble in one batched pass. Decided by sizes alone; benchmarks/ shows both ways.

    A function as optimizer may look at a whole network (its gradient's norm, say), and so must see one at a time.
    """
    if callable(optimizer) or len(ensemble) == 1:
        return False
    on_cpu = ensemble.layers[0].weight.device.type == "cpu"
    return not on_cpu or size * max(ensemble.sizes) <= 2**15  # beyond, sums take the time, and fit the cache less well


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
    examples = _examples(examples, "test", model)
    inputs, targets = gate.tensors(model, examples.inputs, examples.targets)
    outputs = gate.outputs(model, inputs) if ensemble else [gate.outputs(model, inputs)]
    targets = targets if examples.parts else [targets] * len(outputs)
    masks = {"": np.ones(len(examples), dtype=bool)} | ({} if groups is None else _masks(groups, len(examples)))
    values = {}
    for group, mask in masks.items():
        pairs = zip(outputs, targets, strict=True)
        values[group] = [float(gate.compared(metric, y[mask], t[mask])) for y, t in pairs]

    ledger = Ledger()
    place = {"name": environment} if isinstance(environment, str) else environment
    row = {"environment_id": ledger.environment(place), "metric": _name(metric)}
    runs = list(zip(gate.run_ids(model), record.splits(ledger, examples, len(outputs)), strict=True))
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
    groups = np.asarray(groups)
    names = groups.astype(str)
    if groups.shape != (n,) or (pd.isna(groups) | (np.char.strip(names) == "")).any():
        raise ValueError(f"groups must give each of the {n} examples a group's name, such as 'unknown'.")
    order = np.unique(names if groups.dtype == object else groups).astype(str)
    return {name: names == name for name in order.tolist()}
