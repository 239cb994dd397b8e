"""Whether the held-out targets can say anything of a method, before anything is computed to ask them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from perturbloop.data.splits import LEAST_TO_SPLIT
from perturbloop.errors import some
from perturbloop.evaluate.held_out import held_out
from perturbloop.schema import Kind

LEAST_HITS = 2
"""Fewest hits, and fewest other targets, by which two methods can be told apart: with one a difference has no error."""


@dataclass(frozen=True)
class Judgeable:
    """What the held-out targets of one kind can say of methods."""

    kind: Kind
    n_genes: int
    """Held-out targets, once per gene and modality."""
    n_hits: int
    """Hits toward the goal among them."""

    @property
    def judged(self) -> bool:
        """Whether a method can be judged at all: a hit toward the goal and another target are there."""
        return 0 < self.n_hits < self.n_genes

    @property
    def comparable(self) -> bool:
        """Whether two methods can be told apart; where not, controls and arms made only to compare are spared."""
        return LEAST_HITS <= self.n_hits <= self.n_genes - LEAST_HITS

    @property
    def sentence(self) -> str:
        """Why not, in words, with what to do; empty where methods can be told apart."""
        if self.comparable:
            return ""
        todo = (
            "Record more targets."
            if self.n_hits < LEAST_HITS
            else "Record targets that are not expected to be hits."
        )
        if not self.n_genes:
            return f"No target is held out for `{self.kind}`, so no method is judged. {todo}"
        targets = f"{self.n_genes:,} held-out target{'s' if self.n_genes > 1 else ''}"
        if not self.n_hits:
            return f"`{self.kind}`: none of {targets} is a hit toward the goal, so no method can be judged. {todo}"
        if not self.judged:
            return f"`{self.kind}`: all of {targets} are hits toward the goal, so no method can be judged. {todo}"
        few = self.n_hits if self.n_hits < LEAST_HITS else self.n_genes - self.n_hits
        what = "hit toward the goal" if self.n_hits < LEAST_HITS else "target that is no hit"
        return f"`{self.kind}`: {few} {what} among {targets} cannot tell methods apart. {todo}"


def judgeable(effects: pd.DataFrame, kind: Kind) -> Judgeable:
    """Count what a scoreboard of one kind would rest on.

    Parameters
    ----------
    effects
        EFFECTS rows.
    kind
        Kind of edit.

    Returns
    -------
    `Judgeable`; ask it before arms are trained, edits are made or controls are shuffled for a comparison.

    Raises
    ------
    LeakageError
        If a gene is held out in one modality of the kind and spent, or in another fold, in the next.
    """
    truth = held_out(effects, kind)
    return Judgeable(kind, int(truth.gene_ids.size), int(truth.toward_n.sum()))


def spared_lines(effects: pd.DataFrame, kinds: Iterable[Kind]) -> list[str]:
    """Say that perturbed cells trained no model since nothing could tell what that gains; empty without kinds.

    Parameters
    ----------
    effects
        EFFECTS rows that rankings are judged by.
    kinds
        Kinds of edit that were measured in cells.
    """
    why = [judgeable(effects, kind).sentence for kind in kinds]
    todo = "Set `closed_loop` to always to train them anyway."
    return [f"Perturbed cells trained no model. {' '.join(filter(None, why))} {todo}"] if why else []


def unjudged_lines(
    effects: pd.DataFrame, judged: pd.DataFrame, kinds: Iterable[Kind], fold_of: Mapping[str, int]
) -> tuple[str, ...]:
    """Say what recorded effects cannot judge; empty where methods can be told apart by every kind.

    Parameters
    ----------
    effects
        EFFECTS rows read by all shared genes.
    judged
        The same, read by the half of them that judges rankings.
    kinds
        Kinds of edit that were measured.
    fold_of
        Fold of every target.
    """
    said = [judgeable(judged, kind).sentence for kind in kinds]
    ranked = set(judged["gene_id"])
    outside = set(effects["gene_id"]) - ranked
    read = effects[effects["gene_id"].isin(ranked)]
    if any(said) and (only := sorted(_held_out_hits(read) - _held_out_hits(judged))):
        said.append(
            f"Held-out hits toward the goal by all shared genes, but not by the half of them that judges rankings: {some(only)}."
        )
    if -1 not in fold_of.values():
        said.append(
            f"The first record of a campaign decides whether half of all targets is held out for good, which learning curves need; "
            f"this one has {len(set(fold_of) - outside)} targets, and {LEAST_TO_SPLIT} are needed. If you want curves and will measure more, "
            "make a new campaign and record all targets at once."
        )
    return tuple(line for line in said if line)


def _held_out_hits(effects: pd.DataFrame) -> set[str]:
    rows = effects[effects["level"].eq("gene") & effects["fold"].ge(0) & effects["hit"].astype(bool)]
    return set(rows.loc[rows["effect_to_goal"] > 0, "gene_name"])
