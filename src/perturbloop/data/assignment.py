"""Which gene each cell was hit at: labels, guide calls and mixscape classes of a file brought to one target a cell."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbloop.data.cells import Cells
from perturbloop.data.genes import GeneNames
from perturbloop.data.guide_files import CELLXGENE, CELLXGENE_JOIN, CELLXGENE_UNS, read_calls, read_genetic
from perturbloop.data.perturbation_labels import (
    CONTROL,
    NOTHING,
    Meaning,
    is_blank,
    is_named,
    read_guides,
    read_label,
)
from perturbloop.data.states import column
from perturbloop.errors import InputError, some
from perturbloop.schema import PerturbedConfig

MIXSCAPE = "mixscape_class"
_MIXSCAPE = re.compile(r"(.+) (KO|NP)$")
JOINED = "+"
"""What joins the genes of a cell that was hit at several."""
Guides = Mapping[str, tuple[str, tuple[str, ...]]]
"""Role and genes of each guide."""


@dataclass(frozen=True)
class Assignment:
    """Target and guide of each cell of a file, and why some cells have none."""

    target_n: np.ndarray
    """Target of each cell, dtype object: a label, the control label, or '' where there is none."""
    guide_n: np.ndarray | None
    """Guide of each cell, dtype object; `None` where the file names none."""
    labels: tuple[str, ...]
    """Labels as they stand in the file, without blank ones."""
    control: str
    """Label of the control cells."""
    by_role: bool
    """Whether the file itself says which guides are controls."""
    left_out: dict[str, np.ndarray]
    """Which cells are left out, by reason."""
    lines: tuple[str, ...]
    """How labels were read, in words."""


def assigned(cells: Cells, config: PerturbedConfig, names: GeneNames) -> Assignment:
    """Read the target of each cell.

    Parameters
    ----------
    cells
        Perturbed and control cells.
    config
        Names of the columns, the control labels, and what becomes of cells with guides of several genes.
    names
        Which symbol means which gene.
    """
    guide_n = _guides(cells, config)
    label_n, meaning_of = _labels(cells, config, names, guide_n)
    control = config.controls[0] if len(config.controls) == 1 and "*" not in config.controls[0] else "control"
    meanings = [meaning_of[label] for label in label_n]
    target_n = np.array([control if one.is_control else JOINED.join(one.targets) for one in meanings], object)
    several_n = np.array([len(one.targets) > 1 for one in meanings], dtype=bool)
    several_n |= _counted_several(cells, config, label_n, meanings)
    if config.guides is not None and guide_n is not None and config.target_column is not None:
        hit = {one: read_guides(one, config.controls, _known(cells, names)).targets for one in set(guide_n)}
        several_n |= np.array([len(hit[one]) > 1 for one in guide_n], dtype=bool)
    left_out = {"no target": target_n == ""}
    if config.several == "drop":
        left_out["guides of several genes"] = several_n
    if guide_n is not None:
        left_out["no guide"] = guide_n == ""
    more, said = _mixscape(cells, config, target_n, control)
    labels = tuple(sorted(label for label in meaning_of if not is_blank(label)))
    by_role = config.target_column == CELLXGENE
    return Assignment(target_n, guide_n, labels, control, by_role, left_out | more, said)


def _guides(cells: Cells, config: PerturbedConfig) -> np.ndarray | None:
    if config.guides is not None:
        return read_calls(config.guides, cells.obs.index, cells.source)
    name = config.guide_column or (CELLXGENE if config.target_column == CELLXGENE else None)
    if name is None:
        return None
    written = column(cells, name, "--guide-column", blank=True).astype(str)
    return np.array(["" if is_blank(one) else one for one in written], dtype=object)


def _labels(
    cells: Cells, config: PerturbedConfig, names: GeneNames, guide_n: np.ndarray | None
) -> tuple[np.ndarray, dict[str, Meaning]]:
    """Label of each cell, and what each label means."""
    controls, is_gene = config.controls, _known(cells, names)
    if config.target_column is None:
        label_n = np.array([] if guide_n is None else guide_n, dtype=object)
        return label_n, {one: read_guides(one, controls, is_gene) for one in set(label_n)}
    label_n = column(cells, config.target_column, "--target-column", blank=True).astype(str)
    labels = set(label_n)
    if config.modality == "drug":
        return label_n, {one: _of_compound(one, controls) for one in labels}
    if config.target_column == CELLXGENE:
        entries = read_genetic(config.path, cells.source)
        _require_entries(labels, entries, cells.source)
        return label_n, {one: _of_ids(one, entries, controls, is_gene) for one in labels}
    return label_n, {one: read_label(_MIXSCAPE.sub(r"\1", one), controls, is_gene) for one in labels}


def _known(cells: Cells, names: GeneNames) -> Callable[[str], bool]:
    own = {*cells.gene_names, *cells.gene_ids}
    return lambda label: label in own or bool(names.resolve([label])[0])


def _of_compound(label: str, controls: tuple[str, ...]) -> Meaning:
    """A compound is what it is called, whatever stands in its name."""
    return CONTROL if is_named(label, controls) else Meaning(() if is_blank(label) else (label,))


def _of_ids(
    label: str, entries: Guides, controls: tuple[str, ...], is_gene: Callable[[str], bool]
) -> Meaning:
    """Genes of the guides whose ids CELLxGENE joins; controls by their role."""
    ids = [] if is_blank(label) else label.split(CELLXGENE_JOIN)
    if not ids:
        return NOTHING
    hit: set[str] = set()
    for one in ids:
        role, genes = entries[one]
        if role != "control" and not is_named(one, controls):
            hit |= set(genes or read_guides(one, (), is_gene).targets)
    return Meaning(tuple(sorted(hit))) if hit else CONTROL


def _require_entries(labels: set[str], entries: Guides, source: str) -> None:
    ids = {one for label in labels if not is_blank(label) for one in label.split(CELLXGENE_JOIN)}
    if missing := sorted(ids - set(entries)):
        msg = (
            f"Every guide of `obs['{CELLXGENE}']` of {source} must be described in `uns['{CELLXGENE_UNS}']`, several of a cell joined by "
            f"'{CELLXGENE_JOIN}'; {len(missing):,} of {len(ids):,} are not: {some(missing)}. Take the file as CELLxGENE gives it."
        )
        raise InputError(msg)


def _counted_several(
    cells: Cells, config: PerturbedConfig, label_n: np.ndarray, meanings: list[Meaning]
) -> np.ndarray:
    """Cells that were hit at several genes by scPerturb's `nperts`, though their label names one."""
    if "nperts" not in cells.obs.columns or config.modality == "drug":
        return np.zeros(cells.n_cells, dtype=bool)
    counted_n = pd.to_numeric(cells.obs["nperts"], errors="coerce").to_numpy(dtype=float)
    plain_n = [one.targets == (label,) for one, label in zip(meanings, label_n, strict=True)]
    return np.asarray((counted_n > 1) & np.array(plain_n, dtype=bool))


