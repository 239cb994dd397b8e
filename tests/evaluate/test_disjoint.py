"""Which held-out targets are kept, against a slow loop over sets."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate.disjoint import pathway_disjoint, related
from perturbloop.evaluate.held_out import held_out
from perturbloop.schema import EFFECTS

GENES = np.array([f"ENSG{place:02}" for place in range(40)], dtype=object)


@pytest.fixture
def sets(rng):
    """Thirty sets of one to twelve of the first 36 genes; the others are in none."""
    member_gs = np.zeros((36, 30), dtype=np.float32)
    for at in range(30):
        member_gs[rng.choice(36, size=rng.integers(1, 13), replace=False), at] = 1
    names = np.array([f"set {at}" for at in range(30)], dtype=object)
    return GeneSets("a.gmt", names, GENES[:36], csr_matrix(member_gs))


def effects_of(fold_g, modality="crispri"):
    table = pd.DataFrame(dict.fromkeys(EFFECTS.names, ""), index=range(40))
    return table.assign(
        gene_id=GENES, modality=modality, level="gene", effect_to_goal=1.0, hit=True, fold=fold_g
    )


def slow(gene, training, sets, smallest, largest):
    """Set by set, member by member."""
    for at in range(sets.set_names.size):
        members = {
            name for name, yes in zip(sets.gene_ids, sets.member_gs[:, [at]].toarray(), strict=True) if yes
        }
        if smallest <= len(members) <= largest and gene in members and members & set(training):
            return True
    return gene in training


@pytest.mark.parametrize(("smallest", "largest"), [(1, 100), (3, 6), (5, 500)])
def test_related_genes_share_a_set_of_the_right_size(sets, smallest, largest):
    training = GENES[[0, 7, 39]].tolist()
    found = related(GENES, training, sets, smallest=smallest, largest=largest)
    assert found.tolist() == [slow(gene, training, sets, smallest, largest) for gene in GENES]
    assert 3 < found.sum() < 40


def test_nothing_is_related_to_nothing_and_a_gene_in_no_set_to_no_other(sets):
    assert not related(GENES, [], sets).any()
    assert not related(GENES[36:39], GENES[:36].tolist(), sets, smallest=1).any()
    assert not related(GENES[36:], ["ENSG99"], sets).any()


def test_each_fold_is_compared_with_the_targets_that_trained_its_own_ranking(sets):
    effects = effects_of(np.arange(40) % 4)
    truth = held_out(effects, "delete")
    kept_n = pathway_disjoint(truth, effects, sets)
    for gene, fold, kept in zip(truth.gene_ids, truth.fold_n, kept_n, strict=True):
        training = GENES[np.arange(40) % 4 != fold].tolist()
        assert kept == (not slow(gene, training, sets, 5, 500))


def test_targets_of_another_modality_were_trained_on_as_well(sets):
    held = effects_of(np.zeros(40, dtype=int)).iloc[:20]
    spent = effects_of(np.full(40, -1), modality="crispra").iloc[20:]
    truth = held_out(pd.concat([held, spent]), "delete")
    kept_n = pathway_disjoint(truth, pd.concat([held, spent]), sets)
    expected = [not slow(gene, GENES[20:].tolist(), sets, 5, 500) for gene in truth.gene_ids]
    assert kept_n.tolist() == expected
    assert not all(expected)
    assert pathway_disjoint(truth, held, sets).all()
