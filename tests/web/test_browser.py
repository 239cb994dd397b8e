"""The pages as a reader has them: a real server, a real browser."""

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pandas as pd
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


@pytest.fixture
def owner(browser: sync_api.Browser, made_campaign: Path, serving) -> Iterator[sync_api.Page]:
    """A browser at a campaign of its own, which may be written."""
    yield from opened(browser, serving(made_campaign)[1])


@pytest.mark.long
def test_from_the_first_page_to_the_next_round(owner, made_campaign):
    owner.set_default_timeout(120_000)
    pages = owner.get_by_role("navigation", name="Pages")
    assert "2 finished rounds" in owner.locator("main").inner_text()

    pages.get_by_role("link", name="Ranking").click()
    genes = owner.locator("#found tbody a")
    gene = genes.nth(3).inner_text()
    owner.get_by_label("Find", exact=False).first.fill(gene)
    owner.wait_for_url(re.compile(f"q={gene}"))
    owner.wait_for_function(
        "name => document.querySelector('#found tbody a')?.textContent === name", arg=gene
    )
    with owner.expect_download() as kept:
        owner.get_by_role("link", name="CSV of these").click()
    rows = Path(kept.value.path()).read_text().splitlines()
    assert all(gene in row for row in rows[1:])
    genes.first.click()
    assert owner.locator("h1").inner_text().startswith(gene)

    pages.get_by_role("link", name="Next batch").click()
    owner.get_by_label("Pin genes").fill(gene)
    owner.get_by_label("Genes in the batch").fill("4")
    owner.get_by_role("button", name="Ask again").click()
    owner.locator("#proposals").get_by_text("pinned").wait_for()
    assert owner.locator("#proposals tbody tr").count() == 4
    asked = owner.locator("#proposals tbody tr .gene a").all_inner_texts()
    assert gene in asked
    with owner.expect_download() as kept:
        owner.get_by_role("link", name="Download .csv").click()
    assert all(name in Path(kept.value.path()).read_text() for name in asked)
    owner.get_by_role("button", name="Mark as sent").click()
    owner.get_by_text("The batch is taken").wait_for()

    pages.get_by_role("link", name="Record").click()
    ranking = pd.read_parquet(made_campaign / "rounds" / "001" / "ranking.parquet")
    names = ranking["gene_name"].drop_duplicates()
    screen = pd.DataFrame(
        {
            "gene": names,
            "score": range(len(names)),
            "FDR": [0.01 if name in asked[:2] else 0.9 for name in names],
        }
    )
    owner.get_by_label("A table of a screen").set_input_files(
        {
            "name": "il2 <b>screen</b>.csv",
            "mimeType": "text/csv",
            "buffer": screen.to_csv(index=False).encode(),
        }
    )
    owner.get_by_role("button", name="See what is understood").click()
    owner.get_by_label("A high score stands for").select_option("goal")
    owner.get_by_label("What was done to the genes").select_option("crispri")
    owner.get_by_role("button", name="Record", exact=True).click()
    owner.locator("#result").wait_for()
    assert owner.locator("#result b").count() == 0
    owner.get_by_role("button", name="Play the round").click()
    owner.get_by_text("Round 2 is finished").wait_for()
    owner.get_by_role("link", name="Show it").click()
    assert "3 finished rounds" in owner.locator("main").inner_text()
    assert (made_campaign / "rounds" / "002" / "report.html").is_file()
