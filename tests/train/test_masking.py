"""Batches and masks."""

import numpy as np
import pytest

from perturbloop.train.masking import IGNORED, batches, mask_genes, pad

PAD, MASK, CLS, EOS = 0, 1, 2, 3
IS_GENE = np.arange(30) > EOS


def rows_of(rng, n_cells):
    return [
        np.concatenate([[CLS], rng.choice(np.arange(4, 30), rng.integers(5, 20), replace=False), [EOS]])
        for _ in range(n_cells)
    ]


@pytest.mark.parametrize("all_masked", [True, False])
def test_special_tokens_and_padding_are_never_hidden_or_changed(rng, all_masked):
    tokens = pad(rows_of(rng, 200))
    shown, labels = mask_genes(tokens, IS_GENE, mask_token=MASK, share=0.3, rng=rng, all_masked=all_masked)
    special = ~IS_GENE[tokens]
    assert (labels[special] == IGNORED).all()
    np.testing.assert_array_equal(shown[special], tokens[special])
    assert not np.isin(shown[~special], [PAD, CLS, EOS]).any()
    np.testing.assert_array_equal(shown[labels == IGNORED], tokens[labels == IGNORED])
    np.testing.assert_array_equal(labels[labels != IGNORED], tokens[labels != IGNORED])


def test_the_share_is_exact_in_every_cell_and_at_least_one(rng):
    tokens = pad(rows_of(rng, 100))
    _, labels = mask_genes(tokens, IS_GENE, mask_token=MASK, share=0.15, rng=rng)
    genes = IS_GENE[tokens].sum(axis=1)
    np.testing.assert_array_equal((labels != IGNORED).sum(axis=1), np.maximum(1, np.rint(0.15 * genes)))


def test_eight_in_ten_show_the_mask_and_one_in_ten_the_gene(rng):
    tokens = np.tile(np.arange(4, 30), (2000, 1))
    shown, labels = mask_genes(tokens, IS_GENE, mask_token=MASK, share=0.5, rng=rng)
    hidden = labels != IGNORED
    assert (shown[hidden] == MASK).mean() == pytest.approx(0.8, abs=0.01)
    assert (shown[hidden] == tokens[hidden]).mean() == pytest.approx(0.1 + 0.1 / 26, abs=0.01)


def test_every_cell_is_in_one_batch_within_the_budget(rng):
    length = rng.integers(1, 50, 500)
    dealt = batches(length, batch_tokens=200, rng=rng, pool=4)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(500))
    assert all(len(batch) * length[batch].max() <= 200 for batch in dealt)


def test_little_is_spent_on_padding(rng):
    length = rng.integers(200, 512, 2000)
    dealt = batches(length, batch_tokens=4096, rng=rng)
    spent = sum(len(batch) * length[batch].max() for batch in dealt)
    assert length.sum() / spent > 0.95


def test_a_cell_longer_than_the_budget_is_a_batch_of_its_own(rng):
    assert [batch.tolist() for batch in batches(np.array([50]), batch_tokens=10, rng=rng)] == [[0]]
