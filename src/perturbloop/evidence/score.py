"""The state score of measured cells: a linear readout on the genes that two files share."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from perturbloop.data.cells import Cells
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.spending import left_out
from perturbloop.errors import InputError, some
from perturbloop.stats.state_regression import choose_strength, fit_state

ReadoutGenes = Literal["all", "judge", "label"]
"""All shared genes; the half that judges effects; the half that labels cells for training."""

LEAST_SHARED = 20
"""Fewest shared genes from which a state is read."""


@dataclass(frozen=True)
class Readout:
    """A linear score of log-normalized expression; high = goal state."""

    gene_ids: np.ndarray
    """Genes it reads, dtype object; expression is normalized over these genes only."""
    weight_g: Float[np.ndarray, " g"]
    """Logits per unit of log-normalized expression."""
    intercept: float
    """Logit of a cell without counts."""

    def score(self, cells: Cells) -> Float[np.ndarray, " n"]:
        """Logit of the goal state, one per cell; only differences between cells of one file mean anything."""
        return cells.restrict(self.gene_ids).log_normalized() @ self.weight_g + self.intercept


@dataclass(frozen=True)
class StateScore:
    """A readout fitted on start and goal cells, how well it does, and how to fit it without a gene."""

    state: Cells
    """Start and goal cells cut to the readout genes."""
    is_goal_n: Bool[np.ndarray, " n"]
    """Whether a cell is in the goal state."""
    train_n: Bool[np.ndarray, " n"]
    """Whether a cell trains the score."""
    strength: float
    """scikit-learn's C, chosen by cross-validation on the training cells."""
    readout: Readout
    """The score on all readout genes."""
    heldout_auroc: float
    """How well it tells held-out goal from held-out start cells, cut to the same genes."""

    def without(self, *gene_ids: str) -> Readout:
        """Fit again without these genes, also left out of the normalization; the same if none is read."""
        kept_g = np.array([gene not in gene_ids for gene in self.readout.gene_ids], dtype=bool)
        if kept_g.all():
            return self.readout
        return _fit(
            self.state.restrict(self.readout.gene_ids[kept_g]), self.is_goal_n, self.train_n, self.strength
        )

    def trained_on(self, train_n: Bool[np.ndarray, " n"]) -> Readout:
        """Fit again on these cells alone, with the same genes and strength."""
        return _fit(self.state, self.is_goal_n, train_n, self.strength)


def shared_genes(state: Cells, perturbed: Cells) -> np.ndarray:
    """Ensembl ids that both files measure, in the perturbed file's order; fewer than 20 are refused."""
    known = set(state.gene_ids)
    shared = [gene for gene in perturbed.gene_ids if gene in known]
    if len(shared) < LEAST_SHARED:
        msg = (
            f"{state.source} ({state.n_genes:,} genes) and {perturbed.source} ({perturbed.n_genes:,} genes) must share at "
            f"least {LEAST_SHARED} genes to read a state in both; they share {len(shared)}: {some(shared)}. "
            "Check that both use human genes and the right id column, or give state cells with more genes."
        )
        raise InputError(msg)
    return np.array(shared, dtype=object)


def readout_split(gene_ids: Iterable[str]) -> np.ndarray:
    """Split readout genes into those that label cells (true) and those that judge effects (false).

    The half depends on the gene's id alone, so that it is the same in every file, campaign and round.

    >>> readout_split(["ENSG00000115415", "ENSG00000096968", "ENSG00000027697"])
    array([False,  True,  True])
    """
    return np.array([hashlib.sha256(gene.encode()).digest()[0] % 2 == 0 for gene in gene_ids], dtype=bool)


def readout_genes(gene_ids: np.ndarray, genes: ReadoutGenes) -> np.ndarray:
    """Keep the genes that have this role."""
    if genes == "all":
        return gene_ids
    labels_g = readout_split(gene_ids)
    return gene_ids[labels_g if genes == "label" else ~labels_g]


