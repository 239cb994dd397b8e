"""Which engine makes a model's edits, by what the model reads of a cell."""

from perturbloop.data.cells import Cells
from perturbloop.errors import ModelError
from perturbloop.models.base import TokenModel
from perturbloop.models.cell_model import CellModel, ValueModel
from perturbloop.models.linear import Linear
from perturbloop.models.readout import Readout
from perturbloop.perturb.counts import CountsEngine
from perturbloop.perturb.engine import Engine
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.kept import Kept
from perturbloop.perturb.values import ValuesEngine
from perturbloop.schema import Precision


def engine_of(
    model: CellModel,
    readout: Readout,
    cells: Cells,
    *,
    precision: Precision = "float32",
    batch_tokens: int = 16384,
    kept: Kept | None = None,
) -> Engine:
    """Return the exact engine of a model, for these cells.

    Parameters
    ----------
    model, readout
        What reads a cell.
    cells
        Cells that will be edited, in the order of their tokens; read where counts are edited.
    precision, batch_tokens
        Arithmetic and batch of an encoder; counts are edited in float64.
    kept
        Where encodings of an encoder are kept.

    Returns
    -------
    The engine that is the reference for this family.

    Raises
    ------
    ModelError
        If no engine edits the cells of this family.
    """
    if isinstance(model, Linear):
        return CountsEngine(model, readout, cells)
    if isinstance(model, TokenModel):
        return ExactEngine(model, readout, precision=precision, batch_tokens=batch_tokens, kept=kept)
    if isinstance(model, ValueModel):
        return ValuesEngine(model, readout, cells)
    msg = f"Edits need a model that reads tokens or values; `{type(model).__name__}` reads neither. Give another model."
    raise ModelError(msg)
