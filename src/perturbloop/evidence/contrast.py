"""One target against its controls: its guides pooled, its weight on every cell, its replicates."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.data.perturbed import PerturbedCells
from perturbloop.evidence.guides import KnockDown, Quality, quality
from perturbloop.evidence.replicates import ReplicateEffects, replicate_effects
from perturbloop.stats.pool import Pooled, between_variance, pool

PRIOR_DF = 4
"""Weight of the control cells' variance in a target's own, in degrees of freedom."""
LEAST_CONTROL_GUIDES = 3
"""Fewest control guides from which the spread of inert guides is learnt."""


@dataclass(frozen=True)
class GuideSpread:
    """How far inert guides differ from each other, beyond what their cells explain."""

    variance: float
    """Variance between guides, in squared standard deviations of control cells."""
    df: float
    """Degrees of freedom behind it."""
    source: str
    """What it was learnt from, in words."""
    from_controls: bool = False
    """Whether it was learnt from control guides; where it was not, p-values may be too small."""


@dataclass(frozen=True)
class Contrast:
    """One target against its controls."""

    pooled: Pooled
    guides: list[str]
    mean_r: np.ndarray
    variance_r: np.ndarray
    cells_r: np.ndarray
    shared_variance: float
    cell_df: float
    n_replicates: int
    weight_n: np.ndarray
    """Weight of every cell of the file, so that the effect is the weighted sum of scores over the spread."""
    spread: float
    replicates: ReplicateEffects
    quality: Quality
    found: KnockDown | None


def centered(
    score_n: np.ndarray, replicate_n: np.ndarray, control_n: np.ndarray
) -> tuple[Float[np.ndarray, " n"], float]:
    """Scores minus the control mean of their replicate, in control standard deviations; and that deviation."""
    mean = pd.Series(score_n[control_n]).groupby(replicate_n[control_n]).mean()
    centered_n = score_n - pd.Series(replicate_n).map(mean).to_numpy(dtype=float)
    df = int(control_n.sum()) - len(mean)
    spread = float(np.sqrt((centered_n[control_n] ** 2).sum() / df))
    return centered_n / (spread or 1.0), spread


def contrast_of(
    score_n: np.ndarray,
    perturbed: PerturbedCells,
    target_n: np.ndarray,
    control_n: np.ndarray,
    guide_spread: GuideSpread,
    *,
    found: KnockDown | None = None,
) -> Contrast:
    """Compare the cells of one target with controls.

    Parameters
    ----------
    score_n
        State score of every cell of the file; positive = toward the goal.
    perturbed
        The cells, with guides and replicates.
    target_n, control_n
        Whether a cell is of the target, or one of its controls.
    guide_spread
        Spread of inert guides.
    found
        What each guide did to the target's RNA, where that is known.
    """
    rows_n = np.flatnonzero(target_n | control_n)
    replicate_n, is_control_n = perturbed.replicate_n[rows_n], control_n[rows_n]
    named = perturbed.guide_n is not None
    guide_n = (
        perturbed.guide_n[rows_n] if perturbed.guide_n is not None else np.full(len(rows_n), "", dtype=object)
    )
    centered_n, spread = centered(score_n[rows_n], replicate_n, is_control_n)
    own_n = ~is_control_n
    by_guide = pd.Series(centered_n[own_n]).groupby(guide_n[own_n])
    cells_r, mean_r = by_guide.size().to_numpy(), by_guide.mean().to_numpy()
    within = float(((centered_n[own_n] - by_guide.transform("mean").to_numpy()) ** 2).sum())
    cell_df = float(cells_r.sum() - len(cells_r) + PRIOR_DF)
    variance_r = (within + PRIOR_DF) / cell_df / cells_r
    share = pd.Series(replicate_n[own_n]).value_counts(normalize=True)
    shared_variance = _control_variance(
        share, replicate_n[is_control_n], guide_n[is_control_n] if named else None, guide_spread
    )
    judged = quality(
        perturbed.modality,
        found,
        mean_r,
        variance_r,
        null_variance=guide_spread.variance,
        shared_variance=shared_variance,
    )
    pooled = pool(
        mean_r,
        variance_r,
        null_variance=guide_spread.variance,
        shared_variance=shared_variance,
        null_df=guide_spread.df,
        cell_df=cell_df,
        quality_r=judged.weight_r,
    )
    per_cell = pd.Series(pooled.weight_r / cells_r, index=by_guide.size().index)
    weight_n = np.zeros(len(score_n))
    weight_n[rows_n[own_n]] = pd.Series(guide_n[own_n]).map(per_cell).to_numpy(dtype=float)
    against = pd.Series(weight_n[rows_n[own_n]]).groupby(replicate_n[own_n]).sum()
    weight_n[rows_n[is_control_n]] = _spread_over_controls(-against, replicate_n[is_control_n])
    guides = [str(guide) for guide in per_cell.index]
    by_replicate = replicate_effects(
        centered_n, weight_n[rows_n], replicate_n, is_control_n, within=(within + PRIOR_DF) / cell_df
    )
    return Contrast(
        pooled,
        guides,
        mean_r,
        variance_r,
        cells_r,
        shared_variance,
        cell_df,
        len(share),
        weight_n,
        spread,
        by_replicate,
        judged,
        found,
    )


def _spread_over_controls(share: pd.Series, replicate_c: np.ndarray) -> np.ndarray:
    """Weight of each control cell, so that those of a replicate sum to its share."""
    count = pd.Series(replicate_c).value_counts()
    return (
        pd.Series(replicate_c).map(share.reindex(count.index, fill_value=0.0) / count).to_numpy(dtype=float)
    )


def _control_variance(
    share: pd.Series, replicate_c: np.ndarray, guide_c: np.ndarray | None, guide_spread: GuideSpread
) -> float:
    """Sampling variance of the control mean a target is compared with: its cells, and its few guides."""
    weight_c = _spread_over_controls(share, replicate_c)
    by_cell = float((weight_c**2).sum())
    if guide_c is None:
        return by_cell
    return by_cell + guide_spread.variance * float((pd.Series(weight_c).groupby(guide_c).sum() ** 2).sum())


def spread_of_inert(score_n: np.ndarray, perturbed: PerturbedCells) -> GuideSpread:
    """Spread of inert guides: between control guides, else the typical spread between guides of one target."""
    if perturbed.guide_n is None:
        return GuideSpread(0.0, np.inf, "no guides are named, so guides are taken not to differ")
    centered_n, _ = centered(score_n, perturbed.replicate_n, perturbed.is_control_n)
    table = pd.DataFrame({"score": centered_n, "target": perturbed.target_n, "guide": perturbed.guide_n})
    spread = {}
    for target, cells in table.groupby("target"):
        by_guide = cells.groupby("guide")["score"]
        if by_guide.ngroups > 1:
            variance = between_variance(by_guide.mean().to_numpy(), 1 / by_guide.size().to_numpy())
            spread[str(target)] = variance, by_guide.ngroups
    variance, n_guides = spread.pop(perturbed.control, (0.0, 1))
    if n_guides >= LEAST_CONTROL_GUIDES:
        return GuideSpread(variance, n_guides - 1.0, f"{n_guides} control guides", from_controls=True)
    if not spread:
        return GuideSpread(
            0.0, np.inf, "neither controls nor targets have several guides, so they are taken not to differ"
        )
    typical = float(np.median([value for value, _ in spread.values()]))
    return GuideSpread(
        typical, float(len(spread)), f"median over {len(spread)} targets, for want of control guides"
    )
