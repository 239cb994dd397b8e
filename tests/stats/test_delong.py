"""DeLong's intervals against slow loops, against the bootstrap, and against what they promise: coverage."""

import numpy as np
import pytest
from scipy.stats import brunnermunzel, norm, t, ttest_ind
from sklearn.metrics import roc_auc_score

from perturbloop.stats.delong import (
    auroc_difference,
    auroc_interval,
    components,
    stratified_auroc,
)


def wins(first, second):
    return 1.0 if first > second else 0.5 if first == second else 0.0


def slow_components(hit_n, score_n):
    """Every pair of a hit and another gene, one by one."""
    hits, others = score_n[hit_n], score_n[~hit_n]
    at_hit = [sum(wins(hit, other) for other in others) / len(others) for hit in hits]
    at_other = [sum(wins(hit, other) for hit in hits) / len(hits) for other in others]
    return at_hit, at_other


def degrees(at_hit, at_other):
    """Satterthwaite's, as SciPy's Welch test reports them."""
    return ttest_ind(at_hit, at_other, equal_var=False).df


def slow_covariance(hit_n, score_rn):
    """Covariance of each pair of rankings by its definition."""
    parts = [slow_components(hit_n, score_n) for score_n in score_rn]
    out = np.zeros((len(parts), len(parts)))
    for r, first in enumerate(parts):
        for s, second in enumerate(parts):
            for a, b in zip(first, second, strict=True):
                mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
                out[r, s] += (
                    sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
                    / (len(a) - 1)
                    / len(a)
                )
    return out


@pytest.fixture
def genes(rng):
    """Hits and the scores of three rankings, with ties."""
    hit_n = rng.random(60) < 0.25
    return hit_n, np.round(rng.normal(size=(3, 60)) + hit_n * np.array([[1.0], [0.5], [0.0]]), 1)


def test_components_and_covariance_equal_the_slow_loop(genes):
    hit_n, score_rn = genes
    at_hit_rh, at_other_ro = components(hit_n, score_rn)
    for r, score_n in enumerate(score_rn):
        slow = slow_components(hit_n, score_n)
        np.testing.assert_allclose(at_hit_rh[r], slow[0])
        np.testing.assert_allclose(at_other_ro[r], slow[1])
    value_r = [roc_auc_score(hit_n, score_n) for score_n in score_rn]
    np.testing.assert_allclose(at_hit_rh.mean(axis=1), value_r)
    np.testing.assert_allclose(at_other_ro.mean(axis=1), value_r)
    cov_rr = np.cov(at_hit_rh) / at_hit_rh.shape[1] + np.cov(at_other_ro) / at_other_ro.shape[1]
    np.testing.assert_allclose(cov_rr, slow_covariance(hit_n, score_rn))


def test_the_interval_is_delongs_on_the_logit_scale(genes):
    hit_n, score_rn = genes
    found = auroc_interval(hit_n, score_rn[0], level=0.9)
    value, se = roc_auc_score(hit_n, score_rn[0]), slow_covariance(hit_n, score_rn[:1])[0, 0] ** 0.5
    reach = t.isf(0.05, degrees(*slow_components(hit_n, score_rn[0]))) * se / (value * (1 - value))
    odds = value / (1 - value)
    assert found.se == pytest.approx(se)
    assert found.low == pytest.approx(1 / (1 + np.exp(reach) / odds))
    assert found.high == pytest.approx(1 / (1 + np.exp(-reach) / odds))


def test_its_error_is_that_of_the_brunner_munzel_test(genes):
    hit_n, score_rn = genes
    found = auroc_interval(hit_n, score_rn[0])
    test = brunnermunzel(score_rn[0][~hit_n], score_rn[0][hit_n])
    assert (found.value - 0.5) / found.se == pytest.approx(test.statistic)


def test_order_and_scale_do_not_matter_and_turning_the_score_mirrors_it(genes, rng):
    hit_n, score_rn = genes
    found = auroc_interval(hit_n, score_rn[0])
    mixed = rng.permutation(hit_n.size)
    again = auroc_interval(hit_n[mixed], np.exp(score_rn[0][mixed]))
    assert (again.low, again.high) == pytest.approx((found.low, found.high))
    turned = auroc_interval(hit_n, -score_rn[0])
    assert (1 - turned.high, 1 - turned.low) == pytest.approx((found.low, found.high))


def test_within_one_stratum_it_is_the_plain_auroc(genes):
    hit_n, score_rn = genes
    plain = auroc_interval(hit_n, score_rn[0])
    found = stratified_auroc(hit_n, score_rn[0], np.zeros(60, dtype=int))
    assert (found.value, found.se, found.low, found.high) == pytest.approx(
        (plain.value, plain.se, plain.low, plain.high)
    )


def test_the_error_within_strata_is_that_of_the_bootstrap(rng):
    stratum_n = rng.integers(0, 4, size=400)
    hit_n = rng.random(400) < 0.15 + 0.15 * stratum_n
    score_n = rng.normal(size=400) + 0.8 * hit_n + stratum_n

    def slowly(hit_n, score_n, stratum_n):
        parts = [(hit_n[stratum_n == one], score_n[stratum_n == one]) for one in range(4)]
        pairs = np.array([hits.sum() * (~hits).sum() for hits, _ in parts])
        return pairs @ [roc_auc_score(*part) for part in parts] / pairs.sum()

    found = stratified_auroc(hit_n, score_n, stratum_n)
    assert found.value == pytest.approx(slowly(hit_n, score_n, stratum_n))
    assert found.value < auroc_interval(hit_n, score_n).value - 0.05
    drawn = rng.integers(400, size=(400, 400))
    resampled = [slowly(hit_n[rows], score_n[rows], stratum_n[rows]) for rows in drawn]
    assert found.se == pytest.approx(np.std(resampled), rel=0.15)


