"""What a file says a compound does to a gene, and how far it has come in the clinic."""

import re

from perturbloop.schema import SIGNS

APPROVED = "approved"
_STAGES = {
    "approval": APPROVED,
    "approved": APPROVED,
    "true": APPROVED,
    "4": APPROVED,
    "phase 4": APPROVED,
    "withdrawal": "withdrawn",
    "preapproval": "phase 3",
    "3": "phase 3",
    "2": "phase 2",
    "1": "phase 1",
    "0.5": "early phase 1",
    "0": "preclinical",
    "phase 0": "early phase 1",
    "clinical trial": "clinical trial",
    "preclinical": "preclinical",
    "ind": "preclinical",
}
ORDER = (
    APPROVED,
    "withdrawn",
    "phase 3",
    "phase 2/3",
    "phase 2",
    "phase 1/2",
    "phase 1",
    "early phase 1",
    "clinical trial",
    "preclinical",
    "",
)
"""Stages, furthest first."""


def phrase(text: str) -> str:
    """A mechanism as it is compared: lower case, single blanks; '' where it is a mark for none.

    >>> phrase(" Inverse_Agonist "), phrase("NULL")
    ('inverse agonist', '')
    """
    made = " ".join(text.replace("_", " ").replace(",", ", ").lower().split())
    return "" if made in ("null", "nan", "none", "n/a", "na", "<na>", "?") else made


def kind_of_phrases(phrases: str) -> str:
    """Edit that stands for one or several mechanisms, separated by commas, semicolons or |; '' where the sign is unknown.

    >>> kind_of_phrases("inhibitor"), kind_of_phrases("antagonist,allosteric modulator"), kind_of_phrases("inverse agonist")
    ('delete', 'delete', 'delete')
    >>> kind_of_phrases("agonist,antagonist"), kind_of_phrases("modulator")
    ('', '')
    """
    kinds = {SIGNS[word] for one in re.split(r"[,;|]", phrases) if (word := phrase(one)) in SIGNS}
    return kinds.pop() if len(kinds) == 1 else ""


def stage_of(text: str) -> str:
    """How far a compound has come, in one way of writing; '' where the file does not say.

    >>> stage_of("4"), stage_of("PHASE_2_3"), stage_of("0.5"), stage_of("-1"), stage_of("Phase II")
    ('approved', 'phase 2/3', 'early phase 1', '', 'phase 2')
    """
    made = phrase(str(text)).removesuffix(".0")
    made = re.sub(r"\b(iii|ii|i|iv)\b", lambda found: str(["i", "ii", "iii", "iv"].index(found[0]) + 1), made)
    made = re.sub(r"^phase (\d) (\d)$", r"phase \1/\2", made)
    return _STAGES.get(made, made if made in ORDER else "")


def furthest(stages: "list[str]") -> str:
    """The furthest of several stages.

    >>> furthest(["phase 1", "approved", ""])
    'approved'
    """
    return min((one for one in stages if one in ORDER), key=ORDER.index, default="")
