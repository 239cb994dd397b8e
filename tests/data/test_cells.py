"""What is refused before any work, and what the message says."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import from_adata, read_cells
from perturbloop.data.counts import count_matrix
from perturbloop.data.encoding import tokenize
from perturbloop.data.states import column, left_out, mixtures, state_cells
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
        from_adata(adata, names=words.names)


def test_mouse_symbols_are_refused_though_they_are_human_ones_but_for_case(adata, words):
    adata.var_names = [f"Gene{number}" for number in range(30)]
    with pytest.raises(GeneIdError, match=r"must be human; 30 of 30 labels are mouse genes: 'Gene0'"):
        from_adata(adata, names=words.names)


def test_a_small_panel_needs_half_of_its_genes(adata, words):
    small = adata[:, :10].copy()
    small.var_names = [*IDS[:6], "x1", "x2", "x3", "x4"]
    cells, _ = from_adata(small, names=words.names)
    assert cells.n_genes == 6
    small.var_names = [*IDS[:4], *(f"x{place}" for place in range(6))]
    with pytest.raises(GeneIdError, match="4 of the 10 labels"):
        from_adata(small, names=words.names)


def test_versions_are_stripped_duplicates_summed_and_empty_ids_dropped(adata, words):
    adata.var["ensembl_id"] = [f"{IDS[0]}.4", IDS[0], "", *IDS[3:]]
    cells, report = from_adata(adata, names=words.names, gene_column="ensembl_id")
    assert report.n_summed == report.by_way["no label"][0] == 1
    dense = adata.X.toarray()
    np.testing.assert_array_equal(cells.counts_ng[:, [0]].toarray()[:, 0], dense[:, 0] + dense[:, 1])


def test_symbols_are_mapped_through_the_vocabulary(adata, words):
    adata.var_names = NAMES
    cells, report = from_adata(adata, names=words.names)
    assert cells.gene_ids.tolist() == IDS
    assert report.by_way["symbol"] == (30, 1.0)


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
    cells, _ = from_adata(adata, names=words.names)
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


@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "csr_array", "csc_array"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("indices", lambda array: array.__setitem__(3, 2**30)),
        ("indices", lambda array: array.__setitem__(3, -5)),
        ("indptr", lambda array: array.__setitem__(2, 2**30)),
        ("indptr", lambda array: array.__setitem__(2, 0)),
    ],
)
def test_index_arrays_that_point_elsewhere_are_refused_before_they_are_used(form, name, change):
    made = getattr(sparse, form)(np.arange(1, 13, dtype=np.float32).reshape(4, 3))
    change(getattr(made, name))
    with pytest.raises(InputError, match=r"`X` of damaged.h5ad must be a whole matrix .*compressed"):
        count_matrix(made, "damaged.h5ad")


def test_a_value_that_is_stored_twice_is_summed_and_the_callers_matrix_stays_as_it_was():
    data, indices, indptr = (
        np.array([1, 2, 3, 4], dtype=np.float32),
        np.array([2, 0, 2, 1]),
        np.array([0, 3, 4]),
    )
    made = sparse.csr_matrix((data, indices, indptr), shape=(2, 3))
    found = count_matrix(made, "twice")
    assert found.toarray().tolist() == [[2, 0, 4], [0, 4, 0]]
    assert (made.data.tolist(), made.indices.tolist()) == ([1, 2, 3, 4], [2, 0, 2, 1])


def test_an_h5ad_file_with_damaged_arrays_is_refused_or_read_as_whole_counts(tmp_path, rng):
    genes = [f"ENSG{number:011d}" for number in range(40)]
    counts = sparse.csr_matrix(rng.poisson(0.4, size=(30, 40)).astype(np.float32))
    path = tmp_path / "cells.h5ad"
    ad.AnnData(counts, var=pd.DataFrame(index=genes)).write_h5ad(path)
    sound = path.read_bytes()
    with h5py.File(path) as file:
        arrays = {name: file[f"X/{name}"] for name in ("data", "indices", "indptr")}
        places = {name: (one.id.get_chunk_info(0).byte_offset, one.nbytes) for name, one in arrays.items()}
    refused = 0
    for number in range(330):
        start, size = places[("indices", "indptr", "data")[number % 3]]
        raw = bytearray(sound)
        raw[start + int(rng.integers(size))] ^= 1 << int(rng.integers(8))
        path.write_bytes(raw)
        try:
            found, _ = read_cells(path)
            assert found.counts_ng.shape == (30, 40)
            assert (found.counts_ng.data % 1 == 0).all()
        except InputError:
            refused += 1
    assert refused > 150


def test_a_symbol_that_is_missing_among_nullable_texts_is_the_genes_id():
    var = pd.DataFrame({"gene_name": pd.array([*NAMES[:-1], pd.NA], dtype="string")}, index=IDS)
    adata = ad.AnnData(sparse.csr_matrix(np.ones((4, 30), dtype=np.float32)), var=var)
    cells, _ = from_adata(adata)
    assert cells.gene_names.tolist() == [*NAMES[:-1], IDS[-1]]


def test_labels_of_neither_state_are_counted_and_a_mixture_is_named_with_its_shares(adata):
    adata.obs["cell_type"] = ["T", "T", "B", "B", "B", "T"] * 10  # of a: T B B; of b: T B T
    adata.obs["one_type"] = "x"
    cells, _ = from_adata(adata)
    assert left_out(cells, config()) == ()
    states = state_cells(cells, config(), seed=0)
    (said,) = mixtures(states, config())
    assert "2 kinds by `obs['cell_type']`" in said
    assert "up to 33 points ('B': 67 % of the start, 33 % of the goal)" in said
    adata.obs["state"] = ["a", "b", "c"] * 20
    cells, _ = from_adata(adata)
    assert left_out(cells, config()) == (
        "20 of 60 cells are in neither state and left out; `obs['state']` says of them: 'c' (20).",
    )


def test_a_state_that_is_part_of_a_label_finds_it_and_numbers_are_no_states(adata):
    adata.obs["condition"] = np.where(adata.obs["state"] == "a", "control", "stimulated")
    adata.obs["n_counts"] = np.arange(60) + 1000.5
    adata = ad.concat([adata, adata], index_unique="-")
    adata.var = pd.DataFrame(index=IDS)
    adata.obs["n_counts"] = np.arange(120) + 1000.5
    cells, _ = from_adata(adata)
    with pytest.raises(StateError, match=r"Correct `--start`; the closest is 'stimulated'\.$"):
        state_cells(cells, config(state_column="condition", start="stim", goal="control"), seed=0)
    with pytest.raises(
        StateError, match=r"holds 120 different numbers, for instance '1000.5', '1001.5', '1002.5'\. Name"
    ):
        state_cells(cells, config(state_column="n_counts"), seed=0)
    with pytest.raises(StateError, match="`--target-column`; the closest is 'condition'"):
        column(cells, "target", "--target-column")


def published(**options):
    return CellsConfig(path="c.h5ad", state_column="state", start="a", goal="b", **options)


def test_a_split_of_cells_mixes_donors_and_is_only_made_as_published(adata):
    adata.obs["donor"] = np.repeat(["d1", "d2", "d3"], 20)
    cells, _ = from_adata(adata)
    with pytest.raises(
        InputError, match=r"mixes donors.*needs `as_published`; it is None. Type `--as-published`"
    ):
        published(donor_column="donor", split="cells")
    found = state_cells(cells, published(donor_column="donor", split="cells", as_published=True), seed=0)
    by_donor = pd.crosstab(found.donor_n, found.train_n)
    assert (by_donor > 0).all().all()
    assert (~found.train_n).sum() == 12
    assert [(~found.train_n & (found.is_goal_n == state)).sum() for state in (False, True)] == [6, 6]
    assert "cells of one donor train the classifier and check it" in found.warnings[-1]
    whole = state_cells(cells, published(donor_column="donor", split="donors"), seed=0)
    assert {len(set(whole.train_n[whole.donor_n == donor])) for donor in ("d1", "d2", "d3")} == {1}
    with pytest.raises(StateError, match=r"no donor column is named\. Name it with `--donor-column`"):
        state_cells(cells, published(split="donors"), seed=0)
