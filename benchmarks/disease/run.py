"""Does the loop find the axes of a simulated disease among druggable genes that no compound targets?

    python benchmarks/disease/run.py OUT --seeds 8

Each seed is a whole campaign by the public calls: files, a small pretrained model, two rounds, the screen in between. A killed run
goes on where it stopped. Writes `results.csv` and prints mean ± sd over seeds.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

import perturbloop as pl
from perturbloop.data.toy_disease import CONTROL, DISEASE, DiseaseWorld, disease_world
from perturbloop.data.toy_disease_network import HIT
from perturbloop.evaluate.metrics import auroc
from perturbloop.evidence.channel import Evidence, posterior_of
from perturbloop.example.disease import pretrained, write_files
from perturbloop.loop.folder import open_campaign, read_of_round
from perturbloop.loop.inputs import inputs_of
from perturbloop.loop.round import differential_of, networks

METHODS = {"frozen": "in silico alone", "de": "signed DE", "de-propagation": "signed DE + propagation"}
"""Methods beside the loop's ranking."""


def played(world: DiseaseWorld, folder: Path) -> Path:
    """Play the campaign of one disease; the folder of its last round."""
    if not (folder / "cells.h5ad").is_file():
        write_files(world, folder)
    model = pretrained(folder, seed=world.seed)
    campaign = folder / "study"
    if not (campaign / "campaign.toml").is_file():
        study = pl.Campaign.create(
            campaign,
            str(folder / "cells.h5ad"),
            model=model,
            state_column="genotype",
            start=DISEASE,
            goal=CONTROL,
            donor_column="donor_id",
            cells_per_gene=5,
            full_cells_per_gene=3,
            reference_genes=800,
            not_expressed="insert",  # RUNX1 is lost where it must be raised
            seed=world.seed,
        )
        study.play()
        study.record(
            str(folder / "screen.h5ad"),
            target="compound",
            control="DMSO",
            modality="drug",
            targets=str(folder / "targets.csv"),
            dose_column="dose",
            replicate_column="donor_id",
            subset=f"genotype == '{DISEASE}'",
        )
    pl.Campaign(campaign).play()
    return max((campaign / "rounds").iterdir())


def asked(world: DiseaseWorld) -> pd.DataFrame:
    """Druggable genes that no compound targets, index = Ensembl id; `positive`: of an axis, and a hit when inhibited."""
    rows = world.truth[world.truth["druggable"] & ~world.truth["targeted"]].set_index("gene_id")
    return rows.assign(positive=rows["axis"].ne("none") & rows["inhibit"].ge(HIT))


def found(world: DiseaseWorld, place: Path) -> dict[str, float]:
    """AUROC of every method; a gene without a score counts as the worst."""
    truth = asked(world)
    ranking = read_of_round(place, "ranking").query("kind == 'delete'").set_index("gene_id")
    scores = {"loop": ranking["benefit"], "loop, by expected effect": ranking["effect"]}
    rows = read_of_round(place, "predictions").query("kind == 'delete' and fold <= 0").sort_values("fold")
    by_method = rows.pivot_table("score", "gene_id", "method", aggfunc="last")
    scores |= {name: by_method[name] for name in METHODS if name in by_method}
    filled = {name: score.reindex(truth.index).astype(float) for name, score in scores.items()}
    return {
        name: auroc(truth["positive"].to_numpy(), score.fillna(score.min() - 1).to_numpy())
        for name, score in filled.items()
    }


def left_out(world: DiseaseWorld, place: Path) -> float:
    """Targets of each compound as the rest foretells them: AUROC of those of reversers against the others'.

    All effects of the genes that a compound hits are left out with it, also where another compound measured them.
    """
    campaign = place.parents[1]
    with open_campaign(campaign) as opened:
        inputs = inputs_of(opened)
    known = networks(inputs, differential_of(inputs, campaign))
    effects = read_of_round(place, "effects").query("level == 'gene' and modality == 'inhibitor'")
    insilico = read_of_round(place, "predictions").query(
        "method == 'frozen' and kind == 'delete' and fold == -1"
    )
    insilico = insilico.set_index("gene_id")["score"].reindex(known.gene_ids)
    id_of = world.truth.set_index("gene_name")["gene_id"]
    kind_of = world.response.drop_duplicates("compound").set_index("compound")["kind"]
    parts = []
    for compound, rows in world.targets.query("action == 'inhibitor'").groupby("compound"):
        genes = list(id_of[rows["gene"]])
        kept = effects[~effects["gene_id"].isin(genes)][["gene_id", "effect_to_goal", "se"]]
        belief = posterior_of(Evidence(known, kept, {}, passed=True), insilico, kept)
        mean = pd.Series(belief.mean_g, known.gene_ids).reindex(genes).dropna()
        parts.append(pd.DataFrame({"score": mean, "reverser": kind_of[compound] == "reverser"}))
    table = pd.concat(parts)
    return auroc(table["reverser"].to_numpy(), table["score"].to_numpy())


def main(
    out: Annotated[Path, typer.Argument(help="Folder of files, campaigns and results.")],
    seeds: Annotated[int, typer.Option(help="Simulated diseases.")] = 8,
    first: Annotated[int, typer.Option(help="First seed.")] = 0,
) -> None:
    """Play every disease and tell how well each method does."""
    rows = []
    for seed in range(first, first + seeds):
        done = out / f"{seed}.json"
        if not done.is_file():
            world = disease_world(seed)
            place = played(world, out / str(seed))
            row = pd.Series(
                found(world, place) | {"leave-one-compound-out": left_out(world, place), "seed": seed}
            )
            row.to_json(done)
        rows.append(pd.read_json(done, typ="series"))
        typer.echo(rows[-1].round(3).to_json())
    table = pd.DataFrame(rows).set_index("seed")
    table["loop - signed DE + propagation"] = table["loop"] - table["de-propagation"]
    table.to_csv(out / "results.csv")
    mean, sd = table.mean(), table.std(ddof=1) if len(table) > 1 else table.iloc[0] * np.nan
    for name in table:
        typer.echo(f"{METHODS.get(name, name)}: {mean[name]:.3f} ± {sd[name]:.3f} over {len(table)} seeds")


if __name__ == "__main__":
    typer.run(main)
