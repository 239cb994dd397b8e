"""The next batch: what each of its genes promises, with an interval."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perturbloop.plots.theme import BLUE, GRAY, INK, figure, label_rows, tidy

_UNITS = {
    "mean": "expected effect (right = toward the goal)",
    "shift": "in-silico shift, logits (right = toward the goal)",
}


def batch_forest(batch: pd.DataFrame) -> Figure:
    """Row per gene of the batch with its interval, a panel per quantity; right = toward the goal.

    Parameters
    ----------
    batch
        Columns `policy`, `gene_name`, `action`, `quantity` (mean: expected effect of the posterior; shift: in-silico shift),
        `value`, `ci_low` and `ci_high` (missing where cells are too few); rows are drawn in their order.

    Returns
    -------
    A figure: filled dots are of the first policy, open dots of the others, such as chance.
    """
    names = list(dict.fromkeys(batch["quantity"])) or ["mean"]
    parts = [batch[batch["quantity"].eq(name)] for name in names]
    drawn = figure(5.2 * len(names), 1.2 + 0.19 * max(3, *(len(part) for part in parts)))
    axes = drawn.subplots(1, len(names), squeeze=False)
    first = batch["policy"].iloc[0] if len(batch) else ""
    for ax, name, part in zip(axes[0], names, parts, strict=True):
        _panel(ax, part, str(first))
        tidy(ax, x=_UNITS.get(name, name))
    return drawn


def _panel(ax: Axes, rows: pd.DataFrame, first: str) -> None:
    label_rows(ax, [f"{row.gene_name}, {row.action} ({row.policy})" for row in rows.itertuples()])
    ax.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    numbers = rows[["value", "ci_low", "ci_high"]].astype(float).to_numpy()
    for place, (policy, (value, low, high)) in enumerate(zip(rows["policy"], numbers, strict=True)):
        color = BLUE if policy == first else GRAY
        if not np.isnan(low + high):
            ax.plot([low, high], [place, place], color=color, linewidth=1.3, alpha=0.8)
        fill = color if policy == first else "white"
        ax.plot([value], [place], "o", color=color, markerfacecolor=fill, markersize=5)
