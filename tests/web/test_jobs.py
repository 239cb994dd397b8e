"""Commands beside the server: one at a time, their answer or refusal kept, none outlives it."""

import json
import os
import platform
import sys
import threading
import time

import pytest
from starlette.testclient import TestClient

from perturbloop.errors import StoreError
from perturbloop.store.working import FILE, Doing
from perturbloop.web.app import application
from perturbloop.web.jobs import Jobs
from perturbloop.web.served import Served

SAYS = "import json, sys; print(json.dumps({'typed': sys.argv[1:]}))"
REFUSES = "import json, sys; print(json.dumps({'error': 'Needs <b>more</b> cells.', 'kind': 'InputError'})); sys.exit(1)"
BREAKS = "import sys; sys.stderr.write('x' * 9000 + '\\nTraceback (most):\\n  File /home/me/x.py\\nlast words\\n'); sys.exit(3)"
HERE = "http://127.0.0.1:8123"
STAYS = "import sys, time; print('{}', flush=True); time.sleep(60)"


def program(code):
    return sys.executable, "-c", code


def ended(job, patience=20.0):
    until = time.monotonic() + patience
    while job.runs and time.monotonic() < until:
        time.sleep(0.02)
    assert not job.runs
    return job


def gone(process):
    return process.poll() is not None


@pytest.fixture
def served(tmp_path):
    return Served(tmp_path)


def test_a_command_gets_the_campaign_and_its_answer_is_kept(served):
    jobs, heard = Jobs(served, program(SAYS)), []
    job = ended(
        jobs.start(
            ("propose", "--with=A,B"), title="Ask", shown_at="/x?job={number}", about=3, at_end=heard.append
        )
    )
    assert job.result == {"typed": ["propose", str(served.folder.resolve()), "--with=A,B", "--json"]}
    assert (job.refusal, job.shown_at, job.about, heard) == ("", "/x?job=1", 3, [job])
    assert jobs.find(("propose", "--with=A,B")) is jobs.numbered(1) is jobs.last is job
    assert jobs.find(("propose",)) is jobs.numbered(2) is None


def test_a_refusal_is_told_and_so_is_a_command_without_an_answer(served):
    job = ended(Jobs(served, program(REFUSES)).start(("record",), title="Record", shown_at="/x"))
    assert (job.result, job.refusal) == (None, "Needs <b>more</b> cells.")
    job = ended(Jobs(served, program(BREAKS)).start(("record",), title="Record", shown_at="/x"))
    assert (
        job.refusal
        == "The command gave no answer: it ended with code 3. "
        + "x" * (4096 - len("\nTraceback (most):\n  File /home/me/x.py\nlast words\n"))
        + " / last words"
    )


def test_a_second_command_is_refused_while_one_runs_and_all_end_with_the_server(served):
    jobs = Jobs(served, program(STAYS))
    job = jobs.start(("play",), title="Play the round", shown_at="/overview")
    with pytest.raises(StoreError, match=r"One command works .*: Play the round. Wait until it ends"):
        jobs.start(("propose",), title="Ask", shown_at="/batch")
    jobs.close()
    assert gone(job.process)
    assert "it was stopped (signal 15)" in ended(job).refusal
    jobs.close()  # nothing left to end


def test_a_note_that_a_killed_process_left_stops_no_command(served):
    note = Doing("perturb", 1, 2, 0.0, time.time(), os.getpid(), platform.node())
    (served.folder / FILE).write_text(json.dumps(vars(note)))
    assert served.doing() == note
    assert ended(Jobs(served, program(SAYS)).start(("play",), title="Play", shown_at="/")).result


def test_a_command_has_ended_even_where_what_follows_fails(served, monkeypatch):
    heard = []
    monkeypatch.setattr(threading, "excepthook", heard.append)

    def fail(job):
        msg = "disk full"
        raise OSError(msg)

    jobs = Jobs(served, program(SAYS))
    ended(jobs.start(("play",), title="Play", shown_at="/", at_end=fail))
    until = time.monotonic() + 20
    while not heard and time.monotonic() < until:
        time.sleep(0.02)
    assert str(heard[0].exc_value) == "disk full"
    assert ended(jobs.start(("play",), title="Play", shown_at="/")).result


def test_nothing_is_done_first_while_another_command_runs(served):
    jobs, done = Jobs(served, program(STAYS)), []
    jobs.start(("play",), title="Play", shown_at="/", first=lambda: done.append(1))
    with pytest.raises(StoreError, match="One command works"):
        jobs.start(("play",), title="Play", shown_at="/", first=lambda: done.append(2))
    jobs.close()
    assert done == [1]


def test_the_strip_shows_a_command_its_end_and_its_refusal(kept_campaign, access):
    app = application(kept_campaign, access, program=program(STAYS))
    with TestClient(app, base_url=HERE, headers={"Authorization": f"Bearer {access.token}"}) as client:
        assert "job=0" in client.get("/overview").text
        job = app.state.jobs.start(("play",), title="Play the round", shown_at="/overview")
        page = client.get("/overview").text
        assert "Play the round: since" in page
        assert "job=0" in page  # its end will be told
        os.kill(job.process.pid, 9)
        ended(job)
        strip = client.get("/doing?round=1&job=0").text
        assert "Play the round: refused." in strip
        assert "it was stopped (signal 9)" in strip
        assert "refused" not in client.get("/doing?round=1&job=1").text
        here = {"HX-Current-URL": f"{HERE}/overview"}
        assert "refused" not in client.get("/doing?round=1&job=0", headers=here).text
        app.state.jobs.program = program(REFUSES)
        ended(app.state.jobs.start(("play",), title="Play the round", shown_at="/overview"))
        assert "Needs &lt;b&gt;more&lt;/b&gt; cells." in client.get("/doing?round=1&job=1").text
        app.state.jobs.program = program(SAYS)
        done = ended(app.state.jobs.start(("propose",), title="Ask", shown_at="/batch?budget=3"))
        assert (
            '<strong>Ask: done.</strong> <a href="/batch?budget=3">'
            in client.get("/doing?round=1&job=2").text
        )
        app.state.jobs.program = program(STAYS)
        last = app.state.jobs.start(("play",), title="Play the round", shown_at="/overview")
        assert done.number == 3
    assert gone(last.process)  # with the server
