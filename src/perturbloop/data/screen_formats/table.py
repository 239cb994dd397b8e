"""A table of no known tool: its columns are found by the names that scores, p-values and false discovery rates usually have."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from perturbloop.data.screen_formats.base import GENE, gene_column, numbers, plain, shares, standard_error
from perturbloop.errors import InputError, some
from perturbloop.schema import PvalueSides, ScreenConfig

_COMPOUND = ("compound", "compoundname", "drug", "drugname", "name", "treatment", "molecule")
_SCORE = (
    "log2foldchange",
    "logfc",
    "log2fc",
    "logfoldchanges",
    "lfc",
    "beta",
    "effect",
    "zscore",
    "score",
    "activity",
    "response",
)
_PVALUE = ("pvalue", "pval", "pvals", "p")
_FDR = ("padj", "fdr", "adjpval", "adjpvalue", "pvaladj", "pvalsadj", "qvalue", "qval", "q")
_SE = ("lfcse", "se", "stderr", "standarderror")
_NUMBER = ("num", "nguides", "nsgrna", "sgrna", "nguide")
_TOOLS = {
    ("log2foldchange", "padj"): "DESeq2 table",
    ("logfc", "adjpval"): "limma table",
    ("logfc", "fdr"): "edgeR table",
    ("logfoldchanges", "pvalsadj"): "scanpy table",
}
LEAST_P, LEAST_NEAR_HALF, SURE = 50, 0.02, 0.9
"""Fewest p-values that show their sides, share of those that lie between 0.4 and 0.5 where all others are below, and least rank
correlation with the score from which they are of one direction."""


def columns_of(frame: pd.DataFrame, config: ScreenConfig) -> dict[str, str]:
    """Role -> column; those named in the config go before those that are found, and what is not found is left out.

    Parameters
    ----------
    frame
        The table.
    config
        Names of columns, and whether rows are compounds.

    Raises
    ------
    InputError
        If the table lacks a column that the config names.
    """
    known = _COMPOUND if config.targets else GENE
    found = {
        "gene": named(frame, config.gene_column, "--gene-column") or gene_column(frame, known),
        "score": named(frame, config.score_column, "--score-column") or _found(frame, _SCORE),
        "p-value": named(frame, config.pvalue_column, "--pvalue-column") or _found(frame, _PVALUE),
        "FDR": named(frame, config.fdr_column, "--fdr-column") or _found(frame, _FDR),
        "standard error": named(frame, config.se_column, "--se-column") or _found(frame, _SE),
        "reagents": next(
            (name for name in frame if plain(name) in _NUMBER and _is_number(frame[name])), None
        ),
    }
    if found["gene"] is None and found["score"] is None:
        found |= _of_two_columns(frame)
    return {role: name for role, name in found.items() if name}


def numbers_of(
    frame: pd.DataFrame, columns: dict[str, str], path: str, *, sides: PvalueSides | None
) -> dict[str, np.ndarray]:
    """Score, error, two-sided p and FDR; of one-sided p-values the FDR is left out, so that it is made anew.

    Parameters
    ----------
    frame
        The table.
    columns
        Column of each role.
    path
        Where it comes from, for messages.
    sides
        Whether the p-values are one-sided.
    """
    score_g = numbers(frame, columns["score"], path)
    pvalue_g = shares(frame, columns.get("p-value"), path)
    padj_g = shares(frame, columns.get("FDR"), path)
    if sides == "one":
        pvalue_g, padj_g = 2 * np.minimum(pvalue_g, 1 - pvalue_g), np.full_like(padj_g, np.nan)
    error_g = _errors(frame, columns.get("standard error"), path)
    return {
        "score": score_g,
        "se": error_g if "standard error" in columns else standard_error(score_g, pvalue_g),
        "pvalue": pvalue_g,
        "padj": padj_g,
        "n_reagents": numbers(frame, columns.get("reagents"), path),
    }


def why_one_sided(frame: pd.DataFrame, columns: dict[str, str], path: str) -> str:
    """Say why p-values look one-sided; '' where they do not.

    Parameters
    ----------
    frame, columns, path
        As `numbers_of` has them.

    Notes
    -----
    Two-sided p-values of genes that do nothing are spread between 0 and 1, whatever the sign of the score. Those of the nearer
    tail end at 0.5; those of one tail rise or fall with the score.
    """
    score_g, pvalue_g = numbers(frame, columns["score"], path), shares(frame, columns["p-value"], path)
    known_g = np.isfinite(score_g) & np.isfinite(pvalue_g)
    score_g, pvalue_g = score_g[known_g], pvalue_g[known_g]
    if score_g.size < LEAST_P or not np.ptp(pvalue_g):
        return ""
    if pvalue_g.max() <= 0.5 and np.mean(pvalue_g > 0.4) >= LEAST_NEAR_HALF:
        return f"none is above {pvalue_g.max():.3g}, as if each were of the nearer tail"
    both = min(np.mean(score_g > 0), np.mean(score_g < 0)) > 0.1
    if both and abs(spearmanr(score_g, pvalue_g).statistic) > SURE:
        return "they rise or fall with the signed score, as those of one tail do"
    return ""


def name_of(columns: dict[str, str]) -> str:
    """Name the tool whose column names these are; the columns decide, the name is for people.

    Parameters
    ----------
    columns
        Column of each role.
    """
    key = plain(columns.get("score", "")), plain(columns.get("FDR", ""))
    return _TOOLS.get(key, "table with one score a row")


def named(frame: pd.DataFrame, name: str | None, option: str) -> str | None:
    """Return a column that was asked for, and refuse one that the table lacks.

    Parameters
    ----------
    frame
        The table.
    name
        The column.
    option
        Option that names it.
    """
    if name is not None and name not in frame.columns:
        msg = (
            f"`{option} {name}` must be a column of the table; its columns are {some(frame.columns, limit=30)}. "
            "Name one of them."
        )
        raise InputError(msg)
    return name


def _found(frame: pd.DataFrame, known: tuple[str, ...]) -> str | None:
    """First of the known names that a column has, in the order of the known names."""
    by_plain = {plain(name): name for name in reversed(list(frame.columns))}
    return next((by_plain[name] for name in known if name in by_plain), None)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values)


def _of_two_columns(frame: pd.DataFrame) -> dict[str, str | None]:
    """Of a table of one text and one number a row, whatever its columns are called, the one holds genes and the other scores."""
    are_numbers = [_is_number(frame[name]) for name in frame.columns]
    if sorted(are_numbers) != [False, True]:
        return {}
    return {"gene": frame.columns[are_numbers.index(False)], "score": frame.columns[are_numbers.index(True)]}


def _errors(frame: pd.DataFrame, column: str | None, path: str) -> np.ndarray:
    values = numbers(frame, column, path)
    if (values < 0).any():
        msg = (
            f"Column '{column}' of `{path}` must hold standard errors, which are not negative; "
            f"{int((values < 0).sum()):,} are: {some(values[values < 0])}. Name the right column with `--se-column`."
        )
        raise InputError(msg)
    return values
