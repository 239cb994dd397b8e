"""What every model and its engine must satisfy, whether it reads tokens or counts."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from perturbloop import models
from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize, vocabulary_of
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, ModelError
from perturbloop.models.linear import Linear
from perturbloop.models.readout import Readout
from perturbloop.models.scgpt import ScGPT, tensor_names
from perturbloop.models.scvi import ScVI
from perturbloop.perturb.collect import run_plan, shard_path
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.plan import plan
from perturbloop.schema import KINDS, PerturbConfig

GENES = np.array([f"ENSG{number:011d}" for number in range(15)], dtype=object)


@pytest.fixture(scope="module")
def cells():
    counts = np.random.default_rng(0).poisson(1.2, size=(9, 15)) + np.eye(9, 15, dtype=int)
    matrix = sparse.csr_matrix(counts.astype(np.float32))
    return Cells(matrix, GENES, GENES, pd.DataFrame(index=[f"c{n}" for n in range(9)]), "toy", "none")


def scgpt(words):
    args = {"embsize": 8, "nheads": 2, "d_hid": 12, "nlayers": 2, "n_bins": 9, "pad_value": -2}
    args["max_seq_len"] = 16
    symbols = {name: number for number, name in enumerate(["<pad>", "<cls>", "<eoc>", *words.gene_names])}
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(size=shape).astype(np.float32) for name, shape in tensor_names(args, len(symbols))
    }
    genes = Vocabulary.of_genes(words.gene_ids, words.gene_names, np.ones(len(words.gene_ids)), max_length=15)
    return ScGPT(weights, args, symbols, genes)


def scvi(words):
    pytest.importorskip("scvi", reason="scvi-tools, of the extra `scvi`, is not installed")
    from scvi.module import VAE

    torch.manual_seed(0)
    sizes = {"n_latent": 4, "n_hidden": 8, "n_layers": 1}
    weights = VAE(n_input=len(words.gene_ids), n_batch=1, **sizes).state_dict()
    return ScVI({name: weight.numpy() for name, weight in weights.items()}, sizes, words)


MAKERS = {
    "linear": lambda cells, words: Linear(cells.gene_ids, words),
    "scgpt": lambda cells, words: scgpt(words),
    "scvi": lambda cells, words: scvi(words),
}
"""A small model of every family but Geneformer, which has a fixture; a family without one here fails."""


@pytest.fixture(scope="module", params=models.SPECS, ids=lambda spec: spec.name)
def spec(request):
    return request.param


@pytest.fixture(scope="module")
def model(spec, cells, random_geneformer):
    makers = MAKERS | {"geneformer": lambda _, words: random_geneformer(words)}
    return makers[spec.name](cells, vocabulary_of(cells, max_length=16))


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model", {"what": "a test"})
    return tmp_path / "model"


@pytest.fixture
def engine(model, cells):
    rng = np.random.default_rng(1)
    readout = Readout(rng.normal(size=model.dim), rng.normal(size=model.dim), 0.3)
    return engine_of(model, readout, cells)


@pytest.fixture
def planned(model, cells):
    tokens = tokenize(cells, model.vocabulary)
    return tokens, plan(tokens, model.vocabulary, PerturbConfig(kinds=KINDS, dose=0.5))


def test_an_embedding_belongs_to_its_cell_whatever_stands_beside_it(model, cells):
    emb_nd = model.embed_cells(cells)
    assert emb_nd.shape == (cells.n_cells, model.dim)
    order = np.array([4, 1, 7])
    np.testing.assert_allclose(model.embed_cells(cells.select(order)), emb_nd[order], atol=1e-6)


def test_a_saved_model_comes_back_the_same(model, cells, folder):
    again = models.load(folder)
    assert type(again) is type(model)
    assert again.digest == model.digest
    np.testing.assert_allclose(again.embed_cells(cells), model.embed_cells(cells), atol=1e-6)


def test_a_folder_is_known_to_its_own_family_alone(spec, folder):
    assert [other.name for other in models.SPECS if other.recognizes(folder)] == [spec.name]
    assert models.spec_of(folder) is spec
    assert spec.meaning


def test_a_folder_tells_the_identity_of_its_model(spec, model, folder):
    card = models.describe(folder)
    assert (card.family, card.name, card.digest) == (spec.name, "model", model.digest)
    assert card.vocabulary.digest == model.vocabulary.digest
    assert card.shape.dim == model.dim
    assert card.card["what"] == "a test"


def test_a_folder_tells_it_without_torch(model, folder):
    if (folder / "best_model.pt").is_file():
        pytest.skip("nothing but torch reads its own format")
    code = (
        "import sys; from perturbloop import models; print(models.describe(sys.argv[1]).digest, *sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    digest, *loaded = found.stdout.split()
    assert digest == model.digest
    assert not {"torch", "transformers"} & set(loaded)


def test_a_layer_that_a_model_lacks_is_refused(folder):
    for read in (models.load, models.describe):
        with pytest.raises(ModelError, match=r"`emb_layer` must lie between .* it is -9"):
            read(folder, emb_layer=-9)


def test_dictionaries_that_are_not_the_folders_own_are_refused(folder, tmp_path):
    says = r"needs three dictionaries|Give their folder|Leave `--vocabulary` out"
    with pytest.raises((InputError, ModelError), match=says):
        models.describe(folder, vocabulary=tmp_path)


def test_an_unedited_cell_is_read_as_it_is_embedded(model, cells, engine, planned):
    tokens, _ = planned
    emb = model.embed_cells(cells).astype(np.float64)
    goal = engine.readout.goal_d
    cosine = emb @ goal / np.linalg.norm(emb, axis=1) / np.linalg.norm(goal)
    expected = np.stack([cosine, engine.readout.logit(emb)], axis=1)
    np.testing.assert_allclose(engine.unedited(tokens, np.arange(9)), expected, atol=1e-5)


def test_each_edit_has_its_row_and_its_shift_whatever_is_scored_beside_it(engine, planned):
    tokens, edits = planned
    whole = engine.shifts(tokens, edits)
    pd.testing.assert_frame_equal(whole[["cell", "kind", "position"]], edits.edits.drop(columns="token"))
    assert whole["logit_shift"].abs().gt(0).mean() > 0.5
    some = edits.edits.sample(frac=0.4, random_state=0)
    part = engine.shifts(tokens, edits, edits=some)
    again = whole.loc[some.index].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, again, rtol=0, atol=1e-5)


def test_shifts_of_the_logit_do_not_depend_on_the_intercept(model, cells, engine, planned):
    tokens, edits = planned
    other = engine_of(model, replace(engine.readout, bias=-4.0), cells)
    np.testing.assert_allclose(
        other.shifts(tokens, edits)["logit_shift"], engine.shifts(tokens, edits)["logit_shift"], atol=1e-9
    )


def test_progress_counts_every_edit(engine, planned):
    tokens, edits = planned
    done = []
    engine.shifts(tokens, edits, on_rows=done.append)
    assert sum(done) == len(edits.edits)


def test_a_run_that_lost_a_shard_makes_that_shard_alone_again(engine, planned, tmp_path, monkeypatch):
    tokens, edits = planned
    monkeypatch.setattr("perturbloop.perturb.collect.SHARD_EDITS", 100)
    whole = run_plan(engine, tokens, edits, tmp_path)
    kept = shard_path(tmp_path, 0).stat().st_mtime_ns
    shard_path(tmp_path, 1).unlink()
    pd.testing.assert_frame_equal(run_plan(engine, tokens, edits, tmp_path), whole)
    assert shard_path(tmp_path, 0).stat().st_mtime_ns == kept


def test_what_a_pass_takes_grows_with_the_cell(engine, planned):
    tokens, _ = planned
    footprint = engine.footprint(tokens)
    order = np.argsort(tokens.length_n, kind="stable")
    assert (np.diff(footprint.flops_n[order]) >= 0).all()
    assert footprint.memory_bytes > 0
