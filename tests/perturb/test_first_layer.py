"""Edits that share the first layer's attention, against the same edits encoded one by one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertConfig, BertModel

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer
from perturbloop.models.readout import Readout
from perturbloop.perturb import exact, first_layer
from perturbloop.perturb.edit import Policy
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.plan import Plan, plan
from perturbloop.schema import PerturbConfig

N_GENES, LENGTH = 40, 22
CLS, EOS = 2, 3
SHARED_KINDS = ("delete", "overexpress", "inhibit")
GENES = [f"ENSG{number:011d}" for number in range(N_GENES)]
PLAIN = Vocabulary.of_genes(GENES, GENES, np.ones(N_GENES), max_length=LENGTH)
ENCLOSED = replace(
    PLAIN,
    version="geneformer-v2",
    specials={"<pad>": 0, "<mask>": 1, "<cls>": CLS, "<eos>": EOS},
    tokens=PLAIN.tokens + 2,
)


def random_model(pooling, *, layers=2, sharpness=1.0, seed=0):
    """A model as long as its position table; `sharpness` scales queries and keys."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=4 + N_GENES,
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LENGTH,
    )
    bert = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for name, weight in bert.named_parameters():
            if "LayerNorm" not in name:
                weight.copy_(0.3 * torch.randn_like(weight))
            if "query.weight" in name or "key.weight" in name:
                weight.mul_(sharpness)
    return Geneformer(bert, PLAIN if pooling == "mean" else ENCLOSED, pooling=pooling)


@pytest.fixture
def readout(rng):
    return Readout(rng.normal(size=16), rng.normal(size=16) / 4, 0.3)


def random_row(rng, model, length=LENGTH):
    edge = int(model.vocabulary.has_cls)
    genes = rng.permutation(model.vocabulary.tokens)[: length - 2 * edge]
    return np.array([CLS, *genes, EOS] if edge else genes)


def edited_by_hand(row, kind, place, edge):
    """Edit with list methods: take the gene out, and put it where it belongs."""
    cell = row.tolist()
    gene = cell.pop(place)
    if kind == "overexpress":
        cell.insert(edge, gene)
    elif kind == "inhibit":
        cell.insert(len(cell) - edge, gene)
    return np.array(cell)


def assert_same_readings(engine, row, kind, places):
    edge = int(engine.model.vocabulary.has_cls)
    one_by_one = engine.read([edited_by_hand(row, kind, place, edge) for place in places.tolist()])
    done = []
    shared = engine.read_single(row, kind, places, edge=edge, on_rows=done.append)
    np.testing.assert_allclose(shared, one_by_one, atol=1e-6)
    assert np.ptp(one_by_one, axis=0).min() > 1e-3  # the edits are not all alike
    assert sum(done) == len(places)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "cls", "inner"])
@pytest.mark.parametrize("kind", SHARED_KINDS)
def test_edits_that_share_a_layer_read_as_those_encoded_one_by_one(
    rng, readout, monkeypatch, kind, pooling, small
):
    if small:  # many blocks of keys, and sums that lag behind the edits
        monkeypatch.setattr(first_layer, "STRIDE", 3)
        monkeypatch.setattr(first_layer, "KEYS_AT_ONCE", 5)
    model = random_model(pooling)
    edge = int(model.vocabulary.has_cls)
    row = random_row(rng, model)
    every = np.arange(edge, LENGTH - edge)
    engine = ExactEngine(model, readout, batch_tokens=7 * LENGTH)
    assert_same_readings(engine, row, kind, every)
    assert_same_readings(engine, row, kind, every[[0, 1, 7, 8, -1]])
    assert_same_readings(engine, row, kind, rng.permutation(every)[:6])


@pytest.mark.parametrize("kind", SHARED_KINDS)
def test_one_layer_and_a_cell_shorter_than_the_table_share_as_well(rng, readout, kind):
    for pooling in ("mean", "cls"):
        model = random_model(pooling, layers=1)
        row, edge = random_row(rng, model, length=9), int(model.vocabulary.has_cls)
        assert_same_readings(ExactEngine(model, readout), row, kind, np.arange(edge, 9 - edge))


