"""Families of genes, and receptors with their ligands: rolled up, so that nine kinase isoforms are one finding."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr

from perturbloop.schema import TARGET_GROUPS

LEAST_STEM = 3
AXES: tuple[tuple[str, str, str], ...] = (
    ("MIF", "CD74", "10.1084/jem.20030286"),
    ("MIF", "CD44", "10.1016/j.immuni.2006.08.020"),
    ("MIF", "CXCR2", "10.1038/nm1567"),
    ("MIF", "CXCR4", "10.1038/nm1567"),
)
"""Ligand, receptor and where their binding is shown; others come from a collection of kind pairs."""
MOST_COMPOUNDS = 4
_NUMBERED = re.compile(r"([A-Z][A-Z0-9]*?[A-Z])-?\d{1,2}[A-Z]?$")
_LETTERED = re.compile(r"([A-Z][A-Z0-9]{3,})[A-Z]$")


def stem_of(symbol: str) -> str:
    """Stem that the symbols of a family share; '' where the rule finds none.

    Notes
    -----
    A symbol that ends with one or two digits, and a letter if there is one, loses them where three letters or more are left (JAK1,
    STAT5A); else one that ends with a letter loses it where four are left (PRKCB, PIK3CD, CD79A). It is a rule of spelling: CDK4 and
    CDK20 share a stem and little else, and MTOR has none.

    Examples
    --------
    >>> [stem_of(name) for name in ("PRKCB", "PIK3CD", "JAK1", "STAT5A", "CD79A", "CD4", "MTOR")]
    ['PRKC', 'PIK3C', 'JAK', 'STAT', 'CD79', '', '']
    """
    numbered = _NUMBERED.match(symbol)
    if numbered and len(numbered[1]) >= LEAST_STEM:
        return numbered[1]
    lettered = _LETTERED.match(symbol)
    return lettered[1] if lettered else ""


def families(gene_names: Sequence[str]) -> dict[str, list[str]]:
    """Members of each family of at least two of these genes, by stem with an asterisk.

    >>> families(["PRKCA", "PRKCB", "MTOR", "JAK1"])
    {'PRKC*': ['PRKCA', 'PRKCB']}
    """
    found: dict[str, list[str]] = {}
    for name in gene_names:
        if stem := stem_of(name):
            found.setdefault(f"{stem}*", []).append(name)
    return {stem: names for stem, names in found.items() if len(names) > 1}


def axes_of(gene_names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Ligand and receptor of each pair of which both are among these genes.

    Parameters
    ----------
    gene_names
        Symbols.
    pairs
        Ligand and receptor.
    """
    known = set(gene_names)
    return {
        f"{ligand}–{receptor}": [ligand, receptor]
        for ligand, receptor in dict.fromkeys(pairs)
        if ligand in known and receptor in known and ligand != receptor
    }


def groups(
    ranked: pd.DataFrame, members: Mapping[str, Mapping[str, Sequence[str]]], compounds: pd.DataFrame
) -> pd.DataFrame:
    """Table TARGET_GROUPS: those with a gene that a compound acts on, surest first.

    Parameters
    ----------
    ranked
        `gene_name`, `action`, `place` (missing where a gene was measured and is not ranked) and `measured` (in words).
    members
        Sort (family, axis) → group → symbols.
    compounds
        Table TARGET_COMPOUNDS.

    Returns
    -------
    The p is that of a rank sum by its normal approximation; genes of a family look alike to a model, so it is too small.
    """
    helping = compounds[compounds["direction"].eq("agrees")]
    acting = helping.groupby(["action", "gene_name"], sort=False)["compound"].agg(list).to_dict()
    touched = set(compounds["gene_name"])
    rows = []
    for action, of_action in ranked.groupby("action", sort=False):
        place = dict(zip(of_action["gene_name"], of_action["place"].astype(float), strict=True))
        told = dict(zip(of_action["gene_name"], of_action["measured"], strict=True))
        n = int(np.isfinite(list(place.values())).sum())
        for sort, named in members.items():
            for group, genes in named.items():
                present = [gene for gene in genes if gene in place]
                if len(present) < 2 or not touched & set(present):
                    continue
                row = _group(present, place, told, n)
                drugs = {gene: acting.get((action, gene), []) for gene in present}
                rows.append(
                    {"group": group, "sort": sort, "action": action, "compounds": _compounds(drugs)} | row
                )
    table = pd.DataFrame(rows, columns=TARGET_GROUPS.names)
    return TARGET_GROUPS.checked(table.sort_values("pvalue", kind="stable"))


def _group(
    genes: Sequence[str], place: Mapping[str, float], told: Mapping[str, str], n: int
) -> dict[str, object]:
    ranked = sorted((gene for gene in genes if np.isfinite(place[gene])), key=lambda gene: place[gene])
    others = [f"{gene} ({told[gene] or 'not ranked'})" for gene in genes if gene not in ranked]
    m = len(ranked)
    mean = float(np.mean([place[gene] for gene in ranked])) if m else np.nan
    spread = np.sqrt((n + 1) * (n - m) / (12 * m)) if 0 < m < n else np.nan
    return {
        "n_genes": m,
        "genes": ", ".join([*others, *(f"{gene} ({place[gene]:.0f})" for gene in ranked)]),
        "best_place": place[ranked[0]] if ranked else np.nan,
        "mean_percentile": (mean - 0.5) / n if m else np.nan,
        "pvalue": float(ndtr((mean - (n + 1) / 2) / spread)) if m else np.nan,
    }


def _compounds(drugs: Mapping[str, Sequence[str]]) -> str:
    """Compounds with the genes of the group they act on, those of most genes first."""
    hits: dict[str, list[str]] = {}
    for gene, names in drugs.items():
        for name in names:
            hits.setdefault(name, []).append(gene)
    order = sorted(hits, key=lambda name: -len(hits[name]))[:MOST_COMPOUNDS]
    return "; ".join(f"{name} ({', '.join(sorted(hits[name]))})" for name in order)
