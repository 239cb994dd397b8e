"""One frozen record per step of a campaign; a campaign is one TOML file."""

import re
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

from perturbloop.errors import InputError, some
from perturbloop.schema.checks import (
    MOST,
    MOST_SEED,
    require,
    require_between,
    require_choice,
    require_types,
)
from perturbloop.schema.words import (
    ARMS,
    DEFAULT_KINDS,
    KINDS,
    MODALITIES,
    AfterDelete,
    CallRule,
    Design,
    DeTest,
    EngineName,
    HigherIs,
    Kind,
    LabelSource,
    Level,
    Modality,
    NotExpressed,
    Precision,
)


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
        require_types(self)
        require(self.start != self.goal, "`start` and `goal` must differ", self.goal, "Name two states.")
        require_between(self, 2, MOST, "min_cells")
        if self.design is not None:
            require_choice(self, "design", get_args(Design))


@dataclass(frozen=True)
class TrainConfig:
    """How the state classifier is trained."""

    model: str = ""
    """Folder of the foundation model: Hugging Face config, safetensors and its vocabulary."""
    vocabulary: str | None = None
    """Folder with the published dictionaries, where the model folder holds no vocabulary."""
    emb_layer: int = 0
    """Layer the cell embedding is read from: 0 = last, -1 = one before it."""
    levels: tuple[Level, ...] = ("full",)
    """Levels of the representation channel: lora, full or both; frozen is always run beside them."""
    learning_rate: float = 2e-4
    """Learning rate of full fine-tuning (AdamW): the first knob to turn; too high a rate ruins the in-silico signal."""
    lora_learning_rate: float = 1e-3
    """Learning rate of low-rank adapters (AdamW); they want about ten times that of all weights."""
    lora_rank: int = 8
    """Rank of the adapters."""
    epochs: int = 3
    """Passes over the training cells in fine-tuning."""
    batch_tokens: int = 8192
    """Tokens in a training batch."""
    perturbed_share: float = 0.5
    """Largest share of perturbed cells in any batch of the closed loop, and among all its training cells."""
    consistency: float = 0.0
    """Weight of the consistency loss: control cells with a training target edited should land where its perturbed cells
    are; 0 = off."""
    max_cells: int = 4000
    """Largest number of state cells used in fine-tuning, drawn by seed."""
    seed: int = 0
    """Seed of splits, batches and initial head."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        require_types(self)
        require(
            -1000 <= self.emb_layer <= 0,
            "`emb_layer` must be 0 or negative",
            self.emb_layer,
            "0 is the last layer, -1 the one before it.",
        )
        require_between(self, 0, MOST_SEED, "seed")
        require(
            0 < self.perturbed_share <= 0.5,
            "`perturbed_share` must be in (0, 0.5]",
            self.perturbed_share,
            "Lower it.",
        )
        require_between(self, 1, MOST, "epochs", "batch_tokens", "max_cells", "lora_rank")
        require_between(self, 0, MOST, "consistency")
        for name in ("learning_rate", "lora_learning_rate"):
            rate = getattr(self, name)
            require(0 < rate <= 10, f"`{name}` must be positive and at most 10", rate, "Correct it.")
        unknown = [level for level in self.levels if level not in get_args(Level)]
        require(
            bool(self.levels) and not unknown,
            f"`levels` must be among {some(get_args(Level))}",
            list(self.levels),
            "Correct it.",
        )


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
        require_types(self)
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        require(
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
        require_between(self, 1, MOST, *names)
        require_between(self, 10, MOST, "null_genes")
        require(0 <= self.dose <= 1, "`dose` must be between 0 and 1", self.dose, "Correct it.")
        require_between(self, 0, MOST, "width")
        require_between(self, 0, MOST_SEED, "seed")
        require_choice(self, "engine", get_args(EngineName))
        require_choice(self, "after_delete", get_args(AfterDelete))
        require_choice(self, "not_expressed", get_args(NotExpressed))
        require_choice(self, "precision", ("auto", *get_args(Precision)))
        graded = [kind for kind in self.kinds if kind not in DEFAULT_KINDS]
        require(
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
    """Column of `obs` that holds the perturbed gene, or the compound."""
    control: str
    """Label of the control cells in that column."""
    modality: Modality
    """What was done to the cells."""
    targets: str | None = None
    """Table with the columns `compound` (or `name`), `gene` and `action` (or `kind`: inhibitor, activator, …), for modality
    `drug`: every gene a compound hits is spent with it."""
    dose_column: str | None = None
    """Column of `obs` with the dose of a drug, a number; cells at each compound's highest dose are used."""
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
    phenotype_column: str | None = None
    """Column of `obs` with a phenotype of each cell, for labels of source `phenotype`: a probability of the goal state (0 to
    1), or a gate that names the start or the goal state."""
    label_table: str | None = None
    """Table with the columns `gene` and `call` (goal, start or none), for labels of source `screen`: what each perturbation,
    as it is done here, did in another screen."""
    label_source: LabelSource = "state_score"
    """Where the training label of a perturbed cell comes from: a soft `state_score`; `phenotype`, its own measured phenotype;
    `condition`, whose values must be the names of the start and the goal state; `screen`, its target's call in
    `label_table`."""
    drop_escaped: bool = False
    """Whether cells that look like controls, along their target's own direction, are left out of training; effects always
    keep them."""
    min_cells: int = 10
    """Least number of cells of a target."""

    def __post_init__(self) -> None:
        """Refuse unknown modalities and purities outside 0 to 1."""
        require_types(self)
        require_between(self, 1, MOST, "min_cells")
        require_choice(self, "modality", MODALITIES)
        require_choice(self, "label_source", get_args(LabelSource))
        require(
            0 <= self.min_purity <= 1, "`min_purity` must be between 0 and 1", self.min_purity, "Correct it."
        )
        require(
            self.modality != "drug" or bool(self.targets),
            "Cells of modality `drug` need `targets`, the table of what each compound hits",
            self.targets,
            "Name it with `--targets`.",
        )
        require(
            self.modality == "drug" or self.targets is None,
            "`targets` belongs to compounds, so the `modality` of these cells must be drug",
            self.modality,
            "Correct one of them.",
        )
        read_from = (("phenotype", "phenotype_column"), ("screen", "label_table"))
        for source, option in read_from:
            require(
                self.label_source != source or bool(getattr(self, option)),
                f"Labels of source `{source}` need `{option}`",
                getattr(self, option),
                f"Name it with `--{option.replace('_', '-')}`, or use `--label-source state_score`.",
            )
        for source, option in read_from:
            require(
                self.label_source == source or getattr(self, option) is None,
                f"`{option}` belongs to labels of source `{source}`",
                self.label_source,
                f"Ask for them with `--label-source {source}`, or leave `--{option.replace('_', '-')}` out.",
            )


