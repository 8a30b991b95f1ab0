"""The labs: their checks against right and wrong answers, the build, and the notebooks as a learner opens them."""

import json
import re
import zipfile
from pathlib import Path

import curriculum
import nbformat
import numpy as np
import pytest
import torch
from nbconvert import HTMLExporter

import labs
from labcheck import check
from labcheck.agree import Agreement, mistaken
from labcheck.exercise import run_check

SOURCES = labs.sources()
SEEDS = range(3)  # of the inputs on which each answer is tried

WITH_TEMPLATE = [*SOURCES, labs.TEMPLATE]
ANSWERS = [(source, answer) for source in WITH_TEMPLATE for answer in labs.answers(source)]


@pytest.fixture(scope="module")
def loaded():
    """(source, exercise) -> (checks, names given before it), each made once."""
    made = {}

    def load(source, exercise):
        if (source, exercise) not in made:
            made[source, exercise] = labs.checks_of(source), labs.given(source, exercise)
        return made[source, exercise]

    return load


@pytest.mark.parametrize(
    ("source", "answer"), ANSWERS, ids=[f"{source.stem[:5]}-{a.exercise}-{a.kind}{a.number}" for source, a in ANSWERS]
)
def test_right_answers_pass_and_wrong_ones_fail_with_the_message_meant_for_them(loaded, source, answer):
    checks, given = loaded(source, answer.exercise)
    for seed in SEEDS:
        outcomes = labs.outcomes(checks, answer.exercise, answer.code, given, seed, seconds=2)
        statuses = {outcome.status for outcome in outcomes}
        messages = [outcome.message for outcome in outcomes if outcome.status != "ok"]
        if answer.kind in ("solution", "right"):
            assert statuses == {"ok"}, messages
        else:
            assert any(answer.message in message for message in messages), messages
            assert answer.message
        if answer.kind == "stub":
            assert statuses == {"to do"}


# Answers of people who knew only the student notebook: `tests/answers/LAB/EXERCISE__wrong__301.py`, `..._right_...`.
# The first line of each says what is wrong, or unusual. Tried in 20 draws when they were collected; here in one.
READERS = sorted((Path(__file__).parent / "answers").glob("*/*.py"))


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.stem)
def test_readers_answers_are_judged_rightly(loaded, path):
    exercise, kind, _ = path.stem.split("__")
    source = labs.SOURCES / f"{path.parent.name}.py"
    checks, given = loaded(source, exercise)
    outcomes = labs.outcomes(checks, exercise, path.read_text(encoding="utf-8"), given, seed=len(path.stem), seconds=2)
    refused = [outcome.message for outcome in outcomes if outcome.status != "ok"]
    assert bool(refused) == (kind == "wrong"), refused


def dressed(value, form):
    """A learner's result with its numbers in another form."""
    if isinstance(value, (list, tuple)) and not all(isinstance(item, (int, float, np.number)) for item in value):
        return type(value)(dressed(item, form) for item in value)
    if isinstance(value, torch.Tensor) or not isinstance(value, (list, tuple, np.ndarray, int, float, np.number)):
        return value
    array = np.asarray(value)
    if form == "float32":
        return array.astype(np.float32)
    return array.tolist() if form == "list" else torch.from_numpy(array.copy()) if form == "tensor" else array


@pytest.mark.parametrize("form", ["float32", "list", "tensor", "array"])
@pytest.mark.parametrize("source", WITH_TEMPLATE, ids=lambda source: source.stem)
def test_results_in_another_form_are_as_right(loaded, source, form, monkeypatch):
    def perform(request, namespace, seconds):
        reply = plain_perform(request, namespace, seconds)
        reply.value = dressed(reply.value, form) if isinstance(request.target, str) else reply.value
        return reply

    plain_perform = labs.perform
    monkeypatch.setattr(labs, "perform", perform)
    for answer in labs.answers(source):
        if answer.kind == "solution":
            checks, given = loaded(source, answer.exercise)
            outcomes = labs.outcomes(checks, answer.exercise, answer.code, given, seed=0)
            assert [outcome.message for outcome in outcomes] == [""] * len(outcomes)


