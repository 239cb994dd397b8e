"""Make the collections that come with the package from files as they were published.

    python scripts/ship_collections.py --reactome ReactomePathways.gmt --hgnc hgnc.tsv --blood rna_blood_cell.tsv.gz
        --tissue rna_tissue_consensus.tsv.gz (--obo go-basic.obo --gaf goa_human.gaf.gz | --go-db GO.sqlite --org-db org.Hs.eg.sqlite)

Writes one compact file a collection and `collections.json` into `src/perturbloop/data/knowledge/shipped`; the same files give the
same bytes. Versions and dates stand in `SOURCES` below: correct them with the files. GO comes from the ontology's own files, or
from the tables that Bioconductor makes of them (`GO.db` of go-basic.obo; `org.Hs.eg.db` of NCBI's gene2go, the annotations of the
GO consortium by NCBI gene, without those qualified by NOT).
"""

import gzip
import hashlib
import json
import lzma
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from perturbloop.data.gene_sets import read_sets
from perturbloop.data.knowledge.collection import SHIPPED, Collection, CollectionKind, recorded
from perturbloop.data.knowledge.content import Content, pack
from perturbloop.data.knowledge.sources import sets_content
from perturbloop.store.files import file_digest

SMALLEST, LARGEST = 3, 300
"""Genes of a GO term that is kept."""
NO_DATA = "ND"
"""Evidence code of an annotation that says that nothing is known."""
SCALE = 8.0
"""Steps of log2(1 + expression) that are kept, per unit."""
MIXED = ("total_PBMC", "B_cells", "dendritic_cells", "granulocytes", "monocytes", "NK_cells", "T_cells")
"""Columns of the tables of expression that are a mixture, or that the table of blood cell types has finer."""
SOURCES: dict[str, dict[str, str]] = {
    "reactome": {
        "kind": "sets",
        "source": "Reactome pathways, reactome.org",
        "version": "ReactomePathways.gmt, release 78 or 79",
        "date": "2021-12-14",
        "licence": "CC0 1.0",
    },
    "go-bp": {
        "kind": "sets",
        "source": "Gene Ontology, biological process, geneontology.org",
        "version": "go-basic.obo 2022-07-01, annotations 2022-09-12",
        "date": "2022-09-12",
        "licence": "CC BY 4.0",
    },
    "blood": {
        "kind": "reference",
        "source": "Human Protein Atlas, RNA of blood cell types (NX), proteinatlas.org",
        "version": "20.1",
        "date": "2021-03-26",
        "licence": "CC BY-SA 3.0",
    },
    "tissue": {
        "kind": "reference",
        "source": "Human Protein Atlas, RNA of tissues, consensus (NX), proteinatlas.org",
        "version": "20.1",
        "date": "2021-03-26",
        "licence": "CC BY-SA 3.0",
    },
    "hgnc": {
        "kind": "names",
        "source": "HGNC approved, previous and alias symbols, genenames.org",
        "version": "up to HGNC:58920",
        "date": "2026-11-28",
        "licence": "CC0 1.0",
    },
}


@dataclass(frozen=True)
class Ontology:
    """Terms of biological processes, and what genes are annotated to."""

    names: dict[str, str]
    """Term -> its name."""
    parents: dict[str, set[str]]
    """Term -> the terms that it is or is part of."""
    annotations: set[tuple[str, str]]
    """Symbol and term, of every evidence code but ND, without NOT."""


