"""Collections: what comes with the package, what is added, and what a campaign reads of both."""

import gzip
import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from perturbloop.data.genes import GeneNames
from perturbloop.data.knowledge import added, chosen, collections, shipped
from perturbloop.data.knowledge.adding import add, remove
from perturbloop.data.knowledge.collection import SHIPPED
from perturbloop.errors import InputError, StoreError
from perturbloop.store.files import file_digest

SETS = "TCR\tR-1\tCD3E\tZAP70\tLCP2\nIFN\tR-2\tSTAT1\tJAK2\tSTAT1\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PERTURBLOOP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def sets(tmp_path):
    path = tmp_path / "own.gmt.gz"
    path.write_bytes(gzip.compress(SETS.encode()))
    return path


def test_what_is_shipped_is_whole_dated_licensed_and_small():
    assert {one.name for one in shipped()} == {"reactome", "go-bp", "blood", "tissue", "hgnc"}
    for one in shipped():
        assert file_digest(one.path) == one.digest
        assert one.date
        assert one.licence.startswith("CC")
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 2e6
    known = {one.name: one.content for one in shipped() if one.kind != "names"}
    place = list(known["go-bp"].columns).index("T cell receptor signaling pathway")
    members = set(known["go-bp"].labels[known["go-bp"].value_gc[:, [place]].indices])
    assert {"ZAP70", "LCP2", "CD3E", "LCK"} <= members
    assert len(members) == 108  # counted by a recursive query of the published tables
    size_s = np.diff(known["go-bp"].value_gc.indptr)
    assert (size_s.min(), size_s.max()) == (3, 300)
    blood = dict(zip(known["blood"].columns, known["blood"].value_gc.T, strict=True))
    gene = list(known["blood"].labels).index("ENSG00000198851")  # CD3E
    assert blood["naive_CD4_T_cell"][gene] > blood["neutrophil"][gene] + 3


def test_a_collection_is_added_listed_chosen_by_date_and_removed(sets):
    made = add("mine", sets, date="2024-05-01", licence="my own")
    assert (made.kind, made.n_genes, made.n_columns) == ("sets", 5, 2)
    assert made.origin == hashlib.sha256(sets.read_bytes()).hexdigest()
    assert made in collections()
    members = made.content.value_gc[:, [1]].indices
    assert set(made.content.labels[members]) == {"STAT1", "JAK2"}
    assert [one.name for one in chosen()] == ["reactome", "go-bp", "mine"]
    assert [one.name for one in chosen(until="2022-01-01")] == ["reactome"]
    assert [one.name for one in chosen(leave_out=["go-bp", "reactome"])] == ["mine"]
    assert chosen(leave_out=["all"]) == ()
    remove("mine")
    assert added() == ()


def test_an_undated_collection_does_not_pass_a_date(sets):
    add("mine", sets)
    assert "mine" in {one.name for one in chosen()}
    assert "mine" not in {one.name for one in chosen(until="2999-01-01")}


@pytest.mark.parametrize(
    ("wanted", "options", "said"),
    [
        ("reactome", {}, "already"),
        ("a/b", {}, "must be letters"),
        ("mine", {"date": "May 2024"}, "YYYY-MM-DD"),
        ("mine", {"kind": "names"}, "must be among"),
        ("mine", {"sha256": "0" * 64}, "must have the SHA-256"),
    ],
)
def test_what_is_not_as_asked_leaves_nothing(sets, wanted, options, said):
    with pytest.raises(InputError, match=said):
        add(wanted, sets, **options)
    assert added() == ()


def test_labels_that_are_no_genes_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "string.edgelist").write_text("9606.ENSP1 9606.ENSP2\n")
    with pytest.raises(InputError, match=r"0 of 2 are.*--aliases"):
        add("string", tmp_path / "string.edgelist")


