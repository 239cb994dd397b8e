r"""The gene-regulatory network behind the simulated cells of `data.toy`.

Everything happens in log expression. A cell draws noise (co-expression factors, donor, gene by gene); noise and
interventions run down the edges of an acyclic network; the log doses of the regulators and the stimulus set the
cell's state S, a number between 0 (resting) and 1 (stimulated); S drives the effectors, and a few of these
act back on S. An intervention is a change of one gene's log dose: whatever else changes, changes through the edges.

Axis letters: n cells, g genes, f co-expression factors.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import expit

MODULES, MODULE_SIZE, POSITIVE = 8, 8, 5
PROGRAMS, PROGRAMME_SIZE = 5, 15
MASTERS, FEEDBACK, INDUCED, REPRESSED = 6, 8, 60, 40
RESTING_MEAN, STIMULATED_MEAN = 0.14, 0.82

FIXED_GENES = MASTERS + MODULES * MODULE_SIZE + FEEDBACK + INDUCED + REPRESSED + PROGRAMS * PROGRAMME_SIZE


@dataclass(frozen=True)
class Network:
    """Causes and consequences of one simulated world; genes in the order of the packaged list."""

    role_g: np.ndarray
    """master, regulator, bystander (of a module), feedback, effector, program or housekeeping."""
    factor_g: np.ndarray
    """Co-expression factor the gene follows, −1 for none; modules come first, then programs."""
    base_g: Float[np.ndarray, " g"]
    """Log expression of a resting cell without noise."""
    loading_fg: Float[np.ndarray, "f g"]
    """How far a gene follows each factor."""
    edges_gg: Float[np.ndarray, "g g"]
    """Row acts on column: change of the column gene's log expression per unit of the row gene's; acyclic."""
    weight_g: Float[np.ndarray, " g"]
    """Change of logit S per unit of log dose in a stimulated cell; positive raises S; zero is no cause."""
    gate_g: Float[np.ndarray, " g"]
    """Share of that weight that acts without the stimulus."""
    response_g: Float[np.ndarray, " g"]
    """Change of log expression when S goes from 0 to 1."""
    induction_g: Float[np.ndarray, " g"]
    """Change of log expression by the stimulus itself, not through S; small."""
    n_modules: int = MODULES
    """How many of the factors are modules; the others are programs."""
    resting: float = 0.0
    """Logit of S without stimulus, noise and feedback."""
    push: float = 0.0
    """What the stimulus adds to that logit."""

    def noise(
        self,
        donor_n: np.ndarray,
        *,
        rng: np.random.Generator,
        program_spread: float = 1.0,
    ) -> Float[np.ndarray, "n g"]:
        """Draw each cell's log deviations before they run down the network: factors, donor, gene by gene.

        Parameters
        ----------
        donor_n
            Donor of each cell.
        rng
            Source of the deviations.
        program_spread
            How much programs vary from cell to cell, beside 1 for modules.

        Returns
        -------
        Deviation of each cell and gene, in natural logarithms of expression.
        """
        n_factors, n_genes = self.loading_fg.shape
        _, donor = np.unique(donor_n, return_inverse=True)
        n_donors = donor.max() + 1
        spread_f = np.where(np.arange(n_factors) < self.n_modules, 1.0, program_spread)
        factors_nf = 0.6 * spread_f * rng.standard_normal((len(donor), n_factors))
        factors_nf += 0.2 * rng.standard_normal((n_donors, n_factors))[donor]
        genes_ng = 0.3 * rng.standard_normal((len(donor), n_genes))
        genes_ng += 0.15 * rng.standard_normal((n_donors, n_genes))[donor]
        return factors_nf @ self.loading_fg + genes_ng

    def settle(
        self, noise_ng: Float[np.ndarray, "n g"], stimulus_n: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n g"], Float[np.ndarray, " n"]]:
        r"""Log expression and state of cells at rest in the network.

        Parameters
        ----------
        noise_ng
            Log deviations of each gene of each cell, interventions added.
        stimulus_n
            Dose of the stimulus, 0 to 1.

        Returns
        -------
        Log expression, cells × genes, and the state S of each cell, 0 = resting, 1 = stimulated.

        Notes
        -----
        :math:`y = (e + r S)(I - A)^{-1}` and
        :math:`\operatorname{logit} S = a + b\,t + y \cdot w(t)`, solved together. Effects are linear in
        log dose up to the logistic: real dose responses saturate.
        """
        before_ng = (noise_ng + stimulus_n[:, None] * self.induction_g) @ self._spread_gg
        state_n = _fixed_point(*self._drive(before_ng, stimulus_n))
        return self.base_g + before_ng + state_n[:, None] * (self.response_g @ self._spread_gg), state_n

    def knock(
        self,
        noise_ng: Float[np.ndarray, "n g"],
        stimulus_n: Float[np.ndarray, " n"],
        *,
        log_dose: float,
    ) -> Float[np.ndarray, " g"]:
        """Mean change of S when each gene in turn has its log dose changed in the same cells; the world's truth.

        Parameters
        ----------
        noise_ng
            Deviations of each cell and gene: see `noise`.
        stimulus_n
            Stimulus of each cell: 0 = resting, 1 = stimulated.
        log_dose
            Change of the gene's log dose: negative = lowered.

        Returns
        -------
        Change of the state S by gene, positive = toward activation.
        """
        before_ng = (noise_ng + stimulus_n[:, None] * self.induction_g) @ self._spread_gg
        drive_n, loop_n = self._drive(before_ng, stimulus_n)
        always_g, gated_g = self._spread_gg @ self._always_g, self._spread_gg @ self._gated_g
        acts = np.flatnonzero((always_g != 0) | (gated_g != 0))
        change_ng = log_dose * (always_g[acts] + stimulus_n[:, None] * gated_g[acts])
        knocked_ng = _fixed_point(drive_n[:, None] + change_ng, loop_n[:, None])
        effect_g = np.zeros(len(self.base_g))
        effect_g[acts] = (knocked_ng - _fixed_point(drive_n, loop_n)[:, None]).mean(axis=0)
        return effect_g

    @cached_property
    def _spread_gg(self) -> Float[np.ndarray, "g g"]:
        """Total effect of the row gene on the column gene, along all paths."""
        return np.linalg.inv(np.eye(len(self.base_g)) - self.edges_gg)

    @property
    def _always_g(self) -> Float[np.ndarray, " g"]:
        return self.weight_g * self.gate_g

    @property
    def _gated_g(self) -> Float[np.ndarray, " g"]:
        return self.weight_g * (1 - self.gate_g)

    def _drive(
        self, before_ng: Float[np.ndarray, "n g"], stimulus_n: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Logit of S from everything but S itself, and what one unit of S adds to it through the feedback genes."""
        response_g = self.response_g @ self._spread_gg
        doses_n = before_ng @ self._always_g + stimulus_n * (before_ng @ self._gated_g)
        loop_n = response_g @ self._always_g + stimulus_n * (response_g @ self._gated_g)
        return self.resting + self.push * stimulus_n + doses_n, loop_n


