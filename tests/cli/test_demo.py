import shlex

import anndata
import pandas as pd
import pytest

from perturbloop.cli.app import app
from perturbloop.data.toy_disease import disease_world
from perturbloop.errors import InputError
from perturbloop.example import disease


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Folder, tree and lines of a small case without a model."""
    world = disease_world(1, n_donors=2, n_cells=10, n_well=1)
    folder = tmp_path_factory.mktemp("case")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disease, "disease_world", lambda seed: world)
        patch.setattr(disease, "pretrained", lambda folder, *, seed: folder / "model")
        patch.setattr(type(world), "corpus", lambda self: self.cells)
        return folder, *disease.disease_case(folder, seed=1)


def test_the_files_of_the_worked_case_hold_no_answer_outside_of_truth(case):
    folder, _, lines = case
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    screen = anndata.read_h5ad(folder / "screen.h5ad")
    assert list(cells.obs) == ["genotype", "donor_id", "cell_type"]
    assert not {"edited", "state"} & set(screen.obs)
    assert set(pd.read_csv(folder / "truth" / "edited.csv")["cell"]) == {
        *cells.obs_names,
        *screen.obs_names,
    }
    assert len(pd.read_csv(folder / "targets.csv")) == 32
    assert {path.name for path in (folder).iterdir()} | {"model"} == set(disease.FILES)
    assert "simulated" in " ".join(lines)


def test_the_commands_of_the_worked_case_are_those_that_there_are(case):
    _, tree, _ = case
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    told = [shlex.split(line)[1] for line in tree["commands"]]
    assert told[:3] == ["init", "check", "play"]
    assert set(told) - {"targets"} <= known


def test_files_of_the_user_are_not_replaced(tmp_path):
    (tmp_path / "cells.h5ad").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"holds 'cells.h5ad'. Name another folder"):
        disease.disease_case(tmp_path, seed=1)
    assert (tmp_path / "cells.h5ad").read_bytes() == b"mine"
