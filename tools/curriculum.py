"""The notebooks of the curriculum: build them from their sources, execute them, prove that both agree.

The build goes one way. `notebooks/source/NN_topic.py` (py:percent text) is the only place where a notebook is edited;
`notebooks/NN_topic.ipynb` is built from it and executed.

    python tools/curriculum.py build [00 ...]    rebuild from source, execute, store with outputs
    python tools/curriculum.py check [00 ...]    prove that they agree; list what is stale
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import argparse
import asyncio
import atexit
import contextlib
import copy
import functools
import hashlib
import itertools
import json
import math
import queue
import re
import shutil
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from setup import STRAY

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "source"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
DRAWING = "drawing"  # the tag of a cell that only draws
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# With these a kernel would run other code, draw in another way, or warn on a page that has no warning.
NOT_FOR_KERNELS = (*STRAY, "PYTHONSTARTUP", "PYTHONWARNDEFAULTENCODING", "PYTHONASYNCIODEBUG")
NOT_FOR_KERNELS += ("MPLBACKEND", "MATPLOTLIBRC")

ONE_THING = "Bind no name to two things."

COLAB_CELL = """\
# On Colab this cell installs the course's helper packages. Everywhere else it does nothing.
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
    """The source files in order; those with one of `numbers` (two digits, or the whole name), where any are given."""
    return chosen("notebook", sorted(SOURCES.glob("[0-9][0-9]_*.py")), numbers)


def chosen(what, found, numbers):
    """The files out of `found` with one of these numbers or names, all where none is given. Exits at an unknown one."""
    known = {re.search("[0-9][0-9]", path.stem)[0]: path for path in found}
    for number in numbers:
        if number not in known and number not in [path.stem for path in found]:
            sys.exit(f"There is no {what} {number or repr(number)}: choose from {', '.join(known)}.")
    return [path for number, path in known.items() if not numbers or {number, path.stem} & set(numbers)]


def sha256(*paths):
    """One SHA-256 over the texts of files, the same whatever the line endings of the checkout."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_text(encoding="utf-8").encode())
    return digest.hexdigest()


def provenance(source):
    """The hashes that a built notebook carries: of its source, of labkit (and labcheck or audit), of the lock."""
    text = source.read_text(encoding="utf-8")
    others = [room for room in ("labcheck", "audit") if re.search(rf"^(from|import) {room}\b", text, re.M)]
    code = {f"{room}_sha256": sha256(*code_of(room)) for room in ["labkit", *others]}
    return {"source_sha256": sha256(source)} | code | {"lock_sha256": sha256(ROOT / "requirements.txt")}


def code_of(room):
    """The files of a package of ours: its code, and what the code reads."""
    return sorted(path for path in (ROOT / room).iterdir() if path.suffix in (".py", ".sql", ".mplstyle", ".html"))


def launch(url, path):
    """The addresses that open `path`.ipynb of the tagged release in Binder, as a copy without outputs, and in Colab."""
    name, version = url.removeprefix("https://github.com/"), project()["version"]
    binder = f"https://mybinder.org/v2/gh/{name}/v{version}?urlpath=lab/tree/workspace/{path}.ipynb"
    return binder, f"https://colab.research.google.com/github/{name}/blob/v{version}/{path}.ipynb"


def colab_cells(path, url=None):
    """The badge and the installing cell at the top of `path`.ipynb; none while the repository has no address."""
    url, version = url or repository_url(), project()["version"]
    if not url:
        return []
    _, link = launch(url, path)
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
    """What a notebook's kernel finds in its environment: its name, no progress bars, one thread unless you say more.

    And no settings of the user's for Python, IPython and matplotlib, which a reader of the notebook does not have.
    """
    environment = {"LABKIT_PROGRESS": "0", "OMP_NUM_THREADS": "1"} | kept_environment() | own_settings()
    return environment | {"LABKIT_NOTEBOOK": name} | ({"LABKIT_OUTPUTS": str(outputs)} if outputs else {})


def kept_environment():
    """What a kernel gets of this process's environment."""
    return {name: value for name, value in os.environ.items() if name not in NOT_FOR_KERNELS}


@functools.cache
def own_settings():
    """Folders for IPython and matplotlib in which no user has settings. In .venv, they keep the list of fonts."""
    folder = Path(sys.prefix) / "share" / "headless"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:  # .venv is not ours
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = {"IPYTHONDIR": str(folder / "ipython"), "MPLCONFIGDIR": str(folder / "matplotlib")}
    if not list(folder.glob("matplotlib/fontlist*")):  # now, because matplotlib warns where a notebook waits for that
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        subprocess.run(command, env=kept_environment() | settings, stderr=subprocess.DEVNULL)
    return settings


