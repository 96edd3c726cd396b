"""Greedy search: draw one group of decisions again, keep the rest of the best."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy

SEPARATORS = re.compile("[/_]")
MAX_COLLISIONS = 20
MAX_BASES = 10


class GreedyStrategy(Strategy):
    """AutoKeras's greedy search (its `GreedyOracle`, `autokeras/tuners/greedy.py`).

    The names of the decisions form a tree: they are cut at every "/" and "_", and all that begin
    alike hang below one node. Each proposal draws a node with probability proportional to one over
    the number of decisions below it, draws these decisions again, uniformly, and copies all others
    from the best evaluation so far. So most proposals are neighbours of the best, some change a
    whole block, and few are entirely random.

    Differences from AutoKeras:

    - Names are cut at "_" too, because few besides AutoKeras's own have a "/". A chain of nodes
      with the same decisions below counts as one node. A decision whose name begins others
      ("cell" and "cell/kernel") has a node of its own.
    - AutoKeras ends the search where repeated draws bring nothing new. Here the second best is
      varied after 20 such draws, then the third best, up to the tenth.
    - It begins with random architectures, AutoKeras with variations of the defaults.
    - The seed decides everything; AutoKeras draws the node with numpy's global generator.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`. AutoKeras's `initial_hps`.
        num_initial_points: So many architectures come first: the initial ones, then random ones. With 0
            or 1 the search varies whatever comes first, as AutoKeras does; with 10 it found better
            networks within 50, 100 and 200 evaluations on four published tables.

    Raises:
        InvalidArgumentError: If `num_initial_points` is negative; also as `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        num_initial_points: int = 10,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        if num_initial_points < 0:
            raise InvalidArgumentError(
                f"`num_initial_points` must not be negative. Received: num_initial_points={num_initial_points}"
            )
        self.num_initial_points = num_initial_points

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space at first, then a variation of the best that has a new one."""
        num_known = len(self.evaluations) + len(self.pending)
        if not self.evaluations or num_known < self.num_initial_points:
            return self.space.sample(rng)
        for evaluation in heapq.nlargest(MAX_BASES, self.evaluations, key=self.score):
            draft = self._new_variation(evaluation.architecture, rng)
            if draft is not None:
                return draft
        return self.space.sample(rng)

    def _new_variation(self, base: Architecture, rng: np.random.Generator) -> Architecture | None:
        """The base with the decisions below one node drawn again, unless that brings nothing new."""
        nodes = name_nodes([name for name in base if len(self.space[name].options) > 1])
        if not nodes:
            return None
        weights = np.array([1.0 / len(below) for below in nodes])
        chosen = rng.choice(len(nodes), size=MAX_COLLISIONS, p=weights / weights.sum())
        # Of all decisions, so that those are drawn too that become active.
        indices = rng.integers(
            [len(d.options) for d in self.space.decisions], size=(MAX_COLLISIONS, len(self.space.names))
        )
        for node, row in zip(chosen, indices, strict=True):
            drawn = {d.name: d.options[index] for d, index in zip(self.space.decisions, row, strict=True)}
            kept = {name: option for name, option in base.items() if name not in nodes[node]}
            draft = self.space.canonical({**drawn, **kept})
            if self.is_allowed(draft):
                return draft
        return None


def name_nodes(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The nodes of the tree of names, each as the names below it: the shared ones, then the names.

    ```python
    name_nodes(["stage0_kernel", "stage0_width", "rate"]) == [
        ("stage0_kernel", "stage0_width", "rate"),
        ("stage0_kernel", "stage0_width"),
        ("stage0_kernel",),
        ("stage0_width",),
        ("rate",),
    ]
    ```
    """
    below: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        parts = SEPARATORS.split(name)
        for length in range(len(parts) + 1):
            below.setdefault(tuple(parts[:length]), []).append(name)
    shared = [tuple(group) for group in below.values() if len(group) > 1]
    return list(dict.fromkeys([*shared, *((name,) for name in names)]))


class GreedyOracle(NamedOracle):
    """`GreedyStrategy` for Keras-Tuner; takes its arguments too."""

    strategy_class = GreedyStrategy
