"""From scores to tables: every method on genes of no panel, in pairs on the same networks."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats
from world import ARMS, Study

from perturbloop.evaluate.metrics import auroc, average_precision, precision_at_k
from perturbloop.schema import kind_of

TOP = 20


def judge(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Judge each method on the genes that its panel, of whatever size, does not hold.

    Methods without a panel are judged on the genes of no hit-enriched panel, as their comparisons are. A gene without a score
    ranks last.
    """
    lines = []
    for (method, kind, panel, k), rows in scores.groupby(["method", "kind", "panel", "k"]):
        state = next(state for state, modality in ARMS if kind_of(modality) == kind)
        truth = study.truth(state, kind)
        spent = set(study.panels[panel or "hit-enriched"])
        held = [gene for gene in study.cells.gene_ids if gene not in spent]
        score_g = rows.set_index("gene_id")["score"].reindex(held).to_numpy(float)
        low_g = np.where(np.isnan(score_g), np.nanmin(score_g) - 1, score_g)
        hit_g, away_g = (truth.loc[held, name].to_numpy(bool) for name in ("hit", "away"))
        lines.append(
            {
                "method": method,
                "kind": kind,
                "panel": panel,
                "k": k,
                "auroc": auroc(hit_g, low_g),
                "average_precision": average_precision(hit_g, low_g),
                "precision_at_20": precision_at_k(hit_g, low_g, k=TOP),
                "auroc_away": auroc(away_g, _away(rows, held, low_g)),
                "n_genes": len(held),
                "n_hits": int(hit_g.sum()),
            }
        )
    return pd.DataFrame(lines).assign(
        network=study.seed, misleading=study.misleading, difficulty=study.difficulty.name
    )


def _away(rows: pd.DataFrame, held: list[str], low_g: np.ndarray) -> np.ndarray:
    """What ranks the hits away from the goal: a method's own numbers where it has them, else its score turned."""
    if "away" not in rows or rows["away"].isna().all():
        return -low_g
    return rows.set_index("gene_id")["away"].reindex(held).to_numpy(float)


def by_network(results: pd.DataFrame) -> pd.DataFrame:
    """Mean over the two kinds of each network's numbers."""
    numbers = ["auroc", "average_precision", "precision_at_20", "auroc_away", "n_hits"]
    return (
        results.groupby(["network", "misleading", "difficulty", "method", "panel", "k"])[numbers]
        .mean()
        .reset_index()
    )


