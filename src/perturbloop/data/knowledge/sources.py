"""Published files read into the content of a collection: gene sets, edge lists, embeddings, tables and references."""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.drugs.formats import format_of
from perturbloop.data.drugs.reading import is_open_targets
from perturbloop.data.gene_sets import read_sets
from perturbloop.data.genes import is_ensembl
from perturbloop.data.hgnc import symbols
from perturbloop.data.knowledge.collection import KINDS, CollectionKind
from perturbloop.data.knowledge.content import Content
from perturbloop.data.text_files import read_bytes
from perturbloop.data.text_tables import first_line, read_table
from perturbloop.errors import InputError, some

BETWEEN = "–"
"""Between ligand and receptor in the name of their set."""
_GENE_OF_CATEGORY = ("entrez_gene_symbol", "gene_name", "gene", "name")
_HEAD = re.compile(
    r".*(gene|protein|node|source|target|symbol|alias|name|index)|from$|to$|(.*[_#])?id$", re.IGNORECASE
)
"""What columns of genes are called where a file names its columns."""


def read_source(
    path: Path, *, kind: CollectionKind | None = None, aliases: Sequence[Path] = ()
) -> tuple[CollectionKind, Content]:
    """Read a published file.

    Parameters
    ----------
    path
        A GMT file; an edge list (two columns of genes, and a weight if there is one); an embedding, a table or a reference (genes ×
        numbers, the genes in the first column; an embedding also as `.npz` with `genes` and `vectors`). Divided by tabs, commas,
        semicolons or blanks, plain or gzipped.
    kind
        What it is; by default told by its form, where numbers of each gene are an embedding.
    aliases
        Tables of other names of the file's labels, first column the label, the others its names, one after the other: the nodes of
        an edge list to proteins, proteins to genes.

    Returns
    -------
    The kind, and what the file holds; labels that an alias file lacks are left out.

    Raises
    ------
    InputError
        If the file is none of these, or no gene is left.
    """
    if kind is not None and kind not in KINDS[:-1]:
        msg = f"The kind of a collection must be among {some(KINDS[:-1])}; it is {kind!r}. Correct it."
        raise InputError(msg)
    told = kind or _told(path)
    content = _READERS[told](path)
    for file in aliases:
        content = _relabelled(content, _aliases(file))
    if not len(content.labels):
        msg = f"`{path.name}` must name genes; none is left of it. Check the file, and those of its aliases."
        raise InputError(msg)
    return told, content


def sets_content(rows: Iterable[tuple[str, list[str]]]) -> Content:
    """Genes × sets of name and genes of each set; genes of many sets stand first, so that the file is small."""
    rows = list(rows)
    labels, at_g = np.unique([gene for _, genes in rows for gene in genes], return_inverse=True)
    at_s = np.repeat(np.arange(len(rows)), [len(genes) for _, genes in rows])
    member_gs = sparse.csc_matrix(
        (np.ones(len(at_g), dtype=np.float32), (at_g, at_s)), shape=(len(labels), len(rows))
    )
    member_gs.data[:] = 1
    order = np.argsort(-np.bincount(member_gs.indices, minlength=len(labels)), kind="stable")
    names = np.array([name for name, _ in rows], dtype=object)
    return Content(labels.astype(object)[order], names, sparse.csc_matrix(member_gs.tocsr()[order]))


def in_logarithms(content: Content, source: str) -> Content:
    """Content in logarithms: log2(1 + transcripts per million); negative numbers are refused."""
    values = np.nan_to_num(np.asarray(content.value_gc, dtype=np.float32))
    if (values < 0).any():
        msg = (
            f"A reference must hold transcripts per million, 0 or more; {source} holds {int((values < 0).sum()):,} negative numbers. "
            "Give the expression itself, neither its logarithm nor a difference."
        )
        raise InputError(msg)
    return Content(content.labels, content.columns, np.log2(1 + values))


def _told(path: Path) -> CollectionKind:
    if is_interactions(path):
        return "drugs"
    if is_categories(path):
        return "categories"
    if re.search(r"\.gmt(\.gz)?$", path.name, re.IGNORECASE):
        return "sets"
    if path.suffix == ".npz":
        return "vectors"
    first = _frame(path, rows=50)
    labels = [not pd.api.types.is_numeric_dtype(first[name]) for name in first]
    if first.shape[1] in (2, 3) and (all(labels[:2]) or _whole(first.iloc[:, :2])):
        return "edges"
    return "vectors"


