"""What a scoreboard with so few hits can show."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

MOST_HITS, OTHERS_PER_HIT, LEAST_OTHERS = 60, 10, 300
"""Most hits that are simulated, and how many other genes beside them: what a genome-wide screen can afford."""


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
    samples: int = 300,
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
    samples
        Bootstrap samples over genes in each.

    Returns
    -------
    `Power`; its `sentence` is meant for the report.

    Notes
    -----
    Binormal: other genes score :math:`N(0, 1)`, hits :math:`N(\sqrt 2\,\Phi^{-1}(\mathrm{AUROC}), 1)`; intervals are
    percentiles of the bootstrap over genes, as on the scoreboard, samples without hits left out. Real scores are
    not normal, and real hits not independent; the sentence is about orders of magnitude. Of many genes a part is drawn:
    beyond ten other genes a hit the width hardly depends on their number, and with more than 60 hits it falls with the
    square root of the number of hits.

    Examples
    --------
    >>> few, many = (power(n, 10 * n, rng=np.random.default_rng(0), simulations=50) for n in (3, 30))
    >>> few.detection < many.detection, few.half_width > many.half_width
    (True, True)
    """
    if n_hits < 1 or n_hits >= n_genes:
        return Power(n_hits, n_genes, low, high, np.nan, 0.0, simulations)
    shift = np.sqrt(2) * norm.ppf([low, high])
    drawn_hits = min(n_hits, MOST_HITS)
    drawn = drawn_hits + min(n_genes - n_hits, max(OTHERS_PER_HIT * drawn_hits, LEAST_OTHERS))
    hit_n = np.arange(drawn) < drawn_hits
    widths, detected = np.empty(simulations), np.empty(simulations, dtype=bool)
    for study in range(simulations):
        score_2n = _correlated(rng, drawn, correlation) + np.outer(shift, hit_n)
        copies_bn = rng.multinomial(drawn, np.full(drawn, 1 / drawn), size=samples)
        weak_b, strong_b = (_auroc_of_copies(score_n, hit_n, copies_bn) for score_n in score_2n)
        ends = np.nanpercentile(strong_b, [2.5, 97.5])
        widths[study] = (ends[1] - ends[0]) / 2
        detected[study] = np.nanpercentile(strong_b - weak_b, 2.5) > 0
    half_width = float(widths.mean()) * np.sqrt(drawn_hits / n_hits)
    return Power(n_hits, n_genes, low, high, float(half_width), float(detected.mean()), simulations)


def _correlated(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    first_n, second_n = rng.normal(size=(2, n))
    return np.vstack([first_n, correlation * first_n + np.sqrt(1 - correlation**2) * second_n])


def _auroc_of_copies(score_n: np.ndarray, hit_n: np.ndarray, copies_bn: np.ndarray) -> np.ndarray:
    """AUROC of each bootstrap sample from how often it drew each gene; ties have probability zero."""
    above = (score_n[hit_n][:, None] > score_n[~hit_n]).astype(float)
    hits_bh, others_bm = copies_bn[:, hit_n].astype(float), copies_bn[:, ~hit_n].astype(float)
    pairs_b = hits_bh.sum(axis=1) * others_bm.sum(axis=1)
    won_b = ((hits_bh @ above) * others_bm).sum(axis=1)
    return np.divide(won_b, pairs_b, out=np.full(len(pairs_b), np.nan), where=pairs_b > 0)
