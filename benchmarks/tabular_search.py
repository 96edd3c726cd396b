"""One search of a published table, by a strategy of this package, Optuna or Keras-Tuner."""

import tempfile
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from nas_tables import NASTable

from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.search_space.decision import Option
from automl_keras.tuners import Strategy

OBJECTIVE = "val_accuracy"
POINT_DISTANCE = 5  # the regret is noted after every fifth query


class Searcher(Protocol):
    """A search in progress: `ask`, `tell`, and so on; one architecture at a time."""

    def ask(self) -> Mapping[str, Option]: ...

    def tell(self, value: float) -> None:
        """The value of what was asked last."""

    def best(self) -> Mapping[str, Option]: ...


def run_search(searcher: Searcher, table: NASTable, seed: int, queries: int) -> tuple[list[float], float]:
    """Search a table.

    Returns:
        The regrets after 5, 10, 15, ... queries, in accuracy points, and the mean time of `ask` and
        `tell` together, in milliseconds.
    """
    rng = np.random.default_rng((seed, 1))  # of the noise of the table
    seconds, regrets = 0.0, []
    for query in range(1, queries + 1):
        start = time.perf_counter()
        architecture = searcher.ask()
        seconds += time.perf_counter() - start
        value = table.query(architecture, rng)
        start = time.perf_counter()
        searcher.tell(value)
        seconds += time.perf_counter() - start
        if query % POINT_DISTANCE == 0:
            regrets.append(table.regret(searcher.best()))
    return regrets, 1_000.0 * seconds / queries


class StrategySearcher:
    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self._asked: Architecture | None = None

    def ask(self) -> Mapping[str, Option]:
        [self._asked] = self._strategy.ask()
        return self._asked

    def tell(self, value: float) -> None:
        assert self._asked is not None
        self._strategy.tell([Evaluation(self._asked, {OBJECTIVE: value})])

    def best(self) -> Mapping[str, Option]:
        evaluation = self._strategy.best()
        assert evaluation is not None
        return evaluation.architecture


class OptunaSearcher:
    """Optuna's tree-structured Parzen estimator. It may ask for the same architecture again."""

    def __init__(self, space: SearchSpace, seed: int, *, multivariate: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=multivariate)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._choices = {d.name: optuna.distributions.CategoricalDistribution(d.options) for d in space.decisions}
        self._trial: Any = None

    def ask(self) -> Mapping[str, Option]:
        self._trial = self._study.ask(self._choices)
        return self._trial.params

    def tell(self, value: float) -> None:
        self._study.tell(self._trial, value)

    def best(self) -> Mapping[str, Option]:
        return self._study.best_params


class OracleSearcher:
    """An oracle of Keras-Tuner, which writes its trials to a temporary directory."""

    def __init__(self, oracle: str, space: SearchSpace, seed: int) -> None:
        import keras_tuner

        self._oracle = getattr(keras_tuner.oracles, oracle)(
            objective=keras_tuner.Objective(OBJECTIVE, "max"),
            max_trials=10_000,
            hyperparameters=space.to_hyperparameters(),
            # It adds 1 to its seed for every random number, so neighbouring seeds would draw nearly the same;
            # 0 would mean no seed.
            seed=1 + 1_000_003 * seed,
        )
        self._oracle.verbose = 0
        self._directory = tempfile.TemporaryDirectory()
        keras_tuner.Tuner(self._oracle, space.declare, directory=self._directory.name, project_name="project")
        self._trial: Any = None

    def ask(self) -> Mapping[str, Option]:
        self._trial = self._oracle.create_trial("tuner")
        return self._trial.hyperparameters.values

    def tell(self, value: float) -> None:
        self._oracle.update_trial(self._trial.trial_id, {OBJECTIVE: value})
        self._trial.status = "COMPLETED"
        self._oracle.end_trial(self._trial)

    def best(self) -> Mapping[str, Option]:
        return self._oracle.get_best_trials()[0].hyperparameters.values
