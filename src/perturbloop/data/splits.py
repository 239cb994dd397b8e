"""Which measured targets are held out; decided by the gene's own id, so that nobody chooses."""

import hashlib
from collections.abc import Collection, Mapping

LEAST_TO_SPLIT = 30
"""Fewest targets of which half is held out; below, targets are left out in folds."""


def assign_folds(
    gene_ids: Collection[str], *, known: Mapping[str, int], folds: int, outside: Collection[str] = ()
) -> dict[str, int]:
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
    outside
        Measured genes that the cells do not hold: no ranking has them, so none is held out for ever.

    Examples
    --------
    >>> assign_folds(["ENSG00000115415"], known={"ENSG00000115415": 3}, folds=5)
    {'ENSG00000115415': 3}
    """
    split = -1 in known.values() if known else len(set(gene_ids)) >= LEAST_TO_SPLIT
    given = {gene: _fold(gene, split=split, folds=folds) for gene in sorted(set(gene_ids))}
    given |= {gene: -1 if split else _fold(gene, split=False, folds=folds) for gene in sorted(set(outside))}
    return given | {gene: fold for gene, fold in known.items() if gene in given}


def trains(fold_of: Mapping[str, int], *, without: int) -> frozenset[str]:
    """Return the targets that may train what judges fold `without`; -1 asks for the full ranking's.

    >>> sorted(trains({"a": -1, "b": 0}, without=-1)), sorted(trains({"a": 0, "b": 1}, without=1))
    (['a'], ['a'])
    """
    if -1 in fold_of.values():  # the held-out half stays out of everything
        return frozenset(gene for gene, fold in fold_of.items() if fold == -1)
    return frozenset(gene for gene, fold in fold_of.items() if fold != without)


def half(gene_id: str) -> int:
    """Half that a gene falls into where half of the targets are held out: 0 = held out, -1 = used in training.

    >>> half("ENSG00000115415"), half("ENSG00000162434")
    (-1, 0)
    """
    return 0 if _number(gene_id) % 2 else -1


def _fold(gene_id: str, *, split: bool, folds: int) -> int:
    return half(gene_id) if split else _number(gene_id) % folds


def _number(gene_id: str) -> int:
    return int(hashlib.sha256(gene_id.encode()).hexdigest()[:8], 16)
