import numpy as np
import pandas as pd
import pytest

from perturbloop.design import propose
from perturbloop.design.chance import Chance
from perturbloop.design.greedy import Greedy


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
        }
    )


def test_greedy_takes_the_highest_benefit_in_the_better_kind(ranking, rng):
    better = ranking[ranking["gene_id"] == "ENSG05"].assign(kind="overexpress", benefit=9.0)
    batch = Greedy().choose(pd.concat([ranking, better]), pending=(), budget=3, rng=rng)
    assert batch["gene_id"].tolist() == ["ENSG05", "ENSG00", "ENSG01"]
    assert batch["kind"].tolist() == ["overexpress", "delete", "delete"]


def test_chance_draws_every_gene_equally_often(ranking, rng):
    drawn = pd.concat(Chance().choose(ranking, pending=(), budget=5, rng=rng) for _ in range(400))
    assert drawn["gene_id"].value_counts().between(60, 145).all()


def test_every_policy_stands_beside_chance(ranking, rng):
    proposals = propose(ranking, budget=4, rng=rng)
    assert proposals.groupby("policy").size().to_dict() == {"chance": 4, "greedy": 4}
