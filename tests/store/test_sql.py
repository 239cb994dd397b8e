import json
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import event

from perturbloop.errors import StoreError
from perturbloop.store import Input, Target, create_store, migrations, open_store


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "campaign.sqlite"
    create_store(path, name="ifn", config={}, package_version="0.1.0").close()
    return path


def execute(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def test_the_file_is_a_write_ahead_log_with_every_table(path):
    assert execute(path, "PRAGMA journal_mode") == [("wal",)]
    tables = {name for (name,) in execute(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {
        "migration",
        "campaign",
        "round",
        "input",
        "step",
        "score",
        "target",
        "proposal",
        "trial",
    }
    assert list(path.parent.iterdir()) == [path]


def test_foreign_keys_are_held(path):
    with open_store(path) as store, pytest.raises(StoreError, match="Round 3 does not exist"):
        store.start_step(3, "train", key="k", config={})


def test_a_missing_ledger_and_a_second_campaign_are_refused(path, tmp_path):
    with pytest.raises(StoreError, match=r"no campaign ledger at .*other.sqlite.*perturbloop init"):
        open_store(tmp_path / "other.sqlite")
    with pytest.raises(StoreError, match="There is a campaign at"):
        create_store(path, name="two", config={}, package_version="0.1.0")
    with pytest.raises(StoreError, match="does not exist"):
        create_store(tmp_path / "no" / "campaign.sqlite", name="two", config={}, package_version="0.1.0")


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\x00" * 400])
def test_a_file_that_is_no_database_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"ledger .*campaign.sqlite` cannot be used.*Restore it from a copy"):
        open_store(path)


def test_a_cut_off_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(StoreError, match="cannot be used"):
        open_store(path)


def test_an_empty_ledger_is_refused(path):
    execute(path, "DELETE FROM campaign")
    with pytest.raises(StoreError, match="it holds no campaign"):
        open_store(path)


def test_a_ledger_of_a_newer_perturbloop_is_refused(path):
    execute(path, "INSERT INTO migration VALUES ('m999_future', '2030-01-01 00:00:00.000000')")
    with pytest.raises(StoreError, match=r"newer perturbloop \(it has 'm999_future'\)"):
        open_store(path)


def test_held_out_targets_that_were_changed_by_hand_are_noticed(path):
    with open_store(path) as store:
        store.freeze_targets([Target("ENSG01", "crispr_ko", 0), Target("ENSG02", "crispr_ko", -1)])
        execute(path, "UPDATE target SET fold = -1")
        with pytest.raises(StoreError, match="not those that were frozen"):
            store.targets()


def test_a_migration_that_fails_leaves_nothing_behind(path, monkeypatch):
    def m999_breaks(connection):
        connection.exec_driver_sql("CREATE TABLE half (done INTEGER)")
        connection.exec_driver_sql("SELECT * FROM missing")

    monkeypatch.setattr(migrations, "MIGRATIONS", [*migrations.MIGRATIONS, ("m999_breaks", m999_breaks)])
    with pytest.raises(StoreError, match="no such table: missing"):
        open_store(path)
    monkeypatch.undo()
    assert execute(path, "SELECT name FROM sqlite_master WHERE name = 'half'") == []
    open_store(path).close()


def test_scores_of_version_0_1_are_kept_and_get_the_new_columns(path):
    execute(path, "DELETE FROM migration WHERE name != 'm001_first_tables'")
    execute(path, "DROP TABLE score")
    execute(
        path,
        "CREATE TABLE score (round INTEGER, method TEXT, kind TEXT, denominator TEXT, metric TEXT, value FLOAT, "
        "ci_low FLOAT, ci_high FLOAT, n_genes INTEGER, n_hits INTEGER, rule TEXT, place INTEGER, "
        "PRIMARY KEY (round, method, kind, denominator, metric))",
    )
    execute(path, "INSERT INTO round VALUES (0, '2026-01-01 00:00:00.000000', NULL)")
    execute(
        path,
        "INSERT INTO score VALUES (0, 'de', 'delete', 'all', 'ppv', 0.5, 0.1, NULL, 25, 4, 'budget-k', 0)",
    )
    for _ in range(2):
        with open_store(path) as store:
            scores = store.scores()
    row = scores.iloc[0]
    assert len(scores) == 1
    assert (row["method"], row["value"], row["n_hits"], row["rule"]) == ("de", 0.5, 4, "budget-k")
    assert (row["interval"], row["declared"], row["targets"]) == ("bootstrap", True, "held-out")
    assert row.isna().sum() == 1


def test_proposals_of_an_older_ledger_are_kept_without_flags(path):
    newer = "('m004_flags_of_proposals', 'm005_trials', 'm006_chief_reason')"
    execute(path, f"DELETE FROM migration WHERE name IN {newer}")
    execute(path, "DROP TABLE trial")
    for column in ("flags", "probability", "ci_low", "ci_high", "shift", "because"):
        execute(path, f"ALTER TABLE proposal DROP COLUMN {column}")
    execute(path, "INSERT INTO round VALUES (0, '2026-01-01 00:00:00.000000', NULL)")
    execute(
        path,
        "INSERT INTO proposal VALUES (0, 'greedy', 1, 'ENSG01', 'STAT1', 'delete', 'inhibit', 1.5, 'best')",
    )
    for _ in range(2):
        with open_store(path) as store:
            row = store.proposals().iloc[0]
            assert store.trials().empty
    assert (row["gene_name"], row["reason"], row["flags"]) == ("STAT1", "best", "")
    assert pd.isna(row["probability"])


def test_a_new_migration_is_applied_once(path, monkeypatch):
    def m999_adds(connection):
        connection.exec_driver_sql("CREATE TABLE more (done INTEGER)")

    monkeypatch.setattr(migrations, "MIGRATIONS", [*migrations.MIGRATIONS, ("m999_adds", m999_adds)])
    for _ in range(2):
        open_store(path).close()
    assert [name for (name,) in execute(path, "SELECT name FROM migration")] == [
        *(name for name, _ in migrations.MIGRATIONS[:-1]),
        "m999_adds",
    ]


def test_a_write_that_waits_too_long_says_who_is_in_the_way(path, monkeypatch):
    monkeypatch.setattr("perturbloop.store.sqlite.BUSY_SECONDS", 0)
    with open_store(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is busy: another process is writing"):
            store.open_round()
        assert store.rounds() == ()


def test_a_half_made_ledger_does_not_stand_in_the_way(tmp_path):
    path = tmp_path / "campaign.sqlite"
    path.with_name("campaign.sqlite.new").write_bytes(b"half")
    with create_store(path, name="ifn", config={}, package_version="0.1.0") as store:
        step = store.start_step(store.open_round().number, "train", key="k", config={})
        assert store.steps() == (step,)
        assert replace(step, name="other") not in store.steps()


def test_steps_keep_their_order_when_the_clock_is_set_back(path, monkeypatch):
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with open_store(path) as store:
        for number in range(3):
            monkeypatch.setattr("perturbloop.store.sql._now", lambda back=number: now - timedelta(hours=back))
            store.add_input(Input(f"{9 - number}.h5ad", "cells", "aa", 1))
            step = store.start_step(store.open_round().number, "train", key=f"k{number}", config={})
            store.finish_step(step, outputs={})
            store.finish_round(step.round)
        assert [step.round for step in store.steps()] == [0, 1, 2]
        assert [entry.path for entry in store.inputs()] == ["9.h5ad", "8.h5ad", "7.h5ad"]
        assert store.finished_step("train", key="k2") is not None
        assert store.finished_step("train", key="k0") is None


def test_a_ledger_of_before_is_put_in_order_by_round_and_keeps_its_finished_steps(path):
    (path.parent / "check.json").touch()
    for table, columns in {"step": ("place", "contents"), "input": ("place",)}.items():
        for column in columns:
            execute(path, f"ALTER TABLE {table} DROP COLUMN {column}")
    execute(path, "DELETE FROM migration WHERE name = 'm003_order_and_contents'")
    for number, day in enumerate(("09", "05", "07")):  # the clock was set back after round 0
        execute(path, f"INSERT INTO round VALUES ({number}, '2026-01-{day} 00:00:00.000000', NULL)")
        time = f"'2026-01-{day} 10:00:00.000000'"
        execute(
            path,
            f"INSERT INTO step VALUES ({number}, 'check', 'k{number}', {time}, {time}, '{{}}', '{{\"a\": \"check.json\"}}')",
        )
        execute(path, f"INSERT INTO input VALUES ('{number}', 'aa', 'cells', 1, NULL, NULL, {time})")
    with open_store(path, writes=False) as store:  # whoever may only read sees the same
        assert [step.round for step in store.steps()] == [0, 1, 2]
    for _ in range(2):
        with open_store(path) as store:
            assert [step.round for step in store.steps()] == [0, 1, 2]
            assert [entry.path for entry in store.inputs()] == ["1", "2", "0"]
            assert store.steps()[0].started == datetime(2026, 1, 9, 10, tzinfo=UTC)
            assert store.finished_step("check", key="k2") is not None


def test_an_output_that_changed_since_makes_its_step_stale(path):
    with open_store(path) as store:
        step = store.start_step(store.open_round().number, "evaluate", key="k", config={})
        table, shards = path.parent / "ranking.parquet", path.parent / "shards"
        table.write_text("abc")
        shards.mkdir()
        (shards / "part").write_text("abc")
        store.finish_step(step, outputs={"ranking": table.name, "shards": shards.name})
        assert store.finished_step("evaluate", key="k") is not None
        for file, text in ((table, "abd"), (shards / "part", "")):
            before = file.read_text()
            file.write_text(text)
            assert store.finished_step("evaluate", key="k") is None
            assert store.last_step("evaluate", key="k") is not None
            file.write_text(before)


def test_a_ledger_opened_to_be_read_takes_nothing_and_is_not_touched(path):
    before = path.read_bytes()
    with open_store(path, writes=False) as store:
        assert store.campaign().name == "ifn"
        with pytest.raises(StoreError, match=r"may not be written to.*nothing is lost"):
            store.open_round()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_no_damage(path):
    with open_store(path) as store, closing(sqlite3.connect(path)) as other:
        (pages,) = other.execute("PRAGMA page_count").fetchone()
        event.listen(store._engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {pages}"))
        number = store.open_round().number
        with pytest.raises(
            StoreError, match=r"disk is full. Make room and run the same command again; nothing is lost"
        ):
            store.start_step(number, "train", key="k", config={"much": "x" * 10**6})


def test_damaged_cells_of_the_ledger_never_end_in_a_traceback(path, odd, rng):
    with open_store(path) as store:
        store.add_input(Input("cells.h5ad", "cells", "aa", 1, 2, 3))
        step = store.start_step(store.open_round().number, "train", key="k", config={"seed": 0})
        (path.parent / "model").touch()
        store.finish_step(step, outputs={"model": "model"})
        store.freeze_targets([Target("ENSG01", "crispr_ko", 0), Target("ENSG02", "crispr_ko", -1)])
    cells = [
        (table, column)
        for table in ("campaign", "round", "input", "step", "target")
        for (_, column, *_) in execute(path, f"PRAGMA table_info({table})")
    ]
    sound, refused = path.read_bytes(), []
    for number, tree in enumerate(odd({"a": [1, "b"], "c": {"d": 0.5}}, 320)):
        path.write_bytes(sound)
        table, column = cells[number % len(cells)]
        text = json.dumps(tree)
        value = [text, text[: len(text) // 2], text.encode(), number, "2026-13-45", -1.5][
            int(rng.integers(6))
        ]
        with closing(sqlite3.connect(path)) as connection, connection, suppress(sqlite3.IntegrityError):
            connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))
        try:
            with open_store(path, writes=bool(number % 2)) as store:
                store.rounds(), store.inputs(), store.steps(), store.targets(), store.campaign()
                assert store.finished_step("train", key="no such key") is None
        except StoreError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert all("campaign.sqlite" in message for message in refused)
