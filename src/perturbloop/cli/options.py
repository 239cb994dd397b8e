"""Commands and their options: those of a configuration are made from its dataclasses, so that each has its flag."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from perturbloop.cli.output import Answer, progress, refusals, say
from perturbloop.schema.options import Option

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")]
Workers = Annotated[
    int,
    typer.Option(
        help="Processes of this machine that share the in-silico edits, by Ray; 0 = this one alone."
    ),
]
Cluster = Annotated[
    str,
    typer.Option(
        help="Address of a Ray cluster that runs and shares the in-silico edits: HOST:PORT or auto.",
        metavar="ADDRESS",
        show_default=False,
    ),
]
Store = Annotated[
    str,
    typer.Option(
        help="Fetch shards from here and send them here, for machines without a common disk: s3://BUCKET/NAME, or what else fsspec knows.",
        metavar="URL",
        show_default=False,
    ),
]
WIDE = 20
"""Widest list of words that stands beside a flag; a wider one ends what is said of it."""
_AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def command(
    app: typer.Typer,
    *options: Option,
    heading: str = "Files and models",
    panels: Mapping[str, str] | None = None,
    required: tuple[str, ...] = (),
    short: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Make a command of a function that returns what is to be said; `--json`, progress and refusals come with it.

    Parameters
    ----------
    app
        Where the command belongs.
    options
        Options to add. Those that came are handed to the function's argument `given`, by name.
    heading
        Heading of the command in `perturbloop --help`.
    panels
        Heading in the help, by section of the options.
    required
        Options that must come although their field has a default.
    short
        Second way to type an option, by its name: -n.
    """

    def decorate(function: Callable[..., Answer]) -> Callable[..., Answer]:
        own = [one for one in inspect.signature(function).parameters.values() if one.name != "given"]
        made = [
            _parameter(
                one,
                panel=_panel(one, panels or {}),
                required=one.name in required,
                short=(short or {}).get(one.name),
            )
            for one in options
        ]

        def run(*, as_json: bool, **values: Any) -> None:
            came = {one.name: _value(one, values.pop(one.name)) for one in options}
            with refusals(as_json=as_json):
                with progress():
                    answer = function(**values, **({"given": came} if options else {}))
                say(answer, as_json=as_json)

        plain = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        last = inspect.Parameter(
            "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_AS_JSON
        )
        run.__signature__ = inspect.Signature([*plain, *made, last])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in (*plain, *made, last)}
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        app.command(cls=Spreading, rich_help_panel=heading)(run)
        return function

    return decorate


def flag(name: str) -> str:
    """Option as it is typed.

    >>> flag("min_cells")
    '--min-cells'
    """
    return f"--{name.replace('_', '-')}"


def listed(text: str) -> tuple[str, ...]:
    """Values separated by commas.

    >>> listed("lora, full")
    ('lora', 'full')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def full(came: Sequence[Path]) -> str | tuple[str, ...]:
    """Full path of one file, or of each of several."""
    paths = tuple(str(path.resolve()) for path in came)
    return paths[0] if len(paths) == 1 else paths


def spread(args: Sequence[str], flags: Collection[str]) -> list[str]:
    """Repeat a flag before each of the files that follow it, where the campaign's folder stands first.

    Parameters
    ----------
    args
        What was typed after the command.
    flags
        Flags that take several files.

    Examples
    --------
    >>> spread(["study", "--cells", "a.h5ad", "b.h5ad", "--goal", "b"], ["--cells"])
    ['study', '--cells', 'a.h5ad', '--cells', 'b.h5ad', '--goal', 'b']
    """
    if not args or args[0].startswith("-"):
        return list(args)
    made: list[str] = []
    current = ""
    for word in args:
        follows = bool(made) and current in flags and made[-1] != current and not word.startswith("-")
        current = word if word.startswith("-") else current
        made += [current, word] if follows else [word]
    return made


class Spreading(TyperCommand):
    """A command whose options may take several files, one after the other."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed."""
        flags = {
            flag
            for one in self.params
            if one.param_type_name == "option" and one.multiple
            for flag in one.opts
        }
        return super().parse_args(ctx, spread(args, flags))


def _parameter(
    option: Option, *, panel: str | None, required: bool, short: str | None = None
) -> inspect.Parameter:
    needed = required or option.default is MISSING
    written = flag(option.name)
    details = typer.Option(
        f"{written}/--no-{written[2:]}" if option.kind is bool else written,
        *([short] if short else []),
        help=_meaning(option),
        metavar=_metavar(option),
        show_default=False if needed else _shown(option.default),
        rich_help_panel=panel,
    )
    kind: Any = (
        Path if option.is_file else bool if option.kind is bool else list[str] if option.is_list else str
    )  # numbers are read by `_value`
    kind = list[Path] if option.is_file and option.is_list else kind
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if needed else None,
        annotation=Annotated[kind if needed else kind | None, details],
    )


def _panel(option: Option, panels: Mapping[str, str]) -> str | None:
    return panels.get(option.places[0][0]) if len(option.places) == 1 else None


def _metavar(option: Option) -> str | None:
    if option.is_file and option.is_list:
        return "FILE…"
    if option.is_list:
        return "A,B,…"
    words = "|".join(option.words)
    if words or option.is_file:
        return words if words and len(words) <= WIDE else None
    return {int: "N", float: "NUMBER"}.get(option.kind)


def _meaning(option: Option) -> str:
    unsaid = [word for word in option.words if word not in option.meaning]
    text = option.meaning.replace("\n", " ")
    return (
        f"{text} One of: {', '.join(option.words)}."
        if unsaid and (_metavar(option) or "") != "|".join(option.words)
        else text
    )


def _shown(default: Any) -> str | bool:
    if default is None or default in ("", ()) or default is MISSING:
        return False
    if isinstance(default, bool):
        return "yes" if default else False
    return ",".join(default) if isinstance(default, tuple) else f"{default}"


def _value(option: Option, came: Any) -> Any:
    if came is None or came == []:
        return None
    if option.is_file:
        return full(came) if option.is_list else str(came.resolve())
    if option.is_list:
        return tuple(value for text in came for value in listed(text))
    try:
        return option.kind(came)
    except ValueError:
        return came  # the configuration refuses it by name
