"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.search_space.decision import Option
from automl_keras.tuners.oracle import StrategyOracle
from automl_keras.tuners.strategy import Objective, Strategy


class RandomStrategy(Strategy):
    """Draws every decision uniformly, without repeats.

    With weight sharing it is the second half of RSWS (Li and Talwalkar, UAI 2019, section 3.2).
    Arguments as for `Strategy`.
    """

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space."""
        return self.space.sample(rng)


class RandomSearchOracle(StrategyOracle):
    """`RandomStrategy` for Keras-Tuner.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        max_trials: How many architectures to evaluate. `None` stops when the space is exhausted.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`.
        **settings: The other arguments of `StrategyOracle`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        max_trials: int | None = 100,
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        **settings: Any,
    ) -> None:
        strategy = RandomStrategy(space, objective, feasible=feasible, seed=seed, initial=initial)
        super().__init__(strategy, max_trials, **settings)
