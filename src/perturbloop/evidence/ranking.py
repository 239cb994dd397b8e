"""The ranking once targets were measured: by the posterior, with the in-silico score or without it."""

from collections.abc import Mapping
from typing import cast

import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.evidence.channel import Evidence, posterior_table
from perturbloop.perturb.ranking import by_posterior
from perturbloop.schema import POSTERIOR, RANKING, WITH_MODEL, WITHOUT_MODEL, Kind, concat


def posteriors(
    frozen: pd.DataFrame, evidence: Mapping[Kind, Evidence], names: Mapping[str, str], *, with_model: bool
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Table POSTERIOR of all kinds that were measured, and by kind how much each network said.

    Parameters
    ----------
    frozen
        RANKING rows of the open loop.
    evidence
        What was measured, by kind.
    names
        Symbol of each Ensembl id of the cells.
    with_model
        Whether the in-silico score may shift the prior mean, as far as its skill on the measured genes goes.
    """
    tables: list[pd.DataFrame] = []
    shares: dict[str, dict[str, float]] = {}
    for kind, entry in evidence.items():
        if not entry.enough:
            continue
        scored = frozen[frozen["kind"].eq(kind) & frozen["benefit"].notna()]
        insilico = scored.set_index("gene_id")["benefit"] * float(with_model)
        table, shares[kind] = posterior_table(entry, insilico, kind, names)
        tables.append(table)
    return concat(POSTERIOR, tables), shares


def ranked(
    frozen: pd.DataFrame,
    predictions: pd.DataFrame,
    posterior: pd.DataFrame,
    evidence: Mapping[Kind, Evidence],
    *,
    with_model: bool,
) -> pd.DataFrame:
    """Rank by the posterior where enough targets of a kind were measured, else by the open loop.

    Parameters
    ----------
    frozen
        RANKING rows of the open loop.
    predictions
        PREDICTIONS rows, those of the posterior among them.
    posterior
        Table POSTERIOR.
    evidence
        What was measured, by kind.
    with_model
        Whether the in-silico score is part of the posterior.
    """
    parts = []
    name = WITH_MODEL if with_model else WITHOUT_MODEL
    full = predictions[predictions["method"].eq(name) & predictions["fold"].eq(-1)]
    for kind, rows in frozen.groupby("kind", sort=False):
        score = full[full["kind"].eq(kind)]
        if score.empty:  # too few genes were measured
            parts.append(rows)
            continue
        spent = trains(evidence[cast("Kind", kind)].fold_of, without=-1)
        score_of = dict(zip(score["gene_id"], score["score"], strict=True))
        learnt = posterior[posterior["kind"].eq(kind)]
        parts.append(by_posterior(rows, score_of, learnt, spent=spent, with_model=with_model))
    return concat(RANKING, parts)
