"""Interferon as context transfer: states of blood cells under IFN-β, knockouts in a cell line under IFN-γ.

    python benchmarks/real/interferon.py CAMPAIGN OUT

reads a campaign that was played by the commands of docs/howto/real_cells.md (Kang's cells, Papalexi's knockouts) and asks more of it: every
target left out alone, predicted against measured effects by gene and by guide, where the pathway of IFN-β stands among all
genes, which genes the measured effects rest on, and what so few hits can show. Nothing is trained. Writes `metrics.csv`,
`correlations.csv`, `pathway.csv`, `contributions.csv`, `guides.csv` and `summary.md` to OUT.

IFN-β binds IFNAR1 and IFNAR2, IFN-γ binds IFNGR1 and IFNGR2 and needs JAK2: the states cannot know those three. A hit among
them is transfer by co-expression, not knowledge of the pathway.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy.stats import spearmanr

from perturbloop.evaluate.compare import scoreboard
from perturbloop.evaluate.controls import control, in_ranking
from perturbloop.evaluate.de import signed_de
from perturbloop.evaluate.power import power
from perturbloop.evidence.channel import Networks, evidence_of, evidence_predictions
from perturbloop.loop import campaign
from perturbloop.loop.folder import open_campaign
from perturbloop.loop.inputs import read_inputs
from perturbloop.loop.recorded import Outcomes, read_outcomes
from perturbloop.loop.round import networks
from perturbloop.schema import EFFECTS, PREDICTIONS, concat
from perturbloop.stats.resample import bootstrap_interval

UNKNOWN_TO_IFNB = ("IFNGR1", "IFNGR2", "JAK2")
TOP_CONTRIBUTIONS = 8


def each_alone(effects: pd.DataFrame) -> pd.DataFrame:
    """Give every target a fold of its own."""
    number = {gene: place for place, gene in enumerate(sorted(set(effects["gene_id"])))}
    return effects.assign(fold=effects["gene_id"].map(number))


def leave_one_out(base: pd.DataFrame, known: Networks, outcomes: Outcomes, seed: int) -> pd.DataFrame:
    """Predictions of the methods that need no training, learnt anew for each target from all others."""
    evidence = evidence_of(known, outcomes.effects, "delete", fold_of=outcomes.fold_of)
    found = evidence_predictions(base, evidence, kind="delete", rng=np.random.default_rng(seed))
    return concat(PREDICTIONS, [base, found])


def correlations(predictions: pd.DataFrame, effects: pd.DataFrame, seed: int, n_samples: int) -> pd.DataFrame:
    """Spearman of predicted and measured effects; intervals by the bootstrap over targets, a target's guides together.

    A target is predicted by the ranking that never saw it, as its share of genes that score no higher there.
    """
    rows = []
    for method, table in predictions[predictions["kind"] == "delete"].groupby("method", sort=False):
        place = table.assign(place=table.groupby("fold")["score"].rank(pct=True))
        by_fold = place.set_index(["gene_id", "fold"])["place"]
        for level in ("gene", "guide"):
            part = effects[effects["level"] == level]
            own = by_fold.reindex(pd.MultiIndex.from_frame(part[["gene_id", "fold"]])).to_numpy()
            full = by_fold.reindex(
                pd.MultiIndex.from_arrays([part["gene_id"], np.full(len(part), -1)])
            ).to_numpy()
            pairs = part.assign(place=np.where(np.isnan(own), full, own)).dropna(subset="place")
            groups = pairs.groupby("gene_id")[["place", "effect_to_goal"]]
            of_target = [group.to_numpy(float) for _, group in groups]
            interval = bootstrap_interval(
                lambda drawn_n, of_target=of_target: _rho(np.concatenate([of_target[n] for n in drawn_n])),
                np.arange(len(of_target)),
                rng=np.random.default_rng(seed),
                n_samples=n_samples,
            )
            line = {"method": method, "level": level, "rho": interval.value, "ci_low": interval.low}
            rows.append(line | {"ci_high": interval.high, "n_targets": len(of_target), "n": len(pairs)})
    return pd.DataFrame(rows)


def guides(effects: pd.DataFrame) -> pd.DataFrame:
    """Guides of the hits: how far each moves the cells, and its weight in the mean of its gene (1 / se²)."""
    hits = effects.loc[effects["level"].eq("gene") & effects["hit"], "gene_id"]
    rows = effects[effects["level"].eq("guide") & effects["gene_id"].isin(hits)]
    weight = rows["se"] ** -2.0
    share = weight / weight.groupby(rows["gene_id"]).transform("sum")
    return rows.assign(weight=share)[["gene_name", "guide_id", "effect_to_goal", "se", "n_cells", "weight"]]


def contributions(folder: Path, hits: list[str]) -> pd.DataFrame:
    """Readout genes that carry the measured effect of each hit, largest first, with their share of the whole."""
    # Effects measured under earlier options lie beside those of now.
    latest = max(folder.glob("perturbed/*/contributions.parquet"), key=lambda path: path.stat().st_mtime)
    table = pd.read_parquet(latest)
    table = table[table["target"].isin(hits)]
    share = table["contribution"] / table.groupby("target")["contribution"].transform("sum")
    order = table["contribution"].abs().sort_values(ascending=False).index
    return (
        table.assign(share=share)
        .loc[order]
        .groupby("target")
        .head(TOP_CONTRIBUTIONS)
        .sort_values(["target"], kind="stable")
    )


def _rho(pairs_n2: np.ndarray) -> float:
    return float(spearmanr(*pairs_n2.T).statistic) if pairs_n2.std(axis=0).all() else np.nan


def _table(frame: pd.DataFrame) -> str:
    rows = [list(map(str, frame.columns)), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _interval(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame.apply(
        lambda row: f"{row[name]:+.2f} ({row['ci_low']:+.2f} to {row['ci_high']:+.2f})", axis=1
    )


def summarize(
    metrics: pd.DataFrame, rho: pd.DataFrame, places: pd.DataFrame, shown: pd.DataFrame, said: str
) -> str:
    """Write everything as Markdown."""
    auroc = metrics[metrics["metric"].eq("auroc") & metrics["denominator"].eq("all")]
    precision = metrics[metrics["metric"].eq("average_precision") & metrics["denominator"].eq("all")]
    board = auroc.assign(AUROC=_interval(auroc, "value"))[["method", "AUROC", "n_hits", "n_genes"]]
    board = board.merge(
        precision[["method", "value"]].rename(columns={"value": "average precision"}), on="method"
    )
    board["average precision"] = board["average precision"].round(2)
    levels = rho.assign(text=_interval(rho, "rho")).pivot_table(
        "text", "method", "level", aggfunc="first", sort=False
    )
    return "\n\n".join(
        (
            "## Every target left out alone",
            _table(board),
            said,
            "## Spearman of predicted and measured effects",
            _table(levels.reset_index()),
            "## Pathway genes among all genes, open loop, delete",
            _table(places),
            "## Readout genes behind the measured effects of the hits",
            _table(shown),
            "",
        )
    )


def main(
    folder: Annotated[Path, typer.Argument(help="Campaign folder, played after `record`.")],
    out: Annotated[Path, typer.Argument(help="Folder of results.")],
    seed: Annotated[int, typer.Option(help="Seed of shuffles and bootstrap.")] = 0,
) -> None:
    """Judge, and write the tables."""
    out.mkdir(parents=True, exist_ok=True)
    opened = open_campaign(folder)
    with opened.store:
        inputs = read_inputs(opened.config)
        recorded = read_outcomes(opened, inputs)
    if recorded is None:
        msg = f"`{folder}` has no recorded knockouts. Run `perturbloop record` and `perturbloop play` first."
        raise typer.BadParameter(msg)
    outcomes = replace(recorded, effects=each_alone(recorded.effects), judged=each_alone(recorded.judged))
    place = campaign.latest_round(folder)
    written = pd.read_parquet(place / "predictions.parquet")
    unlearned = written["method"].isin(["frozen", "de", "expression", "detection", "chance"])
    base = PREDICTIONS.checked(written[unlearned & written["kind"].eq("delete")])
    de = signed_de(inputs.cells, inputs.states.is_goal_n)
    predictions = leave_one_out(base, networks(inputs, de), outcomes, seed)
    metrics = scoreboard(predictions, outcomes.judged, config=opened.config.evaluate)
    rho = correlations(predictions, EFFECTS.checked(outcomes.judged), seed, opened.config.evaluate.bootstrap)
    ranking = pd.read_parquet(place / "ranking.parquet")
    frozen = base[base["method"] == "frozen"].set_index("gene_id")["score"]
    ranking = ranking.assign(
        benefit=ranking["gene_id"].map(frozen),
        status=np.where(ranking["gene_id"].isin(frozen.index), "scored", "not_scored"),
    )
    known = control("type-i-interferon")
    deletions = ranking[ranking["kind"] == "delete"]
    places = in_ranking(deletions, (*known.pathway, *UNKNOWN_TO_IFNB, *known.other))
    places = places[["gene_name", "place", "of", "benefit", "detection", "status"]].round(3)
    rows = outcomes.effects[outcomes.effects["level"] == "gene"]
    hits = rows.loc[rows["hit"], "target"].tolist()
    carried = contributions(folder, hits).round(3)
    strength = power(len(hits), len(rows), rng=np.random.default_rng(seed)).sentence
    tables = {"metrics": metrics, "correlations": rho, "pathway": places, "contributions": carried}
    for name, table in (tables | {"guides": guides(outcomes.effects)}).items():
        table.to_csv(out / f"{name}.csv", index=False)
    (out / "summary.md").write_text(summarize(metrics, rho, places, carried, strength))
    typer.echo((out / "summary.md").read_text())


if __name__ == "__main__":
    typer.run(main)
