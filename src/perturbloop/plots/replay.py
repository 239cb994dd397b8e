"""Hits found batch by batch in a replayed screen."""

import pandas as pd
from matplotlib.figure import Figure

from perturbloop.plots.theme import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, figure, plain, tidy

_CONTROLS = {"chance": ":", "coverage": "-.", "prior": "--", "sister": (0, (5, 1))}
_COLORS = (BLUE, GREEN, PURPLE, SKY)


def replay_curves(means: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw the share of hits found against the genes measured: policies in color with their spread, controls in gray.

    Parameters
    ----------
    means
        Table REPLAY_MEANS.
    title
        Name of the screen.
    """
    drawn = figure(6.4, 4.2)
    ax = tidy(
        drawn.subplots(), title=title, x="genes measured", y="share of the hits found (mean ± sd of repeats)"
    )
    colors: dict[str, str] = {}
    for policy, rows in means.groupby("policy", sort=False):
        name, of = str(policy), str(policy).partition(",")[0]
        is_control = bool(rows["control"].iloc[0])
        if not is_control:
            colors[name] = _COLORS[len(colors) % len(_COLORS)]
        color = colors.get(of, ORANGE if name == "sister" else GRAY)
        style = _CONTROLS.get(name, "--" if is_control else "-")
        ax.plot(
            rows["n_measured"],
            rows["hit_ratio"],
            color=color,
            linestyle=style,
            label=plain(name),
            linewidth=1.8 - 0.6 * is_control,
        )
        if not is_control:
            low, high = (rows["hit_ratio"] + sign * rows["sd"].fillna(0) for sign in (-1, 1))
            ax.fill_between(rows["n_measured"], low, high, color=color, alpha=0.15, linewidth=0)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    if colors:
        ax.legend(frameon=False, fontsize=8, loc="upper left")
    return drawn
