import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.data.genes import GeneNames
from perturbloop.data.screens import read_screen
from perturbloop.errors import InputError
from perturbloop.schema import ScreenConfig

NAMES = GeneNames.of({"MTOR": "ENSG00000198793", "JAK2": "ENSG00000096968", "PSMB5": "ENSG00000100804"})
RATIO = {"DMSO": 1.0, "rapamycin": 0.5, "ruxolitinib": 1.0, "bortezomib": 0.1}


@pytest.fixture
def wells(rng):
    """Three donors of different level, two wells each, two doses; the lower dose does nothing."""
    rows = [
        (compound, dose, f"donor {donor}", 100 * donor * (ratio if dose == 10 else 1) * rng.lognormal(0, 0.1))
        for compound, ratio in RATIO.items()
        for dose in ((0,) if compound == "DMSO" else (1, 10))
        for donor in (1, 2, 3)
        for _ in range(2)
    ]
    return pd.DataFrame(rows, columns=["compound", "dose", "donor_id", "value"])


@pytest.fixture
def config(wells, tmp_path):
    wells.to_csv(tmp_path / "cytokine.csv", index=False)
    rows = [
        ("rapamycin", "MTOR", "inhibitor"),
        ("ruxolitinib", "JAK2", "inhibitor"),
        ("bortezomib", "PSMB5", "inhibitor"),
    ]
    pd.DataFrame(rows, columns=["compound", "gene", "action"]).to_csv(tmp_path / "targets.csv", index=False)

    def make(**options):
        given = {
            "path": str(tmp_path / "cytokine.csv"),
            "name": "cytokine",
            "modality": "inhibitor",
            "higher_is": "start",
            "targets": str(tmp_path / "targets.csv"),
            "readout": "cytokine",
            "control": "DMSO",
            "replicate_column": "donor_id",
            "dose_column": "dose",
        }
        return ScreenConfig(**(given | options))

    return make


def by_name(config):
    screen, report = read_screen(config, names=NAMES)
    return screen.set_index("gene_name"), report


def test_the_effect_is_the_ratio_to_the_control_of_the_donor_with_the_error_between_donors(wells, config):
    screen, report = by_name(config())
    logged = wells.assign(log=np.log2(wells["value"]))
    vehicle = logged[logged["compound"] == "DMSO"].groupby("donor_id")["log"].mean()
    top = (
        logged[(logged["compound"] == "rapamycin") & (logged["dose"] == 10)].groupby("donor_id")["log"].mean()
    )
    oracle = stats.ttest_1samp(top - vehicle, 0)
    row = screen.loc["MTOR"]
    assert row["effect_to_goal"] == pytest.approx(-(top - vehicle).mean())  # high = start
    assert row["se"] == pytest.approx((top - vehicle).sem())
    assert row["pvalue"] == pytest.approx(oracle.pvalue)
    assert row["effect_to_goal"] == pytest.approx(1, abs=0.25)
    assert abs(screen.loc["JAK2", "effect_to_goal"]) < 0.25
    assert "between 3 replicates" in report["notes"][0]
    assert "18 wells of lower doses left out" in report["notes"][1]


def test_a_dose_that_kills_says_nothing_of_a_gene(wells, config, tmp_path):
    alive = wells.assign(value=np.where((wells["compound"] == "bortezomib") & (wells["dose"] == 10), 0, 100))
    alive.loc[(wells["compound"] == "ruxolitinib") & (wells["dose"] == 10), "value"] = 80
    alive.to_csv(tmp_path / "viability.csv", index=False)
    plain = by_name(config())[0]["effect_to_goal"]
    assert plain["PSMB5"] > 2
    screen, report = by_name(config(viability=str(tmp_path / "viability.csv")))
    assert abs(screen.loc["PSMB5", "effect_to_goal"]) < 0.25  # that of the lower dose
    assert screen.loc["JAK2", "effect_to_goal"] == pytest.approx(
        plain["JAK2"] + np.log2(0.8)
    )  # a living cell makes more
    assert any(note.startswith("toxic (under 70%") and "bortezomib" in note for note in report["notes"])
    alive.assign(value=np.where(alive["compound"] == "DMSO", 100, 1)).to_csv(
        tmp_path / "dead.csv", index=False
    )
    with pytest.raises(
        InputError, match=r"needs a dose at which 70% of the cells live; of 3 compounds .* none has one"
    ):
        by_name(config(viability=str(tmp_path / "dead.csv")))


def test_qpcr_in_delta_ct_says_the_same_as_the_amounts(wells, config, tmp_path):
    amounts, _ = by_name(config())
    wells.assign(value=30 - np.log2(wells["value"])).to_csv(tmp_path / "ct.csv", index=False)
    cycles, _ = by_name(config(path=str(tmp_path / "ct.csv"), readout="qpcr"))
    np.testing.assert_allclose(cycles["effect_to_goal"], amounts["effect_to_goal"])


def test_colonies_may_be_none_and_genes_need_no_targets(tmp_path):
    counts = (("NT", (40, 60)), ("NT", (44, 66)), ("MTOR", (0, 0)), ("JAK2", (41, 65)))
    rows = [
        (gene, plate, of_plate[place]) for gene, of_plate in counts for place, plate in enumerate(("a", "b"))
    ]
    pd.DataFrame(rows, columns=["gene", "plate", "colonies"]).to_csv(tmp_path / "colonies.csv", index=False)
    made = ScreenConfig(
        path=str(tmp_path / "colonies.csv"),
        name="colonies",
        modality="crispri",
        higher_is="goal",
        readout="colonies",
        control="NT",
        replicate_column="plate",
    )
    screen, _ = by_name(made)
    assert screen.loc["MTOR", "effect_to_goal"] < -5
    assert abs(screen.loc["JAK2", "effect_to_goal"]) < 0.2


def test_one_replicate_takes_wells_in_its_place_and_says_so(config):
    _, report = by_name(config(replicate_column=None))
    assert "between wells, for want of a second replicate: too small" in report["notes"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"control": "vehicle"}, r"`--control vehicle` must be among the labels .*'DMSO'"),
        (
            {"replicate_column": "plate"},
            r"needs a row a well with compound or gene, and value; .*Correct '`--replicate-column plate`'",
        ),
        ({"score_column": "dose"}, r"Values of a cytokine must be above 0.*Write the limit of detection"),
        (
            {"replicate_column": "dose"},
            r"Every replicate of .* needs wells of 'DMSO'; these have none: '10'",
        ),
    ],
)
def test_wells_that_cannot_be_compared_are_refused(config, options, message):
    with pytest.raises(InputError, match=message):
        by_name(config(**options))


def test_options_of_wells_need_a_readout_and_a_readout_its_control(config):
    with pytest.raises(InputError, match="`dose_column` belongs to a readout"):
        config(readout=None, control=None, replicate_column=None)
    with pytest.raises(InputError, match="A readout needs wells of a `control`"):
        config(control=None)
