"""How the counts of a file of cells are read: where they lie, and which cells are kept."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

from annotated_types import Interval

from perturbloop.schema.checks import Count, Share


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read of a file of cells; the options of state cells and of perturbed cells begin with these."""

    counts: str | None = None
    """Where the raw counts lie: X, raw, or layers/NAME; by itself the one place that holds whole numbers."""
    round: bool = False
    """Whether fractions of a molecule, as a correction for ambient RNA or an estimate leaves them, are rounded to whole counts."""
    subset: str | None = None
    """Keep the cells for which this is true of the columns of `obs`: "cell_type == 'CD4 T' and donor != 'd3'"."""
    min_counts: Count | None = None
    """Leave out cells with fewer counts than this."""
    min_genes: Count | None = None
    """Leave out cells that express fewer genes than this."""
    max_mito: Share | None = None
    """Leave out cells with a larger share of mitochondrial counts than this, 0 to 1."""
    max_doublet_score: Annotated[float, Interval(ge=0, le=1)] | None = None
    """Leave out cells with a higher doublet score than this, where a column of `obs` holds one."""


AS_IT_IS = Reading()
"""All cells, counts found by themselves."""
_DEFAULTS = {field.name: field.default for field in fields(Reading)}


def unsaid(name: str, value: Any) -> bool:
    """Whether an option is one of `Reading` that was left as it is: such options decide nothing.

    Parameters
    ----------
    name, value
        The option.

    Examples
    --------
    >>> unsaid("min_counts", None), unsaid("min_counts", 500), unsaid("gene_column", None)
    (True, False, False)
    """
    return name in _DEFAULTS and value == _DEFAULTS[name]


def is_reading(name: str) -> bool:
    """Whether an option is one of `Reading`; what they keep of a file is part of the digest of its cells."""
    return name in _DEFAULTS
