"""What every metric of the scoreboard must satisfy."""

from functools import partial

import numpy as np
import pytest

from perturbloop.evaluate.metrics import METRICS

names = [metric.name for metric in METRICS]


def value(metric, hit_n, score_n):
    function = partial(metric.function, k=5) if metric.needs == "k" else metric.function
    return function(hit_n, score_n > np.median(score_n) if metric.needs == "call" else score_n)


@pytest.fixture(params=METRICS, ids=names)
def metric(request):
    return request.param


def test_it_stays_in_its_range_and_does_not_depend_on_the_order_of_genes(metric, rng):
    for _ in range(20):
        hit_n, score_n = rng.random(30) < 0.3, rng.integers(0, 8, 30).astype(float)
        mixed = rng.permutation(30)
        found = value(metric, hit_n, score_n)
        assert np.isnan(found) or metric.low <= found <= metric.high
        np.testing.assert_allclose(value(metric, hit_n[mixed], score_n[mixed]), found)


def test_a_perfect_ranking_is_worth_the_best_value(metric):
    hit_n = np.arange(10) < 5
    found = value(metric, hit_n, -np.arange(10.0))
    expected = {"lift": 2.0, "prevalence": 0.5}.get(metric.name, metric.best)
    assert found == pytest.approx(expected)


def test_scores_count_by_their_order_only(metric, rng):
    hit_n, score_n = rng.random(25) < 0.4, rng.normal(size=25)
    assert value(metric, hit_n, score_n) == pytest.approx(value(metric, hit_n, np.exp(score_n) * 3))


def test_no_gene_at_all_is_undefined(metric):
    assert (
        np.isnan(value(metric, np.zeros(0, dtype=bool), np.zeros(0)))
        if metric.needs != "call"
        else np.isnan(metric.function(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)))
    )


def test_its_record_says_what_it_is(metric):
    assert metric.meaning
    assert metric.reference.startswith("10.")
    assert names.count(metric.name) == 1
