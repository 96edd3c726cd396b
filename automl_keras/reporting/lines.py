"""`LineReporter`: tells of a fit in plain lines, for log files and pipes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from automl_keras.reporting.closing import ClosedOnExit
from automl_keras.reporting.status import FitStatus, trial_text

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation

SECONDS_BETWEEN_SUMMARIES = 5.0


class LineReporter(ClosedOnExit):
    """Writes a line when a stage begins or ends and for each new best file, and now and then one for the trials.

    Args:
        stream: Where to write. `None` for the standard output of the moment.
        each_trial: Write a line for each trial, instead of a summary every 5 seconds at most.
        clock: Gives the seconds; only differences count.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        each_trial: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._each_trial = each_trial
        self._clock = clock
        self._status = FitStatus(clock)
        self._last_summary = clock()

    def start(self, message: str, time_limit: float | None) -> None:
        """Write the first line and start the clock."""
        self.close()
        self._status.start(time_limit)
        self._write(message)

    def stage(self, name: str, seconds: float | None = None) -> None:
        """End the running stage, if any, and begin a new one."""
        self._end_stage()
        self._status.begin_stage(name, seconds)
        self._last_summary = self._clock()
        self._write(self._status.stamped(self._status.stage_text()))

    def advance(self, fraction: float) -> None:
        """Write nothing: only a moving display can show it."""

    def trial(self, count: int, evaluation: Evaluation, objective: str) -> None:
        """Write the trial, or a summary of all if the last one is old enough."""
        self._status.add_trial(count, evaluation, objective)
        if self._each_trial:
            self._write(self._status.stamped(trial_text(count, evaluation, objective)))
        elif self._clock() - self._last_summary >= SECONDS_BETWEEN_SUMMARIES:
            self._last_summary = self._clock()
            self._write(self._status.stamped(self._status.trials_text()))

    def result(self, score: float, size_kb: float, metric: str = "accuracy") -> None:
        """Write what the new best file reaches."""
        self._status.set_result(score, size_kb, metric)
        self._write(self._status.stamped(f"Best file: {self._status.best_file}"))

    def message(self, text: str) -> None:
        """Write a sentence."""
        self._write(self._status.stamped(text))

    def close(self) -> None:
        """End the running stage. Calling it again does nothing."""
        self._end_stage()

    def _end_stage(self) -> None:
        if self._status.stage is not None:
            self._write(self._status.stamped(self._status.stage_end_text()))
            self._status.stage = None

    def _write(self, text: str) -> None:
        # Flushed, since the reader of a pipe wants each line when it happens.
        print(text, file=self._stream, flush=True)
