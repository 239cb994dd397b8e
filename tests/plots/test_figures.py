import numpy as np
import pandas as pd
import pytest

from perturbloop.errors import InputError
from perturbloop.plots import (
    batch_forest,
    measured_effects,
    scoreboard,
    shift_against_expression,
    shift_against_null,
    state_axis,
    svg,
    volcano,
)
from perturbloop.schema import EFFECTS, METRICS, RANKING


def metrics():
    rows = [
        ("de", "delete", "all", "auroc", 0.7, 0.5, 0.9, 25, 5, ""),
        ("frozen", "delete", "all", "auroc", 0.6, 0.4, 0.8, 25, 5, ""),
        ("frozen", "delete", "all", "average_precision", 0.5, 0.3, 0.8, 25, 5, ""),
        ("chance", "delete", "all", "auroc", np.nan, np.nan, np.nan, 25, 5, ""),
    ]
    shown = [(*row, "delong", True, "held-out") for row in rows]
    apart = (*rows[0], "delong", True, "pathway-disjoint")
    return pd.DataFrame([*shown, apart], columns=METRICS.names)


def effects(n_targets):
    row = dict.fromkeys(EFFECTS.names, 0) | {"modality": "crispri", "level": "gene", "se": 0.1}
    row["n_cells"] = 40
    rows = [row | {"target": f"T{i}", "effect_to_goal": i - 1.0, "hit": i > 1} for i in range(n_targets)]
    return pd.DataFrame(rows, columns=EFFECTS.names)


def ranking(names, pvalues):
    row = dict.fromkeys(RANKING.names, 0.0) | {"kind": "delete", "status": "scored", "call": "toward"}
    rows = [
        row
        | {"gene_name": name, "logit_shift": i - 1.0, "effect": i - 1.0, "pvalue": p, "benefit": float(i)}
        | {"log2fc": -float(i), "ci_low": i - 2.0, "ci_high": float(i), "ranked_by": "logit_shift"}
        for i, (name, p) in enumerate(zip(names, pvalues, strict=True))
    ]
    return pd.DataFrame(rows, columns=RANKING.names)


def dots(ax):
    """Positions of single markers."""
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if len(line.get_xdata()) == 1]


def test_methods_keep_their_order_and_dots_are_their_values():
    auroc, precision = scoreboard(metrics()).axes
    labels = [label.get_text() for label in auroc.get_yticklabels()]
    assert labels == ["open loop, frozen encoder", "signed DE"]  # chance is undefined
    assert dots(auroc) == [(0.6, 0), (0.7, 1)]
    assert dots(precision) == [(0.5, 0)]
    assert precision.lines[-1].get_xdata()[0] == 5 / 25


def test_controls_are_marked_and_stand_right_below_their_method():
    names = ["de", "posterior", "posterior-shuffled", "chance"]
    rows = [(name, "delete", "all", "auroc", 0.6, 0.5, 0.7, 25, 5, "") for name in names]
    table = pd.DataFrame([(*row, "delong", True, "held-out") for row in rows], columns=METRICS.names)
    (ax,) = scoreboard(table, shown=("auroc",)).axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["closed loop, evidence", "↳ evidence, shuffled effects", "signed DE", "chance"]
    assert len(ax.patches) == 1  # one shaded row


def test_effects_are_sorted_and_hits_are_filled():
    (ax,) = measured_effects(effects(3), min_effect=0.3).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["T2", "T1", "T0"]
    assert dots(ax) == [(1.0, 0), (0.0, 1), (-1.0, 2)]
    filled = [line.get_markerfacecolor() != "white" for line in ax.lines if line.get_marker() == "o"]
    assert filled == [True, False, False]


def test_many_targets_are_cut_to_both_ends_and_the_title_says_so():
    (ax,) = measured_effects(effects(100)).axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert (labels[0], labels[-1], len(labels)) == ("T99", "T0", 60)
    assert ax.get_title(loc="left") == "crispri: 60 of 100 targets, both ends"


def test_a_screen_has_a_panel_and_a_unit_of_its_own():
    both = pd.concat([effects(3), effects(3).assign(n_cells=0)])
    panels = {ax.get_title(loc="left"): ax for ax in measured_effects(both, min_effect=0.3).axes}
    cells, screen = panels["crispri"], panels["crispri, screen"]
    assert "control SD" in cells.get_xlabel()
    assert "spread of all genes" in screen.get_xlabel()
    assert len(cells.lines) == len(screen.lines) + 2  # the least effect of a hit belongs to cells


