"""What is said of compounds that bring cells back."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.plots import arms_on_axis, dose_response
from perturbloop.report.recording import recording
from perturbloop.report.reversal import best_doses, reversal_grid, reversal_lines
from perturbloop.schema import POSITIONS, REVERSAL, RecordedCells


@pytest.fixture
def reversal():
    """A compound that works, one that is toxic at the high dose, one that does nothing."""
    rows = [("cure", 1, 0.4, 0.2, ""), ("cure", 10, 0.7, 0.5, ""), ("poison", 1, 0.1, -0.1, "")]
    rows += [
        ("poison", 10, 0.9, 0.5, "toxic, few cells"),
        ("water", 1, 0.0, -0.2, ""),
        ("water", 10, 0.1, -0.1, ""),
    ]
    table = pd.DataFrame(rows, columns=["target", "dose", "share", "ci_low", "flags"]).assign(
        ci_high=lambda t: 2 * t["share"] - t["ci_low"], time="all", cell_type="all", n_cells=90, n_donors=3
    )
    rest = [name for name in REVERSAL.names if name not in table]
    return REVERSAL.checked(table.assign(**dict.fromkeys(rest, 0.5)))


def test_a_toxic_dose_is_no_best_dose(reversal):
    best = best_doses(reversal)
    assert list(zip(best["target"], best["dose"], strict=True)) == [
        ("cure", 10),
        ("poison", 1),
        ("water", 10),
    ]
    said = " ".join(reversal_lines(reversal))
    assert "1 compound of 3 with an interval above 0 at a dose without a flag: cells come back: cure." in said
    assert "Toxic: poison (from 10)." in said
    assert "One donor" in " ".join(reversal_lines(reversal.assign(n_donors=1)))


def test_record_shows_the_best_compounds_in_few_lines(reversal):
    entry = RecordedCells(
        source="screen.h5ad", modality="drug", arms={"KO + DMSO": 10}, arm_lines=("about 1 % …",)
    )
    lines = recording(entry, None, new=True, width=80, reversal=reversal)
    assert len(lines) < 40
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[-3:]] == ["cure", "poison", "water"]


def test_figures_draw_every_arm_and_dose(reversal, rng):
    n = 200
    cells = pd.DataFrame(
        {
            "arm": np.repeat(["KO", "WT"], n // 2),
            "target": np.tile(["DMSO", "cure"], n // 2),
            "dose": np.tile([np.nan, 10.0], n // 2),
            "time": "all",
            "position": rng.normal(size=n),
        }
    )
    positions = POSITIONS.checked(cells.assign(**dict.fromkeys(set(POSITIONS.names) - set(cells), "")))
    best = best_doses(reversal).head(1)
    labels = [
        one.get_text()
        for one in arms_on_axis(positions, best, treated=set(best["target"]), start="KO", goal="WT")
        .axes[0]
        .get_yticklabels()
    ]
    assert labels == ["WT, vehicle (50)", "KO, vehicle (50)", "cure, 10 (50)"]
    panels = dose_response(reversal, ["cure", "poison"]).axes
    assert [ax.get_title(loc="left") for ax in panels] == ["cure", "poison"]


def test_cell_types_have_their_composition_beside_them(reversal):
    grid = reversal_grid(reversal.assign(cell_type="stem cell"))
    assert "cell type" in grid.columns
    assert grid.rows[0][grid.columns.index("composition")] == "0.50 of 0.50"
