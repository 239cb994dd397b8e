"""The ranking of one kind, made ready to be filtered and sorted: 40,000 rows in a few milliseconds."""

import base64
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from perturbloop.report import RoundReport
from perturbloop.report.basis import Basis, basis_of, shown
from perturbloop.report.names import Names
from perturbloop.report.ranking import COLUMNS
from perturbloop.schema import STATUS
from perturbloop.web.wanted import NONE, SOME, Wanted, labels

MOST_PARTS, MOST_LISTED = 50, 2000
"""Most names that are looked for as parts, and as a list, at once."""
BEHIND = {"effect": "mean", "interval": "ci_low"}
"""Column of the table by which a shown one is sorted, where they are not the same."""


@dataclass(frozen=True, eq=False)
class Found:
    """Rows that are wanted."""

    rows: Int[np.ndarray, " n"]
    """Their places in the table, in the order that was asked for."""
    unknown: tuple[str, ...] = ()
    """Names of the list that no gene of the ranking has."""
    meant: tuple[tuple[str, str], ...] = ()
    """Names that are others than the gene's symbol, and the symbol."""
    beyond: int = 0
    """Names that were not looked up: too many came."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Genes of one kind, best first."""

    kind: str
    basis: Basis
    table: pd.DataFrame
    """`report.basis.shown`."""
    names: Names
    text: str
    """Symbol and id of each in lower case, a line a gene."""
    lines: list[int]
    """Where each line begins, and where the text ends."""
    flags: dict[str, Bool[np.ndarray, " g"]]
    """Which genes have a caution."""
    row_of: dict[str, int]
    """Gene -> its row."""
    orders: dict[str, Int[np.ndarray, " g"]] = field(default_factory=dict)

    @classmethod
    def of(cls, report: RoundReport, kind: str, names: Names) -> "Ranked":
        """Make it ready.

        Parameters
        ----------
        report
            The round.
        kind
            Kind of edit.
        names
            What its genes are called.
        """
        table = shown(report, kind)
        texts = [
            f"{name}\t{gene}\n".lower()
            for name, gene in zip(table["gene_name"], table["gene_id"], strict=True)
        ]
        lines = [0, *accumulate(map(len, texts))]
        dummies = table["cautions"].str.get_dummies(", ")
        flags = {str(name): dummies[name].to_numpy(bool) for name in dummies}
        row_of = {str(gene): row for row, gene in enumerate(table["gene_id"])}
        return cls(kind, basis_of(report, kind), table, names, "".join(texts), lines, flags, row_of)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are shown."""
        held = {*self.table.columns, *BEHIND}
        return (*(name for name in COLUMNS[self.basis] if name in held), "status")

    @cached_property
    def statuses(self) -> tuple[str, ...]:
        """Those that some gene has."""
        held = set(self.table["status"])
        return tuple(name for name in STATUS if name in held)

    def find(self, wanted: Wanted) -> Found:
        """Filter and sort.

        Parameters
        ----------
        wanted
            What is wanted; a sort or call that this kind has no column for is passed over.
        """
        keep = np.ones(len(self.table), dtype=bool)
        unknown: tuple[str, ...] = ()
        meant: tuple[tuple[str, str], ...] = ()
        parts, listed = labels(wanted.q), labels(wanted.genes)
        if wanted.q:
            part, meant = self._holding(parts[:MOST_PARTS])
            keep &= part
        if wanted.genes:
            part, unknown = self._listed(listed[:MOST_LISTED])
            keep &= part
        if wanted.caution:
            keep &= self._cautioned(wanted.caution)
        for name in ("call", "status"):
            if (value := getattr(wanted, name)) and name in self.table:
                keep &= self.table[name].to_numpy(object) == value
        if wanted.detection:
            keep &= self.table["detection"].to_numpy(float) >= wanted.detection
        order = self._order(wanted)
        beyond = max(0, len(parts) - MOST_PARTS), max(0, len(listed) - MOST_LISTED)
        return Found(order[keep[order]], unknown, meant, sum(beyond))

    def _holding(self, parts: tuple[str, ...]) -> tuple[np.ndarray, tuple[tuple[str, str], ...]]:
        """Genes whose symbol or id holds one of some texts, or that have it as another name."""
        keep, meant = np.zeros(len(self.table), dtype=bool), []
        for label in parts:
            keep[self._rows_with(label.lower())] = True
            for gene in self.names.by_other_names(label):
                if gene in self.row_of and not keep[self.row_of[gene]]:
                    keep[self.row_of[gene]] = True
                    meant.append((label, self.names.name_of[gene]))
        return keep, tuple(meant)

    def _rows_with(self, part: str) -> list[int]:
        """Rows whose line of the text holds a part."""
        rows, at = [], self.text.find(part)
        while at >= 0:
            rows.append(bisect_right(self.lines, at) - 1)
            at = self.text.find(part, self.lines[rows[-1] + 1])
        return rows

    def _listed(self, listed: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
        """Genes of a list, and names that none has."""
        keep, unknown = np.zeros(len(self.table), dtype=bool), []
        for label in listed:
            rows = [self.row_of[gene] for gene in self.names.meant(label) if gene in self.row_of]
            keep[rows] = True
            if not rows:
                unknown.append(label)
        return keep, tuple(unknown)

    def _cautioned(self, caution: str) -> np.ndarray:
        no = np.zeros(len(self.table), dtype=bool)
        if caution in (SOME, NONE):
            some: np.ndarray = np.logical_or.reduce([no, *self.flags.values()])
            return some if caution == SOME else ~some
        has = self.flags.get(caution.removeprefix("-"), no)
        return ~has if caution.startswith("-") else has

    def _order(self, wanted: Wanted) -> np.ndarray:
        """Rows by a column, ties by place; those without a value last, whichever way."""
        column = BEHIND.get(wanted.column, wanted.column)
        if column not in self.table:
            column, key = "place", "place"
        else:
            key = wanted.sort
        if key not in self.orders:
            self.orders[key] = _sorted(self.table[column], descending=key.startswith("-"))
        return self.orders[key]

    def mask(self, found: Found) -> str:
        """Which rows of the table are found, a bit each, for the script that draws them: base64, first row in the highest bit."""
        keep = np.zeros(len(self.table), dtype=bool)
        keep[found.rows] = True
        return base64.b64encode(np.packbits(keep).tobytes()).decode()


def _sorted(values: pd.Series, *, descending: bool) -> np.ndarray:
    if not pd.api.types.is_numeric_dtype(values):
        texts = values.fillna("").astype(str)
        values = texts.str.lower().where(texts.ne("")).rank(method="dense")
    order = values.reset_index(drop=True).sort_values(
        ascending=not descending, kind="stable", na_position="last"
    )
    return order.index.to_numpy(np.int32)
