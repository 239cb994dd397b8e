"""The columns of what is known of compounds, and of the table of targets that a drug could act on."""

from perturbloop.schema.columns import Column, Table

INTERACTIONS = Table(
    "interactions",
    "one compound and one gene that it acts on, as a file on the disk has it",
    (
        Column("compound", "name of the compound", "SIROLIMUS"),
        Column("compound_id", "identifier, without a prefix; empty where the file has none", "CHEMBL413"),
        Column("synonyms", "other names of the compound, separated by |", "RAPAMYCIN"),
        Column("gene", "symbol or Ensembl id, as the file has it", "MTOR"),
        Column(
            "mechanism", "what it does, in the words of the file, lower case; empty = not said", "inhibitor"
        ),
        Column(
            "kind",
            "the edit that stands for it: delete where it lowers or blocks the product, overexpress where it raises it, empty "
            "where the sign is unknown or two sources contradict each other",
            "delete",
        ),
        Column("stage", "approved, phase 3, …, preclinical; empty where the file does not say", "approved"),
        Column("potency", "−log10 of Ki, Kd, IC50 or EC50 in mol/l: 9 = 1 nM; missing where not known", 8.7),
        Column("source", "database that says so", "ChEMBL"),
    ),
    optional=("compound_id", "synonyms", "stage", "potency", "source"),
)

TARGETS = Table(
    "targets",
    "one gene and one action on it that moves cells toward the goal",
    (
        Column("place", "place in the ranking of this kind, 1 = best; missing where it is not ranked", 3.0),
        Column("gene_id", "Ensembl gene id without version", "ENSG00000198793"),
        Column("gene_name", "HGNC symbol", "MTOR"),
        Column("action", "what must be done to the gene: inhibit or activate", "inhibit"),
        Column("kind", "in-silico edit that stands for it", "delete"),
        Column("basis", "what benefit and effect are of: measured, posterior or in silico", "posterior"),
        Column(
            "benefit",
            "posterior: probability of a worthwhile effect toward the goal, 0 to 1; in silico: change in the logit of the goal "
            "state; missing where measured",
            0.82,
        ),
        Column(
            "effect",
            "effect of the action; positive = toward the goal; in the unit of the measured effects, or in silico of the logit",
            0.9,
        ),
        Column("ci_low", "lower end of the 95 % interval of `effect`", 0.3),
        Column("ci_high", "upper end", 1.5),
        Column(
            "certainty",
            "probability that the effect is toward the goal at all, from it and its interval; in silico it is of the model's "
            "number, not of the cell",
            0.97,
        ),
        Column(
            "measured",
            "what was measured of the gene itself, by any modality, in words",
            "crispri +1.30 ± 0.20 (hit)",
        ),
        Column("neighbors", "measured genes that move the expected effect most", "+0.21 by RPTOR"),
        Column(
            "in_silico",
            "in-silico change in the logit of the goal state by this action; positive = toward the goal; missing where it did "
            "not count in the ranking",
            0.11,
        ),
        Column("log2fc", "differential expression, positive = higher in the goal state", -1.2),
        Column("de_padj", "padj of that difference", 0.003),
        Column(
            "de_says",
            "agrees: higher in the start state where it is to be inhibited, or lower where it is to be activated, padj below "
            "0.05; opposes: the reverse; empty: no difference is shown",
            "agrees",
        ),
        Column(
            "de_and_isp",
            "DE ∩ ISP by the direction rule; positive = both say toward the goal, negative = both say away, 0 = they disagree",
            0.7,
        ),
        Column("sign_known", "whether a compound is known to do what is needed", True),
        Column(
            "compounds",
            "compounds that do what is needed, furthest in the clinic first; then how many others",
            "SIROLIMUS",
        ),
        Column("n_agree", "compounds that do what is needed", 4),
        Column("n_oppose", "compounds that do the opposite", 0),
        Column("n_unknown", "compounds that act on it in an unknown way", 12),
        Column("stage", "furthest stage of a compound that does what is needed", "approved"),
        Column(
            "tractability",
            "categories of druggable genes, separated by commas",
            "kinase, clinically actionable",
        ),
        Column("family", "genes whose symbols share a stem, with *; empty where it has none here", "PRKC*"),
        Column("axis", "its ligand or receptor, ligand first", "MIF–CD74"),
        Column(
            "credit",
            "of a gene measured through compounds: genes whose effect is not separable from its own, since the same compounds hit "
            "them",
            "not separable from PRKCA",
        ),
        Column("cautions", "reasons to look twice; the gene is not removed for them", "essential"),
        Column("status", "scored, or spent: measured and used, so not ranked", "scored"),
    ),
)

