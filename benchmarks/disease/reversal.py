"""How well the reversal score finds the compounds that bring cells back, and the toxic ones, in simulated diseases.

    python benchmarks/disease/reversal.py 0 1 2 3 4 5 6 7

A line for each seed, then the mean; seconds to minutes a seed. Settings were chosen by other seeds (100 and above).
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score

from perturbloop.data.arms import read_arms
from perturbloop.data.cells import read_cells
from perturbloop.data.states import state_cells
from perturbloop.data.toy_disease import CONTROL, DISEASE, disease_world
from perturbloop.data.toy_disease_network import REGULATOR
from perturbloop.evidence.reversal import measure_reversal
from perturbloop.evidence.unedited import unedited_of
from perturbloop.schema import CellsConfig, PerturbedConfig


def main(seeds: list[int]) -> None:
    """Judge every seed and print what is found."""
    rows = []
    for seed in seeds:
        rows.append({"seed": seed} | judged(seed))
        print(
            pd.DataFrame(rows).iloc[[-1]].round(2).to_string(header=len(rows) == 1, index=False), flush=True
        )
    print(pd.DataFrame(rows).drop(columns="seed").mean().round(3).to_string())


def judged(seed: int) -> dict[str, float]:
    """What the reversal score makes of one world."""
    world = disease_world(seed)
    with tempfile.TemporaryDirectory() as folder:
        states, arms = read(world, Path(folder))
    measured = measured_genes(world, states)
    found = measure_reversal(states, arms, names=(DISEASE, CONTROL), unread=measured)
    whole = found.table[found.table["cell_type"].eq("all")]
    table = whole.merge(
        world.response.rename(columns={"compound": "target", "share": "truth"}), on=["target", "dose"]
    )
    table["toxic"] = table["flags"].str.contains("toxic")
    top = table[table["dose"].eq(table["dose"].max())]
    told = top[top["kind"].ne("toxic")]
    by_compound = table.groupby("target").agg(kind=("kind", "first"), toxic=("toxic", "any"))
    poisons = by_compound["kind"].eq("toxic")
    harmed = table[table["kind"].eq("toxic") & table["survival"].lt(0.6)]
    unedited = unedited_of(states, unread=measured)
    truth_n = ~states.cells.obs["edited"].to_numpy(dtype=bool)[~states.is_goal_n]
    return {
        "auroc": roc_auc_score(told["kind"].eq("reverser"), told["share"]),
        "auroc_raw": roc_auc_score(told["kind"].eq("reverser"), told["share_raw"]),
        "error": (told["share"] - told["truth"]).abs().mean(),
        "covered": table["truth"].between(table["ci_low"], table["ci_high"]).mean(),
        "toxic_flagged": by_compound.loc[poisons, "toxic"].mean(),
        "false_alarms": by_compound.loc[~poisons, "toxic"].mean(),
        "toxic_raw": harmed["share_raw"].mean(),
        "toxic_matched": harmed["share"].mean(),
        "toxic_sure": harmed["ci_low"].gt(0).mean(),
        "unedited_share": unedited.share,
        "unedited_truth": truth_n.mean(),
        "unedited_auroc": roc_auc_score(truth_n, unedited.probability_n),
    }


def read(world, folder: Path):  # noqa: ANN001, ANN201
    """State cells and arms, as a campaign reads them."""
    world.cells.write_h5ad(folder / "cells.h5ad")
    world.screen.write_h5ad(folder / "screen.h5ad")
    config = CellsConfig(
        path=str(folder / "cells.h5ad"),
        state_column="genotype",
        start=DISEASE,
        goal=CONTROL,
        donor_column="donor_id",
    )
    screen = PerturbedConfig(
        path=str(folder / "screen.h5ad"),
        target_column="compound",
        control="DMSO",
        modality="drug",
        targets="targets.tsv",
        dose_column="dose",
        replicate_column="plate",
        arm_column="genotype",
        donor_column="donor_id",
        time_column="time_h",
        well_column="well",
        recovered_column="recovered_cells",
    )
    states = state_cells(read_cells(config.path)[0], config, seed=0)
    return states, read_arms(screen, start=DISEASE, goal=CONTROL)[0]


def measured_genes(world, states) -> set[str]:  # noqa: ANN001
    """The knocked-out gene and the compounds' targets, which no score may read."""
    id_of = dict(zip(states.cells.gene_names, states.cells.gene_ids, strict=True))
    return {id_of[gene] for gene in [*world.targets["gene"], REGULATOR] if gene in id_of}


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or list(range(8)))
