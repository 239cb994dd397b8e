"""What the reader should know before acting: each thing once, with its count, the gravest first."""

from collections import Counter

from perturbloop.report.basis import POSTERIOR, basis_of, kinds_of, shown
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import count, listed, number
from perturbloop.schema import EITHER_WAY, LOW_AUROC, Recorded, RecordedCells, RecordedScreen, is_knockout

FEW_SHARED = 0.25
"""Share of the states' genes below which shared genes are called few."""
BEFORE, BEYOND = 1.0, 0.25
"""How far before the start and beyond the goal controls may lie, in distances of the states, before that is said."""
MOST_LOST = 1 / 3
"""Share of a screen's hits that may be missing from the cells before that is said."""
TOP_OF_BOTH = 20
"""Best genes of a kind among which those marked `either-way` are counted."""
UNSURE = 0.5
"""Where the best gene is less probable than this to have a worthwhile effect, no gene stands out."""


def alarms(report: RoundReport) -> tuple[str, ...]:
    """What stands in red: every failed check of the control gate."""
    return tuple(verdict.sentence for verdict in report.gate if verdict.passed is False)


def notes(report: RoundReport) -> tuple[str, ...]:
    """Everything else that asks for caution, the gravest first."""
    return (
        *(line for entry in report.recorded for line in grave(entry)),
        *_unsure(report),
        *_heads(report),
        *_unjudged(report),
        *_both(report),
        *_knockout(report),
        *_once(report.warnings),
    )


def grave(entry: Recorded) -> tuple[str, ...]:
    """What may make the effects of a whole file meaningless: said first, when it is recorded and on the page."""
    if isinstance(entry, RecordedScreen):
        lost = len(entry.hits_excluded) + len(entry.hits_not_measured)
        return lost_hits(entry) if lost > MOST_LOST * max(entry.n_hits, 1) else ()
    return () if entry.same_file else (*_outside(entry), *_few_shared(entry), *_textbook(entry))


def lost_hits(entry: RecordedScreen) -> tuple[str, ...]:
    """Say which hits of a screen these cells cannot be judged by, and what share of all hits that is; empty where none is lost."""
    outside, silent = entry.hits_not_measured, entry.hits_excluded
    lost = len(outside) + len(silent)
    parts = (
        (f"{count(len(outside), 'hit')} the cells do not measure, which teach", outside),
        (f"{count(len(silent), 'hit')} they do not express, which are left out", silent),
    )
    said = "; ".join(f"{what} ({listed(names)})" for what, names in parts if names)
    share = f"{lost:,} of {count(entry.n_hits, 'hit')} of {entry.name} ({100 * lost / max(entry.n_hits, 1):.0f}\u00a0%)"
    return (f"Hits that cannot judge: {share}: {said}.",) if lost else ()


def _outside(entry: RecordedCells) -> tuple[str, ...]:
    places = entry.control_position
    outside = [value for value in places.values() if not -BEFORE <= value <= 1 + BEYOND]
    if not outside:
        return ()
    where = " to ".join(dict.fromkeys((number(min(outside)), number(max(outside)))))
    of = "" if len(outside) == len(places) else f" in {len(outside)} of {count(len(places), 'replicate')}"
    return (
        f"Your controls lie outside the two states: those of {entry.source} stand at {where}{of}, where 0 is the start and 1 the "
        "goal. Its effects are extrapolated.",
    )


def _few_shared(entry: RecordedCells) -> tuple[str, ...]:
    if entry.n_shared_genes >= FEW_SHARED * entry.n_state_genes:
        return ()
    return (
        f"Few shared genes: {entry.source} shares {entry.n_shared_genes:,} of {entry.n_state_genes:,} genes with the states. On "
        f"them the states are told apart with AUROC {number(entry.state_score_auroc)}; effects cannot be read better than that.",
    )


def _textbook(entry: RecordedCells) -> tuple[str, ...]:
    absent, known = entry.textbook_absent, entry.textbook_genes
    if not absent:
        return ()
    return (
        f"Textbook genes not shared: of {count(len(known), 'gene')} of {entry.textbook}, {listed(absent, most=9)} "
        f"{'is' if len(absent) == 1 else 'are'} not among the {entry.n_shared_genes:,} genes that {entry.source} and the states "
        f"both hold, so {'its' if len(absent) == 1 else 'their'} expression tells nothing there.",
    )


def _unsure(report: RoundReport) -> tuple[str, ...]:
    lines = []
    for kind in kinds_of(report):
        rows = report.ranking[report.ranking["kind"].eq(kind) & report.ranking["status"].eq("scored")]
        belief = report.posterior[report.posterior["kind"].eq(kind)]
        belief = belief[belief["gene_id"].isin(rows["gene_id"])]
        if basis_of(report, kind) is not POSTERIOR or belief.empty:
            continue
        best = belief.loc[belief["probability"].astype(float).idxmax()]
        if best["probability"] < UNSURE:
            lines.append(
                f"No gene stands out by `{kind}`: the likeliest, {best['gene_name']}, has a probability of "
                f"{100 * best['probability']:.0f}\u00a0% of a worthwhile effect. A panel to measure teaches more than this order."
            )
    return tuple(lines)


def _heads(report: RoundReport) -> tuple[str, ...]:
    """The gate speaks of the frozen head; of the others one line."""
    others = {title: auroc for title, auroc in report.heads.items() if title != "frozen"}
    low = [auroc for auroc in others.values() if auroc < LOW_AUROC]
    if not low:
        return ()
    spread = " to ".join(dict.fromkeys((number(min(low)), number(max(low)))))
    which = f"All {len(low)}" if len(low) == len(others) > 1 else f"{len(low)} of {len(others)}"
    return (
        f"{which} trained models tell held-out cells apart with AUROC {spread} only; below {LOW_AUROC} do not act on their rankings.",
    )


def _unjudged(report: RoundReport) -> tuple[str, ...]:
    unjudged = [verdict.check for verdict in report.gate if verdict.passed is None]
    if not unjudged:
        return ()
    of = f"{len(unjudged)} of {count(len(report.gate), 'check')} of the control gate could not be judged"
    return (
        f"{of} ({'; '.join(unjudged)}): name genes that must act, or that can do nothing, when a campaign is made.",
    )


def _both(report: RoundReport) -> tuple[str, ...]:
    lines = []
    for kind in kinds_of(report):
        rows = shown(report, kind)
        rows = rows[rows["status"].eq("scored")].head(TOP_OF_BOTH)
        both = [
            name
            for name, cautions in zip(rows["gene_name"], rows["cautions"], strict=True)
            if EITHER_WAY in cautions.split(", ")
        ]
        if both:
            lines.append(f"{len(both)} of the {len(rows)} best by `{kind}` ({listed(both)})")
    if not lines:
        return ()
    return (
        f"Best both to inhibit and to activate: {'; '.join(lines)}. There the model answers to any edit and names no direction.",
    )


def _knockout(report: RoundReport) -> tuple[str, ...]:
    """A null is not a heterozygous disease."""
    if not is_knockout(report.start):
        return ()
    return (
        f"'{report.start}' is a knockout, so its cells lack the gene. A disease with one working copy (heterozygous) still has half of "
        "it: what brings the knockout back need not bring back the disease.",
    )


def _once(warnings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{line} ({n} times)" if n > 1 else line for line, n in Counter(warnings).items())
