"""What is recorded: options of one file of perturbed cells, and of one screen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from perturbloop.schema.checks import Count, FileName, Open, Share, check, file_fields, require
from perturbloop.schema.reading import Reading, unsaid
from perturbloop.schema.words import CellModality, HigherIs, LabelSource, PvalueSides, Readout, ScreenModality

_OF_ARMS = ("donor_column", "time_column", "cell_type_column", "well_column", "recovered_column")
"""Options that say nothing without a column of arms."""


@dataclass(frozen=True)
class PerturbedConfig(Reading):
    """One file of really perturbed cells."""

    path: FileName
    """File with raw counts of perturbed and control cells: h5ad, zarr or loom."""
    control: str | tuple[str, ...]
    """Label of the control cells, or several; a star stands for any letters (`NT-*`)."""
    modality: CellModality
    """What was done to the cells: crispr_ko, crispri, crispra or drug."""
    target_column: str | None = None
    """Column of `obs` that holds the perturbed gene, or the compound; where `guides` are named, it is told by them."""
    guides: FileName | None = None
    """Guide calls of cellranger, `protospacer_calls_per_cell.csv`, where they lie beside the counts."""
    several: Literal["drop", "combine"] = "drop"
    """What becomes of cells with guides of several genes: drop, or combine as a target of its own (A+B)."""
    mixscape: Literal["all", "ko"] = "all"
    """Of cells with a `mixscape_class`: all are used, or those that it calls KO only."""
    targets: FileName | None = None
    """Table with the columns `compound` (or `name`), `gene` and `action` (or `kind`: inhibitor, activator, …), for modality
    `drug`: every gene a compound hits is spent with it."""
    dose_column: str | None = None
    """Column of `obs` with the dose of a drug, a number; effects are of the cells at each compound's highest dose."""
    arm_column: str | None = None
    """Column of `obs` that tells cells of the start state (the disease) from those of the goal (the control): effects are then
    measured in the start state alone, and how far each compound brings cells back to the goal is told for every dose."""
    donor_column: str | None = None
    """Column of `obs` with the donor, by the names that the state cells have; needs `arm_column`."""
    time_column: str | None = None
    """Column of `obs` with the hours under treatment; needs `arm_column`."""
    cell_type_column: str | None = None
    """Column of `obs` with the cell type, for results of each; needs `arm_column`, and is found by itself where none is named."""
    well_column: str | None = None
    """Column of `obs` with the well: cells recovered are told per well; needs `arm_column`."""
    recovered_column: str | None = None
    """Column of `obs` with the cells that were counted in the well, sequenced or not; by itself those sequenced. Needs `well_column`."""
    gene_column: str | None = None
    """Column of `var` that holds gene ids; found by itself where none is named."""
    replicate_column: str | None = None
    """Column of `obs` that holds the replicate; effects are read against controls of the same one."""
    guide_column: str | None = None
    """Column of `obs` that holds the guide."""
    purity_column: str | None = None
    """Column of `obs` with the purity of the guide call, 0 to 1; found by itself where none is named."""
    min_purity: Share = 0.0
    """Least purity of a cell's guide call; needs a purity column when positive."""
    condition_column: str | None = None
    """Column of `obs` with the condition; only needed for labels of source `condition`."""
    phenotype_column: str | None = None
    """Column of `obs` with a phenotype of each cell, for labels of source `phenotype`: a probability of the goal state (0 to
    1), or a gate that names the start or the goal state."""
    label_table: FileName | None = None
    """Table with the columns `gene` and `call` (goal, start or none), for labels of source `screen`: what each perturbation,
    as it is done here, did in another screen."""
    label_source: LabelSource = "state_score"
    """Where the training label of a perturbed cell comes from: a soft `state_score`; `phenotype`, its own measured phenotype;
    `condition`, whose values must be the names of the start and the goal state; `screen`, its target's call in
    `label_table`."""
    drop_escaped: bool = False
    """Whether cells that look like controls, along their target's own direction, are left out of training; effects always
    keep them."""
    min_cells: Count = 10
    """Least number of cells of a target."""

    def __post_init__(self) -> None:
        """Refuse unknown modalities and purities outside 0 to 1."""
        check(self)
        if isinstance(self.control, tuple) and len(self.control) == 1:
            object.__setattr__(self, "control", self.control[0])  # one label is one label, however it came
        require(
            bool(self.controls) and all(self.controls),
            "`control` must name a label",
            self.control,
            "Name it with `--control`.",
        )
        require(
            bool(self.target_column or self.guides),
            "Perturbed cells need `target_column`, the column of `obs` with the perturbed gene, or `guides`, the guide calls",
            self.target_column,
            "Name it with `--target-column`, or the file with `--guides`.",
        )
        require(
            self.guides is None or self.guide_column is None,
            "`guides` names the guide of each cell, so `guide_column` must be left out",
            self.guide_column,
            "Keep one of them.",
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

        for option in _OF_ARMS:
            require(
                bool(self.arm_column) or getattr(self, option) is None,
                f"`{option}` belongs to a file with cells of both states, told by `arm_column`",
                self.arm_column,
                f"Name it with `--arm-column`, or leave `--{option.replace('_', '-')}` out.",
            )

        require(
            bool(self.well_column) or self.recovered_column is None,
            "`recovered_column` counts the cells of a well, so it needs `well_column`",
            self.well_column,
            "Name it with `--well-column`, or leave `--recovered-column` out.",
        )

    @property
    def controls(self) -> tuple[str, ...]:
        """Labels and patterns of the control cells."""
        return (self.control,) if isinstance(self.control, str) else self.control


@dataclass(frozen=True)
class ScreenConfig:
    """One table with a score for each gene: a CRISPR screen, differential expression, or drug responses."""

    path: FileName
    """Table with one score a gene, or a compound: text (tab, comma or semicolon; .gz too), .rnk, or .xlsx."""
    name: str
    """Name of the screen in reports; on the command line that of its file by default, and of the screen in it."""
    modality: ScreenModality
    """What was done to the genes of a screen: crispr_ko, crispri, crispra, inhibitor or activator."""
    higher_is: HigherIs
    """goal or start: state that a high score, as it was measured, stands for; start turns the sign."""
    fdr: Open | None = None
    """A gene is a hit below this false discovery rate; 0.05 where no other rule is given."""
    top: Open | None = None
    """Rather: the genes with this share of the largest absolute scores are hits."""
    hits: FileName | None = None
    """Rather: the genes listed in this file, one a line, are hits."""
    hit_column: str | None = None
    """Rather: the genes for which this column is true are hits."""
    min_detection: Share = 0.01
    """Genes that are seen in less than this share of the cells of either state are excluded; 0 = none is."""
    gene_column: str | None = None
    """Column of the table with symbols or Ensembl ids; found by itself where none is named, as are the next four."""
    score_column: str | None = None
    """Column with the signed score."""
    pvalue_column: str | None = None
    """Column with p-values."""
    pvalue_sides: PvalueSides | None = None
    """one where p-values are those of one tail, two where of both; asked for where a table of no known tool looks one-sided."""
    fdr_column: str | None = None
    """Column with false discovery rates."""
    se_column: str | None = None
    """Column with standard errors of the score."""
    screen_column: str = "screen"
    """Column that names the screen of each row, in a file of several."""
    screen: str | None = None
    """Which of them, as the column names it; or which of several comparisons whose columns stand side by side."""
    sheet: str | None = None
    """Sheet of a workbook; its only one by default."""
    targets: FileName | None = None
    """Table of compounds and their targets, as that of perturbed cells, where each row of the file is a compound."""
    readout: Readout | None = None
    """What the file holds where it has one row a well: colonies, marker, cytokine, or qpcr (ΔCt). Wells become scores against
    those of `control`."""
    control: str | tuple[str, ...] | None = None
    """Label of the wells of a readout with the vehicle, or several."""
    replicate_column: str | None = None
    """Column of a readout with the plate or donor within which wells are compared."""
    dose_column: str | None = None
    """Column of a readout with the dose, a number; the highest that is not toxic counts."""
    viability: FileName | None = None
    """Table of viability, one row a well like the readout: doses at which fewer than 70 % of the control's cells live say
    nothing of a gene."""

    def __post_init__(self) -> None:
        """Refuse unknown modalities and more than one rule for hits."""
        check(self)
        rules = [name for name in ("fdr", "top", "hits", "hit_column") if getattr(self, name) is not None]
        require(len(rules) <= 1, "A hit is told by one rule", rules, "Keep one of them.")
        require(bool(self.name.strip()), "`name` must not be empty", self.name, "Name the screen.")
        require(
            self.targets is None or self.modality in ("inhibitor", "activator"),
            "`targets` belongs to compounds, so `modality` must be inhibitor or activator",
            self.modality,
            "Correct one of them.",
        )
        if self.readout is not None:
            require(
                bool(self.controls),
                "A readout needs wells of a `control`",
                self.control,
                "Name them with `--control`.",
            )
        for name in ("control", "replicate_column", "dose_column", "viability"):
            require(
                self.readout is not None or getattr(self, name) is None,
                f"`{name}` belongs to a readout with one row a well",
                getattr(self, name),
                f"Name what it holds with `--readout`, or leave `--{name.replace('_', '-')}` out.",
            )

    @property
    def controls(self) -> tuple[str, ...]:
        """Labels of the control wells of a readout; empty where none are named."""
        return (self.control,) if isinstance(self.control, str) else self.control or ()


RecordedFile = PerturbedConfig | ScreenConfig
"""A file of perturbed cells, or a screen, and how it is read."""


def name_of(entry: RecordedFile) -> str:
    """Name by which a recorded file is known: that of the screen, or of the file of cells."""
    return entry.name if isinstance(entry, ScreenConfig) else Path(entry.path).name


_LATER = {
    "several": "drop",
    "mixscape": "all",
    **dict.fromkeys(("arm_column", *_OF_ARMS)),
}
"""Options that came later: left as they are, they change nothing that was measured before."""
_OF_WELLS = ("readout", "control", "replicate_column", "dose_column")
"""Those of a screen, likewise."""


def options_of(entry: RecordedFile) -> dict[str, Any]:
    """Every option of a recorded file but the paths, which say nothing of the content, and what decides nothing as it stands."""
    paths = file_fields(type(entry))
    return {
        name: value
        for name, value in vars(entry).items()
        if name not in paths
        and not unsaid(name, value)
        and (name not in _LATER or value != _LATER[name])
        and not (isinstance(entry, ScreenConfig) and name in _OF_WELLS and value is None)
    }
