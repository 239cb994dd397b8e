"""Really perturbed cells: who was hit by what, which are controls, and which are left out."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from perturbloop.data.arms import of_arm
from perturbloop.data.assignment import Assignment, assigned
from perturbloop.data.cells import Cells, read_cells
from perturbloop.data.compounds import Compound, named, read_compounds
from perturbloop.data.drugs.potency import unit_of
from perturbloop.data.genes import CONTROL_LABEL, NO_NAMES, GeneNames
from perturbloop.data.perturbation_labels import not_found
from perturbloop.data.states import column
from perturbloop.errors import InputError, StateError, closest, some
from perturbloop.schema import Modality, PerturbedConfig

_PURITY = re.compile(
    r"purity|top_?frac|frac(tion)?_?top|(guide|grna|sgrna|call)_?(frac|fraction|conf|confidence)", re.I
)


@dataclass(frozen=True)
class PerturbedCells:
    """Perturbed cells and their controls; every cell has a target label and a replicate."""

    cells: Cells
    """The cells that are kept, raw counts."""
    target_n: np.ndarray
    """Target label of each cell as in the file, dtype object; controls hold `control`."""
    guide_n: np.ndarray | None
    """Guide of each cell, dtype object; `None` where no guides are named."""
    replicate_n: np.ndarray
    """Replicate of each cell, dtype object; all the same where no replicates are named."""
    control: str
    """Label of the control cells."""
    modality: Modality
    """What was done to the cells."""
    config: PerturbedConfig
    """What they were read with."""
    condition_n: np.ndarray | None = None
    """Condition of each cell, dtype object; `None` where no column is named."""
    target_ids: dict[str, str] = field(default_factory=dict)
    """Ensembl id of each target label; labels that could not be mapped are missing, and so are compounds."""
    compounds: dict[str, Compound] = field(default_factory=dict)
    """What each compound of the file hits; empty unless the modality is `drug`."""

    @property
    def is_control_n(self) -> Bool[np.ndarray, " n"]:
        """Whether a cell is a control."""
        return np.asarray(self.target_n == self.control, dtype=bool)

    @property
    def targets(self) -> list[str]:
        """Target labels without the control, sorted."""
        return sorted(set(self.target_n) - {self.control})


def read_perturbed(
    config: PerturbedConfig, *, names: GeneNames = NO_NAMES, start: str = ""
) -> tuple[PerturbedCells, dict[str, Any]]:
    """Read a file of perturbed cells and keep those that can be judged.

    Left out are cells without a target, a replicate or a guide, be they called controls or not, cells with guides of several genes
    (unless `several` keeps them), cells whose guide call is less pure than `min_purity`, and targets with fewer than `min_cells`
    of the cells that remain. A gene beside a control (`STAT1+ctrl`) is that gene.

    Parameters
    ----------
    config
        The file and the names of its columns.
    names
        Which symbol of a gene or target means which gene.
    start
        Name of the start state: of a file with a column of arms its cells alone are kept.

    Returns
    -------
    The cells, and a report: `n_cells_read`, `n_cells`, `n_controls` (per replicate), `dropped` (reason to count),
    `purity_column`, `labels` (how they were read, where that is worth a word), `targets` (label to cells), `targets_dropped` (label to cells), `targets_unmapped` (labels without
    an Ensembl id, compounds without a known target), `compound_genes_unknown` (genes of the table of targets that nobody
    knows), `genes` (lines of the gene report).

    Raises
    ------
    InputError
        If a column or the control label does not exist, a replicate holds no controls, purity is asked for and no column
        holds it, a `condition` label says nothing, or no target has enough cells.
    """
    every, genes = read_cells(config.path, names=names, gene_column=config.gene_column, reading=config)
    cells = of_arm(every, config, start)
    found = assigned(cells, config, names)
    _require_control(found, config, cells, names)
    kept_n, dropped, purity_column = _kept(cells, found, config)
    enough_n, too_few = _enough(found.target_n[kept_n], found.control, config)
    place_n = np.flatnonzero(kept_n)[enough_n]
    chosen, target_n = cells.select(place_n), found.target_n[place_n]
    _refuse_one_condition(chosen, target_n != found.control, config)
    labels = sorted(set(target_n) - {found.control})
    compounds, unknown_genes = _compounds(config, labels, names)
    target_ids = {} if compounds is not None else _target_ids(chosen, labels, names)
    perturbed = PerturbedCells(
        cells=chosen,
        target_n=target_n,
        guide_n=None if found.guide_n is None else found.guide_n[place_n],
        replicate_n=_replicates(chosen, config),
        control=found.control,
        modality=config.modality,
        config=config,
        condition_n=column(chosen, config.condition_column, "--condition-column", blank=True)
        if config.condition_column
        else None,
        target_ids=target_ids,
        compounds=_with_doses(compounds or {}, chosen, target_n, config),
    )
    n_controls = _require_controls_everywhere(perturbed)
    if every.n_cells > cells.n_cells:
        dropped = {f"of another arm than '{start}'": every.n_cells - cells.n_cells} | dropped
    return perturbed, {
        "n_cells_read": every.n_cells,
        "n_cells": chosen.n_cells,
        "n_controls": n_controls,
        "dropped": dropped,
        "purity_column": purity_column,
        "labels": list(found.lines),
        "targets": {target: int((target_n == target).sum()) for target in perturbed.targets},
        "targets_dropped": too_few,
        "targets_unmapped": [
            name for name in perturbed.targets if name not in target_ids and name not in perturbed.compounds
        ],
        "compound_genes_unknown": list(unknown_genes),
        "genes": genes.lines(),
    }


def condition_labels(perturbed: PerturbedCells, *, start: str, goal: str) -> Float[np.ndarray, " n"]:
    """Label of source `condition`, one value per cell: 1 = the condition is the goal state, 0 = the start state.

    Parameters
    ----------
    perturbed
        Perturbed and control cells, with a condition each.
    start, goal
        Names of the states.

    Raises
    ------
    StateError
        If a condition is neither.
    """
    condition_n = perturbed.condition_n
    known = [] if condition_n is None else sorted(set(condition_n))
    others = [name for name in known if name not in (start, goal)]
    if condition_n is None or others:
        msg = (
            f"Labels of source `condition` must name the start state '{start}' or the goal state '{goal}'; "
            f"`obs['{perturbed.config.condition_column}']` of {perturbed.cells.source} has {some(others)}. "
            "Rename the conditions, or use `--label-source state_score`."
        )
        raise StateError(msg)
    return (condition_n == goal).astype(float)


def _require_control(found: Assignment, config: PerturbedConfig, cells: Cells, names: GeneNames) -> None:
    likely = [label for label in found.labels if CONTROL_LABEL.fullmatch(label)]
    place = f"`obs['{config.target_column}']` of {cells.source}"
    if config.target_column is None:
        place = f"the guides of {Path(str(config.guides)).name}"
    absent = () if found.by_role else not_found(config.controls, found.labels)
    if absent or not (found.target_n == found.control).any():
        nearest = (
            f"it looks like {some(likely)}"
            if likely
            else f"the closest is {closest((absent or config.controls)[0], found.labels, limit=3)}"
        )
        msg = (
            f"Control label {some(absent or config.controls)} must occur in {place}; none of its {len(found.labels):,} labels is that. "
            f"Correct `--control`; {nearest}."
        )
        raise StateError(msg)
    genes = _target_ids(cells, list(config.controls), names)
    if likely and genes and not set(likely) & set(config.controls):
        named = next(iter(genes))
        msg = (
            f"Control cells must not be hit by a gene's guide; '{named}' is a gene, and {place} also has {some(likely)}. "
            f"Name that with `--control`; where '{named}' truly is the control, rename it in the file."
        )
        raise StateError(msg)


def _kept(
    cells: Cells, found: Assignment, config: PerturbedConfig
) -> tuple[np.ndarray, dict[str, int], str | None]:
    """Cells that carry every label and a pure enough call; how many do not, by the first reason that applies."""
    reasons = dict(found.left_out)
    if config.replicate_column:
        reasons["no replicate"] = (
            column(cells, config.replicate_column, "--replicate-column", blank=True) == ""
        )
    if config.dose_column:
        reasons["no dose"], reasons["lower dose"] = _doses(cells, found, config)
    purity_column = _purity_column(cells, config)
    if purity_column is not None:
        purity_n = pd.to_numeric(cells.obs[purity_column], errors="coerce").to_numpy(dtype=float)
        reasons[f"{purity_column} below {config.min_purity:g}"] = ~(purity_n >= config.min_purity)
    kept_n = np.ones(cells.n_cells, dtype=bool)
    dropped = {}
    for reason, out_n in reasons.items():
        dropped[reason] = int((kept_n & out_n).sum())
        kept_n &= ~out_n
    return kept_n, {reason: count for reason, count in dropped.items() if count}, purity_column


def _purity_column(cells: Cells, config: PerturbedConfig) -> str | None:
    """Return the column that holds the purity of the guide call, or `None` where none is asked for."""
    if config.min_purity == 0:
        return None
    if config.purity_column is not None:
        column(cells, config.purity_column, "--purity-column", blank=True)
        if not _is_share(cells.obs[config.purity_column]):
            msg = (
                f"`obs['{config.purity_column}']` must hold purities between 0 and 1; it does not: "
                f"{some(cells.obs[config.purity_column].unique())}. Name another with `--purity-column`."
            )
            raise InputError(msg)
        return config.purity_column
    shares = [str(name) for name in cells.obs.columns if _is_share(cells.obs[name])]
    found = [name for name in shares if _PURITY.search(name)]
    if len(found) != 1:
        msg = (
            f"`--min-purity {config.min_purity:g}` needs one column of `obs` with the purity of the guide call; in "
            f"{cells.source} the names of {len(found)} look like one: {some(found)}. Columns with values between 0 and 1: "
            f"{some(shares, limit=20)}. Name it with `--purity-column`, or leave `--min-purity` out."
        )
        raise InputError(msg)
    return found[0]


def _is_share(values: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return False
    known = values.dropna()
    return bool(len(known)) and bool(known.between(0, 1).all())


def _enough(target_n: np.ndarray, control: str, config: PerturbedConfig) -> tuple[np.ndarray, dict[str, int]]:
    """Cells of controls and of targets with enough cells; the other targets and their cells."""
    counts = {str(label): int(count) for label, count in pd.Series(target_n).value_counts().items()}
    counts.pop(control, None)
    too_few = {label: count for label, count in sorted(counts.items()) if count < config.min_cells}
    if len(too_few) == len(counts):
        most = sorted(counts.items(), key=lambda entry: -entry[1])[:3]
        msg = (
            f"At least one target needs {config.min_cells} cells that pass; of {len(counts)} targets none has, the "
            f"largest being {some(f'{label}: {count}' for label, count in most)}. "
            "Lower `--min-purity` or `--min-cells`, or give more cells."
        )
        raise InputError(msg)
    return ~np.isin(target_n.astype(str), list(too_few)), too_few


def _replicates(cells: Cells, config: PerturbedConfig) -> np.ndarray:
    if config.replicate_column is None:
        return np.full(cells.n_cells, "all", dtype=object)
    return column(cells, config.replicate_column, "--replicate-column", blank=True)


def _require_controls_everywhere(perturbed: PerturbedCells) -> dict[str, int]:
    """Count the controls of each replicate; a spread needs two."""
    counts = {
        str(name): int((perturbed.is_control_n & (perturbed.replicate_n == name)).sum())
        for name in pd.unique(perturbed.replicate_n)
    }
    without = [name for name, count in counts.items() if count < 2]
    if without:
        msg = (
            f"Every replicate needs control cells ('{perturbed.control}'), at least 2; of {len(counts)} replicates these "
            f"have fewer once impure cells are left out: {some(without)}. Remove those replicates, lower `--min-purity`, "
            "or leave `--replicate-column` out."
        )
        raise InputError(msg)
    return counts


def _refuse_one_condition(cells: Cells, perturbed_n: np.ndarray, config: PerturbedConfig) -> None:
    """A label that all perturbed cells share teaches nothing."""
    if config.label_source != "condition":
        return
    if config.condition_column is None:
        msg = (
            "Labels of source `condition` need the column that holds the condition; none is named. "
            "Name it with `--condition-column`, or use `--label-source state_score`."
        )
        raise InputError(msg)
    condition_n = column(cells, config.condition_column, "--condition-column", blank=True)[perturbed_n]
    if len(set(condition_n)) < 2:
        msg = (
            f"Labels of source `condition` need perturbed cells of at least two conditions; all {len(condition_n):,} in "
            f"`obs['{config.condition_column}']` of {cells.source} are {some(sorted(set(condition_n)))}. "
            "Use `--label-source state_score`."
        )
        raise InputError(msg)


def _target_ids(cells: Cells, targets: list[str], names: GeneNames) -> dict[str, str]:
    """Ensembl id of each target, by the file's own symbols first, then by the names of the campaign."""
    own = dict(zip(cells.gene_names, cells.gene_ids, strict=True))
    mapped = dict(zip(targets, names.resolve(targets), strict=True))
    found = {target: str(own.get(target) or mapped[target]) for target in targets}
    return {target: gene for target, gene in found.items() if gene}


