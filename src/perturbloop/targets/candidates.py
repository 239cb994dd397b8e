"""Genes and actions that move cells toward the goal, with what is known of each: measured, expected, in silico, by expression."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import ndtr

from perturbloop.schema import ACTION, KINDS, WITHOUT_MODEL, judges

FDR = 0.05
"""padj of differential expression below which it says anything."""
OPPOSITE = "the opposite was a hit"
"""Caution of an action whose opposite was measured to move cells to the goal."""
_Z = 1.959964


def kinds_by_action(ranking: pd.DataFrame) -> dict[str, str]:
    """The kind of edit that speaks for each action: one that was measured before one that was not.

    Parameters
    ----------
    ranking
        Table RANKING.
    """
    first = ranking.drop_duplicates("kind")
    in_silico = dict(zip(first["kind"], first["ranked_by"].eq("logit_shift"), strict=True))
    order = sorted((kind for kind in KINDS if kind in in_silico), key=lambda kind: in_silico[kind])
    found: dict[str, str] = {}
    for kind in order:
        found.setdefault(ACTION[kind], kind)
    return found


def candidates(
    ranking: pd.DataFrame, posterior: pd.DataFrame, effects: pd.DataFrame, predictions: pd.DataFrame
) -> pd.DataFrame:
    """Every gene and action whose effect is toward the goal.

    Parameters
    ----------
    ranking, posterior, effects, predictions
        Tables of a round.

    Returns
    -------
    The columns of `TARGETS` that need no compound, in the order of the ranking. A gene that was measured itself by the same
    action has that effect, whatever was expected of it.
    """
    parts = []
    for action, kind in kinds_by_action(ranking).items():
        rows = ranking[ranking["kind"].eq(kind) & ranking["status"].isin(["scored", "spent"])]
        if len(rows):
            parts.append(_of_kind(rows, posterior, effects, predictions, action, kind))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["gene_id", "action"])


def _of_kind(
    rows: pd.DataFrame,
    posterior: pd.DataFrame,
    effects: pd.DataFrame,
    predictions: pd.DataFrame,
    action: str,
    kind: str,
) -> pd.DataFrame:
    rows = rows.set_index("gene_id", drop=False)
    scored = rows["status"].eq("scored")
    place = rows.loc[scored, "benefit"].rank(ascending=False, method="first")
    basis = np.where(rows["ranked_by"].eq("logit_shift"), "in silico", "posterior")
    frame = pd.DataFrame(
        {
            "place": place.reindex(rows.index),
            "gene_id": rows["gene_id"],
            "gene_name": rows["gene_name"],
            "action": action,
            "kind": kind,
            "basis": basis,
            **{
                name: rows[name].where(scored).astype(float)
                for name in ("benefit", "effect", "ci_low", "ci_high")
            },
            "measured": in_words(effects).reindex(rows.index).fillna(""),
            "neighbors": _neighbors(posterior, kind).reindex(rows.index).fillna(""),
            "in_silico": rows["logit_shift"]
            .where(scored & rows["ranked_by"].ne(WITHOUT_MODEL))
            .astype(float),
            "log2fc": rows["log2fc"].astype(float),
            "de_padj": rows["de_padj"].astype(float),
            "de_says": _de_says(rows, action),
            "de_and_isp": _agreement(predictions, kind).reindex(rows.index),
            "cautions": _cautions(rows, effects, action),
            "status": rows["status"],
            "hit": False,
        }
    )
    frame = _with_measured(frame, effects, kind)
    spread = (frame["ci_high"] - frame["ci_low"]) / (2 * _Z)
    frame["certainty"] = ndtr((frame["effect"] / spread).to_numpy(float))
    frame = frame[frame["effect"].gt(0)]
    return frame.sort_values("place", na_position="last", kind="stable")


def _with_measured(frame: pd.DataFrame, effects: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Put what was measured of a gene itself, by the same action, in the place of what was expected."""
    own = measured_by(effects, kind)
    own = own[own.index.isin(frame.index)]
    effect, half = own["effect_to_goal"].astype(float), _Z * own["se"].astype(float)
    frame = frame.astype({"basis": object})
    frame.loc[own.index, "basis"] = "measured"
    frame.loc[own.index, ["benefit", "in_silico"]] = np.nan
    frame.loc[own.index, "neighbors"] = ""
    frame.loc[own.index, "effect"] = effect
    frame.loc[own.index, "ci_low"], frame.loc[own.index, "ci_high"] = effect - half, effect + half
    frame.loc[own.index, "hit"] = own["hit"].astype(bool)
    return frame


