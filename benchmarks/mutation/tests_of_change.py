"""Run the tests and examples of the modules that differ from the last commit; a mutation must make one fail."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tests_of(module: Path) -> list[str]:
    """Test files, but those of whole campaigns, that bear a module's name or import it; else all of its package."""
    package = module.parent.name
    import_of = re.compile(rf"perturbloop\.{package}(\.{module.stem}\b| import .*\b{module.stem}\b)")
    every = [path for path in sorted((ROOT / "tests").glob("*/test_*.py")) if path.parent.name != "loop"]
    chosen = [
        path for path in every if path.stem == f"test_{module.stem}" or import_of.search(path.read_text())
    ]
    return [str(path) for path in chosen] or [str(ROOT / "tests" / package)]


def main() -> int:
    """Pytest's exit code; 0 means that a mutation survived."""
    command = ["git", "diff", "--name-only", "--", "src"]
    changed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    tests = sorted({test for name in changed for test in [*tests_of(ROOT / name), str(ROOT / name)]})
    options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
