"""Published files of compounds and targets, each told by its columns: DGIdb, ChEMBL and Open Targets; and a user's own table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbloop.data.drugs.potency import potencies
from perturbloop.data.drugs.words import APPROVED, kind_of_phrases, phrase, stage_of
from perturbloop.schema import INTERACTIONS

_TRIALS = ("TdgClinicalTrial", "ClearityFoundationClinicalTrial", "MyCancerGenomeClinicalTrial")
_APPROVED = ("FDA", "TEND")
"""Sources of DGIdb that list approved drugs: labels of the FDA, and targets of drugs that it approved."""


@dataclass(frozen=True)
class Format:
    """One way in which compounds and targets are published."""

    name: str
    """Who publishes it."""
    columns: frozenset[str]
    """Columns that tell it, lower case."""
    read: Callable[[pd.DataFrame, str], pd.DataFrame]
    """Text table with columns in lower case and its name → columns of `INTERACTIONS`."""


def format_of(columns: Sequence[str]) -> Format | None:
    """The format of a table by its columns; `None` where it is none that is published."""
    lower = {str(column).strip().lower() for column in columns}
    return next((one for one in FORMATS if one.columns <= lower), None)


def _dgidb(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Interactions of DGIdb: releases of `interaction_claim_source`, and those of `interaction_source_db_name`."""
    source = _column(table, "interaction_claim_source", "interaction_source_db_name")
    mechanism = _each(_column(table, "interaction_types", "interaction_type"), phrase)
    stage = pd.Series("", index=table.index).mask(source.isin(_TRIALS), "clinical trial")
    stage = stage.mask(source.isin(_APPROVED), APPROVED)
    stage = stage.mask(_column(table, "approved").str.lower().eq("true"), APPROVED)
    named = [_column(table, one) for one in ("drug_name", "drug_claim_primary_name", "drug_claim_name")]
    return _made(
        compound=_first(*named),
        compound_id=_column(table, "drug_concept_id").str.replace("chembl:", "", regex=False),
        synonyms=_joined(named),
        gene=_each(_column(table, "gene_name"), _none),
        mechanism=mechanism,
        stage=stage,
        source="DGIdb " + source,
    )


def _chembl(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Mechanisms of ChEMBL: the export of the web interface, or the table `drug_mechanism` with ChEMBL ids."""
    gene = _column(table, "gene", "gene_symbol", "gene symbol", "gene symbols", "target genes")
    organism = _column(table, "target organism", "target_organism")
    compound_id = _column(
        table, "parent molecule chembl id", "molecule_chembl_id", "parent_molecule_chembl_id"
    )
    compound = _column(table, "parent molecule name", "molecule_pref_name", "pref_name", "molecule name")
    made = _made(
        compound=_first(compound, compound_id),
        compound_id=compound_id,
        synonyms=_column(table, "synonyms"),
        gene=_first(gene, _column(table, "target chembl id", "target_chembl_id")),
        mechanism=_each(_column(table, "action type", "action_type"), phrase),
        stage=_each(_column(table, "max phase", "max_phase"), stage_of),
        source=pd.Series("ChEMBL", index=table.index),
    )
    return made[organism.isin(["", "Homo sapiens"])]


def _own(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A user's table: compound, gene, action, and a potency in a stated unit, a stage and an identifier if there are any."""
    return _made(
        compound=_column(table, "compound", "name", "drug"),
        compound_id=_column(table, "compound_id", "chembl_id"),
        synonyms=_column(table, "synonyms"),
        gene=_column(table, "gene", "target"),
        mechanism=_each(_column(table, "action", "kind", "sign"), phrase),
        stage=_each(_column(table, "stage", "phase", "max_phase"), stage_of),
        source=pd.Series(name, index=table.index),
        potency=potencies(table, name),
    )


def _made(**columns: "pd.Series") -> pd.DataFrame:
    frame = pd.DataFrame({"potency": np.nan} | columns)
    return INTERACTIONS.checked(frame.assign(kind=_each(frame["mechanism"], kind_of_phrases)))


def _each(values: pd.Series, function: Callable[[str], str]) -> pd.Series:
    """Apply a function to each value once, however often it occurs."""
    return values.map({value: function(value) for value in values.unique()})


def _column(table: pd.DataFrame, *names: str) -> pd.Series:
    """The first column of these names that is there, its marks for nothing made empty."""
    found = next((name for name in names if name in table), None)
    if found is None:
        return pd.Series("", index=table.index)
    return table[found].fillna("").astype(str).str.strip()


def _first(*columns: pd.Series) -> pd.Series:
    """The first that is not empty, row by row."""
    found = _each(columns[0], _none)
    for column in columns[1:]:
        found = found.where(found.ne(""), _each(column, _none))
    return found


def _joined(columns: Sequence[pd.Series]) -> pd.Series:
    return pd.Series(
        ["|".join(dict.fromkeys(name for name in row if _none(name))) for row in zip(*columns, strict=True)],
        index=columns[0].index,
    )


def _none(text: str) -> str:
    return "" if text.upper() in ("NULL", "N/A", "NAN", "NONE") else text


FORMATS = (
    Format(
        "DGIdb",
        frozenset({"gene_name", "interaction_claim_source", "interaction_types", "drug_name"}),
        _dgidb,
    ),
    Format(
        "DGIdb",
        frozenset({"gene_name", "interaction_source_db_name", "interaction_type", "drug_name"}),
        _dgidb,
    ),
    Format("ChEMBL", frozenset({"target chembl id", "action type", "mechanism of action"}), _chembl),
    Format("ChEMBL", frozenset({"target_chembl_id", "action_type", "molecule_chembl_id"}), _chembl),
    Format("own", frozenset({"compound", "gene", "action"}), _own),
)
"""Formats of text tables, the first that fits is meant; a user's own table may name its columns otherwise (`data.compounds`)."""
own = FORMATS[-1].read
