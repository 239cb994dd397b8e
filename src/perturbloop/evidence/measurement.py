"""What a recorded file shows of each gene, before anything is kept of it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from perturbloop.data.genes import GeneNames
from perturbloop.data.states import StateCells
from perturbloop.errors import InputError, some
from perturbloop.schema import CampaignConfig, Recorded, Textbook


@dataclass(frozen=True)
class Study:
    """What a file is measured against: the options of the campaign, with all that is recorded, and its state cells."""

    config: CampaignConfig
    """Options and recorded files."""
    states: StateCells
    """Start and goal cells."""
    names: GeneNames
    """Which symbol means which gene."""
    textbook: Textbook | None = None
    """Genes that are known to act in these states."""


@dataclass(frozen=True)
class Measurement:
    """What one file shows, before anything is kept of it."""

    recorded: Recorded
    tables: Mapping[str, pd.DataFrame]
    """Tables that are kept, by name: `effects_all` and `effects_judge`, `screen` of a screen, and others."""
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
