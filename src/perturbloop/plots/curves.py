"""How well held-out hits are found after k measured genes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perturbloop.plots.theme import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    ROLE_STYLE,
    SKY,
    figure,
    plain,
    tidy,
)
from perturbloop.schema import CURVE_MEANS, METHODS, method

COLORS = (BLUE, GRAY, SKY, PURPLE, GREEN, ORANGE, INK)
"""Colors of the lines, by `Method.line`."""
MARKERS = {"open": "o", "closed": "^", "shuffled": "v"}
"""Marker of a trained model by the cells that trained it."""
LEVEL_COLORS = {"frozen": BLUE, "lora": GREEN, "full": ORANGE}
TITLES = {"auroc": "AUROC", "average_precision": "average precision"}
GAP = 0.035
"""Least distance of two names at the right, as a share of the height."""


def learning_curves(means: pd.DataFrame, *, metric: str = "auroc", axes: np.ndarray | None = None) -> Figure:
    """Line per method of the evidence channel, a panel per way the genes were drawn, a row per kind; higher is better.

    Parameters
    ----------
    means
        CURVE_MEANS rows.
    metric
        auroc or average_precision.
    axes
        Where to draw, kinds × panels; a figure of its own by default.

    Returns
    -------
    A figure: lines are means over draws with their interval as a band, controls are dashed; horizontal lines, named at
    their right, need no measured gene, and the bar at 0 is the interval of the open loop over genes; single markers are
    trained models of one draw, with theirs.
    """
    table = CURVE_MEANS.checked(means)
    rows = table[table["metric"].eq(metric)]
    kinds = list(dict.fromkeys(rows["kind"])) or [""]
    panels = list(dict.fromkeys(rows.loc[rows["panel"].ne(""), "panel"])) or [""]
    if axes is None:
        drawn = figure(1.6 + 3.9 * len(panels), 1.2 + 3.1 * len(kinds))
        axes = drawn.subplots(len(kinds), len(panels), squeeze=False, sharey=True)
    for row, kind in enumerate(kinds):
        for column, panel in enumerate(panels):
            here = rows[rows["kind"].eq(kind) & rows["panel"].isin(["", panel])]
            curve_panel(axes[row, column], here)
            title = f"{kind}, {panel} panels" if panel else kind
            tidy(axes[row, column], title=title, x="measured genes", y=TITLES.get(metric, metric))
    return _with_legend(axes)


def curve_panel(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Draw the methods of one kind and panel, with what needs no measured gene as levels."""
    learns = {str(name) for name in rows.loc[rows["k"] > 0, "method"]}
    for name, part in rows.groupby("method", sort=False):
        name, part = str(name), part.sort_values("k")
        if _is_trained(name):
            _markers(ax, name, part)
        elif name in learns:
            _line(ax, name, part, rows[rows["method"].eq(method(name).partner) & rows["k"].eq(0)])
    if len(rows):
        ax.set_xscale(
            "function", functions=(np.sqrt, np.square)
        )  # small panels are the dear ones, so they get room
        ax.set_xlim(0, 1.04 * max(1, int(rows["k"].max())))
        ax.set_xticks(sorted({int(k) for k in rows["k"]}))
    if len(rows) and rows["value"].isna().all():
        ax.text(0.5, 0.6, "undefined: no hit", transform=ax.transAxes, ha="center", color=GRAY)
    at_zero = rows[rows["k"].eq(0)]
    _levels(ax, at_zero[~at_zero["method"].map(_is_trained).astype(bool)])
    if rows["metric"].eq("auroc").any():
        ax.axhline(0.5, color=INK, linewidth=0.4)
    return ax


def _is_trained(name: str) -> bool:
    """Whether it is an arm of the representation channel, such as `full-closed`."""
    known = (entry for entry in METHODS if entry.channel == "representation" and entry.variant in MARKERS)
    return any(entry.name == name for entry in known)


def _line(ax: Axes, name: str, part: pd.DataFrame, start: pd.DataFrame) -> None:
    entry = method(name)
    color = COLORS[(entry.line - 1) % len(COLORS)] if entry.line else ROLE_STYLE[entry.role][0]
    dashed = "--" if entry.role == "control" else "-"
    line = pd.concat([start, part])
    k, value = line["k"].to_numpy(float), line["value"].to_numpy(float)
    ax.plot(k, value, dashed, color=color, marker=".", linewidth=1.6, label=plain(entry.title))
    low, high = part["ci_low"].to_numpy(float), part["ci_high"].to_numpy(float)
    ax.fill_between(part["k"].to_numpy(float), low, high, color=color, alpha=0.12, linewidth=0)


def _markers(ax: Axes, name: str, part: pd.DataFrame) -> None:
    entry = method(name)
    level, variant = entry.level, entry.variant
    color = LEVEL_COLORS[level]
    filled = "white" if variant == "shuffled" else color
    place = 2 * list(LEVEL_COLORS).index(level) + (variant == "shuffled")  # side by side
    value = part["value"].to_numpy(float)
    reach = np.vstack([value - part["ci_low"].to_numpy(float), part["ci_high"].to_numpy(float) - value])
    ax.errorbar(
        (np.sqrt(part["k"].to_numpy(float)) + 0.07 * place) ** 2,
        value,
        yerr=reach,
        fmt=MARKERS[variant],
        color=color,
        markerfacecolor=filled,
        elinewidth=0.8,
        markersize=5,
        alpha=0.8,
        label=plain(entry.title),
    )


def _levels(ax: Axes, rows: pd.DataFrame) -> None:
    """Horizontal lines, their names at the right kept apart; of the open loop, where lines start, the interval over genes."""
    for low, high in rows.loc[rows["method"].eq("frozen"), ["ci_low", "ci_high"]].to_numpy(float):
        ax.plot([0, 0], [low, high], color=ROLE_STYLE["loop"][0], linewidth=3, alpha=0.35, clip_on=False)
    ordered = rows.dropna(subset=["value"]).sort_values("value")
    height = np.ptp(ax.get_ylim())
    above = -np.inf
    for name, value in zip(ordered["method"], ordered["value"].astype(float), strict=True):
        entry = method(str(name))
        color = ROLE_STYLE[entry.role][0]
        style = "--" if entry.role == "control" else ":"
        ax.axhline(value, color=color, linewidth=0.9, linestyle=style)
        above = max(value, above + GAP * height)
        ax.annotate(
            plain(entry.title),
            (1.01, above),
            xycoords=("axes fraction", "data"),
            color=color,
            fontsize=7,
            va="center",
            parse_math=False,
        )


def _with_legend(axes: np.ndarray) -> Figure:
    drawn: Figure = axes.flat[0].get_figure()
    shown = {
        label: handle
        for ax in axes.flat
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    if shown:
        drawn.legend(
            shown.values(), shown.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
        )
    return drawn
