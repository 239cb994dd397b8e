import time

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from perturbloop.data.cells import Cells, read_cells
from perturbloop.errors import StateError
from perturbloop.evaluate import de


def cells_of(counts_ng):
    counts = sparse.csr_matrix(counts_ng.astype(np.float32))
    ids = np.array([f"ENSG{place:011}" for place in range(counts.shape[1])], dtype=object)
    obs = pd.DataFrame(index=[f"cell{place}" for place in range(counts.shape[0])])
    return Cells(counts, ids, ids.copy(), obs, "made counts", "")


@pytest.fixture
def two_states(rng):
    is_goal_n = np.arange(60) < 25
    counts = rng.poisson(1.5, size=(60, 12))
    counts[:, 0] += np.where(is_goal_n, 6, 0)
    counts[:, 1] += np.where(is_goal_n, 0, 6)
    counts[:, 2] = 0
    return cells_of(counts), is_goal_n


def test_p_is_scipys_mann_whitney_with_ties_and_z_has_its_sign(two_states):
    cells, is_goal_n = two_states
    table = de.signed_de(cells, is_goal_n)
    log_ng = cells.log_normalized().toarray()
    tested = log_ng.any(axis=0)
    goal, start = log_ng[is_goal_n][:, tested], log_ng[~is_goal_n][:, tested]
    oracle = stats.mannwhitneyu(goal, start, axis=0, method="asymptotic", use_continuity=False)
    np.testing.assert_allclose(table["pvalue"][tested], oracle.pvalue, rtol=1e-9)
    above_half = oracle.statistic - 25 * 35 / 2
    assert (np.sign(table["z"][tested]) == np.sign(above_half)).all()


def test_genes_higher_in_the_goal_are_positive_and_help_when_overexpressed(two_states):
    table = de.signed_de(*two_states)
    assert table["z"][0] > 4
    assert table["log2fc"][0] > 0
    assert table["z"][1] < -4
    np.testing.assert_array_equal(de.benefit(table, "overexpress"), -de.benefit(table, "delete"))
    assert de.benefit(table, "delete")[1] > 4


def test_a_gene_that_no_cell_expresses_says_nothing(two_states):
    row = de.signed_de(*two_states).iloc[2]
    assert (row["z"], row["log2fc"], row["pvalue"]) == (0, 0, 1)


def test_swapping_the_states_swaps_the_sign_and_cell_order_does_not_matter(two_states, rng):
    cells, is_goal_n = two_states
    table = de.signed_de(cells, is_goal_n)
    np.testing.assert_allclose(de.signed_de(cells, ~is_goal_n)["z"], -table["z"], atol=1e-9)
    mixed = rng.permutation(60)
    np.testing.assert_allclose(de.signed_de(cells.select(mixed), is_goal_n[mixed])["z"], table["z"])


def test_blocks_do_not_change_the_result(two_states, monkeypatch):
    whole = de.signed_de(*two_states)
    monkeypatch.setattr(de, "DENSE_VALUES", 150)
    pd.testing.assert_frame_equal(de.signed_de(*two_states), whole)


@pytest.mark.parametrize(("donors", "test"), [(["a", "b", "c"], "paired-t"), (None, "welch-t")])
def test_donors_are_the_replicates_of_the_test_beside_it(two_states, donors, test):
    cells, is_goal_n = two_states
    donor_n = np.array([f"{'abc'[place % 3]}" for place in range(60)], dtype=object)
    if donors is None:
        donor_n = donor_n + np.where(is_goal_n, "1", "2").astype(object)
    table = de.signed_de(cells, is_goal_n, donor_n=donor_n)
    assert set(table["donor_test"]) == {test}
    bulk = {}
    for donor, goal in sorted({*zip(donor_n, is_goal_n, strict=True)}):
        summed = cells.counts_ng[(donor_n == donor) & (is_goal_n == goal)].toarray().sum(axis=0)
        bulk[donor[0], bool(goal)] = np.log2(summed / summed.sum() * 1e6 + 1)
    goal, start = (np.array([bulk[donor, side] for donor in "abc"]) for side in (True, False))
    with np.errstate(invalid="ignore"):
        oracle = (
            stats.ttest_1samp((goal - start)[:, 0], 0)
            if donors
            else stats.ttest_ind(goal[:, 0], start[:, 0], equal_var=False)
        )
    assert table["donor_pvalue"][0] == pytest.approx(oracle.pvalue, rel=1e-4)
    assert table["donor_log2fc"][0] == pytest.approx((goal - start)[:, 0].mean(), rel=1e-4)
    assert table["donor_pvalue"][2] == 1


def test_one_donor_per_state_gives_no_donor_test(two_states):
    cells, is_goal_n = two_states
    donor_n = np.where(is_goal_n, "a", "b").astype(object)
    assert "donor_t" not in de.signed_de(cells, is_goal_n, donor_n=donor_n)
    with pytest.raises(StateError, match="at least 2 donors in each state; one state has 1"):
        de.donor_de(cells, is_goal_n, donor_n)


def test_what_cannot_be_compared_is_refused(two_states):
    cells, _ = two_states
    with pytest.raises(StateError, match="0 goal and 60 start cells"):
        de.signed_de(cells, np.zeros(60, dtype=bool))


@pytest.mark.shared_data
def test_interferon_genes_are_the_strongest_of_the_interferon_cells(shared):
    cells, _ = read_cells(shared / "states" / "kang2018_ifnb_harmony.h5ad")
    is_control_n = cells.obs["condition"].eq("control").to_numpy()
    began = time.process_time()
    table = de.signed_de(cells, is_control_n)
    assert time.process_time() - began < 20
    lowest = set(cells.gene_names[table["z"].nsmallest(15).index])
    assert {"ISG15", "IFI6", "ISG20"} <= lowest


def test_the_quick_look_is_welchs_t_of_log_normalized_counts(two_states):
    cells, is_goal_n = two_states
    z_g = de.mean_z(cells, is_goal_n)
    log_ng = cells.log_normalized().toarray().astype(float)
    goal, start = log_ng[is_goal_n], log_ng[~is_goal_n]
    se = np.sqrt(goal.var(axis=0) / len(goal) + start.var(axis=0) / len(start))
    seen = se > 0
    np.testing.assert_allclose(
        z_g[seen], ((goal.mean(axis=0) - start.mean(axis=0)) / np.where(seen, se, 1))[seen], rtol=1e-4
    )
    assert (z_g[~seen] == 0).all()
    assert (~seen).sum() == 1
    assert z_g[0] > 5
    assert z_g[1] < -5
