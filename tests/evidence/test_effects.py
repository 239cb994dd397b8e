from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.data.cells import read_cells
from perturbloop.data.perturbed import read_perturbed
from perturbloop.data.states import state_cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.evidence.effects import is_hit, measure_effects
from perturbloop.evidence.score import fit_state_score, soft_labels
from perturbloop.schema import EFFECTS, CellsConfig, EvaluateConfig, PerturbedConfig

CONFIG = EvaluateConfig()


def test_one_guide_and_one_replicate_give_the_plain_difference_in_control_deviations(lab):
    cells, is_goal, train = lab.states()
    screen = lab.screen({"elsewhere": 0.5})
    screen = replace(screen, guide_n=None, replicate_n=np.full(screen.cells.n_cells, "all", dtype=object))
    measured = measure_effects(cells, is_goal, train, screen, config=CONFIG)
    score = fit_state_score(cells, is_goal, train, cells.gene_ids).readout.score(screen.cells)
    control, target = score[screen.is_control_n], score[~screen.is_control_n]
    row = measured.by_gene.iloc[0]
    spread = control.std(ddof=1)
    assert row["effect_to_goal"] == pytest.approx((target.mean() - control.mean()) / spread)
    welch = np.sqrt(target.var(ddof=1) / len(target) + control.var(ddof=1) / len(control)) / spread
    assert row["se"] == pytest.approx(welch, rel=0.05)
    assert (row["n_guides"], row["n_replicates"], row["n_cells"]) == (0, 1, 60)


def test_effects_have_the_right_order_sign_and_hits(lab):
    measured = measure_effects(
        *lab.states(), lab.screen({"GENE030": 0.0, "GENE031": 0.5, "GENE032": -0.3}), config=CONFIG
    )
    by_gene = measured.by_gene.set_index("gene_name")
    assert by_gene.index.tolist() == ["GENE031", "GENE030", "GENE032"]
    assert by_gene["hit"].tolist() == [True, False, True]
    np.testing.assert_allclose(
        by_gene["effect"], -by_gene["effect_to_goal"]
    )  # a knock-out lowers the product
    assert measured.effects.columns.tolist() == EFFECTS.names
    assert measured.effects.query("level == 'guide'").groupby("target").size().tolist() == [3, 3, 3]
    assert measured.heldout_auroc > 0.9


def test_a_row_whose_interval_holds_zero_is_no_hit_however_small_its_p():
    rows = pd.DataFrame({"padj": [1e-77, 1e-77, 0.2, 1e-9], "effect_to_goal": [1.0, 1.0, 1.0, -0.1]})
    assert is_hit(rows.assign(se=[0.35, 0.6, 0.1, 0.01]), CONFIG).tolist() == [True, False, False, False]


def test_the_targets_own_transcript_makes_no_effect(lab):
    """A knock-out that only removes its own transcript, which marks the start state, moves nothing."""
    screen = lab.screen({"GENE001": 0.0}, n_cells=200)
    counts = screen.cells.counts_ng.tolil()
    counts[np.flatnonzero(~screen.is_control_n), 1] = 0
    screen = replace(screen, cells=replace(screen.cells, counts=counts.tocsr()))
    row = measure_effects(*lab.states(), screen, config=CONFIG).by_gene.iloc[0]
    assert row["own_gene_in_readout"]
    assert abs(row["effect_to_goal"]) < 4 * row["se"]
    unknown = replace(
        screen, target_n=np.where(screen.is_control_n, "control", "?").astype(object), target_ids={}
    )
    assert measure_effects(*lab.states(), unknown, config=CONFIG).by_gene["effect_to_goal"].iloc[0] > 0.2


def test_replicates_that_differ_do_not_make_effects(lab):
    screen = lab.screen({"GENE030": 0.0}, replicate_bias=1.0)
    lost = (screen.target_n == "GENE030") & (screen.replicate_n == "r1")
    keep = ~lost | (np.arange(len(lost)) % 3 == 0)
    screen = replace(
        screen,
        cells=screen.cells.select(keep),
        target_n=screen.target_n[keep],
        guide_n=screen.guide_n[keep],
        replicate_n=screen.replicate_n[keep],
    )
    row = measure_effects(*lab.states(), screen, config=CONFIG).by_gene.iloc[0]
    assert abs(row["effect_to_goal"]) < 4 * row["se"]
    assert row["n_replicates"] == 2


