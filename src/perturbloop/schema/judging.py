"""The columns of the tables that judge a ranking."""

from perturbloop.schema.columns import Column, Table

_METHOD = Column("method", "see `schema.METHODS`", "evidence")
_KIND = Column("kind", "delete, overexpress, inhibit or activate", "delete")

METRICS = Table(
    "metrics",
    "one method, kind, set of targets, denominator, metric and, for a metric of calls, rule",
    (
        Column("method", "see `METHODS`", "evidence"),
        Column("kind", "delete, overexpress, inhibit or activate", "delete"),
        Column(
            "denominator",
            "`scored` = genes the method scored; `all` = every measured gene, unscored ranked last",
            "scored",
        ),
        Column("metric", "name of the metric", "auroc"),
        Column("value", "its value; missing where it is undefined", 0.81),
        Column("ci_low", "lower end of the 95 % interval over genes; see `interval`", 0.6),
        Column("ci_high", "upper end", 0.97),
        Column("n_genes", "genes judged", 25),
        Column("n_hits", "true hits among them", 4),
        Column(
            "rule",
            "rule behind a metric of calls, or the k of a metric at k; empty for metrics of a score",
            "matched-null",
        ),
        Column(
            "interval",
            "where the interval comes from: delong (AUROCs), newcombe (AUROCs that DeLong's has no width for: one hit, or "
            "hits and others perfectly apart) or bootstrap (the rest); empty where there is none",
            "delong",
        ),
        Column(
            "declared",
            "whether the row is a headline: false for calls by another rule than the declared one (or, where a method lacks what "
            "that needs, `budget-k`), given for comparison",
            True,
        ),
        Column(
            "targets",
            "which held-out targets are judged: `held-out` = all; `pathway-disjoint` = those that share no gene set with a "
            "target in training, only where gene sets were given; `screen NAME` and `any screen` = the genes of one screen, and of all "
            "with the hits of any, only where several screens judge a kind",
            "held-out",
        ),
    ),
)

STRATA = Table(
    "strata",
    "one method, kind, and stratum of the held-out targets that it scored",
    (
        Column("method", "see `METHODS`", "evidence"),
        Column("kind", "delete, overexpress, inhibit or activate", "delete"),
        Column(
            "by", "what the targets are divided by: expression (in start cells) or essentiality", "expression"
        ),
        Column(
            "stratum",
            "all targets; a stratum, `1 of 3` = lowest expression; or `within strata` = hits compared only with other genes of "
            "their own stratum",
            "1 of 3",
        ),
        Column("value", "AUROC of finding hits toward the goal; 0.5 = chance; missing without a hit", 0.71),
        Column("ci_low", "lower end of its 95 % interval over genes", 0.55),
        Column("ci_high", "upper end", 0.83),
        Column("interval", "delong or newcombe, see METRICS; empty where there is none", "delong"),
        Column("n_genes", "targets of the stratum", 42),
        Column("n_hits", "hits toward the goal among them", 6),
    ),
)

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
        Column("gene_name", "HGNC symbol", "STAT1"),
        _KIND,
        Column("place", "place in the ranking, 1 = best; missing where it was not scored", 12),
        Column("n_ranked", "scored genes of the kind", 7800),
        Column("benefit", "positive = toward the goal", 1.9),
        Column("detection", "share of start cells that express the gene", 0.31),
        Column("status", "scored, not_scored, spent, excluded or absent", "scored"),
    ),
)

CURVES = Table(
    "curves",
    "one method after one panel of measured genes, and metric",
    (
        Column("kind", "delete, overexpress, inhibit or activate", "delete"),
        Column("method", "see `METHODS`", "posterior"),
        Column(
            "panel",
            "how the measured genes were drawn: random, hit-enriched or coverage; empty at k = 0",
            "random",
        ),
        Column(
            "seed", "number of the draw, from 0; a larger k of one draw holds the genes of a smaller one", 0
        ),
        Column("k", "measured genes that the method knows of; with 0 it knows none", 20),
        Column("metric", "auroc or average_precision, of held-out hits toward the goal", "auroc"),
        Column(
            "value", "its value among all held-out targets, unscored ones last; missing without hits", 0.71
        ),
        Column("ci_low", "lower end of DeLong's 95 % interval over genes; only of an AUROC", 0.58),
        Column("ci_high", "upper end", 0.81),
        Column("n_genes", "held-out targets judged, the same for every k", 120),
        Column("n_hits", "hits toward the goal among them", 14),
    ),
)

CURVE_MEANS = Table(
    "curve_means",
    "one method after panels of one rule and size, and metric: mean over draws",
    (
        *CURVES.columns[:3],
        *CURVES.columns[4:6],
        Column("value", "mean over draws of the panel", 0.7),
        Column("sd", "standard deviation over draws; missing with one", 0.03),
        Column("ci_low", "lower end of a 95 % interval; see `interval`", 0.66),
        Column("ci_high", "upper end", 0.74),
        Column("n_draws", "draws behind the mean", 5),
        Column(
            "interval",
            "panels: of the mean over draws, by Student's t, the held-out genes taken as given; genes: DeLong's over genes, of a "
            "single draw; empty where there is none",
            "panels",
        ),
        *CURVES.columns[-2:],
    ),
)
