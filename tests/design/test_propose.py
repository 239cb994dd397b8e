import numpy as np
import pandas as pd
import pytest

from perturbloop.design import propose


@pytest.fixture
def ranking():
    genes = [f"ENSG{place:02}" for place in range(20)]
    return pd.DataFrame(
        {
            "gene_id": genes,
            "gene_name": genes,
            "kind": "delete",
            "action": "inhibit",
            "benefit": np.linspace(1, -1, 20),
            "status": "scored",
            "ranked_by": "posterior",
            "effect": np.linspace(0.5, -0.5, 20),
            "ci_low": -1.0,
            "ci_high": [1.0] * 19 + [np.nan],
            "log2fc": [-1.2] * 19 + [np.nan],
            "de_padj": 0.003,
            "flags": ["either-way,ambient", *[""] * 19],
            "neighbors": ["+0.21 by JAK2", *[np.nan] * 19],
        }
    )


def test_greedy_takes_the_highest_benefit_in_the_better_kind(ranking, rng):
    better = ranking[ranking["gene_id"] == "ENSG05"].assign(kind="overexpress", benefit=9.0)
    batch = propose(pd.concat([ranking, better]), budget=3, rng=rng).head(3)
    assert batch["gene_id"].tolist() == ["ENSG05", "ENSG00", "ENSG01"]
    assert batch["kind"].tolist() == ["overexpress", "delete", "delete"]


def test_chance_draws_every_gene_equally_often(ranking, rng):
    drawn = pd.concat(propose(ranking, budget=5, rng=rng).tail(5) for _ in range(400))
    assert drawn["gene_id"].value_counts().between(85, 185).all()
    assert drawn["gene_id"].nunique() == 15  # those of the greedy batch are in no other


def test_every_policy_stands_beside_chance(ranking, rng):
    proposals = propose(ranking, budget=4, rng=rng)
    assert proposals.groupby("policy").size().to_dict() == {"chance": 4, "greedy": 4}


def test_no_gene_is_in_two_batches_and_few_genes_are_shared_out(ranking, rng):
    for budget, sizes in ((20, {"greedy": 10, "chance": 10}), (7, {"greedy": 7, "chance": 7})):
        proposals = propose(ranking, budget=budget, rng=rng)
        assert proposals["gene_id"].is_unique
        assert proposals.groupby("policy").size().to_dict() == sizes
        assert proposals["gene_id"].head(7).tolist() == [f"ENSG{place:02}" for place in range(7)]
    assert propose(ranking.head(1), budget=3, rng=rng)["policy"].tolist() == ["greedy"]
    assert propose(ranking.head(0), budget=3, rng=rng).empty


def test_genes_that_no_guide_edits_are_in_no_batch(ranking, rng):
    ranking.loc[0, "gene_name"] = "MT-ND4"
    ranking.loc[1, "gene_name"] = "MTOR"
    proposals = propose(ranking, budget=20, rng=rng)
    assert len(proposals) == 19
    assert "MTOR" in set(proposals["gene_name"])
    assert "MT-ND4" not in set(proposals["gene_name"])


def test_a_reason_says_what_the_place_rests_on(ranking, rng):
    batch = propose(ranking, budget=10, rng=rng)
    assert batch["reason"].iloc[0] == (
        "expected effect +0.50 [-1.00, +1.00]; by measured genes: +0.21 by JAK2; log2FC -1.20 (padj 0.003): higher in the start; "
        "the opposite action scores as high"
    )
    assert batch["reason"].iloc[19] == (
        "drawn at random among 10 genes that are neither measured nor in another batch"
    )
    few = propose(ranking.tail(1), budget=1, rng=rng)
    assert few["reason"].tolist() == ["expected effect -0.50 (too few cells for an interval)"]
    assert batch["flags"].tolist()[:2] == ["either-way,ambient", ""]
    older = propose(ranking.assign(ranked_by=np.nan, effect=np.nan, log2fc=np.nan), budget=2, rng=rng)
    assert older["reason"].iloc[1] == "highest benefit among genes that were not measured"
