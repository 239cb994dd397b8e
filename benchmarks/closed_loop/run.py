"""Does closing the loop help? Every method, baseline and control on simulated worlds whose answer is known.

    python benchmarks/closed_loop/run.py OUT

plays the campaign of `perturbloop demo` on each network and judges all methods on the same genes by the true effects:
genes that no method was trained on. A killed run goes on where it stopped. Writes `results.csv` and `summary.md` to OUT.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from perturbloop.loop.demo import demo

FIRST_SEED = 10
"""Networks 0 to 7 were looked at while the head and the evidence channel were written; these were not."""
REFERENCE = "frozen"


def play_all(out: Path, networks: int, misleading: int) -> pd.DataFrame:
    """Play one campaign per network; the last `misleading` of them have co-expression that misleads."""
    parts = []
    for number in range(networks + misleading):
        seed, misled = FIRST_SEED + number, number >= networks
        tree, _, _ = demo(out / f"network-{seed}", seed=seed, misleading=misled, on_progress=lambda *_: None)
        table = pd.DataFrame(tree["answer"]).assign(network=seed, misleading=misled)
        losses = tree["pretraining"]["held_out"][0]
        parts.append(table.assign(loss=losses["loss"], unigram=losses["unigram"]))
        best = table.sort_values("auroc", ascending=False).iloc[0]
        typer.echo(f"network {seed}: {best['n_hits']} hits of {best['n_genes']} genes; best {best['title']}")
        pd.concat(parts).to_csv(out / "results.csv", index=False)
    return pd.concat(parts, ignore_index=True)


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over networks of each method, and of its paired difference from the open loop."""
    wide = results.pivot_table("auroc", index="network", columns="method")
    gain = wide.sub(wide[REFERENCE], axis=0)
    order = results.drop_duplicates("method").set_index("method")["title"]
    precision = results.pivot_table("average_precision", index="network", columns="method")
    return pd.DataFrame(
        {
            "method": order,
            "AUROC": [_spread(wide[name]) for name in order.index],
            "average precision": [_spread(precision[name]) for name in order.index],
            f"AUROC against {REFERENCE}": [_spread(gain[name]) for name in order.index],
            "better in": [f"{int((gain[name] > 0).sum())} of {len(gain)}" for name in order.index],
        }
    )


def _markdown(table: pd.DataFrame) -> list[str]:
    rows = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return [f"| {' | '.join(row)} |" for row in rows]


def _spread(values: pd.Series) -> str:
    return f"{values.mean():+.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else f"{values.iloc[0]:+.3f}"


def main(
    out: Annotated[Path, typer.Argument(help="Folder of campaigns and results.")],
    networks: Annotated[int, typer.Option(help="Networks whose co-expression follows the modules.")] = 8,
    misleading: Annotated[int, typer.Option(help="Networks whose co-expression misleads, besides.")] = 4,
) -> None:
    """Play, judge, and write the tables."""
    out.mkdir(parents=True, exist_ok=True)
    results = play_all(out, networks, misleading)
    lines = []
    for misled, rows in results.groupby("misleading"):
        prevalence = (rows["n_hits"] / rows["n_genes"]).mean()
        lines += [
            f"{'Misleading' if misled else 'Plain'} networks: {rows['network'].nunique()}; prevalence {prevalence:.3f}; "
            "mean ± sd over networks.",
            "",
            *_markdown(summarize(rows)),
            "",
        ]
    (out / "summary.md").write_text("\n".join(lines))
    typer.echo("\n".join(lines))


if __name__ == "__main__":
    typer.run(main)
