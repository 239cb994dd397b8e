"""What a scoreboard with so few hits can show."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from perturbloop.schema import Judged
from perturbloop.stats.delong import components, difference_of, interval_of


@dataclass(frozen=True)
class Power:
    """How sure a comparison of two methods on so many genes can be."""

    n_hits: int
    n_genes: int
    low: float
    high: float
    """True AUROC of the weaker and of the better method."""
    half_width: float
    """Mean half-width of the 95 % interval of the better method's AUROC; NaN without hits."""
    detection: float
    """Probability that the 95 % paired interval of the gain lies above zero."""
    n_simulations: int

    @property
    def sentence(self) -> str:
        """The same in words, for a report."""
        if np.isnan(self.half_width):
            return f"With {self.n_hits} hits among {self.n_genes} genes nothing can be told apart."
        return (
            f"With {self.n_hits} hits among {self.n_genes} genes an AUROC of {self.high:.2f} has a 95 % interval of "
            f"about ±{self.half_width:.2f}, and a true gain from {self.low:.2f} to {self.high:.2f} would be detected "
            f"in {100 * self.detection:.0f} of 100 studies."
        )


def power(
    n_hits: int,
    n_genes: int,
    *,
    rng: np.random.Generator,
    low: float = 0.60,
    high: float = 0.85,
    correlation: float = 0.0,
    simulations: int = 300,
) -> Power:
    r"""Simulate two methods with known AUROC on as many hits and genes as there are.

    Parameters
    ----------
    n_hits, n_genes
        Hits and genes of the scoreboard.
    rng
        Source of the simulation.
    low, high
        True AUROC of the two methods.
    correlation
        Correlation of their scores within hits and within other genes.
    simulations
        Simulated studies.

    Returns
    -------
    `Power`; its `sentence` is meant for the report.

    Notes
    -----
    Binormal: other genes score :math:`N(0, 1)`, hits :math:`N(\sqrt 2\,\Phi^{-1}(\mathrm{AUROC}), 1)` :cite:`hanley1982`; intervals and
    paired comparisons are DeLong's, as on the scoreboard. Real scores are not normal, and real hits not independent; the sentence
    is about orders of magnitude. Of a single hit no comparison has an interval, so nothing is detected.

    Examples
    --------
    >>> few, many = (power(n, 10 * n, rng=np.random.default_rng(0), simulations=50) for n in (3, 30))
    >>> few.detection < many.detection, few.half_width > many.half_width
    (True, True)
    """
    if n_hits < 1 or n_hits >= n_genes:
        return Power(n_hits, n_genes, low, high, np.nan, 0.0, simulations)
    shift = np.sqrt(2) * norm.ppf([low, high])
    hit_n = np.arange(n_genes) < n_hits
    widths, detected = np.empty(simulations), np.empty(simulations, dtype=bool)
    for study in range(simulations):
        weak_n, strong_n = _correlated(rng, n_genes, correlation) + np.outer(shift, hit_n)
        at_hit_rh, at_other_ro = components(hit_n, np.stack([strong_n, weak_n]))
        interval = interval_of(at_hit_rh[0], at_other_ro[0])
        widths[study] = (interval.high - interval.low) / 2
        detected[study] = difference_of(at_hit_rh, at_other_ro).low > 0
    return Power(n_hits, n_genes, low, high, float(widths.mean()), float(detected.mean()), simulations)


def judged_targets(judged: pd.DataFrame, *, seed: int) -> tuple[Judged, ...]:
    """Say for each modality what so many held-out hits can tell.

    Parameters
    ----------
    judged
        EFFECTS rows that rankings are judged by.
    seed
        Of the simulated studies.
    """
    rows = judged[judged["level"].eq("gene") & judged["fold"].ge(0)]
    said = []
    for modality, group in rows.groupby("modality"):
        n_hits = int((group["hit"].astype(bool) & group["effect_to_goal"].gt(0)).sum())
        says = power(n_hits, len(group), rng=np.random.default_rng(seed)).sentence
        said.append(Judged(modality=str(modality), n_genes=len(group), n_hits=n_hits, sentence=says))
    return tuple(said)


def _correlated(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    first_n, second_n = rng.normal(size=(2, n))
    return np.vstack([first_n, correlation * first_n + np.sqrt(1 - correlation**2) * second_n])
