"""Pathways of the best genes, by GSEApy, against the scored genes."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import pandas as pd

from perturbloop.errors import InputError
from perturbloop.schema import TARGET_PATHWAYS

SHARE, MOST = 0.05, 500
"""Best genes: this share of the scored ones, and no more than so many."""
SMALLEST, LARGEST = 5, 500
"""Genes of a set among the scored ones."""


def require_gseapy() -> None:
    """Refuse where the library is missing.

    Raises
    ------
    InputError
        If GSEApy is not installed.
    """
    if find_spec("gseapy") is None:
        msg = (
            "Pathways need the package gseapy, which is not installed. Install it with `pip install 'perturbloop[targets]'`, or leave "
            "`--pathways` out."
        )
        raise InputError(msg)


def pathways(
    ranked: pd.DataFrame, sets: Mapping[str, Mapping[str, Sequence[str]]], *, least_padj: float = 1.0
) -> pd.DataFrame:
    """Table TARGET_PATHWAYS: over-representation of gene sets among the best genes of each action, surest first.

    Parameters
    ----------
    ranked
        `gene_name`, `action` and `place` of every ranked gene: the background.
    sets
        Collection → set → symbols.
    least_padj
        Sets with a larger padj are left out.

    Notes
    -----
    `gseapy.enrich`, the hypergeometric test, on the best 5 % of the ranked genes (500 at most). Genes that no set holds are in the
    background. Genes of a set are correlated, and well-studied genes are in many: p is too small, the order is of more use.
    """
    import gseapy

    parts = []
    for action, of_action in ranked.dropna(subset=["place"]).groupby("action", sort=False):
        background = of_action.sort_values("place")["gene_name"].astype(str).tolist()
        best = background[: min(MOST, max(1, round(SHARE * len(background))))]
        scored = set(background)
        for collection, members in sets.items():
            kept = {name: sorted(scored & set(genes)) for name, genes in members.items()}
            kept = {name: genes for name, genes in kept.items() if SMALLEST <= len(genes) <= LARGEST}
            if not kept or not set(best) & set().union(*map(set, kept.values())):
                continue
            found = gseapy.enrich(
                gene_list=best, gene_sets=kept, background=background, outdir=None, verbose=False
            )
            parts.append(_columns(found.results, kept).assign(action=action, collection=collection))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=TARGET_PATHWAYS.names)
    table = table[table["padj"].le(least_padj)].sort_values("pvalue", kind="stable")
    return TARGET_PATHWAYS.checked(table)


def _columns(found: pd.DataFrame, sets: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    leading = found["Genes"].str.split(";").map(sorted)
    return pd.DataFrame(
        {
            "pathway": found["Term"],
            "n_genes": [len(sets[name]) for name in found["Term"]],
            "n_best": leading.map(len),
            "odds_ratio": found["Odds Ratio"].astype(float),
            "pvalue": found["P-value"].astype(float),
            "padj": found["Adjusted P-value"].astype(float),
            "leading": leading.map(", ".join),
        }
    )
