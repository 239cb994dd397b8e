"""Tables of screens as tools write them: which columns hold the gene, its score, its error and its p."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm

from perturbloop.data.text_files import read_bytes
from perturbloop.errors import InputError, closest, some
from perturbloop.schema import ScreenConfig

LEAST_Z = 1.0
"""Least absolute z from which a standard error is read as absolute score over absolute z: below, two small numbers are divided by each other."""

_GENE = (
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
_MAGECK = ("neg|lfc", "pos|lfc", "neg|p-value", "pos|p-value", "neg|fdr", "pos|fdr")


@dataclass(frozen=True)
class Scores:
    """What a file holds, before genes are named."""

    frame: pd.DataFrame
    """`label`, `score` as in the file, `se`, `pvalue` (two-sided), `padj`, `n_reagents`; numbers missing where not told."""
    format: str
    """Format in words."""
    columns: dict[str, str]
    """Role (gene, score, p-value, FDR, standard error) -> the column it was taken from."""


def read_table(path: Path | str, *, as_text: bool = False) -> pd.DataFrame:
    """Read a text table with a header; tab, comma or semicolon, with or without a byte-order mark, `.gz` too.

    Parameters
    ----------
    path
        The file.
    as_text
        Whether every value is kept as it is written, rather than read as number or missing where it looks like one.

    Raises
    ------
    InputError
        If the file is missing, empty, no text, has no row, or two columns of one name.

    Notes
    -----
    Row names without a name of their own, as R's `write.table` leaves them, become the first column `Unnamed: 0`.
    """
    path = Path(path)
    raw = read_bytes(path, what="a text table")
    separator = _separator(path, raw)
    try:
        frame = pd.read_csv(
            io.BytesIO(raw),
            sep=separator,
            encoding="utf-8-sig",
            low_memory=False,
            dtype=str if as_text else None,
            keep_default_na=not as_text,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        msg = f"`{path}` must be a text table with a header line; it cannot be read: {str(error).strip()}. Correct the file."
        raise InputError(msg) from None
    if frame.empty:
        msg = f"`{path}` must hold one row a gene; it has a header ({some(frame.columns)}) and no row. Correct the path."
        raise InputError(msg)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = _with_row_names(frame, path)
    frame.columns = [str(name).strip() for name in frame.columns]
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        msg = (
            f"`{path}` must name each column once; it has several named {some(twice.unique())}. Rename them."
        )
        raise InputError(msg)
    return frame


def _with_row_names(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Put back as a column what pandas took for an index, since each row has one value more than the header."""
    if frame.index.nlevels > 1:
        msg = (
            f"`{path}` must have a name for each column; its header has {frame.shape[1]:,} ({some(frame.columns)}), its rows "
            f"have {frame.shape[1] + frame.index.nlevels:,} values. Correct the header."
        )
        raise InputError(msg)
    names, last = list(frame.columns), frame.iloc[:, -1]
    whole = frame.rename_axis("Unnamed: 0").reset_index()
    if (last.isna() | last.astype(str).eq("")).all():  # each row ends with a separator: nothing lacks a name
        return whole.iloc[:, :-1].set_axis(names, axis=1)
    return whole


def scores_of(frame: pd.DataFrame, config: ScreenConfig) -> Scores:
    """Find gene, score, error and p by the names of the columns.

    Columns named in the config go before those that are found. A MAGeCK gene summary has two arms, each with its own
    one-sided p and FDR: a gene's are those of the arm of its score's sign, and the p is doubled.

    Raises
    ------
    InputError
        If no column holds genes or scores, or a column does not hold what its name says.
    """
    lower = {name.lower(): name for name in frame.columns}
    named = (config.score_column, config.pvalue_column, config.fdr_column, config.se_column)
    if named == (None,) * 4 and all(name in lower for name in _MAGECK):
        gene = _named(frame, config.gene_column, "--gene-column")
        return _mageck(frame, lower, gene, config.path)
    known = _COMPOUND if config.targets else _GENE
    columns = {
        "gene": _named(frame, config.gene_column, "--gene-column") or _gene_column(frame, known),
        "score": _named(frame, config.score_column, "--score-column") or _found(frame, _SCORE),
        "p-value": _named(frame, config.pvalue_column, "--pvalue-column") or _found(frame, _PVALUE),
        "FDR": _named(frame, config.fdr_column, "--fdr-column") or _found(frame, _FDR),
        "standard error": _named(frame, config.se_column, "--se-column") or _found(frame, _SE),
        "reagents": _found(frame, _NUMBER),
    }
    if columns["gene"] is None and columns["score"] is None:
        columns |= _of_two_columns(frame)
    _require_gene_and_score(frame, columns, config.path, "compound" if config.targets else "gene")
    score = _numbers(frame, columns["score"], config.path)
    pvalue = _shares(frame, columns["p-value"], config.path)
    given = _errors(frame, columns["standard error"], config.path)
    standard = pd.DataFrame(
        {
            "label": _labels(frame[columns["gene"]]),
            "score": score,
            "se": given if columns["standard error"] else standard_error(score, pvalue),
            "pvalue": pvalue,
            "padj": _shares(frame, columns["FDR"], config.path),
            "n_reagents": np.nan_to_num(_numbers(frame, columns["reagents"], config.path)).astype(int),
        }
    )
    said = {role: str(name) for role, name in columns.items() if name}
    return Scores(standard, _format(said), said)


