"""What the checks of oracles share: the fixtures, hyperparameters, and how a search is run without models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
import pytest
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial

from automl_keras.testing.toy import toy_score

OracleFactory = Callable[..., keras_tuner.Oracle]
Values = dict[str, Any]


def toy_hyperparameters() -> keras_tuner.HyperParameters:
    """Every kind with a grid, some active for one parent value, some for several; 120 combinations."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("operation", ["conv", "mbconv", "skip"])
    with hp.conditional_scope("operation", ["conv", "mbconv"]):
        hp.Int("kernel", 3, 7, step=2)
    with hp.conditional_scope("operation", ["mbconv"]):
        hp.Choice("expansion", [2, 4])
    hp.Float("dropout", 0.0, 0.5, step=0.25)
    hp.Boolean("residual")
    hp.Int("units", 16, 32, step=16)
    hp.Fixed("batch_size", 32)
    return hp


def few_hyperparameters() -> keras_tuner.HyperParameters:
    """Six combinations."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("operation", ["conv", "skip"])
    with hp.conditional_scope("operation", ["conv"]):
        hp.Choice("kernel", [3, 5])
    hp.Boolean("residual")
    return hp


def start_search(oracle: keras_tuner.Oracle, directory: Path) -> keras_tuner.Oracle:
    """Give an oracle its directory, as a tuner does; it goes on with the search that it finds there."""
    BaseTuner(oracle, directory=directory, project_name="search").save()
    oracle.verbose = 0
    return oracle


def end(
    oracle: keras_tuner.Oracle, trial: Trial, status: str = "COMPLETED", metrics: dict[str, float] | None = None
) -> None:
    """End a trial as a tuner does. `metrics=None`: the toy score, as the oracle's objective."""
    metrics = {oracle.objective.name: toy_score(trial.hyperparameters.values)} if metrics is None else metrics
    if metrics:
        oracle.update_trial(trial.trial_id, metrics)
    trial.status = status
    trial.message = None if status == "COMPLETED" else "ValueError: planned"
    oracle.end_trial(trial)


def run_trials(
    oracle: keras_tuner.Oracle, num_trials: int, end_one: Callable[[keras_tuner.Oracle, Trial], None] = end
) -> list[Values]:
    """The values of trials that were begun and ended one by one; fewer if the oracle stops."""
    served: list[Values] = []
    for _ in range(num_trials):
        trial = oracle.create_trial("tuner0")
        if trial.status != "RUNNING":
            break
        served.append(dict(trial.hyperparameters.values))
        end_one(oracle, trial)
    return served


def searched(values: Values) -> Values:
    """The hyperparameters among the values of a trial: not what it tells a tuner, such as `tuner/epochs`."""
    return {name: value for name, value in values.items() if "/" not in name}


class OracleFixtures:
    """The fixtures of `OracleTestCase`.

    Attributes:
        num_warm_up: After so many trials the oracle is still in its warm-up.
        num_learned: After so many it proposes what it learnt.
        lock_timeout: After so many seconds a worker without an answer counts as locked out.
    """

    num_warm_up = 2
    num_learned = 10
    lock_timeout = 10.0

    @pytest.fixture
    def make_oracle(self) -> OracleFactory:
        """The oracle under test."""
        raise NotImplementedError("A subclass of `OracleTestCase` must define the fixture `make_oracle`.")

    @pytest.fixture
    def start(self, make_oracle: OracleFactory, tmp_path: Path) -> OracleFactory:
        """As `make_oracle`, with arguments for a test. The same `project` again is a search that was killed."""
        started: dict[str, keras_tuner.Oracle] = {}

        def start(project: str | None = None, **arguments: Any) -> keras_tuner.Oracle:
            project = project or f"project{len(started)}"
            if project in started:
                started[project].save()  # as the tuner did after the last trial that ended
            started[project] = make_oracle(**{**default_arguments(), **arguments})
            return start_search(started[project], tmp_path / project)

        return start

    @pytest.fixture(params=["new", "warm_up", "learned", "resumed"])
    def start_in_phase(self, request: pytest.FixtureRequest, start: OracleFactory) -> OracleFactory:
        """As `start`, but somewhere in a search."""
        phase = request.param
        num_told = {"new": 0, "warm_up": self.num_warm_up}.get(phase, self.num_learned)

        def start_and_run(project: str = "in_phase", **arguments: Any) -> keras_tuner.Oracle:
            oracle = start(project, **arguments)
            run_trials(oracle, num_told)
            return oracle if phase != "resumed" else start(project, **arguments)

        return start_and_run


def default_arguments() -> dict[str, Any]:
    """What an oracle under test is made with, unless a check says otherwise."""
    return {
        "objective": keras_tuner.Objective("val_accuracy", "max"),
        "max_trials": 1000,
        "seed": 3,
        "hyperparameters": toy_hyperparameters(),
    }
