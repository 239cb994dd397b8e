"""The order of the fast encoding is that of a plain stable sort, whatever the values; rows of tokens lie as they were put."""

import numpy as np
import pytest
from scipy import sparse

from perturbloop.data.encoding import encode
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary


def plainly(counts_ng, gene_ids, total_n, words, spare):
    """One cell after another, in 64 bits."""
    place = {gene: column for column, gene in enumerate(words.gene_ids)}
    rows, beyond = [], []
    for cell in range(counts_ng.shape[0]):
        own = counts_ng[cell].toarray().ravel().astype(np.float64)
        known = [
            g
            for g, gene in enumerate(gene_ids)
            if gene in place and own[g] > 0 and np.isfinite(words.medians[place[gene]])
        ]
        level = np.array([own[g] / total_n[cell] * 10_000 / words.medians[place[gene_ids[g]]] for g in known])
        ranked = [
            int(words.tokens[place[gene_ids[known[rank]]]]) for rank in np.argsort(-level, kind="stable")
        ]
        room = words.max_length - 2 * words.has_cls
        ends = ([words.specials["<cls>"]], [words.specials["<eos>"]]) if words.has_cls else ([], [])
        rows.append([*ends[0], *ranked[:room], *ends[1]])
        beyond.append(ranked[room : room + spare])
    return rows, beyond


@pytest.mark.parametrize("has_cls", [False, True])
@pytest.mark.parametrize("spare", [0, 3])
def test_the_encoding_is_the_plain_one(rng, has_cls, spare, monkeypatch):
    monkeypatch.setattr("perturbloop.data.encoding._AT_ONCE", 40)
    genes = [f"ENSG{number:011d}" for number in range(25)]
    medians = np.where(rng.random(25) < 0.4, 1.0, rng.uniform(0.5, 2, 25))  # ties
    medians[:9] = 1 + np.arange(9)[::-1] * 1e-9  # apart in 64 bits only, the last column first
    medians[20] = np.nan
    words = Vocabulary.of_genes(genes[:23], genes[:23], medians[:23], max_length=12)
    if has_cls:
        words = Vocabulary(**{**vars(words), "specials": words.specials | {"<cls>": 100, "<eos>": 101}})
    values = rng.poisson(1.0, size=(40, 25)).astype(np.float32)
    values[5] = 0
    counts = sparse.csr_matrix(values)
    counts.data[::7] = 0  # stored zeros
    total_n = np.maximum(np.ravel(counts.sum(axis=1)), 1.0)
    found = encode(counts, np.array(genes, dtype=object), total_n, words, spare=spare)
    rows, beyond = plainly(counts, genes, total_n, words, spare)
    assert [row.tolist() for row in found.rows()] == rows
    assert [found.spare(cell).tolist() for cell in range(40)] == beyond
    assert (found.spare_n is None) == (spare == 0)


def test_rows_are_found_counted_and_taken(rng):
    rows = [rng.permutation(np.arange(2, 12))[: rng.integers(1, 9)].tolist() for _ in range(20)]
    framed = Tokens.of_rows([[50, *row, 51] for row in rows], has_cls=True, spare=[row[:2] for row in rows])
    taken = framed.select(np.array([7, 3, 3, 12]))
    assert taken.flat_e is framed.flat_e
    own = [rows[place] for place in (7, 3, 3, 12)]
    count_v = taken.count()
    assert [int(count_v[token]) if token < len(count_v) else 0 for token in range(60)] == [
        sum(token in row for row in own) for token in range(60)
    ]
    cell_f, position_f, token_f = taken.find(np.array([4, 9]))
    expected = [
        (cell, place, token)
        for cell, row in enumerate(own)
        for place, token in enumerate(row)
        if token in (4, 9)
    ]
    assert list(zip(cell_f.tolist(), position_f.tolist(), token_f.tolist(), strict=True)) == expected
    joined = Tokens.joined([taken, framed])
    assert [row.tolist() for row in joined.rows()] == [
        row.tolist() for row in (*taken.rows(), *framed.rows())
    ]
    assert joined.spare(1).tolist() == rows[3][:2]
    assert Tokens.joined([taken, Tokens.of_rows([[50, 4, 51]], has_cls=True)]).spare_n is None
    width = max(len(rows[7]), len(rows[12])) + 2
    assert framed.padded(np.array([7, 12])).tolist() == [
        [*framed.row(cell).tolist(), *[0] * (width - len(framed.row(cell)))] for cell in (7, 12)
    ]
