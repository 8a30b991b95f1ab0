"""A small ledger in which every table has rows, the same each time: what reads a ledger is compared on it.

    python tests/fixture_ledger.py outputs/fixture/ledger.sqlite

Its numbers are made up. They tell the story of three notebooks on two machines, with what an audit has to find: a data
set without a licence, runs that diverged, failed, were killed or interrupted, models that were never evaluated, a model
that does badly on one group and under a shift, claims that hold, fail or are empty, an alarm that became an incident.
Beside the ledger it writes the two files that the ledger speaks of, a checkpoint and a model card.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import safetensors.numpy
from scipy import special, stats

from labkit.ledger import Ledger

TABLES = (  # in an order in which each row finds what it names
    *("dataset", "split", "architecture", "session", "training_run", "training_metric", "checkpoint", "compute"),
    *("environment", "evaluation", "monitoring_event", "claim", "claim_run", "prediction", "attempt", "review"),
    *("incident", "model_card"),
)
CARD = "# Model card of run 1\n\nReads tiny centred digits. Made up, for tests.\n"


def build(path):
    """Write the ledger and its two files; `path` must not exist yet. Returns the `Ledger`."""
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already: the fixture ledger is built anew, never added to.")
    checkpoint, card = path.parent / "checkpoints" / "run1.safetensors", path.parent / "model_cards" / "run1.md"
    for file, content in ((checkpoint, _weights()), (card, CARD.encode())):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    ledger, rows = Ledger(path), _rows()
    for table in TABLES:
        ledger.record(table, rows[table])
    return ledger


def _weights():
    weights = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.zeros(2, dtype=np.float32)}
    return safetensors.numpy.save(weights, metadata={"run_ids": "1"})


def _sha256(content):
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _at(minute):
    return f"2026-01-31T{9 + minute // 60:02d}:{minute % 60:02d}:00.000Z"


def _table(columns, *rows):
    """Rows as dicts: each gives the values of `columns` in order."""
    return [dict(zip(columns.split(), row, strict=True)) for row in rows]


def _rows():
    """Table name -> its rows, every value fixed."""
    return {
        "dataset": _table(
            "id name sha256 n_examples n_features n_classes source licence datasheet created_at",
            (1, "digits", "b353a2c0bcc1d5252d3632b32575e228e39b6775270d7f5cec44eb453603c17f", 1797, 64, 10,
             "Alpaydin & Kaynak 1998, doi:10.24432/C50P49, test part, as shipped with scikit-learn",
             "CC BY 4.0", "data/digits.md", _at(0)),
            (2, "mnist1d", "4212498e6569778098903f06725f008f699fa3d27ed1cf6d01b486a6f4b6fa77", 5000, 40, 10,
             "labkit.data.mnist1d(n=5000, seed=0)", "MIT; the stroke templates Apache-2.0", "data/mnist1d.md", _at(1)),
            (3, "scanned forms", _sha256("forms"), 400, 64, 10, "found on a disk", "", "", _at(2)),
        ),
        "split": _table(
            "id dataset_id name role n_examples seed sha256 transform",
            (1, 1, "random rows", "train", 1097, 0, _sha256("train 0"), ""),
            (2, 1, "random rows", "test", 500, 0, _sha256("test 0"), ""),
            (3, 1, "random rows", "train", 1097, 0, _sha256("shuffled 0"), "labels shuffled"),
            (4, 2, "random rows", "train", 4000, 0, _sha256("signals"), ""),
            (5, 3, "all rows", "train", 400, None, _sha256("forms"), ""),
            (6, None, "", "train", 64, None, _sha256("numbers"), ""),
            (7, 1, "random rows", "validation", 200, 0, _sha256("validation 0"), ""),
        ),
        "architecture": [
            {"id": i, "name": name, "config": config, "n_parameters": n, "sha256": _sha256(json.dumps(config))}
            for i, name, config, n in (
                (1, "MLP 64-32-10", {"sizes": [64, 32, 10], "layers": ["Linear", "ReLU", "Linear"]}, 2410),
                (2, "MLP 40-128-10", {"sizes": [40, 128, 10], "layers": ["Linear", "ReLU", "Linear"]}, 6538),
                (3, "Transformer", {"modules": "Transformer(2 blocks, width 32)"}, 27_000),
            )
        ],
        "session": [
            {"id": i, "notebook": notebook, "pid": 1000 + i, "python": "3.12.3", "torch": "2.10.0", "numpy": "2.1.0",
             "labkit_sha256": _sha256(labkit), "platform": "Linux", "processor": processor, "device": device,
             "threads": threads, "started_at": _at(10 * i)}
            for i, notebook, labkit, processor, device, threads in (
                (1, "00_start_here", "labkit 1", "A processor", "cpu", 1),
                (2, "04_scaling", "labkit 1", "Another processor", "cuda", 8),
                (3, "08_reliability", "labkit 2", "A processor", "cpu", 2),
            )
        ],
        **_training(),
        **_use(),
        **_governance(),
    }  # fmt: skip


def _training():
    fixed = {"objective": "cross_entropy", "optimizer": "adam", "batch_size": 128, "config": {"schedule": "constant"}}
    runs = [
        fixed | row | {"started_at": _at(20 + row["id"])}
        for row in _table(
            "id session_id experiment architecture_id split_id seed replicate learning_rate steps_planned steps_done "
            "status final_loss error finished_at",
            *((1 + k, 1, "true labels", 1, 1, k, k, 0.003, 600, 600, "completed", 0.01 * k, None, _at(22 + k))
              for k in range(5)),
            *((6 + k, 1, "shuffled labels", 1, 3, k, k, 0.003, 600, 600, "completed", 2.25, None, _at(27 + k))
              for k in range(2)),
            (8, 1, "too fast", 1, 1, 0, 0, 3.0, 600, 50, "diverged", None,
             "TrainingDiverged: the loss became nan at step 50 of 600", _at(29)),
            (9, 2, "scaling", 3, 4, 0, 0, 0.001, 2000, 0, "running", None, None, None),
            (10, 2, "scaling", 3, 4, 1, 1, 0.001, 2000, 700, "interrupted", 1.5, "KeyboardInterrupt: ", _at(31)),
            (11, 2, "scaling", 3, 6, 2, 2, 0.001, 2000, 0, "failed", None, "RuntimeError: out of memory", _at(32)),
            (12, 3, "forms", 1, 5, 0, 0, 0.003, 300, 300, "completed", 0.4, None, _at(33)),
            (13, 3, "signals", 2, 4, 0, 0, 0.003, 600, 600, "completed", 0.7, None, _at(34)),
        )
    ]  # fmt: skip
    done = [run for run in runs if run["steps_done"]]
    curve = [
        {"run_id": run["id"], "step": step, "name": "loss", "value": round(2.3 / step**0.5, 6)}
        for run in done
        for step in (1, 10, 50)
    ]
    cost = [
        {"run_id": run["id"], "device": "cuda" if run["session_id"] == 2 else "cpu", "threads": 1,
         "seconds": run["steps_done"] / 1000, "flops": None if run["id"] == 10 else 1e6 * run["steps_done"],
         "flops_method": "not counted: RuntimeError" if run["id"] == 10 else "6 a weight and example",
         "power_watts": watts, "energy_kwh": watts and watts * run["steps_done"] / 1000 / 3_600_000,
         "assumption": "15 W for one core of a laptop" if watts else ""}
        for run in done
        for watts in [15.0 if run["session_id"] == 1 else None]
    ]  # fmt: skip
    file = {"path": "checkpoints/run1.safetensors", "sha256": _sha256(_weights()), "bytes": len(_weights())}
    return {
        "training_run": runs,
        "training_metric": [{"id": i, **row} for i, row in enumerate(curve, start=1)],
        "checkpoint": [{"id": 1, "run_id": 1, "step": 600, **file, "created_at": _at(35)}],
        "compute": [{"id": i, **row} for i, row in enumerate(cost, start=1)],
    }


def _use():
    evaluations = [
        *((run, 1, 2, "accuracy", "", 0.970 - 0.002 * run, 500) for run in range(1, 6)),
        *((run, 1, 2, "accuracy", "", 0.098 + 0.001 * run, 500) for run in (6, 7)),
        (1, 1, 2, "accuracy", "low digits", 0.99, 253),
        (1, 1, 2, "accuracy", "high digits", 0.946, 247),
        (1, 2, 2, "accuracy", "", 0.61, 500),  # under a shift
        (1, 1, 7, "accuracy", "", 0.965, 200),
        (1, 1, 2, "expected_calibration_error", "", 0.021, 500),
        (12, 3, None, "accuracy", "", 0.88, 40),
        (None, 1, 2, "accuracy", "", 0.1, 500),  # a model that was never trained
        (10, 1, None, "accuracy", "", None, 0),  # nothing could be measured
    ]
    return {
        "environment": _table(
            "id name population conditions shift",
            (1, "held-out", "thirteen writers", "", ""),
            (2, "noisy scanner", "thirteen writers", "white noise of 0.4", "noise that training did not have"),
            (3, "the form's office", "unknown", "one week in use", "not known"),
        ),
        "evaluation": [
            {"id": i, **row, "created_at": _at(36)}
            for i, row in enumerate(
                _table("run_id environment_id split_id metric group_name value n_examples", *evaluations), start=1
            )
        ],
        "monitoring_event": _table(
            "id environment_id run_id kind statistic threshold alarm step details created_at",
            (1, 3, 12, "input drift", 0.02, 0.05, 0, 1, {"test": "MMD"}, _at(37)),
            (2, 3, 12, "input drift", 0.09, 0.05, 1, 2, {"test": "MMD"}, _at(38)),
            (3, 3, 12, "accuracy", 0.81, 0.85, 1, 3, {}, _at(39)),
        ),
        "incident": _table(
            "id environment_id monitoring_event_id severity description status created_at",
            (1, 3, 2, "high", "A new scanner: sevens are read as ones", "mitigated", _at(40)),
            (2, 3, None, "low", "A clerk reports slow answers", "open", _at(41)),
        ),
    }


def _claim(values, threshold, verdict, *, scale="linear", trials=None, control=None, **more):
    """A claim's columns, with the interval that SciPy gives its values on their scale."""
    forward, backward = {"log": (np.log, np.exp), "logit": (special.logit, special.expit)}.get(
        scale, (np.copy, np.copy)
    )

    def on_scale(x):
        return forward((np.array(x) * trials + 0.5) / (trials + 1) if trials else np.array(x))

    x = on_scale(values)
    if scale == "yes/no":
        low, high = stats.binomtest(sum(values), len(values)).proportion_ci(0.90, "exact")
    else:
        low, high = backward(stats.t.interval(0.90, len(x) - 1, x.mean(), stats.sem(x)))
    found = {"verdict": verdict, "n": len(x), "mean": backward(x.mean()), "low": low, "high": high, "values": values}
    if control is None:
        found["no_control"] = "a count of what is there"
    else:
        found |= {"control": control, "control_mean": backward(on_scale(control).mean())}
        found["control_is"] = "the same at chance"
    return {"scale": scale, "trials": trials} | found | threshold | more


