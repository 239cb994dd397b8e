"""Tokenize an AnnData object as the published tool does, its quirks included."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.cells import from_adata
from perturbloop.data.counts import require_whole
from perturbloop.data.encoding import encode, tokenize
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError
from perturbloop.schema import Compat


def tokenize_adata(
    adata: ad.AnnData,
    vocabulary: Vocabulary,
    *,
    compat: Compat = None,
    total_column: str = "n_counts",
    special_tokens: bool = True,
) -> Tokens:
    """Encode an AnnData object: checked and mapped as every file is, or as the published tool does.

    Parameters
    ----------
    adata
        Raw counts; it is not changed.
    vocabulary
        Tokens, medians, special tokens and length.
    compat
        `None`: as `from_adata` and `tokenize`. `"geneformer"`: quirks included, to compare with the published tool, not to
        prefer it. Totals come from `obs[total_column]`, ids from `var["ensembl_id"]`. The first generation takes the
        ids as they are, so a repeated id gives its token twice. The second maps labels, and sums columns only if two
        different labels mean one gene; then a repeated label is summed as well.
    total_column
        Column of `obs` with each cell's total; read under `compat` only.
    special_tokens
        Whether a second-generation row gets `<cls>` and `<eos>`; the published tool can leave them out.

    Returns
    -------
    One row per cell, in the order of the object.

    Raises
    ------
    InputError
        If the object does not hold raw counts or, under `compat`, lacks a column.
    """
    plain = replace(vocabulary, specials={"<pad>": 0, "<mask>": 1}) if not special_tokens else vocabulary
    if compat is None:
        return tokenize(from_adata(adata, names=vocabulary.names)[0], plain)
    for frame, name in ((adata.obs, total_column), (adata.var, "ensembl_id")):
        if name not in frame.columns:
            msg = f"Tokenizing as the published tool does needs the column `{name}`; the object lacks it. Add it."
            raise InputError(msg)
    require_whole(adata.X, "the AnnData object")
    counts = sparse.csr_matrix(adata.X, dtype=np.float64)
    labels = ["" if pd.isna(label) else str(label) for label in adata.var["ensembl_id"]]
    if vocabulary.version == "geneformer-v2":
        known = vocabulary.position
        mapped = [vocabulary.aliases.get(label.upper(), "") for label in labels]
        pairs = {(label, gene) for label, gene in zip(labels, mapped, strict=True) if gene in known}
        if len(pairs) > len({gene for _, gene in pairs}):
            order: dict[str, int] = {}
            kept = [place for place, gene in enumerate(mapped) if gene]
            target = [order.setdefault(mapped[place], len(order)) for place in kept]
            collapse = sparse.csr_matrix(
                (np.ones(len(kept)), (kept, target)), shape=(len(labels), len(order))
            )
            counts, mapped = sparse.csr_matrix(counts @ collapse), list(order)
        labels = mapped
    total_n = adata.obs[total_column].to_numpy(dtype=np.float64)
    return encode(counts, np.array(labels, dtype=object), total_n, plain)
