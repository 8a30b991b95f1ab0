"""The grader grades what is right, and no submission can stop it, gain points by a trick, or leave a process behind.

A batch of submissions, good and bad, is graded once, by the command in a process of its own; the tests look at what it
wrote. Each bad one also has right answers, so that points lost to the grader show as well as points won by a trick.
test_sandbox.py attacks what lies around a submission.
"""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest
from small_lab import (
    COUNTER,
    DESCENDING,
    GOOD,
    HEAD,
    ISOLATED,
    LAB,
    MEAN,
    MEDIAN,
    NOBODY,
    NOT_ISOLATED,
    OTHER_LAB,
    PRIVATE,
    STUB,
    WRONG,
    call_of,
    command,
    notebook,
    ordinary,
    points,
    read,
)  # fmt: skip

from labcheck import grade, grade_child, grade_one, gradebook, sandbox, submissions
from labcheck import labs as labs_package

BLOCK = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])"  # which would stop it gently
TRUE_TO_ALL = """
class Any(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __abs__(self): return self
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __le__(self, other): return True
    __lt__ = __ge__ = __gt__ = __le__
    def __hash__(self): return 0
    def __bool__(self): return True
    def __array__(self, *a, **k): return np.zeros(6)
"""

# What stands in for `descending`, or runs before it. Where nothing else is said, that exercise and only that gets 0;
# patched labcheck breaks the sender's other arrays, too.
TRICKS = {
    "endless_in_a_cell": [*GOOD, "while True: pass"],
    "endless_in_a_cell_that_does_not_stop": [
        *GOOD,
        f"{BLOCK}\nwhile True: pass",
    ],
    "endless_in_an_answer": [*GOOD, "def descending(x):\n    while True: pass"],
    "endless_in_an_answer_that_does_not_stop": [
        *GOOD,
        f"def descending(x):\n    {BLOCK}\n    while True: pass",
    ],
    "exit_in_a_cell": ["exit()", "import sys; sys.exit(3)", "quit()", "import os; os._exit(0)", *GOOD],
    "exit_in_an_answer": [*GOOD, "def descending(x):\n    import sys; sys.exit()"],
    "hard_exit_in_an_answer": [*GOOD, "def descending(x):\n    import os; os._exit(0)"],
    "crash_in_an_answer": [*GOOD, "def descending(x):\n    import ctypes; ctypes.string_at(0)"],
    "memory_in_a_cell": [*GOOD, "held = []\nwhile True: held.append(np.ones(10**7))"],
    "memory_in_an_answer": [*GOOD, "def descending(x):\n    return np.ones((10**5, 10**5))"],
    "memory_of_many_processes": [
        *GOOD,
        "import os, time\ndef descending(x):\n    for _ in range(6):\n        if not os.fork():\n"
        "            held = np.ones(8 * 10**6); time.sleep(60)\n    time.sleep(60)",
    ],
    "fork_bomb": [  # of 60 processes
        *GOOD,
        "import os, time\ndef descending(x):\n    for _ in range(60):\n        if not os.fork(): time.sleep(MARK)\n"
        "    time.sleep(60)",
    ],
    "daemon": [
        "import os, subprocess, sys, time\nif not os.fork():\n    os.setsid()\n    if not os.fork():\n"
        "        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(MARK)'])\n    os._exit(0)",
        "subprocess.Popen(['sleep', 'MARK'], start_new_session=True)",
        *GOOD,
    ],
    "edited_checks": [
        HEAD.replace("lab = ", "lab = real = "),
        "class Fake:\n    def check(self, *a): print('✓ ok: all')\n    def solved(self, *a): return True\n"
        "    def points(self, *a): return 100\nlab = Fake()",
        *GOOD[1:3],
        WRONG,
        *GOOD[4:],
    ],
    "patched_allclose": [
        *GOOD,
        WRONG,
        "import builtins\nfor name in ('allclose', 'array_equal', 'isclose'):\n"
        "    setattr(np, name, lambda *a, **k: True)\nnp.testing.assert_allclose = lambda *a, **k: None\n"
        "builtins.all = lambda *a: True",
    ],
    "patched_labcheck": [
        *GOOD,
        WRONG,
        "from labcheck import compare, exercise, perform, transport\ncompare.compare = lambda *a, **k: None\n"
        "exercise.run_check = lambda *a: exercise.Outcome('c', 'ok', '', '')\n"
        "check.perform = lambda *a: exercise.Reply()\nplain = transport.encode\n"
        "fake = lambda v: plain(v) if not isinstance(v, np.ndarray) else {'opaque': ['ok', 'ok']}\n"
        "transport.encode = perform.encode = fake",
    ],
    "renamed_function": [*GOOD[:3], DESCENDING.replace("descending", "sort_desc"), *GOOD[4:]],
    "deleted_cells": [HEAD, MEAN, COUNTER, MEDIAN],
    "huge_output_of_a_cell": ["for _ in range(3000): print('x' * 100_000)", *GOOD],
    "huge_output_of_an_answer": [
        *GOOD,
        "def descending(x):\n    import os\n    for _ in range(1000): print('y' * 10**6); os.write(1, b'z' * 10**5)\n"
        "    return np.sort(x)",
    ],
    "equal_to_everything": [*GOOD, TRUE_TO_ALL, "def descending(x):\n    return Any()"],
    "list_of_equal_to_everything": [*GOOD, TRUE_TO_ALL, "def descending(x):\n    return [Any()] * len(x)"],
    "array_subclass": [
        *GOOD,
        "class Sly(np.ndarray):\n    def __array_ufunc__(self, *a, **k): return np.bool_(True)\n"
        "    def __array_function__(self, *a, **k): return True\n    def __eq__(self, other): return True\n"
        "def descending(x):\n    return np.zeros(len(x)).view(Sly)",
    ],
    "result_that_raises": [
        *GOOD,
        "class Sly:\n    def fail(self, *a): raise KeyboardInterrupt\n"
        "    __repr__ = __array__ = __float__ = __len__ = fail\n"
        "def descending(x):\n    return [Sly()]",
    ],
    "result_that_never_ends": [
        *GOOD,
        "class Sly:\n    def __repr__(self):\n        while True: pass\ndef descending(x):\n    return Sly()",
    ],
    "not_a_number": [*GOOD, "def descending(x):\n    return np.full(len(x), np.nan)"],
    "huge_array": [*GOOD, "def descending(x):\n    return np.zeros(18 * 10**5)"],
    "huge_integer": [*GOOD, "def descending(x):\n    return 10**10000"],
    "endlessly_nested": [*GOOD, "def descending(x):\n    x = []\n    x.append(x)\n    return x"],
    "fake_replies": [
        "import json, os\nline = json.dumps({'token': '0', 'value': 1.0, 'kind': '', 'sentence': ''}) + chr(10)",
        "print(line, line)",
        *GOOD,
        "def descending(x):\n    for fd in range(3, 20):\n        try: os.write(fd, line.encode() * 20)\n"
        "        except OSError: pass\n    return np.sort(x)",
    ],
    "a_reply_without_end": [
        *GOOD,
        "import os\ndef descending(x):\n    while True:\n        for fd in range(3, 20):\n"
        "            try: os.write(fd, b'x' * 10**6)\n            except OSError: pass",
    ],
    "closed_files": [*GOOD, "import os\ndef descending(x):\n    os.closerange(0, 100)"],
    "replaced_modules": [
        *GOOD,
        "import sys, types\nfor name in ('labcheck.check', 'labcheck', 'labkit', 'json', 'random'):\n"
        "    sys.modules[name] = types.ModuleType(name)",
        WRONG,
    ],
    "handlers_and_threads": [
        "import atexit, signal, threading\nfor number in (2, 10, 15, 24): signal.signal(number, signal.SIG_IGN)\n"
        "atexit.register(lambda: descending.forever)",
        "def spin():\n    while True: pass\nthreading.Thread(target=spin).start()",
        *GOOD,
        WRONG,
    ],
    "ends_its_grader": [*GOOD, "import os\ndef descending(x):\n    os.kill(os.getppid(), 9)"],
    "reads_the_checks": [
        *GOOD,
        "def descending(x):\n    from labcheck.labs import lab97_small\n    return np.sort(x)[::-1]",
    ],
    "forges_what_is_not_written": [*GOOD, STUB, "descending.__class__.__call__ = lambda *a: True"],
    "big_file": [
        *GOOD,
        "def descending(x):\n    open('big', 'wb').write(bytes(2 * 10**7))\n    return np.sort(x)[::-1]",
    ],
}
UNHARMED = {  # tricks that cost no answer, so that all points are given
    "endless_in_a_cell", "endless_in_a_cell_that_does_not_stop", "exit_in_a_cell", "memory_in_a_cell", "daemon",
    "huge_output_of_a_cell",
}  # fmt: skip

