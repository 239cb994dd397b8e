"""The words that name edits, modalities and choices, and how they relate."""

import re
from typing import Literal, get_args

Kind = Literal["delete", "overexpress", "inhibit", "activate"]
CellModality = Literal["crispr_ko", "crispri", "crispra", "drug"]
"""Modalities of perturbed cells."""
ScreenModality = Literal["crispr_ko", "crispri", "crispra", "inhibitor", "activator"]
"""Modalities that raise a gene or lower it, and so can be those of a screen."""
Modality = Literal[CellModality, ScreenModality]
"""What was done. A `drug` hits several genes, up or down; what it says of one of them, or what a screen of compounds says of
it, stands in tables as `inhibitor` or `activator`."""
Design = Literal["paired", "nested", "single"]
Split = Literal["donors", "cells"]
"""What is held out to check the state classifier: a fifth of the donors, or of the cells, whatever their donor."""
LabelSource = Literal["state_score", "phenotype", "condition", "screen"]
"""Where the label of a perturbed cell comes from: a soft state score; a phenotype measured in the cell itself (a score or a
gate); the condition it was in; the call that a screen gave its target."""
CallRule = Literal["matched-null", "geneformer", "budget-k"]
HigherIs = Literal["goal", "start"]
"""Which state a high score of a screen stands for."""
Readout = Literal["colonies", "marker", "cytokine", "qpcr"]
"""What a well of a readout without cells holds: a count of colonies; a surface marker, as a percentage or an intensity; a
concentration; or ΔCt, where less is more."""
PvalueSides = Literal["one", "two"]
"""Whether p-values are of one tail, or of both."""
Compat = Literal["geneformer"] | None
"""`"geneformer"` repeats the published tool, quirks included; `None` is perturbloop's own way."""

Precision = Literal["float32", "mixed"]
"""float32 throughout, or matrix products and attention in bfloat16 with a float32 residual stream."""
AfterDelete = Literal["shorten", "refill"]
"""A cell cut at the length limit loses a gene: it gets shorter, or the next gene, cut off so far, moves up."""
NotExpressed = Literal["skip", "insert"]
"""A gene that a cell does not express is not edited in it, or is put in where it is raised; it cannot be lowered."""
EngineName = Literal["exact", "fast"]
DeTest = Literal["auto", "pseudobulk", "metacells", "rank-sum", "pershad2025"]
"""Test of differential expression; auto takes the first of the next three that the cells allow, pershad2025 is a paper's way."""
Level = Literal["frozen", "lora", "full"]
"""What of an encoder is trained: nothing but the head, low-rank adapters that are merged afterwards, or every weight."""
ClosedLoop = Literal["auto", "always"]
"""Whether perturbed cells train models where too few held-out hits could tell what that gains: auto spares them, always does not."""
KeptEpoch = Literal["last", "best"]
"""Weights that fine-tuning keeps: those after the last epoch, or after the one of lowest loss on held-out cells."""
Aim = Literal["find", "learn", "both"]
"""What a batch is chosen for: most hits, most to be learnt of the other genes, or some of both."""
Action = Literal["inhibit", "activate"]
Variant = Literal["open", "closed", "shuffled", "unperturbed"]
"""Which cells train a level. open: state cells alone; closed: with perturbed cells; shuffled: their labels are exchanged;
unperturbed: control cells of their study in their place."""

