"""What was measured, and what was spent on it."""

from typing import Any

import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import (
    MISSING,
    Grid,
    Picture,
    Section,
    count,
    drawn,
    number,
    probability,
    text,
    yes,
)
from perturbloop.report.scoreboard import NOTHING_MEASURED
from perturbloop.schema import sources

MOST = 100
"""Targets of one modality that are listed; of more, the ends."""
STRONGEST = 10
"""Hits that are listed before the details."""
_EFFECTS = (
    "target",
    "gene",
    "effect to goal",
    "SE",
    "padj",
    "hit",
    "cells",
    "guides",
    "replicates",
    "own gene left out",
    "use",
)
_WORDS = frozenset(
    {"target", "gene", "hit", "own gene left out", "use", "kind", "action", "reason", "modality", "status"}
)


def effect_section(report: RoundReport) -> Section:
    """How many targets were measured and hit, the strongest effects, and the figure of all."""
    title = "Measured effects"
    if report.effects.empty:
        return Section("effects", title, (NOTHING_MEASURED,))
    targets = _targets(report.effects)
    strongest = targets.sort_values("effect_to_goal", key=lambda effect: -effect.abs(), kind="stable")
    hits = strongest[strongest["hit"].map(yes).astype(bool)].head(STRONGEST)
    columns = ("gene", "modality", "effect ± SE", "padj", "hit", "cells")
    lines = tuple(
        (
            _gene(row),
            text(row.modality),
            _effect(row),
            probability(row.padj),
            _hit(row),
            number(row.n_cells, 0),
        )
        for row in hits.itertuples()
    )
    shown = Grid(
        f"{count(len(lines), 'strongest hit')}",
        columns,
        lines,
        _WORDS,
        gene_ids=tuple(hits["gene_id"].fillna("").astype(str)),
        spare=("cells", "modality", "padj"),
        meanings={
            "effect ± SE": "in standard deviations of control cells, or of a screen's genes; positive = toward the goal; the error "
            "holds how far guides disagree",
            "padj": "of the test whether all guides are inert, which is another question than how precisely the effect is known",
        },
    )
    return Section(
        "effects",
        title,
        measured_lines(report),
        (shown,) if lines else (),
        (
            Picture(
                "Effect of each target ± its standard error. Filled: hits, blue toward the goal, orange away from it; open: "
                "not told apart from inert guides; small bars: single guides.",
                drawn("measured_effects", report.effects, min_effect=report.min_effect),
            ),
        ),
    )


def measured_lines(report: RoundReport) -> tuple[str, ...]:
    """One sentence per modality and source: targets, hits toward the goal and away from it."""
    targets, lines = _targets(report.effects), []
    for source, rows in targets.groupby(sources(targets), sort=False):
        hit = rows["hit"].map(yes).astype(bool)
        toward = int((hit & rows["effect_to_goal"].gt(0)).sum())
        away = int(hit.sum()) - toward
        hits = (
            f"{count(toward, 'hit')} toward the goal and {away} away from it" if toward + away else "no hit"
        )
        lines.append(f"{source}: {count(len(rows), 'target')} measured, {hits}.")
    return tuple(lines)


def full_effect_section(report: RoundReport) -> Section:
    """Every measured target with its error, and how it was measured."""
    title = "Every measured effect"
    if report.effects.empty:
        return Section("all-effects", title, (NOTHING_MEASURED, *report.effect_lines))
    targets = _targets(report.effects)
    return Section(
        "all-effects",
        title,
        (
            "Effect to goal: how far the perturbation, as it was done, moved cells along the state score, in standard "
            "deviations of control cells, or the score of a screen in the spread of its genes; positive = toward the goal.",
            *report.effect_lines,
        ),
        (
            *(_grid(rows, str(name)) for name, rows in targets.groupby(sources(targets), sort=False)),
            *_compounds(report.effects),
        ),
        (),
        (
            "Own gene left out: the target's own transcript was among the readout genes and was taken out of its score. "
            "Held-out targets judge the methods; those of use `training` never do.",
        ),
    )


