"""What to measure next: the gate first, then the batch with its doubts."""

from typing import Any

import pandas as pd

from perturbloop.data.flags import NO_GUIDE
from perturbloop.report.answer import WAY_OUT, Answer
from perturbloop.report.basis import basis_of, shown
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import (
    MISSING,
    Grid,
    Picture,
    Section,
    count,
    drawn,
    interval,
    listed,
    number,
    text,
)
from perturbloop.schema import ACTION, PENDING

NOTHING_PROPOSED = "No batch: `perturbloop propose` has not been run, or every gene that could be proposed has been measured."
_TITLE = "What to measure next"
_WORDS = frozenset({"gene", "action", "cautions", "reason", "kind", "policy"})
_GATE = {
    "failed": f"Gate: FAILED. Do not order this batch. {WAY_OUT}",
    "passed": "Gate: passed.",
    "not judged": "Gate: not judged, so nothing shows that this ranking does what it must; keep the batch small.",
}


def proposal_section(report: RoundReport, found: Answer) -> Section:
    """The state of the gate, the first policy's batch with its doubts, and the genes of the others."""
    gate = _GATE[found.gate]
    if report.proposals.empty:
        return Section("proposals", _TITLE, (gate, *told_lines(report), NOTHING_PROPOSED))
    batch = batch_of(report)
    policies = list(dict.fromkeys(batch["policy"]))
    first = batch[batch["policy"].eq(policies[0])]
    lines = [gate, *_expected(report, first), *_why_these_kinds(report, batch), *no_guide(report)]
    for policy in policies[1:]:
        names = listed(batch.loc[batch["policy"].eq(policy), "gene_name"], most=len(batch))
        lines.append(
            f"Measure some of the {policy} batch too, for a policy that cannot beat it has learnt nothing: {names}."
        )
    in_all = set.intersection(
        *(set(batch.loc[batch["policy"].eq(policy), "gene_name"]) for policy in policies)
    )
    if len(policies) > 1 and in_all:
        lines.append(f"In every batch, so to be ordered once: {listed(sorted(in_all), most=20)}.")
    columns = (
        "#",
        "gene",
        "action",
        "P(hit)",
        "90 % interval",
        _head(first),
        "95 % interval",
        "cautions",
        "log2FC",
    )
    rows = tuple(_line(row) for row in first.itertuples())
    grid = Grid(
        f"{str(policies[0]).capitalize()} batch: {count(len(rows), 'gene')}",
        columns,
        rows,
        _WORDS,
        gene_ids=tuple(first["gene_id"].astype(str)),
        spare=("log2FC", "#", "95 % interval", "90 % interval"),
    )
    picture = Picture(
        f"What each gene of the batch promises, with 95 % intervals. Filled: {policies[0]}; open: {listed(policies[1:]) or 'no other policy'}.",
        drawn("batch_forest", batch),
    )
    return Section("proposals", _TITLE, tuple(lines), (grid,), (picture,))


def all_proposals_section(report: RoundReport) -> Section:
    """Every batch with its reasons."""
    title = "Every batch with its reasons"
    if report.proposals.empty:
        return Section("all-proposals", title, (NOTHING_PROPOSED,))
    columns = ("#", "gene", "kind", "action", "reason", "cautions")
    grids = tuple(
        Grid(
            f"Policy: {policy}",
            columns,
            tuple(
                (
                    number(row.place, 0),
                    text(row.gene_name, row.gene_id),
                    row.kind,
                    row.action,
                    text(row.reason),
                    text(row.flags).replace(",", ", "),
                )
                for row in rows.sort_values("place").itertuples()
            ),
            _WORDS,
        )
        for policy, rows in report.proposals.groupby("policy", sort=False)
    )
    return Section("all-proposals", title, no_guide(report), grids)


