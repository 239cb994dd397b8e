"""A Geneformer-shaped BERT whose first weights already hold what a linear model knows."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from transformers import BertConfig, BertForMaskedLM

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.train.pretrain_config import PretrainConfig

EMBEDDING_SD = 0.04
"""Standard deviation of the first gene vectors."""
POSITION_SD = 0.02
"""Root mean square of the position vectors."""
SHORTEST_WAVE = 32.0
"""Shortest wavelength of the position vectors, in ranks."""


def bert_config(config: PretrainConfig, vocabulary: Vocabulary) -> BertConfig:
    """Shape of the model, as Geneformer's but for size; no dropout."""
    return BertConfig(
        vocab_size=vocabulary.size,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate,
        hidden_act="relu",
        max_position_embeddings=config.max_length,
        # Any attention dropout sends the CPU down a path five times slower; the corpus is passed only a few times.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=vocabulary.specials["<pad>"],
        tie_word_embeddings=True,
        architectures=["BertForMaskedLM"],
    )


def first_model(
    config: PretrainConfig,
    vocabulary: Vocabulary,
    vectors_vd: Float[np.ndarray, "v d"] | None,
    log_unigram_v: Float[np.ndarray, " v"],
) -> BertForMaskedLM:
    """Build the model and set its first weights; without `vectors_vd` they are BERT's random ones.

    Parameters
    ----------
    config
        Shape of the model, kind of positions, and seed.
    vocabulary
        Its tokens.
    vectors_vd
        Co-expression vector of each token id, tokens × hidden size; zero where a token has none.
    log_unigram_v
        Natural log of each token id's frequency in training; −inf for tokens that are no gene.

    Notes
    -----
    With `vectors_vd`: genes start from their co-expression vectors, every gene brought to the same length; genes
    without one start ten times shorter, so that they hardly speak. Attention starts as the mean over the cell
    (values and output are the identity, queries and keys small), the head as the identity: the first guess is a
    gene's similarity to the mean of the cell's genes. Always: the output bias is the log frequency of each gene,
    so that no step is spent on learning frequencies. Smooth positions are slow sine waves that are not trained, so
    that neighboring ranks stay alike; learned ones start as random vectors, as in the published models.
    """
    torch.manual_seed(config.seed)
    model = BertForMaskedLM._from_config(bert_config(config, vocabulary), attn_implementation="sdpa")
    with torch.no_grad():
        bias_v = np.where(np.isfinite(log_unigram_v), log_unigram_v, -20.0)
        model.cls.predictions.bias.copy_(torch.from_numpy(bias_v))
        if config.positions == "smooth":
            positions = model.bert.embeddings.position_embeddings.weight
            positions.copy_(torch.from_numpy(sine_waves(config.max_length, config.hidden)))
            positions.requires_grad_(False)
        if vectors_vd is not None:
            _start_from(model, vectors_vd)
    return model


def sine_waves(n_positions: int, dim: int) -> Float[np.ndarray, "t d"]:
    """Sines and cosines of the rank, wavelengths from `SHORTEST_WAVE` to four times the length.

    >>> waves = sine_waves(512, 128)
    >>> round(float(np.sqrt((waves**2).mean())), 3)
    0.02
    """
    n_waves = math.ceil(dim / 2)
    wave_d = np.geomspace(SHORTEST_WAVE, max(4.0 * n_positions, 2 * SHORTEST_WAVE), n_waves)
    angle_td = 2 * np.pi * np.arange(n_positions)[:, None] / wave_d
    waves_td = np.concatenate([np.sin(angle_td), np.cos(angle_td)], axis=1)[:, :dim]
    return (waves_td * POSITION_SD * math.sqrt(2)).astype(np.float32)


def roughness(model: BertForMaskedLM) -> float:
    """Size of the step between neighboring positions, relative to a position's own size."""
    weight_td = model.bert.embeddings.position_embeddings.weight.detach()
    if len(weight_td) < 2:
        return 0.0
    return float((weight_td.diff(dim=0).norm(dim=1) / weight_td[1:].norm(dim=1)).mean())


def _start_from(model: BertForMaskedLM, vectors_vd: Float[np.ndarray, "v d"]) -> None:
    dim = vectors_vd.shape[1]
    embedding = model.bert.embeddings.word_embeddings.weight
    length_v = np.linalg.norm(vectors_vd, axis=1)
    known = length_v > 0
    unit_vd = vectors_vd[known] / length_v[known][:, None]
    model.bert.embeddings.token_type_embeddings.weight.zero_()  # cells have one segment
    embedding.mul_(0.1 * EMBEDDING_SD / 0.02)
    embedding[torch.from_numpy(known)] = torch.from_numpy(unit_vd * EMBEDDING_SD * math.sqrt(dim)).float()
    identity = torch.eye(dim)
    layers: Any = model.bert.encoder.layer
    for layer in layers:
        layer.attention.self.value.weight.add_(identity)
        layer.attention.output.dense.weight.add_(identity)
    transform = model.cls.predictions.transform.dense
    transform.weight.add_(identity)
    # Three is where relu is linear for all but outliers; the layer norm that follows takes the shift out again.
    transform.bias.add_(3.0)
