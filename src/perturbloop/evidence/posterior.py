"""Measured effects become a posterior over the effect of every gene."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.stats import norm

from perturbloop.evidence.kernels import Kernel, total_columns
from perturbloop.evidence.marginal import LARGEST_LOG, strength
from perturbloop.evidence.measured import require_effects
from perturbloop.evidence.scales import Scale
from perturbloop.stats.scale import standardized, true_variance

AMPLITUDE = 0.3
"""Amplitude of each kernel, in standard deviations of an effect of scale 1."""
OWN_SHARE = 0.1
"""Variance of an effect that no kernel explains, in squares of that unit: all that is left to a gene of which nothing is known."""
PASSED, UNPROVEN = (0.3, 0.15), (0.0, 0.2)
"""Weight of an in-silico score and how little that is known, of a model that passed its control gate and of another: prior mean of an effect,
in standard deviations of the true effects, for a gene that is far up in the score."""
LEAST_NOISE = 1e-6
"""Least variance of the error of an effect, as a share of the variance of the true effects: exact effects are no singular matrix."""
TOLD = 2.0
"""Errors of measurement below which an effect is not worth having: the next experiment could not tell it from nothing."""
LEAST_MEASURED = 2
"""Fewest measured genes."""
MOST_FITTED = 300
"""Most measured genes by which the weights of the scales are found."""


@dataclass(frozen=True)
class Posterior:
    """What is believed of every gene's effect, in the order of the genes."""

    mean_g: Float[np.ndarray, " g"]
    """Expected effect, in the unit of the measured ones; positive = toward the goal, by the same action."""
    sd_g: Float[np.ndarray, " g"]
    """Standard deviation of the true effect."""
    threshold: float
    """Effect that is worth having, same unit."""
    share_k: Float[np.ndarray, " k"]
    """Per kernel, its share of what the measured genes say of the others, 0 to 1; all 0 where they say nothing."""
    weight_s: Float[np.ndarray, " s"]
    """Per scale, the weight that the measured genes leave it."""
    sharing: float
    """How far like genes act alike, 0 to 1, as the measured ones tell: at 0 none says anything of another."""
    insilico_weight: float
    """Weight that they leave the in-silico score, see `PASSED`."""
    prior_g: Float[np.ndarray, " g"]
    """Expected effect before any was measured."""
    own_sd_g: Float[np.ndarray, " g"]
    """Standard deviation of the part that no other gene tells."""
    kernels: tuple[Kernel, ...]
    spread_gk: Float[np.ndarray, "g k"]
    """Prior standard deviation that each kernel gives a gene of likeness 1 to itself."""
    place_p: Int[np.ndarray, " p"]
    """Rows of the measured genes."""
    effect_p: Float[np.ndarray, " p"]
    noise_p: Float[np.ndarray, " p"]
    """Variance of each measured effect about what the kernels can tell: error and own part."""
    cross_gp: Float[np.ndarray, "g p"]
    """Prior covariance of each gene with the measured ones."""

    @cached_property
    def probability_g(self) -> Float[np.ndarray, " g"]:
        """Probability that the effect is beyond the threshold, toward the goal: what genes are ranked by."""
        return norm.sf((self.threshold - self.mean_g) / self.sd_g)

    @cached_property
    def away_g(self) -> Float[np.ndarray, " g"]:
        """Probability that it is as far beyond it away from the goal: what genes are ranked by that must not be touched."""
        return norm.sf((self.threshold + self.mean_g) / self.sd_g)

    @cached_property
    def influence_gp(self) -> Float[np.ndarray, "g p"]:
        """What each measured gene adds to the expected effect of each gene, same unit."""
        gain_gp = cho_solve(self._factor, self.cross_gp.T).T
        return gain_gp * (self.effect_p - self.prior_g[self.place_p])

    def draw(self, rng: np.random.Generator, n: int) -> Float[np.ndarray, "n g"]:
        """Draw effects of all genes together, as the posterior believes them; one draw a row, unit of the measured effects.

        Genes that are alike rise and fall together, so that a batch chosen draw by draw (Thompson) is not ten times one gene. The row of a
        measured gene is that of an unmeasured one like it.

        Parameters
        ----------
        rng
            Source of the draws.
        n
            How many.

        Notes
        -----
        Matheron's rule :cite:`wilson2020`: a draw of the prior plus the gain times what it leaves of the measured effects. Kernels are drawn
        through their vectors, so that no genes × genes matrix is ever written.
        """
        shared_ng = np.zeros((n, len(self.mean_g)))
        for kernel, spread_g in zip(self.kernels, self.spread_gk.T, strict=True):
            shared_ng += spread_g * kernel.draw(rng, n)
        noise_np = rng.standard_normal((n, len(self.place_p))) * np.sqrt(self.noise_p)
        left_np = self.effect_p - self.prior_g[self.place_p] - shared_ng[:, self.place_p] - noise_np
        own_ng = rng.standard_normal(shared_ng.shape) * self.own_sd_g
        return self.prior_g + shared_ng + own_ng + (self.cross_gp @ cho_solve(self._factor, left_np.T)).T

    @cached_property
    def _factor(self) -> tuple[np.ndarray, bool]:
        return cho_factor(self.cross_gp[self.place_p] + np.diag(self.noise_p), lower=True)


