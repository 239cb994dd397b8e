from dataclasses import replace

import numpy as np
import pytest

from perturbloop.data.compounds import Compound
from perturbloop.data.spending import left_out
from perturbloop.evidence.drugs import gene_effects, share_of_target
from perturbloop.evidence.effects import measure_effects
from perturbloop.schema import EFFECTS, EvaluateConfig

CONFIG = EvaluateConfig()


def drug_screen(lab, effects, compounds):
    screen = lab.screen(effects, n_cells=120, n_controls=480)
    return replace(
        screen,
        modality="drug",
        guide_n=None,
        target_ids={},
        compounds={one.name: one for one in compounds},
    )


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [4.0, 1.0]])
def test_the_share_of_a_target_has_mean_and_spread_of_a_drawn_division(rng, weights):
    effect, se, n = 1.5, 0.2, len(weights)
    shares = np.array(weights) / sum(weights)
    drawn = rng.dirichlet(n * shares, size=200_000)[:, 0] * rng.normal(effect, se, size=200_000)
    mean, error = share_of_target(effect, se, shares[0], n)
    assert mean == pytest.approx(drawn.mean(), abs=0.01)
    assert error == pytest.approx(drawn.std(), rel=0.01)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_no_one_of_equal_targets_can_be_told_from_zero(n):
    mean, error = share_of_target(10.0, 0.01, 1 / n, n)
    assert mean / error < 1.96


def test_compounds_say_of_their_genes_what_their_action_allows(lab):
    genes = lab.gene_ids.tolist()
    compounds = [
        Compound("selective", inhibits=frozenset([genes[40]])),
        Compound("double", inhibits=frozenset([genes[41], genes[42]])),
        Compound("agonist", activates=frozenset([genes[40]])),
        Compound("mixed", inhibits=frozenset([genes[43]]), activates=frozenset([genes[44]])),
        Compound("torn", inhibits=frozenset([genes[45], genes[46]])),
    ]
    screen = drug_screen(
        lab, {"selective": 0.6, "double": 0.6, "agonist": -0.5, "mixed": 0.5, "torn": 0.4}, compounds
    )
    measured = measure_effects(*lab.states(), screen, config=CONFIG)
    by_compound = measured.by_gene.set_index("target")
    assert by_compound["effect"].isna().all()
    table = gene_effects(
        measured.effects, screen.compounds, left_out=["torn"], names={genes[40]: "G40"}, config=CONFIG
    )
    assert table.columns.tolist() == EFFECTS.names
    assert set(table.loc[table["level"] == "compound", "target"]) == {one.name for one in compounds}
    rows = table[table["level"] == "gene"].set_index(["modality", "gene_id"])
    assert set(rows.index) == {
        ("inhibitor", genes[40]),
        ("inhibitor", genes[41]),
        ("inhibitor", genes[42]),
        ("activator", genes[40]),
    }
    alone = rows.loc["inhibitor", genes[40]]
    for name in ("effect_to_goal", "se", "pvalue"):
        assert alone[name] == by_compound.loc["selective", name]
    assert alone["hit"]
    assert alone["gene_name"] == "G40"
    assert alone["effect"] == -alone["effect_to_goal"]
    raised = rows.loc["activator", genes[40]]
    assert raised["effect"] == raised["effect_to_goal"] < 0
    shared = rows.loc["inhibitor", genes[41]]
    assert shared["effect_to_goal"] == pytest.approx(by_compound.loc["double", "effect_to_goal"] / 2)
    assert shared["effect_to_goal"] < 1.96 * shared["se"]
    assert not shared["hit"]


def test_compounds_of_one_gene_are_pooled_and_their_disagreement_is_in_the_error(lab):
    gene = str(lab.gene_ids[40])
    compounds = [Compound(name, inhibits=frozenset([gene])) for name in ("one", "other")]
    screen = drug_screen(lab, {"one": 0.8, "other": 0.0}, compounds)
    measured = measure_effects(*lab.states(), screen, config=CONFIG)
    table = gene_effects(measured.effects, screen.compounds, left_out=[], names={}, config=CONFIG)
    top = table[table["level"] == "gene"].iloc[0]
    each = table[table["level"] == "guide"].set_index("guide_id")["effect_to_goal"]
    assert (top["target"], top["n_guides"], top["n_cells"]) == ("one; other", 2, 240)
    assert each["other"] < top["effect_to_goal"] < each["one"]
    assert top["se"] > 0.4 * abs(each["one"] - each["other"])


def test_no_score_reads_a_gene_that_the_compound_hits(lab):
    """Two blocked genes that mark the start and make nothing: without them the compound has no effect."""
    ids = lab.gene_ids[[1, 3]].tolist()
    screen = drug_screen(lab, {"blocker": 0.0}, [Compound("blocker", inhibits=frozenset(ids))])
    counts = screen.cells.counts_ng.tolil()
    for column in (1, 3):
        counts[np.flatnonzero(~screen.is_control_n), column] = 0
    screen = replace(screen, cells=replace(screen.cells, counts=counts.tocsr()))
    states = lab.states()
    assert left_out(states[0], screen) == {"blocker": frozenset(ids)}
    row = measure_effects(*states, screen, config=CONFIG).by_gene.iloc[0]
    assert abs(row["effect_to_goal"]) < 4 * row["se"]
    assert row["own_gene_in_readout"]
    seen = measure_effects(*states, replace(screen, compounds={}), config=CONFIG).by_gene.iloc[0]
    assert seen["effect_to_goal"] > 0.4


def test_compounds_of_the_same_targets_do_not_tell_which_of_them_acts(lab):
    genes = lab.gene_ids.tolist()
    pair = frozenset(genes[41:43])
    compounds = [Compound(name, inhibits=pair) for name in ("one", "two", "three")]
    screen = drug_screen(lab, {one.name: 0.6 for one in compounds}, compounds)
    measured = measure_effects(*lab.states(), screen, config=CONFIG)
    table = gene_effects(measured.effects, screen.compounds, left_out=[], names={}, config=CONFIG)
    rows = table[table["level"] == "gene"]
    assert set(rows["gene_id"]) == pair
    assert set(rows["target"]) == {"one; three; two"}
    assert not rows["hit"].any()
    assert (rows["effect_to_goal"] < 1.96 * rows["se"]).all()
    assert len(table[table["level"] == "compound"]) == 3
