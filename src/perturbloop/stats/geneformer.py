"""The published tool's table of shifts to the goal state, without its loop over genes times pool."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import special

from perturbloop.errors import InputError, StateError, closest, some
from perturbloop.stats.correct import benjamini_hochberg

POOL_LIMIT = 100_000
"""Most shifts in the pool a gene is compared with."""


def goal_state_stats(
    shifts: pd.DataFrame,
    *,
    goal_state: str,
    alt_states: Sequence[str] = (),
    gene_ids: Mapping[int, str],
    gene_names: Mapping[str, str],
) -> pd.DataFrame:
    r"""Summarize each gene's shifts as the published tool's mode `goal_state_shift` does for all genes.

    A positive shift moves cells toward the state. The p-value is two-sided: `Sig` marks genes that move cells away
    from the goal as well.

    Parameters
    ----------
    shifts
        One row per cell, edited gene and state: columns `state`, `token`, `shift`, cells in the order in which the
        tool processes them. `read_raw_shifts` gives it, and `shifts_by_state` under `compat="geneformer"`.
    goal_state
        State the cells should move to.
    alt_states
        Other states, each of which gets columns of its own.
    gene_ids
        Token → Ensembl id.
    gene_names
        Ensembl id → symbol; missing where none is known.

    Returns
    -------
    One row per gene, in the tool's order: `Sig`, then shift, both falling. `Gene`: token, 8643. `Gene_name`: 'PYURF'.
    `Ensembl_ID`: 'ENSG00000145337'. `Shift_to_goal_end`, `Shift_to_alt_end_{state}`: mean shift, 0.022, unitless.
    `Goal_end_vs_random_pval`, `Alt_end_vs_random_pval_{state}`: p against the pool. `Goal_end_FDR`,
    `Alt_end_FDR_{state}`: the same, adjusted over genes. `N_Detections`: cells. `Sig`: 1 where `Goal_end_FDR` < 0.05.
    The index is the gene's place by token.

    Raises
    ------
    InputError
        If a column or a shift is missing, or the genes were edited as a set.
    StateError
        If a state does not occur, or lacks some of the genes.

    Notes
    -----
    Rank-sum test (normal approximation, no correction for ties) of a gene's shifts against the pool of all genes'
    shifts, its own included; above 100,000 a sample of them, drawn with Python's generator and seed 42, as in
    :cite:`theodoris2023`. What a reviewer would attack: cells count as independent, so p falls with their number.
    """
    _check(shifts, (goal_state, *alt_states))
    wanted = shifts[shifts["state"].isin([goal_state, *alt_states])]
    token_g = np.unique(wanted["token"])
    ids = [gene_ids.get(int(token), np.nan) for token in token_g]
    names = [gene_names.get(gene, np.nan) if isinstance(gene, str) else np.nan for gene in ids]
    table = pd.DataFrame({"Gene": token_g, "Gene_name": names, "Ensembl_ID": ids})
    ends = [(goal_state, "Goal_end", ""), *((state, "Alt_end", f"_{state}") for state in alt_states)]
    mean, pvalue, size = {}, {}, {}
    for state in dict.fromkeys((goal_state, *alt_states)):
        own = wanted[wanted["state"] == state].sort_values("token", kind="stable")
        found_g, start_g, size[state] = np.unique(own["token"], return_index=True, return_counts=True)
        _require_genes(state, token_g, found_g)
        shift_n = own["shift"].to_numpy(dtype=np.float64)
        mean[state] = [part.mean() for part in np.split(shift_n, start_g[1:])]
        pvalue[state] = rank_sum_pvalues(np.sort(_pool(shift_n)), shift_n, start_g)
    for state, end, suffix in ends:
        table[f"Shift_to_{end.lower()}{suffix}"] = mean[state]
    for state, end, suffix in ends:
        table[f"{end}_vs_random_pval{suffix}"] = pvalue[state]
    for state, end, suffix in ends:
        table[f"{end}_FDR{suffix}"] = benjamini_hochberg(pvalue[state])
    table["N_Detections"] = size[goal_state]
    table["Sig"] = (table["Goal_end_FDR"] < 0.05).astype(np.int64)
    return table.sort_values(["Sig", "Shift_to_goal_end", "Goal_end_FDR"], ascending=[False, False, True])


def rank_sum_pvalues(
    background_b: Float[np.ndarray, " b"],
    value_n: Float[np.ndarray, " n"],
    start_g: Int[np.ndarray, " g"],
) -> Float[np.ndarray, " g"]:
    r"""Two-sided rank-sum p of each group of values against one background; small = the group lies elsewhere.

    Parameters
    ----------
    background_b
        Values to compare with, sorted upward.
    value_n
        Values of all groups, one group after the other, any unit.
    start_g
        Where each group starts; no group is empty.

    Returns
    -------
    P per group, as `scipy.stats.ranksums` gives it.

    Notes
    -----
    Ties have their mean rank, so a value's rank beyond its own group is the number of background values below it
    plus half of those equal to it, and :math:`z = (bn/2 - \sum_i r_i) / \sqrt{bn(b + n + 1)/12}`. The variance is not
    corrected for ties.

    Examples
    --------
    >>> rank_sum_pvalues(np.arange(10.0), np.array([4.5, 20.0, 21.0]), np.array([0, 1])).round(3)
    array([1.   , 0.032])
    """
    below_n = np.searchsorted(background_b, value_n, side="left")
    upto_n = np.searchsorted(background_b, value_n, side="right")
    rank_g = np.add.reduceat((below_n + upto_n) / 2, start_g)
    b, n_g = len(background_b), np.diff(start_g, append=len(value_n)).astype(np.float64)
    z_g = (b * n_g / 2 - rank_g) / np.sqrt(b * n_g * (b + n_g + 1) / 12)
    return 2 * special.ndtr(-np.abs(z_g))


def _pool(shift_n: np.ndarray) -> np.ndarray:
    """Draw as the published tool does from a list in this order."""
    if len(shift_n) <= POOL_LIMIT:
        return shift_n
    return shift_n[random.Random(42).sample(range(len(shift_n)), k=POOL_LIMIT)]


def _check(shifts: pd.DataFrame, states: Sequence[str]) -> None:
    missing = [name for name in ("state", "token", "shift") if name not in shifts.columns]
    if missing:
        msg = (
            f"Shifts need the columns `state`, `token` and `shift`; missing: {some(missing)}. "
            "Read them with `read_raw_shifts`."
        )
        raise InputError(msg)
    known = shifts["state"].unique().tolist()
    for state in states:
        if state not in known:
            msg = f"Every state needs shifts; there are none toward {state!r}. Did you mean {closest(state, known)}?"
            raise StateError(msg)
    if (shifts["token"] < 0).any():
        msg = (
            "The table compares genes that were edited one by one; these shifts are of sets of genes (token -1). "
            "Take their mean, which is all the published tool gives for a set."
        )
        raise InputError(msg)
    unknown = int(shifts["shift"].isna().sum())
    if unknown:
        msg = f"Every shift must be a number; {unknown:,} of {len(shifts):,} are missing. Drop those rows, or score them again."
        raise InputError(msg)


def _require_genes(state: str, token_g: np.ndarray, found_g: np.ndarray) -> None:
    gone = np.setdiff1d(token_g, found_g)
    if gone.size:
        msg = (
            f"Every gene needs shifts toward every state; {state!r} lacks the tokens {some(gone)}. "
            "Read all files of the run, or leave that state out."
        )
        raise StateError(msg)
