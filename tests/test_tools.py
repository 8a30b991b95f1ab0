"""`make lab` never loses a learner's work; `make run` says what failed; derived files are up to date.

And all scripts run in the environment of the set-up, whatever the caller's.
"""

import asyncio
import io
import json
import os
import queue
import re
import signal
import subprocess
import sys
from pathlib import Path

import claims
import curriculum
import derive
import fresh
import lab
import long
import nbformat
import numpy as np
import pandas as pd
import pilot
import pytest
import run
from nbclient.exceptions import CellExecutionError

import labs
from labkit import data, evidence, sweep

HEAD = "# %% [markdown]\n# # A question?\n\n# %% tags=['parameters']\nBASE_SEED, REPLICATES = 0, 5\n\n"
CLAIM = """# %%
from labkit.evidence import claim

claim(
    "{statement}",
    [BASE_SEED + value for value in [1.0, 1.1, 0.9, 1.0, 1.05] * (REPLICATES // 5)],
    at_least={at_least},
    no_control="a test",
    source="a test",
)
"""


LABS = labs.SOURCES


@pytest.fixture
def small_curriculum(tmp_path, monkeypatch):
    """Two small notebooks in a folder of their own: the claim of the second does not hold."""
    sources, notebooks = tmp_path / "notebooks" / "source", tmp_path / "notebooks"
    sources.mkdir(parents=True)
    (sources / "00_good.py").write_text(HEAD + CLAIM.format(statement="It is large", at_least=0.5))
    (sources / "01_bad.py").write_text(HEAD + CLAIM.format(statement="It is huge", at_least=5.0))
    monkeypatch.setattr(curriculum, "SOURCES", sources)
    monkeypatch.setattr(curriculum, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(labs, "SOURCES", tmp_path / "labs" / "source")
    monkeypatch.setattr(lab, "WORKSPACE", tmp_path / "workspace")
    monkeypatch.setattr(lab, "COPIED", tmp_path / "workspace" / ".copied.json")
    monkeypatch.setattr(pilot, "PILOT", pilot.PILOT._replace(table=tmp_path / "claims_pilot.csv"))
    monkeypatch.setattr(claims, "CLAIMS", claims.CLAIMS._replace(table=tmp_path / "claims.csv"))
    monkeypatch.setenv("LABKIT_JOBS", "1")
    return tmp_path


def test_run_prints_all_claims_and_fails_when_one_does(small_curriculum, capsys):
    assert run.main(["00"]) == 0
    assert run.main([]) == 1
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    for expected in ("Claims of 00_good", "Claims of 01_bad", "All claims of this run", "It is large", "It is huge",
                     "✓ holds", "✗ FAILS", "2 claims, 1 hold", "01_bad did not finish", "ClaimFailed"):  # fmt: skip
        assert expected in text, expected
    executed = small_curriculum / "outputs" / "executed"
    assert sorted(path.name for path in executed.iterdir()) == ["00_good.ipynb", "01_bad.ipynb"]


@pytest.mark.parametrize("number", ["77", "0", "", "1", "00_", "00_goo", "../00", "--all"])
@pytest.mark.parametrize("sources", [curriculum.sources, labs.sources])
def test_a_number_that_names_nothing_is_one_sentence(sources, number):
    what = "lab" if sources is labs.sources else "notebook"
    with pytest.raises(SystemExit, match=re.escape(f"There is no {what} {number or repr('')}: choose from 0")):
        sources(["01", number])


@pytest.mark.parametrize("number", ["lab", "lab0", "lab1", "0", ""])
def test_nor_where_labs_are_measured_too(number):
    with pytest.raises(SystemExit, match=r"There is no (lab|notebook) .+: choose from 0"):
        pilot.sources([number])


def test_a_notebook_has_a_number_and_a_name(small_curriculum):
    assert [source.stem for source in curriculum.sources()] == ["00_good", "01_bad"]
    assert [source.stem for source in curriculum.sources(["01"])] == ["01_bad"]
    assert [source.stem for source in curriculum.sources(["01_bad", "00", "01"])] == ["00_good", "01_bad"]


@pytest.fixture
def faked_run(small_curriculum, monkeypatch):
    """A run without kernels: a function that takes what happens instead, and returns the exit status."""

    def faked(happens, numbers=("00",)):
        monkeypatch.setattr(curriculum, "execute", happens)
        return run.main(numbers)

    return faked


@pytest.mark.parametrize(
    ("other_process", "shown", "status", "sentence"),
    [
        (0, 1, 0, "1 claims, 1 hold"),
        (0, 2, 1, "00_good shows 2 claim(s), and the ledger has 1"),  # the disk was full
        (1, 0, 0, "0 claims, 0 hold"),
        (1, 1, 1, "00_good shows 1 claim(s), and the ledger has 0"),
    ],
)
def test_a_run_has_the_claims_of_its_own_kernels_and_all_of_them(
    faked_run, capsys, other_process, shown, status, sentence
):
    def execute(notebook, name, on_cell, on_start):
        on_start(os.getpid() + other_process)
        line = evidence.claim("It is 1", [1.0] * 5, at_least=0.5, no_control="a test", source="a test")._repr_html_()
        display = nbformat.v4.new_output("display_data", {"text/html": line})
        notebook.cells[-1].outputs = [display] * shown + [nbformat.v4.new_output("stream", text=line)]

    assert faked_run(execute) == status
    assert sentence in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_demonstrations_are_shown_and_not_counted(faked_run, capsys):
    def execute(notebook, name, on_cell, on_start):
        on_start(os.getpid())
        with evidence.expect_claim_failure():
            evidence.claim("It is 1", [1.0] * 5, at_least=2, no_control="a test", source="a test")
        line = '<div class="claim">'
        notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"text/html": line})]

    assert faked_run(execute) == 0
    assert "0 claims, 0 hold" in capsys.readouterr().out


