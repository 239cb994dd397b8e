"""What a replay says, in one sentence; it may be that nothing was gained."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.design.policies import PERMUTED

CERTAIN = 2.0
"""Standard errors by which one policy must be ahead of another."""
Call = Literal["pays", "prior", "annotation", "chance"]
"""`pays`: ahead of chance, of the prior and of permuted feedback. `prior`: no better than the prior alone. `annotation`: no better than
with permuted feedback. `chance`: no better than chance."""


@dataclass(frozen=True)
class Verdict:
    """What a replay says."""

    call: Call
    sentence: str


def verdict(replay: pd.DataFrame, *, n_genes: int, n_hits: int) -> Verdict:
    r"""Say whether the best policy found more than chance, than the prior alone, and than itself with permuted feedback.

    Parameters
    ----------
    replay
        Table REPLAY with the policies that were asked for, `chance`, and where they were played `prior`, `sister` and permuted ones.
    n_genes, n_hits
        Genes and hits of the screen.

    Returns
    -------
    `Verdict` on the asked policy that found most.

    Notes
    -----
    Repeats differ in their first batch alone and share the screen, so that they tell nothing of the luck of one screen: the error of a
    difference holds, beside the spread over repeats, the hypergeometric spread of the hits in so many genes drawn at random, for each of
    the two. Chance itself is known exactly.

    Examples
    --------
    >>> rows = [{"policy": name, "control": name != "ridge", "repeat": repeat, "round": 1, "n_measured": 100, "hits": hits}
    ...         for name, hits in (("ridge", 30), ("ridge, permuted feedback", 9), ("chance", 5)) for repeat in (0, 1)]
    >>> verdict(pd.DataFrame(rows), n_genes=2000, n_hits=100).sentence
    'Feedback pays: `ridge` found 30.0 of 100 hits in 100 of 2,000 genes, 6.0 times as many as chance; 9.0 with permuted feedback.'
    """
    last = replay[replay["round"].eq(replay["round"].max())]
    found = {str(name): rows["hits"].to_numpy(float) for name, rows in last.groupby("policy", sort=False)}
    asked = last.loc[~last["control"].astype(bool), "policy"].drop_duplicates()
    best = max(map(str, asked), key=lambda name: float(found[name].mean()))
    n_measured = int(last["n_measured"].iloc[0])
    share = n_measured / n_genes
    expected = n_hits * share
    luck = n_hits * share * (1 - share) * (n_genes - n_hits) / max(n_genes - 1, 1)
    mean = float(found[best].mean())
    told = f"`{best}` found {mean:.1f} of {n_hits:,} hits in {n_measured:,} of {n_genes:,} genes"
    times = f"{mean / max(expected, 1e-9):.1f} times as many as chance"
    beside = _beside(found, best)
    if mean - expected <= CERTAIN * np.sqrt(luck + _spread(found[best])):
        return Verdict("chance", f"No better than chance: {told}, where chance finds {expected:.1f}.")
    prior = found.get("prior")
    if prior is not None and not _ahead(found[best], prior, luck):
        return Verdict(
            "prior", f"The prior alone does it: {told}, the prior {prior.mean():.1f} without any feedback."
        )
    permuted = found.get(best + PERMUTED)
    if permuted is not None and not _ahead(found[best], permuted, luck):
        return Verdict(
            "annotation",
            f"What is known of genes beforehand does it, not feedback: {told}, {times}; {permuted.mean():.1f} with permuted feedback.",
        )
    return Verdict("pays", f"Feedback pays: {told}, {times}{beside}.")


def _beside(found: dict[str, Float[np.ndarray, " r"]], best: str) -> str:
    said = {
        best + PERMUTED: "with permuted feedback",
        "prior": "by the prior alone",
        "sister": "by a replicate screen",
    }
    parts = [f"{found[name].mean():.1f} {words}" for name, words in said.items() if name in found]
    return f"; {', '.join(parts)}" if parts else ""


def _ahead(ours: Float[np.ndarray, " r"], theirs: Float[np.ndarray, " r"], luck: float) -> bool:
    difference = float(ours.mean() - theirs.mean())
    return bool(difference > CERTAIN * np.sqrt(2 * luck + _spread(ours) + _spread(theirs)))


def _spread(hits: Float[np.ndarray, " r"]) -> float:
    """Squared standard error of the mean over repeats."""
    return float(hits.var(ddof=1) / len(hits)) if len(hits) > 1 else 0.0
