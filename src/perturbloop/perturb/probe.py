"""What a few passes made now tell of a run: how fast this machine is, and how much of a shift is arithmetic."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from perturbloop.data.tokens import Tokens
from perturbloop.perturb.engine import Engine
from perturbloop.perturb.plan import Plan
from perturbloop.store.files import own, write_json

PROBED_PASSES = 4
SAMPLED_EDITS = 32


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


def seconds_per_flop(engine: Engine, tokens: Tokens) -> float:
    """Time a floating-point operation takes on this machine, from a few passes of a cell of middling length."""
    engine = engine.apart()
    typical = int(np.argsort(tokens.length_n)[tokens.n_cells // 2])
    flops = engine.footprint(tokens).flops_n[typical]
    engine.unedited(tokens, np.array([typical]))
    started = time.monotonic()
    engine.unedited(tokens, np.full(PROBED_PASSES, typical))
    return (time.monotonic() - started) / PROBED_PASSES / max(flops, 1.0)


def noise_floor(engine: Engine, tokens: Tokens, plan: Plan, *, seed: int = 0) -> NoiseFloor:
    """Measure the noise of this run's arithmetic on a few of its edits.

    Parameters
    ----------
    engine
        Model and precision of the run.
    tokens
        Encoded cells.
    plan
        Edits of the run.
    seed
        Draws the edits.

    Returns
    -------
    Differences of logits: of a cell read twice, and between this precision and float32.
    """
    engine, edits = engine.apart(), plan.edits
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


def noise_line(folder: Path, engine: Engine, tokens: Tokens, plan: Plan) -> str:
    """Noise of the arithmetic in words, measured once in a run, whose folder notes it."""
    note = folder / "noise.json"
    if not note.is_file():
        write_json(note, asdict(noise_floor(engine, tokens, plan)))
    with own(note):
        return NoiseFloor(**json.loads(note.read_text())).line()


def note_rate(path: Path, engine: Engine, tokens: Tokens) -> None:
    """Write down once how fast this machine is, so that a dry run can tell the time without a model."""
    if not path.is_file():
        write_json(path, {"seconds_per_flop": seconds_per_flop(engine, tokens)})
