"""Plan, run, collect: against a slow loop, killed and resumed."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.tokens import Tokens
from perturbloop.errors import StoreError
from perturbloop.perturb import collect
from perturbloop.perturb.collect import run_plan, shard_path
from perturbloop.perturb.exact import exact_shifts
from perturbloop.perturb.plan import plan
from perturbloop.schema import PerturbConfig


def test_the_exact_engine_equals_a_loop_over_single_cells(model, tokens, readout):
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=3)).edits
    ours = exact_shifts(model, readout, tokens, edits, batch_tokens=20)

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
    assert np.isfinite(exact_shifts(model, readout, cells, edits.edits)["logit_shift"]).all()


def test_a_killed_run_resumes_and_keeps_its_shards(model, tokens, readout, tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "SHARD_EDITS", 10)
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=4))
    whole = run_plan(model, readout, tokens, edits, tmp_path / "whole")
    folder = tmp_path / "killed"

    class Killed(BaseException):
        pass

    def die(done, total):
        if done > 15:
            raise Killed

    with pytest.raises(Killed):
        run_plan(model, readout, tokens, edits, folder, on_edits=die)
    first = shard_path(folder, 0).stat().st_mtime_ns
    resumed = run_plan(model, readout, tokens, edits, folder)
    pd.testing.assert_frame_equal(whole, resumed)
    assert shard_path(folder, 0).stat().st_mtime_ns == first


def test_a_missing_shard_is_refused_by_the_names_of_its_genes(model, tokens, readout, tmp_path):
    edits = plan(tokens, model.vocabulary, PerturbConfig(cells_per_gene=1))
    run_plan(model, readout, tokens, edits, tmp_path)
    shard_path(tmp_path, 0).unlink()
    with pytest.raises(StoreError, match=r"is needed for 'ENSG.*run `perturb` again"):
        collect.collect(edits, tmp_path, model)
