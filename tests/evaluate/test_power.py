import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from perturbloop.evaluate.power import power


@pytest.mark.parametrize(("n_hits", "n_other"), [(40, 160), (240, 4000)])
def test_the_half_width_follows_the_exact_binormal_variance_where_there_are_many_genes(rng, n_hits, n_other):
    a = 0.85
    z = norm.ppf(a)
    shared = multivariate_normal(cov=[[1, 0.5], [0.5, 1]]).cdf(
        [z, z]
    )  # two pairs that share a hit, or another gene
    excess = (n_hits + n_other - 2) * (shared - a * a)
    variance = (a * (1 - a) + excess) / (n_hits * n_other)
    found = power(n_hits, n_hits + n_other, rng=rng, simulations=50)
    assert (found.n_hits, found.n_genes) == (n_hits, n_hits + n_other)
    assert found.half_width == pytest.approx(1.96 * np.sqrt(variance), rel=0.12)


def test_without_a_gain_next_to_nothing_is_detected(rng):
    assert power(20, 100, rng=rng, low=0.7, high=0.7, simulations=60).detection < 0.1


def test_few_hits_show_little_and_the_sentence_says_so(rng):
    few = power(4, 25, rng=rng, simulations=100)
    assert 0.05 < few.detection < 0.3
    assert few.sentence.startswith("With 4 hits among 25 genes an AUROC of 0.85")
    assert power(0, 25, rng=rng).sentence == "With 0 hits among 25 genes nothing can be told apart."


def test_one_hit_has_a_width_and_no_comparison(rng):
    one = power(1, 25, rng=rng, simulations=20)
    assert one.detection == 0
    assert one.half_width > 0.2
