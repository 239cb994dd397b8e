"""Two processes learn what one learns, and only the first writes."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from perturbloop.train.together import Crew

BODY = """
    import json, sys
    from pathlib import Path
    import numpy as np, pandas as pd, torch
    from scipy import sparse
    from transformers import BertConfig, BertModel
    from perturbloop.cli import app, output
    from perturbloop.data.cells import Cells
    from perturbloop.data.tokens import Tokens
    from perturbloop.data.vocabulary import Vocabulary
    from perturbloop.models.geneformer import Geneformer
    from perturbloop.schema import TrainConfig
    from perturbloop.train import pretrain as module
    from perturbloop.train.examples import open_loop
    from perturbloop.train.fit import fine_tune
    from perturbloop.train.pretrain_config import PretrainConfig

    output.TRAINING |= {"teach"}

    @app.command()
    def teach(folder: Path):
        torch.set_num_threads(1)
        genes = np.array([f"ENSG{place:011d}" for place in range(30)], dtype=object)
        rng = np.random.default_rng(0)
        counts = sparse.csr_matrix(rng.poisson(1.0, (41, 30)).astype(np.float32))
        cells = Cells(counts, genes, genes, pd.DataFrame(index=[f"c{n}" for n in range(41)]), "cells.h5ad", "digest")
        words = Vocabulary.of_genes(genes, genes, np.ones(30), max_length=32)
        config = PretrainConfig(layers=1, hidden=16, max_length=32, steps=8, batch_tokens=70, holdout=0.2)
        losses = []
        done = module.pretrain([cells], words, folder / "model", config, on_step=lambda *said: losses.append(said[2]))
        bert = BertModel(BertConfig(vocab_size=32, max_position_embeddings=32, hidden_size=16, num_hidden_layers=1,
                                    num_attention_heads=2, intermediate_size=16), add_pooling_layer=False)
        encoder = Geneformer(bert, words, pooling="mean")
        tokens = Tokens.of_rows([2 + rng.permutation(30)[: rng.integers(5, 30)] for _ in range(31)])
        examples = open_loop(tokens, np.arange(31) % 2 == 0, max_cells=31, rng=np.random.default_rng(0))
        config = TrainConfig(model="m", epochs=2, batch_tokens=120, accumulate=2)
        tuned = {level: fine_tune(encoder, examples, config, level=level).weight_d.tolist() for level in ("full", "lora")}
        held = {"losses": losses, "steps": done.steps, "tuned": tuned}
        (folder / "said.json").write_text(json.dumps(held))

    torch.manual_seed(0)
    app(["teach", sys.argv[1]])
"""


def launched(folder, size):
    """Run it in so many processes, as `accelerate launch` does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folder.mkdir()
    code = "\n".join(line[4:] for line in BODY.splitlines())
    runs = []
    for rank in range(size):
        more = {"WORLD_SIZE": str(size), "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        runs.append(subprocess.Popen([sys.executable, "-c", code, str(folder)], env=os.environ | more))
    try:
        assert [run.wait(timeout=300) for run in runs] == [0] * size
    finally:
        for run in runs:
            run.kill()
            run.wait()
    return json.loads((folder / "said.json").read_text()), load_file(folder / "model" / "model.safetensors")


@pytest.mark.long
def test_two_processes_learn_what_one_learns(tmp_path):
    alone, weights = launched(tmp_path / "alone", 1)
    both, others = launched(tmp_path / "both", 2)
    assert both["steps"] == alone["steps"] == len(both["losses"]) == 8
    np.testing.assert_allclose(both["losses"], alone["losses"], rtol=1e-5)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=0, atol=1e-4, msg=name)
    for level in ("full", "lora"):
        np.testing.assert_allclose(both["tuned"][level], alone["tuned"][level], atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["model", "said.json"]


def test_every_row_of_a_batch_is_one_process_s():
    rows = np.array([5, 3, 8, 1, 9])
    shares = [Crew(rank, 3).share(rows).tolist() for rank in range(3)]
    assert sorted(row for share in shares for row in share) == sorted(rows)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert Crew(2, 3).share(rows[:2]).size == 0
