import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from perturbloop.errors import StoreError
from perturbloop.store import Target, create_store, migrations, open_store


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
    assert tables == {"migration", "campaign", "round", "input", "step", "score", "target", "proposal"}
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
    monkeypatch.setattr("perturbloop.store.sql.BUSY_SECONDS", 0)
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
