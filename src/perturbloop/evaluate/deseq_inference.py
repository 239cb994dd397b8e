"""What PyDESeq2 fits gene by gene, for all genes at once: the same estimates, from the same equations.

One by one, ten thousand genes take minutes, nearly all of them spent on calling the solvers. A test compares every table with the
library's own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from pydeseq2.default_inference import DefaultInference
from scipy.special import digamma, gammaln
from scipy.stats import norm

RIDGE = 1e-6
"""What the library adds to the information of every coefficient."""
STEP = 0.5
"""First step of the search for a dispersion, in natural logarithms; each next is twice as long."""
EDGE = 100.0
"""Dispersions below so many times the least one, as first estimate or as found, are left to the library: the loss hardly slopes there, and where
its solver stops decides whether the gene counts in the trend."""
HALVINGS = 40
"""Halvings of the interval that holds a dispersion: what is left of it is far below what a count can tell."""
GenesByReplicate = Shaped[np.ndarray, "r g"]


class Inference(DefaultInference):
    """The library's, with the fits of all genes made together."""

    def lin_reg_mu(
        self,
        counts: GenesByReplicate,
        size_factors: Float[np.ndarray, " r"],
        design_matrix: Shaped[np.ndarray, "r c"],
        min_mu: float,
    ) -> Float[np.ndarray, "r g"]:
        """Means of all genes by least squares."""
        size_r = size_factors[:, None]
        beta_cg, *_ = np.linalg.lstsq(design_matrix, counts / size_r, rcond=None)
        return np.maximum(size_r * (design_matrix @ beta_cg), min_mu)

    def alpha_mle(  # noqa: D102 - the library's, as are its arguments
        self,
        counts: GenesByReplicate,
        design_matrix: Shaped[np.ndarray, "r c"],
        mu: Float[np.ndarray, "r g"],
        alpha_hat: Float[np.ndarray, " g"],
        min_disp: float,
        max_disp: float,
        prior_disp_var: float | None = None,
        cr_reg: bool = True,
        prior_reg: bool = False,
        optimizer: str = "L-BFGS-B",
    ) -> tuple[Float[np.ndarray, " g"], Bool[np.ndarray, " g"]]:
        x_rc = np.asarray(design_matrix, dtype=float)
        y_rg, mu_rg = np.asarray(counts, dtype=float), np.asarray(mu, dtype=float)
        center_g = np.log(np.asarray(alpha_hat, dtype=float))
        prior = prior_disp_var if prior_reg else None

        def slope(log_g: np.ndarray) -> np.ndarray:
            """Slope of the loss by the logarithm of the dispersion."""
            found_g = _slope_of_counts(y_rg, mu_rg, np.exp(log_g))
            if cr_reg:
                found_g += _slope_of_design(x_rc, mu_rg, np.exp(log_g))
            return found_g if prior is None else found_g + (log_g - center_g) / prior

        log_g = _lowest(slope, center_g, np.log(min_disp), np.log(max_disp))
        alpha_g, converged_g = np.exp(log_g), np.ones(len(log_g), dtype=bool)
        edge_g = np.minimum(alpha_hat, alpha_g) < EDGE * min_disp
        if edge_g.any():
            alpha_g[edge_g], converged_g[edge_g] = super().alpha_mle(
                counts[:, edge_g],
                design_matrix,
                mu[:, edge_g],
                alpha_hat[edge_g],
                min_disp,
                max_disp,
                prior_disp_var,
                cr_reg,
                prior_reg,
            )
        return alpha_g, converged_g

    def irls(  # noqa: D102
        self,
        counts: GenesByReplicate,
        size_factors: Float[np.ndarray, " r"],
        design_matrix: Shaped[np.ndarray, "r c"],
        disp: Float[np.ndarray, " g"],
        min_mu: float,
        beta_tol: float,
        min_beta: float = -30,
        max_beta: float = 30,
        optimizer: str = "L-BFGS-B",
        maxiter: int = 250,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        x_rc = np.asarray(design_matrix, dtype=float)
        y_rg, disp_g = np.asarray(counts, dtype=float), np.asarray(disp, dtype=float)
        size_r = np.asarray(size_factors, dtype=float)[:, None]
        beta_gc = np.linalg.lstsq(x_rc, np.log(y_rg / size_r + 0.1), rcond=None)[0].T
        deviance_g = np.full(len(disp_g), 1000.0)
        going, strayed = np.arange(len(disp_g)), np.zeros(len(disp_g), dtype=bool)
        for turn in range(1, maxiter + 1):
            y, alpha = y_rg[:, going], disp_g[going]
            mu = np.maximum(size_r * np.exp(x_rc @ beta_gc[going].T), min_mu)
            weight = mu / (1 + mu * alpha)
            working = np.log(mu / size_r) + (y - mu) / mu
            right = (x_rc.T @ (weight * working)).T[..., None]
            found = np.linalg.solve(_information(x_rc, weight) + RIDGE * np.eye(x_rc.shape[1]), right)[..., 0]
            astray = (np.abs(found) > max_beta).any(axis=1) | (turn == maxiter)
            strayed[going[astray]] = True
            going, found = going[~astray], found[~astray]
            beta_gc[going] = found
            mu = np.maximum(size_r * np.exp(x_rc @ found.T), min_mu)
            deviance = -2 * _loss_of_counts(y[:, ~astray], mu, alpha[~astray])
            ratio = np.abs(deviance - deviance_g[going]) / (np.abs(deviance) + 0.1)
            deviance_g[going] = deviance
            going = going[ratio > beta_tol]
            if not len(going):
                break
        mu_rg = np.maximum(size_r * np.exp(x_rc @ beta_gc.T), min_mu)
        weight_rg = mu_rg / (1 + mu_rg * disp_g)
        inverse = np.linalg.inv(_information(x_rc, weight_rg) + RIDGE * np.eye(x_rc.shape[1]))
        hat_rg = weight_rg * np.einsum("rc,gcd,rd->rg", x_rc, inverse, x_rc)
        mu_rg, converged_g = size_r * np.exp(x_rc @ beta_gc.T), np.ones(len(disp_g), dtype=bool)
        if strayed.any():  # the library goes on with another solver
            rest = super().irls(
                counts[:, strayed],
                size_factors,
                design_matrix,
                disp[strayed],
                min_mu,
                beta_tol,
                min_beta,
                max_beta,
                "L-BFGS-B",
                maxiter,
            )
            beta_gc[strayed], mu_rg[:, strayed], hat_rg[:, strayed], converged_g[strayed] = rest
        return beta_gc, mu_rg, hat_rg, converged_g

    def wald_test(  # noqa: D102
        self,
        design_matrix: Shaped[np.ndarray, "r c"],
        disp: Float[np.ndarray, " g"],
        lfc: Float[np.ndarray, "g c"],
        mu: Float[np.ndarray, "r g"],
        ridge_factor: Float[np.ndarray, "c c"],
        contrast: Any,
        lfc_null: Any,
        alt_hypothesis: None = None,
    ) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
        x_rc = np.asarray(design_matrix, dtype=float)
        weight_rg = np.asarray(mu) / (1 + np.asarray(mu) * np.asarray(disp))
        information = _information(x_rc, weight_rg)
        along_gc = np.linalg.solve(information + ridge_factor, np.asarray(contrast, dtype=float)[:, None])[
            ..., 0
        ]
        se_g = np.sqrt(np.einsum("gc,gcd,gd->g", along_gc, information, along_gc))
        statistic_g = (np.asarray(lfc) - lfc_null) @ contrast / se_g
        return 2 * norm.sf(np.abs(statistic_g)), statistic_g, se_g


def _information(x_rc: np.ndarray, weight_rg: np.ndarray) -> np.ndarray:
    """Weighted products of the design, genes × coefficients × coefficients."""
    n_rows, n_columns = x_rc.shape
    products_rk = (x_rc[:, :, None] * x_rc[:, None, :]).reshape(n_rows, -1)
    return (weight_rg.T @ products_rk).reshape(-1, n_columns, n_columns)


def _loss_of_counts(y_rg: np.ndarray, mu_rg: np.ndarray, alpha_g: np.ndarray) -> np.ndarray:
    """Negative logarithm of the negative-binomial likelihood of each gene."""
    size_g = 1 / alpha_g
    choices_rg = gammaln(y_rg + size_g) - gammaln(y_rg + 1) - gammaln(size_g)
    rest_rg = (y_rg + size_g) * np.log(size_g + mu_rg) - y_rg * np.log(mu_rg)
    return len(y_rg) * size_g * np.log(alpha_g) + (rest_rg - choices_rg).sum(axis=0)


def _slope_of_counts(y_rg: np.ndarray, mu_rg: np.ndarray, alpha_g: np.ndarray) -> np.ndarray:
    """Its slope by the logarithm of the dispersion."""
    size_g = 1 / alpha_g
    terms_rg = (
        digamma(size_g)
        - digamma(y_rg + size_g)
        + np.log1p(mu_rg * alpha_g)
        + (y_rg - mu_rg) / (mu_rg + size_g)
    )
    return -size_g * terms_rg.sum(axis=0)


def _slope_of_design(x_rc: np.ndarray, mu_rg: np.ndarray, alpha_g: np.ndarray) -> np.ndarray:
    """Slope of the Cox-Reid adjustment by the logarithm of the dispersion."""
    weight_rg = mu_rg / (1 + mu_rg * alpha_g)
    inverse = np.linalg.inv(_information(x_rc, weight_rg))
    return -alpha_g * (inverse * _information(x_rc, weight_rg**2)).sum(axis=(1, 2)) / 2


def _lowest(
    slope: Callable[[np.ndarray], np.ndarray], start_g: np.ndarray, low: float, high: float
) -> np.ndarray:
    """Place of the lowest point of each curve downhill from its start: steps of growing length, then halving by the slope's sign."""
    down_g = -np.sign(slope(start_g))
    near_g, far_g = start_g.copy(), start_g.copy()
    going, step = down_g != 0, STEP
    while going.any():
        near_g = np.where(going, far_g, near_g)
        far_g = np.where(going, np.clip(far_g + down_g * step, low, high), far_g)
        beyond = slope(far_g) * down_g > 0
        going &= ~beyond & (far_g > low) & (far_g < high)
        step *= 2
    near_g = np.where(slope(far_g) * down_g > 0, near_g, far_g)  # at a bound nothing is left to halve
    for _ in range(HALVINGS):
        middle_g = (near_g + far_g) / 2
        beyond = slope(middle_g) * down_g > 0
        near_g, far_g = np.where(beyond, near_g, middle_g), np.where(beyond, middle_g, far_g)
    return (near_g + far_g) / 2
