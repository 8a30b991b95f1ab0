"""How readable are the notebooks' cells, and do they keep the rules that a parser can see?

    python tools/cells.py       a table of notebooks and labs, the claims that demand too little, and what is wrong

The exit status is 1 where something is wrong:

- a prediction is resolved by an option that stands in the code, instead of by the measurement;
- a folded cell (tag `drawing`) does more than draw: it trains, evaluates, claims, predicts or records, or binds a name
  other than a function's that a cell in sight needs;
- a notebook in SECOND_EDITION exceeds the limits of cells, or its source has a line that is too wide.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import ast
import statistics

import curriculum
import pilot
from IPython.core.inputtransformer2 import TransformerManager
from rich.console import Console
from rich.table import Table

import labs

# The notebooks and labs, such as "00_start_here", that keep these limits.
SECOND_EDITION = (
    "00_start_here", "01_representation", "02_depth", "03_attention", "04_scaling",
    "lab01_perceptron_to_autodiff", "lab02_surprise", "lab03_faster_downhill", "lab04_good_start",
    "lab05_seeing", "lab06_remembering",
)  # fmt: skip
MEDIAN_LINES, MOST_LINES = 10, 25  # of a code cell in sight
WIDTH = 88  # characters in a line of a notebook's source, text or code
# Calls that are work: a cell that makes one, itself or through a function of its notebook, does more than draw.
WORK = {
    "Ensemble", "backward", "claim", "evaluate", "expect_claim_failure", "fit", "fit_transform", "linear_probe",
    "predict", "record", "resolve", "save_checkpoint", "save_table",
}  # fmt: skip


def code_cells(source):
    """The code cells of a source that a reader meets. What a learner writes in a lab does not count."""
    cells = [cell for cell in labs.executable(source).cells if cell.cell_type == "code"]
    in_lab = labs.answers(source) if source.parent == labs.SOURCES else []
    written = {labs.solved(answer.code) for answer in in_lab if answer.kind == "solution"}
    return [cell for cell in cells if cell.source not in written]


def is_folded(cell):
    return curriculum.DRAWING in cell.metadata.get("tags", [])


def tree(cell):
    return ast.parse(TransformerManager().transform_cell(cell.source))


def lines(cell):
    """The number of lines that are not blank."""
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def called(node):
    """The names of all functions and methods that are called in a piece of code."""
    calls = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    return {getattr(function, "id", getattr(function, "attr", None)) for function in calls} - {None}


def working_functions(trees):
    """The names of functions that do work: `WORK`, and those of the notebook that call one of these."""
    functions = [node for each in trees for node in ast.walk(each) if isinstance(node, ast.FunctionDef)]
    working, before = set(WORK), 0
    while len(working) > before:
        before = len(working)
        working |= {function.name for function in functions if called(function) & working}
    return working


def read(node):
    """The names that a piece of code reads."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}


def bound(node, functions=True):
    """The names that a piece of code binds; `functions`: also those of functions and classes, and their arguments."""
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id)
        elif isinstance(inner, ast.alias):
            found.add((inner.asname or inner.name).split(".")[0])
        elif functions and isinstance(inner, ast.arg):
            found.add(inner.arg)
        elif functions and defines(inner):
            found.add(inner.name)
    return found


def folded_cells_that_work(cells, trees):
    working = working_functions(trees)
    for cell, code in zip(cells, trees, strict=True):
        calls = sorted(called(ast.Module([node for node in code.body if not defines(node)], [])) & working)
        if is_folded(cell) and calls:
            yield f"a folded cell calls {', '.join(calls)}: only drawing folds away"


def defines(node):
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def names_from_folded_cells(cells, trees):
    in_sight, folded = set(), set()
    for cell, code in zip(cells, trees, strict=True):
        if is_folded(cell):
            folded |= bound(code, functions=False)
            continue
        for name in sorted((read(code) - bound(code) - in_sight) & folded):
            yield f"a cell in sight needs {name}, which only a folded cell binds: move it"
        in_sight |= bound(code)


