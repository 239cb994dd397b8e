"""Encoding cells, ours and the published tokenizer's: the same file of counts to tokens on the disk, one core each, by turns.

    python benchmarks/tokenize/run.py CHECKOUT --reference-python PYTHON [--cells 10000] [--times 3]

CHECKOUT is a Geneformer repository of the generation of 30M cells (its `geneformer/` holds tokenizer and dictionaries), PYTHON an
interpreter with its dependencies (anndata < 0.11, datasets, loompy). The cells are random: about 1,000 genes of the vocabulary each.
Seconds are user + system of the process; `tests/golden` says that the tokens are the same.
"""

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import anndata as ad
import numpy as np
import pandas as pd
import typer
from scipy import sparse

OURS = """
import sys
from pathlib import Path
from perturbloop.data import survey
from perturbloop.data.cells import read_cells
from perturbloop.data.token_files import tokens_of
from perturbloop.data.vocabulary import Vocabulary
survey.MOST_HELD = 0  # to the disk, as of a large file
words = Vocabulary.published(Path(sys.argv[1]) / "geneformer", generation="30M")
cells, _ = read_cells(sys.argv[2], names=words.names)
tokens_of(cells, words, folder=Path(sys.argv[3]), keeps=True)
"""
THEIRS = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("tokenizer", Path(sys.argv[1]) / "geneformer" / "tokenizer.py")
tokenizer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tokenizer)
made = tokenizer.TranscriptomeTokenizer({}, nproc=1)
made.tokenize_data(Path(sys.argv[2]).parent, sys.argv[3], "cells", file_format="h5ad")
"""


def make_cells(path: Path, checkout: Path, n_cells: int) -> None:
    """Counts of about 1,000 genes of the vocabulary in each cell, with the columns that the published tokenizer asks for."""
    rng = np.random.default_rng(0)
    with (checkout / "geneformer" / "gene_median_dictionary.pkl").open("rb") as file:
        genes = sorted(gene for gene, median in pickle.load(file).items() if median > 0)[:20_000]
    rows = [np.unique(rng.integers(0, len(genes), 1_025)) for _ in range(n_cells)]
    indptr = np.cumsum([0, *map(len, rows)])
    values = (1 + rng.poisson(0.7, indptr[-1])).astype(np.float32)
    counts = sparse.csr_matrix((values, np.concatenate(rows), indptr), shape=(n_cells, len(genes)))
    obs = pd.DataFrame(
        {"n_counts": np.ravel(counts.sum(axis=1))}, index=[f"c{place}" for place in range(n_cells)]
    )
    ad.AnnData(counts, obs=obs, var=pd.DataFrame({"ensembl_id": genes}, index=genes)).write_h5ad(path)


def seconds(python: str, script: str, checkout: Path, cells: Path, out: Path) -> float:
    """User and system seconds of one run."""
    before = os.times()
    subprocess.run(
        [python, "-c", script, str(checkout), str(cells), str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main(
    checkout: Path,
    reference_python: Annotated[str, typer.Option(help="Interpreter of the published tokenizer.")],
    cells: Annotated[int, typer.Option(help="Cells.")] = 10_000,
    times: Annotated[int, typer.Option(help="Runs of each.")] = 3,
) -> None:
    """Time both by turns, and what each costs without any cell: starting, reading dictionaries."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = {"few": 200, "many": cells}
        for name, size in sizes.items():
            (place / name).mkdir()
            make_cells(place / name / "cells.h5ad", checkout, size)
        least: dict[tuple[str, str], float] = {}
        for number in range(times):
            for name in sizes:
                for who, python, script in (
                    ("ours", sys.executable, OURS),
                    ("published", reference_python, THEIRS),
                ):
                    out = place / f"{who}-{name}-{number}"
                    took = seconds(python, script, checkout, place / name / "cells.h5ad", out)
                    least[who, name] = min(took, least.get((who, name), np.inf))
    print("            200 cells   all  microseconds a cell more")
    each = {
        who: (least[who, "many"] - least[who, "few"]) / (cells - 200) * 1e6 for who in ("ours", "published")
    }
    for who, cost in each.items():
        print(f"{who:10} {least[who, 'few']:8.2f} s {least[who, 'many']:8.2f} s {cost:10.0f}")
    print(
        f"published : ours, a cell {each['published'] / each['ours']:.1f} ×, all {least['published', 'many'] / least['ours', 'many']:.1f} ×"
    )


if __name__ == "__main__":
    typer.run(main)
