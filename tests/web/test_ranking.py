"""The ranking: what is found by name, filtered, sorted and kept, against plain pandas; and what is refused."""

import base64
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from perturbloop.report import compose
from perturbloop.report.basis import shown
from perturbloop.report.names import Names
from perturbloop.web.access import Access
from perturbloop.web.app import application
from perturbloop.web.wanted import Wanted, labels

PART = {"HX-Request-Type": "partial"}
INFLATE = Path(__file__).parents[2] / "benchmarks" / "web" / "inflate.py"


@pytest.fixture
def table(kept_campaign):
    """The ranking as the report shows it, read apart from the server."""
    return shown(compose(kept_campaign / "rounds" / "001"), "delete")


def csv(reader, query):
    """Table of a `.csv` twin; the apostrophes before formulas taken off."""
    answer = reader.get(f"/ranking.csv?{query}")
    assert answer.status_code == 200
    rows = pd.read_csv(
        io.StringIO(answer.text), keep_default_na=False, na_values=[""], float_precision="round_trip"
    )
    return rows.assign(gene_name=rows["gene_name"].astype(str).str.removeprefix("'"))


def shown_genes(html):
    return re.findall(r'<a href="/gene/(ENSG\d+)">', html)


def test_the_page_answers_with_the_best_genes_and_says_how_many_there_are(reader, table):
    page = reader.get("/ranking").text
    assert f"{len(table):,} of {len(table):,} genes" in page
    assert shown_genes(page)[:5] == table["gene_id"].tolist()[:5]
    assert "Benefit (<code>delete</code>)" in page


def test_csv_and_json_hold_the_same_rows_in_the_same_order_as_the_page(reader, table):
    query = "sort=-log2fc&detection=0.3&status=scored"
    wanted = table[table["detection"].ge(0.3) & table["status"].eq("scored")]
    wanted = wanted.sort_values("log2fc", ascending=False, kind="stable")
    rows = csv(reader, query)
    assert rows["gene_id"].tolist() == wanted["gene_id"].tolist()
    np.testing.assert_array_equal(rows["benefit"], wanted["benefit"])
    tree = reader.get(f"/ranking.json?{query}").json()
    place = tree["columns"].index("gene_id")
    assert [row[place] for row in tree["rows"]] == wanted["gene_id"].tolist()
    assert (tree["found"], tree["of"], tree["sort"]) == (len(wanted), len(table), "-log2fc")
    assert shown_genes(reader.get(f"/ranking?{query}", headers=PART).text) == wanted["gene_id"].tolist()[:100]


@pytest.mark.parametrize("sort", ["gene_name", "-gene_name", "effect", "-effect", "de_padj", "-detection"])
def test_any_column_sorts_both_ways_and_what_has_no_value_comes_last(reader, table, sort):
    column = {"effect": "mean"}.get(sort.strip("-"), sort.strip("-"))
    values = csv(reader, f"sort={sort}")[column]
    there = values.dropna().tolist()
    assert values.isna().tolist() == sorted(values.isna())
    key = str.lower if column == "gene_name" else float
    assert there == sorted(there, key=key, reverse=sort.startswith("-"))


def test_a_gene_is_found_by_part_of_its_symbol_by_its_id_and_by_a_list(reader, table):
    gene = table.iloc[7]
    part = gene["gene_name"][:3].lower()
    found = csv(reader, f"q={part}")["gene_name"]
    assert found.tolist() == [name for name in table["gene_name"] if part in name.lower()]
    assert csv(reader, f"q={gene['gene_id'].lower()}")["gene_name"].tolist() == [gene["gene_name"]]
    page = reader.get("/ranking", params={"genes": f"{gene['gene_name']},{gene['gene_id']}\nNOSUCH"}).text
    assert shown_genes(page) == [gene["gene_id"]]
    assert "Not in this ranking: &#39;NOSUCH&#39;" in page


def test_cautions_and_calls_filter_and_what_a_kind_has_no_column_for_is_passed_over(reader, table):
    cautious = table["cautions"].ne("")
    assert csv(reader, "caution=some")["gene_id"].tolist() == table.loc[cautious, "gene_id"].tolist()
    assert csv(reader, "caution=none")["gene_id"].tolist() == table.loc[~cautious, "gene_id"].tolist()
    assert len(csv(reader, "call=toward&sort=padj")) == len(table)


def test_further_rows_come_as_rows_and_the_address_of_a_page_holds_its_state(reader, table):
    rest = reader.get("/ranking?from=100", headers=PART).text
    assert "<html" not in rest
    assert shown_genes(rest) == table["gene_id"].tolist()[100:200]
    page = reader.get("/ranking?from=100&q=a&sort=-benefit").text
    assert "Show those before" in page
    assert 'value="a"' in page
    assert 'aria-sort="descending"' in page
    assert reader.get("/ranking?from=100").headers["vary"].count("HX-Request-Type") == 1


