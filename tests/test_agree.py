"""Tables of references and misreadings, the inputs that are drawn for them, and what stands in for other objects."""

import numpy as np
import pytest
import torch

from labcheck.agree import Agreement, mistaken, patched
from labcheck.check import Lab
from labcheck.draw import CASES, FORMS, KINDS, LARGE, Draw, cases, in_form
from labcheck.exercise import run_check
from labcheck.fakes import TooManySteps, depth_first, graph, random_graph
from labcheck.perform import perform


def case(kind, number=0, seed=0):
    return Draw(np.random.default_rng(seed), kind, number)


# Inputs ---------------------------------------------------------------------------------------------------------------


def test_each_kind_is_drawn():
    assert set(CASES) == set(KINDS)
    drawn = []
    list(cases(np.random.default_rng(0), lambda make: drawn.append(make.kind) or (1,)))
    assert tuple(drawn) == CASES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_sums_and_products_are_exact_in_any_order_and_in_float32(kind, seed):
    make = case(kind, seed=seed)
    x, w = make.numbers(40, 6), make.numbers(6)
    exact = [sum(float(a) * float(b) for a, b in zip(row, w, strict=True)) for row in x]
    assert (x @ w == exact).all()
    assert (x[:, ::-1].astype(np.float32) @ w[::-1].astype(np.float32) == exact).all()


def test_what_each_kind_brings():
    zeros, doubled = case("zeros").numbers(20, 3), case("doubled").numbers(7, 3)
    assert (zeros[0] == 0).all()
    assert 0.2 < (zeros == 0).mean() < 0.8
    assert (doubled[4:] == doubled[:3]).all()
    assert np.abs(case("large").numbers(50)).max() == 2 * LARGE
    assert np.isin(case("whole").numbers(50), [-2, -1, 0, 1, 2]).all()
    assert [case("large", number).scalar() > 0 for number in (0, 1)] == [False, True]
    square = case("square")
    assert square.size(1, 40) == square.size(1, 9)
    assert (case("smallest").size(2, 9), case("doubled").size(1, 40) >= 4, case("doubled").size(1, 3)) == (2, True, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_of_both_kinds_and_of_twins_every_other_pair_agrees(kind):
    for n in (1, 2, 9):
        labels = case(kind).labels(n)
        assert labels.shape == (n,)
        assert set(labels) <= {-1, 1}
        assert n == 1 or kind == "doubled" or len(set(labels)) == 2
    twins = case("doubled").labels(8)
    assert (twins[4:] == twins[:4] * [1, -1, 1, -1]).all()


def test_near_is_a_tie_then_above_then_below():
    values = np.array([1.0, 2.5])
    found = [case("plain", number).near(values) for number in range(3)]
    assert found[0] in values
    assert found[1] - 1 / 64 in values
    assert found[2] + 1 / 64 in values


def test_each_form_of_arrays():
    value = {"unchanged": 1}, [np.ones((2, 2)), 3], np.arange(2)
    assert in_form(value, "list")[1:] == ([[[1.0, 1.0], [1.0, 1.0]], 3], [0, 1])
    assert in_form(value, "float32")[1][0].dtype == np.float32
    assert in_form(value, "float32")[2].dtype == np.arange(2).dtype
    assert torch.equal(in_form(value, "tensor")[2], torch.arange(2))
    with pytest.raises(ValueError, match="no form 'series' of arrays: choose from array, float32"):
        in_form(value, "series")


def test_forms_that_an_exercise_promises_are_cases_of_their_own():
    drawn = list(cases(np.random.default_rng(0), lambda make: (make.numbers(3),), ("plain",), FORMS))
    kinds = [type(arguments[0]).__name__ for arguments in drawn]
    assert kinds == ["ndarray"] * 3 + ["list"] * 2 + ["Tensor"] * 2
    assert drawn[1][0].dtype == np.float32


# Tables ---------------------------------------------------------------------------------------------------------------


def mean(inputs, labels):
    return labels @ inputs / len(inputs)


def table(**more):
    misreadings = {
        "divide by n": lambda inputs, labels: labels @ inputs,
        "use labels": ("labels @ inputs", "inputs.sum(0)"),
    }
    settings = {"line": "is the mean", "target": "f", "reference": mean, "misreadings": misreadings} | more
    return Agreement(draw=lambda make: (make.numbers(n := make.size(1, 9), 3), make.labels(n)), **settings)


def said(agreement, code, seed=0):
    """What a check says of a learner's code."""
    namespace = {"np": np, "torch": torch}
    exec(code, namespace)
    outcome = run_check(agreement, np.random.default_rng(seed), lambda request: perform(request, namespace, 1))
    return outcome.status, outcome.message


F = "def f(inputs, labels):\n    "


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("return labels @ inputs / len(inputs)", "ok", ""),
        ("return (torch.tensor(inputs).float().T @ torch.tensor(labels).float() / len(labels)).tolist()", "ok", ""),
        ("return labels @ inputs", "failed", "divide by n"),
        ("return inputs.mean(0)", "failed", "use labels"),
        ("return labels @ inputs / (len(inputs) + 1)", "failed", "the result: "),
        ("return np.round(labels @ inputs / len(inputs))", "failed", "numbers differ, the first at"),
        ("inputs *= 2", "failed", "changes argument 1 in place"),
        ("return inputs[99]", "failed", "`f` raises IndexError"),
        ("raise NotImplementedError('f')", "to do", "`f` is not written yet"),
        ("while True: pass", "failed", "did not end"),
    ],
)
def test_the_sentence_about_an_answer(seed, body, status, message):
    found = said(table(), F + body, seed)
    assert found[0] == status
    assert message in found[1]


