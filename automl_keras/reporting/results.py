"""`SearchResults` and `Predictions`: what a report and a model card are made from."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_keras.data import MultiLabel, Regression

if TYPE_CHECKING:
    from automl_keras.data import DatasetInfo, Images
    from automl_keras.evaluation import Budget, Evaluation
    from automl_keras.export import TFLiteReport
    from automl_keras.reporting.stages import Stage
    from automl_keras.training import TrainingCurve

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
        curves: How the trainings went.
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
    curves: Sequence[TrainingCurve] = ()
    plan: Mapping[str, Any] | None = None
    objective: str = "val_accuracy"
    budget: Budget | None = None
    seed: int | None = None
    code: str = ""

    @property
    def classes(self) -> list[str]:
        """The labels as text."""
        return [str(label) for label in self.info.classes]

    @property
    def title(self) -> str:
        """What was found."""
        return "Image regressor" if isinstance(self.info.task, Regression) else "Image classifier"

    @property
    def score_name(self) -> str:
        """What was maximised."""
        return "R²" if isinstance(self.info.task, Regression) else "accuracy"

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
class Answers:
    """Images with several labels or with values, and what the network answers.

    Attributes:
        images: `(n, height, width, channels)`, in the user's units.
        codes: Their targets, as `automl_keras.data.Dataset` has them.
        answers: Probabilities `(n, labels)`, or values `(n, values)` in the units of `y`.
    """

    images: Images
    codes: np.ndarray
    answers: np.ndarray


@dataclass(frozen=True, eq=False)
class SampleImages:
    """Images to look at.

    Attributes:
        images: `(n, height, width, channels)`, in the user's units.
        codes: Their classes, integers of shape `(n,)`, or other targets.
    """

    images: Images
    codes: np.ndarray


def target_text(info: DatasetInfo, target: np.ndarray) -> str:
    """What an image is, or what a network says it is, in words.

    Args:
        info: Facts about the data.
        target: Of one image: a class, several labels or standardised values.
    """
    if isinstance(info.task, Regression):
        return ", ".join(f"{value:.4g}" for value in info.task.values(target))
    if isinstance(info.task, MultiLabel):
        labels = [str(label) for label, value in zip(info.classes, target, strict=True) if value > 0]
        return ", ".join(labels) or "no label"
    return str(info.classes[int(target)])


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
