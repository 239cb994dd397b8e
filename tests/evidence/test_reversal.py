"""How far compounds bring cells back, against the world that made the cells; and the rules it rests on, against plain arithmetic."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from perturbloop.data.arms import read_arms
from perturbloop.data.cell_cycle import G2M_GENES, S_GENES, cell_cycle
from perturbloop.data.cells import Cells, read_cells
from perturbloop.data.perturbed import read_perturbed
from perturbloop.data.states import state_cells
from perturbloop.data.toy_disease import disease_world
from perturbloop.errors import InputError, StateError
from perturbloop.evidence.axis import thinned
from perturbloop.evidence.matching import at_level, contrast, over_donors
from perturbloop.evidence.reversal import measure_reversal
from perturbloop.evidence.toxicity import harms
from perturbloop.schema import CellsConfig, PerturbedConfig

STATES = {"start": "RUNX1-KO", "goal": "AAVS1"}
NAMES = ("RUNX1-KO", "AAVS1")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Files of a small disease world, and how they are read."""
    folder = tmp_path_factory.mktemp("disease")
    world = disease_world(100, n_donors=3, n_cells=40, n_well=8)
    world.cells.write_h5ad(folder / "cells.h5ad")
    world.screen.write_h5ad(folder / "screen.h5ad")
    id_of = dict(zip(world.truth["gene_name"], world.truth["gene_id"], strict=True))
    targets = world.targets.assign(gene=world.targets["gene"].map(id_of))
    targets.to_csv(folder / "targets.tsv", sep="\t", index=False)
    cells = CellsConfig(
        path=str(folder / "cells.h5ad"), state_column="genotype", donor_column="donor_id", **STATES
    )
    screen = PerturbedConfig(
        path=str(folder / "screen.h5ad"),
        target_column="compound",
        control="DMSO",
        modality="drug",
        targets=str(folder / "targets.tsv"),
        dose_column="dose",
        replicate_column="plate",
        arm_column="genotype",
        donor_column="donor_id",
        time_column="time_h",
        well_column="well",
        recovered_column="recovered_cells",
    )
    return world, state_cells(read_cells(cells.path)[0], cells, seed=0), screen


@pytest.fixture(scope="module")
def measured(study):
    _, states, screen = study
    arms, said = read_arms(screen, **STATES)
    assert said == ()
    return arms, measure_reversal(states, arms, names=NAMES)


def whole(found):
    return found.table[found.table["cell_type"].eq("all")].set_index(["target", "dose"])


def test_strong_reversers_come_first_and_toxic_compounds_are_flagged(study, measured):
    world, (_, found) = study[0], measured
    truth = world.response.set_index(["compound", "dose"]).xs(10.0, level="dose")
    rows = whole(found).xs(10.0, level="dose").reindex(truth.index)
    strong, inert, toxic = truth["share"] > 0.45, truth["kind"] == "inert", truth["kind"] == "toxic"
    assert rows.loc[strong, "share"].min() > rows.loc[inert, "share"].max()
    assert rows.loc[toxic, "flags"].str.startswith("toxic").all()
    assert not rows.loc[~toxic, "flags"].str.contains("toxic").any()
    assert rows["n_donors"].eq(3).all()


def test_vehicle_cells_stand_at_the_ends_of_the_axis(measured):
    _, found = measured
    vehicle = found.positions[found.positions["target"].eq("DMSO")]
    mean = vehicle.groupby("arm")["position"].mean()
    assert mean["RUNX1-KO"] == pytest.approx(0, abs=1e-9)
    assert mean["AAVS1"] == pytest.approx(1, abs=0.1)


def test_an_interval_is_that_of_the_donors_and_one_donor_has_none(study, measured):
    _, states, _ = study
    arms, found = measured
    assert over_donors(np.array([0.1, 0.3, 0.8]))[1:] == pytest.approx(
        stats.ttest_1samp([0.1, 0.3, 0.8], 0).confidence_interval(0.95)
    )
    one = arms.donor_n == "donor 1"
    alone = measure_reversal(states, subset(arms, one), names=NAMES)
    assert alone.table[["ci_low", "ci_high"]].isna().all(axis=None)
    assert alone.table["n_donors"].eq(1).all()
    assert whole(found)["ci_low"].notna().all()


def subset(arms, kept_n):
    """Some cells of the arms."""
    rows = np.flatnonzero(kept_n)
    columns = {name: values[rows] for name, values in vars(arms).items() if isinstance(values, np.ndarray)}
    return replace(arms, cells=arms.cells.select(rows), **columns)


def test_cells_of_no_known_donor_need_others(study):
    _, states, screen = study
    arms, _ = read_arms(screen, **STATES)
    one = states.donor_n == "donor 1"
    few = replace(
        states,
        cells=states.cells.select(one),
        is_goal_n=states.is_goal_n[one],
        train_n=np.arange(one.sum()) % 5 > 0,
        donor_n=states.donor_n[one],
    )
    with pytest.raises(InputError, match="needs start and goal cells of others; for none of 'donor 1'"):
        measure_reversal(few, subset(arms, arms.donor_n == "donor 1"), names=NAMES)


def test_a_file_without_goal_cells_borrows_the_campaign_s(study, measured):
    _, states, _ = study
    arms, found = measured
    alone = measure_reversal(states, subset(arms, ~arms.is_goal_n), names=NAMES)
    both = whole(found).xs(10.0, level="dose")["share_raw"], whole(alone).xs(10.0, level="dose")["share_raw"]
    assert np.corrcoef(*both)[0, 1] > 0.99


