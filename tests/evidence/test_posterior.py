"""The posterior against scikit-learn's Gaussian process, on worlds where the answer is known."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct

from perturbloop.errors import InputError
from perturbloop.evidence import posterior as module
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.evidence.marginal import SHARING, SHARING_DOUBT, VARIANCE_DOUBT, strength
from perturbloop.evidence.posterior import neighbors, posterior
from perturbloop.evidence.scales import Scale, change_scale, listed_scale

GENES = np.array([f"ENSG{number:011d}" for number in range(80)], dtype=object)
NOTHING = np.zeros(80)


@pytest.fixture
def modules(rng):
    """Eight modules of ten genes that share an effect, and a network that knows them."""
    effect_g = np.repeat(rng.permutation([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, -1.0]), 10)
    vector_gd = np.repeat(np.eye(8), 10, axis=0) + rng.normal(scale=0.1, size=(80, 8))
    return effect_g + rng.normal(scale=0.2, size=80), vector_kernel("modules", GENES, vector_gd)


def test_it_equals_a_gaussian_process_with_the_same_variance(rng):
    vector_gd = rng.normal(size=(80, 3))
    kernel = vector_kernel("x", GENES, vector_gd, power=1)
    scale = Scale("more", GENES, rng.random(80), weight=0.5)
    place_p, effect_p, se_p = np.arange(15), rng.normal(size=15), rng.uniform(0.1, 0.3, 15)
    found = posterior([kernel], [scale], NOTHING, place_p, effect_p, se_p)
    unit_gd = vector_gd / np.linalg.norm(vector_gd, axis=1, keepdims=True)
    x_gd = unit_gd * found.spread_gk
    oracle = GaussianProcessRegressor(
        DotProduct(sigma_0=0, sigma_0_bounds="fixed"), alpha=found.noise_p, optimizer=None
    ).fit(x_gd[place_p], effect_p)
    mean_g, sd_g = oracle.predict(x_gd, return_std=True)
    np.testing.assert_allclose(found.mean_g, mean_g, atol=1e-8)
    np.testing.assert_allclose(found.sd_g**2, sd_g**2 + found.own_sd_g**2, atol=1e-8)
    ratio_g = np.exp(0.5 * scale.value_g)
    np.testing.assert_allclose(found.own_sd_g / found.own_sd_g[0], ratio_g / ratio_g[0])


def test_neighbors_of_hits_rise_above_the_others_and_say_why(modules):
    effect_g, network = modules
    place_p = np.arange(0, 80, 4)
    found = posterior([network], [], NOTHING, place_p, effect_g[place_p], np.full(20, 0.1))
    left = np.setdiff1d(np.arange(80), place_p)
    assert np.corrcoef(found.mean_g[left], effect_g[left])[0, 1] > 0.8
    best, worst = left[np.argmax(found.probability_g[left])], left[np.argmax(found.away_g[left])]
    assert effect_g[best] > 0.5 > -0.5 > effect_g[worst]
    np.testing.assert_allclose(found.mean_g, found.influence_gp.sum(axis=1), atol=1e-10)
    closest = GENES[place_p][np.argmax(found.influence_gp[best])]
    assert closest in neighbors(found.influence_gp[best], GENES[place_p])
    assert np.flatnonzero(closest == GENES)[0] // 10 == best // 10


def test_turned_effects_exchange_both_signs(modules):
    effect_g, network = modules
    place_p = np.arange(0, 80, 4)
    one, turned = (
        posterior([network], [], NOTHING, place_p, sign * effect_g[place_p], np.full(20, 0.1))
        for sign in (1, -1)
    )
    np.testing.assert_allclose(one.probability_g, turned.away_g, atol=1e-9)
    assert one.share_k == pytest.approx([1.0])


def test_a_gene_that_no_collection_knows_is_believed_to_do_little():
    vector_gd = np.zeros((80, 8))
    vector_gd[:40] = np.repeat(np.eye(8), 5, axis=0)
    known = vector_kernel("sets", GENES, vector_gd, power=1)
    found = posterior([known], [], NOTHING, np.arange(0, 10), np.tile([1.0, -1.0], 5), np.full(10, 0.1))
    assert found.sd_g[40:].max() < found.sd_g[20:40].min()
    assert found.probability_g[40:].max() < found.probability_g[20:40].min()
    assert found.away_g[40:].max() < found.away_g[20:40].min()


def test_measured_genes_raise_the_weight_of_a_list_that_holds_the_hits_and_take_it_from_one_that_does_not(
    rng,
):
    place_p, effect_p = np.arange(20), np.where(np.arange(20) < 8, 3.0, 0.1) * rng.choice([-1.0, 1.0], 20)
    listed_g = np.arange(80) < 8
    right, wrong = (
        posterior([], [listed_scale("list", GENES, held_g)], NOTHING, place_p, effect_p, np.full(20, 0.1))
        for held_g in (listed_g, np.roll(listed_g, 10))
    )
    assert right.weight_s[0] > 0.6
    assert wrong.weight_s[0] == 0
    fixed = [Scale("list", GENES, np.roll(listed_g, 10).astype(float), weight=0.3)]
    assert posterior([], fixed, NOTHING, place_p, effect_p, np.full(20, 0.1)).weight_s[0] == 0.3


def test_the_variance_and_the_weight_are_the_most_probable_ones(rng):
    """Against scipy's density over a grid."""
    value_p1, effect_p, noise_p = rng.random((12, 1)), rng.normal(size=12), np.full(12, 0.2)
    near_pp = np.eye(12) * 0.5 + 0.5
    fixed = {"expected_p": np.zeros(12), "mean_weight": 0.0, "mean_doubt": 0.0}
    found = strength(near_pp, value_p1, np.array([0.5]), np.array([0.4]), effect_p, noise_p, 0.8, **fixed)
    start = np.log(0.8 / np.mean(np.exp(2 * 0.5 * value_p1)))

    def log_density(log_v, weight, sharing):
        scale_p = np.exp(weight * value_p1[:, 0])
        shared_pp = sharing * near_pp + (1 - sharing) * np.eye(12)
        covariance_pp = np.exp(log_v) * shared_pp * np.outer(scale_p, scale_p) + np.diag(noise_p)
        away = ((log_v - start) / VARIANCE_DOUBT) ** 2 + ((weight - 0.5) / 0.4) ** 2
        away += ((sharing - SHARING) / SHARING_DOUBT) ** 2
        return multivariate_normal(cov=covariance_pp).logpdf(effect_p) - away / 2

    grid = product(np.linspace(-3, 2, 21), np.linspace(0, 1.5, 16), np.linspace(0, 1, 11))
    own = log_density(np.log(found.variance), found.weight_s[0], found.sharing)
    assert own >= max(log_density(*one) for one in grid) - 1e-6


