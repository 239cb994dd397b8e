"""All that a file leaves open, asked in one sentence instead of one after another."""

from collections.abc import Mapping
from pathlib import Path

from perturbloop.data.screen_formats import table
from perturbloop.data.screen_formats.opening import Opened
from perturbloop.errors import InputError, some
from perturbloop.schema import ScreenConfig


def questions(opened: Opened, config: ScreenConfig) -> dict[str, str]:
    """Options that must come before a file can be read, and what each decides.

    Parameters
    ----------
    opened
        The file, as far as it was opened.
    config
        Options that came.
    """
    asks = {opened.option: opened.choice} if opened.choice else {}
    if opened.columns is None:
        return asks | (
            {} if opened.format is None else _hits(opened.format.find(opened.frame.columns), config)
        )
    return asks | _columns(opened, config) | _sides(opened, config) | _hits({"": opened.columns}, config)


def require_no_question(
    opened: Opened, config: ScreenConfig, *, more: Mapping[str, str] | None = None
) -> None:
    """Refuse to go on while something is open, and ask for all of it at once.

    Parameters
    ----------
    opened, config
        As `questions` has them.
    more
        Other options that are missing, and what each decides.

    Raises
    ------
    InputError
        If anything is missing.
    """
    asks = {**(more or {}), **questions(opened, config)}
    if not asks:
        return
    what = f"{Path(config.path).name} ({opened.format.name})" if opened.format else Path(config.path).name
    wanted = f"{len(asks)} more options. Add them" if len(asks) > 1 else "one more option. Add it"
    lines = [f"  {option}: {why}" for option, why in asks.items()]
    msg = "\n".join([f"{what} needs {wanted} to the line:", *lines])
    raise InputError(msg)


def _columns(opened: Opened, config: ScreenConfig) -> dict[str, str]:
    whats = {"gene": "compounds" if config.targets else "genes"}
    whats |= {} if opened.format else {"score": "signed scores"}
    missing = {role: what for role, what in whats.items() if role not in (opened.columns or {})}
    seen = some(opened.frame.columns, limit=30)
    return {
        f"--{role}-column NAME": f"the column of {what}, one of {seen}"
        if number == 0
        else f"the column of {what}"
        for number, (role, what) in enumerate(missing.items())
    }


def _sides(opened: Opened, config: ScreenConfig) -> dict[str, str]:
    columns = opened.columns or {}
    if opened.format is not None and config.pvalue_sides is not None:
        msg = (
            f"`--pvalue-sides` belongs to tables of no known tool; {Path(config.path).name} is a {opened.format.name}, whose "
            "p-values are known. Leave it out."
        )
        raise InputError(msg)
    if (
        opened.format is not None
        or config.pvalue_sides
        or config.readout
        or not {"score", "p-value"} <= set(columns)
    ):
        return {}
    why = table.why_one_sided(opened.frame, columns, config.path)
    said = f"of '{columns['p-value']}' {why}; one doubles them and makes the FDR anew, two keeps them"
    return {"--pvalue-sides one|two": said} if why else {}


def _hits(found: Mapping[str, Mapping[str, str]], config: ScreenConfig) -> dict[str, str]:
    """Ask what a hit is where no rule came and no comparison has the numbers of the usual one."""
    rules = (config.fdr, config.top, config.hits, config.hit_column)
    if any(rule is not None for rule in rules) or config.targets:
        return {}
    if any(role.startswith(("FDR", "p-value")) for columns in found.values() for role in columns):
        return {}
    return {
        "--top SHARE or --hits FILE": "what a hit is: no column of false discovery rates or p-values was found (`--fdr-column`, "
        "`--pvalue-column`)"
    }
