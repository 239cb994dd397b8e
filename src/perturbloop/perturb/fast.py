"""The fast engine: screen every edit of every cell, then encode exactly those that decide.

What is wanted is stated (`top` genes, or a `width` of every interval); the engine spends what it takes and says what
it spent. A random subset of edits, drawn by seed, tells how far the screen may be trusted; then the genes that may still
belong to the best are verified in more and more of their cells until it is decided. Each round is a plan of its own,
written before it runs, so that a killed run goes on with the same choices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.tokens import Tokens
from perturbloop.perturb.collect import OnEdits, run_plan
from perturbloop.perturb.cost import RANDOM_SHARE
from perturbloop.perturb.engine import OnRows
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.plan import COLUMNS, Plan
from perturbloop.perturb.screen import READINGS, screen
from perturbloop.perturb.shards import score_shards, shard_path
from perturbloop.schema import ESTIMATES, SHIFTS, PerturbConfig
from perturbloop.stats.control_variate import STRATA, corrected_means
from perturbloop.stats.streams import stream
from perturbloop.store.files import own, read_table, write_table

LEAST_RANDOM_GENES = 6
"""Fewest genes of a stratum that are verified at random, in two cells each."""
FIRST_CELLS = 2
SCREENED_CELLS = 8
"""Cells of a shard of the screen."""


@dataclass(frozen=True)
class FastShifts:
    """What the fast engine found, and what it spent."""

    shifts: pd.DataFrame
    """Table `SHIFTS`: exact where verified, else the screen plus its gene's correction."""
    estimates: pd.DataFrame
    """Table `ESTIMATES`, one row per gene and kind."""
    n_edits: int
    """Edits in all."""
    n_screened: int
    """Cells screened, once per kind."""
    n_verified: int
    """Edits that were encoded exactly."""

    def line(self) -> str:
        """Say it in words."""
        return (
            f"fast engine: {self.n_screened:,} screens and {self.n_verified:,} exact passes for {self.n_edits:,} edits "
            f"({self.n_verified / max(self.n_edits, 1):.1%})"
        )


