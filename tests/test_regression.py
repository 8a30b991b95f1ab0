"""The regression run can fail: proved on a notebook with known faults. And it is offline."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FAULTS = {
    2: "another text than the stored one",
    4: "another text around a blanked number",
    6: "a claim that does not hold",
    7: "a notebook that wants the network",
}


def test_the_regression_run_finds_every_fault_and_nothing_else(tmp_path):
    shutil.copy(TESTS / "built_to_fail.ipynb", tmp_path)
    settings = tmp_path / ".ipython" / "profile_default" / "ipython_config.py"  # which must not matter
    settings.parent.mkdir(parents=True)
    settings.write_text("c.InteractiveShell.ast_node_interactivity = 'all'")
    options = [
        "-p",
        "conftest",
        "--nbval",
        "--nbval-current-env",
        "--nbval-sanitize-with",
        str(TESTS / "sanitize.cfg"),
        "-p",
        "no:cacheprovider",
    ]
    paths = [str(TESTS.parent), str(TESTS.parent / "tools")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONOPTIMIZE": "1"}
    environment |= {"IPYTHONDIR": str(tmp_path / ".ipython"), "MPLBACKEND": "no such backend"}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-v", "--color=no", "built_to_fail.ipynb"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    outcomes = dict(re.findall(r"Cell (\d+) (PASSED|FAILED)", run.stdout))
    assert {int(number) + 1 for number, outcome in outcomes.items() if outcome == "FAILED"} == set(FAULTS), run.stdout
    assert run.returncode == 1
    assert ": FAILS: Two is at least three. Threshold: mean at least 3. Measured: " in run.stdout
    assert "notebooks must run offline" in run.stdout


@pytest.mark.parametrize(
    ("host", "allowed"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("example.org", False)]
)
def test_only_this_machine_can_be_reached(host, allowed):
    """The audit event alone, so that nothing is sent whatever the outcome."""
    program = f"import sys; sys.audit('socket.connect', None, ({host!r}, 80))"
    environment = {**os.environ, "PYTHONPATH": str(TESTS / "offline")}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (run.returncode == 0) == allowed
    assert allowed or "must run offline" in run.stderr
