"""The table of targets of a round, from its tables and what is known of compounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from perturbloop.schema import TARGET_PATHWAYS, TARGETS, concat
from perturbloop.targets.agreement import agreement
from perturbloop.targets.candidates import candidates, in_words, kinds_by_action, not_separable
from perturbloop.targets.druggable import compounds_of, gene_ids_of, with_compounds, with_tractability
from perturbloop.targets.groups import AXES, axes_of, families, groups
from perturbloop.targets.pathways import pathways


@dataclass(frozen=True, eq=False)
class Found:
    """What a round says of targets."""

    targets: pd.DataFrame
    """Table TARGETS: first genes with a compound that does what is needed; within these measured hits, then by place."""
    compounds: pd.DataFrame
    """Table TARGET_COMPOUNDS."""
    groups: pd.DataFrame
    """Table TARGET_GROUPS."""
    agreement: pd.DataFrame
    """Table TARGET_AGREEMENT."""
    pathways: pd.DataFrame
    """Table TARGET_PATHWAYS; empty where they were not asked for."""


def find(
    ranking: pd.DataFrame,
    posterior: pd.DataFrame,
    effects: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    interactions: pd.DataFrame,
    categories: Mapping[str, Sequence[str]],
    pairs: Sequence[tuple[str, str]] = (),
    sets: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> Found:
    """Make the tables.

    Parameters
    ----------
    ranking, posterior, effects, predictions
        Tables of a round.
    interactions
        Table INTERACTIONS; empty where nothing of compounds is known.
    categories
        Categories of druggable genes, by symbol or Ensembl id.
    pairs
        Ligand and receptor, by symbol, beside those that are built in.
    sets
        Collection → set → symbols; `None` = no pathways.
    """
    genes = ranking.drop_duplicates("gene_id")[["gene_id", "gene_name"]].astype(str)
    found = candidates(ranking, posterior, effects, predictions)
    compounds = compounds_of(found, interactions, genes)
    targets = with_compounds(found, compounds)
    ids = gene_ids_of(categories, genes)
    targets = with_tractability(targets, _by_id(categories, ids))
    named = list(genes["gene_name"])
    members = {
        "family": families(named),
        "axis": axes_of(named, [*((ligand, receptor) for ligand, receptor, _ in AXES), *pairs]),
    }
    targets = targets.assign(
        family=targets["gene_name"].map(_of_gene(members["family"])).fillna(""),
        axis=targets["gene_name"].map(_of_gene(members["axis"])).fillna(""),
        credit=targets["gene_id"].map(not_separable(effects, dict(genes.itertuples(index=False)))).fillna(""),
    )
    ranked = _ranked(ranking, effects)
    order = targets.assign(none=~targets["sign_known"], last=~targets["hit"])
    order = order.sort_values(["none", "last", "place"], na_position="last", kind="stable")
    return Found(
        TARGETS.checked(order),
        compounds,
        groups(ranked, members, compounds),
        agreement(predictions, effects, kinds_by_action(ranking)),
        concat(TARGET_PATHWAYS, []) if sets is None else pathways(ranked, sets),
    )


def _ranked(ranking: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Every ranked gene of each action, and those that were measured."""
    parts = []
    for action, kind in kinds_by_action(ranking).items():
        rows = ranking[ranking["kind"].eq(kind) & ranking["status"].isin(["scored", "spent"])]
        place = rows["benefit"].where(rows["status"].eq("scored")).rank(ascending=False, method="first")
        told = rows["gene_id"].map(in_words(effects)).fillna("")
        name = rows["gene_name"].astype(str)
        parts.append(pd.DataFrame({"gene_name": name, "action": action, "place": place, "measured": told}))
    return pd.concat(parts, ignore_index=True)


def _by_id(categories: Mapping[str, Sequence[str]], ids: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for label, named in categories.items():
        if label in ids:
            found.setdefault(ids[label], []).extend(named)
    return found


def _of_gene(members: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Groups of each gene, in words."""
    found: dict[str, list[str]] = {}
    for group, genes in members.items():
        for gene in genes:
            found.setdefault(gene, []).append(group)
    return {gene: ", ".join(named) for gene, named in found.items()}
