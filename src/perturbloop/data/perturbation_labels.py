"""What a label says was done to a cell: one gene, several, a control, or nothing that is known."""

import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from perturbloop.data.genes import CONTROL_LABEL

JOINS = (" || ", "|", "+", ";", ",", "&", "_")
"""What joins the genes, or the guides, of one cell, the clearest first."""
_BLANK = frozenset(
    [
        "nan",
        "none",
        "na",
        "n/a",
        "<na>",
        "null",
        "unassigned",
        "unmapped",
        "no_guide",
        "noguide",
        "no_call",
    ]
)
_CUTS = re.compile(r"[-_.:]")
_GUIDE_MARK = re.compile(r"(sgrna|sg|guide)[-_.]?(?=[A-Za-z])", re.IGNORECASE)


class Meaning(NamedTuple):
    """What a label says."""

    targets: tuple[str, ...]
    """Genes, each once, sorted; none of a control or of a label that says nothing."""
    is_control: bool = False


NOTHING = Meaning(())
CONTROL = Meaning((), True)


def is_blank(label: str) -> bool:
    """Whether a label says that nothing is known: empty, or one of the words that files write for that.

    >>> is_blank(""), is_blank("None"), is_blank("unassigned"), is_blank("control")
    (True, True, True, False)
    """
    return not label.strip() or label.strip().lower() in _BLANK


def is_named(label: str, controls: tuple[str, ...]) -> bool:
    """Whether a label is one of the controls: itself, or by a pattern with `*`.

    >>> is_named("NT-2", ("NT-1", "NT-2")), is_named("NT-7", ("NT-*",)), is_named("NTRK1", ("NT-*",))
    (True, True, False)
    """
    return any(label == one or fnmatchcase(label, one) for one in controls)


def read_label(label: str, controls: tuple[str, ...], is_gene: Callable[[str], bool]) -> Meaning:
    """Read the label of a cell as scPerturb, pertpy and others write it.

    Parameters
    ----------
    label
        `STAT1`, `STAT1+ctrl`, `STAT1+JAK1`, `STAT1_JAK1`, `control`, …
    controls
        Labels, or patterns, of the controls.
    is_gene
        Whether a text is the name of a gene.

    Returns
    -------
    Its meaning. A label is taken apart only where it is no gene itself and every part is a gene or a control.

    Examples
    --------
    >>> known = {"STAT1", "JAK1", "NKX2-1"}.__contains__
    >>> [read_label(one, ("ctrl",), known).targets for one in ("STAT1+ctrl", "STAT1_JAK1", "NKX2-1", "enhancer_7")]
    [('STAT1',), ('JAK1', 'STAT1'), ('NKX2-1',), ('enhancer_7',)]
    >>> read_label("ctrl+ctrl", ("ctrl",), known).is_control
    True
    """
    if is_blank(label):
        return NOTHING
    if is_named(label, controls):
        return CONTROL
    if is_gene(label):
        return Meaning((label,))
    for join in JOINS:
        parts = [part.strip() for part in label.split(join)]
        if len(parts) == 1:
            continue
        silent = [part for part in parts if is_named(part, controls) or CONTROL_LABEL.fullmatch(part)]
        genes = {part for part in parts if part not in silent and is_gene(part)}
        if all(is_named(part, controls) for part in parts):
            return CONTROL
        if genes and all(part in genes or part in silent for part in parts):
            return Meaning(tuple(sorted(genes)))
    return Meaning((label,))


def read_guides(guides: str, controls: tuple[str, ...], is_gene: Callable[[str], bool]) -> Meaning:
    """Read the guides of a cell, joined by `|`: the genes that they hit; control guides beside others say nothing.

    Parameters
    ----------
    guides
        `STAT1-1`, `sgSTAT1_2|NT-7`, …
    controls, is_gene
        As of `read_label`; of a control guide, what stands before its number may be named.

    Examples
    --------
    >>> known = {"STAT1", "NKX2-1"}.__contains__
    >>> read_guides("STAT1-1|STAT1-2|NT-7", ("NT",), known).targets, read_guides("NKX2-1-3", ("NT",), known).targets
    (('STAT1',), ('NKX2-1',))
    >>> read_guides("NT-7|NT-9", ("NT",), known).is_control
    True
    """
    each = [guide.strip() for guide in guides.split("|") if not is_blank(guide)]
    hit = {
        next(filter(is_gene, shorter(guide)), guide)
        for guide in each
        if not any(is_named(part, controls) for part in shorter(guide))
    }
    if not hit:
        return CONTROL if each else NOTHING
    return Meaning(tuple(sorted(hit)))


def not_found(controls: tuple[str, ...], labels: Iterable[str]) -> tuple[str, ...]:
    """Control labels that no label, none of its parts and no guide without its number is.

    >>> not_found(("NT", "ctrl", "AAVS*"), ["STAT1+ctrl", "NT-7"])
    ('AAVS*',)
    """
    parts = {part for label in labels for join in JOINS for part in label.split(join)}
    texts = {*labels, *(text for part in parts for text in shorter(part))}
    return tuple(one for one in controls if not any(is_named(text, (one,)) for text in texts))


def shorter(guide: str) -> Iterator[str]:
    """Yield the guide as it is called, then without its number and whatever else stands behind its gene.

    >>> list(shorter("sgNKX2-1_2"))
    ['sgNKX2-1_2', 'sgNKX2-1', 'sgNKX2', 'NKX2-1_2', 'NKX2-1', 'NKX2']
    """
    for start in dict.fromkeys((guide, _GUIDE_MARK.sub("", guide, count=1))):
        cuts = [found.start() for found in _CUTS.finditer(start)]
        yield from (start[:cut] for cut in (len(start), *reversed(cuts)) if cut)
