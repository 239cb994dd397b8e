"""Perturbed cells are read by the same options as the cells of the states."""

import json
import shlex

from anndata import read_h5ad
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.data import toy
from perturbloop.loop.campaign import init


def test_perturbed_cells_are_selected_and_their_counts_found_when_they_are_recorded(few, tmp_path):
    adata = read_h5ad(few.perturbed_path)
    adata.layers["raw_counts"], adata.X = adata.X.copy(), adata.X * 0.5
    adata.write_h5ad(tmp_path / "moved.h5ad")
    init(tmp_path / "study", few.config())
    line = (
        f"record {tmp_path / 'study'} --perturbed {tmp_path / 'moved.h5ad'} --target-column target --control {toy.CONTROL} "
        "--modality crispri --min-cells 2 --json"
    )
    every, some = (
        json.loads(CliRunner().invoke(app, [*shlex.split(line), *more], catch_exceptions=False).stdout)
        for more in ((), ("--subset", "replicate != 'replicate 1'", "--min-counts", "1", "--replace"))
    )
    assert "error" not in some, some
    assert every["reading"][0] == "Raw counts are `layers['raw_counts']` of moved.h5ad"
    kept = adata.obs["replicate"].astype(str) != "replicate 1"
    assert 0 < kept.sum() < len(kept)
    assert (every["n_cells_read"], some["n_cells_read"]) == (len(kept), int(kept.sum()))
    assert every["folder"] != some["folder"]  # measured anew
