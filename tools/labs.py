"""The labs: build them from their sources, execute the solutions, prove that all agree.

`labs/source/labNN_topic.py` (py:percent text) is the only place where a lab is edited. Metadata says what a cell is:

    # %% [markdown] exercise="f" difficulty=2 importance=4 minutes=10 points=4   the exercise's text, a title first
    # %% solution="f"                      the learner's cell: what stands between the solution marks becomes a stub
    # %% [markdown] hint="f"               a hint; several appear one after another
    # %% [markdown] why="f"                why the solution is what it is; the solution itself is put above it
    # %% checks="f"                        its checks (see labcheck/exercise.py)
    # %% right="f"                         another correct answer, which the checks must accept
    # %% patches="f"                       wrong ones, a line each: [(old text of the solution, new text, part of the
                                           message that must refuse it), ...]; the old text occurs exactly once.
                                           Where the message is "", it is another correct answer
    # %% wrong="f" message="part of it"    a wrong one that is no patch, as a whole
    # %% [markdown] survivors="f"          mutants of the solution that no check can refuse, and why: `make kill-rate`
    # %% tags=["experiment"]               trains or draws: skipped by the grader

`optional=true` marks an exercise beyond the core. A cell with `lab.check("f")` shows the checks' lines. A heading
`### Experiment N: ...` begins an experiment. `labs/template.py` is a whole lab with one exercise. What is built:

    labs/labNN_topic.ipynb             for learners: stubs, hints, solutions to unfold
    labs/solutions/labNN_topic.ipynb   executed, with outputs
    labs/checks/labNN_topic.py         the checks, importable as labcheck.labs.labNN_topic

    python tools/labs.py build [01 ...]    rebuild, execute, store
    python tools/labs.py check [01 ...]    prove that they agree; list what is stale
    python tools/labs.py release [01 ...]  for a course: outputs/release/, without hints, solutions, hidden tests
    python tools/labs.py nbgrader [01 ...] for a course that uses nbgrader: its source/ folder, in outputs/nbgrader/
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import argparse
import ast
import contextlib
import io
import linecache
import re
import tempfile
import types
import zipfile
from typing import NamedTuple
from unittest import mock

import curriculum
import jupytext
import nbformat
import numpy as np

from labcheck.exercise import Exercise
from labcheck.perform import perform
from labcheck.time_limit import time_limit
from labkit.ledger import outputs_dir

LABS = curriculum.ROOT / "labs"
SOURCES = LABS / "source"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HIDDEN_BEGIN, HIDDEN_END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
TEMPLATE = LABS / "template.py"
EXERCISES, EXPERIMENTS, LINES = 5, 3, 1300  # of a lab, at most
CHECK_CALL = re.compile(r'^lab\.check\("(\w+)"\)', re.MULTILINE)
EXPERIMENT = re.compile(r"^### Experiment \d", re.MULTILINE)
NOT_SHOWN = {"checks", "right", "wrong", "patches", "survivors"}  # cells of the source that no learner's notebook has
KINDS = {"exercise", "solution", "hint", "why"} | NOT_SHOWN

CHECKS_HEAD = '''\
"""The checks of this lab. Made from labs/source/{name}.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab({name!r}, {title!r})
checks, agrees = LAB.checks, LAB.agrees

