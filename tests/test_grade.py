"""The grader grades what is right, and no submission can stop it, gain points by a trick, or leave a process behind.

A batch of submissions, good and bad, is graded once, by the command in a process of its own; the tests look at what it
wrote. Each bad one also has right answers, so that points lost to the grader show as well as points won by a trick.
"""

import csv
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import grade
import grade_one
import psutil
import pytest

LAB = '''
"""A small lab."""

import numpy as np

from labkit.check import Lab, call, compare

LAB = Lab("lab97_small", "Lab 97: Small")
checks = LAB.checks
header = {"difficulty": 1, "importance": 1, "minutes": 1}
LAB.exercise("mean", title="The mean", points=2, optional=False, **header)
LAB.exercise("descending", title="From large to small", points=4, optional=False, **header)
LAB.exercise("Counter", title="Something that counts", points=2, optional=False, **header)
LAB.exercise("median", title="The median", points=1, optional=True, **header)


@checks("mean")
def mean_of_a_few(rng):
    """of a few numbers"""
    x = rng.normal(size=7)
    return compare((yield call("mean", x)), x.mean())


@checks("descending")
def descends(rng):
    """of a few numbers"""
    x = rng.normal(size=6)
    return compare((yield call("descending", x)), np.sort(x)[::-1])


@checks("descending")
def descends_with_many(rng):
    """of many numbers"""
    x = rng.normal(size=60)
    return compare((yield call("descending", x)), np.sort(x)[::-1])


@checks("Counter")
def counts(rng):
    """how often"""
    def use(answer, n):
        counter = answer["Counter"]()
        for _ in range(n):
            counter.add()
        return counter.n

    n = int(rng.integers(3, 9))
    return compare((yield call(use, n)), n)


@checks("median")
def median_of_a_few(rng):
    """of a few numbers"""
    x = rng.normal(size=5)
    return compare((yield call("median", x)), np.median(x))
'''

# Its check for `total` asks in a way in which none must: with a function that has no source.
OTHER_LAB = LAB.replace("97", "98").replace("_small", "_other").replace('"mean"', '"total"').replace("descending", "up")
OTHER_LAB = OTHER_LAB.replace('call("total", x)', 'call(eval("lambda answer, x: 0"), x)')

PRIVATE = '''
import numpy as np

from labkit.check import call, compare
from labkit.labs.lab97_small import checks

SEED = 4711


@checks("mean")
def mean_of_none(rng):
    """of no numbers at all"""
    return compare((yield call("mean", np.zeros(0))), 0.0)
'''

HEAD = "import numpy as np\nfrom labkit import check\nlab = check.lab('lab97_small')"
MEAN = "def mean(x):\n    return x.sum() / len(x)"
DESCENDING = "def descending(x):\n    return np.sort(x)[::-1]"
COUNTER = "class Counter:\n    n = 0\n    def add(self):\n        self.n += 1"
MEDIAN = "def median(x):\n    return np.median(x)"
CHECKS = ["lab.check('mean')", "lab.check('descending')", "lab.check('Counter')", "lab.check('median')"]
GOOD = [HEAD, MEAN, CHECKS[0], DESCENDING, CHECKS[1], COUNTER, CHECKS[2], MEDIAN, CHECKS[3]]
WRONG = "def descending(x):\n    return np.sort(x)"
STUB = "def descending(x):\n    raise NotImplementedError('descending')"

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
# patched labkit breaks the sender's other arrays, too.
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
    "patched_labkit": [
        *GOOD,
        WRONG,
        "check.compare = lambda *a, **k: None\ncheck.run_check = lambda *a: (check.Outcome('c', 'ok', '', ''), False)\n"
        "check.perform = lambda *a: check.Reply()\nplain = check.encode\n"
        "check.encode = lambda v: plain(v) if not isinstance(v, np.ndarray) else {'opaque': ['ok', 'ok']}",
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
        "import sys, types\nfor name in ('labkit.check', 'labkit', 'json', 'random'):\n"
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
        "def descending(x):\n    from labkit.labs import lab97_small\n    return np.sort(x)[::-1]",
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
GRADER_LOST = {"ends_its_grader"}  # it does end its own, and gets nothing for it

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
    "assert not any('tools' in path for path in sys.path)",
    "class Own: pass\nassert type(pickle.loads(pickle.dumps(Own()))) is Own",
    "print('<script>alert(1)</script>'); print(os.getcwd())",
]


