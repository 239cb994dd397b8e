"""Predicted against found hits: the interval holds, and widens where it did not."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import betabinom

from perturbloop.design.calibration import (
    Calibration,
    _beta_binomial,
    _shortest,
    calibrate,
    calibration_of,
    stated,
)
from perturbloop.schema import TRIALS


def batches(rng, *, shift, n=20, rounds=5, rate=0.15):
    """Batches whose true log odds are the stated ones and a shift."""
    for _ in range(rounds):
        odds_g = logit(rate) + rng.normal(size=n)
        yield expit(odds_g), rng.random(n) < expit(odds_g + shift)


@pytest.mark.parametrize("spread", [0.0, 0.7])
def test_nine_of_ten_batches_lie_in_their_interval_that_is_hardly_wider_than_the_binomial(spread):
    rng = np.random.default_rng(0)
    inside, width, binomial = [], [], []
    for _ in range(60):
        played = list(batches(rng, shift=rng.normal(scale=spread)))
        for found, (_, hit_g) in zip(calibrate(played)[1], played, strict=True):
            inside.append(found.low <= hit_g.sum() <= found.high)
            width.append(found.high - found.low)
            low, high = _shortest(len(hit_g), found.mean, found.mean * (1 - found.mean / len(hit_g)))
            binomial.append(high - low)
    assert 0.8 <= np.mean(inside) <= 0.975
    assert np.sum(width) <= 1.5 * np.sum(binomial)


def test_a_batch_outside_its_interval_widens_the_next_and_moves_it():
    stated_g = np.full(20, 0.25)
    none, some_ = np.zeros(20, dtype=bool), np.arange(20) < 5
    as_told, off = calibrate([(stated_g, some_)])[0], calibrate([(stated_g, none)])[0]
    assert off.widening > Calibration().widening > as_told.widening
    assert off.shift < -0.5 < as_told.shift < 0.1
    assert off.probability(stated_g)[0] < 0.25
    low, high = off.interval(stated_g)
    assert low[0] < off.probability(stated_g)[0] < high[0]


def test_the_shortest_interval_is_that_of_a_slow_search():
    n, mean, variance = 20, 4.0, 6.0
    size = (n - variance / (mean * (1 - mean / n))) / (variance / (mean * (1 - mean / n)) - 1)
    pmf = betabinom(n, mean / n * size, (1 - mean / n) * size).pmf(np.arange(n + 1))
    spans = [
        (b - a, -pmf[a : b + 1].sum(), a, b)
        for a in range(n + 1)
        for b in range(a, n + 1)
        if pmf[a : b + 1].sum() >= 0.9
    ]
    assert _shortest(n, mean, variance) == min(spans)[2:]
    assert _shortest(3, 0.0, 0.0) == (0, 0)


def trial(batch, predicted, hit, *, day, shift=0.0, told=None):
    when = pd.Timestamp(f"2026-01-{day:02}", tz="UTC")
    row = [batch, 1, "find", f"E{batch}{day}{predicted}{hit}", "A", "delete", "inhibit", predicted, shift]
    status = "done" if hit is not None else "proposed"
    return [
        *row,
        status,
        hit,
        "",
        when,
        None if told is None else pd.Timestamp(f"2026-01-{told:02}", tz="UTC"),
    ]


def test_trials_are_calibrated_in_the_order_of_their_outcomes_and_on_what_was_stated_before():
    rows = [trial(0, 0.5, True, day=1, told=5) for _ in range(10)]
    rows += [trial(1, 0.5, False, day=2, told=9) for _ in range(4)]  # taken before batch 0 was told
    rows += [trial(2, 0.8, None, day=6)]
    now, told = calibration_of(pd.DataFrame(rows, columns=TRIALS.names))
    assert now.n_batches == 2
    assert [(one.batch, one.expected.n_batches, one.observed) for one in told] == [(0, 0, 10), (1, 0, 0)]
    assert not told[0].inside
    assert "5.0 hits of 10 were predicted" in told[0].sentence
    assert "wider" in told[0].sentence


def test_what_earlier_batches_corrected_is_not_learnt_twice():
    first = calibrate([(np.full(20, 0.2), np.arange(20) < 12)])[0]
    corrected_g = first.probability(np.full(3, 0.2))
    assert stated(corrected_g, np.full(3, first.shift)) == pytest.approx(0.2)


def test_before_any_batch_nothing_is_corrected():
    now, told = calibration_of(pd.DataFrame(columns=TRIALS.names))
    assert (now.n_batches, told) == (0, [])
    assert now.probability(np.array([0.3])) == pytest.approx(0.3)
    assert "uncalibrated" in now.expected(np.array([0.3, np.nan])).sentence


@pytest.mark.parametrize(("n", "toward", "away"), [(1, 0.3, 2.0), (20, 1.5, 6.0), (128, 3e8, 7e8)])
def test_probabilities_of_hits_are_those_of_scipy(n, toward, away):
    np.testing.assert_allclose(
        _beta_binomial(n, toward, away),
        betabinom.pmf(np.arange(n + 1), n, toward, away),
        rtol=1e-5,
        atol=1e-12,
    )
