"""Measured effects and the in-silico score become a posterior over the effect of every gene."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import norm

from perturbloop.evidence.kernels import Kernel
from perturbloop.evidence.measured import require_effects
from perturbloop.stats.scale import standardized, true_variance

PRIOR_WEIGHT = 0.3
"""Prior mean of an effect, in standard deviations of the true effects, for a gene that is far up in silico."""
FEATURE_AMPLITUDE = 0.2
"""Amplitude of a feature, in standard deviations of the true effects."""
NETWORK_AMPLITUDE = 0.35
"""Amplitude of a network of full skill, same unit."""
ALL_NETWORKS = 0.5
"""Largest amplitude of all networks together, same unit."""
OWN_SHARE = 0.2
"""Variance of an effect that nothing explains, as a share of the variance of the true effects."""
LEAST_MEASURED = 2
"""Fewest measured genes."""
SHUFFLES = 30
"""Permutations of the effects that a network's skill is read against."""


@dataclass(frozen=True)
class Posterior:
    """What is believed of every gene's effect, in the order of the genes."""

    mean_g: Float[np.ndarray, " g"]
    """Expected effect, in the unit of the measured ones; positive = toward the goal, by the same action."""
    sd_g: Float[np.ndarray, " g"]
    """Standard deviation of the true effect."""
    probability_g: Float[np.ndarray, " g"]
    """Probability that the effect is beyond the threshold, toward the goal."""
    away_g: Float[np.ndarray, " g"]
    """Probability that it is as far beyond it away from the goal."""
    threshold: float
    """That threshold, in the unit of the effects."""
    skill_k: Float[np.ndarray, " k"]
    """Per network its leave-one-gene-out skill, see `network_skill`; at or below 0 it is not listened to."""
    influence_gp: Float[np.ndarray, "g p"]
    """What each measured gene adds to the expected effect of each gene, same unit."""

    @property
    def benefit_g(self) -> Float[np.ndarray, " g"]:
        """What genes are ranked by, -1 to 1: probability toward the goal less that away; positive = rather toward it."""
        return self.probability_g - self.away_g


