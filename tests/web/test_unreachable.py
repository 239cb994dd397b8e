"""A ledger that cannot be reached: every page says so, none breaks, and they come back with it."""

import threading

import pytest
from starlette.testclient import TestClient

from perturbloop.errors import StoreError
from perturbloop.web import served as reading
from perturbloop.web.app import application

SAYS = "The server of the ledger cannot be reached."


@pytest.fixture
def broken(reader, monkeypatch):
    def fail(folder):
        raise StoreError(SAYS)

    monkeypatch.setattr(reading, "open_campaign", fail)
    reader.app.state.served.forget()
    return reader


@pytest.mark.parametrize(
    "path",
    ["/", "/ranking", "/record.json", "/batch/plate.csv", "/figure/ranking/0.svg", "/ranking/points.json"],
)
def test_a_page_says_that_the_ledger_cannot_be_reached(broken, path):
    answer = broken.get(path)
    assert (answer.status_code, SAYS in answer.text) == (400, True)


def test_the_strip_stays_and_a_form_is_refused_in_words(kept_campaign, access, monkeypatch):
    headers = {"Authorization": f"Bearer {access.token}"}
    with TestClient(
        application(kept_campaign, access), base_url="http://127.0.0.1:8123", headers=headers
    ) as client:
        with monkeypatch.context() as patched:
            patched.setattr(reading, "open_campaign", lambda folder: (_ for _ in ()).throw(StoreError(SAYS)))
            assert client.get("/doing?round=1").text.startswith('<div id="doing"')
            answer = client.post("/do/ask", data={"budget": "3"})
            assert (answer.status_code, SAYS in answer.text) == (422, True)
        assert client.get("/").status_code == 200


def test_nobody_waits_while_one_asks_the_ledger_and_a_write_is_never_hidden(kept_campaign, monkeypatch):
    served = reading.Served(kept_campaign)
    known, opens = served.ledger(), reading.open_campaign
    monkeypatch.setattr(reading, "FRESH", -1.0)
    asks, go = threading.Event(), threading.Event()

    def slow(folder):
        asks.set()
        assert go.wait(20)
        return opens(folder)

    monkeypatch.setattr(reading, "open_campaign", slow)
    asking = threading.Thread(target=served.ledger)
    asking.start()
    assert asks.wait(20)
    assert served.ledger() is known
    served.forget()
    go.set()
    asking.join()
    assert served._ledger is None
