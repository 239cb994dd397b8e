import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from perturbloop.data.cells import Cells, read_cells
from perturbloop.errors import InputError, StateError
from perturbloop.evaluate import deseq as module
from perturbloop.evaluate.bulks import metacells, metacells_of_paper, pseudobulks
from perturbloop.evaluate.deseq import chosen_test, deseq, differential, require_test

N_GENES = 300
LOG2FC = np.concatenate([np.linspace(0.8, 3, 20), -np.linspace(0.8, 3, 20), np.zeros(N_GENES - 40)])
"""Known answer, goal over start."""


def cells_of(counts_ng, source="simulated counts"):
    counts = sparse.csr_matrix(counts_ng.astype(np.float32))
    ids = np.array([f"ENSG{place:011}" for place in range(counts.shape[1])], dtype=object)
    obs = pd.DataFrame(index=[f"cell{place}" for place in range(counts.shape[0])])
    return Cells(counts, ids, ids.copy(), obs, source, "")


@pytest.fixture
def simulated(rng):
    """Four donors with both states, 40 cells each: negative-binomial counts, donors of different depth."""
    donor_n = np.repeat(np.array(["d1", "d2", "d3", "d4"], dtype=object), 80)
    is_goal_n = np.tile(np.arange(80) < 40, 4)
    base_g = rng.permutation(np.geomspace(0.1, 5, N_GENES))
    donor_effect = {donor: rng.normal(0, 0.3, N_GENES) for donor in ["d1", "d2", "d3", "d4"]}
    depth = dict(zip(donor_effect, (0.7, 1, 1.3, 2), strict=True))
    mean_ng = np.array([depth[donor] * base_g * np.exp(donor_effect[donor]) for donor in donor_n])
    mean_ng = mean_ng * np.where(is_goal_n[:, None], 2.0**LOG2FC, 1)
    return cells_of(rng.negative_binomial(5, 5 / (5 + mean_ng))), is_goal_n, donor_n


@pytest.mark.parametrize("by", ["pseudobulk", "metacells"])
def test_simulated_fold_changes_are_recovered_with_their_sign(simulated, by):
    cells, is_goal_n, donor_n = simulated
    table = differential(cells, is_goal_n, donor_n=donor_n, by=by)
    changed = LOG2FC != 0
    assert np.abs(table["log2fc"][changed] - LOG2FC[changed]).median() < 0.25
    assert stats.pearsonr(table["log2fc"], LOG2FC).statistic > 0.9
    assert (np.sign(table["z"][changed]) == np.sign(LOG2FC[changed])).mean() > 0.95
    assert table["gene_id"].tolist() == cells.gene_ids.tolist()


def test_the_order_agrees_with_the_rank_sum(simulated):
    cells, is_goal_n, donor_n = simulated
    table = differential(cells, is_goal_n, donor_n=donor_n)
    changed = table[LOG2FC != 0]
    assert stats.spearmanr(changed["z"], changed["rank_sum_z"]).statistic > 0.9


def test_pseudobulks_find_the_changed_genes_and_hold_the_error_rate(simulated):
    cells, is_goal_n, donor_n = simulated
    table = differential(cells, is_goal_n, donor_n=donor_n)
    assert table["de_test"].unique().tolist() == ["PyDESeq2 on pseudobulks of 4 donors, paired"]
    called = table["padj"] < 0.05
    assert called[LOG2FC != 0].mean() > 0.8
    assert called[LOG2FC == 0].mean() < 0.05


def test_swapping_the_states_swaps_the_sign(simulated):
    cells, is_goal_n, donor_n = simulated
    few = cells.restrict(cells.gene_ids[:60])
    one, other = (deseq(pseudobulks(few, state_n, donor_n)) for state_n in (is_goal_n, ~is_goal_n))
    np.testing.assert_allclose(one["log2fc"], -other["log2fc"], atol=1e-3)


def test_pseudobulks_are_the_sums_of_their_cells(simulated):
    cells, is_goal_n, donor_n = simulated
    bulks = pseudobulks(cells, is_goal_n, donor_n)
    counts_ng = cells.counts_ng.toarray()
    for row, goal, donor in zip(bulks.counts_rg, bulks.is_goal_r, bulks.pair_r, strict=True):
        np.testing.assert_array_equal(row, counts_ng[(is_goal_n == goal) & (donor_n == donor)].sum(axis=0))


