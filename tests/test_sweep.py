"""A sweep trains nothing twice, reuses nothing that is not its own, and is the same here, in workers, on a cluster."""

import contextlib
import functools
import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import curriculum
import joblib
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from labkit import data, sweep
from labkit.ledger import Ledger, outputs_dir
from labkit.models import mlp
from labkit.train import TrainingDiverged, fit

GRID = {"width": [2, 3], "rate": [0.1, 0.2]}


def trained(width, rate, seed, log=None):
    """Train a small network; `log` is a file that gets a line for each run."""
    if log:
        with open(log, "a") as file:
            file.write(f"{width} {rate} {seed}\n")
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(40, 4, generator=generator)
    model = mlp([4, width, 2], seed=seed)
    history = fit(model, (inputs, (inputs[:, 0] > 0).long()), steps=5, learning_rate=rate, seed=seed)
    return {"loss": history.loss[-1], "curve": torch.tensor(history.loss), "pid": os.getpid(), "name": f"MLP {width}"}


def ends_badly(seed, log):
    """Seed 1 diverges; seed 2 fails until the file `<log>.mended` is there."""
    with open(log, "a") as file:
        file.write(f"{seed}\n")
    if seed == 1:
        raise TrainingDiverged("The loss became nan.")
    if seed == 2 and not Path(f"{log}.mended").exists():
        raise ValueError("first line\nsecond line")
    return {"loss": seed / 2}


def in_turn(seed, folder):
    """The first run ends only after the last has."""
    while seed == 0 and not (Path(folder) / "3").exists():
        time.sleep(0.01)
    (Path(folder) / str(seed)).touch()
    return {"pid": os.getpid(), "threads": torch.get_num_threads()}


def slow(seed, log):
    time.sleep(0.3)
    return ends_badly(seed, log)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.touch()
    return str(path)


@pytest.fixture(autouse=True)
def one_job(monkeypatch):
    monkeypatch.setenv("LABKIT_JOBS", "1")


def journal(name="test"):
    return outputs_dir() / "sweeps" / f"{name}.sqlite"


def written():
    """The ends of the runs in the journal, when no sweep holds it."""
    with contextlib.closing(sqlite3.connect(journal())) as database:
        return [json.loads(end) for (end,) in database.execute("SELECT end FROM run ORDER BY rowid")]


def lines(path):
    return Path(path).read_text().split("\n")[:-1]


def same(one, other):
    """Raise where two tables differ, but for what differs from run to run."""
    apart = ["seconds", "pid"]
    one, other = one.drop(columns=apart, errors="ignore"), other.drop(columns=apart, errors="ignore")
    pd.testing.assert_frame_equal(one, other)


def unfinished(experiment, log, seeds=(0, 1, 2, 3), **options):
    """A sweep of `ends_badly` or the like, whose journal stays since a run failed."""
    with pytest.warns(
        UserWarning, match="Of 4 runs 1 diverged and 1 failed, the first with TrainingDiverged: The loss"
    ):
        return sweep.run(experiment, [{"log": log}], seeds, name="test", **options)


# ---- The table


def test_rows_and_columns():
    table = sweep.run(trained, GRID, range(2), name="test")
    expected = [(width, rate, seed) for width in (2, 3) for rate in (0.1, 0.2) for seed in (0, 1)]
    assert list(table[["width", "rate", "seed"]].itertuples(index=False, name=None)) == expected
    assert list(table) == ["width", "rate", "seed", "loss", "curve", "pid", "name", "seconds", "status", "error"]
    assert (table.status == "completed").all()
    assert (table.error == "").all()
    assert (table.seconds > 0).all()
    assert table.loss.dtype == float
    assert table.curve[7] == trained(3, 0.2, 1)["curve"].tolist()
    assert table.attrs.keys() == {"code_sha256", "data_sha256", "labkit_sha256", "torch", "device", "threads"}
    assert table.attrs["code_sha256"] == sweep.code_sha256(trained)
    assert table.attrs["threads"] == torch.get_num_threads()


def test_configurations_may_differ_in_their_settings():
    table = sweep.run(lambda seed, a=1, b=2: {"sum": a + b}, [{}, {"b": np.int64(5)}], np.arange(2), name="test")
    assert list(table["sum"]) == [3, 3, 6, 6]
    assert table.b.isna().tolist() == [True, True, False, False]


