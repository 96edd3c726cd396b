"""Oracles with one fault each, and the check of `OracleTestCase` that finds it.

Run by `test_oracle_checks_catch.py`; a fresh process imports it too.
"""

import random
import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import keras_tuner
import numpy as np
import pytest

from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture
from automl_keras.testing import OracleTestCase
from automl_keras.tuners import RandomSearchOracle, RandomStrategy
from tests.testing_tests.broken_strategies import ClimbsTheRawMetric, DrawsInTheOrderOfASet, LearnsFromFailed


class BrokenOracle(RandomSearchOracle):
    fails: ClassVar[str]


class TakesZeroForNoSeed(BrokenOracle):
    fails = "test_same_seed_same_trials"

    def __init__(self, seed: int | None = None, **settings: Any) -> None:
        super().__init__(seed=seed or None, **settings)


class IgnoresTheSeed(BrokenOracle):
    fails = "test_other_seed_other_trials"

    def __init__(self, seed: int | None = None, **settings: Any) -> None:
        super().__init__(seed=5, **settings)


class DependsOnHashes(BrokenOracle):
    fails = "test_same_trials_in_fresh_process"
    strategy_class = DrawsInTheOrderOfASet


class DrawsFromTheGlobalGenerator(BrokenOracle):
    fails = "test_global_generators_are_untouched"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        random.random()
        return super().populate_space(trial_id)


class LeavesTheDomain(BrokenOracle):
    fails = "test_values_are_in_the_domain"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response = super().populate_space(trial_id)
        values = response.get("values", {})
        if values.get("units") == 32:
            values["units"] = 33
        return response

    def architecture(self, trial: Any) -> Architecture:
        values = trial.hyperparameters.values
        options = {name: values[name] for name in self.strategy.space.names if name in values}
        return self.strategy.space.canonical({n: 32 if n == "units" and v == 33 else v for n, v in options.items()})


class ServesNumpyScalars(BrokenOracle):
    fails = "test_values_are_plain_scalars"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response = super().populate_space(trial_id)
        values = response.get("values", {})
        values.update({name: np.float64(value) for name, value in values.items() if isinstance(value, float)})
        return response


class KeepsInactiveValues(BrokenOracle):
    fails = "test_active_hyperparameters_alone_have_values"

    def create_trial(self, tuner_id: str) -> Any:
        trial = super().create_trial(tuner_id)
        if trial.hyperparameters.values.get("operation") == "conv":
            trial.hyperparameters.values["expansion"] = 2
        return trial


class RepeatsItself(BrokenOracle):
    fails = "test_no_trial_twice"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if len(self.trials) != 8:
            return super().populate_space(trial_id)
        return {"status": "RUNNING", "values": dict(self.trials[self.start_order[0]].hyperparameters.values)}


class WaitsForOthers(BrokenOracle):
    fails = "test_several_trials_at_once"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        # No more at once than in one generation, unless all that is left fits into it.
        if len(self.ongoing_trials) == 2 and self.strategy.space.size > 6:
            return {"status": "IDLE"}
        return super().populate_space(trial_id)


class ForgetsWhoAsked(BrokenOracle):
    fails = "test_worker_that_asks_again_gets_its_trial"

    def create_trial(self, tuner_id: str) -> Any:
        return super().create_trial(f"{tuner_id}/{len(self.start_order)}")


class ServesOneTooMany(BrokenOracle):
    fails = "test_stops_at_max_trials"

    def __init__(self, max_trials: int = 100, **settings: Any) -> None:
        super().__init__(max_trials=max_trials + 1, **settings)


class StartsOver(BrokenOracle):
    fails = "test_stops_when_the_space_is_exhausted"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response = super().populate_space(trial_id)
        if response["status"] != "STOPPED":
            return response
        return {"status": "RUNNING", "values": dict(self.trials[self.end_order[-1]].hyperparameters.values)}


class InventsAStatus(BrokenOracle):
    fails = "test_waits_or_stops_while_the_last_trials_run"

    def create_trial(self, tuner_id: str) -> Any:
        trial = super().create_trial(tuner_id)
        if trial.status == "IDLE":
            trial.status = "WAITING"
        return trial


