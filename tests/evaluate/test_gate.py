import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.data.cells import read_cells
from perturbloop.evaluate import recognize, signed_de
from perturbloop.evaluate.controls import Recognized, control
from perturbloop.evaluate.gate import Positive, gate, knocked_out, positives
from perturbloop.schema import FAILED, failure

N = 400
INTERFERON = Recognized(control("type-i-interferon"), ("ISG15",), 14, 1e-9, "start")


def ranking(rng, kind="delete", **shifts):
    """Genes of random shifts, but those that are named."""
    names = [*shifts, *(f"GENE{place}" for place in range(N - len(shifts)))]
    values = np.concatenate([list(shifts.values()), rng.normal(size=N - len(shifts))])
    return pd.DataFrame(
        {
            "gene_name": names,
            "kind": kind,
            "logit_shift": values,
            "padj": 1.0,
            "n_cells": 5,
            "detection": 0.3,
            "status": "scored",
        }
    )


def positive_verdict(table, *entries, action="inhibit", why="named"):
    verdicts = gate(table, heldout_auroc=0.9, positive=[Positive(name, action, why) for name in entries])
    return next(verdict for verdict in verdicts if verdict.check.startswith("positive"))


def test_positive_controls_at_the_top_pass_and_at_the_bottom_fail(rng):
    table = ranking(rng, CD3E=2.0, CD3G=2.5, ZAP70=1.8, JAK1=-2.0, JAK2=-1.0, TYK2=-3.0)
    good, bad = (
        positive_verdict(table, *names) for names in (("CD3E", "CD3G", "ZAP70"), ("JAK1", "JAK2", "TYK2"))
    )
    assert good.passed
    assert bad.passed is False
    assert "3 of 3 scored" in good.sentence


def test_the_auroc_and_p_are_those_of_counting_pairs_and_of_shuffling(rng):
    table = ranking(rng, CD3E=1.5, CD3G=-0.2, ZAP70=0.9, LCP2=0.4)
    verdict = positive_verdict(table, "CD3E", "CD3G", "ZAP70", "LCP2")
    shift = table["logit_shift"].to_numpy()
    wins = np.mean([[one > other for other in shift[4:]] for one in shift[:4]])
    assert f"AUROC {wins:.2f}" in verdict.sentence
    sums = [stats.rankdata(shift)[rng.choice(N, 4, replace=False)].sum() for _ in range(4000)]
    shuffled = np.mean(np.array(sums) >= stats.rankdata(shift)[:4].sum())
    said = float(verdict.sentence.split("p = ")[1].split(",")[0])
    assert said == pytest.approx(shuffled, abs=0.03)


def test_chance_passes_one_time_in_twenty(rng):
    passed = [
        positive_verdict(ranking(rng, A=a, B=b, C=c, D=d), *"ABCD").passed
        for a, b, c, d in rng.normal(size=(400, 4))
    ]
    assert 0.02 < np.mean(passed) < 0.09


def test_where_only_the_opposite_edit_was_made_the_controls_must_stand_last(rng):
    table = ranking(rng, "overexpress", CD3E=-2.0, CD3G=-2.5, ZAP70=-1.8)
    assert positive_verdict(table, "CD3E", "CD3G", "ZAP70").passed
    assert not positive_verdict(table, "CD3E", "CD3G", "ZAP70", action="activate").passed


def test_a_knocked_out_gene_is_judged_alone_by_its_place(rng):
    table = ranking(rng, "overexpress")
    best = table["logit_shift"].nlargest(30).index
    for place, passes in ((best[9], True), (best[29], False)):
        renamed = table.assign(gene_name=table["gene_name"].where(table.index != place, "SMAD4"))
        verdict = positive_verdict(renamed, "SMAD4", action="activate", why="knocked out")
        assert verdict.passed is passes
    assert (
        f"p = {10 / N:.2g}"
        in positive_verdict(
            table.assign(gene_name=table["gene_name"].where(table.index != best[9], "SMAD4")),
            "SMAD4",
            action="activate",
            why="knocked out",
        ).sentence
    )


def test_too_few_controls_cannot_be_judged(rng):
    table = ranking(rng, CD3E=9.0, CD3G=9.0)
    verdict = positive_verdict(table, "CD3E", "CD3G", "NOBODY")
    assert verdict.passed is None
    assert "2 of 3 could be edited and at least 3 are needed" in verdict.sentence
    none = gate(table, heldout_auroc=0.9, positive=())
    assert [verdict.passed for verdict in none] == [True, None, None]
    assert failure(none) == ""


