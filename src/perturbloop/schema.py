"""The nouns of perturbloop: the words, the columns of every table, and the configuration of every step.

Signs. Outside, every number is a *benefit*: positive moves the start state toward the goal state, by the
action named beside it (`inhibit` or `activate`). Inside, measured effects are also kept in canonical form, the
effect of *raising* the gene product, so that modalities can be compared without guessing signs.
"""

from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

import pandas as pd

from perturbloop.errors import InputError, some

Kind = Literal["delete", "overexpress", "inhibit", "activate"]
Modality = Literal["crispr_ko", "crispri", "crispra"]
Design = Literal["paired", "nested", "single"]
LabelSource = Literal["state_score", "condition"]
CallRule = Literal["matched-null", "geneformer", "budget-k"]
Compat = Literal["geneformer"] | None
"""`"geneformer"` repeats the published tool, quirks included; `None` is perturbloop's own way."""

Precision = Literal["float32", "mixed"]
"""float32 throughout, or matrix products and attention in bfloat16 with a float32 residual stream."""
AfterDelete = Literal["shorten", "refill"]
"""A cell cut at the length limit loses a gene: it gets shorter, or the next gene, cut off so far, moves up."""
NotExpressed = Literal["skip", "insert"]
"""A gene that a cell does not express is not edited in it, or is put in where it is raised; it cannot be lowered."""
EngineName = Literal["exact", "fast"]

KINDS: tuple[Kind, ...] = ("delete", "overexpress", "inhibit", "activate")
DEFAULT_KINDS: tuple[Kind, ...] = ("delete", "overexpress")
MODALITIES: tuple[Modality, ...] = ("crispr_ko", "crispri", "crispra")
ACTION: dict[Kind, str] = {
    "delete": "inhibit",
    "inhibit": "inhibit",
    "overexpress": "activate",
    "activate": "activate",
}

STATUS = ("scored", "not_scored", "spent", "excluded")
"""scored; not scored (not expressed, not in the vocabulary); spent (used in training); excluded on request."""


def kind_of(modality: Modality) -> Kind:
    """Return the strongest in-silico edit that a laboratory modality is compared with.

    >>> kind_of("crispri"), kind_of("crispra")
    ('delete', 'overexpress')
    """
    return "overexpress" if modality == "crispra" else "delete"


def judges(modality: Modality, kind: Kind) -> bool:
    """Whether a laboratory modality says if an in-silico edit is right: both lower the gene, or both raise it.

    >>> judges("crispri", "inhibit"), judges("crispra", "delete")
    (True, False)
    """
    return ACTION[kind_of(modality)] == ACTION[kind]


def raising_sign(modality: Modality) -> int:
    """Turn an effect as it was measured into the effect of raising the gene product: −1 for a loss of function.

    >>> raising_sign("crispr_ko"), raising_sign("crispra")
    (-1, 1)
    """
    return 1 if modality == "crispra" else -1


# ------------------------------------------------------------------------------------------------- tables


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
        Column("modality", "what was done: crispr_ko, crispri or crispra", "crispr_ko"),
        Column("level", "gene or guide", "gene"),
        Column("guide_id", "guide label; empty at gene level", "STAT1g2"),
        Column(
            "effect_to_goal",
            "effect as it was done; positive = toward the goal; in standard deviations of control cells",
            1.3,
        ),
        Column(
            "effect", "canonical: effect of raising the product; positive = toward the goal; same unit", -1.3
        ),
        Column("se", "standard error of `effect_to_goal`, same unit", 0.2),
        Column("pvalue", "two-sided p that all its guides are inert", 1e-9),
        Column("padj", "Benjamini-Hochberg over the targets (level gene)", 1e-8),
        Column("hit", "padj below `fdr` and |effect| at least `min_effect`", True),
        Column("n_cells", "perturbed cells behind the number", 412),
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

TABLES = (RANKING, SHIFTS, ESTIMATES, EFFECTS, PREDICTIONS, METRICS, PROPOSALS, COMBINATIONS)


@dataclass(frozen=True)
class Method:
    """A row of the scoreboard: a loop variant, a baseline or a negative control."""

    name: str
    role: Literal["loop", "baseline", "control"]
    title: str
    meaning: str
    uses_effects: bool = False
    """Whether measured effects or perturbed cells go in, so that only rows of a held-out fold may be judged."""


