from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tabular_runs
from nas_tables import TABLE_NAMES, NASTable, load_table
from tabular_repeats import FreeRepeatsSearcher
from tabular_report import BEGIN, END, markdown, plot, write_section
from tabular_results import RIVALS, Check, Results, checks
from tabular_rows import Row, all_rows, fingerprint
from tabular_runs import Run, Task, cached_runs, run_all, search_tasks
from tabular_search import OracleSearcher, StrategySearcher, run_search

from automl_keras.search_space import Decision, SearchSpace
from automl_keras.tuners import RandomStrategy

RIVAL, RIVAL_WITH_FREE_REPEATS = RIVALS
SPREAD = 0.01  # of the made-up regrets: their standard error is 0.01 with four seeds


def _unused(space: SearchSpace, seed: int) -> StrategySearcher:
    raise AssertionError


def _results(
    regrets: Mapping[str, float], special: Mapping[tuple[str, str], float] | None = None, milliseconds: float = 1.0
) -> Results:
    """Four seeds of each row on every table, whose regrets have the given mean and a standard error of 0.01.

    `special` has other means for a row on a table.
    """
    rows = {name: Row(_unused, "f") for name in regrets}
    deviations = SPREAD * np.sqrt(3.0) * np.array([-1.0, 1.0, -1.0, 1.0])
    runs = [
        Run(Task(name, table, seed, 200), "f", ((special or {}).get((name, table), mean) + deviations[seed],) * 40, 1.0)
        for name, mean in regrets.items()
        for table in TABLE_NAMES
        for seed in range(4)
    ]
    runs += [Run(Task(name, "macro", 0, 1_000), "f", (0.0,) * 200, milliseconds) for name in regrets]
    return Results(runs, rows, seeds=4, queries=200)


def _check(results: Results, default: str, start: str) -> Check:
    [found] = [check for check in checks(results, default, results.rows) if check.goal.startswith(start)]
    return found


def test_search_notes_the_regret_after_every_fifth_query() -> None:
    values = np.random.default_rng(0).permutation(20) / 20
    space = SearchSpace([Decision("a", tuple(range(20)))])
    table = NASTable("small", space, values[:, None], values)
    regrets, milliseconds = run_search(StrategySearcher(RandomStrategy(space, seed=0)), table, 0, 20)
    assert len(regrets) == 4
    assert regrets == sorted(regrets, reverse=True)
    assert regrets[0] > regrets[-1] == 0.0  # the whole space was asked for
    assert 0.0 < milliseconds < 1_000.0


def test_keras_tuner_searches_a_table_and_neighbouring_seeds_have_nothing_in_common() -> None:
    table = load_table("201-cifar10")
    drawn = []
    for seed in (0, 1, 0):
        searcher = OracleSearcher("RandomSearchOracle", table.space, seed)
        asked = []
        for value in (0.1, 0.9, 0.5):
            asked.append(dict(searcher.ask()))
            searcher.tell(value)
        assert searcher.best() == asked[1]
        drawn.append([values[name] for values in asked for name in table.space.names])
    assert drawn[0] == drawn[2]
    # The next seed's random numbers must not be the same ones, shifted by one.
    assert drawn[0] != drawn[1]
    assert drawn[0][1:] != drawn[1][:-1]


def test_rows_hold_the_registry_and_the_others() -> None:
    rows = all_rows()
    assert {"random", "evolution", "optuna-tpe", *RIVALS, "kt-random", "kt-bayesian"} <= set(rows)
    assert [name for name, row in rows.items() if not row.ours] == [
        "optuna-tpe",
        RIVAL,
        RIVAL_WITH_FREE_REPEATS,
        "kt-random",
        "kt-bayesian",
    ]
    assert rows["random"].fingerprint != rows["evolution"].fingerprint


