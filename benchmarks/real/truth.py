"""What the screens found, as one table a screen: which genes raise the readout, which lower it, and which are silent.

Canonical sign: `effect` is the effect of *raising the gene product* on the readout (IFN-γ, TNF). A knock-down that lowers the
readout is a positive regulator, an activation that raises it is one too.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from perturbloop.data.genes import resolve
from perturbloop.data.vocabulary import Vocabulary

FDR = 0.05


def crispri_ifng(path: Path, words: Vocabulary) -> pd.DataFrame:
    """A donor's CRISPRi screen (MAGeCK gene summary): `gene_id`, `effect`, `positive`, `negative`."""
    table = pd.read_csv(path, sep="\t")
    return _by_gene(
        pd.DataFrame(
            {
                "gene_id": resolve(table["id"].astype(str).tolist(), words),
                "effect": -table["neg|lfc"],
                "positive": table["neg|fdr"] < FDR,
                "negative": table["pos|fdr"] < FDR,
            }
        )
    )


def crispra_tnf(path: Path, words: Vocabulary, *, published: bool) -> pd.DataFrame:
    """The CRISPRa screen: hits by FDR and sign, or as `published` (its own column `Hit_Type`, which asks for more)."""
    table = pd.read_csv(path)
    hit = table["Hit"] if published else table["FDR"] < FDR
    return _by_gene(
        pd.DataFrame(
            {
                "gene_id": resolve(table["Gene"].astype(str).tolist(), words),
                "effect": table["LFC"],
                "positive": hit & table["LFC"].gt(0),
                "negative": hit & table["LFC"].lt(0),
            }
        )
    )


def in_both(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Hits of both donors; the effect is their mean."""
    both = one.merge(other, on="gene_id", suffixes=("_1", "_2"))
    return pd.DataFrame(
        {
            "gene_id": both["gene_id"],
            "effect": (both["effect_1"] + both["effect_2"]) / 2,
            "positive": both["positive_1"] & both["positive_2"],
            "negative": both["negative_1"] & both["negative_2"],
        }
    )


def pathway(gmt: Path, names: Iterable[str], words: Vocabulary) -> frozenset[str]:
    """Ensembl ids of the genes in any of these sets of a GMT file; a set that is not there is refused."""
    wanted, found = set(names), set()
    genes: set[str] = set()
    for line in gmt.read_text().splitlines():
        name, _, *members = line.split("\t")
        if name.strip() in wanted:
            found.add(name.strip())
            genes |= set(resolve(members, words)) - {""}
    if wanted - found:
        msg = f"{gmt.name} lacks the sets {sorted(wanted - found)}"
        raise ValueError(msg)
    return frozenset(genes)


def _by_gene(table: pd.DataFrame) -> pd.DataFrame:
    """Keep each mapped gene once, with its strongest effect."""
    mapped = table[table["gene_id"] != ""]
    order = mapped["effect"].abs().sort_values(ascending=False).index
    return mapped.loc[order].drop_duplicates("gene_id").sort_values("gene_id", ignore_index=True)
