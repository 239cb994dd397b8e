"""Pretrain a small Geneformer-shaped model on raw cells: one loop, read top to bottom."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import BertForMaskedLM

from perturbloop.data.cells import Cells, read_cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.progress import tell as heard
from perturbloop.stats.coexpression import coexpression_vectors
from perturbloop.train import model_folder, warm_start
from perturbloop.train.corpus import Corpus, build_corpus
from perturbloop.train.masked_loss import held_out_losses, hidden_states
from perturbloop.train.masking import IGNORED, batches, mask_genes, pad
from perturbloop.train.pretrain_config import PretrainConfig, PretrainReport
from perturbloop.train.together import Crew, crew

FORMAT = 1
WARM_UP = 0.05
CHECKPOINT_SECONDS = 60.0

OnStep = Callable[[int, float, float], None]
"""Called after each step with its number, the share of the run that is done, and the loss in nats."""


def pretrain(
    files: Sequence[Cells],
    vocabulary: Vocabulary,
    folder: Path | str,
    config: PretrainConfig | None = None,
    *,
    on_step: OnStep | None = None,
) -> PretrainReport:
    """Teach a small model to guess hidden genes from the rest of a cell, and save it.

    Parameters
    ----------
    files
        Cells with raw counts; panels may differ but must share genes.
    vocabulary
        Tokens and medians; cut to the config's length.
    folder
        Model folder to make. A folder the same run has made is left as it is; a killed run goes on from its
        last checkpoint, at most a minute old.
    config
        Shape of the model and how long it learns.
    on_step
        Progress.

    Returns
    -------
    What was done, and the held-out loss beside its baselines.

    Notes
    -----
    A run of fixed `steps` gives the same weights every time, interrupted or not, on the same machine with the
    same number of threads; processes that were started together (`train.together`) share each batch, and give them up to
    rounding. A run by the clock takes as many steps as fit; the card records them.

    Raises
    ------
    InputError
        If the files hold too few cells or genes to learn from.
    ModelError
        If the folder, or an unfinished one beside it, belongs to another run.
    StoreError
        If another process is making the folder.
    """
    started = time.monotonic()
    folder, config = Path(folder), config or PretrainConfig()
    words = vocabulary.with_length(min(config.max_length, vocabulary.max_length))
    key = _key(files, words, config)
    done = model_folder.finished(folder, key)
    if done is not None:
        return PretrainReport.from_dict(done["report"])
    corpus = build_corpus(
        files, words, holdout=config.holdout, seed=config.seed
    )  # refuses before a folder is made
    with model_folder.partial_folder(folder, key) as partial:
        saved = model_folder.load_checkpoint(partial)
        first = _first_model(corpus, config, cold=saved is not None)
        needed = replace(
            corpus, expression_ng=corpus.expression_ng[:0]
        )  # it only decides where the model begins
        own = {"model": first, "partial": partial, "started": started, "on_step": on_step}
        learnt = crew().call(_learn, needed, config, saved, **own)
        model, report = cast("tuple[BertForMaskedLM, PretrainReport]", learnt)
        model_folder.publish(folder, model, words, _card(key, corpus, config, report))
    model_folder.remove_partial(folder)
    return report


def pretrain_files(
    files: Sequence[Path],
    folder: Path,
    config: PretrainConfig,
    *,
    vocabulary: Path,
    gene_column: str | None = None,
) -> PretrainReport:
    """Pretrain on files of cells; what is done is told to whoever listens.

    Parameters
    ----------
    files
        Files with raw counts, as `data.cells.read_cells` reads them.
    folder
        Model folder to make.
    config
        Size of the model, and how long it learns.
    vocabulary
        Folder of the published dictionaries.
    gene_column
        Column of `var` with the gene ids, in all files; found by itself by default.
    """
    words = Vocabulary.published(vocabulary)
    cells = [read_cells(path, names=words.names, gene_column=gene_column)[0] for path in files]

    def tell(step: int, share: float, loss: float) -> None:
        heard("pretrain", round(1000 * share), 1000)

    return pretrain(cells, words, folder, config, on_step=tell)


def _learn(
    corpus: Corpus,
    config: PretrainConfig,
    saved: dict[str, Any] | None,
    *,
    model: BertForMaskedLM | None = None,
    partial: Path | None = None,
    started: float = 0.0,
    on_step: OnStep | None = None,
) -> tuple[BertForMaskedLM, PretrainReport] | None:
    """Learn, in the process that leads or in one that takes its share of each batch and gives nothing back."""
    together = crew()
    model = _first_model(corpus, config, cold=True) if model is None else model
    together.same(list(model.parameters()))
    optimizer = _optimizer(model, config)
    step, first_loss = 0, float("nan")
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step, first_loss = saved["step"], saved["first_loss"]
        started -= saved["seconds"]
    elif together.leads:
        first_loss = held_out_losses(model, corpus, config)[0].loss

    seen = torch.from_numpy(np.flatnonzero(corpus.token_counts()))
    place_v = torch.zeros(corpus.vocabulary.size, dtype=torch.int64)
    place_v[seen] = torch.arange(len(seen))
    rows = [row for row, held in zip(corpus.rows, corpus.held_n, strict=True) if not held]
    length_n = np.array([len(row) for row in rows])
    plan: list[np.ndarray] = []
    epoch, offset, last_saved = -1, 0, time.monotonic()

    model.train()
    while True:
        # Order and masks follow from seed, epoch and step alone, so a resumed run sees what it would have seen.
        while epoch < 0 or step >= offset + len(plan):
            offset, epoch = offset + len(plan), epoch + 1
            rng = np.random.default_rng([config.seed, 0, epoch])
            plan = batches(length_n, batch_tokens=config.batch_tokens, rng=rng)
        passed = epoch + (step - offset) / len(plan)
        done = together.agreed(progress(config, step=step, epochs=passed, seconds=time.monotonic() - started))
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, done)
        batch = [rows[place] for place in plan[step - offset]]
        optimizer.zero_grad()
        rng = np.random.default_rng([config.seed, 1, step])
        loss = _backward(model, batch, corpus, config, seen, place_v, rng, together)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if on_step is not None:
            on_step(step, done, loss)
        if partial is not None and time.monotonic() - last_saved > CHECKPOINT_SECONDS:
            last_saved = time.monotonic()
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            seconds = time.monotonic() - started
            model_folder.save_checkpoint(partial, {**state, "first_loss": first_loss, "seconds": seconds})

    if not together.leads:
        return None
    minutes = (time.monotonic() - started) / 60
    return model, PretrainReport(
        n_cells=len(rows),
        n_held_out=int(corpus.held_n.sum()),
        n_copies=sum(corpus.n_copies),
        n_short=sum(corpus.n_short),
        n_genes=len(seen),
        n_parameters=sum(weight.numel() for weight in model.parameters()),
        steps=step,
        epochs=passed,
        minutes=minutes,
        first_loss=first_loss,
        roughness=warm_start.roughness(model),
        held_out=held_out_losses(model, corpus, config),
    )


def progress(config: PretrainConfig, *, step: int, epochs: float, seconds: float) -> float:
    """Share of the run that is done: by steps where they are fixed, else by the clock; by epochs in any case.

    Parameters
    ----------
    config
        Its `steps`, or where they are 0 its `minutes`, and its `epochs` are the whole run.
    step
        Steps done.
    epochs
        Passes over the training cells done, with fractions.
    seconds
        Time spent, that before a kill included.

    Returns
    -------
    0 at the start; 1 or more at the end.

    Examples
    --------
    >>> progress(PretrainConfig(minutes=2.0), step=10, epochs=1.0, seconds=60.0)
    0.5
    """
    by_budget = step / config.steps if config.steps else seconds / (60 * config.minutes)
    return max(by_budget, epochs / config.epochs)


def learning_rate(config: PretrainConfig, done: float) -> float:
    """Learning rate when a share `done` of the run is over: up, then straight down to zero.

    >>> [round(learning_rate(PretrainConfig(learning_rate=1.0), done), 3) for done in (0.025, 0.05, 0.525, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    return config.learning_rate * max(0.0, min(done / WARM_UP, (1 - done) / (1 - WARM_UP)))


def _backward(
    model: BertForMaskedLM,
    batch: Sequence[np.ndarray],
    corpus: Corpus,
    config: PretrainConfig,
    seen: torch.Tensor,
    place_v: torch.Tensor,
    rng: np.random.Generator,
    together: Crew,
) -> float:
    """Leave the gradients of a batch in the weights, whoever shares it, and give its loss."""
    shown_nt, labels_nt = mask_genes(
        pad(batch),
        corpus.is_gene_v,
        mask_token=corpus.vocabulary.specials["<mask>"],
        share=config.mask_share,
        rng=rng,
    )
    mine, total = together.share(np.arange(len(batch))), 0.0
    if len(mine):
        share = _loss_sum(model, shown_nt[mine], labels_nt[mine], corpus, seen, place_v)
        loss = share / int((labels_nt != IGNORED).sum())
        loss.backward()
        total = loss.item()
    return together.add_up([weight for weight in model.parameters() if weight.requires_grad], total)


def _loss_sum(
    model: BertForMaskedLM,
    shown_nt: np.ndarray,
    labels_nt: np.ndarray,
    corpus: Corpus,
    seen: torch.Tensor,
    place_v: torch.Tensor,
) -> torch.Tensor:
    """Cross-entropy of the hidden genes among the genes seen in training, their sum: the others keep their first, low bias."""
    specials = corpus.vocabulary.specials
    labels = torch.from_numpy(labels_nt)
    hidden = hidden_states(model, shown_nt, labels != IGNORED, specials["<pad>"])
    head = model.cls.predictions
    weight, bias = model.bert.embeddings.word_embeddings.weight[seen], head.bias[seen]
    logits = head.transform(hidden) @ weight.T + bias
    return cross_entropy(logits, place_v[labels[labels != IGNORED]], reduction="sum")


def _first_model(corpus: Corpus, config: PretrainConfig, *, cold: bool) -> BertForMaskedLM:
    """Build the model; `cold` spares the co-expression where a checkpoint replaces the weights anyway."""
    vectors = None
    if config.warm_start and not cold:
        train = np.flatnonzero(~corpus.held_n)
        vectors = coexpression_vectors(
            corpus.expression_ng[train], corpus.file_n[train], dim=config.hidden, seed=config.seed
        )
    return warm_start.first_model(config, corpus.vocabulary, vectors, corpus.log_unigram())


def _optimizer(model: BertForMaskedLM, config: PretrainConfig) -> torch.optim.AdamW:
    """AdamW; only matrices decay, not gene vectors, biases or norms."""
    weights = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    decays = [weight for name, weight in weights if weight.dim() > 1 and "embeddings" not in name]
    others = [weight for name, weight in weights if weight.dim() <= 1 or "embeddings" in name]
    groups = [{"params": decays, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)


def _key(files: Sequence[Cells], vocabulary: Vocabulary, config: PretrainConfig) -> str:
    tree = [FORMAT, [cells.digest for cells in files], vocabulary.digest, asdict(config)]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def _card(key: str, corpus: Corpus, config: PretrainConfig, report: PretrainReport) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "key": key,
        "perturbloop": version("perturbloop"),
        "what": f"pretrained from scratch on {report.n_cells:,} cells of the files below; not a published model",
        "files": dict(zip(corpus.files, corpus.digests, strict=True)),
        "vocabulary": {"version": corpus.vocabulary.version, "digest": corpus.vocabulary.digest},
        "pooling": "cls" if corpus.vocabulary.has_cls else "mean",
        "seed": config.seed,
        "config": asdict(config),
        "lines": report.lines(),
        "report": report.to_dict(),
    }