def test_any_error_of_a_notebook_is_its_line_and_the_next_one_runs(faked_run, capsys):
    names = []

    def execute(notebook, name, on_cell, on_start):
        names.append(name)
        raise FileNotFoundError("no [/bold] Python \udcff here")

    sys.stdout.reconfigure(errors="replace")
    assert faked_run(execute, []) == 1
    said = capsys.readouterr().out
    assert names == ["00_good", "01_bad"]
    assert said.count("00_good did not finish. FileNotFoundError: no [/bold] Python ") == 2  # at once and at the end
    assert f"Records: {os.environ['LABKIT_OUTPUTS']}{os.sep}ledger.sqlite." in said


def test_a_copy_that_cannot_be_kept_is_a_line_too(faked_run, monkeypatch, capsys):
    def save(notebook, path):
        raise OSError("the disk is full")

    monkeypatch.setattr(curriculum, "save", save)
    assert faked_run(lambda *_, **__: None, []) == 1
    assert "01_bad did not finish. OSError: the disk is full" in capsys.readouterr().out


def test_ctrl_c_ends_the_run(faked_run):
    names = []

    def execute(notebook, name, on_cell, on_start):
        names.append(name)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        faked_run(execute, [])
    assert names == ["00_good"]


def test_what_cannot_be_written_is_found_before_the_first_kernel(faked_run, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "file" / "outputs"))
    with pytest.raises(SystemExit, match=r"outputs cannot be written \(Not a directory\): mend that, or set LABKIT_O"):
        faked_run(None)
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "outputs"))
    run.require_writable(tmp_path / "outputs")
    (tmp_path / "outputs" / "ledger.sqlite").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SystemExit, match=r"outputs cannot be written \(ledger.sqlite is read-only\)"):
        faked_run(None)