def main(
    reactome: Annotated[Path, typer.Option(help="ReactomePathways.gmt.")],
    hgnc: Annotated[Path, typer.Option(help="Approved, previous and alias symbols, tab-separated.")],
    blood: Annotated[Path, typer.Option(help="Genes × blood cell types, tab-separated.")],
    tissue: Annotated[Path, typer.Option(help="Genes × tissues, tab-separated.")],
    obo: Annotated[Path | None, typer.Option(help="go-basic.obo.")] = None,
    gaf: Annotated[Path | None, typer.Option(help="goa_human.gaf, plain or gzipped.")] = None,
    go_db: Annotated[Path | None, typer.Option(help="GO.sqlite of Bioconductor's GO.db.")] = None,
    org_db: Annotated[Path | None, typer.Option(help="org.Hs.eg.sqlite of Bioconductor.")] = None,
    out: Annotated[Path, typer.Option(help="Where the compact files go.")] = SHIPPED,
) -> None:
    """Write the compact files and their list."""
    if obo and gaf:
        ontology, origins = of_published(obo, gaf), (obo, gaf)
    elif go_db and org_db:
        ontology, origins = of_bioconductor(go_db, org_db), (go_db, org_db)
    else:
        msg = "GO needs `--obo` and `--gaf`, or `--go-db` and `--org-db`."
        raise typer.BadParameter(msg)
    out.mkdir(parents=True, exist_ok=True)
    pathways = [(name, genes) for name, genes in read_sets(reactome) if len(genes) >= SMALLEST]
    made = [
        _written(out, "reactome", sets_content(pathways), (reactome,)),
        _written(out, "go-bp", sets_content(list(term_sets(ontology))), origins),
        _written(out, "blood", expression(blood), (blood,), scale=SCALE),
        _written(out, "tissue", expression(tissue), (tissue,), scale=SCALE / 2),
        _names(out, hgnc),
    ]
    (out / "collections.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    for entry in made:
        size = (out / f"{entry['name']}.xz").stat().st_size
        print(
            f"{entry['name']:10} {entry['n_genes']:7,} genes {entry['n_columns']:7,} columns {size:10,} bytes"
        )


def of_published(obo: Path, gaf: Path) -> Ontology:
    """Read the ontology's own files."""
    names: dict[str, str] = {}
    parents: dict[str, set[str]] = {}
    same: dict[str, str] = {}
    for term in _stanzas(obo):
        if term.get("namespace") != ["biological_process"] or term.get("is_obsolete") == ["true"]:
            continue
        (key,) = term["id"]
        names[key] = term["name"][0]
        part_of = (line.split()[1] for line in term.get("relationship", []) if line.startswith("part_of "))
        parents[key] = {line.split()[0] for line in term.get("is_a", [])} | set(part_of)
        same |= dict.fromkeys(term.get("alt_id", []), key)
    rows = _lines(gaf)
    cells = [line.split("\t") for line in rows if not line.startswith("!")]
    annotations = {
        (row[2], same.get(row[4], row[4]))
        for row in cells
        if row[8] == "P" and "NOT" not in row[3].split("|") and row[6] != NO_DATA
    }
    return Ontology(names, parents, annotations)


def of_bioconductor(go_db: Path, org_db: Path) -> Ontology:
    """Read the tables that Bioconductor makes of the ontology's files."""
    with sqlite3.connect(f"file:{go_db}?mode=ro", uri=True) as terms:
        rows = terms.execute("SELECT _id, go_id, term FROM go_term WHERE ontology = 'BP'").fetchall()
        links = terms.execute(
            "SELECT _id, _parent_id FROM go_bp_parents WHERE relationship_type IN ('isa', 'part of')"
        ).fetchall()
    with sqlite3.connect(f"file:{org_db}?mode=ro", uri=True) as genes:
        annotations = genes.execute(
            "SELECT symbol, go_id FROM go_bp JOIN gene_info USING (_id) WHERE evidence != ?", (NO_DATA,)
        ).fetchall()
    key_of = {number: key for number, key, _ in rows}
    parents: dict[str, set[str]] = defaultdict(set)
    for child, parent in links:
        if child in key_of and parent in key_of:
            parents[key_of[child]].add(key_of[parent])
    return Ontology({key: name for _, key, name in rows}, dict(parents), set(annotations))


def term_sets(ontology: Ontology) -> Iterator[tuple[str, list[str]]]:
    """Genes of each term and of all terms that are it or part of it, of 3 to 300 genes; by the term's name."""

    @cache
    def above(term: str) -> frozenset[str]:
        parents = ontology.parents.get(term, set()) & ontology.names.keys()
        return frozenset({term}).union(*(above(parent) for parent in parents))

    genes_of: dict[str, set[str]] = defaultdict(set)
    for symbol, term in ontology.annotations:
        if term in ontology.names:
            for one in above(term):
                genes_of[one].add(symbol)
    for term in sorted(genes_of):
        if SMALLEST <= len(genes_of[term]) <= LARGEST:
            yield ontology.names[term], sorted(genes_of[term])


def expression(path: Path) -> Content:
    """log2(1 + expression) of a table of genes × cell types; mixtures are left out."""
    table = pd.read_csv(path, sep="\t", index_col=0).dropna(how="all")
    table = table.drop(columns=[name for name in MIXED if name in table]).sort_index()
    values = np.log2(1 + table.fillna(0).to_numpy(np.float32))
    return Content(table.index.to_numpy(object), table.columns.to_numpy(object), values)


def _written(
    out: Path, name: str, content: Content, origins: tuple[Path, ...], *, scale: float = 0.0
) -> dict[str, object]:
    pack(out / f"{name}.xz", content, scale=scale)
    return _entry(out, name, origins, *content.value_gc.shape)


def _names(out: Path, hgnc: Path) -> dict[str, object]:
    """One line a gene: approved symbol, previous ones, aliases; those in columns of their own, divided by bars."""
    rows = (line.split("\t") + [""] * 5 for line in _lines(hgnc)[1:])
    lines = [
        "\t".join([row[1], *(cell.replace(", ", "|") for cell in row[3:5])]).rstrip("\t") for row in rows
    ]
    (out / "hgnc.xz").write_bytes(lzma.compress("\n".join(sorted(lines)).encode(), preset=9))
    return _entry(out, "hgnc", (hgnc,), len(lines), 0)


def _entry(
    out: Path, name: str, origins: tuple[Path, ...], n_genes: int, n_columns: int
) -> dict[str, object]:
    path, said = out / f"{name}.xz", dict(SOURCES[name])
    kind: CollectionKind = said.pop("kind")  # type: ignore[assignment]
    hashed = hashlib.sha256()
    for origin in origins:
        hashed.update(origin.read_bytes())
    made = Collection(
        name,
        kind,
        **said,
        digest="",
        path=path,
        n_genes=n_genes,
        n_columns=n_columns,
        origin=hashed.hexdigest(),
    )
    return recorded(made, file_digest(path))


def _stanzas(obo: Path) -> Iterator[dict[str, list[str]]]:
    for block in obo.read_text(encoding="utf-8").split("\n[Term]\n")[1:]:
        term: dict[str, list[str]] = defaultdict(list)
        for line in block.split("\n[")[0].splitlines():
            key, _, value = line.partition(": ")
            term[key].append(value)
        yield term


def _lines(path: Path) -> list[str]:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode().splitlines()


if __name__ == "__main__":
    typer.run(main)
