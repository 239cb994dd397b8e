"""The report of a round from the round's folder alone: no cells, no model, none of today's options."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.facts import RoundFacts, Stimulus, read_facts
from perturbloop.report.layout import count, listed, number
from perturbloop.report.older import completed
from perturbloop.report.rounds import rounds_so_far
from perturbloop.schema import (
    CURVE_MEANS,
    EFFECTS,
    GUIDES,
    PATHWAYS,
    POSITIONS,
    POSTERIOR,
    PROPOSALS,
    REPLICATES,
    REVERSAL,
    TRIALS,
    EvaluateConfig,
    Recorded,
    RecordedCells,
    RecordedScreen,
    Table,
    failure,
    recorded_from,
)
from perturbloop.store.files import read_json, read_table

PLAY_AGAIN = "Delete it and run `perturbloop play`, which makes it anew."
FEW_HITS = 10
"""Hits below which no two methods can be told apart."""
STEPS = ("check", "train", "perturb", "evaluate", "propose")


def compose(folder: Path) -> RoundReport:
    """Collect what a round found, what it cost, and what it can and cannot show.

    Parameters
    ----------
    folder
        Folder of the round, `rounds/NNN` of a campaign.

    Raises
    ------
    StoreError
        If a file of the round is missing or damaged; the message says which, and what to do.
    """
    names = ("ranking", "metrics", "strata", "gains", "rank_correlations", "proposals")
    tables = {name: read_table(folder / f"{name}.parquet", todo=PLAY_AGAIN) for name in names}
    de, posterior = read_table(folder / "de.parquet", todo=PLAY_AGAIN), _posterior(folder)
    de_test = str(de["de_test"].iloc[0])
    facts = read_facts(folder, todo=PLAY_AGAIN)
    tables["ranking"] = completed(tables["ranking"], posterior, de, default=facts.default)
    tables["proposals"] = PROPOSALS.completed(tables["proposals"])
    effects, recorded = _measured(folder)
    curves, curve_notes = _curves(folder)
    config = facts.config.evaluate
    return RoundReport(
        title=folder.parents[1].name,
        round_number=int(folder.name),
        created=facts.created,
        version=facts.version,
        facts=_asked(facts) | {"differential expression": de_test},
        start=facts.config.cells.start,
        goal=facts.config.cells.goal,
        posterior=posterior,
        trials=_trials(folder),
        reversal=_of_arms(folder, REVERSAL),
        positions=_of_arms(folder, POSITIONS),
        rounds=rounds_so_far(folder, todo=PLAY_AGAIN),
        guides=_of_files(folder, recorded, GUIDES),
        replicates=_of_files(folder, recorded, REPLICATES),
        gate=facts.verdicts,
        heads={title: model["heldout_auroc"] for title, model in facts.models.items()},
        recorded=recorded,
        warnings=_warnings(facts, recorded, de_test),
        check_lines=facts.check_lines,
        model_lines=(*facts.model_lines, *_model_lines(facts)),
        effects=effects,
        effect_lines=_effect_lines(recorded, config),
        min_effect=config.min_effect,
        power_lines=_power_lines(facts),
        context_lines=_context_lines(recorded, effects, facts),
        pathways=_pathways(tables["ranking"], facts.stimulus),
        runtime_lines=_runtime_lines(folder),
        curves=curves,
        curve_notes=curve_notes,
        gene_sets=facts.gene_sets,
        collections=facts.collections,
        network_weights=facts.network_share,
        **tables,
    )


def gate_failure(folder: Path) -> str:
    """What failed at the control gate of a round, in one sentence; empty where nothing did."""
    return failure(read_facts(folder, todo=PLAY_AGAIN).verdicts)


def _measured(folder: Path) -> tuple[pd.DataFrame, tuple[Recorded, ...]]:
    """Table EFFECTS that a round was judged by, and what was read of each file; empty where nothing was measured."""
    path = folder / "recorded.json"
    if not path.is_file():
        return pd.DataFrame(columns=EFFECTS.names), ()
    recorded = tuple(map(recorded_from, read_json(path, todo=PLAY_AGAIN)))
    return read_table(folder / "effects.parquet", todo=PLAY_AGAIN), recorded


def _curves(folder: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Table CURVE_MEANS and notes; empty where no curves were measured, or what was recorded has changed since."""
    made, judged = folder.parents[1] / "curves" / "curves.json", folder / "evaluate.json"
    if made.is_file() and judged.is_file():
        todo = "Delete it, or run `perturbloop curves` again, which makes it anew."
        stamp = read_json(made, todo=todo)
        if stamp["key"] == read_json(judged, todo=PLAY_AGAIN)["key"]:
            return read_table(made.with_name("curve_means.parquet"), todo=todo), tuple(stamp["notes"])
    return pd.DataFrame(columns=CURVE_MEANS.names), ()


