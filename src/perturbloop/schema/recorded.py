"""What was recorded of one file: perturbed cells, or a screen. Kept as JSON beside its effects."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from perturbloop.schema.words import HigherIs, LabelSource, Modality


@dataclass(frozen=True, kw_only=True, repr=False)
class RecordedCells:
    """One file of perturbed cells: what was read, how its effects were measured, what it spends."""

    source: str
    """Name of the file."""
    modality: Modality = "crispr_ko"
    """What was done to the cells."""
    role: str = "cells"
    """Tells it from a screen."""
    folder: str = ""
    """Where its effects lie, below the campaign's folder."""
    n_cells_read: int = 0
    """Cells of the file."""
    n_cells: int = 0
    """Cells that are kept."""
    n_controls: dict[str, int] = field(default_factory=dict)
    """Control cells of each replicate."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Why cells were left out, and how many."""
    purity_column: str | None = None
    """Column with the purity of the guide call."""
    labels: tuple[str, ...] = ()
    """How the labels of cells were read, where that is worth a word."""
    targets: dict[str, int] = field(default_factory=dict)
    """Cells of each target, or compound."""
    targets_dropped: dict[str, int] = field(default_factory=dict)
    """Cells of each target with too few of them."""
    targets_unmapped: tuple[str, ...] = ()
    """Targets without an Ensembl id; compounds without a known target."""
    compound_genes_unknown: tuple[str, ...] = ()
    """Genes of the table of targets that nobody knows."""
    genes: tuple[str, ...] = ()
    """What became of the file's genes, in words."""
    reading: tuple[str, ...] = ()
    """Where the counts were found, and which cells were left out when they were read, in words."""
    label_source: LabelSource = "state_score"
    """Where training labels come from."""
    n_labelled: int = 0
    """Perturbed cells with a label."""
    state_score_auroc: float = float("nan")
    """How well the state score tells held-out state cells apart on the shared genes."""
    n_shared_genes: int = 0
    """Genes of both files."""
    n_state_genes: int = 0
    """Genes of the state cells."""
    n_perturbed_genes: int = 0
    """Genes of this file."""
    textbook: str = ""
    """Where the genes come from that are known to act in these states, in words; empty where none are known."""
    textbook_genes: tuple[str, ...] = ()
    """Their symbols."""
    textbook_absent: tuple[str, ...] = ()
    """Those of them that are not among the shared genes."""
    hit_rule: str = ""
    """What a hit is, in words."""
    control_spread_logits: float = float("nan")
    """Standard deviation of control cells: the unit of effects."""
    guide_spread: str = ""
    """Spread of inert guides, in words."""
    replicate_variance: float = float("nan")
    """Variance between replicates, in squared units of effects."""
    control_position: dict[str, float] = field(default_factory=dict)
    """Where the controls of each replicate lie: 0 = start, 1 = goal."""
    arms: dict[str, int] = field(default_factory=dict)
    """Cells of each arm, where a column tells cells of the two states apart; the tables `reversal` and `positions` speak of them."""
    arm_lines: tuple[str, ...] = ()
    """What is said of them: cells in no arm, and cells of a knockout that look unedited."""
    contributions: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of each hit, the readout genes that say so most, and how much."""
    same_file: bool = False
    """Whether the state cells are of the same file."""
    hit_genes: dict[str, int] = field(default_factory=dict)
    """Fold of every gene that a compound of the file hits; empty without compounds."""
    cell_genes: tuple[str, ...] = ()
    """Genes that usable compounds hit; empty without compounds."""
    judging: tuple[str, ...] = ()
    """What cannot be judged by all that is recorded so far, and what to do; told once, when the file is recorded."""
    warnings: tuple[str, ...] = ()
    """What a reader must know."""

    def __repr__(self) -> str:
        """What was read, in words."""
        said = (
            f"{self.source}, {self.modality}: {self.n_cells:,} of {self.n_cells_read:,} cells, {len(self.targets):,} targets, "
            f"{self.n_shared_genes:,} genes shared with the states"
        )
        return "\n".join([said, *self.judging, *self.warnings])

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class RecordedScreen:
    """One screen: what was read, which genes are kept, what it spends."""

    name: str
    """Name in reports."""
    modality: Modality
    """What was done to the genes."""
    source: str
    """Name and file."""
    higher_is: HigherIs = "goal"
    """State that a high score stands for."""
    role: str = "screen"
    """Tells it from perturbed cells."""
    folder: str = ""
    """Where its effects lie, below the campaign's folder."""
    format: str = ""
    """Tool that wrote the file, as far as its columns tell."""
    columns: dict[str, str] = field(default_factory=dict)
    """Column behind each role."""
    n_rows: int = 0
    """Rows of the file."""
    n_genes: int = 0
    """Genes of the screen."""
    n_hits: int = 0
    """Hits among them."""
    n_toward: int = 0
    """Hits that move cells toward the goal."""
    n_away: int = 0
    """Hits that move them away."""
    hit_rule: str = ""
    """What a hit is, in words."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Why rows were left out, and how many."""
    unknown: tuple[str, ...] = ()
    """Labels without an Ensembl id."""
    repeated: tuple[str, ...] = ()
    """Labels of a gene that another row speaks for."""
    compounds_without_targets: tuple[str, ...] = ()
    """Compounds of no known gene."""
    hits_absent: tuple[str, ...] = ()
    """Listed hits that are no genes of the screen."""
    spread: float = float("nan")
    """What an effect of 1 is in the unit of the file."""
    n_effects: int = 0
    """Genes that can be judged: measured and expressed in the cells."""
    n_not_measured: int = 0
    """Genes that the cells do not measure: they teach, and cannot be ranked or judged."""
    hits_not_measured: tuple[str, ...] = ()
    """Hits among these."""
    n_not_expressed: int = 0
    """Genes that the cells measure and too few express: they are left out."""
    hits_excluded: tuple[str, ...] = ()
    """Hits among these."""
    n_hits_kept: int = 0
    """Hits among the genes that can be judged."""
    n_hits_held_out: int = 0
    """Hits among those that are held out."""
    n_held_out: int = 0
    """Genes that are held out."""
    lines: tuple[str, ...] = ()
    """The same in words, one fact a line."""
    judging: tuple[str, ...] = ()
    """What cannot be judged by all that is recorded so far, and what to do; told once, when the file is recorded."""
    warnings: tuple[str, ...] = ()
    """What a reader must know."""

    def __repr__(self) -> str:
        """What was read, in words."""
        return "\n".join([f"{self.source}, {self.modality}", *self.lines, *self.judging, *self.warnings])

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)


Recorded = RecordedCells | RecordedScreen


def recorded_from(tree: Mapping[str, Any]) -> Recorded:
    """Read what `to_dict` wrote, by this version or an older one: what it did not say has its default.

    >>> recorded_from({"source": "cells.h5ad", "targets_unmapped": ["X"], "label_warnings": []}).targets_unmapped
    ('X',)
    >>> recorded_from(RecordedScreen(name="a", modality="crispri", source="a (a.tsv)").to_dict()).name
    'a'
    """
    kind = RecordedScreen if tree.get("role") == "screen" else RecordedCells
    known = {entry.name for entry in fields(kind)}
    return kind(**{name: value for name, value in frozen(tree).items() if name in known})


def frozen(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values with tuples in the place of lists, as records hold them.

    >>> frozen({"warnings": ["a"]})
    {'warnings': ('a',)}
    """
    return {name: tuple(value) if isinstance(value, list) else value for name, value in tree.items()}
