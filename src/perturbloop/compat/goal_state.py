"""The published tool's table of shifts to the goal state, without its loop over genes times pool."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, StateError, closest, some
from perturbloop.stats.rank_sum import against_pool
from perturbloop.store.files import whole


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
    P-values are those of `stats.rank_sum.against_pool`, which the rule `geneformer` of a call reads as well.
    """
    _check(shifts, (goal_state, *alt_states))
    wanted = shifts[shifts["state"].isin([goal_state, *alt_states])]
    token_g = np.unique(wanted["token"])
    ids = [gene_ids.get(int(token), np.nan) for token in token_g]
    names = [gene_names.get(gene, np.nan) if isinstance(gene, str) else np.nan for gene in ids]
    table = pd.DataFrame({"Gene": token_g, "Gene_name": names, "Ensembl_ID": ids})
    ends = [(goal_state, "Goal_end", ""), *((state, "Alt_end", f"_{state}") for state in alt_states)]
    of_state = {}
    for state in dict.fromkeys((goal_state, *alt_states)):
        own = wanted[wanted["state"] == state]
        of_state[state] = against_pool(own["shift"].to_numpy(np.float64), own["token"].to_numpy())
        _require_genes(state, token_g, of_state[state].index.to_numpy())
    for state, end, suffix in ends:
        table[f"Shift_to_{end.lower()}{suffix}"] = of_state[state]["mean"].to_numpy()
    for state, end, suffix in ends:
        table[f"{end}_vs_random_pval{suffix}"] = of_state[state]["pvalue"].to_numpy()
    for state, end, suffix in ends:
        table[f"{end}_FDR{suffix}"] = of_state[state]["padj"].to_numpy()
    table["N_Detections"] = of_state[goal_state]["n"].to_numpy()
    table["Sig"] = (table["Goal_end_FDR"] < 0.05).astype(np.int64)
    return table.sort_values(["Sig", "Shift_to_goal_end", "Goal_end_FDR"], ascending=[False, False, True])


def write_goal_state_csv(table: pd.DataFrame, path: Path | str) -> None:
    """Write what `goal_state_stats` gives as the published tool writes it, its unnamed first column included.

    Raises
    ------
    InputError
        If the table is another one.
    """
    needed = ["Gene", "Gene_name", "Ensembl_ID", "Shift_to_goal_end", "Goal_end_FDR", "N_Detections", "Sig"]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        msg = f"The table must be that of `goal_state_stats`; it lacks {some(missing)}. Make it with that function."
        raise InputError(msg)
    table.to_csv(path)


def write_goal_states(shifts: pd.DataFrame, vocabulary: Vocabulary, folder: Path) -> Iterator[Path]:
    """Write SHIFTS rows as the published tool's goal-state table, a file for each kind; the paths.

    Parameters
    ----------
    shifts
        Table SHIFTS.
    vocabulary
        Genes and tokens of the model.
    folder
        Where to write.
    """
    words = vocabulary
    for kind, rows in shifts.groupby("kind"):
        of_goal = pd.DataFrame(
            {"state": "goal", "token": rows["gene_id"].map(words.token_of), "shift": rows["shift_to_goal"]}
        )
        table = goal_state_stats(
            of_goal, goal_state="goal", gene_ids=words.gene_of_token, gene_names=words.names.by_id
        )
        path = folder / f"geneformer_{kind}.csv"
        with whole(path) as beside:
            write_goal_state_csv(table, beside)
        yield path


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
