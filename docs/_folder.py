"""The campaign folder, file by file: the steps name what they leave in a round, the schema says what a table holds."""

import re

from perturbloop import schema
from perturbloop.loop.steps import STEPS

CAMPAIGN = {
    "campaign.toml": "what was asked: a section for each step",
    "campaign.sqlite": "the ledger: rounds, inputs with hashes, finished steps, scores, held-out targets",
    "ledger.toml": "where the ledger is, if in a database: its address, without a password",
    ".perturbloop.lock": "held by the process that works on the campaign",
    "working.json": "what that process is doing; gone when it ends",
    "uploads/": "tables that were recorded in the browser",
}
BESIDE = {
    "perturbed/KEY/": {
        "effects_all.parquet": "measured effects, read by all genes",
        "effects_judge.parquet": "the same, read by the half of the genes that judges",
        "guides.parquet": "",
        "replicates.parquet": "",
        "contributions.parquet": "the genes that say so, for each target",
        "report.json": "what was read and left out",
    },
    "screens/KEY/": {
        "screen.parquet": "",
        "effects.parquet": "",
        "report.json": "what was read and left out",
    },
    "models/METHOD-KEY/": {
        "state_model.json": "what it was trained on, and how well it tells the states apart",
        "readout.safetensors": "the state head",
        "encoder/": "its weights and vocabulary, where they were trained",
        "adapter/": "low-rank adapters, where they were trained",
    },
    "shifts/": {"rate-FAMILY.json": "how fast edits went here, to say how long the next will take"},
    "shifts/MODEL-KEY/PLAN/": {
        "part-NUMBER.parquet": "every edit in every cell",
        "run.json": "the arithmetic it was run in",
        "noise.json": "how far the arithmetic alone moves a cell",
    },
    "encoded/MODEL/KEY/": {
        "HASH.npz": "encodings of edited cells by the frozen encoder, up to 1 GB a run, read again by the heads of later rounds",
    },
    "tokens/KEY/": {
        "HASH.bin": "encoded start and goal cells, one after another, where they are too many for the memory",
        "lengths.parquet": "how long each is",
    },
    "de/": {"KEY.parquet": "signed differential expression of these cells, made once"},
    "combinations/": {"NAME.parquet": "", "NAME.json": "what it was made of"},
    "curves/": {
        "curves.parquet": "",
        "curve_means.parquet": "",
        "curves.png": "the learning curves, drawn",
        "curves.json": "what they were made of",
        "panels/": "the panels that were drawn",
        "base/": "in-silico scores without any measured gene",
        "points/": "every panel's scores: where a killed run goes on",
    },
}
"""What lies beside the rounds; a table without words of its own has those of the schema."""
ROUND = {
    "de.parquet": "signed differential expression between the two states",
    "effects_judged.parquet": "measured effects, read by the half of the genes that judges",
    "recorded.json": "what was read of the recorded files",
    "scores.json": "the scoreboard for machines, with options, hashes, seed and version",
    "facts.json": "what the page says beside its tables",
    "geneformer_KIND.csv": "the same ranking in the columns of the published tool",
    "report.html": "the page to read",
    "ranking.csv": "the ranking for a spreadsheet, the answer's columns first",
    "ranking.xlsx": "the same for Excel",
}
TABLE_OF = {"NAME.parquet": "combinations.parquet"}
"""Files with names of the user's own, and the file of the same table."""
SOMETIMES = "; where there is any"


def page() -> str:
    """Page of the campaign folder."""
    lines = list(CAMPAIGN.items())
    lines.append(("rounds/NUMBER/", "one folder for each round"))
    for step in STEPS:
        lines.append((f"  {step.name}.json", f"what `{step.name}` used: key, hashes, seed, version, time"))
        for name in step.outputs:
            there = name.rstrip("*")
            lines.append((f"  {there}", meaning_of(there) + (SOMETIMES if there != name else "")))
    for folder, files in BESIDE.items():
        lines.append((folder, ""))
        lines += [
            (f"  {name}", meaning or meaning_of(TABLE_OF.get(name, name))) for name, meaning in files.items()
        ]
    text = "\n".join(f"{name:<28} {meaning}".rstrip() for name, meaning in lines)
    lead = (
        "A campaign is a folder. KEY, NUMBER, METHOD and the like stand for what differs. Tables are described by column "
        "under {doc}`tables`.\n"
    )
    return f"# The campaign folder\n\n{lead}\n```text\n{text}\n```\n"


def meaning_of(name: str) -> str:
    """What a file of a round is: words of its own, or those of its table."""
    if name in ROUND:
        return ROUND[name]
    stem = name.removesuffix(".parquet")
    return next(f"a row for {table.row}" for table in schema.TABLES if table.name == stem)


def patterns() -> list[re.Pattern[str]]:
    """Every file of a campaign folder, as patterns of its path; what differs from campaign to campaign is left open."""
    names = list(CAMPAIGN)
    names += [f"rounds/NUMBER/{step.name}.json" for step in STEPS]
    names += [f"rounds/NUMBER/{name.rstrip('*')}" for step in STEPS for name in step.outputs]
    names += [f"{folder}{name}" for folder, files in BESIDE.items() for name in files]
    return [re.compile(_open(name)) for name in names]


def _open(name: str) -> str:
    """Turn a name into a pattern: words in capitals are anything, a folder holds anything."""
    pattern = re.sub(r"(?<![A-Za-z])[A-Z]{2,}(?![A-Za-z])", "[^/]+", re.escape(name))
    return pattern + ".*" if name.endswith("/") else pattern
