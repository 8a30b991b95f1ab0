"""A grid of configurations × replicates, side by side on the cores of this machine or on a cluster (`run`).

An interrupted sweep goes on where it stopped: until all its runs are done, those that are lie in a journal. By
`code_sha256` it knows the runs of older code, which do not count.
"""

import contextlib
import dis
import functools
import hashlib
import importlib.util
import inspect
import itertools
import json
import os
import re
import signal
import sqlite3
import textwrap
import threading
import time
import warnings
from pathlib import Path

import joblib
import pandas as pd
import torch
from tqdm.auto import tqdm

from labkit.gate import whole
from labkit.ledger import labkit_sha256, notebook_name, one_line, outputs_dir
from labkit.train import _BAR_AFTER, TrainingDiverged, device

_ENDS = ["seconds", "status", "error"]  # the columns that every sweep adds
_ANEW = "the sweep goes on, but if it is stopped, it starts anew."
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
    already or workers have another labkit or PyTorch.
    """
    backend, _ = joblib.parallel.get_active_backend()
    local = isinstance(backend, joblib.parallel.LokyBackend)  # joblib's default: the caller has not chosen another
    jobs = processes() if local else None
    basis = {
        "code_sha256": code_sha256(experiment),
        "data_sha256": getattr(data, "sha256", data),
        **_versions(),
        "device": str(device()),
        "threads": torch.get_num_threads() if jobs == 1 else 1,
    }
    there = {} if jobs == 1 else _environment(basis)
    options = {"backend": "loky", "n_jobs": jobs, "inner_max_num_threads": 1} if local else {}
    runs = _runs(grid, seeds, basis)
    settings = list(dict.fromkeys(setting for configuration, _ in runs.values() for setting in configuration))
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"A sweep's name is made of letters, digits and . _ -, and {name!r} is not.")
    path = outputs_dir() / "sweeps" / f"{name}.sqlite"
    with contextlib.closing(_journal(path)) as journal, joblib.parallel_config(**options):
        done = {key: json.loads(end) for key, end in journal.execute("SELECT * FROM run") if key in runs}
        calls = [joblib.delayed(_one)(key, experiment, *runs[key], basis, there) for key in runs if key not in done]
        ends = joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)
        with contextlib.closing(ends), _progress(name, len(runs), len(done)) as progress:
            for key, end in ends:
                columns = [*settings, "seed", *end["results"], *_ENDS]
                if len(set(columns)) < len(columns):
                    raise ValueError(f"A setting or a result is called like another column: {', '.join(columns)}.")
                done[key] = end
                _write(journal, key, end)
                progress.update()
    table = _table(runs.values(), [done[key] for key in runs], settings)
    if not (table.status == "failed").any():
        with contextlib.suppress(OSError):
            path.unlink()
    table.attrs = basis
    bad = table[table.status != "completed"]
    if len(bad):
        counts = " and ".join(f"{count} {status}" for status, count in bad.status.value_counts().items())
        warnings.warn(f"Of {len(table)} runs {counts}, the first with {bad.error.iloc[0]}", stacklevel=2)
    return table


def processes():
    """The number of processes on this machine."""
    jobs = os.environ.get("LABKIT_JOBS") or (1 if device().type == "cuda" else joblib.cpu_count())
    if not re.fullmatch("[1-9][0-9]*", str(jobs)):
        raise ValueError(f"LABKIT_JOBS={jobs} must be a whole number of at least 1.")
    return int(jobs)


def _runs(grid, seeds, basis):
    """The runs in order: key -> configuration and seed."""
    if isinstance(grid, dict):
        if any(isinstance(values, str) for values in grid.values()):
            raise ValueError(f"Give each setting a list of values: {grid}.")
        grid = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())] if grid else []
    pairs = [(dict(configuration), whole("seed", seed)) for configuration in grid for seed in seeds]
    runs = {_sha256([basis, *pair], _plain): pair for pair in pairs}
    if not pairs:
        raise ValueError("A sweep needs at least one configuration and one seed.")
    if len(runs) < len(pairs):
        raise ValueError("A configuration or a seed is there twice: a repeated run is no replicate.")
    return runs


def _one(key, experiment, configuration, seed, basis, environment):
    """One run, in whichever process; returns its key and its end: results, seconds, status, error."""
    os.environ.update(environment)
    if _versions().items() - basis.items():
        raise RuntimeError("A worker has another labkit or PyTorch than this process: restart the kernel or cluster.")
    results, status, error = {}, "completed", ""
    with _turns, _interruptible():
        torch.set_num_threads(basis["threads"])
        start = time.perf_counter()
        try:
            results = experiment(seed=seed, **configuration)
        except Exception as problem:
            status = "diverged" if isinstance(problem, TrainingDiverged) else "failed"
            error = one_line(f"{type(problem).__name__}: {problem}")
        seconds = time.perf_counter() - start
    if not isinstance(results, dict):
        raise TypeError(f"An experiment returns a dict of results; {experiment.__name__} returned {results!r}.")
    results = json.loads(json.dumps(results, default=_plain))
    return key, {"results": results, "seconds": seconds, "status": status, "error": error}


def _versions():
    return {"labkit_sha256": labkit_sha256(), "torch": str(torch.__version__)}


def _environment(basis):
    """What makes a worker train and record as this process would, without a progress bar of its own."""
    names = {"LABKIT_OUTPUTS": str(outputs_dir()), "LABKIT_NOTEBOOK": notebook_name()}
    return names | {"LABKIT_DEVICE": basis["device"], "LABKIT_PROGRESS": "0"}


@contextlib.contextmanager
def _interruptible():
    """Let Ctrl-C stop the whole experiment, unless somebody else looks after it."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(*_):
    raise _SweepInterrupted


