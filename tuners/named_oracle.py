"""`NamedOracle`: the base of the oracles that are called after their strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras_tuner

from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.oracle import StrategyOracle
from automl_keras.tuners.strategy import Objective, Strategy


class NamedOracle(StrategyOracle):
    """An oracle with a strategy of its own, made from the arguments that Keras-Tuner's oracles take.

    Without a space it searches what the hypermodel declares, also behind a plain `if` or `for`:

    ```python
    def build_model(hp):
        model = keras.Sequential()
        for i in range(hp.Int("layers", 1, 3)):
            model.add(keras.layers.Dense(hp.Int(f"units_{i}", 16, 64, step=16), activation="relu"))
        ...

    oracle = PNASOracle(objective="val_accuracy", max_trials=60, seed=0)
    keras_tuner.Tuner(oracle, build_model).search(x, y, validation_split=0.2, epochs=3)
    ```

    A subclass names its strategy:

    ```python
    class EvolutionOracle(NamedOracle):
        strategy_class = EvolutionStrategy
    ```

    Args:
        objective: See `Strategy`. `None` for a hypermodel whose `fit` returns one number to minimise,
            as in Keras-Tuner.
        max_trials: How many architectures to evaluate. `None` stops when the space is exhausted.
        seed: See `Strategy`.
        hyperparameters: Without a space the hyperparameters to search, more than which are added
            unless `tune_new_entries=False`; with a space further ones, which keep their defaults.
        space: What to search. `None` searches what the hypermodel declares.
        feasible: See `Strategy`.
        initial: See `Strategy`; they need a `space` or `hyperparameters` that holds their names.
        rounds: See `StrategyOracle`.
        allow_new_entries: See `keras_tuner.Oracle`.
        tune_new_entries: See `keras_tuner.Oracle`.
        max_retries_per_trial: See `keras_tuner.Oracle`.
        max_consecutive_failed_trials: See `StrategyOracle`.
        **settings: The strategy's own arguments; those left out are `default_settings`, if the oracle has any.

    Raises:
        InvalidArgumentError: As `Strategy` and `StrategyOracle`.
    """

    strategy_class: ClassVar[type[Strategy]]
    default_settings: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        objective: str | Objective | None = "val_accuracy",
        max_trials: int | None = 100,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        *,
        space: SearchSpace | None = None,
        feasible: Callable[[Architecture], bool] | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        rounds: int = 0,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **settings: Any,
    ) -> None:
        if objective is None:
            objective = keras_tuner.Objective("default_objective", "min")
        follow = space is None
        if space is None:
            space = SearchSpace.from_hyperparameters(hyperparameters or keras_tuner.HyperParameters())
        settings = {**self.default_settings, **settings}
        strategy = self.strategy_class(space, objective, feasible=feasible, seed=seed, initial=initial, **settings)
        super().__init__(
            strategy,
            max_trials,
            rounds=rounds,
            follow_hypermodel=follow,
            hyperparameters=hyperparameters,
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
