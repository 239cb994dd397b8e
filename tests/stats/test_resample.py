import numpy as np
from scipy import stats

from perturbloop.stats.resample import bootstrap_interval, mean_by_gene


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


def test_mean_over_cells_equals_scipys_t_interval(rng):
    value, gene = rng.normal(size=40), np.repeat(["JAK2", "STAT1"], [15, 25])
    table = mean_by_gene(value, gene)
    for name, row in table.iterrows():
        cells = value[gene == name]
        low, high = stats.t.interval(0.95, len(cells) - 1, cells.mean(), stats.sem(cells))
        np.testing.assert_allclose(row[["ci_low", "ci_high"]].astype(float), [low, high])
    assert table["n_donors"].tolist() == [0, 0]


def test_with_donors_the_donor_is_the_replicate(rng):
    value, donor = rng.normal(size=60), np.repeat(["a", "b", "c"], [5, 15, 40])
    row = mean_by_gene(value, np.full(60, "JAK2"), donor).loc["JAK2"]
    means = np.array([value[donor == name].mean() for name in "abc"])
    low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    np.testing.assert_allclose(row[["mean", "ci_low", "ci_high"]].astype(float), [means.mean(), low, high])
    assert (row["n_cells"], row["n_donors"]) == (60, 3)


def test_cells_without_a_value_are_left_out_and_order_does_not_matter(rng):
    value, gene = rng.normal(size=30), np.repeat(["a", "b"], 15)
    order = rng.permutation(32)
    with_gaps, genes = np.append(value, [np.nan, np.nan])[order], np.append(gene, ["a", "c"])[order]
    np.testing.assert_allclose(mean_by_gene(with_gaps, genes), mean_by_gene(value, gene))
