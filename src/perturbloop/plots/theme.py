"""What all figures share: size, colors, font and how they are written."""

import io
from functools import cache

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that no machine lacks it."""
BLUE, ORANGE, GREEN, GRAY, INK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"
PURPLE, SKY = "#CC79A7", "#56B4E9"
"""Told apart with any color vision, and by the shape of the marker where it matters."""
ROLE_STYLE = {"loop": (BLUE, "o"), "baseline": (ORANGE, "s"), "control": (GRAY, "D")}
"""Color and marker of a method's role."""
SETTINGS = {"font.sans-serif": [FONT], "svg.fonttype": "path", "svg.hashsalt": "perturbloop"}


def figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that makes room for its own labels."""
    return Figure(figsize=(width, height), layout="constrained")


def tidy(ax: Axes, *, title: str = "", x: str = "", y: str = "") -> Axes:
    """Drop the box, name the axes.

    Parameters
    ----------
    ax
        Axes to change; they are returned.
    title, x, y
        Text above them, below and at the left; nothing in it is read as mathematics.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(plain(title), loc="left", fontsize=10, parse_math=False)
    ax.set_xlabel(plain(x), parse_math=False)
    ax.set_ylabel(plain(y), parse_math=False)
    return ax


def label_rows(ax: Axes, labels: list[str]) -> None:
    """One label per row, the first on top."""
    ax.set_yticks(range(len(labels)), [plain(label) for label in labels], parse_math=False)
    ax.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def name_points(ax: Axes, points: pd.DataFrame) -> None:
    """Write `gene_name` beside each point (`x`, `y`), in their order; a name without a free place is left out."""
    placed: list[tuple[float, float, float, float]] = []
    to_axes = ax.transData + ax.transAxes.inverted()
    place = ax.get_window_extent()
    dpi = ax.figure.dpi
    width, height = place.width / dpi, place.height / dpi
    letter, line = 0.078 / max(width, 0.1), 0.14 / max(height, 0.1)  # inches of a letter of 7 points
    for name, x, y in points[["gene_name", "x", "y"]].itertuples(index=False):
        label, (across, up) = plain(name), to_axes.transform((x, y))
        for right, above in ((True, 2), (False, 2), (True, -8), (False, -8), (True, 11), (False, 11)):
            left = across if right else across - letter * len(label)
            low = up + above / 72 / max(height, 0.1)
            box = (left, low, left + letter * len(label), low + line)
            if box[0] > -0.02 and box[2] < 1.05 and not any(_overlap(box, other) for other in placed):
                placed.append(box)
                ax.annotate(
                    label,
                    (x, y),
                    xytext=(3 if right else -3, above),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    fontsize=7,
                    parse_math=False,
                )
                break


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return bool(one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])


def plain(label: str) -> str:
    """Replace characters that the font lacks by `?`, so that no label is drawn as an empty box.

    >>> plain("STAT1 ± 基")
    'STAT1 ± ?'
    """
    return "".join(letter if ord(letter) in _characters() else "?" for letter in str(label))


def svg(drawn: Figure) -> str:
    """The figure as SVG text, the same bytes each time."""
    buffer = io.StringIO()
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # the stubs want literal names
        drawn.savefig(buffer, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png(drawn: Figure) -> bytes:
    """The figure as a picture."""
    buffer = io.BytesIO()
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # the stubs want literal names
        drawn.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())
