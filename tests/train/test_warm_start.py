"""First weights of a small model."""

import numpy as np

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.train.pretrain_config import PretrainConfig
from perturbloop.train.warm_start import first_model, roughness, sine_waves

GENES = np.array([f"ENSG{place:011d}" for place in range(20)], dtype=object)
VOCABULARY = Vocabulary.of_genes(GENES, GENES, np.ones(20), max_length=64)
CONFIG = PretrainConfig(layers=1, hidden=32, max_length=64)
LOG_UNIGRAM = np.concatenate([[-np.inf, -np.inf], np.full(20, -np.log(20))])


def test_known_genes_start_from_their_vectors_and_unknown_ones_hardly_speak(rng):
    vectors = rng.standard_normal((22, 32)).astype(np.float32)
    vectors[[0, 1, 21]] = 0
    model = first_model(CONFIG, VOCABULARY, vectors, LOG_UNIGRAM)
    found = model.bert.embeddings.word_embeddings.weight.detach().numpy()
    length = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(
        (found * vectors).sum(1)[2:21], (length * np.linalg.norm(vectors, axis=1))[2:21], rtol=1e-5
    )
    assert length[21] < 0.2 * length[2]
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight


def test_positions_are_smooth_distinct_and_not_trained():
    model = first_model(CONFIG, VOCABULARY, None, LOG_UNIGRAM)
    assert not model.bert.embeddings.position_embeddings.weight.requires_grad
    assert roughness(model) < 0.15
    waves = sine_waves(64, 32)
    apart = np.linalg.norm(waves[:, None] - waves[None], axis=2) + np.eye(64)
    assert apart.min() > 1e-3


def test_special_tokens_are_never_guessed():
    model = first_model(CONFIG, VOCABULARY, None, LOG_UNIGRAM)
    assert (model.cls.predictions.bias[:2] == -20).all()
    assert model.cls.predictions.decoder.bias is model.cls.predictions.bias
