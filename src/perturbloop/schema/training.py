"""How the state classifier is trained, and which of its options decide what is trained."""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

from annotated_types import Interval, MinLen

from perturbloop.schema.checks import MOST, Count, FileName, Quantity, Seed, check
from perturbloop.schema.methods import Method
from perturbloop.schema.words import ClosedLoop, KeptEpoch, Level

Rate = Annotated[float, Interval(gt=0, le=10)]
Steps = Annotated[int, Interval(ge=0, le=MOST)]

TUNING = frozenset(
    {"epochs", "keep_epoch", "warm_up_steps", "batch_tokens", "batch_cells", "accumulate", "consistency"}
)
"""Options that only fine-tuning reads."""
RATES: dict[str, frozenset[str]] = {
    "full": frozenset({"learning_rate"}),
    "lora": frozenset({"lora_learning_rate", "lora_rank"}),
}
"""Options of each level that is fine-tuned."""
LATER = frozenset({"keep_epoch", "warm_up_steps", "batch_cells", "accumulate"})
"""Options that came later: at their defaults they decide nothing, so that the models of older campaigns stay fresh."""


@dataclass(frozen=True)
class TrainConfig:
    """How the state classifier is trained."""

    model: FileName = ""
    """Foundation model: its folder (Hugging Face config, weights and vocabulary), or the name of a published one that `perturbloop models` lists."""
    vocabulary: FileName | None = None
    """Folder with the published dictionaries, or their generation (30M, 95M, 104M); by default those in or near the model folder."""
    emb_layer: Annotated[int, Interval(ge=-1000, le=0)] = 0
    """Layer the cell embedding is read from: 0 = last, -1 = one before it."""
    levels: Annotated[tuple[Level, ...], MinLen(1)] = ("frozen",)
    """What is trained on perturbed cells: frozen, the head alone, which is always run; lora and full fine-tune the encoder too, which takes
    most of a round and has gained nothing where it was measured."""
    closed_loop: ClosedLoop = "auto"
    """auto: perturbed cells train models only where held-out hits can tell what that gains, as most of a round is spent on it; always: in any case."""
    learning_rate: Rate = 2e-4
    """Learning rate of full fine-tuning (AdamW): the first knob to turn; too high a rate ruins the in-silico signal."""
    lora_learning_rate: Rate = 1e-3
    """Learning rate of low-rank adapters (AdamW); they want about ten times that of all weights."""
    lora_rank: Count = 8
    """Rank of the adapters."""
    epochs: Count = 3
    """Passes over the training cells in fine-tuning."""
    keep_epoch: KeptEpoch = "last"
    """Weights that are kept: those after the last epoch, or after the best, of lowest loss on the held-out cells; `heldout_auroc` then
    flatters, as the same cells chose."""
    warm_up_steps: Steps | None = None
    """Optimizer steps over which the learning rate rises, before it falls to zero in a straight line; a tenth of all where none
    is named."""
    batch_tokens: Count = 8192
    """Tokens in a training batch, padding included."""
    batch_cells: Count | None = None
    """Rather: cells in a training batch, however long."""
    accumulate: Count = 1
    """Batches whose mean gradient makes one optimizer step."""
    perturbed_share: Annotated[float, Interval(gt=0, le=0.5)] = 0.5
    """Largest share of perturbed cells in any batch of the closed loop, and among all its training cells."""
    consistency: Quantity = 0.0
    """Weight of the consistency loss: control cells with a training target edited should land where its perturbed cells
    are; 0 = off."""
    max_cells: Count = 4000
    """Largest number of state cells used in fine-tuning, drawn by seed."""
    seed: Seed = 0
    """Seed of splits, batches and initial head."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check(self)


def deciding(config: TrainConfig, of: Method) -> dict[str, Any]:
    """Options that decide the state model of a method, by name; where the model lies is not among them.

    Parameters
    ----------
    config
        All options.
    of
        Row of the scoreboard that the state model is trained for.

    Examples
    --------
    >>> from perturbloop.schema import method
    >>> sorted(deciding(TrainConfig(), method("frozen")))
    ['emb_layer', 'method', 'model', 'seed', 'vocabulary']
    """
    idle = {"levels", "closed_loop"}.union(*(rate for level, rate in RATES.items() if level != of.level))
    if of.level not in RATES:
        idle |= TUNING
    if not of.uses_effects:
        idle |= {"consistency"}
    if of.channel == "open":
        idle |= {"perturbed_share", "max_cells"}
    known = {field.name: field.default for field in fields(config)}
    said = {
        name: value
        for name, value in asdict(config).items()
        if name not in idle and value is not None and not (name in LATER and value == known[name])
    }
    return said | {"model": "", "vocabulary": "", "method": of.name}
