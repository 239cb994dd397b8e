"""Cells that carry a guide and still look like controls: an estimate after mixscape, with its doubts."""

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import sparse, stats
from sklearn.mixture import GaussianMixture

from perturbloop.stats.correct import benjamini_hochberg

LEAST_CELLS = 40
"""Fewest cells of a target, and of its controls, in which escaping cells are looked for."""
LEAST_GENES = 5
"""Fewest genes that must differ for the target to have a direction of its own."""
LEAST_GAP = 1.5
"""Least distance between the two groups, in their common standard deviation, at which they can be told apart."""


def looks_like_control(
    expression_ng: sparse.csr_matrix,
    replicate_n: Shaped[np.ndarray, " n"],
    is_control_n: Bool[np.ndarray, " n"],
    *,
    rng: np.random.Generator,
) -> Float[np.ndarray, " n"] | None:
    r"""Probability that a cell of one target looks like a control cell, along the target's own direction.

    High = the cell escaped: its guide did nothing, or did not reach it.

    Parameters
    ----------
    expression_ng
        Log-normalized expression of the target's cells and of control cells, without the target's own gene.
    replicate_n, is_control_n
        Replicate of each cell, and whether it is a control.
    rng
        Deals the cells to halves, and starts the mixture. Drawn, since every second cell of a file may be of one kind.

    Returns
    -------
    One probability per cell, controls included; `None` where cells are too few, too few genes differ, or the two groups
    overlap so much that cells cannot be told apart.

    Notes
    -----
    The direction is the difference of means over the genes that differ (Welch, Benjamini-Hochberg 0.05), found in one half of
    the cells and read in the other, so that no cell makes its own direction. A mixture of two normals with one common
    variance (scikit-learn) is fitted to all cells, starting at the controls and at the target; it must fit better than one
    normal (BIC). As in mixscape
    :cite:`papalexi2021`, a weak perturbation that acts on every cell looks like a strong one that some cells escape.
    """
    if min(is_control_n.sum(), (~is_control_n).sum()) < LEAST_CELLS:
        return None
    centered_ng = _centered(expression_ng.toarray(), replicate_n, is_control_n)
    half_n = np.zeros(len(is_control_n), dtype=bool)
    for group_n in (is_control_n, ~is_control_n):
        half_n[rng.permutation(np.flatnonzero(group_n))[::2]] = True
    place_n = np.zeros(len(is_control_n))
    for found_n in (half_n, ~half_n):
        direction_g = _direction(centered_ng[found_n], is_control_n[found_n])
        if direction_g is None:
            return None
        read_ng = centered_ng[~found_n] @ direction_g
        control = read_ng[is_control_n[~found_n]]
        place_n[~found_n] = (read_ng - control.mean()) / control.std()
    means = np.array([[0.0], [place_n[~is_control_n].mean()]])
    start = int(rng.integers(2**31))
    mixture = GaussianMixture(2, covariance_type="tied", means_init=means, random_state=start)
    mixture.fit(place_n[:, None])
    center = mixture.means_.ravel()
    one = GaussianMixture(1).fit(place_n[:, None])
    apart = abs(center[1] - center[0]) >= LEAST_GAP * np.sqrt(mixture.covariances_[0, 0])
    if not apart or mixture.bic(place_n[:, None]) >= one.bic(place_n[:, None]):
        return None
    return mixture.predict_proba(place_n[:, None])[:, int(np.argmin(np.abs(center)))]


def escape_share(like_n: Float[np.ndarray, " n"], is_control_n: Bool[np.ndarray, " n"]) -> float:
    """Share of a group of cells that escaped: how control-like they are, relative to how control-like controls are.

    >>> escape_share(np.array([0.9, 0.9, 0.45]), np.array([True, True, False]))
    0.5
    """
    return float(np.clip(like_n[~is_control_n].mean() / like_n[is_control_n].mean(), 0, 1))


def _centered(expression_ng: np.ndarray, replicate_n: np.ndarray, is_control_n: np.ndarray) -> np.ndarray:
    centered_ng = expression_ng.astype(np.float64)
    for name in np.unique(replicate_n.astype(str)):
        here_n = replicate_n == name
        centered_ng[here_n] -= centered_ng[here_n & is_control_n].mean(axis=0)
    return centered_ng


def _direction(centered_ng: np.ndarray, is_control_n: np.ndarray) -> np.ndarray | None:
    """Mean difference over the genes that differ, 0 elsewhere; `None` where too few do."""
    own_ng, control_ng = centered_ng[~is_control_n], centered_ng[is_control_n]
    varies_g = (own_ng.std(axis=0) > 0) & (control_ng.std(axis=0) > 0)
    pvalue_g = np.ones(centered_ng.shape[1])
    pvalue_g[varies_g] = stats.ttest_ind(own_ng[:, varies_g], control_ng[:, varies_g], equal_var=False).pvalue
    differs_g = benjamini_hochberg(pvalue_g) < 0.05
    if differs_g.sum() < LEAST_GENES:
        return None
    return np.where(differs_g, own_ng.mean(axis=0) - control_ng.mean(axis=0), 0.0)
