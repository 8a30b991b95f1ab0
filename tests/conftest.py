"""Tests never write into the project's own outputs/, and compare on the CPU unless LABKIT_DEVICE says otherwise."""

import os
import signal

import pytest

# Before PyTorch starts: two workers that have two threads each wait for one another most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("LABKIT_PROGRESS", "0")
    monkeypatch.setenv("LABKIT_DEVICE", os.environ.get("LABKIT_DEVICE", "cpu"))


@pytest.fixture
def heeded():
    """SIGINT interrupts: a job in the background of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
