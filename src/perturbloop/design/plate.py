"""A batch on plates: one gene a well, its guides from the library, and the controls that the batch is read by."""

from collections.abc import Sequence

import pandas as pd

from perturbloop.data.library import GuideLibrary

WELLS = {96: (8, 12), 384: (16, 24)}
"""Rows and columns of a plate, by its number of wells."""
MOST_GUIDES = 4
"""Guides of a gene that share its well: what the usual libraries hold."""
COLUMNS = (
    "plate",
    "well",
    "role",
    "gene_name",
    "gene_id",
    "action",
    "guides",
    "sequences",
    "probability",
    "ci_low",
    "ci_high",
    "reason",
    "flags",
)
"""Columns of a plate: number of the plate and well (A1 to H12 by rows); role: target, non-targeting or positive control; names and
sequences of the guides, divided by semicolons, empty without a library; the others as in PROPOSALS."""


def wells(n: int) -> list[tuple[int, str]]:
    """Plate and well of each of n samples, by rows; plates of 96 wells while one is enough, else of 384.

    >>> wells(2), wells(96)[-1], wells(97)[24], wells(400)[-1]
    ([(1, 'A1'), (1, 'A2')], (1, 'H12'), (1, 'B1'), (2, 'A16'))
    """
    size = 96 if n <= 96 else 384
    _, columns = WELLS[size]
    return [
        (place // size + 1, f"{chr(ord('A') + place % size // columns)}{place % size % columns + 1}")
        for place in range(n)
    ]


def plate(
    proposals: pd.DataFrame,
    *,
    library: GuideLibrary | None = None,
    positives: Sequence[tuple[str, str, str]] = (),
    controls: int = 4,
) -> pd.DataFrame:
    """Lay a batch out, best gene first, controls last.

    Parameters
    ----------
    proposals
        PROPOSALS rows of one policy.
    library
        Guides; without it the wells name genes only.
    positives
        Ensembl id, symbol and action of genes known to act, first to last: at most `controls` of them are put on the plate, and
        none that the batch holds already.
    controls
        Wells with a guide that hits no gene.

    Returns
    -------
    Columns `COLUMNS`, a row for each well.
    """
    own = set(proposals["gene_id"])
    known = [entry for entry in positives if entry[0] not in own][:controls]
    extra = pd.DataFrame(known, columns=["gene_id", "gene_name", "action"]).assign(role="positive control")
    none = pd.DataFrame({"gene_name": [f"non-targeting {n + 1}" for n in range(controls)]}).assign(
        role="non-targeting", gene_id="", action=""
    )
    rows = pd.concat([proposals.assign(role="target"), extra, none], ignore_index=True)
    place = wells(len(rows))
    names, sequences = zip(*_guides(rows, library), strict=True) if len(rows) else ((), ())
    rows = rows.assign(
        plate=[number for number, _ in place],
        well=[well for _, well in place],
        guides=names,
        sequences=sequences,
    )
    rows = rows.reindex(columns=list(COLUMNS))
    texts = ["gene_id", "action", "guides", "sequences", "reason", "flags"]
    return rows.assign(**{name: rows[name].fillna("") for name in texts})


def _guides(rows: pd.DataFrame, library: GuideLibrary | None) -> list[tuple[str, str]]:
    """Names and sequences of the guides of each well."""
    if library is None:
        return [("", "")] * len(rows)
    of_gene = {gene: part.head(MOST_GUIDES) for gene, part in library.guides.groupby("gene_id", sort=False)}
    free = iter(library.controls.itertuples(index=False))
    found = []
    for row in rows.itertuples():
        if row.role == "non-targeting":
            guide = next(free, None)
            found.append(("", "") if guide is None else (str(guide.guide_id), str(guide.sequence)))
            continue
        own = of_gene.get(row.gene_id)
        found.append(("", "") if own is None else (_joined(own["guide_id"]), _joined(own["sequence"])))
    return found


def _joined(values: pd.Series) -> str:
    return ";".join(value for value in values if value)
