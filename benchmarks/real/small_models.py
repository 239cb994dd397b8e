"""The small models of the real-data benchmarks, the campaigns they play, and what is kept of both."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import typer
from transformers import BertModel

from perturbloop.data.cells import read_cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.loop import campaign
from perturbloop.loop.folder import open_campaign
from perturbloop.loop.inputs import read_inputs
from perturbloop.models.geneformer import Geneformer, load_geneformer
from perturbloop.schema import CampaignConfig, CellsConfig, Kind, PerturbConfig, TrainConfig
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig

TOP = 20
"""Best genes of each kind that the fast engine must confirm."""
SHIFT_COLUMNS = [
    "gene_id",
    "gene_name",
    "benefit",
    "shift_to_goal",
    "null_z",
    "n_cells",
    "n_exact",
    "detection",
]


def small_model(folder: Path, files: list[Path], dictionaries: Path, config: PretrainConfig) -> None:
    """Pretrain a small model on these files, as `perturbloop pretrain` does; one that is finished is left alone."""
    words = Vocabulary.published(dictionaries)
    report = pretrain([read_cells(path, names=words.names)[0] for path in files], words, folder, config)
    typer.echo("\n".join(report.lines()))


def untrained_model(folder: Path, like: Path, *, seed: int) -> None:
    """Make a model of the same shape, vocabulary and position vectors whose other weights are random: a control."""
    if folder.is_dir():
        return
    trained = load_geneformer(like)
    torch.manual_seed(seed)
    bert = BertModel(trained.bert.config, add_pooling_layer=False)
    positions = trained.bert.embeddings.position_embeddings.weight
    bert.embeddings.position_embeddings.weight = torch.nn.Parameter(positions.detach().clone())
    model = Geneformer(bert, trained.vocabulary, pooling=trained.pooling)
    model.save(
        folder, {"what": f"random weights, seed {seed}, positions of {like.name}: a control, never trained"}
    )


def play(
    folder: Path, cells: Path, model: Path, kind: Kind, states: tuple[str, str], screen_cells: int
) -> Path:
    """Play one kind of edit from `states[0]` to `states[1]`, split by donor; return the folder of its round."""
    if not (folder / "campaign.toml").is_file():
        config = CampaignConfig(
            cells=CellsConfig(
                path=str(cells.resolve()),
                state_column="state",
                start=states[0],
                goal=states[1],
                donor_column="donor",
                design="paired",
            ),
            train=TrainConfig(model=str(model.resolve())),
            perturb=PerturbConfig(kinds=(kind,), engine="fast", screen_cells=screen_cells, top=TOP),
        )
        campaign.init(folder, config)
    played = campaign.play(folder, until="evaluate")
    typer.echo("\n".join((str(folder), *played.lines)))
    return open_campaign(folder).round_folder(played.round)


def heldout_auroc(round_folder: Path) -> float:
    """How well the state head tells the cells of the donor it never saw apart."""
    scores = pd.read_json(round_folder / "scores.json", typ="series")
    return float(scores["models"]["frozen"]["heldout_auroc"])


def shifts_of(round_folder: Path) -> pd.DataFrame:
    """What a round says of every gene it scored: `benefit` is the mean logit shift, positive = toward the goal."""
    ranking = pd.read_parquet(round_folder / "ranking.parquet")
    return ranking.loc[ranking["status"] == "scored", SHIFT_COLUMNS].reset_index(drop=True)


def save_gene_embeddings(model: Path, path: Path) -> None:
    """Write the input vectors of a model's genes: `gene_ids`, and `emb_gd`, genes × dimensions."""
    trained = load_geneformer(model)
    words = trained.vocabulary
    weight_vd = trained.bert.embeddings.word_embeddings.weight.detach().numpy()
    np.savez_compressed(path, gene_ids=words.gene_ids.astype(str), emb_gd=weight_vd[words.tokens])


def check_lines(folder: Path) -> list[str]:
    """What `perturbloop check` says of a campaign's cells."""
    return read_inputs(open_campaign(folder).config).lines()
