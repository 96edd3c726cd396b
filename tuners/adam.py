"""Adam for weights that are NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Adam:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1), uphill.

    Args:
        weights: Changed in place by `ascend`.
        learning_rate: The length of a step.
        betas: The decays of the means of gradients and of their squares.
        epsilon: Added to the root of the mean square.

    Attributes:
        means: Moving means of gradients, by name of the weight.
        squares: Moving means of their squares.
        num_steps: How many steps were made.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        learning_rate: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.betas = betas
        self.epsilon = epsilon
        self.means = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.squares = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.num_steps = 0
        self._weights = weights

    def ascend(self, gradient: Mapping[str, np.ndarray]) -> None:
        """One step towards higher values of what `gradient` is the gradient of."""
        first, second = self.betas
        self.num_steps += 1
        for name, weight in self._weights.items():
            mean, square = self.means[name], self.squares[name]
            mean += (1 - first) * (gradient[name] - mean)
            square += (1 - second) * (gradient[name] ** 2 - square)
            unbiased_mean = mean / (1 - first**self.num_steps)
            unbiased_square = square / (1 - second**self.num_steps)
            weight += self.learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + self.epsilon)
