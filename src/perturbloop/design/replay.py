"""A finished screen, played again batch by batch as if nothing of it were known: would the loop have paid?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from perturbloop.design.ground import Ground
from perturbloop.design.policies import Policy
from perturbloop.design.surrogate import Measured
from perturbloop.errors import DesignError
from perturbloop.schema import REPLAY, REPLAY_MEANS
from perturbloop.stats.streams import stream


@dataclass(frozen=True)
class Finished:
    """A screen whose every gene is measured; genes in one order."""

    gene_ids: Shaped[np.ndarray, " g"]
    """Genes, each once."""
    effect_g: Float[np.ndarray, " g"]
    """Effect as it was done, unit of the file."""
    se_g: Float[np.ndarray, " g"]
    """Standard error, same unit; NaN where the file does not tell."""
    hit_g: Bool[np.ndarray, " g"]
    """Hits by the rule that was asked for."""
    essential_g: Bool[np.ndarray, " g"]
    """Core-essential genes: hits among them may be dying cells."""
    strict_g: Bool[np.ndarray, " g"]
    """Hits of FDR < 0.05 among expressed genes; none where no false discovery rate is known."""

    def permuted(self, rng: np.random.Generator) -> "Finished":
        """The same screen with its rows dealt out among the genes: a screen without signal."""
        dealt = rng.permutation(len(self.gene_ids))
        return Finished(
            self.gene_ids,
            self.effect_g[dealt],
            self.se_g[dealt],
            self.hit_g[dealt],
            self.essential_g,
            self.strict_g[dealt],
        )


def play(
    finished: Finished,
    ground: Ground,
    policy: Policy,
    *,
    rounds: int,
    batch: int,
    seed: int,
    repeat: int,
) -> pd.DataFrame:
    """Play one policy on a finished screen once.

    Parameters
    ----------
    finished
        The screen.
    ground
        What is known of its genes, in the same order.
    policy
        Chooses each batch from the effects of the batches before.
    rounds, batch
        How many batches, and genes of each.
    seed, repeat
        The first batch of a repeat is the same for every policy that chooses it in the same way.

    Returns
    -------
    Table REPLAY, one row a round.
    """
    require_rounds(finished, rounds, batch)
    chosen = np.zeros(0, dtype=int)
    rows = []
    for number in range(1, rounds + 1):
        measured = Measured(chosen, finished.effect_g[chosen], finished.se_g[chosen])
        named = ("replay", repeat, number) if number == 1 else ("replay", policy.name, repeat, number)
        chosen = np.append(chosen, policy.next(ground, measured, batch, stream(seed, *named)))
        rows.append(
            {"policy": policy.name, "control": policy.is_control, "repeat": repeat, "round": number}
            | _found(finished, chosen)
        )
    return REPLAY.checked(pd.DataFrame(rows))


def require_rounds(finished: Finished, rounds: int, batch: int) -> None:
    """Refuse a replay that has nothing to find, or asks for more genes than the screen holds.

    Raises
    ------
    DesignError
        Then.
    """
    n_genes, n_hits = len(finished.gene_ids), int(finished.hit_g.sum())
    if rounds < 1 or batch < 1 or rounds * batch > n_genes:
        msg = (
            f"A replay needs at least 1 round of 1 gene and no more genes than the screen has; {rounds:,} rounds of {batch:,} of "
            f"{n_genes:,} genes came. Correct `rounds` and `batch`."
        )
        raise DesignError(msg)
    if not n_hits:
        msg = f"A replay needs hits to find; by this rule none of {n_genes:,} genes is one. Name another rule with `--hits`, `--top` or `--fdr`."
        raise DesignError(msg)


def means_of(replay: pd.DataFrame) -> pd.DataFrame:
    """Means over repeats of a table REPLAY; table REPLAY_MEANS, in the order in which policies come."""
    keys = ["policy", "control", "round", "n_measured"]
    grouped = replay.groupby(keys, sort=False)
    means = grouped[["hits", "hit_ratio", "hit_ratio_other", "strict_recall"]].mean()
    means["sd"] = grouped["hit_ratio"].std(ddof=1)
    means["n_repeats"] = grouped.size()
    return REPLAY_MEANS.checked(means.reset_index())


def _found(finished: Finished, chosen: Int[np.ndarray, " p"]) -> dict[str, float]:
    hit_p, other_g = finished.hit_g[chosen], finished.hit_g & ~finished.essential_g
    return {
        "n_measured": len(chosen),
        "hits": int(hit_p.sum()),
        "hit_ratio": float(hit_p.sum() / finished.hit_g.sum()),
        "hit_ratio_other": _share(other_g, chosen),
        "strict_recall": _share(finished.strict_g, chosen),
    }


def _share(wanted_g: Bool[np.ndarray, " g"], chosen: Int[np.ndarray, " p"]) -> float:
    return float(wanted_g[chosen].sum() / wanted_g.sum()) if wanted_g.any() else float("nan")
