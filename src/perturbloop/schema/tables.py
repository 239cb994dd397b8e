"""The columns of every table of a campaign but those that judge: meaning with sign and unit, and an example value."""

from typing import TYPE_CHECKING

from perturbloop.schema.columns import Column, Table

if TYPE_CHECKING:
    import pandas as pd

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
        Column(
            "benefit",
            "score the rows are ranked by; positive = toward the goal: `logit_shift`, or, once targets of this kind were measured, "
            "the probability of an effect beyond the threshold of POSTERIOR toward the goal",
            1.9,
        ),
        Column(
            "ranked_by",
            "what benefit, effect, interval, p and call are of: logit_shift (in silico); posterior (in silico and measured "
            "neighbors); posterior-alone (measured neighbors)",
            "logit_shift",
        ),
        Column(
            "effect",
            "positive = toward the goal: `logit_shift`, or the expected effect of POSTERIOR in the unit of the measured effects",
            0.08,
        ),
        Column("ci_low", "lower end of the 95 % interval of `effect`; missing below five cells", 0.02),
        Column("ci_high", "upper end of the 95 % interval of `effect`", 0.14),
        Column(
            "null_z",
            "`logit_shift` in standard deviations of rank- and expression-matched genes; missing once the posterior ranks",
            3.1,
        ),
        Column(
            "pvalue", "two-sided p of `null_z` against the matched genes; missing below five cells", 0.002
        ),
        Column("padj", "Benjamini-Hochberg over the genes of this kind", 0.04),
        Column(
            "call",
            "toward, away or none: the interval excludes 0 and, in silico, the shift is beyond the matched null",
            "toward",
        ),
        Column(
            "shift_to_goal",
            "mean change in cosine similarity to the goal state; positive = toward it",
            0.0021,
        ),
        Column(
            "logit_shift", "mean change in the head's logit of the goal state; positive = toward it", 0.08
        ),
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
        Column(
            "log2fc", "log2 fold change of goal against start cells; missing where it was not tested", -1.2
        ),
        Column("de_padj", "padj of that difference", 0.003),
        Column(
            "de_padj_pseudoreplicated",
            "padj of the same by metacells of `--de pershad2025`, no evidence; missing with other tests",
            1e-20,
        ),
        Column("flags", "caution flags, separated by commas", "interferon"),
        Column("status", "scored, not_scored, spent or excluded", "scored"),
    ),
    optional=("de_padj_pseudoreplicated",),
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
    "one perturbed target (level gene), one guide of it (level guide) or one drug (level compound) and one modality",
    (
        *_GENE,
        Column(
            "target",
            "label of the target in the perturbed file; of a drug screen the compounds behind the row",
            "STAT1",
        ),
        Column(
            "modality",
            "what was done: one of `ARMS`, or drug (level compound); what a drug screen says of one gene is an inhibitor's or an "
            "activator's effect",
            "crispr_ko",
        ),
        Column("level", "gene, guide or compound", "gene"),
        Column("guide_id", "guide label, or the compound; empty at gene level", "STAT1g2"),
        Column(
            "effect_to_goal",
            "effect as it was done; positive = toward the goal; in standard deviations of control cells, or, of a screen, in "
            "robust standard deviations (1.4826 MAD) of the scores of its genes",
            1.3,
        ),
        Column(
            "effect",
            "canonical: effect of raising the product; positive = toward the goal; same unit; missing for a compound",
            -1.3,
        ),
        Column(
            "se",
            "standard error of `effect_to_goal`, same unit; holds how far guides and replicates disagree; at most 1 for a gene "
            "of a screen",
            0.2,
        ),
        Column("pvalue", "two-sided p that all its guides, each counted in full, are inert", 1e-9),
        Column("padj", "Benjamini-Hochberg over the targets (level gene)", 1e-8),
        Column(
            "hit",
            "padj below `fdr`, |effect| at least `min_effect`, and a 95 % interval without 0; of a screen, by the screen's rule",
            True,
        ),
        Column("n_cells", "perturbed cells behind the number; 0 for a gene of a screen", 412),
        Column("n_guides", "guides, or compounds, behind the number", 4),
        Column("n_replicates", "replicates behind the number", 2),
        Column(
            "own_gene_in_readout",
            "whether the target's own gene was among the readout genes before it was left out",
            True,
        ),
        Column(
            "fold",
            "-1 = used in training; k >= 0 = held out, predicted by the model that never saw fold k; -2 = neither: a compound "
            "without known targets, or with targets of several folds",
            0,
        ),
        Column("screen", "name of the screen; empty where cells were measured", "IL-2"),
    ),
    optional=("screen",),
)

