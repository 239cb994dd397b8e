#!/usr/bin/env bash
# anndata 0.12.19 with zarr 3.1.6: cells whose chunk of counts is missing on the disk read as cells without a single count, and nothing is said.
#
# Guess, written down before the run: a store of which one chunk of `X` was lost, as an interrupted copy leaves it, raises an error, dense or
# sparse, for the shape of the array says how many chunks there must be.
# Seen: the zarr format takes a chunk that is not there for one of fill values, and writers leave chunks of zeros out, so that a lost chunk and
# an empty one are the same. `read_zarr` returns the whole shape with zeros in its place: of a sparse matrix the stored values are 0 at their
# old places, so that even the number of stored entries is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q anndata==0.12.19 zarr==3.1.6 numpy==2.4.6 pandas==2.3.3 scipy==1.17.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

rng = np.random.default_rng(0)
counts = rng.poisson(1.0, (500, 200)).astype("float32")
obs, var = (pd.DataFrame(index=[f"{name}{number}" for number in range(size)]) for name, size in zip("cg", counts.shape, strict=True))
for kind, matrix in (("dense", counts), ("sparse", sparse.csr_matrix(counts))):
    for form in (2, 3):
        anndata.settings.zarr_write_format = form
        path = Path(sys.argv[1]) / f"{kind}{form}.zarr"
        options = {"chunks": (100, 200)} if kind == "dense" else {}
        with warnings.catch_warnings(action="ignore"):  # that a later version writes another format by default
            anndata.AnnData(X=matrix, obs=obs, var=var).write_zarr(path, **options)
        values = path / "X" if kind == "dense" else path / "X" / "data"
        chunks = sorted(file for file in values.rglob("*") if file.is_file() and not file.name.startswith(".z") and file.name != "zarr.json")
        chunks[0].unlink()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            seen = anndata.read_zarr(path)
        share = float(seen.X.sum() / counts.sum())
        stored = seen.X.nnz if kind == "sparse" else "-"
        print(
            f"anndata {version('anndata')}, zarr {version('zarr')}, format {form}, {kind}: one of {len(chunks)} chunks lost: read, "
            f"{len(said)} warnings, {share:.0%} of the counts, stored entries {stored}"
        )
        assert seen.shape == counts.shape, "the shape changed"
        assert share < 0.9, "the counts are there now"
        assert not said, "it warns now"
PYTHON
