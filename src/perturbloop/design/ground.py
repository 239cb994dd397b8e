"""What is known of genes before any is measured: the ground that surrogates stand on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import sparse
from scipy.sparse.linalg import svds

from perturbloop.evidence.kernels import Kernel, aligned, vector_kernel
from perturbloop.evidence.scales import Scale
from perturbloop.stats.scale import standardized, unit
from perturbloop.stats.streams import stream

COLLECTION_WEIGHT = 20.0
"""What one collection or one reference of cell types weighs beside a number of each gene: squared length of a usual gene's vector."""
DIRECTIONS = 32
"""Directions of each collection that are kept where features must be few and dense."""


@dataclass(frozen=True)
class Ground:
    """Genes in one order, and what is known of them without a perturbation."""

    gene_ids: Shaped[np.ndarray, " g"]
    """Ensembl ids, or symbols, each once."""
    kernels: tuple[Kernel, ...]
    """Collections: which genes are alike, in this order of genes."""
    number_gc: Float[np.ndarray, "g c"]
    """Numbers of each gene (how many sets it is in, essentiality, expression in each cell type), standardized; 0 where not known. Those of
    one reference weigh together as much as a collection."""
    number_names: tuple[str, ...]
    """What they are."""
    prior_g: Float[np.ndarray, " g"]
    """Score before any measurement, higher = rather a hit; NaN where none."""
    expressed_g: Bool[np.ndarray, " g"]
    """Whether the cells express the gene; all where nothing is known of it."""
    scales: tuple[Scale, ...] = field(default=())
    """Why some genes may act more than others, for the posterior; in this order of genes."""

    @cached_property
    def features(self) -> sparse.csr_matrix:
        """Collections and numbers side by side, genes × features: what a linear rule reads."""
        parts = [np.sqrt(COLLECTION_WEIGHT) * sparse.csr_matrix(one.vector_gd) for one in self.kernels]
        return sparse.csr_matrix(sparse.hstack([*parts, sparse.csr_matrix(self.number_gc)]))

    @cached_property
    def dense(self) -> Float[np.ndarray, "g d"]:
        """Numbers, and the leading directions of each collection: what trees read."""
        parts = [_directions(one) for one in self.kernels]
        return np.hstack([*parts, self.number_gc]).astype(np.float32)

    @cached_property
    def likeness(self) -> Kernel | None:
        """All collections as one: which genes are alike; a gene in none of them is like no other."""
        if not self.kernels:
            return None
        stacked = sparse.csr_matrix(sparse.hstack([sparse.csr_matrix(one.vector_gd) for one in self.kernels]))
        return vector_kernel("all collections", self.gene_ids, stacked, power=1)


def ground(
    gene_ids: Shaped[np.ndarray, " g"],
    kernels: Sequence[Kernel],
    numbers: Mapping[str, Float[np.ndarray, " g"]],
    *,
    references: Mapping[str, Float[np.ndarray, "g c"]] | None = None,
    prior_g: Float[np.ndarray, " g"] | None = None,
    expressed_g: Bool[np.ndarray, " g"] | None = None,
    scales: Sequence[Scale] = (),
) -> Ground:
    """Bring what is known to one order of genes.

    Parameters
    ----------
    gene_ids
        Genes, each once.
    kernels
        Collections, each in its own order.
    numbers
        Numbers in the order of `gene_ids`, by name; NaN where not known.
    references
        Log expression in cell types, genes × types, by name; NaN where not known.
    prior_g
        Score before any measurement.
    expressed_g
        Whether the cells express each gene; all by default.
    scales
        For the posterior, each in its own order.

    Examples
    --------
    >>> known = ground(np.array(["STAT1", "MYC"], dtype=object), [], {"expression": np.array([1.0, np.nan])})
    >>> known.number_gc.tolist(), known.likeness
    ([[0.0], [0.0]], None)
    """
    columns = [np.nan_to_num(standardized(value_g)) for value_g in numbers.values()]
    titles = list(numbers)
    for name, level_gc in (references or {}).items():
        weight = np.sqrt(COLLECTION_WEIGHT / max(level_gc.shape[1], 1))
        columns += [weight * np.nan_to_num(standardized(value_g)) for value_g in level_gc.T]
        titles += [f"{name} {place}" for place in range(level_gc.shape[1])]
    return Ground(
        gene_ids,
        aligned(kernels, gene_ids),
        np.column_stack([np.zeros((len(gene_ids), 0)), *columns]),
        tuple(titles),
        np.full(len(gene_ids), np.nan) if prior_g is None else prior_g,
        np.ones(len(gene_ids), dtype=bool) if expressed_g is None else expressed_g,
        tuple(scale.aligned(gene_ids) for scale in scales),
    )


def _directions(kernel: Kernel) -> Float[np.ndarray, "g d"]:
    """Leading directions of a collection, as long as they vary."""
    vector_gd = sparse.csr_matrix(kernel.vector_gd).astype(float)
    n_kept = min(DIRECTIONS, min(vector_gd.shape) - 1)
    if n_kept < 1:
        return np.asarray(vector_gd.todense())
    start = unit(stream(0, "directions of a collection").standard_normal((1, min(vector_gd.shape))))[0]
    left, size, _ = svds(vector_gd, k=n_kept, v0=start)
    return left * size
