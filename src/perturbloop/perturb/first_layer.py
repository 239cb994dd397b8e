"""The first layer's attention of many edits of one cell, computed once for what they share.

When gene i is deleted, the genes before it keep their positions and all later ones move up by one: each gene occurs
with only two positions, whatever i is. Before the first layer nothing else differs, so the attention sums of edit i are
those of edit i - 1 plus one key and minus another. That replaces length² work per edit by length work, exactly.
The same holds where gene i moves to the front or to the end; it is then a third key, and a query of its own.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int

from perturbloop.models.encoder import Encoder
from perturbloop.schema import Kind

KEYS_AT_ONCE = 256
STRIDE = 32
"""Keys by which the sums may lag behind an edit; what lies between is added for that edit alone."""
LEAST_WEIGHT = 0.1
"""Sum of exponentials, the highest being 1, below which subtracting keys has cost too many digits: it is summed anew."""
LEAST_EDITS = 32
"""Fewest edits of one cell for which setting the sums up pays."""


class SharedFirstLayer:
    """Sums over keys for every query of one cell, moved along from edit to edit."""

    def __init__(self, encoder: Encoder, row: Int[np.ndarray, "_"], kind: Kind, *, edge: int) -> None:
        """Set up the sums for an edit before the first gene.

        Parameters
        ----------
        encoder
            Weights.
        row
            Tokens of the cell.
        kind
            `delete`, `overexpress`, or `inhibit` to the very end.
        edge
            Special tokens at each end.
        """
        self.encoder, self.kind, self.edge, self.length = encoder, kind, edge, len(row)
        token = torch.from_numpy(np.asarray(row, dtype=np.int64)).to(encoder.device)
        place = torch.arange(self.length, device=encoder.device)
        raised = kind == "overexpress"
        before = place + ((place >= edge) & raised)
        after = place if raised else place - 1
        end = edge if raised else self.length - 1 - edge
        moved = torch.full_like(place, end)
        if not raised and kind != "delete":  # `<eos>` stays behind a gene moved to the end
            after = torch.where(place >= self.length - edge, place, after)
        groups = [before, after.clamp(min=0)] + ([moved] if kind != "delete" else [])
        # A gene has a position of its own only where the edit gives it one; the others are never read.
        positions = torch.stack(groups).clamp(max=len(encoder.positions) - 1)
        self.x_gtd = encoder.embedded(encoder.summed(token.expand(len(groups), -1), positions))
        q, k, v = (
            part.float() for part in encoder.heads(encoder.layers[0], self.x_gtd)
        )  # group heads token width
        self.q_hrw = q.transpose(0, 1).flatten(1, 2) * q.shape[-1] ** -0.5
        self.key_ghtw = k
        self.value_ghtw = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
        self.peak_hr = self._peak()
        self.sum_hrw = torch.zeros(
            (*self.q_hrw.shape[:2], self.value_ghtw.shape[-1]), dtype=torch.float64, device=encoder.device
        )
        for a in range(0, self.length, KEYS_AT_ONCE):
            self.sum_hrw += self._terms(self.q_hrw, self.peak_hr, 1, a, min(a + KEYS_AT_ONCE, self.length))
        self.at = 0

    def edits(
        self, positions: Int[np.ndarray, "p"], size: int
    ) -> Iterator[tuple[Float[torch.Tensor, "b t d"], Float[torch.Tensor, "b t d"]]]:
        """Input and attention output of the first layer, `size` edits at a time.

        Parameters
        ----------
        positions
            Places of the edited genes in the row, rising.
        size
            Edits in a batch.
        """
        for start in range(0, len(positions), size):
            made = [self._edit(int(place)) for place in positions[start : start + size]]
            yield torch.stack([x for x, _ in made]), torch.stack([context for _, context in made])

    def _edit(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read the sums over keys before `place`, as they stand before the edit, and keys after it, as after the edit."""
        if place - self.at >= STRIDE:
            for a in range(self.at, place, KEYS_AT_ONCE):
                b = min(a + KEYS_AT_ONCE, place)
                gained = self._terms(self.q_hrw, self.peak_hr, 0, a, b)
                self.sum_hrw += gained - self._terms(self.q_hrw, self.peak_hr, 1, a, b)
            self.at = place
        t = self.length
        rows = torch.cat([torch.arange(place), torch.arange(place + 1, t) + t]).to(self.sum_hrw.device)
        if self.kind != "delete":
            rows = torch.cat([rows, torch.tensor([place + 2 * t], device=rows.device)])
        q, peak = self.q_hrw[:, rows], self.peak_hr[:, rows]
        sums = self.sum_hrw[:, rows].float() - self._terms(q, peak, 1, self.at, place + 1)
        if place > self.at:
            sums = sums + self._terms(q, peak, 0, self.at, place)
        if self.kind != "delete":
            sums = sums + self._terms(q, peak, 2, place, place + 1)
        weak_hr = sums[..., -1] < LEAST_WEIGHT
        for head in weak_hr.any(1).nonzero()[:, 0].tolist():
            keys, values = (part[:, head].flatten(0, 1)[rows] for part in (self.key_ghtw, self.value_ghtw))
            sums[head, weak_hr[head]] = (q[head, weak_hr[head]] @ keys.T).softmax(-1) @ values
        if self.kind != "delete":
            order = self._order(place, t)
            rows, sums = rows[order], sums[:, order]
        context = (sums[..., :-1] / sums[..., -1:]).transpose(0, 1).flatten(1)
        return self.x_gtd.flatten(0, 1)[rows], context

    def _order(self, place: int, t: int) -> torch.Tensor:
        """Put the moved gene, last so far, where the edit moves it."""
        at = self.edge if self.kind == "overexpress" else t - 1 - self.edge
        rest = torch.arange(t - 1)
        return torch.cat([rest[:at], torch.tensor([t - 1]), rest[at:]]).to(self.sum_hrw.device)

    def _terms(self, q: torch.Tensor, peak: torch.Tensor, group: int, a: int, b: int) -> torch.Tensor:
        """Sum of exp(score) times value and of exp(score), over the keys a to b of one group."""
        score = q @ self.key_ghtw[group, :, a:b].transpose(-1, -2)
        return torch.exp(score - peak[..., None]) @ self.value_ghtw[group, :, a:b]

    def _peak(self) -> torch.Tensor:
        """Highest score of each query, so that no exponential overflows."""
        keys = self.key_ghtw.transpose(0, 1).flatten(1, 2)
        peaks = [
            (self.q_hrw @ keys[:, a : a + KEYS_AT_ONCE].transpose(-1, -2)).amax(-1)
            for a in range(0, keys.shape[1], KEYS_AT_ONCE)
        ]
        return torch.stack(peaks).amax(0)
