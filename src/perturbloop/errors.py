"""What can go wrong, and who can mend it.

Every message has three parts: what is needed; what came, with a count and the first offenders; what to do.

>>> some(["CD3E", "VAV1", "LCP2", "ZAP70"], limit=2)
"'CD3E', 'VAV1', … (4 in all)"
"""

from collections.abc import Iterable
from difflib import get_close_matches


class PerturbloopError(Exception):
    """Anything perturbloop refuses to do; the command line prints it without a traceback."""


class InputError(PerturbloopError, ValueError):
    """The user's files or arguments must change."""


class GeneIdError(InputError):
    """Gene identifiers are missing, unknown or in the wrong column."""


class StateError(InputError):
    """A state, donor or control label does not exist or holds too few cells."""


class ModelError(PerturbloopError):
    """A checkpoint cannot be used as it is."""


class VocabularyMismatch(ModelError):
    """A vocabulary and a checkpoint do not belong together."""


class LeakageError(PerturbloopError):
    """A gene used in training was about to be scored."""


class StoreError(PerturbloopError):
    """The campaign folder is missing, busy or damaged."""


class DesignError(InputError):
    """A batch of experiments cannot be chosen as asked."""


def some(items: Iterable[object], *, limit: int = 5) -> str:
    """Show the first few of many offenders, and how many there are.

    >>> some(["CD3E"])
    "'CD3E'"
    >>> some([])
    'none'
    """
    names = [repr(str(item)) for item in items]
    if not names:
        return "none"
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, … ({len(names):,} in all)"


def closest(name: str, known: Iterable[object], *, limit: int = 3) -> str:
    """Say which known names look most like the one that came, those that begin with it or contain it first; all if none does.

    Parameters
    ----------
    name
        What came.
    known
        What it may be.
    limit
        Most names that are said.

    >>> closest("stimulted", ["control", "stimulated"]), closest("stim", ["control", "stimulated"])
    ("'stimulated'", "'stimulated'")
    >>> closest("target", ["dataset", "condition"])
    "'dataset', 'condition'"
    """
    names = [str(item) for item in known]
    return some(alike(name, names, limit=limit) or names)


def alike(name: str, known: Iterable[object], *, limit: int = 3) -> list[str]:
    """Known names that look most like the one that came, those that begin with it or contain it first; empty where none does.

    Parameters
    ----------
    name
        What came.
    known
        What it may be.
    limit
        Most names.

    Examples
    --------
    >>> alike("STAT1P", ["STAT1", "JAK2"]), alike("stim", ["control"])
    (['STAT1'], [])
    """
    asked = name.lower()
    lower = {candidate.lower(): candidate for candidate in map(str, known)}
    holding = sorted(
        (one for one in lower if asked and asked in one), key=lambda one: (one.find(asked), len(one))
    )
    near = get_close_matches(asked, list(lower), n=limit, cutoff=_ALIKE)
    matches = list(dict.fromkeys([*holding, *near]))[:limit] if len(asked) >= _LEAST else near
    return [lower[match] for match in matches]


_ALIKE, _LEAST = 0.7, 3
"""How alike two names must be, 0 to 1, and the fewest letters of one that others may contain."""
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    r"""Show control characters of names as escapes: as they are, they would move a terminal's cursor or set its title.

    >>> printable("\x1b[2JCD3E")
    '\\x1b[2JCD3E'
    """
    return text.translate(_CONTROL)