def test_a_misreading_that_raises_explains_an_answer_that_raises():
    wrong_axis = table(misreadings={"the wrong axis": lambda inputs, labels: inputs @ labels / len(labels)})
    assert said(wrong_axis, F + "return inputs @ labels / len(labels)") == ("failed", "the wrong axis")


def test_what_is_kept_from_one_call_to_the_next_is_noticed():
    code = "total = []\n" + F + "total.append(1)\n    return labels @ inputs / len(inputs) + (len(total) > 10)"
    assert "what do you keep from one call to the next?" in said(table(), code)[1]


def test_parts_of_a_result_have_names():
    two = table(reference=lambda inputs, labels: (1, inputs.mean()), misreadings={}, parts=("the bias", "the mean"))
    assert said(two, F + "return 1, inputs.mean()") == ("ok", "")
    assert said(two, F + "return 2, inputs.mean()") == ("failed", "the bias: 2 came back, not 1")
    assert said(two, F + "return 1") == ("failed", "return 2 things: the bias, the mean")
    assert "a `return` missing" in said(two, F + "pass")[1]


def test_an_explanation_comes_before_the_misreadings():
    explained = table(explain=lambda got, expected, *arguments: "too large" if np.max(got) > 50 else None)
    assert said(explained, F + "return labels @ inputs + 100")[1] == "too large"
    assert said(explained, F + "return np.zeros(3) + labels @ inputs")[1] in ("divide by n", "too large")


def test_a_patch_must_fit_the_reference():
    assert patched(mean, "labels @ inputs", "3")(np.ones((2, 1)), np.ones(2)) == 1.5
    with pytest.raises(ValueError, match="`mean` holds the text of a misreading 2 times, not once: 'labels'"):
        patched(mean, "labels", "x")


def test_a_lab_has_agreements_among_its_checks():
    lab = Lab("lab99_small", "A small lab")
    lab.exercise("f", title="F", difficulty=1, importance=1, minutes=1, points=1, optional=False)
    lab.agrees("f", "is the mean", draw=table().draw, reference=mean)
    outcomes = lab.exercises["f"].run(np.random.default_rng(0), mistaken(mean))
    assert [(outcome.check, outcome.status) for outcome in outcomes] == [("is the mean", "ok")]


# Stand-ins ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "zeros", "smallest", "square"])
def test_a_random_graph_has_parents_before_children_and_two_ways_to_its_end(kind):
    for seed in range(10):
        parents, slopes = random_graph(case(kind, seed, seed))
        assert all(parent < child for child, row in enumerate(parents) for parent in row)
        assert [len(row) for row in parents] == [len(row) for row in slopes]
        order = depth_first(parents, len(parents) - 1, [])
        assert len(order) == len(set(order))
        assert order[-1] == len(parents) - 1
        assert all(order.index(parent) < order.index(child) for child in order for parent in parents[child])


def test_nodes_that_are_looked_at_too_often_say_so():
    nodes = graph([[], [0]], [[], [2.0]], grad=7.0)
    assert (nodes[1].parents, nodes[1].slopes, nodes[1].data, nodes[1].grad) == ((nodes[0],), (2.0,), 1.0, 7.0)
    with pytest.raises(TooManySteps):
        sum(len(nodes[1].parents) for _ in range(2000))
