"""Every figure of a round by its name, for notebooks."""

from typing import TYPE_CHECKING

import pandas as pd

from perturbloop.errors import InputError, closest, some
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import drawn
from perturbloop.report.next import batch_of
from perturbloop.report.ranking import has_points
from perturbloop.report.scoreboard import headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_of(report: RoundReport, name: str) -> "Figure":
    """Draw a figure of a round.

    Parameters
    ----------
    report
        The round.
    name
        `ranking`, `scoreboard`, `effects`, `batch`, `null` (in-silico shift against matched genes), `expression` (the same
        against differential expression) or `curves`.

    Raises
    ------
    InputError
        If there is no figure of that name, or nothing to draw in it yet.
    """
    tables: dict[str, tuple[str, pd.DataFrame]] = {
        "ranking": ("volcano", report.ranking),
        "scoreboard": ("scoreboard", headline(report.metrics)),
        "effects": ("measured_effects", report.effects),
        "batch": ("batch_forest", report.proposals),
        "null": ("shift_against_null", report.ranking),
        "expression": ("shift_against_expression", report.ranking),
        "curves": ("learning_curves", report.curves),
    }
    known = [
        key
        for key, (function, table) in tables.items()
        if len(table) and (function != "volcano" or has_points(table))
    ]
    if name not in known:
        msg = f"This round has the figures {some(known, limit=9)}; {name!r} came. Did you mean {closest(name, known, limit=1)}?"
        raise InputError(msg)
    function, table = tables[name]
    return drawn(function, batch_of(report) if name == "batch" else table)()