def test_donors_with_one_state_are_left_out_of_pairs_and_used_where_none_are_paired(simulated):
    cells, is_goal_n, donor_n = simulated
    odd_n = np.where((donor_n == "d4") & is_goal_n, "d5", donor_n).astype(object)
    bulks = pseudobulks(cells, is_goal_n, odd_n)
    assert sorted(set(bulks.pair_r)) == ["d1", "d2", "d3"]
    nested_n = np.char.add(donor_n.astype(str), np.where(is_goal_n, "g", "s")).astype(object)
    nested = pseudobulks(cells, is_goal_n, nested_n)
    assert nested.pair_r is None
    assert nested.test == "PyDESeq2 on pseudobulks of 4 goal and 4 start donors"


def test_pseudobulks_of_few_cells_are_left_out(simulated):
    cells, is_goal_n, donor_n = simulated
    lone_n = donor_n.copy()
    lone_n[:9] = "d9"  # nine goal cells of a donor of their own
    bulks = pseudobulks(cells, is_goal_n, lone_n)
    assert sorted(set(bulks.pair_r)) == ["d1", "d2", "d3", "d4"]
    counts_ng = cells.counts_ng.toarray()
    kept = is_goal_n & (lone_n == "d1")
    np.testing.assert_array_equal(
        bulks.counts_rg[bulks.is_goal_r & (bulks.pair_r == "d1")][0], counts_ng[kept].sum(axis=0)
    )


def test_metacells_keep_states_apart_and_every_count(simulated):
    cells, is_goal_n, _ = simulated
    bulks = metacells(cells, is_goal_n, seed=0)
    counts_ng = cells.counts_ng.toarray()
    for state in (False, True):
        np.testing.assert_array_equal(
            bulks.counts_rg[bulks.is_goal_r == state].sum(axis=0), counts_ng[is_goal_n == state].sum(axis=0)
        )
    assert "not to be believed" in bulks.test


def test_metacells_gather_alike_cells(rng):
    kind_n = np.tile([0, 1], 60)
    counts_ng = rng.poisson(np.where(kind_n[:, None] == np.arange(40) % 2, 6, 0.5))
    bulks = metacells(cells_of(counts_ng), np.arange(120) < 60, seed=0)
    share_r = bulks.counts_rg[:, ::2].sum(axis=1) / bulks.counts_rg.sum(axis=1)
    assert ((share_r < 0.3) | (share_r > 0.7)).all()  # no metacell mixes the two kinds


def test_genes_with_few_counts_are_not_tested_and_say_nothing(simulated):
    cells, is_goal_n, donor_n = simulated
    counts_ng = cells.counts_ng.toarray()
    counts_ng[:, 5] = 0
    counts_ng[:9, 5] = 1
    row = differential(cells_of(counts_ng), is_goal_n, donor_n=donor_n).loc[5]
    assert (row["z"], row["log2fc"]) == (0, 0)
    assert np.isnan(row["pvalue"])
    assert np.isnan(row["padj"])


def test_auto_takes_what_the_cells_allow():
    is_goal_n = np.arange(60) < 30
    three = np.array(list("abc") * 20, dtype=object)
    assert chosen_test(is_goal_n, three, by="auto") == ("pseudobulk", "")
    assert chosen_test(is_goal_n, np.array(list("ab") * 30, dtype=object), by="auto") == ("metacells", "")
    assert chosen_test(is_goal_n, None, by="auto") == ("metacells", "")
    assert chosen_test(is_goal_n, three, by="rank-sum") == ("rank-sum", "")
    assert chosen_test(np.arange(20) < 10, None, by="auto")[0] == "rank-sum"


def test_what_the_cells_do_not_allow_is_refused():
    with pytest.raises(
        StateError, match="at least 3 donors of each state with 10 cells or more; there are 2"
    ):
        chosen_test(np.arange(60) < 30, np.array(list("ab") * 30, dtype=object), by="pseudobulk")
    with pytest.raises(StateError, match="at least 15 cells of each state; there are 10 goal and 50 start"):
        chosen_test(np.arange(60) < 10, None, by="metacells")


