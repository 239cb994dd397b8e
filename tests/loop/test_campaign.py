"""The loop on simulated cells: what two rounds leave behind."""

import json
import shutil

import pandas as pd
import pytest

from perturbloop.errors import StateError
from perturbloop.loop.campaign import init, play, record, show
from perturbloop.report import full, summary
from perturbloop.schema import METHODS, CampaignConfig

FROZEN = {"frozen-closed", "frozen-shuffled"}
FULL = {"full-open", "full-closed", "full-shuffled", "full-unperturbed"}
LORA = {"lora-open", "lora-closed", "lora-shuffled"}
LOOP = {
    "frozen-closed",
    "frozen",
    "full-open",
    "full-closed",
    "evidence",
    "both",
    "propagation",
    "de-propagation",
}
CONTROLS = {"full-shuffled", "full-unperturbed", "frozen-shuffled", "evidence-shuffled", "chance"}


def test_round_0_ranks_every_expressed_gene_and_judges_nothing(campaign):
    ranking = campaign.table(0, "ranking")
    scored = ranking[ranking["status"] == "scored"]
    assert len(ranking) == 360
    assert set(ranking.loc[ranking["detection"] > 0.1, "gene_id"]) <= set(scored["gene_id"])
    assert scored["benefit"].is_monotonic_decreasing
    assert campaign.table(0, "metrics").empty


def test_the_closed_loop_stands_beside_baselines_and_controls(campaign):
    judged = set(campaign.table(1, "metrics")["method"])
    assert judged >= LOOP | CONTROLS | {"linear", "de", "de-absolute", "de-isp", "expression", "detection"}


def test_table_and_report_name_the_test_of_differential_expression(campaign):
    named = campaign.table(1, "de")["de_test"].unique().tolist()
    assert named == ["PyDESeq2 on pseudobulks of 8 donors, paired"]
    assert named[0] in (campaign.folder / "rounds" / "001" / "report.html").read_text()


def test_differential_expression_of_the_same_cells_is_made_once(campaign):
    assert len(list((campaign.folder / "de").iterdir())) == 1
    pd.testing.assert_frame_equal(campaign.table(0, "de"), campaign.table(1, "de"))


def test_a_test_that_the_cells_do_not_allow_makes_no_campaign(made, tmp_path):
    tree = made.config().to_dict()
    tree["cells"].pop("donor_column")
    tree["cells"]["design"] = "single"
    with pytest.raises(StateError, match="Pseudobulks need at least 3 donors"):
        init(tmp_path / "refused", CampaignConfig.from_dict(tree | {"evaluate": {"de": "pseudobulk"}}))
    assert not (tmp_path / "refused").exists()


def test_a_target_is_judged_by_rankings_that_never_saw_it(campaign, made):
    held_out = set(campaign.effects.loc[campaign.effects["fold"] >= 0, "gene_id"])
    ranking = campaign.table(1, "ranking")
    spent = set(ranking.loc[ranking["status"] == "spent", "gene_id"])
    assert len(held_out | spent) == made.n_targets
    assert not held_out & spent
    cards = [
        json.loads(path.read_text())["card"] for path in campaign.folder.glob("models/*/state_model.json")
    ]
    assert {card["method"] for card in cards} == {"frozen", "linear"} | FROZEN | FULL
    assert not [card for card in cards if held_out & set(card["spent"])]


def test_each_channel_says_how_far_it_moved_from_round_0(campaign):
    moved = campaign.table(1, "rank_correlations").set_index("method")["rho"]
    assert moved["frozen"] == pytest.approx(1.0)
    assert moved["evidence"] < 0.999
    full = (
        campaign.table(1, "predictions")
        .query("fold == -1")
        .pivot_table(index="gene_id", columns="method", values="score")
    )
    rho = full[["full-open", "full-closed"]].corr(method="spearman").iloc[0, 1]
    assert rho < 0.9999  # the perturbed cells moved it, not fine-tuning alone


