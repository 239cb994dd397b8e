"""Full fine-tuning: one training loop, read top to bottom."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from perturbloop.data.tokens import Tokens
from perturbloop.models.geneformer import Geneformer
from perturbloop.schema import TrainConfig
from perturbloop.train.examples import Examples

WARM_UP = 0.1
CLIP = 1.0


def fine_tune(
    encoder: Geneformer,
    examples: Examples,
    config: TrainConfig,
    *,
    on_step: Callable[[int, int, float], None] | None = None,
) -> tuple[Geneformer, np.ndarray, float]:
    """Change every weight of a copy of the encoder so that a linear head tells the states apart.

    Parameters
    ----------
    encoder
        Pretrained encoder; it is not changed.
    examples
        Training cells with soft labels and weights.
    config
        Learning rate, epochs, tokens per batch, seed.
    on_step
        Called with step, steps in all, and loss.

    Returns
    -------
    The fine-tuned copy, and weights and intercept of its head.

    Notes
    -----
    AdamW, cross-entropy against soft labels, linear warm-up and decay. Dropout is off: on a CPU it forces the slow
    attention path, and three epochs over a few thousand cells are stopped early enough.
    """
    torch.manual_seed(config.seed)
    model = copy.deepcopy(encoder)
    model.forget_digest()
    head = torch.nn.Linear(model.dim, 1, device=model.device)
    torch.nn.init.normal_(head.weight, std=0.02)
    torch.nn.init.zeros_(head.bias)
    weights = [*model.bert.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.01)
    rng = np.random.default_rng(config.seed)
    plan = [
        batch for _ in range(config.epochs) for batch in batches(examples.tokens, config.batch_tokens, rng)
    ]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, len(plan)))
    label_n = torch.from_numpy(examples.label_n.astype(np.float32))
    weight_n = torch.from_numpy(examples.weight_n.astype(np.float32))
    for step, rows in enumerate(plan):
        tokens_bt, attention_bt = padded(examples.tokens, rows)
        emb_bd = model.encode(tokens_bt.to(model.device), attention_bt.to(model.device))
        logit_b = head(emb_bd)[:, 0]
        loss = binary_cross_entropy_with_logits(
            logit_b, label_n[rows].to(logit_b.device), weight=weight_n[rows].to(logit_b.device)
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step + 1, len(plan), float(loss.detach()))
    return model, head.weight.detach()[0].cpu().numpy(), float(head.bias.detach()[0])


def batches(tokens: Tokens, batch_tokens: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Cut one epoch into batches of cells of similar length, in random order."""
    order = np.lexsort((rng.random(tokens.n_cells), tokens.length_n + rng.normal(0, 8, tokens.n_cells)))
    parts, start = [], 0
    longest = 0
    for place, cell in enumerate(order):
        longest = max(longest, int(tokens.length_n[cell]))
        if place > start and longest * (place + 1 - start) > batch_tokens:
            parts.append(order[start:place])
            start, longest = place, int(tokens.length_n[cell])
    parts.append(order[start:])
    for number in rng.permutation(len(parts)):
        yield parts[number]


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
