"""Keras-Tuner's own algorithms on our storage: the same trials, but nothing is lost. See `DurableOracle`."""

from __future__ import annotations

from typing import Any

import keras_tuner
import numpy as np

from automl_keras.tuners.durable_oracle import DurableOracle


class RandomSearchOracle(DurableOracle, keras_tuner.oracles.RandomSearchOracle):
    """`keras_tuner.oracles.RandomSearchOracle`; takes its arguments by name.

    `automl_keras.tuners.RandomSearchOracle` draws from a `SearchSpace`, knows what is feasible and exhausts the space;
    this one also draws from hyperparameters without a grid.
    """


class HyperbandOracle(DurableOracle, keras_tuner.oracles.HyperbandOracle):
    """`keras_tuner.oracles.HyperbandOracle`; takes its arguments by name. Its brackets are part of what is resumed."""

    def settings(self) -> dict[str, Any]:
        """See `DurableOracle`."""
        return {**super().settings(), "max_epochs": self.max_epochs, "factor": self.factor}

    def algorithm_state(self) -> dict[str, Any]:
        """See `DurableOracle`."""
        return {
            **super().algorithm_state(),
            "brackets": self._brackets,
            "bracket": self._current_bracket,
            "iteration": self._current_iteration,
        }

    def set_algorithm_state(self, state: dict[str, Any]) -> None:
        """See `DurableOracle`."""
        super().set_algorithm_state(state)
        self._brackets, self._current_bracket = state["brackets"], state["bracket"]
        self._current_iteration = state["iteration"]


class BayesianOptimizationOracle(DurableOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """`keras_tuner.oracles.BayesianOptimizationOracle`; takes its arguments by name.

    Where it looks for the optimum is drawn from the seed and the number of trials, not from a stream that a killed
    process takes with it.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.gpr = self._make_gpr()  # with the seed, which may be 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `keras_tuner.oracles.BayesianOptimizationOracle`."""
        self._random_state = np.random.RandomState([self.seed, len(self.trials)])
        response: dict[str, Any] = super().populate_space(trial_id)
        return response
