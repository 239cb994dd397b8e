"""Which species a gene's label is of: genes must be human, and those of others are told by id, by genome and by case."""

import re
from collections import Counter
from collections.abc import Iterable

_BY_ID = {
    "ENSMUSG": "mouse",
    "ENSRNOG": "rat",
    "ENSDARG": "zebrafish",
    "ENSSSCG": "pig",
    "ENSBTAG": "cow",
    "ENSGALG": "chicken",
    "ENSMMUG": "rhesus macaque",
    "ENSMFAG": "crab-eating macaque",
    "ENSCJAG": "marmoset",
    "ENSPTRG": "chimpanzee",
    "ENSCAFG": "dog",
    "ENSOCUG": "rabbit",
    "ENSXETG": "frog",
    "FBGN": "fruit fly",
    "WBGENE": "worm",
}
_ID = re.compile(r"(ENS[A-Z]{3,4}G|FBGN|WBGENE)\d+(\.\d+)?$", re.IGNORECASE)
_GENOMES = (
    (re.compile(r"(mm\d{1,2}|GRCm\d\d|mouse|mus_musculus)[_-]+", re.IGNORECASE), "mouse"),
    (re.compile(r"(rn\d|Rnor|mRatBN\d?|rat)[_-]+", re.IGNORECASE), "rat"),
    (re.compile(r"(danRer\d+|GRCz\d+)[_-]+", re.IGNORECASE), "zebrafish"),
)
_CASE = re.compile(r"[A-Z][a-z][a-z0-9-]*$")
_HUMAN_GENOME = re.compile(r"(GRCh3[78]|hg19|hg38|human|homo_sapiens)[_-]+(?=.)", re.IGNORECASE)


def declared_species(label: str) -> str:
    """Species that an id, or the name of a genome before a label, declares; empty where it is human or nothing is declared.

    >>> [declared_species(label) for label in ("ENSDARG00000018788.4", "mm10___Stat1", "Stat1")]
    ['zebrafish', 'mouse', '']
    """
    if _ID.match(label):
        return next((name for start, name in _BY_ID.items() if label.upper().startswith(start)), "other")
    return next((name for genome, name in _GENOMES if genome.match(label)), "")


def species_of(label: str) -> str:
    """Species of a gene's label where it is not human; empty where it may be.

    Symbols of mice and rats are told by their case, which is all that parts them from those of humans.

    >>> [species_of(label) for label in ("ENSMUSG00000026104", "Stat1", "STAT1")]
    ['mouse', 'mouse', '']
    """
    return declared_species(label) or ("mouse" if _CASE.match(label) else "")


def without_genome(label: str) -> str:
    """Label without the name of the human genome before it, as files of several genomes have it.

    >>> without_genome("GRCh38_______STAT1"), without_genome("STAT1")
    ('STAT1', 'STAT1')
    """
    return _HUMAN_GENOME.sub("", label, count=1) if _HUMAN_GENOME.match(label) else label


def foreign_labels(labels: Iterable[str]) -> list[str]:
    """Labels that are genes of another species.

    >>> foreign_labels(["Stat1", "STAT1", "ENSMUSG00000026104"])
    ['Stat1', 'ENSMUSG00000026104']
    """
    return [label for label in labels if species_of(label)]


def main_species(labels: Iterable[str]) -> str:
    """Species of most of the labels that are not human, in words.

    >>> main_species(["ENSDARG00000018788", "STAT1"]), main_species(["ENSABCG00000018788"])
    ('zebrafish', 'non-human')
    """
    found = Counter(filter(None, map(species_of, labels))).most_common(1)
    return "non-human" if not found or found[0][0] == "other" else found[0][0]
