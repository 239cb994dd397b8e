"""What a ledger on a PostgreSQL server does when others work in it, its connection ends, or its address is wrong."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from perturbloop.errors import InputError, StoreError
from perturbloop.store import Input, Target, create_store, migrations, open_store, sql
from perturbloop.store.ledger import ledger_at, ledger_of, settle
from perturbloop.store.postgres import _ALONE, _WRITING

HOLD = """
import sys, time
import psycopg
with psycopg.connect(sys.argv[1], application_name="perturbloop 7 on far") as connection:
    connection.execute("SELECT pg_advisory_lock('campaign'::regclass::oid::bigint)")
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def url(postgres):
    return postgres.place()


@pytest.fixture
def place(url, tmp_path):
    place = ledger_at(tmp_path, url)
    create_store(place, name="ifn", config={}, package_version="0.1.0").close()
    return place


def test_another_machine_is_kept_out_until_its_process_is_killed(place, url):
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with (
                open_store(place) as store,
                pytest.raises(
                    StoreError, match=r"is busy: .*\(ledger, perturbloop 7 on far\).*Wait until it ends"
                ),
            ):
                store.hold()
        finally:
            os.kill(other.pid, signal.SIGKILL)
    with open_store(place) as store:
        for _ in range(100):  # until the server has noticed
            try:
                store.hold()
                break
            except StoreError:
                time.sleep(0.05)
        store.open_round()
        with open_store(place) as second, pytest.raises(StoreError, match="is busy"):
            second.hold()
    with open_store(place) as store:  # free again
        store.hold()


def test_a_connection_that_ends_within_a_step_leaves_the_step_to_be_done_again(place, postgres):
    with open_store(place) as store:
        store.hold()
        step = store.start_step(store.open_round().number, "train", key="k", config={})
        postgres.cut_off()
        for _ in range(2):  # no second connection without the lock
            with pytest.raises(
                StoreError, match=r"was cut off: .*Run the same command again: the step .* done again"
            ):
                store.finish_step(step, outputs={})
    with open_store(place) as store:
        store.hold()
        assert store.finished_step("train", key="k") is None
        assert store.last_step("train", key="k") == step
        store.finish_step(store.start_step(0, "train", key="k", config={}), outputs={})
        assert store.finished_step("train", key="k") is not None


def test_a_connection_that_ends_within_a_transaction_leaves_nothing_of_it(place, postgres, monkeypatch):
    with open_store(place) as store:
        store.hold()
        store.freeze_targets([Target("ENSG01", "crispri", 0)])
        upsert = sql._upsert

        def then_cut_off(*args, **named):
            upsert(*args, **named)
            postgres.cut_off()

        monkeypatch.setattr(sql, "_upsert", then_cut_off)
        with pytest.raises(StoreError, match="was cut off"):
            store.add_input(Input("cells.h5ad", "cells", "aa", 1))
    monkeypatch.undo()
    with open_store(place) as store:
        assert store.inputs() == ()
        assert len(store.targets()) == 1


ADDS = ("m999_adds", lambda connection: connection.exec_driver_sql("CREATE TABLE added (name TEXT)"))


def test_a_command_that_is_refused_as_busy_has_not_changed_the_layout(place, url, postgres, monkeypatch):
    def migrations_done():
        return postgres.execute("SELECT count(*) FROM migration WHERE name = 'm999_adds'", url) == [(1,)]

    with open_store(place) as old:
        old.hold()
        monkeypatch.setattr(migrations, "MIGRATIONS", [*migrations.MIGRATIONS, ADDS])
        with pytest.raises(
            StoreError, match=r"is busy: another process is working in it .ledger, perturbloop"
        ):
            open_store(place)
        with open_store(place, writes=False) as reader:
            assert reader.campaign().name == "ifn"
        assert not migrations_done()
        assert old.open_round().number == 0
    open_store(place).close()
    assert migrations_done()


