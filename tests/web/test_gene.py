"""A gene's page: where every method puts it, what was measured of it, and which gene a name means."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest
from scipy.stats import rankdata

from perturbloop.report import compose
from perturbloop.report.gene import GeneAnswer
from perturbloop.report.gene_measured import measured_section
from perturbloop.report.gene_sections import Beside, gene_sections
from perturbloop.report.html import environment
from perturbloop.report.ranks import read_ranks
from perturbloop.schema import INTERACTIONS, method
from perturbloop.web.pages import gene as page_of_gene
from perturbloop.web.served import Shown
from perturbloop.web.sources import drug_rows


@pytest.fixture(scope="module")
def report(kept_campaign):
    return compose(kept_campaign / "rounds" / "001")


def one(report, status):
    """First gene of the ranking with a status."""
    return report.ranking[report.ranking["status"].eq(status) & report.ranking["kind"].eq("delete")].iloc[0]


def test_the_answer_comes_first_with_place_and_measurement(reader, report):
    best = one(report, "scored")
    page = reader.get(f"/gene/{best['gene_id']}").text
    lead = re.search(r'<p class="lead">(.*?)</p>', page)[1]
    scored = len(report.ranking.query("status == 'scored' and kind == 'delete'"))
    assert lead.startswith(f"Place 1 of {scored} to inhibit (delete): P(worthwhile effect)")
    assert "Measured: not yet." in page or "Measured by crispri" in page
    assert lead in reader.get(f"/gene/{best['gene_name'].lower()}").text


def test_ranks_are_those_of_the_predictions_among_scored_genes(kept_campaign, report):
    folder = kept_campaign / "rounds" / "001"
    ranks = read_ranks(report, folder)
    scored = set(report.ranking.query("status == 'scored' and kind == 'delete'")["gene_id"])
    table = pd.read_parquet(folder / "predictions.parquet").query("fold == -1 and kind == 'delete'")
    for name in table["method"].unique():
        rows = table[table["method"].eq(name) & table["gene_id"].isin(scored)].dropna(subset=["score"])
        expected = rankdata(-rows["score"].astype("float32"), method="min")
        for gene_id, rank in zip(rows["gene_id"][:25], expected[:25], strict=True):
            row = ranks.of(gene_id).query("method == @name and kind == 'delete'").iloc[0]
            assert (row["rank"], row["of"], row["title"]) == (rank, len(rows), method(name).title)
    assert ranks.of("ENSG99999999999").empty
    assert ranks.rank_kmg.dtype == ranks.score_kmg.dtype == "float32"


def test_a_measured_gene_shows_its_guides_and_replicates_and_a_spent_one_says_why_it_has_no_place(
    reader, report
):
    spent = one(report, "spent")
    page = reader.get(f"/gene/{spent['gene_name']}").text
    assert "memory, not prediction" in page
    tree = reader.get(f"/gene/{spent['gene_name']}.json").json()
    guides = report.effects.query("level == 'guide' and gene_id == @spent.gene_id")
    assert {row["guide_id"] for row in tree["guides"]} == set(guides["guide_id"])
    assert all(guide in page for guide in guides["guide_id"])
    assert {row["replicate"] for row in tree["replicates"]} == {"replicate 1", "replicate 2"}
    assert tree["measured"][0]["gene_id"] == spent["gene_id"]


def measured(fold, held, *guides):
    """Section of a gene of one fold, with a guide that two files name alike."""
    row = {"modality": "crispri", "guide_id": "", "effect_to_goal": 1.0, "se": 0.2, "padj": 0.01, "hit": True}
    row |= {"n_cells": 80, "n_guides": 1, "n_replicates": 2, "fold": fold, "level": "gene"}
    alone = [row | {"level": "guide", "guide_id": "g1", "n_cells": one["n_cells"]} for one in guides]
    return measured_section(
        pd.DataFrame([row, *alone]), pd.DataFrame(guides), pd.DataFrame(), kept_apart=held
    )


def test_what_a_gene_is_used_for_and_whose_guide_it_is():
    folds = {(-1, False): "taught the ranking", (0, True): "held out"}
    folds[3, False] = "taught the ranking; judges without it in fold 3"
    assert {key: measured(*key).grids[0].rows[0][-1] for key in folds} == folds
    same = {"guide_id": "g1", "ratio_se": 0.01, "escape": 0.1, "weight": 1.0, "reason": ""}
    files = [same | {"n_cells": n, "ratio": n / 100, "source": f"{n}.h5ad"} for n in (30, 50)]
    rows = measured(-1, False, *files).grids[1].rows
    assert [(row[3].split()[0], row[-1]) for row in rows] == [("0.30", "30.h5ad"), ("0.50", "50.h5ad")]


def test_neighbors_that_say_so_are_linked_with_their_own_effect(reader, report):
    beliefs = report.posterior[report.posterior["neighbors"].ne("")]
    row = beliefs.iloc[0]
    added, _, name = row["neighbors"].split(", ")[0].partition(" by ")
    found = reader.get(f"/gene/{row['gene_id']}.json").json()["neighbors"][0]
    assert (found["gene_name"], found["added"]) == (name, float(added))
    effect = report.effects.query("level == 'gene' and gene_name == @name")["effect_to_goal"].iloc[0]
    assert found["effect_to_goal"] == effect
    assert f'<a href="/gene/{found["gene_id"]}">{name}</a>' in reader.get(f"/gene/{row['gene_id']}").text


def test_a_name_leads_to_its_gene_and_one_that_means_none_to_the_closest(reader, report):
    best = one(report, "scored")
    answer = reader.get("/gene", params={"q": f" {best['gene_name'].lower()} "})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/gene/{best['gene_id']}")
    missing = reader.get("/gene", params={"q": best["gene_name"] + "X"})
    assert missing.status_code == 404
    assert f'<a href="/gene/{best["gene_id"]}">' in missing.text
    assert reader.get("/gene").status_code == 200
    tree = reader.get("/gene/NOSUCH.1.json")
    assert tree.status_code == 404
    assert "does not hold `NOSUCH.1`" in tree.json()["said"]
    evil = reader.get("/gene", params={"q": "<script>alert(1)</script>"}).text
    assert "<script>alert" not in evil


def test_a_name_of_several_genes_lists_them(reader, monkeypatch, report):
    two = report.ranking["gene_id"].unique()[:2].tolist()
    names = SimpleNamespace(meant=lambda _: tuple(two), name_of=dict(zip(two, ("ONE", "TWO"), strict=True)))
    monkeypatch.setattr(page_of_gene, "names_of", lambda _: names)
    page = reader.get("/gene?q=MRP1").text
    assert "is a name of 2 genes" in page
    assert all(f'href="/gene/{gene}"' in page for gene in two)


def test_links_out_tell_nobody_where_the_reader_came_from(reader, report):
    page = reader.get(f"/gene/{one(report, 'scored')['gene_id']}")
    links = re.findall(r"<a [^>]*href=\"https://[^>]*>", page.text)
    assert len(links) == 4
    assert all('rel="noreferrer noopener"' in link for link in links)
    assert page.headers["referrer-policy"] == "no-referrer"


def test_the_csv_twin_ranks_by_method(reader, report):
    best = one(report, "scored")
    answer = reader.get(f"/gene/{best['gene_id']}.csv")
    assert answer.text.splitlines()[0] == "kind,method,title,role,rank,of,score,measured"
    assert answer.headers["content-type"].startswith("text/csv")


def test_compounds_guides_and_cautions_of_a_gene_are_said(monkeypatch, report, tmp_path):
    drugs = pd.DataFrame(
        [
            ("TRIAL", "P53", "binder", "", "phase 2", 6.0, "B"),
            ("DRUG", "TP53", "inhibitor", "delete", "approved", 8.7, "A"),
            ("OTHER", "STAT1", "inhibitor", "delete", "", float("nan"), "A"),
        ],
        columns=["compound", "gene", "mechanism", "kind", "stage", "potency", "source"],
    )
    table = INTERACTIONS.completed(drugs)
    added = [SimpleNamespace(kind="drugs", interactions=table), SimpleNamespace(kind="sets")]
    monkeypatch.setattr("perturbloop.web.sources.added", lambda: added)
    rows = drug_rows(Shown(tmp_path, report), "ENSG00000141510", "TP53")
    assert rows["compound"].tolist() == ["DRUG"]
    library = pd.DataFrame({"guide_id": ["g1"], "sequence": ["ACGT"], "transcript": [""]})
    row = {
        "place": 1.0,
        "of": 9,
        "kind": "delete",
        "action": "inhibit",
        "ranked_by": "logit_shift",
        "flags": "HLA,mine",
    }
    row |= dict.fromkeys(
        ("benefit", "effect", "ci_low", "ci_high", "padj", "detection", "log2fc", "de_padj"), 0.5
    )
    found = GeneAnswer("TP53", "ENSG00000141510", "", ({**row, "n_cells": 3, "call": "toward"},), (), (), "")
    made = gene_sections(found, pd.DataFrame(), pd.DataFrame(), Beside(library=library, drugs=rows))
    by_key = {section.key: section for section in made}
    assert [*by_key] == ["answer", "expression", "library", "drugs"]
    assert by_key["answer"].lines == (
        "Place 1 of 9 to inhibit (delete): in-silico shift +0.500, 3 cells.",
        "Measured: not yet.",
    )
    assert by_key["answer"].notes == ("HLA: differs with the donor's HLA type.", "mine: named by you.")
    assert by_key["drugs"].grids[0].rows[0][:2] == ("DRUG", "inhibit")
    assert by_key["library"].grids[0].rows == (("g1", "ACGT", "–"),)


def test_a_gene_may_have_a_stroke_in_its_name(reader):
    link = environment("perturbloop.web", live=True).from_string("/gene/{{ 'A/B 1' | address }}").render()
    assert link == "/gene/A%2FB%201"
    assert "does not hold <code>A/B 1</code>" in reader.get(link).text
    assert reader.get(f"{link}.json").json()["said"].startswith("The file of the cells does not hold `A/B 1`")
