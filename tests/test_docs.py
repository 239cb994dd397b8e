"""The documentation keeps up with the code: names, commands, links, and the map of files."""

import ast
import importlib.util
import inspect
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

import perturbloop
from perturbloop import schema
from perturbloop.data.flags import FLAGS
from perturbloop.evaluate import METRICS, RULES
from perturbloop.schema.options import field_docs

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "perturbloop"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for page in ROOT.glob("docs/**/*.md") if "generated" not in page.parts)]
)


def module(name):
    """Import a module of the `docs` folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    sys.path.insert(0, str(ROOT / "docs"))
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="session")
def tree():
    """What writes the map of files."""
    return module("_tree")


@pytest.fixture(scope="session")
def generate():
    """What writes the reference."""
    return module("_generate")


def blocks(page, *languages):
    """Fenced blocks of a page in these languages, in order, as (language, text)."""
    fences = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in fences if language in languages]


def shown_commands():
    """Every `perturbloop …` line that a page tells the reader to type."""
    for page in PAGES:
        for _, text in blocks(page, "sh"):
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] == "perturbloop":
                    yield pytest.param(words[1:], id=f"{page.relative_to(ROOT)}: {line[:60]}")


# -------------------------------------------------------------------------- every name has words of its own


def test_every_command_and_option_says_what_it_does(generate):
    silent = [name for name, command in generate.commands().items() if not command.help]
    silent += [
        f"{name} {option}"
        for name, command in generate.commands().items()
        for option, _, text in generate.options(command)
        if not text
    ]
    assert not silent


def test_every_command_can_speak_to_machines(generate):
    mute = [
        name
        for name, command in generate.commands().items()
        if "--json" not in " ".join(option for option, _, _ in generate.options(command))
    ]
    assert not mute


def test_every_column_and_method_has_a_meaning():
    assert not [
        (table.name, column.name) for table in schema.TABLES for column in table.columns if not column.meaning
    ]
    assert not [entry.name for entry in schema.METHODS if not (entry.title and entry.meaning)]


def test_every_option_of_the_configuration_has_a_docstring(generate):
    silent = []
    for section, kind in {**schema.SECTIONS, "pretrain": generate.PretrainConfig}.items():
        documented = field_docs(kind)
        silent += [f"{section}.{name}" for name in kind.__dataclass_fields__ if not documented.get(name)]
    assert not silent


def test_every_section_of_a_campaign_is_on_the_configuration_page(generate):
    assert all(
        f"[{section}]" in generate.configuration() for section in schema.CampaignConfig.__dataclass_fields__
    )


def test_the_reference_names_everything_and_drops_what_is_gone(generate, tmp_path):
    (tmp_path / "gone.md").write_text("# A command that is no more")
    pages = {page.name: page.read_text() for page in generate.write(tmp_path)}
    assert {page.name for page in tmp_path.iterdir()} == set(pages)
    assert all(f"perturbloop {name}`" in pages["cli.md"] for name in generate.commands())
    assert all(
        f"| `{column.name}` |" in pages["tables.md"] for table in schema.TABLES for column in table.columns
    )
    assert all(f"| `{entry.name}` |" in pages["methods.md"] for entry in schema.METHODS)
    assert all(f"| `{entry.name}` |" in pages["metrics.md"] for entry in (*METRICS, *RULES))
    assert all(f"| `{entry.name}` |" in pages["flags.md"] for entry in FLAGS)
    assert all(f"| `{kind.__name__}` |" in pages["errors.md"] for kind in generate.error_types())
    assert all(f"api_{name}.md" in pages for name in generate.packages())


ARGUMENTS_DESCRIBED = sorted({path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"cli"})
"""Packages whose functions of three or more arguments describe each; commands describe theirs as options."""


def described(text):
    """Arguments that the Parameters section of a docstring describes."""
    section = (text or "").partition("Parameters\n----------\n")[2]
    section = re.split(r"^\w+\n-+$", section, maxsplit=1, flags=re.MULTILINE)[0]
    heads = [line for line in section.splitlines() if line and not line.startswith(" ")]
    return {name for line in heads for name in line.replace("*", "").split(", ")}


def functions_of_many_arguments(package):
    """Public functions and methods of three or more arguments: where, the arguments, and those that are described.

    A method that a base class of the package declares is described there.
    """
    trees = {path: ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}
    classes = {
        node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)
    }
    inherited = {
        (name, node.name): ast.get_docstring(node)
        for name, base in classes.items()
        for node in base.body
        if isinstance(node, ast.FunctionDef)
    }
    for path, tree in trees.items():
        for owner in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))):
            bases = [base.id for base in getattr(owner, "bases", ()) if isinstance(base, ast.Name)]
            for node in owner.body:
                if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                    continue
                every = [*node.args.posonlyargs, *node.args.args, node.args.vararg, *node.args.kwonlyargs]
                names = {one.arg for one in every if one is not None} - {"self", "cls"}
                texts = [ast.get_docstring(node), *(inherited.get((base, node.name)) for base in bases)]
                if len(names) >= 3:
                    yield f"{path.stem}.{node.name}", names, set().union(*map(described, texts))


def test_what_counts_as_described():
    text = "Do it.\n\nParameters\n----------\na, b\n    Both.\n*rest\n    More.\n\nReturns\n-------\nc\n"
    assert described(text) == {"a", "b", "rest"}
    assert described("Do a and b.") == set()


@pytest.mark.parametrize("package", ARGUMENTS_DESCRIBED)
def test_nine_of_ten_functions_of_many_arguments_describe_each(package):
    found = list(functions_of_many_arguments(PACKAGE / package))
    silent = [f"{name}: {', '.join(sorted(names - said))}" for name, names, said in found if names - said]
    assert found
    assert len(silent) <= 0.1 * len(found), silent


# -------------------------------------------------------------------------------- pages match what exists


@pytest.mark.parametrize("words", list(shown_commands()))
def test_a_command_shown_in_a_page_exists_with_its_options(generate, words):
    if words == ["--help"]:
        return
    name, *rest = words
    assert name in generate.commands()
    known = {
        part for option, _, _ in generate.options(generate.commands()[name]) for part in option.split(", ")
    }
    used = [word.partition("=")[0] for word in rest if word.startswith("--")]
    assert not [option for option in used if option not in known | {"--help"}]
    required = {
        option for option, default, _ in generate.options(generate.commands()[name]) if default == "required"
    }
    assert not [option for option in required if option.startswith("--") and option not in used]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]


def test_the_file_map_names_every_module_and_page_and_says_what_it_is(tree):
    lines = dict(line.split(maxsplit=1) for line in tree.tree().splitlines() if len(line.split()) > 1)
    written = [*PACKAGE.rglob("*.py"), *PAGES]
    assert not [path for path in written if path.name != "__init__.py" and path.name not in lines]


def test_the_readme_fits_a_screen_and_names_every_package(generate):
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    named = re.findall(r"^\| `(\w+)` \|", readme, flags=re.MULTILINE)
    assert sorted(named) == [name for name in generate.packages() if (PACKAGE / name).is_dir()]


def test_the_layers_on_the_page_of_architecture_are_those_that_are_held():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = [set(layer.split(" | ")) for layer in contracts[0]["layers"]]
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    rows = re.findall(
        r"^\| (`.+?`) \|", page.partition("## Layers")[2].partition("\n## ")[0], flags=re.MULTILINE
    )
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == held


def test_the_citation_names_the_version_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (\S+)$", citation, flags=re.MULTILINE) == [perturbloop.__version__]


def test_the_python_of_the_readme_is_the_front_door(generate):
    ((_, text),) = blocks(ROOT / "README.md", "python")
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= 12
    nodes = list(ast.walk(ast.parse(text)))
    assert {node.attr for node in nodes if isinstance(node, ast.Attribute)} <= {
        "Campaign",
        *dir(perturbloop.Campaign),
    }
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        method = getattr(perturbloop.Campaign, call.func.attr)
        command = generate.commands()["init" if call.func.attr == "create" else call.func.attr]
        spelled = {
            part.lstrip("-").replace("-", "_")
            for name, _, _ in generate.options(command)
            for part in name.split(", ")
        }
        known = {
            *inspect.signature(method).parameters,
            *spelled,
            *(name.removesuffix("_column") for name in spelled),
        }
        assert not [keyword.arg for keyword in call.keywords if keyword.arg not in known], call.func.attr
