"""Gene sets of several sources as one."""

import numpy as np
from scipy import sparse

from perturbloop.data.annotations import Annotations
from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.genes import NO_NAMES
from perturbloop.data.knowledge import collections
from perturbloop.evidence.alike import joined
from perturbloop.evidence.knowledge import every_set


def of(name, genes, members):
    names = np.array([f"{name}{place}" for place in range(members.shape[1])], dtype=object)
    return GeneSets(name, names, np.array(genes, dtype=object), sparse.csr_matrix(members))


def test_sets_of_several_sources_stand_side_by_side():
    one = of("A", ["g1", "g2"], np.array([[1.0], [1.0]]))
    other = of("B", ["g2", "g3"], np.array([[1.0, 0.0], [1.0, 1.0]]))
    found = joined([one, other])
    assert found.gene_ids.tolist() == ["g1", "g2", "g3"]
    assert found.set_names.tolist() == ["A0", "B0", "B1"]
    assert found.member_gs.toarray().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert found.name == "A and B"
    assert joined([one]) is one
    assert joined([]) is None


def test_the_named_file_and_every_collection_of_sets_are_read():
    one = of("A", ["g1", "g2"], np.array([[1.0], [1.0]]))
    shipped = [collection for collection in collections() if collection.kind in ("sets", "reference")]
    found = every_set(Annotations(gene_sets=one, collections=tuple(shipped)), names=NO_NAMES)
    assert [sets.name for sets in found] == ["A", *(entry.name for entry in shipped if entry.kind == "sets")]
    assert every_set(Annotations(), names=NO_NAMES) == []
