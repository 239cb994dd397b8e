"""What measured effects and gene vectors must be before anything is learnt from them."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy import sparse

from perturbloop.errors import GeneIdError, InputError, some


def require_effects(
    label_p: Shaped[np.ndarray, " p"],
    effect_p: Float[np.ndarray, " p"],
    se_p: Float[np.ndarray, " p"],
    *,
    least: int = 0,
    missing: bool = False,
) -> None:
    """Refuse effects that are too few, given twice, not finite, or of negative error.

    Parameters
    ----------
    label_p
        What each effect is of: a gene id, or the gene's place.
    effect_p, se_p
        Effects and standard errors.
    least
        Fewest genes.
    missing
        Whether an effect or error may be NaN.
    """
    twice = pd.Index(label_p)[pd.Index(label_p).duplicated()].unique()
    if len(twice):
        msg = (
            f"Each measured gene needs one effect; these have several: {some(twice)}. "
            "Keep the gene-level rows of one modality."
        )
        raise InputError(msg)
    if len(label_p) < least:
        msg = f"At least {least} measured genes are needed; {len(label_p)} came. Record more targets."
        raise InputError(msg)
    wrong_p = np.isinf(effect_p) | np.isinf(se_p) | (se_p < 0)
    if not missing:
        wrong_p |= np.isnan(effect_p) | np.isnan(se_p)
    if wrong_p.any():
        msg = f"Effects must be finite and their errors not negative; those of {some(label_p[wrong_p])} are not. Measure them again."
        raise InputError(msg)


def require_vectors(
    what: str,
    gene_ids: Shaped[np.ndarray, " g"],
    vector_gd: np.ndarray | sparse.csr_matrix,
) -> None:
    """Refuse vectors that are not one row of finite numbers for each gene.

    Parameters
    ----------
    what
        What is made of them, in words: "A graph".
    gene_ids
        Ensembl ids.
    vector_gd
        One vector per gene.
    """
    twice = pd.Index(gene_ids)[pd.Index(gene_ids).duplicated()].unique()
    if len(twice):
        msg = f"{what} needs one vector for each gene; these have several: {some(twice)}. Keep one of each."
        raise GeneIdError(msg)
    if vector_gd.shape[0] != len(gene_ids):
        msg = f"{what} needs one row for each of its {len(gene_ids):,} genes; {vector_gd.shape[0]:,} came. Correct the table."
        raise InputError(msg)
    if sparse.issparse(vector_gd):
        table_gd = vector_gd.tocoo()
        broken = np.unique(table_gd.row[~np.isfinite(table_gd.data)])
    else:
        broken = np.flatnonzero(~np.isfinite(vector_gd).all(axis=1))
    if broken.size:
        msg = f"Gene vectors must be finite numbers; those of {some(gene_ids[broken])} are not. Remove these genes."
        raise InputError(msg)
