"""Screens and other tables with one score a gene: read, checked, turned toward the goal, hits told."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.compounds import read_targets
from perturbloop.data.drug_responses import by_target, combined
from perturbloop.data.genes import CONTROL_LABEL, NO_NAMES, GeneNames
from perturbloop.data.hits import by_fdr, by_flag, by_list, by_top
from perturbloop.data.screen_formats.reading import Scores, read_scores
from perturbloop.data.species import foreign_labels, main_species
from perturbloop.errors import GeneIdError, InputError, some
from perturbloop.schema import SCREEN, ScreenConfig, raising_sign
from perturbloop.stats.correct import benjamini_hochberg

DEFAULT_FDR = 0.05
"""A hit's false discovery rate where no rule is named."""
LEAST_GENES, LEAST_SHARE, MOST_REPEATED = 20, 0.5, 0.1
"""Fewest genes of a screen that must be known, unless they are at least this share; most rows that may repeat a gene."""


def read_screen(
    config: ScreenConfig, *, names: GeneNames = NO_NAMES, left_out: Collection[str] = ()
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read one table with a score for each gene.

    `effect_to_goal` is positive where what was done to the gene moved cells toward the goal; `effect` is that of *raising*
    the product, so a knock-down that costs the goal is a positive regulator.

    Parameters
    ----------
    config
        The file, what was done, what a high score stands for, what a hit is, and names of columns.
    names
        Which symbol means which gene.
    left_out
        Compounds, or labels of several genes, that are not read.

    Returns
    -------
    Table `SCREEN`, one row a gene in the order of the file, and a report: `format`, `columns` (role to column), `n_rows`,
    `n_genes`, `n_hits`, `n_toward`, `n_away`, `hit_rule` (in words), `dropped` (reason to count), `unknown` (labels without
    an Ensembl id), `repeated` (labels of a gene that another row speaks for), `compounds` (name to the genes that have its score),
    `compounds_without_targets`, `families` (label of several genes to those that have its score), `hits_absent` (listed hits that
    are not in the screen), `notes` (what was done to read the file), `warnings`.

    Raises
    ------
    InputError
        If the file is missing, empty, holds cells or guides, no score, several rows a gene, or no gene that is known; or if it leaves
        anything open, all of which is asked for at once.
    """
    read = read_scores(config)
    frame, rows, other_rows = read.table, read.frame, read.dropped
    rows = rows[~rows["family"].isin([label for label in left_out if label])]
    without: list[str] = []
    if config.targets:
        unnamed = rows["label"].eq("")
        other_rows = other_rows | {"no compound": int(unnamed.sum())}
        rows = rows[~unnamed & ~rows["label"].isin(left_out)]
        rows, without = by_target(rows, read_targets(config.targets), config.modality)
    rows, dropped = _scored(rows, config)
    rows, unknown, controls = _identified(rows, names, config)
    repeated: list[str] = []
    families: dict[str, tuple[str, ...]] = {}
    compounds: dict[str, list[str]] = {}
    if config.targets:
        compound = read.frame["label"].to_numpy()[rows["row"]]
        compounds = {str(name): sorted(set(genes)) for name, genes in rows["gene_id"].groupby(compound)}
        rows = combined(rows)
    else:
        rows, repeated = _once(rows, names, config)
        shared = rows[rows["family"].ne("")].groupby("family")["gene_id"]
        families = {str(label): tuple(genes) for label, genes in shared}
    screen = _checked(rows, names, config)
    hit_g, rule, absent = _hits(screen, frame, rows, names, config)
    screen = screen.assign(hit=hit_g)
    toward_g = screen["effect_to_goal"].to_numpy(float) > 0
    return SCREEN.checked(screen), {
        "format": read.format,
        "columns": read.columns,
        "n_rows": len(frame),
        "n_genes": len(screen),
        "n_hits": int(hit_g.sum()),
        "n_toward": int((hit_g & toward_g).sum()),
        "n_away": int((hit_g & ~toward_g).sum()),
        "hit_rule": rule,
        "dropped": {reason: count for reason, count in (other_rows | dropped | controls).items() if count},
        "unknown": unknown,
        "repeated": repeated,
        "compounds": compounds,
        "compounds_without_targets": without,
        "families": families,
        "hits_absent": list(absent),
        "notes": list(read.notes),
        "warnings": _warnings(screen, hit_g, read, absent, config),
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    """Say in words what `read_screen` found, one fact a line."""
    columns = ", ".join(f"{role} from `{name}`" for role, name in report["columns"].items())
    lines = [
        f"{report['format']}: {report['n_genes']:,} genes from {report['n_rows']:,} rows; {columns}",
        f"{report['n_hits']:,} hit{'' if report['n_hits'] == 1 else 's'} ({report['hit_rule']}): {report['n_toward']:,} toward the goal, "
        f"{report['n_away']:,} away from it",
    ]
    lines += report["notes"]
    if report["families"]:
        n = len({gene for genes in report["families"].values() for gene in genes})
        lines.append(
            f"{n:,} genes have the score of a row of several, for want of one of their own; those of a row are held out, or teach, together"
        )
    lines += [
        f"{count:,} row{'' if count == 1 else 's'} left out: {reason}"
        for reason, count in report["dropped"].items()
    ]
    if report["unknown"]:
        n = len(report["unknown"])
        lines.append(
            f"{n:,} label{'' if n == 1 else 's'} left out that the names of the campaign do not hold: {some(report['unknown'])}"
        )
    if report["repeated"]:
        lines.append(f"another row speaks for the gene of {some(report['repeated'])}")
    if report["compounds_without_targets"]:
        lines.append(f"compounds without a target of this kind: {some(report['compounds_without_targets'])}")
    return lines


def _scored(rows: pd.DataFrame, config: ScreenConfig) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows with a label and a score."""
    empty = rows["label"].eq("")
    missing = rows["score"].isna()
    if missing.all():
        msg = (
            f"`{config.path}` must hold a score for some genes; all {len(rows):,} are missing or infinite. "
            "Name the right column with `--score-column`."
        )
        raise InputError(msg)
    dropped = {
        "no gene": int(empty.sum()),
        "no score": int((missing & ~empty).sum()),
    }
    return rows[~(empty | missing)], dropped


def _identified(
    rows: pd.DataFrame, names: GeneNames, config: ScreenConfig
) -> tuple[pd.DataFrame, list[str], dict[str, int]]:
    """Rows with an Ensembl id, the labels without, and how many rows are controls instead of genes."""
    labels = rows["label"].tolist()
    foreign = foreign_labels(labels)
    if len(foreign) > len(labels) / 2:
        msg = (
            f"The genes of `{config.path}` must be human; {len(foreign):,} of {len(labels):,} labels are {main_species(foreign)} genes: "
            f"{some(foreign)}. Map them to human orthologs first, with a table of one-to-one orthologs."
        )
        raise GeneIdError(msg)
    genes = np.array(names.resolve(labels), dtype=object)
    known = genes != ""
    if not (known.sum() >= LEAST_GENES or known.mean() >= LEAST_SHARE) or not known.any():
        msg = (
            f"The genes of `{config.path}` must be human symbols or Ensembl ids; {int(known.sum()):,} of {len(labels):,} labels "
            f"are known: unknown are for instance {some(rows['label'][~known])}. Name the right column with `--gene-column`."
        )
        raise GeneIdError(msg)
    unknown = [label for label in dict.fromkeys(rows["label"][~known]) if not CONTROL_LABEL.fullmatch(label)]
    n_controls = sum(bool(CONTROL_LABEL.fullmatch(label)) for label in rows["label"][~known])
    kept = rows.assign(gene_id=genes)[known].reset_index(drop=True)
    return kept, unknown, {"controls, not genes": n_controls}


def _once(rows: pd.DataFrame, names: GeneNames, config: ScreenConfig) -> tuple[pd.DataFrame, list[str]]:
    """One row a gene: of several, one of that gene alone, with its present symbol or id, else the first."""
    counts = Counter(rows["label"][rows["family"].eq("")])
    n_repeated = sum(count - 1 for count in counts.values())
    if n_repeated > MOST_REPEATED * len(rows):
        msg = (
            f"A screen needs one row a gene; {n_repeated:,} of {len(rows):,} rows of `{config.path}` name a gene again: "
            f"{some(label for label, count in counts.items() if count > 1)}. Summarize guides by gene first (MAGeCK, RRA), "
            "or name the column that tells several screens apart with `--screen-column`."
        )
        raise InputError(msg)
    own = [
        label in (gene, names.name_of(gene))
        for label, gene in zip(rows["label"], rows["gene_id"], strict=True)
    ]
    order = rows.assign(shared=rows["family"].ne(""), other=~np.array(own, dtype=bool))
    order = order.sort_values(["gene_id", "shared", "other"], kind="stable")
    kept = order.drop_duplicates("gene_id").index.sort_values()
    return rows.loc[kept].reset_index(drop=True), list(rows["label"].drop(kept))


def _checked(rows: pd.DataFrame, names: GeneNames, config: ScreenConfig) -> pd.DataFrame:
    """Turn scores toward the goal, name the genes, and fill in false discovery rates where only p-values came."""
    effect_to_goal = rows["score"] * (1 if config.higher_is == "goal" else -1)
    padj = rows["padj"].to_numpy(dtype=float)
    if np.isnan(padj).all() and rows["pvalue"].notna().any():
        padj = benjamini_hochberg(rows["pvalue"].to_numpy(dtype=float))
    return rows.assign(
        gene_name=[
            names.by_id.get(gene, label) for gene, label in zip(rows["gene_id"], rows["label"], strict=True)
        ],
        modality=config.modality,
        effect_to_goal=effect_to_goal,
        effect=raising_sign(config.modality) * effect_to_goal,
        padj=padj,
    )


def _hits(
    screen: pd.DataFrame,
    frame: pd.DataFrame,
    rows: pd.DataFrame,
    names: GeneNames,
    config: ScreenConfig,
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Hits, their rule in words, and listed hits that are not in the screen."""
    if config.hits is not None:
        hit_g, absent = by_list(screen, config.hits, names)
        return hit_g, f"listed in {Path(config.hits).name}", absent
    if config.top is not None:
        return by_top(screen, config.top), f"top {100 * config.top:g} % by size", ()
    if config.hit_column is not None:
        if config.hit_column not in frame.columns or config.targets:
            msg = (
                f"`--hit-column {config.hit_column}` must be a column of a table of genes; `{config.path}` has "
                f"{some(frame.columns, limit=30)}. Name one of them, or use another rule."
            )
            raise InputError(msg)
        values = frame[config.hit_column].iloc[rows["row"]]
        return by_flag(values, column=config.hit_column), f"column {config.hit_column}", ()
    fdr = config.fdr if config.fdr is not None else DEFAULT_FDR
    return by_fdr(screen, fdr), f"FDR < {fdr:g}", ()


def _warnings(
    screen: pd.DataFrame, hit_g: np.ndarray, read: Scores, absent: tuple[str, ...], config: ScreenConfig
) -> list[str]:
    said = []
    effect = screen["effect_to_goal"]
    if (effect >= 0).all() or (effect <= 0).all():
        said.append(
            f"All scores of `{read.columns['score']}` have one sign: an unsigned score cannot tell toward from away."
        )
    if not hit_g.any():
        said.append("No gene is a hit by this rule: no ranking can be judged by this screen.")
    if absent:
        said.append(f"Listed hits that are not genes of the screen: {some(absent)}.")
    if config.hits is None and screen["padj"].isna().any() and not screen["padj"].isna().all():
        said.append(
            f"{int(screen['padj'].isna().sum()):,} genes have no false discovery rate and are no hits."
        )
    return said
