"""What a table is: columns with a meaning, sign, unit and example, and checks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perturbloop.errors import InputError, some

if TYPE_CHECKING:  # half of the time in which a command starts
    import pandas as pd


@dataclass(frozen=True)
class Column:
    """One column of a table: its meaning with sign and unit, and an example value."""

    name: str
    meaning: str
    example: object


@dataclass(frozen=True)
class Table:
    """A table's name, what one row is, and its columns."""

    name: str
    row: str
    columns: tuple[Column, ...]
    optional: tuple[str, ...] = ()
    """Columns that are missing values where a frame lacks them."""

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    def checked(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the frame with the columns in order; refuse one that lacks any but the optional ones."""
        missing = [name for name in self.names if name not in frame.columns and name not in self.optional]
        if missing:
            msg = (
                f"The table `{self.name}` needs the columns {some(self.names, limit=20)}; "
                f"these are missing: {some(missing)}. Make it with the step that writes it."
            )
            raise InputError(msg)
        return frame.reindex(columns=self.names).reset_index(drop=True)

    def completed(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the frame with the columns in order; those that an older version did not write yet are missing values."""
        return frame.reindex(columns=self.names)


def concat(table: Table, frames: "Iterable[pd.DataFrame]") -> "pd.DataFrame":
    """Join frames of one table; an empty list gives an empty table with its columns."""
    import pandas as pd

    parts = [table.checked(frame) for frame in frames if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=table.names)
