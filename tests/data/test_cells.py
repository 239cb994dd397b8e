"""What is refused before any work, and what the message says."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import from_adata, read_cells
from perturbloop.data.states import state_cells
from perturbloop.data.tokens import tokenize
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, InputError, StateError, VocabularyMismatch
from perturbloop.schema import CellsConfig

IDS = [f"ENSG{number:011d}" for number in range(30)]
NAMES = [f"GENE{number}" for number in range(30)]


@pytest.fixture
def words():
    return Vocabulary.of_genes(IDS, NAMES, np.linspace(1, 2, 30), max_length=16)


@pytest.fixture
def adata(rng):
    counts = sparse.csr_matrix(rng.poisson(1.0, size=(60, 30)).astype(np.float32))
    obs = pd.DataFrame({"state": ["a", "b"] * 30}, index=[f"cell{n}" for n in range(60)])
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=IDS))


@pytest.mark.parametrize(
    ("value", "says"),
    [(-1.0, "negative"), (0.5, "normalized"), (np.nan, "missing or infinite")],
)
def test_counts_that_are_not_raw_are_refused(adata, value, says):
    adata.X[0, 0] = value
    with pytest.raises(InputError, match=says):
        from_adata(adata)


def test_mouse_genes_are_refused_by_name(adata, words):
    adata.var_names = [f"ENSMUSG{number:011d}" for number in range(30)]
    with pytest.raises(GeneIdError, match=r"must be human; 30 of 30 labels are mouse genes: 'ENSMUSG"):
        from_adata(adata, vocabulary=words)


def test_mouse_symbols_are_refused_though_they_are_human_ones_but_for_case(adata, words):
    adata.var_names = [f"Gene{number}" for number in range(30)]
    with pytest.raises(GeneIdError, match=r"must be human; 30 of 30 labels are mouse genes: 'Gene0'"):
        from_adata(adata, vocabulary=words)


def test_a_small_panel_needs_half_of_its_genes(adata, words):
    small = adata[:, :10].copy()
    small.var_names = [*IDS[:6], "x1", "x2", "x3", "x4"]
    cells, _ = from_adata(small, vocabulary=words)
    assert cells.n_genes == 6
    small.var_names = [*IDS[:4], *(f"x{place}" for place in range(6))]
    with pytest.raises(GeneIdError, match="4 of the 10 labels"):
        from_adata(small, vocabulary=words)


def test_versions_are_stripped_duplicates_summed_and_empty_ids_dropped(adata, words):
    adata.var["ensembl_id"] = [f"{IDS[0]}.4", IDS[0], "", *IDS[3:]]
    cells, report = from_adata(adata, vocabulary=words, gene_column="ensembl_id")
    assert (report.n_versions, report.n_summed, report.n_empty) == (1, 1, 1)
    dense = adata.X.toarray()
    np.testing.assert_array_equal(cells.counts_ng[:, [0]].toarray()[:, 0], dense[:, 0] + dense[:, 1])


def test_symbols_are_mapped_through_the_vocabulary(adata, words):
    adata.var_names = NAMES
    cells, report = from_adata(adata, vocabulary=words)
    assert cells.gene_ids.tolist() == IDS
    assert report.n_symbols == 30


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "it is empty"), (b"no h5ad", "it is no HDF5 file"), (None, "there is none")]
)
def test_files_that_cannot_be_cells_are_refused(tmp_path, content, says):
    path = tmp_path / "cells.h5ad"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_cells(path)


def test_a_cut_off_file_is_refused(tmp_path, adata):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    whole = (tmp_path / "cells.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.h5ad must be .* damaged or cut off"):
        read_cells(tmp_path / "cut.h5ad")


def config(**options):
    return CellsConfig(**({"path": "x", "state_column": "state", "start": "a", "goal": "b"} | options))


def test_unknown_columns_and_states_name_the_closest(adata):
    cells, _ = from_adata(adata)
    with pytest.raises(StateError, match="the closest is 'state'"):
        state_cells(cells, config(state_column="stat"), seed=0)
    with pytest.raises(StateError, match="State 'c' must occur"):
        state_cells(cells, config(goal="c"), seed=0)
    with pytest.raises(StateError, match="needs at least 40 cells; it has 30"):
        state_cells(cells, config(min_cells=40), seed=0)


def test_a_nested_donor_column_cannot_be_used_as_if_paired(adata):
    adata.obs["donor"] = np.where(adata.obs["state"] == "a", "d1", "d2")
    cells, _ = from_adata(adata)
    with pytest.raises(StateError, match="A paired design needs both states from each donor"):
        state_cells(cells, config(donor_column="donor", design="paired"), seed=0)
    with pytest.raises(StateError, match="none is named"):
        state_cells(cells, config(), seed=0)


def test_held_out_donors_do_not_train(adata):
    adata.obs["donor"] = [f"d{n // 2 % 5}" for n in range(60)]
    cells, _ = from_adata(adata)
    states = state_cells(cells, config(donor_column="donor"), seed=0)
    assert states.design == "paired"
    assert not set(states.donor_n[states.train_n]) & set(states.donor_n[~states.train_n])


def test_tokens_are_genes_by_value_over_median(adata, words):
    cells, _ = from_adata(adata, vocabulary=words)
    tokens = tokenize(cells, words)
    value = adata.X.toarray()[3] / np.linspace(1, 2, 30)
    expected = [2 + gene for gene in np.argsort(-value, kind="stable") if value[gene] > 0][:16]
    assert tokens.row(3).tolist() == expected


def test_a_vocabulary_that_does_not_fit_the_checkpoint_is_refused(words, tmp_path):
    with pytest.raises(
        VocabularyMismatch, match=r"\(32 tokens\) does not fit a checkpoint with 40 embeddings"
    ):
        words.fits(40, 16)
    words.save(tmp_path / "vocabulary.parquet")
    assert Vocabulary.load(tmp_path / "vocabulary.parquet").digest == words.digest
