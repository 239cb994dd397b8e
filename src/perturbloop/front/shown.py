"""What shows itself in a notebook: the page of a round, and a figure of it."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Page:
    """The report of a round: shown in a notebook, readable as text, kept as a file."""

    path: Path
    """File of the page."""
    page: str
    """The page, as HTML."""
    lines: tuple[str, ...]
    """Its summary, for the terminal."""

    def _repr_html_(self) -> str:
        frame = html.escape(self.page, quote=True)
        return (
            f'<iframe srcdoc="{frame}" style="width: 100%; height: 48rem; border: 1px solid #ccc"></iframe>'
        )

    def __repr__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure of a round: shown in a notebook, kept with `drawing.figure.savefig`."""

    figure: "Figure"
    """The figure of matplotlib."""

    def _repr_svg_(self) -> str:
        from perturbloop.plots import svg

        return svg(self.figure)
