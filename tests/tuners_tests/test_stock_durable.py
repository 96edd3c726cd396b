"""Keras-Tuner's algorithms on our storage: the same trials, and a killed search goes on as if it had not been."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
import pytest
from keras_tuner.engine.base_tuner import BaseTuner

from automl_keras.tuners import stock

OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")
SETTINGS: dict[str, dict[str, Any]] = {
    "RandomSearchOracle": {"max_trials": 15},
    "HyperbandOracle": {"max_epochs": 4, "factor": 2, "hyperband_iterations": 2},
    "BayesianOptimizationOracle": {"max_trials": 7, "num_initial_points": 4},
}
by_name = pytest.mark.parametrize("name", SETTINGS)


def hyperparameters() -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    hp.Float("x", -1.0, 1.0)
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]):
        hp.Int("more", 1, 9)
    return hp


def make(module: Any, name: str, folder: Path, seed: int = 4) -> Any:
    oracle = getattr(module, name)(objective=OBJECTIVE, seed=seed, hyperparameters=hyperparameters(), **SETTINGS[name])
    tuner = BaseTuner(oracle, directory=folder, project_name="search")
    tuner.save()
    oracle.verbose = 0
    return oracle


def run(oracle: Any, number: int = 1000, after_each: Callable[[], Any] = lambda: None) -> list[dict[str, Any]]:
    for _ in range(number):
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            break
        values = trial.hyperparameters.values
        score = -((values["x"] - 0.3) ** 2) - 0.01 * values.get("more", 4) + 0.001 * values.get("tuner/epochs", 0)
        oracle.update_trial(trial.trial_id, {"val_accuracy": score})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        after_each()
    return [oracle.trials[trial_id].hyperparameters.values for trial_id in oracle.start_order]


@pytest.mark.parametrize("name", ["RandomSearchOracle", "HyperbandOracle"])
def test_same_trials_as_keras_tuners(name: str, tmp_path: Path) -> None:
    theirs = run(make(keras_tuner.oracles, name, tmp_path / "theirs"))
    ours = make(stock, name, tmp_path / "ours")
    assert run(ours) == theirs
    assert len(theirs) >= 15
    assert ours.get_best_trials()[0].score == max(trial.score for trial in ours.trials.values())


@by_name
def test_killed_and_resumed(name: str, tmp_path: Path) -> None:
    """After each trial, and while the next one runs: what is on the disk then goes on to the same end."""
    copies: list[Path] = []

    def copy() -> None:
        copies.append(tmp_path / str(len(copies)))
        shutil.copytree(tmp_path / "whole", copies[-1])

    whole = make(stock, name, tmp_path / "whole")
    expected = run(whole, after_each=copy)
    assert len(copies) == len(expected)
    for number, folder in list(enumerate(copies))[2 :: 2 if name == "BayesianOptimizationOracle" else 5]:
        resumed = make(stock, name, folder)
        assert len(resumed.end_order) == number + 1
        if number % 2 == 0 and len(resumed.end_order) < len(expected):
            resumed.create_trial("killed")
            resumed = make(stock, name, folder)
        assert run(resumed) == expected
        assert resumed.algorithm_state() == whole.algorithm_state()
        assert [t.score for t in resumed.get_best_trials(99)] == [t.score for t in whole.get_best_trials(99)]


def test_keras_tuner_forgets_its_generator(tmp_path: Path) -> None:
    """The stock class begins again with its first random numbers; by `test_killed_and_resumed` ours does not."""
    name = "BayesianOptimizationOracle"
    whole = make(keras_tuner.oracles, name, tmp_path)
    run(whole, 5)
    resumed, new = make(keras_tuner.oracles, name, tmp_path), make(keras_tuner.oracles, name, tmp_path / "new")
    drawn = [oracle._random_state.uniform() for oracle in (whole, resumed, new)]
    assert drawn[0] != drawn[1] == drawn[2]


def test_settings_of_hyperband_count(tmp_path: Path) -> None:
    run(make(stock, "HyperbandOracle", tmp_path), 2)
    other = stock.HyperbandOracle(objective=OBJECTIVE, max_epochs=9, hyperparameters=hyperparameters())
    with pytest.raises(RuntimeError, match=r"'max_epochs': 4.*Received: .*'max_epochs': 9"):
        other.open_project(tmp_path / "search")
