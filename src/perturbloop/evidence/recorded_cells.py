"""A file of perturbed cells: read, its effects measured, its targets placed in folds."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from perturbloop.data.cells import read_cells
from perturbloop.data.compounds import torn
from perturbloop.data.labels import WARNINGS
from perturbloop.data.perturbed import PerturbedCells, read_perturbed
from perturbloop.data.spending import assigned_folds, compound_warnings
from perturbloop.errors import InputError, some
from perturbloop.evidence.drugs import effects_with_folds
from perturbloop.evidence.effects import MeasuredEffects, measure_effects
from perturbloop.evidence.labels import refuse_labels_of_truth, require_labels
from perturbloop.evidence.measurement import Measurement, Study, require_two_folds
from perturbloop.evidence.recorded_arms import measure_arms
from perturbloop.evidence.score import LEAST_SHARED, shared_genes
from perturbloop.schema import PerturbedConfig, RecordedCells, frozen

_JOINS = re.compile(r"[+_|,;&]")
"""What joins two genes in the label of a pair."""
MOST_EXPLAINED, CONTRIBUTIONS = 20, 5
"""Hits whose contributions are listed, and genes listed of each; the table `contributions` holds all."""


def measure_cells(study: Study, entry: PerturbedConfig, *, known: Mapping[str, int]) -> Measurement:
    """Measure the effect of every target of a file; nothing is written.

    Parameters
    ----------
    study
        What it is measured against.
    entry
        The file and how it is read.
    known
        Folds that were given before; they never change.

    Raises
    ------
    LeakageError
        If cells would train by labels from a screen that judges.
    """
    states, config = study.states, study.config.evaluate
    perturbed, read = read_perturbed(entry, names=study.names, start=study.config.cells.start)
    _require_common_genes(perturbed, study)
    fold_of = assigned_folds(states.cells, perturbed, known=known, folds=config.folds)
    folds = dict(known) | fold_of
    require_two_folds(folds.values(), list(folds), "Record more targets in one file.")
    refuse_labels_of_truth(entry, study.config.screen)
    alone = all(one.path == entry.path for one in study.config.perturbed)
    n_labelled = require_labels(
        perturbed, states, study.config.cells, names=study.names, fold_of=folds, alone=alone
    )
    measured = {
        half: measure_effects(
            states.cells, states.is_goal_n, states.train_n, perturbed, config=config, genes=half
        )
        for half in ("all", "judge")
    }
    names = study.names.by_id
    tables = {
        f"effects_{half}": effects_with_folds(
            found.effects, perturbed, fold_of=fold_of, names=names, config=config
        )
        for half, found in measured.items()
    }
    whole = measured["all"]
    tables |= {name: getattr(whole, name) for name in ("contributions", "guides", "replicates")}
    arms = measure_arms(study, entry, perturbed)
    tables |= arms.tables
    recorded = RecordedCells(
        source=perturbed.cells.source,
        modality=entry.modality,
        **frozen(read),
        reading=perturbed.cells.notes,
        label_source=entry.label_source,
        n_labelled=n_labelled,
        state_score_auroc=whole.heldout_auroc,
        n_shared_genes=whole.n_shared_genes,
        n_state_genes=states.cells.n_genes,
        n_perturbed_genes=perturbed.cells.n_genes,
        **_textbook(study, perturbed),
        hit_rule=f"padj < {config.fdr:g}, |effect| ≥ {config.min_effect:g}, interval without 0; padj: are all guides inert",
        control_spread_logits=whole.spread,
        guide_spread=whole.guide_spread.source,
        replicate_variance=whole.replicate_variance,
        control_position=whole.control_position,
        arms=dict(arms.n_cells),
        arm_lines=arms.lines,
        contributions=_strongest(whole),
        same_file=Path(entry.path).resolve() in [Path(path).resolve() for path in study.config.cells.paths],
        hit_genes=dict(fold_of) if perturbed.compounds else {},
        cell_genes=of_usable_compounds(perturbed, fold_of),
        warnings=(
            *perturbed.cells.warnings,
            *([WARNINGS[entry.label_source]] if entry.label_source in WARNINGS else []),
            *compound_warnings(
                perturbed,
                fold_of,
                unmapped=read["targets_unmapped"],
                unknown=read["compound_genes_unknown"],
                names=names,
            ),
            *whole.warnings,
            *arms.warnings,
            *pair_lines(perturbed.targets, perturbed.target_ids),
        ),
    )
    return Measurement(recorded, tables, fold_of, perturbed.cells.n_genes)


def of_usable_compounds(perturbed: PerturbedCells, fold_of: Mapping[str, int]) -> tuple[str, ...]:
    """Genes that compounds hit whose targets are all in one fold, sorted; none without compounds."""
    unused = set(torn(perturbed.compounds.values(), fold_of))
    used = [one for name, one in perturbed.compounds.items() if name not in unused]
    return tuple(sorted({gene for one in used for gene in one.genes}))


def pair_lines(targets: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Say which targets are pairs of genes, and what can be done with them; empty without any.

    Parameters
    ----------
    targets
        Labels of the targets.
    known
        Those that are single genes.

    Examples
    --------
    >>> pair_lines(["CBL+CNN1", "CBL", "CNN1", "A+B"], ["CBL", "CNN1"])[0].partition(":")[0]
    "1 pair of genes ('CBL+CNN1') judges no ranking of single genes"
    """
    pairs = [name for name in targets if name not in known and _is_pair(name, known)]
    if not pairs:
        return ()
    one = len(pairs) == 1
    return (
        f"{len(pairs)} pair{'' if one else 's'} of genes ({some(pairs)}) judge{'s' if one else ''} no ranking of single genes: "
        "`perturbloop combine` predicts pairs, to be compared with the measured effects by hand.",
    )


def _is_pair(name: str, known: Collection[str]) -> bool:
    parts = _JOINS.split(name)
    return len(parts) == 2 and all(part in known for part in parts)


def _textbook(study: Study, perturbed: PerturbedCells) -> dict[str, Any]:
    """Genes that are known to act in these states, and which of them this file cannot be read by."""
    known, cells = study.textbook, study.states.cells
    if known is None:
        return {}
    shared = set(shared_genes(cells, perturbed.cells))
    id_of = dict(zip(cells.gene_names, cells.gene_ids, strict=True))
    absent = tuple(gene for gene in known.genes if id_of.get(gene) not in shared)
    return {"textbook": known.title, "textbook_genes": known.genes, "textbook_absent": absent}


def _require_common_genes(perturbed: PerturbedCells, study: Study) -> None:
    """All files train together, so what they share must be enough, not only what each shares with the states."""
    shared = set(shared_genes(study.states.cells, perturbed.cells))
    for other in study.config.perturbed:
        if other.path != perturbed.config.path:
            cells, _ = read_cells(other.path, names=study.names, gene_column=other.gene_column, reading=other)
            shared &= set(cells.gene_ids)
    if len(shared) < LEAST_SHARED:
        msg = (
            f"All files of a campaign must share at least {LEAST_SHARED} genes; with {perturbed.cells.source} they share "
            f"{len(shared)}. Record this file in a campaign of its own."
        )
        raise InputError(msg)


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
