"""Dots of the volcano as numbers: benefit against certainty, for a page that draws them itself."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from perturbloop.report.basis import POSTERIOR, basis_of, shown
from perturbloop.report.content import RoundReport
from perturbloop.stats.certainty import errors_from_zero, surprise

SURE = 1.0
"""Standard deviations from zero beyond which a belief has a color."""
_TITLES = {
    "posterior": ("benefit: P(worthwhile effect toward the goal)", "certainty: |expected effect| / its SD"),
    "in silico": ("shift of the goal's logit (right = toward the goal)", "−log10 p against matched genes"),
}


@dataclass(frozen=True, eq=False)
class Points:
    """A dot per gene, in the order of `basis.shown`; genes without a place in the plane are NaN."""

    x_title: str
    y_title: str
    x_g: Float[np.ndarray, " g"]
    y_g: Float[np.ndarray, " g"]
    way_g: Shaped[np.ndarray, " g"]
    """1 = surely toward the goal, −1 = surely away from it, 0 = neither."""


def points(report: RoundReport, kind: str) -> Points:
    """Place every scored gene of a kind by what it promises, and by how sure that is; the axes of `plots.volcano`.

    Parameters
    ----------
    report
        The round.
    kind
        Kind of edit.
    """
    rows, basis = shown(report, kind), basis_of(report, kind)
    scored = rows["status"].eq("scored").to_numpy(bool)
    titles = _TITLES[basis.name]
    effect, low, high = (rows[name].to_numpy(float) for name in (basis.effect, "ci_low", "ci_high"))
    if basis is POSTERIOR:
        y = errors_from_zero(effect, low, high)
        way = np.where(y > SURE, np.sign(effect), 0)
        return Points(*titles, *_placed(rows["benefit"].to_numpy(float), y, scored), _whole(way))
    own = report.ranking[report.ranking["kind"].eq(kind)].drop_duplicates("gene_id").set_index("gene_id")
    y = surprise(own["pvalue"].reindex(rows["gene_id"]).to_numpy(float))
    way = rows["call"].map({"toward": 1, "away": -1}).fillna(0).to_numpy(float)
    return Points(*titles, *_placed(effect, y, scored), _whole(way))


def _placed(x: np.ndarray, y: np.ndarray, scored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = scored & np.isfinite(x) & np.isfinite(y)
    return np.where(both, x, np.nan), np.where(both, y, np.nan)


def _whole(way: np.ndarray) -> np.ndarray:
    return np.nan_to_num(way).astype(np.int8)


def has_points(found: Points) -> bool:
    """Whether anything can be drawn."""
    return bool(pd.notna(found.x_g).any())
