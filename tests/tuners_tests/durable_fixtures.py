"""Small searches for the tests of durable oracles."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
import pytest
from keras_tuner.engine.base_tuner import BaseTuner

from automl_keras.testing import flat_space, toy_score
from automl_keras.tuners import stock

OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")
RANDOM = {"stock": keras_tuner.oracles.RandomSearchOracle, "durable": stock.RandomSearchOracle}
both = pytest.mark.parametrize("kind", RANDOM)


def make(kind: str = "durable", folder: Path | None = None, **settings: Any) -> Any:
    arguments = {
        "objective": OBJECTIVE,
        "max_trials": 10,
        "seed": 3,
        "hyperparameters": flat_space().to_hyperparameters(),
    }
    oracle = RANDOM[kind](**{**arguments, **settings})
    oracle.verbose = 0
    if folder is not None:
        BaseTuner(oracle, directory=folder, project_name="search")
    return oracle


def finish(oracle: Any, trial: Any, status: str = "COMPLETED", score: float | None = None) -> None:
    score = toy_score(trial.hyperparameters.values) if score is None else score
    oracle.update_trial(trial.trial_id, {oracle.objective.name: score})
    trial.status, trial.message = status, None if status == "COMPLETED" else "ValueError: planned"
    oracle.end_trial(trial)


def values_of(oracle: Any) -> list[dict[str, Any]]:
    return [oracle.trials[trial_id].hyperparameters.values for trial_id in oracle.start_order]


def answers(call: Callable[[], Any], seconds: float) -> bool:
    """Whether a call of another thread returns."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(timeout=seconds)
    return not thread.is_alive()