def test_inert_targets_are_not_called_although_guides_differ(lab):
    """Many control guides, so that the error of the controls, common to all targets, is small beside a target's own."""
    inert = {f"inert{place}": 0.0 for place in range(40)}
    screen = lab.screen(inert, guide_spread=0.15, n_controls=1200, n_control_guides=40)
    measured = measure_effects(*lab.states(), screen, config=replace(CONFIG, min_effect=0.0))
    assert measured.guide_spread.source == "40 control guides"
    assert measured.guide_spread.from_controls
    assert not any("inert guides" in warning for warning in measured.warnings)
    assert measured.guide_spread.variance > 0
    assert (measured.by_gene["pvalue"] < 0.05).mean() < 0.2
    assert measured.by_gene["hit"].sum() <= 1
    assert stats.kstest(measured.control_guides["pvalue"], "uniform").pvalue > 1e-3


def test_contributions_of_all_genes_sum_to_the_effect(lab):
    measured = measure_effects(*lab.states(), lab.screen({"GENE003": 0.4, "elsewhere": -0.2}), config=CONFIG)
    total = measured.contributions.groupby("target")["contribution"].sum()
    by_target = measured.by_gene.set_index("target")["effect_to_goal"]
    pd.testing.assert_series_equal(total, by_target.sort_index(), check_names=False)


def test_cell_order_and_sequencing_depth_unit_do_not_matter(lab, rng):
    states, screen = lab.states(), lab.screen({"GENE030": 0.3, "GENE031": 0.0})
    order = rng.permutation(screen.cells.n_cells)
    shuffled = replace(
        screen,
        cells=screen.cells.select(order),
        target_n=screen.target_n[order],
        guide_n=screen.guide_n[order],
        replicate_n=screen.replicate_n[order],
    )
    first, second = (measure_effects(*states, cells, config=CONFIG).effects for cells in (screen, shuffled))
    pd.testing.assert_frame_equal(first, second)


def test_control_guides_that_are_all_one_fall_back_on_the_targets_and_say_so(lab):
    screen = lab.screen({f"inert{place}": 0.0 for place in range(6)}, guide_spread=0.1)
    one_guide = np.where(screen.is_control_n, "NT", screen.guide_n).astype(object)
    measured = measure_effects(*lab.states(), replace(screen, guide_n=one_guide), config=CONFIG)
    assert "median over 6 targets" in measured.guide_spread.source
    assert not measured.guide_spread.from_controls
    assert any("for want of control guides" in warning for warning in measured.warnings)


def test_targets_that_cannot_be_mapped_are_named(lab):
    measured = measure_effects(*lab.states(), lab.screen({"enhancer-17": 0.0}), config=CONFIG)
    assert any("enhancer-17" in warning for warning in measured.warnings)
    assert measured.by_gene[["gene_id", "gene_name"]].iloc[0].tolist() == ["", "enhancer-17"]


def test_controls_lie_where_they_were_put_on_the_state_axis(lab):
    measured = measure_effects(*lab.states(), lab.screen({"GENE030": 0.0}, replicate_bias=1.0), config=CONFIG)
    assert measured.control_position["r0"] == pytest.approx(0, abs=0.1)
    assert measured.control_position["r1"] == pytest.approx(1, abs=0.1)


@pytest.mark.shared_data
def test_the_interferon_gamma_receptor_and_its_kinase_stand_out_in_real_knockouts(shared):
    vocabulary = Vocabulary.published(shared / "geneformer")
    cells, _ = read_cells(shared / "states" / "kang2018_ifnb_harmony.h5ad", names=vocabulary.names)
    states = state_cells(
        cells,
        CellsConfig(path="kang.h5ad", state_column="condition", start="stimulated", goal="control"),
        seed=0,
    )
    perturbed, report = read_perturbed(
        PerturbedConfig(
            path=str(shared / "perturbed" / "papalexi2021_thp1_rep1_rep2.h5ad"),
            target_column="target",
            control="non-targeting",
            modality="crispr_ko",
            replicate_column="replicate",
            guide_column="grna",
            min_purity=0.8,
        ),
        names=vocabulary.names,
    )
    assert report["purity_column"] == "grna_top_frac"
    arguments = states.cells, states.is_goal_n, states.train_n, perturbed
    known = {"STAT1", "JAK2", "IFNGR1", "IFNGR2"}
    for genes in ("all", "judge"):
        measured = measure_effects(*arguments, config=CONFIG, genes=genes)
        by_gene = measured.by_gene.set_index("target")
        assert set(by_gene.index[by_gene["hit"]]) == known
        assert set(by_gene.index[:4]) == known
        assert (
            by_gene.loc[sorted(known), "effect_to_goal"].min()
            > 2 * by_gene["effect_to_goal"].abs().iloc[4:].max()
        )
        assert measured.heldout_auroc > 0.8
        assert measured.control_guides["pvalue"].min() > 0.01
    probability = pd.Series(soft_labels(*arguments).probability_n).groupby(perturbed.target_n).mean()
    assert set(probability.nlargest(4).index) == known
