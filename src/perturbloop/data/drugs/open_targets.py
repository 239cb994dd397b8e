"""Drugs of Open Targets: Parquet of mechanisms of action, and of molecules, of older and newer releases."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.drugs.words import APPROVED, kind_of_phrases, phrase, stage_of
from perturbloop.errors import InputError, some
from perturbloop.schema import INTERACTIONS

MOST_FILES = 2000
_MECHANISM = ["actionType", "chemblIds", "targets"]
_STAGES = ("maximumClinicalStage", "maximumClinicalTrialPhase", "isApproved")
_MOLECULE = ["id", "name", "synonyms", *_STAGES]


def read_open_targets(path: Path) -> pd.DataFrame:
    """Read compounds and targets; genes are Ensembl ids.

    Parameters
    ----------
    path
        A Parquet file or folder of mechanisms (`drug_mechanism_of_action`, before: `mechanismOfAction`), or a folder that holds it
        and that of molecules (`drug_molecule`, before: `molecule`), which names them and their stage.

    Raises
    ------
    InputError
        If no mechanisms are there, or a file is damaged.
    """
    mechanisms, molecules = [], []
    for file in _files(path):
        names = _columns(file)
        if set(_MECHANISM) <= names:
            mechanisms.append(pd.read_parquet(file, columns=_MECHANISM))
        elif {"id", "name"} <= names and names & set(_STAGES):
            molecules.append(pd.read_parquet(file, columns=[one for one in _MOLECULE if one in names]))
    if not mechanisms:
        msg = (
            f"`{path}` must hold Open Targets' mechanisms of action, Parquet with the columns {some(_MECHANISM)}; it does not. "
            "Give the folder with `drug_mechanism_of_action` and `drug_molecule` of a release."
        )
        raise InputError(msg)
    pairs = pd.concat(mechanisms, ignore_index=True)
    pairs = pairs.explode("chemblIds").explode("targets").dropna(subset=["chemblIds", "targets"])
    known = _molecules(molecules)
    ids = pairs["chemblIds"].astype(str)
    mechanism = pairs["actionType"].fillna("").astype(str).map(phrase)
    frame = pd.DataFrame(
        {
            "compound": [known.get(one, (one,))[0] or one for one in ids],
            "compound_id": ids,
            "synonyms": [known[one][1] if one in known else "" for one in ids],
            "gene": pairs["targets"].astype(str),
            "mechanism": mechanism,
            "kind": mechanism.map(kind_of_phrases),
            "stage": [known[one][2] if one in known else "" for one in ids],
            "potency": np.nan,
            "source": "Open Targets",
        }
    )
    return INTERACTIONS.checked(frame)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(path.rglob("*.parquet"))[:MOST_FILES]


def _columns(file: Path) -> set[str]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        return set(read_schema(file).names)
    except (ArrowException, OSError) as error:
        msg = f"`{file}` must be a Parquet file; it cannot be read: {error}. Get it again."
        raise InputError(msg) from None


def _molecules(tables: list[pd.DataFrame]) -> dict[str, tuple[str, str, str]]:
    """Name, synonyms and stage of each molecule."""
    rows = [row for table in tables for row in table.to_dict("records")]
    return {
        str(row["id"]): (str(row["name"] or ""), _synonyms(row.get("synonyms")), _stage(row)) for row in rows
    }


def _synonyms(value: Any) -> str:
    items = value if isinstance(value, (list, np.ndarray)) else []
    return "|".join(str(one.get("label", "") if isinstance(one, dict) else one) for one in items)


def _stage(row: dict[str, Any]) -> str:
    if row.get("maximumClinicalStage"):
        return stage_of(row["maximumClinicalStage"])
    phase = row.get("maximumClinicalTrialPhase")
    number = "" if phase is None or phase != phase else f"{float(phase):g}"
    return APPROVED if row.get("isApproved") is True else stage_of(number)
