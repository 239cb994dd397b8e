"""A plate as a workbook, and as a grid of wells that a page shows."""

import io
from dataclasses import dataclass

import pandas as pd

from perturbloop.design.plate import WELLS

ROLES = {"target": "target", "positive control": "known to act", "non-targeting": "no target"}
"""What is said of a well, by its role."""


@dataclass(frozen=True)
class Well:
    """One well."""

    name: str
    """A1 to H12, or to P24."""
    gene: str = ""
    """Symbol, or which control; empty where the well is."""
    gene_id: str = ""
    role: str = ""
    """Word of `ROLES`; empty where the well is."""
    guides: str = ""
    """Names of its guides."""


@dataclass(frozen=True)
class PlateGrid:
    """A plate as rows of wells."""

    number: int
    rows: tuple[tuple[Well, ...], ...]

    @property
    def letters(self) -> str:
        """Names of the rows."""
        return "".join(row[0].name[0] for row in self.rows)


def plate_grids(plate: pd.DataFrame) -> tuple[PlateGrid, ...]:
    """Every well of every plate, empty ones too.

    Parameters
    ----------
    plate
        Rows of `design.plate.plate`.

    Examples
    --------
    >>> rows = pd.DataFrame({"plate": [1], "well": ["B2"], "role": ["target"], "gene_name": ["STAT1"], "gene_id": [""], "guides": [""]})
    >>> grid = plate_grids(rows)[0]
    >>> grid.letters, grid.rows[1][1].gene, grid.rows[0][0].role
    ('ABCDEFGH', 'STAT1', '')
    """
    size = 96 if len(plate) <= 96 else 384
    n_rows, n_columns = WELLS[size]
    held = {(int(row.plate), row.well): row for row in plate.itertuples()}
    names = [[f"{chr(ord('A') + row)}{column + 1}" for column in range(n_columns)] for row in range(n_rows)]
    return tuple(
        PlateGrid(
            number, tuple(tuple(_well(name, held.get((number, name))) for name in row) for row in names)
        )
        for number in sorted({number for number, _ in held})
    )


def _well(name: str, row: object) -> Well:
    if row is None:
        return Well(name)
    gene, gene_id, role, guides = (
        str(getattr(row, field)) for field in ("gene_name", "gene_id", "role", "guides")
    )
    return Well(name, gene, gene_id, ROLES.get(role, role), guides)


def workbook(table: pd.DataFrame) -> bytes:
    """Table as an Excel workbook; a name is never a date, a formula or a link.

    Parameters
    ----------
    table
        A plate.
    """
    file, as_text = io.BytesIO(), {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
    table.to_excel(file, index=False, engine="xlsxwriter", engine_kwargs=as_text)
    return file.getvalue()
