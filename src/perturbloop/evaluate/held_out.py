"""The genes that may be judged, as each method saw them: the one place where leakage is refused."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from perturbloop.errors import InputError, LeakageError, some
from perturbloop.schema import EFFECTS, METHODS, Kind, judges


@dataclass(frozen=True)
class Truth:
    """Held-out measured targets of one kind; one entry per target and modality."""

    gene_ids: np.ndarray
    """Ensembl ids, dtype object."""
    fold_n: Int[np.ndarray, " n"]
    """Fold the target is held out in, from 0."""
    toward_n: Bool[np.ndarray, " n"]
    """A hit that moved cells toward the goal."""
    away_n: Bool[np.ndarray, " n"]
    """A hit that moved cells away from it."""


@dataclass(frozen=True)
class Judged:
    """What one method says of the held-out targets, in the order of `Truth`; 0 to 1, NaN = not scored."""

    place_n: Float[np.ndarray, " n"]
    """Share of the genes of its own ranking that score no higher; 1 = most benefit."""
    size_n: Float[np.ndarray, " n"]
    """The same for the absolute score; 1 = strongest, whatever its sign."""
    away_n: Float[np.ndarray, " n"]
    """The same for what ranks hits away from the goal: the method's own numbers where it has them, else its score turned round."""


def held_out(effects: pd.DataFrame, kind: Kind) -> Truth:
    """Held-out targets of the modalities that belong to a kind, at gene level.

    Parameters
    ----------
    effects
        EFFECTS rows.
    kind
        delete and inhibit are judged by crispr_ko, crispri and inhibitor, overexpress and activate by crispra and activator;
        arms are never averaged, so a gene that was measured by two modalities of a kind is two targets.

    Raises
    ------
    LeakageError
        If a gene is held out in one modality of the kind and spent, or in another fold, in the next.
    """
    rows = EFFECTS.checked(effects).query("level == 'gene'")
    judging = [name for name in rows["modality"].unique() if judges(name, kind)]
    rows = rows[rows["modality"].isin(judging)]
    folds = rows.groupby("gene_id")["fold"].nunique()
    mixed = folds.index[folds > 1]
    if len(mixed):
        msg = (
            f"A gene must be in one fold for all modalities that are compared with `{kind}`; these are in several: "
            f"{some(mixed)}. Give them one fold: what was trained on one modality is not blind to the other."
        )
        raise LeakageError(msg)
    rows = rows[rows["fold"] >= 0]
    hit, effect = rows["hit"].to_numpy(bool), rows["effect_to_goal"].to_numpy(float)
    return Truth(
        rows["gene_id"].to_numpy(object), rows["fold"].to_numpy(int), hit & (effect > 0), hit & (effect < 0)
    )


def uses_effects(method: str, rows: pd.DataFrame) -> bool:
    """Whether measured effects went into a method: it says so, or it has rows of a held-out fold."""
    declared = any(entry.name == method and entry.uses_effects for entry in METHODS)
    return declared or bool((rows["fold"] >= 0).any())


def rankings_by_fold(rows: pd.DataFrame, truth: Truth, *, method: str) -> dict[int, pd.DataFrame]:
    """For each held-out fold the ranking that may judge it.

    Parameters
    ----------
    rows
        PREDICTIONS rows of one method and kind.
    truth
        The targets to judge.
    method
        Its name.

    Returns
    -------
    Fold -> the method's rows that never saw the fold: its own where effects were used, else those of fold -1.

    Raises
    ------
    LeakageError
        If the method used effects and has no rows of a fold.
    InputError
        If a gene occurs twice, or the rows of a fold are no whole ranking.
    """
    twice = rows.loc[rows.duplicated(["gene_id", "fold"]), "gene_id"].unique()
    if len(twice):
        msg = f"A gene has one score per method, kind and fold; `{method}` has several for {some(twice)}. Keep one."
        raise InputError(msg)
    folds = np.unique(truth.fold_n).tolist()
    if not uses_effects(method, rows):
        full = rows[rows["fold"] == -1]
        return dict.fromkeys(folds, full)
    by_fold = {fold: rows[rows["fold"] == fold] for fold in folds}
    _require_blind(by_fold, truth, method)
    if len(folds) > 1:
        _require_whole(by_fold, truth, method)
    return by_fold


def judge(by_fold: dict[int, pd.DataFrame], truth: Truth) -> Judged:
    """Place of each target in the ranking that never saw it.

    Notes
    -----
    Scores of differently trained models have different units and zero points, so each target's score becomes
    its place among all genes of its own fold's ranking before folds are pooled. Within one ranking this changes
    no order. The assumption: a place means the same in every fold.
    """
    place_n, size_n, away_n = (np.full(truth.gene_ids.size, np.nan) for _ in range(3))
    for fold, rows in by_fold.items():
        here_n, row_n = rows_of(truth, fold, rows)
        score_g = rows["score"].to_numpy(float)
        scored_g = ~np.isnan(score_g)
        away_g, size_g = away_scores(rows)
        for out_n, value_g in ((place_n, score_g), (size_n, size_g), (away_n, away_g)):
            place_g = np.full(score_g.size + 1, np.nan)  # the last one is of targets without a row
            place_g[:-1][scored_g] = rankdata(value_g[scored_g]) / max(scored_g.sum(), 1)
            out_n[here_n] = place_g[row_n]
    return Judged(place_n, size_n, away_n)


def away_scores(rows: pd.DataFrame) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """What ranks hits away from the goal, and hits of either sign, by rows of one method.

    Parameters
    ----------
    rows
        PREDICTIONS rows of one method.
    """
    score_g = rows["score"].to_numpy(float)
    if "away" not in rows or rows["away"].isna().all():
        return -score_g, np.abs(score_g)
    away_g = rows["away"].to_numpy(float)
    return away_g, np.maximum(score_g, away_g)


def rows_of(
    truth: Truth, fold: int, ranking: pd.DataFrame
) -> tuple[Bool[np.ndarray, " n"], Int[np.ndarray, " h"]]:
    """Which targets are held out in a fold, and for each of these its row in a ranking; -1 = it has none.

    Parameters
    ----------
    truth
        Held-out targets.
    fold
        The fold.
    ranking
        PREDICTIONS rows, each gene once.
    """
    here_n = truth.fold_n == fold
    return here_n, pd.Index(ranking["gene_id"]).get_indexer(pd.Index(truth.gene_ids[here_n]))


def _require_blind(by_fold: dict[int, pd.DataFrame], truth: Truth, method: str) -> None:
    seen = [fold for fold, rows in by_fold.items() if rows.empty]
    if seen:
        genes = truth.gene_ids[np.isin(truth.fold_n, seen)]
        msg = (
            f"Genes used in training cannot be scored: `{method}` uses measured effects and has no predictions made "
            f"without fold {some(seen)}, so it has seen {some(genes)}. Predict each fold without its own targets."
        )
        raise LeakageError(msg)


def _require_whole(by_fold: dict[int, pd.DataFrame], truth: Truth, method: str) -> None:
    for fold, rows in by_fold.items():
        if set(rows["gene_id"]) <= set(truth.gene_ids[truth.fold_n == fold]):
            msg = (
                f"Each fold needs a ranking of all genes, so that folds can be compared; `{method}` has in fold {fold} "
                f"only its {len(rows):,} targets. Predict every gene in every fold."
            )
            raise InputError(msg)
