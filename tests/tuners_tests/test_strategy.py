from typing import Any

import keras_tuner
import numpy as np
import pytest

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError, InvalidTypeError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.testing import conditional_space, flat_space, run_search
from automl_keras.tuners import RandomStrategy, Strategy


class StubbornStrategy(Strategy):
    """Proposes the default for ever."""

    def propose(self, rng: np.random.Generator) -> Architecture:
        return self.space.default()


@pytest.mark.parametrize(
    ("objective", "direction"),
    [
        ("val_accuracy", "max"),
        ("val_acc", "max"),
        ("val_sparse_categorical_accuracy", "max"),
        ("auc", "max"),
        ("loss", "min"),
        ("val_loss", "min"),
        ("val_mean_squared_error", "min"),
        (keras_tuner.Objective("latency_ms", "min"), "min"),
        (keras_tuner.Objective("val_loss", "max"), "max"),
    ],
)
def test_direction(objective: Any, direction: str) -> None:
    strategy = RandomStrategy(flat_space(), objective)
    assert strategy.direction == direction
    assert strategy.objective == getattr(objective, "name", objective)


def test_unknown_direction_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"Received: objective='latency_ms'"):
        RandomStrategy(flat_space(), "latency_ms")


@pytest.mark.parametrize("objective", [None, ["val_loss", "val_accuracy"], keras_tuner.Objective("a", "up")])
def test_other_objectives_are_refused(objective: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r"`objective` must be a name"):
        RandomStrategy(flat_space(), objective)


def test_seed_is_checked() -> None:
    with pytest.raises(InvalidArgumentError, match=r"Received: seed=-1"):
        RandomStrategy(flat_space(), seed=-1)
    for seed in (True, 0.5, "1"):
        with pytest.raises(InvalidTypeError, match=r"`seed` must be an integer or None"):
            RandomStrategy(flat_space(), seed=seed)  # type: ignore[arg-type]


def test_foreign_architectures_are_refused() -> None:
    with pytest.raises(InvalidArchitectureError, match="d0"):
        RandomStrategy(conditional_space(), initial=[{"d0": 1}])
    strategy = RandomStrategy(conditional_space())
    with pytest.raises(InvalidArchitectureError, match="d0"):
        strategy.tell([Evaluation(Architecture({"d0": 1}), {"val_accuracy": 0.5})])
    other = RandomStrategy(flat_space())
    run_search(other, 2)
    with pytest.raises(InvalidArchitectureError, match="d0"):
        strategy.set_state(other.get_state())


def test_a_strategy_that_repeats_itself_still_exhausts_the_space() -> None:
    space = conditional_space()
    proposals = run_search(StubbornStrategy(space, seed=0), 100)
    assert proposals[0] == space.default()
    assert len(set(proposals)) == len(proposals) == space.size


def test_space_with_fewer_distinct_than_declared_architectures() -> None:
    class SymmetricSpace(SearchSpace):
        def canonical(self, values: Any) -> Architecture:
            return Architecture(dict(zip(self.names, sorted(super().canonical(values).values()), strict=True)))

    space = SymmetricSpace(flat_space(3, 4).decisions)
    proposals = run_search(RandomStrategy(space, seed=0), 100)
    assert len(set(proposals)) == len(proposals) == 20  # multisets of 3 out of 4


def test_large_space_without_feasible_architectures() -> None:
    calls = []

    def never(architecture: Architecture) -> bool:
        calls.append(architecture)
        return False

    assert RandomStrategy(flat_space(10, 3), feasible=never, seed=0).ask(3) == []
    assert len(calls) == 5_200


def test_success_after_failure_counts() -> None:
    strategy = RandomStrategy(flat_space(), seed=0)
    [architecture] = strategy.ask()
    strategy.tell([Evaluation(architecture, error="crashed")])
    strategy.tell([Evaluation(architecture, {"val_accuracy": 0.5})])
    best = strategy.best()
    assert best is not None
    assert best.architecture == architecture
    assert strategy.get_state()["failed"] == []


def test_earliest_of_equals_is_best() -> None:
    strategy = RandomStrategy(flat_space(), seed=0)
    first, second = strategy.ask(2)
    strategy.tell([Evaluation(second, {"val_accuracy": 0.5}), Evaluation(first, {"val_accuracy": 0.5})])
    best = strategy.best()
    assert best is not None
    assert best.architecture == second