def tables(source):
    """(exercise, target, sentence, its agreements) for each misreading in a lab's tables."""
    for exercise in labs.checks_of(source).exercises.values():
        agreements = [check for check in exercise.checks if isinstance(check, Agreement)]
        for target in {agreement.target for agreement in agreements}:
            alike = [agreement for agreement in agreements if agreement.target == target]
            for sentence in dict.fromkeys(s for agreement in alike for s in agreement.misreadings):
                yield exercise.name, alike, sentence


MISREADINGS = [(source, *row) for source in WITH_TEMPLATE for row in tables(source)]


@pytest.mark.parametrize(
    ("source", "exercise", "alike", "sentence"),
    MISREADINGS,
    ids=[f"{source.stem[:5]}-{exercise}-{i}" for i, (source, exercise, *_) in enumerate(MISREADINGS)],
)
def test_each_misreading_is_refused_with_its_own_sentence(source, exercise, alike, sentence):
    for seed in SEEDS:
        said = set()
        for agreement in alike:
            misread = agreement.misreadings.get(sentence)
            if misread:
                said.add(run_check(agreement, np.random.default_rng(seed), mistaken(misread)).message)
        assert sentence in said


@pytest.mark.parametrize("source", WITH_TEMPLATE, ids=lambda source: source.stem)
def test_each_reference_passes_its_own_checks(source):
    for exercise in labs.checks_of(source).exercises.values():
        for agreement in exercise.checks:
            if isinstance(agreement, Agreement):
                outcome = run_check(agreement, np.random.default_rng(0), mistaken(agreement.reference))
                assert (outcome.status, outcome.message) == ("ok", "")


def test_the_template_runs_and_its_claim_holds(tmp_path):
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "template.py").write_text(labs.checks_module(labs.TEMPLATE), encoding="utf-8")
    notebook = labs.build(labs.TEMPLATE, "solutions")
    code = f"import labcheck.labs\nlabcheck.labs.__path__.append({str(tmp_path / 'checks')!r})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(code))
    shown = "\n".join(texts(cell) for cell in curriculum.execute(notebook, "template", tmp_path / "outputs").cells)
    assert "1 of 1 checks, 2 of 2 points" in shown
    assert "HOLDS: Hebb's rule recalls" in shown


@pytest.mark.parametrize("source", WITH_TEMPLATE, ids=lambda source: source.stem)
def test_each_exercise_has_two_right_and_four_wrong_answers_and_diagnoses_differ(source):
    answers = labs.answers(source)
    for exercise in labs.exercises(source):
        mine = [answer for answer in answers if answer.exercise == exercise.name]
        assert sum(answer.kind in ("solution", "right") for answer in mine) >= 2
        wrong = [answer.message for answer in mine if answer.kind == "wrong"]
        assert len(wrong) >= 4
        assert len(set(wrong)) >= 4


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_what_stands_in_the_repository_is_what_the_source_builds(source):
    assert labs.disagreements(source) == []


@pytest.fixture(scope="module", params=SOURCES, ids=lambda source: source.stem)
def student_run(request, tmp_path_factory):
    """A lab's student notebook, run from top to bottom with nothing solved."""
    notebook = labs.build(request.param, "student")
    return curriculum.execute(notebook, request.param.stem, tmp_path_factory.mktemp("outputs"))


def texts(cell):
    """What a cell shows, as text."""
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])]
    return "\n".join(parts)


def test_the_student_notebook_runs_to_its_end_and_says_what_is_to_do(student_run):
    checks = [cell for cell in student_run.cells if cell.cell_type == "code" and labs.CHECK_CALL.search(cell.source)]
    assert len(checks) >= 3
    for cell in checks:
        assert re.search(r"○ to do: `[\w.]+` is not written yet", texts(cell)), texts(cell)


