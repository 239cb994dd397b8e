"""Every method on one panel of measured genes, and how well it finds the hits of the other donor."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from judge import auroc_of_ranks, ranks
from scipy.stats import norm

from perturbloop.data.gene_sets import GeneSets
from perturbloop.design.panels import PanelRule, panel
from perturbloop.evaluate.disjoint import related
from perturbloop.evaluate.metrics import average_precision, precision_at_k
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.kernels import Kernel
from perturbloop.evidence.posterior import PRIOR_WEIGHT, Posterior, posterior
from perturbloop.evidence.propagate import combine, propagate

BEST = 50
"""Genes that precision is taken of."""
ALL, NONE = "all networks", "no network"
BY_SKILL = ", by skill"
"""Behind a score whose weight grows with its skill on the measured genes from 0 to the full one, as a network's does."""
UNSIGNED = ("expression", "static pathway", "annotation degree", "|DE|", "chance")
"""Scores that rank hits of both signs alike."""


@dataclass(frozen=True)
class Problem:
    """Everything that does not depend on the panel; genes in one order."""

    gene_ids: np.ndarray
    effect_g: np.ndarray
    """Donor 1, toward rest (less IFN-γ), in robust standard deviations of all its genes."""
    se_g: np.ndarray
    known_hit_g: np.ndarray
    """Donor 1's hits toward rest: what a hit-enriched panel is enriched for."""
    hit_g: np.ndarray
    """Donor 2's hits toward rest, positive regulators of IFN-γ: the truth."""
    away_g: np.ndarray
    """Donor 2's hits away from rest."""
    insilico: dict[str, np.ndarray]
    """Scores that go with evidence, higher = toward rest; missing where a gene has none."""
    alone: dict[str, np.ndarray]
    """Scores that stand without evidence."""
    features: list[Kernel]
    kernels: list[Kernel]
    graphs: list[GeneGraph]
    cover: Kernel
    sets: GeneSets
    in_pathway_g: np.ndarray


@dataclass(frozen=True)
class Seen(Kernel):
    """A kernel whose columns at the measured genes are computed once, though many posteriors ask for them."""

    near_gp: np.ndarray | None = None
    self_g: np.ndarray | None = None

    def columns(self, place_p: np.ndarray) -> np.ndarray:
        """As computed; the genes asked for are the measured ones."""
        return self.near_gp

    def among(self, place_p: np.ndarray) -> np.ndarray:
        """Rows of what was computed."""
        return self.near_gp[place_p]

    def variance(self) -> np.ndarray:
        """As computed."""
        return self.self_g


@dataclass(frozen=True)
class Ranking:
    """One method's scores for the hits toward and away."""

    rule: str
    """posterior, simple (z + z), or alone."""
    score: str
    """What stands beside the evidence: nothing, ISP, DE, …; or the score that stands alone."""
    network: str
    effects: str
    """true, permuted, or empty where none are used."""
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
        kernel=given.cover,
    )
    return pd.Index(given.gene_ids).get_indexer(pd.Index(chosen))


def rankings(given: Problem, place_p: np.ndarray, seed: int) -> tuple[list[Ranking], pd.DataFrame]:
    """Every method on one panel, and what each network's leave-one-out skill was."""
    rng = np.random.default_rng([seed, len(place_p)])
    found = list(_alone(given.alone | {"chance": rng.random(len(given.gene_ids))}))
    insilico = given.insilico | {"ISP of other genes": _permuted(given.insilico["ISP"], rng)}
    dealt = rng.permutation(len(place_p))
    seen = [_seen(kernel, place_p) for kernel in given.kernels]
    chosen = {ALL: seen, NONE: [], **{kernel.name: [kernel] for kernel in seen}}
    skills = []
    for effects, order in (("true", np.arange(len(place_p))), ("permuted", dealt)):
        effect_p, se_p = given.effect_g[place_p][order], given.se_g[place_p][order]
        nothing_g = np.zeros(len(given.gene_ids))
        for name, kernels in chosen.items():
            base = posterior(
                kernels,
                given.features,
                nothing_g,
                place_p,
                effect_p,
                se_p,
                rng=np.random.default_rng(seed),
            )
            found.append(_ranking("nothing", name, effects, base))
            for score, score_g in insilico.items():
                found.append(_ranking(score, name, effects, with_prior(base, score_g, place_p, effect_p)))
            if name == ALL:
                earned = {
                    score: score_skill(score_g[place_p], effect_p) for score, score_g in insilico.items()
                }
                for score, skill in earned.items():
                    weighed = with_prior(
                        base, insilico[score], place_p, effect_p, weight=min(max(skill, 0.0), 1.0)
                    )
                    found.append(_ranking(f"{score}{BY_SKILL}", name, effects, weighed))
                told = {kernel.name: skill for kernel, skill in zip(seen, base.skill_k, strict=True)} | earned
                skills.append(
                    pd.DataFrame({"network": list(told), "skill": list(told.values()), "effects": effects})
                )
        for graph in given.graphs:
            spread_g = propagate(graph, given.gene_ids[place_p], effect_p, se_p)["score"].to_numpy(float)
            found.append(Ranking("simple", "nothing", graph.name, effects, spread_g, -spread_g))
            for score, score_g in insilico.items():
                both_g = combine(score_g, spread_g)
                found.append(Ranking("simple", score, graph.name, effects, both_g, -both_g))
    return found, pd.concat(skills)