def test_a_result_may_be_called_like_a_part_of_the_record():
    table = sweep.run(lambda seed, key: {"results": [key, seed]}, {"key": ["a"]}, [4], name="test")
    assert table.loc[0, ["key", "results"]].tolist() == ["a", ["a", 4]]


def test_diverged_and_failed_runs_are_rows(log):
    table = unfinished(ends_badly, log)
    assert list(table.status) == ["completed", "diverged", "failed", "completed"]
    assert list(table.loss.isna()) == [False, True, True, False]
    assert list(table.error) == ["", "TrainingDiverged: The loss became nan.", "ValueError: first line second line", ""]


@pytest.mark.parametrize(
    ("grid", "seeds", "said"),
    [
        ([{"a": 1}], [3, 4, 3], "none of them twice"),
        ([{"a": 1}], [3, np.int64(3)], "none of them twice"),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], [0], "none of them twice"),
        ({"a": [1, 2, 1]}, [0], "none of them twice"),
        ([], [0], "needs a configuration and a seed"),
        ({"a": []}, [0], "needs a configuration and a seed"),
        ([{"a": 1}], [], "needs a configuration and a seed"),
        ([{"a": 1}], [0.5], "seed must be a whole number of at least 0, not 0.5"),
        ([{"a": 1}], [True], "seed must be a whole number of at least 0, not True"),
        ({"a": 1}, [0], "not iterable"),
        ([{"status": 1}], [0], "overlapping values.*status"),
        ([3], [0], "not iterable"),
        ([{"a": trained}], [0], "numbers, text, lists and dicts of these, and no function"),
    ],
)
def test_what_makes_no_table_is_refused_in_one_sentence(grid, seeds, said):
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        sweep.run(lambda seed, a: {}, grid, seeds, name="test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        (lambda seed, a: 0.5, "'float' object is not iterable"),
        (lambda seed, a: {"a": 2}, "overlapping values.*'a'"),
        (lambda seed, a: {"b": 2}, "overlapping values.*'b'"),  # of another configuration
        (lambda seed, a: {"seconds": 2}, "overlapping values.*'seconds'"),
        (lambda seed, a: {"model": mlp([2, 2], seed=0)}, "and no Sequential"),
    ],
)
def test_what_an_experiment_must_return(experiment, said):
    with pytest.raises((TypeError, ValueError), match=said):
        sweep.run(experiment, [{"a": 1}, {"a": 1, "b": 3}], [0], name="test")


# ---- The journal


def test_a_complete_sweep_is_measured_anew(log):
    first = sweep.run(trained, GRID | {"log": [log]}, [0], name="test")
    assert not journal().exists()
    second = sweep.run(trained, GRID | {"log": [log]}, [0], name="test")
    assert len(lines(log)) == 8
    same(first, second)


def test_an_unfinished_sweep_tries_again_what_failed_and_nothing_else(log):
    unfinished(ends_badly, log)
    assert [end["status"] for end in written()] == ["completed", "diverged", "completed"]
    unfinished(ends_badly, log)
    assert lines(log) == ["0", "1", "2", "3", "2"]
    Path(f"{log}.mended").touch()
    with pytest.warns(UserWarning, match="Of 4 runs 1 diverged, the first"):
        table = sweep.run(ends_badly, [{"log": log}], range(4), name="test")
    assert lines(log) == ["0", "1", "2", "3", "2", "2"]
    assert list(table.loss.dropna()) == [0.0, 1.0, 1.5]
    assert not journal().exists()


def test_more_seeds_are_added_to_an_unfinished_sweep_and_no_row_is_left_over(log):
    unfinished(ends_badly, log)
    with warnings.catch_warnings(action="error"):
        table = sweep.run(ends_badly, [{"log": log}], [5, 3], name="test")
    assert lines(log) == ["0", "1", "2", "3", "5"]
    assert list(table.seed) == [5, 3]


FACTOR = 1


def depends_on_factor(seed, log):
    return ends_badly(seed, log) if FACTOR else {}


@pytest.mark.parametrize("changed", ["code", "data", "threads", "device", "torch", "labkit", "nothing"])
def test_only_runs_that_rest_on_the_same_are_reused(changed, log, monkeypatch):
    threads = torch.get_num_threads()
    unfinished(depends_on_factor, log, data="one")
    if changed == "code":
        monkeypatch.setitem(globals(), "FACTOR", 2)
    elif changed == "threads":
        torch.set_num_threads(threads + 1)
    elif changed == "device":
        monkeypatch.setenv("LABKIT_DEVICE", "cpu:0")
    elif changed == "torch":
        monkeypatch.setattr(torch, "__version__", "0.1")
    elif changed == "labkit":
        monkeypatch.setattr(sweep, "labkit_sha256", lambda: "0" * 64)
    try:
        unfinished(depends_on_factor, log, data="other" if changed == "data" else "one")
    finally:
        torch.set_num_threads(threads)
    assert lines(log) == ["0", "1", "2", "3", *(["2"] if changed == "nothing" else ["0", "1", "2", "3"])]