KERNEL = """# %%
import os, sys, matplotlib
print([__debug__, "extra" in globals(), matplotlib.rcParams["text.usetex"], sys.executable, os.getpid()])
1
2

# %%
import signal, time
os.kill(os.getppid(), signal.SIGINT)
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signal")
def test_a_kernel_is_this_python_without_the_users_settings_and_ends_with_ctrl_c(tmp_path, monkeypatch):
    """The user has a kernel of the same name, and settings wherever IPython, matplotlib and Python look for them."""
    spec = {"argv": ["/nowhere/python", "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    for path, text in {
        "kernels/python3/kernel.json": json.dumps(spec),
        "profile_default/ipython_config.py": "c.InteractiveShell.ast_node_interactivity = 'all'",
        "profile_default/startup/extra.py": "extra = 1",
        "matplotlibrc": "text.usetex: True",
        "startup.py": "extra = 2",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for name in ("JUPYTER_PATH", "IPYTHONDIR", "MPLCONFIGDIR", "MATPLOTLIBRC"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "startup.py"))
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    monkeypatch.setenv("MPLBACKEND", "no such backend")
    (tmp_path / "00_x.py").write_text(KERNEL)
    notebook, process = curriculum.build(tmp_path / "00_x.py"), []
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            curriculum.execute(notebook, "00_x", tmp_path / "outputs", on_start=process.append)
    finally:
        signal.signal(signal.SIGINT, handler)
    printed, result = notebook.cells[0].outputs
    assert printed.text == f"{[True, False, False, sys.executable, *process]}\n"
    assert result.data["text/plain"] == "2"
    with pytest.raises(ProcessLookupError):
        os.kill(process[0], 0)


SCRIPT = f"""
import sys
sys.path.insert(0, {os.path.dirname(fresh.__file__)!r})
import fresh
fresh.start()
import json, os, signal
from setup import STRAY
"""


def script(tmp_path, code, *flags, **environment):
    """Run a script that begins as those in tools/ do."""
    (tmp_path / "script.py").write_text(SCRIPT + code, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LABKIT"))}
    command = [sys.executable, *flags, "script.py", "an argument", ""]
    return subprocess.run(command, env=kept | environment, cwd=tmp_path, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["PYTHONOPTIMIZE", "PYTHONSAFEPATH", "PYTHONPATH", "PYTHONDEVMODE", "PYTHONWARNINGS"])
def test_scripts_run_without_the_variables_that_lead_python_astray(tmp_path, name):
    for module in ("argparse", "setup", "fresh", "json"):
        (tmp_path / "other" / f"{module}.py").parent.mkdir(exist_ok=True)
        (tmp_path / "other" / f"{module}.py").write_text("raise ImportError('of another project')")
    value = {"PYTHONPATH": str(tmp_path / "other"), "PYTHONWARNINGS": "error"}.get(name, "1")
    code = "print(json.dumps([sys.flags.optimize, *(set(STRAY) & set(os.environ)), *sys.argv[1:]]))"
    ran = script(tmp_path, code, **{name: value})
    assert (ran.stdout, ran.stderr) == ('[0, "an argument", ""]\n', "")


def test_scripts_run_with_their_asserts(tmp_path):
    assert "AssertionError: must stop" in script(tmp_path, "assert False, 'must stop'", "-O").stderr


@pytest.mark.parametrize(("given", "used"), [("out", "{folder}/out"), ("", "{root}/outputs"), (None, "{root}/outputs")])
def test_scripts_and_their_kernels_have_one_folder_for_outputs(tmp_path, given, used):
    environment = {} if given is None else {"LABKIT_OUTPUTS": given}
    shown = script(tmp_path, "print(os.environ['LABKIT_OUTPUTS'])", **environment).stdout.strip()
    assert Path(shown) == Path(used.format(folder=tmp_path.resolve(), root=curriculum.ROOT))


def test_scripts_replace_what_a_terminal_cannot_print(tmp_path):
    ran = script(tmp_path, "print('✓ holds'); print('≥', file=sys.stderr)", PYTHONIOENCODING="cp1252")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("? holds\n", "?\n", 0)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise KeyboardInterrupt", f"\n{fresh.INTERRUPTED}\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()", f"\n{fresh.INTERRUPTED}\n"),
        ("open('no.txt')", "This cannot go on: [Errno 2] No such file or directory: 'no.txt'.\n"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
def test_scripts_end_with_a_sentence(tmp_path, code, sentence):
    ran = script(tmp_path, code)
    assert ran.stderr == sentence
    assert ran.returncode != 0


def test_an_error_of_a_script_has_its_traceback(tmp_path):
    assert script(tmp_path, "1 / 0").stderr.startswith("Traceback")


def test_every_script_begins_so():
    others = {"setup", "lock", "fresh"}  # two install
    for path in Path(fresh.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if '__name__ == "__main__"' in text and path.stem not in others:
            assert text.split("fresh.start()")[0].count("\nimport ") == 2, path  # os and sys


def test_pilot_measures_claims_on_other_replicates_and_does_not_repeat_itself(small_curriculum, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["pilot.py", "--replicates", "20"])
    assert pilot.main() is None
    table = pd.read_csv(pilot.PILOT.table)
    assert list(table.statement) == ["It is large", "It is huge"]
    assert (table.pilot_mean > 1000).all()
    assert list(table.pilot_replicates) == [20, 20]
    before = pilot.PILOT.table.stat().st_mtime_ns
    assert pilot.main() is None
    assert pilot.PILOT.table.stat().st_mtime_ns == before
    assert not claims.CLAIMS.table.exists()


@pytest.fixture
def without_kernels(small_curriculum, monkeypatch):
    """The small curriculum, its cells executed in this process."""

    def execute(notebook, name, outputs, environment):
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in {"LABKIT_OUTPUTS": outputs, "LABKIT_NOTEBOOK": name, **environment}.items():
                patch.setenv(variable, value)
            try:
                exec("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code"), {})
            except RuntimeError as error:
                raise CellExecutionError("traceback", type(error).__name__, str(error)) from None

    monkeypatch.setattr(curriculum, "execute", execute)
    return small_curriculum


def test_claims_are_measured_on_replicates_of_their_own(without_kernels, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["claims.py", "--replicates", "10"])
    assert claims.main() is None
    table = pd.read_csv(claims.CLAIMS.table)
    assert list(table["mean"].round(2)) == [2001.01, 2001.01]
    assert list(table.source) == ["a test", "a test"]
    assert table.command[0] == "python tools/claims.py --replicates 10 00"
    said = capsys.readouterr().out
    assert "The 2 claims of all notebooks and labs, measured on 10 fresh replicates" in said
    assert "with probability more than 99.999 %" in said
    assert (without_kernels / "outputs" / "claims" / "01_bad.ipynb").exists()
    assert not pilot.PILOT.table.exists()
    page = claims.page(claims.CLAIMS.read())
    assert re.search(
        r"\| It is large \| none \| a test \| at least 0.5 \| 2001 ± 0.07 \| 28\d+\.\d \| – \| 5 \| < 1e-9 \|", page
    )
    assert page.count("\n## ") == 2
    assert claims.line(claims.CLAIMS.read()) in page


@pytest.mark.parametrize("replicates", ["4", "0", "-5"])
def test_too_few_replicates_are_refused_at_once(monkeypatch, capsys, replicates):
    monkeypatch.setattr("sys.argv", ["claims.py", "--replicates", replicates])
    with pytest.raises(SystemExit):
        claims.main()
    assert f"a claim needs 5 replicates or more, not {replicates}." in capsys.readouterr().err


def test_a_notebook_whose_claims_are_not_all_recorded_is_not_stored(without_kernels, monkeypatch):
    monkeypatch.setattr(curriculum, "shown_claims", lambda notebook: 2)
    monkeypatch.setattr("sys.argv", ["claims.py", "--replicates", "10", "00"])
    assert "00_good stopped, and nothing of it is stored. OSError: Its ledger does not hold all" in claims.main()
    assert not claims.CLAIMS.table.exists()


def test_claims_go_on_notebook_by_notebook(without_kernels, monkeypatch):
    monkeypatch.setattr("sys.argv", ["claims.py", "--replicates", "10", "00"])
    assert claims.main() is None
    assert claims.stale() == "claims.csv is stale or empty for 01: `make claims` renews it."
    good = curriculum.SOURCES / "01_bad.py"
    text = good.read_text()
    good.write_text(text + "\n# %%\nraise RuntimeError('too bad')\n")
    measured, ran = pilot.measure, []
    monkeypatch.setattr(pilot, "measure", lambda *of: ran.append(of[1].stem) or measured(*of))
    monkeypatch.setattr("sys.argv", ["claims.py", "--replicates", "10"])
    assert claims.main() == "01_bad stopped, and nothing of it is stored. RuntimeError: too bad"
    assert list(claims.CLAIMS.read().notebook) == ["00_good"]
    good.write_text(text)
    assert claims.main() is None
    assert ran == ["01_bad", "01_bad"]
    assert list(claims.CLAIMS.read().notebook) == ["00_good", "01_bad"]
    assert claims.stale() is None
    good.write_text(text + "\n# %% [markdown]\n# Only text\n")
    assert claims.stale() is None
    good.write_text(text + "\nassert True\n")
    assert "stale or empty for 01" in claims.stale()
    monkeypatch.setattr("sys.argv", ["claims.py", "--replicates", "15", "00"])
    assert claims.main() is None
    assert dict(zip(claims.CLAIMS.read().notebook, claims.CLAIMS.read().replicates, strict=True))["00_good"] == 15


def test_notebooks_side_by_side(small_curriculum):
    """In a process of its own, as the command is."""
    code = (
        "import curriculum, claims, pathlib, sys\n"
        f"curriculum.SOURCES = pathlib.Path({str(curriculum.SOURCES)!r})\n"
        f"claims.pilot.labs.SOURCES = pathlib.Path({str(labs.SOURCES)!r})\n"
        f"claims.CLAIMS = claims.CLAIMS._replace(table=pathlib.Path({str(claims.CLAIMS.table)!r}))\n"
        "sys.exit(claims.main())"
    )
    paths = [str(curriculum.ROOT / "tools"), str(curriculum.ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"LABKIT_JOBS": "2", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code, "--replicates", "5"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=small_curriculum)
    assert "The 2 claims of all notebooks and labs" in shown.stdout
    assert list(claims.CLAIMS.read().notebook) == ["00_good", "01_bad"]


@pytest.mark.parametrize(
    ("mean", "control", "low", "high", "demands"),
    [(1.0, 0.0, 0.6, np.inf, 0.6), (-1.0, 0.0, -np.inf, -0.25, 0.25), (3.0, 1.0, 2.0, 4.0, 0.5),
     (3.0, 7.0, 2.0, 4.0, 0.75), (3.0, 2.5, 2.0, 4.0, 0.0), (1.0, 0.9, 0.6, np.inf, 0.0)],
)  # fmt: skip
def test_severity_is_the_share_of_the_effect_that_a_threshold_demands(mean, control, low, high, demands):
    assert pilot.severity(mean, control, low, high) == pytest.approx(demands)


def test_severity_is_on_the_scale_of_the_claim():
    claim = {"statement": "s", "scale": "log", "at_least": 10.0, "at_most": None, "within_low": None,
             "within_high": None, "trials": None, "values": "[100, 100, 100, 100, 101]", "control": "[1, 1, 1, 1, 1]",
             "control_mean": 1.0, "control_is": "none of it"}  # fmt: skip
    assert pilot.summarise(claim, 5)["severity"] == pytest.approx(0.5, abs=0.01)
    assert np.isnan(pilot.summarise(claim | {"control": None, "control_is": None}, 5)["severity"])


def test_notebooks_and_labs_are_measured():
    names = [source.stem.split("_")[0] for source in pilot.sources()]
    assert names[:2] == ["00", "01"]
    assert names[-1].startswith("lab")
    assert [source.stem.split("_")[0] for source in pilot.sources(["lab01", "00"])] == ["00", "lab01"]
    assert [source.stem.split("_")[0] for source in pilot.sources(["lab01"])] == ["lab01"]


def test_a_notebook_whose_cells_do_not_run_twice_is_not_built(small_curriculum):
    def cells_of(*codes):
        cells = [nbformat.v4.new_code_cell(code, id=f"c{number}") for number, code in enumerate(codes)]
        return nbformat.v4.new_notebook(cells=cells, metadata={"labkit": {}, "kernelspec": curriculum.KERNELSPEC})

    count = "x = globals().get('x', 0) + 1"
    page = "from IPython.display import HTML, display\ndisplay(HTML(f'<div class=\"claim\">{x}</div>'))"
    with pytest.raises(curriculum.RunsOnlyOnce, match="fails when its cells run a second time: AssertionError"):
        curriculum.execute_twice(cells_of(count, "assert x == 1"), "once", small_curriculum / "outputs")
    with pytest.raises(curriculum.RunsOnlyOnce, match="says something else"):
        curriculum.execute_twice(cells_of(count, page), "changes", small_curriculum / "outputs")
    good = curriculum.execute_twice(cells_of("x = 3", page), "good", small_curriculum / "outputs")
    assert good.metadata["labkit"]["second_run"] == "1 verdicts, as in the first run"
    assert [cell.execution_count for cell in good.cells] == [1, 2]


def test_all_claims_at_once():
    rates = pd.DataFrame({"predicted_failure_rate": [0.01, 0.02, 0.0]})
    assert claims.all_green(rates) == pytest.approx(0.99 * 0.98)
    assert claims.percent(0.99 * 0.98) == "97.020 %"
    assert claims.percent(1 - 1e-9) == "more than 99.999 %"


def test_the_readme_has_a_line_on_all_claims_once_they_are_measured(without_kernels, monkeypatch):
    assert "claims_pilot.csv" in derive.claims_line()
    monkeypatch.setattr("sys.argv", ["claims.py", "--replicates", "5", "00"])
    assert claims.main() is None
    expected = "The 1 claims of all notebooks and labs but notebook 01, measured on 5 fresh replicates"
    assert expected in derive.claims_line()


LONG = """
# %% tags=["long"]
# The imports
import os

