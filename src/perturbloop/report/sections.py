"""The order in which a report answers."""

import pandas as pd

from perturbloop.report.answer import Answer, answer
from perturbloop.report.breakdown import breakdown
from perturbloop.report.content import RoundReport
from perturbloop.report.curves import curve_sections
from perturbloop.report.knowledge import knowledge_section
from perturbloop.report.layout import Grid, Picture, Section, count, drawn
from perturbloop.report.measured import effect_section, full_effect_section, spent_section
from perturbloop.report.method import method_section
from perturbloop.report.next import all_proposals_section, proposal_section
from perturbloop.report.notes import alarms, notes
from perturbloop.report.ranking import best_lines, full_ranking_section, pathway_section, ranking_section
from perturbloop.report.replicates import by_guide_section
from perturbloop.report.reversal import full_reversal_section, reversal_section
from perturbloop.report.scoreboard import correlation_section, gain_section, scoreboard_section
from perturbloop.report.timeline import found_section, rounds_section
from perturbloop.schema import RecordedCells

MOST_NOTES = 5
"""Notes that stand in the answer; the others wait in the details."""
METHODS_IN_WORDS = (
    "In-silico edit: a cell is a list of its genes, most telling first. `delete` takes the gene out of the list, "
    "`overexpress` puts it in front; `inhibit` and `activate` move it part of the way. The shift is the change this makes to the cell's state as the model reads it; it is "
    "averaged over the start cells in which the gene was edited.",
    "Call: the shift is compared with the shifts of genes of like rank and expression (matched null), two-sided, with "
    "Benjamini-Hochberg over the genes of a kind.",
    "Measured effect: a logistic regression on the state cells scores the perturbed cells and the controls of the same "
    "replicate; the difference is given in standard deviations of control cells. The target's own gene is left out. A hit "
    "has a padj below the stated rate, an effect of at least the stated size, and an interval that excludes 0.",
    "Closed loop: the representation channel trains the model with perturbed cells added; the evidence channel corrects the "
    "frozen model's scores by the measured effects of genes that networks say are alike, each network as far as it foretells "
    "measured genes that are left out.",
    "Held out: a target is only judged by a ranking that was made without its measured effect.",
)
LIMITS_IN_WORDS = (
    "A gene that start cells do not express cannot be edited there, and is not scored: absence from the top says nothing.",
    "Editing a list is not editing a cell: the model has seen which genes go together, not what causes what. "
    "Consequences of a state can rank as high as its causes.",
    "Edits that lower a gene and edits that raise it are judged apart: a knock-out says nothing about overexpression.",
    "The intervals of shifts hold the spread between cells, not the uncertainty of the model that was trained.",
    "Toward the goal is not safe or useful: toxicity, cell death and delivery are not part of any number here.",
)


def sections(report: RoundReport) -> tuple[Section, ...]:
    """All sections of a report, in the order of reading."""
    found = answer(report)
    return (
        _answer(report, found),
        ranking_section(report, found),
        method_section(report, found),
        effect_section(report),
        *(() if report.reversal.empty else (reversal_section(report),)),
        proposal_section(report, found),
        rounds_section(report),
        found_section(report),
        _notes(report),
        _asked(report),
        Section("check", "What the check found", report.check_lines or ("Nothing was noted.",)),
        Section("model", "The model", report.model_lines or ("Nothing was noted.",)),
        knowledge_section(report),
        full_ranking_section(report),
        scoreboard_section(report),
        gain_section(report),
        *breakdown(report),
        *curve_sections(report),
        correlation_section(report),
        full_effect_section(report),
        *((by_guide_section(report),) if report.guides or report.replicates else ()),
        *(() if report.reversal.empty else (full_reversal_section(report),)),
        _context(report),
        pathway_section(report),
        Section(
            "power",
            "What so few hits can and cannot show",
            report.power_lines or ("No hit was measured, so no two methods can be told apart.",),
        ),
        spent_section(report),
        all_proposals_section(report),
        Section("runtime", "What the round cost", report.runtime_lines or ("Not recorded.",)),
        Section("methods", "Methods in words", METHODS_IN_WORDS),
        Section("limits", "Limits", LIMITS_IN_WORDS),
    )


def _answer(report: RoundReport, found: Answer) -> Section:
    cautions = notes(report)
    shown, left = cautions[:MOST_NOTES], len(cautions) - MOST_NOTES
    more = (f"{count(left, 'more note')} in the details.",) if left > 0 else ()
    failed = (found.gate_sentence, *alarms(report)) if found.gate == "failed" else alarms(report)
    title = f"Which genes move cells from {report.start} to {report.goal}?"
    return Section(
        "answer", title, (found.sentence, *best_lines(report)), notes=(*shown, *more), alarm=failed
    )


def _notes(report: RoundReport) -> Section:
    gate = tuple(verdict.sentence for verdict in report.gate)
    return Section("notes", "Notes", (*gate, *notes(report)) or ("None.",))


def _context(report: RoundReport) -> Section:
    """Where states and perturbed cells come from, and where the controls stand between the states."""
    title = "Context of the measurement"
    if not report.context_lines:
        return Section("context", title, ("Nothing was measured, so there is no second context.",))
    rows = [
        (one.source, "control cells" if name == "all" else name, position)
        for one in report.recorded
        if isinstance(one, RecordedCells)
        for name, position in one.control_position.items()
    ]
    if not rows:
        return Section("context", title, report.context_lines)
    controls = pd.DataFrame(rows, columns=["source", "replicate", "position"])
    picture = Picture(
        "Control cells of the recorded files on the axis of the two states, mean of each replicate. Open: outside the states, "
        "so that effects are extrapolated.",
        drawn("state_axis", controls, start=report.start, goal=report.goal),
    )
    return Section("context", title, report.context_lines, (), (picture,))


def _asked(report: RoundReport) -> Section:
    rows = tuple((str(name), str(value)) for name, value in report.facts.items())
    columns = ("fact", "value")
    return Section("asked", "What was asked", (), (Grid("Facts", columns, rows, frozenset(columns)),))
