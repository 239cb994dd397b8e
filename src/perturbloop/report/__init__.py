"""One round of a campaign as one HTML file that needs nothing else, as lines for the terminal, and as tables.

`compose` reads the folder of a round into a `RoundReport`, which holds every table and sentence; nothing is computed here that
it does not hold. It is laid out once, as `Section`s in a fixed order, the answer first; `render`, `summary` and `full` show the same ones. `pages`
groups them: a server shows one page at a time, `render` all in a file that loads nothing from anywhere, and whose one script sorts, filters and
turns tables; all text, gene names included, is escaped.
"""

from perturbloop.report.by_name import table_names, table_of, text_of
from perturbloop.report.compose import compose, gate_failure
from perturbloop.report.content import RoundReport
from perturbloop.report.export import write_ranking
from perturbloop.report.figures import figure_of
from perturbloop.report.html import render
from perturbloop.report.layout import Grid, Picture, Section
from perturbloop.report.sections import sections
from perturbloop.report.terminal import full, since_lines, summary

__all__ = [
    "Grid",
    "Picture",
    "RoundReport",
    "Section",
    "compose",
    "figure_of",
    "full",
    "gate_failure",
    "render",
    "sections",
    "since_lines",
    "summary",
    "table_names",
    "table_of",
    "text_of",
    "write_ranking",
]
