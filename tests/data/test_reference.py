"""References of cell types: from a table, from a collection, from the user's own cells."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.annotations import Annotations
from perturbloop.data.cells import Cells
from perturbloop.data.genes import GeneNames
from perturbloop.data.knowledge import chosen
from perturbloop.data.reference import read_reference, reference_of, reference_of_cells, references_of
from perturbloop.errors import InputError

NAMES = GeneNames.of({"CD3E": "ENSG00000198851", "MS4A1": "ENSG00000156738"})


def test_a_table_of_transcripts_per_million(tmp_path):
    (tmp_path / "ref.csv").write_text("gene,T cells,B cells\nCD3E,255,0\nMS4A1,0,31\nunknown,5,5\n")
    found = read_reference(tmp_path / "ref.csv", names=NAMES)
    assert found.cell_types == ("T cells", "B cells")
    table = pd.DataFrame(found.log_expression_gc, index=found.gene_ids)
    assert table.loc["ENSG00000198851"].tolist() == [8, 0]
    assert table.loc["ENSG00000156738"].tolist() == [0, 5]
    np.testing.assert_array_equal(found.column("T cells"), found.log_expression_gc[:, 0])
    wanted = np.array(["g", "ENSG00000156738"], dtype=object)
    np.testing.assert_array_equal(found.aligned(wanted), [[np.nan, np.nan], [0, 5]])
    with pytest.raises(InputError, match=r"'T cell' came. Did you mean 'T cells'"):
        found.column("T cell")


def test_logarithms_are_refused(tmp_path):
    (tmp_path / "ref.csv").write_text("gene,T cells,B cells\nCD3E,-2,0\n")
    with pytest.raises(InputError, match="1 negative"):
        read_reference(tmp_path / "ref.csv", names=NAMES)


@pytest.mark.shared_data
def test_published_references_know_their_lineages(shared):
    folder = shared / "knowledge" / "features"
    found = read_reference(folder / "epic_BRef_tpm.csv.gz", names=NAMES)
    marker = dict(zip(found.gene_ids, found.log_expression_gc, strict=True))["ENSG00000156738"]
    assert found.cell_types[int(np.argmax(marker))] == "Bcells"
    blood = reference_of(chosen(kinds=("reference",))[0], names=NAMES)
    marker = dict(zip(blood.gene_ids, blood.log_expression_gc, strict=True))["ENSG00000156738"]
    assert blood.cell_types[int(np.argmax(marker))] in ("memory_B_cell", "naive_B_cell")


def test_own_cells_of_several_types(rng):
    counts = rng.poisson(3, size=(70, 3)).astype(np.float32)
    obs = pd.DataFrame({"cell_type": ["T"] * 30 + ["B"] * 25 + ["rare"] * 5 + [None] * 10})
    genes = np.array(["g1", "g2", "g3"], dtype=object)
    cells = Cells(sparse.csr_matrix(counts), genes, genes, obs, "own.h5ad", "")
    found = reference_of_cells(cells, "cell_type")
    assert found.cell_types == ("B", "T")
    total = counts[:30].sum(axis=0)
    np.testing.assert_allclose(found.column("T"), np.log2(1 + 1e6 * total / total.sum()))
    known = Annotations(references=chosen(kinds=("reference",)))
    assert references_of(known, cells, named="cell_type", names=NAMES)[0].cell_types == ("B", "T")
    assert references_of(known, cells, named="blood", names=NAMES)[0].name == "blood"
    assert [one.name for one in references_of(known, cells, named=None, names=NAMES)] == ["blood", "tissue"]
    with pytest.raises(InputError, match=r"'cell_typ' came. Did you mean 'cell_type'"):
        references_of(known, cells, named="cell_typ", names=NAMES)
    with pytest.raises(InputError, match="two or more cell types"):
        reference_of_cells(cells.select(np.arange(30)), "cell_type")
    with pytest.raises(InputError, match="no column 'type'"):
        reference_of_cells(cells, "type")
