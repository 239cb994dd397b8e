"""Which gene each cell was hit at, as cellranger, scPerturb, pertpy, mixscape and CELLxGENE write it."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.genes import GeneNames
from perturbloop.data.perturbed import read_perturbed
from perturbloop.errors import InputError, StateError
from perturbloop.schema import PerturbedConfig

SYMBOLS = ["STAT1", "JAK1", "NKX2-1", "HLA-A", *(f"GENE{place}" for place in range(26))]
NAMES = GeneNames.of({name: f"ENSG{place:011d}" for place, name in enumerate(SYMBOLS)})
N = 12
"""Cells of each label."""


@pytest.fixture
def read(tmp_path, rng):
    """Write cells with these labels, twelve of each, and read them again."""

    def read(labels, *, uns=None, column="perturbation", **options):
        obs = pd.DataFrame({name: np.repeat(values, N) for name, values in {column: labels}.items()})
        for name in [name for name in options if name.startswith("obs_")]:
            obs[name.removeprefix("obs_")] = np.repeat(options.pop(name), N)
        obs.index = [f"AAAC{place:04d}-1" for place in range(len(obs))]
        var = pd.DataFrame({"symbol": SYMBOLS}, index=[f"ENSG{place:011d}" for place in range(30)])
        counts = sparse.csr_matrix(rng.poisson(2.0, size=(len(obs), 30)).astype(np.float32))
        ad.AnnData(counts, obs=obs, var=var, uns=uns or {}).write_h5ad(tmp_path / "cells.h5ad")
        plain = {"path": str(tmp_path / "cells.h5ad"), "control": "control", "modality": "crispr_ko"}
        config = PerturbedConfig(**plain | {"target_column": column} | options)
        return read_perturbed(config, names=NAMES)

    return read


def test_a_gene_beside_a_control_is_that_gene_and_two_genes_are_dropped_and_counted(read):
    labels = ["STAT1+ctrl", "ctrl+STAT1", "ctrl", "STAT1+JAK1", "STAT1_JAK1", "HLA-A", "NKX2-1", "None"]
    perturbed, report = read(labels, control="ctrl")
    assert report["targets"] == {"HLA-A": N, "NKX2-1": N, "STAT1": 2 * N}
    assert report["dropped"] == {"no target": N, "guides of several genes": 2 * N}
    assert perturbed.control == "ctrl"


def test_two_genes_are_kept_as_a_combination_where_that_is_asked_for(read):
    _, report = read(["JAK1+STAT1", "STAT1_JAK1", "STAT1", "ctrl"], control="ctrl", several="combine")
    assert report["targets"] == {"JAK1+STAT1": 2 * N, "STAT1": N}
    assert report["targets_unmapped"] == ["JAK1+STAT1"]


def test_a_label_with_two_perturbations_by_nperts_is_dropped(read):
    _, report = read(["STAT1", "JAK1", "control"], obs_nperts=[1, 2, 0])
    assert report["targets"] == {"STAT1": N}
    assert report["dropped"] == {"guides of several genes": N}


@pytest.mark.parametrize("control", [("NT-1", "NT-2"), "NT-*", ("NT-*",)])
def test_controls_are_named_by_a_list_or_by_a_pattern(read, control):
    perturbed, report = read(["NT-1", "NT-2", "STAT1"], control=control)
    assert perturbed.control == "control"
    assert report["n_controls"] == {"all": 2 * N}


def test_cells_without_a_guide_are_no_controls_whatever_their_label_says(read):
    _, report = read(
        ["control", "control", "STAT1"], obs_guide=["NT-1", "None", "STAT1-1"], guide_column="guide"
    )
    assert report["n_controls"] == {"all": N}
    assert report["dropped"] == {"no guide": N}


def test_mixscape_classes_are_told_and_kept_unless_only_ko_cells_are_asked_for(read):
    labels, classes = ["STAT1", "STAT1", "control"], ["STAT1 KO", "STAT1 NP", "NT"]
    _, kept = read(labels, obs_mixscape_class=classes)
    assert kept["targets"] == {"STAT1": 2 * N}
    assert (
        "12 of 24 perturbed cells not perturbed (NP), most of 'STAT1: 12'; they are kept" in kept["labels"][0]
    )
    _, only = read(labels, obs_mixscape_class=classes, mixscape="ko")
    assert only["targets"] == {"STAT1": N}
    assert only["dropped"] == {"not perturbed by mixscape (NP)": N}
    _, own = read(classes, column="mixscape_class", control="NT")
    assert own["targets"] == {"STAT1": N}
    with pytest.raises(InputError, match="`--mixscape ko` needs the column 'mixscape_class'"):
        read(labels, mixscape="ko")


CELLXGENE = {
    "S-1": {"role": "targeting", "intended_features": {"ENSG00000000000": "STAT1"}},
    "S-2": {"role": "targeting", "derived_features": {"ENSG00000000000": "STAT1"}},
    "JAK1-2": {"role": "targeting", "protospacer_sequence": "CAGAGGGAGGAGAGAACCG"},
    "CTRL-1": {"role": "control"},
}


def test_cellxgene_tells_genes_and_controls_by_the_ids_of_guides(read):
    labels = ["S-1", "CTRL-1 || S-2", "S-1 || S-2", "JAK1-2 || S-1", "JAK1-2", "CTRL-1", "na"]
    perturbed, report = read(
        labels, column="genetic_perturbation_id", uns={"genetic_perturbations": CELLXGENE}
    )
    assert report["targets"] == {"ENSG00000000000": 3 * N, "JAK1": N}
    assert report["n_controls"] == {"all": N}
    assert report["dropped"] == {"no target": N, "guides of several genes": N}
    assert set(perturbed.guide_n) == {"S-1", "CTRL-1 || S-2", "S-1 || S-2", "JAK1-2", "CTRL-1"}


def test_cellxgene_ids_that_nothing_describes_are_refused(read):
    with pytest.raises(InputError, match=r"needs `uns\['genetic_perturbations'\]`.*there is none"):
        read(["S-1", "CTRL-1"], column="genetic_perturbation_id")
    uns = {"genetic_perturbations": CELLXGENE}
    with pytest.raises(InputError, match=r"1 of 2 are not: 'X-1'"):
        read(["X-1", "CTRL-1"], column="genetic_perturbation_id", uns=uns)
    uns = {"genetic_perturbations": {"S-1": {"x": 1}}}
    with pytest.raises(InputError, match=r"'S-1' of it have no role"):
        read(["S-1"], column="genetic_perturbation_id", uns=uns)


@pytest.fixture
def calls(tmp_path):
    """Write guide calls as cellranger does, a value for each twelve cells; '' = the cell has no row."""

    def calls(values, *, suffix="-1", count=lambda value: len(value.split("|"))):
        path = tmp_path / "protospacer_calls_per_cell.csv"
        cells = enumerate(np.repeat(values, N))
        rows = [f"AAAC{n:04d}{suffix},{count(value)},{value},9" for n, value in cells if value]
        path.write_text("\n".join(["cell_barcode,num_features,feature_call,num_umis", *rows]))
        return str(path)

    return calls


@pytest.mark.parametrize("suffix", ["-1", ""])
def test_guide_calls_of_cellranger_tell_targets_guides_and_controls(read, calls, suffix):
    values = ["STAT1-1", "sgSTAT1_2|STAT1-1", "STAT1-1|JAK1-1", "NKX2-1-3|NT-1", "NT-1|NT-2", ""]
    guides = calls(values, suffix=suffix)
    perturbed, report = read(["x"] * 6, target_column=None, guides=guides, control="NT")
    assert report["targets"] == {"NKX2-1": N, "STAT1": 2 * N}
    assert report["n_controls"] == {"all": N}
    assert report["dropped"] == {"no target": N, "guides of several genes": N}
    assert "NT-1|NT-2" in set(perturbed.guide_n)


def test_with_a_column_of_targets_guide_calls_tell_the_guide_and_who_has_several(read, calls):
    guides = calls(["STAT1-1", "STAT1-1|JAK1-1", "NT-1", ""])
    perturbed, report = read(["STAT1", "STAT1", "control", "control"], guides=guides)
    assert report["targets"] == {"STAT1": N}
    assert report["dropped"] == {"guides of several genes": N, "no guide": N}
    assert set(perturbed.guide_n) == {"STAT1-1", "NT-1"}


def test_guide_calls_that_are_none_are_refused(read, calls, tmp_path):
    def refused(guides, says, **options):
        with pytest.raises((InputError, StateError), match=says):
            read(["x", "y"], target_column=None, guides=str(guides), **{"control": "NT"} | options)

    refused(tmp_path / "none.csv", "Guide calls are needed at .* there is none")
    refused(calls(["STAT1-1", "NT-1"], suffix="-7x"), "24 barcodes .* hardly any is a cell there")
    refused(
        calls(["STAT1-1|JAK1-1", "NT-1"], count=lambda _: 1),
        "in 12 of 24 rows it does not, .* '1' for 'STAT1-1",
    )
    refused(calls(["STAT1-1", "STAT1-2"]), "Control label 'NT' must occur in the guides of protospacer_calls")
    other = tmp_path / "other.csv"
    other.write_text("barcode,guide\na,b\n")
    refused(
        other,
        "must have the columns 'cell_barcode', 'num_features', 'feature_call', one row a cell; it lacks",
    )
    other.write_text("cell_barcode,num_features,feature_call\n")
    refused(other, "it holds no cell")
    other.write_text("cell_barcode,num_features,feature_call\nA,1,x\nA,1,y\n")
    refused(other, "must name each cell once; these occur twice: 'A'")


def test_options_that_contradict_each_other_are_refused(read):
    plain = PerturbedConfig(path="a", control="NT", modality="crispri", target_column="t")
    with pytest.raises(InputError, match=r"need `target_column`.*or the file with `--guides`"):
        replace(plain, target_column=None)
    with pytest.raises(InputError, match="`guide_column` must be left out"):
        replace(plain, guides="b", guide_column="c")
    with pytest.raises(InputError, match="`control` must name a label"):
        replace(plain, control=())
    with pytest.raises(StateError, match=r"Control label 'NT-9' must occur in `obs\['perturbation'\]`"):
        read(["NT-1", "STAT1"], control=("NT-1", "NT-9"))
