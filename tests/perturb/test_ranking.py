"""From shifts to a ranking, on shifts whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.perturb.ranking import rank, with_score

GENES = np.array([f"ENSG{number:011d}" for number in range(60)], dtype=object)


@pytest.fixture
def start(rng):
    counts = sparse.csr_matrix((rng.random((30, 60)) < 0.5).astype(np.float32))
    return Cells(counts, GENES, GENES, pd.DataFrame(index=[f"c{n}" for n in range(30)]), "cells", "")


@pytest.fixture
def shifts(rng):
    """Genes 0 to 57, five cells each; all shift up by 1, gene 7 by 4 and gene 9 by 0.2 only."""
    mean = np.ones(58)
    mean[[7, 9]] = 4.0, 0.2
    gene = np.repeat(np.arange(58), 5)
    values = mean[gene] + rng.normal(scale=0.1, size=gene.size)
    return pd.DataFrame(
        {
            "cell": np.tile(np.arange(5), 58),
            "gene_id": GENES[gene],
            "kind": "delete",
            "position": rng.integers(0, 40, gene.size),
            "shift_to_goal": values / 100,
            "logit_shift": values,
        }
    )


def ranked(shifts, start, n_words=59):
    words = Vocabulary.of_genes(GENES[:n_words], GENES[:n_words], np.ones(n_words), max_length=64)
    return rank(shifts, start, words, kind="delete", donor_n=None, null_genes=50).set_index("gene_id")


def test_benefit_is_the_mean_shift_and_the_call_asks_for_null_and_sign(shifts, start):
    table = ranked(shifts, start)
    means = shifts.groupby("gene_id")["logit_shift"].mean()
    np.testing.assert_allclose(table.loc[means.index, "benefit"], means)
    assert table.index[0] == GENES[7]
    assert table.loc[GENES[7], "call"] == "toward"
    assert table.loc[GENES[9], "null_z"] < -3
    assert table.loc[GENES[9], "call"] == "none"  # far below its like, but it still moves toward the goal


def test_every_gene_of_the_cells_is_listed_and_those_not_edited_come_last(shifts, start):
    table = ranked(shifts, start)
    assert len(table) == 60
    assert set(table.index[-2:]) == set(GENES[58:])
    assert (table["status"] == "not_scored").sum() == 2


def test_spent_genes_have_no_place_among_the_scored(shifts, start):
    table = ranked(shifts, start).reset_index()
    again = with_score(table, dict.fromkeys(GENES, 1.0), spent=frozenset({GENES[7]})).set_index("gene_id")
    assert again.loc[GENES[7], "status"] == "spent"
    assert again.index.get_loc(GENES[7]) >= 57


def test_genes_that_were_only_put_in_are_ranked_as_the_deepest(shifts, start):
    """An inserted gene has no rank of its own (position -1); its null is that of genes seen last."""
    put_in = shifts["gene_id"].isin(GENES[:3])
    table = ranked(shifts.assign(position=shifts["position"].where(~put_in, -1)), start)
    assert table.loc[GENES[:3], "null_z"].notna().all()
    assert table.loc[GENES[7], "call"] == "toward"
