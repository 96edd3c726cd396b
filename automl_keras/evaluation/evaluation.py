"""`Evaluation`: what is known about one architecture, and where the numbers come from."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation.cost import Cost
from automl_keras.search_space.architecture import Architecture

Source = Literal["predicted", "shared_weights", "standalone", "file"]


@dataclass(frozen=True)
class Evaluation:
    """One architecture with its metrics and costs.

    ```python
    found = Evaluation(Architecture({"width": 16}), {"val_accuracy": 0.91}, Cost(size_kb=40.0), source="file")
    assert not found.failed("val_accuracy")
    assert Evaluation(Architecture({"width": 32}), error="out of memory").failed("val_accuracy")
    assert Evaluation.from_dict(found.to_dict()) == found
    ```

    Attributes:
        architecture: What was evaluated.
        metrics: Metric name to value, such as `{"val_accuracy": 0.91}`.
        cost: What the network needs; unknown parts are `None`.
        source: Where the metrics come from: a predictor, weights shared with a supernet,
            a network trained on its own, or the exported file run through LiteRT.
        generation: Which version of the shared weights gave the metrics.
        seconds: How long the evaluation took.
        error: Why it failed, or `None`.

    Raises:
        InvalidArgumentError: If the source is none of the four.
    """

    architecture: Architecture
    metrics: dict[str, float] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    source: Source = "standalone"
    generation: int = 0
    seconds: float = 0.0
    error: str | None = None

    def __post_init__(self) -> None:
        if self.source not in get_args(Source):
            raise InvalidArgumentError(f"`source` must be one of {get_args(Source)}. Received: source={self.source!r}")

    def failed(self, objective: str) -> bool:
        """Whether it has an error, or no finite value of the metric `objective`."""
        value = self.metrics.get(objective)
        return self.error is not None or value is None or not math.isfinite(value)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return {
            "architecture": self.architecture.to_dict(),
            "metrics": dict(self.metrics),
            "cost": self.cost.to_dict(),
            "source": self.source,
            "generation": self.generation,
            "seconds": self.seconds,
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Evaluation":
        """Rebuild an evaluation from `to_dict`."""
        return cls(
            **{
                **data,
                "architecture": Architecture.from_dict(data["architecture"]),
                "cost": Cost.from_dict(data["cost"]),
            }
        )
