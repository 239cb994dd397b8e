"""What is known of a campaign's genes before any is measured: who is alike, who is annotated, whose lineage they are of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from perturbloop.data.annotations import Annotations
from perturbloop.data.cells import Cells
from perturbloop.data.genes import GeneNames
from perturbloop.data.reference import Reference, references_of
from perturbloop.errors import InputError
from perturbloop.evidence.kernels import Kernel
from perturbloop.evidence.knowledge import annotated_kernels, every_set, set_degree
from perturbloop.evidence.lineage import Lineage, lineage_of
from perturbloop.evidence.scales import Scale, lineage_scale
from perturbloop.schema import KnowledgeConfig


@dataclass(frozen=True)
class Background:
    """What collections, gene sets and references say of the genes of the cells."""

    kernels: tuple[Kernel, ...] = ()
    """Which genes are alike."""
    scales: tuple[Scale, ...] = ()
    """The lineage, where one was recognized."""
    degree_g: np.ndarray | None = None
    """In how many gene sets each gene is; `None` where there are none."""
    lineage: Lineage | None = None
    lines: tuple[str, ...] = field(default=())
    """What the report says of it."""


def background_of(
    annotations: Annotations, cells: Cells, start: Cells, *, config: KnowledgeConfig, names: GeneNames
) -> Background:
    """Read collections and references for the genes of the cells.

    Parameters
    ----------
    annotations
        What is known of genes in the campaign.
    cells, start
        All cells of the campaign, and those of its start state.
    config
        Which reference, and which cell type.
    names
        Which symbol means which gene.
    """
    gene_ids = cells.gene_ids
    kernels = annotated_kernels(annotations, gene_ids, names=names)
    degree_g = set_degree(every_set(annotations, names=names), gene_ids)
    references = references_of(annotations, cells, named=config.reference, names=names)
    lineage = recognized(references, gene_ids, start.log_cpm(), cell_type=config.cell_type)
    return Background(
        tuple(kernels),
        () if lineage is None else (lineage_scale(gene_ids, lineage.score_g),),
        degree_g if degree_g.any() else None,
        lineage,
        () if lineage is None else (lineage.line,),
    )


def recognized(
    references: Iterable[Reference],
    gene_ids: Shaped[np.ndarray, " g"],
    log_expression_g: Float[np.ndarray, " g"],
    *,
    cell_type: Sequence[str] = (),
) -> Lineage | None:
    """Lineage of the cells, the mean over all references that recognize them; `None` where none does.

    Sorted blood cells tell a T cell from a monocyte, tissues tell it from a hepatocyte: a gene of the lineage stands out in both.

    Parameters
    ----------
    references
        References of cell types.
    gene_ids
        Ensembl ids of the cells' genes.
    log_expression_g
        Log2 expression of the start cells.
    cell_type
        The cells' own types, where they are named: of references that have them.

    Raises
    ------
    InputError
        If types are named that no reference has.
    """
    known = list(references)
    able = [one for one in known if set(cell_type) <= set(one.cell_types)]
    if cell_type and not able:
        msg = (
            f"The cell type must be one of a reference: {'; '.join(', '.join(one.cell_types) for one in known) or 'there is none'}. "
            f"{', '.join(cell_type)} came. Name it with `--cell-type`, or add a reference with `perturbloop knowledge add`."
        )
        raise InputError(msg)
    each = [
        lineage_of(one.aligned(gene_ids), one.cell_types, log_expression_g, cell_type=cell_type)
        for one in able
    ]
    found = [lineage for lineage in each if lineage is not None]
    if not found:
        return None
    own, others = (
        tuple(dict.fromkeys(name for lineage in found for name in getattr(lineage, side)))
        for side in ("own", "others")
    )
    mean = pd.DataFrame([lineage.score_g for lineage in found]).mean()
    return Lineage(mean.to_numpy(float), own, others)