class _SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run. At a plain KeyboardInterrupt `fit` ends one training early and goes on; not at this one."""


def _plain(value):
    if not hasattr(value, "tolist"):  # as arrays and numbers of NumPy and PyTorch have
        kind = type(value).__name__
        raise TypeError(f"Configurations and results are numbers, text, lists and dicts of these, and no {kind}.")
    return value.tolist()


def _sha256(value, plain):
    """SHA-256 of plain data, whatever the order of its dicts; `plain` makes it of other data."""
    text = json.dumps(value, sort_keys=True, check_circular=False, default=plain)  # functions may call each other
    return hashlib.sha256(text.encode()).hexdigest()


def _table(runs, ends, settings):
    """A row a run: configuration, seed, results, and how it ended."""
    results = dict.fromkeys(name for end in ends for name in end["results"])
    pairs = zip(runs, ends, strict=True)
    rows = [{**end, **configuration, "seed": seed, **end["results"]} for (configuration, seed), end in pairs]
    return pd.DataFrame(rows, columns=[*settings, "seed", *results, *_ENDS])


def _progress(name, total, done):
    silent = os.environ.get("LABKIT_PROGRESS") == "0"
    return tqdm(desc=name, total=total, initial=done, disable=silent, unit="run", leave=False, delay=_BAR_AFTER)


# The journal ----------------------------------------------------------------------------------------------------------


def _journal(path):
    """The runs that are done, in an SQLite file that is locked until it is closed; in memory where none can be written.

    A process that is killed leaves no half of a row.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _opened(path)
    except (OSError, sqlite3.Error) as error:
        if "locked" in str(error):
            raise RuntimeError(
                f"The sweep {path.stem!r} is running already: wait, or name this one otherwise."
            ) from None
        warnings.warn(f"{path.name} cannot be written ({error}): {_ANEW}", stacklevel=3)
        return _opened(":memory:")


def _opened(place):
    journal = sqlite3.connect(place, timeout=0, isolation_level=None)
    journal.execute("PRAGMA locking_mode = EXCLUSIVE")
    journal.executescript("BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, end TEXT); COMMIT")
    return journal


def _write(journal, key, end):
    """Write down a run, so that it is there even if the machine stops; but one that failed is to be tried again."""
    try:
        if end["status"] != "failed":
            journal.execute("INSERT INTO run VALUES (?, ?)", (key, json.dumps(end)))
    except sqlite3.Error as error:
        warnings.warn(f"A run cannot be written down ({error}): {_ANEW}", stacklevel=3)


# The hash of the code -------------------------------------------------------------------------------------------------

_INSTALLED = (Path(os.__file__).parent, Path(__file__).parent)  # Python's own and labkit, besides site-packages


