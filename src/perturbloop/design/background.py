"""What is known of the genes of a finished screen beforehand, from the files and collections at hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import sparse

from perturbloop.data.gene_sets import read_gmt
from perturbloop.data.genes import GeneNames
from perturbloop.data.knowledge import chosen
from perturbloop.data.reference import Reference, read_reference, reference_of
from perturbloop.data.text_tables import read_table
from perturbloop.design.ground import Ground, ground
from perturbloop.errors import InputError, closest, some
from perturbloop.evidence.kernels import Kernel, gene_set_kernel
from perturbloop.evidence.knowledge import knowledge_kernels
from perturbloop.evidence.lineage import enough, likeness, lineage_prior, lineage_score, own_types
from perturbloop.evidence.scales import Scale, expression_scale, lineage_scale
from perturbloop.schema import BacktestConfig, raises


def background(
    config: BacktestConfig,
    gene_ids: np.ndarray,
    names: GeneNames,
    log_g: Float[np.ndarray, " g"],
    expressed_g: Bool[np.ndarray, " g"],
) -> tuple[Ground, list[str]]:
    """Bring collections, references, tables and the prior to the genes of a screen.

    Parameters
    ----------
    config
        What is asked for.
    gene_ids
        Genes of the screen.
    names
        Which label means which of them.
    log_g
        log2(1 + counts per million) in the cells; NaN where not known.
    expressed_g
        Whether the cells express each gene.

    Returns
    -------
    The ground, and what it was made of, in words.
    """
    collections = chosen(until=config.knowledge_until, leave_out=config.leave_out)
    kernels = knowledge_kernels(collections, gene_ids, names=names)
    kernels += [gene_set_kernel(read_gmt(path, names=names)) for path in config.gene_sets]
    degree_g = _degree(kernels, gene_ids)
    numbers = {"sets": np.log1p(degree_g)} if kernels else {}
    references = _references(config, names)
    if config.cells:
        numbers["expression"] = log_g
    for path in config.tables:
        numbers |= _numbers(path, gene_ids, names)
    scales, prior_g, facts = _prior(config, references, gene_ids, log_g, degree_g)
    raised = raises(config.modality)
    if raised and config.cells:
        facts.append(
            "what is raised need not be expressed before: the first batch is not kept to expressed genes"
        )
    known = ground(
        gene_ids,
        kernels,
        numbers,
        references={one.name: one.aligned(gene_ids) for one in references},
        prior_g=prior_g,
        expressed_g=np.ones(len(gene_ids), dtype=bool) if raised else expressed_g,
        scales=scales,
    )
    words = ", ".join(one.name for one in kernels) or "none"
    types = ", ".join(f"{one.name} ({len(one.cell_types)} cell types)" for one in references) or "none"
    return known, [
        f"collections: {words}; references: {types}; numbers: {', '.join(numbers) or 'none'}",
        *facts,
    ]


def _degree(kernels: Sequence[Kernel], gene_ids: np.ndarray) -> Float[np.ndarray, " g"]:
    """In how many sets, or beside how many neighbors, each gene stands."""
    total_g = np.zeros(len(gene_ids))
    for kernel in kernels:
        if sparse.issparse(kernel.vector_gd):
            counts = np.diff(sparse.csr_matrix(kernel.vector_gd).indptr)
            total_g += pd.Series(counts, index=kernel.gene_ids).reindex(gene_ids).fillna(0).to_numpy(float)
    return total_g


def _references(config: BacktestConfig, names: GeneNames) -> list[Reference]:
    if config.references:
        return [read_reference(path, names=names) for path in config.references]
    found = chosen(until=config.knowledge_until, leave_out=config.leave_out, kinds=("reference",))
    return [reference_of(one, names=names) for one in found]


def _prior(
    config: BacktestConfig,
    references: Sequence[Reference],
    gene_ids: np.ndarray,
    log_g: Float[np.ndarray, " g"],
    degree_g: Float[np.ndarray, " g"],
) -> tuple[list[Scale], Float[np.ndarray, " g"] | None, list[str]]:
    """Scales of the posterior, the score before any measurement, and which cell type it is of."""
    scales = [expression_scale(gene_ids, log_g)] if config.cells else []
    _require_cell_type(config.cell_type, references)
    for reference in references:
        table = reference.aligned(gene_ids)
        own_c = np.array([name == config.cell_type for name in reference.cell_types], dtype=bool)
        if config.cell_type is None and config.cells and enough(table, log_g):
            own_c = own_types(likeness(table, log_g))
        if not own_c.any() or own_c.all():
            continue
        lineage_g = lineage_score(table, own_c)
        level_g = log_g if config.cells else table[:, own_c].mean(axis=1)
        prior_g = lineage_prior(lineage_g, level_g, degree_g)
        own = ", ".join(np.array(reference.cell_types)[own_c])
        return (
            [*scales, lineage_scale(gene_ids, lineage_g)],
            prior_g,
            [f"prior: lineage of {own} in {reference.name}, expression, number of sets"],
        )
    if config.cells:
        nothing_g = np.full(len(gene_ids), np.nan)
        return (
            scales,
            lineage_prior(nothing_g, log_g, degree_g),
            ["prior: expression and number of sets; no lineage was recognized"],
        )
    return scales, None, ["no prior: neither cells nor a cell type was named"]


def _require_cell_type(cell_type: str | None, references: Sequence[Reference]) -> None:
    known = [name for one in references for name in one.cell_types]
    if cell_type is not None and cell_type not in known:
        like = f" Did you mean {closest(cell_type, known)}?" if known else ""
        msg = (
            f"The cell type must be one of a reference, {some(known, limit=12) or 'of which there is none'}; '{cell_type}' came.{like} "
            "Name another with `--cell-type`, or a reference with `--references`."
        )
        raise InputError(msg)


def _numbers(path: str, gene_ids: np.ndarray, names: GeneNames) -> dict[str, Float[np.ndarray, " g"]]:
    """Numbers of a table by the names of its columns; of several rows of a gene the first."""
    frame = read_table(path)
    genes = pd.Index(names.resolve(frame.iloc[:, 0].astype(str)))
    numeric = frame.iloc[:, 1:].select_dtypes("number").set_axis(genes, axis=0)
    known = numeric[(genes != "") & ~genes.duplicated()].reindex(gene_ids)
    missing = (
        0.0 if known.shape[1] and known.max().max() == known.min().min() else np.nan
    )  # a list: the others are 0
    return {f"{Path(path).name} {name}": known[name].fillna(missing).to_numpy(float) for name in known}