def one_of_several(frame: pd.DataFrame, name: str | None, path: str) -> pd.DataFrame:
    """Of several MAGeCK screens side by side (`neg|lfc.A`, `neg|lfc.B`, …) keep one, under MAGeCK's own names of columns.

    Parameters
    ----------
    frame
        The table.
    name
        What stands behind its columns; `None` where none is asked for.
    path
        Where the table comes from, for the message.

    Returns
    -------
    The table with the columns of that screen; as it is where no screens stand side by side.

    Raises
    ------
    InputError
        If there are several and none of that name is asked for.
    """
    lower = {column.lower(): column for column in frame.columns}
    if all(column in lower for column in _MAGECK):
        return frame
    endings = [column[len(_MAGECK[0]) :] for column in frame.columns if column.lower().startswith(_MAGECK[0])]
    whole = {
        ending.lstrip("._- |"): {lower[f"{column}{ending.lower()}"]: column for column in _MAGECK}
        for ending in endings
        if all(f"{column}{ending.lower()}" in lower for column in _MAGECK)
    }
    if not whole:
        return frame
    if name is None and len(whole) > 1:
        msg = (
            f"One screen is recorded at a time; `{path}` holds {len(whole)} MAGeCK screens side by side: {some(whole, limit=12)}. "
            "Choose one with `--only`, or record each with a `--name` of its own."
        )
        raise InputError(msg)
    if name is not None and name not in whole:
        msg = (
            f"`--only {name}` must be a screen of `{path}`; its MAGeCK columns are of {some(whole, limit=12)}. "
            f"Did you mean {closest(name, whole, limit=1)}?"
        )
        raise InputError(msg)
    chosen = whole[name or next(iter(whole))]
    others = {column for columns in whole.values() for column in columns} - set(chosen)
    return frame.drop(columns=sorted(others)).rename(columns=chosen)


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


def _separator(path: Path, raw: bytes) -> str:
    if path.suffix in (".h5ad", ".h5", ".zarr") or raw[:4] == b"\x89HDF" or b"\0" in raw[:1000]:
        msg = (
            f"A screen is a text table with one row a gene; `{path}` is a binary file. "
            "Cells are recorded with `--perturbed`; save a spreadsheet as CSV first."
        )
        raise InputError(msg)
    header = raw[: raw.find(b"\n") + 1 or None].lstrip(b"\xef\xbb\xbf").decode(errors="replace")
    if not raw.strip():
        msg = f"`{path}` must hold one row a gene; it is empty. Correct the path."
        raise InputError(msg)
    return max("\t,;", key=header.count)


def _mageck(frame: pd.DataFrame, lower: dict[str, str], named: str | None, path: str) -> Scores:
    gene = named or lower.get("id") or frame.columns[0]
    numbers = {name: _numbers(frame, lower[name], path) for name in ("neg|lfc", "pos|lfc")}
    shares = {name: _shares(frame, lower[name], path) for name in _MAGECK[2:]}
    larger_g = np.abs(numbers["neg|lfc"]) > np.abs(numbers["pos|lfc"])
    score = np.where(larger_g, numbers["neg|lfc"], numbers["pos|lfc"])
    negative_g = score < 0
    pvalue = np.minimum(1, 2 * np.where(negative_g, shares["neg|p-value"], shares["pos|p-value"]))
    number = _numbers(frame, lower.get("num"), path)
    standard = pd.DataFrame(
        {
            "label": _labels(frame[gene]),
            "score": score,
            "se": standard_error(score, pvalue),
            "pvalue": pvalue,
            "padj": np.where(negative_g, shares["neg|fdr"], shares["pos|fdr"]),
            "n_reagents": np.nan_to_num(number).astype(int),
        }
    )
    columns = {
        "gene": gene,
        "score": "neg|lfc and pos|lfc",
        "p-value": "neg|p-value and pos|p-value",
        "FDR": "neg|fdr and pos|fdr",
    }
    return Scores(standard, "MAGeCK gene summary", columns)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _found(frame: pd.DataFrame, known: tuple[str, ...]) -> str | None:
    """First of the known names that a column has, in the order of the known names."""
    by_plain = {_plain(name): name for name in reversed(list(frame.columns))}
    return next((by_plain[name] for name in known if name in by_plain), None)


