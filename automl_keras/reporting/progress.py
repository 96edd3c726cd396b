"""`ProgressReporter`: tells the user how a fit goes."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from rich.console import Console

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting.closing import ClosedOnExit
from automl_keras.reporting.lines import LineReporter
from automl_keras.reporting.live import LiveReporter

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation

Verbosity = Literal["auto", 0, 1, 2]


class ProgressReporter(Protocol):
    """Is told how a fit goes; a context manager that closes itself.

    ```python
    with make_reporter("auto") as reporter:
        reporter.start("Looking for the best network in 300 s.", time_limit=300)
        reporter.stage("Training the supernet", seconds=120)
        reporter.advance(0.5)
    ```
    """

    def start(self, message: str, time_limit: float | None) -> None:
        """Begin a fit: the clock starts.

        Args:
            message: The first line.
            time_limit: Seconds the whole fit may take; `None` for no limit.
        """
        ...

    def stage(self, name: str, seconds: float | None = None) -> None:
        """Begin a stage, which ends the one before.

        Args:
            name: What is done in it, such as "Training the supernet".
            seconds: How long it is planned to take; `None` if unknown.
        """
        ...

    def advance(self, fraction: float) -> None:
        """Tell the progress of this stage, in [0, 1]."""
        ...

    def trial(self, count: int, evaluation: Evaluation, objective: str) -> None:
        """Tell of one more evaluated architecture.

        Args:
            count: Number of evaluated architectures, this one included.
            evaluation: What came out; it may have failed.
            objective: The metric that is searched for; larger is better.
        """
        ...

    def result(self, score: float, size_kb: float, metric: str = "accuracy") -> None:
        """Tell of a new best exported file: its score, its size in kB and what the score is."""
        ...

    def message(self, text: str) -> None:
        """Say a plain sentence, such as the plan or a warning."""
        ...

    def close(self) -> None:
        """End the last stage and leave the terminal as it was. Calling it again does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class NullReporter(ClosedOnExit):
    """Says nothing."""

    def start(self, message: str, time_limit: float | None) -> None:
        """Say nothing."""

    def stage(self, name: str, seconds: float | None = None) -> None:
        """Say nothing."""

    def advance(self, fraction: float) -> None:
        """Say nothing."""

    def trial(self, count: int, evaluation: Evaluation, objective: str) -> None:
        """Say nothing."""

    def result(self, score: float, size_kb: float, metric: str = "accuracy") -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


def make_reporter(verbose: Verbosity = "auto") -> ProgressReporter:
    """The reporter for a level of verbosity.

    Args:
        verbose: 0 says nothing. 1 and "auto" draw a live display if the standard output is a
            terminal, and write a few plain lines if it is not. 2 always writes plain lines,
            one for each trial.

    Raises:
        InvalidArgumentError: If `verbose` is anything else.
    """
    if not isinstance(verbose, str | int) or verbose not in ("auto", 0, 1, 2):
        raise InvalidArgumentError(f'`verbose` must be "auto", 0, 1 or 2. Received: verbose={verbose!r}')
    if verbose == 0:
        return NullReporter()
    console = Console()
    # Rich alone would also take a file for a terminal where FORCE_COLOR is set.
    if verbose != 2 and console.is_interactive and console.file.isatty():
        return LiveReporter(console)
    return LineReporter(each_trial=verbose == 2)
