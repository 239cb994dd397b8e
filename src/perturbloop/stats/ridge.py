"""Ridge regression whose penalty is chosen by leaving each row out, in closed form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

PENALTIES = tuple(10.0 ** np.arange(-1, 6.5, 0.5))
"""Penalties that are tried, in squares of the unit of the features."""
_LARGEST_LEVERAGE = 0.999
_LEAST_SHARE = 1e-8
"""Directions of less than this share of the largest variance are rounding."""

Features = np.ndarray | sparse.csr_matrix


@dataclass(frozen=True)
class Ridge:
    """A linear rule."""

    weight_d: Float[np.ndarray, " d"]
    """Weight of each feature."""
    offset: float
    """What is predicted where all features are 0."""
    penalty: float
    """Penalty that was chosen."""
    error: float
    """Root mean square error of predictions of rows left out, unit of the target."""

    def predict(self, feature_gd: Features) -> Float[np.ndarray, " g"]:
        """Expected target of each row."""
        return np.asarray(feature_gd @ self.weight_d).ravel() + self.offset


def ridges(feature_pd: Features, target_pt: Float[np.ndarray, "p t"]) -> tuple[Ridge, ...]:
    r"""Fit each target by ridge regression, with the penalty that predicts rows left out best.

    Parameters
    ----------
    feature_pd
        Features of the rows that are known, dense or sparse, none missing; they are centered here, not scaled.
    target_pt
        Their targets, one rule a column.

    Returns
    -------
    A `Ridge` for each target.

    Notes
    -----
    In the dual: with :math:`K = F F^T = U S U^T` of centered features, the residual of row p when it is left out is
    :math:`(y_p - \hat y_p) / (1 - h_p)`, :math:`h = \mathrm{diag}(U \frac{S}{S + \lambda} U^T) + 1/n`, so that all penalties cost one
    decomposition of rows × rows :cite:`hastie2009`.

    Examples
    --------
    >>> feature = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> (rule,) = ridges(feature, 2 * feature + 1)
    >>> bool(abs(rule.predict(np.array([[10.0]])) - 21) < 0.5), rule.error < 0.2
    (True, True)
    """
    product: Any = feature_pd @ feature_pd.T
    dense_pp = product if isinstance(product, np.ndarray) else product.toarray()
    gram_pp = dense_pp.astype(float)
    row_p = gram_pp.mean(axis=0)
    value_r, vector_pr = np.linalg.eigh(gram_pp - row_p - row_p[:, None] + gram_pp.mean())
    kept = value_r > _LEAST_SHARE * max(float(value_r[-1]), 1e-300)
    value_r, vector_pr = value_r[kept], vector_pr[:, kept]
    mean_d = np.asarray(feature_pd.mean(axis=0)).ravel()
    found = []
    for target_p in target_pt.T:
        mean = float(target_p.mean())
        score_r = vector_pr.T @ (target_p - mean)
        errors = [_left_out(value_r, vector_pr, score_r, target_p - mean, one) for one in PENALTIES]
        best = int(np.argmin(errors))
        dual_p = vector_pr @ (score_r / (value_r + PENALTIES[best]))
        weight_d = np.asarray(feature_pd.T @ dual_p).ravel() - mean_d * dual_p.sum()
        offset = mean - float(mean_d @ weight_d)
        found.append(Ridge(weight_d, offset, float(PENALTIES[best]), errors[best]))
    return tuple(found)


def _left_out(
    value_r: np.ndarray, vector_pr: np.ndarray, score_r: np.ndarray, centered_p: np.ndarray, penalty: float
) -> float:
    """Root mean square residual of rows left out."""
    kept_r = value_r / (value_r + penalty)
    leverage_p = (vector_pr**2) @ kept_r + 1 / len(centered_p)
    residual_p = centered_p - vector_pr @ (kept_r * score_r)
    return float(np.sqrt(np.mean((residual_p / (1 - np.minimum(leverage_p, _LARGEST_LEVERAGE))) ** 2)))
