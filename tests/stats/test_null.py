import numpy as np
import pytest
from scipy import special, stats

from perturbloop.stats.null import beyond_null, matched_null, nearest_others, remembered


def slow_null(shift, position, expression, k):
    """The definition, gene by gene."""

    def scale(value):
        return (value - value.mean()) / value.std()

    a, b, found = scale(position), scale(expression), []
    for gene in range(len(shift)):
        others = [other for other in range(len(shift)) if other != gene]
        others.sort(key=lambda other: (a[other] - a[gene]) ** 2 + (b[other] - b[gene]) ** 2)
        null = shift[others[:k]]
        found.append((shift[gene] - np.median(null)) / stats.median_abs_deviation(null, scale="normal"))
    return np.array(found)


def test_z_equals_the_definition_gene_by_gene(rng):
    shift, position, expression = rng.normal(size=(3, 60))
    z = matched_null(shift, position, expression, null_genes=12).z_g
    np.testing.assert_allclose(z, slow_null(shift, position, expression, 12))


def test_rankings_of_the_same_genes_look_for_matched_genes_once(rng):
    asked = []

    def counted(point_gc, k):
        asked.append(k)
        return nearest_others(point_gc, k)

    position, expression = rng.normal(size=(2, 60))
    nearest = remembered(counted)
    for shift in rng.normal(size=(3, 60)):
        found = matched_null(shift, position, expression, null_genes=12, nearest=nearest)
        np.testing.assert_array_equal(found.z_g, matched_null(shift, position, expression, null_genes=12).z_g)
    matched_null(shift[:50], position[:50], expression[:50], null_genes=12, nearest=nearest)
    matched_null(shift, position, expression, null_genes=13, nearest=nearest)
    assert asked == [12, 12, 13]


def test_a_shift_that_only_follows_rank_is_not_surprising(rng):
    position = rng.uniform(0, 500, size=600)
    shift = np.exp(-position / 100) + rng.normal(scale=0.01, size=600)
    null = matched_null(shift, position, rng.normal(size=600) * 0, null_genes=40)
    assert abs(np.corrcoef(null.z_g, position)[0, 1]) < 0.1
    assert (null.pvalue_g < 0.05).mean() < 0.12


@pytest.mark.parametrize(("n_genes", "df"), [(300, 99), (41, 39)])
def test_p_is_students_with_one_degree_of_freedom_fewer_than_matched_genes(n_genes, df, rng):
    null = matched_null(*rng.normal(size=(3, n_genes)), null_genes=100)
    by_incomplete_beta = special.betainc(df / 2, 1 / 2, df / (df + null.z_g**2))
    np.testing.assert_allclose(null.pvalue_g, by_incomplete_beta, rtol=1e-10)


def test_of_genes_that_all_do_nothing_hardly_more_than_a_share_of_p_has_a_p_below_p(rng):
    pvalue = np.concatenate([matched_null(*rng.normal(size=(3, 1500))).pvalue_g for _ in range(10)])
    share = [(pvalue < level).mean() for level in (0.01, 0.05, 0.2, 0.5, 0.8)]
    np.testing.assert_allclose(share, [0.0135, 0.054, 0.2, 0.5, 0.8], rtol=0.1)


def test_unit_and_offset_of_shifts_and_gene_order_do_not_matter(rng):
    columns = rng.normal(size=(3, 80))
    order = rng.permutation(80)
    z = matched_null(*columns, null_genes=20).z_g
    np.testing.assert_allclose(matched_null(3 * columns[0] - 7, columns[1], columns[2], null_genes=20).z_g, z)
    np.testing.assert_allclose(matched_null(*columns[:, order], null_genes=20).z_g, z[order])


def test_genes_that_were_not_scored_stay_missing_and_serve_as_nobodys_null(rng):
    columns = rng.normal(size=(3, 40))
    with_gap = np.insert(columns, 5, np.nan, axis=1)
    z = matched_null(*with_gap, null_genes=15).z_g
    assert np.isnan(z[5])
    np.testing.assert_allclose(np.delete(z, 5), matched_null(*columns, null_genes=15).z_g)


def test_a_gene_is_never_its_own_null_even_among_equal_genes(rng):
    shift = np.append(rng.normal(size=49), 1e6)
    null = matched_null(shift, np.ones(50), np.ones(50), null_genes=12)
    assert null.spread_g[-1] < 10
    assert null.z_g[-1] > 1e4


def test_too_few_genes_or_no_spread_give_no_z(rng):
    assert np.isnan(matched_null(*rng.normal(size=(3, 8))).z_g).all()
    flat = matched_null(np.ones(30), *rng.normal(size=(2, 30)))
    assert np.isnan(flat.z_g).all()
    assert np.isnan(flat.pvalue_g).all()


def test_a_whole_genome_of_which_all_genes_tie_is_matched_without_a_gene_as_its_own_null(rng):
    shift = np.append(rng.normal(size=19_999), 1e6)
    null = matched_null(shift, np.ones(20_000), np.ones(20_000))
    assert np.isfinite(null.z_g).all()
    assert null.spread_g.max() < 3
    assert null.z_g[-1] > 1e5


@pytest.mark.parametrize(
    ("shift", "z", "padj", "low", "high", "side"),
    [
        (1.0, 4.0, 0.049, 0.1, 1.9, 1),
        (1.0, 4.0, 0.05, 0.1, 1.9, 0),  # the rate itself is not included
        (-1.0, -4.0, 0.01, -1.9, -0.1, -1),
        (1.0, -4.0, 0.01, 0.1, 1.9, 0),  # toward, but less than its like
        (-1.0, 4.0, 0.01, -1.9, -0.1, 0),  # away, but less than its like
        (1.0, 4.0, 0.01, 0.0, 1.9, 0),  # an interval that reaches 0
        (-1.0, -4.0, 0.01, -1.9, 0.0, 0),
        (1.0, 4.0, 0.01, np.nan, np.nan, 0),
        (np.nan, 4.0, 0.01, 0.1, 1.9, 0),
        (1.0, np.nan, 0.01, 0.1, 1.9, 0),
        (1.0, 4.0, np.nan, 0.1, 1.9, 0),
        (0.0, 4.0, 0.01, 0.1, 1.9, 0),
    ],
)
def test_a_call_needs_padj_sign_and_interval_to_agree(shift, z, padj, low, high, side):
    numbers = [np.array([value]) for value in (shift, z, padj)]
    interval = {"ci_low_g": np.array([low]), "ci_high_g": np.array([high])}
    assert beyond_null(*numbers, fdr=0.05, **interval).tolist() == [side]


def test_without_intervals_padj_and_signs_decide():
    shift, z, padj = np.array([1.0, -1.0, -1.0]), np.array([4.0, -4.0, 4.0]), np.full(3, 0.01)
    assert beyond_null(shift, z, padj, fdr=0.05).tolist() == [1, -1, 0]
