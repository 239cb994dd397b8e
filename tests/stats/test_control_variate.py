"""The control variate against plain means, and the coverage of its intervals by simulation."""

import numpy as np
import pytest
from scipy import special

from perturbloop.stats.control_variate import _prior_df, corrected_means


def simulated(rng, *, n_genes=300, n_cells=12, n_exact=4, residual=0.3):
    gene_e = np.repeat(np.arange(n_genes), n_cells)
    truth_g = rng.normal(size=n_genes)
    exact_e = truth_g[gene_e] + rng.normal(size=gene_e.size)
    bias_g = rng.normal(scale=residual, size=n_genes)
    screen_e = exact_e + bias_g[gene_e] + rng.normal(scale=residual, size=gene_e.size)
    turn_e = np.concatenate([rng.permutation(n_cells) for _ in range(n_genes)])
    return screen_e, exact_e, np.where(turn_e < n_exact, exact_e, np.nan), gene_e


def test_the_mean_is_the_screens_plus_the_mean_residual_of_verified_cells(rng):
    screen_e, _, known_e, gene_e = simulated(rng)
    found = corrected_means(screen_e, known_e, gene_e)
    for gene in (0, 17, 299):
        here = gene_e == gene
        residual = np.nanmean(known_e[here] - screen_e[here])
        assert found["mean"][gene] == pytest.approx(screen_e[here].mean() + residual)


def test_intervals_cover_the_exact_mean_and_the_screen_narrows_them(rng):
    inside, ratio = [], []
    for _ in range(10):
        screen_e, exact_e, known_e, gene_e = simulated(rng)
        found = corrected_means(screen_e, known_e, gene_e)
        truth = np.bincount(gene_e, exact_e) / np.bincount(gene_e)
        inside.append(((found["ci_low"] <= truth) & (truth <= found["ci_high"])).mean())
        bare = corrected_means(np.zeros_like(screen_e), known_e, gene_e)
        ratio.append(((bare["ci_high"] - bare["ci_low"]) / (found["ci_high"] - found["ci_low"])).median())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
    assert np.mean(ratio) == pytest.approx(1 / 0.3, rel=0.2)


def test_genes_verified_everywhere_are_exact_and_have_no_error(rng):
    screen_e, exact_e, _, gene_e = simulated(rng, n_genes=5)
    found = corrected_means(screen_e, exact_e, gene_e)
    np.testing.assert_allclose(found["mean"], np.bincount(gene_e, exact_e) / 12)
    assert (found["se"] == 0).all()
    assert (found["basis"] == "exact").all()


def test_genes_without_exact_cells_borrow_from_genes_of_like_rank_and_are_covered(rng):
    screen_e, exact_e, known_e, gene_e = simulated(rng, n_genes=500)
    hidden_g = np.arange(500) % 3 > 0
    known_e = np.where(hidden_g[gene_e], np.nan, known_e)
    found = corrected_means(screen_e, known_e, gene_e)[hidden_g]
    truth = (np.bincount(gene_e, exact_e) / 12)[hidden_g]
    assert (found["basis"] == "screen+pooled").all()
    assert ((found["ci_low"] <= truth) & (truth <= found["ci_high"])).mean() == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize(("n_known", "expected"), [(4, 2 * 4 / 24), (5, 2.0)])
def test_fewer_than_five_genes_of_like_rank_borrow_from_those_of_all_ranks(n_known, expected):
    """Five strata of ten genes; in the highest the residual is 2, elsewhere 0, where five genes each are verified."""
    gene_e = np.repeat(np.arange(50), 3)
    screen_e = np.repeat(np.arange(1.0, 51.0), 3)
    verified_g = (np.arange(50) % 10) < np.where(np.arange(50) < 40, 5, n_known)
    first_two_e = np.tile([True, True, False], 50)
    exact_e = screen_e + np.where(gene_e >= 40, 2.0, 0.0)
    found = corrected_means(screen_e, np.where(verified_g[gene_e] & first_two_e, exact_e, np.nan), gene_e)
    assert found["basis"].iloc[49] == "screen+pooled"
    assert found["correction"].iloc[49] == pytest.approx(expected)
    assert found["correction"].iloc[39] == pytest.approx(0.0)


def test_a_worthless_screen_leaves_the_mean_unbiased(rng):
    _, exact_e, known_e, gene_e = simulated(rng, n_genes=2000)
    found = corrected_means(rng.normal(size=gene_e.size), known_e, gene_e)
    error = found["mean"] - np.bincount(gene_e, exact_e) / 12
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(2000)


@pytest.mark.parametrize(
    ("excess", "df"), [(1e-9, 50.0), (1e-7, 50.0), (-1.0, 50.0), (np.nan, 50.0), (1e9, 1.0)]
)
def test_an_excess_beyond_what_a_prior_can_explain_takes_the_nearest_degrees_of_freedom(excess, df):
    assert _prior_df(excess) == df


def test_degrees_of_freedom_solve_the_trigamma_equation():
    found = _prior_df(0.2)
    assert special.polygamma(1, found / 2) == pytest.approx(0.2)
