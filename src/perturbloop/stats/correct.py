"""Multiple testing."""

import numpy as np
from jaxtyping import Float
from statsmodels.stats.multitest import multipletests

from perturbloop.errors import InputError, some


def benjamini_hochberg(pvalue_g: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """False discovery rate at which each gene would just be called; small = surprising.

    Parameters
    ----------
    pvalue_g
        P-values, one per gene; NaN where a gene was not tested.

    Returns
    -------
    Adjusted p-values (padj), same order. Genes that were not tested stay NaN and do not count as tests.

    Notes
    -----
    Benjamini and Hochberg's step-up rule :cite:`benjamini1995` through statsmodels. It assumes independent or positively dependent
    tests; genes of one pathway are positively dependent, which the rule allows.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, np.nan]))
    array([0.02, 0.04,  nan])
    """
    tested = ~np.isnan(pvalue_g)
    outside = np.flatnonzero(tested & ((pvalue_g < 0) | (pvalue_g > 1)))
    if outside.size:
        msg = (
            f"P-values must lie between 0 and 1; these do not: {some(pvalue_g[outside])}. "
            "Give p-values, not scores or their logarithms."
        )
        raise InputError(msg)
    adjusted = np.full(pvalue_g.shape, np.nan)
    if tested.any():
        adjusted[tested] = multipletests(pvalue_g[tested], method="fdr_bh")[1]
    return adjusted