def no_guide(report: RoundReport) -> tuple[str, ...]:
    """Say which scored genes are in no batch since no guide edits them, best first; empty where there are none."""
    rows = report.ranking[report.ranking["status"].eq("scored")].sort_values(
        "benefit", ascending=False, kind="stable"
    )
    names = rows.loc[
        rows["gene_name"].astype(str).str.fullmatch(NO_GUIDE.pattern), "gene_name"
    ].drop_duplicates()
    proposed = set(report.proposals["gene_name"])
    names = [name for name in names if name not in proposed]
    return (f"Left out, since no guide edits the mitochondrial genome: {listed(names)}.",) if names else ()


def batch_of(report: RoundReport) -> pd.DataFrame:
    """Proposals with what the ranking knows of each gene.

    Returns
    -------
    `policy`, `place`, `gene_name`, `gene_id`, `kind`, `action`, `benefit`, `probability` with its interval `p_low` and `p_high`;
    `quantity` (mean or shift), its `value`, `ci_low` and `ci_high`; `cautions` and `log2fc`. First policy first, best first.
    """
    parts = []
    for kind in dict.fromkeys(report.proposals["kind"]):
        quantity = basis_of(report, str(kind)).effect
        known = shown(report, str(kind))
        known = known.assign(quantity=quantity, value=known[quantity])
        parts.append(
            known[["gene_id", "kind", "quantity", "value", "ci_low", "ci_high", "cautions", "log2fc"]]
        )
    own = report.proposals.rename(columns={"ci_low": "p_low", "ci_high": "p_high"})
    batch = own.merge(pd.concat(parts), on=["gene_id", "kind"], how="left")
    order = {policy: place for place, policy in enumerate(dict.fromkeys(batch["policy"]))}
    batch = batch.assign(order=batch["policy"].map(order), cautions=batch["cautions"].fillna(""))
    return batch.sort_values(["order", "place"], kind="stable", ignore_index=True)


def _head(batch: pd.DataFrame) -> str:
    quantities = set(batch["quantity"].dropna())
    return {"mean": "expected effect", "shift": "shift (logits)"}.get(
        quantities.pop() if len(quantities) == 1 else "", "effect or shift"
    )


def _line(row: Any) -> tuple[str, ...]:
    digits = 2 if row.quantity == "mean" else 3
    value = MISSING if pd.isna(row.value) else number(row.value, digits, sign=True)
    return (
        number(row.place, 0),
        text(row.gene_name, str(row.gene_id)),
        text(row.action),
        number(row.probability),
        interval(row.p_low, row.p_high),
        value,
        interval(row.ci_low, row.ci_high, digits, sign=True),
        text(row.cautions),
        number(row.log2fc, sign=True),
    )


def _expected(report: RoundReport, batch: pd.DataFrame) -> tuple[str, ...]:
    """Hits to expect in the batch, and what came of earlier ones."""
    if batch["probability"].isna().all():  # a round of an older version
        return told_lines(report)
    from perturbloop.design.calibration import calibration_of, stated  # reading a round loads no scipy

    odds = batch["probability"].to_numpy(float), batch["shift"].fillna(0).to_numpy(float)
    calibration, _ = calibration_of(report.trials)
    return (calibration.expected(stated(*odds)).sentence, *told_lines(report))


def told_lines(report: RoundReport) -> tuple[str, ...]:
    """Predicted against found hits of each batch that was told, and how many genes await their outcome; empty without any."""
    from perturbloop.design.calibration import calibration_of

    awaited = int(report.trials["status"].isin(PENDING).sum())
    waits = (f"{count(awaited, 'gene')} of earlier batches await their outcome.",) if awaited else ()
    return (*(one.sentence for one in calibration_of(report.trials)[1]), *waits)


def _why_these_kinds(report: RoundReport, batch: pd.DataFrame) -> tuple[str, ...]:
    ranked = set(report.ranking["kind"])
    kinds = set(batch["kind"])
    if ranked <= kinds or report.effects.empty:
        return ()
    actions = listed(sorted({ACTION.get(kind, kind) for kind in kinds}))
    return (f"Only genes to {actions} are proposed: no other effect was measured so far.",)
