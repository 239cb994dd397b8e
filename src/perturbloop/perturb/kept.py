"""Encodings of edited cells, kept on the disk: every head on one encoder reads them, and nothing is encoded twice."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Int

from perturbloop.models.cell_model import CellModel
from perturbloop.perturb.plan import Plan
from perturbloop.schema import Precision
from perturbloop.schema.words import KINDS
from perturbloop.store import step_key
from perturbloop.store.files import own, whole

MOST_BYTES = 10**9
"""Encodings of a run that need more room than this are not kept."""
Encodings = Float[np.ndarray, "p d"]


class Kept:
    """What one encoder made of the cells of one campaign, edited by one policy; a file for each piece of work, whole or absent."""

    def __init__(self, folder: Path) -> None:
        """Find what is there; a file that cannot be read is as good as none.

        Parameters
        ----------
        folder
            Holds these encodings and nothing else; name it by the hashes of encoder, cells and policy.
        """
        self.folder = folder
        self.key_k = np.empty(0, dtype=np.int64)
        self.file_k = np.empty(0, dtype=np.int64)
        self.row_k = np.empty(0, dtype=np.int64)
        self.files: list[Path] = []
        for path in sorted(folder.glob("*.npz")):
            try:
                with path.open("rb") as file, np.load(file) as content:
                    self._add(path, content["key"])
            except (OSError, ValueError, KeyError, BadZipFile):
                continue

    def filled(
        self,
        cell: Int[np.ndarray, " p"],
        kind: np.ndarray,
        token: Int[np.ndarray, " p"],
        encode: Callable[[np.ndarray], Encodings],
    ) -> tuple[Encodings, int]:
        """Encodings of cells, edited or not: those that are there are read, the others made and kept.

        Parameters
        ----------
        cell, kind, token
            Row of the tokens, edit ('' = none) and gene of each.
        encode
            Makes the encodings at some places of these.

        Returns
        -------
        One row for each, and how many were there.
        """
        key_p = _keys(cell, kind, token)
        found_p = np.searchsorted(self.key_k, key_p).clip(max=max(len(self.key_k) - 1, 0))
        known_p = (self.key_k[found_p] == key_p) if len(self.key_k) else np.zeros(len(key_p), dtype=bool)
        missing = np.flatnonzero(~known_p)
        made = encode(missing) if len(missing) else np.empty((0, 0), dtype=np.float32)
        parts = [(missing, made)] if len(missing) else []
        file_p, row_p = self.file_k[found_p[known_p]], self.row_k[found_p[known_p]]
        there = np.flatnonzero(known_p)
        for number in np.unique(file_p):
            here = file_p == number
            path = self.files[number]
            with (
                own(path, todo=f"Delete `{path}` and run the same command again."),
                path.open("rb") as file,
                np.load(file) as content,
            ):
                parts.append((there[here], content["emb"][row_p[here]]))
        emb_pd = np.empty((len(key_p), parts[0][1].shape[1]), dtype=np.float32)
        for places, emb in parts:
            emb_pd[places] = emb
        if len(missing):
            self._keep(key_p[missing], made)
        return emb_pd, len(there)

    def _keep(self, key_m: np.ndarray, emb_md: np.ndarray) -> None:
        path = self.folder / f"{hashlib.sha256(key_m.tobytes()).hexdigest()[:16]}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as beside, beside.open("wb") as file:
            np.savez(file, key=key_m, emb=emb_md)
        self._add(path, key_m)

    def _add(self, path: Path, key_m: np.ndarray) -> None:
        self.files.append(path)
        key_k = np.concatenate([self.key_k, key_m])
        file_k = np.concatenate([self.file_k, np.full(len(key_m), len(self.files) - 1)])
        row_k = np.concatenate([self.row_k, np.arange(len(key_m))])
        self.key_k, first = np.unique(key_k, return_index=True)
        self.file_k, self.row_k = file_k[first], row_k[first]


def kept_in(folder: Path, plan: Plan, model: CellModel, *, cells: str, precision: Precision) -> Kept | None:
    """Encodings that a model's edits may be read from, and are added to; `None` where they need too much room.

    Parameters
    ----------
    folder
        Where a campaign keeps encodings.
    plan
        What is edited, and by which policy.
    model
        Encoder; heads do not matter.
    cells
        Hash of the cells, in their order.
    precision
        Arithmetic of the encoder.
    """
    if len(plan.edits) * model.dim * np.dtype(np.float32).itemsize > MOST_BYTES:
        return None
    meaning = {"kinds": list(KINDS), "policy": asdict(plan.policy), "dose": plan.dose, "precision": precision}
    return Kept(folder / model.digest / step_key("encoded", config=meaning, inputs=[cells]))


def _keys(cell: np.ndarray, kind: np.ndarray, token: np.ndarray) -> np.ndarray:
    """One number for each cell and what was done to it."""
    code = {"": 0} | {name: number for number, name in enumerate(KINDS, start=1)}
    kind_p = np.array([code[one] for one in kind], dtype=np.int64)
    return (cell.astype(np.int64) * len(code) + kind_p) * 2**20 + token
