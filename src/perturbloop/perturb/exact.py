"""The exact engine: every edited cell is encoded anew. It is the reference for anything faster."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from perturbloop.data.tokens import Tokens
from perturbloop.models.base import TokenModel
from perturbloop.models.readout import Readout
from perturbloop.perturb.cost import Footprint, encoder_footprint
from perturbloop.perturb.edit import Row
from perturbloop.perturb.engine import Engine, OnRows, Readings
from perturbloop.perturb.first_layer import LEAST_EDITS, SharedFirstLayer
from perturbloop.perturb.kept import Encodings, Kept
from perturbloop.perturb.plan import Plan
from perturbloop.schema import Kind, Precision

Result = TypeVar("Result")


class ExactEngine(Engine):
    """Encodes rows and reads them, at one precision and within a budget of tokens a batch."""

    model: TokenModel

    def __init__(
        self,
        model: TokenModel,
        readout: Readout,
        *,
        precision: Precision = "float32",
        batch_tokens: int = 16384,
        kept: Kept | None = None,
    ) -> None:
        """Put the weights and the readout where they are used.

        Parameters
        ----------
        model
            Encoder, its pooling and layer.
        readout
            Goal state and state head in its embedding space.
        precision
            Arithmetic of the encoder; pooling and readout are float32 and float64.
        batch_tokens
            Tokens in a batch; halved by itself where the device's memory is too small.
        kept
            Where encodings of these cells are kept, for other heads on the same encoder.
        """
        self.model, self.readout = model, readout
        self.precision, self.batch_tokens, self.kept = precision, batch_tokens, kept
        self.encoder = model.encoder(precision)
        self._goal = torch.from_numpy(readout.direction_d).to(model.device)
        self._weight = torch.from_numpy(readout.weight_d.astype(np.float64)).to(model.device)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the weights that the encoder takes from the model, which travel once, and what is kept on this machine."""
        return {name: value for name, value in self.__dict__.items() if name != "encoder"} | {"kept": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take them from the model again."""
        self.__dict__.update(state)
        self.encoder = self.model.encoder(self.precision)

    def unedited(self, tokens: Tokens, cells: np.ndarray) -> Readings:
        """Read cells as they are."""

        def encode(places: np.ndarray) -> Encodings:
            return self.encode([tokens.row(cell) for cell in cells[places]])

        everything = np.arange(len(cells))
        if self.kept is None:
            return self._readings(encode(everything))
        nothing = np.full(len(cells), "", dtype=object)
        return self._readings(self.kept.filled(cells, nothing, 0 * cells, encode)[0])

    def edited(
        self, tokens: Tokens, plan: Plan, edits: pd.DataFrame, *, on_rows: OnRows | None = None
    ) -> Readings:
        """Encode every edited cell; the result does not depend on the token budget beyond rounding.

        Parameters
        ----------
        tokens, plan, edits, on_rows
            As in `Engine.edited`.

        Returns
        -------
        As `Engine.edited` returns them.
        """
        if self.kept is None:
            return self._readings(self._encode_edits(tokens, plan, edits, on_rows))
        emb_pd, n_there = self.kept.filled(
            edits["cell"].to_numpy(int),
            edits["kind"].to_numpy(),
            edits["token"].to_numpy(int),
            lambda places: self._encode_edits(tokens, plan, edits.iloc[places], on_rows),
        )
        if on_rows is not None and n_there:
            on_rows(n_there)
        return self._readings(emb_pd)

    def _encode_edits(
        self, tokens: Tokens, plan: Plan, edits: pd.DataFrame, on_rows: OnRows | None
    ) -> Encodings:
        emb_pd = np.empty((len(edits), self.model.dim), dtype=np.float32)
        limit = self.model.vocabulary.max_length
        number_p = np.arange(len(edits))
        rest = []
        for (cell, kind), group in edits.assign(number=number_p).groupby(["cell", "kind"], sort=False):
            places, numbers = group["position"].to_numpy(int), group["number"].to_numpy(int)
            if _shareable(self, tokens, plan, int(cell), kind, places):
                edge = int(tokens.has_cls)
                emb_pd[numbers] = self.encode_single(
                    tokens.row(cell), kind, places + edge, edge=edge, on_rows=on_rows
                )
            else:
                rest.append(numbers)
        if rest:
            chosen = np.sort(np.concatenate(rest))
            part = edits.iloc[chosen]
            rows = [
                plan.row(tokens, cell, kind, token, limit)
                for cell, kind, token in zip(part["cell"], part["kind"], part["token"], strict=True)
            ]
            emb_pd[chosen] = self.encode(rows, on_rows=on_rows)
        return emb_pd

    def at_full_precision(self) -> "ExactEngine":
        """Return the same engine in float32."""
        return ExactEngine(self.model, self.readout, batch_tokens=self.batch_tokens)

    def apart(self) -> "ExactEngine":
        """Return the same engine without kept encodings."""
        found = copy.copy(self)
        found.kept = None
        return found

    def footprint(self, tokens: Tokens) -> Footprint:
        """Floating-point operations of one pass of each cell, and bytes of a batch above the model."""
        return encoder_footprint(self.encoder.shape, tokens, batch_tokens=self.batch_tokens)

    def read(self, rows: Sequence[Row], *, on_rows: OnRows | None = None) -> Readings:
        """Encode rows of any length and read them."""
        return self._readings(self.encode(rows, on_rows=on_rows))

    def encode(self, rows: Sequence[Row], *, on_rows: OnRows | None = None) -> Encodings:
        """Encode rows of any length; those of equal length share a batch, so nothing is padded."""
        emb_nd = np.empty((len(rows), self.model.dim), dtype=np.float32)
        length_n = np.array([len(row) for row in rows])
        for length in np.unique(length_n):
            places, start = np.flatnonzero(length_n == length), 0
            while start < len(places):
                part = places[start : start + max(1, self.batch_tokens // int(length))]
                batch = np.stack([rows[place] for place in part]).astype(np.int64)
                found = self.within_memory(partial(self._encode_tokens, batch), rows=len(part))
                if found is not None:
                    emb_nd[part] = found
                    start += len(part)
                    if on_rows is not None:
                        on_rows(len(part))
        return emb_nd

    def read_single(
        self, row: Row, kind: Kind, places: np.ndarray, *, edge: int, on_rows: OnRows | None = None
    ) -> Readings:
        """Encode many single-gene edits of one cell as `encode_single` does, and read them."""
        return self._readings(self.encode_single(row, kind, places, edge=edge, on_rows=on_rows))

    def encode_single(
        self, row: Row, kind: Kind, places: np.ndarray, *, edge: int, on_rows: OnRows | None = None
    ) -> Encodings:
        """Encode many single-gene edits of one cell, sharing the first layer's attention.

        Parameters
        ----------
        row
            Tokens of the unedited cell.
        kind
            `delete`, `overexpress`, or `inhibit` to the very end.
        places
            Places of the edited genes in the row.
        edge
            Special tokens at each end.
        on_rows
            Called with edits done.

        Returns
        -------
        Embedding of the edited cell, one row per place.
        """
        emb_pd = np.empty((len(places), self.model.dim), dtype=np.float32)
        order, start = np.argsort(places, kind="stable"), 0
        while start < len(order):
            size = max(1, self.batch_tokens // len(row))
            for part in self._single_batches(row, kind, places[order[start:]], edge, size):
                if part is None:  # the budget was halved: set up again and go on
                    break
                emb_pd[order[start : start + len(part)]] = part
                start += len(part)
                if on_rows is not None:
                    on_rows(len(part))
        return emb_pd

    def _single_batches(
        self, row: Row, kind: Kind, places: np.ndarray, edge: int, size: int
    ) -> Iterator[Encodings | None]:
        with torch.inference_mode():
            shared = SharedFirstLayer(self.encoder, row, kind, edge=edge)
            for x, context in shared.edits(places, size):
                yield self.within_memory(partial(self._encode_first, x, context), rows=len(x))

    def _encode_first(self, x: torch.Tensor, context: torch.Tensor) -> Encodings:
        """Encode a batch whose first attention is known."""
        hidden = self.encoder.after_first_attention(x, context, first_only=self.model.first_only)
        return self._pooled(hidden)

    def _encode_tokens(self, batch: np.ndarray) -> Encodings:
        with torch.inference_mode():
            tokens = torch.from_numpy(batch).to(self.model.device)
            positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
            embedded = self.encoder.embedded(self.encoder.summed(tokens, positions))
            return self._pooled(self.encoder.hidden(embedded, first_only=self.model.first_only))

    def _pooled(self, hidden_btd: torch.Tensor) -> Encodings:
        """Pool on the device; one embedding a row comes back."""
        return self.model.pool(hidden_btd).float().cpu().numpy()

    def _readings(self, emb_nd: Encodings) -> Readings:
        return self.reading(torch.from_numpy(emb_nd).to(self.model.device)).cpu().numpy()

    def reading(self, emb_bd: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, "b 2"]:
        """Cosine to the goal state and logit of the head, float64, on the device."""
        emb = emb_bd.double()
        norm = emb.norm(dim=1)
        cosine = emb @ self._goal / torch.where(norm > 0, norm, 1)
        return torch.stack([cosine, emb @ self._weight + self.readout.bias], dim=1)

    def within_memory(self, work: Callable[[], Result], *, rows: int) -> Result | None:
        """Do the work, or halve the token budget where the device runs out of memory; `None` = try again."""
        try:
            return work()
        except RuntimeError as error:  # torch.OutOfMemoryError, or the CPU allocator's
            if rows == 1 or not is_out_of_memory(error):
                raise
        self.batch_tokens = max(1, self.batch_tokens // 2)
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _shareable(
    engine: ExactEngine, tokens: Tokens, plan: Plan, cell: int, kind: Kind, places: np.ndarray
) -> bool:
    """Whether these edits of one cell differ by one moved or missing gene, and are many enough to share a layer.

    On a GPU the many small steps cost more than the attention they spare.
    """
    whole = kind in ("delete", "overexpress") or (kind == "inhibit" and plan.dose == 1)
    kept = plan.policy.after_delete == "shorten" or not len(tokens.spare(cell))
    once = len(np.unique(tokens.row(cell))) == len(tokens.row(cell))
    on_cpu = engine.model.device.type == "cpu"
    return whole and kept and once and on_cpu and len(places) >= LEAST_EDITS and bool((places >= 0).all())
