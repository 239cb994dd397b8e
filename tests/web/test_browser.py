"""The pages as a reader has them: a real server, a real browser."""

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore"),
]
PAGES = {
    "/overview": "Which genes move cells",
    "/ranking": "Ranking",
    "/evidence": "Evidence",
    "/batch": "Next batch",
    "/record": "Record",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(kept_campaign: Path, serving) -> str:
    """Address of a server that only shows."""
    return serving(kept_campaign, "--read-only")[1]


@pytest.fixture
def page(browser: sync_api.Browser, address: str) -> Iterator[sync_api.Page]:
    """A browser that opened the printed address; whatever it complains of, or loads from elsewhere, fails the test."""
    yield from opened(browser, address)


def opened(browser: sync_api.Browser, address: str) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    shown = context.new_page()
    complaints: list[str] = []
    own = address.partition("/?")[0]
    shown.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on(
        "request",
        lambda asked: (
            complaints.append(asked.url) if not asked.url.startswith((own, "data:", "about:")) else None
        ),
    )
    shown.goto(address)
    shown.wait_for_url(re.compile(r"/(overview)?$"))
    yield shown
    context.close()
    assert complaints == []


def at(page: sync_api.Page, path: str) -> None:
    """Go to a path of the same server."""
    page.goto(page.url.partition("//")[0] + "//" + page.url.split("/")[2] + path)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [1280, 420])
def test_a_page_fits_its_window(page, path, width):
    page.set_viewport_size({"width": width, "height": 900})
    at(page, path)
    assert PAGES[path] in page.locator("h1").first.inner_text()
    page.locator("details").evaluate_all("every => every.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", PAGES)
def test_headings_and_inputs_can_be_read_aloud(page, path):
    at(page, path)
    levels = page.locator("h1, h2, h3, h4").evaluate_all("every => every.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    silent = """every => every.filter(one => one.type !== "hidden" && !one.labels?.length && !one.getAttribute("aria-label")
        && !one.getAttribute("aria-labelledby")).map(one => one.outerHTML)"""
    assert page.locator("input, select, textarea").evaluate_all(silent) == []
    assert (
        page.locator("button, a").evaluate_all(
            "every => every.filter(one => !one.textContent.trim() && !one.getAttribute('aria-label')).length"
        )
        == 0
    )
    assert page.locator("img:not([alt])").count() == 0


def test_everything_is_reached_by_the_keyboard(page):
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the page"
    assert [
        name for name in reached if name in ("Overview", "Ranking", "Evidence", "Next batch", "Record")
    ] == [
        "Overview",
        "Ranking",
        "Evidence",
        "Next batch",
        "Record",
    ]
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
