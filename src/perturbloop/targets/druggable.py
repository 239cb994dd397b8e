"""Compounds that act on a gene, and whether they do what is needed."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from perturbloop.data import hgnc
from perturbloop.data.drugs import merged
from perturbloop.data.drugs.words import ORDER
from perturbloop.data.genes import ensembl_id
from perturbloop.schema import ACTION, TARGET_COMPOUNDS

NAMED = 3
"""Compounds that are named in a row."""


def gene_ids_of(labels: Iterable[str], genes: pd.DataFrame) -> dict[str, str]:
    """Ensembl id of each label among the genes of a round; labels of none are left out.

    Parameters
    ----------
    labels
        Symbols, also previous ones and aliases that are of one gene, or Ensembl ids.
    genes
        `gene_id` and `gene_name`.
    """
    ids = set(genes["gene_id"])
    by_name = {
        str(name).upper(): str(gene) for gene, name in zip(genes["gene_id"], genes["gene_name"], strict=True)
    }
    found = {}
    for label in set(labels):
        known = ensembl_id(label)
        others = () if known or label.upper() in by_name else hgnc.symbols().synonyms(label)
        gene = (
            known
            if known in ids
            else next((by_name[one] for one in (label.upper(), *others) if one in by_name), "")
        )
        if gene:
            found[label] = gene
    return found


def compounds_of(targets: pd.DataFrame, interactions: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """Table TARGET_COMPOUNDS: each gene and action with each compound that acts on the gene.

    Parameters
    ----------
    targets
        `gene_id`, `gene_name` and `action`.
    interactions
        Table INTERACTIONS.
    genes
        `gene_id` and `gene_name` of all genes of the round.

    Returns
    -------
    Of a gene first what does what is needed, then unknown signs, then what does the opposite; within these the furthest stage,
    the highest potency, the name.
    """
    ids = gene_ids_of(interactions["gene"], genes)
    known = interactions.assign(gene=interactions["gene"].map(ids)).dropna(subset=["gene"])
    known = merged(known).rename(columns={"gene": "gene_id"})  # sources name a gene differently
    rows = targets[["gene_id", "gene_name", "action"]].merge(known, on="gene_id", how="inner")
    done = rows["kind"].map(ACTION)
    rows["direction"] = np.where(
        done.isna(), "unknown", np.where(done.eq(rows["action"]), "agrees", "opposes")
    )
    rank = {"agrees": 0, "unknown": 1, "opposes": 2}
    rows = rows.assign(
        _direction=rows["direction"].map(rank),
        _stage=rows["stage"].map({one: place for place, one in enumerate(ORDER)}).fillna(len(ORDER)),
        _potency=-rows["potency"].fillna(-1.0),
    ).sort_values(["gene_id", "action", "_direction", "_stage", "_potency", "compound"], kind="stable")
    return TARGET_COMPOUNDS.checked(rows)


def with_compounds(targets: pd.DataFrame, compounds: pd.DataFrame) -> pd.DataFrame:
    """Targets with what their compounds come to: names, counts by direction, stage, and whether a sign is known.

    Parameters
    ----------
    targets
        Rows of TARGETS.
    compounds
        Result of `compounds_of`.
    """
    one = compounds.assign(n=1)
    count = one.pivot_table(
        index=["gene_id", "action"], columns="direction", values="n", aggfunc="sum", fill_value=0
    )
    agreeing = compounds[compounds["direction"].eq("agrees")].groupby(["gene_id", "action"], sort=False)
    names = agreeing["compound"].agg(list)
    stage = agreeing["stage"].first()
    key = pd.MultiIndex.from_frame(targets[["gene_id", "action"]])
    made = targets.reset_index(drop=True)
    for direction, column in (("agrees", "n_agree"), ("opposes", "n_oppose"), ("unknown", "n_unknown")):
        counted = count[direction].reindex(key).fillna(0) if direction in count else pd.Series(0, index=key)
        made[column] = counted.to_numpy(int)
    made["sign_known"] = made["n_agree"].gt(0)
    made["compounds"] = [_named(one) for one in names.reindex(key)]
    made["stage"] = stage.reindex(key).fillna("").to_numpy(object)
    return made


def with_tractability(targets: pd.DataFrame, categories: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """Targets with the categories of druggable genes they are in.

    Parameters
    ----------
    targets
        Rows of TARGETS.
    categories
        Categories of each Ensembl id.
    """
    said = [
        ", ".join(sorted({one.lower() for one in categories.get(gene, ())})) for gene in targets["gene_id"]
    ]
    return targets.assign(tractability=said)


def _named(names: object) -> str:
    if not isinstance(names, list):
        return ""
    more = f" +{len(names) - NAMED}" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
