"""A campaign whose last round holds many genes: what the pages have to bear.

    python benchmarks/web/inflate.py CAMPAIGN OUT [--genes 20000] [--methods 24] [--seed 0]

Copies a played campaign and puts further genes into the tables of its last finished round: each is like one that the round ranks, its
numbers moved a little. They have symbols of HGNC and ids that look like Ensembl's. Every method ranks all genes and kinds. The tables
of measured effects, the ledger and the cells stay as they are, so such a campaign can be shown, and not played on.
"""

import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy import stats

from perturbloop.data.hgnc import symbols
from perturbloop.schema import METHODS
from perturbloop.store.files import read_table, write_table

FIRST = 90_000_000
"""Number in the first made-up id, above all real ones."""
UNITS = ("effect", "ci_low", "ci_high", "logit_shift")
"""Columns of the ranking that move together."""
STALE = ("report.html", "ranking.csv", "ranking.xlsx", "geneformer_delete.csv", "geneformer_overexpress.csv")


def inflate(folder: Path, *, n_genes: int, n_methods: int, rng: np.random.Generator) -> None:
    """Put genes into the tables of a round.

    Parameters
    ----------
    folder
        Folder of the round.
    n_genes, n_methods
        How many genes and methods there will be, with those that are there.
    rng
        Source of the numbers.
    """
    tables = {
        name: read_table(folder / f"{name}.parquet")
        for name in ("ranking", "posterior", "predictions", "metrics", "de")
    }
    ranking = tables["ranking"]
    named = ranking.drop_duplicates("gene_id").set_index("gene_id")["gene_name"]
    fresh = new_genes(named, n_genes)
    unspent = ranking.groupby("gene_id")["status"].agg(lambda status: not status.eq("spent").any())
    like = pd.Series(rng.choice(unspent.index[unspent], len(fresh)), index=fresh.index)
    moved = {
        kind: pd.Series(rng.normal(0, 0.1, len(fresh)), index=fresh.index)
        for kind in ranking["kind"].unique()
    }
    tables["posterior"] = of_posterior(tables["posterior"], fresh, like, moved)
    tables["ranking"] = of_ranking(ranking, tables["posterior"], fresh, like, moved, rng)
    tables["de"] = pd.concat([tables["de"], as_like(tables["de"], like)], ignore_index=True)
    methods = method_names(tables["predictions"], n_methods)
    tables["predictions"] = predictions(tables["ranking"], methods, tables["predictions"], rng)
    tables["metrics"] = metrics(tables["metrics"], methods)
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table)
    for name in STALE:
        (folder / name).unlink(missing_ok=True)


def new_genes(named: pd.Series, n_genes: int) -> pd.Series:
    """Symbols of further genes, by id."""
    taken = set(named.str.upper())
    names = [row[0] for row in symbols().rows if row[0] not in taken][: n_genes - len(named)]
    names += [f"AC{place:06d}.1" for place in range(n_genes - len(named) - len(names))]
    return pd.Series(names, index=[f"ENSG{FIRST + place:011d}" for place in range(len(names))])


def as_like(table: pd.DataFrame, like: pd.Series) -> pd.DataFrame:
    """Rows of the genes that others are like, with the ids of the others."""
    pairs = like.rename("template").rename_axis("fresh").reset_index()
    rows = pairs.merge(table, left_on="template", right_on="gene_id")
    return rows.assign(gene_id=rows["fresh"])[table.columns]


