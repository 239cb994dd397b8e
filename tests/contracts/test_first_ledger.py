"""A ledger of the first version is brought up to date by every backend."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pandas as pd
import pytest

from perturbloop.store import open_store
from perturbloop.store.ledger import ledger_at

FIRST = """
CREATE TABLE migration (name TEXT PRIMARY KEY, applied TIMESTAMP NOT NULL);
CREATE TABLE campaign (name TEXT PRIMARY KEY, created TIMESTAMP NOT NULL, package_version TEXT NOT NULL, config JSON NOT NULL);
CREATE TABLE round (number INTEGER PRIMARY KEY, opened TIMESTAMP NOT NULL, finished TIMESTAMP);
CREATE TABLE input (path TEXT, digest TEXT, role TEXT NOT NULL, size BIGINT NOT NULL, n_cells BIGINT, n_genes BIGINT,
    added TIMESTAMP NOT NULL, PRIMARY KEY (path, digest));
CREATE TABLE step (round INTEGER REFERENCES round (number), name TEXT, key TEXT, started TIMESTAMP NOT NULL, finished TIMESTAMP,
    config JSON NOT NULL, outputs JSON NOT NULL, PRIMARY KEY (round, name, key));
CREATE TABLE score (round INTEGER REFERENCES round (number), method TEXT, kind TEXT, denominator TEXT, metric TEXT, value FLOAT,
    ci_low FLOAT, ci_high FLOAT, n_genes INTEGER NOT NULL, n_hits INTEGER NOT NULL, rule TEXT NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (round, method, kind, denominator, metric));
CREATE TABLE target (gene_id TEXT, modality TEXT, fold INTEGER NOT NULL, frozen_hash TEXT NOT NULL, frozen TIMESTAMP NOT NULL,
    PRIMARY KEY (gene_id, modality));
CREATE TABLE proposal (round INTEGER REFERENCES round (number), policy TEXT, place INTEGER, gene_id TEXT NOT NULL,
    gene_name TEXT NOT NULL, kind TEXT NOT NULL, action TEXT NOT NULL, benefit FLOAT, reason TEXT NOT NULL,
    PRIMARY KEY (round, policy, place));
INSERT INTO migration VALUES ('m001_first_tables', '2026-01-01 00:00:00.000000');
INSERT INTO campaign VALUES ('ifn', '2026-01-01 00:00:00.000000', '0.1.0', '{"cells": {}}');
INSERT INTO round VALUES (0, '2026-01-09 00:00:00.000000', '2026-01-09 00:00:01.000000'), (1, '2026-01-05 00:00:00.000000', NULL);
INSERT INTO input VALUES ('a', 'aa', 'cells', 1, NULL, NULL, '2026-01-09 00:00:00.000000'),
    ('b', 'bb', 'cells', 1, 5, 6, '2026-01-05 00:00:00.000000');
INSERT INTO step VALUES (0, 'check', 'k0', '2026-01-09 10:00:00.000000', '2026-01-09 10:00:00.000000', '{}', '{}'),
    (1, 'check', 'k1', '2026-01-05 10:00:00.000000', NULL, '{}', '{}');
INSERT INTO score VALUES (0, 'de', 'delete', 'all', 'ppv', 0.5, 0.1, NULL, 25, 4, 'budget-k', 0);
INSERT INTO proposal VALUES (0, 'greedy', 1, 'ENSG01', 'STAT1', 'delete', 'inhibit', 1.5, 'best');
"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        url = server.place()
        server.execute(FIRST, url)
        return ledger_at(tmp_path, url)
    with closing(sqlite3.connect(tmp_path / "campaign.sqlite")) as connection:
        connection.executescript(FIRST)
    return ledger_at(tmp_path, "sqlite")


def test_every_row_of_the_first_version_is_kept_and_read_the_same_before_and_after(place):
    for writes in (False, True, True):
        with open_store(place, writes=writes) as store:
            campaign = store.campaign()
            assert (campaign.name, campaign.config) == ("ifn", {"cells": {}})
            assert [entry.number for entry in store.rounds()] == [0, 1]
            assert [entry.path for entry in store.inputs()] == ["b", "a"]  # by time, which was all there was
            assert [(step.key, step.place) for step in store.steps()] == [("k0", 0), ("k1", 1)]
            assert store.steps()[0].started == datetime(2026, 1, 9, 10, tzinfo=UTC)
            score, proposal = store.scores().iloc[0], store.proposals().iloc[0]
            assert (score["value"], score["n_hits"], score["declared"]) == (0.5, 4, True)
            assert (score["targets"], score["interval"]) == ("held-out", "bootstrap")
            assert (proposal["gene_name"], proposal["flags"], proposal["because"]) == ("STAT1", "", "")
            assert pd.isna(proposal["probability"])
            assert store.trials().empty
    with open_store(place) as store:
        step = store.start_step(1, "train", key="t", config={})
        assert (step.place, store.open_round().number) == (2, 1)
