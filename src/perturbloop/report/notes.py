"""What the reader should know before acting: each thing once, with its count, the gravest first."""

from collections import Counter

import pandas as pd

from perturbloop.evaluate.gate import LOW_AUROC
from perturbloop.report.basis import POSTERIOR, TOP_OF_BOTH, basis_of, either_way, kinds_of
from perturbloop.report.content import Context, RoundReport
from perturbloop.report.layout import count, listed, number

FEW_SHARED = 0.25
"""Share of the states' genes below which shared genes are called few."""
BEYOND = 0.25
"""How far beyond a state controls may lie, in distances of the states, before that is said."""
UNSURE = 0.5
"""Where the best gene is less probable than this to have a worthwhile effect, no gene stands out."""


def alarms(report: RoundReport) -> tuple[str, ...]:
    """What stands in red: broken input, and every failed check of the control gate."""
    return (*report.broken, *(verdict.sentence for verdict in report.gate if verdict.passed is False))


def notes(report: RoundReport) -> tuple[str, ...]:
    """Everything else that asks for caution, the gravest first."""
    return (
        *(line for context in report.contexts for line in _context(context)),
        *_unsure(report),
        *_heads(report),
        *_unjudged(report),
        *_both(report),
        *_once(report.warnings),
    )


def _context(context: Context) -> tuple[str, ...]:
    lines = []
    outside = {
        name: value for name, value in context.control_position.items() if not -BEYOND <= value <= 1 + BEYOND
    }
    if outside:
        n, places = len(context.control_position), sorted(outside.values())
        where = " to ".join(number(value) for value in dict.fromkeys((places[0], places[-1])))
        of = "" if n == 1 else f" in {len(outside)} of {count(n, 'replicate')}"
        lines.append(
            f"Your controls lie outside the two states: {context.source} stands at {where}{of}, where 0 is the start and 1 "
            "the goal. Its effects are extrapolated."
        )
    if context.n_shared_genes < FEW_SHARED * context.n_state_genes:
        lines.append(
            f"Few shared genes: {context.source} shares {context.n_shared_genes:,} of {context.n_state_genes:,} genes with the "
            f"states. On them the states are told apart with AUROC {number(context.state_score_auroc)}; effects cannot be "
            "read better than that."
        )
    return tuple(lines)


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
                f"{100 * best['probability']:.0f} % of a worthwhile effect. A panel to measure teaches more than this order."
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
    both = either_way(report)
    if not both:
        return ()
    names = report.ranking.drop_duplicates("gene_id").set_index("gene_id")["gene_name"]
    found = listed(str(names[gene]) for gene in pd.unique(report.ranking["gene_id"]) if gene in both)
    stand = "stands" if len(both) == 1 else "stand"
    return (
        f"{count(len(both), 'gene')} {stand} among the {TOP_OF_BOTH} best both to inhibit and to activate ({found}): there the "
        "model answers to any edit, so it names no direction.",
    )


def _once(warnings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{line} ({n} times)" if n > 1 else line for line, n in Counter(warnings).items())