def test_data_are_known_by_their_fingerprint():
    digits = data.digits()
    attrs = [sweep.run(trained, GRID, [0], name="test", data=each).attrs for each in (digits, digits.sha256, None)]
    assert [each["data_sha256"] for each in attrs] == [digits.sha256, digits.sha256, None]
    with pytest.raises(TypeError, match="no Examples"):
        sweep.run(trained, GRID, [0], name="test", data=digits.split(0))


SCRIPT = """
    import os, signal, sys, time
    from labkit import sweep

    LOG = sys.argv[1]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may be run where Ctrl-C is ignored

    def experiment(width, seed):
        with open(f"{LOG}.pids", "a") as file:
            file.write(f"{os.getpid()}\\n")
        while seed == 3 and not os.path.exists(f"{LOG}.go"):
            time.sleep(0.01)
        with open(LOG, "a") as file:
            file.write(f"{width} {seed}\\n")
        return {"loss": width / (seed + 3), "curve": [width / 7, float("nan")]}

    if __name__ == "__main__":
        table = sweep.run(experiment, {"width": [2, 3]}, range(5), name=sys.argv[2])
        print(table.drop(columns="seconds").to_json(double_precision=15))
"""


@pytest.fixture
def script(tmp_path, log):
    """Start, in a process of its own, a sweep in which seed 3 waits for the file `<log>.go`."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}

    def start(jobs, name="test"):
        environment = os.environ | {"LABKIT_JOBS": str(jobs)}
        return subprocess.Popen([sys.executable, path, log, name], env=environment, **streams)

    return start


def wait_for(condition):
    while not condition():
        time.sleep(0.01)


def gone(pid):
    """Whether a process has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


# With two workers, the run with seed 3 and width 2 keeps one of them waiting.
stopped_early = pytest.mark.parametrize(("jobs", "before"), [(1, 3), (2, 7)])
in_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")


@in_proc
@stopped_early
def test_a_killed_sweep_trains_nothing_twice(jobs, before, script, log):
    process = script(jobs)
    wait_for(lambda: len(lines(log)) >= before)
    time.sleep(0.5)  # until the last of them is written down
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: all(gone(pid) for pid in lines(f"{log}.pids")))
    assert len(lines(log)) == len(written()) == before
    Path(f"{log}.go").touch()
    resumed, messages = script(jobs).communicate()
    assert messages == ""
    runs = [(width, seed) for width in (2, 3) for seed in range(5)]
    assert sorted(lines(log)) == [f"{width} {seed}" for width, seed in runs]
    expected = pd.DataFrame(runs, columns=["width", "seed"])
    expected = expected.assign(loss=expected.width / (expected.seed + 3), curve=[[w / 7, np.nan] for w, _ in runs])
    assert resumed.strip() == expected.assign(status="completed", error="").to_json(double_precision=15)
    assert not journal().exists()


@in_proc
@stopped_early
def test_ctrl_c_stops_a_sweep_and_its_workers_and_keeps_what_is_done(jobs, before, script, log):
    process = script(jobs)
    wait_for(lambda: len(lines(log)) >= before)
    time.sleep(0.5)  # until the last of them is written down
    os.killpg(process.pid, signal.SIGINT)  # as a terminal and Jupyter do
    _, messages = process.communicate()
    assert process.returncode
    assert messages.rstrip().endswith(("KeyboardInterrupt", "SweepInterrupted"))
    wait_for(lambda: all(gone(pid) for pid in lines(f"{log}.pids")))
    assert len(written()) == before
    assert not {"2 3", "3 3"} & set(lines(log))