def _asked(facts: RoundFacts) -> dict[str, str]:
    config = facts.config
    return {
        "question": f"which genes move cells from '{config.cells.start}' to '{config.cells.goal}'",
        "cells": f"{facts.source} ({facts.data_digest})",
        "state column": config.cells.state_column,
        "donors": config.cells.donor_column or "none",
        "design": facts.design,
        "model": f"{Path(config.train.model).name} ({facts.model_digest})",
        "vocabulary": f"{facts.vocabulary} ({facts.vocabulary_digest})",
        "edits": f"{', '.join(config.perturb.kinds)}; at most {config.perturb.cells_per_gene} cells a gene",
        "call": config.evaluate.call,
        "seed": str(config.train.seed),
    }


def _posterior(folder: Path) -> pd.DataFrame:
    """Table POSTERIOR; empty in a round of an older version, which had none, or less of it."""
    path = folder / "posterior.parquet"
    table = read_table(path, todo=PLAY_AGAIN) if path.is_file() else pd.DataFrame()
    return POSTERIOR.completed(table)


def _trials(folder: Path) -> pd.DataFrame:
    """Table TRIALS; empty in a round of an older version, which had none."""
    path = folder / "trials.parquet"
    return read_table(path, todo=PLAY_AGAIN) if path.is_file() else pd.DataFrame(columns=TRIALS.names)


def _of_arms(folder: Path, table: Table) -> pd.DataFrame:
    """Table REVERSAL or POSITIONS; empty where no recorded file has cells of both states."""
    path = folder / f"{table.name}.parquet"
    return read_table(path, todo=PLAY_AGAIN) if path.is_file() else pd.DataFrame(columns=table.names)


def _of_files(folder: Path, recorded: Sequence[Recorded], table: Table) -> dict[str, pd.DataFrame]:
    """Table GUIDES or REPLICATES of each file of cells; their folder is named by all that decides them, so it never changes."""
    found = {}
    for one in _by_role(recorded)[0]:
        path = folder.parents[1] / one.folder / f"{table.name}.parquet"
        if one.folder and path.is_file():
            todo = "Delete it and run `perturbloop record` again, which makes it anew."
            found[one.source] = table.completed(read_table(path, todo=todo))
    return found


def _warnings(facts: RoundFacts, recorded: Sequence[Recorded], de_test: str) -> tuple[str, ...]:
    """What the states and the recorded files ask to know; the same sentence of several files once."""
    files: dict[str, list[str]] = {}
    for one in recorded:
        for line in one.warnings:
            files.setdefault(line, []).append(one.source)
    of_test = () if facts.pydeseq2 else (f"Differential expression is by {de_test}.",)
    return (*facts.warnings, *of_test, *(f"{listed(sources)}: {line}" for line, sources in files.items()))


def _model_lines(facts: RoundFacts) -> list[str]:
    lines = [
        f"{title}: held-out unperturbed cells told apart with AUROC {model['heldout_auroc']:.3f} "
        f"({model['n_train']:,} training cells)"
        for title, model in facts.models.items()
        if title in facts.full_rankings
    ]
    if any(model["heldout_auroc"] > 0.99 for model in facts.models.values()):
        lines.append(
            "Telling these states apart is easy (AUROC above 0.99), so a good classifier is no evidence of a good ranking."
        )
    return lines


def _effect_lines(recorded: Sequence[Recorded], config: EvaluateConfig) -> tuple[str, ...]:
    cells, screens = _by_role(recorded)
    lines = [line for one in screens for line in _screen_lines(one)]
    if not cells:
        return tuple(lines)
    lines += [
        f"Effects are in standard deviations of the control cells of the same replicate; a hit has padj < {config.fdr:g}, "
        f"|effect| of at least {config.min_effect:g}, and a 95 % interval (± 1.96 SE) that excludes 0. Each target's own gene is left "
        "out of its readout.",
        "padj asks whether all guides of a target are inert; the SE says how precisely its effect is known, and holds how far its "
        "guides disagree. So guides that work beside one that fails give a tiny padj and a wide SE.",
        "Rankings are judged by the half of the readout genes that did not label any training cell; the table below "
        "reads all of them.",
    ]
    for one in cells:
        lines.append(
            f"{one.source}: {one.n_cells:,} of {one.n_cells_read:,} cells kept, "
            f"{one.n_shared_genes:,} genes shared with the state cells; the state score tells held-out state cells "
            f"apart with AUROC {one.state_score_auroc:.3f}; spread of inert guides: {one.guide_spread}"
        )
        lines.append(
            f"{one.source}: training labels by {one.label_source}; {one.n_labelled:,} perturbed cells have one."
        )
        lines += [f"{one.source}: {line}." for line in one.arm_lines]
        for target, genes in one.contributions.items():
            parts = ", ".join(f"{gene} {share:+.2f}" for gene, share in genes.items())
            lines.append(f"{target}: the readout genes that contribute most to its effect are {parts}")
        if one.targets_dropped:
            few = ", ".join(f"{name} ({count})" for name, count in one.targets_dropped.items())
            lines.append(f"Targets with too few cells, left out: {few}")
        if one.targets_unmapped and not one.hit_genes:  # of compounds the warnings speak
            lines.append(f"Targets without an Ensembl id, left out: {', '.join(one.targets_unmapped)}")
    return tuple(lines)


