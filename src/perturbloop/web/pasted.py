"""A list that was pasted: a table as it is, or genes that were all hits, or none."""

import csv
import io
import re

from perturbloop.errors import InputError

GENE_HEADS = ("gene", "genes", "symbol", "gene_name", "gene_id")
HIT_OR_NOT = {"hits": "yes", "not": "no"}
"""What the genes of a plain list are, and how a table says so."""
NEEDS_A_WORD = "A list of genes needs to say what they are: hits, or no hits. Choose one, or paste a second column with yes or no."


def as_table(text: str, are: str) -> tuple[bytes, str]:
    """Text of a list as the file that it would be, and the ending of its name.

    Parameters
    ----------
    text
        Rows with tabs, commas or semicolons; or one name a line, or names divided by commas or blanks.
    are
        What the genes of a plain list are: hits or not.

    Raises
    ------
    InputError
        If it is empty, or a plain list and `are` is neither.

    Examples
    --------
    >>> as_table("STAT1, JAK2", "hits")
    (b'gene,hit\\nSTAT1,yes\\nJAK2,yes\\n', 'csv')
    >>> as_table("gene\\tscore\\nSTAT1\\t2", "")
    (b'gene\\tscore\\nSTAT1\\t2', 'tsv')
    """
    text = text.replace("\r\n", "\n").strip()
    if not text:
        msg = "A file or a list is needed; neither came. Choose a file, or paste a list."
        raise InputError(msg)
    names = plain_names(text)
    if names is None:
        return text.encode(), "tsv" if "\t" in text.partition("\n")[0] else "csv"
    if are not in HIT_OR_NOT:
        raise InputError(NEEDS_A_WORD)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [("gene", "hit"), *((name, HIT_OR_NOT[are]) for name in names)]
    )
    return out.getvalue().encode(), "csv"


def plain_names(text: str) -> list[str] | None:
    """Names of a list of genes alone; `None` where the text is a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    parts = [re.split(r"[,;\t]", line) for line in lines]
    if len(lines) > 1 and any(len([one for one in row if one.strip()]) > 1 for row in parts):
        return None
    names = [one for one in re.split(r"[\s,;]+", text) if one]
    names = names[1:] if names and names[0].lower() in GENE_HEADS else names
    return list(dict.fromkeys(names))
