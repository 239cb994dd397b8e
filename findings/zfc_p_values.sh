#!/usr/bin/env bash
# ZFC 0.2.1 (z-scores of log fold changes of a pooled CRISPR screen): its p-values are those of the nearer tail.
#
# Guess, written down before the run: "p" is two-sided, so that of a screen in which nothing happens 5 % of the guides have p < 0.05, and
# the largest p is near 1. The README gives the fold change as reference over experiment, so a guide that doubles has a negative one.
# Seen: the largest p is below 0.5, and a fifth of the guides have p < 0.05, four times as many as a reader of the column expects. Half of that
# is the nearer tail; the other half comes from standard deviations that are learnt from the middle 90 % of the fold changes alone, which makes
# every z-score a quarter too large. The fold change is experiment over reference: a guide that doubles has a positive one, though less
# than 1 on the log2 scale, because the mean of the smallest counts is added to both sides.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q zfc==0.2.1 numpy==1.26.4 pandas==2.2.3 scipy==1.13.1 scikit-learn==1.5.2 matplotlib==3.9.2
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pandas as pd
from zfc.zfoldchange import zfoldchange

rng = np.random.default_rng(0)
guides = [f"guide{number}" for number in range(4000)]
level = rng.gamma(20, 25, 4000)
table = pd.DataFrame({"gene": [f"gene{number // 4}" for number in range(4000)], "guide": guides, "barcode": guides})
nothing = table.assign(ctrl=rng.poisson(level).astype(float), exp=rng.poisson(level).astype(float))
barcodes, *_ = zfoldchange(nothing.copy(), iteration=10)
share, largest = float((barcodes["p"] < 0.05).mean()), float(barcodes["p"].max())
doubled = nothing.assign(exp=np.where(table["gene"] == "gene7", 2 * nothing["ctrl"], nothing["exp"]))
barcodes, *_ = zfoldchange(doubled.copy(), iteration=10)
change = float(barcodes.loc["gene7", "lfc"].mean())
print(f"zfc {version('zfc')}: nothing happens: {share:.1%} of guides have p < 0.05, the largest p is {largest:.3f}; doubled: log2 fold change {change:+.2f}")
assert 0.16 < share < 0.23 and 0.45 < largest <= 0.5, "p is no longer that of the nearer tail of an inflated z"
assert 0.5 < change < 1, "the fold change is no longer experiment over reference"
PYTHON