def _by_role(recorded: Sequence[Recorded]) -> tuple[list[RecordedCells], list[RecordedScreen]]:
    """Files of perturbed cells, and screens."""
    return (
        [one for one in recorded if isinstance(one, RecordedCells)],
        [one for one in recorded if isinstance(one, RecordedScreen)],
    )


def _screen_lines(one: RecordedScreen) -> list[str]:
    unit = (
        f"{one.source}, {one.modality}: a high score stands for the {one.higher_is} state; its effects are in "
        "robust standard deviations (1.4826 MAD) of the scores of all its genes."
    )
    return [unit, *(f"{one.name}: {line}" for line in one.lines)]


def _power_lines(facts: RoundFacts) -> tuple[str, ...]:
    lines = []
    for entry in facts.judged:
        lines.append(f"{entry.modality}: {entry.sentence}")
        if 0 < entry.n_hits < FEW_HITS:
            lines.append(
                f"With {count(entry.n_hits, 'positive')} the scoreboard can rule out a ranking that is badly "
                "wrong; it cannot show that one method beats another. Read the intervals, not the order of the rows."
            )
    return tuple(lines)


def _context_lines(recorded: Sequence[Recorded], effects: pd.DataFrame, facts: RoundFacts) -> tuple[str, ...]:
    """Say where states and perturbed cells differ: a screen of another stimulus or cell type tests a transfer."""
    lines = []
    best = facts.stimulus
    if best is not None:
        lines.append(
            f"The {best.raised_in} state looks like {best.title}: {len(best.found)} of {best.n_measured} signature genes are "
            f"among the strongest of the states ({', '.join(best.found[:6])}, …)."
        )
    cells, screens = _by_role(recorded)
    for screen in screens:
        lines.append(
            f"Context transfer: the screen {screen.source} was made in cells of its own. What holds in one cell type, "
            f"stimulus or readout need not hold in the cells of {facts.source}."
        )
    for one in cells:
        if one.same_file:
            continue
        places = {f"{name} ": value for name, value in one.control_position.items()}
        if len(places) == 1:
            places = {"": next(iter(places.values()))}
        position = ", ".join(f"{name}{number(value)}" for name, value in places.items())
        lines.append(
            f"Context transfer: the states come from {facts.source}, the perturbed cells from {one.source}. They share "
            f"{one.n_shared_genes:,} of {one.n_state_genes:,} and {one.n_perturbed_genes:,} genes. On the "
            f"state axis (0 = start, 1 = goal) the control cells lie at {position}. What holds in one cell type or stimulus "
            "need not hold in the other."
        )
    if best is not None:
        lines += _other_stimulus(effects, best)
    return tuple(lines)


def _other_stimulus(effects: pd.DataFrame, best: Stimulus) -> list[str]:
    """Name the hits that belong to another stimulus than the one the states show."""
    from perturbloop.evaluate import CONTROLS  # heavy, and only for states that look like a stimulus

    rows = effects[effects["level"].eq("gene") & effects["hit"].astype(bool)]
    hits = list(rows.loc[rows["effect_to_goal"] > 0, "gene_name"])
    lines = []
    for other in CONTROLS:
        foreign = [gene for gene in hits if gene in other.pathway and gene not in best.pathway]
        if foreign:
            lines.append(
                f"Hits of the screen that belong to {other.title}, not to {best.title}, which these states look like: "
                f"{', '.join(foreign)}. Cells of these states need not know them; judge the ranking by the states' own pathway "
                "as well (below)."
            )
    return lines


def _pathways(ranking: pd.DataFrame, best: Stimulus | None) -> pd.DataFrame:
    if best is None:
        return pd.DataFrame(columns=PATHWAYS.names)
    from perturbloop.evaluate import in_ranking

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
