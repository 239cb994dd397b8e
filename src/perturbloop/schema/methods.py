"""The rows of the scoreboard: one record per method, and everything that is read off it.

A method is added here, and its function where the others of its channel are: `loop.execute` (a state model), `evidence.channel.RULES`
(a rule for measured effects), `evaluate.baselines`.
"""

from dataclasses import dataclass
from typing import Literal

from perturbloop.schema.words import Level, Variant

Channel = Literal["representation", "evidence", "open", "baseline"]


@dataclass(frozen=True)
class Method:
    """A row of the scoreboard: a loop variant, a baseline or a negative control."""

    name: str
    role: Literal["loop", "baseline", "control"]
    """How it is marked in tables and plots."""
    title: str
    meaning: str
    level: Level | Literal["linear", ""] = ""
    """What of an encoder is trained, or the linear control; '' where no state model makes its score."""
    variant: Variant | Literal[""] = ""
    """Which cells train its state model, or that the effects it reads are shuffled; '' for the methods of every round."""
    rule: str = ""
    """How measured effects make its score, a name in `evidence.channel.RULES`; '' where none are read."""
    partner: str = ""
    """In-silico score that the rule starts from: a method, `permuted` (frozen, dealt anew among genes) or `nothing`."""
    against: tuple[str, ...] = ()
    """Methods whose paired difference is a gain. The first is its reference."""
    control: str = ""
    """Shuffled twin: what it keeps of the gain over the reference was luck."""
    curve: str = ""
    """Points of learning curves that score it: `levels` (no gene measured), `evidence`, or beside an arm, by its name; '' none."""
    line: int = 0
    """Place and color among the lines of learning curves, from 1; 0 = last, in the color of its role."""

    @property
    def channel(self) -> Channel:
        """Where its score comes from: trained cells, measured effects, the edits of every round, or neither."""
        if self.rule:
            return "evidence"
        if self.variant:
            return "representation"
        return "open" if self.level else "baseline"

    @property
    def uses_effects(self) -> bool:
        """Whether measured effects or perturbed cells go in, so that only rows of a held-out fold may be judged."""
        return bool(self.rule) or self.variant in ("closed", "shuffled")


