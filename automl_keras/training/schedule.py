"""How far a training has come, by the clock or by steps, and the learning rate that belongs to it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from automl_keras.errors import InvalidArgumentError

WARMUP = 0.15


def one_cycle(progress: float, warmup: float = WARMUP) -> float:
    """The share of the peak learning rate at `progress` in [0, 1].

    Linear from 0 over the first `warmup`, then a cosine down to 0 (Smith and Topin, 2018, with the
    cosine in place of the second line).
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (progress - warmup) / (1.0 - warmup))))


@dataclass(frozen=True)
class Limit:
    """When a training ends: at whichever of its limits comes first.

    Attributes:
        steps: Number of optimizer steps. Alone, it makes a training repeatable.
        seconds: Wall-clock time of the steps after the first call, which sets everything up.
        deadline: Value of `time.monotonic()` at which to end, whatever the set-up took.
        begin: Progress to begin with: where an interrupted training goes on.

    Raises:
        InvalidArgumentError: If there is no limit.
    """

    steps: int | None = None
    seconds: float | None = None
    deadline: float | None = None
    begin: float = 0.0

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None and self.deadline is None:
            raise InvalidArgumentError("A training needs a limit. Received: steps=None, seconds=None, deadline=None")


class Progress:
    """Turns a `Limit` into a number that grows from 0 to 1 as the training goes on."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self.begin()

    def begin(self) -> None:
        """Start the clock (again)."""
        self._start = time.monotonic()
        ends = [] if self._limit.deadline is None else [self._limit.deadline]
        if self._limit.seconds is not None:
            ends.append(self._start + self._limit.seconds)
        self._end = min(ends, default=math.inf)

    def at(self, step: float, ahead: float = 0.0) -> float:
        """Progress after `step` steps, `ahead` seconds from now; at least 1 means the end."""
        now = time.monotonic() + ahead
        if now >= self._end:
            return 1.0
        by_clock = (now - self._start) / (self._end - self._start)
        by_steps = 0.0 if self._limit.steps is None else step / self._limit.steps
        return self._limit.begin + (1.0 - self._limit.begin) * max(by_steps, by_clock)
