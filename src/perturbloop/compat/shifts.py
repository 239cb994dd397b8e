"""Shifts toward several states, of every gene or of a set of genes, and `compat="geneformer"`: the published tool's way.

Use `compat="geneformer"` to compare with published runs. Its quirks: cells are processed longest first; a set of
genes that is overexpressed cuts the unedited cell too, by a count that is too large near the length limit; the second
generation inserts at index 1 of what is left of the cell once the listed genes are out, and keeps the last token when
it cuts, whether or not the data have special tokens.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.data.tokens import Tokens
from perturbloop.models.geneformer import Geneformer, Pooling
from perturbloop.perturb.edit import Row, delete, overexpress
from perturbloop.schema import Compat, Kind
from perturbloop.stats.shift import shift_to_states


def processing_order(tokens: Tokens, *, max_cells: int | None = None) -> np.ndarray:
    """Return the rows in the order in which the published tool processes them: longest first.

    With more cells than `max_cells` it first shuffles with seed 42 and takes that many.
    """
    rows = np.arange(tokens.n_cells)
    if max_cells is not None and tokens.n_cells > max_cells:
        rows = np.random.default_rng(42).permutation(tokens.n_cells)[:max_cells]
    return rows[np.argsort(-tokens.length_n[rows], kind="stable")]


def shifts_by_state(
    model: Geneformer,
    tokens: Tokens,
    *,
    kind: Kind,
    states: dict[str, Float[np.ndarray, " d"]] | None,
    genes: Sequence[int] | None = None,
    compat: Compat = None,
    max_cells: int | None = None,
    batch_tokens: int = 16384,
) -> pd.DataFrame:
    """Edit every expressed gene, or one set of genes together, and measure each cell's shift toward each state.

    Positive moves the cell toward the state.

    Parameters
    ----------
    model
        Encoder, its pooling and layer.
    tokens
        Cells of the start state.
    kind
        delete or overexpress. A set is deleted only from cells that express all of it, and put in front of any cell.
    states
        Mean embedding per state; `None` gives similarities instead of shifts.
    genes
        Tokens edited *together*; every expressed gene one by one where it is `None`.
    compat
        `"geneformer"` repeats the published tool's order of cells and its cutting at the length limit.
    max_cells
        Most cells to use.
    batch_tokens
        Tokens in a batch.

    Returns
    -------
    Columns `cell` (row of the tokens), `position` (index of the edited token; -1 for a set), `token` (-1 for a
    set), `state`, `shift`. Without states `state` is '(none)' and `shift` is a cosine *similarity*, 1 = no effect.
    The first gene of a cell is not overexpressed: it is in front already.
    """
    cells = np.arange(tokens.n_cells)[:max_cells]
    if compat == "geneformer":
        cells = processing_order(tokens, max_cells=max_cells)
    originals, rows, keys = [], [], []
    for cell in cells:
        row = tokens.row(cell)
        edits = (
            _all(row, kind, tokens.has_cls)
            if genes is None
            else _together(row, kind, tuple(genes), model, tokens, compat)
        )
        for position, original, perturbed in edits:
            originals.append(original)
            rows.append(perturbed)
            keys.append((int(cell), position, -1 if position < 0 else int(row[position])))
    frame = pd.DataFrame(keys, columns=["cell", "position", "token"])
    unique = {original.tobytes(): original for original in originals}
    if states is None:
        before = dict(zip(unique, model.hidden(unique.values(), batch_tokens=batch_tokens), strict=True))
        after = model.hidden(rows, batch_tokens=batch_tokens)
        similarity = [
            _similarity(
                before[original.tobytes()],
                after_td,
                *_unedited(original, perturbed, position, kind, tuple(genes or ())),
                pooling=model.pooling,
            )
            for original, perturbed, after_td, position in zip(
                originals, rows, after, frame["position"], strict=True
            )
        ]
        return frame.assign(state="(none)", shift=similarity)
    perturbed_pd = model.embed(rows, batch_tokens=batch_tokens).astype(np.float64)
    embedded = model.embed(list(unique.values()), batch_tokens=batch_tokens).astype(np.float64)
    place = {key: number for number, key in enumerate(unique)}
    original_pd = embedded[[place[original.tobytes()] for original in originals]]
    state_sd = np.stack([np.asarray(vector, dtype=np.float64) for vector in states.values()])
    shift_ps = shift_to_states(original_pd, perturbed_pd, state_sd)
    return pd.concat(
        [frame.assign(state=state, shift=shift_ps[:, column]) for column, state in enumerate(states)],
        ignore_index=True,
    )


def _similarity(
    before_td: np.ndarray, after_td: np.ndarray, kept: np.ndarray, kept_after: np.ndarray, *, pooling: Pooling
) -> float:
    """Cosine of `<cls>`, or the mean cosine over the genes that were not edited, each beside itself."""
    if pooling == "cls":
        kept = kept_after = np.zeros(1, dtype=int)
    before_td, after_td = before_td[kept], after_td[kept_after]
    cosine_t = (before_td * after_td).sum(axis=1)
    return float((cosine_t / np.linalg.norm(before_td, axis=1) / np.linalg.norm(after_td, axis=1)).mean())


def _unedited(
    original: Row, perturbed: Row, position: int, kind: Kind, genes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the genes that were not edited, before and after; what a cut took from one is left out of both."""
    if position >= 0:
        before = np.delete(np.arange(len(original)), position)
        after = np.arange(len(perturbed))[int(kind == "overexpress") :]
    else:
        before, after = (np.flatnonzero(~np.isin(row, genes)) for row in (original, perturbed))
    both = min(len(before), len(after))
    return before[:both], after[:both]


