"""The budget wall: lower the options of an architecture until it is feasible."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.tuners.strategy import Strategy


def budget_wall(
    space: SearchSpace, architecture: Architecture, feasible: Callable[[Architecture], bool]
) -> Architecture | None:
    """HAQ's way to meet a budget (Wang et al., CVPR 2019, section 3), then a refill of what it overshoots.

    The options of a decision are taken for ordered, such as numbers of bits, and lower ones for cheaper. From the
    last decision to the first each is lowered by one option, again and again, until the architecture is feasible
    (`_final_action_wall` of the released code). The last notch may save far more than was missing. So every notch is
    then tried to be given back, those taken last first. Where lowering never makes anything infeasible, none of
    the notches that are left can be given back.

    ```python
    budget_wall(space, space.canonical({"conv": 8, "dense": 8}), lambda policy: num_bytes(policy) <= 50_000)
    ```

    Args:
        space: Names the decisions and their options.
        architecture: A canonical architecture.
        feasible: Tells whether an architecture is within the budget.

    Returns:
        The architecture itself if it is feasible, `None` if even the lowest is not.
    """
    cuts: list[str] = []
    is_feasible = feasible(architecture)
    while not is_feasible:
        num_cuts = len(cuts)
        for name in reversed(space.names):
            lowered = _moved(space, architecture, name, -1)
            if lowered is not None:
                architecture = lowered
                cuts.append(name)
                is_feasible = feasible(architecture)
                if is_feasible:
                    break
        if len(cuts) == num_cuts:
            return None
    return _refilled(space, architecture, reversed(cuts), feasible)


def _refilled(
    space: SearchSpace, architecture: Architecture, cuts: Iterable[str], feasible: Callable[[Architecture], bool]
) -> Architecture:
    for name in cuts:
        raised = _moved(space, architecture, name, 1)
        if raised is not None and feasible(raised):
            architecture = raised
    return architecture


def _moved(space: SearchSpace, architecture: Architecture, name: str, distance: int) -> Architecture | None:
    """The architecture with another option of one decision, `None` if there is no such option."""
    if name not in architecture:
        return None
    options = space[name].options
    index = options.index(architecture[name]) + distance
    return space.canonical({**architecture, name: options[index]}) if 0 <= index < len(options) else None


class WallRandomStrategy(Strategy):
    """Random search that lowers what it draws to the budget: the baseline of HAQ's agent.

    Every decision is drawn uniformly; `budget_wall` makes a draw feasible. So it finds feasible architectures where
    few are, most of them near the limit. Arguments as for `Strategy`.
    """

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space, within the budget if the wall can bring it there."""
        drawn = self.space.sample(rng)
        lowered = drawn if self.feasible is None else budget_wall(self.space, drawn, self.feasible)
        return drawn if lowered is None else lowered