def _gene_column(frame: pd.DataFrame, known: tuple[str, ...]) -> str | None:
    """A column of a known name that holds text; else an unnamed first one, as R writes row names."""
    named = [name for name in frame.columns if _plain(name) in known]
    named.sort(key=lambda name: known.index(_plain(name)))
    first = [name for name in frame.columns[:1] if name.startswith("Unnamed:")]
    return next((name for name in [*named, *first] if not pd.api.types.is_numeric_dtype(frame[name])), None)


def _of_two_columns(frame: pd.DataFrame) -> dict[str, str | None]:
    """Of a table of one text and one number a row, whatever its columns are called, the one holds genes and the other scores."""
    are_numbers = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns]
    if sorted(are_numbers) != [False, True]:
        return {}
    return {"gene": frame.columns[are_numbers.index(False)], "score": frame.columns[are_numbers.index(True)]}


def _named(frame: pd.DataFrame, name: str | None, option: str) -> str | None:
    if name is not None and name not in frame.columns:
        msg = (
            f"`{option} {name}` must be a column of the table; its columns are {some(frame.columns, limit=30)}. "
            "Name one of them."
        )
        raise InputError(msg)
    return name


def _require_gene_and_score(
    frame: pd.DataFrame, columns: dict[str, str | None], path: str, what: str
) -> None:
    options = {"gene": "--gene-column", "score": "--score-column"}
    missing = [role for role in options if columns[role] is None]
    if missing:
        msg = (
            f"`{path}` must hold one {what} and one score a row; no column is known to hold the {some(missing)}. Its "
            f"columns are {some(frame.columns, limit=30)}. Name them with "
            f"{' and '.join(f'`{options[role]}`' for role in missing)}."
        )
        raise InputError(msg)


def _labels(values: pd.Series) -> np.ndarray:
    return np.array(["" if pd.isna(value) else str(value).strip() for value in values], dtype=object)


def _numbers(frame: pd.DataFrame, column: str | None, path: str) -> np.ndarray:
    """Values of a column, missing where there is no column; text in it is refused."""
    if column is None:
        return np.full(len(frame), np.nan)
    values = pd.to_numeric(frame[column], errors="coerce")
    text = frame.loc[values.isna() & frame[column].notna(), column]
    if len(text):
        msg = (
            f"Column '{column}' of `{path}` must hold numbers; {len(text):,} of {len(frame):,} values are not: "
            f"{some(text.unique())}. Name the right column, or write missing values as NA."
        )
        raise InputError(msg)
    return values.replace([np.inf, -np.inf], np.nan).to_numpy(dtype=float)


def _shares(frame: pd.DataFrame, column: str | None, path: str) -> np.ndarray:
    values = _numbers(frame, column, path)
    wrong = values[(values < 0) | (values > 1)]
    if wrong.size:
        msg = (
            f"Column '{column}' of `{path}` must hold values between 0 and 1; {wrong.size:,} are not: {some(wrong)}. "
            "Turn logarithms back into p-values, or name the right column."
        )
        raise InputError(msg)
    return values


def _errors(frame: pd.DataFrame, column: str | None, path: str) -> np.ndarray:
    values = _numbers(frame, column, path)
    if (values < 0).any():
        msg = (
            f"Column '{column}' of `{path}` must hold standard errors, which are not negative; "
            f"{int((values < 0).sum()):,} are: {some(values[values < 0])}. Name the right column with `--se-column`."
        )
        raise InputError(msg)
    return values


def _format(columns: dict[str, str]) -> str:
    """Name the tool whose column names these are; the columns decide, the name is for people."""
    score, fdr = _plain(columns["score"]), _plain(columns.get("FDR", ""))
    tools = {
        ("log2foldchange", "padj"): "DESeq2 table",
        ("logfc", "adjpval"): "limma table",
        ("logfc", "fdr"): "edgeR table",
        ("logfoldchanges", "pvalsadj"): "scanpy table",
    }
    return tools.get((score, fdr), "table with one score a row")