GUIDES = Table(
    "guides",
    "one guide of one target, and how well it works",
    (
        *_GENE,
        Column("target", "label of the target in the perturbed file", "STAT1"),
        Column("guide_id", "guide label; empty where no guides are named", "STAT1g4"),
        Column("n_cells", "cells of the guide", 59),
        Column(
            "log2fc",
            "log2 fold change of the target's own RNA against control cells of the same replicates; negative = less RNA; "
            "missing where it is not measured",
            -3.2,
        ),
        Column("ratio", "the same as a multiple of the controls'; 0.2 = a fifth is left", 0.1),
        Column("ratio_se", "standard error of `ratio`; cells are the replicates", 0.05),
        Column(
            "escape",
            "share of cells that look like control cells along the target's own direction, 0 to 1; missing where cells are too "
            "few, or the target does not part from the controls",
            0.2,
        ),
        Column("effect_to_goal", "effect of this guide alone; see EFFECTS", 1.3),
        Column("weight", "how much it counts in the target's effect: 1 = in full, 0.1 = hardly", 1.0),
        Column("reason", "why it counts less, in words; empty where it does not", ""),
    ),
)

REPLICATES = Table(
    "replicates",
    "one target in one replicate",
    (
        *_GENE,
        Column("target", "label of the target in the perturbed file", "STAT1"),
        Column("replicate", "label of the replicate", "rep_1"),
        Column("effect_to_goal", "effect in this replicate, against its own controls; see EFFECTS", 1.3),
        Column("se", "standard error from its cells and controls, same unit", 0.2),
        Column("n_cells", "perturbed cells", 206),
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
            "away",
            "higher = rather a gene whose action moves cells away from the goal; missing = the score turned round",
            0.02,
        ),
        Column(
            "fold", "-1 = the full ranking; k >= 0 = predicted without the perturbed targets of fold k", -1
        ),
    ),
    optional=("away",),
)

POSTERIOR = Table(
    "posterior",
    "one gene that was not measured and one kind: what the measured effects and the in-silico score say of it",
    (
        *_GENE,
        Column("kind", "delete, overexpress, inhibit or activate", "delete"),
        Column(
            "mean",
            "expected effect, as done; positive = toward the goal; in the unit of the measured effects",
            0.31,
        ),
        Column("sd", "standard deviation of the true effect, same unit", 0.22),
        Column("probability", "probability that the effect is beyond `threshold`, toward the goal", 0.4),
        Column("away", "probability that it is as far beyond it away from the goal", 0.02),
        Column(
            "threshold",
            "one standard deviation of the true effects of the measured genes, and no less than two of their errors",
            0.35,
        ),
        Column("neighbors", "measured genes that move `mean` most, and by how much", "+0.21 by JAK2"),
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
        Column("n_unsigned", "targets of a compound whose sign is unknown; they are not edited", 0),
        Column(
            "absent", "genes asked for that the file of the cells does not hold, separated by commas", "HDAC1"
        ),
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

EXPRESSION = Table(
    "expression",
    "one gene in the cells of one state and, where a column of `obs` tells several, of one type",
    (
        *_GENE,
        Column("state", "start or goal state, as the file names it", "stimulated"),
        Column("cell_type", "label of the type; empty = all cells of the state", "CD14+ monocyte"),
        Column("mean", "mean of log(1 + counts per 10,000) over the cells", 0.42),
        Column("detection", "share of these cells that express the gene", 0.31),
        Column("n_cells", "cells behind the numbers", 812),
    ),
)

SETS = Table(
    "sets",
    "one gene and one gene set that holds it",
    (
        Column("gene_id", "Ensembl gene id without version", "ENSG00000115415"),
        Column("gene_set", "name of the set, as its file has it", "REACTOME_INTERFERON_SIGNALING"),
        Column("n_genes", "genes of the set", 198),
    ),
)

SCREEN_NAME = ", screen"
"""What is said behind the modality of a screen."""


def sources(effects: "pd.DataFrame") -> "pd.Series":
    """Modality of each row, apart for cells and for screens, which have another unit.

    >>> import pandas as pd
    >>> sources(pd.DataFrame({"modality": ["crispri", "crispri"], "n_cells": [40, 0]})).tolist()
    ['crispri', 'crispri, screen']
    """
    return effects["modality"].astype(str) + effects["n_cells"].gt(0).map({True: "", False: SCREEN_NAME})
