from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError
from automl_keras.testing import flat_space
from automl_keras.tuners import EvolutionStrategy
from automl_keras.tuners.named_oracle import NamedOracle


class SmallPopulationOracle(NamedOracle):
    strategy_class = EvolutionStrategy


def declare_conditional(hp: Any) -> float:
    if hp.Choice("kind", ["plain", "deep"]) == "plain":
        return 0.1 * hp.Int("width", 1, 4)
    with hp.conditional_scope("kind", "deep"):
        return 0.05 * hp.Int("depth", 1, 3) * hp.Int("width", 1, 4)


def declare_loop(hp: Any) -> float:
    return sum(hp.Choice(f"units_{index}", [1, 2, 4]) for index in range(hp.Int("layers", 1, 3))) / 12


class DeclaringTuner(keras_tuner.Tuner):
    """Scores a declaration instead of a model."""

    def __init__(self, oracle: Any, directory: Path, declare: Any) -> None:
        self.declare = declare
        super().__init__(oracle, lambda hp: self.declare(hp) and keras.Sequential(), directory=directory)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        return {"val_accuracy": self.declare(trial.hyperparameters)}


def make_oracle(max_trials: int | None = 20, **settings: Any) -> SmallPopulationOracle:
    return SmallPopulationOracle(max_trials=max_trials, seed=0, population_size=4, sample_size=2, **settings)


def test_arguments_reach_the_strategy() -> None:
    space = flat_space()
    oracle = make_oracle(space=space, objective="val_loss", feasible=lambda a: a["d0"] == 1, initial=[{"d0": 1}])
    strategy = oracle.strategy
    assert isinstance(strategy, EvolutionStrategy)
    assert (strategy.population_size, strategy.direction, oracle.objective.direction) == (4, "min", "min")
    assert strategy.ask() == [space.canonical({"d0": 1})]
    with pytest.raises(TypeError, match="population"):
        SmallPopulationOracle(space=space, population=4)


def test_takes_the_place_of_a_stock_oracle() -> None:
    for oracle in (keras_tuner.oracles.RandomSearchOracle, SmallPopulationOracle):
        made = oracle("val_loss", 7, 3)
        assert (made.objective.name, made.max_trials, made.seed) == ("val_loss", 7, 3)
    assert SmallPopulationOracle(None).objective == keras_tuner.oracles.RandomSearchOracle().objective


@pytest.mark.parametrize(
    ("declare", "names", "best"),
    [
        (declare_conditional, {"kind", "width", "depth"}, 0.6),
        (declare_loop, {"layers", "units_0", "units_1", "units_2"}, 1.0),
    ],
)
def test_any_hypermodel_is_searched(tmp_path: Path, declare: Any, names: set[str], best: float) -> None:
    tuner = DeclaringTuner(make_oracle(60), tmp_path, declare)
    tuner.search(verbose=0)
    oracle = tuner.oracle
    assert set(oracle.strategy.space.names) == names
    for trial, evaluation in zip(oracle.trials.values(), oracle.strategy.evaluations, strict=True):
        assert trial.score == pytest.approx(declare(trial.hyperparameters))
        assert evaluation.metrics["val_accuracy"] == trial.score
    assert tuner.get_best_hyperparameters()[0].values["width" if "width" in names else "layers"] >= 3
    assert oracle.strategy.best().metrics["val_accuracy"] == pytest.approx(best)


def test_resumed_with_the_space_that_had_grown(tmp_path: Path) -> None:
    whole = DeclaringTuner(make_oracle(30), tmp_path / "whole", declare_loop)
    whole.search(verbose=0)
    assert len(whole.oracle.strategy.space.names) == 4
    DeclaringTuner(make_oracle(12), tmp_path / "parts", declare_loop).search(verbose=0)
    second = DeclaringTuner(make_oracle(30), tmp_path / "parts", declare_loop)
    assert len(second.oracle.strategy.evaluations) == 12
    second.search(verbose=0)
    assert second.oracle.strategy.evaluations == whole.oracle.strategy.evaluations


def test_hyperparameters_bound_the_search(tmp_path: Path) -> None:
    hp = keras_tuner.HyperParameters()
    hp.Int("layers", 2, 2)
    tuner = DeclaringTuner(make_oracle(5, hyperparameters=hp, tune_new_entries=False), tmp_path, declare_loop)
    tuner.search(verbose=0)
    assert [e.architecture.to_dict() for e in tuner.oracle.strategy.evaluations] == [{"layers": 2}]


def test_initial_in_hyperparameters() -> None:
    hp = keras_tuner.HyperParameters()
    hp.Int("layers", 1, 3)
    oracle = make_oracle(hyperparameters=hp, initial=[{"layers": 3}])
    assert oracle.strategy.ask()[0].to_dict() == {"layers": 3}
    with pytest.raises(InvalidArchitectureError, match="units"):
        make_oracle(initial=[{"units": 3}])


def test_hyperparameter_without_grid_is_refused_when_declared(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"hp\.Float\('rate'"):
        DeclaringTuner(make_oracle(), tmp_path, lambda hp: hp.Float("rate", 0, 1))


def build_model(hp: Any) -> keras.Model:
    layers = [keras.layers.Input((4,))]
    for index in range(hp.Int("layers", 1, 2)):
        layers.append(keras.layers.Dense(hp.Int(f"units_{index}", 4, 8, step=4), hp.Choice("act", ["relu", "tanh"])))
    model = keras.Sequential([*layers, keras.layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def test_plain_tuner_and_build_model(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((40, 4))
    tuner = keras_tuner.Tuner(make_oracle(4), build_model, directory=tmp_path)
    tuner.search(x, (x.sum(axis=1) > 2).astype(int), validation_split=0.2, epochs=1, verbose=0)
    assert len(tuner.oracle.strategy.evaluations) == 4
    values = tuner.get_best_hyperparameters()[0].values
    assert len(tuner.get_best_models()[0].layers) == values["layers"] + 1
