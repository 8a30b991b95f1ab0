"""A grid of configurations × replicates, side by side on the cores of this machine or on a cluster (`run`).

An interrupted sweep goes on where it stopped: until all its runs are done, those that are lie in a journal. By
`code_sha256` it knows the runs of older code, which do not count.
"""

import contextlib
import dis
import errno
import functools
import hashlib
import importlib.util
import inspect
import itertools
import json
import multiprocessing
import os
import re
import signal
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from labkit.ledger import labkit_sha256, notebook_name, one_line, outputs_dir
from labkit.train import BAR_AFTER, TrainingDiverged, device

ENDS = ("seconds", "status", "error")  # the columns that every sweep adds
_turns = threading.Lock()  # one run at a time in a process, since PyTorch's random numbers belong to the process


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run. At a plain KeyboardInterrupt `fit` ends one training early and goes on; not at this one."""


def run(experiment, grid, seeds, *, name, data=None):
    """Call experiment(seed=seed, **configuration) for each configuration and seed; returns a DataFrame, a row a run.

    experiment  a pure function that returns a dict of results: numbers, text, lists and dicts of these
    grid        a list of configurations (dicts of the same), or a dict of lists: every combination of their values
    seeds       whole numbers, one a replicate
    name        of the sweep and of its journal, `sweeps/<name>.jsonl` in `outputs_dir()`
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
    runs = {_key(basis, *each): each for each in _runs(grid, seeds)}
    settings = [*dict.fromkeys(name for configuration, _ in runs.values() for name in configuration)]
    where = {"backend": "loky", "n_jobs": jobs, "inner_max_num_threads": 1} if local else {}
    there = {} if jobs == 1 else _environment(basis)
    with contextlib.closing(_Journal(name)) as journal, joblib.parallel_config(**where):
        done, one = {key: end for key, end in journal.ends.items() if key in runs}, joblib.delayed(_one)
        calls = [one(key, experiment, *runs[key], settings, basis, there) for key in runs if key not in done]
        ends = joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)
        with contextlib.closing(ends), _progress(name, len(runs), len(done)) as progress:
            for key, end in ends:
                done[key] = end
                journal.add(key, *runs[key], end)
                progress.update()
        table = _table(list(runs.values()), [done[key] for key in runs], settings)
        if not (table.status == "failed").any():
            journal.remove()
    table.attrs = basis
    if len(bad := table[table.status != "completed"]):
        counts = " and ".join(f"{count} {status}" for status, count in bad.status.value_counts().items())
        warnings.warn(f"Of {len(table)} runs {counts}, the first with {bad.error.iloc[0]}", stacklevel=2)
    return table


def _table(runs, ends, settings):
    """A row a run: configuration, seed, results, and how it ended."""
    results = dict.fromkeys(name for end in ends for name in end["results"])
    pairs = zip(runs, ends, strict=True)
    rows = [{**end, **configuration, "seed": seed, **end["results"]} for (configuration, seed), end in pairs]
    return pd.DataFrame(rows, columns=[*settings, "seed", *results, *ENDS])


def _runs(grid, seeds):
    """The runs in order, pairs of configuration and seed; ValueError or TypeError where they are none."""
    if isinstance(grid, dict):
        if wrong := [key for key, values in grid.items() if isinstance(values, str) or not np.iterable(values)]:
            raise ValueError(f"grid[{wrong[0]!r}] is {grid[wrong[0]]!r}: give a list of values.")
        grid = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())] if grid else []
    grid, seeds = list(grid), list(seeds)
    if not grid or not seeds:
        raise ValueError("A sweep needs at least one configuration and one seed.")
    for configuration in grid:
        if not isinstance(configuration, dict):
            raise TypeError(f"A configuration is a dict, not {configuration!r}.")
        if taken := configuration.keys() & {"seed", *ENDS}:
            raise ValueError(f"{min(taken)!r} is a column of every sweep: call the setting something else.")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ValueError(f"Seeds are whole numbers, not {seed!r}.")
    for what, values in (("configuration", grid), ("seed", seeds)):
        keys = [_key(value) for value in values]
        if twice := [value for value, key in zip(values, keys, strict=True) if keys.count(key) > 1]:
            raise ValueError(f"The {what} {twice[0]} is there twice: a repeated run is no replicate.")
    return [(configuration, int(seed)) for configuration in grid for seed in seeds]


