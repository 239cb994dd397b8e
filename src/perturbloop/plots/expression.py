"""The in-silico shift beside differential expression: does the model say more than what differs between the states?"""

import pandas as pd
from matplotlib.figure import Figure

from perturbloop.plots.ranking import CALL_COLOR
from perturbloop.plots.theme import INK, figure, name_points, tidy
from perturbloop.schema import RANKING


def shift_against_expression(ranking: pd.DataFrame, *, top: int = 10) -> Figure:
    """Dot per scored gene: its log2 fold change (right = higher in the goal state) and the shift of its edit (up = toward the goal).

    Parameters
    ----------
    ranking
        RANKING rows.
    top
        Number of genes named in each panel, those of the largest shift toward the goal.

    Returns
    -------
    A figure with a panel per kind. Lowering genes that the goal expresses less (upper left), or raising genes that it
    expresses more (upper right), is what differential expression alone would advise.
    """
    table = RANKING.checked(ranking)
    table = table[table["status"].ne("not_scored")]
    kinds = list(dict.fromkeys(table["kind"])) or [""]
    drawn = figure(4.6 * len(kinds), 3.6)
    axes = drawn.subplots(1, len(kinds), squeeze=False)
    for ax, kind in zip(axes[0], kinds, strict=True):
        rows = table[table["kind"].eq(kind)]
        points = rows.assign(x=rows["log2fc"].astype(float), y=rows["logit_shift"].astype(float))
        points = points.dropna(subset=["x", "y"])
        colors = points["call"].map(CALL_COLOR).fillna(CALL_COLOR["none"])
        ax.scatter(points["x"], points["y"], s=9, c=list(colors), alpha=0.6, linewidths=0, rasterized=True)
        ax.axhline(0, color=INK, linewidth=0.8, linestyle=":")
        ax.axvline(0, color=INK, linewidth=0.8, linestyle=":")
        ax.margins(0.08)
        ax.autoscale_view()
        name_points(ax, points.sort_values("y", ascending=False, kind="stable").head(top))
        tidy(
            ax,
            title=kind,
            x="log2 fold change, goal against start",
            y="in-silico shift (up = toward the goal)",
        )
    return drawn