def test_round_0_is_not_compared_with_itself(campaign):
    assert campaign.table(0, "rank_correlations").empty


def test_few_targets_are_left_out_in_folds_and_each_is_judged_once(campaign_of_few, few):
    effects = campaign_of_few.effects.query("level == 'gene'")
    folds = set(effects["fold"])
    assert -1 not in folds
    assert len(folds) > 2
    predictions = campaign_of_few.table(1, "predictions")
    for method in ("full-open", "full-closed", "full-shuffled", "evidence", "propagation"):
        assert folds <= set(predictions.loc[predictions["method"] == method, "fold"])
    for place in campaign_of_few.folder.glob("models/*/state_model.json"):
        card = json.loads(place.read_text())["card"]
        held_out = set(effects.loc[effects["fold"] == card["fold"], "gene_id"])
        assert not held_out & set(card["spent"])
    judged = campaign_of_few.table(1, "metrics").query("denominator == 'all' and metric == 'auroc'")
    assert set(judged["n_genes"]) == {few.n_targets}


def test_every_method_is_called_by_the_rule_of_the_campaign(campaign):
    rows = campaign.table(1, "metrics").query("metric == 'ppv'")
    assert set(rows.loc[rows["declared"], "rule"]) == {"matched-null"}


def test_every_other_rule_that_applies_is_judged_beside_it(campaign):
    rows = campaign.table(1, "metrics").query("metric == 'lift' and denominator == 'all' and not declared")
    rules = {method: {rule.split(",")[0] for rule in own["rule"]} for method, own in rows.groupby("method")}
    assert rules["frozen"] == rules["full-closed"] == {"geneformer", "budget-k"}
    assert rules["evidence"] == rules["de"] == {"budget-k"}


def test_targets_are_judged_among_genes_of_like_expression(campaign):
    table = campaign.table(1, "strata")
    assert set(table["method"]) == set(campaign.table(1, "metrics")["method"])
    rows = table.query("method == 'expression' and by == 'expression'").set_index("stratum")
    assert rows["n_genes"].drop(["all", "within strata"]).sum() == rows.loc["all", "n_genes"]
    lowest, highest = rows.index[1], rows.index[-2]
    assert (lowest[0], highest[0]) == ("1", highest[-1])


def test_with_gene_sets_targets_like_the_training_ones_are_judged_apart(campaign, tmp_path):
    folder, gmt = tmp_path / "copy", tmp_path / "sets.gmt"
    shutil.copytree(campaign.folder, folder)
    genes = campaign.effects.query("level == 'gene'")
    spent = genes.loc[genes["fold"] == -1, "gene_name"].tolist()
    held = genes.loc[genes["fold"] == 0, "gene_name"].tolist()
    gmt.write_text("\t".join(["MODULE", "", *spent[:3], *held[:4]]) + "\n")
    essential = tmp_path / "essential.txt"
    essential.write_text("\n".join(held[:5]))
    toml = (folder / "campaign.toml").read_text()
    named = f'gene_sets = "{gmt}"\nessential_genes = "{essential}"\nbootstrap = 20'
    (folder / "campaign.toml").write_text(toml.replace("bootstrap = 20", named))
    number = play(folder).round
    place = folder / "rounds" / f"{number:03d}"
    metrics, gains = (pd.read_parquet(place / f"{name}.parquet") for name in ("metrics", "gains"))
    n_genes = metrics.query("metric == 'auroc' and denominator == 'all' and method == 'frozen'").set_index(
        "targets"
    )["n_genes"]
    assert n_genes.to_dict() == {"held-out": len(held), "pathway-disjoint": len(held) - 4}
    assert set(gains["targets"]) == {"held-out", "pathway-disjoint"}
    assert set(pd.read_parquet(place / "strata.parquet")["by"]) == {"expression", "essentiality"}
    degree = pd.read_parquet(place / "predictions.parquet").query("method == 'degree'")
    assert degree["score"].gt(0).any()
    assert "degree" in set(metrics["method"])
    assert "sets.gmt: 1 gene set of 7 genes" in (place / "report.html").read_text()
    moved = gmt.rename(tmp_path / "moved.gmt")
    (folder / "campaign.toml").write_text(
        (folder / "campaign.toml").read_text().replace("sets.gmt", "moved.gmt")
    )
    assert play(folder).done == ()
    moved.write_text(moved.read_text() + "\t".join(["OTHER", "", *held]) + "\n")
    assert play(folder, until="evaluate").done == ("evaluate",)


