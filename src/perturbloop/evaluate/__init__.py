"""Tables in, scores out; nothing here trains.

Input: EFFECTS (what was measured), PREDICTIONS (what each method said) and RANKING (what is called). Output:
METRICS and STRATA. A *hit* is a target whose measured effect is beyond the thresholds of `EvaluateConfig`; it counts as a hit
of a ranking only where it moved cells *toward the goal*. Only held-out targets are judged (`fold` >= 0), and a
method that used effects is judged by the rows that were made without the target's fold: anything else raises
`LeakageError`. Genes that a method could not score are never dropped in silence: every metric is given on the
genes it `scored` and on `all` measured genes, the unscored ranked last.

One donor's *screen* (table SCREEN) gives the ceiling of another's (`evaluate.screens`).

Sign: scores and benefits are positive toward the goal, by the action of their kind (delete or overexpress).
"""

from perturbloop.evaluate.baselines import baselines
from perturbloop.evaluate.calls import RULES, call
from perturbloop.evaluate.compare import scoreboard
from perturbloop.evaluate.controls import CONTROLS, in_ranking, recognize
from perturbloop.evaluate.de import signed_de
from perturbloop.evaluate.de_isp import de_isp
from perturbloop.evaluate.deseq import differential, require_test
from perturbloop.evaluate.disjoint import pathway_disjoint
from perturbloop.evaluate.gains import kept_by_control, paired_gain, rank_correlation
from perturbloop.evaluate.gate import gate, positives
from perturbloop.evaluate.judgeable import Judgeable, judgeable
from perturbloop.evaluate.metrics import METRICS
from perturbloop.evaluate.pathways import pathway_scales, static_pathway
from perturbloop.evaluate.power import power
from perturbloop.evaluate.screens import ceiling
from perturbloop.evaluate.strata import strata

__all__ = [
    "CONTROLS",
    "Judgeable",
    "METRICS",
    "RULES",
    "baselines",
    "call",
    "require_test",
    "de_isp",
    "differential",
    "ceiling",
    "gate",
    "in_ranking",
    "judgeable",
    "kept_by_control",
    "paired_gain",
    "positives",
    "pathway_disjoint",
    "pathway_scales",
    "power",
    "rank_correlation",
    "recognize",
    "scoreboard",
    "signed_de",
    "static_pathway",
    "strata",
]