@dataclass(frozen=True)
class ScreenConfig:
    """One table with a score for each gene: a CRISPR screen, differential expression, or drug responses."""

    path: str
    """Text table (tab, comma or semicolon; .gz too), by its full path."""
    name: str
    """Name of the screen in reports; recording the same name again replaces it."""
    modality: Modality
    """What was done to the genes."""
    higher_is: HigherIs
    """State that a high score, as it was measured, stands for; `start` turns the sign."""
    fdr: float | None = None
    """A gene is a hit below this false discovery rate; 0.05 where no other rule is given."""
    top: float | None = None
    """Rather: the genes with this share of the largest absolute scores are hits."""
    hits: str | None = None
    """Rather: the genes listed in this file, one a line, are hits."""
    hit_column: str | None = None
    """Rather: the genes for which this column is true are hits."""
    min_detection: float = 0.01
    """Genes that are seen in less than this share of the cells of either state are excluded; 0 = none is."""
    gene_column: str | None = None
    """Column with symbols or Ensembl ids; found by itself where it is `None`, as are the next four."""
    score_column: str | None = None
    """Column with the signed score."""
    pvalue_column: str | None = None
    """Column with two-sided p-values."""
    fdr_column: str | None = None
    """Column with false discovery rates."""
    se_column: str | None = None
    """Column with standard errors of the score."""
    screen_column: str = "screen"
    """Column that names the screen of each row, in a file of several."""
    screen: str | None = None
    """Which of them, as the column names it."""
    targets: str | None = None
    """Table of compounds and their targets, as that of perturbed cells, where each row of the file is a compound."""

    def __post_init__(self) -> None:
        """Refuse unknown modalities and more than one rule for hits."""
        require_types(self)
        require_choice(self, "modality", ARMS)
        require_choice(self, "higher_is", get_args(HigherIs))
        rules = [name for name in ("fdr", "top", "hits", "hit_column") if getattr(self, name) is not None]
        require(len(rules) <= 1, "A hit is told by one rule", rules, "Keep one of them.")
        for name in ("fdr", "top"):
            share = getattr(self, name)
            require(share is None or 0 < share < 1, f"`{name}` must be between 0 and 1", share, "Correct it.")
        require(
            0 <= self.min_detection <= 1,
            "`min_detection` must be between 0 and 1",
            self.min_detection,
            "Correct it.",
        )
        require(bool(self.name.strip()), "`name` must not be empty", self.name, "Name the screen.")
        require(
            self.targets is None or self.modality in ("inhibitor", "activator"),
            "`targets` belongs to compounds, so `modality` must be inhibitor or activator",
            self.modality,
            "Correct one of them.",
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
    de: DeTest = "auto"
    """Test of differential expression: PyDESeq2 on donors' pseudobulks or on metacells, or the rank-sum of cells; auto takes
    the first of them that the cells allow."""
    pathway: str | None = None
    """Known pathway behind the baseline `pathway`, by the name of its stimulus or of a set of `gene_sets`; `None` = the one
    recognized in the states."""
    positive_controls: tuple[str, ...] = ()
    """Symbols of genes that must move cells toward the goal, alone or with the action (CD3E:inhibit); where none is named, the
    pathway of the stimulus recognized in the states, and a gene that a state's name says is knocked out."""
    negative_controls: tuple[str, ...] = ()
    """Symbols of genes that can do nothing here, beside those that no start cell expresses and olfactory receptors."""
    seed: int = 0
    """Seed of the bootstrap, of chance and of metacells."""
    gene_sets: str | None = None
    """GMT file of pathways or complexes, by its full path; it gives the baseline `degree`, and every metric is then given a second time for the held-out targets
    that share no set (of 5 to 500 genes) with a target in training. It must not have been made from the screen that is judged."""
    essential_genes: str | None = None
    """File of the genes that every cell needs, by its full path: one symbol or Ensembl id a line, or a table with a column
    `gene`. Targets are then judged among them and among the others as well, and the flag `core-essential` marks them instead
    of a short built-in list of gene families."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        require_types(self)
        require(0 < self.fdr < 1, "`fdr` must be between 0 and 1", self.fdr, "Correct it.")
        require_choice(self, "call", get_args(CallRule))
        require_choice(self, "de", get_args(DeTest))
        wrong = [
            name
            for name in self.positive_controls
            if not re.fullmatch(r"[^:\s]+(:(inhibit|activate))?", name)
        ]
        require(
            not wrong,
            "`positive_controls` must be symbols, each alone or with `:inhibit` or `:activate`",
            wrong,
            "Write them like CD3E or CD3E:inhibit.",
        )
        require_between(self, 2, MOST, "folds")
        require_between(self, 1, MOST, "budget", "bootstrap")
        require_between(self, 0, MOST, "min_effect")
        require_between(self, 0, MOST_SEED, "seed")


@dataclass(frozen=True)
class CampaignConfig:
    """A campaign: one record per step; saved as `campaign.toml`."""

    cells: CellsConfig
    train: TrainConfig
    perturb: PerturbConfig = PerturbConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    perturbed: tuple[PerturbedConfig, ...] = ()
    screen: tuple[ScreenConfig, ...] = ()

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "CampaignConfig":
        """Build from nested dictionaries; unknown keys are refused with their name."""
        parts = {
            "cells": CellsConfig,
            "train": TrainConfig,
            "perturb": PerturbConfig,
            "evaluate": EvaluateConfig,
        }
        lists = {"perturbed": PerturbedConfig, "screen": ScreenConfig}
        unknown = [key for key in tree if key not in {*parts, *lists}]
        require(
            not unknown,
            f"Campaign sections must be among {some([*parts, *lists], limit=10)}",
            unknown,
            "Remove the others.",
        )
        for key in lists:
            several = isinstance(tree.get(key, []), (list, tuple))
            require(
                several, f"Each `{key}` must stand in a section `[[{key}]]`", tree.get(key), "Correct it."
            )
        built = {key: _build(kind, tree.get(key, {}), key) for key, kind in parts.items()}
        for key, kind in lists.items():
            built[key] = tuple(_build(kind, entry, key) for entry in tree.get(key, ()))
        return cls(**built)

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries without the unset values."""
        return {key: _unset_dropped(value) for key, value in asdict(self).items()}


def _build(kind: type, values: Any, section: str) -> Any:
    require(
        isinstance(values, dict),
        f"`{section}` must be a section of options",
        values,
        "Write one option a line.",
    )
    known = [field.name for field in fields(kind)]
    unknown = [key for key in values if key not in known]
    require(
        not unknown,
        f"Section `{section}` has the options {some(known, limit=30)}",
        unknown,
        "Correct the name.",
    )
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    missing = [name for name in needed if name not in values]
    require(
        not missing,
        f"Section `{section}` needs the options {some(needed)}",
        sorted(values),
        f"Add {some(missing)}.",
    )
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(**options)
    except InputError as error:
        error.add_note(f"in section `{section}`")
        raise


def _unset_dropped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unset_dropped(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_unset_dropped(item) for item in value]
    return value