def _all(row: Row, kind: Kind, has_cls: bool) -> list[tuple[int, Row, Row]]:
    """Every expressed gene alone, by position: a token that occurs twice in a row is edited once at a time."""
    first = int(has_cls)
    start = first if kind == "delete" else first + 1
    edits = []
    for position in range(start, len(row) - first):
        rest = np.delete(row, position)
        front = row[[position]] if kind == "overexpress" else row[:0]
        edits.append((position, row, np.concatenate([rest[:first], front, rest[first:]])))
    return edits


def _together(
    row: Row, kind: Kind, genes: tuple[int, ...], model: Geneformer, tokens: Tokens, compat: Compat
) -> list[tuple[int, Row, Row]]:
    """All listed genes at once; a deletion needs a cell that expresses every one of them."""
    absent = sum(gene not in row for gene in genes)
    if kind == "delete":
        return [] if absent else [(-1, row, delete(row, genes))]
    limit = model.vocabulary.max_length
    special = model.vocabulary.has_cls if compat == "geneformer" else tokens.has_cls
    perturbed = _behind_first(row, genes) if special else overexpress(row, genes)
    perturbed = _cut(perturbed, len(perturbed) - limit, keep_last=special)
    over = min(len(row) + absent, limit) + absent - limit if compat == "geneformer" else 0
    return [(-1, _cut(row, over, keep_last=tokens.has_cls), perturbed)]


def _behind_first(row: Row, genes: tuple[int, ...]) -> Row:
    """Take genes out, wherever they stand, and put them in behind the first token that is left, in the order given."""
    rest = delete(row, genes).tolist()
    for gene in reversed(genes):  # as published: where nothing is left, the last of the list comes first
        rest.insert(1, gene)
    return np.array(rest, dtype=row.dtype)


def _cut(row: Row, over: int, *, keep_last: bool) -> Row:
    """Shorten a row by `over` tokens at its end, keeping `<eos>` if asked."""
    if over <= 0:
        return row
    return np.concatenate([row[: len(row) - over - 1], row[-1:]]) if keep_last else row[: len(row) - over]