def test_the_dots_are_those_of_the_volcano_and_the_filtered_ones_are_marked(reader, table):
    dots = reader.get("/ranking/points.json?kind=delete").json()
    assert dots["gene"] == table["gene_id"].tolist()
    sd = (table["ci_high"] - table["ci_low"]) / 3.92
    drawn = table["status"].eq("scored").to_numpy()
    y = [value for value in dots["y"]["values"] if value is not None]
    np.testing.assert_allclose(y, (table["mean"].abs() / sd)[drawn], atol=6e-5)
    part = reader.get("/ranking?detection=0.5", headers=PART).text
    bits = np.unpackbits(np.frombuffer(base64.b64decode(re.search('data-mask="([^"]+)"', part)[1]), np.uint8))
    assert bits[: len(table)].tolist() == table["detection"].ge(0.5).astype(int).tolist()
    assert reader.get("/ranking/points.json?kind=no").status_code == 404


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("gene=STAT1", "The ranking is asked by.*`gene` came.*Did you mean.*genes"),
        ("kind=remove", "`kind` must be one of 'delete'.*; 'remove' came"),
        ("sort=benfit", "`sort` must be one of.*'benfit' came. Did you mean 'benefit'"),
        ("call=up", "`call` must be one of 'toward', 'away', 'none'; 'up' came"),
        ("caution=-sex", "`caution` must be one of 'some', 'none'"),
        ("status=done", "`status` must be one of 'scored'"),
        ("detection=1.5", "`detection` must be a share of cells from 0 to 1"),
        ("detection=nan", "`detection` must be a share of cells from 0 to 1"),
        ("from=-1", "`from` must be the number of a row"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_a_sentence(reader, query, said):
    answer = reader.get(f"/ranking.json?{query}")
    assert answer.status_code == 400
    assert re.search(said, answer.json()["error"])
    assert reader.get(f"/ranking?{query}").status_code == 400


def test_names_that_a_gene_had_before_or_has_beside_its_symbol_find_it():
    names = Names.of([("ENSG1", "TP53"), ("ENSG2", "MARCH1"), ("ENSG3", "ABCC1"), ("ENSG4", "CYRIA")])
    assert names.meant("p53") == ("ENSG1",)
    assert names.meant("MARCHF1") == ("ENSG2",)
    assert set(names.meant("MRP1")) >= {"ENSG3"}
    assert names.meant("ensg1") == ("ENSG1",)
    assert names.meant("nothing") == ()


def test_an_address_leaves_out_what_is_as_usual_and_names_are_divided_in_any_way():
    asked = Wanted(kind="delete", q="a b", detection=0.1)
    assert asked.query(sort="-benefit", q="") == "kind=delete&detection=0.1&sort=-benefit"
    assert labels("A;b,\n a\tC") == ("A", "b", "C")


def test_many_genes_are_made_up_and_shown(kept_campaign, tmp_path, access):
    spec = importlib.util.spec_from_file_location("benchmark_inflate", INFLATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(kept_campaign, tmp_path / "big", genes=900, methods=24, seed=0)
    again = tmp_path / "again"
    module.main(kept_campaign, again, genes=900, methods=24, seed=0)
    name = "rounds/001/ranking.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(again / name), pd.read_parquet(tmp_path / "big" / name))
    head = {"Authorization": f"Bearer {access.token}"}
    client = TestClient(application(again, access), base_url="http://127.0.0.1:8123", headers=head)
    page = client.get("/ranking").text
    assert "900 of 900 genes" in page
    best = shown_genes(page)[0]
    ranks = client.get(f"/gene/{best}.json").json()["ranks"]
    assert len({row["method"] for row in ranks}) == 24
    assert next(row["rank"] for row in ranks if row["method"].startswith("posterior")) == 1


def test_access_is_needed(kept_campaign):
    client = TestClient(
        application(kept_campaign, Access.at("127.0.0.1", 1, token="t")), base_url="http://127.0.0.1:1"
    )
    assert client.get("/ranking").status_code == client.get("/gene/STAT1.json").status_code == 403


def test_more_names_than_are_looked_up_are_said(reader):
    assert (
        "the last 10 were not looked up"
        in reader.get(f"/ranking?q={'+'.join(f'x{n}' for n in range(60))}").text
    )
    page = reader.get("/ranking").text
    assert "2,000 at most" in page
    assert "not looked up" not in page


@pytest.mark.parametrize(
    "path", ["/doing?job={}", "/record?done={}", "/batch?sent={}", "/figure/ranking/{}.svg"]
)
def test_a_number_of_thousands_of_digits_breaks_no_page(reader, path):
    assert reader.get(path.format("9" * 5000)).status_code in (200, 404)


def test_a_first_round_can_be_played_here_unless_all_is_only_shown(reader, monkeypatch):
    served = reader.app.state.served
    monkeypatch.setattr(served, "shown", lambda: None)
    assert 'hx-post="/do/play"' in reader.get("/ranking").text
    assert reader.get("/doing.json").json()["doing"] is None


def test_the_twins_stand_in_the_part_that_is_swapped(reader):
    page = reader.get("/ranking?caution=none").text
    assert page.count("/ranking.json?") == 1
    assert "/ranking.json?" in page.partition('<section id="found"')[2].partition("</section>")[0]
