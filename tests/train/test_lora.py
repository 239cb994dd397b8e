"""Adapters: what they say when they are merged, kept, and put back."""

import copy

import numpy as np
import pytest
import torch
from peft import PeftModel

from perturbloop.models.readout import Readout
from perturbloop.perturb.edit import delete
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.plan import plan
from perturbloop.schema import PerturbConfig, TrainConfig
from perturbloop.train.checkpoint import load_state_model, save_state_model
from perturbloop.train.classifier import StateModel
from perturbloop.train.fit import fine_tune
from perturbloop.train.lora import adapted, load_adapter, merged

CONFIG = TrainConfig(model="none", lora_learning_rate=5e-3, lora_rank=3, epochs=2)


@pytest.fixture
def tuned(encoder, unperturbed):
    return fine_tune(encoder, unperturbed, CONFIG, level="lora")


def embed(model, tokens):
    return model.embed([tokens.row(cell) for cell in range(tokens.n_cells)])


def test_untrained_adapters_change_nothing_and_trained_ones_compute_the_same_once_merged(encoder, states):
    tokens, _ = states
    model = copy.deepcopy(encoder)
    around = adapted(model.bert, rank=4)
    np.testing.assert_allclose(embed(model, tokens), embed(encoder, tokens), atol=1e-6)
    torch.manual_seed(3)
    for name, weight in around.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.1)
    before = embed(model, tokens)
    assert np.abs(before - embed(encoder, tokens)).max() > 0.01
    adapter = merged(around)
    np.testing.assert_allclose(embed(model, tokens), before, atol=1e-5)
    assert adapter.rank == 4
    assert model.bert.state_dict().keys() == encoder.bert.state_dict().keys()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_a_kept_adapter_on_the_encoder_it_came_from_is_the_merged_encoder(tuned, encoder, states, tmp_path):
    tokens, _ = states
    tuned.adapter.save(tmp_path)
    base = copy.deepcopy(encoder)
    again = PeftModel.from_pretrained(base.bert, str(tmp_path))
    np.testing.assert_allclose(embed(base, tokens), embed(tuned.model, tokens), atol=1e-5)
    assert again.peft_config["default"].r == 3


@pytest.mark.parametrize("kept", [True, False])
def test_a_state_model_round_trips_with_its_adapter_beside_it(tuned, encoder, states, tmp_path, kept):
    tokens, _ = states
    readout = Readout(np.ones(8, dtype=np.float32), tuned.weight_d, tuned.bias)
    adapter = tuned.adapter if kept else None
    trained = StateModel(tuned.model, readout, 0.9, 80, adapter)
    save_state_model(trained, tmp_path / "model", base=encoder, card={"method": "lora-open"})
    again = load_state_model(tmp_path / "model", base=encoder)
    assert again.digest == trained.digest
    np.testing.assert_array_equal(embed(again.model, tokens), embed(tuned.model, tokens))
    assert (tmp_path / "model" / "adapter").is_dir() == kept
    if not kept:
        assert again.adapter is None
        return
    assert again.adapter.rank == 3
    for name, weight in tuned.adapter.weights.items():
        assert torch.equal(again.adapter.weights[name], weight)


@pytest.mark.parametrize("level", ["full", "lora"])
def test_a_saved_and_loaded_model_shifts_as_the_one_in_memory(level, encoder, unperturbed, states, tmp_path):
    tokens, _ = states
    made = fine_tune(encoder, unperturbed, CONFIG, level=level)
    trained = StateModel(made.model, Readout(made.weight_d, made.weight_d, made.bias), 0.9, 80, made.adapter)
    save_state_model(trained, tmp_path / "model", base=encoder, card={})
    loaded = load_state_model(tmp_path / "model", base=encoder)
    edits = plan(tokens, encoder.vocabulary, PerturbConfig(cells_per_gene=3))
    before, after = (ExactEngine(one.model, one.readout).shifts(tokens, edits) for one in (trained, loaded))
    for reading in ("shift_to_goal", "logit_shift"):
        np.testing.assert_allclose(after[reading], before[reading], rtol=0, atol=1e-6)
        assert before[reading].abs().max() > 1e-3


def test_a_folder_without_an_adapter_has_none(tmp_path):
    assert load_adapter(tmp_path) is None


def test_the_merged_encoder_is_perturbed_like_any_other(tuned, states):
    tokens, _ = states
    readout = Readout(np.ones(8, dtype=np.float32), tuned.weight_d, tuned.bias)
    edits = plan(tokens, tuned.model.vocabulary, PerturbConfig(kinds=("delete",), cells_per_gene=3))
    found = ExactEngine(tuned.model, readout).shifts(tokens, edits)
    for row, token in zip(found.head(10).itertuples(), edits.edits["token"].head(10), strict=True):
        before = tokens.row(row.cell)
        emb = tuned.model.embed([before, delete(before, (token,))])
        assert row.logit_shift == pytest.approx((emb[1] - emb[0]) @ tuned.weight_d, abs=1e-4)
