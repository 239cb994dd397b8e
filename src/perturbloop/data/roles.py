"""Which columns of `obs` hold what: target, control, guide, replicate, state and donor, by their names and their labels."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from perturbloop.data.genes import CONTROL_LABEL, is_ensembl
from perturbloop.data.guide_files import CELLXGENE
from perturbloop.data.hgnc import symbols
from perturbloop.data.perturbation_labels import is_blank, read_label

_NAMES: dict[str, tuple[str, ...]] = {
    "target": (
        "genetic_perturbation_id",
        "target_?gene.*",
        "(gene_?)?target(_?name)?",
        "(perturbed|knockout|ko|sg_?target|guide_?target)_?(gene)?",
        "perturbation(_?name|_1)?",
        "gene(_?symbol)?",
        "condition",
        "mixscape_class",
    ),
    "compound": ("drug", "compound", "treatment", "perturbation(_?name)?", "condition", "(sm|product)_name"),
    "guide": (".*(guide|grna|sgrna|protospacer|feature_call).*",),
    "replicate": (
        "rep(licate)?s?(_?id)?",
        "gem_?group",
        "batch(_?id)?",
        "lane",
        "plate",
        "(donor|sample)(_?id)?",
    ),
    "state": (
        ".*(state|condition|stim|activation).*",
        ".*(treatment|disease|status|time_?point).*",
        "group|time|hours",
    ),
    "donor": ("(donor|patient|individual|subject)([ _.-]?(id|name))?", "sample([ _.-]?(id|name))?"),
    "cell type": ("(cell|major|minor|predicted)?[ _.-]*(cell)?[ _.-]*(type|line|subset|label)s?",),
}
"""Names of the columns that usually hold what a role asks for, the likeliest first."""
_NOT_GUIDE = re.compile(r"umi|frac|count|num|n_|purity|conf|read|score", re.IGNORECASE)
_VEHICLE = re.compile(r"dmso.*|vehicle|untreated|pbs|water|(no|un)[-_ ]?(drug|treat\w*)|mock", re.IGNORECASE)
_RESTING = re.compile(
    r".*(control|ctrl|rest|unstim|untreat|normal|healthy|naive|baseline|mock|vehicle|dmso).*|nt|ns|0 ?h?(rs?|ours)?",
    re.IGNORECASE,
)
MOST_LABELS, LEAST_CELLS = 30, 20
"""Most labels of a column of states or replicates, and fewest cells of a state."""


@dataclass(frozen=True)
class Labelled:
    """One column of `obs`, and what its labels say."""

    column: str
    counts: dict[str, int]
    """Cells of each label, the most frequent first; blank ones are left out."""
    controls: tuple[str, ...] = ()
    """Labels of controls."""
    share: float = 0.0
    """Share of the other labels that are genes."""

    @property
    def control(self) -> tuple[str, ...]:
        """What is typed behind `--control`: the labels, or the one pattern that says them all."""
        starts = {re.sub(r"[-_.]?\d+$", "", label) for label in self.controls}
        if len(self.controls) > 3 and len(starts) == 1:
            return (f"{starts.pop()}*",)
        return self.controls[:3]


def targets_in(obs: pd.DataFrame) -> list[Labelled]:
    """Columns that name the gene of each cell, and a control; the best first: those that name most genes, then by name."""
    return sorted(
        (one for one in _labelled(obs, "target") if _names_targets(one)), key=lambda one: -round(one.share, 1)
    )


def compounds_in(obs: pd.DataFrame) -> list[Labelled]:
    """Columns that name the compound of each cell, and a vehicle."""
    found = []
    for one in _labelled(obs, "compound"):
        vehicle = tuple(label for label in one.counts if _VEHICLE.fullmatch(label))
        if vehicle and len(one.counts) > 3:
            found.append(Labelled(one.column, one.counts, vehicle[:1]))
    return found


def guides_in(obs: pd.DataFrame, target: Labelled) -> list[str]:
    """Columns that name the guide of each cell: more labels than targets, few without a letter."""
    return [
        one.column
        for one in _labelled(obs, "guide")
        if one.column not in (target.column, CELLXGENE)
        and not _NOT_GUIDE.search(one.column)
        and len(one.counts) >= len(target.counts)
    ]


def replicates_in(obs: pd.DataFrame, target: Labelled) -> list[str]:
    """Columns of two replicates or more, each with controls."""
    is_control_n = obs[target.column].astype(str).isin(target.controls)
    found = []
    for one in _labelled(obs, "replicate"):
        with_controls = obs.loc[is_control_n, one.column].astype(str).value_counts()
        if 2 <= len(one.counts) <= MOST_LABELS and (with_controls.reindex(list(one.counts)) >= 2).all():
            found.append(one.column)
    return found


def states_in(obs: pd.DataFrame) -> list[Labelled]:
    """Columns of two states or more, each of twenty cells or more; those that name a resting state first."""
    found = []
    for one in _labelled(obs, "state"):
        large = {label: n for label, n in one.counts.items() if n >= LEAST_CELLS}
        if 2 <= len(large) <= MOST_LABELS:
            resting = tuple(label for label in large if _RESTING.fullmatch(label))
            found.append(Labelled(one.column, large, resting))
    return sorted(found, key=lambda one: (not one.controls, len(one.counts)))


def start_and_goal(state: Labelled) -> tuple[str, str]:
    """Two states that may be asked for: the resting one, and the largest of the others."""
    start = next(iter(state.controls or state.counts))
    return start, next(label for label in state.counts if label != start)


def donors_in(obs: pd.DataFrame, state: Labelled) -> list[str]:
    """Columns of donors, the likeliest first."""
    found = [one for one in _labelled(obs, "donor") if one.column != state.column]
    return [one.column for one in found if 2 <= len(one.counts) <= 10 * MOST_LABELS]


def kinds_in(obs: pd.DataFrame) -> list[Labelled]:
    """Columns that tell several kinds of cells apart."""
    return [one for one in _labelled(obs, "cell type") if len(one.counts) > 1]


def _labelled(obs: pd.DataFrame, role: str) -> list[Labelled]:
    """Columns whose name fits a role, the likeliest first."""
    names = [str(name) for name in obs.columns]
    fits = (name for part in _NAMES[role] for name in names if re.fullmatch(part, name, re.IGNORECASE))
    return [_of(obs, name) for name in dict.fromkeys(fits)]


def _of(obs: pd.DataFrame, name: str) -> Labelled:
    counts = obs[name].astype(str).value_counts()
    told = {str(label): int(n) for label, n in counts.items() if n and not is_blank(str(label))}
    controls = tuple(label for label in told if CONTROL_LABEL.fullmatch(label) or _only_control(label))
    others = [label for label in told if label not in controls]
    return Labelled(name, told, controls, _share(others))


def _only_control(label: str) -> bool:
    return bool(re.fullmatch(r"(ctrl|control|nt)([+_|](ctrl|control|nt))+", label, re.IGNORECASE))


def _names_targets(one: Labelled) -> bool:
    if one.column == CELLXGENE:
        return True
    return bool(one.controls) and len(one.counts) > 2 and one.share >= 0.5


def _share(labels: Iterable[str]) -> float:
    """Share of labels that name a gene, or several."""
    some = list(labels)[:2000]
    meant = [read_label(re.sub(" (KO|NP)$", "", label), (), is_gene).targets for label in some]
    return sum(bool(one) and all(map(is_gene, one)) for one in meant) / max(len(some), 1)


def is_gene(label: str) -> bool:
    """Whether a text is a human symbol, of today or of before, or an Ensembl id.

    >>> is_gene("STAT1"), is_gene("ENSG00000115415"), is_gene("IFN-beta treated")
    (True, True, False)
    """
    return is_ensembl(label) or label.upper() in symbols().row_of
