"""Malformed genes, labels and guide calls, each with its own cause, refused by the command in words that say what to do."""

import shlex

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

from perturbloop.cli import app

N = 12
CALLS = "cell_barcode,num_features,feature_call,num_umis\n"


def command(line):
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, shlex.split(line), catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def study(made, tmp_path_factory):
    """A campaign that was made and not played, and the toy's genes."""
    folder, config = tmp_path_factory.mktemp("names") / "study", made.config()
    options = f"--cells {config.cells.path} --state-column state --start stimulated --goal resting --donor-column donor_id"
    code, out, err = command(f"init {folder} {options} --model {made.model}")
    assert code == 0, err
    return folder, out, options, ad.read_h5ad(config.cells.path).var


def cells(path, labels, var, *, column="target", uns=None, **more):
    """Write perturbed cells, twelve of each label."""
    obs = pd.DataFrame({name: np.repeat(values, N) for name, values in {column: labels, **more}.items()})
    obs.index = [f"AAAC{place:04d}-1" for place in range(len(obs))]
    counts = np.random.default_rng(0).poisson(1.0, (len(obs), len(var))).astype(np.float32)
    ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=var, uns=uns or {}).write_h5ad(path)
    return path


def test_check_says_by_which_way_genes_were_found_as_shares_of_counts(study):
    _, out, _, var = study
    assert f"{len(var)} genes from {len(var)} rows of `var`" in out
    assert "by id" in out
    assert "(100.00%) of all counts" in out


MOUSE = ["Stat1", "Jak1", "Cd3e", "Lck"]


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        ([f"ENSMUSG{n:011d}" for n in range(4)], "", "4 of 4 labels are mouse genes"),
        ([f"ENSDARG{n:011d}.1" for n in range(4)], "", "are zebrafish genes"),
        (MOUSE, "", "4 of 4 labels are mouse genes: 'Stat1'"),
        ([f"mm10___{name}" for name in MOUSE], "", "are mouse genes: 'mm10___Stat1'"),
        (["x1", "x2", "x3", "x4"], "", "0 of the 4 labels in `var_names` are; unknown are for instance 'x1'"),
        (["x1", "x2", "x3", "x4"], "--gene-column ensmbl", "`var` of c.h5ad has no column 'ensmbl'"),
    ],
)
def test_genes_that_cannot_be_mapped_are_refused(study, made, tmp_path, labels, options, says):
    counts = sparse.csr_matrix(np.ones((60, 4), dtype=np.float32))
    obs = pd.DataFrame(
        {"state": np.repeat(["stimulated", "resting"], 30)}, index=[f"c{n}" for n in range(60)]
    )
    ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=labels)).write_h5ad(tmp_path / "c.h5ad")
    line = f"init {tmp_path / 's'} --cells {tmp_path / 'c.h5ad'} --state-column state --start stimulated --goal resting"
    code, _, err = command(f"{line} --model {made.model} {options}")
    assert code == 1
    assert says in err


def described(**entries):
    return {"uns": {"genetic_perturbations": entries}, "column": "genetic_perturbation_id"}


GENETIC = "--target-column genetic_perturbation_id --control control"


@pytest.mark.parametrize(
    ("labels", "file", "options", "says"),
    [
        (
            ["A", "NT-1"],
            {},
            "--target-column target --control NT-1 --control NT-9",
            "Control label 'NT-9' must occur in",
        ),
        (["A", "NT-1"], {}, "--target-column target --control XX-*", "it looks like 'NT-1'"),
        (["A", "NT"], {}, "--control NT", "needs `--target-column` and `--control` and `--modality`"),
        (
            ["A", "NT"],
            {},
            "--target-column target --control NT --mixscape ko",
            "needs the column 'mixscape_class'",
        ),
        (
            ["A", "NT"],
            {},
            "--target-column target --control NT --several both",
            "must be among 'drop', 'combine'",
        ),
        (["A", "B"], {"column": "genetic_perturbation_id"}, GENETIC, "needs `uns['genetic_perturbations']`"),
        (["A", "B"], described(A={"role": "targeting"}), GENETIC, "1 of 2 are not: 'B'"),
        (["A"], described(A={"protospacer_sequence": "ACGT"}), GENETIC, "'A' of it have no role"),
        (["A"], described(A={"role": "targeting"}), GENETIC, "Control label 'control' must occur in"),
    ],
)
def test_labels_that_cannot_be_read_are_refused(study, tmp_path, labels, file, options, says):
    folder, _, _, var = study
    path = cells(tmp_path / "p.h5ad", labels, var, **file)
    code, _, err = command(f"record {folder} --perturbed {path} --modality crispri {options}")
    assert code == 1
    assert says in err


ROWS = "".join(f"AAAC{n:04d}-1,1,{'NT-1' if n < N else 'G-1'},5\n" for n in range(2 * N))


@pytest.mark.parametrize(
    ("calls", "options", "says"),
    [
        (None, "", "Guide calls are needed at"),
        ("", "", "c.csv must be a table of guide calls; it cannot be read"),
        ("barcode,guide\na,b\n", "", "it lacks 'cell_barcode', 'num_features', 'feature_call'"),
        (CALLS, "", "it holds no cell"),
        (
            CALLS + ROWS + "AAAC0000-1,1,NT-2,3\n",
            "",
            "must name each cell once; these occur twice: 'AAAC0000-1'",
        ),
        (
            CALLS + ROWS.replace(",1,G-1", ",2,G-1"),
            "",
            "in 12 of 24 rows it does not, for instance '2' for 'G-1'",
        ),
        (CALLS + ROWS.replace("AAAC", "TTTT"), "", "hardly any is a cell there ('AAAC0000-1'"),
        (CALLS + ROWS, "--guide-column target", "`guide_column` must be left out"),
        (CALLS + ROWS.replace("NT-1", "G-2"), "", "Control label 'NT' must occur in the guides of c.csv"),
    ],
)
def test_guide_calls_that_do_not_fit_are_refused(study, tmp_path, calls, options, says):
    folder, _, _, var = study
    path = cells(tmp_path / "p.h5ad", ["a", "b"], var)
    if calls is not None:
        (tmp_path / "c.csv").write_text(calls)
    line = f"record {folder} --perturbed {path} --modality crispri --control NT --guides {tmp_path / 'c.csv'}"
    code, _, err = command(f"{line} {options}")
    assert code == 1
    assert says in err


def test_guide_calls_and_patterns_of_controls_are_recorded_end_to_end(study, tmp_path):
    """Half of the targets by each of their guides; cells with two targets are left out and told."""
    folder, _, _, var = study
    symbols = var["gene_name"].astype(str).tolist()[:8] if "gene_name" in var else var.index[:8].tolist()
    guides = ["NT-1", "NT-2", *(f"{name}-1" for name in symbols), f"{symbols[0]}-1|{symbols[1]}-2"]
    path = cells(tmp_path / "p.h5ad", guides, var)
    rows = zip(np.repeat(guides, N), range(len(guides) * N), strict=True)
    calls = tmp_path / "protospacer_calls_per_cell.csv"
    calls.write_text(CALLS + "".join(f"AAAC{n:04d}-1,{one.count('|') + 1},{one},5\n" for one, n in rows))
    code, out, err = command(
        f"record {folder} --perturbed {path} --modality crispri --control NT-1 --control 'NT-*' --guides {calls}"
    )
    assert code == 0, err
    assert "8 targets" in out
    assert "12 cells left out: guides of several genes." in out
