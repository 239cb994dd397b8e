from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score

from perturbloop.data.gene_sets import GeneSets
from perturbloop.errors import InputError, LeakageError
from perturbloop.evaluate.compare import scoreboard
from perturbloop.evaluate.metrics import metric
from perturbloop.schema import METRICS, EvaluateConfig
from perturbloop.stats.delong import auroc_interval
from perturbloop.stats.resample import bootstrap_interval

GENES = [f"ENSG{place:02}" for place in range(40)]
CONFIG = EvaluateConfig(bootstrap=30, k=5)


def effects_of(fold, *, hits=(), away=(), genes=GENES[:20], modality="crispr_ko"):
    effect = [1.0 if gene in hits else -1.0 if gene in away else 0.1 for gene in genes]
    return pd.DataFrame(
        {
            "gene_id": genes,
            "gene_name": genes,
            "target": genes,
            "modality": modality,
            "level": "gene",
            "guide_id": "",
            "effect_to_goal": effect,
            "effect": [-value for value in effect],
            "se": 0.1,
            "pvalue": 0.01,
            "padj": 0.01,
            "hit": [gene in {*hits, *away} for gene in genes],
            "n_cells": 50,
            "n_guides": 2,
            "n_replicates": 1,
            "own_gene_in_readout": False,
            "fold": fold,
        }
    )


def predictions_of(method, score_g, *, fold=-1, kind="delete", genes=GENES):
    return pd.DataFrame({"method": method, "kind": kind, "gene_id": genes, "score": score_g, "fold": fold})


def value(board, metric, denominator="scored", column="value", targets="held-out"):
    rows = board[board["declared"].astype(bool) & (board["targets"] == targets)]
    return rows[(rows["metric"] == metric) & (rows["denominator"] == denominator)][column].item()


@pytest.fixture
def effects():
    return effects_of([-1] * 4 + [0] * 16, hits=GENES[2:8], away=GENES[10:12])


def test_only_held_out_targets_are_judged_and_hits_away_are_no_hits(effects, rng):
    score_g = rng.normal(size=40)
    board = scoreboard(predictions_of("frozen", score_g), effects, config=CONFIG)
    assert list(board.columns) == METRICS.names
    assert value(board, "auroc", column="n_genes") == 16
    assert value(board, "auroc", column="n_hits") == 4
    toward, away = np.isin(GENES[4:20], GENES[4:8]), np.isin(GENES[4:20], GENES[10:12])
    assert value(board, "auroc") == pytest.approx(roc_auc_score(toward, score_g[4:20]))
    assert value(board, "auroc_away") == pytest.approx(roc_auc_score(away, -score_g[4:20]))
    assert value(board, "auroc_unsigned") == pytest.approx(
        roc_auc_score(toward | away, np.abs(score_g[4:20]))
    )
    assert value(board, "prevalence") == 0.25
    assert (board["ci_low"].isna() | (board["ci_low"] <= board["ci_high"])).all()


def test_without_hits_away_from_the_goal_there_are_no_rows_for_them(rng):
    board = scoreboard(
        predictions_of("de", rng.normal(size=40)), effects_of(0, hits=GENES[:3]), config=CONFIG
    )
    assert not board["metric"].str.startswith("auroc_").any()


def test_genes_that_were_not_scored_rank_last_in_the_second_denominator(effects):
    score_g = np.linspace(1, 0, 40)
    score_g[4:6] = np.nan
    board = scoreboard(predictions_of("frozen", score_g), effects, config=CONFIG)
    assert value(board, "auroc", column="n_genes") == 14
    assert value(board, "auroc", "all", column="n_genes") == 16
    assert value(board, "auroc") == 1
    ranked = np.nan_to_num(score_g[4:20], nan=-1)
    assert value(board, "auroc", "all") == pytest.approx(
        roc_auc_score(np.isin(GENES[4:20], GENES[4:8]), ranked)
    )


