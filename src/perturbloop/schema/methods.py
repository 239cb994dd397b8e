"""The rows of the scoreboard: loop variants, baselines and negative controls."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Method:
    """A row of the scoreboard: a loop variant, a baseline or a negative control."""

    name: str
    role: Literal["loop", "baseline", "control"]
    title: str
    meaning: str
    uses_effects: bool = False
    """Whether measured effects or perturbed cells go in, so that only rows of a held-out fold may be judged."""


METHODS = (
    Method("frozen", "loop", "open loop, frozen encoder", "in-silico edits, encoder frozen, linear head"),
    Method(
        "frozen-closed",
        "loop",
        "closed loop, frozen encoder",
        "encoder frozen, the head trained with perturbed cells added",
        uses_effects=True,
    ),
    Method(
        "frozen-shuffled",
        "control",
        "frozen encoder, shuffled labels",
        "as frozen-closed, labels shuffled among the perturbed cells",
        uses_effects=True,
    ),
    Method("lora-open", "loop", "open loop, adapters", "low-rank adapters fine-tuned on unperturbed cells"),
    Method(
        "lora-closed",
        "loop",
        "closed loop, adapters",
        "low-rank adapters fine-tuned, perturbed cells added",
        uses_effects=True,
    ),
    Method(
        "lora-shuffled",
        "control",
        "adapters, shuffled labels",
        "as lora-closed, labels shuffled among the perturbed cells",
        uses_effects=True,
    ),
    Method("full-open", "loop", "open loop, full fine-tuning", "all weights fine-tuned on unperturbed cells"),
    Method(
        "full-closed",
        "loop",
        "closed loop, representation",
        "all weights fine-tuned, perturbed cells added",
        uses_effects=True,
    ),
    Method(
        "full-shuffled",
        "control",
        "representation, shuffled labels",
        "as full-closed, labels shuffled among the perturbed cells",
        uses_effects=True,
    ),
    Method(
        "full-unperturbed",
        "control",
        "representation, same-study unperturbed cells",
        "as full-closed, control cells of the perturbed study in the place of perturbed ones",
    ),
    Method(
        "propagation",
        "baseline",
        "propagation alone",
        "measured effects spread over the gene graph, no model",
        uses_effects=True,
    ),
    Method(
        "posterior",
        "loop",
        "closed loop, evidence",
        "in-silico score corrected by measured effects of like genes: the default ranking once targets are measured",
        uses_effects=True,
    ),
    Method(
        "posterior-shuffled",
        "control",
        "evidence, shuffled effects",
        "as posterior, effects shuffled among targets",
        uses_effects=True,
    ),
    Method(
        "posterior-permuted",
        "control",
        "evidence, permuted genes in silico",
        "as posterior, the in-silico scores exchanged among genes",
        uses_effects=True,
    ),
    Method(
        "posterior-alone",
        "baseline",
        "evidence without a model's score",
        "as posterior, without any in-silico score",
        uses_effects=True,
    ),
    Method(
        "de-posterior",
        "baseline",
        "evidence with signed DE",
        "as posterior, signed DE in place of the in-silico score: shows what the model adds",
        uses_effects=True,
    ),
    Method(
        "evidence",
        "loop",
        "closed loop, simple evidence",
        "z(frozen) + z(propagation) over co-expression",
        uses_effects=True,
    ),
    Method(
        "evidence-shuffled",
        "control",
        "simple evidence, shuffled effects",
        "as evidence, effects shuffled among targets",
        uses_effects=True,
    ),
    Method(
        "both",
        "loop",
        "closed loop, both channels",
        "as posterior, with the score of full-closed",
        uses_effects=True,
    ),
    Method(
        "de-propagation",
        "baseline",
        "signed DE + propagation",
        "z(signed DE) + z(propagation): shows what the model adds",
        uses_effects=True,
    ),
    Method(
        "linear",
        "baseline",
        "linear control",
        "the same edits made in counts, read by a linear model of log-normalized expression: no foundation model",
    ),
    Method(
        "de",
        "baseline",
        "signed DE",
        "z of goal against start by the test of `de_test`, signed for the action",
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
    Method("expression", "baseline", "expression", "mean log-normalized expression in start cells"),
    Method("detection", "baseline", "detection rate", "share of start cells that express the gene"),
    Method(
        "degree",
        "baseline",
        "annotation degree",
        "in how many gene sets the gene is: how well it was studied",
    ),
    Method("chance", "control", "chance", "random scores, seeded"),
)


def method(name: str) -> Method:
    """Look a method up by name.

    >>> method("de").title
    'signed DE'
    """
    return next(entry for entry in METHODS if entry.name == name)


def controls_of(name: str) -> tuple[str, ...]:
    """Controls that stand behind a method in `METHODS`: the same method without its cause.

    >>> controls_of("posterior"), controls_of("de")
    (('posterior-shuffled', 'posterior-permuted'), ())
    """
    names = [entry.name for entry in METHODS]
    after = METHODS[names.index(name) + 1 :] if name in names and method(name).role == "loop" else ()
    found = []
    for entry in after:
        if entry.role != "control":
            break
        found.append(entry.name)
    return tuple(found)