def notebook(cells, tags=None, **metadata):
    cells = [
        {"cell_type": "code", "source": source, "metadata": {"tags": (tags or {}).get(i, [])}, "outputs": []}
        for i, source in enumerate(cells)
    ]
    metadata = {"kernelspec": {"name": "python3", "language": "python"}} | metadata
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells})


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


def command(folder, *options):
    """Run the grader as a user does, but with less patience."""
    return subprocess.run(**call_of(folder, *options), capture_output=True)


def call_of(folder, *options):
    """How to start it."""
    limits = (
        "grade_one.Limits(cell_seconds=3, call_seconds=3, grace_seconds=0.5, total_seconds=60, memory=200 << 20, "
        "data=800 << 20, processes=12, file_bytes=10 << 20)"
    )
    code = f"import sys, grade, grade_one; sys.exit(grade.main(limits={limits}, warm=['numpy']))"
    tools = str(grade.ROOT / "tools")
    environment = os.environ | {"PYTHONPATH": tools, "SECRET_OF_THE_CALLER": "1"}
    return {"args": [sys.executable, "-c", code, str(folder), *map(str, options)], "env": environment, "text": True}


def read(out):
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    """The folder with the checks of two small labs."""
    folder = tmp_path_factory.mktemp("checks")
    (folder / "lab97_small.py").write_text(LAB)
    (folder / "lab98_other.py").write_text(OTHER_LAB)
    return folder


@pytest.fixture(scope="module")
def batch(labs, tmp_path_factory):
    """All submissions, graded at once: the gradebook's rows by student, and the pages."""
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("grades")
    mark = f"6{os.getpid()}.5"  # seconds that a process that gets away would sleep, by which we would find it
    texts = {name: notebook([cell.replace("MARK", mark) for cell in cells]).encode() for name, cells in TRICKS.items()}
    texts |= NO_NOTEBOOKS
    texts["good"] = notebook(GOOD).encode()
    texts["wrong"] = notebook([*GOOD, WRONG]).encode()
    texts["half"] = notebook([*GOOD, "def descending(x):\n    return np.sort(x)[::-1][:6]"]).encode()
    texts["open"] = notebook([*GOOD, STUB, "descending(np.ones(3))"]).encode()
    texts["magics"] = notebook([*MAGICS, *GOOD]).encode()
    texts["surroundings"] = notebook([*SURROUNDINGS, *GOOD]).encode()
    texts["experiment"] = notebook([*GOOD, "raise SystemExit"], {len(GOOD): ["experiment"]}).encode()
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
    done = command(folder, "--checks", labs, "--private", labs / "none", "--out", out, "--jobs", 4)
    assert (out / "gradebook.csv").exists(), done.stderr
    return SimpleNamespace(rows=read(out), out=out, mark=mark, shown=done.stdout, code=done.returncode)


def page(batch, student):
    return (batch.out / batch.rows[student]["feedback"]).read_text(encoding="utf-8")


def points(row):
    return [float(row[f"lab97 {name}"]) for name in ("mean", "descending", "Counter", "median (optional)")]


# What is graded -------------------------------------------------------------------------------------------------------


def test_a_right_submission_gets_all_points_and_optional_ones_are_not_in_the_sum(batch):
    row = batch.rows["good"]
    assert points(row) == [2, 4, 2, 1]
    assert (row["points"], row["points_possible"], row["status"], row["note"]) == ("8", "8", "graded", "")


def test_points_are_the_share_of_the_checks(batch):
    assert points(batch.rows["wrong"]) == [2, 0, 2, 1]
    assert points(batch.rows["half"]) == [2, 2, 2, 1]
    assert points(batch.rows["open"]) == [2, 0, 2, 1]
    assert "the result is in the reverse order" in page(batch, "wrong")
    assert "is not written yet" in page(batch, "open")
    assert batch.rows["open"]["note"] == "1 cell stopped with an error"


