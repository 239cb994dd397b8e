"""How well each method finds the hits, with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perturbloop.plots.theme import GRAY, INK, ROLE_STYLE, figure, label_rows, tidy
from perturbloop.schema import METHODS, METRICS, Method, controls_of

TITLES = {"auroc": "AUROC", "average_precision": "average precision"}


def scoreboard(
    metrics: pd.DataFrame,
    *,
    shown: Sequence[str] = ("auroc", "average_precision"),
    denominator: str = "all",
) -> Figure:
    """Dot per method with its 95 % interval, a row of panels per kind, a panel per metric.

    Further right is better; the dotted line is what chance gives on average.

    Parameters
    ----------
    metrics
        METRICS rows; those of all held-out targets are drawn.
    shown
        Metrics to draw.
    denominator
        Genes behind the numbers: `all` measured genes, the same for every method, or those it `scored`.

    Returns
    -------
    A figure with the methods of `schema.METHODS` in their order, so that controls stand right below their method, marked
    and shaded; a method
    whose metrics are all undefined is left out.
    """
    table = METRICS.checked(metrics)
    headline = table["denominator"].eq(denominator) & table["targets"].eq("held-out")
    rows = table[headline & table["declared"].astype(bool) & table["metric"].isin(list(shown))]
    present = set(rows.loc[rows["value"].notna(), "method"])
    methods = [entry for entry in METHODS if entry.name in present]
    kinds = list(dict.fromkeys(rows["kind"])) or [""]
    drawn = figure(2.2 + 3.1 * len(shown), 0.9 + len(kinds) * (0.7 + 0.24 * len(methods)))
    axes = drawn.subplots(len(kinds), len(shown), squeeze=False, sharey=True)
    for row, kind in enumerate(kinds):
        for column, metric in enumerate(shown):
            of_panel = rows[rows["kind"].eq(kind) & rows["metric"].eq(metric)]
            _panel(axes[row, column], of_panel, methods, metric)
            tidy(axes[row, column], title=kind, x=TITLES.get(metric, metric))
    return drawn


def _panel(ax: Axes, rows: pd.DataFrame, methods: list[Method], metric: str) -> None:
    beside = {name for entry in methods for name in controls_of(entry.name)}
    label_rows(ax, [f"↳ {entry.title}" if entry.name in beside else entry.title for entry in methods])
    by_method = rows.set_index("method")
    for place, entry in enumerate(methods):
        if entry.name not in by_method.index:
            continue
        color, marker = ROLE_STYLE[entry.role]
        if entry.name in beside:
            ax.axhspan(place - 0.5, place + 0.5, color=GRAY, alpha=0.12, linewidth=0)
        line = by_method.loc[entry.name]
        value, low, high = line[["value", "ci_low", "ci_high"]].astype(float).tolist()
        if np.isnan(value):
            ax.text(0.02, place, "undefined", color=color, va="center", fontsize=8)
            continue
        if not np.isnan(low + high):
            ax.plot([low, high], [place, place], color=color, linewidth=1.2, alpha=0.7)
        ax.plot([value], [place], color=color, marker=marker, markersize=5)
    chance = _chance(rows, metric)
    if not np.isnan(chance):
        ax.axvline(chance, color=INK, linewidth=0.8, linestyle=":")
    ax.set_xlim(-0.02, 1.02)


def _chance(rows: pd.DataFrame, metric: str) -> float:
    if metric.startswith("auroc"):
        return 0.5
    if metric == "average_precision" and len(rows) and rows["n_genes"].astype(float).gt(0).all():
        return float((rows["n_hits"].astype(float) / rows["n_genes"].astype(float)).median())
    return float("nan")
