"""The posterior against scikit-learn's Gaussian process, on worlds where the answer is known."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct

from perturbloop.errors import InputError
from perturbloop.evidence import posterior as module
from perturbloop.evidence.kernels import constant_kernel, feature_kernel, vector_kernel
from perturbloop.evidence.posterior import neighbors, network_skill, network_skills, posterior

GENES = np.array([f"ENSG{number:011d}" for number in range(80)], dtype=object)


@pytest.fixture
def modules(rng):
    """Eight modules of ten genes that share an effect, and a network that knows them."""
    effect_g = np.repeat(rng.permutation([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, -1.0]), 10)
    vector_gd = np.repeat(np.eye(8), 10, axis=0) + rng.normal(scale=0.1, size=(80, 8))
    return effect_g + rng.normal(scale=0.2, size=80), vector_kernel("modules", GENES, vector_gd)


def test_it_equals_a_gaussian_process_with_a_linear_kernel(rng):
    value_g = rng.normal(size=80)
    place_p, effect_p, se_p = np.arange(15), rng.normal(size=15), rng.uniform(0.1, 0.3, 15)
    found = posterior(
        [], [feature_kernel("x", GENES, value_g)], np.zeros(80), place_p, effect_p, se_p, rng=rng
    )
    variance = float((effect_p**2).mean() - (se_p**2).mean())
    x_g1 = ((value_g - value_g.mean()) / value_g.std() * np.sqrt(variance) * module.FEATURE_AMPLITUDE)[
        :, None
    ]
    oracle = GaussianProcessRegressor(
        DotProduct(sigma_0=0, sigma_0_bounds="fixed"),
        alpha=se_p**2 + module.OWN_SHARE * variance,
        optimizer=None,
    ).fit(x_g1[place_p], effect_p)
    mean_g, sd_g = oracle.predict(x_g1, return_std=True)
    np.testing.assert_allclose(found.mean_g, mean_g, atol=1e-8)
    np.testing.assert_allclose(found.sd_g**2, sd_g**2 + module.OWN_SHARE * variance, atol=1e-8)


def test_neighbors_of_hits_rise_above_the_others_and_say_why(modules, rng):
    effect_g, network = modules
    place_p = np.arange(0, 80, 4)
    found = posterior([network], [], np.zeros(80), place_p, effect_g[place_p], np.full(20, 0.1), rng=rng)
    left = np.setdiff1d(np.arange(80), place_p)
    assert np.corrcoef(found.mean_g[left], effect_g[left])[0, 1] > 0.8
    assert found.skill_k[0] > 1
    best = left[np.argmax(found.probability_g[left])]
    assert effect_g[best] > 0.5
    np.testing.assert_allclose(found.mean_g, found.influence_gp.sum(axis=1), atol=1e-10)
    closest = GENES[place_p][np.argmax(found.influence_gp[best])]
    assert closest in neighbors(found.influence_gp[best], GENES[place_p])
    assert np.flatnonzero(closest == GENES)[0] // 10 == best // 10


def test_a_gene_is_ranked_by_the_side_its_effect_is_expected_on(modules, rng):
    effect_g, network = modules
    place_p = np.arange(0, 80, 4)
    measured = place_p, effect_g[place_p], np.full(20, 0.1)
    found = posterior([network], [], np.zeros(80), *measured, rng=rng, skill_k=np.ones(1))
    np.testing.assert_array_equal(np.sign(found.benefit_g), np.sign(found.mean_g))
    assert set(np.sign(found.benefit_g)) == {-1.0, 1.0}
    turned = place_p, -effect_g[place_p], np.full(20, 0.1)
    mirrored = posterior([network], [], np.zeros(80), *turned, rng=rng, skill_k=np.ones(1))
    np.testing.assert_allclose(mirrored.benefit_g, -found.benefit_g, atol=1e-12)


def test_shuffled_effects_silence_the_network_and_leave_the_in_silico_order(modules, rng):
    effect_g, network = modules
    place_p, insilico_g = np.arange(0, 80, 4), rng.normal(size=80)
    skills, kept = [], []
    for _ in range(20):
        shuffled_p = rng.permutation(effect_g[place_p])
        found = posterior([network], [], insilico_g, place_p, shuffled_p, np.full(20, 0.1), rng=rng)
        skills.append(found.skill_k[0])
        kept.append(np.corrcoef(found.mean_g, np.tanh(2 * insilico_g))[0, 1])
    true = network_skill(network, place_p, effect_g[place_p], np.full(20, 0.1), rng=rng)
    assert np.mean(skills) < 0.5 < true
    assert np.median(kept) > 0.8


def test_left_out_genes_under_a_common_mean_need_no_inverse(rng):
    own_p, effect_p = rng.uniform(0.1, 2.0, 12), rng.normal(size=12)
    covariance_pp = np.diag(own_p) + 0.7
    kept = np.arange(12)
    slow = [
        covariance_pp[one, kept != one]
        @ np.linalg.solve(covariance_pp[np.ix_(kept != one, kept != one)], effect_p[kept != one])
        for one in kept
    ]
    np.testing.assert_allclose(module._left_out_of_mean(own_p, 0.7, effect_p), slow, atol=1e-12)
    np.testing.assert_allclose(module._left_out(covariance_pp, effect_p), slow, atol=1e-12)


def test_a_skill_at_hand_is_not_sought_again(modules):
    effect_g, network = modules
    measured = np.arange(0, 80, 4), effect_g[::4], np.full(20, 0.1)
    skill_k = network_skills([network], *measured, rng=np.random.default_rng(0))
    one = posterior([network], [], np.zeros(80), *measured, rng=np.random.default_rng(0))
    other = posterior([network], [], np.zeros(80), *measured, rng=np.random.default_rng(9), skill_k=skill_k)
    np.testing.assert_array_equal(one.skill_k, skill_k)
    np.testing.assert_array_equal(one.mean_g, other.mean_g)
    silent = posterior(
        [network], [], np.zeros(80), *measured, rng=np.random.default_rng(9), skill_k=np.zeros(1)
    )
    assert not silent.mean_g.any()


def test_without_effects_to_learn_from_the_in_silico_score_decides(rng):
    insilico_g = rng.normal(size=80)
    network = vector_kernel("nothing", GENES, np.eye(80))
    found = posterior([network], [], insilico_g, np.arange(5), np.zeros(5) + 1e-9, np.full(5, 1.0), rng=rng)
    assert (np.diff(found.mean_g[5:][np.argsort(insilico_g[5:])]) >= -1e-12).all()


def test_the_order_of_measured_genes_and_their_scale_do_not_matter(modules):
    effect_g, _ = modules
    features = [constant_kernel(GENES), feature_kernel("x", GENES, np.arange(80.0))]
    place_p, se_p = np.arange(0, 80, 5), np.full(16, 0.1)
    order = np.random.default_rng(1).permutation(16)
    insilico_g = np.random.default_rng(2).normal(size=80)
    one, scaled = (
        posterior([], features, insilico_g, place, times * effect, times * se_p, rng=np.random.default_rng(0))
        for place, effect, times in (
            (place_p, effect_g[place_p], 1.0),
            (place_p[order], effect_g[place_p][order], 10.0),
        )
    )
    np.testing.assert_allclose(scaled.mean_g, 10 * one.mean_g, rtol=1e-8)
    np.testing.assert_allclose(scaled.probability_g, one.probability_g, rtol=1e-8)


def test_errors_of_effects_widen_what_is_believed(modules, rng):
    effect_g, _ = modules
    place_p = np.arange(0, 80, 4)
    exact, vague = (
        posterior(
            [], [constant_kernel(GENES)], np.zeros(80), place_p, effect_g[place_p], np.full(20, se), rng=rng
        )
        for se in (0.05, 0.5)
    )
    assert np.abs(vague.influence_gp).sum() < np.abs(exact.influence_gp).sum()


def test_a_tenth_of_the_variance_of_effects_is_always_taken_for_true(rng):
    """Effects no larger than their errors still move the posterior, by little."""
    effect_p = rng.normal(size=10)
    found = posterior(
        [], [constant_kernel(GENES)], np.zeros(80), np.arange(10), effect_p, np.full(10, 5.0), rng=rng
    )
    assert found.threshold == pytest.approx(np.sqrt(0.1 * np.mean(effect_p**2)))
    assert np.abs(found.influence_gp).max() > 0
    sure = posterior(
        [], [constant_kernel(GENES)], np.zeros(80), np.arange(10), effect_p, np.full(10, 0.1), rng=rng
    )
    assert sure.threshold == pytest.approx(np.sqrt(np.mean(effect_p**2) - 0.1**2))


@pytest.mark.parametrize(
    ("place", "effect", "se", "says"),
    [
        ([3], [1.0], [0.1], "At least 2 measured genes are needed; 1 came"),
        ([3, 3], [1.0, 2.0], [0.1, 0.1], "needs one effect; these have several: '3'. Keep"),
        (
            [3, 4],
            [1.0, np.nan],
            [0.1, 0.1],
            "must be finite and their errors not negative; those of '4' are not",
        ),
        (
            [3, 4],
            [1.0, 1.0],
            [0.1, -0.1],
            "must be finite and their errors not negative; those of '4' are not",
        ),
    ],
)
def test_effects_that_say_nothing_are_refused(place, effect, se, says, rng):
    with pytest.raises(InputError, match=says):
        posterior([], [], np.zeros(80), np.array(place), np.array(effect), np.array(se), rng=rng)
