"""A recorded screen: read, its genes turned into effects and placed in folds."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.compounds import Compound, folds_of_genes, torn
from perturbloop.data.screens import read_screen, report_lines
from perturbloop.data.splits import assign_folds
from perturbloop.data.states import StateCells
from perturbloop.errors import InputError, some
from perturbloop.evidence.labels import refuse_labels_of_truth
from perturbloop.evidence.measurement import Measurement, Study, require_two_folds
from perturbloop.evidence.screen_effects import ScreenEffects, effects_of_screen
from perturbloop.schema import RecordedScreen, ScreenConfig, frozen


def measure_screen(study: Study, entry: ScreenConfig, *, known: Mapping[str, int]) -> Measurement:
    """Turn a screen into an effect of every gene, but of those that the cells measure and do not express; nothing is written.

    Parameters
    ----------
    study, entry, known
        As `measure_cells` has them.

    Raises
    ------
    LeakageError
        If recorded cells train by labels from this very screen.
    """
    for cells in study.config.perturbed:
        refuse_labels_of_truth(cells, [entry])
    seen, least = detection(study.states), entry.min_detection
    screen, read = read_screen(entry, names=study.names)
    made = effects_of_screen(screen, seen, min_detection=least)
    folds = study.config.evaluate.folds
    fold_of, unused = _folds_of_screen(made, read, known=known, folds=folds)
    if unused:
        screen, read = read_screen(entry, names=study.names, left_out=unused)
        made = effects_of_screen(screen, seen, min_detection=least)
        read["warnings"].append(
            f"{'Compounds' if entry.targets else 'Rows of several genes'} whose {'targets' if entry.targets else 'genes'} are held out "
            f"in different folds say nothing of a gene: {some(unused)}."
        )
    require_two_folds(
        [*known.values(), *fold_of.values()],
        list(made.effects["gene_name"]),
        "Record a screen of more genes.",
    )
    halves = {"effects_all": made.effects, "effects_judge": made.judged}
    tables = {"screen": screen} | {
        name: rows.assign(fold=rows["gene_id"].map(fold_of).astype(int)) for name, rows in halves.items()
    }
    lines = report_lines(read)
    for told in ("compounds", "families", "notes"):
        del read[told]
    recorded = _recorded_screen(made, entry, fold_of, read)
    recorded = replace(recorded, lines=(*lines, *_screen_lines(recorded, entry)))
    return Measurement(recorded, tables, fold_of, len(screen))


def _folds_of_screen(
    made: ScreenEffects, read: Mapping[str, Any], *, known: Mapping[str, int], folds: int
) -> tuple[dict[str, int], list[str]]:
    """Fold of each gene, and compounds or families between folds. Genes with one score share a fold: one would tell the other's."""
    genes = made.effects["gene_id"].tolist()
    compounds = read["compounds"]
    if not compounds:
        return _folds_with_families(made, _sharing(read["families"], genes), known=known, folds=folds)
    used = _sharing(compounds, genes)
    fold_of = folds_of_genes(used, known=known, folds=folds)
    unused = torn(used, fold_of)
    if len(unused) == len(used):
        msg = (
            "A drug screen needs compounds whose targets are held out, or used, together; what was recorded before parts the "
            f"targets of all {len(unused)}: {some(unused)}. Record it in a campaign of its own."
        )
        raise InputError(msg)
    return fold_of, unused


def _sharing(names: Mapping[str, Collection[str]], genes: Collection[str]) -> list[Compound]:
    """What gives one score to several genes, by its name; what gives none to these is left out."""
    linked = [Compound(name, inhibits=frozenset(hit) & frozenset(genes)) for name, hit in names.items()]
    return [one for one in linked if one.genes]


def _folds_with_families(
    made: ScreenEffects, families: Collection[Compound], *, known: Mapping[str, int], folds: int
) -> tuple[dict[str, int], list[str]]:
    """Fold of each gene by its own id; the genes of a family have that of one measured before, else of the first."""
    fold_of = assign_folds(made.judged["gene_id"], known=known, folds=folds, outside=made.outside)
    given = {gene: known[gene] for one in families for gene in one.genes & known.keys()}
    given |= {min(one.genes): fold_of[min(one.genes)] for one in families if not one.genes & known.keys()}
    fold_of |= folds_of_genes(families, known=given, folds=folds)
    return fold_of, torn(families, fold_of)


def detection(states: StateCells) -> pd.Series:
    """Share of cells that express each gene, the larger of both states; index = Ensembl id."""
    goal_n = states.is_goal_n
    shares = [states.cells.select(state_n).detection() for state_n in (goal_n, ~goal_n)]
    return pd.Series(np.maximum(*shares), index=states.cells.gene_ids)


def _recorded_screen(
    made: ScreenEffects, entry: ScreenConfig, fold_of: Mapping[str, int], read: Mapping[str, Any]
) -> RecordedScreen:
    effects, outside = made.judged, made.effects[made.effects["gene_id"].isin(made.outside)]
    hits = effects[effects["hit"].astype(bool)]
    return RecordedScreen(
        name=entry.name,
        modality=entry.modality,
        source=f"{entry.name} ({Path(entry.path).name})",
        higher_is=entry.higher_is,
        **frozen(read),
        spread=made.spread,
        n_effects=len(effects),
        n_not_measured=len(outside),
        hits_not_measured=tuple(outside.loc[outside["hit"].astype(bool), "gene_name"]),
        n_not_expressed=made.n_not_expressed,
        hits_excluded=made.hits_excluded,
        n_hits_kept=len(hits),
        n_hits_held_out=int((hits["gene_id"].map(fold_of) >= 0).sum()),
        n_held_out=sum(fold_of[gene] >= 0 for gene in effects["gene_id"]),
    )


def _screen_lines(recorded: RecordedScreen, entry: ScreenConfig) -> list[str]:
    lines = [
        f"{recorded.n_effects:,} of its genes can be judged, {recorded.n_held_out:,} of them held out, with "
        f"{recorded.n_hits_held_out:,} of {recorded.n_hits_kept:,} hits; an effect of 1 is {recorded.spread:.3g} of the file"
    ]
    if recorded.n_not_measured:
        lines.append(
            f"{recorded.n_not_measured:,} more, which the cells do not measure, teach the ranking and cannot be ranked or judged"
            f"{_with_hits(recorded.hits_not_measured)}"
        )
    if recorded.n_not_expressed:
        lines.append(
            f"excluded: {recorded.n_not_expressed:,} genes seen in under {100 * entry.min_detection:g} % of the cells"
            f"{_with_hits(recorded.hits_excluded)}"
        )
    return lines


def _with_hits(names: Collection[str]) -> str:
    return f", with {len(names):,} hit{'' if len(names) == 1 else 's'}: {some(names)}" if names else ""
