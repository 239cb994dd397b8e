"""Which gene of a round a label means: its symbol, its Ensembl id, or another name that HGNC knows."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from perturbloop.data import hgnc
from perturbloop.data.genes import ensembl_id


@dataclass(frozen=True, eq=False)
class Names:
    """Genes by what they are called."""

    name_of: dict[str, str]
    """Symbol of each gene, by Ensembl id."""

    @cached_property
    def ids_of(self) -> dict[str, tuple[str, ...]]:
        """Ids of the genes of each symbol or id, in upper case."""
        found: dict[str, tuple[str, ...]] = {}
        for gene_id, name in self.name_of.items():
            for label in {gene_id.upper(), name.upper()}:
                found[label] = (*found.get(label, ()), gene_id)
        return found

    def meant(self, label: str) -> tuple[str, ...]:
        """Ids of the genes that a label may mean: one, several where HGNC knows it as a name of several, or none.

        Parameters
        ----------
        label
            Symbol, Ensembl id with or without version, previous symbol or alias; in letters of either case.

        Examples
        --------
        >>> Names({"ENSG00000141510": "TP53"}).meant("p53")
        ('ENSG00000141510',)
        """
        asked = label.strip().upper()
        own = self.ids_of.get(ensembl_id(asked) or asked, ())
        return own or self.by_other_names(asked)

    def by_other_names(self, label: str) -> tuple[str, ...]:
        """Ids of the genes that were called so before, or are called so beside their symbol."""
        every = (
            gene_id
            for names in hgnc.symbols().meant(label.strip())
            for name in names
            for gene_id in self.ids_of.get(name, ())
        )
        return tuple(dict.fromkeys(every))

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Names":
        """Take ids and symbols; of several symbols of an id the first holds."""
        name_of: dict[str, str] = {}
        for gene_id, name in pairs:
            name_of.setdefault(str(gene_id), str(name))
        return cls(name_of)
