"""How a small model is pretrained, and what came of it."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Interval

from perturbloop.errors import some
from perturbloop.schema.checks import MOST, Count, Seed, check, require

Positions = Literal["smooth", "learned"]
"""smooth: slow sine waves that stay as they are, so that neighboring ranks are alike; learned: as published models have
them, random at first and trained with the rest."""
Part = Annotated[float, Interval(gt=0, le=0.5)]


@dataclass(frozen=True)
class PretrainConfig:
    """Shape of a small model and how long it learns."""

    layers: Annotated[int, Interval(ge=1, le=256)] = 4
    """Transformer layers."""
    hidden: Annotated[int, Interval(ge=1, le=16_384)] = 128
    """Length of a gene vector and of a cell embedding."""
    heads: Annotated[int, Interval(ge=0, le=256)] = 0
    """Attention heads; 0 = one for every 32 dimensions."""
    intermediate: Annotated[int, Interval(ge=0, le=65_536)] = 0
    """Width of the feed-forward part; 0 = twice `hidden`."""
    max_length: Count = 512
    """Most tokens of a cell; genes of lower rank are cut off."""
    minutes: Annotated[float, Interval(gt=0, le=MOST)] = 20.0
    """Wall time, from the start of the work to the last step; not used where `steps` is given."""
    steps: Annotated[int, Interval(ge=0, le=MOST)] = 0
    """Number of steps; 0 = as many as fit into `minutes`. Only with `steps` is the result reproducible."""
    epochs: Count = 20
    """Most passes over the cells."""
    learning_rate: Annotated[float, Interval(gt=0, le=10)] = 1e-3
    """Highest learning rate (AdamW); it rises over the first 5 % and then falls to zero."""
    mask_share: Part = 0.15
    """Share of a cell's genes to hide and guess."""
    batch_tokens: Count = 4096
    """Tokens in a batch."""
    holdout: Part = 0.05
    """Share of cells held out, to measure the loss on."""
    positions: Positions = "smooth"
    """How ranks become vectors."""
    warm_start: bool = True
    """Start the gene vectors from co-expression; otherwise at random, for comparison."""
    seed: Seed = 0
    """Seed of hold-out, first weights, batches and masks."""

    def __post_init__(self) -> None:
        """Fill in the derived widths and refuse values outside their range."""
        check(self)
        object.__setattr__(self, "heads", self.heads or max(1, self.hidden // 32))
        object.__setattr__(self, "intermediate", self.intermediate or 2 * self.hidden)
        todo = f"Choose a multiple of {self.heads}."
        require(
            self.hidden % self.heads == 0,
            f"`hidden` must be a multiple of `heads` ({self.heads})",
            self.hidden,
            todo,
        )


@dataclass(frozen=True)
class HeldOut:
    """Loss on the held-out cells of one file, or of all, in nats per hidden gene; lower is better."""

    source: str
    """Name of the file, or `all`."""
    n_cells: int
    """Held-out cells."""
    n_hidden: int
    """Hidden genes behind the number."""
    loss: float
    """The model's: minus the mean log probability of the hidden gene among all genes of the vocabulary."""
    unigram: float
    """The same of a model that knows only how often each gene occurs in the training cells."""
    unigram_of_file: float
    """The same, knowing how often it occurs in the training cells *of that file*: what telling panels apart is worth."""


@dataclass(frozen=True)
class PretrainReport:
    """What a pretraining run did and how well the model guesses."""

    n_cells: int
    """Cells trained on."""
    n_held_out: int
    """Cells held out."""
    n_copies: int
    """Cells left out as copies of a cell that another file holds with more genes."""
    n_short: int
    """Cells left out for want of known genes."""
    n_genes: int
    """Genes that occur in the training cells."""
    n_parameters: int
    """Weights of the model."""
    steps: int
    """Steps taken."""
    epochs: float
    """Passes over the training cells."""
    minutes: float
    """Wall time up to the last step, interruptions left out."""
    first_loss: float
    """Held-out loss before the first step, all files."""
    roughness: float
    """Size of the step between neighboring positions, relative to a position's own size; small = smooth in rank."""
    held_out: tuple[HeldOut, ...] = field(default=())
    """Held-out loss, all files first."""

    @property
    def overall(self) -> HeldOut:
        """Held-out loss over all files."""
        return self.held_out[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "PretrainReport":
        """Read what `to_dict` wrote."""
        return cls(**{**tree, "held_out": tuple(HeldOut(**entry) for entry in tree["held_out"])})

    @property
    def verdict(self) -> str:
        """Whether the model has learnt anything, in words: it must guess hidden genes better than their frequency in the file does."""
        one = self.overall
        if one.loss >= one.unigram:
            return "No better than the unigram, which only counts genes: it has learnt nothing. Train longer, or on more cells."
        if one.loss >= one.unigram_of_file:
            return (
                "Better than the unigram, but no better than the unigram of each file: it tells files apart, and of the cells in "
                "them it has learnt nothing. Train longer, or on more cells."
            )
        gain = one.unigram_of_file - one.loss
        said = f"Better than the unigram of the file by {gain:.2f} nats a gene: it has learnt which genes go together"
        files = self.held_out[1:]
        lost = [entry.source for entry in files if entry.loss >= entry.unigram_of_file]
        if not lost:
            return f"{said}."
        return f"{said}; but in {len(lost)} of {len(files)} files ({some(lost)}) it is no better, and has learnt nothing of those cells."

    def lines(self) -> list[str]:
        """Say it in words, one fact a line, the verdict last."""
        facts = [
            f"{self.n_cells:,} cells trained on, {self.n_held_out:,} held out; {self.n_genes:,} genes; "
            f"left out: {self.n_copies:,} copies, {self.n_short:,} with too few genes",
            f"{self.steps:,} steps, {self.epochs:.2f} epochs, {self.minutes:.1f} minutes; {self.n_parameters:,} weights",
        ]
        losses = [
            f"{entry.source}: held-out loss {entry.loss:.2f} nats, unigram {entry.unigram:.2f}, "
            f"unigram of the file {entry.unigram_of_file:.2f} ({entry.n_cells:,} cells)"
            for entry in self.held_out
        ]
        return [*facts, *losses, self.verdict]
