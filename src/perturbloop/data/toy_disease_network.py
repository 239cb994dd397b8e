"""The network behind the simulated disease of `data.toy_disease`: which genes act on the state, and which only look like it."""

from importlib.resources import files

import numpy as np
import pandas as pd

from perturbloop.data.network import Network, with_thresholds
from perturbloop.data.toy import LOG_DOSE
from perturbloop.data.toy_cells import genes

REGULATOR = "RUNX1"
AXES = ("MTOR", "PRKC", "PI3K", "CD74-MIF")
KEY = ("MTOR", "PRKCB", "PIK3CD", "CD74", "MIF", "PRKAA1")
"""Genes that act in every seed; AMPK (PRKAA1) holds the disease back, the others drive it."""
HIT = 0.04
"""Least change of the state, 0 to 1, that makes a gene a hit."""


def disease_genes() -> pd.DataFrame:
    """Genes of the world: gene_id, gene_name, family (an axis, a druggable family, TF, S or G2M of the cell cycle, …), druggable."""
    named = pd.read_csv(str(files("perturbloop.data") / "toy_disease_genes.csv"), dtype={"druggable": bool})
    others = genes()
    others = others[~others.gene_id.isin(named.gene_id)].assign(family="other", druggable=False)
    return pd.concat([named, others], ignore_index=True)


def disease_network(listed: pd.DataFrame, rng: np.random.Generator) -> Network:
    """Axes and some transcription factors act on the state; druggable decoys and others follow it, RUNX1, or each other.

    Parameters
    ----------
    listed
        Genes of `disease_genes`.
    rng
        Source of the network.
    """
    family, name, n = listed.family.to_numpy(), listed.gene_name.to_numpy(), len(listed)
    axis, key = np.isin(family, AXES), np.isin(name, KEY)
    decoy = listed.druggable.to_numpy() & ~axis & ~np.isin(family, ["S", "G2M"])
    other, tf = family == "other", family == "TF"
    weight_g = np.where(axis & (rng.random(n) < 0.7), rng.uniform(0.2, 0.5, n), 0.0)
    weight_g[key] = rng.uniform(0.6, 0.8, key.sum())
    factors = rng.choice(np.flatnonzero(tf), 12, replace=False)
    weight_g[factors] = rng.uniform(0.2, 0.6, 12) * rng.choice([-1, 1], 12)
    weight_g[name == "PRKAA1"] *= -1
    weight_g[name == REGULATOR] = -0.5
    response_g = np.where(axis & (rng.random(n) < 0.15), rng.uniform(0.3, 0.8, n), 0.0)
    follows = (
        (decoy & (rng.random(n) < 0.15)) | (other & (rng.random(n) < 0.2)) | (tf & (rng.random(n) < 0.1))
    )
    follows &= weight_g == 0
    response_g[follows] = rng.uniform(0.3, 1.5, follows.sum()) * rng.choice(
        [-1, 1], follows.sum(), p=[0.4, 0.6]
    )
    edges_gg = np.zeros((n, n))
    moved_g = rng.uniform(0.0, 0.12, n) * (rng.random(n) < 0.5)
    edges_gg[name == REGULATOR] = np.where(axis, -moved_g, moved_g * decoy * rng.choice([-1, 1], n))
    modules = [*AXES, *sorted(set(family[decoy]))]
    loading_fg = np.array([family == module for module in modules]) * (rng.random(n) < 0.7)
    base_g = rng.normal(0.0, 1.0, n)
    drawn = Network(
        role_g=np.where(weight_g != 0, "regulator", np.where(follows, "effector", "bystander")).astype(
            object
        ),
        factor_g=np.array([modules.index(one) if one in modules else -1 for one in family]),
        base_g=np.where(key | (name == REGULATOR), np.abs(base_g), base_g),
        loading_fg=loading_fg * rng.uniform(0.2, 0.6, n),
        edges_gg=edges_gg,
        weight_g=weight_g,
        gate_g=np.where(name == REGULATOR, 1.0, rng.uniform(0.3, 1.0, n)),
        response_g=response_g,
        induction_g=np.where(name == REGULATOR, np.log(0.05), 0.0),
        n_modules=len(modules),
    )
    return with_thresholds(drawn, rng)


def gene_truth(network: Network, listed: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every gene's true effect on the state, in 1,000 cells of 50 donors: the columns that `DiseaseWorld.truth` explains.

    Parameters
    ----------
    network, listed
        The network and its genes.
    rng
        Source of the cells.
    """
    noise_ng, ones = network.noise(np.arange(1000) % 50, rng=rng), np.ones(1000)
    inhibit = -network.knock(noise_ng, ones, log_dose=LOG_DOSE["delete"])
    activate = -network.knock(noise_ng, ones, log_dose=LOG_DOSE["overexpress"])
    return listed.assign(
        axis=listed.family.where(listed.family.isin(AXES), "none"),
        inhibit=inhibit,
        activate=activate,
        control_delete=network.knock(noise_ng, 0 * ones, log_dose=LOG_DOSE["delete"]),
        hit=np.maximum(inhibit, activate) >= HIT,
    )