{exercises}
'''


class LabError(ValueError):
    """The source of a lab is not as it must be; the message names the file, the exercise and what to do."""


def header(exercise):
    """The line above an exercise's text."""
    core = "optional" if exercise.optional else "core"
    return (
        f"*Exercise {exercise.number}, {core} · difficulty {dots(exercise.difficulty)} · "
        f"importance {dots(exercise.importance)} · about {exercise.minutes} minutes · {exercise.points:g} points*"
    )


def dots(n):
    return "●" * n + "○" * (5 - n)


def sources(numbers=()):
    """The labs' source files in order; those with one of `numbers` (two digits or a name), where any are given."""
    return curriculum.chosen("lab", sorted(SOURCES.glob("lab[0-9][0-9]_*.py")), numbers)


def executable(source):
    """The notebook that is executed of a source, a lab's (the one with the solutions) or a notebook's."""
    return build(source, "solutions") if source.parent == SOURCES else curriculum.build(source)


def read(source):
    """The cells of a source. jupytext keeps what `# %%` says as the cell's metadata."""
    return jupytext.read(source).cells


def lab_title(cells):
    """The first heading."""
    return next(line for cell in cells for line in cell.source.splitlines() if line.startswith("# ")).removeprefix("# ")


def exercises(source, cells=None):
    """The exercises of a lab, in order.

    Raises:
        LabError: a header is incomplete, an exercise lacks its solution, check call or checks, there are more than five
            exercises or three experiments, or fewer answers to test the checks with than two right and four wrong ones.
    """
    cells = cells or read(source)
    found = []
    for cell in cells:
        if name := cell.metadata.get("exercise"):
            numbers = {key: cell.metadata.get(key) for key in ("difficulty", "importance", "minutes", "points")}
            if missing := [key for key, value in numbers.items() if value is None]:
                raise LabError(f"{source.name}: exercise {name} lacks {', '.join(missing)} in its header.")
            heading = next((line for line in cell.source.splitlines() if line.startswith("#")), "")
            optional = bool(cell.metadata.get("optional", False))
            found.append(Exercise(name, heading.lstrip("# "), len(found) + 1, **numbers, optional=optional))
    for exercise in found:
        _require_complete(source, cells, exercise.name)
    experiments = sum(len(EXPERIMENT.findall(cell.source)) for cell in cells if cell.cell_type == "markdown")
    lines = len(source.read_text(encoding="utf-8").splitlines())
    sizes = (len(found), EXERCISES, "exercises"), (experiments, EXPERIMENTS, "experiments"), (lines, LINES, "lines")
    for size, most, what in sizes:
        if size > most:
            raise LabError(
                f"{source.name} has {size} {what}; {most} are the most. What is left over can be *Your turn*."
            )
    return found


def _require_complete(source, cells, name):
    count = {kind: sum(cell.metadata.get(kind) == name for cell in cells) for kind in ("solution", "checks", "hint")}
    count |= {kind: sum(cell.metadata.get(kind) == name for cell in cells) for kind in ("why", "right", "wrong")}
    rows = [row for cell in cells if cell.metadata.get("patches") == name for row in patches(cell)]
    count["right"] += sum(not message for *_, message in rows)
    count["wrong"] += sum(bool(message) for *_, message in rows)
    calls = sum(name in CHECK_CALL.findall(cell.source) for cell in cells if cell.cell_type == "code")
    rules = [
        (count["solution"] == 1, f'one cell with solution="{name}"'),
        (calls == 1, f'one cell with lab.check("{name}")'),
        (count["checks"] >= 1, f'a cell with checks="{name}"'),
        (count["hint"] >= 1, f'a cell with hint="{name}"'),
        (count["why"] == 1, f'one cell with why="{name}"'),
        (count["right"] >= 1, f'another right answer, right="{name}" (the solution is the first)'),
        (count["wrong"] >= 4, f'four wrong answers, patches="{name}" or wrong="{name}"'),
    ]
    for holds, what in rules:
        if not holds:
            raise LabError(f"{source.name}: exercise {name} needs {what}.")


# Solutions and stubs --------------------------------------------------------------------------------------------------


def stub(code, exercise):
    """The code with what stands between the solution marks replaced by an error that says what is to be written."""
    pattern = re.compile(rf"^( *){BEGIN}\n.*?^ *{END}$", re.DOTALL | re.MULTILINE)

    def replacement(match):
        name = enclosing(code, code.count("\n", 0, match.start()) + 1) or exercise
        return f'{match[1]}# YOUR CODE HERE\n{match[1]}raise NotImplementedError("{name}")'

    stubbed, n = pattern.subn(replacement, code)
    if n == 0 or BEGIN in stubbed or END in stubbed:
        raise LabError(f"exercise {exercise}: its solution needs pairs of the lines {BEGIN} and {END}.")
    return stubbed


def enclosing(code, line):
    """The name of the function or method that a line of the code is in, such as "Value.tanh"; "" outside of all."""
    around = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.lineno <= line <= node.end_lineno
    ]
    return ".".join(node.name for node in sorted(around, key=lambda node: node.lineno))


def solved(code):
    """The code without the solution marks."""
    return re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", code, flags=re.MULTILINE).rstrip("\n")


def folded(summary, text):
    """Markdown that unfolds at a click, in JupyterLab, Colab and on GitHub. It needs no script."""
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"


# Answers, to test the checks with -------------------------------------------------------------------------------------


def patches(cell):
    """The patches that a cell holds: [(old text, new text, part of the message), ...].

    Raises:
        LabError: it is no list of three texts each.
    """
    name = cell.metadata["patches"]
    try:
        found = ast.literal_eval(cell.source)
        assert all(len(row) == 3 and all(isinstance(text, str) for text in row) and row[0] for row in found)
    except (ValueError, SyntaxError, TypeError, AssertionError) as error:
        row = "(old text, new text, part of the message)"
        raise LabError(f'patches="{name}" must be a list with a line {row} for each wrong answer ({error}).') from error
    return found


def patched(solution, old, new):
    """The solution with one text replaced.

    Raises:
        LabError: the text does not occur exactly once in it.
    """
    if (n := solution.count(old)) != 1:
        raise LabError(f"the solution holds the text of a patch {n} times, not once: {old!r}")
    return solution.replace(old, new)


class Answer(NamedTuple):
    """An answer to an exercise: `kind` is "solution", "right", "wrong" or "stub"."""

    exercise: str
    kind: str
    number: int
    code: str
    message: str  # of a wrong one: a part of the sentence that must refuse it


def answers(source):
    """All answers that a lab's source holds, the stubs among them."""
    found, count = [], {}
    for cell in read(source):
        for kind in ("solution", "right", "wrong"):
            if name := cell.metadata.get(kind):
                number = count[name, kind] = count.get((name, kind), 0) + 1
                found.append(Answer(name, kind, number, cell.source, cell.metadata.get("message", "")))
                if kind == "solution":
                    found.append(Answer(name, "stub", 1, stub(cell.source, name), "is not written yet"))
        for old, new, message in patches(cell) if "patches" in cell.metadata else ():
            name = cell.metadata["patches"]
            kind = "wrong" if message else "right"
            number = count[name, kind] = count.get((name, kind), 0) + 1
            code = patched(next(a.code for a in found if (a.exercise, a.kind) == (name, "solution")), old, new)
            found.append(Answer(name, kind, number, code, message))
    return found


def given(source, exercise):
    """What the lab defines before an exercise, a dict of names: its imports, parameters and helpers."""
    parts, namespace = [], {}
    for cell in read(source):
        if cell.metadata.get("solution") == exercise:
            silent = mock.patch.dict(os.environ, LABKIT_GRADING="1")  # no lab is looked up: it may not be built yet
            with silent, contextlib.redirect_stdout(io.StringIO()):
                exec("\n".join(parts), namespace)
            return namespace
        plain = cell.cell_type == "code" and not KINDS & cell.metadata.keys()
        if plain and "experiment" not in cell.metadata.get("tags", []) and not re.search(r"\blab\.", cell.source):
            parts.append(cell.source)
    raise LabError(f"{source.name} has no exercise {exercise}.")


def outcomes(lab, exercise, code, namespace, seed, seconds=5.0):
    """What a lab's checks say of an answer.

    Args:
        lab: from `checks_of`.
        exercise: its name.
        code: the answer, as it would stand in a cell.
        namespace: what is defined before it, as from `given`; not changed.
        seed: of the inputs.
    """
    namespace, filename = dict(namespace), f"<answer to {exercise}>"
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)  # for the line of an error
    with time_limit(seconds):
        exec(compile(code, filename, "exec"), namespace)
    run = lab.exercises[exercise].run
    return run(np.random.default_rng(seed), lambda request: perform(request, namespace, seconds))


def checks_of(source):
    """The `labcheck.check.Lab` that a source describes, from the source itself and not from what was built of it."""
    path = LABS / "checks" / f"{source.stem}.py"
    code, module = checks_module(source), types.ModuleType(f"labcheck.labs.{source.stem}")
    linecache.cache[str(path)] = (len(code), None, code.splitlines(keepends=True), str(path))
    exec(compile(code, path, "exec"), module.__dict__)
    return module.LAB


# The notebooks --------------------------------------------------------------------------------------------------------


def table_of(found):
    """The exercises as a table, and how long the core takes."""
    core = sum(exercise.minutes for exercise in found if not exercise.optional)
    extra = sum(exercise.minutes for exercise in found if exercise.optional)
    rows = ["| exercise | | difficulty | importance | minutes | points |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {e.number}. {e.title} | {'optional' if e.optional else 'core'} | {dots(e.difficulty)} | "
        f"{dots(e.importance)} | {e.minutes} | {e.points:g} |"
        for e in found
    ]
    more = f", {extra} more for what is optional" if extra else ""
    return "\n".join([*rows, "", f"**Time:** {core} minutes for the core{more}. Solve them in any order you like."])


def build(source, version):
    """The notebook of a lab, without outputs. `version`: "student", "graded" (no hints, no solutions), "solutions",
    "nbgrader" (an instructor's source notebook, with solution marks, hidden tests and nbgrader's metadata).

    Raises:
        LabError: see `exercises`.
    """
    cells = read(source)
    found = {exercise.name: exercise for exercise in exercises(source, cells)}
    solution = {cell.metadata["solution"]: cell.source for cell in cells if "solution" in cell.metadata}
    hints, built = dict.fromkeys(found, 0), []
    for cell in cells:
        kind = next((key for key in KINDS if key in cell.metadata), None)
        name, text, metadata = cell.metadata.get(kind), cell.source, {}
        if kind is not None and name not in found:
            raise LabError(f'{source.name}: {kind}="{name}" belongs to no exercise.')
        if kind in NOT_SHOWN or (kind in ("hint", "why") and version in ("graded", "nbgrader")):
            continue
        if kind == "exercise":
            heading, _, rest = text.partition("\n")
            text = f"{heading}\n\n{header(found[name])}\n{rest}"
        elif kind == "solution":
            text = {"nbgrader": text, "solutions": solved(text)}.get(version) or stub(text, name)
            metadata = {"nbgrader": grading(f"{name}-answer", solution=True)}
        elif kind == "hint":
            hints[name] += 1
            text = folded(f"Hint {hints[name]}", text)
        elif kind == "why":
            code = f"```python\n{solved(solution[name])}\n```\n\n{text}"
            text = f"**Why.** {text}" if version == "solutions" else folded("Solution, and why", code)
        elif cell.cell_type == "code" and (calls := CHECK_CALL.findall(text)):
            metadata = {"nbgrader": grading(f"{calls[0]}-check", points=found[calls[0]].points)}
            if version == "nbgrader":
                text += f'\n{HIDDEN_BEGIN}\nlab.points("{calls[0]}")\n{HIDDEN_END}'
        new = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
        built.append(new(text.replace("{exercises}", table_of(found.values()))))
        tags = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        built[-1].metadata = tags | (metadata if version in ("graded", "nbgrader") else {})
        curriculum.fold(built[-1])
    if version in ("student", "solutions"):
        built = curriculum.colab_cells(f"labs/{source.stem}") + built
    for number, cell in enumerate(built):
        cell.id = f"cell-{number:03d}"
    metadata = {"kernelspec": curriculum.KERNELSPEC, "labkit": curriculum.provenance(source)}
    return nbformat.v4.new_notebook(cells=built, metadata=metadata)


def grading(grade_id, solution=False, points=None):
    """nbgrader's metadata for a cell, schema version 3."""
    return {
        "schema_version": 3, "grade_id": grade_id, "solution": solution, "grade": not solution, "locked": not solution,
        "task": False, "points": points,
    } if points is not None else {
        "schema_version": 3, "grade_id": grade_id, "solution": solution, "grade": False, "locked": False, "task": False,
    }  # fmt: skip


def checks_module(source):
    """The text of the module with a lab's checks."""
    cells = read(source)
    rows = "\n".join(
        f"LAB.exercise({e.name!r}, title={e.title!r}, difficulty={e.difficulty}, importance={e.importance}, "
        f"minutes={e.minutes}, points={e.points}, optional={e.optional})"
        for e in exercises(source, cells)
    )
    parts = [cell.source for cell in cells if "checks" in cell.metadata]
    head = CHECKS_HEAD.format(name=source.stem, title=lab_title(cells), exercises=rows)
    return "\n\n\n".join([head.rstrip("\n"), *parts]) + "\n"


def built_files(source):
    """What stands in the repository, built: {path: text}, without the executed notebook."""
    return {
        LABS / f"{source.stem}.ipynb": nbformat.writes(build(source, "student")) + "\n",
        LABS / "checks" / f"{source.stem}.py": checks_module(source),
    }


def build_command(numbers):
    problems = []
    for source in sources(numbers):
        print(f"{source.stem}: building and executing ...", flush=True)
        try:
            for path, text in built_files(source).items():
                curriculum.write(path, text)
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outputs:
                notebook = curriculum.execute_twice(build(source, "solutions"), source.stem, outputs)
            curriculum.save(notebook, LABS / "solutions" / f"{source.stem}.ipynb")
        except Exception as error:
            problems.append(f"{source.stem} is not rebuilt. {error}")
    return "\n".join(problems) or None


def without_code(text):
    """A notebook's text without the hashes of the code that it runs on, which grow old without harm."""
    return re.sub(r'"(labkit|labcheck|lock)_sha256": "\w+"', "", text)


def disagreements(source):
    """Sentences on how the committed files of a lab differ from what its source builds."""
    problems = []
    for path, text in built_files(source).items():
        if not path.exists() or without_code(path.read_text(encoding="utf-8")) != without_code(text):
            problems.append(f"labs/{path.relative_to(LABS).as_posix()} is not what its source builds: run `make labs`.")
    path = LABS / "solutions" / f"{source.stem}.ipynb"
    if not path.exists():
        return [*problems, f"labs/{path.relative_to(LABS).as_posix()} is missing: run `make labs`."]
    committed = nbformat.read(path, as_version=4)
    if curriculum.cell_contents(committed) != curriculum.cell_contents(build(source, "solutions")):
        problems.append(f"labs/solutions/{path.name} has other cells than its source builds: run `make labs`.")
    if committed.metadata.labkit.source_sha256 != curriculum.provenance(source)["source_sha256"]:
        problems.append(f"labs/solutions/{path.name} was executed with an older source: run `make labs`.")
    return problems


def check_command(numbers):
    found = sources(numbers)
    problems = [problem for source in found for problem in disagreements(source)]
    for source in found:
        recorded = nbformat.read(LABS / "solutions" / f"{source.stem}.ipynb", as_version=4).metadata.get("labkit", {})
        if any(recorded.get(key) != value for key, value in curriculum.provenance(source).items()):
            print(f"labs/solutions/{source.stem}.ipynb is stale: `make labs` renews it.")
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"{len(found)} lab(s) checked, {len(problems)} out of step with the source.")
    return 1 if problems else 0


def release_command(numbers):
    """Student notebooks for a course, and a zip of them, in outputs/release/."""
    folder = outputs_dir() / "release"
    chosen = sources(numbers)
    for source in chosen:
        curriculum.save(build(source, "graded"), folder / f"{source.stem}.ipynb")
    with (
        curriculum.replaced(folder / "labs.zip") as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for source in chosen:
            file.write(folder / f"{source.stem}.ipynb", f"{source.stem}.ipynb")
    print(f"{len(chosen)} lab(s) without hints and solutions in {folder}, all of them in labs.zip.")


def nbgrader_command(numbers):
    """The notebooks that nbgrader starts from, in outputs/nbgrader/source/, a course folder for it."""
    folder = outputs_dir() / "nbgrader"
    for source in sources(numbers):
        curriculum.save(build(source, "nbgrader"), folder / "source" / source.stem / f"{source.stem}.ipynb")
    print(f"{len(sources(numbers))} lab(s) for nbgrader in {folder}.")


COMMANDS = {"build": build_command, "check": check_command, "release": release_command, "nbgrader": nbgrader_command}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("numbers", nargs="*", help="numbers of labs, such as 01")
    chosen = parser.parse_args()
    try:
        return COMMANDS[chosen.command](chosen.numbers)
    except LabError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main())
