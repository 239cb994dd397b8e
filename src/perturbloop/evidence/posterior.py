"""Measured effects and the in-silico score become a posterior over the effect of every gene."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import norm

from perturbloop.errors import InputError, some
from perturbloop.evidence.kernels import Kernel

DRAWS = 64
"""Settings of the weights that are tried."""
AMPLITUDE = (0.1, 1.5)
"""Smallest and largest amplitude of a kernel, in standard deviations of the true effects."""
PRIOR_WEIGHT = 0.3
"""Prior mean of an effect, in standard deviations of the true effects, for a gene one standard deviation up in silico."""
OWN_SHARE = 0.2
"""Variance of an effect that no kernel explains, as a share of the variance of the true effects."""


@dataclass(frozen=True)
class Posterior:
    """What is believed of every gene's effect, in the order of the genes."""

    mean_g: Float[np.ndarray, " g"]
    """Expected effect, in the unit of the measured ones; positive = toward the goal, by the same action."""
    sd_g: Float[np.ndarray, " g"]
    """Standard deviation of the true effect."""
    probability_g: Float[np.ndarray, " g"]
    """Probability that the effect is beyond the threshold, toward the goal."""
    share_k: Float[np.ndarray, " k"]
    """Per kernel the probability that it says anything of effects; 0.5 before any was measured."""
    influence_gp: Float[np.ndarray, "g p"]
    """What each measured gene adds to the expected effect of each gene, same unit."""
    skill: float
    """Gain in leave-one-gene-out log density per measured gene over the in-silico score alone; at or below 0 nothing was
    learnt."""


