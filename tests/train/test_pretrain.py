"""Pretraining of small models, on cells of 60 genes."""

import json
import re
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from scipy import sparse
from transformers import BertForMaskedLM

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, InputError, ModelError, StoreError
from perturbloop.models.geneformer import load_geneformer
from perturbloop.train import pretrain as module
from perturbloop.train.corpus import build_corpus
from perturbloop.train.masked_loss import _fixed_batches, held_out_losses
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import HeldOut, PretrainConfig, PretrainReport
from perturbloop.train.warm_start import first_model, sine_waves

GENES = np.array([f"ENSG{place:011d}" for place in range(60)], dtype=object)
PER_CELL = 8
VOCABULARY = Vocabulary.of_genes(GENES, GENES, np.ones(60), max_length=16)
SHORT = PretrainConfig(
    layers=2, hidden=16, max_length=16, steps=12, batch_tokens=256, epochs=100, holdout=0.2
)


def cells_of(counts, *, source="cells.h5ad", genes=GENES, names=None):
    names = [f"{source}-{place}" for place in range(len(counts))] if names is None else names
    matrix = sparse.csr_matrix(counts, dtype=np.float32)
    return Cells(matrix, genes, genes, pd.DataFrame(index=names), source, f"digest of {source}")


def draw(rng, n_cells, *, structured):
    """Cells that express 8 of 60 genes, each at a random level; structured: all 8 from one of three modules."""
    counts = np.zeros((n_cells, 60))
    for row in counts:
        pool = rng.choice(3) * 20 + np.arange(20) if structured else np.arange(60)
        row[rng.choice(pool, PER_CELL, replace=False)] = rng.permutation(PER_CELL) + 1
    return counts


@pytest.fixture(scope="module")
def structured():
    return cells_of(draw(np.random.default_rng(0), 300, structured=True))


def weights(folder):
    return BertForMaskedLM.from_pretrained(folder).state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls_far_below_the_unigram_where_genes_come_in_modules(structured, tmp_path):
    report = pretrain(
        [structured],
        VOCABULARY,
        tmp_path / "m",
        replace(SHORT, steps=100, mask_share=0.25, learning_rate=3e-3),
    )
    assert report.overall.loss < report.overall.unigram - 0.7
    assert report.overall.loss < report.first_loss
    assert report.steps == 100
    assert report.n_cells + report.n_held_out == 300


def test_the_loss_stays_at_the_unigram_where_genes_are_independent(tmp_path, rng):
    # All that can be known is that the shown genes do not occur again: log(60 / 53) nats.
    cells = cells_of(draw(rng, 300, structured=False))
    report = pretrain(
        [cells], VOCABULARY, tmp_path / "m", replace(SHORT, steps=100, mask_share=0.25, learning_rate=3e-3)
    )
    assert report.overall.loss > report.overall.unigram - np.log(60 / 53) - 0.05