def measured_by(effects: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Measured genes of the modalities that say whether a kind of edit is right; of several the surest, index = gene.

    Parameters
    ----------
    effects
        Table EFFECTS.
    kind
        Kind of edit.
    """
    rows = effects[effects["level"].eq("gene") & effects["gene_id"].ne("")]
    rows = rows[[judges(one, kind) for one in rows["modality"]]]  # type: ignore[arg-type]
    rows = rows.assign(z=-(rows["effect_to_goal"].astype(float) / rows["se"].astype(float)).abs())
    return rows.sort_values("z", kind="stable").drop_duplicates("gene_id").set_index("gene_id")


def in_words(effects: pd.DataFrame) -> pd.Series:
    """What was measured of each gene, in words; index = gene.

    Parameters
    ----------
    effects
        Table EFFECTS.
    """
    said: dict[str, list[str]] = {}
    for row in effects[effects["level"].eq("gene")].itertuples():
        hit = " (hit)" if bool(row.hit) else ""
        said.setdefault(str(row.gene_id), []).append(
            f"{row.modality} {row.effect_to_goal:+.2f} ± {row.se:.2f}{hit}"
        )
    return pd.Series({gene: "; ".join(lines) for gene, lines in said.items()}, dtype=object)


def _neighbors(posterior: pd.DataFrame, kind: str) -> "pd.Series":
    rows = posterior[posterior["kind"].eq(kind)].drop_duplicates("gene_id")
    return rows.set_index("gene_id")["neighbors"]


def _de_says(rows: pd.DataFrame, action: str) -> np.ndarray:
    """Agrees where the gene is higher in the state in which its action takes it down, or lower where it takes it up."""
    sure = rows["de_padj"].astype(float).lt(FDR)
    up_in_start = rows["log2fc"].astype(float).lt(0)
    fits = up_in_start if action == "inhibit" else ~up_in_start
    return np.where(~sure, "", np.where(fits, "agrees", "opposes"))


def _cautions(rows: pd.DataFrame, effects: pd.DataFrame, action: str) -> "pd.Series":
    """Flags of the ranking, and whether doing the opposite was measured to be a hit toward the goal."""
    said = rows["flags"].fillna("").astype(str).str.replace(",", ", ")
    other = "delete" if action == "activate" else "overexpress"
    hits = measured_by(effects, other)
    hits = hits[hits["hit"].astype(bool) & hits["effect_to_goal"].astype(float).gt(0)]
    return said.mask(said.index.isin(hits.index), said.where(said.eq(""), said + ", ") + OPPOSITE)


def _agreement(predictions: pd.DataFrame, kind: str) -> "pd.Series":
    rows = predictions[
        predictions["method"].eq("de-isp") & predictions["kind"].eq(kind) & predictions["fold"].eq(-1)
    ]
    return rows.drop_duplicates("gene_id").set_index("gene_id")["score"].astype(float)


def not_separable(effects: pd.DataFrame, names: Mapping[str, str]) -> dict[str, str]:
    """Say of each gene that was measured through compounds which others the same compounds hit.

    Parameters
    ----------
    effects
        Table EFFECTS of a round; its rows of level guide tell which compound hits which gene.
    names
        Symbol of each Ensembl id.
    """
    from perturbloop.data.compounds import Compound, inseparable

    rows = effects[effects["level"].eq("guide") & effects["modality"].isin(["inhibitor", "activator"])]
    hit = rows.groupby("guide_id")["gene_id"].agg(frozenset)
    alike = inseparable(Compound(str(name), inhibits=genes) for name, genes in hit.items())
    return {
        gene: f"not separable from {', '.join(names.get(one, one) for one in others)}"
        for gene, others in alike.items()
    }
