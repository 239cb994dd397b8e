"""A ranking against a screen: which genes can be judged, what changes with the definition of a hit, and the ceiling."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from perturbloop.data.hits import by_fdr, by_top
from perturbloop.errors import InputError, LeakageError, some
from perturbloop.evaluate.metrics import average_precision, precision_at_k
from perturbloop.schema import (
    SCREEN,
    SCREEN_SWEEP,
    SCREEN_TRUTH,
    Kind,
    Modality,
    concat,
    judges,
    raising_sign,
)
from perturbloop.stats.resample import bootstrap_interval

REGULATORS = ("positive", "negative", "both")


Definition = Callable[[pd.DataFrame], Bool[np.ndarray, " g"]]
"""What a hit is: from a table `SCREEN` to true or false for each of its genes."""


def as_read(screen: pd.DataFrame) -> Bool[np.ndarray, " g"]:
    """Hits as the screen was read with: its column `hit`."""
    return screen["hit"].to_numpy(dtype=bool)


BY_FDR: dict[str, Definition] = {f"FDR < {fdr:g}": partial(by_fdr, fdr=fdr) for fdr in (0.01, 0.05, 0.1)}
"""Definitions that need false discovery rates."""
BY_SIZE: dict[str, Definition] = {
    f"top {100 * share:g} %": partial(by_top, share=share) for share in (0.01, 0.05)
}
"""Definitions that any score has."""
DEFINITIONS: dict[str, Definition] = {"as read": as_read} | BY_FDR | BY_SIZE
"""Definitions that `sweep` goes through; `top` counts all genes of the screen, whether expressed or not."""


def score_of(ranking: pd.DataFrame, screen: pd.DataFrame, kind: Kind) -> pd.Series:
    """Benefit of each gene in a ranking of the kind that a screen judges; index = Ensembl id, missing where not scored.

    Parameters
    ----------
    ranking
        Table `RANKING`.
    screen
        Table `SCREEN` of a modality that judges the kind.
    kind
        In-silico edit.

    Raises
    ------
    InputError
        If the screen's modality says nothing of this kind, or the ranking has no such rows.
    """
    modality = _modality(screen)
    if not judges(modality, kind):
        msg = (
            f"A screen of the modality `{modality}` says nothing of the in-silico edit `{kind}`: one lowers the gene, the other "
            "raises it. Choose the rows of another kind."
        )
        raise InputError(msg)
    rows = ranking[ranking["kind"] == kind]
    if rows.empty:
        msg = f"The ranking must hold the kind `{kind}`; it has {some(ranking['kind'].unique())}. Perturb that kind first."
        raise InputError(msg)
    benefit = rows["benefit"].where(rows["status"] == "scored")
    return pd.Series(benefit.to_numpy(float), index=rows["gene_id"].to_numpy(object))


def truth(
    score: pd.Series,
    screen: pd.DataFrame,
    *,
    spent: Collection[str] = (),
    detection: pd.Series | None = None,
    min_detection: float = 0.01,
) -> pd.DataFrame:
    """Every gene of a screen beside its score, with what may be made of it.

    Parameters
    ----------
    score
        Higher = what the screen did to the gene moves cells toward the goal; index = Ensembl id, each once.
    screen
        Table `SCREEN`.
    spent
        Genes whose measured effects went into the score: excluded.
    detection
        Share of the user's cells that express a gene, index = Ensembl id; genes below `min_detection`, or unknown to the
        cells, are excluded. `None` excludes none.
    min_detection
        Least share of cells.

    Returns
    -------
    Table `SCREEN_TRUTH`, one row for every gene of the screen, in its order.

    Raises
    ------
    InputError
        If a gene has two scores.
    """
    twice = score.index[score.index.duplicated()].unique()
    if len(twice):
        msg = f"A gene has one score; these have several: {some(twice)}. Give the rows of one kind and one method."
        raise InputError(msg)
    rows = SCREEN.checked(screen)
    seen = np.full(len(rows), np.nan) if detection is None else rows["gene_id"].map(detection).to_numpy(float)
    is_spent = rows["gene_id"].isin(list(spent)).to_numpy(bool)
    silent = ~(seen >= min_detection) & (detection is not None)
    value = rows["gene_id"].map(score).to_numpy(dtype=float)
    status = np.select([is_spent | silent, np.isnan(value)], ["excluded", "not_scored"], "scored")
    reason = np.select([is_spent, silent], ["spent", "not expressed"], "")
    return SCREEN_TRUTH.checked(rows.assign(score=value, detection=seen, status=status, reason=reason))


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Genes of each status of a table `SCREEN_TRUTH`, the excluded by reason, and the hits among each.

    Returns
    -------
    `scored`, `not_scored`, `spent`, `not expressed`, and the same with ` hits` behind; they sum to all genes of the screen.
    """
    what = table["status"].where(table["reason"] == "", table["reason"])
    names = ("scored", "not_scored", "spent", "not expressed")
    genes = {name: int((what == name).sum()) for name in names}
    return genes | {f"{name} hits": int((what.eq(name) & table["hit"].astype(bool)).sum()) for name in names}


