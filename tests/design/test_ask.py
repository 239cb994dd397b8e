"""A batch: who may be in it, what it rests on, what is to be expected of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import t as student

from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.library import GuideLibrary
from perturbloop.design.ask import ask, beside_chance
from perturbloop.design.odds import BASE_RATE, hit_probability
from perturbloop.design.reasons import reasons_of
from perturbloop.design.trials import marked, taken
from perturbloop.errors import DesignError
from perturbloop.schema import PROPOSALS, DesignConfig

GATE = "CONTROL GATE FAILED. 3 controls."
NOW = pd.Timestamp("2026-01-02", tz="UTC")


def names(batch):
    return batch.proposals["gene_name"].tolist()


def test_find_takes_the_most_probable_hits_and_chance_stands_beside(known):
    batch = ask(known, DesignConfig(budget=4), seed=0)
    assert names(batch) == ["G0", "G1", "G2", "G3"]
    assert len(batch.chance) == 4
    assert not set(batch.chance["gene_id"]) & set(batch.proposals["gene_id"])
    assert list(batch.proposals.columns) == PROPOSALS.names
    row = batch.proposals.iloc[0]
    oracle = student(4).cdf((1.0 - 0.8) / np.sqrt(0.3**2 + 0.1**2))  # hits among the measured begin at 0.8
    assert row["probability"] == pytest.approx(oracle)
    assert row["ci_low"] < row["probability"] < row["ci_high"]
    assert batch.expected.mean == pytest.approx(batch.proposals["probability"].sum())
    assert batch.by_chance < batch.expected.mean
    assert "by measured genes: +0.21 by JAK2" in row["reason"]
    assert "uncalibrated" in batch.head()[1]


def test_the_same_question_has_the_same_answer_in_any_order_of_genes(known):
    mixed = replace(known, ranking=known.ranking.sample(frac=1, random_state=1))
    assert names(ask(known, DesignConfig(budget=6), seed=0)) == names(
        ask(mixed, DesignConfig(budget=6), seed=0)
    )


def test_a_cap_holds_for_genes_that_are_alike(known):
    capped = ask(known, DesignConfig(budget=4, max_per_set=1), seed=0)
    assert names(capped) == ["G0", "G2", "G4", "G6"]


def test_genes_that_cannot_be_perturbed_are_left_out_by_name(known):
    ranking = known.ranking.copy()
    ranking.loc[0, "gene_name"] = "MT-ND4"
    ranking.loc[1, "detection"] = 0.001
    ranking.loc[2, "flags"] = "cell-cycle,core-essential"
    guides = pd.DataFrame(
        {"gene_id": ranking["gene_id"].drop(4), "label": "", "guide_id": "", "sequence": ""}
    )
    library = GuideLibrary("mine.csv", guides, guides[:0])
    asked = replace(known, ranking=ranking, excluded={ranking["gene_id"][3]}, library=library)
    batch = ask(asked, DesignConfig(budget=2), seed=0)
    assert names(batch) == ["G5", "G6"]
    lines = "\n".join(batch.pool.lines())
    for name, why in (
        ("MT-ND4", "mitochondrial genome"),
        ("G1", "not expressed"),
        ("G2", "core essential"),
        ("G3", "your list"),
        ("G4", "library"),
    ):
        assert any(name in line and why in line for line in lines.split("\n")), (name, lines)
    kept = ask(asked, DesignConfig(budget=2, essential="keep"), seed=0)
    assert names(kept) == ["G2", "G5"]
    assert kept.proposals["flags"].iloc[0] == "cell-cycle,core-essential"


def test_what_awaits_its_outcome_is_not_proposed_and_what_is_abandoned_comes_back(known):
    first = ask(known, DesignConfig(budget=3), seed=0)
    trials = taken(first.proposals, known.trials, when=NOW)
    second = ask(replace(known, trials=trials), DesignConfig(budget=3), seed=0)
    assert names(second) == ["G3", "G4", "G5"]
    gone = marked(trials, "abandoned", [trials["gene_id"][1]], when=NOW)
    again = ask(replace(known, trials=pd.concat([trials.drop(1), gone])), DesignConfig(budget=3), seed=0)
    assert names(again) == ["G1", "G3", "G4"]


def test_a_first_batch_is_at_most_half_by_the_prior_and_covers_with_the_others(unmeasured):
    batch = ask(unmeasured, DesignConfig(budget=6), seed=0)
    top = [f"G{place}" for place in range(6)]
    assert 3 <= len(set(top) & set(names(batch))) < 6
    assert batch.proposals["reason"].str.contains("stands for genes like it").sum() == 3
    assert batch.rests_on.startswith("Nothing was measured yet: half by the prior `frozen`")
    assert batch.proposals["probability"].to_numpy(float) == pytest.approx(BASE_RATE)
    assert set(batch.proposals["action"]) == {"inhibit"}


def test_a_failed_gate_refuses_what_rests_on_the_model_and_names_the_panel_as_way_out(unmeasured, known):
    failed = replace(unmeasured, gate=GATE)
    with pytest.raises(
        DesignError, match=r"CONTROL GATE FAILED.*no gene is named.*`--goal learn`.*`--anyway`"
    ):
        ask(failed, DesignConfig(), seed=0)
    for batch in (
        ask(failed, DesignConfig(), seed=0, anyway=True),
        ask(failed, DesignConfig(aim="learn"), seed=0),
    ):
        assert batch.head()[0].startswith(GATE)
        assert batch.gate == GATE
    assert "rests on no ranking" in batch.rests_on
    assert not batch.proposals["reason"].str.contains("in-silico").any()
    measured = ask(replace(known, gate=GATE), DesignConfig(), seed=0)  # measured effects alone
    assert measured.head()[0] == f"{GATE} This batch rests on measured effects alone."


def test_an_empty_pool_is_refused_and_leaves_the_report_an_empty_table(known):
    nothing = replace(known, excluded=set(known.ranking["gene_id"]))
    with pytest.raises(DesignError, match="none is left"):
        ask(nothing, DesignConfig(), seed=0)
    assert beside_chance(nothing, DesignConfig(), seed=0).empty
    with pytest.raises(DesignError, match="Ask for the other action"):
        ask(replace(known, kinds=("delete",)), DesignConfig(action="activate"), seed=0)


def test_a_reason_names_the_set_that_is_shared_with_measured_hits(known):
    ids = known.ranking["gene_id"].to_numpy(object)
    member = np.zeros((len(ids), 2))
    member[[0, 1, -1], 0] = 1
    member[[0, 1, 2, 3], 1] = 1
    sets = GeneSets("sets.gmt", np.array(["TCR", "OTHER"], dtype=object), ids, sparse.csr_matrix(member))
    batch = ask(replace(known, sets=sets), DesignConfig(budget=3), seed=0)
    assert batch.proposals["reason"].iloc[0].endswith("in TCR (3 genes) with the hit G39")
    assert batch.proposals["reason"].iloc[2].endswith("in OTHER (4 genes)")


def test_a_reason_says_what_the_place_rests_on(known):
    rows = known.ranking.head(2).assign(neighbors=["+0.21 by JAK2", np.nan], flags=["either-way", ""])
    rows.loc[1, ["ci_high", "log2fc"]] = np.nan
    assert reasons_of(rows) == [
        "expected effect +0.50 [-1.00, +1.00]; by measured genes: +0.21 by JAK2; log2FC -1.20 (padj 0.003): higher in the start; "
        "seen in 50% of the start cells; the opposite action scores as high",
        "expected effect +0.47 (too few cells for an interval); seen in 50% of the start cells",
    ]
    older = rows.assign(ranked_by=np.nan, effect=np.nan, log2fc=np.nan)
    assert reasons_of(older)[1].startswith("highest benefit among genes that were not measured")


def test_the_probability_of_a_hit_is_that_of_the_own_arm(known):
    other = known.effects.assign(modality="crispra", effect_to_goal=5.0)
    both = pd.concat([known.effects, other], ignore_index=True)
    one, two = (hit_probability(np.zeros(1), np.ones(1), rows, "delete") for rows in (known.effects, both))
    assert one == two
