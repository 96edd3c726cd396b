"""The command line of benchmarks that run rows: one row, those that are missing, or a list of their names."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from results_table import ResultsTable

SEEDS = (0, 1, 2)
Lines = dict[str, dict[str, Any]]  # results by name of the line; most rows have one line, named as the row


def missing_runs(
    rows: Sequence[str], finished: set[tuple[str, int]], pattern: str, seeds: Iterable[int]
) -> list[tuple[str, int]]:
    """Rows and seeds still to run, seed after seed; `pattern` is a shell pattern of names."""
    chosen = [row for row in rows if fnmatchcase(row, pattern)]
    return [(row, seed) for seed in seeds for row in chosen if (row, seed) not in finished]


def main(
    script: str,
    description: str,
    rows: Sequence[str],
    run: Callable[[str, int], Lines],
    table: ResultsTable,
    plot: Callable[[], Path] | None = None,
) -> None:
    """Parse the arguments and do what they say.

    Args:
        script: Path of the script, which is started anew for every run.
        description: Text of `--help`.
        rows: Names of all rows.
        run: Runs a row with a seed and returns its lines.
        table: Where lines go.
        plot: Draws the picture and returns its path.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="?", choices=rows, metavar="ROW")
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED")
    parser.add_argument("--missing", action="store_true", help=f"run what {table.path.name} lacks")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="only these rows, such as 'ours-*'")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="only these seeds")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    if plot is not None:
        parser.add_argument("--plot", action="store_true", help=f"draw the picture from {table.path.name}")
    options = parser.parse_args()
    if options.list:
        print("\n".join(row for row in rows if fnmatchcase(row, options.rows)))
    elif options.missing:
        _run_all(script, missing_runs(rows, table.finished(), options.rows, options.seeds))
    elif options.row:
        for name, result in run(options.row, options.seed).items():
            table.append(name, options.seed, result)
            print(name, options.seed, json.dumps(result))
    elif plot is not None and options.plot:
        print(plot())
    else:
        parser.print_help()


def _run_all(script: str, runs: Sequence[tuple[str, int]]) -> None:
    """Run each in a process of its own. A failure does not keep the others from running."""
    failed = []
    for row, seed in runs:
        done = subprocess.run([sys.executable, script, row, str(seed)], check=False)
        if done.returncode != 0:
            failed.append(f"{row} {seed}")
    if failed:
        sys.exit("These runs failed: " + ", ".join(failed))
