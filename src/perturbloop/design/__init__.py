"""Which experiments next: RANKING rows in, PROPOSALS rows out.

An acquisition is one idea in one file and one line of `ACQUISITIONS`; `chance` always runs beside the others,
because a policy that cannot beat it has learnt nothing. Experiments that are planned but not measured (*pending*)
are an argument, never proposed twice. One gene is proposed once, in the kind that promises more.
"""

from perturbloop.design.base import Acquisition
from perturbloop.design.propose import ACQUISITIONS, propose

__all__ = ["ACQUISITIONS", "Acquisition", "propose"]
