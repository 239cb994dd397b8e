"""The names of genes, one space for a whole campaign.

A symbol, a retired id or an id with a version becomes one Ensembl id, whatever model reads the cells; which gene is which
token is the affair of each model's `Vocabulary`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perturbloop.data import hgnc

_ENSEMBL = re.compile(r"(ENS[A-Z]*G\d{11}|ENSGR\d{10})(\.\d+)?(_PAR_Y)?$", re.IGNORECASE)
CONTROL_LABEL = re.compile(
    r"non[-_ .]?target.*|ntc?([-_ .]?\d+)?|no[-_ ]?(site|target).*|safe[-_ ]?(harbou?r|target).*|scrambled?.*|"
    r"(negative[-_ ])?(control|ctrl)s?([-_ ]?\d+)?|intergenic.*|egfp|gfp|lacz|luciferase",
    re.IGNORECASE,
)
"""What stands in the place of a gene where a guide hits none."""


@dataclass(frozen=True)
class GeneNames:
    """Which label means which gene: symbols and retired ids to Ensembl ids, and ids to symbols."""

    gene_ids: np.ndarray
    """Ensembl ids, dtype object."""
    gene_names: np.ndarray
    """Symbols, same order; the id where none is known."""
    aliases: Mapping[str, str]
    """Other labels (symbols, retired ids; upper case) to Ensembl ids."""
    source: str = "Ensembl"
    """Who names them, in words: the 'geneformer-v1' vocabulary."""

    @classmethod
    def of(cls, id_of: Mapping[str, str], *, source: str = "the table of symbols") -> "GeneNames":
        """Make them from a table of symbols; of several symbols of one gene the first is its name.

        >>> GeneNames.of({"STAT1": "ENSG00000115415"}).resolve(["stat1", "JAK1"])
        ['ENSG00000115415', '']
        """
        name_of: dict[str, str] = {}
        for name, gene in id_of.items():
            name_of.setdefault(gene, name)
        return cls(
            gene_ids=np.array(list(name_of), dtype=object),
            gene_names=np.array(list(name_of.values()), dtype=object),
            aliases={name.upper(): gene for name, gene in id_of.items()},
            source=source,
        )

    def __len__(self) -> int:
        """How many genes have a name; none where only Ensembl ids are understood."""
        return len(self.gene_ids)

    @cached_property
    def by_id(self) -> dict[str, str]:
        """Symbol of each Ensembl id."""
        return {gene: str(name) for gene, name in zip(self.gene_ids, self.gene_names, strict=True)}

    def name_of(self, gene_id: str) -> str:
        """Symbol of a gene; the id itself where none is known."""
        return self.by_id.get(gene_id, gene_id)

    def knows(self, gene_id: str) -> bool:
        """Whether a gene is among them; every gene is where only Ensembl ids are understood."""
        return not self or gene_id in self.by_id

    def resolve(self, labels: Iterable[str]) -> list[str]:
        """Return the Ensembl id of each label, '' where there is none.

        A symbol that the names lack is looked up by the other names that HGNC knows of its gene, where they are those of no other
        gene.

        >>> NO_NAMES.resolve(["ENSG00000115415.20", "STAT1", ""])
        ['ENSG00000115415', '', '']
        """
        found = []
        for label in labels:
            known_id = ensembl_id(label)
            bare = known_id or label
            gene = (
                bare
                if bare in self.by_id
                else self.aliases.get(label.upper(), self.aliases.get(bare.upper(), ""))
            )
            others = () if gene or known_id or not label or not self else hgnc.symbols().synonyms(label)
            other = next((self.aliases[name] for name in others if name in self.aliases), "")
            found.append(gene or known_id or other)
        return found


NO_NAMES = GeneNames(np.array([], dtype=object), np.array([], dtype=object), {})
"""No symbols at all: only Ensembl ids are understood."""


def is_ensembl(label: str) -> bool:
    """Whether a label is the Ensembl id of a gene, with or without version."""
    return bool(_ENSEMBL.match(label))


def ensembl_id(label: str) -> str:
    """Ensembl id of a gene without version, the copy on the Y chromosome as that on the X; empty where the label is none.

    >>> [ensembl_id(label) for label in ("ENSG00000182378.15_PAR_Y", "ENSGR0000182378", "ensg00000115415", "STAT1")]
    ['ENSG00000182378', 'ENSG00000182378', 'ENSG00000115415', '']
    """
    found = _ENSEMBL.match(label)
    bare = found.group(1).upper() if found else ""
    return f"ENSG0{bare[5:]}" if bare.startswith("ENSGR") else bare
