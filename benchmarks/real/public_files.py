"""Public files to AnnData, without R: Kang's blood cells with and without IFN-β, and Papalexi's knockouts in THP-1 cells.

`python benchmarks/real/public_files.py states|pretrain|perturbed DOWNLOADS CELLS.h5ad`; DOWNLOADS holds the files as GEO gives
them (`docs/howto/real_cells.md` lists them). Counts stay counts; cells are left out only where their own label says so.
"""

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import io, sparse

from perturbloop.errors import InputError, some

BATCHES = {"A": "GSM2560245", "B": "GSM2560246", "C": "GSM2560247"}
"""Kang's first experiment, three lanes of unstimulated cells."""
STATES = {"control": ("GSM2560248", "2.1", "ctrl"), "stimulated": ("GSM2560249", "2.2", "stim")}
"""Kang's second experiment: state, sample, name of its matrix, word for it in the table of cells."""
TABLE = "GSE96583_batch2.total.tsne.df.tsv.gz"
"""Its table of cells."""
ANTIBODY_NAMES = {"PDL1": "CD274", "PDL2": "PDCD1LG2"}
"""Targets that Papalexi names by protein."""


def states(folder: Path) -> anndata.AnnData:
    """Blood cells of eight donors with and without IFN-β (GSE96583, second experiment), single cells only.

    Parameters
    ----------
    folder
        Holds the two matrices, their barcodes, the genes and the table of cells, as GEO names them.

    Returns
    -------
    Raw counts, cells × genes (Ensembl ids); `obs`: `condition` (control, stimulated), `donor`, `cell_type`.
    """
    table = _table(folder, TABLE)
    parts = []
    for state, (sample, matrix, word) in STATES.items():
        cells = _matrix_market(folder, f"{sample}_{matrix}.mtx.gz", sample, "GSE96583_batch2.genes.tsv.gz")
        of_state = table[table["stim"] == word]
        # a barcode of both samples stands in the table of cells with a 1 put behind its second copy
        of_state.index = of_state.index.where(of_state.index.isin(cells.obs_names), of_state.index.str[:-1])
        _same_cells(cells.obs_names, of_state.index, f"{sample}_barcodes.tsv.gz", TABLE)
        of_state = of_state.loc[cells.obs_names]
        cells.obs = pd.DataFrame(
            {
                "condition": state,
                "donor": of_state["ind"].astype(str),
                "cell_type": of_state["cell"].fillna("unknown").astype(str),
            }
        )
        parts.append(cells[(of_state["multiplets"] == "singlet").to_numpy()])
    return anndata.concat(parts, index_unique="-", keys=list(STATES), merge="same")


def pretrain(folder: Path) -> anndata.AnnData:
    """Unstimulated blood cells of the same study's first experiment, to pretrain on; none of them is among `states`.

    Parameters
    ----------
    folder
        Holds the three matrices, their barcodes and the genes, as GEO names them.

    Returns
    -------
    Raw counts, cells × genes (Ensembl ids); `obs`: `lane`.
    """
    lanes = {
        lane: _matrix_market(folder, f"{sample}_{lane}.mat.gz", sample, "GSE96583_batch1.genes.tsv.gz")
        for lane, sample in BATCHES.items()
    }
    return anndata.concat(lanes, label="lane", index_unique="-", merge="same")


def perturbed(folder: Path) -> anndata.AnnData:
    """Knockouts in THP-1 cells under IFN-γ (GSE153056, the pooled screen), every cell.

    Parameters
    ----------
    folder
        Holds the wide tables of RNA and of guides, and the table of cells, as GEO names them.

    Returns
    -------
    Raw counts, cells × genes (symbols); `obs`: `target` (control: non-targeting), `grna`, `grna_top_frac` (share of the
    cell's guide molecules that are of its first guide, 0 to 1; low = more than one guide), `replicate`.
    """
    counts = _wide(folder, "GSM4633614_ECCITE_cDNA_counts.tsv.gz")
    guides = _wide(folder, "GSM4633618_ECCITE_GDO_counts.tsv.gz")
    table = _table(folder, "GSE153056_ECCITE_metadata.tsv.gz")
    for name, cells in (("GDO_counts", guides.obs_names), ("metadata", table.index)):
        _same_cells(counts.obs_names, cells, "the RNA counts", name)
    table, guides = table.loc[counts.obs_names], guides[counts.obs_names]
    total = np.asarray(guides.X.sum(axis=1)).ravel()
    top = guides.X.max(axis=1).toarray().ravel().astype(float)
    target = table["gene"].astype(str)
    counts.obs = pd.DataFrame(
        {
            "target": target.replace({"NT": "non-targeting", **ANTIBODY_NAMES}),
            "grna": table["guide_ID"].astype(str),
            "grna_top_frac": np.divide(top, total, out=np.zeros(len(top), dtype=float), where=total > 0),
            "replicate": table["replicate"].astype(str),
        }
    )
    return counts


