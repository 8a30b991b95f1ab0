"""`make lab` never loses a learner's work; `make run` says what failed; derived files are up to date."""

import asyncio
import json
import os
import queue
import re
import subprocess
import sys

import claims
import curriculum
import derive
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
from labkit import data, sweep

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


def test_an_unknown_notebook_is_one_sentence(small_curriculum):
    with pytest.raises(SystemExit, match="There is no notebook 07: choose from 00, 01"):
        run.main(["07"])


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
    assert "The 1 claims of notebook 00, measured on 5 fresh replicates" in derive.claims_line()


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
    with pytest.raises(ValueError, match="no long run 'small': choose from none"):
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
    with pytest.raises(ValueError, match="no long run 'other': choose from small"):
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


def edit_copy(text="print('my work')"):
    notebook = nbformat.read(workspace_copy(), as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(text))
    nbformat.write(notebook, workspace_copy())


def renew_source():
    source = curriculum.SOURCES / "00_good.py"
    source.write_text(source.read_text() + "\n# %% [markdown]\n# new text\n")


def test_lab_copies_without_outputs(small_curriculum):
    lab.prepare()
    notebook = json.loads(workspace_copy().read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])


def test_lab_copies_the_labs_with_stubs(small_curriculum):
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
    assert "new text" in workspace_copy("00_good.new").read_text()
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


def test_derived_files_are_up_to_date():
    assert derive.main(["--check"]) == 0, "run `make notebooks`"


def test_badges_and_citation_follow_the_one_address(monkeypatch):
    assert derive.badges(None, "1.0") == ""
    assert "mybinder.org/v2/gh/someone/course/v1.0" in derive.badges("https://github.com/someone/course", "1.0")
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