def test_the_student_notebook_becomes_a_page(student_run):
    page, _ = HTMLExporter().from_notebook_node(student_run)
    assert "is not written yet" in page
    assert "<summary>Hint 1</summary>" in page


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_solution_notebook_passes_all_checks(source):
    notebook = nbformat.read(labs.LABS / "solutions" / f"{source.stem}.ipynb", as_version=4)
    checks = [cell for cell in notebook.cells if cell.cell_type == "code" and labs.CHECK_CALL.search(cell.source)]
    assert len(checks) == len(labs.exercises(source))
    for cell in checks:
        assert "✓ ok" in texts(cell)
        assert "✗" not in texts(cell)
        assert "○" not in texts(cell)
    assert not any("waits for exercise" in texts(cell) for cell in notebook.cells)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_graded_version_holds_no_hint_and_no_solution(source):
    text = nbformat.writes(labs.build(source, "graded"))
    assert "<details>" not in text
    assert "Hint 1" not in text
    assert labs.BEGIN not in text
    assert labs.HIDDEN_BEGIN not in text
    for answer in labs.answers(source):
        if answer.kind == "solution":
            written = set(labs.solved(answer.code).splitlines()) - set(labs.stub(answer.code, "x").splitlines())
            assert not [line for line in written if len(line.strip()) > 25 and json.dumps(line)[1:-1] in text]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_student_notebook_folds_hints_and_solution_away(source):
    notebook = labs.build(source, "student")
    folded = [cell.source for cell in notebook.cells if cell.source.startswith("<details>")]
    names = [exercise.name for exercise in labs.exercises(source)]
    assert sum("<summary>Solution, and why</summary>" in text for text in folded) == len(names)
    assert sum("<summary>Hint 1</summary>" in text for text in folded) == len(names)
    assert all(text.count("<details>") == text.count("</details>") == 1 for text in folded)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_stated_time_is_the_sum_and_there_are_at_most_five_exercises(source):
    exercises = labs.exercises(source)
    core = [exercise for exercise in exercises if not exercise.optional]
    assert 1 <= len(core) <= len(exercises) <= labs.EXERCISES
    first = "".join(cell.source for cell in labs.build(source, "student").cells[:3])
    assert f"**Time:** {sum(exercise.minutes for exercise in core)} minutes for the core" in first
    assert all(1 <= value <= 5 for exercise in exercises for value in (exercise.difficulty, exercise.importance))


def test_a_release_is_the_graded_notebooks_and_a_zip_of_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path))
    labs.release_command([])
    names = {f"{source.stem}.ipynb" for source in SOURCES}
    assert {path.name for path in (tmp_path / "release").iterdir()} == names | {"labs.zip"}
    with zipfile.ZipFile(tmp_path / "release" / "labs.zip") as archive:
        assert set(archive.namelist()) == names
        for name in names:
            nbformat.validate(nbformat.reads(archive.read(name).decode(), as_version=4))
    assert "without hints and solutions" in capsys.readouterr().out


def test_a_release_that_fails_leaves_the_zip_as_it_was(tmp_path, monkeypatch):
    def write(archive, *names):
        raise OSError("the disk is full")

    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path))
    labs.release_command(["01"])
    before = (tmp_path / "release" / "labs.zip").read_bytes()
    with pytest.raises(SystemExit, match="There is no lab 0: choose from 01"):
        labs.release_command(["0"])
    monkeypatch.setattr(zipfile.ZipFile, "write", write)
    with pytest.raises(OSError, match="full"):
        labs.release_command([])
    assert (tmp_path / "release" / "labs.zip").read_bytes() == before
    assert not list((tmp_path / "release").glob("*.partial"))


# The build refuses what is not complete -------------------------------------------------------------------------------