def test_effects_are_of_the_start_state_alone(study):
    world, _, screen = study
    perturbed, read = read_perturbed(screen, start=STATES["start"])
    assert set(perturbed.cells.obs["genotype"]) == {STATES["start"]}
    other = int(world.screen.obs["genotype"].ne(STATES["start"]).sum())
    assert read["dropped"]["of another arm than 'RUNX1-KO'"] == other
    assert read["n_cells_read"] == world.screen.n_obs


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"arm_column": "compound"},
            "must name the start state 'RUNX1-KO' and 'AAVS1' as the campaign does; its values are",
        ),
        ({"control": "rapamycin"}, "The arm 'RUNX1-KO' needs cells with the vehicle"),
        ({"donor_column": "patient"}, "needs the column 'patient'"),
        ({"dose_column": "donor_id"}, "must hold doses as numbers"),
        ({"recovered_column": "plate"}, "must hold the cells counted in each well"),
    ],
)
def test_wrong_labels_are_refused(study, options, match):
    _, _, screen = study
    small = {"subset": "compound != 'rapamycin' or dose > 999"} if "control" in options else {}
    with pytest.raises((InputError, StateError), match=match):
        read_arms(replace(screen, **options, **small), **STATES)


def test_options_of_arms_need_arms():
    with pytest.raises(InputError, match="`donor_column` belongs to a file with cells of both states"):
        PerturbedConfig(path="a", target_column="t", control="c", modality="crispri", donor_column="d")


# ------------------------------------------------------------------------------------------------- rules


def test_what_depth_phase_and_type_explain_is_no_reversal(rng):
    """Scores that are the sum of depth and phase and nothing else: all of the raw difference goes."""
    levels = np.array([1.0, 0.5, 0.25])

    def cells(n, log_depth, share):
        depth = rng.normal(log_depth, 0.1, n)
        cycling = (rng.random(n) < share).astype(int)
        score = 2.0 * depth - 3.0 * cycling
        return score[:, None] + 2.0 * np.log(levels), depth, cycling

    (treated, depth_m, phase_m), (vehicle, depth_v, phase_v) = cells(400, 6.4, 0.1), cells(400, 7.0, 0.5)
    found = contrast(
        treated,
        vehicle,
        depths=(depth_m, depth_v),
        strata=(phase_m, phase_v),
        types=(phase_m * 0, phase_v * 0),
        levels=levels,
    )
    assert abs(found.raw) > 0.1
    assert found.matched == pytest.approx(0, abs=0.05)
    assert found.composition == pytest.approx(0)
    assert found.log_depth == pytest.approx(-0.6, abs=0.05)


def test_composition_alone_is_told():
    levels, score = np.array([1.0, 0.5]), np.array([0.0, 0.0, 1.0, 1.0])
    vehicle, types = np.column_stack([score, score]), np.array([0, 0, 1, 1])
    treated = vehicle[[0, 2, 3, 3]]
    flat = (np.zeros(4), np.zeros(4))
    found = contrast(
        treated,
        vehicle,
        depths=flat,
        strata=(types[[0, 2, 3, 3]], types),
        types=(types[[0, 2, 3, 3]], types),
        levels=levels,
    )
    assert (found.raw, found.matched, found.composition) == (0.25, 0.0, 0.25)


def test_thinning_gives_what_shallower_sequencing_gives(rng):
    deep = sparse.csr_matrix(rng.poisson(8.0, (4000, 3)).astype(np.float32))
    thin = thinned(deep, 0.25, rng).toarray()
    assert thin.mean() == pytest.approx(2.0, abs=0.05)
    assert thin.var() == pytest.approx(2.0, abs=0.1)  # still Poisson
    assert thinned(deep, 1.0, rng) is deep
    assert at_level(np.array([[0.0, 1.0, 2.0]]), 1.0, np.array([1.0, 0.5, 0.25])) == 0.0


def test_harm_needs_a_large_and_sure_change():
    assert harms({"few cells": np.log([0.3, 0.4, 0.35])}) == ("toxic", "few cells")
    assert harms({"few cells": np.log([0.3, 1.4, 0.35])}) == ()
    assert harms({"shallow": np.log([0.5, 0.5, 0.55])}) == ("shallow",)
    assert harms({"shallow": np.log([0.5, 0.5, 0.55]), "mitochondrial": np.log([2, 2.1, 1.9])}) == (
        "toxic",
        "shallow",
        "mitochondrial",
    )
    assert harms({"few cells": np.log([0.5, 0.6])}) == ("toxic", "few cells")
    assert harms({"few cells": np.log([0.5, 0.8])}) == ()
    assert harms({"few cells": np.array([np.nan])}) == ()


def test_phases_follow_their_genes(rng):
    names = np.array([*sorted(S_GENES), *sorted(G2M_GENES), *(f"GENE{i}" for i in range(400))], dtype=object)
    rate = np.full((90, len(names)), 2.0)
    rate[:30, : len(S_GENES)] *= 3
    rate[30:60, len(S_GENES) : len(S_GENES) + len(G2M_GENES)] *= 3
    rate[60:, : len(S_GENES) + len(G2M_GENES)] *= 0.3
    ids = np.array([f"ENSG{i:011d}" for i in range(len(names))], dtype=object)
    cells = Cells(
        sparse.csr_matrix(rng.poisson(rate).astype(np.float32)),
        ids,
        names,
        pd.DataFrame(index=range(90)),
        "x",
        "",
    )
    phase = cell_cycle(cells).phase_n
    assert [list(set(phase[part])) for part in (slice(30), slice(30, 60), slice(60, 90))] == [
        ["S"],
        ["G2M"],
        ["G1"],
    ]
    assert cell_cycle(cells.restrict(ids[-400:])) is None
