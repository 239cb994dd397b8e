"""Where control cells stand between the two states: beyond them, effects are extrapolated."""

import pandas as pd
from matplotlib.figure import Figure

from perturbloop.plots.theme import BLUE, GRAY, ORANGE, figure, label_rows, tidy


def state_axis(controls: pd.DataFrame, *, start: str = "start", goal: str = "goal") -> Figure:
    """Row per file and replicate: the mean of its control cells on the axis from the start (0) to the goal (1).

    Parameters
    ----------
    controls
        Columns `source`, `replicate` and `position`; rows are drawn in their order.
    start, goal
        Names of the states.

    Returns
    -------
    A figure with the two states as lines; filled dots lie between them, open ones outside.
    """
    drawn = figure(5.4, 1.1 + 0.22 * max(len(controls), 2))
    ax = drawn.subplots()
    several = len(set(controls["source"])) > 1
    label_rows(
        ax, [f"{row.source}, {row.replicate}" if several else row.replicate for row in controls.itertuples()]
    )
    ax.axvline(0, color=GRAY, linewidth=1.2)
    ax.axvline(1, color=ORANGE, linewidth=1.2)
    for place, position in enumerate(controls["position"].astype(float)):
        fill = BLUE if 0 <= position <= 1 else "white"
        ax.plot([position], [place], "o", color=BLUE, markerfacecolor=fill, markersize=6)
    ax.margins(x=0.1)
    tidy(ax, x=f"state score: 0 = {start} cells, 1 = {goal} cells")
    return drawn
