"""The spaces of a fit: what its supernet spans, and to which space an architecture belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import keras
import numpy as np

from automl_keras.arguments import check_choice, check_instance
from automl_keras.data import DatasetInfo
from automl_keras.errors import InfeasibleBudgetError, InvalidArgumentError, InvalidDataError
from automl_keras.estimators.default_network import (
    Feasible,
    ImageCosts,
    check_budget,
    feasibility,
    neighbourhood,
)
from automl_keras.evaluation import Budget, Cost, CostPredictor, LatencyTable, Quantization
from automl_keras.search_space import (
    Architecture,
    ImageSearchSpace,
    MacroSearchSpace,
    NetworkSpace,
    build_network,
    image_space,
    macro_space,
)
from automl_keras.training import training_work
from automl_keras.tuners import System

JOINT_BITS = (4, 8)
MACRO_FILTERS = (64, 56, 48, 40, 32, 28, 24, 20, 16, 12, 8, 6, 4)
MACRO_LAYERS = (6, 4, 3)
MACRO_SAMPLES = 40
ENOUGH_FEASIBLE = 0.5  # of a macro space's networks

SETUP_SAMPLES = 60  # architectures, among which every layer is met
SETUP_RATIO = 1.5  # of a convolution in a supernet, whose branches are functions, to one in a small network

SpaceT = TypeVar("SpaceT", bound=NetworkSpace)
FeasibleIn = Callable[[NetworkSpace], Feasible]


class NetworkSpaces:
    """Spaces of networks for the same data; knows to which an architecture belongs.

    Args:
        info: Facts about the data.
        spaces: Their decisions have different names.
        quantization: Of the files.
    """

    def __init__(self, info: DatasetInfo, *spaces: NetworkSpace, quantization: Quantization = "int8") -> None:
        self.info = info
        self.quantization = quantization
        self._spaces = list(spaces)

    def add(self, space: NetworkSpace) -> None:
        """Know one more."""
        self._spaces.append(space)

    def of(self, architecture: Mapping[str, Any]) -> NetworkSpace:
        """The first space that has all decisions of an architecture."""
        return next(space for space in self._spaces if set(architecture) <= set(space.names))

    def cost(self, architecture: Mapping[str, Any]) -> Cost:
        """The predicted cost."""
        return self.predictor(self.of(architecture))(architecture)

    def predictor(self, space: SpaceT, table: LatencyTable | None = None) -> CostPredictor[SpaceT]:
        """Predicts the costs of a space; latencies by the table, if there is one."""
        return CostPredictor(space, self.info, table, quantization=self.quantization)

    def build(self, architecture: Mapping[str, Any], *, seed: int) -> keras.Model:
        """The untrained network."""
        return build_network(self.of(architecture).network_spec(architecture), self.info, seed=seed)


def space_to_search(search_space: Any, info: DatasetInfo, quantization: str | None) -> ImageSearchSpace:
    """The image space of a fit.

    Args:
        search_space: As the user gave it. Of a macro space is what the supernet spans alone: the first and the default
            network are of the image space.
        info: Facts about the data.
        quantization: As the user gave it; for "joint" there are decisions on bits.

    Raises:
        InvalidTypeError: If `search_space` is of another type.
        InvalidArgumentError: If it is an unknown word, or has no decisions on bits although there have to be.
        InvalidDataError: If it is for other images.
    """
    if isinstance(search_space, str):
        check_choice("search_space", search_space, {"auto"})
        weight_bits = JOINT_BITS if quantization == "joint" else ()
        return image_space(info.image_shape, info.num_outputs, weight_bits=weight_bits)
    space = check_instance("search_space", search_space, ImageSearchSpace | MacroSearchSpace)
    if (space.image_shape, space.num_classes) != (info.image_shape, info.num_outputs):
        raise InvalidDataError(
            f"`search_space` must be for images of shape {info.image_shape} and {info.num_outputs} "
            f"classes. Received: a space for {space.image_shape} and {space.num_classes} classes"
        )
    if (quantization == "joint") != ("stage0_bits" in space.names):
        raise InvalidArgumentError(
            "`search_space` must have decisions on bits, such as `image_space(..., weight_bits=(4, 8))` has, for "
            f"quantization='joint' and no other. Received: quantization={quantization!r}, search_space={space!r}"
        )
    return space if isinstance(space, ImageSearchSpace) else image_space(info.image_shape, info.num_outputs)


def with_operations(space: ImageSearchSpace, operations: tuple[str, ...] | None) -> ImageSearchSpace:
    """The part of a space that has these operations alone; all of it for `None`."""
    if operations is None:
        return space
    names = [decision.name for decision in space.decisions if decision.name.endswith("_operation")]
    return space.restrict(
        {name: [o for o in space[name].options if o in operations] or space[name].options for name in names}
    )


def supernet_spaces(
    predict_cost: ImageCosts,
    default: Architecture,
    system: System,
    operations: tuple[str, ...],
    feasible_in: FeasibleIn,
    max_work: float,
    macro: MacroSearchSpace | None,
) -> Iterator[NetworkSpace]:
    """What the supernet of a system may span, the largest first: smaller ones are set up sooner.

    Args:
        predict_cost: For the image space, of which the default network is.
        default: The default network.
        system: Names the kind of space, and what varies.
        operations: Those of an image space.
        feasible_in: Tells for any space what is feasible.
        max_work: Macro networks of more `training_work` would train too slowly.
        macro: The user's macro space, if there is one, and then the only one. `check_macro_budget` has accepted it.
    """
    if system.space == "image":
        for number in range(len(operations), 0, -1):
            yield neighbourhood(predict_cost.space, default, operations=operations[:number], elastic=system.elastic)
    elif macro is None:
        for num_layers in MACRO_LAYERS:
            sized = sized_macro_space(predict_cost.space, num_layers, feasible_in, max_work)
            if sized is not None:
                yield sized
    else:
        yield macro


def check_budgets(
    space: ImageSearchSpace,
    macro: MacroSearchSpace | None,
    info: DatasetInfo,
    budget: Budget,
    quantization: Quantization = "int8",
) -> None:
    """Refuse a budget that no network of the image space keeps, or none of the user's macro space.

    Raises:
        InfeasibleBudgetError: Naming what is broken.
    """
    check_budget(CostPredictor(space, info, quantization=quantization), budget)
    if macro is not None:
        check_macro_budget(CostPredictor(macro, info, quantization=quantization), budget)


def check_macro_budget(predict_cost: CostPredictor[MacroSearchSpace], budget: Budget) -> None:
    """Refuse a budget that none of a few networks, drawn from the user's macro space, keeps.

    Raises:
        InfeasibleBudgetError: If none does.
    """
    if _feasible_share(predict_cost.space, feasibility(predict_cost, budget)) == 0:
        raise InfeasibleBudgetError(
            f"Of {MACRO_SAMPLES} networks drawn from the macro space `search_space` at least one must keep the "
            f"budget; fewer filters or layers make networks smaller. Received: {budget.limits()}"
        )


def setup_seconds(space: NetworkSpace, per_layer: float) -> float:
    """How long it takes to set up a supernet: its training, its scores.

    Args:
        space: Of the supernet.
        per_layer: Seconds that setting up the training of one network took for each of its convolutions.
    """
    rng = np.random.default_rng(SETUP_SAMPLES)
    drawn = (space.network_spec(space.sample(rng)) for _ in range(SETUP_SAMPLES))
    layers = {conv.name for spec in drawn for conv, _ in spec.convs()}
    return SETUP_RATIO * per_layer * len(layers)


def largest_macro_space(space: ImageSearchSpace) -> MacroSearchSpace:
    """The largest of those that `supernet_spaces` tries where the user gave none."""
    return macro_space(space.image_shape, space.num_classes, num_layers=MACRO_LAYERS[0], num_filters=MACRO_FILTERS[0])


def sized_macro_space(
    space: NetworkSpace, num_layers: int, feasible_in: FeasibleIn, max_work: float
) -> MacroSearchSpace | None:
    """The macro space of most filters, half of whose networks are feasible and can be trained in time.

    Where none is, the smallest; `None` if that has no feasible networks.
    """
    for num_filters in MACRO_FILTERS:
        macro = macro_space(space.image_shape, space.num_classes, num_layers=num_layers, num_filters=num_filters)
        feasible = feasible_in(macro)

        def fits(architecture: Architecture, macro: NetworkSpace = macro, feasible: Feasible = feasible) -> bool:
            return feasible(architecture) and training_work(macro.network_spec(architecture)) <= max_work

        if _feasible_share(macro, fits) >= ENOUGH_FEASIBLE:
            return macro
    return macro if _feasible_share(macro, feasible) > 0 else None


def _feasible_share(space: NetworkSpace, feasible: Feasible) -> float:
    rng = np.random.default_rng(MACRO_SAMPLES)
    return float(np.mean([feasible(space.sample(rng)) for _ in range(MACRO_SAMPLES)]))
