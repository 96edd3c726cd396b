"""`LiveReporter`: shows a fit as a few moving lines at the foot of a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from automl_keras.reporting.closing import ClosedOnExit
from automl_keras.reporting.status import FitStatus

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation

REFRESHES_PER_SECOND = 4
BAR_WIDTH = 40


class LiveReporter(ClosedOnExit):
    """Shows stage, bar, clock, trials and best file; lines that stay are written above.

    From `start` to `close`, what the process prints goes above the display, too. The methods
    mostly store what they are told; a thread draws it 4 times a second.

    Args:
        console: The terminal to draw on.
        clock: Gives the seconds; only differences count.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._status = FitStatus(clock)
        self._live: Live | None = None

    def start(self, message: str, time_limit: float | None) -> None:
        """Write the first line, start the clock and show the display."""
        self.close()
        self._status.start(time_limit)
        self._write(message)
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),  # a file keeps what was sent to it
        )
        self._live.start(refresh=True)

    def stage(self, name: str, seconds: float | None = None) -> None:
        """End the running stage, if any, and begin a new one."""
        self._end_stage()
        self._status.begin_stage(name, seconds)
        if self._live is not None:
            self._live.refresh()  # at once: what follows may keep the interpreter, and so the thread, busy

    def advance(self, fraction: float) -> None:
        """Set the bar."""
        self._status.advance(fraction)

    def trial(self, count: int, evaluation: Evaluation, objective: str) -> None:
        """Count a trial."""
        self._status.add_trial(count, evaluation, objective)

    def result(self, score: float, size_kb: float, metric: str = "accuracy") -> None:
        """Write and show what the new best file reaches."""
        self._status.set_result(score, size_kb, metric)
        self._write(self._status.stamped(f"Best file: {self._status.best_file}"))

    def message(self, text: str) -> None:
        """Write a sentence above the display."""
        self._write(self._status.stamped(text))

    def close(self) -> None:
        """End the running stage, remove the display and restore the terminal. Calling it again does nothing."""
        try:
            self._end_stage()
        finally:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _end_stage(self) -> None:
        if self._status.stage is not None:
            self._write(self._status.stamped(self._status.stage_end_text()))
            self._status.stage = None

    def _write(self, text: str) -> None:
        # As Text, lest square brackets count as markup; unwrapped, so that a copied line is whole.
        self._console.print(Text(text), soft_wrap=True)

    def _render(self) -> RenderableType:
        status = self._status
        fraction = status.fraction
        row = Table.grid(padding=(0, 2), expand=True)
        for _ in range(3):
            row.add_column(no_wrap=True, overflow="ellipsis")
        row.add_column(ratio=1)  # the bar gives way in a narrow terminal
        row.add_row(
            Text(status.stage or "Starting", style="bold"),
            "    " if fraction is None else f"{fraction:4.0%}",
            status.clock_text(),
            ProgressBar(total=None if fraction is None else 1.0, completed=fraction or 0.0, width=BAR_WIDTH),
        )
        lines: list[RenderableType] = [row]
        if status.trials:
            lines.append(Text(status.trials_text(), no_wrap=True, overflow="ellipsis"))
        if status.best_file:
            lines.append(Text(f"Best file: {status.best_file}", no_wrap=True, overflow="ellipsis", style="green"))
        return Group(*lines)