def is_interactions(path: Path) -> bool:
    """Whether a file is a published one of compounds and targets, or a table with compound, gene and action."""
    if is_open_targets(path):
        return True
    return path.suffix != ".npz" and format_of(_head(path)) is not None


def is_categories(path: Path) -> bool:
    """Whether a file is DGIdb's of druggable categories."""
    return path.suffix != ".npz" and {"entrez_gene_symbol", "category"} <= set(_head(path))


def _head(path: Path) -> list[str]:
    line = first_line(read_bytes(path, what="a table of genes")[:10_000]).lower()
    return [cell.strip().strip('"') for cell in line.split(max("\t,;", key=line.count))]


def _whole(frame: pd.DataFrame) -> bool:
    """Whether both columns are numbers of nodes."""
    return all(pd.api.types.is_integer_dtype(frame[name]) for name in frame)


def _frame(path: Path, *, rows: int | None = None) -> pd.DataFrame:
    raw = read_bytes(path, what="a table of genes")
    line = raw[:10_000].decode("utf-8-sig", errors="replace").splitlines()
    if not line:
        msg = f"`{path.name}` must be a table of genes; it is empty. Check the file."
        raise InputError(msg)
    divider = next((one for one in ("\t", ",", ";") if one in line[0]), r"\s+")
    cells = re.split(divider, line[0].strip())
    has_head = any(_HEAD.match(cell) for cell in cells) or (
        len(cells) > 3 and not any(_is_number(cell) for cell in cells[1:])
    )
    try:
        return pd.read_csv(
            io.BytesIO(raw), sep=divider, header=0 if has_head else None, nrows=rows, encoding="utf-8-sig"
        )
    except (ValueError, UnicodeDecodeError) as error:
        msg = (
            f"`{path.name}` must be a table of genes, its columns divided by tabs, commas or blanks; it cannot be read: "
            f"{str(error).strip()}. Check the file."
        )
        raise InputError(msg) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _edges(path: Path) -> Content:
    frame = _frame(path)
    if frame.shape[1] < 2:
        msg = f"`{path.name}` must have two columns of genes, one edge a row; it has {frame.shape[1]}. Check the file."
        raise InputError(msg)
    ends = frame.iloc[:, :2].dropna().astype(str)
    weight = np.ones(len(ends))
    if frame.shape[1] > 2 and pd.api.types.is_numeric_dtype(frame.iloc[:, 2]):
        weight = frame.iloc[:, 2].loc[ends.index].to_numpy(float)
    return edges_content(ends.iloc[:, 0].to_numpy(object), ends.iloc[:, 1].to_numpy(object), weight)


