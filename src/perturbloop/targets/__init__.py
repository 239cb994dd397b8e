"""What a clinician asks of a hit: which genes a drug could act on, which drugs do, and whether they do what is needed.

Tables in, tables out: the ranking of a round with its evidence (`candidates`), compounds and whether they agree with the needed
action (`druggable`), families and receptors with their ligands (`groups`), where differential expression and the in-silico edit
agree (`agreement`), pathways (`pathways`). `find` puts them together; `Filters` choose rows.
"""

from perturbloop.targets.filters import Filters
from perturbloop.targets.find import Found, find

__all__ = ["Filters", "Found", "find"]