def test_the_frozen_shards_of_round_0_are_not_computed_again(campaign, made):
    now = made.shards(campaign.folder)
    assert campaign.shards_of_round_0.items() <= now.items()
    assert len(now) > len(campaign.shards_of_round_0)


def test_proposals_are_a_batch_beside_one_of_chance_of_genes_that_nobody_measured(campaign):
    proposals = campaign.table(1, "proposals")
    assert set(proposals["policy"]) == {"find", "chance"}
    assert proposals["gene_id"].is_unique
    assert not set(campaign.effects["gene_id"]) & set(proposals["gene_id"])


def test_the_report_is_one_file_and_the_same_as_the_terminal_tables(campaign):
    path, report, tree = show(campaign.folder)
    page = path.read_text()
    assert "<script src" not in page
    assert (path.parent / "ranking.csv").read_text().startswith("place,gene_name,kind,action,benefit,mean")
    assert (path.parent / "ranking.xlsx").is_file()
    assert 'href="http' not in page.split("</head>")[0]
    said = " ".join(" ".join(full(report, 200)).split())
    for line in ("held-out unperturbed cells told apart with AUROC", "edited cells, encoded or read back"):
        assert line in said
        assert line in page
    assert {row["method"] for row in tree["metrics"]} >= LOOP


def test_with_nothing_new_nothing_is_done(campaign):
    again = play(campaign.folder)
    assert again.done == ()
    assert "up to date" in again.lines[0]
    assert not (campaign.folder / "rounds" / "002").exists()


