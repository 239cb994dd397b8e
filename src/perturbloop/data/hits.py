"""What a hit of a screen is: one function per rule, from a table `SCREEN` to true or false for each gene."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from perturbloop.data.genes import GeneNames
from perturbloop.errors import InputError, some

Hits = Bool[np.ndarray, " g"]


def by_fdr(screen: pd.DataFrame, fdr: float) -> Hits:
    """Genes whose false discovery rate is below `fdr`; a gene without one is no hit.

    >>> by_fdr(pd.DataFrame({"padj": [0.01, 0.2, np.nan]}), 0.05)
    array([ True, False, False])
    """
    if screen["padj"].isna().all():
        msg = (
            f"A hit by FDR needs a column of false discovery rates or p-values; none was found for {len(screen):,} genes. "
            "Name it with `--fdr-column` or `--pvalue-column`, or say what a hit is with `--top` or `--hits`."
        )
        raise InputError(msg)
    return np.asarray(screen["padj"].to_numpy(dtype=float) < fdr, dtype=bool)


def by_top(screen: pd.DataFrame, share: float) -> Hits:
    """Genes with this share of the largest absolute scores; at least one, ties in the order of gene ids.

    >>> by_top(pd.DataFrame({"gene_id": ["a", "b", "c", "d"], "effect_to_goal": [0.1, -3.0, 2.0, 0.2]}), 0.5)
    array([False,  True,  True, False])
    """
    n_hits = max(1, round(share * len(screen)))
    order = np.lexsort((screen["gene_id"].to_numpy(str), -screen["effect_to_goal"].abs().to_numpy(float)))
    hit_g = np.zeros(len(screen), dtype=bool)
    hit_g[order[:n_hits]] = True
    return hit_g


def by_list(screen: pd.DataFrame, path: Path | str, names: GeneNames) -> tuple[Hits, tuple[str, ...]]:
    """Genes that a file lists, one a line, as symbols or Ensembl ids; and the listed ones that are not in the screen.

    Parameters
    ----------
    screen
        Rows of the table SCREEN.
    path
        Text file with one hit a line.
    names
        Maps symbols.

    Raises
    ------
    InputError
        If the file cannot be read or no listed gene is in the screen.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"`{path}` must list one hit a line; it cannot be read: {error}. Correct `--hits`."
        raise InputError(msg) from None
    listed = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    wanted = set(listed) | set(names.resolve(listed)) - {""}
    hit_g = (screen["gene_id"].isin(wanted) | screen["label"].isin(wanted)).to_numpy(bool)
    if not hit_g.any():
        msg = (
            f"Hits must be genes of the screen; of the {len(listed):,} that `{path}` lists none is: {some(listed)}. "
            "List symbols or Ensembl ids, one a line."
        )
        raise InputError(msg)
    known = set(screen["gene_id"]) | set(screen["label"])
    absent = [
        label for label, gene in zip(listed, names.resolve(listed), strict=True) if not {label, gene} & known
    ]
    return hit_g, tuple(absent)


def by_flag(values: pd.Series, *, column: str) -> Hits:
    """Genes for which a column is true: true, yes or 1, in any case.

    >>> by_flag(pd.Series(["True", "False", None]), column="Hit")
    array([ True, False, False])
    """
    word = values.astype("string").fillna("").str.strip().str.lower()
    yes, no = ("true", "yes", "1", "1.0", "t", "y"), ("false", "no", "0", "0.0", "f", "n", "")
    wrong = sorted(set(word) - {*yes, *no})
    if wrong:
        msg = (
            f"Column '{column}' must hold true or false, yes or no, 1 or 0; {some(wrong)} came. "
            "Name another with `--hit-column`, or list the hits in a file with `--hits`."
        )
        raise InputError(msg)
    return word.isin(yes).to_numpy(bool)