def processes():
    """The number of processes on this machine."""
    jobs = os.environ.get("LABKIT_JOBS") or (1 if device().type == "cuda" else joblib.cpu_count())
    if not re.fullmatch("[1-9][0-9]*", str(jobs)):
        raise ValueError(f"LABKIT_JOBS={jobs} must be a whole number of at least 1.")
    return int(jobs)


def _progress(name, total, done):
    silent = os.environ.get("LABKIT_PROGRESS") == "0"
    options = {"unit": "run", "leave": False, "delay": BAR_AFTER, "miniters": 1}
    return tqdm(desc=name, total=total, initial=done, disable=silent, **options)


def _environment(basis):
    """What makes a worker train and record as this process would, without a progress bar of its own."""
    names = {"LABKIT_OUTPUTS": str(outputs_dir()), "LABKIT_NOTEBOOK": notebook_name()}
    return names | {"LABKIT_DEVICE": basis["device"], "LABKIT_PROGRESS": "0"}


def _versions():
    return {"labkit_sha256": labkit_sha256(), "torch": str(torch.__version__)}


def _one(key, experiment, configuration, seed, settings, basis, environment):
    """One run, in whichever process; returns its key and its end: results, seconds, status, error."""
    os.environ.update(environment)
    if multiprocessing.current_process().name.startswith("LokyProcess"):
        _end_with_parent()
    if _versions().items() - basis.items():
        raise RuntimeError(
            "A worker has another labkit or PyTorch than this process: restart the kernel, and install the same on "
            "all machines of a cluster."
        )
    with _turns, _interruptible():
        torch.set_num_threads(basis["threads"])
        results, status, error, start = {}, "completed", "", time.perf_counter()
        try:
            results = experiment(seed=seed, **configuration)
        except Exception as problem:
            status = "diverged" if isinstance(problem, TrainingDiverged) else "failed"
            error = one_line(f"{type(problem).__name__}: {problem}")
        seconds = time.perf_counter() - start
    if not isinstance(results, dict):
        raise TypeError(f"An experiment returns a dict of results; {experiment.__name__} returned {results!r}.")
    if taken := results.keys() & {*settings, "seed", *ENDS}:
        raise ValueError(f"{experiment.__name__} returned a result {min(taken)!r}, as another column is called.")
    return key, {"results": json.loads(_text(results)), "seconds": seconds, "status": status, "error": error}


@functools.cache  # once in each worker
def _end_with_parent():
    """Leave no worker behind, in the middle of a long run, when the process that it works for is killed."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _interruptible():
    """Let Ctrl-C stop the whole experiment, unless somebody else looks after it."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise SweepInterrupted

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _text(value):
    """Plain data as JSON; TypeError for other data."""
    return json.dumps(value, default=_plain)


def _plain(value):
    if not hasattr(value, "tolist"):  # as arrays and numbers of NumPy and PyTorch have
        kind = type(value).__name__
        raise TypeError(f"Configurations and results are numbers, text, lists and dicts of these, and no {kind}.")
    return value.tolist()


