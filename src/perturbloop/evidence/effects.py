"""Perturbed cells to measured effects: how far each target moved cells along the state axis, and how surely."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool

from perturbloop.data.cells import Cells
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.spending import left_out, own_genes
from perturbloop.evidence.contrast import Contrast, GuideSpread, centered, contrast_of, spread_of_inert
from perturbloop.evidence.guides import knock_down
from perturbloop.evidence.reliability import control_like, guide_rows, guide_warnings, replicate_rows
from perturbloop.evidence.replicates import typical_variance
from perturbloop.evidence.score import (
    Readout,
    ReadoutGenes,
    StateScore,
    fit_state_score,
    readout_genes,
    scores_by_target,
    shared_genes,
)
from perturbloop.schema import EFFECTS, GUIDES, REPLICATES, EvaluateConfig, Table, raising_sign
from perturbloop.stats.correct import benjamini_hochberg
from perturbloop.stats.pool import pool

Z_95 = 1.96
"""Standard errors to either end of a 95 % interval."""


@dataclass(frozen=True)
class MeasuredEffects:
    """Effects of all targets of one file, and what a reader needs to trust them."""

    effects: pd.DataFrame
    """Table `schema.EFFECTS`, gene level and guide level; fold is -1 until held-out targets are set."""
    contributions: pd.DataFrame
    """Per target the genes that say so: `target`, `gene_id`, `gene_name`, `difference` (log-normalized expression,
    perturbed minus control), `contribution` (in effect units; over all genes they sum to the effect)."""
    guides: pd.DataFrame
    """Table `schema.GUIDES`: what each guide did to its target's RNA, and how much it counts."""
    replicates: pd.DataFrame
    """Table `schema.REPLICATES`: the effect in each replicate."""
    replicate_variance: float
    """Typical variance between replicates, in squared standard deviations of control cells."""
    control_guides: pd.DataFrame
    """Each control guide against the other controls: `guide_id`, `effect`, `se`, `pvalue`, `n_cells`."""
    heldout_auroc: float
    """How well the score tells held-out start from goal cells, cut to the same genes."""
    genes: ReadoutGenes
    """Readout genes used: all, judge or label."""
    n_shared_genes: int
    """Genes that both files measure."""
    n_readout_genes: int
    """Genes the score reads."""
    spread: float
    """Standard deviation of control cells within replicate, in logits of the score: the unit of effects."""
    guide_spread: GuideSpread
    """Spread of inert guides."""
    control_position: dict[str, float]
    """Per replicate, where control cells lie between the start (0) and the goal (1) cells."""
    warnings: tuple[str, ...]
    """What the report must say."""

    @property
    def by_gene(self) -> pd.DataFrame:
        """Gene level, largest effect toward the goal first."""
        rows = self.effects[self.effects["level"] == "gene"]
        return rows.sort_values("effect_to_goal", ascending=False, ignore_index=True)


