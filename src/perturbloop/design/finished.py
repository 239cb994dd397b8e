"""Files of a finished screen to what a replay needs: its genes with their effects and hits, and what is known of them beforehand."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from perturbloop.data.cells import read_cells, read_var
from perturbloop.data.flags import ESSENTIAL, flags_of
from perturbloop.data.gene_sets import read_gene_list
from perturbloop.data.genes import GeneNames, is_ensembl
from perturbloop.data.hits import by_fdr
from perturbloop.data.screen_formats.reading import read_scores
from perturbloop.data.screens import read_screen
from perturbloop.design.background import background
from perturbloop.design.ground import Ground
from perturbloop.design.replay import Finished
from perturbloop.schema import BacktestConfig, ScreenConfig

STRICT_FDR = 0.05
"""False discovery rate of the hits that are counted apart, among expressed genes."""
LEAST_IDS = 0.5
"""A column holds Ensembl ids where at least this share of it does."""
_SYMBOLS = ("symbol", "gene_symbol", "gene_symbols", "gene_name", "feature_name")


@dataclass(frozen=True)
class Played:
    """All that a replay needs."""

    finished: Finished
    ground: Ground
    sister_g: Float[np.ndarray, " g"] | None
    """Size of the effect in the sister screen; NaN where a gene is not in it."""
    facts: tuple[str, ...] = field(default=())
    """What was read, in words."""


def read_played(config: BacktestConfig) -> Played:
    """Read a finished screen and what is known of its genes.

    Parameters
    ----------
    config
        What is asked for. Genes keep the labels of the screen; those of other files are brought to them, old symbols too.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    asked = screen_of(config)
    names = _names(config, asked)
    screen, report = read_screen(asked, names=names)
    shared = screen["gene_id"].isin([gene for genes in report["families"].values() for gene in genes])
    screen = screen[~shared]
    gene_ids = screen["gene_id"].to_numpy(object)
    log_g, facts = _expression(config, gene_ids, names)
    cpm_g = 2**log_g - 1
    expressed_g = np.nan_to_num(cpm_g) >= config.min_cpm if config.cells else np.ones(len(gene_ids), bool)
    sister = _sister(config, gene_ids, names)
    strict_g = _strict(screen, sister) & expressed_g
    essential = read_gene_list(config.essential, names=names) if config.essential else None
    is_essential = np.array([ESSENTIAL in flags_of(str(name)) for name in screen["gene_name"]], dtype=bool)
    finished = Finished(
        gene_ids,
        screen["effect_to_goal"].to_numpy(float),
        screen["se"].to_numpy(float),
        screen["hit"].to_numpy(bool),
        is_essential if essential is None else np.isin(gene_ids, list(essential)),
        strict_g,
    )
    known, more = background(config, gene_ids, names, log_g, expressed_g)
    lines = [
        f"{report['format']}: {len(gene_ids):,} genes, {int(finished.hit_g.sum()):,} hits ({report['hit_rule']})",
        *report["notes"],
        *facts,
        *more,
    ]
    if shared.any():
        lines.append(
            f"{int(shared.sum()):,} genes left out: only rows of several genes measured them, and a batch measures one by one"
        )
    if strict_g.any():
        lines.append(f"{int(strict_g.sum()):,} hits of FDR < {STRICT_FDR:g} among expressed genes")
    sister_g = None if sister is None else sister["effect_to_goal"].abs().to_numpy(float)
    return Played(finished, known, sister_g, tuple(lines))


def screen_of(config: BacktestConfig) -> ScreenConfig:
    """How the screen is read; scores keep their sign, since hits of both are wanted."""
    return ScreenConfig(
        path=config.screen,
        name=Path(config.screen).name.split(".")[0],
        modality=config.modality,
        higher_is="goal",
        fdr=config.fdr,
        top=config.top,
        hits=config.hits,
        gene_column=config.gene_column,
        score_column=config.score_column,
        screen=config.only,
        sheet=config.sheet,
        pvalue_sides=config.pvalue_sides,
    )


def _names(config: BacktestConfig, screen: ScreenConfig) -> GeneNames:
    """Every label of the screen is a gene: by its Ensembl id where a file of cells names both, else by that label."""
    labels = [label for label in read_scores(screen).frame["label"] if label]
    id_of: dict[str, str] = {}
    for path in config.cells:
        id_of |= _symbols_of(Path(path))
    found = GeneNames.of(id_of).resolve(labels) if id_of else [""] * len(labels)
    named = dict(zip(labels, found, strict=True))
    return GeneNames.of({label: gene or label for label, gene in named.items()} | id_of, source="the screen")


def _symbols_of(path: Path) -> dict[str, str]:
    """Ensembl id of each symbol, where `var` of a file of cells has both."""
    var = read_var(path)
    columns = {"var_names": var.index.astype(str), **{name: var[name].astype(str) for name in var}}
    symbols = next((columns[name] for name in _SYMBOLS if name in columns), None)
    ids = next(
        (values for values in columns.values() if np.mean([is_ensembl(one) for one in values]) > LEAST_IDS),
        None,
    )
    if symbols is None or ids is None:
        return {}
    pairs = zip(symbols, ids, strict=True)
    return {symbol: gene.split(".")[0] for symbol, gene in pairs if symbol and is_ensembl(gene)}


def _expression(
    config: BacktestConfig, gene_ids: np.ndarray, names: GeneNames
) -> tuple[Float[np.ndarray, " g"], list[str]]:
    """log2(1 + counts per million) of all cells together, the larger of several files; NaN where no file measures a gene."""
    best = pd.Series(np.nan, index=gene_ids)
    facts = []
    for path in config.cells:
        cells, _ = read_cells(path, names=names)
        level = pd.Series(cells.log_cpm(), index=cells.gene_ids)
        best = pd.concat([best, level.reindex(gene_ids)], axis=1).max(axis=1)
        facts.append(
            f"{cells.source}: {cells.n_cells:,} cells, {int(level.index.isin(gene_ids).sum()):,} genes of the screen"
        )
    return best.to_numpy(float), facts


def _sister(config: BacktestConfig, gene_ids: np.ndarray, names: GeneNames) -> pd.DataFrame | None:
    if config.sister is None:
        return None
    asked = ScreenConfig(
        path=config.sister, name="sister", modality=config.modality, higher_is="goal", top=0.05
    )
    return read_screen(asked, names=names)[0].set_index("gene_id").reindex(gene_ids)


def _strict(screen: pd.DataFrame, sister: pd.DataFrame | None) -> Bool[np.ndarray, " g"]:
    """Hits by FDR of the screen; where it has none, of its sister."""
    for table in (screen, sister):
        if table is not None and table["padj"].notna().any():
            return by_fdr(table, STRICT_FDR)
    return np.zeros(len(screen), dtype=bool)