METHODS = (
    Method("frozen", "loop", "open loop, frozen encoder", "in-silico edits, encoder frozen, linear head"),
    Method("full-open", "loop", "open loop, full fine-tuning", "all weights fine-tuned on unperturbed cells"),
    Method(
        "full-closed",
        "loop",
        "closed loop, representation",
        "all weights fine-tuned, perturbed cells added",
        uses_effects=True,
    ),
    Method(
        "full-shuffled",
        "control",
        "representation, shuffled labels",
        "as full-closed, labels shuffled among the perturbed cells",
        uses_effects=True,
    ),
    Method(
        "propagation",
        "baseline",
        "propagation alone",
        "measured effects spread over the gene graph, no model",
        uses_effects=True,
    ),
    Method(
        "evidence",
        "loop",
        "closed loop, evidence",
        "z(frozen) + z(propagation): the default ranking once targets are measured",
        uses_effects=True,
    ),
    Method(
        "evidence-shuffled",
        "control",
        "evidence, shuffled effects",
        "as evidence, effects shuffled among targets",
        uses_effects=True,
    ),
    Method(
        "both", "loop", "closed loop, both channels", "z(full-closed) + z(propagation)", uses_effects=True
    ),
    Method(
        "de-propagation",
        "baseline",
        "signed DE + propagation",
        "z(signed DE) + z(propagation): shows what the model adds",
        uses_effects=True,
    ),
    Method("de", "baseline", "signed DE", "rank-sum z of goal against start, signed for the action"),
    Method("expression", "baseline", "expression", "mean log-normalized expression in start cells"),
    Method("detection", "baseline", "detection rate", "share of start cells that express the gene"),
    Method("chance", "control", "chance", "random scores, seeded"),
)


def method(name: str) -> Method:
    """Look a method up by name.

    >>> method("de").title
    'signed DE'
    """
    return next(entry for entry in METHODS if entry.name == name)


# ------------------------------------------------------------------------------------------ configuration


def _require(condition: bool, need: str, came: object, todo: str) -> None:
    if not condition:
        msg = f"{need}; it is {came!r}. {todo}"
        raise InputError(msg)


def _require_at_least(owner: object, least: int, *names: str) -> None:
    for name in names:
        _require(
            getattr(owner, name) >= least,
            f"`{name}` must be at least {least}",
            getattr(owner, name),
            "Raise it.",
        )


def _require_choice(owner: object, name: str, choices: Iterable[str]) -> None:
    value = getattr(owner, name)
    _require(value in choices, f"`{name}` must be among {some(choices)}", value, "Correct it.")


@dataclass(frozen=True)
class CellsConfig:
    """Which cells, which states, which donors."""

    path: str
    """AnnData file (h5ad) with raw counts, by its full path."""
    state_column: str
    """Column of `obs` that holds the state."""
    start: str
    """State the cells are in."""
    goal: str
    """State they should move to."""
    donor_column: str | None = None
    """Column of `obs` that holds the donor; `None` where the cells have none."""
    design: Design | None = None
    """paired: both states from the same donors; nested: each donor has one state; single: no donors."""
    gene_column: str | None = None
    """Column of `var` that holds gene ids; found by itself where it is `None`."""
    min_cells: int = 20
    """Least number of cells a state must have."""

    def __post_init__(self) -> None:
        """Refuse a goal that is the start."""
        _require(self.start != self.goal, "`start` and `goal` must differ", self.goal, "Name two states.")
        _require(self.min_cells >= 2, "`min_cells` must be at least 2", self.min_cells, "Raise it.")
        if self.design is not None:
            _require_choice(self, "design", get_args(Design))


