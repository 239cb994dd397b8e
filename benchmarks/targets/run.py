"""Time and memory of `perturbloop targets` on a generated round of many genes, with files of compounds as published.

`python benchmarks/targets/run.py ROUND DRUGS CATEGORIES [GENES]`: ROUND is the folder of a played round (`rounds/001` of a campaign, such as
that of `perturbloop demo`), whose tables are replaced by large ones; DRUGS and CATEGORIES are DGIdb's interactions.tsv and categories.tsv;
symbols are HGNC's, so that they meet them. One line of JSON: rows, seconds of the command in a process of its own, of the clock and of the processor, and its peak memory.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.hgnc import symbols
from perturbloop.schema import ACTION, EFFECTS, POSTERIOR, PREDICTIONS, RANKING

COMMAND = """
import resource, sys, time
start = time.monotonic()
from perturbloop.report.targets import csv_of, target_lines, targets_of
from pathlib import Path
found, notes = targets_of(Path(sys.argv[1]), drugs=[Path(sys.argv[2])], categories=[Path(sys.argv[3])])
lines = target_lines(found, notes, 80)
csv_of(found.targets)
print(len(found.targets), len(found.compounds), len(lines), max(map(len, lines)), time.monotonic() - start, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


def made(folder: Path, source: Path, n_genes: int) -> None:
    """A round like `source`, a played one, whose tables hold many genes."""
    rng = np.random.default_rng(0)
    names = [row[0] for row in symbols().rows][:n_genes]
    ids = [f"ENSG{place:011d}" for place in range(n_genes)]
    for path in source.iterdir():
        if path.suffix in (".json", ".parquet"):
            (folder / path.name).write_bytes(path.read_bytes())
    genes = pd.DataFrame({"gene_id": ids, "gene_name": names})
    parts, scores, beliefs = [], [], []
    for kind in ("delete", "overexpress"):
        effect = rng.normal(size=n_genes)
        rows = genes.assign(
            kind=kind,
            action=ACTION[kind],
            benefit=rng.random(n_genes),
            ranked_by="posterior",
            effect=effect,
            ci_low=effect - 1,
            ci_high=effect + 1,
            call="none",
            logit_shift=rng.normal(size=n_genes),
            n_cells=20,
            log2fc=rng.normal(size=n_genes),
            de_padj=rng.random(n_genes) ** 3,
            flags="",
            status="scored",
            detection=0.4,
        )
        parts.append(rows.reindex(columns=RANKING.names))
        for method in ("frozen", "de", "de-isp"):
            score = genes[["gene_id"]].assign(
                method=method, kind=kind, score=rng.normal(size=n_genes), fold=-1
            )
            scores.append(score.reindex(columns=PREDICTIONS.names))
        belief = genes.assign(kind=kind, mean=effect, sd=0.5, neighbors="+0.21 by JAK2")
        beliefs.append(belief.reindex(columns=POSTERIOR.names))
    pd.concat(parts).sort_values(["kind", "benefit"], ascending=[True, False]).to_parquet(
        folder / "ranking.parquet"
    )
    pd.concat(scores).to_parquet(folder / "predictions.parquet")
    pd.concat(beliefs).to_parquet(folder / "posterior.parquet")
    effects = pd.read_parquet(source / "effects.parquet").reindex(columns=EFFECTS.names)
    drawn = dict(zip(effects["gene_id"].unique(), rng.permutation(ids), strict=False))
    effects.assign(gene_id=effects["gene_id"].map(drawn)).to_parquet(folder / "effects.parquet")


def main() -> None:
    """Make the round, run the command, print what it cost."""
    played, drugs, categories = (Path(one) for one in sys.argv[1:4])
    n_genes = int(sys.argv[4]) if len(sys.argv) > 4 else 20_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study" / "rounds" / "001"
        folder.mkdir(parents=True)
        made(folder, played, n_genes)
        line = [sys.executable, "-c", COMMAND, str(folder), str(drugs), str(categories)]
        env = os.environ | {"OMP_NUM_THREADS": "1", "PERTURBLOOP_HOME": os.devnull}
        told = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout.split()
    names = ("targets", "compounds", "lines", "widest_line", "seconds", "cpu_seconds", "gigabytes")
    print(json.dumps({"genes": n_genes} | dict(zip(names, map(float, told), strict=True))))


if __name__ == "__main__":
    main()
