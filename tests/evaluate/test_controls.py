import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from perturbloop.data.cells import read_cells
from perturbloop.errors import InputError
from perturbloop.evaluate.controls import (
    CONTROLS,
    control,
    in_ranking,
    recognize,
    textbook_lines,
    textbook_of,
)
from perturbloop.evaluate.de import signed_de


@pytest.fixture
def genes(rng):
    names = [*control("type-i-interferon").signature, *(f"GENE{place}" for place in range(586))]
    return np.array(names, dtype=object), pd.DataFrame({"z": rng.normal(size=600)})


def test_a_signature_among_the_strongest_genes_is_recognized_with_its_side(genes):
    names, de = genes
    de.loc[:9, "z"] = -9
    de.loc[10:13, "z"] = 0
    found = recognize(de, names)
    assert [entry.control.name for entry in found] == ["type-i-interferon"]
    assert (len(found[0].found), found[0].n_measured, found[0].raised_in) == (10, 14, "start")
    oracle = fisher_exact([[10, 50], [4, 536]], alternative="greater").pvalue
    assert found[0].pvalue == pytest.approx(len(CONTROLS) * oracle)


def test_states_that_look_like_nothing_known_have_no_control(genes):
    names, de = genes
    de.loc[14:, "z"] = 9 + np.arange(586)
    assert recognize(de, names) == ()


def test_symbols_of_other_cells_are_refused(genes):
    names, de = genes
    with pytest.raises(InputError, match="there are 599 for 600 genes"):
        recognize(de, names[1:])


@pytest.mark.shared_data
def test_interferon_cells_are_recognized(shared):
    cells, _ = read_cells(shared / "states" / "kang2018_ifnb_harmony.h5ad")
    found = recognize(signed_de(cells, cells.obs["condition"].eq("control").to_numpy()), cells.gene_names)
    assert found[0].control.name == "type-i-interferon"
    assert found[0].raised_in == "start"


def test_the_place_of_a_pathway_counts_scored_genes_of_the_kind_only():
    ranking = pd.DataFrame(
        {
            "gene_name": ["JAK1", "STAT1", "TYK2", "ACTB", "STAT1"],
            "kind": ["delete", "delete", "delete", "delete", "overexpress"],
            "benefit": [0.5, 2.0, np.nan, 1.0, -1.0],
            "detection": 0.3,
            "n_cells": 5,
            "call": "none",
            "status": ["scored", "scored", "not_scored", "scored", "scored"],
        }
    )
    table = in_ranking(ranking, ("STAT1", "JAK1", "TYK2", "IRF9")).set_index(["gene_name", "kind"])
    assert table.loc[("STAT1", "delete"), ["place", "of"]].tolist() == [1, 3]
    assert table.loc[("JAK1", "delete"), "place"] == 3
    assert table.loc[("STAT1", "overexpress"), ["place", "of"]].tolist() == [1, 1]
    assert np.isnan(table.loc[("TYK2", "delete"), "place"])
    assert table["status"].tolist() == [
        "scored",
        "scored",
        "scored",
        "absent",
        "not_scored",
        "absent",
        "absent",
        "absent",
    ]


def test_controls_are_told_apart_by_their_pathways():
    for entry in CONTROLS:
        assert entry.source
        assert not set(entry.pathway) & set(entry.other)


def test_textbook_genes_are_the_named_ones_and_those_of_the_stimulus():
    stimulus = control("type-i-interferon")
    others = [f"G{place}" for place in range(1000)]
    names = np.array([*stimulus.signature, *others], dtype=object)
    z_g = np.r_[np.full(len(stimulus.signature), -9.0), np.linspace(-1, 1, len(others))]
    found = textbook_of(z_g, names, named=("CD3E:inhibit", "STAT1"))
    assert found.title == "type I interferon (IFN-α/β) and your positive controls"
    assert found.genes == ("CD3E", "STAT1", "IFNAR1", "IFNAR2", "TYK2", "JAK1", "STAT2", "IRF9")
    assert found.raised_in == "start"
    looks, lacks = textbook_lines(found, names, "cells.h5ad")
    assert (
        looks
        == "The states look like type I interferon (IFN-α/β), raised in the start cells: the campaign asks what ends it."
    )
    assert lacks.startswith("Textbook genes absent: cells.h5ad lacks CD3E, STAT1, IFNAR1,")
    assert "8 of the 8 genes" in lacks
    swapped = textbook_lines(textbook_of(-z_g, names), np.array(found.genes, dtype=object), "cells.h5ad")
    assert len(swapped) == 1
    assert (
        "raised in the goal cells: the campaign asks what brings it on; where the question is how to end it, swap"
        in swapped[0]
    )
    assert textbook_lines(None, names, "cells.h5ad") == ()
    assert textbook_of(-z_g, names).raised_in == "goal"
    assert textbook_of(z_g, names, pathway="t-cell-activation").genes == control("t-cell-activation").pathway
    assert textbook_of(z_g, names, pathway="t-cell-activation").raised_in == ""
    quiet = np.r_[np.zeros(len(stimulus.signature)), np.linspace(-1, 1, len(others))]
    assert textbook_of(quiet, names) is None
