"""Notebooks and labs in JupyterLab, in a real browser. Needs Chromium.

In a notebook: Run All, a prediction recorded, a slider moved. In a lab: Run All with nothing solved, then each exercise
answered wrong, then right, by typing. Sliders of figures and folded cells also on a page without a kernel. Notebook 00
and the labs each time; with LABKIT_BROWSER=all the other notebooks
as well, which takes as long again as running them. With LABKIT_SCREENSHOTS=folder it leaves pictures of every cell.
"""

import os
import re
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

import labs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed: JupyterLab was not tried in a browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
CELL = ".jp-Notebook .jp-CodeCell"
DRAWN = ".widget-output img, .widget-html img"  # pictures that widgets draw


@pytest.fixture
def source(request):
    return request.param


def built(source):
    """The notebook that a learner gets of a source; `source` may be a function that makes one."""
    if callable(source):
        return source()
    return labs.build(source, "student") if source.parent == labs.SOURCES else curriculum.build(source)


@pytest.fixture
def server(tmp_path, monkeypatch, source):
    """JupyterLab on a cleared copy of a notebook, with settings and outputs of its own. Yields its address."""
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        monkeypatch.setenv(f"JUPYTER_{name}", str(tmp_path / name))
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(tmp_path / "workspaces"))
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    monkeypatch.setenv("LABKIT_PROGRESS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # All cells in the page, also those out of sight, so that the test can look at them; and no question about news.
    for name, text in {
        "notebook-extension/tracker": '{"windowingMode": "none"}',
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    }.items():
        settings = tmp_path / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text(text)
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(tmp_path / "settings"))
    (tmp_path / "notebooks").mkdir()
    nbformat.write(built(source), tmp_path / "notebooks" / "notebook.ipynb")
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


def screenshots(page, name):
    """The whole notebook, cell by cell, into the folder LABKIT_SCREENSHOTS."""
    if "LABKIT_SCREENSHOTS" not in os.environ:
        return
    folder = Path(os.environ["LABKIT_SCREENSHOTS"]) / name
    folder.mkdir(parents=True, exist_ok=True)
    cells = page.locator(".jp-Notebook .jp-Cell")
    seen_to = -1
    for index in range(cells.count()):
        cell = cells.nth(index)
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(50)
        cell.screenshot(path=f"{folder}/cell-{index:03d}.png")
        seen_to = index
    assert seen_to >= 0


def prompts(page):
    """The numbers of the cells that are not folded."""
    return [text.strip() for text in page.locator(f"{CELL} .jp-InputArea .jp-InputPrompt").all_inner_texts()]


def run_all(page):
    """Run > Run All Cells, and wait until every code cell has its number."""
    # The indicator says "idle" before there is a kernel, too, and a command given then is lost.
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").wait_for(timeout=120_000)
    for _ in range(20):
        page.wait_for_timeout(2000)
        page.locator('li.lm-MenuBar-item:has-text("Run")').click()
        page.locator('li.lm-Menu-item[data-command="runmenu:run-all"]').click()
        page.wait_for_timeout(2000)
        if any(prompt != "[ ]:" for prompt in prompts(page)):
            break
    for _ in range(600):
        if all(re.fullmatch(r"\[\d+\]:", prompt) for prompt in prompts(page)):
            page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()  # a folded one may be last
            return
        page.wait_for_timeout(500)
    pytest.fail(f"Run All did not reach the end: {' '.join(prompts(page))}")


def errors(page):
    kinds = ("error", "stderr")
    return sum(page.locator(f'[data-mime-type="application/vnd.jupyter.{kind}"]').count() for kind in kinds)


def move_last_slider(page):
    """Of the last cell with a picture that widgets draw, by keyboard; the picture must change."""
    cell = page.locator(CELL, has=page.locator(DRAWN)).last
    slider, picture = cell.locator(".widget-slider .noUi-handle").last, cell.locator(DRAWN).last
    slider.scroll_into_view_if_needed()
    picture.wait_for(timeout=60_000)
    before = picture.get_attribute("src")
    now, least = (float(slider.get_attribute(f"aria-value{which}")) for which in ("now", "min"))
    slider.focus()
    page.keyboard.press("ArrowLeft" if now > least else "ArrowRight")
    page.wait_for_function(
        "([drawn, before]) => [...document.querySelectorAll(drawn)].at(-1)?.src != before", arg=[DRAWN, before]
    )


