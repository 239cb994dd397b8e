"""What a kind of edit is ranked by, and the columns that belong to it: a row shows one quantity and what is known of its error."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.schema import ACTION, WITH_MODEL, WITHOUT_MODEL

LEAST_CELLS = 5
"""Fewest cells from which an interval or a p-value is shown."""


@dataclass(frozen=True)
class Basis:
    """The quantity a kind is ranked by."""

    name: Literal["posterior", "in silico"]
    head: str
    """What it is called: its column in the table of `shown`, and a head."""
    effect: str
    """Column of the effect whose interval is shown: the expected effect, or the shift itself."""
    unit: str
    """Unit and sign, in words."""
    columns: tuple[str, ...]
    """The quantity and what is known of it, in reading order."""


POSTERIOR = Basis(
    "posterior",
    "benefit",
    "mean",
    "probability of a worthwhile effect toward the goal, 0 to 1",
    ("benefit", "mean", "sd", "ci_low", "ci_high", "neighbors"),
)
IN_SILICO = Basis(
    "in silico",
    "shift",
    "shift",
    "in-silico change in the logit of the goal state; positive = toward the goal",
    ("shift", "ci_low", "ci_high", "padj", "call", "n_cells", "n_donors"),
)


def kinds_of(report: RoundReport) -> tuple[str, ...]:
    """Kinds of edit that are ranked, in the order of the ranking."""
    return tuple(str(kind) for kind in dict.fromkeys(report.ranking["kind"]))


def action_of(kind: str) -> str:
    """What a kind of edit does to a gene; the kind itself where it is none of ours.

    >>> action_of("delete"), action_of("repress")
    ('inhibit', 'repress')
    """
    return {str(name): str(action) for name, action in ACTION.items()}.get(kind, kind)


def method_of(report: RoundReport, kind: str) -> str:
    """Method that a kind is ranked by: posterior, posterior-alone or, by the in-silico shift, frozen."""
    return _ranked_by(report.ranking[report.ranking["kind"].eq(kind)])


def basis_of(report: RoundReport, kind: str) -> Basis:
    """What a kind is ranked by: the posterior once targets of the kind were measured, else the in-silico shift."""
    return _basis(report.ranking[report.ranking["kind"].eq(kind)])


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
    separated by commas), `log2fc` and `de_padj` of differential expression (positive = higher in the goal state), `detection`,
    `status`, `kind`, `gene_id`; `de_padj_pseudoreplicated` where that test was made. Intervals and p-values from fewer than five cells are missing, and so is a call.
    """
    rows = report.ranking[report.ranking["kind"].eq(kind)]
    basis = _basis(rows)
    scored = rows["status"].eq("scored")
    rows = pd.concat([rows[scored].sort_values("benefit", ascending=False, kind="stable"), rows[~scored]])
    rows = rows.reset_index(drop=True)
    place = pd.Series(np.arange(1.0, len(rows) + 1)).where(rows["status"].eq("scored"))
    cautions = rows["flags"].fillna("").astype(str).str.replace(",", ", ")
    rows = rows.assign(place=place, cautions=cautions)
    rows = _with_belief(rows, report.posterior) if basis is POSTERIOR else _with_shift(rows)
    first, last = ("place", "gene_name", "action"), ("cautions", "log2fc", "de_padj", "detection", "status")
    pseudo = rows.columns.intersection(["de_padj_pseudoreplicated"])
    last = (*last[:3], *pseudo[rows[pseudo].notna().any()], *last[3:])
    return rows[[*first, *basis.columns, *last, "kind", "gene_id"]]


def _ranked_by(rows: pd.DataFrame) -> str:
    ranked_by = str(rows["ranked_by"].iloc[0]) if len(rows) else ""
    return ranked_by if ranked_by in (WITH_MODEL, WITHOUT_MODEL) else "frozen"


def _basis(rows: pd.DataFrame) -> Basis:
    return IN_SILICO if _ranked_by(rows) == "frozen" else POSTERIOR


def _with_belief(rows: pd.DataFrame, posterior: pd.DataFrame) -> pd.DataFrame:
    belief = posterior[posterior["kind"].isin(rows["kind"])].drop_duplicates("gene_id")
    belief = belief.set_index("gene_id").reindex(rows["gene_id"])
    return rows.assign(
        mean=rows["effect"],
        sd=belief["sd"].to_numpy(float),
        probability=belief["probability"].to_numpy(float),
        neighbors=belief["neighbors"].fillna("").to_numpy(object),
    )


def _with_shift(rows: pd.DataFrame) -> pd.DataFrame:
    """A call needs its interval to exclude 0, also in a round of an older version."""
    enough = rows["n_cells"].ge(LEAST_CELLS)
    low, high = rows["ci_low"].astype(float).where(enough), rows["ci_high"].astype(float).where(enough)
    return rows.assign(
        shift=rows["effect"].astype(float),
        ci_low=low,
        ci_high=high,
        padj=rows["padj"].astype(float).where(enough),
        call=rows["call"].where((low > 0) | (high < 0), "none"),
    )
