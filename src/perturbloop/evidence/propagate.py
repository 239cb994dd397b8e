"""The simple rule of the evidence channel: z(in-silico) + z(measured effects spread over a gene graph)."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy import sparse

from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.measured import require_effects
from perturbloop.stats.scale import standardized, true_variance


def propagate(
    graph: GeneGraph,
    gene_ids: Shaped[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    se_p: Float[np.ndarray, " p"],
    *,
    hops: int = 2,
    damping: float = 0.5,
    doubt: float = 0.1,
) -> pd.DataFrame:
    r"""Spread the measured effects of some genes to their neighbors.

    Positive score: measured genes near this one moved cells toward the goal, by the same action.

    Parameters
    ----------
    graph
        Genes and their neighbors.
    gene_ids
        Ensembl ids of the training targets; those outside the graph say nothing.
    effect_p
        Their measured effects, as done, all of one modality's kind; positive = toward the goal.
    se_p
        Standard errors, same unit; NaN or 0 for an effect known exactly.
    hops
        Steps from gene to gene: 1 = neighbors, 2 = also their neighbors.
    damping
        Weight of each further step, 0 to 1.
    doubt
        Weight of the statement "no effect" beside the neighbors', in units of one neighbor of full weight; keeps a gene
        with one distant measured neighbor from taking over its whole effect.

    Returns
    -------
    One row per gene of the graph, in its order: `gene_id`; `score` (unit of the effects; 0 where no measured gene is
    within reach); `support` (weight of the measured neighbors, 0 = none); `n_measured` (measured genes within reach).

    Notes
    -----
    With :math:`R = \sum_{h=1}^{H} d^{h-1} W^h` and precision :math:`a_p \propto 1/(\tau^2 + \mathrm{se}_p^2)`, scaled to a
    mean of 1, :math:`s_g = \sum_p R_{gp} a_p y_p \,/\, (\sum_p R_{gp} a_p + c)`. :math:`\tau^2` is the variance between the
    targets' true effects (total minus mean squared error, at least a tenth of the total), so that one very precise effect
    does not silence the others. It is network propagation :cite:`cowen2017` of few steps. The assumption: genes that vary together act alike. Regulators of opposite sign in one
    module break it, and so do bystanders.

    Examples
    --------
    >>> chain = sparse.csr_matrix(np.array([[0, 1.0, 0], [0.5, 0, 0.5], [0, 1.0, 0]]))
    >>> graph = GeneGraph("chain", np.array(["a", "b", "c"], dtype=object), chain)
    >>> target = np.array(["a"], dtype=object)
    >>> propagate(graph, target, np.array([2.0]), np.array([0.1]), doubt=0.0)["score"].tolist()
    [0.0, 2.0, 2.0]
    """
    require_effects(gene_ids, effect_p, se_p, missing=True)
    place_p = graph.places(gene_ids)
    known_p = (place_p >= 0) & ~np.isnan(effect_p)
    place_p, effect_p = place_p[known_p], effect_p[known_p]
    precision_p = _precision(effect_p, np.nan_to_num(se_p[known_p]))
    reach_gp = _reach(graph.weights_gg, place_p, hops=hops, damping=damping)
    support_g = reach_gp @ precision_p
    total_g = reach_gp @ (precision_p * effect_p)
    score_g = np.divide(total_g, support_g + doubt, out=np.zeros(graph.n_genes), where=support_g > 0)
    return pd.DataFrame(
        {
            "gene_id": graph.gene_ids,
            "score": score_g,
            "support": support_g,
            "n_measured": np.diff(reach_gp.indptr),
        }
    )


def combine(a_g: Float[np.ndarray, " g"], b_g: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Add two scores of the same genes on equal terms: z(a) + z(b), higher = more benefit.

    Each z is taken over the genes that have that score. A gene with one score only gets the mean, 0, for the other; a gene
    with none stays NaN. A score that is the same for all genes adds nothing.

    Parameters
    ----------
    a_g, b_g
        Two scores, such as the in-silico logit shift and the propagated effect; NaN where a gene has none.

    Examples
    --------
    >>> combine(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0])).round(2)
    array([-1.22,  0.  ,  1.22])
    """
    both = standardized(a_g), standardized(b_g)
    none_g = np.isnan(both[0]) & np.isnan(both[1])
    return np.where(none_g, np.nan, np.nan_to_num(both[0]) + np.nan_to_num(both[1]))


def shuffle_effects(effects: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Deal the measured numbers out anew among the targets: the control that any evidence claim needs.

    Parameters
    ----------
    effects
        Gene-level rows of the table `schema.EFFECTS`, one per target.
    rng
        Source of the permutation.

    Returns
    -------
    The same rows; who was perturbed, by what, and in which fold stays, what was measured moves as one piece.

    Examples
    --------
    >>> effects = pd.DataFrame({"gene_id": ["JAK2", "MYC"], "effect_to_goal": [0.8, 0.0], "fold": [0, 1]})
    >>> sorted(shuffle_effects(effects, np.random.default_rng(0))["effect_to_goal"])
    [0.0, 0.8]
    """
    stays = ["gene_id", "gene_name", "target", "modality", "level", "guide_id", "own_gene_in_readout", "fold"]
    moves = [name for name in effects.columns if name not in stays]
    dealt = effects.iloc[rng.permutation(len(effects))]
    return effects.assign(**{name: dealt[name].to_numpy() for name in moves})


def _reach(
    weights_gg: sparse.csr_matrix, place_p: np.ndarray, *, hops: int, damping: float
) -> sparse.csr_matrix:
    """Return damped weight of the walks from each gene to each other target, genes × targets; sparse, for whole screens."""
    ones = (np.ones(len(place_p)), (place_p, np.arange(len(place_p))))
    step = sparse.csr_matrix(ones, shape=(weights_gg.shape[0], len(place_p)))
    reach = sparse.csr_matrix(step.shape)
    for hop in range(hops):
        step = sparse.csr_matrix(weights_gg @ step)
        reach = sparse.csr_matrix(reach + damping**hop * step)
    target_g = np.full(weights_gg.shape[0], -1)
    target_g[place_p] = np.arange(len(place_p))
    gene_w = np.repeat(np.arange(reach.shape[0]), np.diff(reach.indptr))
    reach.data[reach.indices == target_g[gene_w]] = 0.0  # a target's own effect is no prediction of it
    reach.eliminate_zeros()
    return reach


def _precision(effect_p: np.ndarray, se_p: np.ndarray) -> np.ndarray:
    if not len(effect_p):
        return effect_p
    variance_p = true_variance(effect_p, se_p) + se_p**2
    if not variance_p.all():
        return np.ones_like(effect_p)
    return 1 / variance_p / (1 / variance_p).mean()
