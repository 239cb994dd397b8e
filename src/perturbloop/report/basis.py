"""What a kind of edit is ranked by, and the columns that belong to it: a row shows one quantity and what is known of its error."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.schema import ACTION

LEAST_CELLS = 5
"""Fewest cells from which an interval or a p-value is shown."""
TOP_OF_BOTH = 20
"""A gene among so many best ones of both actions is marked."""
EITHER_WAY = "either way"
"""Caution of a gene that stands among the best both to inhibit and to activate."""
WITHOUT_SCORE = "posterior-alone"
"""Method of the posterior that leaves the in-silico score out."""
_Z = 1.959963984540054
POSTERIOR_COLUMNS = ("benefit", "mean", "sd", "ci_low", "ci_high", "probability", "neighbors")
INSILICO_COLUMNS = ("shift", "ci_low", "ci_high", "padj", "call", "n_cells", "n_donors")


@dataclass(frozen=True)
class Basis:
    """The quantity a kind is ranked by."""

    name: Literal["posterior", "in silico"]
    column: str
    """Its column in the table of `shown`."""
    head: str
    """What it is called, in a head of a column."""
    unit: str
    """Unit and sign, in words."""
    columns: tuple[str, ...]
    """The quantity and what is known of it, in reading order."""


POSTERIOR = Basis(
    "posterior",
    "benefit",
    "benefit",
    "probability of a worthwhile effect toward the goal, less that of one away from it; −1 to 1",
    POSTERIOR_COLUMNS,
)
IN_SILICO = Basis(
    "in silico",
    "shift",
    "shift",
    "in-silico change in the logit of the goal state; positive = toward the goal",
    INSILICO_COLUMNS,
)


def kinds_of(report: RoundReport) -> tuple[str, ...]:
    """Kinds of edit that are ranked, in the order of the ranking."""
    return tuple(str(kind) for kind in dict.fromkeys(report.ranking["kind"]))


def basis_of(report: RoundReport, kind: str) -> Basis:
    """What a kind is ranked by: the posterior once targets of the kind were measured, else the in-silico shift."""
    return POSTERIOR if report.posterior["kind"].eq(kind).any() else IN_SILICO


def reads_score(report: RoundReport, kind: str) -> bool:
    """Whether the in-silico score has a say in the ranking of a kind: not where its gate failed and targets were measured."""
    return basis_of(report, kind) is IN_SILICO or report.method != WITHOUT_SCORE


def shown(report: RoundReport, kind: str) -> pd.DataFrame:
    """The ranking of one kind in reading order, best first; unscored genes last.

    Parameters
    ----------
    report
        The round.
    kind
        delete, overexpress, inhibit or activate.

    Returns
    -------
    `place` (1 = best; missing where not scored), `gene_name`, `action`, the columns of the kind's `Basis`, `cautions` (words,
    separated by commas), `log2fc` and `padj_de` of differential expression (positive = higher in the goal state), `detection`,
    `status`, `kind`, `gene_id`. Intervals and p-values from fewer than five cells are missing.
    """
    rows = report.ranking[report.ranking["kind"].eq(kind)]
    basis = basis_of(report, kind)
    scored = rows["status"].eq("scored")
    rows = pd.concat([rows[scored].sort_values("benefit", ascending=False, kind="stable"), rows[~scored]])
    rows = rows.reset_index(drop=True)
    place = pd.Series(np.arange(1.0, len(rows) + 1)).where(rows["status"].eq("scored"))
    rows = rows.assign(place=place, cautions=_cautions(rows, either_way(report)))
    rows = _with_posterior(rows, report, kind) if basis is POSTERIOR else _with_shift(rows)
    de = report.de.drop_duplicates("gene_id").set_index("gene_id").reindex(rows["gene_id"])
    rows = rows.assign(log2fc=de["log2fc"].to_numpy(float), padj_de=de["padj"].to_numpy(float))
    first, last = ("place", "gene_name", "action"), ("cautions", "log2fc", "padj_de", "detection", "status")
    return rows[[*first, *basis.columns, *last, "kind", "gene_id"]]


def either_way(report: RoundReport) -> frozenset[str]:
    """Ensembl ids of genes among the 20 best both to inhibit and to activate; each action by every kind that does it."""
    best: dict[str, set[str]] = {}
    for kind, rows in report.ranking[report.ranking["status"].eq("scored")].groupby("kind", sort=False):
        top = rows.sort_values("benefit", ascending=False, kind="stable").head(TOP_OF_BOTH)
        action = ACTION.get(kind, str(kind))  # type: ignore[call-overload]  # any word is looked up
        best.setdefault(action, set()).update(top["gene_id"])
    return frozenset(set.intersection(*best.values())) if len(best) > 1 else frozenset()


def _cautions(rows: pd.DataFrame, both: frozenset[str]) -> pd.Series:
    flags = rows["flags"].fillna("").astype(str).str.replace(",", ", ")
    way = rows["gene_id"].isin(both).map({True: EITHER_WAY, False: ""})
    return flags.where(way.eq(""), flags.where(flags.eq(""), flags + ", ") + way)


def _with_posterior(rows: pd.DataFrame, report: RoundReport, kind: str) -> pd.DataFrame:
    belief = report.posterior[report.posterior["kind"].eq(kind)].drop_duplicates("gene_id")
    belief = belief.set_index("gene_id").reindex(rows["gene_id"])
    mean, sd = belief["mean"].to_numpy(float), belief["sd"].to_numpy(float)
    return rows.assign(
        mean=mean,
        sd=sd,
        ci_low=mean - _Z * sd,
        ci_high=mean + _Z * sd,
        probability=belief["probability"].to_numpy(float),
        neighbors=belief["neighbors"].fillna("").to_numpy(object),
    )


def _with_shift(rows: pd.DataFrame) -> pd.DataFrame:
    enough = rows["n_cells"].ge(LEAST_CELLS)
    low, high = rows["ci_low"].astype(float), rows["ci_high"].astype(float)
    sure = enough & ((low > 0) | (high < 0))
    return rows.assign(
        shift=rows["benefit"].astype(float),
        ci_low=low.where(enough),
        ci_high=high.where(enough),
        padj=rows["padj"].astype(float).where(enough),
        call=rows["call"].where(sure, "none"),
    )
