"""Does the model add anything to the evidence? One donor's effects of a few genes, another donor's hits as the truth.

    python benchmarks/real/evidence.py $DATA T_CELLS OUT

T_CELLS is the folder that `t_cells.py` wrote: in-silico rankings of a small model and of an untrained one, differential
expression, gene embeddings. Evidence is the effects of k knock-downs (CRISPRi, IFN-γ) in donor 1, truth the hits of donor 2 among
expressed genes that the panel never measured. Panels are random, hit-enriched or cover the gene sets; 30 of each, nested in
k. A killed run goes on where it stopped. Writes `results.csv`, `networks.csv`, `contrasts.csv`, `summary.md` and
`evidence.png` to OUT.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from evidence_methods import (
    Problem,
    denominators,
    judged,
    panel_places,
    rankings,
    without_evidence,
)
from evidence_summary import contrasts, draw, summarize
from networks import graph_of, networks, read_sets
from scipy import sparse
from t_cells import PATHWAY
from truth import FDR, pathway

from perturbloop.data.screens import read_screen
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.design.panels import PanelRule
from perturbloop.evaluate.baselines import degree
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.kernels import Kernel, constant_kernel, feature_kernel, vector_kernel
from perturbloop.evidence.screen_effects import effects_of_screen
from perturbloop.schema import ScreenConfig

RULES: tuple[PanelRule, ...] = ("random", "hit-enriched", "coverage")
SIZES = (20, 75)
TIE_BREAK = 0.02
"""Weight of a standard deviation of expression beside membership in the static pathway: orders genes of like membership only."""
ANNOTATED = 4
"""Networks made of gene sets, the first ones; coverage panels cover them."""


def problem(data: Path, t_cells: Path, out: Path) -> Problem:
    """Read screens, rankings and networks."""
    words = Vocabulary.published(data / "geneformer")
    de = pd.read_parquet(t_cells / "de.parquet").set_index("gene_id")
    screens = [_screen(data / f"screens/schmidt_ifng_d{donor}.gene_summary.txt", words) for donor in (1, 2)]
    gene_ids = np.array(
        [gene for gene in de.index[de["expressed"]] if all(gene in screen.index for screen in screens)],
        dtype=object,
    )
    seen = pd.Series(1.0, index=gene_ids)
    first = (
        effects_of_screen(screens[0].reset_index(), seen, min_detection=0.5)
        .effects.set_index("gene_id")
        .loc[gene_ids]
    )
    second = screens[1].loc[gene_ids]
    toward = second["effect_to_goal"] > 0
    sets = read_sets(data, words)
    kernels = networks(data, t_cells / "gene_embeddings.npz", sets, gene_ids, words)
    de = de.loc[gene_ids]
    in_pathway_g = np.isin(gene_ids, list(pathway(data / "knowledge/ReactomePathways.gmt", PATHWAY, words)))
    level_g, z_g = de["log_activated"].to_numpy(float), de["z"].to_numpy(float)
    size_g = np.abs(np.nan_to_num(de["log2fc"].to_numpy(float)))
    isp_g, untrained_g = (
        pd.read_parquet(t_cells / f"{name}_delete.parquet")
        .set_index("gene_id")["benefit"]
        .reindex(gene_ids)
        .to_numpy(float)
        for name in ("isp", "untrained")
    )
    static_g = in_pathway_g + TIE_BREAK * (level_g - level_g.mean()) / level_g.std()
    reactome = next(iter(sets.values()))
    return Problem(
        gene_ids=gene_ids,
        effect_g=first["effect_to_goal"].to_numpy(float),
        se_g=first["se"].to_numpy(float),
        known_hit_g=(first["hit"] & (first["effect_to_goal"] > 0)).to_numpy(bool),
        hit_g=(second["hit"] & toward).to_numpy(bool),
        away_g=(second["hit"] & ~toward).to_numpy(bool),
        insilico={"ISP": isp_g, "DE": z_g, "static pathway": static_g},
        alone={
            "expression": level_g,
            "static pathway": static_g,
            "annotation degree": degree(reactome, gene_ids).astype(float),
            "DE": z_g,
            "|DE|": np.abs(z_g),
            "ISP": isp_g,
            "untrained ISP": untrained_g,
            "donor 1's own screen": first["effect_to_goal"].to_numpy(float),
        },
        features=[
            constant_kernel(gene_ids),
            feature_kernel("size of DE", gene_ids, size_g),
            feature_kernel("expression", gene_ids, level_g),
        ],
        kernels=kernels,
        graphs=[_graph(kernel, out / "graphs" / f"{kernel.name}.npz") for kernel in kernels],
        cover=vector_kernel(
            "gene sets",
            gene_ids,
            sparse.csr_matrix(sparse.hstack([kernel.vector_gd for kernel in kernels[:ANNOTATED]])),
            power=1,
        ),
        sets=reactome,
        in_pathway_g=in_pathway_g,
    )


def play(given: Problem, how: PanelRule, k: int, seed: int, out: Path) -> None:
    """Judge every method on one panel, and write it."""
    stem = out / "panels" / f"{how}-{k}-{seed}"
    if stem.with_suffix(".parquet").is_file():
        return
    place_p, largest_p = (panel_places(given, how, size, seed) for size in (k, max(SIZES)))
    found, skills = rankings(given, place_p, seed)
    kept = denominators(given, place_p, largest_p)
    table = pd.DataFrame([row for method in found for row in judged(given, method, kept)])
    names = {"how": how, "k": k, "seed": seed}
    measured_hits = int(given.known_hit_g[place_p].sum())
    skills.assign(**names, measured_hits=measured_hits).to_csv(stem.with_suffix(".csv"), index=False)
    unfinished = stem.with_suffix(".part")
    table.assign(**names).to_parquet(unfinished)
    unfinished.replace(stem.with_suffix(".parquet"))


def _screen(path: Path, words: Vocabulary) -> pd.DataFrame:
    config = ScreenConfig(path=str(path), name=path.stem, modality="crispri", higher_is="start", fdr=FDR)
    return read_screen(config, names=words.names)[0].set_index("gene_id")


def _graph(kernel: Kernel, path: Path) -> GeneGraph:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        sparse.save_npz(path, graph_of(kernel).weights_gg)
    return GeneGraph(kernel.name, kernel.gene_ids, sparse.csr_matrix(sparse.load_npz(path)))


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    t_cells: Annotated[Path, typer.Argument(help="Folder that `t_cells.py` wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder of the results.")],
    panels: Annotated[int, typer.Option(help="Panels of each rule and size.")] = 30,
    bootstrap: Annotated[int, typer.Option(help="Bootstrap samples over panels and genes.")] = 2000,
) -> None:
    """Play what is missing, and write the tables."""
    (out / "panels").mkdir(parents=True, exist_ok=True)
    given = problem(data, t_cells, out)
    n_hits, n_away, n_known = (int(hit_g.sum()) for hit_g in (given.hit_g, given.away_g, given.known_hit_g))
    typer.echo(
        f"{given.gene_ids.size:,} genes; donor 2: {n_hits} hits toward, {n_away} away; donor 1: {n_known} toward"
    )
    without_evidence(given).assign(how="", k=0, seed=0).to_parquet(out / "panels" / "none.parquet")
    for seed in range(panels):
        for how in RULES:
            for k in SIZES:
                play(given, how, k, seed, out)
        typer.echo(f"panels {seed + 1} of {panels}")
    results = pd.concat(
        [pd.read_parquet(path) for path in sorted((out / "panels").glob("*.parquet"))], ignore_index=True
    )
    skills = pd.concat(
        [pd.read_csv(path) for path in sorted((out / "panels").glob("*.csv"))], ignore_index=True
    )
    found = contrasts(results, n_samples=bootstrap)
    results.drop(columns="places").round(5).to_csv(out / "results.csv", index=False)
    skills.to_csv(out / "networks.csv", index=False)
    found.to_csv(out / "contrasts.csv", index=False)
    draw(results).savefig(out / "evidence.png", dpi=150)
    (out / "summary.md").write_text(summarize(results, skills, found))
    typer.echo((out / "summary.md").read_text())


if __name__ == "__main__":
    typer.run(main)
