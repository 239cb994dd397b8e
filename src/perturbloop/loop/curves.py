"""Learning curves of a campaign: how well held-out hits are found after k measured genes, and what of that is luck."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from perturbloop import progress
from perturbloop.data.splits import LEAST_TO_SPLIT
from perturbloop.design.panels import PANELS, PanelRule, require_panels
from perturbloop.errors import DesignError
from perturbloop.evaluate.curves import EVIDENCE, LEVELS, Point, curve_means, largest_panels, levels_of
from perturbloop.loop.curve_points import Ground
from perturbloop.loop.folder import CampaignFolder, working
from perturbloop.loop.inputs import inputs_of
from perturbloop.loop.recorded import Outcomes, read_outcomes, remeasure
from perturbloop.loop.steps import stamp_of
from perturbloop.perturb.workers import shared_by
from perturbloop.plots import learning_curves, png, svg
from perturbloop.report import compose, render
from perturbloop.schema import CURVES, METHODS, Kind, Level, Variant, concat
from perturbloop.store.files import read_table, whole, write_json, write_table, write_text

KS = (0, 5, 10, 20, 50)
"""Sizes of the panels."""
TRAINED_AT = (0, 20)
"""Sizes at which models are trained: the representation channel costs a training and an edit of every held-out gene each time."""
TRAINED_PANELS = ("random", "hit-enriched")
"""Panels whose cells train models, in their first draw."""


@dataclass(frozen=True)
class Curves:
    """Learning curves of a campaign, as they are kept in its folder."""

    folder: Path
    """Where table, figure and parts are."""
    table: pd.DataFrame
    """Table CURVES."""
    means: pd.DataFrame
    """Table CURVE_MEANS."""
    notes: tuple[str, ...]
    """What was left out, and why."""
    n_computed: int
    """Points computed now; the others were there."""

    @property
    def figure(self) -> Path:
        """The figure as a picture; beside it as SVG."""
        return self.folder / "curves.png"


def curves(
    folder: Path | str,
    *,
    ks: Sequence[int] = KS,
    panels: Sequence[str] = PANELS,
    seeds: int = 5,
    levels: Collection[str] | None = None,
    trained_at: Collection[int] = TRAINED_AT,
    **shared: Any,
) -> Curves:
    """Measure a campaign's learning curves on its frozen held-out half; points that are there are not computed again.

    Parameters
    ----------
    folder
        Campaign folder, with 30 recorded targets or more.
    ks
        Sizes of the panels, 0 or at least 2; a size beyond the training targets is left out, and a note says so.
    panels
        How panels are drawn from the training targets: `random`, `hit-enriched`, `coverage`.
    seeds
        Draws of each panel; panels of one draw are nested in k.
    levels
        Levels of the representation channel beside the frozen one; those of the campaign by default; none = evidence channel
        alone.
    trained_at
        Sizes at which models are trained, among `ks`.
    shared
        `workers`, `cluster` and `store` of `perturb.workers.shared_by`: who else makes the in-silico edits.

    Returns
    -------
    `Curves`, kept in `curves/` of the folder: `curves.parquet`, `curve_means.parquet`, figure, and a JSON file of what made
    them.

    Raises
    ------
    DesignError
        If nothing is held out for good, or the sizes and panels cannot be drawn.
    """
    folder, started = Path(folder), time.monotonic()
    require_panels(ks, panels, seeds)
    with shared_by(**shared, home=folder), working(folder) as campaign:
        chosen = levels_of(campaign.config.train.levels if levels is None else levels)
        inputs = inputs_of(campaign)
        remeasure(campaign, inputs)
        ground = Ground(campaign, inputs, _with_held_out(read_outcomes(campaign, inputs)))
        notes: list[str] = []
        points = [
            point
            for kind in _judged_kinds(ground, notes)
            for point in _points(ground, kind, ks, panels, seeds, chosen, trained_at, notes)
        ]
        parts, n_computed = _run(ground, points)
        table = concat(CURVES, parts)
        done = Curves(ground.folder, table, curve_means(table), tuple(notes), n_computed)
        stamp = stamp_of(campaign.config, inputs) | {
            "seed": campaign.config.evaluate.seed,
            "options": {
                "ks": list(ks),
                "panels": list(panels),
                "seeds": seeds,
                "levels": list(chosen),
                "trained_at": list(trained_at),
            },
            "key": ground.key,
            "held_out": sorted(ground.held_out),
            "panels": largest_panels(points),
            "notes": notes,
            "n_points": len(points),
            "n_computed": n_computed,
            "seconds": round(time.monotonic() - started, 1),
            "config": campaign.config.to_dict(),
        }
        _keep(done, stamp)
        _tell(campaign, ground.key)
    return done


def _points(
    ground: Ground,
    kind: Kind,
    ks: Sequence[int],
    panels: Sequence[str],
    seeds: int,
    levels: Sequence[Level],
    trained_at: Collection[int],
    notes: list[str],
) -> Iterator[Point]:
    """List every point of a kind; what cannot be had is left out with a note."""
    n_pool = len(ground.pool(kind))
    sizes = [k for k in sorted(set(ks)) if 0 < k <= n_pool]
    beyond = [k for k in sorted(set(ks)) if k > n_pool]
    if beyond:
        notes.append(
            f"{kind}: k = {', '.join(map(str, beyond))} left out: panels are drawn from {n_pool:,} training targets. Record "
            "more targets for larger panels."
        )
    trained = levels if kind in ground.outcomes.kinds_of_cells else ()
    if levels and not trained:
        notes.append(
            f"{kind}: no perturbed cells are recorded, so no model is trained; the evidence channel needs none."
        )
    asked = [k for k in sorted(set(trained_at)) if k > n_pool or (k and k not in sizes)]
    if trained and asked:
        notes.append(
            f"{kind}: no model is trained at k = {', '.join(map(str, asked))}, which is no size of a panel here. Name another "
            "with `--trained-at`."
        )
    if 0 in ks:
        yield Point(kind, LEVELS)
        if 0 in trained_at:
            yield from (Point(kind, name) for name in _arms(trained, "open"))
    for how in panels:
        if how == "hit-enriched" and not ground.hits(kind):
            notes.append(
                f"{kind}: hit-enriched panels left out: none of the {n_pool:,} training targets is a hit."
            )
            continue
        known: set[frozenset[str]] = set()
        for seed in range(seeds if sizes else 0):
            genes = ground.panel(kind, cast("PanelRule", how), sizes[-1], seed)
            new = [
                k for k in sizes if frozenset(genes[:k]) not in known
            ]  # a panel drawn twice tells nothing twice
            known |= {frozenset(genes[:k]) for k in new}
            yield from (Point(kind, EVIDENCE, how, seed, genes[:k]) for k in new)
            if seed == 0 and how in TRAINED_PANELS:
                for k in (k for k in sizes if k in trained_at):
                    yield from _trained(ground, kind, how, genes[:k], trained, notes)
        twice = [k for k in sizes if sum(len(genes) == k for genes in known) < seeds]
        if twice:
            notes.append(
                f"{kind}: of {seeds} {how} panels of k = {', '.join(map(str, twice))} some hold the same genes, drawn from "
                f"{n_pool:,} training targets; each counts once."
            )


def _trained(
    ground: Ground, kind: Kind, how: str, genes: tuple[str, ...], levels: Sequence[Level], notes: list[str]
) -> Iterator[Point]:
    """Closed loop and shuffled control of each level, where the panel has cells."""
    if levels and not ground.outcomes.with_cells.intersection(genes):
        notes.append(
            f"{kind}: no gene of the {how} panel of {len(genes)} has recorded cells, so it trains no model."
        )
        return
    yield from (Point(kind, name, how, 0, genes) for name in _arms(levels, "closed", "shuffled"))


def _arms(levels: Sequence[Level], *variants: Variant) -> list[str]:
    """Methods that train these levels on such cells."""
    return [entry.name for entry in METHODS if entry.level in levels and entry.variant in variants]


def _run(ground: Ground, points: Sequence[Point]) -> tuple[list[pd.DataFrame], int]:
    """Tables of all points, in their order, and how many were computed."""
    parts, n_computed = [], 0
    for done, point in enumerate(points):
        progress.tell("learning curves", done, len(points))
        path = ground.folder / "points" / f"{point.key(ground.key)}.parquet"
        if not path.is_file():
            try:
                write_table(path, ground.scored(point))
            except Exception as error:
                error.add_note(f"while measuring the learning curve of {point.title}, {point.method}")
                raise
            n_computed += 1
        parts.append(read_table(path))
    progress.tell("learning curves", len(points), len(points))
    return parts, n_computed


def _keep(done: Curves, stamp: dict[str, Any]) -> None:
    write_table(done.folder / "curves.parquet", done.table)
    write_table(done.folder / "curve_means.parquet", done.means)
    drawn = learning_curves(done.means)
    write_text(done.folder / "curves.svg", svg(drawn))
    with whole(done.figure) as beside:
        beside.write_bytes(png(drawn))
    write_json(done.folder / "curves.json", stamp)


def _tell(campaign: CampaignFolder, key: str) -> None:
    """Write the report again of the round that was judged by what the curves were measured on."""
    store = campaign.store
    evaluated = store.finished_step("evaluate", key=key)
    if evaluated is None:
        return
    page = campaign.round_folder(evaluated.round) / "report.html"
    written = [step for step in store.steps(evaluated.round) if step.name == "report" and step.finished]
    if page.is_file() and written:
        write_text(page, render(compose(page.parent)))
        store.finish_step(written[-1], outputs=written[-1].outputs)  # the page holds something else now


def _judged_kinds(ground: Ground, notes: list[str]) -> list[Kind]:
    """Kinds with held-out targets; of those without a hit among them a note says that nothing can be told."""
    kinds = []
    for kind in ground.kinds:
        truth = ground.truth(kind)
        if not truth.gene_ids.size or ground.pool(kind).empty:
            notes.append(f"{kind}: left out: no target of it is held out, or none may teach.")
            continue
        if not truth.toward_n.any():
            notes.append(
                f"{kind}: none of the {truth.gene_ids.size:,} held-out targets is a hit toward the goal, so no AUROC is defined."
            )
        kinds.append(kind)
    return kinds


def _with_held_out(outcomes: Outcomes | None) -> Outcomes:
    folds = outcomes.fold_of if outcomes is not None else {}
    if outcomes is None or -1 not in folds.values():
        came = f"{len(folds)} targets, left out in turn" if folds else "no measured target"
        msg = (
            f"Learning curves are judged on targets that are held out for good, which a campaign has whose first record brings "
            f"{LEAST_TO_SPLIT} targets or more; this one has {came}. Record more targets at once in a new campaign."
        )
        raise DesignError(msg)
    return outcomes
