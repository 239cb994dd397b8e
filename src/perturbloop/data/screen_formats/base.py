"""What a format is, and the columns and numbers that all of them read."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm

from perturbloop.data.text_tables import NAMELESS
from perturbloop.errors import InputError, some

LEAST_Z = 1.0
"""Least absolute z from which a standard error is read as absolute score over absolute z: below, two small numbers are divided by each other."""
GENE = (
    "id",
    "gene",
    "genename",
    "genesymbol",
    "symbol",
    "hgncsymbol",
    "geneid",
    "ensemblid",
    "names",
    "target",
)
"""Names of a column of genes, in lower case without anything but letters and digits; the first go before the others."""
Columns = Mapping[str, str]
"""Role (score, p-value, …) -> the column that holds it."""


@dataclass(frozen=True)
class Format:
    """One tool, told by its columns."""

    name: str
    """The tool and its table, in words."""
    source: str
    """DOI of the tool."""
    high: str
    """What a high score says of what was done to the gene, in words."""
    find: Callable[[Collection[str]], dict[str, dict[str, str]]]
    """Names of columns -> the role of each, by comparison; '' where columns name none. Empty for a table of another tool."""
    numbers: Callable[[pd.DataFrame, Columns, str], dict[str, np.ndarray]]
    """Table, columns and path -> `score`, and what there is of `se`, `pvalue` (two-sided), `padj`, `n_reagents`."""
    notes: tuple[str, ...] = ()
    """What is done to its numbers, in words."""


def plain(name: str) -> str:
    """Name of a column without case and without anything but letters and digits.

    >>> plain("adj.P.Val")
    'adjpval'
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def comparisons(
    names: Collection[str], roles: Mapping[str, str], needed: Collection[str]
) -> dict[str, dict[str, str]]:
    """Find the columns of each comparison that stands side by side in a table.

    Parameters
    ----------
    names
        Columns of the table.
    roles
        Role -> pattern of its column; before or behind it may stand the name of a comparison.
    needed
        Roles that a comparison must have.

    Examples
    --------
    >>> comparisons(["Gene", "A|beta", "A|fdr", "B|beta"], {"score": "beta", "FDR": "fdr"}, ["score", "FDR"])
    {'A': {'score': 'A|beta', 'FDR': 'A|fdr'}}
    """
    found: dict[str, dict[str, str]] = {}
    for role, pattern in roles.items():
        whole = re.compile(rf"(?:(.+?)[|._ -]+)?{pattern}(?:[|._ -]+(.+))?", re.IGNORECASE)
        for name in names:
            match = whole.fullmatch(name)
            if match and not all(match.groups()):
                found.setdefault(match[1] or match[2] or "", {}).setdefault(role, name)
    return {name: columns for name, columns in found.items() if set(needed) <= set(columns)}


def gene_column(frame: pd.DataFrame, known: tuple[str, ...] = GENE) -> str | None:
    """Find the column of genes: one of a known name that holds text; else a first one without a name, as R writes row names.

    Parameters
    ----------
    frame
        The table.
    known
        Names it may have, as `plain` writes them.
    """
    named = [name for name in frame.columns if plain(name) in known]
    named.sort(key=lambda name: known.index(plain(name)))
    first = [name for name in frame.columns[:1] if name == NAMELESS]
    return next((name for name in [*named, *first] if not pd.api.types.is_numeric_dtype(frame[name])), None)


def numbers(frame: pd.DataFrame, column: str | None, path: str) -> np.ndarray:
    """Values of a column, missing where there is no column; text in it is refused.

    Parameters
    ----------
    frame
        The table.
    column
        One of its columns.
    path
        Where it comes from, for the message.
    """
    if column is None:
        return np.full(len(frame), np.nan)
    values = pd.to_numeric(frame[column], errors="coerce")
    text = frame.loc[values.isna() & frame[column].notna(), column]
    if len(text):
        thousands = all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", str(value)) for value in text)
        todo = (
            "Nothing tells whether their commas are those of decimals or of thousands: write them with points."
            if thousands
            else "Name the right column, or write missing values as NA."
        )
        msg = (
            f"Column '{column}' of `{path}` must hold numbers; {len(text):,} of {len(frame):,} values are not: "
            f"{some(text.unique())}. {todo}"
        )
        raise InputError(msg)
    return values.replace([np.inf, -np.inf], np.nan).to_numpy(dtype=float)


def shares(frame: pd.DataFrame, column: str | None, path: str) -> np.ndarray:
    """Values of a column of p-values or false discovery rates, between 0 and 1.

    Parameters
    ----------
    frame, column, path
        As `numbers` has them.
    """
    values = numbers(frame, column, path)
    wrong = values[(values < 0) | (values > 1)]
    if wrong.size:
        msg = (
            f"Column '{column}' of `{path}` must hold values between 0 and 1; {wrong.size:,} are not: {some(wrong)}. "
            "Turn logarithms back into p-values, or name the right column."
        )
        raise InputError(msg)
    return values


def of_two_arms(score_g: np.ndarray, low: tuple[np.ndarray, ...], high: tuple[np.ndarray, ...]) -> dict:
    """Give each gene the p and FDR of the arm of its score's sign; the one-sided p is doubled.

    Parameters
    ----------
    score_g
        Signed scores.
    low, high
        One-sided p and FDR of the arm of negative, and of positive, scores.
    """
    negative_g = score_g < 0
    pvalue = np.minimum(1, 2 * np.where(negative_g, low[0], high[0]))
    return {
        "score": score_g,
        "se": standard_error(score_g, pvalue),
        "pvalue": pvalue,
        "padj": np.where(negative_g, low[1], high[1]),
    }


def standard_error(
    score_g: Float[np.ndarray, " g"], pvalue_g: Float[np.ndarray, " g"]
) -> Float[np.ndarray, " g"]:
    r"""Standard error behind a score and its two-sided p, in the unit of the score; NaN where it cannot be told.

    Notes
    -----
    :math:`|y| / |z(p)|` with the normal quantile z of p/2; NaN where :math:`|z| < 1`. Rank-based p-values, such as
    MAGeCK's, do not come from the score, so this is the size of the error and no more.

    Examples
    --------
    >>> standard_error(np.array([-1.96, 0.1]), np.array([0.05, 0.9])).round(2)
    array([ 1., nan])
    """
    z_g = norm.isf(np.clip(pvalue_g, np.finfo(float).tiny, 1) / 2)
    return np.divide(np.abs(score_g), z_g, out=np.full_like(score_g, np.nan), where=z_g >= LEAST_Z)
