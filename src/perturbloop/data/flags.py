r"""Caution flags: reasons to look twice at a gene of the ranking. Flagged genes are never removed.

Each flag is a pattern on HGNC symbols, kept short on purpose: it names the genes that mislead most often in
single-cell data, not every member of a pathway. Which genes are core essential depends on the cells, so a list of the
user's own takes the place of the pattern.
"""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

ESSENTIAL = "core-essential"
NO_GUIDE = re.compile(r"MT-.*")
"""Symbols of genes that no guide edits: those of the mitochondrial genome (HGNC prefix MT-)."""


@dataclass(frozen=True)
class Flag:
    """One reason for caution."""

    name: str
    meaning: str
    pattern: str
    """Regular expression that the whole symbol must match."""


def _names(symbols: str) -> str:
    return "|".join(symbols.split())


FLAGS = (
    # X inactivation and the male-specific Y genes that are expressed in blood; PAR genes are left out.
    Flag(
        "sex-linked",
        "differs between the sexes of the donors",
        _names("XIST TSIX RPS4Y1 RPS4Y2 DDX3Y EIF1AY KDM5D UTY USP9Y ZFY TXLNGY TTTY.* NLGN4Y TMSB4Y PRKY"),
    ),
    # HGNC gene group 588.
    Flag("HLA", "differs with the donor's HLA type", r"HLA-.*|B2M|CD74"),
    # HGNC gene groups 728 and 729 (cytosolic ribosome); kinases RPS6K* are not ribosomal.
    Flag(
        "ribosomal",
        "follows cell size and library quality",
        r"RP[LS]\d+[AXYLP]?\d*(L\d*)?|RPLP[0-2]|RPSA|FAU|UBA52",
    ),
    # Mitochondrial genome, HGNC prefix MT-.
    Flag("mitochondrial", "follows damage and library quality", r"MT-.*|MTRNR2L.*"),
    # HGNC gene group 940.
    Flag("hemoglobin", "comes from red cells in the sample", r"HB[ABDEGMQZ]\d?|HBG[12]|AHSP|ALAS2"),
    # Dissociation signature, doi:10.1038/nmeth.4437, and the heat-shock genes it holds.
    Flag(
        "stress",
        "immediate-early and heat-shock genes, raised by handling the cells",
        _names(
            "FOS FOSB FOSL1 JUN JUNB JUND EGR1 EGR2 EGR3 ATF3 IER2 IER3 IER5 NR4A1 NR4A2 DUSP1 DUSP2 BTG2 ZFP36 "
            "KLF2 KLF4 KLF6 SOCS3 HSPA1A HSPA1B HSPA5 HSPA6 HSPA8 HSPB1 HSPD1 HSPE1 HSPH1 HSP90AA1 HSP90AB1 "
            r"DNAJA1 DNAJB1 DNAJB4 DDIT3 DDIT4 PPP1R15A GADD45[ABG]"
        ),
    ),
    # Core of the Hallmark interferon alpha and gamma sets, doi:10.1016/j.cels.2015.12.004.
    Flag(
        "interferon",
        "target of interferons: more often a consequence than a cause",
        _names(
            r"ISG15 ISG20 IFI\d+\w* IFIT\d\w* IFITM\d+ MX1 MX2 OAS[123L]+ RSAD2 IRF[1789] STAT1 STAT2 GBP\d "
            r"CXCL9 CXCL10 CXCL11 XAF1 LY6E EPSTI1 HERC5 HERC6 DDX58 RIGI IFIH1 USP18 CMPK2 SAMD9 SAMD9L BST2 "
            r"TRIM22 PARP9 PARP14 WARS1 WARS TNFSF10 CCL8 SIGLEC1"
        ),
    ),
    # Phase markers of doi:10.1126/science.aad0501, shortened to the strongest.
    Flag(
        "cell-cycle",
        "marks dividing cells",
        _names(
            "MKI67 TOP2A PCNA MCM[2-7] TYMS RRM1 RRM2 CDK1 CCNA2 CCNB1 CCNB2 CCNE1 CCNE2 CDC20 CDC6 BIRC5 UBE2C "
            "AURKA AURKB BUB1 BUB1B CENPA CENPE CENPF TPX2 NUSAP1 HMGB2 TUBB4B GINS2 UHRF1 CDC45 STMN1 KIF11 KIF20A KIF23 KIF2C"
        ),
    ),
    # Soup of blood samples: abundant transcripts of fragile cells, doi:10.1093/gigascience/giaa151.
    Flag(
        "ambient",
        "abundant enough in the soup of blood samples to be seen in cells that do not make it",
        r"HB[AB]\d?|S100A[89]|S100A12|LYZ|PPBP|PF4|IG[HKL]C\w*|IGHG\d|IGHA\d|IGHM|JCHAIN|FTL|FTH1|MALAT1|NEAT1",
    ),
    # Machines that every dividing cell needs: families most of whose members are core essential in
    # doi:10.1534/g3.117.041277; a list of the user's own replaces them.
    Flag(
        ESSENTIAL,
        "its loss kills or stops most cell types: a shift may be that of dying cells",
        _names(
            r"RPL(?!22)\d+A? RPS\d+[AX]? RPLP[0-2] RPSA "
            r"PSM(A[1-7]|B[1-7]|C[1-6]|D(1|2|3|4|6|7|8|11|12|13|14)) POLR2[A-L] CCT[2-8] TCP1 "
            r"MCM[2-7] GINS[1-4] CDC45 PCNA RFC[2-5] RPA1 SF3A[1-3] SF3B[1-5] SNRPD[1-3] SNRP(A1|B|E|F|G|200) PRPF(8|19|31) "
            r"EFTUD2 U2AF[12] EIF2S1 EIF3[ABDGI] EIF4A3 EIF5B COP(A|B1|B2|Z1) EXOSC[2-8] PLK1 CDK1 AURKB KIF11 KIF23 "
            r"CDC(16|20|27) BUB1B BUB3 TOP2A RRM1 RRM2 SMC1A SMC2 SMC3 RAD21 KPNB1 RAN XPO1 VCP HSPA9 RUVBL[12] UBA1 RBX1"
        ),
    ),
)

_COMPILED = tuple((flag.name, re.compile(flag.pattern)) for flag in FLAGS)


def flags_of(gene_name: str, *, essential: bool | None = None) -> tuple[str, ...]:
    """Names of the flags of one gene, in the order of `FLAGS`.

    `essential` says whether a list of the user's own holds the gene; it takes the place of the built-in families.

    >>> flags_of("HBA1"), flags_of("CD3E"), flags_of("CD3E", essential=True)
    (('hemoglobin', 'ambient'), (), ('core-essential',))
    """
    found = [name for name, pattern in _COMPILED if pattern.fullmatch(gene_name)]
    if essential is not None:
        found = [name for name in found if name != ESSENTIAL] + [ESSENTIAL] * essential
    return tuple(found)


def flags(
    gene_names: Shaped[np.ndarray, " g"], *, essential_g: Bool[np.ndarray, " g"] | None = None
) -> Shaped[np.ndarray, " g"]:
    """Flags of every gene as one text each, separated by commas; empty where there are none.

    >>> flags(np.array(["STAT1", "MT-CO1", "VAV1"], dtype=object)).tolist()
    ['interferon', 'mitochondrial', '']
    """
    listed = [None] * gene_names.size if essential_g is None else essential_g.tolist()
    found = [
        ",".join(flags_of(str(name), essential=known)) for name, known in zip(gene_names, listed, strict=True)
    ]
    return np.array(found, dtype=object)
