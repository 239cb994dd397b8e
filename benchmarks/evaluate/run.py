"""Is the judging of a genome-wide screen faster in one checkout than in another, and are the numbers the same?

    python benchmarks/evaluate/run.py OLD NEW                       # 18,000 genes, one screen, all methods and rules
    python benchmarks/evaluate/run.py OLD NEW --kind delete --kind overexpress

Both read the same generated tables (`inputs.py`) and judge them as a round does (`work.py`), in processes of their own, on one
core, one after the other. Prints seconds of CPU by step, the ratio old : new, and how far the tables differ.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

sys.path.insert(0, str(Path(__file__).parent))
from inputs import MODALITIES, write_inputs
from work import KEYS


def judged(checkout: Path, inputs: Path, out: Path, bootstrap: int) -> dict[str, float]:
    """Seconds of each step by the code of a checkout, whose tables lie in `out` afterwards."""
    out.mkdir(exist_ok=True)
    own = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    work = Path(__file__).with_name("work.py")
    subprocess.run([sys.executable, str(work), str(inputs), str(out), str(bootstrap)], env=own, check=True)
    return dict(json.loads((out / "seconds.json").read_text()))


def difference(old: pd.DataFrame, new: pd.DataFrame, keys: list[str]) -> tuple[float, int, int]:
    """Largest difference of a number in rows that both have, cells that differ otherwise, and rows that one lacks."""
    both = old.merge(new, on=keys, how="outer", suffixes=(" old", " new"), indicator=True, validate="1:1")
    alone = int((both["_merge"] != "both").sum())
    both = both[both["_merge"] == "both"]
    largest, other = 0.0, 0
    for name in old.columns.difference(keys):
        first, second = both[f"{name} old"], both[f"{name} new"]
        if pd.api.types.is_float_dtype(first):
            other += int((first.isna() != second.isna()).sum())
            largest = max(largest, float(np.nan_to_num((first - second).abs()).max(initial=0.0)))
        else:
            other += int((first != second).sum())
    return largest, other, alone


def main(
    old: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Checkout to compare with.")],
    new: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Checkout in question.")],
    genes: Annotated[int, typer.Option(min=200, help="Genes of the screen.")] = 18_000,
    kind: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(MODALITIES)}.")] = None,
    bootstrap: Annotated[int, typer.Option(min=1, help="Bootstrap samples.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the tables.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Where tables are kept; nowhere by default.")] = None,
) -> None:
    """Judge one generated screen by both checkouts."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        inputs = folder / "inputs"
        inputs.mkdir(parents=True, exist_ok=True)
        write_inputs(inputs, n_genes=genes, kinds=tuple(kind or ("delete",)), seed=seed)
        places = {"old": old.resolve(), "new": new.resolve()}
        seconds = {name: judged(place, inputs, folder / name, bootstrap) for name, place in places.items()}
        typer.echo("step            old s    new s   old : new   largest difference   other   rows of one")
        for step, keys in KEYS.items():
            tables = [pd.read_parquet(folder / name / f"{step}.parquet") for name in places]
            largest, other, alone = difference(*tables, keys)
            first, second = (seconds[name][step] for name in places)
            ratio = f"{first:9.1f} {second:8.2f} {first / second:9.1f} ×"
            typer.echo(f"{step:12} {ratio} {largest:20.1e} {other:7} {alone:13}")
        first, second = (sum(of_steps.values()) for of_steps in seconds.values())
        typer.echo(f"{'all':12} {first:9.1f} {second:8.2f} {first / second:9.1f} ×")


if __name__ == "__main__":
    typer.run(main)
