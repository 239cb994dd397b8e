"""Predicted against observed hits, batch after batch, and the interval that the next batch gets by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.schema import TRIALS

LEVEL = 0.9
"""Probability that an interval holds, of hits in a batch and of a gene's probability."""
SHIFT_SD = 1.0
"""Standard deviation, before any batch, of how far all stated probabilities may be off together, in log odds."""
FIRST_WIDENING = 1.75
"""Variance of hits before any batch, as a multiple of that of independent genes of known probability."""
FIRST_WEIGHT = 2.0
"""Batches that this first multiple counts as much as."""
LEAST_VARIANCE = 1.0
"""Hits² by which a batch is read as if its hits varied at least: one lucky hit among hopeless genes is no proof of anything."""
_SHIFTS = np.linspace(-5, 5, 201)
_EDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """What the batches whose outcome is known say of stated probabilities."""

    n_batches: int = 0
    """Batches behind it; 0 = uncalibrated."""
    shift: float = 0.0
    """What is added to the log odds of every stated probability; positive = more hits were found than stated."""
    shift_sd: float = SHIFT_SD
    """Standard deviation of that shift."""
    widening: float = FIRST_WIDENING
    """Variance of hits as a multiple of that of independent genes; above 1 where batches scatter more than these would."""

    def probability(self, stated_g: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
        """Probabilities of a hit, 0 to 1, as the batches so far correct them."""
        return _share(_log_odds(stated_g) + self.shift)

    def interval(self, stated_g: Float[np.ndarray, " g"]) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the 90 % interval of each probability: how far all of them may be off together."""
        reach = NormalDist().inv_cdf((1 + LEVEL) / 2) * self.shift_sd
        center_g = _log_odds(stated_g) + self.shift
        return _share(center_g - reach), _share(center_g + reach)

    def expected(self, stated_g: Float[np.ndarray, " g"]) -> "Expected":
        """Hits to expect in a batch of genes with these stated probabilities; genes without one count as no hits."""
        own_g = self.probability(stated_g[np.isfinite(stated_g)])
        mean, variance = float(own_g.sum()), float((own_g * (1 - own_g)).sum())
        unsure = (
            (self.shift_sd * variance) ** 2 if self.n_batches else 0.0
        )  # before any batch the widening stands for it
        low, high = _shortest(len(own_g), mean, self.widening * variance + unsure)
        return Expected(mean, low, high, len(stated_g), self.n_batches)


@dataclass(frozen=True)
class Expected:
    """Hits to expect in a batch."""

    mean: float
    """Expected number."""
    low: int
    high: int
    """Ends of the shortest interval, both included, that holds the number of hits with at least 90 % probability."""
    n_genes: int
    """Genes of the batch."""
    n_batches: int
    """Batches that the interval was calibrated on."""

    @property
    def sentence(self) -> str:
        """The same in words.

        >>> Expected(3.26, 1, 6, 20, 0).sentence
        'Expected hits: 3.3 of 20 (90 % interval 1 to 6; uncalibrated: no batch was recorded yet).'
        """
        basis = (
            f"calibrated on {self.n_batches} recorded {'batch' if self.n_batches == 1 else 'batches'}"
            if self.n_batches
            else "uncalibrated: no batch was recorded yet"
        )
        return f"Expected hits: {self.mean:.1f} of {self.n_genes:,} (90 % interval {self.low:,} to {self.high:,}; {basis})."


@dataclass(frozen=True)
class Told:
    """A batch whose outcome is known, beside what was stated before."""

    batch: int
    """Its number."""
    expected: Expected
    """What was to be expected of the genes whose outcome is known, as it was stated when the batch was taken."""
    observed: int
    """Hits that were found."""

    @property
    def inside(self) -> bool:
        """Whether the interval held."""
        return self.expected.low <= self.observed <= self.expected.high

    @property
    def sentence(self) -> str:
        """The same in words."""
        own = self.expected
        held = "" if self.inside else "; outside, so that the next intervals are wider"
        return (
            f"Batch {self.batch}: {own.mean:.1f} hits of {own.n_genes:,} were predicted (90 % interval {own.low:,} to {own.high:,}), "
            f"{self.observed:,} were found{held}."
        )


def calibrate(
    batches: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[Calibration, list[Expected]]:
    r"""Learn from batches in the order of their outcomes how far stated probabilities, and their intervals, may be trusted.

    Parameters
    ----------
    batches
        Of each batch the probabilities as they were stated, and whether each gene was a hit.

    Returns
    -------
    What holds for the next batch, and what was expected of each, by those before it alone.

    Notes
    -----
    Each batch is foretold before it is learnt from (prequential, :cite:`dawid1984`). The shift of the log odds, common to all
    genes, has the prior N(0, `SHIFT_SD`²) and the Bernoulli likelihood of every gene told so far. The widening is the dispersion
    of :cite:`mccullagh1989`, :math:`\phi = (\nu \phi_0 + \sum_t z_t^2) / (\nu + T)` with
    :math:`z_t = (y_t - m_t) / \sqrt{\max(v_t, 1)}` of the hits :math:`y_t` against their mean and variance as foretold, and never
    below 1: a batch outside its interval widens the next. Hits are beta-binomial with that mean and variance. The assumption a
    reviewer would attack: the next batch is chosen as the ones before.

    Examples
    --------
    >>> good, bad = np.full(20, 0.25), np.arange(20) < 15
    >>> after, told = calibrate([(good, bad)])
    >>> told[0].high < 15, after.shift > 1, after.widening > FIRST_WIDENING
    (True, True, True)
    """
    now, told = Calibration(), []
    weights = -0.5 * (_SHIFTS / SHIFT_SD) ** 2
    squares = 0.0
    for place, (stated_g, hit_g) in enumerate(batches, start=1):
        told.append(now.expected(stated_g))
        own_g = now.probability(stated_g)
        variance = max(float((own_g * (1 - own_g)).sum()), LEAST_VARIANCE)
        squares += (float(hit_g.sum()) - float(own_g.sum())) ** 2 / variance
        odds_bg = _log_odds(stated_g) + _SHIFTS[:, None]
        weights = weights + np.where(hit_g, -np.logaddexp(0, -odds_bg), -np.logaddexp(0, odds_bg)).sum(axis=1)
        widening = max(1.0, (FIRST_WEIGHT * FIRST_WIDENING + squares) / (FIRST_WEIGHT + place))
        share = np.exp(weights - weights.max())
        share /= share.sum()
        shift = float(share @ _SHIFTS)
        spread = float(np.sqrt(widening * (share @ (_SHIFTS - shift) ** 2)))
        now = Calibration(place, shift, min(spread, SHIFT_SD), widening)
    return now, told


def calibration_of(trials: pd.DataFrame) -> tuple[Calibration, list[Told]]:
    """Calibrate on the trials of a campaign.

    Parameters
    ----------
    trials
        TRIALS rows. Of a batch the genes count whose outcome is known and of which something was stated; batches come in the order
        in which their first outcome came.

    Returns
    -------
    What holds for the next batch, and each batch told so far.
    """
    rows = TRIALS.checked(trials)
    rows = rows[rows["status"].eq("done") & rows["hit"].notna() & rows["predicted"].notna()]
    first = rows.groupby("batch")["told"].min().sort_values(kind="stable")
    parts = [rows[rows["batch"].eq(batch)] for batch in first.index]
    pairs = [(_stated_of(part), part["hit"].to_numpy(bool)) for part in parts]
    found = []
    for batch, part, (stated_g, hit_g) in zip(first.index, parts, pairs, strict=True):
        before = [pair for pair, when in zip(pairs, first, strict=True) if when <= part["proposed"].min()]
        found.append(Told(int(batch), calibrate(before)[0].expected(stated_g), int(hit_g.sum())))
    return calibrate(pairs)[0], found


def stated(
    probability_g: Float[np.ndarray, " g"], shift_g: Float[np.ndarray, " g"]
) -> Float[np.ndarray, " g"]:
    """Probabilities, 0 to 1, before earlier batches corrected them by these shifts of their log odds.

    >>> stated(np.array([0.5]), np.array([0.0]))
    array([0.5])
    """
    return _share(_log_odds(probability_g) - shift_g)


def _stated_of(rows: pd.DataFrame) -> np.ndarray:
    return stated(rows["predicted"].to_numpy(float), rows["shift"].fillna(0).to_numpy(float))


def _log_odds(probability_g: np.ndarray) -> np.ndarray:
    inside_g = np.clip(probability_g, _EDGE, 1 - _EDGE)
    return np.log(inside_g) - np.log1p(-inside_g)


def _share(odds_g: np.ndarray) -> np.ndarray:
    """Probabilities of log odds."""
    return np.exp(-np.logaddexp(0, -odds_g))


def _beta_binomial(n: int, toward: float, away: float) -> np.ndarray:
    """Probability of 0 to n hits, by the ratios of neighbors: a page is shown without SciPy, whose statistics take a second to load.

    >>> _beta_binomial(2, 1.0, 1.0).round(3).tolist()  # uniform
    [0.333, 0.333, 0.333]
    """
    hits = np.arange(n)
    ratio = (n - hits) / (hits + 1) * (toward + hits) / (away + n - hits - 1)
    log_pmf = np.concatenate([[0.0], np.cumsum(np.log(ratio))])
    pmf = np.exp(log_pmf - log_pmf.max())
    return pmf / pmf.sum()


def _shortest(n: int, mean: float, variance: float) -> tuple[int, int]:
    """Ends of the shortest interval of a count of n with this mean and variance that holds at least `LEVEL`."""
    if n == 0 or not 0 < mean < n:
        return (round(mean), round(mean))
    share = mean / n
    widest = variance / (n * share * (1 - share))  # 1 = binomial, n = all or nothing
    if widest <= 1 + 1e-9 or n == 1:
        pmf = _beta_binomial(n, share * 1e9, (1 - share) * 1e9)
    else:
        size = (n - widest) / (widest - 1) if widest < n else 1e-3
        pmf = _beta_binomial(n, share * size, (1 - share) * size)
    total = np.concatenate([[0.0], np.cumsum(pmf)])
    held_lh = total[None, 1:] - total[:-1, None]  # probability from the low end to the high end
    width_lh = np.arange(n + 1)[None, :] - np.arange(n + 1)[:, None]
    fits = (held_lh >= LEVEL) & (width_lh >= 0)
    narrowest = width_lh[fits].min()
    low, high = max(np.argwhere(fits & (width_lh == narrowest)), key=lambda ends: held_lh[tuple(ends)])
    return int(low), int(high)
