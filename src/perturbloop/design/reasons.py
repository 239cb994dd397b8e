"""Why a gene is proposed, in biology: what the ranking says of it, by which measured genes, and what differential expression says."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from perturbloop.schema import EITHER_WAY


def reasons_of(chosen: pd.DataFrame) -> list[str]:
    """Say of each row what its place rests on.

    Parameters
    ----------
    chosen
        RANKING rows; where they have the column `neighbors` of POSTERIOR, the measured genes behind the expectation are named.

    Examples
    --------
    >>> reasons_of(pd.DataFrame({"ranked_by": ["logit_shift"], "effect": [0.08], "ci_low": [0.02], "ci_high": [0.14],
    ...     "log2fc": [-1.2], "de_padj": [0.003], "flags": ["either-way"]}))
    ['in-silico shift +0.080 logits [+0.020, +0.140]; log2FC -1.20 (padj 0.003): higher in the start; the opposite action scores as high']
    """
    return ["; ".join(_parts(row)) for row in chosen.to_dict("records")]


def _parts(row: dict[str, Any]) -> Iterator[str]:
    in_silico = row["ranked_by"] == "logit_shift"
    if pd.isna(row["effect"]):  # a ranking of an older version
        yield "highest benefit among genes that were not measured"
    elif in_silico:
        yield f"in-silico shift {row['effect']:+.3f} logits {_interval(row, 3)}"
    else:
        yield f"expected effect {row['effect']:+.2f} {_interval(row, 2)}"
    neighbors = row.get("neighbors")
    if isinstance(neighbors, str) and neighbors:
        yield f"by measured genes: {neighbors}"
    if pd.notna(row["log2fc"]):
        side = "goal" if row["log2fc"] > 0 else "start"
        padj = f" (padj {row['de_padj']:.2g})" if pd.notna(row["de_padj"]) else ""
        yield f"log2FC {row['log2fc']:+.2f}{padj}: higher in the {side}"
    if EITHER_WAY in str(row["flags"]).split(","):
        yield "the opposite action scores as high"


def _interval(row: dict[str, Any], digits: int) -> str:
    if pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return "(too few cells for an interval)"
    return f"[{row['ci_low']:+.{digits}f}, {row['ci_high']:+.{digits}f}]"
