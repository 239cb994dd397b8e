"""Guide libraries with exactly the columns that Addgene and vendors give them."""

import gzip

import pytest

from perturbloop.data.genes import GeneNames
from perturbloop.data.library import read_library
from perturbloop.errors import GeneIdError, InputError

NAMES = GeneNames.of(
    {
        "CD3E": "ENSG00000198851",
        "VAV1": "ENSG00000141968",
        "STAT1": "ENSG00000115415",
        "JAK1": "ENSG00000162434",
    }
)
GUIDE = "ACGTACGTACGTACGTACGT"
BRUNELLO = (
    "Target Gene ID\tTarget Gene Symbol\tTarget Transcript\tGenomic Sequence\tPosition of Base After Cut (1-based)\tStrand\t"
    "sgRNA Target Sequence\tTarget Context Sequence\tPAM Sequence\tExon Number\tRule Set 2 score\r"
    "916\tCD3E\tNM_000733.3\tNC_000011.9\t118183473\tsense\tAAATATGGTATGTGTAGTGG\tAAGTAAATATGGTATGTGTAGTGGAGGAAA\tAGG\t5\t0.7\r"
    "916\tCD3E\tNM_000733.3\tNC_000011.9\t118183550\tsense\tCATCTACTACTACTGATGGA\tAAGTCATCTACTACTACTGATGGAAGGAAA\tAGG\t6\t0.6\r"
    "\tNon-Targeting Control\t\t\t\t\tACGGAGGCTAAGCGTCGCAA\t\t\t\t\r"
)
DOLCETTO = (
    "Barcode Sequence\tAnnotated Gene Symbol\tAnnotated Gene ID\r\n"
    f"AAACCTTGGCATGCATTGCA\tVAV1\t7409\r\n{GUIDE}\tNO_SITE\tNO_SITE_1\r\nGGGGACGTACGTACGTACGT\tCONTROL\tCONTROL\r\n"
)
CALABRESE = f"sgRNA Sequence,Annotated Gene Symbol,Annotated Gene ID,Target Transcript\n{GUIDE},STAT1,6772,NM_007315.3\n{GUIDE},LOC1,1,\n"
FEATURES = (
    "id,name,read,pattern,sequence,feature_type,target_gene_id,target_gene_name\n"
    f"STAT1-1,STAT1-1,R2,(BC)GTTTAAGAGCTAAGCTGGAA,{GUIDE},CRISPR Guide Capture,ENSG00000115415,STAT1\n"
    "NT-1,NT-1,R2,(BC)GTTTAAGAGCTAAGCTGGAA,CCCCACGTACGTACGTACGT,CRISPR Guide Capture,Non-Targeting,Non-Targeting\n"
)


def read(tmp_path, text, name="library.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return read_library(path, names=NAMES)


def test_brunello_gives_guides_transcripts_and_controls(tmp_path):
    found = read(tmp_path, BRUNELLO)
    assert found.guides["gene_id"].tolist() == ["ENSG00000198851"] * 2
    assert found.of("ENSG00000198851")["sequence"].tolist() == [
        "AAATATGGTATGTGTAGTGG",
        "CATCTACTACTACTGATGGA",
    ]
    assert set(found.guides["transcript"]) == {"NM_000733.3"}
    assert found.controls["sequence"].tolist() == ["ACGGAGGCTAAGCGTCGCAA"]
    assert found.lines() == ["library.txt: 1 genes, 2 guides, 1 of no gene"]


def test_dolcetto_and_calabrese_name_the_gene_in_another_column(tmp_path):
    found = read(tmp_path, DOLCETTO)
    assert found.guides[["label", "sequence"]].values.tolist() == [["VAV1", "AAACCTTGGCATGCATTGCA"]]
    assert len(found.controls) == 2
    assert found.unknown == ()
    found = read(tmp_path, CALABRESE)
    assert found.guides[["gene_id", "transcript"]].values.tolist() == [["ENSG00000115415", "NM_007315.3"]]
    assert found.unknown == ("LOC1",)


def test_a_feature_reference_names_the_guide_and_the_ensembl_id(tmp_path):
    found = read(tmp_path, FEATURES, "features.csv")
    assert found.guides[["gene_id", "guide_id"]].values.tolist() == [["ENSG00000115415", "STAT1-1"]]
    assert found.controls["guide_id"].tolist() == ["NT-1"]


@pytest.mark.parametrize(
    "text", ["gene\nSTAT1\nJAK1\n", "STAT1\nJAK1\nSTAT1\n", "# mine\nENSG00000115415\njak1"]
)
def test_a_list_of_genes_is_a_library_without_sequences(tmp_path, text):
    found = read(tmp_path, text)
    assert found.gene_ids == {"ENSG00000115415", "ENSG00000162434"}
    assert found.guides["sequence"].eq("").all()
    assert len(found.guides) == 2


def test_a_gzipped_library_is_read_too(tmp_path):
    path = tmp_path / "library.csv.gz"
    path.write_bytes(gzip.compress(f"id,seq,gene\ns1,{GUIDE},JAK1\n".encode()))
    assert read_library(path, names=NAMES).guides["guide_id"].tolist() == ["s1"]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", InputError, "must hold guides or genes; it is empty"),
        ("a\tb\n1\t2\n", InputError, r"needs a column with the gene.*has 'a', 'b'.*Rename"),
        (
            "gene,sequence\nSTAT1,hello\n",
            InputError,
            r"sequences of A, C, G and T; column `sequence`.*'hello'",
        ),
        ("Stat1\nJak1\nVav1\n", GeneIdError, r"must be human; 3 of 3 labels are mouse genes"),
        ("FOO\nBAR\n", GeneIdError, r"0 of 2 labels.*'FOO', 'BAR'"),
    ],
)
def test_what_is_no_library_is_refused_in_words(tmp_path, text, error, said):
    with pytest.raises(error, match=said):
        read(tmp_path, text)


def test_a_missing_file_and_a_spreadsheet_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is none"):
        read_library(tmp_path / "none.txt", names=NAMES)
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04\xff\xfe\x80")
    with pytest.raises(InputError, match="Save it as a tab- or comma-separated file"):
        read_library(tmp_path / "book.xlsx", names=NAMES)
