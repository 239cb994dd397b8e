"""Names from data are text, whatever they hold: in pages, in files for a spreadsheet, in figures."""

import csv
import io
import json
import shutil
from html.parser import HTMLParser
from urllib.parse import quote

import pandas as pd
import pytest
from starlette.testclient import TestClient

from perturbloop.web.access import Access
from perturbloop.web.app import application

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    '=HYPERLINK("http://evil.example")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "../../etc/passwd",
    "a/b?c=d&e#f%00",
    "<svg/onload=alert(1)>",
]
STATE = "<b>rest</b>"


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def elements(text):
    parser = Elements()
    parser.feed(text)
    return parser.found


def renamed(frame, names):
    """The table with hostile names in the place of the first genes'."""
    for column in ("gene_name", "target", "guide_id", "neighbors", "reason", "flags"):
        if column in frame.columns:
            frame[column] = frame[column].astype(object)
            if column == "gene_name":
                frame[column] = frame[column].map(lambda name: names.get(name, name))
            else:
                filled = frame[column].notna() & frame[column].astype(str).ne("")
                frame.loc[filled, column] = [HOSTILE[row % len(HOSTILE)] for row in range(int(filled.sum()))]
    return frame


@pytest.fixture(scope="module")
def hostile(kept_campaign, tmp_path_factory):
    """A campaign whose genes, targets, guides, reasons, states and name are hostile."""
    folder = tmp_path_factory.mktemp("hostile") / "<i>study"
    shutil.copytree(kept_campaign, folder)
    last = folder / "rounds" / "001"
    genes = pd.read_parquet(last / "ranking.parquet")["gene_name"].drop_duplicates().head(len(HOSTILE))
    names = dict(zip(genes, HOSTILE, strict=True))
    for path in [*last.glob("*.parquet"), *(folder / "perturbed").rglob("*.parquet")]:
        renamed(pd.read_parquet(path), names).to_parquet(path, index=False)
    for path in (last / "facts.json", last / "recorded.json"):
        text = (
            path.read_text()
            .replace('"resting"', json.dumps(STATE))
            .replace("perturbed.h5ad", "<u>cells</u>.h5ad")
        )
        path.write_text(text)
    return folder


@pytest.fixture
def client(hostile):
    headers = {"Authorization": "Bearer t"}
    access = Access.at("127.0.0.1", 8123, token="t")
    with TestClient(
        application(hostile, access), base_url="http://127.0.0.1:8123", headers=headers
    ) as opened:
        yield opened


PAGES = [
    "/overview",
    "/ranking",
    "/ranking?q=%3Cscript%3E&genes=%3Cb%3E&sort=%3Cb%3E&kind=%3Cb%3E",
    "/evidence",
    "/batch",
    "/record",
    "/doing",
]


@pytest.mark.parametrize(
    "path",
    [
        *PAGES,
        *(f"/gene/{quote(name, safe='')}" for name in HOSTILE if "/" not in name),
        *(f"/gene?q={quote(name)}" for name in HOSTILE),
    ],
)
def test_no_name_becomes_a_part_of_a_page(client, path):
    answer = client.get(path)
    assert answer.status_code < 500
    assert answer.headers["content-type"].startswith("text/html")
    for tag, attributes in elements(answer.text):
        assert tag not in ("svg", "iframe", "object", "embed", "b", "i", "u", "style", "base")
        assert tag != "script" or (
            attributes.get("src", "").startswith("/static/") and "type" not in attributes
        )
        assert not any(name.startswith("on") for name in attributes)
        assert not any(name in attributes for name in ("style", "srcdoc"))
        assert all(
            "javascript:" not in (attributes.get(name) or "")[:11]
            for name in ("href", "src", "action", "hx-get")
        )
        assert tag != "img" or attributes["src"].startswith("/figure/")
    assert "49{%" not in answer.text


def test_the_names_are_there_as_text(client):
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt;"
        in client.get("/ranking?sort=-detection").text + client.get("/ranking").text
    )
    assert "&lt;i&gt;study" in client.get("/overview").text
    assert "&lt;b&gt;rest&lt;/b&gt;" in client.get("/overview").text


@pytest.mark.parametrize("path", ["/ranking.csv", "/evidence.csv", "/overview.csv", "/batch.csv"])
def test_no_name_becomes_a_formula(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    rows = list(csv.reader(io.StringIO(answer.text)))
    texts = [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    for cell in texts:
        float(cell)  # a number, and no text


def test_the_file_of_the_ranking_holds_every_gene_once(client, hostile):
    rows = list(csv.DictReader(io.StringIO(client.get("/ranking.csv?kind=delete").text)))
    ranking = pd.read_parquet(hostile / "rounds" / "001" / "ranking.parquet")
    assert sorted(row["gene_id"] for row in rows) == sorted(ranking["gene_id"])


def test_the_name_of_a_file_to_keep_is_harmless(client):
    said = client.get("/ranking.csv").headers["content-disposition"]
    assert "<" not in said
    assert "/" not in said.partition(";")[2]


def test_figures_hold_no_element_of_a_name(client):
    for place in range(3):
        answer = client.get(f"/figure/ranking/{place}.svg")
        if answer.status_code == 404:
            break
        assert answer.headers["content-type"].startswith("image/svg+xml")
        tags = {tag for tag, _ in elements(answer.text)}
        assert not tags & {"script", "img", "iframe", "foreignobject", "a"}


def test_machines_get_the_names_as_they_are(client):
    tree = client.get("/ranking.json?kind=delete").json()
    names = {row[tree["columns"].index("gene_name")] for row in tree["rows"]}
    assert set(HOSTILE) <= names
