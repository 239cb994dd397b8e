import numpy as np
from scipy import stats

from perturbloop.stats.resample import bootstrap_interval, draws, percentile_interval, times_drawn


def auroc(score, hit):
    return (score[hit][:, None] > score[~hit]).mean() if 0 < hit.sum() < len(hit) else np.nan


def test_interval_agrees_with_scipys_percentile_bootstrap(rng):
    value = rng.gamma(2, size=60)
    ours = bootstrap_interval(np.median, value, rng=rng, n_samples=4000)
    theirs = stats.bootstrap(
        (value,), np.median, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    np.testing.assert_allclose([ours.low, ours.high], [theirs.low, theirs.high], atol=0.08)
    assert ours.value == np.median(value)


def test_samples_without_a_hit_are_left_out_and_counted(rng):
    hit = np.zeros(10, dtype=bool)
    hit[0] = True
    interval = bootstrap_interval(auroc, rng.normal(size=10), hit, rng=rng, n_samples=500)
    assert interval.n_samples + interval.n_undefined == 500
    assert 0.25 < interval.n_undefined / 500 < 0.45  # (1 - 1/10)^10 = 0.35
    assert interval.low <= interval.high


def test_a_statistic_that_is_never_defined_has_no_interval(rng):
    interval = bootstrap_interval(auroc, rng.normal(size=5), np.zeros(5, dtype=bool), rng=rng, n_samples=50)
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert interval.n_undefined == 50
    assert np.isnan(bootstrap_interval(np.mean, np.empty(0), rng=rng).value)


def test_the_same_generator_gives_the_same_interval():
    value = np.arange(20.0)
    first, second = (
        bootstrap_interval(np.mean, value, rng=np.random.default_rng(3), n_samples=100) for _ in "ab"
    )
    assert first == second


def test_samples_that_are_counted_are_those_that_are_drawn():
    drawn = np.random.default_rng(5).integers(30, size=(250, 30))  # more than are counted in one go
    expected = [np.bincount(rows, minlength=30) for rows in drawn]
    found = times_drawn(30, rng=np.random.default_rng(5), n_samples=250)
    assert (found == np.transpose(expected)).all()


def test_the_interval_of_counted_samples_is_that_of_the_drawn_ones(rng):
    value = rng.normal(size=40)
    drawn = draws(7, 200)
    assert drawn(40) is drawn(40)
    found = percentile_interval(value.mean(), value @ drawn(40) / 40)
    plain = bootstrap_interval(np.mean, value, rng=np.random.default_rng(7), n_samples=200)
    np.testing.assert_allclose([found.low, found.high], [plain.low, plain.high])
    assert np.isnan(percentile_interval(1.0, np.empty(0)).low)
