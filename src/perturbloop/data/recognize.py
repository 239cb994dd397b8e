"""What a file is, before any campaign: whose layout it has, where its counts and labels lie, and the line that reads it."""

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.data.containers import Contents, open_cells
from perturbloop.data.gene_mapping import label_columns, labels_in
from perturbloop.data.guide_files import CALLS, CELLXGENE
from perturbloop.data.places import counts_place
from perturbloop.data.roles import (
    Labelled,
    compounds_in,
    donors_in,
    guides_in,
    is_gene,
    kinds_in,
    replicates_in,
    start_and_goal,
    states_in,
    targets_in,
)
from perturbloop.data.screen_formats.files import read_file
from perturbloop.data.screen_formats.opening import open_screen
from perturbloop.data.screen_formats.questions import questions
from perturbloop.data.species import foreign_labels, main_species
from perturbloop.errors import InputError, some
from perturbloop.schema import ScreenConfig
from perturbloop.schema.words import CellModality

_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".rnk")
_STRATEGIES: dict[str, CellModality] = {
    "activation": "crispra",
    "crispra": "crispra",
    "interference": "crispri",
    "crispri": "crispri",
    "knockout": "crispr_ko",
    "cas9": "crispr_ko",
}
"""What a file calls what was done to the genes, and the modality it is."""
_SAID = ("genetic_perturbation_strategy", "perturbation_type", "perturbation_type_1", "modality")


