"""The commands that need no campaign: a demo, a small model, and what is known of genes."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from perturbloop.cli.app import PRETRAINING
from perturbloop.cli.output import progress
from perturbloop.front.campaign import Campaign
from perturbloop.front.given import named
from perturbloop.schema.options import nested


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
