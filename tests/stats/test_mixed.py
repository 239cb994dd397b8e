import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from statsmodels.formula.api import mixedlm
from statsmodels.regression.mixed_linear_model import MixedLM

from perturbloop.errors import InputError
from perturbloop.stats.aggregate import mean_by_gene
from perturbloop.stats.mixed import mixed_model_by_gene

NUMBERS = ["mean", "se", "ci_low", "ci_high", "pvalue", "donor_variance"]


@pytest.fixture
def pairs(rng):
    """Two genes, 8 donors that differ, cells of unequal numbers."""
    donor = np.repeat(np.arange(8), [5, 40, 8, 20, 11, 60, 30, 9])
    parts = [
        pd.DataFrame(
            {
                "gene": gene,
                "donor": [f"donor {one}" for one in donor],
                "value": mean + rng.normal(scale=2, size=8)[donor] + rng.normal(size=len(donor)),
            }
        )
        for gene, mean in [("STAT1", 1.0), ("JAK2", 0.0)]
    ]
    return pd.concat(parts, ignore_index=True).sample(frac=1, random_state=0, ignore_index=True)


def columns(table):
    return table["value"].to_numpy(), table["gene"].to_numpy(str), table["donor"].to_numpy(str)


def restricted_likelihood(log_variance, value, donor):
    """Minus twice the restricted log-likelihood, from its textbook matrices."""
    within, between = np.exp(log_variance)
    covariance = within * np.eye(len(value)) + between * (donor[:, None] == donor)
    ones, inverse = np.ones(len(value)), np.linalg.inv(covariance)
    information = ones @ inverse @ ones
    mean = ones @ inverse @ value / information
    rest = value - mean
    return np.linalg.slogdet(covariance)[1] + np.log(information) + rest @ inverse @ rest


def test_numbers_equal_statsmodels_formula_on_one_gene(pairs):
    table = mixed_model_by_gene(*columns(pairs), genes=["STAT1", "JAK2"])
    for gene, row in table.iterrows():
        one = pairs[pairs["gene"] == gene]
        theirs = mixedlm("value ~ 1", one, groups=one["donor"]).fit(reml=True)
        mean, se = theirs.fe_params["Intercept"], theirs.bse_fe["Intercept"]
        low, high = stats.t.interval(0.95, 7, mean, se)
        expected = [mean, se, low, high, 2 * stats.t.sf(abs(mean / se), 7), theirs.cov_re.iloc[0, 0]]
        np.testing.assert_allclose(row[NUMBERS].astype(float), expected, rtol=1e-3)
    assert table["converged"].all()
    assert table["note"].eq("").all()


def test_variances_are_where_the_restricted_likelihood_is_highest(pairs):
    value, gene, donor = columns(pairs.groupby(["gene", "donor"]).head(7))
    row = mixed_model_by_gene(value, gene, donor, genes=["JAK2"]).loc["JAK2"]
    of_gene = gene == "JAK2"
    best = optimize.minimize(
        restricted_likelihood, np.zeros(2), args=(value[of_gene], donor[of_gene]), method="Nelder-Mead"
    )
    np.testing.assert_allclose(row["donor_variance"], np.exp(best.x[1]), rtol=1e-2)


def test_with_equally_many_cells_it_equals_the_test_over_donor_means(rng):
    donor = np.repeat(np.arange(6), 25)
    value = 0.8 + rng.normal(size=6)[donor] + rng.normal(size=150)
    gene = np.full(150, "JAK2")
    names = ["mean", "se", "ci_low", "ci_high", "pvalue"]
    np.testing.assert_allclose(
        mixed_model_by_gene(value, gene, donor, genes=["JAK2"])[names].astype(float),
        mean_by_gene(value, gene, donor)[names],
        rtol=1e-3,
    )


def test_order_of_rows_kind_of_label_and_missing_cells_do_not_matter(pairs):
    expected = mixed_model_by_gene(*columns(pairs), genes=["JAK2", "STAT1"])
    shuffled = pairs.sample(frac=1, random_state=1)
    found = mixed_model_by_gene(*columns(shuffled), genes=["JAK2", "STAT1"])
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
    value, gene, donor = columns(pairs)
    gapped, genes = np.append(value, [np.nan, 7.0]), np.append(gene, ["JAK2", "JAK2"])
    donors = pd.Categorical([*donor, "donor 1", None])
    found = mixed_model_by_gene(gapped, pd.Categorical(genes), donors, genes=["JAK2", "STAT1"])
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


