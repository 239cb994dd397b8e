"""The published tool's table, against a plain loop over SciPy's rank-sum test."""

import random

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from perturbloop.compat.goal_state import goal_state_stats
from perturbloop.errors import InputError, StateError
from perturbloop.stats import rank_sum

IDS = {token: f"ENSG{token:011d}" for token in range(2, 60)}
NAMES = {gene: f"G{token}" for token, gene in IDS.items() if token % 5}


@pytest.fixture
def shifts(rng):
    """Uneven detections, a few strong genes, ties, tokens in no order."""
    token = rng.permutation(np.repeat(np.arange(2, 60), rng.integers(1, 60, size=58)))
    frames = []
    for state in ("control", "goal", "other"):
        shift = rng.normal(size=len(token)) + 2.0 * (token < 6) - 2.0 * (token > 57)
        frames.append(pd.DataFrame({"state": state, "token": token, "shift": shift.round(1)}))
    return pd.concat(frames, ignore_index=True)


def table(shifts, **options):
    return goal_state_stats(shifts, goal_state="goal", gene_ids=IDS, gene_names=NAMES, **options)


def slow_pvalues(shifts, state, limit):
    """Gene by gene, each beside a list of all shifts in the order of tokens."""
    genes = {token: own["shift"].tolist() for token, own in shifts.query("state == @state").groupby("token")}
    pool = [shift for token in sorted(genes) for shift in genes[token]]
    if len(pool) > limit:
        random.seed(42)
        pool = random.sample(pool, k=limit)
    return {token: stats.ranksums(pool, own).pvalue for token, own in genes.items()}


@pytest.mark.parametrize("limit", [100_000, 300])
def test_the_table_equals_the_plain_loop(shifts, limit, monkeypatch):
    monkeypatch.setattr(rank_sum, "POOL_LIMIT", limit)
    found = table(shifts, alt_states=["other"]).set_index("Gene")
    for state, end, suffix in (("goal", "Goal_end", ""), ("other", "Alt_end", "_other")):
        slow = pd.Series(slow_pvalues(shifts, state, limit)).reindex(found.index)
        assert len(slow) == 58
        np.testing.assert_allclose(found[f"{end}_vs_random_pval{suffix}"], slow, rtol=1e-12)
        np.testing.assert_allclose(
            found[f"{end}_FDR{suffix}"], multipletests(slow, method="fdr_bh")[1], rtol=1e-12
        )
        mean = shifts.query("state == @state").groupby("token")["shift"].mean().reindex(found.index)
        np.testing.assert_allclose(found[f"Shift_to_{end.lower()}{suffix}"], mean, rtol=1e-12, atol=1e-15)
    assert (
        found["N_Detections"].to_dict() == shifts.query("state == 'goal'")["token"].value_counts().to_dict()
    )


def test_columns_order_and_index_are_the_published_ones(shifts):
    found = table(shifts, alt_states=["other"])
    assert found.columns.tolist() == [
        *("Gene", "Gene_name", "Ensembl_ID", "Shift_to_goal_end", "Shift_to_alt_end_other"),
        *("Goal_end_vs_random_pval", "Alt_end_vs_random_pval_other", "Goal_end_FDR", "Alt_end_FDR_other"),
        *("N_Detections", "Sig"),
    ]
    assert (np.diff(found["Sig"]) <= 0).all()
    assert (np.diff(found.query("Sig == 1")["Shift_to_goal_end"]) <= 0).all()
    assert (np.diff(found.query("Sig == 0")["Shift_to_goal_end"]) <= 0).all()
    assert found.index.tolist() == (found["Gene"] - 2).tolist()
    assert found.query("Sig == 1")["Shift_to_goal_end"].min() < 0  # away from the goal counts as well
    assert set(found["Gene"][found["Gene_name"].isna()]) == {token for token in IDS if token % 5 == 0}
    assert [column for column in table(shifts) if "alt" in column.lower()] == []


def test_genes_without_an_id_have_neither_id_nor_name(shifts):
    found = goal_state_stats(shifts, goal_state="goal", gene_ids={}, gene_names=NAMES)
    assert found[["Gene_name", "Ensembl_ID"]].isna().all(axis=None)


def test_the_table_leaves_its_input_alone_and_pythons_random_numbers_leave_the_table(shifts, monkeypatch):
    monkeypatch.setattr(rank_sum, "POOL_LIMIT", 100)
    before, first = shifts.copy(), table(shifts)
    random.seed(7)
    pd.testing.assert_frame_equal(table(shifts), first)
    pd.testing.assert_frame_equal(shifts, before)


def test_a_set_of_shifts_in_another_order_of_genes_gives_the_same_table(shifts, monkeypatch):
    """The sample of the pool depends on the order of cells within a gene, not on the order of genes."""
    monkeypatch.setattr(rank_sum, "POOL_LIMIT", 100)
    by_gene = shifts.sort_values("token", ascending=False, kind="stable")
    pd.testing.assert_frame_equal(table(by_gene), table(shifts))


def test_what_cannot_be_compared_is_refused(shifts):
    with pytest.raises(InputError, match=r"missing: 'token'. Read them with"):
        table(shifts.drop(columns="token"))
    with pytest.raises(StateError, match=r"none toward 'othr'. Did you mean 'other'"):
        table(shifts, alt_states=["othr"])
    with pytest.raises(InputError, match="these shifts are of sets of genes"):
        table(shifts.assign(token=-1))
    with pytest.raises(InputError, match=r"1 of .* are missing. Drop those rows"):
        table(shifts.assign(shift=shifts["shift"].where(shifts.index > 0)))
    with pytest.raises(StateError, match=r"'other' lacks the tokens '7'. Read all files"):
        table(shifts.query("not (state == 'other' and token == 7)"), alt_states=["other"])
