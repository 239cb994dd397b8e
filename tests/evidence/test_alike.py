"""Gene sets of several sources as one."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from perturbloop.data.annotations import Annotations
from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.genes import NO_NAMES
from perturbloop.data.knowledge import collections
from perturbloop.evidence import alike
from perturbloop.evidence.alike import every_set


def of(name, genes, members):
    names = np.array([f"{name}{place}" for place in range(members.shape[1])], dtype=object)
    return GeneSets(name, names, np.array(genes, dtype=object), sparse.csr_matrix(members))


def test_sets_of_several_sources_stand_side_by_side(monkeypatch):
    one = of("A", ["g1", "g2"], np.array([[1.0], [1.0]]))
    other = of("B", ["g2", "g3"], np.array([[1.0, 0.0], [1.0, 1.0]]))

    shipped = next(collection for collection in collections() if collection.kind == "sets")
    monkeypatch.setattr(
        alike,
        "by_gene_id",
        lambda *_: type(
            "C", (), {"columns": other.set_names, "labels": other.gene_ids, "value_gc": other.member_gs}
        ),
    )
    found = every_set(Annotations(gene_sets=one, collections=(replace(shipped, name="B"),)), names=NO_NAMES)
    assert found.gene_ids.tolist() == ["g1", "g2", "g3"]
    assert found.set_names.tolist() == ["A0", "B0", "B1"]
    assert found.member_gs.toarray().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert found.name == "A and B"
    assert every_set(Annotations(gene_sets=one), names=NO_NAMES) is one
    assert every_set(Annotations(), names=NO_NAMES) is None
