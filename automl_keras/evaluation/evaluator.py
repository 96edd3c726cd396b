"""Evaluators: from an architecture to an `Evaluation`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from automl_keras.evaluation.evaluation import Evaluation
from automl_keras.evaluation.file_types import Quantization
from automl_keras.evaluation.network_cost import CostPredictor
from automl_keras.search_space import Architecture

if TYPE_CHECKING:
    from automl_keras.supernet import SubnetScorer


class Evaluator(Protocol):
    """Finds out how good an architecture is; strategies never know how."""

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """The metrics and the cost of an architecture."""
        ...


class OneShotEvaluator:
    """Scores architectures with weights inherited from a supernet (Bender et al., ICML 2018).

    Args:
        scorer: Recalibrates BatchNorm and scores the answers.
        generation: The version of the shared weights.
        quantization: Of the files whose cost is predicted.
    """

    def __init__(self, scorer: SubnetScorer, *, generation: int = 0, quantization: Quantization = "int8") -> None:
        self.scorer = scorer
        self.generation = generation
        self.predict_cost = CostPredictor(scorer.supernet.space, scorer.supernet.info, quantization=quantization)

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """Validation score with shared weights, such as accuracy, and the predicted cost."""
        start = time.monotonic()
        score = self.scorer.score(architecture)
        return Evaluation(
            architecture=architecture,
            metrics={f"val_{self.scorer.supernet.info.task.metric}": score},
            cost=self.predict_cost(architecture),
            source="shared_weights",
            generation=self.generation,
            seconds=time.monotonic() - start,
        )
