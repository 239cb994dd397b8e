"""What a recorded file shows of each gene, before anything is kept of it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.data.genes import GeneNames
from perturbloop.data.states import StateCells
from perturbloop.errors import InputError, some
from perturbloop.schema import CampaignConfig, PerturbedConfig, Recorded, ScreenConfig, file_fields
from perturbloop.store.files import file_digest

RecordedFile = PerturbedConfig | ScreenConfig
"""A file of perturbed cells, or a screen, and how it is read."""


@dataclass(frozen=True)
class Study:
    """What a file is measured against: the options of the campaign, with all that is recorded, and its state cells."""

    config: CampaignConfig
    """Options and recorded files."""
    states: StateCells
    """Start and goal cells."""
    names: GeneNames
    """Which symbol means which gene."""


@dataclass(frozen=True)
class Measurement:
    """What one file shows, before anything is kept of it."""

    recorded: Recorded
    tables: Mapping[str, pd.DataFrame]
    """Tables that are kept, by name: `effects_all` and `effects_judge` of cells, `effects` and `screen` of a screen, and others."""
    fold_of: Mapping[str, int]
    """Fold of every gene that it spends."""
    n_genes: int
    """Genes of the file."""


def require_two_folds(folds: Collection[int], names: Iterable[str], more: str) -> None:
    """Refuse targets of which none is held out, or none may teach: what is judged is judged by what was learnt from others.

    Parameters
    ----------
    folds
        Fold of every gene that the campaign has spent.
    names
        The genes, for the message.
    more
        What to do.
    """
    if len(set(folds)) < 2:
        msg = (
            "Targets are judged by what was learnt from others, so some must be held out and some used; all "
            f"{len(list(names))} fall into one fold: {some(names)}. {more}"
        )
        raise InputError(msg)


def name_of(entry: RecordedFile) -> str:
    """Name by which a recorded file is known: that of the screen, or of the file of cells."""
    return entry.name if isinstance(entry, ScreenConfig) else Path(entry.path).name


def options_of(entry: RecordedFile) -> dict[str, Any]:
    """Every option of a recorded file but the paths, which say nothing of the content."""
    return {name: value for name, value in vars(entry).items() if name not in file_fields(type(entry))}


def digests_of(entry: RecordedFile) -> list[str]:
    """Role and digest of a recorded file and of those that its options name."""
    named = {role: getattr(entry, role) for role in file_fields(type(entry))}
    return [
        f"{role} {file_digest(Path(path)) if Path(path).is_file() else ''}"
        for role, path in named.items()
        if path
    ]