SMALL = '''\
# %% [markdown]
# # What is a mean?
# {exercises}

# %%
from labcheck import check

lab = check.lab("lab99_small")

# %% [markdown] exercise="mean" difficulty=1 importance=2 minutes=5 points=4
# ### The mean
# Write it.

# %% solution="mean"
def mean(x):
    """The mean of a list."""
    ### BEGIN SOLUTION
    return sum(x) / len(x)
    ### END SOLUTION

# %% [markdown] hint="mean"
# Add, then divide.

# %% [markdown] why="mean"
# That is what a mean is.

# %% checks="mean"
from labcheck.compare import compare
from labcheck.exercise import call


@checks("mean")
def agrees(rng):
    """is the mean"""
    x = rng.normal(size=5)
    got = yield call("mean", x.tolist())
    return compare(got, x.mean(), factors={5: "did you forget to divide?"})

# %% right="mean"
def mean(x):
    return sum(value / len(x) for value in x)

# %% wrong="mean" message="did you forget to divide?"
def mean(x):
    return sum(x)

# %% wrong="mean" message="a `return` missing"
def mean(x):
    sum(x) / len(x)

# %% wrong="mean" message="not"
def mean(x):
    return sum(x) / (len(x) - 1)

# %% wrong="mean" message="wrong sign"
def mean(x):
    return -sum(x) / len(x)

# %%
lab.check("mean")

# %% tags=["experiment"]
if lab.solved("mean"):
    print(mean([1, 2]))
'''


@pytest.fixture
def small(tmp_path):
    source = tmp_path / "lab99_small.py"
    source.write_text(SMALL, encoding="utf-8")
    return source


def test_the_parts_of_a_small_lab(small):
    assert [labs.header(exercise) for exercise in labs.exercises(small)] == [
        "*Exercise 1, core · difficulty ●○○○○ · importance ●●○○○ · about 5 minutes · 4 points*"
    ]
    student = [cell.source for cell in labs.build(small, "student").cells]
    assert student[0].endswith("**Time:** 5 minutes for the core. Solve them in any order you like.")
    assert student[3] == (
        'def mean(x):\n    """The mean of a list."""\n    # YOUR CODE HERE\n    raise NotImplementedError("mean")'
    )
    assert student[5].startswith("<details>\n<summary>Solution, and why</summary>\n\n```python\ndef mean(x):")
    solutions = [cell.source for cell in labs.build(small, "solutions").cells]
    assert solutions[3] == 'def mean(x):\n    """The mean of a list."""\n    return sum(x) / len(x)'
    assert solutions[5] == "**Why.** That is what a mean is."
    source_cells = labs.build(small, "nbgrader").cells
    assert "### BEGIN SOLUTION" in source_cells[3].source
    assert source_cells[4].source.endswith('### BEGIN HIDDEN TESTS\nlab.points("mean")\n### END HIDDEN TESTS')
    assert source_cells[4].metadata.nbgrader.points == 4
    assert [answer.kind for answer in labs.answers(small)] == ["solution", "stub", "right", *["wrong"] * 4]


BREAKS = {
    "no points": (" points=4", "", "exercise mean lacks points in its header"),
    "no marks": ("### BEGIN SOLUTION", "# here", "needs pairs of the lines ### BEGIN SOLUTION and ### END SOLUTION"),
    "no check call": ('lab.check("mean")', "pass", r'needs one cell with lab.check\("mean"\)'),
    "no checks": ('# %% checks="mean"', "# %%", 'needs a cell with checks="mean"'),
    "no hint": ('# %% [markdown] hint="mean"', "# %% [markdown]", "needs a cell with hint="),
    "no other right answer": ('# %% right="mean"', "# %%", "needs another right answer"),
    "three wrong answers": ('# %% wrong="mean" message="wrong sign"', "# %%", "needs four wrong answers"),
    "unknown name": ('# %% [markdown] hint="mean"', '# %% [markdown] hint="mode"\n# x\n\n# %% [markdown] hint="mean"',
                     'hint="mode" belongs to no exercise'),
}  # fmt: skip


@pytest.mark.parametrize("kind", BREAKS)
def test_an_incomplete_source_is_refused_with_what_it_lacks(small, kind):
    old, new, message = BREAKS[kind]
    text = small.read_text(encoding="utf-8")
    assert old in text
    small.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(labs.LabError, match=message):
        labs.build(small, "student")