def fast_shifts(
    engine: ExactEngine,
    tokens: Tokens,
    plan: Plan,
    folder: Path,
    *,
    config: PerturbConfig,
    on_edits: Callable[[str, int, int], None] | None = None,
) -> FastShifts:
    """Estimate every gene's mean shift over the cells of a plan, with intervals.

    Parameters
    ----------
    engine
        Exact engine; the screen uses its model, readout and precision.
    tokens
        Encoded cells.
    plan
        All edits of the cells: what an exact run would do.
    folder
        Holds this run's shards and nothing else.
    config
        `top`, `width`, `seed`.
    on_edits
        Called with the part of the work, what is done of it, and all of it.

    Returns
    -------
    Shifts of every edit, estimates of every gene, and what was spent.
    """

    def report(part: str, done: int, total: int) -> None:
        if on_edits is not None:
            on_edits(part, done, total)

    table = screened(engine, tokens, plan, folder / "screen", on_edits=lambda *done: report("screen", *done))

    def verify(number: int, choose: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        path = folder / f"verify-{number:02d}" / "plan.parquet"
        if not path.is_file():
            write_table(path, choose())
        edits = read_table(path, todo=f"Delete the folder `{path.parent}` and run the same command again.")
        if edits.empty:
            return edits
        part = Plan(edits, plan.policy, plan.dose)
        found = run_plan(
            engine,
            tokens,
            part,
            path.parent,
            on_edits=lambda *done: report(f"verify {number}", *done),
        )
        return edits.assign(**{reading: found[reading].to_numpy() for reading in READINGS})

    return refine(table, config=config, verify=verify)


Verify = Callable[[int, Callable[[], pd.DataFrame]], pd.DataFrame]
"""Given the number of a round and how its edits are chosen, return them with their exact `READINGS`; none = the end."""


def refine(table: pd.DataFrame, *, config: PerturbConfig, verify: Verify) -> FastShifts:
    """Verify round by round until what was asked for is decided.

    Parameters
    ----------
    table
        What `screened` returns: edits of a plan with their screened `READINGS` and gene ids.
    config
        `top`, `width`, `seed`.
    verify
        Makes the exact values of a round.

    Returns
    -------
    Shifts of every edit, estimates of every gene, and what was spent.
    """
    table = table.assign(**{f"exact_{reading}": np.nan for reading in READINGS})
    key = pd.MultiIndex.from_frame(table[COLUMNS])
    place_of = pd.Series(table.index, index=key)
    number = 0
    while True:
        choose = partial(_next, table, config, first=number == 0)
        found = verify(number, choose)
        if found.empty:
            break
        places = place_of.loc[pd.MultiIndex.from_frame(found[COLUMNS])].to_numpy()
        for reading in READINGS:
            table.loc[places, f"exact_{reading}"] = found[reading].to_numpy()
        number += 1
    return _result(table, n_screened=len(table[["cell", "kind"]].drop_duplicates()))


def screened(
    engine: ExactEngine,
    tokens: Tokens,
    plan: Plan,
    folder: Path,
    *,
    on_edits: OnEdits | None = None,
) -> pd.DataFrame:
    """Screen the cells of a plan in shards.

    Parameters
    ----------
    engine
        Model, readout and precision.
    tokens
        Encoded cells.
    plan
        Edits to screen.
    folder
        Holds the shards of the screen; those that exist are read.
    on_edits
        Called with edits done and edits in all.

    Returns
    -------
    Edits of the plan, in order, with `gene_id` and the screened `READINGS`, positive = toward the goal.
    """
    shards, done = screen_shards(plan), 0

    def step(rows: int) -> None:
        nonlocal done
        done += rows
        if on_edits is not None:
            on_edits(done, len(plan.edits))

    score_shards(screen_edits, engine, tokens, plan, folder, shards, on_rows=step)
    frames = []
    for number, edits in shards.items():
        with own(shard_path(folder, number)):
            frames.append(read_table(shard_path(folder, number)).set_index(edits.index))
    table = plan.edits.join(pd.concat(frames))
    gene_of = engine.model.vocabulary.gene_of_token
    return table.assign(gene_id=[gene_of[token] for token in table["token"]])


def screen_shards(plan: Plan) -> dict[int, pd.DataFrame]:
    """Edits of each shard of a screen, by its number: those of a few cells."""
    cells = plan.edits["cell"].unique()
    parts = (cells[start : start + SCREENED_CELLS] for start in range(0, len(cells), SCREENED_CELLS))
    return {number: plan.edits[plan.edits["cell"].isin(part)] for number, part in enumerate(parts)}


def screen_edits(
    engine: ExactEngine,
    tokens: Tokens,
    plan: Plan,
    edits: pd.DataFrame,
    *,
    on_rows: OnRows | None = None,
) -> pd.DataFrame:
    """Screen the cells of a shard, a `shards.Score`.

    Parameters
    ----------
    engine, tokens, plan
        Model, readout and precision; encoded cells; what the edits mean.
    edits
        The shard's part of the plan: all edits of some cells.
    on_rows
        Called with edits done.

    Returns
    -------
    `READINGS` of each edit, in their order.
    """
    parts = []
    for (cell, kind), group in edits.groupby(["cell", "kind"], sort=False):
        found_g2 = screen(engine, tokens.row(cell), kind, edge=int(tokens.has_cls))
        parts.append(
            pd.DataFrame(found_g2[group["position"].to_numpy()], columns=READINGS, index=group.index)
        )
        if on_rows is not None:
            on_rows(len(group))
    return pd.concat(parts).sort_index()


def _next(table: pd.DataFrame, config: PerturbConfig, *, first: bool) -> pd.DataFrame:
    """Edits to verify next; none when what was asked for is decided."""
    chosen = []
    for kind, rows in table.groupby("kind", sort=False):
        gene_ids, gene_e = np.unique(rows["gene_id"].to_numpy(str), return_inverse=True)
        turn_e = _turns(rows, config.seed)
        if first:
            rng = stream(config.seed, "genes that verify the screen", str(kind))
            wanted_g = _random_genes(rows["logit_shift"].to_numpy(), gene_e, len(gene_ids), rng)
        else:
            wanted_g = _undecided(rows, gene_e, config)
        known = rows["exact_logit_shift"].notna().to_numpy()
        n_exact = np.bincount(gene_e[known], minlength=len(gene_ids))
        aim_g = np.where(wanted_g, np.maximum(FIRST_CELLS, 2 * n_exact), n_exact)
        take = (turn_e < aim_g[gene_e]) & ~known
        chosen.append(rows.index.to_numpy()[take])
    return table.loc[np.sort(np.concatenate(chosen)), COLUMNS].reset_index(drop=True)


def _turns(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """Place of each cell in the random order in which its gene is verified; it depends on seed, gene and cell only."""
    draw = np.empty(len(rows))
    for cell, places in rows.groupby("cell", sort=False).indices.items():
        token = rows["token"].to_numpy()[places]
        draw[places] = stream(seed, "order of verification", int(cell)).random(int(token.max()) + 1)[token]
    order = pd.DataFrame({"token": rows["token"].to_numpy(), "draw": draw})
    return order.groupby("token")["draw"].rank(method="first").to_numpy(int) - 1


def _random_genes(
    screen_e: np.ndarray, gene_e: np.ndarray, n_genes: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw as many genes from every stratum of the screen."""
    mean_g = np.bincount(gene_e, screen_e, n_genes) / np.bincount(gene_e, minlength=n_genes)
    by_rank = np.array_split(np.argsort(np.abs(mean_g), kind="stable"), STRATA)
    size = max(LEAST_RANDOM_GENES, round(RANDOM_SHARE * len(gene_e) / FIRST_CELLS / STRATA))
    wanted_g = np.zeros(n_genes, dtype=bool)
    for genes in by_rank:
        wanted_g[rng.permutation(genes)[:size]] = True
    return wanted_g


def _undecided(rows: pd.DataFrame, gene_e: np.ndarray, config: PerturbConfig) -> np.ndarray:
    """Genes that may or may not be among the best, the best without exact cells, and intervals that are too wide."""
    found = corrected_means(
        rows["logit_shift"].to_numpy(float), rows["exact_logit_shift"].to_numpy(float), gene_e
    )
    mean, low, high = (found[name].to_numpy() for name in ("mean", "ci_low", "ci_high"))
    threshold = np.sort(mean)[::-1][min(config.top, len(mean)) - 1]
    open_g = found["basis"].ne("exact").to_numpy()
    unsure = (high >= threshold) & ~(low > threshold)
    unproved = (mean >= threshold) & found["basis"].eq("screen+pooled").to_numpy()
    wide = (high - low > config.width) if config.width else np.zeros(len(mean), dtype=bool)
    return open_g & (unsure | unproved | wide)


def _result(table: pd.DataFrame, *, n_screened: int) -> FastShifts:
    estimates, shifts = [], []
    for kind, rows in table.groupby("kind", sort=False):
        gene_ids, gene_e = np.unique(rows["gene_id"].to_numpy(str), return_inverse=True)
        found = {
            reading: corrected_means(
                rows[reading].to_numpy(float), rows[f"exact_{reading}"].to_numpy(float), gene_e
            )
            for reading in READINGS
        }
        main = found["logit_shift"].assign(gene_id=gene_ids, kind=kind)
        main["shift_to_goal"] = found["shift_to_goal"]["mean"].to_numpy()
        main["shift_to_goal_se"] = found["shift_to_goal"]["se"].to_numpy()
        estimates.append(main.rename(columns={"mean": "logit_shift"}))
        corrected = {
            reading: rows[f"exact_{reading}"].fillna(
                rows[reading] + found[reading]["correction"].to_numpy()[gene_e]
            )
            for reading in READINGS
        }
        shifts.append(rows.assign(**corrected))
    return FastShifts(
        SHIFTS.checked(pd.concat(shifts).sort_index()),
        ESTIMATES.checked(pd.concat(estimates, ignore_index=True)),
        n_edits=len(table),
        n_screened=n_screened,
        n_verified=int(table["exact_logit_shift"].notna().sum()),
    )
