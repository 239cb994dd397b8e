"""Trials and plates: from proposed to done."""

import pandas as pd
import pytest

from perturbloop.data.library import GuideLibrary
from perturbloop.design.plate import COLUMNS, plate
from perturbloop.design.trials import closed, marked, pending, taken, told, told_by_hand, untold
from perturbloop.errors import DesignError
from perturbloop.schema import EFFECTS, PROPOSALS, TRIALS, concat

NOW = pd.Timestamp("2026-01-02", tz="UTC")


@pytest.fixture
def proposals():
    rows = [
        [
            "find",
            place,
            f"ENSG{place}",
            f"G{place}",
            "delete",
            "inhibit",
            0.3,
            0.1,
            0.6,
            0.0,
            1.0,
            "a",
            "why",
            "",
        ]
        for place in (1, 2, 3, 4)
    ]
    return pd.DataFrame(rows, columns=PROPOSALS.names)


@pytest.fixture
def trials(proposals):
    return taken(proposals, concat(TRIALS, []), when=NOW)


def effects(hit, toward, modality="crispri"):
    return EFFECTS.completed(
        pd.DataFrame(
            {
                "gene_id": ["ENSG1", "ENSG2", "ENSG9"],
                "modality": modality,
                "level": "gene",
                "hit": hit,
                "effect_to_goal": toward,
            }
        )
    )


def test_batches_are_numbered_and_await_their_outcome(proposals, trials):
    second = taken(proposals, trials, when=NOW)
    assert (trials["batch"].unique().tolist(), second["batch"].unique().tolist()) == ([0], [1])
    assert trials["predicted"].eq(0.3).all()
    assert pending(trials) == closed(trials) == {"ENSG1", "ENSG2", "ENSG3", "ENSG4"}


def test_effects_of_the_proposed_action_are_matched_and_a_hit_is_one_toward_the_goal(trials):
    done = told(trials, effects([True, True, True], [1.0, -1.0, 1.0]), source="il2", when=NOW)
    assert done[["gene_id", "hit", "status"]].to_numpy().tolist() == [
        ["ENSG1", True, "done"],
        ["ENSG2", False, "done"],
    ]
    assert told(trials, effects([True] * 3, [1.0] * 3, "crispra"), source="il2", when=NOW).empty
    after = pd.concat([done, trials.iloc[2:]])
    assert pending(after) == {"ENSG3", "ENSG4"}
    assert told(after, effects([False] * 3, [1.0] * 3), source="other", when=NOW).empty  # the first that told
    assert told(after, effects([False] * 3, [1.0] * 3), source="il2", when=NOW)["hit"].tolist() == [
        False,
        False,
    ]
    back = untold(after, "il2", when=NOW)
    assert (back["status"].tolist(), back["hit"].isna().all()) == (["running"] * 2, True)


def test_a_typed_list_tells_too_and_one_of_other_genes_is_refused(trials):
    done = told_by_hand(trials, {"ENSG2": True, "ENSG8": True}, when=NOW)
    assert done[["gene_id", "hit", "source"]].to_numpy().tolist() == [["ENSG2", True, "by hand"]]
    with pytest.raises(DesignError, match=r"none of the 1 genes.*'G1', 'G2'.*--accept"):
        told_by_hand(trials, {"ENSG8": True}, when=NOW)


def test_a_status_is_set_by_hand_and_only_where_no_outcome_is_known(trials):
    assert marked(trials, "running", [], when=NOW)["status"].eq("running").all()
    failed = marked(trials, "failed", ["ENSG1"], when=NOW)
    after = pd.concat([failed, trials.iloc[1:]])
    assert "ENSG1" in closed(after) - pending(after)
    gone = marked(after, "abandoned", ["ENSG1"], when=NOW)
    assert "ENSG1" not in closed(pd.concat([gone, after.iloc[1:]]))
    with pytest.raises(DesignError, match=r"set to 'running', 'failed', 'abandoned'; 'done' came"):
        marked(trials, "done", [], when=NOW)
    with pytest.raises(DesignError, match="there is none of 'ENSG9'"):
        marked(trials, "failed", ["ENSG9"], when=NOW)


def test_a_plate_has_a_gene_a_well_its_guides_and_controls(proposals):
    guides = pd.DataFrame(
        {
            "gene_id": ["ENSG1", "ENSG1", "ENSG9"],
            "label": "",
            "guide_id": ["g1", "g2", ""],
            "sequence": ["ACGT", "TTTT", "CCCC"],
            "transcript": "",
        }
    )
    library = GuideLibrary("a.csv", guides, pd.DataFrame({"guide_id": ["nt1"], "sequence": ["GGGG"]}))
    known = [("ENSG1", "G1", "inhibit"), ("ENSG9", "G9", "inhibit"), ("ENSG8", "G8", "inhibit")]
    table = plate(proposals, library=library, positives=known, controls=2)
    assert tuple(table.columns) == COLUMNS
    assert table["well"].tolist() == ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"]
    assert table["role"].tolist() == ["target"] * 4 + ["positive control"] * 2 + ["non-targeting"] * 2
    assert table["sequences"].tolist() == ["ACGT;TTTT", "", "", "", "CCCC", "", "GGGG", ""]
    assert table["guides"].tolist()[0] == "g1;g2"
    assert table["gene_name"].tolist()[-2:] == ["non-targeting 1", "non-targeting 2"]
    bare = plate(proposals, controls=0)
    assert (len(bare), set(bare["sequences"])) == (4, {""})


def test_a_batch_too_large_for_96_wells_goes_on_384(proposals):
    many = pd.concat([proposals] * 30, ignore_index=True)
    table = plate(many)
    assert table["well"].iloc[[0, 23, 24]].tolist() == ["A1", "A24", "B1"]
    assert table["plate"].eq(1).all()
