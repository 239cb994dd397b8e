"""What is known of genes from elsewhere: collections on this machine, and files that the user names."""

from dataclasses import asdict, dataclass
from pathlib import Path

from perturbloop.data.gene_sets import GeneSets, read_gene_list, read_gmt
from perturbloop.data.genes import GeneNames
from perturbloop.data.knowledge import Collection, chosen
from perturbloop.schema import CampaignConfig, EvaluateConfig, file_fields
from perturbloop.store.files import file_digest


@dataclass(frozen=True)
class Annotations:
    """Gene sets and core-essential genes; `None` where no file was named."""

    gene_sets: GeneSets | None = None
    essential: frozenset[str] | None = None
    """Ensembl ids."""
    digests: tuple[str, ...] = ()
    """Role and hash of each file that was named: what it holds decides, where it lies does not."""
    collections: tuple[Collection, ...] = ()
    """Those that say which genes are alike."""
    references: tuple[Collection, ...] = ()
    """References of cell types."""

    def lines(self) -> list[str]:
        """What `check` says of them."""
        facts = self.gene_sets.lines() if self.gene_sets else []
        facts += [f"{len(self.essential):,} core-essential genes"] if self.essential else []
        return [*facts, *(f"{one.name}: {one.line()}" for one in self.collections)]


def read_annotations(config: CampaignConfig, names: GeneNames) -> Annotations:
    """Read the files that were named, and choose the collections; refuse what cannot be read, before any work."""
    judged, known = config.evaluate, config.knowledge
    sets = read_gmt(judged.gene_sets, names=names) if judged.gene_sets else None
    essential = read_gene_list(judged.essential_genes, names=names) if judged.essential_genes else None
    named = [(name, getattr(judged, name)) for name in file_fields(EvaluateConfig)]
    digests = [f"{name} {file_digest(Path(path))}" for name, path in named if path]
    alike = chosen(until=known.until, leave_out=known.leave_out)
    references = chosen(until=known.until, leave_out=known.leave_out, kinds=("reference",))
    digests += [f"collection {one.name} {one.digest}" for one in (*alike, *references)]
    digests += [
        f"{what} {value}"
        for what, value in asdict(known).items()
        if value and what in ("cell_type", "reference")
    ]
    return Annotations(sets, essential, tuple(digests), alike, references)