def _matrix_market(folder: Path, matrix: str, sample: str, genes: str) -> anndata.AnnData:
    """One 10x matrix (genes × cells in the file), its barcodes, and a table of Ensembl ids and symbols."""
    counts = sparse.csr_matrix(io.mmread(_there(folder, matrix)).T, dtype=np.float32)
    barcodes = pd.read_csv(_there(folder, f"{sample}_barcodes.tsv.gz"), header=None)[0].astype(str)
    names = pd.read_csv(_there(folder, genes), sep="\t", header=None, names=["gene_id", "symbol"])
    if counts.shape != (len(barcodes), len(names)):
        msg = (
            f"'{matrix}' must hold {len(names):,} genes of {len(barcodes):,} cells, as its barcodes and '{genes}' do; it holds "
            f"{counts.shape[1]:,} of {counts.shape[0]:,}. Download the three again."
        )
        raise InputError(msg)
    obs = pd.DataFrame(index=barcodes.to_numpy())
    return anndata.AnnData(counts, obs=obs, var=names.set_index("gene_id"))


def _wide(folder: Path, name: str) -> anndata.AnnData:
    """One wide table, a row for each gene and a column for each cell; read line by line, since it is dense text."""
    path = _there(folder, name)
    features, rows = [], []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        cells = [cell.strip('"') for cell in next(lines).rstrip("\n").split("\t")]
        for line in lines:
            feature, _, values = line.partition("\t")
            features.append(feature.strip('"'))
            rows.append(sparse.csr_matrix(np.fromstring(values, dtype=np.int32, sep="\t"), dtype=np.float32))
    cells = cells[-rows[0].shape[1] :]  # without what stands above the genes, if anything does
    short = [feature for feature, row in zip(features, rows, strict=True) if row.shape[1] != len(cells)]
    if short:
        msg = (
            f"'{name}' must hold a count for each of its {len(cells):,} cells in every row; these do not: {some(short)}. "
            "Download it again."
        )
        raise InputError(msg)
    obs, var = pd.DataFrame(index=cells), pd.DataFrame(index=features)
    return anndata.AnnData(sparse.csr_matrix(sparse.vstack(rows).T), obs=obs, var=var)


def _table(folder: Path, name: str) -> pd.DataFrame:
    """One table of cells, with or without a name above its first column."""
    return pd.read_csv(_there(folder, name), sep="\t", index_col=0)


def _there(folder: Path, name: str) -> Path:
    """Return the path of a downloaded file; also where it was unpacked already."""
    for path in (folder / name, folder / name.removesuffix(".gz")):
        if path.is_file():
            return path
    msg = f"'{name}' is needed in {folder}; it is not there. Download it as docs/howto/real_cells.md says."
    raise InputError(msg)


def _same_cells(ours: pd.Index, theirs: pd.Index, one: str, other: str) -> None:
    """Refuse two files that speak of different cells."""
    if len(ours) != len(theirs) or set(ours) != set(theirs):
        shared = len(set(ours) & set(theirs))
        msg = (
            f"'{one}' and '{other}' must name the same cells; of {len(ours):,} and {len(theirs):,} they share {shared:,}. "
            "Download both again."
        )
        raise InputError(msg)


COMMANDS: dict[str, Callable[[Path], anndata.AnnData]] = {
    "states": states,
    "pretrain": pretrain,
    "perturbed": perturbed,
}


def main(words: list[str] | None = None) -> None:
    """Read the downloads, write one AnnData file, say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("downloads", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args(words)
    cells = COMMANDS[asked.what](asked.downloads)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    cells.write_h5ad(asked.out, compression="gzip")
    print(f"{asked.out}: {cells.n_obs:,} cells × {cells.n_vars:,} genes; {', '.join(cells.obs.columns)}")


if __name__ == "__main__":
    main()
