"""Fine-tuning: one training loop, read top to bottom; levels differ in which weights it changes."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from perturbloop.data.tokens import Tokens
from perturbloop.errors import ModelError
from perturbloop.models.base import TokenModel
from perturbloop.models.geneformer import Geneformer
from perturbloop.schema import Level, TrainConfig
from perturbloop.train.consistency import Aims, consistency_loss
from perturbloop.train.examples import Examples, room_beside
from perturbloop.train.lora import Adapter, adapted, merged

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
        Learning rates, rank, epochs, tokens per batch, share of added cells, weight of the consistency loss, seed.
    level
        `full`: every weight is trained; `lora`: low-rank adapters, which are merged into the weights afterwards.
    aims
        Where edited control cells should land; only read where the consistency loss has a weight.
    on_step
        Called with step, steps in all, and loss.

    Raises
    ------
    ModelError
        If the encoder is of a family whose weights are not trained here.

    Notes
    -----
    AdamW, cross-entropy against soft labels, linear warm-up and decay. Dropout is off: on a CPU it forces the slow
    attention path, and three epochs over a few thousand cells are stopped early enough.
    """
    if not isinstance(encoder, Geneformer):
        msg = (
            f"Fine-tuning changes the weights of a Geneformer; the encoder is a `{type(encoder).__name__}`. "
            'Set `levels = ["frozen"]`.'
        )
        raise ModelError(msg)
    torch.manual_seed(config.seed)
    model = copy.deepcopy(encoder)
    model.forget_digest()
    head = torch.nn.Linear(model.dim, 1, device=model.device)
    torch.nn.init.normal_(head.weight, std=0.02)
    torch.nn.init.zeros_(head.bias)
    around = adapted(model.bert, rank=config.lora_rank) if level == "lora" else None
    weights = [weight for weight in model.bert.parameters() if weight.requires_grad] + [*head.parameters()]
    rate = config.lora_learning_rate if level == "lora" else config.learning_rate
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
    rng, rng_of_aims = np.random.default_rng(config.seed), np.random.default_rng([config.seed, 4])
    plan = [batch for _ in range(config.epochs) for batch in batches(examples, config, rng)]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, len(plan)))
    label_n = torch.from_numpy(examples.label_n.astype(np.float32))
    weight_n = torch.from_numpy(examples.weight_n.astype(np.float32))

    def logit_of(tokens: Tokens, rows: np.ndarray) -> torch.Tensor:
        tokens_bt, attention_bt = padded(tokens, rows)
        return head(model.encode(tokens_bt.to(model.device), attention_bt.to(model.device)))[:, 0]

    for step, rows in enumerate(plan):
        logit_b = logit_of(examples.tokens, rows)
        loss = binary_cross_entropy_with_logits(
            logit_b, label_n[rows].to(logit_b.device), weight=weight_n[rows].to(logit_b.device)
        )
        if aims is not None and config.consistency > 0:
            loss = loss + config.consistency * consistency_loss(logit_of, aims, rng=rng_of_aims)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step + 1, len(plan), float(loss.detach()))
    adapter = None if around is None else merged(around)
    return Tuned(model, head.weight.detach()[0].cpu().numpy(), float(head.bias.detach()[0]), adapter)


def batches(examples: Examples, config: TrainConfig, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Cut one epoch into batches of cells of similar length, in random order.

    Added cells are dealt among the others, so that each batch mixes them and none holds more than
    `config.perturbed_share` of them; those that find no place wait for the next epoch.

    Parameters
    ----------
    examples
        Training cells.
    config
        Tokens of a batch, padding included, and the largest share of added cells.
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
    budget = config.batch_tokens * len(own) / max(len(own) + len(added), 1)
    parts = _cut(own, width_n, budget)
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
    tokens_bt = torch.from_numpy(tokens.tokens_nt[rows, :width].astype(np.int64))
    attention_bt = torch.from_numpy((np.arange(width) < length_b[:, None]).astype(np.int64))
    return tokens_bt, attention_bt


def _pace(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first tenth, then down to zero."""
    rise = max(1, round(WARM_UP * steps))
    return (step + 1) / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))