def test_experiments_are_skipped_by_their_tag_or_because_nothing_is_solved(batch):
    assert batch.rows["experiment"]["note"] == ""
    assert batch.rows["untagged"]["note"] == ""


def test_magics_do_no_harm_and_shell_commands_do_not_run(batch):
    assert (batch.rows["magics"]["points"], batch.rows["magics"]["note"]) == ("8", "")


def test_code_runs_in_an_empty_folder_which_is_deleted_and_sees_nothing_of_the_caller(batch):
    assert batch.rows["surroundings"]["note"] == ""
    folder = re.search(r"/\S*grade-\w+(?=/grade-)", page(batch, "surroundings"))[0]
    assert not os.path.exists(folder)  # which was that of all submissions, also of the one that ended its grader


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


@pytest.mark.parametrize("name", sorted(TRICKS.keys() - GRADER_LOST))
def test_a_trick_costs_its_own_exercise_and_nothing_else(batch, name):
    row = batch.rows[name]
    assert row["status"] == "graded"
    expected = [0, 0, 2, 0] if name == "patched_labkit" else [2, 4 if name in UNHARMED else 0, 2, 1]
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
        ("memory_in_a_cell", "uses more than 0.2 GB of memory"),
        ("memory_in_an_answer", "asks for more memory than there is"),
        ("memory_of_many_processes", "uses more than 0.2 GB of memory"),
        ("fork_bomb", "starts more than 12 processes"),
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


def test_who_ends_the_grader_of_their_submission_ends_no_other(batch):
    (name,) = GRADER_LOST
    row = batch.rows[name]
    assert (row["points"], row["status"]) == ("0", "grader failed")
    assert batch.code == 1
    assert "The grader failed on 2" in batch.shown
    assert (batch.out / "log" / f"{name}_lab97_small.txt").exists()


def test_what_is_printed_without_end_is_cut(batch):
    assert len(page(batch, "huge_output_of_a_cell")) < 50_000


def test_no_process_is_left(batch):
    time.sleep(0.1)
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        assert not any(batch.mark in word for word in words)
        graders = process.info["pid"] in mine and any(
            word.endswith(("grade_child.py", "grade_one.py")) for word in words
        )
        assert not graders


