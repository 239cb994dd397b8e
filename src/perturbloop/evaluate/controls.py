"""Positive controls: pathways that are known to drive a change of state, and how the change is recognized.

When the cells' own differential expression looks like a known stimulus, the genes of its pathway must stand out
in the ranking: the report shows where they do, with how often each is seen, beside a pathway that should not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy.stats import hypergeom

from perturbloop.errors import InputError
from perturbloop.schema import Stimulus, Textbook

TOP = 200
"""Genes with the largest absolute z that count as the states' signature …"""
MAX_P = 1e-3
"""… and the largest hypergeometric p, times the number of controls, for a pathway to be recognized."""
MIN_FOUND = 3
"""Fewest signature genes among them."""


@dataclass(frozen=True)
class Control:
    """A stimulus with known causes."""

    name: str
    title: str
    signature: tuple[str, ...]
    """Genes that the stimulus raises: how the states are recognized."""
    pathway: tuple[str, ...]
    """Genes that carry the stimulus: what a good ranking should put high."""
    other: tuple[str, ...]
    """A pathway that should not stand out in these states."""
    source: str
    """Where the lists come from."""


@dataclass(frozen=True)
class Recognized:
    """A control found in the states."""

    control: Control
    found: tuple[str, ...]
    """Signature genes among the strongest genes of the states."""
    n_measured: int
    """Signature genes that the cells measure."""
    pvalue: float
    """Hypergeometric p, times the number of controls tried."""
    raised_in: str
    """The state in which most of them are higher: start or goal."""


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_TCR = ("CD3E", "CD3G", "LCP2", "VAV1", "ZAP70")
_TYPE_I = ("IFNAR1", "IFNAR2", "TYK2", "JAK1", "STAT1", "STAT2", "IRF9")

CONTROLS = (
    Control(
        "type-i-interferon",
        "type I interferon (IFN-α/β)",
        _symbols("ISG15 IFIT1 IFIT2 IFIT3 IFI6 IFI44L MX1 MX2 ISG20 OAS1 OAS3 RSAD2 LY6E IFI27"),
        _TYPE_I,
        _TCR,
        "Reactome R-HSA-909733",
    ),
    Control(
        "type-ii-interferon",
        "type II interferon (IFN-γ)",
        _symbols("GBP1 GBP2 GBP4 GBP5 CXCL9 CXCL10 CIITA IDO1 HLA-DRA HLA-DRB1 CD74 IRF1 SOCS1 WARS1"),
        ("IFNGR1", "IFNGR2", "JAK1", "JAK2", "STAT1", "IRF1"),
        _TCR,
        "Reactome R-HSA-877300",
    ),
    Control(
        "t-cell-activation",
        "T-cell activation",
        _symbols("IL2RA CD69 TNFRSF9 TNFRSF4 MYC IL2 IFNG CD40LG EGR2 NR4A1 BATF TFRC IRF4 XCL1 CCL4"),
        _TCR,
        _TYPE_I,
        "Reactome R-HSA-202403; regulators of doi:10.1126/science.abj4008",
    ),
)


def control(name: str) -> Control:
    """Look a control up by name.

    >>> control("t-cell-activation").pathway[:2]
    ('CD3E', 'CD3G')
    """
    return next(entry for entry in CONTROLS if entry.name == name)


