"""Checkpoints as they are published: their names, formats, heads and dictionaries; small, with the published keys."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel
from typer.testing import CliRunner

from perturbloop import models
from perturbloop.cli import app
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, VocabularyMismatch

GENES = [f"ENSG{number:011d}" for number in range(20)]
V1, V2 = {"<pad>": 0, "<mask>": 1}, {"<pad>": 0, "<mask>": 1, "<cls>": 2, "<eos>": 3}
SIZES = {
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
    "hidden_act": "relu",
    "pad_token_id": 0,
}


def dictionaries(folder, suffix, specials, n_genes=20):
    """The three dictionaries of a generation, under their published names."""
    folder.mkdir(parents=True, exist_ok=True)
    genes = GENES[:n_genes]
    tables = {
        "token_dictionary": specials | {gene: np.int16(n + len(specials)) for n, gene in enumerate(genes)},
        "gene_median_dictionary": dict.fromkeys(genes, 1.5),
        "gene_name_id_dict": {f"GENE{n}": gene for n, gene in enumerate(genes)},
    }
    for name, table in tables.items():
        (folder / f"{name}{suffix}.pkl").write_bytes(pickle.dumps(table))


def checkpoint(folder, kind=BertForMaskedLM, specials=V1, **options):
    """A folder with the config of a published one, its weights still to be written; and these."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=20 + len(specials), **SIZES, **options)
    model = kind(config)
    folder.mkdir(parents=True)
    config.save_pretrained(folder)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    return model.bert.eval(), weights


def index(folder, stem, suffix, weights, save):
    """Two shards and their index."""
    place = {name: f"{stem}-0000{1 + n % 2}-of-00002.{suffix}" for n, name in enumerate(weights)}
    for shard in set(place.values()):
        save({name: weights[name] for name in weights if place[name] == shard}, folder / shard)
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))


def prefixed(prefix):
    return lambda folder, found: save_file(
        {f"{prefix}{name}": weight for name, weight in found.items()}, folder / "model.safetensors"
    )