def test_the_warm_start_alone_beats_the_unigram(structured):
    corpus = build_corpus([structured], VOCABULARY, holdout=0.2)
    losses = {}
    for warm in (True, False):
        model = module._first_model(corpus, replace(SHORT, warm_start=warm), cold=False)
        losses[warm] = held_out_losses(model, corpus, SHORT)[0]
    assert losses[True].loss < losses[True].unigram - 0.1
    assert losses[False].loss == pytest.approx(losses[False].unigram, abs=0.1)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(structured, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain([structured], VOCABULARY, tmp_path / name, replace(SHORT, steps=3, seed=seed))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("positions", ["learned", "smooth"])
def test_position_vectors_are_trained_only_where_they_are_to_be_learned(structured, tmp_path, positions):
    name = "bert.embeddings.position_embeddings.weight"
    after = {}
    for steps in (1, 6):
        config = replace(SHORT, steps=steps, positions=positions)
        pretrain([structured], VOCABULARY, tmp_path / str(steps), config)
        after[steps] = weights(tmp_path / str(steps))
    used = slice(0, PER_CELL)  # a cell has 8 genes; no later position is ever read
    moved = (after[6][name] - after[1][name])[used].abs().max()
    assert (moved > 1e-4) == (positions == "learned")
    if positions == "smooth":
        assert torch.equal(after[6][name], after[1][name])
        np.testing.assert_array_equal(after[6][name].numpy(), sine_waves(16, 16))
    words = "bert.embeddings.word_embeddings.weight"
    assert (after[6][words] - after[1][words]).abs().max() > 1e-4


def test_positions_of_another_name_are_refused():
    config = PretrainConfig()
    object.__setattr__(config, "positions", "sine")  # the type check of the tests would refuse it first
    with pytest.raises(
        InputError, match=r"`positions` must be among 'smooth', 'learned'; it is 'sine'. Correct it."
    ):
        config.__post_init__()


def test_a_killed_run_resumes_to_the_same_weights(structured, tmp_path, monkeypatch):
    pretrain([structured], VOCABULARY, tmp_path / "whole", SHORT)
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    taken = []

    def kill(step, done, loss):
        taken.append(step)
        if len(taken) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain([structured], VOCABULARY, tmp_path / "cut", SHORT, on_step=kill)
    assert not (tmp_path / "cut").exists()
    report = pretrain([structured], VOCABULARY, tmp_path / "cut", SHORT, on_step=kill)
    assert taken == [*range(1, 9), *range(8, 13)]  # step 8 was not yet saved
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert np.isfinite(report.first_loss)
    assert not (tmp_path / "cut.partial").exists()


def test_a_finished_folder_is_left_as_it_is_and_another_runs_is_refused(structured, tmp_path):
    report = pretrain([structured], VOCABULARY, tmp_path / "m", replace(SHORT, steps=2))
    before = (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns
    again = pretrain([structured], VOCABULARY, tmp_path / "m", replace(SHORT, steps=2), on_step=pytest.fail)
    assert again == report
    assert (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ModelError, match=r"made from other cells or settings.*Choose another name"):
        pretrain([structured], VOCABULARY, tmp_path / "m", replace(SHORT, steps=3))


def test_an_unfinished_run_with_other_settings_is_refused(structured, tmp_path):
    (tmp_path / "m.partial").mkdir()
    (tmp_path / "m.partial" / "key").write_text("other")
    with pytest.raises(ModelError, match=r"unfinished run with other cells or settings.*remove the folder"):
        pretrain([structured], VOCABULARY, tmp_path / "m", SHORT)


def test_a_second_process_is_refused(structured, tmp_path):
    (tmp_path / "m.partial").mkdir()
    with (
        FileLock(tmp_path / "m.partial" / "lock"),
        pytest.raises(StoreError, match="being made by another process"),
    ):
        pretrain([structured], VOCABULARY, tmp_path / "m", SHORT)


def test_the_folder_loads_through_transformers_and_as_a_cell_model(structured, tmp_path):
    report = pretrain([structured], VOCABULARY, tmp_path / "m", replace(SHORT, steps=4))
    model = BertForMaskedLM.from_pretrained(tmp_path / "m")
    corpus = build_corpus([structured], VOCABULARY, holdout=SHORT.holdout)
    assert held_out_losses(model, corpus, SHORT)[0].loss == pytest.approx(report.overall.loss, abs=1e-5)
    cell_model = load_geneformer(tmp_path / "m")
    assert cell_model.vocabulary.digest == VOCABULARY.digest
    assert cell_model.embed(corpus.rows[:3]).shape == (3, 16)


def test_the_card_says_what_the_model_is(structured, tmp_path):
    report = pretrain([structured], VOCABULARY, tmp_path / "m", replace(SHORT, steps=2))
    card = json.loads((tmp_path / "m" / "perturbloop.json").read_text())
    assert "pretrained from scratch on 240 cells" in card["what"]
    assert "not a published model" in card["what"]
    assert card["files"] == {"cells.h5ad": "digest of cells.h5ad"}
    assert card["vocabulary"]["digest"] == VOCABULARY.digest
    assert PretrainReport.from_dict(card["report"]) == report
    assert "unigram of the file" in report.lines()[-2]
    assert report.lines()[-1] == report.verdict


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([8.0], "No better than the unigram, .* learnt nothing"),
        ([7.9], "no better than the unigram of each file: it tells files apart"),
        ([7.6, 7.6, 7.6], r"of the file by 0\.09 nats a gene: it has learnt which genes go together\.$"),
        (
            [7.6, 7.6, 7.7],
            r"but in 1 of 2 files \('file2'\) it is no better, and has learnt nothing of those",
        ),
    ],
)
def test_the_verdict_says_in_words_what_was_learnt(losses, says):
    held_out = [HeldOut(f"file{place}", 10, 100, loss, 7.92, 7.69) for place, loss in enumerate(losses)]
    numbers = dict.fromkeys([one.name for one in fields(PretrainReport) if one.name != "held_out"], 1)
    assert re.search(says, PretrainReport(**numbers, held_out=tuple(held_out)).verdict)


