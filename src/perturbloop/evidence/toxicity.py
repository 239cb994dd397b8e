"""Whether a compound harms the cells it seems to help: cells lost, counts lost, division stopped, mitochondrial RNA up."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from perturbloop.evidence.matching import over_donors

FEW_DONORS = 3
"""Below so many donors an interval says little: then every donor must show the harm."""


@dataclass(frozen=True)
class Harm:
    """One sign of harm, by how it is told."""

    name: str
    limit: float
    """Ratio to the vehicle beyond which it is one: below it where that is below 1, else above."""
    enough: bool
    """Whether it says by itself that a compound is toxic; of the others it takes two."""


HARMS = (
    Harm("few cells", 0.7, True),
    Harm("shallow", 0.8, False),
    Harm("arrested", 0.5, False),
    Harm("mitochondrial", 1.5, False),
)
"""Of cells recovered, counts a cell, share of cells in S, G2 or M, and mitochondrial share of the counts."""
TOXIC = "toxic"


def harms(log_ratio_of: Mapping[str, Float[np.ndarray, " d"]]) -> tuple[str, ...]:
    """Signs of harm that an arm shows, `toxic` first where it is.

    Parameters
    ----------
    log_ratio_of
        By name of the sign, for each donor the log of the ratio to the vehicle; where the goal state's vehicle is nearer, the ratio to
        that, since a cell that is brought back may be smaller or divide less. Missing or absent = not measured.

    Notes
    -----
    A sign is shown where the mean over donors is beyond its limit and the 95 % interval excludes no change; with fewer than three
    donors, where each is beyond the limit. `few cells` is enough for `toxic`; of the others two are needed.

    Examples
    --------
    >>> harms({"few cells": np.log([0.3, 0.4, 0.35]), "shallow": np.log([1.0, 0.9, 1.1])})
    ('toxic', 'few cells')
    """
    shown = [
        harm for harm in HARMS if harm.name in log_ratio_of and _beyond(log_ratio_of[harm.name], harm.limit)
    ]
    toxic = any(harm.enough for harm in shown) or len(shown) >= 2
    return (*((TOXIC,) if toxic else ()), *(harm.name for harm in shown))


def _beyond(log_ratio_d: np.ndarray, limit: float) -> bool:
    known = log_ratio_d[np.isfinite(log_ratio_d)] * (1 if limit > 1 else -1)
    if not len(known):
        return False
    least = abs(np.log(limit))
    if len(known) < FEW_DONORS:
        return bool((known >= least).all())
    mean, low, _ = over_donors(known)
    return bool(mean >= least and low > 0)
