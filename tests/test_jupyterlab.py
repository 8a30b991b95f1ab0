"""Notebook 00 in JupyterLab, in a real browser: Run All, a prediction recorded, a slider moved. Needs Chromium.

With LABKIT_SCREENSHOTS=folder it leaves screenshots of the whole notebook there.
"""

import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import curriculum
import nbformat
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed: JupyterLab was not tried in a browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
CELL = ".jp-Notebook .jp-CodeCell"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """JupyterLab on a cleared copy of notebook 00, with settings and outputs of its own. Yields its address."""
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        monkeypatch.setenv(f"JUPYTER_{name}", str(tmp_path / name))
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(tmp_path / "workspaces"))
    monkeypatch.setenv("LABKIT_PROGRESS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "notebooks").mkdir()
    nbformat.write(curriculum.build(curriculum.sources()[0]), tmp_path / "notebooks" / "notebook.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = [f"--ServerApp.root_dir={tmp_path / 'notebooks'}", f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1",
               f"--IdentityProvider.token={token}", "--no-browser", "--allow-root"]  # fmt: skip
    log = (tmp_path / "server.log").open("w")
    process = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log, cwd=tmp_path)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}/lab/tree/notebook.ipynb?token={token}"
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def screenshots(page):
    """The whole notebook, page by page, into the folder LABKIT_SCREENSHOTS."""
    folder = os.environ.get("LABKIT_SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    cells = page.locator(".jp-Notebook .jp-Cell")
    seen_to = -1
    for index in range(cells.count()):
        cell = cells.nth(index)
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(50)
        cell.screenshot(path=f"{folder}/cell-{index:03d}.png")
        seen_to = index
    assert seen_to >= 0


def run_all(page):
    page.locator(".jp-Notebook").wait_for(timeout=120_000)
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=120_000)
    page.locator('li.lm-MenuBar-item:has-text("Run")').click()
    page.locator('li.lm-Menu-item[data-command="runmenu:run-all"]').click()
    # Cells that are out of sight are not in the page: wait for the last one, which stays selected after Run All.
    page.wait_for_function(
        """() => { const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')];
                   return prompts.length && prompts.every(p => /\\[\\d+\\]/.test(p.textContent)); }""",
        timeout=300_000,
    )
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=300_000)


def test_run_all_predict_and_slide(server, tmp_path):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        page.goto(server)
        run_all(page)
        screenshots(page)

        assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
        assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
        assert page.locator(".claim strong", has_text="HOLDS").count() >= 5
        assert page.locator(".claim strong", has_text="FAILS").count() == 1

        slider = page.locator(".widget-slider .noUi-handle").last
        slider.scroll_into_view_if_needed()
        picture = page.locator(".widget-output img").last
        picture.wait_for(timeout=60_000)
        before = picture.get_attribute("src")
        slider.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "before => [...document.querySelectorAll('.widget-output img')].at(-1)?.src != before", arg=before
        )

        # A prediction made now, by keyboard: run the question's cell again, choose, record.
        question = page.locator(CELL, has_text="guess_accuracy = predict(").first
        question.scroll_into_view_if_needed()
        question.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        choice = question.locator('input[type="radio"]').last
        choice.wait_for(timeout=60_000)
        choice.focus()
        page.keyboard.press("Space")
        question.locator("button", has_text="Record my prediction").click()
        question.locator("text=Recorded: more than 90 %").wait_for(timeout=60_000)
        browser.close()

    with sqlite3.connect(tmp_path / "outputs" / "ledger.sqlite") as ledger:
        assert ledger.execute("SELECT answer FROM prediction").fetchall() == [("more than 90 %",)]
