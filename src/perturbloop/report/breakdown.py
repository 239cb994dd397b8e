"""The scoreboard in parts: by every rule of a call, on pathway-disjoint targets, and among genes that are alike."""

import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import MISSING, Grid, Section, interval, number
from perturbloop.report.scoreboard import (
    HELD_OUT,
    OF_A_CALL,
    TITLES,
    WORDS,
    defined,
    denominators,
    line_of,
    method_title,
)

NO_GENE_SETS = (
    "No gene sets were given, so targets that share a pathway or complex with a target in training were not taken out: part of "
    "what the evidence channel finds may be neighbors of what it was shown. Name a GMT file with `init --gene-sets`."
)
NONE_DISJOINT = "No held-out target is free of shared gene sets, so none could be judged apart."
ONE_SCREEN = "No kind of edit is judged by several screens, so there is no union to tell from its parts."
NOTHING_JUDGED = "Nothing was judged: see the scoreboard."
RULES = ("rules", "The same calls by every rule")
DISJOINT = ("disjoint", "Targets that share no pathway with a training target")
READOUTS = ("readouts", "Each screen by itself, and all together")
STRATA = ("strata", "Among genes that are alike")
"""Key and title of each section."""
DISJOINT_TARGETS = "pathway-disjoint"
OF_A_RANKING = ("auroc", "average_precision", "auroc_away", "auroc_unsigned")


def breakdown(report: RoundReport) -> tuple[Section, ...]:
    """All parts; where nothing was judged they point to the scoreboard, which says why."""
    made = (rules_section, disjoint_section, readouts_section, strata_section)
    if report.metrics.empty:
        return tuple(Section(*head, (NOTHING_JUDGED,)) for head in (RULES, DISJOINT, READOUTS, STRATA))
    return tuple(section(report) for section in made)


def rules_section(report: RoundReport) -> Section:
    """PPV, NPV, sensitivity and specificity under every named rule, the declared one first."""
    rows = report.metrics
    rows = rows[rows["targets"].eq(HELD_OUT) & rows["metric"].isin(["auroc", *OF_A_CALL])]
    rows, left_out = defined(rows)
    columns = ("method", "genes judged", "rule of the call", *(TITLES.get(name, name) for name in OF_A_CALL))
    grids = []
    for kind, of_kind in rows.groupby("kind", sort=False):
        lines: list[tuple[str, ...]] = []
        strong: set[int] = set()
        for name, own in of_kind.groupby("method", sort=False):
            for rule in dict.fromkeys(own.loc[own["metric"].isin(list(OF_A_CALL)), "rule"]):
                part = own[own["rule"].eq(rule) | own["metric"].eq("auroc")]
                if part.loc[part["rule"].eq(rule), "declared"].astype(bool).all():
                    strong.add(len(lines))
                judged, of_rule = denominators(part)[-1]
                lines.append((method_title(name), *line_of(of_rule, list(OF_A_CALL), judged, calls=True)))
        columns_of_kind = (*columns, "prevalence", "genes", "hits")
        grids.append(Grid(f"{kind}: calls", columns_of_kind, tuple(lines), WORDS, frozenset(strong)))
    said = (
        "A call describes its rule as much as its ranking: the same ranking has another PPV and another sensitivity under each rule. "
        "The declared rule is set in bold and is the one to quote; choosing the best row afterwards is choosing on the test genes. "
        "`geneformer` needs the shifts of single cells, which only the encoders have."
    )
    return Section(*RULES, (said, *left_out), tuple(grids))


