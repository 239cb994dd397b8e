"""The page that takes what was measured: what is understood, confirmed, refused; and what no upload may do."""

import gzip
import io
import json
import sys
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from perturbloop.errors import InputError
from perturbloop.loop.folder import open_campaign
from perturbloop.web import uploads as kept_uploads
from perturbloop.web.app import application
from perturbloop.web.pasted import as_table
from perturbloop.web.uploads import Uploads
from perturbloop.web.view import said_of

HERE = "http://127.0.0.1:8123"
RECORDED = {
    "name": "own",
    "modality": "crispri",
    "source": "own (own.csv)",
    "role": "screen",
    "lines": ["12 hits"],
    "warnings": ["<b>beware</b>"],
}


@pytest.fixture(scope="module")
def genes(kept_campaign):
    rows = pd.read_parquet(kept_campaign / "rounds" / "001" / "ranking.parquet").drop_duplicates("gene_id")
    return rows[["gene_name", "gene_id"]]


@pytest.fixture(scope="module")
def screen(genes):
    """A table of no known tool, whose column of scores nobody can guess."""
    score = np.random.default_rng(0).normal(size=len(genes))
    table = pd.DataFrame({"gene": genes["gene_name"], "mine": score, "pvalue": np.exp(-4 * np.abs(score))})
    return table.to_csv(index=False)


@pytest.fixture
def client(kept_campaign, access):
    yield from served(kept_campaign, access, json.dumps(RECORDED))


def served(folder, access, answer, code=0):
    says = f"import sys; print({answer!r}); sys.exit({code})"
    app = application(folder, access, program=(sys.executable, "-c", says))
    bearer = {"Authorization": f"Bearer {access.token}"}
    with TestClient(app, base_url=HERE, headers=bearer, follow_redirects=False) as made:
        yield made


def sent(client, content, name="own.csv"):
    """Address of the page of an uploaded file."""
    content = content.encode() if isinstance(content, str) else content
    answer = client.post("/do/upload", files={"file": (name, content)})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def id_of(address):
    return address.partition("file=")[2]


def waited(client):
    until = time.monotonic() + 60
    while client.app.state.jobs.last.runs and time.monotonic() < until:
        time.sleep(0.02)
    job = client.app.state.jobs.last
    assert not job.runs
    return job


def refused(client, content, name="own.csv"):
    answer = client.post("/do/upload", files={"file": (name, content)})
    assert answer.status_code == 422
    assert answer.headers["hx-push-url"] == "false"
    return answer.text


def test_all_that_a_file_leaves_open_is_asked_and_what_is_told_is_previewed(client, screen, genes):
    where = sent(client, screen)
    page = client.get(where).text
    for asked in (
        "A high score stands for (needed)",
        "What was done to the genes (needed)",
        "Column of scores (needed)",
    ):
        assert asked in page
    assert '<option value="mine">mine</option>' in page
    assert "goal: resting" in page
    assert genes["gene_name"].iloc[0] in page
    tree = client.get(where.replace("/record", "/record.json")).json()["understood"]
    assert (tree["complete"], sorted(tree["asks"])) == (False, ["higher_is", "modality", "score_column"])
    half = client.get(f"{where}&score_column=mine").text
    assert f"{len(genes):,} genes from {len(genes):,} rows" in half
    assert "toward the goal" not in half  # nobody said yet which way that is
    whole = client.get(f"{where}&score_column=mine&higher_is=start&modality=crispri").text
    assert "toward the goal" in whole
    assert "(needed)" not in whole
    wrong = client.get(f"{where}&score_column=gene&fdr=2").text
    assert "`fdr`" in wrong or "<code>fdr</code>" in wrong
    assert "“Hits: false discovery rate below” is a number" in client.get(f"{where}&fdr=x").text


def test_what_is_confirmed_is_kept_in_the_campaign_and_the_command_gets_its_options(
    made_campaign, access, screen, tmp_path
):
    for client in served(made_campaign, access, json.dumps(RECORDED)):
        where = sent(client, screen, "../../my <b>screen</b>.csv")
        assert "my &lt;b&gt;screen" not in where
        fields = {"file": id_of(where), "score_column": "mine", "higher_is": "goal", "top": "0.1"}
        answer = client.post("/do/record", data=fields)
        assert answer.status_code == 422
        assert "fill in “What was done to the genes”" in answer.text
        assert 'value="0.1"' in answer.text
        assert not (made_campaign / "uploads").exists()
        answer = client.post("/do/record", data=fields | {"modality": "crispri", "replace": "1"})
        assert answer.headers["location"] == "/record?done=1"
        words = waited(client).words
        (place,) = (made_campaign / "uploads").iterdir()
        assert words[:2] == ("record", f"--screen={place.resolve()}")
        options = dict(word.partition("=")[::2] for word in words[2:])
        assert options.pop("--name") == "b>"
        assert options == {
            "--higher-is": "goal",
            "--modality": "crispri",
            "--score-column": "mine",
            "--top": "0.1",
            "--replace": "",
        }
        assert place.read_text() == screen
        page = client.get("/record?done=1").text
        assert "12 hits" in page
        assert "&lt;b&gt;beware&lt;/b&gt;" in page
        assert "Play the round" in page
        assert "not kept any more" in client.get(where).text  # the unconfirmed copy is gone
        played = client.post("/do/play", data={"done": "1"})
        assert played.headers["location"] == "/record?done=1"
        assert waited(client).words == ("play",)