def test_children_can_also_be_started_without_forks(labs):
    """As on macOS and Windows."""
    job = {"lab": "lab97_small", "seed": 0, "cells": [[1, HEAD], [2, MEAN], [3, "import os; os._exit(5)"]]}
    code = "import grade_one; grade_one.Nursery.start = grade_one.Nursery._start_anew; grade_one.main()"
    environment = os.environ | {"PYTHONPATH": str(grade.ROOT / "tools")}
    command = [sys.executable, "-c", code, json.dumps(grade_one.make_settings(checks=labs))]
    done = subprocess.run(command, input=json.dumps(job), env=environment, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["exercises"]["mean"]["points"] == 2
    assert result["incidents"] == ["code cell 3 ends its whole process (exit status 5)"]


# Seeds and private checks ---------------------------------------------------------------------------------------------


@pytest.fixture
def one(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada_lab97.ipynb").write_text(notebook([*GOOD, "def median(x): return float(x[0])"]))
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups that one can interrupt")
def test_an_interrupted_grading_keeps_what_was_graded(one, labs, tmp_path):
    (one / "bob_lab97.ipynb").write_text(notebook(["import time\ntime.sleep(60)"] * 20))
    out = tmp_path / "out"
    options = ["--checks", labs, "--private", labs / "none", "--out", out, "--jobs", 1]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(**call_of(one, *options), **pipes, start_new_session=True)
    while "[1/2] ada" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert "Interrupted. What was graded is in" in process.communicate(timeout=120)[1]
    assert process.returncode == 130
    rows = read(out)
    assert (rows["ada"]["status"], rows["ada"]["points"]) == ("graded", "8")
    assert rows["bob"]["status"] != "graded"


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


def can_be_nobody():
    """Whether this is the superuser, and Python lies where everybody can start it."""
    try:
        return subprocess.run([sys.executable, "-c", ""], user="nobody", stderr=-1).returncode == 0
    except (OSError, ValueError, LookupError):
        return False


@pytest.mark.skipif(not can_be_nobody(), reason="needs the superuser, and a Python that every user can start")
def test_as_another_user_a_submission_can_neither_end_its_grader_nor_read_what_is_not_for_it(labs, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("expected values")
    secret.chmod(stat.S_IRUSR)
    (tmp_path / "in").mkdir()
    cells = [*GOOD, f"assert open({str(secret)!r}).read()", "import os; os.kill(os.getppid(), 9)"]
    (tmp_path / "in" / "eve_lab97.ipynb").write_text(notebook(cells))
    options = ["--checks", labs, "--private", labs / "none", "--out", tmp_path / "out", "--user", "nobody"]
    done = command(tmp_path / "in", *options)
    assert (done.returncode, read(tmp_path / "out")["eve"]["points"]) == (0, "8"), done.stdout
    text = (tmp_path / "out" / "feedback" / "eve_lab97_small.html").read_text()
    assert text.count("raises PermissionError") == 2


# Bad calls ------------------------------------------------------------------------------------------------------------


def refused(capsys, *argv):
    assert grade.main([str(each) for each in argv]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.fixture
def own_labs(labs, monkeypatch):
    """The small labs in place of the real ones, in this process."""
    import labkit.labs

    monkeypatch.setattr(labkit.labs, "__path__", [str(labs)])


def test_a_bad_call_is_one_sentence(one, own_labs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert "Which folder?" in refused(capsys)
    assert "Which folder?" in refused(capsys, "")
    assert "is no folder" in refused(capsys, tmp_path / "missing")
    assert "There is no .ipynb" in refused(capsys, tmp_path / "empty")
    assert "There is no lab 'lab99': choose from lab97_small, lab98_other." in refused(capsys, one, "--lab", "lab99")
    assert "cannot be written to" in refused(capsys, one, "--out", tmp_path / "file" / "out")
    assert "--jobs is at least 1" in refused(capsys, one, "--jobs", 0)
    assert "There is no user" in refused(capsys, one, "--user", "nobody of this name")


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
    ],
)
def test_whose_a_file_is(path, student, tmp_path):
    assert grade.student_of(tmp_path / path, tmp_path, ["lab97_small", "lab98_other"]) == student


def test_two_files_of_one_student_have_two_pages(tmp_path):
    submissions = [grade.Submission(tmp_path, name, "lab97_small") for name in ("ada b", "ada b", "ADA/b", "../..")]
    grade.name_files(submissions)
    assert [one.name for one in submissions] == [
        "ada_b_lab97_small", "ada_b_lab97_small_2", "ADA_b_lab97_small_3", "__lab97_small"
    ]  # fmt: skip


def test_a_name_and_a_content_that_disagree_are_reported(labs, own_labs, tmp_path):
    known = {name: grade_one.load_lab(name, None, tmp_path)[0] for name in ("lab97_small", "lab98_other")}
    path = tmp_path / "ada_lab98_other.ipynb"
    path.write_text(notebook(GOOD))
    assert (
        grade.find(tmp_path, known)[0].note == "is named for lab98_other but calls check.lab of lab97_small: rename one"
    )
    path.write_text(notebook([COUNTER, MEDIAN]))
    path.rename(tmp_path / "ada.ipynb")
    assert "names no lab" in grade.find(tmp_path, known)[0].note
    assert grade.find(tmp_path, known, "lab97_small")[0].lab == "lab97_small"


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
    private.write_text(re.search(r"```python\n(from labkit.*?)```", guide, re.DOTALL)[1], encoding="utf-8")
    main = [sys.executable, grade.__file__, tmp_path / "in", "--out", tmp_path / "out", "--private", private.parent]
    done = subprocess.run([str(each) for each in main], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(solutions) > 0
    for row in rows:
        assert row["note"] == ""
        assert row["points"] == (row["points_possible"] if row["student"] == "solved" else "0")
    first = next(row for row in rows if row["student"] == "solved")
    assert first["seed"] == "20260917"
    assert "works on a thousand examples" in (tmp_path / "out" / first["feedback"]).read_text(encoding="utf-8")
