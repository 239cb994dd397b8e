"""Gene networks of a list of edges, and the nearest genes of any kernel."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.genes import GeneNames
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.kernels import Kernel, graph_kernel

NEIGHBORS = 15


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
