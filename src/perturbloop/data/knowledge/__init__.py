"""Collections of what is known of genes: gene sets, networks, vectors, references of cell types, names.

Some come with the package (`shipped`), others are added on a machine (`perturbloop knowledge add`). Each has a source, a date
and a licence (`Collection`), and is stored as one compact file (`Content`): rows are genes by the labels of the source, columns
are sets, genes, dimensions or cell types. A gene set is a claim with a date: one that was written from the screen it is judged
by knows the answer, so `chosen` leaves out what is younger than a day, or named.
"""

from perturbloop.data.knowledge.collection import (
    ALL,
    Collection,
    added,
    chosen,
    collections,
    shipped,
)

__all__ = ["ALL", "Collection", "added", "chosen", "collections", "shipped"]
