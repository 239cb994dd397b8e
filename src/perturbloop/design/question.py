"""One question for a batch: which genes it may be made of, what is believed of them, and how they are chosen."""

from functools import cached_property

import numpy as np
import pandas as pd

from perturbloop.design.belief import Belief
from perturbloop.design.calibration import Calibration, calibration_of
from perturbloop.design.choice import choose, first_batch
from perturbloop.design.known import Known
from perturbloop.design.odds import BASE_RATE, hit_probability
from perturbloop.design.pool import Pool, kinds_to_propose, pool_of
from perturbloop.design.trials import closed
from perturbloop.design.wishes import Wishes
from perturbloop.errors import DesignError, some
from perturbloop.schema import WITHOUT_MODEL, DesignConfig

PRIORS = ("lineage", "frozen", "expression")
"""Methods that know no measured effect, the best first: the first that there is gives at most half of a first batch."""
ASKED_FOR = "asked for"
"""Reason of a gene that the question names."""
MOST_NAMED = 3
"""Genes that a gene of a panel is said to stand for."""


class Question:
    """One question, and what it is answered by."""

    def __init__(self, known: Known, design: DesignConfig, wishes: Wishes | None = None) -> None:
        self.known, self.design, self.wishes = known, design, wishes or Wishes()
        measured = known.posterior["kind"].unique() if len(known.posterior) else []
        self.kinds = kinds_to_propose(known.kinds, measured, design.action)
        if not self.kinds:
            msg = f"This campaign makes the edits {', '.join(known.kinds)}; none is to {design.action}. Ask for the other action."
            raise DesignError(msg)
        self.calibration: Calibration
        self.calibration, self.told = calibration_of(known.trials)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """RANKING rows of every gene, one a gene: those of the pool first, then the others."""
        ranking = self.known.ranking
        others = ranking[
            ranking["kind"].isin(self.kinds) & ~ranking["gene_id"].isin(self.pool.rows["gene_id"])
        ]
        every = pd.concat([self.pool.rows, others.drop_duplicates("gene_id")], ignore_index=True)
        own = self.known.posterior[["gene_id", "kind", "mean", "sd", "neighbors"]]
        own = own.astype({"mean": float, "sd": float})  # empty tables have no types
        return every.merge(own, on=["gene_id", "kind"], how="left")

    @property
    def pending(self) -> frozenset[str]:
        """Genes of batches that were taken, but for abandoned ones."""
        return closed(self.known.trials) if len(self.known.trials) else frozenset()

    @cached_property
    def pool(self) -> Pool:
        """Genes that an experiment can be made of."""
        known = self.known
        return pool_of(
            known.ranking,
            kinds=self.kinds,
            measured=known.spent,
            taken=self.pending,
            excluded=known.excluded,
            dropped=self.wishes.dropped,
            library=None if known.library is None else known.library.gene_ids,
            essential=self.design.essential == "keep",
        )

    @cached_property
    def pinned_p(self) -> np.ndarray:
        """Rows of the genes that were asked for, in that order; one that cannot be proposed is refused with the reason."""
        place_of = {gene: place for place, gene in enumerate(self.pool.rows["gene_id"])}
        missing = [gene for gene in self.wishes.pinned if gene not in place_of]
        if missing:
            name_of = dict(zip(self.known.ranking["gene_id"], self.known.ranking["gene_name"], strict=True))
            reasons = {name: why for why, names in self.pool.left_out.items() for name in names}
            lost = f"no gene to {self.design.action}" if self.design.action else "not ranked by this edit"
            said = [f"{name_of[gene]} is {reasons.get(name_of[gene], lost)}" for gene in missing]
            msg = f"`--with` names genes that can be proposed; {some(said)}. Leave out {'it' if len(said) == 1 else 'them'}."
            raise DesignError(msg)
        return np.array([place_of[gene] for gene in self.wishes.pinned], dtype=int)

    @property
    def learnt(self) -> bool:
        """Whether measured effects say anything of the genes to choose from."""
        return bool(self.rows["mean"].notna().any())

    @property
    def by_coverage(self) -> bool:
        """Whether the whole batch is a panel that rests on no model."""
        return self.design.aim == "learn" and (not self.learnt or bool(self.known.gate))

    @property
    def rests_on_model(self) -> bool:
        """Whether the in-silico score has a part in the choice."""
        if self.by_coverage:
            return False
        by = set(self.pool.rows["ranked_by"]) if self.learnt else {self.prior[0]}
        return bool(by - {WITHOUT_MODEL, "lineage", "expression", ""})

    @property
    def rests_on(self) -> str:
        """The same in a sentence."""
        asked = self.wishes.sentence
        if self.by_coverage:
            return f"This batch rests on no ranking: it covers the expressed genes{self._by_what}.{asked}"
        if not self.learnt:
            name = self.prior[0]
            prior = f"half by the prior `{name}`, the others" if name else "all are chosen"
            return f"Nothing was measured yet: {prior} to cover the expressed genes{self._by_what}.{asked}"
        model = (
            "measured effects and the in-silico score" if self.rests_on_model else "measured effects alone"
        )
        return f"This batch rests on {model}.{asked}"

    @property
    def _by_what(self) -> str:
        """By which likeness genes are covered, in words."""
        return f" by {self.known.likeness.name}" if self.known.likeness is not None else ""

    @cached_property
    def prior(self) -> tuple[str, np.ndarray]:
        """Name and score of the method that gives part of a first batch; '' without any."""
        wanted = self.known.predictions
        wanted = wanted[wanted["kind"].isin(self.kinds) & wanted["fold"].eq(-1)]
        for name in PRIORS:
            score = wanted[wanted["method"].eq(name)].drop_duplicates("gene_id").set_index("gene_id")["score"]
            if len(score):
                return name, self.rows["gene_id"].map(score).to_numpy(float)
        return "", np.full(len(self.rows), np.nan)

    @cached_property
    def belief(self) -> Belief:
        """What is believed of every gene, in the order of `rows`."""
        rows, known = self.rows, self.known
        open_g = np.arange(len(rows)) < len(self.pool.rows)
        gene_ids = rows["gene_id"].to_numpy(object)
        mean_g, sd_g = (np.nan_to_num(rows[name].to_numpy(float)) for name in ("mean", "sd"))
        stated_g = np.full(len(rows), BASE_RATE)
        for kind in self.kinds:
            here = rows["kind"].eq(kind).to_numpy() & rows["mean"].notna().to_numpy()
            if here.any():
                stated_g[here] = hit_probability(mean_g[here], sd_g[here], known.effects, kind)
        kernel = None if known.likeness is None else known.likeness.aligned(gene_ids)
        known_g = np.isin(gene_ids.astype(str), [*known.spent, *self.pending])
        prior_g = self.prior[1]
        return Belief(gene_ids, mean_g, sd_g, stated_g, open_g, kernel, prior_g, known_g=known_g)

    def chosen(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[str], int]:
        """Rows of the batch, what each was chosen by, and how many are scored: those asked for, then the others, best first."""
        given_p, most = self.pinned_p, self.design.max_per_set
        size, belief = size - len(given_p), self.belief.without(given_p)
        scores_given = self.learnt and not self.by_coverage
        n_scored = 0
        place_p = np.zeros(0, dtype=int)
        why_p = [ASKED_FOR] * len(given_p)
        if size and scores_given:
            place_p = choose(belief, size, rng, aim=self.design.aim, most=most, given_b=given_p)
            n_scored = {"find": size, "learn": 0, "both": size - size // 2}[self.design.aim]
            why_p += [""] * n_scored
        elif size:
            n_scored = 0 if self.by_coverage or not self.prior[0] else size // 2
            scores_given = bool(n_scored)
            place_p = first_batch(belief, size, rng, n_prior=n_scored, most=most, given_b=given_p)
            why_p += [f"high by the prior `{self.prior[0]}`"] * n_scored
        why_p += self._stand_for(place_p[n_scored:])
        n_told = n_scored + len(given_p) if scores_given else 0
        return np.append(given_p, place_p).astype(int), why_p, n_told

    def _stand_for(self, place_p: np.ndarray) -> list[str]:
        """Genes that each of these stands for, in words."""
        if self.belief.kernel is None or not len(place_p):
            return ["drawn at random"] * len(place_p)
        names_g = self.rows["gene_name"].astype(str).to_numpy(object)
        said = []
        for place, near_g in zip(place_p, self.belief.kernel.columns(place_p).T, strict=True):
            nearest = [
                other for other in np.argsort(-near_g, kind="stable")[: MOST_NAMED + 1] if other != place
            ]
            alike = [names_g[other] for other in nearest[:MOST_NAMED] if near_g[other] > 0]
            said.append(f"stands for genes like it: {', '.join(alike)}" if alike else "like no other gene")
        return said
