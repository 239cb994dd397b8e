"""What the screens found, as one table a screen: which genes raise the readout, which lower it, and which are silent.

Canonical sign: `effect` is the effect of *raising the gene product* on the readout (IFN-γ, TNF). A knock-down that lowers the
readout is a positive regulator, an activation that raises it is one too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.data.screens import read_screen
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.schema import Modality, ScreenConfig

FDR = 0.05


def crispri_ifng(path: Path, words: Vocabulary) -> pd.DataFrame:
    """A donor's CRISPRi screen (MAGeCK gene summary): `gene_id`, `effect`, `positive`, `negative`."""
    return _by_gene(_config(path, "crispri", fdr=FDR), words)


def crispra_tnf(path: Path, words: Vocabulary, *, published: bool) -> pd.DataFrame:
    """The CRISPRa screen: hits by FDR, or as `published` (its own column `Hit`, which asks for more)."""
    rule = {"hit_column": "Hit"} if published else {"fdr": FDR}
    return _by_gene(_config(path, "crispra", **rule), words)


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
            genes |= set(words.names.resolve(members)) - {""}
    if wanted - found:
        msg = f"{gmt.name} lacks the sets {sorted(wanted - found)}"
        raise ValueError(msg)
    return frozenset(genes)


def _config(path: Path, modality: Modality, **rule: Any) -> ScreenConfig:
    """Cells that make more of the cytokine are the `goal` here, so that `effect` > 0 is a positive regulator."""
    return ScreenConfig(path=str(path), name=path.stem, modality=modality, higher_is="goal", **rule)


def _by_gene(config: ScreenConfig, words: Vocabulary) -> pd.DataFrame:
    screen, _ = read_screen(config, names=words.names)
    raises = screen["effect"] > 0
    return screen[["gene_id", "effect"]].assign(
        positive=screen["hit"] & raises, negative=screen["hit"] & ~raises
    )
