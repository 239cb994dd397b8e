"""Training labels of perturbed cells by their source, and the screens that they may not come from."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perturbloop.data.labels import (
    WARNINGS,
    call_labels,
    phenotype_labels,
    read_calls,
    refuse_same_screen,
)
from perturbloop.data.perturbed import PerturbedCells, condition_labels
from perturbloop.data.splits import trains
from perturbloop.errors import InputError
from perturbloop.evidence.reliability import control_like
from perturbloop.evidence.score import left_out, own_genes, soft_labels
from perturbloop.loop.drugs import training_targets
from perturbloop.loop.folder import Campaign
from perturbloop.loop.inputs import Inputs
from perturbloop.schema import PerturbedConfig, ScreenConfig
from perturbloop.store.files import file_digest

SIDE_FILES = ("label_table", "targets")
"""Options of a recorded file that name another file: its content counts, not its path."""


def training_labels(perturbed: PerturbedCells, inputs: Inputs) -> np.ndarray:
    """Probability of the goal state of each perturbed cell, from the source that was asked for; missing = does not train."""
    label_n = _by_source(perturbed, inputs)
    if not perturbed.config.drop_escaped:
        return label_n
    return np.where(escaped(perturbed, left_out(inputs.cells, perturbed)), np.nan, label_n)


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


def _by_source(perturbed: PerturbedCells, inputs: Inputs) -> np.ndarray:
    config, states = perturbed.config, inputs.config.cells
    if config.label_source == "condition":
        return condition_labels(perturbed, start=states.start, goal=states.goal)
    if config.label_source == "phenotype":
        return phenotype_labels(perturbed, start=states.start, goal=states.goal)
    if config.label_source == "screen":
        path = Path(config.label_table or "")
        calls = read_calls(path, vocabulary=inputs.model.vocabulary)
        return call_labels(perturbed.target_n, own_genes(inputs.cells, perturbed), calls, source=path.name)
    state = inputs.states
    return soft_labels(inputs.cells, state.is_goal_n, state.train_n, perturbed).probability_n


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


def label_facts(
    perturbed: PerturbedCells, campaign: Campaign, inputs: Inputs, fold_of: Mapping[str, int]
) -> dict[str, Any]:
    """Check the labels before anything is written; what the report says of them: source, cells with a label, warnings."""
    source = perturbed.config.label_source
    if (
        source != "state_score" or perturbed.config.drop_escaped
    ):  # refused now, not when the closed loop trains
        refuse_labels_of_truth(perturbed.config, campaign.config.screen)
        known_n = np.isfinite(training_labels(perturbed, inputs)) & ~perturbed.is_control_n
        others = [one for one in campaign.config.perturbed if one.path != perturbed.config.path]
        if not others:  # else cells of theirs may train
            target_n, _ = training_targets(perturbed, inputs, fold_of)
            _require_labels_to_train(target_n, known_n, fold_of, perturbed)
    else:
        known_n = ~perturbed.is_control_n
    warnings = [WARNINGS[source]] if source in WARNINGS else []
    return {"label_source": source, "n_labelled": int(known_n.sum()), "label_warnings": warnings}


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


def digests_of(entry: PerturbedConfig) -> list[str]:
    """Hashes of a recorded file and of the files that its options name."""
    named = [getattr(entry, name) for name in SIDE_FILES]
    return [_digest(Path(path)) for path in (entry.path, *filter(None, named))]


def options_of(entry: PerturbedConfig) -> dict[str, Any]:
    """Every option of a recorded file but the paths, which say nothing of the content."""
    values = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    return {name: value for name, value in values.items() if name not in ("path", *SIDE_FILES)}


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix == ".gz" else path.stem


def _digest(path: Path) -> str:
    return file_digest(path) if path.is_file() else ""
