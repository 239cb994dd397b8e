"""HGNC symbols: what a gene is called today, what it was called before, and what else it is called."""

import lzma
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

FILE = Path(__file__).parent / "knowledge" / "shipped" / "hgnc.xz"


@dataclass(frozen=True, eq=False)
class Symbols:
    """Approved, previous and alias symbols of all genes, in upper case."""

    rows: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    """Approved symbol, previous ones and aliases of each gene."""

    @cached_property
    def approved(self) -> dict[str, int]:
        """Row of each approved symbol."""
        return {row[0]: place for place, row in enumerate(self.rows)}

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each symbol: approved ones, and others that are those of one gene; -1 for those of several."""
        rows: dict[str, int] = {}
        for place, (_, before, also) in enumerate(self.rows):
            for name in (*before, *also):
                rows[name] = place if rows.get(name, place) == place else -1
        return rows | self.approved

    def synonyms(self, label: str) -> tuple[str, ...]:
        """What else the gene of this label is called: its approved symbol, then those it had before.

        Empty where the label is no symbol, or may be that of several genes; a previous symbol that is also another gene's is left
        out.

        >>> symbols().synonyms("MARCH1"), symbols().synonyms("MARCHF1"), symbols().synonyms("TAZ")
        (('MARCHF1',), ('MARCH1',), ())
        """
        name = label.upper()
        place = self.row_of.get(name, -1)
        if place < 0:
            return ()
        current, before, _ = self.rows[place]
        return tuple(one for one in (current, *before) if one != name and self.row_of[one] == place)

    def meant(self, label: str) -> tuple[tuple[str, ...], ...]:
        """Each gene that a label may stand for, by its approved symbol and those it had before.

        One gene where the label is its approved symbol; several where an older or another name is that of several; none where it is
        no symbol. A previous symbol that is also another gene's is left out.

        >>> symbols().meant("p53"), len(symbols().meant("MRP1")), symbols().meant("nothing")
        ((('TP53',),), 2, ())
        """
        name = label.upper()
        found = self.row_of.get(name)
        if found is None:
            return ()
        places = (
            [found]
            if found >= 0
            else [
                place for place, (_, before, also) in enumerate(self.rows) if name in before or name in also
            ]
        )
        return tuple(
            (self.rows[place][0], *(one for one in self.rows[place][1] if self.row_of[one] == place))
            for place in places
        )


@cache
def symbols() -> Symbols:
    """Symbols of all human genes, read when they are first needed."""
    text = lzma.decompress(FILE.read_bytes()).decode().upper()
    rows = [line.split("\t") for line in text.split("\n")]
    others = [[tuple(names.split("|")) if names else () for names in (*row[1:], "", "")] for row in rows]
    return Symbols(tuple((row[0], names[0], names[1]) for row, names in zip(rows, others, strict=True)))