def _key(*values):
    """SHA-256 of plain data, whatever the order of its dicts."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=_plain).encode()).hexdigest()


# The journal ----------------------------------------------------------------------------------------------------------


class _Journal:
    """The finished runs of a sweep that is not complete yet, a line of JSON each. `ends` are those that it held."""

    def __init__(self, name):
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"A sweep's name is made of letters, digits and . _ -, and {name!r} is not.")
        self.path, self.file, self.ends = outputs_dir() / "sweeps" / f"{name}.jsonl", None, {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.path, "a+b")  # noqa: SIM115
        except OSError as error:
            self._give_up(error)
            return
        if not _locked(self.file):
            self.close()
            raise RuntimeError(f"The sweep {name!r} is running already: wait for it, or give this one another name.")
        self.file.seek(0)
        *lines, torn = self.file.read().split(b"\n")
        self.file.truncate(self.file.tell() - len(torn))  # a process was killed while it wrote
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["status"] != "failed":
                    self.ends[entry["key"]] = {name: entry[name] for name in ("results", *ENDS)}
            except (ValueError, TypeError, KeyError):
                warnings.warn(f"A line of {self.path.name} is damaged: that run is done again.", stacklevel=3)

    def add(self, key, configuration, seed, end):
        """Write one run down, so that it is there even if the machine stops."""
        if self.file is None:
            return
        try:
            entry = {"key": key, "configuration": configuration, "seed": seed, **end}
            self.file.write(_text(entry).encode() + b"\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            self._give_up(error)

    def remove(self):
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.truncate(0)  # while it is locked: the next one finds it empty, if it finds it
                self.close()
                self.path.unlink()

    def close(self):
        if self.file is not None:
            with contextlib.suppress(OSError):  # of a full disk, which is known by now
                self.file.close()
        self.file = None

    def _give_up(self, error):
        self.close()
        reason = f"{self.path.name} cannot be written ({error.strerror or error})"
        warnings.warn(f"{reason}: the sweep goes on, but if it is stopped, it starts anew.", stacklevel=4)


def _locked(file):
    """Lock a file until it is closed. False where another process has done so; True, too, where there are no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(2**30)  # Windows locks bytes, which then nobody else can read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


# The hash of the code -------------------------------------------------------------------------------------------------

CONSTANTS = (type(None), bool, int, float, complex, str, bytes, range, torch.dtype, torch.device)
CONTAINERS = (list, tuple, set, frozenset, dict)
STANDARD_LIBRARY = Path(os.__file__).parent


def code_sha256(experiment):
    """SHA-256 of an experiment's code: its source, that of your functions and classes that it uses, and constants.

    A module or package of yours that the code imports, wherever it does so, counts as a whole, with those of yours that
    it imports in turn. What is installed counts by name alone, and so does labkit, which has a hash of its own. The
    same code has the same hash in a notebook and in a file, in each process, on each system. Raises TypeError for what
    is no function, or uses an object that has no text (a model, a table), and ValueError where a source is not to be
    had.
    """
    if not inspect.isfunction(experiment):
        raise TypeError(f"An experiment is a function, not {type(experiment).__name__}.")
    return _key(*_code("experiment", experiment, set()))


def _code(name, value, seen):
    """Lines of text that say what `value` is, which the code calls `name`; those `seen` already are only named."""
    if isinstance(value, CONTAINERS):
        yield f"{name}: {type(value).__name__} of {len(value)}"
        items = value.items() if isinstance(value, dict) else value
        for item in sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items:
            yield from _code(name, item, seen)
    elif isinstance(value, CONSTANTS):
        yield f"{name} = {value!r}"
    elif hasattr(value, "sha256"):  # a data set
        yield f"{name} = {value.sha256}"
    elif hasattr(value, "tolist"):  # an array
        yield f"{name} = {value.tolist()}"
    elif not hasattr(value, "__name__") and not hasattr(value, "__wrapped__"):
        kind = type(value).__name__
        raise TypeError(f"The code uses {name}, a {kind}: make it inside the experiment.")
    elif not _is_yours(value):
        inner = getattr(value, "__wrapped__", None)  # perhaps yours, decorated
        yield from _code(name, inner, seen) if inner else [f"{name}: {value.__name__}"]
    elif id(value) in seen:
        yield f"{name}: {value.__name__}"
    elif inspect.ismodule(value):
        if not _files(value.__name__.partition(".")[0]):
            raise ValueError(f"{name} has no source: define it in a file.")
        yield from _module(value.__name__, seen)
    else:
        seen.add(id(value))
        text, parts = _of_class(value) if inspect.isclass(value) else _of_function(value)
        yield f"{name}: {text}"
        for part in parts:
            yield from _code(*part, seen)
        if inspect.isfunction(value):
            for imported in sorted(_imported(value.__code__)):
                yield from _module(imported or value.__globals__.get("__package__") or "", seen)


