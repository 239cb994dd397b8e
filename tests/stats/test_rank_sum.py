"""Rank-sum tests against SciPy, and one pool for the rule of a call and for the published table."""

import random

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from perturbloop.compat.goal_state import goal_state_stats
from perturbloop.evaluate.calls import with_pool_padj
from perturbloop.stats import rank_sum
from perturbloop.stats.rank_sum import against_pool, rank_sum_pvalues


@pytest.mark.parametrize("round_to", [0, 1, 9])
def test_p_is_scipys_with_many_few_and_no_ties(rng, round_to):
    background = rng.normal(size=500).round(round_to)
    values = rng.normal(0.3, 1, size=70).round(round_to)
    starts = np.array([0, 1, 4, 30])
    slow = [stats.ranksums(background, group).pvalue for group in np.split(values, starts[1:])]
    np.testing.assert_allclose(rank_sum_pvalues(np.sort(background), values, starts), slow, rtol=1e-12)


@pytest.mark.parametrize("limit", [100_000, 60])
def test_groups_are_compared_with_a_pool_drawn_in_the_order_of_the_groups(rng, limit, monkeypatch):
    monkeypatch.setattr(rank_sum, "POOL_LIMIT", limit)
    group = rng.integers(3, 9, size=90)
    value = rng.normal(size=90).round(1) + (group == 4)
    pool = [one for token in range(3, 9) for one in value[group == token].tolist()]
    random.seed(42)
    pool = random.sample(pool, k=limit) if len(pool) > limit else pool
    found = against_pool(value, group)
    assert found.index.tolist() == list(range(3, 9))
    slow = [stats.ranksums(pool, value[group == token]).pvalue for token in range(3, 9)]
    np.testing.assert_allclose(found["pvalue"], slow, rtol=1e-12)
    np.testing.assert_allclose(found["padj"], multipletests(slow, method="fdr_bh")[1], rtol=1e-12)
    np.testing.assert_allclose(found["mean"], [value[group == token].mean() for token in range(3, 9)])
    assert found["n"].tolist() == [(group == token).sum() for token in range(3, 9)]


@pytest.mark.parametrize("limit", [100_000, 60])
def test_the_rule_of_a_call_and_the_published_table_have_one_fdr(rng, limit, monkeypatch):
    """Tokens run against the order of the ids, so that a pool drawn by id would differ above the limit."""
    monkeypatch.setattr(rank_sum, "POOL_LIMIT", limit)
    token_of = {f"ENSG{20 - token:011d}": token for token in range(2, 14)}
    gene_ids = rng.choice(list(token_of), size=300)
    shifts = pd.DataFrame({"gene_id": gene_ids, "kind": "delete", "shift_to_goal": rng.normal(size=300)})
    ranking = pd.DataFrame({"gene_id": list(token_of), "kind": "delete"})
    called = with_pool_padj(ranking, shifts, token_of=token_of).set_index("gene_id")["pool_padj"]
    theirs = pd.DataFrame(
        {"state": "goal", "token": shifts["gene_id"].map(token_of), "shift": shifts["shift_to_goal"]}
    )
    ids = {token: gene for gene, token in token_of.items()}
    table = goal_state_stats(theirs, goal_state="goal", gene_ids=ids, gene_names={})
    table = table.set_index("Ensembl_ID")["Goal_end_FDR"]
    assert called.to_dict() == table.to_dict()
