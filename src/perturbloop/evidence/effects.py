"""Perturbed cells to measured effects: how far each target moved cells along the state axis, and how surely."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from perturbloop.data.cells import Cells
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.spending import left_out, own_genes
from perturbloop.evidence.guides import KnockDown, Quality, knock_down, quality
from perturbloop.evidence.reliability import control_like, guide_rows, guide_warnings, replicate_rows
from perturbloop.evidence.replicates import ReplicateEffects, replicate_effects, typical_variance
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
from perturbloop.stats.pool import Pooled, between_variance, pool, pvalue_of_row

PRIOR_DF = 4
"""Weight of the control cells' variance in a target's own, in degrees of freedom."""
LEAST_CONTROL_GUIDES = 3
"""Fewest control guides from which the spread of inert guides is learnt."""


@dataclass(frozen=True)
class GuideSpread:
    """How far inert guides differ from each other, beyond what their cells explain."""

    variance: float
    """Variance between guides, in squared standard deviations of control cells."""
    df: float
    """Degrees of freedom behind it."""
    source: str
    """What it was learnt from, in words."""
    from_controls: bool = False
    """Whether it was learnt from control guides; where it was not, p-values may be too small."""


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
    guides and the spread *between control guides*, so that guides as such do not look like effects, and the variance between
    replicates: the target's own, or that of the typical target where that is larger. The mean of the controls has an error
    too, common to all targets, and is in it.
    Guides that do little count less in the effect (`evidence.guides`). `pvalue` is that of effect and `se`, and never below
    that of the test whether all guides, each in full, are inert (`stats.pool.pvalue_of_row`).
    A hit has padj below `config.fdr` and an effect of at least `config.min_effect` control standard deviations.
    """
    shared = shared_genes(state, perturbed.cells)
    score = fit_state_score(state, is_goal_n, train_n, readout_genes(shared, genes))
    own = own_genes(state, perturbed)
    unread = left_out(state, perturbed)
    scored = scores_by_target(score, perturbed, unread)
    _, shared_score_n = scored[""]
    guide_spread = _guide_spread(shared_score_n, perturbed)
    contrasts = {}
    for target in perturbed.targets:
        own_n = perturbed.target_n == target
        found = knock_down(perturbed, target, own.get(target, ""))
        contrasts[target] = _contrast(
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
        spread=_centered(shared_score_n, perturbed.replicate_n, perturbed.is_control_n)[1],
        guide_spread=guide_spread,
        control_position=_control_position(score, shared_score_n, perturbed),
        warnings=(
            *_warnings(score, guide_spread, perturbed, own),
            *guide_warnings(guide_table, perturbed.modality),
        ),
    )


@dataclass(frozen=True)
class _Contrast:
    """One target against its controls."""

    pooled: Pooled
    guides: list[str]
    mean_r: np.ndarray
    variance_r: np.ndarray
    cells_r: np.ndarray
    shared_variance: float
    cell_df: float
    n_replicates: int
    weight_n: np.ndarray
    """Weight of every cell of the file, so that the effect is the weighted sum of scores over the spread."""
    spread: float
    replicates: ReplicateEffects
    quality: Quality
    found: KnockDown | None


def _centered(
    score_n: np.ndarray, replicate_n: np.ndarray, control_n: np.ndarray
) -> tuple[Float[np.ndarray, " n"], float]:
    """Scores minus the control mean of their replicate, in control standard deviations; and that deviation."""
    mean = pd.Series(score_n[control_n]).groupby(replicate_n[control_n]).mean()
    centered_n = score_n - pd.Series(replicate_n).map(mean).to_numpy(dtype=float)
    df = int(control_n.sum()) - len(mean)
    spread = float(np.sqrt((centered_n[control_n] ** 2).sum() / df))
    return centered_n / (spread or 1.0), spread


