"""Hits found round after round, by policy."""

import pandas as pd
from matplotlib.figure import Figure

from perturbloop.plots.theme import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, figure, plain, tidy

COLORS = (BLUE, ORANGE, GREEN, GRAY, PURPLE, SKY)


def hits_by_genes(table: pd.DataFrame) -> Figure:
    """Line per policy: hits found after so many measured genes; up = better.

    Parameters
    ----------
    table
        Columns `policy`, `genes` and `hits`; policies are drawn in their order, the first boldly.

    Returns
    -------
    A figure whose lines are named in a legend, the best at the end first.
    """
    drawn = figure(4.6, 3.2)
    ax = drawn.subplots()
    last: list[float] = []
    for place, (policy, rows) in enumerate(table.groupby("policy", sort=False)):
        rows = rows.sort_values("genes")
        ax.plot(
            [0, *rows["genes"]],
            [0, *rows["hits"]],
            marker="o",
            markersize=4,
            label=plain(str(policy)),
            color=COLORS[place % len(COLORS)],
            linewidth=2.2 if place == 0 else 1.2,
        )
        last.append(float(rows["hits"].iloc[-1]))
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    handles, labels = ax.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: -last[place])
    ax.legend([handles[place] for place in order], [labels[place] for place in order], frameon=False)
    tidy(ax, x="measured genes", y="hits found")
    return drawn
