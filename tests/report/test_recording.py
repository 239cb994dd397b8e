"""What is said when a file is recorded."""

from dataclasses import replace

import pandas as pd
import pytest

from perturbloop.report.recording import recording
from perturbloop.schema import RecordedCells, RecordedScreen

CELLS = RecordedCells(
    source="ko.h5ad",
    n_cells_read=1000,
    n_cells=980,
    dropped={"no guide": 1},
    targets={"JAK2": 40},
    targets_dropped={"STAT1": 3},
    state_score_auroc=0.75,
    n_shared_genes=106,
    n_state_genes=6175,
    textbook="type I interferon",
    textbook_genes=("STAT1", "JAK1"),
    textbook_absent=("STAT1",),
    hit_rule="padj < 0.05 and |effect| ≥ 0.3",
    control_position={"all": 2.33},
    judging=("`delete`: none of 25 held-out targets is a hit toward the goal, so no method can be judged.",),
    warnings=("A late warning.",),
)
SCREEN = RecordedScreen(
    name="il2",
    modality="crispri",
    source="il2 (il2.tsv)",
    n_hits=510,
    hits_excluded=tuple(f"G{place}" for place in range(306)),
    lines=("A fact.",),
)


@pytest.fixture
def effects():
    n = 12
    return pd.DataFrame(
        {
            "gene_name": [f"G{place}" for place in range(n)],
            "effect_to_goal": [(-1) ** place * place / 10 for place in range(n)],
            "se": 0.1,
            "padj": [0.5] * (n - 1) + [1e-9],
            "hit": [False] * (n - 1) + [True],
            "n_cells": 40,
            "n_guides": 0,
            "fold": [-1, 0] * (n // 2),
        }
    )


def test_the_gravest_comes_first_and_every_number_has_its_noun(effects):
    lines = recording(CELLS, effects, new=True, width=500)
    starts = (
        "Your controls lie outside the two states: those of ko.h5ad stand at 2.33,",
        "Few shared genes: ko.h5ad shares 106 of 6,175 genes",
        "Textbook genes not shared: of 2 genes of type I interferon, STAT1 is not among",
        "`delete`: none of 25",
        "Recorded: 980 of 1,000 cells, 1 target, 1 hit (padj < 0.05 and |effect| ≥ 0.3).",
        "106 of the 6,175 genes of the states are shared; on them the states are told apart with AUROC 0.75.",
        "1 cell left out: no guide.",
        "1 target left out for too few cells: STAT1 (3).",
        "A late warning.",
    )
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=False))


def test_the_strongest_targets_are_listed_and_no_guides_where_none_are_named(effects):
    lines = recording(CELLS, effects, new=False, width=80)
    text = "\n".join(lines)
    assert "Recorded before, nothing changed: 980" in text
    assert "guides" not in text
    first = next(place for place, line in enumerate(lines) if line.startswith("target"))
    assert [line.split()[0] for line in lines[first + 1 : first + 11]] == [
        f"G{place}" for place in range(11, 1, -1)
    ]
    assert lines[-2].startswith("2 more with weaker effects")
    assert max(map(len, lines)) <= 80
    assert "guides" in "\n".join(recording(CELLS, effects.assign(n_guides=2), new=True, width=80))


def test_cells_of_the_same_file_lie_where_they_lie(effects):
    lines = recording(replace(CELLS, same_file=True), effects, new=True, width=500)
    assert lines[0].startswith("`delete`")


def test_a_screen_says_first_which_hits_are_lost():
    lines = recording(SCREEN, None, new=True, width=500)
    assert lines[0].startswith(
        "Hits that cannot judge: 306 of 510 hits of il2 (60\u00a0%): 306 hits they do not express, which are left out (G0"
    )
    assert lines[1:] == ["Recorded: il2, crispri.", "A fact."]
    assert recording(replace(SCREEN, hits_excluded=()), None, new=True, width=500)[0].startswith("Recorded")


def test_hits_that_the_cells_do_not_measure_are_told_from_those_that_they_do_not_express():
    beside = replace(SCREEN, hits_not_measured=("LCP2", "CD3G"), hits_excluded=("G1",))
    assert recording(beside, None, new=True, width=500)[0] == (
        "Hits that cannot judge: 3 of 510 hits of il2 (1\u00a0%): 2 hits the cells do not measure, which teach (LCP2 and CD3G); "
        "1 hit they do not express, which are left out (G1)."
    )
