"""The campaign so far: its rounds, and the hits found beside those that chance would have found."""

from math import exp, lgamma, log, log1p
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import (
    MISSING,
    Grid,
    Section,
    count,
    interval,
    listed,
    number,
    probability,
    text,
)
from perturbloop.schema import FOUND, PENDING

SURE = 0.05
"""Probability of so many hits by chance below which they are called more than chance."""
NO_ROUND = (
    "The rounds before this one cannot be read: their folders are gone, or of a version that kept less."
)
NOTHING_TOLD = "Nothing was measured so far, so there are no hits to count."
NO_BATCH = (
    "No batch came back so far, so nothing found can be held against chance. {} outside of batches. "
    "`perturbloop propose` names a batch."
)
BY_CHANCE = (
    "By chance: hits to be expected among as many genes drawn at random from those that could have been taken; the probability is that of "
    "the random batch which each round draws beside its own."
)
MEANINGS = {
    "verdict": "is the ranking better than its controls, by targets that were held out?",
    "AUROC": "of the ranking on held-out targets: share of pairs in which a hit stands above a gene that is none; 0.5 is chance",
    "95 % interval": "of the AUROC",
    "measured": "genes with a measured effect that the round knew",
    "predicted": "hits to be expected among the genes whose outcome is known, as stated when the batch was taken",
    "by chance": "hits to be expected among as many genes drawn at random",
}
_WORDS = frozenset({"date", "recorded before it", "verdict", "gate", "proposed", "taken"})


def rounds_section(report: RoundReport) -> Section:
    """A row for each finished round, the last one bold: what it knew, how its ranking did, and what became of its batch."""
    title, rows = "Rounds so far", report.rounds
    if rows.empty:
        return Section("rounds", title, (NO_ROUND,))
    of_batch = round_of(report.trials, rows)
    lines = tuple(_line(row, report.trials[of_batch.eq(row.round)]) for row in rows.itertuples())
    columns = ("round", "date", "recorded before it", "measured", "verdict", "AUROC", "95 % interval")
    grid = Grid(
        f"{count(len(lines), 'finished round')}",
        (*columns, "gate", "proposed", "taken"),
        lines,
        _WORDS,
        frozenset({len(lines) - 1}) if len(lines) > 1 else frozenset(),
        spare=("date", "gate", "95 % interval", "proposed"),
        meanings=MEANINGS,
    )
    return Section("rounds", title, _left_out(rows), (grid,))


def _left_out(rows: pd.DataFrame) -> tuple[str, ...]:
    """Say which rounds before the last one are not told of; nothing where all are."""
    gone = sorted(set(range(int(rows["round"].max()))) - set(rows["round"]))
    if not gone:
        return ()
    named = listed([str(one) for one in gone])
    return (f"Left out, since they were not finished, or their folders are gone or damaged: {named}.",)


def found_section(report: RoundReport) -> Section:
    """Hits found, foretold and by chance, of all batches of which something came back."""
    title, rows = "Hits found against chance", found(report.trials, report.rounds)
    if rows.empty:
        genes = report.effects.loc[report.effects["level"].eq("gene"), "gene_id"].nunique()
        measured = f"{count(genes, 'gene')} {'was' if genes == 1 else 'were'} measured"
        return Section("found", title, (NO_BATCH.format(measured) if genes else NOTHING_TOLD,))
    columns = ("batch", "genes back", "found", "predicted", "90 % interval", "by chance")
    lines = tuple(
        (
            number(row.batch, 0),
            f"{number(row.n_told, 0)} of {number(row.n_taken, 0)}",
            number(row.observed, 0),
            number(row.predicted, 1),
            interval(row.low, row.high, 0),
            number(row.by_chance, 1),
        )
        for row in rows.itertuples()
    )
    grid = Grid(count(len(lines), "batch", "batches"), columns, lines, meanings=MEANINGS)
    return Section("found", title, (_said(rows),), (grid,), notes=(BY_CHANCE,))


