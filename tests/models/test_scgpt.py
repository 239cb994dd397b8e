"""scGPT folders as published, small: their reading against one written out by hand, their edits, and what is refused."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from typer.testing import CliRunner

from perturbloop import models
from perturbloop.cli import app
from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize
from perturbloop.errors import InputError, ModelError
from perturbloop.models.readout import Readout
from perturbloop.models.scgpt import binned
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.plan import plan
from perturbloop.schema import PerturbConfig

GENES = [f"ENSG{number:011d}" for number in range(12)]
SYMBOLS = [f"GENE{number}" for number in range(12)]
WORDS = {"RP5-973N23.5": 0} | {name: 12 - n for n, name in enumerate(SYMBOLS)}
WORDS |= {"<pad>": 13, "<cls>": 14, "<eoc>": 15}
DIM, WIDE, LAYERS, HEADS, BINS = 8, 12, 2, 2, 5
ARGS = {
    "data_source": "/some/where",
    "embsize": DIM,
    "d_hid": WIDE,
    "nlayers": LAYERS,
    "nheads": HEADS,
    "n_layers_cls": 3,
    "n_bins": BINS,
    "max_seq_len": 9,
    "pad_token": "<pad>",
    "pad_value": -2,
    "mask_value": -1,
    "input_style": "binned",
    "input_emb_style": "continuous",
    "dropout": 0.2,
}


def tensors():
    """Tensors under their published names: attention as FlashAttention names it, heads beside."""
    sizes = {
        "encoder.embedding.weight": (16, DIM),
        "value_encoder.linear1.weight": (DIM, 1),
        "value_encoder.linear1.bias": (DIM,),
        "value_encoder.linear2.weight": (DIM, DIM),
        "value_encoder.linear2.bias": (DIM,),
        "flag_encoder.weight": (2, DIM),
        "decoder.fc.0.weight": (DIM, DIM),
        "mvc_decoder.W.weight": (DIM, DIM),
    }
    norms = ["encoder.enc_norm", "value_encoder.norm"]
    for number in range(LAYERS):
        layer = f"transformer_encoder.layers.{number}"
        sizes |= {
            f"{layer}.self_attn.Wqkv.weight": (3 * DIM, DIM),
            f"{layer}.self_attn.Wqkv.bias": (3 * DIM,),
            f"{layer}.self_attn.out_proj.weight": (DIM, DIM),
            f"{layer}.self_attn.out_proj.bias": (DIM,),
            f"{layer}.linear1.weight": (WIDE, DIM),
            f"{layer}.linear1.bias": (WIDE,),
            f"{layer}.linear2.weight": (DIM, WIDE),
            f"{layer}.linear2.bias": (DIM,),
        }
        norms += [f"{layer}.norm1", f"{layer}.norm2"]
    sizes |= {f"{norm}.{kind}": (DIM,) for norm in norms for kind in ("weight", "bias")}
    rng = np.random.default_rng(0)
    return {name: torch.from_numpy(rng.normal(size=size).astype(np.float32)) for name, size in sizes.items()}


def write(folder, args=ARGS, words=WORDS, weights=None):
    """A folder as published."""
    folder.mkdir()
    (folder / "args.json").write_text(json.dumps(args))
    (folder / "vocab.json").write_text(json.dumps(words))
    torch.save(tensors() if weights is None else weights, folder / "best_model.pt")
    return folder


@pytest.fixture
def folder(tmp_path):
    tables = {
        "token_dictionary": {"<pad>": 0, "<mask>": 1} | {gene: n + 2 for n, gene in enumerate(GENES)},
        "gene_median_dictionary": dict.fromkeys(GENES, 1.0),
        "gene_name_id_dict": dict(zip(SYMBOLS, GENES, strict=True)),
    }
    for name, table in tables.items():
        (tmp_path / f"{name}_gc104M.pkl").write_bytes(pickle.dumps(table))
    return write(tmp_path / "scGPT-human")


def by_hand(weights, words, values):
    """Embedding of one cell, in numpy: words and values, `<cls>` first."""
    w = {name: one.double().numpy() for name, one in weights.items()}

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    value = np.array(values, float)[:, None]
    value = dense(np.maximum(dense(value, "value_encoder.linear1"), 0), "value_encoder.linear2")
    x = norm(w["encoder.embedding.weight"][words], "encoder.enc_norm") + norm(value, "value_encoder.norm")
    for number in range(LAYERS):
        layer = f"transformer_encoder.layers.{number}"
        heads = []
        for q, k, v in zip(
            *(np.split(one, HEADS, 1) for one in np.split(dense(x, f"{layer}.self_attn.Wqkv"), 3, 1)),
            strict=True,
        ):
            score = np.exp(q @ k.T / np.sqrt(DIM / HEADS))
            heads.append(score / score.sum(1, keepdims=True) @ v)
        x = norm(x + dense(np.concatenate(heads, 1), f"{layer}.self_attn.out_proj"), f"{layer}.norm1")
        x = norm(x + dense(np.maximum(dense(x, f"{layer}.linear1"), 0), f"{layer}.linear2"), f"{layer}.norm2")
    return x[0] / np.linalg.norm(x[0])


def cells_of(rows):
    matrix = sparse.csr_matrix(np.array(rows, dtype=np.float32))
    genes = np.array([*GENES, "ENSG00000000999"], dtype=object)
    obs = pd.DataFrame(index=[f"c{n}" for n in range(len(rows))])
    return Cells(matrix, genes, genes, obs, "toy", "none")


ROWS = [[0, 3, 1, 1, 0, 7, 0, 0, 0, 0, 0, 0, 5], [9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1, 0]]


def test_a_cell_is_read_as_written_out_by_hand(folder):
    model = models.load(folder)
    cells = cells_of(ROWS)
    # counts 3, 1, 1, 7 between the edges 1, 1, 3, 7: bins 3, 1 (or 2), 1, 4
    words = [WORDS[name] for name in ("<cls>", "GENE1", "GENE2", "GENE3", "GENE5")]
    expected = by_hand(tensors(), words, [-2, 3, 1, 1, 4])
    np.testing.assert_allclose(model.embed_cells(cells)[0], expected, atol=1e-5)
    assert np.diff(model.values(cells).indptr).tolist() == [4, 8]  # the highest counts of the longer cell
    card = models.describe(folder)
    assert (card.digest, card.family, card.reads) == (model.digest, "scgpt", "values")
    assert card.vocabulary.gene_names.tolist() == SYMBOLS
    assert "1 of 'decoder', 1 of 'flag_encoder', 1 of 'mvc_decoder'" in card.notes[0]


def test_bins_are_those_of_quantiles_and_ties_take_the_middle_one():
    count_g = np.random.default_rng(0).poisson(3, size=400) + 1.0
    bins = binned(count_g, 51)
    edges = np.quantile(count_g, np.linspace(0, 1, 50))
    for count, found in zip(count_g, bins, strict=True):
        before, last = (edges < count).sum(), (edges <= count).sum()
        possible = range(min(before + 1, last), last + 1)
        assert found in possible
        assert abs(found - np.mean(possible)) <= 1
    assert (bins.min() >= 1, bins.max()) == (True, 50)


def test_edits_set_a_genes_value_and_no_others(folder):
    model, cells = models.load(folder), cells_of(ROWS[:1])
    tokens = tokenize(cells, model.vocabulary)
    config = PerturbConfig(kinds=("delete", "overexpress"), not_expressed="insert")
    edits = plan(tokens, model.vocabulary, config, gene_ids=[GENES[1], GENES[7]])
    rng = np.random.default_rng(1)
    readout = Readout(rng.normal(size=DIM), rng.normal(size=DIM), 0.0)
    shifts = (
        engine_of(model, readout, cells).shifts(tokens, edits).set_index(["gene_id", "kind"])["logit_shift"]
    )
    base = {"<cls>": -2, "GENE1": 3, "GENE2": 1, "GENE3": 1, "GENE5": 4}
    after = {
        (GENES[1], "delete"): {name: value for name, value in base.items() if name != "GENE1"},
        (GENES[1], "overexpress"): base | {"GENE1": BINS - 1},
        (GENES[7], "overexpress"): base | {"GENE7": BINS - 1},
    }

    def logit(cell):
        return by_hand(tensors(), [WORDS[name] for name in cell], list(cell.values())) @ readout.weight_d

    assert set(shifts.index) == set(after)
    for edit, cell in after.items():
        assert shifts[edit] == pytest.approx(logit(cell) - logit(base), abs=1e-4)


def other(**change):
    return lambda folder: (folder / "args.json").write_text(json.dumps(ARGS | change))


def less(folder):
    weights = tensors()
    del weights["encoder.enc_norm.bias"]
    torch.save(weights, folder / "best_model.pt")


REFUSED = {
    "bins": (other(n_bins="many"), ModelError, "has .*n_bins = .*many.*Copy the file again"),
    "style": (other(input_emb_style="category"), ModelError, "input_emb_style = .*category"),
    "width": (other(embsize=16), ModelError, r"must have the sizes that `args.json` gives; \d+ have others"),
    "words": (
        lambda folder: (folder / "vocab.json").write_text(json.dumps({"<cls>": 0, "GENE1": 1})),
        ModelError,
        "names 4, of 16. Use the one",
    ),
    "numbers": (
        lambda folder: (folder / "vocab.json").write_text(json.dumps({"<cls>": 0, "GENE1": 7})),
        ModelError,
        "must number its words from 0 without gaps",
    ),
    "a tensor less": (less, ModelError, r"lacks 1 of 33: 'encoder.enc_norm.bias'"),
    "no weights": (
        lambda folder: (folder / "best_model.pt").unlink(),
        ModelError,
        "needs its weights, `best_",
    ),
    "no dictionaries": (
        lambda folder: [path.unlink() for path in folder.parent.glob("*.pkl")],
        InputError,
        "names genes by symbols, .* with `--vocabulary`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_is_none_is_refused_in_words(folder, case):
    spoil, kind, says = REFUSED[case]
    spoil(folder)
    with pytest.raises(kind, match=says) as refused:
        models.describe(folder)
    words = ["--cells", "none.h5ad", "--state-column", "s", "--start", "a", "--goal", "b"]
    found = CliRunner().invoke(app, ["init", "study", *words, "--model", str(folder)])
    assert (found.exit_code, found.stderr) == (1, f"Error: {refused.value}\n")
