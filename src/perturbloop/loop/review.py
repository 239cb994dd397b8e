"""What a round's report says, drawn from its tables."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop import __version__
from perturbloop.evaluate import CONTROLS, Verdict, failure, in_ranking, power, recognize
from perturbloop.evaluate.controls import Recognized
from perturbloop.evaluate.gate import LOW_AUROC
from perturbloop.loop.curve_report import curves_of_round
from perturbloop.loop.folder import PLAY_AGAIN, Campaign, read_of_round
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.outcomes import Outcomes, of_round
from perturbloop.loop.steps import STEPS
from perturbloop.models.geneformer import CARD_FILE
from perturbloop.report import PATHWAYS, RoundReport
from perturbloop.schema import EFFECTS, CampaignConfig, EvaluateConfig
from perturbloop.store.files import own, read_json

Models = Mapping[str, Mapping[str, float]]
"""Title of a state model -> `heldout_auroc`, `n_train`."""


def review(campaign: Campaign, inputs: Inputs, number: int) -> RoundReport:
    """Collect what a round found, what it cost, and what it can and cannot show; all is read from its folder."""
    folder = campaign.round_folder(number)
    tables = {
        name: read_of_round(folder, name)
        for name in ("ranking", "metrics", "strata", "gains", "rank_correlations", "proposals")
    }
    scores = read_json(folder / "scores.json", todo=PLAY_AGAIN)
    models, verdicts = scores["models"], tuple(Verdict(**entry) for entry in scores.get("gate", ()))
    de = read_of_round(folder, "de")
    found = recognize(de, inputs.cells.gene_names)
    config, outcomes = campaign.config, of_round(folder)
    curves, curve_notes = curves_of_round(campaign, folder)
    return RoundReport(
        title=campaign.folder.name,
        round_number=number,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        facts=_facts(config, inputs) | {"differential expression": str(de["de_test"].iloc[0])},
        warnings=(
            *_gate_warnings(verdicts, outcomes),
            *_warnings(models, inputs, outcomes, found, str(de["de_test"].iloc[0])),
        ),
        check_lines=tuple(inputs.lines()),
        model_lines=(
            *_model_lines(models, Path(config.train.model) / CARD_FILE),
            *(verdict.sentence for verdict in verdicts if verdict.passed),
        ),
        effects=outcomes.effects if outcomes else pd.DataFrame(columns=EFFECTS.names),
        effect_lines=_effect_lines(outcomes, config.evaluate),
        min_effect=config.evaluate.min_effect,
        power_lines=_power_lines(outcomes, config.evaluate),
        context_lines=_context_lines(outcomes, found, inputs.cells.source),
        pathways=_pathways(tables["ranking"], found),
        runtime_lines=_runtime_lines(folder),
        curves=curves,
        curve_notes=curve_notes,
        gene_sets=inputs.annotations.gene_sets.lines()[0] if inputs.annotations.gene_sets else "",
        **tables,
    )


def _facts(config: CampaignConfig, inputs: Inputs) -> dict[str, str]:
    return {
        "question": f"which genes move cells from '{config.cells.start}' to '{config.cells.goal}'",
        "cells": f"{inputs.cells.source} ({inputs.cells.digest})",
        "state column": config.cells.state_column,
        "donors": config.cells.donor_column or "none",
        "design": inputs.states.design,
        "model": f"{Path(config.train.model).name} ({inputs.model.digest})",
        "vocabulary": f"{inputs.model.vocabulary.version} ({inputs.model.vocabulary.digest})",
        "edits": f"{', '.join(config.perturb.kinds)}; at most {config.perturb.cells_per_gene} cells a gene",
        "call": config.evaluate.call,
        "seed": str(config.train.seed),
    }


def gate_failure(folder: Path) -> str:
    """What failed at the control gate of a round, in one sentence; empty where nothing did."""
    path = folder / "scores.json"
    scores = read_json(path, todo=PLAY_AGAIN) if path.is_file() else {}
    return failure(Verdict(**entry) for entry in scores.get("gate", ()))


def _gate_warnings(verdicts: tuple[Verdict, ...], outcomes: Outcomes | None) -> list[str]:
    """What failed comes first, then what could not be judged."""
    failed = failure(verdicts)
    if failed and outcomes is not None:
        failed += " The default ranking therefore leaves the in-silico score out (`posterior-alone`)."
    unjudged = " ".join(verdict.sentence for verdict in verdicts if verdict.passed is None)
    return [line for line in (failed, unjudged) if line]


def _warnings(
    models: Models,
    inputs: Inputs,
    outcomes: Outcomes | None,
    found: tuple[Recognized, ...],
    de_test: str,
) -> tuple[str, ...]:
    warnings = list(inputs.states.warnings)
    warnings += [
        f"{title}: the state head tells held-out cells apart with an AUROC of {model['heldout_auroc']:.2f} only; below "
        f"{LOW_AUROC} its ranking should not be acted on."
        for title, model in models.items()
        if model["heldout_auroc"] < LOW_AUROC and title != "frozen"  # the gate speaks of the frozen head
    ]
    if "not installed" in de_test:
        warnings.append(f"Differential expression is by {de_test}.")
    for report in outcomes.reports if outcomes else ():
        warnings += [f"{report['source']}: {line}" for line in report["warnings"]]
    return tuple(warnings)


def _model_lines(models: Models, card: Path) -> tuple[str, ...]:
    lines = []
    if card.is_file():
        with own(card, todo="Copy the folder of the model again."):
            about = dict(json.loads(card.read_text(encoding="utf-8")))
            lines += [str(about["what"])] if "what" in about else []
            lines += [str(line) for line in about.get("lines", [])]
    lines += [
        f"{title}: held-out unperturbed cells told apart with AUROC {model['heldout_auroc']:.3f} "
        f"({model['n_train']:,} training cells)"
        for title, model in models.items()
        if "fold" not in title
    ]
    if any(model["heldout_auroc"] > 0.99 for model in models.values()):
        lines.append(
            "Telling these states apart is easy (AUROC above 0.99), so a good classifier is no evidence of a good ranking."
        )
    return tuple(lines)


def _effect_lines(outcomes: Outcomes | None, config: EvaluateConfig) -> tuple[str, ...]:
    if outcomes is None:
        return ()
    cells, screens = _by_role(outcomes)
    lines = [line for report in screens for line in _screen_lines(report)]
    if not cells:
        return tuple(lines)
    lines += [
        f"Effects are in standard deviations of the control cells of the same replicate; a hit has padj < {config.fdr:g} "
        f"and |effect| of at least {config.min_effect:g}. Each target's own gene is left out of its readout.",
        "Rankings are judged by the half of the readout genes that did not label any training cell; the table below "
        "reads all of them.",
    ]
    for report in cells:
        lines.append(
            f"{report['source']}: {report['n_cells']:,} of {report['n_cells_read']:,} cells kept, "
            f"{report['n_shared_genes']:,} genes shared with the state cells; the state score tells held-out state cells "
            f"apart with AUROC {report['state_score_auroc']:.3f}; spread of inert guides: {report['guide_spread']}"
        )
        if "label_source" in report:
            lines.append(
                f"{report['source']}: training labels by {report['label_source']}; {report['n_labelled']:,} perturbed cells "
                "have one."
            )
        for target, genes in report.get("contributions", {}).items():
            parts = ", ".join(f"{gene} {share:+.2f}" for gene, share in genes.items())
            lines.append(f"{target}: the readout genes that contribute most to its effect are {parts}")
        if report["targets_dropped"]:
            few = ", ".join(f"{name} ({count})" for name, count in report["targets_dropped"].items())
            lines.append(f"Targets with too few cells, left out: {few}")
        if report["targets_unmapped"] and "hit_genes" not in report:  # of compounds the warnings speak
            lines.append(f"Targets without an Ensembl id, left out: {', '.join(report['targets_unmapped'])}")
    return tuple(lines)


def _by_role(outcomes: Outcomes | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Reports of perturbed cells, and of screens."""
    reports = outcomes.reports if outcomes else ()
    is_screen = [report.get("role") == "screen" for report in reports]
    return (
        [report for report, screen in zip(reports, is_screen, strict=True) if not screen],
        [report for report, screen in zip(reports, is_screen, strict=True) if screen],
    )


