"""A grid of configurations × replicates, side by side on the cores of this machine or on a cluster (`run`).

An interrupted sweep goes on where it stopped: until all its runs are done, those that are lie in a journal. By
`code_sha256` it knows the runs of older code, which do not count.
"""

import contextlib
import dis
import hashlib
import inspect
import itertools
import json
import os
import signal
import sqlite3
import sys
import threading
import time
import warnings
from importlib.machinery import PathFinder
from pathlib import Path

import joblib
import pandas as pd
import torch
from tqdm.auto import tqdm

from labkit.gate import whole
from labkit.ledger import _notebook_name, labkit_sha256, one_line, outputs_dir
from labkit.train import _BAR_AFTER, TrainingDiverged, device

_turns = threading.Lock()  # one run at a time in a process, since PyTorch's random numbers belong to the process


def run(experiment, grid, seeds, *, name, data=None):
    """Call experiment(seed=seed, **configuration) for each configuration and seed; returns a DataFrame, a row a run.

    experiment  a pure function that returns a dict of results: numbers, text, lists and dicts of these
    grid        a list of configurations (dicts of the same), or a dict of lists: every combination of their values
    seeds       whole numbers, one a replicate
    name        of the sweep and of its journal, `sweeps/<name>.sqlite` in `outputs_dir()`
    data        what the runs rest on besides code and configuration: a Dataset, Examples or a fingerprint

    Rows come in the order of grid and seeds. Columns: configuration, seed, results, seconds, status ("completed",
    "diverged", "failed") and error, one line; a run that did not complete has NaN results, and a warning counts these.
    The frame's `attrs` name what it rests on: hashes of code, labkit and data, PyTorch's version, device, threads.

    Started again after Ctrl-C or worse, a sweep trains only what is missing or has failed, or rests on something else
    by now. A sweep that came to its end without failed runs is forgotten, and the next one measures anew.

    LABKIT_JOBS processes share the work: by default one a core, or one where there is a GPU. More than one are workers
    with one thread each; one is this process. Inside `joblib.parallel_config("dask")` the cluster's workers do it.
    Raises ValueError or TypeError for what cannot make such a table, RuntimeError where the same sweep is running
    already or workers have another labkit. Where the journal cannot be written, a warning says so.
    """
    # joblib's default backend: the caller has not chosen another
    local = isinstance(joblib.parallel.get_active_backend()[0], joblib.parallel.LokyBackend)
    jobs = _processes() if local else None
    options = {"backend": "loky", "n_jobs": jobs, "inner_max_num_threads": 1} if local else {}
    basis = {
        "code_sha256": code_sha256(experiment),
        "data_sha256": getattr(data, "sha256", data),
        "labkit_sha256": labkit_sha256(),
        "torch": str(torch.__version__),
        "device": str(device()),
        "threads": torch.get_num_threads() if jobs == 1 else 1,
    }
    record = {"LABKIT_OUTPUTS": str(outputs_dir()), "LABKIT_NOTEBOOK": _notebook_name(), "LABKIT_PROGRESS": "0"}
    there = {} if jobs == 1 else record | {"LABKIT_DEVICE": basis["device"]}
    runs = _runs(grid, seeds, basis)
    silent = os.environ.get("LABKIT_PROGRESS") == "0"
    path = outputs_dir() / "sweeps" / f"{name}.sqlite"
    with contextlib.closing(_journal(path)) as journal, joblib.parallel_config(**options):
        done = {key: json.loads(end) for key, end in journal.execute("SELECT * FROM run") if key in runs}
        calls = [joblib.delayed(_one)(key, experiment, *runs[key], basis, there) for key in runs if key not in done]
        with contextlib.closing(joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)) as ends:
            for key, end in tqdm(ends, name, len(runs), initial=len(done), disable=silent, delay=_BAR_AFTER):
                done[key] = end
                if end["status"] != "failed":  # what failed is to be tried again
                    _keep(journal, key, end)
    configurations, seeds = zip(*runs.values(), strict=True)
    ends = [done[key] for key in runs]
    parts = [configurations, {"seed": seeds}, [end.pop("results") for end in ends], ends]
    table = pd.concat(map(pd.DataFrame, parts), axis="columns", verify_integrity=True)
    table.attrs = basis
    bad = table[table.status != "completed"]
    if "failed" not in set(bad.status):
        path.unlink(missing_ok=True)
    if len(bad):
        counts = " and ".join(f"{count} {status}" for status, count in bad.status.value_counts().items())
        warnings.warn(f"Of {len(table)} runs {counts}, the first with {bad.error.iloc[0]}", stacklevel=2)
    return table


def _processes():
    """The number of processes on this machine."""
    return int(os.environ.get("LABKIT_JOBS") or (1 if device().type == "cuda" else joblib.cpu_count()))


def _runs(grid, seeds, basis):
    """The runs in order: key -> configuration and seed."""
    if isinstance(grid, dict):
        grid = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    pairs = [(dict(configuration), whole("seed", seed)) for configuration in grid for seed in seeds]
    runs = {_sha256([basis, *pair], _plain): pair for pair in pairs}
    if not 0 < len(runs) == len(pairs):
        raise ValueError("A sweep needs a configuration and a seed, and none of them twice: that is no replicate.")
    return runs


