"""What a round knows of one gene."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.errors import closest
from perturbloop.report.compose import compose, gate_failure


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
            hit = "a hit" if row["hit"] else "no hit"
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
    report = compose(folder)
    asked = symbol.strip().upper()

    def of_gene(table: pd.DataFrame) -> pd.DataFrame:
        is_it = table["gene_id"].astype(str).str.upper().eq(asked) | table["gene_name"].astype(
            str
        ).str.upper().eq(asked)
        return table[is_it]

    ranking = report.ranking
    scored = ranking["status"].eq("scored")
    ranked = ranking.assign(
        place=ranking[scored].groupby("kind")["benefit"].rank(ascending=False, method="first"),
        of=ranking["kind"].map(ranking[scored].groupby("kind").size()).fillna(0).astype(int),
    )
    rows = of_gene(ranked)
    measured = of_gene(report.effects[report.effects["level"].eq("gene")])
    known = pd.concat([rows, measured])
    why = ""
    if rows.empty and len(measured):
        taught = not measured["gene_id"].isin(_kept_apart(report.effects)).any()
        why = (
            "The file of the cells does not hold it, so it cannot be edited, ranked or judged; what was measured of it "
            f"{'teaches the ranking' if taught else 'is held out and teaches nothing'}."
        )
    elif rows.empty:
        alike = closest(asked, ranking["gene_name"].unique())
        why = f"The file of the cells does not hold it, so nothing can be said of it. The closest names are {alike}."
    elif rows["status"].eq("spent").any():
        why = "It was measured and taught the ranking, so it is not ranked: its place would be memory, not prediction."
    elif not rows["status"].eq("scored").any():
        seen = float(rows["detection"].iloc[0])
        why = (
            "No start cell expresses it, so it cannot be edited there."
            if seen == 0
            else "It has no token in the model's vocabulary, so it cannot be edited."
        )
    return GeneAnswer(
        gene_name=str(known["gene_name"].iloc[0]) if len(known) else symbol,
        gene_id=str(known["gene_id"].iloc[0]) if len(known) else "",
        why=why,
        ranking=tuple(rows.to_dict("records")),
        measured=tuple(measured.to_dict("records")),
        proposed=tuple(of_gene(report.proposals).to_dict("records")),
        gate=gate_failure(folder),
    )


def _kept_apart(effects: pd.DataFrame) -> set[str]:
    """Genes whose effects the full ranking never reads: the half that is held out for good, where one is."""
    fold_of = dict(zip(effects["gene_id"], effects["fold"], strict=True))
    return {*fold_of} - trains(fold_of, without=-1)
