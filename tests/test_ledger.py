"""The ledger loses nothing, refuses what is not its own, and lets everything go on where it cannot write."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from labkit import ledger as module
from labkit.ledger import Ledger, LedgerError, outputs_dir, save_table

SHA = "0123456789abcdef" * 4
EVALUATION = {"metric": "accuracy", "value": 0.5}

# A child process that has the ledger without the seconds that importing PyTorch takes.
LOAD = f"""
import importlib.util, os, random, signal, sys, time
spec = importlib.util.spec_from_file_location("ledger", {module.__file__!r})
module = sys.modules["ledger"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
ledger = module.Ledger(sys.argv[1])
"""


def child(code: str, *arguments) -> subprocess.Popen:
    command = [sys.executable, "-c", LOAD + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def ledger(tmp_path, monkeypatch) -> Ledger:
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "outputs"))
    return Ledger()


@pytest.fixture
def run(ledger) -> int:
    return training_run(ledger)


def training_run(ledger: Ledger, **columns) -> int:
    dataset = ledger.dataset({"name": "digits", "sha256": SHA, "n_examples": 1797, "n_features": 64, "n_classes": 10})
    row = {
        "session_id": ledger.session(),
        "architecture_id": ledger.architecture({"name": "MLP", "config": {"sizes": [64, 10]}, "n_parameters": 650}),
        "split_id": ledger.split({"dataset_id": dataset, "role": "train", "n_examples": 9, "seed": 0, "sha256": SHA}),
        "seed": 0,
        "objective": "cross_entropy",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch_size": 128,
        "steps_planned": 100,
    }
    (id,) = ledger.record("training_run", row | columns)
    return id


def rows(ledger: Ledger, table: str) -> list[dict]:
    return ledger.query(f"SELECT * FROM {table}").to_dict("records")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What is kept ---------------------------------------------------------------------------------------------------------


def test_nothing_is_created_before_the_first_record(ledger):
    assert ledger.path == outputs_dir() / "ledger.sqlite"
    assert len(ledger.query("SELECT * FROM system")) == 0
    assert ledger.integrity() == "ok"
    ledger.update("evaluation", None, value=1.0)
    assert ledger.record("evaluation", []) == []
    assert not outputs_dir().exists()
    assert ledger.record("evaluation", EVALUATION) == [1]
    assert ledger.path.exists()


def test_a_second_run_adds_and_keeps_the_old(ledger):
    first = ledger.record("evaluation", [EVALUATION, EVALUATION])
    second = Ledger().record("evaluation", EVALUATION | {"group_name": "later"})
    assert (first, second) == ([1, 2], [3])
    assert [row["group_name"] for row in rows(ledger, "evaluation")] == ["", "", "later"]
    assert all(row["created_at"].endswith("Z") for row in rows(ledger, "evaluation"))


def test_all_rows_of_a_record_or_none(ledger):
    with pytest.raises(ValueError, match="refuses this row: CHECK"):
        ledger.record("evaluation", [EVALUATION, EVALUATION | {"n_examples": -1}])
    assert rows(ledger, "evaluation") == []


def test_values_come_back_as_they_were(ledger, run):
    claim = {
        "session_id": ledger.session(),
        "statement": "s",
        "source": "x",
        "at_least": np.float32(0.5),
        "n": np.int64(2),
    }
    claim |= {"values": np.array([0.25, np.nan]), "control": torch.tensor([1, 2]), "demonstration": np.True_}
    ledger.record("claim", claim | {"mean": torch.tensor(0.75), "low": -np.inf, "high": np.nan, "verdict": "holds"})
    (row,) = rows(ledger, "claim")
    assert (row["at_least"], row["n"], row["mean"], row["low"], row["demonstration"]) == (0.5, 2, 0.75, -np.inf, 1)
    assert row["high"] is None or np.isnan(row["high"])
    assert (json.loads(row["values"]), json.loads(row["control"])) == ([0.25, None], [1, 2])  # JSON has no NaN

    config = {
        "widths": (32, np.int32(8)),
        "path": Path("a") / "b",
        "rates": {1: np.float64(0.5)},
        "name": "Θ",
        "on": True,
    }
    ledger.update("training_run", run, config=config)
    (row,) = rows(ledger, "training_run")
    expected = {"widths": [32, 8], "path": str(Path("a") / "b"), "rates": {"1": 0.5}, "name": "Θ", "on": True}
    assert json.loads(row["config"]) == expected
    found = ledger.query(
        "SELECT json_extract(config, '$.widths[0]') AS width FROM training_run WHERE id = ?", [np.int64(run)]
    )
    assert found["width"].tolist() == [32]
    assert len(ledger.query("SELECT * FROM training_run WHERE id = :id", {"id": np.int64(run)})) == 1


def test_update_completes_a_row(ledger, run):
    (row,) = rows(ledger, "training_run")
    assert (row["status"], row["finished_at"], row["config"]) == ("running", None, "{}")
    ledger.update("training_run", run, status="completed", steps_done=100, final_loss=0.25)
    (row,) = rows(ledger, "training_run")
    assert (row["status"], row["steps_done"], row["final_loss"]) == ("completed", 100, 0.25)
    assert row["finished_at"] >= row["started_at"]
    prediction = {"session_id": ledger.session(), "question": "?", "options": ["a", "b"], "answer": "a"}
    (id,) = ledger.record("prediction", prediction | {"confidence": 0.75})
    ledger.update("prediction", id, answer="b")
    assert rows(ledger, "prediction")[0]["resolved_at"] is None
    ledger.update("prediction", id, outcome="b", correct=True)
    assert rows(ledger, "prediction")[0]["resolved_at"] is not None
    with pytest.raises(LedgerError, match="has no training_run 99"):
        ledger.update("training_run", 99, status="failed")


def test_get_or_create(ledger):
    one = {"name": "digits", "sha256": SHA, "n_examples": 5}
    assert ledger.dataset(one) == ledger.dataset(one | {"licence": "CC BY 4.0"}) == 1
    assert ledger.dataset(one | {"sha256": SHA[::-1]}) == 2
    split = {"dataset_id": 1, "role": "train", "n_examples": 5, "sha256": SHA}
    assert ledger.split(split) == ledger.split(split | {"transform": "", "seed": None}) == 1
    changes = [
        {"transform": "labels shuffled"},
        {"seed": 0},
        {"role": "test"},
        {"name": "blocks"},
        {"dataset_id": None},
    ]
    assert [ledger.split(split | change) for change in changes] == [2, 3, 4, 5, 6]
    mlp = {"name": "MLP", "config": {"sizes": [64, 10], "seed": 0}, "n_parameters": 650}
    same = mlp | {"config": {"seed": 0, "sizes": (64, 10)}}
    assert ledger.architecture(mlp) == ledger.architecture(same) == 1
    assert ledger.architecture(mlp | {"config": {"sizes": [64, 11]}}) == 2
    assert ledger.environment({"name": "held-out"}) == ledger.environment({"name": "held-out", "shift": "none"}) == 1
    assert ledger.environment({"name": "held-out", "conditions": "noise"}) == 2


def test_what_is_described_later_completes_the_row(ledger):
    assert ledger.environment({"name": "clinic B"}) == 1
    assert ledger.environment({"name": "clinic B", "shift": "another scanner"}) == 1
    assert ledger.environment({"name": "clinic B", "population": "adults"}) == ledger.environment({"name": "clinic B"})
    (row,) = rows(ledger, "environment")
    assert (row["shift"], row["population"]) == ("another scanner", "adults")
    one = {"name": "digits", "sha256": SHA, "n_examples": 5}
    assert ledger.dataset(one) == ledger.dataset(one | {"licence": "CC BY 4.0", "n_classes": 10}) == ledger.dataset(one)
    (row,) = rows(ledger, "dataset")
    assert (row["licence"], row["n_classes"]) == ("CC BY 4.0", 10)


def test_another_description_is_refused_or_another_row(ledger):
    place = {"name": "clinic B", "population": "adults", "shift": "another scanner"}
    assert ledger.environment(place) == 1
    with pytest.raises(ValueError, match=r"'clinic B' has population 'adults'"):
        ledger.environment({"name": "clinic B", "population": "children"})
    other = place | {"shift": "an older scanner"}
    assert ledger.environment(other) == ledger.environment(other) == 2
    assert ledger.environment(place) == ledger.environment({"name": "clinic B"}) == 1
    assert [row["shift"] for row in rows(ledger, "environment")] == ["another scanner", "an older scanner"]
    with_conditions = {"name": "clinic B", "conditions": "noise", "shift": "a"}
    assert ledger.environment(with_conditions) == 3
    with pytest.raises(ValueError, match=r"'clinic B' has shift 'a'"):
        ledger.environment(with_conditions | {"shift": "b"})
    mlp = {"name": "MLP", "config": {"sizes": [64, 10]}, "n_parameters": 650}
    ledger.architecture(mlp)
    with pytest.raises(ValueError, match=r"'MLP' has n_parameters 650"):
        ledger.architecture(mlp | {"n_parameters": 651})


def test_a_row_and_what_belongs_to_it_are_one_record(ledger, run):
    claim = COMPLETE["claim"] | {"session_id": ledger.session()}
    (id,) = ledger.record("claim", claim, claim_run=[{"run_id": run}, {"run_id": None}])
    assert rows(ledger, "claim_run") == [{"claim_id": id, "run_id": run}]
    with pytest.raises(ValueError, match="FOREIGN KEY constraint failed"):
        ledger.record("claim", claim, claim_run=[{"run_id": run}, {"run_id": 99}])
    with pytest.raises(ValueError, match="claim_run has no column named runs"):
        ledger.record("claim", claim, claim_run=[{"runs": run}])
    with pytest.raises(ValueError, match="evaluation has no column named claim_id"):
        ledger.record("claim", claim, evaluation=[EVALUATION])
    assert (len(rows(ledger, "claim")), len(rows(ledger, "claim_run"))) == (1, 1)


def test_one_session_a_process_and_file(ledger, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_NOTEBOOK", "00_start_here")
    assert ledger.session() == Ledger().session() == 1
    (row,) = rows(ledger, "session")
    assert (row["notebook"], row["pid"], row["torch"]) == ("00_start_here", os.getpid(), torch.__version__)
    assert (row["numpy"], row["threads"]) == (np.__version__, torch.get_num_threads())
    assert row["python"] == ".".join(map(str, sys.version_info[:3]))
    assert len(row["labkit_sha256"]) == 64
    other = Ledger(tmp_path / "other.sqlite")
    other.record("evaluation", EVALUATION)
    assert other.session() == 1
    monkeypatch.setattr(module.os, "getpid", lambda: -1)
    assert ledger.session() == 2
    ledger.path.unlink()  # a learner starts afresh while the kernel runs
    assert ledger.session() == 1


@pytest.mark.parametrize(
    ("variables", "main", "expected"),
    [
        ({"LABKIT_NOTEBOOK": "01", "JPY_SESSION_NAME": "/home/me/x.ipynb"}, "s.py", "01"),
        ({"JPY_SESSION_NAME": "/home/me/02 my copy.ipynb"}, "s.py", "02 my copy"),
        ({}, "/home/me/sweep.py", "sweep"),
        ({}, "/lib/pytest/__main__.py", "pytest"),
        ({}, None, "interactive"),
    ],
)
def test_name_of_the_notebook(monkeypatch, variables, main, expected):
    for name in ("LABKIT_NOTEBOOK", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", main, raising=False)
    assert module._notebook_name() == expected


def test_labkit_fingerprint_follows_the_code(tmp_path, monkeypatch):
    module.labkit_sha256.cache_clear()
    before = module.labkit_sha256()
    shutil.copytree(Path(module.__file__).parent, tmp_path / "labkit")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "labkit" / "ledger.py"))
    module.labkit_sha256.cache_clear()
    assert module.labkit_sha256() == before
    sql = tmp_path / "labkit" / "schema.sql"
    sql.write_bytes(sql.read_bytes().replace(b"\n", b"\r\n"))
    module.labkit_sha256.cache_clear()
    assert module.labkit_sha256() == before
    sql.write_bytes(sql.read_bytes() + b"--")
    module.labkit_sha256.cache_clear()
    assert module.labkit_sha256() != before
    module.labkit_sha256.cache_clear()


def test_outputs_dir(tmp_path, monkeypatch):
    deep = tmp_path / "project" / "notebooks" / "source"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("LABKIT_OUTPUTS", raising=False)
    assert outputs_dir() == deep / "outputs"
    (tmp_path / "project" / "pyproject.toml").touch()
    assert outputs_dir() == deep / "outputs"  # anybody's project
    (tmp_path / "project" / "labkit").mkdir()
    assert outputs_dir() == tmp_path / "project" / "outputs"
    monkeypatch.setenv("LABKIT_OUTPUTS", "elsewhere")
    assert outputs_dir() == deep / "elsewhere"
    monkeypatch.setenv("LABKIT_OUTPUTS", "")
    assert outputs_dir() == tmp_path / "project" / "outputs"
    assert Ledger("mine.sqlite").path == deep / "mine.sqlite"


def test_save_table_replaces_the_file_whole():
    for values in ([1.5, 2.5], [3.0]):
        path = save_table(pd.DataFrame({"value": values}, index=[f"row {v}" for v in values]), "numbers")
        assert path == outputs_dir() / "tables" / "numbers.csv"
        assert pd.read_csv(path).value.tolist() == values
    assert [file.name for file in path.parent.iterdir()] == ["numbers.csv"]


def test_save_table_where_nothing_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "a file"))
    (tmp_path / "a file").write_text("not a folder", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"^numbers.csv cannot be written \(.+\): the notebook goes on without it.$"):
        assert save_table(pd.DataFrame({"value": [1]}), "numbers") is None


def test_path_with_characters_that_mean_something_in_a_uri(tmp_path):
    ledger = Ledger(tmp_path / "50 % é#?" / "my ledger.sqlite")
    ledger.record("evaluation", EVALUATION)
    assert ledger.path.exists()
    assert len(rows(ledger, "evaluation")) == 1


def test_names_that_are_no_text(tmp_path, monkeypatch):
    name = os.fsdecode(b"tea\xe9")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    (id,) = ledger.record("evaluation", {"metric": name, "group_name": [Path(name)]})
    assert rows(ledger, "evaluation")[0]["metric"] == "tea\\udce9"
    assert len(ledger.query("SELECT * FROM evaluation WHERE metric = ?", [name])) == id
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path))
    assert "udce9" in save_table(pd.DataFrame({"file": [name]}), "files").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="the names of other systems are text")
def test_a_folder_whose_name_is_no_text(tmp_path):
    ledger = Ledger(tmp_path / os.fsdecode(b"tea\xe9 #?") / "ledger.sqlite")
    ledger.record("evaluation", EVALUATION)
    assert len(rows(ledger, "evaluation")) == 1
    assert ledger.integrity() == "ok"


def test_looking_never_raises(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.path.write_text("dear diary")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite is damaged"):
        ledger.query("SELECT 1")
    monkeypatch.setattr(Path, "read_text", lambda self, **_: "model name: \ufffd\nmodel name")
    assert module._processor.__wrapped__() == "\ufffd"


# What is refused ------------------------------------------------------------------------------------------------------


def test_unknown_names_and_wrong_values(ledger, run):
    for record, message in [
        (("evaluations", EVALUATION), "no such table: evaluations"),
        (("system", {"run_id": 1}), "cannot modify system"),
        (("evaluation", {"metrics": "x"}), "evaluation has no column named metrics"),
        (("evaluation", {"metric": "x", "value": "high"}), "cannot store TEXT value in REAL column evaluation.value"),
        (("evaluation", {"metric": "x", "value": torch.ones(2)}), "cannot store TEXT value .* evaluation.value"),
        (("evaluation", {"metric": "x", "n_examples": 1.5}), "REAL value in INTEGER column evaluation.n_examples"),
        (("evaluation", {"metric": {1, 2}}), "type 'set' is not supported"),
        (("evaluation", {"metric": "x", "n_examples": 2**63}), "too large"),
        (("evaluation", {"value": 0.5}), "NOT NULL constraint failed: evaluation.metric"),
        (("training_metric", {"step": 0, "name": "loss"}), "NOT NULL constraint failed: training_metric.run_id"),
    ]:
        with pytest.raises(ValueError, match=message):
            ledger.record(*record)
    with pytest.raises(ValueError, match="no such column: loss"):
        ledger.update("training_run", run, loss=0.5)
    with pytest.raises(ValueError, match="refuses this row: CHECK"):
        ledger.update("training_run", run, status="done")
    assert rows(ledger, "evaluation") == []


def test_foreign_keys_are_enforced(ledger):
    ledger.record("dataset", COMPLETE["dataset"])
    with pytest.raises(ValueError, match="FOREIGN KEY constraint failed"):
        ledger.record("evaluation", EVALUATION | {"run_id": 7})
    assert rows(ledger, "evaluation") == []
    with closing(sqlite3.connect(ledger.path)) as database, database:  # SQLite alone does not insist
        database.execute("INSERT INTO evaluation (run_id, metric) VALUES (7, 'accuracy')")
    assert ledger.integrity() == "row 1 of evaluation lacks its training_run"


COMPLETE = {  # of each table one row that the schema takes
    "dataset": {"name": "d", "sha256": SHA, "n_examples": 1},
    "split": {"role": "all", "n_examples": 1, "sha256": SHA},
    "architecture": {"name": "a", "config": {}, "n_parameters": 0, "sha256": SHA},
    "training_run": {"session_id": 1, "architecture_id": 1, "split_id": 1, "seed": 0, "objective": "o",
                     "optimizer": "o", "learning_rate": 0.1, "batch_size": 1, "steps_planned": 9},
    "training_metric": {"run_id": 1, "step": 0, "name": "loss", "value": 1.0},
    "checkpoint": {"run_id": 1, "step": 0, "path": "p", "sha256": SHA, "bytes": 1},
    "session": {"notebook": "n", "pid": 1, "python": "3", "torch": "2", "numpy": "2", "labkit_sha256": SHA,
                "platform": "p", "processor": "p", "device": "cpu", "threads": 1, "started_at": "now"},
    "compute": {"run_id": 1, "device": "cpu", "seconds": 1.0},
    "environment": {"name": "e"},
    "evaluation": {"run_id": 1, "metric": "m"},
    "monitoring_event": {"environment_id": 1, "kind": "k", "alarm": 0},
    "claim": {"session_id": 1, "statement": "s", "source": "s", "at_least": 0.5, "n": 5, "values": [1],
              "verdict": "holds", "control": [0], "control_is": "the same without it"},
    "claim_run": {"claim_id": 1, "run_id": 1},
    "prediction": {"session_id": 1, "question": "q", "answer": "a"},
    "attempt": {"session_id": 1, "lab": "l", "exercise": "e", "checks": 2, "passed": 1, "points": 1,
                "points_possible": 2},
    "review": {"subject_table": "claim", "subject_id": 1, "reviewer": "r", "decision": "approve", "reasons": "r"},
    "incident": {"environment_id": 1, "severity": "low", "description": "d"},
    "model_card": {"run_id": 1, "path": "p", "sha256": SHA},
}  # fmt: skip

BREACHES = {  # and changes to it that break one rule each
    "dataset": [{"sha256": "abc"}, {"n_examples": 0}, {"n_features": 0}, {"n_classes": 0}],
    "split": [{"role": "holdout"}, {"n_examples": 0}, {"sha256": "abc"}],
    "architecture": [{"config": "{"}, {"n_parameters": -1}, {"sha256": ""}],
    "training_run": [{"replicate": -1}, {"learning_rate": -0.1}, {"weight_decay": -0.1}, {"batch_size": 0},
                     {"steps_planned": -1}, {"steps_done": -1}, {"steps_done": 10}, {"config": "x"},
                     {"status": "done"}],
    "training_metric": [{"step": -1}],
    "checkpoint": [{"step": -1}, {"sha256": "abc"}, {"bytes": 0}, {"format": "pickle"}],
    "session": [{"labkit_sha256": "abc"}, {"threads": 0}],
    "compute": [{"threads": 0}, {"seconds": -1}, {"flops": -1}, {"power_watts": -1, "assumption": "a"},
                {"energy_kwh": -1, "assumption": "a"}, {"power_watts": 65}, {"energy_kwh": 0.1}],
    "evaluation": [{"n_examples": -1}],
    "monitoring_event": [{"alarm": 2}, {"step": -1}, {"details": "x"}],
    "claim": [{"statement": ""}, {"source": ""}, {"scale": "cubic"}, {"n": -1}, {"values": "x"}, {"control": "x"},
              {"verdict": "true"}, {"demonstration": 2}, {"at_least": None}, {"at_most": 1.0}, {"within_low": 0.0},
              {"at_least": None, "within_high": 0.0}, {"at_least": None, "within_low": 1.0, "within_high": 0.0},
              {"low": 1.0, "high": 0.0}],
    "prediction": [{"question": ""}, {"options": "x"}, {"confidence": 1.5}, {"correct": 2}],
    "attempt": [{"lab": ""}, {"exercise": ""}, {"checks": 0}, {"passed": 3}, {"points": 3}],
    "review": [{"subject_table": "nothing"}, {"reviewer": ""}, {"decision": "maybe"}, {"reasons": ""}],
    "incident": [{"severity": "huge"}, {"description": ""}, {"status": "gone"}],
    "model_card": [{"sha256": "abc"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Ledger:
    """A ledger that holds a row of each table."""
    ledger = Ledger(tmp_path_factory.mktemp("full") / "ledger.sqlite")
    order = ["dataset", "session", *COMPLETE]
    for table in dict.fromkeys(order):
        assert ledger.record(table, COMPLETE[table]) == [1]
    return ledger


@pytest.mark.parametrize("table", COMPLETE)
def test_each_rule_of_the_schema(full, table):
    for breach in BREACHES.get(table, []):
        with pytest.raises(ValueError, match="refuses this row: CHECK constraint failed"):
            full.record(table, COMPLETE[table] | breach)
    assert len(rows(full, table)) == 1


def test_rules_are_all_tested():
    # A CHECK that is only about its own column is broken by one breach, so there are at least as many as rules.
    for statement in module._SCHEMA.split("CREATE ")[1:]:
        for table in COMPLETE:
            if statement.startswith(f"TABLE {table} ("):
                assert len(BREACHES.get(table, [])) >= statement.count("CHECK ("), table
                assert ") STRICT;" in statement
    assert set(COMPLETE) == set(module._columns())


def test_a_ledger_of_an_older_labkit_is_read_as_it_is_and_gets_new_tables_with_the_next_record(full, tmp_path):
    shutil.copy(full.path, tmp_path / "old.sqlite")
    old = Ledger(tmp_path / "old.sqlite")
    with closing(sqlite3.connect(old.path)) as database, database:
        database.execute("DROP TABLE attempt")
        database.execute("ALTER TABLE claim DROP COLUMN control_is")
        database.execute("PRAGMA user_version = 1")
    before = snapshot(tmp_path)
    assert rows(old, "attempt") == []
    assert [claim["control_is"] for claim in rows(old, "claim")] == [None]
    assert old.integrity() == "ok"
    assert len(rows(old, "prediction")) == 1
    assert snapshot(tmp_path) == before

    assert old.record("attempt", COMPLETE["attempt"]) == [1]
    assert len(rows(old, "attempt")) == len(rows(old, "prediction")) == 1
    old.record("claim", COMPLETE["claim"])
    assert rows(old, "claim")[1]["control_is"] == COMPLETE["claim"]["control_is"]
    assert module._version(sqlite3.connect(old.path)) == module._VERSION


@pytest.mark.parametrize("table", ["dataset", "architecture", "session", "environment", "claim_run"])
def test_what_is_unique(full, table):
    with pytest.raises(ValueError, match="UNIQUE constraint failed"):
        full.record(table, COMPLETE[table])


def test_alternative_thresholds_and_costs_are_taken(full, tmp_path):
    shutil.copy(full.path, tmp_path / "copy.sqlite")
    copy = Ledger(tmp_path / "copy.sqlite")
    for threshold in ({"at_most": 1}, {"within_low": 0, "within_high": 1}):
        copy.record("claim", COMPLETE["claim"] | {"at_least": None} | threshold)
    copy.record(
        "compute", COMPLETE["compute"] | {"power_watts": 65, "energy_kwh": 0.1, "assumption": "65 W, a desktop"}
    )
    assert copy.integrity() == "ok"


def test_query_cannot_write(ledger):
    ledger.record("evaluation", EVALUATION)
    before = snapshot(ledger.path.parent)
    for sql in (
        "INSERT INTO evaluation (metric) VALUES ('x')",
        "UPDATE evaluation SET value = 1",
        "DELETE FROM evaluation",
        "DROP TABLE evaluation",
        "CREATE TABLE mine (x)",
        "PRAGMA user_version = 9",
        "VACUUM",
    ):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            ledger.query(sql)
    with pytest.raises(sqlite3.OperationalError, match="no such column: accuracy"):
        ledger.query("SELECT accuracy FROM evaluation")
    assert snapshot(ledger.path.parent) == before
    assert ledger.query("SELECT metric, value FROM evaluation").to_dict("list") == {
        "metric": ["accuracy"],
        "value": [0.5],
    }
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        Ledger(ledger.path.with_name("none")).query("INSERT INTO evaluation (metric) VALUES ('x')")


def test_the_system_is_one_row_a_run(ledger):
    runs = [training_run(ledger, seed=seed, experiment="width", final_loss=0.5) for seed in (0, 1)]
    ledger.record("compute", [{"run_id": runs[0], "device": "cpu", "seconds": s} for s in (1.0, 2.5)])
    ledger.record("evaluation", [EVALUATION | {"run_id": runs[0]}] * 3)
    claim = COMPLETE["claim"] | {"session_id": ledger.session()}
    claims = ledger.record("claim", [claim, claim, claim | {"demonstration": 1}])
    ledger.record("claim_run", [{"claim_id": id, "run_id": runs[1]} for id in claims])
    first, second = rows(ledger, "system")
    assert first == {
        "run_id": 1, "notebook": module._notebook_name(), "experiment": "width", "dataset": "digits",
        "architecture": "MLP", "n_parameters": 650, "status": "running", "final_loss": 0.5, "device": "cpu",
        "seconds": 3.5, "evaluations": 3, "claims": 0,
    }  # fmt: skip
    assert (second["run_id"], second["evaluations"], second["claims"]) == (2, 0, 2)  # a demonstration does not count
    without = training_run(ledger, split_id=ledger.split({"role": "all", "n_examples": 1, "sha256": SHA}))
    assert rows(ledger, "system")[2]["run_id"] == without
    assert ledger.query("SELECT dataset FROM system WHERE run_id = 3")["dataset"].isna().all()


# Files that are not ours, or not whole --------------------------------------------------------------------------------


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def cut(path: Path, n: int) -> None:
    Ledger(path).record("evaluation", [EVALUATION | {"metric": "m" * 100}] * 200)  # its last page is one of rows
    path.write_bytes(path.read_bytes()[:n])


def dirty(path: Path, journal: str) -> None:
    """Another program's database whose program was killed in mid-write."""
    source = path.parent / "source"
    source.mkdir()
    with closing(sqlite3.connect(source / "x", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO theirs VALUES (?)", [("x" * 2000,)] * 50)
        if journal == "wal":
            connection.execute("COMMIT")
        for name in ("x", "x-wal", "x-journal"):
            if (source / name).exists():
                shutil.copy(source / name, path.with_name(path.name + name[1:]))
    assert len(list(path.parent.glob("ledger.sqlite*"))) == 2
    shutil.rmtree(source)


OTHERS = {
    "text": (lambda path: path.write_text("dear diary"), "damaged or no ledger"),
    "long text": (lambda path: path.write_bytes(b"0" * 9000), "damaged or no ledger"),
    "zeros": (lambda path: path.write_bytes(bytes(8192)), "damaged or no ledger"),
    "header only": (lambda path: cut(path, 100), "damaged or no ledger"),
    "half": (lambda path: cut(path, 40_000), "damaged or no ledger"),
    "whole pages gone": (lambda path: cut(path, -4096), "damaged or no ledger"),
    "last bytes gone": (lambda path: cut(path, -10), "its end is missing"),
    "their tables": (lambda path: database(path, "CREATE TABLE theirs (x)"), "another program's"),
    "their mark": (lambda path: database(path, "PRAGMA application_id = 7"), "another program's"),
    "their WAL": (lambda path: database(path, "PRAGMA journal_mode = wal", "CREATE TABLE t (x)"), "another program's"),
    "their empty database": (lambda path: database(path, "PRAGMA user_version = 1"), "another program's"),
    "their unfinished journal": (lambda path: dirty(path, "delete"), "another program's"),
    "their unfinished WAL": (lambda path: dirty(path, "wal"), "another program's"),
    "newer": (
        lambda path: (Ledger(path).record("evaluation", EVALUATION), database(path, "PRAGMA user_version = 4")),
        r"a newer labkit: schema 4, here 3\)",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused_and_unchanged(tmp_path, monkeypatch, kind):
    make, message = OTHERS[kind]
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    make(ledger.path)
    before = snapshot(tmp_path)
    message = rf"ledger\.sqlite .*{message}.* is left as it is: .*"
    for attempt in (
        lambda: ledger.record("evaluation", EVALUATION),
        lambda: ledger.update("evaluation", 1, value=1),
        lambda: ledger.query("SELECT 1"),
        ledger.session,
    ):
        with pytest.raises(LedgerError, match=message):
            attempt()
    assert "is left as it is" in ledger.integrity()
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before


def test_damage_within_is_found_and_named(ledger):
    ledger.record("evaluation", [EVALUATION | {"metric": "m" * 100}] * 200)
    assert ledger.integrity() == "ok"
    page = ledger.query("SELECT rootpage FROM sqlite_master WHERE name = 'evaluation'")["rootpage"][0]
    content = bytearray(ledger.path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    ledger.path.write_bytes(content)
    assert ledger.integrity() != "ok"
    with pytest.raises(LedgerError, match="damaged"):
        ledger.query("SELECT * FROM evaluation")
    with pytest.raises(LedgerError, match="damaged"):
        ledger.record("evaluation", EVALUATION)
    assert ledger.path.read_bytes() == content


@pytest.mark.parametrize(
    "make", [lambda path: path.touch(), lambda path: database(path, f"PRAGMA application_id = {module._APPLICATION}")]
)
def test_an_empty_file_becomes_a_ledger(tmp_path, make):
    ledger = Ledger(tmp_path / "ledger.sqlite")  # what is left by a process that was killed while it created the file
    make(ledger.path)
    assert len(ledger.query("SELECT * FROM evaluation")) == 0
    assert ledger.record("evaluation", EVALUATION) == [1]


def test_a_file_in_use_is_an_error_after_a_while(ledger, monkeypatch):
    ledger.record("evaluation", EVALUATION)
    monkeypatch.setattr(module, "_TIMEOUT", 0.05)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"or in use \(database is locked\)"):
            ledger.record("evaluation", EVALUATION)
        assert len(ledger.query("SELECT * FROM evaluation")) == 1  # reading goes on
    ledger.record("evaluation", EVALUATION)


# Places that cannot be written ----------------------------------------------------------------------------------------


def everything(ledger: Ledger) -> None:
    """What a notebook does; nothing of it may fail."""
    ids = [ledger.session(), ledger.dataset(COMPLETE["dataset"]), ledger.architecture(COMPLETE["architecture"])]
    run = training_run(ledger)
    ledger.record("training_metric", [{"run_id": run, "step": s, "name": "loss", "value": 1.0} for s in range(3)])
    ledger.update("training_run", run, status="completed")
    ids += ledger.record("evaluation", [EVALUATION | {"run_id": run}, EVALUATION])
    assert [*ids, run] == [None] * 6


def warned(ledger: Ledger) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        everything(ledger)
        everything(Ledger(ledger.path))
    return [str(warning.message) for warning in caught]


def test_outputs_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "file" / "outputs" / "ledger.sqlite")
    (message,) = warned(ledger)
    assert "cannot be written" in message
    assert "all goes on" in message
    assert len(ledger.query("SELECT * FROM system")) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_outputs_without_permission(ledger):
    ledger.record("evaluation", EVALUATION)
    ledger.path.chmod(0o444)
    ledger.path.parent.chmod(0o555)
    try:
        assert len(warned(ledger)) == 1
        assert len(ledger.query("SELECT * FROM evaluation")) == 1  # what is there can be read
    finally:
        ledger.path.parent.chmod(0o755)


@pytest.mark.parametrize("name", ["READONLY", "READONLY_DIRECTORY", "CANTOPEN", "FULL", "IOERR_WRITE"])
def test_sqlite_that_cannot_write(tmp_path, monkeypatch, name):
    def begin(*_, **__):
        error = sqlite3.OperationalError("no way")
        error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
        raise error

    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record("evaluation", EVALUATION)
    monkeypatch.setattr(Ledger, "_transaction", begin)
    (message,) = warned(ledger)
    assert "(no way)" in message
    assert len(ledger.query("SELECT * FROM evaluation")) == 1


@pytest.fixture
def unwritable(ledger, monkeypatch) -> Ledger:
    """A ledger that SQLite can only open as immutable, as in a read-only folder."""
    ledger.record("evaluation", EVALUATION)
    opened = Ledger._open

    def read(_):
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    def refuse(self, mode):
        return opened(self, mode) if "immutable=1" in mode else SimpleNamespace(execute=read, close=lambda: None)

    monkeypatch.setattr(Ledger, "_open", refuse)
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    return ledger


def test_a_read_only_folder_can_be_read(unwritable):
    assert len(unwritable.query("SELECT * FROM evaluation")) == 1
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        unwritable.query("DELETE FROM evaluation")


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_read_only_folder_with_an_unfinished_ledger_is_not_read_in_part(unwritable, suffix):
    Path(f"{unwritable.path}{suffix}").write_bytes(b"rows")
    with pytest.raises(LedgerError, match=r"move it with any -wal or -journal"):
        unwritable.query("SELECT * FROM evaluation")
    assert "-journal" in unwritable.integrity()


def test_what_belongs_to_something_unrecorded_is_left_out(ledger):
    unrecorded = {"run_id": None, "step": 0, "name": "loss", "value": 1.0}  # the disk was full for a moment
    assert ledger.record("training_metric", [unrecorded]) == [None]
    assert not ledger.path.exists()
    run = training_run(ledger)
    assert ledger.record("training_metric", [unrecorded, unrecorded | {"run_id": run}]) == [None, 1]
    assert ledger.record("evaluation", EVALUATION | {"run_id": None}) == [1]  # an untrained model has no run


# File systems without WAL ---------------------------------------------------------------------------------------------


def journal(ledger: Ledger) -> str:
    return ledger.query("PRAGMA journal_mode").iloc[0, 0]


def use(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.record("evaluation", EVALUATION)
    ledger.update("evaluation", 1, value=0.75)
    assert ledger.query("SELECT value FROM evaluation")["value"].tolist() == [0.75, 0.5, 0.5]
    assert ledger.integrity() == "ok"


def test_wal_on_a_local_disk(ledger, monkeypatch):
    monkeypatch.setattr(module, "_is_local", lambda _: True)
    use(ledger)
    assert journal(ledger) == "wal"
    assert [path.name for path in ledger.path.parent.iterdir()] == ["ledger.sqlite"]  # nothing is left lying about


def test_classic_journal_on_a_network_drive(ledger, monkeypatch):
    monkeypatch.setattr(module, "_is_local", lambda _: False)
    use(ledger)
    assert journal(ledger) == "delete"


def test_a_ledger_that_moves_to_a_network_drive(ledger, monkeypatch):
    monkeypatch.setattr(module, "_is_local", lambda _: True)
    ledger.record("evaluation", EVALUATION)
    assert journal(ledger) == "wal"
    monkeypatch.setattr(module, "_is_local", lambda _: False)
    ledger.record("evaluation", EVALUATION)
    assert (journal(ledger), len(rows(ledger, "evaluation"))) == ("delete", 2)


@pytest.mark.skipif(os.name != "posix", reason="the VFS is part of SQLite for POSIX")
def test_file_system_without_shared_memory(ledger, monkeypatch):
    connect = sqlite3.connect

    def without(name, **options):
        return connect(f"{name}&vfs=unix-dotfile" if name.startswith("file:") else name, **options)

    monkeypatch.setattr(module, "_is_local", lambda _: True)
    monkeypatch.setattr(module.sqlite3, "connect", without)
    use(ledger)
    assert journal(ledger) == "delete"


@pytest.mark.parametrize("existing", [False, True])
def test_wal_that_fails(ledger, monkeypatch, existing):
    monkeypatch.setattr(module, "_is_local", lambda _: True)
    if existing:
        ledger.record("dataset", COMPLETE["dataset"])
        assert journal(ledger) == "wal"
    ledger.path.parent.mkdir(exist_ok=True)
    ledger.path.with_name("ledger.sqlite-shm").mkdir()  # where the shared memory would be
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(ledger)
    assert journal(ledger) == "delete"
    assert len(rows(ledger, "dataset")) == existing


@pytest.mark.parametrize(
    ("folder", "local"),
    [("/home/me", True), ("/home/me/drive/x", False), ("/nfs/my home/x", False), ("/nfs", True), ("/mnt/c/x", False)],
)
def test_which_disks_are_local(monkeypatch, folder, local):
    monkeypatch.setattr(module.psutil, "disk_partitions", mounts(
        "/", "rootfs", "/", "ext4", "/proc", "proc", "/home/me/drive", "fuse.d", "/nfs/my home", "nfs4", "/mnt/c", "9p"
    ))  # fmt: skip
    monkeypatch.setattr(Path, "resolve", lambda self: self)
    assert module._is_local.__wrapped__(Path(folder)) is local


def mounts(*pairs):
    """A stand-in for psutil.disk_partitions: where something is mounted, and its kind of file system, in turn."""
    partitions = zip(pairs[::2], pairs[1::2], strict=True)
    found = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in partitions]
    return lambda all: found


def unknown(error):
    def disk_partitions(all):
        raise error

    return disk_partitions


@pytest.mark.parametrize(
    ("partitions", "folder"),
    [
        (mounts(), "/home/me"),
        (mounts("/usr", "ext4"), "/home/me"),  # in a chroot the root has no line
        (mounts("/", "ext4", "/new", "kindfs"), "/new/x"),
        (mounts("/", "ext4", "/", "nfs"), "/new/x"),  # mounted over another
        (mounts("/", "ext4", "/tea\udce9", "nfs"), "/tea\udce9/x"),
        (unknown(FileNotFoundError()), "/home/me"),
        (unknown(PermissionError()), "/home/me"),
    ],
)
def test_a_disk_that_is_not_known_is_not_local(monkeypatch, partitions, folder):
    monkeypatch.setattr(module.psutil, "disk_partitions", partitions)
    monkeypatch.setattr(Path, "resolve", lambda self: self)
    assert module._is_local.__wrapped__(Path(folder)) is False


# Several processes, and killed ones -----------------------------------------------------------------------------------


def test_a_ledger_that_another_process_is_just_making_is_not_another_programs(ledger, monkeypatch):
    version, writers = module._version, []

    def slow_version(database):
        found = version(database)
        file = database.execute("PRAGMA database_list").fetchone()[2]  # "" for a database in memory
        if file and not writers:  # the first look at the file, still empty: now another process makes the ledger
            record = 'ledger.record("evaluation", {"metric": "theirs", "value": 1})'
            writers.append(child(record, ledger.path))
            with suppress(subprocess.TimeoutExpired):  # it may have to wait for this one
                writers[0].wait(timeout=3)
        return found

    monkeypatch.setattr(module, "_version", slow_version)
    ledger.record("evaluation", {"metric": "ours", "value": 2})
    assert writers[0].wait(timeout=60) == 0
    writers[0].stdout.close()
    assert set(ledger.query("SELECT metric FROM evaluation").metric) == {"ours", "theirs"}


def test_four_processes_lose_nothing(ledger):
    writers = [
        child(
            """
            writer = sys.argv[2]
            for i in range(500):
                ledger.record("evaluation", {"metric": writer, "value": i})
            """,
            ledger.path,
            name,
        )
        for name in "abcd"
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 4
    for writer in writers:
        writer.stdout.close()
    frame = ledger.query("SELECT metric, value FROM evaluation ORDER BY id")
    for name in "abcd":
        assert frame[frame.metric == name].value.tolist() == list(range(500))
    assert ledger.integrity() == "ok"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX's")
@pytest.mark.parametrize("local", [True, False], ids=["wal", "classic"])
def test_fifty_kills_leave_every_committed_record(ledger, local):
    # One process forks fifty writers, one after the other, and kills each in mid-write. A record is twenty rows.
    killer = child(
        """
        module._is_local = lambda folder: sys.argv[2] == "True"
        for kill in range(50):
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                while True:
                    ids = ledger.record("evaluation", [dict(metric="x" * 500, value=kill)] * 20)
                    os.write(writer, f"{ids[0]} {ids[-1]}\\n".encode())
            os.close(writer)
            committed = os.read(reader, 64)
            time.sleep(random.uniform(0, 0.015))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            while more := os.read(reader, 65536):
                committed += more
            os.close(reader)
            sys.stdout.write(committed.decode())
        """,
        ledger.path,
        local,
    )
    printed, _ = killer.communicate(timeout=120)
    assert killer.returncode == 0
    assert ledger.integrity() == "ok"
    committed = {id for line in printed.splitlines() for id in range(int(line.split()[0]), int(line.split()[1]) + 1)}
    frame = ledger.query("SELECT id, value FROM evaluation")
    assert committed <= set(frame["id"])
    assert sorted(frame.value.unique()) == list(range(50))
    assert (frame.groupby("value").size() % 20 == 0).all()  # never a part of a record
    assert ledger.record("evaluation", EVALUATION) == [frame["id"].max() + 1]