def with_prior(
    base: Posterior, insilico_g: np.ndarray, place_p: np.ndarray, effect_p: np.ndarray, *, weight: float = 1.0
) -> Posterior:
    """The posterior with this in-silico score, from the one without: the same numbers as `posterior`, without solving again.

    The posterior mean is linear in prior and effects: m + G (y − m_p), and `influence_gp` is G y, gene by gene. `weight` is a share
    of the weight that `posterior` gives the score.
    """
    z_g = (insilico_g - np.nanmean(insilico_g)) / np.nanstd(insilico_g)
    prior_g = weight * PRIOR_WEIGHT * base.threshold * np.tanh(2 * np.nan_to_num(z_g))
    influence_gp = base.influence_gp * (1 - prior_g[place_p] / effect_p)
    mean_g = prior_g + influence_gp.sum(axis=1)
    return replace(
        base,
        mean_g=mean_g,
        probability_g=norm.sf((base.threshold - mean_g) / base.sd_g),
        away_g=norm.sf((base.threshold + mean_g) / base.sd_g),
        influence_gp=influence_gp,
    )


def score_skill(score_p: np.ndarray, effect_p: np.ndarray) -> float:
    """How much better a score foretells the measured effects than shuffled ones, in standard deviations of the shuffles.

    Pearson's correlation times √(k − 1): over all shuffles it has mean 0 and standard deviation 1.

    >>> round(score_skill(np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, 4.0, 6.0, 0.0])), 2)
    1.41
    """
    known_p = ~np.isnan(score_p)
    if known_p.sum() < 3 or np.ptp(score_p[known_p]) == 0 or np.ptp(effect_p[known_p]) == 0:
        return 0.0
    return float(np.corrcoef(score_p[known_p], effect_p[known_p])[0, 1] * np.sqrt(known_p.sum() - 1))


def denominators(given: Problem, place_p: np.ndarray, largest_p: np.ndarray) -> dict[str, np.ndarray]:
    """Genes to judge: never measured; of these those that share no Reactome set with a measured gene, those outside
    the TCR/CD28 sets, and those that the largest panel of the same seed does not measure either.
    """
    free_g, frozen_g = np.ones((2, len(given.gene_ids)), dtype=bool)
    free_g[place_p], frozen_g[largest_p] = False, False
    measured = given.gene_ids[place_p].tolist()
    return {
        "all": free_g,
        "pathway-disjoint": free_g & ~related(given.gene_ids, measured, given.sets),
        "outside TCR/CD28": free_g & ~given.in_pathway_g,
        "never measured": frozen_g,
    }


def judged(given: Problem, method: Ranking, kept: dict[str, np.ndarray]) -> Iterator[dict[str, object]]:
    """One row per denominator; average precision and precision for all genes only.

    `places` holds, per hit toward, the share of other genes below it (missing where it is not judged).
    """
    toward_n, away_n = _filled(method.toward_g), _filled(method.away_g)
    rank_n, away_rank_n = ranks(toward_n), ranks(away_n)
    for name, kept_g in kept.items():
        hit_n = given.hit_g[kept_g]
        yield {
            "rule": method.rule,
            "score": method.score,
            "network": method.network,
            "effects": method.effects,
            "genes": name,
            "n_genes": int(kept_g.sum()),
            "n_hits": int(hit_n.sum()),
            "auroc": auroc_of_ranks(hit_n, rank_n[kept_g]),
            "average_precision": average_precision(hit_n, toward_n[kept_g]) if name == "all" else np.nan,
            "precision": precision_at_k(hit_n, toward_n[kept_g], k=BEST) if name == "all" else np.nan,
            "n_away": int(given.away_g[kept_g].sum()),
            "auroc_away": auroc_of_ranks(given.away_g[kept_g], away_rank_n[kept_g]),
            "places": _places(rank_n, given.hit_g, kept_g),
        }


def without_evidence(given: Problem) -> pd.DataFrame:
    """Every score that needs no evidence, on all genes (k = 0)."""
    everything = np.ones(len(given.gene_ids), dtype=bool)
    kept = {"all": everything, "outside TCR/CD28": ~given.in_pathway_g}
    return pd.DataFrame([row for method in _alone(given.alone) for row in judged(given, method, kept)])


def _alone(scores: dict[str, np.ndarray]) -> Iterator[Ranking]:
    for name, score_g in scores.items():
        yield Ranking("alone", name, "", "", score_g, score_g if name in UNSIGNED else -score_g)


def _seen(kernel: Kernel, place_p: np.ndarray) -> Seen:
    near_gp, self_g = kernel.columns(place_p), kernel.variance()
    return Seen(kernel.name, kernel.gene_ids, kernel.vector_gd, kernel.power, near_gp, self_g)


def _places(rank_n: np.ndarray, hit_g: np.ndarray, kept_g: np.ndarray) -> np.ndarray:
    others = np.bincount(rank_n[kept_g & ~hit_g], minlength=rank_n.max() + 1)
    share = (np.cumsum(others) - others / 2) / max(others.sum(), 1)
    return np.where(kept_g[hit_g], share[rank_n[hit_g]], np.nan)


def _filled(score_g: np.ndarray) -> np.ndarray:
    """Genes without a score come last."""
    return np.where(np.isnan(score_g), np.nanmin(score_g) - 1, score_g)


def _permuted(score_g: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal the scores out anew among the genes that have one."""
    dealt_g = score_g.copy()
    known = np.flatnonzero(~np.isnan(score_g))
    dealt_g[known] = score_g[rng.permutation(known)]
    return dealt_g


def _ranking(score: str, network: str, effects: str, found: Posterior) -> Ranking:
    return Ranking("posterior", score, network, effects, found.probability_g, found.away_g)
