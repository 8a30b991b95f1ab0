"""What a ledger holds and whether it can be relied on, on the fixture ledger."""

import io
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import fixture_ledger
import pandas as pd
import pytest

from audit import report
from labkit.ledger import Ledger, _columns


@pytest.fixture
def ledger(tmp_path):
    return fixture_ledger.build(tmp_path / "outputs" / "ledger.sqlite")


def test_the_fixture_is_whole_complete_and_the_same_each_time(ledger, tmp_path):
    again = fixture_ledger.build(tmp_path / "again" / "ledger.sqlite")
    assert report.problems(ledger) == []
    for table in _columns():
        rows = ledger.query(f"SELECT * FROM {table}")
        assert len(rows), table
        assert rows.equals(again.query(f"SELECT * FROM {table}")), table
    with pytest.raises(FileExistsError, match="built anew"):
        fixture_ledger.build(ledger.path)


# Reading --------------------------------------------------------------------------------------------------------------


def test_summary_by_notebook(ledger, capsys):
    assert report.main([]) == report.main(["summary"]) == 0
    text = capsys.readouterr().out
    table = pd.read_fwf(io.StringIO("\n".join(text.splitlines()[2:6])), index_col=0)
    assert table["trained"].to_dict() == {"00_start_here": 8, "04_scaling": 3, "08_reliability": 2}
    assert table["completed"].tolist() == [7, 0, 2]
    assert table["evaluations"].tolist() == [12, 1, 1]
    assert table["claims"].tolist() == [2, 2, 2]  # without the demonstration
    assert table["hold"].tolist() == [2, 1, 0]
    assert table["predictions"].tolist() == [3, 3, 2]
    assert table["resolved"].tolist() == [3, 2, 2]
    assert "scanned forms, mnist1d" in text
    assert "Not completed: 1 diverged, 1 failed, 1 interrupted, 1 running." in text


