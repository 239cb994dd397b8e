"""Rules that turn a ranking into a yes-or-no call: "inhibiting (activating) this gene moves cells to the goal".

A rule has a name, and the name is printed wherever its calls are judged (column `rule` of METRICS), because PPV,
sensitivity and the like describe the rule as much as the ranking. No rule is chosen on the genes it is judged on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool

from perturbloop.errors import InputError, closest, some
from perturbloop.perturb.ranking import with_null
from perturbloop.schema import Kind
from perturbloop.stats.null import beyond_null
from perturbloop.stats.rank_sum import against_pool


@dataclass(frozen=True)
class Rule:
    """A named way from a table of one kind's genes to calls."""

    name: str
    meaning: str
    needs: tuple[str, ...]
    """Columns the table must have."""
    function: Callable[[pd.DataFrame, int, float], np.ndarray]
    """(table, budget, fdr) -> called, one value per row."""

    def fits(self, table: pd.DataFrame) -> bool:
        """Whether a table has every column that the rule needs, with something in it."""
        return all(name in table.columns and table[name].notna().any() for name in self.needs)


def _matched_null(table: pd.DataFrame, budget: int, fdr: float) -> Bool[np.ndarray, " n"]:
    shift_g, z_g, padj_g = (table[name].to_numpy(float) for name in ("benefit", "null_z", "padj"))
    return beyond_null(shift_g, z_g, padj_g, fdr=fdr) > 0


def _geneformer(table: pd.DataFrame, budget: int, fdr: float) -> Bool[np.ndarray, " n"]:
    return ((table["pool_padj"] < fdr) & (table["shift_to_goal"] > 0)).to_numpy(bool)


def _budget_k(table: pd.DataFrame, budget: int, fdr: float) -> Bool[np.ndarray, " n"]:
    place = table["benefit"].rank(ascending=False, method="first")
    return (place <= budget).to_numpy(bool)


RULES = (
    Rule(
        "matched-null",
        "beyond rank- and expression-matched genes (padj below the FDR) and toward the goal; the default",
        ("padj", "null_z", "benefit"),
        _matched_null,
    ),
    Rule(
        "geneformer",
        "the published tool's: rank-sum against all shifts together (padj below the FDR) and toward the goal",
        ("pool_padj", "shift_to_goal"),
        _geneformer,
    ),
    Rule("budget-k", "the k genes with the highest benefit", ("benefit",), _budget_k),
)


def rule(name: str) -> Rule:
    """Look a rule up by name.

    >>> rule("budget-k").meaning
    'the k genes with the highest benefit'
    """
    found = [entry for entry in RULES if entry.name == name]
    if not found:
        known = [entry.name for entry in RULES]
        msg = f"A call needs a rule among {some(known)}; it is {name!r}. Did you mean {closest(name, known)}?"
        raise InputError(msg)
    return found[0]


def call(table: pd.DataFrame, *, by: str, budget: int, fdr: float = 0.05) -> Bool[np.ndarray, " n"]:
    """Which genes of one kind the rule calls: true = the edit is called to move cells toward the goal.

    Parameters
    ----------
    table
        RANKING rows of one kind, or any table with the columns that the rule needs.
    by
        Name of the rule.
    budget
        k of `budget-k`.
    fdr
        Highest padj of a call.

    Returns
    -------
    One value per row, in the order of the rows; a gene without the numbers that the rule needs is not called.

    Examples
    --------
    >>> table = pd.DataFrame({"padj": [0.01, 0.01, 0.2], "null_z": [4.0, -4.0, 1.0], "benefit": [2.0, -2.0, 3.0]})
    >>> call(table, by="matched-null", budget=1)
    array([ True, False, False])
    >>> call(table, by="budget-k", budget=1)
    array([False, False,  True])
    """
    chosen = rule(by)
    missing = [name for name in chosen.needs if name not in table.columns]
    if missing:
        msg = (
            f"The rule `{by}` needs the columns {some(chosen.needs)}; these are missing: {some(missing)}. "
            "Take another rule, or add them (`geneformer`: with `calls.with_pool_padj`)."
        )
        raise InputError(msg)
    return chosen.function(table, budget, fdr)


@dataclass(frozen=True)
class Shifted:
    """A method whose edits were encoded exactly: its ranking, and the shifts of single cells behind it."""

    method: str
    fold: int
    ranking: pd.DataFrame
    """Table RANKING."""
    shifts: pd.DataFrame
    """Table SHIFTS."""


def with_calls(
    predictions: pd.DataFrame,
    covariates_of: Mapping[Kind, pd.DataFrame],
    exact: Iterable[Shifted],
    *,
    null_genes: int,
    token_of: Mapping[str, int],
) -> pd.DataFrame:
    """Put the columns beside PREDICTIONS that the rules of a call need, for every method that can have them.

    The published rule reads the shifts of single cells, which only encoders have, and only where the edits were exact.

    Parameters
    ----------
    predictions
        PREDICTIONS rows of all methods.
    covariates_of
        By kind, what nulls are matched by.
    exact
        Methods with shifts of single cells.
    null_genes
        Genes behind each null.
    token_of
        Token of each Ensembl id.
    """
    beside = with_null(predictions, covariates_of, null_genes=null_genes)
    pooled = [
        with_pool_padj(one.ranking, one.shifts, token_of=token_of)
        .assign(method=one.method, fold=one.fold)
        .filter(["method", "fold", "gene_id", "kind", "pool_padj", "shift_to_goal"])
        for one in exact
    ]
    return beside.merge(pd.concat(pooled), how="left") if pooled else beside


def with_pool_padj(
    ranking: pd.DataFrame, shifts: pd.DataFrame, *, token_of: Mapping[str, int]
) -> pd.DataFrame:
    """Add `pool_padj`, the FDR of the published tool, to a ranking: its rule compares a gene with all shifts.

    Parameters
    ----------
    ranking
        RANKING rows.
    shifts
        SHIFTS rows of the same run.
    token_of
        Ensembl id → token. The published tool goes through genes by token, and where a kind has more than 100,000 shifts
        its sample of them depends on that order.

    Returns
    -------
    A copy of the ranking with `pool_padj` (Benjamini-Hochberg within a kind; missing without shifts, 0.03).

    Notes
    -----
    The number is that of `Goal_end_FDR` in the published table (`stats.rank_sum.against_pool`). The pool holds the gene
    itself, cells are taken for independent, and genes high in the encoding shift more whatever they do: its p-values
    are too small for such genes.
    """
    gene_of = {token: gene for gene, token in token_of.items()}
    parts = []
    for kind, rows in shifts.groupby("kind", sort=False):
        found = against_pool(
            rows["shift_to_goal"].to_numpy(float), rows["gene_id"].map(token_of).to_numpy(int)
        )
        genes = [gene_of[token] for token in found.index]
        parts.append(pd.DataFrame({"gene_id": genes, "kind": kind, "pool_padj": found["padj"].to_numpy()}))
    if not parts:
        return ranking.assign(pool_padj=np.nan)
    return ranking.merge(pd.concat(parts), on=["gene_id", "kind"], how="left", validate="1:1")
