"""What the searches of the tabular benchmark say: means, standard errors, and the goals that were set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from nas_tables import TABLE_NAMES, load_table
from tabular_rows import Row
from tabular_runs import Run, cost_task
from tabular_search import POINT_DISTANCE

RIVALS = ("optuna-tpe-multivariate", "optuna-tpe-multivariate-free-repeats")
RANDOM = "random"
# Strategies that must beat random search, and those of which it is hoped.
MUST_BEAT_RANDOM = ("evolution", "pnas", "predictor", "bayesian", "greedy")
HOPED_TO_BEAT_RANDOM = ("reinforce", "mdenas")


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its standard error."""

    value: float
    error: float
    seeds: int

    def __sub__(self, other: "Mean") -> "Mean":
        return Mean(self.value - other.value, float(np.hypot(self.error, other.error)), min(self.seeds, other.seeds))

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


@dataclass(frozen=True)
class Check:
    """A goal, what was measured for each table (or over all), and whether that is enough.

    Attributes:
        goal: In words.
        cells: One for each of `TABLE_NAMES`.
        must: "pass", "FAIL", "not run", or "-" where nothing is demanded.
        aim: The same for what is hoped.
    """

    goal: str
    cells: tuple[str, ...]
    must: str
    aim: str


class Results:
    """The regrets of the finished searches, as arrays of shape `(seeds, points)`, and the time per query.

    Args:
        runs: Finished searches.
        rows: Says which searches the time per query is from.
        seeds: Leaves out higher seeds.
        queries: Leaves out regrets after more queries.
    """

    def __init__(self, runs: Iterable[Run], rows: dict[str, Row], seeds: int, queries: int) -> None:
        self.milliseconds: dict[str, tuple[float, int]] = {}  # and over how many queries
        regrets: dict[tuple[str, str], dict[int, tuple[float, ...]]] = {}
        for run in runs:
            task, row = run.task, rows[run.task.row]
            if task == cost_task(task.row, row):
                self.milliseconds[task.row] = (run.milliseconds, task.queries)
            if task.queries == min(queries, row.max_queries or queries) and task.seed < seeds:
                regrets.setdefault((task.row, task.table), {})[task.seed] = run.regrets
        self._regrets = {key: np.array(list(of_seeds.values())) for key, of_seeds in regrets.items()}
        self.rows = tuple(name for name in rows if any(name == key[0] for key in self._regrets))
        self.tables = tuple(name for name in TABLE_NAMES if any(name == key[1] for key in self._regrets))

    def curve(self, row: str, table: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of queries, mean regrets and standard errors; empty if not run with two seeds."""
        regrets = self._regrets.get((row, table), np.empty((0, 0)))
        if len(regrets) < 2:
            regrets = np.empty((2, 0))
        queries = POINT_DISTANCE * np.arange(1, regrets.shape[1] + 1)
        return queries, regrets.mean(axis=0), regrets.std(axis=0, ddof=1) / np.sqrt(len(regrets))

    def regret(self, row: str, table: str, queries: int) -> Mean | None:
        """The mean regret after so many queries; `None` if not run with two seeds."""
        regrets = self._regrets.get((row, table))
        point = queries // POINT_DISTANCE - 1
        if regrets is None or len(regrets) < 2 or point >= regrets.shape[1]:
            return None
        column = regrets[:, point]
        return Mean(float(column.mean()), float(column.std(ddof=1) / np.sqrt(len(column))), len(column))


def checks(results: Results, default: str, ours: Sequence[str]) -> list[Check]:
    """The goals, in the order set.

    Args:
        results: What was measured.
        default: The strategy that is compared with Optuna's.
        ours: The strategies whose time per query is limited.
    """
    return [
        *(_against_rival(results, default, rival, queries) for rival in RIVALS for queries in (100, 200)),
        _against_random_queries(results, "pnas"),
        *(_against_random(results, name) for name in MUST_BEAT_RANDOM + HOPED_TO_BEAT_RANDOM),
        _cost(results, ours),
    ]


def _against_rival(results: Results, name: str, rival_name: str, queries: int) -> Check:
    cells, differences, half = [], [], []
    for table in TABLE_NAMES:
        own, rival = results.regret(name, table, queries), results.regret(rival_name, table, queries)
        if own is None or rival is None:
            cells.append("-")
            continue
        floor = load_table(table).floor
        differences.append(own - rival)
        # A rival below the floor has no excess to halve: then it has to be reached.
        half.append(own.value <= min((floor + rival.value) / 2, rival.value))
        cells.append(f"{own.value:.3f}, theirs {rival.value:.3f}: {differences[-1]}")
    lower = sum(d.value < 0 for d in differences)
    if queries == 100:
        must = lower == len(TABLE_NAMES) and sum(d.value <= -2 * d.error for d in differences) >= 2
    else:
        must = lower >= 3 and all(d.value <= 2 * d.error for d in differences)
    known = len(differences) == len(TABLE_NAMES)
    goal = f"{name} against {rival_name} at {queries}"
    return Check(goal, tuple(cells), _verdict(must, known), _verdict(all(half), known))


def _against_random_queries(results: Results, name: str) -> Check:
    cells, factors = [], []
    for table in TABLE_NAMES:
        own = results.regret(name, table, 100)
        if own is None:
            cells.append("-")
            continue
        needed = load_table(table).random_search_queries(own.value)
        factors.append((needed or load_table(table).space.size) / 100)
        cells.append(f"{factors[-1]:.1f} x" if needed else f"over {factors[-1]:.0f} x")
    known = len(factors) == len(TABLE_NAMES)
    must, aim = (_verdict(all(factor >= limit for factor in factors), known) for limit in (5, 10))
    return Check(f"{name}: queries random search needs for its regret at 100", tuple(cells), must, aim)


def _against_random(results: Results, name: str) -> Check:
    cells, better = [], []
    for table in TABLE_NAMES:
        own, random = results.regret(name, table, 200), results.regret(RANDOM, table, 200)
        if own is None or random is None:
            cells.append("-")
            continue
        difference = own - random
        better.append(difference.value <= -2 * difference.error)
        cells.append(str(difference))
    verdict = _verdict(all(better), known=len(better) == len(TABLE_NAMES))
    must, aim = (verdict, "-") if name in MUST_BEAT_RANDOM else ("-", verdict)
    return Check(f"{name} against {RANDOM} at 200", tuple(cells), must, aim)


def _cost(results: Results, ours: Sequence[str]) -> Check:
    costs = {name: results.milliseconds[name][0] for name in ours if name in results.milliseconds}
    cell = ", ".join(f"{name} {cost:.1f}" for name, cost in sorted(costs.items(), key=lambda item: -item[1]))
    known = len(costs) == len(ours)
    must, aim = (_verdict(all(cost <= limit for cost in costs.values()), known) for limit in (50.0, 10.0))
    return Check("ask + tell, ms", (cell or "-", "", "", ""), must, aim)


def _verdict(passed: bool, known: bool) -> str:
    return ("pass" if passed else "FAIL") if known else "not run"
