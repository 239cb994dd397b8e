"""How well each method finds the measured hits, and what of it is no more than a control."""

import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import (
    MISSING,
    Grid,
    Picture,
    Section,
    count,
    drawn,
    interval,
    number,
    probability,
    text,
)
from perturbloop.schema import METHODS

NOTHING_MEASURED = (
    "No perturbed cells recorded yet: add them with `perturbloop record`, then play another round."
)
NOTHING_HELD_OUT = "No held-out target was judged in this round, so there is nothing to score against."
NO_GAIN = "No gain was computed: it takes held-out targets of which at least one is a hit."
HELD_OUT = "held-out"
OF_A_CALL = ("ppv", "npv", "sensitivity", "specificity", "lift")
TITLES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "r_precision": "R-precision",
    "precision_at_k": "precision",
    "recall_at_k": "recall",
    "auroc_away": "AUROC of hits away",
    "auroc_unsigned": "AUROC of any hit",
    "ppv": "PPV",
    "npv": "NPV",
}
WORDS = frozenset(
    {
        "method",
        "role",
        "genes judged",
        "rule of the call",
        "against",
        "kind",
        "targets",
        "control",
        "in words",
    }
)


def scoreboard_section(report: RoundReport) -> Section:
    """Every method per kind and denominator: as a ranking and as calls."""
    metrics, title = headline(report.metrics), "Scoreboard"
    if metrics.empty:
        return Section("scoreboard", title, (NOTHING_MEASURED if report.effects.empty else NOTHING_HELD_OUT,))
    metrics, left_out = defined(metrics)
    grids = []
    for kind in dict.fromkeys(metrics["kind"]):
        rows = metrics[metrics["kind"] == kind]
        extra = ("prevalence", *OF_A_CALL)
        of_ranking = [name for name in dict.fromkeys(rows["metric"]) if name not in extra]
        grids.append(_grid(f"{kind}: as a ranking", rows, of_ranking, calls=False))
        grids.append(
            _grid(f"{kind}: as calls", rows, [n for n in OF_A_CALL if n in set(rows["metric"])], calls=True)
        )
    return Section(
        "scoreboard",
        title,
        (
            "How well each method finds the held-out targets whose perturbation moved cells toward the goal. Each number "
            "has its 95 % interval over genes (DeLong's for AUROCs, the bootstrap for the rest); it does not hold the noise "
            "of the measurement. A dot further right does not make a method better: compare two by the paired gains below.",
            *left_out,
        ),
        tuple(grids),
        (
            Picture(
                "AUROC and average precision on all measured targets, with 95 % intervals. Circles: the loop; squares: "
                "baselines; diamonds: negative controls; dotted: chance.",
                drawn("scoreboard", metrics),
            ),
        ),
        (
            "Genes judged: `scored` are the targets that the method could score; `all` are all held-out targets, those it "
            "could not score ranked last. PPV and NPV depend on the prevalence, so it stands beside them.",
        ),
    )


