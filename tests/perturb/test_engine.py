"""Plan, run, collect: against a slow loop, killed and resumed."""

import numpy as np
import pandas as pd
import pytest
import torch

from perturbloop.data.tokens import Tokens
from perturbloop.errors import StoreError
from perturbloop.perturb import collect
from perturbloop.perturb.collect import run_plan, shard_path
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.plan import Plan, plan
from perturbloop.schema import PerturbConfig


def test_the_exact_engine_equals_a_loop_over_single_cells(model, tokens, readout):
    planned = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=3))
    edits = planned.edits
    ours = ExactEngine(model, readout, batch_tokens=20).shifts(tokens, planned)

    def embedded(row):
        return next(model.hidden([np.asarray(row)])).mean(axis=0)

    for row in pd.concat([edits, ours.drop(columns=["cell", "kind", "position"])], axis=1).itertuples():
        before = tokens.row(row.cell).tolist()
        after = [token for token in before if token != row.token]
        if row.kind == "overexpress":
            after = [row.token, *after]
        change = embedded(after) @ readout.weight_d - embedded(before) @ readout.weight_d
        assert row.logit_shift == pytest.approx(change, abs=1e-5)

        def cosine(emb_d):
            return emb_d @ readout.goal_d / np.linalg.norm(emb_d) / np.linalg.norm(readout.goal_d)

        assert row.shift_to_goal == pytest.approx(
            cosine(embedded(after)) - cosine(embedded(before)), abs=1e-6
        )


def test_a_gene_is_edited_in_at_most_the_asked_number_of_cells(model, tokens):
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=2)).edits
    assert edits.groupby(["kind", "token"]).size().max() == 2
    assert (edits.query("kind == 'overexpress'")["position"] > 0).all()


def test_special_tokens_are_never_edited(model):
    cells = Tokens.of_rows([[20, 5, 6, 21]], has_cls=True)
    edits = plan(cells, model.vocabulary, PerturbConfig(kinds=("delete",))).edits
    assert edits["token"].tolist() == [5, 6]


def test_a_cell_of_one_gene_is_not_emptied(model, readout):
    cells = Tokens.of_rows([[5], [5, 6]])
    edits = plan(cells, model.vocabulary, PerturbConfig())
    assert edits.edits.query("kind == 'delete'")["cell"].tolist() == [1, 1]
    assert np.isfinite(ExactEngine(model, readout).shifts(cells, edits)["logit_shift"]).all()


def short_of_memory(monkeypatch, most, *, method="_encode_tokens", error=None):
    """Let the engine run out of memory beyond `most` rows; returns the sizes of the batches that went through."""
    work, sizes = getattr(ExactEngine, method), []

    def fail(engine, batch):
        if len(batch) > most:
            raise error or torch.OutOfMemoryError
        sizes.append(len(batch))
        return work(engine, batch)

    monkeypatch.setattr(ExactEngine, method, fail)
    return sizes


