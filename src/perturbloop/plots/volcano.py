"""Benefit against certainty: which genes promise much, and which of them surely."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perturbloop.plots.ranking import shift_panel
from perturbloop.plots.theme import BLUE, GRAY, ORANGE, figure, name_points, tidy
from perturbloop.schema import ACTION, RANKING, WITH_MODEL, WITHOUT_MODEL
from perturbloop.stats.certainty import errors_from_zero

SURE = 1.0
"""Standard deviations from zero beyond which a gene is drawn in color."""
_AXES = {
    "posterior": (
        "benefit: P(toward)",
        "certainty: |expected effect| / its SD",
    ),
    "in silico": ("shift of the goal's logit (right = toward the goal)", "−log10 p against matched genes"),
}


def volcano(ranking: pd.DataFrame, *, top: int = 10) -> Figure:
    """Dot per scored gene: what it promises (right = toward the goal), and how sure that is (up).

    Parameters
    ----------
    ranking
        RANKING rows; what they are ranked by is drawn.
    top
        Number of genes named in each panel, those of highest benefit; a name that would cover another is left out.

    Returns
    -------
    A figure with a panel per kind; the heads of its axes name what is drawn.
    """
    table = RANKING.checked(ranking)
    table = table[table["status"].eq("scored")]
    kinds = list(dict.fromkeys(table["kind"])) or [""]
    drawn = figure(4.6 * len(kinds), 3.9)
    axes = drawn.subplots(1, len(kinds), squeeze=False)
    for ax, kind in zip(axes[0], kinds, strict=True):
        rows = table[table["kind"].eq(kind)]
        by_belief = rows["ranked_by"].isin([WITH_MODEL, WITHOUT_MODEL]).any()
        (_belief_panel if by_belief else shift_panel)(ax, rows, top)
        x, y = _AXES["posterior" if by_belief else "in silico"]
        tidy(ax, title=f"to {ACTION[kind]} ({kind})" if kind in ACTION else kind, x=x, y=y)
    return drawn


def _belief_panel(ax: Axes, rows: pd.DataFrame, top: int) -> None:
    ends = (rows[name].to_numpy(float) for name in ("effect", "ci_low", "ci_high"))
    points = rows.assign(x=rows["benefit"].astype(float), y=errors_from_zero(*ends))
    points = points.dropna(subset=["x", "y"])
    color_n = np.where(points["effect"] > 0, BLUE, ORANGE)
    color_n = np.where(points["y"] > SURE, color_n, GRAY)
    ax.scatter(points["x"], points["y"], s=9, color=color_n, alpha=0.6, linewidths=0, rasterized=True)
    ax.margins(0.08)
    ax.autoscale_view()
    name_points(ax, points.sort_values("benefit", ascending=False, kind="stable").head(top))
