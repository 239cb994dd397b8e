"""The front door: a whole campaign from Python, on AnnData objects."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

import perturbloop as pl
from perturbloop.data import toy
from perturbloop.data.cells import read_cells
from perturbloop.data.encoding import vocabulary_of
from perturbloop.errors import InputError
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig

SMALL = {"kinds": ("delete",), "cells_per_gene": 5, "full_cells_per_gene": 1, "reference_genes": 20}
SMALL |= {"bootstrap": 20, "epochs": 1}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    toy.write(toy.world(1, n_cells=160, n_corpus=120), folder, k=12, n_cells=16)
    corpus, _ = read_cells(folder / "corpus.h5ad")
    words = vocabulary_of(corpus, max_length=64)
    pretrain([corpus], words, folder / "model", PretrainConfig(layers=1, hidden=16, max_length=64, steps=4))
    return folder


@pytest.fixture(scope="module")
def study(world, tmp_path_factory):
    """As in the README: create, play, record, play."""
    adata, perturbed = read_h5ad(world / "cells.h5ad"), read_h5ad(world / "perturbed.h5ad")
    before = [(one.X.copy(), one.obs.copy(), dict(one.uns)) for one in (adata, perturbed)]
    study = pl.Campaign.create(
        tmp_path_factory.mktemp("studies") / "study",
        adata,
        state="state",
        start="stimulated",
        goal="resting",
        donor="donor_id",
        model=world / "model",
        **SMALL,
    )
    study.play()
    recorded = study.record(perturbed, target="target", control=toy.CONTROL, modality="crispri")
    assert f"{recorded.n_cells:,} of {recorded.n_cells_read:,} cells" in repr(recorded)
    study.play()
    for one, (counts, obs, uns) in zip((adata, perturbed), before, strict=True):
        assert abs(one.X - counts).sum() == 0
        pd.testing.assert_frame_equal(one.obs, obs)
        assert dict(one.uns) == uns
    return study


def test_the_answer_is_a_table_and_shows_itself(study):
    scored = study.ranking[study.ranking["status"] == "scored"]
    assert scored["benefit"].is_monotonic_decreasing
    assert list(study.ranking.columns[:5]) == ["gene_id", "gene_name", "kind", "action", "benefit"]
    assert {"frozen", "posterior", "de"} <= set(study.scoreboard["method"])
    assert "frozen-closed" not in set(study.scoreboard["method"])  # one hit cannot tell what it gains
    assert "Perturbed cells trained no model" in study.report().page
    shown = study._repr_html_()
    assert "2 rounds finished" in shown
    assert "Next: " in shown
    assert str(study.folder) in repr(study)
    assert "<iframe srcdoc=" in study.report()._repr_html_()
    assert len(str(study.report()).splitlines()) <= 40
    assert study.verdict() in repr(study)
    assert repr(study.status()) == "\n".join(study.status().lines())


def test_every_command_is_a_method_of_the_same_name(study):
    from perturbloop.cli import app

    commands = {entry.name or entry.callback.__name__ for entry in app.registered_commands}
    outside = {"serve", "init", "backtest", "demo", "pretrain", "knowledge", "models", "inspect", "store"}
    assert commands - outside <= {name for name in dir(pl.Campaign) if not name.startswith("_")}
    assert outside - {"init", "models", "serve", "store"} <= set(pl.__all__)


def test_collections_are_listed_added_and_removed_from_python(tmp_path, monkeypatch):
    monkeypatch.setenv("PERTURBLOOP_HOME", str(tmp_path))
    (tmp_path / "own.gmt").write_text("TCR\t\tCD3E\tZAP70\tLCP2\n")
    before = pl.knowledge()
    after = pl.knowledge("add", "own", tmp_path / "own.gmt", date="2020-01-01")
    assert set(after["name"]) - set(before["name"]) == {"own"}
    assert after.set_index("name").loc["reactome", "licence"] == "CC0 1.0"
    pd.testing.assert_frame_equal(pl.knowledge("remove", "own"), before)


def test_a_campaign_is_opened_again_and_asked(study):
    again = pl.Campaign(study.folder)
    assert again.status().rounds == (0, 1)
    name = again.ranking["gene_name"].iloc[0]
    assert again.gene(name).ranking
    assert repr(again.gene(name)).splitlines()[0].startswith(name)
    taken = len(again.trials)
    batch = again.propose(3, anyway=True, goal="both")
    assert len(batch) == 3
    assert any("Expected hits" in line for line in batch.attrs["lines"])
    assert len(again.trials) == taken
    assert again.check()
    assert again.perturb(dry_run=True)


def test_a_table_by_name_and_a_name_that_is_none(study):
    assert len(study.table("effects"))
    with pytest.raises(InputError, match=r"A round has the tables.*Did you mean 'ranking'"):
        study.table("rankin")


def test_a_figure_by_name_shows_itself(study):
    assert "<svg" in study.plot("effects")._repr_svg_()
    with pytest.raises(InputError, match=r"has the figures .*Did you mean 'batch'"):
        study.plot("bach")


def test_a_refused_object_leaves_nothing_behind(world, tmp_path):
    adata = read_h5ad(world / "cells.h5ad")
    options = {"state": "state", "start": "stimulated", "goal": "restin", "model": world / "model"}
    with pytest.raises(InputError, match="resting"):
        pl.Campaign.create(tmp_path / "study", adata, **options)
    assert not (tmp_path / "study").exists()
    with pytest.raises(InputError, match=r"'kind' came. Did you mean 'kinds'"):
        pl.Campaign.create(tmp_path / "study", adata, **options, kind="delete")
    assert not (tmp_path / "study").exists()


def test_values_that_are_no_counts_are_refused_as_in_a_file(world, tmp_path):
    adata = read_h5ad(world / "cells.h5ad")
    adata.X = np.log1p(adata.X.toarray())
    with pytest.raises(InputError, match="raw counts"):
        pl.Campaign.create(
            tmp_path / "study",
            adata,
            state="state",
            start="stimulated",
            goal="resting",
            model=world / "model",
        )


def loaded_by(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_reading_a_campaign_loads_no_torch(study):
    asked = (
        f"import perturbloop as pl; c = pl.Campaign({str(study.folder)!r}); c.ranking; c.report(); c.status(); "
        "c.propose(anyway=True); c.perturb(dry_run=True)"
    )
    assert not {"torch", "transformers"} & loaded_by(asked)


def test_importing_perturbloop_loads_nothing_heavy():
    assert not {"torch", "pandas", "anndata", "matplotlib", "typer"} & loaded_by("import perturbloop")


def test_a_batch_is_taken_told_and_counted(study, tmp_path):
    out = tmp_path / "plate.csv"
    batch = study.propose(3, anyway=True, out=out)
    assert pd.read_csv(out)["role"].value_counts()["target"] == 3
    assert study.trials["gene_id"].tolist() == batch["gene_id"].tolist()
    study.mark("running", [batch["gene_name"][0]])
    told = study.tell({batch["gene_name"][0]: True, batch["gene_id"][1]: False})
    assert told["hit"].tolist() == [True, False]
    assert study.trials["status"].tolist() == ["done", "done", "proposed"]
    study.mark("abandoned")
    assert study.trials["status"].tolist() == ["done", "done", "abandoned"]
    assert any("were predicted" in line for line in study.propose(2, anyway=True).attrs["lines"])
