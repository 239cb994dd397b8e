"""Plan, run, collect: against a slow loop, killed and resumed."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertConfig, BertModel

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import StoreError
from perturbloop.models.geneformer import Geneformer
from perturbloop.perturb import collect
from perturbloop.perturb.collect import run_plan, shard_path
from perturbloop.perturb.exact import exact_shifts
from perturbloop.perturb.plan import plan
from perturbloop.perturb.readout import Readout
from perturbloop.schema import PerturbConfig

GENES = [f"ENSG{number:011d}" for number in range(12)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=14,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    words = Vocabulary.of_genes(GENES, GENES, np.ones(12), max_length=16)
    return Geneformer(BertModel(config, add_pooling_layer=False), words, pooling="mean")


@pytest.fixture
def tokens():
    rng = np.random.default_rng(0)
    return Tokens.of_rows([2 + rng.permutation(12)[:length] for length in (3, 7, 12, 7, 5, 9)])


@pytest.fixture
def readout():
    rng = np.random.default_rng(1)
    return Readout(rng.normal(size=8), rng.normal(size=8), 0.3)


def test_the_exact_engine_equals_a_loop_over_single_cells(model, tokens, readout):
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=3)).edits
    ours = exact_shifts(model, readout, tokens, edits, batch_tokens=20)

    def embedded(row):
        return next(model.hidden([np.asarray(row)])).mean(axis=0)

    for row in pd.concat([edits, ours.drop(columns=["cell", "kind", "position"])], axis=1).itertuples():
        before = tokens.row(row.cell).tolist()
        after = [token for token in before if token != row.token]
        if row.kind == "overexpress":
            after = [row.token, *after]
        change = embedded(after) @ readout.weight_d - embedded(before) @ readout.weight_d
        assert row.logit_shift == pytest.approx(change, abs=1e-5)

        def cosine(emb_d):
            return emb_d @ readout.goal_d / np.linalg.norm(emb_d) / np.linalg.norm(readout.goal_d)

        assert row.shift_to_goal == pytest.approx(
            cosine(embedded(after)) - cosine(embedded(before)), abs=1e-6
        )


def test_a_gene_is_edited_in_at_most_the_asked_number_of_cells(model, tokens):
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=2)).edits
    assert edits.groupby(["kind", "token"]).size().max() == 2
    assert (edits.query("kind == 'overexpress'")["position"] > 0).all()


def test_special_tokens_are_never_edited():
    words = Vocabulary.of_genes(GENES, GENES, np.ones(12), max_length=16)
    cells = Tokens.of_rows([[20, 5, 6, 21]], has_cls=True)
    edits = plan(cells, words, PerturbConfig(kinds=("delete",))).edits
    assert edits["token"].tolist() == [5, 6]


def test_a_killed_run_resumes_and_keeps_its_shards(model, tokens, readout, tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "SHARD_EDITS", 10)
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=4))
    whole = run_plan(model, readout, tokens, edits, tmp_path / "whole")
    folder = tmp_path / "killed"

    class Killed(BaseException):
        pass

    def die(done, total):
        if done > 15:
            raise Killed

    with pytest.raises(Killed):
        run_plan(model, readout, tokens, edits, folder, on_edits=die)
    first = shard_path(folder, 0).stat().st_mtime_ns
    resumed = run_plan(model, readout, tokens, edits, folder)
    pd.testing.assert_frame_equal(whole, resumed)
    assert shard_path(folder, 0).stat().st_mtime_ns == first


def test_a_missing_shard_is_refused_by_the_names_of_its_genes(model, tokens, readout, tmp_path):
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=1))
    run_plan(model, readout, tokens, edits, tmp_path)
    shard_path(tmp_path, 0).unlink()
    with pytest.raises(StoreError, match=r"is needed for 'ENSG.*run `perturb` again"):
        collect.collect(edits, tmp_path, model)
