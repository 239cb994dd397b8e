"""Why a gene is proposed, in biology: what the ranking says of it, by which measured genes, and what differential expression says."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.gene_sets import GeneSets
from perturbloop.schema import EITHER_WAY, WITHOUT_MODEL

_CHIEF_SHARE = 0.3
"""Least share of the expected effect that a measured gene must bring to be called the chief reason."""


def reasons_of(chosen: pd.DataFrame, *, n_scored: int | None = None) -> list[str]:
    """Say of each row what its place rests on.

    Parameters
    ----------
    chosen
        RANKING rows, best first; where they have the column `neighbors` of POSTERIOR, the measured genes behind the expectation are named.

    n_scored
        How many were chosen by the ranking: of the others its score is not told. All by default.

    Examples
    --------
    >>> reasons_of(pd.DataFrame({"ranked_by": ["logit_shift"], "effect": [0.08], "ci_low": [0.02], "ci_high": [0.14],
    ...     "log2fc": [-1.2], "de_padj": [0.003], "flags": ["either-way"]}))
    ['in-silico shift +0.080 logits [+0.020, +0.140]; log2FC -1.20 (padj 0.003): higher in the start; the opposite action scores as high']
    """
    n_scored = len(chosen) if n_scored is None else n_scored
    rows = enumerate(chosen.to_dict("records"))
    return ["; ".join([*(_score(row) if place < n_scored else ()), *_facts(row)]) for place, row in rows]


def chief_reasons(chosen: pd.DataFrame) -> list[str]:
    """Say of each row, in a few words, what weighs most in its rank.

    Parameters
    ----------
    chosen
        As of `reasons_of`.

    Examples
    --------
    >>> chief_reasons(pd.DataFrame({"ranked_by": ["posterior", "posterior", "logit_shift"], "effect": [0.3, 0.3, 0.08],
    ...     "neighbors": ["+0.21 by JAK2, -0.02 by TYK2", "+0.01 by VAV1", ""], "logit_shift": [0.1, 0.2, 0.08]}))
    ['+0.21 by JAK2', 'in silico +0.20', 'in silico +0.08']
    """
    return [_chief(row) for row in chosen.to_dict("records")]


def _chief(row: dict[str, Any]) -> str:
    if pd.isna(row["effect"]):
        return ""
    neighbors = row.get("neighbors")
    nearest = neighbors.split(", ")[0] if isinstance(neighbors, str) else ""
    if nearest and abs(float(nearest.split()[0])) >= _CHIEF_SHARE * abs(row["effect"]):
        return nearest
    if row["ranked_by"] != WITHOUT_MODEL and pd.notna(row.get("logit_shift")):
        return f"in silico {row['logit_shift']:+.2f}"
    return f"expected {row['effect']:+.2f}"


def set_reasons(
    gene_ids: Iterable[str],
    sets: GeneSets | None,
    hits: Mapping[str, str],
    *,
    smallest: int = 3,
    largest: int = 300,
) -> list[str]:
    """Name for each gene the set that it shares with most measured hits, else its smallest set; empty where it is in none.

    Parameters
    ----------
    gene_ids
        Ensembl ids.
    sets
        Gene sets; `None` where none are known.
    hits
        Symbol of each measured hit, by Ensembl id.
    smallest, largest
        Genes of a set that is named; larger ones say little of any gene.

    Examples
    --------
    >>> from scipy import sparse
    >>> members = sparse.csr_matrix(np.array([[1, 1], [1, 1], [1, 0], [0, 1], [0, 1]]))
    >>> found = GeneSets("example", np.array(["A", "B"]), np.array(list("abcde")), members)
    >>> set_reasons(["a", "x"], found, {"d": "VAV1"})
    ['in B (4 genes) with the hit VAV1', '']
    """
    if sets is None:
        return [""] * len(list(gene_ids))
    place_of = {gene: place for place, gene in enumerate(sets.gene_ids)}
    return [_set_of(sets, place_of, gene, hits, smallest, largest) for gene in gene_ids]


def _set_of(
    sets: GeneSets,
    place_of: Mapping[str, int],
    gene: str,
    hits: Mapping[str, str],
    smallest: int,
    largest: int,
) -> str:
    if gene not in place_of:
        return ""
    in_s = sets.member_gs[[place_of[gene]]].indices
    in_s = in_s[(sets.size_s[in_s] >= smallest) & (sets.size_s[in_s] <= largest)]
    if not len(in_s):
        return ""
    others = [other for other in hits if other in place_of and other != gene]
    member_hs = sets.member_gs[[place_of[other] for other in others]][:, in_s].toarray() > 0
    best = int(np.lexsort((sets.size_s[in_s], -member_hs.sum(axis=0)))[0])
    names = [hits[other] for other, within in zip(others, member_hs[:, best], strict=True) if within]
    with_hits = f" with the hit{'s' * (len(names) > 1)} {', '.join(names[:3])}" if names else ""
    return f"in {sets.set_names[in_s[best]]} ({sets.size_s[in_s[best]]:,} genes){with_hits}"


def _score(row: dict[str, Any]) -> Iterator[str]:
    """What the ranking says."""
    in_silico = row["ranked_by"] == "logit_shift"
    if pd.isna(row["effect"]):  # a ranking of an older version
        yield "highest benefit among genes that were not measured"
    elif in_silico:
        yield f"in-silico shift {row['effect']:+.3f} logits {_interval(row, 3)}"
    else:
        yield f"expected effect {row['effect']:+.2f} {_interval(row, 2)}"
    if not in_silico and pd.notna(row.get("logit_shift")):
        yield f"in-silico shift {row['logit_shift']:+.3f} logits"
    neighbors = row.get("neighbors")
    if isinstance(neighbors, str) and neighbors:
        yield f"by measured genes: {neighbors}"


def _facts(row: dict[str, Any]) -> Iterator[str]:
    """What is true whatever ranks."""
    if pd.notna(row["log2fc"]):
        side = "goal" if row["log2fc"] > 0 else "start"
        padj = f" (padj {row['de_padj']:.2g})" if pd.notna(row["de_padj"]) else ""
        yield f"log2FC {row['log2fc']:+.2f}{padj}: higher in the {side}"
    if pd.notna(row.get("detection")):
        yield f"seen in {row['detection']:.0%} of the start cells"
    if EITHER_WAY in str(row["flags"]).split(","):
        yield "the opposite action scores as high"


def _interval(row: dict[str, Any], digits: int) -> str:
    if pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return "(too few cells for an interval)"
    return f"[{row['ci_low']:+.{digits}f}, {row['ci_high']:+.{digits}f}]"