def move_last_figure_slider(page):
    """Of `figures.slider`, by keyboard; the picture must change."""
    figure = page.locator("figure:has(input[type=range])").last
    figure.scroll_into_view_if_needed()
    before = figure.locator("img").get_attribute("src")
    figure.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert figure.locator("img").get_attribute("src") != before


def predict(page):
    """Answer the first question now: run its cell again, choose the last option, record it. Returns that option."""
    question = page.locator(CELL, has_text=" = predict(").first
    question.scroll_into_view_if_needed()
    question.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    choice = question.locator('input[type="radio"]').last
    choice.wait_for(timeout=60_000)
    choice.focus()
    page.keyboard.press("Space")
    question.locator("button", has_text="Record my prediction").click()
    recorded = question.locator("text=/^Recorded: /")
    recorded.wait_for(timeout=60_000)
    return re.fullmatch(r"Recorded: (.+), with \d+% confidence\.", recorded.inner_text()).group(1)


def answer(page, old, new):
    """Replace what stands in the cell that holds the text `old`, and run it."""
    editor = page.locator(f"{CELL} .cm-content", has_text=old).first
    editor.scroll_into_view_if_needed()
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(new)
    page.keyboard.press("Control+Enter")


def checked(page, exercise, expected):
    """Run the cell with an exercise's check, wait for the expected status, and return the report's text."""
    cell = page.locator(CELL, has=page.locator(".cm-content", has_text=f'lab.check("{exercise}")')).first
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    cell.locator(f'.check strong:text-is("{expected}")').first.wait_for(timeout=60_000)
    return cell.locator(".check").inner_text()


CHOSEN = curriculum.sources() if os.environ.get("LABKIT_BROWSER") == "all" else curriculum.sources()[:1]


@pytest.mark.parametrize("source", CHOSEN, ids=lambda source: source.stem, indirect=True)
def test_run_all_predict_and_slide(server, source, tmp_path):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        page.goto(server)
        run_all(page)
        screenshots(page, source.stem)

        assert errors(page) == 0
        expected_to_fail = source.read_text(encoding="utf-8").count("with expect_claim_failure()")
        assert page.locator(".claim strong", has_text="HOLDS").count() >= 3
        assert page.locator(".claim strong", has_text="FAILS").count() == expected_to_fail
        if "figures.slider(" in source.read_text(encoding="utf-8"):
            move_last_figure_slider(page)
        else:
            move_last_slider(page)
        answer = predict(page)
        browser.close()

    with sqlite3.connect(tmp_path / "outputs" / "ledger.sqlite") as ledger:
        assert ledger.execute("SELECT answer FROM prediction").fetchall() == [(answer,)]