def test_a_deleted_report_is_written_again_in_its_round(campaign, made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(campaign.folder, folder)
    (folder / "rounds" / "001" / "report.html").unlink()
    again = play(folder)
    assert (again.round, again.done) == (1, ("report",))
    assert (folder / "rounds" / "001" / "report.html").is_file()
    shutil.rmtree(folder / "shifts")
    assert play(folder, until="evaluate").done == ("perturb", "evaluate")  # what uses it comes after it
    assert made.shards(folder).keys() == {
        folder / path.relative_to(campaign.folder) for path in made.shards(campaign.folder)
    }


def test_a_changed_option_that_is_changed_back_is_not_fresh(campaign, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(campaign.folder, folder)
    toml = (folder / "campaign.toml").read_text()
    (folder / "campaign.toml").write_text(toml.replace("bootstrap = 20", "bootstrap = 21"))
    assert play(folder, until="evaluate").done == ("evaluate",)
    (folder / "campaign.toml").write_text(toml)
    again = play(folder, until="evaluate")
    assert again.done == ("evaluate",)
    before, now = (
        pd.read_parquet(place / "metrics.parquet")
        for place in (campaign.folder / "rounds" / "001", folder / "rounds" / f"{again.round:03d}")
    )
    pd.testing.assert_frame_equal(before, now)


def test_a_failing_control_gate_comes_first_and_hides_no_number(campaign, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(campaign.folder, folder)
    worst = campaign.table(1, "ranking").query("status == 'scored'").nsmallest(4, "logit_shift")["gene_name"]
    named = json.dumps([f"{name}:inhibit" for name in worst])
    toml = (folder / "campaign.toml").read_text()
    (folder / "campaign.toml").write_text(
        toml.replace("positive_controls = []", f"positive_controls = {named}")
    )
    played = play(folder)
    assert played.lines[0].startswith("CONTROL GATE FAILED")
    assert worst.iloc[0] in played.lines[0]
    path, report, tree = show(folder)
    assert summary(report)[1].startswith("CONTROL GATE FAILED")
    assert full(report)[2].startswith("CONTROL GATE FAILED")
    assert "CONTROL GATE FAILED" in path.read_text()
    assert {entry["check"] for entry in tree["gate"] if entry["passed"] is False} >= {
        "positive controls, delete"
    }
    number = played.round
    now = pd.read_parquet(folder / "rounds" / f"{number:03d}" / "metrics.parquet")
    before = campaign.table(1, "metrics")
    assert now[["method", "kind", "metric"]].equals(before[["method", "kind", "metric"]])
    # A score that failed its gate weighs less in the posteriors that read one
    scored = ~now["method"].isin([entry.name for entry in METHODS if entry.rule == "posterior"])
    pd.testing.assert_frame_equal(now[scored], before[scored])


def test_a_list_of_essential_genes_flags_them_and_a_changed_list_is_read_again(campaign, tmp_path):
    folder, listed = tmp_path / "copy", tmp_path / "essential.txt"
    shutil.copytree(campaign.folder, folder)
    names = campaign.table(1, "ranking")["gene_name"]
    toml = (folder / "campaign.toml").read_text()
    (folder / "campaign.toml").write_text(
        toml.replace("[evaluate]", f'[evaluate]\nessential_genes = "{listed}"')
    )
    for name in names[:2]:
        listed.write_text(f"{name}\n")
        played = play(folder, until="evaluate")
        ranking = pd.read_parquet(folder / "rounds" / f"{played.round:03d}" / "ranking.parquet")
        flagged = ranking["flags"].str.contains("core-essential")
        assert ranking.loc[flagged, "gene_name"].tolist() == [name]


def test_the_published_rule_of_a_call_can_be_asked_for(campaign, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(campaign.folder, folder)
    toml = (folder / "campaign.toml").read_text()
    (folder / "campaign.toml").write_text(toml.replace('call = "matched-null"', 'call = "geneformer"'))
    number = play(folder, until="evaluate").round
    metrics = pd.read_parquet(folder / "rounds" / f"{number:03d}" / "metrics.parquet")
    rules = metrics.query("metric == 'ppv' and denominator == 'all' and declared").set_index("method")["rule"]
    assert rules["frozen"] == "geneformer"
    assert rules["de"].startswith("budget-k")


def test_the_same_file_with_other_options_takes_its_own_place(campaign_of_few, few, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(campaign_of_few.folder, folder)
    recorded, new = record(folder, few.perturbed(min_cells=12), replace=True)
    assert new
    assert f"this one has {few.n_targets} targets, and 30 are needed" in recorded.judging[-1]
    assert (folder / "campaign.toml").read_text().count("[[perturbed]]") == 1
    assert play(folder, until="evaluate").round == 2


def test_adapters_play_a_round_and_are_kept_beside_their_encoders(campaign, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(campaign.folder, folder)
    toml = (folder / "campaign.toml").read_text()
    assert 'levels = ["full"]' in toml
    changed = toml.replace('levels = ["full"]', 'levels = ["lora"]').replace(
        "consistency = 0.0", "consistency = 1.0"
    )
    (folder / "campaign.toml").write_text(changed)
    number = play(folder, until="evaluate").round
    metrics = pd.read_parquet(folder / "rounds" / f"{number:03d}" / "metrics.parquet")
    assert set(metrics["method"]) >= LORA | {"frozen-closed", "frozen", "linear"}
    assert not set(metrics["method"]) & FULL
    gains = pd.read_parquet(folder / "rounds" / f"{number:03d}" / "gains.parquet").set_index("method")
    assert gains.loc["lora-closed", "control"] == "lora-shuffled"
    kept = list(folder.glob("models/lora-*/adapter/adapter_model.safetensors"))
    assert {path.parents[1].name.rpartition("-")[0] for path in kept} == LORA
