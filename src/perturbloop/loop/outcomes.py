"""Recorded outcomes: perturbed cells become measured effects, kept in the campaign; held-out targets are frozen."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.cells import file_digest, read_cells
from perturbloop.data.perturbed import PerturbedCells, condition_labels, read_perturbed
from perturbloop.data.splits import assign_folds
from perturbloop.errors import InputError, some
from perturbloop.evidence.effects import MeasuredEffects, measure_effects
from perturbloop.evidence.score import LEAST_SHARED, own_genes, shared_genes, soft_labels
from perturbloop.loop.arms import PerturbedExamples
from perturbloop.loop.folder import Campaign, write_json, write_table
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.screens import read_screens
from perturbloop.schema import EFFECTS, KINDS, PerturbedConfig, concat, judges, kind_of
from perturbloop.store import Input, Target, step_key


@dataclass(frozen=True)
class Outcomes:
    """All measured effects of a campaign."""

    effects: pd.DataFrame
    """Table `EFFECTS` read by all shared genes: what is reported, and what the evidence channel learns from."""
    judged: pd.DataFrame
    """The same read by the judging half of the genes only: what rankings are judged by."""
    reports: tuple[dict[str, Any], ...]
    """Per file what was read; of cells, how well the state score works; of screens (`role`), what was excluded."""

    @property
    def fold_of(self) -> dict[str, int]:
        """Fold of each measured target."""
        rows = self.effects[self.effects["level"] == "gene"]
        return dict(zip(rows["gene_id"], rows["fold"].astype(int), strict=True))

    @property
    def kinds(self) -> tuple[Any, ...]:
        """In-silico kinds that were measured."""
        return _kinds(self.effects)

    @property
    def of_cells(self) -> pd.DataFrame:
        """Effects that were measured in cells: only these can train a model."""
        return self.effects[self.effects["n_cells"] > 0]

    @property
    def kinds_of_cells(self) -> tuple[Any, ...]:
        """In-silico kinds that were measured in cells."""
        return _kinds(self.of_cells)


def record(
    campaign: Campaign, inputs: Inputs, entry: PerturbedConfig
) -> tuple[Campaign, dict[str, Any], bool]:
    """Measure the effects in a file of perturbed cells and keep them.

    Returns
    -------
    The campaign with the file, the report, and whether it was new; the same file with the same options is not
    recorded twice.
    """
    _require_kind(entry, campaign)
    perturbed, report = read_perturbed(entry, vocabulary=inputs.model.vocabulary)
    _require_common_genes(perturbed, campaign, inputs)
    folder = _place(campaign, entry, inputs)
    if (folder / "report.json").is_file() and entry in campaign.config.perturbed:
        return campaign, report, False
    if entry.label_source == "condition":
        _training_labels(perturbed, inputs)  # refused now, not when the closed loop trains
    measured = {
        half: measure_effects(
            inputs.cells,
            inputs.states.is_goal_n,
            inputs.states.train_n,
            perturbed,
            config=campaign.config.evaluate,
            genes=half,
        )
        for half in ("all", "judge")
    }
    gene_ids = sorted(set(measured["all"].effects["gene_id"]) - {""})
    if not gene_ids:
        msg = (
            f"Targets must be genes; none of {some(perturbed.targets)} in `obs['{entry.target_column}']` is one that the "
            "vocabulary knows. Use symbols or Ensembl ids as labels."
        )
        raise InputError(msg)
    known = {target.gene_id: target.fold for target in campaign.store.targets()}
    fold_of = assign_folds(gene_ids, known=known, folds=campaign.config.evaluate.folds)
    _require_two_folds(known | fold_of)
    for half, result in measured.items():
        effects = result.effects[result.effects["gene_id"] != ""]
        write_table(folder / f"effects_{half}.parquet", effects.assign(fold=effects["gene_id"].map(fold_of)))
    write_table(folder / "contributions.parquet", measured["all"].contributions)
    path = Path(entry.path)
    size = path.stat().st_size
    campaign.store.add_input(
        Input(
            entry.path, "perturbed", file_digest(path), size, perturbed.cells.n_cells, perturbed.cells.n_genes
        )
    )
    campaign.store.freeze_targets(
        Target(gene, entry.modality, fold) for gene, fold in fold_of.items() if gene in gene_ids
    )
    full = report | _facts(measured["all"], perturbed, inputs) | {"source": perturbed.cells.source}
    write_json(folder / "report.json", full)
    return campaign.with_perturbed(entry), full, True


def read_outcomes(campaign: Campaign, inputs: Inputs) -> Outcomes | None:
    """Read the effects of every recorded file and screen; `None` where none is recorded."""
    if not campaign.config.perturbed and not campaign.config.screen:
        return None
    screens, screen_reports = read_screens(campaign, inputs)
    folders = [_place(campaign, entry, inputs) for entry in campaign.config.perturbed]
    for folder, entry in zip(folders, campaign.config.perturbed, strict=True):
        if not (folder / "report.json").is_file():  # the config or the cells changed since
            record(campaign, inputs, entry)
    halves = {
        half: concat(
            EFFECTS,
            [*(pd.read_parquet(folder / f"effects_{half}.parquet") for folder in folders), *screens],
        )
        for half in ("all", "judge")
    }
    reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
    return Outcomes(halves["all"], halves["judge"], (*reports, *screen_reports))


def keep_in_round(outcomes: Outcomes, folder: Path) -> None:
    """Write what a round was judged by beside its tables, so that its report never mixes in what came later."""
    write_table(folder / "effects.parquet", outcomes.effects)
    write_table(folder / "effects_judged.parquet", outcomes.judged)
    write_json(folder / "recorded.json", list(outcomes.reports))


def of_round(folder: Path) -> Outcomes | None:
    """Read what `keep_in_round` wrote; `None` for a round without measured effects."""
    if not (folder / "recorded.json").is_file():
        return None
    effects, judged = (pd.read_parquet(folder / f"{name}.parquet") for name in ("effects", "effects_judged"))
    return Outcomes(effects, judged, tuple(json.loads((folder / "recorded.json").read_text())))


def perturbed_examples(campaign: Campaign, inputs: Inputs) -> PerturbedExamples:
    """Read the perturbed cells again, label them by the labelling half of the genes, and find the shared genes."""
    cells, labels, targets, digests = [], [], [], []
    shared = inputs.cells.gene_ids
    for entry in campaign.config.perturbed:
        perturbed, _ = read_perturbed(entry, vocabulary=inputs.model.vocabulary)
        cells.append(perturbed.cells)
        labels.append(_training_labels(perturbed, inputs))
        own = own_genes(inputs.cells, perturbed)
        targets += [own.get(target, "") for target in perturbed.target_n]
        here = set(shared_genes(inputs.cells, perturbed.cells))
        shared = np.array([gene for gene in shared if gene in here], dtype=object)
        digests.append(perturbed.cells.digest)
    label_n = np.concatenate(labels)
    digest = step_key("examples", config={"labels": step_digest(label_n)}, inputs=digests)
    return PerturbedExamples(tuple(cells), np.array(targets, dtype=object), label_n, shared, digest)


def _kinds(effects: pd.DataFrame) -> tuple[Any, ...]:
    return tuple(kind for kind in KINDS if any(judges(m, kind) for m in effects["modality"].unique()))


def _require_kind(entry: PerturbedConfig, campaign: Campaign) -> None:
    kind, kinds = kind_of(entry.modality), campaign.config.perturb.kinds
    if not any(judges(entry.modality, made) for made in kinds):
        msg = (
            f"What `{entry.modality}` measures is compared with the in-silico edit `{kind}`; this campaign makes "
            f"{some(kinds)} only. Add it to `kinds` in `campaign.toml`, then record again."
        )
        raise InputError(msg)


def _require_common_genes(perturbed: PerturbedCells, campaign: Campaign, inputs: Inputs) -> None:
    """All files train together, so what they share must be enough, not only what each shares with the states."""
    shared = set(shared_genes(inputs.cells, perturbed.cells))
    for other in campaign.config.perturbed:
        if other.path != perturbed.config.path:
            shared &= set(
                read_cells(other.path, vocabulary=inputs.model.vocabulary, gene_column=other.gene_column)[
                    0
                ].gene_ids
            )
    if len(shared) < LEAST_SHARED:
        msg = (
            f"All files of a campaign must share at least {LEAST_SHARED} genes; with {perturbed.cells.source} they share "
            f"{len(shared)}. Record this file in a campaign of its own."
        )
        raise InputError(msg)


def _require_two_folds(fold_of: Mapping[str, int]) -> None:
    if len(set(fold_of.values())) < 2:
        msg = (
            f"Targets are judged by what was learnt from others, so some must be held out and some used; all "
            f"{len(fold_of)} of this campaign fall into one fold: {some(fold_of)}. Record more targets in one file."
        )
        raise InputError(msg)


def _training_labels(perturbed: PerturbedCells, inputs: Inputs) -> np.ndarray:
    """Probability of the goal state of each perturbed cell, from the source that was asked for."""
    if perturbed.config.label_source == "condition":
        states = inputs.config.cells
        return condition_labels(perturbed, start=states.start, goal=states.goal)
    states_n = inputs.states
    return soft_labels(inputs.cells, states_n.is_goal_n, states_n.train_n, perturbed).probability_n


def step_digest(values: np.ndarray) -> str:
    """Hash of numbers, rounded so that it does not depend on the last bits of a solver."""
    return hashlib.sha256(np.round(values, 4).tobytes()).hexdigest()[:16]


def _place(campaign: Campaign, entry: PerturbedConfig, inputs: Inputs) -> Path:
    """Folder of a file's effects, named by what decides them."""
    config = campaign.config.to_dict()
    values = {name: getattr(entry, name) for name in entry.__dataclass_fields__ if name != "path"}
    digest = file_digest(Path(entry.path)) if Path(entry.path).is_file() else ""
    evaluate = {name: config["evaluate"][name] for name in ("fdr", "min_effect", "folds")}
    return (
        campaign.folder
        / "perturbed"
        / step_key("effects", config=values | evaluate, inputs=[digest, inputs.key])
    )


def _facts(measured: MeasuredEffects, perturbed: PerturbedCells, inputs: Inputs) -> dict[str, Any]:
    return {
        "state_score_auroc": measured.heldout_auroc,
        "n_shared_genes": measured.n_shared_genes,
        "n_state_genes": inputs.cells.n_genes,
        "n_perturbed_genes": perturbed.cells.n_genes,
        "control_spread_logits": measured.spread,
        "guide_spread": measured.guide_spread.source,
        "control_position": measured.control_position,
        "warnings": list(measured.warnings),
        "same_file": Path(perturbed.config.path).resolve() == Path(inputs.config.cells.path).resolve(),
    }
