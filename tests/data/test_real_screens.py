"""Screens of others, as they were published."""

from importlib.util import find_spec

import pandas as pd
import pytest

from perturbloop.data.screens import read_screen
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.schema import ScreenConfig


@pytest.fixture(scope="session")
def published(shared):
    return Vocabulary.published(shared / "geneformer")


@pytest.fixture
def real(shared, published):
    def real(name, modality="crispri", **options):
        path = str(shared / "screens" / name)
        config = ScreenConfig(path=path, name="real", modality=modality, higher_is="goal", **options)
        screen, report = read_screen(config, names=published.names)
        return screen.set_index("gene_name"), report

    return real


@pytest.mark.shared_data
@pytest.mark.parametrize(("donor", "n_away", "n_toward"), [(1, 43, 14), (2, 31, 20)])
def test_the_regulators_of_interferon_gamma_have_their_known_signs(real, donor, n_away, n_toward):
    screen, report = real(f"schmidt_ifng_d{donor}.gene_summary.txt")
    positive, negative = ["ZAP70", "VAV1", "CD3G", "LCP2"], ["CBLB", "CD5"]
    assert screen.loc[positive + negative, "hit"].all()
    assert (screen.loc[positive, "effect"] > 0).all()
    assert (screen.loc[positive, "effect_to_goal"] < 0).all()
    assert (screen.loc[negative, "effect"] < 0).all()
    assert set(screen["effect"].nlargest(20).index) >= set(positive)
    assert (report["n_away"], report["n_toward"]) == (
        n_away,
        n_toward,
    )  # counted in the file with pandas alone
    assert len(screen) > 0.97 * report["n_rows"]


@pytest.mark.shared_data
def test_an_activation_screen_has_the_same_canonical_sign(real):
    screen, report = real("schmidt2022_CRISPRa_TNF.csv", modality="crispra")
    assert (screen.loc[["ZAP70", "VAV1", "LCP2"], "effect"] > 0).all()
    assert screen.loc["CBLB", "effect"] < 0
    assert report["columns"] == {"gene": "Gene", "score": "LFC", "FDR": "FDR"}
    _, called = real("schmidt2022_CRISPRa_TNF.csv", modality="crispra", hit_column="Hit")
    assert 470 <= called["n_hits"] <= 486  # 486 in the file, some without an Ensembl id


@pytest.mark.shared_data
def test_a_file_of_three_screens_with_a_byte_order_mark_is_read(real):
    screen, report = real("Freimer2022_Screen.csv", screen="IL2RA")
    assert report["dropped"]["of other screens"] == 2 * 1351
    assert report["dropped"]["controls, not genes"] >= 1
    assert screen.loc["IL2RA", "hit"]


@pytest.mark.shared_data
def test_scores_with_a_list_of_hits_and_columns_without_names_are_read(real, shared):
    listed = shared / "screens" / "replay" / "IFNG.hits.txt"
    screen, report = real("replay/IFNG.csv", hits=str(listed))
    assert report["n_hits"] + len(report["hits_absent"]) == pytest.approx(920, abs=2)
    assert screen.loc["ZAP70", "effect"] > 0
    assert screen["se"].isna().all()
    _, report = real("replay/Steinhart_crispra_GD2_D22.csv", gene_column="0", score_column="1", top=0.05)
    assert report["n_hits"] == round(0.05 * report["n_genes"])


@pytest.mark.shared_data
def test_a_real_screen_is_the_same_however_it_was_saved(real, shared, tmp_path):
    whole = pd.read_csv(shared / "screens" / "schmidt_ifng_d1.gene_summary.txt", sep="\t")
    rows = whole[(whole[["neg|fdr", "pos|fdr"]].min(axis=1) < 0.05) | (whole.index % 20 == 0)].sort_values(
        "id"
    )
    plain = tmp_path / "plain.txt"
    rows.to_csv(plain, sep="\t", index=False)
    rows.to_csv(tmp_path / "german.csv", sep=";", decimal=",", index=False)
    keys = ["id", "num"]
    other = rows.assign(**{"neg|lfc": -rows["neg|lfc"], "pos|lfc": -rows["pos|lfc"]})
    rows.merge(other, on=keys, suffixes=(".donor1", ".donor2")).to_csv(
        tmp_path / "both.txt", sep="\t", index=False
    )
    renamed = rows.assign(id=rows["id"].where(rows.index % 2 == 0, rows["id"] + "_P1"))
    renamed.to_csv(tmp_path / "promoters.txt", sep="\t", index=False)
    files = {"german.csv": {}, "both.txt": {"screen": "donor1"}, "promoters.txt": {}}
    if find_spec("openpyxl"):
        rows.to_excel(tmp_path / "book.xlsx", index=False)
        files["book.xlsx"] = {}
    expected, report = real(plain)
    assert report["n_hits"] > 40
    for name, options in files.items():
        found, _ = real(tmp_path / name, **options)
        pd.testing.assert_frame_equal(found.sort_index(), expected.sort_index(), obj=name)