@dataclass(frozen=True, repr=False)
class Recognized:
    """What a file is, and what to type."""

    what: str
    """Whose layout it has, in words."""
    n_cells: int = 0
    n_genes: int = 0
    facts: tuple[str, ...] = ()
    """Where counts, genes and labels are, and what to decide, in words."""
    commands: tuple[str, ...] = ()
    """Lines to type; none where the file cannot be read as it is."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        """The same in words."""
        return "\n".join([*self.sentences("It"), *self.commands])

    def sentences(self, name: str) -> list[str]:
        """Say it in words, one fact a sentence.

        Parameters
        ----------
        name
            What the file is called.
        """
        size = f": {self.n_cells:,} cells × {self.n_genes:,} genes" if self.n_cells and self.n_genes else ""
        facts = (fact.removesuffix(".") for fact in self.facts)
        return [f"{name} is {self.what}{size}.", *(f"{fact[:1].upper()}{fact[1:]}." for fact in facts)]


def recognize(path: Path) -> Recognized:
    """Say what a file is; nothing is written.

    Parameters
    ----------
    path
        Cells (h5ad, zarr, loom, 10x), guide calls of cellranger, or a table of a screen.

    Raises
    ------
    InputError
        If there is no such file, or it is of a kind that is not read: with the lines that convert it.
    """
    plain = path.name.removesuffix(".gz").lower()
    if path.is_file() and plain.endswith(_TABLES):
        return _table(path)
    with open_cells(path) as contents:
        return _cells(contents, path)


def _table(path: Path) -> Recognized:
    frame, _ = read_file(path)
    if set(CALLS) <= set(frame.columns):
        calls = frame["feature_call"].astype(str)
        facts = (
            f"{len(frame):,} cells with a guide, {int(calls.str.contains('|', regex=False).sum()):,} of them with several; guides are "
            f"for instance {some(dict.fromkeys(calls), limit=3)}",
            "it lies beside the counts of the same run: name their file or folder; `--control` is the name of a control guide without its number",
        )
        line = _record(
            "filtered_feature_bc_matrix.h5", guides=str(path), control="Non-Targeting", modality="crispr_ko"
        )
        return Recognized("guide calls of cellranger", len(frame), 0, facts, (line,))
    config = ScreenConfig(str(path), path.stem, "crispri", "goal")
    opened = open_screen(config)
    columns = ", ".join(f"{role} `{name}`" for role, name in (opened.columns or {}).items())
    asks = [f"`{option}` must be added: {why}" for option, why in questions(opened, config).items()]
    of_screen = (
        *opened.notes,
        f"{len(opened.frame):,} rows{f'; {columns}' if columns else ''}",
        "the file says neither what was done (crispr_ko, crispri, crispra) nor which state a high score stands for (goal, start)",
        *asks,
    )
    what = opened.format.name if opened.format else "one score a gene"
    line = _line("record", "study", screen=str(path), modality="crispri", higher_is="goal")
    return Recognized(f"a table of a screen ({what})", 0, len(opened.frame), of_screen, (line,))


def _cells(contents: Contents, path: Path) -> Recognized:
    obs = contents.obs
    place, trouble = None, ""
    try:
        place = counts_place(contents.places, None, path.name, rounds=False)
    except InputError as error:
        trouble = str(error)
    shape = contents.places[0].shape if contents.places else (len(obs), 0)
    facts = [*contents.notes, f"raw counts: {f'in {place.shown}' if place else trouble}"]
    genes, foreign = _genes(contents.places[0].var) if contents.places else ("", "")
    facts += [genes] if genes else []
    targets, compounds, states = targets_in(obs), compounds_in(obs), states_in(obs)
    what = _whose(obs, contents, path)
    commands: list[str] = []
    if foreign:
        facts.append(
            f"genes must be human: map those of {foreign} to human orthologs first, with a table of one-to-one orthologs"
        )
    elif targets and not (compounds and compounds[0].column == targets[0].column):
        said, line = _perturbed(obs, targets, path)
        facts, commands = [*facts, *said], [line]
    elif compounds:
        said, line = _treated(obs, compounds[0], path)
        facts, commands = [*facts, *said], [line]
    names = {one.column for one in (*targets, *compounds)}
    states = [one for one in states if one.column not in names]
    if states and not foreign and not commands:
        said, line = _states(obs, states, path)
        facts, commands = [*facts, *said], [line]
    if not commands and not foreign:
        facts.append(_nothing_found(obs))
    return Recognized(what, *shape, tuple(facts), tuple(commands))


def _whose(obs: pd.DataFrame, contents: Contents, path: Path) -> str:
    """Whose layout a file has, by its columns."""
    names = {str(name) for name in obs.columns}
    layouts = {
        "a CELLxGENE file with genetic perturbations": {CELLXGENE},
        "a CELLxGENE file": {"cell_type_ontology_term_id", "suspension_type"},
        "a Tahoe-100M file": {"drug", "drugname_drugconc"},
        "an Arc file (Virtual Cell)": {"target_gene", "gem_group"},
        "an Arc file (Virtual Cell Challenge)": {"target_gene", "guide_id"},
        "an scPerturb file": {"perturbation", "nperts"},
        "a pertpy file (mixscape)": {"mixscape_class"},
        "a pertpy file": {"gene_target", "guide_ID"},
        "a GEARS file": {"condition", "condition_name"},
    }
    found = next((what for what, wanted in layouts.items() if wanted <= names), None)
    if found is None and (path.is_dir() or path.suffix == ".h5") and not names:
        return "a cellranger matrix (10x)"
    plain = path.suffix in ("", ".h5ad", ".zarr")
    return found or ("an AnnData file" if plain else f"a {path.suffix[1:]} file")


def _genes(var: pd.DataFrame) -> tuple[str, str]:
    """Which columns name the genes, and the species where it is not human."""
    said, foreign = [], ""
    for name in label_columns(var):
        labels = labels_in(var, name, "")
        some_of = list(filter(None, labels))[:: max(1, len(labels) // 1000)]
        share = sum(map(is_gene, some_of)) / max(len(some_of), 1)
        if len(foreign_labels(some_of)) > len(some_of) / 2:
            foreign = main_species(some_of)
        if share >= 0.1:
            said.append(f"`{name}` ({some_of[0]}, …; {share:.0%} known)")
    return f"genes: {', '.join(said)}" if said else "no column of `var` names human genes", foreign


def _perturbed(obs: pd.DataFrame, targets: list[Labelled], path: Path) -> tuple[list[str], str]:
    target = targets[0]
    guides, replicates = guides_in(obs, target), replicates_in(obs, target)
    modality, told = _modality(obs)
    control = ("control",) if target.column == CELLXGENE else target.control
    facts = [
        f"target: `{target.column}`, {len(target.counts) - len(target.controls):,} labels, for instance "
        f"{some([one for one in target.counts if one not in target.controls], limit=3)}{_also(targets)}",
        f"control: {some(control)}, {sum(target.counts[one] for one in target.controls):,} cells",
        *([f"guide: `{guides[0]}`"] if guides else []),
        *([f"replicate: {', '.join(f'`{name}`' for name in replicates)}"] if replicates else []),
    ]
    if not told:
        facts.append(
            "the file does not say what was done: crispr_ko is a guess; crispri or crispra where genes were silenced or activated"
        )
    if "nperts" in obs.columns and pd.to_numeric(obs["nperts"], errors="coerce").gt(1).any():
        facts.append(
            "some cells were hit at several genes: they are left out, `--several combine` keeps them"
        )
    options = {"target_column": target.column, "control": control, "modality": modality}
    options |= {"guide_column": guides[0]} if guides else {}
    options |= {"replicate_column": replicates[0]} if replicates else {}
    return facts, _record(str(path), **options)


def _treated(obs: pd.DataFrame, compound: Labelled, path: Path) -> tuple[list[str], str]:
    facts = [
        f"compound: `{compound.column}`, {len(compound.counts) - 1:,} labels, for instance "
        f"{some([one for one in compound.counts if one not in compound.controls], limit=3)}",
        f"control: {some(compound.controls)}, {compound.counts[compound.controls[0]]:,} cells",
        "drugs need a table of what each compound hits (`compound`, `gene`, `action`), named with `--targets`",
    ]
    replicates = replicates_in(obs, compound)
    options = {"target_column": compound.column, "control": compound.controls, "modality": "drug"}
    options |= {"targets": "compounds.tsv"} | ({"replicate_column": replicates[0]} if replicates else {})
    return facts, _record(str(path), **options)


def _states(obs: pd.DataFrame, states: list[Labelled], path: Path) -> tuple[list[str], str]:
    state = states[0]
    start, goal = start_and_goal(state)
    donors, kinds = donors_in(obs, state), kinds_in(obs)
    told = ", ".join(f"{label} ({n:,})" for label, n in list(state.counts.items())[:6])
    facts = [
        f"state: `{state.column}`: {told}{_also(states)}; swap `--start` and `--goal` to ask the other way",
        *([f"donor: {', '.join(f'`{name}`' for name in donors)}"] if donors else []),
        *(
            [
                f"kinds of cells: `{kinds[0].column}`, {len(kinds[0].counts)}; one kind answers best: `--subset \"{kinds[0].column} == '{next(iter(kinds[0].counts))}'\"`"
            ]
            if kinds
            else []
        ),
        "`--model` is the folder of a foundation model",
    ]
    options = {"cells": str(path), "state_column": state.column, "start": start, "goal": goal}
    options |= ({"donor_column": donors[0]} if donors else {}) | {"model": "MODEL"}
    return facts, _line("init", "study", **options)


def _modality(obs: pd.DataFrame) -> tuple[CellModality, bool]:
    """Modality by what the file says was done, and whether it says so."""
    for name in _SAID:
        if name in obs.columns:
            text = " ".join(map(str, obs[name].unique())).lower()
            for word, modality in _STRATEGIES.items():
                if word in text:
                    return modality, True
    return "crispr_ko", False


def _also(others: list[Labelled]) -> str:
    return f" (also {', '.join(f'`{one.column}`' for one in others[1:4])})" if len(others) > 1 else ""


def _nothing_found(obs: pd.DataFrame) -> str:
    shown = [f"`{name}` ({obs[name].nunique():,})" for name in list(obs.columns)[:12]]
    if not shown:
        return (
            "nothing is said of the cells: write their state into a column of `obs`, or give guide calls with "
            "`perturbloop record study --perturbed … --guides protospacer_calls_per_cell.csv`"
        )
    return (
        f"no column of `obs` looks like a target with a control, or like two states; its columns, with the number of labels: {', '.join(shown)}. "
        "Name them: `--state-column`, `--start`, `--goal` of `init`, or `--target-column`, `--control` of `record`"
    )


def _record(path: str, **options: Any) -> str:
    return _line("record", "study", perturbed=path, **options)


def _line(command: str, folder: str, **options: Any) -> str:
    return " ".join(["perturbloop", command, folder, *_typed(options)])


def _typed(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            yield f"--{name.replace('_', '-')} {shlex.quote(one)}"