def sweep(
    score: pd.Series,
    screen: pd.DataFrame,
    *,
    rng: np.random.Generator,
    spent: Collection[str] = (),
    detection: pd.Series | None = None,
    min_detection: float = 0.01,
    definitions: Mapping[str, Definition] = DEFINITIONS,
    k: int = 20,
    n_samples: int = 200,
) -> pd.DataFrame:
    """Judge one ranking under several definitions of a hit, among all genes and among those the cells express.

    Parameters
    ----------
    score, screen, spent, detection, min_detection
        As in `truth`; without `detection` only all genes are judged.
    rng
        Source of the bootstrap.
    definitions
        What a hit is, by name; those of `BY_FDR` are left out where the screen has no false discovery rates.
    k
        Best genes that precision is taken of; fewer where fewer genes are judged.
    n_samples
        Bootstrap samples over genes.

    Returns
    -------
    Table `SCREEN_SWEEP`. Positive regulators are those whose product drives cells to the goal, whatever was done to them;
    `both` ranks by the absolute score. Where every judged gene has a score, the rows of both denominators are equal.

    Raises
    ------
    LeakageError
        If all genes of the screen are spent.

    Notes
    -----
    The intervals are over genes and take the screen as given. Hits of the other sign stay in as other genes.
    """
    sign = raising_sign(_modality(screen))
    has_fdr = bool(screen["padj"].notna().any())
    views = [(False, None)] if detection is None else [(False, None), (True, detection)]
    parts = []
    for name, definition in definitions.items():
        if name in BY_FDR and not has_fdr:
            continue
        judged = screen.assign(hit=definition(screen))
        for expressed, seen in views:
            table = truth(score, judged, spent=spent, detection=seen, min_detection=min_detection)
            table = table[table["status"] != "excluded"]
            if table.empty:
                msg = (
                    f"Some gene of the screen must be left to judge; all {len(screen):,} are spent or not expressed. "
                    "Judge by a screen of other genes."
                )
                raise LeakageError(msg)
            lines = _lines(table, sign, rng=rng, k=k, n_samples=n_samples)
            parts.append(pd.DataFrame(lines).assign(definition=name, expressed=expressed))
    return concat(SCREEN_SWEEP, parts)


