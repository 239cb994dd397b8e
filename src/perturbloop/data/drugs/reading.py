"""Read any file of compounds and targets, and make one row of each compound and gene."""

import io
import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.drugs.formats import FORMATS, Format, format_of
from perturbloop.data.drugs.open_targets import read_open_targets
from perturbloop.data.drugs.words import furthest
from perturbloop.data.genes import is_ensembl
from perturbloop.data.hgnc import symbols
from perturbloop.data.text_files import read_bytes
from perturbloop.data.text_tables import read_table
from perturbloop.errors import InputError, some
from perturbloop.schema import INTERACTIONS

_CHEMBL = re.compile(r"CHEMBL\d+$")
PACKED = ".xz"
"""End of the name of a collection's own file."""


def is_open_targets(path: Path) -> bool:
    """Whether a path is a Parquet file, or a folder: Open Targets publishes its drugs so."""
    return path.is_dir() or path.suffix == ".parquet"


def read_interactions(path: Path | str, *, aliases: Sequence[Path] = ()) -> pd.DataFrame:
    """Read compounds and the genes they act on.

    Parameters
    ----------
    path
        `interactions.tsv` of DGIdb; mechanisms of ChEMBL, as its web interface exports them or as the table `drug_mechanism` with
        ChEMBL ids; a folder or file of Open Targets (`read_open_targets`); or a table with the columns compound, gene and action,
        and a potency (`potencies`) if there is one. Told by the columns.
    aliases
        Tables that lead from ChEMBL's targets to genes, one after the other, whatever their columns: targets to UniProt, UniProt to
        symbols. A target of several genes acts through all.

    Returns
    -------
    Table `INTERACTIONS`, one row of each compound and gene (`merged`); rows without a compound or a gene are left out.

    Raises
    ------
    InputError
        If the file cannot be read or is none of these, or its targets are not genes.
    """
    path = Path(path)
    if path.suffix == PACKED:
        return unpacked(path)
    if is_open_targets(path):
        rows = read_open_targets(path)
    else:
        table = read_table(path, as_text=True)
        rows = _required(table, path).read(
            table.rename(columns=lambda name: str(name).strip().lower()), path.name
        )
    rows = rows[rows["compound"].ne("") & rows["gene"].ne("")]
    return merged(_with_genes(rows, path, aliases))


def merged(rows: pd.DataFrame) -> pd.DataFrame:
    """One row of each compound and gene: a known sign wins over an unknown one, two that contradict each other leave it unknown.

    Parameters
    ----------
    rows
        Table `INTERACTIONS`, of one file or several. The stage of a compound is the furthest that any row of it says; its potency
        on a gene is the median.
    """
    stages: dict[str, list[str]] = {}
    names: dict[str, dict[str, None]] = {}
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        key = row["compound"].upper()
        stages.setdefault(key, []).append(row["stage"])
        names.setdefault(key, {}).update(dict.fromkeys(filter(None, str(row["synonyms"]).split("|"))))
        pairs.setdefault((key, row["gene"]), []).append(row)
    known = {key: (furthest(stages[key]), "|".join(names[key])) for key in stages}
    made = [
        _one(same) | dict(zip(("stage", "synonyms"), known[key], strict=True))
        for (key, _), same in pairs.items()
    ]
    return INTERACTIONS.checked(pd.DataFrame(made, columns=INTERACTIONS.names))


