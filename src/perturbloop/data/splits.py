"""Which measured targets are held out; decided by the gene's own id, so that nobody chooses."""

import hashlib
from collections.abc import Collection, Mapping

LEAST_TO_SPLIT = 30
"""Fewest targets of which half is held out; below, targets are left out in folds."""


def assign_folds(gene_ids: Collection[str], *, known: Mapping[str, int], folds: int) -> dict[str, int]:
    """Give each measured target its fold: -1 = used in training, k >= 0 = held out as part of fold k.

    With 30 targets or more about half is held out for ever (fold 0). With fewer, each is held out in turn, in
    `folds` folds. What was decided for a campaign's first targets holds for all later ones.

    Parameters
    ----------
    gene_ids
        Targets to place.
    known
        Folds that were given before; they never change.
    folds
        Number of folds where targets are left out in turn.

    Examples
    --------
    >>> assign_folds(["ENSG00000115415"], known={"ENSG00000115415": 3}, folds=5)
    {'ENSG00000115415': 3}
    """
    split = -1 in known.values() if known else len(set(gene_ids)) >= LEAST_TO_SPLIT
    return {gene: known.get(gene, _fold(gene, split=split, folds=folds)) for gene in sorted(set(gene_ids))}


def trains(fold_of: Mapping[str, int], *, without: int) -> frozenset[str]:
    """Return the targets that may train what judges fold `without`; -1 asks for the full ranking's.

    >>> sorted(trains({"a": -1, "b": 0}, without=-1)), sorted(trains({"a": 0, "b": 1}, without=1))
    (['a'], ['a'])
    """
    if -1 in fold_of.values():  # the held-out half stays out of everything
        return frozenset(gene for gene, fold in fold_of.items() if fold == -1)
    return frozenset(gene for gene, fold in fold_of.items() if fold != without)


def _fold(gene: str, *, split: bool, folds: int) -> int:
    number = int(hashlib.sha256(gene.encode()).hexdigest()[:8], 16)
    return (0 if number % 2 else -1) if split else number % folds