def test_shuffled_effects_lose_their_say(modules, rng):
    effect_g, network = modules
    place_p = np.arange(0, 80, 2)
    told, *shuffled = (
        posterior([network], [], NOTHING, place_p, effect_g[place_p][order], np.full(40, 0.1))
        for order in (np.arange(40), *(rng.permutation(40) for _ in range(20)))
    )
    assert told.sharing == 1
    assert np.mean([found.sharing for found in shuffled]) < 0.8
    moved = [np.abs(found.mean_g).mean() for found in shuffled]
    assert np.mean(moved) < 0.4 * np.abs(told.mean_g).mean()


def test_an_in_silico_score_weighs_what_its_skill_on_measured_genes_allows(rng):
    place_p, effect_p = np.arange(40), rng.normal(size=40)
    right_g, wrong_g = rng.normal(size=80), rng.normal(size=80)
    right_g[:40], wrong_g[:40] = effect_p, -effect_p
    network = vector_kernel("none", GENES, np.eye(80))
    weights = {
        (name, passed): posterior(
            [network], [], score_g, place_p, effect_p, np.full(40, 0.1), passed=passed
        ).insilico_weight
        for name, score_g in (("right", right_g), ("wrong", wrong_g), ("none", NOTHING))
        for passed in (True, False)
    }
    assert weights["right", True] > module.PASSED[0] > weights["wrong", True]
    assert weights["right", False] > 0.1
    assert weights["wrong", False] == weights["none", False] == 0