def _screen_lines(report: dict[str, Any]) -> list[str]:
    unit = (
        f"{report['source']}, {report['modality']}: a high score stands for the {report['higher_is']} state; its effects are in "
        "robust standard deviations (1.4826 MAD) of the scores of all its genes."
    )
    return [unit, *(f"{report['name']}: {line}" for line in report["lines"])]


def _power_lines(outcomes: Outcomes | None, config: EvaluateConfig) -> tuple[str, ...]:
    if outcomes is None:
        return ()
    rows = outcomes.judged[outcomes.judged["level"].eq("gene") & outcomes.judged["fold"].ge(0)]
    lines = []
    for modality, group in rows.groupby("modality"):
        n_hits = int((group["hit"].astype(bool) & group["effect_to_goal"].gt(0)).sum())
        says = power(n_hits, len(group), rng=np.random.default_rng(config.seed)).sentence
        lines.append(f"{modality}: {says}")
        if 0 < n_hits < 10:
            lines.append(
                f"With {n_hits} positives the scoreboard can rule out a ranking that is badly wrong; it cannot show that "
                "one method beats another. Read the intervals, not the order of the rows."
            )
    return tuple(lines)


def _context_lines(outcomes: Outcomes | None, found: tuple[Recognized, ...], source: str) -> tuple[str, ...]:
    """Say where states and perturbed cells differ: a screen of another stimulus or cell type tests a transfer."""
    lines = []
    if found:
        best = found[0]
        state = "start" if best.raised_in == "start" else "goal"
        lines.append(
            f"The {state} state looks like {best.control.title}: {len(best.found)} of {best.n_measured} signature genes are "
            f"among the strongest of the states ({', '.join(best.found[:6])}, …)."
        )
    cells, screens = _by_role(outcomes)
    for report in screens:
        lines.append(
            f"Context transfer: the screen {report['source']} was made in cells of its own. What holds in one cell type, "
            f"stimulus or readout need not hold in the cells of {source}."
        )
    for report in cells:
        if report["same_file"]:
            continue
        position = ", ".join(f"{name} {value:.2f}" for name, value in report["control_position"].items())
        lines.append(
            f"Context transfer: the states come from {source}, the perturbed cells from {report['source']}. They share "
            f"{report['n_shared_genes']:,} of {report['n_state_genes']:,} and {report['n_perturbed_genes']:,} genes. On the "
            f"state axis (0 = start, 1 = goal) the control cells lie at {position}. What holds in one cell type or stimulus "
            "need not hold in the other."
        )
    if outcomes is not None and found:
        lines += _other_stimulus(outcomes, found[0])
    return tuple(lines)


