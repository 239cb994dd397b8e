"""Hits found with 40 genes in 2 rounds, on the simulated networks: what a policy is worth where the truth is known.

    python benchmarks/closed_loop/rounds.py OUT.csv [--repeats 20]

Evidence alone: likeness is co-expression of the cells, no in-silico score. A measured effect is the true one plus an error of
`ERROR` (the noise of 60 cells). Hits are true effects toward the goal, knock-downs in stimulated and activations in resting cells judged
apart and averaged. The first 20 genes are chance or coverage, the next 20 as each policy says; permuted effects are the control.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy import sparse
from world import ARMS, Difficulty, Study

from perturbloop.data.cells import from_adata
from perturbloop.design.belief import Belief
from perturbloop.design.chance import Chance
from perturbloop.design.choice import MOST_PER_SET, Aim, choose, first_batch
from perturbloop.evidence.kernels import Kernel, coexpression_kernel
from perturbloop.evidence.posterior import posterior
from perturbloop.schema import Kind, kind_of
from perturbloop.stats.streams import stream

NETWORKS = {False: range(30, 38), True: range(40, 44)}
"""Seeds of plain and of misleading networks: those of `run.py`."""
SIZE = 20
ERROR = 0.03
"""Standard error of an effect on the state (0 to 1): single cells vary by about 0.2, and 60 are measured."""
POLICIES = {
    "chance": ("chance", "chance"),
    "coverage, then coverage": ("coverage", "learn"),
    "chance, then find": ("chance", "find"),
    "coverage, then find": ("coverage", "find"),
    "coverage, then find, no cap": ("coverage", "find"),
    "coverage, then both": ("coverage", "both"),
    "coverage, then find, permuted effects": ("coverage", "find"),
}


def likeness(study: Study) -> Kernel:
    """Co-expression of the state cells and the unlabelled ones, within states and donors."""
    corpus, _ = from_adata(study.world.corpus)
    log_ng = sparse.csr_matrix(sparse.vstack([study.cells.log_normalized(), corpus.log_normalized()]))
    own = study.cells.obs["state"].astype(str) + study.cells.obs["donor_id"].astype(str)
    group_n = np.concatenate([own.to_numpy(), corpus.obs["donor_id"].astype(str).to_numpy()])
    return coexpression_kernel(log_ng, study.cells.gene_ids, group_n)


def found(study: Study, kernel: Kernel, kind: Kind, policy: str, repeat: int) -> tuple[float, float]:
    """Share of the hits among the first 20 genes, and among 40."""
    (state,) = (state for state, modality in ARMS if kind_of(modality) == kind)
    truth = study.truth(state, kind).reindex(study.cells.gene_ids)
    first, then = POLICIES[policy]
    rng = stream(study.seed, policy, kind, repeat)
    n_genes = len(truth)
    none_g = np.zeros(n_genes)
    blank = Belief(study.cells.gene_ids, none_g, none_g, none_g, np.ones(n_genes, bool), kernel)
    place_p = Chance().choose(blank, SIZE, rng) if first == "chance" else first_batch(blank, SIZE, rng)
    effect_p = truth["effect"].to_numpy(float)[place_p] + ERROR * rng.standard_normal(SIZE)
    if "permuted" in policy:
        effect_p = rng.permutation(effect_p)
    believed = posterior(
        [kernel], study.scales[kind], np.full(n_genes, np.nan), place_p, effect_p, np.full(SIZE, ERROR)
    )
    belief = Belief(
        study.cells.gene_ids,
        believed.mean_g,
        believed.sd_g,
        believed.probability_g,
        np.ones(n_genes, bool),
        kernel,
    ).without(place_p)
    more = Chance().choose(belief, SIZE, rng) if then == "chance" else _chosen(belief, rng, then, policy)
    hit_g = truth["hit"].to_numpy(bool)
    return tuple(hit_g[place].sum() / hit_g.sum() for place in (place_p, np.append(place_p, more)))


def _chosen(belief: Belief, rng: np.random.Generator, aim: Aim, policy: str) -> np.ndarray:
    most = 0 if "no cap" in policy else MOST_PER_SET
    return choose(belief, SIZE, rng, aim=aim, most=most)


def main(
    out: Annotated[Path, typer.Argument(help="CSV file of the results.")],
    repeats: Annotated[int, typer.Option(help="Repeats of each policy in each network.")] = 20,
) -> None:
    """Play every policy on every network; print the mean share of the hits over networks, and its spread."""
    rows = []
    for misleading, seeds in NETWORKS.items():
        for seed in seeds:
            study = Study(seed, misleading, Difficulty(), out.parent)
            kernel = likeness(study)
            for policy in POLICIES:
                for kind in map(kind_of, ("crispri", "crispra")):
                    shares = np.array([found(study, kernel, kind, policy, one) for one in range(repeats)])
                    named = {"policy": policy, "seed": seed, "misleading": misleading, "kind": kind}
                    rows.append(named | dict(zip(("share_20", "share_40"), shares.mean(axis=0), strict=True)))
            print(f"network {seed} done", flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(out, index=False)
    by_network = table.groupby(["policy", "misleading", "seed"], sort=False)[["share_20", "share_40"]].mean()
    said = by_network.groupby(["policy", "misleading"], sort=False).agg(["mean", "std"])
    print(said.round(3).to_string())


if __name__ == "__main__":
    typer.run(main)
