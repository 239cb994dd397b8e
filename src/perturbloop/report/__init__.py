"""One round of a campaign as one HTML file that needs nothing else, and as tables for the terminal.

`compose` reads the folder of a round into a `RoundReport`, which holds every table and sentence; nothing is computed here that it does not hold. It is
laid out once, as `Section`s in a fixed order; `render` and `tables` show the same ones. The page has no script and
loads nothing from anywhere; all text, gene names included, is escaped.
"""

from perturbloop.report.compose import compose, gate_failure
from perturbloop.report.content import RoundReport
from perturbloop.report.html import render, write
from perturbloop.report.layout import Grid, Picture, Section
from perturbloop.report.sections import sections
from perturbloop.report.terminal import tables

__all__ = [
    "compose",
    "gate_failure",
    "Grid",
    "Picture",
    "RoundReport",
    "Section",
    "render",
    "sections",
    "tables",
    "write",
]