FACTOR = 2.0

# %%
raise RuntimeError("This cell is not part of the module.")

# %% tags=["long"]
def experiment(width, seed):
    with open(os.environ["LABKIT_OUTPUTS"] + ".log", "a") as log:
        log.write(f"{seed}\\n")
    if seed == 1 and not os.path.exists(os.environ["LABKIT_OUTPUTS"] + ".mended"):
        raise ValueError("too bad")
    return {"loss": FACTOR * width / (seed + 3), "curve": [1 / 3, 2], "name": "a, b", "pid": os.getpid()}

# %% tags=["long"]
LONG_RUNS = {"small": {"experiment": experiment, "grid": {"width": [5]}, "seeds": range(2)}}
"""


@pytest.fixture
def long_curriculum(small_curriculum, monkeypatch):
    """A notebook with a long run of two rows; the second fails until the file outputs.mended is there."""
    (curriculum.SOURCES / "02_long.py").write_text(HEAD + LONG)
    (small_curriculum / "data" / "results").mkdir(parents=True)
    monkeypatch.setattr(long, "RESULTS", small_curriculum / "data" / "results")
    monkeypatch.setattr(data, "__file__", str(small_curriculum / "labkit" / "data.py"))
    monkeypatch.setattr("sys.argv", ["long.py", "02"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("LABKIT_JOBS", "1")
    return small_curriculum


def finished_long_run(folder):
    (folder / "outputs.mended").touch()
    assert long.main() is None


def change_long_source(old, new):
    path = curriculum.SOURCES / "02_long.py"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return long.disagreements(path)


def test_a_long_run_that_failed_writes_nothing_and_goes_on_where_it_stopped(long_curriculum, capsys):
    with pytest.warns(UserWarning, match="1 failed"):
        said = long.main()
    assert "small: 1 of 2 runs failed, and nothing is written" in said
    assert "ValueError: too bad" in said
    with pytest.raises(FileNotFoundError, match=r"small\.json"):
        data.long_run("small")
    finished_long_run(long_curriculum)
    assert "small: 2 rows." in capsys.readouterr().out
    assert long.main() is None
    assert "small: up to date." in capsys.readouterr().out
    assert (long_curriculum / "outputs.log").read_text() == "0\n1\n1\n"
    assert sorted(path.name for path in long.RESULTS.iterdir()) == ["small.csv", "small.json"]


def test_table_and_record_of_a_long_run(long_curriculum):
    finished_long_run(long_curriculum)
    table, record = data.long_run("small")
    assert table.drop(columns=["pid", "seconds"]).to_dict("list") == {
        "width": [5, 5], "seed": [0, 1], "loss": [3.33333, 2.5], "curve": [[0.333333, 2]] * 2, "name": ["a, b"] * 2,
        "status": ["completed"] * 2, "error": [""] * 2,
    }  # fmt: skip
    assert record["code_sha256"] == sweep.code_sha256(sys.modules["02_long"].experiment)
    assert record["labkit_sha256"] == sweep.labkit_sha256()
    assert (record["grid"], record["seeds"], record["rows"]) == ({"width": [5]}, [0, 1], 2)
    assert record["command"] == "python tools/long.py 02"
    assert record.keys() >= {"torch", "python", "processor", "threads", "device", "date"}
    with pytest.raises(FileNotFoundError, match=r"other\.json"):
        data.long_run("other")


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("FACTOR = 2.0", "FACTOR = 2.5", "code"),
        ("(seed + 3)", "(seed + 4)", "code"),
        ('"width": [5]', '"width": [6]', "grid"),
        ("range(2)", "[0, 2]", "seeds"),
        ("range(2)}", 'range(2), "data": "0"}', "data"),
        ("range(2)", "(0, 1)", None),
        ("# The imports", "# All imports", None),
        ("not part of", "no part of", None),
    ],
)
def test_a_table_that_other_code_made_is_noticed(old, new, changed, long_curriculum, capsys):
    finished_long_run(long_curriculum)
    sentence = f"small.csv was made with other {changed}: `python tools/long.py 02` renews it."
    assert change_long_source(old, new) == ([sentence] if changed else [])
    capsys.readouterr()
    assert long.check(curriculum.sources()) == bool(changed)
    assert capsys.readouterr().out == (f"{sentence}\n" if changed else "")


def test_another_labkit_makes_a_long_run_stale_and_no_more(long_curriculum, monkeypatch, capsys):
    source = curriculum.SOURCES / "02_long.py"
    assert "small.csv was made with other code, data, grid, seeds, labkit" in long.disagreements(source)[0]
    finished_long_run(long_curriculum)
    monkeypatch.setattr(long, "labkit_sha256", lambda: "0" * 64)
    capsys.readouterr()
    assert not long.check([source])
    assert (
        capsys.readouterr().out
        == "small.csv is stale, made with another labkit: `python tools/long.py 02` renews it.\n"
    )


def test_cells_without_long_runs_are_one_sentence(long_curriculum):
    with pytest.raises(SystemExit, match=r"02_long.py: the last cell tagged `long` must set LONG_RUNS"):
        change_long_source("LONG_RUNS", "RUNS")


def test_a_long_run_with_workers(long_curriculum):
    """In a process of its own, as the command is."""
    (long_curriculum / "outputs.mended").touch()
    code = (
        "import curriculum, long, pathlib, sys\n"
        f"curriculum.SOURCES, long.RESULTS = map(pathlib.Path, {[str(curriculum.SOURCES), str(long.RESULTS)]})\n"
        "sys.exit(long.main())"
    )
    paths = [str(curriculum.ROOT / "tools"), str(curriculum.ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"LABKIT_JOBS": "2", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code, "02"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=long_curriculum)
    assert shown.stdout == "small: 2 rows.\n"
    table, record = data.long_run("small")
    assert list(table.loss) == [3.33333, 2.5]
    assert record["threads"] == 1
    assert long.disagreements(curriculum.SOURCES / "02_long.py") == []


def test_failure_rate_against_a_simulation():
    draws = np.random.default_rng(0).normal(1.0, 1.0, (200_000, 5))
    bound = draws.mean(1) - pilot.stats.t.ppf(0.95, 4) * draws.std(1, ddof=1) / 5**0.5
    assert pilot.failure_rate(1.0, 5) == pytest.approx((bound < 0).mean(), abs=0.005)
    assert pilot.failure_rate(4.0, 5) < 1e-6


def test_yes_no_failure_rate():
    """5 of 5 proves at least 0.549: with a proportion of 0.9 that happens 0.9^5 of the time."""
    assert pilot.yes_no_failure_rate(0.9, 5, 0.54, 1) == pytest.approx(1 - 0.9**5)
    assert pilot.yes_no_failure_rate(0.9, 5, 0.56, 1) == pytest.approx(1)


def recorded(values, **columns):
    """A row of the ledger's table `claim`, as pandas reads it."""
    names = ("trials", "at_least", "at_most", "within_low", "within_high", "control", "control_mean", "control_is")
    row = dict.fromkeys(names) | {"statement": "s", "scale": "linear", "values": json.dumps(values)} | columns
    return pd.DataFrame([row]).iloc[0]