def test_ctrl_c_during_training_ends_the_run_and_not_only_the_training():
    original = signal.signal(signal.SIGINT, signal.default_int_handler)

    def experiment(seed, width):
        def callback(step, model):
            if seed == 1 and step == 2:
                os.kill(os.getpid(), signal.SIGINT)

        fit(
            mlp([4, width, 2], seed=0),
            (torch.zeros(9, 4), torch.zeros(9, dtype=torch.int64)),
            steps=4,
            callback=callback,
        )
        return {"seed_was": seed}

    try:
        with pytest.raises(KeyboardInterrupt):
            sweep.run(experiment, {"width": [3]}, [0, 1, 2], name="test")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, original)
    assert [end["results"] for end in written()] == [{"seed_was": 0}]
    assert list(Ledger().query("SELECT status FROM training_run").status) == ["completed", "interrupted"]


def test_the_same_sweep_twice_at_once_is_an_error(script, log):
    process = script(1)
    wait_for(lambda: lines(log))
    with pytest.raises(RuntimeError, match="The sweep 'test' is running already"):
        sweep.run(trained, GRID, [0], name="test")
    process.kill()
    process.wait()
    sweep.run(trained, GRID, [0], name="test")


# ---- Workers


def test_order_and_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_JOBS", "2")
    table = sweep.run(in_turn, [{"folder": str(tmp_path)}], range(4), name="test")
    assert list(table.seed) == [0, 1, 2, 3]
    assert table.pid.nunique() == 2
    assert os.getpid() not in set(table.pid)
    assert set(table.threads) == {1} == {table.attrs["threads"]}


def test_workers_and_this_process_agree(monkeypatch, log):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    here = sweep.run(trained, GRID, range(2), name="test")
    torch.set_num_threads(threads)
    monkeypatch.setenv("LABKIT_JOBS", "2")
    there = sweep.run(trained, GRID, range(2), name="test")
    assert set(here.pid) == {os.getpid()}
    assert os.getpid() not in set(there.pid)
    same(here, there)
    assert here.attrs == there.attrs


def test_workers_record_in_the_ledger_of_this_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_JOBS", "2")
    with monkeypatch.context() as before:  # workers stay for the next sweep, whose settings may be others
        before.setenv("LABKIT_OUTPUTS", str(tmp_path / "elsewhere"))
        sweep.run(trained, GRID, range(2), name="test")
    monkeypatch.setenv("LABKIT_NOTEBOOK", "04_test")
    table = sweep.run(trained, GRID, range(2), name="test")
    sessions = Ledger().query(
        "SELECT DISTINCT notebook, pid, threads FROM session JOIN training_run ON session_id = session.id"
    )
    assert set(sessions.notebook) == {"04_test"}
    assert set(sessions.pid) == set(table.pid)
    assert set(sessions.threads) == {1}
    assert len(Ledger().query("SELECT * FROM training_run WHERE status = 'completed'")) == 8


def test_number_of_jobs(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 7)
    for text, jobs in (("3", 3), ("1", 1), ("", 7)):
        monkeypatch.setenv("LABKIT_JOBS", text)
        assert sweep._processes() == jobs
    monkeypatch.setattr(sweep, "device", lambda: torch.device("cuda"))
    assert sweep._processes() == 1


def test_a_worker_takes_the_number_of_threads(tmp_path):
    threads = torch.get_num_threads()
    try:
        basis = {"labkit_sha256": sweep.labkit_sha256(), "threads": threads + 1}
        _, end = sweep._one("key", in_turn, {"folder": str(tmp_path)}, 1, basis, {})
        assert end["results"]["threads"] == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_a_worker_with_another_labkit_is_an_error():
    with pytest.raises(RuntimeError, match="another labkit"):
        sweep._one("key", trained, {}, 0, {"labkit_sha256": "0.1"}, {})


CELLS = """
import os
import torch
from labkit import sweep
from labkit.models import mlp
from labkit.train import fit

# %%
class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = mlp([SIZE, width, 2], seed=0)

    def forward(self, inputs):
        return self.layers(inputs)

# %%
SIZE = 4

# %%
def experiment(width, seed):
    # as small as can be
    data = torch.zeros(9, SIZE), torch.zeros(9, dtype=torch.int64)
    return {"loss": fit(Net(width), data, steps=3, seed=seed).loss[-1], "pid": os.getpid()}

"""
SWEEP = """
table = sweep.run(experiment, {"width": [2, 3]}, range(3), name="test")
print(len(table), set(table.status), os.getpid() in set(table.pid), sweep.code_sha256(experiment))
"""


