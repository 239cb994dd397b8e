"""Which rows of the table of targets are wanted."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from perturbloop.data.drugs.words import APPROVED
from perturbloop.data.flags import FLAGS
from perturbloop.errors import InputError, closest, some


@dataclass(frozen=True)
class Filters:
    """What a row must be; every one that is set must hold."""

    action: str | None = None
    """inhibit or activate."""
    druggable: bool = True
    """A compound acts on the gene, or a category of druggable genes holds it; where nothing of either is known, all genes pass."""
    approved: bool = False
    """An approved compound does what is needed."""
    sign_known: bool = False
    """A compound does what is needed."""
    without_flags: tuple[str, ...] = ()
    """Cautions that a gene must not have; all = none at all."""
    min_certainty: float = 0.0
    """Least probability that the effect is toward the goal."""
    genes: tuple[str, ...] = ()
    """Symbols or Ensembl ids; empty = all."""
    top: int | None = None
    """Most rows."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.action not in (None, "inhibit", "activate"):
            msg = f"`--action` must be inhibit or activate; it is {self.action!r}. Correct it."
            raise InputError(msg)
        if not 0 <= self.min_certainty <= 1:
            msg = f"`--min-certainty` must be between 0 and 1; it is {self.min_certainty:g}. Correct it."
            raise InputError(msg)
        if self.top is not None and self.top < 1:
            msg = f"`--top` must be at least 1; it is {self.top}. Raise it."
            raise InputError(msg)

    def of(self, targets: pd.DataFrame) -> pd.DataFrame:
        """Rows that pass, in the order given.

        Parameters
        ----------
        targets
            Table TARGETS.

        Raises
        ------
        InputError
            If a gene that is asked for is in no row.
        """
        kept = targets
        if self.genes:
            kept = kept[_named(kept, self.genes)]
        if self.action:
            kept = kept[kept["action"].eq(self.action)]
        touched = targets[["n_agree", "n_oppose", "n_unknown"]].sum(axis=1).gt(0) | targets[
            "tractability"
        ].ne("")
        if self.druggable and touched.any():
            kept = kept[touched.reindex(kept.index)]
        if self.approved:
            kept = kept[kept["stage"].eq(APPROVED)]
        if self.sign_known:
            kept = kept[kept["sign_known"].astype(bool)]
        if self.without_flags:
            _require_flags(self.without_flags, targets)
            kept = kept[[not _has(said, self.without_flags) for said in kept["cautions"]]]
        if self.min_certainty > 0:
            kept = kept[kept["certainty"].ge(self.min_certainty)]
        return kept.head(self.top).reset_index(drop=True) if self.top else kept.reset_index(drop=True)


def _named(targets: pd.DataFrame, genes: Collection[str]) -> pd.Series:
    wanted = {gene.upper() for gene in genes}
    known = {*targets["gene_name"].str.upper(), *targets["gene_id"].str.upper()}
    lacking = sorted(wanted - known)
    if lacking == sorted(wanted):
        msg = (
            f"`--genes` must name genes whose effect is toward the goal by one action; of {some(lacking)} none is one. The closest to "
            f"the first is {closest(lacking[0], sorted(set(targets['gene_name'])))}; `perturbloop gene` says what is known of a gene."
        )
        raise InputError(msg)
    return targets["gene_name"].str.upper().isin(wanted) | targets["gene_id"].str.upper().isin(wanted)


def _require_flags(asked: Collection[str], targets: pd.DataFrame) -> None:
    """Refuse a caution that no gene can have."""
    seen = {one for said in targets["cautions"] for one in str(said).split(", ") if one}
    known = sorted({"all", *seen, *(flag.name for flag in FLAGS)})
    if unknown := sorted(set(asked) - set(known)):
        msg = f"`--without` takes cautions: {some(known, limit=30)}; {some(unknown)} came. Did you mean {closest(unknown[0], known, limit=1)}?"
        raise InputError(msg)


def _has(cautions: str, flags: Collection[str]) -> bool:
    own = {one for one in str(cautions).split(", ") if one}
    return bool(own) if "all" in flags else bool(own & set(flags))
