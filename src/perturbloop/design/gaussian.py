"""The posterior of the evidence channel as a surrogate."""

from typing import final

import numpy as np

from perturbloop.design.belief import Belief
from perturbloop.design.ground import Ground
from perturbloop.design.surrogate import THRESHOLD, Measured, Surrogate, opened
from perturbloop.evidence.posterior import posterior


@final
class GaussianPosterior(Surrogate):
    """A Gaussian process over the collections whose prior variance belongs to the gene; see `evidence.posterior`."""

    name = "posterior"
    meaning = "Gaussian process over gene sets and networks"

    def believe(self, ground: Ground, measured: Measured, rng: np.random.Generator) -> Belief:
        """Say what is believed of every gene; see `Surrogate.believe`."""
        error_p = np.minimum(np.nan_to_num(measured.se_p / measured.spread, nan=1.0), 1.0)
        found = posterior(
            ground.kernels,
            ground.scales,
            np.full(len(ground.gene_ids), np.nan),
            measured.place_p,
            measured.scaled_p,
            np.where(error_p > 0, error_p, 1.0),
            threshold=THRESHOLD,
        )
        open_g, known_g = opened(ground, measured)
        return Belief(
            gene_ids=ground.gene_ids,
            mean_g=np.abs(found.mean_g),
            sd_g=found.sd_g,
            probability_g=found.probability_g + found.away_g,
            open_g=open_g,
            kernel=ground.likeness,
            prior_g=ground.prior_g,
            draw=lambda rng, n: np.abs(found.draw(rng, n)),
            known_g=known_g,
        )
