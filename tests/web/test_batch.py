"""The page of the next batch: what is shown, asked again, taken and marked; nothing is written by looking."""

import io
import json
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from starlette.testclient import TestClient

from perturbloop.asktell import take
from perturbloop.design.plate import plate
from perturbloop.design.trials import key_of
from perturbloop.errors import DesignError, InputError
from perturbloop.loop.folder import working
from perturbloop.report.plates import plate_grids
from perturbloop.schema import Verdict
from perturbloop.web.app import application
from perturbloop.web.asking import Asking
from perturbloop.web.proposal import proposal

HERE = "http://127.0.0.1:8123"
NAMES = ["STAT1", '=HYPERLINK("http://evil")', "<b>JAK2</b>"]


def answer_of(names, **more):
    """What `perturbloop propose --json` prints."""
    rows = pd.DataFrame(
        {
            "policy": "find",
            "place": range(1, len(names) + 1),
            "gene_id": [f"ENSG{n:011}" for n in range(len(names))],
            "gene_name": names,
            "kind": "delete",
            "action": "inhibit",
            "probability": 0.31,
            "ci_low": 0.12,
            "ci_high": 0.58,
            "shift": 0.0,
            "benefit": 0.2,
            "because": "+0.21 by JAK2",
            "reason": "expected effect +0.50",
            "flags": "ambient,HLA",
        }
    )
    wells = plate(rows, positives=[("ENSG1", "CD3E", "inhibit")], controls=2)
    return {
        "gate": "",
        "rests_on": "This batch rests on measured effects alone.",
        "expected": {"sentence": "Expected hits: 0.9 of 3.", "by_chance": 0.4},
        "told": [],
        "proposals": rows.to_dict("records"),
        "left_out": {"left out by `--without`": ["IRF1"], "measured already": ["X"]},
        "plate": json.loads(wells.to_json(orient="records")),
        "taken": False,
    } | more


def client_of(folder, access, tmp_path, answer, code=0):
    """A page that writes, whose commands print an answer and what was typed."""
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    says = f"import sys; open({str(tmp_path / 'typed')!r}, 'a').write(repr(sys.argv[1:]) + '\\n'); "
    says += f"print(open({str(tmp_path / 'answer.json')!r}).read()); sys.exit({code})"
    app = application(folder, access, program=(sys.executable, "-c", says))
    return TestClient(
        app, base_url=HERE, headers={"Authorization": f"Bearer {access.token}"}, follow_redirects=False
    )


def waited(client):
    until = time.monotonic() + 20
    while client.app.state.jobs.last.runs and time.monotonic() < until:
        time.sleep(0.02)
    assert not client.app.state.jobs.last.runs


def asked(client, **fields):
    answer = client.post("/do/ask", data=fields)
    assert answer.status_code == 303, answer.text
    waited(client)
    return answer.headers["location"]


def test_the_page_says_gate_expected_hits_genes_plate_and_earlier_batches(reader):
    page = reader.get("/batch").text
    order = [
        "Gate: ",
        "Expected hits",
        "<h2>Genes",
        "<h2>Ask again",
        "<h2>Plate",
        "<h2>Mark as sent",
        "None yet.",
    ]
    places = [page.index(word) for word in order]
    assert places == sorted(places)
    assert "A batch drawn at random would hold" in page
    tree = reader.get("/batch.json").json()
    assert len(tree["plate"]) == len(tree["proposals"]) + 4
    assert len(pd.read_csv(io.StringIO(reader.get("/batch.csv").text))) == len(tree["proposals"])


def test_asking_again_stands_in_the_link_and_names_are_harmless_everywhere(kept_campaign, access, tmp_path):
    with client_of(kept_campaign, access, tmp_path, answer_of(NAMES)) as client:
        before = sorted((path, path.stat().st_mtime_ns) for path in kept_campaign.rglob("*"))
        where = asked(
            client,
            **{
                "with": "stat1; JAK2",
                "without": "IRF1",
                "drop": ["JAK2", "A"],
                "budget": "3",
                "goal": "both",
            },
        )
        assert where == "/batch?with=stat1&without=IRF1,JAK2,A&budget=3&goal=both"
        typed = (tmp_path / "typed").read_text()
        assert "'--with=stat1', '--without=IRF1,JAK2,A', '--budget=3', '--goal=both', '--json'" in typed
        page = client.get(where).text
        assert "&lt;b&gt;JAK2&lt;/b&gt;" in page
        assert "<b>JAK2" not in page
        assert "Expected hits: 0.9 of 3. A batch drawn at random would hold 0.4." in page
        assert "Left out: 1 left out by" in page
        assert "measured already" not in page
        assert 'class="known-to-act"' in page
        plate_csv = client.get(where.replace("/batch?", "/batch/plate.csv?"))
        assert "'=HYPERLINK" in plate_csv.text
        assert plate_csv.headers["content-disposition"].endswith('-plate.csv"')
        book = client.get(where.replace("/batch?", "/batch/plate.xlsx?"))
        assert pd.read_excel(io.BytesIO(book.content))["gene_name"].tolist()[:3] == NAMES
        assert client.get("/batch/plate.csv?budget=77").status_code == 404
        after = sorted((path, path.stat().st_mtime_ns) for path in kept_campaign.rglob("*"))
        assert [one for one in after if one not in before] == []


