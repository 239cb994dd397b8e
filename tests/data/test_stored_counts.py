"""Cells that stay in their files are the cells that were read whole, whatever is asked of them."""

import os

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import read_cells
from perturbloop.data.counts import Rounding
from perturbloop.data.stored_counts import StoredCounts
from perturbloop.errors import InputError
from perturbloop.schema import Reading

IDS = [f"ENSG{number:011d}" for number in range(29)]


@pytest.fixture
def write(tmp_path, rng):
    """Writes sixty cells; two rows of `var` are one gene."""

    def write(name="c.h5ad", *, genes=(*IDS, IDS[3]), scale=1.0):
        counts = sparse.csr_matrix(rng.poisson(1.5, size=(60, 30)), dtype=np.float32)
        counts.data[rng.random(counts.nnz) < 0.3] *= scale
        obs = pd.DataFrame({"state": ["a", "b"] * 30}, index=[f"c{n}" for n in range(60)])
        ad.AnnData(
            counts, obs=obs, var=pd.DataFrame({"gene_id": genes}, index=[f"r{n}" for n in range(30)])
        ).write_h5ad(tmp_path / name)
        return tmp_path / name

    return write


def both(paths, request, **options):
    """The same cells held in memory, and in their files."""
    held, report = read_cells(paths, **options)
    request.getfixturevalue("seven_at_once")
    stored, told = read_cells(paths, **options)
    assert isinstance(stored.counts, StoredCounts)
    assert not isinstance(held.counts, StoredCounts)
    assert told == report
    assert (stored.notes, stored.warnings, stored.digest) == (held.notes, held.warnings, held.digest)
    return held, stored


def same(stored, held):
    """Whether two `Cells` hold the same, read in parts and read whole."""
    parts = sparse.vstack(list(stored.blocks()))
    assert (abs(parts - held.counts_ng).sum(), abs(stored.counts_ng - held.counts_ng).sum()) == (0, 0)
    assert stored.gene_ids.tolist() == held.gene_ids.tolist()
    assert stored.obs.equals(held.obs)
    return True


def test_one_file_is_the_same_in_parts(write, request):
    held, stored = both(write(), request)
    assert (stored.n_cells, stored.n_genes) == (held.n_cells, held.n_genes) == (60, 29)
    assert len(list(stored.blocks())) == 9
    np.testing.assert_array_equal(stored.log_cpm(), held.log_cpm())
    np.testing.assert_array_equal(stored.detection(), held.detection())
    group_n = np.arange(60) % 3 - 1
    expected = np.vstack([held.counts_ng.toarray()[group_n == group].sum(axis=0) for group in (0, 1)])
    np.testing.assert_array_equal(stored.summed(group_n), expected)
    assert "counts_ng" not in vars(stored)
    assert same(stored, held)


def test_cells_and_genes_are_taken_without_reading(write, request, rng):
    held, stored = both(write(), request)
    rows, genes = np.sort(rng.permutation(60)[:20]), held.gene_ids[[5, 2, 11]]
    once = stored.select(rows).restrict(genes)
    assert isinstance(once.counts, StoredCounts)
    assert same(once, held.select(rows).restrict(genes))
    again = once.select(np.arange(20) % 2 == 0)
    assert same(again, held.select(rows[::2]).restrict(genes))
    shuffled = rng.permutation(60)
    assert same(stored.select(shuffled), held.select(shuffled))


def test_several_files_of_different_genes_are_the_same_in_parts(write, request):
    paths = [write("a.h5ad"), write("b.h5ad", genes=(*IDS[:0:-1], *IDS[:2]))]
    held, stored = both(paths, request, reading=Reading(subset="batch == 'b' or state == 'a'", min_counts=40))
    assert 52 < held.n_cells < 90
    assert same(stored, held)
    assert same(stored.select(np.arange(10, 50)), held.select(np.arange(10, 50)))


def test_fractions_are_rounded_in_parts(write, request):
    held, stored = both(write(scale=0.7), request, reading=Reading(round=True))
    assert same(stored, held)
    assert Rounding(1, 2, 0, 3.0, 4.0) + Rounding(1, 1, 1, 0.5, 0.0) == Rounding(2, 3, 1, 3.5, 4.0)


def test_what_is_no_count_is_told_with_the_cells_where_it_stands(tmp_path, seven_at_once):
    counts = np.ones((60, 30), dtype=np.float32)
    counts[40, 3] = -2
    ad.AnnData(counts, var=pd.DataFrame(index=[*IDS, "ENSG00000000999"])).write_h5ad(tmp_path / "c.h5ad")
    with pytest.raises(InputError, match="1 of the 210 non-zero values of cells 36 to 42 are negative: -2"):
        read_cells(tmp_path / "c.h5ad")


def test_a_file_that_changes_meanwhile_is_refused(write, seven_at_once):
    stored, _ = read_cells(write())
    os.utime(write(), ns=(1, 1))
    with pytest.raises(InputError, match=r"changed while it was read\. Start again"):
        stored.detection()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folder_whose_files_change_meanwhile_is_refused(write, tmp_path, seven_at_once):
    ad.read_h5ad(write()).write_zarr(tmp_path / "c.zarr")
    stored, _ = read_cells(tmp_path / "c.zarr")
    before = stored.detection()
    data = tmp_path / "c.zarr" / "X" / "data"
    chunk = next(
        path for path in sorted(data.rglob("*")) if path.is_file() and not path.name.startswith((".", "zarr"))
    )
    os.utime(chunk, ns=(2**62, 2**62))
    with pytest.raises(InputError, match="changed while it was read"):
        stored.detection()
    assert before.any()


def test_what_looks_odd_is_told_by_cells_of_the_whole_file(tmp_path, rng, seven_at_once):
    counts = rng.poisson(3.0, size=(60, 30)).astype(np.float32)
    counts[:20] = np.minimum(counts[:20], 1)  # the first parts say only whether a gene was seen
    ad.AnnData(counts, var=pd.DataFrame(index=[*IDS, "ENSG00000000999"])).write_h5ad(tmp_path / "c.h5ad")
    assert read_cells(tmp_path / "c.h5ad")[0].warnings == ()


def test_a_short_last_part_does_not_make_corrected_counts_normalized(tmp_path, rng, seven_at_once):
    counts = rng.poisson(3.0, size=(57, 30)) * rng.uniform(0.6, 1.0, size=(57, 30))
    counts[56] = 0
    counts[56, :5] = 0.7  # by themselves five equal values are multiples of each other
    ad.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=[*IDS, "ENSG00000000999"])).write_h5ad(
        tmp_path / "c.h5ad"
    )
    assert read_cells(tmp_path / "c.h5ad", reading=Reading(round=True))[0].n_cells == 57


def test_halves_are_read_in_parts(tmp_path, rng, seven_at_once):
    counts = rng.poisson(1.0, size=(60, 30)).astype(np.float16)
    ad.AnnData(counts, var=pd.DataFrame(index=[*IDS, "ENSG00000000999"])).write_h5ad(tmp_path / "c.h5ad")
    stored = read_cells(tmp_path / "c.h5ad")[0]
    np.testing.assert_array_equal(stored.counts_ng.toarray(), counts)
