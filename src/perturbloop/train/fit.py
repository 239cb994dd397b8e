"""Fine-tuning: one training loop, read top to bottom; levels differ in which weights it changes."""

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from perturbloop.data.tokens import Tokens
from perturbloop.errors import ModelError
from perturbloop.models.base import TokenModel
from perturbloop.models.geneformer import Geneformer
from perturbloop.schema import Level, TrainConfig
from perturbloop.train.consistency import Aims, LogitOf, consistency_loss
from perturbloop.train.examples import Examples, room_beside
from perturbloop.train.lora import Adapter, adapted, merged
from perturbloop.train.together import crew

WARM_UP = 0.1
CLIP = 1.0


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned encoder and its head."""

    model: Geneformer
    """The encoder, plain at every level."""
    weight_d: np.ndarray
    """Weights of the linear head; positive = toward the goal."""
    bias: float
    """Its intercept."""
    adapter: Adapter | None = None
    """What was merged into the encoder at level `lora`."""


def fine_tune(
    encoder: TokenModel,
    examples: Examples,
    config: TrainConfig,
    *,
    level: Level = "full",
    aims: Aims | None = None,
    held_out: Examples | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> Tuned:
    """Change a copy of the encoder so that a linear head tells the states apart.

    Parameters
    ----------
    encoder
        Pretrained encoder; it is not changed.
    examples
        Training cells with soft labels and weights.
    config
        Learning rates, rank, epochs and which of them is kept, warm-up, batches, share of added cells, weight of the consistency
        loss, seed.
    level
        `full`: every weight is trained; `lora`: low-rank adapters, which are merged into the weights afterwards.
    aims
        Where edited control cells should land; only read where the consistency loss has a weight.
    held_out
        Cells that train nothing and choose the epoch; only read where the best one is kept.
    on_step
        Called with step, steps in all, and loss.

    Raises
    ------
    ModelError
        If the encoder is of a family whose weights are not trained here, or the best epoch is asked for without cells to
        choose it by.

    Notes
    -----
    AdamW, cross-entropy against soft labels, linear warm-up and decay. A step takes the mean gradient of `accumulate` batches; an
    epoch's last step may have fewer. Dropout is off: on a CPU it forces the slow attention path, and three epochs over a few
    thousand cells are stopped early enough. Processes that were started together (`train.together`) share each batch.
    """
    if not isinstance(encoder, Geneformer):
        msg = (
            f"Fine-tuning changes the weights of a Geneformer; the encoder is a `{type(encoder).__name__}`. "
            'Set `levels = ["frozen"]`.'
        )
        raise ModelError(msg)
    if config.keep_epoch == "best" and held_out is None:
        msg = "The best epoch is chosen by held-out cells; none came. Hand them in as `held_out`, or keep the last epoch."
        raise ModelError(msg)
    return cast(
        "Tuned",
        crew().call(_tuned, encoder, examples, config, level, aims, held_out=held_out, on_step=on_step),
    )


def _tuned(
    encoder: Geneformer,
    examples: Examples,
    config: TrainConfig,
    level: Level,
    aims: Aims | None,
    *,
    held_out: Examples | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> Tuned:
    together = crew()
    torch.manual_seed(config.seed)
    model = copy.deepcopy(encoder)
    if together.size > 1 and model.device.type == "cuda":  # it was sent from another process's GPU
        torch.nn.Module.to(model.bert, torch.device("cuda", torch.cuda.current_device()))
    model.forget_digest()
    head = torch.nn.Linear(model.dim, 1, device=model.device)
    torch.nn.init.normal_(head.weight, std=0.02)
    torch.nn.init.zeros_(head.bias)
    around = adapted(model.bert, rank=config.lora_rank) if level == "lora" else None
    weights = [weight for weight in model.bert.parameters() if weight.requires_grad] + [*head.parameters()]
    together.same(weights)
    rate = config.lora_learning_rate if level == "lora" else config.learning_rate
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
    rng, rng_of_aims = np.random.default_rng(config.seed), np.random.default_rng([config.seed, 4])
    plan = [_steps(batches(examples, config, rng), config.accumulate) for _ in range(config.epochs)]
    n_steps = sum(len(epoch) for epoch in plan)
    pace = functools.partial(_pace, steps=n_steps, warm_up=config.warm_up_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, pace)

    def logit_of(tokens: Tokens, rows: np.ndarray) -> torch.Tensor:
        tokens_bt, attention_bt = padded(tokens, rows)
        return head(model.encode(tokens_bt.to(model.device), attention_bt.to(model.device)))[:, 0]

    step, kept = 0, Kept(weights)
    for epoch in plan:
        for parts in epoch:
            optimizer.zero_grad()
            losses = []
            for rows in parts:
                mine, terms = together.share(rows), []
                if len(mine):
                    terms.append(_loss(logit_of, examples, mine) * (len(mine) / len(rows)))
                if aims is not None and config.consistency > 0 and together.leads:
                    terms.append(config.consistency * consistency_loss(logit_of, aims, rng=rng_of_aims))
                if terms:
                    (torch.stack(terms).sum() / len(parts)).backward()
                losses.append(sum(float(term.detach()) for term in terms))
            loss = together.add_up(weights, float(np.mean(losses)))
            torch.nn.utils.clip_grad_norm_(weights, CLIP)
            optimizer.step()
            schedule.step()
            step += 1
            if on_step is not None:
                on_step(step, n_steps, loss)
        if config.keep_epoch == "best" and held_out is not None:
            kept.offer(_mean_loss(logit_of, held_out, config.batch_tokens))
    kept.restore()
    adapter = None if around is None else merged(around)
    return Tuned(model, head.weight.detach()[0].cpu().numpy(), float(head.bias.detach()[0]), adapter)


class Kept:
    """The weights of the epoch of lowest loss; of two alike, of the first."""

    def __init__(self, weights: list[torch.nn.Parameter]) -> None:
        """Watch weights that are trained."""
        self.weights = weights
        self.loss = np.inf
        self.best: list[torch.Tensor] = []

    def offer(self, loss: float) -> None:
        """Keep a copy of the weights as they are where no loss was lower."""
        if loss < self.loss:
            self.loss, self.best = loss, [weight.detach().clone() for weight in self.weights]

    def restore(self) -> None:
        """Put the kept weights back; where none were offered, nothing changes."""
        with torch.no_grad():
            for weight, best in zip(self.weights, self.best, strict=False):
                weight.copy_(best)


def _steps(parts: Iterable[np.ndarray], accumulate: int) -> list[tuple[np.ndarray, ...]]:
    """Batches of each optimizer step of an epoch."""
    listed = list(parts)
    return [tuple(listed[start : start + accumulate]) for start in range(0, len(listed), accumulate)]


def _loss(logit_of: LogitOf, examples: Examples, rows: np.ndarray) -> torch.Tensor:
    """Weighted cross-entropy of some cells, their mean."""
    logit_b = logit_of(examples.tokens, rows)
    label_b, weight_b = (
        torch.from_numpy(values[rows].astype(np.float32)).to(logit_b.device)
        for values in (examples.label_n, examples.weight_n)
    )
    return binary_cross_entropy_with_logits(logit_b, label_b, weight=weight_b)


def _mean_loss(logit_of: LogitOf, examples: Examples, budget: float) -> float:
    """The same of all cells, without gradients."""
    order = np.argsort(examples.tokens.length_n, kind="stable")
    parts = _cut(order, examples.tokens.length_n[order], budget)
    with torch.no_grad():
        return sum(float(_loss(logit_of, examples, rows)) * len(rows) for rows in parts) / len(order)


def batches(examples: Examples, config: TrainConfig, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Cut one epoch into batches of cells of similar length, in random order.

    Added cells are dealt among the others, so that each batch mixes them and none holds more than
    `config.perturbed_share` of them; those that find no place wait for the next epoch.

    Parameters
    ----------
    examples
        Training cells.
    config
        Tokens of a batch, padding included, or its cells, and the largest share of added cells.
    rng
        Draws the order, and which added cells find a place.

    Returns
    -------
    Places of the cells of each batch among the examples.
    """
    length_n, added_n = examples.tokens.length_n, examples.added_n
    own, added = (_by_length(length_n, np.flatnonzero(part), rng) for part in (~added_n, added_n))
    # Beside a cell stands the added one of the same place in the order of lengths: the longer of the two counts.
    beside = added[np.arange(len(own)) * len(added) // max(len(own), 1)] if len(added) else own
    width_n = np.maximum(length_n[own], length_n[beside])
    share = len(own) / max(len(own) + len(added), 1)
    if config.batch_cells is not None:
        parts = _chunks(own, max(1, int(config.batch_cells * share)))
    else:
        parts = _cut(own, width_n, config.batch_tokens * share)
    room = np.array([room_beside(len(part), config.perturbed_share) for part in parts])
    taken = added[np.sort(rng.permutation(len(added))[: room.sum()])]
    ends = (len(taken) * np.cumsum(room)) // max(int(room.sum()), 1)
    dealt = np.split(taken, ends[:-1])
    for number in rng.permutation(len(parts)):
        yield np.concatenate([parts[number], dealt[number]])


def _by_length(length_n: np.ndarray, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cells in the order of their lengths, about."""
    order = np.lexsort((rng.random(len(cells)), length_n[cells] + rng.normal(0, 8, len(cells))))
    return cells[order]


def _chunks(cells: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut an order of cells into parts of so many; the last may have fewer."""
    return np.split(cells, range(size, len(cells), size))


def _cut(cells: np.ndarray, width_n: np.ndarray, budget: float) -> list[np.ndarray]:
    """Cut an order of cells into parts of at most so many tokens, padding included; a cell at least."""
    parts, start, longest = [], 0, 0
    for place, width in enumerate(width_n.tolist()):
        longest = max(longest, width)
        if place > start and longest * (place + 1 - start) > budget:
            parts.append(cells[start:place])
            start, longest = place, width
    parts.append(cells[start:])
    return parts


def padded(tokens: Tokens, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of some cells, and 1 where there is a token."""
    length_b = tokens.length_n[rows]
    width = int(length_b.max())
    tokens_bt = torch.from_numpy(tokens.padded(rows).astype(np.int64))
    attention_bt = torch.from_numpy((np.arange(width) < length_b[:, None]).astype(np.int64))
    return tokens_bt, attention_bt


def _pace(step: int, *, steps: int, warm_up: int | None) -> float:
    """Share of the learning rate: up over the warm-up, a tenth of all steps where none is named, then down to zero."""
    rise = max(1, round(WARM_UP * steps)) if warm_up is None else warm_up
    return (step + 1) / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))
