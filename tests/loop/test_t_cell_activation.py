"""The page on the published recipe is done, on generated stand-ins with its files and columns: from files to the four figures."""

import re
import shlex
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.data import toy

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "t_cell_activation.md"
STATE = {"stimulated": "cd3cd28", "resting": "unstim"}
SMALL = "--epochs 1 --warm-up-steps 2 --de rank-sum --cells-per-gene 1 --full-cells-per-gene 1 --reference-genes 5 --bootstrap 5 --max-cells 30 --knowledge-leave-out all"
FIGURES = ["ppv", "npv", "sensitivity", "specificity", "prevalence"]


def lines():
    """Commands of the page, in order; fetching is not done."""
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    return [shlex.split(line)[1:] for line in text.splitlines() if line and " models fetch " not in line]


def run(*words):
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return " ".join(done.stdout.split()) if "--csv" not in words else done.stdout


def write_files(made, folder):
    """The files of the page."""
    cells = anndata.read_h5ad(made.data / "cells.h5ad")[:, ::3].copy()
    obs = cells.obs
    cells.obs = pd.DataFrame(
        {
            "IntegratedStim": obs["state"].astype(str).map(STATE),
            "IntegratedCellType": "CD4",
            "study": np.resize(["kartha", "cano-gamez", "lawlor", "szabo"], len(obs)),
            "donor": obs["donor_id"].astype(str),
        }
    )
    cells.write_h5ad(folder / "tcells_cd4.h5ad")
    world, truth = toy.world(1, n_cells=64, n_corpus=16), pd.read_csv(made.data / "truth.csv")
    for modality, kind in (("crispri", "delete"), ("crispra", "overexpress")):
        rng = np.random.default_rng(0)
        parts = [
            toy.perturb(
                world,
                cells.var_names[:6],
                modality=modality,
                state=state,
                n_cells=10,
                n_controls=20,
                rng=rng,
            )
            for state in STATE
        ]
        perturbed = anndata.concat(parts, merge="same", keys=list(STATE), index_unique="-")[
            :, cells.var_names
        ].copy()
        perturbed.obs["target"] = perturbed.obs["target"].astype(str).replace(toy.CONTROL, "NO-TARGET")
        perturbed.obs["condition"] = perturbed.obs["condition"].astype(str).map(STATE)
        perturbed.obs["donor"] = perturbed.obs["replicate"]
        perturbed.write_h5ad(folder / f"perturbseq_{modality}.h5ad")
        rows = truth[
            (truth["start"] == "stimulated")
            & (truth["kind"] == kind)
            & truth["gene_id"].isin(cells.var_names)
        ]
        for readout in ("il2", "ifng"):
            score = -rows["effect"] + rng.normal(
                0, 0.2 * rows["effect"].std(), len(rows)
            )  # toward rest: less cytokine
            fdr = np.where(score.abs().rank(ascending=False) <= 20, 0.01, 0.5)
            table = pd.DataFrame({"Gene": rows["gene_name"], "LFC": score, "FDR": fdr})
            table.to_csv(folder / f"{readout}_{modality}.csv", index=False)


@pytest.mark.long
def test_every_command_of_the_page_from_files_to_the_four_figures(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(made, tmp_path)
    first, *others = lines()
    said = run(*first, "--model", made.model, *SMALL.split())
    assert "Preset pershad2025" in said
    assert "cells of one donor train the classifier and check it" in said
    *recorded, full, csv = others
    for words in recorded:
        run(*words)
    shown = run(*full)
    assert "Each screen by itself, and all together".upper() in shown
    assert "As published, a random fifth of the cells of each state is held out" in shown
    board = pd.read_csv(pd.io.common.StringIO(run(*csv)))
    assert {"full-open", "full-closed", "full-shuffled"} <= set(board["method"])
    effects = pd.read_parquet("tcells/rounds/000/effects.parquet")
    for kind, modality in (("delete", "crispri"), ("overexpress", "crispra")):
        tables = {readout: pd.read_csv(f"{readout}_{modality}.csv") for readout in ("il2", "ifng")}
        hits = {name: set(table.query("FDR < 0.05 and LFC < 0")["Gene"]) for name, table in tables.items()}
        arm = modality.replace("crispr", "CRISPR")
        asked = {f"screen IL-2 {arm}": hits["il2"], f"screen IFN-γ {arm}": hits["ifng"]}
        asked["any screen"] = hits["il2"] | hits["ifng"]
        of_kind = board[(board["kind"] == kind) & board["declared"] & (board["denominator"] == "all")]
        assert set(of_kind["targets"]) == {"held-out", *asked}
        held_out = effects[
            (effects["fold"] == 0) & effects["screen"].ne("") & (effects["modality"] == modality)
        ]
        genes = set(held_out["gene_name"])
        for targets, found in asked.items():
            rows = of_kind[(of_kind["targets"] == targets) & (of_kind["method"] == "full-closed")]
            figures = rows.set_index("metric")["value"]
            assert set(FIGURES) <= set(figures.index)
            assert figures["prevalence"] == pytest.approx(len(found & genes) / len(genes))
