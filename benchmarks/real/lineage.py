"""On which screens does the lineage find hits before anything is measured, and where does it not?

    python benchmarks/real/lineage.py $DATA OUT

One row a screen of T cells and method, hits of both signs among the genes that resting or stimulated T cells express (bulk, at least one count
per million). Beside lineage, expression, annotation degree and all three together stand their control, the same formula with other cell types of the
same references in the place of the cells' own (the median and the best of as many draws as there are other types), and the share of hits,
which is the average precision of chance. OUT/lineage.csv has all figures. Nothing is fitted and nothing drawn, so there is no seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from knowledge import Knowledge, gene_names, read_knowledge, shared_folder
from sklearn.metrics import average_precision_score
from transfer_problem import expression

from perturbloop.data.cells import read_cells
from perturbloop.data.genes import GeneNames
from perturbloop.data.screens import read_screen
from perturbloop.evaluate.metrics import auroc
from perturbloop.evidence.background import recognized
from perturbloop.evidence.lineage import Lineage, lineage_prior
from perturbloop.schema import ScreenConfig

BULK = "states/rade2023_panT_bulk_44samples.h5ad"


@dataclass(frozen=True)
class Tried:
    """One screen: how it is read, and what its readout is."""

    title: str
    file: str
    options: dict[str, Any]


SCREENS = (
    Tried("IFN-γ, donor 1 (CRISPRi)", "schmidt_ifng_d1.gene_summary.txt", {"modality": "crispri", "fdr": 0.05}),
    Tried("IFN-γ, donor 2 (CRISPRi)", "schmidt_ifng_d2.gene_summary.txt", {"modality": "crispri", "fdr": 0.05}),
    Tried("IFN-γ, top 5 % of both donors", "replay/IFNG.csv", {"modality": "crispri", "top": 0.05}),
    Tried("TNF (CRISPRa)", "schmidt2022_CRISPRa_TNF.csv", {"modality": "crispra", "hit_column": "Hit"}),
    Tried("GD2 CAR T, day 22 (CRISPRa)", "replay/Steinhart_crispra_GD2_D22.csv", {"modality": "crispra"}),
    Tried("IL2RA (knock-out, 1,351 regulators)", "Freimer2022_Screen.csv", {"modality": "crispr_ko", "screen": "IL2RA"}),
    Tried("IL-2 (knock-out, 1,351 regulators)", "Freimer2022_Screen.csv", {"modality": "crispr_ko", "screen": "IL2"}),
    Tried("CTLA4 (knock-out, 1,351 regulators)", "Freimer2022_Screen.csv", {"modality": "crispr_ko", "screen": "CTLA4"}),
    Tried("activation score (Perturb-seq)", "gwt2025_activation_score_Stim8hr.csv", {"modality": "crispri", "top": 0.05}),
)  # fmt: skip


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    out: Annotated[Path, typer.Argument(help="Folder of the results.")],
) -> None:
    """Judge every screen, print average precision, and write the table."""
    names = gene_names(shared_folder(), data / BULK)
    known = read_knowledge(shared_folder(), names)
    level = expression(read_cells(data / BULK, names=names)[0])
    seen = level.index[level.filter(like="cpm ").max(axis=1) >= 1.0]
    log = level.loc[seen].filter(like="log ").mean(axis=1)
    table = pd.concat(
        [judged(one, data / "screens", log, known, names) for one in SCREENS], ignore_index=True
    )
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "lineage.csv", index=False)
    typer.echo(
        table.pivot_table(index="screen", columns="method", values="average_precision").round(3).to_string()
    )


def judged(tried: Tried, folder: Path, log: pd.Series, known: Knowledge, names: GeneNames) -> pd.DataFrame:
    """Average precision, AUROC and precision of the best 50 of every method on the hits of a screen."""
    path, options = folder / tried.file, dict(tried.options)
    if tried.title.startswith("GD2"):
        options["hits"] = str(path.with_suffix(".hits.txt"))
    config = ScreenConfig(path=str(path), name=path.stem, higher_is="goal", **options)
    rows = read_screen(config, names=names)[0].set_index("gene_id")
    gene_ids = np.array([gene for gene in rows.index if gene in log.index], dtype=object)
    hit_g, log_g = rows.loc[gene_ids, "hit"].to_numpy(bool), log.loc[gene_ids].to_numpy(float)
    degree_g = known.degree(gene_ids)
    found = []
    for method, score_g in scores(gene_ids, log_g, degree_g, known):
        best_g = score_g >= np.sort(score_g)[-50]  # with ties, so that a score that tells nothing takes all
        ap = float(average_precision_score(hit_g, score_g))
        found.append(
            (
                tried.title,
                method,
                gene_ids.size,
                int(hit_g.sum()),
                ap,
                auroc(hit_g, score_g),
                hit_g[best_g].mean(),
            )
        )
    columns = ["screen", "method", "n_genes", "n_hits", "average_precision", "auroc", "precision_at_50"]
    table = pd.DataFrame(found, columns=columns)
    others = table["method"].str.startswith("other: ")
    summary = [
        table[others]
        .groupby("screen", as_index=False)
        .agg(dict.fromkeys(columns[2:], how))
        .assign(method=f"other types, {word}")
        for how, word in (("median", "middle"), ("max", "best"))
    ]
    return pd.concat([table[~others], *summary])[columns]


def scores(
    gene_ids: np.ndarray, log_g: np.ndarray, degree_g: np.ndarray, known: Knowledge
) -> Iterator[tuple[str, np.ndarray]]:
    """Each method's score, high = rather a hit; of another cell type as `other: TYPE`."""
    yield "chance", np.zeros(gene_ids.size)
    yield "expression", log_g
    yield "annotation degree", np.log1p(degree_g)
    own = recognized(known.references, gene_ids, log_g)
    if own is None:
        return
    yield "lineage", np.nan_to_num(own.score_g)
    yield "all three", lineage_prior(own.score_g, log_g, degree_g)
    for name in own.others:
        other: Lineage | None = recognized(known.references, gene_ids, log_g, cell_type=(name,))
        if other is not None:
            yield f"other: {name}", lineage_prior(other.score_g, log_g, degree_g)


if __name__ == "__main__":
    typer.run(main)