@pytest.mark.parametrize(
    "error",
    [None, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")],
)
def test_a_batch_too_large_for_the_memory_is_halved_and_gives_the_same_table(
    model, tokens, readout, monkeypatch, error
):
    edits = plan(tokens, model.vocabulary, PerturbConfig())
    whole = ExactEngine(model, readout).shifts(tokens, edits)
    sizes = short_of_memory(monkeypatch, 3, error=error)
    engine, done = ExactEngine(model, readout), []
    found = engine.shifts(tokens, edits, on_rows=done.append)
    pd.testing.assert_frame_equal(found, whole, rtol=0, atol=1e-6)
    assert max(sizes) in (2, 3)
    assert sum(done) == len(edits.edits)
    assert engine.batch_tokens in [16384 // 2**halvings for halvings in range(15)]
    assert engine.batch_tokens < 16384


def test_edits_that_share_a_layer_give_the_same_with_little_memory(model, tokens, readout, monkeypatch):
    row, places, done = tokens.row(2), np.array([7, 0, 11, 3, 4, 8]), []
    whole = ExactEngine(model, readout).read_single(row, "delete", places, edge=0)
    sizes = short_of_memory(monkeypatch, 2, method="_pooled")
    found = ExactEngine(model, readout).read_single(row, "delete", places, edge=0, on_rows=done.append)
    np.testing.assert_allclose(found, whole, atol=1e-6)
    assert sum(sizes) == sum(done) == 6


def test_one_cell_too_large_for_the_memory_and_other_failures_are_raised(model, tokens, readout, monkeypatch):
    edits = plan(tokens, model.vocabulary, PerturbConfig())
    with monkeypatch.context() as patch:
        short_of_memory(patch, 0)
        with pytest.raises(torch.OutOfMemoryError):
            ExactEngine(model, readout).shifts(tokens, edits)
    sizes = short_of_memory(monkeypatch, 0, error=RuntimeError("shapes cannot be multiplied"))
    engine = ExactEngine(model, readout)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        engine.shifts(tokens, edits)
    assert not sizes
    assert engine.batch_tokens == 16384


def planned(tokens, model, kind, **options):
    """Cells and ranks in which each gene is edited, without a limit on cells."""
    config = PerturbConfig(kinds=(kind,), cells_per_gene=99, **options)
    edits = plan(tokens, model.vocabulary, config).edits
    assert (edits["kind"] == kind).all()
    return set(zip(edits["cell"], edits["token"], edits["position"], strict=True))


@pytest.mark.parametrize("dose", [0.0, 0.2, 1.0])
def test_graded_edits_are_planned_where_they_move_a_gene(model, tokens, dose):
    rows = [tokens.row(cell).tolist() for cell in range(tokens.n_cells)]
    places = [(cell, token, rank) for cell, row in enumerate(rows) for rank, token in enumerate(row)]
    lowered = {
        (cell, token, rank)
        for cell, token, rank in places
        if dose * (len(rows[cell]) - 1 - rank)
        > 0.5  # moved by more than half a rank; no dose here gives a half
    }
    raised = {(cell, token, rank) for cell, token, rank in places if dose * rank > 0.5}
    assert planned(tokens, model, "inhibit", dose=dose) == lowered
    assert planned(tokens, model, "activate", dose=dose) == raised
    if dose == 1:
        last = {(cell, row[-1], len(row) - 1) for cell, row in enumerate(rows)}
        first = {(cell, row[0], 0) for cell, row in enumerate(rows)}
        assert set(places) - lowered == last
        assert set(places) - raised == first
    assert (dose == 0) == (not lowered) == (not raised)


@pytest.mark.parametrize("kind", ["overexpress", "activate"])
def test_under_insert_raised_genes_are_planned_in_all_cells(model, tokens, kind):
    found = planned(tokens, model, kind, not_expressed="insert")
    rows = [tokens.row(cell).tolist() for cell in range(tokens.n_cells)]
    expected = {
        (cell, token, row.index(token) if token in row else -1)
        for cell, row in enumerate(rows)
        for token in range(2, 14)
        if row[0] != token
    }
    assert found == expected
    for lowering in ("delete", "inhibit"):
        assert planned(tokens, model, lowering, not_expressed="insert") == planned(tokens, model, lowering)
    skipped = planned(tokens, model, kind)
    assert skipped == {place for place in expected if place[2] >= 0}


def test_the_draw_is_bounded_under_insert_and_depends_on_seed_and_gene_only(model, tokens):
    options = {"kinds": ("overexpress",), "not_expressed": "insert", "cells_per_gene": 3}
    every = plan(tokens, model.vocabulary, PerturbConfig(**options)).edits
    assert every.groupby("token").size().tolist() == [3] * 12
    gene = model.vocabulary.gene_of_token[7]
    one = plan(tokens, model.vocabulary, PerturbConfig(**options), gene_ids=[gene]).edits
    pd.testing.assert_frame_equal(one, every.query("token == 7").reset_index(drop=True))
    draws = {
        tuple(
            plan(tokens, model.vocabulary, PerturbConfig(**options, seed=seed), gene_ids=[gene]).edits["cell"]
        )
        for seed in range(8)
    }
    assert len(draws) > 1


@pytest.mark.parametrize("dose", [0.04, 0.5, 1.0])
def test_every_planned_edit_can_be_made_in_cells_at_the_limit(model, tokens, dose):
    full = Tokens.of_rows([tokens.row(cell)[:3] for cell in range(tokens.n_cells)])
    kinds = ("delete", "overexpress", "inhibit", "activate")
    config = PerturbConfig(kinds=kinds, dose=dose, not_expressed="insert", after_delete="refill")
    edits = plan(full, model.vocabulary, config)
    assert isinstance(edits, Plan)
    made = [
        edits.row(full, edit.cell, edit.kind, edit.token, 3) for edit in edits.edits.itertuples(index=False)
    ]
    assert len(made) == len(edits.edits) > 0
    assert {len(row) for row in made} == {2, 3}


def test_an_edit_that_is_not_in_the_plan_is_an_error_of_the_program(model, tokens):
    first = int(tokens.row(0)[0])
    with pytest.raises(ValueError, match=f"overexpress of token {first} changes nothing in cell 0"):
        plan(tokens, model.vocabulary, PerturbConfig()).row(tokens, 0, "overexpress", first, 16)


def test_a_killed_run_resumes_and_keeps_its_shards(model, tokens, readout, tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "SHARD_EDITS", 10)
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=4))
    whole = run_plan(ExactEngine(model, readout), tokens, edits, tmp_path / "whole")
    folder = tmp_path / "killed"

    class Killed(BaseException):
        pass

    def die(done, total):
        if done > 30:
            raise Killed

    with pytest.raises(Killed):
        run_plan(ExactEngine(model, readout), tokens, edits, folder, on_edits=die)
    first = shard_path(folder, 0).stat().st_mtime_ns
    resumed = run_plan(ExactEngine(model, readout), tokens, edits, folder)
    pd.testing.assert_frame_equal(whole, resumed)
    assert shard_path(folder, 0).stat().st_mtime_ns == first


def test_a_missing_shard_is_refused_by_the_names_of_its_genes(model, tokens, readout, tmp_path):
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=1))
    run_plan(ExactEngine(model, readout), tokens, edits, tmp_path)
    shard_path(tmp_path, 0).unlink()
    with pytest.raises(StoreError, match=r"it is gone. It holds edits of 'ENSG.*run the same command"):
        collect.collect(edits, tmp_path, model)