def test_a_change_of_the_layout_that_is_cut_off_is_made_again(place, url, postgres, monkeypatch):
    def cut_off(connection):
        ADDS[1](connection)
        postgres.cut_off()

    known = migrations.MIGRATIONS
    monkeypatch.setattr(migrations, "MIGRATIONS", [*known, ("m999_adds", cut_off)])
    with pytest.raises(StoreError, match="was cut off"):
        open_store(place)
    assert postgres.execute("SELECT to_regclass('added')", url) == [(None,)]
    monkeypatch.setattr(migrations, "MIGRATIONS", [*known, ADDS])
    open_store(place).close()
    assert postgres.execute("SELECT * FROM added", url) == []


def test_who_reads_while_the_layout_changes_sees_every_row(place, url):
    """A table that is made anew within the change would be empty to a reader whose snapshot is older."""
    import psycopg

    with open_store(place) as store:
        store.open_round()
    with psycopg.connect(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute(_ALONE)
        read = pool.submit(open_store, place, writes=False)
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'migration'::regclass"
        for _ in range(200):  # until the reader waits
            if other.execute(waits).fetchone() == (1,):
                break
            time.sleep(0.05)
        other.execute("CREATE TEMP TABLE kept AS SELECT * FROM round; DROP TABLE round CASCADE")
        other.execute("CREATE TABLE round (number INTEGER PRIMARY KEY, opened TIMESTAMP, finished TIMESTAMP)")
        other.execute("INSERT INTO round SELECT * FROM kept")
        other.commit()
        with read.result() as reader:
            assert [entry.number for entry in reader.rounds()] == [0]


def test_a_writer_that_waits_too_long_says_who_is_in_the_way(place, url, monkeypatch):
    import psycopg

    monkeypatch.setattr("perturbloop.store.postgres.BUSY_SECONDS", 0.1)
    with open_store(place) as store, psycopg.connect(url) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({_WRITING})")
        with pytest.raises(StoreError, match="is busy: another process is writing"):
            store.open_round()
        assert store.rounds() == ()
        other.rollback()
        assert store.open_round().number == 0


def test_who_may_only_read_reads_and_is_told_why_not_more(place, url, postgres):
    schema = url.rsplit("%3D", 1)[1]
    postgres.execute("DROP ROLE IF EXISTS reader")
    postgres.execute("CREATE ROLE reader LOGIN")
    postgres.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader"
    )
    theirs = ledger_at(place.folder, url.replace("//ledger@", "//reader@"))
    with open_store(theirs, writes=False) as store:
        assert store.campaign().name == "ifn"
        with pytest.raises(StoreError, match=r"may not be written to.*nothing is lost"):
            store.open_round()
    with open_store(theirs) as store, pytest.raises(StoreError, match=r"may not be written to.*GRANT"):
        store.open_round()
    postgres.execute("DROP OWNED BY reader; DROP ROLE reader")


def test_texts_are_ordered_as_in_sqlite_whatever_the_language_of_the_database(place):
    genes = ["ENSGb", "ENSGB", "ENSG_a", "ENSGa", "ENSG-b"]
    with open_store(place) as store:
        frozen = store.freeze_targets(Target(gene, "crispri", 0) for gene in genes)
    assert [target.gene_id for target in frozen] == sorted(genes)


def test_a_ledger_opened_to_be_read_is_as_it_was_then(place):
    with open_store(place, writes=False) as reader, open_store(place) as writer:
        writer.open_round()
        assert reader.rounds() == ()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://host/study", r"postgresql://HOST/DATABASE; one of `mysql:…` came"),
        ("study.sqlite", r"postgresql://HOST/DATABASE; something else came"),
        ("postgresql://host", "must name its database; `postgresql://host` names none"),
        ("postgresql://host/study?colour=red", r"cannot be read; its options are .*colour"),
        ("postgresql://ann:of-the-tests!7@host/study", r"no password; one came .*\.pgpass or PGPASSWORD"),
        ("postgresql://ann:of-the-tests!7@/x@host/study", r"no password; one came"),
        ("postgresql://host/study?user=ann&password=of-the-tests!7", r"no password; one came"),
        ("postgresql://host/study?%70assword=of-the-tests!7", r"no password; one came"),
        ("postgresql://host/study?pasword=of-the-tests!7", "cannot be read; its options are .*pasword"),
        ("mysql://ann:of-the-tests!7@host/study", "one of `mysql:…` came"),
    ],
)
def test_a_wrong_address_is_refused_and_its_password_not_repeated(url, says, tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match=says) as refused:
        ledger_at(tmp_path, url)
    assert "of-the-tests" not in f"{refused.value!r} {refused.value.__cause__!r}"


