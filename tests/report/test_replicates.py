"""Effects taken apart by guide and by replicate."""

from dataclasses import replace

import pandas as pd

from perturbloop.report import sections
from perturbloop.report.pages import pages
from perturbloop.report.replicates import MOST, by_guide_section
from perturbloop.schema import GUIDES, REPLICATES


def guides(*names):
    rows = [
        (f"ENSG{k:011d}", name, name, f"{name}g{n}", 20, -2.0, 0.25, 0.1, 0.3, effect, weight, reason)
        for k, name in enumerate(names)
        for n, effect, weight, reason in ((1, 1.2, 1.0, ""), (2, -0.1, 0.1, "its RNA did not change"))
    ]
    return pd.DataFrame(rows, columns=GUIDES.names)


def replicates(*names):
    rows = [
        (f"ENSG{k:011d}", name, name, label, effect, 0.2, 30)
        for k, name in enumerate(names)
        for label, effect in (("day 1", 0.4), ("day 2", -0.3))
        if (name, label) != ("JAK2", "day 2")
    ]
    return pd.DataFrame(rows, columns=REPLICATES.names)


def test_guides_and_replicates_stand_in_the_details_of_the_evidence(round_one):
    assert "by-guide" not in {section.key for section in sections(round_one)}
    report = replace(
        round_one,
        guides={"a.h5ad": guides("JAK2", "STAT1")},
        replicates={"a.h5ad": replicates("JAK2", "STAT1")},
    )
    page = next(page for page in pages(report) if page.key == "evidence")
    (section,) = (section for section in page.details if section.key == "by-guide")
    by_guide, by_replicate = section.grids
    assert by_guide.title == "a.h5ad, by guide: 4 guides of 2 targets"
    assert [row[:3] for row in by_guide.rows[:2]] == [
        ("STAT1", "STAT1g1", "+1.20"),
        ("STAT1", "STAT1g2", "−0.10"),
    ]
    assert by_guide.rows[1][3:] == ("0.25", "0.30", "20", "0.10", "its RNA did not change")
    assert by_replicate.columns == ("target", "day 1", "day 2")
    assert by_replicate.rows == (
        ("STAT1", "+0.40 ± 0.20", "−0.30 ± 0.20"),
        ("JAK2", "+0.40 ± 0.20", "–"),
    )


def test_of_many_targets_the_strongest_are_listed(round_one):
    names = [f"T{k}" for k in range(MOST + 5)]
    table = guides(*names)
    table["effect_to_goal"] *= table["target"].str[1:].astype(float)
    (grid,) = by_guide_section(replace(round_one, guides={"a": table})).grids
    assert grid.title == f"a, by guide: {2 * MOST} guides of {MOST} targets, the strongest of {MOST + 5}"
    assert [grid.rows[0][0], grid.rows[-1][0]] == [names[-1], names[5]]


def test_cells_without_guides_or_with_one_replicate_show_no_empty_table(round_one):
    bare = guides("JAK2").assign(guide_id="")
    once = replicates("STAT1").head(1)
    assert by_guide_section(replace(round_one, guides={"a": bare}, replicates={"a": once})).grids == ()