def test_claims_as_text(ledger, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    assert report.main(["claims"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 72
    flat = re.sub(r"\s+", " ", text)
    for expected in (
        "00_start_here ✓ holds The network names at least nine of ten digits that it never saw",
        "0.964 [0.961, 0.967], n = 5, threshold ≥ 0.9, control 0.101 (the same at chance); a made-up paper 2020",
        "✗ FAILS Every larger model beats every smaller one 0.9 [0.606, 0.995], n = 10, threshold ≥ 0.9; Hestness",
        "threshold 0.4 … 0.6",
        "∅ EMPTY The monitor says nothing",
    ):
        assert expected in flat
    assert "meant to fail" not in flat
    assert list(report.claims(ledger, after=5).id) == [6, 7]


def test_export_to_a_file_and_to_the_screen(ledger, tmp_path, capsys):
    path = tmp_path / "claims.csv"
    path.write_text("what was there before")
    assert report.main(["export", "claim", str(path)]) == report.main(["export", "system"]) == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(path), pd.read_csv(io.StringIO(ledger.query("SELECT * FROM claim").to_csv(index=False)))
    )
    assert len(capsys.readouterr().out.splitlines()) == 1 + 13
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["claims.csv", "outputs"]


@pytest.mark.parametrize("command", [["summary"], ["claims"], ["integrity"], ["export", "claim"]], ids=lambda c: c[0])
def test_a_stream_that_lacks_letters_gets_question_marks(ledger, monkeypatch, command):
    tamper(ledger, "UPDATE claim SET statement = 'Θ ≥ π'", "UPDATE claim SET n = 20 WHERE id = 2")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    assert report.main(command) == (command == ["integrity"])
    stream.flush()
    assert (b"? ? ?" in stream.buffer.getvalue()) == (command != ["summary"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_an_output_that_cannot_be_written_is_one_sentence(ledger):
    command = [sys.executable, "-m", "audit", "claims"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "The output cannot be written (No space left on device).\n")


def test_a_statement_of_two_lines_is_a_line_each(ledger, capsys):
    tamper(ledger, "UPDATE claim SET statement = 'Up' || char(10, 8232, 133) || 'down', n = 20 WHERE id = 2")
    assert report.main(["integrity"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("(Up down)")
    report.main(["claims"])
    assert "holds  Up down\n" in capsys.readouterr().out


# What is wrong --------------------------------------------------------------------------------------------------------


def tamper(ledger, *statements):
    """Change the file as another program could: no foreign keys, no triggers of ours in the way."""
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            assert database.execute(statement).rowcount != 0


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


CHANGES = {
    "UPDATE claim SET mean = mean + 0.001 WHERE id = 1": "claim 1: its mean cannot come from its values (The network",
    "UPDATE claim SET low = 0.99, high = 0.99 WHERE id = 4": "claim 4: its low, high cannot",
    "UPDATE claim SET verdict = 'holds' WHERE id = 6": "claim 6: its verdict cannot",
    "UPDATE claim SET verdict = 'holds' WHERE id = 7": "claim 7: its verdict cannot",
    "UPDATE claim SET at_least = 0.5 WHERE id = 5": "claim 5: its verdict cannot",
    "UPDATE claim SET n = 20 WHERE id = 2": "claim 2: its n cannot",
    "UPDATE claim SET control_mean = 0.5 WHERE id = 1": "claim 1: its control_mean cannot",
    "UPDATE claim SET control_mean = NULL WHERE id = 1": "claim 1: its control_mean cannot",
    "UPDATE claim SET control = NULL WHERE id = 1": "claim 1: its control_mean cannot",
    "UPDATE claim SET trials = 51 WHERE id = 6": "claim 6: its threshold or values cannot",
    "UPDATE claim SET scale = 'log' WHERE id = 3": "claim 3: its mean, low, high cannot",
    """UPDATE claim SET "values" = '[1, 2, "x"]' WHERE id = 3""": "claim 3: its threshold or values cannot",
    """UPDATE claim SET "values" = '[0.97, 0.96, 0.95, 0.94, 0.93]' WHERE id = 1""": "claim 1: its mean, low, high",
    "UPDATE claim SET at_least = NULL WHERE id = 1": "claim 1: its threshold or values cannot",
    "DELETE FROM dataset WHERE id = 3": "row 5 of split lacks its dataset",
    "DELETE FROM environment WHERE id = 2": "row 10 of evaluation lacks its environment",
    "UPDATE dataset SET sha256 = 'a' || substr(sha256, 2) WHERE id = 1": "data set 1: These are not the data that",
    "UPDATE review SET subject_id = 99 WHERE id = 2": "review 2 is of training_run 99, which is not there",
    "UPDATE checkpoint SET sha256 = 'a' || substr(sha256, 2)": "is no checkpoint that ledger.sqlite recorded",
    "UPDATE checkpoint SET run_id = 2": "is no checkpoint that ledger.sqlite recorded",
    "UPDATE checkpoint SET path = 'checkpoints/9'": "checkpoint checkpoints/9 of training run 1 is missing",
    "UPDATE model_card SET sha256 = 'a' || substr(sha256, 2)": "model card model_cards/run1.md of training run 1 was",
    "UPDATE model_card SET path = 'card.md'": "model card card.md of training run 1 is missing",
}  # fmt: skip


@pytest.mark.parametrize("statement", CHANGES)
def test_a_changed_row_is_found(ledger, capsys, statement):
    tamper(ledger, statement)
    assert report.main(["integrity"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [CHANGES[statement] in line for line in lines if "CHECK constraint failed" not in line] == [True]


FILES = {
    "checkpoint gone": (lambda folder: (folder / "checkpoints" / "run1.safetensors").unlink(), "run 1 is missing"),
    "checkpoint changed": (lambda folder: flip(folder / "checkpoints" / "run1.safetensors"), "changed or damaged"),
    "stray pickle": (lambda folder: (folder / "checkpoints" / "x.pt").write_bytes(b"\x80\x04."), "x.pt is no check"),
    "torn": (lambda folder: (folder / "checkpoints" / "y.safetensors").write_bytes(b"\x08\0\0"), "s is no check"),
    "card gone": (lambda folder: (folder / "model_cards" / "run1.md").unlink(), "run1.md of training run 1 is missing"),
    "card changed": (lambda folder: flip(folder / "model_cards" / "run1.md"), "changed after it was recorded"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_file_is_found(ledger, capsys, kind):
    change, words = FILES[kind]
    change(ledger.path.parent)
    assert report.main(["integrity"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert words in line


def test_an_unknown_run_is_found(ledger, capsys):
    tamper(ledger, "DELETE FROM checkpoint", "DELETE FROM claim_run", "DELETE FROM training_run WHERE id = 1")
    assert report.main(["integrity"]) == 1
    assert "run1.safetensors is no checkpoint that ledger.sqlite recorded" in capsys.readouterr().out


def test_an_unfinished_save_is_no_checkpoint(ledger):
    (ledger.path.parent / "checkpoints" / "z.safetensors.partial").write_bytes(b"half")
    assert report.problems(ledger) == []


def test_damage_within_the_file_is_found(ledger, capsys):
    page = ledger.query("SELECT rootpage FROM sqlite_master WHERE name = 'training_metric'")["rootpage"][0]
    content = bytearray(ledger.path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    ledger.path.write_bytes(content)
    assert report.main(["integrity"]) == 1
    assert capsys.readouterr().out.strip()
    assert report.main(["export", "training_metric"]) == 2
    assert "is damaged or no ledger at all" in capsys.readouterr().err


# Bad input ------------------------------------------------------------------------------------------------------------


def foreign(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (x)")


def newer(path):
    with closing(sqlite3.connect(fixture_ledger.build(path).path)) as database:
        database.execute("PRAGMA user_version = 99")


BAD = {
    "none": (lambda path: None, r"There is no ledger at .*other\.sqlite yet: run a notebook"),
    "text": (lambda path: path.write_text("dear diary"), "is damaged or no ledger at all"),
    "half": (lambda path: path.write_bytes(fixture_ledger.build(path).path.read_bytes()[:40_000]), "is damaged or no"),
    "foreign": (foreign, r"another program's file\) and is left as it is"),
    "newer": (newer, r"of a newer labkit: schema 99, here 3\)"),
    "folder": (lambda path: path.mkdir(), "is damaged or no ledger at all"),
}


@pytest.mark.parametrize("command", [["summary"], ["claims"], ["integrity"], ["export", "claim"]], ids=lambda c: c[0])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_ledger_is_one_sentence_and_status_2(tmp_path, capsys, kind, command):
    make, words = BAD[kind]
    path = tmp_path / "other.sqlite"
    make(path)
    assert report.main(["--ledger", str(path), *command]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert re.search(words, shown.err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "nothing"], "The ledger has no table 'nothing'; it has dataset, split"),
        (["export", "claim; DROP TABLE claim"], "The ledger has no table"),
        (["export", "claim", "missing/claims.csv"], "missing/claims.csv cannot be written"),
        (["export", "claim", "outputs"], "outputs cannot be written"),
    ],
)
def test_a_bad_export_is_one_sentence_and_status_2(ledger, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert report.main(arguments) == 2
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 1
    assert words in shown.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["outputs"]


def test_an_empty_ledger(tmp_path, capsys):
    path = tmp_path / "new.sqlite"
    Ledger(path).record("environment", {"name": "held-out"})
    for command, words in (("summary", "Nothing has been"), ("claims", "No claim has been"), ("integrity", "ok: ")):
        assert report.main(["--ledger", str(path), command]) == 0
        assert words in capsys.readouterr().out


def test_as_a_command(ledger):
    def run(*arguments, **options):
        command = [sys.executable, "-m", "audit", *arguments]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, **options)

    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    assert run("claims").stdout.count("✓ holds") == 3
    assert run("integrity").stdout.startswith("ok: ")
    failed = run("export", "nothing")
    assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (2, "", 1)
    assert run("nonsense").returncode == 2
    ledger.path.unlink()
    assert (run().returncode, len(run().stderr.splitlines())) == (2, 1)