def test_a_refusal_is_told_on_the_page_with_all_that_was_typed(kept_campaign, access, tmp_path):
    refusal = {"error": "`--with` names genes of the ranking; '<i>' is not in it.", "kind": "GeneIdError"}
    with client_of(kept_campaign, access, tmp_path, refusal, code=1) as client:
        page = client.get(asked(client, **{"with": "NOSUCH", "budget": "9"})).text
        assert "“Pin genes” names genes of the ranking; &#39;&lt;i&gt;&#39; is not in it." in page
        assert 'value="NOSUCH"' in page
        for fields, says in (
            ({"budget": "0"}, "A batch holds 1 to 1,536 genes; &#39;0&#39; came"),
            ({"goal": "best"}, "The goal is one of"),
            ({"with": "--out=/tmp/x"}, "&#39;--out=/tmp/x&#39; came"),
            ({"with": "A", "without": "<script>"}, "&#39;&lt;script&gt;&#39; came"),
        ):
            answer = client.post("/do/ask", data=fields)
            assert answer.status_code == 422
            assert answer.headers["hx-push-url"] == "false"
            assert says in answer.text
        assert "came. Correct it." in client.get("/batch?with=<b>").text


def test_a_batch_is_taken_as_it_was_shown_or_not_at_all(kept_campaign, access, tmp_path):
    with client_of(kept_campaign, access, tmp_path, answer_of(["STAT1", "JAK2"], taken=True)) as client:
        asked(client, budget="2", goal="find")
        key = key_of(pd.DataFrame(answer_of(["STAT1", "JAK2"])["proposals"]))
        wrong = client.post("/do/send", data={"budget": "2", "goal": "", "key": "another"})
        assert (wrong.status_code, "Ask again." in wrong.text) == (422, True)
        done = client.post("/do/send", data={"budget": "2", "goal": "", "key": key, "really": "1"})
        assert done.headers["location"] == "/batch?sent=2"
        waited(client)
        last = (tmp_path / "typed").read_text().splitlines()[-1]
        assert f"'--budget=2', '--anyway', '--only-if={key}', '--accept', '--json'" in last
        assert "The batch is taken: 2 genes await their outcome." in client.get("/batch?sent=2").text
        assert client.get("/batch?sent=1").status_code == 200  # no command that took a batch


def test_a_failed_gate_needs_a_tick(kept_campaign, access, tmp_path):
    with client_of(kept_campaign, access, tmp_path, answer_of(["STAT1"])) as client:
        report = client.app.state.served.shown().report
        failed = Verdict("state head", False, "It fails.")
        report.__dict__["gate"] = (failed,)
        where = asked(client, budget="1")
        page = client.get(where).text
        assert 'name="really" value="1" required' in page
        assert 'name="anyway"' in page
        key = key_of(pd.DataFrame(answer_of(["STAT1"])["proposals"]))
        refused = client.post("/do/send", data={"budget": "1", "key": key})
        assert "The control gate failed. Tick" in refused.text


def test_trials_are_listed_and_set_and_looking_is_all_that_read_only_gives(made_campaign, access, tmp_path):
    with client_of(made_campaign, access, tmp_path, {}) as client:
        from perturbloop.design.trials import taken

        shown = client.app.state.served.shown().report.proposals
        rows = shown[shown["policy"].ne("chance")].head(3)
        with working(made_campaign) as campaign:
            campaign.store.save_trials(
                taken(rows, campaign.store.trials(), when=pd.Timestamp("2026-01-02", tz="UTC"))
            )
        client.app.state.served.forget()
        page = client.get("/batch").text
        assert "Batch 0, 2026-01-02: 3 proposed" in page
        assert "3 of these genes are in a batch already" in page
        assert "<h2>Mark as sent" not in page
        genes = rows["gene_id"].tolist()
        done = client.post("/do/trials", data={"gene": genes[:2], "status": "running", "budget": "5"})
        assert done.headers["location"] == "/batch?budget=5"
        assert "2 running and 1 proposed" in client.get("/batch").text
        for fields, says in (
            ({"status": "running"}, "Tick the genes"),
            ({"gene": genes, "status": "done"}, "A trial is set to"),
            ({"gene": "ENSG_none", "status": "failed"}, "Only a trial without an outcome"),
        ):
            answer = client.post("/do/trials", data=fields)
            assert (answer.status_code, says in answer.text) == (422, True)


