"""Learning curves in a report: only where they were measured."""

from dataclasses import replace

import numpy as np
import pandas as pd

from perturbloop.report import full, render, sections
from perturbloop.schema import CURVE_MEANS


def means():
    rows = [
        ("delete", "frozen", "", 0, "auroc", 0.6, np.nan, 0.5, 0.7, 1, "genes", 40, 6),
        ("delete", "posterior", "random", 5, "auroc", 0.65, 0.02, 0.61, 0.69, 5, "panels", 40, 6),
        ("delete", "posterior", "random", 20, "auroc", 0.7, 0.02, 0.66, 0.74, 5, "panels", 40, 6),
        ("delete", "posterior", "random", 20, "average_precision", 0.3, 0.02, 0.2, 0.4, 5, "panels", 40, 6),
        ("delete", "full-closed", "random", 20, "auroc", np.nan, np.nan, np.nan, np.nan, 1, "", 40, 6),
    ]
    return pd.DataFrame(rows, columns=CURVE_MEANS.names)


def test_without_curves_there_is_no_section(round_one):
    assert "curves" not in {entry.key for entry in sections(round_one)}


def test_each_panel_has_its_grid_with_intervals_and_what_is_undefined_is_a_dash(round_one):
    report = replace(round_one, curves=means(), curve_notes=("delete: k = 50 left out.",))
    found = next(entry for entry in sections(report) if entry.key == "curves")
    first, second = found.grids
    assert first.title == "delete, no gene measured: AUROC of 6 hits among 40 held-out targets"
    assert second.columns == ("method", "k = 5", "k = 20")
    assert second.rows[0][1:] == ("0.65 [0.61, 0.69]", "0.70 [0.66, 0.74]")
    assert second.rows[1][1:] == ("–", "–")
    assert found.notes == ("delete: k = 50 left out.",)


def test_page_and_terminal_show_them(without_figures, round_one):
    report = replace(round_one, curves=means())
    assert "Learning curves" in render(report)
    assert "LEARNING CURVES" in full(report)
