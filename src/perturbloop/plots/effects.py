"""What was measured: the effect of each perturbed target."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perturbloop.plots.theme import BLUE, GRAY, INK, ORANGE, figure, label_rows, tidy
from perturbloop.schema import EFFECTS, SCREEN_NAME, sources

MOST = 60
"""Targets drawn of one panel."""


def measured_effects(effects: pd.DataFrame, *, min_effect: float | None = None) -> Figure:
    """Dot per target with its standard error, a panel per modality and source; right = the perturbation moved cells toward the goal.

    Parameters
    ----------
    effects
        EFFECTS rows.
    min_effect
        Least absolute effect of a hit, drawn as two lines, in standard deviations of control cells.

    Returns
    -------
    A figure: filled dots are hits (blue toward the goal, orange away), open dots are not; small bars are the single
    guides. Of more than 60 targets the ends are drawn, and the title says so.
    """
    table = EFFECTS.checked(effects)
    table = table.assign(source=sources(table))
    targets = table[table["level"].eq("gene")].sort_values("effect_to_goal", ascending=False)
    names = list(dict.fromkeys(targets["source"])) or [""]
    parts = {name: _ends(targets[targets["source"].eq(name)]) for name in names}
    tallest = max(len(part) for part in parts.values())
    drawn = figure(4.6 * len(names), 1.3 + 0.2 * max(tallest, 3))
    axes = drawn.subplots(1, len(names), squeeze=False)
    for ax, (name, part) in zip(axes[0], parts.items(), strict=True):
        n_all = int(targets["source"].eq(name).sum())
        is_screen = name.endswith(SCREEN_NAME)
        guides = table[table["level"].eq("guide") & table["source"].eq(name)]
        _panel(ax, part, guides, None if is_screen else min_effect)
        title = name if n_all == len(part) else f"{name}: {len(part)} of {n_all:,} targets, both ends"
        unit = "spread of all genes" if is_screen else "control SD"
        tidy(ax, title=title, x=f"effect ± SE, {unit} (right = toward the goal)")
    return drawn


def _ends(rows: pd.DataFrame) -> pd.DataFrame:
    if len(rows) <= MOST:
        return rows
    return pd.concat([rows.head(MOST // 2), rows.tail(MOST // 2)])


def _panel(ax: Axes, rows: pd.DataFrame, guides: pd.DataFrame, min_effect: float | None) -> None:
    label_rows(ax, [str(name) for name in rows["target"]])
    ax.axvline(0, color=INK, linewidth=0.8)
    if min_effect is not None:
        for threshold in (-min_effect, min_effect):
            ax.axvline(threshold, color=GRAY, linewidth=0.8, linestyle=":")
    for place, (target, effect, se, hit) in enumerate(
        rows[["target", "effect_to_goal", "se", "hit"]].itertuples(index=False)
    ):
        of_target = guides.loc[guides["target"].eq(target), "effect_to_goal"].astype(float)
        ax.plot(of_target, [place] * len(of_target), "|", color=GRAY, markersize=6, alpha=0.8)
        color = GRAY if not hit else BLUE if effect > 0 else ORANGE
        ax.plot([effect - se, effect + se], [place, place], color=color, linewidth=1.4)
        ax.plot([effect], [place], "o", color=color, markerfacecolor=color if hit else "white", markersize=5)