def test_rates_of_0_and_1_have_a_distance_where_their_trials_are_known():
    rates = (np.array([100, 98, 99]) + 0.5) / 101
    logits = np.log(rates / (1 - rates))
    found = pilot.summarise(recorded([1.0, 0.98, 0.99], scale="logit", trials=100, at_least=0.5), 5)
    assert found["distance_in_sd"] == pytest.approx(logits.mean() / logits.std(ddof=1))
    assert found["mean"] == pytest.approx(0.99)


def test_distance_to_threshold_on_its_scale():
    def distance(values, **columns):
        return pilot.summarise(recorded(values, **columns), 5)["distance_in_sd"]

    assert distance([2.0, 4.0], at_least=1.0) == pytest.approx(2 / 2**0.5)
    assert distance([2.0, 4.0], at_most=1.0) == pytest.approx(-2 / 2**0.5)
    assert distance([1.0, 4.0], at_least=1.0, scale="log") == pytest.approx(0.5**0.5)
    within = {"within_low": 0.3, "within_high": 0.8, "scale": "logit"}
    assert distance([0.4, 0.6], **within) == distance([0.4, 0.6], at_least=0.3, scale="logit")
    assert distance([0.5, 0.5], **within) == np.inf
    assert distance([0.2, 0.2], **within) == -np.inf


