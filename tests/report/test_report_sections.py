from dataclasses import replace
from functools import cache

import pandas as pd
import pytest

from perturbloop.errors import InputError
from perturbloop.report import figure_of, sections
from perturbloop.schema import METHODS

NAMES = ["STAT1", "JAK2", "<script>alert(1)</script>"]


@cache
def by_key(report):
    return {entry.key: entry for entry in sections(report)}


def section(report, key):
    return by_key(report)[key]


def as_table(grid):
    return pd.DataFrame(grid.rows, columns=grid.columns)


def test_the_ranking_lists_the_scored_genes_of_highest_benefit_per_kind(round_one):
    delete, overexpress = section(round_one, "full-ranking").grids
    assert list(as_table(delete)["gene"]) == ["JAK2", "STAT1", "<script>alert(1)</script>"]
    assert list(as_table(overexpress)["gene"]) == NAMES
    assert as_table(overexpress).loc[0, "95 % interval"] == "[+0.250, +0.350]"
    assert set(as_table(overexpress)["donors"]) == {"none named"}
    assert "delete: 6 genes, of which 5 scored, 1 spent." in section(round_one, "full-ranking").lines
    said = "overexpress: 6 genes, of which 6 scored. Calls among the scored genes: 2 toward, 0 away, 4 none."
    assert said in section(round_one, "full-ranking").lines
    assert len(section(round_one, "ranking").grids[0].rows) == 5  # all that are scored, at most ten


def test_the_scoreboard_has_every_method_in_its_order_with_its_role(round_one):
    as_ranking, as_calls = map(as_table, section(round_one, "scoreboard").grids)
    names = as_calls["method"].str.extract(r"\(([\w-]+)\)$")[0]
    assert list(dict.fromkeys(names)) == [entry.name for entry in METHODS if entry.name != "both"]  # not run
    assert as_calls.loc[names == "de", "role"].tolist() == ["baseline"] * len(as_calls[names == "de"])
    assert as_calls.loc[names == "frozen", "genes judged"].tolist() == ["scored", "all"]
    assert as_calls.loc[names == "chance", "genes judged"].tolist() == ["scored = all"]
    assert as_ranking.loc[names == "chance", "AUROC"].tolist() == ["0.81 [0.71, 0.91]"]


def test_prevalence_and_counts_stand_beside_ppv_and_npv(round_one):
    calls = as_table(section(round_one, "scoreboard").grids[1])
    frozen = calls[calls["method"].str.endswith("(frozen)")]
    assert {"PPV", "NPV"} <= set(calls.columns)
    assert frozen["prevalence"].tolist() == ["0.20", "0.16"]
    assert frozen["genes"].tolist() == ["20", "25"]
    assert frozen["hits"].tolist() == ["4", "4"]
    assert frozen["rule of the call"].tolist() == ["matched-null"] * 2


def test_a_metric_that_is_undefined_says_so(round_one):
    table = as_table(section(round_one, "scoreboard").grids[0])
    assert "undefined" in set(table["AUROC of hits away"])


def test_effects_come_with_errors_and_what_was_left_out(round_one):
    table = as_table(section(round_one, "all-effects").grids[0]).set_index("target")
    assert table.loc["STAT1", "effect to goal"] == "+1.30"
    assert table.loc["STAT1", "hit"] == "toward"
    assert table.loc["STAT1", "own gene left out"] == "yes"
    assert table.loc["JAK2", "own gene left out"] == "not in the readout"
    assert table.loc["$x_1$", "use"] == "training"
    assert len(table) == 4


def test_spent_genes_are_listed_with_what_was_measured(round_one):
    table = as_table(section(round_one, "spent").grids[0])
    assert table["gene"].tolist() == ["$x_1$"]
    assert table["effect to goal ± SE"].tolist() == ["−0.50 ± 0.20"]


def test_a_pathway_gene_that_was_not_ranked_has_no_place(round_one):
    table = as_table(section(round_one, "pathways").grids[0]).set_index("gene")
    assert table["place"].tolist() == ["1 of 5", "not ranked"]


