"""Which cells are learned from, and which are held out."""

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.train.corpus import build_corpus

GENES = np.array([f"ENSG{place:011d}" for place in range(40)], dtype=object)
VOCABULARY = Vocabulary.of_genes(GENES, GENES, np.ones(40), max_length=40)


def cells_of(counts, genes, names, source):
    return Cells(
        sparse.csr_matrix(counts, dtype=np.float32), genes, genes, pd.DataFrame(index=names), source, source
    )


def two_panels(rng):
    """Thirty cells on all genes; twenty of them and ten others on the first half of the genes."""
    counts = rng.poisson(2.0, (40, 40)) + 1
    names = np.array([f"AAAC{place}" for place in range(40)])
    wide = cells_of(counts[:30], GENES, names[:30], "wide")
    return wide, cells_of(counts[10:, :20], GENES[:20], names[10:], "narrow")


def test_a_cell_measured_twice_is_kept_once_with_more_genes(rng):
    wide, narrow = two_panels(rng)
    for files, copies in (([wide, narrow], (0, 20)), ([narrow, wide], (20, 0))):
        corpus = build_corpus(files, VOCABULARY)
        assert corpus.n_copies == copies
        assert corpus.n_cells == 40


def test_a_name_used_for_two_different_cells_is_no_copy_but_lies_on_one_side(rng):
    wide, _ = two_panels(rng)
    other = cells_of(rng.poisson(2.0, (30, 40)) + 1, GENES, wide.obs.index, "other")
    corpus = build_corpus([wide, other], VOCABULARY, holdout=0.3)
    assert corpus.n_copies == (0, 0)
    assert corpus.held_n.sum() == 18
    np.testing.assert_array_equal(corpus.held_n[:30], corpus.held_n[30:])


def test_cells_with_few_known_genes_are_left_out_and_counted(rng):
    counts = np.ones((20, 40))
    counts[3, 4:] = 0
    corpus = build_corpus([cells_of(counts, GENES, np.arange(20).astype(str), "a")], VOCABULARY)
    assert corpus.n_short == (1,)
    assert corpus.n_cells == 19


def test_expression_keeps_its_gene_whatever_the_order_of_columns(rng):
    wide, _ = two_panels(rng)
    turned = cells_of(wide.counts_ng[:, ::-1].toarray(), GENES[::-1], wide.obs.index, "turned")
    first, second = (build_corpus([cells], VOCABULARY) for cells in (wide, turned))
    assert abs(first.expression_ng - second.expression_ng).max() < 1e-6
    np.testing.assert_array_equal(first.held_n, second.held_n)


def test_frequencies_come_from_training_cells_and_sum_to_one(rng):
    wide, narrow = two_panels(rng)
    corpus = build_corpus([wide, narrow], VOCABULARY, holdout=0.5)
    assert np.isclose(np.exp(corpus.log_unigram()).sum(), 1)
    assert corpus.token_counts().sum() == sum(
        len(row) for row, held in zip(corpus.rows, corpus.held_n, strict=True) if not held
    )
    assert np.isneginf(corpus.log_unigram()[:2]).all()  # <pad> and <mask>
    assert corpus.token_counts(file=1)[22:].sum() == 0  # genes the narrow panel does not measure
