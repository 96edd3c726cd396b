"""Optuna's estimator at its best: what it proposes again costs it nothing."""

from collections.abc import Mapping

from tabular_search import OptunaSearcher

from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.search_space.decision import Option

MAX_REPEATS = 100


class FreeRepeatsSearcher(OptunaSearcher):
    """Optuna's estimator, in which only architectures that are new count as queries.

    A proposal that was asked before is answered with the value observed then. After `MAX_REPEATS` in a row the
    next one is evaluated, new or not.
    """

    def __init__(self, space: SearchSpace, seed: int, *, multivariate: bool) -> None:
        super().__init__(space, seed, multivariate=multivariate)
        self._values: dict[Architecture, float] = {}

    def ask(self) -> Mapping[str, Option]:
        asked = super().ask()
        for _ in range(MAX_REPEATS):
            known = self._values.get(Architecture(asked))
            if known is None:
                break
            super().tell(known)
            asked = super().ask()
        return asked

    def tell(self, value: float) -> None:
        self._values[Architecture(self._trial.params)] = value
        super().tell(value)
