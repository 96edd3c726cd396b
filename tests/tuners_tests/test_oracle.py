import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError, SearchError
from automl_keras.evaluation import Cost
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.testing import conditional_space, flat_space, run_search, toy_score
from automl_keras.tuners import EvolutionOracle, EvolutionStrategy, RandomSearchOracle, RandomStrategy, StrategyOracle

RunTrial = Callable[[dict[str, Any]], Any]


def small_space() -> SearchSpace:
    """20 architectures."""
    return conditional_space().restrict({"expansion": (2,)})


def _score(values: dict[str, Any]) -> float:
    return toy_score({name: value for name, value in values.items() if "/" not in name})


class ToyTuner(keras_tuner.Tuner):
    """Hands the values of every trial to a function."""

    def __init__(self, oracle: StrategyOracle, directory: Path, run: RunTrial | None = None) -> None:
        super().__init__(oracle, directory=directory, project_name="toy")
        oracle.verbose = 0
        self.run = run or self.toy_results

    @staticmethod
    def toy_results(values: dict[str, Any]) -> dict[str, float]:
        return {"val_accuracy": 2.0 if values.get("nas/phase") == "train" else _score(values)}

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        return self.run(trial.hyperparameters.values)


def _trial_values(oracle: StrategyOracle) -> list[dict[str, Any]]:
    return [oracle.trials[trial_id].hyperparameters.values for trial_id in oracle.start_order]


def _finish(oracle: StrategyOracle, trial: Any, score: float = 0.5, status: str = "COMPLETED") -> None:
    oracle.update_trial(trial.trial_id, {"val_accuracy": score})
    trial.status = status
    oracle.end_trial(trial)


