"""Numbers with decimal commas, as spreadsheets of half the world write them."""

import re

import pandas as pd

_NUMBER = re.compile(r"[-+]?(\d+(,\d*)?|,\d+)([eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")


def with_points(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Turn columns of numbers with decimal commas into numbers.

    Parameters
    ----------
    frame
        The table, as it was read.

    Returns
    -------
    The table, and the columns that were turned. Where every comma could be one of thousands (`1,234`) nothing is.

    Examples
    --------
    >>> frame, turned = with_points(pd.DataFrame({"gene": ["A"], "score": ["-0,5"], "n": ["1,234"]}))
    >>> turned, float(frame["score"][0])
    (['score', 'n'], -0.5)
    """
    texts = {name: frame[name].dropna() for name in frame if frame[name].dtype == object}
    texts = {name: values.map(str).str.strip() for name, values in texts.items() if len(values)}
    commas = [name for name, values in texts.items() if values.map(_is_number).all() and _any_comma(values)]
    if not any(_clear(texts[name]) for name in commas):
        return frame, []
    turned = {name: pd.to_numeric(texts[name].str.replace(",", ".")).reindex(frame.index) for name in commas}
    return frame.assign(**turned), commas


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


def _any_comma(values: pd.Series) -> bool:
    return bool(values.str.contains(",", regex=False).any())


def _clear(values: pd.Series) -> bool:
    """Whether a comma stands where none of thousands can."""
    return any("," in text and not _THOUSANDS.fullmatch(text) for text in values)
