"""Expression of genes in cell types and tissues: what tells the start cells' lineage from others."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from perturbloop.data.annotations import Annotations
from perturbloop.data.cells import Cells
from perturbloop.data.genes import GeneNames
from perturbloop.data.knowledge import Collection
from perturbloop.data.knowledge.content import Content
from perturbloop.data.knowledge.sources import in_logarithms, merged, read_source
from perturbloop.errors import InputError, closest, some

LEAST_CELLS = 20
"""Cells of a type whose mean says something."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Expression of genes in cell types."""

    name: str
    """Collection, file or column that it is from."""
    gene_ids: np.ndarray
    """Ensembl ids, each once, dtype object."""
    cell_types: tuple[str, ...]
    log_expression_gc: Float[np.ndarray, "g c"]
    """log2(1 + transcripts per million), genes × cell types; where the source normalizes in another way, as it does."""

    def column(self, cell_type: str) -> Float[np.ndarray, " g"]:
        """Log expression in one cell type.

        Raises
        ------
        InputError
            If the reference has no such type.
        """
        if cell_type not in self.cell_types:
            msg = (
                f"The cell type must be among the {len(self.cell_types)} of the reference '{self.name}', "
                f"{some(self.cell_types, limit=12)}; '{cell_type}' came. Did you mean {closest(cell_type, self.cell_types)}? Name it "
                "with `--cell-type`."
            )
            raise InputError(msg)
        return self.log_expression_gc[:, self.cell_types.index(cell_type)]

    def aligned(self, gene_ids: Shaped[np.ndarray, " n"]) -> Float[np.ndarray, "n c"]:
        """Log expression of these genes, in this order; NaN where a gene is not known."""
        place_n = pd.Index(self.gene_ids).get_indexer(pd.Index(gene_ids))
        return np.where(place_n[:, None] >= 0, self.log_expression_gc[place_n], np.nan)


def read_reference(path: Path | str, *, names: GeneNames) -> Reference:
    """Read a table of genes × cell types.

    Parameters
    ----------
    path
        Genes in the first column, a column of transcripts per million for each cell type; divided by tabs or commas, plain or
        gzipped.
    names
        Which symbol means which gene.

    Returns
    -------
    The reference; a gene that stands in several rows has their mean.

    Raises
    ------
    InputError
        If the file is no such table, or holds negative numbers: those are logarithms or differences.
    """
    _, content = read_source(Path(path), kind="reference")
    return _reference(Path(path).name, in_logarithms(content, Path(path).name), names)


def references_of(
    annotations: Annotations, cells: Cells, *, named: str | None, names: GeneNames
) -> list[Reference]:
    """References of a campaign: the one it names, else all that it may read.

    Parameters
    ----------
    annotations
        What is known of genes in the campaign.
    cells
        All cells of its file.
    named
        Name of a collection of kind `reference`, or of a column of `obs` with several cell types; `None` = none is named.
    names
        Which symbol means which gene.

    Raises
    ------
    InputError
        If neither a collection nor a column has the name.
    """
    known = annotations.references
    if named is None:
        return [reference_of(one, names=names) for one in known]
    if named in cells.obs:
        return [reference_of_cells(cells, named)]
    found = [one for one in known if one.name == named]
    if not found:
        choices = [*(one.name for one in known), *cells.obs.columns]
        msg = (
            f"`--reference` must name a reference, {some(one.name for one in known)}, or a column of `obs` with cell types; '{named}' "
            f"came. Did you mean {closest(named, choices)}? A table is added with `perturbloop knowledge add {named} FILE --kind reference`."
        )
        raise InputError(msg)
    return [reference_of(found[0], names=names)]


def reference_of(collection: Collection, *, names: GeneNames) -> Reference:
    """Reference that is stored as a collection, its genes by Ensembl ids."""
    return _reference(collection.name, collection.content, names)


def reference_of_cells(cells: Cells, column: str) -> Reference:
    """Reference of the user's own cells, where a column of `obs` tells several cell types.

    Parameters
    ----------
    cells
        Cells of all types, of any state.
    column
        Column of `obs` with the type of each cell; types of fewer than 20 cells are left out, and cells without one.

    Returns
    -------
    log2(1 + counts per million) of the summed counts of each type.

    Raises
    ------
    InputError
        If there is no such column, or it tells fewer than two types.
    """
    if column not in cells.obs:
        msg = (
            f"`obs` of {cells.source} has no column '{column}'; its columns are {some(cells.obs.columns, limit=20)}. Name the one "
            "with the cell types."
        )
        raise InputError(msg)
    label_n = cells.obs[column].astype(object)
    counts = label_n.dropna().value_counts()
    types = tuple(sorted(str(name) for name, count in counts.items() if count >= LEAST_CELLS))
    if len(types) < 2:
        msg = (
            f"A reference needs two or more cell types of {LEAST_CELLS} cells; '{column}' of {cells.source} has {some(types)}. Name "
            "another column, or add a table with `perturbloop knowledge add`."
        )
        raise InputError(msg)
    place_n = pd.Index(types).get_indexer(label_n.astype(str).where(label_n.notna(), "\0"))
    total_cg = cells.summed(place_n)
    million_cg = total_cg / np.maximum(total_cg.sum(axis=1, keepdims=True), 1) * 1e6
    return Reference(f"{cells.source}, {column}", cells.gene_ids, types, np.log2(1 + million_cg).T)


def _reference(name: str, content: Content, names: GeneNames) -> Reference:
    known = merged(content, np.array(names.resolve(content.labels.tolist()), dtype=object))
    return Reference(name, known.labels, tuple(known.columns), np.asarray(known.value_gc, dtype=float))