def _in_other_thread(function: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive(), "the lock was left behind"
    return results[0]


@pytest.mark.parametrize("space", [flat_space(), small_space()], ids=["flat", "conditional"])
def test_trials_are_the_strategys_proposals(space: SearchSpace, tmp_path: Path) -> None:
    oracle = EvolutionOracle(space=space, max_trials=19, seed=0)
    ToyTuner(oracle, tmp_path).search()
    expected = run_search(EvolutionStrategy(space, seed=0), 19)
    assert [Architecture(values) for values in _trial_values(oracle)] == expected
    assert [e.architecture for e in oracle.strategy.evaluations] == expected
    assert {e.source for e in oracle.strategy.evaluations} == {"standalone"}
    best = oracle.strategy.best()
    assert best is not None
    assert oracle.get_best_trials()[0].hyperparameters.values == best.architecture.to_dict()


def test_search_stops_when_the_space_is_exhausted(tmp_path: Path) -> None:
    oracle = RandomSearchOracle(space=small_space(), max_trials=None, seed=0)
    tuner = ToyTuner(oracle, tmp_path)
    tuner.search()
    assert len(oracle.trials) == 20
    assert tuner.remaining_trials is None


def test_minimised_objective(tmp_path: Path) -> None:
    oracle = RandomSearchOracle(keras_tuner.Objective("latency_ms", "min"), 12, space=small_space(), seed=0)
    ToyTuner(oracle, tmp_path, lambda values: {"latency_ms": _score(values)}).search()
    scores = [_score(values) for values in _trial_values(oracle)]
    assert [trial.score for trial in oracle.get_best_trials(12)] == pytest.approx(sorted(scores))
    best = oracle.strategy.best()
    assert best is not None
    assert best.metrics["latency_ms"] == pytest.approx(min(scores))
    assert best.cost == Cost(latency_ms=best.metrics["latency_ms"])


def test_metrics_named_like_costs_become_the_cost(tmp_path: Path) -> None:
    results = {"val_accuracy": 0.5, "loss": 1.5, "params": 100, "size_kb": 1.25, "macs": 7.0, "ram_kb": np.nan}
    oracle = RandomSearchOracle(space=small_space(), max_trials=1, seed=0)
    ToyTuner(oracle, tmp_path, lambda _: results).search()
    [evaluation] = oracle.strategy.evaluations
    assert evaluation.metrics == {"val_accuracy": 0.5, "loss": 1.5}
    assert evaluation.cost == Cost(params=100, macs=7, size_kb=1.25)
    assert isinstance(evaluation.cost.params, int)


class TestRounds:
    def test_rounds_come_first_and_do_not_count(self, tmp_path: Path) -> None:
        oracle = EvolutionOracle(space=small_space(), max_trials=4, seed=0, rounds=2)
        tuner = ToyTuner(oracle, tmp_path)
        assert tuner.remaining_trials == 4
        tuner.search()
        first, second, *evaluations = _trial_values(oracle)
        assert first == {"nas/phase": "train", "nas/round": 1, "nas/generation": 1}
        assert second == {"nas/phase": "train", "nas/round": 2, "nas/generation": 2}
        expected = run_search(EvolutionStrategy(small_space(), seed=0), 4)
        side_values = {"nas/phase": "eval", "nas/generation": 2}
        assert evaluations == [{**architecture, **side_values} for architecture in expected]
        assert tuner.remaining_trials == 0

    def test_rounds_never_win(self, tmp_path: Path) -> None:
        oracle = RandomSearchOracle(space=small_space(), max_trials=3, seed=0, rounds=2)
        tuner = ToyTuner(oracle, tmp_path)
        tuner.search()  # rounds score 2.0, more than any evaluation
        best = tuner.get_best_hyperparameters(10)
        assert len(best) == 3
        assert {hp.values["nas/phase"] for hp in best} == {"eval"}

    def test_evaluations_know_their_generation(self, tmp_path: Path) -> None:
        oracle = RandomSearchOracle(space=small_space(), max_trials=3, seed=0, rounds=2)
        ToyTuner(oracle, tmp_path).search()
        assert {(e.source, e.generation) for e in oracle.strategy.evaluations} == {("shared_weights", 2)}

    def test_other_workers_wait_for_a_round(self, tmp_path: Path) -> None:
        oracle = RandomSearchOracle(space=small_space(), max_trials=2, seed=0, rounds=1)
        ToyTuner(oracle, tmp_path)
        training = oracle.create_trial("a")
        assert oracle.create_trial("b").status == "IDLE"
        _finish(oracle, training)
        statuses = [oracle.create_trial(worker).status for worker in ("a", "b", "c")]
        assert statuses == ["RUNNING", "RUNNING", "STOPPED"]

    def test_side_values_are_not_part_of_the_hash(self, tmp_path: Path) -> None:
        oracle = RandomSearchOracle(space=small_space(), max_trials=1, seed=0, rounds=1)
        ToyTuner(oracle, tmp_path).search()
        alone = RandomSearchOracle(space=small_space(), max_trials=1, seed=0)
        ToyTuner(alone, tmp_path / "alone").search()
        assert oracle.get_state()["tried_so_far"] == alone.get_state()["tried_so_far"]

    def test_failed_round_stops_the_search_and_is_repeated_on_resume(self, tmp_path: Path) -> None:
        def crash(values: dict[str, Any]) -> Any:
            if values.get("nas/round") == 2:
                raise ValueError("no memory")
            return ToyTuner.toy_results(values)

        oracle = RandomSearchOracle(space=small_space(), max_trials=2, seed=0, rounds=3)
        tuner = ToyTuner(oracle, tmp_path, crash)
        with pytest.raises(SearchError, match=r"Round 2 of supernet training failed: ValueError: no memory"):
            tuner.search()
        assert oracle.create_trial("other").status == "STOPPED"
        resumed = RandomSearchOracle(space=small_space(), max_trials=2, seed=0, rounds=3)
        rounds: list[int | None] = []

        def run(values: dict[str, Any]) -> Any:
            rounds.append(values.get("nas/round"))
            return ToyTuner.toy_results(values)

        ToyTuner(resumed, tmp_path, run).search()
        assert rounds == [2, 3, None, None]
        assert len(resumed.strategy.evaluations) == 2


def _oracle_to_resume() -> EvolutionOracle:
    return EvolutionOracle(space=flat_space(), max_trials=10, seed=0, rounds=2, population_size=3, sample_size=2)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> StrategyOracle:
    oracle = _oracle_to_resume()
    ToyTuner(oracle, tmp_path_factory.mktemp("whole")).search()
    return oracle


class TestResume:
    def check(self, resumed: StrategyOracle, uninterrupted: StrategyOracle) -> None:
        assert _trial_values(resumed) == _trial_values(uninterrupted)
        assert resumed.strategy.get_state() == uninterrupted.strategy.get_state()
        assert len(resumed.end_order) == len(set(resumed.end_order)) == 12

    @pytest.mark.parametrize("killed_at", [0, 1, 2, 6, 11])
    def test_killed_in_a_trial(self, killed_at: int, tmp_path: Path, uninterrupted: StrategyOracle) -> None:
        runs: list[int] = []

        def run(values: dict[str, Any]) -> Any:
            runs.append(1)
            if len(runs) == killed_at + 1:
                raise KeyboardInterrupt
            return ToyTuner.toy_results(values)

        with pytest.raises(KeyboardInterrupt):
            ToyTuner(_oracle_to_resume(), tmp_path, run).search()
        resumed = _oracle_to_resume()
        ToyTuner(resumed, tmp_path, run).search()
        assert len(runs) == 13
        self.check(resumed, uninterrupted)

    def test_equals_keep_their_order(self, tmp_path: Path) -> None:
        ToyTuner(RandomSearchOracle(space=flat_space(), max_trials=30, seed=0), tmp_path, lambda _: 0.5).search()
        resumed = RandomSearchOracle(space=flat_space(), max_trials=30, seed=0)
        ToyTuner(resumed, tmp_path)
        assert [trial.trial_id for trial in resumed.get_best_trials(30)] == resumed.start_order

    def test_other_project_is_refused(self, tmp_path: Path) -> None:
        stock = keras_tuner.oracles.RandomSearchOracle("val_accuracy", 2, hyperparameters=None)
        ToyTuner(stock, tmp_path, lambda _: 0.5).search()
        with pytest.raises(RuntimeError, match="overwrite=True"):
            ToyTuner(_oracle_to_resume(), tmp_path)


class TestFailures:
    @pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
    def test_score_that_is_not_finite_is_told_as_failed(self, score: float, tmp_path: Path) -> None:
        oracle = RandomSearchOracle(space=small_space(), max_trials=3, seed=0)
        scores = iter([0.5, score, 0.4])
        ToyTuner(oracle, tmp_path, lambda _: {"val_accuracy": next(scores)}).search()
        assert [e.metrics["val_accuracy"] for e in oracle.strategy.evaluations] == [0.5, 0.4]
        assert oracle.strategy.get_state()["failed"] == [_trial_values(oracle)[1]]
        assert [trial.trial_id for trial in oracle.get_best_trials(10)] == ["0", "2"]

    def test_crash_is_told_once_given_up(self, tmp_path: Path) -> None:
        told: list[Any] = []

        class Recorder(RandomStrategy):
            def tell(self, evaluations: Any) -> None:
                told.extend(evaluations)
                super().tell(evaluations)

        outcomes: Iterator[Any] = iter([ValueError("first"), 0.5, ValueError("second"), ValueError("third"), 0.4])

        def run(_: dict[str, Any]) -> Any:
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        oracle = StrategyOracle(Recorder(small_space(), seed=0), 3, max_retries_per_trial=1)
        ToyTuner(oracle, tmp_path, run).search()
        assert [evaluation.error for evaluation in told] == [None, "ValueError: third", None]
        assert [evaluation.metrics.get("val_accuracy") for evaluation in told] == [0.5, None, 0.4]

    def test_failures_in_a_row_stop_the_search(self, tmp_path: Path) -> None:
        def crash(values: dict[str, Any]) -> Any:
            raise ValueError("broken")

        def make_oracle() -> StrategyOracle:
            return RandomSearchOracle(space=small_space(), max_trials=9, seed=0, max_consecutive_failed_trials=2)

        oracle = make_oracle()
        with pytest.raises(SearchError, match=r"2 trials failed in a row, the last one: ValueError: broken"):
            ToyTuner(oracle, tmp_path, crash).search()
        assert _in_other_thread(lambda: oracle.create_trial("other")).status == "RUNNING"
        resumed = make_oracle()
        ToyTuner(resumed, tmp_path).search()
        assert [resumed.trials[trial_id].status for trial_id in resumed.end_order] == ["FAILED"] * 2 + ["COMPLETED"] * 7

    def test_exception_of_the_strategy_leaves_no_lock_behind(self, tmp_path: Path) -> None:
        calls: list[int] = []

        def feasible(architecture: Architecture) -> bool:
            calls.append(1)
            if len(calls) == 1:
                raise ZeroDivisionError("no cost")
            return True

        oracle = RandomSearchOracle(space=small_space(), max_trials=2, feasible=feasible, seed=0)
        tuner = ToyTuner(oracle, tmp_path)
        with pytest.raises(ZeroDivisionError, match="no cost"):
            tuner.search()
        assert _in_other_thread(lambda: oracle.create_trial("other")).status == "RUNNING"

    def test_idle_while_the_last_trials_run(self, tmp_path: Path) -> None:
        default = small_space().default()
        oracle = RandomSearchOracle(space=small_space(), max_trials=None, feasible=lambda a: a == default)
        ToyTuner(oracle, tmp_path)
        trial = oracle.create_trial("a")
        assert oracle.create_trial("b").status == "IDLE"
        _finish(oracle, trial)
        assert oracle.create_trial("b").status == "STOPPED"


def test_threads_share_the_work(tmp_path: Path) -> None:
    oracle = RandomSearchOracle(space=small_space(), max_trials=None, seed=0, rounds=1)
    ToyTuner(oracle, tmp_path)

    def work(worker: str) -> None:
        while (trial := oracle.create_trial(worker)).status != "STOPPED":
            if trial.status == "RUNNING":
                _finish(oracle, trial)

    threads = [threading.Thread(target=work, args=(f"worker{index}",), daemon=True) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(oracle.strategy.evaluations) == len(oracle.end_order) - 1 == 20


def test_stopped_oracle_serves_no_more(tmp_path: Path) -> None:
    oracle = RandomSearchOracle(space=small_space(), max_trials=9, seed=0)
    ToyTuner(oracle, tmp_path)
    running = oracle.create_trial("a")
    oracle.stop()
    assert oracle.create_trial("b").status == "STOPPED"
    _finish(oracle, running)
    assert len(oracle.strategy.evaluations) == 1


def test_seed_zero_is_a_seed() -> None:
    before = random.getstate()
    assert RandomSearchOracle(space=small_space(), seed=0).seed == 0
    drawn = RandomSearchOracle(space=small_space())
    assert drawn.seed == drawn.strategy.seed
    assert random.getstate() == before


def test_other_hyperparameters_keep_their_defaults(tmp_path: Path) -> None:
    others = keras_tuner.HyperParameters()
    others.Float("learning_rate", 1e-4, 1e-1, default=1e-3)
    others.Choice("optimizer", ["adam", "sgd"])
    with others.conditional_scope("optimizer", ["sgd"]):
        others.Float("momentum", 0.0, 1.0)
    oracle = RandomSearchOracle(space=small_space(), max_trials=2, seed=0, hyperparameters=others)
    ToyTuner(oracle, tmp_path).search()
    expected = run_search(RandomStrategy(small_space(), seed=0), 2)
    assert _trial_values(oracle) == [{**a, "learning_rate": 1e-3, "optimizer": "adam"} for a in expected]
    assert [e.architecture for e in oracle.strategy.evaluations] == expected


def test_arguments_are_checked() -> None:
    taken = keras_tuner.HyperParameters()
    taken.Choice("kernel", [3, 5])
    with pytest.raises(InvalidArgumentError, match=r"Received: \['kernel'\]"):
        RandomSearchOracle(space=small_space(), hyperparameters=taken)
    with pytest.raises(InvalidArgumentError, match=r"Received: max_trials=0"):
        RandomSearchOracle(space=small_space(), max_trials=0)
    with pytest.raises(InvalidArgumentError, match=r"Received: rounds=-1"):
        RandomSearchOracle(space=small_space(), rounds=-1)