def edges_content(one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> Content:
    """Upper triangle of a network; of several weights of an edge the largest counts, an edge to itself does not."""
    labels, place = np.unique(np.concatenate([one, other]), return_inverse=True)
    place = place.reshape(2, -1)
    low, high = place.min(axis=0), place.max(axis=0)
    kept = (low < high) & np.isfinite(weight) & (weight > 0)
    edges = pd.DataFrame(
        {"low": low[kept], "high": high[kept], "weight": weight[kept] / weight[kept].max(initial=1e-12)}
    )
    edges = edges.groupby(["low", "high"], as_index=False)["weight"].max()
    size = (len(labels), len(labels))
    value = sparse.csc_matrix(
        (edges["weight"].to_numpy(np.float32), (edges["low"], edges["high"])), shape=size
    )
    names = labels.astype(object)
    return Content(names, names, value)


def _numbers(path: Path) -> Content:
    if path.suffix == ".npz":
        return _arrays(path)
    frame = _frame(path).dropna(axis=0, subset=None, how="all")
    labels = frame.iloc[:, 0].astype(str)
    numbers = frame.iloc[:, 1:].select_dtypes("number")
    if not numbers.shape[1]:
        msg = f"`{path.name}` must hold numbers of each gene behind a first column of genes; none of its columns is one. Check the file."
        raise InputError(msg)
    table = numbers.groupby(labels.to_numpy()).mean()
    return Content(
        table.index.to_numpy(object),
        np.array([str(name) for name in table.columns], dtype=object),
        table.to_numpy(np.float32),
    )


def _arrays(path: Path) -> Content:
    try:
        with np.load(path, allow_pickle=False) as file:
            labels, vectors = file["genes"].astype(str), np.asarray(file["vectors"], dtype=np.float32)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        msg = f"`{path.name}` must hold the arrays `genes` (texts) and `vectors` (genes × dimensions); it does not: {error}. Save it so."
        raise InputError(msg) from None
    if vectors.ndim != 2 or len(labels) != len(vectors):
        msg = (
            f"`vectors` of `{path.name}` must be genes × dimensions, a row for each of its {len(labels):,} `genes`; it is "
            f"{vectors.shape}. Save it so."
        )
        raise InputError(msg)
    first = pd.Series(np.arange(len(labels)), index=labels)[lambda rows: ~rows.index.duplicated()]
    names = np.array([f"{number + 1}" for number in range(vectors.shape[1])], dtype=object)
    return Content(first.index.to_numpy(object), names, vectors[first.to_numpy()])


def _categories(path: Path) -> Content:
    table = read_table(path, as_text=True).rename(columns=str.lower)
    gene = next((name for name in _GENE_OF_CATEGORY if name in table), None)
    if gene is None or "category" not in table:
        msg = (
            f"`{path.name}` must name the categories of genes in the columns {some(_GENE_OF_CATEGORY)} and 'category', one a row; its "
            f"columns are {some(table.columns)}. Rename them."
        )
        raise InputError(msg)
    rows = table[table[gene].ne("") & table["category"].ne("")]
    named = rows.groupby("category")[gene].agg(lambda genes: sorted(set(genes)))
    return sets_content((str(name).lower(), genes) for name, genes in named.items())


def _pairs(path: Path) -> Content:
    """Ligand and receptor as a set of two genes, whose name keeps which is which."""
    frame = _frame(path)
    if frame.shape[1] < 2:
        msg = f"`{path.name}` must have a column of ligands and one of receptors, a pair a row; it has {frame.shape[1]}. Check the file."
        raise InputError(msg)
    ends = frame.iloc[:, :2].dropna().astype(str).drop_duplicates()
    return sets_content(
        (f"{one}{BETWEEN}{other}", [one, other]) for one, other in ends.itertuples(index=False)
    )


_READERS: Mapping[CollectionKind, Callable[[Path], Content]] = {
    "sets": lambda path: sets_content(read_sets(path)),
    "edges": _edges,
    "vectors": _numbers,
    "table": _numbers,
    "reference": _numbers,
    "categories": _categories,
    "pairs": _pairs,
}


def _aliases(path: Path) -> dict[str, list[str]]:
    """Other names of each label: a file of STRING has one a row, others several."""
    names: dict[str, list[str]] = {}
    for label, *others in _frame(path).astype(str).itertuples(index=False, name=None):
        names.setdefault(label, []).extend(others)
    return names


def _relabelled(content: Content, names: Mapping[str, list[str]]) -> Content:
    """Labels by their best other name: an Ensembl id of a gene, else an approved symbol, else the first one."""
    approved = symbols().approved

    def best(label: str) -> str:
        others = names.get(label, [])
        named = (one for one in others if is_ensembl(one))
        return next(named, "") or next(
            (one for one in others if one.upper() in approved), (others or [""])[0]
        )

    labels = np.array([best(str(label)) for label in content.labels], dtype=object)
    return merged(content, labels)


def merged(content: Content, labels: np.ndarray) -> Content:
    """Rows under new labels, '' = left out; rows of one label are one: their union, of dense numbers their mean."""
    kept = np.flatnonzero(labels != "")
    new, place = np.unique(labels[kept].astype(str), return_inverse=True)
    join = sparse.csr_matrix(
        (np.ones(len(kept), dtype=np.float32), (place, kept)), shape=(len(new), len(labels))
    )
    genes = new.astype(object)
    if isinstance(content.value_gc, np.ndarray):
        count = np.maximum(np.bincount(place, minlength=len(new)), 1)[:, None]
        return Content(genes, content.columns, (join @ content.value_gc / count).astype(np.float32))
    if content.columns is content.labels:
        old = content.value_gc.tocoo()
        kept_e = (labels[old.row] != "") & (labels[old.col] != "")
        return edges_content(labels[old.row[kept_e]], labels[old.col[kept_e]], old.data[kept_e].astype(float))
    value = sparse.csc_matrix(join @ content.value_gc)
    value.data[:] = 1
    return Content(genes, content.columns, value)
