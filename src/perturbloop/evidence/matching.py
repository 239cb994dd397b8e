"""Cells compared with cells of like depth, phase and type: what is left of a difference when these are held still.

Every cell has a score at several levels, as if only a share of its counts had been sequenced (`evidence.axis.LEVELS`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats


@dataclass(frozen=True)
class Contrast:
    """Cells of an arm against vehicle cells of the same donor and plate, in logits of the score."""

    raw: float
    """Difference of means as they are; positive = toward the goal."""
    matched: float
    """The same at equal depth, against vehicle cells weighted to the same phases and types; missing where none are alike."""
    composition: float
    """What the other shares of cell types alone would make of the vehicle's mean."""
    log_depth: float
    """Difference of mean log counts."""


def contrast(
    treated_l: Float[np.ndarray, "m l"],
    vehicle_l: Float[np.ndarray, "v l"],
    *,
    depths: tuple[Float[np.ndarray, " m"], Float[np.ndarray, " v"]],
    strata: tuple[Int[np.ndarray, " m"], Int[np.ndarray, " v"]],
    types: tuple[Int[np.ndarray, " m"], Int[np.ndarray, " v"]],
    levels: Float[np.ndarray, " l"],
) -> Contrast:
    """Compare treated cells with vehicle cells, as they are and matched.

    Parameters
    ----------
    treated_l, vehicle_l
        Score of each cell at each level.
    depths
        Log counts of each treated and each vehicle cell.
    strata
        What the two are matched by beside depth, a whole number for each cell: phase and type.
    types
        Cell type of each cell alone.
    levels
        Shares of the counts, the first 1, falling.

    Notes
    -----
    Depth: whichever side has more counts is read at the share that gives it the other's mean log counts. Phase and type: each
    vehicle cell weighs what its stratum's share among treated cells is to that among vehicle cells; treated cells of strata
    without a vehicle cell are left out. The assumption a reviewer would attack: what a compound does to depth, phase and
    composition is taken to be no part of the way back.
    """
    log_depth = float(depths[0].mean() - depths[1].mean())
    treated_m = at_level(treated_l, min(1.0, float(np.exp(-log_depth))), levels)
    vehicle_v = at_level(vehicle_l, min(1.0, float(np.exp(log_depth))), levels)
    return Contrast(
        raw=float(treated_l[:, 0].mean() - vehicle_l[:, 0].mean()),
        matched=_stratified(treated_m, vehicle_v, *strata),
        composition=_mixed(vehicle_l[:, 0], *types),
        log_depth=log_depth,
    )


def at_level(
    score_nl: Float[np.ndarray, "n l"], level: float, levels: Float[np.ndarray, " l"]
) -> Float[np.ndarray, " n"]:
    """Score of each cell at a share of its counts, interpolated between the levels in log share; the last level below them.

    Parameters
    ----------
    score_nl
        Score at each level.
    level
        Share of the counts, above 0.
    levels
        Shares, falling from 1.

    Examples
    --------
    >>> at_level(np.array([[0.0, 1.0]]), 0.5, np.array([1.0, 0.25]))
    array([0.5])
    """
    place = float(np.interp(-np.log(level), -np.log(levels), np.arange(len(levels))))
    low = min(int(place), len(levels) - 2)
    return score_nl[:, low] + (place - low) * (score_nl[:, low + 1] - score_nl[:, low])


def over_donors(value_d: Float[np.ndarray, " d"]) -> tuple[float, float, float]:
    """Mean over donors and its 95 % interval by Student's t; no interval with one donor.

    >>> [round(end, 2) for end in over_donors(np.array([0.2, 0.4, 0.6]))]
    [0.4, -0.1, 0.9]
    """
    known = value_d[np.isfinite(value_d)]
    if len(known) < 2:
        return float(known.mean()) if len(known) else np.nan, np.nan, np.nan
    half = stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return float(known.mean()), float(known.mean() - half), float(known.mean() + half)


def _stratified(treated_m: np.ndarray, vehicle_v: np.ndarray, own_m: np.ndarray, own_v: np.ndarray) -> float:
    """Mean over treated cells of their score less the mean of the vehicle cells of their stratum."""
    n = int(max(own_m.max(initial=0), own_v.max(initial=0))) + 1
    n_v = np.bincount(own_v, minlength=n)
    mean_s = np.bincount(own_v, vehicle_v, minlength=n) / np.maximum(n_v, 1)
    alike_m = n_v[own_m] > 0
    return float((treated_m - mean_s[own_m])[alike_m].mean()) if alike_m.any() else np.nan


def _mixed(vehicle_v: np.ndarray, type_m: np.ndarray, type_v: np.ndarray) -> float:
    """Mean of the vehicle's types at the treated shares, less its own mean; types the vehicle lacks are left out."""
    known_m = np.isin(type_m, type_v)
    if not known_m.any():
        return np.nan
    mean_of = {one: vehicle_v[type_v == one].mean() for one in np.unique(type_m[known_m])}
    return float(np.mean([mean_of[one] for one in type_m[known_m]]) - vehicle_v.mean())