def test_losses_and_baselines_equal_a_slow_loop(structured, rng):
    ranks = np.argsort(rng.random((40, 30)), axis=1)
    panel = cells_of(np.where(ranks < PER_CELL, ranks + 1, 0), source="b", genes=GENES[:30])
    corpus = build_corpus([structured, panel], VOCABULARY, holdout=0.2)
    model = first_model(SHORT, VOCABULARY, None, corpus.log_unigram()).eval()
    found = {entry.source: entry for entry in held_out_losses(model, corpus, SHORT)}
    trained = [row for row, held in zip(corpus.rows, corpus.held_n, strict=True) if not held]
    counts = Counter(np.concatenate(trained).tolist())
    total = sum(counts.values()) + 60
    losses, unigram, files = [], [], []
    for places, shown, labels in _fixed_batches(corpus, SHORT):
        for place, seen, wanted in zip(places, shown, labels, strict=True):
            length = len(corpus.rows[place])
            with torch.inference_mode():
                scores = torch.log_softmax(model(torch.from_numpy(seen[None, :length])).logits[0], dim=-1)
            for position in np.flatnonzero(wanted >= 0):
                losses.append(-scores[position, wanted[position]].item())
                unigram.append(-np.log((counts[wanted[position]] + 1) / total))
                files.append(corpus.files[corpus.file_n[place]])
    assert found["all"].loss == pytest.approx(np.mean(losses), abs=1e-4)
    assert found["all"].unigram == pytest.approx(np.mean(unigram))
    for name in ("cells.h5ad", "b"):
        assert found[name].n_hidden == files.count(name)
        assert found[name].loss == pytest.approx(np.mean(np.array(losses)[np.array(files) == name]), abs=1e-4)


def test_the_clock_ends_a_run_that_has_no_fixed_steps(structured, tmp_path):
    report = pretrain([structured], VOCABULARY, tmp_path / "m", replace(SHORT, steps=0, minutes=1e-6))
    assert report.steps == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_share": 0.0}, "`mask_share` must be above 0"),
        ({"minutes": 0.0}, "`minutes` must be above 0"),
        ({"layers": 0}, "`layers` must be between 1 and 256"),
        ({"hidden": 130, "heads": 4}, "`hidden` must be a multiple of `heads`"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        PretrainConfig(**change)


def test_no_files_no_known_genes_no_shared_genes_and_too_few_cells_are_refused(structured, tmp_path):
    def run(*files):
        pretrain(files, VOCABULARY, tmp_path / "m", SHORT)

    with pytest.raises(InputError, match="at least one file of cells; none came"):
        run()
    mouse = cells_of(np.ones((20, 2)), genes=np.array(["ENSMUSG1", "ENSMUSG2"], dtype=object), source="mouse")
    with pytest.raises(GeneIdError, match=r"mouse must measure genes of the vocabulary.*'ENSMUSG1'"):
        run(structured, mouse)
    halves = [
        cells_of(np.ones((20, 30)), genes=GENES[part], source=f"half {part.start}")
        for part in (slice(0, 30), slice(30, 60))
    ]
    with pytest.raises(GeneIdError, match="half 0 shares none of its 30"):
        run(*halves)
    with pytest.raises(InputError, match=r"at least 10 cells with 5 genes.*3 are left"):
        run(cells_of(np.ones((3, 60))))
