"""The figure of learning curves: what is a line, what a level, what a marker."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from perturbloop.errors import InputError
from perturbloop.plots import learning_curves, png, svg
from perturbloop.schema import CURVE_MEANS, method


def means(value=0.6, panels=("random", "coverage"), kinds=("delete",)):
    rows = []
    for kind in kinds:
        rows += [(kind, name, "", 0, "genes") for name in ("frozen", "de", "chance", "full-open")]
        rows += [
            (kind, name, panel, k, "panels")
            for panel in panels
            for k in (5, 20)
            for name in ("posterior", "posterior-shuffled", "propagation")
        ]
        rows += [(kind, f"full-{variant}", "random", 20, "genes") for variant in ("closed", "shuffled")]
    table = pd.DataFrame(rows, columns=["kind", "method", "panel", "k", "interval"])
    table = table.assign(metric="auroc", sd=0.02, n_draws=5, n_genes=50, n_hits=5)
    table["value"] = value + 0.01 * np.arange(len(table))
    return table.assign(ci_low=table["value"] - 0.1, ci_high=table["value"] + 0.1)[CURVE_MEANS.names]


def line(ax, name):
    return next(line for line in ax.lines if line.get_label() == method(name).title)


def test_a_line_starts_at_what_its_method_is_without_a_measured_gene():
    table = means()
    ax = learning_curves(table).axes[0]
    at = table.set_index(["method", "panel", "k"])["value"]
    posterior = line(ax, "posterior")
    assert posterior.get_xdata().tolist() == [0, 5, 20]
    assert posterior.get_ydata().tolist() == [
        at["frozen", "", 0],
        at["posterior", "random", 5],
        at["posterior", "random", 20],
    ]
    assert line(ax, "propagation").get_xdata().tolist() == [5, 20]


def test_controls_are_dashed_and_levels_are_named_at_the_right():
    ax = learning_curves(means()).axes[0]
    assert line(ax, "posterior-shuffled").get_linestyle() == "--"
    assert line(ax, "posterior").get_linestyle() == "-"
    assert {text.get_text() for text in ax.texts} == {
        method(name).title for name in ("frozen", "de", "chance")
    }


def test_trained_models_are_markers_with_their_interval_only_where_they_were_trained():
    random, coverage = learning_curves(means()).axes
    titles = {name: method(name).title for name in ("full-open", "full-closed", "full-shuffled")}
    assert {bar.get_label() for bar in random.containers} == set(titles.values())
    assert {bar.get_label() for bar in coverage.containers} == {titles["full-open"]}


def test_a_row_per_kind_and_a_panel_per_way_of_drawing():
    drawn = learning_curves(means(kinds=("delete", "overexpress")))
    titles = [ax.get_title(loc="left") for ax in drawn.axes]
    assert titles == [
        f"{kind}, {how} panels" for kind in ("delete", "overexpress") for how in ("random", "coverage")
    ]


def test_given_axes_are_drawn_on():
    mine = Figure()
    axes = mine.subplots(1, 2, squeeze=False)
    assert learning_curves(means(), axes=axes) is mine
    assert axes[0, 0].lines


def test_names_of_levels_do_not_cover_each_other():
    table = means()
    table.loc[table["method"].isin(["frozen", "de", "chance"]), "value"] = 0.6
    ax = learning_curves(table).axes[0]
    heights = sorted(text.xy[1] for text in ax.texts)
    assert min(np.diff(heights)) > 0.02 * np.ptp(ax.get_ylim())


def test_without_a_hit_the_figure_says_undefined():
    (ax, *_) = learning_curves(means(value=np.nan)).axes
    assert [text.get_text() for text in ax.texts] == ["undefined: no hit"]


def test_the_same_figure_is_the_same_text_and_an_empty_or_wrong_table_behaves():
    assert svg(learning_curves(means())) == svg(learning_curves(means()))
    assert png(learning_curves(pd.DataFrame(columns=CURVE_MEANS.names))).startswith(b"\x89PNG")
    with pytest.raises(InputError, match="table `curve_means` needs the columns"):
        learning_curves(pd.DataFrame({"a": [1]}))
