"""A random forest as a check: where it finds as many hits, what is linear is no luck."""

from typing import final

import numpy as np
from scipy.stats import norm

from perturbloop.design.belief import Belief
from perturbloop.design.ground import Ground
from perturbloop.design.surrogate import THRESHOLD, Measured, Surrogate, opened

TREES = 100
"""Trees of the forest."""
LEAST_GENES = 3
"""Fewest measured genes of a leaf."""


@final
class Forest(Surrogate):
    """A random forest on the size of effects :cite:`breiman2001`; its spread over trees is the standard deviation."""

    name = "forest"
    meaning = "random forest on the size of effects"

    def believe(self, ground: Ground, measured: Measured, rng: np.random.Generator) -> Belief:
        """Say what is believed of every gene; see `Surrogate.believe`."""
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(
            TREES,
            min_samples_leaf=LEAST_GENES,
            max_features="sqrt",
            n_jobs=1,
            random_state=int(rng.integers(2**31)),
        )
        forest.fit(ground.dense[measured.place_p], np.abs(measured.scaled_p))
        tree_tg = np.array([tree.predict(ground.dense) for tree in forest.estimators_], dtype=float)
        mean_g, sd_g = tree_tg.mean(axis=0), np.maximum(tree_tg.std(axis=0), 1e-9)
        open_g, known_g = opened(ground, measured)
        return Belief(
            gene_ids=ground.gene_ids,
            mean_g=mean_g,
            sd_g=sd_g,
            probability_g=norm.sf((THRESHOLD - mean_g) / sd_g),
            open_g=open_g,
            kernel=ground.likeness,
            prior_g=ground.prior_g,
            draw=lambda rng, n: tree_tg[rng.integers(len(tree_tg), size=n)],
            known_g=known_g,
        )