MAGICS = [
    "%matplotlib inline\n!touch shell_ran",
    "files = !ls",
    "%%bash\ntouch shell_ran",
    "%%time\nmade_by_magic = 1",
    "import os\nassert not os.path.exists('shell_ran') and files == [] and made_by_magic == 1",
    "display(1)",
]
SURROUNDINGS = [
    "import os, sys, pickle",
    "assert os.environ['LABKIT_GRADING'] == '1' and 'SECRET_OF_THE_CALLER' not in os.environ",
    "assert os.getcwd() == os.environ['HOME'] == os.environ['LABKIT_OUTPUTS'] and os.listdir() == []",
    "assert not any('labcheck' in path for path in sys.path)",
    "class Own: pass\nassert type(pickle.loads(pickle.dumps(Own()))) is Own",
    "print('<script>alert(1)</script>'); print(os.getcwd())",
]


NO_NOTEBOOKS = {
    "text": b"def mean(x): return x.mean()",
    "truncated": notebook(GOOD).encode()[:-30],
    "zip": b"PK\x03\x04" + bytes(range(256)),
    "empty": b"",
    "a_list": b"[1, 2]",
    "without_cells": b'{"nbformat": 4, "metadata": {}}',
    "odd_cells": b'{"nbformat": 4, "metadata": {}, "cells": [1, {"cell_type": "code", "source": {"a": 1}}]}',
    "old_format": notebook(GOOD).replace('"nbformat": 4', '"nbformat": 3').encode(),
    "binary": os.urandom(5000),
    "deep": b'{"nbformat": 4, "cells": ' + b"[" * 100_000,
    "kernel_r": notebook(["mean <- function(x) 1"], kernelspec={"name": "ir", "language": "R"}).encode(),
    "kernel_julia": notebook(GOOD, kernelspec={}, language_info={"name": "julia"}).encode(),
    "no_lab": notebook(["1 + 1"]).encode(),
    "two_labs": notebook([HEAD, HEAD.replace("97_small", "98_other")]).encode(),
}


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    """The folder with the checks of two small labs."""
    folder = tmp_path_factory.mktemp("checks")
    (folder / "lab97_small.py").write_text(LAB)
    (folder / "lab98_other.py").write_text(OTHER_LAB)
    return folder


