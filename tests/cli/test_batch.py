"""A batch on the terminal, on a plate for the bench, and as trials."""

from types import SimpleNamespace

import pandas as pd
import pytest

from perturbloop.cli.batch import (
    batch_lines,
    require_writable,
    taken_lines,
    trial_lines,
    trial_tree,
    write_batch,
)
from perturbloop.design.calibration import Expected, Told
from perturbloop.errors import DesignError
from perturbloop.schema import PROPOSALS, TRIALS

TOLD = Told(0, Expected(3.2, 1, 6, 20, 0), 9)


def one_line(lines):
    return " ".join(" ".join(lines).split())


@pytest.fixture
def plate():
    return pd.DataFrame(
        {"well": ["A1", "A2"], "gene_name": ["SEPT1", "=CD3E"], "role": ["target", "positive control"]}
    )


@pytest.fixture
def batch(plate):
    row = [
        "find",
        1,
        "ENSG1",
        "SEPT1",
        "delete",
        "inhibit",
        0.31,
        0.12,
        0.58,
        0.0,
        0.2,
        "+0.21 by JAK2",
        "expected effect +0.50",
        "ambient,HLA",
    ]
    return SimpleNamespace(
        head=lambda: ["CONTROL GATE FAILED. It rests on that.", TOLD.expected.sentence],
        proposals=pd.DataFrame([row], columns=PROPOSALS.names),
        pool=SimpleNamespace(lines=lambda: ["Left out: 2 not in the library: 'A', 'B'."]),
        plate=plate,
        library="",
    )


def test_a_plate_is_written_as_its_ending_says_and_names_stay_as_they_are(tmp_path, plate):
    write_batch(plate, tmp_path / "plate.csv")
    assert pd.read_csv(tmp_path / "plate.csv", keep_default_na=False).equals(plate)
    write_batch(plate, tmp_path / "plate.XLSX")
    assert (tmp_path / "plate.XLSX").read_bytes().startswith(b"PK")
    assert {path.name for path in tmp_path.iterdir()} == {"plate.csv", "plate.XLSX"}


def test_another_ending_and_a_file_that_exists_are_refused_before_any_work(tmp_path):
    with pytest.raises(DesignError, match=r"\.csv or \.xlsx file; `.*batch.txt` is neither"):
        require_writable(tmp_path / "batch.txt")
    require_writable(tmp_path / "batch.CSV")
    require_writable(None)
    (tmp_path / "old.csv").touch()
    with pytest.raises(DesignError, match=r"`.*old.csv` exists. Name another"):
        require_writable(tmp_path / "old.csv")


def test_a_gene_is_one_line_and_a_large_batch_fits_on_a_screen(batch):
    batch.proposals = pd.concat([batch.proposals.assign(place=place) for place in range(1, 97)])
    lines = batch_lines(batch, 80)
    place = next(at for at, line in enumerate(lines) if "SEPT1" in line)
    words = ["1", "SEPT1", "inhibit", "0.31", "[0.12,", "0.58]", "+0.21", "by", "JAK2", "ambient,", "HLA"]
    assert lines[place].split() == words
    assert "76 more genes, and every gene's reasons: --full." in one_line(lines)
    assert len(lines) <= 36
    assert all(len(line) <= 80 for line in lines)


def test_a_failed_gate_stands_first_then_each_gene_its_reason_and_the_controls(batch):
    lines = batch_lines(batch, 80, full=True)
    assert lines[0].startswith("CONTROL GATE FAILED")
    assert "uncalibrated" in one_line(lines[1:3])
    place = next(at for at, line in enumerate(lines) if "SEPT1" in line)
    assert lines[place] == "  1  SEPT1      inhibit   P(hit) 0.31 [0.12, 0.58]  caution: ambient, HLA"
    assert lines[place + 1] == "     expected effect +0.50"
    assert lines[place + 2].startswith("Left out: 2 not in the library")
    assert "genes known to act: =CD3E" in one_line(lines[place + 3 :])
    assert all(len(line) <= 80 for line in lines)


def test_a_look_says_that_nothing_is_written_down_and_how_to_take_the_batch(tmp_path):
    assert taken_lines("study", None, None) == [
        "Nothing is written down. To take this batch: perturbloop propose study -o plate.csv"
    ]
    said = taken_lines("study", pd.DataFrame({"batch": [3, 3]}), tmp_path / "a.csv")
    assert said[0] == "Batch 3 is taken: 2 genes await their outcome."
    assert "perturbloop record study" in said[-1]


def test_trials_are_a_table_with_predicted_against_found_below():
    when = pd.Timestamp("2026-01-02T03:04:05", tz="UTC")
    row = [0, 1, "find", "ENSG1", "STAT1", "delete", "inhibit", 0.31, 0.0]
    rows = pd.DataFrame(
        [[*row, "done", True, "il2", when, when], [*row, "proposed", None, "", when, None]],
        columns=TRIALS.names,
    ).astype({"hit": "boolean"})
    lines = trial_lines(rows, [TOLD], None, 80)
    assert lines[0].split() == ["batch", "#", "gene", "action", "P(hit)", "status", "hit", "told", "by"]
    assert lines[1].split() == ["0", "1", "STAT1", "inhibit", "0.31", "done", "hit", "il2"]
    assert lines[2].split() == ["0", "1", "STAT1", "inhibit", "0.31", "proposed"]
    assert one_line(lines[3:]).startswith(
        "Batch 0: 3.2 hits of 20 were predicted (90 % interval 1 to 6), 9 were found; outside"
    )
    tree = trial_tree(rows, [TOLD])
    assert (tree["trials"][0]["hit"], tree["trials"][1]["hit"]) == (True, None)
    assert tree["told"][0]["inside"] is False
    assert trial_lines(rows[:0], [], rows.assign(status="abandoned"), 80)[0] == "2 trials set to abandoned."