def test_a_refused_record_is_told_with_the_file_kept_and_leaves_nothing_behind(made_campaign, access, screen):
    refusal = json.dumps({"error": "Folds are <i>frozen</i>.", "kind": "StoreError"})
    for client in served(made_campaign, access, refusal, code=1):
        where = sent(client, screen)
        fields = {"file": id_of(where), "score_column": "mine", "higher_is": "goal", "modality": "crispra"}
        done = client.post("/do/record", data=fields).headers["location"]
        waited(client)
        page = client.get(done).text
        assert "Folds are &lt;i&gt;frozen&lt;/i&gt;." in page
        assert '<option value="mine" selected>' in page
        assert list((made_campaign / "uploads").iterdir()) == []


def test_a_list_is_matched_to_the_genes_that_await_their_outcome(made_campaign, access, genes):
    from perturbloop.design.trials import taken
    from perturbloop.loop.folder import working

    for client in served(made_campaign, access, json.dumps({"trials": [{"hit": True}], "told": []})):
        none = client.post("/do/upload", data={"pasted": ", ".join(genes["gene_name"][:2]), "are": "hits"})
        assert "none of these awaits one" in client.get(none.headers["location"]).text
        other = client.post("/do/upload", data={"pasted": "gene,hit\nNOSUCH,yes"}).headers["location"]
        assert "nobody knows &#39;NOSUCH&#39;" in client.get(other).text
        assert '"outcomes" selected' in client.get(other).text
        shown = client.app.state.served.shown().report.proposals
        rows = shown[shown["policy"].ne("chance")].head(2)
        with working(made_campaign) as campaign:
            when = pd.Timestamp("2026-01-02", tz="UTC")
            campaign.store.save_trials(taken(rows, campaign.store.trials(), when=when))
        client.app.state.served.forget()
        other = next(name for name in genes["gene_name"] if name not in set(shown["gene_name"]))
        text = f"gene,hit\n{rows['gene_name'].iloc[0]},yes\n{other},no\n"
        where = client.post("/do/upload", data={"pasted": text}).headers["location"]
        page = client.get(where).text
        assert "2 genes, 1 of them hits; 1 await their outcome" in page
        assert f"they await no outcome: &#39;{other}&#39;" in page
        client.post("/do/record", data={"file": id_of(where), "as": "outcomes"})
        job = waited(client)
        assert job.words[1].startswith("--outcomes=")
        assert "Told by hand: 1 gene, 1 hit." in client.get("/record?done=1").text


def test_a_plain_list_needs_a_word_and_what_was_pasted_stays(client):
    answer = client.post("/do/upload", data={"pasted": "STAT1\nJAK2 </textarea><script>"})
    assert answer.status_code == 422
    assert "needs to say what they are" in answer.text
    assert "JAK2 &lt;/textarea&gt;&lt;script&gt;" in answer.text
    assert "neither came" in client.post("/do/upload", data={"pasted": "  "}).text
    both = client.post("/do/upload", data={"pasted": "STAT1"}, files={"file": ("a.csv", b"x")})
    assert "One thing is recorded at a time" in both.text
    assert as_table("gene\nSTAT1\r\nJAK2\nSTAT1", "not")[0] == b"gene,hit\nSTAT1,no\nJAK2,no\n"
    with pytest.raises(InputError, match="hits, or no hits"):
        as_table("STAT1", "maybe")


def bomb(n):
    """A gzipped file that unpacks to n zeros, and a workbook that does."""
    zeros = gzip.compress(b"gene,score\n" + b"0" * n)
    book = io.BytesIO()
    with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * n)
    return zeros, book.getvalue()