def literal_outcomes(trees):
    calls = [node for code in trees for node in ast.walk(code) if isinstance(node, ast.Call)]
    for call in calls:
        if getattr(call.func, "attr", None) == "resolve" and call.args and is_literal(call.args[0]):
            yield f"`{ast.unparse(call)}` names the outcome: let the measurement decide"


def is_literal(outcome):
    """Whether an outcome, or the condition of an option, is written down: "text", options[2], [True, False]."""
    if isinstance(outcome, ast.Subscript):
        return isinstance(outcome.slice, ast.Constant)
    if isinstance(outcome, ast.List | ast.Tuple):
        return any(isinstance(condition, ast.Constant) for condition in outcome.elts)
    return isinstance(outcome, ast.Constant)


def too_wide(text, kept=()):
    """Sentences on the lines of a source that are too wide, but for those that are `kept` as they are."""
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > WIDTH and line not in kept:
            yield f"line {number} of the source has {len(line)} characters, not at most {WIDTH}"


def problems(source):
    """Sentences on what is wrong with the cells of a notebook or lab."""
    cells = code_cells(source)
    trees = [tree(cell) for cell in cells]
    found = [*folded_cells_that_work(cells, trees), *names_from_folded_cells(cells, trees), *literal_outcomes(trees)]
    sizes = [lines(cell) for cell in cells if not is_folded(cell)]
    median, longest = statistics.median(sizes), max(sizes)
    if source.stem in SECOND_EDITION and (median > MEDIAN_LINES or longest > MOST_LINES):
        limits = f"at most {MEDIAN_LINES} and {MOST_LINES}"
        found.append(f"cells have {median:g} lines (median) and up to {longest}, not {limits}")
    if source.stem in SECOND_EDITION and source.parent == curriculum.SOURCES:
        # What a long run's table was made with: a line broken elsewhere would cost the whole run again.
        long = [line for cell in cells if "long" in cell.metadata.get("tags", []) for line in cell.source.splitlines()]
        found += too_wide(source.read_text(encoding="utf-8"), kept=long)
    return [f"{source.stem}: {problem}." for problem in found]


def row(source, claims):
    """The row of a notebook or lab in the table."""
    notebook, sizes = labs.executable(source), [lines(cell) for cell in code_cells(source) if not is_folded(cell)]
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    severity = claims[claims.notebook == source.stem].severity
    edition = "second" if source.stem in SECOND_EDITION else "first"
    cells = len(code_cells(source))
    demands = [f"{severity.median():.2f}", f"{severity.min():.2f}"]
    numbers = [cells, cells - len(sizes), f"{statistics.median(sizes):g}", max(sizes), words, *demands]
    return [source.stem, edition, *map(str, numbers)]


def report(console, claims):
    table = Table("", "edition", "code cells", "folded", "median lines", "longest", "words", "severity", "lowest")
    for source in pilot.sources():
        table.add_row(*row(source, claims))
    console.print(table)
    weak = claims[claims.severity < pilot.SEVERE]
    for notebook, own in weak.groupby("notebook"):
        console.print(f"{notebook} must mend claims that demand under {pilot.SEVERE:g} of the effect:", highlight=False)
        for claim in own.itertuples():
            console.print(f"  {claim.severity:.2f}  {claim.statement}", highlight=False)
    console.print(
        f"Severity of all claims: median {claims.severity.median():.2f}; {len(weak)} of {len(claims)} are "
        f"under {pilot.SEVERE:g}.",
        highlight=False,
    )


def main():
    console = Console(width=None if sys.stdout.isatty() else 150)
    report(console, pilot.PILOT.read().reindex(columns=["notebook", "statement", "severity"]))
    found = [problem for source in pilot.sources() for problem in problems(source)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
