"""nbgrader on the labs' own source, as a course would run it. Needs the extra `instructor`: `make test-instructor`."""

import os
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest

import labs
from labcheck import submissions

pytest.importorskip("nbgrader", reason="nbgrader is for instructors: make test-instructor")

SOURCE = labs.sources()[0]
NAME = SOURCE.stem
POINTS = {exercise.name: exercise.points for exercise in labs.exercises(SOURCE)}


def nbgrader(course, *arguments):
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # nbgrader looks for alembic there
    environment = os.environ | {"LABKIT_OUTPUTS": str(course / "outputs"), "OMP_NUM_THREADS": "1", "PATH": path}
    command = [sys.executable, "-m", "nbgrader", *arguments, f"--course-dir={course}"]
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def answered(notebook, answers):
    """A released notebook with some of its stubs replaced by answers: {exercise: code}."""
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removesuffix("-answer")
        if name in answers and cell.metadata.nbgrader.solution:
            cell.source = answers[name]
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course whose students handed in: everything solved, one exercise right and one wrong, nothing."""
    course = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_OUTPUTS", str(course))
        labs.nbgrader_command([NAME[3:5]])
    course /= "nbgrader"
    nbgrader(course, "generate_assignment", NAME)
    released = course / "release" / NAME / f"{NAME}.ipynb"

    answers = labs.answers(SOURCE)
    solutions = {answer.exercise: labs.solved(answer.code) for answer in answers if answer.kind == "solution"}
    first, second, *_ = solutions
    wrong = next(answer.code for answer in answers if answer.kind == "wrong" and answer.exercise == second)
    for student, given in {"all": solutions, "some": {first: solutions[first], second: wrong}, "none": {}}.items():
        handed_in = course / "submitted" / student / NAME / f"{NAME}.ipynb"
        handed_in.parent.mkdir(parents=True)
        nbformat.write(answered(nbformat.read(released, as_version=4), given), handed_in)
    nbgrader(course, "autograde", NAME)
    return course, released


def score(course, student):
    """{exercise: points} as nbgrader has them."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        notebook = gradebook.find_submission_notebook(NAME, NAME, student)
        return {grade.cell.name.removesuffix("-check"): grade.score for grade in notebook.grades}


def test_the_released_notebook_has_stubs_and_neither_solutions_nor_hidden_tests(course):
    text = course[1].read_text(encoding="utf-8")
    assert "raise NotImplementedError" in text
    assert "SOLUTION" not in text
    assert "HIDDEN TESTS" not in text
    assert "lab.points" not in text


def test_points_are_those_of_the_header(course):
    assert score(course[0], "all") == POINTS


def test_a_wrong_answer_and_an_open_one_get_less(course):
    first, second, *others = POINTS
    got = score(course[0], "some")
    assert got[first] == POINTS[first]
    assert got[second] < POINTS[second]
    assert all(got[name] == 0 for name in others)
    assert set(score(course[0], "none").values()) == {0}


def test_the_grader_reads_what_nbgrader_collected(course):
    found = submissions.find(course[0], {NAME: SimpleNamespace(exercises=POINTS)})
    assert [(one.student, one.lab, one.reason) for one in found] == [
        (student, NAME, "") for student in ("all", "none", "some")
    ]


def test_the_metadata_fits_nbgraders_schema():
    from nbgrader.nbgraderformat import reads

    for version in ("graded", "nbgrader"):
        notebook = reads(nbformat.writes(labs.build(SOURCE, version)), as_version=4)  # raises where it does not
        marked = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
        assert len(marked) == 2 * len(POINTS)
        assert {row.schema_version for row in marked} == {3}