def fit_state_score(
    state: Cells,
    is_goal_n: Bool[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
    gene_ids: np.ndarray,
    *,
    strength: float | None = None,
) -> StateScore:
    r"""Fit the state score on these genes and check it on the held-out cells.

    Parameters
    ----------
    state
        Start and goal cells, raw counts.
    is_goal_n
        Whether a cell is in the goal state.
    train_n
        Whether a cell trains the score; the others check it and must hold both states.
    gene_ids
        Readout genes; expression is normalized over them, so that files with different panels are comparable.
    strength
        scikit-learn's C; chosen by cross-validation where none is given.

    Returns
    -------
    `StateScore`.

    Notes
    -----
    Logistic regression with L2 penalty on log-normalized expression divided by its standard deviation in the training
    cells. C is the value among `stats.state_regression.STRENGTHS` with the best AUROC in three stratified folds of the training cells; perturbed
    cells have no part in the choice. The assumption a reviewer would attack: the axis between the two states is taken to
    mean the same thing in the perturbed cells, which may be another cell type, stimulus or laboratory.
    """
    for name, side_n in (("training", train_n), ("held-out", ~train_n)):
        goal, start = int((side_n & is_goal_n).sum()), int((side_n & ~is_goal_n).sum())
        if min(goal, start) < 2:
            msg = (
                f"The {name} cells of {state.source} must hold both states; they hold {start} start and {goal} goal cells. "
                "Give more cells, or split them so that both sides hold both states."
            )
            raise InputError(msg)
    cut = state.restrict(gene_ids)
    if strength is None:
        strength = choose_strength(cut.select(train_n).log_normalized(), is_goal_n[train_n])
    readout = _fit(cut, is_goal_n, train_n, strength)
    heldout_auroc = float(roc_auc_score(is_goal_n[~train_n], readout.score(cut.select(~train_n))))
    return StateScore(cut, is_goal_n, train_n, strength, readout, heldout_auroc)


def scores_by_target(
    score: StateScore, perturbed: PerturbedCells, own: Mapping[str, frozenset[str]]
) -> dict[str, tuple[Readout, Float[np.ndarray, " n"]]]:
    """Readout of each target and the score of every cell under it, the target's own genes left out.

    Parameters
    ----------
    score
        The state score on all readout genes.
    perturbed
        Perturbed and control cells.
    own
        Genes that no score of a target's cells may read: see `left_out`.

    Returns
    -------
    Target -> its readout and one score per cell, positive = toward the goal. The key '' holds the readout on all genes; targets
    whose own genes are not read share it.
    """
    nothing: frozenset[str] = frozenset()
    groups = {nothing, *(own.get(target, nothing) for target in perturbed.targets)}
    by_genes = {genes: score.without(*genes) for genes in groups}
    cut = perturbed.cells.restrict(score.readout.gene_ids)
    whole = score.readout, score.readout.score(cut)
    scored = {
        genes: whole if readout is score.readout else (readout, readout.score(cut))
        for genes, readout in by_genes.items()
    }
    return {"": whole, **{target: scored[own.get(target, nothing)] for target in perturbed.targets}}


@dataclass(frozen=True)
class SoftLabels:
    """How goal-like each perturbed cell is, for training; read from the labelling half of the genes."""

    probability_n: Float[np.ndarray, " n"]
    """Probability of the goal state, one per cell of the perturbed file, controls included."""
    heldout_auroc: float
    """How well the labelling genes tell held-out state cells apart."""
    n_genes: int
    """Labelling genes."""


def soft_labels(
    state: Cells,
    is_goal_n: Bool[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
    perturbed: PerturbedCells,
    *,
    genes: ReadoutGenes = "label",
) -> SoftLabels:
    r"""Probability of the goal state for each perturbed cell, from genes that do not judge effects.

    High = the perturbation left the cell in, or brought it to, the goal state.

    Parameters
    ----------
    state, is_goal_n, train_n
        Start and goal cells, their state, and which of them train the score.
    perturbed
        Perturbed and control cells.
    genes
        Readout genes that label; the other half judges (`measure_effects(..., genes="judge")`).

    Returns
    -------
    `SoftLabels`.

    Notes
    -----
    :math:`p_n = \sigma(a s_n' + b)`: a and b are fitted on the held-out state cells (Platt), and :math:`s'` is the
    score shifted, within each replicate, so that control cells have the mean of the held-out start cells. That
    takes out panel, laboratory and cell type; it assumes that control cells *are* start cells, and labels are wrong by
    as much as they are not. A target's cells are scored without its own gene.
    """
    gene_ids = readout_genes(shared_genes(state, perturbed.cells), genes)
    score = fit_state_score(state, is_goal_n, train_n, gene_ids)
    heldout = score.readout.score(score.state.select(~train_n))
    platt = LogisticRegression(C=1e6).fit(heldout[:, None], is_goal_n[~train_n])
    start = heldout[~is_goal_n[~train_n]].mean()
    probability_n = np.full(perturbed.cells.n_cells, np.nan)
    for target, (_, score_n) in scores_by_target(score, perturbed, left_out(state, perturbed)).items():
        label = target or perturbed.control
        for name in np.unique(perturbed.replicate_n.astype(str)):
            here_n = perturbed.replicate_n == name
            control = score_n[perturbed.is_control_n & here_n].mean()
            rows = (perturbed.target_n == label) & here_n
            logit_n = (score_n[rows] - control + start) * platt.coef_[0, 0] + platt.intercept_[0]
            probability_n[rows] = expit(logit_n)
    return SoftLabels(probability_n, score.heldout_auroc, len(gene_ids))


def _fit(cut: Cells, is_goal_n: np.ndarray, train_n: np.ndarray, strength: float) -> Readout:
    weight_g, intercept = fit_state(cut.select(train_n).log_normalized(), is_goal_n[train_n], strength)
    return Readout(cut.gene_ids, weight_g, intercept)
