"""The verdict, what a row shows, and what is noted: each rule can fail."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbloop.report import sections
from perturbloop.report.answer import answer
from perturbloop.report.basis import shown
from perturbloop.report.notes import notes
from perturbloop.report.older import completed
from perturbloop.schema import GAINS, METRICS, RecordedCells, RecordedScreen, Verdict


def judged(report, own, rivals, n_hits):
    """The report with AUROCs (value, low, high) of the posterior, and (value, low, high of the gain over it) of others."""
    rows = [("posterior", *own), *((name, entry[0], np.nan, np.nan) for name, entry in rivals.items())]
    metrics = pd.DataFrame(
        [
            (name, "delete", "all", "auroc", value, low, high, 40, n_hits, "", "delong", True, "held-out")
            for name, value, low, high in rows
        ],
        columns=METRICS.names,
    )
    gains = pd.DataFrame(
        [
            dict.fromkeys(GAINS.names, np.nan)
            | {"method": "posterior", "against": name, "kind": "delete", "targets": "held-out"}
            | {"gain": own[0] - entry[0], "delong_low": entry[1], "delong_high": entry[2]}
            for name, entry in rivals.items()
            if len(entry) == 3
        ],
        columns=GAINS.names,
    )
    return replace(report, metrics=metrics, gains=gains)


def test_yes_needs_chance_every_control_and_de_to_be_beaten_beyond_the_interval(round_one):
    good = (0.85, 0.75, 0.95)
    found = answer(judged(round_one, good, {"posterior-shuffled": (0.5,), "de": (0.6, 0.05, 0.4)}, 30))
    assert found.word == "yes"
    assert found.sentence == (
        "Yes: on 30 hits among 40 held-out genes this ranking finds hits better than chance, and than evidence, shuffled "
        "effects (0.50) and signed DE (0.60) (AUROC 0.85, 95\u00a0% interval 0.75 to 0.95)."
    )
    assert answer(judged(round_one, good, {"de": (0.8, -0.05, 0.2)}, 30)).word == "no"
    assert answer(judged(round_one, good, {"posterior-shuffled": (0.8,)}, 30)).word == "no"


def test_few_hits_cannot_tell_and_a_better_rival_can(round_one):
    own = (0.78, 0.44, 0.94)
    found = answer(judged(round_one, own, {"posterior-shuffled": (0.83,)}, 4))
    assert found.word == "cannot tell"
    assert "4 hits among 40 held-out genes are too few" in found.sentence
    assert "evidence, shuffled effects (0.83)" in found.sentence
    assert "1 hit among 40 held-out genes is too few" in answer(judged(round_one, own, {}, 1)).sentence
    worse = answer(judged(round_one, own, {"de": (0.95, -0.3, -0.05)}, 4))
    assert worse.word == "no"
    assert "signed DE (AUROC 0.95) finds the hits better than this ranking" in worse.sentence


def test_nothing_measured_and_no_hit_cannot_tell(round_zero, round_one):
    assert answer(round_zero).word == "cannot tell"
    assert "nothing was measured" in answer(round_zero).sentence
    none = answer(judged(round_one, (np.nan, np.nan, np.nan), {}, 0))
    assert (none.word, none.sentence) == (
        "cannot tell",
        "Cannot tell: 0 hits among 40 held-out genes, so no ranking can be judged.",
    )


@pytest.mark.parametrize(
    ("passed", "word"),
    [((True, None), "passed"), ((True, False), "failed"), ((None,), "not judged"), ((), "not judged")],
)
def test_one_failed_check_fails_the_gate(round_one, passed, word):
    assert answer(replace(round_one, gate=tuple(Verdict("x", each, "x") for each in passed))).gate == word


def test_a_row_shows_the_quantity_it_is_ranked_by_and_no_other(round_one):
    by_belief, in_silico = (shown(round_one, kind) for kind in ("delete", "overexpress"))
    assert {"benefit", "mean", "sd", "neighbors"} <= set(by_belief)
    assert not {"shift", "padj", "call", "probability"} & set(by_belief)
    assert not {"benefit", "mean", "sd", "probability"} & set(in_silico)
    assert by_belief["gene_name"].iloc[0] == "JAK2"
    assert by_belief["ci_low"].iloc[0] == pytest.approx(0.9 - 1.96 * 0.3, abs=1e-3)
    assert by_belief["log2fc"].iloc[0] == 0.5
    assert by_belief["place"].isna().sum() == 1  # the spent gene


def test_neither_interval_nor_p_comes_from_fewer_than_five_cells(round_zero):
    few = replace(round_zero, ranking=round_zero.ranking.assign(n_cells=4))
    assert shown(round_zero, "delete")[["ci_low", "ci_high", "padj"]].notna().all(axis=None)
    assert shown(few, "delete")[["ci_low", "ci_high", "padj"]].isna().all(axis=None)
    assert set(shown(few, "delete")["call"]) == {"none"}


def test_a_call_needs_its_interval_to_exclude_zero(round_zero):
    wide = replace(round_zero, ranking=round_zero.ranking.assign(ci_low=-0.1))
    assert "toward" in set(shown(round_zero, "delete")["call"])
    assert set(shown(wide, "delete")["call"]) == {"none"}


def test_benefit_has_one_meaning_and_its_unit_stands_beside_it(round_one, round_zero):
    for report in (round_one, round_zero):
        ranking = next(section for section in sections(report) if section.key == "ranking")
        for grid in ranking.grids:
            assert ("benefit" in grid.columns) == ("by benefit" in grid.title)
            assert ("benefit" in grid.columns) != ("shift" in grid.columns)
    lines = next(section for section in sections(round_one) if section.key == "ranking").lines
    assert lines[0].startswith(
        "Benefit (`delete`): probability of a worthwhile effect toward the goal, 0 to 1"
    )
    assert lines[1].startswith("Shift (`overexpress`): in-silico change in the logit")


def test_a_gene_best_both_ways_is_marked_and_said_once(round_one):
    assert shown(round_one, "delete")["cautions"].iloc[0] == "either-way"
    (said,) = [note for note in notes(round_one) if "Best both to inhibit and to activate" in note]
    assert "1 of the 5 best by `delete` (JAK2); 1 of the 6 best by `overexpress` (JAK2)." in said
    none = replace(round_one, ranking=round_one.ranking.assign(flags=""))
    assert not any("Best both to inhibit and to activate" in note for note in notes(none))


def test_many_weak_models_are_one_line_with_their_range(round_one):
    heads = {"frozen": 0.6} | {f"model {k}": 0.52 + k * 0.14 / 29 for k in range(30)}
    said = [note for note in notes(replace(round_one, heads=heads)) if "AUROC" in note]
    assert len(said) == 1
    assert said[0].startswith("All 30 trained models tell held-out cells apart with AUROC 0.52 to 0.66 only")
    some = notes(replace(round_one, heads=heads | {"good": 0.9}))
    assert any(note.startswith("30 of 31 trained models") for note in some)
    assert not any("0.60" in note for note in some)  # the gate speaks of the frozen head


def test_the_same_warning_is_said_once_with_its_count(round_one):
    said = notes(replace(round_one, warnings=("Few cells.", "Nested donors.", "Few cells.")))
    assert [note for note in said if "cells." in note or "Nested" in note] == [
        "Few cells. (2 times)",
        "Nested donors.",
    ]


def test_controls_outside_the_states_and_few_shared_genes_come_first(round_one):
    cells = RecordedCells(
        source="thp1.h5ad",
        n_shared_genes=106,
        n_state_genes=6175,
        control_position={"all": 2.33},
        state_score_auroc=0.75,
    )
    first, second, *_ = notes(replace(round_one, recorded=(cells,)))
    assert first.startswith(
        "Your controls lie outside the two states: those of thp1.h5ad stand at 2.33, where 0 is the start"
    )
    assert second.startswith("Few shared genes: thp1.h5ad shares 106 of 6,175 genes")
    inside = replace(cells, control_position={"a": 0.1, "b": 1.2}, n_shared_genes=5000)
    assert not any("thp1" in note for note in notes(replace(round_one, recorded=(inside,))))
    one = replace(cells, control_position={"a": 0.1, "b": -1.6})
    assert "at −1.60 in 1 of 2 replicates" in notes(replace(round_one, recorded=(one,)))[0]
    assert not any(
        "thp1" in note for note in notes(replace(round_one, recorded=(replace(cells, same_file=True),)))
    )


def test_a_screen_that_lost_its_famous_hits_says_so(round_one):
    lost = tuple(f"HIT{k}" for k in range(306))
    screen = RecordedScreen(name="IL2", modality="crispri", source="a.tsv", n_hits=510, hits_excluded=lost)
    assert notes(replace(round_one, recorded=(screen,)))[0].startswith(
        "Hits that cannot judge: 306 of 510 hits of IL2"
    )
    few = replace(screen, hits_excluded=lost[:10])
    assert not any("IL2" in note for note in notes(replace(round_one, recorded=(few,))))


def test_where_no_gene_stands_out_that_is_said(round_one):
    assert not any("stands out" in note for note in notes(round_one))
    weak = replace(round_one, posterior=round_one.posterior.assign(probability=0.27))
    (said,) = [note for note in notes(weak) if "stands out" in note]
    assert "has a probability of 27\u00a0%" in said


def test_undefined_rows_are_counted_and_rows_that_were_not_run_are_left_out(round_one):
    undefined = round_one.metrics.assign(value=np.nan, ci_low=np.nan, ci_high=np.nan)
    keep = round_one.metrics["method"].isin(["frozen", "de"])
    report = replace(round_one, metrics=undefined.where(~keep, round_one.metrics))
    board = next(section for section in sections(report) if section.key == "scoreboard")
    assert {row[0] for grid in board.grids for row in grid.rows} == {
        "open loop, frozen encoder (frozen)",
        "signed DE (de)",
    }
    assert sum("without a hit to find are undefined, and left out." in line for line in board.lines) == 1
    assert not any(
        "not run" in row for section in sections(round_one) for grid in section.grids for row in grid.rows
    )


def test_a_batch_carries_its_cautions_and_says_what_is_in_both_policies(round_one):
    both = pd.concat([round_one.proposals, round_one.proposals.iloc[[0]].assign(policy="chance", place=2)])
    section = next(
        entry for entry in sections(replace(round_one, proposals=both)) if entry.key == "proposals"
    )
    (grid,) = section.grids
    row = dict(zip(grid.columns, grid.rows[0], strict=True))
    assert row["gene"] == "JAK2"
    assert row["expected effect"] == "+0.90"
    assert row["cautions"] == "either-way"
    assert "In every batch, so to be ordered once: JAK2." in section.lines
    assert "Only genes to inhibit are proposed: no other effect was measured so far." in section.lines


def test_where_half_of_the_readout_finds_other_hits_than_all_of_it_that_is_said(round_one):
    def lines(report):
        return next(entry for entry in sections(report) if entry.key == "method").lines

    said = "by it 4 held-out genes hit toward the goal, by all readout genes 2."
    assert any(line.endswith(said) for line in lines(round_one))
    same = round_one.metrics.assign(n_hits=2)
    assert not any("half of the readout" in line for line in lines(replace(round_one, metrics=same)))


def test_a_round_of_an_older_version_is_read_as_if_it_said_what_it_is_ranked_by(round_one, round_zero):
    new = ["ranked_by", "effect", "log2fc", "de_padj"]
    for report in (round_one, round_zero):
        old = report.ranking.drop(columns=new)
        de = pd.DataFrame({"gene_id": old["gene_id"], "log2fc": 1.0, "padj": 0.5})
        found = completed(old, report.posterior, de, default="posterior")
        wanted = report.ranking.assign(log2fc=1.0, de_padj=0.5)
        ranked = wanted["status"].eq("scored")
        pd.testing.assert_frame_equal(found[ranked], wanted[ranked], check_exact=False)
        pd.testing.assert_frame_equal(
            completed(report.ranking, report.posterior, de, default="posterior"), report.ranking
        )


def test_a_round_with_effects_of_compounds_alone_has_no_hit_to_list(round_one):
    drugs = round_one.effects.assign(level="compound", modality="drug")
    for effects in (drugs, round_one.effects[:0]):
        assert all(section.title for section in sections(replace(round_one, effects=effects)))