def test_unit_changes_the_numbers_and_not_the_test(pairs):
    value, gene, donor = columns(pairs)
    plain = mixed_model_by_gene(value, gene, donor, genes=["STAT1"]).loc["STAT1"]
    small = mixed_model_by_gene(-1e-5 * value, gene, donor, genes=["STAT1"]).loc["STAT1"]
    np.testing.assert_allclose(small["pvalue"], plain["pvalue"], rtol=1e-3)
    np.testing.assert_allclose(small["ci_low"], -1e-5 * plain["ci_high"], rtol=1e-3)
    np.testing.assert_allclose(small["donor_variance"], 1e-10 * plain["donor_variance"], rtol=1e-3)


@pytest.mark.parametrize(
    ("value", "donor", "note"),
    [
        ([1.0, 2.0, 3.0], ["a", "a", "a"], "needs 2 donors or more, has 1"),
        ([1.0, 2.0, 3.0], ["a", "b", "c"], "no donor has two cells"),
        ([0.1, 0.1, 0.1, 0.1], ["a", "a", "b", "b"], "the cells of a donor do not vary"),
        ([0.1, 0.1, 0.2, 0.2], ["a", "a", "b", "b"], "the cells of a donor do not vary"),
        ([np.nan, np.nan], ["a", "b"], "has 0"),
    ],
)
def test_too_little_gives_no_numbers_and_says_why(value, donor, note):
    table = mixed_model_by_gene(np.array(value), np.full(len(value), "JAK2"), np.array(donor), genes=["JAK2"])
    assert table[NUMBERS].isna().all(axis=None)
    assert not table.loc["JAK2", "converged"]
    assert note in table.loc["JAK2", "note"]


def test_a_gene_nobody_edited_has_a_row_that_says_so(pairs):
    table = mixed_model_by_gene(*columns(pairs), genes=["VAV1", "JAK2"])
    assert table.index.tolist() == ["VAV1", "JAK2"]
    assert table.loc["VAV1", "note"] == "needs 2 donors or more, has 0"
    assert table.loc["JAK2", "note"] == ""


def test_donors_that_do_not_differ_are_a_singular_fit_and_not_a_test_over_cells(rng):
    within = np.tile(rng.normal(size=20), 5)
    table = mixed_model_by_gene(1 + within, np.full(100, "JAK2"), np.repeat(np.arange(5), 20), genes=["JAK2"])
    row = table.loc["JAK2"]
    assert row["donor_variance"] == 0
    assert row[NUMBERS[:5]].isna().all()
    assert row["note"].startswith("singular fit: donor variance estimated as 0")


def test_the_donor_variance_is_0_where_the_restricted_likelihood_falls_from_there(rng):
    told, falls = [], []
    for _ in range(40):
        donor = np.sort(np.append(rng.integers(5, size=30), [0, 1]))
        value = rng.normal(scale=0.3, size=5)[donor] + rng.normal(size=32)
        row = mixed_model_by_gene(value, np.full(32, "JAK2"), donor, genes=["JAK2"]).loc["JAK2"]
        at, beside = (
            restricted_likelihood(np.log([value.var(ddof=1), off]), value, donor) for off in (1e-9, 1e-4)
        )
        told.append(row["donor_variance"] == 0)
        falls.append(beside > at)
    assert told == falls
    assert 5 < sum(told) < 35


def test_labels_of_other_rows_are_refused(pairs):
    value, gene, donor = columns(pairs)
    with pytest.raises(
        InputError, match=r"`donor_n` must hold one label for each of the 366 values; it holds 1\."
    ):
        mixed_model_by_gene(value, gene, pd.Categorical(donor[:1]), genes=["JAK2"])


def test_a_singular_matrix_is_told_in_the_table(pairs, monkeypatch):
    def fail(self, **options):
        msg = "Singular matrix"
        raise np.linalg.LinAlgError(msg)

    monkeypatch.setattr(MixedLM, "fit", fail)
    row = mixed_model_by_gene(*columns(pairs), genes=["JAK2"]).loc["JAK2"]
    assert row["note"] == "singular fit: Singular matrix"
    assert np.isnan(row["mean"])


def test_an_optimizer_that_did_not_end_well_is_told_beside_its_numbers(pairs, monkeypatch):
    fit = MixedLM.fit
    poor = {"start_params": None, "maxiter": 1}
    monkeypatch.setattr(MixedLM, "fit", lambda self, **options: fit(self, **(options | poor)))
    row = mixed_model_by_gene(*columns(pairs), genes=["JAK2"]).loc["JAK2"]
    assert not row["converged"]
    assert row["note"].startswith("did not converge")
    assert np.isfinite(row["mean"])


def test_null_genes_are_called_as_often_as_promised(rng):
    donor = np.tile(np.repeat(np.arange(6), 8), 150)
    gene = np.repeat(np.arange(150), 48)
    value = rng.normal(size=(150, 6))[gene, donor] + rng.normal(size=len(gene))
    table = mixed_model_by_gene(value, gene, donor, genes=range(150))
    assert (table["pvalue"] < 0.05).mean() < 0.1