def test_six_exercises_are_too_many(small):
    text, body = small.read_text(encoding="utf-8").split("# %% [markdown] exercise=", 1)
    more = "".join("# %% [markdown] exercise=" + body.replace("mean", f"mean{i}") for i in range(6))
    small.write_text(text + more, encoding="utf-8")
    with pytest.raises(labs.LabError, match=r"6 exercises; 5 are the most\. What is left over can be \*Your turn\*"):
        labs.exercises(small)


def test_four_experiments_and_too_many_lines_are_refused(small):
    text = small.read_text(encoding="utf-8")
    small.write_text(
        text + "".join(f"\n# %% [markdown]\n# ### Experiment {i}: x\n" for i in range(4)), encoding="utf-8"
    )
    with pytest.raises(labs.LabError, match="4 experiments; 3 are the most"):
        labs.exercises(small)
    small.write_text(text + "\n" * labs.LINES, encoding="utf-8")
    with pytest.raises(labs.LabError, match="lines; 1300 are the most"):
        labs.exercises(small)


def test_a_patch_is_an_answer_and_must_fit(small):
    text = small.read_text(encoding="utf-8")
    patches = (
        '# %% patches="mean"\n[("sum(x)", "max(x)", "not"), ("/ len(x)", "* (1 / len(x))", "")]\n\n# %%\nlab.check'
    )
    small.write_text(text.replace("# %%\nlab.check", patches), encoding="utf-8")
    right, wrong = ([a for a in labs.answers(small) if a.kind == kind][-1] for kind in ("right", "wrong"))
    assert "return sum(x) * (1 / len(x))" in right.code
    assert "return max(x) / len(x)" in wrong.code
    assert (wrong.number, wrong.message) == (5, "not")
    small.write_text(small.read_text(encoding="utf-8").replace('"sum(x)"', '"x"'), encoding="utf-8")
    with pytest.raises(labs.LabError, match="holds the text of a patch 3 times, not once: 'x'"):
        labs.answers(small)
    small.write_text(
        text.replace("# %%\nlab.check", '# %% patches="mean"\n[("a",)]\n\n# %%\nlab.check'), encoding="utf-8"
    )
    with pytest.raises(labs.LabError, match='patches="mean" must be a list with a line'):
        labs.answers(small)


def test_a_stub_names_the_function_that_it_stands_for():
    body = "### BEGIN SOLUTION\n{0}pass\n{0}### END SOLUTION\n"
    code = "class A:\n    def f(self):\n        " + body.format("        ") + "\ndef g(x):\n    " + body.format("    ")
    assert labs.stub(code, "A").count("NotImplementedError") == 2
    assert 'NotImplementedError("A.f")' in labs.stub(code, "A")
    assert 'NotImplementedError("g")' in labs.stub(code, "A")
    assert 'NotImplementedError("x")' in labs.stub("### BEGIN SOLUTION\ny = 1\n### END SOLUTION\n", "x")


def test_a_change_of_the_source_is_noticed(small, monkeypatch, tmp_path):
    for folder in ("checks", "solutions"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(labs, "LABS", tmp_path)
    for path, text in labs.built_files(small).items():
        path.write_text(text, encoding="utf-8")
    curriculum.save(labs.build(small, "solutions"), tmp_path / "solutions" / "lab99_small.ipynb")
    assert labs.disagreements(small) == []
    small.write_text(SMALL.replace("Add, then divide", "First add"), encoding="utf-8")
    assert [problem.split(" ", 1)[0] for problem in labs.disagreements(small)] == [
        "labs/lab99_small.ipynb", "labs/solutions/lab99_small.ipynb", "labs/solutions/lab99_small.ipynb",
    ]  # fmt: skip


def test_an_unknown_lab_is_one_sentence():
    with pytest.raises(ValueError, match=r"There is no lab 'lab00_nothing'; there is lab01_"):
        check.lab("lab00_nothing")
    with pytest.raises(SystemExit, match="There is no lab 77: choose from 01"):
        labs.sources(["77"])
