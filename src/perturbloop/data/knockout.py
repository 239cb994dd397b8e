"""Which gene the name of a state says was knocked out."""

import re

from perturbloop.data.cells import Cells
from perturbloop.schema.words import KNOCKOUT


def knocked_out(state: str, cells: Cells) -> str:
    """Ensembl id of the gene that a state's name says was knocked out; '' where it says none that the cells measure."""
    if not KNOCKOUT.search(state):
        return ""
    id_of = {
        str(name).upper(): str(gene) for name, gene in zip(cells.gene_names, cells.gene_ids, strict=True)
    }
    rest = KNOCKOUT.sub(" ", state).upper()
    words = [rest.strip(" _-"), *re.split(r"[^A-Z0-9.-]+", rest), *re.split(r"[^A-Z0-9]+", rest)]
    return next((id_of[word.strip("-")] for word in words if word.strip("-") in id_of), "")
