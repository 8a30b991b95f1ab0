"""A trained model's weights in a file: numbers and the ids of its training runs, never a pickle."""

import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch

from labkit.gate import plain, run_ids
from labkit.ledger import Ledger, outputs_dir
from labkit.record import describe, kind


def save_checkpoint(model, path=None):
    """Write a trained model's parameters and buffers to a safetensors file, and return its path.

    By default into `outputs/checkpoints/`. The file holds numbers and the ids of the training runs, nothing that could
    be run as code; the ledger keeps its fingerprint, and `load_checkpoint` reads no other file. Raises ValueError for a
    model without a training run in the ledger.
    """
    model, ledger, runs = plain(model), Ledger(), run_ids(model)
    sql = "SELECT id AS run_id, steps_done AS step FROM training_run WHERE id IN (SELECT value FROM json_each(?))"
    known = ledger.query(sql, [json.dumps(runs)]).to_dict("records")
    if len(known) < len(runs):
        raise ValueError(f"The ledger has no training run of this model: fit it while {ledger.path} can be written.")
    state = {name: t.cpu().clone(memory_format=torch.contiguous_format) for name, t in model.state_dict().items()}
    data = safetensors.torch.save(state, metadata={"run_ids": ",".join(map(str, runs))})
    sha256 = hashlib.sha256(data).hexdigest()
    path = Path(path) if path else outputs_dir() / "checkpoints" / f"{sha256[:16]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    place, home = path.resolve(), outputs_dir().resolve()
    place = place.relative_to(home) if place.is_relative_to(home) else place  # so that the outputs can be moved
    row = {"path": place.as_posix(), "sha256": sha256, "bytes": len(data)}
    ledger.record("checkpoint", [row | each for each in known])
    return path


def load_checkpoint(model, path):
    """Read a file of `save_checkpoint` into `model`, which gets the file's run ids, and return it.

    Raises ValueError, with the reason and the model untouched, for anything but the very bytes that the ledger
    recorded, of this architecture.
    """
    ledger, wrapped, model = Ledger(), model, plain(model)
    state, runs = read_checkpoint(path, ledger)
    ensemble = hasattr(model, "run_ids")
    sql = "SELECT config FROM architecture WHERE id = (SELECT architecture_id FROM training_run WHERE id = ?)"
    theirs = json.loads(ledger.query(sql, runs[:1]).config[0])["settings"] | {
        name: kind(t) for name, t in state.items()
    }
    ours = describe(model[0] if ensemble else model)["config"]["settings"]
    ours |= {name: kind(t) for name, t in model.state_dict().items()}
    for place in ours | theirs:
        there, here = theirs.get(place), ours.get(place)
        if there != here:  # perhaps the same shapes, but tanh in place of ReLU
            raise ValueError(f"{path} holds another architecture: at {place!r} {there}, where this model has {here}.")
    model.load_state_dict(state)
    vars(model).update({"run_ids": runs} if ensemble else {"run_id": runs[0]})
    return wrapped


def read_checkpoint(path, ledger):
    """The tensors of a file of `save_checkpoint`, by name, and its training runs: ({name: tensor}, [run id]).

    Raises ValueError for every file but the very bytes that the ledger recorded: nothing else is even looked into, so
    that no pickle is read, which could run any code.
    """
    data = Path(path).read_bytes()
    sql = "SELECT run_id FROM checkpoint WHERE sha256 = ? GROUP BY run_id ORDER BY min(id)"
    runs = ledger.query(sql, [hashlib.sha256(data).hexdigest()]).run_id.tolist()
    # A safetensors file: eight bytes give the length of the header that follows them, which is JSON.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]) if runs else {}
    if not runs or header["__metadata__"]["run_ids"] != ",".join(map(str, runs)):
        raise ValueError(f"{path} is no checkpoint that {ledger.path.name} recorded: changed or damaged, or another's.")
    return safetensors.torch.load(data), runs
