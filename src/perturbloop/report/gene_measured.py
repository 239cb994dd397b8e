"""What was measured of one gene: as a target, by guide and by replicate."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from perturbloop.report.layout import MISSING, Grid, Section, number, probability, text, yes
from perturbloop.schema import sources

NOT_YET = "Measured: not yet."
_WORDS = frozenset({"measured by", "hit", "guide", "source", "replicate", "counts less because"})


def measured_sentence(measured: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The measured effect of each modality or screen, in a sentence each; or that there is none.

    >>> measured_sentence([])
    ('Measured: not yet.',)
    """
    if not measured:
        return (NOT_YET,)
    by = sources(pd.DataFrame(measured))
    return tuple(
        f"Measured by {source}: {number(row['effect_to_goal'], sign=True)} ± {number(row['se'])}, padj {probability(row['padj'])}, "
        f"{called(row)}."
        for row, source in zip(measured, by, strict=True)
    )


def called(row: Mapping[str, Any]) -> str:
    """Whether a measured effect is a hit, and which way.

    >>> called({"hit": True, "effect_to_goal": -0.8})
    'a hit, away from the goal'
    """
    if not yes(row["hit"]):
        return "no hit"
    return f"a hit, {'toward the goal' if row['effect_to_goal'] > 0 else 'away from the goal'}"


def measured_section(
    effects: pd.DataFrame, guides: pd.DataFrame, replicates: pd.DataFrame, *, kept_apart: bool = False
) -> Section | None:
    """Measured effects of a gene.

    Parameters
    ----------
    effects
        Its EFFECTS rows.
    guides
        Its GUIDES rows with `source`; empty where the recorded file's folder is gone.
    replicates
        Its REPLICATES rows with `source`.
    kept_apart
        Whether the full ranking never reads its effects (`report.gene.kept_apart`).

    Returns
    -------
    `None` where it was not measured.
    """
    if effects.empty:
        return None
    grids = [_targets(effects[effects["level"].eq("gene")], kept_apart)]
    alone = effects[effects["level"].ne("gene")]
    grids += [_guides(alone, guides)] if len(alone) else []
    grids += [_replicates(replicates)] if len(replicates) else []
    said = "Effects are in standard deviations of control cells, or of a screen's genes; positive = toward the goal."
    return Section("measured", "Measured effects", (said,), tuple(grids))


def _targets(rows: pd.DataFrame, kept_apart: bool) -> Grid:
    lines = tuple(
        (
            source,
            _effect(row),
            probability(row.padj),
            "hit" if yes(row.hit) else "no hit",
            number(row.n_cells, 0),
            number(row.n_guides, 0),
            number(row.n_replicates, 0),
            _use(int(row.fold), kept_apart),
        )
        for row, source in zip(rows.itertuples(), sources(rows), strict=True)
    )
    columns = ("measured by", "effect ± SE", "padj", "hit", "cells", "guides", "replicates", "use")
    return Grid("As a target", columns, lines, _WORDS | {"use"}, spare=("replicates", "guides", "cells"))


def _use(fold: int, kept_apart: bool) -> str:
    """What a gene's effects are used for.

    >>> _use(-1, False), _use(0, True), _use(3, False)
    ('taught the ranking', 'held out', 'taught the ranking; judges without it in fold 3')
    """
    if kept_apart:
        return "held out"
    return "taught the ranking" + (f"; judges without it in fold {fold}" if fold >= 0 else "")


def _guides(alone: pd.DataFrame, guides: pd.DataFrame) -> Grid:
    """Each guide alone, and how well it works; two files may name a guide alike, so that its cells tell which one is meant."""
    known = {(row["guide_id"], row["n_cells"]): row for row in guides.to_dict("records")}
    lines = []
    for row in alone.itertuples():
        more = known.get((row.guide_id, row.n_cells), {})
        rna, error = more.get("ratio"), more.get("ratio_se")
        lines.append(
            (
                text(row.guide_id),
                _effect(row),
                number(row.n_cells, 0),
                f"{number(rna)} ± {number(error)}" if number(rna) != MISSING else MISSING,
                number(more.get("escape")),
                number(more.get("weight"), 1),
                text(more.get("reason")),
                text(more.get("source")),
            )
        )
    heads = ("guide", "effect ± SE", "cells", "own RNA", "escape", "weight", "counts less because", "source")
    return Grid(
        "By guide",
        heads,
        tuple(lines),
        _WORDS,
        spare=("escape", "cells", "weight", "source"),
        meanings={
            "own RNA": "of the target, as a multiple of the controls'; 0.2 = a fifth is left",
            "escape": "share of cells that look like control cells",
            "weight": "how much it counts in the target's effect: 1 = in full",
        },
    )


def _replicates(rows: pd.DataFrame) -> Grid:
    lines = tuple(
        (text(row.replicate), _effect(row), number(row.n_cells, 0), text(row.source))
        for row in rows.itertuples()
    )
    return Grid(
        "By replicate", ("replicate", "effect ± SE", "cells", "source"), lines, _WORDS, spare=("source",)
    )


def _effect(row: Any) -> str:
    return f"{number(row.effect_to_goal, sign=True)} ± {number(row.se)}"
