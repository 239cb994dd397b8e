"""Recorded outcomes: perturbed cells become measured effects, kept in the campaign; held-out targets are frozen."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.cells import read_cells
from perturbloop.data.perturbed import PerturbedCells, read_perturbed
from perturbloop.errors import InputError, some
from perturbloop.evidence.effects import MeasuredEffects, measure_effects
from perturbloop.evidence.score import LEAST_SHARED, shared_genes
from perturbloop.loop.drugs import assigned_folds, drug_facts, edits_of, effects_by_gene, training_targets
from perturbloop.loop.folder import PLAY_AGAIN, Campaign, kept, kept_report, read_of_round, require_may_write
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.labels import (
    digests_of,
    label_facts,
    options_of,
    refuse_labels_of_truth,
    training_labels,
)
from perturbloop.loop.screens import read_screens
from perturbloop.loop.training import PerturbedExamples
from perturbloop.schema import EFFECTS, KINDS, PerturbedConfig, arms_of, concat, judges, kind_of
from perturbloop.store import Input, Target, step_key
from perturbloop.store.files import file_digest, read_json, write_json, write_table

MOST_EXPLAINED, CONTRIBUTIONS = 20, 5
"""Hits whose contributions the report lists, and genes listed of each; `contributions.parquet` holds all."""


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
        """Fold of each measured target, and of every gene that a recorded compound hits."""
        rows = self.effects[self.effects["level"] == "gene"]
        hit = {gene: fold for report in self.reports for gene, fold in report.get("hit_genes", {}).items()}
        return hit | dict(zip(rows["gene_id"], rows["fold"].astype(int), strict=True))

    @property
    def kinds(self) -> tuple[Any, ...]:
        """In-silico kinds that were measured."""
        return _kinds(self.effects)

    @property
    def with_cells(self) -> frozenset[str]:
        """Genes that were hit in perturbed cells, all those of usable compounds included: only these can train a model."""
        rows = self._of_cells
        hit = {
            gene for report in self.reports for gene in report.get("cell_genes", report.get("hit_genes", ()))
        }
        return frozenset(rows.loc[rows["level"] == "gene", "gene_id"]) | hit

    @property
    def kinds_of_cells(self) -> tuple[Any, ...]:
        """In-silico kinds that were measured in cells."""
        return _kinds(self._of_cells)

    @property
    def _of_cells(self) -> pd.DataFrame:
        return self.effects[self.effects["n_cells"] > 0]


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
    place = {"folder": campaign.relative(folder)}
    if (folder / "report.json").is_file() and entry in campaign.config.perturbed:
        return campaign, report | place, False
    known = {target.gene_id: target.fold for target in campaign.store.targets()}
    config = campaign.config.evaluate
    fold_of = assigned_folds(perturbed, inputs, known=known, folds=config.folds)
    _require_two_folds(known | fold_of)
    labels = label_facts(perturbed, campaign, inputs, known | fold_of)
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
    for half, result in measured.items():
        effects = effects_by_gene(result, perturbed, inputs, fold_of=fold_of, config=config)
        write_table(folder / f"effects_{half}.parquet", effects)
    for name in ("contributions", "guides", "replicates"):
        write_table(folder / f"{name}.parquet", getattr(measured["all"], name))
    path = Path(entry.path)
    size = path.stat().st_size
    campaign.store.add_input(
        Input(
            entry.path, "perturbed", file_digest(path), size, perturbed.cells.n_cells, perturbed.cells.n_genes
        )
    )
    campaign.store.freeze_targets(Target(gene, entry.modality, fold) for gene, fold in fold_of.items())
    full = report | labels | _facts(measured["all"], perturbed, inputs) | {"source": perturbed.cells.source}
    full |= drug_facts(perturbed, fold_of, report)
    full["warnings"] = [*labels["label_warnings"], *full.get("drug_warnings", ()), *full["warnings"]]
    write_json(folder / "report.json", full)
    return campaign.with_perturbed(entry), full | place, True


def read_outcomes(campaign: Campaign, inputs: Inputs) -> Outcomes | None:
    """Read the effects of every recorded file and screen; `None` where none is recorded.

    Those whose options, file or cells changed since are measured again, where the campaign was opened for work.
    """
    if not campaign.config.perturbed and not campaign.config.screen:
        return None
    screens, screen_reports = read_screens(campaign, inputs)
    folders = [_place(campaign, entry, inputs) for entry in campaign.config.perturbed]
    for folder, entry in zip(folders, campaign.config.perturbed, strict=True):
        if not (folder / "report.json").is_file():
            require_may_write(campaign, entry.path)
            record(campaign, inputs, entry)
    halves = {
        half: concat(
            EFFECTS,
            [*(kept(folder, f"effects_{half}") for folder in folders), *screens],
        )
        for half in ("all", "judge")
    }
    reports = [kept_report(folder) for folder in folders]
    return Outcomes(halves["all"], halves["judge"], (*reports, *screen_reports))


def keep_in_round(outcomes: Outcomes, folder: Path) -> tuple[Path, ...]:
    """Write what a round was judged by beside its tables, so that its report never mixes in what came later; the files."""
    effects, judged, recorded = (
        folder / name for name in ("effects.parquet", "effects_judged.parquet", "recorded.json")
    )
    write_table(effects, outcomes.effects)
    write_table(judged, outcomes.judged)
    write_json(recorded, list(outcomes.reports))
    return effects, judged, recorded


def of_round(folder: Path) -> Outcomes | None:
    """Read what `keep_in_round` wrote; `None` for a round without measured effects."""
    if not (folder / "recorded.json").is_file():
        return None
    effects, judged = (read_of_round(folder, name) for name in ("effects", "effects_judged"))
    return Outcomes(effects, judged, tuple(read_json(folder / "recorded.json", todo=PLAY_AGAIN)))


def perturbed_examples(campaign: Campaign, inputs: Inputs) -> PerturbedExamples:
    """Read the perturbed cells again, label them by the source that was asked for, and find the shared genes."""
    cells, labels, targets, digests = [], [], [], []
    hits: dict[str, frozenset[str]] = {}
    fold_of = {target.gene_id: target.fold for target in campaign.store.targets()}
    controls, kinds = [], []
    shared = inputs.cells.gene_ids
    for entry in campaign.config.perturbed:
        refuse_labels_of_truth(entry, campaign.config.screen)  # a screen may have been recorded since
        perturbed, _ = read_perturbed(entry, vocabulary=inputs.model.vocabulary)
        cells.append(perturbed.cells)
        labels.append(training_labels(perturbed, inputs))
        target_n, hit = training_targets(perturbed, inputs, fold_of)
        targets.append(target_n)
        hits |= {gene: hits.get(gene, frozenset()) | genes for gene, genes in hit.items()}
        here = set(shared_genes(inputs.cells, perturbed.cells))
        shared = np.array([gene for gene in shared if gene in here], dtype=object)
        digests += [perturbed.cells.digest, *digests_of(entry)[1:]]  # a table of targets decides too
        controls.append(perturbed.is_control_n)
        kinds.append(edits_of(perturbed))
    label_n = np.concatenate(labels)
    target_n, is_control_n, kind_n = (np.concatenate(part) for part in (targets, controls, kinds))
    named = {"target": target_n, "control": is_control_n, "kind": kind_n}  # other columns of the same file
    config = {
        name: hashlib.sha256("\n".join(map(str, part)).encode()).hexdigest() for name, part in named.items()
    }
    digest = step_key("examples", config=config | {"labels": step_digest(label_n)}, inputs=digests)
    return PerturbedExamples(tuple(cells), target_n, label_n, shared, digest, is_control_n, kind_n, hits=hits)


def _kinds(effects: pd.DataFrame) -> tuple[Any, ...]:
    modalities = effects.loc[
        effects["level"] == "gene", "modality"
    ].unique()  # a compound as such has no kind
    return tuple(kind for kind in KINDS if any(judges(m, kind) for m in modalities))


def _require_kind(entry: PerturbedConfig, campaign: Campaign) -> None:
    arms, kinds = arms_of(entry.modality), campaign.config.perturb.kinds
    if not any(judges(arm, made) for arm in arms for made in kinds):
        asked = " and ".join(f"`{kind_of(arm)}`" for arm in arms)
        msg = (
            f"What `{entry.modality}` measures is compared with the in-silico edit {asked}; this campaign makes "
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


def step_digest(values: np.ndarray) -> str:
    """Hash of numbers, rounded so that it does not depend on the last bits of a solver."""
    return hashlib.sha256(np.round(values, 4).tobytes()).hexdigest()[:16]


def _place(campaign: Campaign, entry: PerturbedConfig, inputs: Inputs) -> Path:
    """Folder of a file's effects, named by what decides them."""
    config = campaign.config.to_dict()
    evaluate = {name: config["evaluate"][name] for name in ("fdr", "min_effect", "folds")}
    return (
        campaign.folder
        / "perturbed"
        / step_key("effects", config=options_of(entry) | evaluate, inputs=[*digests_of(entry), inputs.key])
    )


