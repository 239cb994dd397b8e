"""Everything a report says, before it has a shape."""

from dataclasses import dataclass, field

import pandas as pd

from perturbloop.errors import InputError
from perturbloop.schema import (
    CURVE_MEANS,
    EFFECTS,
    METRICS,
    PROPOSALS,
    RANKING,
    STRATA,
    Column,
    Table,
    concat,
)

_METHOD = Column("method", "see `schema.METHODS`", "evidence")
_KIND = Column("kind", "delete, overexpress, inhibit or activate", "delete")
_NAME = Column("gene_name", "HGNC symbol", "STAT1")

GAINS = Table(
    "gains",
    "one method against another, one kind",
    (
        _METHOD,
        Column("against", "method it is compared with", "frozen"),
        _KIND,
        Column("gain", "difference in AUROC on the same genes; positive = better", 0.08),
        Column("ci_low", "lower end of its 95 % paired bootstrap interval", -0.02),
        Column("ci_high", "upper end", 0.19),
        Column("n_genes", "held-out targets that both methods scored", 25),
        Column("n_hits", "hits toward the goal among them", 4),
        Column(
            "control",
            "method without the cause, e.g. shuffled labels; empty where there is none",
            "full-shuffled",
        ),
        Column("control_gain", "gain of the control over the same method", 0.03),
        Column("kept_share", "share of the gain that the control keeps; 0 = none, 1 = all", 0.3),
        Column("sentence", "the same in words", "The control keeps 30 % of a gain of +0.080."),
        Column(
            "delong_low", "lower end of the 95 % interval of the gain by DeLong's paired comparison", -0.03
        ),
        Column("delong_high", "upper end", 0.19),
        Column("pvalue", "two-sided p of no gain, by DeLong; missing below two hits", 0.14),
        Column("targets", "held-out, or only the pathway-disjoint ones; see METRICS", "held-out"),
    ),
)

RANK_CORRELATIONS = Table(
    "rank_correlations",
    "one method and kind against round 0",
    (
        _METHOD,
        _KIND,
        Column("rho", "Spearman correlation of the full rankings; 1 = nothing changed", 0.71),
        Column("n_genes", "genes that both rank", 7800),
        Column("sentence", "the same in words", "The ranking moved."),
    ),
)

PATHWAYS = Table(
    "pathways",
    "one gene of a known pathway, one kind",
    (
        Column("pathway", "name of the pathway", "type I interferon"),
        _NAME,
        _KIND,
        Column("place", "place in the ranking, 1 = best; missing where it was not scored", 12),
        Column("n_ranked", "scored genes of the kind", 7800),
        Column("benefit", "positive = toward the goal", 1.9),
        Column("detection", "share of start cells that express the gene", 0.31),
        Column("status", "scored, not_scored, spent, excluded or absent", "scored"),
    ),
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
    top: int = 20
    """Genes listed per kind."""
    min_effect: float | None = None
    """Least absolute effect of a hit, drawn in the figure of effects."""
    warnings: tuple[str, ...] = ()
    """Shown first."""
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
