import gzip

import numpy as np
import pytest

from perturbloop.data.flags import FLAGS, flags, flags_of


@pytest.mark.parametrize(
    ("flag", "gene_names"),
    [
        ("sex-linked", ["XIST", "RPS4Y1", "DDX3Y", "UTY"]),
        ("HLA", ["HLA-A", "HLA-DRB1", "B2M"]),
        ("ribosomal", ["RPL3", "RPL13A", "RPS4X", "RPL10L", "RPLP0", "RPS27L", "RPSA", "RPL7A", "RPL36AL"]),
        ("mitochondrial", ["MT-CO1", "MT-ND4L"]),
        ("hemoglobin", ["HBA1", "HBB", "HBG2"]),
        ("stress", ["FOS", "JUN", "HSPA1A", "DNAJB1", "EGR1"]),
        ("interferon", ["ISG15", "IFI6", "IFI44L", "IFIT1", "IFITM3", "MX1", "OAS1", "OASL", "STAT1"]),
        ("cell-cycle", ["MKI67", "TOP2A", "MCM5"]),
        ("core-essential", ["RPL3", "RPS4X", "PSMD1", "POLR2A", "CCT3", "SNRPD1", "PLK1", "KPNB1"]),
        ("ambient", ["S100A8", "LYZ", "PPBP", "HBB"]),
    ],
)
def test_known_members_carry_their_flag(flag, gene_names):
    assert [name for name in gene_names if flag not in flags_of(name)] == []


@pytest.mark.parametrize(
    "gene_name",
    [
        "CD3E",
        "VAV1",
        "ZAP70",
        "JAK1",
        "RPS6KA1",
        "RPS6KB1",
        "MTOR",
        "HBEGF",
        "HBP1",
        "FOSL2",
        "IFNAR1",
        "IRF4",
        "PSMB8",
        "CCT6B",
        "POLR3G",
        "EIF2AK2",
        "CDC42",
    ],
)
def test_regulators_with_similar_names_carry_none(gene_name):
    assert flags_of(gene_name) == ()


def test_flags_are_one_text_per_gene_in_order():
    assert flags(np.array(["HBA1", "VAV1"], dtype=object)).tolist() == ["hemoglobin,ambient", ""]
    assert all("," not in flag.name for flag in FLAGS)


def test_a_list_of_the_users_own_takes_the_place_of_the_built_in_families():
    found = flags(
        np.array(["CD3E", "RPL3", "PLK1"], dtype=object), essential_g=np.array([True, False, False])
    )
    assert found.tolist() == ["core-essential", "ribosomal", ""]


@pytest.mark.shared_data
def test_the_built_in_families_are_mostly_in_the_published_list(shared):
    listed = gzip.decompress(
        (shared / "knowledge/features/core_essential_cegv2.csv.gz").read_bytes()
    ).decode()
    essential = {line.split(",")[0] for line in listed.splitlines()[1:]}
    hgnc = (shared / "knowledge" / "hgnc_all_genes.tsv").read_text().splitlines()[1:]
    names = [line.split("\t")[1] for line in hgnc]
    flagged = {name for name in names if "core-essential" in flags_of(name)}
    assert len(flagged & essential) > 2 / 3 * len(flagged)
    rest = len(essential - flagged) / len(set(names) - flagged)
    assert rest < 0.02  # of all other genes