def _contrast(
    score_n: np.ndarray,
    perturbed: PerturbedCells,
    target_n: np.ndarray,
    control_n: np.ndarray,
    guide_spread: GuideSpread,
    *,
    found: KnockDown | None = None,
) -> _Contrast:
    rows_n = np.flatnonzero(target_n | control_n)
    replicate_n, is_control_n = perturbed.replicate_n[rows_n], control_n[rows_n]
    named = perturbed.guide_n is not None
    guide_n = (
        perturbed.guide_n[rows_n] if perturbed.guide_n is not None else np.full(len(rows_n), "", dtype=object)
    )
    centered_n, spread = _centered(score_n[rows_n], replicate_n, is_control_n)
    own_n = ~is_control_n
    by_guide = pd.Series(centered_n[own_n]).groupby(guide_n[own_n])
    cells_r, mean_r = by_guide.size().to_numpy(), by_guide.mean().to_numpy()
    within = float(((centered_n[own_n] - by_guide.transform("mean").to_numpy()) ** 2).sum())
    cell_df = float(cells_r.sum() - len(cells_r) + PRIOR_DF)
    variance_r = (within + PRIOR_DF) / cell_df / cells_r
    share = pd.Series(replicate_n[own_n]).value_counts(normalize=True)
    shared_variance = _control_variance(
        share, replicate_n[is_control_n], guide_n[is_control_n] if named else None, guide_spread
    )
    judged = quality(
        perturbed.modality,
        found,
        mean_r,
        variance_r,
        null_variance=guide_spread.variance,
        shared_variance=shared_variance,
    )
    pooled = pool(
        mean_r,
        variance_r,
        null_variance=guide_spread.variance,
        shared_variance=shared_variance,
        null_df=guide_spread.df,
        cell_df=cell_df,
        quality_r=judged.weight_r,
    )
    per_cell = pd.Series(pooled.weight_r / cells_r, index=by_guide.size().index)
    weight_n = np.zeros(len(score_n))
    weight_n[rows_n[own_n]] = pd.Series(guide_n[own_n]).map(per_cell).to_numpy(dtype=float)
    against = pd.Series(weight_n[rows_n[own_n]]).groupby(replicate_n[own_n]).sum()
    weight_n[rows_n[is_control_n]] = _spread_over_controls(-against, replicate_n[is_control_n])
    guides = [str(guide) for guide in per_cell.index]
    by_replicate = replicate_effects(
        centered_n, weight_n[rows_n], replicate_n, is_control_n, within=(within + PRIOR_DF) / cell_df
    )
    return _Contrast(
        pooled,
        guides,
        mean_r,
        variance_r,
        cells_r,
        shared_variance,
        cell_df,
        len(share),
        weight_n,
        spread,
        by_replicate,
        judged,
        found,
    )


def _spread_over_controls(share: pd.Series, replicate_c: np.ndarray) -> np.ndarray:
    """Weight of each control cell, so that those of a replicate sum to its share."""
    count = pd.Series(replicate_c).value_counts()
    return (
        pd.Series(replicate_c).map(share.reindex(count.index, fill_value=0.0) / count).to_numpy(dtype=float)
    )


def _control_variance(
    share: pd.Series, replicate_c: np.ndarray, guide_c: np.ndarray | None, guide_spread: GuideSpread
) -> float:
    """Sampling variance of the control mean a target is compared with: its cells, and its few guides."""
    weight_c = _spread_over_controls(share, replicate_c)
    by_cell = float((weight_c**2).sum())
    if guide_c is None:
        return by_cell
    return by_cell + guide_spread.variance * float((pd.Series(weight_c).groupby(guide_c).sum() ** 2).sum())


def _guide_spread(score_n: np.ndarray, perturbed: PerturbedCells) -> GuideSpread:
    """Spread of inert guides: between control guides, else the typical spread between guides of one target."""
    if perturbed.guide_n is None:
        return GuideSpread(0.0, np.inf, "no guides are named, so guides are taken not to differ")
    centered_n, _ = _centered(score_n, perturbed.replicate_n, perturbed.is_control_n)
    table = pd.DataFrame({"score": centered_n, "target": perturbed.target_n, "guide": perturbed.guide_n})
    spread = {}
    for target, cells in table.groupby("target"):
        by_guide = cells.groupby("guide")["score"]
        if by_guide.ngroups > 1:
            variance = between_variance(by_guide.mean().to_numpy(), 1 / by_guide.size().to_numpy())
            spread[str(target)] = variance, by_guide.ngroups
    variance, n_guides = spread.pop(perturbed.control, (0.0, 1))
    if n_guides >= LEAST_CONTROL_GUIDES:
        return GuideSpread(variance, n_guides - 1.0, f"{n_guides} control guides", from_controls=True)
    if not spread:
        return GuideSpread(
            0.0, np.inf, "neither controls nor targets have several guides, so they are taken not to differ"
        )
    typical = float(np.median([value for value, _ in spread.values()]))
    return GuideSpread(
        typical, float(len(spread)), f"median over {len(spread)} targets, for want of control guides"
    )


def _rows(
    target: str,
    contrast: _Contrast,
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
        "pvalue": pvalue_of_row(pooled.mean, se, inert=pooled.pvalue),
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
        pvalue = pvalue_of_row(alone.mean, alone.se, inert=alone.pvalue)
        numbers = {"effect_to_goal": alone.mean, "se": alone.se, "pvalue": pvalue, "n_guides": 1}
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
    table["hit"] = (padj < config.fdr) & (table["effect_to_goal"].abs() >= config.min_effect)
    table["fold"] = -1
    return EFFECTS.checked(table)


def _named(table: Table, rows: list[Mapping[str, object]], names: dict[str, str]) -> pd.DataFrame:
    """Put its symbol to the rows of a target's guides or replicates."""
    frame = pd.DataFrame(rows)
    pairs = zip(frame["gene_id"], frame["target"], strict=True)
    return table.checked(frame.assign(gene_name=[names.get(gene, target) for gene, target in pairs]))


def _contributions(
    target: str, readout: Readout, contrast: _Contrast, perturbed: PerturbedCells
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
            pooled = _contrast(score_n, perturbed, own_n, others_n, guide_spread).pooled
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