def test_predicted_failures_by_simulation():
    """Both ends of an equivalence, and a control that now and then meets the threshold."""
    generator = np.random.default_rng(1)
    values, control = generator.normal(0, 1, 400), generator.normal(2.5, 1, 400)
    draws = generator.normal(values.mean(), values.std(ddof=1), (200_000, 5))
    width = pilot.stats.t.ppf(0.95, 4) * draws.std(1, ddof=1) / 5**0.5
    outside = (draws.mean(1) - width < -1.5) | (draws.mean(1) + width > 2)
    met = abs(generator.normal(control.mean(), control.std(ddof=1) / 5**0.5, 200_000) - 0.25) <= 1.75
    row = recorded(values.tolist(), within_low=-1.5, within_high=2.0, control=json.dumps(control.tolist()))
    assert pilot.summarise(row, 5)["predicted_failure_rate"] == pytest.approx((outside | met).mean(), abs=0.01)
    row = recorded([True] * 20, scale="yes/no", at_least=0.5, control=json.dumps([True, False] * 10))
    assert pilot.summarise(row, 5)["predicted_failure_rate"] == pytest.approx(0.5)


def workspace_copy(name="00_good"):
    return lab.WORKSPACE / "notebooks" / f"{name}.ipynb"


def edit_copy(text="print('my work')", name="00_good"):
    notebook = nbformat.read(workspace_copy(name), as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(text))
    nbformat.write(notebook, workspace_copy(name))


