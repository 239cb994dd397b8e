"""What is believed of genes before a batch is chosen: what every surrogate gives and every acquisition reads."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from perturbloop.errors import DesignError
from perturbloop.evidence.kernels import Kernel

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""Random numbers and n → n joint draws of the effects, n × genes, in the unit of the mean."""


@dataclass(frozen=True)
class Belief:
    """Expected effects of one action on genes in one order, and which of them an experiment may be made of.

    Positive effects are toward the goal. Where both directions are wanted, as in a replay of two-sided hits, `mean_g` is of the
    size of the effect.
    """

    gene_ids: Shaped[np.ndarray, " g"]
    """Ensembl ids, or another id that is the same everywhere, each once."""
    mean_g: Float[np.ndarray, " g"]
    """Expected effect toward the goal by the action, in the unit of the measured effects."""
    sd_g: Float[np.ndarray, " g"]
    """Standard deviation of the true effect, same unit; 0 where nothing is known of it."""
    probability_g: Float[np.ndarray, " g"]
    """Probability of a hit, 0 to 1: an effect beyond the threshold in a wanted direction."""
    open_g: Bool[np.ndarray, " g"]
    """Whether the gene may be chosen now: expressed, can be perturbed, not measured, not in another batch."""
    kernel: Kernel | None = None
    """Which genes are alike, unit vectors in the same order: for coverage and for the cap on neighbors; None = not known."""
    prior_g: Float[np.ndarray, " g"] | None = None
    """Score before any measurement (lineage, expression, annotation), higher = rather a hit; NaN or None = none."""
    draw: Draw | None = None
    """Joint draws of the effects; without it they are drawn gene by gene from mean and standard deviation."""
    known_g: Bool[np.ndarray, " g"] | None = None
    """Whether the gene is measured or in another batch: coverage starts from these; None = none is."""

    @property
    def n_open(self) -> int:
        """How many genes may be chosen."""
        return int(self.open_g.sum())

    def without(self, place_p: Int[np.ndarray, " p"]) -> "Belief":
        """The same belief when the genes at these rows are in another batch."""
        taken_g = np.zeros(len(self.gene_ids), dtype=bool)
        taken_g[place_p] = True
        known_g = taken_g if self.known_g is None else self.known_g | taken_g
        return replace(self, open_g=self.open_g & ~taken_g, known_g=known_g)

    def draws(self, rng: np.random.Generator, n: int) -> Float[np.ndarray, "n g"]:
        """Effects as they may truly be, `n` times."""
        if self.draw is not None:
            return self.draw(rng, n)
        return self.mean_g + self.sd_g * rng.standard_normal((n, len(self.mean_g)))

    def require(self, budget: int) -> None:
        """Refuse a batch that cannot be filled.

        Raises
        ------
        DesignError
            If the budget is below 1 or above the number of open genes.
        """
        if budget < 1:
            msg = f"A batch holds at least 1 gene; the budget is {budget}. Raise it."
            raise DesignError(msg)
        if self.n_open < budget:
            msg = (
                f"A batch of {budget:,} genes needs as many that are expressed, can be perturbed, and are neither measured nor "
                f"in another batch; {self.n_open:,} are left. Lower the budget to at most {self.n_open:,}."
            )
            raise DesignError(msg)