def _mixscape(
    cells: Cells, config: PerturbedConfig, target_n: np.ndarray, control: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Cells that mixscape holds to be not perturbed: left out where that is asked for, else only told."""
    if MIXSCAPE not in cells.obs.columns:
        if config.mixscape == "all":
            return {}, ()
        msg = (
            f"`--mixscape ko` needs the column '{MIXSCAPE}' of `obs`; {cells.source} has {some(cells.obs.columns, limit=20)}. "
            "Leave `--mixscape` out."
        )
        raise InputError(msg)
    class_n = cells.obs[MIXSCAPE].astype(str)
    escaped_n = class_n.str.endswith(" NP").to_numpy(dtype=bool)
    if config.mixscape == "ko" or config.target_column == MIXSCAPE:
        said = "only cells that mixscape calls KO are used: it chose them by their effect, so effects are larger than all cells have"
        return {"not perturbed by mixscape (NP)": escaped_n}, (said,)
    hit_n = (target_n != control) & (target_n != "")
    most = pd.Series(target_n[hit_n & escaped_n]).value_counts().head(3)
    said = (
        f"mixscape calls {int((hit_n & escaped_n).sum()):,} of {int(hit_n.sum()):,} perturbed cells not perturbed (NP), most of "
        f"{some(f'{name}: {n:,}' for name, n in most.items())}; they are kept, `--mixscape ko` leaves them out"
    )
    return {}, (said,) if escaped_n.any() else ()
