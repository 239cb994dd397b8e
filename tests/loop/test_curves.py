"""Learning curves of a campaign: one held-out set, nested panels, and a run that goes on where it was killed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.errors import DesignError, LeakageError, StoreError
from perturbloop.evaluate.curves import EVIDENCE, LEVELS, Point, methods_at
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.loop import curves as module
from perturbloop.loop.campaign import init, play, record
from perturbloop.loop.curve_points import Ground
from perturbloop.loop.curves import curves
from perturbloop.loop.folder import open_campaign
from perturbloop.loop.inputs import read_inputs
from perturbloop.loop.recorded import read_outcomes
from perturbloop.progress import heard_by
from perturbloop.report import compose
from perturbloop.schema import CURVE_MEANS, CURVES, ScreenConfig
from perturbloop.store import lock

KS = (0, 5, 20)


@pytest.fixture(scope="module")
def screen_only(made, tmp_path_factory):
    """Campaign whose targets come from a screen of all genes; no round was played."""
    truth = pd.read_csv(made.data / "truth.csv").query("start == 'stimulated' and kind == 'delete'")
    path = tmp_path_factory.mktemp("screens") / "screen.csv"
    scores = pd.DataFrame({"Gene": truth["gene_name"], "LFC": truth["effect"]})
    scores.assign(pvalue=[0.0001 if abs(score) > 0 else 0.9 for score in scores["LFC"]]).to_csv(
        path, index=False
    )
    folder = tmp_path_factory.mktemp("campaigns") / "curves"
    init(folder, made.config())
    record(folder, ScreenConfig(path=str(path), name="toy", modality="crispri", higher_is="goal"))
    return folder


@pytest.fixture(scope="module")
def drawn(screen_only):
    return curves(screen_only, ks=KS, seeds=2)


def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def points(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "curves" / "points").iterdir()}


def ground_of(folder):
    campaign = open_campaign(folder)
    with campaign.store:
        inputs = read_inputs(campaign.config)
        outcomes = read_outcomes(campaign, inputs)
    return Ground(campaign, inputs, outcomes)


def test_every_point_has_every_method_and_the_same_held_out_targets(drawn, screen_only):
    table = drawn.table
    held_out = json.loads((screen_only / "curves" / "curves.json").read_text())["held_out"]
    assert set(table["n_genes"]) == {len(held_out)}
    assert len(set(table["n_hits"])) == 1
    at_zero = table[table["k"] == 0]
    assert set(at_zero["method"]) == set(methods_at(LEVELS))
    assert set(at_zero["panel"]) == {""}
    for _, point in table[table["k"] > 0].groupby(["panel", "seed", "k", "metric"]):
        assert sorted(point["method"]) == sorted(methods_at(EVIDENCE))
    assert set(table["panel"]) == {"", "random", "hit-enriched", "coverage"}
    assert set(table["k"]) == set(KS)


def test_panels_are_nested_and_never_hold_a_held_out_gene(drawn, screen_only):
    stamp = json.loads((screen_only / "curves" / "curves.json").read_text())
    ground = ground_of(screen_only)
    for how, draws in stamp["panels"]["delete"].items():
        assert len(draws) == 2
        for seed, genes in enumerate(draws):
            assert len(set(genes)) == 20
            assert not set(genes) & set(stamp["held_out"])
            assert ground.panel("delete", how, 5, seed) == tuple(genes[:5])
    assert draws[0] != draws[1]


def test_a_larger_size_keeps_the_points_of_the_smaller_ones(drawn, screen_only, tmp_path):
    folder = copied(screen_only, tmp_path)
    again = curves(folder, ks=(0, 5, 20, 30), seeds=2)
    assert again.n_computed == 2 * 3
    kept = again.table[again.table["k"].isin(KS)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, drawn.table)


def test_where_a_network_knows_the_truth_the_posterior_finds_it_and_shuffled_effects_do_not(screen_only):
    ground = ground_of(screen_only)
    effects = ground.outcomes.effects.drop_duplicates("gene_id").set_index("gene_id")["effect_to_goal"]
    side = np.sign(effects.reindex(ground.networks.gene_ids).fillna(0)).to_numpy()
    known = vector_kernel(
        "truth", ground.networks.gene_ids, np.column_stack([side > 0, side < 0]).astype(float)
    )
    ground.networks = replace(ground.networks, networks=(known,))
    point = Point("delete", "evidence", "random", 0, ground.panel("delete", "random", 50, 0))
    found = ground.scored(point).query("metric == 'auroc'").set_index("method")["value"]
    assert found["posterior-alone"] > 0.9
    assert found["posterior"] > 0.8
    assert found["posterior"] > found["posterior-shuffled"] + 0.1


def test_a_level_is_what_scikit_learn_says_of_the_held_out_half(drawn, screen_only):
    ground = ground_of(screen_only)
    inputs, judged = ground.inputs, ground.outcomes.judged
    start = inputs.cells.select(~inputs.states.is_goal_n)
    level = pd.Series(np.asarray(start.log_normalized().mean(axis=0)).ravel(), index=start.gene_ids)
    rows = judged[judged["fold"] == 0]
    hit = rows["hit"].astype(bool) & (rows["effect_to_goal"] > 0)
    score = level.reindex(rows["gene_id"]).fillna(-1)
    table = drawn.table[drawn.table["method"] == "expression"].set_index("metric")["value"]
    assert table["auroc"] == pytest.approx(roc_auc_score(hit, score))
    assert table["average_precision"] == pytest.approx(average_precision_score(hit, score))


def test_single_numbers_have_delongs_interval_and_means_the_one_over_draws(drawn):
    areas = drawn.table.query("metric == 'auroc'")
    assert (areas["ci_low"] <= areas["value"]).all()
    assert (areas["value"] <= areas["ci_high"]).all()
    assert drawn.table.query("metric == 'average_precision'")["ci_low"].isna().all()
    means = drawn.means.query("metric == 'auroc'")
    assert set(means.loc[means["k"] == 0, "interval"]) == {"genes"}
    assert set(means.loc[means["k"] > 0, "interval"]) == {"panels"}
    assert set(means.loc[means["k"] > 0, "n_draws"]) == {2}


def test_a_finished_run_is_read_and_nothing_is_computed_again(drawn, screen_only, monkeypatch):
    before = points(screen_only)
    monkeypatch.setattr(Ground, "scored", None)  # would fail if it were called
    monkeypatch.setattr(Ground, "networks", None)
    again = curves(screen_only, ks=KS, seeds=2)
    assert again.n_computed == 0
    assert points(screen_only) == before
    pd.testing.assert_frame_equal(again.table, drawn.table)


def test_a_killed_run_goes_on_and_gives_the_same_table(drawn, screen_only, tmp_path):
    folder = copied(screen_only, tmp_path)
    shutil.rmtree(folder / "curves")

    def killed(step, done, total):
        if step == "learning curves" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), heard_by(killed):
        curves(folder, ks=KS, seeds=2)
    early = points(folder)
    assert len(early) == 4
    assert not (folder / "curves" / "curves.parquet").exists()
    again = curves(folder, ks=KS, seeds=2)
    assert again.n_computed == len(points(folder)) - 4
    assert early.items() <= points(folder).items()
    pd.testing.assert_frame_equal(again.table, drawn.table)


def test_tables_figure_and_what_made_them_are_kept(drawn, screen_only):
    place = screen_only / "curves"
    assert list(pd.read_parquet(place / "curves.parquet").columns) == CURVES.names
    assert list(pd.read_parquet(place / "curve_means.parquet").columns) == CURVE_MEANS.names
    assert drawn.figure.read_bytes().startswith(b"\x89PNG")
    assert (place / "curves.svg").read_text().rstrip().endswith("</svg>")
    stamp = json.loads((place / "curves.json").read_text())
    assert {
        "version",
        "seed",
        "options",
        "data_digest",
        "model_digest",
        "vocabulary_digest",
        "config",
    } <= set(stamp)
    assert not list(place.rglob("*.partial"))


def test_a_screen_alone_trains_no_model_and_the_notes_say_so(drawn):
    assert any("no perturbed cells are recorded" in note for note in drawn.notes)


def test_a_size_beyond_the_training_targets_is_left_out_and_said(screen_only, tmp_path):
    found = curves(copied(screen_only, tmp_path), ks=(0, 5, 9999), panels=["random"], seeds=1, levels=[])
    assert set(found.table["k"]) == {0, 5}
    assert any("k = 9999 left out" in note and "training targets" in note for note in found.notes)


def test_a_panel_with_a_held_out_gene_is_refused(screen_only):
    ground = ground_of(screen_only)
    gene = sorted(ground.held_out)[0]
    genes = (*ground.pool("delete")["gene_id"][:3], gene)
    with pytest.raises(LeakageError, match=f"none may be held out; these are: '{gene}'"):
        ground.scored(Point("delete", "evidence", "random", 0, genes))


def test_models_are_trained_on_the_panels_cells_at_the_sizes_asked_for(made, tmp_path):
    folder = tmp_path / "campaign"
    config = made.config()
    init(folder, replace(config, train=replace(config.train, levels=("lora",))))
    record(folder, made.perturbed())
    found = curves(folder, ks=(0, 5, 50), panels=["random", "coverage"], seeds=1, trained_at=(0, 5))
    trained = found.table[found.table["method"].str.match("frozen-|lora-|full-")].query("metric == 'auroc'")
    assert {(row.method, row.panel, row.k) for row in trained.itertuples()} == {
        ("lora-open", "", 0),
        *(
            (f"{level}-{variant}", "random", 5)
            for level in ("frozen", "lora")
            for variant in ("closed", "shuffled")
        ),
    }
    assert set(found.table["n_genes"]) == {int(found.table["n_genes"].iloc[0])}
    cards = [json.loads(path.read_text())["card"] for path in folder.glob("models/*/state_model.json")]
    stamp = json.loads((folder / "curves" / "curves.json").read_text())
    spent = {tuple(card["spent"]) for card in cards if card["method"].endswith(("closed", "shuffled"))}
    assert spent == {tuple(sorted(stamp["panels"]["delete"]["random"][0][:5]))}
    assert any("k = 50 left out" in note for note in found.notes)
    assert curves(folder, ks=(0, 5), panels=["random"], seeds=1, trained_at=(0, 5)).n_computed == 0


def test_a_campaign_without_measured_targets_is_refused(made, tmp_path):
    init(tmp_path / "new", made.config())
    with pytest.raises(DesignError, match=r"30 targets or more; this one has no measured target\. Record"):
        curves(tmp_path / "new")


def test_a_campaign_with_too_few_targets_to_hold_half_out_is_refused(few, tmp_path):
    init(tmp_path / "new", few.config())
    record(tmp_path / "new", few.perturbed())
    with pytest.raises(DesignError, match="this one has 10 targets, left out in turn"):
        curves(tmp_path / "new")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ks": (0, 1, 5)}, "Sizes of panels are 0, or 2 and more"),
        ({"ks": ()}, "Sizes of panels are 0"),
        ({"panels": ("randm",)}, "Did you mean 'random'"),
        ({"seeds": 0}, "at least once, and at most 10,000 times; `seeds` is 0"),
        ({"levels": ("half",)}, "`levels` must be among 'frozen', 'lora', 'full'; 'half' came"),
    ],
)
def test_what_cannot_be_drawn_is_refused(screen_only, options, says):
    with pytest.raises(DesignError, match=says):
        curves(screen_only, **options)


def test_a_busy_campaign_is_refused(screen_only):
    with lock(screen_only), pytest.raises(StoreError, match="is busy"):
        curves(screen_only)


def test_the_command_prints_a_table_and_the_figure_and_one_object_for_machines(drawn, screen_only):
    words = ["curves", str(screen_only), "--k", "0,5,20", "--seeds", "2"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "delete, random: AUROC of" in done.stdout
    assert f"Figure: {drawn.figure}" in done.stdout
    tree = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert tree["n_computed"] == 0
    assert len(tree["means"]) == len(drawn.means)


def test_the_command_refuses_sizes_that_are_no_numbers(screen_only):
    done = CliRunner().invoke(app, ["curves", str(screen_only), "--k", "5,ten"])
    assert done.exit_code == 1
    assert "`--k` takes whole numbers" in done.stderr


def test_all_points_of_a_curve_are_planned_before_any_is_measured(screen_only, monkeypatch):
    totals = set()
    monkeypatch.setattr(module, "_keep", lambda done, stamp: None)
    with heard_by(lambda step, done, total: totals.add((step, total))):
        curves(screen_only, ks=KS, seeds=2)
    assert len([total for step, total in totals if step == "learning curves"]) == 1


def test_the_report_of_the_round_shows_its_curves_until_something_new_is_recorded(
    drawn, screen_only, tmp_path
):
    folder = copied(screen_only, tmp_path)
    shutil.rmtree(folder / "curves")
    play(folder)
    page = folder / "rounds" / "000" / "report.html"
    assert "Learning curves" not in page.read_text()
    curves(folder, ks=(0, 5), panels=["random"], seeds=2)
    assert "Learning curves" in page.read_text()
    assert play(folder).done == ()
    (folder / "rounds" / "000" / "evaluate.json").write_text(json.dumps({"key": "another", "seconds": 1.0}))
    report = compose(folder / "rounds" / "000")
    assert report.curves.empty
    assert report.curve_notes == ()


def test_full_fine_tuning_brings_the_row_of_both_channels(made, tmp_path):
    folder = tmp_path / "campaign"
    init(folder, made.config())
    record(folder, made.perturbed())
    found = curves(folder, ks=(5,), panels=["random"], seeds=1, trained_at=(5,), levels=["full"])
    single = {"frozen-closed", "frozen-shuffled", "full-closed", "full-shuffled", "both"}
    assert set(found.table["method"]) == {*methods_at(EVIDENCE), *single}
    assert len(set(found.table["n_genes"])) == 1


def test_a_panel_that_is_drawn_twice_counts_once_and_keeps_the_interval_over_genes(made, tmp_path):
    folder = tmp_path / "campaign"
    init(folder, made.config())
    record(folder, made.perturbed())
    found = curves(folder, ks=(5,), panels=["coverage"], seeds=3, levels=[])
    assert set(found.table["seed"]) == {0}
    assert set(found.means["n_draws"]) == {1}
    assert any("of 3 coverage panels of k = 5 some hold the same genes" in note for note in found.notes)
