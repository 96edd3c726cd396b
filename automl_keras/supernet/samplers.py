"""Which architectures a step of supernet training runs: the protocol, and the samplers that do not learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Architecture, ImageSearchSpace, NetworkSpace


class Sampler(Protocol):
    """Draws the paths of a training step.

    Attributes:
        distill: Whether the first one teaches the others (in-place distillation).
    """

    distill: bool

    def draw(self, step: int) -> list[Architecture]:
        """The architectures of step number `step`; the same for the same number."""
        ...


class UniformSampler:
    """One path in each step, every decision uniform (Guo et al., ECCV 2020, section 3.2).

    Args:
        space: Where to draw from.
        seed: Seeds every step together with its number.
    """

    distill = False

    def __init__(self, space: ImageSearchSpace, *, seed: int = 0) -> None:
        self.space = space
        self.seed = seed

    def draw(self, step: int) -> list[Architecture]:
        """One uniform architecture."""
        return [self.space.sample(np.random.default_rng((self.seed, step)))]


class SandwichSampler:
    """Largest, smallest and random sizes, all over the same operations, which take fair turns.

    The sandwich rule with in-place distillation is Yu and Huang, ICCV 2019, sections 3.2 and 3.3. It
    orders sizes; operations have weights of their own, so every stage goes through a fresh
    permutation of its operations, and in as many steps as there are operations each is trained once
    (expectation of Chu et al., ICCV 2021, section 3.2, over steps instead of within one).

    Args:
        space: Where to draw from.
        num_random: Random sizes in each step, besides the largest and the smallest.
        seed: Seeds every step together with its number.
    """

    distill = True

    def __init__(self, space: ImageSearchSpace, *, num_random: int = 1, seed: int = 0) -> None:
        self.space = space
        self.num_random = num_random
        self.seed = seed

    def draw(self, step: int) -> list[Architecture]:
        """The largest first, then the smallest, then random ones."""
        rng = np.random.default_rng((self.seed, 0, step))
        fixed = self.space.restrict({name: (operation,) for name, operation in self.operations(step).items()})
        extremes = [fixed.extreme(largest=True), fixed.extreme(largest=False)]
        return [*extremes, *(fixed.sample(rng) for _ in range(self.num_random))]

    def operations(self, step: int) -> dict[str, str]:
        """The operation of every stage in this step."""
        chosen = {}
        for decision in self.space.decisions:
            if decision.name.endswith("_operation"):
                turn, place = divmod(step, len(decision.options))
                order = np.random.default_rng((self.seed, 1, self.space.names.index(decision.name), turn))
                chosen[decision.name] = str(decision.options[order.permutation(len(decision.options))[place]])
        return chosen


class LargestSampler:
    """The largest sizes alone, over operations in fair turns: the first part of growing down.

    Progressive shrinking starts by training the full network (Cai et al., ICLR 2020, section 3.3).

    Args:
        space: Where to draw from.
        seed: Seeds the turns of the operations.
    """

    distill = False

    def __init__(self, space: ImageSearchSpace, *, seed: int = 0) -> None:
        self._sandwich = SandwichSampler(space, num_random=0, seed=seed)

    def draw(self, step: int) -> list[Architecture]:
        """One architecture of the largest sizes."""
        return self._sandwich.draw(step)[:1]


SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "largest": LargestSampler,
    "sandwich": SandwichSampler,
    "uniform": UniformSampler,
}


def make_sampler(name: str, space: NetworkSpace, *, seed: int) -> Sampler:
    """A sampler by name.

    Raises:
        InvalidArgumentError: If no sampler has that name.
    """
    if name not in SAMPLERS:
        raise InvalidArgumentError(f"`sampler` must be one of {sorted(SAMPLERS)}. Received: sampler={name!r}")
    return SAMPLERS[name](space, seed=seed)
