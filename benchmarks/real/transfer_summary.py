"""What the panels say: a table for each kind and size, and paired differences with intervals over panels and hits."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
SAMPLES = 1000
"""Bootstrap samples of panels and hits together."""
PAIRS = (
    ("posterior", "permuted effects"),
    ("posterior, no lineage", "permuted effects, no lineage"),
    ("posterior", "prior alone"),
    ("posterior", "static pathway"),
    ("posterior", "ridge"),
    ("posterior", "posterior with an in-silico score of other genes"),
    ("posterior", "posterior with ISP"),
)
"""Methods whose difference is told."""


class Interval(NamedTuple):
    """A mean difference and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def summary(played: pd.DataFrame) -> str:
    """Write everything as Markdown."""
    parts = []
    for (how, k), rows in played.groupby(["panel", "k"], sort=False):
        lines = [
            f"{how}, k = {k}: {rows['n_hits'].mean():.0f} hits still to find among {rows['n_genes'].mean():,.0f} genes",
            "",
            "| method | AUROC | outside the pathway | negative regulators | average precision | among the best 50 |",
            "|---|---|---|---|---|---|",
        ]
        for method, own in rows.groupby("method", sort=False):
            spread = f"{own['auroc'].mean():.3f} ± {own['auroc'].std(ddof=1):.3f}"
            names = ("auroc_outside", "auroc_away", "average_precision", "precision_at_50")
            lines.append(
                f"| {method} | {spread} | {' | '.join(f'{own[name].mean():.3f}' for name in names)} |"
            )
        told = [
            f"| {one} − {other} | {_words(found['auroc'])} | {_words(found['average_precision'])} |"
            for one, other, found in differences(rows)
        ]
        head = ["", "| difference | AUROC | average precision |", "|---|---|---|"]
        parts.append("\n".join([*lines, *head, *told]))
    return "\n\n".join(parts) + "\n"


def differences(rows: pd.DataFrame) -> Iterator[tuple[str, str, dict[str, Interval]]]:
    """Paired differences of methods on the same panels, with intervals over panels *and* hits, which all panels share."""
    n_others = float((rows["n_genes"] - rows["n_hits"]).mean())
    statistics: dict[str, Statistic] = {
        "auroc": lambda place_ph, weight_h: 1 - _mean(place_ph, weight_h) / n_others,
        "average_precision": average_precision,
    }
    found = {
        method: np.stack(own.sort_values("seed")["places"].to_list())
        for method, own in rows.groupby("method")
    }
    for one, other in PAIRS:
        if one in found and other in found:
            yield (
                one,
                other,
                {name: paired(found[one], found[other], make) for name, make in statistics.items()},
            )


def paired(
    one_ph: Float[np.ndarray, "p h"],
    other_ph: Float[np.ndarray, "p h"],
    statistic: Statistic,
    *,
    n_samples: int = SAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean difference of a statistic over panels, and its interval by drawing panels and hits anew.

    Parameters
    ----------
    one_ph, other_ph
        How many other genes stand above each hit in the rankings of two methods, panels × hits; missing where the panel measured it.
    statistic
        Such places and how often each hit counts -> one number per panel.
    n_samples, seed
        Of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    n_panels, n_hits = one_ph.shape

    def gain(weight_h: np.ndarray, panels: np.ndarray) -> float:
        return float(np.nanmean(statistic(one_ph[panels], weight_h) - statistic(other_ph[panels], weight_h)))

    weights = rng.multinomial(n_hits, np.full(n_hits, 1 / n_hits), size=n_samples)
    drawn = [gain(weight_h, rng.integers(n_panels, size=n_panels)) for weight_h in weights]
    return Interval(gain(np.ones(n_hits), np.arange(n_panels)), *np.nanquantile(drawn, (0.025, 0.975)))


def average_precision(place_ph: np.ndarray, weight_h: np.ndarray) -> np.ndarray:
    """Average precision of each panel, each hit counted so often.

    >>> average_precision(np.array([[0.0, 1.0, np.nan]]), np.ones(3)).round(3)
    array([0.833])
    """
    order = np.argsort(place_ph, axis=1)
    sorted_ph = np.take_along_axis(place_ph, order, axis=1)
    weight_ph = np.where(np.isnan(sorted_ph), 0.0, weight_h[order])
    above_ph = np.cumsum(weight_ph, axis=1)
    precision_ph = above_ph / np.maximum(above_ph + np.nan_to_num(sorted_ph), 1e-12)
    return (precision_ph * weight_ph).sum(axis=1) / np.where(above_ph[:, -1] > 0, above_ph[:, -1], np.nan)


def _mean(place_ph: np.ndarray, weight_h: np.ndarray) -> np.ndarray:
    weight_ph = np.where(np.isnan(place_ph), 0.0, weight_h)
    total_p = weight_ph.sum(axis=1)
    return (np.nan_to_num(place_ph) * weight_ph).sum(axis=1) / np.where(total_p > 0, total_p, np.nan)


def _words(found: Interval) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
