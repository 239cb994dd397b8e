"""What a file is, and the line to type: the line is typed as it stands, and reads the file."""

import shlex
from dataclasses import fields

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.data.genes import GeneNames
from perturbloop.data.perturbed import read_perturbed
from perturbloop.schema import PerturbedConfig

GENES = ["STAT1", "JAK1", "JAK2", "IRF1", "CD3E", "CD3G", "LCP2", "ZAP70", "VAV1", "LCK"]
IDS = [f"ENSG{place:011d}" for place in range(10)]
NAMES = GeneNames.of(dict(zip(GENES, IDS, strict=True)))
N = 24


def write(path, columns, *, genes=GENES, uns=None):
    """Write cells whose labels are repeated; `X` holds counts."""
    size = N * max(map(len, columns.values()))
    obs = pd.DataFrame({name: np.resize(np.repeat(values, N), size) for name, values in columns.items()})
    obs.index = [f"c{place}-1" for place in range(size)]
    var = pd.DataFrame({"gene_ids": IDS} if genes is GENES else {}, index=genes)
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(2.0, (size, 10)).astype(np.float32))
    ad.AnnData(counts, obs=obs, var=var, uns=uns or {}).write_h5ad(path)
    return path


def inspected(path, code=0):
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["inspect", str(path)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def typed(said, command):
    """Options of the printed line, by name; those that come several times as a tuple."""
    line = next(line for line in said.splitlines() if line.startswith(f"  perturbloop {command} study "))
    words, options = shlex.split(line)[3:], {}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = flag[2:].replace("-", "_")
        options[name] = value if name not in options else (*np.atleast_1d(options[name]).tolist(), value)
    return options


CELLXGENE = {
    **{f"g{n}": {"role": "targeting", "intended_features": {gene: ""}} for n, gene in enumerate(IDS)},
    "nt": {"role": "control"},
}
PERTURBED = {
    "an scPerturb file": (
        {
            "perturbation": ["STAT1", "JAK1_JAK2", "control", "IRF1"],
            "nperts": [1, 2, 0, 1],
            "celltype": ["T"],
        },
        {"target_column": "perturbation", "control": "control"},
        {"IRF1", "STAT1"},
    ),
    "a pertpy file (mixscape)": (
        {"gene_target": ["STAT1", "NT", "JAK1"], "mixscape_class": ["STAT1 KO", "NT", "JAK1 NP"]}
        | {
            "guide_ID": ["STAT1g1", "NTg1", "JAK1g2"],
            "replicate": ["rep1", "rep1", "rep1", "rep2", "rep2", "rep2"],
        },
        {
            "target_column": "gene_target",
            "control": "NT",
            "guide_column": "guide_ID",
            "replicate_column": "replicate",
        },
        {"JAK1", "STAT1"},
    ),
    "an Arc file (Virtual Cell)": (
        {"target_gene": ["STAT1", "non-targeting", "LCK"], "gem_group": [1, 1, 1, 2, 2, 2]},
        {"target_column": "target_gene", "control": "non-targeting", "replicate_column": "gem_group"},
        {"LCK", "STAT1"},
    ),
    "a GEARS file": (
        {"condition": ["STAT1+ctrl", "ctrl", "JAK1+ctrl"], "condition_name": ["a", "b", "c"]},
        {"target_column": "condition", "control": "ctrl"},
        {"JAK1", "STAT1"},
    ),
    "a CELLxGENE file with genetic perturbations": (
        {
            "genetic_perturbation_id": ["g0", "g1", "nt"],
            "genetic_perturbation_strategy": ["CRISPR interference screen"],
        },
        {"target_column": "genetic_perturbation_id", "control": "control", "modality": "crispri"},
        {IDS[0], IDS[1]},
    ),
    "an AnnData file": (
        {"target": ["STAT1", "NT-1", "NT-2", "NT-3", "NT-4", "JAK1"]},
        {"target_column": "target", "control": "NT*"},
        {"JAK1", "STAT1"},
    ),
}


@pytest.mark.parametrize("what", PERTURBED)
def test_the_record_line_of_a_known_layout_reads_the_file(what, tmp_path):
    columns, wanted, targets = PERTURBED[what]
    uns = {"genetic_perturbations": CELLXGENE} if "genetic_perturbation_id" in columns else None
    said = inspected(write(tmp_path / "some cells.h5ad", columns, uns=uns))
    assert f"some cells.h5ad is {what}: " in said
    assert "× 10 genes" in said
    assert "Raw counts: in `X`." in said
    options = typed(said, "record")
    assert wanted.items() <= options.items()
    config = PerturbedConfig(path=options.pop("perturbed"), **options)
    assert set(options) <= {field.name for field in fields(PerturbedConfig)}
    assert set(read_perturbed(config, names=NAMES)[0].targets) == targets


def test_a_tahoe_file_is_one_of_drugs_and_needs_their_targets(tmp_path):
    drugs = ["DMSO_TF", "Trametinib", "Sorafenib", "Dasatinib"]
    said = inspected(write(tmp_path / "t.h5ad", {"drug": drugs, "drugname_drugconc": drugs}))
    assert "is a Tahoe-100M file" in said
    options = typed(said, "record")
    assert (options["target_column"], options["control"], options["modality"]) == ("drug", "DMSO_TF", "drug")
    assert (
        "needs a table of what each compound hits" in said
        or "need a table of what each compound hits" in said
    )


def test_states_donors_and_kinds_of_cells_make_the_init_line(tmp_path):
    columns = {
        "condition": ["control", "stimulated"],
        "donor_id": ["d1", "d1", "d2", "d2"],
        "cell_type": ["CD4 T", "B"],
    }
    said = inspected(write(tmp_path / "s.h5ad", columns))
    options = typed(said, "init")
    assert options == {
        "cells": str(tmp_path / "s.h5ad"),
        "state_column": "condition",
        "start": "control",
        "goal": "stimulated",
        "donor_column": "donor_id",
        "model": "MODEL",
    }
    assert "State: `condition`: control (48), stimulated (48)" in said
    assert "--subset \"cell_type == 'CD4 T'\"" in said or "--subset \"cell_type == 'B'\"" in said


def test_mouse_cells_get_a_true_word_and_no_line(tmp_path):
    genes = ["Stat1", "Jak1", "Jak2", "Irf1", "Cd3e", "Cd3g", "Lcp2", "Zap70", "Vav1", "Lck"]
    said = inspected(write(tmp_path / "m.h5ad", {"condition": ["control", "treated"]}, genes=genes))
    assert "map those of mouse to human orthologs first" in said
    assert "Type:" not in said


def test_cellranger_matrices_and_guide_calls_are_told(tmp_path):
    with h5py.File(tmp_path / "filtered_feature_bc_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        counts = sparse.csc_matrix(np.eye(10, dtype=np.int32))
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(counts, name)
        group["shape"], group["barcodes"] = (10, 10), [f"c{n}-1".encode() for n in range(10)]
        features = {
            "id": IDS,
            "name": GENES,
            "feature_type": ["Gene Expression"] * 10,
            "genome": ["GRCh38"] * 10,
        }
        for name, values in features.items():
            group[f"features/{name}"] = [value.encode() for value in values]
    said = inspected(tmp_path / "filtered_feature_bc_matrix.h5")
    assert "is a cellranger matrix (10x): 10 cells × 10 genes" in said
    assert "--guides protospacer_calls_per_cell.csv" in said
    calls = tmp_path / "protospacer_calls_per_cell.csv"
    calls.write_text(
        "cell_barcode,num_features,feature_call,num_umis\nc1-1,1,STAT1-1,5\nc2-1,2,STAT1-1|NT-1,5|4\n"
    )
    said = inspected(calls)
    assert "is guide calls of cellranger" in said
    assert "2 cells with a guide, 1 of them with several" in said
    assert typed(said, "record")["guides"] == str(calls)


def test_a_screen_gets_the_line_that_records_it(tmp_path):
    path = tmp_path / "screen.csv"
    path.write_text("Gene,LFC,FDR\n" + "\n".join(f"{gene},{n - 4.5},0.5" for n, gene in enumerate(GENES)))
    options = typed(inspected(path), "record")
    assert options == {"screen": str(path), "modality": "crispri", "higher_is": "goal"}


def test_what_is_not_read_or_not_there_is_refused(tmp_path):
    assert "there is none" in inspected(tmp_path / "none.h5ad", 1)
    (tmp_path / "a.rds").write_bytes(b"RDX3")
    assert "an object of R" in inspected(tmp_path / "a.rds", 1)
    plain = write(tmp_path / "n.h5ad", {"x": ["a", "b"]})
    assert "No column of `obs` looks like a target with a control" in inspected(plain)


@pytest.mark.shared_data
def test_real_files_get_their_line(shared):
    said = inspected(shared / "perturbed" / "papalexi2021_thp1_rep1_rep2.h5ad")
    wanted = {"target_column": "target", "control": "non-targeting", "guide_column": "grna"}
    assert wanted.items() <= typed(said, "record").items()
    said = inspected(shared / "states" / "kang2018_ifnb_muscat_small.h5ad")
    assert typed(said, "init")["donor_column"] == "sample"
