"""Genes of a file: found row by row from all columns, dropped with a name, refused where they are not human."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.gene_labels import AMBIGUOUS, FOREIGN, UNKNOWN, gene_of
from perturbloop.data.gene_mapping import genes_of
from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.stored_counts import mapped
from perturbloop.errors import GeneIdError

STAT1, JAK1, NKX, HLA, ND1, MARCH, CSF2RA, OTHER = (
    "ENSG00000115415",
    "ENSG00000162434",
    "ENSG00000136352",
    "ENSG00000206503",
    "ENSG00000198888",
    "ENSG00000145416",
    "ENSG00000198223",
    "ENSG00000105397",
)
NAMES = GeneNames.of(
    {
        "STAT1": STAT1,
        "JAK1": JAK1,
        "NKX2-1": NKX,
        "HLA-A": HLA,
        "MT-ND1": ND1,
        "MARCHF1": MARCH,
        "CSF2RA": CSF2RA,
        "AC012345.1": "ENSG00000999991",
        "RP11-34P13.7": "ENSG00000999992",
    }
)


@pytest.mark.parametrize(
    ("labels", "gene", "way"),
    [
        ([f"{STAT1}.22"], STAT1, "id"),
        ([f"{CSF2RA}.15_PAR_Y"], CSF2RA, "id"),
        (["ENSGR0000198223"], CSF2RA, "id"),
        (["JAK1", STAT1], STAT1, "id"),  # an id goes before a symbol
        ([OTHER], OTHER, "id"),  # a gene without a token is still a gene
        (["JAK1", OTHER], OTHER, "id"),  # even where only the symbol is known
        (["stat1"], STAT1, "symbol"),
        (["MARCH1"], MARCH, "previous symbol"),
        (["JTK3"], JAK1, "alias"),
        (["STAT1-1"], STAT1, "symbol without its suffix"),
        (["STAT1.1"], STAT1, "symbol without its suffix"),
        (["HLA-A-1"], HLA, "symbol without its suffix"),
        (["STAT1_ENSG00000115415"], STAT1, "id"),
        (["ENSG00000162434.9|JAK1"], JAK1, "id"),
        (["GRCh38_STAT1"], STAT1, "symbol"),
        (["GRCh38_______ENSG00000115415.22"], STAT1, "id"),
        (["NKX2-1"], NKX, "symbol"),
        (["HLA-A"], HLA, "symbol"),
        (["MT-ND1"], ND1, "symbol"),
        (["AC012345.1"], "ENSG00000999991", "symbol"),
        (["RP11-34P13.7"], "ENSG00000999992", "symbol"),
        (["KRT18-1"], "", UNKNOWN),  # without its suffix it is no gene of these names either
        (["NKX3-1"], "", UNKNOWN),  # a real name is no other with a suffix
        (["AC099999.1"], "", UNKNOWN),
        (["STAT1", "JAK1"], "", AMBIGUOUS),
        ([STAT1, JAK1], "", AMBIGUOUS),
        (["TAZ"], "", AMBIGUOUS),  # TAFAZZIN and WWTR1 were called that
        (["SEPT2-1", "ENSMUSG00000026104"], "", FOREIGN),
        (["mm10_Stat1"], "", FOREIGN),
        (["", ""], "", "no label"),
    ],
)
def test_a_row_is_the_gene_that_its_labels_mean_together(labels, gene, way):
    assert gene_of(labels, NAMES) == (gene, way)


def test_a_symbol_that_was_that_of_two_genes_is_ambiguous():
    """AGPAT9 is an earlier symbol of GPAT3 and of LPCAT1."""
    names = GeneNames.of({"GPAT3": STAT1, "LPCAT1": JAK1})
    assert gene_of(["AGPAT9"], names) == ("", AMBIGUOUS)


def test_without_names_only_ids_are_understood():
    assert gene_of(["STAT1"], NO_NAMES) == ("", UNKNOWN)
    assert gene_of([f"STAT1_{STAT1}.2"], NO_NAMES) == (STAT1, "id")


VAR = pd.DataFrame(
    {
        "gene_ids": [f"{STAT1}.22", None, None, None, f"{CSF2RA}_PAR_Y", CSF2RA, None, "CD3_TotalSeqB"],
        "feature_types": ["Gene Expression"] * 7 + ["Antibody Capture"],
    },
    index=["A", "JAK1", "JAK1-1", "MARCH1", "x", "CSF2RA", "NONSENSE", "STAT1 protein"],
)
COUNTS = np.array([[8, 4, 1, 2, 1, 1, 3, 0], [0, 0, 0, 0, 0, 0, 0, 20]], dtype=np.float32)


def test_all_columns_together_map_a_file_and_the_report_tells_shares_of_counts():
    found = genes_of(VAR, names=NAMES, source="a.h5ad")
    report = found.report(COUNTS.sum(axis=0, dtype=float), NAMES)
    assert found.gene_ids.tolist() == [STAT1, JAK1, MARCH, CSF2RA]
    assert found.gene_names.tolist() == ["STAT1", "JAK1", "MARCHF1", "CSF2RA"]
    assert mapped(sparse.csr_matrix(COUNTS), found.collapse).toarray()[0].tolist() == [8, 5, 2, 2]
    assert report.by_way == {
        "id": (3, 10 / 40),
        "symbol": (1, 4 / 40),
        "previous symbol": (1, 2 / 40),
        "symbol without its suffix": (1, 1 / 40),
        "unknown": (1, 3 / 40),
        "no gene expression": (1, 20 / 40),
    }
    assert sum(share for _, share in report.by_way.values()) == pytest.approx(1)
    assert (report.n_summed, report.unknown) == (2, ("NONSENSE",))
    text = "\n".join(report.lines())
    assert (
        "4 genes from 8 rows of `var` (gene_ids, var_names): by id 3 (25.00%), by symbol 1 (10.00%)" in text
    )
    assert "dropped as unknown: 1 (7.50%): 'NONSENSE'" in text


def test_ambiguous_genes_are_dropped_and_named():
    var = pd.DataFrame({"symbol": ["STAT1", "JAK1", "HLA-A"]}, index=["JAK1", "JAK1", "HLA-A"])
    report = genes_of(var, names=NAMES, source="a.h5ad").report(np.ones(3), NAMES)
    assert report.ambiguous == ("STAT1",)
    assert "dropped as ambiguous: 1 (33.33%): 'STAT1'" in report.lines()[-1]


def test_a_column_of_row_numbers_names_no_gene():
    """F2 and F3 are genes, and so would be rows `f2` and `f3`."""
    names = GeneNames.of({"F2": STAT1, "F3": JAK1, **{f"G{n}": f"ENSG{n:011d}" for n in range(40)}})
    var = pd.DataFrame(
        {"symbol": [f"G{n}" if n % 2 else f"novel {n}" for n in range(40)]},
        index=[f"f{n}" for n in range(40)],
    )
    found = genes_of(var, names=names, source="a.h5ad")
    assert found.columns == ("symbol",)
    assert not {STAT1, JAK1} & set(found.gene_ids)


def test_a_named_column_is_read_alone():
    var = VAR.assign(gene_ids=["JAK1", "STAT1", "", *VAR["gene_ids"][3:]]).iloc[:3]
    found = genes_of(var, names=NAMES, column="gene_ids", source="a.h5ad")
    assert found.columns == ("gene_ids",)
    assert [tuple(one) for one in found.found] == [(JAK1, "symbol"), (STAT1, "symbol"), ("", "no label")]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([f"ENSMUSG{n:011d}" for n in range(9)], "9 of 9 labels are mouse genes: 'ENSMUSG00000000000'"),
        ([f"ENSRNOG{n:011d}" for n in range(9)], "rat genes"),
        ([f"ENSDARG{n:011d}.2" for n in range(9)], "zebrafish genes"),
        (["Stat1", "Jak1", "Cd3e", "Gm123"], "4 of 4 labels are mouse genes"),
        (["mm10___Stat1", "mm10___Cd3e", "GRCh38_STAT1"], "2 of 3 labels are mouse genes"),
        ([f"ENSXYZG{n:011d}" for n in range(9)], "non-human genes"),
    ],
)
def test_another_species_is_recognized_and_refused(labels, says):
    with pytest.raises(GeneIdError, match=says):
        genes_of(pd.DataFrame(index=labels), names=NAMES, source="a.h5ad")
