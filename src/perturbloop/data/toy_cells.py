"""Cells as the simulator makes them: genes with names, cells in states and donors, counts as a sequencer draws them."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Literal, get_args

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturbloop.data import network
from perturbloop.errors import GeneIdError, closest, some

State = Literal["resting", "stimulated"]
STATES: tuple[State, ...] = get_args(State)
GUIDES, STRENGTH = 3, (1.3, 1.1, 0.6)
MEAN_UMI, DEPTH_SPREAD, DISPERSION = 430.0, 0.35, 0.3


def genes() -> pd.DataFrame:
    """Return the packaged list of 400 human genes, Ensembl id and symbol, chosen for plain names.

    >>> genes().columns.tolist(), len(genes())
    (['gene_id', 'gene_name'], 400)
    """
    return pd.read_csv(str(files("perturbloop.data") / "toy_genes.csv")).astype(object)


def many_genes(n_genes: int) -> pd.DataFrame:
    """Packaged names, then as many made-up ones as are wanted."""
    made_up = [(f"ENSG9{number:010d}", f"TOY{number}") for number in range(n_genes)]
    return pd.concat([genes(), pd.DataFrame(made_up, columns=["gene_id", "gene_name"])], ignore_index=True)[
        :n_genes
    ].astype(object)


def group_names(factor_g: np.ndarray, n_modules: int) -> np.ndarray:
    """Co-expression group of each gene, in words."""
    groups = np.where(factor_g < n_modules, "module", "program")
    numbers = np.where(factor_g < n_modules, factor_g, factor_g - n_modules) + 1
    named = [f"{group} {number}" for group, number in zip(groups, numbers, strict=True)]
    return np.where(factor_g < 0, "none", np.array(named, dtype=object))


def two_states(
    drawn: network.Network, listed: pd.DataFrame, *, n_cells: int, design: str, rng: np.random.Generator
) -> anndata.AnnData:
    """Simulate cells of both states, half of each.

    Parameters
    ----------
    drawn, listed
        The network and its genes.
    n_cells
        Cells.
    design
        `paired`: every donor gives cells of both states; `nested`: four donors per state.
    rng
        Source of donors and counts.
    """
    stimulus_n = np.arange(n_cells) * 2 // n_cells
    turn_n = np.arange(n_cells)
    donor_n = turn_n % 8 if design == "paired" else turn_n % 4 + 4 * stimulus_n
    log_ng, _ = drawn.settle(drawn.noise(donor_n, rng=rng), stimulus_n.astype(float))
    obs = {
        "state": np.array(STATES, dtype=object)[stimulus_n],
        "donor_id": [f"donor {i + 1}" for i in donor_n],
    }
    return as_anndata(sequenced(log_ng, rng), listed, obs)


def corpus_cells(
    drawn: network.Network, listed: pd.DataFrame, *, n_cells: int, rng: np.random.Generator
) -> anndata.AnnData:
    """Simulate unlabelled cells of other donors, at any dose of the stimulus.

    Parameters
    ----------
    drawn, listed
        The network and its genes.
    n_cells
        Cells.
    rng
        Source of donors, doses and counts.
    """
    donor_n = np.arange(n_cells) % 6
    noise_ng = drawn.noise(donor_n, rng=rng, program_spread=2.0)
    log_ng, _ = drawn.settle(noise_ng, rng.uniform(0, 1, n_cells))
    return as_anndata(
        sequenced(log_ng, rng), listed, {"donor_id": [f"corpus donor {i + 1}" for i in donor_n]}
    )


def sequenced(
    log_ng: Float[np.ndarray, "n g"],
    rng: np.random.Generator,
    *,
    umi_n: Float[np.ndarray, " n"] | float = MEAN_UMI,
) -> sparse.csr_matrix:
    """Sequence the cells: log-normal depth, gamma-Poisson (negative binomial) counts; dropout is what depth misses.

    Parameters
    ----------
    log_ng
        Log expression, cells × genes.
    rng
        Source of depths and counts.
    umi_n
        Mean depth, of all cells or of each.
    """
    share_ng = np.exp(log_ng - log_ng.max(axis=1, keepdims=True))
    share_ng /= share_ng.sum(axis=1, keepdims=True)
    depth_n = umi_n * rng.lognormal(-(DEPTH_SPREAD**2) / 2, DEPTH_SPREAD, len(log_ng))
    mean_ng = depth_n[:, None] * share_ng * rng.gamma(1 / DISPERSION, DISPERSION, log_ng.shape)
    return sparse.csr_matrix(rng.poisson(mean_ng).astype(np.float32))


def as_anndata(counts_ng: sparse.csr_matrix, listed: pd.DataFrame, obs: dict[str, object]) -> anndata.AnnData:
    """Put counts, genes and columns of `obs` together.

    Parameters
    ----------
    counts_ng
        Raw counts, cells × genes.
    listed
        `gene_id` and `gene_name` of the genes.
    obs
        Columns, one value per cell.
    """
    names = pd.Index([f"cell{i}" for i in range(counts_ng.shape[0])], dtype=object)
    var = pd.DataFrame({"ensembl_id": listed.gene_id, "gene_name": listed.gene_name})
    var.index = pd.Index(listed.gene_id.to_numpy(), dtype=object)
    return anndata.AnnData(counts_ng, obs=pd.DataFrame(obs, index=names), var=var)


def places_of(listed: pd.DataFrame, targets: Sequence[str]) -> np.ndarray:
    """Places of genes, by Ensembl id or symbol, in a list of them; unknown ones are refused."""
    ids, names = listed.gene_id.tolist(), listed.gene_name.tolist()
    position = {name: i for known in (names, ids) for i, name in enumerate(known)}
    unknown = [target for target in targets if target not in position]
    if unknown:
        msg = (
            f"Targets must be Ensembl ids or symbols among the {len(ids)} genes of the toy world; these are not: "
            f"{some(unknown)}. The closest to the first: {closest(unknown[0], position)}."
        )
        raise GeneIdError(msg)
    return np.array([position[target] for target in targets], dtype=int)


def guide_strength(seed: int, gene: int) -> Float[np.ndarray, " guides"]:
    """Log-dose factors of a gene's guides, the same in every experiment of a world; one of the three is weak."""
    return np.random.default_rng([seed, 5, gene]).permutation(STRENGTH)
