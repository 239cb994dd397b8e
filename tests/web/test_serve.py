"""The command: what it prints, what it refuses, and that a server can be stopped."""

import re
import signal
import socket
import sys

import httpx2
import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.web.access import Access, is_loopback


def typed(*words):
    return CliRunner().invoke(app, ["serve", *map(str, words)])


def test_a_folder_that_is_no_campaign_is_refused(tmp_path):
    said = typed(tmp_path)
    assert said.exit_code == 1
    assert "Make a campaign with `perturbloop init`" in said.output


def test_a_port_that_is_taken_is_refused_with_the_way_out(kept_campaign):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = typed(kept_campaign, "--port", taken.getsockname()[1])
    assert said.exit_code == 1
    assert "Name another with `--port`" in said.output


def test_an_address_of_another_machine_is_refused(kept_campaign):
    said = typed(kept_campaign, "--host", "192.0.2.1")
    assert said.exit_code == 1
    assert "an address of this machine" in said.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_addresses_at_once_need_a_name_to_be_reached_by(kept_campaign, host):
    said = typed(kept_campaign, "--host", host)
    assert said.exit_code == 1
    assert "Name it with `--name NAME`" in " ".join(said.output.split())


def test_without_the_extra_it_says_what_to_install(kept_campaign, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = typed(kept_campaign)
    assert said.exit_code == 1
    assert "pip install 'perturbloop[web]'" in said.output


def test_the_address_opens_the_pages_until_ctrl_c(kept_campaign, serving):
    server, address = serving(kept_campaign, "--read-only")
    with httpx2.Client() as client:
        assert client.get(address).status_code == 200
        assert "Which genes move cells" in client.get(address.partition("?")[0]).text
        before = client.get(f"{address.partition('?')[0]}overview.json")
    assert before.json()["gate"] in ("passed", "failed", "not judged")
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=20) in (0, 130)


def test_the_token_is_another_each_time(kept_campaign, serving):
    found = {re.search(r"token=(\S+)", serving(kept_campaign)[1])[1] for _ in range(2)}
    assert len(found) == 2
    assert all(len(token) >= 32 for token in found)


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("lab.example", False),
    ],
)
def test_hosts_that_only_this_machine_reaches(host, alone):
    assert is_loopback(host) is alone


def test_a_host_of_the_network_is_known_by_its_own_name():
    access = Access.at("fe80::1", 80, token="t")
    assert access.hosts == {"[fe80::1]:80", "[fe80::1]"}
