"""Everything a report says, before it has a shape."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from perturbloop.errors import InputError
from perturbloop.schema import (
    CURVE_MEANS,
    EFFECTS,
    GAINS,
    METRICS,
    PATHWAYS,
    POSITIONS,
    POSTERIOR,
    PROPOSALS,
    RANK_CORRELATIONS,
    RANKING,
    REVERSAL,
    ROUNDS,
    STRATA,
    TRIALS,
    Recorded,
    Verdict,
    concat,
)

_TABLES = {
    "ranking": RANKING,
    "metrics": METRICS,
    "strata": STRATA,
    "effects": EFFECTS,
    "gains": GAINS,
    "rank_correlations": RANK_CORRELATIONS,
    "pathways": PATHWAYS,
    "proposals": PROPOSALS,
    "curves": CURVE_MEANS,
    "posterior": POSTERIOR,
    "trials": TRIALS,
    "reversal": REVERSAL,
    "positions": POSITIONS,
    "rounds": ROUNDS,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class RoundReport:
    """One round of a campaign: what was asked, what came out, what it can and cannot show."""

    title: str
    """Name of the campaign."""
    round_number: int
    """0 = nothing measured yet, the open loop."""
    created: str
    """Date and time, in words."""
    version: str
    """Version of perturbloop."""
    facts: dict[str, str]
    """What was asked: states, donors, model, seed, digests."""
    ranking: pd.DataFrame
    """RANKING rows: all genes and kinds, with those that could not be scored."""
    metrics: pd.DataFrame
    """METRICS rows; empty before targets were measured."""
    effects: pd.DataFrame
    """EFFECTS rows; empty before targets were measured."""
    gains: pd.DataFrame
    """Rows of `GAINS`."""
    rank_correlations: pd.DataFrame
    """Rows of `RANK_CORRELATIONS`."""
    pathways: pd.DataFrame
    """Rows of `PATHWAYS`."""
    proposals: pd.DataFrame
    """PROPOSALS rows."""
    strata: pd.DataFrame = field(default_factory=lambda: concat(STRATA, []))
    """STRATA rows; empty before targets were measured."""
    curves: pd.DataFrame = field(default_factory=lambda: concat(CURVE_MEANS, []))
    """CURVE_MEANS rows; empty where no learning curves were measured."""
    curve_notes: tuple[str, ...] = ()
    """What was left out of the learning curves, and why."""
    gene_sets: str = ""
    """Gene sets that tell pathway-disjoint targets, in words; empty where none were given."""
    collections: tuple[Mapping[str, Any], ...] = ()
    """Collections of gene sets and networks that were read: name, source, version, date, licence and hash of each."""
    network_weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Kind -> network -> how far the posterior listens to it."""
    top: int = 20
    """Genes listed per kind."""
    min_effect: float | None = None
    """Least absolute effect of a hit, drawn in the figure of effects."""
    start: str = "start"
    """Name of the state the cells are in."""
    goal: str = "goal"
    """Name of the state they should move to."""
    posterior: pd.DataFrame = field(default_factory=lambda: concat(POSTERIOR, []))
    """POSTERIOR rows; empty before targets were measured."""
    trials: pd.DataFrame = field(default_factory=lambda: concat(TRIALS, []))
    """TRIALS rows when the round was played; empty before a batch was taken."""
    reversal: pd.DataFrame = field(default_factory=lambda: concat(REVERSAL, []))
    """REVERSAL rows; empty where no recorded file has cells of both states."""
    positions: pd.DataFrame = field(default_factory=lambda: concat(POSITIONS, []))
    """POSITIONS rows of the same files."""
    rounds: pd.DataFrame = field(default_factory=lambda: concat(ROUNDS, []))
    """ROUNDS rows up to this one; empty where they are not known."""
    guides: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Recorded file of cells -> GUIDES rows, where the campaign still keeps them."""
    replicates: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Recorded file of cells -> REPLICATES rows, likewise."""
    gate: tuple[Verdict, ...] = ()
    """Verdicts of the control gate."""
    heads: Mapping[str, float] = field(default_factory=dict)
    """Title of a state model -> AUROC with which it tells held-out cells apart."""
    recorded: tuple[Recorded, ...] = ()
    """What was read of each recorded file."""
    warnings: tuple[str, ...] = ()
    """What the reader should know before acting; the same sentence is shown once."""
    check_lines: tuple[str, ...] = ()
    """What the check of the input found: gene mapping, token coverage."""
    model_lines: tuple[str, ...] = ()
    """What the model is and how well it tells held-out cells apart."""
    effect_lines: tuple[str, ...] = ()
    """How the effects were measured."""
    power_lines: tuple[str, ...] = ()
    """What so few positives can and cannot show."""
    context_lines: tuple[str, ...] = ()
    """Where the states and where the perturbed cells come from."""
    runtime_lines: tuple[str, ...] = ()
    """What the round cost."""

    def __post_init__(self) -> None:
        """Refuse tables that lack a column, and an empty list."""
        for name, table in _TABLES.items():
            object.__setattr__(self, name, table.checked(getattr(self, name)))
        if self.top < 1:
            msg = f"`top` must be at least 1; it is {self.top}. Raise it."
            raise InputError(msg)
