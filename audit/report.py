"""What a ledger holds, and whether it can be relied on. Run as `python -m audit`, followed by

    summary               what was trained, evaluated and claimed, by notebook (as without a word)
    claims                the table of all claims
    integrity             what is wrong, a line each; the exit status is 1 where something is
    export TABLE [FILE]   a table, or the view `system`, as CSV: into FILE, or onto the screen

The exit status is 2, with one sentence that says why, where it cannot be done.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import sys
import textwrap

import pandas as pd

from labkit.evidence import ClaimError, contradictions
from labkit.ledger import Ledger, LedgerError, one_line

SYMBOLS = {"holds": "✓ holds", "fails": "✗ FAILS", "empty": "∅ EMPTY"}

# By notebook. The view `system` has a row for each training run.
SUMMARIES = (
    """SELECT notebook, replace(group_concat(DISTINCT dataset), ',', ', ') AS "data sets",
           count(DISTINCT architecture) AS architectures, count(*) AS trained, sum(status = 'completed') AS completed,
           round(total(seconds)) AS seconds, sum(evaluations) AS evaluations
       FROM system GROUP BY notebook""",
    """SELECT notebook, count(*) AS claims, sum(verdict = 'holds') AS hold
       FROM claim JOIN session ON session.id = claim.session_id WHERE NOT demonstration GROUP BY notebook""",
    """SELECT notebook, count(*) AS predictions, count(outcome) AS resolved
       FROM prediction JOIN session ON session.id = prediction.session_id GROUP BY notebook""",
)


def claims(ledger, after=0):
    """The claims with an id above `after`, demonstrations left out: a DataFrame of the table `claim` and `notebook`."""
    return ledger.query(
        """SELECT session.notebook, claim.* FROM claim JOIN session ON session.id = claim.session_id
           WHERE claim.id > ? AND NOT claim.demonstration ORDER BY claim.id""",
        [after],
    )


def number(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def threshold(claim):
    """The threshold of a row of `claim`, such as "≥ 0.9" or "0.4 … 0.6"."""
    if pd.notna(claim.at_least):
        return f"≥ {number(claim.at_least)}"
    if pd.notna(claim.at_most):
        return f"≤ {number(claim.at_most)}"
    return f"{number(claim.within_low)} … {number(claim.within_high)}"


def claims_text(claims, width):
    """Rows of `claims` as plain text: the verdict, the statement, and below it what was measured and the source."""
    lines = []
    for notebook, own in claims.groupby("notebook", sort=False):
        lines += ["", notebook]
        for claim in own.itertuples():
            interval = f"{number(claim.mean)} [{number(claim.low)}, {number(claim.high)}]"
            control = f", control {number(claim.control_mean)}" if pd.notna(claim.control_mean) else ""
            control += f" ({claim.control_is})" if pd.notna(claim.control_is) else ""
            measured = f"{interval}, n = {claim.n}, threshold {threshold(claim)}{control}; {claim.source}"
            first = f"  {SYMBOLS[claim.verdict]}  "
            lines += textwrap.wrap(one_line(claim.statement), width, initial_indent=first, subsequent_indent=" " * 11)
            lines += textwrap.wrap(one_line(measured), width, initial_indent=" " * 11, subsequent_indent=" " * 11)
    return "\n".join(lines[1:]) or "No claim has been made yet."


def summary(ledger):
    """What was trained, evaluated, claimed and predicted, by notebook, as plain text."""
    parts = [ledger.query(sql).set_index("notebook") for sql in SUMMARIES]
    table = pd.concat(parts, axis=1).sort_index()
    if table.empty:
        return f"{ledger.path}\n\nNothing has been trained, claimed or predicted yet."
    table["data sets"] = table["data sets"].fillna("")
    table = table.fillna(0).astype({name: int for name in table if name != "data sets"})
    unfinished = ledger.query(
        "SELECT status, count(*) AS n FROM training_run WHERE status <> 'completed' GROUP BY status"
    )
    text = f"{ledger.path}\n\n" + table.rename_axis(None).to_string()
    if len(unfinished):
        text += "\n\nNot completed: " + ", ".join(f"{row.n} {row.status}" for row in unfinished.itertuples()) + "."
    return text


def problems(ledger):
    """What is wrong with a ledger and with the files that it speaks of: a list of sentences, empty if nothing is.

    SQLite's own check and its foreign keys; claims whose verdict or interval does not follow from their values;
    checkpoints and model cards that are missing, changed or of no known training run; reviews of rows that are not
    there; fixed data sets whose bytes changed.
    """
    found = [text for text in [ledger.integrity()] if text != "ok"]
    with contextlib.suppress(LedgerError):  # which integrity() has named already
        for check in (_claims, _checkpoints, _model_cards, _reviews, _datasets):
            found += map(one_line, check(ledger))
    return found


def _claims(ledger):
    for row in ledger.query("SELECT * FROM claim ORDER BY id").to_dict("records"):
        try:
            wrong = contradictions(row)
        except (ClaimError, TypeError, ValueError):
            wrong = ["threshold or values"]
        if wrong:
            yield f"claim {row['id']}: its {', '.join(wrong)} cannot come from its values ({row['statement']})"


def _checkpoints(ledger):
    from labkit.checkpoint import read_checkpoint  # here, because PyTorch takes seconds to load

    folder = ledger.path.parent
    recorded = ledger.query("SELECT path, group_concat(DISTINCT run_id) AS runs FROM checkpoint GROUP BY path")
    files = {path for path in (folder / "checkpoints").rglob("*") if path.is_file() and path.suffix != ".partial"}
    for path, runs in zip(recorded.path, recorded.runs, strict=True):
        if (folder / path).exists():
            files.add(folder / path)
        else:
            yield f"checkpoint {path} of training run {runs} is missing"
    for path in sorted(files):
        try:
            read_checkpoint(path, ledger)
        except (OSError, ValueError) as error:
            yield str(error)


def _model_cards(ledger):
    latest = "SELECT path, sha256, run_id FROM model_card WHERE id IN (SELECT max(id) FROM model_card GROUP BY path)"
    for path, sha256, run in ledger.query(latest).itertuples(index=False):
        card = f"model card {path} of training run {run}"
        try:
            if hashlib.sha256((ledger.path.parent / path).read_bytes()).hexdigest() != sha256:
                yield f"{card} was changed after it was recorded"
        except FileNotFoundError:
            yield f"{card} is missing"
        except OSError as error:
            yield f"{card} cannot be read ({error.strerror or error})"


def _reviews(ledger):
    for table in ledger.query("SELECT DISTINCT subject_table FROM review").subject_table:
        lost = (
            f"SELECT id, subject_id FROM review WHERE subject_table = ? AND subject_id NOT IN (SELECT id FROM {table})"
        )
        for review, subject in ledger.query(lost, [table]).itertuples(index=False):
            yield f"review {review} is of {table} {subject}, which is not there"


def _datasets(ledger):
    from labkit.data import changed

    for dataset in ledger.query("SELECT id, source, sha256 FROM dataset ORDER BY id").itertuples():
        if problem := changed(dataset.source, dataset.sha256):
            yield f"data set {dataset.id}: {problem}"


def export(ledger, table, path=None):
    """Write a table to a CSV file, whole or not at all, or to the screen. ValueError where there is no such table."""
    known = ledger.query("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid").name
    if table not in set(known):
        raise ValueError(f"The ledger has no table {table!r}; it has {', '.join(known)}.")
    frame = ledger.query(f"SELECT * FROM {table}")
    if path is None:
        print(frame.to_csv(index=False, lineterminator="\n"), end="")
    else:
        write_csv(frame, path)


def write_csv(frame, path):
    """Write a DataFrame without its index to a file, whole or not at all. Raises OSError."""
    partial = f"{path}.partial"
    try:
        frame.to_csv(partial, index=False, errors="backslashreplace")  # a file's name may hold what is no text
        os.replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m audit", description="What the ledger holds.")
    parser.add_argument("--ledger", metavar="FILE", help="another one than ledger.sqlite in the outputs folder")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("summary", help="what was trained, evaluated and claimed, by notebook (the default)")
    commands.add_parser("claims", help="the table of all claims")
    commands.add_parser("integrity", help="what is wrong, a line each; exit status 1 where something is")
    exporting = commands.add_parser("export", help="a table, or the view `system`, as CSV")
    exporting.add_argument("table")
    exporting.add_argument("file", nargs="?", help="by default the screen")
    chosen = parser.parse_args(arguments)
    ledger = Ledger(chosen.ledger)
    sys.stdout.reconfigure(errors="replace")  # what a code page lacks becomes a question mark
    try:
        status = _run(chosen, ledger)
        sys.stdout.flush()
        return status
    except OSError as error:
        if getattr(chosen, "file", None):
            problem = f"{chosen.file} cannot be written ({error.strerror or error})."
        else:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python, at its end, would try again
            if isinstance(error, BrokenPipeError):  # the reader, `head` for example, has seen enough
                return 0
            problem = f"The output cannot be written ({error.strerror or error})."
    except (LedgerError, ValueError) as error:
        problem = str(error)
    print(problem, file=sys.stderr)
    return 2


def _run(chosen, ledger):
    if not os.path.exists(ledger.path):
        raise LedgerError(f"There is no ledger at {ledger.path} yet: run a notebook, or name another with --ledger.")
    if chosen.command == "export":
        export(ledger, chosen.table, chosen.file)
    elif chosen.command == "claims":
        print(claims_text(claims(ledger), shutil.get_terminal_size((110, 0)).columns))
    elif chosen.command == "integrity":
        ledger.query("SELECT 1")  # refuses what is no ledger
        found = problems(ledger)
        print("\n".join(found) or "ok: the file, its claims, and the checkpoints and model cards that it names.")
        return 1 if found else 0
    else:
        print(summary(ledger))
    return 0
