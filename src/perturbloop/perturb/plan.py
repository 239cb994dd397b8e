"""List every edit before any is made; pure."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.schema import PerturbConfig


@dataclass(frozen=True)
class Plan:
    """Edits to make: one row each, ordered by cell, so that a cell is encoded once."""

    edits: pd.DataFrame
    """`cell` (row of the tokens), `kind`, `token`, `position` (rank of the gene among the cell's genes, from 0)."""

    @property
    def digest(self) -> str:
        """Hash of all edits."""
        return hashlib.sha256(
            pd.util.hash_pandas_object(self.edits, index=False).to_numpy().tobytes()
        ).hexdigest()[:16]

    def shards(self, size: int) -> list[pd.DataFrame]:
        """Cut the edits into parts of about `size`, never through a cell."""
        cell = self.edits["cell"].to_numpy()
        ends = np.append(np.flatnonzero(np.diff(cell)) + 1, len(cell))
        cuts = [0]
        for end in ends.tolist():
            if end - cuts[-1] >= size or end == len(cell):
                cuts.append(end)
        return [self.edits.iloc[a:b] for a, b in pairwise(cuts) if b > a]


def plan(
    tokens: Tokens,
    vocabulary: Vocabulary,
    config: PerturbConfig,
    *,
    gene_ids: list[str] | None = None,
) -> Plan:
    """Choose the cells in which each gene is edited.

    A gene is edited in at most `cells_per_gene` of the cells that express it, so the number of passes is bounded by
    genes, not by cells. The draw of a gene depends on the seed and the gene only. A cell whose first gene it is, is
    left out for `overexpress`: the edit would change nothing; a cell whose only gene it is, is left out for `delete`:
    nothing would be left.

    Parameters
    ----------
    tokens
        Encoded start cells.
    vocabulary
        Names the genes.
    config
        Kinds, cells per gene, seed.
    gene_ids
        Genes to edit; all that the cells express by default.
    """
    first = int(tokens.has_cls)
    n_genes_n = tokens.length_n - 2 * first
    cell_e, column_e = np.nonzero(_is_gene(tokens))
    token_e = tokens.tokens_nt[cell_e, column_e]
    order = np.argsort(token_e, kind="stable")
    genes, starts = np.unique(token_e[order], return_index=True)
    wanted = (
        None
        if gene_ids is None
        else {int(vocabulary.tokens[vocabulary.position[g]]) for g in gene_ids if g in vocabulary.position}
    )
    parts = []
    for token, places in zip(genes.tolist(), np.split(order, starts[1:]), strict=True):
        if wanted is not None and token not in wanted:
            continue
        for kind in config.kinds:
            kept = column_e[places] > first if kind == "overexpress" else n_genes_n[cell_e[places]] > 1
            eligible = places[kept]
            draw = np.random.default_rng([config.seed, token]).permutation(len(eligible))[
                : config.cells_per_gene
            ]
            chosen = eligible[np.sort(draw)]
            parts.append(
                pd.DataFrame(
                    {
                        "cell": cell_e[chosen],
                        "kind": kind,
                        "token": token,
                        "position": column_e[chosen] - first,
                    }
                )
            )
    columns = ["cell", "kind", "token", "position"]
    edits = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return Plan(edits.sort_values(["cell", "kind", "position"], ignore_index=True))


def _is_gene(tokens: Tokens) -> np.ndarray:
    """Mark the positions that hold a gene, neither padding nor special tokens."""
    column_t = np.arange(tokens.tokens_nt.shape[1])
    edge = int(tokens.has_cls)
    return (column_t >= edge) & (column_t < (tokens.length_n - edge)[:, None])
