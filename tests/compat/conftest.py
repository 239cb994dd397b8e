"""A tiny random model, six cells of its vocabulary, and a readout."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer
from perturbloop.models.readout import Readout

GENES = [f"ENSG{number:011d}" for number in range(12)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=14,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    words = Vocabulary.of_genes(GENES, GENES, np.ones(12), max_length=16)
    return Geneformer(BertModel(config, add_pooling_layer=False), words, pooling="mean")


@pytest.fixture
def tokens():
    rng = np.random.default_rng(0)
    return Tokens.of_rows([2 + rng.permutation(12)[:length] for length in (3, 7, 12, 7, 5, 9)])


@pytest.fixture
def readout():
    rng = np.random.default_rng(1)
    return Readout(rng.normal(size=8), rng.normal(size=8), 0.3)