def test_the_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"psycopg 3; it is not installed.*perturbloop\[postgres\]"):
        ledger_at(tmp_path, "postgresql://host/study")


def test_a_server_that_does_not_let_in_says_what_is_wrong(postgres, tmp_path, monkeypatch):
    def refused(url):
        with pytest.raises(StoreError) as error:
            open_store(ledger_at(tmp_path, url))
        assert "of-the-tests" not in str(error.value)
        return str(error.value)

    monkeypatch.setenv("PGPASSFILE", os.devnull)
    down = refused(f"postgresql:///study?host={tmp_path}")
    assert re.search(r"cannot be reached: .*is the server running.*correct the address", down, re.IGNORECASE)
    assert re.search("asks for a password, and none came.*pgpass", refused(postgres.url(user="guarded")))
    missing = refused(postgres.url("none"))
    assert re.search(r"needs a database `none`; its server has none.*createdb none", missing)
    monkeypatch.setenv("PGPASSWORD", "of-the-tests!8")
    wrong = refused(postgres.url(user="guarded"))
    assert re.search(r"did not let this user in with the password that came.*pgpass", wrong)
    monkeypatch.setenv("PGPASSWORD", "of-the-tests!7")
    assert "it holds no campaign" in refused(postgres.url(user="guarded"))
    assert "schema, and the one that its address names does not exist" in refused_at_creation(
        ledger_at(tmp_path, f"{postgres.url()}&options=-csearch_path%3Dnone")
    )


def refused_at_creation(place):
    with pytest.raises(StoreError) as error:
        create_store(place, name="two", config={}, package_version="0.1.0")
    return str(error.value)


def test_a_second_campaign_foreign_tables_and_a_newer_ledger_are_refused(place, url, postgres):
    assert re.search("There is a campaign at .*: `ifn`, made .*another place", refused_at_creation(place))
    postgres.execute("INSERT INTO migration VALUES ('m999_future', now())", url)
    with pytest.raises(StoreError, match=r"newer perturbloop \(it has 'm999_future'\)"):
        open_store(place)
    foreign = postgres.place()
    postgres.execute("CREATE TABLE campaign (slogan TEXT)", foreign)
    assert "tables that are none of a ledger: 'campaign'" in refused_at_creation(
        ledger_at(place.folder, foreign)
    )
    assert postgres.execute("SELECT * FROM campaign", foreign) == []


def test_the_folder_names_the_ledger_and_refuses_that_of_another_campaign(place, url):
    with open_store(place) as store:
        settle(place.folder, place, store.campaign().created)
    text = (place.folder / "ledger.toml").read_text()
    open_store(ledger_of(place.folder)).close()
    (place.folder / "ledger.toml").write_text(re.sub("created = .*", "created = 2020-01-01T00:00:00Z", text))
    with pytest.raises(StoreError, match=r"ledger of its campaign, made 2020.*holds one that was made"):
        open_store(ledger_of(place.folder))
    (place.folder / "ledger.toml").write_text(f'url = "{url}"\n')  # as a person writes it
    open_store(ledger_of(place.folder)).close()
    for wrong in ("url = 3", "url", "", 'url = "postgresql:///a"\ncreated = 1'):
        (place.folder / "ledger.toml").write_text(wrong)
        with pytest.raises(StoreError, match=r"ledger.toml` must say where the ledger is.*Correct it"):
            ledger_of(place.folder)