def test_where_all_are_scored_both_denominators_agree(effects, rng):
    board = scoreboard(predictions_of("de", rng.normal(size=40)), effects, config=CONFIG)
    first, second = (board[board["denominator"] == name] for name in ("scored", "all"))
    columns = ["metric", "value", "ci_low", "ci_high", "n_genes", "n_hits", "rule"]
    pd.testing.assert_frame_equal(
        first[columns].reset_index(drop=True), second[columns].reset_index(drop=True)
    )


def test_knockouts_never_judge_overexpression(effects, rng):
    predictions = predictions_of("de", rng.normal(size=40), kind="overexpress")
    assert scoreboard(predictions, effects, config=CONFIG).empty
    activated = effects_of(0, hits=GENES[:3], modality="crispra")
    assert set(scoreboard(predictions, activated, config=CONFIG)["kind"]) == {"overexpress"}


def test_a_method_that_used_effects_is_judged_by_the_fold_that_never_saw_them():
    effects = effects_of([0, 1] * 10, hits=GENES[:4])
    right, wrong = np.linspace(1, 0, 40), np.linspace(0, 1, 40)
    predictions = pd.concat(
        [predictions_of("evidence", right, fold=fold) for fold in (0, 1)]
        + [predictions_of("evidence", wrong, fold=-1)]
    )
    assert value(scoreboard(predictions, effects, config=CONFIG), "auroc") == 1


def test_folds_are_compared_by_the_place_in_their_own_ranking():
    effects = effects_of([0, 1] * 10, hits=GENES[:4])
    predictions = pd.concat(
        predictions_of("evidence", unit * np.linspace(1, 0, 40) + zero, fold=fold)
        for fold, unit, zero in [(0, 1, 0), (1, 100, 50)]
    )
    assert value(scoreboard(predictions, effects, config=CONFIG), "auroc") == 1


def test_a_method_that_has_seen_the_targets_is_refused(effects, rng):
    with pytest.raises(LeakageError, match=r"`propagation` uses measured effects .* fold '0'.*16 in all"):
        scoreboard(predictions_of("propagation", rng.normal(size=40)), effects, config=CONFIG)


def test_a_method_not_in_the_list_that_has_folds_is_held_to_them(rng):
    effects = effects_of([0, 1] * 10, hits=GENES[:4])
    with pytest.raises(LeakageError, match="without fold '1'"):
        scoreboard(predictions_of("mine", rng.normal(size=40), fold=0), effects, config=CONFIG)


def test_a_gene_spent_in_one_modality_cannot_be_held_out_in_the_next(rng):
    effects = pd.concat([effects_of(0), effects_of(-1, genes=GENES[:2], modality="crispri")])
    with pytest.raises(LeakageError, match=r"must be in one fold .* 'ENSG00', 'ENSG01'"):
        scoreboard(predictions_of("de", rng.normal(size=40)), effects, config=CONFIG)


def test_folds_without_the_other_genes_and_double_scores_are_refused(rng):
    effects = effects_of([0, 1] * 10)
    only = pd.concat(
        predictions_of("both", rng.normal(size=10), fold=fold, genes=GENES[fold:20:2]) for fold in (0, 1)
    )
    with pytest.raises(InputError, match="Predict every gene in every fold"):
        scoreboard(only, effects, config=CONFIG)
    twice = predictions_of("de", rng.normal(size=40), genes=["ENSG00"] * 40)
    with pytest.raises(InputError, match="`de` has several for 'ENSG00'"):
        scoreboard(twice, effects, config=CONFIG)