def found(trials: pd.DataFrame, rounds: pd.DataFrame) -> pd.DataFrame:
    """Count the hits of each batch of which something came back.

    Parameters
    ----------
    trials
        TRIALS rows.
    rounds
        ROUNDS rows; they say what chance would have found.

    Returns
    -------
    Table FOUND.
    """
    from perturbloop.design.calibration import calibration_of  # reading a round loads no more than it needs

    back = trials["status"].eq("done") & trials["hit"].notna()
    foretold = {one.batch: one.expected for one in calibration_of(trials)[1]}
    rate = rounds.set_index("round")["by_chance"].astype(float)
    of_batch = round_of(trials, rounds)
    lines: list[dict[str, Any]] = []
    for batch, part in trials.groupby("batch", sort=True):
        came = part[back[part.index]]
        if came.empty:
            continue
        place, expected = of_batch[part.index[0]], foretold.get(int(batch))
        line = {"batch": batch, "round": place, "n_taken": len(part), "n_told": len(came)}
        line |= {"observed": int(came["hit"].astype(bool).sum())}
        line |= {"by_chance": len(came) * rate.get(place, np.nan)}
        if expected is not None and expected.n_genes == len(came):
            line |= {"predicted": expected.mean, "low": expected.low, "high": expected.high}
        lines.append(line)
    return FOUND.checked(pd.DataFrame(lines, columns=FOUND.names))


def round_of(trials: pd.DataFrame, rounds: pd.DataFrame) -> pd.Series:
    """Round that each trial was taken from: the last that was judged before; missing where none says when it was.

    Parameters
    ----------
    trials
        TRIALS rows.
    rounds
        ROUNDS rows.
    """
    when = pd.to_datetime(rounds["created"].replace("", None), format="%Y-%m-%d %H:%M UTC", utc=True)
    judged = rounds.assign(when=when).dropna(subset=["when"]).sort_values("when", kind="stable")
    taken = pd.to_datetime(trials["proposed"], utc=True)
    places = judged["when"].searchsorted(taken, side="right") - 1
    numbers = np.append(judged["round"].to_numpy(float), np.nan)  # the last stands for none: place -1
    return pd.Series(numbers[places], index=trials.index)


def _line(row: Any, trials: pd.DataFrame) -> tuple[str, ...]:
    proposed = f"{number(row.n_proposed, 0)} to {row.policy}" if row.n_proposed else MISSING
    return (
        number(row.round, 0),
        text(row.created).split()[0],
        text(row.recorded),
        number(row.n_measured, 0),
        str(row.word),
        number(row.auroc),
        interval(row.ci_low, row.ci_high),
        str(row.gate),
        proposed,
        _taken(trials),
    )


def _taken(trials: pd.DataFrame) -> str:
    """Batches that were taken from a round, and how many of their genes are awaited."""
    parts = []
    for batch, rows in trials.groupby("batch", sort=True):
        awaited = int(rows["status"].isin(PENDING).sum())
        waits = f", {number(awaited, 0)} awaited" if awaited else ""
        parts.append(f"batch {batch}: {count(len(rows), 'gene')}{waits}")
    return "; ".join(parts) or MISSING


def _said(rows: pd.DataFrame) -> str:
    """The answer in a sentence."""
    observed, genes = int(rows["observed"].sum()), int(rows["n_told"].sum())
    said = f"{count(observed, 'hit')} among {count(genes, 'gene')} that came back"
    if rows["predicted"].notna().all():
        said += f"; {number(rows['predicted'].sum(), 1)} were predicted"
    if rows["by_chance"].isna().any():
        return f"{said}. What chance would have found is not known: no round that these batches were taken from could tell."
    chance = float(rows["by_chance"].sum())
    as_many = _at_least(observed, genes, chance / genes)
    beside = "more than chance" if as_many < SURE else "not told apart from chance"
    return (
        f"{said}, and a draw at random would have held about {number(chance, 1)}: {beside} (as many or more at random: "
        f"p = {probability(as_many)})."
    )


def _at_least(hits: int, n: int, rate: float) -> float:
    """Probability of that many hits or more among n genes that are hits independently, each with this probability.

    >>> round(_at_least(2, 2, 0.5), 6), _at_least(0, 5, 0.1)
    (0.25, 1.0)
    """
    if not 0 < rate < 1:
        return float(hits <= n * rate)
    fewer = sum(
        exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(rate) + (n - k) * log1p(-rate))
        for k in range(hits)
    )
    return max(0.0, 1.0 - fewer)
