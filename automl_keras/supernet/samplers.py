"""Which architectures a step of supernet training runs: the protocol, and the samplers that do not learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.search_space import Architecture, ImageSearchSpace, NetworkSpace, Option


class Sampler(Protocol):
    """Draws the paths of a training step.

    Attributes:
        distill: Whether the first one teaches the others (in-place distillation).
        num_paths: How many paths a step has.
    """

    distill: bool
    num_paths: int

    def draw(self, step: int) -> list[Architecture]:
        """The architectures of step number `step`; the same for the same number."""
        ...


class UniformSampler:
    """Every decision uniform: one path in each step (Guo et al., ECCV 2020, section 3.2) or several.

    Args:
        space: Where to draw from.
        num_paths: Architectures in each step.
        seed: Seeds every step together with its number.
    """

    distill = False

    def __init__(self, space: NetworkSpace, *, num_paths: int = 1, seed: int = 0) -> None:
        self.space = space
        self.num_paths = num_paths
        self.seed = seed

    def draw(self, step: int) -> list[Architecture]:
        """Uniform architectures, independent of each other."""
        rng = np.random.default_rng((self.seed, step))
        return [self.space.sample(rng) for _ in range(self.num_paths)]


class FairSampler:
    """As many paths in a step as operations have options, every option of an operation in one of them.

    Strict fairness (Chu et al., ICCV 2021, section 3.2, algorithm 1): a step draws an independent permutation of
    the m options of every decision, the k-th path takes the k-th of each, and the summed gradients make one update.

    In the paper all decisions have m options. Here m is the largest number of options of an operation, or of
    any decision where none is called "..._operation". A decision with another number of options goes on with fresh
    permutations from path to path and step to step: after any number of paths its options differ by one turn at
    most. A decision that depends on another one loses the turns in which it is inactive.

    Args:
        space: Where to draw from.
        seed: Seeds every permutation together with its number.
    """

    distill = False

    def __init__(self, space: NetworkSpace, *, seed: int = 0) -> None:
        self.space = space
        self.seed = seed
        operations = [decision for decision in space.decisions if decision.name.endswith("_operation")]
        self.num_paths = max(len(decision.options) for decision in operations or space.decisions)

    def draw(self, step: int) -> list[Architecture]:
        """The paths of one step."""
        columns = [self._turns(index, step) for index in range(len(self.space.decisions))]
        names = self.space.names
        return [self.space.canonical(dict(zip(names, path, strict=True))) for path in zip(*columns, strict=True)]

    def _turns(self, index: int, step: int) -> list[Option]:
        """What decision number `index` takes in each path."""
        options = self.space.decisions[index].options
        begin, end = step * self.num_paths, (step + 1) * self.num_paths
        first, last = begin // len(options), (end - 1) // len(options)
        orders = [
            np.random.default_rng((self.seed, index, turn)).permutation(len(options)) for turn in range(first, last + 1)
        ]
        skipped = begin - first * len(options)
        return [options[place] for place in np.concatenate(orders)[skipped : skipped + self.num_paths]]


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
        self.num_paths = 2 + num_random
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
    num_paths = 1

    def __init__(self, space: ImageSearchSpace, *, seed: int = 0) -> None:
        self._sandwich = SandwichSampler(space, num_random=0, seed=seed)

    def draw(self, step: int) -> list[Architecture]:
        """One architecture of the largest sizes."""
        return self._sandwich.draw(step)[:1]


SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "fair": FairSampler,
    "largest": LargestSampler,
    "sandwich": SandwichSampler,
    "uniform": UniformSampler,
}


def make_sampler(name: str, space: NetworkSpace, *, seed: int, num_paths: int | None = None) -> Sampler:
    """A sampler by name.

    Args:
        name: A key of `SAMPLERS`.
        space: Where to draw from: the space of the supernet, or a restriction of it.
        seed: Of all draws.
        num_paths: Paths in a step, of the uniform sampler alone; the others have numbers of their own.

    Raises:
        InvalidArgumentError: If no sampler has that name, or `num_paths` is below 1 or not its to choose.
        InvalidTypeError: If the sampler orders networks by size, and the space does not.
    """
    if name not in SAMPLERS:
        raise InvalidArgumentError(f"`sampler` must be one of {sorted(SAMPLERS)}. Received: sampler={name!r}")
    if name in ("largest", "sandwich") and not isinstance(space, ImageSearchSpace):
        raise InvalidTypeError(
            f"The sampler {name!r} orders networks by size, as an `ImageSearchSpace` does. Received: space={space!r}"
        )
    if num_paths is None:
        return SAMPLERS[name](space, seed=seed)
    if name != "uniform" or num_paths < 1:
        raise InvalidArgumentError(
            "`num_paths` must be at least 1, and is for the uniform sampler alone. "
            f"Received: sampler={name!r}, num_paths={num_paths}"
        )
    return UniformSampler(space, num_paths=num_paths, seed=seed)
