"""Genes that a question wants in its batch, and those that it does not want."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from perturbloop.data.genes import GeneNames
from perturbloop.errors import DesignError, GeneIdError, closest, some


@dataclass(frozen=True)
class Wishes:
    """Genes of one question by their Ensembl ids."""

    pinned: tuple[str, ...] = ()
    """Genes that the batch must hold."""
    dropped: frozenset[str] = frozenset()
    """Genes that it must not hold."""

    @property
    def sentence(self) -> str:
        """How many were asked for, in words; empty where none was."""
        n = len(self.pinned)
        return f" {n:,} gene{' was' if n == 1 else 's were'} asked for." if n else ""


def wishes_of(
    ranking: pd.DataFrame, *, pinned: Sequence[str] = (), dropped: Collection[str] = (), budget: int
) -> Wishes:
    """Read which genes a question wants.

    Parameters
    ----------
    ranking
        RANKING rows: the genes that there are.
    pinned, dropped
        Symbols or Ensembl ids of genes that the batch must hold, and of those that it must not.
    budget
        Genes of the batch.

    Raises
    ------
    GeneIdError
        If a gene is unknown.
    DesignError
        If a gene is wanted and not wanted, or more are wanted than the batch holds.
    """
    if not (pinned or dropped):
        return Wishes()
    known = ranking.drop_duplicates("gene_id")
    names = GeneNames.of(dict(zip(known["gene_name"].astype(str), known["gene_id"], strict=True)))
    own, ids = set(known["gene_id"]), {}
    for option, labels in (("--with", pinned), ("--without", dropped)):
        found = dict(zip(labels, names.resolve(labels), strict=True))
        unknown = [label for label, gene in found.items() if gene not in own]
        if unknown:
            msg = (
                f"`{option}` names genes of the ranking by symbol or Ensembl id; {some(unknown)} "
                f"{'is' if len(unknown) == 1 else 'are'} not in it. Did you mean {closest(unknown[0], known['gene_name'])}?"
            )
            raise GeneIdError(msg)
        ids[option] = tuple(dict.fromkeys(found.values()))
    both = [names.name_of(gene) for gene in ids["--with"] if gene in ids["--without"]]
    if both:
        msg = f"A gene is asked for or left out; {some(both)} came with `--with` and `--without`. Keep one of them."
        raise DesignError(msg)
    if len(ids["--with"]) > budget:
        msg = (
            f"`--with` names at most as many genes as the batch holds, {budget:,}; {len(ids['--with']):,} came. Name fewer, or "
            "raise `--budget`."
        )
        raise DesignError(msg)
    return Wishes(ids["--with"], frozenset(ids["--without"]))
