"""What the report says of collections."""

from dataclasses import replace

from perturbloop.report import full, sections
from perturbloop.report.knowledge import NO_COLLECTIONS

REACTOME = {
    "name": "reactome",
    "source": "reactome.org",
    "version": "79",
    "date": "2021-12-14",
    "licence": "CC0 1.0",
    "digest": "18c4",
}


def section(report):
    return next(one for one in sections(report) if one.key == "knowledge")


def test_each_collection_stands_with_its_origin_and_its_weight(round_one):
    weights = {"delete": {"co-expression": -0.3, "reactome": 1.234, "own.gmt": 0.5}}
    report = replace(round_one, collections=(REACTOME,), network_weights=weights)
    (grid,) = section(report).grids
    assert grid.rows == (
        ("co-expression", "0.00", "your cells", "", "", "", ""),
        ("reactome", "1.23", "reactome.org", "79", "2021-12-14", "CC0 1.0", "18c4"),
        ("own.gmt", "0.50", "a file that was named", "", "", "", ""),
    )
    assert any("2021-12-14" in line for line in full(report, 100))


def test_a_campaign_without_collections_says_so(round_one):
    assert NO_COLLECTIONS in section(round_one).lines
