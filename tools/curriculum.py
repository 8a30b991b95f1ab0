"""The notebooks of the curriculum: build them from their sources, execute them, prove that both agree.

The build goes one way. `notebooks/source/NN_topic.py` (py:percent text) is the only place where a notebook is edited;
`notebooks/NN_topic.ipynb` is built from it and executed.

    python tools/curriculum.py build [00 ...]    rebuild from source, execute, store with outputs
    python tools/curriculum.py check             prove that they agree; list what is stale
"""

import argparse
import copy
import hashlib
import itertools
import json
import math
import os
import queue
import re
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "source"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
DRAWING = "drawing"  # the tag of a cell that only draws
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

COLAB_CELL = """\
# On Colab this cell installs the course's helper module. Everywhere else it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet --no-deps "git+{url}@v{version}"
"""


class RunsOnlyOnce(RuntimeError):
    """A notebook whose cells cannot run a second time in the same kernel: the message says why."""


def project():
    """The [project] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def repository_url():
    """The repository's address, or None while `project.urls` does not set it."""
    return project().get("urls", {}).get("Repository")


def sources(numbers=()):
    """The source files in order; those whose name starts with one of `numbers`, where any are given."""
    found = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
    for number in numbers:
        if not any(path.name.startswith(number) for path in found):
            known = ", ".join(path.stem[:2] for path in found)
            sys.exit(f"There is no notebook {number}: choose from {known}.")
    return [path for path in found if not numbers or path.name.startswith(tuple(numbers))]


def sha256(*paths):
    """One SHA-256 over the texts of files, the same whatever the line endings of the checkout."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_text(encoding="utf-8").encode())
    return digest.hexdigest()


def provenance(source):
    """The hashes that a built notebook carries: of its source, of labkit (but for what only labs use), of the lock."""
    labkit = [path for path in sorted((ROOT / "labkit").glob("*.py")) if path.name != "check.py"]
    return {
        "source_sha256": sha256(source),
        "labkit_sha256": sha256(*labkit, ROOT / "labkit" / "schema.sql"),
        "lock_sha256": sha256(ROOT / "requirements.txt"),
    }


def colab_cells(path, url=None):
    """The badge and the installing cell at the top of `path`.ipynb; none while the repository has no address."""
    url, version = url or repository_url(), project()["version"]
    if not url:
        return []
    name = url.removeprefix("https://github.com/")
    link = f"https://colab.research.google.com/github/{name}/blob/v{version}/{path}.ipynb"
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})"
    return [
        nbformat.v4.new_markdown_cell(badge),
        nbformat.v4.new_code_cell(COLAB_CELL.format(url=url, version=version)),
    ]


def fold(cell):
    """Fold a cell that only draws, where its source has the tag `drawing`: the reader sees the figure and can unfold.

    JupyterLab reads `source_hidden`, the book the tag `hide-input`, Colab `cellView` and a first line with a title.
    """
    if DRAWING in cell.metadata.get("tags", []):
        cell.metadata = {"tags": [*cell.metadata["tags"], "hide-input"], "jupyter": {"source_hidden": True}}
        cell.metadata["cellView"] = "form"
        cell.source = f"# @title Code of this drawing\n{cell.source}"


def build(source, url=None):
    """The notebook that a source file describes: no outputs, fixed cell ids, only the metadata that is needed."""
    notebook = jupytext.read(source)
    notebook.cells = colab_cells(f"notebooks/{source.stem}", url) + notebook.cells
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        fold(cell)
    notebook.metadata = {"kernelspec": KERNELSPEC, "labkit": provenance(source)}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def kernel_environment(name, outputs=None):
    """What a notebook's kernel finds in its environment: its name, no progress bars, one thread unless you say more."""
    environment = {"LABKIT_NOTEBOOK": name, "LABKIT_PROGRESS": "0", **os.environ}
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment["LABKIT_NOTEBOOK"] = name
    if outputs:
        environment["LABKIT_OUTPUTS"] = str(outputs)
    return environment


def execute(notebook, name, outputs=None, on_cell=None, environment=None):
    """Run a built notebook in place, in a fresh kernel. Raises nbclient's CellExecutionError at the first failing cell.

    Widget views are dropped where the cell also shows a static picture of them: a reader's page has no kernel.
    """
    client = NotebookClient(
        notebook,
        timeout=3600,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    )
    client.on_notebook_start = lambda **_: _look_often(client.kc.shell_channel)
    if on_cell:
        client.on_cell_executed = on_cell
    try:
        client.execute(env={**kernel_environment(name, outputs), **(environment or {})})
    finally:
        notebook.metadata.pop("language_info", None)
        notebook.metadata.pop("widgets", None)
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                if "text/html" in output.get("data", {}):
                    output["data"].pop(WIDGET_VIEW, None)
    return notebook


