"""Run the curriculum: every notebook in order, headless, and then the table of all claims.

    python tools/run.py            all notebooks
    python tools/run.py 00 01      some of them

Executed copies go to outputs/executed/, records to outputs/ledger.sqlite. The exit status is 1 when a claim or a
notebook fails, or when the ledger lacks a claim that a notebook has made.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import contextlib
import functools
import tempfile
import time

import curriculum
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from audit.report import claims, claims_text
from labkit.ledger import Ledger, LedgerError, outputs_dir


def require_writable(folder):
    """Exit with a sentence where a folder cannot keep what a run makes: better now than after the first notebook."""
    reason = None
    try:
        (folder / "executed").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder / "executed") as file:
            file.write(bytes(10_000_000))  # about what all notebooks take
        if locked := [path.name for path in folder.glob("ledger.sqlite*") if not os.access(path, os.W_OK)]:
            reason = f"{locked[0]} is read-only"
    except OSError as error:
        reason = error.strerror or error
    if reason:
        sys.exit(f"{folder} cannot be written ({reason}): mend that, or set LABKIT_OUTPUTS to another folder.")


def print_claims(console, title, ids):
    """The claims with these ids as a table, what does not hold in red. Returns how many hold."""
    found = claims(Ledger())
    found = found[found.id.isin(ids)]
    text = Text(claims_text(found, console.width))
    text.highlight_regex("✓ holds", "green")
    text.highlight_regex("✗ FAILS|∅ EMPTY", "bold red")
    console.print(f"\n[bold]{title}[/]", text, "", sep="\n")
    return (found.verdict == "holds").sum()


def run_notebook(source, progress):
    """Execute one notebook and keep it as it ran.

    Returns the ids of its claims, and sentences on all that went wrong: whatever it was, the next notebook can run.
    """
    ids, problems, process = [], [], []

    @contextlib.contextmanager
    def noted():
        try:
            yield
        except Exception as error:
            problems.append(f"did not finish. {curriculum.reason(error)}")

    with noted():
        last = Ledger().query("SELECT ifnull(max(id), 0) AS id FROM session").id[0]
        notebook = curriculum.build(source)
        task = progress.add_task(source.stem, total=sum(cell.cell_type == "code" for cell in notebook.cells))
        with noted():
            step = functools.partial(progress.advance, task)
            curriculum.execute(notebook, source.stem, on_cell=lambda **_: step(), on_start=process.append)
        with noted():
            curriculum.save(notebook, outputs_dir() / "executed" / f"{source.stem}.ipynb")
        # Of this kernel alone: other processes may write to the ledger meanwhile.
        recorded = Ledger().query(
            """SELECT claim.id, demonstration FROM claim JOIN session ON session.id = session_id
               WHERE session.id > ? AND pid = ?""",
            [last, process[0] if process else None],
        )
        ids = list(recorded.id[recorded.demonstration == 0])
        if (shown := curriculum.shown_claims(notebook)) > len(recorded):
            problems.append(
                f"shows {shown} claim(s), and the ledger has {len(recorded)}: see its executed copy for why."
            )
    return ids, problems


def main(numbers):
    console = Console(width=None if sys.stdout.isatty() else 150)
    say = functools.partial(console.print, highlight=False, soft_wrap=True)
    chosen, outputs = curriculum.sources(numbers), outputs_dir()
    require_writable(outputs)
    Ledger().query("SELECT 1")  # or a LedgerError now
    start, made, problems = time.monotonic(), [], []
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
            ids, sentences = run_notebook(source, progress)
            sentences = [f"[red]{source.stem}[/] {escape(sentence)}" for sentence in sentences]
            made, problems = made + ids, problems + sentences
            if len(chosen) > 1:
                print_claims(console, f"Claims of {source.stem}", ids)
                for sentence in sentences:
                    say(sentence)
    hold = print_claims(console, "All claims of this run", made)
    say(f"{len(made)} claims, {hold} hold; {len(chosen)} notebook(s) in {time.monotonic() - start:.0f} s.")
    say(f"Executed copies: {outputs / 'executed'}. Records: {outputs / 'ledger.sqlite'}.", markup=False)
    for sentence in problems:
        say(sentence)
    return 1 if problems or hold < len(made) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LedgerError as error:
        sys.exit(str(error))
