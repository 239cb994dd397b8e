"""Is it more than expression? AUROCs among genes that are alike in expression, or in being essential to every cell.

Genes that cells express highly are edited in more cells, measured better, and more often hits: a ranking that only knows
expression looks skilled. Within a stratum of like genes that skill is gone.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from perturbloop.evaluate.held_out import held_out, judge, rankings_by_fold
from perturbloop.schema import KINDS, PREDICTIONS, STRATA, concat
from perturbloop.stats.delong import AurocInterval, auroc_interval, stratified_auroc

HITS_PER_STRATUM, FEWEST, MOST = 5, 2, 5
"""Strata of expression: one for about so many hits, at least and at most so many."""
ALL, WITHIN = "all", "within strata"


def quantile_strata(covariate_n: Float[np.ndarray, " n"], n_strata: int) -> Int[np.ndarray, " n"]:
    """Divide genes into equally many of low to high value: 0 = lowest; −1 = missing.

    Equal values stay together, so there may be fewer strata than asked for.

    >>> quantile_strata(np.array([0.0, 0.0, 0.0, 1.0, 2.0, np.nan]), 2)
    array([ 0,  0,  0,  1,  1, -1])
    """
    known_n = ~np.isnan(covariate_n)
    stratum_n = np.full(covariate_n.size, -1)
    place = (rankdata(covariate_n[known_n]) - 0.5) / max(known_n.sum(), 1)
    _, stratum_n[known_n] = np.unique(np.floor(place * n_strata), return_inverse=True)
    return stratum_n


def by_stratum(
    hit_n: Bool[np.ndarray, " n"], score_n: Float[np.ndarray, " n"], name_n: np.ndarray
) -> Iterator[dict[str, object]]:
    """AUROC of one ranking among all genes, in each stratum, and within strata.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    score_n
        Score, higher = more likely a hit; no missing values.
    name_n
        Name of each gene's stratum, dtype object.

    Yields
    ------
    One row of STRATA each, without method, kind and covariate: all genes first, the strata in alphabetical order,
    `within strata` last.
    """
    yield _row(ALL, hit_n, auroc_interval(hit_n, score_n))
    stratum_n, names = pd.factorize(name_n, sort=True)
    for place, name in enumerate(names):
        here = stratum_n == place
        yield _row(name, hit_n[here], auroc_interval(hit_n[here], score_n[here]))
    yield _row(WITHIN, hit_n, stratified_auroc(hit_n, score_n, stratum_n))


def strata(
    predictions: pd.DataFrame,
    effects: pd.DataFrame,
    *,
    expression: Mapping[str, float],
    essential: Collection[str] | None = None,
) -> pd.DataFrame:
    """AUROC of every method among held-out targets of like expression, and among essential and other ones.

    Parameters
    ----------
    predictions
        PREDICTIONS rows of all methods, as for the scoreboard.
    effects
        EFFECTS rows.
    expression
        Gene id -> expression in the start cells, any monotone scale.
    essential
        Ids of genes that every cell needs; with `None` they are not told apart.

    Returns
    -------
    STRATA rows of the targets that each method scored; without hits their AUROCs are missing. Strata of expression are quantiles of these targets: one for about
    five hits, two at least and five at most. Targets without a known expression are a stratum of their own.

    Raises
    ------
    LeakageError
        If a target would be judged by a method that was trained on it.

    Notes
    -----
    `within strata` removes what a ranking owes to the strata, not what it owes to expression within them; with two wide
    strata much is left. It is no causal adjustment: a true cause that works through high expression loses too.
    """
    table, lines = PREDICTIONS.checked(predictions), []
    for kind in KINDS:
        truth = held_out(effects, kind)
        if not truth.gene_ids.size:
            continue
        level_n = pd.Series(truth.gene_ids).map(expression).to_numpy(float)
        needed_n = None if essential is None else pd.Index(truth.gene_ids).isin(essential)
        for method, rows in table[table["kind"] == kind].groupby("method", sort=False):
            place_n = judge(rankings_by_fold(rows, truth, method=str(method)), truth).place_n
            scored_n = ~np.isnan(place_n)
            hit_n = truth.toward_n[scored_n]
            needed = None if needed_n is None else needed_n[scored_n]
            for by, name_n in _names(level_n[scored_n], needed, int(hit_n.sum())):
                of_method = {"method": method, "kind": kind, "by": by}
                lines += [of_method | row for row in by_stratum(hit_n, place_n[scored_n], name_n)]
    return concat(STRATA, [pd.DataFrame(lines)])


def _names(level_n: np.ndarray, needed_n: np.ndarray | None, n_hits: int) -> Iterator[tuple[str, np.ndarray]]:
    if not np.isnan(level_n).all():
        stratum_n = quantile_strata(level_n, int(np.clip(n_hits // HITS_PER_STRATUM, FEWEST, MOST)))
        total = stratum_n.max() + 1
        names = [*(f"{place + 1} of {total}" for place in range(total)), "unknown"]
        yield "expression", np.array(names, dtype=object)[stratum_n]
    if needed_n is not None:
        yield "essentiality", np.where(needed_n, "core essential", "other").astype(object)


def _row(name: str, hit_n: np.ndarray, found: AurocInterval) -> dict[str, object]:
    return {
        "stratum": name,
        "value": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "interval": found.method,
        "n_genes": hit_n.size,
        "n_hits": int(hit_n.sum()),
    }