def _other_stimulus(outcomes: Outcomes, best: Recognized) -> list[str]:
    """Name the hits that belong to another stimulus than the one the states show."""
    rows = outcomes.effects[outcomes.effects["level"].eq("gene") & outcomes.effects["hit"].astype(bool)]
    hits = list(rows.loc[rows["effect_to_goal"] > 0, "gene_name"])
    lines = []
    for other in CONTROLS:
        foreign = [gene for gene in hits if gene in other.pathway and gene not in best.control.pathway]
        if foreign:
            lines.append(
                f"Hits of the screen that belong to {other.title}, not to {best.control.title}, which these states look like: "
                f"{', '.join(foreign)}. Cells of these states need not know them; judge the ranking by the states' own pathway "
                "as well (below)."
            )
    return lines


def _pathways(ranking: pd.DataFrame, found: tuple[Recognized, ...]) -> pd.DataFrame:
    if not found:
        return pd.DataFrame(columns=PATHWAYS.names)
    best = found[0].control
    groups = {
        best.title: best.pathway,
        "not of these states": tuple(gene for gene in best.other if gene not in best.pathway),
    }
    parts = [
        in_ranking(ranking, genes).rename(columns={"of": "n_ranked"}).assign(pathway=title)
        for title, genes in groups.items()
    ]
    return pd.concat(parts, ignore_index=True)[PATHWAYS.names]


def _runtime_lines(folder: Path) -> tuple[str, ...]:
    lines = []
    for name in STEPS:
        path = folder / f"{name}.json"
        if path.is_file():
            tree = read_json(path, todo=PLAY_AGAIN)
            edits = f"; {tree['n_edits']:,} edited cells, encoded or read back" if name == "perturb" else ""
            lines.append(f"{name}: {tree['seconds']:,.0f} s{edits}")
    return tuple(lines)
