"""A campaign whose ledger is on a PostgreSQL server: made there, worked on, cut off in a step, and used by another machine."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.errors import StoreError
from perturbloop.loop import steps
from perturbloop.loop.campaign import init, play, show
from perturbloop.loop.folder import open_campaign, working
from perturbloop.store import open_store


def typed(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def url(postgres):
    return postgres.place()


@pytest.fixture
def folder(campaign, tmp_path, url):
    """A copy of the campaign of two rounds, its ledger on the server."""
    folder = Path(shutil.copytree(campaign.folder, tmp_path / "copy"))
    done = typed("store", "copy", folder, "--to", url)
    assert done.exit_code == 0, done.output
    assert "each compared (" in done.stdout
    return folder


def test_a_campaign_is_made_on_a_server_and_goes_on_after_an_init_that_was_killed(made, tmp_path, url):
    folder = tmp_path / "study"
    init(folder, made.config(), store=url)
    assert not (folder / "campaign.sqlite").exists()
    assert url in (folder / "ledger.toml").read_text()
    with working(folder) as campaign:
        assert campaign.store.inputs()
    (folder / "campaign.toml").unlink()  # as a kill leaves it
    with working(folder):
        assert (folder / "campaign.toml").exists()
    with pytest.raises(StoreError, match=r"There is a campaign at `postgresql:.*: `study`, made"):
        init(tmp_path / "other", made.config(), store=url)
    assert not (tmp_path / "other").exists()


def test_a_place_that_cannot_be_is_refused_before_any_work(tmp_path):
    pytest.importorskip("psycopg")
    options = [
        "--cells",
        "none.h5ad",
        "--state-column",
        "s",
        "--start",
        "a",
        "--goal",
        "b",
        "--model",
        "none",
        "--store",
    ]
    for store, says in {
        "postgresql://ann:of-the-tests@host/study": "must hold no password",
        f"postgresql:///study?host={tmp_path}": "cannot be reached",
        "s3://bucket": "postgresql://HOST/DATABASE",
    }.items():
        done = typed("init", tmp_path / "study", *options, store)
        assert done.exit_code == 1
        assert says in " ".join(done.stderr.split())
        assert "of-the-tests" not in done.output
    assert not (tmp_path / "study").exists()


def test_a_connection_that_ends_within_a_step_leaves_it_to_be_done_again(folder, postgres, monkeypatch):
    assert play(folder).done == ()
    before = pd.read_parquet(folder / "rounds" / "001" / "ranking.parquet")
    write = steps.write_json

    def cut_off(*args):
        postgres.cut_off()
        write(*args)

    monkeypatch.setattr(steps, "write_json", cut_off)
    (folder / "rounds" / "001" / "ranking.parquet").unlink()
    with pytest.raises(StoreError, match=r"was cut off.*Run the same command again"):
        play(folder)
    monkeypatch.undo()
    assert "evaluate" in play(folder).done
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "rounds" / "001" / "ranking.parquet"), before)


def test_who_works_on_another_machine_is_named_and_others_read_meanwhile(folder, url):
    import psycopg

    with psycopg.connect(url, application_name="perturbloop 7 on far") as other:
        other.execute("SELECT pg_advisory_lock('campaign'::regclass::oid::bigint)")
        refused = typed("play", folder)
        assert refused.exit_code == 1
        assert "perturbloop 7 on far" in " ".join(refused.stderr.split())
        assert typed("status", folder).exit_code == 0
        show(folder)
    assert play(folder).done == ()
    back = typed("store", "copy", folder, "--to", "sqlite")
    assert back.exit_code == 0
    with open_campaign(folder) as campaign, open_store(folder / "campaign.sqlite", writes=False) as store:
        assert campaign.store.rounds() == store.rounds()
