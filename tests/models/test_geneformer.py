"""Checkpoint folders: what is read, and what is refused with names."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from perturbloop import models
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import ModelError, PerturbloopError
from perturbloop.models.geneformer import DEVICE, default_device, load_geneformer

N_GENES = 20


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder as published ones are: the encoder under its prefix, a head beside it."""
    folder = tmp_path_factory.mktemp("models") / "sound"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=N_GENES + 2,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    ids = [f"ENSG{number:011d}" for number in range(N_GENES)]
    Vocabulary.of_genes(ids, ids, np.ones(N_GENES), max_length=16).save(folder / "vocabulary.parquet")
    return folder


@pytest.fixture
def folder(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "model")


def rewrite(folder, change):
    """Change the tensors of a folder."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def one_of_a_shard(folder):
    """An index that lists one tensor only, in one shard."""
    name, weight = next(iter(load_file(folder / "model.safetensors").items()))
    (folder / "model.safetensors").unlink()
    save_file({name: weight}, folder / "model-00001-of-00001.safetensors", metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": weight.nbytes},
        "weight_map": {name: "model-00001-of-00001.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


GAPS = {
    "one tensor": lambda folder: rewrite(
        folder,
        lambda found: {name: one for name, one in found.items() if "layer.1.output.dense.bias" not in name},
    ),
    "a layer": lambda folder: rewrite(
        folder, lambda found: {name: one for name, one in found.items() if "layer.2." not in name}
    ),
    "a foreign prefix": lambda folder: rewrite(
        folder, lambda found: {f"foreign.{name}": one for name, one in found.items()}
    ),
    "a shard": one_of_a_shard,
}


@pytest.mark.parametrize("kind", GAPS)
def test_a_checkpoint_with_gaps_is_refused_with_their_names(folder, kind):
    GAPS[kind](folder)
    named = {"one tensor": "lacks 1 of 53: 'encoder.layer.1.output.dense.bias'", "a layer": "lacks 16 of 53"}
    says = named.get(kind, r"lacks \d+ of 53|hold [\d,]+ bytes")
    with pytest.raises(ModelError, match=says):
        load_geneformer(folder)


def test_the_same_folder_has_the_same_digest_at_every_load(sound):
    assert load_geneformer(sound).digest == load_geneformer(sound).digest


def cast(folder, dtype):
    rewrite(folder, lambda found: {name: one.to(dtype) for name, one in found.items()})


def named_as_tensorflow_does(folder):
    """Old checkpoints call the two vectors of a layer norm gamma and beta."""
    new = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def renamed(name):
        for own, other in new.items():
            name = name.replace(own, other)
        return name

    rewrite(folder, lambda found: {renamed(name): one for name, one in found.items()})


def in_two_shards(folder):
    found = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = {name: f"model-0000{1 + place % 2}-of-00002.safetensors" for place, name in enumerate(found)}
    for shard in set(shards.values()):
        part = {name: one for name, one in found.items() if shards[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def as_a_bin(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def without_prefix(folder):
    rewrite(folder, lambda found: {name.removeprefix("bert."): one for name, one in found.items()})


FORMS = {
    "as saved": lambda folder: None,
    "float64": lambda folder: cast(folder, torch.float64),
    "float16": lambda folder: cast(folder, torch.float16),
    "bfloat16": lambda folder: cast(folder, torch.bfloat16),
    "no prefix": without_prefix,
    "gamma and beta": named_as_tensorflow_does,
    "shards": in_two_shards,
    "bin": as_a_bin,
    "pooling of its card": lambda folder: (folder / "perturbloop.json").write_text('{"pooling": "cls"}'),
}


@pytest.mark.parametrize("emb_layer", [0, -1])
@pytest.mark.parametrize("form", FORMS)
def test_a_folder_is_described_as_its_model_is_loaded(folder, form, emb_layer):
    FORMS[form](folder)
    model = models.load(folder, emb_layer=emb_layer)
    card = models.describe(folder, emb_layer=emb_layer)
    assert card.digest == model.digest
    assert card.shape == model.encoder("float32").shape
    assert card.vocabulary.digest == model.vocabulary.digest
    assert model.pooling == card.card.get("pooling", "mean")


def test_a_pooling_that_does_not_exist_is_refused(folder):
    (folder / "perturbloop.json").write_text('{"pooling": "max"}')
    with pytest.raises(ModelError, match=r"`pooling` in .* one of 'mean', 'cls', 'inner'; .* is 'max'"):
        models.load(folder)


@pytest.mark.parametrize("kind", GAPS)
def test_gaps_are_refused_before_torch_is_needed(folder, kind):
    GAPS[kind](folder)
    with pytest.raises(ModelError, match=r"lacks \d+ of 53|hold [\d,]+ bytes"):
        models.describe(folder)


def test_a_shape_that_is_not_the_configs_is_refused_before_torch_is_needed(folder):
    changed(folder, type_vocab_size=3)
    with pytest.raises(ModelError, match=r"another shape .*embeddings.token_type_embeddings.weight \(2, 8\)"):
        models.describe(folder)


def test_damaged_weights_are_described_or_refused(folder, damaged):
    raw = (folder / "model.safetensors").read_bytes()
    refused = 0
    for one in [*damaged(raw, 100), *(head + raw[2000:] for head in damaged(raw[:2000], 100, seed=1))]:
        (folder / "model.safetensors").write_bytes(one)
        try:
            models.describe(folder)
        except PerturbloopError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_finite_numbers_are_refused_with_their_names(folder, value):
    def spoil(found):
        found["bert.encoder.layer.0.output.dense.weight"][0, 0] = value
        return found

    rewrite(folder, spoil)
    with pytest.raises(
        ModelError, match=r"must be finite.* 1 tensors hold others: 'encoder.layer.0.output.dense.weight'"
    ):
        load_geneformer(folder)
    with pytest.raises(ModelError, match=r"1 tensors hold others: 'encoder.layer.0.output.dense.weight'"):
        models.describe(folder)


def changed(folder, **options):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | options))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000"),
        ({"hidden_size": "8"}, "hidden_size = '8'"),
        ({"num_attention_heads": 3}, "num_attention_heads"),
        ({"hidden_act": "no such"}, "hidden_act = 'no such'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"intermediate_size": 60_000}, r"files hold [\d,]+ bytes"),
        (
            {"num_hidden_layers": 2},
            "tensors of others: 'bert.encoder.layer.2|tensors of others: 'encoder.layer.2",
        ),
    ],
)
def test_a_config_that_is_not_that_of_its_weights_is_refused(folder, options, says):
    changed(folder, **options)
    with pytest.raises(ModelError, match=says):
        load_geneformer(folder)


def outcomes(folder, name, contents):
    """Load a folder with one file replaced, again and again: (refused, accepted)."""
    refused = accepted = 0
    for raw in contents:
        (folder / name).write_bytes(raw)
        try:
            weights = load_geneformer(folder).bert.state_dict().values()
            assert all(bool(torch.isfinite(weight).all()) for weight in weights)
            accepted += 1
        except PerturbloopError:
            refused += 1
    return refused, accepted


def test_damaged_weights_are_refused_or_finite(folder, damaged):
    raw = (folder / "model.safetensors").read_bytes()
    copies = [*damaged(raw, 200), *(one + raw[2000:] for one in damaged(raw[:2000], 100, seed=1))]
    refused, accepted = outcomes(folder, "model.safetensors", copies)
    assert refused + accepted == 300
    assert refused > 100


def test_a_damaged_config_never_ends_in_a_traceback(folder, damaged, odd):
    raw = (folder / "config.json").read_bytes()
    trees = (json.dumps(tree).encode() for tree in odd(json.loads(raw), 150))
    refused, accepted = outcomes(folder, "config.json", [*damaged(raw, 150), *trees])
    assert refused + accepted == 300
    assert refused > 50


def test_a_damaged_vocabulary_never_ends_in_a_traceback(folder, damaged):
    raw = (folder / "vocabulary.parquet").read_bytes()
    refused, accepted = outcomes(folder, "vocabulary.parquet", damaged(raw, 300))
    assert refused + accepted == 300
    assert refused > 50


def test_a_model_computes_on_a_gpu_where_there_is_one_or_where_it_is_told(monkeypatch):
    monkeypatch.delenv(DEVICE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device().type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *_, device: None)
    assert default_device().type == "cuda"
    monkeypatch.setenv(DEVICE, "cuda:1")
    assert default_device() == torch.device("cuda:1")
    monkeypatch.setenv(DEVICE, "cpu")
    assert default_device().type == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_by_name(monkeypatch, name):
    monkeypatch.setenv(DEVICE, name)
    with pytest.raises(ModelError, match=rf"`{DEVICE}` must name a device .* it is '{name}'"):
        default_device()
