"""Which genes a batch may be made of, and which are left out for which reason."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd

from perturbloop.data.flags import ESSENTIAL, NO_GUIDE
from perturbloop.errors import some
from perturbloop.schema import ACTION

LEAST_DETECTION = 0.01
"""Share of the start cells that must express a gene: below it an edit, or a guide, has nothing to act on."""

MEASURED = "measured already"
IN_BATCH = "in a batch that was taken"
NO_GUIDE_EDITS = "of the mitochondrial genome, which no guide edits"
NOT_EXPRESSED = "not expressed in the start cells, or unknown to the model"
EXCLUDED = "in your list of genes to exclude"
DROPPED = "left out by `--without`"
NOT_IN_LIBRARY = "not in the library"
IS_ESSENTIAL = "core essential, so that their loss would be read as an effect (`--essential keep` keeps them)"


@dataclass(frozen=True)
class Pool:
    """Genes to choose from."""

    rows: pd.DataFrame
    """RANKING rows that may be proposed, one a gene, in the kind with the higher benefit; best first, ties by gene id."""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reason in words -> symbols of the genes that it leaves out, best first; each gene under the first reason that holds."""

    def lines(self) -> list[str]:
        """Say which genes are left out, the reasons that a user may not know; what was measured and taken is known."""
        said = {
            reason: names for reason, names in self.left_out.items() if reason not in (MEASURED, IN_BATCH)
        }
        return [
            f"Left out: {len(names):,} {reason}: {some(names, limit=3)}." for reason, names in said.items()
        ]


def pool_of(
    ranking: pd.DataFrame,
    *,
    kinds: Collection[str],
    measured: Collection[str] = (),
    taken: Collection[str] = (),
    excluded: Collection[str] = (),
    dropped: Collection[str] = (),
    library: Collection[str] | None = None,
    essential: bool = False,
) -> Pool:
    """Find the genes that an experiment can be made of.

    Parameters
    ----------
    ranking
        RANKING rows.
    kinds
        Kinds of edit that may be proposed.
    measured, taken
        Ensembl ids of genes that were measured, and of those in a batch.
    excluded
        Ids of genes that a user does not want.
    dropped
        Ids of genes that this question leaves out.
    library
        Ids of genes with guides; `None` = any gene can be perturbed.
    essential
        Whether core-essential genes may be inhibited; what is activated is never left out for it.
    """
    rows = ranking[ranking["kind"].isin(list(kinds))]
    scored = rows["status"].eq("scored") & rows["detection"].ge(LEAST_DETECTION)
    mito = rows["gene_name"].astype(str).str.fullmatch(NO_GUIDE.pattern)
    lethal = _flagged(rows, ESSENTIAL) & rows["action"].eq("inhibit")
    barred = {
        MEASURED: rows["gene_id"].isin(list(measured)) | rows["status"].eq("spent"),
        IN_BATCH: rows["gene_id"].isin(list(taken)),
        NO_GUIDE_EDITS: mito,
        NOT_EXPRESSED: ~scored,
        EXCLUDED: rows["gene_id"].isin(list(excluded)),
        DROPPED: rows["gene_id"].isin(list(dropped)),
        NOT_IN_LIBRARY: ~rows["gene_id"].isin(rows["gene_id"] if library is None else list(library)),
        IS_ESSENTIAL: lethal & (not essential),
    }
    order = rows.sort_values(["benefit", "gene_id", "kind"], ascending=[False, True, True])
    free = ~pd.concat(barred, axis=1).any(axis=1)
    kept = order[free.loc[order.index]].drop_duplicates("gene_id").reset_index(drop=True)
    left_out: dict[str, tuple[str, ...]] = {}
    gone = set(kept["gene_id"])
    for reason, is_barred in barred.items():
        here = order[is_barred.loc[order.index] & ~order["gene_id"].isin(gone)].drop_duplicates("gene_id")
        if len(here):
            left_out[reason] = tuple(here["gene_name"].astype(str))
        gone |= set(here["gene_id"])
    return Pool(kept, left_out)


def kinds_to_propose(kinds: Collection[str], measured: Collection[str], action: str | None) -> list[str]:
    """Kinds of edit that a batch is made of: those of the action that is asked for, else those that were measured, else the first.

    A plate is made with one library, and nothing says which action is better before any gene was measured.

    Parameters
    ----------
    kinds
        Kinds of edit that the campaign makes, in its order.
    measured
        Kinds of which effects were measured.
    action
        inhibit or activate; `None` = by itself.

    >>> kinds_to_propose(["delete", "overexpress"], [], None), kinds_to_propose(["delete", "overexpress"], [], "activate")
    (['delete'], ['overexpress'])
    """
    if action is not None:
        return [kind for kind in kinds if ACTION[kind] == action]  # type: ignore[index]
    return [kind for kind in kinds if kind in measured] or list(kinds)[:1]


def _flagged(rows: pd.DataFrame, flag: str) -> pd.Series:
    return rows["flags"].fillna("").map(lambda flags: flag in flags.split(",")).astype(bool)
