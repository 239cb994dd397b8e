"""What every policy for choosing experiments must satisfy."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.design import ACQUISITIONS
from perturbloop.errors import DesignError
from perturbloop.schema import PROPOSALS


@pytest.fixture(params=ACQUISITIONS, ids=[policy.name for policy in ACQUISITIONS])
def policy(request):
    return request.param


@pytest.fixture
def ranking():
    genes = [f"ENSG{place:02}" for place in range(10)]
    status = ["spent", "not_scored", "excluded"] + ["scored"] * 7
    one_kind = pd.DataFrame(
        {"gene_id": genes, "gene_name": [gene.lower() for gene in genes], "status": status}
    )
    deleted = one_kind.assign(kind="delete", action="inhibit", benefit=np.linspace(5, 1, 10))
    raised = one_kind.assign(kind="overexpress", action="activate", benefit=np.linspace(0, 3, 10))
    both = pd.concat([deleted, raised], ignore_index=True)
    known = {"effect": 0.1, "ci_low": 0.0, "ci_high": 0.2, "log2fc": 1.0, "de_padj": 0.1}
    return both.assign(ranked_by="logit_shift", flags="", **known)


def test_a_batch_holds_free_genes_once_each(policy, ranking, rng):
    batch = policy.choose(ranking, pending={"ENSG03"}, budget=6, rng=rng)
    assert list(batch.columns) == PROPOSALS.names
    assert batch["place"].tolist() == [1, 2, 3, 4, 5, 6]
    assert set(batch["gene_id"]) == {f"ENSG{place:02}" for place in range(4, 10)}
    assert (batch["policy"] == policy.name).all()
    assert (batch["reason"].str.len() > 10).all()


def test_the_same_seed_gives_the_same_batch_whatever_the_order_of_rows(policy, ranking):
    batches = [
        policy.choose(table, pending=(), budget=3, rng=np.random.default_rng(1))
        for table in (ranking, ranking.sample(frac=1, random_state=2))
    ]
    pd.testing.assert_frame_equal(*batches)


def test_the_ranking_is_not_changed(policy, ranking, rng):
    before = ranking.copy()
    policy.choose(ranking, pending=(), budget=3, rng=rng)
    pd.testing.assert_frame_equal(ranking, before)


def test_a_budget_beyond_what_is_left_is_refused(policy, ranking, rng):
    with pytest.raises(DesignError, match=r"7 are left .*'ensg00'.*Lower the budget to at most 7"):
        policy.choose(ranking, pending=(), budget=8, rng=rng)
    with pytest.raises(DesignError, match="the budget is 0"):
        policy.choose(ranking, pending=(), budget=0, rng=rng)