def test_without_pydeseq2_the_rank_sum_serves_and_says_so(simulated, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    cells, is_goal_n, donor_n = simulated
    table = differential(cells, is_goal_n, donor_n=donor_n, by="pseudobulk")
    assert table["de_test"][0] == (
        "rank-sum of cells (PyDESeq2 is not installed: `pip install 'perturbloop[de]'`)"
    )
    np.testing.assert_array_equal(table["z"], table["rank_sum_z"])
    with pytest.raises(InputError, match=r"perturbloop\[de\]"):
        deseq(pseudobulks(cells, is_goal_n, donor_n))


@pytest.fixture
def fitted_both(rng):
    """Two ways to fit 60 genes of 12 replicates in four blocks, one unexpressed in a state, and what both are given."""
    inference = module._pydeseq2().Inference
    place = np.arange(12)
    design = np.column_stack([np.ones(12), place % 2, place // 4 == 1, place // 4 == 2]).astype(float)
    size_r = rng.uniform(0.5, 2, 12)
    mean_rg = size_r[:, None] * rng.gamma(2, 20, 60) * 2.0 ** np.outer(place % 2, rng.normal(0, 1, 60))
    spread_g = rng.uniform(0.02, 1, 60)
    counts = rng.negative_binomial(1 / spread_g, 1 / (1 + mean_rg * spread_g))
    counts[:, 7] *= place % 2
    return inference.__base__(n_cpus=1), inference(n_cpus=1), counts, size_r, design, spread_g


def test_regressions_of_all_genes_at_once_are_those_of_the_library(fitted_both):
    *ways, counts, size_r, design, _ = fitted_both
    theirs, ours = (
        way.lin_reg_mu(counts=counts, size_factors=size_r, design_matrix=design, min_mu=0.5) for way in ways
    )
    assert (theirs == 0.5).any()
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("prior", [{}, {"prior_disp_var": 0.7, "prior_reg": True}])
def test_dispersions_of_all_genes_at_once_are_those_of_the_library(fitted_both, prior):
    *ways, counts, size_r, design, spread_g = fitted_both
    mu = ways[0].lin_reg_mu(counts=counts, size_factors=size_r, design_matrix=design, min_mu=0.5)
    first_g = spread_g[::-1].copy()
    if not prior:
        first_g[::9] = 1e-8  # these are left to the library
    (theirs, _), (ours, _) = (way.alpha_mle(counts, design, mu, first_g, 1e-8, 12.0, **prior) for way in ways)
    np.testing.assert_allclose(np.log(ours), np.log(theirs), atol=2e-3)
    assert prior or (ours[::9] < 2e-8).any()


def test_coefficients_and_wald_tests_of_all_genes_at_once_are_those_of_the_library(fitted_both):
    *ways, counts, size_r, design, spread_g = fitted_both
    theirs, ours = (way.irls(counts, size_r, design, spread_g, min_mu=0.5, beta_tol=1e-8) for way in ways)
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
    beta, mu, _, _ = theirs
    contrast, ridge = np.array([0.0, 1, 0, 0]), np.diag(np.full(4, 1e-6))
    tests = [way.wald_test(design, spread_g, beta, mu, ridge, contrast, 0.0, None) for way in ways]
    for one, other in zip(*tests, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9)


def test_genes_whose_coefficients_stray_are_left_to_the_library(fitted_both):
    *ways, counts, size_r, design, spread_g = fitted_both
    theirs, ours = (
        way.irls(counts, size_r, design, spread_g, min_mu=0.5, beta_tol=1e-8, max_beta=3.5) for way in ways
    )
    strayed = (np.abs(theirs[0]) > 3).any(axis=1)
    assert strayed.any()
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("paired", [True, False])
def test_tables_are_those_of_the_library(simulated, monkeypatch, paired):
    cells, is_goal_n, donor_n = simulated
    bulks = pseudobulks(cells, is_goal_n, donor_n) if paired else metacells(cells, is_goal_n, seed=0)
    ours = deseq(bulks)
    api = module._pydeseq2()
    monkeypatch.setattr(module, "_pydeseq2", lambda: api)
    api.Inference = api.Inference.__base__
    theirs = deseq(bulks)
    pd.testing.assert_frame_equal(ours, theirs, rtol=3e-3, atol=3e-3)


def test_the_library_does_not_switch_warnings_off_for_the_program():
    for name in [name for name in sys.modules if name.startswith("pydeseq2")]:
        del sys.modules[name]
    with warnings.catch_warnings():
        warnings.resetwarnings()
        module._pydeseq2()
        assert not [entry for entry in warnings.filters if entry[2] is FutureWarning]


@pytest.mark.shared_data
def test_interferon_genes_lead_in_metacells_and_in_pairs(shared):
    cells, _ = read_cells(shared / "states" / "kang2018_ifnb_muscat_small.h5ad")
    is_control_n = cells.obs["condition"].eq("control").to_numpy()
    known = {"ISG15", "IFI6", "ISG20", "LY6E", "IFIT1", "IFIT2", "IFIT3", "MX1"}
    tables = {
        name: differential(cells, is_control_n, donor_n=cells.obs[name].to_numpy(object))
        for name in ("sample", "cell_type")  # two samples per state; five cell types as blocks of both states
    }
    assert "metacells" in tables["sample"]["de_test"][0]
    assert tables["cell_type"]["de_test"][0] == "PyDESeq2 on pseudobulks of 5 donors, paired"
    for table in tables.values():
        lowest = set(cells.gene_names[table["z"].nsmallest(20).index])
        assert len(known & lowest) >= 5
        assert stats.spearmanr(table["z"], table["rank_sum_z"]).statistic > 0.8


@pytest.fixture
def deep(simulated):
    """A part of the genes of these cells, counted deeply enough for metacells of 160,000 UMI."""
    cells, is_goal_n, donor_n = simulated
    return cells_of(cells.counts_ng.toarray()[:, :80] * 40), is_goal_n, donor_n


def test_metacells_of_the_paper_hold_160_000_umi_and_test_genes_seen_in_85_percent_of_them(deep):
    cells, is_goal_n, _ = deep
    counts_ng = cells.counts_ng.toarray()
    counts_ng[:, 7] = 0
    counts_ng[is_goal_n, 7] = 3000  # in goal metacells only: about half of all
    bulks = metacells_of_paper(cells_of(counts_ng), is_goal_n, seed=0)
    for goal in (False, True):
        total = counts_ng[is_goal_n == goal].sum()
        assert (bulks.is_goal_r == goal).sum() == total // 160_000
        assert bulks.counts_rg[bulks.is_goal_r == goal].sum() == total
    share_g = (bulks.counts_rg >= 10).sum(axis=0) / bulks.is_goal_r.size
    np.testing.assert_array_equal(bulks.tested_g, share_g >= 0.85)
    assert not bulks.tested_g[7]
    assert bulks.tested_g.sum() > 60


def test_the_test_of_the_paper_is_labelled_and_stands_beside_that_of_donors(deep):
    cells, is_goal_n, donor_n = deep
    table = differential(cells, is_goal_n, donor_n=donor_n, by="pershad2025")
    said = table["de_test"][0]
    assert said.startswith("pseudoreplicated, as Pershad et al. 2025: PyDESeq2 on ")
    assert "beside it PyDESeq2 on pseudobulks of 4 donors, paired" in said
    by_donors = differential(cells, is_goal_n, donor_n=donor_n, by="pseudobulk")
    np.testing.assert_allclose(table["padj"], by_donors["padj"])
    assert not np.allclose(table["z"], by_donors["z"])
    claimed, held = (int((table[name] < 0.05).sum()) for name in ("pseudoreplicated_padj", "padj"))
    assert f"{claimed} pseudoreplicated, {held} by donors" in said
    assert stats.spearmanr(table["z"], LOG2FC[:80]).statistic > 0.5


def test_without_donors_only_the_pseudoreplicated_p_values_are_told(deep):
    cells, is_goal_n, _ = deep
    table = differential(cells, is_goal_n, by="pershad2025")
    assert table["padj"].isna().all()
    assert table["pseudoreplicated_padj"].notna().any()
    assert "too few donors" in table["de_test"][0]


def test_cells_too_shallow_for_two_metacells_of_the_paper_are_refused_before_anything_is_made(simulated):
    cells, is_goal_n, donor_n = simulated
    with pytest.raises(StateError) as error:
        require_test(cells.select(np.arange(60)), is_goal_n[:60], donor_n[:60], by="pershad2025")
    said = str(error.value)
    assert "needs 320,000 UMI in each state, for 2 metacells of 160,000; there are" in said
    assert "Take `--de auto`" in said