def _fixed_point(drive: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """Solve S = logistic(drive + loop × S); the feedback is too weak (|loop| < 4) for a second solution."""
    state = expit(drive)
    for _ in range(6):
        target = expit(drive + loop * state)
        state = state - (state - target) / (1 - loop * target * (1 - target))
    return state


def draw(n_genes: int, *, misleading: bool, rng: np.random.Generator, scale: int = 1) -> Network:
    """Draw a network: roles in random places, random edges and weights, thresholds set to the two mean states.

    Parameters
    ----------
    n_genes
        Genes of the network.
    misleading
        Whether each causal regulator trades its co-expression with a gene outside the modules: the modules are left to bystanders,
        and the causes are scattered over programs and lone genes. Edges and effects stay.
    rng
        Source of the network.
    scale
        How many times as many genes of every role but housekeeping there are as in a small network. Causes are weaker by its root,
        so that the state varies from cell to cell as it does in a small one.
    """
    role_g, factor_g = _roles(n_genes, scale, rng)
    weight_g = _weights(role_g, factor_g, scale, rng) / np.sqrt(scale)
    role_g[(role_g == "bystander") & (weight_g != 0)] = "regulator"
    edges_gg = _edges(role_g, factor_g, scale, rng)
    followed_g = _scattered(role_g, factor_g, rng) if misleading else factor_g
    loading_fg = np.zeros(((MODULES + PROGRAMS) * scale, n_genes))
    follows = np.flatnonzero(followed_g >= 0)
    loading_fg[followed_g[follows], follows] = rng.uniform(0.5, 1.0, len(follows))
    network = Network(
        role_g=role_g,
        factor_g=followed_g,
        base_g=rng.normal(0.0, 1.0, n_genes),
        loading_fg=loading_fg,
        edges_gg=edges_gg,
        weight_g=weight_g,
        gate_g=rng.uniform(0.3, 1.0, n_genes),
        response_g=_responses(role_g, scale, rng),
        induction_g=np.where(
            np.isin(role_g, ["master", "regulator", "bystander"]), rng.normal(0.1, 0.15, n_genes), 0.0
        ),
        n_modules=MODULES * scale,
    )
    return with_thresholds(network, rng)


def _roles(n_genes: int, scale: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    sizes = {
        "master": scale * MASTERS,
        "bystander": scale * MODULES * MODULE_SIZE,
        "program": scale * PROGRAMS * PROGRAMME_SIZE,
        "feedback": scale * FEEDBACK,
        "effector": scale * (INDUCED + REPRESSED),
        "housekeeping": n_genes - scale * FIXED_GENES,
    }
    modules = scale * MODULES
    role = np.repeat(np.array(list(sizes), dtype=object), list(sizes.values()))
    factor = np.full(n_genes, -1)
    factor[role == "bystander"] = np.repeat(np.arange(modules), MODULE_SIZE)
    factor[role == "program"] = np.repeat(np.arange(modules, modules + scale * PROGRAMS), PROGRAMME_SIZE)
    order = rng.permutation(n_genes)
    return role[order], factor[order]


def _weights(
    role_g: np.ndarray, factor_g: np.ndarray, scale: int, rng: np.random.Generator
) -> Float[np.ndarray, " g"]:
    """4 to 6 of a module's 8 genes are causes; 5 of the 8 places would raise S, 3 would lower it."""
    weight_g = np.zeros(len(role_g))
    for module in range(scale * MODULES):
        members = rng.permutation(np.flatnonzero(factor_g == module))
        sign = np.where(np.arange(MODULE_SIZE) < POSITIVE, 1.0, -1.0)
        causal = rng.permutation(MODULE_SIZE) < rng.choice([4, 5, 6], p=[0.6, 0.3, 0.1])
        weight_g[members] = sign * causal * rng.uniform(0.3, 0.8, MODULE_SIZE)
    feedback = np.flatnonzero(role_g == "feedback")
    weight_g[feedback] = rng.permuted(np.repeat([1.0, -1.0], [5 * scale, 3 * scale])) * rng.uniform(
        0.3, 0.6, scale * FEEDBACK
    )
    return weight_g


def _edges(
    role_g: np.ndarray, factor_g: np.ndarray, scale: int, rng: np.random.Generator
) -> Float[np.ndarray, "g g"]:
    """Masters act on half of the genes of two modules each; inside a module some genes act on later ones."""
    edges_gg = np.zeros((len(role_g), len(role_g)))
    for master in np.flatnonzero(role_g == "master"):
        members = np.flatnonzero(np.isin(factor_g, rng.choice(scale * MODULES, 2, replace=False)))
        taken = members[rng.random(len(members)) < 0.5]
        edges_gg[master, taken] = rng.uniform(0.2, 0.5, len(taken))
    for module in range(scale * MODULES):
        members = np.flatnonzero(factor_g == module)
        chance = np.triu(rng.random((MODULE_SIZE, MODULE_SIZE)) < 0.1, k=1)
        edges_gg[np.ix_(members, members)] = chance * rng.uniform(0.2, 0.5, chance.shape)
    return edges_gg


def _responses(role_g: np.ndarray, scale: int, rng: np.random.Generator) -> Float[np.ndarray, " g"]:
    """Effectors rise or fall with S; the feedback genes rise, whether they then support S or brake it."""
    response_g = np.zeros(len(role_g))
    effectors = rng.permutation(np.flatnonzero(role_g == "effector"))
    response_g[effectors] = np.repeat([1.0, -1.0], [scale * INDUCED, scale * REPRESSED]) * rng.uniform(
        0.5, 2.0, len(effectors)
    )
    response_g[role_g == "feedback"] = rng.uniform(0.5, 2.0, scale * FEEDBACK)
    return response_g


def _scattered(role_g: np.ndarray, factor_g: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    causes = np.flatnonzero(role_g == "regulator")
    partners = rng.choice(
        np.flatnonzero(np.isin(role_g, ["program", "housekeeping"])), len(causes), replace=False
    )
    scattered_g = factor_g.copy()
    scattered_g[causes], scattered_g[partners] = factor_g[partners], factor_g[causes]
    return scattered_g


def with_thresholds(network: Network, rng: np.random.Generator) -> Network:
    """Set the two thresholds so that unperturbed cells have the stated mean state, resting and stimulated.

    Parameters
    ----------
    network
        A network whose thresholds, `resting` and `push`, are not yet set.
    rng
        Source of the 1,000 cells that they are set by.
    """
    noise_ng = network.noise(np.arange(1000) % 50, rng=rng)

    def threshold(stimulus: float, mean: float) -> float:
        stimulus_n = np.full(1000, stimulus)
        before_ng = (noise_ng + stimulus * network.induction_g) @ network._spread_gg
        drive_n, loop_n = network._drive(before_ng, stimulus_n)
        return float(brentq(lambda logit: _fixed_point(drive_n + logit, loop_n).mean() - mean, -20, 20))

    resting = threshold(0.0, RESTING_MEAN)
    return replace(network, resting=resting, push=threshold(1.0, STIMULATED_MEAN) - resting)
