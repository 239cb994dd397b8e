"""Rounds so far and hits against chance: by hand, and from folders as rounds leave them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from perturbloop.errors import StoreError
from perturbloop.report.facts import RoundFacts
from perturbloop.report.rounds import rounds_so_far
from perturbloop.report.timeline import _at_least, found, found_section, round_of, rounds_section
from perturbloop.schema import (
    PROPOSALS,
    ROUNDS,
    TRIALS,
    CampaignConfig,
    CellsConfig,
    PerturbedConfig,
    TrainConfig,
    concat,
)

CREATED = ("2026-01-02 03:04 UTC", "2026-02-02 03:04 UTC")


def rounds(*by_chance):
    """Two rounds a month apart."""
    rows = [
        {
            "round": k,
            "created": CREATED[k],
            "recorded": "",
            "n_measured": 10 * k,
            "gate": "passed",
            "word": "cannot tell",
        }
        | {"policy": "find", "n_proposed": 20, "by_chance": rate}
        for k, rate in enumerate(by_chance)
    ]
    return ROUNDS.checked(pd.DataFrame(rows, columns=ROUNDS.names))


def trials(batch, when, hits, *, awaited=0, predicted=0.25):
    """A batch of as many genes as there are outcomes, and some more that are awaited."""
    n = len(hits) + awaited
    return pd.DataFrame(
        {
            "batch": batch,
            "place": range(1, n + 1),
            "policy": "find",
            "gene_id": [f"ENSG{k:011d}" for k in range(n)],
            "gene_name": [f"G{k}" for k in range(n)],
            "kind": "delete",
            "action": "inhibit",
            "predicted": predicted,
            "shift": 0.0,
            "status": ["done"] * len(hits) + ["running"] * awaited,
            "hit": pd.array([*hits, *[pd.NA] * awaited], dtype="boolean"),
            "source": "first",
            "proposed": pd.Timestamp(when, tz="UTC"),
            "told": pd.to_datetime([when] * len(hits) + [None] * awaited, utc=True) + pd.Timedelta(days=9),
        }
    )[TRIALS.names]


def test_a_batch_belongs_to_the_last_round_that_was_judged_before_it():
    times = ("2026-01-02 03:04:30", "2026-02-02 03:04:00", "2025-12-31", "2026-02-02 03:03:59")
    rows = pd.concat([trials(k, when, [True]) for k, when in enumerate(times)], ignore_index=True)
    assert round_of(rows, rounds(0.1, 0.2)).tolist() == pytest.approx([0, 1, np.nan, 0], nan_ok=True)
    undated = rounds(0.1, 0.2).assign(created="")
    assert round_of(rows, undated).isna().all()
    assert len(round_of(rows[:0], rounds(0.1))) == 0


def test_found_hits_stand_beside_those_foretold_and_those_of_chance():
    rows = pd.concat(
        [
            trials(0, "2026-01-03", [True] * 5 + [False] * 13, awaited=2),
            trials(1, "2026-02-03", [True, False]),
            trials(2, "2026-02-04", [], awaited=20),
        ],
        ignore_index=True,
    )
    table = found(rows, rounds(0.05, 0.1))
    assert table["batch"].tolist() == [0, 1]
    assert table["round"].tolist() == [0, 1]
    assert table["n_taken"].tolist() == [20, 2]
    assert table["n_told"].tolist() == [18, 2]
    assert table["observed"].tolist() == [5, 1]
    assert table["by_chance"].tolist() == pytest.approx([0.9, 0.2])
    assert table.loc[0, "predicted"] == pytest.approx(18 * 0.25)
    assert table.loc[0, "low"] <= 4.5 <= table.loc[0, "high"]


def test_the_sentence_says_how_likely_so_many_are_by_chance(round_one):
    many = trials(0, "2026-01-03", [True] * 5 + [False] * 13, awaited=2)
    section = found_section(replace(round_one, trials=many, rounds=rounds(0.05, 0.1)))
    (said,) = section.lines
    assert said.startswith("5 hits among 18 genes that came back; 4.5 were predicted, and a draw at random")
    assert "would have held about 0.9: more than chance (as many or more at random: p = 0.002)" in said
    assert section.grids[0].rows[0][:4] == ("0", "18 of 20", "5", "4.5")
    few = replace(
        round_one, trials=trials(0, "2026-01-03", [True] * 2 + [False] * 16), rounds=rounds(0.05, 0.1)
    )
    assert "0.9: not told apart from chance" in found_section(few).lines[0]
    unknown = replace(few, rounds=rounds(np.nan, np.nan))
    assert "What chance would have found is not known" in found_section(unknown).lines[0]
    unstated = replace(few, trials=few.trials.assign(predicted=np.nan))
    assert "predicted" not in found_section(unstated).lines[0]


@pytest.mark.parametrize(("hits", "n", "rate"), [(5, 18, 0.05), (0, 4, 0.2), (40, 2000, 0.01), (3, 3, 0.5)])
def test_the_probability_by_chance_is_the_binomials(hits, n, rate):
    assert _at_least(hits, n, rate) == pytest.approx(binom.sf(hits - 1, n, rate), rel=1e-6)


def test_without_outcomes_a_sentence_stands_in_the_place_of_a_table(round_one, round_zero):
    assert found_section(round_zero).lines == ("Nothing was measured so far, so there are no hits to count.",)
    (said,) = found_section(round_one).lines
    assert "No batch came back so far" in said
    assert "4 genes were measured outside of batches" in said
    assert "folders are gone" in rounds_section(round_one).lines[0]


def test_a_round_shows_what_became_of_its_batch_and_the_last_is_bold(round_one):
    taken = pd.concat([trials(0, "2026-01-03", [True], awaited=2), trials(1, "2026-01-04", [False])])
    table = rounds(0.05, 0.1).assign(auroc=[np.nan, 0.71], ci_low=[np.nan, 0.5], ci_high=[np.nan, 0.9])
    report = replace(round_one, trials=taken.reset_index(drop=True), rounds=table)
    (grid,) = rounds_section(report).grids
    first, last = (dict(zip(grid.columns, row, strict=True)) for row in grid.rows)
    assert first["taken"] == "batch 0: 3 genes, 2 awaited; batch 1: 1 gene"
    assert (first["AUROC"], last["AUROC"], last["95 % interval"]) == ("–", "0.71", "[0.50, 0.90]")
    assert (first["date"], last["taken"], first["proposed"]) == ("2026-01-02", "–", "20 to find")
    assert grid.strong == {1}
    assert rounds_section(report).lines == ()
    (said,) = rounds_section(replace(report, rounds=table[table["round"].eq(1)])).lines
    assert said.endswith("gone or damaged: 0.")


def written(folder, report, created, recorded):
    """A round's folder with what the timeline reads."""
    folder.mkdir(parents=True)
    config = CampaignConfig(
        CellsConfig(path="cells.h5ad", state_column="s", start="a", goal="b"),
        TrainConfig(model="m"),
        perturbed=tuple(
            PerturbedConfig(path=path, target_column="t", control="c", modality="crispr_ko")
            for path in recorded
        ),
    )
    names = ("version", "source", "data_digest", "model_digest", "vocabulary_digest", "vocabulary")
    RoundFacts(
        config=config,
        created=created,
        **dict.fromkeys(names, ""),
        design="single",
        n_start=1,
        n_goal=1,
        verdicts=report.gate,
    ).save(folder)
    for name in ("metrics", "gains", "effects", "ranking", "proposals", "posterior"):
        getattr(report, name).to_parquet(folder / f"{name}.parquet")
    (folder / "evaluate.json").write_text(json.dumps({"key": "k", "version": "0.1.0"}))


