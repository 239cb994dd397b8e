import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.metrics import roc_auc_score

from perturbloop.evaluate.power import _auroc_of_copies, power


def test_the_auroc_of_copied_genes_is_that_of_the_resampled_genes(rng):
    score_n, hit_n = rng.normal(size=30), np.arange(30) < 6
    drawn = rng.integers(30, size=30)
    copies = np.bincount(drawn, minlength=30)
    found = _auroc_of_copies(score_n, hit_n, np.vstack([copies, np.where(hit_n, 0, 1)]))
    assert found[0] == pytest.approx(roc_auc_score(hit_n[drawn], score_n[drawn]))
    assert np.isnan(found[1])


@pytest.mark.parametrize(("n_hits", "n_other"), [(40, 160), (240, 4000)])
def test_the_half_width_follows_the_exact_binormal_variance_where_there_are_many_genes(rng, n_hits, n_other):
    a = 0.85
    z = norm.ppf(a)
    shared = multivariate_normal(cov=[[1, 0.5], [0.5, 1]]).cdf(
        [z, z]
    )  # two pairs that share a hit, or another gene
    excess = (n_hits + n_other - 2) * (shared - a * a)
    variance = (a * (1 - a) + excess) / (n_hits * n_other)
    found = power(n_hits, n_hits + n_other, rng=rng, simulations=50, samples=200)
    assert (found.n_hits, found.n_genes) == (n_hits, n_hits + n_other)
    assert found.half_width == pytest.approx(1.96 * np.sqrt(variance), rel=0.12)


def test_without_a_gain_next_to_nothing_is_detected(rng):
    assert power(20, 100, rng=rng, low=0.7, high=0.7, simulations=60, samples=150).detection < 0.1


def test_few_hits_show_little_and_the_sentence_says_so(rng):
    few = power(4, 25, rng=rng, simulations=100)
    assert 0.2 < few.detection < 0.8
    assert few.sentence.startswith("With 4 hits among 25 genes an AUROC of 0.85")
    assert power(0, 25, rng=rng).sentence == "With 0 hits among 25 genes nothing can be told apart."
