"""Probability that a gene is measured as a hit, before earlier batches correct it."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import t as student

from perturbloop.schema import judges

BASE_RATE = 0.03
"""Probability of a hit before any was measured: the middle of 1 to 5 %, as screens of expressed genes find them."""
HEAVY_TAIL = 4
"""Degrees of freedom of the distribution of effects around their mean."""


def hit_probability(
    mean_g: Float[np.ndarray, " g"], sd_g: Float[np.ndarray, " g"], effects: pd.DataFrame, kind: str
) -> Float[np.ndarray, " g"]:
    r"""Probability that a gene is measured as a hit toward the goal.

    Parameters
    ----------
    mean_g, sd_g
        Expected effect toward the goal and its standard deviation, in the unit of the measured effects.
    effects
        EFFECTS rows.
    kind
        Kind of edit; the effects of its modalities say what was called a hit.

    Returns
    -------
    Probability of each gene, 0 to 1.

    Notes
    -----
    :math:`T_4((m_g - t) / \sqrt{s_g^2 + e^2})` with the median standard error e of the measured genes and the size t of an effect
    that parts their hits from the others best. Student's distribution stands in place of the normal, since true effects have heavy
    tails :cite:`gelman2013`. The assumption a reviewer would attack: all genes have the same tail.
    """
    judging = [judges(modality, kind) for modality in effects["modality"]]  # type: ignore[arg-type]
    rows = effects[effects["level"].eq("gene") & pd.Series(judging, index=effects.index, dtype=bool)]
    size_p, hit_p = rows["effect_to_goal"].abs().to_numpy(float), rows["hit"].to_numpy(bool)
    error = float(rows["se"].median())
    return student.cdf((mean_g - least_hit(size_p, hit_p)) / np.hypot(sd_g, error), HEAVY_TAIL)


def least_hit(size_p: Float[np.ndarray, " p"], hit_p: np.ndarray) -> float:
    """Absolute effect from which measured genes are hits, as well as one number can say; without hits, the largest effect.

    >>> least_hit(np.array([0.1, 0.4, 0.5, 0.9]), np.array([False, False, True, True]))
    0.5
    """
    if not hit_p.any():
        return float(size_p.max())
    marks = np.unique(size_p[hit_p])
    wrong = [int((hit_p & (size_p < mark)).sum() + (~hit_p & (size_p >= mark)).sum()) for mark in marks]
    return float(marks[int(np.argmin(wrong))])
