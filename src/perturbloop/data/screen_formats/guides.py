"""A table of guides in the place of one of genes: named as such, with what to give instead."""

from pathlib import Path

import pandas as pd

from perturbloop.data.screen_formats.base import GENE, gene_column, plain
from perturbloop.errors import InputError

_GUIDE = (
    "sgrna",
    "sgrnaid",
    "sgrnasequence",
    "grna",
    "grnaid",
    "guide",
    "guideid",
    "guidename",
    "guidesequence",
    "guiderna",
    "reagentid",
    "rna",
    "spacer",
    "protospacer",
    "barcode",
    "sequence",
    "seqid",
)
"""Names of a column of guides, as `plain` writes them."""
LEAST_AGAIN = 0.1
"""Least share of rows that name a gene again, where a column of guides makes a table one of guides."""


def refuse_guides(frame: pd.DataFrame, path: str, gene: str | None = None) -> None:
    """Refuse a table with one row a guide, as MAGeCK's `sgrna_summary.txt`, a table of counts or of fold changes.

    Parameters
    ----------
    frame
        The table.
    path
        The file.
    gene
        Its column of genes; found by itself where none is named.
    """
    guide = next((name for name in frame if plain(name) in _GUIDE and _is_text(frame[name])), None)
    gene = gene or gene_column(frame, tuple(name for name in GENE if name != "id"))
    if guide is None or gene not in frame.columns or gene == guide:
        return
    n_genes = frame[gene].nunique()
    if n_genes > (1 - LEAST_AGAIN) * len(frame):
        return
    msg = (
        f"A screen is told by gene; `{path}` is a table of guides: its {len(frame):,} rows are those of column '{guide}', of "
        f"{n_genes:,} genes. {_instead(Path(path))}"
    )
    raise InputError(msg)


def _instead(path: Path) -> str:
    summary = path.with_name(path.name.replace("sgrna_summary", "gene_summary"))
    if summary != path and summary.is_file():
        return f"Give the summary by gene that lies beside it: `--screen {summary}`."
    return (
        "Give the summary by gene of the same run (MAGeCK: NAME.gene_summary.txt), or make one from counts: "
        "`mageck test -k COUNTS -t TREATED -c CONTROL -n NAME`."
    )


def _is_text(values: pd.Series) -> bool:
    """Whether it holds names: MAGeCK MLE counts guides in a column of that name."""
    return not pd.api.types.is_numeric_dtype(values)
