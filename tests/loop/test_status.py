"""Every state of a campaign can be seen and undone; a batch of another size; what is known of a gene."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from anndata import read_h5ad
from typer.testing import CliRunner

from perturbloop.asktell import ask, mark, take, tell, told, trials
from perturbloop.cli import app
from perturbloop.errors import DesignError, GeneIdError, InputError, StoreError
from perturbloop.loop.campaign import checked, play, record, relocate, unrecord
from perturbloop.loop.folder import open_campaign
from perturbloop.loop.last import latest_round, recorded_since
from perturbloop.loop.status import status
from perturbloop.progress import heard_by
from perturbloop.report import compose, render
from perturbloop.report.gene import of_round


@pytest.fixture
def folder(campaign, tmp_path):
    return Path(shutil.copytree(campaign.folder, tmp_path / "copy"))


def seen(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def edit(folder, old, new):
    toml = folder / "campaign.toml"
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new))


def test_the_status_names_rounds_files_what_is_stale_and_what_comes_next(folder):
    before = seen(folder)
    found = status(folder)
    assert found.rounds == (0, 1)
    assert found.recorded == ("perturbed.h5ad (cells, crispri)",)
    assert found.stale == ()
    assert found.next == f"perturbloop propose {folder}"
    assert seen(folder) == before
    edit(folder, "min_effect = 0.3", "min_effect = 0.5")
    assert status(folder).stale == ("evaluate", "propose", "report")
    assert status(folder).next == f"perturbloop play {folder}"


def test_the_status_of_a_campaign_whose_cells_moved_says_so(folder, tmp_path):
    with open_campaign(folder).store:
        pass
    edit(folder, "cells.h5ad", "gone.h5ad")
    found = status(folder)
    assert "gone.h5ad" in found.problem
    assert f"`perturbloop relocate {folder} --cells NEW`" in found.problem
    assert found.rounds == (0, 1)


def test_a_recorded_file_is_taken_back_and_what_it_held_out_stays_held_out(folder, made):
    effects = pd.read_parquet(folder / "rounds" / "001" / "effects.parquet")
    said = unrecord(folder, "perturbed.h5ad")
    assert "stays held out" in said[0]
    assert status(folder).recorded == ()
    with pytest.raises(InputError, match="One recorded file is taken back; 0 are named"):
        unrecord(folder, "perturbed.h5ad")
    recorded, new = record(folder, made.perturbed())
    assert new is False or recorded.n_cells
    again = pd.read_parquet(folder / recorded.folder / "effects_all.parquet")
    folds = effects[effects["level"] == "gene"].set_index("gene_id")["fold"]
    found = again[again["level"] == "gene"].set_index("gene_id")["fold"]
    pd.testing.assert_series_equal(found.sort_index(), folds.sort_index(), check_dtype=False)
    assert play(folder).done == ()  # as it was


def test_a_file_is_recorded_another_way_only_when_that_is_said(folder, made):
    entry = made.perturbed(min_cells=12)
    with pytest.raises(InputError, match=r"with other options: 'min_cells'.*`--replace`.*unrecord"):
        record(folder, entry)
    assert recorded_since(folder) == ()
    told = []
    with heard_by(lambda work, done, total: told.append((work, done, total))):
        recorded, new = record(folder, entry, replace=True)
    assert new
    assert told == [("measure perturbed.h5ad", 0, 1), ("measure perturbed.h5ad", 1, 1)]
    assert recorded_since(folder) == ("perturbed.h5ad",)
    assert recorded.hit_rule.startswith("padj < 0.05, |effect| ≥ 0.3, interval without 0;")
    done = CliRunner().invoke(app, ["report", str(folder)], catch_exceptions=False)
    assert "1 file recorded since round 1: perturbed.h5ad." in done.stdout
    assert f"Next: perturbloop play {folder}" in " ".join(done.stdout.split())
    assert len(status(folder).recorded) == 1


def test_moved_cells_are_found_again_and_others_refused(folder, made, tmp_path):
    moved = tmp_path / "elsewhere.h5ad"
    shutil.copy(made.data / "cells.h5ad", moved)
    relocate(folder, cells=moved)
    assert play(folder).done == ()
    adata = read_h5ad(moved)
    adata.X = adata.X + (adata.X > 0)
    adata.write_h5ad(moved)
    shutil.copy(made.data / "cells.h5ad", tmp_path / "kept.h5ad")
    other = tmp_path / "other.h5ad"
    adata.write_h5ad(other)
    relocate(folder, cells=tmp_path / "kept.h5ad")
    with pytest.raises(InputError, match=r"the cells found there hold something else"):
        relocate(folder, cells=other)
    assert checked(folder)
    with pytest.raises(InputError, match="neither came"):
        relocate(folder)


def test_a_look_writes_nothing_and_a_batch_that_is_taken_awaits_its_outcome(folder, tmp_path):
    before = seen(folder)
    batch = ask(folder, budget=7, anyway=True)
    assert len(batch.proposals) == 7
    assert seen(folder) == before
    with pytest.raises(DesignError, match=r"none was yet.*--accept"):
        mark(folder, "running")
    rows = take(folder, batch)
    assert trials(folder)["status"].eq("proposed").all()
    assert status(folder).stale == ()
    assert status(folder).next == f"perturbloop record {folder}"
    assert any("7 genes of a batch await" in line for line in status(folder).lines())
    other = ask(folder, budget=7, anyway=True)
    assert not set(other.proposals["gene_id"]) & set(rows["gene_id"])
    with pytest.raises(DesignError, match="were taken meanwhile"):
        take(folder, batch)
    first, second, third = rows["gene_name"][:3]
    mark(folder, "abandoned", [first.lower()])
    assert first in set(ask(folder, budget=7, anyway=True).proposals["gene_name"])
    with pytest.raises(GeneIdError, match="'NONE' was not"):
        mark(folder, "failed", ["NONE"])
    typed = tmp_path / "typed.csv"
    typed.write_text(f"gene,hit\n{second},yes\n{third},no\n{rows['gene_name'][3]},\n")
    assert tell(folder, typed)["hit"].tolist() == [True, False]
    (one,) = told(folder)
    assert (one.expected.n_genes, one.observed, one.expected.n_batches) == (2, 1, 0)
    assert status(folder).stale == ("propose", "report")
    assert play(folder).done == ("propose", "report")
    page = (folder / "rounds" / "001" / "report.html").read_text()
    assert "1 were found" in page
    assert "4 genes of earlier batches await their outcome." in page


def test_a_failed_gate_names_no_batch_that_rests_on_the_model_unless_that_is_asked_for(folder, monkeypatch):
    monkeypatch.setattr("perturbloop.loop.steps.gate_failure", lambda _: "CONTROL GATE FAILED.")
    with pytest.raises(
        DesignError, match=r"CONTROL GATE FAILED.*no gene is named.*`--goal learn`.*`--anyway`"
    ):
        ask(folder)
    for batch in (ask(folder, anyway=True), ask(folder, aim="learn")):
        assert batch.head()[0].startswith("CONTROL GATE FAILED")
        assert len(batch.proposals)


def test_of_a_gene_is_said_where_it_stands_what_was_measured_and_why_it_is_missing(folder):
    ranking = pd.read_parquet(folder / "rounds" / "001" / "ranking.parquet")
    best = ranking[ranking["status"] == "scored"].iloc[0]
    found = of_round(latest_round(folder), best["gene_name"].lower())
    assert found.gene_id == best["gene_id"]
    assert found.ranking[0]["place"] == 1
    assert found.why == ""
    assert found.lines()[0] == f"{best['gene_name']} ({best['gene_id']})"
    spent = ranking[ranking["status"] == "spent"].iloc[0]
    of_spent = of_round(latest_round(folder), spent["gene_id"])
    assert of_spent.measured
    assert "memory, not prediction" in of_spent.why
    assert "does not hold it" in of_round(latest_round(folder), "STAT99").why
    json.dumps(found.to_dict(), default=str)


def test_a_folder_that_is_no_campaign_has_no_status(tmp_path):
    with pytest.raises(StoreError, match="has none"):
        status(tmp_path)


def test_a_campaign_of_an_older_version_opens_reports_and_plays_on(folder):
    """Rounds without facts and with fewer columns, as they were before."""
    for place in sorted((folder / "rounds").iterdir()):
        (place / "facts.json").unlink()
        path = place / "ranking.parquet"
        newer = ["ranked_by", "effect", "log2fc", "de_padj"]
        pd.read_parquet(path).drop(columns=newer).to_parquet(path)
    from perturbloop.loop.campaign import show

    _, report, _ = show(folder)
    assert len(report.ranking)
    assert report.ranking["effect"].notna().any()
    assert play(folder).done
    _, report, _ = show(folder)
    assert (folder / "rounds" / f"{report.round_number:03d}" / "facts.json").is_file()


def test_a_finished_round_reports_the_same_whatever_is_edited_or_moved_since(folder):
    place = folder / "rounds" / "001"
    before = render(compose(place))
    edit(folder, "min_effect = 0.3", "min_effect = 0.9")
    edit(folder, "cells.h5ad", "gone.h5ad")
    shutil.rmtree(folder / "models")
    shutil.rmtree(folder / "shifts")
    assert render(compose(place)) == before
    assert before == (place / "report.html").read_text().replace("study, round", "copy, round")
