"""One loop for every level: what it changes, what it keeps, and what each batch holds."""

import numpy as np
import pytest
import torch

from perturbloop.data.tokens import Tokens
from perturbloop.schema import TrainConfig
from perturbloop.train.examples import closed_loop
from perturbloop.train.fit import batches, fine_tune, padded

CONFIG = TrainConfig(model="none", learning_rate=1e-2, lora_learning_rate=2e-2, epochs=8, batch_tokens=120)


def logits(tuned, tokens):
    emb = tuned.model.embed([tokens.row(cell) for cell in range(tokens.n_cells)])
    return emb @ tuned.weight_d + tuned.bias


@pytest.fixture
def mixed(unperturbed):
    """Eighty cells, and sixty perturbed ones, which are longer."""
    rng = np.random.default_rng(1)
    rows = Tokens.of_rows([rng.permutation(12)[: rng.integers(8, 12)] + 2 for _ in range(60)])
    target = np.array(["A", "B", "C"] * 20, dtype=object)
    return closed_loop(
        unperturbed,
        rows,
        np.full(60, 0.5),
        target,
        training={"A", "B", "C"},
        held_out=(),
        share=0.45,
        rng=rng,
    )


@pytest.mark.parametrize("level", ["full", "lora"])
def test_it_learns_to_tell_the_states_and_leaves_the_given_encoder_alone(level, encoder, unperturbed, states):
    digest, losses = encoder.digest, []
    tuned = fine_tune(encoder, unperturbed, CONFIG, level=level, on_step=lambda *step: losses.append(step[2]))
    tokens, is_goal = states
    assert np.mean((logits(tuned, tokens) > 0) == is_goal) > 0.95
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    encoder.forget_digest()
    assert encoder.digest == digest != tuned.model.digest
    assert (tuned.adapter is None) == (level == "full")


@pytest.mark.parametrize("level", ["full", "lora"])
def test_the_same_seed_gives_the_same_model(level, encoder, unperturbed):
    config = TrainConfig(model="none", epochs=1)
    one, other = (fine_tune(encoder, unperturbed, config, level=level) for _ in range(2))
    assert one.model.digest == other.model.digest
    np.testing.assert_array_equal(one.weight_d, other.weight_d)


def test_adapters_leave_word_and_position_vectors_and_norms_as_they_were(encoder, unperturbed):
    tuned = fine_tune(encoder, unperturbed, CONFIG, level="lora").model.bert.state_dict()
    for name, weight in encoder.bert.state_dict().items():
        matrix = name.endswith("weight") and "encoder" in name and "LayerNorm" not in name
        assert torch.equal(tuned[name], weight) != matrix, name


def test_every_batch_mixes_and_holds_at_most_the_share(mixed):
    config = TrainConfig(model="none", perturbed_share=0.45, batch_tokens=150)
    parts = list(batches(mixed, config, np.random.default_rng(0)))
    shares = [mixed.added_n[rows].mean() for rows in parts]
    assert len(parts) > 5
    assert max(shares) <= 0.45
    assert min(shares) > 0.2
    rows = np.concatenate(parts)
    assert len(np.unique(rows)) == len(rows)
    assert set(np.flatnonzero(~mixed.added_n)) <= set(rows)
    assert mixed.added_n[rows].sum() > 0.8 * mixed.added_n.sum()
    sizes = [padded(mixed.tokens, rows)[0].numel() for rows in parts]
    assert max(sizes) < 1.5 * 150


def test_a_lower_share_takes_fewer_perturbed_cells_and_another_draw_in_each_epoch(mixed):
    config = TrainConfig(model="none", perturbed_share=0.2)
    rng = np.random.default_rng(0)
    epochs = [np.concatenate(list(batches(mixed, config, rng))) for _ in range(2)]
    added = [set(rows[mixed.added_n[rows]]) for rows in epochs]
    assert all(10 < len(one) <= 20 for one in added)
    assert added[0] != added[1]


def test_without_added_cells_every_cell_is_in_one_batch_of_similar_lengths(unperturbed):
    config = TrainConfig(model="none", batch_tokens=60)
    parts = list(batches(unperturbed, config, np.random.default_rng(0)))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(80))
    assert max(padded(unperturbed.tokens, rows)[0].numel() for rows in parts) <= 60