KINDS: tuple[Kind, ...] = ("delete", "overexpress", "inhibit", "activate")
DEFAULT_KINDS: tuple[Kind, ...] = ("delete", "overexpress")
MODALITIES: tuple[CellModality, ...] = get_args(CellModality)
ARMS: tuple[ScreenModality, ...] = get_args(ScreenModality)
SIGNS: dict[str, Kind] = {
    **dict.fromkeys(
        (
            "-1",
            "inhibits",
            "inhibitor",
            "antagonist",
            "blocker",
            "inverse agonist",
            "negative modulator",
            "negative allosteric modulator",
            "allosteric antagonist",
            "gating inhibitor",
            "channel blocker",
            "degrader",
            "antisense inhibitor",
            "antisense oligonucleotide",
            "rnai inhibitor",
            "suppressor",
        ),
        "delete",
    ),
    **dict.fromkeys(
        (
            "+1",
            "1",
            "activates",
            "activator",
            "agonist",
            "partial agonist",
            "positive modulator",
            "positive allosteric modulator",
            "opener",
            "potentiator",
            "inducer",
            "stimulator",
        ),
        "overexpress",
    ),
}
"""Phrases of drug tables and the edit each is read as; a phrase is read whole, since an inverse agonist is no agonist."""
UNSIGNED = (
    "",
    "unknown",
    "binder",
    "ligand",
    "modulator",
    "allosteric modulator",
    "antibody",
    "substrate",
    "cofactor",
    "binding agent",
    "other",
    "other/unknown",
)
"""Phrases that say that a compound acts on a gene, not which way: such a target is kept and spent, never edited or counted."""
KNOCKOUT = re.compile(r"(?<![a-z])(crispr[ _-]?ko|ko|knock[ _-]?out|null)(?![a-z])|-/-|\u2212/\u2212", re.I)
"""What the name of a state holds where a gene was knocked out."""
MEANT = {
    "delete": "a knockout",
    "inhibit": "a knockdown, by degrees",
    "activate": "overexpression, by degrees",
    "crispr_ko": "a knockout",
    "crispri": "a knockdown",
    "crispra": "activation of the own gene",
    "drug": "cells under compounds",
    "inhibitor": "a table of compounds that lower",
    "activator": "a table of compounds that raise",
}
"""What the laboratory says to a word, where it is told which words may come."""
ACTION: dict[Kind, str] = {
    "delete": "inhibit",
    "inhibit": "inhibit",
    "overexpress": "activate",
    "activate": "activate",
}

EITHER_WAY = "either-way"
"""Flag of a gene that is among the best both to inhibit and to activate: its place tells no direction."""
STATUS = ("scored", "not_scored", "spent", "excluded")
"""scored; not scored (not expressed, not in the vocabulary); spent (used in training); excluded on request."""


def arms_of(modality: Modality) -> tuple[Modality, ...]:
    """Return the modalities whose effects a recorded one gives: itself, or both arms of a drug screen.

    >>> arms_of("crispri"), arms_of("drug")
    (('crispri',), ('inhibitor', 'activator'))
    """
    return ("inhibitor", "activator") if modality == "drug" else (modality,)


def kind_of(modality: Modality) -> Kind:
    """Return the strongest in-silico edit that a laboratory modality is compared with; a drug as such has none.

    >>> kind_of("crispri"), kind_of("crispra"), kind_of("inhibitor")
    ('delete', 'overexpress', 'delete')
    """
    return "overexpress" if raises(modality) else "delete"


def judges(modality: Modality, kind: Kind) -> bool:
    """Whether a laboratory modality says if an in-silico edit is right: both lower the gene, or both raise it.

    >>> judges("crispri", "inhibit"), judges("crispra", "delete"), judges("drug", "delete")
    (True, False, False)
    """
    return modality != "drug" and ACTION[kind_of(modality)] == ACTION[kind]


def raising_sign(modality: Modality) -> int:
    """Turn an effect as it was measured into the effect of raising the gene product: −1 for a loss of function.

    >>> raising_sign("crispr_ko"), raising_sign("crispra")
    (-1, 1)
    """
    return 1 if raises(modality) else -1


def raises(modality: Modality) -> bool:
    """Whether a laboratory modality raises the gene product rather than lowers it; of a drug only its arms can be asked.

    >>> raises("crispra"), raises("crispr_ko"), raises("activator")
    (True, False, True)
    """
    if modality == "drug":
        msg = "A drug lowers some genes and raises others; ask for its arms, `inhibitor` and `activator`."
        raise ValueError(msg)
    return modality in ("crispra", "activator")


def is_knockout(state: str) -> bool:
    """Whether a state is called a knockout.

    >>> is_knockout("RUNX1-KO"), is_knockout("TP53 knock-out"), is_knockout("GATA2-/-"), is_knockout("Kostmann")
    (True, True, True, False)
    """
    return bool(KNOCKOUT.search(state))
