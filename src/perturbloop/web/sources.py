"""What is known of one gene outside the tables of the round: recorded files, the guide library, compounds."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from perturbloop.data.genes import GeneNames
from perturbloop.data.hgnc import symbols
from perturbloop.data.knowledge import added
from perturbloop.data.library import GuideLibrary, read_library
from perturbloop.errors import PerturbloopError
from perturbloop.schema import INTERACTIONS, concat
from perturbloop.store.files import own
from perturbloop.web.served import Served, Shown

MOST = 200
"""Compounds that are listed."""


def recorded_rows(served: Served, shown: Shown, name: str, gene_id: str) -> pd.DataFrame:
    """Rows of a gene in a table of the recorded files, and the `source` of each; of files whose folder is gone there are none.

    Parameters
    ----------
    served, shown
        The campaign and the round.
    name
        guides or replicates.
    gene_id
        Ensembl id.
    """
    parts = []
    for one in shown.report.recorded:
        path = served.folder / one.folder / f"{name}.parquet"
        if one.folder and path.is_file():
            with own(path):
                rows = pd.read_parquet(path, filters=[("gene_id", "==", gene_id)])
            parts.append(rows.assign(source=one.source))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def rows_of_round(shown: Shown, name: str, gene_id: str) -> pd.DataFrame:
    """Rows of a gene in a table of the round; none where an older version kept no such table.

    Parameters
    ----------
    shown
        The round.
    name
        expression or sets.
    gene_id
        Ensembl id.
    """
    path = shown.folder / f"{name}.parquet"
    if not path.is_file():
        return pd.DataFrame()
    with own(path):
        return pd.read_parquet(path, filters=[("gene_id", "==", gene_id)])


def library_rows(served: Served, shown: Shown, gene_id: str) -> pd.DataFrame | None:
    """Guides of a gene in the campaign's library; `None` where none is named, or it cannot be read now.

    Parameters
    ----------
    served, shown
        The campaign and the round.
    gene_id
        Ensembl id.
    """
    library = library_of(served, shown)
    return None if library is None else library.of(gene_id)


def library_place(served: Served) -> tuple[Path, int] | None:
    """Where the campaign's library lies, and when it was changed, 0 where it is gone; `None` where none is named."""
    named = served.ledger().config.design.library
    if not named:
        return None
    path = served.folder / named
    return path, path.stat().st_mtime_ns if path.is_file() else 0


def library_of(served: Served, shown: Shown) -> GuideLibrary | None:
    """The campaign's library, read once; `None` where none is named, or it cannot be read now."""
    place = library_place(served)
    return None if place is None else shown.once(("library", *place), lambda: _library(place[0], shown))


def _library(path: Path, shown: Shown) -> GuideLibrary | None:
    rows = shown.report.ranking.drop_duplicates("gene_id")
    names = GeneNames.of(dict(zip(rows["gene_name"], rows["gene_id"], strict=True)))
    try:
        return read_library(path, names=names)
    except (PerturbloopError, OSError):
        return None  # `propose` says why


@dataclass(frozen=True, eq=False)
class Compounds:
    """Compounds of all added collections."""

    table: pd.DataFrame
    """INTERACTIONS rows."""
    rows_of: dict[str, list[int]]
    """Rows of each gene, as the files name it, in upper case."""


def drug_rows(shown: Shown, gene_id: str, name: str) -> pd.DataFrame | None:
    """Compounds that act on a gene, those of known sign and the most advanced first; `None` where no collection was added.

    Parameters
    ----------
    shown
        The round.
    gene_id, name
        Ensembl id and symbol.
    """
    compounds = shown.once("compounds", _compounds)
    if compounds is None:
        return None
    labels = {gene_id, name.upper(), *(one for names in symbols().meant(name) for one in names)}
    rows = sorted({row for label in labels for row in compounds.rows_of.get(label, ())})
    found = compounds.table.iloc[rows].drop_duplicates(["compound", "kind", "mechanism", "source"])
    order = found.assign(
        unknown=found["kind"].eq(""), early=~found["stage"].str.lower().str.startswith("approved")
    )
    return order.sort_values(["unknown", "early"], kind="stable")[found.columns].head(MOST)


def _compounds() -> Compounds | None:
    tables = [one.interactions for one in added() if one.kind == "drugs"]
    if not tables:
        return None
    table = concat(INTERACTIONS, tables)
    text = dict.fromkeys(("kind", "stage", "mechanism", "source"), "")
    rows_of: dict[str, list[int]] = {}
    for row, label in enumerate(table["gene"].astype(str).str.upper()):
        rows_of.setdefault(label, []).append(row)
    return Compounds(table.fillna(text), rows_of)
