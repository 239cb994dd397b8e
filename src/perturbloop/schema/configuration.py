"""One frozen record per step of a campaign; a campaign is one TOML file."""

import re
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

from annotated_types import Interval, MinLen

from perturbloop.errors import InputError, some
from perturbloop.schema.checks import (
    MOST,
    Count,
    FileName,
    Open,
    Quantity,
    Seed,
    Share,
    check,
    require,
)
from perturbloop.schema.reading import Reading, is_reading, unsaid
from perturbloop.schema.recording import PerturbedConfig, RecordedFile, ScreenConfig
from perturbloop.schema.training import TrainConfig
from perturbloop.schema.words import (
    DEFAULT_KINDS,
    Action,
    AfterDelete,
    Aim,
    CallRule,
    Design,
    DeTest,
    EngineName,
    Kind,
    NotExpressed,
    Precision,
    Split,
)


@dataclass(frozen=True)
class CellsConfig(Reading):
    """Which cells, which states, which donors."""

    path: FileName | tuple[FileName, ...]
    """File with raw counts: h5ad, zarr, loom, or a 10x matrix (h5 or folder). Of several, `obs` gets a column `batch` that names
    the file of each cell."""
    state_column: str
    """Column of `obs` that holds the state."""
    start: str
    """State the cells are in."""
    goal: str
    """State they should move to."""
    donor_column: str | None = None
    """Column of `obs` that holds the donor, where the cells have one."""
    design: Design | None = None
    """paired: both states from the same donors; nested: each donor has one state; single: no donors. Found by itself where none
    is named."""
    gene_column: str | None = None
    """Column of `var` that holds gene ids; found by itself where none is named."""
    min_cells: Annotated[int, Interval(ge=2, le=MOST)] = 20
    """Least number of cells a state must have."""
    split: Split | None = None
    """What is held out to check the state classifier: donors (a fifth of them; by itself where a donor is named), or cells (a fifth of
    each state at random; by itself where none is). To ask for cells needs `as_published`."""
    as_published: bool | None = None
    """Whether what flatters is done all the same, to repeat a published recipe: a random split of cells."""

    unedited: Literal["exclude"] | None = None
    """What becomes of cells of a knockout that were never edited, as they sit with the goal cells on an axis that never saw their
    donor: they are counted, or left out (exclude)."""

    def __post_init__(self) -> None:
        """Refuse a goal that is the start, and no file at all."""
        check(self)
        require(
            bool(self.paths) and all(self.paths),
            "`path` must name a file",
            self.path,
            "Name the file of the cells.",
        )
        require(self.start != self.goal, "`start` and `goal` must differ", self.goal, "Name two states.")
        require(
            self.split != "cells" or bool(self.as_published),
            "A random split of cells mixes donors: cells of one donor train the classifier and check it, so held-out figures, and an epoch "
            "chosen by them, say how well donors are remembered. `split` = 'cells' therefore needs `as_published`",
            self.as_published,
            "Type `--as-published` to repeat a published recipe all the same, or `--split donors`.",
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """All files, in order."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def decisive(self) -> dict[str, Any]:
        """Options that decide which cells are compared, unset ones left out; what `Reading` keeps is part of the cells' digest."""
        values = {
            name: value for name, value in vars(self).items() if not is_reading(name) and value is not None
        }
        return values | {"path": ""}


@dataclass(frozen=True)
class PerturbConfig:
    """Which in-silico edits are made, in how many cells."""

    kinds: Annotated[tuple[Kind, ...], MinLen(1)] = DEFAULT_KINDS
    """Edits to make."""
    engine: EngineName = "exact"
    """exact: every edited cell is encoded; fast: gradients screen all cells, and exact cells correct and confirm."""
    top: Count = 50
    """Fast engine: best genes of each kind to be found and confirmed in exact cells."""
    width: Quantity = 0.0
    """Fast engine: verify every gene until its 95 % interval is no wider than this, in logits; 0 = not asked for."""
    screen_cells: Count = 200
    """Fast engine: start cells to screen, drawn by seed."""
    dose: Share = 1.0
    """How far `inhibit` and `activate` move a gene: 0 = not at all, 1 = to the end or to the front of the encoding."""
    after_delete: AfterDelete = "shorten"
    """Whether the gene beyond the length limit moves up when one is deleted."""
    not_expressed: NotExpressed = "skip"
    """What happens to a gene in a cell that does not express it."""
    precision: Literal["auto", Precision] = "auto"
    """Arithmetic: float32, mixed (bfloat16 matrix products), or auto: mixed where the device has bfloat16 units."""
    cells_per_gene: Count = 20
    """Exact engine: start cells each gene is edited in, drawn by seed among those that express it."""
    full_cells_per_gene: Count = 2
    """The same for the full ranking of a fine-tuned encoder; where it is judged, `cells_per_gene` hold."""
    reference_genes: Count = 200
    """Genes a fine-tuned encoder scores beside the held-out targets of a fold, so that a target's place among all genes can
    be told."""
    batch_tokens: Count = 16384
    """Tokens in a batch of the engine."""
    null_genes: Annotated[int, Interval(ge=10, le=MOST)] = 100
    """Rank- and expression-matched genes behind a gene's null."""
    seed: Seed = 0
    """Seed of the draw of cells."""

    def __post_init__(self) -> None:
        """Refuse unknown kinds, and graded moves of the fast engine."""
        check(self)
        graded = [kind for kind in self.kinds if kind not in DEFAULT_KINDS]
        require(
            self.engine == "exact" or not graded,
            f"The fast engine screens {some(DEFAULT_KINDS)}",
            graded,
            'Set `engine = "exact"` for graded moves.',
        )


@dataclass(frozen=True)
class EvaluateConfig:
    """What a hit is and how rankings are judged."""

    fdr: Open = 0.05
    """A measured target is a hit below this padj …"""
    min_effect: Quantity = 0.3
    """… and with an absolute effect of at least this, in standard deviations of the control cells."""
    folds: Annotated[int, Interval(ge=2, le=MOST)] = 5
    """Folds of leave-targets-out, where fewer than 30 targets are measured."""
    call: CallRule = "matched-null"
    """Rule that turns a shift into a call."""
    k: Count = 20
    """k of the call `budget-k` and of every metric at k."""
    bootstrap: Count = 1000
    """Bootstrap samples over genes."""
    de: DeTest = "auto"
    """Test of differential expression: PyDESeq2 on donors' pseudobulks or on metacells, or the rank-sum of cells; auto takes
    the first of them that the cells allow. pershad2025: metacells of about 160,000 UMI, pseudoreplicated, beside the donors."""
    pathway: str | None = None
    """Known pathway behind the baseline `pathway`, by the name of its stimulus or of a set of `gene_sets`; by itself the one
    recognized in the states."""
    positive_controls: tuple[str, ...] = ()
    """Symbols of genes that must move cells toward the goal, alone or with the action (CD3E:inhibit); where none is named, the
    pathway of the stimulus recognized in the states, and a gene that a state's name says is knocked out."""
    negative_controls: tuple[str, ...] = ()
    """Symbols of genes that can do nothing here, beside those that no start cell expresses and olfactory receptors."""
    seed: Seed = 0
    """Seed of the bootstrap, of chance and of metacells."""
    gene_sets: FileName | None = None
    """GMT file of pathways or complexes; it gives the baseline `degree`, and every metric is then given a second time for the held-out targets
    that share no set (of 5 to 500 genes) with a target in training. It must not have been made from the screen that is judged."""
    essential_genes: FileName | None = None
    """File of the genes that every cell needs: one symbol or Ensembl id a line, or a table with a column
    `gene`. Targets are then judged among them and among the others as well, and the flag `core-essential` marks them instead
    of a short built-in list of gene families."""

    def __post_init__(self) -> None:
        """Refuse values outside their range, and controls that are no symbols."""
        check(self)
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


@dataclass(frozen=True)
class KnowledgeConfig:
    """Which collections of gene sets, networks and references are read."""

    until: str | None = None
    """Last day (YYYY-MM-DD) on which a collection may have been written: one that is younger than the screen that judges may
    have been written from it. Undated ones are left out too."""
    leave_out: tuple[str, ...] = ()
    """Collections that are not read, by the names that `perturbloop knowledge` lists; all = none is."""
    cell_type: tuple[str, ...] = ()
    """Cell type of the start cells, or several, as the reference names them; recognized where none is named."""
    reference: str | None = None
    """Reference of cell types to compare with: a collection, or a column of `obs` that tells several types; by itself the one
    whose type is most like the start cells."""

    def __post_init__(self) -> None:
        """Refuse values of another type."""
        check(self)


@dataclass(frozen=True)
class DesignConfig:
    """Which experiments are proposed."""

    budget: Count = 20
    """Genes of a proposed batch."""
    aim: Aim = "find"
    """find: most hits; learn: a panel that stands for as many other genes as possible; both: some of each."""
    action: Action | None = None
    """What is to be done to the genes; where none is named, what was measured, and inhibit before anything was."""
    library: FileName | None = None
    """Guide library, or list of genes that can be perturbed: others are not proposed, and the plate names its guides."""
    exclude: FileName | None = None
    """List of genes that are not to be proposed, one a line."""
    max_per_set: Count = 4
    """Most genes of a batch that are near each other by gene sets."""
    controls: Annotated[int, Interval(ge=0, le=MOST)] = 4
    """Wells with a guide that hits no gene, and most wells with a gene that is known to act."""
    essential: Literal["leave-out", "keep"] = "leave-out"
    """What becomes of genes that every cell needs where they would be inhibited: they are left out, or kept with a caution."""

    def __post_init__(self) -> None:
        """Refuse an empty batch."""
        check(self)


@dataclass(frozen=True)
class CampaignConfig:
    """A campaign: one record per step; saved as `campaign.toml`."""

    cells: CellsConfig
    train: TrainConfig
    perturb: PerturbConfig = field(default_factory=PerturbConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    design: DesignConfig = field(default_factory=DesignConfig)
    knowledge: KnowledgeConfig = field(default_factory=KnowledgeConfig)
    perturbed: tuple[PerturbedConfig, ...] = ()
    screen: tuple[ScreenConfig, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no section."""
        check(self)

    @property
    def recorded(self) -> tuple[RecordedFile, ...]:
        """Recorded files, perturbed cells before screens."""
        return (*self.perturbed, *self.screen)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "CampaignConfig":
        """Build from nested dictionaries.

        Parameters
        ----------
        tree
            Options by section; lists of them for `perturbed` and `screen`. An unset option may be missing or `None`, unknown
            ones are refused with their name, and those of older versions are read as what they are called today.
        """
        unknown = [key for key in tree if key not in SECTIONS]
        need = f"Campaign sections must be among {some(SECTIONS, limit=10)}"
        require(not unknown, need, unknown, "Remove the others.")
        built: dict[str, Any] = {}
        for key, kind in SECTIONS.items():
            values = _as_today(tree).get(key, () if key in LISTED else {})
            if key not in LISTED:
                built[key] = _build(kind, values, key)
                continue
            several = isinstance(values, (list, tuple))
            require(several, f"Each `{key}` must stand in a section `[[{key}]]`", values, "Correct it.")
            built[key] = tuple(_build(kind, entry, key) for entry in values)
        return cls(**built)

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries without the unset values."""
        return {key: _unset_dropped(value) for key, value in asdict(self).items()}


SECTIONS: dict[str, type] = {
    "cells": CellsConfig,
    "train": TrainConfig,
    "perturb": PerturbConfig,
    "evaluate": EvaluateConfig,
    "design": DesignConfig,
    "knowledge": KnowledgeConfig,
    "perturbed": PerturbedConfig,
    "screen": ScreenConfig,
}
"""Sections of `campaign.toml`."""
LISTED = ("perturbed", "screen")
"""Those of which there may be several."""


def _as_today(tree: dict[str, Any]) -> dict[str, Any]:
    """Read `evaluate.budget`, up to 0.1, as k of the metrics and size of the batch, where those are not given."""
    judged, designed = tree.get("evaluate"), tree.get("design", {})
    if not isinstance(judged, dict) or "budget" not in judged or not isinstance(designed, dict):
        return tree
    budget = judged["budget"]
    rest = {name: value for name, value in judged.items() if name != "budget"}
    return tree | {"evaluate": {"k": budget} | rest, "design": {"budget": budget} | designed}


def _build(kind: type, values: Any, section: str) -> Any:
    is_section = isinstance(values, dict)
    require(is_section, f"`{section}` must be a section of options", values, "Write one option a line.")
    known = [field.name for field in fields(kind)]
    unknown = [key for key in values if key not in known]
    need = f"Section `{section}` has the options {some(known, limit=30)}"
    require(not unknown, need, unknown, "Correct the name.")
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    missing = [name for name in needed if options.get(name) is None]
    need = f"Section `{section}` needs the options {some(needed)}"
    require(not missing, need, sorted(values), f"Add {some(missing)}.")
    try:
        return kind(**options)
    except InputError as error:
        error.add_note(f"in section `{section}`")
        raise


def _unset_dropped(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _unset_dropped(item)
            for key, item in value.items()
            if item is not None and not unsaid(key, item)
        }
    if isinstance(value, (list, tuple)):
        return [_unset_dropped(item) for item in value]
    return value