def execute(notebook, name, outputs=None, on_cell=None, environment=None, on_start=None):
    """Run a built notebook in place, in a fresh kernel of this Python.

    Widget views are dropped where the cell also shows a static picture of them: a reader's page has no kernel.

    Args:
        notebook: as `build` returns it.
        name: its name in the ledger.
        outputs: the kernel's folder for outputs; by default that of this process.
        on_cell: called after each code cell.
        environment: more variables for the kernel.
        on_start: called with the number of the kernel's process.

    Raises:
        CellExecutionError: nbclient's, at the first failing cell. Other errors where the kernel does not start or dies.
    """
    manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))  # knows no Python but this
    client = NotebookClient(
        notebook,
        manager,
        timeout=3600,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    )

    async def started(**_):
        _look_often(client.kc.shell_channel)
        if on_start:
            on_start(await _process_number(client.kc))

    async def run():
        try:
            await client.async_execute(env=kernel_environment(name, outputs) | (environment or {}))
        except DeadKernelError:
            if asyncio.current_task().cancelling():  # nbclient takes Ctrl-C for the kernel's death
                raise asyncio.CancelledError from None
            raise
        finally:
            if client.kc:
                client.kc.stop_channels()
            if await manager.is_alive():
                # One that is still starting is killed: it would answer an interrupt with a traceback.
                await manager.shutdown_kernel(now=client.code_cells_executed == 0)
            await manager.cleanup_resources()

    client.on_notebook_start = started
    if on_cell:
        client.on_cell_executed = on_cell
    try:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(run())
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
            raise RunsOnlyOnce(f"{sentence}. {ONE_THING}") from error
        raise
    finally:
        notebook.cells = first
    before, after = verdicts(first), verdicts(again)
    if before != after:
        other = next(pair for pair in itertools.zip_longest(before, after, fillvalue="nothing") if len(set(pair)) > 1)
        raise RunsOnlyOnce(
            f"{name} says something else when its cells run a second time: {' | '.join(other)}. {ONE_THING}"
        )
    notebook.metadata["labkit"]["second_run"] = f"{len(after)} verdicts, as in the first run"
    return notebook


def verdicts(cells):
    """The lines of all claims in the outputs of cells, without what was measured."""
    pages = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", [])]
    lines = [line for page in pages for line in re.findall(r'<div class="claim".*?</div>', page)]
    return [re.sub(r'<span class="measured">.*?</span>', "…", line) for line in lines]


class _Loop(asyncio.SelectorEventLoop):
    """Where Ctrl-C ends everything. nbclient wants to end this one kernel by it, and puts up with a refusal."""

    def add_signal_handler(self, *_):
        raise RuntimeError


async def _process_number(client):
    """The kernel's own answer: on Windows the process that was started is not the one that runs the cells."""
    reply = await client.execute("", silent=True, user_expressions={"pid": "__import__('os').getpid()"}, reply=True)
    return int(reply["content"]["user_expressions"]["pid"]["data"]["text/plain"])


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


def reason(error):
    """Why a notebook stopped, in a line."""
    if isinstance(error, CellExecutionError):
        return f"{error.ename}: {error.evalue}"
    return f"{type(error).__name__}: {error}"


def shown_claims(notebook):
    """How many lines of `labkit.evidence.claim` the cells show, those of demonstrations among them."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum(output.get("data", {}).get("text/html", "").startswith('<div class="claim"') for output in outputs)


def save(notebook, path):
    """Write a notebook, whole or not at all."""
    write(path, nbformat.writes(notebook) + "\n")


def write(path, text):
    """Write a text file, whole or not at all."""
    with replaced(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def replaced(path):
    """Where to write what then takes the place of a file. A full disk, or a crash in the middle, leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
    """What changed since the committed notebook was executed: 'labkit', another package of ours, 'lock'."""
    path = NOTEBOOKS / f"{source.stem}.ipynb"
    recorded = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("labkit", {})
    current = provenance(source)
    changed = [part for part in current if recorded.get(part) != current[part]]
    return [part.removesuffix("_sha256") for part in changed if part != "source_sha256"]


def build_command(numbers):
    problems = []
    for source in sources(numbers):
        print(f"{source.stem}: building and executing ...", flush=True)
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outputs:
                notebook = execute_twice(build(source), source.stem, outputs)
            save(notebook, NOTEBOOKS / f"{source.stem}.ipynb")
        except Exception as error:
            problems.append(f"{source.stem} is not rebuilt. {error}")
    return "\n".join(problems) or None


def check_command(numbers):
    found = sources(numbers)
    problems = [problem for source in found if (problem := disagreement(source))]
    for problem in problems:
        print(problem)
    for source in found:
        if not disagreement(source) and (parts := stale(source)):
            others = " and another ".join(parts)
            print(f"{source.stem}.ipynb is stale, executed with another {others}: `make notebooks` renews it.")
    print(f"{len(found)} notebook(s) checked, {len(problems)} out of step with the source.")
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["build", "check"])
    parser.add_argument("numbers", nargs="*", help="numbers of notebooks, such as 00")
    arguments = parser.parse_args()
    return {"build": build_command, "check": check_command}[arguments.command](arguments.numbers)


if __name__ == "__main__":
    sys.exit(main())
