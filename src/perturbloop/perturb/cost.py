"""What a plan costs, before it runs, and how far its arithmetic can be trusted."""

import time
from dataclasses import asdict, dataclass

import numpy as np

from perturbloop.data.tokens import Tokens
from perturbloop.models.encoder import Encoder
from perturbloop.perturb.engine import Engine, Footprint
from perturbloop.perturb.plan import Plan

PROBED_PASSES = 4
SAMPLED_EDITS = 32


@dataclass(frozen=True)
class Cost:
    """Passes, arithmetic, time and memory of a run."""

    passes: float
    """Encoded cells; a gradient at one state counts as four."""
    flops: float
    """Floating-point operations, a multiplication and an addition being two."""
    seconds: float
    """Estimate from a few passes made now, on this machine."""
    memory_bytes: float
    """Estimate of what a batch needs above the model."""

    def lines(self) -> list[str]:
        """Say it in words."""
        return [
            f"{self.passes:,.0f} passes, {self.flops:.2g} FLOPs",
            f"about {duration(self.seconds)} on this machine (timed on {PROBED_PASSES} passes), "
            f"{self.memory_bytes / 1e9:.2f} GB above the model",
        ]

    def to_dict(self) -> dict[str, float]:
        """Plain dictionary, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class NoiseFloor:
    """How much of a shift is arithmetic; a shift is worth reading where it is far larger."""

    repeat: float
    """Largest difference of the logit of one unedited cell read alone and in a batch; 0 = none."""
    precision: float
    """Root mean square difference of logit shifts between this run's precision and float32."""
    shift_sd: float
    """Standard deviation of the same logit shifts, to compare with."""
    n_edits: int
    """Edits sampled."""

    def line(self) -> str:
        """Say it in words."""
        return (
            f"noise of the arithmetic on {self.n_edits} edits: {self.precision:.1e} logits (root mean square against float32), "
            f"shifts vary by {self.shift_sd:.1e}; an unedited cell read twice differs by {self.repeat:.1e}"
        )


def flops_per_pass(encoder: Encoder, length: int) -> float:
    """Floating-point operations of one cell: matrix products and attention, the first layer to the last that is read.

    >>> from transformers import BertConfig, BertModel
    >>> shape = BertConfig(vocab_size=9, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=512)
    >>> round(flops_per_pass(Encoder(BertModel(shape)), 2048) / 1e9, 1)
    38.7
    """
    dim, wide = encoder.dim, len(encoder.layers[0].up_bias)
    return float(len(encoder.layers) * (2 * length * (4 * dim * dim + 2 * dim * wide) + 4 * length**2 * dim))


def encoder_footprint(encoder: Encoder, tokens: Tokens, *, batch_tokens: int) -> Footprint:
    """Floating-point operations of one pass of each cell, and bytes of a batch above the model."""
    flops_n = np.array([flops_per_pass(encoder, int(length)) for length in tokens.length_n])
    wide = len(encoder.layers[0].up_bias)
    longest = int(tokens.length_n.max(initial=1))
    per_token = 4 * (8 * encoder.dim + 2 * wide)  # residual, queries, keys, values, context, feed-forward
    return Footprint(flops_n, float(max(batch_tokens, longest) * per_token))


def cost(engine: Engine, tokens: Tokens, *, passes_n: np.ndarray) -> Cost:
    """Estimate the cost of reading each cell so many times.

    Parameters
    ----------
    engine
        Model, precision and token budget.
    tokens
        Encoded cells.
    passes_n
        Passes of each cell.
    """
    footprint = engine.footprint(tokens)
    flops = float((footprint.flops_n * passes_n).sum())
    typical = int(np.argsort(tokens.length_n)[tokens.n_cells // 2])
    engine.unedited(tokens, np.array([typical]))
    started = time.monotonic()
    engine.unedited(tokens, np.full(PROBED_PASSES, typical))
    per_flop = (time.monotonic() - started) / PROBED_PASSES / max(footprint.flops_n[typical], 1.0)
    return Cost(float(passes_n.sum()), flops, flops * per_flop, footprint.memory_bytes)


def noise_floor(engine: Engine, tokens: Tokens, plan: Plan, *, seed: int = 0) -> NoiseFloor:
    """Measure the noise of this run's arithmetic on a few of its edits, drawn by seed."""
    edits = plan.edits
    drawn = np.sort(np.random.default_rng(seed).permutation(len(edits))[:SAMPLED_EDITS])
    sample = edits.iloc[drawn]
    ours = engine.shifts(tokens, plan, edits=sample)["logit_shift"].to_numpy()
    theirs = engine.at_full_precision().shifts(tokens, plan, edits=sample)["logit_shift"].to_numpy()
    cell = int(sample["cell"].iloc[0])
    alone, batch = engine.unedited(tokens, np.array([cell])), engine.unedited(tokens, np.full(3, cell))
    return NoiseFloor(
        repeat=float(np.abs(batch[:, 1] - alone[0, 1]).max()),
        precision=float(np.sqrt(np.mean((ours - theirs) ** 2))),
        shift_sd=float(theirs.std()),
        n_edits=len(sample),
    )


def duration(seconds: float) -> str:
    """Time in words.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