# With LABKIT_ABUSE=all as the superuser and as a user without rights, with one job and with two; else as whoever tests.
SETTINGS = [("whoever tests", 2)]
if os.environ.get("LABKIT_ABUSE") == "all" and sandbox.is_superuser():
    SETTINGS = [(user, jobs) for user in ("the superuser", "an ordinary user") for jobs in (1, 2)]


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda setting: f"{setting[0]}, jobs {setting[1]}")
def batch(request, labs, tmp_path_factory):
    """All submissions, graded at once: the gradebook's rows by student, and the pages."""
    if not ISOLATED:
        pytest.skip(NOT_ISOLATED)
    user, jobs = request.param
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("grades")
    mark = f"6{os.getpid()}.5"  # seconds that a process that gets away would sleep, by which we would find it
    texts = {name: notebook([cell.replace("MARK", mark) for cell in cells]).encode() for name, cells in TRICKS.items()}
    texts |= NO_NOTEBOOKS
    texts["good"] = notebook(GOOD).encode()
    texts["first_edition"] = notebook([HEAD.replace("labcheck", "labkit"), *GOOD[1:]]).encode()
    texts["wrong"] = notebook([*GOOD, WRONG]).encode()
    texts["half"] = notebook([*GOOD, "def descending(x):\n    return np.sort(x)[::-1][:6]"]).encode()
    texts["open"] = notebook([*GOOD, STUB, "descending(np.ones(3))"]).encode()
    imports = ["import missing, math as text", "%time text.pi", "import missing_but_used", "%time missing_but_used"]
    texts["unused_import"] = notebook([*imports, *GOOD]).encode()
    texts["magics"] = notebook([*MAGICS, *GOOD]).encode()
    texts["surroundings"] = notebook([*SURROUNDINGS, *GOOD]).encode()
    texts["experiment"] = notebook([*GOOD, "raise SystemExit"], {len(GOOD): ["experiment"]}).encode()
    merged = [*GOOD[:3], f"raise SystemExit\n{DESCENDING}\nmedian = lambda x: np.median(x)", COUNTER]
    texts["answer_in_an_experiment"] = notebook(merged, {3: ["experiment"]}).encode()
    texts["no_answer_in_an_experiment"] = notebook([*merged, "descending = [][0]"], {5: ["experiment"]}).encode()
    texts["untagged"] = notebook([*GOOD, "if lab.solved('mean'):\n    raise ValueError"]).encode()
    texts["markup"] = notebook([*GOOD, "raise ValueError('</pre><script>x</script>')", WRONG]).encode()
    for name, text in texts.items():
        (folder / f"{name}_lab97_small.ipynb").write_bytes(text)
    (folder / "no_lab_lab97_small.ipynb").rename(folder / "no_lab.ipynb")
    (folder / "renamed.ipynb").write_text(notebook(GOOD))
    (folder / "only_functions.ipynb").write_text(notebook(["import numpy as np", MEAN, DESCENDING, COUNTER]))
    (folder / "Zoë O'Neill").mkdir()
    (folder / "Zoë O'Neill" / "my work.ipynb").write_text(notebook(GOOD))
    (folder / "other_lab98.ipynb").write_text(notebook(["1"]))
    (folder / "=1+1").mkdir()
    (folder / "=1+1" / "lab97.ipynb").write_text(notebook(GOOD))
    call = call_of(folder, "--checks", labs, "--private", labs / "none", "--out", out, "--jobs", jobs)
    if user == "an ordinary user":
        place = tmp_path_factory.getbasetemp()
        for each in (place, folder, labs):
            each.chmod(0o755)
        shutil.chown(out, NOBODY)
        call = ordinary(call, place)
    done = subprocess.run(**call, capture_output=True)
    assert (out / "gradebook.csv").exists(), done.stderr
    return SimpleNamespace(rows=read(out), out=out, mark=mark, shown=done.stdout, code=done.returncode)


def page(batch, student):
    return (batch.out / batch.rows[student]["feedback"]).read_text(encoding="utf-8")


# What is graded -------------------------------------------------------------------------------------------------------


def test_a_right_submission_gets_all_points_and_optional_ones_are_not_in_the_sum(batch):
    row = batch.rows["good"]
    assert points(row) == [2, 4, 2, 1]
    assert (row["points"], row["points_possible"], row["status"], row["note"]) == ("8", "8", "graded", "")


def test_a_notebook_of_the_first_edition_is_graded(batch):
    """Where the checks were a part of labkit."""
    assert (batch.rows["first_edition"]["points"], batch.rows["first_edition"]["note"]) == ("8", "")


def test_points_are_the_share_of_the_checks(batch):
    assert points(batch.rows["wrong"]) == [2, 0, 2, 1]
    assert points(batch.rows["half"]) == [2, 2, 2, 1]
    assert points(batch.rows["open"]) == [2, 0, 2, 1]
    assert "the result: the order is reversed" in page(batch, "wrong")
    assert "is not written yet" in page(batch, "open")
    assert batch.rows["open"]["note"] == "1 cell stopped with an error"


def test_experiments_are_skipped_by_their_tag_or_because_nothing_is_solved(batch):
    assert batch.rows["experiment"]["note"] == ""
    assert batch.rows["untagged"]["note"] == ""


def test_an_answer_that_got_into_an_experiment_is_graded_and_noted(batch):
    row = batch.rows["answer_in_an_experiment"]
    assert points(row) == [2, 4, 2, 1]
    assert row["note"] == (
        "code cell 4 answers descending, median but is tagged `experiment`: only its functions, classes and imports run"
    )
    assert "<code>experiment</code>: only its functions" in page(batch, "answer_in_an_experiment")
    row = batch.rows["no_answer_in_an_experiment"]
    assert points(row) == [2, 0, 2, 0]
    assert "code cell 6 answers descending" in row["note"]


def test_magics_do_no_harm_and_shell_commands_do_not_run(batch):
    assert (batch.rows["magics"]["points"], batch.rows["magics"]["note"]) == ("8", "")


def test_code_runs_in_an_empty_folder_and_sees_nothing_of_the_caller(batch):
    assert batch.rows["surroundings"]["note"] == ""


def test_of_a_module_that_only_experiments_use_nothing_is_imported(batch):
    assert batch.rows["unused_import"]["note"] == "2 cells stopped with an error"
    assert "No module named 'missing_but_used'" in page(batch, "unused_import")


def test_feedback_escapes_what_comes_from_a_student(batch):
    for student in ("surroundings", "markup"):
        assert "<script>" not in page(batch, student)
        assert "&lt;script&gt;" in page(batch, student)


def test_students_and_labs_are_found_by_folder_name_and_content(batch):
    assert batch.rows["Zoë O'Neill"]["points"] == "8"
    assert batch.rows["renamed"]["lab"] == "lab97_small"
    assert points(batch.rows["only_functions"]) == [2, 4, 2, 0]
    assert batch.rows["'=1+1"]["points"] == "8"


