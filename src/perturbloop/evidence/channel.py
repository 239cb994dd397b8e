"""The evidence channel of a round: what the measured effects say of every gene, by the posterior and by the simple rule."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.data.states import StateCells
from perturbloop.evidence.graphs import GeneGraph, coexpression
from perturbloop.evidence.kernels import Kernel, aligned, coexpression_kernel
from perturbloop.evidence.posterior import LEAST_MEASURED, Posterior, neighbors, posterior
from perturbloop.evidence.propagate import combine, propagate, shuffle_effects
from perturbloop.evidence.scales import Scale, change_scale, expression_scale
from perturbloop.evidence.units import in_one_unit
from perturbloop.schema import METHODS, POSTERIOR, PREDICTIONS, Kind, Method, concat, judges, method
from perturbloop.stats.streams import stream

MOST_MEASURED = 1000
"""Most measured genes that the posterior reads; of more, half are those with the clearest effects and half are drawn."""
SHUFFLES, FEW_SHUFFLES, MANY_GENES = 20, 5, 100
"""Shuffles behind a control of the evidence channel; fewer where more genes were measured than the last number."""


@dataclass(frozen=True)
class Networks:
    """What the evidence channel knows of genes before any effect is measured."""

    gene_ids: np.ndarray
    """Ensembl ids, dtype object: the genes of the cells in their order, then measured ones that the cells do not hold."""
    networks: tuple[Kernel, ...]
    """Which genes are alike: co-expression, the encoder's gene embeddings, gene sets and other collections."""
    scales: tuple[Scale, ...]
    """Why some genes may act more than others: expression, change between the states, a declared pathway, the lineage."""
    graph: GeneGraph
    """Graph of the simple rule: co-expression within states."""
    n_outside: int = 0
    """How many of the genes the cells do not hold: they cannot be ranked, and come last."""

    @property
    def n_ranked(self) -> int:
        """How many genes the cells hold."""
        return len(self.gene_ids) - self.n_outside

    def beside(self, gene_ids: Iterable[str]) -> "Networks":
        """Keep the genes of the cells, and these of the others: those that are read."""
        more = np.flatnonzero(np.isin(self.gene_ids[self.n_ranked :].astype(str), list(gene_ids)))
        if len(more) == self.n_outside:
            return self
        kept = np.concatenate([np.arange(self.n_ranked), self.n_ranked + more])
        return Networks(
            self.gene_ids[kept],
            tuple(kernel.at(kept) for kernel in self.networks),
            tuple(scale.aligned(self.gene_ids[kept]) for scale in self.scales),
            self.graph,
            len(more),
        )


@dataclass(frozen=True)
class Evidence:
    """What was measured of one kind, and where it can spread to."""

    known: Networks
    effects: pd.DataFrame
    """EFFECTS at gene level of one kind, one row a gene, read by all shared genes."""
    fold_of: Mapping[str, int]
    """Fold of every measured target, of this kind or another: how targets are held out is decided once."""
    seed: int = 0
    passed: bool = False
    """Whether the model behind the in-silico scores passed its control gate."""

    @property
    def folds(self) -> list[int]:
        """-1 and the folds that are held out."""
        return sorted({-1, *(fold for fold in self.fold_of.values() if fold >= 0)})

    @property
    def enough(self) -> bool:
        """Whether a posterior can be had of every fold, so that it is judged wherever it ranks: 2 effects without any fold."""
        return all(len(self.rows(without=fold)) >= LEAST_MEASURED for fold in self.folds)

    def rows(self, *, without: int, shuffled: np.random.Generator | None = None) -> pd.DataFrame:
        """Effects of the targets that may judge fold `without`; shuffled among them for the control."""
        rows = self.effects[self.effects["gene_id"].isin(trains(self.fold_of, without=without))]
        return rows if shuffled is None else shuffle_effects(rows, shuffled)


def networks_of(
    states: StateCells,
    de: pd.DataFrame,
    others: Iterable[Kernel] = (),
    scales: Iterable[Scale] = (),
    effects: pd.DataFrame | None = None,
) -> Networks:
    """Read networks and scales off the user's own cells, and join others to them.

    Parameters
    ----------
    states
        Start and goal cells; co-expression is read within states, and within donors where there are any, expression in the start cells.
    de
        Differential expression of goal against start.
    others
        Networks from elsewhere: the encoder's gene embeddings, gene sets.
    scales
        More reasons why genes may act: a declared pathway, the lineage.
    effects
        EFFECTS rows. Their genes that the cells do not hold stand beside the others: they have no expression here, and teach
        through the networks from elsewhere.
    """
    cells = states.cells
    measured = set() if effects is None else set(effects.loc[effects["level"].eq("gene"), "gene_id"])
    gene_ids = np.array([*cells.gene_ids, *sorted(measured - {*cells.gene_ids, ""})], dtype=object)
    found = [coexpression_kernel(cells.log_normalized(), cells.gene_ids, states.group_n), *others]
    start_g = np.asarray(states.start.log_normalized().mean(axis=0)).ravel().astype(float)
    change_g = de.set_index("gene_id")["z"].reindex(cells.gene_ids).to_numpy(float)
    known = [expression_scale(cells.gene_ids, start_g), change_scale(cells.gene_ids, change_g), *scales]
    return Networks(
        gene_ids,
        aligned(found, gene_ids),
        tuple(scale.aligned(gene_ids) for scale in known),
        coexpression(cells, states.group_n),
        len(gene_ids) - cells.n_genes,
    )