def disjoint_section(report: RoundReport) -> Section:
    """Rankings on the targets that share no gene set with a target in training."""
    if not report.gene_sets:
        return Section(*DISJOINT, (NO_GENE_SETS,))
    rows = report.metrics[report.metrics["targets"].eq(DISJOINT_TARGETS)]
    if rows.empty:
        return Section(*DISJOINT, (NONE_DISJOINT,))
    rows, left_out = defined(rows)
    grids = []
    for kind, of_kind in rows.groupby("kind", sort=False):
        shown = [name for name in OF_A_RANKING if name in set(of_kind["metric"])]
        columns = ("method", "genes judged", *(TITLES[name] for name in shown), "prevalence", "genes", "hits")
        lines = tuple(
            (method_title(name), *line_of(part, shown, judged, calls=False))
            for name, own in of_kind.groupby("method", sort=False)
            for judged, part in denominators(own)
        )
        grids.append(Grid(f"{kind}: as a ranking", columns, lines, WORDS))
    said = (
        f"Gene sets: {report.gene_sets}. A held-out gene of a complex whose other members were perturbed is an easy question; these "
        "targets share no set of 5 to 500 genes with any target that trained the ranking they judge. A target in no set at all is "
        "among them. Compare a method with its own row of the scoreboard: what it loses here it owed to neighbors."
    )
    return Section(*DISJOINT, (said, *left_out), tuple(grids))


def readouts_section(report: RoundReport) -> Section:
    """The four figures of the declared calls by each screen, and by the union of all; one screen of a kind has none of these."""
    rows = report.metrics
    told = ~rows["targets"].isin([HELD_OUT, DISJOINT_TARGETS]) & rows["declared"].astype(bool)
    rows, left_out = defined(rows[told & rows["metric"].isin(["auroc", *OF_A_CALL])])
    if rows.empty:
        return Section(*READOUTS, (ONE_SCREEN,))
    columns = (
        "method",
        "targets",
        "genes judged",
        "rule of the call",
        *(TITLES.get(one, one) for one in OF_A_CALL),
    )
    grids = [
        Grid(
            f"{kind}: calls",
            (*columns, "prevalence", "genes", "hits"),
            tuple(
                (method_title(name), str(targets), *line_of(part, list(OF_A_CALL), judged, calls=True))
                for (name, targets), own in of_kind.groupby(["method", "targets"], sort=False)
                for judged, part in denominators(own)[-1:]
            ),
            WORDS,
        )
        for kind, of_kind in rows.groupby("kind", sort=False)
    ]
    said = (
        "Every screen judges the same calls. The union takes each gene once, as a hit where any screen calls it one: it has more hits, so "
        "another prevalence, and its PPV and NPV cannot be set beside those of one screen without it. A gene that a method could not score is "
        "not called."
    )
    return Section(*READOUTS, (said, *left_out), tuple(grids))


def strata_section(report: RoundReport) -> Section:
    """AUROC of every method among targets of like expression, and of like essentiality."""
    grids = []
    for (kind, by), rows in report.strata.groupby(["kind", "by"], sort=False):
        shown = list(dict.fromkeys(rows["stratum"]))
        shown.sort(key=lambda name: (name != "all", name == "within strata"))  # the sort is stable
        lines = []
        for name, own in rows.groupby("method", sort=False):
            cells = own.set_index("stratum")
            lines.append((method_title(name), *(_auroc(cells, stratum) for stratum in shown)))
        grids.append(Grid(f"{kind}: AUROC by {by}", ("method", *shown), tuple(lines), WORDS))
    said = (
        "Highly expressed genes are edited in more cells, measured better, and more often hits. In a stratum of like genes that "
        "alone earns nothing: `1 of 3` is the third of the targets with the lowest expression. `within strata` compares each hit "
        "only with other genes of its own stratum; what is lost from `all` to there the ranking owed to the strata. In brackets the "
        "95 % interval, in parentheses the hits among the targets."
    )
    return Section(*STRATA, (said,), tuple(grids))


def _auroc(cells: pd.DataFrame, stratum: str) -> str:
    if stratum not in cells.index:
        return MISSING
    row = cells.loc[stratum]
    counts = f"({row['n_hits']} of {row['n_genes']})"
    if pd.isna(row["value"]):
        return f"undefined {counts}"
    return f"{number(row['value'])} {interval(row['ci_low'], row['ci_high'])} {counts}"
