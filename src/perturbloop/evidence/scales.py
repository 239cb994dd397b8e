"""How far a gene's effect may lie from zero before any gene is measured: one number per gene and reason."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from perturbloop.stats.scale import standardized

EXPRESSION_WEIGHT = 0.05
"""Log of an effect's spread per standard deviation of log expression."""
LIMIT = 2.5
"""Standard deviations beyond which a number counts no more."""
LISTED_WEIGHT, LISTED_DOUBT = 0.3, 0.6
"""Log by which the spread of listed genes is larger, and how little that is known."""
CHANGE_WEIGHT, CHANGE_DOUBT = 0.1, 0.2
"""Log of the spread by which a gene acts less per standard deviation of how much it changes, and how little that is known."""
LINEAGE_WEIGHT, LINEAGE_DOUBT = 0.1, 0.2
"""Log of the spread per doubling of expression over that of other cell types, and how little that is known."""


@dataclass(frozen=True)
class Scale:
    r"""One reason why genes differ in how far they act: :math:`\log s_g` rises by `weight` × `value_g`, for both signs alike."""

    name: str
    """What the number is, for tables and reports."""
    gene_ids: np.ndarray
    """Ensembl ids, dtype object, one per value."""
    value_g: np.ndarray
    """0 = as far as any gene; a gene of which nothing is known has 0."""
    weight: float
    """Weight before anything is measured; never negative, as the reason is one to act more."""
    doubt: float = 0.0
    """Standard deviation of that weight: what measured genes may change it by; 0 = it stays."""

    def aligned(self, gene_ids: Shaped[np.ndarray, " g"]) -> "Scale":
        """Values in this order of genes; 0 for genes without one."""
        value = pd.Series(self.value_g, index=self.gene_ids).reindex(gene_ids).fillna(0.0)
        return replace(self, gene_ids=gene_ids, value_g=value.to_numpy(float))


def expression_scale(gene_ids: Shaped[np.ndarray, " g"], log_expression_g: Float[np.ndarray, " g"]) -> Scale:
    """Genes that the cells express more may act more, by little.

    Parameters
    ----------
    gene_ids
        Ensembl ids.
    log_expression_g
        Log expression in the start cells, any base; NaN where it is not known.

    Examples
    --------
    >>> expression_scale(np.array(["a", "b", "c"]), np.array([1.0, 2.0, np.nan])).value_g
    array([-1.,  1.,  0.])
    """
    return Scale("expression", gene_ids, _limited(log_expression_g), EXPRESSION_WEIGHT)


def change_scale(gene_ids: Shaped[np.ndarray, " g"], change_g: Float[np.ndarray, " g"]) -> Scale:
    """Genes that differ much between the states are mostly consequences of the state, and act less; measured genes can say otherwise.

    Parameters
    ----------
    gene_ids
        Ensembl ids.
    change_g
        How much a gene differs between start and goal, whatever its sign: absolute z or log fold change; NaN where it is not known.

    Examples
    --------
    >>> change_scale(np.array(["a", "b", "c"]), np.array([-3.0, 1.0, np.nan])).value_g
    array([-1.,  1.,  0.])
    """
    return Scale("change", gene_ids, 0.0 - _limited(np.abs(change_g)), CHANGE_WEIGHT, CHANGE_DOUBT)


def listed_scale(name: str, gene_ids: Shaped[np.ndarray, " g"], is_listed_g: Bool[np.ndarray, " g"]) -> Scale:
    """Genes of a list that was named beforehand, such as a pathway, may act more; measured genes can say that they do not.

    Parameters
    ----------
    name
        What the list is.
    gene_ids
        Ensembl ids.
    is_listed_g
        Whether a gene is on it.
    """
    return Scale(name, gene_ids, is_listed_g.astype(float), LISTED_WEIGHT, LISTED_DOUBT)


def lineage_scale(gene_ids: Shaped[np.ndarray, " g"], lineage_g: Float[np.ndarray, " g"]) -> Scale:
    """Genes that these cells express more than other cell types do may act more; where they do not, the weight falls.

    Parameters
    ----------
    gene_ids
        Ensembl ids.
    lineage_g
        `evidence.lineage.lineage_score`, log2; NaN where it is not known. A gene of other cell types (below 0) is as any gene.
    """
    return Scale(
        "lineage", gene_ids, np.maximum(np.nan_to_num(lineage_g), 0.0), LINEAGE_WEIGHT, LINEAGE_DOUBT
    )


def _limited(value_g: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(standardized(value_g)), -LIMIT, LIMIT)
