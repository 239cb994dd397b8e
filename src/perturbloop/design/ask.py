"""Ask for a batch: the genes to measure next, what to expect of them, and what each choice rests on. Pure: nothing is written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbloop.design.calibration import Expected, Told
from perturbloop.design.known import Known
from perturbloop.design.plate import plate
from perturbloop.design.pool import Pool
from perturbloop.design.question import ASKED_FOR, Question
from perturbloop.design.reasons import chief_reasons, reasons_of, set_reasons
from perturbloop.design.wishes import wishes_of
from perturbloop.errors import DesignError
from perturbloop.schema import PROPOSALS, DesignConfig, concat

WAY_OUT = "Way out: `--goal learn` gives a panel that covers many pathways and rests on no model; `--anyway` shows this batch as it is."


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch that was asked for."""

    proposals: pd.DataFrame
    """PROPOSALS rows of the batch, best first."""
    chance: pd.DataFrame
    """PROPOSALS rows of a batch of the same pool that is drawn at random."""
    pool: Pool
    """What it was chosen from."""
    expected: Expected
    """Hits to expect in it."""
    by_chance: float
    """Hits to expect in a batch drawn at random."""
    told: tuple[Told, ...]
    """Batches whose outcome is known, predicted against observed."""
    gate: str
    """What failed at the control gate; empty where nothing did."""
    rests_on: str
    """What the choice rests on, in a sentence."""
    plate: pd.DataFrame
    """The batch with its controls on plates."""
    library: str = ""
    """What was read of the library, in words."""

    def head(self) -> list[str]:
        """Say what a reader must know before the genes."""
        failed = [f"{self.gate} {self.rests_on}"] if self.gate else [self.rests_on]
        chance = f"A batch drawn at random would hold {self.by_chance:.1f}."
        return [*failed, f"{self.expected.sentence} {chance}", *(one.sentence for one in self.told)]


def beside_chance(known: Known, design: DesignConfig, *, seed: int) -> pd.DataFrame:
    """Table PROPOSALS of a batch and of one drawn at random, whatever the control gate says; empty where no gene is left.

    Parameters
    ----------
    known, design, seed
        As of `ask`.
    """
    try:
        batch = ask(known, design, seed=seed, anyway=True)
    except DesignError:
        return concat(PROPOSALS, [])
    return concat(PROPOSALS, [batch.proposals, batch.chance])


def ask(
    known: Known,
    design: DesignConfig,
    *,
    seed: int,
    anyway: bool = False,
    pinned: Sequence[str] = (),
    dropped: Collection[str] = (),
) -> Batch:
    """Choose the genes to measure next.

    Parameters
    ----------
    known
        What the round knows.
    design
        Size, goal, action, and what may be on the plate.
    seed
        Draws the chance batch and the candidates of a coverage panel.
    anyway
        Whether a batch may rest on an in-silico ranking that failed its control gate.
    pinned, dropped
        Symbols or Ensembl ids of genes that the batch must hold, in front of those that are chosen beside them, and of genes that it
        must not hold.

    Returns
    -------
    `Batch`: of at most `design.budget` genes, fewer where the pool holds fewer.

    Raises
    ------
    DesignError
        If the control gate failed and the batch would rest on the in-silico ranking, no gene is left, or a gene that was asked for
        cannot be proposed.
    GeneIdError
        If nobody knows a gene that is named.
    """
    wishes = wishes_of(known.ranking, pinned=pinned, dropped=dropped, budget=design.budget)
    asking = Question(known, design, wishes)
    if known.gate and asking.rests_on_model and not anyway:
        msg = f"{known.gate} So no gene is named to be measured by this ranking. {WAY_OUT}"
        raise DesignError(msg)
    belief, rows = asking.belief, asking.rows
    size = min(design.budget, belief.n_open)
    if not size:
        lost = "; ".join(asking.pool.lines()) or "every gene was measured or is in a batch"
        msg = f"A batch needs genes that can be proposed; none is left. {lost} Loosen what leaves them out."
        raise DesignError(msg)
    rng = np.random.default_rng([seed, len(known.trials)])
    place_p, why_p, n_scored = asking.chosen(size, rng)
    chosen = _proposals(asking, place_p, policy=design.aim, why_p=why_p, n_scored=n_scored)
    left = belief.without(place_p)
    drawn = rng.permutation(np.flatnonzero(left.open_g))[:size]
    by_chance = [f"drawn at random among {left.n_open:,} genes"] * len(drawn)
    chance = _proposals(asking, drawn, policy="chance", why_p=by_chance, n_scored=0)
    stated_g = belief.probability_g
    rate = float(asking.calibration.probability(stated_g[belief.open_g]).mean()) * size
    return Batch(
        proposals=chosen,
        chance=chance,
        pool=asking.pool,
        expected=asking.calibration.expected(stated_g[place_p]),
        by_chance=rate,
        told=tuple(asking.told),
        gate=known.gate,
        rests_on=asking.rests_on,
        plate=plate(
            chosen,
            library=known.library,
            positives=[one for one in known.positives if one[2] in set(rows["action"])],
            controls=design.controls,
        ),
        library="; ".join(known.library.lines()) if known.library else "",
    )


def _proposals(
    asking: Question, place_p: np.ndarray, *, policy: str, why_p: Sequence[str], n_scored: int
) -> pd.DataFrame:
    rows = asking.rows.iloc[place_p].reset_index(drop=True)
    if rows.empty:
        return concat(PROPOSALS, [])
    stated_p = asking.belief.probability_g[place_p]
    low_p, high_p = asking.calibration.interval(stated_p)
    hits = _hit_names(asking.known)
    in_sets = set_reasons(rows["gene_id"], asking.known.sets, hits)
    unscored = "chance" if policy == "chance" else "coverage"
    by_rank = chief_reasons(rows) if asking.learnt else ["prior"] * len(rows)
    parts = zip(why_p, reasons_of(rows, n_scored=n_scored), in_sets, strict=True)
    return PROPOSALS.checked(
        rows.assign(
            policy=policy,
            place=np.arange(1, len(rows) + 1),
            probability=asking.calibration.probability(stated_p),
            ci_low=low_p,
            ci_high=high_p,
            shift=asking.calibration.shift,
            because=[
                ASKED_FOR if why == ASKED_FOR else by_rank[at] if at < n_scored else unscored
                for at, why in enumerate(why_p)
            ],
            reason=["; ".join(part for part in said if part) for said in parts],
        )
    )


def _hit_names(known: Known) -> Mapping[str, str]:
    """Symbol of each measured hit, by Ensembl id."""
    rows = known.effects
    if rows.empty:
        return {}
    rows = rows[rows["level"].eq("gene") & rows["hit"].astype(bool)]
    return dict(zip(rows["gene_id"], rows["gene_name"], strict=True))
