"""`TimedReporter`: passes on what it is told and keeps where the time of a fit went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from automl_keras.reporting.closing import ClosedOnExit

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation
    from automl_keras.reporting.progress import ProgressReporter


@dataclass(frozen=True)
class Stage:
    """Where a part of the time of a fit went.

    Attributes:
        name: What was done.
        seconds: Wall-clock time of the stage.
        working_seconds: Seconds of it in training, from the end of its first call on, which traces and
            compiles, and in evaluation.
    """

    name: str
    seconds: float
    working_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form, the arguments of the constructor."""
        return asdict(self)


class TimedReporter(ClosedOnExit):
    """A `ProgressReporter` that passes everything on to another one and times the stages.

    Training is what lies between two calls of `advance` of one training; trials and `evaluating` blocks
    are evaluation; all else in a stage is neither. Stages follow each other without a gap.

    Args:
        reporter: Told everything.
        name: Of the first stage, which begins at once and is not passed on.
        clock: Gives the seconds; only differences count.
        start: When the first stage began by the clock; `None` for now.
    """

    def __init__(
        self,
        reporter: ProgressReporter,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        start: float | None = None,
    ) -> None:
        self._reporter = reporter
        self._clock = clock
        self._ended: list[Stage] = []
        self._advanced: float | None = None
        self._fraction = 0.0
        self._begin(name, clock() if start is None else start)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages so far, the running one last; their seconds add up to those since the first began."""
        return (*self._ended, Stage(self._name, self._clock() - self._stage_start, self._working))

    def start(self, message: str, time_limit: float | None) -> None:
        """Pass it on."""
        self._reporter.start(message, time_limit)

    def stage(self, name: str, seconds: float | None = None) -> None:
        """End the running stage and begin a new one."""
        now = self._clock()
        self._ended.append(Stage(self._name, now - self._stage_start, self._working))
        self._begin(name, now)
        self._reporter.stage(name, seconds)

    def advance(self, fraction: float) -> None:
        """Count the time since the last call as training, unless another training has begun."""
        now = self._clock()
        if self._advanced is not None and fraction >= self._fraction:
            self._working += now - self._advanced
        self._advanced, self._fraction = now, fraction
        self._reporter.advance(fraction)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Count the time of the block as evaluation."""
        start = self._clock()
        try:
            yield
        finally:
            self._working += self._clock() - start

    def trial(self, count: int, evaluation: Evaluation, objective: str) -> None:
        """Count the seconds of the trial as evaluation."""
        self._working += evaluation.seconds
        self._reporter.trial(count, evaluation, objective)

    def result(self, score: float, size_kb: float, metric: str = "accuracy") -> None:
        """Pass it on."""
        self._reporter.result(score, size_kb, metric)

    def message(self, text: str) -> None:
        """Pass it on."""
        self._reporter.message(text)

    def close(self) -> None:
        """Pass it on."""
        self._reporter.close()

    def _begin(self, name: str, now: float) -> None:
        self._name, self._stage_start, self._working = name, now, 0.0
        self._advanced = None


def stages_text(stages: Sequence[Stage]) -> str:
    """One line: how much of the time was no training and no evaluation, in all and in each stage."""
    seconds = sum(stage.seconds for stage in stages)
    lost = {stage.name: 0.0 for stage in stages}
    for stage in stages:
        lost[stage.name] += stage.seconds - stage.working_seconds
    share = sum(lost.values()) / max(seconds, 1e-9)
    parts = ", ".join(f"{name} {value:.1f} s" for name, value in lost.items() if value >= 0.05)
    return f"{share:.0%} of {seconds:.1f} s were neither training nor evaluation{f': {parts}' if parts else ''}."
