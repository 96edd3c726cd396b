"""The network to take when nothing has been searched, and the part of the space around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from automl_keras.errors import InfeasibleBudgetError
from automl_keras.evaluation import Budget, CostPredictor
from automl_keras.search_space import Architecture, ImageSearchSpace, NetworkSpace
from automl_keras.training import training_work

ImageCosts = CostPredictor[ImageSearchSpace]
Feasible = Callable[[Architecture], bool]

SIZE_MARGIN = 1.01  # the size of the file is predicted within 1 %
SCALES = np.geomspace(4.0, 0.25, 49)
KEPT_BY_VARIANTS = 0.9  # of the weights
MAX_DEPTH = 2  # of the stages of a supernet


def feasibility(predict_cost: CostPredictor[NetworkSpace], budget: Budget) -> Feasible:
    """A test that an architecture's predicted cost keeps the budget, with a margin for the size of the file.

    Args:
        predict_cost: For the space and the data at hand.
        budget: The limits.
    """
    limits = budget.to_dict()
    if budget.max_size_kb is not None:
        limits["max_size_kb"] = budget.max_size_kb / SIZE_MARGIN
    strict = Budget.from_dict(limits)

    def feasible(architecture: Architecture) -> bool:
        return strict.allows(predict_cost(architecture))

    return feasible


def check_budget(predict_cost: ImageCosts, budget: Budget) -> None:
    """Refuse a budget that none of the smallest networks, one for each operation, keeps.

    Raises:
        InfeasibleBudgetError: Naming the smallest value of the limit that is broken.
    """
    smallest = smallest_networks(predict_cost.space)
    costs = [predict_cost(architecture) for architecture in smallest]
    for name, limit in budget.limits().items():
        known = [getattr(cost, name.removeprefix("max_")) for cost in costs]
        least = min((value for value in known if value is not None), default=None)
        if least is not None and least > limit:
            raise InfeasibleBudgetError(
                f"The smallest network of the search space needs {name.removeprefix('max_')}={least:g}. "
                f"Received: {name}={limit:g}"
            )
    if not any(map(feasibility(predict_cost, budget), smallest)):
        raise InfeasibleBudgetError(
            "None of the smallest networks keeps all limits at once, with 1 % left for the size of the file. "
            f"Received: {budget.limits()}"
        )


def smallest_networks(space: ImageSearchSpace) -> list[Architecture]:
    """The smallest network of each operation."""
    operations = space["stage0_operation"].options
    return [space.extreme(largest=False, operation=str(operation)) for operation in operations]


def default_network(
    predict_cost: ImageCosts,
    feasible: Feasible,
    max_work: float = math.inf,
    max_full_work: float = 0.0,
) -> Architecture:
    """The default network, widened or narrowed as a whole to the largest that fits, then filled up stage by stage.

    Bytes that a budget caps are not the only thing that makes a network better: of the variants with more blocks
    in the first stage or at full resolution, which cost time and few bytes, the one that makes the most of the
    time is taken, unless it has to be narrower for it. Where nothing fits, the smallest feasible network.

    Args:
        predict_cost: For the space and the data at hand.
        feasible: Whether an architecture keeps the budget.
        max_work: Networks that cost more (`training_work`) would train too slowly.
        max_full_work: The same for networks whose first stage works at full resolution, though the space's default
            is coarser: worth it only where the time is long.

    Raises:
        InfeasibleBudgetError: If not even a smallest network is feasible.
    """
    space = predict_cost.space
    coarsest = min(space["full_resolution"].options)

    def work(architecture: Architecture) -> float:
        return training_work(space.network_spec(architecture))

    def fits(architecture: Architecture) -> bool:
        limit = max_work if architecture["full_resolution"] == coarsest else max_full_work
        return work(architecture) <= limit and feasible(architecture)

    def params(architecture: Architecture) -> int:
        return predict_cost(architecture).params or 0

    scaled = [_largest_scaled(space, fixed, fits) for fixed in _variants(space)]
    if not any(scaled):
        scaled = [_largest_scaled(space, {**shallow(space), "full_resolution": coarsest}, fits)]
    found = [architecture for architecture in scaled if architecture is not None]
    if found:
        needed = KEPT_BY_VARIANTS * max(map(params, found))
        return max((architecture for architecture in found if params(architecture) >= needed), key=work)
    smallest = [architecture for architecture in smallest_networks(space) if feasible(architecture)]
    if not smallest:
        raise InfeasibleBudgetError(
            f"The smallest networks of the search space must be feasible. Received: max_work={max_work:g}"
        )
    return smallest[0]


def _variants(space: ImageSearchSpace) -> Iterator[dict[str, Any]]:
    """The resolutions and first stages to choose from; a stem alone at full resolution measured no better."""
    resolutions = space["full_resolution"].options
    for resolution in sorted({min(resolutions), max(resolutions)}):
        for depth in space["stage0_depth"].options:
            if int(depth) <= MAX_DEPTH:
                yield {"full_resolution": resolution, "stage0_depth": depth}


def _largest_scaled(space: ImageSearchSpace, fixed: Mapping[str, Any], fits: Feasible) -> Architecture | None:
    for scale in SCALES:
        scaled = space.canonical({**scaled_widths(space, float(scale)), **fixed})
        if fits(scaled):
            return _filled(space, scaled, fits)
    return None


def shallow(space: ImageSearchSpace) -> dict[str, Any]:
    """The smallest depth of every stage."""
    names = [f"stage{stage}_depth" for stage in range(space.num_stages)]
    return {name: min(space[name].options) for name in names}


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
    space: ImageSearchSpace, centre: Mapping[str, Any], *, operations: tuple[str, ...], elastic: tuple[str, ...] = ()
) -> ImageSearchSpace:
    """The sub-space worth a supernet: `centre`, widths near its own, some operations, small kernels, few blocks.

    A supernet pays for its largest network in every step, so what the time cannot train is left out.

    Args:
        space: The whole.
        centre: In the middle of it.
        operations: Those kept, besides the centre's.
        elastic: "kernel" or "expansion", where all options are kept.
    """
    options: dict[str, Any] = {}
    for decision in space.decisions:
        kind = decision.name.partition("_")[2]
        if kind == "resolution":  # it multiplies the work of all, and is a matter of the time
            kept = []
        elif kind == "width":
            width = float(centre[decision.name])
            kept = [o for o in decision.options if width / 2 <= float(o) <= width * 1.5]
        elif kind == "bits":
            kept = list(decision.options)
        elif kind == "operation":
            kept = [o for o in decision.options if o in operations]
        elif kind == "depth":
            kept = [o for o in decision.options if int(o) <= MAX_DEPTH]
        else:
            kept = list(decision.options) if kind in elastic else [min(decision.options)]
        own = centre.get(decision.name)
        options[decision.name] = [o for o in decision.options if o in kept or o == own]
    return space.restrict(options)
