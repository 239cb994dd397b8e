"""Encodings that are kept for other heads."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.errors import StoreError
from perturbloop.perturb import kept as module
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.kept import Kept, kept_in
from perturbloop.perturb.plan import plan
from perturbloop.perturb.probe import PROBED_PASSES, SAMPLED_EDITS, noise_floor, seconds_per_flop
from perturbloop.schema import PerturbConfig


@pytest.fixture
def edits(model, tokens):
    return plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=3))


@pytest.fixture
def counted(monkeypatch):
    """Rows that an engine encodes."""
    rows, work = [], ExactEngine._pooled

    def pooled(engine, hidden):
        rows.append(len(hidden))
        return work(engine, hidden)

    monkeypatch.setattr(ExactEngine, "_pooled", pooled)
    return rows


def test_another_head_reads_what_one_has_made_and_sees_what_it_would_make_itself(
    model, tokens, readout, edits, tmp_path, counted
):
    plain = ExactEngine(model, readout).shifts(tokens, edits)
    counted.clear()
    first, done = ExactEngine(model, readout, kept=Kept(tmp_path)), []
    pd.testing.assert_frame_equal(first.shifts(tokens, edits), plain, rtol=0, atol=1e-12)
    assert sum(counted) == len(edits.edits) + edits.edits["cell"].nunique()
    other = type(readout)(-readout.direction_d, 2 * readout.weight_d, readout.bias - 1)
    own = ExactEngine(model, other).shifts(tokens, edits)
    counted.clear()
    again = ExactEngine(model, other, kept=Kept(tmp_path)).shifts(tokens, edits, on_rows=done.append)
    pd.testing.assert_frame_equal(again, own, rtol=0, atol=1e-6)
    assert counted == []
    assert sum(done) == len(edits.edits)


def test_only_what_is_missing_is_encoded(model, tokens, readout, tmp_path, counted):
    few, more = (plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=number)) for number in (1, 3))
    ExactEngine(model, readout, kept=Kept(tmp_path)).shifts(tokens, few)
    counted.clear()
    engine, done = ExactEngine(model, readout, kept=Kept(tmp_path)), []
    found = engine.shifts(tokens, more, on_rows=done.append)
    columns = ["cell", "kind", "token"]
    new = (
        more.edits.merge(few.edits[columns], on=columns, how="left", indicator=True)["_merge"]
        .eq("left_only")
        .sum()
    )
    cells = more.edits["cell"].nunique() - few.edits["cell"].nunique()
    assert sum(counted) == new + cells < len(more.edits)
    assert sum(done) == len(more.edits)
    pd.testing.assert_frame_equal(found, ExactEngine(model, readout).shifts(tokens, more), rtol=0, atol=1e-6)


def test_a_file_that_cannot_be_opened_is_made_anew_and_a_damaged_one_is_named(
    model, tokens, readout, edits, tmp_path, counted
):
    first = ExactEngine(model, readout, kept=Kept(tmp_path)).shifts(tokens, edits)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    again = ExactEngine(model, readout, kept=Kept(tmp_path)).shifts(tokens, edits)
    pd.testing.assert_frame_equal(again, first)
    whole, kept = next(tmp_path.glob("*.npz")), Kept(tmp_path)
    content = bytearray(whole.read_bytes())
    content[-400] ^= 1
    whole.write_bytes(content)
    engine = ExactEngine(model, readout, kept=kept)
    with pytest.raises(StoreError, match=r"npz.*Delete"):
        engine.shifts(tokens, edits)


def test_other_arithmetic_policies_and_cells_are_kept_apart_and_too_much_is_not_kept(
    model, tokens, edits, tmp_path, monkeypatch
):
    other = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=3, after_delete="refill"))
    places = [
        kept_in(tmp_path, one, model, cells=cells, precision=precision).folder
        for one, cells, precision in (
            (edits, "a", "float32"),
            (other, "a", "float32"),
            (edits, "b", "float32"),
            (edits, "a", "mixed"),
        )
    ]
    assert len(set(places)) == 4
    monkeypatch.setattr(module, "MOST_BYTES", 4 * model.dim * len(edits.edits) - 1)
    assert kept_in(tmp_path, edits, model, cells="a", precision="float32") is None


def test_an_engine_that_travels_leaves_what_is_kept_behind(model, readout, tmp_path):
    assert np.array_equal(Kept(tmp_path).key_k, [])
    assert ExactEngine(model, readout, kept=Kept(tmp_path)).__getstate__()["kept"] is None


def test_speed_and_noise_are_measured_on_what_is_computed_now(
    model, tokens, readout, edits, tmp_path, counted
):
    engine = ExactEngine(model, readout, kept=Kept(tmp_path))
    engine.shifts(tokens, edits)
    counted.clear()
    seconds_per_flop(engine, tokens)
    assert sum(counted) == 1 + PROBED_PASSES
    counted.clear()
    noise_floor(engine, tokens, edits)
    assert sum(counted) > SAMPLED_EDITS
    assert engine.kept is not None
