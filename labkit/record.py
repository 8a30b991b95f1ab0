"""What the ledger holds of a training run: its data, architecture, settings, loss curve and cost, and how it ended."""

import re

import numpy as np
import torch
from torch import nn

from labkit.ledger import Ledger

_NO_SETTINGS = {"training", "device", "run_id"}  # of a module: none of it changes what it computes


def describe(net):
    """The ledger's row for an architecture: all that changes what it computes, but for the numbers in its tensors.

    settings: the kind of each module, with its plain settings. tensors: the type and shape of each. Of a network that
    could be an `mlp` also its sizes, for people.
    """
    modules = dict(net.named_modules())
    config = {"settings": {path: f"{type(module).__name__} {_settings(module)}" for path, module in modules.items()}}
    config["tensors"] = {path: kind(t) for path, t in [*net.named_parameters(), *net.named_buffers()]}
    name, linear = type(net).__name__, [module for module in modules.values() if isinstance(module, nn.Linear)]
    if isinstance(net, nn.Sequential) and linear and all(p.ndim < 3 for p in net.parameters()):
        config["sizes"] = [linear[0].in_features, *(layer.out_features for layer in linear)]
        name = f"MLP {'-'.join(map(str, config['sizes']))}"
    return {"name": name, "config": config, "n_parameters": sum(p.numel() for p in net.parameters())}


def kind(tensor):
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _settings(module):
    """A module's public settings in words, without addresses in memory; tensors and None are none."""
    own = {name: value for name, value in vars(module).items() if name[0] != "_" and name not in _NO_SETTINGS}
    own = {name: value for name, value in own.items() if value is not None and not isinstance(value, torch.Tensor)}
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(own))


def splits(ledger, examples, replicates):
    """The ledger's split for each replicate: the same for all, unless each has data of its own."""
    ids = []
    for part in examples.parts or [examples]:
        dataset_id = ledger.dataset(part.dataset) if part.dataset else None
        ids.append(ledger.split({**part.describe(), "dataset_id": dataset_id}))
    return ids if examples.parts else ids * replicates


def start(settings, architecture, examples, seeds, rates):
    """Write a row in training_run for each seed, with what it rests on; return their ids."""
    ledger = Ledger()
    row = {"session_id": ledger.session(), "architecture_id": ledger.architecture(architecture), **settings}
    rows = []
    for k, split_id in enumerate(splits(ledger, examples, len(seeds))):
        rows.append(row | {"replicate": k, "seed": seeds[k], "learning_rate": rates[k], "split_id": split_id})
    return ledger.record("training_run", rows)


def end(run_ids, curve, seconds, flops, place, status, problem):
    """Write what became of each run: the loss curve [steps, K], its cost, its end."""
    ledger = Ledger()
    steps, replicates = curve.shape
    kept = np.linspace(0, steps - 1, min(steps, 100)).astype(int)
    cost = {
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "threads": torch.get_num_threads(),
        "seconds": seconds / replicates,  # of an Ensemble, each replicate bears its share
        "flops": flops,
        "flops_method": "torch.utils.flop_counter: matrix products, forward and backward",
    }
    ledger.record("compute", [{"run_id": run_id, **cost} for run_id in run_ids])
    points = []
    error = None if problem is None else f"{type(problem).__name__}: {problem}"
    for run_id, losses in zip(run_ids, curve.T, strict=True):
        points += [{"run_id": run_id, "step": i + 1, "name": "loss", "value": losses[i]} for i in kept]
        by_another = status == "diverged" and np.isfinite(losses).all()
        own = {"status": "interrupted" if by_another else status, "final_loss": losses[-1] if steps else None}
        ledger.update("training_run", run_id, **own, error=error, steps_done=steps)
    ledger.record("training_metric", points)