def test_a_call_names_its_rule(effects):
    predictions = pd.concat(
        [predictions_of(name, np.linspace(1, 0.1, 40)) for name in ("frozen", "de")], ignore_index=True
    )
    frozen_n = predictions["method"] == "frozen"
    beside = {"padj": np.where(frozen_n, 0.5, np.nan), "null_z": np.where(frozen_n, 3.0, np.nan)}
    predictions = predictions.assign(**beside)
    predictions.loc[4:6, "padj"] = 0.01
    board = scoreboard(predictions, effects, config=CONFIG)
    frozen, de = (board[board["method"] == name] for name in ("frozen", "de"))
    assert value(frozen, "ppv", column="rule") == "matched-null"
    assert value(frozen, "sensitivity") == 0.75
    assert value(frozen, "ppv") == 1
    assert value(de, "ppv", column="rule") == "budget-k, k = 5 of 40"
    assert value(de, "sensitivity") == 0.25
    assert value(de, "precision_at_k", column="rule") == "k = 4"
    assert value(de, "auroc", column="rule") == ""


def test_every_rule_a_method_has_the_columns_of_is_judged_and_the_declared_one_leads(effects):
    predictions = pd.concat(
        [predictions_of(name, np.linspace(1, 0.1, 40)) for name in ("frozen", "de")], ignore_index=True
    )
    frozen_n = predictions["method"] == "frozen"
    called = predictions["gene_id"].isin(GENES[4:6])
    beside = {
        "padj": np.where(called, 0.01, 0.5),
        "null_z": 3.0,
        "pool_padj": np.where(
            frozen_n, np.where(predictions["gene_id"].isin(GENES[6:12]), 0.01, 0.5), np.nan
        ),
        "shift_to_goal": np.where(frozen_n, 1.0, np.nan),
    }
    for declared in ("matched-null", "geneformer", "budget-k"):
        config = EvaluateConfig(bootstrap=30, k=5, call=declared)
        board = scoreboard(predictions.assign(**beside), effects, config=config)
        rows = board.query("metric == 'sensitivity' and denominator == 'all' and method == 'frozen'")
        found = dict(zip(rows["rule"], rows["value"], strict=True))
        assert found == {"matched-null": 0.5, "geneformer": 0.5, "budget-k, k = 5 of 40": 0.25}
        assert rows["declared"].tolist() == [True, False, False]
        assert rows["rule"].iloc[0].startswith(declared)
        assert set(board.query("metric == 'specificity' and method == 'de'")["rule"]) == {
            "matched-null",
            "budget-k, k = 5 of 40",
        }
    assert (
        board.query("metric == 'ppv' and rule == 'geneformer'")["value"].tolist()
        == [pytest.approx(1 / 3)] * 2
    )
    assert {"prevalence", "lift"} <= set(board.query("not declared")["metric"])


def test_an_auroc_has_delongs_interval_and_the_rest_the_bootstraps(effects, rng):
    score_g = rng.normal(size=40)
    board = scoreboard(predictions_of("frozen", score_g), effects, config=CONFIG)
    expected = auroc_interval(np.isin(GENES[4:20], GENES[4:8]), score_g[4:20])
    assert (value(board, "auroc", column="ci_low"), value(board, "auroc", column="ci_high")) == pytest.approx(
        (expected.low, expected.high)
    )
    named = board[board["value"].notna()].groupby("metric")["interval"].unique()
    aurocs = named.index.str.startswith("auroc")
    assert {method for found in named[aurocs] for method in found} == {"delong"}
    assert {method for found in named[~aurocs] for method in found} == {"bootstrap"}


def test_an_interval_is_that_of_the_plain_bootstrap(effects, rng):
    score_g = rng.normal(size=40).round()
    board = scoreboard(predictions_of("frozen", score_g), effects, config=CONFIG)
    hit_n, score_n = np.isin(GENES[4:20], GENES[4:8]), score_g[4:20]
    for name, options in {"average_precision": {}, "r_precision": {}, "recall_at_k": {"k": 4}}.items():
        plain = bootstrap_interval(
            partial(metric(name).function, **options),
            hit_n,
            score_n,
            rng=np.random.default_rng(CONFIG.seed),
            n_samples=CONFIG.bootstrap,
        )
        found = [value(board, name, column=column) for column in ("value", "ci_low", "ci_high")]
        assert found == pytest.approx([plain.value, plain.low, plain.high], rel=1e-12)


