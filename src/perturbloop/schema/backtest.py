"""What a replay of a finished screen is asked for."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from perturbloop.schema.checks import Count, FileName, Open, Quantity, Seed, check, require
from perturbloop.schema.words import PvalueSides, ScreenModality

First = Literal["proposed", "chance"]
"""How a first batch is chosen: as `propose` does, half by the prior and half to cover the expressed genes; or at random."""


@dataclass(frozen=True)
class BacktestConfig:
    """A finished screen, what is known of its genes beforehand, and how it is replayed."""

    screen: FileName
    """Finished screen: a table with one score a gene; text (tab, comma or semicolon; .gz too), .rnk, or .xlsx."""
    hits: FileName | None = None
    """What a hit is: the genes listed in this file, one a line."""
    top: Open | None = None
    """Rather: this share of the genes, those of the largest absolute scores."""
    fdr: Open | None = None
    """Rather: the genes below this false discovery rate; 0.05 where no rule is given."""
    cells: tuple[str, ...] = ()
    """h5ad files of the cells of the screen, raw counts, bulk samples too: which genes are expressed, and which cell type it is."""
    rounds: Count = 5
    """Batches."""
    batch: Count = 128
    """Genes of a batch."""
    repeats: Annotated[int, Interval(ge=1, le=1000)] = 10
    """Repeats, each with another first batch."""
    sister: FileName | None = None
    """Screen of another donor or cytokine: how many hits a replicate finds."""
    policies: tuple[str, ...] = ("ridge", "posterior")
    """Policies: ridge, posterior or forest, and after a colon a goal (find, learn, both) or an acquisition."""
    first: First = "proposed"
    """First batch: proposed, half by the prior and half to cover gene sets; chance, as published replays do."""
    gene_sets: tuple[str, ...] = ()
    """GMT files beside the collections on this machine."""
    tables: tuple[str, ...] = ()
    """Text tables with a gene in the first column and numbers in the others, such as essentiality."""
    references: tuple[str, ...] = ()
    """Tables of genes × cell types in transcripts per million, in the place of the references on this machine."""
    cell_type: str | None = None
    """Cell type of the screen as a reference names it; recognized from the cells by default."""
    essential: FileName | None = None
    """List of core-essential genes; by their symbols by default."""
    min_cpm: Quantity = 1.0
    """Counts per million of all cells together from which a gene is expressed."""
    modality: ScreenModality = "crispri"
    """What was done to the genes: crispr_ko, crispri, crispra, inhibitor or activator."""
    gene_column: str | None = None
    """Column of the screen with symbols or Ensembl ids; found by itself where none is named, as is the next."""
    score_column: str | None = None
    """Column of the screen with the signed score."""
    only: str | None = None
    """Which of several screens, or comparisons side by side, of the file."""
    sheet: str | None = None
    """Sheet of a workbook; its only one by default."""
    pvalue_sides: PvalueSides | None = None
    """one where p-values are those of one tail, two where of both; asked for where a table of no known tool looks one-sided."""
    knowledge_until: str | None = None
    """Last day (YYYY-MM-DD) on which a collection may have been written: one from this screen knows the answer."""
    leave_out: tuple[str, ...] = ()
    """Collections that are not read; all = none is."""
    max_per_set: Annotated[int, Interval(ge=0, le=1000)] = 4
    """Most genes of one gene-set neighborhood in a batch of 32, in proportion in a larger one; 0 = no cap."""
    seed: Seed = 0
    """Seed of all random numbers."""

    def __post_init__(self) -> None:
        """Refuse more than one rule for hits, and no policy."""
        check(self)
        rules = [name for name in ("fdr", "top", "hits") if getattr(self, name) is not None]
        require(len(rules) <= 1, "A hit is told by one rule", rules, "Keep one of them.")
        require(
            bool(self.policies),
            "`policies` must name one or more",
            self.policies,
            "Name ridge, for instance.",
        )
