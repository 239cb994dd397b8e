"""The main job on simulated cells whose answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop import progress
from perturbloop.data import toy
from perturbloop.data.cells import read_cells
from perturbloop.data.encoding import vocabulary_of
from perturbloop.evaluate.metrics import auroc, average_precision
from perturbloop.evidence.alike import alike
from perturbloop.example.rounds import DE, OPEN, hits_by_round, rounds_line
from perturbloop.loop.campaign import init, play, record, show
from perturbloop.loop.folder import open_campaign, read_of_round
from perturbloop.loop.inputs import inputs_of
from perturbloop.loop.round import differential_of, networks
from perturbloop.plots import hits_by_genes, svg
from perturbloop.report import RoundReport, gate_failure
from perturbloop.report.basis import method_of
from perturbloop.schema import METHODS, CampaignConfig, PerturbedConfig
from perturbloop.store.files import write_text
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig

N_CELLS = 1600
N_CORPUS = 4400
STEPS = 200
MAX_LENGTH = 128


def demo(
    folder: Path, *, seed: int, misleading: bool = False
) -> tuple[dict[str, Any], RoundReport, list[str]]:
    """Simulate, pretrain, play a round, record perturbed cells, play again, and look the answer up.

    Parameters
    ----------
    folder, seed
        Folder to make, and seed of the simulated world.
    misleading
        Whether co-expression points away from the causes.

    Returns
    -------
    Results as plain values, the report, and what to tell. A folder of an earlier demo is gone on with.
    """
    config = PretrainConfig(
        layers=2, hidden=64, max_length=MAX_LENGTH, steps=STEPS, learning_rate=2e-3, seed=seed
    )
    world = toy.world(seed, n_cells=N_CELLS, n_corpus=N_CORPUS, misleading=misleading)
    data, campaign = folder / "data", folder / "campaign"
    if not (data / "truth.csv").is_file():
        toy.write(world, data)
    corpus, _ = read_cells(data / "corpus.h5ad")
    words = vocabulary_of(corpus, max_length=MAX_LENGTH)
    learned = pretrain(
        [corpus],
        words,
        folder / "model",
        config,
        on_step=lambda step, _, __: progress.tell("pretrain", step, STEPS),
    )
    if not (campaign / "campaign.toml").is_file():
        init(campaign, campaign_config(data, folder / "model", seed=seed))
    play(campaign)
    record(campaign, perturbed_config(data))
    played = play(campaign)
    path, report, _ = show(campaign)
    place, truth = campaign / "rounds" / f"{played.round:03d}", pd.read_csv(data / "truth.csv")
    answer = against_truth(place, truth)
    rounds, n_hits = more_rounds(campaign, place, truth, seed=seed)
    write_text(folder / "rounds.svg", svg(hits_by_genes(rounds)))
    auroc_of = answer.set_index("method")["auroc"]
    known = ", ".join(
        f"{name} {auroc_of[name]:.2f}"
        for name in (method_of(report, "delete"), "frozen", "de")
        if name in auroc_of
    )
    lines = [
        f"Known answer, {int(answer['n_hits'].max())} hits among {int(answer['n_genes'].max())} genes that no method was trained on, "
        f"AUROC: {known}. One simulated network is no benchmark.",
        f"{rounds_line(rounds, n_hits)} Figure: {folder / 'rounds.svg'}",
    ]
    tree = {
        "report": str(path),
        "pretraining": learned.to_dict(),
        "answer": answer.to_dict("records"),
        "rounds": rounds.to_dict("records"),
    }
    return tree, report, lines


def more_rounds(campaign: Path, place: Path, truth: pd.DataFrame, *, seed: int) -> tuple[pd.DataFrame, int]:
    """Play three rounds from nothing by the evidence channel, see `hits_by_round`, and count the hits that there are.

    A measured effect is the true one in the unit of the recorded effects, with the noise that these have around it.

    Parameters
    ----------
    campaign, place
        Folder of the campaign, and of its last round.
    truth, seed
        True effects of all genes, and the seed of panels and noise.
    """
    with open_campaign(campaign) as opened:
        inputs = inputs_of(opened)
    known = networks(inputs, differential_of(inputs, campaign))
    scores = read_of_round(place, "predictions").query("kind == 'delete' and fold == -1")
    scores = scores.pivot_table("score", "gene_id", "method")[["frozen", "de"]].set_axis([OPEN, DE], axis=1)
    answer = (
        truth.query("start == 'stimulated' and kind == 'delete'").set_index("gene_id").reindex(known.gene_ids)
    )
    measured = read_of_round(place, "effects").query("level == 'gene'").set_index("gene_id")
    true_p = answer["effect"].reindex(measured.index).to_numpy(float)
    unit = float(measured["effect_to_goal"].to_numpy(float) @ true_p / (true_p @ true_p))
    noise = float(np.std(measured["effect_to_goal"].to_numpy(float) - unit * true_p))
    hit_g = answer["hit"].fillna(False).to_numpy(bool)
    table = hits_by_round(
        known,
        alike(inputs.states, None).aligned(known.gene_ids),
        scores,
        effect_g=unit * answer["effect"].fillna(0).to_numpy(float),
        hit_g=hit_g,
        se=noise,
        with_model=not gate_failure(place),
        seed=seed,
    )
    return table, int(hit_g.sum())


def campaign_config(data: Path, model: Path, *, seed: int) -> CampaignConfig:
    """Ask which knock-downs take stimulated cells back to rest.

    Parameters
    ----------
    data, model, seed
        Folder of the simulated cells, folder of the pretrained model, and seed of all steps.
    """
    return CampaignConfig.from_dict(
        {
            "cells": {
                "path": str((data / "cells.h5ad").resolve()),
                "state_column": "state",
                "start": "stimulated",
                "goal": "resting",
                "donor_column": "donor_id",
            },
            "train": {"model": str(model.resolve()), "levels": ("full",), "epochs": 2, "seed": seed},
            "perturb": {
                "cells_per_gene": 8,
                "full_cells_per_gene": 5,
                "reference_genes": 360,  # all, so that every method can be judged on every gene
                "seed": seed,
            },
            "evaluate": {"bootstrap": 200, "seed": seed},
            "knowledge": {"leave_out": ["all"]},  # simulated genes bear names of real ones, and nothing else
        }
    )


def perturbed_config(data: Path) -> PerturbedConfig:
    """Knock-downs of 40 genes in stimulated cells."""
    return PerturbedConfig(
        path=str((data / "perturbed.h5ad").resolve()),
        target_column="target",
        control=toy.CONTROL,
        modality="crispri",
        replicate_column="replicate",
        guide_column="guide",
    )


def against_truth(folder: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """Judge every method by the true effects of the genes that all of them score and no one was trained on.

    Controls are scored in folds only; the fold's models learn from the same targets as the full ranking's.

    Returns
    -------
    Columns `method`, `title`, `auroc`, `average_precision`, `n_genes`, `n_hits`.
    """
    predictions = read_of_round(folder, "predictions").query("kind == 'delete' and fold <= 0")
    effects = read_of_round(folder, "effects")
    spent = set(effects.loc[effects["fold"] < 0, "gene_id"])
    hits = truth.query("start == 'stimulated' and kind == 'delete'").set_index("gene_id")["hit"].astype(bool)
    scores = predictions.sort_values("fold").pivot_table("score", "gene_id", "method", aggfunc="last")
    scores = scores[~scores.index.isin(spent)].dropna()
    hit_g = hits.loc[scores.index].to_numpy(bool)
    rows = [
        {
            "method": entry.name,
            "title": entry.title,
            "auroc": auroc(hit_g, scores[entry.name].to_numpy(float)),
            "average_precision": average_precision(hit_g, scores[entry.name].to_numpy(float)),
            "n_genes": len(hit_g),
            "n_hits": int(hit_g.sum()),
        }
        for entry in METHODS
        if entry.name in scores
    ]
    return pd.DataFrame(rows)
