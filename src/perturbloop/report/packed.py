"""A long grid as it stands in the frozen report: columns of texts, each text once, for the page's own script to draw from."""

import json
from typing import Any

from markupsafe import Markup

from perturbloop.report.layout import Grid

FEW = 0.5
"""Share of different texts in a column below which they are numbered."""


def packed(grid: Grid, linked: Any) -> Markup:
    """Return all rows of a grid as JSON that can stand in a page.

    Parameters
    ----------
    grid
        A grid that knows how to make all its rows.
    linked
        Whether an id is linked.

    Returns
    -------
    `columns`: of each column its texts in the order of the rows, or `words`, and `codes` that number them; `ids`: Ensembl ids behind
    the rows, empty where nothing is linked. No letter of it can end the element it stands in.
    """
    whole = grid.every() if grid.every else grid
    columns = [_column([row[place] for row in whole.rows]) for place in range(len(whole.columns))]
    ids = [gene_id if linked(gene_id) else "" for gene_id in whole.gene_ids]
    text = json.dumps({"columns": columns, "ids": ids}, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _column(texts: list[str]) -> Any:
    words = list(dict.fromkeys(texts))
    if len(words) > FEW * len(texts):
        return texts
    code = {word: place for place, word in enumerate(words)}
    return {"words": words, "codes": [code[text] for text in texts]}
