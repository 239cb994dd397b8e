"""Public downloads become AnnData files that perturbloop reads: small copies, laid out as GEO lays them out."""

import gzip
import importlib.util
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from perturbloop.errors import InputError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "real" / "public_files.py"
GENES = [("ENSG00000115415", "STAT1"), ("ENSG00000162434", "JAK1"), ("ENSG00000187608", "ISG15")]


@pytest.fixture(scope="module")
def public():
    spec = importlib.util.spec_from_file_location("benchmark_public_files", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sample(folder, matrix, gsm, barcodes, rng):
    """Write one 10x sample; return its counts, cells × genes."""
    counts = rng.poisson(2, size=(len(barcodes), len(GENES)))
    with gzip.open(folder / matrix, "wb") as file:
        io.mmwrite(file, sparse.coo_matrix(counts.T), field="integer")
    with gzip.open(folder / f"{gsm}_barcodes.tsv.gz", "wt") as file:
        file.write("\n".join(barcodes) + "\n")
    return counts


def genes(folder, name):
    pd.DataFrame(GENES).to_csv(folder / name, sep="\t", header=False, index=False)


@pytest.fixture
def kang(tmp_path, rng):
    """Two samples that share a barcode; the table of cells has R's row names, and two cells that are no single cells."""
    genes(tmp_path, "GSE96583_batch2.genes.tsv.gz")
    control = sample(tmp_path, "GSM2560248_2.1.mtx.gz", "GSM2560248", ["AAA-1", "CCC-1", "GGG-1"], rng)
    stimulated = sample(tmp_path, "GSM2560249_2.2.mtx.gz", "GSM2560249", ["AAA-1", "TTT-1"], rng)
    rows = [
        ("AAA-1", 0.1, 101, "ctrl", "B cells", "singlet"),
        ("GGG-1", 0.3, 107, "ctrl", "NA", "singlet"),  # not in the order of the barcodes
        ("CCC-1", 0.2, 101, "ctrl", "B cells", "doublet"),
        ("AAA-11", 0.4, 107, "stim", "NK cells", "singlet"),
        ("TTT-1", 0.5, 107, "stim", "NK cells", "ambs"),
    ]
    text = "\n".join("\t".join(map(str, row)) for row in rows)
    with gzip.open(tmp_path / "GSE96583_batch2.total.tsne.df.tsv.gz", "wt") as file:
        file.write("tsne1\tind\tstim\tcell\tmultiplets\n" + text + "\n")
    return tmp_path, control, stimulated


def test_blood_cells_of_both_states_keep_their_counts_and_labels(public, kang):
    folder, control, stimulated = kang
    public.main(["states", str(folder), str(folder / "out" / "states.h5ad")])
    cells = anndata.read_h5ad(folder / "out" / "states.h5ad")
    assert list(cells.obs_names) == ["AAA-1-control", "GGG-1-control", "AAA-1-stimulated"]
    assert list(cells.obs["condition"]) == ["control", "control", "stimulated"]
    assert list(cells.obs["donor"]) == ["101", "107", "107"]
    assert list(cells.obs["cell_type"]) == ["B cells", "unknown", "NK cells"]
    assert np.array_equal(cells.X.toarray(), np.vstack([control[[0, 2]], stimulated[[0]]]))
    assert list(cells.var_names) == [gene for gene, _ in GENES]
    assert list(cells.var["symbol"]) == [symbol for _, symbol in GENES]


def test_a_download_that_is_missing_is_named(public, kang):
    folder, _, _ = kang
    (folder / "GSM2560249_2.2.mtx.gz").unlink()
    with pytest.raises(InputError, match=r"'GSM2560249_2\.2\.mtx\.gz' is needed in .* Download it"):
        public.states(folder)


def test_files_of_different_cells_are_refused(public, kang):
    folder, _, _ = kang
    with gzip.open(folder / "GSM2560249_barcodes.tsv.gz", "wt") as file:
        file.write("AAA-1\nCAC-1\n")
    with pytest.raises(InputError, match="same cells; of 2 and 2 they share 1"):
        public.states(folder)


def test_a_matrix_of_another_size_is_refused(public, kang):
    folder, _, _ = kang
    pd.DataFrame(GENES[:2]).to_csv(
        folder / "GSE96583_batch2.genes.tsv.gz", sep="\t", header=False, index=False
    )
    with pytest.raises(InputError, match=r"must hold 2 genes of 3 cells, .* it holds 3 of 3"):
        public.states(folder)


def test_lanes_of_unstimulated_cells_stand_in_one_file(public, tmp_path, rng):
    genes(tmp_path, "GSE96583_batch1.genes.tsv.gz")
    lanes = [
        sample(tmp_path, f"{gsm}_{lane}.mat.gz", gsm, ["AAA-1", "CCC-1"], rng)
        for lane, gsm in (("A", "GSM2560245"), ("B", "GSM2560246"), ("C", "GSM2560247"))
    ]
    cells = public.pretrain(tmp_path)
    assert np.array_equal(cells.X.toarray(), np.vstack(lanes))
    assert list(cells.obs["lane"]) == ["A", "A", "B", "B", "C", "C"]
    assert cells.obs_names.is_unique


@pytest.mark.parametrize(
    "index_label", ["", False], ids=["a column without a name", "no column, as R writes it"]
)
def test_knockouts_carry_target_guide_purity_and_replicate(public, tmp_path, rng, index_label):
    cells = ["l1_AAA", "l1_CCC", "l2_GGG", "l2_TTT"]
    counts = pd.DataFrame(rng.poisson(2, size=(3, 4)), index=["STAT1", "JAK1", "ISG15"], columns=cells)
    guides = pd.DataFrame([[8, 0, 0, 3], [2, 0, 5, 1]], index=["STAT1g1", "NTg1"], columns=cells)
    table = pd.DataFrame(
        {
            "guide_ID": ["STAT1g1", "PDL1g1", "NTg1", "STAT1g1"],
            "gene": ["STAT1", "PDL1", "NT", "STAT1"],
            "replicate": ["rep1", "rep1", "rep2", "rep2"],
        },
        index=cells,
    )
    for name, frame in (
        ("GSM4633614_ECCITE_cDNA_counts", counts),
        ("GSM4633618_ECCITE_GDO_counts", guides[cells[::-1]]),
        ("GSE153056_ECCITE_metadata", table.loc[cells[::-1]]),
    ):
        frame.to_csv(tmp_path / f"{name}.tsv.gz", sep="\t", index_label=index_label)
    found = public.perturbed(tmp_path)
    assert list(found.obs_names) == cells
    assert list(found.obs["target"]) == ["STAT1", "CD274", "non-targeting", "STAT1"]
    assert list(found.obs["grna"]) == ["STAT1g1", "PDL1g1", "NTg1", "STAT1g1"]
    assert list(found.obs["replicate"]) == ["rep1", "rep1", "rep2", "rep2"]
    assert list(found.obs["grna_top_frac"]) == [0.8, 0.0, 1.0, 0.75]
    assert np.array_equal(found.X.toarray(), counts.T.to_numpy())
    assert list(found.var_names) == ["STAT1", "JAK1", "ISG15"]


def test_a_wide_table_that_was_cut_off_is_refused(public, tmp_path):
    (tmp_path / "GSM4633614_ECCITE_cDNA_counts.tsv").write_text('"c1"\t"c2"\n"STAT1"\t1\t2\n"JAK1"\t3\n')
    with pytest.raises(InputError, match=r"each of its 2 cells .* these do not: 'JAK1'\. Download it again"):
        public.perturbed(tmp_path)
