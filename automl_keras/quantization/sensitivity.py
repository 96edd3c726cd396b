"""How much the loss of a network rises when one layer has fewer bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from automl_keras.errors import SearchError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Option, SearchSpace

LOSS = "val_loss"

Sensitivities = Mapping[str, Mapping[Option, float]]


def largest_policy(space: SearchSpace) -> Architecture:
    """The policy in which every layer has the largest of its options."""
    return space.canonical({decision.name: decision.options[-1] for decision in space.decisions})


def sensitivities(
    evaluate: Callable[[Architecture], Evaluation],
    space: SearchSpace,
    *,
    order: Sequence[str] | None = None,
    is_late: Callable[[], bool] = lambda: False,
) -> dict[str, dict[Option, float]]:
    """The rise of the loss for each layer and number of bits, all other layers having their largest number.

    The loss is to be a cross-entropy: with a few thousand images the accuracy changes by less than its own noise.
    One measurement for all layers at their largest, and one for each smaller option of each layer.

    Args:
        evaluate: Gives the metric `val_loss` of a policy, or an evaluation that failed.
        space: The layers and the options of each, ascending.
        order: The layers in the order they are measured; by default as in the space.
        is_late: Asked before every measurement; from then on nothing is measured.

    Returns:
        For each layer the rise for each of its options: 0 for the largest, infinite where the measurement failed or
        was not made in time. The rise may be negative.

    Raises:
        SearchError: If the measurement at the largest options fails, to which all others are compared; says why.
    """
    rises: dict[str, dict[Option, float]] = {
        decision.name: {**dict.fromkeys(decision.options, math.inf), decision.options[-1]: 0.0}
        for decision in space.decisions
    }
    if is_late():
        return rises
    largest = largest_policy(space)
    reference = evaluate(largest)
    if reference.failed(LOSS):
        reason = reference.error or f"{LOSS}={reference.metrics.get(LOSS)}"
        raise SearchError(
            "The file with all layers at their largest number of bits must run, because all others are compared "
            f"with it. Received: {reason}"
        )
    for name in space.names if order is None else order:
        for option in space[name].options[:-1]:
            if is_late():
                return rises
            lowered = evaluate(space.canonical({**largest, name: option}))
            if not lowered.failed(LOSS):
                rises[name][option] = lowered.metrics[LOSS] - reference.metrics[LOSS]
    return rises