def test_strata_that_cannot_tell_are_left_out(rng):
    hit_n = np.array([True, True, False, False, True, False])
    stratum_n = np.array([0, 0, 1, 1, 2, 2])
    found = stratified_auroc(hit_n, np.arange(6.0), stratum_n)
    assert (found.value, found.method) == (0, "newcombe")
    assert np.isnan(stratified_auroc(hit_n[:4], np.arange(4.0), stratum_n[:4]).value)


def coverage(rng, interval, *, n_hits, n_other, gap, times):
    """How often an interval holds the AUROC of the two normal populations it was drawn from."""
    truth = norm.cdf(gap / 2**0.5)
    hit_n = np.arange(n_hits + n_other) < n_hits
    inside = 0
    for _ in range(times):
        found = interval(hit_n, rng.normal(size=hit_n.size) + gap * hit_n)
        inside += found.low <= truth <= found.high
    return inside / times


@pytest.mark.parametrize(("n_hits", "gap"), [(4, 0.8), (6, 0.0), (6, 1.5), (15, 0.8), (40, 0.8), (15, 3.0)])
def test_nine_of_ten_intervals_hold_the_truth(rng, n_hits, gap):
    def ninety(hit_n, score_n):
        return auroc_interval(hit_n, score_n, level=0.9)

    found = coverage(rng, ninety, n_hits=n_hits, n_other=120, gap=gap, times=1500)
    assert 0.845 < found < 0.945


def test_one_hit_and_perfect_order_have_an_interval_with_a_width():
    one = auroc_interval(np.arange(21) == 10, np.arange(21.0))
    assert (one.value, one.method) == (0.5, "newcombe")
    assert np.isnan(one.se)
    assert one.low < 0.15
    assert one.high > 0.85
    perfect = auroc_interval(np.arange(30) < 5, -np.arange(30.0))
    assert (perfect.value, perfect.high, perfect.method) == (1, 1, "newcombe")
    assert 0.7 < perfect.low < 0.95
    worst = auroc_interval(np.arange(30) < 5, np.arange(30.0))
    assert (worst.low, worst.high) == pytest.approx((0, 1 - perfect.low))


def test_newcombes_interval_widens_as_hits_get_fewer(rng):
    lows = [auroc_interval(np.arange(100) < n, -np.arange(100.0)).low for n in (1, 2, 5, 20)]
    assert lows == sorted(lows)


def test_without_hits_or_others_nothing_is_claimed():
    for hit_n in (np.zeros(5, dtype=bool), np.ones(5, dtype=bool), np.zeros(0, dtype=bool)):
        found = auroc_interval(hit_n, np.arange(float(hit_n.size)))
        assert np.isnan([found.value, found.se, found.low, found.high]).all()
        assert found.method == ""
        assert np.isnan(auroc_difference(hit_n, np.zeros(hit_n.size), np.zeros(hit_n.size)).pvalue)


def test_a_constant_score_is_chance_for_certain():
    found = auroc_interval(np.arange(9) < 3, np.zeros(9))
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_the_paired_difference_equals_the_slow_loop(genes):
    hit_n, score_rn = genes
    found = auroc_difference(hit_n, score_rn[0], score_rn[2])
    cov_rr = slow_covariance(hit_n, score_rn[[0, 2]])
    se = (cov_rr[0, 0] + cov_rr[1, 1] - 2 * cov_rr[0, 1]) ** 0.5
    value = roc_auc_score(hit_n, score_rn[0]) - roc_auc_score(hit_n, score_rn[2])
    assert (found.value, found.se) == pytest.approx((value, se))
    first, second = (slow_components(hit_n, score_rn[r]) for r in (0, 2))
    df = degrees(*(np.subtract(a, b) for a, b in zip(first, second, strict=True)))
    assert found.pvalue == pytest.approx(2 * t.sf(value / se, df))
    reach = t.isf(0.025, df) * se
    assert (found.low, found.high) == pytest.approx((value - reach, value + reach))
    turned = auroc_difference(hit_n, score_rn[2], score_rn[0])
    assert (turned.value, turned.pvalue) == pytest.approx((-value, found.pvalue))


def test_pairing_keeps_its_promise_where_two_rankings_are_alike(rng):
    """The 90 % interval holds zero in nine of ten draws, and the p-value is below 0.1 in one of ten."""
    hit_n = np.arange(150) < 20
    inside, small = 0, 0
    for _ in range(1500):
        shared_n = rng.normal(size=150) + hit_n
        found = auroc_difference(
            hit_n, shared_n + 0.5 * rng.normal(size=150), shared_n + 0.5 * rng.normal(size=150), level=0.9
        )
        inside += found.low <= 0 <= found.high
        small += found.pvalue < 0.1
    assert 0.87 < inside / 1500 < 0.93
    assert 0.07 < small / 1500 < 0.13


def test_the_same_ranking_differs_from_itself_by_nothing_and_opposites_have_no_p_value():
    hit_n, score_n = np.arange(20) < 5, -np.arange(20.0)
    same = auroc_difference(hit_n, score_n, score_n)
    assert (same.value, same.low, same.high, same.pvalue) == (0, 0, 0, 1)
    opposite = auroc_difference(hit_n, score_n, -score_n)
    assert opposite.value == 1
    assert np.isnan([opposite.low, opposite.high, opposite.pvalue]).all()
    assert np.isnan(auroc_difference(np.arange(20) == 3, score_n, np.sin(score_n)).pvalue)
