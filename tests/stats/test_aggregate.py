import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.errors import InputError
from perturbloop.stats import aggregate
from perturbloop.stats.aggregate import coded, mean_by_gene


@pytest.fixture
def pairs(rng):
    """Unequal donors, a gap, and a gene that only two donors have."""
    table = pd.DataFrame(
        {
            "gene": rng.choice(["STAT1", "JAK2", "CD3E"], p=[0.5, 0.3, 0.2], size=300),
            "donor": rng.choice(["c", "a", "b", "d"], p=[0.4, 0.3, 0.2, 0.1], size=300),
            "value": rng.normal(loc=0.3, size=300),
        }
    )
    table = table[(table["gene"] != "CD3E") | table["donor"].isin(["a", "b"])].reset_index(drop=True)
    table.loc[::17, "value"] = np.nan
    return table


def columns(table):
    return table["value"].to_numpy(), table["gene"].to_numpy(str), table["donor"].to_numpy(str)


def test_with_donors_every_number_equals_pandas_and_scipy(pairs):
    found = mean_by_gene(*columns(pairs), level=0.9)
    known = pairs.dropna()
    assert found.index.tolist() == ["CD3E", "JAK2", "STAT1"]
    for gene, row in found.iterrows():
        cells = known.loc[known["gene"] == gene, "value"]
        donors = known[known["gene"] == gene].groupby("donor")["value"].mean()
        test, by_cell = stats.ttest_1samp(donors, 0), stats.ttest_1samp(cells, 0)
        interval = test.confidence_interval(0.9)
        expected = [donors.mean(), stats.sem(donors), *interval, len(cells), len(donors), test.pvalue]
        expected += [stats.sem(cells), by_cell.pvalue]
        np.testing.assert_allclose(row.astype(float), np.array(expected, dtype=float), err_msg=gene)


def test_mean_over_cells_equals_scipys_t_interval(pairs):
    value, gene, _ = columns(pairs)
    table = mean_by_gene(value, gene)
    for name, row in table.iterrows():
        cells = value[(gene == name) & ~np.isnan(value)]
        test = stats.ttest_1samp(cells, 0)
        expected = [cells.mean(), stats.sem(cells), *test.confidence_interval(), len(cells), 0, test.pvalue]
        np.testing.assert_allclose(row.iloc[:7].astype(float), np.array(expected, dtype=float))
    assert table["n_donors"].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(
        table[["se", "pvalue"]].to_numpy(), table[["cell_se", "cell_pvalue"]].to_numpy()
    )


def test_order_of_rows_does_not_matter(pairs):
    expected = mean_by_gene(*columns(pairs))
    for seed in range(3):
        pd.testing.assert_frame_equal(
            mean_by_gene(*columns(pairs.sample(frac=1, random_state=seed))), expected, rtol=1e-12
        )


def test_chunks_do_not_matter(pairs, monkeypatch):
    expected = mean_by_gene(*columns(pairs))
    monkeypatch.setattr(aggregate, "CHUNK", 13)
    pd.testing.assert_frame_equal(mean_by_gene(*columns(pairs)), expected, rtol=1e-12)


def test_strings_objects_integers_and_categories_agree(pairs):
    value, gene, donor = columns(pairs)
    expected = mean_by_gene(value, gene, donor)
    objects = mean_by_gene(value, gene.astype(object), donor.astype(object))
    pd.testing.assert_frame_equal(objects, expected)
    genes = pd.Categorical(gene, categories=["STAT1", "unused", "CD3E", "JAK2"])
    categories = mean_by_gene(value, genes, pd.Categorical(donor, categories=list("zdcba")))
    pd.testing.assert_frame_equal(categories, expected, rtol=1e-12)
    numbers = mean_by_gene(value, np.unique(gene, return_inverse=True)[1], pd.factorize(donor)[0])
    assert numbers.index.tolist() == [0, 1, 2]
    np.testing.assert_allclose(numbers, expected)


