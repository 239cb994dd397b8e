"""Weights in torch's own format (`.bin`, `.pt`): read as tensors only, so that no code in a file can run."""

import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from perturbloop.errors import ModelError, some


@dataclass(frozen=True)
class TorchTensor:
    """A tensor of such a file."""

    values: torch.Tensor
    """As it lies, on the CPU."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return tuple(self.values.shape)

    def read(self) -> np.ndarray:
        """Values as float32."""
        return self.values.detach().to(torch.float32).contiguous().numpy()


def read_torch_files(files: Collection[Path], folder: Path) -> dict[str, TorchTensor]:
    """All tensors of these files, by name.

    Parameters
    ----------
    files
        Files of one checkpoint.
    folder
        Its folder, for the message.

    Raises
    ------
    ModelError
        If a file is damaged, holds other things than tensors, or asks for code.
    """
    held: dict[str, TorchTensor] = {}
    for path in files:
        try:
            mapped = zipfile.is_zipfile(path)  # the oldest files are none, and are read whole
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except PermissionError:
            raise
        except Exception as error:  # pickle, zipfile and torch raise many kinds for a damaged file
            why = str(error).partition("\n")[0] or type(error).__name__
            msg = (
                f"`{path.name}` of `{folder}` must hold tensors and nothing else; it cannot be read: {why}. Copy the file again; one that "
                "holds Python objects is not opened."
            )
            raise ModelError(msg) from None
        others = [name for name, value in dict(found).items() if not isinstance(value, torch.Tensor)]
        if others:
            msg = (
                f"`{path.name}` of `{folder}` must hold tensors and nothing else; {len(others):,} of its entries are none: "
                f"{some(others)}. Save the model's `state_dict` alone."
            )
            raise ModelError(msg)
        held |= {str(name): TorchTensor(value) for name, value in found.items()}
    return held
