"""Regression runs of notebooks: each has its own empty outputs folder, one process, one thread, and no network.

No test sees the settings that a user has for Python, IPython and matplotlib.
"""

import os
import tempfile
from pathlib import Path

import curriculum
import pytest
from nbval.plugin import IPyNbCell

collect_ignore = ["tests/built_to_fail.ipynb"]  # tests/test_regression.py runs it, and wants it to fail
OFFLINE = Path(__file__).parent / "tests" / "offline"
for name in curriculum.NOT_FOR_KERNELS:
    os.environ.pop(name, None)
os.environ.update(curriculum.own_settings())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    """The kernel of a notebook starts in the set-up of its first cell, and keeps the environment that it finds then."""
    if not isinstance(item, IPyNbCell) or item.parent.kernel is not None:
        return (yield)
    path = Path(item.nodeid.split("::")[0])
    outputs = tempfile.TemporaryDirectory(prefix=f"{path.stem}-", ignore_cleanup_errors=True)
    item.config.add_cleanup(outputs.cleanup)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_OUTPUTS", outputs.name)
        patch.setenv("LABKIT_NOTEBOOK", path.stem)
        patch.setenv("LABKIT_PROGRESS", "0")
        patch.setenv("LABKIT_JOBS", "1")
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        patch.setenv("PYTHONPATH", str(OFFLINE), prepend=os.pathsep)
        return (yield)
