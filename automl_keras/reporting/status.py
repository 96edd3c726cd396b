"""`FitStatus`: what has been reported of a fit so far, and how to say it."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the package may load TensorFlow, a progress line needs none
    from automl_keras.evaluation import Evaluation

MAX_ERROR_LENGTH = 200


class FitStatus:
    """Keeps the clock, the stage, the trials and the best file, and puts them into words.

    The words are ASCII, which every terminal and log file can show.

    Args:
        clock: Gives the seconds; only differences count.

    Attributes:
        stage: Name of the running stage, `None` between stages.
        trials: Number of evaluated architectures.
        failures: How many of those reported since the start failed.
        best_trial: The successful trial with the largest objective, as text, or `None`.
        best_file: The best exported file, as text, or `None`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.start(None)

    def start(self, time_limit: float | None) -> None:
        """Forget everything and start the clock.

        Args:
            time_limit: Seconds the whole fit may take; `None` for no limit.
        """
        self._start = self._stage_start = self._clock()
        self._time_limit = time_limit
        self._planned: float | None = None
        self._fraction: float | None = None
        self._best_objective = float("-inf")
        self.stage: str | None = None
        self.trials = self._trials_before = 0
        self.failures = 0
        self.best_trial: str | None = None
        self.best_file: str | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    @property
    def stage_seconds(self) -> float:
        """Seconds since the stage began."""
        return self._clock() - self._stage_start

    @property
    def fraction(self) -> float | None:
        """Progress of the stage in [0, 1], from its planned time unless it was told; `None` if neither is known."""
        if self._fraction is None and self._planned:
            return min(1.0, self.stage_seconds / self._planned)
        return self._fraction

    def begin_stage(self, name: str, seconds: float | None) -> None:
        """Enter a stage.

        Args:
            name: What is done in it.
            seconds: How long it is planned to take; `None` if unknown.
        """
        self.stage, self._planned, self._fraction = name, seconds, None
        self._stage_start = self._clock()
        self._trials_before = self.trials

    def advance(self, fraction: float) -> None:
        """Set the progress of the stage, clipped to [0, 1]."""
        self._fraction = min(1.0, max(0.0, fraction))

    def add_trial(self, count: int, evaluation: Evaluation, objective: str) -> None:
        """Count a trial.

        Args:
            count: Number of trials, this one included.
            evaluation: What came out.
            objective: The metric to compare by; larger is better.
        """
        self.trials = count
        if evaluation.failed(objective):
            self.failures += 1
        elif evaluation.metrics[objective] > self._best_objective:
            self._best_objective = evaluation.metrics[objective]
            self.best_trial = _score_text(evaluation, objective)

    def set_result(self, score: float, size_kb: float, metric: str = "accuracy") -> None:
        """Keep the best exported file: its score, its size in kB and what the score is."""
        self.best_file = f"{metric} {score:.4f}, {_size_text(size_kb)}"

    def clock_text(self) -> str:
        """The time left under a time limit, else the time taken: `2:31 left`, `12:05 elapsed`."""
        if self._time_limit is None:
            return f"{_clock_text(self.elapsed)} elapsed"
        return f"{_clock_text(max(0.0, self._time_limit - self.elapsed))} left"

    def stamped(self, text: str) -> str:
        """The text after the time since the start: `[1:17] text`."""
        return f"[{_clock_text(self.elapsed)}] {text}"

    def stage_text(self) -> str:
        """The stage as it begins, with its planned time."""
        plan = "" if self._planned is None else f" (planned: {_duration_text(self._planned)})"
        return f"{self.stage}{plan}"

    def stage_end_text(self) -> str:
        """The stage as it ends, for whatever reason: the time taken and, if there were trials, what they gave."""
        trials = f"; {self.trials_text()}" if self.trials > self._trials_before else ""
        return f"{self.stage}: ended after {_duration_text(self.stage_seconds)}{trials}"

    def trials_text(self) -> str:
        """All trials in one line: how many, how many failed, the best."""
        noun = "trial" if self.trials == 1 else "trials"
        failed = f" ({self.failures} failed)" if self.failures else ""
        best = f", best {self.best_trial}" if self.best_trial else ""
        return f"{self.trials} {noun}{failed}{best}"


def trial_text(count: int, evaluation: Evaluation, objective: str) -> str:
    """One trial in one line: its score and size, or why it failed."""
    if evaluation.failed(objective):
        reason = evaluation.error or f"no finite {objective}"
        return f"Trial {count}: failed: {textwrap.shorten(reason, MAX_ERROR_LENGTH, placeholder=' ...')}"
    return f"Trial {count}: {_score_text(evaluation, objective)}, took {_duration_text(evaluation.seconds)}"


def _score_text(evaluation: Evaluation, objective: str) -> str:
    size = evaluation.cost.size_kb
    where = "" if size is None else f" at {_size_text(size)}"
    return f"{objective} {evaluation.metrics[objective]:.4f}{where} ({evaluation.source.replace('_', ' ')})"


def _size_text(size_kb: float) -> str:
    return f"{size_kb:.1f} kB"


def _duration_text(seconds: float) -> str:
    if seconds >= 100:
        return _clock_text(seconds)
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