def test_with_gene_sets_every_number_is_given_for_the_disjoint_targets_too(effects, rng):
    score_g = rng.normal(size=40)
    member_gs = np.eye(40, 8, dtype=np.float32)
    member_gs[2:8, 0] = 1  # spent genes with the hits 4 to 7
    sets = GeneSets(
        "a.gmt",
        np.array(list("abcdefgh"), dtype=object),
        np.array(GENES, dtype=object),
        csr_matrix(member_gs),
    )
    board = scoreboard(predictions_of("frozen", score_g), effects, config=CONFIG, gene_sets=sets)
    plain = scoreboard(predictions_of("frozen", score_g), effects, config=CONFIG)
    pd.testing.assert_frame_equal(board.query("targets == 'held-out'").reset_index(drop=True), plain)
    assert value(board, "auroc", column="n_genes", targets="pathway-disjoint") == 12
    assert value(board, "auroc", column="n_hits", targets="pathway-disjoint") == 0
    away = np.isin(GENES[8:20], GENES[10:12])
    assert value(board, "auroc_away", targets="pathway-disjoint") == pytest.approx(
        roc_auc_score(away, -score_g[8:20])
    )


def test_the_order_of_rows_does_not_matter_and_the_seed_decides_the_intervals(effects, rng):
    predictions = predictions_of("de", rng.normal(size=40))
    board = scoreboard(predictions, effects, config=CONFIG)
    mixed = scoreboard(predictions.sample(frac=1, random_state=1), effects, config=CONFIG)
    pd.testing.assert_frame_equal(board, mixed)


@pytest.mark.parametrize("hits", [(), GENES[:20]])
def test_without_a_hit_or_another_target_no_number_has_an_interval(hits, rng):
    board = scoreboard(predictions_of("frozen", rng.normal(size=40)), effects_of(0, hits=hits), config=CONFIG)
    assert np.isnan(value(board, "auroc"))
    assert value(board, "prevalence") == bool(hits)
    assert board[["ci_low", "ci_high"]].isna().all(axis=None)
    assert board["interval"].eq("").all()


def test_no_held_out_target_gives_an_empty_scoreboard(rng):
    assert scoreboard(predictions_of("de", rng.normal(size=40)), effects_of(-1), config=CONFIG).empty


def test_several_screens_judge_alone_and_together(rng):
    first, second = (
        effects_of(0, hits=hits, modality="crispri").assign(screen=name)
        for name, hits in (("IL-2", GENES[:3]), ("IFN-γ", GENES[2:6]))
    )
    predictions = predictions_of("frozen", rng.normal(size=40))
    both = pd.concat([first, second], ignore_index=True)
    board = scoreboard(predictions, both, config=CONFIG)
    assert list(dict.fromkeys(board["targets"])) == ["held-out", "screen IL-2", "screen IFN-γ", "any screen"]
    for name, alone in (("screen IL-2", first), ("screen IFN-γ", second)):
        same = scoreboard(predictions, alone, config=CONFIG).drop(columns="targets")
        found = board[board["targets"] == name].drop(columns="targets").reset_index(drop=True)
        pd.testing.assert_frame_equal(found, same)
    union = effects_of(0, hits=GENES[:6], modality="crispri")  # each gene once, a hit where one screen has it
    same = scoreboard(predictions, union, config=CONFIG).drop(columns="targets")
    found = board[board["targets"] == "any screen"].drop(columns="targets").reset_index(drop=True)
    pd.testing.assert_frame_equal(found, same)
    assert set(scoreboard(predictions, first, config=CONFIG)["targets"]) == {"held-out"}
    other_arm = pd.concat([first, second.assign(modality="crispra")], ignore_index=True)
    assert set(scoreboard(predictions, other_arm, config=CONFIG)["targets"]) == {"held-out"}
