"""What every surrogate has in common: from measured effects to what is believed of the other genes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from perturbloop.design.belief import Belief
from perturbloop.design.ground import Ground

CLIP = 8.0
"""Effects beyond so many robust standard deviations count as that much: one gene of a screen must not outweigh all others."""
THRESHOLD = 2.0
"""Effect from which a gene is taken for a hit, in robust standard deviations."""


@dataclass(frozen=True)
class Measured:
    """Effects that were measured so far; all else a surrogate may look at is the ground."""

    place_p: Int[np.ndarray, " p"]
    """Rows of the measured genes."""
    effect_p: Float[np.ndarray, " p"]
    """Their effects, as done, positive = toward the goal; any unit."""
    se_p: Float[np.ndarray, " p"]
    """Standard errors, same unit; NaN where not known."""

    @property
    def spread(self) -> float:
        """Robust standard deviation of the measured effects (1.4826 MAD), same unit: most genes do nothing, so that it is noise."""
        center = np.median(self.effect_p)
        return float(1.4826 * np.median(np.abs(self.effect_p - center))) or float(self.effect_p.std()) or 1.0

    @property
    def scaled_p(self) -> Float[np.ndarray, " p"]:
        """Effects in robust standard deviations, clipped."""
        return np.clip(self.effect_p / self.spread, -CLIP, CLIP)


class Surrogate(ABC):
    """A rule that says of each gene what the measured ones foretell. Hits of either sign are wanted: effects are sizes."""

    name: str
    """Name in a policy."""
    meaning: str
    """What it is, in one sentence."""

    @abstractmethod
    def believe(self, ground: Ground, measured: Measured, rng: np.random.Generator) -> Belief:
        """Say what is believed of every gene.

        Parameters
        ----------
        ground
            What is known without a measurement.
        measured
            Effects so far; genes of them are closed in the belief.
        rng
            Source of any randomness.

        Returns
        -------
        `Belief` in robust standard deviations of the measured effects; every gene that is not measured is open.
        """


def opened(ground: Ground, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
    """Which genes are open and which are known, when nothing else is in a batch."""
    known_g = np.zeros(len(ground.gene_ids), dtype=bool)
    known_g[measured.place_p] = True
    return ~known_g, known_g
