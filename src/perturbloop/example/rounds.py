"""Three rounds of the evidence channel from nothing, on a network whose hits are known: does measuring pay?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from perturbloop.design.belief import Belief
from perturbloop.design.choice import choose, first_batch
from perturbloop.evidence.channel import Evidence, Networks, posterior_of
from perturbloop.evidence.kernels import Kernel

ROUNDS, BATCH, DRAWS = 3, 20, 5
LOOP, OPEN, DE, CHANCE, PERMUTED = "loop", "open loop", "DE", "chance", "permuted"
"""Policies: the loop; the top of the in-silico ranking; that of differential expression; random genes; the loop on effects that were
exchanged among the measured genes."""


def hits_by_round(
    known: Networks,
    likeness: Kernel,
    scores: pd.DataFrame,
    *,
    effect_g: Float[np.ndarray, " g"],
    hit_g: Bool[np.ndarray, " g"],
    se: float,
    with_model: bool,
    seed: int,
) -> pd.DataFrame:
    """Play three rounds of 20 genes with noisy effects, and count the true hits among the genes of each policy.

    Parameters
    ----------
    known, likeness
        Networks and the kernel of coverage; genes in the order of `known`.
    scores
        Columns `open loop` and `DE`, index = Ensembl ids; a gene without a score is chosen last.
    effect_g, hit_g
        True effect of each gene toward the goal, in the unit of measured effects, and whether it is a hit.
    se
        Standard error of a measured effect, same unit.
    with_model
        Whether the in-silico score may have a part, as its control gate passed.
    seed
        Draws the noise and the panels.

    Returns
    -------
    `policy`, `genes` (measured so far), `hits`: mean over `DRAWS` draws of the noise, and `se`, its standard error (0 without draws).
    """
    genes = pd.Index(known.gene_ids)
    by_score = {name: scores[name].reindex(genes).fillna(-np.inf).to_numpy(float) for name in (OPEN, DE)}
    rows: list[tuple[str, int, float]] = []
    for draw in range(DRAWS):
        for policy in (LOOP, PERMUTED):
            rng = np.random.default_rng([seed, draw])
            measured_g = effect_g + se * rng.standard_normal(len(genes))
            batches = _played(
                known, likeness, by_score[OPEN], measured_g, se, with_model, policy == PERMUTED, rng
            )
            rows += [(policy, len(place_p), float(hit_g[place_p].sum())) for place_p in batches]
    for genes_so_far in BATCH * np.arange(1, ROUNDS + 1):
        for name, score_g in by_score.items():
            best_p = np.argsort(-score_g, kind="stable")[:genes_so_far]
            rows.append((name, int(genes_so_far), float(hit_g[best_p].sum())))
        rows.append((CHANCE, int(genes_so_far), float(genes_so_far * hit_g.mean())))
    table = pd.DataFrame(rows, columns=["policy", "genes", "hits"])
    found = table.groupby(["policy", "genes"], sort=False)["hits"].agg(["mean", "sem"]).fillna(0)
    return found.set_axis(["hits", "se"], axis=1).reset_index()


def _played(
    known: Networks,
    likeness: Kernel,
    prior_g: np.ndarray,
    measured_g: np.ndarray,
    se: float,
    with_model: bool,
    permuted: bool,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Places of all genes measured after each round."""
    n = len(known.gene_ids)
    insilico = pd.Series(np.where(np.isfinite(prior_g), prior_g, np.nan), index=known.gene_ids) * float(
        with_model
    )
    none_g, open_g = np.zeros(n), np.ones(n, dtype=bool)
    belief = Belief(known.gene_ids, none_g, none_g, none_g, open_g, likeness, prior_g)
    place_p = first_batch(belief, BATCH, rng, n_prior=BATCH // 2 if with_model else 0)
    yield place_p
    for _ in range(ROUNDS - 1):
        effect_p = rng.permutation(measured_g[place_p]) if permuted else measured_g[place_p]
        rows = pd.DataFrame({"gene_id": known.gene_ids[place_p], "effect_to_goal": effect_p, "se": se})
        found = posterior_of(Evidence(known, rows, {}, passed=with_model), insilico, rows)
        belief = Belief(known.gene_ids, found.mean_g, found.sd_g, found.probability_g, open_g, likeness)
        more_p = choose(belief.without(place_p), BATCH, rng, aim="find")
        place_p = np.append(place_p, more_p)
        yield place_p


def rounds_line(table: pd.DataFrame, n_hits: int) -> str:
    """Say what each policy found in the end, and whom the loop is ahead of by more than two standard errors.

    Parameters
    ----------
    table
        What `hits_by_round` gives.
    n_hits
        Hits that there are.

    >>> rows = [("loop", 60, 12.4, 0.5), ("open loop", 60, 9.0, 0.0), ("chance", 60, 6.0, 0.0)]
    >>> rounds_line(pd.DataFrame(rows, columns=["policy", "genes", "hits", "se"]), 36)
    'Three rounds of 20 genes from nothing, mean of 5 noise draws, hits found of 36: loop 12.4, open loop 9.0, chance 6.0. The loop is ahead.'
    """
    last = table[table["genes"].eq(table["genes"].max())].set_index("policy")
    loop, others = last.loc[LOOP], last.drop(LOOP)
    margin = 2 * np.hypot(others["se"].to_numpy(float), float(loop["se"]))
    behind = [str(name) for name in others.index[float(loop["hits"]) - others["hits"] <= margin]]
    verdict = f"The loop is NOT clearly ahead of {' and '.join(behind)}." if behind else "The loop is ahead."
    said = ", ".join(f"{name} {hits:.1f}" for name, hits in last["hits"].items())
    return f"Three rounds of {BATCH} genes from nothing, mean of {DRAWS} noise draws, hits found of {n_hits}: {said}. {verdict}"