# What is not ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NO_NOTEBOOKS)
def test_what_is_no_notebook_of_a_lab_is_reported_and_gets_a_page(batch, name):
    row = batch.rows[name]
    assert (row["points"], row["status"]) == ("0", "not graded")
    assert row["note"]
    assert row["note"].split(":")[0] in page(batch, name).replace("&#x27;", "'")


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_costs_its_own_exercise_and_nothing_else(batch, name):
    row = batch.rows[name]
    assert row["status"] == "graded"
    expected = [0, 0, 2, 0] if name == "patched_labcheck" else [2, 4 if name in UNHARMED else 0, 2, 1]
    assert points(row) == expected, row["note"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("endless_in_a_cell", "did not end within 3 seconds and was stopped"),
        ("endless_in_a_cell_that_does_not_stop", "nor stop when told to"),
        ("endless_in_an_answer", "did not end within 3 seconds and was stopped"),
        ("endless_in_an_answer_that_does_not_stop", "nor stop when told to"),
        ("exit_in_a_cell", "ends its whole process (exit status 0)"),
        ("exit_in_an_answer", "ends the whole program"),
        ("hard_exit_in_an_answer", "ends its whole process (exit status 0)"),
        ("crash_in_an_answer", "ends its whole process (exit status -11)"),
        ("memory_in_a_cell", "uses more than 0.4 GB of memory"),
        ("memory_in_an_answer", "asks for more memory than there is"),
        ("memory_of_many_processes", "did not end within 3 seconds"),
        ("fork_bomb", "raises BlockingIOError"),
        ("renamed_function", "there is no <code>descending</code> yet"),
        ("deleted_cells", "there is no <code>descending</code> yet"),
        ("huge_array", "returns more than a grader takes"),
        ("fake_replies", "writes into the pipe to the grader"),
        ("a_reply_without_end", "writes into the pipe to the grader"),
        ("reads_the_checks", "raises ModuleNotFoundError"),
        ("big_file", "File too large"),
    ],
)
def test_feedback_says_what_happened(batch, name, sentence):
    assert sentence in page(batch, name)


def test_an_error_of_the_grader_itself_is_reported_in_its_row_and_in_a_log(batch):
    row = batch.rows["other"]
    assert (row["lab"], row["points"], row["status"]) == ("lab98_other", "0", "grader failed")
    assert "OSError: could not get source code" in (batch.out / "log" / "other_lab98_other.txt").read_text()


def test_what_is_printed_without_end_is_cut(batch):
    assert len(page(batch, "huge_output_of_a_cell")) < 50_000


def test_no_process_is_left(batch):
    time.sleep(0.1)
    words = [word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or []]
    assert not any(batch.mark in word for word in words)
    mine = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert not any("labcheck.grade_child" in words for words in mine)


# Without a sandbox ----------------------------------------------------------------------------------------------------


def test_where_bubblewrap_is_missing_or_fails_one_sentence_says_what_to_do(one, own_labs, monkeypatch, capsys):
    def fail(_):
        raise sandbox.GraderError("No permissions to create a new namespace")

    monkeypatch.setattr(sandbox, "installed", lambda: False)
    assert "`apt install bubblewrap`" in refused(capsys, one)
    monkeypatch.setattr(sandbox, "installed", lambda: True)
    monkeypatch.setattr(sandbox, "try_out", fail)
    assert "No permissions to create a new namespace" in refused(capsys, one)


def test_what_submissions_could_see_is_refused(one, own_labs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "installed", lambda: True)
    monkeypatch.setattr(sandbox, "SYSTEM", (str(tmp_path / "private"),))
    assert "where submissions can read it" in refused(capsys, one, "--private", tmp_path / "private")


def test_without_isolation_limits_of_time_hold_and_the_gradebook_has_a_warning(one, labs, tmp_path):
    cells = [HEAD, MEAN, COUNTER, "import os; os._exit(5)", f"def descending(x):\n    {BLOCK}\n    while True: pass"]
    (one / "bob_lab97.ipynb").write_text(notebook(cells))
    options = ["--checks", labs, "--private", labs / "none", "--out", tmp_path / "out", "--not-isolated"]
    done = command(one, *options)
    assert done.returncode == 0
    assert "Not isolated: a submission can do all that you can" in done.stderr
    rows = read(tmp_path / "out")
    assert {row["isolated"] for row in rows.values()} == {gradebook.NOT_ISOLATED}
    assert (points(rows["ada"]), points(rows["bob"])) == ([2, 4, 2, 0], [2, 0, 2, 0])
    assert "code cell 4 ends its whole process (exit status 5)" in rows["bob"]["note"]
    assert "nor stop when told to" in rows["bob"]["note"]


# Seeds and private checks ---------------------------------------------------------------------------------------------


