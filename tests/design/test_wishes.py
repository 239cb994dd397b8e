"""Genes that a question asks for and leaves out: what is in the batch, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbloop.design.ask import ask
from perturbloop.design.choice import diverse
from perturbloop.design.trials import taken
from perturbloop.errors import DesignError, GeneIdError
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.schema import DesignConfig

FOUR = DesignConfig(budget=4)


def names(batch):
    return batch.proposals["gene_name"].tolist()


def test_the_batch_holds_what_was_asked_for_and_not_what_was_left_out(known):
    batch = ask(known, FOUR, seed=0, pinned=("g20", "ENSG00000000021"), dropped=("G0",))
    assert names(batch) == ["G20", "G21", "G1", "G2"]
    assert batch.proposals["because"].tolist()[:2] == ["asked for", "asked for"]
    assert batch.proposals["reason"].iloc[0].startswith("asked for; expected effect")
    assert not batch.proposals["reason"].str.contains("asked for").iloc[2:].any()
    assert batch.rests_on.endswith("2 genes were asked for.")
    assert "Left out: 1 left out by `--without`: 'G0'." in batch.pool.lines()
    assert batch.expected.mean == pytest.approx(batch.proposals["probability"].sum())
    assert not set(batch.chance["gene_id"]) & set(batch.proposals["gene_id"])


def test_the_others_are_chosen_beside_what_was_asked_for(known):
    one_each = replace(FOUR, max_per_set=1)  # G0 and G1 are alike, as are G2 and G3
    assert names(ask(known, one_each, seed=0, pinned=("G1",))) == ["G1", "G2", "G4", "G6"]
    for aim in ("learn", "both"):
        batch = ask(known, replace(FOUR, aim=aim), seed=0, pinned=("G30",))
        assert names(batch)[0] == "G30"
        assert "G31" not in names(batch)  # G30 stands for it
        assert len(set(names(batch))) == 4
    pairs = vector_kernel("pairs", np.arange(6).astype(str), np.repeat(np.eye(3), 2, axis=0))
    assert diverse(np.array([0, 2, 3, 4]), 2, pairs, 1, np.array([1])).tolist() == [2, 4]


def test_before_anything_was_measured_and_where_all_is_asked_for(unmeasured, known):
    batch = ask(unmeasured, FOUR, seed=0, pinned=("G39",))
    assert names(batch)[0] == "G39"
    assert batch.proposals["reason"].iloc[0].startswith("asked for; in-silico shift")
    assert batch.proposals["reason"].str.contains("high by the prior").sum() == 1
    failed = replace(unmeasured, gate="CONTROL GATE FAILED.")
    panel = ask(failed, replace(FOUR, aim="learn"), seed=0, pinned=("G39",))
    assert not panel.proposals["reason"].str.contains("in-silico").any()
    every = ("G9", "G8", "G7", "G6")
    assert names(ask(known, FOUR, seed=0, pinned=every)) == list(every)


def test_asking_for_nothing_changes_nothing(known):
    plain, empty = ask(known, FOUR, seed=0), ask(known, FOUR, seed=0, pinned=(), dropped=())
    assert plain.proposals.equals(empty.proposals)
    assert plain.chance.equals(empty.chance)


@pytest.mark.parametrize(
    ("pinned", "dropped", "kind", "says"),
    [
        (
            ("G1", "STAT99"),
            (),
            GeneIdError,
            r"`--with` names genes of the ranking.*'STAT99' is not in it. Did you",
        ),
        ((), ("ENSG09999999999",), GeneIdError, r"`--without` names genes .*'ENSG09999999999' is not in it"),
        (("G1", "G2"), ("G2",), DesignError, r"'G2' came with `--with` and `--without`. Keep one"),
        (("G39",), (), DesignError, r"can be proposed; 'G39 is measured already'. Leave out it"),
        (("G3",), (), DesignError, r"'G3 is in your list of genes to exclude'"),
        (("G5",), (), DesignError, r"'G5 is in a batch that was taken'"),
        (
            tuple(f"G{n}" for n in range(6, 12)),
            (),
            DesignError,
            r"at most as many genes as the batch holds, 4; 6 came",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(known, pinned, dropped, kind, says):
    five = ask(known, replace(FOUR, budget=1), seed=0, pinned=("G5",)).proposals
    trials = taken(five, known.trials, when=pd.Timestamp("2026-01-02", tz="UTC"))
    asked = replace(known, trials=trials, excluded={known.ranking["gene_id"][3]})
    with pytest.raises(kind, match=says):
        ask(asked, FOUR, seed=0, pinned=pinned, dropped=dropped)
