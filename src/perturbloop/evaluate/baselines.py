"""What every ranking must beat: DE, expression, detection, annotation, a known pathway, lineage, and chance.

Each gives PREDICTIONS rows of fold -1: none of them sees a measured effect, so none can leak. Where a baseline cannot be
made (no gene sets were given, no pathway was recognized) it has no rows, and the scoreboard says that it was not run.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from perturbloop.data.cells import Cells
from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate.de import benefit, signed_de
from perturbloop.evaluate.pathways import StaticPathway, pathway_labels
from perturbloop.evidence.lineage import lineage_prior
from perturbloop.schema import DEFAULT_KINDS, PREDICTIONS, Kind, concat


def baselines(
    cells: Cells,
    is_goal_n: Bool[np.ndarray, " n"],
    *,
    kinds: Iterable[Kind] = DEFAULT_KINDS,
    rng: np.random.Generator,
    de: pd.DataFrame | None = None,
    gene_sets: GeneSets | None = None,
    pathway: StaticPathway | None = None,
    lineage_g: Float[np.ndarray, " g"] | None = None,
    degree_g: Float[np.ndarray, " g"] | None = None,
) -> pd.DataFrame:
    """Score every gene of the cells by each baseline that needs no model.

    Parameters
    ----------
    cells
        Start and goal cells, nothing else.
    is_goal_n
        True for the goal cells.
    kinds
        Kinds of edit to predict.
    rng
        Draws the scores of `chance`.
    de
        Result of `differential` or `signed_de`, where it is at hand.
    gene_sets
        Behind `degree`: in how many sets a gene is; a gene in none has 0.
    pathway
        Behind `pathway`; see `evaluate.pathways`.
    lineage_g
        Behind `lineage`: `evidence.lineage.lineage_score` of each gene of the cells; NaN where it is not known.
    degree_g
        In how many sets of all collections each gene is, for `degree` and `lineage`; by default that of `gene_sets`.

    Returns
    -------
    PREDICTIONS rows with fold -1, higher = more benefit: `de`, `de-absolute`, `expression`, `detection`, `chance` and, where
    their input is given, `degree`, `pathway` and `lineage`. Expression and detection rate, read in the start cells, absolute DE and
    degree rank all kinds alike: "hits are expressed, changed, well-studied genes" are the confounders they stand for.
    """
    de = signed_de(cells, is_goal_n) if de is None else de
    start = cells.select(~is_goal_n)
    expression_g = np.asarray(start.log_normalized().mean(axis=0)).ravel().astype(float)
    label_g = pathway_labels(cells, pathway)
    if degree_g is None and gene_sets is not None:
        degree_g = degree(gene_sets, cells.gene_ids)
    parts = []
    for kind in kinds:
        scores = {
            "de": benefit(de, kind),
            "de-absolute": de["z"].abs().to_numpy(float),
            "expression": expression_g,
            "detection": start.detection(),
            "chance": rng.random(cells.n_genes),
        }
        if degree_g is not None:
            scores["degree"] = degree_g
        if lineage_g is not None:
            annotated_g = np.zeros(cells.n_genes) if degree_g is None else degree_g
            scores["lineage"] = lineage_prior(lineage_g, expression_g, annotated_g)
        if pathway is not None and pathway.expressed(label_g, expression_g).any():
            scores["pathway"] = pathway.score(label_g, expression_g, kind)
        parts += [_rows(name, kind, cells.gene_ids, score_g) for name, score_g in scores.items()]
    return concat(PREDICTIONS, parts)


def degree(gene_sets: GeneSets, gene_ids: Shaped[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """In how many gene sets each gene is; 0 for a gene that the file does not know."""
    sets_of = pd.Series(gene_sets.degree_g, index=gene_sets.gene_ids)
    return sets_of.reindex(gene_ids).fillna(0).to_numpy(float)


def _rows(method: str, kind: Kind, gene_ids: np.ndarray, score_g: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"method": method, "kind": kind, "gene_id": gene_ids, "score": score_g.astype(float), "fold": -1}
    )
