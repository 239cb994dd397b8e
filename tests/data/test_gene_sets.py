import gzip

import numpy as np
import pytest

from perturbloop.data.gene_sets import read_gene_list, read_gmt
from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, InputError

IDS = {
    "STAT1": "ENSG00000115415",
    "JAK1": "ENSG00000162434",
    "TYK2": "ENSG00000105397",
    "VAV1": "ENSG00000141968",
}
LINES = (
    "INTERFERON\thttp://a.b\tSTAT1\tJAK1\tTYK2\tSTAT1",
    "KINASES\t\tJAK1\tTYK2,0.7\tNOT_A_GENE",
    "TCR\tx\tVAV1",
)
MEMBERS = {
    "INTERFERON": {"STAT1", "JAK1", "TYK2"},
    "KINASES": {"JAK1", "TYK2"},
    "TCR": {"VAV1"},
}


@pytest.fixture
def names():
    return Vocabulary.of_genes(IDS.values(), IDS, [1.0] * 4, max_length=8).names


@pytest.fixture
def gmt(tmp_path):
    """Write lines to a file and return its path."""

    def write(*lines, name="sets.gmt"):
        path = tmp_path / name
        text = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


def members(sets):
    """Set name -> ids, cell by cell."""
    dense_gs = sets.member_gs.toarray()
    return {
        name: {gene for gene, yes in zip(sets.gene_ids, dense_gs[:, at], strict=True) if yes}
        for at, name in enumerate(sets.set_names)
    }


@pytest.mark.parametrize("name", ["sets.gmt", "sets.gmt.gz"])
def test_a_file_becomes_genes_by_sets(gmt, names, name):
    sets = read_gmt(gmt(*LINES, name=name), names=names)
    assert members(sets) == {name: {IDS[symbol] for symbol in genes} for name, genes in MEMBERS.items()}
    assert set(sets.member_gs.data) == {1}
    assert sets.name == name
    assert sets.size_s.tolist() == [3, 2, 1]
    assert dict(zip(sets.gene_ids, sets.degree_g.tolist(), strict=True))[IDS["JAK1"]] == 2


def test_losses_are_reported(gmt, names):
    sets = read_gmt(gmt(*LINES), names=names)
    assert sets.unknown == ("NOT_A_GENE",)
    assert sets.lines() == [
        "sets.gmt: 3 gene sets of 4 genes, 1 to 3 genes each",
        "sets.gmt: labels without an Ensembl id, left out: 'NOT_A_GENE'",
    ]


def test_a_mapping_and_plain_ids_do_as_well_as_a_vocabulary(gmt, names):
    by_names = members(read_gmt(gmt(*LINES), names=names))
    assert (
        members(read_gmt(gmt(*LINES), names=GeneNames.of({name.lower(): gene for name, gene in IDS.items()})))
        == by_names
    )
    as_ids = list(LINES)
    for symbol, gene in IDS.items():
        as_ids = [line.replace(symbol, f"{gene}.7") for line in as_ids]
    assert members(read_gmt(gmt(*as_ids), names=NO_NAMES)) == by_names


def test_sets_are_cut_by_size_with_the_genes_that_no_set_holds_any_more(gmt, names):
    sets = read_gmt(gmt(*LINES), names=names)
    cut = sets.between(2, 2)
    assert members(cut) == {"KINASES": {IDS["JAK1"], IDS["TYK2"]}}
    assert cut.gene_ids.size == 2
    assert sets.between(7, 9).lines() == [
        "sets.gmt: 0 gene sets of 0 genes",
        "sets.gmt: labels without an Ensembl id, left out: 'NOT_A_GENE'",
    ]


def test_sets_of_one_name_stay_apart(gmt, names):
    sets = read_gmt(gmt("P53\tx\tSTAT1", "P53\ty\tJAK1"), names=names)
    assert sets.set_names.tolist() == ["P53", "P53 (2)"]
    assert np.array_equal(sets.size_s, [1, 1])


def test_what_is_no_gmt_is_refused_with_its_lines(gmt, names, tmp_path):
    with pytest.raises(
        InputError, match=r"of 2 lines these do not: '2: STAT1, JAK1, TYK2'. Give a file in GMT format"
    ):
        read_gmt(gmt(LINES[0], "STAT1, JAK1, TYK2"), names=names)
    with pytest.raises(InputError, match="divided by tabs"):
        read_gmt(gmt(""), names=names)
    with pytest.raises(InputError, match=r"there is none\. Correct the path"):
        read_gmt(tmp_path / "nothing.gmt", names=names)
    whole = gmt(*LINES, name="cut.gmt.gz")
    content = whole.read_bytes()
    for damaged in (content[:-9], content[:12] + b"\xff" * 20 + content[32:]):
        whole.write_bytes(damaged)
        with pytest.raises(InputError, match="copy the file again"):
            read_gmt(whole, names=names)


def test_another_species_or_unknown_labels_are_refused(gmt, names):
    with pytest.raises(GeneIdError, match="2 of 2 labels are mouse genes: 'Stat1', 'Jak1'"):
        read_gmt(gmt("A\tx\tStat1\tJak1"), names=names)
    with pytest.raises(GeneIdError, match="0 of 2 labels are; unknown are for instance '5923', '6772'"):
        read_gmt(gmt("A\tx\t6772\t5923"), names=names)


def test_a_list_of_genes_is_read_and_one_without_genes_refused(gmt, names):
    path = gmt("gene,essential", "STAT1,1", f"{IDS['JAK1']}.3\tx", "", "vav1", name="list.csv")
    assert read_gene_list(path, names=names) == {IDS["STAT1"], IDS["JAK1"], IDS["VAV1"]}
    with pytest.raises(GeneIdError, match=r"of its 2 lines none is a gene .*: '6772', '5923'"):
        read_gene_list(gmt("6772", "5923", name="list.txt"), names=names)


@pytest.mark.parametrize(
    "lines",
    [
        ("STAT1", "Jak1"),
        ("GENE\tHGNC_ID", "STAT1\tHGNC:11362", "JAK1\tHGNC:6190"),
        ("Gene", "STAT1 (6772)", "JAK1 (3716)"),
        ("score;symbol", "1;STAT1", "2;JAK1"),
    ],
)
def test_lists_and_tables_of_genes_are_read_in_the_common_forms(gmt, names, lines):
    path = gmt(*lines, name="list.csv")
    assert read_gene_list(path, names=names) == {IDS["STAT1"], IDS["JAK1"]}


@pytest.mark.shared_data
def test_the_published_reactome_file_is_read(shared):
    names = Vocabulary.published(shared / "geneformer", version="geneformer-v1").names
    sets = read_gmt(shared / "knowledge" / "ReactomePathways.gmt", names=names)
    at = sets.set_names.tolist().index("Interferon alpha/beta signaling")
    place = sets.gene_ids.tolist().index(IDS["TYK2"])
    assert sets.member_gs[place, at] == 1
    assert len(sets.unknown) < 0.1 * sets.gene_ids.size
