"""Tests never write into the project's own outputs/."""

import pytest


@pytest.fixture(autouse=True)
def own_outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("LABKIT_PROGRESS", "0")
