"""Another small encoder, built and pretrained as that of the study before this package: see `recipe.py`.

Norms stand before attention and feed-forward instead of after them, positions are learned, gene vectors start as directions of
co-expression plus noise, and all other weights at random; three passes of masked training.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import BertForMaskedLM, BertModel

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer
from perturbloop.stats.coexpression import coexpression_vectors
from perturbloop.train.corpus import Corpus, build_corpus
from perturbloop.train.masked_loss import hidden_states
from perturbloop.train.masking import IGNORED, batches, mask_genes, pad
from perturbloop.train.pretrain_config import PretrainConfig
from perturbloop.train.warm_start import bert_config

EPOCHS, RATE, BATCH_TOKENS = 3, 1e-3, 8192
NOISE = 0.5
"""Length of the noise beside a gene's co-expression vector."""
SPREAD = 0.1
"""Standard deviation of a gene vector's entries."""


class Before(torch.nn.Module):
    """A part of a layer that reads its input normed."""

    def __init__(self, norm: torch.nn.Module, part: torch.nn.Module) -> None:
        """Put the norm before the part."""
        super().__init__()
        self.norm, self.part = norm, part

    def forward(self, hidden: torch.Tensor, *args: Any, **options: Any) -> Any:
        """Norm, then the part."""
        return self.part(self.norm(hidden), *args, **options)


class Whole:
    """What in-silico perturbation asks of an encoder, by the model's own forward pass."""

    def __init__(self, bert: BertModel) -> None:
        """Take the model."""
        self.bert = bert

    def summed(self, tokens_bt: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Nothing yet: the model places its tokens itself."""
        return tokens_bt

    def embedded(self, tokens_bt: torch.Tensor) -> torch.Tensor:
        """Nothing yet."""
        return tokens_bt

    def hidden(self, tokens_bt: torch.Tensor, *, first_only: bool) -> torch.Tensor:
        """Hidden states."""
        hidden_btd: torch.Tensor = self.bert(input_ids=tokens_bt).last_hidden_state
        return hidden_btd


class PreNorm(Geneformer):
    """A Geneformer with its norms before the parts of each layer."""

    def encoder(self, precision: str) -> Any:
        """Its own forward pass."""
        return Whole(self.bert)


def pretrain_pre_norm(cells: Cells, words: Vocabulary, path: Path, *, seed: int) -> PreNorm:
    """Pretrain the encoder on unlabelled cells, or load it where that was done."""
    corpus = build_corpus([cells], words, seed=seed)
    torch.manual_seed(seed)
    model = _first(corpus, seed)
    if not path.is_file():
        _learn(model, corpus, seed)
        torch.save(model.state_dict(), path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    model.load_state_dict(torch.load(path, weights_only=True))
    return PreNorm(model.bert, words, pooling="cls" if words.has_cls else "mean")


def _first(corpus: Corpus, seed: int) -> BertForMaskedLM:
    config = PretrainConfig(layers=2, hidden=64, max_length=128, positions="learned", seed=seed)
    model = BertForMaskedLM._from_config(bert_config(config, corpus.vocabulary), attn_implementation="sdpa")
    model.bert.embeddings.LayerNorm = torch.nn.Identity()
    for layer in model.bert.encoder.layer:
        attention: Any = layer.attention
        attention.self = Before(attention.output.LayerNorm, attention.self)
        layer.intermediate = Before(layer.output.LayerNorm, layer.intermediate)
        attention.output.LayerNorm = layer.output.LayerNorm = torch.nn.Identity()
    train = np.flatnonzero(~corpus.held_n)
    vectors_vd = coexpression_vectors(corpus.expression_ng[train], corpus.file_n[train], dim=64, seed=seed)
    length_v = np.linalg.norm(vectors_vd, axis=1, keepdims=True)
    noise_vd = np.random.default_rng(seed).standard_normal(vectors_vd.shape) / np.sqrt(64)
    first_vd = vectors_vd / np.maximum(length_v, 1e-9) + NOISE * noise_vd
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(first_vd * SPREAD * np.sqrt(64)))
    return model


def _learn(model: BertForMaskedLM, corpus: Corpus, seed: int) -> None:
    rows = [corpus.rows[place] for place in np.flatnonzero(~corpus.held_n)]
    optimizer, rng = torch.optim.AdamW(model.parameters(), lr=RATE), np.random.default_rng([seed, 7])
    mask, pad_token = (corpus.vocabulary.specials[name] for name in ("<mask>", "<pad>"))
    for _ in range(EPOCHS):
        for batch in batches(np.array([len(row) for row in rows]), batch_tokens=BATCH_TOKENS, rng=rng):
            shown_nt, labels_nt = mask_genes(
                pad([rows[place] for place in batch]), corpus.is_gene_v, mask_token=mask, share=0.15, rng=rng
            )
            labels = torch.from_numpy(labels_nt)
            guess = model.cls(hidden_states(model, shown_nt, labels != IGNORED, pad_token))
            optimizer.zero_grad()
            cross_entropy(guess, labels[labels != IGNORED]).backward()
            optimizer.step()
