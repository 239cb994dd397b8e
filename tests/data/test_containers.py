"""Every format of cells gives the counts that were written; where they lie in it is found, and what looks like counts is told."""

import gzip

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from perturbloop.data.cells import from_adata, read_cells
from perturbloop.data.containers import spilled, stored
from perturbloop.data.counts import is_normalized, kind_of, looks_odd, rounded
from perturbloop.data.selection import query
from perturbloop.data.stored_counts import StoredCounts
from perturbloop.errors import InputError
from perturbloop.schema import CellsConfig, PerturbedConfig, Reading, options_of

IDS = [f"ENSG{number:011d}" for number in range(30)]
NAMES = [f"GENE{number}" for number in range(30)]


@pytest.fixture
def adata(rng):
    """Sixty cells of very different depth."""
    depth = rng.gamma(2.0, 2.0, size=(60, 1))
    counts = sparse.csr_matrix(rng.poisson(depth * rng.gamma(1.0, 1.0, size=30)).astype(np.float32))
    obs = pd.DataFrame(
        {"state": ["a", "b"] * 30, "kind": ["T", "B", "T"] * 20}, index=[f"c{n}" for n in range(60)]
    )
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame({"gene_name": NAMES}, index=IDS))


def write_h5(path, adata, *, kinds=None, genome="GRCh38"):
    """A matrix as Cell Ranger 3 writes it."""
    stored = sparse.csr_matrix(adata.X)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(stored, name).astype(np.int64)
        group["shape"] = [adata.n_vars, adata.n_obs]
        group["barcodes"] = np.array(list(adata.obs_names), dtype="S20")
        features = group.create_group("features")
        features["id"] = np.array(list(adata.var_names), dtype="S40")
        features["name"] = np.array(list(adata.var["gene_name"]), dtype="S40")
        features["feature_type"] = np.array(kinds or ["Gene Expression"] * adata.n_vars, dtype="S40")
        features["genome"] = np.array(
            [genome] * adata.n_vars if isinstance(genome, str) else genome, dtype="S20"
        )
    return path


def write_h5_of_version_2(path, adata):
    """A matrix as Cell Ranger 2 writes it: a group per genome."""
    stored = sparse.csr_matrix(adata.X)
    with h5py.File(path, "w") as file:
        group = file.create_group("GRCh38")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(stored, name)
        group["shape"] = [adata.n_vars, adata.n_obs]
        group["barcodes"] = np.array(list(adata.obs_names), dtype="S20")
        group["genes"], group["gene_names"] = (np.array(names, dtype="S20") for names in (IDS, NAMES))
    return path