def test_names_that_are_none_are_refused_with_the_nearest(sets):
    with pytest.raises(
        InputError, match=r"of which there is none; 'nothing' came: `perturbloop knowledge` lists"
    ):
        remove("nothing")
    add("mine", sets)
    with pytest.raises(InputError, match=r"'reactom' came. Did you mean 'reactome'"):
        chosen(leave_out=["reactom"])
    with pytest.raises(InputError, match="came with the package"):
        remove("go-bp")


def test_a_damaged_file_is_not_read(sets):
    made = add("mine", sets)
    made.path.write_bytes(made.path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="knowledge remove mine"):
        made.content  # noqa: B018


@pytest.fixture
def server(tmp_path):
    """A server of this test's folder on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            if self.path.endswith("cut.gmt"):
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(SETS.encode())
                return
            super().do_GET()

    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_address[1]}"
    served.shutdown()
    thread.join()
    served.server_close()


def test_a_collection_is_downloaded_dated_and_checked(sets, server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    digest = hashlib.sha256(sets.read_bytes()).hexdigest()
    made = add("mine", f"{server}/own.gmt.gz", sha256=digest)
    assert made.source == f"{server}/own.gmt.gz"
    assert len(made.date) == len("2022-07-01")  # the server's
    with pytest.raises(InputError, match="could not be got"):
        add("other", f"{server}/none.gmt")
    with pytest.raises(InputError, match=r"1,000 bytes|could not be got"):
        add("other", f"{server}/cut.gmt")
    assert [one.name for one in added()] == ["mine"]


def test_hgnc_finds_a_gene_by_its_other_names_and_no_gene_by_a_name_of_two():
    names = GeneNames.of(
        {"MARCHF1": "ENSG00000145416", "GARS": "ENSG00000106105", "TAFAZZIN": "ENSG00000102125"}
    )
    labels = ["MARCH1", "GARS1", "gars", "TAZ", "no gene"]
    found = ["ENSG00000145416", "ENSG00000106105", "ENSG00000106105", "", ""]
    assert names.resolve(labels) == found  # TAZ was TAFAZZIN's and is an alias of WWTR1


def test_the_list_is_plain_json():
    entries = json.loads((SHIPPED / "collections.json").read_text())
    assert all("path" not in entry and "is_shipped" not in entry for entry in entries)


def test_compounds_categories_and_pairs_are_kept_and_are_no_networks(tmp_path):
    drugs = tmp_path / "interactions.tsv"
    drugs.write_text(
        "gene_name\tinteraction_claim_source\tinteraction_types\tdrug_name\tdrug_concept_id\n"
        "MTOR\tFDA\tinhibitor\tSIROLIMUS\tchembl:CHEMBL413\nMTOR\tDTC\t\tOTHER\t\n\tDTC\t\tNOBODY\t\n"
    )
    made = add("dgidb", drugs, date="2021-01-01", licence="as its sources")
    assert (made.kind, made.n_genes, made.n_columns) == ("drugs", 1, 2)
    row = made.interactions.set_index("compound").loc["SIROLIMUS"]
    assert (row["gene"], row["kind"], row["stage"], row["compound_id"]) == (
        "MTOR",
        "delete",
        "approved",
        "CHEMBL413",
    )
    categories = tmp_path / "categories.tsv"
    categories.write_text("entrez_gene_symbol\tcategory\nMTOR\tKINASE\nPRKCB\tKINASE\n")
    assert add("categories", categories).kind == "categories"
    (tmp_path / "pairs.tsv").write_text("ligand\treceptor_gene\nMIF\tCD74\n")
    pairs = add("pairs", tmp_path / "pairs.tsv", kind="pairs")
    assert pairs.content.columns.tolist() == ["MIF–CD74"]
    assert not {"dgidb", "categories", "pairs"} & {one.name for one in chosen()}
    made.path.write_bytes(b"x")
    with pytest.raises(StoreError, match=r"'dgidb' must lie at .* add it again"):
        next(one for one in added() if one.name == "dgidb").interactions  # noqa: B018
