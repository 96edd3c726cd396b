"""What is repaired in Keras-Tuner's tuner; the stock class has the defects."""

import sys
import time
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine.trial import Trial

from automl_keras.tuners import EvolutionOracle
from automl_keras.tuners.durable_tuner import DurableTuner


def build_model(hp: keras_tuner.HyperParameters) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(hp.Choice("units", [1, 2, 3, 4, 5]))])
    model.compile(loss="mse")
    return model


@pytest.mark.parametrize("tuner_class", [keras_tuner.Tuner, DurableTuner])
def test_idle_is_waited_for(
    tuner_class: type[keras_tuner.Tuner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses, pauses = iter(["IDLE", "IDLE", "STOPPED"]), list[float]()
    oracle = EvolutionOracle(max_trials=1, seed=0)
    tuner = tuner_class(oracle, lambda hp: keras.Sequential(), directory=tmp_path)
    empty = keras_tuner.HyperParameters()
    monkeypatch.setattr(oracle, "create_trial", lambda _: Trial(empty, "0", next(statuses)))
    monkeypatch.setattr(time, "sleep", pauses.append)
    tuner.search(verbose=0)
    assert any(pause > 0.0 for pause in pauses) == (tuner_class is DurableTuner)


def test_what_ended_ends_the_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Ray the oracle is asked again after each of the last trials that end."""
    pauses = list[float]()
    oracle = EvolutionOracle(keras_tuner.Objective("loss", "min"), max_trials=4, seed=0)
    oracle.verbose = 0
    tuner = DurableTuner(oracle, build_model, directory=tmp_path)
    trials = [oracle.create_trial(worker) for worker in "abcd"]
    monkeypatch.setattr(time, "sleep", pauses.append)
    for trial in trials:
        oracle.update_trial(trial.trial_id, {"loss": 1.0})
        trial.status = "COMPLETED"
        tuner.on_trial_end(trial)
        tuner.pre_create_trial()
    assert not any(pauses)


@pytest.mark.parametrize("tuner_class", [keras_tuner.Tuner, DurableTuner])
def test_tensorboard_is_not_needed(
    tuner_class: type[keras_tuner.Tuner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ["tensorboard", *(name for name in sys.modules if name.startswith("tensorboard."))]:
        monkeypatch.setitem(sys.modules, name, None)
    oracle = EvolutionOracle(keras_tuner.Objective("loss", "min"), max_trials=1, seed=0)
    tuner_class(oracle, build_model, directory=tmp_path).search(np.zeros((4, 1)), np.zeros((4, 1)), verbose=0)
    [trial] = oracle.trials.values()
    assert (trial.status == "COMPLETED") == (tuner_class is DurableTuner)


def test_weights_of_the_best_are_kept(tmp_path: Path) -> None:
    """Also of those from before a resume; `get_best_models` works."""
    x = np.linspace(-1.0, 1.0, 16)[:, None]
    for max_trials in (2, 4):
        oracle = EvolutionOracle(keras_tuner.Objective("loss", "min"), max_trials=max_trials, seed=0)
        tuner = DurableTuner(oracle, build_model, keep_weights=1, directory=tmp_path, project_name="search")
        tuner.search(x, x, epochs=1, verbose=0)
        kept = {path.parent.name for path in (tmp_path / "search").glob("trial_*/checkpoint.weights.h5")}
        assert kept == {f"trial_{trial.trial_id}" for trial in oracle.get_best_trials(1)}
    assert len(tuner.get_best_models()) == 1
