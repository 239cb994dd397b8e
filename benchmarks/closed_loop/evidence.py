"""What the measured effects of k panel genes say of the others, with every row's control."""

import numpy as np
import pandas as pd
from world import ARMS, K, Study

from perturbloop.evidence.graphs import GeneGraph, coexpression
from perturbloop.evidence.posterior import Posterior, posterior
from perturbloop.evidence.propagate import combine, propagate
from perturbloop.schema import Kind, kind_of


def baseline_scores(study: Study) -> pd.DataFrame:
    """Rows that see no effect."""
    cells, rng = study.cells, np.random.default_rng([study.seed, 24])
    parts = []
    for state, modality in ARMS:
        start = cells.select(~study.is_resting_n if state == "stimulated" else study.is_resting_n)
        rows = {
            "de": signed_de_benefit(study, kind_of(modality)),
            "de-absolute": study.de["z"].abs().to_numpy(),
            "expression": np.asarray(start.log_normalized().mean(axis=0)).ravel(),
            "detection": start.detection(),
            "chance": rng.random(cells.n_genes),
        }
        parts += [_rows(study, name, kind_of(modality), score_g) for name, score_g in rows.items()]
    return pd.concat(parts)


def signed_de_benefit(study: Study, kind: Kind) -> np.ndarray:
    """Higher in the start is to be deleted, higher in the goal to be activated: both mean lower at rest."""
    return -study.de["z"].to_numpy()


def evidence_scores(study: Study, insilico: pd.DataFrame) -> pd.DataFrame:
    """Rows that see the effects of the first k genes of each panel.

    Parameters
    ----------
    insilico
        Rows of `arm_scores` and `open_scores`: `frozen` and, for the second channel, `full-closed-20` and -50 and so on.
    """
    cells = study.cells
    group_n = cells.obs["state"].astype(str) + cells.obs["donor_id"].astype(str)
    graph = coexpression(cells, group_n.to_numpy(object))
    score_of = {
        key: rows.set_index("gene_id")["score"].reindex(cells.gene_ids).to_numpy()
        for key, rows in insilico.groupby(["method", "kind"])
    }
    parts = []
    for _, modality in ARMS:
        kind = kind_of(modality)
        frozen_g, de_g = score_of["frozen", kind], signed_de_benefit(study, kind)
        rng = np.random.default_rng([study.seed, 25])
        permuted_g = rng.permutation(frozen_g)
        for panel, genes in study.panels.items():
            for k in K:
                rows = study.effects[kind].reindex(genes[:k])
                dealt = rows.iloc[rng.permutation(k)].set_index(rows.index)
                closed_g = score_of.get((f"full-closed-{k}", kind)) if panel == "hit-enriched" else None
                tuned_g = score_of.get((f"tuned-closed-{k}", kind)) if panel == "hit-enriched" else None
                spread_g, dealt_g = (_spread(graph, cells.gene_ids, table) for table in (rows, dealt))
                made = {
                    "propagation": spread_g,
                    "evidence": combine(frozen_g, spread_g),
                    "evidence-shuffled": combine(frozen_g, dealt_g),
                    "de-propagation": combine(de_g, spread_g),
                    "posterior": _posterior(study, kind, frozen_g, rows),
                    "posterior-shuffled": _posterior(study, kind, frozen_g, dealt),
                    "posterior-permuted": _posterior(study, kind, permuted_g, rows),
                    "posterior-alone": _posterior(study, kind, np.zeros_like(frozen_g), rows),
                    "de-posterior": _posterior(study, kind, de_g, rows),
                }
                if closed_g is not None:
                    made["both"] = _posterior(study, kind, closed_g, rows)
                if tuned_g is not None:
                    made["tuned-both"] = _posterior(study, kind, tuned_g, rows)
                parts += [
                    _rows(study, name, kind, score).assign(panel=panel, k=k) for name, score in made.items()
                ]
    return pd.concat(parts)


def _posterior(study: Study, kind: Kind, insilico_g: np.ndarray, rows: pd.DataFrame) -> Posterior:
    """Posterior of a model that passed its control gate: the toy's own genes are its positive controls."""
    place_p = pd.Index(study.cells.gene_ids).get_indexer(rows.index)
    effect_p, se_p = rows["effect_to_goal"].to_numpy(float), rows["se"].to_numpy(float)
    return posterior(study.kernels, study.scales[kind], insilico_g, place_p, effect_p, se_p, passed=True)


def _spread(graph: GeneGraph, gene_ids: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    table = propagate(
        graph,
        rows.index.to_numpy(object),
        rows["effect_to_goal"].to_numpy(float),
        rows["se"].to_numpy(float),
    )
    return table.set_index("gene_id")["score"].reindex(gene_ids).fillna(0.0).to_numpy()


def _rows(study: Study, method: str, kind: Kind, score: np.ndarray | Posterior) -> pd.DataFrame:
    """Score, and `away`, which ranks the hits away from the goal: of a posterior its other probability, else the score turned."""
    toward_g, away_g = (
        (score.probability_g, score.away_g) if isinstance(score, Posterior) else (score, -score)
    )
    return pd.DataFrame(
        {"method": method, "kind": kind, "gene_id": study.cells.gene_ids, "score": toward_g, "away": away_g}
    )
