"""Effects of compounds to effects of the genes they hit: what a drug screen says of single genes, and how surely."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.compounds import Compound, torn
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.spending import UNUSED
from perturbloop.evidence.effects import is_hit
from perturbloop.schema import EFFECTS, EvaluateConfig, Modality, arms_of, raising_sign
from perturbloop.stats.correct import benjamini_hochberg
from perturbloop.stats.pool import pool


def share_of_target(effect: float, se: float, share: float, n_targets: int) -> tuple[float, float]:
    r"""Say what the effect of a compound means for one of its targets; positive = toward the goal.

    Parameters
    ----------
    effect, se
        Effect of the compound and its standard error.
    share
        Expected part of the effect that this target carries: its weight over that of all targets, 0 to 1.
    n_targets
        Genes that the compound hits.

    Returns
    -------
    Effect of one target and its standard error.

    Notes
    -----
    The targets divide the effect y among them, and any division is as likely as any other about the expected one (Dirichlet, of total
    n): a target's part has mean p and variance :math:`v = p (1-p) / (n+1)`, so that its effect has mean :math:`py` and variance
    :math:`v y^2 + (p^2 + v)\,\mathrm{se}^2`. With one target it is the compound's own effect; with n equal ones no target can be told from zero by
    that compound alone. Targets that work against each other or together only, or that the table lacks, break it.

    Examples
    --------
    >>> share_of_target(2.0, 0.1, 1.0, 1)
    (2.0, 0.1)
    >>> mean, error = share_of_target(2.0, 0.1, 0.5, 2)
    >>> mean, round(error, 3)
    (1.0, 0.58)
    """
    spread = share * (1 - share) / (n_targets + 1)
    variance = spread * effect**2 + (share**2 + spread) * se**2
    return share * effect, float(np.sqrt(variance))


def gene_effects(
    effects: pd.DataFrame,
    compounds: Mapping[str, Compound],
    *,
    left_out: Iterable[str],
    names: Mapping[str, str],
    config: EvaluateConfig,
) -> pd.DataFrame:
    """Turn effects of compounds into effects of genes, by arm.

    Parameters
    ----------
    effects
        Table `EFFECTS` of a drug screen, one row of level gene per compound (as `measure_effects` gives it).
    compounds
        What each compound hits.
    left_out
        Compounds that are not used: those whose targets are in several folds.
    names
        Symbol of each gene.
    config
        False discovery rate and least effect of a hit.

    Returns
    -------
    Table `EFFECTS`: one row of level compound per compound; of level gene per gene and arm (`inhibitor`, `activator`), with
    the compounds behind it as `target`; of level guide per gene and compound. Compounds that lower one target and raise
    another are used for no gene.

    Notes
    -----
    Each target's share of a compound's effect is by its weight (`data.drugs.weights_of`): by potency where it is known, else all
    alike (`share_of_target`). Compounds of the same several targets are pooled before they are shared out. Compounds of one gene and arm
    are pooled as guides are (`stats.pool.pool`), with the spread between compounds in the error. A gene of one selective compound has that compound's
    effect, error and p.
    """
    rows = effects[effects["level"] == "gene"]
    parts = [rows.assign(level="compound", gene_id="", effect=np.nan, fold=-1)]
    unused = set(left_out)
    for arm in arms_of("drug"):
        of_set: dict[frozenset[str], list[tuple[dict[Any, Any], Compound]]] = {}
        for row in rows.to_dict("records"):
            compound = compounds.get(str(row["target"]))
            if compound is not None and compound.arm == arm and compound.name not in unused:
                alike = compound.genes if len(compound.genes) > 1 else frozenset({compound.name})
                of_set.setdefault(alike, []).append((row, compound))
        shares = [
            row | share
            for same in of_set.values()
            for row, compound in [_together(same)]
            for share in _shares(row, compound)
        ]
        if shares:
            parts.append(_arm(pd.DataFrame(shares), arm, names, config))
    table = pd.concat(parts, ignore_index=True)
    return EFFECTS.checked(table)


def _together(same: list[tuple[dict[Any, Any], Compound]]) -> tuple[dict[Any, Any], Compound]:
    """Compounds of the same several targets as one: what they leave in doubt, how these divide the effect, no number of them tells."""
    first, compound = same[0]
    if len(same) == 1:
        return first, compound
    effects, errors = (
        np.array([row[name] for row, _ in same], dtype=float) for name in ("effect_to_goal", "se")
    )
    pooled = pool(effects, errors**2, null_variance=0.0)
    found = {"effect_to_goal": pooled.mean, "se": pooled.se, "pvalue": pooled.pvalue}
    names = {"target": "; ".join(sorted(str(row["target"]) for row, _ in same))}
    return first | found | names | {"n_cells": sum(int(row["n_cells"]) for row, _ in same)}, compound


def _shares(row: Mapping[Any, Any], compound: Compound) -> list[dict[str, object]]:
    """What one compound says of each of its targets of known sign; those of unknown sign take their part of the effect."""
    weights, unknown = compound.weights, len(compound.unresolved)
    n_targets, alone = len(weights) + unknown, len(compound.genes) + unknown == 1
    total = sum(weights.values()) * n_targets / max(len(weights), 1)  # one nobody knows counts as a mean one
    made = []
    for gene in sorted(compound.inhibits | compound.activates):
        mean, error = share_of_target(row["effect_to_goal"], row["se"], weights[gene] / total, n_targets)
        made.append({"gene_id": gene, "effect_to_goal": mean, "se": error, "selective": alone})
    return made


def effects_with_folds(
    effects: pd.DataFrame,
    perturbed: PerturbedCells,
    *,
    fold_of: Mapping[str, int],
    names: Mapping[str, str],
    config: EvaluateConfig,
) -> pd.DataFrame:
    """Rows of the table `EFFECTS` that a file adds, with their folds; a drug screen's compounds stand beside its genes.

    Parameters
    ----------
    effects
        What was measured, EFFECTS rows by label of the file.
    perturbed
        The file.
    fold_of
        Fold of every gene that it spends.
    names
        Symbol of each Ensembl id.
    config
        Thresholds of a hit.
    """
    if not perturbed.compounds:
        rows = effects[effects["gene_id"] != ""]
        return rows.assign(fold=rows["gene_id"].map(fold_of))
    unused = torn(perturbed.compounds.values(), fold_of)
    rows = gene_effects(effects, perturbed.compounds, left_out=unused, names=names, config=config)
    used = {name: fold_of[min(one.genes)] for name, one in perturbed.compounds.items() if name not in unused}
    of_compound = rows["target"].map(used).fillna(UNUSED)
    fold = rows["gene_id"].map(fold_of).where(rows["level"] != "compound", of_compound)
    return rows.assign(fold=fold.astype(int))


def _arm(
    shares: pd.DataFrame, arm: Modality, names: Mapping[str, str], config: EvaluateConfig
) -> pd.DataFrame:
    """Rows of one arm: genes, and below them the compounds."""
    genes, single = [], []
    for gene, of_gene in shares.groupby("gene_id", sort=True):
        label = "; ".join(sorted(of_gene["target"]))
        common = {
            "gene_id": gene,
            "gene_name": names.get(str(gene), str(gene)),
            "modality": arm,
            "target": label,
        }
        first = of_gene.iloc[0].to_dict()
        if len(of_gene) == 1 and first["selective"]:
            numbers = {name: first[name] for name in ("effect_to_goal", "se", "pvalue")}
        else:
            pooled = pool(
                of_gene["effect_to_goal"].to_numpy(dtype=float),
                of_gene["se"].to_numpy(dtype=float) ** 2,
                null_variance=0.0,
            )
            numbers = {"effect_to_goal": pooled.mean, "se": pooled.se, "pvalue": pooled.pvalue}
        sizes = {
            "n_cells": int(of_gene["n_cells"].sum()),
            "n_guides": len(of_gene),
            "n_replicates": int(of_gene["n_replicates"].max()),
            "own_gene_in_readout": bool(of_gene["own_gene_in_readout"].any()),
        }
        genes.append(common | numbers | sizes | {"level": "gene", "guide_id": ""})
        single += [
            row | common | {"level": "guide", "guide_id": row["target"], "padj": np.nan, "hit": False}
            for row in of_gene.to_dict("records")
        ]
    top = pd.DataFrame(genes)
    top["padj"] = benjamini_hochberg(top["pvalue"].to_numpy(dtype=float))
    top["hit"] = is_hit(top, config)
    table = pd.concat([top, pd.DataFrame(single)], ignore_index=True)
    return table.assign(effect=raising_sign(arm) * table["effect_to_goal"].astype(float), fold=-1)
