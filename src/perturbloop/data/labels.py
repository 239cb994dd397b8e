"""Training labels that do not come from a state score: a phenotype of the cell, or what a screen said of its target."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.errors import InputError, LeakageError, StateError, some

CALLS = {"goal": 1.0, "start": 0.0, "none": 0.0}
"""Calls of a label table and the probability of the goal state that a cell of such a target is given."""

WARNINGS = {
    "condition": "Training labels are conditions: they say where a cell came from, not what its perturbation did, and teach "
    "little about targets. Prefer `--label-source state_score`.",
    "screen": "Training labels are calls of another screen: every cell of a target has the same one, whether its guide worked "
    "or not, and a screen of the same biology makes the ranking repeat it. Prefer `--label-source state_score`.",
}
"""Label sources that are offered but warned against."""


def phenotype_labels(perturbed: PerturbedCells, *, start: str, goal: str) -> Float[np.ndarray, " n"]:
    """Label of source `phenotype`, one value per cell: the probability of the goal state; missing where none was measured.

    Parameters
    ----------
    perturbed
        Cells whose `phenotype_column` holds numbers from 0 to 1, or a gate: the names of the states, or true for the goal.
    start, goal
        Names of the states.

    Raises
    ------
    StateError
        If the column does not exist, holds other values, or the same for all perturbed cells.
    """
    name, source = perturbed.config.phenotype_column, perturbed.cells.source
    if name is None or name not in perturbed.cells.obs.columns:
        came = (
            "none is named" if name is None else f"'{name}' is not among {some(perturbed.cells.obs.columns)}"
        )
        msg = (
            f"Labels of source `phenotype` need the column of `obs` that holds it in {source}; {came}. "
            "Name it with `--phenotype-column`, or use `--label-source state_score`."
        )
        raise StateError(msg)
    label_n, wrong = _probabilities(perturbed.cells.obs[name], start=start, goal=goal)
    if wrong:
        msg = (
            f"`obs['{name}']` of {source} must hold the probability of the goal state, 0 to 1, or a gate that names the state "
            f"'{start}' or '{goal}'; it also holds {some(wrong)}. Calibrate the score on cells whose state is known (logistic "
            "regression), or rename the gates."
        )
        raise StateError(msg)
    known = np.unique(label_n[~perturbed.is_control_n & np.isfinite(label_n)])
    if len(known) < 2:
        msg = (
            f"Labels of source `phenotype` must differ among perturbed cells; in `obs['{name}']` of {source} they are "
            f"{some(known)}. Use `--label-source state_score`."
        )
        raise StateError(msg)
    return label_n


def _probabilities(values: pd.Series, *, start: str, goal: str) -> tuple[np.ndarray, list[object]]:
    """Read a phenotype as probability; what cannot be read is listed."""
    if isinstance(values.dtype, pd.CategoricalDtype):  # categories of numbers are numbers
        values = pd.Series(values.to_numpy(dtype=object)).infer_objects()
    missing_n = values.isna().to_numpy()
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        words = pd.Series(values.astype(str).to_numpy(dtype=object))
        label_n = words.map({goal: 1.0, start: 0.0, "True": 1.0, "False": 0.0}).to_numpy(dtype=float)
        missing_n = missing_n | (words == "").to_numpy()
        wrong = sorted(set(words[np.isnan(label_n) & ~missing_n]))
    else:
        label_n = values.to_numpy(dtype=float, na_value=np.nan)
        wrong = sorted(set(label_n[~missing_n & ~((label_n >= 0) & (label_n <= 1))]))
    return np.where(missing_n, np.nan, label_n), list(wrong)


def read_calls(path: Path | str, *, names: GeneNames = NO_NAMES) -> dict[str, float]:
    """Read a label table: Ensembl id of each gene and the probability of the goal state that its cells are given.

    Parameters
    ----------
    path
        A `.csv` or `.tsv` file with the columns `gene` (symbol or Ensembl id) and `call`: `goal` where the perturbation, done
        as in the perturbed cells, was a hit toward the goal; `start` where it was one the other way; `none` where it was none.
    names
        Which symbol means which gene.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, holds another call, two calls of one gene, or no gene that is known.
    """
    path = Path(path)
    try:
        table = pd.read_csv(
            path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False
        )
    except (OSError, ValueError) as error:
        msg = f"`{path}` must be a table of `gene` and `call`; it cannot be read: {error}. Correct `--label-table`."
        raise InputError(msg) from None
    lacking = [name for name in ("gene", "call") if name not in table.columns]
    other = [] if lacking else sorted(set(table["call"]) - set(CALLS))
    if lacking or other:
        came = f"lacks {some(lacking)}" if lacking else f"also holds the calls {some(other)}"
        msg = (
            f"`{path.name}` must have the columns 'gene' and 'call', with the calls {some(CALLS)}; it {came}. "
            "Correct the table: goal = a hit toward the goal, start = a hit the other way, none = no hit."
        )
        raise InputError(msg)
    calls: dict[str, float] = {}
    twice = []
    for gene, call in zip(names.resolve(list(table["gene"])), table["call"], strict=True):
        if gene and calls.setdefault(gene, CALLS[call]) != CALLS[call]:
            twice.append(gene)
    if twice or not calls:
        came = f"these have two: {some(twice)}" if twice else f"none of its {len(table):,} genes is known"
        msg = f"`{path.name}` must hold one call for each human gene; {came}. Correct the table."
        raise InputError(msg)
    return calls


def call_labels(
    target_n: np.ndarray, own: Mapping[str, str], calls: Mapping[str, float], *, source: str
) -> Float[np.ndarray, " n"]:
    """Label of source `screen`, one value per cell: what the screen said of its target; missing where it said nothing.

    Parameters
    ----------
    target_n
        Target label of each cell.
    own
        Ensembl id of each target label.
    calls
        What `read_calls` found.
    source
        Name of the label table, for the message.

    Raises
    ------
    InputError
        If the targets' calls are all alike.

    Examples
    --------
    >>> call_labels(np.array(["A", "B", "C"]), {"A": "g1", "B": "g2"}, {"g1": 1.0, "g2": 0.0}, source="x.csv")
    array([ 1.,  0., nan])
    """
    by_target = {target: calls[gene] for target, gene in own.items() if gene in calls}
    if len(set(by_target.values())) < 2:
        msg = (
            f"Labels of source `screen` need targets of both kinds, hits toward the goal and others; of {len(own)} targets "
            f"{source} knows {len(by_target)}, with the calls {some(sorted(set(by_target.values())))}. "
            "Use `--label-source state_score`."
        )
        raise InputError(msg)
    return pd.Series(target_n).map(by_target).to_numpy(dtype=float)


def refuse_same_screen(name: str, digest: str, truths: Mapping[str, str]) -> None:
    """Refuse labels from a screen that the ranking is judged by.

    Parameters
    ----------
    name, digest
        Name of the label table and hash of its content.
    truths
        Name and hash of each screen of the campaign; an empty hash is that of a file that is gone.

    Raises
    ------
    LeakageError
        If a screen has the same content or the same name.

    Examples
    --------
    >>> refuse_same_screen("il2", "aa", {"ifng": "bb"})
    """
    same = [
        truth
        for truth, other in truths.items()
        if (digest and other == digest) or truth.casefold() == name.casefold()
    ]
    if same:
        msg = (
            f"Labels of source `screen` may not come from a screen that the ranking is judged by; '{name}' is the same screen "
            f"as {some(same)}, by content or by name. Use another screen or donor, or `--label-source state_score`; training "
            "on these labels would hand the model its answers."
        )
        raise LeakageError(msg)
