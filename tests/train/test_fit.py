"""One loop for every level: what it changes, what it keeps, and what each batch holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from perturbloop.data.tokens import Tokens
from perturbloop.errors import ModelError
from perturbloop.schema import TrainConfig
from perturbloop.train.examples import closed_loop, open_loop
from perturbloop.train.fit import Kept, batches, fine_tune, padded

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


def test_batches_of_cells_hold_so_many_whatever_their_length(mixed, unperturbed):
    config = TrainConfig(model="none", perturbed_share=0.5, batch_cells=6)
    sizes = [len(rows) for rows in batches(unperturbed, config, np.random.default_rng(0))]
    assert sorted(sizes, reverse=True) == [6] * 13 + [2]
    parts = list(batches(mixed, config, np.random.default_rng(0)))
    assert max(len(rows) for rows in parts) == 6
    assert {mixed.added_n[rows].sum() for rows in parts} <= {1, 2, 3}
    assert set(np.flatnonzero(~mixed.added_n)) <= set(np.concatenate(parts))


def by_hand(encoder, examples, *, rate, warm_up, accumulate, epochs, seed, size):
    """The published loop, written out: a step after so many batches, the rate up and down in straight lines."""
    torch.manual_seed(seed)
    bert, head = encoder, torch.nn.Linear(encoder.dim, 1)
    torch.nn.init.normal_(head.weight, std=0.02)
    torch.nn.init.zeros_(head.bias)
    weights = [*bert.bert.parameters(), *head.parameters()]
    config = TrainConfig(model="none", batch_cells=size)
    rng = np.random.default_rng(seed)
    plan = [list(batches(examples, config, rng)) for _ in range(epochs)]
    n_steps = sum(-(-len(epoch) // accumulate) for epoch in plan)
    optimizer, step = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01), 0
    for epoch in plan:
        while epoch:
            now, epoch = epoch[:accumulate], epoch[accumulate:]
            total = 0.0
            for rows in now:
                logit = head(bert.encode(*padded(examples.tokens, rows)))[:, 0]
                label, weight = (
                    torch.tensor(values[rows], dtype=torch.float32)
                    for values in (examples.label_n, examples.weight_n)
                )
                chance = torch.sigmoid(logit)
                total = total - (
                    weight * (label * chance.log() + (1 - label) * (1 - chance).log())
                ).mean() / len(now)
            optimizer.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            up, down = (step + 1) / warm_up, (n_steps - step) / (n_steps - warm_up)
            optimizer.param_groups[0]["lr"] = rate * (up if step < warm_up else down)
            optimizer.step()
            step += 1
    return step, head.weight.detach()[0].numpy(), float(head.bias.detach()[0])


def test_warm_up_and_accumulated_batches_are_those_of_a_loop_written_by_hand(
    encoder, tiny_model, unperturbed
):
    seen = []
    config = TrainConfig(
        model="none", learning_rate=1e-3, warm_up_steps=5, batch_cells=6, accumulate=2, epochs=2, seed=3
    )
    tuned = fine_tune(encoder, unperturbed, config, on_step=lambda *step: seen.append(step[:2]))
    options = {"rate": 1e-3, "warm_up": 5, "accumulate": 2, "epochs": 2, "seed": 3, "size": 6}
    steps, weight, bias = by_hand(tiny_model(), unperturbed, **options)
    assert seen[-1] == (steps, steps) == (14, 14)
    np.testing.assert_allclose(tuned.weight_d, weight, rtol=1e-4, atol=1e-6)
    assert tuned.bias == pytest.approx(bias, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("level", ["full", "lora"])
def test_the_best_epoch_is_kept_where_it_is_asked_for(level, encoder, unperturbed, states):
    tokens, is_goal = states
    turned = open_loop(
        tokens, ~is_goal, max_cells=80, rng=np.random.default_rng(0)
    )  # the more is learnt, the worse

    def loss(tuned):
        logit = logits(tuned, turned.tokens)
        return float(
            np.mean(turned.weight_n * np.logaddexp(0, np.where(turned.label_n > 0.5, -logit, logit)))
        )

    def after(epochs, **options):
        config = replace(CONFIG, batch_cells=16, batch_tokens=60, epochs=epochs, warm_up_steps=0, **options)
        return fine_tune(encoder, unperturbed, config, level=level, held_out=turned)

    last, best = after(3), after(3, keep_epoch="best")
    assert loss(best) < loss(last)
    with pytest.raises(ModelError, match=r"chosen by held-out cells; none came.*keep the last epoch"):
        fine_tune(encoder, unperturbed, replace(CONFIG, keep_epoch="best"), level=level)


def test_of_several_epochs_those_weights_come_back_whose_loss_was_lowest():
    weight = torch.nn.Parameter(torch.zeros(2))
    kept = Kept([weight])
    for value, loss in ((1.0, 0.5), (2.0, 0.2), (3.0, 0.2), (4.0, 0.9)):
        weight.data.fill_(value)
        kept.offer(loss)
    kept.restore()
    assert weight.tolist() == [2.0, 2.0]
