"""How well a model guesses hidden genes, and how well one guesses that knows frequencies only."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Int
from transformers import BertForMaskedLM

from perturbloop.train.corpus import Corpus
from perturbloop.train.masking import IGNORED, batches, mask_genes, pad
from perturbloop.train.pretrain_config import HeldOut, PretrainConfig

_CHUNK = 512
"""Hidden genes scored at a time, so that a table of all genes for each of them stays small."""


def log_probabilities(
    model: BertForMaskedLM,
    shown_nt: Int[np.ndarray, "n t"],
    labels_nt: Int[np.ndarray, "n t"],
    pad_token: int,
) -> torch.Tensor:
    """Natural log of the probability of each hidden gene among all tokens of the vocabulary, row by row.

    Parameters
    ----------
    model
        Model that guesses.
    shown_nt
        Token ids it sees, padded, cells × positions.
    labels_nt
        Token id of the gene where one is hidden, `IGNORED` elsewhere.
    pad_token
        Id of `<pad>`.
    """
    labels = torch.from_numpy(labels_nt)
    hidden = hidden_states(model, shown_nt, labels != IGNORED, pad_token)
    wanted = labels[labels != IGNORED]
    parts = [
        torch.log_softmax(model.cls(part), dim=-1).gather(1, label[:, None])[:, 0]
        for part, label in zip(hidden.split(_CHUNK), wanted.split(_CHUNK), strict=True)
    ]
    return torch.cat(parts)


def hidden_states(
    model: BertForMaskedLM, shown_nt: Int[np.ndarray, "n t"], chosen_nt: torch.Tensor, pad_token: int
) -> torch.Tensor:
    """Last hidden state at the chosen positions, positions × embedding; padding is not attended to.

    Parameters
    ----------
    model
        Model that reads the cells.
    shown_nt
        Token ids it sees, padded, cells × positions.
    chosen_nt
        Whether a position's state is wanted.
    pad_token
        Id of `<pad>`.
    """
    attention = (
        None if (shown_nt != pad_token).all() else torch.from_numpy((shown_nt != pad_token).astype(np.int64))
    )
    output = model.bert(input_ids=torch.from_numpy(shown_nt), attention_mask=attention)
    return output.last_hidden_state[chosen_nt]


def held_out_losses(model: BertForMaskedLM, corpus: Corpus, config: PretrainConfig) -> tuple[HeldOut, ...]:
    """Measure the loss on the held-out cells: all files first, then each file that has any.

    Parameters
    ----------
    model
        Model to measure; it is left in evaluation mode.
    corpus
        Cells, held-out ones among them; the baselines count the genes of the others.
    config
        Only its seed is read.

    Notes
    -----
    The masks depend on the seed only, so that losses of one corpus can be compared across models, steps and
    shapes. Every hidden gene shows `<mask>`. Both baselines add one to every count.
    """
    model.eval()
    unigram_v = corpus.log_unigram()
    unigram_fv = [corpus.log_unigram(file=file) for file in range(len(corpus.files))]
    table: list[tuple[int, float, float, float]] = []
    with torch.inference_mode():
        for cells, shown_nt, labels_nt in _fixed_batches(corpus, config):
            score = log_probabilities(
                model, shown_nt, labels_nt, corpus.vocabulary.specials["<pad>"]
            ).tolist()
            where, _ = np.nonzero(labels_nt != IGNORED)
            files = corpus.file_n[cells][where]
            wanted = labels_nt[labels_nt != IGNORED]
            table += [
                (int(file), value, float(unigram_v[gene]), float(unigram_fv[file][gene]))
                for file, value, gene in zip(files, score, wanted, strict=True)
            ]
    values = -np.array(table)
    file_m = np.array([row[0] for row in table])
    chosen = [("all", np.ones(len(table), dtype=bool), corpus.held_n)]
    for file, name in enumerate(corpus.files):
        chosen.append((name, file_m == file, corpus.held_n & (corpus.file_n == file)))
    return tuple(_held_out(name, values[rows_m], cells_n) for name, rows_m, cells_n in chosen if rows_m.any())


def _held_out(name: str, values: np.ndarray, cells_n: Bool[np.ndarray, " n"]) -> HeldOut:
    _, loss, unigram, unigram_of_file = values.mean(axis=0).tolist()
    return HeldOut(name, int(cells_n.sum()), len(values), loss, unigram, unigram_of_file)


def _fixed_batches(
    corpus: Corpus, config: PretrainConfig
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng([config.seed, 2])
    places = np.flatnonzero(corpus.held_n)
    length_n = np.array([len(corpus.rows[place]) for place in places])
    for batch in batches(length_n, batch_tokens=8192, rng=rng):
        cells = places[batch]
        shown_nt, labels_nt = mask_genes(
            pad([corpus.rows[place] for place in cells]),
            corpus.is_gene_v,
            mask_token=corpus.vocabulary.specials["<mask>"],
            share=0.15,
            rng=rng,
            all_masked=True,
        )
        yield cells, shown_nt, labels_nt
