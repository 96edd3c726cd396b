"""How much the loss of a network rises when one layer has fewer bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from automl_keras.errors import SearchError
from automl_keras.search_space import Architecture, Option, SearchSpace

Sensitivities = Mapping[str, Mapping[Option, float]]


def largest_policy(space: SearchSpace) -> Architecture:
    """The policy in which every layer has the largest of its options."""
    return space.canonical({decision.name: decision.options[-1] for decision in space.decisions})


def sensitivities(loss: Callable[[Architecture], float], space: SearchSpace) -> dict[str, dict[Option, float]]:
    """The rise of the loss for each layer and number of bits, all other layers having their largest number.

    The loss is to be a cross-entropy: with a few thousand images the accuracy changes by less than its own noise.
    One measurement for all layers at their largest, and one for each smaller option of each layer.

    Args:
        loss: Measures a policy. A number that is not finite is a measurement that failed.
        space: The layers and the options of each, ascending.

    Returns:
        For each layer the rise for each of its options: 0 for the largest, infinite where the measurement failed. The
        rise may be negative.

    Raises:
        SearchError: If the measurement at the largest options fails, to which all others are compared.
    """
    largest = largest_policy(space)
    reference = loss(largest)
    if not math.isfinite(reference):
        raise SearchError(
            "The loss with all layers at their largest number of bits must be finite, because all others are "
            f"compared with it. Received: loss={reference}, policy={largest.to_dict()}"
        )
    rises: dict[str, dict[Option, float]] = {}
    for decision in space.decisions:
        rises[decision.name] = {}
        for option in decision.options[:-1]:
            measured = loss(space.canonical({**largest, decision.name: option}))
            rises[decision.name][option] = measured - reference if math.isfinite(measured) else math.inf
        rises[decision.name][decision.options[-1]] = 0.0
    return rises