def test_read_only_shows_no_form(kept_campaign, access):
    app = application(kept_campaign, replace(access, read_only=True))
    with TestClient(app, base_url=HERE, headers={"Authorization": f"Bearer {access.token}"}) as client:
        page = client.get("/batch").text
        assert "hx-post" not in page
        assert "Ask again" not in page
        assert "Download .csv" in page


def test_a_plate_of_384_wells_has_every_well():
    rows = pd.DataFrame(
        {"gene_id": [f"E{n}" for n in range(120)], "gene_name": [f"G{n}" for n in range(120)]}
    )
    (grid,) = plate_grids(plate(rows.assign(action="inhibit"), controls=4))
    assert (grid.letters, len(grid.rows[0])) == ("ABCDEFGHIJKLMNOP", 24)
    wells = [well for row in grid.rows for well in row]
    assert [well.gene for well in wells[:2]] == ["G0", "G1"]
    assert [well.role for well in wells[118:126]] == ["target"] * 2 + ["no target"] * 4 + [""] * 2


def test_a_question_reads_its_own_link():
    asking = Asking(("A", "B"), ("C",), 7, "learn", True)
    from starlette.datastructures import QueryParams

    assert Asking.of(QueryParams(asking.query)) == asking
    assert asking.without(["B", "D"]) == Asking(("A",), ("C", "B", "D"), 7, "learn", True)
    with pytest.raises(InputError, match="At most 1,536 genes"):
        Asking.of({"with": ",".join(f"G{n}" for n in range(2000))})


def test_what_was_recorded_since_is_said_and_nothing_can_be_sent(
    kept_campaign, access, tmp_path, monkeypatch
):
    with client_of(kept_campaign, access, tmp_path, {}) as client:
        state = client.app.state
        key = proposal(state.served, state.jobs, Asking()).key
        monkeypatch.setattr(type(state.served), "recorded_since", lambda self: ("mine <b>",))
        page = client.get("/batch").text
        assert "Recorded since this batch was chosen: mine &lt;b&gt;" in page
        assert "<h2>Mark as sent" not in page
        assert "Ask again." in client.post("/do/send", data={"key": key, "really": "1"}).text
        assert state.jobs.last is None


def test_a_batch_that_was_not_looked_at_is_not_taken(tmp_path):
    rows = pd.DataFrame({"gene_id": ["E1", "E2"], "action": ["inhibit", "activate"]})
    with pytest.raises(DesignError, match=r"the one that would be taken now is another.*Nothing was taken"):
        take(tmp_path, SimpleNamespace(proposals=rows), only_if=key_of(rows.assign(action="inhibit")))


def test_a_library_that_is_gone_leaves_the_plate_without_guides_and_says_so(made_campaign, access, tmp_path):
    with client_of(made_campaign, access, tmp_path, {}) as client:
        served = client.app.state.served
        config = served.ledger().config
        gone = replace(config, design=replace(config.design, library="/nowhere/brunello.csv"))
        served._ledger = (time.monotonic() + 60, replace(served.ledger(), config=gone))
        page = client.get("/batch")
        assert page.status_code == 200
        assert "the library <code>brunello.csv</code> cannot be read now" in page.text
        assert "/nowhere" not in page.text
        assert client.get("/batch/plate.csv").status_code == 200
        assert client.get("/batch/plate.pdf").status_code == 404


@pytest.mark.parametrize("budget", ["9" * 5000, "0", "1537", "²"])
def test_a_number_that_no_batch_holds_is_refused(budget):
    with pytest.raises(InputError, match="A batch holds 1 to 1,536 genes"):
        Asking.of({"budget": budget})


def test_the_page_holds_what_the_report_says_of_all_proposals_and_twins_are_swapped_with_it(writer):
    page = writer.get("/batch").text
    assert '<section id="all-proposals">' in page.partition('<details id="batch-details">')[2]
    assert '<span id="twins">This page for machines: <a href="/batch.json">' in page
    assert 'hx-select-oob="#doing,#twins"' in page
    assert "/do/ask.json" not in writer.post("/do/ask", data={"budget": "x"}).text
