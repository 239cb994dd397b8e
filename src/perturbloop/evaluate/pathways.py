"""The static pathway baseline: genes of a pathway that is known to drive the states, ranked by expression.

It costs nothing and knows the textbook. On the screens of T-cell activation it is hard to beat, and a model that does
not beat it has added nothing to what was known.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from perturbloop.data.cells import Cells
from perturbloop.data.gene_sets import GeneSets
from perturbloop.errors import InputError, closest, some
from perturbloop.evaluate.controls import CONTROLS, Recognized
from perturbloop.evidence.scales import Scale, listed_scale
from perturbloop.schema import ACTION, Kind


@dataclass(frozen=True)
class StaticPathway:
    """Genes that are taken for the causes of a state, from before any experiment."""

    name: str
    gene_names: frozenset[str]
    """Symbols, or Ensembl ids where it comes from a file of gene sets."""
    raised_in: str = ""
    """State that the pathway raises, start or goal; empty where that is not known."""

    def expressed(
        self, gene_names: Shaped[np.ndarray, " g"], expression_g: Float[np.ndarray, " g"]
    ) -> Bool[np.ndarray, " g"]:
        """Whether a gene is of the pathway and seen in the start cells; with none there is no baseline."""
        return np.isin(gene_names.astype(str), sorted(self.gene_names)) & (expression_g > 0)

    def score(
        self, gene_names: Shaped[np.ndarray, " g"], expression_g: Float[np.ndarray, " g"], kind: Kind
    ) -> Float[np.ndarray, " g"]:
        """Expression, with the pathway's genes in front; higher = more benefit.

        Genes of the pathway that the start cells express come first, by expression; then all others, by expression.
        Where the pathway raises the state that the action takes cells away from (inhibiting a pathway that raises the
        goal), its genes come last instead, the most expressed at the very end.

        Parameters
        ----------
        gene_names
            Symbols.
        expression_g
            Expression in the start cells, 0 or more.
        kind
            Kind of edit, whose action decides the side.

        Examples
        --------
        >>> tcr = StaticPathway("tcr", frozenset({"CD3E"}), raised_in="start")
        >>> names = np.array(["ACTB", "CD3E"], dtype=object)
        >>> tcr.score(names, np.array([5.0, 1.0]), "delete"), tcr.score(names, np.array([5.0, 1.0]), "overexpress")
        (array([5., 7.]), array([ 5., -7.]))
        """
        member_g = self.expressed(gene_names, expression_g)
        front = float(expression_g.max(initial=0.0)) + 1
        helps = self.raised_in == "" or (ACTION[kind] == "inhibit") == (self.raised_in == "start")
        return np.where(member_g, (front + expression_g) * (1 if helps else -1), expression_g).astype(float)


def pathway_scales(cells: Cells, pathway: StaticPathway | None) -> tuple[Scale, ...]:
    """Say to the posterior that the genes of this pathway may act more than others, by either sign; nothing where there is none.

    Parameters
    ----------
    cells
        Cells whose genes are looked up.
    pathway
        Result of `static_pathway`.
    """
    listed_g = np.isin(
        pathway_labels(cells, pathway).astype(str), sorted(pathway.gene_names) if pathway else []
    )
    return (listed_scale("pathway", cells.gene_ids, listed_g),) if listed_g.any() else ()


def pathway_labels(cells: Cells, pathway: StaticPathway | None) -> Shaped[np.ndarray, " g"]:
    """Symbol of each gene, or its id where the pathway holds the id."""
    by_id = sorted(pathway.gene_names) if pathway is not None else []
    return np.where(np.isin(cells.gene_ids.astype(str), by_id), cells.gene_ids, cells.gene_names)


def static_pathway(
    name: str | None, recognized: Iterable[Recognized], *, gene_sets: GeneSets | None = None
) -> StaticPathway | None:
    """Choose the pathway of the baseline: the one that is named, else that of the first recognized stimulus.

    Parameters
    ----------
    name
        Name of one of `CONTROLS` or of one of the gene sets; `None` = what was recognized.
    recognized
        Result of `recognize`.
    gene_sets
        Sets of the campaign, where it has any. Nothing says which state they raise.

    Raises
    ------
    InputError
        If no control and no gene set has that name.
    """
    found = {entry.control.name: entry for entry in recognized}
    if name is None:
        name = next(iter(found), None)
        if name is None:
            return None
    known = {entry.name: entry for entry in CONTROLS}
    if name not in known:
        sets = [] if gene_sets is None else gene_sets.set_names.tolist()
        if gene_sets is not None and name in sets:
            member_g = gene_sets.member_gs[:, [sets.index(name)]].toarray().ravel() > 0
            return StaticPathway(name, frozenset(gene_sets.gene_ids[member_g]))
        names = [*known, *sets]
        msg = f"A pathway must be one of {some(names)}; it is {name!r}. The closest is {closest(name, names, limit=1)}."
        raise InputError(msg)
    raised_in = found[name].raised_in if name in found else ""
    return StaticPathway(name, frozenset(known[name].pathway), raised_in)
