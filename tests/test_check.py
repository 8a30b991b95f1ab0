"""labcheck: what it says of answers, and that nothing a learner's code does stops it."""

import base64
import io
import json
import random
import signal
import sys
import threading
import time

import curriculum
import nbformat
import numpy as np
import pytest
import torch
from sklearn.utils.extmath import softmax

from labcheck import check, exercise
from labcheck.compare import compare
from labcheck.exercise import Raised, call
from labcheck.perform import PRINTED, perform
from labcheck.time_limit import _interrupt
from labcheck.transport import Opaque, decode, encode
from labkit.ledger import Ledger


def names(code):
    """What a cell defines."""
    namespace = {}
    exec(code, namespace)
    return namespace


# Comparing ------------------------------------------------------------------------------------------------------------

A = np.arange(6.0).reshape(2, 3)

DIFFERENCES = {
    "None": (None, A, "the result: None came back; is a `return` missing?"),
    "an object": (Opaque("Value", "<>"), A, "the result: a Value came back, not an array of shape (2, 3)"),
    "text": ("x", A, "the result: text came back, not an array of shape (2, 3)"),
    "transposed": (A.T, A, "the shape is (3, 2), not (2, 3); is it transposed?"),
    "summed away": (A[0], A, "the shape is (3,), not (2, 3); was an axis summed or averaged away?"),
    "one number": (3.0, A, "one number came back for several"),
    "axis of size 1": (A[:, None], A, "an axis of size 1 too many or too few"),
    "NaN": (A * np.nan, A, "NaN (not a number) came back"),
    "infinite": (A + np.inf, A, "an infinite number came back"),
    "sign": (-A, A, "the sign is wrong"),
    "known factor": (7 * A, A, "right but for a factor, 7 times too large; did you sum?"),
    "its reciprocal": (A / 7, A, "right but for a factor, 7 times too small; did you sum?"),
    "known factor and sign": (-7 * A, A, "7 times too large and of the wrong sign; did you sum?"),
    "another factor": (2.5 * A, A, "right but for a factor, 2.5 times too large"),
    "offset": (A + 1, A, "each number is 1 too large"),
    "square, transposed": (
        np.eye(3) + np.triu(np.ones((3, 3))),
        np.eye(3) + np.tril(np.ones((3, 3))),
        "it is transposed",
    ),
    "reversed": ([4.0, 1.0, 3.0], [3.0, 1.0, 4.0], "the order is reversed"),
    "shifted": ([9.0, 1, 5, 2, 7], [1.0, 5, 2, 7, 3], "all is shifted by one place"),
    "one place": (A + (A == 4), A, "1 of 6 numbers differ, the first at [1, 1]: 5, not 4"),
    "a number": (3.0, 4.0, "the result: 3 came back, not 4"),
    "too few items": ((1, "a"), (1, "a", "b"), "2 items came back, not 3"),
    "an item": ((1, "a"), (1, "b"), "item 1 of the result: 'a' came back, not 'b'"),
    "keys": ({"a": 1}, {"b": 1}, "the keys are ['a'], not ['b']"),
    "a key's value": ({"a": 1}, {"a": 2}, "the result['a']: 1 came back, not 2"),
    "no dict": (3.0, {"a": 2}, "a number came back, not a dict"),
    "ragged": ([[1], [1, 2]], A, "the result: a list came back, not an array of shape (2, 3)"),
    "empty": ([], [1.0], "the shape is (0,), not (1,)"),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_compare_names_the_difference(kind):
    got, expected, sentence = DIFFERENCES[kind]
    assert sentence in compare(got, expected, factors={7: "did you sum?"})


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (A.tolist(), A), (torch.tensor(A), A), (A + 1e-12, A), (True, 1), (np.float32(2), 2), ([1, 2], (1, 2)),
        ("x", "x"), (None, None), ({"a": [1, "b"]}, {"a": (1, "b")}), (np.array([np.nan, 1]), [np.nan, 1.0]),
        ([], []), (np.array(3.0), 3), (np.int64(3), 3.0), (torch.tensor(float("inf")), float("inf")),
        ([torch.tensor(1.0, requires_grad=True), 2], [1.0, 2]), (A.astype(np.float32) * np.pi, A * np.pi),
        (np.float32(0.1) + np.float32(0.2), 0.3), (1000 * A + 1e-4, 1000 * A),
        ((1, [2.0]), (np.int64(1), np.array([2]))),
    ],
)  # fmt: skip
def test_compare_accepts_what_is_equal(got, expected):
    assert compare(got, expected) is None