def _one(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What all rows of one compound and gene say together."""
    if len(rows) == 1:
        return rows[0]
    kinds = {row["kind"] for row in rows} - {""}
    potencies = [row["potency"] for row in rows if row["potency"] == row["potency"]]
    united = {
        name: ", ".join(dict.fromkeys(part for row in rows for part in str(row[name]).split(", ") if part))
        for name in ("mechanism", "source")
    }
    return (
        rows[0]
        | united
        | {
            "kind": kinds.pop() if len(kinds) == 1 else "",
            "potency": float(np.median(potencies)) if potencies else np.nan,
        }
    )


def packed(rows: pd.DataFrame) -> bytes:
    """Bytes of a collection's file."""
    return lzma.compress(rows.to_csv(sep="\t", index=False).encode(), preset=6)


def unpacked(path: Path) -> pd.DataFrame:
    """Read what `packed` made."""
    raw = io.BytesIO(lzma.decompress(path.read_bytes()))
    table = pd.read_csv(raw, sep="\t", dtype=str, keep_default_na=False)
    return INTERACTIONS.checked(table.assign(potency=pd.to_numeric(table["potency"])))


def _required(table: pd.DataFrame, path: Path) -> Format:
    found = format_of(list(table.columns))
    if found is None:
        known = [f"{one.name}: {', '.join(sorted(one.columns))}" for one in FORMATS]
        msg = (
            f"`{path}` must be a table of compounds and targets; its columns are {some(table.columns, limit=12)}. They tell it: "
            f"{'; '.join(known)}. Name the columns of your own table compound, gene and action."
        )
        raise InputError(msg)
    return found


def _with_genes(rows: pd.DataFrame, path: Path, aliases: Sequence[Path]) -> pd.DataFrame:
    """Rows with genes in the place of ChEMBL's targets."""
    labels = set(rows["gene"])
    targets = {label for label in labels if _CHEMBL.match(label)}
    if not targets and not aliases:
        return rows
    genes = genes_of_targets(targets or labels, aliases)
    lacking = sorted(targets - genes.keys())
    if targets and not genes:
        msg = (
            f"The targets of `{path.name}` must lead to genes; ChEMBL names {len(targets):,} of them by ids of its own, such as "
            f"{some(lacking, limit=2)}. Give the tables from these to genes, `chembl_uniprot_mapping.txt` and one of UniProt "
            "and symbols: `perturbloop knowledge add chembl FILE --kind drugs --aliases MAPPING,SYMBOLS`; or add a column 'gene'."
        )
        raise InputError(msg)
    made = rows.assign(gene=[genes.get(label, [] if label in targets else [label]) for label in rows["gene"]])
    return made.explode("gene").dropna(subset=["gene"]).reset_index(drop=True)


def genes_of_targets(targets: "set[str]", files: Sequence[Path]) -> dict[str, list[str]]:
    """Genes of each target, by tables that lead to them one after the other; targets that lead nowhere are left out.

    Parameters
    ----------
    targets
        Identifiers.
    files
        Tables without a rule for their columns: the one that holds most of what is known so far is the key, the cells of the others
        are what it is called.
    """
    names: dict[str, set[str]] = {one: {one} for one in targets}
    for file in files:
        cells = _cells(file)
        wanted = set().union(*names.values())
        key = max(range(cells.shape[1]), key=lambda column: len(wanted & set(cells.iloc[:, column])))
        others: dict[str, set[str]] = {}
        rest = cells.drop(columns=cells.columns[key])
        for label, row in zip(cells.iloc[:, key], rest.itertuples(index=False, name=None), strict=True):
            if label in wanted:
                others.setdefault(label, set()).update(
                    part for cell in row for part in re.split(r"[|;, ]+", cell) if part
                )
        names = {
            one: set().union(*(others.get(name, set()) for name in known)) for one, known in names.items()
        }
    approved = symbols().approved
    found = {
        one: sorted(name for name in known if is_ensembl(name) or name in approved)
        for one, known in names.items()
    }
    return {one: genes for one, genes in found.items() if genes}


def _cells(file: Path) -> pd.DataFrame:
    lines = read_bytes(file, what="a table of names").decode("utf-8-sig", errors="replace").splitlines()
    rows = [re.split(r"[\t]" if "\t" in line else r"[,;]", line) for line in lines if line and line[0] != "#"]
    if not rows:
        msg = f"`{file}` must be a table of other names of targets; it is empty. Correct the path."
        raise InputError(msg)
    return pd.DataFrame(rows).fillna("").map(lambda cell: cell.strip().strip('"'))
