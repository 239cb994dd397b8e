"""What a person sees in a terminal: short, whole words, any width."""

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from perturbloop.report import Grid, full, sections, summary
from perturbloop.report.answer import answer
from perturbloop.report.lines import table_lines
from perturbloop.schema import Verdict

WIDTHS = (80, 60)


@pytest.fixture
def large(round_one):
    """Forty genes of both kinds, many notes, long names."""
    parts = [
        round_one.ranking.assign(
            gene_id=[f"ENSG{100 * k + i:011d}" for i in range(len(round_one.ranking))],
            gene_name=f"AVERYLONGGENE{k}",
            status="scored",
            flags="interferon,HLA,core-essential",
            n_cells=20,
        )
        for k in range(20)
    ]
    warnings = tuple(
        f"Donor {k} has no cell in the goal state, so its cells are left out." for k in range(40)
    )
    return replace(round_one, ranking=pd.concat(parts), warnings=warnings)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_summary_is_one_screen_and_says_what_to_do_next(large, width):
    lines = summary(large, width, folder="study")
    assert len(lines) <= 40
    assert max(map(len, lines)) <= width
    said = "\n".join(lines)
    assert "Next: perturbloop propose study" in said
    assert "Page: study/rounds/001/report.html" in said
    assert "crispr_ko: 4 targets measured, 2 hits toward the goal and 0 away from it." in " ".join(
        said.split()
    )
    assert "more notes: perturbloop report study --table notes" in " ".join(said.split())


@pytest.mark.parametrize("width", WIDTHS)
def test_no_word_is_broken(large, width):
    lines = summary(large, width)
    words = {word for line in lines for word in line.split()}
    assert set(answer(large).sentence.split()) <= words
    assert sum(f"AVERYLONGGENE{k}" in words for k in range(20)) == 10
    assert "interferon" in words  # the caution, with a count of the others


def test_ten_genes_of_each_action_with_what_they_are_ranked_by(large, round_zero):
    lines = summary(large, 80)
    inhibit, activate = (
        next(i for i, line in enumerate(lines) if line.startswith(f"To {word}"))
        for word in ("inhibit", "activate")
    )
    assert lines[inhibit].endswith("by benefit: P(toward)")
    assert lines[activate].endswith("by shift: logits of the goal state")
    for start in (inhibit, activate):
        rows = lines[start + 2 : start + 12]
        assert all("AVERYLONGGENE" in row and "interferon +" in row for row in rows)


def test_the_next_command_depends_on_what_is_there(round_one, round_zero):
    assert "Next: perturbloop record DIR FILE" in summary(round_zero)
    assert "Next: perturbloop propose DIR" in summary(round_one)
    failed = replace(round_one, gate=(Verdict("state head", False, "FAILED."),))
    assert "Next: perturbloop report DIR --table gate" in summary(failed)
    assert "Next: perturbloop play DIR" in summary(round_one, todo="perturbloop play DIR")


@pytest.mark.parametrize("width", WIDTHS)
def test_all_is_printed_whole_when_all_is_asked_for(round_one, width):
    said = "".join("".join(full(round_one, width)).split())
    for section in sections(round_one):
        for line in (*section.lines, *section.notes):
            assert "".join(line.split()) in said
    assert "0.81[0.71,0.91]" in said


def test_columns_go_then_rows_become_blocks_before_a_word_is_broken():
    grid = Grid("", ("#", "gene", "P"), (("1", "STAT1", "0.25"),), frozenset({"gene"}), spare=("#",))
    assert table_lines(grid, 20) == ["#  gene      P", "1  STAT1  0.25"]
    assert table_lines(grid, 12) == ["gene      P", "STAT1  0.25"]
    assert table_lines(grid, 10) == ["#: 1", "gene:", "  STAT1", "P: 0.25"]


def test_control_characters_of_a_label_never_reach_the_terminal(round_zero):
    bad = replace(round_zero, ranking=round_zero.ranking.assign(gene_name="\x1b[31mA"))
    assert "\x1b" not in "".join([*summary(bad), *full(bad)])


def test_the_last_round_is_shown_without_what_reads_cells_draws_or_computes():
    asked = "import sys, perturbloop.loop.last, perturbloop.report; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    heavy = {"torch", "transformers", "anndata", "scipy", "sklearn", "matplotlib"}
    assert not heavy & set(loaded.split())