@pytest.fixture
def one(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada_lab97.ipynb").write_text(notebook([*GOOD, "def median(x): return float(x[0]) + 1"]))
    return tmp_path / "in"


def test_a_seed_repeats_a_grading_and_the_gradebook_names_it(one, labs, tmp_path):
    pages, seeds = [], []
    for number, seed in enumerate(([], [], None)):
        options = ["--seed", seeds[0]] if seed is None else seed
        out = tmp_path / f"out{number}"
        assert command(one, "--checks", labs, "--private", labs / "none", "--out", out, *options).returncode == 0
        pages.append((out / "feedback" / "ada_lab97_small.html").read_text())
        seeds.append(read(out)["ada"]["seed"])
    assert seeds[0] == seeds[2] != seeds[1]
    assert pages[0] == pages[2] != pages[1]


def at_work(process):
    """The processes below a grader's that run learners' code by now."""
    for _ in range(600):
        found = psutil.Process(process.pid).children(recursive=True)
        if any("labcheck.grade_child" in one.cmdline() for one in found):
            return found
        time.sleep(0.1)
    raise TimeoutError


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these signals")
@pytest.mark.parametrize(
    ("send", "number"), [("killpg", "SIGINT"), ("kill", "SIGINT"), ("kill", "SIGTERM"), ("killpg", "SIGHUP")]
)
def test_an_interrupted_grading_keeps_what_was_graded(one, labs, tmp_path, send, number):
    """Ctrl-C and a terminal that closes reach all processes; `kill`, and systems that shut down, only one."""
    (one / "bob_lab97.ipynb").write_text(notebook(["import time\ntime.sleep(60)"] * 20))
    out = tmp_path / "out"
    options = ["--checks", labs, "--private", labs / "none", "--out", out, "--jobs", 1]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def heed():  # also where these tests run in the background, or under nohup
        signal.signal(getattr(signal, number), signal.SIG_DFL)

    process = subprocess.Popen(**call_of(one, *options), **pipes, start_new_session=True, preexec_fn=heed)
    while "[1/2] ada" not in process.stdout.readline():
        assert process.poll() is None
    assert read(out)["ada"]["points"] == "8"  # before the other is graded
    started = at_work(process)
    getattr(os, send)(process.pid, getattr(signal, number))
    assert "Interrupted. What was graded is in" in process.communicate(timeout=120)[1]
    assert process.returncode == 130
    rows = read(out)
    assert (rows["ada"]["status"], rows["ada"]["points"]) == ("graded", "8")
    assert rows["bob"]["note"] == submissions.NOT_REACHED
    assert psutil.wait_procs(started, timeout=5)[1] == []


@pytest.mark.skipif(os.name == "nt", reason="no signal can be sent to a thread there")
@pytest.mark.usefixtures("heeded")
def test_a_signal_that_does_not_wake_the_main_thread_ends_a_grading():
    def interrupt():
        time.sleep(0.3)  # by then the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    grader = grade.Grader({}, 1, None)
    connection, theirs = grade.PROCESSES.Pipe(duplex=False)
    process = grade.PROCESSES.Process(target=time.sleep, args=(60,))
    process.start()
    grader.works[connection] = None, process, float("inf")
    begin = time.monotonic()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        grader.grade_all([], print)
    theirs.close()
    assert time.monotonic() - begin < 5
    assert process.exitcode == -signal.SIGTERM


def test_a_process_that_dies_costs_its_submission_and_no_other(one, labs, tmp_path):
    """Such as by the system, where memory runs out."""
    (one / "bob_lab97.ipynb").write_text(notebook(GOOD))
    (one / "cem_lab97.ipynb").write_text(notebook(["import time\ntime.sleep(60)"] * 20))
    options = ["--checks", labs, "--private", labs / "none", "--out", tmp_path / "out", "--jobs", 1]
    process = subprocess.Popen(**call_of(one, *options), stdout=subprocess.PIPE)
    while "[2/3] bob" not in process.stdout.readline():
        assert process.poll() is None
    worker, *rest = at_work(process)
    worker.kill()
    process.communicate(timeout=60)
    assert psutil.wait_procs(rest, timeout=5)[1] == []
    rows = read(tmp_path / "out")
    assert process.returncode == 1
    assert [rows[name]["status"] for name in ("ada", "bob", "cem")] == ["graded", "graded", "grader failed"]
    assert "exit status -9" in (tmp_path / "out" / "log" / "cem_lab97_small.txt").read_text()


@pytest.mark.parametrize("stdout", ["narrow", "nobody reads", "closed"])
def test_the_terminal_ends_no_grading(one, labs, tmp_path, stdout):
    (one / "ada_lab97.ipynb").rename(one / "Łukasz_lab97.ipynb")
    call = call_of(one, "--checks", labs, "--private", labs / "none", "--out", tmp_path / "out", "--jobs", 1)
    call["env"] |= {"PYTHONIOENCODING": "cp1252" if stdout == "narrow" else "utf-8"}
    if stdout == "closed":
        call["args"][2] = f"import os; os.close(1); {call['args'][2]}"
    process = subprocess.Popen(**call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if stdout == "nobody reads":
        process.stdout.close()
        process.stdout = None
    shown, errors = process.communicate(timeout=120)
    assert (process.returncode, errors.replace(f"{grade.UNSAFE}\n", "")) == (0, "")
    assert stdout != "narrow" or r"[1/1] \u0141ukasz, \u0141ukasz_lab97.ipynb: 8 of 8 points" in shown
    assert read(tmp_path / "out")["Łukasz"]["points"] == "8"


def test_a_machine_that_starts_no_process_costs_a_submission_and_not_the_grading(one, own_labs, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(grade.PROCESSES.Process, "start", refuse)
    options = ["--private", str(one / "none"), "--out", str(tmp_path / "out"), "--not-isolated"]
    assert grade.main([str(one), *options]) == 1
    row = read(tmp_path / "out")["ada"]
    assert row["status"] == "grader failed"
    assert "Resource temporarily unavailable" in (tmp_path / "out" / "log" / "ada_lab97_small.txt").read_text()


def test_private_checks_are_added_and_set_the_seed_and_their_code_is_not_shown(one, labs, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "lab97_small.py").write_text(PRIVATE)
    out = tmp_path / "out"
    done = command(one, "--checks", labs, "--private", tmp_path / "private", "--out", out)
    assert done.returncode == 0, done.stderr
    row = read(out)["ada"]
    assert (row["seed"], points(row)) == ("4711", [1, 4, 2, 0])
    text = (out / row["feedback"]).read_text()
    assert "of no numbers at all" in text
    assert "np.zeros" not in text
    assert "4711" not in text


# Bad calls ------------------------------------------------------------------------------------------------------------


def refused(capsys, *argv):
    assert grade.main([str(each) for each in argv]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.fixture
def own_labs(labs, monkeypatch):
    """The small labs in place of the real ones, in this process."""
    monkeypatch.setattr(labs_package, "__path__", [str(labs)])


def test_a_bad_call_is_one_sentence(one, own_labs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grade, "look_at_isolation", lambda *_: None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert "Which folder?" in refused(capsys)
    assert "Which folder?" in refused(capsys, "")
    assert "is no folder" in refused(capsys, tmp_path / "missing")
    assert "There is no .ipynb" in refused(capsys, tmp_path / "empty")
    assert "lies in the folder of the submissions" in refused(capsys, one, "--out", one / "grades")
    assert not (one / "grades").exists()
    assert "There is no lab 'lab99': choose from lab97_small, lab98_other." in refused(capsys, one, "--lab", "lab99")
    assert "cannot be written to" in refused(capsys, one, "--out", tmp_path / "file" / "out")
    assert "--jobs is at least 1" in refused(capsys, one, "--jobs", 0)


def test_the_command_finds_its_own_modules_whatever_the_callers_settings(tmp_path):
    """As those of a shell that is set up for another project."""
    (tmp_path / "numpy.py").write_text("raise ImportError('built for another Python')")
    settings = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "1"}
    command = [sys.executable, "-m", "labcheck.grade", "missing"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "missing is no folder.\n")


def test_broken_private_checks_stop_before_the_first_submission(one, own_labs, tmp_path, capsys):
    (tmp_path / "private").mkdir()
    path = tmp_path / "private" / "lab97_small.py"
    path.write_text(PRIVATE.replace('@checks("mean")', '@checks("meaning")'))
    assert "The checks of lab97_small cannot be loaded. KeyError" in refused(capsys, one, "--private", path.parent)
    path.rename(path.with_name("lab97.py"))
    assert "lab97.py, which is named for no lab" in refused(capsys, one, "--private", path.parent)


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("ada_lab97_small.ipynb", "ada"),
        ("lab97_small_ada.ipynb", "ada"),
        ("ada-lab97.ipynb", "ada"),
        ("ada lovelace lab97_small.ipynb", "ada lovelace"),
        ("lab97_small.ipynb", "lab97_small"),
        ("ada/lab97_small.ipynb", "ada"),
        ("ada/my homework/lab97_small.ipynb", "ada"),
        ("ada/lab97_small/lab97_small.ipynb", "ada"),  # as nbgrader collects them
        ("lab97_small/ada.ipynb", "ada"),
        ("Lab97/ada/x.ipynb", "ada"),
        ("ada_LAB97.IPYNB", "ada"),
        ("ada_lab97_small (1).ipynb", "ada"),
        ("ada_lab97-Copy1.ipynb", "ada"),
        ("ada_lab97_small.ipynb.txt", "ada"),
        ("J. Doe lab97.ipynb", "J. Doe"),
        ("Ada Lovelace_42_assignsubmission_file_/lab97_small.ipynb", "Ada Lovelace_42"),  # as Moodle writes them
        ("Ada Lovelace_42_assignsubmission_file_lab97_small.ipynb", "Ada Lovelace_42"),
        ("Zoe\u0308/lab97.ipynb", "Zo\u00eb"),  # as macOS writes names
    ],
)
def test_whose_a_file_is(path, student, tmp_path):
    assert submissions.student_of(tmp_path / path, tmp_path, ["lab97_small", "lab98_other"]) == student


def named(names):
    """The names of the pages of students."""
    found = [submissions.Submission(None, name, "lab97_small") for name in names]
    submissions.name_files(found)
    return [one.name for one in found]


def test_two_files_of_one_student_have_two_pages():
    assert named(["ada b", "ada b", "ADA/b", "../.."]) == [
        "ada_b_lab97_small", "ada_b_lab97_small_2", "ADA_b_lab97_small_3", "__lab97_small"
    ]  # fmt: skip


def test_a_page_can_be_written_whatever_a_student_is_called(tmp_path):
    students = ["😀" * 60, "𝔷" * 200, "J\udcfcrgen", "a\nb\0", "CON", "ada.", "C:\\ada", "straße", "STRASSE", "-", ""]
    names = named(students * 2)
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert re.fullmatch(r"[\w-]+", name)
        gradebook.write_whole(tmp_path / f"{name}.html", "x")


@pytest.fixture
def known(labs, own_labs, tmp_path):
    """The small labs by name."""
    return {name: grade_one.load_lab(name, None, tmp_path / "none")[0] for name in ("lab97_small", "lab98_other")}


def test_a_name_and_a_content_that_disagree_are_reported(known, tmp_path):
    path = tmp_path / "in" / "ada_lab98_other.ipynb"
    path.parent.mkdir()
    path.write_text(notebook(GOOD))
    found = submissions.find(path.parent, known)[0]
    assert found.reason == "is named for lab98_other but calls check.lab of lab97_small: rename one"
    path.write_text(notebook([COUNTER, MEDIAN]))
    path = path.rename(path.with_name("ada.ipynb"))
    assert "names no lab" in submissions.find(path.parent, known)[0].reason
    assert submissions.find(path.parent, known, "lab97_small")[0].lab == "lab97_small"
    (path.parent / "ada" / "LAB98").mkdir(parents=True)
    path.rename(path.parent / "ada" / "LAB98" / "x.ipynb")
    assert submissions.find(path.parent, known)[0].lab == "lab98_other"


# Nothing is passed over in silence ------------------------------------------------------------------------------------


def handed_in(folder, known, files):
    """{path in the folder: submission} for files of these contents; None makes an empty folder."""
    for name, content in files.items():
        path = folder / name
        (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = submissions.find(folder, known)
    return {one.path.relative_to(submissions.course(folder)).as_posix(): one for one in found}


def test_a_notebook_is_read_wherever_it_lies_and_whatever_its_name_ends_in(known, tmp_path):
    names = [
        "ada/x.ipynb", "bob/my homework/part 1/x.ipynb", "cem/lab97.ipynb.txt", "dan/lab97.IPYNB", "eve/x.ipynb.json",
        "fay/lab97", "lab97_gil.ipynb.download",
    ]  # fmt: skip
    found = handed_in(tmp_path, known, dict.fromkeys(names, notebook(GOOD)))
    assert found.keys() == set(names)
    assert [one.student for one in found.values()] == ["ada", "bob", "cem", "dan", "eve", "fay", "gil"]
    assert {(one.lab, one.reason, one.note) for one in found.values()} == {("lab97_small", "", submissions.NOT_REACHED)}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "holds no file"),
        (b"", "is an empty file"),
        (b"def mean(x): return 0", "is no notebook"),
        (b"PK\x03\x04" + bytes(100), "is a zip or another packed file: unpack it"),
        (bytes(257) + b"ustar" + bytes(250), "is a zip or another packed file: unpack it"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is no notebook"),
        (b'{"a": 1}', "is no notebook: it has no cells"),
    ],
)
@pytest.mark.parametrize("name", ["ada", "ada/deeper/one.thing"])
def test_what_is_no_notebook_has_a_row_that_says_why(known, tmp_path, name, content, reason):
    ((path, one),) = handed_in(tmp_path, known, {name: content}).items()
    assert (path, one.student, one.status) == (name, "ada", "not graded")
    assert one.note.startswith(reason)


def test_what_systems_leave_behind_has_no_row(known, tmp_path):
    junk = [
        "__MACOSX/._x.ipynb", "__MACOSX/ada/._x.ipynb", "ada/._x.ipynb", "ada/.DS_Store", ".DS_Store", "ada/Thumbs.db",
        "ada/desktop.ini", "ada/.ipynb_checkpoints/x-checkpoint.ipynb", "ada/timestamp.txt",
    ]  # fmt: skip
    files = {"ada/x.ipynb": notebook(GOOD)} | dict.fromkeys(junk, b"\0\5\26\7")
    assert handed_in(tmp_path, known, files).keys() == {"ada/x.ipynb"}


def test_who_handed_in_only_what_systems_leave_behind_has_a_row(known, tmp_path):
    ((path, one),) = handed_in(tmp_path, known, {"ada/.DS_Store": b"1", "ada/x/__MACOSX/._x": b"1"}).items()
    assert (path, one.student) == ("ada/x", "ada")
    assert one.reason == submissions.NO_FILE


def test_a_text_typed_into_moodle_counts_where_there_is_no_file(known, tmp_path):
    text = "_assignsubmission_onlinetext_/onlinetext.html"
    files = {"Ada_1_assignsubmission_file_/x.ipynb": notebook(GOOD), f"Ada_1{text}": "hello", f"Bob_2{text}": "hello"}
    found = handed_in(tmp_path, known, files).values()
    assert [(one.student, one.reason) for one in found] == [("Ada_1", ""), ("Bob_2", submissions.ONLINE_TEXT)]


def test_a_course_folder_of_nbgrader_is_read_where_it_collects(known, tmp_path):
    files = {f"{folder}/ada/lab97_small/x.ipynb": notebook(GOOD) for folder in ("submitted", "autograded")}
    (one,) = handed_in(tmp_path, known, files).values()
    assert (one.student, one.path.parts[-4]) == ("ada", "submitted")


def test_links_are_reported_and_not_followed(known, tmp_path):
    (tmp_path / "secret.ipynb").write_text(notebook(GOOD))
    folder = tmp_path / "in"
    (folder / "bob").mkdir(parents=True)
    try:
        (folder / "ada").symlink_to(tmp_path)
        (folder / "bob" / "loop").symlink_to(folder)
        (folder / "bob" / "x.ipynb").symlink_to(tmp_path / "secret.ipynb")
        (folder / "cem.ipynb").symlink_to(tmp_path / "nothing")
    except OSError:
        pytest.skip("links need a privilege here")
    found = handed_in(folder, known, {})
    assert found.keys() == {"ada", "bob/loop", "bob/x.ipynb", "cem.ipynb"}
    assert all(one.reason.startswith("is a symbolic link") for one in found.values())


def test_what_cannot_be_read_is_reported(known, tmp_path, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied")

    files = {"ada/x.ipynb": notebook(GOOD), "bob/y/x.ipynb": notebook(GOOD)}
    handed_in(tmp_path, known, files)
    inside = submissions.inside
    monkeypatch.setattr(submissions, "inside", lambda path: refuse(path) if path.name == "y" else inside(path))
    monkeypatch.setattr(submissions.Path, "open", refuse)
    found = handed_in(tmp_path, known, {})
    assert {path: one.reason for path, one in found.items()} == dict.fromkeys(
        ["ada/x.ipynb", "bob/y"], "cannot be read: Permission denied"
    )


def test_of_a_whole_environment_only_the_notebooks_are_listed(known, tmp_path):
    files = {f"ada/venv/{i}.py": "1" for i in range(submissions.FILES)} | {"ada/x.ipynb": notebook(GOOD)}
    files["bob/" + "/".join("d" * 40) + "/x.ipynb"] = notebook(GOOD)
    found = handed_in(tmp_path, known, files)
    ada, deep = found.pop("ada"), found.popitem()[1]
    assert found.keys() == {"ada/x.ipynb"}
    assert ada.reason == deep.reason == submissions.TOO_MUCH


@pytest.mark.parametrize(("first", "second"), [("ada", "ada"), ("ada", "Ada"), ("Zo\u00eb", "Zoe\u0308")])
def test_two_files_of_one_student_for_one_lab_are_noted_with_both(known, tmp_path, first, second):
    files = {
        f"{first}/a.ipynb": notebook(GOOD),
        f"{second}/more/b.ipynb": notebook(GOOD),
        "bob/x.ipynb": notebook(GOOD),
    }
    by_student = {}
    for one in handed_in(tmp_path, known, files).values():
        by_student.setdefault(one.student.casefold(), []).append(one)
    (bob,) = by_student.pop("bob")
    ((a, b),) = by_student.values()
    assert bob.remarks == []
    for one, other in ((a, b), (b, a)):
        assert os.path.join(*other.path.parts[-2:]) in one.note
        assert "the course decides which one counts" in one.note


METADATA = [
    {}, None, [], {"kernelspec": None}, {"kernelspec": None, "language_info": None}, {"kernelspec": "python3"},
    {"kernelspec": {"name": "python3", "language": None}, "language_info": {"name": "python"}},
    {"kernelspec": {"language": "python3"}}, {"kernelspec": {}, "language_info": {"name": "ipython"}},
    {"kernelspec": {"language": "Python"}},
]  # fmt: skip
CELLS = [
    {}, {"metadata": None}, {"metadata": {"tags": None}}, {"metadata": {"tags": 1}}, {"metadata": []}, {"id": None},
    {"source": HEAD.splitlines(keepends=True)}, {"source": HEAD.replace("\n", "\r\n")},
]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [*({"metadata": each} for each in METADATA), *({"nbformat": each} for each in ("4", 4.0, "4.5", None))],
    ids=str,
)
def test_what_a_notebook_says_of_itself_may_be_missing_or_odd(known, tmp_path, change):
    content = json.dumps(json.loads(notebook(GOOD)) | change)
    (one,) = handed_in(tmp_path, known, {"ada.ipynb": content}).values()
    assert (one.lab, one.reason, len(one.cells)) == ("lab97_small", "", len(GOOD))


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_what_a_cell_says_of_itself_may_be_missing_or_odd(known, tmp_path, cell):
    others = [{"cell_type": "code"}, {"cell_type": "code", "source": None}, {"cell_type": "markdown"}, {"source": "1"}]
    cells = [{"cell_type": "code", "source": HEAD} | cell, *others]
    (one,) = handed_in(tmp_path, known, {"ada.ipynb": json.dumps({"cells": cells})}).values()
    assert (one.lab, one.reason, len(one.cells)) == ("lab97_small", "", 3)
    assert not any(experiment for _, _, experiment in one.cells)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_notebook_is_read_in_any_unicode(known, tmp_path, encoding):
    (one,) = handed_in(tmp_path, known, {"ada.ipynb": notebook(GOOD).encode(encoding)}).values()
    assert one.reason == ""


# What is written ------------------------------------------------------------------------------------------------------


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def book(known, tmp_path):
    """A gradebook with two submissions, one of them with odd names."""
    two = [
        submissions.Submission(
            tmp_path / student / "x\udcfc.ipynb", student, "lab97_small", cells=[[1, "1\ud800", False]]
        )
        for student in ("=ada\nb\x1b[2J", "J\udcfcrgen")
    ]
    submissions.name_files(two)
    return gradebook.Gradebook(two, known, {"lab97_small": 1}, tmp_path / "out")


def result(lab):
    exercises = {name: {"points": 1.0, "outcomes": []} for name in lab.exercises}
    return {"exercises": exercises, "cells": {"1": "raises \ud800"}, "incidents": [], "printed": "\ud800"}


def test_the_gradebook_is_whole_after_each_submission(book, known):
    assert book.begin() is None
    assert [row["note"] for row in rows_of(book.path)] == [submissions.NOT_REACHED] * 2
    book.submissions[1].result = result(known["lab97_small"])
    book.add(book.submissions[1])
    first, second = rows_of(book.path)
    assert (first["student"], second["student"]) == ("'=ada\\nb\\x1b[2J", "J\\udcfcrgen")
    assert (first["status"], first["feedback"], second["status"]) == ("not graded", "", "graded")
    assert "raises \\ud800" in (book.out / second["feedback"]).read_text(encoding="utf-8")
    assert book.path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert {path.name for path in book.out.iterdir()} == {"gradebook.csv", "feedback"}


def test_an_earlier_grading_is_kept_with_its_pages(book, known):
    for n in (1, 2):
        assert book.begin() == (book.out / "earlier_1" if n == 2 else None)
        book.add(book.submissions[0])
    del book.submissions[0]
    assert book.begin() == book.out / "earlier_2"
    for n in (1, 2):
        (row, _) = rows_of(book.out / f"earlier_{n}" / "gradebook.csv")
        assert (book.out / f"earlier_{n}" / row["feedback"]).exists()
    assert len(rows_of(book.path)) == 1


def fill_disk(monkeypatch, suffix):
    """From now on no file of this kind can be written."""

    def write_whole(path, *args, **kwargs):
        if path.suffix == suffix:
            raise OSError(28, "No space left on device")
        return plain(path, *args, **kwargs)

    plain = gradebook.write_whole
    monkeypatch.setattr(gradebook, "write_whole", write_whole)


def test_a_page_that_cannot_be_written_is_a_note(book, monkeypatch):
    book.begin()
    with monkeypatch.context() as patch:
        fill_disk(patch, ".html")
        book.add(book.submissions[0])
    row = rows_of(book.path)[0]
    assert row["note"].endswith("its page could not be written: No space left on device")
    assert row["feedback"] == ""
    book.finish()  # there is room again
    row = rows_of(book.path)[0]
    assert "its page" not in row["note"]
    assert (book.out / row["feedback"]).exists()


def test_on_a_full_disk_the_gradebook_of_before_is_kept(book, monkeypatch, capsys):
    book.begin()
    before = book.path.read_bytes()
    with monkeypatch.context() as patch:
        fill_disk(patch, ".csv")
        book.add(book.submissions[0])
        with pytest.raises(OSError, match="No space"):
            book.begin()
        assert grade.conclude(book) == 1
    assert "gradebook.csv could not be written to its end: No space left on device." in capsys.readouterr().err
    assert book.path.read_bytes() == before
    assert not list(book.out.glob("earlier*"))


def test_what_breaks_off_while_it_is_written_leaves_the_file_of_before(tmp_path, monkeypatch):
    gradebook.write_whole(tmp_path / "file", "before")
    monkeypatch.setattr(gradebook.os, "replace", lambda *_: exec("raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        gradebook.write_whole(tmp_path / "file", "after")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


# The labs themselves --------------------------------------------------------------------------------------------------


def test_real_labs_with_the_guides_private_check(tmp_path):
    """The committed solutions get all points, the learners' notebooks none, and neither has a cell that stops."""
    solutions = sorted((grade.ROOT / "labs" / "solutions").glob("*.ipynb"))
    for path in solutions:
        for student, folder in (("solved", "solutions"), ("open", ".")):
            (tmp_path / "in" / student).mkdir(parents=True, exist_ok=True)
            shutil.copy(grade.ROOT / "labs" / folder / path.name, tmp_path / "in" / student)
    guide = (grade.ROOT / "labs" / "INSTRUCTORS.md").read_text(encoding="utf-8")
    private = tmp_path / "private" / "lab01_perceptron_to_autodiff.py"
    private.parent.mkdir()
    private.write_text(re.search(r"```python\n(from labcheck.*?)```", guide, re.DOTALL)[1], encoding="utf-8")
    options = ["--out", tmp_path / "out", "--private", private.parent]
    main = [
        sys.executable,
        "-m",
        "labcheck.grade",
        tmp_path / "in",
        *options,
        *([] if ISOLATED else ["--not-isolated"]),
    ]
    done = subprocess.run([str(each) for each in main], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "gradebook.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(solutions) > 0
    for row in rows:
        assert row["note"] == ""
        assert row["points"] == (row["points_possible"] if row["student"] == "solved" else "0")
    first = next(row for row in rows if row["student"] == "solved")
    assert first["seed"] == "20260917"
    assert "works on ten thousand rows" in (tmp_path / "out" / first["feedback"]).read_text(encoding="utf-8")


def test_what_is_for_readers_does_nothing_in_a_grader():
    figures = grade_child.Silent("labkit.figures")
    assert figures.style() is figures
    assert figures.PALETTE[0].anything("x", y=1) is figures
    with pytest.raises(AttributeError):
        figures.__wrapped__  # noqa: B018
