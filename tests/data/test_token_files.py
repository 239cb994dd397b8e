"""Tokens of many cells are made once, kept on the disk, and made again where what was kept is gone, damaged or of other cells."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data import token_files
from perturbloop.data.cells import read_cells
from perturbloop.data.encoding import tokenize
from perturbloop.data.token_files import tokens_of
from perturbloop.data.vocabulary import Vocabulary

IDS = [f"ENSG{number:011d}" for number in range(30)]
WORDS = Vocabulary.of_genes(IDS, IDS, np.linspace(0.5, 2, 30), max_length=12)


@pytest.fixture
def path(tmp_path, rng):
    """A file of sixty cells."""
    counts = sparse.csr_matrix(rng.poisson(1.5, size=(60, 30)), dtype=np.float32)
    ad.AnnData(counts, var=pd.DataFrame(index=IDS)).write_h5ad(tmp_path / "c.h5ad")
    return tmp_path / "c.h5ad"


def texts(tokens):
    return [[tokens.row(cell).tolist(), tokens.spare(cell).tolist()] for cell in range(tokens.n_cells)]


@pytest.mark.parametrize("spare", [0, 2])
def test_tokens_on_disk_are_those_in_memory(path, tmp_path, spare, seven_at_once, monkeypatch):
    cells, folder = read_cells(path)[0], tmp_path / "tokens"
    expected = texts(tokenize(cells, WORDS, spare=spare))
    passing = tokens_of(cells, WORDS, spare=spare, folder=folder)
    assert not folder.exists()
    kept = tokens_of(cells, WORDS, spare=spare, folder=folder, keeps=True)
    monkeypatch.setattr(token_files, "encode_blocks", None)  # it is not called again
    found = tokens_of(cells, WORDS, spare=spare, folder=folder)
    for tokens in (passing, kept, found):
        assert isinstance(tokens.flat_e, np.memmap)
        assert tokens.flat_e.dtype == np.uint16
        assert texts(tokens) == expected
        assert texts(tokens.select(np.array([9, 4]))) == [expected[9], expected[4]]


def test_tokens_of_another_encoding_are_made_anew(path, tmp_path, seven_at_once, monkeypatch):
    cells, folder = read_cells(path)[0], tmp_path / "tokens"
    tokens_of(cells, WORDS, folder=folder, keeps=True)
    (before,) = folder.iterdir()
    monkeypatch.setattr(token_files, "ENCODING", token_files.ENCODING + 1)
    tokens_of(cells, WORDS, folder=folder, keeps=True)
    (after,) = folder.iterdir()
    assert after != before


def test_many_tokens_need_more_bits(path, tmp_path, seven_at_once):
    words = replace(WORDS, specials=WORDS.specials | {"<cls>": 70_000, "<eos>": 70_001})
    cells = read_cells(path)[0]
    kept = tokens_of(cells, words, folder=tmp_path / "tokens", keeps=True)
    assert texts(kept) == texts(tokenize(cells, words))
    assert kept.row(0)[0] == 70_000


@pytest.mark.parametrize("file", ["*.bin", "lengths.parquet"])
@pytest.mark.parametrize("how", ["cut", "zeroed", "gone"])
def test_what_is_damaged_is_made_again(path, tmp_path, file, how, seven_at_once):
    cells, folder = read_cells(path)[0], tmp_path / "tokens"
    expected = texts(tokens_of(cells, WORDS, folder=folder, keeps=True))
    (found,) = folder.glob(f"*/{file}")
    raw = found.read_bytes()
    found.unlink()
    if how != "gone":
        found.write_bytes(raw[: len(raw) // 2] if how == "cut" else raw[:20] + bytes(len(raw) - 20))
    assert texts(tokens_of(cells, WORDS, folder=folder)) == expected
    assert texts(tokens_of(cells, WORDS, folder=folder, keeps=True)) == expected
    assert len(list(folder.glob("*/*.bin"))) == 1


def test_tokens_of_other_cells_take_their_place(path, tmp_path, seven_at_once):
    cells, folder = read_cells(path)[0], tmp_path / "tokens"
    tokens_of(cells, WORDS, folder=folder, keeps=True)
    (before,) = folder.iterdir()
    some = cells.select(np.arange(10, 50))
    assert texts(tokens_of(some, WORDS, folder=folder, keeps=True)) == texts(tokenize(some, WORDS))
    (after,) = folder.iterdir()
    assert after != before


def test_cells_without_a_token_have_none_on_disk_either(path, tmp_path, seven_at_once):
    others = [f"ENSG{number:011d}" for number in range(900, 930)]
    words = Vocabulary.of_genes(others, others, np.ones(30), max_length=12)
    assert tokens_of(read_cells(path)[0], words, folder=tmp_path / "tokens", keeps=True).length_n.sum() == 0
