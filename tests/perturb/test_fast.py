"""The fast engine against the exact one: what it says of genes it verified, and of those it did not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.tokens import Tokens
from perturbloop.perturb import fast
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.fast import fast_shifts
from perturbloop.perturb.plan import plan
from perturbloop.schema import PerturbConfig

CONFIG = PerturbConfig(kinds=("delete", "overexpress"), cells_per_gene=99, engine="fast", top=3)


@pytest.fixture
def many():
    rng = np.random.default_rng(3)
    return Tokens.of_rows([2 + rng.permutation(12)[: rng.integers(6, 13)] for _ in range(30)])


@pytest.fixture
def engine(model, readout):
    return ExactEngine(model, readout)


def test_verified_edits_are_the_exact_ones_and_a_gene_verified_everywhere_has_the_exact_mean(
    engine, model, many, tmp_path
):
    edits = plan(many, model.vocabulary, CONFIG)
    exact = engine.shifts(many, edits)
    found = fast_shifts(engine, many, edits, tmp_path, config=CONFIG)
    pd.testing.assert_series_equal(found.shifts["gene_id"], exact["gene_id"])
    truth = exact.groupby(["gene_id", "kind"])["logit_shift"].mean()
    whole = found.estimates.query("basis == 'exact'").set_index(["gene_id", "kind"])
    assert (whole["n_exact"] == whole["n_cells"]).all()
    np.testing.assert_allclose(whole["logit_shift"], truth.loc[whole.index], atol=1e-5)
    same = np.isclose(found.shifts["logit_shift"], exact["logit_shift"], atol=1e-5)
    assert same.sum() >= found.n_verified > 0


def test_no_gene_of_the_best_stands_without_exact_cells(engine, model, many, tmp_path):
    edits = plan(many, model.vocabulary, CONFIG)
    found = fast_shifts(engine, many, edits, tmp_path, config=CONFIG).estimates
    for _, rows in found.groupby("kind"):
        assert (rows.nlargest(CONFIG.top, "logit_shift")["n_exact"] >= 2).all()
        assert (rows.nlargest(CONFIG.top, "logit_shift")["basis"] != "screen+pooled").all()


def test_the_mean_of_the_corrected_shifts_is_the_estimate(engine, model, many, tmp_path):
    edits = plan(many, model.vocabulary, CONFIG)
    found = fast_shifts(engine, many, edits, tmp_path, config=CONFIG)
    mean = found.shifts.groupby(["gene_id", "kind"])[["logit_shift", "shift_to_goal"]].mean()
    told = found.estimates.set_index(["gene_id", "kind"])
    for reading in ("logit_shift", "shift_to_goal"):
        np.testing.assert_allclose(mean[reading], told[reading].loc[mean.index], atol=1e-9)


def test_a_width_is_reached_by_verifying_more(engine, model, many, tmp_path):
    edits = plan(many, model.vocabulary, CONFIG)
    free = fast_shifts(engine, many, edits, tmp_path / "free", config=CONFIG)
    width = float((free.estimates["ci_high"] - free.estimates["ci_low"]).max()) / 4
    tight = fast_shifts(engine, many, edits, tmp_path / "tight", config=replace(CONFIG, width=width))
    assert tight.n_verified > free.n_verified
    assert (tight.estimates["ci_high"] - tight.estimates["ci_low"]).max() <= width


def test_a_killed_run_goes_on_with_the_same_choices(engine, model, many, tmp_path):
    edits = plan(many, model.vocabulary, CONFIG)
    whole = fast_shifts(engine, many, edits, tmp_path / "whole", config=CONFIG)

    class Killed(BaseException):
        pass

    def die(part, done, total):
        if part == "verify 1":
            raise Killed

    with pytest.raises(Killed):
        fast_shifts(engine, many, edits, tmp_path / "killed", config=CONFIG, on_edits=die)
    screens = list((tmp_path / "killed" / "screen").iterdir())
    before = {path: path.stat().st_mtime_ns for path in screens}
    resumed = fast_shifts(engine, many, edits, tmp_path / "killed", config=CONFIG)
    pd.testing.assert_frame_equal(whole.shifts, resumed.shifts)
    pd.testing.assert_frame_equal(whole.estimates, resumed.estimates)
    assert before == {path: path.stat().st_mtime_ns for path in screens}


def test_the_order_in_which_cells_are_verified_depends_on_gene_and_cell_alone(model, many):
    edits = plan(many, model.vocabulary, CONFIG).edits.query("kind == 'delete'").reset_index(drop=True)
    fewer = edits[edits["token"].isin(edits["token"].unique()[:4])].reset_index(drop=True)
    order = pd.Series(fast._turns(edits, 0), index=pd.MultiIndex.from_frame(edits[["cell", "token"]]))
    again = pd.Series(fast._turns(fewer, 0), index=pd.MultiIndex.from_frame(fewer[["cell", "token"]]))
    pd.testing.assert_series_equal(order.loc[again.index], again)
    assert order.groupby("token").apply(lambda turns: sorted(turns) == list(range(len(turns)))).all()
