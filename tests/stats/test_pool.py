import numpy as np
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from perturbloop.stats.pool import between_variance, pool


def test_spread_between_guides_equals_dersimonian_and_laird():
    mean, variance = np.array([0.1, 1.4, 0.7, 2.0]), np.array([0.1, 0.2, 0.05, 0.3])
    weight = 1 / variance
    q = weight @ (mean - weight @ mean / weight.sum()) ** 2
    expected = (q - 3) / (weight.sum() - (weight**2).sum() / weight.sum())
    np.testing.assert_allclose(between_variance(mean, variance), expected)


def test_equal_guides_and_a_single_guide_have_no_spread():
    assert between_variance(np.ones(4), np.full(4, 0.1)) == 0
    assert between_variance(np.ones(1), np.ones(1)) == 0


def test_without_a_spread_of_inert_guides_the_mean_is_the_fixed_effects_mean(rng):
    mean, variance = rng.normal(size=5), rng.uniform(0.1, 1, size=5)
    pooled = pool(mean, variance, null_variance=0.0)
    theirs = combine_effects(mean, variance, method_re="iterated")
    np.testing.assert_allclose([pooled.mean, pooled.null_se], [theirs.mean_effect_fe, theirs.sd_eff_w_fe])


def test_p_is_honest_for_inert_guides_that_differ_among_themselves(rng):
    """Guides spread by 0.2; with that spread learnt from 9 control guides p is near uniform, without it it is not."""
    honest, naive = [], []
    for _ in range(600):
        control = rng.normal(scale=np.hypot(0.2, 0.1), size=9)
        spread = between_variance(control, np.full(9, 0.01))
        guides = rng.normal(scale=np.hypot(0.2, 0.1), size=4)
        honest.append(pool(guides, np.full(4, 0.01), null_variance=spread, null_df=8).pvalue)
        naive.append(pool(guides, np.full(4, 0.01), null_variance=0.0).pvalue)
    assert np.mean(np.array(honest) < 0.05) < 0.1
    assert np.mean(np.array(naive) < 0.05) > 0.25


def test_a_failed_guide_widens_the_interval_but_not_the_test_for_being_inert():
    variance = np.full(4, 0.01)
    alike = pool(np.full(4, 1.0), variance, null_variance=0.0)
    failed = pool(np.array([1.3, 1.3, 1.3, 0.1]), variance, null_variance=0.0)
    np.testing.assert_allclose([failed.mean, failed.pvalue], [alike.mean, alike.pvalue])
    assert failed.se > 3 * alike.se


def test_guides_below_half_quality_have_no_say_in_how_far_guides_disagree():
    mean, variance = np.array([1.3, 1.3, 1.3, 0.1]), np.full(4, 0.01)
    quality = np.array([1.0, 1.0, 1.0, 0.49])
    weight = quality / quality.sum()
    pooled = pool(mean, variance, null_variance=0.0, quality_r=quality)
    np.testing.assert_allclose(pooled.se, np.sqrt(0.01 * (weight**2).sum()))
    heard = pool(mean, variance, null_variance=0.0, quality_r=np.array([1.0, 1.0, 1.0, 0.5]))
    assert heard.se > 3 * pooled.se


def test_one_guide_of_few_cells_hardly_counts():
    pooled = pool(np.array([1.0, -5.0]), np.array([0.001, 1.0]), null_variance=0.0)
    assert pooled.mean > 0.98
    np.testing.assert_allclose(pooled.weight_r.sum(), 1)


def test_p_follows_student_with_few_cells_and_few_control_guides():
    np.testing.assert_allclose(
        pool(np.array([1.0]), np.array([0.25]), null_variance=0.0, cell_df=5).pvalue, 2 * stats.t.sf(2, 5)
    )
    np.testing.assert_allclose(
        pool(np.array([1.0]), np.array([1e-12]), null_variance=0.25, null_df=8).pvalue, 2 * stats.t.sf(2, 8)
    )