def execute_twice(notebook, name, outputs=None):
    """Run a built notebook in place, then its cells a second time in the same kernel, as readers do.

    What the second run found is noted in the notebook's metadata; its outputs are not kept.

    Raises:
        CellExecutionError: see `execute`.
        RunsOnlyOnce: the cells fail when they run again, or another verdict comes out: a name is bound to two things.
    """
    first, again = notebook.cells, copy.deepcopy(notebook.cells)
    for cell in again:
        cell.id = f"again-{cell.id}"
    notebook.cells = first + again
    try:
        execute(notebook, name, outputs)
    except CellExecutionError as error:
        if all(cell.execution_count for cell in first if cell.cell_type == "code"):
            sentence = f"{name} fails when its cells run a second time: {error.ename}: {error.evalue}"
            raise RunsOnlyOnce(sentence) from error
        raise
    finally:
        notebook.cells = first
    before, after = verdicts(first), verdicts(again)
    if before != after:
        other = next(pair for pair in itertools.zip_longest(before, after, fillvalue="nothing") if len(set(pair)) > 1)
        raise RunsOnlyOnce(f"{name} says something else when its cells run a second time: {' | '.join(other)}")
    notebook.metadata["labkit"]["second_run"] = f"{len(after)} verdicts, as in the first run"
    return notebook


def verdicts(cells):
    """The lines of all claims in the outputs of cells, without what was measured."""
    pages = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", [])]
    lines = [line for page in pages for line in re.findall(r'<div class="claim".*?</div>', page)]
    return [re.sub(r'<span class="measured">.*?</span>', "…", line) for line in lines]


def _look_often(channel):
    """Let the client look for a cell's answer every second.

    nbclient sends the state of widgets through the same socket while it waits. Now and then that swallows the wake-up
    for the answer, and the answer would lie there until the time-out.
    """
    get = channel.get_msg

    async def get_msg(timeout=None):
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            left = deadline - time.monotonic()
            try:
                return await get(timeout=min(1, max(0, left)))
            except queue.Empty:
                if left <= 1:
                    raise

    channel.get_msg = get_msg


def save(notebook, path):
    """Write a notebook so that a crash in the middle leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(path)


def cell_contents(notebook):
    return [(cell.cell_type, cell.source, tuple(cell.metadata.get("tags", []))) for cell in notebook.cells]


def disagreement(source):
    """One sentence on how the committed notebook differs from what its source builds, or None."""
    path = NOTEBOOKS / f"{source.stem}.ipynb"
    if not path.exists():
        return f"{path.name} is missing: run `make notebooks`."
    committed = nbformat.read(path, as_version=4)
    if cell_contents(committed) != cell_contents(build(source)):
        return f"{path.name} has other cells than its source builds: run `make notebooks`, never edit the notebook."
    if committed.metadata.get("labkit", {}).get("source_sha256") != provenance(source)["source_sha256"]:
        return f"{path.name} was executed with an older source: run `make notebooks`."
    return None


def stale(source):
    """What changed since the committed notebook was executed, out of 'labkit' and 'lock'."""
    path = NOTEBOOKS / f"{source.stem}.ipynb"
    recorded = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("labkit", {})
    current = provenance(source)
    return [part for part in ("labkit", "lock") if recorded.get(f"{part}_sha256") != current[f"{part}_sha256"]]


def build_command(numbers):
    for source in sources(numbers):
        print(f"{source.stem}: building and executing ...", flush=True)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outputs:
            notebook = execute_twice(build(source), source.stem, outputs)
        save(notebook, NOTEBOOKS / f"{source.stem}.ipynb")


def check_command():
    problems = [problem for source in sources() if (problem := disagreement(source))]
    for problem in problems:
        print(problem)
    for source in sources():
        if not disagreement(source) and (parts := stale(source)):
            others = " and another ".join(parts)
            print(f"{source.stem}.ipynb is stale, executed with another {others}: `make notebooks` renews it.")
    print(f"{len(sources())} notebook(s) checked, {len(problems)} out of step with the source.")
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["build", "check"])
    parser.add_argument("numbers", nargs="*", help="first digits of the notebooks, such as 00")
    arguments = parser.parse_args()
    if arguments.command == "check":
        return check_command()
    try:
        return build_command(arguments.numbers)
    except RunsOnlyOnce as error:
        return f"{error}. Bind no name to two things."


if __name__ == "__main__":
    sys.exit(main())
