"""Guide libraries as Addgene and vendors publish them: which guides a laboratory can order, and which of them hit no gene.

Read by the names of the columns: the Broad libraries (Brunello: `Target Gene Symbol`, `sgRNA Target Sequence`, `Target Transcript`;
Dolcetto and Calabrese: `Annotated Gene Symbol`, `Barcode Sequence`), MAGeCK's (`id`, `seq`, `gene`), a 10x feature reference
(`id,name,read,pattern,sequence,feature_type,target_gene_id,target_gene_name`), and a plain list with one gene a line.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.genes import CONTROL_LABEL, GeneNames
from perturbloop.data.species import foreign_labels, main_species
from perturbloop.data.text_files import read_bytes
from perturbloop.errors import GeneIdError, InputError, some

_SYMBOL = (
    "targetgenename",
    "targetgenesymbol",
    "annotatedgenesymbol",
    "genesymbol",
    "genename",
    "symbol",
    "gene",
    "targetgene",
    "target",
    "hgncsymbol",
)
_GENE_ID = ("targetgeneid", "annotatedgeneid", "ensemblid", "geneid")
_SEQUENCE = (
    "sgrnatargetsequence",
    "sgrnasequence",
    "barcodesequence",
    "protospacersequence",
    "protospacer",
    "guidesequence",
    "grnasequence",
    "targetsequence",
    "sequence",
    "seq",
)
_GUIDE = ("sgrnaid", "sgid", "guideid", "sgrna", "guide", "id", "name")
_TRANSCRIPT = ("targettranscript", "transcript", "transcripts", "transcriptid")
_BASES = re.compile(r"[ACGTUN]{15,40}", re.IGNORECASE)
# The Broad's names of guides that hit no gene, or a place without one.
_NO_GENE = re.compile(
    r"no[-_ ]?current.*|one[-_ ](intergenic|non[-_ ]?gene)[-_ ]site.*|inactive[-_].*|control|.*non[-_ ]?targeting.*",
    re.IGNORECASE,
)
_LEAST_SHARE, _LEAST_GENES = 0.1, 20


@dataclass(frozen=True, eq=False)
class GuideLibrary:
    """Guides by gene, and guides that hit none."""

    name: str
    """Name of the file."""
    guides: pd.DataFrame
    """One guide a row, in the order of the file: `gene_id` (Ensembl), `label` (the gene as the file names it), `guide_id`,
    `sequence` and `transcript`; the last three are empty where the file does not tell. Of a list of genes one row a gene."""
    controls: pd.DataFrame
    """Guides that hit no gene: `guide_id`, `sequence`."""
    unknown: tuple[str, ...] = ()
    """Genes of the file without an Ensembl id."""

    @property
    def gene_ids(self) -> frozenset[str]:
        """Genes that it can perturb."""
        return frozenset(self.guides["gene_id"])

    def of(self, gene_id: str) -> pd.DataFrame:
        """Guides of a gene, in the order of the file; empty where it has none."""
        return self.guides[self.guides["gene_id"].eq(gene_id)]

    def lines(self) -> list[str]:
        """Say it in words, one fact a line."""
        n = len(self.guides["gene_id"].unique())
        with_sequence = int(self.guides["sequence"].ne("").sum())
        facts = [f"{self.name}: {n:,} genes, {with_sequence:,} guides, {len(self.controls):,} of no gene"]
        if self.unknown:
            facts.append(f"{self.name}: genes without an Ensembl id, left out: {some(self.unknown)}")
        return facts


def read_library(path: Path | str, *, names: GeneNames) -> GuideLibrary:
    """Read the guides of a library, or a plain list of genes.

    Parameters
    ----------
    path
        Text file with tabs, commas or semicolons, plain or gzipped; or one gene a line.
    names
        Which symbol means which gene.

    Raises
    ------
    InputError
        If the file cannot be read, or no column of it holds genes.
    GeneIdError
        If hardly any of its genes is known, or they are those of a mouse.

    Notes
    -----
    A file names a gene by its Ensembl id where it has one, else by its symbol; the Broad's gene ids are those of NCBI and are not
    read.
    """
    path = Path(path)
    frame = _table(path)
    if frame is None:
        labels = _lines(path)
        rows = pd.DataFrame({"label": labels, "guide_id": "", "sequence": "", "transcript": "", "id": ""})
    else:
        rows = _columns(frame, path)
    is_control = rows["label"].map(
        lambda label: bool(CONTROL_LABEL.fullmatch(label) or _NO_GENE.fullmatch(label))
    )
    controls = rows[is_control | (rows["label"].eq("") & rows["sequence"].ne(""))]
    rows = rows[~is_control & rows["label"].ne("")]
    by_id, by_name = names.resolve(rows["id"]), names.resolve(rows["label"])
    gene_id = pd.Series(
        [one or other for one, other in zip(by_id, by_name, strict=True)], index=rows.index, dtype=object
    )
    _require_genes(rows["label"], gene_id, path)
    unknown = tuple(dict.fromkeys(rows.loc[gene_id.eq(""), "label"]))
    guides = rows.assign(gene_id=gene_id)[gene_id.ne("")]
    columns = ["gene_id", "label", "guide_id", "sequence", "transcript"]
    return GuideLibrary(
        name=path.name,
        guides=guides[columns].drop_duplicates().reset_index(drop=True),
        controls=controls[["guide_id", "sequence"]].drop_duplicates().reset_index(drop=True),
        unknown=unknown,
    )


def _text(path: Path) -> str:
    raw = read_bytes(path, what="a guide library or a list of genes, as text")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = (
            f"`{path}` must be a guide library or a list of genes, as text; it is none (of a spreadsheet, only its export is). "
            "Save it as a tab- or comma-separated file."
        )
        raise InputError(msg) from None
    return re.sub(r"\r\n?", "\n", text)  # Addgene's files end their lines in three ways


def _table(path: Path) -> pd.DataFrame | None:
    """Every value of a table as text; `None` of a list with one gene a line."""
    text = _text(path)
    head = text.split("\n", 1)[0]
    separator = max("\t,;", key=head.count)
    if not text.strip():
        msg = f"`{path}` must hold guides or genes; it is empty. Correct the path."
        raise InputError(msg)
    if separator not in head:
        return None
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, index_col=False
        )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        msg = f"`{path}` must be a table with a header line; it cannot be read: {str(error).strip()}. Correct the file."
        raise InputError(msg) from None
    return frame.rename(columns=lambda name: str(name).strip()).map(str.strip)


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in _text(path).split("\n")]
    labels = [line for line in lines if line and not line.startswith("#")]
    head = _plain(labels[0]) if labels else ""
    return list(dict.fromkeys(labels[1:] if head in (*_SYMBOL, *_GENE_ID, "genes") else labels))


def _columns(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Label, guide, sequence and transcript of each row, by the names of the columns."""
    known = {_plain(name): name for name in reversed(list(frame.columns))}
    found = {
        role: next((known[name] for name in wanted if name in known), None)
        for role, wanted in (
            ("label", _SYMBOL),
            ("id", _GENE_ID),
            ("sequence", _SEQUENCE),
            ("transcript", _TRANSCRIPT),
            ("guide_id", _GUIDE),
        )
    }
    if found["label"] is None and found["id"] is None:
        msg = (
            "A guide library needs a column with the gene of each guide, such as `Target Gene Symbol`, `Annotated Gene Symbol`, "
            f"`target_gene_name` or `gene`; `{path}` has {some(frame.columns, limit=20)}. Rename the right one to `gene`."
        )
        raise InputError(msg)
    rows = pd.DataFrame(
        {role: "" if name is None else frame[name] for role, name in found.items()}, index=frame.index
    )
    rows["label"] = np.where(rows["label"].eq(""), rows["id"], rows["label"])
    wrong = [text for text in rows["sequence"] if text and not _BASES.fullmatch(text)]
    if len(wrong) > len(rows) / 2:
        msg = (
            f"Guides are sequences of A, C, G and T; column `{found['sequence']}` of `{path}` holds {len(wrong):,} that are none: "
            f"{some(wrong)}. Rename the column that holds them to `sequence`."
        )
        raise InputError(msg)
    return rows


def _plain(name: str) -> str:
    """Letters and digits of a name of a column.

    >>> _plain("sgRNA Target Sequence"), _plain("target_gene_name")
    ('sgrnatargetsequence', 'targetgenename')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _require_genes(labels: pd.Series, gene_id: pd.Series, path: Path) -> None:
    distinct = list(dict.fromkeys(labels))
    foreign = foreign_labels(distinct)
    if len(foreign) > len(distinct) / 2:
        msg = (
            f"The genes of `{path.name}` must be human; {len(foreign):,} of {len(distinct):,} labels are {main_species(foreign)} genes: {some(foreign)}. "
            "Take the library of human guides."
        )
        raise GeneIdError(msg)
    known = set(labels[gene_id.ne("")])
    if not known or (len(known) < _LEAST_GENES and len(known) < _LEAST_SHARE * len(distinct)):
        lost = [label for label in distinct if label not in known]
        msg = (
            f"The genes of `{path.name}` must be human symbols or Ensembl ids; {len(known):,} of {len(distinct):,} labels are; "
            f"unknown are for instance {some(lost)}. Name the column with the genes `gene`, or take another file."
        )
        raise GeneIdError(msg)