def test_in_a_notebook_with_workers(tmp_path):
    """What is defined in a notebook goes to the workers, is recorded under its name, and has the hash as in a file."""
    cells = [nbformat.v4.new_code_cell(source) for source in [*CELLS.split("# %%"), SWEEP]]
    notebook = nbformat.v4.new_notebook(cells=cells)
    curriculum.execute(notebook, "04_small", tmp_path / "outputs", environment={"LABKIT_JOBS": "2"})
    (tmp_path / "as_a_file.py").write_text(f"# A comment\n{CELLS}\n# Another\n")
    command = "import as_a_file, labkit.sweep; print(labkit.sweep.code_sha256(as_a_file.experiment))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert notebook.cells[-1].outputs[0].text == f"6 {{'completed'}} False {done.stdout}"
    sessions = Ledger().query("SELECT notebook FROM session JOIN training_run ON session_id = session.id")
    assert list(sessions.notebook) == ["04_small"] * 6


def test_on_a_dask_cluster(log, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("LABKIT_JOBS", "1")
    monkeypatch.setenv("LABKIT_NOTEBOOK", "04_test")
    local = sweep.run(trained, GRID, range(2), name="test")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        workers = set(client.run(os.getpid).values())
        with joblib.parallel_config("dask"):
            table = sweep.run(trained, GRID, range(2), name="test")
            same(local, table)
            assert set(table.pid) <= workers
            unfinished(slow, log)
            Path(f"{log}.mended").touch()
            with pytest.warns(UserWarning, match="Of 4 runs 1 diverged"):
                sweep.run(slow, [{"log": log}], range(4), name="test")
            assert sorted(lines(log)) == ["0", "1", "2", "2", "3"]
            many = sweep.run(pid_of_worker, {"number": list(range(8))}, [0], name="test")
            assert set(many.pid) == workers
    sessions = Ledger().query("SELECT DISTINCT notebook, pid FROM session JOIN training_run ON session_id = session.id")
    assert set(sessions.pid) == {os.getpid(), *table.pid}
    assert set(sessions.notebook) == {"04_test"}


def pid_of_worker(number, seed):
    time.sleep(0.3)
    return {"pid": os.getpid()}


def test_a_cluster_is_not_imported_where_none_is_used():
    code = "import sys, labkit.sweep; print({'dask', 'distributed'} & {name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# ---- The hash of the code

CODE = """
import dataclasses
import functools
import torch
from torch import nn
from labkit import data, models

WIDTH = 3
FACTOR = 7
NAMES = ["one", "seven"]
SETTINGS = {"rates": [0.1, 0.2], "activation": torch.relu, "loss": None}
TABLE = torch.eye(3)
DIGITS = data.repeats(4)


@dataclasses.dataclass
class Configuration:
    depth: int = 2


class Base(nn.Module):
    SCALE = 2

    @torch.no_grad()
    def forward(self, inputs):
        return inner(inputs) * self.SCALE


class Net(Base):
    @property
    def size(self):
        return WIDTH


@functools.cache
def load(n):
    return n + 5


def inner(inputs, factor=FACTOR):
    return inputs * factor


def doubled(function):
    @functools.wraps(function)
    def inside(*values):
        return 2 * function(*values)

    return inside


@doubled
def decorated(n):
    return n if n < 1 else decorated(n - 11)


def unused():
    return 13


def experiment(seed, width=4):
    def nested():
        return NAMES, SETTINGS, TABLE, DIGITS, load(1), models.mlp([2, 2])

    return {"a": Net(), "b": nested(), "c": Configuration(), "d": decorated(3)}
"""


def code_hash(code, tmp_path, monkeypatch, name="some_module"):
    """The hash of `experiment` in a module of its own."""
    monkeypatch.delitem(sys.modules, name, raising=False)
    path = tmp_path / str(len(list(tmp_path.iterdir()))) / f"{name}.py"
    path.parent.mkdir()
    path.write_text(code)
    spec = sweep.inspect.importlib.util.spec_from_file_location(name, path)
    module = sweep.inspect.importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return sweep.code_sha256(module.experiment)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTH = 3", "WIDTH = 3.0"),
        ("0.1, 0.2", "0.1, 0.3"),
        ("torch.relu", "torch.tanh"),
        ("eye(3)", "eye(4)"),
        ("repeats(4)", "repeats(4, 1)"),
        ("depth: int = 2", "depth: int = 3"),
        ("depth: int", "width: int"),
        ("SCALE = 2", "SCALE = 3"),
        ("no_grad", "enable_grad"),
        ("inner(inputs) * self", "inner(inputs) - self"),
        ("Net(Base)", "Net(nn.Module)"),
        ("return WIDTH", "return WIDTH + 1"),
        ("n + 5", "n + 6"),
        ("factor=FACTOR", "factor=7"),
        ('"seven"', '"eight"'),
        ("n - 11", "n - 12"),
        ("width=4", "width=5"),
        ("load(1)", "load(2)"),
    ],
)
def test_the_hash_follows_all_that_an_experiment_uses(old, new, tmp_path, monkeypatch):
    assert CODE.count(old) == 1
    before = code_hash(CODE, tmp_path, monkeypatch)
    assert code_hash(CODE.replace(old, new), tmp_path, monkeypatch) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 13", "return 14"),
        ("WIDTH = 3\n", "# a comment\nWIDTH = 3  # another\nseed = 5\ninputs = None\n"),
        ("def experiment", "# a comment\ndef experiment"),
        ('{"a": Net()', '{"a": Net()'),
    ],
)
def test_the_hash_does_not_follow_what_it_does_not_use(old, new, tmp_path, monkeypatch):
    assert CODE.count(old) == 1
    before = code_hash(CODE, tmp_path, monkeypatch)
    assert code_hash(CODE.replace(old, new), tmp_path, monkeypatch, "another_module") == before


