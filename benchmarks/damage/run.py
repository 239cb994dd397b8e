"""What becomes of a campaign when one of its files is emptied, cut, zeroed or deleted? Each file in turn, then play and report.

    python benchmarks/damage/run.py CAMPAIGN [--of N] [--seed N]

CAMPAIGN is a played campaign; it is copied, never touched. Prints one line for each damaged file and, last, a table: sound (nothing
was lost), made again, or named with what to delete (and sound once that is deleted). Exits 1 where anything else is raised.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from perturbloop.errors import PerturbloopError, StoreError
from perturbloop.loop.campaign import play, show

DAMAGE = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "deleted": lambda path: path.unlink(),
}
LEDGER = "campaign.sqlite"
"""The one file that cannot be made again: it says what is held out, so a copy is asked for."""


def outcome(folder: Path, path: Path) -> str:
    """Play and show, deleting what a refusal names."""
    named, done = [], ()
    for _ in range(3):
        try:
            done += play(folder).done
            show(folder)
        except StoreError as error:
            if path.name == LEDGER and "Restore it from a copy" in str(error):
                return "named: restore a copy"
            found = re.search(r"[Dd]elete (?:the folder )?`([^`]+)`", str(error))
            target = Path(found[1]) if found else None
            if target is None or not path.is_relative_to(target):
                return f"WRONG: {error}"
            named.append(target)
            shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(missing_ok=True)
        except PerturbloopError as error:
            return f"named: {str(error)[:60]}" if str(path) in str(error) else f"WRONG: {error}"
        except Exception as error:
            return f"WRONG: {type(error).__name__}: {error}"
        else:
            return "named, then made again" if named else "made again" if done else "sound"
    return "WRONG: refused again and again"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--of", type=int, default=1, help="try one in so many, drawn by seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files = sorted(
        path.relative_to(options.campaign) for path in options.campaign.rglob("*") if path.is_file()
    )
    cases = [(file, how) for file in files for how in DAMAGE]
    chosen = np.random.default_rng(options.seed).permutation(len(cases))[: -(-len(cases) // options.of)]
    counts: Counter[tuple[str, str]] = Counter()
    for file, how in (cases[place] for place in sorted(chosen)):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(shutil.copytree(options.campaign, Path(place) / "campaign"))
            DAMAGE[how](folder / file)
            said = outcome(folder, folder / file)
        counts[how, said.partition(":")[0]] += 1
        print(f"{file}, {how}: {said}", flush=True)
    for (how, said), count in sorted(counts.items()):
        print(f"{how:8} {said:24} {count}")
    print(f"{len(chosen)} of {len(cases)} cases, seed {options.seed}")
    return int(any(said == "WRONG" for _, said in counts))


if __name__ == "__main__":
    sys.exit(main())
