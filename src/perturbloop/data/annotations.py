"""What is known of genes from elsewhere: gene sets and core-essential genes, where the user names files of them."""

from dataclasses import dataclass
from pathlib import Path

from perturbloop.data.gene_sets import GeneSets, read_gene_list, read_gmt
from perturbloop.data.genes import GeneNames
from perturbloop.schema import EvaluateConfig, file_fields
from perturbloop.store.files import file_digest


@dataclass(frozen=True)
class Annotations:
    """Gene sets and core-essential genes; `None` where no file was named."""

    gene_sets: GeneSets | None = None
    essential: frozenset[str] | None = None
    """Ensembl ids."""
    digests: tuple[str, ...] = ()
    """Role and hash of each file that was named: what it holds decides, where it lies does not."""

    def lines(self) -> list[str]:
        """What `check` says of them."""
        facts = self.gene_sets.lines() if self.gene_sets else []
        return facts + ([f"{len(self.essential):,} core-essential genes"] if self.essential else [])


def read_annotations(config: EvaluateConfig, names: GeneNames) -> Annotations:
    """Read the files that were named; refuse what cannot be read, before any work."""
    sets = read_gmt(config.gene_sets, names=names) if config.gene_sets else None
    essential = read_gene_list(config.essential_genes, names=names) if config.essential_genes else None
    named = [(name, getattr(config, name)) for name in file_fields(EvaluateConfig)]
    digests = [f"{name} {file_digest(Path(path))}" for name, path in named if path]
    return Annotations(sets, essential, tuple(digests))