def code_sha256(experiment):
    """SHA-256 of an experiment's code: its source, that of your functions and classes that it names, and constants.

    A module or package of yours counts as a whole, with those of yours that it imports in turn, wherever the code
    imports it. What is installed counts by name alone, and so does labkit, which has a hash of its own. The same code
    has the same hash in a notebook and in a file. Not noticed: decorators of classes, cached properties, packages
    without `__init__.py`, and what is found by name while it runs.

    Raises TypeError for what is no function, or uses an object that has no text (a model, a table), and ValueError
    where a source is not to be had.
    """
    if not inspect.isfunction(experiment):
        raise TypeError(f"An experiment is a function, not {type(experiment).__name__}.")
    home = experiment.__module__
    return _sha256([experiment], functools.partial(_described, home=home, seen=set()))


def _described(value, home, seen):
    """What the code uses, as plain data; JSON asks again for what that holds. What was `seen` is only named."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, complex | bytes | range | torch.dtype | torch.device):
        return repr(value)
    if hasattr(value, "sha256") or hasattr(value, "tolist"):  # a data set, an array
        return value.sha256 if hasattr(value, "sha256") else value.tolist()
    if isinstance(value, property):
        return [value.fget, value.fset]
    name, function = getattr(value, "__name__", None), inspect.isfunction(value)
    module = value.__globals__.get("__name__") if function else getattr(value, "__module__", name)
    if id(value) in seen:
        return name
    seen.add(id(value))
    if function and module == home:
        return _of_function(value, seen)
    if inspect.isclass(value) and module == home:
        return _of_class(value)
    if hasattr(value, "__wrapped__"):  # perhaps yours, decorated by somebody else
        return [value.__wrapped__]
    if name is None:
        raise TypeError(f"The code uses a {type(value).__name__}, which has no text: make it inside the experiment.")
    return [name, _module(module or "", seen)]


def _of_function(function, seen):
    """Its source, and what that uses: defaults, variables of a function around it, globals, imported modules."""
    code, names = function.__code__, function.__globals__
    try:
        text = textwrap.dedent(inspect.getsource(code)).rstrip()
    except (OSError, TypeError):
        raise ValueError(f"{function.__name__} has no source: define it in a notebook or in a file.") from None
    around = [cell.cell_contents for cell in function.__closure__ or ()]
    used = {name: names[name] for name in _named(code, "LOAD_GLOBAL", "LOAD_NAME") if name in names}
    modules = [_module(name, seen) for name in [names.get("__package__") or "", *_named(code, "IMPORT_NAME")]]
    return [text, function.__defaults__, function.__kwdefaults__, around, used, modules]


def _of_class(value):
    """Its fields, bases, methods and constants, since a class in a notebook has no source."""
    parts = {"": [value.__bases__, list(inspect.get_annotations(value))]}
    for name, member in vars(value).items():
        written = inspect.isfunction(member) and inspect.unwrap(member).__code__.co_filename != "<string>"
        constant = isinstance(member, int | float | str | list | tuple | dict) and not name.startswith("__")
        if written or constant or isinstance(member, property | classmethod | staticmethod):
            parts[name] = member  # a dataclass adds others
    return parts


def _named(code, *instructions):
    """The names in such instructions of Python's bytecode, also of the functions inside, sorted."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in instructions}
    return sorted(names.union(*(_named(inner, *instructions) for inner in code.co_consts if inspect.iscode(inner))))


def _module(name, seen):
    """The files of your top-level module or package that holds the module, and those of yours that they import."""
    name, texts, spec = name.partition(".")[0], {}, None
    with contextlib.suppress(ImportError, ValueError):  # of a module that is not there, or from no file
        spec = importlib.util.find_spec(name)
    path = Path(spec.origin or "") if spec else Path()
    installed = {"site-packages", "dist-packages"} & {*path.parts} or any(map(path.is_relative_to, _INSTALLED))
    if name in seen or installed or not path.is_file():
        return name
    seen.add(name)
    for file in sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]:
        texts[file.relative_to(path.parent).as_posix()] = file.read_text(encoding="utf-8")
    imported = [_named(compile(text, name, "exec"), "IMPORT_NAME") for text in texts.values()]
    return [texts, [_module(other, seen) for other in sorted(set().union(*imported))]]
