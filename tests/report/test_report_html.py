import base64
import re
from html.parser import HTMLParser

import pytest

from perturbloop.report import render, sections, write

LOADING = {"script", "link", "iframe", "object", "embed", "video", "audio", "source"}


class Page(HTMLParser):
    """The reader's side: what is loaded, which elements are open, what is said."""

    def __init__(self, page):
        super().__init__()
        self.loaded, self.tags, self.ids, self.open, self.said = [], set(), [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loaded += [value for name, value in attrs if name in {"src", "srcset", "data", "xlink:href"}]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def test_the_page_loads_nothing_from_anywhere(round_one):
    page = render(round_one)
    parsed = Page(page)
    assert not LOADING & parsed.tags
    assert len(parsed.loaded) == 3
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.loaded)
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert not parsed.open
    assert len(set(parsed.ids)) == len(parsed.ids)


def test_labels_are_text_and_never_markup_in_the_page_or_its_figures(round_one):
    page = render(round_one)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<i>" not in page
    assert "ifn &lt;b&gt;" in page
    for source in re.findall(r"base64,([^\"]+)", page):
        assert b"<script" not in base64.b64decode(source)


def test_the_order_is_fixed_and_warnings_come_first_and_stand_out(round_one, round_zero):
    keys = [section.key for section in sections(round_one)]
    assert keys[:2] == ["warnings", "asked"]
    assert keys == [section.key for section in sections(round_zero)]
    order = [
        "ranking",
        "scoreboard",
        "gains",
        "correlations",
        "effects",
        "context",
        "pathways",
        "power",
        "spent",
        "proposals",
    ]
    assert [key for key in keys if key in order] == order
    assert 'id="warnings" class="alert"' in render(round_one)


def test_a_round_without_measurements_says_so_in_words(round_zero):
    page = render(round_zero)
    assert page.count("No perturbed cells recorded yet: add them with <code>perturbloop record</code>") == 3
    assert "This is round 0: there is no earlier ranking." in page
    assert 'class="alert"' not in page


def test_the_same_report_gives_the_same_page(round_zero):
    assert render(round_zero) == render(round_zero)


def test_a_page_is_written_whole_or_not_at_all(round_zero, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    assert write(round_zero, path) == path
    whole = path.read_text(encoding="utf-8")
    assert whole.rstrip().endswith("</html>")
    monkeypatch.setattr("perturbloop.report.html.render", lambda report: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        write(round_zero, path)
    assert path.read_text(encoding="utf-8") == whole
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