def encoded(model, cells):
    edge = int(model.vocabulary.has_cls)
    return Tokens.of_rows(cells, has_cls=bool(edge))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_shifts_do_not_depend_on_when_sharing_pays(rng, readout, monkeypatch, pooling):
    model = random_model(pooling)
    tokens = encoded(model, [random_row(rng, model, length) for length in (5, LENGTH)])
    config = PerturbConfig(kinds=("delete", "overexpress", "inhibit", "activate"), cells_per_gene=1)
    edits = plan(tokens, model.vocabulary, config)
    engine = ExactEngine(model, readout, batch_tokens=150)
    used = []
    encode_single = ExactEngine.encode_single

    def counted(engine, row, kind, places, **options):
        used.append((len(row), kind))
        return encode_single(engine, row, kind, places, **options)

    monkeypatch.setattr(ExactEngine, "encode_single", counted)
    tables = {}
    for least in (1, 10**9):
        monkeypatch.setattr(exact, "LEAST_EDITS", least)
        tables[least] = engine.shifts(tokens, edits)
    assert sorted(used) == sorted((n, kind) for n in (5, LENGTH) for kind in SHARED_KINDS)
    keys, shifts = ["cell", "gene_id", "kind", "position"], ["shift_to_goal", "logit_shift"]
    assert tables[1][keys].equals(tables[10**9][keys])
    np.testing.assert_allclose(tables[1][shifts], tables[10**9][shifts], atol=2e-6)
    shuffled = edits.edits.sample(frac=1, random_state=0)
    monkeypatch.setattr(exact, "LEAST_EDITS", 1)
    again = engine.shifts(tokens, edits, edits=shuffled)
    expected = tables[1].loc[shuffled.index].reset_index(drop=True)
    assert again[keys].equals(expected[keys])
    np.testing.assert_allclose(again[shifts], expected[shifts], atol=2e-6)


def test_edits_that_are_not_one_moved_or_missing_gene_are_encoded_one_by_one(rng, readout, monkeypatch):
    monkeypatch.setattr(exact, "LEAST_EDITS", 2)
    model = random_model("mean")
    engine, row = ExactEngine(model, readout), random_row(rng, model)
    tokens = Tokens.of_rows([row])
    whole, refill = Plan(pd.DataFrame()), Plan(pd.DataFrame(), Policy(after_delete="refill"))
    two = np.array([1, 4])

    def shareable(kind, *, tokens=tokens, plan=whole, places=two):
        return exact._shareable(engine, tokens, plan, 0, kind, places)

    assert all(shareable(kind) and shareable(kind, plan=refill) for kind in SHARED_KINDS)
    assert not shareable("activate")
    assert not shareable("inhibit", plan=replace(whole, dose=0.5))
    assert shareable("delete", plan=replace(whole, dose=0.5))
    assert not shareable("delete", places=two[:1])
    assert not shareable("overexpress", places=np.array([-1, 4]))
    spared = Tokens.of_rows(tokens.rows(), spare=[[5]])
    assert shareable("delete", tokens=spared)
    assert not shareable("delete", tokens=spared, plan=refill)
    assert not shareable("delete", tokens=Tokens.of_rows([np.append(row[:-1], row[0])]))


@pytest.mark.parametrize("kind", SHARED_KINDS)
def test_edits_that_share_a_layer_are_right_where_attention_is_sharp(rng, readout, kind):
    for seed in range(3):
        model = random_model("mean", sharpness=4, seed=seed)
        row, places = random_row(rng, model), np.arange(LENGTH)
        engine = ExactEngine(model, readout)
        one_by_one = engine.read([edited_by_hand(row, kind, place, 0) for place in places.tolist()])
        shared = engine.read_single(row, kind, places, edge=0)
        np.testing.assert_allclose(shared, one_by_one, atol=1e-3)  # scores of some hundred, in float32