TARGET_COMPOUNDS = Table(
    "target_compounds",
    "one gene of the table of targets and one compound that acts on it",
    (
        Column("gene_id", "Ensembl gene id without version", "ENSG00000198793"),
        Column("gene_name", "HGNC symbol", "MTOR"),
        Column("action", "what must be done to the gene", "inhibit"),
        Column("compound", "name of the compound", "SIROLIMUS"),
        Column("compound_id", "identifier; empty where the file has none", "CHEMBL413"),
        Column("mechanism", "what it does, in the words of the file", "inhibitor"),
        Column(
            "direction", "agrees: it does what is needed; opposes: it does the opposite; unknown", "agrees"
        ),
        Column("stage", "approved, phase 3, …; empty where no file says", "approved"),
        Column("potency", "−log10 of Ki, Kd, IC50 or EC50 in mol/l; missing where not known", 8.7),
        Column("source", "databases that say so, separated by commas", "ChEMBL"),
    ),
)

TARGET_GROUPS = Table(
    "target_groups",
    "one family of genes, or one receptor with its ligand, and one action",
    (
        Column("group", "stem with *, or ligand–receptor", "PRKC*"),
        Column("sort", "family or axis", "family"),
        Column("action", "what must be done to its genes", "inhibit"),
        Column("n_genes", "genes of it that are ranked", 9),
        Column("genes", "their symbols and places, best first", "PRKCB (3), PRKCA (40)"),
        Column("best_place", "place of the best of them", 3.0),
        Column(
            "mean_percentile",
            "mean place of its genes, 0 = all first, 1 = all last; 0.5 is expected by chance",
            0.12,
        ),
        Column("pvalue", "one-sided rank-sum p that its genes stand no higher than the others", 0.002),
        Column(
            "compounds",
            "compounds that do what is needed to one of them or several",
            "ENZASTAURIN (PRKCA, PRKCB)",
        ),
    ),
)

TARGET_PATHWAYS = Table(
    "target_pathways",
    "one gene set and one action",
    (
        Column("action", "what must be done to the genes", "inhibit"),
        Column("pathway", "name of the set", "PI3K/AKT signaling"),
        Column("n_genes", "genes of the set among the scored ones, which are the background", 84),
        Column("n_best", "of these, how many are among the best genes", 11),
        Column("odds_ratio", "odds that a best gene is in the set, over those of another scored gene", 3.4),
        Column(
            "pvalue", "hypergeometric p, one-sided; genes of a set are correlated, so it is too small", 1e-4
        ),
        Column("padj", "Benjamini-Hochberg over the sets", 0.02),
        Column("leading", "the best genes that are in the set", "MTOR, PIK3CD"),
        Column("collection", "collection the set is from", "reactome"),
    ),
)

TARGET_AGREEMENT = Table(
    "target_agreement",
    "one action: how far differential expression (DE) and the in-silico edit (ISP) agree by the direction rule",
    (
        Column("action", "inhibit or activate", "inhibit"),
        Column("n_scored", "genes that both score: the background", 18000),
        Column("n_de", "genes that DE picks: best tenth of signed DE, if it says toward the goal", 1800),
        Column("n_isp", "genes that the in-silico edit picks: best tenth, if it says toward the goal", 1800),
        Column("n_both", "genes that both pick", 260),
        Column("expected", "how many both would pick by chance", 180.0),
        Column("pvalue", "one-sided hypergeometric p of so many", 1e-9),
        Column("n_measured", "scored genes whose effect by a like modality was measured", 40),
        Column("n_hits", "of these, hits toward the goal", 8),
        Column(
            "ppv_de", "share of hits among the measured genes that DE picks; missing where it picks none", 0.3
        ),
        Column("ppv_isp", "the same of the in-silico edit", 0.25),
        Column("ppv_both", "the same of those both pick", 0.5),
    ),
)
