"""Outcomes typed by hand: a table of genes and whether each was a hit."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from perturbloop.data.genes import GeneNames
from perturbloop.data.spreadsheets import ENDINGS, read_sheet, sheets_of
from perturbloop.data.text_tables import once_named, read_table
from perturbloop.errors import GeneIdError, InputError, some

_GENE = ("gene", "gene_name", "gene_symbol", "symbol", "gene_id", "target")
_YES, _NO = ("true", "yes", "1", "1.0", "t", "y", "hit"), ("false", "no", "0", "0.0", "f", "n", "no hit")


def read_hits(path: Path | str, *, names: GeneNames) -> dict[str, bool]:
    """Read a table with the columns `gene` and `hit`; rows without an outcome are left out.

    Parameters
    ----------
    path
        Text file with tabs, commas or semicolons, or a workbook, of which the first sheet that holds something is read; `hit` is true, yes or 1, or false, no or 0: a hit moved the cells to the goal.
    names
        Which symbol means which gene.

    Returns
    -------
    Ensembl id -> whether it was a hit.

    Raises
    ------
    InputError
        If a column is missing, or `hit` holds something else.
    GeneIdError
        If a gene is not known.
    """
    path = Path(path)
    frame = _as_text(path)
    lower = {name.lower(): name for name in frame.columns}
    gene = next((lower[name] for name in _GENE if name in lower), None)
    if gene is None or "hit" not in lower:
        msg = (
            f"Outcomes are a table with the columns `gene` and `hit`; `{path.name}` has {some(frame.columns)}. Name them so in its "
            "first line."
        )
        raise InputError(msg)
    rows = frame[[gene, lower["hit"]]].set_axis(["gene", "hit"], axis=1)
    rows = rows.apply(lambda column: column.str.strip())[
        lambda kept: kept["hit"].ne("") & kept["gene"].ne("")
    ]
    word = rows["hit"].str.lower()
    wrong = rows.loc[~word.isin([*_YES, *_NO]), "hit"].unique()
    if len(wrong):
        msg = f"Column `hit` of `{path.name}` must hold yes or no, true or false, 1 or 0; {some(wrong)} came. Correct it."
        raise InputError(msg)
    return hits_of(dict(zip(rows["gene"], word.isin(_YES).tolist(), strict=True)), names=names)


def _as_text(path: Path) -> pd.DataFrame:
    """The table, every value as it is written; of a workbook its first sheet that holds something."""
    if path.suffix.lower() not in (*ENDINGS, ".xls"):
        return read_table(path, as_text=True)
    frame = once_named(read_sheet(path, next(iter(sheets_of(path)), "")), path)
    return frame.apply(lambda column: column.map(lambda value: "" if pd.isna(value) else str(value)))


def hits_of(outcomes: Mapping[str, bool], *, names: GeneNames) -> dict[str, bool]:
    """Ensembl id -> hit, of outcomes by symbol or id.

    Parameters
    ----------
    outcomes
        Symbol or Ensembl id -> whether it was a hit.
    names
        Which symbol means which gene.

    Raises
    ------
    GeneIdError
        If a gene is not known.

    >>> hits_of({"STAT1": True}, names=GeneNames.of({"STAT1": "ENSG00000115415"}))
    {'ENSG00000115415': True}
    """
    ids = names.resolve(outcomes)
    unknown = [label for label, found in zip(outcomes, ids, strict=True) if not found]
    if unknown:
        msg = f"Outcomes name genes by symbol or Ensembl id; nobody knows {some(unknown)}. Correct them."
        raise GeneIdError(msg)
    return dict(zip(ids, map(bool, outcomes.values()), strict=True))
