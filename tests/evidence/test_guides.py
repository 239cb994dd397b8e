from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.cells import read_cells
from perturbloop.data.perturbed import read_perturbed
from perturbloop.data.states import state_cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.evidence.effects import measure_effects
from perturbloop.evidence.guides import KnockDown, by_agreement, by_knock_down, knock_down, quality
from perturbloop.schema import GUIDES, REPLICATES, CellsConfig, EvaluateConfig, PerturbedConfig

CONFIG = EvaluateConfig()


def screen_with_failed_guide(lab, *, modality, effect=0.8, rna=0.2):
    """GENE030 lowered to `rna` by guides 0 and 1; guide 2 does nothing, to its RNA or to the cells."""
    screen = lab.screen({"GENE030": effect}, n_cells=240, n_controls=960)
    failed_n = screen.guide_n == "GENE030-2"
    inert = lab.cells(np.zeros(int(failed_n.sum())))
    counts = screen.cells.counts_ng.tolil()
    counts[np.flatnonzero(failed_n)] = inert.counts_ng
    working = np.flatnonzero((screen.target_n == "GENE030") & ~failed_n)
    counts[working, 30] = lab.rng.binomial(counts[working, 30].toarray().astype(int), rna)
    return replace(
        screen, modality=modality, cells=replace(screen.cells, counts=counts.tocsr().astype(np.float32))
    )


def test_the_ratio_and_its_error_are_those_of_a_bootstrap_over_cells(lab):
    screen = screen_with_failed_guide(lab, modality="crispri", rna=0.3)
    found = knock_down(screen, "GENE030", screen.target_ids["GENE030"])
    counts = screen.cells.counts_ng.toarray()
    own, rest = counts[:, 30], counts.sum(axis=1) - counts[:, 30]
    rate = {
        name: own[here].sum() / rest[here].sum()
        for name in ("r0", "r1")
        for here in [screen.is_control_n & (screen.replicate_n == name)]
    }
    expected = rest * np.array([rate[name] for name in screen.replicate_n])
    for place, guide in enumerate(found.guides):
        cells = np.flatnonzero(screen.guide_n == guide)
        drawn = [lab.rng.choice(cells, len(cells)) for _ in range(2000)]
        values = [own[one].sum() / expected[one].sum() for one in drawn]
        assert found.ratio_r[place] == pytest.approx(own[cells].sum() / expected[cells].sum())
        assert found.se_r[place] == pytest.approx(np.std(values), rel=0.12)
    np.testing.assert_allclose(found.ratio_r, [0.3, 0.3, 1.0], atol=0.1)
    assert knock_down(screen, "GENE030", "ENSG99999999999") is None


def test_a_guide_that_leaves_the_rna_of_its_target_counts_little_in_the_effect(lab):
    screen = screen_with_failed_guide(lab, modality="crispri")
    states = lab.states()
    measured = measure_effects(*states, screen, config=CONFIG)
    guides = measured.guides.set_index("guide_id")
    assert guides.loc["GENE030-2", "weight"] == 0.1
    assert guides["weight"].iloc[:2].tolist() == [1, 1]
    assert "RNA is at" in guides.loc["GENE030-2", "reason"]
    assert any("Guide GENE030-2 of GENE030 does little" in line for line in measured.warnings)
    working = measured.guides["effect_to_goal"].iloc[:2].mean()
    alike = measure_effects(*states, replace(screen, target_ids={}), config=CONFIG)  # no RNA to look at …
    row = measured.by_gene.iloc[0]
    assert row["effect_to_goal"] > 0.9 * working
    assert row["pvalue"] == pytest.approx(alike.by_gene.iloc[0]["pvalue"], rel=0.5)  # … and p never does
    assert measured.guides.columns.tolist() == GUIDES.names


def test_a_knock_out_that_keeps_its_rna_is_no_failed_guide_while_it_moves_cells():
    found = KnockDown(
        ["g1", "g2", "g3"], np.array([0.6, 1.0, 0.55]), np.full(3, 0.05), np.zeros(3), np.full(3, 100.0)
    )
    options = {"null_variance": 0.01, "shared_variance": 0.0}
    alike, silent = np.array([1.2, 1.1, 1.0]), np.array([1.2, 0.1, 1.0])
    variance = np.full(3, 0.01)
    assert quality("crispr_ko", found, alike, variance, **options).weight_r.tolist() == [1, 1, 1]
    assert quality("crispr_ko", found, silent, variance, **options).weight_r.tolist() == [1, 0.1, 1]
    assert quality("crispri", found, alike, variance, **options).weight_r.tolist() == [1, 0.1, 1]
    works = replace(found, ratio_r=np.array([0.6, 0.5, 0.55]))
    assert quality("crispr_ko", works, silent, variance, **options).weight_r.tolist() == [1, 1, 1]


def test_activation_is_judged_by_the_rna_it_adds():
    found = KnockDown(
        ["g1", "g2", "g3"], np.array([5.0, 1.2, 4.0]), np.full(3, 0.2), np.zeros(3), np.full(3, 50.0)
    )
    weight = by_knock_down(found, gain=True).weight_r
    assert weight[[0, 2]].tolist() == [1, 1]
    assert weight[1] == 0.1
    assert by_knock_down(found, gain=False) is None


