"""The tool that mutates solutions. Needs the extra `instructor`: `make test-instructor`."""

import pytest

pytest.importorskip("cosmic_ray", reason="cosmic-ray is for instructors: make test-instructor")

import kill_rate

import labs

CODE = '''\
def larger(a, b=2):
    """The larger of two numbers + nothing."""
    ### BEGIN SOLUTION
    if a > b:
        return a
    return b
    ### END SOLUTION
    return 7 + 1
'''


def test_mutants_change_the_solution_alone_and_none_comes_twice():
    made = kill_rate.mutants(CODE)
    assert len(made) >= 5
    assert len({code for _, code in made}) == len(made)
    for _, code in made:
        old, new = CODE.splitlines(), code.splitlines()
        assert old[:3] == new[:3]
        assert old[-2:] == new[-2:]
    assert "if a >= b:" in [line for line, _ in made]


def test_the_changed_lines_are_named():
    assert kill_rate.changes("a\nb\nc", "a\nx\nc") == ({1}, "x")
    assert kill_rate.changes("a\nb\nc", "a\nc") == ({1}, "(line removed)")
    assert kill_rate.changes("a", "a") is None
    assert kill_rate.solution_lines(CODE) == {2, 3, 4, 5}


def test_each_survivor_of_a_lab_is_explained_and_nine_of_ten_mutants_are_refused():
    for source in labs.sources():
        rows, survivors = kill_rate.measure(source)
        assert sum(row["refused"] for row in rows) >= kill_rate.LEAST * sum(row["mutants"] for row in rows)
        assert [survivor for survivor in survivors if not survivor[2]] == []
