"""The words that name edits, modalities and choices, and how they relate."""

from typing import Literal

Kind = Literal["delete", "overexpress", "inhibit", "activate"]
Modality = Literal["crispr_ko", "crispri", "crispra", "inhibitor", "activator"]
"""What was done to the gene; of a drug, what it does to its target."""
Design = Literal["paired", "nested", "single"]
LabelSource = Literal["state_score", "condition"]
CallRule = Literal["matched-null", "geneformer", "budget-k"]
HigherIs = Literal["goal", "start"]
"""Which state a high score of a screen stands for."""
Compat = Literal["geneformer"] | None
"""`"geneformer"` repeats the published tool, quirks included; `None` is perturbloop's own way."""

Precision = Literal["float32", "mixed"]
"""float32 throughout, or matrix products and attention in bfloat16 with a float32 residual stream."""
AfterDelete = Literal["shorten", "refill"]
"""A cell cut at the length limit loses a gene: it gets shorter, or the next gene, cut off so far, moves up."""
NotExpressed = Literal["skip", "insert"]
"""A gene that a cell does not express is not edited in it, or is put in where it is raised; it cannot be lowered."""
EngineName = Literal["exact", "fast"]

KINDS: tuple[Kind, ...] = ("delete", "overexpress", "inhibit", "activate")
DEFAULT_KINDS: tuple[Kind, ...] = ("delete", "overexpress")
MODALITIES: tuple[Modality, ...] = ("crispr_ko", "crispri", "crispra")
"""Modalities of perturbed cells."""
ARMS: tuple[Modality, ...] = ("crispr_ko", "crispri", "crispra", "inhibitor", "activator")
"""Modalities that raise a gene or lower it, and so can be those of a screen."""
_RAISES: tuple[Modality, ...] = ("crispra", "activator")
ACTION: dict[Kind, str] = {
    "delete": "inhibit",
    "inhibit": "inhibit",
    "overexpress": "activate",
    "activate": "activate",
}

SIGNS: dict[str, Kind] = {
    **dict.fromkeys(("-1", "inhibits", "inhibitor", "antagonist"), "delete"),
    **dict.fromkeys(("+1", "1", "activates", "activator", "agonist"), "overexpress"),
}
"""Words of drug tables and the edit each is read as."""

STATUS = ("scored", "not_scored", "spent", "excluded")
"""scored; not scored (not expressed, not in the vocabulary); spent (used in training); excluded on request."""


def kind_of(modality: Modality) -> Kind:
    """Return the strongest in-silico edit that a laboratory modality is compared with.

    >>> kind_of("crispri"), kind_of("crispra")
    ('delete', 'overexpress')
    """
    return "overexpress" if modality in _RAISES else "delete"


def judges(modality: Modality, kind: Kind) -> bool:
    """Whether a laboratory modality says if an in-silico edit is right: both lower the gene, or both raise it.

    >>> judges("crispri", "inhibit"), judges("crispra", "delete")
    (True, False)
    """
    return ACTION[kind_of(modality)] == ACTION[kind]


def raising_sign(modality: Modality) -> int:
    """Turn an effect as it was measured into the effect of raising the gene product: −1 for a loss of function.

    >>> raising_sign("crispr_ko"), raising_sign("crispra")
    (-1, 1)
    """
    return 1 if modality in _RAISES else -1