def test_unit_and_offset_do_what_they_should(pairs):
    value, gene, donor = columns(pairs)
    plain, moved = mean_by_gene(value, gene, donor), mean_by_gene(1e6 + value, gene, donor)
    np.testing.assert_allclose(moved["mean"] - 1e6, plain["mean"], atol=1e-8)
    np.testing.assert_allclose(moved[["se", "cell_se"]], plain[["se", "cell_se"]], rtol=1e-7)
    scaled = mean_by_gene(-1e-5 * value, gene, donor)
    np.testing.assert_allclose(scaled[["pvalue", "cell_pvalue"]], plain[["pvalue", "cell_pvalue"]])
    np.testing.assert_allclose(scaled["ci_low"], -1e-5 * plain["ci_high"])


def test_cells_without_value_gene_or_donor_are_left_out(pairs):
    value, gene, donor = columns(pairs)
    expected = mean_by_gene(value, gene, donor)
    value = np.append(value, [np.nan, np.nan, 9.0, 9.0])
    genes = np.array([*gene, "JAK2", "only missing", None, "JAK2"], dtype=object)
    donors = np.array([*donor, "a", "a", "a", np.nan], dtype=object)
    pd.testing.assert_frame_equal(mean_by_gene(value, genes, donors), expected)
    categories = mean_by_gene(value, pd.Categorical(genes), pd.Categorical(donors))
    pd.testing.assert_frame_equal(categories, expected, rtol=1e-12)


def test_one_cell_and_one_donor_have_a_mean_and_no_test(rng):
    value, gene, donor = np.array([2.0, 1.0, 3.0]), np.array(["one", "two", "two"]), np.array(["a", "b", "b"])
    table = mean_by_gene(value, gene, donor)
    assert table["mean"].tolist() == [2.0, 2.0]
    assert table["n_donors"].tolist() == [1, 1]
    assert table[["se", "ci_low", "ci_high", "pvalue"]].isna().all(axis=None)
    assert table["cell_se"].isna().tolist() == [True, False]
    np.testing.assert_allclose(table.loc["two", "cell_pvalue"], stats.ttest_1samp([1.0, 3.0], 0).pvalue)


def test_replicates_that_do_not_differ_have_no_p_rather_than_zero():
    value, gene = np.repeat([0.1, 0.0], 7), np.repeat(["same", "zero"], 7)
    table = mean_by_gene(value, gene, np.tile([1, 2, 3, 3, 3, 3, 3], 2))
    assert table[["pvalue", "cell_pvalue"]].isna().all(axis=None)
    assert (table[["se", "cell_se"]] == 0).all(axis=None)


def test_cells_as_replicates_are_anti_conservative_and_donors_are_not(rng):
    """1,500 genes that do nothing, 6 donors that differ: the cell-level test calls a third and more of them."""
    donor_effect = rng.normal(size=(1500, 6, 1))
    value = (donor_effect + rng.normal(scale=2, size=(1500, 6, 20))).ravel()
    table = mean_by_gene(value, np.repeat(np.arange(1500), 120), np.tile(np.repeat(np.arange(6), 20), 1500))
    assert 0.03 < (table["pvalue"] < 0.05).mean() < 0.07
    assert (table["cell_pvalue"] < 0.05).mean() > 0.3


def test_no_pairs_give_no_rows():
    table = mean_by_gene(np.empty(0), np.empty(0, dtype=str), np.empty(0, dtype=str))
    assert table.shape == (0, 9)


def test_codes_name_each_label_once_and_missing_ones_not_at_all(monkeypatch):
    monkeypatch.setattr(aggregate, "CHUNK", 2)
    code, names = coded(np.array(["b", "a", None, "b", "c"], dtype=object))
    assert code.tolist() == [0, 1, -1, 0, 2]
    assert names.tolist() == ["b", "a", "c"]


def test_labels_of_other_rows_are_refused():
    with pytest.raises(
        InputError,
        match=r"`gene_n` must hold one label for each of the 3 values; it holds 1\. Take values and",
    ):
        mean_by_gene(np.ones(3), pd.Categorical(["JAK2"]))
    with pytest.raises(
        InputError, match=r"`donor_n` must hold one label for each of the 1 values; it holds 2\."
    ):
        mean_by_gene(np.ones(1), pd.Categorical(["JAK2"]), pd.Categorical(["a", "b"]))
