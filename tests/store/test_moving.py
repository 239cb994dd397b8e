"""A ledger moves to a server and back: whole or not at all, and whoever opens what was left is told where it went."""

import shutil
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from perturbloop.errors import InputError, StoreError
from perturbloop.schema import METRICS, PROPOSALS, TRIALS
from perturbloop.store import Input, Target, create_store, database, moving, open_store
from perturbloop.store.ledger import ledger_at, ledger_of
from perturbloop.store.moving import move
from perturbloop.store.postgres import Postgres
from perturbloop.store.sql import SqlStore
from perturbloop.store.sqlite import Sqlite


@pytest.fixture
def folder(tmp_path):
    """A campaign with rows in every table."""
    with create_store(
        ledger_at(tmp_path, "sqlite"), name="ifn", config={"a": [1, {"b": "µ"}]}, package_version="0.1.0"
    ) as store:
        store.open_round()
        store.add_input(Input("cells.h5ad", "cells", "aa", 2**40, 3, None))
        (tmp_path / "model").write_text("weights")
        step = store.start_step(0, "train", key="k", config={"seed": 0})
        store.finish_step(step, outputs={"model": "model"})
        row = ["frozen", "delete", "scored", "auroc", 0.1, None, 1.0, 25, 4, "", "delong", True, "held-out"]
        lift = [*row[:3], "lift", float("inf"), *row[5:]]
        store.save_scores(0, pd.DataFrame([row, lift], columns=METRICS.names))
        store.freeze_targets([Target("ENSG01", "crispr_ko", 0), Target("ENSG02", "crispra", -1)])
        gene = ["find", 1, "ENSG01", "STAT1", "delete", "inhibit", 0.3, 0.1, 0.6, 0.0, 1.5, "by", "best", ""]
        store.save_proposals(0, pd.DataFrame([gene], columns=PROPOSALS.names))
        when = pd.Timestamp("2026-01-02T03:04:05.678901", tz="Europe/Berlin")
        trial = [0, 1, *gene[:1], *gene[2:6], 0.3, 0.0, "done", True, "by hand", when, None]
        store.save_trials(pd.DataFrame([trial], columns=TRIALS.names))
    return tmp_path


def rows(folder):
    with open_store(ledger_of(folder), writes=False) as store:
        assert store.finished_step("train", key="k") is not None
        return store.rows()


@pytest.fixture
def url(postgres):
    return postgres.place()


def test_a_ledger_moves_to_a_server_and_back_with_every_row(folder, url, postgres):
    before = rows(folder)
    assert all(before.values())
    for _ in range(2):
        counted = move(folder, url)
        assert counted == {name: len(found) for name, found in before.items()}
        assert {name: postgres.execute(f"SELECT count(*) FROM {name}", url) for name in counted} == {
            name: [(n,)] for name, n in counted.items()
        }
        assert rows(folder) == before
        with pytest.raises(
            StoreError, match=r"was moved from `.*campaign.sqlite` to `postgresql:.*type .*store copy` again"
        ):
            open_store(folder / "campaign.sqlite")
        move(folder, "sqlite")
        assert not (folder / "ledger.toml").exists()
        assert rows(folder) == before
        with pytest.raises(
            StoreError, match=r"was moved from `postgresql:.*campaign.sqlite on .*`--to sqlite`"
        ):
            open_store(ledger_at(folder, url))
    with pytest.raises(InputError, match=r"is at `.*campaign.sqlite` already"):
        move(folder, "sqlite")


def test_a_row_that_does_not_arrive_leaves_all_as_it_was(folder, url, postgres, monkeypatch):
    before = rows(folder)
    whole = database.rows_of
    monkeypatch.setattr(database, "rows_of", lambda connection: whole(connection) | {"target": []})
    with pytest.raises(StoreError, match=r"'target: 2 rows sent, 0 came'\. Nothing was changed"):
        move(folder, url)
    monkeypatch.undo()
    assert postgres.execute("SELECT to_regclass('campaign')", url) == [(None,)]
    assert rows(folder) == before


class Killed(BaseException):
    """What ends a move at a step of it, as a kill does: nothing after it is done."""


