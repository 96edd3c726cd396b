"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

import numpy as np

from automl_keras.search_space import Architecture
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Strategy


class RandomStrategy(Strategy):
    """Draws every decision uniformly, without repeats.

    With weight sharing it is the second half of RSWS (Li and Talwalkar, UAI 2019, section 3.2).
    Arguments as for `Strategy`.
    """

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space."""
        return self.space.sample(rng)


class RandomSearchOracle(NamedOracle):
    """`RandomStrategy` for Keras-Tuner; takes its arguments too."""

    strategy_class = RandomStrategy
