"""Sample efficiency of the search strategies on published tables, beside Optuna and Keras-Tuner.

    python benchmarks/tabular_nas.py                               everything, with 40 seeds: hours
    python benchmarks/tabular_nas.py --strategies evolution,random --jobs 2
    python benchmarks/tabular_nas.py --tables macro --seeds 10 --print-only

Finished searches are kept in benchmarks/.cache, so a run that was killed goes on; a search is repeated only when its
code changed. What is known of all rows is printed, and written to RESULTS.md and docs/tabular_nas.png. The rows of
Optuna need it: `pip install optuna`.
"""

import argparse
import datetime
import subprocess
from pathlib import Path

from nas_tables import TABLE_NAMES
from tabular_report import markdown, plot, write_section
from tabular_results import Results, checks
from tabular_rows import all_rows
from tabular_runs import cached_runs, cost_task, run_all, search_tasks

from automl_keras.tuners import DEFAULT_STRATEGY

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = ROOT / "docs" / "tabular_nas.png"


def main() -> None:
    options = parse_arguments()
    rows = all_rows()
    names = options.strategies.split(",") if options.strategies else list(rows)
    tables = options.tables.split(",")
    run_all(search_tasks(rows, names, tables, options.seeds, options.queries), rows, options.jobs)
    # One after the other, so that no search slows another down.
    run_all([cost_task(name, rows[name]) for name in names], rows, jobs=1)

    results = Results(cached_runs(rows), rows, options.seeds, options.queries)
    found = checks(results, DEFAULT_STRATEGY, [name for name, row in rows.items() if row.ours])
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    command = f"python benchmarks/tabular_nas.py --seeds {options.seeds} --queries {options.queries}"
    text = markdown(results, found, DEFAULT_STRATEGY, f"{date}, commit {_commit()}, `{command}`:")
    print(text)
    if not options.print_only:
        write_section(RESULTS, text)
        plot(results, DEFAULT_STRATEGY, PICTURE)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", metavar="A,B", help=f"out of {', '.join(all_rows())} (default: all)")
    parser.add_argument("--tables", metavar="A,B", default=",".join(TABLE_NAMES), help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=300, help="default: %(default)s")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--print-only", action="store_true", help="leave RESULTS.md and the picture as they are")
    options = parser.parse_args()
    for option, given, known in (
        ("strategies", options.strategies, all_rows()),
        ("tables", options.tables, TABLE_NAMES),
    ):
        unknown = set(given.split(",") if given else ()) - set(known)
        if unknown:
            parser.error(f"--{option}: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    return options


def _commit() -> str:
    """The commit, marked if the code differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "*.py")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if changed else "")


if __name__ == "__main__":
    main()
