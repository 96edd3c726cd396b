"""`FitResult`: what a fit ends with."""

from __future__ import annotations

from dataclasses import dataclass, field

from automl_keras.estimators.finishing import Finished
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