def _is_yours(value):
    """Whether it is a function, class or module that is neither Python's nor installed nor labkit's."""
    if inspect.isfunction(value):
        module = value.__globals__.get("__name__", "")  # decorators change __module__
    elif inspect.isclass(value) or inspect.ismodule(value):
        module = getattr(value, "__module__", value.__name__)
    else:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.split(".")[0] == "labkit" or (file and _is_installed(file)):
        return False
    return bool(file) or module.split(".")[0] not in sys.stdlib_module_names


def _is_installed(file):
    """Whether a file belongs to Python, to an installed package or to labkit."""
    path = Path(file)
    of_python = path.is_relative_to(STANDARD_LIBRARY) or path.is_relative_to(Path(__file__).parent)
    return of_python or bool({"site-packages", "dist-packages"} & set(path.parts))


def _module(name, seen):
    """A line for each file of the top-level module or package that holds the module `name`, and of those it imports."""
    name = name.partition(".")[0]
    if name in seen:
        return
    seen.add(name)
    for path in _files(name):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        yield f"{name}, {path.name}: {hashlib.sha256(content).hexdigest()}"
        try:
            with warnings.catch_warnings(action="ignore"):
                imported = _imported(compile(content, path, "exec"))
        except (SyntaxError, ValueError):  # no Python: extensions are code too
            continue
        for other in sorted(imported - {""}):
            yield from _module(other, seen)


def _files(name):
    """The files of a top-level module of yours, or all of a package; none where it is installed or not there."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return []
    files = [Path(spec.origin or "")]
    if spec.submodule_search_locations:
        files = [path for folder in spec.submodule_search_locations for path in Path(folder).rglob("*.py")]
    return sorted((path for path in files if path.is_file() and not _is_installed(path)), key=Path.as_posix)


def _of_function(value):
    """Its source, and what that names: pairs of name and value."""
    try:
        text = textwrap.dedent(inspect.getsource(value.__code__)).rstrip()
    except (OSError, TypeError):
        raise ValueError(f"{value.__name__} has no source: define it in a notebook or in a file.") from None
    named = dict(zip(value.__code__.co_freevars, [cell.cell_contents for cell in value.__closure__ or ()], strict=True))
    named |= {name: value.__globals__[name] for name in _globals_in(value.__code__) if name in value.__globals__}
    return text, [
        ("defaults", [value.__defaults__, value.__kwdefaults__]),
        *sorted(named.items(), key=lambda each: each[0]),
    ]


def _globals_in(code):
    """The names of globals that code uses, functions inside it included."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_globals_in(inner) for inner in code.co_consts if inspect.iscode(inner)))


def _imported(code):
    """The top-level modules that code imports, functions inside it included; "" stands for its own package."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    names = set()
    for level, _, step in zip(steps, steps[1:], steps[2:], strict=False):  # level 1 is `from . import`, and so on
        if step.opname == "IMPORT_NAME":
            names.add("" if level.argval else step.argval.partition(".")[0])
    return names.union(*(_imported(inner) for inner in code.co_consts if inspect.iscode(inner)))


def _of_class(value):
    """Its fields, and its bases, methods and constants: pairs of name and value. In a notebook it has no source."""
    parts = [(base.__name__, base) for base in value.__bases__]
    for name, member in sorted(vars(value).items()):
        inner = next((getattr(member, part) for part in ("__func__", "fget", "func") if hasattr(member, part)), member)
        if inspect.isfunction(inner):
            written = inspect.unwrap(inner)
            if _is_yours(written) and written.__code__.co_filename != "<string>":  # what a dataclass adds is not
                parts.append((name, inner))
        elif isinstance(inner, CONSTANTS + CONTAINERS) and not name.startswith("__"):
            parts.append((name, inner))
    return f"class {value.__name__} {sorted(inspect.get_annotations(value))}", parts