def posterior(
    networks: Sequence[Kernel],
    features: Sequence[Kernel],
    insilico_g: Float[np.ndarray, " g"],
    place_p: Int[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    se_p: Float[np.ndarray, " p"],
    *,
    rng: np.random.Generator,
    threshold: float | None = None,
    skill_k: Float[np.ndarray, " k"] | None = None,
) -> Posterior:
    r"""Expect of each gene what the in-silico score says, corrected by what was measured in genes like it.

    Parameters
    ----------
    networks
        Which genes are alike, all kernels in one order of genes (`kernels.aligned`).
    features
        What a gene is: constant, expression, differential expression.
    insilico_g
        In-silico score, higher = toward the goal; NaN where a gene has none.
    place_p
        Rows of the measured genes.
    effect_p, se_p
        Their effects, as done, all of one modality's kind, positive = toward the goal; and standard errors, same unit.
    rng
        Shuffles the effects that a network's skill is read against.
    threshold
        Effect that is worth having, same unit; one standard deviation of the true effects by default.
    skill_k
        Result of `network_skills`, where it is at hand: it depends on the effects alone, not on the in-silico score.

    Returns
    -------
    `Posterior`.

    Notes
    -----
    A Gaussian process :cite:`rasmussen2006`: :math:`y_p \sim N(w\,\sigma \tanh(2 z_p) + f_p,\; s_p^2 + o\,\sigma^2)`, with
    :math:`z` the standardized in-silico score, :math:`\sigma^2` the variance of the true effects (total minus mean squared error,
    at least a tenth of the total), and :math:`f \sim GP(0, \sigma^2 \sum_k a_k^2 K_k)`. The score is saturated because the genes
    far out are mostly those that change most with the state, its consequences. Weights are not fitted, which twenty genes would
    not bear: features and the in-silico score have a fixed one, and that of a network grows with its skill from 0 to a fixed one.
    The constants were chosen on simulated networks 0 to 7. The assumption a reviewer would attack: the in-silico score has the
    right sign.

    Examples
    --------
    >>> from perturbloop.evidence.kernels import vector_kernel
    >>> near = vector_kernel("near", np.arange(20).astype(str), np.repeat(np.eye(2), 10, axis=0))
    >>> measured = np.array([0, 1, 2, 3, 10, 11, 12, 13])
    >>> effect = np.repeat([1.0, -1.0], 4)
    >>> rng = np.random.default_rng(0)
    >>> found = posterior([near], [], np.zeros(20), measured, effect, np.full(8, 0.1), rng=rng)
    >>> bool(found.mean_g[5] > 0 > found.mean_g[15]), bool(found.probability_g[5] > found.probability_g[15])
    (True, True)
    """
    require_effects(place_p, effect_p, se_p, least=LEAST_MEASURED)
    variance = true_variance(effect_p, se_p) or 1.0
    scale = float(np.sqrt(variance))
    if skill_k is None:
        skill_k = network_skills(networks, place_p, effect_p, se_p, rng=rng)
    network_k = NETWORK_AMPLITUDE * np.clip(skill_k, 0, 1)
    network_k *= min(1.0, ALL_NETWORKS / max(float(np.linalg.norm(network_k)), 1e-9))
    amplitude_k = np.append(network_k, np.full(len(features), FEATURE_AMPLITUDE))
    kernels = (*networks, *features)
    saturated_g = np.tanh(2 * np.nan_to_num(standardized(insilico_g)))
    prior_g = PRIOR_WEIGHT * scale * saturated_g
    cross_gp = np.zeros((len(insilico_g), len(place_p)))
    self_g = np.zeros(len(insilico_g))
    for kernel, amplitude in zip(kernels, amplitude_k, strict=True):
        cross_gp += variance * amplitude**2 * kernel.columns(place_p)
        self_g += variance * amplitude**2 * kernel.variance()
    noise_pp = np.diag(se_p**2 + OWN_SHARE * variance)
    gain_gp = cho_solve(cho_factor(cross_gp[place_p] + noise_pp), cross_gp.T).T
    influence_gp = gain_gp * (effect_p - prior_g[place_p])
    mean_g = prior_g + influence_gp.sum(axis=1)
    left_g = np.maximum(self_g - (gain_gp * cross_gp).sum(axis=1), 0)
    sd_g = np.sqrt(left_g + OWN_SHARE * variance)
    threshold = scale if threshold is None else threshold
    return Posterior(
        mean_g=mean_g,
        sd_g=sd_g,
        probability_g=norm.sf((threshold - mean_g) / sd_g),
        away_g=norm.sf((threshold + mean_g) / sd_g),
        threshold=float(threshold),
        skill_k=skill_k,
        influence_gp=influence_gp,
    )


def network_skills(
    networks: Sequence[Kernel],
    place_p: Int[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    se_p: Float[np.ndarray, " p"],
    *,
    rng: np.random.Generator,
) -> Float[np.ndarray, " k"]:
    """Skill of each network, see `network_skill`; the costly part of a posterior of many effects.

    Parameters
    ----------
    networks
        Kernels of the networks, in one order of genes.
    place_p, effect_p, se_p
        Rows of the measured genes, their effects and standard errors.
    rng
        Shuffles the effects.
    """
    return np.array(
        [network_skill(kernel, place_p, effect_p, se_p, rng=rng) for kernel in networks], dtype=float
    )


def network_skill(
    kernel: Kernel,
    place_p: Int[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    se_p: Float[np.ndarray, " p"],
    *,
    rng: np.random.Generator,
) -> float:
    """How much better a network foretells left-out genes than it foretells shuffled effects; 0 = no better.

    Parameters
    ----------
    kernel
        The network.
    place_p, effect_p, se_p
        Rows of the measured genes, their effects and standard errors.
    rng
        Shuffles the effects.

    Returns
    -------
    Correlation of the measured effects with what the network adds to their mean when each gene is left out, minus the mean
    over shuffles of the effects, in standard deviations of the shuffles. 0 where the network links no measured genes.
    """
    near_pp = NETWORK_AMPLITUDE**2 * kernel.among(place_p)
    if not np.any(near_pp - np.diag(np.diag(near_pp))) or np.ptp(effect_p) == 0:
        return 0.0
    own = _left_out_correlation(near_pp, effect_p, se_p)
    orders = (rng.permutation(len(effect_p)) for _ in range(SHUFFLES))
    shuffled = [_left_out_correlation(near_pp, effect_p[order], se_p[order]) for order in orders]
    spread = float(np.std(shuffled))
    return float((own - np.mean(shuffled)) / spread) if spread > 0 else 0.0


def neighbors(
    influence_p: Float[np.ndarray, " p"], names_p: Shaped[np.ndarray, " p"], *, most: int = 3
) -> str:
    """Measured genes that move a gene's expected effect most, in words; empty where none does.

    Parameters
    ----------
    influence_p
        What each measured gene adds to it: a row of `Posterior.influence_gp`.
    names_p
        Their symbols.
    most
        How many are named; one that adds less than 0.005 never is.

    Examples
    --------
    >>> neighbors(np.array([0.21, 0.0, -0.04]), np.array(["JAK2", "MYC", "CUL3"]))
    '+0.21 by JAK2, -0.04 by CUL3'
    """
    order = np.argsort(-np.abs(influence_p), kind="stable")[:most]
    parts = [(influence_p[place], names_p[place]) for place in order]
    return ", ".join(f"{added:+.2f} by {name}" for added, name in parts if abs(added) >= 0.005)


def _left_out_correlation(near_pp: np.ndarray, effect_p: np.ndarray, se_p: np.ndarray) -> float:
    """Correlation of effects with what the network adds to the constant's leave-one-out prediction."""
    variance = true_variance(effect_p, se_p) or 1.0
    own_p = se_p**2 + OWN_SHARE * variance
    with_network = _left_out(np.diag(own_p) + variance * (1 + near_pp), effect_p)  # 1 = a free mean
    without = _left_out_of_mean(own_p + variance * np.diag(near_pp), variance, effect_p)
    return _correlation(with_network - without, effect_p)


def _correlation(first_p: np.ndarray, second_p: np.ndarray) -> float:
    """Pearson's; 0 where either does not vary."""
    if np.ptp(first_p) == 0 or np.ptp(second_p) == 0:
        return 0.0
    return float(np.corrcoef(first_p, second_p)[0, 1])


def _left_out(covariance_pp: np.ndarray, effect_p: np.ndarray) -> np.ndarray:
    inverse_pp = np.linalg.inv(covariance_pp)
    return effect_p - inverse_pp @ effect_p / np.diag(inverse_pp)


def _left_out_of_mean(own_p: np.ndarray, variance: float, effect_p: np.ndarray) -> np.ndarray:
    """Return the same for a diagonal covariance and a common mean of this variance, without an inverse (Sherman and Morrison)."""
    weight_p = 1 / own_p
    shared = variance / (1 + variance * weight_p.sum())
    solved_p = weight_p * (effect_p - shared * (weight_p @ effect_p))
    return effect_p - solved_p / (weight_p - shared * weight_p**2)
