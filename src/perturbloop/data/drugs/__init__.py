"""Which compound acts on which gene, which way and how strongly: tables of a user, DGIdb, ChEMBL and Open Targets, read from files.

All become the table `INTERACTIONS`. A sign is read from a whole phrase of `schema.SIGNS`: an antagonist is no agonist, and neither
is an inverse agonist. A phrase that tells no sign leaves it unknown; so do sources that contradict each other.
"""

from perturbloop.data.drugs.potency import share_occupied, weights_of
from perturbloop.data.drugs.reading import merged, read_interactions

__all__ = ["merged", "read_interactions", "share_occupied", "weights_of"]
