"""Write the reference pages from the package itself, so that they cannot go stale.

One page each for the command line, the tables, the configuration, the scoreboard's methods, the errors, a campaign's folder
and the files, and one page of autodoc directives per package. `tests/test_docs.py` asks that every entry has words of its own.
"""

import dataclasses
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import _folder
import _tree
import typer

import perturbloop
from perturbloop import errors, evaluate, schema
from perturbloop.cli.app import CAMPAIGN, PRETRAINING
from perturbloop.cli.options import flag
from perturbloop.cli.record import RECORDED
from perturbloop.data.flags import FLAGS
from perturbloop.evaluate.compare import DIRECTIONS
from perturbloop.schema.checks import allowed
from perturbloop.schema.options import Option, field_docs
from perturbloop.train.pretrain_config import PretrainConfig


def write(folder: Path) -> list[Path]:
    """Write every generated page into the folder and remove what was there before and is no longer made."""
    pages = {
        "cli.md": command_line(),
        "tables.md": tables(),
        "configuration.md": configuration(),
        "methods.md": methods(),
        "metrics.md": metrics(),
        "flags.md": flags(),
        "errors.md": error_classes(),
        "folder.md": _folder.page(),
        "files.md": _tree.page(),
        **{f"api_{name}.md": api(name) for name in packages()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for old in set(folder.glob("*.md")) - {folder / name for name in pages}:
        old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return [folder / name for name in pages]


def grid(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), ["---" for _ in head], *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


# ------------------------------------------------------------------------------------------ command line


def commands() -> dict[str, Any]:
    """Every command by name, as click objects."""
    from perturbloop.cli import app

    return dict(typer.main.get_command(app).commands)


def options(command: Any) -> Iterator[tuple[str, str, str]]:
    """Name, default and help of every argument and option of a command."""
    for entry in command.params:
        if entry.name == "help":
            continue
        is_argument = entry.param_type_name == "argument"
        name = (
            (entry.metavar or entry.name).upper()
            if is_argument
            else ", ".join(entry.opts + entry.secondary_opts)
        )
        shown = getattr(entry, "show_default", None)
        default = shown if isinstance(shown, str) else entry.default
        default = "required" if entry.required else _shown(default)
        yield name, default, (getattr(entry, "help", None) or "").strip()


def _shown(default: object) -> str:
    if (
        default is None
        or default is False
        or default == ()
        or type(default).__name__ == "Sentinel"
        or callable(default)
    ):
        return ""
    return f"`{default}`"


def command_line() -> str:
    """Page of the command line."""
    parts = ["# Command line\n", "`perturbloop --help` and `perturbloop COMMAND --help` say the same.\n"]
    for name, command in commands().items():
        rows = [(f"`{option}`", default, text) for option, default, text in options(command)]
        parts += [f"## `perturbloop {name}`\n", inspect.cleandoc(command.help or "").replace("\b", "") + "\n"]
        parts += [grid(("option", "default", "meaning"), rows) + "\n"]
    return "\n".join(parts)


# ----------------------------------------------------------------------------------------------- schema


def tables() -> str:
    """Page of the tables."""
    parts = [
        "# Tables\n",
        "Every table is Parquet (per cell and edit: in parts). Positive always means toward the goal.\n",
    ]
    for table in schema.TABLES:
        rows = [(f"`{column.name}`", column.meaning, f"`{column.example}`") for column in table.columns]
        parts += [
            f"## {table.name}\n",
            f"One row: {table.row}.\n",
            grid(("column", "meaning", "example"), rows) + "\n",
        ]
    return "\n".join(parts)


def configuration() -> str:
    """Page of the options in `campaign.toml`."""
    parts = [
        "# Configuration\n",
        "A campaign is one `campaign.toml`. It may be edited, and comments in it stay. A path is full, or relative to the "
        "campaign's folder. Every option has a flag: those of recorded files of `perturbloop record`, the others of "
        "`perturbloop init`.\n",
    ]
    for section, kind in schema.SECTIONS.items():
        title = f"## `[[{section}]]`" if section in ("perturbed", "screen") else f"## `[{section}]`"
        parts += [
            f"{title}\n",
            _fields(kind, RECORDED if section in ("perturbed", "screen") else CAMPAIGN, section),
        ]
    parts += [
        "## Pretraining\n",
        "Not part of a campaign: options of `perturbloop.train.pretrain` and of `perturbloop pretrain`.\n",
        _fields(PretrainConfig, PRETRAINING, "pretrain"),
    ]
    return "\n".join(parts)


def _fields(kind: type, options: tuple[Option, ...], section: str) -> str:
    flags = {
        field: flag(option.name)
        for option in reversed(options)
        for place, field in option.places
        if place == section
    }
    docs = field_docs(kind)
    rows = [
        (
            f"`{field.name}`",
            f"`{flags[field.name]}`",
            allowed(kind, field.name),
            _default(field),
            docs.get(field.name, ""),
        )
        for field in dataclasses.fields(kind)
    ]
    return f"{kind.__doc__}\n\n{grid(('option', 'flag', 'takes', 'default', 'meaning'), rows)}\n"


def _default(field: dataclasses.Field) -> str:
    if field.default is dataclasses.MISSING:
        return "required"
    return "" if field.default is None else f"`{field.default!r}`"


def methods() -> str:
    """Page of the rows of the scoreboard."""
    rows = [
        (f"`{entry.name}`", entry.role, entry.channel, entry.title, entry.meaning)
        + (f"`{entry.partner}`" if entry.partner else "", _listed(entry.against), _listed([entry.control]))
        for entry in schema.METHODS
    ]
    lead = (
        "A *loop* row is a variant of the loop, a *baseline* needs no model, a *control* must not gain. Gains are paired "
        "differences over the methods it is compared with; the shuffled twin is made for the first of them.\n"
    )
    head = ("method", "role", "channel", "title", "meaning", "starts from", "compared with", "shuffled twin")
    return "\n".join(["# Methods of the scoreboard\n", lead, grid(head, rows) + "\n"])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names if name)


def metrics() -> str:
    """Page of the metrics and of the rules behind a call."""
    rows = [
        (
            f"`{entry.name}`",
            entry.meaning,
            f"{entry.low:g} to {entry.high:g}",
            f"{entry.best:g}",
            entry.reference,
        )
        for entry in evaluate.METRICS
    ]
    rows += [(f"`{name}`", meaning, "0 to 1", "1", "") for name, meaning in DIRECTIONS.items()]
    rules = [(f"`{entry.name}`", entry.meaning) for entry in evaluate.RULES]
    return "\n".join(
        [
            "# Metrics and calls\n",
            "Each is given with its 95 % bootstrap interval over genes, the number of genes and of hits.\n",
            grid(("metric", "meaning", "range", "best", "source"), rows) + "\n",
            "## Rules of a call\n",
            "PPV, NPV, sensitivity and specificity are those of a rule (`call` in section `evaluate` of `campaign.toml`).\n",
            grid(("rule", "what it calls"), rules) + "\n",
        ]
    )


def flags() -> str:
    """Page of the caution flags."""
    rows = [(f"`{entry.name}`", entry.meaning) for entry in FLAGS]
    lead = "Reasons to look twice at a gene of the ranking; flagged genes are never removed.\n"
    return "\n".join(["# Caution flags\n", lead, grid(("flag", "why"), rows) + "\n"])


# ---------------------------------------------------------------------------------------- errors and API


def error_types() -> list[type]:
    """Every error class, parents first."""
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.PerturbloopError)
    ]


