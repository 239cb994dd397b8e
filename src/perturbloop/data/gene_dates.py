"""Dates that a spreadsheet made of gene names: 3-Mar was MARCH3, today MARCHF3; 1-Mar was MARCH1 or MARC1, and nobody can tell."""

import re
from functools import cache

from perturbloop.data.hgnc import symbols

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ALSO = {"sept": 9, "march": 3, "mrz": 3, "mär": 3, "mai": 5, "okt": 10, "dez": 12}
_NAMES = {3: ("MARCH", "MARC", "MAR"), 9: ("SEPT", "SEP")}
"""What may stand before the number of a gene that became a date of this month; the month's three letters elsewhere."""
_WORD = r"([A-Za-zä]{3,5})\.?"
_PATTERNS = (
    re.compile(rf"(\d{{1,2}})\.?[- /]{_WORD}([- /]\d{{2,4}})?"),  # 1-Mar, 01-Mar-23
    re.compile(rf"{_WORD}[- /](\d{{1,2}})"),  # Mar-01
    re.compile(r"\d{4}-(\d{1,2})-(\d{1,2})([ T]00:00:00)?"),  # 2023-03-01
    re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})"),  # 3/1/2023 or 1.3.2023
)


def genes_of_date(label: str) -> tuple[str, ...] | None:
    """Present symbols of the genes that a spreadsheet may have turned into this date; `None` where it is no date.

    >>> genes_of_date("3-Mar"), genes_of_date("2023-03-01"), genes_of_date("15-Sep"), genes_of_date("7-Jan")
    (('MARCHF3',), ('MARCHF1', 'MTARC1'), ('SELENOF',), ())
    >>> genes_of_date("MARCH3") is None
    True
    """
    days = _days(label)
    if not days:
        return None
    return tuple(sorted({gene for month, day in days for gene in _genes(month, day)}))


def _days(label: str) -> set[tuple[int, int]]:
    """Month and day, both ways where two numbers may be either."""
    text = label.strip()
    first, second, third, fourth = (pattern.fullmatch(text) for pattern in _PATTERNS)
    if first:
        found = {(_month(first[2]), int(first[1]))}
    elif second:
        found = {(_month(second[1]), int(second[2]))}
    elif third:
        found = {(int(third[1]), int(third[2]))}
    elif fourth:
        one, other = int(fourth[1]), int(fourth[2])
        found = {(one, other), (other, one)}
    else:
        return set()
    return {(month, day) for month, day in found if 1 <= month <= 12 and 1 <= day <= 31}


def _month(word: str) -> int:
    lower = word.lower()
    return _ALSO.get(lower, _MONTHS.index(lower) + 1 if lower in _MONTHS else 0)


@cache
def _genes(month: int, day: int) -> frozenset[str]:
    """Genes with such a name: an approved or former symbol goes before an alias, which is taken where it is one gene's."""
    names = {f"{word}{day}" for word in _NAMES.get(month, (_MONTHS[month - 1].upper(),))}
    rows = symbols().rows
    official = frozenset(row[0] for row in rows if names & {row[0], *row[1]})
    return official or frozenset(row[0] for row in rows if names & set(row[2]))