def test_gains_name_the_control_and_the_share_it_keeps(round_one):
    table = as_table(section(round_one, "gains").grids[0])
    assert table.loc[0, "control"] == "simple evidence, shuffled effects (evidence-shuffled)"
    assert table.loc[0, ["gain in AUROC", "share kept"]].tolist() == ["+0.080", "0.38"]


def test_a_table_without_its_columns_is_refused_by_name(round_one):
    fields = vars(round_one) | {"gains": pd.DataFrame({"method": ["de"]})}
    with pytest.raises(InputError, match=r"table `gains` needs .* missing: 'against'"):
        type(round_one)(**fields)
    with pytest.raises(InputError, match="`top` must be at least 1; it is 0"):
        type(round_one)(**vars(round_one) | {"top": 0})


def test_every_rule_has_its_calls_and_the_declared_one_is_bold(round_one):
    grid = section(round_one, "rules").grids[0]
    table = as_table(grid)
    frozen = table[table["method"].str.contains("(frozen)", regex=False)]
    assert frozen["rule of the call"].tolist() == ["matched-null", "budget-k, k = 5 of 60"]
    assert frozen["PPV"].tolist() == ["0.50 [0.40, 0.60]", "0.30 [0.20, 0.40]"]
    assert frozen["prevalence"].tolist() == ["0.16", "0.16"]
    assert [place in grid.strong for place in frozen.index] == [True, False]
    headlines = as_table(section(round_one, "scoreboard").grids[1])
    assert "budget-k, k = 5 of 60" not in set(headlines["rule of the call"])


def test_disjoint_targets_stand_apart_and_never_in_the_scoreboard(round_one):
    table = as_table(section(round_one, "disjoint").grids[0])
    assert set(table["genes"]) == {"11"}
    assert "reactome.gmt: 3 gene sets" in section(round_one, "disjoint").lines[0]
    assert "11" not in set(as_table(section(round_one, "scoreboard").grids[0])["genes"])
    without = replace(round_one, gene_sets="")
    assert "No gene sets were given" in section(without, "disjoint").lines[0]


def test_strata_are_columns_and_the_adjusted_number_is_last(round_one):
    table = as_table(section(round_one, "strata").grids[0])
    assert list(table.columns) == ["method", "all", "1 of 2", "within strata"]
    assert table.iloc[0].tolist()[1:] == [
        "0.70 [0.60, 0.80] (4 of 25)",
        "undefined (0 of 12)",
        "0.55 [0.40, 0.70] (4 of 25)",
    ]


def test_gains_have_both_intervals_and_a_p_value(round_one):
    row = as_table(section(round_one, "gains").grids[0]).iloc[0]
    assert row["95 % paired interval"] == "[−0.020, +0.190]"
    assert row["by DeLong"] == "[−0.030, +0.200]"
    assert row["p (DeLong)"] == "0.140"


def test_compounds_stand_below_the_genes_they_hit(round_one):
    rows = round_one.effects.iloc[:2].assign(
        level="compound", modality="drug", gene_id="", gene_name=["in", "out"], target=["in", "out"]
    )
    table = pd.concat([round_one.effects, rows.assign(fold=[-2, 1])])
    last = section(replace(round_one, effects=table), "all-effects").grids[-1]
    assert last.title.startswith("drug: 2 compounds")
    assert [line[0] for line in last.rows] == ["in", "out"]
    assert [line[-1] for line in last.rows] == ["neither", "held out, fold 1"]


def test_a_volcano_without_a_dot_is_not_drawn(round_zero):
    bare = replace(round_zero, ranking=round_zero.ranking.assign(pvalue=float("nan")))
    assert section(round_zero, "ranking").pictures
    assert not section(bare, "ranking").pictures
    assert figure_of(round_zero, "ranking").axes
    with pytest.raises(InputError, match="'ranking' came"):
        figure_of(bare, "ranking")
