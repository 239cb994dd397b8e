"""What each replicate says of a target, and how far replicates disagree."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from perturbloop.stats.pool import between_variance


@dataclass(frozen=True)
class ReplicateEffects:
    """Effect of one target in each replicate; axes: replicates, in the order of `names`."""

    names: list[str]
    """Replicates that hold cells of the target."""
    mean_r: Float[np.ndarray, " r"]
    """Effect in each, against its own controls; positive = toward the goal."""
    variance_r: Float[np.ndarray, " r"]
    """Sampling variance of each: cells and controls."""
    cells_r: Float[np.ndarray, " r"]
    """Cells of the target in each."""
    share_r: Float[np.ndarray, " r"]
    """Share of each in the target's effect; they sum to 1."""

    @property
    def between(self) -> float:
        """Variance between replicates beyond sampling (DerSimonian and Laird); 0 for one replicate."""
        return between_variance(self.mean_r, self.variance_r)

    def added(self, variance: float) -> float:
        """Add to the squared error of the effect what replicates that vary by this much make uncertain."""
        return variance * float((self.share_r**2).sum())


def replicate_effects(
    centered_n: Float[np.ndarray, " n"],
    weight_n: Float[np.ndarray, " n"],
    replicate_n: Shaped[np.ndarray, " n"],
    is_control_n: Bool[np.ndarray, " n"],
    *,
    within: float,
) -> ReplicateEffects:
    """Part the effect of one target by replicate.

    Parameters
    ----------
    centered_n
        Scores of the target's cells and of their controls, minus the mean of the controls of the same replicate, in
        standard deviations of controls.
    weight_n
        Weight of each of the target's cells in its effect; they sum to 1. That of controls is not read.
    replicate_n, is_control_n
        Replicate of each cell, and whether it is a control.
    within
        Variance of the target's cells within guides, in the same unit squared; that of controls is 1.

    Examples
    --------
    >>> found = replicate_effects(
    ...     np.array([1.0, 3.0, 0.0, 0.0]),
    ...     np.array([0.5, 0.5, 0.0, 0.0]),
    ...     np.array(["a", "b", "a", "b"]),
    ...     np.array([False, False, True, True]),
    ...     within=1.0,
    ... )
    >>> found.mean_r, found.variance_r, found.between
    (array([1., 3.]), array([2., 2.]), 0.0)
    """
    own = pd.DataFrame(
        {"weight": weight_n, "square": weight_n**2, "product": weight_n * centered_n, "cells": 1.0}
    )[~is_control_n]
    sums = own.groupby(replicate_n[~is_control_n].astype(str)).sum()
    controls = pd.Series(replicate_n[is_control_n].astype(str)).value_counts().reindex(sums.index)
    share_r = sums["weight"].to_numpy(dtype=float)
    return ReplicateEffects(
        names=[str(name) for name in sums.index],
        mean_r=sums["product"].to_numpy(dtype=float) / share_r,
        variance_r=within * sums["square"].to_numpy(dtype=float) / share_r**2
        + 1 / controls.to_numpy(dtype=float),
        cells_r=sums["cells"].to_numpy(dtype=float),
        share_r=share_r / share_r.sum(),
    )


def typical_variance(found: list[ReplicateEffects]) -> float:
    """Median variance between replicates over the targets that have several; 0 where none has.

    A target of two replicates tells little of how far replicates differ; most targets together tell more.
    """
    known = [one.between for one in found if len(one.names) > 1]
    return float(np.median(known)) if known else 0.0