def of_ranking(
    ranking: pd.DataFrame,
    posterior: pd.DataFrame,
    fresh: pd.Series,
    like: pd.Series,
    moved: dict[str, pd.Series],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The ranking with further genes, best first."""
    rows = as_like(ranking, like)
    rows["gene_name"] = rows["gene_id"].map(fresh)
    by = noise(rows, moved)
    rows = rows.assign(**{name: rows[name].astype(float) + by for name in UNITS})
    for name in ("pvalue", "padj", "de_padj"):
        rows[name] = (rows[name].astype(float) * rng.lognormal(0, 0.5, len(rows))).clip(upper=1)
    rows["detection"] = (rows["detection"] * rng.uniform(0.5, 1.1, len(rows))).clip(upper=1)
    every = pd.concat([ranking, rows.assign(benefit=rows["logit_shift"])], ignore_index=True)
    keys = ["gene_id", "kind"]
    belief = posterior.set_index(keys)["probability"].reindex(pd.MultiIndex.from_frame(every[keys]))
    by_belief = every["ranked_by"].ne("logit_shift") & belief.notna().to_numpy()
    every["benefit"] = every["benefit"].where(~by_belief, belief.to_numpy())
    return every.sort_values(["kind", "benefit"], ascending=[True, False], kind="stable", ignore_index=True)


def of_posterior(
    posterior: pd.DataFrame, fresh: pd.Series, like: pd.Series, moved: dict[str, pd.Series]
) -> pd.DataFrame:
    """What measured genes say of the further ones."""
    rows = as_like(posterior, like)
    rows["gene_name"] = rows["gene_id"].map(fresh)
    by = noise(rows, moved)
    every = pd.concat([posterior, rows.assign(mean=rows["mean"] + by)], ignore_index=True)
    beyond = (every["threshold"] - every["mean"]) / every["sd"]
    return every.assign(probability=stats.norm.sf(beyond.to_numpy(float)))


def noise(rows: pd.DataFrame, moved: dict[str, pd.Series]) -> np.ndarray:
    """By how much each gene and kind differs from the gene that it is like."""
    return np.array([moved[kind][gene] for gene, kind in zip(rows["gene_id"], rows["kind"], strict=True)])


def method_names(table: pd.DataFrame, n_methods: int) -> list[str]:
    """Methods that were there, then others."""
    return list(dict.fromkeys([*table["method"], *(one.name for one in METHODS)]))[:n_methods]


def predictions(
    ranking: pd.DataFrame, methods: list[str], old: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """A full ranking of all genes by each method and kind, that of the ranking by its own, and what was predicted of held-out folds."""
    genes, kinds = ranking["gene_id"].unique(), ranking["kind"].unique()
    parts = [
        pd.DataFrame(
            {
                "method": method,
                "kind": kind,
                "gene_id": genes,
                "score": rng.normal(size=len(genes)),
                "fold": -1,
            }
        )
        for method in methods
        for kind in kinds
    ]
    every = pd.concat(parts, ignore_index=True)
    keys = ["kind", "gene_id"]
    own = ranking[ranking["benefit"].notna()].set_index(keys)
    for name in own["ranked_by"].unique():
        rows = own[own["ranked_by"].eq(name)]
        by = rows["benefit"].reindex(pd.MultiIndex.from_frame(every[keys])).to_numpy()
        is_it = every["method"].eq("frozen" if name == "logit_shift" else name) & ~np.isnan(by)
        every["score"] = every["score"].where(~is_it, by)
    return pd.concat([every, old[old["fold"].ge(0)]], ignore_index=True)


def metrics(table: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Scores of methods that have none are those of the first."""
    first = table[table["method"].eq(table["method"].iloc[0])]
    missing = [name for name in methods if name not in set(table["method"])]
    return pd.concat([table, *(first.assign(method=name) for name in missing)], ignore_index=True)


def main(
    campaign: Annotated[Path, typer.Argument(help="A played campaign with something measured.")],
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    genes: Annotated[int, typer.Option(help="Genes of the last round.")] = 20_000,
    methods: Annotated[int, typer.Option(help="Methods that rank them.")] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the numbers.")] = 0,
) -> None:
    """Copy a campaign and put many genes into its last round."""
    shutil.copytree(campaign, out, ignore=shutil.ignore_patterns("shifts", "models"))
    last = max(path.parent for path in (out / "rounds").glob("*/evaluate.json"))
    inflate(last, n_genes=genes, n_methods=methods, rng=np.random.default_rng(seed))
    print(f"{out}: {genes:,} genes by {methods} methods in {last.name}")


if __name__ == "__main__":
    typer.run(main)