def renew_source():
    source = curriculum.SOURCES / "00_good.py"
    source.write_text(source.read_text() + "\n# %% [markdown]\n# new text\n")


def test_lab_copies_without_outputs(small_curriculum):
    lab.prepare()
    notebook = json.loads(workspace_copy().read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])


def test_lab_copies_the_labs_with_stubs(small_curriculum, monkeypatch):
    monkeypatch.setattr(labs, "SOURCES", LABS)
    lab.prepare()
    copies = sorted((lab.WORKSPACE / "labs").iterdir())
    assert [path.stem for path in copies] == [source.stem for source in labs.sources()]
    assert all("raise NotImplementedError" in path.read_text(encoding="utf-8") for path in copies)


def test_lab_renews_a_copy_that_the_learner_did_not_touch(small_curriculum):
    lab.prepare()
    renew_source()
    lab.prepare()
    assert "new text" in workspace_copy().read_text()


def test_lab_keeps_the_learners_work_when_nobody_can_be_asked(small_curriculum, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    lab.prepare()
    edit_copy()
    lab.prepare()
    assert "my work" in workspace_copy().read_text()
    renew_source()
    lab.prepare()
    assert "yours is kept" in capsys.readouterr().out
    assert "my work" in workspace_copy().read_text()
    assert "new text" in workspace_copy("00_good.new1").read_text()
    lab.prepare()
    assert "my work" in workspace_copy().read_text()


def test_lab_replaces_only_after_a_yes_and_keeps_a_backup(small_curriculum):
    lab.prepare()
    edit_copy()
    renew_source()
    copied = json.loads(lab.COPIED.read_text())
    renewed = curriculum.build(curriculum.SOURCES / "00_good.py")
    sentence = lab.copy("notebooks", "00_good", renewed, copied, ask=lambda name: True)
    assert "kept as 00_good.backup1.ipynb" in sentence
    assert "my work" in workspace_copy("00_good.backup1").read_text()
    assert "my work" not in workspace_copy().read_text()


def test_lab_never_writes_over_what_a_learner_may_have_touched(small_curriculum, monkeypatch):
    """Not even over an earlier new version, which is where the learner may work now."""
    monkeypatch.setattr("sys.stdin", None)
    lab.prepare()
    edit_copy("print('first work')")
    for number in (1, 2, 3):
        renew_source()
        lab.prepare()
        edit_copy(f"print('work {number}')", f"00_good.new{number}")
    texts = "".join(path.read_text() for path in workspace_copy().parent.iterdir())
    assert all(texts.count(work) == 1 for work in ("first work", "work 1", "work 2", "work 3"))
    lab.prepare()
    assert not workspace_copy("00_good.new4").exists()


class Terminal(io.StringIO):
    """Standard input at which someone types."""

    def isatty(self):
        return True


def test_lab_numbers_backups(small_curriculum, monkeypatch):
    lab.prepare()
    monkeypatch.setattr("sys.stdin", Terminal("y\ny\n"))
    for number in (1, 2):
        edit_copy(f"print('work {number}')")
        renew_source()
        lab.prepare()
    assert "work 1" in workspace_copy("00_good.backup1").read_text()
    assert "work 2" in workspace_copy("00_good.backup2").read_text()


@pytest.mark.parametrize("state", [b"", b"{", b"[1]", b"null", b'{"00_good": [3]}', b"\xff\xfe", b'"00_good"'])
def test_lab_takes_a_broken_state_for_an_empty_one(small_curriculum, state):
    lab.prepare()
    edit_copy()
    lab.COPIED.write_bytes(state)
    lab.prepare()
    assert "my work" in workspace_copy().read_text()
    assert json.loads(lab.COPIED.read_text()).keys() >= {"00_good", "01_bad"}


@pytest.mark.parametrize("content", [b"", b"\xe9\x00", "no JSON ✓".encode(), None])
def test_lab_keeps_a_copy_that_is_no_notebook(small_curriculum, content):
    """None: a folder of that name, which cannot be read as a file."""
    lab.prepare()
    workspace_copy().unlink()
    workspace_copy().mkdir() if content is None else workspace_copy().write_bytes(content)
    renew_source()
    lab.prepare()
    assert workspace_copy().is_dir() if content is None else workspace_copy().read_bytes() == content
    assert "new text" in workspace_copy("00_good.new1").read_text()


def test_other_line_ends_are_no_work_of_the_learners(small_curriculum):
    lab.prepare()
    workspace_copy().write_bytes(workspace_copy().read_bytes().replace(b"\n", b"\r\n"))
    renew_source()
    lab.prepare()
    assert "new text" in workspace_copy().read_text()


def test_lab_remembers_what_it_has_copied_when_it_is_stopped(small_curriculum, monkeypatch):
    def stopped():
        yield "notebooks", "00_good", curriculum.build(curriculum.SOURCES / "00_good.py")
        raise KeyboardInterrupt

    monkeypatch.setattr(lab, "notebooks", stopped)
    with pytest.raises(KeyboardInterrupt):
        lab.prepare()
    assert list(json.loads(lab.COPIED.read_text())) == ["00_good"]
    assert sorted(path.name for path in lab.WORKSPACE.iterdir()) == [".copied.json", "notebooks"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    def half(path):
        with curriculum.replaced(path) as partial:
            partial.write_text("n")
            raise OSError("the disk is full")

    curriculum.write(tmp_path / "file", "old")
    with pytest.raises(OSError, match="full"):
        half(tmp_path / "file")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("typed", "replace"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_only_a_yes_replaces_a_copy(monkeypatch, typed, replace):
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert lab.ask_to_replace("00_good") == replace


@pytest.mark.parametrize(("user", "arguments", "hint"), [(0, [], True), (0, ["--allow-root"], False), (7, [], False)])
def test_jupyterlab_starts_and_root_is_told_how(small_curriculum, monkeypatch, capsys, user, arguments, hint):
    started = []
    monkeypatch.setattr(fresh, "become", lambda *command_and_environment: started.append(command_and_environment))
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    monkeypatch.setenv("JUPYTER_PATH", "/nowhere")
    lab.main(arguments)
    ((command, environment),) = started
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert command[5:] == arguments
    assert "JUPYTER_PATH" not in environment
    assert (f"{Path('tools') / 'lab.py'} --allow-root" in capsys.readouterr().out) == hint


def test_derived_files_are_up_to_date():
    assert derive.main(["--check"]) == 0, "run `make notebooks`"


def test_badges_and_citation_follow_the_one_address(monkeypatch):
    assert derive.badges(None) == ""
    assert "mybinder.org/v2/gh/someone/course/v" in derive.badges("https://github.com/someone/course")
    monkeypatch.setattr(curriculum, "repository_url", lambda: None)
    assert "repository-code" not in derive.citation()
    monkeypatch.setattr(curriculum, "repository_url", lambda: "https://github.com/someone/course")
    assert "repository-code: https://github.com/someone/course" in derive.citation()


class SleepyChannel:
    """Has an answer, and notices it only when it is asked again."""

    def __init__(self, asked):
        self.asked = asked

    async def get_msg(self, timeout=None):
        self.asked.append(timeout)
        if len(self.asked) < 3:
            raise queue.Empty
        return "answer"


def test_an_answer_that_nobody_was_woken_for_is_found():
    asked = []
    channel = SleepyChannel(asked)
    curriculum._look_often(channel)
    assert asyncio.run(channel.get_msg(timeout=3600)) == "answer"
    assert asked == [1, 1, 1]


def test_no_answer_within_the_timeout_is_still_none():
    channel = SleepyChannel([])
    curriculum._look_often(channel)
    with pytest.raises(queue.Empty):
        asyncio.run(channel.get_msg(timeout=0.5))