def test_fingerprint_changes_with_the_code_alone(tmp_path: Path) -> None:
    def of(code: str) -> str:
        path = tmp_path / "code.py"
        path.write_text(code)
        return fingerprint(path)

    original = of('"""Doc."""\n\ndef f(x):\n    """Doc."""\n    return x + 1\n')
    assert of('"""Other."""\ndef f(x):\n    # comment\n    return (x +\n            1)\n') == original
    assert of('"""Doc."""\n\ndef f(x):\n    """Doc."""\n    return x + 2\n') != original


def test_finished_searches_are_not_repeated_until_the_row_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular_runs, "CACHE", tmp_path / "cache")
    # A process of its own would import TensorFlow again.
    monkeypatch.setattr(tabular_runs, "ProcessPoolExecutor", lambda jobs, mp_context: ThreadPoolExecutor(jobs))
    rows = all_rows()
    tasks = search_tasks(rows, ["random"], ["macro"], seeds=2, queries=10)
    assert [task.seed for task in tasks] == [0, 1]
    assert list(cached_runs(rows)) == []
    run_all(tasks, rows, jobs=1)
    runs = list(cached_runs(rows))
    assert sorted(run.task.seed for run in runs) == [0, 1]
    assert [len(run.regrets) for run in runs] == [2, 2]
    expected, _ = run_search(rows["random"].make(load_table("macro").space, 1), load_table("macro"), 1, 10)
    assert [list(run.regrets) for run in runs if run.task.seed == 1] == [expected]

    text = (tmp_path / "cache" / "tabular_nas.jsonl").read_text()
    run_all(tasks, rows, jobs=1)
    assert (tmp_path / "cache" / "tabular_nas.jsonl").read_text() == text
    assert list(cached_runs({**rows, "random": replace(rows["random"], fingerprint="changed")})) == []


def test_slow_rows_get_fewer_seeds_and_queries() -> None:
    rows = {"slow": Row(_unused, "f", max_seeds=2, max_queries=50), "fast": Row(_unused, "f")}
    tasks = search_tasks(rows, rows, ["macro"], seeds=3, queries=100)
    assert [(task.row, task.seed, task.queries) for task in tasks] == [
        ("slow", 0, 50),
        ("fast", 0, 100),
        ("slow", 1, 50),
        ("fast", 1, 100),
        ("fast", 2, 100),
    ]


def test_mean_and_standard_error() -> None:
    results = _results({"random": 0.5})
    mean = results.regret("random", "macro", 100)
    assert mean is not None
    assert (mean.value, mean.error, mean.seeds) == (pytest.approx(0.5), pytest.approx(0.01), 4)
    assert results.regret("random", "macro", 205) is None
    assert results.regret("evolution", "macro", 100) is None
    queries, means, errors = results.curve("random", "macro")
    assert list(queries[[0, -1]]) == [5, 200]
    assert means == pytest.approx([0.5] * 40)
    assert errors == pytest.approx([0.01] * 40)


@pytest.mark.parametrize(
    ("own", "must_100", "must_200"),
    [(0.471, "pass", "pass"), (0.473, "FAIL", "pass"), (0.5005, "FAIL", "FAIL"), (0.529, "FAIL", "FAIL")],
)
def test_the_rival_must_be_beaten_by_two_standard_errors(own: float, must_100: str, must_200: str) -> None:
    results = _results({"pnas": own, RIVAL: 0.5})  # two standard errors of the difference: 0.0283
    assert _check(results, "pnas", f"pnas against {RIVAL} at 100").must == must_100
    assert _check(results, "pnas", f"pnas against {RIVAL} at 200").must == must_200


@pytest.mark.parametrize(("own", "aim"), [(0.24, "pass"), (0.26, "FAIL")])
def test_the_aim_is_half_of_the_excess_over_every_floor(own: float, aim: str) -> None:
    # The lowest floor is 0, on ImageNet16-120, so there the half is 0.25.
    assert _check(_results({"pnas": own, RIVAL: 0.5}), "pnas", f"pnas against {RIVAL} at 100").aim == aim


