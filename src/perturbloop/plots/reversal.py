"""Where the cells of every arm lie between disease and control, and what each dose of a compound does."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from perturbloop.plots.theme import BLUE, GRAY, GREEN, INK, ORANGE, figure, plain, tidy

MOST_COMPOUNDS = 12
"""Compounds whose doses are drawn."""
_LEAST, _HEIGHT = 5, 1.6
"""Fewest cells of which a density is drawn, and how high the highest is, in rows."""


def arms_on_axis(
    positions: pd.DataFrame,
    best: pd.DataFrame,
    *,
    treated: Collection[str],
    start: str = "start",
    goal: str = "goal",
) -> Figure:
    """Density of the cells of each arm on the axis, a row each: goal and start with the vehicle, then compounds at one dose.

    Parameters
    ----------
    positions
        POSITIONS rows.
    best
        REVERSAL rows of the compounds to draw, one of each: its dose and time are drawn.
    treated
        All compounds: other cells have the vehicle.
    start, goal
        Names of the states.

    Returns
    -------
    A figure; right = toward the goal. Bars mark means; flagged compounds are orange.
    """
    known = positions[positions["position"].notna()]
    vehicle = ~known["target"].isin(treated) & known["dose"].isna()
    rows = [
        (f"{goal}, vehicle", known[known["arm"].eq(goal) & vehicle], INK),
        (f"{start}, vehicle", known[known["arm"].eq(start) & vehicle], GRAY),
    ]
    for one in best.itertuples():
        own = known[known["arm"].eq(start) & known["target"].eq(one.target) & known["time"].eq(one.time)]
        own = own if pd.isna(one.dose) else own[own["dose"].eq(one.dose)]
        rows.append(
            (
                f"{one.target}{'' if pd.isna(one.dose) else f', {one.dose:g}'}",
                own,
                ORANGE if one.flags else BLUE,
            )
        )
    drawn = figure(6.4, 1.2 + 0.45 * len(rows))
    ax = drawn.subplots()
    low, high = np.quantile(known["position"], [0.005, 0.995]) if len(known) else (-1.0, 2.0)
    for place, (_, cells, color) in enumerate(rows):
        _density(ax, cells["position"].to_numpy(dtype=float), place, color, np.linspace(low, high, 200))
    ax.set_yticks(
        range(len(rows)), [plain(f"{name} ({len(cells):,})") for name, cells, _ in rows], parse_math=False
    )
    ax.set_ylim(len(rows) - 0.5, -_HEIGHT)
    ax.tick_params(axis="y", length=0)
    for end in (0, 1):
        ax.axvline(end, color=GRAY, linewidth=0.8, linestyle=":")
    tidy(ax, x=f"0 = {start}, 1 = {goal}, both with the vehicle")
    return drawn


def dose_response(reversal: pd.DataFrame, compounds: Sequence[str]) -> Figure:
    """Way back and cells recovered against dose, a panel for each compound; whole samples only.

    Parameters
    ----------
    reversal
        REVERSAL rows.
    compounds
        Which compounds, in order; the first 12 are drawn.

    Returns
    -------
    A figure: blue, share of the way back with its 95 % interval over donors; gray, cells recovered relative to the vehicle;
    open dots are flagged as toxic. Doses stand side by side in order, at the last time.
    """
    names = list(compounds)[:MOST_COMPOUNDS]
    across = min(4, max(len(names), 1))
    down = -(-max(len(names), 1) // across)
    drawn = figure(1.9 * across + 0.8, 1.6 * down + 0.5)
    axes = drawn.subplots(down, across, squeeze=False, sharey=True)
    whole = reversal[reversal["cell_type"].eq("all")]
    for ax in axes.ravel()[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.ravel(), names, strict=False):
        rows = whole[whole["target"].eq(name)]
        _doses(ax, rows[rows["time"].eq(_last(rows["time"]))].sort_values("dose"), name)
    axes[0, 0].set_ylabel("way back, recovered")
    return drawn


def _last(times: pd.Series) -> str:
    """Latest of some times: as numbers where they are."""
    number = pd.to_numeric(times, errors="coerce")
    return str(times.max() if number.isna().any() else times[number.idxmax()]) if len(times) else ""


def _density(ax: Axes, values: np.ndarray, place: int, color: str, grid: np.ndarray) -> None:
    if len(values) < _LEAST or np.ptp(values) == 0:
        ax.plot(values, np.full(len(values), float(place)), "|", color=color)
        return
    height = gaussian_kde(values)(grid)
    top = place - _HEIGHT * height / height.max()
    ax.fill_between(grid, place, top, color=color, alpha=0.35, linewidth=0, zorder=place)
    ax.plot(grid, top, color=color, linewidth=1, zorder=place)
    ax.plot([values.mean()] * 2, [place, place - 0.3], color=color, linewidth=2, zorder=place + 0.5)


def _doses(ax: Axes, rows: pd.DataFrame, name: str) -> None:
    x, share = np.arange(len(rows)), rows["share"].to_numpy(dtype=float)
    toxic = rows["flags"].str.contains("toxic").to_numpy(dtype=bool)
    ends = rows[["ci_low", "ci_high"]].to_numpy(dtype=float)
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.axhline(1, color=GREEN, linewidth=0.6, linestyle=":")
    ax.plot(x, rows["recovered"].to_numpy(dtype=float), "s-", color=GRAY, markersize=3, linewidth=0.8)
    ax.vlines(x, ends[:, 0], ends[:, 1], color=BLUE, linewidth=1)
    ax.plot(x, share, "-", color=BLUE, linewidth=1)
    for own, fill in ((toxic, "white"), (~toxic, BLUE)):
        ax.plot(x[own], share[own], "o", color=BLUE, markerfacecolor=fill, markersize=5)
    ax.set_ylim(-0.6, 1.4)
    ax.set_xlim(-0.4, max(len(rows) - 0.6, 0.4))
    ax.set_xticks(x, [f"{dose:g}" if pd.notna(dose) else "" for dose in rows["dose"].astype(float)])
    tidy(ax, title=name)
