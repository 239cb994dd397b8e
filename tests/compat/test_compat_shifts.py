"""Shifts toward several states, against a loop over single cells; what `compat` changes and what it does not."""

from dataclasses import replace
from itertools import permutations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from perturbloop.compat.shifts import _together, shifts_by_state
from perturbloop.compat.tokenizer import tokenize_adata
from perturbloop.data.cells import from_adata
from perturbloop.data.encoding import tokenize
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.plan import plan
from perturbloop.schema import PerturbConfig


def embedded(model, row):
    """Mean over the tokens of one row, encoded alone."""
    return next(model.hidden([np.asarray(row)])).mean(axis=0)


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.mark.parametrize("kind", ["delete", "overexpress"])
@pytest.mark.parametrize("compat", [None, "geneformer"])
def test_one_gene_at_a_time_the_shifts_are_those_of_the_exact_engine(model, tokens, readout, kind, compat):
    edits = plan(tokens, model.vocabulary, PerturbConfig(kinds=(kind,), cells_per_gene=99))
    ours = ExactEngine(model, readout).shifts(tokens, edits).sort_values(["cell", "position"])
    both = shifts_by_state(model, tokens, kind=kind, states={"goal": readout.goal_d}, compat=compat)
    both = both.sort_values(["cell", "position"])
    assert both["cell"].tolist() == ours["cell"].tolist()
    assert both["position"].tolist() == ours["position"].tolist()
    np.testing.assert_allclose(both["shift"], ours["shift_to_goal"], atol=1e-6)


@pytest.mark.parametrize("compat", [None, "geneformer"])
def test_a_set_in_front_cuts_the_unedited_cell_only_as_the_published_tool(model, readout, compat):
    row = list(range(2, 14)) + [
        2,
        3,
        4,
        5,
    ]  # as long as the model allows: one more gene pushes the last one out
    cells = Tokens.of_rows([row[:15]])
    words = model.vocabulary.with_length(15)
    model = type(model)(model.bert, words, pooling="mean")
    absent = 0
    assert absent not in row
    found = shifts_by_state(
        model, cells, kind="overexpress", states={"goal": readout.goal_d}, genes=(absent,), compat=compat
    )
    original = row[:14] if compat else row[:15]
    change = cosine(embedded(model, [absent, *row[:14]]), readout.goal_d)
    assert found["shift"].item() == pytest.approx(
        change - cosine(embedded(model, original), readout.goal_d), abs=1e-6
    )


@pytest.mark.parametrize("kind", ["delete", "overexpress"])
def test_without_states_a_set_gives_the_mean_similarity_of_the_genes_that_stay(model, tokens, kind):
    genes = tuple(int(token) for token in tokens.row(2)[:2])
    found = shifts_by_state(model, tokens, kind=kind, states=None, genes=genes).set_index("cell")["shift"]
    row = tokens.row(2)
    rest = [token for token in row.tolist() if token not in genes]
    after = rest if kind == "delete" else [*genes, *rest]
    before_td, after_td = (next(model.hidden([np.asarray(one)])) for one in (row, after))
    pairs = [(row.tolist().index(token), after.index(token)) for token in rest]
    assert found.loc[2] == pytest.approx(np.mean([cosine(before_td[a], after_td[b]) for a, b in pairs]))


def test_a_gene_that_occurs_twice_is_edited_once_at_a_time(model, readout):
    cells = Tokens.of_rows([[5, 6, 5, 7]])
    found = shifts_by_state(model, cells, kind="delete", states={"goal": readout.goal_d}, compat="geneformer")
    assert found["token"].tolist() == [5, 6, 5, 7]
    change = cosine(embedded(model, [6, 5, 7]), readout.goal_d) - cosine(
        embedded(model, [5, 6, 5, 7]), readout.goal_d
    )
    assert found["shift"].iloc[0] == pytest.approx(change, abs=1e-6)


def test_the_published_order_is_longest_first_and_ours_that_of_the_cells(model, tokens, readout):
    states = {"goal": readout.goal_d}
    plain = shifts_by_state(model, tokens, kind="delete", states=states)
    compat = shifts_by_state(model, tokens, kind="delete", states=states, compat="geneformer")
    assert plain["cell"].drop_duplicates().tolist() == [0, 1, 2, 3, 4, 5]
    assert compat["cell"].drop_duplicates().tolist() == [2, 5, 1, 3, 4, 0]


def test_adata_is_encoded_as_files_are_and_as_the_published_tool_does_on_request(rng):
    ids = [f"ENSG{number:011d}" for number in range(30)]
    words = Vocabulary.of_genes(ids, ids, rng.uniform(1, 3, 30), max_length=16)
    adata = ad.AnnData(
        rng.poisson(3.0, (4, 31)).astype(np.float32),
        var=pd.DataFrame({"ensembl_id": [*ids, ids[0]]}, index=[f"g{place}" for place in range(31)]),
    )
    cells, _ = from_adata(adata, names=words.names)
    np.testing.assert_array_equal(tokenize_adata(adata, words).flat_e, tokenize(cells, words).flat_e)
    with pytest.raises(InputError, match="needs the column `n_counts`"):
        tokenize_adata(adata, words, compat="geneformer")
    adata.obs["n_counts"] = np.asarray(adata.X.sum(axis=1)).ravel()
    longer = Vocabulary.of_genes(ids, ids, words.medians, max_length=40)
    repeated = tokenize_adata(adata, longer, compat="geneformer")
    twice = [(repeated.row(cell) == words.tokens[0]).sum() for cell in range(4)]
    assert twice == [(adata.X[cell, [0, 30]] > 0).sum() for cell in range(4)]


def published_rows(row, genes, kind, limit, second, has_cls):
    """The published rule on plain lists: the unedited and the edited cell, or nothing where a deletion does not apply."""
    original, rest = list(row), list(row)
    present = [gene for gene in genes if gene in row]
    for gene in present:
        del rest[rest.index(gene)]
    if kind == "delete":
        return (original, rest) if len(present) == len(genes) else None
    for gene in genes[::-1]:
        rest.insert(1 if second else 0, gene)
    while len(rest) > limit:
        del rest[-2 if second else -1]
    for _ in range(len(rest) + len(genes) - len(present) - limit):
        del original[-2 if has_cls else -1]
    return original, rest


@pytest.mark.parametrize("kind", ["delete", "overexpress"])
@pytest.mark.parametrize(
    ("second", "has_cls"),
    [(False, False), (True, True), (True, False)],
    ids=["first generation", "second", "second without special tokens"],
)
def test_a_set_is_edited_by_the_published_rule_wherever_its_genes_stand(model, kind, second, has_cls):
    """Each length up to the limit, each choice of one or three genes that are first, inside, last or absent."""
    words = model.vocabulary.with_length(12)
    if second:
        words = replace(words, specials={**words.specials, "<cls>": 2, "<eos>": 3})
    encoder = type(model)(model.bert, words, pooling="mean")
    for length in range(1, 13 - 2 * has_cls):
        genes = list(range(10, 10 + length))
        row = [2, *genes, 3] if has_cls else genes
        cells = Tokens.of_rows([row], has_cls=has_cls)
        choice = [*dict.fromkeys([genes[0], genes[length // 2], genes[-1]]), 50, 51, 52]
        for listed in [*permutations(choice, 1), *permutations(choice, 3)]:
            expected = published_rows(row, listed, kind, 12, second, has_cls)
            found = _together(np.array(row), kind, listed, encoder, cells, "geneformer")
            rows = [(original.tolist(), edited.tolist()) for _, original, edited in found]
            assert rows == ([] if expected is None else [expected]), (row, listed)
