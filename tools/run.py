"""Run the curriculum: every notebook in order, headless, and then the table of all claims.

    python tools/run.py            all notebooks
    python tools/run.py 00 01      some of them

Executed copies go to outputs/executed/, records to outputs/ledger.sqlite. The exit status is 1 when a claim or a
notebook fails.
"""

import sys
import time

import curriculum
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from labkit.audit import claims, claims_text
from labkit.ledger import Ledger, LedgerError, outputs_dir


def last_claim():
    return int(Ledger().query("SELECT COALESCE(MAX(id), 0) AS id FROM claim").id[0])


def print_claims(console, title, after):
    """The claims with an id above `after`, what does not hold in red."""
    text = Text(claims_text(claims(Ledger(), after), console.width))
    text.highlight_regex("✓ holds", "green")
    text.highlight_regex("✗ FAILS|∅ EMPTY", "bold red")
    console.print(f"\n[bold]{title}[/]", text, "", sep="\n")


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
                print_claims(progress.console, f"Claims of {source.stem}", before)
            if errors[source.stem]:
                progress.console.print(f"[red]{source.stem} stopped.[/] {errors[source.stem]}", highlight=False)
    print_claims(console, "All claims of this run", first)
    verdicts = claims(Ledger(), first).verdict
    failed = (verdicts != "holds").sum()
    stopped = [name for name, error in errors.items() if error]
    seconds = time.monotonic() - start
    console.print(
        f"{len(verdicts)} claims, {len(verdicts) - failed} hold; {len(chosen)} notebook(s) in {seconds:.0f} s.",
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