def test_rounds_are_told_from_their_folders_up_to_the_one_asked_for(tmp_path, round_zero, round_one):
    proposals = round_one.proposals
    written(tmp_path / "000", replace(round_zero, proposals=concat(PROPOSALS, [])), CREATED[0], [])
    written(tmp_path / "001", replace(round_one, proposals=proposals), CREATED[1], ["/d/first.h5ad"])
    written(tmp_path / "003", round_one, CREATED[1], ["/d/first.h5ad", "/d/second.h5ad"])
    table = rounds_so_far(tmp_path / "001")
    assert table["round"].tolist() == [0, 1]
    assert table["recorded"].tolist() == ["", "first.h5ad"]
    assert table["n_measured"].tolist() == [0, 4]
    assert table["auroc"].tolist() == pytest.approx([np.nan, 0.81], nan_ok=True)
    assert table.loc[1, ["kind", "n_hits", "n_genes", "policy", "n_proposed"]].tolist() == [
        "delete",
        4,
        25,
        "find",
        1,
    ]
    assert table["by_chance"].tolist() == pytest.approx([np.nan, 0.02], nan_ok=True)
    assert table["gate"].tolist() == ["not judged", "passed"]
    (tmp_path / "002").mkdir()  # in progress
    later = rounds_so_far(tmp_path / "003")
    assert later["round"].tolist() == [0, 1, 3]
    assert later["recorded"].tolist() == ["", "first.h5ad", "second.h5ad"]


def test_a_round_of_an_older_version_is_told_as_far_as_it_says(tmp_path, round_one):
    written(tmp_path / "000", round_one, CREATED[0], ["/d/first.h5ad"])
    facts = json.loads((tmp_path / "000" / "facts.json").read_text())
    (tmp_path / "000" / "facts.json").unlink()
    scores = dict.fromkeys(("data_digest", "model_digest", "vocabulary_digest"), "") | {"models": {}}
    (tmp_path / "000" / "scores.json").write_text(
        json.dumps(scores | {"config": facts["config"], "default": "posterior"})
    )
    old = round_one.ranking.drop(columns=["ranked_by", "effect"])
    old.to_parquet(tmp_path / "000" / "ranking.parquet")
    (row,) = rounds_so_far(tmp_path / "000").to_dict("records")
    assert (row["created"], row["recorded"], row["auroc"], row["kind"]) == ("", "first.h5ad", 0.81, "delete")


def test_a_damaged_round_is_named(tmp_path, round_one):
    written(tmp_path / "000", round_one, CREATED[0], [])
    (tmp_path / "000" / "metrics.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"metrics\.parquet.*Play again\."):
        rounds_so_far(tmp_path / "000", todo="Play again.")
    written(tmp_path / "001", round_one, CREATED[1], [])
    assert rounds_so_far(tmp_path / "001")["round"].tolist() == [1]
