"""What the bits of each layer cost in time, measured, as a limit for the integer programme."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from automl_keras.errors import ExportError
from automl_keras.export import median_latency
from automl_keras.export.child import ChildRuntime
from automl_keras.quantization.ilp import LinearLimit
from automl_keras.quantization.policy_files import PolicyFiles
from automl_keras.quantization.sensitivity import largest_policy
from automl_keras.search_space import Option

ROUNDS, LEAST_ROUNDS = 30, 3
BLOCK_SECONDS = 0.02
MAX_SECONDS = 10.0  # then fewer rounds have to do
MARGIN = 0.98  # files with many changes differ a little from the sum


def latency_limit(
    files: PolicyFiles, runtime: ChildRuntime, milliseconds: float, is_late: Callable[[], bool] = lambda: False
) -> LinearLimit:
    """A limit on the time of one image, as a sum of what the options of single layers change.

    Fewer bits are slower or faster, as the runtime has a kernel for the shape of a layer. Each option is timed in a
    file in which it is the only change, in turn with all others, for up to ten seconds. The median of its ratios to the
    unchanged file counts, because the speed of a machine varies.

    Args:
        files: Makes the files.
        runtime: Times them.
        milliseconds: The limit; 2 % of it are left free.
        is_late: Whether to end. Options that have not been timed by then, or cannot be, cost infinitely much.

    Raises:
        ExportError: If the file with all layers at their largest options cannot be made or run.
    """
    space = files.space
    largest = largest_policy(space)
    unchanged = files.export(largest)
    changed: dict[tuple[str, Option], bytes] = {}
    for decision in space.decisions:
        for option in decision.options[:-1]:
            try:
                changed[decision.name, option] = files.export(space.canonical({**largest, decision.name: option}))
            except ExportError:  # no such file: its evaluation fails as well, and says why
                continue
    whole, ratios = _timed(unchanged, changed, runtime, is_late)
    costs: dict[str, dict[Option, float]] = {
        decision.name: {**dict.fromkeys(decision.options, math.inf), decision.options[-1]: 0.0}
        for decision in space.decisions
    }
    for (layer, option), known in ratios.items():
        if known:
            costs[layer][option] = whole * (float(np.median(known)) - 1.0)
    return LinearLimit(costs, MARGIN * milliseconds, whole, "ms")


def _timed(
    unchanged: bytes,
    changed: dict[tuple[str, Option], bytes],
    runtime: ChildRuntime,
    is_late: Callable[[], bool],
) -> tuple[float, dict[tuple[str, Option], list[float]]]:
    """Milliseconds of the unchanged file, and the ratios of the others to it."""
    runtime.measure_latency(unchanged, seconds=BLOCK_SECONDS)  # a file that ends its process does so there
    # As the file is measured that is held against the limit: another process, and shorter runs, differ by 5 %.
    whole = median_latency(unchanged)
    start = time.monotonic()
    ratios: dict[tuple[str, Option], list[float]] = {change: [] for change in changed}
    for number in range(ROUNDS):
        if number >= LEAST_ROUNDS and time.monotonic() - start >= MAX_SECONDS:
            break
        reference = runtime.measure_latency(unchanged, seconds=BLOCK_SECONDS)
        for change in list(ratios):
            if is_late():
                break
            try:
                taken = runtime.measure_latency(changed[change], seconds=BLOCK_SECONDS)
                ratios[change].append(taken / reference)
            except ExportError:  # as above
                del ratios[change]
    return whole, ratios