def _one(key, experiment, configuration, seed, basis, environment):
    """One run, in whichever process; returns its key and its end: results, seconds, status, error."""
    os.environ.update(environment)
    if labkit_sha256() != basis["labkit_sha256"]:
        raise RuntimeError("A worker has another labkit than this process: restart the kernel or cluster.")
    results, status, error = {}, "completed", ""
    with _turns, contextlib.ExitStack() as after:
        if threading.current_thread() is threading.main_thread():
            after.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, _stop))
        torch.set_num_threads(basis["threads"])
        start = time.perf_counter()
        try:
            results = experiment(seed=seed, **configuration)
        except Exception as problem:
            status = "diverged" if isinstance(problem, TrainingDiverged) else "failed"
            error = one_line(f"{type(problem).__name__}: {problem}")
        seconds = time.perf_counter() - start
    end = {"results": dict(results), "seconds": seconds, "status": status, "error": error}
    return key, json.loads(json.dumps(end, default=_plain))


def _stop(*_):
    raise _SweepInterrupted


class _SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run. At a plain KeyboardInterrupt `fit` ends one training early and goes on; not at this one."""


def _plain(value):
    """What NumPy and PyTorch made, as numbers and lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"A sweep takes numbers, text, lists and dicts of these, and no {type(value).__name__}.")


def _sha256(value, plain):
    """SHA-256 of plain data, whatever the order of its dicts; `plain` makes it of other data."""
    text = json.dumps(value, sort_keys=True, check_circular=False, default=plain)  # functions may call each other
    return hashlib.sha256(text.encode()).hexdigest()


def _journal(path):
    """The runs that are done, in an SQLite file that is locked until it is closed.

    A run is there once it is written, even if the machine stops; a process that is killed leaves no half of a row.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _opened(path)
    except (OSError, sqlite3.DatabaseError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise RuntimeError(
                f"The sweep {path.stem!r} is running already: wait, or name this one otherwise."
            ) from None
        warnings.warn(f"{path} cannot be used ({error}): a sweep that is stopped will start anew.", stacklevel=3)
        return _opened(":memory:")


def _opened(path):
    journal = sqlite3.connect(path, timeout=0, isolation_level=None)
    journal.execute("PRAGMA locking_mode = EXCLUSIVE")
    journal.executescript("BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, end TEXT); COMMIT")
    return journal


def _keep(journal, key, end):
    """Write a run down. On a full disk the sweep goes on without."""
    try:
        journal.execute("INSERT INTO run VALUES (?, ?)", (key, json.dumps(end)))
    except sqlite3.Error as error:
        warnings.warn(f"A run cannot be written down ({error}): a sweep that is stopped repeats it.", stacklevel=3)


# The hash of the code -------------------------------------------------------------------------------------------------


def code_sha256(experiment):
    """SHA-256 of an experiment's code: its source, that of your functions and classes that it names, and constants.

    A module or package of yours counts as a whole, with those of yours that it imports in turn, wherever the code
    imports it. What is installed counts by name alone, and so does labkit, which has a hash of its own. The same code
    has the same hash in a notebook and in a file. Not noticed: what decorators do, default arguments other than as
    written, relative imports inside functions, private constants of classes, and what is found by name while it runs.

    Raises TypeError where the code uses an object that is no plain data (a model, a table), AttributeError for what is
    no function, OSError for a function without a source.
    """
    home = experiment.__module__
    seen = {home, "labkit", *sys.stdlib_module_names}
    return _sha256(_of_function(inspect.unwrap(experiment), home, seen), lambda value: _described(value, home, seen))


def _described(value, home, seen):
    """What the code uses, as plain data; JSON asks again for what that holds. What was `seen` is only named."""
    if isinstance(value, torch.dtype | torch.device) or hasattr(value, "sha256"):  # as data sets have
        return getattr(value, "sha256", str(value))
    value = inspect.unwrap(getattr(value, "fget", getattr(value, "__func__", value)))  # what is decorated, a property
    if not hasattr(value, "__name__"):
        return _plain(value)
    module = getattr(value, "__module__", value.__name__)
    if id(value) in seen or module != home:
        return [value.__name__, module != home and _module(module or "", seen)]
    seen.add(id(value))
    return _of_class(value) if inspect.isclass(value) else _of_function(value, home, seen)


def _of_function(function, home, seen):
    """Its source, and what that uses: variables of a function around it, globals, imported modules."""
    code, names = function.__code__, function.__globals__
    if code.co_filename == "<string>":  # a dataclass made it
        return []
    around = [cell.cell_contents for cell in function.__closure__ or ()]
    used = {name: names[name] for name in _named(code, "LOAD_GLOBAL", "LOAD_NAME") if name in names}
    imported = [_module(name, seen) for name in _named(code, "IMPORT_NAME")]
    return [inspect.getsource(code).rstrip(), around, used, imported]


def _of_class(value):
    """Its bases, fields, methods and public constants, since a class in a notebook has no source."""
    members = {name: member for name, member in vars(value).items() if inspect.isfunction(member) or name[0] != "_"}
    return [value.__bases__, list(inspect.get_annotations(value)), members]


def _named(code, *instructions):
    """The names in such instructions of Python's bytecode, also of the functions inside, sorted."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in instructions}
    return sorted(names.union(*(_named(inner, *instructions) for inner in code.co_consts if inspect.iscode(inner))))


def _module(name, seen):
    """The files of your top-level module or package that holds the module, and those of yours that they import."""
    name = name.partition(".")[0]
    path = Path(getattr(PathFinder.find_spec(name), "origin", None) or "")
    if name in seen or {"site-packages", "dist-packages"} & {*path.parts} or not path.is_file():
        return name
    seen.add(name)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    texts = [file.read_text(encoding="utf-8") for file in files]
    imported = {other for text in texts for other in _named(compile(text, name, "exec"), "IMPORT_NAME")}
    return [texts, [_module(other, seen) for other in sorted(imported)]]