@pytest.mark.parametrize("source", labs.sources(), ids=lambda source: source.stem, indirect=True)
def test_solve_a_lab_by_typing(server, source, tmp_path):
    from playwright.sync_api import sync_playwright

    exercises = labs.exercises(source)
    answers = {(found.exercise, found.kind, found.number): found for found in labs.answers(source)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        page.goto(server)
        run_all(page)
        screenshots(page, f"{source.stem}-student")
        assert errors(page) == 0
        assert page.locator(".check", has_text=": open").count() == len(exercises)

        hint = page.locator("details", has_text="Hint 1").first
        hint.locator("summary").click()
        assert hint.locator("p").first.is_visible()

        for exercise in exercises:
            stub, wrong, solution = (answers[exercise.name, kind, 1] for kind in ("stub", "wrong", "solution"))
            first_line = labs.solved(solution.code).splitlines()[0]
            answer(page, first_line, wrong.code)
            assert wrong.message in checked(page, exercise.name, "failed").replace("\n", " ")
            answer(page, wrong.code.splitlines()[0], labs.solved(solution.code))
            assert "✗" not in checked(page, exercise.name, "ok")
            assert stub.code != solution.code
        run_all(page)
        screenshots(page, f"{source.stem}-solved")
        assert errors(page) == 0
        assert page.locator(".check strong", has_text="failed").count() == 0
        assert page.locator(".claim strong", has_text="HOLDS").count() >= 1
        browser.close()

    with sqlite3.connect(tmp_path / "outputs" / "ledger.sqlite") as ledger:
        rows = ledger.execute("SELECT exercise, max(points) FROM attempt GROUP BY exercise").fetchall()
    assert dict(rows) == {exercise.name: exercise.points for exercise in exercises}


def two_sliders():
    """A notebook with a folded cell that draws two sliders."""
    draw = nbformat.v4.new_code_cell("""\
import matplotlib.pyplot as plt

from labkit import figures

for name in ("Width", "Depth"):
    frames = {}
    for size in (1, 2, 4):
        frames[size], ax = plt.subplots(figsize=(4, 2))
        ax.plot([0, size])
    figures.slider(frames, alt="A rising line.", caption="Lines.", name=name)""")
    draw.metadata["tags"] = ["drawing"]
    curriculum.fold(draw)
    plain = nbformat.v4.new_code_cell("print('not folded')")
    return nbformat.v4.new_notebook(cells=[draw, plain], metadata={"kernelspec": curriculum.KERNELSPEC})


def use_two_sliders(page):
    """The first by keyboard, the second by mouse; each changes its own picture, text and alt text, and no other."""
    both = page.locator("figure:has(input[type=range])")
    assert both.count() == 2
    shown = ["Width: 1", "Depth: 1"]

    def state():
        alts = [both.nth(i).locator("img").get_attribute("alt") for i in range(2)]
        texts = [both.nth(i).locator("output").inner_text() for i in range(2)]
        assert [alt.split()[-1] for alt in alts] == [f"{text}." for text in texts]
        return [alt.removeprefix("A rising line. ").removesuffix(".") for alt in alts]

    assert state() == shown
    first, second = (both.nth(i).locator("input") for i in range(2))
    pictures = {both.nth(i).locator("img").get_attribute("src") for i in range(2)}
    first.focus()
    for key, label in (("ArrowRight", 2), ("ArrowRight", 4), ("ArrowLeft", 2), ("End", 4)):
        page.keyboard.press(key)
        assert state() == [f"Width: {label}", "Depth: 1"]
        assert first.get_attribute("aria-valuetext") == str(label)
        pictures.add(both.nth(0).locator("img").get_attribute("src"))
    assert len(pictures) == 3  # both sliders have the same three
    box = second.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert state() == ["Width: 4", "Depth: 2"]


@pytest.mark.parametrize("source", [two_sliders], indirect=True)
def test_sliders_and_folded_cells(server, source, tmp_path):
    from nbconvert import HTMLExporter
    from playwright.sync_api import sync_playwright

    notebook = curriculum.execute(source(), "sliders", tmp_path / "outputs")
    html, _ = HTMLExporter().from_notebook_node(notebook)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        page.goto(server)
        page.locator(CELL, has_text="not folded").wait_for(timeout=120_000)
        run_all(page)
        folded, plain = (page.locator(CELL).nth(i) for i in range(2))
        assert not folded.locator(".cm-content").is_visible()
        assert plain.locator(".cm-content").is_visible()
        use_two_sliders(page)
        folded.locator(".jp-InputPlaceholder").click()
        assert "figures.slider" in folded.locator(".cm-content").inner_text()

        for scripts in (True, False):
            page = browser.new_context(java_script_enabled=scripts, offline=True).new_page()
            page.goto((tmp_path / "page.html").as_uri(), wait_until="domcontentloaded")
            if scripts:
                use_two_sliders(page)
            else:
                assert page.locator("figure img").count() == 2
                assert all(picture.is_visible() for picture in page.locator("figure img").all())
        browser.close()