def _governance():
    accuracy, chance = [0.968, 0.966, 0.964, 0.962, 0.960], [0.104, 0.105, 0.098, 0.101, 0.099]
    claims = [
        (1, "The network names at least nine of ten digits that it never saw", "a made-up paper 2020",
         _claim(accuracy, {"at_least": 0.9}, "holds", control=chance)),
        (1, "Shuffled labels keep the network near chance", "Zhang et al. 2017",
         _claim(chance, {"at_most": 0.25}, "holds", control=accuracy)),
        (1, "A claim that is meant to fail", "arithmetic",
         _claim([1.0, 2.0, 3.0, 4.0, 5.0], {"at_least": 10.0}, "fails", demonstration=1)),
        (2, "Four times the parameters halve the loss", "Kaplan et al. 2020",
         _claim([0.45, 0.52, 0.48, 0.50, 0.47], {"within_low": 0.4, "within_high": 0.6}, "holds", scale="log",
                control=[1.0, 1.02, 0.99, 1.01, 0.98], over="initialisation")),
        (2, "Every larger model beats every smaller one", "Hestness et al. 2017",
         _claim([True] * 9 + [False], {"at_least": 0.9}, "fails", scale="yes/no")),
        (3, "The worst group is right in at least eight of ten", "Sagawa et al. 2020",
         _claim([0.58, 0.62, 0.56, 0.60, 0.64], {"at_least": 0.8}, "fails", scale="logit", trials=50,
                control=[0.50, 0.48, 0.52, 0.50, 0.46])),
        (3, "The monitor says nothing where nothing drifts", "a made-up paper 2021",
         _claim([0.04, 0.06, 0.05, 0.05, 0.04], {"at_most": 0.5}, "empty", control=[0.05, 0.04, 0.06, 0.05, 0.05])),
    ]  # fmt: skip
    predictions = _table(
        "id session_id question answer confidence outcome correct",
        (1, 1, "What happens to a probe on shuffled labels?", "it falls", 0.9, "it falls", 1),
        (2, 1, "How well does an untrained layer do?", "at chance", 0.8, "better than the pixels", 0),
        (3, 1, "Which block is hardest?", "the last", 0.55, "the last", 1),
        (4, 2, "Twice the data or twice the network?", "the data", 0.7, "the data", 1),
        (5, 2, "Does the loss follow a power law?", "yes", 1.0, "no", 0),
        (6, 2, "Will the trend go on?", "yes", 0.6, None, None),
        (7, 3, "Does the average hide a group?", "yes", 0.95, "yes", 1),
        (8, 3, "Does temperature help under shift?", "no", 0.5, "no", 1),
    )
    return {
        "claim": [
            {"id": i, "session_id": session, "statement": statement, "source": source, **row, "created_at": _at(50 + i)}
            for i, (session, statement, source, row) in enumerate(claims, start=1)
        ],
        "claim_run": _table("claim_id run_id", *((1, run) for run in range(1, 6)), (2, 6), (2, 7), (4, 10)),
        "prediction": [
            row | {"options": ["yes", "no"] if row["answer"] in ("yes", "no") else [row["answer"], "something else"],
                   "created_at": _at(60 + row["id"]), "resolved_at": row["outcome"] and _at(70 + row["id"])}
            for row in predictions
        ],
        "attempt": _table(
            "id session_id lab exercise checks passed points points_possible created_at",
            (1, 1, "lab01_perceptron_to_autodiff", "perceptron", 4, 1, 1.25, 5, _at(63)),
            (2, 1, "lab01_perceptron_to_autodiff", "perceptron", 4, 4, 5, 5, _at(67)),
        ),
        "review": _table(
            "id subject_table subject_id reviewer decision reasons created_at",
            (1, "claim", 6, "A reviewer", "revise", "The worst group has 50 examples: measure it on more", _at(80)),
            (2, "training_run", 1, "A reviewer", "approve", "Data, seed and settings are all recorded", _at(81)),
        ),
        "model_card": [
            {"id": 1, "run_id": 1, "path": "model_cards/run1.md", "sha256": _sha256(CARD), "created_at": _at(82)}
        ],
    }  # fmt: skip


if __name__ == "__main__":
    print(build(sys.argv[1]))
