"""Kernels of the collections on this machine: which genes pathways, networks and embeddings hold to be alike."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy import sparse

from perturbloop.data.annotations import Annotations
from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.genes import GeneNames
from perturbloop.data.knowledge import Collection
from perturbloop.data.knowledge.content import Content
from perturbloop.data.knowledge.sources import merged
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.kernels import Kernel, gene_set_kernel, graph_kernel, vector_kernel
from perturbloop.stats.scale import standardized

LEAST_GENES = 20
"""Genes of the cells that a collection must know to say anything of them."""


def knowledge_kernels(
    collections: Iterable[Collection], gene_ids: Shaped[np.ndarray, " g"], *, names: GeneNames
) -> list[Kernel]:
    """Which genes each collection holds to be alike, by its name.

    Parameters
    ----------
    collections
        Those that may speak, as `perturbloop.data.knowledge.chosen` gives them; of other kinds than sets, edges, vectors and tables
        nothing is read.
    gene_ids
        Ensembl ids of the cells' genes.
    names
        Which symbol means which gene.

    Returns
    -------
    A kernel for each collection that knows 20 of the genes or more, its rows the genes it knows. Sets: cosine of membership, sets
    of 3 to 300 genes, each weighted by log(genes / genes in the set). Edges: cosine of neighbors, the gene itself among them.
    Vectors and tables: the third power of the cosine, columns of a table standardized before.
    """
    kernels = [(one, _kernel(one, names)) for one in collections if one.kind in _KERNEL_OF]
    return [
        kernel
        for one, kernel in kernels
        if np.isin(kernel.gene_ids.astype(str), gene_ids.astype(str)).sum() >= LEAST_GENES
    ]


def annotated_kernels(
    annotations: Annotations, gene_ids: Shaped[np.ndarray, " g"], *, names: GeneNames
) -> list[Kernel]:
    """Kernels of the collections that a campaign reads, and of the gene sets whose file it names.

    Parameters
    ----------
    annotations
        What is known of genes in the campaign.
    gene_ids, names
        As of `knowledge_kernels`.
    """
    named = annotations.gene_sets
    found = knowledge_kernels(annotations.collections, gene_ids, names=names)
    return [*found, *([gene_set_kernel(named)] if named else [])]


def set_degree(sets: Iterable[GeneSets], gene_ids: Shaped[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Count the gene sets that hold each gene: how well it is annotated; 0 where none does.

    Parameters
    ----------
    sets
        Gene sets of one source each.
    gene_ids
        Ensembl ids.
    """
    degree_g = np.zeros(len(gene_ids))
    for one in sets:
        degree_g += pd.Series(one.degree_g, index=one.gene_ids).reindex(gene_ids).fillna(0).to_numpy(float)
    return degree_g


def every_set(annotations: Annotations, *, names: GeneNames) -> list[GeneSets]:
    """Gene sets that a campaign knows, source by source: of the file that it names, and of its collections.

    Parameters
    ----------
    annotations
        What is known of genes in the campaign.
    names
        Which symbol means which gene.
    """
    named = [annotations.gene_sets] if annotations.gene_sets else []
    return named + [gene_sets_of(one, names) for one in annotations.collections if one.kind == "sets"]


def gene_sets_of(collection: Collection, names: GeneNames) -> GeneSets:
    """Gene sets of a collection of them; genes without an Ensembl id are left out."""
    return _sets(collection.name, by_gene_id(collection, names))


def by_gene_id(collection: Collection, names: GeneNames) -> Content:
    """Content of a collection with Ensembl ids for labels; genes without one are left out."""
    content = collection.content
    return merged(content, np.array(names.resolve(content.labels.tolist()), dtype=object))


def _kernel(collection: Collection, names: GeneNames) -> Kernel:
    return _KERNEL_OF[collection.kind](collection.name, by_gene_id(collection, names))


def _sets(name: str, content: Content) -> GeneSets:
    return GeneSets(name, content.columns, content.labels, sparse.csr_matrix(content.value_gc))


def _of_sets(name: str, content: Content) -> Kernel:
    return gene_set_kernel(_sets(name, content))


def _of_edges(name: str, content: Content) -> Kernel:
    return graph_kernel(GeneGraph(name, content.labels, sparse.csr_matrix(content.value_gc)))


def _of_vectors(name: str, content: Content) -> Kernel:
    return vector_kernel(name, content.labels, np.nan_to_num(np.asarray(content.value_gc, dtype=float)))


def _of_table(name: str, content: Content) -> Kernel:
    columns = np.asarray(content.value_gc, dtype=float).T
    return vector_kernel(
        name, content.labels, np.column_stack([np.nan_to_num(standardized(one)) for one in columns])
    )


_KERNEL_OF: Mapping[str, Callable[[str, Content], Kernel]] = {
    "sets": _of_sets,
    "edges": _of_edges,
    "vectors": _of_vectors,
    "table": _of_table,
}