def test_a_gene_without_a_p_value_is_not_drawn_and_zero_is_drawn_at_the_smallest():
    (ax,) = shift_against_null(ranking(["A", "B", "C"], [0.01, np.nan, 0.0])).axes
    drawn = np.vstack([part.get_offsets() for part in ax.collections if len(part.get_offsets())])
    np.testing.assert_allclose(drawn, [[-1, 2], [1, 2]])


def test_only_the_genes_of_highest_benefit_are_named():
    (ax,) = shift_against_null(ranking(["A", "B", "C"], [0.01, 0.1, 0.001]), top=2).axes
    assert [text.get_text() for text in ax.texts] == ["C", "B"]


@pytest.mark.parametrize("name", ["$x_1$", "<script>", "基因", "$\\bad{$"])
def test_any_label_is_drawn_as_it_is_without_a_warning(name):
    drawn = svg(shift_against_null(ranking([name], [0.01])))
    assert drawn.rstrip().endswith("</svg>")
    assert "<script" not in drawn


@pytest.mark.parametrize(
    ("draw", "table"),
    [
        (scoreboard, METRICS),
        (measured_effects, EFFECTS),
        (shift_against_null, RANKING),
        (shift_against_expression, RANKING),
        (volcano, RANKING),
    ],
)
def test_an_empty_table_gives_an_empty_figure_and_a_wrong_one_is_refused(draw, table):
    assert svg(draw(pd.DataFrame(columns=table.names)))
    with pytest.raises(InputError, match=f"table `{table.name}` needs the columns"):
        draw(pd.DataFrame({"a": [1]}))


def test_the_same_figure_is_the_same_text():
    assert svg(scoreboard(metrics())) == svg(scoreboard(metrics()))


def points(ax):
    return np.vstack([part.get_offsets() for part in ax.collections if len(part.get_offsets())])


def test_the_volcano_draws_what_the_rows_are_ranked_by():
    table = ranking(["A", "B", "C"], [0.01, 0.1, 0.001])
    (ax,) = volcano(table).axes
    np.testing.assert_allclose(sorted(points(ax)[:, 1]), [1, 2, 3])  # −log10 p
    assert "shift" in ax.get_xlabel()
    (ax,) = volcano(table.assign(ranked_by="posterior")).axes
    np.testing.assert_allclose(points(ax)[:, 0], [0, 1, 2])  # benefit
    np.testing.assert_allclose(points(ax)[:, 1], [1.96, 0, 1.96])  # |effect| in its SD
    assert "P(toward)" in ax.get_xlabel()
    assert [text.get_text() for text in ax.texts] == ["C", "B", "A"]


def test_the_shift_stands_against_the_fold_change_and_a_gene_without_one_is_not_drawn():
    table = ranking(["A", "B", "C"], [0.01, 0.1, 0.001])
    (ax,) = shift_against_expression(table).axes
    np.testing.assert_allclose(points(ax), [[0, -1], [-1, 0], [-2, 1]])
    table.loc[0, "log2fc"] = np.nan
    (ax,) = shift_against_expression(table).axes
    assert len(points(ax)) == 2


def test_a_batch_is_drawn_with_its_intervals_a_panel_per_quantity():
    rows = [
        ("greedy", "A", "inhibit", "mean", 0.4, 0.1, 0.7),
        ("chance", "B", "inhibit", "mean", -0.1, np.nan, np.nan),
        ("greedy", "C", "activate", "shift", 0.2, 0.1, 0.3),
    ]
    columns = ["policy", "gene_name", "action", "quantity", "value", "ci_low", "ci_high"]
    mean, shift = batch_forest(pd.DataFrame(rows, columns=columns)).axes
    assert [label.get_text() for label in mean.get_yticklabels()] == [
        "A, inhibit (greedy)",
        "B, inhibit (chance)",
    ]
    assert dots(mean) == [(0.4, 0), (-0.1, 1)]
    assert "effect" in mean.get_xlabel()
    assert "shift" in shift.get_xlabel()
    assert svg(batch_forest(pd.DataFrame(columns=columns)))


def test_controls_stand_between_the_states_or_outside():
    controls = pd.DataFrame({"source": "cells.h5ad", "replicate": ["r1", "r2"], "position": [0.25, 2.33]})
    (ax,) = state_axis(controls, start="stimulated", goal="control").axes
    assert dots(ax) == [(0.25, 0), (2.33, 1)]
    assert [line.get_markerfacecolor() != "white" for line in ax.lines[2:]] == [True, False]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["r1", "r2"]
    assert ax.get_xlabel() == "state score: 0 = stimulated cells, 1 = control cells"


def test_names_never_cover_each_other():
    (ax,) = volcano(ranking([f"GENE{k}" for k in range(40)], [0.01] * 40), top=40).axes
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) > 3
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