def error_classes() -> str:
    """Page of the errors."""
    ordered = sorted(error_types(), key=lambda kind: (len(kind.__mro__), kind.__name__))
    rows = [(f"`{kind.__name__}`", f"`{kind.__base__.__name__}`", inspect.getdoc(kind)) for kind in ordered]
    lead = (
        "A message says what is needed, what came (with the count and the first offenders) and what to do. The command "
        "line prints it without a traceback and exits with 1.\n"
    )
    return "\n".join(["# Errors\n", lead, grid(("error", "is a", "meaning"), rows) + "\n"])


def packages() -> list[str]:
    """Top-level packages and modules of perturbloop, public ones."""
    return sorted(
        entry.name for entry in pkgutil.iter_modules(perturbloop.__path__) if not entry.name.startswith("_")
    )


def modules(name: str) -> list[str]:
    """A package and its modules, by dotted name."""
    package = import_module(f"perturbloop.{name}")
    inner = pkgutil.iter_modules(package.__path__) if hasattr(package, "__path__") else ()
    names = sorted(entry.name for entry in inner if not entry.name.startswith("_"))
    return [package.__name__, *(f"{package.__name__}.{entry}" for entry in names)]


def api(name: str) -> str:
    """Page of autodoc directives of one package."""
    parts = [f"# `perturbloop.{name}`\n"]
    first, *inner = modules(name)
    for module in (first, *inner):
        if module != first:
            parts.append(f"## `{module}`\n")
        members = (
            "" if inner and module == first else "   :members:\n"
        )  # a package names what its modules define
        parts.append(f"```{{eval-rst}}\n.. automodule:: {module}\n{members}```\n")
    return "\n".join(parts)