def evidence_of(
    known: Networks,
    effects: pd.DataFrame,
    kind: Kind,
    *,
    fold_of: Mapping[str, int],
    seed: int = 0,
    passed: bool = False,
) -> Evidence:
    """What was measured of one kind, with where it can spread to.

    Parameters
    ----------
    known
        Networks and scales of the cells' genes.
    effects
        EFFECTS rows.
    kind
        Kind of edit whose modalities are read.
    fold_of
        Fold of every measured target.
    seed
        Seed of the choice among very many effects.
    passed
        Whether the model behind the in-silico scores passed its control gate.

    Returns
    -------
    `Evidence`. Genes that the networks do not hold have no neighbors there and say nothing.
    """
    rows = effects_of_kind(effects, kind)
    held = rows[rows["gene_id"].isin(known.gene_ids)].reset_index(drop=True)
    return Evidence(known, held, fold_of, seed, passed)


def effects_of_kind(effects: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Keep the gene-level effects of one kind, one a gene; arms are never averaged.

    A gene that several files measured for this kind has their mean, weighted by precision; cells and screens are brought to one unit
    before they meet (`units.in_one_unit`).
    """
    judging = [judges(modality, kind) for modality in effects["modality"]]
    rows = in_one_unit(
        effects[effects["level"].eq("gene") & pd.Series(judging, index=effects.index, dtype=bool)]
    )
    precision = 1 / rows["se"].clip(lower=1e-9) ** 2
    by_gene = rows.assign(precision=precision, weighted=precision * rows["effect_to_goal"]).groupby("gene_id")
    total = by_gene["precision"].sum()
    once = rows.drop_duplicates("gene_id").set_index("gene_id", drop=False)
    return once.assign(effect_to_goal=by_gene["weighted"].sum() / total, se=total**-0.5).reset_index(
        drop=True
    )


def evidence_predictions(
    base: pd.DataFrame,
    evidence: Evidence,
    *,
    kind: Kind,
    rng: np.random.Generator,
    methods: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Score every gene by the posterior, by the simple rule, and by the controls of both.

    Parameters
    ----------
    base
        PREDICTIONS rows of `frozen` and of what else a row starts from (`Method.partner`).
    evidence
        Effects, networks and graph.
    kind
        The kind the effects belong to.
    rng
        Shuffles the effects of the controls.
    methods
        Only these; by default all of the evidence channel, rule by rule. Those of the posterior are left out where a fold has fewer than two effects to learn from:
        what cannot be judged in every fold must not rank either.
    """
    parts, enough = [], evidence.enough
    wanted = _in_order() if methods is None else [method(name) for name in methods]
    for fold in evidence.folds:
        frozen = _scores(base, "frozen", kind, -1)
        scores = {
            "frozen": frozen,
            "permuted": pd.Series(rng.permutation(frozen.to_numpy()), index=frozen.index),
            "nothing": frozen * 0.0,
        }
        for name in {row.partner for row in wanted} - set(scores):
            scores[name] = _scores(base, name, kind, fold if method(name).uses_effects else -1)
        effects = {
            "true": evidence.rows(without=fold),
            "shuffled": evidence.rows(without=fold, shuffled=rng),
        }
        for row in wanted:
            read = "shuffled" if row.variant == "shuffled" else "true"
            partner, measured = scores[row.partner], effects[read]
            if partner.empty or (row.rule == "posterior" and not enough):
                continue
            made = RULES[row.rule](evidence, partner, measured)
            parts.append(_rows(row.name, kind, fold, made))
    return concat(PREDICTIONS, parts)


def _in_order() -> list[Method]:
    rules = list(RULES)
    return sorted((row for row in METHODS if row.rule), key=lambda row: rules.index(row.rule))


def posterior_scores(evidence: Evidence, insilico: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """Score the genes that have an in-silico score by the posterior, for both signs; index = gene ids.

    Parameters
    ----------
    evidence
        Networks, scales and seed.
    insilico
        In-silico score, index = gene ids.
    rows
        Effects that may be read: see `Evidence.rows`.

    Returns
    -------
    `score` and `away`: probability of a worthwhile effect toward the goal, and of one as far away from it.
    """
    found, n = posterior_of(evidence, insilico, rows), evidence.known.n_ranked
    both = {"score": found.probability_g[:n], "away": found.away_g[:n]}
    return pd.DataFrame(both, index=evidence.known.gene_ids[:n]).reindex(insilico.index)


def posterior_of(evidence: Evidence, insilico: pd.Series, rows: pd.DataFrame) -> Posterior:
    """Posterior over all genes of the cells, in their order, then over the genes beside them that are read.

    Parameters
    ----------
    evidence
        Networks, scales and seed.
    insilico
        In-silico score, index = gene ids; a gene without one is expected at the mean.
    rows
        Effects that may be read: see `Evidence.rows`.
    """
    read = measured_genes(rows, seed=evidence.seed)
    known = evidence.known.beside(read["gene_id"])
    return posterior(
        known.networks,
        known.scales,
        insilico.reindex(known.gene_ids).to_numpy(float),
        pd.Index(known.gene_ids).get_indexer(pd.Index(read["gene_id"])),
        read["effect_to_goal"].to_numpy(float),
        read["se"].to_numpy(float),
        passed=evidence.passed,
    )


def posterior_table(
    evidence: Evidence, insilico: pd.Series, kind: Kind, gene_names: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Table POSTERIOR of the full ranking, and how much each network said.

    Parameters
    ----------
    evidence
        Effects, networks and scales.
    insilico
        In-silico score, index = gene ids.
    kind
        Kind of edit that the effects judge.
    gene_names
        Ensembl id -> symbol of every gene of the cells.

    Returns
    -------
    POSTERIOR rows of the genes of the cells whose effects were not read, and network -> its share of what the measured genes say of the others.
    """
    known, rows = evidence.known, evidence.rows(without=-1)
    found, n = posterior_of(evidence, insilico, rows), known.n_ranked
    read = measured_genes(rows, seed=evidence.seed)
    names_p = np.array(
        [gene_names.get(gene, name) for gene, name in zip(read["gene_id"], read["gene_name"], strict=True)]
    )
    table = pd.DataFrame(
        {
            "gene_id": known.gene_ids[:n],
            "gene_name": [gene_names[gene] for gene in known.gene_ids[:n]],
            "kind": kind,
            "mean": found.mean_g[:n],
            "sd": found.sd_g[:n],
            "probability": found.probability_g[:n],
            "away": found.away_g[:n],
            "threshold": found.threshold,
            "neighbors": [neighbors(influence_p, names_p) for influence_p in found.influence_gp[:n]],
        }
    )
    share = {network.name: float(value) for network, value in zip(known.networks, found.share_k, strict=True)}
    return POSTERIOR.checked(table[~table["gene_id"].isin(rows["gene_id"])]), share


def measured_genes(rows: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Rows that the posterior reads: all, or of very many half those with the clearest effects and half drawn."""
    here = rows.reset_index(drop=True)
    if len(here) <= MOST_MEASURED:
        return here
    clear = (here["effect_to_goal"].abs() / here["se"].clip(lower=1e-9)).nlargest(MOST_MEASURED // 2).index
    rest = here.index.difference(clear).to_numpy()
    drawn = stream(seed, "measured genes that are read").choice(
        rest, MOST_MEASURED - len(clear), replace=False
    )
    return here.loc[np.sort(np.concatenate([clear.to_numpy(), drawn]))].reset_index(drop=True)


def propagated_scores(evidence: Evidence, rows: pd.DataFrame) -> pd.Series:
    """Spread effects over the graph of the simple rule; index = its genes."""
    table = propagate(
        evidence.known.graph,
        rows["gene_id"].to_numpy(object),
        rows["effect_to_goal"].to_numpy(float),
        rows["se"].to_numpy(float),
    )
    return pd.Series(table["score"].to_numpy(float), index=table["gene_id"].to_numpy(object))


def summed_scores(partner: pd.Series, spread: pd.Series) -> pd.Series:
    """Z + z on the genes that the partner scores."""
    values = partner.to_numpy(float), spread.reindex(partner.index).to_numpy(float)
    return pd.Series(combine(*values), index=partner.index)


RULES: dict[str, Callable[[Evidence, pd.Series, pd.DataFrame], pd.Series | pd.DataFrame]] = {
    "posterior": posterior_scores,
    "propagation": lambda evidence, partner, rows: propagated_scores(evidence, rows),
    "sum": lambda evidence, partner, rows: summed_scores(partner, propagated_scores(evidence, rows)),
}
"""How measured effects make a score, by `Method.rule`: evidence, in-silico score and effects that may be read in, one score per
gene out; or a table, where hits away from the goal are not found by the score turned round (columns `score`, `away`)."""


def n_shuffles(evidence: Evidence) -> int:
    """Shuffles behind a control."""
    return SHUFFLES if len(evidence.effects) <= MANY_GENES else FEW_SHUFFLES


def _scores(predictions: pd.DataFrame, name: str, kind: Kind, fold: int) -> pd.Series:
    rows = predictions[
        predictions["method"].eq(name) & predictions["kind"].eq(kind) & predictions["fold"].eq(fold)
    ]
    return pd.Series(rows["score"].to_numpy(float), index=rows["gene_id"].to_numpy(object))


def _rows(name: str, kind: Kind, fold: int, made: pd.Series | pd.DataFrame) -> pd.DataFrame:
    table = made if isinstance(made, pd.DataFrame) else made.to_frame("score")
    frame = table.astype(float).rename_axis("gene_id").reset_index()
    return frame.assign(method=name, kind=kind, fold=fold).dropna(subset=["score"])
