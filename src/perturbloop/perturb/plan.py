"""List every edit before any is made; pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from perturbloop.data.ragged import blocks
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.perturb.edit import Perturbation, Policy, Row, Target, edited
from perturbloop.schema import ACTION, Kind, PerturbConfig
from perturbloop.stats.streams import stream

_PLACES = 20_000_000
"""Places of genes in cells that are held at once."""
COLUMNS = ["cell", "kind", "token", "position"]


@dataclass(frozen=True)
class Plan:
    """Edits to make: one row each, ordered by cell, so that a cell is encoded once."""

    edits: pd.DataFrame
    """`cell` (row of the tokens), `kind`, `token`, `position` (rank of the gene among the cell's genes, from 0; -1 where
    the cell does not express it)."""
    policy: Policy = field(default_factory=Policy)
    """What an edit means at the edges of an encoding."""
    dose: float = 1.0
    """How far `inhibit` and `activate` move a gene."""

    @property
    def digest(self) -> str:
        """Hash of all edits and of what they mean."""
        hasher = hashlib.sha256(pd.util.hash_pandas_object(self.edits, index=False).to_numpy().tobytes())
        if (self.policy, self.dose) != (Policy(), 1.0):
            hasher.update(repr((self.policy, self.dose)).encode())
        return hasher.hexdigest()[:16]

    def shards(self, size: int) -> list[pd.DataFrame]:
        """Cut the edits into parts of about `size`, never through a cell."""
        cell = self.edits["cell"].to_numpy()
        ends = np.append(np.flatnonzero(np.diff(cell)) + 1, len(cell))
        cuts = [0]
        for end in ends.tolist():
            if end - cuts[-1] >= size or end == len(cell):
                cuts.append(end)
        return [self.edits.iloc[a:b] for a, b in pairwise(cuts) if b > a]

    def row(self, tokens: Tokens, cell: int, kind: Kind, token: int, limit: int) -> Row:
        """Return the cell after one edit of the plan.

        Parameters
        ----------
        tokens
            Encoded cells.
        cell
            Row of the tokens.
        kind
            Edit.
        token
            Gene that is edited.
        limit
            Most tokens of a cell.

        Returns
        -------
        Tokens of the edited cell, special ones included.
        """
        row = edited(
            tokens.row(cell),
            (Target(token, kind, self.dose),),
            policy=self.policy,
            limit=limit,
            spare=tokens.spare(cell),
            has_cls=tokens.has_cls,
        )
        if row is None:
            msg = f"edit {kind} of token {token} changes nothing in cell {cell}"
            raise ValueError(msg)
        return row


def plan(
    tokens: Tokens,
    vocabulary: Vocabulary,
    config: PerturbConfig,
    *,
    gene_ids: Sequence[str] | None = None,
) -> Plan:
    """Choose the cells in which each gene is edited.

    A gene is edited in at most `cells_per_gene` of the cells that express it, so the number of passes is bounded by
    genes, not by cells. The draw of a gene depends on the seed and the gene only. Cells in which the edit would
    change nothing, or leave nothing, are left out: those whose first gene it is for `overexpress`, those whose only gene
    it is for `delete`. Under `not_expressed = "insert"` raised genes are drawn among all cells.

    Parameters
    ----------
    tokens
        Encoded start cells.
    vocabulary
        Names the genes.
    config
        Kinds, dose, policies, cells per gene, seed.
    gene_ids
        Genes to edit; all that the cells express by default.

    Returns
    -------
    All edits, ordered by cell, with what they mean at the edges of an encoding.
    """
    n_genes_n = tokens.length_n - 2 * tokens.has_cls
    count_v = tokens.count()
    wanted = np.flatnonzero(count_v)
    if gene_ids is not None:
        known = [gene for gene in gene_ids if gene in vocabulary.position]
        wanted = np.unique([vocabulary.tokens[vocabulary.position[gene]] for gene in known]).astype(int)
        count_v = np.pad(count_v, (0, max(0, vocabulary.size - len(count_v))))
    parts = []
    for start, stop in blocks(count_v[wanted], _PLACES):
        cell_f, position_f, token_f = tokens.find(wanted[start:stop])
        order = np.argsort(token_f, kind="stable")
        bounds = np.searchsorted(token_f[order], np.append(wanted[start:stop], wanted[stop - 1] + 1))
        for token, (first, end) in zip(wanted[start:stop].tolist(), pairwise(bounds), strict=True):
            held = order[first:end]
            for kind in config.kinds:
                cell, position = _drawn(kind, token, cell_f[held], position_f[held], n_genes_n, config)
                kind_e, own_e = np.full(len(cell), kind, dtype=object), np.full(len(cell), token)
                parts.append((cell, kind_e, own_e, position))
    edits = pd.DataFrame(columns=COLUMNS)
    if parts:
        columns = zip(COLUMNS, zip(*parts, strict=True), strict=True)
        edits = pd.DataFrame({name: np.concatenate(column) for name, column in columns})
    edits = edits.sort_values(["cell", "kind", "position", "token"], ignore_index=True)
    return Plan(edits, Policy.of(config), config.dose)


def _drawn(
    kind: Kind,
    token: int,
    cell: np.ndarray,
    position: np.ndarray,
    n_genes_n: np.ndarray,
    config: PerturbConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of an edit, drawn among those in which it changes something, and where the gene stands in them."""
    if config.not_expressed == "insert" and ACTION[kind] == "activate":
        absent = np.setdiff1d(np.arange(len(n_genes_n)), cell)
        cell = np.concatenate([cell, absent])
        position = np.concatenate([position, np.full(len(absent), -1)])
        by_cell = np.argsort(cell, kind="stable")
        cell, position = cell[by_cell], position[by_cell]
    eligible = np.flatnonzero(_changes(kind, position, n_genes_n[cell], config.dose))
    draw = stream(config.seed, "cells of a gene", token).permutation(len(eligible))
    chosen = eligible[np.sort(draw[: config.cells_per_gene])]
    return cell[chosen], position[chosen]


