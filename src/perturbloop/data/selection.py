"""Which cells of a file are kept: a query over `obs`, then quality control; and what more would leave out."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from perturbloop.errors import InputError, closest, some
from perturbloop.schema.reading import Reading

USUAL = {"min_counts": 500, "min_genes": 200, "max_mito": 0.2, "max_doublet_score": 0.25}
"""Values that are often used; `check` says what each would leave out, and none is in force by itself."""
SELECTS = ("subset", *USUAL)
"""Options that decide which cells are kept."""
_MITO_IDS = frozenset(
    f"ENSG00000{number}"
    for number in (
        *(198888, 198763, 198804, 198712, 228253, 198899, 198938),
        *(198840, 212907, 198886, 198786, 198695, 198727),
    )
)
"""The 13 genes of proteins in the mitochondrial genome."""
_MITO_COLUMN = re.compile(
    r"(pct|percent|frac|fraction|share)[_. ]?(counts?[_. ])?(mt|mito(chondrial)?)(_frac)?", re.I
)
_DOUBLET_SCORE = re.compile(r"((scrublet|scdblfinder|doublet)[_. ]?)+scores?|pann[_.].*", re.I)
_DOUBLET_CALL = re.compile(
    r"(predicted|is|called)[_. ]doublets?|doublets?([_. ](call|class|prediction))?", re.I
)
_STR = ("contains", "startswith", "endswith", "lower", "upper", "strip", "match", "fullmatch")
_METHODS = frozenset({*_STR, "isin", "isna", "isnull", "notna", "notnull", "between", "abs"})
_ALLOWED = (
    *(
        ast.Expression,
        ast.BoolOp,
        ast.And,
        ast.Or,
        ast.UnaryOp,
        ast.Not,
        ast.Invert,
        ast.USub,
        ast.BinOp,
        ast.operator,
    ),
    *(ast.Compare, ast.cmpop, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.keyword),
)


@dataclass(frozen=True)
class Measured:
    """What quality control asks of each cell, before genes are mapped."""

    total_n: Float[np.ndarray, " n"]
    """Counts."""
    genes_n: Float[np.ndarray, " n"]
    """Genes with a count."""
    mito_n: Float[np.ndarray, " n"] | None
    """Share of mitochondrial counts, 0 to 1; `None` where the file says nothing of it."""


def together(parts: Sequence[Measured]) -> Measured:
    """Measures of the cells of several files; the mitochondrial share where all have it."""
    mito = [part.mito_n for part in parts if part.mito_n is not None]
    return Measured(
        np.concatenate([part.total_n for part in parts]),
        np.concatenate([part.genes_n for part in parts]),
        np.concatenate(mito) if len(mito) == len(parts) else None,
    )


def mito_genes(gene_ids: np.ndarray, gene_names: np.ndarray) -> Bool[np.ndarray, " g"]:
    """Whether each gene is mitochondrial, by its id or symbol (`MT-`)."""
    pairs = zip(gene_ids, gene_names, strict=True)
    return np.array([gene in _MITO_IDS or str(name).upper().startswith("MT-") for gene, name in pairs], bool)


def mito_column(obs: pd.DataFrame) -> Float[np.ndarray, " n"] | None:
    """Share of mitochondrial counts of each cell as a column of `obs` says; `None` without one."""
    name = _first(obs, _MITO_COLUMN)
    if name is None:
        return None
    values_n = pd.to_numeric(obs[name], errors="coerce").to_numpy(dtype=float)
    in_percent = np.nanmax(values_n, initial=0) > 1
    return values_n / 100 if in_percent else values_n


def selected(
    obs: pd.DataFrame, measured: Measured, reading: Reading, source: str
) -> tuple[Bool[np.ndarray, " n"], tuple[str, ...]]:
    """Say which cells are kept, and in words what was left out, and what quality control that is off would leave out.

    Parameters
    ----------
    obs
        What is known of each cell.
    measured
        Counts, genes and share of mitochondrial counts of each.
    reading
        What is asked for.
    source
        What messages call the file.

    Raises
    ------
    InputError
        If the query cannot be read, a measure that is asked for is missing, or no cell is kept.
    """
    kept_n, lines = np.ones(len(obs), dtype=bool), []
    if reading.subset is not None:
        kept_n = query(obs, reading.subset, source)
        lines.append(f"`--subset {reading.subset}` keeps {int(kept_n.sum()):,} of {len(obs):,} cells")
    before = kept_n.copy()
    said: list[str] = []
    off: list[str] = []
    for option, out_n, words in _controls(obs, measured, reading, source):
        count = int((kept_n & out_n).sum())
        asked = getattr(reading, option) is not None
        (said if asked else off).append(f"{count:,} {words}")
        if asked:
            kept_n &= ~out_n
    if said:
        lines.append(
            f"Quality control left out {int((before & ~kept_n).sum()):,} of {int(before.sum()):,} cells: {', '.join(said)}"
        )
    off += _called(obs, kept_n)
    if off:
        lines.append(f"Quality control that is off would leave out, each by itself: {', '.join(off)}")
    if not kept_n.any():
        msg = f"Some cells of {source} must pass; of {len(obs):,} none does: {'; '.join(lines[:-1] if off else lines)}. Lower what is asked."
        raise InputError(msg)
    return kept_n, tuple(lines)


def query(obs: pd.DataFrame, expression: str, source: str) -> Bool[np.ndarray, " n"]:
    """Whether an expression over the columns of `obs` is true of each cell; a missing value makes it false.

    It may compare, join by `and`, `or`, `not` and `in`, calculate, and call methods of texts; nothing else is run, as it may come
    with somebody else's `campaign.toml`.

    Parameters
    ----------
    obs
        What is known of each cell.
    expression
        As of `pandas.DataFrame.query`; names with spaces in backticks.
    source
        What messages call the file.

    Examples
    --------
    >>> query(pd.DataFrame({"cell type": ["T", "B"], "donor": ["d1", "d2"]}), "`cell type` == 'T' and donor != 'd3'", "x").tolist()
    [True, False]
    """
    _require_plain(expression)
    try:
        found = obs.eval(expression, engine="python", local_dict={}, global_dict={})
    except Exception as error:  # pandas raises a dozen kinds
        raise _refusal(obs, expression, source, error) from error
    values = pd.Series(found, index=obs.index) if np.ndim(found) == 1 and len(found) == len(obs) else None
    if values is None or not {type(one) for one in values.dropna().unique()} <= {bool, np.bool_}:
        msg = (
            f"`--subset` must be true or false of each cell; {expression!r} is neither. Compare a column with a value: "
            "\"cell_type == 'CD4 T'\"."
        )
        raise InputError(msg)
    kept_n = values.fillna(False).to_numpy(dtype=bool)
    if not kept_n.any():
        used = [
            name for name in obs.columns if re.search(rf"(?<!\w){re.escape(str(name))}(?!\w)", expression)
        ]
        told = "; ".join(f"`{name}` holds {some(obs[name].dropna().unique(), limit=8)}" for name in used[:3])
        msg = f"`--subset` must keep some cells of {source}; {expression!r} is true of none of {len(obs):,}. {told}. Correct it."
        raise InputError(msg)
    return kept_n


def _refusal(obs: pd.DataFrame, expression: str, source: str, error: Exception) -> InputError:
    missing = re.search(r"name '(?:BACKTICK_QUOTED_STRING_)?(\w+)' is not defined", str(error))
    if missing:
        return InputError(
            f"`--subset` may ask for columns of `obs` of {source}: {some(obs.columns, limit=20)}; {missing[1]!r} is none. The closest is "
            f"{closest(missing[1], obs.columns, limit=1)}; names with spaces stand in backticks, texts in quotes."
        )
    return InputError(
        f"`--subset` must be a comparison that pandas can read, like \"cell_type == 'CD4 T' and donor != 'd3'\"; of {expression!r} it says: "
        f"{error}. Correct it."
    )


def _require_plain(expression: str) -> None:
    """Refuse an expression that does more than compare columns."""
    names = re.sub(r"`[^`]*`", "column", expression)
    try:
        nodes = list(
            ast.walk(ast.parse(names.replace("&", " and ").replace("|", " or ").strip(), mode="eval"))
        )
    except SyntaxError as error:
        msg = (
            f"`--subset` must be a comparison like \"cell_type == 'CD4 T' and donor != 'd3'\"; {expression!r} cannot be read: {error.msg}. "
            "Put texts in quotes, and names with spaces in backticks."
        )
        raise InputError(msg) from error
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        is_method = isinstance(node, ast.Attribute) and (
            node.attr == "str" or (node.attr in _METHODS and id(node) in called)
        )
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if not (isinstance(node, _ALLOWED) or is_method or is_call):
            part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            msg = (
                f"`--subset` compares columns of `obs`; {part!r} does more than that. Use ==, !=, <, >, in, and, or, not, and methods of "
                f"texts: {some(_STR)}."
            )
            raise InputError(msg)


def _controls(
    obs: pd.DataFrame, measured: Measured, reading: Reading, source: str
) -> Iterator[tuple[str, np.ndarray, str]]:
    """Each control with a measure: its option, the cells that it leaves out, and words for them."""
    score = _first(obs, _DOUBLET_SCORE)
    score_n = None if score is None else pd.to_numeric(obs[score], errors="coerce").to_numpy(dtype=float)
    measures = {
        "min_counts": (measured.total_n, "below {:,} counts", ""),
        "min_genes": (measured.genes_n, "below {:,} genes", ""),
        "max_mito": (
            measured.mito_n,
            "above {:.0%} mitochondrial counts",
            "mitochondrial genes (`MT-…`), or a column of `obs` like `pct_counts_mt`",
        ),
        "max_doublet_score": (
            score_n,
            f"with a `{score}` above {{:g}}",
            "a column of `obs` like `doublet_score`",
        ),
    }
    for option, (values_n, words, need) in measures.items():
        asked = getattr(reading, option)
        if values_n is None:
            if asked is not None:
                msg = f"`--{option.replace('_', '-')}` needs {need}; {source} has neither. Leave it out, or add the column."
                raise InputError(msg)
            continue
        limit = USUAL[option] if asked is None else asked
        out_n = values_n < limit if option.startswith("min") else values_n > limit
        hint = "" if asked is not None else f" (`--{option.replace('_', '-')} {limit:g}`)"
        yield option, out_n, words.format(limit) + hint


def _called(obs: pd.DataFrame, kept_n: np.ndarray) -> list[str]:
    """Cells that a column of calls says are doublets, with the query that leaves them out."""
    name = _first(obs, _DOUBLET_CALL)
    if name is None or not pd.api.types.is_bool_dtype(obs[name]):
        return []
    count = int((obs[name].to_numpy(dtype=bool) & kept_n).sum())
    return [f'{count:,} that `{name}` calls doublets (`--subset "not {name}"`)']


def _first(obs: pd.DataFrame, pattern: re.Pattern[str]) -> Any:
    return next((name for name in obs.columns if pattern.fullmatch(str(name))), None)
