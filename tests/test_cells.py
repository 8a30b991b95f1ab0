"""tools/cells.py: what a parser can see of the rules for cells, on cells that keep and that break them."""

import ast

import cells
import curriculum
import nbformat
import pilot
import pytest


def of(*codes, folded=()):
    """Code cells, those whose numbers are in `folded` with the tag of a drawing, and their trees."""
    made = [nbformat.v4.new_code_cell(code) for code in codes]
    for number in folded:
        made[number].metadata["tags"] = [curriculum.DRAWING]
    return made, [cells.tree(cell) for cell in made]


@pytest.mark.parametrize(
    "code",
    [
        "guess.resolve(guess.options[2])",
        "guess.resolve('It falls')",
        "guess.resolve([True, False])",
        "if True:\n    guess.resolve(guess.options[-1 + 0]) if False else guess.resolve(guess.options[1])",
    ],
)
def test_a_literal_outcome_is_refused(code):
    assert "let the measurement decide" in "".join(cells.literal_outcomes([ast.parse(code)]))


@pytest.mark.parametrize(
    "code",
    [
        "guess.resolve([change < 0, change >= 0])",
        "guess.resolve([name == best for name in guess.options])",
        "guess.resolve(areas.idxmin())",
        "sentence.resolve_all('x')",
    ],
)
def test_an_outcome_from_the_measurement_is_accepted(code):
    assert list(cells.literal_outcomes([ast.parse(code)])) == []


@pytest.mark.parametrize(
    "code",
    [
        "claim('x', values, at_least=1)",
        "model = fit(net, data, steps=3)",
        "ax.plot(train.evaluate(model, data))",
        "loss.backward()",
        "curve = measured(3)",
        "for k in range(3):\n    ax.plot(outer(k))",
        "guess.resolve([a, b])",
    ],
)
def test_a_folded_cell_that_works_is_refused(code):
    helpers = "def measured(width):\n    return fit(width)\n\ndef outer(width):\n    return measured(width)"
    found = list(cells.folded_cells_that_work(*of(helpers, code, folded=[1])))
    assert len(found) == 1
    assert "only drawing folds away" in found[0]
    assert list(cells.folded_cells_that_work(*of(helpers, code))) == []


def test_a_folded_cell_may_draw_and_define():
    drawing = "def draw(ax):\n    ax.step([0, 1], [1, 2])\n\nfig, ax = plt.subplots()\ndraw(ax)\nfigures.show(fig)"
    assert list(cells.folded_cells_that_work(*of("def work():\n    fit(3)", drawing, folded=[1]))) == []


def test_a_cell_in_sight_needs_nothing_of_a_folded_one():
    drawing = "import seaborn as sns\ndef draw(n):\n    pass\nfig, ax = plt.subplots()\nmeans = values.mean()"
    for code, needed in (("print(means)", ["means"]), ("sns.set()", ["sns"]), ("means = 3\nprint(means)", []),
                         ("fig, ax = plt.subplots()\nax.plot()", []), ("print(values)", []), ("draw(3)", []),
                         ("def mean(means):\n    return means", [])):  # fmt: skip
        found = list(cells.names_from_folded_cells(*of("values = 3", drawing, code, folded=[1])))
        assert [sentence.split()[5].rstrip(",") for sentence in found] == needed
    assert list(cells.names_from_folded_cells(*of(drawing, "sns.set(means)", folded=[0, 1]))) == []
    assert list(cells.names_from_folded_cells(*of("means = 1", drawing, "print(means)", folded=[1]))) == []


def test_the_limits_hold_for_second_editions_only(monkeypatch):
    source = curriculum.sources()[0]
    monkeypatch.setattr(cells, "code_cells", lambda source: of(*["x = 1\n" * 12] * 3)[0])
    monkeypatch.setattr(cells, "SECOND_EDITION", ())
    assert cells.problems(source) == []
    monkeypatch.setattr(cells, "SECOND_EDITION", (source.stem,))
    (problem,) = cells.problems(source)
    assert problem.startswith(f"{source.stem}: cells have 12 lines (median) and up to 12")


def test_wide_lines_are_found_in_sources_of_second_editions(monkeypatch):
    assert list(cells.too_wide("x" * 88 + "\n# " + "é" * 86)) == []
    (problem,) = cells.too_wide("x = 1\n" + "x" * 89)
    assert problem == "line 2 of the source has 89 characters, not at most 88"
    source = curriculum.sources()[0]
    monkeypatch.setattr(cells, "WIDTH", 20)
    monkeypatch.setattr(cells, "SECOND_EDITION", ())
    assert cells.problems(source) == []
    monkeypatch.setattr(cells, "SECOND_EDITION", (source.stem,))
    assert "not at most 20" in cells.problems(source)[0]


def test_a_folded_cell_carries_what_each_place_reads():
    cell = nbformat.v4.new_code_cell("ax.plot()", metadata={"tags": [curriculum.DRAWING, "nbval-ignore-output"]})
    curriculum.fold(cell)
    assert cell.metadata["jupyter"] == {"source_hidden": True}
    assert cell.metadata["tags"] == [curriculum.DRAWING, "nbval-ignore-output", "hide-input"]
    assert (cell.metadata["cellView"], cell.source.splitlines()[0]) == ("form", "# @title Code of this drawing")
    plain = nbformat.v4.new_code_cell("x = 1")
    curriculum.fold(plain)
    assert (plain.source, plain.metadata) == ("x = 1", {})
    notebook = nbformat.v4.new_notebook(cells=[cell, plain])
    nbformat.validate(notebook)


@pytest.mark.parametrize("source", pilot.sources(), ids=lambda source: source.stem)
def test_the_cells_of_this_notebook_keep_the_rules(source):
    assert cells.problems(source) == []