def test_what_unpacks_to_too_much_is_refused_before_it_is_read(client, monkeypatch):
    zeros, book = bomb(8 << 20)
    assert "must hold at most 128 MB once it is unpacked" in refused(client, book, "small.xlsx")  # swells
    monkeypatch.setattr(kept_uploads, "MOST_BYTES", 4 << 20)
    assert "&#39;x.txt.gz&#39; must hold at most 4 MB once it is unpacked" in refused(
        client, zeros, "x.txt.gz"
    )
    assert "must hold at most 4 MB" in refused(client, zeros, "plain.csv")  # told by its content
    assert "must hold at most 4 MB" in refused(client, book, "x.csv")
    assert "at most 4 MB can be uploaded" in refused(client, b"0" * (5 << 20), "x.csv")
    assert "cannot be unpacked" in refused(client, zeros[: len(zeros) // 2], "x.gz")
    assert "must be a workbook" in refused(client, b"gene,score", "x.xlsx")
    assert "an empty one came" in refused(client, b"", "x.csv")
    assert client.app.state.uploads._held == {}
    assert not list(client.app.state.uploads._folder.iterdir())


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 600, "cells.csv", "Cells are recorded with"),
        (gzip.compress(gzip.compress(b"gene,score\nA,1")), "twice.csv.gz", "twice.csv.gz"),
        (b"\xff\xfe\x00g\x00e", "x.csv", "is a binary file"),
        (b"<html><script>alert(1)</script></html>", "x.csv", "&lt;"),
    ],
    ids=["cells", "twice", "utf-16", "html"],
)
def test_a_file_that_is_no_table_is_refused_in_words_under_its_own_name(client, content, name, says):
    page = client.get(sent(client, content, name)).text
    assert says in page
    assert "/perturbloop-" not in page
    assert "<script>alert" not in page
    assert ">Record</button>" not in page


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cells.h5ad", "perturbloop record --perturbed"),
        ("a.h5.gz", "--perturbed"),
        ("old.XLS", "Save it as .xlsx"),
    ],
)
def test_a_file_that_no_page_reads_is_refused_by_its_name(client, name, says):
    assert says in refused(client, b"anything", name)
    assert client.app.state.uploads._folder is None


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_text_of_too_many_lines_columns_or_cells_is_refused_before_it_is_read(client, monkeypatch, packed):
    for limit, most in {"MOST_LINES": 9, "MOST_COLUMNS": 5, "MOST_CELLS": 30}.items():
        monkeypatch.setattr(kept_uploads, limit, most)
    monkeypatch.setattr(kept_uploads, "CHUNK", 7)  # lines are longer than a piece
    says = "must hold at most 9 lines, 5 columns and 30 cells; it holds more"
    for text in (
        b"a\n" * 9,
        b"a\r" * 9,
        b"a,b\n1,2\n" + b"," * 5,
        b"gene" * 9 + b"\t" * 5,
        b"a;b;c;d;e\n" + b"1\n" * 6,
    ):
        assert says in refused(client, packed(text), "x.txt")
    sent(client, packed(b"gene;score of it\nSTAT1;1\n" + b"A;2\r\n" * 3), "x.txt")


def test_a_file_is_read_once_for_what_was_told(client, screen, monkeypatch):
    from perturbloop.web import understood

    read, reads = understood.open_screen, []
    monkeypatch.setattr(understood, "open_screen", lambda config: reads.append(1) or read(config))
    where = sent(client, screen)
    first = client.get(where).text
    assert client.get(where).text == first
    assert len(reads) == 1
    client.get(f"{where}&score_column=mine")
    assert len(reads) == 2


def test_outcomes_of_a_workbook_are_read(client, genes):
    import xlsxwriter

    book = io.BytesIO()
    with xlsxwriter.Workbook(book) as made:
        sheet = made.add_worksheet()
        for place, row in enumerate(
            [("gene", "hit"), (genes["gene_name"].iloc[0], "yes"), (genes["gene_name"].iloc[1], 0)]
        ):
            sheet.write_row(place, 0, row)
    page = client.get(sent(client, book.getvalue(), "told.xlsx")).text
    assert "2 genes, 1 of them hits; 0 await their outcome" in page


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "C:\\x\\passwd", "a\0b.csv", "x" * 5000]
)
def test_no_name_of_a_client_is_a_path(client, name):
    kept = client.app.state.uploads.keep(io.BytesIO(b"gene,score\nA,1\n"), name)
    assert kept.path.parent == client.app.state.uploads._folder
    assert kept.path.parent.stat().st_mode & 0o777 == 0o700
    assert not set("/\\\0") & set(kept.name)
    assert len(kept.name) <= 120
    for guess in ("../etc/passwd", "/etc/passwd", kept.path.name, f"{kept.id}/", ""):
        assert client.app.state.uploads.find(guess) is None
    assert client.app.state.uploads.find(kept.id) is kept