METHODS = (
    Method(
        "frozen",
        "loop",
        "open loop, frozen encoder",
        "in-silico edits, encoder frozen, linear head",
        level="frozen",
        against=("pathway", "expression", "full-open", "linear"),
        curve="levels",
    ),
    Method(
        "frozen-closed",
        "loop",
        "closed loop, frozen encoder",
        "encoder frozen, the head trained with perturbed cells added",
        level="frozen",
        variant="closed",
        against=("frozen",),
        control="frozen-shuffled",
    ),
    Method(
        "frozen-shuffled",
        "control",
        "frozen encoder, shuffled labels",
        "as frozen-closed, labels shuffled among the perturbed cells",
        level="frozen",
        variant="shuffled",
    ),
    Method(
        "lora-open",
        "loop",
        "open loop, adapters",
        "low-rank adapters fine-tuned on unperturbed cells",
        level="lora",
        variant="open",
    ),
    Method(
        "lora-closed",
        "loop",
        "closed loop, adapters",
        "low-rank adapters fine-tuned, perturbed cells added",
        level="lora",
        variant="closed",
        against=("lora-open",),
        control="lora-shuffled",
    ),
    Method(
        "lora-shuffled",
        "control",
        "adapters, shuffled labels",
        "as lora-closed, labels shuffled among the perturbed cells",
        level="lora",
        variant="shuffled",
    ),
    Method(
        "full-open",
        "loop",
        "open loop, full fine-tuning",
        "all weights fine-tuned on unperturbed cells",
        level="full",
        variant="open",
    ),
    Method(
        "full-closed",
        "loop",
        "closed loop, representation",
        "all weights fine-tuned, perturbed cells added",
        level="full",
        variant="closed",
        against=("full-open", "full-unperturbed"),
        control="full-shuffled",
    ),
    Method(
        "full-shuffled",
        "control",
        "representation, shuffled labels",
        "as full-closed, labels shuffled among the perturbed cells",
        level="full",
        variant="shuffled",
    ),
    Method(
        "full-unperturbed",
        "control",
        "representation, same-study unperturbed cells",
        "as full-closed, control cells of the perturbed study in the place of perturbed ones",
        level="full",
        variant="unperturbed",
    ),
    Method(
        "propagation",
        "baseline",
        "propagation alone",
        "measured effects spread over the gene graph, no model",
        rule="propagation",
        partner="nothing",
        curve="evidence",
        line=4,
    ),
    Method(
        "posterior",
        "loop",
        "closed loop, evidence",
        "measured effects of like genes, trusted as far as genes of its sort act; the in-silico score by its skill: the default ranking once "
        "targets are measured",
        rule="posterior",
        partner="frozen",
        against=(
            "frozen",
            "posterior-permuted",
            "posterior-alone",
            "de-posterior",
            "evidence",
            "de",
            "pathway",
        ),
        control="posterior-shuffled",
        curve="evidence",
        line=1,
    ),
    Method(
        "posterior-shuffled",
        "control",
        "evidence, shuffled effects",
        "as posterior, effects shuffled among targets",
        rule="posterior",
        partner="frozen",
        variant="shuffled",
        curve="evidence",
        line=2,
    ),
    Method(
        "posterior-permuted",
        "control",
        "evidence, permuted genes in silico",
        "as posterior, the in-silico scores exchanged among genes",
        rule="posterior",
        partner="permuted",
    ),
    Method(
        "posterior-alone",
        "baseline",
        "evidence without a model's score",
        "as posterior, without any in-silico score",
        rule="posterior",
        partner="nothing",
        curve="evidence",
        line=3,
    ),
    Method(
        "de-posterior",
        "baseline",
        "evidence with signed DE",
        "as posterior, signed DE in place of the in-silico score: shows what the model adds",
        rule="posterior",
        partner="de",
        curve="evidence",
        line=6,
    ),
    Method(
        "evidence",
        "loop",
        "closed loop, simple evidence",
        "z(frozen) + z(propagation) over co-expression",
        rule="sum",
        partner="frozen",
        against=("frozen", "propagation", "de-propagation"),
        control="evidence-shuffled",
        curve="evidence",
        line=5,
    ),
    Method(
        "evidence-shuffled",
        "control",
        "simple evidence, shuffled effects",
        "as evidence, effects shuffled among targets",
        rule="sum",
        partner="frozen",
        variant="shuffled",
    ),
    Method(
        "both",
        "loop",
        "closed loop, both channels",
        "as posterior, with the score of full-closed",
        rule="posterior",
        partner="full-closed",
        against=("full-open", "full-closed", "posterior"),
        curve="full-closed",
        line=7,
    ),
    Method(
        "de-propagation",
        "baseline",
        "signed DE + propagation",
        "z(signed DE) + z(propagation): shows what the model adds",
        rule="sum",
        partner="de",
    ),
    Method(
        "linear",
        "baseline",
        "linear control",
        "the same edits made in counts, read by a linear model of log-normalized expression: no foundation model",
        level="linear",
    ),
    Method(
        "de",
        "baseline",
        "signed DE",
        "z of goal against start by the test of `de_test`, signed for the action",
        curve="levels",
    ),
    Method("de-absolute", "baseline", "absolute DE", "the same without its sign: what changes, matters"),
    Method(
        "de-isp",
        "baseline",
        "DE ∩ ISP",
        "signed DE and frozen in-silico edit where both point the same way: the smaller of the two, 0 where they disagree",
    ),
    Method(
        "pathway",
        "baseline",
        "static pathway × expression",
        "genes of the pathway that is known to drive the states, ranked by expression; then all others by expression",
    ),
    Method(
        "lineage",
        "baseline",
        "lineage-specific expression",
        "expression in this cell type above that in others, plus expression and annotation degree: known before any experiment",
    ),
    Method(
        "expression",
        "baseline",
        "expression",
        "mean log-normalized expression in start cells",
        curve="levels",
    ),
    Method("detection", "baseline", "detection rate", "share of start cells that express the gene"),
    Method(
        "degree",
        "baseline",
        "annotation degree",
        "in how many gene sets the gene is: how well it was studied",
    ),
    Method("chance", "control", "chance", "random scores, seeded", curve="levels"),
)
WITH_MODEL, WITHOUT_MODEL = "posterior", "posterior-alone"
"""Method of the default ranking once targets were measured; and where the open loop failed its control gate."""


def method(name: str) -> Method:
    """Look a method up by name.

    >>> method("de").title, method("both").channel
    ('signed DE', 'evidence')
    """
    return next(entry for entry in METHODS if entry.name == name)


def controls_of(name: str) -> tuple[str, ...]:
    """Controls that a method is compared with: the same method without its cause.

    >>> controls_of("posterior"), controls_of("de")
    (('posterior-shuffled', 'posterior-permuted'), ())
    """
    roles = {entry.name: entry.role for entry in METHODS}
    own = (entry for entry in METHODS if entry.name == name)
    return tuple(
        other for entry in own for other in (entry.control, *entry.against) if roles.get(other) == "control"
    )
