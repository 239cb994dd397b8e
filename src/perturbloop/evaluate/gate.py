"""The control gate: does the open loop do what it must do, before anybody reads what it says of the other genes?

Three checks, each with its rule and its n: the state head tells held-out cells apart; genes that are known to drive the
states stand where they must (positive controls); genes that can do nothing are not called (negative controls). A
failing gate hides no number; its sentence stands first in report and terminal.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from scipy import stats

from perturbloop.data.cells import Cells
from perturbloop.data.genes import GeneNames
from perturbloop.errors import GeneIdError, closest, some
from perturbloop.evaluate.controls import Recognized
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import ACTION, LOW_AUROC, EvaluateConfig, Kind, Verdict

ALPHA = 0.05
"""Largest p of a passing test of positive controls, and smallest of a passing test of negative ones."""
LEAST_POSITIVES = 3
"""Fewest scored positive controls of an action; a knocked-out gene is judged alone, by its place among the best 5 %."""
LEAST_NEGATIVES = 5
"""Fewest scored negative controls of a kind."""

OLFACTORY = re.compile(r"OR\d{1,2}[A-Z]{1,2}\d+[A-Z]*")
"""Olfactory receptors (HGNC gene group 141): silent outside the nose."""
_KNOCKED_OUT = re.compile(
    r"(?:(?:ko|knockout)[ _.-]+)(?P<after>[a-z0-9-]+)|(?P<before>[a-z0-9-]+?)(?:[ _.-]*(?:ko|knock-?out)|[ _]?-/-)",
    re.IGNORECASE,
)
_OPPOSITE = {"inhibit": "activate", "activate": "inhibit"}


@dataclass(frozen=True)
class Positive:
    """A gene that must move cells toward the goal by this action."""

    gene_name: str
    action: str
    """inhibit or activate; empty where nothing says which."""
    why: str
    """named, knocked out, or the stimulus that it carries."""


def knocked_out(state: str, gene_names: Iterable[str]) -> str | None:
    """Gene that the name of a state says is knocked out; `None` where it says no such thing.

    >>> knocked_out("SMAD4_KO", ["SMAD4"]), knocked_out("knockout JAK2", ["JAK2"]), knocked_out("control", ["SMAD4"])
    ('SMAD4', 'JAK2', None)
    """
    match = _KNOCKED_OUT.fullmatch(state.strip())
    if match is None:
        return None
    name = (match["after"] or match["before"]).upper()
    return name if name in {str(gene).upper() for gene in gene_names} else None


def positives(
    named: Iterable[str],
    recognized: tuple[Recognized, ...],
    gene_names: Shaped[np.ndarray, " g"],
    *,
    start: str,
    goal: str,
) -> tuple[Positive, ...]:
    """Positive controls of a campaign: those that are named, else those that the states themselves name.

    Parameters
    ----------
    named
        Symbols, each alone or with its action (`CD3E:inhibit`). A symbol alone is taken to carry the recognized stimulus.
    recognized
        Result of `recognize`; its first stimulus gives its pathway.
    gene_names
        Symbols of the cells' genes.
    start, goal
        Names of the states: a knocked-out gene in the name is its own positive control.

    Returns
    -------
    Genes with their action. The pathway of a stimulus that raises the start is to be inhibited, of one that raises the goal to
    be activated. A gene knocked out in the start is to be activated, one knocked out in the goal to be inhibited.
    """
    by_stimulus = ""
    if recognized:
        by_stimulus = "inhibit" if recognized[0].raised_in == "start" else "activate"
    found = [entry.partition(":") for entry in named]
    if found:
        return tuple(Positive(name, action or by_stimulus, "named") for name, _, action in found)
    out = []
    for state, action in ((start, "activate"), (goal, "inhibit")):
        gene = knocked_out(state, gene_names)
        out += [Positive(gene, action, "knocked out")] if gene else []
    if recognized:
        stimulus = recognized[0].control
        out += [Positive(name, by_stimulus, stimulus.title) for name in stimulus.pathway]
    return tuple(out)


def gate(
    ranking: pd.DataFrame,
    *,
    heldout_auroc: float,
    positive: Iterable[Positive],
    named_negative: Iterable[str] = (),
    fdr: float = 0.05,
) -> tuple[Verdict, ...]:
    """Judge the open loop by its controls.

    Parameters
    ----------
    ranking
        RANKING rows of all kinds; read are the open loop's `logit_shift` and the `padj` of its matched null.
    heldout_auroc
        AUROC of the frozen encoder's state head on held-out cells, of held-out donors where there are donors.
    positive
        Result of `positives`.
    named_negative
        Symbols of negative controls beside those that are found: genes that no start cell expresses, olfactory receptors.
    fdr
        Rate that the calls of the matched null promise.

    Returns
    -------
    One verdict for the head, one per action for the positive controls, one per kind for the negative controls.

    Notes
    -----
    Positive controls pass where they stand better than all other scored genes of their kind (one-sided Mann-Whitney p
    below 0.05, by logit shift). If the campaign makes no edit of their action, the opposite edit is
    read, where they must stand worse. Negative controls fail where more of them are beyond their matched null than the
    rate allows (one-sided binomial p below 0.05). Controls are taken for independent, which genes of one pathway are not: a
    pass is necessary, not sufficient. A small p of few genes says little of how good the ranking is: read the AUROC beside it.
    """
    scored = ranking[ranking["logit_shift"].notna() & ranking["n_cells"].gt(0)]
    verdicts = [_head(heldout_auroc), *_positive(scored, tuple(positive))]
    chosen = {*named_negative}
    for kind, rows in scored.groupby("kind", sort=False):
        verdicts.append(_negative(str(kind), rows, chosen, fdr))
    return tuple(verdicts)


def _head(heldout_auroc: float) -> Verdict:
    if np.isnan(heldout_auroc):
        return Verdict("state head", None, "State head: cannot be judged, no cell was held out.")
    passed = heldout_auroc >= LOW_AUROC
    sentence = f"State head: AUROC {heldout_auroc:.2f} on held-out cells, at least {LOW_AUROC} is needed: {_word(passed)}."
    return Verdict("state head", bool(passed), sentence)


def _positive(scored: pd.DataFrame, positive: tuple[Positive, ...]) -> list[Verdict]:
    if not positive:
        todo = "Name some with `init --positive-controls GENE,GENE`."
        said = (
            f"Positive controls: cannot be judged, none is named and no known stimulus was recognized. {todo}"
        )
        return [Verdict("positive controls", None, said)]
    unsure = [entry.gene_name for entry in positive if not entry.action]
    verdicts = []
    if unsure:
        said = (
            f"Positive controls {some(unsure)}: cannot be judged, nothing says whether they are to be inhibited or "
            f"activated. Write `{unsure[0]}:inhibit` or `{unsure[0]}:activate`."
        )
        verdicts.append(Verdict("positive controls", None, said))
    groups = dict.fromkeys((entry.action, entry.why == "knocked out") for entry in positive if entry.action)
    for action, alone in groups:
        members = [
            entry for entry in positive if (entry.action, entry.why == "knocked out") == (action, alone)
        ]
        verdicts.append(_places(scored, members, action, least=1 if alone else LEAST_POSITIVES))
    return verdicts


def _places(scored: pd.DataFrame, members: list[Positive], action: str, *, least: int) -> Verdict:
    """Test the places of the positive controls of one action."""
    kind, better = _kind(scored, action)
    check = f"positive controls, {kind or action}"
    rows = scored[scored["kind"] == kind]
    names = list(dict.fromkeys(entry.gene_name for entry in members))
    is_control = rows["gene_name"].isin(names).to_numpy(bool)
    n, n_others = int(is_control.sum()), int((~is_control).sum())
    head = f"Positive controls ({members[0].why}; {', '.join(names)}; to {action})"
    if n < least or not n_others:
        said = (
            f"{head}: cannot be judged, {n} of {len(names)} could be edited and at least {least} are needed."
        )
        return Verdict(check, None, said)
    shift_g = rows["logit_shift"].to_numpy(float)
    pvalue = _pvalue(shift_g[is_control], shift_g[~is_control], greater=better)
    passed = pvalue < ALPHA
    said = (
        f"{head}: {n} of {len(names)} scored, by `{kind}` AUROC {auroc(is_control, shift_g):.2f} against {n_others:,} other genes "
        f"({'above' if better else 'below'} 0.5 is right), one-sided Mann-Whitney p = {pvalue:.2g}, below {ALPHA} is needed: "
        f"{_word(passed)}."
    )
    return Verdict(check, passed, said)


def _kind(scored: pd.DataFrame, action: str) -> tuple[str, bool]:
    """Kind of edit that judges an action, and whether its positive controls must stand better or worse."""
    made = [str(kind) for kind in dict.fromkeys(scored["kind"])]
    for wanted, better in ((action, True), (_OPPOSITE[action], False)):
        fitting = [kind for kind in made if ACTION[cast("Kind", kind)] == wanted]
        if fitting:
            return fitting[0], better
    return "", True


def _pvalue(control_k: np.ndarray, other_m: np.ndarray, *, greater: bool) -> float:
    """One-sided Mann-Whitney p; of a single control the exact share of genes that stand as well."""
    if control_k.size > 1:
        side: Literal["greater", "less"] = "greater" if greater else "less"
        return float(stats.mannwhitneyu(control_k, other_m, alternative=side, method="asymptotic").pvalue)
    as_well = (other_m >= control_k[0]) if greater else (other_m <= control_k[0])
    return float((as_well.sum() + 1) / (other_m.size + 1))


def _negative(kind: str, rows: pd.DataFrame, named: set[str], fdr: float) -> Verdict:
    name = rows["gene_name"].astype(str)
    is_control = name.isin(named) | name.str.fullmatch(OLFACTORY.pattern) | rows["detection"].eq(0)
    controls = rows[is_control & rows["padj"].notna()]
    n = len(controls)
    check, head = f"negative controls, {kind}", f"Negative controls (`{kind}`)"
    if n < LEAST_NEGATIVES:
        silent = ", or edit silent genes with `--not-expressed insert`"
        said = (
            f"{head}: cannot be judged, {n} could be edited and at least {LEAST_NEGATIVES} are needed. Name genes that do "
            f"nothing with `init --negative-controls`{silent if ACTION[cast('Kind', kind)] == 'activate' else ''}."
        )
        return Verdict(check, None, said)
    called = controls.loc[controls["padj"] < fdr, "gene_name"]
    pvalue = stats.binomtest(len(called), n, fdr, alternative="greater").pvalue
    passed = bool(pvalue >= ALPHA)
    which = f" ({some(called)})" if len(called) else ""
    said = (
        f"{head}: {len(called)} of {n}{which} are beyond their matched null, where a rate of {fdr:g} is allowed "
        f"(one-sided binomial p = {pvalue:.2g}, below {ALPHA} fails): {_word(passed)}."
    )
    return Verdict(check, passed, said)


def _word(passed: bool) -> str:
    return "passed" if passed else "FAILED"


def require_known_controls(config: EvaluateConfig, cells: Cells, names: GeneNames) -> None:
    """Refuse controls that nobody knows: one that is misspelt would only be missed once all edits were made.

    Parameters
    ----------
    config
        Names of the controls.
    cells
        Start and goal cells.
    names
        Symbols that the campaign knows.

    Raises
    ------
    GeneIdError
        If a symbol is that of no gene.
    """
    known = {str(name) for name in (*cells.gene_names, *names.gene_names)}
    for option in ("positive_controls", "negative_controls"):
        named = [entry.partition(":")[0] for entry in getattr(config, option)]
        unknown = [name for name in named if name not in known]
        if unknown:
            msg = (
                f"`{option}` must be symbols of genes; neither {cells.source} nor the vocabulary knows {some(unknown)}. Correct "
                f"them; the closest to the first is {closest(unknown[0].upper(), sorted(known), limit=1)}."
            )
            raise GeneIdError(msg)