def _facts(measured: MeasuredEffects, perturbed: PerturbedCells, inputs: Inputs) -> dict[str, Any]:
    return {
        "state_score_auroc": measured.heldout_auroc,
        "n_shared_genes": measured.n_shared_genes,
        "n_state_genes": inputs.cells.n_genes,
        "n_perturbed_genes": perturbed.cells.n_genes,
        "control_spread_logits": measured.spread,
        "guide_spread": measured.guide_spread.source,
        "replicate_variance": measured.replicate_variance,
        "control_position": measured.control_position,
        "contributions": _strongest(measured),
        "warnings": list(measured.warnings),
        "same_file": Path(perturbed.config.path).resolve() == Path(inputs.config.cells.path).resolve(),
    }


def _strongest(measured: MeasuredEffects) -> dict[str, dict[str, float]]:
    """Of each hit, strongest first, the readout genes that contribute most to its effect and how much."""
    hits = measured.by_gene[measured.by_gene["hit"].astype(bool)]
    hits = hits.sort_values("effect_to_goal", key=lambda effect: -effect.abs(), kind="stable")
    by_target = measured.contributions.groupby("target")  # largest first within a target
    found = {}
    for target in hits["target"].head(MOST_EXPLAINED):
        rows = by_target.get_group(target).head(CONTRIBUTIONS)
        found[str(target)] = dict(zip(rows["gene_name"], rows["contribution"].round(3), strict=True))
    return found
