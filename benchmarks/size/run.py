"""Does memory grow with the cells? Files of random counts, checked and encoded by the commands that a user types.

    python benchmarks/size/run.py OUT [--cells 50000 --cells 500000] [--layout csr|csc] [--play]

20,000 genes, about 1,250 of them in a cell, half of the cells in each state, four donors; the model is random, small, and knows
all genes. Prints peak memory (all of the process, mapped files too) and seconds of `init` (which checks and encodes), `check` and,
with `--play`, of the in-silico edits (`play --until perturb`, one cell a gene). Each runs alone. Files stay in OUT for the next time.
"""

import os
import shutil
import subprocess
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import torch
import typer
from scipy import sparse
from transformers import BertConfig, BertModel

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer

GENES = [f"ENSG{number:011d}" for number in range(20_000)]
PIECE = 5_000
INIT = ("--state-column", "state", "--start", "rest", "--goal", "act", "--donor-column", "donor")


class Layout(StrEnum):
    """How the matrix lies in the file: by cells or by genes."""

    csr = "csr"
    csc = "csc"


def piece(rng: np.random.Generator) -> sparse.csr_matrix:
    """Counts of some cells."""
    rows = [np.unique(rng.integers(0, len(GENES), 1_290)) for _ in range(PIECE)]
    indptr = np.cumsum([0, *map(len, rows)])
    values = (1 + rng.poisson(0.7, indptr[-1])).astype(np.float32)
    return sparse.csr_matrix(
        (values, np.concatenate(rows).astype(np.int32), indptr), shape=(PIECE, len(GENES))
    )


def make_cells(path: Path, n_cells: int, layout: Layout) -> None:
    """Write the file; pieces of five kinds follow each other."""
    rng = np.random.default_rng(0)
    kinds = [piece(rng) for _ in range(5)]
    pieces = [kinds[place % len(kinds)] for place in range(n_cells // PIECE)]
    cell_n = np.arange(len(pieces) * PIECE)
    obs = pd.DataFrame(
        {
            "state": pd.Categorical.from_codes(cell_n % 2, ["rest", "act"]),
            "donor": pd.Categorical.from_codes(cell_n % 4 // 2, ["d1", "d2"]),
        },
        index=np.char.add("c", cell_n.astype(str)),
    )
    beside = path.with_suffix(".partial")
    with h5py.File(beside, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        ad.io.write_elem(file, "obs", obs)
        ad.io.write_elem(file, "var", pd.DataFrame(index=GENES))
        if layout is Layout.csc:
            ad.io.write_elem(file, "X", sparse.csc_matrix(sparse.vstack(pieces)))
        else:
            write_rows(file, pieces)
    beside.rename(path)


def write_rows(file: h5py.File, pieces: list[sparse.csr_matrix]) -> None:
    """Write a sparse matrix by rows, piece by piece."""
    group = file.create_group("X")
    shape = (len(pieces) * PIECE, len(GENES))
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
    ends = np.cumsum([0, *(one.nnz for one in pieces)])
    for name in ("data", "indices"):
        stored = group.create_dataset(name, (ends[-1],), getattr(pieces[0], name).dtype, chunks=(100_000,))
        for start, one in zip(ends[:-1], pieces, strict=True):
            stored[start : start + one.nnz] = getattr(one, name)
    indptr = [one.indptr[:-1].astype(np.int64) + start for start, one in zip(ends[:-1], pieces, strict=True)]
    group["indptr"] = np.concatenate([*indptr, ends[-1:]])


def make_model(folder: Path) -> None:
    """Write a random encoder that knows all genes."""
    torch.manual_seed(0)
    words = Vocabulary.of_genes(
        GENES, GENES, np.random.default_rng(0).uniform(0.5, 2, len(GENES)), max_length=2048
    )
    config = BertConfig(
        vocab_size=words.size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=2048,
    )
    Geneformer(BertModel(config, add_pooling_layer=False), words, pooling="mean").save(
        folder, {"name": "random"}
    )


def measured(*command: str) -> tuple[float, float]:
    """Peak memory in GB and seconds of a command."""
    start = time.monotonic()
    with subprocess.Popen(
        ["perturbloop", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        told = running.stdout.read()
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(told)
    return used.ru_maxrss / 1e6, time.monotonic() - start


def main(
    out: Path,
    cells: Annotated[list[int] | None, typer.Option(help="Cells of a file.")] = None,
    layout: Annotated[Layout, typer.Option(help="How the matrix lies in the file.")] = Layout.csr,
    play: Annotated[bool, typer.Option(help="Edit genes, too.")] = False,
) -> None:
    """Make the files, run the commands, print the table."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "model").is_dir():
        make_model(out / "model")
    print("cells      layout  command   peak GB  seconds")
    for n_cells in cells or [50_000, 500_000]:
        path = out / f"{layout}_{n_cells}.h5ad"
        if not path.is_file():
            make_cells(path, n_cells, layout)
        campaign = out / f"campaign_{layout}_{n_cells}"
        shutil.rmtree(campaign, ignore_errors=True)
        init = ("init", str(campaign), "--cells", str(path), "--model", str(out / "model"), *INIT)
        edits = ("--cells-per-gene", "1", "--full-cells-per-gene", "1", "--kinds", "delete")
        commands = [(*init, *edits), ("check", str(campaign))]
        if play:
            commands += [("play", str(campaign), "--until", "perturb"), ("check", str(campaign))]
        for command in commands:
            peak, seconds = measured(*command)
            print(f"{n_cells:<10,} {layout:7} {command[0]:9} {peak:7.2f} {seconds:8.1f}", flush=True)


if __name__ == "__main__":
    typer.run(main)