def write_folder(path, adata, *, packed=True, old=False, before=""):
    """A folder as Cell Ranger writes it."""
    path.mkdir(parents=True, exist_ok=True)
    kind = "" if old else "\tGene Expression"
    texts = {
        "genes.tsv" if old else "features.tsv": [
            f"{gene}\t{name}{kind}" for gene, name in zip(IDS, NAMES, strict=True)
        ],
        "barcodes.tsv": list(adata.obs_names),
    }
    io.mmwrite(path / f"{before}matrix.mtx", sparse.csr_matrix(adata.X).T.astype(int))
    for name, lines in texts.items():
        (path / f"{before}{name}").write_text("\n".join(lines) + "\n")
    for file in list(path.iterdir()) if packed else ():
        if file.suffix != ".gz":
            (path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    return path


def write_loom(path, adata):
    """A loom file of specification 3."""
    with h5py.File(path, "w") as file:
        file["matrix"] = np.asarray(adata.X.todense()).T
        file["row_attrs/Accession"], file["row_attrs/Gene"] = np.array(IDS, "S20"), np.array(NAMES, "S20")
        file["col_attrs/CellID"] = np.array(list(adata.obs_names), "S20")
        file["col_attrs/state"] = np.array(list(adata.obs["state"]), "S20")
        file.create_group("layers")
    return path


def write_zarr(path, adata, version):
    with ad.settings.override(zarr_write_format=version):
        adata.write_zarr(path)
    return path


WRITERS = {
    "h5ad": lambda folder, adata: adata.write_h5ad(folder / "c.h5ad") or folder / "c.h5ad",
    "zarr 2": lambda folder, adata: write_zarr(folder / "c.zarr", adata, 2),
    "zarr 3": lambda folder, adata: write_zarr(folder / "c.zarr", adata, 3),
    "loom": lambda folder, adata: write_loom(folder / "c.loom", adata),
    "10x h5": lambda folder, adata: write_h5(folder / "c.h5", adata),
    "10x h5 of version 2": lambda folder, adata: write_h5_of_version_2(folder / "c.h5", adata),
    "10x folder": lambda folder, adata: write_folder(folder / "c", adata),
    "10x folder of version 2, plain": lambda folder, adata: write_folder(
        folder / "c", adata, packed=False, old=True
    ),
    "one matrix of a deposit": lambda folder, adata: (
        write_folder(folder / "c", adata, before="GSM1_") / "GSM1_matrix.mtx.gz"
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("streams", [False, True], ids=["held", "streamed"])
@pytest.mark.parametrize("form", WRITERS)
def test_every_format_gives_the_counts_that_were_written(adata, tmp_path, form, streams, request):
    if streams:
        request.getfixturevalue("seven_at_once")
    cells, _ = read_cells(WRITERS[form](tmp_path, adata))
    assert isinstance(cells.counts, StoredCounts) == streams
    assert abs(cells.counts_ng - adata.X).sum() == 0
    assert cells.gene_ids.tolist() == IDS
    assert cells.gene_names.tolist() == NAMES
    assert list(cells.obs.index) == list(adata.obs_names)
    if form in ("h5ad", "zarr 2", "zarr 3", "loom"):
        assert cells.obs["state"].astype(str).tolist() == list(adata.obs["state"])


@pytest.mark.parametrize("store", [sparse.csc_matrix, lambda matrix: matrix.toarray()])
def test_matrices_that_do_not_lie_by_cells_are_streamed_too(
    adata, tmp_path, store, seven_at_once, monkeypatch
):
    held = ad.AnnData(store(adata.X), obs=adata.obs, var=adata.var)
    held.write_h5ad(tmp_path / "c.h5ad")
    made = []
    monkeypatch.setattr(
        stored,
        "Spilled",
        type(
            "Counted",
            (stored.Spilled,),
            {"__init__": lambda self, *parts: made.append(self) or spilled.Spilled.__init__(self, *parts)},
        ),
    )
    cells, _ = read_cells(tmp_path / "c.h5ad")
    assert max(part.shape[0] for part in cells.blocks()) == 7
    assert len(made) == (store is sparse.csc_matrix)  # turned once, however often it is read
    assert abs(cells.counts_ng - adata.X).sum() == 0


@pytest.mark.parametrize("store", [sparse.csr_matrix, sparse.csc_matrix, lambda matrix: matrix.toarray()])
def test_an_object_may_be_backed_and_stored_in_any_way(adata, tmp_path, store):
    expected = adata.X.copy()
    adata.X = store(adata.X)
    adata.write_h5ad(tmp_path / "c.h5ad")
    backed = ad.read_h5ad(tmp_path / "c.h5ad", backed="r")
    for cells in (from_adata(backed)[0], read_cells(tmp_path / "c.h5ad")[0], from_adata(adata)[0]):
        assert abs(cells.counts_ng - expected).sum() == 0
    backed.file.close()


def test_indices_outside_of_a_10x_matrix_are_refused_before_columns_are_cut(adata, tmp_path):
    path = write_h5(tmp_path / "c.h5", adata, kinds=["Gene Expression"] * 28 + ["Antibody Capture"] * 2)
    with h5py.File(path, "r+") as file:
        file["matrix/indices"][5] = 4000
    with pytest.raises(InputError, match=r"c\.h5 must be a 10x matrix; it is damaged or cut off"):
        read_cells(path)


@pytest.mark.parametrize(
    "change", [lambda lines: lines[:-9], lambda lines: [*lines[:-1], "7 3"], lambda lines: [*lines, "1 1 1"]]
)
def test_a_large_matrix_in_text_holds_as_many_values_as_it_says(adata, tmp_path, change, seven_at_once):
    write_folder(tmp_path / "c", adata, packed=False)
    path = tmp_path / "c" / "matrix.mtx"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=r"it is damaged or cut off: (it holds|a line is cut)"):
        read_cells(tmp_path / "c")


def test_features_that_are_no_human_genes_are_left_out_and_counted(adata, tmp_path):
    kinds = ["Gene Expression"] * 27 + ["Antibody Capture"] * 2 + ["CRISPR Guide Capture"]
    cells, _ = read_cells(write_h5(tmp_path / "c.h5", adata, kinds=kinds))
    assert cells.gene_ids.tolist() == IDS[:27]
    assert "2 features of kind 'Antibody Capture' left out" in cells.notes
    mixed = adata.copy()
    mixed.var_names = [
        *(f"GRCh38_{gene}" for gene in IDS[:20]),
        *(f"mm10___ENSMUSG{n:011d}" for n in range(10)),
    ]
    cells, _ = read_cells(write_h5(tmp_path / "m.h5", mixed, genome=["GRCh38"] * 20 + ["mm10"] * 10))
    assert cells.gene_ids.tolist() == IDS[:20]
    assert "10 genes of 'mm10' left out" in cells.notes
    mouse = np.ravel(mixed.X[:, 20:].sum(axis=1)) > np.ravel(mixed.X[:, :20].sum(axis=1))
    assert (cells.obs["genome"] == "mm10").tolist() == mouse.tolist()


def log_normalized(matrix):
    total = np.asarray(matrix.sum(axis=1))
    return sparse.csr_matrix(np.log1p(matrix.toarray() / np.maximum(total, 1) * 1e4).astype(np.float32))


@pytest.mark.parametrize("place", ["raw", "layers/counts", "layers/umi"])
def test_counts_are_found_where_whole_numbers_are_and_the_place_is_named_and_decides_the_digest(adata, place):
    plain, _ = from_adata(adata)
    moved = ad.AnnData(log_normalized(adata.X), obs=adata.obs, var=adata.var)
    if place == "raw":
        moved.raw = adata
    else:
        moved.layers[place.removeprefix("layers/")] = adata.X
    cells, _ = from_adata(moved)
    assert abs(cells.counts_ng - adata.X).sum() == 0
    assert "Raw counts are `" in cells.notes[0]
    assert cells.digest != plain.digest


def test_the_same_counts_in_two_places_are_no_question_and_a_named_place_decides(adata):
    adata.layers["counts"] = adata.X.copy()
    plain = from_adata(adata)[0]
    assert plain.notes[0] == "Raw counts are `X` of the AnnData object"
    adata.layers["counts"] = adata.X * 2
    doubled, _ = from_adata(adata, reading=Reading(counts="layers/counts"))
    assert abs(doubled.counts_ng - 2 * adata.X).sum() == 0
    assert (
        from_adata(adata, reading=Reading(counts="X"))[0].digest == plain.digest
    )  # the same cells as before


def test_rounding_says_what_it_changes(rng):
    values = sparse.csr_matrix(np.array([[0.4, 1.0, 2.6], [0.0, 3.5, 2.5]], dtype=np.float32))
    found, said = rounded(values)
    assert found.toarray().tolist() == [[0, 1, 3], [0, 4, 2]]
    assert (said.n_changed, said.n_values, said.n_zero, said.before, said.after) == (
        4,
        5,
        1,
        pytest.approx(10),
        10,
    )


def test_normalized_values_are_told_from_corrected_counts(adata, rng):
    kept = adata.X[np.ravel(adata.X.sum(axis=1)) > 20]
    scaled = sparse.csr_matrix(kept.toarray() / np.asarray(kept.sum(axis=1)) * 1e4)
    for values in (scaled, log_normalized(kept), log_normalized(kept)[:, :12], scaled[:, :12]):
        assert is_normalized(values)
        assert kind_of(values) == "normalized"
    corrected = kept.copy()
    corrected.data *= rng.uniform(0.6, 1.0, corrected.nnz)
    few = kept.copy()
    few.data[::5] *= 0.9
    assert kind_of(corrected) == kind_of(few) == "fractions"


def test_whole_numbers_that_are_no_counts_are_warned_of(adata):
    kept = adata.X[np.ravel(adata.X.sum(axis=1)) > 20]
    assert looks_odd(kept, "x") == ()
    scaled = np.round(kept.toarray() / np.asarray(kept.sum(axis=1)) * 1e4)
    assert "sum to about 10,000" in looks_odd(sparse.csr_matrix(scaled), "x")[0]
    partly = sparse.csr_matrix(scaled[:, :12])  # a panel of it
    assert "no value of 1" in looks_odd(partly, "x")[0]
    assert "no value is above 1" in looks_odd(sparse.csr_matrix(kept > 0, dtype=np.float32), "x")[0]
    assert "Give the raw counts" in looks_odd(partly, "x")[0]


@pytest.mark.shared_data
def test_no_real_counts_are_warned_of(shared):
    for path in sorted(
        [*shared.glob("states/*.h5ad"), *shared.glob("pretrain/*.h5ad"), *shared.glob("golden/**/*.h5ad")]
    ):
        backed = ad.read_h5ad(path, backed="r")
        matrix = sparse.csr_matrix(backed.X[:200])
        backed.file.close()
        assert looks_odd(matrix, path.name) == ()
        assert kind_of(matrix) == "counts"


def test_several_files_keep_the_genes_of_all_and_a_column_names_them(adata, tmp_path):
    adata[:40, :28].copy().write_h5ad(tmp_path / "rest.h5ad")
    adata[20:, 3:].copy().write_h5ad(tmp_path / "stim.h5ad")
    paths = [tmp_path / "rest.h5ad", tmp_path / "stim.h5ad"]
    cells, _ = read_cells(paths)
    assert cells.gene_ids.tolist() == IDS[3:28]
    assert cells.obs["batch"].tolist() == ["rest"] * 40 + ["stim"] * 40
    assert cells.obs.index[0] == "c0-rest"
    assert abs(cells.counts_ng - sparse.vstack([adata.X[:40, 3:28], adata.X[20:, 3:28]])).sum() == 0
    assert "Genes that not every file measures are left out: 3 of 'rest', 2 of 'stim'" in cells.notes
    assert cells.origins == tuple(read_cells(path)[0].digest for path in paths)
    assert cells.digest != read_cells(paths[::-1])[0].digest


def test_quality_control_leaves_out_what_is_asked_and_says_what_more_would(adata):
    adata.var["gene_name"] = [*NAMES[:28], "MT-ND1", "MT-CO1"]
    adata.obs["doublet_score"] = np.linspace(0, 1, 60)
    adata.obs["predicted_doublet"] = adata.obs["doublet_score"] > 0.9
    dense = adata.X.toarray()
    total, mito = dense.sum(axis=1), dense[:, 28:].sum(axis=1)
    cells, _ = from_adata(adata, reading=Reading(min_counts=40, max_mito=0.05, subset="kind == 'T'"))
    kept = (adata.obs["kind"] == "T").to_numpy() & (total >= 40) & (mito <= 0.05 * total)
    assert list(cells.obs.index) == list(adata.obs_names[kept])
    assert f"keeps {int((adata.obs['kind'] == 'T').sum())} of 60 cells" in cells.notes[0]
    off = from_adata(adata)[0].notes[-1]
    assert f"{int((dense > 0).sum(axis=1).size)} below 200 genes (`--min-genes 200`)" in off
    assert "45 with a `doublet_score` above 0.25 (`--max-doublet-score 0.25`)" in off
    assert '6 that `predicted_doublet` calls doublets (`--subset "not predicted_doublet"`)' in off


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("kind == 'T' and donor != 'd3'", [True, False, False]),
        ("`n genes` > 2 or kind in ['B']", [False, True, True]),
        ("kind.str.startswith('T') & ~(donor == 'd3')", [True, False, False]),
        ("good", [True, False, False]),
    ],
)
def test_a_query_is_that_of_pandas_and_what_is_missing_is_false(expression, kept):
    obs = pd.DataFrame(
        {"donor": ["d1", "d1", "d3"], "n genes": [1, 2, 3], "good": pd.array([True, False, None])}
    )
    obs["kind"] = pd.Categorical(["T", "B", "T"])
    assert query(obs, expression, "x").tolist() == kept


@pytest.mark.parametrize(
    "expression",
    [
        "kind.to_csv('x')",
        "kind.__class__",
        "@pd.eval('1')",
        "open('x')",
        "kind.str.__init__()",
        "[k for k in kind]",
    ],
)
def test_a_query_runs_no_code(expression):
    with pytest.raises(InputError, match="`--subset`"):
        query(pd.DataFrame({"kind": ["T"]}), expression, "x")


def test_options_that_are_left_as_they_are_decide_nothing_that_was_decided_before():
    config = CellsConfig(path="c.h5ad", state_column="s", start="a", goal="b")
    assert config.decisive == {"path": "", "state_column": "s", "start": "a", "goal": "b", "min_cells": 20}
    entry = PerturbedConfig(path="p.h5ad", target_column="t", control="NT", modality="crispri")
    assert not set(options_of(entry)) & set(vars(Reading()))
    more = PerturbedConfig(**vars(entry) | {"subset": "kind == 'T'"})
    assert options_of(more) == options_of(entry) | {"subset": "kind == 'T'"}
