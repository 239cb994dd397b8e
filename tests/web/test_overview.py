"""The overview and the evidence: the same sections as in the frozen report, and the ledger as it is now."""

import re
from dataclasses import replace

from starlette.testclient import TestClient

from perturbloop import Campaign
from perturbloop.report import compose
from perturbloop.schema import FOUND, ROUNDS
from perturbloop.store.working import Doing
from perturbloop.web.app import application

from .conftest import HERE, TOKEN


def section(page, key):
    """Text of a section, without its elements; addresses of figures and genes differ by design."""
    found = re.search(rf'<section id="{key}">.*?</section>', page, flags=re.DOTALL)[0]
    found = re.sub(r'<a class="other".*?</a>', "", found)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found)).strip()


def test_the_frozen_report_and_the_browser_show_the_same_sections(reader, kept_campaign):
    frozen = (kept_campaign / "rounds" / "001" / "report.html").read_text(encoding="utf-8")
    for path, keys in {
        "/overview": ("answer", "rounds", "found", "asked", "limits"),
        "/evidence": ("method", "effects", "scoreboard", "by-guide", "power"),
    }.items():
        page = reader.get(path).text
        for key in keys:
            assert section(page, key) == section(frozen, key)
        assert page.count("<h1>") == 1
        assert page.index('<section id="' + keys[0]) < page.index("<details") < page.index(keys[-1])


def test_the_evidence_has_effects_by_guide_and_by_replicate(reader):
    page = reader.get("/evidence").text
    said = section(page, "by-guide")
    assert "perturbed.h5ad, by guide: " in said
    assert "perturbed.h5ad, by replicate: effect to goal ± SE" in said
    tree = reader.get("/evidence.json").json()
    assert set(tree) == {"metrics", "gains", "effects", "guides", "replicates", "curves", "reversal"}
    assert {"target", "guide_id", "effect_to_goal"} <= set(tree["guides"]["perturbed.h5ad"][0])
    assert tree["effects"]
    assert reader.get("/evidence.csv").text.startswith("method,kind,")


def test_the_twins_of_the_overview_hold_the_rounds(reader, kept_campaign):
    answer = reader.get("/overview.csv")
    assert "study-overview.csv" in answer.headers["content-disposition"]
    head, *rows = answer.text.splitlines()
    assert head.split(",") == ROUNDS.names
    assert [row.split(",")[0] for row in rows] == ["0", "1"]
    tree = reader.get("/overview.json").json()
    assert tree["rounds"][1]["recorded"] == "perturbed.h5ad"
    assert tree["rounds"][1]["n_measured"] == len(
        compose(kept_campaign / "rounds" / "001").effects.query("level == 'gene'")["gene_id"].unique()
    )
    assert tree["found"] == []
    assert "No batch came back so far" in reader.get("/").text


def test_a_batch_that_was_taken_since_is_seen_at_once_and_its_hits_beside_chance(made_campaign, access):
    study = Campaign(made_campaign)
    study.propose(4, anyway=True, accept=True)
    with TestClient(application(made_campaign, access), base_url=HERE) as client:
        client.headers |= {"Authorization": f"Bearer {TOKEN}"}
        assert "batch 0: 4 genes, 4 awaited" in section(client.get("/overview").text, "rounds")
        genes = list(study.trials["gene_name"])
        study.tell({genes[0]: True, genes[1]: False})
        client.app.state.served.forget()
        page, tree = client.get("/overview").text, client.get("/overview.json").json()
    assert "batch 0: 4 genes, 2 awaited" in section(page, "rounds")
    assert section(page, "found").startswith("Hits found against chance 1 hit among 2 genes that came back")
    (row,) = tree["found"]
    assert list(row) == FOUND.names
    assert (row["round"], row["n_taken"], row["n_told"], row["observed"]) == (1, 4, 2, 1)
    assert row["by_chance"] == 2 * tree["rounds"][1]["by_chance"]
    frozen = (made_campaign / "rounds" / "001" / "report.html").read_text(encoding="utf-8")
    assert "batch 0:" not in section(frozen, "rounds")


def test_a_page_that_is_kept_tells_what_is_done_now_and_what_the_ledger_says_now(reader, monkeypatch):
    served = reader.app.state.served
    first = reader.get("/overview").text
    assert reader.get("/overview").text == first
    assert served.shown().texts
    doing = Doing("train frozen", 1, 4, 100.0, 140.0, 1, "")
    monkeypatch.setattr(type(served), "doing", lambda self: doing)
    assert "train frozen: 1 of 4" in reader.get("/overview").text
    held = served.ledger()
    other = replace(held, config=replace(held.config, design=replace(held.config.design, budget=7)))
    assert other.stamp != held.stamp
    assert replace(held).stamp == held.stamp


def test_only_so_many_pages_are_kept(reader, monkeypatch):
    monkeypatch.setattr("perturbloop.web.served.MOST_PAGES", 3)
    for detection in range(6):
        assert reader.get(f"/ranking?detection=0.{detection}").status_code == 200
    assert len(reader.app.state.served.shown().texts) == 3
