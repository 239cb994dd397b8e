"""Cells that the published tool tokenized: a Hugging Face `.dataset` folder, read without that library."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, some

# <cls> and <eos> of every published second-generation dictionary.
_CLS, _EOS = 2, 3


def read_dataset(folder: Path | str, *, vocabulary: Vocabulary | None = None) -> tuple[Tokens, pd.DataFrame]:
    """Read cells that the published tool tokenized: a Hugging Face `.dataset` folder.

    Parameters
    ----------
    folder
        Folder with `state.json` and its Arrow files.
    vocabulary
        Vocabulary the cells were tokenized with. It says which token is `<cls>`, and tokens it lacks are refused.
        Without it a data set has `<cls>` if every cell starts with token 2 and ends with token 3.

    Returns
    -------
    Tokens, one row per cell in the order of the data set, and every column other than `input_ids` and `length`, in the
    same order.

    Raises
    ------
    InputError
        If the folder is no data set of tokenized cells, is empty, or does not fit the vocabulary.
    """
    folder = Path(folder)
    table = _table(folder)
    missing = [name for name in ("input_ids", "length") if name not in table.column_names]
    if missing:
        msg = (
            f"Tokenized cells need the columns `input_ids` and `length`; `{folder.name}` lacks {some(missing)} and has "
            f"{some(table.column_names)}. Give the folder Geneformer's tokenizer wrote."
        )
        raise InputError(msg)
    ids = table["input_ids"]
    lists = pa.types.is_list(ids.type) or pa.types.is_large_list(ids.type)
    if not lists or not pa.types.is_integer(ids.type.value_type) or ids.null_count or not table.num_rows:
        msg = (
            f"`input_ids` must hold a list of token ids for each cell; in `{folder.name}` it is {ids.type}, with "
            f"{ids.null_count:,} of {table.num_rows:,} cells missing. Tokenize the cells again."
        )
        raise InputError(msg)
    length_n = pc.list_value_length(ids).to_numpy()
    wrong_n = length_n != table["length"].to_numpy()
    if wrong_n.any():
        msg = (
            f"`length` must be the number of tokens of a cell; it is not for the cells {some(np.flatnonzero(wrong_n))} "
            f"of `{folder.name}`. Tokenize the cells again."
        )
        raise InputError(msg)
    rows = np.split(pc.list_flatten(ids).to_numpy(), np.cumsum(length_n)[:-1])
    has_cls = _has_cls(rows, vocabulary, folder)
    rest = table.drop_columns(["input_ids", "length"])
    obs = rest.to_pandas() if rest.num_columns else pd.DataFrame(index=pd.RangeIndex(len(rows)))
    return Tokens.of_rows(rows, has_cls=has_cls), obs.reset_index(drop=True)


def _table(folder: Path) -> pa.Table:
    """Join the Arrow files of a data set."""
    todo = "Give the `.dataset` folder Geneformer's tokenizer wrote."
    if (folder / "dataset_dict.json").is_file():
        splits = some(sorted(path.parent.name for path in folder.glob("*/state.json")))
        msg = f"One data set is needed; `{folder}` holds several: {splits}. Give the folder of one of them."
        raise InputError(msg)
    try:
        state = json.loads((folder / "state.json").read_text())
        names = [str(entry["filename"]) for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"A data set is a folder with a `state.json` that lists its Arrow files; `{folder}` has none that can be "
            f"read ({type(error).__name__}). {todo}"
        )
        raise InputError(msg) from None
    if not names or state.get("_indices_data_files"):
        what = "selects its cells through an index" if names else "lists no files"
        msg = f"`state.json` must list the Arrow files of all cells; that of `{folder}` {what}. Save the data set again."
        raise InputError(msg)
    tables = []
    for name in names:
        try:
            with pa.OSFile(str(folder / name)) as file, pa.ipc.open_stream(file) as reader:
                tables.append(reader.read_all())
        except (OSError, pa.ArrowInvalid) as error:
            msg = f"`{name}` of `{folder}` must be an Arrow stream; it cannot be read: {error}. Copy the folder again."
            raise InputError(msg) from None
    try:
        return pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        msg = f"The Arrow files of `{folder}` must have the same columns; they differ: {error}. Save the data set again."
        raise InputError(msg) from None


def _has_cls(rows: list[np.ndarray], vocabulary: Vocabulary | None, folder: Path) -> bool:
    """Whether every cell starts with `<cls>`; refuse cells of which only some do, and tokens of another vocabulary."""
    enclosed = all(len(row) > 1 and row[0] == _CLS and row[-1] == _EOS for row in rows)
    if vocabulary is None:
        return enclosed
    top = max((int(row.max()) for row in rows if len(row)), default=0)
    if top >= vocabulary.size or (enclosed and not vocabulary.has_cls):
        what = f"token {top:,}" if top >= vocabulary.size else "`<cls>` and `<eos>` around every cell"
        msg = (
            f"The cells must be tokenized with the vocabulary of '{vocabulary.version}' ({vocabulary.size:,} tokens); "
            f"`{folder.name}` has {what}. Give the vocabulary of the other generation."
        )
        raise InputError(msg)
    if not vocabulary.has_cls:
        return False
    cls, eos = vocabulary.specials["<cls>"], vocabulary.specials["<eos>"]
    bare = [place for place, row in enumerate(rows) if len(row) < 2 or row[0] != cls or row[-1] != eos]
    if bare and len(bare) < len(rows):
        msg = (
            f"All cells or none must lie between `<cls>` and `<eos>`; in `{folder.name}` these do not: {some(bare)}. "
            "Tokenize the cells in one go."
        )
        raise InputError(msg)
    return not bare