def wide(results: pd.DataFrame, number: str = "auroc") -> pd.DataFrame:
    """Networks × (method, panel, k)."""
    return by_network(results).pivot_table(number, index="network", columns=["method", "panel", "k"])


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per method: mean ± sd over networks, and the paired difference from the frozen open loop."""
    parts = {
        number: wide(results, number)
        for number in ("auroc", "precision_at_20", "average_precision", "auroc_away")
    }
    reference = parts["auroc"]["frozen", "", 0]
    lines = []
    for column in parts["auroc"]:
        gain = parts["auroc"][column] - reference
        lines.append(
            {
                "method": column[0],
                "panel": column[1] or "—",
                "k": column[2] or "—",
                "AUROC": spread(parts["auroc"][column]),
                "minus frozen": difference(gain),
                "precision at 20": spread(parts["precision_at_20"][column]),
                "AP": spread(parts["average_precision"][column]),
                "AUROC away": spread(parts["auroc_away"][column]),
                "networks": int(parts["auroc"][column].notna().sum()),
            }
        )
    return pd.DataFrame(lines)


def by_kind(results: pd.DataFrame) -> pd.DataFrame:
    """AUROC of each method without a panel, knock-downs and activations apart."""
    alone = results[results["panel"] == ""]
    numbers = alone.pivot_table("auroc", index="network", columns=["method", "kind"])
    methods = alone.groupby("method")["network"].nunique()
    return pd.DataFrame(
        [
            {"method": name, **{kind: spread(numbers[name, kind]) for kind in ("delete", "overexpress")}}
            for name in methods.index
        ]
    )


BARS = (
    (
        "closed minus open, full at the reproduction's rate, k = 20",
        ("full-closed-20",),
        ("full-open",),
        "≥ +0.05",
    ),
    ("… above its shuffled control", ("full-closed-20",), ("full-shuffled-20",), "≥ +0.02"),
    (
        "closed minus open, full at the tuned rate, k = 20 (headline)",
        ("tuned-closed-20",),
        ("tuned-open",),
        "≥ +0.05",
    ),
    ("… above its shuffled control", ("tuned-closed-20",), ("tuned-shuffled-20",), "≥ +0.02"),
    ("frozen minus full, open loop", ("frozen",), ("full-open",), "≥ +0.07"),
    ("frozen minus tuned full, open loop", ("frozen",), ("tuned-open",), ""),
    ("posterior k = 20", ("posterior", "hit-enriched", 20), None, "≥ 0.72"),
    ("… above the frozen in-silico score alone", ("posterior", "hit-enriched", 20), ("frozen",), "≥ +0.05"),
    (
        "… above the evidence alone",
        ("posterior", "hit-enriched", 20),
        ("posterior-alone", "hit-enriched", 20),
        "≥ +0.05",
    ),
    ("… above propagation alone", ("posterior", "hit-enriched", 20), ("propagation", "hit-enriched", 20), ""),
    ("… above the simple rule", ("posterior", "hit-enriched", 20), ("evidence", "hit-enriched", 20), ""),
    (
        "… above signed DE + propagation",
        ("posterior", "hit-enriched", 20),
        ("de-propagation", "hit-enriched", 20),
        "",
    ),
    (
        "… above signed DE in the posterior",
        ("posterior", "hit-enriched", 20),
        ("de-posterior", "hit-enriched", 20),
        "",
    ),
    (
        "… above permuted gene identity in the ISP",
        ("posterior", "hit-enriched", 20),
        ("posterior-permuted", "hit-enriched", 20),
        "",
    ),
    ("… with the closed encoder instead (both channels, 8e-4)", ("both", "hit-enriched", 20), None, "≥ 0.72"),
    (
        "… with the closed encoder instead (both channels, tuned)",
        ("tuned-both", "hit-enriched", 20),
        None,
        "≥ 0.72",
    ),
    ("posterior k = 50", ("posterior", "hit-enriched", 50), None, "≥ 0.75"),
    (
        "shuffled effects minus k = 0, k = 20",
        ("posterior-shuffled", "hit-enriched", 20),
        ("frozen",),
        "within 0.03",
    ),
    ("shuffled effects minus k = 0, simple rule", ("evidence-shuffled", "hit-enriched", 20), ("frozen",), ""),
)


def bars(results: pd.DataFrame) -> pd.DataFrame:
    """The bars of the project, each as a paired difference over networks or as a mean."""
    numbers = wide(results)
    lines = []
    for title, column, reference, must in BARS:
        column, reference = _key(column), _key(reference)
        if column not in numbers or (reference and reference not in numbers):
            continue
        value = numbers[column] - numbers[reference] if reference else numbers[column]
        lines.append(
            {"what": title, "found": difference(value) if reference else spread(value), "must": must}
        )
    precision = wide(results, "precision_at_20")
    column = ("posterior", "hit-enriched", 20)
    if column in precision:
        lines.append(
            {"what": "precision in the top 20, k = 20", "found": spread(precision[column]), "must": "≥ 0.15"}
        )
    lines += [_everywhere(numbers)] if ("posterior", "coverage", 50) in numbers else []
    lines += [_enough(numbers)] if ("posterior", "coverage", 50) in numbers else []
    return pd.DataFrame(lines)


def _everywhere(numbers: pd.DataFrame) -> dict[str, str]:
    """Posterior against the simple rule, over all panels and sizes of each network."""
    cells = [(panel, k) for panel in ("hit-enriched", "random", "coverage") for k in (10, 20, 50)]
    gain = pd.concat([numbers["posterior", *cell] - numbers["evidence", *cell] for cell in cells], axis=1)
    what = "posterior minus simple rule, mean of all panels and k"
    return {"what": what, "found": difference(gain.mean(axis=1)), "must": ""}


def _enough(numbers: pd.DataFrame) -> dict[str, str]:
    """Smallest k with 95 % of the AUROC at k = 50, coverage panels."""
    mean = {k: numbers["posterior", "coverage", k].mean() for k in (10, 20, 50)}
    enough = next(k for k in (10, 20, 50) if mean[k] >= 0.95 * mean[50])
    return {"what": "k for 95 % of the AUROC at k = 50, coverage", "found": str(enough), "must": "≤ 20"}


def _key(column: tuple | None) -> tuple[str, str, int] | None:
    return column if column is None or len(column) == 3 else (column[0], "", 0)


def spread(values: pd.Series) -> str:
    """Mean ± standard deviation over networks."""
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if values.count() > 1 else f"{values.mean():.3f}"


def difference(values: pd.Series) -> str:
    """Mean difference and its 95 % t interval over networks."""
    known = values.dropna()
    if len(known) < 2:
        return f"{known.mean():+.3f}" if len(known) else "—"
    half = stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return f"{known.mean():+.3f} ({known.mean() - half:+.3f} to {known.mean() + half:+.3f})"


def figure(results: pd.DataFrame) -> Figure:
    """AUROC against k by panel, with the controls and the open loops as levels."""
    numbers = wide(results)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = ("hit-enriched", "random", "coverage")
    shown = (
        "posterior",
        "posterior-alone",
        "posterior-shuffled",
        "evidence",
        "propagation",
        "de-propagation",
    )
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, panel in zip(axes, panels, strict=True):
        for method in shown:
            k = [k for k in (10, 20, 50) if (method, panel, k) in numbers]
            mean = [numbers[method, panel, each].mean() for each in k]
            error = [numbers[method, panel, each].sem() for each in k]
            axis.errorbar(k, mean, yerr=error, label=method, capsize=2)
        for method, style in (("frozen", "-"), ("tuned-open", "--"), ("full-open", ":"), ("de", "-.")):
            if (method, "", 0) in numbers:
                axis.axhline(
                    numbers[method, "", 0].mean(), color="gray", linestyle=style, linewidth=1, label=method
                )
        axis.axhline(0.5, color="black", linewidth=0.5)
        axis.set(title=panel, xlabel="perturbed genes", xticks=[10, 20, 50])
    axes[0].set_ylabel("AUROC, genes of no panel")
    axes[-1].legend(fontsize=6, loc="lower right")
    return figure


def markdown(frame: pd.DataFrame) -> str:
    """A table as text."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
