"""The commands that need no campaign: a demo, a small model, the replay of a finished screen, what is known of genes."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from perturbloop.cli.app import PRETRAINING
from perturbloop.cli.output import progress
from perturbloop.front.campaign import Campaign
from perturbloop.front.given import named
from perturbloop.schema.options import nested

if TYPE_CHECKING:
    from perturbloop.data.recognize import Recognized
    from perturbloop.report.backtest import Backtest


def demo(folder: str | PathLike[str] = "demo", *, seed: int = 0) -> Campaign:
    """Play the whole loop on simulated cells with a known answer.

    Parameters
    ----------
    folder
        Folder to make; one of an earlier demo is gone on with.
    seed
        Seed of the simulated world.
    """
    from perturbloop.example import demo as run

    with progress():
        run(Path(folder), seed=seed)
    return Campaign(Path(folder) / "campaign")


def pretrain(
    folder: str | PathLike[str],
    files: Sequence[str | PathLike[str]],
    *,
    vocabulary: str | PathLike[str],
    gene_column: str | None = None,
    **options: Any,
) -> Path:
    """Pretrain a small model by masked-gene learning, where no published weights are at hand.

    Parameters
    ----------
    folder
        Model folder to make.
    files
        h5ad files with raw counts.
    vocabulary
        Folder of the published dictionaries.
    gene_column
        Column of var with the gene ids, in all files.
    options
        As of `perturbloop pretrain`.

    Returns
    -------
    The model folder.
    """
    from perturbloop.train.pretrain import pretrain_files
    from perturbloop.train.pretrain_config import PretrainConfig

    given = named(options, [option.name for option in PRETRAINING])
    with progress():
        config = PretrainConfig(**nested(PRETRAINING, given).get("pretrain", {}))
        pretrain_files(
            [Path(file) for file in files],
            Path(folder),
            config,
            vocabulary=Path(vocabulary),
            gene_column=gene_column,
        )
    return Path(folder)


def backtest(
    screen: str | PathLike[str], *, out: str | PathLike[str] | None = None, **options: Any
) -> "Backtest":
    """Replay a finished screen: would the loop have paid on it?

    Parameters
    ----------
    screen
        Path of a text table with one score a gene.
    out
        Folder of the results; `backtest-SCREEN` in the working directory by default. What lies there is gone on with.
    options
        As of `perturbloop backtest`, for instance `top=0.05, cells=("cells.h5ad",), policies=("ridge", "posterior:both")`.

    Returns
    -------
    What was found: `verdict`, `means` (table REPLAY_MEANS), `table` (REPLAY), `figure`; it shows itself.

    Raises
    ------
    InputError, DesignError
        If an option or a file does not fit, or there is nothing to replay.
    """
    from perturbloop.cli.backtest import REPLAYED, config_of, folder_of
    from perturbloop.report.backtest import backtest as run

    given = named(options, [option.name for option in REPLAYED])
    config = config_of({name: _path(value) for name, value in given.items()} | {"screen": str(screen)})
    with progress():
        return run(config, folder_of(config) if out is None else Path(out))


def _path(value: Any) -> Any:
    """Paths as texts, lists as tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_path, value))
    return str(value) if isinstance(value, PathLike) else value


def inspect(file: str | PathLike[str]) -> "Recognized":
    """Say what a file is, where its counts and labels are, and which line of the command reads it.

    Parameters
    ----------
    file
        Cells, guide calls of cellranger, or a table of a screen.
    """
    from perturbloop.data.recognize import recognize

    return recognize(Path(file))


def knowledge(
    action: Literal["list", "add", "remove"] = "list",
    name: str = "",
    source: str | PathLike[str] = "",
    **options: Any,
) -> pd.DataFrame:
    """List the gene sets, networks and references on this machine; add and remove them.

    Parameters
    ----------
    action
        list, add or remove.
    name
        Name of the collection that is added or removed.
    source
        Path or http(s) address of the published file that is added.
    options
        `kind`, `date`, `aliases` (a list of paths), `licence` and `sha256`, as of `perturbloop knowledge add`.

    Returns
    -------
    One row per collection that is there afterwards: `name`, `kind`, `source`, `version`, `date`, `licence`, `digest`, `n_genes`,
    `n_columns`, `origin` and `is_shipped`.
    """
    from perturbloop.data.knowledge import collections
    from perturbloop.data.knowledge.adding import add, remove

    if action == "add":
        with progress():
            add(name, str(source), **options)
    elif action == "remove":
        remove(name)
    return pd.DataFrame([one.to_dict() for one in collections()])
