"""scVI trained on small cells: read as scvi-tools itself reads them, and as saved."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop import models
from perturbloop.data.cells import Cells
from perturbloop.errors import ModelError, VocabularyMismatch
from perturbloop.models.scvi import train_scvi

GENES = np.array([f"ENSG{number:011d}" for number in range(30)], dtype=object)


@pytest.fixture(scope="module")
def cells():
    counts = np.random.default_rng(0).poisson(1.0, size=(60, 30)).astype(np.float32)
    obs = pd.DataFrame(index=[f"c{n}" for n in range(60)])
    return Cells(sparse.csr_matrix(counts), GENES, GENES, obs, "toy", "digest")


def test_without_scvi_tools_the_message_says_what_to_type(cells, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scvi", None)
    with pytest.raises(ModelError, match=r"it is not installed. Type `pip install 'perturbloop\[scvi\]'`"):
        train_scvi(cells, tmp_path / "model")


@pytest.mark.filterwarnings("ignore")
def test_a_trained_model_is_read_as_scvi_tools_reads_it(cells, tmp_path, monkeypatch):
    scvi = pytest.importorskip("scvi", reason="scvi-tools, of the extra `scvi`, is not installed")
    made = []
    train = scvi.model.SCVI.train
    monkeypatch.setattr(
        scvi.model.SCVI, "train", lambda self, **options: made.append(self) or train(self, **options)
    )
    model = train_scvi(cells, tmp_path / "model", n_latent=4, epochs=1)
    theirs = made[0].get_latent_representation()
    np.testing.assert_allclose(model.embed_cells(cells), theirs, atol=1e-5)
    again, card = models.load(tmp_path / "model"), models.describe(tmp_path / "model")
    assert again.digest == card.digest == model.digest
    np.testing.assert_array_equal(again.embed_cells(cells), model.embed_cells(cells))
    assert model.gene_embeddings().shape == (30, 128)
    with pytest.raises(VocabularyMismatch, match="Leave `--vocabulary` out"):
        models.describe(tmp_path / "model", vocabulary=tmp_path)
    (tmp_path / "model" / "scvi.json").write_text("{}")
    with pytest.raises(ModelError, match=r"must hold `scvi.json`, .* Train it again"):
        models.describe(tmp_path / "model")
