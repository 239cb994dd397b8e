"""All policies, by name: the list that feeds the command, the docs and the contract tests."""

from perturbloop.design.base import Acquisition
from perturbloop.design.chance import Chance
from perturbloop.design.coverage import Coverage
from perturbloop.design.greedy import Greedy
from perturbloop.design.hit import ProbabilityOfHit
from perturbloop.design.thompson import Thompson
from perturbloop.design.uncertain import Uncertainty
from perturbloop.design.upper import UpperConfidence

ACQUISITIONS: tuple[Acquisition, ...] = (
    Greedy(),
    ProbabilityOfHit(),
    UpperConfidence(),
    Thompson(),
    Coverage(),
    Uncertainty(),
    Chance(),
)
