from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.perturbed import condition_labels, read_perturbed
from perturbloop.errors import InputError, StateError
from perturbloop.schema import PerturbedConfig


@pytest.fixture
def table():
    """Labels of 60 cells: 20 controls, 20 of each of two targets, two replicates."""
    return pd.DataFrame(
        {
            "target": np.repeat(["non-targeting", "GENE1", "ENSG00000000002.7"], 20),
            "guide": np.repeat(["NT1", "NT2", "A1", "A2", "B1", "B2"], 10),
            "rep": np.tile(["r1", "r2"], 30),
            "guide_purity": np.tile([0.95, 0.9, 0.5, 1.0], 15),
            "share_mito": 0.1,
            "condition": "IFNG",
        },
        index=[f"cell{i}" for i in range(60)],
    )


@pytest.fixture
def read(tmp_path, rng):
    """Write cells with these labels and read them again."""

    def read(obs, **options):
        ids = [f"ENSG{place:011d}" for place in range(30)]
        var = pd.DataFrame({"symbol": [f"GENE{place}" for place in range(30)]}, index=ids)
        counts = sparse.csr_matrix(rng.poisson(2.0, size=(len(obs), 30)).astype(np.float32))
        ad.AnnData(counts, obs=obs, var=var).write_h5ad(tmp_path / "cells.h5ad")
        config = PerturbedConfig(
            path=str(tmp_path / "cells.h5ad"),
            target_column="target",
            control="non-targeting",
            modality="crispr_ko",
            replicate_column="rep",
            guide_column="guide",
        )
        return read_perturbed(replace(config, **options))

    return read


def test_labels_are_read_as_they_are_and_targets_are_mapped(read, table):
    perturbed, report = read(table)
    assert perturbed.targets == ["ENSG00000000002.7", "GENE1"]
    assert perturbed.target_ids == {"GENE1": "ENSG00000000001", "ENSG00000000002.7": "ENSG00000000002"}
    assert perturbed.is_control_n.sum() == 20
    np.testing.assert_array_equal(perturbed.guide_n.astype(str), table["guide"])
    assert report["n_controls"] == {"r1": 10, "r2": 10}
    assert report["dropped"] == {}


def test_without_guides_and_replicates_all_cells_are_one_replicate(read, table):
    perturbed, _ = read(table, guide_column=None, replicate_column=None)
    assert perturbed.guide_n is None
    assert set(perturbed.replicate_n) == {"all"}


def test_the_purity_column_is_found_by_its_name_and_named_in_the_report(read, table):
    perturbed, report = read(table, min_purity=0.9)
    assert report["purity_column"] == "guide_purity"
    assert report["dropped"] == {"guide_purity below 0.9": 15}
    assert (perturbed.cells.obs["guide_purity"] >= 0.9).all()


def test_cells_without_a_label_or_a_purity_are_dropped_and_counted(read, table):
    table.loc["cell25", "target"] = None
    table.loc["cell26", "rep"] = None
    table.loc["cell27", "guide_purity"] = np.nan
    _, report = read(table, min_purity=0.1)
    assert report["dropped"] == {"no target": 1, "no replicate": 1, "guide_purity below 0.1": 1}
    assert report["n_cells"] == 57


def test_targets_with_too_few_cells_are_dropped_and_reported(read, table):
    table.loc[table.index[43:], "target"] = "GENE1"
    perturbed, report = read(table)
    assert perturbed.targets == ["GENE1"]
    assert report["targets_dropped"] == {"ENSG00000000002.7": 3}


def test_a_target_without_an_ensembl_id_is_kept_and_reported(read, table):
    table["target"] = table["target"].replace("GENE1", "enhancer-17")
    perturbed, report = read(table)
    assert "enhancer-17" in perturbed.targets
    assert report["targets_unmapped"] == ["enhancer-17"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_column": "targt"}, r"needs the column 'targt'.*`--target-column`; the closest is 'target'"),
        ({"guide_column": "grna"}, r"needs the column 'grna'.*`--guide-column`"),
        (
            {"control": "nontargeting"},
            r"'nontargeting' must occur.*`--control`; it looks like 'non-targeting'",
        ),
        ({"purity_column": "rep", "min_purity": 0.5}, r"`obs\['rep'\]` must hold purities between 0 and 1"),
        ({"min_cells": 50}, r"At least one target needs 50 cells.*of 2 targets none has"),
    ],
)
def test_wrong_names_and_limits_are_refused_with_the_closest(read, table, options, message):
    with pytest.raises(InputError, match=message):
        read(table, **options)


def test_an_unknown_column_is_a_state_error(read, table):
    with pytest.raises(StateError):
        read(table, replicate_column="replicate")


def test_purity_without_a_purity_column_is_refused_with_the_candidates(read, table):
    with pytest.raises(
        InputError, match=r"names of 0 look like one: none\. Columns.*'share_mito'.*--purity-column"
    ):
        read(table.drop(columns="guide_purity"), min_purity=0.8)


def test_two_purity_columns_are_refused(read, table):
    with pytest.raises(InputError, match=r"names of 2 look like one: 'guide_purity', 'grna_top_frac'"):
        read(table.assign(grna_top_frac=0.9), min_purity=0.8)


def test_a_replicate_without_controls_is_refused_by_name(read, table):
    table.loc[table["target"] == "non-targeting", "rep"] = "r1"
    with pytest.raises(
        InputError, match=r"Every replicate needs control cells.*of 2 replicates these have fewer.*'r2'"
    ):
        read(table)


def test_a_condition_label_is_refused_when_all_perturbed_cells_share_it(read, table):
    with pytest.raises(
        InputError, match=r"at least two conditions; all 40 .*'IFNG'\. Use `--label-source state_score`"
    ):
        read(table, label_source="condition", condition_column="condition")
    with pytest.raises(InputError, match=r"none is named.*--condition-column"):
        read(table, label_source="condition")
    table.loc[table.index[30:], "condition"] = "rest"
    perturbed, _ = read(table, label_source="condition", condition_column="condition")
    labels = condition_labels(perturbed, start="IFNG", goal="rest")
    np.testing.assert_array_equal(labels, (perturbed.condition_n == "rest").astype(float))
    assert 0 < labels.mean() < 1
    with pytest.raises(
        StateError, match=r"must name the start state 'IFNG' or the goal state 'control'.*'rest'"
    ):
        condition_labels(perturbed, start="IFNG", goal="control")


@pytest.mark.parametrize(("option", "value"), [("modality", "crisper"), ("label_source", "facs")])
def test_an_unknown_choice_is_refused_with_the_known_ones(read, table, option, value):
    with pytest.raises(InputError, match=rf"`{option}` must be among '.*it is '{value}'"):
        read(table, **{option: value})


def test_a_gene_is_no_control_where_a_label_says_control(read, table):
    with pytest.raises(StateError, match=r"'GENE1' is a gene, and .* also has 'non-targeting'\. Name that"):
        read(table, control="GENE1")
    table["target"] = table["target"].replace("non-targeting", "enhancer-17")
    perturbed, _ = read(table, control="GENE1")
    assert perturbed.control == "GENE1"
