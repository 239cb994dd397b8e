"""The frozen report in a real browser: sorted, filtered, turned, linked and printed without a server."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest

from perturbloop.report import render
from perturbloop.report.html import environment
from perturbloop.report.ranking import top_grid

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore"),
]
N = 240


@pytest.fixture(scope="module")
def report(round_one):
    """A report with 240 genes of a kind."""
    rows = round_one.ranking[round_one.ranking["kind"].eq("overexpress")]
    many = pd.concat([rows] * (N // len(rows)), ignore_index=True)
    names = [f"G{k:03d}" for k in range(N - 1)] + ["<i>x</i>"]
    ids = [f"ENSG{k:011d}" for k in range(N)]
    many = many.assign(gene_id=ids, gene_name=names, benefit=[1 - k / N for k in range(N)], n_cells=9)
    many = many.assign(effect=[(k * 37 % N - 99) / 100 for k in range(N)], status="scored")
    return replace(round_one, ranking=many, posterior=round_one.posterior[:0])


@pytest.fixture(scope="module")
def file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("frozen") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perturbloop.report.html._source", lambda picture: "data:,")
        environment.cache_clear()
        path.write_text(render(report), encoding="utf-8")
    environment.cache_clear()
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser, file):
    """The file, opened; what it complains of, or asks for, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    shown, complaints = context.new_page(), []
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    shown.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    shown.goto(file.as_uri())
    yield shown
    context.close()
    assert complaints == []


def cells(page):
    """The rows that are drawn of the ranking, as the reader sees them."""
    texts = page.locator("#ranking tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => (cell.querySelector('a') ?? cell).textContent))"
    )
    return [tuple(row) for row in texts]


def test_the_script_draws_what_the_table_would_hold_and_turns_through_all(page, report):
    whole = top_grid(report, "overexpress", N).rows
    assert tuple(cells(page)) == whole[:20]
    status = page.locator("#ranking .turn [role=status]")
    assert status.inner_text() == "1 to 20 of 240"
    seen = cells(page)
    for _ in range(11):
        page.locator("#ranking .turn button", has_text="Next").click()
        seen += cells(page)
    assert tuple(seen) == whole
    assert page.locator("#ranking .turn button", has_text="Next").is_disabled()
    assert page.locator("#ranking i").count() == 0
    link = page.locator("#ranking tbody tr a").first
    assert link.get_attribute("href") == f"https://www.ensembl.org/id/ENSG{220:011d}"


def test_heads_sort_by_number_and_by_word_with_the_keyboard_too(page):
    head = page.locator("#ranking th", has_text="shift")
    head.locator("button").click()
    shifts = [float(row[2].replace("−", "-")) for row in cells(page)]
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[0] == 1.4
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert cells(page)[0][2] == "−0.990"
    page.locator("#ranking th button", has_text="gene").click()
    assert [row[1] for row in cells(page)][:3] == ["<i>x</i>", "G000", "G001"]


def test_a_filter_looks_through_all_rows(page):
    box = page.locator("#ranking input[type=search]")
    box.fill("g23")
    assert [row[1] for row in cells(page)] == [f"G{k}" for k in range(230, 239)]
    assert page.locator("#ranking .turn [role=status]").inner_text() == "1 to 9 of 9"
    box.fill("nothing like it")
    assert page.locator("#ranking .turn [role=status]").inner_text() == "none"
    box.fill("")
    assert len(cells(page)) == 20


def test_a_link_opens_the_details_it_points_into(page, file):
    assert page.locator("details[open]").count() == 0
    page.goto(f"{file.as_uri()}#scoreboard")
    assert page.locator("#evidence-details").get_attribute("open") is not None
    assert page.locator("#scoreboard").is_visible()
    page.evaluate("location.hash = 'limits'")
    page.wait_for_selector("#limits", state="visible")
    assert page.locator("details[open]").count() == 2


@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("details").evaluate_all("every => every.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_all_details_are_open_in_print_and_closed_after(page):
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print")
    assert not page.locator("nav").first.is_visible()
    assert page.locator("#limits").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_without_a_script_the_best_twenty_stand_there(browser, file):
    context = browser.new_context(java_script_enabled=False)
    shown = context.new_page()
    shown.goto(file.as_uri())
    assert shown.locator("#ranking tbody tr").count() == 20
    assert "G000" in shown.locator("#ranking tbody").inner_text()
    assert re.search("240 genes by shift, the best first", shown.locator("#ranking").inner_text())
    context.close()
