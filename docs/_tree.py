"""The file map of the reference: one comment per file, taken from the file itself where it has one.

A Python file is described by the first line of its docstring, a page by its title; of the rest what is worth a word has
one here. It is made at every build of the documentation and never committed.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT = {"__pycache__", "_build", "generated", "jupyter_execute"}
"""Folders that hold nothing anybody wrote."""

COMMENTS = {
    ".ci/": "continuous integration",
    ".ci/run": "what CI runs: the whole check",
    ".gitignore": "what is never committed: environments, builds, campaigns",
    "CHANGELOG.md": "what changed for users",
    "CONTRIBUTING.md": "setup, layers, names, errors, the ideal commit",
    "LICENSE": "BSD-3-Clause",
    "Makefile": "demo, test, lint, docs, clean",
    ".readthedocs.yaml": "how the documentation is built for the web",
    "CITATION.cff": "how to cite, for machines",
    "README.md": "what it is, how to install it, twelve lines of Python",
    "constraints.txt": "known-good versions of everything",
    "pyproject.toml": "package, dependencies, ruff, mypy, pytest, layers",
    "docs/": "tutorial, how-to, explanation, reference; the reference is made from the code",
    "docs/explanation/": "why it is as it is",
    "docs/howto/": "one task each",
    "docs/reference/": "made from the code at every build",
    "docs/tutorial/": "start here",
    "docs/images/": "pictures of pages",
    "docs/references.bib": "what docstrings and pages cite",
    "src/": "the package",
    "src/perturbloop/report/templates/": "what the page looks like",
    "src/perturbloop/report/templates/report.html": "the page of one round",
    "src/perturbloop/py.typed": "the package's types are meant to be checked",
    "src/perturbloop/data/toy_genes.csv": "names of the simulated genes",
    "src/perturbloop/data/toy_disease_genes.csv": "names and families of the genes of the simulated disease",
    "src/perturbloop/data/toy_disease_targets.csv": "what its twelve compounds act on, and how strongly",
    "tests/": "mirrors src; a test's name is a sentence about behaviour",
    "tests/contracts/": "what every metric, acquisition and store must satisfy",
    "tests/benchmarks/": "the parts of the real-data benchmarks that decide a number",
    "tests/golden/": "equality with numbers that the published tool computed",
    "benchmarks/": "what measures science and speed",
    "benchmarks/isp/": "speed, memory and accuracy of in-silico perturbation",
    "benchmarks/state_head/": "which linear head reads in-silico edits",
    "benchmarks/coverage/": "do intervals hold what they promise",
    "benchmarks/real/": "does it hold on real cells and real screens",
    "benchmarks/closed_loop/curves.png": "AUROC against the number of perturbed genes",
    "benchmarks/speed/": "two checkouts timed by turns: tests, demo, report",
    "benchmarks/mutation/": "which changes of the statistics no test notices",
    "benchmarks/mutation/cosmic_ray.toml": "which code is changed, and what must notice",
    "benchmarks/disease/": "are the axes of a simulated disease found among druggable genes that no compound targets",
    "benchmarks/damage/": "what becomes of a campaign when its files are damaged",
    "benchmarks/closed_loop/": "does closing the loop help, on simulated worlds whose answer is known",
}
FIRST = ("src", "tests", "docs", "benchmarks")
CLOSED = ("tests/",)
"""Folders whose own folders are listed without their files."""


def files() -> list[str]:
    """Every file of the folders in `FIRST` and beside them, as a path below the root."""
    found = [path for folder in FIRST for path in (ROOT / folder).rglob("*")]
    found += [ROOT / name for name in COMMENTS if not name.endswith("/") and "/" not in name]
    found += (ROOT / ".ci").iterdir()
    inside = [path.relative_to(ROOT) for path in found if path.is_file() and path.suffix != ".pyc"]
    return sorted({path.as_posix() for path in inside if not BUILT & set(path.parts)}, key=_folders_first)


def comment(path: str) -> str:
    """What a file or folder is, in one line."""
    if path in COMMENTS:
        return COMMENTS[path]
    here = ROOT / path
    if path.startswith(CLOSED) and path.endswith("/"):
        return f"of perturbloop.{here.name}"
    if here.is_dir():
        here = here / "__init__.py"
    if here.suffix == ".py" and here.is_file():
        return _short(ast.get_docstring(ast.parse(here.read_text())) or "")
    if here.suffix == ".md":
        return next(line for line in here.read_text().splitlines() if line.startswith("# ")).removeprefix(
            "# "
        )
    return ""


def tree() -> str:
    """Lines of the tree: folders end in a slash, and what they hold is indented below."""
    lines, seen = [], set()
    for path in files():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth]) + "/"
            if folder not in seen and not (depth > 2 and folder.startswith(CLOSED)):
                seen.add(folder)
                lines.append(_line(folder, depth - 1))
        inner = path.startswith(CLOSED) and len(parts) > 2
        if not inner and parts[-1] != "__init__.py":
            lines.append(_line(path, len(parts) - 1))
    return "\n".join(lines)


def page() -> str:
    """Page of the file map."""
    return f"# Files\n\nWhat lies where, folder by folder.\n\n```text\n{tree()}\n```\n"


def _line(path: str, depth: int) -> str:
    name = path.rstrip("/").rsplit("/", 1)[-1] + ("/" if path.endswith("/") else "")
    return f"{'  ' * depth + name:<29} {comment(path)}".rstrip()


def _short(docstring: str) -> str:
    first = docstring.split("\n\n")[0].replace("\n", " ")
    for stop in (". ", ": ", "; "):
        if len(first) > 110:
            first = first.partition(stop)[0]
    return first.rstrip(".")


def _folders_first(path: str) -> list[tuple[int, str]]:
    parts = path.split("/")
    top = FIRST.index(parts[0]) if parts[0] in FIRST else len(FIRST)
    return [(top, ""), *((place == len(parts) - 1, part) for place, part in enumerate(parts))]
