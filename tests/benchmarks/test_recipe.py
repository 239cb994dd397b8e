"""The study of the published recipe: what is trained once, what is told of it, and its other encoder."""

import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import layer_norm, softmax

FOLDER = Path(__file__).parents[2] / "benchmarks" / "closed_loop"


@pytest.fixture(scope="module")
def recipe():
    """The benchmark's module; it imports its neighbors by name."""
    sys.path.insert(0, str(FOLDER))
    import recipe

    yield recipe
    sys.path.remove(str(FOLDER))


def write(out, seed, key, auroc):
    folder = out / f"network-{seed}"
    folder.mkdir(exist_ok=True)
    rows = [
        {"method": "", "kind": kind, "auroc": auroc + more}
        for kind, more in (("delete", -0.1), ("overexpress", 0.1))
    ]
    (folder / f"{key}.json").write_text(json.dumps(rows))


def test_loops_that_train_the_same_are_trained_once(recipe):
    first = recipe.SETTINGS[0]
    for setting in recipe.SETTINGS:
        assert set(setting.study) <= {"encoder", "donors", "n_cells"}
        assert setting.changes("closed").keys() | setting.changes("open").keys() <= {
            f.name for f in fields(recipe.Arm)
        }
        same = {loop for loop in recipe.LOOPS if setting.key(loop) == first.key(loop)}
        assert same < set(recipe.LOOPS) or setting is first
    matched = next(setting for setting in recipe.SETTINGS if setting.open)
    assert matched.key("closed") == first.key("closed") != matched.key("open")


def test_table_pairs_networks_and_trains_nothing_again(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipe, "trained", None)
    first, matched = recipe.SETTINGS[:2]
    for seed, (alone, closed) in enumerate([(0.50, 0.52), (0.60, 0.66), (0.70, 0.71)]):
        write(tmp_path, seed, first.key("open"), alone)
        write(tmp_path, seed, first.key("closed"), closed)
    write(tmp_path, 0, matched.key("open"), 0.55)
    recipe.main(tmp_path, networks="0..2", settings="0", loops="open,closed")
    told = capsys.readouterr().out.splitlines()
    assert "| 0.600 | 0.630 |" in told[2]
    assert "+0.030 (SE 0.015, n = 3)" in told[2]  # 0.02, 0.06, 0.01: sd 0.02646 over the root of 3
    assert "| 0.550 | 0.630 |" in next(line for line in told if line.startswith(f"| {matched.name}"))


def test_norms_of_the_other_encoder_stand_before_attention_and_feed_forward(recipe):
    import pre_norm

    from perturbloop.data import toy
    from perturbloop.data.cells import from_adata
    from perturbloop.data.encoding import vocabulary_of
    from perturbloop.train.corpus import build_corpus

    cells, _ = from_adata(toy.world(0, n_cells=64, n_corpus=64).corpus)
    corpus = build_corpus([cells], vocabulary_of(cells, max_length=128), seed=0)
    bert = pre_norm._first(corpus, seed=0).bert.eval()
    tokens = torch.from_numpy(np.stack([corpus.rows[0]])).long()
    with torch.no_grad():
        found = bert(input_ids=tokens).last_hidden_state
        embeddings = bert.embeddings
        x = embeddings.word_embeddings(tokens) + embeddings.position_embeddings.weight[: tokens.shape[1]]
        x = x + embeddings.token_type_embeddings.weight[0]
        for layer in bert.encoder.layer:
            heads = layer.attention.self.part
            normed = layer_norm(x, (64,), eps=1e-12)
            query, key, value = (
                part(normed).view(1, -1, 2, 32).transpose(1, 2)
                for part in (heads.query, heads.key, heads.value)
            )
            mixed = softmax(query @ key.transpose(2, 3) / np.sqrt(32), dim=-1) @ value
            x = x + layer.attention.output.dense(mixed.transpose(1, 2).reshape(1, -1, 64))
            up = layer.intermediate.part.dense(layer_norm(x, (64,), eps=1e-12))
            x = x + layer.output.dense(torch.relu(up))
    np.testing.assert_allclose(found.numpy(), x.numpy(), atol=1e-5)


def test_true_labels_are_those_of_the_cells_that_were_measured(recipe, tmp_path):
    difficulty = recipe.Difficulty(n_cells=64, n_perturbed=2)
    study = recipe.Study(0, False, difficulty, tmp_path, ("hit-enriched",))
    for kind, at_rest in (("delete", 0), ("overexpress", 1)):
        controls = study.studies[kind].is_control_n
        labels = study.true_labels[kind]
        assert len(labels) == len(controls)
        assert set(labels) == {0.0, 1.0}
        assert abs(labels[controls].mean() - at_rest) < 0.3
