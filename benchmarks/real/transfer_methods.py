"""Every method on one panel of measured genes, and how well it finds the other screen's hits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from judge import auroc_of_ranks, ranks
from networks import graph_of
from scipy import sparse
from transfer_problem import Problem

from perturbloop.design.panels import PanelRule, panel
from perturbloop.evaluate.metrics import average_precision, precision_at_k
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.kernels import Kernel, total_columns
from perturbloop.evidence.posterior import AMPLITUDE, OWN_SHARE, Posterior, posterior
from perturbloop.evidence.propagate import propagate
from perturbloop.stats.scale import standardized

BEST = 50
"""Genes that precision is taken of."""
LARGEST_EFFECT = 8.0
"""Effects beyond this many robust standard deviations are read as this large: one gene must not set the scale of all."""
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Penalties of the ridge; the one of least leave-one-out error is taken."""


@dataclass(frozen=True)
class Ranking:
    """One method's scores for the hits of either sign."""

    method: str
    toward_g: np.ndarray
    away_g: np.ndarray


def panel_places(given: Problem, how: PanelRule, k: int, seed: int) -> np.ndarray:
    """Rows of the genes of a panel; nested in k."""
    chosen = panel(
        how,
        k,
        gene_ids=given.gene_ids,
        rng=np.random.default_rng(seed),
        hits=given.gene_ids[given.known_hit_g],
    )
    return pd.Index(given.gene_ids).get_indexer(pd.Index(chosen))


def constants(given: Problem) -> list[Ranking]:
    """Rankings that no effect goes into."""
    scales, level_g = given.scales(), given.expression_g
    kernels_g = sum((kernel.variance() for kernel in given.kernels), np.zeros(level_g.size))
    log_g = sum((scale.weight * scale.value_g for scale in scales), np.zeros(level_g.size))
    prior_g = np.log(AMPLITUDE**2 * kernels_g + OWN_SHARE) / 2 + log_g
    found = {"prior alone": prior_g, "lineage": given.prior_g, "expression": level_g}
    if given.in_pathway_g.any():
        found["static pathway"] = given.in_pathway_g + 0.02 * standardized(level_g)
    return [Ranking(name, score_g, score_g) for name, score_g in found.items()]


def rankings(given: Problem, graph: GeneGraph, place_p: np.ndarray, seed: int) -> Iterator[Ranking]:
    """Every method that reads the effects of these genes."""
    rng = np.random.default_rng([seed, len(place_p)])
    effect_p = np.clip(given.effect_g[place_p], -LARGEST_EFFECT, LARGEST_EFFECT)
    se_p, dealt = given.se_g[place_p], rng.permutation(len(place_p))
    nothing_g = np.zeros(given.gene_ids.size)
    for suffix, lineage in (("", True), (", no lineage", False)):
        scales = given.scales(lineage=lineage)
        true = posterior(given.kernels, scales, nothing_g, place_p, effect_p, se_p)
        permuted = posterior(given.kernels, scales, nothing_g, place_p, effect_p[dealt], se_p[dealt])
        yield from (_both(f"posterior{suffix}", true), _both(f"permuted effects{suffix}", permuted))
    insilico = {"an in-silico score of other genes": rng.standard_normal(nothing_g.size)} | given.insilico
    for name, score_g in insilico.items():
        yield _both(
            f"posterior with {name}",
            posterior(given.kernels, given.scales(), score_g, place_p, effect_p, se_p),
        )
    spread_g = propagate(graph, given.gene_ids[place_p], effect_p, se_p)["score"].to_numpy(float)
    yield Ranking("propagation", spread_g, -spread_g)
    ridge_g = ridge(given, place_p, effect_p)
    yield Ranking("ridge", ridge_g, -ridge_g)


def ridge(given: Problem, place_p: np.ndarray, effect_p: np.ndarray) -> np.ndarray:
    """Ridge of the effects on set membership, expression, lineage and annotation degree, as a user without a posterior would do it."""
    columns = (given.expression_g, np.nan_to_num(given.lineage_g), np.log1p(given.degree_g))
    numbers_gd = np.column_stack([standardized(value_g) for value_g in columns])
    near_gp = (
        total_columns(given.kernels, np.ones(len(given.kernels)), place_p)
        + numbers_gd @ numbers_gd[place_p].T
    )
    best, found = np.inf, np.zeros(given.gene_ids.size)
    centered_p = effect_p - effect_p.mean()
    for penalty in PENALTIES:
        inverse_pp = np.linalg.inv(near_gp[place_p] + penalty * np.eye(len(place_p)))
        left_out = float(((inverse_pp @ centered_p / np.diag(inverse_pp)) ** 2).mean())
        if left_out < best:
            best, found = left_out, near_gp @ (inverse_pp @ centered_p)
    return found


def graph_of_all(given: Problem) -> GeneGraph:
    """Nearest genes by all kernels together: what effects are propagated over."""
    joined = sparse.csr_matrix(
        sparse.hstack([sparse.csr_matrix(kernel.vector_gd) for kernel in given.kernels])
    )
    return graph_of(Kernel("all", given.gene_ids, joined))


def judged(given: Problem, ranking: Ranking, place_p: np.ndarray) -> dict[str, object]:
    """How a ranking finds the hits that the panel did not measure."""
    free_g = np.ones(given.gene_ids.size, dtype=bool)
    free_g[place_p] = False
    outside_g = free_g & ~given.in_pathway_g
    toward_n, away_n = (np.nan_to_num(score_g, nan=-np.inf) for score_g in (ranking.toward_g, ranking.away_g))
    hit_n = given.hit_g[free_g]
    return {
        "method": ranking.method,
        "auroc": auroc_of_ranks(hit_n, ranks(toward_n[free_g])),
        "auroc_away": auroc_of_ranks(given.away_g[free_g], ranks(away_n[free_g])),
        "average_precision": average_precision(hit_n, toward_n[free_g]),
        "precision_at_50": precision_at_k(hit_n, toward_n[free_g], k=BEST),
        "auroc_outside": auroc_of_ranks(given.hit_g[outside_g], ranks(toward_n[outside_g])),
        "n_genes": int(free_g.sum()),
        "n_hits": int(hit_n.sum()),
        "places": _places(toward_n, given.hit_g, free_g),
    }


def _places(score_g: np.ndarray, hit_g: np.ndarray, free_g: np.ndarray) -> np.ndarray:
    """How many other genes stand above each hit, ties half; missing where the panel measured it."""
    others = np.sort(score_g[free_g & ~hit_g])
    above = [others.size - np.searchsorted(others, score_g[hit_g], side) for side in ("left", "right")]
    return np.where(free_g[hit_g], (above[0] + above[1]) / 2, np.nan)


def _both(method: str, found: Posterior) -> Ranking:
    return Ranking(method, found.probability_g, found.away_g)
