"""A small lab, submissions of it, and the grader called as a user calls it, but with less patience."""

import csv
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from labcheck import grade, sandbox

LAB = '''
"""A small lab."""

import numpy as np

from labcheck.check import Lab
from labcheck.compare import compare
from labcheck.exercise import call

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

from labcheck.compare import compare
from labcheck.exercise import call
from labcheck.labs.lab97_small import checks

SEED = 4711


@checks("mean")
def mean_of_none(rng):
    """of no numbers at all"""
    return compare((yield call("mean", np.zeros(0))), 0.0)
'''

HEAD = "import numpy as np\nfrom labcheck import check\nlab = check.lab('lab97_small')"
MEAN = "def mean(x):\n    return x.sum() / len(x)"
DESCENDING = "def descending(x):\n    return np.sort(x)[::-1]"
COUNTER = "class Counter:\n    n = 0\n    def add(self):\n        self.n += 1"
MEDIAN = "def median(x):\n    return np.median(x)"
CHECKS = ["lab.check('mean')", "lab.check('descending')", "lab.check('Counter')", "lab.check('median')"]
GOOD = [HEAD, MEAN, CHECKS[0], DESCENDING, CHECKS[1], COUNTER, CHECKS[2], MEDIAN, CHECKS[3]]
WRONG = "def descending(x):\n    return np.sort(x)"
STUB = "def descending(x):\n    raise NotImplementedError('descending')"


def can_be_isolated():
    """Whether bubblewrap is installed, and may make a sandbox on this machine: some containers forbid it."""
    if not sandbox.installed():
        return False
    call = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--proc", "/proc", "--", "true"]
    return subprocess.run(call, capture_output=True).returncode == 0


ISOLATED = can_be_isolated()
NOT_ISOLATED = "bubblewrap is not installed (apt install bubblewrap), or makes no sandbox on this machine"


def notebook(cells, tags=None, **metadata):
    cells = [
        {"cell_type": "code", "source": source, "metadata": {"tags": (tags or {}).get(i, [])}, "outputs": []}
        for i, source in enumerate(cells)
    ]
    metadata = {"kernelspec": {"name": "python3", "language": "python"}} | metadata
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells})


def command(folder, *options):
    """Run the grader as a user does, but with less patience."""
    return subprocess.run(**call_of(folder, *options), capture_output=True)


def call_of(folder, *options):
    """How to start it."""
    limits = (
        "sandbox.Limits(cell_seconds=3, call_seconds=3, grace_seconds=0.5, total_seconds=60, memory=400 << 20, "
        "processes=12, file_bytes=10 << 20, disk=40 << 20)"
    )
    code = f"import sys; from labcheck import grade, sandbox; sys.exit(grade.main(limits={limits}))"
    environment = os.environ | {"SECRET_OF_THE_CALLER": "1", "OMP_NUM_THREADS": "1"}
    options = [*options] if ISOLATED else [*options, "--not-isolated"]
    return {"args": [sys.executable, "-c", code, str(folder), *map(str, options)], "env": environment, "text": True}


def read(out):
    with (out / "gradebook.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def points(row):
    return [float(row[f"lab97 {name}"]) for name in ("mean", "descending", "Counter", "median (optional)")]


NOBODY = 65534  # a user without any rights
BECOME_NOBODY = f"""
import os, sys
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
os.execv(sys.argv[1], sys.argv[1:])
"""


def ordinary(call, place):
    """The superuser's call as that of a user without any rights, who can reach Python, this code and the place."""
    needed = [Path(sys.base_prefix), Path(sys.prefix), grade.ROOT, place]
    closed = {folder for path in needed for folder in path.parents if not folder.stat().st_mode & stat.S_IXOTH}
    view = ["bwrap", "--dev-bind", "/", "/"]
    for folder in sorted(closed):
        if not closed & set(folder.parents):
            view += ["--tmpfs", folder]
    for path in needed:
        if closed & set(path.parents):
            for folder in reversed(path.parents[:-1]):
                view += ["--dir", folder]
            view += ["--bind", path, path]
    return call | {"args": [*map(str, view), sys.executable, "-c", BECOME_NOBODY, *call["args"]]}