def test_rna_says_nothing_where_cells_are_few_or_siblings_leave_it():
    few = KnockDown(["g1", "g2"], np.array([0.2, 1.0]), np.full(2, 0.1), np.zeros(2), np.array([100.0, 4.0]))
    assert by_knock_down(few, gain=False) is None
    flat = KnockDown(["g1", "g2"], np.array([0.9, 1.0]), np.full(2, 0.01), np.zeros(2), np.full(2, 100.0))
    assert by_knock_down(flat, gain=False) is None
    unsure = KnockDown(["g1", "g2"], np.array([0.2, 0.9]), np.full(2, 0.3), np.zeros(2), np.full(2, 100.0))
    assert by_knock_down(unsure, gain=False).weight_r.tolist() == [1, 1]


def test_agreement_needs_two_siblings_a_majority_and_an_effect():
    variance = np.full(4, 0.01)
    quiet = {"null_variance": 0.01}
    assert by_agreement(np.array([1.0, 0.0]), variance[:2], **quiet).weight_r.tolist() == [1, 1]
    assert by_agreement(np.array([1.0, 1.1, 0.0, 0.0]), variance, **quiet).weight_r.tolist() == [1, 1, 1, 1]
    assert by_agreement(np.array([1.0, 1.1, 0.9, 0.0]), variance, **quiet).weight_r.tolist() == [
        1,
        1,
        1,
        0.1,
    ]
    assert by_agreement(np.array([-1.0, -1.1, -0.9, 0.0]), variance, **quiet).weight_r[3] == 0.1
    assert by_agreement(np.array([1.0, 1.1, 0.9, 0.6]), variance, **quiet).weight_r.tolist() == [1, 1, 1, 1]


def test_inert_targets_are_neither_called_more_often_nor_made_larger(rng):
    """4,000 inert targets of four guides: weights from the outcome may not raise p, and hardly the effects."""
    from perturbloop.stats.pool import pool

    variance, null = np.full(4, 0.01), 0.02
    plain, weighted, called = [], [], []
    for _ in range(4000):
        mean = rng.normal(scale=np.sqrt(0.03), size=4)
        judged = by_agreement(mean, variance, null_variance=null)
        one = pool(mean, variance, null_variance=null, quality_r=judged.weight_r)
        plain.append(pool(mean, variance, null_variance=null).mean)
        weighted.append(one.mean)
        called.append(one.pvalue < 0.05)
    assert 0.03 < np.mean(called) < 0.07
    assert np.std(weighted) < 1.02 * np.std(plain)
    assert np.mean(np.abs(weighted) > 0.3) <= np.mean(np.abs(plain) > 0.3) + 0.001


def test_replicates_that_disagree_widen_the_error(lab):
    states = lab.states()
    measured = measure_effects(
        *states, lab.screen({"GENE030": 0.5, "GENE031": 0.5}, n_cells=240), config=CONFIG
    )
    assert measured.replicates.columns.tolist() == REPLICATES.names
    assert measured.replicates.groupby("target")["n_cells"].sum().tolist() == [240, 240]
    screen = lab.screen({"GENE030": 0.5, "GENE031": 0.5}, n_cells=240)
    moved_n = (screen.target_n == "GENE030") & (screen.replicate_n == "r1")
    counts = screen.cells.counts_ng.tolil()
    counts[np.flatnonzero(moved_n)] = lab.cells(np.full(int(moved_n.sum()), -0.5)).counts_ng
    split = replace(screen, cells=replace(screen.cells, counts=counts.tocsr()))
    found = measure_effects(*states, split, config=CONFIG)
    by_gene, before = found.by_gene.set_index("target"), measured.by_gene.set_index("target")
    halves = found.replicates.set_index(["target", "replicate"])["effect_to_goal"]["GENE030"]
    gap = float(halves["r0"] - halves["r1"])
    assert gap > 0.5
    assert by_gene.loc["GENE030", "se"] > max(2 * before.loc["GENE030", "se"], 0.4 * gap)


@pytest.mark.shared_data
def test_real_guides_are_judged_by_cells_and_rna_together(shared):
    """Papalexi: STAT1's fourth guide leaves the RNA and the cells; one of IFNGR2 leaves the RNA and works all the same."""
    vocabulary = Vocabulary.published(shared / "geneformer")
    cells, _ = read_cells(shared / "states" / "kang2018_ifnb_harmony.h5ad", names=vocabulary.names)
    states = state_cells(
        cells,
        CellsConfig(path="kang.h5ad", state_column="condition", start="stimulated", goal="control"),
        seed=0,
    )
    perturbed, _ = read_perturbed(
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
    measured = measure_effects(states.cells, states.is_goal_n, states.train_n, perturbed, config=CONFIG)
    guides = measured.guides.set_index("guide_id")
    assert guides.dropna(subset=["ratio"])["target"].nunique() == 9
    assert guides.loc["STAT1g4", "ratio"] > 0.7 > 0.3 > guides.loc["STAT1g3", "ratio"]
    assert guides.index[guides["weight"] < 1].tolist() == ["STAT1g4"]
    assert guides.loc["IFNGR2g2", "ratio"] > 0.9
    assert guides.loc["IFNGR2g2", "effect_to_goal"] > 0.8
    assert guides.loc["STAT1g2", "escape"] < 0.3
    both = measured.replicates.pivot_table(index="target", columns="replicate", values="effect_to_goal")
    assert both.loc[["STAT1", "IFNGR1", "IFNGR2", "JAK2"]].min().min() > 0.5
    assert set(measured.by_gene.head(4)["target"]) == {"STAT1", "IFNGR1", "IFNGR2", "JAK2"}
    assert isinstance(both, pd.DataFrame)
