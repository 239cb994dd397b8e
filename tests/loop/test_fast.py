"""A campaign by the fast engine, the cost of a round beforehand, and the published tool's table."""

import json
import shlex

import pandas as pd
import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.errors import InputError
from perturbloop.loop.campaign import dry_run, init, play


def test_a_campaign_by_the_fast_engine_says_what_each_number_rests_on(made, tmp_path):
    init(tmp_path / "fast", made.config(engine="fast", top=10, screen_cells=16))
    played = play(tmp_path / "fast")
    assert any("exact passes for" in line for line in played.lines)
    folder = tmp_path / "fast" / "rounds" / "000"
    ranking = pd.read_parquet(folder / "ranking.parquet").query("status == 'scored'")
    assert set(ranking["basis"]) <= {"exact", "screen+own", "screen+pooled"}
    best = ranking.head(10)
    assert (best["n_exact"] >= best["n_cells"].clip(upper=2)).all()
    assert (ranking["n_exact"] <= ranking["n_cells"]).all()
    assert len(pd.read_parquet(folder / "estimates.parquet")) == len(ranking)
    assert play(tmp_path / "fast").done == ()


def test_a_dry_run_costs_what_the_run_then_makes_and_writes_nothing(made, tmp_path):
    init(tmp_path / "dry", made.config())
    before = sorted(path.name for path in (tmp_path / "dry").rglob("*"))
    costs = dry_run(tmp_path / "dry")
    assert set(costs) == {"frozen", "linear"}
    assert sorted(path.name for path in (tmp_path / "dry").rglob("*")) == before
    done = CliRunner().invoke(app, shlex.split(f"perturb {tmp_path / 'dry'} --dry-run --json"))
    assert json.loads(done.stdout)["frozen"]["passes"] == costs["frozen"].passes
    play(tmp_path / "dry", until="perturb")
    shards = (tmp_path / "dry" / "shifts").rglob("part-*.parquet")
    assert sum(len(pd.read_parquet(path)) for path in shards) == sum(cost.passes for cost in costs.values())


def test_an_exact_round_has_the_published_tools_table(campaign):
    table = pd.read_csv(campaign.folder / "rounds" / "000" / "geneformer_delete.csv", index_col=0)
    ranking = pd.read_parquet(campaign.folder / "rounds" / "000" / "ranking.parquet").set_index("gene_id")
    both = table.set_index("Ensembl_ID")["Shift_to_goal_end"]
    assert len(both)
    pd.testing.assert_series_equal(
        both, ranking["shift_to_goal"].reindex(both.index), check_names=False, rtol=1e-9
    )


def test_graded_edits_are_refused_by_the_fast_engine(made):
    with pytest.raises(InputError, match=r"fast engine screens.*engine = \"exact\""):
        made.config(engine="fast", kinds=("inhibit",))


def test_a_campaign_of_graded_edits_is_played(made, tmp_path):
    init(tmp_path / "graded", made.config(kinds=("inhibit", "activate"), dose=0.5, cells_per_gene=1))
    play(tmp_path / "graded")
    ranking = pd.read_parquet(tmp_path / "graded" / "rounds" / "000" / "ranking.parquet")
    assert set(ranking["action"]) == {"inhibit", "activate"}
    assert (ranking["status"] == "scored").any()
