"""Keras-Tuner's own oracles search our spaces, without knowing what is feasible."""

from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.search_space import SearchSpace, image_space
from automl_keras.testing import conditional_space, flat_space, toy_score

ORACLES = {
    "random": (keras_tuner.oracles.RandomSearchOracle, {"max_trials": 20}),
    "hyperband": (keras_tuner.oracles.HyperbandOracle, {"max_epochs": 8, "factor": 2}),
    "bayesian": (keras_tuner.oracles.BayesianOptimizationOracle, {"max_trials": 20, "num_initial_points": 18}),
}


def decided(values: dict[str, Any]) -> dict[str, Any]:
    """Without what Hyperband says of epochs."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


class ToyTuner(keras_tuner.Tuner):
    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        return {"val_accuracy": toy_score(decided(trial.hyperparameters.values))}


def assert_canonical(values: dict[str, Any], space: SearchSpace) -> None:
    """Every active decision and no other."""
    # Keras-Tuner's `Choice` makes 0 and 1 of False and True; they are equal, and `canonical` gives the options back.
    assert values == space.canonical(values).to_dict()


SPACES = {"flat": flat_space(), "conditional": conditional_space(), "image": image_space((8, 8, 1), 10)}
# Keras-Tuner's Bayesian search takes seconds for a proposal: with one space it is fast enough.
CASES = [
    pytest.param(name, space, marks=pytest.mark.slow if name == "bayesian" and space != "conditional" else ())
    for name in ORACLES
    for space in SPACES
]


@pytest.mark.parametrize(("name", "space_name"), CASES)
def test_values_are_architectures(name: str, space_name: str, tmp_path: Path) -> None:
    space = SPACES[space_name]
    oracle_class, settings = ORACLES[name]
    oracle = oracle_class(objective="val_accuracy", seed=1, hyperparameters=space.to_hyperparameters(), **settings)
    tuner = ToyTuner(oracle, directory=tmp_path)
    tuner.search(verbose=0)
    tried = [decided(trial.hyperparameters.values) for trial in oracle.trials.values()]
    assert len(tried) >= 20
    for values in tried:
        assert_canonical(values, space)
    for decision in space.decisions:
        if decision.parent is not None:
            assert 0 < sum(decision.name in values for values in tried) < len(tried)
    assert oracle.get_best_trials()[0].score == pytest.approx(max(toy_score(values) for values in tried))


@pytest.mark.slow  # the oracles are tested above; this one trains two networks
def test_stock_tuner_trains_our_networks(tmp_path: Path) -> None:
    space = image_space((8, 8, 1), 2)
    smallest = {d.name: d.options[:1] for d in space.decisions if d.name.endswith(("kernel", "depth", "width"))}
    space = space.restrict({**smallest, "stage0_operation": ["residual"], "stage1_operation": ["residual"]})
    info = DatasetInfo(
        image_shape=(8, 8, 1),
        input_dtype="float32",
        pixel_mean=(0.5,),
        pixel_std=(0.25,),
        pixel_range=(0.0, 1.0),
        classes=(0, 1),
        num_train=32,
        num_validation=32,
    )
    x, y = np.random.default_rng(0).random((32, 8, 8, 1), dtype=np.float32), np.arange(32) % 2
    tuner = keras_tuner.RandomSearch(
        space.hypermodel(info), objective="val_accuracy", max_trials=2, seed=1, directory=tmp_path
    )
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    found = tuner.get_best_hyperparameters(2)
    assert len(found) == 2
    for hp in found:
        assert_canonical(hp.values, space)
    assert tuner.get_best_models()[0].output_shape == (None, 2)
