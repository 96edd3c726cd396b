"""The searches of the tabular benchmark: each once, in any number of processes, remembered in a file."""

import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from nas_tables import load_table
from tabular_rows import Row, all_rows
from tabular_search import run_search

CACHE = Path(__file__).resolve().parent / ".cache"
COST_TABLE, COST_QUERIES = "macro", 1_000


@dataclass(frozen=True)
class Task:
    """One search: a row on a table with a seed."""

    row: str
    table: str
    seed: int
    queries: int


@dataclass(frozen=True)
class Run:
    """A finished search.

    Attributes:
        task: What was run.
        fingerprint: That of the row when it was run.
        regrets: In accuracy points, after 5, 10, 15, ... queries.
        milliseconds: The mean time of `ask` and `tell` together.
    """

    task: Task
    fingerprint: str
    regrets: tuple[float, ...]
    milliseconds: float


def search(task: Task) -> Run:
    """Run one search in this process."""
    row, table = all_rows()[task.row], load_table(task.table)
    regrets, milliseconds = run_search(row.make(table.space, task.seed), table, task.seed, task.queries)
    return Run(task, row.fingerprint, tuple(regrets), milliseconds)


def search_tasks(
    rows: dict[str, Row], names: Iterable[str], tables: Sequence[str], seeds: int, queries: int
) -> list[Task]:
    """The searches that the regrets are from, those of the first seeds first."""
    tasks = [
        Task(name, table, seed, min(queries, rows[name].max_queries or queries))
        for name in names
        for table in tables
        for seed in range(min(seeds, rows[name].max_seeds or seeds))
    ]
    return sorted(tasks, key=lambda task: task.seed)


def cost_task(name: str, row: Row) -> Task:
    """The search that the time per query is from."""
    return Task(name, COST_TABLE, 0, min(COST_QUERIES, row.max_queries or COST_QUERIES))


def run_all(tasks: Sequence[Task], rows: dict[str, Row], jobs: int) -> None:
    """Run what the cache lacks, and add it to the cache."""
    done = {run.task for run in cached_runs(rows)}
    missing = [task for task in tasks if task not in done]
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the processes to come
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(missing)) or 1, mp_context=context) as pool:
        futures = [pool.submit(search, task) for task in missing]
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                run = future.result()
                _remember(run)
                print(f"{number}/{len(missing)} {run.task} {run.milliseconds:.2f} ms per query", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cached_runs(rows: dict[str, Row]) -> Iterator[Run]:
    """The finished searches of rows that have not changed since."""
    file = CACHE / "tabular_nas.jsonl"
    for line in file.read_text("utf-8").splitlines() if file.exists() else ():
        data = json.loads(line)
        run = Run(Task(**data["task"]), data["fingerprint"], tuple(data["regrets"]), data["milliseconds"])
        if run.task.row in rows and run.fingerprint == rows[run.task.row].fingerprint:
            yield run


def _remember(run: Run) -> None:
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", "utf-8")
    with (CACHE / "tabular_nas.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(run)) + "\n")
