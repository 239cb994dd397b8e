"""Gene kernels: how alike the effects of two genes are expected to be, before any is measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from scipy import sparse

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.measured import require_vectors
from perturbloop.stats.coexpression import coexpression_vectors
from perturbloop.stats.scale import unit

Vectors = np.ndarray | sparse.csr_matrix
TERMS = 32
"""Products that a draw of a kernel of a power above 1 is the sum of."""


@dataclass(frozen=True)
class Kernel:
    r"""A similarity of genes, :math:`k(g, h) = (v_g \cdot v_h)^q`, read off one vector per gene.

    A gene whose vector is zero is like no other: such a kernel says nothing of it.
    """

    name: str
    """What the vectors are, for tables and reports."""
    gene_ids: np.ndarray
    """Ensembl ids, dtype object, one per row."""
    vector_gd: Vectors
    """One vector per gene, genes × dimensions, dense or sparse."""
    power: int = 1
    """q: an odd power above 1 lets only near genes speak and keeps the sign."""

    def aligned(self, gene_ids: Shaped[np.ndarray, " g"]) -> "Kernel":
        """Rows in this order; genes without a vector get zeros."""
        place_g = pd.Index(self.gene_ids).get_indexer(pd.Index(gene_ids))
        known_g = place_g >= 0
        if sparse.issparse(self.vector_gd):
            pick = sparse.csr_matrix(
                (np.ones(known_g.sum()), (np.flatnonzero(known_g), place_g[known_g])),
                shape=(len(gene_ids), len(self.gene_ids)),
            )
            return replace(self, gene_ids=gene_ids, vector_gd=sparse.csr_matrix(pick @ self.vector_gd))
        vector_gd = np.where(known_g[:, None], np.asarray(self.vector_gd)[place_g], 0.0)
        return replace(self, gene_ids=gene_ids, vector_gd=vector_gd)

    def at(self, place_m: Int[np.ndarray, " m"]) -> "Kernel":
        """Rows at these places."""
        return replace(self, gene_ids=self.gene_ids[place_m], vector_gd=self.vector_gd[place_m])

    def columns(self, place_p: Int[np.ndarray, " p"]) -> Float[np.ndarray, "g p"]:
        """Similarity of every gene to the genes at these rows."""
        return self._powers(self.vector_gd @ self.vector_gd[place_p].T)

    def between(
        self, place_d: Int[np.ndarray, " d"], place_p: Int[np.ndarray, " p"]
    ) -> Float[np.ndarray, "d p"]:
        """Similarity of the genes at some rows to those at others."""
        return self._powers(self.vector_gd[place_d] @ self.vector_gd[place_p].T)

    def _powers(self, product: Any) -> np.ndarray:
        dense = product if isinstance(product, np.ndarray) else product.toarray()
        return dense.astype(float) ** self.power

    def among(self, place_p: Int[np.ndarray, " p"]) -> Float[np.ndarray, "p p"]:
        """Similarity of the genes at these rows to each other."""
        return self.at(place_p).columns(np.arange(len(place_p)))

    def pull(
        self, place_p: Int[np.ndarray, " p"], weight_p: Float[np.ndarray, " p"]
    ) -> Float[np.ndarray, " g"]:
        """Sum of the columns at these rows, each times its weight: what they pull every gene by."""
        if self.power == 1:
            return np.asarray(self.vector_gd @ (self.vector_gd[place_p].T @ weight_p), dtype=float)
        return self.columns(place_p) @ weight_p

    def variance(self) -> Float[np.ndarray, " g"]:
        """Similarity of each gene to itself: 1 for unit vectors."""
        if sparse.issparse(self.vector_gd):
            square_g = np.asarray(self.vector_gd.multiply(self.vector_gd).sum(axis=1)).ravel()
        else:
            square_g = (np.asarray(self.vector_gd, dtype=float) ** 2).sum(axis=1)
        return square_g.astype(float) ** self.power

    def draw(self, rng: np.random.Generator, n: int) -> Float[np.ndarray, "n g"]:
        """Draw functions over all genes whose covariance is the kernel: exactly, without ever writing it; one a row.

        Notes
        -----
        For q = 1 they are Gaussian. For a higher power each is the mean of `TERMS` products of q independent ones, over the root of
        their number: of the same covariance, and Gaussian but for their far tails.
        """
        terms = 1 if self.power == 1 else TERMS
        total_gn = np.zeros((len(self.gene_ids), n))
        for _ in range(terms):
            product_gn = np.ones_like(total_gn)
            for _ in range(self.power):
                product_gn *= self.vector_gd @ rng.standard_normal((self.vector_gd.shape[1], n))
            total_gn += product_gn
        return (total_gn / np.sqrt(terms)).T


def coexpression_kernel(
    log_ng: sparse.csr_matrix,
    gene_ids: Shaped[np.ndarray, " g"],
    group_n: Shaped[np.ndarray, " n"],
    *,
    dim: int = 16,
    seed: int = 0,
) -> Kernel:
    r"""Genes that rise and fall together within groups have like effects.

    Parameters
    ----------
    log_ng
        Log-normalized expression, cells × genes; more cells than those of the two states help.
    gene_ids
        Ensembl ids of its columns.
    group_n
        State of each cell (or state and donor, or file), whose mean is taken out: else all genes that differ between states
        are alike.
    dim
        Directions of common variation that are kept.
    seed
        Start of the solver.

    Notes
    -----
    The correlation of two genes over single cells is mostly lost in the noise of counting. The leading directions of common
    variation keep what many genes share; two genes are alike where they take part in the same ones. The third power lets only
    near genes speak and keeps the sign.
    """
    vector_gd = coexpression_vectors(log_ng, pd.factorize(group_n)[0], dim=dim, seed=seed)
    return Kernel("co-expression", gene_ids, _unit(vector_gd), power=3)


def vector_kernel(
    name: str, gene_ids: Shaped[np.ndarray, " g"], vector_gd: Vectors, *, power: int = 3
) -> Kernel:
    """Genes whose vectors point the same way have like effects: a model's embeddings, gene sets, or other screens.

    Parameters
    ----------
    name
        What the vectors are.
    gene_ids
        Ensembl ids, each once.
    vector_gd
        One vector per gene, dense or sparse; a zero vector is like nothing.
    power
        Exponent of the cosine; odd, so that genes that point apart have opposite effects, and the higher, the nearer genes must be.

    Examples
    --------
    >>> ids = np.array(["STAT1", "STAT2", "MYC"], dtype=object)
    >>> vector_kernel("example", ids, np.array([[1.0, 0.0], [3.0, 3.0], [0.0, 2.0]])).columns(np.array([0])).round(2)
    array([[1.  ],
           [0.35],
           [0.  ]])
    """
    require_vectors(f"The kernel '{name}'", gene_ids, vector_gd)
    return Kernel(name, gene_ids, _unit(vector_gd), power=power)


def gene_set_kernel(sets: GeneSets, *, smallest: int = 3, largest: int = 300) -> Kernel:
    """Genes that share sets have like effects; a set counts the more, the fewer genes it holds.

    Parameters
    ----------
    sets
        Pathways, complexes or modules.
    smallest, largest
        Genes of a set that is read; larger ones say little of any gene.
    """
    size_s = np.asarray((sets.member_gs > 0).sum(axis=0)).ravel()
    kept = np.flatnonzero((size_s >= smallest) & (size_s <= largest))
    rarity_s = np.log(len(sets.gene_ids) / size_s[kept])
    vector_gs = sparse.csr_matrix(sparse.csr_matrix(sets.member_gs)[:, kept] @ sparse.diags_array(rarity_s))
    return Kernel(sets.name, sets.gene_ids, _unit(vector_gs))


def graph_kernel(graph: GeneGraph) -> Kernel:
    """Genes with like neighbors, themselves among them, have like effects."""
    weight_gg = graph.weights_gg.maximum(graph.weights_gg.T)
    with_self = sparse.csr_matrix(weight_gg / max(float(weight_gg.max()), 1e-12)) + sparse.eye_array(
        graph.n_genes
    )
    return Kernel(graph.name, graph.gene_ids, _unit(sparse.csr_matrix(with_self)))


def aligned(kernels: Iterable[Kernel], gene_ids: Shaped[np.ndarray, " g"]) -> tuple[Kernel, ...]:
    """Bring kernels to one list of genes."""
    return tuple(kernel.aligned(gene_ids) for kernel in kernels)


def total_columns(
    kernels: Sequence[Kernel], amplitude_k: Float[np.ndarray, " k"], place_p: Int[np.ndarray, " p"]
) -> Float[np.ndarray, "g p"]:
    """Sum of the columns of several kernels at these rows, each times its squared amplitude.

    Parameters
    ----------
    kernels
        At least one, in one order of genes.
    amplitude_k
        Amplitude of each.
    place_p
        Rows.
    """
    joined = [
        amplitude * kernel.vector_gd
        for kernel, amplitude in zip(kernels, amplitude_k, strict=True)
        if kernel.power == 1 and sparse.issparse(kernel.vector_gd)
    ]
    total_gp = np.zeros((len(kernels[0].gene_ids), len(place_p)))
    if joined:  # one product is faster than many
        vector_gd = sparse.csr_matrix(sparse.hstack(joined))
        total_gp += (vector_gd @ vector_gd[place_p].T).toarray()
    for kernel, amplitude in zip(kernels, amplitude_k, strict=True):
        if kernel.power != 1 or not sparse.issparse(kernel.vector_gd):
            total_gp += amplitude**2 * kernel.columns(place_p)
    return total_gp


def _unit(vector_gd: Vectors) -> Vectors:
    if sparse.issparse(vector_gd):
        length_g = np.sqrt(np.asarray(vector_gd.multiply(vector_gd).sum(axis=1)).ravel())
        scale_g = np.divide(1.0, length_g, out=np.zeros_like(length_g), where=length_g > 0)
        return sparse.csr_matrix(sparse.diags_array(scale_g) @ vector_gd)
    return unit(np.asarray(vector_gd, dtype=float))
