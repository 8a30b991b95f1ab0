"""The book's site in a real browser: every page of it. `make test-book` builds the site first."""

import functools
import http.server
import itertools
import re
import shutil
import threading
import urllib.parse
from html.parser import HTMLParser

import pytest

from labkit.ledger import outputs_dir

SITE = outputs_dir() / "book" / "site"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
CONTENT = [page for page in PAGES if page not in ("genindex.html", "search.html", "404.html")]
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
LARGEST = 2 * 2**20  # bytes of a page

pytestmark = pytest.mark.skipif(not PAGES, reason="the site is not built: `make test-book` builds and tests it")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: no page is tried in a browser")


class Links(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.places = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.targets.append(found["href"])


@functools.cache
def links(page):
    return Links((SITE / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_no_link_within_the_site_is_broken(page):
    broken = []
    for target in links(page).targets:
        address = urllib.parse.urlsplit(target)
        if address.scheme:
            continue
        path = (SITE / page).parent / urllib.parse.unquote(address.path) if address.path else SITE / page
        path = path.resolve()
        if not path.is_file():
            broken.append(target)
        elif address.fragment and path.suffix == ".html":
            places = links(path.relative_to(SITE.resolve()).as_posix()).places
            if urllib.parse.unquote(address.fragment) not in places:
                broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_page_is_small_and_has_everything_from_here(page):
    text = (SITE / page).read_text(encoding="utf-8")
    assert len(text.encode()) <= LARGEST
    assert not re.findall(r'<(?:script|img|iframe|source)[^>]*\bsrc="(?:https?:)?//[^"]*', text)
    assert not re.findall(r'<link[^>]*\brel="stylesheet"[^>]*href="(?:https?:)?//', text)
    prose = re.sub(r"<(pre|code|script)\b.*?</\1>", "", text, flags=re.S)
    assert not re.search(r"\$\$|\\\(|\\\[", prose), "a formula that was not converted"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@needs_browser
@pytest.mark.parametrize("name", CONTENT)
def test_page_in_the_browser(name, page, address):
    from axe_playwright_python.sync_playwright import Axe

    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/{name}")
    page.wait_for_load_state("networkidle")

    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    assert page.locator("h1").count() == 1
    levels = page.eval_on_selector_all("article :is(h1, h2, h3, h4)", "all => all.map(h => +h.tagName[1])")
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels)), levels
    assert page.eval_on_selector_all("img", "all => all.filter(i => !i.alt).length") == 0
    flat = "all => all.filter(m => m.getBoundingClientRect().width < 2 && !m.closest('details:not([open])')).length"
    assert page.eval_on_selector_all("math", flat) == 0, "a formula is not drawn"
    serious = [
        f"{found['id']}: {found['nodes'][0]['html'][:200]}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert serious == []

    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "wider than a phone"


@needs_browser
@pytest.mark.parametrize("how", ["served", "as a file"])
def test_search_finds_double_descent(how, page, address):
    start = address if how == "served" else SITE.resolve().as_uri()
    page.goto(f"{start}/index.html")
    page.fill("input[name=q]", "double descent")
    page.press("input[name=q]", "Enter")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").all_text_contents()
    assert any("more parameters than data" in title for title in found), found


@needs_browser
def test_dark_mode_keeps_contrast_and_figures_lie_on_white(browser, address):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    for name in ("index.html", "notebooks/00_start_here.html", "labs/lab01_perceptron_to_autodiff.html"):
        page.goto(f"{address}/{name}")
        page.wait_for_load_state("networkidle")
        red, green, blue = re.findall(r"\d+", page.evaluate(BACKGROUND))[:3]
        assert max(int(red), int(green), int(blue)) < 60
        faults = [found for found in Axe().run(page).response["violations"] if found["id"] == "color-contrast"]
        assert [node["html"] for found in faults for node in found["nodes"]] == []
    page.goto(f"{address}/notebooks/00_start_here.html")
    white = "getComputedStyle(document.querySelector('figure img')).backgroundColor == 'rgb(255, 255, 255)'"
    assert page.evaluate(white)
    context.close()


@needs_browser
def test_dark_mode_by_its_button(page, address):
    page.goto(f"{address}/index.html")
    before = page.evaluate(BACKGROUND)
    seen = set()
    for _ in range(3):
        page.locator("button.theme-toggle:visible").first.click()
        seen.add(page.evaluate(BACKGROUND))
    assert len({before, *seen}) == 2


@needs_browser
def test_slider_moves_by_the_keyboard(page, address):
    page.goto(f"{address}/notebooks/00_start_here.html")
    slider = page.locator("figure[data-frames] input[type=range]").first
    picture = page.locator("figure[data-frames] img").first
    before = picture.get_attribute("src"), slider.get_attribute("aria-valuetext")
    slider.focus()
    slider.press("ArrowRight")
    after = picture.get_attribute("src"), slider.get_attribute("aria-valuetext")
    assert before[0] != after[0]
    assert before[1] != after[1]


@needs_browser
def test_each_claim_links_to_the_cell_that_shows_it(page, address):
    page.goto(f"{address}/data/results/claims.html")
    link = page.locator("td a").first
    statement = link.text_content()
    link.click()
    page.wait_for_load_state("networkidle")
    place = page.locator(f"[id='{urllib.parse.unquote(urllib.parse.urlsplit(page.url).fragment)}']")
    assert statement in place.text_content()
