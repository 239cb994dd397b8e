"""Checks of types and shapes while the tests run.

jaxtyping's own import hook wraps every function, binds its arguments anew at each call, and hides the compiled files of
every package that is imported meanwhile; most of the time of a campaign went there.
"""

import ast
import sys
from dataclasses import is_dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader

from beartype import BeartypeConf, beartype
from jaxtyping import jaxtyped

# An int will do for a float; what is refused is a TypeError, as jaxtyping's is, and Python's where an argument is missing.
plain = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
CHECKED = "_checked_"


def checked(thing):
    """Check a function, or the fields of a dataclass: types, and shapes where its signature has one.

    What has a name in quotes, which may not exist yet, is left to jaxtyping, which takes no offence.
    """
    if isinstance(thing, type):
        if is_dataclass(thing):
            thing.__init__ = checked(thing.__init__)
        return thing
    hints = thing.__annotations__.values()
    if any(isinstance(hint, str) or "jaxtyping." in repr(hint) for hint in hints):
        return jaxtyped(thing, typechecker=plain)
    return plain(thing)


class Loader(SourceFileLoader):
    """Writes `checked` above every class, and below the other decorators of every function."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for node in ast.walk(tree):
            decorator = ast.Name(CHECKED, ast.Load())
            if isinstance(node, ast.FunctionDef):
                node.decorator_list.append(ast.copy_location(decorator, node))
            elif isinstance(node, ast.ClassDef):
                node.decorator_list.insert(0, ast.copy_location(decorator, node))
        return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module):
        setattr(module, CHECKED, checked)
        super().exec_module(module)


class Finder(MetaPathFinder):
    """Finds the modules of some packages."""

    def __init__(self, packages):
        self.packages = packages

    def find_spec(self, fullname, path=None, target=None):
        if ".".join(fullname.split(".")[:2]) not in self.packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


def check_imports(packages):
    """Check what is imported of these packages from now on."""
    sys.meta_path.insert(0, Finder(set(packages)))