def defined(metrics: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows of the methods, kinds and denominators that have a value at all, and a sentence that counts the others."""
    by = ["kind", "method", "denominator"]
    has_value = metrics["value"].notna().groupby([metrics[name] for name in by]).transform("any")
    n = len(metrics.loc[~has_value, by].drop_duplicates())
    if not n:
        return metrics, ()
    said = f"{count(n, 'row')} without a hit to find {'is' if n == 1 else 'are'} undefined, and left out."
    return metrics[has_value], (said,)


def headline(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows on all held-out targets, calls by the declared rule."""
    return metrics[metrics["declared"].astype(bool) & metrics["targets"].eq(HELD_OUT)]


def gain_section(report: RoundReport) -> Section:
    """Paired gains and what the shuffled control keeps of them."""
    title = "What the loop gained, and what a shuffled control keeps"
    if report.gains.empty:
        return Section("gains", title, (NOTHING_MEASURED if report.effects.empty else NO_GAIN,))
    known = report.gains[report.gains["gain"].notna()]
    n_undefined = len(report.gains) - len(known)
    left_out = f" {count(n_undefined, 'comparison')} without a hit to find left out." if n_undefined else ""
    rows = tuple(
        (
            method_title(row.method),
            method_title(row.against),
            text(row.kind),
            text(row.targets),
            number(row.gain, 3, sign=True),
            interval(row.ci_low, row.ci_high, 3, sign=True),
            interval(row.delong_low, row.delong_high, 3, sign=True),
            probability(row.pvalue),
            method_title(row.control),
            number(row.kept_share),
            text(row.sentence),
        )
        for row in known.itertuples()
    )
    columns = (
        "method",
        "against",
        "kind",
        "targets",
        "gain in AUROC",
        "95 % paired interval",
        "by DeLong",
        "p (DeLong)",
        "control",
        "share kept",
        "in words",
    )
    said = (
        "Gain: AUROC of the method minus that of the other on the same genes; positive = better. The control has the same "
        "inputs with labels shuffled among cells (representation) or effects shuffled among targets (evidence): what it keeps "
        "of a gain does not come from what was measured. The first interval is of the bootstrap over genes, the second of "
        "DeLong, which holds its promise with few hits, where the first is too narrow; the p-value is of one comparison, not corrected for the "
        "number of rows."
    )
    return Section("gains", title, (said + left_out,), (Grid("Gains", columns, rows, WORDS),))


def correlation_section(report: RoundReport) -> Section:
    """How far each channel moved the ranking."""
    title = "How far the ranking moved since round 0"
    if report.rank_correlations.empty:
        said = (
            "This is round 0: there is no earlier ranking."
            if report.round_number == 0
            else "No ranking of this round could be compared with round 0."
        )
        return Section("correlations", title, (said,))
    rows = tuple(
        (
            method_title(row.method),
            text(row.kind),
            number(row.rho, 3),
            number(row.n_genes, 0),
            text(row.sentence),
        )
        for row in report.rank_correlations.itertuples()
    )
    columns = ("method", "kind", "Spearman rho with round 0", "genes", "in words")
    said = "Near 1 the round changed nothing, whatever else the report says. Far from 1 it changed much, for better or worse."
    return Section("correlations", title, (said,), (Grid("Rank correlation", columns, rows, WORDS),))


def method_title(name: object) -> str:
    """Name and title of a method.

    >>> method_title("de"), method_title("mine"), method_title("")
    ('signed DE (de)', 'mine', '–')
    """
    return next((f"{entry.title} ({entry.name})" for entry in METHODS if entry.name == name), text(name))


def _grid(title: str, rows: pd.DataFrame, metrics: list[str], *, calls: bool) -> Grid:
    heads = tuple(TITLES.get(name, name.replace("_", " ")) for name in metrics)
    counts = ("prevalence", "genes", "hits")
    columns = ("method", "role", "genes judged", *(("rule of the call",) if calls else ()), *heads, *counts)
    roles = {entry.name: entry.role for entry in METHODS}
    names = [*roles, *(name for name in dict.fromkeys(rows["method"]) if name not in roles)]
    lines = []
    for name in names:
        first = (method_title(name), roles.get(name, MISSING))
        own = rows[rows["method"] == name]
        lines += [
            (*first, *line_of(part, metrics, judged, calls=calls)) for judged, part in denominators(own)
        ]
    return Grid(title, columns, tuple(lines), WORDS)


def denominators(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """One row where every target was scored, else one per denominator."""
    parts = {str(name): part for name, part in rows.groupby("denominator", sort=False)}
    if set(parts) == {"scored", "all"}:
        scored, everything = (
            parts[name].drop(columns="denominator").reset_index(drop=True) for name in ("scored", "all")
        )
        if scored.equals(everything):
            return [("scored = all", parts["all"])]
    return list(parts.items())


def line_of(rows: pd.DataFrame, metrics: list[str], judged: str, *, calls: bool) -> tuple[str, ...]:
    """Cells of one method, rule and denominator: genes judged, rule, metrics with intervals, prevalence and counts.

    Parameters
    ----------
    rows
        METRICS rows of one method, rule of the call and denominator.
    metrics
        Metrics to show, in order; one that `rows` lack is a dash.
    judged
        What the genes judged are called: `scored`, `all` or `scored = all`.
    calls
        Whether the rule of the call has a cell.
    """
    by_metric = rows.drop_duplicates("metric").set_index("metric")
    base = by_metric.loc["auroc"] if "auroc" in by_metric.index else by_metric.iloc[0]
    n_genes, n_hits = int(base["n_genes"]), int(base["n_hits"])
    prevalence = n_hits / n_genes if n_genes else float("nan")
    rules = rows.loc[rows["metric"].isin(list(OF_A_CALL)), "rule"]
    rule = (text(rules.iloc[0]) if len(rules) else MISSING,) if calls else ()
    cells = tuple(_cell(by_metric, name, n_hits) for name in metrics)
    return (judged, *rule, *cells, number(prevalence), number(n_genes, 0), number(n_hits, 0))


def _cell(by_metric: pd.DataFrame, name: str, n_hits: int) -> str:
    if name not in by_metric.index:
        return MISSING
    row = by_metric.loc[name]
    if pd.isna(row["value"]):
        return "undefined"
    shown = f"{number(row['value'])} {interval(row['ci_low'], row['ci_high'])}"
    if name.endswith("_at_k"):
        shown += f" ({row['rule']})"
    return shown if row["n_hits"] == n_hits else f"{shown} ({count(int(row['n_hits']), 'hit')})"