def test_compare_says_nothing_of_tiny_numbers_and_quotes_nothing_long():
    assert compare(1e-17, -5.0) == "the result: 1e-17 came back, not -5"
    assert compare(np.full(3, 1e-12), np.arange(1.0, 4)).startswith("the result: 3 of 3 numbers differ")
    assert len(compare("x" * 10_000, "y" * 10_000)) < 200
    assert len(compare({i: i for i in range(500)}, {"a": 1})) < 200


def test_compare_calls_no_number_a_pattern_of_zeros():
    assert compare(np.ones(3), np.zeros(3)) == "the result: each number is 1 too large"
    assert compare(np.zeros(3), np.ones(3)) == "the result: each number is 1 too small"
    assert "2 of 3 numbers differ" in compare(np.array([0.0, 1, 2]), np.zeros(3))


# The learner's code ---------------------------------------------------------------------------------------------------

ENDLESS = {
    "a loop": "def f(x):\n    while True:\n        pass",
    "a loop that catches all": """
def f(x):
    while True:
        try:
            x + 1
        except:
            pass""",
    "a sleep that catches all": """
import time
def f(x):
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass""",
    "sleep": "import time\ndef f(x):\n    time.sleep(100)",
    "a generator without end": "import itertools\ndef f(x):\n    return [y for y in itertools.count() if y < 0]",
    "an argument made endless to look at": """
class Endless:
    def __repr__(self):
        while True:
            pass
def f(x):
    x.append(Endless())""",
    "two handlers": """
def f(x):
    while True:
        try:
            try:
                x += 1
            except BaseException:
                x = 0
        except BaseException:
            x = 1""",
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_answer_is_stopped(kind):
    before, started = signal.getsignal(signal.SIGINT), time.monotonic()
    reply = perform(call("f", [] if "argument" in kind else 1), names(ENDLESS[kind]), seconds=0.3)
    assert time.monotonic() - started < 10
    assert reply.kind == "endless"
    assert reply.sentence == "`f` did not end within 0.3 seconds and was stopped: does a loop never end?"
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.gettrace() is None or "coverage" in repr(sys.gettrace()) or "pydev" in repr(sys.gettrace())


def test_an_endless_answer_is_stopped_where_threads_cannot_be_signalled(monkeypatch):
    monkeypatch.delattr(signal, "pthread_kill")  # as on Windows
    assert perform(call("f", 1), names(ENDLESS["a loop"]), seconds=0.3).kind == "endless"


def test_many_short_calls_leave_no_thread_and_no_late_interrupt():
    before = threading.active_count()
    for _ in range(200):
        assert perform(call("f", 2), names("def f(x):\n    return x * x"), seconds=0.01).kind in ("", "endless")
    time.sleep(0.2)
    assert threading.active_count() <= before + 1


def test_a_limit_that_is_over_before_the_block_begins_stops_the_block(monkeypatch):
    start = threading.Thread.start

    def slow(thread):
        start(thread)
        time.sleep(0.3)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(threading.Thread, "start", slow)
    assert perform(call("f", 1), names(ENDLESS["a loop"]), seconds=0.01).kind == "endless"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("heeded")
def test_the_learners_own_interrupt_is_told_from_the_limit():
    timer = threading.Timer(0.2, lambda: _interrupt(threading.main_thread().ident))
    timer.start()
    assert perform(call("f", 1), names(ENDLESS["a loop"]), seconds=30).kind == "interrupted"


ERRORS = {
    "exit": ("import sys\ndef f(x):\n    sys.exit(3)", "SystemExit", "ends the whole program"),
    "exit()": ("def f(x):\n    exit()", "SystemExit", "ends the whole program"),
    "recursion": ("def f(x):\n    return f(x)", "recursion", "calls itself without end"),
    "stub": ("def f(x):\n    raise NotImplementedError('f')", "NotImplementedError", "is not written yet"),
    "memory": ("def f(x):\n    raise MemoryError", "MemoryError", "asks for more memory than there is"),
    "error": ("def f(x):\n    return x['a']", "TypeError", "raises TypeError: 'int' object is not subscriptable"),
    "arguments": ("def f(x, y):\n    return x", "TypeError", "missing 1 required positional argument: 'y'"),
    "no function": ("f = 3", "TypeError", "'int' object is not callable"),
    "missing": ("g = 3", "missing", "there is no `f` yet: run the cell that defines it"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_of_the_answer_is_a_sentence(kind):
    code, name, sentence = ERRORS[kind]
    reply = perform(call("f", 1), names(code))
    assert reply.kind == name
    assert sentence in reply.sentence


def test_use_beside_the_answer_names_what_is_missing_or_not_written():
    def use(answer, n):
        return answer["Counter"](n)

    assert perform(call(use, 1), names("g = 3")).sentence == "there is no `Counter` yet: run the cell that defines it"
    stub = "class Counter:\n    def __init__(self, n):\n        raise NotImplementedError('Counter')"
    assert perform(call(use, 1), names(stub)).sentence == "`Counter` is not written yet"
    assert perform(call(use, 1), names("def Counter(n):\n    return 1 / 0")).sentence.startswith(
        "your code raises Zero"
    )
    assert perform(call(use, 4), names("def Counter(n):\n    return n")).value == 4


def test_an_error_that_cannot_be_shown_is_shown_by_its_name():
    code = "class Bad(Exception):\n    def __str__(self):\n        raise ValueError\ndef f(x):\n    raise Bad"
    assert perform(call("f", 1), names(code)).sentence == "`f` raises Bad: "


def test_random_generators_are_left_as_they_were():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    seeding = "import random, numpy, torch\ndef f(x):\n    random.seed(0), numpy.random.seed(0), torch.manual_seed(0)"
    assert perform(call("f", 1), names(seeding)).kind == ""
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_changed_arguments_are_found_and_do_not_reach_the_check():
    x, y = np.zeros(3), [1, 2]
    reply = perform(call("f", x, y, 5), names("def f(x, y, z):\n    x += 1\n    y.append(3)\n    return x"))
    assert reply.changed == [0, 1]
    assert x.tolist() == [0, 0, 0]
    assert y == [1, 2]


def test_what_is_printed_is_kept_and_cut():
    reply = perform(call("f", 1), names("def f(x):\n    print('a' * 10_000)\n    return x"))
    assert reply.printed == "a" * PRINTED


def test_results_of_all_kinds_come_back():
    code = "import numpy as np, torch\ndef f(kind):\n    return {'array': np.arange(3), 'tensor': torch.ones(2), "
    code += "'tuple': (1, 'a', None), 'object': object(), 'dict': {(1, 2): [3.5]}}[kind]"
    results = {
        kind: perform(call("f", kind), names(code)).value for kind in ("array", "tensor", "tuple", "object", "dict")
    }
    assert results["array"].tolist() == [0, 1, 2]
    assert torch.equal(results["tensor"], torch.ones(2))
    assert results["tuple"] == (1, "a", None)
    assert results["object"].type == "object"
    assert results["dict"] == {(1, 2): [3.5]}


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, float("inf"), "é", [1, (2, [3])], {"a": {1: (2,)}}, np.arange(6).reshape(2, 3),
     np.float32(2.5), np.array(True), torch.arange(3), torch.ones(2, requires_grad=True),
     *[kind(number) for kind in (float, np.float64, np.float32, np.float16, torch.tensor, np.array)
       for number in (float("inf"), float("-inf"), float("nan"))],
     np.array(3.0), torch.tensor(2), np.complex64(1j), range(3), np.array([1, "a"], dtype=object)],
)  # fmt: skip
def test_encode_and_decode_are_inverse(value):
    back = decode(json.loads(json.dumps(encode(value))))
    assert type(back) is type(value) or isinstance(value, (np.generic, np.ndarray, range))
    assert compare(back, list(value) if isinstance(value, range) else value) is None or np.iscomplexobj(value)
    if isinstance(value, torch.Tensor):
        assert (back.dtype, back.requires_grad) == (value.dtype, value.requires_grad)


@pytest.mark.parametrize(
    "sent",
    [{"pickle": "x"}, {"array": "not base64"}, {"array": ""}, {}, {"tensor": "AAAA"}, {"dict": [1]}, {"tuple": 3}],
)
def test_decode_refuses_what_encode_did_not_make(sent):
    with pytest.raises(ValueError, match="not an encoded value"):
        decode(sent)


def test_decode_never_unpickles(tmp_path):
    file = io.BytesIO()
    np.save(file, np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        decode({"array": base64.b64encode(file.getvalue()).decode()})


# Checks ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lab():
    made = check.Lab("lab99_small", "A small lab")
    made.exercise("softmax", title="Softmax", difficulty=1, importance=1, minutes=1, points=4, optional=False)

    @made.checks("softmax")
    def agrees(rng):
        """agrees with the library"""
        x = rng.normal(size=(3, 4))
        return compare((yield call("softmax", x)), softmax(x, copy=True))

    @made.checks("softmax")
    def refuses(rng):
        """refuses an empty array"""
        try:
            yield call("softmax", np.zeros((0, 0)))
        except Raised as raised:
            return None if raised.kind == "ValueError" else f"raises {raised.kind}, not ValueError"
        return "accepts an empty array"

    return made


RIGHT = """
import numpy as np
def softmax(x):
    if not x.size:
        raise ValueError("empty")
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)
"""


def run(lab, code, seed=0):
    namespace = names(code)
    return lab.exercises["softmax"].run(np.random.default_rng(seed), lambda request: perform(request, namespace, 0.3))


def test_a_right_answer_passes_all_checks(lab):
    outcomes = run(lab, RIGHT)
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    assert [outcome.check for outcome in outcomes] == ["agrees with the library", "refuses an empty array"]
    assert lab.exercises["softmax"].earned(outcomes) == 4


def test_a_partly_right_answer_earns_its_share(lab):
    outcomes = run(lab, RIGHT.replace("ValueError", "TypeError"))
    assert [outcome.status for outcome in outcomes] == ["ok", "failed"]
    assert outcomes[1].message == "raises TypeError, not ValueError"
    assert lab.exercises["softmax"].earned(outcomes) == 2


def test_an_endless_answer_is_waited_for_once(lab):
    code = "calls = []\ndef softmax(x):\n    calls.append(1)\n    while True: pass"
    namespace = names(code)
    outcomes = lab.exercises["softmax"].run(np.random.default_rng(0), lambda request: perform(request, namespace, 0.3))
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert namespace["calls"] == [1]


def test_what_is_not_written_hides_nothing_of_what_is(lab, capsys):
    @lab.checks("softmax", "two of them")
    def two(rng):
        return compare((yield call("other", 1)), 2)

    outcomes = run(lab, RIGHT + "def other(x):\n    raise NotImplementedError('other')")
    assert [outcome.status for outcome in outcomes] == ["ok", "ok", "to do"]
    assert outcomes[2].message == "`other` is not written yet"
    assert lab.exercises["softmax"].earned(outcomes) == pytest.approx(4 * 2 / 3)


def test_the_same_is_said_once(lab):
    outcomes = run(lab, "def softmax(x):\n    return None")
    again = [outcomes[0], outcomes[0]._replace(check="once more")]
    text = repr(lab._report(lab.exercises["softmax"], again, seed=1))
    assert text.count("a `return` missing") == 1
    assert "✗ failed: once more: the same as above" in text


def test_a_check_that_does_not_end_is_stopped(lab, monkeypatch):
    monkeypatch.setattr(exercise, "CHECK_SECONDS", 0.3)

    @lab.checks("softmax", "counts what comes back")
    def slow(rng):
        got = yield call("softmax", np.zeros(3))
        return "" if sum(got.count(item) for item in got) else None  # quadratic in what comes back

    outcomes = run(lab, "def softmax(x):\n    return [0] * 200_000")
    assert "its check does not end: what do you return?" in outcomes[2].message


def test_an_answer_over_which_the_check_stumbles_fails(lab):
    @lab.checks("softmax")
    def stumbles(rng):
        """has three columns"""
        got = yield call("softmax", np.zeros((2, 3)))
        return None if got.shape[1] == 3 else "no"

    outcomes = run(lab, "def softmax(x):\n    return 'x'")
    assert outcomes[2].message.startswith("the answer is not of the form that is asked for (AttributeError")


def test_an_answer_that_changes_its_argument_fails(lab):
    outcomes = run(lab, RIGHT.replace("e = np.exp(x)", "e = np.exp(x, out=x)"))
    assert "`softmax` changes argument 1 in place" in outcomes[0].message


def test_inputs_differ_from_call_to_call_and_a_seed_repeats_them(lab, capsys):
    @lab.checks("softmax")
    def shows(rng):
        """shows"""
        yield call("softmax", np.ones((1, 1)))
        return str(rng.integers(10**9))

    seen = {run(lab, RIGHT, seed)[2].message for seed in (1, 2, 3, 1)}
    assert len(seen) == 3


# In a notebook --------------------------------------------------------------------------------------------------------

NOTEBOOK = '''
from labcheck import check
from labcheck.check import Lab
from labcheck.compare import compare
from labcheck.exercise import call
lab = Lab("lab99_small", "A small lab")
lab.exercise("f", title="Twice", difficulty=1, importance=1, minutes=1, points=2, optional=False)
lab.exercise("g", title="Nothing", difficulty=1, importance=1, minutes=1, points=1, optional=True)

@lab.checks("f")
def doubles(rng):
    """doubles"""
    x = float(rng.normal())
    return compare((yield call("f", x)), 2 * x, factors={2: "is the 2 missing?"})

@lab.checks("g")
def there(rng):
    """is there"""
    yield call("g")
'''
CELLS = [
    "lab.check('f')",
    "def f(x):\n    raise NotImplementedError('f')",
    "lab.check('f')",
    "if lab.solved('f', 'g'):\n    print('runs')",
    "def f(x):\n    print('looking at', type(x))\n    return x",
    "lab.check('f', seed=7)",
    "def f(x):\n    exit()",
    "lab.check('f')",
    "def f(x):\n    return 2 * x",
    "lab.check('f')",
    "print(lab.points('f'), lab.points('g'))",
    "if lab.solved('f'):\n    print('runs')",
    "lab.check('h')",
    "check.progress()",
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What each of the cells above shows in a kernel, and the ledger that they leave."""
    outputs = tmp_path_factory.mktemp("outputs")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in [NOTEBOOK, *CELLS]])
    curriculum.execute(notebook, "lab99_small", outputs)
    texts = [
        "\n".join(output.get("text") or output.data["text/plain"] for output in cell.outputs)
        for cell in notebook.cells[1:]
    ]
    return texts, Ledger(outputs / "ledger.sqlite"), notebook


def test_what_a_learner_sees(shown):
    texts = shown[0]
    assert texts[0] == "Exercise 1 · Twice: open\n○ to do: there is no `f` yet: run the cell that defines it"
    assert texts[2] == "Exercise 1 · Twice: open\n○ to do: `f` is not written yet"
    assert texts[3].startswith("This part waits for exercise 1 (Twice), 2 (Nothing)")
    assert 'lab.check("f", seed=7)' in texts[5]
    assert "✗ failed: doubles: the result: " in texts[5]
    assert "your code printed: looking at <class 'float'>" in texts[5]
    assert "ends the whole program (`exit`)" in texts[7]
    assert texts[9] == "Exercise 1 · Twice: 1 of 1 checks, 2 of 2 points\n✓ ok: doubles"
    assert texts[10].strip() == "2.0 0.0"
    assert texts[11].strip() == "runs"
    assert texts[12].startswith("There is no exercise `h` in this lab. It has `f`, `g`.")


def test_attempts_are_in_the_ledger_and_stubs_are_none(shown):
    rows = shown[1].query("SELECT lab, exercise, passed, checks, points FROM attempt ORDER BY id")
    assert rows.values.tolist() == [
        ["lab99_small", "f", 0, 1, 0.0], ["lab99_small", "f", 0, 1, 0.0], ["lab99_small", "f", 1, 1, 2.0],
    ]  # fmt: skip


def test_html_says_the_same_and_is_escaped(shown):
    html = shown[2].cells[6].outputs[0].data["text/html"]
    assert '<code>lab.check("f", seed=7)</code>' in html
    assert "&lt;class 'float'&gt;" in html or "&lt;class &#x27;float&#x27;&gt;" in html
    assert "✗ <strong>failed</strong>" in html


def test_progress_lists_all_labs_and_notebooks(shown):
    text = shown[0][13]
    assert "lab01_perceptron_to_autodiff" in text
    assert "09_governance" in text


def test_progress_takes_the_best_attempt_and_the_claims_that_held(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path))
    name = check.lab_names()[0]
    exercise = next(iter(check.lab(name).exercises.values()))
    ledger = Ledger()
    for points in (exercise.points, 0):
        ledger.record("attempt", {
            "session_id": ledger.session(), "lab": name, "exercise": exercise.name, "checks": 2, "passed": bool(points),
            "points": points, "points_possible": exercise.points,
        })  # fmt: skip
    rows = {(row["where"], row["what"]): row for row in [*check._lab_rows(ledger), *check._notebook_rows(ledger)]}
    done = rows[name, f"1 {exercise.title}"]
    assert (done["state"], done["so far"]) == ("done", f"{exercise.points:g} of {exercise.points:g} points, 2 attempts")
    assert rows["00_start_here", "notebook"]["state"] == "open"


def test_a_damaged_ledger_is_said_and_stops_nothing(tmp_path, monkeypatch, lab, capsys):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path))
    (tmp_path / "ledger.sqlite").write_text("dear diary")
    check._record("lab99_small", lab.exercises["softmax"], run(lab, RIGHT))
    shown = capsys.readouterr().out
    assert "This attempt is not recorded." in shown
    assert "damaged or no ledger at all" in shown


def test_in_a_graders_process_a_lab_says_and_does_nothing(monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_GRADING", "1")
    silent = check.lab("lab01_perceptron_to_autodiff")
    assert silent.check("f") is None
    assert silent.solved("f") is False
    assert capsys.readouterr().out == ""
