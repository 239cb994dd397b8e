"""A screen recorded in a campaign: it judges and teaches, alone and beside perturbed cells."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.errors import InputError
from perturbloop.loop.arms import closed_arms
from perturbloop.loop.campaign import init, play, record, show
from perturbloop.schema import ScreenConfig
from perturbloop.store import open_store

OUTSIDE = "ENSG00000043462"
"""LCP2: measured by the screen, not by the toy cells."""


@pytest.fixture(scope="session")
def screen_path(made, once):
    """A screen of all 360 genes and one that the cells lack: true effects, measured with an error a third of their spread."""
    return once("screen", lambda folder: write_screen(made, folder))


def write_screen(made, folder):
    truth = pd.read_csv(made.data / "truth.csv").query("start == 'stimulated' and kind == 'delete'")
    effect = truth["effect"].to_numpy()
    error = effect.std() / 3
    score = effect + np.random.default_rng(0).normal(0, error, len(effect))
    table = pd.DataFrame(
        {"Gene": truth["gene_name"], "LFC": score, "pvalue": 2 * stats.norm.sf(np.abs(score) / error)}
    )
    table.loc[len(table)] = ["Non-Targeting", 0.0, 1.0]
    table.loc[len(table)] = [OUTSIDE, 9 * error, 1e-9]
    folder.mkdir()
    path = folder / "screen.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def entry(screen_path):
    return ScreenConfig(path=str(screen_path), name="toy", modality="crispri", higher_is="goal")


@pytest.fixture(scope="session")
def screened(own_copy, made, entry):
    """Folder of a campaign with a screen and no perturbed cells, two rounds, and what `record` said."""

    def play_it(folder):
        init(folder, made.config())
        play(folder)
        report, new = record(folder, entry)
        assert new
        play(folder)
        return report

    return own_copy("screened", play_it)


def table(folder, name, number=1):
    return pd.read_parquet(folder / "rounds" / f"{number:03d}" / f"{name}.parquet")


def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_the_genes_of_a_screen_become_effects_and_half_of_them_is_held_out(screened):
    folder, report = screened
    effects = table(folder, "effects")
    assert report.dropped == {"controls, not genes": 1}
    assert len(effects) == report.n_effects + 1 > 300
    assert set(effects["fold"]) == {-1, 0}
    assert set(effects["level"]) == {"gene"}
    assert not effects["n_cells"].any()
    assert (effects["effect"] == -effects["effect_to_goal"]).all()
    assert effects["se"].between(0, 1).all()
    frozen = {target.gene_id: target.fold for target in open_store(folder / "campaign.sqlite").targets()}
    assert frozen == dict(zip(effects["gene_id"], effects["fold"], strict=True))


def test_an_effect_is_a_score_in_robust_spreads_of_all_genes(screened, screen_path):
    folder, report = screened
    scores = pd.read_csv(screen_path).set_index("Gene")["LFC"].drop("Non-Targeting")
    spread = 1.4826 * (scores - scores.median()).abs().median()
    assert report.spread == pytest.approx(spread, rel=1e-4)
    effects = table(folder, "effects").set_index("gene_name")["effect_to_goal"]
    np.testing.assert_allclose(effects, scores[effects.index] / spread, rtol=1e-4)


def test_a_screen_alone_runs_the_evidence_channel_and_trains_no_model(screened):
    folder, _ = screened
    metrics = table(folder, "metrics")
    methods = set(metrics["method"])
    assert methods >= {"frozen", "evidence", "propagation", "de-propagation", "evidence-shuffled", "chance"}
    assert not methods & {"full-open", "full-closed", "full-shuffled", "both"}
    cards = [json.loads(path.read_text())["card"] for path in folder.glob("models/*/state_model.json")]
    assert {card["method"] for card in cards} == {"frozen", "linear"}


def test_held_out_genes_are_judged_by_what_the_training_half_taught(screened):
    folder, report = screened
    metrics = table(folder, "metrics").query("metric == 'auroc' and denominator == 'all'").set_index("method")
    assert set(metrics["n_genes"]) == {report.n_held_out}
    assert (
        metrics.loc["propagation", "value"] > 0.55
    )  # modules are half-causal, so neighbors tell of each other
    ranking = table(folder, "ranking")
    effects = table(folder, "effects")
    training = set(effects.loc[effects["fold"] == -1, "gene_id"])
    assert set(ranking.loc[ranking["status"] == "spent", "gene_id"]) == training - {OUTSIDE}


def test_a_gene_that_the_cells_do_not_measure_teaches_is_told_and_judges_nothing(screened, entry):
    folder, report = screened
    assert (report.n_not_measured, report.hits_not_measured) == (1, (OUTSIDE,))
    said = (
        "1 more, which the cells do not measure, teach the ranking and cannot be ranked or judged, with 1 hit"
    )
    assert any(line.startswith(said) for line in report.lines)
    effects = table(folder, "effects").set_index("gene_id")
    assert effects.loc[OUTSIDE, "fold"] == -1
    assert OUTSIDE not in set(table(folder, "effects_judged")["gene_id"])
    assert OUTSIDE not in set(table(folder, "predictions")["gene_id"])
    code, out, _ = command(f"gene {folder} {OUTSIDE}")
    assert code == 0
    assert "Measured by crispri: +" in out
    assert "cannot be edited, ranked or judged; what was measured of it teaches the ranking" in out


def test_the_report_names_the_screen_its_unit_and_what_was_excluded(screened):
    path, report, _ = show(screened[0])
    page = path.read_text()
    for says in ("toy (screen.csv)", "robust standard deviations", "FDR &lt; 0.05", "Context transfer"):
        assert says in page
    assert report.effects["n_cells"].eq(0).all()


def test_a_screen_recorded_again_changes_nothing_and_opens_no_round(screened, entry):
    folder, report = screened
    again, new = record(folder, entry)
    assert not new
    assert again == report
    assert play(folder).done == ()


def test_the_same_name_with_another_rule_replaces_the_screen_and_opens_a_round(screened, entry, tmp_path):
    folder = copied(screened[0], tmp_path)
    with pytest.raises(InputError, match=r"with other options: 'top'.*`--replace`"):
        record(folder, replace(entry, top=0.2))
    _, new = record(folder, replace(entry, top=0.2), replace=True)
    assert new
    assert play(folder, until="evaluate").done == ("evaluate",)
    before, after = (table(folder, "effects", number) for number in (1, 2))
    assert after["hit"].sum() > before["hit"].sum()
    pd.testing.assert_series_equal(before["fold"], after["fold"])


def test_another_file_under_the_same_name_is_refused_until_it_is_said_to_replace_the_first(
    screened, entry, tmp_path
):
    folder = copied(screened[0], tmp_path)
    other = shutil.copy(entry.path, tmp_path / "other.csv")
    with pytest.raises(InputError, match="with other options: 'path', 'top'"):
        record(folder, replace(entry, path=str(other), top=0.2))
    _, new = record(folder, replace(entry, path=str(other), top=0.2), replace=True)
    assert new


def test_two_donors_of_a_screen_give_each_other_a_ceiling(screened, entry, tmp_path, rng):
    folder = copied(screened[0], tmp_path)
    path = tmp_path / "donor2.csv"
    again = pd.read_csv(entry.path)
    again["LFC"] += rng.normal(0, again["LFC"].std() / 3, len(again))
    again.to_csv(path, index=False)
    record(folder, replace(entry, path=str(path), name="donor 2"))
    play(folder)
    page = show(folder)[0].read_text()
    assert "toy: ceiling: the scores of donor 2 find its" in page
    assert "donor 2: ceiling: the scores of toy find its" in page
    effects = table(folder, "effects", 2)
    assert effects["gene_id"].value_counts().eq(2).all()
    auroc = table(folder, "metrics", 2).query("metric == 'auroc' and denominator == 'all'")
    held_out = int((effects["fold"] >= 0).sum())
    assert set(auroc.query("targets == 'held-out'")["n_genes"]) == {held_out}
    assert set(auroc.query("targets != 'held-out'")["n_genes"]) == {held_out // 2}  # each gene once


def test_outcomes_typed_as_1_and_0_teach_as_a_screen(screened, entry, tmp_path):
    folder, path = copied(screened[0], tmp_path), tmp_path / "typed.csv"
    genes = table(folder, "effects")["gene_name"][:20]
    pd.DataFrame({"gene": genes, "hit": [1, 0, 0, 0] * 5}).to_csv(path, index=False)
    typed = ScreenConfig(
        path=str(path),
        name="typed",
        modality="crispri",
        higher_is="goal",
        score_column="hit",
        hit_column="hit",
    )
    recorded, _ = record(folder, typed)
    effects = pd.read_parquet(folder / recorded.folder / "effects_all.parquet")
    assert effects.loc[effects["hit"], "effect_to_goal"].gt(1).all()
    assert effects.loc[~effects["hit"], "effect_to_goal"].eq(0).all()
    assert 0 < effects["fold"].eq(-1).sum() < 20


def test_a_changed_file_is_read_again_and_what_is_held_out_teaches_nothing(screened, entry, tmp_path):
    folder = copied(screened[0], tmp_path)
    effects = table(folder, "effects")
    held_out = set(effects.loc[effects["fold"] == 0, "gene_name"])
    path = tmp_path / "screen.csv"
    changed = pd.read_csv(entry.path)
    changed["LFC"] *= np.where(changed["Gene"].isin(held_out), -1, 1)
    changed.to_csv(path, index=False)
    config = folder / "campaign.toml"
    config.write_text(config.read_text().replace(entry.path, str(path)))
    play(folder, until="evaluate")
    before, after = (table(folder, "effects", number).set_index("gene_id")["effect"] for number in (1, 2))
    turned = np.where(effects.set_index("gene_id")["fold"][before.index] == 0, -1, 1)
    assert (np.sign(after[before.index]) == turned * np.sign(before)).all()
    before, after = (
        table(folder, "predictions", number)
        .query("method == 'propagation'")
        .set_index(["fold", "gene_id"])["score"]
        for number in (1, 2)
    )
    assert stats.spearmanr(before, after[before.index]).statistic > 0.99


def test_beside_perturbed_cells_a_screen_trains_no_model_and_keeps_every_fold(campaign, entry, tmp_path):
    folder = copied(campaign.folder, tmp_path)
    before = {path.name for path in folder.glob("models/*")}
    record(folder, entry)
    play(folder, until="evaluate")
    effects = table(folder, "effects", 2)
    folds = effects[effects["level"] == "gene"].groupby("gene_id")["fold"].nunique()
    assert set(folds) == {1}
    assert {path.name for path in folder.glob("models/*")} == before
    metrics = table(folder, "metrics", 2).query("metric == 'auroc'")
    assert set(metrics["method"]) >= {"full-closed", "evidence", "both"}


def test_folds_that_hold_no_perturbed_cells_are_judged_too(campaign_of_few, entry, tmp_path):
    folder = copied(campaign_of_few.folder, tmp_path)
    record(folder, entry)
    play(folder, until="evaluate")
    effects = table(folder, "effects", 2)
    assert -1 not in set(effects["fold"])
    judged = table(folder, "metrics", 2).query("denominator == 'all' and metric == 'auroc'")
    assert set(judged["method"]) >= {"full-open", "evidence"}


def test_only_targets_with_cells_train_and_are_edited_for_sure():
    fold_of = {"a": -1, "b": 0, "c": -1, "d": 0}
    arms = closed_arms(fold_of, ("delete",), ("full",), with_cells=frozenset("ab"))
    assert {arm.training for arm in arms if arm.method == "full-closed"} == {frozenset("a")}
    assert {arm.held_out for arm in arms if arm.fold == 0} == {frozenset("b")}


def test_a_modality_that_no_edit_of_the_campaign_answers_is_refused(screened, entry):
    with pytest.raises(InputError, match="Add it to `kinds`"):
        record(screened[0], replace(entry, modality="crispra", name="other"))
    assert "other" not in (screened[0] / "campaign.toml").read_text()


def test_a_screen_without_a_gene_of_the_cells_is_refused(screened, entry):
    with pytest.raises(InputError, match="lower `--min-detection`"):
        record(screened[0], replace(entry, min_detection=1.0, name="strict"))


def command(line):
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, shlex.split(line), catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_the_command_says_what_became_of_the_genes(screened, screen_path, tmp_path):
    folder = copied(screened[0], tmp_path)
    code, out, _ = command(
        f"record {folder} --screen {screen_path} --name second --modality crispri --higher-is start --fdr 0.1"
    )
    assert code == 0
    assert "hits (FDR < 0.1)" in out
    assert "held out" in out
    assert "controls, not genes" in out
    assert "[[screen]]" in (folder / "campaign.toml").read_text()


@pytest.fixture
def of_drugz(screened, screen_path, tmp_path):
    """The screen as DrugZ and a German spreadsheet leave it: a row of four genes of both halves, a promoter, a copy on X, a date."""
    halves = table(screened[0], "effects").groupby("fold")["gene_name"]
    family = [name for fold in (-1, 0) for name in halves.get_group(fold)[:2]]
    rows = pd.read_csv(screen_path).iloc[:-1].set_index("Gene")["LFC"].drop(family[1:])
    first, second = [name for name in rows.index if name != family[0]][:2]
    labels = {family[0]: ",".join(family), first: f"{first}_P1", second: f"{second}_X"}
    z = np.append(stats.zscore(rows), 0.0)
    screen = pd.DataFrame({"GENE": [*rows.rename(labels).index, "1-Mar"], "normZ": z})
    arms = {"pval_synth": stats.norm.cdf(z), "fdr_synth": 1.0, "pval_supp": stats.norm.sf(z), "fdr_supp": 1.0}
    screen.assign(**arms).to_csv(tmp_path / "day7.csv", sep=";", decimal=",", index=False)
    return tmp_path / "day7.csv", family


def effects_of(folder, family):
    """Effects of the screen that was recorded last, and those of a family."""
    path = max(folder.glob("screens/*/effects_all.parquet"), key=lambda one: one.stat().st_mtime)
    effects = pd.read_parquet(path)
    return effects, effects[effects["gene_name"].isin(family)]


def test_a_screen_is_recorded_as_it_lies_on_the_disk_and_genes_of_one_row_share_a_fold(
    made, of_drugz, tmp_path
):
    folder, (path, family) = tmp_path / "study", of_drugz
    init(folder, made.config())
    code, out, err = command(f"record {folder} --screen {path} --modality crispri --higher-is start")
    assert code == 0, err
    said = " ".join(out.split())
    for says in ("Recorded: day7, crispri", "DrugZ table: 360 genes from 359 rows", "decimal commas in 'normZ'",
                 "1-Mar (MARCHF1 or MTARC1)", "4 genes have the score of a row of several"):  # fmt: skip
        assert says in said
    effects, shared = effects_of(folder, family)
    assert set(shared["gene_name"]) == set(family)
    assert shared["fold"].nunique() == shared["effect"].nunique() == 1
    assert set(effects["fold"]) == {-1, 0}


def test_a_row_whose_genes_were_held_out_apart_says_nothing(screened, of_drugz, tmp_path):
    folder, (path, family) = copied(screened[0], tmp_path), of_drugz
    code, out, err = command(f"record {folder} --screen {path} --modality crispri --higher-is start")
    assert code == 0, err
    says = "Rows of several genes whose genes are held out in different folds say nothing of a gene"
    assert says in " ".join(out.split())
    effects, shared = effects_of(folder, family)
    assert len(effects) > 300
    assert shared.empty


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("", "none came"),
        ("--screen {screen} --perturbed {screen}", "both came"),
        ("--screen {screen}", "needs one more option. Add it to the line:\n  --higher-is goal|start: "),
        (
            "--screen {screen} --name toy --higher-is goal --control NT",
            "`control` belongs to a readout with one row a well",
        ),
        ("--screen {screen} --name toy --higher-is up", "'goal', 'start'"),
        ("--screen {screen} --name toy --higher-is goal --fdr 0.1 --top 0.1", "told by one rule"),
        ("--screen {screen}.none --name other --higher-is goal", "there is none at"),
        ("--perturbed {screen} --target-column target", "'--control' did not come"),
        ("--perturbed {screen} --target-column target --control NT --top 0.1", "does not take '--top'"),
    ],
)
def test_options_that_do_not_fit_are_refused(screened, screen_path, options, says):
    code, out, err = command(f"record {screened[0]} --modality crispri {options.format(screen=screen_path)}")
    assert code == 1
    assert out == ""
    assert says in err
