"""What is known of genes beside the screens: gene sets and edges as kernels, pathways, and reference cell types.

Files are those of the public data (`$PERTURBLOOP_SHARED`, by default `../shared/data` beside the checkout); where that folder is not
there, the collections that come with the package.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from networks import edge_kernel

from perturbloop.data.gene_sets import GeneSets, read_gmt
from perturbloop.data.genes import GeneNames
from perturbloop.data.knowledge import chosen
from perturbloop.data.reference import Reference, read_reference, reference_of
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import closest
from perturbloop.evidence.kernels import Kernel, gene_set_kernel
from perturbloop.evidence.knowledge import gene_sets_of

SETS = {
    "Reactome": "ReactomePathways.gmt",
    "GO biological process": "features/go_bp_2021.gmt.gz",
    "KEGG": "features/kegg_7.5.1.gmt.gz",
    "MSigDB C5": "features/msigdb_c5.gmt.gz",
    "MSigDB C8": "features/msigdb_c8_celltypes.gmt.gz",
    "MSigDB C3": "features/msigdb_c3_tf_targets.gmt.gz",
    "co-essential modules": "features/coessential_modules.gmt.gz",
}
EDGES = "features/humannet90_edges.csv.gz"
REFERENCES = ("features/epic_BRef_tpm.csv.gz", "features/epic_TRef_tpm.csv.gz")
SYMBOLS = ("symbol", "gene_symbol", "gene_name", "feature_name", "gene_symbols")
LEAST_IDS = 0.5
"""A column of `var` holds Ensembl ids where more than this share of its labels looks like one."""
DEGREE = ("Reactome", "GO biological process")
"""Collections whose sets are counted: how well a gene is annotated."""


@dataclass(frozen=True)
class Knowledge:
    """Kernels, gene sets and references, by Ensembl ids."""

    kernels: tuple[Kernel, ...]
    sets: tuple[GeneSets, ...]
    """The sets behind the annotation degree, and where pathways are looked up first."""
    other_sets: tuple[GeneSets, ...]
    references: tuple[Reference, ...]

    def members(self, names: list[str]) -> frozenset[str]:
        """Ensembl ids of the genes in any of these sets; a set that no collection has is refused."""
        found: set[str] = set()
        for name in names:
            wanted = name.strip().lower()
            for sets in (*self.sets, *self.other_sets):
                place = np.flatnonzero([known.lower() == wanted for known in sets.set_names.astype(str)])
                if place.size:
                    found |= set(sets.gene_ids[np.flatnonzero(sets.member_gs[:, place].sum(axis=1))])
                    break
            else:
                known = [known for sets in self.sets for known in sets.set_names]
                msg = f"No collection has a gene set '{name}'. The closest are {closest(name, known)}. Name another with `--pathway`."
                raise ValueError(msg)
        return frozenset(found)

    def degree(self, gene_ids: np.ndarray) -> np.ndarray:
        """In how many sets each gene is."""
        counts = [pd.Series(sets.degree_g, index=sets.gene_ids).reindex(gene_ids) for sets in self.sets]
        return np.nansum([count.to_numpy(float) for count in counts], axis=0)


def shared_folder() -> Path | None:
    """Folder of the public data; `None` where there is none."""
    named = os.environ.get("PERTURBLOOP_SHARED")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    return folder if (folder / "knowledge").is_dir() else None


def gene_names(shared: Path | None, cells: Path) -> GeneNames:
    """Symbols of genes: those of the public data, else those that the file of cells gives, else symbols stand for themselves."""
    if shared is not None and (shared / "geneformer").is_dir():
        return Vocabulary.published(shared / "geneformer").names
    var = ad.read_h5ad(cells, backed="r").var
    columns = {"": var.index, **{name: var[name] for name in var.columns}}
    texts = {name: np.array([str(label)[:15] for label in column]) for name, column in columns.items()}
    symbols = texts[next((name for name in SYMBOLS if name in texts), "")]
    ids = next((text for text in texts.values() if _holds_ids(text)), None)
    if ids is None:
        return GeneNames.of({symbol: symbol for symbol in symbols}, source="the file of cells")
    known = {symbol: gene for symbol, gene in zip(symbols, ids, strict=True) if gene.startswith("ENSG")}
    return GeneNames.of(known, source="the file of cells")


def _holds_ids(text_g: np.ndarray) -> bool:
    given = text_g[(text_g != "") & (text_g != "nan")]
    return given.size > 0 and float(np.char.startswith(given, "ENSG").mean()) > LEAST_IDS


def read_knowledge(shared: Path | None, names: GeneNames) -> Knowledge:
    """Read what is there."""
    return _of_files(shared / "knowledge", names) if shared is not None else _of_package(names)


def _of_files(folder: Path, names: GeneNames) -> Knowledge:
    found = {
        name: read_gmt(folder / file, names=names) for name, file in SETS.items() if (folder / file).is_file()
    }
    kernels = [
        Kernel(name, kernel.gene_ids, kernel.vector_gd)
        for name, sets in found.items()
        for kernel in [gene_set_kernel(sets)]
    ]
    if (folder / EDGES).is_file():
        kernels.append(edge_kernel("HumanNet", folder / EDGES, names))
    references = tuple(
        read_reference(folder / file, names=names) for file in REFERENCES if (folder / file).is_file()
    )
    counted = tuple(found[name] for name in DEGREE if name in found)
    return Knowledge(
        tuple(kernels), counted, tuple(sets for name, sets in found.items() if name not in DEGREE), references
    )


def _of_package(names: GeneNames) -> Knowledge:
    sets = [gene_sets_of(one, names) for one in chosen(kinds=("sets",))]
    references = tuple(reference_of(one, names=names) for one in chosen(kinds=("reference",)))
    return Knowledge(tuple(gene_set_kernel(one) for one in sets), tuple(sets), (), references)
