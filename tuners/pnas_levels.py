"""Levels of growing complexity, in which PNAS goes through a search space."""

from __future__ import annotations

import numpy as np

from automl_keras.search_space import Decision, SearchSpace


class Levels:
    """The order in which decisions are taken, and the architectures that one more step leads to.

    Architectures are rows of option indices, as `SearchSpace.encode` makes them: -1 where a decision
    is inactive. Levels count from 0.

    - A space has levels of its own if a decision says how many parts there are, such as the
      `num_blocks` of a `CellSpace`: its options are ascending numbers, and from one of them on, not the
      first, other decisions are active. Its options are the levels. What becomes active with an
      option belongs to its level, all else to the first.
    - Any other space is cut, in the order of its decisions, into levels of `group_size`
      decisions with more than one option. What is not yet reached stays at its default.
      Conditional decisions belong to the level of their parent.

    Args:
        space: The search space.
        group_size: Number of decisions in a level of a space without levels of its own.

    Attributes:
        root: The architecture from which all grow, of shape `(1, decisions)`: all defaults, fewest parts.
    """

    def __init__(self, space: SearchSpace, group_size: int) -> None:
        column = {name: index for index, name in enumerate(space.names)}
        depth = _depth_decision(space)
        level_of = _level_of_each(space, depth, group_size)
        num_levels = max(level_of.values(), default=0) + 1 if depth is None else len(depth.options)
        self._depth = None if depth is None else column[depth.name]
        self._groups = [
            [column[d.name] for d in space.decisions if level_of[d.name] == level and d != depth and len(d.options) > 1]
            for level in range(num_levels)
        ]
        self._sizes = np.array([len(d.options) for d in space.decisions], dtype=np.int64)
        defaults = [0 if d == depth else d.options.index(d.default) for d in space.decisions]
        self._defaults = np.array(defaults, dtype=np.int32)
        # Its column, its parent's, and with which of the parent's options it is active.
        self._conditions = [
            (column[d.name], column[d.parent[0]], [space[d.parent[0]].options.index(value) for value in d.parent[1]])
            for d in space.decisions
            if d.parent is not None
        ]
        self.root = self._defaults[None].copy()
        self._settle(self.root)

    def __len__(self) -> int:
        return len(self._groups)

    def parents(self, rows: np.ndarray, level: int) -> np.ndarray:
        """Which rows a level extends, as a mask: those with the parts of the level before, or undecided from it on."""
        if self._depth is not None:
            return rows[:, self._depth] == level - 1
        undecided = [column for group in self._groups[level:] for column in group]
        return (rows[:, undecided] == self.root[:, undecided]).all(axis=1)

    def expand(self, rows: np.ndarray, level: int, limit: int, rng: np.random.Generator) -> np.ndarray:
        """Every row with every choice of the decisions of a level, each result once.

        Where a space has levels of its own, a row with fewer parts grows to `level`.

        Args:
            rows: Shape `(architectures, decisions)`.
            level: Its decisions are taken anew.
            limit: Of more combinations than this, so many are drawn at random.
            rng: Draws them.

        Returns:
            Shape `(results, decisions)`, in lexicographic order.
        """
        columns = self._groups[level]
        radices = np.array([len(rows), *self._sizes[columns]])
        if np.prod(radices, dtype=np.float64) <= limit:
            choices = np.indices(tuple(radices)).reshape(len(radices), -1)
        else:
            choices = rng.integers(radices[:, None], size=(len(radices), limit))
        results = rows[choices[0]]
        results[:, columns] = choices[1:].T
        if self._depth is not None:
            results[:, self._depth] = np.maximum(results[:, self._depth], level)
        self._settle(results)
        return np.unique(results, axis=0)

    def _settle(self, rows: np.ndarray) -> None:
        """Make decisions inactive where their condition fails, and give those that became active their default."""
        for column, parent, options in self._conditions:
            active = np.isin(rows[:, parent], options)
            rows[~active, column] = -1
            rows[active & (rows[:, column] < 0), column] = self._defaults[column]


def _depth_decision(space: SearchSpace) -> Decision | None:
    """The decision whose options are the levels, if the space has one."""
    for decision in space.decisions:
        numbers = [option for option in decision.options if not isinstance(option, bool | str)]
        if not numbers or numbers != sorted(numbers) or decision.parent is not None:
            continue
        ends = [set(numbers[start:]) for start in range(1, len(numbers))]
        conditions = [d.parent for d in space.decisions if d.parent is not None]
        if any(name == decision.name and set(values) in ends for name, values in conditions):
            return decision
    return None


def _level_of_each(space: SearchSpace, depth: Decision | None, group_size: int) -> dict[str, int]:
    levels: dict[str, int] = {}
    num_taken = 0
    for decision in space.decisions:
        if decision.parent is not None:
            parent, values = decision.parent
            is_part = depth is not None and parent == depth.name
            levels[decision.name] = min(map(space[parent].options.index, values)) if is_part else levels[parent]
        elif depth is not None:
            levels[decision.name] = 0
        else:
            num_taken += len(decision.options) > 1
            levels[decision.name] = max(num_taken - 1, 0) // group_size
    return levels
