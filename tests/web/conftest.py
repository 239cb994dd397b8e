"""A finished campaign that is served, without a network: requests go straight into the application."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from perturbloop import Campaign
from perturbloop.data import toy
from perturbloop.data.cells import read_cells
from perturbloop.data.encoding import vocabulary_of
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig
from perturbloop.web.access import Access
from perturbloop.web.app import application

PORT = 8123
HERE = f"http://127.0.0.1:{PORT}"
TOKEN = "not-a-real-secret"


def two_rounds(folder: Path) -> None:
    """Simulated cells, a small model, and a campaign of two rounds by its frozen encoder."""
    data = folder / "data"
    toy.write(toy.world(1, n_cells=160, n_corpus=120), data, k=16, n_cells=16)
    corpus, _ = read_cells(data / "corpus.h5ad")
    words = vocabulary_of(corpus, max_length=64)
    pretrain([corpus], words, folder / "model", PretrainConfig(layers=1, hidden=16, max_length=64, steps=4))
    study = Campaign.create(
        folder / "study",
        data / "cells.h5ad",
        state="state",
        start="stimulated",
        goal="resting",
        donor="donor_id",
        model=folder / "model",
        kinds=("delete",),
        cells_per_gene=2,
        bootstrap=20,
    )
    study.play()
    study.record(
        data / "perturbed.h5ad",
        target="target",
        control=toy.CONTROL,
        modality="crispri",
        replicate="replicate",
        guide="guide",
    )
    study.play()


@pytest.fixture(scope="session")
def kept_campaign(once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of two rounds, for reading only."""
    folder = tmp_path_factory.getbasetemp()
    together = folder.parent if folder.name.startswith("popen-") else folder
    once("web", two_rounds)
    return together / "web" / "study"


@pytest.fixture
def made_campaign(kept_campaign: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(kept_campaign.parent, tmp_path / "world") / "study")


@pytest.fixture
def access() -> Access:
    return Access.at("127.0.0.1", PORT, token=TOKEN)


@pytest.fixture
def stranger(kept_campaign: Path, access: Access) -> Iterator[TestClient]:
    """Somebody who has not opened the printed address."""
    with TestClient(application(kept_campaign, access), base_url=HERE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def reader(stranger: TestClient) -> TestClient:
    """Somebody who has."""
    assert stranger.get(f"/?token={TOKEN}").status_code == 200
    return stranger


@pytest.fixture
def writer(reader: TestClient, access: Access) -> TestClient:
    """A page of this server that writes."""
    reader.headers |= {"Origin": HERE, "X-CSRF-Token": access.csrf}
    return reader


@pytest.fixture(scope="module")
def serving() -> Iterator[Callable[..., tuple[subprocess.Popen, str]]]:
    """Starts a server as it is typed; returns it and the address that it prints."""
    servers = []

    def started(folder: Path, *options: str) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-m", "perturbloop", "serve", str(folder), *options]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        servers.append(server)
        said = ""
        for line in server.stderr:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line):
                return server, found[0]
        raise AssertionError(said)

    yield started
    for server in servers:
        server.terminate()
        server.wait()
        server.stderr.close()
