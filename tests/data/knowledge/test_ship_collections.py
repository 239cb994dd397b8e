"""The script that makes the shipped collections, on an ontology of four terms."""

import importlib.util
import sys
from pathlib import Path

import pytest

OBO = """format-version: 1.2

[Term]
id: GO:1
name: root
namespace: biological_process

[Term]
id: GO:2
name: signaling
namespace: biological_process
alt_id: GO:22
is_a: GO:1 ! root

[Term]
id: GO:3
name: receptor activation
namespace: biological_process
relationship: part_of GO:2 ! signaling
relationship: regulates GO:4 ! other

[Term]
id: GO:4
name: other
namespace: biological_process
is_a: GO:1 ! root

[Term]
id: GO:5
name: obsolete process
namespace: biological_process
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
ROWS = [
    ("A", "involved_in", "GO:3", "IDA", "P"),
    ("B", "acts_upstream_of", "GO:22", "IEA", "P"),
    ("C", "NOT|involved_in", "GO:2", "IMP", "P"),
    ("D", "involved_in", "GO:2", "ND", "P"),
    ("E", "enables", "GO:9", "IDA", "F"),
    ("F", "involved_in", "GO:2", "TAS", "P"),
    ("F", "involved_in", "GO:4", "TAS", "P"),
    ("G", "involved_in", "GO:5", "TAS", "P"),
]


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[3] / "scripts" / "ship_collections.py"
    spec = importlib.util.spec_from_file_location("ship_collections", path)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_annotations_are_handed_up_and_denied_ones_left_out(script, tmp_path):
    (tmp_path / "go.obo").write_text(OBO)
    lines = [
        "\t".join(["UniProtKB", "P", gene, how, term, "PMID:1", code, "", aspect])
        for gene, how, term, code, aspect in ROWS
    ]
    (tmp_path / "goa.gaf").write_text("!gaf-version: 2.2\n" + "\n".join(lines) + "\n")
    ontology = script.of_published(tmp_path / "go.obo", tmp_path / "goa.gaf")
    assert dict(script.term_sets(ontology)) == {"root": ["A", "B", "F"], "signaling": ["A", "B", "F"]}