@dataclass(frozen=True)
class TrainConfig:
    """How the state classifier is trained."""

    model: str = ""
    """Folder of the foundation model: Hugging Face config, safetensors and its vocabulary."""
    vocabulary: str | None = None
    """Folder with the published dictionaries, where the model folder holds no vocabulary."""
    emb_layer: int = 0
    """Layer the cell embedding is read from: 0 = last, -1 = one before it."""
    learning_rate: float = 2e-4
    """Learning rate of full fine-tuning (AdamW)."""
    epochs: int = 3
    """Passes over the training cells in full fine-tuning."""
    batch_tokens: int = 8192
    """Tokens in a training batch."""
    perturbed_share: float = 0.5
    """Largest share of perturbed cells in the closed loop's training cells."""
    max_cells: int = 4000
    """Largest number of state cells used in full fine-tuning, drawn by seed."""
    seed: int = 0
    """Seed of splits, batches and initial head."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _require(
            self.emb_layer <= 0, "`emb_layer` must be 0 or negative", self.emb_layer, "0 is the last layer."
        )
        _require(
            0 < self.perturbed_share <= 0.5,
            "`perturbed_share` must be in (0, 0.5]",
            self.perturbed_share,
            "Lower it.",
        )
        _require_at_least(self, 1, "epochs", "batch_tokens", "max_cells")
        _require(self.learning_rate > 0, "`learning_rate` must be positive", self.learning_rate, "Raise it.")


@dataclass(frozen=True)
class PerturbConfig:
    """Which in-silico edits are made, in how many cells."""

    kinds: tuple[Kind, ...] = DEFAULT_KINDS
    """Edits to make."""
    engine: EngineName = "exact"
    """exact: every edited cell is encoded; fast: gradients screen all cells, and exact cells correct and confirm."""
    top: int = 50
    """Fast engine: best genes of each kind to be found and confirmed in exact cells."""
    width: float = 0.0
    """Fast engine: verify every gene until its 95 % interval is no wider than this, in logits; 0 = not asked for."""
    screen_cells: int = 200
    """Fast engine: start cells to screen, drawn by seed."""
    dose: float = 1.0
    """How far `inhibit` and `activate` move a gene: 0 = not at all, 1 = to the end or to the front of the encoding."""
    after_delete: AfterDelete = "shorten"
    """Whether the gene beyond the length limit moves up when one is deleted."""
    not_expressed: NotExpressed = "skip"
    """What happens to a gene in a cell that does not express it."""
    precision: Precision | Literal["auto"] = "auto"
    """Arithmetic: float32, mixed (bfloat16 matrix products), or auto: mixed where the device has bfloat16 units."""
    cells_per_gene: int = 20
    """Exact engine: start cells each gene is edited in, drawn by seed among those that express it."""
    full_cells_per_gene: int = 2
    """The same for the full ranking of a fine-tuned encoder; where it is judged, `cells_per_gene` hold."""
    reference_genes: int = 200
    """Genes a fine-tuned encoder scores beside the held-out targets of a fold, so that a target's place among all genes can
    be told."""
    batch_tokens: int = 16384
    """Tokens in a batch of the engine."""
    null_genes: int = 100
    """Rank- and expression-matched genes behind a gene's null."""
    seed: int = 0
    """Seed of the draw of cells."""

    def __post_init__(self) -> None:
        """Refuse unknown kinds and empty plans."""
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        _require(
            bool(self.kinds) and not unknown,
            f"`kinds` must be among {some(KINDS)}",
            list(self.kinds),
            "Correct it.",
        )
        names = (
            "cells_per_gene",
            "full_cells_per_gene",
            "reference_genes",
            "batch_tokens",
            "top",
            "screen_cells",
        )
        _require_at_least(self, 1, *names)
        _require_at_least(self, 10, "null_genes")
        _require(0 <= self.dose <= 1, "`dose` must be between 0 and 1", self.dose, "Correct it.")
        _require(self.width >= 0, "`width` must not be negative", self.width, "Correct it.")
        _require_choice(self, "engine", get_args(EngineName))
        _require_choice(self, "after_delete", get_args(AfterDelete))
        _require_choice(self, "not_expressed", get_args(NotExpressed))
        _require_choice(self, "precision", ("auto", *get_args(Precision)))
        graded = [kind for kind in self.kinds if kind not in DEFAULT_KINDS]
        _require(
            self.engine == "exact" or not graded,
            f"The fast engine screens {some(DEFAULT_KINDS)}",
            graded,
            'Set `engine = "exact"` for graded moves.',
        )


