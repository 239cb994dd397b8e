"""Files of cells as they lie on a disk, through the command line: what is read, and what is said of what cannot be."""

import shlex
import shutil
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError

IDS = [f"ENSG{number:011d}" for number in range(30)]
STATES = "--state-column state --start a --goal b --design single --knowledge-leave-out all"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory, random_geneformer):
    """A random encoder of thirty genes."""
    words = Vocabulary.of_genes(IDS, [f"GENE{n}" for n in range(30)], np.ones(30), max_length=16)
    folder = tmp_path_factory.mktemp("model") / "model"
    random_geneformer(words).save(folder, {})
    return folder


def cells(n_cells=60, seed=0):
    """Cells of two states."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 2.0, size=(n_cells, 1)) * rng.gamma(1.0, 1.0, size=30)
    counts = sparse.csr_matrix(rng.poisson(rates).astype(np.float32))
    obs = pd.DataFrame(
        {"state": ["a", "b"] * (n_cells // 2), "kind": ["T", "T", "B"] * (n_cells // 3)},
        index=[f"c{n}" for n in range(n_cells)],
    )
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=IDS))


@pytest.fixture
def run(model_folder, tmp_path, monkeypatch):
    """Make a campaign of what lies in a folder; `run(line)` returns what is said."""
    monkeypatch.chdir(tmp_path)

    def run(line, *, states=STATES, fails=False):
        shutil.rmtree("study", ignore_errors=True)
        done = CliRunner().invoke(
            app, shlex.split(f"init study {line} {states} --model {model_folder}"), catch_exceptions=False
        )
        assert done.exit_code == int(fails), done.output
        assert Path("study").exists() != fails
        return done.stderr if fails else done.stdout

    return run


def test_counts_a_subset_and_quality_control_are_named_and_checked_again(run):
    adata = cells(90)
    adata.obs.loc[adata.obs_names[:6], "state"] = None
    adata.layers["counts"], adata.X = adata.X, adata.X * 0.37
    adata.write_h5ad("c.h5ad")
    said = run("--cells c.h5ad --subset \"kind == 'T'\" --min-counts 5")
    assert "Raw counts are `layers['counts']` of c.h5ad" in said
    assert "`--subset kind == 'T'` keeps 60 of 90 cells" in said
    assert (
        "4 of 60 cells are in neither state and left out; `obs['state']` says of them: nothing (4)." in said
    )
    assert "Quality control left out 0 of 60 cells: 0 below 5 counts" in said
    assert "below 200 genes (`--min-genes 200`)" in said
    again = CliRunner().invoke(app, ["check", "study"], catch_exceptions=False)
    assert set(again.stdout.splitlines()) < set(said.splitlines())
    assert "subset = \"kind == 'T'\"" in Path("study/campaign.toml").read_text()


def test_kinds_of_cells_that_differ_are_named_with_the_query_for_one(run):
    adata = cells()
    adata.obs["cell type"] = np.where((adata.obs["state"] == "a") & (np.arange(60) < 30), "B cell", "T cell")
    adata.write_h5ad("c.h5ad")
    said = run("--cells c.h5ad")
    assert "by `obs['cell type']`" in said
    assert "by up to 50 points ('B cell': 50 % of the start, 0 % of the goal)" in said
    assert "`--subset \"`cell type` == 'T cell'\"`" in said


def test_several_files_are_a_campaign_that_is_found_again_where_they_were_moved(run):
    for seed, name in enumerate(("rest", "stim")):
        cells(seed=seed).write_h5ad(f"{name}.h5ad")
    said = run(
        "--cells rest.h5ad stim.h5ad",
        states="--state-column batch --start stim --goal rest --knowledge-leave-out all",
    )
    assert "2 files, told apart by `obs['batch']`: 'rest' (60 cells), 'stim' (60 cells)" in said
    assert 'path = ["../rest.h5ad", "../stim.h5ad"]' in Path("study/campaign.toml").read_text()
    Path("moved").mkdir()
    for name in ("rest.h5ad", "stim.h5ad"):
        Path(name).rename(Path("moved") / name)
    assert "relocate study --cells NEW" in CliRunner().invoke(app, ["check", "study"]).stderr
    moved = ["relocate", "study", "--cells", "moved/rest.h5ad", "moved/stim.h5ad"]
    assert CliRunner().invoke(app, moved, catch_exceptions=False).exit_code == 0
    assert CliRunner().invoke(app, ["check", "study"], catch_exceptions=False).exit_code == 0


def test_corrected_counts_are_rounded_where_that_is_asked_for(run):
    adata = cells()
    adata.X.data *= np.random.default_rng(1).uniform(0.6, 1.0, adata.X.nnz).astype(np.float32)
    adata.write_h5ad("c.h5ad")
    values = adata.X.data
    said = run("--cells c.h5ad --round")
    change = 100 * (np.round(values).sum(dtype=float) / values.sum(dtype=float) - 1)
    assert f"{adata.X.nnz:,} of {adata.X.nnz:,} values of `X` were fractions and are rounded" in said
    assert f"changes by {change:+.2f} %" in said


# ------------------------------------------------------------------------------ what is refused, and how


def hdf5(name, *groups):
    with h5py.File(name, "w") as file:
        for group in groups:
            file.create_group(group)


def changed(change, *, name="c.h5ad"):
    """Write cells after a change."""
    adata = cells()
    adata = change(adata) or adata
    adata.write_h5ad(name)


def two_places(adata):
    adata.layers["counts"] = adata.X * 2


def velocity(adata):
    adata.layers["spliced"], adata.layers["unspliced"] = adata.X.copy(), adata.X.copy()
    adata.X = adata.X * 0.37


def corrected(adata):
    adata.X.data *= np.random.default_rng(1).uniform(0.6, 1.0, adata.X.nnz).astype(np.float32)


def logged(adata):
    adata.X = sparse.csr_matrix(np.log1p(adata.X.toarray() / np.asarray(adata.X.sum(axis=1)) * 1e4))


def scaled(adata):
    adata.layers["counts"] = adata.X.copy()
    adata.layers["counts"].data[::9] *= -1
    adata.X = adata.X * 0.37


def cut_rows():
    changed(lambda adata: None)
    with h5py.File("c.h5ad", "a") as file:
        file["X"].attrs["shape"] = [50, 30]
        indptr = file["X/indptr"][:51]
        del file["X/indptr"]
        file["X/indptr"] = indptr


def tenx(kind="Gene Expression", *, n_barcodes=3, without=""):
    folder = Path("filtered_feature_bc_matrix")
    folder.mkdir()
    (folder / "matrix.mtx").write_text("%%MatrixMarket matrix coordinate integer general\n30 3 1\n1 1 4\n")
    (folder / "features.tsv").write_text("".join(f"{gene}\t{gene}\t{kind}\n" for gene in IDS))
    (folder / "barcodes.tsv").write_text("".join(f"b{n}\n" for n in range(n_barcodes)))
    (folder / without).unlink() if without else None


def two_samples():
    Path("deposit").mkdir()
    for name in ("GSM1_matrix.mtx.gz", "GSM2_matrix.mtx.gz"):
        (Path("deposit") / name).touch()


def zarr_without(part):
    cells().write_zarr("c.zarr", chunks=None)
    found = next(Path("c.zarr").glob(part))
    shutil.rmtree(found) if found.is_dir() else found.unlink()


def no_shared_genes():
    cells().write_h5ad("a.h5ad")
    changed(lambda adata: adata[:, 20:].copy(), name="b.h5ad")
    changed(lambda adata: adata[:, :20].copy(), name="a.h5ad")


MALFORMED = [
    (
        lambda: Path("c.rds").write_text("x"),
        "c.rds",
        "",
        r"an object of R .* does not read.*\n.*readRDS\(\"c.rds\"\)\)\n.*writeH5AD\(sce, \"c.h5ad\"",
    ),
    (
        lambda: Path("c.xlsx").write_text("x"),
        "c.xlsx",
        "",
        r"an Excel sheet.*\n  import anndata, pandas\n.*read_excel\(\"c.xlsx\"",
    ),
    (lambda: Path("c.csv").write_text("x"), "c.csv", "", r"a text table.* `.T` .*genes are rows"),
    (
        lambda: Path("c.h5ad.gz").write_text("x"),
        "c.h5ad.gz",
        "",
        r"Unpack it, in a terminal:\n  gunzip c.h5ad.gz",
    ),
    (lambda: hdf5("c.h5", "mod"), "c.h5", "", r"a MuData file.*\n.*\n.*read_h5mu\(\"c.h5\"\)"),
    (
        lambda: hdf5("molecule_info.h5", "barcode_idx"),
        "molecule_info.h5",
        "",
        "list of molecules.*filtered_feature_bc_matrix.h5",
    ),
    (lambda: hdf5("c.h5", "weights"), "c.h5", "", "an HDF5 file that holds `weights`. Give"),
    (
        lambda: hdf5("c.loom", "row_attrs", "col_attrs"),
        "c.loom",
        "",
        "c.loom must be .* damaged or cut off.*Copy",
    ),
    (
        lambda: tenx(without="barcodes.tsv"),
        "filtered_feature_bc_matrix",
        "",
        "there is no `barcodes.tsv`: 'features.tsv', 'matrix.mtx'. Copy",
    ),
    (
        lambda: tenx(n_barcodes=2),
        "filtered_feature_bc_matrix",
        "",
        "must belong together; .* 30 × 3 .* 30 features .* 2 barcodes",
    ),
    (
        lambda: tenx("Antibody Capture"),
        "filtered_feature_bc_matrix",
        "",
        "kind 'Gene Expression'; it holds 'Antibody Capture' only",
    ),
    (
        tenx,
        "filtered_feature_bc_matrix",
        "",
        "says nothing of its cells.* `--cells REST STIM --state-column batch`",
    ),
    (two_samples, "deposit", "", "holds 2 matrices: 'GSM1_matrix.mtx.gz'.*Name the matrices themselves"),
    (
        lambda: (Path("outs").mkdir(), cells().write_h5ad("outs/c.h5ad")),
        "outs",
        "",
        "Cells in it: 'c.h5ad'. Name one",
    ),
    (lambda: zarr_without("X/data/*0"), "c.zarr", "", "1 of 1 parts of its values are missing.*Copy"),
    (lambda: zarr_without("obs"), "c.zarr", "", "a zarr folder that AnnData wrote; it is damaged"),
    (
        lambda: changed(two_places),
        "c.h5ad",
        "",
        r"different whole numbers in `X` \(30 genes\), `layers\['counts'\]`.*`--counts X` or `--counts layers/counts`",
    ),
    (
        lambda: changed(velocity),
        "c.h5ad",
        "",
        "spliced and unspliced counts only.*`--counts layers/spliced`, or add them up",
    ),
    (
        lambda: changed(two_places),
        "c.h5ad",
        "--counts layers/count",
        "has 'X', 'layers/counts', and 'layers/count' came. Name one",
    ),
    (
        lambda: changed(corrected),
        "c.h5ad",
        "",
        r"no whole numbers: .*corrected for ambient RNA .* `--round` rounds",
    ),
    (lambda: changed(logged), "c.h5ad", "--round", "Rounding makes no counts of them. They were normalized"),
    (lambda: changed(scaled), "c.h5ad", "", r"The file holds: `X` .*, `layers\['counts'\]` negative values"),
    (
        lambda: changed(lambda adata: setattr(adata, "X", None)),
        "c.h5ad",
        "",
        "must hold cells and genes; it holds 60 × 0",
    ),
    (cut_rows, "c.h5ad", "", "a row for each cell .* it is 50 × 30, for 60 cells and 30 genes"),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        '--subset "knd == 1"',
        "'state', 'kind'; 'knd' is none. The closest is 'kind'",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        "--subset \"kind = 'T'\"",
        "cannot be read: .* Put texts in quotes",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        "--subset \"kind == 'X'\"",
        "is true of none of 60. `kind` holds 'T', 'B'. Correct",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        "--subset kind",
        "must be true or false of each cell; 'kind' is neither",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        "--subset \"kind.to_csv('x')\"",
        "does more than that. Use ==, !=",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        "--max-mito 0.2",
        "`--max-mito` needs mitochondrial genes .* has neither. Leave it out",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        "--max-doublet-score 0.2",
        "needs a column of `obs` like `doublet_score`",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad",
        "--min-counts 100000",
        "of 60 none does: Quality control left out 60 of 60.*Lower",
    ),
    (
        no_shared_genes,
        "a.h5ad b.h5ad",
        "",
        "must measure the same genes; 'a', 'b' share none. Make a campaign of each",
    ),
    (
        lambda: changed(lambda _: None),
        "c.h5ad c.h5ad",
        "",
        "named once, as its cells would count twice.*Leave the repeats out",
    ),
]
"""What is written, the name that is typed, more options, and what the refusal says."""


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("write", "name", "options", "says"), MALFORMED, ids=[f"{case[3][:40]}" for case in MALFORMED]
)
def test_what_cannot_be_cells_is_said_with_what_to_do(run, write, name, options, says):
    write()
    refusal = run(f"--cells {name} {options}", fails=True)
    assert refusal.startswith("Error: ")
    with pytest.raises(ValueError, match=f"(?s){says}"):
        raise ValueError(refusal)


def test_the_front_door_takes_backed_objects_layers_and_lists_of_paths(model_folder, tmp_path):
    import perturbloop as pl

    adata = cells()
    expected = adata.X.copy()
    adata.raw = adata.copy()
    adata.layers["counts"], adata.X = adata.X.copy(), adata.X * 0.37
    adata.write_h5ad(tmp_path / "c.h5ad")
    backed = ad.read_h5ad(tmp_path / "c.h5ad", backed="r")
    options = {
        "state": "state",
        "start": "a",
        "goal": "b",
        "model": model_folder,
        "knowledge_leave_out": ("all",),
    }
    options |= {"design": "single"}
    study = pl.Campaign.create(
        tmp_path / "one", backed, **options, counts="layers/counts", subset="kind == 'T'"
    )
    backed.file.close()
    assert any("`layers['counts']` of cells.h5ad" in line for line in study.check())
    kept = ad.read_h5ad(tmp_path / "one" / "cells" / "cells.h5ad")
    assert abs(kept.layers["counts"] - expected).sum() == abs(kept.raw.X - expected).sum() == 0
    cells(seed=1).write_h5ad(tmp_path / "d.h5ad")
    several = pl.Campaign.create(tmp_path / "two", [tmp_path / "c.h5ad", str(tmp_path / "d.h5ad")], **options)
    assert any(
        "told apart by `obs['batch']`: 'c' (60 cells), 'd' (60 cells)" in line for line in several.check()
    )
    with pytest.raises(InputError, match=r"named by their paths; 'AnnData' came. .*anndata.concat"):
        pl.Campaign.create(tmp_path / "three", [adata], **options)
