"""Families of models: which one a folder belongs to, who else may name one, and what is said of an unknown folder."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from perturbloop import models
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import ModelError
from perturbloop.models import registry
from perturbloop.models.spec import ModelCard, ModelSpec, Shape

GENES = ["ENSG00000000001", "ENSG00000000002"]
WORDS = Vocabulary.of_genes(GENES, GENES, np.ones(2), max_length=8)


def test_an_unknown_folder_is_refused_with_the_families_there_are(tmp_path):
    with pytest.raises(ModelError, match=r"known here: geneformer \(.*; linear \(.*is none of them"):
        models.load(tmp_path)
    with pytest.raises(ModelError, match=r"a name that `perturbloop models` lists; `.*absent` is no folder"):
        models.load(tmp_path / "absent")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(
        ModelError, match=r"is none of them. Correct the path, .*entry point `perturbloop.models`"
    ):
        models.describe(tmp_path)


def test_a_config_that_cannot_be_read_is_geneformers_to_refuse(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"needs a `config.json`; .* none that can be read"):
        models.load(tmp_path)


def test_a_card_that_is_no_object_is_refused(tmp_path):
    for text, kind in (("[]", "list"), ("{", "JSONDecodeError")):
        (tmp_path / "perturbloop.json").write_text(text)
        with pytest.raises(ModelError, match=f"must be a JSON object, .* is a {kind}"):
            models.describe(tmp_path)


def foreign(loaded):
    """A family of someone else's, whose folders hold `args.json`."""
    return ModelSpec(
        "binned",
        "binned values: `args.json`",
        lambda folder: (folder / "args.json").is_file(),
        lambda folder, *, vocabulary, emb_layer: loaded.append(emb_layer),
        lambda folder, *, vocabulary, emb_layer: ModelCard(
            "binned", folder.name, "0123", WORDS, Shape(1, 2, 1, 2, 8), {}
        ),
    )


def test_a_family_of_someone_else_is_found_by_its_entry_point(tmp_path, monkeypatch):
    loaded: list = []
    entries = [SimpleNamespace(load=lambda: foreign(loaded))]
    monkeypatch.setattr(
        registry, "entry_points", lambda group: entries if group == "perturbloop.models" else []
    )
    with pytest.raises(ModelError, match=r"linear \(.*; binned \(binned values"):
        models.load(tmp_path)
    (tmp_path / "args.json").write_text("{}")
    models.load(tmp_path, emb_layer=-2)
    assert loaded == [-2]
    assert models.describe(tmp_path).family == "binned"


def test_families_of_others_are_not_asked_about_a_folder_that_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "entry_points", lambda group: pytest.fail("asked"))
    (tmp_path / "perturbloop.json").write_text(json.dumps({"family": "linear"}))
    assert models.spec_of(tmp_path).name == "linear"


def test_a_model_of_other_cells_says_so_where_its_card_lists_what_it_learnt():
    words = Vocabulary.of_genes(["ENSG00000115415"], ["STAT1"], [1.0], max_length=8)
    shape = Shape(layers=1, dim=8, heads=1, intermediate=8, positions=8)
    card = ModelCard("geneformer", "small", "x", words, shape, {"files": {"blood.h5ad": "d1"}})
    assert "learnt from 'blood.h5ad', not from these cells" in card.cautions("d2")[0]
    assert card.cautions("d1") == ()
    assert ModelCard("geneformer", "published", "x", words, shape, {}).cautions("d2") == ()
