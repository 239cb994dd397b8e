"""Gene networks that a user can have without a screen: gene sets, edges, co-expression, and a model's gene embeddings."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.cells import read_cells
from perturbloop.data.gene_sets import GeneSets, read_gmt
from perturbloop.data.genes import GeneNames
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.kernels import Kernel, coexpression_kernel, graph_kernel, vector_kernel

SETS = {
    "Reactome": "ReactomePathways.gmt",
    "GO biological process": "features/go_bp_2021.gmt.gz",
    "KEGG": "features/kegg_7.5.1.gmt.gz",
    "co-essential modules": "features/coessential_modules.gmt.gz",
}
EDGES = "features/humannet90_edges.csv.gz"
BULK = "states/rade2023_panT_bulk_44samples.h5ad"
ONE_TYPE = ("pretrain/kang2018_muscat_hist_b.h5ad", "CD4 T cells")
"""A file of single cells and the cell type that is kept of it."""
WITHIN_TYPES = ("pretrain/scp1884_crohn_1020.h5ad", "Celltype")
"""A file of many types, all genes measured, and the column whose means are taken out."""
SMALLEST, LARGEST = 3, 300
"""Genes of a set that makes its members alike."""
LEAST_CELLS = 10
"""Genes seen in fewer cells have no co-expression."""
NEIGHBORS = 15


def networks(
    data: Path, embeddings: Path, sets: dict[str, GeneSets], gene_ids: np.ndarray, words: Vocabulary
) -> list[Kernel]:
    """All networks over these genes; a gene of which one knows nothing has a zero vector there."""
    annotated = [set_kernel(name, found) for name, found in sets.items()]
    stored = np.load(embeddings, allow_pickle=False)
    kernels = [
        *annotated,
        edge_kernel("HumanNet", data / "knowledge" / EDGES, words.names),
        vector_kernel("gene embeddings", stored["gene_ids"].astype(object), stored["emb_gd"]),
        bulk_coexpression(data / BULK, words),
        cell_coexpression("co-expression, CD4 T cells", data / ONE_TYPE[0], "cell_type", ONE_TYPE[1], words),
        cell_coexpression(
            "co-expression within cell types", data / WITHIN_TYPES[0], WITHIN_TYPES[1], None, words
        ),
    ]
    return [kernel.aligned(gene_ids) for kernel in kernels]


def read_sets(data: Path, words: Vocabulary) -> dict[str, GeneSets]:
    """Gene sets by the name of their network."""
    return {name: read_gmt(data / "knowledge" / file, names=words.names) for name, file in SETS.items()}


def set_kernel(name: str, sets: GeneSets) -> Kernel:
    """Genes that share sets are alike, the more so the smaller the sets (weight: log of one over the share of genes)."""
    kept = sets.between(SMALLEST, LARGEST)
    weight_s = np.log(len(sets.gene_ids) / kept.size_s)
    return vector_kernel(
        name, kept.gene_ids, sparse.csr_matrix(kept.member_gs @ sparse.diags_array(weight_s)), power=1
    )


def edge_kernel(name: str, path: Path, names: GeneNames) -> Kernel:
    """Genes that share neighbors in a list of edges (two columns of symbols) are alike."""
    edges = pd.read_csv(path).iloc[:, :2].astype(str)
    symbols = np.unique(edges.to_numpy())
    id_of = dict(zip(symbols, names.resolve(list(symbols)), strict=True))
    ends = edges.apply(lambda column: column.map(id_of))
    ends = ends[ends.ne("").all(axis=1) & ends.iloc[:, 0].ne(ends.iloc[:, 1])]
    gene_ids, place = np.unique(ends.to_numpy().astype(str), return_inverse=True)
    place_e2 = place.reshape(-1, 2)
    once_gg = sparse.csr_matrix(
        (np.ones(len(place_e2)), (place_e2[:, 0], place_e2[:, 1])), shape=(gene_ids.size,) * 2
    )
    both_gg = sparse.csr_matrix(((once_gg + once_gg.T) > 0).astype(float))
    return graph_kernel(GeneGraph(name, gene_ids.astype(object), both_gg))


def bulk_coexpression(path: Path, words: Vocabulary) -> Kernel:
    """Genes that vary together over bulk samples of one state are alike."""
    return _coexpression("co-expression, bulk samples", path, "state", None, words)


def cell_coexpression(name: str, path: Path, column: str, only: str | None, words: Vocabulary) -> Kernel:
    """Genes that vary together over single cells of one type, or within types, are alike."""
    return _coexpression(name, path, column, only, words)


def graph_of(kernel: Kernel, *, k: int = NEIGHBORS, chunk: int = 512) -> GeneGraph:
    """Link each gene to the k genes that a kernel finds most alike; each row of weights sums to 1, or is empty."""
    n_genes = len(kernel.gene_ids)
    rows, columns, weights = [], [], []
    for first in range(0, n_genes, chunk):
        here = np.arange(first, min(first + chunk, n_genes))
        similar_cg = kernel.columns(here).T.copy()
        similar_cg[np.arange(len(here)), here] = 0
        near = np.argpartition(-similar_cg, k - 1, axis=1)[:, :k]
        rows.append(np.repeat(here, k))
        columns.append(near.ravel())
        weights.append(np.maximum(np.take_along_axis(similar_cg, near, axis=1), 0).ravel())
    weight = np.concatenate(weights)
    weight[weight < 1e-9] = 0
    places = np.concatenate(rows), np.concatenate(columns)
    weights_gg = sparse.csr_matrix((weight, places), shape=(n_genes, n_genes))
    weights_gg.eliminate_zeros()
    total_g = np.asarray(weights_gg.sum(axis=1)).ravel()
    scale_g = np.divide(1.0, total_g, out=np.zeros(n_genes), where=total_g > 0)
    return GeneGraph(
        kernel.name, kernel.gene_ids, sparse.csr_matrix(sparse.diags_array(scale_g) @ weights_gg)
    )


def _coexpression(name: str, path: Path, column: str, only: str | None, words: Vocabulary) -> Kernel:
    cells = read_cells(path, names=words.names)[0]
    if only is not None:
        cells = cells.select(cells.obs[column].astype(str).to_numpy() == only)
    seen_g = np.asarray((cells.counts_ng > 0).sum(axis=0)).ravel() >= LEAST_CELLS
    log_ng = sparse.csr_matrix(cells.log_normalized())[:, np.flatnonzero(seen_g)]
    found = coexpression_kernel(log_ng, cells.gene_ids[seen_g], cells.obs[column].astype(str).to_numpy())
    return vector_kernel(name, found.gene_ids, found.vector_gd, power=found.power)
