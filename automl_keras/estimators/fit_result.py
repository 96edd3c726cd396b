"""`FitResult`: what a fit ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from automl_keras.errors import SearchError
from automl_keras.estimators.finishing import Finished, Finisher
from automl_keras.estimators.plan import Plan
from automl_keras.evaluation import Evaluation


@dataclass
class FitResult:
    """What a fit ends with.

    Attributes:
        finished: The network to use and its file.
        plan: The plan, or `None` if the fit was stopped before there was one.
        evaluations: Everything that was evaluated, in order.
    """

    finished: Finished
    plan: Plan | None
    evaluations: list[Evaluation] = field(default_factory=list)

    @classmethod
    def of(cls, finisher: Finisher, plan: Plan | None, scored: Sequence[Evaluation]) -> Self:
        """What there is at the end: the best network, its file, and other networks that were only scored.

        Raises:
            SearchError: If no network could be exported within the budget.
        """
        if finisher.best is None:
            raise SearchError(
                "No network could be exported within the budget. "
                f"Received: {'; '.join(finisher.failures) or 'no network'}"
            )
        return cls(finisher.best, plan, [*finisher.evaluations, *scored])