def spent_section(report: RoundReport) -> Section:
    """Genes used in training, with what was measured: they are not in the ranking."""
    title = "Spent genes"
    ranking, targets = report.ranking, _targets(report.effects)
    spent = set(ranking.loc[ranking["status"] == "spent", "gene_id"]) | set(
        targets.loc[targets["fold"] == -1, "gene_id"].dropna()
    )
    if not spent:
        return Section("spent", title, ("None: no gene was used in training.",))
    measured = targets[targets["gene_id"].isin(list(spent))]
    listed = (
        f" Of {count(len(measured), 'measurement')} the {MOST} at both ends are listed."
        if len(measured) > MOST
        else ""
    )
    shown = measured if not listed else pd.concat([measured.head(MOST // 2), measured.tail(MOST // 2)])
    rows = [
        (_gene(row), text(row.modality), _effect(row), _hit(row), _use(row)) for row in shown.itertuples()
    ]
    names = ranking.drop_duplicates("gene_id").set_index("gene_id")["gene_name"]
    rows += [
        (text(names.get(gene_id), str(gene_id)), MISSING, "not in the table of effects", MISSING, "training")
        for gene_id in sorted(spent - set(measured["gene_id"]))
    ]
    said = (
        "These genes were measured and went into training or propagation. Scoring them would show memory, not prediction, "
        "so they stand here with what was measured instead of in the ranking. A held-out gene may be spent in the full "
        "ranking: it was judged by a ranking that had not seen it."
    )
    columns = ("gene", "modality", "effect to goal ± SE", "hit", "use")
    return Section("spent", title, (said + listed,), (Grid("Spent genes", columns, tuple(rows), _WORDS),))


def _targets(effects: pd.DataFrame) -> pd.DataFrame:
    rows = effects[effects["level"] == "gene"]
    return rows.sort_values("effect_to_goal", ascending=False, kind="stable")


def _compounds(effects: pd.DataFrame) -> tuple[Grid, ...]:
    """Compounds of drug screens, as they were measured; what they say of genes stands above."""
    rows = effects[effects["level"] == "compound"]
    rows = rows.sort_values("effect_to_goal", ascending=False, kind="stable")
    return (_grid(rows, "drug", of="compound"),) if len(rows) else ()


def _grid(rows: pd.DataFrame, modality: str, *, of: str = "target") -> Grid:
    n_hits = sum(map(yes, rows["hit"]))
    title = f"{modality}: {count(len(rows), of)}, {count(n_hits, 'hit')}"
    if len(rows) > MOST:
        title += f" (the {MOST} at both ends)"
        rows = pd.concat([rows.head(MOST // 2), rows.tail(MOST // 2)])
    lines = tuple(
        (
            text(row.target),
            _gene(row),
            number(row.effect_to_goal, sign=True),
            number(row.se),
            probability(row.padj),
            _hit(row),
            number(row.n_cells, 0),
            number(row.n_guides, 0),
            number(row.n_replicates, 0),
            "yes" if yes(row.own_gene_in_readout) else "not in the readout",
            _use(row),
        )
        for row in rows.itertuples()
    )
    return Grid(title, _EFFECTS, lines, _WORDS, frozenset(i for i, hit in enumerate(rows["hit"]) if yes(hit)))


def _gene(row: Any) -> str:
    return text(row.gene_name, text(row.gene_id))


def _effect(row: Any) -> str:
    return f"{number(row.effect_to_goal, sign=True)} ± {number(row.se)}"


def _hit(row: Any) -> str:
    if not yes(row.hit):
        return "no"
    return "toward" if row.effect_to_goal > 0 else "away"


def _use(row: Any) -> str:
    fold = row.fold
    if fold == -2:
        return "neither"
    return "training" if fold == -1 else f"held out, fold {fold}"