def plan_together(
    tokens: Tokens, vocabulary: Vocabulary, perturbation: Perturbation, config: PerturbConfig
) -> tuple[np.ndarray, list[Row]]:
    """Choose the cells in which a set of genes is edited together.

    Parameters
    ----------
    tokens
        Encoded start cells.
    vocabulary
        Says how long a cell may be.
    perturbation
        Genes and what is done to each.
    config
        Policies, cells per gene, seed.

    Returns
    -------
    Cells to which the set applies, at most `cells_per_gene` of them drawn by seed, and their edited rows.
    """
    found = []
    for cell in range(tokens.n_cells):
        row = edited(
            tokens.row(cell),
            perturbation.targets,
            policy=Policy.of(config),
            limit=vocabulary.max_length,
            spare=tokens.spare(cell),
            has_cls=tokens.has_cls,
        )
        if row is not None:
            found.append((cell, row))
    rng = stream(config.seed, "cells of a set", *sorted(int(target.token) for target in perturbation.targets))
    kept = np.sort(rng.permutation(len(found))[: config.cells_per_gene])
    return np.array([found[place][0] for place in kept], dtype=int), [found[place][1] for place in kept]


def _changes(kind: Kind, position: np.ndarray, n_genes: np.ndarray, dose: float) -> np.ndarray:
    """Whether an edit changes the order of a cell's genes and leaves it any."""
    rank = np.where(position < 0, n_genes, position)
    if kind == "delete":
        return n_genes > 1
    if kind == "overexpress":
        return rank > 0
    if kind == "inhibit":
        return np.rint(dose * (n_genes - 1 - rank)) > 0
    return np.rint((1 - dose) * rank) < rank


def reference_genes(tokens: Tokens, vocabulary: Vocabulary, config: PerturbConfig) -> list[str]:
    """Draw the genes that stand for all others where only some are edited, by seed, among those the cells express.

    Parameters
    ----------
    tokens
        Encoded cells.
    vocabulary
        Genes and tokens of the model.
    config
        Seed, and how many.
    """
    gene_of = vocabulary.gene_of_token
    expressed = sorted(
        gene_of[token] for token in np.flatnonzero(tokens.count()).tolist() if token in gene_of
    )
    rng = np.random.default_rng([config.seed, 1])
    return [expressed[place] for place in rng.permutation(len(expressed))[: config.reference_genes]]
