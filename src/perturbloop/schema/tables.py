"""The columns of every table: meaning with sign and unit, and an example value."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from perturbloop.errors import InputError, some


@dataclass(frozen=True)
class Column:
    """One column of a table: its meaning with sign and unit, and an example value."""

    name: str
    meaning: str
    example: object


@dataclass(frozen=True)
class Table:
    """A table's name, what one row is, and its columns."""

    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    def checked(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with the columns in order; refuse one that lacks any."""
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            msg = (
                f"The table `{self.name}` needs the columns {some(self.names, limit=20)}; "
                f"these are missing: {some(missing)}. Make it with the step that writes it."
            )
            raise InputError(msg)
        return frame[self.names].reset_index(drop=True)


_GENE = (
    Column("gene_id", "Ensembl gene id without version", "ENSG00000115415"),
    Column("gene_name", "HGNC symbol", "STAT1"),
)

RANKING = Table(
    "ranking",
    "one gene and one kind of in-silico edit, best first",
    (
        *_GENE,
        Column("kind", "in-silico edit: delete, overexpress, inhibit or activate", "delete"),
        Column("action", "what to do to the gene: inhibit or activate", "inhibit"),
        Column("benefit", "score the rows are ranked by; positive = toward the goal", 1.9),
        Column(
            "shift_to_goal",
            "mean change in cosine similarity to the goal state; positive = toward it",
            0.0021,
        ),
        Column(
            "logit_shift", "mean change in the head's logit of the goal state; positive = toward it", 0.08
        ),
        Column("ci_low", "lower end of the 95 % interval of `logit_shift`", 0.02),
        Column("ci_high", "upper end of the 95 % interval of `logit_shift`", 0.14),
        Column("null_z", "`logit_shift` in standard deviations of rank- and expression-matched genes", 3.1),
        Column("pvalue", "two-sided p of `null_z` against the matched genes", 0.002),
        Column("padj", "Benjamini-Hochberg over the genes of this kind", 0.04),
        Column("call", "matched-null call: toward, away or none", "toward"),
        Column("n_cells", "start cells behind the number", 5),
        Column(
            "n_exact",
            "those of them in which the edit was encoded exactly; fewer than `n_cells` only in the fast engine",
            5,
        ),
        Column(
            "basis",
            "exact; screen+own (the fast screen, corrected by this gene's own exact cells); screen+pooled (corrected by "
            "genes of like rank)",
            "exact",
        ),
        Column(
            "cell_pvalue",
            "two-sided p of `logit_shift` against 0 with cells as replicates; too small where donors differ",
            0.001,
        ),
        Column("donor_pvalue", "the same with donors as replicates; missing below two donors", 0.04),
        Column("n_donors", "donors behind those cells; 0 where none are named", 0),
        Column("detection", "share of start cells that express the gene", 0.31),
        Column("flags", "caution flags, separated by commas", "interferon"),
        Column("status", "scored, not_scored, spent or excluded", "scored"),
    ),
)

SHIFTS = Table(
    "shifts",
    "one cell and one edit",
    (
        Column("cell", "position of the cell in the file, from 0", 17),
        Column("gene_id", "Ensembl gene id without version", "ENSG00000115415"),
        Column("kind", "delete, overexpress, inhibit or activate", "delete"),
        Column("position", "rank of the gene in the cell's encoding, 0 = most telling", 12),
        Column(
            "shift_to_goal", "change in cosine similarity to the goal state; positive = toward it", 0.0021
        ),
        Column("logit_shift", "change in the head's logit of the goal state; positive = toward it", 0.08),
    ),
)

ESTIMATES = Table(
    "estimates",
    "one gene and kind as the fast engine estimates it",
    (
        Column("gene_id", "Ensembl gene id without version", "ENSG00000115415"),
        Column("kind", "delete or overexpress", "overexpress"),
        Column(
            "logit_shift",
            "estimated mean over all cells of the change in the head's logit; positive = toward the goal",
            0.08,
        ),
        Column(
            "se",
            "standard error of `logit_shift` as an estimate of the exact mean over these cells; 0 = exact",
            0.004,
        ),
        Column("ci_low", "lower end of the 95 % interval of that exact mean", 0.07),
        Column("ci_high", "upper end", 0.09),
        Column("correction", "what the exact cells added to the screen's mean", 0.003),
        Column("shift_to_goal", "the same estimate for the cosine to the goal state", 0.0021),
        Column("shift_to_goal_se", "its standard error", 0.0001),
        Column("n_cells", "cells screened that express the gene", 61),
        Column("n_exact", "cells in which the edit was encoded exactly", 8),
        Column("basis", "exact, screen+own or screen+pooled; see RANKING", "screen+own"),
    ),
)

EFFECTS = Table(
    "effects",
    "one perturbed target (level gene) or one guide of it (level guide) and one modality",
    (
        *_GENE,
        Column("target", "label of the target in the perturbed file", "STAT1"),
        Column("modality", "what was done: one of `ARMS`", "crispr_ko"),
        Column("level", "gene or guide", "gene"),
        Column("guide_id", "guide label; empty at gene level", "STAT1g2"),
        Column(
            "effect_to_goal",
            "effect as it was done; positive = toward the goal; in standard deviations of control cells, or, of a screen, in "
            "robust standard deviations (1.4826 MAD) of the scores of its genes",
            1.3,
        ),
        Column(
            "effect", "canonical: effect of raising the product; positive = toward the goal; same unit", -1.3
        ),
        Column("se", "standard error of `effect_to_goal`, same unit; at most 1 for a gene of a screen", 0.2),
        Column("pvalue", "two-sided p that all its guides are inert", 1e-9),
        Column("padj", "Benjamini-Hochberg over the targets (level gene)", 1e-8),
        Column(
            "hit",
            "padj below `fdr` and |effect| at least `min_effect`; of a screen, by the screen's rule",
            True,
        ),
        Column("n_cells", "perturbed cells behind the number; 0 for a gene of a screen", 412),
        Column("n_guides", "guides behind the number", 4),
        Column("n_replicates", "replicates behind the number", 2),
        Column(
            "own_gene_in_readout",
            "whether the target's own gene was among the readout genes before it was left out",
            True,
        ),
        Column(
            "fold",
            "-1 = used in training; k >= 0 = held out, predicted by the model that never saw fold k",
            0,
        ),
    ),
)

PREDICTIONS = Table(
    "predictions",
    "one method's score of one gene and kind",
    (
        Column("method", "see `METHODS`", "evidence"),
        Column("kind", "delete, overexpress, inhibit or activate", "delete"),
        Column("gene_id", "Ensembl gene id without version", "ENSG00000115415"),
        Column("score", "higher = more benefit: the action of this kind moves cells toward the goal", 1.9),
        Column(
            "fold", "-1 = the full ranking; k >= 0 = predicted without the perturbed targets of fold k", -1
        ),
    ),
)

METRICS = Table(
    "metrics",
    "one method, kind, denominator and metric",
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
        Column("ci_low", "lower end of the 95 % bootstrap interval over genes", 0.6),
        Column("ci_high", "upper end", 0.97),
        Column("n_genes", "genes judged", 25),
        Column("n_hits", "true hits among them", 4),
        Column(
            "rule",
            "rule behind a metric of calls, or the k of a metric at k; empty for metrics of a score",
            "matched-null",
        ),
    ),
)

PROPOSALS = Table(
    "proposals",
    "one gene proposed for an experiment by one policy",
    (
        Column("policy", "greedy or chance", "greedy"),
        Column("place", "1 = first", 1),
        *_GENE,
        Column("kind", "delete, overexpress, inhibit or activate", "delete"),
        Column("action", "inhibit or activate", "inhibit"),
        Column("benefit", "benefit in the default ranking", 1.9),
        Column("reason", "why, in words", "highest benefit among genes not yet perturbed"),
    ),
)

COMBINATIONS = Table(
    "combinations",
    "one perturbation of one or several genes at once: a gene, a pair, a set or a drug",
    (
        Column("name", "what the perturbation is called in the file it was read from", "ruxolitinib"),
        Column("targets", "what is done to each gene", "delete JAK1 + delete JAK2"),
        Column("n_targets", "genes that are edited together", 2),
        Column("n_missing", "genes asked for that have no token and are left out", 0),
        Column("n_cells", "start cells it was made in; 0 where it applies to none", 20),
        Column("n_donors", "donors behind those cells; 0 where none are named", 4),
        Column(
            "shift_to_goal",
            "mean change in cosine similarity to the goal state; positive = toward it",
            0.0034,
        ),
        Column(
            "logit_shift", "mean change in the head's logit of the goal state; positive = toward it", 0.11
        ),
        Column("se", "standard error of `logit_shift`; replicates are donors, or cells without donors", 0.02),
        Column("ci_low", "lower end of the 95 % interval of `logit_shift`", 0.05),
        Column("ci_high", "upper end of the 95 % interval of `logit_shift`", 0.17),
        Column("pvalue", "two-sided p of `logit_shift` against 0, same replicates", 0.004),
        Column(
            "synergy",
            "of two genes: mean of the pair's logit shift less the sum of the two alone in the same cells; positive = "
            "further toward the goal than their sum; missing for other numbers of genes",
            0.01,
        ),
        Column("synergy_ci_low", "lower end of the 95 % interval of `synergy`", -0.01),
        Column("synergy_ci_high", "upper end of the 95 % interval of `synergy`", 0.03),
    ),
)

SCREEN = Table(
    "screen",
    "one gene of a screen or of another table with one score a gene",
    (
        *_GENE,
        Column("label", "the gene as the file names it", "STAT1"),
        Column("modality", "what was done to the gene: one of `ARMS`", "crispri"),
        Column("effect_to_goal", "score as it was done; positive = toward the goal; unit of the file", 1.3),
        Column("effect", "canonical: of raising the product; positive = toward the goal; same unit", -1.3),
        Column(
            "se", "standard error of `effect_to_goal`, same unit; missing where the file does not tell", 0.3
        ),
        Column("pvalue", "two-sided p; missing where the file has none", 1e-5),
        Column(
            "padj", "false discovery rate, of the arm of the score's sign where each arm has its own", 0.004
        ),
        Column("hit", "a hit by the rule that was asked for", True),
        Column("n_reagents", "guides or compounds behind the score; 0 where the file does not tell", 3),
    ),
)

SCREEN_TRUTH = Table(
    "screen_truth",
    "one gene of a screen beside what a ranking says of it",
    (
        *_GENE,
        Column("score", "of the ranking; higher = the action of the screen moves cells toward the goal", 1.9),
        Column("effect_to_goal", "see SCREEN", 1.3),
        Column("effect", "see SCREEN", -1.3),
        Column("padj", "see SCREEN", 0.004),
        Column("hit", "see SCREEN", True),
        Column(
            "detection", "largest share of cells of a state that express the gene; missing if not asked", 0.31
        ),
        Column("status", "scored, not_scored (assayed, but the ranking has no score) or excluded", "scored"),
        Column("reason", "why a gene is excluded: spent, or not expressed; else empty", "spent"),
    ),
)

SCREEN_SWEEP = Table(
    "screen_sweep",
    "one definition of a hit, kind of regulator and denominator",
    (
        Column("definition", "what a hit is", "FDR < 0.05"),
        Column("expressed", "whether genes that the cells do not express are excluded", True),
        Column(
            "regulators",
            "positive (raising the product moves cells toward the goal), negative (away from it), or both, by size",
            "positive",
        ),
        Column(
            "denominator", "`scored` = genes with a score; `all` = also those without, ranked last", "scored"
        ),
        Column("n_genes", "genes judged", 11300),
        Column("n_hits", "hits among them", 43),
        Column("prevalence", "share of hits", 0.004),
        Column("auroc", "probability that a hit ranks above another gene; missing without hits", 0.81),
        Column("ci_low", "lower end of its 95 % bootstrap interval over genes", 0.74),
        Column("ci_high", "upper end", 0.87),
        Column("average_precision", "mean precision at each hit; chance is the prevalence", 0.09),
        Column("k", "best genes that precision is taken of", 20),
        Column("precision_at_k", "share of hits among the k best", 0.15),
    ),
)

TABLES = (
    RANKING,
    SHIFTS,
    ESTIMATES,
    EFFECTS,
    PREDICTIONS,
    METRICS,
    PROPOSALS,
    COMBINATIONS,
    SCREEN,
    SCREEN_TRUTH,
    SCREEN_SWEEP,
)


def concat(table: Table, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join frames of one table; an empty list gives an empty table with its columns."""
    parts = [table.checked(frame) for frame in frames if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=table.names)
