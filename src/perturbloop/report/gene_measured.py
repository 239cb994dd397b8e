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
        f"{'a hit' if yes(row['hit']) else 'no hit'}."
        for row, source in zip(measured, by, strict=True)
    )


def measured_section(effects: pd.DataFrame, guides: pd.DataFrame, replicates: pd.DataFrame) -> Section | None:
    """Measured effects of a gene.

    Parameters
    ----------
    effects
        Its EFFECTS rows.
    guides
        Its GUIDES rows with `source`; empty where the recorded file's folder is gone.
    replicates
        Its REPLICATES rows with `source`.

    Returns
    -------
    `None` where it was not measured.
    """
    if effects.empty:
        return None
    grids = [_targets(effects[effects["level"].eq("gene")])]
    alone = effects[effects["level"].ne("gene")]
    grids += [_guides(alone, guides)] if len(alone) else []
    grids += [_replicates(replicates)] if len(replicates) else []
    said = "Effects are in standard deviations of control cells, or of a screen's genes; positive = toward the goal."
    return Section("measured", "Measured effects", (said,), tuple(grids))


def _targets(rows: pd.DataFrame) -> Grid:
    lines = tuple(
        (
            source,
            _effect(row),
            probability(row.padj),
            "hit" if yes(row.hit) else "no hit",
            number(row.n_cells, 0),
            number(row.n_guides, 0),
            number(row.n_replicates, 0),
            "taught the ranking" if row.fold < 0 else f"held out, fold {row.fold}",
        )
        for row, source in zip(rows.itertuples(), sources(rows), strict=True)
    )
    columns = ("measured by", "effect ± SE", "padj", "hit", "cells", "guides", "replicates", "use")
    return Grid("As a target", columns, lines, _WORDS | {"use"}, spare=("replicates", "guides", "cells"))


def _guides(alone: pd.DataFrame, guides: pd.DataFrame) -> Grid:
    """Each guide alone, and how well it works."""
    known = guides.drop_duplicates("guide_id").set_index("guide_id") if len(guides) else guides
    lines = []
    for row in alone.itertuples():
        more = known.loc[row.guide_id] if row.guide_id in known.index else {}
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
            )
        )
    heads = ("guide", "effect ± SE", "cells", "own RNA", "escape", "weight", "counts less because")
    return Grid(
        "By guide",
        heads,
        tuple(lines),
        _WORDS,
        spare=("escape", "cells", "weight"),
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