def posterior(
    kernels: Sequence[Kernel],
    insilico_g: Float[np.ndarray, " g"],
    place_p: Int[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    se_p: Float[np.ndarray, " p"],
    *,
    threshold: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Posterior:
    r"""Expect of each gene what the in-silico score says, corrected by what was measured in genes like it.

    Parameters
    ----------
    kernels
        Similarities of the genes, all in one order (`kernels.aligned`).
    insilico_g
        In-silico score, higher = toward the goal; NaN where a gene has none.
    place_p
        Rows of the measured genes.
    effect_p, se_p
        Their effects, as done, all of one modality's kind, positive = toward the goal; and standard errors, same unit.
    threshold
        Effect that is worth having, same unit.
    rng
        Draws the settings of the weights.
    draws
        How many.

    Returns
    -------
    `Posterior`.

    Notes
    -----
    :math:`y_p \sim N(w\,\sigma z_p + f_p,\; s_p^2 + o\,\sigma^2)`, with :math:`z` the standardized in-silico score, :math:`\sigma^2`
    the variance of the true effects (total minus mean squared error, at least a tenth of the total), and
    :math:`f \sim GP(0, \sigma^2 \sum_k a_k^2 K_k)`. The amplitudes are not fitted, which twenty genes would not bear, but averaged:
    each is 0 with probability one half, else log-uniform, and a setting counts by its leave-one-gene-out predictive density
    (closed form, :cite:`rasmussen2006`). The setting with all of them 0, the in-silico score alone, is always among them.
    The assumption a reviewer would attack: the in-silico score has the right sign; only the kernel of that name can turn it.

    Examples
    --------
    >>> from perturbloop.evidence.kernels import vector_kernel
    >>> ids = np.array(list("abcd"), dtype=object)
    >>> near = vector_kernel("near", ids, np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]]))
    >>> measured, effects, errors = np.array([0, 2]), np.array([1.0, -1.0]), np.array([0.1, 0.1])
    >>> rng = np.random.default_rng(0)
    >>> found = posterior([near], np.zeros(4), measured, effects, errors, threshold=0.5, rng=rng)
    >>> bool(found.mean_g[1] > 0 > found.mean_g[3]), bool(found.probability_g[1] > found.probability_g[3])
    (True, True)
    """
    _require_effects(place_p, effect_p, se_p)
    total = float((effect_p**2).mean())
    variance = max(total - float((se_p**2).mean()), 0.1 * total) or 1.0
    scale = float(np.sqrt(variance))
    prior_g = PRIOR_WEIGHT * scale * _standardized(insilico_g)
    residual_p = effect_p - prior_g[place_p]
    columns_kgp = variance * np.stack([kernel.columns(place_p) for kernel in kernels])
    self_kg = variance * np.stack([kernel.variance() for kernel in kernels])
    square_dk = _settings(draws, len(kernels), rng) ** 2
    noise_pp = np.diag(se_p**2 + OWN_SHARE * variance)
    density_d = np.empty(draws)
    gain_dgp, variance_dg = [], []
    for draw, square_k in enumerate(square_dk):
        cross_gp = np.tensordot(square_k, columns_kgp, axes=1)
        inverse_pp = cho_solve(cho_factor(cross_gp[place_p] + noise_pp), np.eye(len(place_p)))
        density_d[draw] = _left_out_density(inverse_pp, residual_p)
        gain_gp = cross_gp @ inverse_pp
        left_g = square_k @ self_kg - (gain_gp * cross_gp).sum(axis=1)
        gain_dgp.append(gain_gp)
        variance_dg.append(np.maximum(left_g, 0) + OWN_SHARE * variance)
    weight_d = np.exp(density_d - density_d.max())
    weight_d /= weight_d.sum()
    mean_dg = np.array([prior_g + gain_gp @ residual_p for gain_gp in gain_dgp])
    mean_g = weight_d @ mean_dg
    sd_dg = np.sqrt(variance_dg)
    return Posterior(
        mean_g=mean_g,
        sd_g=np.sqrt(weight_d @ (sd_dg**2 + mean_dg**2) - mean_g**2),
        probability_g=weight_d @ norm.sf((threshold - mean_dg) / sd_dg),
        share_k=weight_d @ (square_dk > 0),
        influence_gp=np.tensordot(weight_d, gain_dgp, axes=1) * residual_p,
        skill=float(np.log(weight_d @ np.exp(density_d - density_d[0])) / len(place_p)),
    )


def neighbors(found: Posterior, gene_ids: Shaped[np.ndarray, " p"], row: int, *, most: int = 3) -> str:
    """Measured genes that move a gene's expected effect most, in words: `+0.21 by JAK2`; empty where none does."""
    order = np.argsort(-np.abs(found.influence_gp[row]), kind="stable")[:most]
    parts = [(found.influence_gp[row, place], gene_ids[place]) for place in order]
    return ", ".join(f"{added:+.2f} by {gene}" for added, gene in parts if abs(added) >= 0.005)


def _settings(draws: int, n_kernels: int, rng: np.random.Generator) -> Float[np.ndarray, "d k"]:
    """Amplitudes of each setting; the first has none."""
    amplitude_dk = np.exp(rng.uniform(*np.log(AMPLITUDE), size=(draws, n_kernels)))
    amplitude_dk *= rng.random((draws, n_kernels)) < 0.5
    amplitude_dk[0] = 0.0
    return amplitude_dk


def _left_out_density(inverse_pp: Float[np.ndarray, "p p"], residual_p: Float[np.ndarray, " p"]) -> float:
    """Log density of each measured effect given the others, summed."""
    variance_p = 1 / np.diag(inverse_pp)
    return float(norm.logpdf((inverse_pp @ residual_p) * variance_p, scale=np.sqrt(variance_p)).sum())


def _standardized(value_g: np.ndarray) -> np.ndarray:
    known = value_g[~np.isnan(value_g)]
    spread = float(known.std()) if known.size else 0.0
    return np.nan_to_num((value_g - known.mean()) / spread) if spread > 0 else np.zeros_like(value_g)


def _require_effects(place_p: np.ndarray, effect_p: np.ndarray, se_p: np.ndarray) -> None:
    if len(place_p) < 2 or len(set(place_p.tolist())) < len(place_p):
        msg = (
            f"A posterior needs at least 2 measured genes, each once; it got {len(place_p)} rows of "
            f"{len(set(place_p.tolist()))} genes. Record more targets, or keep one row of each."
        )
        raise InputError(msg)
    wrong = place_p[~np.isfinite(effect_p) | ~np.isfinite(se_p) | (se_p < 0)]
    if len(wrong):
        msg = f"Effects and their errors must be finite, errors not negative; those at {some(wrong)} are not. Measure them again."
        raise InputError(msg)
