"""The network to take when nothing has been searched, and the part of the space around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from automl_keras.errors import InfeasibleBudgetError
from automl_keras.evaluation import Budget, network_cost
from automl_keras.search_space import Architecture, ImageSearchSpace

Feasible = Callable[[Architecture], bool]

SIZE_MARGIN = 1.01  # the size of the file is predicted within 1 %
SCALES = np.geomspace(4.0, 0.25, 49)


def feasibility(space: ImageSearchSpace, budget: Budget) -> Feasible:
    """A test that an architecture's predicted cost keeps the budget, with a margin for the size of the file."""
    limits = budget.to_dict()
    if budget.max_size_kb is not None:
        limits["max_size_kb"] = budget.max_size_kb / SIZE_MARGIN
    strict = Budget.from_dict(limits)

    def feasible(architecture: Architecture) -> bool:
        return strict.allows(network_cost(space.network_spec(architecture)))

    return feasible


def check_budget(space: ImageSearchSpace, budget: Budget) -> None:
    """Refuse a budget that not even the smallest networks keep.

    Raises:
        InfeasibleBudgetError: Naming the smallest value that can be reached for the limit.
    """
    operations = space["stage0_operation"].options
    costs = [
        network_cost(space.network_spec(space.extreme(largest=False, operation=str(operation))))
        for operation in operations
    ]
    for name, limit in budget.limits().items():
        known = [getattr(cost, name.removeprefix("max_")) for cost in costs]
        smallest = min((value for value in known if value is not None), default=None)
        if smallest is not None and smallest > limit:
            raise InfeasibleBudgetError(
                f"The smallest network of the search space needs {name.removeprefix('max_')}={smallest:g}. "
                f"Received: {name}={limit:g}"
            )
    if not any(feasibility(space, budget)(a) for a in _smallest_networks(space)):
        raise InfeasibleBudgetError(
            f"No network of the search space keeps all limits at once. Received: budget={budget.limits()}"
        )


def _smallest_networks(space: ImageSearchSpace) -> list[Architecture]:
    return [space.extreme(largest=False, operation=str(operation)) for operation in space["stage0_operation"].options]


def default_network(space: ImageSearchSpace, feasible: Feasible, max_macs: float = np.inf) -> Architecture:
    """The default network, widened or narrowed as a whole to the largest that fits, then filled up stage by stage.

    Args:
        space: The image space.
        feasible: Whether an architecture keeps the budget.
        max_macs: Networks with more multiply-accumulate operations would train too slowly.

    Raises:
        InfeasibleBudgetError: If neither a scaled default nor a smallest network is feasible.
    """

    def fits(architecture: Architecture) -> bool:
        macs = network_cost(space.network_spec(architecture)).macs
        return macs is not None and macs <= max_macs and feasible(architecture)

    depth = {f"stage{stage}_depth": 1 for stage in range(space.num_stages)}
    for fixed in ({}, {name: 1 for name in depth if 1 in space[name].options}):
        for scale in SCALES:
            scaled = space.canonical({**scaled_widths(space, float(scale)), **fixed})
            if fits(scaled):
                return _filled(space, scaled, fits)
    smallest = [architecture for architecture in _smallest_networks(space) if feasible(architecture)]
    if not smallest:
        raise InfeasibleBudgetError("No network of the search space keeps the budget. Received: an impossible budget")
    return smallest[0]


def scaled_widths(space: ImageSearchSpace, scale: float) -> dict[str, Any]:
    """For each stage the width option nearest, by ratio, to `scale` times the default."""
    widths = {}
    for stage in range(space.num_stages):
        decision = space[f"stage{stage}_width"]
        wanted = scale * float(decision.default or 0)
        widths[decision.name] = min(decision.options, key=lambda option: abs(np.log(float(option) / wanted)))
    return widths


def _filled(space: ImageSearchSpace, architecture: Architecture, fits: Feasible) -> Architecture:
    """Widen single stages by one option, last stage first, while the network still fits."""
    for stage in reversed(range(space.num_stages)):
        decision = space[f"stage{stage}_width"]
        wider = [option for option in decision.options if option > architecture[decision.name]]  # type: ignore[operator]
        if wider:
            candidate = space.canonical({**architecture, decision.name: min(wider)})
            if fits(candidate):
                architecture = candidate
    return architecture


def neighbourhood(
    space: ImageSearchSpace, centre: Mapping[str, Any], *, operations: tuple[str, ...]
) -> ImageSearchSpace:
    """The sub-space worth a supernet: widths near those of `centre`, some operations, 3x3 kernels, up to two blocks.

    A supernet pays for its largest network in every step, so what the time cannot train is left out.
    """
    options: dict[str, Any] = {}
    for stage in range(space.num_stages):
        width = float(centre[f"stage{stage}_width"])
        near = [o for o in space[f"stage{stage}_width"].options if width / 2 <= float(o) <= width * 1.5]
        options[f"stage{stage}_width"] = near
        offered = space[f"stage{stage}_operation"].options
        options[f"stage{stage}_operation"] = [o for o in offered if o in operations] or list(offered)
        options[f"stage{stage}_kernel"] = list(space[f"stage{stage}_kernel"].options)[:1]
        expansion = f"stage{stage}_expansion"
        if expansion in space.names:
            options[expansion] = list(space[expansion].options)[:1]
        options[f"stage{stage}_depth"] = [o for o in space[f"stage{stage}_depth"].options if int(o) <= 2] or list(
            space[f"stage{stage}_depth"].options
        )
    return space.restrict(options)
