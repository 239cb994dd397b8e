"""The question that a page of a batch asks: what stands in its link, and what is typed for it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import get_args
from urllib.parse import urlencode

from perturbloop.errors import InputError, some
from perturbloop.schema import DesignConfig
from perturbloop.schema.words import Aim

AIMS: tuple[str, ...] = get_args(Aim)
MOST = 1536
"""Most genes of a batch that a page asks for: four plates of 384."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


@dataclass(frozen=True)
class Asking:
    """One question for a batch."""

    pinned: tuple[str, ...] = ()
    """Genes that it must hold."""
    dropped: tuple[str, ...] = ()
    """Genes that it must not hold."""
    budget: int | None = None
    """How many; `None` = the campaign's number."""
    aim: str = ""
    """find, learn or both; '' = the campaign's."""
    anyway: bool = False
    """Whether a failed control gate is passed over."""

    @classmethod
    def of(cls, typed: Mapping[str, str]) -> "Asking":
        """Read it from the fields of a link or a form.

        Parameters
        ----------
        typed
            `with`, `without`, `budget`, `goal` and `anyway`.

        Raises
        ------
        InputError
            If a number, a word or the name of a gene can be none.
        """
        budget, aim = typed.get("budget", "").strip(), typed.get("goal", "").strip()
        if budget and not (
            budget.isascii() and budget.isdigit() and len(budget) < 10 and 1 <= int(budget) <= MOST
        ):
            msg = f"A batch holds 1 to {MOST:,} genes; '{budget[:20]}' came. Type a whole number."
            raise InputError(msg)
        if aim and aim not in AIMS:
            msg = f"The goal is one of {some(AIMS)}; '{aim[:20]}' came. Choose one."
            raise InputError(msg)
        return cls(
            genes_of(typed.get("with", "")),
            genes_of(typed.get("without", "")),
            int(budget) if budget else None,
            aim,
            typed.get("anyway", "") in ("1", "on"),
        )

    @property
    def plain(self) -> bool:
        """Whether it asks for nothing but what the campaign does by itself."""
        return self == Asking()

    @property
    def query(self) -> str:
        """The same in a link."""
        parts = {
            "with": ",".join(self.pinned),
            "without": ",".join(self.dropped),
            "budget": "" if self.budget is None else str(self.budget),
            "goal": self.aim,
            "anyway": "1" if self.anyway else "",
        }
        return urlencode({name: value for name, value in parts.items() if value}, safe=",")

    @property
    def address(self) -> str:
        """The page that shows what came of it."""
        return f"/batch?{self.query}" if self.query else "/batch"

    @property
    def words(self) -> tuple[str, ...]:
        """The command that asks it."""
        return (
            "propose",
            *([f"--with={','.join(self.pinned)}"] if self.pinned else []),
            *([f"--without={','.join(self.dropped)}"] if self.dropped else []),
            *([f"--budget={self.budget}"] if self.budget is not None else []),
            *([f"--goal={self.aim}"] if self.aim else []),
            *(["--anyway"] if self.anyway else []),
        )

    def beside(self, design: DesignConfig) -> "Asking":
        """The same question, without what the campaign does by itself."""
        budget = None if self.budget == design.budget else self.budget
        return replace(self, budget=budget, aim="" if self.aim == design.aim else self.aim)

    def without(self, genes: Iterable[str]) -> "Asking":
        """The same question without these genes, pinned or not."""
        gone = tuple(dict.fromkeys(genes))
        dropped = tuple(dict.fromkeys((*self.dropped, *gone)))
        return replace(self, pinned=tuple(gene for gene in self.pinned if gene not in gone), dropped=dropped)


def genes_of(text: str) -> tuple[str, ...]:
    """Names of genes in a text, divided by commas, semicolons or blanks, each once.

    >>> genes_of("STAT1, JAK2;HLA-A STAT1")
    ('STAT1', 'JAK2', 'HLA-A')
    """
    names = tuple(dict.fromkeys(re.split(r"[\s,;]+", text.strip()))) if text.strip() else ()
    names = tuple(name for name in names if name)
    wrong = [name[:40] for name in names if not _NAME.fullmatch(name)]
    if wrong:
        msg = f"Genes are named by symbol or Ensembl id, divided by commas; {some(wrong)} came. Correct it."
        raise InputError(msg)
    if len(names) > MOST:
        msg = f"At most {MOST:,} genes can be named at once; {len(names):,} came. Name fewer."
        raise InputError(msg)
    return names
