"""Which genes a file of perturbed cells spends, in which fold, and under which gene each of its cells may train."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from perturbloop.data.cells import Cells
from perturbloop.data.compounds import folds_of_genes, inseparable, torn
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.splits import assign_folds
from perturbloop.errors import InputError, some
from perturbloop.schema import kind_of

UNUSED = -2
"""Fold of a compound that neither trains nor judges."""


def own_genes(state: Cells, perturbed: PerturbedCells) -> dict[str, str]:
    """Ensembl id of each target label; symbols the vocabulary lacks are looked up among the state cells' genes.

    A compound is no gene, even where it has the name of one.
    """
    if perturbed.modality == "drug":
        return {}
    by_name = dict(zip(state.gene_names, state.gene_ids, strict=True))
    found = {
        target: perturbed.target_ids.get(target, by_name.get(target, "")) for target in perturbed.targets
    }
    return {target: str(gene) for target, gene in found.items() if gene}


def left_out(state: Cells, perturbed: PerturbedCells) -> dict[str, frozenset[str]]:
    """Genes that no score of a target's cells may read: its own, or all that a compound hits."""
    found = {target: frozenset({gene}) for target, gene in own_genes(state, perturbed).items()}
    return found | {name: compound.genes for name, compound in perturbed.compounds.items()}


def assigned_folds(
    state: Cells, perturbed: PerturbedCells, *, known: Mapping[str, int], folds: int
) -> dict[str, int]:
    """Fold of every gene that a file spends: its targets, or all genes that its compounds hit.

    Parameters
    ----------
    state
        Start and goal cells.
    perturbed
        The file.
    known
        Folds that were given before; they never change.
    folds
        Number of folds where targets are left out in turn.

    Raises
    ------
    InputError
        If no label of a CRISPR screen is a gene.
    """
    if perturbed.compounds:
        return folds_of_genes(perturbed.compounds.values(), known=known, folds=folds)
    gene_ids = sorted(set(own_genes(state, perturbed).values()))
    if not gene_ids:
        msg = (
            f"Targets must be genes; none of {some(perturbed.targets)} in `obs['{perturbed.config.target_column}']` is one that "
            "the vocabulary knows. Use symbols or Ensembl ids as labels; compounds need `--modality drug`."
        )
        raise InputError(msg)
    return assign_folds(gene_ids, known=known, folds=folds)


def edits_of(perturbed: PerturbedCells) -> np.ndarray:
    """In-silico edit that stands for what was done to each cell, dtype object; '' for a compound that has no single arm."""
    modality, n_cells = perturbed.config.modality, perturbed.cells.n_cells
    if not perturbed.compounds:
        return np.full(n_cells, kind_of(modality), dtype=object)
    edits = {name: kind_of(one.arm) for name, one in perturbed.compounds.items() if one.arm}
    return np.array([edits.get(target, "") for target in perturbed.target_n], dtype=object)


def training_targets(
    state: Cells, perturbed: PerturbedCells, fold_of: Mapping[str, int]
) -> tuple[np.ndarray, dict[str, frozenset[str]]]:
    """Gene that each cell trains under, '' where it may not, and all genes that cells under it hit.

    A compound's cells stand under the first of its targets; all of them are in one fold, else its cells do not train.

    Parameters
    ----------
    state
        Start and goal cells.
    perturbed
        The file.
    fold_of
        Fold of every gene that the campaign has spent.
    """
    if not perturbed.compounds:
        own = own_genes(state, perturbed)
        return np.array([own.get(target, "") for target in perturbed.target_n], dtype=object), {}
    unused = set(torn(perturbed.compounds.values(), fold_of))
    first = {name: min(one.genes) for name, one in perturbed.compounds.items() if name not in unused}
    hits: dict[str, frozenset[str]] = {}
    for name, gene in first.items():
        hits[gene] = hits.get(gene, frozenset()) | perturbed.compounds[name].genes
    return np.array([first.get(target, "") for target in perturbed.target_n], dtype=object), hits


def compound_warnings(
    perturbed: PerturbedCells,
    fold_of: Mapping[str, int],
    *,
    unmapped: list[str],
    unknown: list[str],
    names: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Say which compounds of a drug screen are of no use, or of less, and why.

    Parameters
    ----------
    perturbed
        The file.
    fold_of
        Fold of every gene that it spends.
    unmapped
        Compounds without a known target.
    unknown
        Genes of the table of targets that nobody knows.
    names
        Symbol of each Ensembl id.
    """
    if not perturbed.compounds:
        return []
    unsigned = [name for name, one in perturbed.compounds.items() if one.unsigned]
    of_no_arm = [name for name, one in perturbed.compounds.items() if one.arm is None]
    several = [name for name, one in perturbed.compounds.items() if one.arm and len(one.genes) > 1]
    cases = (
        (
            "Compounds without a known target are measured, but neither train nor say anything of a gene",
            unmapped,
        ),
        (
            "Genes of the table of targets that nobody knows cannot be held out, so a compound may have shown them to the model",
            unknown,
        ),
        (
            "Compounds whose targets are held out in different folds neither train nor say anything of a gene",
            torn(perturbed.compounds.values(), fold_of),
        ),
        (
            "Compounds that lower one target and raise another (or whose signs are all unknown) say nothing of single genes",
            of_no_arm,
        ),
        (
            "Targets of unknown sign are spent; they are neither edited nor counted as evidence, though they may carry a part of the "
            "effect. Compounds with such targets",
            unsigned,
        ),
        (
            "Compounds with several targets give each a share of their effect, by potency where it is known, with an error as wide as "
            "that doubt",
            several,
        ),
    )
    told = [f"{what}: {some(names)}." for what, names in cases if names]
    return [*told, *credit_lines(inseparable(perturbed.compounds.values()), names)]


def credit_lines(alike: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> list[str]:
    """Say which genes' effects are not separable, since the same compounds hit them; nothing where all are.

    Parameters
    ----------
    alike
        Result of `data.compounds.inseparable`.
    names
        Symbol of each Ensembl id.

    Examples
    --------
    >>> credit_lines({"a": ("b",), "b": ("a",)}, {"a": "PRKCA", "b": "PRKCB"})
    ["Not separable, since the same compounds hit them: 'PRKCA with PRKCB'. What is said of one may be due to the other."]
    """
    groups = sorted({tuple(sorted((gene, *others))) for gene, others in alike.items()})
    said = [" with ".join(names.get(gene, gene) for gene in group) for group in groups]
    return (
        [
            f"Not separable, since the same compounds hit them: {some(said)}. What is said of one may be due to the other."
        ]
        if said
        else []
    )
