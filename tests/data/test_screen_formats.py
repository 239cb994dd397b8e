"""Tables of the tools: each number against what scipy or the tool's own formula says of it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.data.screen_formats import FORMATS
from perturbloop.data.screens import report_lines
from perturbloop.errors import InputError

BH = stats.false_discovery_control


@pytest.fixture
def z(rng):
    """A z-score for each of forty genes, some far out."""
    return rng.normal(size=40) * np.where(np.arange(40) < 5, 5, 1)


@pytest.fixture
def genes():
    return [f"GENE{place}" for place in range(40)]


def drugz(genes, z):
    low, high = stats.norm.cdf(z), stats.norm.sf(z)
    arms = {"pval_synth": low, "rank_synth": 1, "fdr_synth": BH(low)}
    arms |= {"pval_supp": high, "rank_supp": 1, "fdr_supp": BH(high)}
    return pd.DataFrame({"GENE": genes, "sumZ": 3 * z, "numObs": 9, "normZ": z} | arms)


def mle(genes, z, *conditions):
    table = {"Gene": genes, "sgRNA": 4}
    for number, name in enumerate(conditions, start=1):
        p = 2 * stats.norm.sf(np.abs(z))
        columns = {
            "beta": number * 0.2 * z,
            "z": z,
            "p-value": p,
            "fdr": BH(p),
            "wald-p-value": 1,
            "wald-fdr": 1,
        }
        table |= {f"{name}|{column}": values for column, values in columns.items()}
    return pd.DataFrame(table)


def zfc(genes, z):
    p = np.minimum(stats.norm.cdf(z), stats.norm.sf(z))
    return pd.DataFrame({"gene": genes, "zlfc": z, "count": 6, "p": p, "p_adj": BH(p), "RRA_Score_down": 0.5})


def test_of_drugz_the_arm_of_the_sign_gives_the_fdr_and_the_error_is_that_of_a_z(read, genes, z):
    screen, report = read(drugz(genes, z), name="drugz.txt")
    assert report["format"] == "DrugZ table"
    np.testing.assert_allclose(screen["effect_to_goal"], z)
    np.testing.assert_allclose(screen["pvalue"], 2 * stats.norm.sf(np.abs(z)))
    np.testing.assert_allclose(screen["padj"], np.where(z < 0, BH(stats.norm.cdf(z)), BH(stats.norm.sf(z))))
    np.testing.assert_allclose(screen["se"].dropna(), 1)
    assert screen["se"].notna().tolist() == (np.abs(z) >= 1).tolist()
    assert set(screen["n_reagents"]) == {9}
    assert any("resist the drug" in line for line in report_lines(report))


def test_a_bayes_factor_keeps_its_sign_and_its_resampling_is_no_error(read, genes, z):
    table = pd.DataFrame({"GENE": genes, "BF": 10 * z, "STD": 0.5, "NumObs": 1000})
    screen, report = read(table, name="bf.txt", top=0.1)
    assert report["format"] == "BAGEL table of Bayes factors"
    np.testing.assert_allclose(screen["effect_to_goal"], 10 * z)
    assert screen["se"].isna().all()
    assert not screen["n_reagents"].any()
    assert any("what was done to it costs growth" in line for line in report_lines(report))


def test_recall_and_precision_of_bagel_bring_its_fdr(read, genes, z):
    share = np.linspace(0, 1, 40)
    table = pd.DataFrame({"Gene": genes, "BF": z, "Recall": share, "Precision": 1 - share, "FDR": share})
    screen, _ = read(table)
    assert screen["hit"].sum() == (share < 0.05).sum()


def test_one_condition_of_mageck_mle_is_chosen_and_its_error_is_that_of_the_fit(read, genes, z):
    table = mle(genes, z, "Input", "Ctrl", "Pmel1")
    with pytest.raises(InputError, match="one of 3 comparisons side by side: 'Input', 'Ctrl', 'Pmel1'"):
        read(table, name="mle.gene_summary.txt")
    screen, report = read(table, name="mle.gene_summary.txt", screen="Ctrl")
    np.testing.assert_allclose(screen["effect_to_goal"], 0.4 * z)
    np.testing.assert_allclose(screen["se"], 0.4)
    np.testing.assert_allclose(screen["padj"], BH(2 * stats.norm.sf(np.abs(z))))
    assert set(screen["n_reagents"]) == {4}
    assert report["columns"]["score"] == "Ctrl|beta"


def test_columns_that_r_renamed_are_known(read, genes, z):
    table = mle(genes, z, "A")
    renamed = table.rename(columns=lambda name: name.replace("|", ".").replace("-", "."))
    pd.testing.assert_frame_equal(read(table)[0], read(renamed)[0])


def test_p_values_of_zfc_are_known_to_be_of_one_tail(read, genes, z):
    screen, report = read(zfc(genes, z), name="gene.txt")
    two = 2 * stats.norm.sf(np.abs(z))
    np.testing.assert_allclose(screen["pvalue"], two)
    np.testing.assert_allclose(screen["padj"], BH(two))
    assert any("one-sided (0 to 0.5)" in line for line in report_lines(report))
    with pytest.raises(InputError, match="is a ZFC table, whose p-values are known"):
        read(zfc(genes, z), pvalue_sides="one")


@pytest.mark.parametrize("tail", ["nearer", "lower", "upper"])
def test_one_sided_p_values_of_no_known_tool_are_asked_about(read, words, rng, tail):
    z = rng.normal(size=200)
    low, high = stats.norm.cdf(z), stats.norm.sf(z)
    p = {"nearer": np.minimum(low, high), "lower": low, "upper": high}[tail]
    genes = [f"ENSG{place:011d}" for place in range(200)]
    table = pd.DataFrame({"Gene": genes, "LFC": z, "p": p, "FDR": BH(p)})
    with pytest.raises(
        InputError, match=r"--pvalue-sides one\|two: of 'p' (none is above 0\.|they rise or fall)"
    ):
        read(table)
    two = 2 * stats.norm.sf(np.abs(z))
    screen, _ = read(table, pvalue_sides="one")
    np.testing.assert_allclose(screen["pvalue"], two)
    np.testing.assert_allclose(screen["padj"], BH(two))
    kept, _ = read(table, pvalue_sides="two")
    np.testing.assert_allclose(kept["padj"], BH(p))
    np.testing.assert_allclose(
        read(table.assign(p=two, FDR=BH(two)))[0]["pvalue"], two
    )  # two-sided: no question


def test_what_is_open_is_asked_for_in_one_sentence(read, genes, z):
    table = pd.DataFrame({"label": genes, "a": z, "b": z})
    with pytest.raises(
        InputError, match=r"(?s)needs 3 more options. Add them.*--gene-column.*'label', 'a'.*--score.*--top"
    ):
        read(table)


def test_each_format_has_a_source_and_says_what_a_high_score_means():
    assert all(one.source.startswith("10.") and one.high for one in FORMATS)
    assert len({one.name for one in FORMATS}) == len(FORMATS)
