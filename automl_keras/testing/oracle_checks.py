"""`OracleTestCase`: what every Keras-Tuner oracle has to keep, as tests to inherit."""

from __future__ import annotations

import inspect
import json
import math
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import cycle
from pathlib import Path
from typing import Any

import keras_tuner
import pytest
from keras_tuner.engine.trial import Trial

from automl_keras.testing.isolation import call_in_fresh_process, untouched_generators
from automl_keras.testing.oracle_fixtures import (
    OracleFactory,
    OracleFixtures,
    Values,
    default_arguments,
    end,
    few_hyperparameters,
    run_trials,
    searched,
    start_search,
    toy_hyperparameters,
)
from automl_keras.testing.toy import toy_score

CRASH: dict[str, Any] = {"status": "INVALID", "metrics": {}}
FAILURES: list[dict[str, Any]] = [
    CRASH,
    {"status": "FAILED", "metrics": {"val_accuracy": 9.0}},
    {"status": "COMPLETED", "metrics": {"val_accuracy": math.nan}},
    {"status": "COMPLETED", "metrics": {"val_accuracy": math.inf}},
]


class OracleTestCase(OracleFixtures):
    """The tests an oracle passes that can be relied on. A concrete test supplies the fixture `make_oracle`.

    The fixture returns a callable with the keyword arguments `objective`, `max_trials`, `seed` and
    `hyperparameters` of Keras-Tuner's oracles, which a fresh process can import: a class, a function of a
    module or a `functools.partial` of one:

    ```python
    class TestEvolutionOracle(OracleTestCase):
        @pytest.fixture
        def make_oracle(self):
            return partial(EvolutionOracle, population_size=5, sample_size=2)
    ```

    Choose settings for which `num_warm_up` trials (2) lie within the warm-up and `num_learned` (10) beyond
    it, or set these attributes. No model is built: the checks begin and end the trials themselves.
    """

    @pytest.mark.parametrize("seed", [0, 169208])
    def test_same_seed_same_trials(self, start: OracleFactory, seed: int) -> None:
        """0 is a seed like any other."""
        first, second = (run_trials(start(seed=seed), self.num_learned + 3) for _ in range(2))
        assert first == second

    def test_other_seed_other_trials(self, start: OracleFactory) -> None:
        """So do two oracles without a seed."""
        searches = [run_trials(start(seed=seed), 3) for seed in (0, 1, None, None)]
        assert all(first != second for i, first in enumerate(searches) for second in searches[:i])

    def test_same_trials_in_fresh_process(self, make_oracle: OracleFactory) -> None:
        """With another hash seed, so that no order of a set decides."""
        elsewhere = call_in_fresh_process(_trials, make_oracle, self.num_learned + 3)
        assert elsewhere == _trials(make_oracle, self.num_learned + 3)

    def test_global_generators_are_untouched(self, start: OracleFactory) -> None:
        """Those of Python, NumPy, Keras and TensorFlow are neither drawn from nor seeded."""
        with untouched_generators():
            for seed in (None, 0):
                run_trials(start(seed=seed), self.num_learned + 3)

    def test_values_are_in_the_domain(self, start: OracleFactory) -> None:
        """One of the values of the hyperparameter, or its default."""
        domain = {entry.name: [*entry.values, entry.default] for entry in toy_hyperparameters().space}
        for values in run_trials(start(), self.num_learned + 3):
            for name, value in searched(values).items():
                assert value in domain[name]

    def test_values_are_plain_scalars(self, start: OracleFactory) -> None:
        """Of the type of the default; a NumPy scalar may equal it but cannot be written as JSON."""
        types = {entry.name: type(entry.default) for entry in toy_hyperparameters().space}
        for values in run_trials(start(), self.num_learned + 3):
            for name, value in values.items():
                assert type(value) in ([types[name]] if name in types else [bool, int, float, str])

    def test_active_hyperparameters_alone_have_values(self, start: OracleFactory) -> None:
        """All of them."""
        hp = toy_hyperparameters()
        for values in run_trials(start(), self.num_learned + 3):
            hp.values = searched(values)
            assert set(hp.values) == {entry.name for entry in hp.space if hp.is_active(entry)}

    def test_no_trial_twice(self, start: OracleFactory) -> None:
        """While there are others."""
        trials = run_trials(start(), 3 * self.num_learned)
        assert all(first != second for i, first in enumerate(trials) for second in trials[:i])

    def test_several_trials_at_once(self, start_in_phase: OracleFactory) -> None:
        """Workers need not wait for each other, and each gets a trial of its own."""
        oracle = start_in_phase()
        trials = [oracle.create_trial(f"worker{index}") for index in range(3)]
        assert [trial.status for trial in trials] == ["RUNNING"] * 3
        assert len({json.dumps(trial.hyperparameters.values) for trial in trials}) == 3
        for trial in reversed(trials):
            end(oracle, trial)
        assert oracle.create_trial("worker0").status == "RUNNING"

    def test_worker_that_asks_again_gets_its_trial(self, start: OracleFactory) -> None:
        """Until it has ended it."""
        oracle = start()
        trial = oracle.create_trial("worker0")
        assert oracle.create_trial("worker0").trial_id == trial.trial_id
        end(oracle, trial)
        assert oracle.create_trial("worker0").trial_id != trial.trial_id

    def test_stops_at_max_trials(self, start: OracleFactory) -> None:
        """And does not begin again."""
        oracle = start(max_trials=4)
        assert len(run_trials(oracle, 10)) == 4
        assert oracle.create_trial("tuner0").status == "STOPPED"
        assert oracle.remaining_trials() == 0

    def test_stops_when_the_space_is_exhausted(self, start: OracleFactory) -> None:
        """Every combination comes before, and no trial twice."""
        oracle = start(hyperparameters=few_hyperparameters())
        trials = run_trials(oracle, 50)
        assert len({json.dumps(searched(values), sort_keys=True) for values in trials}) == 6
        assert len({json.dumps(values, sort_keys=True) for values in trials}) == len(trials)
        assert oracle.create_trial("tuner0").status == "STOPPED"

    def test_waits_or_stops_while_the_last_trials_run(self, start: OracleFactory) -> None:
        """IDLE lets the worker ask again, STOPPED sends it away."""
        oracle = start(hyperparameters=few_hyperparameters())
        trials = [oracle.create_trial(f"worker{index}") for index in range(6)]
        assert [trial.status for trial in trials] == ["RUNNING"] * 6
        assert oracle.create_trial("worker6").status in ("IDLE", "STOPPED")

    def test_minimising_equals_maximising_the_negated(self, start: OracleFactory) -> None:
        """The direction is the objective's."""
        expected = run_trials(start(), self.num_learned + 3)
        oracle = start(objective=keras_tuner.Objective("val_loss", "min"))
        found = run_trials(
            oracle,
            self.num_learned + 3,
            lambda o, trial: end(o, trial, metrics={"val_loss": -toy_score(trial.hyperparameters.values)}),
        )
        assert found == expected

    @pytest.mark.parametrize(("objective", "direction"), [("val_accuracy", "max"), ("val_loss", "min")])
    def test_best_trials_come_first(self, start: OracleFactory, objective: str, direction: str) -> None:
        """In the direction of the objective."""
        oracle = start(objective=keras_tuner.Objective(objective, direction))
        scores = [toy_score(values) for values in run_trials(oracle, 5)]
        found = [trial.score for trial in oracle.get_best_trials(3)]
        assert found == pytest.approx(sorted(scores, reverse=direction == "max")[:3])

    def test_failed_trials_never_win(self, start: OracleFactory) -> None:
        """Not even where there are fewer others than asked for."""
        oracle = start()
        run_trials(oracle, 8, _ending([outcome for failure in FAILURES for outcome in ({}, failure)]))
        best = oracle.get_best_trials(100)
        assert len(best) == 4
        assert all(trial.status == "COMPLETED" and math.isfinite(trial.score) for trial in best)

    def test_failed_trials_are_not_learnt(self, start: OracleFactory) -> None:
        """What follows does not depend on what a failed trial reported: nothing, no finite score, a wonderful one."""
        searches = []
        for failures in ([CRASH], FAILURES):
            outcomes = [outcome for failure in failures for outcome in ({}, failure, {})]
            searches.append(run_trials(start(), self.num_learned + 3, _ending(outcomes)))
        assert searches[0] == searches[1]

    def test_failed_trials_are_not_repeated(self, start: OracleFactory) -> None:
        """Without retries, of which an oracle makes none unless it is told to."""
        oracle = start(hyperparameters=few_hyperparameters())
        failed = run_trials(oracle, 2, _ending([CRASH, FAILURES[1]]))
        assert not [values for values in run_trials(oracle, 8) if values in failed]

    def test_failures_do_not_stop_the_search(self, start: OracleFactory) -> None:
        """Though every other trial fails."""
        num_trials = 2 * self.num_learned
        assert len(run_trials(start(), num_trials, _ending([CRASH, {}]))) == num_trials

    def test_too_many_failures_leave_it_usable(self, start: OracleFactory) -> None:
        """Three in a row raise, as in Keras-Tuner, but other workers, and who catches it, can go on."""
        oracle = start()
        with pytest.raises(RuntimeError, match=r"(?i)fail"):
            run_trials(oracle, 3, _ending([CRASH]))
        assert _in_other_thread(lambda: oracle.create_trial("worker1"), self.lock_timeout).status == "RUNNING"

    @pytest.mark.parametrize("trial_id", [None, "unknown"], ids=["without_objective", "of_unknown_trial"])
    def test_refused_update_leaves_it_usable(self, start: OracleFactory, trial_id: str | None) -> None:
        """Results that cannot be used raise in the worker that reports them, and nowhere else."""
        oracle = start()
        trial = oracle.create_trial("worker0")
        with pytest.raises((KeyError, ValueError)):
            oracle.update_trial(trial_id or trial.trial_id, {"other": 1.0})
        assert _in_other_thread(lambda: oracle.create_trial("worker1"), self.lock_timeout).status == "RUNNING"
        end(oracle, trial)
        assert oracle.get_best_trials()[0].trial_id == trial.trial_id

    def test_resumed_search_goes_on(self, start_in_phase: OracleFactory, start: OracleFactory) -> None:
        """With the same trials as if it had not been interrupted."""
        oracle = start_in_phase(project="interrupted", seed=None)
        run_trials(oracle, 1)
        num_told, seed = len(oracle.end_order), oracle.seed
        resumed = start(project="interrupted", seed=12345)
        assert resumed.seed == seed
        assert len(resumed.get_best_trials(100)) == num_told
        uninterrupted = start(seed=seed)
        run_trials(uninterrupted, num_told)
        assert run_trials(resumed, 3) == run_trials(uninterrupted, 3)

    def test_running_trials_are_repeated_after_resume(
        self, start_in_phase: OracleFactory, start: OracleFactory
    ) -> None:
        """Before new ones."""
        oracle = start_in_phase(project="interrupted")
        running = [oracle.create_trial(f"worker{index}").hyperparameters.values for index in range(2)]
        repeated = run_trials(start(project="interrupted"), 2)
        assert repeated in (running, running[::-1])

    def test_state_is_a_snapshot(self, start: OracleFactory) -> None:
        """Of JSON; going on does not change it."""
        oracle = start()
        run_trials(oracle, self.num_learned)
        state = oracle.get_state()
        before = json.dumps(state)
        run_trials(oracle, 3)
        assert json.dumps(state) == before

    def test_state_holds_no_argument_but_the_seed(self, start: OracleFactory) -> None:
        """And the hyperparameters, which grow. Others come from running the same code again, perhaps changed."""
        oracle = start()
        run_trials(oracle, self.num_learned)
        arguments = inspect.signature(type(oracle)).parameters.keys() - {"seed", "hyperparameters"}
        assert not arguments & oracle.get_state().keys()

    def test_arguments_are_not_mutated(self, start: OracleFactory) -> None:
        """Neither the hyperparameters, also when the space grows, nor the metrics."""
        hp, metrics = few_hyperparameters(), {"val_accuracy": 0.5, "loss": 1.0}
        before = repr(hp.get_config()), repr(metrics)
        oracle = start(hyperparameters=hp)
        run_trials(oracle, 1, _declaring)
        end(oracle, oracle.create_trial("tuner0"), metrics=metrics)
        assert (repr(hp.get_config()), repr(metrics)) == before

    def test_new_hyperparameters_are_explored(self, start_in_phase: OracleFactory) -> None:
        """Those that a model declares in mid-search, behind a plain `if`."""
        oracle = start_in_phase()
        run_trials(oracle, 1, _declaring)
        later = (run_trials(oracle, 1)[0] for _ in range(5 * self.num_learned))
        assert any(values["depth"] != 1 for values in later)

    def test_resumed_search_knows_new_hyperparameters(self, start: OracleFactory) -> None:
        """Before a model declares them again."""
        run_trials(start("interrupted"), 1, _declaring)
        assert all("depth" in values for values in run_trials(start("interrupted"), 3))


def _ending(outcomes: list[dict[str, Any]]) -> Callable[[keras_tuner.Oracle, Trial], None]:
    """Ends trials in these ways in turn, which are arguments of `end`."""
    upcoming = cycle(outcomes)
    return lambda oracle, trial: end(oracle, trial, **next(upcoming))


def _declaring(oracle: keras_tuner.Oracle, trial: Trial) -> None:
    """End a trial whose model declares a hyperparameter that was not known."""
    trial.hyperparameters.Choice("depth", [1, 2])
    end(oracle, trial)


def _in_other_thread(function: Callable[[], Any], timeout: float) -> Any:
    """What the function returns in a thread of its own. `TimeoutError`: a lock that was left behind stops it."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future.result(timeout)


def _trials(make_oracle: OracleFactory, num_trials: int) -> list[Values]:
    with tempfile.TemporaryDirectory() as directory:
        oracle = start_search(make_oracle(**default_arguments()), Path(directory))
        return run_trials(oracle, num_trials)