def posterior(
    networks: Sequence[Kernel],
    scales: Sequence[Scale],
    insilico_g: Float[np.ndarray, " g"],
    place_p: Int[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    se_p: Float[np.ndarray, " p"],
    *,
    passed: bool = False,
    threshold: float | None = None,
) -> Posterior:
    r"""Expect of each gene what was measured in genes like it, and trust it as far as genes of its sort act at all.

    Parameters
    ----------
    networks
        Which genes are alike, all kernels in one order of genes (`kernels.aligned`).
    scales
        Why some genes may act more than others, in the same order.
    insilico_g
        In-silico score, higher = toward the goal; NaN where a gene has none.
    place_p
        Rows of the measured genes.
    effect_p, se_p
        Their effects, as done, all of one modality's kind, positive = toward the goal; and standard errors, same unit.
    passed
        Whether the model behind that score passed its control gate. Of one that did not, the score weighs nothing until the measured
        genes bear it out.
    threshold
        Effect that is worth having, same unit; by default one standard deviation of the true effects, and no less than `TOLD` errors, of
        which no more counts than the most promising gene may have.

    Returns
    -------
    `Posterior`.

    Notes
    -----
    A Gaussian process :cite:`rasmussen2006` whose prior variance belongs to the gene: :math:`f_g = s_g h_g`,
    :math:`h \sim GP(0, v (\sum_k a^2 K_k + o I))`, :math:`y_p = f_p + \epsilon_p`. A gene that no collection knows has a zero row in every kernel, so
    that only o is left to it: annotation widens what is believed, it does not shift it. The variance v, the weights of the scales, and how much of their
    variance like genes share, are the most probable ones (`marginal.strength`): effects that were dealt out anew among the genes lose their say. The
    amplitude of each collection is fixed, as twenty genes would fit it to noise. Genes are ranked by
    :math:`P(f > t)`, for the other sign by :math:`P(f < -t)`, with t the threshold: the mean alone ranks poorly where no measured gene is a hit. The in-silico
    score, saturated as the genes far out are mostly consequences of the state, shifts the prior mean; its weight is the most probable one too, about
    `PASSED` or `UNPROVEN`. All constants were looked at on panels of the CRISPRi IFN-γ screen of donor 1 and of the CRISPRa TNF screen, and on
    simulated networks 0 to 5. The assumption a reviewer would attack: annotation tells who acts.

    Examples
    --------
    >>> from perturbloop.evidence.kernels import vector_kernel
    >>> near = vector_kernel("near", np.arange(20).astype(str), np.repeat(np.eye(2), 10, axis=0))
    >>> measured = np.array([0, 1, 2, 3, 10, 11, 12, 13])
    >>> effect = np.repeat([1.0, -1.0], 4)
    >>> found = posterior([near], [], np.zeros(20), measured, effect, np.full(8, 0.1))
    >>> bool(found.mean_g[5] > 0 > found.mean_g[15]), bool(found.away_g[5] < found.away_g[15])
    (True, True)
    """
    require_effects(place_p, effect_p, se_p, least=LEAST_MEASURED)
    n_genes = len(insilico_g)
    variance = true_variance(effect_p, se_p) or 1.0
    sigma = float(np.sqrt(variance))
    amplitude_k = np.full(len(networks), AMPLITUDE)
    cross_gp, self_g = np.zeros((n_genes, len(place_p))), np.zeros(n_genes)
    if networks:
        cross_gp = total_columns(networks, amplitude_k, place_p)
        self_g = sum(
            a**2 * kernel.variance() for a, kernel in zip(amplitude_k, networks, strict=True)
        ) + np.zeros(n_genes)
    weight, doubt = PASSED if passed else UNPROVEN
    saturated_g = sigma * np.tanh(2 * np.nan_to_num(standardized(insilico_g)))
    value_gs = np.column_stack([np.zeros((n_genes, 0)), *(scale.value_g for scale in scales)])
    fitted = np.unique(np.linspace(0, len(place_p) - 1, min(len(place_p), MOST_FITTED)).astype(int))
    found = strength(
        cross_gp[place_p[fitted]][:, fitted] + OWN_SHARE * np.eye(len(fitted)),
        value_gs[place_p[fitted]],
        np.array([scale.weight for scale in scales], dtype=float),
        np.array([scale.doubt for scale in scales], dtype=float),
        effect_p[fitted],
        se_p[fitted] ** 2 + LEAST_NOISE * variance,
        variance,
        expected_p=saturated_g[place_p[fitted]],
        mean_weight=weight,
        mean_doubt=doubt,
    )
    prior_g = found.mean_weight * saturated_g
    left_p = effect_p - prior_g[place_p]
    spread_g = np.sqrt(found.variance) * np.exp(np.clip(value_gs @ found.weight_s, -LARGEST_LOG, LARGEST_LOG))
    cross_gp *= found.sharing * spread_g[:, None]
    cross_gp *= spread_g[place_p]
    own_sd_g = spread_g * np.sqrt(OWN_SHARE + (1 - found.sharing) * self_g)
    noise_p = se_p**2 + LEAST_NOISE * variance + own_sd_g[place_p] ** 2
    factor = cho_factor(cross_gp[place_p] + np.diag(noise_p), lower=True)
    solved_p = cho_solve(factor, left_p)
    told_pg = solve_triangular(factor[0], cross_gp.T, lower=True, check_finite=False)
    left_g = np.maximum(found.sharing * spread_g**2 * self_g - np.einsum("pg,pg->g", told_pg, told_pg), 0)
    mean_g, sd_g = prior_g + cross_gp @ solved_p, np.sqrt(left_g + own_sd_g**2)
    return Posterior(
        mean_g=mean_g,
        sd_g=sd_g,
        threshold=_worth(sigma, se_p, mean_g, sd_g) if threshold is None else float(threshold),
        share_k=_shares(networks, spread_g, place_p, solved_p),
        weight_s=found.weight_s,
        sharing=found.sharing,
        insilico_weight=found.mean_weight if np.any(saturated_g) else 0.0,
        prior_g=prior_g,
        own_sd_g=own_sd_g,
        kernels=tuple(networks),
        spread_gk=np.sqrt(found.sharing) * spread_g[:, None] * amplitude_k,
        place_p=place_p,
        effect_p=effect_p,
        noise_p=noise_p,
        cross_gp=cross_gp,
    )


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


def _worth(sigma: float, se_p: np.ndarray, mean_g: np.ndarray, sd_g: np.ndarray) -> float:
    """Effect that is worth having: what could be told from nothing, but none that no gene is believed to have.

    Beyond that all probabilities lie in the tail and follow the standard deviations alone: so with compounds of several targets, whose
    errors are mostly the doubt which target it was.
    """
    told = TOLD * np.sqrt(np.mean(se_p**2))
    return float(max(sigma, min(told, float(np.max(mean_g + sd_g)))))


def _shares(
    networks: Sequence[Kernel], spread_g: np.ndarray, place_p: np.ndarray, solved_p: np.ndarray
) -> Float[np.ndarray, " k"]:
    pull_p = spread_g[place_p] * solved_p
    moved_k = np.array([np.abs(spread_g * kernel.pull(place_p, pull_p)).sum() for kernel in networks])
    return moved_k / max(float(moved_k.sum()), 1e-300)
