"""The page on adding a family is done: its file is named by an entry point, and a campaign is played on it."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from perturbloop import models
from perturbloop.data import toy
from perturbloop.errors import ModelError
from perturbloop.loop.campaign import init, play
from perturbloop.loop.combine import combine
from perturbloop.models import registry
from perturbloop.schema import CampaignConfig

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "add_a_model.md"


@pytest.fixture
def family(tmp_path, monkeypatch):
    """The file of the page, named by an entry point."""
    code = re.search(r"<!-- the test runs this file -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "projection.py"
    path.write_text(code[1])
    spec = importlib.util.spec_from_file_location("projection", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [SimpleNamespace(load=lambda: module.PROJECTION)]
    )
    return module


@pytest.fixture
def tree(family, tmp_path):
    """Options of a campaign on simulated cells, with a small model of that family."""
    world = toy.world(1, n_cells=120, n_corpus=10)
    world.cells.write_h5ad(tmp_path / "cells.h5ad")
    genes = world.genes.set_index("gene_id")["gene_name"][:60]
    vectors = np.random.default_rng(0).normal(size=(len(genes), 8))
    folder = tmp_path / "model"
    folder.mkdir()
    table = pd.DataFrame(vectors, index=genes.index).add_prefix("d").assign(symbol=genes)
    table.to_parquet(folder / family.FILE)
    family.Projection(folder).save(tmp_path / "again", {})
    assert models.describe(tmp_path / "again").digest == models.load(folder).digest
    cells = {
        "path": str(tmp_path / "cells.h5ad"),
        "state_column": "state",
        "start": "stimulated",
        "goal": "resting",
        "donor_column": "donor_id",
    }
    return {
        "cells": cells,
        "train": {"model": str(folder)},
        "perturb": {"kinds": ("delete", "overexpress"), "cells_per_gene": 2},
    }


def test_a_campaign_edits_values_with_the_model_of_the_page(tree, tmp_path):
    inputs = init(tmp_path / "study", CampaignConfig.from_dict(tree))
    assert any("reads a value for each gene and is not trained further" in one for one in inputs.cautions())
    play(tmp_path / "study", until="perturb")
    frozen = next((tmp_path / "study" / "shifts").glob(f"{inputs.view.digest}-*"))
    shifts = pd.concat([pd.read_parquet(path) for path in frozen.rglob("part-*.parquet")])
    assert set(shifts["kind"]) == {"delete", "overexpress"}
    assert shifts["gene_id"].nunique() > 50
    assert shifts["logit_shift"].abs().gt(0).mean() > 0.9
    with pytest.raises(ModelError, match="need a model that reads tokens; `model` reads a value for each"):
        combine(tmp_path / "study", list(shifts["gene_id"].unique()[:2]))


@pytest.mark.parametrize(("option", "value"), [("engine", "fast"), ("after_delete", "refill")])
def test_options_that_values_have_no_meaning_for_are_refused(tree, tmp_path, option, value):
    tree["perturb"][option] = value
    with pytest.raises(ModelError, match=f"needs `{option}` = '.*'{value}' came. Leave it out"):
        init(tmp_path / "study", CampaignConfig.from_dict(tree))