def test_draws_have_the_mean_and_the_covariance_of_the_posterior(modules, rng):
    effect_g, network = modules
    scale = Scale("more", GENES, np.linspace(0, 1, 80), weight=0.5)
    place_p = np.arange(0, 80, 4)
    found = posterior([network], [scale], NOTHING, place_p, effect_g[place_p], np.full(20, 0.3))
    drawn_ng = found.draw(rng, 6000)
    left = np.setdiff1d(np.arange(80), place_p)
    np.testing.assert_allclose(drawn_ng.mean(axis=0)[left], found.mean_g[left], atol=0.04)
    np.testing.assert_allclose(drawn_ng.std(axis=0)[left], found.sd_g[left], rtol=0.06)
    spread_gk = found.spread_gk[left]
    prior_gg = network.columns(np.arange(80))[np.ix_(left, left)] * (spread_gk @ spread_gk.T)
    told_gg = found.cross_gp[left] @ np.linalg.solve(
        found.cross_gp[place_p] + np.diag(found.noise_p), found.cross_gp[left].T
    )
    exact_gg = prior_gg - told_gg + np.diag(found.own_sd_g[left] ** 2)
    np.testing.assert_allclose(np.cov(drawn_ng[:, left].T), exact_gg, atol=0.06 * exact_gg.max())


def test_the_order_of_measured_genes_and_their_scale_do_not_matter(modules):
    effect_g, network = modules
    scales = [change_scale(GENES, np.arange(80.0))]
    place_p, se_p = np.arange(0, 80, 5), np.full(16, 0.1)
    order, insilico_g = np.random.default_rng(1).permutation(16), np.random.default_rng(2).normal(size=80)
    one, scaled = (
        posterior([network], scales, insilico_g, place, times * effect, times * se_p, passed=True)
        for place, effect, times in (
            (place_p, effect_g[place_p], 1.0),
            (place_p[order], effect_g[place_p][order], 10.0),
        )
    )
    np.testing.assert_allclose(scaled.mean_g, 10 * one.mean_g, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(scaled.probability_g, one.probability_g, rtol=1e-3)


def test_errors_of_effects_widen_what_is_believed(modules):
    effect_g, network = modules
    place_p = np.arange(0, 80, 4)
    exact, vague = (
        posterior([network], [], NOTHING, place_p, effect_g[place_p], np.full(20, se)) for se in (0.05, 0.5)
    )
    assert np.abs(vague.influence_gp).sum() < np.abs(exact.influence_gp).sum()


def test_an_effect_worth_having_is_beyond_what_is_true_of_most_and_beyond_noise(rng):
    effect_p = rng.normal(size=10)
    found, sure = (posterior([], [], NOTHING, np.arange(10), effect_p, np.full(10, se)) for se in (5.0, 0.1))
    assert sure.threshold == pytest.approx(np.sqrt(np.mean(effect_p**2) - 0.1**2))
    assert found.threshold == pytest.approx(
        (found.mean_g + found.sd_g).max(), rel=0.02
    )  # none is believed to reach more
    wide = Scale("wide", np.arange(len(NOTHING)), np.eye(len(NOTHING))[-1] * 6, 1.0)
    may = posterior([], [wide], NOTHING, np.arange(10), effect_p, np.full(10, 5.0))
    assert may.threshold == pytest.approx(2 * 5.0)  # now one is


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
def test_effects_that_say_nothing_are_refused(place, effect, se, says):
    with pytest.raises(InputError, match=says):
        posterior([], [], NOTHING, np.array(place), np.array(effect), np.array(se))
