"""Tables in, matplotlib figures out; nothing here computes a number that a table does not hold.

Input: METRICS, RANKING, POSTERIOR, EFFECTS or CURVE_MEANS rows. Output: a `matplotlib.figure.Figure` that belongs to nobody: no pyplot, no
global state, so figures can be drawn in any thread and are freed when dropped. Right, or up, is toward the goal.
Labels come from the user's files and are drawn as they are, never read as formulas.
"""

from perturbloop.plots.batch import batch_forest
from perturbloop.plots.curves import learning_curves
from perturbloop.plots.effects import measured_effects
from perturbloop.plots.expression import shift_against_expression
from perturbloop.plots.ranking import shift_against_null
from perturbloop.plots.replay import replay_curves
from perturbloop.plots.reversal import arms_on_axis, dose_response
from perturbloop.plots.rounds import hits_by_genes
from perturbloop.plots.scoreboard import scoreboard
from perturbloop.plots.state_axis import state_axis
from perturbloop.plots.theme import png, svg
from perturbloop.plots.volcano import volcano

__all__ = [
    "arms_on_axis",
    "batch_forest",
    "dose_response",
    "hits_by_genes",
    "learning_curves",
    "measured_effects",
    "png",
    "replay_curves",
    "scoreboard",
    "shift_against_expression",
    "shift_against_null",
    "state_axis",
    "svg",
    "volcano",
]
