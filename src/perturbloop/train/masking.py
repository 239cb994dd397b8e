"""Batches of equal cost, and which of their genes a model must guess."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

IGNORED = -100
"""Label of a position whose gene is not asked for."""


def pad(rows: Sequence[np.ndarray]) -> Int[np.ndarray, "n t"]:
    """Stack rows of different length, zeros at the right."""
    length = max(len(row) for row in rows)
    return np.stack([np.pad(row, (0, length - len(row))) for row in rows]).astype(np.int64)


def batches(
    length_n: Int[np.ndarray, " n"], *, batch_tokens: int, rng: np.random.Generator, pool: int = 32
) -> list[Int[np.ndarray, " m"]]:
    """Deal every cell into one batch, in random order, cells of like length together.

    Parameters
    ----------
    length_n
        Tokens of each cell.
    batch_tokens
        Most tokens in a batch, padding included; a longer cell is a batch of its own.
    rng
        Random numbers.
    pool
        Batches' worth of shuffled cells that are sorted by length together: more means less padding, less means
        more mixing.

    Returns
    -------
    Positions of the cells of each batch.

    Examples
    --------
    >>> sorted(len(batch) for batch in batches(np.array([3, 3, 3]), batch_tokens=6, rng=np.random.default_rng(0)))
    [1, 2]
    """
    order = rng.permutation(len(length_n))
    size = max(1, pool * batch_tokens // int(max(length_n.mean(), 1)))
    dealt = []
    for start in range(0, len(order), size):
        part = order[start : start + size]
        part = part[np.argsort(-length_n[part], kind="stable")]
        first = 0
        while first < len(part):
            count = max(1, batch_tokens // int(max(length_n[part[first]], 1)))  # the first is the longest
            dealt.append(part[first : first + count])
            first += count
    return [dealt[place] for place in rng.permutation(len(dealt))]


def mask_genes(
    tokens_nt: Int[np.ndarray, "n t"],
    is_gene_v: Bool[np.ndarray, " v"],
    *,
    mask_token: int,
    share: float,
    rng: np.random.Generator,
    all_masked: bool = False,
) -> tuple[Int[np.ndarray, "n t"], Int[np.ndarray, "n t"]]:
    """Hide a share of each cell's genes.

    Parameters
    ----------
    tokens_nt
        Padded rows.
    is_gene_v
        Which token ids are genes; only these are ever hidden.
    mask_token
        Id of `<mask>`.
    share
        Share of a cell's genes to hide; at least one gene a cell.
    rng
        Random numbers.
    all_masked
        Show `<mask>` at every hidden gene, as when the loss is measured. Otherwise, as in BERT, 80 % show
        `<mask>`, 10 % another gene and 10 % the gene itself.

    Returns
    -------
    What the model sees, and what it must say: the gene where one is hidden, `IGNORED` elsewhere.

    Notes
    -----
    The other gene is drawn from the genes of the batch, that is, by how often a gene occurs.
    """
    maskable_nt = is_gene_v[tokens_nt]
    # Rank random numbers within a row, so that the share is exact in every cell.
    draw_nt = np.where(maskable_nt, rng.random(tokens_nt.shape), 2.0)
    n_hidden_n = np.maximum(1, np.rint(share * maskable_nt.sum(axis=1)))
    hidden_nt = (draw_nt.argsort(axis=1).argsort(axis=1) < n_hidden_n[:, None]) & maskable_nt
    labels_nt = np.where(hidden_nt, tokens_nt, IGNORED)
    fate_nt = np.zeros(tokens_nt.shape) if all_masked else rng.random(tokens_nt.shape)
    others_nt = rng.choice(tokens_nt[maskable_nt], size=tokens_nt.shape)
    shown_nt = np.where(hidden_nt & (fate_nt < 0.8), mask_token, tokens_nt)
    shown_nt = np.where(hidden_nt & (fate_nt >= 0.9), others_nt, shown_nt)
    return shown_nt, labels_nt