def test_unconfirmed_files_are_forgotten_with_time_by_number_and_with_the_server(monkeypatch):
    held = Uploads()
    made = [held.keep(io.BytesIO(b"a"), "a.csv") for _ in range(kept_uploads.KEPT + 3)]
    assert [held.find(one.id) is None for one in made[:4]] == [True] * 4
    assert held.find(made[-1].id) is made[-1]
    later = time.monotonic() + kept_uploads.SECONDS + 1
    monkeypatch.setattr(kept_uploads.time, "monotonic", lambda: later)
    assert held.find(made[-1].id) is None
    folder = made[-1].path.parent
    assert list(folder.iterdir()) == []
    held.close()
    assert not folder.exists()


def test_read_only_has_no_form_and_tells_what_is_recorded(kept_campaign, access):
    from dataclasses import replace

    app = application(kept_campaign, replace(access, read_only=True))
    with TestClient(app, base_url=HERE, headers={"Authorization": f"Bearer {access.token}"}) as client:
        page = client.get("/record").text
        assert "<form" not in page.partition("<main")[2]
        assert "perturbed.h5ad: cells, crispri" in page
        assert client.post("/do/upload", files={"file": ("a.csv", b"x")}).status_code == 403


@pytest.mark.long
def test_a_real_question_and_a_real_record(made_campaign, access, screen):
    app = application(made_campaign, access)
    bearer = {"Authorization": f"Bearer {access.token}"}
    with TestClient(app, base_url=HERE, headers=bearer, follow_redirects=False) as client:
        first = client.get("/batch.json").json()["proposals"][1]["gene_name"]
        asked = client.post("/do/ask", data={"with": first, "budget": "3", "anyway": "1"}).headers["location"]
        assert waited(client).refusal == ""
        batch = client.get(asked.replace("/batch", "/batch.json")).json()
        assert batch["proposals"][0]["gene_name"] == first
        assert len(batch["proposals"]) == 3
        where = sent(client, screen, "mine.csv")
        fields = {"file": id_of(where), "score_column": "mine", "higher_is": "goal", "modality": "crispr_ko"}
        client.post("/do/record", data=fields)
        assert waited(client).refusal == ""
        assert "Recorded: mine, crispr_ko." in client.get("/record?done=2").text
        assert "Recorded since the last round: mine." in client.get("/record").text
        with open_campaign(made_campaign) as campaign:
            assert campaign.config.screen[0].path.startswith(str((made_campaign / "uploads").resolve()))


@pytest.mark.parametrize("first", ["/ranking", "file"])
def test_names_of_a_table_and_of_the_ranking_are_kept_apart(made_campaign, access, screen, first):
    (made_campaign.parent / "model" / "vocabulary.parquet").unlink()
    for client in served(made_campaign, access, "{}"):
        where = sent(client, screen)
        pages = ["/ranking", f"{where}&score_column=mine"]
        for path in pages if first == "/ranking" else pages[::-1]:
            assert client.get(path).status_code == 200
        assert "genes from" in client.get(pages[1]).text


def test_a_refused_confirm_leaves_the_file_that_another_command_reads(made_campaign, access, screen):
    for client in served(made_campaign, access, "{}"):
        client.app.state.jobs.program = (sys.executable, "-c", "import time; time.sleep(60)")
        fields = {"score_column": "mine", "higher_is": "goal", "modality": "crispri"}
        ids = [id_of(sent(client, screen)) for _ in range(2)]
        assert client.post("/do/record", data=fields | {"file": ids[0]}).status_code == 303
        (place,) = (made_campaign / "uploads").iterdir()
        again = client.post("/do/record", data=fields | {"file": ids[1]})
        assert (again.status_code, "One command works" in again.text) == (422, True)
        other = client.post("/do/record", data=fields | {"file": id_of(sent(client, screen + "\n"))})
        assert other.status_code == 422
        assert list((made_campaign / "uploads").iterdir()) == [place]


def test_refusals_call_the_file_as_its_sender_does(made_campaign, access, screen):
    says = "import json, sys; print(json.dumps({'error': 'Bad: `' + sys.argv[3][9:] + '`.'})); sys.exit(1)"
    for client in served(made_campaign, access, "{}"):
        client.app.state.jobs.program = (sys.executable, "-c", says)
        fields = {"score_column": "mine", "higher_is": "goal", "modality": "crispri"}
        client.post("/do/record", data=fields | {"file": id_of(sent(client, screen, "my screen.csv"))})
        assert waited(client).refusal == "Bad: `my screen.csv`."


def test_what_the_system_refuses_is_told_without_folders():
    error = PermissionError(13, "Permission denied", "/home/me/secret/table.csv")
    assert said_of(error) == "`table.csv`: Permission denied."
    assert said_of(InputError("As it is.")) == "As it is."


def test_a_field_with_a_nul_is_refused_in_words(client):
    answer = client.post("/do/upload", data={"pasted": "STAT1\0", "are": "hits"})
    assert (answer.status_code, "holds a NUL character" in answer.text) == (422, True)
