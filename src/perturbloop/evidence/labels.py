"""Training labels of perturbed cells by their source, and the screens that they may not come from."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from perturbloop.data.genes import GeneNames
from perturbloop.data.labels import (
    call_labels,
    phenotype_labels,
    read_calls,
    refuse_same_screen,
)
from perturbloop.data.perturbed import PerturbedCells, condition_labels
from perturbloop.data.spending import left_out, own_genes, training_targets
from perturbloop.data.splits import trains
from perturbloop.data.states import StateCells
from perturbloop.errors import InputError
from perturbloop.evidence.reliability import control_like
from perturbloop.evidence.score import soft_labels
from perturbloop.schema import CellsConfig, PerturbedConfig, ScreenConfig
from perturbloop.store.files import file_digest


def training_labels(
    perturbed: PerturbedCells, states: StateCells, config: CellsConfig, *, names: GeneNames
) -> np.ndarray:
    """Probability of the goal state of each perturbed cell, from the source that was asked for; missing = does not train.

    Parameters
    ----------
    perturbed
        Cells of one file, with the source of their labels in its options.
    states
        Start and goal cells.
    config
        Names of the two states.
    names
        Which symbol of a label table means which gene.
    """
    label_n = _by_source(perturbed, states, config, names)
    if not perturbed.config.drop_escaped:
        return label_n
    return np.where(escaped(perturbed, left_out(states.cells, perturbed)), np.nan, label_n)


def escaped(perturbed: PerturbedCells, unread: Mapping[str, frozenset[str]]) -> np.ndarray:
    """Whether a cell carries a perturbation and looks more like a control than not; false where that cannot be told.

    Parameters
    ----------
    perturbed
        Perturbed and control cells.
    unread
        Genes that are not read for a target: its own.
    """
    escaped_n = np.zeros(perturbed.cells.n_cells, dtype=bool)
    for target in perturbed.targets:
        like_n = control_like(perturbed, target, unread.get(target, frozenset()))
        if like_n is not None:
            escaped_n |= (like_n > 0.5) & (perturbed.target_n == target)
    return escaped_n


def _by_source(
    perturbed: PerturbedCells, states: StateCells, states_of: CellsConfig, names: GeneNames
) -> np.ndarray:
    config = perturbed.config
    if config.label_source == "condition":
        return condition_labels(perturbed, start=states_of.start, goal=states_of.goal)
    if config.label_source == "phenotype":
        return phenotype_labels(perturbed, start=states_of.start, goal=states_of.goal)
    if config.label_source == "screen":
        path = Path(config.label_table or "")
        calls = read_calls(path, names=names)
        return call_labels(perturbed.target_n, own_genes(states.cells, perturbed), calls, source=path.name)
    return soft_labels(states.cells, states.is_goal_n, states.train_n, perturbed).probability_n


def refuse_labels_of_truth(entry: PerturbedConfig, screens: Iterable[ScreenConfig]) -> None:
    """Refuse labels of source `screen` that come from a screen the ranking is judged by.

    Parameters
    ----------
    entry
        A file of perturbed cells.
    screens
        Screens that judge rankings. Each is known by its name, that of its file, and, of several in a file, the one it has
        there.

    Raises
    ------
    LeakageError
        If the label table has the content of one of them, or a name that it is known by.
    """
    if entry.label_source != "screen" or entry.label_table is None:
        return
    truths: dict[str, str] = {}
    for screen in screens:
        path = Path(screen.path)
        truths |= dict.fromkeys(filter(None, (screen.name, _stem(path), screen.screen)), _digest(path))
    path = Path(entry.label_table)
    refuse_same_screen(_stem(path), _digest(path), truths)


def require_labels(
    perturbed: PerturbedCells,
    states: StateCells,
    config: CellsConfig,
    *,
    names: GeneNames,
    fold_of: Mapping[str, int],
    alone: bool,
) -> int:
    """Check the labels before anything is written; return how many perturbed cells have one.

    Parameters
    ----------
    perturbed, states, config, names
        As in `training_labels`.
    fold_of
        Fold of every gene that the campaign has spent.
    alone
        Whether no other file is recorded, whose cells may train where these do not.

    Raises
    ------
    InputError
        If no target with labelled cells is left to train.
    """
    options = perturbed.config
    if options.label_source == "state_score" and not options.drop_escaped:
        return int((~perturbed.is_control_n).sum())
    labels_n = training_labels(perturbed, states, config, names=names)
    known_n = np.isfinite(labels_n) & ~perturbed.is_control_n
    if alone:
        target_n, _ = training_targets(states.cells, perturbed, fold_of)
        _require_labels_to_train(target_n, known_n, fold_of, perturbed)
    return int(known_n.sum())


def _require_labels_to_train(
    target_n: np.ndarray, known_n: np.ndarray, fold_of: Mapping[str, int], perturbed: PerturbedCells
) -> None:
    """Whatever is held out, a target with a label must be left to train, or the closed loop stops in the middle."""
    measured, labelled = (frozenset(target_n[rows_n].tolist()) - {""} for rows_n in (target_n != "", known_n))
    for fold in sorted({-1, *fold_of.values()}):
        training = trains(fold_of, without=fold) & measured
        if training and not training & labelled:
            held = "for ever" if -1 in fold_of.values() else f"in fold {fold}"
            msg = (
                f"Labels of source `{perturbed.config.label_source}` must be there for targets that train; of {len(measured)} "
                f"targets of {perturbed.cells.source} {len(labelled)} have labelled cells, and all of those are held out {held}. "
                "Label more targets, or use `--label-source state_score`."
            )
            raise InputError(msg)


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix == ".gz" else path.stem


def _digest(path: Path) -> str:
    return file_digest(path) if path.is_file() else ""