@pytest.mark.parametrize(("own", "aim"), [(0.059, "pass"), (0.062, "FAIL")])
def test_a_rival_below_the_floor_has_to_be_reached(own: float, aim: str) -> None:
    # The floor of "macro" is 0.067: half of the way from there to the rival would be 0.0635.
    results = _results({"pnas": 0.02, RIVAL: 0.06}, {("pnas", "macro"): own})
    assert _check(results, "pnas", f"pnas against {RIVAL} at 200").aim == aim


@pytest.mark.parametrize(("own", "must"), [(0.527, "pass"), (0.53, "FAIL")])
def test_at_200_one_table_may_be_lost_by_less_than_two_standard_errors(own: float, must: str) -> None:
    results = _results({"pnas": 0.49, RIVAL: 0.5}, {("pnas", "macro"): own})
    assert _check(results, "pnas", f"pnas against {RIVAL} at 200").must == must


def test_both_rivals_are_compared() -> None:
    results = _results({"pnas": 0.45, RIVAL: 0.5, RIVAL_WITH_FREE_REPEATS: 0.4})
    assert _check(results, "pnas", f"pnas against {RIVAL} at 100").must == "pass"
    assert _check(results, "pnas", f"pnas against {RIVAL_WITH_FREE_REPEATS} at 100").must == "FAIL"


def test_free_repeats_cost_no_query() -> None:
    space = SearchSpace([Decision(f"d{index}", (0, 1, 2)) for index in range(2)])
    searcher = FreeRepeatsSearcher(space, seed=0, multivariate=True)
    asked = []
    for _ in range(9):  # all there are
        asked.append(dict(searcher.ask()))
        searcher.tell(float(sum(asked[-1].values())))
    assert len({tuple(sorted(values.items())) for values in asked}) == 9
    assert searcher.best() == {"d0": 2, "d1": 2}
    assert searcher.ask() in asked  # nothing new is left, which must not take for ever


def test_queries_that_random_search_needs() -> None:
    results = _results({"pnas": load_table("macro").random_search_regret(700) + 1e-6})
    check = _check(results, "pnas", "pnas: queries random search needs")
    assert (check.cells[0], check.cells[2]) == ("7.0 x", "over 156 x")
    assert (check.must, check.aim) == ("pass", "FAIL")


@pytest.mark.parametrize(("own", "verdict"), [(0.471, "pass"), (0.473, "FAIL"), (0.6, "FAIL")])
def test_random_search_must_be_beaten(own: float, verdict: str) -> None:
    results = _results({"greedy": own, "mdenas": own, "random": 0.5})
    greedy = _check(results, "greedy", "greedy against random")
    assert (greedy.must, greedy.aim) == (verdict, "-")
    hoped = _check(results, "greedy", "mdenas against random")
    assert (hoped.must, hoped.aim) == ("-", verdict)
    assert _check(results, "greedy", "bayesian against random").must == "not run"


@pytest.mark.parametrize(
    ("cost", "must", "aim"), [(9.0, "pass", "pass"), (11.0, "pass", "FAIL"), (51.0, "FAIL", "FAIL")]
)
def test_limit_of_the_time_per_query(cost: float, must: str, aim: str) -> None:
    check = _check(_results({"pnas": 0.1}, milliseconds=cost), "pnas", "ask + tell")
    assert (check.must, check.aim) == (must, aim)
    assert check.cells[0] == f"pnas {cost:.1f}"


def test_report(tmp_path: Path) -> None:
    results = _results({"evolution": 0.3, "random": 0.5, RIVAL: 0.4})
    text = markdown(results, checks(results, "evolution", ["evolution", "random"]), "evolution", "heading")
    assert "| evolution | 4 | 0.300 ± 0.010 | 0.300 ± 0.010 | 0.300 ± 0.010 | 0.300 ± 0.010 | - |" in text
    assert "| random search, expected | | 1.965 | 1.410 | 1.066 | 0.860 | 0.769 | 100 |" in text
    plot(results, "evolution", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_section_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nfirst\n")
    write_section(path, "one")
    path.write_text(path.read_text() + "\nlast\n")
    write_section(path, "two")
    assert path.read_text() == f"# Results\n\nfirst\n\n{BEGIN}\ntwo\n{END}\n\nlast\n"
