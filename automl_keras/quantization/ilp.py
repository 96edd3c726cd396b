"""The bits of every layer as an integer programme, and its refinement on the real file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.optimize import LinearConstraint, milp

from automl_keras.errors import InfeasibleBudgetError, InvalidArgumentError, SearchError
from automl_keras.quantization.sensitivity import Sensitivities, largest_policy
from automl_keras.search_space import Architecture, Option, SearchSpace

ROUNDING = 1e-9  # relative error of a sum of costs that counts as none
OBJECTIVE_SCALE = 1e4  # the solver stops within an absolute gap of 1e-6
BYTES_PER_KB = 1000
INFEASIBLE = 2  # status of scipy's `milp`


@dataclass(frozen=True)
class LinearLimit:
    """A limit on a sum over the layers of what their options cost, such as bytes or bit operations.

    Attributes:
        costs: For each layer the cost of each of its options; what costs infinitely much is not chosen.
        limit: What the sum with the constant may not exceed.
        constant: What is needed whatever the options.
        name: What is counted, for messages, in which bytes are kB.
    """

    costs: Mapping[str, Mapping[Option, float]]
    limit: float
    constant: float = 0.0
    name: str = "bytes"

    @classmethod
    def additive(
        cls, cost: Callable[[Architecture], float], space: SearchSpace, limit: float, name: str = "bytes"
    ) -> Self:
        """The limit on a cost that is a sum over the layers, such as `PolicyFiles.predict_size` or `BitSpace.bit_ops`.

        It is measured with all layers at their largest options, and with each smaller option of each layer.
        """
        largest = largest_policy(space)
        constant = cost(largest)
        costs = {
            decision.name: {
                option: cost(space.canonical({**largest, decision.name: option})) - constant
                for option in decision.options
            }
            for decision in space.decisions
        }
        return cls(costs, limit, constant, name)

    def cost(self, policy: Mapping[str, Option]) -> float:
        """The sum for a policy."""
        return self.constant + math.fsum(self.costs[layer][option] for layer, option in policy.items())

    @property
    def smallest(self) -> float:
        """The lowest sum of all policies."""
        return self.constant + math.fsum(min(options.values()) for options in self.costs.values())

    def allows(self, policy: Mapping[str, Option]) -> bool:
        """Whether a policy is within the limit, but for the rounding of sums."""
        return self.cost(policy) <= self.limit + ROUNDING * _magnitude(self)

    def text(self, value: float) -> str:
        """A cost with its unit, for messages. As a limit it allows what has this cost: kB are rounded up."""
        return f"{math.ceil(value) / BYTES_PER_KB:.3f} kB" if self.name == "bytes" else f"{value:.15g} {self.name}"


def _magnitude(limit: LinearLimit) -> float:
    return max(abs(limit.limit), abs(limit.constant))


def solve_policy(sensitivities: Sensitivities, limits: Sequence[LinearLimit] = ()) -> Architecture:
    """The policy with the least sum of sensitivities within all limits: the exact optimum.

    One variable for each layer and option, 0 or 1, of which one in each layer is 1.

    Args:
        sensitivities: For each layer the sensitivity of each of its options; infinite ones are not chosen.
        limits: Each with a cost for each layer and option.

    Raises:
        InfeasibleBudgetError: If no policy is within the limits; it states the smallest reachable.
        InvalidArgumentError: If a sensitivity or a cost is not a number, or a layer has no finite sensitivity.
        SearchError: If the solver gives up.
    """
    if not sensitivities:
        return Architecture({})
    choices = [
        (layer, option)
        for layer, rises in sensitivities.items()
        for option, rise in rises.items()
        if rise != math.inf and all(limit.costs[layer][option] != math.inf for limit in limits)
    ]
    weights = np.array([sensitivities[layer][option] for layer, option in choices])
    costs = np.array([[limit.costs[layer][option] for layer, option in choices] for limit in limits])
    one_each = np.array([[float(layer == name) for name, _ in choices] for layer in sensitivities])
    if not (np.isfinite(weights).all() and np.isfinite(costs).all() and one_each.any(axis=1).all()):
        raise InvalidArgumentError(
            "Every layer must have an option of finite sensitivity, none may be nan, and costs must be finite. "
            f"Received: sensitivities={sensitivities}, limits={limits}"
        )
    constraints = [LinearConstraint(one_each, 1.0, 1.0)]
    for limit, row in zip(limits, costs, strict=True):
        scale = np.abs(row).max() or 1.0  # as the solver's tolerance is absolute
        constraints.append(LinearConstraint(row / scale, -np.inf, (limit.limit - limit.constant) / scale))
    while True:
        solution = milp(
            OBJECTIVE_SCALE * weights / (np.abs(weights).max() or 1.0),
            integrality=np.ones(len(choices)),
            bounds=(0.0, 1.0),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
        if solution.status == INFEASIBLE:
            raise InfeasibleBudgetError(unreachable([_among(limit, choices) for limit in limits]))
        if solution.x is None:
            raise SearchError(f"The integer programme was not solved: {solution.message}")
        chosen = solution.x > 0.5
        policy = Architecture({layer: option for (layer, option), x in zip(choices, chosen, strict=True) if x})
        if all(limit.allows(policy) for limit in limits):
            return policy
        # Above a limit by less than the solver's tolerance: exclude this policy alone.
        constraints.append(LinearConstraint(chosen.astype(float), -np.inf, len(policy) - 1.0))


def unreachable(limits: Sequence[LinearLimit]) -> str:
    """What to say if no policy is within all limits."""
    alone = ", each alone" if len(limits) > 1 else ""
    return (
        f"No bits of the layers meet the budget. The smallest that can be reached{alone}: "
        f"{', '.join(limit.text(limit.smallest) for limit in limits)}. "
        f"Received: {', '.join(f'limit={limit.text(limit.limit)}' for limit in limits)}"
    )


def no_file_fits(size: LinearLimit, smallest: float) -> str:
    """What to say if even the smallest file, whose size was measured, is above the limit."""
    return (
        "No bits of the layers meet the budget. The smallest file that can be reached has "
        f"{size.text(smallest)}. Received: limit={size.text(size.limit)}"
    )


def _among(limit: LinearLimit, choices: Sequence[tuple[str, Option]]) -> LinearLimit:
    """The limit with the costs of some options alone."""
    costs: dict[str, dict[Option, float]] = {}
    for layer, option in choices:
        costs.setdefault(layer, {})[option] = limit.costs[layer][option]
    return replace(limit, costs=costs)


def solve_for_file(
    sensitivities: Sensitivities,
    size: LinearLimit,
    measure: Callable[[Architecture], float],
    others: Sequence[LinearLimit] = (),
) -> Architecture:
    """As `solve_policy`, with a size that is measured on the real file.

    While the file is too large, the limit is tightened by what it exceeds, and the programme solved again. Then
    layers are raised, the most sensitivity per byte first, while the file fits.

    Args:
        sensitivities: See `solve_policy`.
        size: The predicted size; its limit is that of the file.
        measure: The size of the file of a policy, in the unit of `size`; infinite if there can be none.
        others: Further limits, not measured.

    Raises:
        InfeasibleBudgetError: If no file fits; it states the size of the smallest.
    """
    tightened = size
    while True:
        try:
            policy = solve_policy(sensitivities, [tightened, *others])
        except InfeasibleBudgetError:
            policy = _smallest(sensitivities, size, others)
            if measure(policy) > size.limit:
                raise InfeasibleBudgetError(no_file_fits(size, measure(policy))) from None
            break
        excess = measure(policy) - size.limit
        if excess <= 0:
            break
        if excess == math.inf:
            excess = 0.0  # there is no such file: take the next smaller policy
        tightened = replace(size, limit=size.cost(policy) - max(excess, 2 * ROUNDING * _magnitude(size)))
    return _raised(policy, sensitivities, size, measure, others)


def _smallest(sensitivities: Sensitivities, size: LinearLimit, others: Sequence[LinearLimit]) -> Architecture:
    """The policy of the smallest predicted size within the other limits."""
    usable = {
        layer: {option: size.costs[layer][option] if rise < math.inf else math.inf for option, rise in rises.items()}
        for layer, rises in sensitivities.items()
    }
    return solve_policy(usable, others)


def _raised(
    policy: Architecture,
    sensitivities: Sensitivities,
    size: LinearLimit,
    measure: Callable[[Architecture], float],
    others: Sequence[LinearLimit],
) -> Architecture:
    """Layers raised one by one while the file fits."""
    refused: set[tuple[str, Option]] = set()

    def gain(layer: str, option: Option) -> float:
        """Sensitivity won per byte."""
        won = sensitivities[layer][policy[layer]] - sensitivities[layer][option]
        return won / (size.costs[layer][option] - size.costs[layer][policy[layer]])

    while True:
        steps = [
            (layer, option)
            for layer, rises in sensitivities.items()
            for option, rise in rises.items()
            if (layer, option) not in refused
            and size.costs[layer][option] > size.costs[layer][policy[layer]]
            and rise < rises[policy[layer]]
        ]
        if not steps:
            return policy
        layer, option = max(steps, key=lambda step: gain(*step))
        raised = Architecture({**policy, layer: option})
        if all(limit.allows(raised) for limit in others) and measure(raised) <= size.limit:
            policy = raised
        else:
            # What is too large now is so later, as other layers only grow.
            refused.add((layer, option))


def neighbours(
    policy: Architecture, sensitivities: Sensitivities, fits: Callable[[Architecture], bool]
) -> Iterator[Architecture]:
    """The policies that differ in one layer or two and fit, the least predicted rise of the loss first.

    For a judge that knows better than the sum of sensitivities, such as the loss of the real file.
    """
    moves = [
        (rise - rises[policy[layer]], layer, option)
        for layer, rises in sensitivities.items()
        for option, rise in rises.items()
        if option != policy[layer] and rise < math.inf
    ]
    changes = [(rise, {layer: option}) for rise, layer, option in moves]
    for place, (first_rise, first, first_option) in enumerate(moves):
        for rise, layer, option in moves[place + 1 :]:
            if layer != first:
                changes.append((first_rise + rise, {first: first_option, layer: option}))
    for _, change in sorted(changes, key=lambda item: item[0]):
        neighbour = Architecture({**policy, **change})
        if fits(neighbour):
            yield neighbour
