"""Run the curriculum: every notebook in order, headless, and then the table of all claims.

    python tools/run.py            all notebooks
    python tools/run.py 00 01      some of them

Executed copies go to outputs/executed/, records to outputs/ledger.sqlite. The exit status is 1 when a claim or a
notebook fails.
"""

import sys
import time

import curriculum
import pandas as pd
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from labkit.ledger import Ledger, LedgerError, outputs_dir

SYMBOLS = {"holds": "[green]✓ holds[/]", "fails": "[bold red]✗ FAILS[/]", "empty": "[bold red]∅ EMPTY[/]"}


def number(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def threshold(claim):
    if pd.notna(claim.at_least):
        return f"≥ {number(claim.at_least)}"
    if pd.notna(claim.at_most):
        return f"≤ {number(claim.at_most)}"
    return f"{number(claim.within_low)} … {number(claim.within_high)}"


def last_claim():
    return Ledger().query("SELECT COALESCE(MAX(id), 0) AS id FROM claim").id[0]


def claims_since(claim_id):
    """This run's claims; demonstrations of failing claims are not counted among them."""
    return Ledger().query(
        """SELECT session.notebook, claim.* FROM claim JOIN session ON session.id = claim.session_id
           WHERE claim.id > ? AND NOT claim.demonstration ORDER BY claim.id""",
        (int(claim_id),),
    )


def claims_table(claims, title):
    table = Table(title=title, title_justify="left", show_lines=True)
    for heading in ("Notebook", "Claim", "Measured [90 % interval]", "n", "Threshold", "Verdict", "Source"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("n", "Threshold", "Verdict"))
    for claim in claims.itertuples():
        measured = f"{number(claim.mean)} [{number(claim.low)}, {number(claim.high)}]"
        table.add_row(
            claim.notebook[:2],
            claim.statement,
            measured,
            str(claim.n),
            threshold(claim),
            SYMBOLS[claim.verdict],
            claim.source,
        )
    return table


def run_notebook(source, progress):
    """Execute one notebook; returns the sentence on what went wrong, or None."""
    notebook = curriculum.build(source)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    task = progress.add_task(source.stem, total=cells)
    error = None
    try:
        curriculum.execute(notebook, source.stem, on_cell=lambda **_: progress.advance(task))
    except CellExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except (CellTimeoutError, DeadKernelError) as failure:
        error = f"{type(failure).__name__}: the kernel stopped answering ({failure})."
    finally:
        curriculum.save(notebook, outputs_dir() / "executed" / f"{source.stem}.ipynb")
    return error


def main(numbers):
    console = Console(width=None if sys.stdout.isatty() else 150)
    chosen = curriculum.sources(numbers)
    start, first = time.monotonic(), last_claim()
    errors = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        for source in chosen:
            before = last_claim()
            errors[source.stem] = run_notebook(source, progress)
            if len(chosen) > 1:
                progress.console.print(claims_table(claims_since(before), f"Claims of {source.stem}"))
            if errors[source.stem]:
                progress.console.print(f"[red]{source.stem} stopped.[/] {errors[source.stem]}", highlight=False)
    claims = claims_since(first)
    console.print(claims_table(claims, "All claims of this run"))
    failed = (claims.verdict != "holds").sum()
    stopped = [name for name, error in errors.items() if error]
    seconds = time.monotonic() - start
    console.print(
        f"{len(claims)} claims, {len(claims) - failed} hold; {len(chosen)} notebook(s) in {seconds:.0f} s.",
        highlight=False,
    )
    console.print("Executed copies: outputs/executed/. Records: outputs/ledger.sqlite.", highlight=False)
    for name in stopped:
        console.print(f"[red]{name} did not finish.[/] {errors[name]}", highlight=False)
    return 1 if failed or stopped else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LedgerError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted. What was recorded is kept in outputs/ledger.sqlite; run the same command again.")