@dataclass(frozen=True)
class PerturbedConfig:
    """One file of really perturbed cells."""

    path: str
    """AnnData file (h5ad) with raw counts, by its full path."""
    target_column: str
    """Column of `obs` that holds the perturbed gene."""
    control: str
    """Label of the control cells in that column."""
    modality: Modality
    """What was done to the cells."""
    gene_column: str | None = None
    """Column of `var` that holds gene ids; found by itself where it is `None`."""
    replicate_column: str | None = None
    """Column of `obs` that holds the replicate; effects are read against controls of the same one."""
    guide_column: str | None = None
    """Column of `obs` that holds the guide."""
    purity_column: str | None = None
    """Column of `obs` with the purity of the guide call, 0 to 1; found by itself where it is `None`."""
    min_purity: float = 0.0
    """Least purity of a cell's guide call; needs a purity column when positive."""
    condition_column: str | None = None
    """Column of `obs` with the condition; only needed for labels of source `condition`."""
    label_source: LabelSource = "state_score"
    """Where the training label of a perturbed cell comes from: a soft state score, or `condition_column`, whose values must
    then be the names of the start and the goal state."""
    min_cells: int = 10
    """Least number of cells of a target."""

    def __post_init__(self) -> None:
        """Refuse unknown modalities and purities outside 0 to 1."""
        _require_choice(self, "modality", MODALITIES)
        _require_choice(self, "label_source", get_args(LabelSource))
        _require(
            0 <= self.min_purity <= 1, "`min_purity` must be between 0 and 1", self.min_purity, "Correct it."
        )


@dataclass(frozen=True)
class EvaluateConfig:
    """What a hit is and how rankings are judged."""

    fdr: float = 0.05
    """A measured target is a hit below this padj …"""
    min_effect: float = 0.3
    """… and with an absolute effect of at least this, in standard deviations of the control cells."""
    folds: int = 5
    """Folds of leave-targets-out, where fewer than 30 targets are measured."""
    call: CallRule = "matched-null"
    """Rule that turns a shift into a call."""
    budget: int = 20
    """k of `budget-k`, of precision at k, and of a proposed batch."""
    bootstrap: int = 1000
    """Bootstrap samples over genes."""
    seed: int = 0
    """Seed of the bootstrap and of chance."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _require(0 < self.fdr < 1, "`fdr` must be between 0 and 1", self.fdr, "Correct it.")
        _require_choice(self, "call", get_args(CallRule))
        _require_at_least(self, 2, "folds")
        _require_at_least(self, 1, "budget", "bootstrap")
        _require(self.min_effect >= 0, "`min_effect` must not be negative", self.min_effect, "Correct it.")


@dataclass(frozen=True)
class CampaignConfig:
    """A campaign: one record per step; saved as `campaign.toml`."""

    cells: CellsConfig
    train: TrainConfig
    perturb: PerturbConfig = PerturbConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    perturbed: tuple[PerturbedConfig, ...] = ()

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "CampaignConfig":
        """Build from nested dictionaries; unknown keys are refused with their name."""
        parts = {
            "cells": CellsConfig,
            "train": TrainConfig,
            "perturb": PerturbConfig,
            "evaluate": EvaluateConfig,
        }
        unknown = [key for key in tree if key not in {*parts, "perturbed"}]
        _require(
            not unknown,
            f"Campaign sections must be among {some([*parts, 'perturbed'])}",
            unknown,
            "Remove the others.",
        )
        built = {key: _build(kind, tree.get(key, {}), key) for key, kind in parts.items()}
        built["perturbed"] = tuple(
            _build(PerturbedConfig, entry, "perturbed") for entry in tree.get("perturbed", ())
        )
        return cls(**built)

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries without the unset values."""
        return {key: _unset_dropped(value) for key, value in asdict(self).items()}


def _build(kind: type, values: dict[str, Any], section: str) -> Any:
    known = [field.name for field in fields(kind)]
    unknown = [key for key in values if key not in known]
    _require(
        not unknown,
        f"Section `{section}` has the options {some(known, limit=30)}",
        unknown,
        "Correct the name.",
    )
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    missing = [name for name in needed if name not in values]
    _require(
        not missing,
        f"Section `{section}` needs the options {some(needed)}",
        sorted(values),
        f"Add {some(missing)}.",
    )
    try:
        return kind(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        )
    except TypeError as error:  # a text where a number is needed, or the other way round
        msg = f"Section `{section}` holds a value of the wrong type: {error}. Correct it; numbers stand without quotes."
        raise InputError(msg) from error


def _unset_dropped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unset_dropped(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_unset_dropped(item) for item in value]
    return value


def concat(table: Table, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join frames of one table; an empty list gives an empty table with its columns."""
    parts = [table.checked(frame) for frame in frames if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=table.names)
