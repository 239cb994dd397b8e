"""Drug screens in a campaign: which genes a file spends, in which fold, and what it says of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.compounds import folds_of_genes, torn
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.splits import assign_folds
from perturbloop.errors import InputError, some
from perturbloop.evidence.drugs import gene_effects
from perturbloop.evidence.effects import MeasuredEffects
from perturbloop.evidence.score import own_genes
from perturbloop.loop.inputs import Inputs
from perturbloop.schema import EvaluateConfig, kind_of

UNUSED = -2
"""Fold of a compound that neither trains nor judges."""


def assigned_folds(
    perturbed: PerturbedCells, inputs: Inputs, *, known: Mapping[str, int], folds: int
) -> dict[str, int]:
    """Fold of every gene that a file spends: its targets, or all genes that its compounds hit.

    Raises
    ------
    InputError
        If no label of a CRISPR screen is a gene.
    """
    if perturbed.compounds:
        return folds_of_genes(perturbed.compounds.values(), known=known, folds=folds)
    gene_ids = sorted(set(own_genes(inputs.cells, perturbed).values()))
    if not gene_ids:
        msg = (
            f"Targets must be genes; none of {some(perturbed.targets)} in `obs['{perturbed.config.target_column}']` is one that "
            "the vocabulary knows. Use symbols or Ensembl ids as labels; compounds need `--modality drug`."
        )
        raise InputError(msg)
    return assign_folds(gene_ids, known=known, folds=folds)


def effects_by_gene(
    measured: MeasuredEffects,
    perturbed: PerturbedCells,
    inputs: Inputs,
    *,
    fold_of: Mapping[str, int],
    config: EvaluateConfig,
) -> pd.DataFrame:
    """Rows of the table `EFFECTS` that a file adds, with their folds; a drug screen's compounds stand beside its genes."""
    if not perturbed.compounds:
        effects = measured.effects[measured.effects["gene_id"] != ""]
        return effects.assign(fold=effects["gene_id"].map(fold_of))
    unused = torn(perturbed.compounds.values(), fold_of)
    words = inputs.model.vocabulary
    names = {str(gene): str(name) for gene, name in zip(words.gene_ids, words.gene_names, strict=True)}
    effects = gene_effects(measured.effects, perturbed.compounds, left_out=unused, names=names, config=config)
    used = {name: fold_of[min(one.genes)] for name, one in perturbed.compounds.items() if name not in unused}
    own = effects["gene_id"].map(fold_of)
    of_compound = effects["target"].map(used).fillna(UNUSED)
    return effects.assign(fold=own.where(effects["level"] != "compound", of_compound).astype(int))


def drug_facts(
    perturbed: PerturbedCells, fold_of: Mapping[str, int], report: Mapping[str, Any]
) -> dict[str, Any]:
    """What the report says of a drug screen: genes that are spent with it, compounds of no use, and why."""
    if not perturbed.compounds:
        return {}
    unused = torn(perturbed.compounds.values(), fold_of)
    mixed = [name for name, one in perturbed.compounds.items() if one.arm is None]
    several = [name for name, one in perturbed.compounds.items() if one.arm and len(one.genes) > 1]
    said = []
    if report["targets_unmapped"]:
        said.append(
            "Compounds without a known target are measured, but neither train nor say anything of a gene: "
            f"{some(report['targets_unmapped'])}."
        )
    if report["compound_genes_unknown"]:
        said.append(
            "Genes of the table of targets that nobody knows cannot be held out, so a compound may have shown them to the model: "
            f"{some(report['compound_genes_unknown'])}."
        )
    if unused:
        said.append(
            "Compounds whose targets are held out in different folds neither train nor say anything of a gene: "
            f"{some(unused)}."
        )
    if mixed:
        said.append(
            f"Compounds that lower one target and raise another say nothing of single genes: {some(mixed)}."
        )
    if several:
        said.append(
            "Compounds with several targets give each an equal share of their effect, with an error as wide as that doubt: "
            f"{some(several)}."
        )
    used = sorted(
        {gene for name, one in perturbed.compounds.items() if name not in unused for gene in one.genes}
    )
    return {"hit_genes": dict(fold_of), "cell_genes": used, "drug_warnings": said}


def edits_of(perturbed: PerturbedCells) -> np.ndarray:
    """In-silico edit that stands for what was done to each cell, dtype object; '' for a compound that has no single arm."""
    modality, n_cells = perturbed.config.modality, perturbed.cells.n_cells
    if not perturbed.compounds:
        return np.full(n_cells, kind_of(modality), dtype=object)
    edits = {name: kind_of(one.arm) for name, one in perturbed.compounds.items() if one.arm}
    return np.array([edits.get(target, "") for target in perturbed.target_n], dtype=object)


def training_targets(
    perturbed: PerturbedCells, inputs: Inputs, fold_of: Mapping[str, int]
) -> tuple[np.ndarray, dict[str, frozenset[str]]]:
    """Gene that each cell trains under, '' where it may not, and all genes that cells under it hit.

    A compound's cells stand under the first of its targets; all of them are in one fold, else its cells do not train.
    """
    if not perturbed.compounds:
        own = own_genes(inputs.cells, perturbed)
        return np.array([own.get(target, "") for target in perturbed.target_n], dtype=object), {}
    unused = set(torn(perturbed.compounds.values(), fold_of))
    first = {name: min(one.genes) for name, one in perturbed.compounds.items() if name not in unused}
    hits: dict[str, frozenset[str]] = {}
    for name, gene in first.items():
        hits[gene] = hits.get(gene, frozenset()) | perturbed.compounds[name].genes
    return np.array([first.get(target, "") for target in perturbed.target_n], dtype=object), hits
