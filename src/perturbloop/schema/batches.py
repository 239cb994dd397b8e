"""The tables of batches: what is proposed, and what became of each gene that was taken into a batch."""

from typing import Literal, get_args

from perturbloop.schema.columns import Column, Table

TrialStatus = Literal["proposed", "running", "done", "failed", "abandoned"]
"""proposed: taken into a batch; running: in the laboratory; done: the outcome is known; failed: it was tried and gave no outcome;
abandoned: given up, so that the gene may be proposed again."""
TRIAL_STATUS: tuple[TrialStatus, ...] = get_args(TrialStatus)
PENDING: tuple[TrialStatus, ...] = ("proposed", "running")
"""Status of trials whose outcome is awaited."""
CLOSED: tuple[TrialStatus, ...] = ("proposed", "running", "done", "failed")
"""Status of trials whose genes are not proposed again."""

_GENE = (
    Column("gene_id", "Ensembl gene id without version", "ENSG00000115415"),
    Column("gene_name", "HGNC symbol", "STAT1"),
    Column("kind", "delete, overexpress, inhibit or activate", "delete"),
    Column("action", "inhibit or activate", "inhibit"),
)

PROPOSALS = Table(
    "proposals",
    "one gene proposed for an experiment by one policy",
    (
        Column("policy", "goal of the batch (find, learn or both), or chance: the batch to beat", "find"),
        Column("place", "1 = first", 1),
        *_GENE,
        Column(
            "probability",
            "probability that the action is measured as a hit toward the goal, 0 to 1; missing where nothing can tell",
            0.31,
        ),
        Column(
            "ci_low",
            "lower end of the 90 % interval of `probability`: how far such predictions may be off",
            0.12,
        ),
        Column("ci_high", "upper end of it", 0.58),
        Column(
            "shift",
            "what the outcomes of earlier batches added to the log odds of `probability`; 0 before any",
            0.0,
        ),
        Column("benefit", "benefit in the default ranking", 1.9),
        Column(
            "because",
            "the chief reason, for a line of a table: prior, coverage, chance, or what weighs most in its rank",
            "+0.21 by JAK2",
        ),
        Column(
            "reason",
            "all that the choice rests on, in words",
            "expected effect +0.31 toward the goal [+0.02, +0.60]; by measured genes: +0.21 by JAK2; log2FC −1.2: higher in the start",
        ),
        Column("flags", "caution flags of RANKING, separated by commas", "interferon"),
    ),
)

TRIALS = Table(
    "trials",
    "one gene that was taken into a batch, and what became of it",
    (
        Column("batch", "number of the batch, from 0", 0),
        Column("place", "place in the batch, 1 = first", 1),
        Column("policy", "goal of the batch: find, learn or both", "find"),
        *_GENE,
        Column("predicted", "probability of a hit toward the goal, as stated when the batch was taken", 0.31),
        Column("shift", "see PROPOSALS", 0.0),
        Column("status", "proposed, running, done, failed or abandoned", "done"),
        Column("hit", "whether it was measured as a hit toward the goal; missing until it is done", True),
        Column("source", "recorded file that told, or `by hand`; empty until then", "second-screen"),
        Column("proposed", "when the batch was taken, UTC", "2026-01-02 03:04:05+00:00"),
        Column("told", "when its status last changed, UTC; missing before", "2026-02-03 04:05:06+00:00"),
    ),
)

ROUNDS = Table(
    "rounds",
    "one finished round of a campaign: what it knew, how its ranking did, what it proposed",
    (
        Column("round", "its number, from 0", 1),
        Column("created", "when it was judged, UTC; empty in a round of version 0.1", "2026-01-02 03:04 UTC"),
        Column(
            "recorded", "files that it knew and the round before did not, separated by commas", "first.h5ad"
        ),
        Column("n_measured", "genes with a measured effect that it knew", 40),
        Column("gate", "control gate: passed, failed or not judged", "passed"),
        Column(
            "word", "whether its ranking is better than its controls: yes, no or cannot tell", "cannot tell"
        ),
        Column("sentence", "the same in words", "Cannot tell: 3 hits among 40 held-out genes are too few."),
        Column("kind", "kind of edit with most held-out hits; empty before any", "delete"),
        Column("auroc", "AUROC of the ranking on held-out targets of that kind; 0.5 = chance", 0.71),
        Column("ci_low", "lower end of its 95 % interval", 0.55),
        Column("ci_high", "upper end of it", 0.87),
        Column("n_hits", "held-out targets that were hits toward the goal", 12),
        Column("n_genes", "held-out targets", 40),
        Column("policy", "goal of the batch that it proposed; empty where it proposed none", "find"),
        Column("n_proposed", "genes of that batch", 20),
        Column(
            "by_chance",
            "probability, 0 to 1, that a gene drawn at random from those that could be proposed is measured as a hit toward the "
            "goal: mean over the genes of its chance batch; missing where nothing could tell",
            0.05,
        ),
    ),
)

FOUND = Table(
    "found",
    "one batch of which outcomes came back: hits as foretold, as found, and as chance would have had it",
    (
        Column("batch", "number of the batch, from 0", 0),
        Column("round", "round that it was taken from; missing where that is not known", 0),
        Column("n_taken", "genes that were taken into it", 20),
        Column("n_told", "genes whose outcome is known", 18),
        Column("predicted", "hits to be expected among them, as stated when it was taken", 5.2),
        Column("low", "lower end of the 90 % interval of these hits", 2),
        Column("high", "upper end of it", 9),
        Column("observed", "hits toward the goal that were found", 6),
        Column(
            "by_chance", "hits to be expected in a batch of as many genes drawn at random; see ROUNDS", 1.1
        ),
    ),
)