def test_a_gene_without_a_direction_is_not_guessed(rng):
    verdict = positive_verdict(ranking(rng, CD3E=9.0), "CD3E", action="")
    assert verdict.passed is None
    assert "Write `CD3E:inhibit` or `CD3E:activate`" in verdict.sentence


@pytest.mark.parametrize(("called", "passes"), [(0, True), (2, True), (6, False)])
def test_negative_controls_may_be_called_as_often_as_the_rate_allows(rng, called, passes):
    olfactory = {f"OR{place}A{place}": 0.0 for place in range(1, 21)}
    table = ranking(rng, **olfactory)
    table.loc[: called - 1, "padj"] = 0.001
    verdict = gate(table, heldout_auroc=0.9, positive=())[-1]
    assert verdict.check == "negative controls, delete"
    assert verdict.passed is passes
    assert f"{called} of 20" in verdict.sentence
    oracle = 1 - sum(stats.binom.pmf(hits, 20, 0.05) for hits in range(called))
    assert float(verdict.sentence.split("p = ")[1].split(",")[0]) == pytest.approx(oracle, rel=0.05)


def test_silent_and_named_genes_are_negative_controls_and_orphans_with_or_are_not(rng):
    table = ranking(rng, PPP1R12C=0, A=0, B=0, C=0, ORC1=0, ORAI1=0, ORMDL3=0, OR4F5=0)
    table.loc[1:3, "detection"] = 0.0
    verdict = gate(table, heldout_auroc=0.9, positive=(), named_negative=["PPP1R12C"])[-1]
    assert "0 of 5" in verdict.sentence


def test_a_head_that_cannot_tell_held_out_cells_apart_fails_the_gate(rng):
    verdicts = gate(ranking(rng), heldout_auroc=0.69, positive=())
    said = failure(verdicts)
    assert said.startswith(FAILED)
    assert "AUROC 0.69" in said
    assert failure(gate(ranking(rng), heldout_auroc=0.71, positive=())) == ""
    assert gate(ranking(rng), heldout_auroc=np.nan, positive=())[0].passed is None


def test_positive_controls_are_named_or_come_from_the_states():
    genes = np.array(["SMAD4", "JAK1"], dtype=object)
    named = positives(["CD3E", "CD5:activate"], (INTERFERON,), genes, start="a", goal="b")
    assert [(entry.gene_name, entry.action) for entry in named] == [("CD3E", "inhibit"), ("CD5", "activate")]
    found = positives([], (INTERFERON,), genes, start="SMAD4 knock-out", goal="control")
    assert (found[0].gene_name, found[0].action) == ("SMAD4", "activate")
    assert {entry.gene_name for entry in found[1:]} == set(INTERFERON.control.pathway)
    assert {entry.action for entry in found[1:]} == {"inhibit"}
    assert positives([], (), genes, start="control", goal="JAK1-/-")[0].action == "inhibit"
    assert positives([], (), genes, start="a", goal="b") == ()


@pytest.mark.parametrize(
    ("state", "gene"),
    [
        ("SMAD4KO", "SMAD4"),
        ("smad4_ko", "SMAD4"),
        ("KO SMAD4", "SMAD4"),
        ("SMAD4-KO", "SMAD4"),
        ("TOKYO", None),
    ]
    + [("control", None), ("GATA1_KO", None), ("SMAD4", None)],
)
def test_a_knocked_out_gene_is_read_from_the_name_of_a_state(state, gene):
    assert knocked_out(state, ["SMAD4", "JAK1"]) == gene


@pytest.mark.shared_data
def test_interferon_cells_bring_their_own_positive_controls(shared):
    cells, _ = read_cells(shared / "states" / "kang2018_ifnb_muscat_small.h5ad")
    de = signed_de(cells, cells.obs["condition"].eq("control").to_numpy())
    found = positives(
        [], recognize(de, cells.gene_names), cells.gene_names, start="stimulated", goal="control"
    )
    assert {"STAT1", "IRF9", "TYK2"} <= {entry.gene_name for entry in found}
    assert {entry.action for entry in found} == {"inhibit"}


def test_silent_genes_are_offered_only_where_they_can_be_edited(rng):
    said = {
        kind: gate(ranking(rng, kind), heldout_auroc=0.9, positive=())[-1].sentence
        for kind in ("delete", "overexpress")
    }
    assert "insert" in said["overexpress"]
    assert "insert" not in said["delete"]
