"""`SearchResults` and `Predictions`: what a report and a model card are made from."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from automl_keras.data import DatasetInfo, Images
    from automl_keras.evaluation import Budget, Evaluation
    from automl_keras.export import TFLiteReport
    from automl_keras.reporting.stages import Stage

PACKAGES = ("automl-keras", "keras", "tensorflow", "keras-tuner", "ai-edge-litert", "ai-edge-quantizer", "numpy")


@dataclass(frozen=True, eq=False)
class SearchResults:
    """What a fit found, as plain values.

    Attributes:
        info: Facts about the data.
        best: The evaluation of the exported network.
        evaluations: Everything that was evaluated, in the order it was made.
        report: What was measured on the file.
        file: Where the file is.
        stages: Where the time went.
        plan: The plan of the fit as JSON, or `None`.
        objective: The metric that was improved.
        budget: The limits of the device, or `None`.
        seed: Where all randomness came from; `None` if that is not known any more.
        code: The Python code that repeats the fit.
    """

    info: DatasetInfo
    best: Evaluation
    evaluations: Sequence[Evaluation]
    report: TFLiteReport
    file: Path
    stages: Sequence[Stage] = ()
    plan: Mapping[str, Any] | None = None
    objective: str = "val_accuracy"
    budget: Budget | None = None
    seed: int | None = None
    code: str = ""

    @property
    def classes(self) -> list[str]:
        """The labels as text."""
        return [str(label) for label in self.info.classes]

    def leaderboard(self) -> list[Evaluation]:
        """All evaluations: the exported file, other files by metric, other networks by metric, then failed ones."""

        def order(evaluation: Evaluation) -> tuple[bool, bool, bool, float]:
            failed = evaluation.failed(self.objective)
            value = 0.0 if failed else evaluation.metrics[self.objective]
            return evaluation != self.best, failed, evaluation.source != "file", -value

        return sorted(self.evaluations, key=order)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images with their right classes and what the network says about them.

    Attributes:
        images: `(n, height, width, channels)`, in the user's units.
        codes: The right classes, integers of shape `(n,)`.
        probabilities: `(n, classes)`, each row adding up to 1.
    """

    images: Images
    codes: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The most probable classes, shape `(n,)`."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.mean(self.predicted == self.codes))


@dataclass(frozen=True, eq=False)
class SampleImages:
    """Images to look at.

    Attributes:
        images: `(n, height, width, channels)`, in the user's units.
        codes: Their classes, integers of shape `(n,)`.
    """

    images: Images
    codes: np.ndarray


def versions() -> dict[str, str]:
    """The versions of Python, of this package and of those it builds on, as they are installed now."""
    found = {"Python": platform.python_version()}
    installed = {name: _version(name) for name in PACKAGES}
    return found | {name: version for name, version in installed.items() if version is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # a bare checkout
        return None
