"""Keep a random part of the mutations of a cosmic-ray session: places drawn at random, and of each place one mutation."""

import random
import sqlite3
import sys


def main(session: str, n_kept: int, seed: int) -> None:
    """Delete all other mutations, and those that a filter has skipped."""
    rng = random.Random(seed)
    with sqlite3.connect(session) as ledger:
        skipped = {job for (job,) in ledger.execute("SELECT job_id FROM work_results")}
        columns = (
            "module_path, start_pos_row, start_pos_col, operator_name, operator_args, occurrence, job_id"
        )
        rows = sorted(ledger.execute(f"SELECT {columns} FROM mutation_specs"))
        of_place: dict[tuple[str, int, int], list[str]] = {}
        for module, line, column, *_, job in rows:
            if job not in skipped:
                of_place.setdefault((module, line, column), []).append(job)
        places = rng.sample(sorted(of_place), min(n_kept, len(of_place)))
        kept = {rng.choice(of_place[place]) for place in places}
        gone = [(job,) for *_, job in rows if job not in kept]
        for table in ("work_results", "mutation_specs", "work_items"):
            ledger.executemany(f"DELETE FROM {table} WHERE job_id = ?", gone)
    print(f"{len(kept):,} mutations are kept, of {len(of_place):,} places")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
