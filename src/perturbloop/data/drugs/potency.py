"""How strongly a compound acts on each of its targets: the share of the target that it occupies."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from perturbloop.errors import InputError, some

NINE_TENTHS = 9.0
"""Concentration over Kd at which nine tenths of a target are occupied: the dose that is assumed where none is known."""
_LOG = re.compile(r"potency|p(ki|kd|ic50|ec50|xc50|ac50|chembl([ _]?value)?|activity)", re.IGNORECASE)
_MOLAR = re.compile(r"(ki|kd|ic50|ec50|potency)[ _(\[]+([pnuµμm]?m)[)\]]?", re.IGNORECASE)
_BARE = re.compile(r"ki|kd|ic50|ec50", re.IGNORECASE)
_DOSE = re.compile(r".*[ _.(\[]([pnuµμm]?M|[pnuµμ]m)[)\]]?$")
_EXPONENT = {"pm": 12, "nm": 9, "um": 6, "µm": 6, "μm": 6, "mm": 3, "m": 0}
_LEAST, _MOST = 0.0, 15.0


def share_occupied(potency: float, molar: float) -> float:
    r"""Share of a target that a compound occupies, 0 to 1.

    Parameters
    ----------
    potency
        −log10 of the dissociation constant K (or of what stands for it: Ki, IC50, EC50) in mol/l.
    molar
        Concentration in mol/l.

    Notes
    -----
    :math:`c / (c + K)`, one site, at equilibrium. An IC50 is no Kd: it depends on the assay, and the free concentration in a
    cell is seldom that in the medium.

    Examples
    --------
    >>> share_occupied(8.0, 1e-8), round(share_occupied(6.0, 1e-8), 3)
    (0.5, 0.01)
    """
    return float(molar / (molar + 10.0**-potency))


def weights_of(
    potency: Mapping[str, float], genes: frozenset[str], molar: float = float("nan")
) -> dict[str, float]:
    """How strongly a compound acts on each gene it hits, 0 to 1.

    Parameters
    ----------
    potency
        −log10 of K in mol/l of the genes for which it is known.
    genes
        All genes it hits.
    molar
        Concentration in mol/l; missing = not known.

    Returns
    -------
    The share of each target that is occupied at that concentration; where none is known, at the one that occupies nine tenths of
    its most potent target. Where no potency is known every gene has weight 1; where it is for some, the others have the median
    of these.

    Examples
    --------
    >>> found = weights_of({"a": 9.0, "b": 7.0}, frozenset({"a", "b", "c"}))
    >>> {gene: round(weight, 2) for gene, weight in sorted(found.items())}
    {'a': 0.9, 'b': 0.08, 'c': 0.49}
    >>> weights_of({}, frozenset({"a"}))
    {'a': 1.0}
    """
    known = {gene: potency[gene] for gene in genes if np.isfinite(potency.get(gene, np.nan))}
    if not known:
        return dict.fromkeys(genes, 1.0)
    dose = molar if np.isfinite(molar) and molar > 0 else NINE_TENTHS * 10.0 ** -max(known.values())
    shares = {gene: share_occupied(value, dose) for gene, value in known.items()}
    other = float(np.median(list(shares.values())))
    return {gene: shares.get(gene, other) for gene in genes}


def unit_of(column: str) -> int | None:
    """Powers of ten between mol/l and the unit that the name of a column of doses ends with; `None` where it names none.

    >>> unit_of("dose_uM"), unit_of("dose (nM)"), unit_of("dose")
    (6, 9, None)
    """
    found = _DOSE.match(column)
    return _EXPONENT[found[1].lower()] if found else None


def potencies(table: pd.DataFrame, name: str) -> pd.Series:
    """Potency of each row, −log10 of mol/l, from whichever columns of a table hold it; missing where none does.

    Parameters
    ----------
    table
        A table of compounds as text, its columns as they are named in the file.
    name
        What the table is called, for the message.

    Raises
    ------
    InputError
        If a column names no unit, or holds what is no potency.
    """
    bare = [column for column in table if _BARE.fullmatch(column.strip())]
    if bare:
        msg = (
            f"A potency needs its unit; `{name}` has the columns {some(bare)}. Name them after it: `{bare[0].lower()}_nm` (nmol/l), "
            f"`{bare[0].lower()}_um` (µmol/l), or `p{bare[0].lower()}` (−log10 of mol/l)."
        )
        raise InputError(msg)
    found = pd.Series(np.nan, index=table.index)
    for column in table:
        molar = _MOLAR.fullmatch(column.strip())
        if molar is None and not _LOG.fullmatch(column.strip()):
            continue
        numbers = _numbers(table[column], column, name)
        if molar is not None:
            with np.errstate(divide="ignore"):
                numbers = _EXPONENT[molar[2].lower()] - np.log10(numbers)
        found = found.fillna(_sane(numbers, column, name))
    return found


def _numbers(values: pd.Series, column: str, name: str) -> pd.Series:
    text = values.fillna("").astype(str).str.strip()
    text = text.where(~text.str.lower().isin(["nan", "none", "null"]), "")
    numbers = pd.to_numeric(text.where(text.ne("")), errors="coerce")
    wrong = sorted(set(text[numbers.isna() & text.ne("")]))
    if wrong:
        msg = f"The column '{column}' of `{name}` must hold numbers; it also holds {some(wrong)}. Correct them or leave them empty."
        raise InputError(msg)
    return numbers.astype(float)


def _sane(numbers: pd.Series, column: str, name: str) -> pd.Series:
    wrong = numbers[numbers.notna() & ~numbers.between(_LEAST, _MOST)]
    if len(wrong):
        msg = (
            f"A potency must be between {_LEAST:g} (1 mol/l) and {_MOST:g} (1 fmol/l), as −log10 of mol/l; the column '{column}' of "
            f"`{name}` gives {some(f'{value:g}' for value in wrong)}. Correct it, or the unit in its name."
        )
        raise InputError(msg)
    return numbers