def measure_effects(
    state: Cells,
    is_goal_n: Bool[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
    perturbed: PerturbedCells,
    *,
    config: EvaluateConfig,
    genes: ReadoutGenes = "all",
) -> MeasuredEffects:
    r"""Measure how far each perturbation moved cells toward the goal.

    Positive `effect_to_goal`: the perturbation, as it was done, moved cells toward the goal.

    Parameters
    ----------
    state
        Start and goal cells, raw counts.
    is_goal_n
        Whether a state cell is in the goal state.
    train_n
        Whether a state cell trains the score; the others check it.
    perturbed
        Perturbed and control cells.
    config
        False discovery rate and least effect of a hit.
    genes
        Readout genes: all shared ones, or the half that judges, or the half that labels training cells.

    Returns
    -------
    `MeasuredEffects`.

    Notes
    -----
    A cell's score is the logit of a logistic regression fitted on the state cells, without the target's own gene for the
    target's cells and for the controls they are compared with (a knock-out lowers its own transcript, whatever that does).
    Scores are taken minus the mean of the controls of the same replicate and divided by the pooled standard deviation of
    control cells within replicates. Guides are pooled as in `stats.pool.pool`: `se` holds the disagreement of a target's
    guides, `pvalue` asks whether all are inert, against the spread *between control guides*, so that guides as such do not
    look like effects. The mean of the controls has an error too, common to all targets, and is in both.
    Guides that do little count less in the effect (`evidence.guides`), never in the p. `se` also holds the variance between
    replicates: the target's own, or that of the typical target where that is larger.
    A hit has padj below `config.fdr`, an effect of at least `config.min_effect` control standard deviations, and a 95 % interval
    that excludes 0 (`is_hit`).
    """
    shared = shared_genes(state, perturbed.cells)
    score = fit_state_score(state, is_goal_n, train_n, readout_genes(shared, genes))
    own = own_genes(state, perturbed)
    unread = left_out(state, perturbed)
    scored = scores_by_target(score, perturbed, unread)
    _, shared_score_n = scored[""]
    guide_spread = spread_of_inert(shared_score_n, perturbed)
    contrasts = {}
    for target in perturbed.targets:
        own_n = perturbed.target_n == target
        found = knock_down(perturbed, target, own.get(target, ""))
        contrasts[target] = contrast_of(
            scored[target][1], perturbed, own_n, perturbed.is_control_n, guide_spread, found=found
        )
    typical = typical_variance([contrast.replicates for contrast in contrasts.values()])
    rows, parts, guides, replicates = [], [], [], []
    for target, contrast in contrasts.items():
        gene = own.get(target, "")
        read = not unread.get(target, frozenset()).isdisjoint(score.readout.gene_ids)
        rows += _rows(target, contrast, guide_spread, gene, read, typical)
        parts.append(_contributions(target, scored[target][0], contrast, perturbed))
        replicates += replicate_rows(target, gene, contrast.replicates)
        guides += guide_rows(
            perturbed,
            target,
            gene,
            contrast.guides,
            contrast.mean_r,
            quality=contrast.quality,
            found=contrast.found,
            like_n=control_like(perturbed, target, unread.get(target, frozenset()))
            if genes == "all"
            else None,
        )
    names = _names(state, perturbed)
    return MeasuredEffects(
        effects=_table(rows, perturbed, names, config),
        contributions=pd.concat(parts, ignore_index=True),
        guides=(guide_table := _named(GUIDES, guides, names)),
        replicates=_named(REPLICATES, replicates, names),
        replicate_variance=typical,
        control_guides=_control_guides(shared_score_n, perturbed, guide_spread),
        heldout_auroc=score.heldout_auroc,
        genes=genes,
        n_shared_genes=len(shared),
        n_readout_genes=len(score.readout.gene_ids),
        spread=centered(shared_score_n, perturbed.replicate_n, perturbed.is_control_n)[1],
        guide_spread=guide_spread,
        control_position=_control_position(score, shared_score_n, perturbed),
        warnings=(
            *_warnings(score, guide_spread, perturbed, own),
            *guide_warnings(guide_table, perturbed.modality),
        ),
    )


def _rows(
    target: str,
    contrast: Contrast,
    guide_spread: GuideSpread,
    gene_id: str,
    own_in_readout: bool,
    replicate_variance: float,
) -> list[dict[str, object]]:
    common = {"target": target, "gene_id": gene_id, "own_gene_in_readout": own_in_readout}
    named = contrast.guides != [""]
    pooled = contrast.pooled
    added = contrast.replicates.added(max(contrast.replicates.between, replicate_variance))
    se = float(np.sqrt(pooled.se**2 + added))
    gene = common | {
        "level": "gene",
        "guide_id": "",
        "effect_to_goal": pooled.mean,
        "se": se,
        "pvalue": pooled.pvalue,
        "n_cells": int(contrast.cells_r.sum()),
        "n_guides": len(contrast.guides) if named else 0,
        "n_replicates": contrast.n_replicates,
    }
    rows = [gene]
    for place, guide in enumerate(contrast.guides if named else []):
        alone = pool(
            contrast.mean_r[[place]],
            contrast.variance_r[[place]],
            null_variance=guide_spread.variance,
            shared_variance=contrast.shared_variance,
            null_df=guide_spread.df,
            cell_df=contrast.cell_df,
        )
        numbers = {"effect_to_goal": alone.mean, "se": alone.se, "pvalue": alone.pvalue, "n_guides": 1}
        rows.append(
            gene | numbers | {"level": "guide", "guide_id": guide, "n_cells": int(contrast.cells_r[place])}
        )
    return rows


def _table(
    rows: list[dict[str, object]], perturbed: PerturbedCells, names: dict[str, str], config: EvaluateConfig
) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    table["gene_name"] = [
        names.get(gene, target) for gene, target in zip(table["gene_id"], table["target"], strict=True)
    ]
    table["modality"] = perturbed.modality
    table["effect"] = np.nan  # a drug lowers some genes and raises others: see `evidence.drugs`
    if perturbed.modality != "drug":
        table["effect"] = raising_sign(perturbed.modality) * table["effect_to_goal"]
    is_gene = (table["level"] == "gene").to_numpy()
    padj = np.full(len(table), np.nan)
    padj[is_gene] = benjamini_hochberg(table["pvalue"].to_numpy(dtype=float)[is_gene])
    table["padj"] = padj
    table["hit"] = is_hit(table, config)
    table["fold"] = -1
    return EFFECTS.checked(table)


def is_hit(table: pd.DataFrame, config: EvaluateConfig) -> pd.Series:
    """Whether each row is a hit: its guides are not all inert, its effect is large, and its interval excludes 0.

    Parameters
    ----------
    table
        Columns `padj`, `effect_to_goal` and `se`.
    config
        False discovery rate and least effect.

    Notes
    -----
    `padj` asks another question than `se` answers: a working and a failed guide together are far from inert and yet imprecise.
    So p alone calls no row whose 95 % interval holds 0.
    """
    size = table["effect_to_goal"].abs()
    sure = size > Z_95 * table["se"]
    return (table["padj"] < config.fdr) & (size >= config.min_effect) & sure


def _named(table: Table, rows: list[Mapping[str, object]], names: dict[str, str]) -> pd.DataFrame:
    """Put its symbol to the rows of a target's guides or replicates."""
    frame = pd.DataFrame(rows)
    pairs = zip(frame["gene_id"], frame["target"], strict=True)
    return table.checked(frame.assign(gene_name=[names.get(gene, target) for gene, target in pairs]))


def _contributions(
    target: str, readout: Readout, contrast: Contrast, perturbed: PerturbedCells
) -> pd.DataFrame:
    used_n = contrast.weight_n != 0
    cut = perturbed.cells.select(used_n).restrict(readout.gene_ids)
    difference_g = cut.log_normalized().T @ contrast.weight_n[used_n]
    table = pd.DataFrame(
        {
            "target": target,
            "gene_id": cut.gene_ids,
            "gene_name": cut.gene_names,
            "difference": difference_g,
            "contribution": difference_g * readout.weight_g / (contrast.spread or 1.0),
        }
    )
    return table.sort_values(
        "contribution", key=lambda values: -values.abs(), kind="stable", ignore_index=True
    )


def _control_guides(
    score_n: np.ndarray, perturbed: PerturbedCells, guide_spread: GuideSpread
) -> pd.DataFrame:
    """Each control guide as if it were a target, the other controls as its controls; where a replicate has any."""
    names = ["guide_id", "effect", "se", "pvalue", "n_cells"]
    if perturbed.guide_n is None:
        return pd.DataFrame(columns=names)
    rows = []
    for guide in pd.unique(perturbed.guide_n[perturbed.is_control_n]):
        own_n = perturbed.is_control_n & (perturbed.guide_n == guide)
        others_n = perturbed.is_control_n & ~own_n
        replicates = set(perturbed.replicate_n[own_n])
        if replicates <= set(perturbed.replicate_n[others_n]) and others_n.sum() > len(replicates) + 1:
            pooled = contrast_of(score_n, perturbed, own_n, others_n, guide_spread).pooled
            rows.append((guide, pooled.mean, pooled.se, pooled.pvalue, int(own_n.sum())))
    return pd.DataFrame(rows, columns=names)


def _control_position(score: StateScore, score_n: np.ndarray, perturbed: PerturbedCells) -> dict[str, float]:
    heldout = score.readout.score(score.state.select(~score.train_n))
    is_goal_n = score.is_goal_n[~score.train_n]
    start, goal = heldout[~is_goal_n].mean(), heldout[is_goal_n].mean()
    control_n = perturbed.is_control_n
    mean = pd.Series(score_n[control_n]).groupby(perturbed.replicate_n[control_n]).mean()
    return {str(name): float((value - start) / (goal - start)) for name, value in mean.items()}


def _names(state: Cells, perturbed: PerturbedCells) -> dict[str, str]:
    pairs = [zip(cells.gene_ids, cells.gene_names, strict=True) for cells in (state, perturbed.cells)]
    return {str(gene): str(name) for part in pairs for gene, name in part}


def _warnings(
    score: StateScore, guide_spread: GuideSpread, perturbed: PerturbedCells, own: dict[str, str]
) -> tuple[str, ...]:
    said = []
    if score.heldout_auroc < 0.7:
        said.append(
            f"The state score tells held-out start from goal cells with AUROC {score.heldout_auroc:.2f} only: "
            "on the shared genes the states can hardly be read, and neither can effects."
        )
    if not guide_spread.from_controls:
        said.append(f"Spread of inert guides: {guide_spread.source}; p-values may be too small.")
    unmapped = [target for target in perturbed.targets if target not in own and not perturbed.compounds]
    if unmapped:
        said.append(f"Targets without an Ensembl id cannot be found in a ranking: {', '.join(unmapped)}.")
    return tuple(said)
