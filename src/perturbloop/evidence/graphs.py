"""Gene graphs: which genes stand near which, from co-expression or from vectors given as a table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.errors import GeneIdError, InputError, closest
from perturbloop.evidence.measured import require_vectors
from perturbloop.stats.scale import unit

_CHUNK = 512


@dataclass(frozen=True)
class GeneGraph:
    """Each gene's nearest neighbors; a row holds their weights, which sum to 1, or nothing."""

    name: str
    """What the graph was made from, for tables and reports."""
    gene_ids: np.ndarray
    """Ensembl ids, dtype object, in the order of rows and columns."""
    weights_gg: sparse.csr_matrix
    """Row g holds the weights of the neighbors of g; nothing on the diagonal, nothing negative."""

    @property
    def n_genes(self) -> int:
        """How many genes."""
        return len(self.gene_ids)

    def places(self, gene_ids: Shaped[np.ndarray, " p"]) -> np.ndarray:
        """Row of each gene; -1 for genes that are not in the graph."""
        return pd.Index(self.gene_ids).get_indexer(pd.Index(gene_ids))

    def neighbors(self, gene_id: str) -> pd.DataFrame:
        """Neighbors of a gene, nearest first: `gene_id`, `weight`."""
        place = int(self.places(np.array([gene_id], dtype=object))[0])
        if place < 0:
            msg = (
                f"The graph '{self.name}' holds {self.n_genes:,} genes; {gene_id!r} is not among them. "
                f"Choose another gene; the closest is {closest(gene_id, self.gene_ids, limit=1)}."
            )
            raise GeneIdError(msg)
        row = self.weights_gg[[place]]
        table = pd.DataFrame({"gene_id": self.gene_ids[row.indices], "weight": row.data})
        return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)


def coexpression(
    cells: Cells,
    group_n: Shaped[np.ndarray, " n"] | None = None,
    *,
    k: int = 15,
    min_cells: int = 10,
) -> GeneGraph:
    r"""Link genes that rise and fall together within a state.

    A large weight says that two genes vary together from cell to cell. It does not say that one acts on the other.

    Parameters
    ----------
    cells
        Cells of the user's own data, raw counts.
    group_n
        State of each cell (or state and donor); its mean is taken out, or all genes that differ between states are
        neighbors of each other. `None` = one group.
    k
        Neighbors per gene.
    min_cells
        Genes expressed in fewer cells are left out: two genes seen in the same single cell correlate perfectly.

    Returns
    -------
    `GeneGraph` of the remaining genes, in the order of the cells' genes; weights are correlations above zero of the k
    nearest, each row divided by its sum.

    Notes
    -----
    :math:`w_{gh} \propto \max(\mathrm{cor}(x_g, x_h), 0)` of log-normalized expression centered within groups. Deeply
    sequenced cells have more of everything; normalization removes most of that, and what is left ties abundant genes
    to each other. Only positive links are kept, so that a repressor shares no edge with what it represses.

    Examples
    --------
    >>> counts = sparse.csr_matrix(np.array([[9, 9, 0], [0, 0, 9], [8, 8, 1], [1, 1, 8]], dtype=np.float32))
    >>> ids = np.array(["ENSG00000000001", "ENSG00000000002", "ENSG00000000003"], dtype=object)
    >>> cells = Cells(counts, ids, ids, pd.DataFrame(index=list("abcd")), "example", "")
    >>> coexpression(cells, k=1, min_cells=1).neighbors("ENSG00000000001")["gene_id"].tolist()
    ['ENSG00000000002']
    """
    seen_n = np.asarray((cells.counts_ng > 0).sum(axis=0)).ravel()
    kept_g = seen_n >= min_cells
    if kept_g.sum() < 2:
        msg = (
            f"A co-expression graph needs at least 2 genes expressed in {min_cells} cells; {cells.source} has "
            f"{int(kept_g.sum())} among {cells.n_genes:,} genes and {cells.n_cells:,} cells. Give more cells."
        )
        raise InputError(msg)
    codes = np.zeros(cells.n_cells, dtype=int) if group_n is None else pd.factorize(group_n)[0]
    centered_ng = _centered(sparse.csc_matrix(cells.log_normalized())[:, np.flatnonzero(kept_g)], codes)
    return from_vectors(cells.gene_ids[kept_g], centered_ng.T, k=k, name="co-expression")


def from_vectors(
    gene_ids: Shaped[np.ndarray, " g"], vector_gd: Float[np.ndarray, "g d"], *, k: int = 15, name: str
) -> GeneGraph:
    """Link each gene to the k genes whose vectors point the same way.

    Parameters
    ----------
    gene_ids
        Ensembl ids, each once.
    vector_gd
        One vector per gene: a model's embedding, or any features.
    k
        Neighbors per gene; fewer where fewer have a positive cosine.
    name
        What the vectors are.

    Returns
    -------
    `GeneGraph` with the genes in the given order; weights are the cosines, each row divided by its sum. Genes with a
    zero vector have no neighbors. Ties at the last place are broken by the order of genes.

    Examples
    --------
    >>> ids = np.array(["STAT1", "STAT2", "MYC"], dtype=object)
    >>> graph = from_vectors(ids, np.array([[1.0, 0.0], [2.0, 0.1], [-1.0, 1.0]]), k=2, name="example")
    >>> graph.weights_gg.toarray()
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 0.]])
    """
    require_vectors("A gene graph", gene_ids, vector_gd)
    if k < 1 or len(gene_ids) < 2:
        msg = (
            f"A gene graph needs at least 2 genes and 1 neighbor; it got {len(gene_ids)} and {k}. Raise them."
        )
        raise InputError(msg)
    unit_gd = unit(vector_gd)
    k = min(k, len(gene_ids) - 1)
    rows, columns, weights = [], [], []
    for first in range(0, len(gene_ids), _CHUNK):
        cosine = unit_gd[first : first + _CHUNK] @ unit_gd.T
        here = np.arange(len(cosine))
        cosine[here, first + here] = 0
        near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        rows.append(np.repeat(first + here, k))
        columns.append(near.ravel())
        weights.append(np.maximum(np.take_along_axis(cosine, near, axis=1), 0).ravel())
    shape = (len(gene_ids), len(gene_ids))
    places = np.concatenate(rows), np.concatenate(columns)
    weights_gg = sparse.csr_matrix((np.concatenate(weights).astype(float), places), shape=shape)
    weights_gg.eliminate_zeros()
    return GeneGraph(name, gene_ids, _rows_to_one(weights_gg))


def _centered(log_ng: sparse.csc_matrix, codes: np.ndarray) -> np.ndarray:
    """Dense float32 expression minus the mean of its group."""
    member_sn = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    mean_sg = (member_sn @ log_ng).toarray() / np.bincount(codes)[:, None]
    dense_ng = log_ng.toarray().astype(np.float32)
    dense_ng -= mean_sg.astype(np.float32)[codes]
    return dense_ng


def _rows_to_one(weights_gg: sparse.csr_matrix) -> sparse.csr_matrix:
    total_g = np.asarray(weights_gg.sum(axis=1)).ravel()
    scale_g = np.divide(1.0, total_g, out=np.zeros_like(total_g), where=total_g > 0)
    return sparse.csr_matrix(sparse.diags_array(scale_g) @ weights_gg)
