"""What a round knows of one gene."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.errors import closest
from perturbloop.report.compose import compose, gate_failure
from perturbloop.report.content import RoundReport
from perturbloop.report.gene_measured import called


@dataclass(frozen=True, repr=False)
class GeneAnswer:
    """All that a round knows of one gene."""

    gene_name: str
    gene_id: str
    """Empty where neither the cells nor what was measured holds it."""
    why: str
    """Why there is nothing, or no rank; empty where there is one."""
    ranking: tuple[dict[str, Any], ...]
    """A row of RANKING for each kind, with its `place` and the number of genes `of` which."""
    measured: tuple[dict[str, Any], ...]
    """Rows of EFFECTS."""
    proposed: tuple[dict[str, Any], ...]
    """Rows of PROPOSALS."""
    gate: str
    """What failed at the control gate; empty where nothing did."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        """The same in words."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Say it in words."""
        said = [
            f"{self.gene_name}{f' ({self.gene_id})' if self.gene_id else ''}",
            *filter(None, (self.gate,)),
        ]
        for row in self.ranking:
            place = (
                f"place {row['place']:.0f} of {row['of']:,}"
                if row["place"] == row["place"]
                else row["status"]
            )
            reach = (
                f" [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}]" if row["ci_low"] == row["ci_low"] else ""
            )
            effect = (
                f"; effect {row['effect']:+.3f}{reach} by {row['ranked_by']}"
                if row["effect"] == row["effect"]
                else ""
            )
            said.append(f"To {row['action']} ({row['kind']}): {place}{effect}; {row['n_cells']} cells")
        if self.ranking:
            row = self.ranking[0]
            flags = f"; caution: {row['flags']}" if row["flags"] else ""
            said.append(f"Seen in {row['detection']:.0%} of the start cells{flags}")
            if row["log2fc"] == row["log2fc"]:
                said.append(
                    f"Goal against start cells: log2 fold change {row['log2fc']:+.2f}, {_tested(row)}"
                )
        for row in self.measured:
            hit = called(row)
            said.append(
                f"Measured by {row['modality']}: {row['effect_to_goal']:+.2f} ± {row['se']:.2f}, {hit}"
            )
        said += [
            f"Proposed ({row['policy']}, place {row['place']}): {row['reason']}" for row in self.proposed
        ]
        return [*said, *([self.why] if self.why else [])]


def _tested(row: Mapping[str, Any]) -> str:
    """What the tests of differential expression say of a gene; the paper's is never without its label.

    >>> _tested({"de_padj": 0.2, "de_padj_pseudoreplicated": 1e-30})
    'padj 2.0e-01 (pseudoreplicated, by metacells: 1.0e-30)'
    """
    padj, pseudo = row["de_padj"], row["de_padj_pseudoreplicated"]
    said = f"padj {padj:.1e}" if padj == padj else "padj unknown"
    return f"{said} (pseudoreplicated, by metacells: {pseudo:.1e})" if pseudo == pseudo else said


def of_round(folder: Path, symbol: str) -> GeneAnswer:
    """Say all that a round knows of one gene, also why it is missing.

    Parameters
    ----------
    folder
        Folder of the round.
    symbol
        Symbol or Ensembl id.
    """
    return GeneAnswers(compose(folder), gate_failure(folder)).of(symbol)


@dataclass(frozen=True, eq=False)
class GeneAnswers:
    """What a round knows of each of its genes; what all answers need is made once."""

    report: RoundReport
    gate: str
    """What failed at the control gate; empty where nothing did."""

    def of(self, symbol: str) -> GeneAnswer:
        """Answer for one gene.

        Parameters
        ----------
        symbol
            Symbol or Ensembl id.
        """
        rows, measured, proposed = (
            table.iloc[self._rows_of[name].get(symbol.strip().upper(), [])]
            for name, table in self._tables.items()
        )
        known = pd.concat([rows, measured])[["gene_name", "gene_id"]]
        return GeneAnswer(
            gene_name=str(known["gene_name"].iloc[0]) if len(known) else symbol,
            gene_id=str(known["gene_id"].iloc[0]) if len(known) else "",
            why=self._why(symbol, rows, measured),
            ranking=tuple(rows.to_dict("records")),
            measured=tuple(measured.to_dict("records")),
            proposed=tuple(proposed.to_dict("records")),
            gate=self.gate,
        )

    def _why(self, symbol: str, rows: pd.DataFrame, measured: pd.DataFrame) -> str:
        if rows.empty and len(measured):
            taught = not measured["gene_id"].isin(kept_apart(self.report.effects)).any()
            return (
                "The file of the cells does not hold it, so it cannot be edited, ranked or judged; what was measured of it "
                f"{'teaches the ranking' if taught else 'is held out and teaches nothing'}."
            )
        if rows.empty:
            alike = closest(symbol.strip().upper(), self.report.ranking["gene_name"].unique())
            return f"The file of the cells does not hold it, so nothing can be said of it. The closest names are {alike}."
        if rows["status"].eq("spent").any():
            return "It was measured and taught the ranking, so it is not ranked: its place would be memory, not prediction."
        if rows["status"].eq("scored").any():
            return ""
        if float(rows["detection"].iloc[0]) == 0:
            return "No start cell expresses it, so it cannot be edited there."
        return "It has no token in the model's vocabulary, so it cannot be edited."

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        """The ranking with places, measured effects of genes, and proposals."""
        ranking, effects = self.report.ranking, self.report.effects
        scored = ranking[ranking["status"].eq("scored")].groupby("kind")["benefit"]
        place = scored.rank(ascending=False, method="first")
        of = ranking["kind"].map(scored.size()).fillna(0).astype(int)
        return {
            "ranking": ranking.assign(place=place, of=of),
            "measured": effects[effects["level"].eq("gene")],
            "proposed": self.report.proposals,
        }

    @cached_property
    def _rows_of(self) -> dict[str, dict[str, list[int]]]:
        """Rows of each symbol and id, in upper case, of each table."""
        return {name: _rows_by_label(table) for name, table in self._tables.items()}


def _rows_by_label(table: pd.DataFrame) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, labels in enumerate(zip(table["gene_id"], table["gene_name"], strict=True)):
        for label in {str(one).upper() for one in labels}:
            found.setdefault(label, []).append(row)
    return found


def kept_apart(effects: pd.DataFrame) -> set[str]:
    """Genes whose effects the full ranking never reads: the half that is held out for good, where one is.

    Parameters
    ----------
    effects
        EFFECTS rows of all genes.
    """
    fold_of = dict(zip(effects["gene_id"], effects["fold"], strict=True))
    return {*fold_of} - trains(fold_of, without=-1)
