"""From shifts to a ranking, on shifts whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.perturb.ranking import EITHER_WAY, by_posterior, completed, rank

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


def ranked(shifts, start, n_words=59, **options):
    words = Vocabulary.of_genes(GENES[:n_words], GENES[:n_words], np.ones(n_words), max_length=64)
    table = rank(shifts, start, words, kind="delete", donor_n=None, null_genes=50, **options)
    return table.set_index("gene_id")


def test_benefit_is_the_mean_shift_and_the_call_asks_for_null_and_sign(shifts, start):
    table = ranked(shifts, start)
    means = shifts.groupby("gene_id")["logit_shift"].mean()
    np.testing.assert_allclose(table.loc[means.index, "benefit"], means)
    assert table.index[0] == GENES[7]
    assert table.loc[GENES[7], "call"] == "toward"
    assert table.loc[GENES[9], "null_z"] < -3
    assert table.loc[GENES[9], "call"] == "none"  # far below its like, but it still moves toward the goal


def test_the_interval_of_a_screened_gene_holds_the_error_of_the_screen_beside_that_of_the_cells(
    shifts, start
):
    """Gene 1 has an estimate with an error of 3, gene 2 was computed exactly in all of its cells."""
    estimates = pd.DataFrame(
        {
            "gene_id": GENES[[1, 2]],
            "kind": "delete",
            "ci_low": [-3.0, 1.0],
            "ci_high": [3.0, 1.0],
            "n_exact": [2, 5],
            "basis": ["screen+own", "exact"],
        }
    )
    exact, screened = ranked(shifts, start), ranked(shifts, start, estimates=estimates)
    half = (exact["ci_high"] - exact["ci_low"]) / 2
    for gene, error in ((GENES[1], 3.0), (GENES[2], 0.0)):
        row = screened.loc[gene]
        wide = np.sqrt(half[gene] ** 2 + error**2)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(
            (row["benefit"] - wide, row["benefit"] + wide)
        )
    assert screened.loc[GENES[[1, 2]], "basis"].tolist() == ["screen+own", "exact"]
    assert screened.loc[GENES[[1, 2]], "n_exact"].tolist() == [2, 5]


def test_every_gene_of_the_cells_is_listed_and_those_not_edited_come_last(shifts, start):
    table = ranked(shifts, start)
    assert len(table) == 60
    assert set(table.index[-2:]) == set(GENES[58:])
    assert (table["status"] == "not_scored").sum() == 2


def posterior_of(mean, sd=0.1):
    return pd.DataFrame({"gene_id": GENES[:58], "mean": mean, "sd": sd})


def test_spent_genes_have_no_place_among_the_scored(shifts, start):
    table = ranked(shifts, start).reset_index()
    learnt = posterior_of(np.ones(58))
    again = by_posterior(
        table, dict.fromkeys(GENES, 1.0), learnt, spent=frozenset({GENES[7]}), with_model=True
    ).set_index("gene_id")
    assert again.loc[GENES[7], "status"] == "spent"
    assert again.index.get_loc(GENES[7]) >= 57


@pytest.mark.parametrize("with_model", [True, False])
def test_once_the_posterior_ranks_every_number_of_a_row_is_of_it(shifts, start, with_model):
    table = ranked(shifts, start).reset_index()
    mean = np.linspace(-1, 1, 58)
    score_of = dict(zip(GENES[:58], mean, strict=True))
    again = by_posterior(table, score_of, posterior_of(mean), spent=frozenset(), with_model=with_model)
    scored = again[again["status"] == "scored"]
    assert scored["benefit"].is_monotonic_decreasing
    np.testing.assert_allclose(scored["ci_high"] - scored["ci_low"], 2 * 1.96 * 0.1)
    np.testing.assert_allclose(scored["effect"], scored["benefit"])
    assert set(scored.loc[scored["call"] == "toward", "ci_low"] > 0) == {True}
    assert set(scored.loc[scored["call"] == "none", "effect"].abs() < 0.196) == {True}
    assert scored[["null_z", "pvalue", "padj", "cell_pvalue"]].isna().all(axis=None)
    assert scored["logit_shift"].notna().all() == with_model
    assert set(again["ranked_by"]) == {"posterior" if with_model else "posterior-alone"}


def test_fewer_than_five_cells_give_no_interval_no_p_and_no_call(shifts, start):
    few = shifts[(shifts["gene_id"] != GENES[7]) | (shifts["cell"] < 4)]
    table = ranked(few, start)
    own = table.loc[GENES[7]]
    assert own["n_cells"] == 4
    assert own[["ci_low", "ci_high", "pvalue", "padj", "cell_pvalue"]].isna().all()
    assert own["call"] == "none"
    assert table.drop(GENES[7])[["ci_low", "padj"]].dropna().shape == (57, 2)


def test_a_call_needs_an_interval_that_excludes_zero(shifts, start):
    wild = shifts.copy()
    own = wild["gene_id"] == GENES[7]
    wild.loc[own, "logit_shift"] = np.array([20.0, -14.0, 18.0, -12.0, 13.0])
    table = ranked(wild, start)
    assert table.loc[GENES[7], "padj"] < 0.05
    assert table.loc[GENES[7], "ci_low"] < 0
    assert table.loc[GENES[7], "call"] == "none"


def test_genes_that_are_best_both_ways_are_flagged_and_differential_expression_stands_beside(shifts, start):
    lowered = ranked(shifts, start).reset_index()
    raised = lowered.assign(kind="overexpress", action="activate")
    other = raised["gene_id"].map(dict(zip(GENES, range(60), strict=True)))
    raised["benefit"] = np.where(raised["gene_id"] == GENES[7], 99.0, other)
    de = pd.DataFrame({"gene_id": GENES[:50], "log2fc": 2.0, "padj": 0.01})
    both = completed(pd.concat([lowered, raised], ignore_index=True), de, share=0.02)
    paper = completed(lowered, de.assign(pseudoreplicated_padj=1e-9))
    assert paper["de_padj_pseudoreplicated"].eq(1e-9).sum() == 50
    assert both["de_padj_pseudoreplicated"].isna().all()
    flagged = both["flags"].str.split(",").map(lambda flags: EITHER_WAY in flags)
    assert set(both.loc[flagged, "gene_id"]) == {GENES[7]}
    assert flagged.sum() == 2
    assert both.set_index("gene_id")["log2fc"].loc[GENES[:50]].eq(2).all()
    assert both.set_index("gene_id")["de_padj"].loc[GENES[50:]].isna().all()


def test_genes_that_were_only_put_in_are_ranked_as_the_deepest(shifts, start):
    """An inserted gene has no rank of its own (position -1); its null is that of genes seen last."""
    put_in = shifts["gene_id"].isin(GENES[:3])
    table = ranked(shifts.assign(position=shifts["position"].where(~put_in, -1)), start)
    assert table.loc[GENES[:3], "null_z"].notna().all()
    assert table.loc[GENES[7], "call"] == "toward"
