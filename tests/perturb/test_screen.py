"""The screen: its gradients against finite differences of an independent forward pass, its estimates against exact edits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers import BertConfig, BertModel

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer
from perturbloop.models.readout import Readout
from perturbloop.perturb import screen as module
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.screen import READINGS, screen

N_GENES, N_HERE, DIM = 30, 14, 16
CLS, EOS = 2, 3
GENES = [f"ENSG{number:011d}" for number in range(N_GENES)]
PLAIN = Vocabulary.of_genes(GENES, GENES, np.ones(N_GENES), max_length=24)
ENCLOSED = replace(
    PLAIN,
    version="geneformer-v2",
    specials={"<pad>": 0, "<mask>": 1, "<cls>": CLS, "<eos>": EOS},
    tokens=PLAIN.tokens + 2,
)


def random_model(pooling="mean", *, seed=0, spread=0.3, positions=0.3):
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=4 + N_GENES,
        hidden_size=DIM,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_act="relu",
        max_position_embeddings=24,
    )
    bert = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for name, weight in bert.named_parameters():
            if "position" in name:
                weight.copy_(positions * torch.randn_like(weight))
            elif "LayerNorm" not in name:
                scale = 0.3 if "embeddings" in name else spread
                weight.copy_(scale * torch.randn_like(weight))
    return Geneformer(bert, PLAIN if pooling == "mean" else ENCLOSED, pooling=pooling)


@pytest.fixture
def readout(rng):
    return Readout(rng.normal(size=DIM), rng.normal(size=DIM) / 4, 0.3)


def random_row(rng, model):
    genes = rng.permutation(model.vocabulary.tokens)[:N_HERE]
    return np.array([CLS, *genes, EOS] if model.vocabulary.has_cls else genes)


def readings(model, readout, row, *, positions=None, gate=None, moved=None):
    """Cosine and logit of one cell in float64, from the weights alone; `moved` is added to the summed vectors."""
    bert, pooling = model.bert, model.pooling
    weights = {name: weight.detach().double().numpy() for name, weight in bert.state_dict().items()}
    positions = np.arange(len(row)) if positions is None else positions
    gate = np.ones(len(row)) if gate is None else gate

    def dense(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, x):
        x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt(x.var(axis=1, keepdims=True) + bert.config.layer_norm_eps)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["embeddings.word_embeddings.weight"][row]
    x = x + weights["embeddings.position_embeddings.weight"][positions]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = norm("embeddings.LayerNorm", x if moved is None else x + moved)
    for number in range(2):
        layer = f"encoder.layer.{number}"
        parts = []
        for head in np.split(np.arange(DIM), 2):
            q, k, v = (
                dense(f"{layer}.attention.self.{part}", x)[:, head] for part in ("query", "key", "value")
            )
            heard = np.exp(q @ k.T / np.sqrt(len(head))) * gate
            parts.append(heard / heard.sum(axis=1, keepdims=True) @ v)
        x = norm(
            f"{layer}.attention.output.LayerNorm",
            x + dense(f"{layer}.attention.output.dense", np.concatenate(parts, axis=1)),
        )
        up = np.maximum(dense(f"{layer}.intermediate.dense", x), 0)
        x = norm(f"{layer}.output.LayerNorm", x + dense(f"{layer}.output.dense", up))
    inner = slice(1, -1) if pooling == "inner" else slice(None)
    emb = x[0] if pooling == "cls" else np.average(x[inner], axis=0, weights=gate[inner])
    cosine = emb @ readout.goal_d / np.linalg.norm(emb) / np.linalg.norm(readout.goal_d)
    return np.array([cosine, emb @ readout.weight_d + readout.bias])


def exact_shifts_of(model, readout, row, kind):
    """Every edit made with list methods and encoded anew by the independent forward pass."""
    edge = int(model.vocabulary.has_cls)
    found = []
    for place in range(edge, len(row) - edge):
        cell = row.tolist()
        gene = cell.pop(place)
        if kind == "overexpress":
            cell.insert(edge, gene)
        found.append(readings(model, readout, np.array(cell)) - readings(model, readout, row))
    return np.array(found)


@pytest.mark.parametrize("pooling", ["mean", "cls", "inner"])
def test_gradients_by_gates_and_vectors_are_finite_differences_of_an_independent_forward_pass(
    rng, readout, pooling
):
    model = random_model(pooling)
    row, step = random_row(rng, model), 1e-5
    length = len(row)
    positions_st = np.stack([np.arange(length), rng.integers(0, 24, length)])
    found = module._gradients(ExactEngine(model, readout), row, torch.from_numpy(positions_st), READINGS)
    value_rs, slope_rst, gate_rst = (part.numpy() for part in found)
    for state, positions in enumerate(positions_st):
        np.testing.assert_allclose(
            value_rs[:, state], readings(model, readout, row, positions=positions), atol=1e-6
        )
        for token in range(length):
            gates = np.ones((2, length))
            gates[:, token] += [step, -step]
            up, down = (readings(model, readout, row, positions=positions, gate=gate) for gate in gates)
            np.testing.assert_allclose(gate_rst[:, state, token], (up - down) / (2 * step), atol=1e-5)
            direction = rng.normal(size=DIM)
            moved = np.zeros((length, DIM))
            moved[token] = direction
            up, down = (
                readings(model, readout, row, positions=positions, moved=sign * step * moved)
                for sign in (1, -1)
            )
            np.testing.assert_allclose(
                slope_rst[:, state, token] @ direction, (up - down) / (2 * step), atol=1e-5
            )


@pytest.mark.parametrize("pooling", ["mean", "inner"])
def test_where_ranks_say_nothing_and_genes_hardly_listen_deletions_are_screened_nearly_exactly(
    rng, readout, pooling
):
    model = random_model(pooling, spread=0.01, positions=0.0)
    row = random_row(rng, model)
    found = screen(ExactEngine(model, readout), row, "delete", edge=int(pooling == "inner"))
    expected = exact_shifts_of(model, readout, row, "delete")
    assert found.shape == (N_HERE, 2)
    for reading in range(2):
        assert spearmanr(found[:, reading], expected[:, reading]).statistic > 0.99
    # (mean of the others - gene) / n instead of / (n - 1): the logit is low by one part in n and right otherwise
    np.testing.assert_allclose(found[:, 1] * N_HERE / (N_HERE - 1), expected[:, 1], rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls", "inner"])
def test_a_deletion_is_screened_by_closing_its_gate_and_moving_later_genes_up(rng, readout, pooling):
    """The documented sum, each term a finite difference of the independent forward pass, averaged over two states."""
    model = random_model(pooling)
    row, edge, step = random_row(rng, model), int(pooling != "mean"), 1e-5
    length = len(row)
    table = model.bert.embeddings.position_embeddings.weight.detach().double().numpy()
    as_it_is = np.arange(length)
    moved_up = np.where(as_it_is > edge, as_it_is - 1, as_it_is)
    gate_slopes, steps = np.zeros((length, 2)), np.zeros((length, 2))
    for positions in (as_it_is, moved_up):
        for token in range(edge, length):
            one = np.eye(length)[token]
            up, down = (
                readings(model, readout, row, positions=positions, gate=1 + sign * step * one)
                for sign in (1, -1)
            )
            gate_slopes[token] += (up - down) / (2 * step) / 2
            if token > edge:
                way = np.outer(one, table[token - 1] - table[token])
                up, down = (
                    readings(model, readout, row, positions=positions, moved=sign * step * way)
                    for sign in (1, -1)
                )
                steps[token] += (up - down) / (2 * step) / 2
    found = screen(ExactEngine(model, readout), row, "delete", edge=edge)
    expected = [-gate_slopes[gene] + steps[gene + 1 :].sum(axis=0) for gene in range(edge, length - edge)]
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "inner"])
def test_where_positions_hardly_differ_overexpression_is_screened_nearly_exactly(rng, readout, pooling):
    model = random_model(pooling, positions=1e-3)
    row, edge = random_row(rng, model), int(pooling != "mean")
    found = screen(ExactEngine(model, readout), row, "overexpress", edge=edge)
    expected = exact_shifts_of(model, readout, row, "overexpress")
    for reading in range(2):
        assert np.corrcoef(found[:, reading], expected[:, reading])[0, 1] > 0.995


@pytest.mark.parametrize("pooling", ["mean", "cls", "inner"])
def test_with_an_anchor_for_every_gene_the_moves_of_the_others_are_exact(rng, readout, monkeypatch, pooling):
    model = random_model(pooling)
    row, edge = random_row(rng, model), int(pooling != "mean")
    # Without tangents only the anchors are left: states whose first genes are moved down by one rank.
    monkeypatch.setattr(module, "_along", lambda engine, slope, to, origin: torch.zeros(slope.shape[:-1]))
    found = screen(ExactEngine(model, readout), row, "overexpress", edge=edge, anchors=N_HERE)
    original = readings(model, readout, row)
    for gene in range(N_HERE):
        positions = np.arange(len(row))
        positions[edge : edge + gene] += 1
        expected = readings(model, readout, row, positions=positions) - original
        np.testing.assert_allclose(found[gene], expected, atol=2e-6)


def test_more_anchors_bring_overexpression_nearer_to_exact_on_average(rng, readout):
    off = {anchors: [] for anchors in (1, 4, N_HERE)}
    for seed in range(5):
        model = random_model(seed=seed, positions=0.1)
        row = random_row(rng, model)
        expected = exact_shifts_of(model, readout, row, "overexpress")
        for anchors in off:
            found = screen(ExactEngine(model, readout), row, "overexpress", edge=0, anchors=anchors)
            off[anchors].append(np.linalg.norm(found - expected, axis=0) / np.linalg.norm(expected, axis=0))
    mean = {anchors: np.mean(values) for anchors, values in off.items()}
    assert mean[N_HERE] < mean[4] < mean[1]


@pytest.mark.parametrize("kind", ["delete", "overexpress"])
def test_readings_that_are_not_asked_for_are_nan_and_the_others_as_before(rng, readout, kind):
    model = random_model()
    engine, row = ExactEngine(model, readout), random_row(rng, model)
    both = screen(engine, row, kind, edge=0)
    assert np.isfinite(both).all()
    for place, name in enumerate(READINGS):
        found = screen(engine, row, kind, edge=0, readings=(name,))
        np.testing.assert_allclose(found[:, place], both[:, place], atol=1e-7)
        assert np.isnan(found[:, 1 - place]).all()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", ["delete", "overexpress"])
def test_the_screen_does_not_depend_on_the_token_budget(rng, readout, monkeypatch, kind, pooling):
    model = random_model(pooling)
    row, edge = random_row(rng, model), int(pooling == "cls")
    whole = screen(ExactEngine(model, readout), row, kind, edge=edge)
    for budget in (1, 3 * len(row)):
        found = screen(ExactEngine(model, readout, batch_tokens=budget), row, kind, edge=edge)
        np.testing.assert_allclose(found, whole, atol=1e-6)
    states = module._states

    def short_of_memory(engine, row, positions_st, readings):
        if len(positions_st) > 1:
            raise torch.OutOfMemoryError
        return states(engine, row, positions_st, readings)

    monkeypatch.setattr(module, "_states", short_of_memory)
    engine = ExactEngine(model, readout)
    np.testing.assert_allclose(screen(engine, row, kind, edge=edge), whole, atol=1e-6)
    assert engine.batch_tokens < 16384


@pytest.mark.parametrize("n", [1, 2])
def test_cells_of_very_few_genes_are_screened(readout, n):
    model = random_model()
    row = np.array([5, 9])[:n]
    for kind in ("delete", "overexpress"):
        found = screen(ExactEngine(model, readout), row, kind, edge=0)
        assert found.shape == (n, 2)
        assert np.isfinite(found).all()
        if kind == "overexpress":
            np.testing.assert_allclose(found[0], 0, atol=1e-6)  # in front already
