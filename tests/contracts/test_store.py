"""What every backend of the ledger must satisfy."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from perturbloop.errors import InputError, StoreError
from perturbloop.schema import METRICS, PROPOSALS, TRIALS
from perturbloop.store import Input, Target, create_store, open_store, step_key
from perturbloop.store.ledger import ledger_at

CONFIG = {"cells": {"path": "cells.h5ad"}, "evaluate": {"fdr": 0.05, "kinds": ["delete"]}}


@pytest.fixture(params=["sqlite", "postgres"])
def reopen(request, tmp_path):
    """Make a campaign, and give a way to open it again as another process would."""
    where = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres").place()
    place, opened = ledger_at(tmp_path, where), ExitStack()
    create_store(place, name="ifn", config=CONFIG, package_version="0.1.0").close()
    with opened:
        yield lambda: opened.enter_context(open_store(place))


@pytest.fixture
def store(reopen):
    with reopen() as opened:
        yield opened


def test_a_campaign_remembers_its_config_and_when_it_was_made(store, reopen):
    made = store.campaign()
    assert (made.name, made.package_version, made.config) == ("ifn", "0.1.0", CONFIG)
    assert timedelta(0) <= datetime.now(UTC) - made.created < timedelta(minutes=10)
    store.save_config({"cells": {}})
    assert reopen().campaign().config == {"cells": {}}


def test_a_round_is_opened_once_until_it_is_finished(store, reopen):
    assert store.open_round().number == 0
    assert reopen().open_round().number == 0
    assert store.finish_round(0).finished is not None
    assert store.open_round().number == 1
    assert [entry.number for entry in store.rounds()] == [0, 1]
    with pytest.raises(StoreError, match="Round 7 does not exist; the campaign has '0', '1'"):
        store.finish_round(7)


def test_two_writers_at_once_lose_nothing(store, reopen):
    number = store.open_round().number
    both = [reopen(), reopen()]
    with ThreadPoolExecutor(2) as pool:
        names = [(one, f"{who}-{turn}") for turn in range(8) for who, one in enumerate(both)]
        begun = list(pool.map(lambda job: job[0].start_step(number, job[1], key="k", config={}), names))
        opened = list(pool.map(lambda one: one.open_round().number, both))
    assert sorted(step.place for step in begun) == list(range(16))
    assert {step.name for step in store.steps()} == {name for _, name in names}
    assert opened == [0, 0]


def test_inputs_are_kept_by_path_and_digest(store):
    first = Input("cells.h5ad", "cells", "aa", 2**40, 100, 2000)
    store.add_input(first)
    store.add_input(Input("cells.h5ad", "cells", "aa", 2**40, 100, 2001))
    store.add_input(Input("cells.h5ad", "cells", "bb", 12))
    assert [(entry.digest, entry.size, entry.n_genes) for entry in store.inputs()] == [
        ("aa", 2**40, 2001),
        ("bb", 12, None),
    ]


def test_a_step_is_finished_only_once_its_outputs_exist(store, reopen, tmp_path):
    number = store.open_round().number
    step = store.start_step(number, "perturb", key="k1", config={"seed": 0})
    assert store.finished_step("perturb", key="k1") is None
    with pytest.raises(
        StoreError, match=r"`perturb` cannot be recorded as finished.*'rounds/ranking.parquet'"
    ):
        store.finish_step(step, outputs={"ranking": "rounds/ranking.parquet"})
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds/ranking.parquet").touch()
    store.finish_step(step, outputs={"ranking": "rounds/ranking.parquet"})
    found = reopen().finished_step("perturb", key="k1")
    assert found is not None
    assert (found.config, found.outputs) == ({"seed": 0}, {"ranking": "rounds/ranking.parquet"})
    assert found.started <= found.finished
    assert store.finished_step("perturb", key="k2") is None
    (tmp_path / "rounds/ranking.parquet").unlink()
    assert store.finished_step("perturb", key="k1") is None


def test_a_step_counts_no_more_once_it_was_begun_with_another_key(store):
    number = store.open_round().number
    store.finish_step(store.start_step(number, "evaluate", key="a", config={}), outputs={})
    again = store.start_step(number, "evaluate", key="b", config={})
    assert store.finished_step("evaluate", key="a") is None
    store.finish_step(again, outputs={})
    assert store.finished_step("evaluate", key="a") is None
    assert store.finished_step("evaluate", key="b") is not None
    store.finish_step(store.start_step(number, "evaluate", key="a", config={}), outputs={})
    assert store.finished_step("evaluate", key="a") is not None


def test_a_step_of_an_earlier_round_serves_the_next_and_a_restart_forgets_its_end(store):
    step = store.start_step(store.open_round().number, "train", key="k", config={})
    store.finish_step(step, outputs={})
    store.finish_round(0)
    store.open_round()
    assert store.finished_step("train", key="k").round == 0
    store.start_step(0, "train", key="k", config={})
    assert store.finished_step("train", key="k") is None
    store.start_step(1, "evaluate", key="e", config={})
    assert [entry.name for entry in store.steps()] == ["train", "evaluate"]
    assert [entry.name for entry in store.steps(1)] == ["evaluate"]
    with pytest.raises(StoreError, match="Round 5 does not exist"):
        store.start_step(5, "train", key="k", config={})


def metrics_of(value):
    row = ["frozen", "delete", "scored", "auroc", value, np.nan, 1.0, 25, 4, "", "delong", True, "held-out"]
    lift = [*row[:3], "lift", np.inf, *row[5:]]
    other = [*lift[:9], "budget-k", "bootstrap", False, "pathway-disjoint"]
    return pd.DataFrame([row, lift, other], columns=METRICS.names)


def test_scores_come_back_as_they_were_and_a_second_writing_replaces_the_first(store, reopen):
    store.open_round()
    store.save_scores(0, metrics_of(0.5))
    store.save_scores(0, metrics_of(0.8))
    pd.testing.assert_frame_equal(
        reopen().scores(), metrics_of(0.8).assign(round=0)[["round", *METRICS.names]]
    )


def test_an_empty_ledger_gives_empty_tables(store):
    assert store.scores().empty
    assert list(store.scores().columns) == ["round", *METRICS.names]
    assert store.proposals().empty
    assert store.trials().empty
    assert (store.rounds(), store.inputs(), store.steps(), store.targets()) == ((), (), (), ())


def test_proposals_come_back_as_they_were(store):
    store.open_round()
    proposals = pd.DataFrame(
        [
            [
                "find",
                1,
                "ENSG01",
                "STAT1",
                "delete",
                "inhibit",
                0.3,
                0.1,
                0.6,
                0.0,
                1.5,
                "by JAK2",
                "best",
                "ambient",
            ]
        ],
        columns=PROPOSALS.names,
    )
    store.save_proposals(0, proposals)
    pd.testing.assert_frame_equal(store.proposals().drop(columns="round"), proposals)


def test_trials_come_back_as_they_were_and_one_is_changed_alone(store, reopen):
    when = pd.Timestamp("2026-01-02T03:04:05", tz="Europe/Berlin")
    rows = [
        [
            0,
            place,
            "find",
            f"ENSG{place}",
            "STAT1",
            "delete",
            "inhibit",
            0.3,
            0.0,
            "proposed",
            None,
            "",
            when,
            None,
        ]
        for place in (2, 1)
    ]
    made = pd.DataFrame(rows, columns=TRIALS.names)
    store.save_trials(made)
    store.save_trials(made.tail(1).assign(status="done", hit=True, source="by hand", told=when))
    found = reopen().trials()
    assert list(found.columns) == TRIALS.names
    assert found["place"].tolist() == [1, 2]
    assert found["status"].tolist() == ["done", "proposed"]
    assert found["hit"].tolist() == [True, pd.NA]
    assert found["proposed"].eq(when).all()
    assert found["told"].isna().tolist() == [False, True]


def test_a_table_without_a_round_or_a_column_is_refused(store):
    with pytest.raises(StoreError, match="Round 0 does not exist"):
        store.save_scores(0, metrics_of(0.5))
    store.open_round()
    with pytest.raises(InputError, match="missing: 'value'"):
        store.save_scores(0, metrics_of(0.5).drop(columns="value"))


def test_a_held_out_target_stays_held_out_for_ever(store, reopen):
    one, two = Target("ENSG01", "crispr_ko", 0), Target("ENSG02", "crispr_ko", -1)
    frozen = store.freeze_targets([one, two])
    assert store.freeze_targets([two, one]) == frozen
    for moved in (Target("ENSG01", "crispr_ko", -1), Target("ENSG02", "crispr_ko", 3)):
        with pytest.raises(
            StoreError, match=rf"{moved.gene_id} \(crispr_ko\): fold .* asked for {moved.fold}"
        ):
            store.freeze_targets([Target("ENSG09", "crispr_ko", 0), moved])
    assert reopen().targets() == frozen


def test_new_targets_join_with_a_hash_of_their_own(store):
    first = store.freeze_targets([Target("ENSG01", "crispr_ko", 0)])
    both = store.freeze_targets([Target("ENSG01", "crispr_ko", 0), Target("ENSG01", "crispra", 2)])
    assert first[0] in both
    assert len({target.frozen_hash for target in both}) == 2


def test_one_call_cannot_give_a_target_two_folds(store):
    with pytest.raises(StoreError, match="fold 0, asked for 1"):
        store.freeze_targets([Target("ENSG01", "crispri", 0), Target("ENSG01", "crispri", 1)])
    assert store.targets() == ()


def test_a_key_changes_with_everything_that_decides_a_result():
    base = {"config": {"seed": 0, "kinds": ("delete",)}, "inputs": ["a", "b"], "upstream": ["u"]}
    key = step_key("train", **base)
    assert key == step_key(
        "train", **base | {"inputs": ["b", "a"], "config": {"kinds": ["delete"], "seed": 0}}
    )
    changed = [{"config": {"seed": 1}}, {"inputs": ["a"]}, {"upstream": []}]
    assert (
        len({key, step_key("perturb", **base), *(step_key("train", **base | part) for part in changed)}) == 5
    )
    with pytest.raises(InputError, match="plain JSON values"):
        step_key("train", config={"rng": object()})
