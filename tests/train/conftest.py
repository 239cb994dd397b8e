"""A tiny encoder, and cells of two states that it can learn to tell apart."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer
from perturbloop.train.examples import open_loop

GENES = [f"ENSG{number:011d}" for number in range(12)]


@pytest.fixture
def encoder():
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
def states():
    """Tokens of 80 cells and which are goal cells: those have token 2 in front, the others token 3."""
    rng = np.random.default_rng(0)
    is_goal = np.arange(80) % 2 == 0
    rows = [np.append(2 if goal else 3, 4 + rng.permutation(10)[: rng.integers(4, 9)]) for goal in is_goal]
    return Tokens.of_rows(rows), is_goal


@pytest.fixture
def unperturbed(states):
    tokens, is_goal = states
    return open_loop(tokens, is_goal, max_cells=80, rng=np.random.default_rng(0))
