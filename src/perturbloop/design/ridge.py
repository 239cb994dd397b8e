"""The rule to beat: a linear rule of the size of the effect, and half the size of a linear rule of the effect."""

from functools import partial
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from perturbloop.design.belief import Belief
from perturbloop.design.ground import Ground
from perturbloop.design.surrogate import THRESHOLD, Measured, Surrogate, opened
from perturbloop.stats.ridge import ridges

SIGNED = 0.5
"""Weight of the signed rule."""


@final
class RidgeOfSize(Surrogate):
    r"""Ridge on the size of effects plus half the size of the ridge on effects.

    Notes
    -----
    The size finds genes whose neighbors act either way, the signed rule finds modules that act one way, which noise does not. Features are
    the collections' vectors, each collection of the same total variance, and standardized numbers (`Ground.features`); the penalty is
    chosen by leaving out each measured gene. The assumption a reviewer would attack: whatever a gene does is a sum over what it belongs
    to.
    """

    name = "ridge"
    meaning = "ridge on the size of effects plus half the signed ridge"

    def believe(self, ground: Ground, measured: Measured, rng: np.random.Generator) -> Belief:
        """Say what is believed of every gene; see `Surrogate.believe`."""
        effect_p = measured.scaled_p
        score_g, error = _score(ground, measured.place_p, effect_p)
        open_g, known_g = opened(ground, measured)
        return Belief(
            gene_ids=ground.gene_ids,
            mean_g=score_g,
            sd_g=np.full(len(score_g), error),
            probability_g=norm.sf((THRESHOLD - score_g) / error),
            open_g=open_g,
            kernel=ground.likeness,
            prior_g=ground.prior_g,
            draw=partial(_draw, ground, measured.place_p, effect_p),
            known_g=known_g,
        )


def _score(
    ground: Ground, place_p: Int[np.ndarray, " p"], effect_p: Float[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, " g"], float]:
    """Expected size of each gene's effect, and the error of that of a gene left out."""
    size, signed = ridges(ground.features[place_p], np.column_stack([np.abs(effect_p), effect_p]))
    score_g = size.predict(ground.features) + SIGNED * np.abs(signed.predict(ground.features))
    return score_g, max(size.error, 1e-9)


def _draw(
    ground: Ground,
    place_p: Int[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    rng: np.random.Generator,
    n: int,
) -> Float[np.ndarray, "n g"]:
    """Expectations of the rule on measured genes drawn with replacement: the bootstrap in the place of a posterior."""
    drawn_np = rng.integers(len(place_p), size=(n, len(place_p)))
    return np.array([_score(ground, place_p[one], effect_p[one])[0] for one in drawn_np], dtype=float)
