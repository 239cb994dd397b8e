"""What a round knows when a batch is asked for, read from its folder."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from perturbloop.data.annotations import Annotations
from perturbloop.data.gene_sets import GeneSets, read_gene_list
from perturbloop.data.genes import GeneNames
from perturbloop.data.library import GuideLibrary, read_library
from perturbloop.data.states import StateCells
from perturbloop.evidence.alike import alike, joined
from perturbloop.evidence.kernels import Kernel
from perturbloop.evidence.knowledge import every_set
from perturbloop.schema import EFFECTS, RANKING, CampaignConfig, DesignConfig, Textbook, concat
from perturbloop.store.files import read_json, read_table

PLAY_AGAIN = "Delete it and run `perturbloop play`, which makes it anew."


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a round knows when a batch is asked for."""

    ranking: pd.DataFrame
    """Table RANKING."""
    posterior: pd.DataFrame
    """Table POSTERIOR; empty before targets were measured."""
    predictions: pd.DataFrame
    """Table PREDICTIONS: for the methods of `PRIORS`."""
    effects: pd.DataFrame
    """Table EFFECTS; empty before targets were measured."""
    kinds: tuple[str, ...]
    """Kinds of edit that the campaign makes."""
    spent: Collection[str] = ()
    """Ids of all genes that were measured, those that a recorded compound hits among them."""
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Table TRIALS."""
    gate: str = ""
    """What failed at the control gate, in a sentence; empty where nothing did."""
    likeness: Kernel | None = None
    """Which genes are alike, by gene sets or co-expression: it rests on no model."""
    sets: GeneSets | None = None
    """Gene sets, for the reasons."""
    library: GuideLibrary | None = None
    """Guides that can be ordered."""
    excluded: Collection[str] = ()
    """Ids of genes that are not wanted."""
    positives: Sequence[tuple[str, str, str]] = ()
    """Ensembl id, symbol and action of genes that are known to act."""


def read_known(
    folder: Path,
    config: CampaignConfig,
    design: DesignConfig,
    *,
    states: StateCells,
    names: GeneNames,
    annotations: Annotations,
    textbook: Textbook | None,
    trials: pd.DataFrame,
    gate: str,
) -> Known:
    """Read what a round knows; nothing is written.

    Parameters
    ----------
    folder
        Folder of a round that is evaluated.
    config, design
        Options of the campaign, and what is asked for.
    states, names, annotations, textbook
        The campaign's cells; which symbol means which gene; what is known of genes, and which are known to act in these states.
    trials, gate
        See `Known`.
    """

    def table(name: str) -> pd.DataFrame:
        return read_table(folder / f"{name}.parquet", todo=PLAY_AGAIN)

    sets = joined(every_set(annotations, names=names))
    measured = (folder / "effects.parquet").is_file()
    effects = table("effects") if measured else concat(EFFECTS, [])
    recorded = read_json(folder / "recorded.json", todo=PLAY_AGAIN) if measured else []
    by_compounds = {gene for one in recorded for gene in one.get("hit_genes", {})}
    return Known(
        ranking=RANKING.completed(table("ranking")),
        posterior=table("posterior"),
        predictions=table("predictions"),
        effects=effects,
        kinds=config.perturb.kinds,
        spent={*effects.loc[effects["level"].eq("gene"), "gene_id"], *by_compounds},
        trials=trials,
        gate=gate,
        likeness=alike(states, sets),
        sets=sets,
        library=read_library(design.library, names=names) if design.library else None,
        excluded=read_gene_list(design.exclude, names=names) if design.exclude else (),
        positives=_positives(textbook, config, states),
    )


def _positives(
    textbook: Textbook | None, config: CampaignConfig, states: StateCells
) -> list[tuple[str, str, str]]:
    """Genes that are known to act in these states and are among those of the cells, with the action that moves cells to the goal."""
    if textbook is None:
        return []
    usual = "activate" if textbook.raised_in == "goal" else "inhibit"
    named = dict(entry.split(":") for entry in config.evaluate.positive_controls if ":" in entry)
    ids = dict(zip(states.cells.gene_names, states.cells.gene_ids, strict=True))
    return [(str(ids[name]), name, named.get(name, usual)) for name in textbook.genes if name in ids]