class ClimbsTheRawMetricAlways(BrokenOracle):
    fails = "test_minimising_equals_maximising_the_negated"
    strategy_class = ClimbsTheRawMetric


class IgnoresTheDirection(BrokenOracle):
    fails = "test_best_trials_come_first"

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        trials = super().get_best_trials(len(self.trials))
        return sorted(trials, key=lambda trial: trial.score, reverse=True)[:num_trials]


class FillsUpWithFailed(BrokenOracle):
    fails = "test_failed_trials_never_win"

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        failed = [trial for trial in self.trials.values() if trial.status == "FAILED"]
        return [*super().get_best_trials(num_trials), *failed][:num_trials]


class LearnsFromFailedTrials(BrokenOracle):
    fails = "test_failed_trials_are_not_learnt"
    strategy_class = LearnsFromFailed


class ForgetfulStrategy(RandomStrategy):
    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        self.set_state({**self.get_state(), "failed": []})


class RepeatsFailed(BrokenOracle):
    fails = "test_failed_trials_are_not_repeated"
    strategy_class = ForgetfulStrategy


class StopsAfterFailures(BrokenOracle):
    fails = "test_failures_do_not_stop_the_search"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        statuses = [trial.status for trial in self.trials.values()]
        if statuses.count("FAILED") > statuses.count("COMPLETED") > 1:
            return {"status": "STOPPED"}
        return super().populate_space(trial_id)


class Locked(BrokenOracle):
    """Has a lock that an exception does not release; who waits for it in vain gives up."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.lock = threading.Lock()

    def create_trial(self, tuner_id: str) -> Any:
        if not self.lock.acquire(timeout=0.01):
            raise TimeoutError
        trial = super().create_trial(tuner_id)
        self.lock.release()
        return trial


class StaysLockedAfterAnEnd(Locked):
    fails = "test_too_many_failures_leave_it_usable"

    def end_trial(self, trial: Any) -> None:
        self.lock.acquire()
        super().end_trial(trial)
        self.lock.release()


class StaysLockedAfterAnUpdate(Locked):
    fails = "test_refused_update_leaves_it_usable"

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Any:
        self.lock.acquire()
        trial = super().update_trial(trial_id, metrics, step)
        self.lock.release()
        return trial


class RewindsItsGenerator(BrokenOracle):
    fails = "test_resumed_search_goes_on"

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        return {**state, "strategy": {**state["strategy"], "num_asked": 0}}


class ForgetsWhatWasRunning(BrokenOracle):
    fails = "test_running_trials_are_repeated_after_resume"

    def reload(self) -> None:
        super().reload()
        self._retry_queue.clear()


class GivesOutItsList(BrokenOracle):
    fails = "test_state_is_a_snapshot"

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "ended": self.end_order}


class SavesItsArguments(BrokenOracle):
    fails = "test_state_holds_no_argument_but_the_seed"

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "max_trials": self.max_trials}

    def __init__(self, max_trials: int = 100, **settings: Any) -> None:
        super().__init__(max_trials=max_trials, **settings)


class TakesMetricsAway(BrokenOracle):
    fails = "test_arguments_are_not_mutated"

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Any:
        trial = super().update_trial(trial_id, metrics, step)
        metrics.pop("loss", None)
        return trial


class LeavesNewHyperparametersAlone(BrokenOracle):
    fails = "test_new_hyperparameters_are_explored"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response = super().populate_space(trial_id)
        if "depth" in response.get("values", {}):
            response["values"]["depth"] = 1
        return response


class ForgetsThatItGrew(BrokenOracle):
    fails = "test_resumed_search_knows_new_hyperparameters"

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state({**state, "hyperparameters": self.get_space().get_config()})


BROKEN = [*(c for c in BrokenOracle.__subclasses__() if c is not Locked), *Locked.__subclasses__()]


class TestBrokenOracle(OracleTestCase):
    num_learned = 3

    @pytest.fixture(params=BROKEN)
    def make_oracle(self, request: pytest.FixtureRequest) -> Any:
        return request.param


class TestStockOracle(OracleTestCase):
    num_learned = 3
    lock_timeout = 0.2

    @pytest.fixture(params=[keras_tuner.oracles.RandomSearchOracle])
    def make_oracle(self, request: pytest.FixtureRequest) -> Any:
        return request.param