def _doses(cells: Cells, found: Assignment, config: PerturbedConfig) -> tuple[np.ndarray, np.ndarray]:
    """Treated cells without a dose, and those below the highest dose of their compound."""
    name, target_n = str(config.dose_column), found.target_n
    written = column(cells, name, "--dose-column", blank=True)
    dose_n = pd.to_numeric(pd.Series(written), errors="coerce").to_numpy(dtype=float)
    treated_n = (target_n != found.control) & (target_n != "")
    wrong = sorted(set(written[np.isnan(dose_n) & (written != "") & treated_n]))
    if wrong:
        msg = (
            f"`obs['{name}']` of {cells.source} must hold doses as numbers; it also holds {some(wrong)}. Write all doses of a "
            "compound in one unit, without it, or leave `--dose-column` out."
        )
        raise InputError(msg)
    highest = pd.Series(dose_n[treated_n]).groupby(target_n[treated_n]).max()
    top_n = pd.Series(target_n).map(highest).to_numpy(dtype=float)
    missing_n = treated_n & np.isnan(dose_n)
    return missing_n, treated_n & ~missing_n & (dose_n < top_n)


def _compounds(
    config: PerturbedConfig, labels: list[str], names: GeneNames
) -> tuple[dict[str, Compound] | None, tuple[str, ...]]:
    """What the compounds of a drug screen hit, and the genes of their table that nobody knows; `None` for genes."""
    if config.modality != "drug" or config.targets is None:
        return None, ()
    known, unknown = read_compounds(config.targets, names=names)
    listed = named(known, labels)
    found = {name: one for name, one in listed.items() if one.genes}
    if not found and listed:
        msg = (
            f"At least one compound needs a known target; `{config.targets}` names those of {some(sorted(listed))}, "
            f"and knows no gene of them: {some(unknown)}. Write genes as human symbols or Ensembl ids."
        )
        raise InputError(msg)
    if not found:
        msg = (
            f"At least one compound needs a known target; of {some(labels)} in `obs['{config.target_column}']` none has one in "
            f"`{config.targets}`, whose compounds are {some(known)}. Use the same names in both."
        )
        raise InputError(msg)
    return found, tuple(sorted(frozenset().union(*(one.unresolved for one in listed.values()))))


def _with_doses(
    compounds: dict[str, Compound], cells: Cells, target_n: np.ndarray, config: PerturbedConfig
) -> dict[str, Compound]:
    """Compounds with the concentration of their cells, where the name of the dose column ends with its unit."""
    unit = unit_of(config.dose_column or "")
    if unit is None or not compounds:
        return compounds
    dose = pd.to_numeric(cells.obs[config.dose_column], errors="coerce").groupby(target_n).max()
    return {name: replace(one, molar=float(dose[name]) * 10.0**-unit) for name, one in compounds.items()}