def kill_at(monkeypatch, step):
    """End the process before its step of this number, each of which is whole or not done."""
    steps = count()

    def until(does):
        def done(*args, **named):
            if next(steps) == step:
                raise Killed
            return does(*args, **named)

        return done

    for owner, name in (
        (Sqlite, "fill"),
        (Postgres, "fill"),
        (SqlStore, "hold"),
        (SqlStore, "mark"),
        (moving, "settle"),
    ):
        monkeypatch.setattr(owner, name, until(getattr(owner, name)))


def opens(*places):
    """Which of the places can be opened, of those that hold a ledger."""
    found = []
    for place in places:
        try:
            open_store(place).close()
        except StoreError:
            continue
        found.append(str(place))
    return found


@pytest.mark.parametrize("back", [False, True])
def test_a_move_that_is_killed_at_any_moment_never_leaves_two_ledgers_and_goes_on(
    folder, url, back, monkeypatch
):
    before = rows(folder)
    source, target = ledger_at(folder, "sqlite"), ledger_at(folder, url)
    move(folder, url)  # what is left of earlier moves is there as well
    if back:
        source, target = target, source
    else:
        move(folder, "sqlite")
    to = "sqlite" if back else url
    owners = []
    for step in (0, 1, 2, 3, 4, 4):  # the last goes on after the source was marked, and fills no more
        with monkeypatch.context() as patched:
            kill_at(patched, step)
            with pytest.raises(Killed):
                move(folder, to)
        owners.append(opens(source, target))
    with pytest.raises(StoreError, match=r"the move was cut off: type .*store copy` again.*`--to"):
        rows(folder)
    move(folder, to)
    assert owners == [[str(source)]] * 4 + [[], [str(target)]]
    assert rows(folder) == before
    assert opens(source, target) == [str(target)]


def test_of_two_people_who_copy_at_once_one_is_refused(folder, url, tmp_path_factory, monkeypatch):
    theirs = Path(shutil.copytree(folder, tmp_path_factory.mktemp("theirs") / "study"))
    with open_store(ledger_of(theirs)) as store:
        store.open_round()
        store.add_input(Input("theirs.h5ad", "cells", "bb", 1, 1, 1))
    before, mark = rows(folder), SqlStore.mark

    def meanwhile(*args):
        monkeypatch.undo()
        with pytest.raises(StoreError, match="is busy: another perturbloop process"):
            move(folder, url)
        with pytest.raises(
            StoreError, match=r"is busy: another process is working in it .ledger, perturbloop"
        ):
            move(theirs, url)
        mark(*args)

    monkeypatch.setattr(SqlStore, "mark", meanwhile)
    move(folder, url)
    with pytest.raises(StoreError, match="There is a campaign at"):
        move(theirs, url)
    assert rows(folder) == before
    assert rows(theirs)["input"][-1]["path"] == "theirs.h5ad"


def test_what_another_has_copied_over_is_not_taken_for_the_copy(folder, url, tmp_path_factory, monkeypatch):
    theirs = Path(shutil.copytree(folder, tmp_path_factory.mktemp("theirs") / "study"))
    fill, before = Postgres.fill, rows(folder)

    def then_theirs(*args, **named):
        monkeypatch.undo()
        fill(*args, **named)
        move(theirs, url)

    monkeypatch.setattr(Postgres, "fill", then_theirs)
    with pytest.raises(StoreError, match=r"another process has copied over it\. Nothing was changed"):
        move(folder, url)
    assert rows(folder) == before
    assert rows(theirs) == before


def test_the_ledger_of_others_is_never_replaced(folder, url, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    create_store(ledger_at(other, url), name="other", config={}, package_version="0.1.0").close()
    with pytest.raises(StoreError, match=r"There is a campaign at `postgresql:.*: `other`"):
        move(folder, url)
    create_store(ledger_at(other, "sqlite"), name="other", config={}, package_version="0.1.0").close()
    with pytest.raises(StoreError, match="There is a campaign at"):
        move(other, url)
    with open_store(ledger_at(other, url), writes=False) as store:
        assert store.campaign().name == "other"