def ceiling(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    rng: np.random.Generator,
    detection: pd.Series | None = None,
    min_detection: float = 0.01,
    definitions: Mapping[str, Definition] = DEFINITIONS,
    k: int = 20,
    n_samples: int = 200,
) -> pd.DataFrame:
    """How well one replicate's scores find the hits of another: what the noise of the screen leaves to any ranking.

    Parameters
    ----------
    first
        Table `SCREEN` of one donor or replicate, whose scores rank.
    second
        The same of another, whose hits are to be found.
    rng, detection, min_detection, definitions, k, n_samples
        As in `sweep`.

    Returns
    -------
    Table `SCREEN_SWEEP`. Ask both ways: the donors need not be equally good.

    Raises
    ------
    InputError
        If the two are of different modalities: two arms are no replicates.
    """
    modalities = _modality(first), _modality(second)
    if len(set(modalities)) > 1:
        msg = (
            f"Replicates must be of one modality; these are {some(modalities)}. "
            "Compare screens of the same arm: knock-down is not the reverse of activation."
        )
        raise InputError(msg)
    score = pd.Series(first["effect_to_goal"].to_numpy(float), index=first["gene_id"].to_numpy(object))
    return sweep(
        score,
        second,
        rng=rng,
        detection=detection,
        min_detection=min_detection,
        definitions=definitions,
        k=k,
        n_samples=n_samples,
    )


def _modality(screen: pd.DataFrame) -> Modality:
    known = list(screen["modality"].unique())
    if len(known) != 1:
        msg = f"A screen is of one modality; {len(known)} came: {some(known)}. Judge each arm by itself."
        raise InputError(msg)
    return cast("Modality", str(known[0]))


def _lines(
    table: pd.DataFrame, sign: int, *, rng: np.random.Generator, k: int, n_samples: int
) -> Iterator[dict[str, object]]:
    """Metrics of the genes in a table, by kind of regulator and denominator."""
    score_n, effect_n = (table[name].to_numpy(float) for name in ("score", "effect"))
    hit_n, scored_n = table["hit"].to_numpy(bool), table["status"].eq("scored").to_numpy(bool)
    views = {
        "positive": (hit_n & (effect_n > 0), sign * score_n),
        "negative": (hit_n & (effect_n < 0), -sign * score_n),
        "both": (hit_n, np.abs(score_n)),
    }
    for regulators in REGULATORS:
        wanted_n, value_n = views[regulators]
        line: dict[str, object] = {}
        for denominator, kept_n in (("scored", scored_n), ("all", np.ones_like(scored_n))):
            if not line or not scored_n.all():
                line = _line(wanted_n[kept_n], value_n[kept_n], rng=rng, k=k, n_samples=n_samples)
            yield {"regulators": regulators, "denominator": denominator} | line


def _line(
    hit_n: np.ndarray, value_n: np.ndarray, *, rng: np.random.Generator, k: int, n_samples: int
) -> dict[str, object]:
    """Metrics of one order; genes without a score rank last, and tie."""
    rank_n = np.unique(np.nan_to_num(value_n, nan=-np.inf, neginf=-np.inf), return_inverse=True)[1].astype(
        np.int64
    )
    interval = bootstrap_interval(_auroc_of_ranks, hit_n, rank_n, rng=rng, n_samples=n_samples)
    best = min(k, hit_n.size)
    return {
        "n_genes": hit_n.size,
        "n_hits": int(hit_n.sum()),
        "prevalence": float(hit_n.mean()) if hit_n.size else np.nan,
        "auroc": interval.value,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "average_precision": average_precision(hit_n, rank_n.astype(float)),
        "k": best,
        "precision_at_k": precision_at_k(hit_n, rank_n.astype(float), k=best),
    }


def _auroc_of_ranks(hit_n: Bool[np.ndarray, " n"], rank_n: Int[np.ndarray, " n"]) -> float:
    """AUROC by counting, for whole-number ranks from 0: what the bootstrap of 18,000 genes can afford."""
    size = int(rank_n.max()) + 1 if rank_n.size else 0
    hits: Float[np.ndarray, " r"] = np.bincount(rank_n[hit_n], minlength=size).astype(float)
    others = np.bincount(rank_n[~hit_n], minlength=size).astype(float)
    pairs = hits.sum() * others.sum()
    if not pairs:
        return np.nan
    below = np.cumsum(others) - others / 2
    return float(hits @ below / pairs)