WRITTEN = {
    "safetensors": prefixed(""),
    "bin": lambda folder, found: torch.save(found, folder / "pytorch_model.bin"),
    "old bin": lambda folder, found: torch.save(
        found, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False
    ),
    "shards": lambda folder, found: index(folder, "model", "safetensors", found, save_file),
    "bin shards": lambda folder, found: index(folder, "pytorch_model", "bin", found, torch.save),
    "compiled": prefixed("_orig_mod."),
    "parallel": prefixed("module."),
    "both": prefixed("_orig_mod.module."),
    "bare": lambda folder, found: prefixed("")(
        folder, {name.removeprefix("bert."): one for name, one in found.items()}
    ),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_first_generation_folder_is_read_in_every_form(tmp_path, form):
    folder = tmp_path / "Geneformer-V1-10M"
    bert, weights = checkpoint(folder)
    assert {"cls.predictions.bias", "cls.predictions.transform.LayerNorm.weight"} < weights.keys()
    # whole numbers, saved by the library of that time; the published files hold them
    weights["bert.embeddings.position_ids"] = torch.arange(16)[None]
    weights["score.weight"] = torch.ones(2)
    WRITTEN[form](folder, weights)
    dictionaries(tmp_path / "geneformer" / "gene_dictionaries_30m", "_gc30M", V1)
    model, card = models.load(folder), models.describe(folder)
    assert model.digest == card.digest
    assert (model.pooling, card.vocabulary.version) == ("mean", "geneformer-v1")
    row = np.array([5, 3, 9, 20])
    with torch.no_grad():
        expected = bert(input_ids=torch.from_numpy(row)[None]).last_hidden_state.mean(dim=1)
    np.testing.assert_allclose(model.embed([row]), expected.numpy(), atol=1e-6)
    assert card.notes == ("Beside its encoder the checkpoint holds tensors that are not used: 1 of 'score'.",)


def test_a_second_generation_folder_reads_its_first_token(tmp_path):
    folder = tmp_path / "Geneformer-V2-104M"
    bert, weights = checkpoint(folder, specials=V2)
    save_file(weights, folder / "model.safetensors")
    dictionaries(tmp_path / "geneformer", "_gc104M", V2)
    model = models.load(folder)
    row = np.array([2, 5, 9, 3])
    with torch.no_grad():
        expected = bert(input_ids=torch.from_numpy(row)[None]).last_hidden_state[:, 0]
    np.testing.assert_allclose(model.embed([row]), expected.numpy(), atol=1e-6)
    assert (model.pooling, model.vocabulary.version) == ("cls", "geneformer-v2")


def test_a_classifier_is_read_without_its_head_and_its_classes_are_named_in_their_order(tmp_path):
    folder = tmp_path / "fine_tuned_models" / "classifier"
    order = {1: "dilated", 2: "hypertrophic", 0: "healthy"}
    bert, weights = checkpoint(
        folder, BertForSequenceClassification, id2label=order, label2id={name: n for n, name in order.items()}
    )
    assert {"bert.pooler.dense.weight", "classifier.weight"} < weights.keys()
    save_file(weights, folder / "model.safetensors")
    dictionaries(tmp_path / "geneformer" / "gene_dictionaries_30m", "_gc30M", V1)
    card = models.describe(folder)
    assert "classifier of 3 classes ('healthy', 'dilated', 'hypertrophic') is not used" in card.notes[0]
    assert card.cautions("any cells") == card.notes
    encoder = BertModel(BertConfig(vocab_size=22, **SIZES), add_pooling_layer=False)
    encoder.load_state_dict(bert.state_dict(), strict=False)
    row = np.array([5, 3])
    with torch.no_grad():
        expected = encoder.eval()(input_ids=torch.from_numpy(row)[None]).last_hidden_state.mean(dim=1)
    np.testing.assert_allclose(models.load(folder).embed([row]), expected.numpy(), atol=1e-6)


@pytest.fixture
def v2(tmp_path):
    folder = tmp_path / "models" / "small"
    save_file(checkpoint(folder, specials=V2)[1], folder / "model.safetensors")
    return folder


def test_the_generation_is_found_by_names_and_sizes_or_given(v2, tmp_path):
    dictionaries(v2, "", V1)  # another generation, in the folder itself
    dictionaries(tmp_path / "models" / "geneformer", "_gc95M", V2)
    assert models.describe(v2).vocabulary.version == "geneformer-v2"
    found = models.describe(v2, vocabulary=tmp_path / "95M").vocabulary
    own = Vocabulary.published(v2.parent / "geneformer", generation="95M")
    assert found.digest == own.with_length(16).digest
    assert models.describe(v2, vocabulary=v2.parent / "geneformer" / "95M").vocabulary.digest == found.digest
    with pytest.raises(InputError, match=r"no dictionaries of generation 104M lie in or near it"):
        models.describe(v2, vocabulary="104M")
    with pytest.raises(VocabularyMismatch, match=r"has 24 embeddings, and those of generation 30M \(22 tok"):
        models.describe(v2, vocabulary="30M")


def test_dictionaries_of_another_checkpoint_are_refused_with_both_sizes(v2, tmp_path):
    with pytest.raises(InputError, match=r"holds no vocabulary of its own, .* with `--vocabulary`"):
        models.describe(v2)
    dictionaries(tmp_path / "own", "_gc104M", V2, n_genes=19)
    says = r"has 24 embeddings, .* 104M \(23 tokens, in .*own`\).*30M has 25,426 tokens, 95M and 104M have 20,275"
    with pytest.raises(VocabularyMismatch, match=says):
        models.load(v2, vocabulary=tmp_path / "own")
    assert re.search(says, refusal(v2, "--vocabulary", str(tmp_path / "own")))
    (tmp_path / "own" / "gene_name_id_dict_gc104M.pkl").unlink()
    says = r"needs three .*own`; missing: 'gene_name_id_dict_gc104M.pkl'"
    assert re.search(says, refusal(v2, "--vocabulary", str(tmp_path / "own")))


def code(folder):
    torch.save({"a": shutil.copy, "b": torch.zeros(9999)}, folder / "pytorch_model.bin")


def no_tensors(folder):
    torch.save({"state_dict": {"a": torch.zeros(99_999)}}, folder / "pytorch_model.bin")


def pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")


def a_shard_less(folder):
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def twice(folder):
    weights = checkpoint(folder / "again")[1]
    name = "bert.embeddings.LayerNorm.bias"
    save_file(weights | {name.removeprefix("bert."): weights[name].clone()}, folder / "model.safetensors")


REFUSED = {
    "nothing": (lambda folder: None, r"`pytorch_model.bin`, whole or in shards .* holds 'config.json'"),
    "code": (code, "must hold tensors and nothing else; it cannot be read: .* that holds Python objects"),
    "no tensors": (no_tensors, r"nothing else; 1 of its entries are none: 'state_dict'. Save"),
    "pointer": (pointer, r"'model.safetensors' only points to them \(Git LFS\). Run `git lfs pull`"),
    "a shard less": (a_shard_less, r"2 of 2 shards are missing: 'model-00001-of-00002.safetensors'"),
    "twice": (twice, r"there twice, under two prefixes: 'embeddings.LayerNorm.bias'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_weights_that_are_none_are_refused_in_words(tmp_path, case):
    spoil, says = REFUSED[case]
    folder = tmp_path / "model"
    checkpoint(folder)
    dictionaries(folder, "", V1)
    for path in folder.glob("*.pkl"):
        path.rename(tmp_path / path.name)
    spoil(folder)
    assert re.search(says, refusal(folder))


def refusal(model, *options):
    """What `perturbloop init` says of a model; it looks at it before the cells."""
    words = [
        "--cells",
        "none.h5ad",
        "--state-column",
        "s",
        "--start",
        "a",
        "--goal",
        "b",
        "--model",
        str(model),
    ]
    found = CliRunner().invoke(app, ["init", "study", *words, *options])
    assert found.exit_code == 1
    return found.stderr


def test_a_published_name_that_is_not_here_is_refused_with_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "`perturbloop models fetch Geneformer-V2-104M`" in refusal("Geneformer-V2-104M")
    assert "holds 'Geneformer-V1-10M', 'gf-12L-30M-i2048'" in refusal("ctheodoris/Geneformer")
    assert "`Geneformer-V2-10M` is no folder" in refusal("Geneformer-V2-10M").replace(f"{tmp_path}/", "")


def test_a_dictionary_that_is_a_pointer_is_said_to_be_one(v2):
    dictionaries(v2, "_gc104M", V2)
    (v2 / "token_dictionary_gc104M.pkl").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match=r"only points to it \(Git LFS\). Run `git lfs pull`"):
        models.describe(v2)