def recognize(de: pd.DataFrame, gene_names: Shaped[np.ndarray, " g"]) -> tuple[Recognized, ...]:
    """Which known stimuli tell the two states apart, most certain first.

    Parameters
    ----------
    de
        Result of `signed_de`.
    gene_names
        Symbols of its genes, same order.

    Returns
    -------
    The controls whose signature is over-represented among the 200 genes (at most a tenth of all) with the largest
    absolute z: at least 3 of them, hypergeometric p times the number of controls below 0.001. Empty where none is: the
    campaign then has no positive control and must say so.

    Notes
    -----
    Signatures overlap (IFN-γ raises STAT1 and many type I targets), so several may be recognized at once; the
    first is the one the states look most like, not proof of the stimulus.
    """
    if len(de) != gene_names.size:
        msg = f"One symbol per gene is needed; there are {gene_names.size:,} for {len(de):,} genes. Give the cells' own."
        raise InputError(msg)
    n_top = min(TOP, len(de) // 10)
    top = set(de["z"].abs().nlargest(n_top).index)
    z_of = dict(zip(gene_names, zip(de.index, de["z"], strict=True), strict=True))
    found = (_judge(entry, z_of, top, len(de)) for entry in CONTROLS)
    kept = [entry for entry in found if entry.pvalue < MAX_P and len(entry.found) >= MIN_FOUND]
    return tuple(sorted(kept, key=lambda entry: entry.pvalue))


def textbook_of(
    z_g: Float[np.ndarray, " g"],
    gene_names: Shaped[np.ndarray, " g"],
    *,
    named: Iterable[str] = (),
    pathway: str | None = None,
) -> Textbook | None:
    """Genes that are known to act in the two states: those a user named, and the pathway of the stimulus.

    Parameters
    ----------
    z_g
        Differential expression, positive = higher in the goal; by it the stimulus is recognized.
    gene_names
        Symbols of its genes.
    named
        Positive controls, alone or with their action.
    pathway
        Name of one of `CONTROLS`, whose genes are then taken instead of those of the recognized stimulus.

    Returns
    -------
    `Textbook`; `None` where nothing was named or recognized.
    """
    found = recognize(pd.DataFrame({"z": z_g}), gene_names)
    raised_in = {entry.control.name: entry.raised_in for entry in found}
    known = [entry for entry in CONTROLS if entry.name == pathway] or [entry.control for entry in found[:1]]
    own = [entry.partition(":")[0] for entry in named]
    if not own and not known:
        return None
    titles = [entry.title for entry in known] + ["your positive controls"] * bool(own)
    genes = dict.fromkeys([*own, *(gene for entry in known for gene in entry.pathway)])
    return Textbook(
        title=" and ".join(titles),
        genes=tuple(genes),
        stimulus=known[0].title if known else "",
        raised_in=raised_in.get(known[0].name, "") if known else "",
    )


def textbook_lines(
    known: Textbook | None, gene_names: Shaped[np.ndarray, " g"], source: str
) -> tuple[str, ...]:
    """Say what the states look like, in which of them it is raised, and which textbook genes the file lacks.

    Parameters
    ----------
    known
        What is known of the states; `None` where nothing is.
    gene_names
        Symbols of the file's genes.
    source
        Name of the file.
    """
    if known is None:
        return ()
    said = []
    if known.raised_in:
        swap = (
            "; where the question is how to end it, swap `--start` and `--goal`"
            if known.raised_in == "goal"
            else ""
        )
        does = "brings it on" if known.raised_in == "goal" else "ends it"
        said.append(
            f"The states look like {known.stimulus}, raised in the {known.raised_in} cells: the campaign asks what {does}{swap}."
        )
    held = set(gene_names)
    absent = [gene for gene in known.genes if gene not in held]
    if absent:
        said.append(
            f"Textbook genes absent: {source} lacks {', '.join(absent)}, {len(absent)} of the {len(known.genes)} genes of "
            f"{known.title}; they can be neither ranked nor used as positive controls."
        )
    return tuple(said)


def _judge(entry: Control, z_of: dict, top: set, n_genes: int) -> Recognized:
    measured = [name for name in entry.signature if name in z_of]
    found = [name for name in measured if z_of[name][0] in top]
    pvalue = hypergeom.sf(len(found) - 1, n_genes, len(measured), len(top)) * len(CONTROLS)
    higher_in_goal = sum(z_of[name][1] > 0 for name in found) * 2 > len(found)
    return Recognized(
        entry, tuple(found), len(measured), min(float(pvalue), 1.0), "goal" if higher_in_goal else "start"
    )


def in_ranking(ranking: pd.DataFrame, genes: tuple[str, ...]) -> pd.DataFrame:
    """Where the genes of a pathway stand in the ranking, for the report.

    Parameters
    ----------
    ranking
        RANKING rows.
    genes
        Symbols, e.g. `control.pathway`.

    Returns
    -------
    One row per gene and kind, in the order of `genes`: `gene_name` STAT1, `kind` delete, `place` 12 (1 = best;
    missing where it was not scored), `of` 7,800 scored genes of the kind, `benefit` 1.9, `detection` 0.31,
    `n_cells` 5, `call` toward, `status` scored; a gene that the ranking lacks has the status `absent`.
    """
    kinds = list(dict.fromkeys(ranking["kind"])) or [""]
    scored = ranking["status"].eq("scored") & ranking["benefit"].notna()
    place = ranking["benefit"].where(scored).groupby(ranking["kind"]).rank(ascending=False, method="min")
    full = ranking.assign(place=place, of=scored.groupby(ranking["kind"]).transform("sum"))
    wanted = pd.MultiIndex.from_product([genes, kinds], names=["gene_name", "kind"])
    columns = ["place", "of", "benefit", "detection", "n_cells", "call", "status"]
    rows = (
        full.drop_duplicates(["gene_name", "kind"]).set_index(["gene_name", "kind"])[columns].reindex(wanted)
    )
    return rows.assign(status=rows["status"].fillna("absent")).reset_index()


def stimulus_of(found: tuple[Recognized, ...]) -> Stimulus | None:
    """What the states look like most, as a report keeps it; `None` where nothing was recognized."""
    if not found:
        return None
    best = found[0]
    return Stimulus(
        title=best.control.title,
        raised_in=best.raised_in,
        found=best.found,
        n_measured=best.n_measured,
        pathway=best.control.pathway,
        other=best.control.other,
    )