def test_the_hash_is_that_of_every_process(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(CODE + "\nfrom labkit import sweep\nprint(sweep.code_sha256(experiment))\n")
    command = [sys.executable, tmp_path / "script.py"]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == code_hash(CODE, tmp_path, monkeypatch)


def test_own_modules_are_followed_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    hashes = set()
    for value in (1, 2):
        monkeypatch.delitem(sys.modules, "my_helpers", raising=False)
        (tmp_path / "my_helpers.py").write_text(f"VALUE = {value}{' ' * value}\n")
        hashes.add(
            code_hash("import my_helpers\ndef experiment(seed):\n    return my_helpers.VALUE", tmp_path, monkeypatch)
        )
    assert len(hashes) == 2


PACKAGE = {
    "my_package/__init__.py": "",
    "my_package/one.py": "from . import two\nfrom my_lazy import lazy\n",
    "my_package/two.py": "TWO = 2\n",
    "my_lazy.py": "def lazy():\n    import my_last\n",
    "my_last.py": "LAST = 2\nimport my_lazy, json, torch, nowhere\n",
    "my_stranger.py": "STRANGER = 2\n",
    "queue.py": "QUEUE = 2\n",
}


@pytest.mark.parametrize(
    "code",
    [
        "import my_package.one\ndef experiment(seed):\n    return my_package.one.two.TWO\n",
        "from my_package import one\ndef experiment(seed):\n    return one.two.TWO\n",
        "def experiment(seed):\n    import my_package.one\n",
        "def experiment(seed):\n    from my_package.one import two as second\n",
        "def experiment(seed):\n    def inner():\n        from my_package import one\n    return inner()\n",
        "def used():\n    import my_package.one\n\ndef experiment(seed):\n    return used()\n",
        "class Net:\n    def f(self):\n        import my_package\n\ndef experiment(seed):\n    return Net()\n",
    ],
)
def test_what_is_imported_counts_wherever_it_is(code, tmp_path, monkeypatch):
    """... with what it imports in turn; what nobody imports does not count."""
    home = tmp_path / "home"
    monkeypatch.syspath_prepend(home)
    hashes = {}
    for changed in [None, *PACKAGE]:
        for name in [name for name in sys.modules if name.startswith("my_")]:
            monkeypatch.delitem(sys.modules, name)
        for path, text in PACKAGE.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text.replace("2", "34") + "# longer\n" if path == changed else text)
        importlib.invalidate_caches()
        hashes[changed] = code_hash(code, tmp_path, monkeypatch)
    same = {path for path in PACKAGE if hashes[path] == hashes[None]}
    assert same == {"my_stranger.py", "queue.py"}


def test_what_is_not_yours_counts_by_name():
    for name in ("json", "torch", "labkit", "nowhere"):
        assert sweep._module(name, {"json", "labkit"}) == name


def test_what_has_no_text_is_refused(tmp_path, monkeypatch):
    code = "import pandas\nTABLE = pandas.DataFrame()\ndef experiment(seed):\n    return TABLE"
    with pytest.raises(TypeError, match="and no DataFrame"):
        code_hash(code, tmp_path, monkeypatch)
    with pytest.raises(AttributeError, match="__code__"):
        sweep.code_sha256(functools.partial(trained, 3))
