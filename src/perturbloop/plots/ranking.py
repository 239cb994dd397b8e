"""How far each gene's edit moves cells, against genes like it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perturbloop.plots.theme import BLUE, GRAY, INK, ORANGE, figure, name_points, tidy
from perturbloop.schema import RANKING
from perturbloop.stats.certainty import surprise

CALL_COLOR = {"toward": BLUE, "away": ORANGE, "none": GRAY}


def shift_against_null(ranking: pd.DataFrame, *, top: int = 10) -> Figure:
    """Dot per gene: shift of its edit (right = toward the goal) and how surely it differs from matched genes (up).

    Parameters
    ----------
    ranking
        RANKING rows.
    top
        Number of genes named in each panel, those of highest benefit; a name that would cover another is left out.

    Returns
    -------
    A figure with a panel per kind. Blue genes are called toward the goal, orange ones away from it.

    Notes
    -----
    A p-value of zero is drawn at the smallest other one.
    """
    table = RANKING.checked(ranking)
    table = table[table["status"].eq("scored")]
    kinds = list(dict.fromkeys(table["kind"])) or [""]
    drawn = figure(4.1 * len(kinds), 3.6)
    axes = drawn.subplots(1, len(kinds), squeeze=False)
    for ax, kind in zip(axes[0], kinds, strict=True):
        shift_panel(ax, table[table["kind"].eq(kind)], top)
        tidy(
            ax,
            title=kind,
            x="shift of the goal's logit (right = toward the goal)",
            y="−log10 p against matched genes",
        )
    return drawn


def shift_panel(ax: Axes, rows: pd.DataFrame, top: int) -> None:
    """Draw the RANKING rows of one kind, and name the ones of highest benefit.

    Parameters
    ----------
    ax
        Axes to draw on: shift to the right (positive = toward the goal), −log10 p up.
    rows
        RANKING rows of one kind; those without shift or p-value are left out.
    top
        Number of genes to name; a name that would cover another is left out.
    """
    height = surprise(rows["pvalue"].to_numpy(float))
    points = rows.assign(x=rows["logit_shift"].astype(float), y=height).dropna(subset=["x", "y"])
    if points.empty:
        ax.text(0.5, 0.5, "no gene has a p-value", ha="center", va="center", transform=ax.transAxes)
        return
    for call, color in reversed(CALL_COLOR.items()):
        some = points[points["call"].eq(call)]
        ax.scatter(some["x"], some["y"], s=7, color=color, alpha=0.6, linewidths=0, rasterized=True)
    ax.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    ax.margins(0.08)
    ax.autoscale_view()
    name_points(ax, points.sort_values("benefit", ascending=False).head(top))
